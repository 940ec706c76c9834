/* `fairlead publish`: stores messages through the component itself, without a running gateway.
 *
 * Thread: the process's first, which it takes until the end.
 */
#ifndef GW_CLI_PUBLISH_H
#define GW_CLI_PUBLISH_H

#include "base/log.h"
#include "config/flags.h"

/* Returns the exit status: 0 all is stored, 1 something is not, 2 nobody knows whether all is. */
int gw_cli_publish(const struct config_flags *flags, const struct config_list *without_effect,
                   struct fl_log *log);

#endif
