/* Intervals of ISO 8601: which are taken for what, and which are refused with what. */
#include "connectors/cron/interval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

static void intervals_are_sums_of_their_parts(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
        uint64_t repetitions;
    } cases[] = {
        {"PT10S", 10 * S, 0},
        {"PT1M30S", 90 * S, 0},
        {"PT15M", 900 * S, 0},
        {"PT1H1M1S", 3661 * S, 0},
        {"P1D", 86400 * S, 0},
        {"P1W", 604800 * S, 0},
        {"P1W1DT1H", 694800 * S, 0},
        {"P1DT12H", 129600 * S, 0},
        {"PT0.5S", S / 2, 0},
        {"PT0,25S", S / 4, 0},
        {"PT1.000000001S", S + 1, 0},
        {"PT1.0000000019S", S + 1, 0},
        {"PT90M", 5400 * S, 0},
        {"PT007S", 7 * S, 0},
        {"P0DT5S", 5 * S, 0},
        {"R5/PT10S", 10 * S, 5},
        {"R1/PT1S", S, 1},
        {"R/PT1M", 60 * S, 0},
        {"R-1/PT1M", 60 * S, 0},
        {"R18446744073709551615/PT1S", S, UINT64_MAX},
        {"PT9223372036S", INT64_C(9223372036) * S, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -1;
        uint64_t repetitions = 99;
        struct fl_error error;
        if (cn_cron_interval_parse(fl_slice_str(cases[i].text), &ns, &repetitions, &error) != FL_OK)
            fail_msg("%s: %s", cases[i].text, error.text);
        if (ns != cases[i].ns || repetitions != cases[i].repetitions)
            fail_msg("%s: %lld ns", cases[i].text, (long long)ns);
    }
}

static void others_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "begins with P"},
        {"P", "begins with P"},
        {"PT", "begins with P"},
        {"P1DT", "begins with P"},
        {"10S", "begins with P"},
        {"pt10s", "begins with P"},
        {"P1Y", "no fixed length"},
        {"P1M", "no fixed length"},
        {"P1M1D", "no fixed length"},
        {"PT", "begins with P"},
        {"PTS", "a number is missing"},
        {"PT-5S", "a number is missing"},
        {"PT.5S", "a number is missing"},
        {"PTT5S", "a number is missing"},
        {"PT5", "the letter behind the last number"},
        {"P5", "the letter behind the last number"},
        {"PT5D", "unknown, out of order"},
        {"P5H", "unknown, out of order"},
        {"PT1S1M", "unknown, out of order"},
        {"PT1M1M", "unknown, out of order"},
        {"P1D1W", "unknown, out of order"},
        {"PT5s", "unknown, out of order"},
        {"PT5S ", "a number is missing"},
        {"PT0.5M", "only seconds"},
        {"P0.5D", "only seconds"},
        {"PT1.S", "a fraction has no digits"},
        {"PT0S", "no length"},
        {"P0W", "no length"},
        {"R0/PT1S", "no event at all"},
        {"R5", "a slash and a duration"},
        {"R5PT1S", "a slash and a duration"},
        {"R5/", "begins with P"},
        {"Rx/PT1S", "no number of events"},
        {"R-2/PT1S", "no number of events"},
        {"R5/2026-01-01T00:00:00Z/PT1S", "begins or ends at a date"},
        {"R5/PT1S/2026-01-01T00:00:00Z", "begins or ends at a date"},
        {"PT99999999999999999999S", "a number is too large"},
        {"PT9223372037S", "292 years"},
        {"P15251W", "292 years"},
        {"P15250WT200H", "292 years"},
        {"PT9223372036.9S", "292 years"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -1;
        uint64_t repetitions = 99;
        struct fl_error error = {0};
        enum fl_err err =
            cn_cron_interval_parse(fl_slice_str(cases[i].text), &ns, &repetitions, &error);
        if (err != FL_ERR_INVALID || !strstr(error.text, cases[i].words))
            fail_msg("\"%s\": %s: %s", cases[i].text, fl_err_name(err), error.text);
        assert_non_null(strstr(error.text, "accepted is such as PT1M30S"));
        assert_int_equal(ns, -1);
        assert_int_equal(repetitions, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_are_sums_of_their_parts),
        cmocka_unit_test(others_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
