/* The names and the forms are those of Dapr's component, which applications read. */
#include "connectors/cron/tick.h"

#include <inttypes.h>
#include <stdio.h>

#include "connectors/cron/calendar.h"

#define SECOND_NS INT64_C(1000000000)

/* ".678", or nothing. */
static void print_fraction(int64_t ns, char out[16])
{
    int len = ns ? snprintf(out, 16, ".%09" PRId64, ns) : 0;
    while (len && out[len - 1] == '0')
        len--;
    out[len] = '\0';
}

const char *cn_cron_time_text(int64_t wall_ns, char out[CN_CRON_TIME_TEXT])
{
    int64_t second = wall_ns / SECOND_NS, day = cn_cron_day_at(second);
    struct cn_cron_date date = cn_cron_date_of(day);
    int rest = (int)(second - day * CN_CRON_DAY_S);
    char fraction[16];
    print_fraction(wall_ns % SECOND_NS, fraction);
    snprintf(out, CN_CRON_TIME_TEXT, "%04" PRId64 "-%02d-%02d %02d:%02d:%02d%s +0000 UTC",
             date.year, date.month, date.day, rest / 3600, rest / 60 % 60, rest % 60, fraction);
    return out;
}

enum fl_err cn_cron_tick_new(struct fl_slice time_zone, int64_t wall_ns, struct fl_budget *budget,
                             struct ce_event **event)
{
    char text[CN_CRON_TIME_TEXT];
    const struct ce_metadata metadata[] = {
        {FL_SLICE_LIT("timeZone"), time_zone},
        {FL_SLICE_LIT("readTimeUTC"), fl_slice_str(cn_cron_time_text(wall_ns, text))},
    };
    return ce_event_new(FL_SLICE_LIT(""), FL_SLICE_NULL, metadata, 2, budget, event);
}
