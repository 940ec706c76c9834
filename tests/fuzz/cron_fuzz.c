/* Any bytes as what bindings.cron reads: a schedule with the rule of a local zone, or a zone file.
 *
 * Claims: the search ends; the next instant is later than the one before it, shows a wall clock
 * time that belongs to the schedule, and is next from anywhere between the two; a zone says until
 * when its offset holds, and that is always later; an interval is never shorter than the shortest;
 * a refusal has a text; nothing leaks.
 */
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "connectors/cron/schedule.h"
#include "connectors/cron/ticker.h"
#include "connectors/cron/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TICKS = 8, STRETCHES = 64 };

#define LAST_S INT64_C(253402300799)

/* Near changes of clocks, a leap day, the end of a year, and the ends of what is searched. */
static const int64_t instants[] = {0,          1774745999, 1772953199,  1792889999,
                                   1582934399, 1798761599, -2208988801, LAST_S};

static bool has(uint64_t set, int value)
{
    return set >> value & 1;
}

static void check_fits(const struct cn_cron_schedule *schedule, int64_t at_s)
{
    const uint64_t *sets = schedule->sets;
    int64_t until;
    time_t local = (time_t)(at_s + cn_cron_zone_offset(schedule->zone, at_s, &until));
    struct tm tm;
    FL_ASSERT(gmtime_r(&local, &tm));
    FL_ASSERT(has(sets[CN_CRON_SECOND], tm.tm_sec) && has(sets[CN_CRON_MINUTE], tm.tm_min));
    FL_ASSERT(has(sets[CN_CRON_HOUR], tm.tm_hour) && has(sets[CN_CRON_MONTH], tm.tm_mon + 1));
    bool fits = has(sets[CN_CRON_DAY], tm.tm_mday);
    bool fits_weekday = has(sets[CN_CRON_WEEKDAY], tm.tm_wday);
    FL_ASSERT(schedule->is_either_day ? fits || fits_weekday : fits && fits_weekday);
}

static void check_ticks(const struct cn_cron_schedule *schedule, int64_t from_s)
{
    int64_t at, again;
    for (int i = 0; i < TICKS; i++, from_s = at) {
        if (cn_cron_schedule_next(schedule, from_s, &at) != FL_OK)
            return;
        FL_ASSERT(at > from_s);
        if (at > LAST_S)
            return;
        check_fits(schedule, at);
        FL_ASSERT(cn_cron_schedule_next(schedule, from_s + (at - from_s) / 2, &again) == FL_OK);
        FL_ASSERT(again == at);
        FL_ASSERT(cn_cron_schedule_next(schedule, at - 1, &again) == FL_OK && again == at);
    }
}

static void check_ticker(const struct cn_cron_schedule *schedule)
{
    struct cn_cron_ticker ticker;
    struct cn_cron_clocks now = {1000, INT64_C(1774745999) * 1000000000};
    cn_cron_ticker_start(&ticker, schedule, now);
    for (int i = 0; i < TICKS; i++) {
        int64_t wait = cn_cron_ticker_wait_ns(&ticker, now);
        FL_ASSERT(wait > 0);
        if (wait > INT64_C(1000000000000000))
            return;
        now.mono_ns += wait;
        now.wall_ns += i % 3 ? wait : -wait;
        if (cn_cron_ticker_is_due(&ticker, now))
            cn_cron_ticker_count(&ticker);
    }
}

static void check_schedule(struct fl_slice text, const struct cn_cron_zone *zone)
{
    struct cn_cron_schedule schedule;
    struct fl_error error = {.text = ""};
    if (cn_cron_schedule_parse(text, zone, &schedule, &error) != FL_OK) {
        FL_ASSERT(error.text[0]);
        return;
    }
    check_ticker(&schedule);
    FL_ASSERT(!schedule.interval_ns || schedule.interval_ns >= CN_CRON_SHORTEST_NS);
    for (size_t i = 0; !schedule.interval_ns && i < sizeof instants / sizeof *instants; i++)
        check_ticks(&schedule, instants[i]);
    cn_cron_schedule_fini(&schedule);
}

static void check_stretches(const struct cn_cron_zone *zone, int64_t at_s)
{
    for (int i = 0; i < STRETCHES; i++) {
        int64_t until, again;
        int32_t offset = cn_cron_zone_offset(zone, at_s, &until);
        FL_ASSERT(until > at_s && offset > -27 * 3600 && offset < 27 * 3600);
        if (until > INT64_C(1000000000000))
            return;
        FL_ASSERT(cn_cron_zone_offset(zone, until - 1, &again) == offset && again == until);
        at_s = until;
    }
}

/* The first line is a schedule, the rest the rule of the local zone, which may be missing. */
static void check_text(struct fl_slice text)
{
    struct cn_cron_zone *zone = NULL;
    struct fl_error error = {.text = ""};
    size_t line = fl_slice_find_byte(text, '\n');
    struct fl_slice rule = fl_slice_of(text.data + line, text.len - line);
    if (cn_cron_zone_of_rule(fl_slice_trim(rule), &zone, &error) == FL_OK)
        check_stretches(zone, 0);
    else
        FL_ASSERT(error.text[0]);
    check_schedule(fl_slice_of(text.data, line), zone);
    cn_cron_zone_free(&zone);
}

static void check_file(struct fl_slice bytes)
{
    struct cn_cron_zone *zone = NULL;
    struct fl_error error = {.text = ""};
    if (cn_cron_zone_of_file(bytes, &zone, &error) != FL_OK) {
        FL_ASSERT(error.text[0] && !zone);
        return;
    }
    check_stretches(zone, INT64_C(-3000000000));
    check_schedule(FL_SLICE_LIT("*/30 1,2 * * *"), zone);
    cn_cron_zone_free(&zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice all = fl_slice_of((const char *)data, size);
    if (fl_slice_starts_with(all, FL_SLICE_LIT("TZif")))
        check_file(all);
    else
        check_text(all);
    return 0;
}
