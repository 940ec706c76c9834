/* What `schedule` may say: forms, fields, zones, and the words of what is refused. */
#include "connectors/cron/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "connectors/cron/fields.h"
#include "connectors/cron/zone.h"

static struct cn_cron_schedule parse(const char *text)
{
    struct cn_cron_schedule schedule;
    struct fl_error error;
    if (cn_cron_schedule_parse(fl_slice_str(text), NULL, &schedule, &error) != FL_OK)
        fail_msg("\"%s\": %s", text, error.text);
    return schedule;
}

static void expect_same(const char *text, const char *other)
{
    struct cn_cron_schedule a = parse(text), b = parse(other);
    for (int i = 0; i < CN_CRON_FIELDS; i++) {
        if (a.sets[i] != b.sets[i])
            fail_msg("\"%s\" and \"%s\" differ in field %d", text, other, i);
    }
    assert_int_equal(a.is_either_day, b.is_either_day);
    assert_int_equal(a.interval_ns, b.interval_ns);
    cn_cron_schedule_fini(&a);
    cn_cron_schedule_fini(&b);
}

static void five_fields_begin_with_the_minute(void **state)
{
    (void)state;
    expect_same("30 4 1 2 3", "0 30 4 1 2 3");
    expect_same(" 30\t4  1 2 3\n", "0 30 4 1 2 3");
}

static void descriptors_stand_for_fields(void **state)
{
    (void)state;
    expect_same("@yearly", "0 0 0 1 1 *");
    expect_same("@annually", "0 0 0 1 1 *");
    expect_same("@monthly", "0 0 0 1 * *");
    expect_same("@weekly", "0 0 0 * * 0");
    expect_same("@daily", "0 0 0 * * *");
    expect_same("@midnight", "0 0 0 * * *");
    expect_same("@hourly", "0 0 * * * *");
    expect_same(" @hourly ", "@hourly");
}

static uint64_t bits(int from, int until, int step)
{
    uint64_t set = 0;
    for (int i = from; i <= until; i += step)
        set |= UINT64_C(1) << i;
    return set;
}

