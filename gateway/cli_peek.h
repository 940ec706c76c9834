/* `fairlead peek`: shows messages of a topic and claims none, without a running gateway.
 *
 * Thread: the process's first, which it takes until the end.
 */
#ifndef GW_CLI_PEEK_H
#define GW_CLI_PEEK_H

#include "base/log.h"
#include "config/flags.h"

/* Returns the exit status: 0, or 1 when there is nothing to look into. */
int gw_cli_peek(const struct config_flags *flags, const struct config_list *without_effect,
                struct fl_log *log);

#endif
