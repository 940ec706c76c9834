/* Whole milliseconds need no other unit below the second; from a second on a fraction is part of
 * the seconds, and minutes stand where there are hours. */
#include "gateway/duration.h"

void gw_duration_append(struct fl_buffer *out, int64_t ms)
{
    long long hours = ms / 3600000, minutes = ms / 60000 % 60;
    if (ms > 0 && ms < 1000) {
        fl_buffer_printf(out, "%lldms", (long long)ms);
        return;
    }
    if (hours)
        fl_buffer_printf(out, "%lldh", hours);
    if (hours || minutes)
        fl_buffer_printf(out, "%lldm", minutes);
    fl_buffer_printf(out, "%gs", (double)(ms % 60000) / 1000);
}