static void fields_are_sets(void **state)
{
    const struct {
        enum cn_cron_field field;
        const char *text;
        uint64_t set;
        bool has_star;
    } cases[] = {
        {CN_CRON_SECOND, "*", bits(0, 59, 1), true},
        {CN_CRON_MINUTE, "?", bits(0, 59, 1), true},
        {CN_CRON_HOUR, "*/1", bits(0, 23, 1), true},
        {CN_CRON_HOUR, "*/5", bits(0, 23, 5), false},
        {CN_CRON_DAY, "*", bits(1, 31, 1), true},
        {CN_CRON_DAY, "*/10", bits(1, 31, 10), false},
        {CN_CRON_MONTH, "*", bits(1, 12, 1), true},
        {CN_CRON_WEEKDAY, "*", bits(0, 6, 1), true},
        {CN_CRON_MINUTE, "7", bits(7, 7, 1), false},
        {CN_CRON_MINUTE, "007", bits(7, 7, 1), false},
        {CN_CRON_MINUTE, "59", bits(59, 59, 1), false},
        {CN_CRON_MINUTE, "5/20", bits(5, 59, 20), false},
        {CN_CRON_MINUTE, "5/1", bits(5, 59, 1), false},
        {CN_CRON_MINUTE, "5/99", bits(5, 5, 1), false},
        {CN_CRON_MINUTE, "*/99999999", bits(0, 0, 1), false},
        {CN_CRON_MINUTE, "10-20", bits(10, 20, 1), false},
        {CN_CRON_MINUTE, "10-10", bits(10, 10, 1), false},
        {CN_CRON_MINUTE, "10-20/4", bits(10, 20, 4), false},
        {CN_CRON_MINUTE, "1,3,10-12,40/10", bits(1, 3, 2) | bits(10, 12, 1) | bits(40, 59, 10),
         false},
        {CN_CRON_MINUTE, "1,*", bits(0, 59, 1), true},
        {CN_CRON_MINUTE, "1,,2,", bits(1, 2, 1), false},
        {CN_CRON_MONTH, "jan-MAR", bits(1, 3, 1), false},
        {CN_CRON_MONTH, "Dec", bits(12, 12, 1), false},
        {CN_CRON_MONTH, "feb/5", bits(2, 12, 5), false},
        {CN_CRON_WEEKDAY, "sun", bits(0, 0, 1), false},
        {CN_CRON_WEEKDAY, "MON-fri", bits(1, 5, 1), false},
        {CN_CRON_WEEKDAY, "Sat,0", bits(0, 6, 6), false},
        {CN_CRON_WEEKDAY, "1-sat", bits(1, 6, 1), false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t set;
        bool has_star;
        struct fl_error error;
        if (cn_cron_field_parse(fl_slice_str(cases[i].text), cases[i].field, &set, &has_star,
                                &error) != FL_OK)
            fail_msg("\"%s\": %s", cases[i].text, error.text);
        if (set != cases[i].set || has_star != cases[i].has_star)
            fail_msg("\"%s\" is %llx", cases[i].text, (unsigned long long)set);
    }
}

static void two_restricted_days_are_alternatives(void **state)
{
    (void)state;
    assert_true(parse("0 0 1 * mon").is_either_day);
    assert_true(parse("0 0 */2 * mon").is_either_day);
    assert_false(parse("0 0 1 * *").is_either_day);
    assert_false(parse("0 0 * * mon").is_either_day);
    assert_false(parse("0 0 ? * mon").is_either_day);
    assert_false(parse("0 0 */1 * mon").is_either_day);
}

static void intervals_have_no_fields(void **state)
{
    (void)state;
    assert_int_equal(parse("@every 1m30s").interval_ns, INT64_C(90000000000));
    assert_int_equal(parse("@every  1.5s ").interval_ns, INT64_C(1500000000));
    assert_int_equal(parse("@every 1ms").interval_ns, 1000000);
    assert_int_equal(parse("R5/PT10S").interval_ns, INT64_C(10000000000));
    assert_int_equal(parse("R5/PT10S").repetitions, 5);
    assert_int_equal(parse("@every 1h").repetitions, 0);
}

static void nothing_is_shorter_than_the_shortest_interval(void **state)
{
    static const char *const texts[] = {"@every 0s", "@every 0", "@every 1us", "PT0.0009S"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cn_cron_schedule schedule = parse(texts[i]);
        assert_int_equal(schedule.interval_ns, CN_CRON_SHORTEST_NS);
        assert_true(schedule.is_lengthened);
    }
    assert_false(parse("@every 1ms").is_lengthened);
}

/* --- zones --- */

static int32_t offset_in_june(const char *text, const struct cn_cron_zone *local)
{
    struct cn_cron_schedule schedule;
    struct fl_error error;
    int64_t until;
    if (cn_cron_schedule_parse(fl_slice_str(text), local, &schedule, &error) != FL_OK)
        fail_msg("\"%s\": %s", text, error.text);
    int32_t offset = cn_cron_zone_offset(schedule.zone, INT64_C(1750000000), &until);
    cn_cron_schedule_fini(&schedule);
    return offset;
}

static void a_zone_stands_before_the_rest(void **state)
{
    struct cn_cron_zone *india = NULL;
    struct fl_error error;
    (void)state;
    assert_int_equal(cn_cron_zone_of_rule(FL_SLICE_LIT("IST-5:30"), &india, &error), FL_OK);
    assert_int_equal(offset_in_june("0 0 * * *", india), 19800);
    assert_int_equal(offset_in_june("TZ=Local 0 0 * * *", india), 19800);
    assert_int_equal(offset_in_june("TZ=UTC 0 0 * * *", india), 0);
    assert_int_equal(offset_in_june("TZ= 0 0 * * *", india), 0);
    assert_int_equal(offset_in_june("CRON_TZ=UTC @daily", india), 0);
    assert_int_equal(offset_in_june("TZ=UTC @every 1s", india), 0);
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0) {
        assert_int_equal(offset_in_june("TZ=Europe/Berlin 0 0 * * *", india), 7200);
        assert_int_equal(offset_in_june(" CRON_TZ=Europe/Berlin\t@daily", india), 7200);
    }
    cn_cron_zone_free(&india);
}

/* --- what is refused --- */

