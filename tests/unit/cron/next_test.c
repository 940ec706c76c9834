/* When a schedule is due next: over months and years, and over changes of clocks.
 *
 * Zones are rules here, so that no file of the machine is needed; the last test holds them against
 * its files. Instants are written in UTC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/cron/calendar.h"
#include "connectors/cron/schedule.h"
#include "connectors/cron/zone.h"

static const char BERLIN[] = "CET-1CEST,M3.5.0,M10.5.0/3";
static const char NEW_YORK[] = "EST5EDT,M3.2.0,M11.1.0";
static const char LORD_HOWE[] = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0";
static const char KOLKATA[] = "IST-5:30";
static const char UTC[] = "UTC0";
/* Its clocks changed at midnight: there was no 00:30 on a day in spring, and 23:30 twice in autumn.
 */
static const char MIDNIGHT[] = "<-03>3<-02>,M10.3.0/0,M2.3.0/0";

static int64_t instant(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

static struct cn_cron_zone *zone_of(const char *rule)
{
    struct cn_cron_zone *zone = NULL;
    struct fl_error error;
    assert_int_equal(cn_cron_zone_of_rule(fl_slice_str(rule), &zone, &error), FL_OK);
    return zone;
}

static void parse(const char *text, const struct cn_cron_zone *zone,
                  struct cn_cron_schedule *schedule)
{
    struct fl_error error;
    if (cn_cron_schedule_parse(fl_slice_str(text), zone, schedule, &error) != FL_OK)
        fail_msg("%s: %s", text, error.text);
}

static const char *text_of(int64_t at_s, char out[32])
{
    time_t second = (time_t)at_s;
    struct tm tm;
    gmtime_r(&second, &tm);
    strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
    return out;
}

enum { MOST = 6 };

/* From an instant on, the ticks that follow one another; an empty last one: none comes any more. */
struct run {
    const char *zone, *schedule, *from, *ticks[MOST];
};

static void expect(const struct run *run)
{
    struct cn_cron_zone *zone = zone_of(run->zone);
    struct cn_cron_schedule schedule;
    parse(run->schedule, zone, &schedule);
    int64_t at = instant(run->from);
    for (int i = 0; i < MOST && run->ticks[i]; i++) {
        enum fl_err err = cn_cron_schedule_next(&schedule, at, &at);
        char text[32];
        if (!run->ticks[i][0] ? err != FL_ERR_NOT_FOUND : err || at != instant(run->ticks[i]))
            fail_msg("\"%s\" from %s, tick %d: %s instead of %s", run->schedule, run->from, i,
                     err ? "none" : text_of(at, text), run->ticks[i]);
    }
    cn_cron_schedule_fini(&schedule);
    cn_cron_zone_free(&zone);
}

#define EXPECT(runs)                                                                               \
    for (size_t i_ = 0; i_ < sizeof(runs) / sizeof *(runs); i_++)                                  \
    expect(&(runs)[i_])

static void the_next_is_later_than_the_instant(void **state)
{
    static const struct run runs[] = {
        {UTC, "* * * * * *", "2026-07-09 14:45:00", {"2026-07-09 14:45:01", "2026-07-09 14:45:02"}},
        {UTC, "0 0/15 * * * *", "2026-07-09 14:45:00", {"2026-07-09 15:00:00"}},
        {UTC,
         "0 0/15 * * * *",
         "2026-07-09 14:59:59",
         {"2026-07-09 15:00:00", "2026-07-09 15:15:00"}},
        {UTC,
         "59 59 23 * * *",
         "2026-07-09 23:59:58",
         {"2026-07-09 23:59:59", "2026-07-10 23:59:59"}},
        {UTC,
         "15/35 20-35/15 1/2 */2 * *",
         "2026-07-09 23:35:51",
         {"2026-07-11 01:20:15", "2026-07-11 01:20:50"}},
        {UTC, "30 0 0 1 1 *", "2026-12-31 23:59:59", {"2027-01-01 00:00:30"}},
    };
    (void)state;
    EXPECT(runs);
}

static void it_goes_over_months_and_years(void **state)
{
    static const struct run runs[] = {
        {UTC, "@yearly", "2026-01-01 00:00:00", {"2027-01-01 00:00:00"}},
        {UTC, "@monthly", "2026-11-30 12:00:00", {"2026-12-01 00:00:00", "2027-01-01 00:00:00"}},
        {UTC, "@weekly", "2026-07-09 00:00:00", {"2026-07-12 00:00:00", "2026-07-19 00:00:00"}},
        {UTC, "0 0 31 * *", "2026-01-31 00:00:00", {"2026-03-31 00:00:00", "2026-05-31 00:00:00"}},
        {UTC,
         "0 0 29 feb ?",
         "2026-01-01 00:00:00",
         {"2028-02-29 00:00:00", "2032-02-29 00:00:00"}},
        {UTC,
         "0 0 * feb mon",
         "2026-07-09 23:35:00",
         {"2027-02-01 00:00:00", "2027-02-08 00:00:00"}},
        {UTC, "0 12 1-7 dec wed", "2026-12-01 12:00:00", {"2026-12-02 12:00:00"}},
    };
    (void)state;
    EXPECT(runs);
}

static void both_days_have_to_match_or_either(void **state)
{
    static const struct run runs[] = {
        {UTC, "0 0 13 * *", "2026-02-01 00:00:00", {"2026-02-13 00:00:00", "2026-03-13 00:00:00"}},
        {UTC, "0 0 * * fri", "2026-02-01 00:00:00", {"2026-02-06 00:00:00", "2026-02-13 00:00:00"}},
        {UTC,
         "0 0 10 * fri",
         "2026-02-01 00:00:00",
         {"2026-02-06 00:00:00", "2026-02-10 00:00:00", "2026-02-13 00:00:00"}},
        {UTC,
         "0 0 */10 * fri",
         "2026-02-06 00:00:00",
         {"2026-02-11 00:00:00", "2026-02-13 00:00:00"}},
    };
    (void)state;
    EXPECT(runs);
}

static void a_search_ends_with_the_fifth_year_after(void **state)
{
    static const struct run runs[] = {
        {UTC, "0 0 30 feb *", "2026-01-01 00:00:00", {""}},
        {UTC, "0 0 31 apr,jun *", "2026-01-01 00:00:00", {""}},
        /* There is no February 29 in 2100. */
        {UTC, "0 0 29 feb *", "2096-03-01 00:00:00", {""}},
        {UTC, "0 0 29 feb *", "2098-12-31 23:59:58", {""}},
        {UTC, "0 0 29 feb *", "2098-12-31 23:59:59", {"2104-02-29 00:00:00"}},
        /* The year is that of the wall clock. */
        {KOLKATA, "0 0 29 feb *", "2098-12-31 18:29:58", {""}},
        {KOLKATA, "0 0 29 feb *", "2098-12-31 18:29:59", {"2104-02-28 18:30:00"}},
    };
    (void)state;
    EXPECT(runs);
}

static void an_instant_out_of_range_has_none(void **state)
{
    struct cn_cron_schedule schedule;
    int64_t at;
    (void)state;
    parse("* * * * * *", NULL, &schedule);
    assert_int_equal(cn_cron_schedule_next(&schedule, INT64_MAX, &at), FL_ERR_NOT_FOUND);
    assert_int_equal(cn_cron_schedule_next(&schedule, INT64_MIN, &at), FL_ERR_NOT_FOUND);
    assert_int_equal(cn_cron_schedule_next(&schedule, INT64_C(253402300799), &at), FL_OK);
    assert_int_equal(cn_cron_schedule_next(&schedule, INT64_C(253402300800), &at),
                     FL_ERR_NOT_FOUND);
}

static void a_time_that_clocks_leave_out_does_not_come(void **state)
{
    static const struct run runs[] = {
        /* Berlin, 2026-03-29: 01:59:59 CET is followed by 03:00:00 CEST. */
        {BERLIN,
         "30 2 * * *",
         "2026-03-28 00:00:00",
         {"2026-03-28 01:30:00", "2026-03-30 00:30:00"}},
        {BERLIN, "30 2 29 3 *", "2026-03-01 00:00:00", {"2027-03-29 00:30:00"}},
        {BERLIN, "0 2 * * *", "2026-03-29 00:00:00", {"2026-03-30 00:00:00"}},
        {BERLIN,
         "0 * * * *",
         "2026-03-28 23:30:00",
         {"2026-03-29 00:00:00", "2026-03-29 01:00:00", "2026-03-29 02:00:00"}},
        {BERLIN,
         "*/30 1-3 * * *",
         "2026-03-29 00:00:00",
         {"2026-03-29 00:30:00", "2026-03-29 01:00:00", "2026-03-29 01:30:00",
          "2026-03-29 23:00:00"}},
        {BERLIN,
         "0 3 * * *",
         "2026-03-29 00:00:00",
         {"2026-03-29 01:00:00", "2026-03-30 01:00:00"}},
        /* New York, 2026-03-08: 02:00 to 03:00 EST. */
        {NEW_YORK,
         "30 2 * * *",
         "2026-03-07 00:00:00",
         {"2026-03-07 07:30:00", "2026-03-09 06:30:00"}},
        {NEW_YORK,
         "0 0 * * * ?",
         "2026-03-08 05:00:00",
         {"2026-03-08 06:00:00", "2026-03-08 07:00:00", "2026-03-08 08:00:00"}},
        /* Lord Howe, 2026-10-04: half an hour, 02:00 to 02:30. */
        {LORD_HOWE,
         "15 2 * * *",
         "2026-10-02 16:00:00",
         {"2026-10-04 15:15:00", "2026-10-05 15:15:00"}},
        {LORD_HOWE,
         "30 2 * * *",
         "2026-10-03 12:00:00",
         {"2026-10-03 15:30:00", "2026-10-04 15:30:00"}},
        {LORD_HOWE,
         "*/15 2 * * *",
         "2026-10-03 12:00:00",
         {"2026-10-03 15:30:00", "2026-10-03 15:45:00", "2026-10-04 15:00:00"}},
        /* A midnight that does not exist. */
        {MIDNIGHT, "30 0 * * *", "2026-10-17 12:00:00", {"2026-10-19 02:30:00"}},
        {MIDNIGHT, "@daily", "2026-10-17 02:59:59", {"2026-10-17 03:00:00", "2026-10-19 02:00:00"}},
        {MIDNIGHT, "0 9 18 * *", "2026-10-17 12:00:00", {"2026-10-18 11:00:00"}},
    };
    (void)state;
    EXPECT(runs);
}

static void a_time_that_clocks_repeat_comes_twice(void **state)
{
    static const struct run runs[] = {
        /* Berlin, 2026-10-25: 02:59:59 CEST is followed by 02:00:00 CET. */
        {BERLIN,
         "30 2 * * *",
         "2026-10-24 12:00:00",
         {"2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-10-26 01:30:00"}},
        {BERLIN,
         "0 * * * *",
         "2026-10-24 23:30:00",
         {"2026-10-25 00:00:00", "2026-10-25 01:00:00", "2026-10-25 02:00:00"}},
        {BERLIN,
         "59 59 2 * * *",
         "2026-10-25 00:59:58",
         {"2026-10-25 00:59:59", "2026-10-25 01:59:59", "2026-10-26 01:59:59"}},
        {BERLIN,
         "0 3 * * *",
         "2026-10-25 00:00:00",
         {"2026-10-25 02:00:00", "2026-10-26 02:00:00"}},
        /* New York, 2026-11-01: 01:00 to 02:00. */
        {NEW_YORK,
         "0 1 * * *",
         "2026-11-01 04:00:00",
         {"2026-11-01 05:00:00", "2026-11-01 06:00:00", "2026-11-02 06:00:00"}},
        {NEW_YORK,
         "0 2 * * *",
         "2026-11-01 04:00:00",
         {"2026-11-01 07:00:00", "2026-11-02 07:00:00"}},
        /* Lord Howe, 2026-04-05: half an hour, 01:30 to 02:00. */
        {LORD_HOWE,
         "45 1 * * *",
         "2026-04-04 12:00:00",
         {"2026-04-04 14:45:00", "2026-04-04 15:15:00", "2026-04-05 15:15:00"}},
        {LORD_HOWE,
         "15 1 * * *",
         "2026-04-04 12:00:00",
         {"2026-04-04 14:15:00", "2026-04-05 14:45:00"}},
        {LORD_HOWE,
         "0 2 * * *",
         "2026-04-04 12:00:00",
         {"2026-04-04 15:30:00", "2026-04-05 15:30:00"}},
        {MIDNIGHT,
         "30 23 * * *",
         "2026-02-14 12:00:00",
         {"2026-02-15 01:30:00", "2026-02-15 02:30:00", "2026-02-16 02:30:00"}},
        {MIDNIGHT, "@daily", "2026-02-14 12:00:00", {"2026-02-15 03:00:00", "2026-02-16 03:00:00"}},
    };
    (void)state;
    EXPECT(runs);
}

static void a_zone_without_changes_has_days_of_its_own(void **state)
{
    static const struct run runs[] = {
        {KOLKATA, "@daily", "2026-03-29 00:00:00", {"2026-03-29 18:30:00", "2026-03-30 18:30:00"}},
        {KOLKATA,
         "0 * * * *",
         "2026-03-29 00:00:00",
         {"2026-03-29 00:30:00", "2026-03-29 01:30:00"}},
        {KOLKATA, "15 14 * * *", "2026-01-03 07:39:03", {"2026-01-03 08:45:00"}},
    };
    (void)state;
    EXPECT(runs);
}

/* Whatever the schedule: what comes fits, is later, and nothing between fits. */
static void nothing_is_passed_over_around_a_change(void **state)
{
    static const char *const schedules[] = {"30 2 * * *", "*/20 1-3 * * *", "0 2 * * sun",
                                            "59 1,2 * * *"};
    struct cn_cron_zone *zone = zone_of(BERLIN);
    (void)state;
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        struct cn_cron_schedule schedule;
        parse(schedules[i], zone, &schedule);
        for (int64_t from = instant("2026-10-24 12:00:00"); from < instant("2026-10-26 12:00:00");
             from += 601) {
            int64_t at, again;
            assert_int_equal(cn_cron_schedule_next(&schedule, from, &at), FL_OK);
            assert_true(at > from);
            /* From anywhere before it, the same one is next. */
            assert_int_equal(cn_cron_schedule_next(&schedule, from + (at - from) / 2, &again),
                             FL_OK);
            assert_int_equal(again, at);
            assert_int_equal(cn_cron_schedule_next(&schedule, at - 1, &again), FL_OK);
            assert_int_equal(again, at);
        }
        cn_cron_schedule_fini(&schedule);
    }
    cn_cron_zone_free(&zone);
}

