/* The calendar repeats every 400 years, which have 146,097 days. A year is taken to begin in March,
 * so that the leap day is its last one and the lengths of the months before it follow one formula.
 */
#include "connectors/cron/calendar.h"

enum { DAYS_OF_400_YEARS = 146097, DAYS_TO_MARCH_OF_YEAR_0 = 719468 };

static int64_t floor_divide(int64_t a, int64_t b)
{
    int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}

/* Of a year that begins in March: days before its month, 0 being March. */
static int days_before(int month)
{
    return (153 * month + 2) / 5;
}

int64_t cn_cron_day_of(int64_t year, int month, int day)
{
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t cycle = floor_divide(march_year, 400), in_cycle = march_year - cycle * 400;
    int64_t leap_days = in_cycle / 4 - in_cycle / 100;
    return cycle * DAYS_OF_400_YEARS + in_cycle * 365 + leap_days + days_before((month + 9) % 12) +
           day - 1 - DAYS_TO_MARCH_OF_YEAR_0;
}

struct cn_cron_date cn_cron_date_of(int64_t day)
{
    int64_t since_march = day + DAYS_TO_MARCH_OF_YEAR_0;
    int64_t cycle = floor_divide(since_march, DAYS_OF_400_YEARS);
    int64_t rest = since_march - cycle * DAYS_OF_400_YEARS;
    /* The last day of each cycle, of each fourth year, and of the 400 years are the odd ones. */
    int64_t in_cycle = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    int in_year = (int)(rest - (in_cycle * 365 + in_cycle / 4 - in_cycle / 100));
    int month = (5 * in_year + 2) / 153;
    return (struct cn_cron_date){
        .year = cycle * 400 + in_cycle + (month >= 10),
        .month = month >= 10 ? month - 9 : month + 3,
        .day = in_year - days_before(month) + 1,
    };
}

int cn_cron_weekday_of(int64_t day)
{
    int64_t thursdays = (day + 4) % 7;
    return (int)(thursdays < 0 ? thursdays + 7 : thursdays);
}

int64_t cn_cron_day_at(int64_t second)
{
    return floor_divide(second, CN_CRON_DAY_S);
}
