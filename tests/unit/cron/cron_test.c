/* bindings.cron as a gateway sees it: what is accepted, what events tell, what is counted, and the
 * end. Time is real here; nothing is judged by how quickly it came. Clocks that jump are the matter
 * of ticker_test.c.
 */
#include "connectors/cron/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/values.h"
#include "tests/conformance/fake_gateway.c"

enum { PATIENCE_MS = 20000, QUIET_MS = 20 };
enum { TICKS, SKIPPED, COUNTERS };

#define WIDE_BYTES ((size_t)1 << 20)

static struct fake_gateway *open_with(const char *schedule, struct fl_error *error)
{
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("schedule"), .value = fl_slice_str(schedule)}};
    return fake_gateway_new(&cn_cron_type, values, schedule ? 1 : 0, PATIENCE_MS, QUIET_MS, error);
}

static struct fake_gateway *open_fine(const char *schedule)
{
    struct fl_error error = {0};
    struct fake_gateway *fake = open_with(schedule, &error);
    if (!fake)
        fail_msg("%s: %s", schedule, error.text);
    return fake;
}

static void end(struct fake_gateway *fake)
{
    char complaint[256];
    fake_gateway_free(&fake, complaint, sizeof complaint);
    assert_string_equal(complaint, "");
}

static struct fake_subscription *subscribe(struct fake_gateway *fake)
{
    struct fake_subscription *subscription =
        fake_subscribe(fake, FL_SLICE_NULL, NULL, CONNECTOR_MODE_COMPETE);
    assert_true(fake_wait_subscribed(subscription));
    return subscription;
}

/* Reads with this window until it is full. */
static struct fake_subscription *read_full(struct fake_gateway *fake, uint32_t window)
{
    struct fake_subscription *subscription = subscribe(fake);
    fake_window(subscription, window, WIDE_BYTES);
    assert_true(fake_wait_deliveries(subscription, window));
    return subscription;
}

static uint64_t counted(struct fake_gateway *fake, int which)
{
    uint64_t values[COUNTERS];
    fake->connector->type->read_counters(fake->connector, values);
    return values[which];
}

static void what_cannot_be_is_refused_before_anything_is_opened(void **state)
{
    static const struct {
        const char *schedule, *words;
    } cases[] = {
        {NULL, "schedule"},
        {"", "schedule"},
        {"sometimes", "schedule: found \"sometimes\": it has 1 field"},
        {"99 * * * *", "schedule: found \"99 * * * *\": minute: found \"99\""},
        {"TZ=Nowhere/X @daily", "there is no time zone \"Nowhere/X\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_error error = {0};
        assert_null(open_with(cases[i].schedule, &error));
        if (!strstr(error.text, cases[i].words))
            fail_msg("%s", error.text);
    }
}

static void it_only_brings_events(void **state)
{
    (void)state;
    assert_null(cn_cron_type.operations);
    assert_null(cn_cron_type.invoke);
    assert_null(cn_cron_type.publish);
    assert_non_null(cn_cron_type.subscribe);
}

static struct fl_slice metadata_of(const struct fake_delivery *delivery, const char *key)
{
    const struct ce_event *event = delivery->what.event;
    for (size_t i = 0; i < event->metadata_count; i++) {
        if (fl_slice_eq_str(event->metadata[i].key, key))
            return event->metadata[i].value;
    }
    return FL_SLICE_NULL;
}

/* `tz` as the environment has it; NULL: unset. */
static void expect_time_zone(const char *tz, const char *schedule, const char *expected)
{
    if (tz)
        setenv("TZ", tz, 1);
    else
        unsetenv("TZ");
    struct fake_gateway *fake = open_fine(schedule);
    struct fake_subscription *subscription = read_full(fake, 1);
    struct fl_slice told = metadata_of(subscription->deliveries[0], "timeZone");
    if (!fl_slice_eq_str(told, expected))
        fail_msg("TZ=%s: %.*s", tz ? tz : "(unset)", FL_SLICE_ARG(told));
    assert_int_equal(subscription->deliveries[0]->what.event->body.len, 0);
    assert_true(metadata_of(subscription->deliveries[0], "readTimeUTC").len > 0);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    end(fake);
}

static void events_tell_the_zone_of_the_process(void **state)
{
    (void)state;
    expect_time_zone("UTC", "@every 1ms", "UTC");
    expect_time_zone("", "@every 1ms", "UTC");
    expect_time_zone(":", "@every 1ms", "UTC");
    expect_time_zone("IST-5:30", "@every 1ms", "IST-5:30");
    expect_time_zone(":IST-5:30", "TZ=UTC @every 1ms", "IST-5:30");
    expect_time_zone("Nowhere/X", "@every 1ms", "UTC");
    expect_time_zone(NULL, "@every 1ms", "Local");
    expect_time_zone("UTC", "* * * * * *", "UTC");
}

static void ticks_without_room_are_counted_and_forgotten(void **state)
{
    struct fake_gateway *fake = open_fine("@every 1ms");
    struct fake_subscription *subscription = read_full(fake, 2);
    (void)state;
    for (int i = 0; i < PATIENCE_MS && counted(fake, SKIPPED) < 3; i++)
        fake_run_quietly(fake, 1);
    assert_true(counted(fake, SKIPPED) >= 3);
    assert_int_equal(subscription->count, 2);
    assert_int_equal(counted(fake, TICKS), 2);
    fake_settle_all(subscription, CONNECTOR_MODIFIED);
    assert_true(fake_wait_deliveries(subscription, 4));
    assert_int_equal(counted(fake, TICKS), 4);
    fake_settle_all(subscription, CONNECTOR_RELEASED);
    end(fake);
}

static void runs_may_overlap_as_far_as_the_window_goes(void **state)
{
    struct fake_gateway *fake = open_fine("@every 1ms");
    struct fake_subscription *subscription = read_full(fake, 5);
    (void)state;
    assert_int_equal(subscription->in_flight, 5);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    end(fake);
}

static void a_settlement_too_many_makes_no_room(void **state)
{
    struct fake_gateway *fake = open_fine("@every 1ms");
    struct fake_subscription *subscription = read_full(fake, 1);
    (void)state;
    struct connector_settlement one = {
        .subscription = &subscription->head,
        .token = subscription->deliveries[0]->what.token,
        .outcome = CONNECTOR_ACCEPTED,
    };
    fake_window(subscription, 0, 0);
    fake_settle(subscription->deliveries[0], CONNECTOR_ACCEPTED, 0);
    fake->connector->type->settle(fake->connector, &one, 1);
    fake_window(subscription, 1, WIDE_BYTES);
    assert_true(fake_wait_deliveries(subscription, 2));
    fake_run_quietly(fake, QUIET_MS);
    assert_int_equal(subscription->count, 2);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    end(fake);
}

static void repetitions_begin_again_with_each_subscription(void **state)
{
    struct fake_gateway *fake = open_fine("R3/PT0.001S");
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_subscription *subscription = subscribe(fake);
        subscription->on_delivery = fake_accept;
        fake_window(subscription, 10, WIDE_BYTES);
        assert_true(fake_wait_deliveries(subscription, 3));
        fake_run_quietly(fake, QUIET_MS);
        assert_int_equal(subscription->count, 3);
        fake_unsubscribe(subscription);
        assert_true(fake_wait_unsubscribed(subscription));
    }
    end(fake);
}

