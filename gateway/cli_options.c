/* Prints manuals; see the header. */
#include "gateway/cli_options.h"

int gw_cli_options(const struct config_flags *flags)
{
    (void)flags;
    return 1;
}
