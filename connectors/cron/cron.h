/* bindings.cron: events at given times. README.md beside this file says what it promises.
 *
 * Thread: the loop's.
 */
#ifndef CN_CRON_H
#define CN_CRON_H

#include "connectors/connector.h"

extern const struct connector_type cn_cron_type;

#endif
