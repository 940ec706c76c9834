/* Sizes, durations, truths and integers, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/quantity.h"

struct number_case {
    const char *text;
    enum fl_err err;
    int64_t value;
};

#define S INT64_C(1000000000)
#define MS INT64_C(1000000)

static void parses_quantities(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        {"0", FL_OK, 0},
        {"4Mi", FL_OK, 4194304},
        {"16M", FL_OK, 16000000},
        {"1Gi", FL_OK, 1073741824},
        {"1k", FL_OK, 1000},
        {"1Ki", FL_OK, 1024},
        {"1.5Ki", FL_OK, 1536},
        {"1.5", FL_OK, 2},
        {"-1", FL_OK, -1},
        {"-1.5", FL_OK, -2},
        {"+7", FL_OK, 7},
        {"100m", FL_OK, 1},
        {"1n", FL_OK, 1},
        {"0m", FL_OK, 0},
        {"1e3", FL_OK, 1000},
        {"1E", FL_OK, 1000000000000000000},
        {"1E3", FL_OK, 1000},
        {"12e-1", FL_OK, 2},
        {".5Ki", FL_OK, 512},
        {"7Ei", FL_OK, 8070450532247928832},
        {"9223372036854775807", FL_OK, INT64_MAX},
        {"9223372036854775808", FL_ERR_TOO_LARGE, 0},
        {"8Ei", FL_ERR_TOO_LARGE, 0},
        {"1e99", FL_ERR_TOO_LARGE, 0},
        {"99999999999999999999999999999999999999999999", FL_ERR_TOO_LARGE, 0},
        {"", FL_ERR_INVALID, 0},
        {"huge", FL_ERR_INVALID, 0},
        {"4MB", FL_ERR_INVALID, 0},
        {"4 Mi", FL_ERR_INVALID, 0},
        {"4mi", FL_ERR_INVALID, 0},
        {"1.2.3", FL_ERR_INVALID, 0},
        {".", FL_ERR_INVALID, 0},
        {"-", FL_ERR_INVALID, 0},
        {"1e", FL_ERR_INVALID, 0},
        {"1e+", FL_ERR_INVALID, 0},
        {"1e1234", FL_ERR_INVALID, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = -77;
        assert_int_equal(config_parse_quantity(fl_slice_str(cases[i].text), &value), cases[i].err);
        assert_int_equal(value, cases[i].err == FL_OK ? cases[i].value : -77);
    }
}

struct duration_case {
    const char *text;
    enum config_bare bare;
    enum fl_err err;
    int64_t ns;
};

static void parses_durations(void **state)
{
    (void)state;
    static const struct duration_case cases[] = {
        {"5s", CONFIG_BARE_REFUSED, FL_OK, 5 * S},
        {"1h30m", CONFIG_BARE_REFUSED, FL_OK, 5400 * S},
        {"1.5s", CONFIG_BARE_REFUSED, FL_OK, 1500 * MS},
        {"-3ms", CONFIG_BARE_REFUSED, FL_OK, -3 * MS},
        {"+3ms", CONFIG_BARE_REFUSED, FL_OK, 3 * MS},
        {"0", CONFIG_BARE_REFUSED, FL_OK, 0},
        {"-0", CONFIG_BARE_REFUSED, FL_OK, 0},
        {"1us", CONFIG_BARE_REFUSED, FL_OK, 1000},
        {"1\xc2\xb5s", CONFIG_BARE_REFUSED, FL_OK, 1000},
        {"1\xce\xbcs", CONFIG_BARE_REFUSED, FL_OK, 1000},
        {".5s", CONFIG_BARE_REFUSED, FL_OK, 500 * MS},
        {"1.0000000001s", CONFIG_BARE_REFUSED, FL_OK, S},
        {"10", CONFIG_BARE_MS, FL_OK, 10 * MS},
        {"10", CONFIG_BARE_S, FL_OK, 10 * S},
        {"-10", CONFIG_BARE_S, FL_OK, -10 * S},
        {"10s", CONFIG_BARE_MS, FL_OK, 10 * S},
        {"10", CONFIG_BARE_REFUSED, FL_ERR_INVALID, 0},
        {"", CONFIG_BARE_MS, FL_ERR_INVALID, 0},
        {"soon", CONFIG_BARE_MS, FL_ERR_INVALID, 0},
        {"5d", CONFIG_BARE_MS, FL_ERR_INVALID, 0},
        {"5 s", CONFIG_BARE_MS, FL_ERR_INVALID, 0},
        {"1.5", CONFIG_BARE_MS, FL_ERR_INVALID, 0},
        {"s", CONFIG_BARE_MS, FL_ERR_INVALID, 0},
        {"1h2", CONFIG_BARE_MS, FL_ERR_INVALID, 0},
        {"99999999h", CONFIG_BARE_MS, FL_ERR_TOO_LARGE, 0},
        {"9999999999999999999", CONFIG_BARE_S, FL_ERR_TOO_LARGE, 0},
        {"9999999999999999", CONFIG_BARE_S, FL_ERR_TOO_LARGE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -77;
        assert_int_equal(config_parse_duration(fl_slice_str(cases[i].text), cases[i].bare, &ns),
                         cases[i].err);
        assert_int_equal(ns, cases[i].err == FL_OK ? cases[i].ns : -77);
    }
}

static void rounds_durations_away_from_zero(void **state)
{
    (void)state;
    assert_int_equal(config_ns_to_ms(1), 1);
    assert_int_equal(config_ns_to_ms(0), 0);
    assert_int_equal(config_ns_to_ms(-1), -1);
    assert_int_equal(config_ns_to_ms(5 * S), 5000);
}

static void formats_durations_as_go_does(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0s"},           {1, "1ns"},           {1100, "1.1\xc2\xb5s"},
        {500 * MS, "500ms"}, {1500 * MS, "1.5s"},  {60 * S, "1m0s"},
        {180 * S, "3m0s"},   {3661 * S, "1h1m1s"}, {-2 * S, "-2s"},
        {2200000, "2.2ms"},  {7200 * S, "2h0m0s"}, {INT64_MIN, "-2562047h47m16.854775808s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[CONFIG_DURATION_TEXT];
        assert_string_equal(config_format_duration(cases[i].ns, text), cases[i].text);
    }
}

static void parses_truths(void **state)
{
    (void)state;
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    static const char *const neither[] = {"", "yes", "maybe", "tRUE", " true"};
    bool value = false;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(config_parse_bool(fl_slice_str(yes[i]), &value), FL_OK);
        assert_true(value);
        assert_int_equal(config_parse_bool(fl_slice_str(no[i]), &value), FL_OK);
        assert_false(value);
    }
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(config_parse_bool(fl_slice_str(neither[i]), &value), FL_ERR_INVALID);
    assert_true(config_is_truthy(FL_SLICE_LIT(" YES ")));
    assert_true(config_is_truthy(FL_SLICE_LIT("on")));
    assert_true(config_is_truthy(FL_SLICE_LIT("y")));
    assert_false(config_is_truthy(FL_SLICE_LIT("2")));
    assert_false(config_is_truthy(FL_SLICE_NULL));
}

static void parses_integers(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        {"7", FL_OK, 7},
        {"-7", FL_OK, -7},
        {"0x10", FL_OK, 16},
        {"010", FL_OK, 8},
        {"0o17", FL_OK, 15},
        {"0b101", FL_OK, 5},
        {"1_000", FL_OK, 1000},
        {"0x_f", FL_OK, 15},
        {"0", FL_OK, 0},
        {"-9223372036854775808", FL_OK, INT64_MIN},
        {"9223372036854775808", FL_ERR_TOO_LARGE, 0},
        {"", FL_ERR_INVALID, 0},
        {"_1", FL_ERR_INVALID, 0},
        {"1_", FL_ERR_INVALID, 0},
        {"1__0", FL_ERR_INVALID, 0},
        {"09", FL_ERR_INVALID, 0},
        {"0x", FL_ERR_INVALID, 0},
        {"x", FL_ERR_INVALID, 0},
        {"1.5", FL_ERR_INVALID, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = -77;
        assert_int_equal(config_parse_int_any(fl_slice_str(cases[i].text), &value), cases[i].err);
        assert_int_equal(value, cases[i].err == FL_OK ? cases[i].value : -77);
    }
    int64_t value;
    uint16_t port;
    assert_int_equal(config_parse_int(FL_SLICE_LIT("010"), &value), FL_OK);
    assert_int_equal(value, 10);
    assert_int_equal(config_parse_port(FL_SLICE_LIT("65535"), &port), FL_OK);
    assert_int_equal(config_parse_port(FL_SLICE_LIT("65536"), &port), FL_ERR_TOO_LARGE);
    assert_int_equal(config_parse_port(FL_SLICE_LIT("-1"), &port), FL_ERR_TOO_LARGE);
    assert_int_equal(config_parse_port(FL_SLICE_LIT("abc"), &port), FL_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_quantities),
        cmocka_unit_test(parses_durations),
        cmocka_unit_test(rounds_durations_away_from_zero),
        cmocka_unit_test(formats_durations_as_go_does),
        cmocka_unit_test(parses_truths),
        cmocka_unit_test(parses_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
