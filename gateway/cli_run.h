/* `fairlead run`: the gateway and an application in one terminal.
 *
 * Thread: the process's first, which it takes until the end.
 */
#ifndef GW_CLI_RUN_H
#define GW_CLI_RUN_H

#include "base/log.h"
#include "config/flags.h"

/* Returns the exit status: the program's, 128 and the number of the signal that killed it, 126 or
 * 127 if it cannot be started, 1 if the gateway failed. */
int gw_cli_run(const struct config_flags *flags, const struct config_list *without_effect,
               struct fl_log *log);

#endif