static void expect_zone_file(const char *name, const char *rule)
{
    char text[64];
    struct cn_cron_schedule schedule, same;
    struct cn_cron_zone *zone = zone_of(rule);
    snprintf(text, sizeof text, "TZ=%s 30 1,2 * * *", name);
    parse(text, NULL, &schedule);
    parse("30 1,2 * * *", zone, &same);
    int64_t at = instant("2026-01-01 00:00:00"), other = at;
    while (at < instant("2046-01-01 00:00:00")) {
        assert_int_equal(cn_cron_schedule_next(&schedule, at, &at), FL_OK);
        assert_int_equal(cn_cron_schedule_next(&same, other, &other), FL_OK);
        assert_int_equal(at, other);
    }
    cn_cron_schedule_fini(&schedule);
    cn_cron_schedule_fini(&same);
    cn_cron_zone_free(&zone);
}

static void zone_files_give_the_same_ticks_as_these_rules(void **state)
{
    (void)state;
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
        skip();
    expect_zone_file("Europe/Berlin", BERLIN);
    expect_zone_file("America/New_York", NEW_YORK);
    expect_zone_file("Australia/Lord_Howe", LORD_HOWE);
    expect_zone_file("Asia/Kolkata", KOLKATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_is_later_than_the_instant),
        cmocka_unit_test(it_goes_over_months_and_years),
        cmocka_unit_test(both_days_have_to_match_or_either),
        cmocka_unit_test(a_search_ends_with_the_fifth_year_after),
        cmocka_unit_test(an_instant_out_of_range_has_none),
        cmocka_unit_test(a_time_that_clocks_leave_out_does_not_come),
        cmocka_unit_test(a_time_that_clocks_repeat_comes_twice),
        cmocka_unit_test(a_zone_without_changes_has_days_of_its_own),
        cmocka_unit_test(nothing_is_passed_over_around_a_change),
        cmocka_unit_test(zone_files_give_the_same_ticks_as_these_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
