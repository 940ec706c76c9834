/* The event of a tick: an empty body and two pairs, in the forms that Dapr has. */
#include "connectors/cron/tick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/budget.h"

static void expect_text(int64_t wall_ns, const char *expected)
{
    char text[CN_CRON_TIME_TEXT];
    assert_string_equal(cn_cron_time_text(wall_ns, text), expected);
}

static void a_time_is_told_as_go_prints_it(void **state)
{
    (void)state;
    expect_text(0, "1970-01-01 00:00:00 +0000 UTC");
    expect_text(INT64_C(1767323045000000000), "2026-01-02 03:04:05 +0000 UTC");
    expect_text(INT64_C(1767323045678000000), "2026-01-02 03:04:05.678 +0000 UTC");
    expect_text(INT64_C(1767323045678901234), "2026-01-02 03:04:05.678901234 +0000 UTC");
    expect_text(INT64_C(1767323045000000100), "2026-01-02 03:04:05.0000001 +0000 UTC");
    expect_text(INT64_C(1767323045100000000), "2026-01-02 03:04:05.1 +0000 UTC");
}

static void an_event_has_no_body_and_two_pairs(void **state)
{
    struct fl_budget budget;
    struct ce_event *event;
    (void)state;
    fl_budget_init(&budget, 1 << 20);
    assert_int_equal(
        cn_cron_tick_new(FL_SLICE_LIT("Asia/Tokyo"), INT64_C(1767323045000000000), &budget, &event),
        FL_OK);
    assert_int_equal(event->body.len, 0);
    assert_true(fl_slice_is_null(event->content_type));
    assert_int_equal(event->metadata_count, 2);
    assert_true(fl_slice_eq_str(event->metadata[0].key, "timeZone"));
    assert_true(fl_slice_eq_str(event->metadata[0].value, "Asia/Tokyo"));
    assert_true(fl_slice_eq_str(event->metadata[1].key, "readTimeUTC"));
    assert_true(fl_slice_eq_str(event->metadata[1].value, "2026-01-02 03:04:05 +0000 UTC"));
    ce_event_release(&event);
    assert_int_equal(budget.used_bytes, 0);
}

static void without_memory_there_is_no_event(void **state)
{
    struct ce_event *event = NULL;
    (void)state;
    fl_alloc_fail_at(1);
    assert_int_equal(cn_cron_tick_new(FL_SLICE_LIT("UTC"), 0, NULL, &event), FL_ERR_NO_MEMORY);
    fl_alloc_fail_at(0);
    assert_null(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_told_as_go_prints_it),
        cmocka_unit_test(an_event_has_no_body_and_two_pairs),
        cmocka_unit_test(without_memory_there_is_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
