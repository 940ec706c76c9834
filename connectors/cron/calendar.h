/* Days and dates of the Gregorian calendar, reckoned backwards as well, by arithmetic alone.
 *
 * A day is counted from 1970-01-01, which is 0 and a Thursday. Nothing here knows of time zones.
 *
 * Thread: any.
 */
#ifndef CN_CRON_CALENDAR_H
#define CN_CRON_CALENDAR_H

#include <stdint.h>

#define CN_CRON_DAY_S INT64_C(86400)

struct cn_cron_date {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

/* The year is within ± 10^10. */
int64_t cn_cron_day_of(int64_t year, int month, int day);
struct cn_cron_date cn_cron_date_of(int64_t day);

/* 0 is Sunday. */
int cn_cron_weekday_of(int64_t day);

/* The day that holds a second; seconds before 1970 are negative. */
int64_t cn_cron_day_at(int64_t second);

#endif
