/* Dates by arithmetic, held against those of the C library. */
#include "connectors/cron/calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void expect_as_the_library(int64_t day)
{
    time_t second = (time_t)(day * CN_CRON_DAY_S);
    struct tm tm;
    assert_non_null(gmtime_r(&second, &tm));
    struct cn_cron_date date = cn_cron_date_of(day);
    assert_int_equal(date.year, tm.tm_year + 1900);
    assert_int_equal(date.month, tm.tm_mon + 1);
    assert_int_equal(date.day, tm.tm_mday);
    assert_int_equal(cn_cron_weekday_of(day), tm.tm_wday);
    assert_int_equal(cn_cron_day_of(date.year, date.month, date.day), day);
}

static void agrees_with_the_library_on_every_day_of_800_years(void **state)
{
    (void)state;
    for (int64_t day = cn_cron_day_of(1600, 1, 1); day <= cn_cron_day_of(2400, 12, 31); day++)
        expect_as_the_library(day);
}

static void agrees_with_the_library_far_away(void **state)
{
    (void)state;
    for (int64_t day = -4000000; day < 4000000; day += 997)
        expect_as_the_library(day);
}

static void a_second_before_1970_is_of_the_day_before(void **state)
{
    (void)state;
    assert_int_equal(cn_cron_day_at(0), 0);
    assert_int_equal(cn_cron_day_at(86399), 0);
    assert_int_equal(cn_cron_day_at(86400), 1);
    assert_int_equal(cn_cron_day_at(-1), -1);
    assert_int_equal(cn_cron_day_at(-86400), -1);
    assert_int_equal(cn_cron_day_at(-86401), -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_library_on_every_day_of_800_years),
        cmocka_unit_test(agrees_with_the_library_far_away),
        cmocka_unit_test(a_second_before_1970_is_of_the_day_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
