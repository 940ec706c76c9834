/* `fairlead options`: the manual of one component type, printed from the option rows of its
 * connector, or the list of all types.
 *
 * Thread: the only one of the process.
 */
#ifndef GW_CLI_OPTIONS_H
#define GW_CLI_OPTIONS_H

#include "config/flags.h"

/* The exit status: 0, or 1 for a type that nobody serves. */
int gw_cli_options(const struct config_flags *flags);

#endif