static void readers_have_ticks_and_windows_of_their_own(void **state)
{
    struct fake_gateway *fake = open_fine("@every 1ms");
    struct fake_subscription *stuck = subscribe(fake), *busy = subscribe(fake);
    (void)state;
    busy->on_delivery = fake_accept;
    fake_window(stuck, 1, WIDE_BYTES);
    fake_window(busy, 1, WIDE_BYTES);
    assert_true(fake_wait_deliveries(busy, 10));
    assert_int_equal(stuck->count, 1);
    fake_settle_all(stuck, CONNECTOR_ACCEPTED);
    end(fake);
}

static void closing_waits_for_what_is_unsettled_until_the_deadline(void **state)
{
    struct fake_gateway *fake = open_fine("@every 1ms");
    (void)state;
    read_full(fake, 1);
    fake_close(fake, 1000 * PATIENCE_MS);
    fake_run_quietly(fake, QUIET_MS);
    assert_int_equal(fake->closed, 0);
    fake_close(fake, 1); /* brings the deadline forward */
    assert_true(fake_wait_closed(fake));
    end(fake);
}

static void closing_cannot_be_put_off(void **state)
{
    struct fake_gateway *fake = open_fine("@every 1ms");
    (void)state;
    read_full(fake, 1);
    fake_close(fake, 1);
    fake_close(fake, 1000 * PATIENCE_MS);
    assert_true(fake_wait_closed(fake));
    end(fake);
}

static void closing_ends_with_the_last_settlement(void **state)
{
    struct fake_gateway *fake = open_fine("@every 1ms");
    struct fake_subscription *subscription = read_full(fake, 1);
    (void)state;
    fake_close(fake, 1000 * PATIENCE_MS);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    assert_true(fake_wait_closed(fake));
    end(fake);
}

static void a_schedule_that_never_fits_waits_in_silence(void **state)
{
    struct fake_gateway *fake = open_fine("0 0 30 2 *");
    struct fake_subscription *subscription = subscribe(fake);
    (void)state;
    fake_window(subscription, 1, WIDE_BYTES);
    fake_run_quietly(fake, QUIET_MS);
    assert_int_equal(subscription->count, 0);
    end(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_is_refused_before_anything_is_opened),
        cmocka_unit_test(it_only_brings_events),
        cmocka_unit_test(events_tell_the_zone_of_the_process),
        cmocka_unit_test(ticks_without_room_are_counted_and_forgotten),
        cmocka_unit_test(runs_may_overlap_as_far_as_the_window_goes),
        cmocka_unit_test(a_settlement_too_many_makes_no_room),
        cmocka_unit_test(repetitions_begin_again_with_each_subscription),
        cmocka_unit_test(readers_have_ticks_and_windows_of_their_own),
        cmocka_unit_test(closing_waits_for_what_is_unsettled_until_the_deadline),
        cmocka_unit_test(closing_cannot_be_put_off),
        cmocka_unit_test(closing_ends_with_the_last_settlement),
        cmocka_unit_test(a_schedule_that_never_fits_waits_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
