/* Waits between tries. Those with chance in them are drawn often and held against their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/retry.h"

enum { DRAWS = 200 };

static void constant_waits_until_it_is_spent(void **state)
{
    (void)state;
    struct config_retry retry = {.duration_ms = 50, .max_retries = 2};
    assert_int_equal(gw_retry_policy_wait_ms(&retry, 1, 0, 500), 50);
    assert_int_equal(gw_retry_policy_wait_ms(&retry, 2, 50, 500), 50);
    assert_int_equal(gw_retry_policy_wait_ms(&retry, 3, 100, 500), -1);
    retry.max_retries = 0;
    assert_int_equal(gw_retry_policy_wait_ms(&retry, 1, 0, 500), -1);
}

static void forever_never_ends(void **state)
{
    (void)state;
    struct config_retry retry = {.duration_ms = 1, .max_retries = -1};
    assert_int_equal(gw_retry_policy_wait_ms(&retry, UINT32_MAX, INT64_MAX / 2, 0), 1);
}

static void codes_that_do_not_match_end_it(void **state)
{
    (void)state;
    struct config_code_range ranges[] = {{429, 429}, {500, 503}};
    struct config_retry retry = {.duration_ms = 5,
                                 .max_retries = -1,
                                 .http_codes = {.items = ranges, .count = 2, .is_set = true}};
    static const struct {
        int status;
        int64_t wait;
    } cases[] = {{429, 5}, {500, 5}, {503, 5}, {504, -1}, {400, -1}, {0, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(gw_retry_policy_wait_ms(&retry, 1, 0, cases[i].status), cases[i].wait);
}

static void exponential_grows_to_its_bound(void **state)
{
    (void)state;
    struct config_retry retry = {
        .is_exponential = true, .max_interval_ms = 2000, .max_retries = -1};
    static const double bases[] = {500, 750, 1125, 1687.5, 2000, 2000};
    for (uint32_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        for (int n = 0; n < DRAWS; n++) {
            int64_t wait = gw_retry_policy_wait_ms(&retry, i + 1, 0, 0);
            assert_in_range(wait, (int64_t)(bases[i] * 0.5), (int64_t)(bases[i] * 1.5));
        }
    }
}

static void exponential_ends_after_a_quarter_of_an_hour(void **state)
{
    (void)state;
    struct config_retry retry = {
        .is_exponential = true, .max_interval_ms = 10000, .max_retries = -1};
    const int64_t most = 15 * 60 * 1000;
    for (int n = 0; n < DRAWS; n++) {
        assert_int_equal(gw_retry_policy_wait_ms(&retry, 100, most, 0), -1);
        assert_true(gw_retry_policy_wait_ms(&retry, 100, most - 15001, 0) > 0);
    }
}

static void the_house_doubles_to_a_minute(void **state)
{
    (void)state;
    static const int64_t bases[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (uint32_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        for (int n = 0; n < DRAWS; n++)
            assert_in_range(gw_retry_backoff_ms(i + 1), bases[i] * 8 / 10, bases[i] * 12 / 10);
    }
    assert_in_range(gw_retry_backoff_ms(UINT32_MAX), 48000, 72000);
    assert_in_range(gw_retry_backoff_ms(0), 800, 1200);
}

static void waits_at_least_a_millisecond(void **state)
{
    struct config_retry at_once = {.duration_ms = 0, .max_retries = CONFIG_RETRY_FOREVER};
    struct config_retry soon = {
        .is_exponential = true, .max_interval_ms = 0, .max_retries = CONFIG_RETRY_FOREVER};
    (void)state;
    assert_int_equal(gw_retry_policy_wait_ms(&at_once, 1, 0, 0), 1);
    assert_int_equal(gw_retry_policy_wait_ms(&soon, 1, 0, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_waits_until_it_is_spent),
        cmocka_unit_test(forever_never_ends),
        cmocka_unit_test(codes_that_do_not_match_end_it),
        cmocka_unit_test(exponential_grows_to_its_bound),
        cmocka_unit_test(exponential_ends_after_a_quarter_of_an_hour),
        cmocka_unit_test(the_house_doubles_to_a_minute),
        cmocka_unit_test(waits_at_least_a_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
