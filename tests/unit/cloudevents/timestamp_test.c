/* Times: what RFC 3339 and Go's reader take, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cloudevents/timestamp.h"

static void reads_by_both_rules(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_rfc, is_go;
        int64_t seconds;
        int32_t nanoseconds;
    } cases[] = {
        {"1970-01-01T00:00:00Z", true, true, 0, 0},
        {"2018-04-05T17:31:00Z", true, true, 1522949460, 0},
        {"2018-04-05T17:31:00.123456789Z", true, true, 1522949460, 123456789},
        {"2018-04-05T17:31:00.1234567899Z", true, true, 1522949460, 123456789},
        {"2018-04-05T17:31:00.5+02:00", true, true, 1522942260, 500000000},
        {"2018-04-05T17:31:00-00:00", true, true, 1522949460, 0},
        {"2018-04-05t17:31:00z", true, false, 1522949460, 0},
        {"2016-12-31T23:59:60Z", true, false, 1483228800, 0},
        {"2018-04-05T17:31:00,5Z", false, true, 1522949460, 500000000},
        {"2018-04-05T7:31:00Z", false, true, 1522913460, 0},
        {"2018-04-05T17:31:00+24:60", false, true, 1522859460, 0},
        {"0000-03-01T00:00:00Z", true, true, -62162035200, 0},
        {"9999-12-31T23:59:59Z", true, true, 253402300799, 0},
        {"2000-02-29T00:00:00Z", true, true, 951782400, 0},
        {"1900-02-29T00:00:00Z", false, false, 0, 0},
        {"2018-04-05", false, false, 0, 0},
        {"2018-04-05T17:31:00", false, false, 0, 0},
        {"2018-13-01T00:00:00Z", false, false, 0, 0},
        {"2018-02-30T00:00:00Z", false, false, 0, 0},
        {"2018-04-05T24:00:00Z", false, false, 0, 0},
        {"2018-04-05 17:31:00Z", false, false, 0, 0},
        {"2018-04-05T17:31:00.Z", false, false, 0, 0},
        {"2018-04-05T17:31:00Zx", false, false, 0, 0},
        {"2018-04-05T17:31:00+2:00", false, false, 0, 0},
        {"", false, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_slice text = fl_slice_str(cases[i].text);
        struct ce_timestamp time;
        assert_int_equal(ce_timestamp_parse(text, &time), cases[i].is_rfc);
        if (cases[i].is_rfc)
            assert_true(time.seconds == cases[i].seconds &&
                        time.nanoseconds == cases[i].nanoseconds);
        assert_int_equal(ce_timestamp_parse_go(text, &time), cases[i].is_go);
        if (cases[i].is_go)
            assert_true(time.seconds == cases[i].seconds &&
                        time.nanoseconds == cases[i].nanoseconds);
    }
}

static void writes_now_in_the_local_zone(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"UTC", "2026-01-01T00:00:00Z"},
                                           {"Asia/Tokyo", "2026-01-01T09:00:00+09:00"},
                                           {"XXX3:30", "2025-12-31T20:30:00-03:30"}};
    for (size_t i = 0; i < 3; i++) {
        setenv("TZ", cases[i][0], 1);
        tzset();
        fl_clock_fake(1767225600999999999 + (int64_t)i);
        /* The text is worked out once a second: another second first. */
        fl_clock_fake(1);
        (void)ce_time_now();
        fl_clock_fake(1767225600999999999);
        assert_true(fl_slice_eq_str(ce_time_now(), cases[i][1]));
    }
    fl_clock_fake_advance(1000);
    assert_true(fl_slice_eq_str(ce_time_now(), "2025-12-31T20:30:01-03:30"));
    fl_clock_real();
    unsetenv("TZ");
}

static void writes_utc(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00Z"},
                 {1522949460, "2018-04-05T17:31:00Z"},
                 {INT64_MAX, "9999-12-31T23:59:59Z"},
                 {INT64_MIN, "0000-01-01T00:00:00Z"}};
    for (size_t i = 0; i < 4; i++) {
        char text[CE_TIME_MAX + 1];
        text[ce_time_format_utc(cases[i].seconds, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

static void nanoseconds_stay_in_range(void **state)
{
    (void)state;
    assert_int_equal(ce_timestamp_ns((struct ce_timestamp){1, 5}), 1000000005);
    assert_int_equal(ce_timestamp_ns((struct ce_timestamp){253402300799, 0}), INT64_MAX);
    assert_int_equal(ce_timestamp_ns((struct ce_timestamp){-62135596800, 0}), INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_by_both_rules),
        cmocka_unit_test(writes_now_in_the_local_zone),
        cmocka_unit_test(writes_utc),
        cmocka_unit_test(nanoseconds_stay_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
