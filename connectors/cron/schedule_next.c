/* When a schedule of fields is due next.
 *
 * Time is gone through in stretches within which the offset from UTC does not change. In a stretch
 * wall clock time is as regular as UTC, so that the search is plain arithmetic on the calendar:
 * days one by one (whole months at a time where the month does not fit), and within a day the next
 * bit of each set. A wall clock time that a change of clocks leaves out is in no stretch, and one
 * that is repeated is in two.
 *
 * It ends: each step goes to a later day or to a later stretch, and both are bounded by the last
 * year that is searched.
 */
#include "connectors/cron/calendar.h"
#include "connectors/cron/schedule.h"
#include "connectors/cron/zone.h"

static const int64_t first_second = INT64_C(-62135596800); /* of the year 1, in UTC */
static const int64_t last_second = INT64_C(253402300799);  /* of the year 9999 */

/* The least value of a set that is not below `from`; -1 when there is none. */
static int value_from(uint64_t set, int from)
{
    uint64_t rest = set >> from << from;
    return rest ? __builtin_ctzll(rest) : -1;
}

/* The first second of a day that fits and is not before `from`; -1 when the day has none. */
static int second_of_day(const struct cn_cron_schedule *schedule, int from)
{
    const uint64_t *sets = schedule->sets;
    int first_hour = from / 3600, first_minute = from / 60 % 60;
    for (int hour = value_from(sets[CN_CRON_HOUR], first_hour); hour >= 0;
         hour = value_from(sets[CN_CRON_HOUR], hour + 1)) {
        bool is_first = hour == first_hour;
        int minute = value_from(sets[CN_CRON_MINUTE], is_first ? first_minute : 0);
        for (; minute >= 0; minute = value_from(sets[CN_CRON_MINUTE], minute + 1)) {
            bool is_now = is_first && minute == first_minute;
            int second = value_from(sets[CN_CRON_SECOND], is_now ? from % 60 : 0);
            if (second >= 0)
                return hour * 3600 + minute * 60 + second;
        }
    }
    return -1;
}

static bool has(uint64_t set, int value)
{
    return set >> value & 1;
}

static bool fits_day(const struct cn_cron_schedule *schedule, int64_t day, int day_of_month)
{
    bool fits = has(schedule->sets[CN_CRON_DAY], day_of_month);
    bool fits_weekday = has(schedule->sets[CN_CRON_WEEKDAY], cn_cron_weekday_of(day));
    return schedule->is_either_day ? fits || fits_weekday : fits && fits_weekday;
}

static int64_t next_month(struct cn_cron_date date)
{
    return date.month == 12 ? cn_cron_day_of(date.year + 1, 1, 1)
                            : cn_cron_day_of(date.year, date.month + 1, 1);
}

/* Searches wall clock time from `from` until before `end`. */
static bool find_local(const struct cn_cron_schedule *schedule, int64_t from, int64_t end,
                       int64_t *found)
{
    int64_t day = cn_cron_day_at(from);
    int second = (int)(from - day * CN_CRON_DAY_S);
    while (day * CN_CRON_DAY_S < end) {
        struct cn_cron_date date = cn_cron_date_of(day);
        bool fits_month = has(schedule->sets[CN_CRON_MONTH], date.month);
        if (fits_month && fits_day(schedule, day, date.day)) {
            int at = second_of_day(schedule, second);
            *found = day * CN_CRON_DAY_S + at;
            if (at >= 0)
                return *found < end;
        }
        day = fits_month ? day + 1 : next_month(date);
        second = 0;
    }
    return false;
}

enum fl_err cn_cron_schedule_next(const struct cn_cron_schedule *schedule, int64_t from_s,
                                  int64_t *at_s)
{
    if (from_s < first_second || from_s > last_second)
        return FL_ERR_NOT_FOUND;
    int64_t at = from_s + 1, until, found;
    int64_t offset = cn_cron_zone_offset(schedule->zone, at, &until);
    int64_t year = cn_cron_date_of(cn_cron_day_at(at + offset)).year;
    int64_t end = cn_cron_day_of(year + CN_CRON_SEARCH_YEARS + 1, 1, 1) * CN_CRON_DAY_S;
    while (at + offset < end) {
        /* An `until` that is far away may be beyond what can be added to. */
        bool is_last = until > end - offset;
        if (find_local(schedule, at + offset, is_last ? end : until + offset, &found)) {
            *at_s = found - offset;
            return FL_OK;
        }
        if (is_last)
            break;
        at = until;
        offset = cn_cron_zone_offset(schedule->zone, at, &until);
    }
    return FL_ERR_NOT_FOUND;
}
