/* `fairlead check`: resource files and configuration, read as at start, and all that is wrong with
 * them told at once.
 *
 * Nothing is connected to. Findings go to standard output, ordered by file and line, as
 * "FILE:LINE: error: …" or as JSON objects, one a line; the last line has the sums.
 *
 * Thread: the only one of the process.
 */
#ifndef GW_CLI_CHECK_H
#define GW_CLI_CHECK_H

#include "config/flags.h"

/* The exit status: 0 without errors (with `is_strict`: without warnings), else 1. */
int gw_cli_check(const struct config_flags *flags);

#endif