static void others_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "it is empty; accepted are"},
        {"  ", "it is empty; accepted are"},
        {"sometimes", "it has 1 field; accepted are"},
        {"* * *", "it has 3 fields"},
        {"* * * * * * *", "it has 7 fields"},
        {"99 * * * *", "minute: found \"99\", which is out of range; accepted are 0 to 59"},
        {"60 0 * * * *", "second: found \"60\", which is out of range; accepted are 0 to 59"},
        {"0 24 * * *", "hour: found \"24\", which is out of range; accepted are 0 to 23"},
        {"0 0 0 * *", "day: found \"0\", which is out of range; accepted are 1 to 31"},
        {"0 0 * 13 *", "month: found \"13\", which is out of range; accepted are 1 to 12 or jan"},
        {"0 0 * * 7", "weekday: found \"7\", which is out of range; accepted are 0 to 6"},
        {"0 0 * * 7", "Sunday is 0 and never 7"},
        {"*/0 * * * *", "minute: found the step \"0\""},
        {"5/ * * * *", "minute: found the step \"\""},
        {"5/x * * * *", "minute: found the step \"x\""},
        {"5/1/1 * * * *", "minute: found the step \"1/1\""},
        {"/5 * * * *", "minute: found \"\", which is no number"},
        {"*-5 * * * *", "minute: found \"*\", which is no number"},
        {"1-2-3 * * * *", "minute: found \"2-3\", which is no number"},
        {"5- * * * *", "minute: found \"\", which is no number"},
        {"-5 * * * *", "minute: found \"\", which is no number"},
        {"+5 * * * *", "minute: found \"+5\", which is no number"},
        {"jan * * * *", "minute: found \"jan\", which is no number"},
        {"* * * january *", "month: found \"january\", which is no number"},
        {"20-10 * * * *", "minute: found \"20-10\", which ends before it begins"},
        {"0 0 * * fri-mon", "weekday: found \"fri-mon\", which ends before it begins"},
        {", * * * *", "minute: found \",\", which names no value"},
        {"1,x * * * *", "minute: found \"x\", which is no number"},
        {"18446744073709551616 * * * *", "which is no number"},
        {"@nightly", "\"@nightly\" is unknown"},
        {"@Daily", "\"@Daily\" is unknown (did you mean @daily?)"},
        {"@houlry", "(did you mean @hourly?)"},
        {"@daily 5", "\"@daily 5\" is unknown"},
        {"@", "\"@\" is unknown; accepted are"},
        {"@every", "@every: found \"\"; accepted is a duration"},
        {"@every x", "@every: found \"x\""},
        {"@every 5", "@every: found \"5\""},
        {"@every -5s", "@every: found \"-5s\""},
        {"@every 1h 5m", "@every: found \"1h 5m\""},
        {"P1M", "no fixed length"},
        {"TZ=UTC", "it is empty; accepted are"},
        {"TZ=Nowhere/X 0 0 * * *", "there is no time zone \"Nowhere/X\""},
        {"TZ=../UTC 0 0 * * *", "\"../UTC\" is no name of a time zone"},
        {"CRON_TZ=/etc/localtime 0 0 * * *", "\"/etc/localtime\" is no name of a time zone"},
        {"TZ=UTC x", "it has 1 field"},
        {"tz=UTC 0 0 * * *", "second: found \"tz=UTC\""},
        {"0 0 * * * TZ=UTC", "weekday: found \"TZ=UTC\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cn_cron_schedule schedule = {.interval_ns = 77};
        struct fl_error error = {0};
        enum fl_err err =
            cn_cron_schedule_parse(fl_slice_str(cases[i].text), NULL, &schedule, &error);
        if (err == FL_OK || !strstr(error.text, cases[i].words))
            fail_msg("\"%s\": %s: %s", cases[i].text, fl_err_name(err), error.text);
        assert_int_equal(schedule.interval_ns, 77);
    }
}

static void the_longest_text_has_a_bound(void **state)
{
    char text[CN_CRON_SCHEDULE_MAX + 2];
    struct cn_cron_schedule schedule;
    struct fl_error error;
    (void)state;
    memset(text, ' ', sizeof text);
    memcpy(text, "@daily", 6);
    assert_int_equal(
        cn_cron_schedule_parse(fl_slice_of(text, CN_CRON_SCHEDULE_MAX), NULL, &schedule, &error),
        FL_OK);
    assert_int_equal(cn_cron_schedule_parse(fl_slice_of(text, CN_CRON_SCHEDULE_MAX + 1), NULL,
                                            &schedule, &error),
                     FL_ERR_TOO_LARGE);
    assert_non_null(strstr(error.text, "it has 1025 bytes; accepted are 1024 at most"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_fields_begin_with_the_minute),
        cmocka_unit_test(descriptors_stand_for_fields),
        cmocka_unit_test(fields_are_sets),
        cmocka_unit_test(two_restricted_days_are_alternatives),
        cmocka_unit_test(intervals_have_no_fields),
        cmocka_unit_test(nothing_is_shorter_than_the_shortest_interval),
        cmocka_unit_test(a_zone_stands_before_the_rest),
        cmocka_unit_test(others_are_refused_with_a_reason),
        cmocka_unit_test(the_longest_text_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
