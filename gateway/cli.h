/* What the subcommands share: words for the person at the terminal, and the choice of a component.
 *
 * Thread: the loop's.
 */
#ifndef GW_CLI_H
#define GW_CLI_H

#include "base/error.h"
#include "base/slice.h"
#include "config/flags.h"

struct gateway;
struct gw_component;

/* All of it, waiting where the descriptor takes nothing; what cannot be written is dropped. */
void gw_cli_write(int fd, struct fl_slice text);

/* One line on standard error: "fairlead COMMAND: …". */
void gw_cli_say(enum config_command command, const char *format, ...) FL_PRINTF(2, 3);

/* The end of an error of the start: what went wrong, without daprd's words around it. */
const char *gw_cli_plain(const char *text);

/* The component named; with an empty name the only one, or the one named pubsub. FL_ERR_NOT_FOUND:
 * the text names those that there are. */
enum fl_err gw_cli_choose(const struct gateway *gateway, struct fl_slice name,
                          struct gw_component **component, struct fl_error *error) FL_MUST_USE;

#endif
