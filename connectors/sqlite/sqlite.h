/* pubsub.sqlite: a durable broker in one file, shared by the processes of one machine. */
#ifndef CN_SQLITE_H
#define CN_SQLITE_H

#include "connectors/connector.h"

extern const struct connector_type cn_sqlite_type;

#endif
