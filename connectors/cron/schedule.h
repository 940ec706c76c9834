/* Schedules: what `schedule` of bindings.cron may say, and when it is time next.
 *
 *   [TZ=<zone> | CRON_TZ=<zone>] and then one of
 *     minute hour day month weekday         at second 0
 *     second minute hour day month weekday
 *     @yearly @annually @monthly @weekly @daily @midnight @hourly
 *     @every <Go duration>                  an interval
 *     [R[n]/]P[nW][nD][T[nH][nM][nS]]       an interval (ISO 8601), n times in all
 *
 * A schedule of fields is a set of wall clock times in its zone, matched second by second: one that
 * a clock change leaves out does not come, and one that a clock change repeats comes twice. An
 * interval knows no wall clock.
 *
 * Ownership: a parsed schedule keeps nothing of its text; it owns the zone that the text names, and
 * borrows the local one.
 * Units: instants are seconds since 1970.
 * Thread: any.
 */
#ifndef CN_CRON_SCHEDULE_H
#define CN_CRON_SCHEDULE_H

#include "base/error.h"
#include "base/slice.h"

struct cn_cron_zone;

/* Longer texts are refused. */
#define CN_CRON_SCHEDULE_MAX 1024
/* Of an interval: what is shorter is taken for this. */
#define CN_CRON_SHORTEST_NS INT64_C(1000000)
/* Calendar years that are searched after the present one. */
#define CN_CRON_SEARCH_YEARS 5

enum cn_cron_field {
    CN_CRON_SECOND,
    CN_CRON_MINUTE,
    CN_CRON_HOUR,
    CN_CRON_DAY,
    CN_CRON_MONTH,
    CN_CRON_WEEKDAY, /* 0 is Sunday */
    CN_CRON_FIELDS,
};

struct cn_cron_schedule {
    int64_t interval_ns;           /* 0: it has fields */
    uint64_t repetitions;          /* of an interval; 0: no end */
    bool is_lengthened;            /* the interval was shorter than CN_CRON_SHORTEST_NS */
    uint64_t sets[CN_CRON_FIELDS]; /* bit n: the value n belongs to the field */
    bool is_either_day;            /* day and weekday are both restricted: one of them is enough */
    const struct cn_cron_zone *zone;
    struct cn_cron_zone *named_zone; /* the one that the text names; else NULL */
};

/* `local` is the zone where the text names none; borrowed as long as the schedule is used. The text
 * of an error says what was found and what is accepted; it does not repeat the whole schedule. */
enum fl_err cn_cron_schedule_parse(struct fl_slice text, const struct cn_cron_zone *local,
                                   struct cn_cron_schedule *schedule,
                                   struct fl_error *error) FL_MUST_USE;

void cn_cron_schedule_fini(struct cn_cron_schedule *schedule);

/* Of a schedule with fields: the first instant after `from_s`. FL_ERR_NOT_FOUND: there is none in
 * the year of `from_s` and the CN_CRON_SEARCH_YEARS after it, or `from_s` lies outside of the years
 * 1 to 9999. */
enum fl_err cn_cron_schedule_next(const struct cn_cron_schedule *schedule, int64_t from_s,
                                  int64_t *at_s) FL_MUST_USE;

#endif
