/* pubsub.in-memory: a broker inside the process. README.md beside this file says what it promises.
 *
 * Thread: the loop's.
 */
#ifndef CN_MEMORY_H
#define CN_MEMORY_H

#include "connectors/connector.h"

extern const struct connector_type cn_memory_type;

#endif
