/* Every promise is one test on a connector of its own, opened before and closed after it.
 *
 * Tests say what must come and wait for it; where something must not come, they run the loop for
 * the subject's quiet time. They are written for any order and any number in flight, and look at
 * the traits where a promise depends on them. What the fake gateway watches all the time (windows,
 * answers, the end, the budget back at zero) fails the test in its teardown.
 */
#include "tests/conformance/connector_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tests/conformance/fake_gateway.h"

#define PLENTY ((size_t)64 << 20)

struct suite {
    struct suite_subject *subject;
    struct fake_gateway *fake;
    const struct connector_traits *traits;
};

static struct suite *suite_of(void **state)
{
    return *state;
}

static bool is_up(const void *object, size_t number)
{
    (void)number;
    return ((const struct fake_gateway *)object)->is_up;
}

static int set_up(void **state)
{
    struct suite_subject *subject = *state;
    struct suite *suite = fl_zalloc(sizeof *suite);
    struct fl_error error = {0};
    suite->subject = subject;
    suite->fake = fake_gateway_new(subject->type, subject->values, subject->value_count,
                                   subject->patience_ms ? subject->patience_ms : 5000,
                                   subject->quiet_ms ? subject->quiet_ms : 20, &error);
    if (!suite->fake) {
        print_error("open: %s\n", error.text);
        fl_free(suite);
        return -1;
    }
    suite->traits = &suite->fake->connector->traits;
    *state = suite;
    return fake_wait(suite->fake, is_up, suite->fake, 0) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct suite *suite = *state;
    char complaint[256];
    fake_gateway_free(&suite->fake, complaint, sizeof complaint);
    *state = suite->subject;
    fl_free(suite);
    if (complaint[0])
        print_error("%s\n", complaint);
    return complaint[0] ? -1 : 0;
}

#define REQUIRE(claim)                                                                             \
    do {                                                                                           \
        if (!(claim))                                                                              \
            skip();                                                                                \
    } while (0)

static struct fake_subscription *subscribe(struct suite *suite, struct fl_slice topic,
                                           const char *group)
{
    struct fake_subscription *subscription =
        fake_subscribe(suite->fake, topic, group, CONNECTOR_MODE_COMPETE);
    assert_true(fake_wait_subscribed(subscription));
    return subscription;
}

/* With all it may take. */
static struct fake_subscription *subscribe_wide(struct suite *suite, struct fl_slice topic,
                                                const char *group)
{
    struct fake_subscription *subscription = subscribe(suite, topic, group);
    fake_window(subscription, 100, PLENTY);
    return subscription;
}

static void run_quietly(struct suite *suite)
{
    fake_run_quietly(suite->fake, suite->fake->quiet_ms);
}

static struct fake_delivery *last_of(struct fake_subscription *subscription)
{
    return subscription->deliveries[subscription->count - 1];
}

/* The numbers 0 … count-1 came, each at least once; exactly once if nothing was given back. */
static void assert_all_came(const struct fake_subscription *subscription, size_t count)
{
    bool *seen = fl_zalloc(count);
    size_t distinct = 0;
    for (size_t i = 0; i < subscription->count; i++) {
        size_t number = fake_number(subscription->deliveries[i]);
        assert_true(number < count);
        distinct += !seen[number];
        seen[number] = true;
    }
    fl_free(seen);
    assert_int_equal(distinct, count);
}

/* What has a partition key has a lane if the connector keeps order; what has none may have none. */
static void assert_lane(const struct suite *suite, const struct connector_delivery *what,
                        bool has_key)
{
    enum connector_order order = suite->traits->order;
    if (order == CONNECTOR_ORDER_LANE && !has_key)
        return;
    assert_int_equal(what->lane != 0, order != CONNECTOR_ORDER_NONE);
}

static void assert_published(struct suite *suite)
{
    assert_true(fake_wait_answers(suite->fake));
    for (size_t i = 0; i < suite->fake->publish_count; i++)
        assert_int_equal(suite->fake->publishes[i]->code, FL_OK);
}

/* Accepts what comes, and asks for more, until `count` deliveries came. */
static void accept_until(struct fake_subscription *subscription, size_t count)
{
    while (subscription->count < count) {
        size_t before = subscription->count;
        fake_settle_all(subscription, CONNECTOR_ACCEPTED);
        assert_true(fake_wait_deliveries(subscription, before + 1));
    }
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
}

/* --- publishing and receiving --- */

static void the_type_is_well_formed(void **state)
{
    const struct connector_type *type = suite_of(state)->subject->type;
    assert_int_equal(type->interface, CONNECTOR_INTERFACE);
    assert_non_null(type->component_types[0]);
    assert_non_null(type->summary);
    assert_true(type->state_size >= sizeof(struct connector));
    assert_non_null(type->open);
    assert_non_null(type->close);
    assert_int_equal(type->subscribe != NULL, type->settle != NULL);
    assert_int_equal(type->subscribe != NULL, type->unsubscribe != NULL);
    assert_int_equal(type->subscribe != NULL, type->window != NULL);
    assert_true((type->traits.lease_ms > 0) == (type->extend != NULL));
}

static void what_is_published_is_received(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "orders");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("{\"hello\":\"world\"}"));
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    const struct connector_delivery *what = &subscription->deliveries[0]->what;
    assert_true(fl_slice_eq_str(what->event->body, "{\"hello\":\"world\"}"));
    assert_true(fl_slice_eq(what->topic, topic));
    assert_true(what->attempt <= 1);
    assert_lane(suite, what, false);
    fake_accept(last_of(subscription));
    run_quietly(suite);
    assert_int_equal(subscription->count, 1);
}

static void metadata_travels_beside_the_body(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->headers);
    static const struct ce_metadata metadata[] = {
        {FL_SLICE_LIT("colour"), FL_SLICE_LIT("bleu foncé")},
        {FL_SLICE_LIT("empty"), FL_SLICE_LIT("")},
        {FL_SLICE_LIT("Mixed-Case.Key"), FL_SLICE_LIT("a=b, c")},
    };
    struct ce_event *event = NULL;
    assert_int_equal(ce_event_new(FL_SLICE_LIT("body"), FL_SLICE_LIT("text/plain"), metadata, 3,
                                  &suite->fake->budget, &event),
                     FL_OK);
    struct fl_slice topic = fake_topic(suite->fake, "metadata");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish_event(suite->fake, topic, event);
    assert_true(fake_wait_deliveries(subscription, 1));
    const struct ce_event *got = last_of(subscription)->what.event;
    for (size_t i = 0; i < 3; i++) {
        size_t at = 0;
        while (at < got->metadata_count && !fl_slice_eq(got->metadata[at].key, metadata[i].key))
            at++;
        assert_true(at < got->metadata_count);
        assert_true(fl_slice_eq(got->metadata[at].value, metadata[i].value));
    }
}

static void each_publish_is_answered_once_in_whatever_number(void **state)
{
    struct suite *suite = suite_of(state);
    fake_publish_numbers(suite->fake, fake_topic(suite->fake, "many"), 10000);
    assert_published(suite);
    run_quietly(suite);
    assert_int_equal(suite->fake->answered_count, 10000);
}

static void a_topic_without_subscribers_takes_messages(void **state)
{
    struct suite *suite = suite_of(state);
    fake_publish(suite->fake, fake_topic(suite->fake, "nobody"), FL_SLICE_LIT("x"));
    assert_published(suite);
}

/* Unless the connector names its alphabet, a topic may be any bytes. */
static void a_hundred_topics_do_not_mix(void **state)
{
    struct suite *suite = suite_of(state);
    static const char strange[] = " /.:#+>?%&=\"'\\{}[]()<>|;,!~^`$@\t\n\x01\x7f\xc3\xa9\xff";
    size_t any = suite->traits->topic_alphabet ? 0 : sizeof strange - 1;
    struct fake_subscription *subscriptions[100];
    struct fl_slice base = fake_topic(suite->fake, "t");
    for (size_t i = 0; i < 100; i++) {
        struct fl_slice topic =
            fl_slice_str(fl_arena_printf(&suite->fake->arena, "%.*s%zu%.*s", FL_SLICE_ARG(base), i,
                                         (int)(any && i % 2 ? 1 + i / 2 % any : 0), strange));
        subscriptions[i] = fake_subscribe(suite->fake, topic, "g", CONNECTOR_MODE_COMPETE);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_true(fake_wait_subscribed(subscriptions[i]));
        fake_window(subscriptions[i], 10, PLENTY);
    }
    for (size_t i = 0; i < 100; i++)
        fake_publish(suite->fake, subscriptions[i]->head.topic,
                     fl_slice_str(fl_arena_printf(&suite->fake->arena, "%zu", i)));
    for (size_t i = 0; i < 100; i++) {
        assert_true(fake_wait_deliveries(subscriptions[i], 1));
        assert_int_equal(fake_number(last_of(subscriptions[i])), i);
        assert_true(
            fl_slice_eq(last_of(subscriptions[i])->what.topic, subscriptions[i]->head.topic));
    }
    run_quietly(suite);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(subscriptions[i]->count, 1);
}

static void any_bytes_come_back_as_they_were(void **state)
{
    struct suite *suite = suite_of(state);
    size_t large = (size_t)1 << 20, limit = suite->traits->max_message_bytes;
    large = limit && limit / 2 < large ? limit / 2 : large;
    char *bytes = fl_alloc(large);
    for (size_t i = 0; i < large; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    struct fl_slice bodies[] = {
        FL_SLICE_LIT(""),         fl_slice_of("\0", 1),      FL_SLICE_LIT("null"),
        fl_slice_of("a\0b", 3),   fl_slice_of(bytes, 256),   FL_SLICE_LIT("\xff\xfe\r\n\r\n"),
        FL_SLICE_LIT("  { } \n"), fl_slice_of(bytes, large),
    };
    size_t count = sizeof bodies / sizeof *bodies;
    struct fl_slice topic = fake_topic(suite->fake, "bytes");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    for (size_t i = 0; i < count; i++) {
        fake_publish(suite->fake, topic, bodies[i]);
        assert_true(fake_wait_deliveries(subscription, i + 1));
        assert_true(fl_slice_eq(last_of(subscription)->what.event->body, bodies[i]));
        fake_accept(last_of(subscription));
    }
    assert_published(suite);
    fl_free(bytes);
}

/* --- who gets a message --- */

static void every_group_gets_every_message(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "fan-out");
    static const char *const groups[] = {"a", "b", "c"};
    struct fake_subscription *subscriptions[3];
    for (size_t i = 0; i < 3; i++) {
        subscriptions[i] = subscribe_wide(suite, topic, groups[i]);
        subscriptions[i]->on_delivery = fake_accept;
    }
    fake_publish_numbers(suite->fake, topic, 50);
    assert_published(suite);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fake_wait_deliveries(subscriptions[i], 50));
        assert_all_came(subscriptions[i], 50);
    }
    run_quietly(suite);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(subscriptions[i]->count, 50);
}

struct pair {
    const struct fake_subscription *one, *other;
};

static bool pair_has(const void *object, size_t number)
{
    const struct pair *pair = object;
    return pair->one->count + pair->other->count >= number;
}

static void one_of_a_group_gets_each_message(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes);
    struct fl_slice topic = fake_topic(suite->fake, "compete");
    struct fake_subscription *one = subscribe_wide(suite, topic, "g");
    struct fake_subscription *other = subscribe_wide(suite, topic, "g");
    one->on_delivery = other->on_delivery = fake_accept;
    fake_publish_numbers(suite->fake, topic, 100);
    struct pair pair = {one, other};
    assert_true(fake_wait(suite->fake, pair_has, &pair, 100));
    run_quietly(suite);
    assert_int_equal(one->count + other->count, 100);
}

static void without_groups_equal_subscriptions_get_everything(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(!suite->traits->competes);
    struct fl_slice topic = fake_topic(suite->fake, "same");
    struct fake_subscription *one = subscribe_wide(suite, topic, "g");
    struct fake_subscription *other = subscribe_wide(suite, topic, "g");
    one->on_delivery = other->on_delivery = fake_accept;
    fake_publish_numbers(suite->fake, topic, 10);
    assert_true(fake_wait_deliveries(one, 10));
    assert_true(fake_wait_deliveries(other, 10));
    assert_all_came(one, 10);
    assert_all_came(other, 10);
}

static void patterns_take_what_begins_like_them(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->wildcards);
    struct fake_gateway *fake = suite->fake;
    struct fl_slice base = fake_topic(fake, "w");
    struct fl_slice pattern =
        fl_slice_str(fl_arena_printf(&fake->arena, "%.*s*", FL_SLICE_ARG(base)));
    struct fl_slice longer =
        fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.x", FL_SLICE_ARG(base)));
    struct fl_slice narrow =
        fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.x*", FL_SLICE_ARG(base)));
    struct fake_subscription *wide = subscribe_wide(suite, pattern, "g");
    struct fake_subscription *exact = subscribe_wide(suite, base, "g");
    struct fake_subscription *nested = subscribe_wide(suite, narrow, "g");
    wide->on_delivery = exact->on_delivery = nested->on_delivery = fake_accept;
    fake_publish(fake, base, FL_SLICE_LIT("1"));
    fake_publish(fake, longer, FL_SLICE_LIT("2"));
    fake_publish(fake, fake_topic(fake, "elsewhere"), FL_SLICE_LIT("3"));
    fake_publish(fake, narrow, FL_SLICE_LIT("4"));
    assert_published(suite);
    assert_true(fake_wait_deliveries(wide, 2));
    assert_true(fake_wait_deliveries(exact, 1));
    assert_true(fake_wait_deliveries(nested, 1));
    run_quietly(suite);
    assert_int_equal(wide->count, 2);
    assert_int_equal(exact->count, 1);
    assert_int_equal(nested->count, 1);
    assert_true(fl_slice_eq(wide->deliveries[0]->what.topic, longer));
    assert_true(fl_slice_eq(wide->deliveries[1]->what.topic, narrow));
    assert_int_equal(fake_number(nested->deliveries[0]), 4);
}

static void a_pattern_that_left_takes_nothing_more(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->wildcards);
    struct fake_gateway *fake = suite->fake;
    struct fl_slice base = fake_topic(fake, "p");
    struct fl_slice pattern =
        fl_slice_str(fl_arena_printf(&fake->arena, "%.*s*", FL_SLICE_ARG(base)));
    struct fl_slice topic =
        fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.1", FL_SLICE_ARG(base)));
    struct fake_subscription *stays = subscribe_wide(suite, pattern, "g");
    struct fake_subscription *leaves = subscribe_wide(suite, pattern, "h");
    fake_unsubscribe(leaves);
    assert_true(fake_wait_unsubscribed(leaves));
    fake_publish(fake, topic, FL_SLICE_LIT("1"));
    assert_true(fake_wait_deliveries(stays, 1));
    assert_true(fl_slice_eq(stays->deliveries[0]->what.topic, topic));
    assert_int_equal(leaves->count, 0);
}

/* --- order and windows --- */

static void all_come_and_lanes_keep_their_order(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "lanes");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    subscription->on_delivery = fake_accept;
    fake_window(subscription, 16, PLENTY);
    fake_publish_keyed(suite->fake, topic, 500, 7);
    assert_true(fake_wait_deliveries(subscription, 500));
    assert_all_came(subscription, 500);
    for (size_t i = 0; i < 500; i++) {
        const struct fake_delivery *here = subscription->deliveries[i];
        assert_lane(suite, &here->what, true);
        for (size_t j = i; here->what.lane && j-- > 0;) {
            const struct fake_delivery *earlier = subscription->deliveries[j];
            if (earlier->what.lane != here->what.lane)
                continue;
            assert_true(fake_number(earlier) < fake_number(here));
            break;
        }
    }
}

static void nothing_comes_before_the_first_window(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "early");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 3);
    assert_published(suite);
    run_quietly(suite);
    assert_int_equal(subscription->count, 0);
    fake_window(subscription, 10, PLENTY);
    accept_until(subscription, 3);
    assert_all_came(subscription, 3);
}

static void window_zero_pauses(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "pause");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 1, PLENTY);
    fake_publish_numbers(suite->fake, topic, 5);
    assert_true(fake_wait_deliveries(subscription, 1));
    fake_window(subscription, 0, PLENTY);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    run_quietly(suite);
    assert_int_equal(subscription->count, 1);
    fake_window(subscription, 1, PLENTY);
    accept_until(subscription, 5);
    assert_all_came(subscription, 5);
}

static void a_window_full_of_messages_holds(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "messages");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 5, PLENTY);
    fake_publish_numbers(suite->fake, topic, 30);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    assert_true(subscription->in_flight <= 5);
    if (suite->traits->order == CONNECTOR_ORDER_NONE)
        assert_int_equal(subscription->in_flight, 5);
    accept_until(subscription, 30);
    assert_all_came(subscription, 30);
    assert_true(subscription->most_in_flight <= 5);
}

static void a_window_that_shrinks_lets_nothing_more_come(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "shrink");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 8, PLENTY);
    fake_publish_numbers(suite->fake, topic, 20);
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    size_t before = subscription->count;
    fake_window(subscription, 1, PLENTY);
    if (subscription->in_flight > 1) {
        fake_accept(subscription->deliveries[0]);
        run_quietly(suite);
        assert_int_equal(subscription->count, before);
    }
    accept_until(subscription, 20);
    assert_all_came(subscription, 20);
}

static void a_window_full_of_bytes_holds(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "window-bytes");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 100, 2500);
    char body[1000];
    memset(body, 'x', sizeof body);
    for (int i = 0; i < 12; i++)
        fake_publish(suite->fake, topic, fl_slice_of(body, sizeof body));
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    assert_true(subscription->in_flight_bytes <= 3000);
    if (suite->traits->order == CONNECTOR_ORDER_NONE)
        assert_int_equal(subscription->in_flight, 3);
    accept_until(subscription, 12);
    assert_int_equal(subscription->count, 12);
    assert_true(subscription->most_in_flight_bytes <= 3000);
}

/* --- settling --- */

static void deliveries_settle_in_any_order(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "any-order");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 10, PLENTY);
    fake_publish_numbers(suite->fake, topic, 40);
    while (subscription->count < 40 || subscription->in_flight) {
        size_t seen = subscription->count;
        run_quietly(suite);
        for (size_t i = subscription->count; i-- > 0;) {
            if (!subscription->deliveries[i]->is_settled)
                fake_accept(subscription->deliveries[i]);
        }
        if (subscription->count < 40)
            assert_true(fake_wait_deliveries(subscription, seen + 1));
    }
    run_quietly(suite);
    assert_int_equal(subscription->count, 40);
    assert_all_came(subscription, 40);
}

static void modified_comes_again_after_its_delay(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "modified");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
    assert_true(fake_wait_deliveries(subscription, 1));
    for (uint32_t attempt = 1; attempt < 4; attempt++) {
        int64_t before_ms = net_loop_now_ms(suite->fake->loop);
        int64_t delay_ms = suite->traits->delays ? 10 * attempt : 0;
        fake_settle(last_of(subscription), CONNECTOR_MODIFIED, delay_ms);
        assert_true(fake_wait_deliveries(subscription, attempt + 1));
        struct fake_delivery *again = last_of(subscription);
        assert_int_equal(fake_number(again), 7);
        assert_true(again->at_ms - before_ms >= delay_ms);
        if (subscription->deliveries[0]->what.attempt)
            assert_int_equal(again->what.attempt, attempt + 1);
    }
    fake_accept(last_of(subscription));
    run_quietly(suite);
    assert_int_equal(subscription->count, 4);
}

static void delays_end_in_the_order_of_their_length(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->delays && suite->traits->order != CONNECTOR_ORDER_SUBSCRIPTION);
    struct fl_slice topic = fake_topic(suite->fake, "delays");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 3);
    assert_true(fake_wait_deliveries(subscription, 3));
    for (size_t i = 0; i < 3; i++) {
        struct fake_delivery *delivery = subscription->deliveries[i];
        fake_settle(delivery, CONNECTOR_MODIFIED, 60 - 20 * (int64_t)fake_number(delivery));
    }
    assert_true(fake_wait_deliveries(subscription, 6));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fake_number(subscription->deliveries[3 + i]), 2 - i);
}

static void a_retry_holds_its_lane(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->order != CONNECTOR_ORDER_NONE);
    struct fl_slice topic = fake_topic(suite->fake, "hold");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 4, PLENTY);
    fake_publish_keyed(suite->fake, topic, 6, 2);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    size_t known = subscription->count;
    uint64_t lane = subscription->deliveries[0]->what.lane;
    fake_settle(subscription->deliveries[0], CONNECTOR_MODIFIED, 30);
    run_quietly(suite);
    fake_window(subscription, 6, PLENTY);
    size_t at = known;
    do {
        assert_true(fake_wait_deliveries(subscription, at + 1));
    } while (subscription->deliveries[at++]->what.lane != lane);
    assert_int_equal(fake_number(subscription->deliveries[at - 1]),
                     fake_number(subscription->deliveries[0]));
    accept_until(subscription, 7);
    assert_all_came(subscription, 6);
}

static void released_comes_again_at_once(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "released");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
    assert_true(fake_wait_deliveries(subscription, 1));
    for (size_t i = 1; i < 4; i++) {
        fake_settle(last_of(subscription), CONNECTOR_RELEASED, 0);
        assert_true(fake_wait_deliveries(subscription, i + 1));
        assert_true(last_of(subscription)->what.attempt <= 1);
    }
    fake_accept(last_of(subscription));
    run_quietly(suite);
    assert_int_equal(subscription->count, 4);
}

static void rejected_never_comes_again(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "rejected");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
    assert_true(fake_wait_deliveries(subscription, 1));
    fake_settle(last_of(subscription), CONNECTOR_REJECTED, 0);
    run_quietly(suite);
    assert_int_equal(subscription->count, 1);
}

static void a_settlement_that_is_late_or_made_up_is_ignored(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "stale");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 1, PLENTY);
    fake_publish_numbers(suite->fake, topic, 3);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    struct fake_delivery *first = last_of(subscription);
    fake_accept(first);
    assert_true(fake_wait_deliveries(subscription, 2));
    struct fake_delivery *second = last_of(subscription);
    fake_settle(first, CONNECTOR_MODIFIED, 0);
    fake_settle(first, CONNECTOR_RELEASED, 0);
    struct fake_delivery made_up = *second;
    made_up.is_settled = true;
    static const uint64_t words[] = {0, 1, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < 16; i++) {
        made_up.what.token = (struct connector_token){{words[i / 4], words[i % 4] + 1000000}};
        fake_settle(&made_up, CONNECTOR_REJECTED, 0);
    }
    run_quietly(suite);
    assert_int_equal(subscription->count, 2);
    fake_settle(second, CONNECTOR_RELEASED, 0);
    accept_until(subscription, 4);
    run_quietly(suite);
    assert_int_equal(subscription->count, 4);
}

/* --- inside callbacks --- */

static void answer_with_a_publish(struct fake_delivery *delivery)
{
    struct fake_gateway *fake = delivery->subscription->fake;
    const struct fl_slice *target =
        delivery->subscription->head.state ? &fake->subscriptions[1]->head.topic : NULL;
    if (target)
        fake_publish(fake, *target, delivery->what.event->body);
    fake_accept(delivery);
}

static void the_gateway_may_settle_and_publish_while_it_hears(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice from = fake_topic(suite->fake, "from"), to = fake_topic(suite->fake, "to");
    struct fake_subscription *source = subscribe(suite, from, "g");
    struct fake_subscription *sink = subscribe_wide(suite, to, "g");
    source->on_delivery = answer_with_a_publish;
    sink->on_delivery = fake_accept;
    fake_window(source, 7, PLENTY);
    fake_publish_numbers(suite->fake, from, 300);
    assert_true(fake_wait_deliveries(sink, 300));
    assert_all_came(sink, 300);
    assert_published(suite);
}

static void accept_and_leave(struct fake_delivery *delivery)
{
    fake_accept(delivery);
    if (!delivery->subscription->has_left)
        fake_unsubscribe(delivery->subscription);
}

static void the_gateway_may_unsubscribe_while_it_hears(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "leave");
    struct fake_subscription *leaves = subscribe_wide(suite, topic, "g");
    struct fake_subscription *stays = subscribe_wide(suite, topic, "h");
    leaves->on_delivery = accept_and_leave;
    stays->on_delivery = fake_accept;
    fake_publish_numbers(suite->fake, topic, 200);
    assert_true(fake_wait_unsubscribed(leaves));
    assert_true(fake_wait_deliveries(stays, 200));
    assert_all_came(stays, 200);
}

/* --- leaving --- */

static void unsubscribe_waits_for_what_is_unsettled(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "unsettled");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 3, PLENTY);
    fake_publish_numbers(suite->fake, topic, 10);
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    fake_unsubscribe(subscription);
    run_quietly(suite);
    for (size_t i = 0; i < subscription->count && !subscription->unsubscribed; i++) {
        enum connector_outcome outcome = (enum connector_outcome)(i % 4);
        fake_settle(subscription->deliveries[i], outcome, 0);
    }
    assert_true(fake_wait_unsubscribed(subscription));
}

static void unsubscribe_right_after_subscribe_is_answered(void **state)
{
    struct suite *suite = suite_of(state);
    struct fake_subscription *subscription =
        fake_subscribe(suite->fake, fake_topic(suite->fake, "hasty"), "g", CONNECTOR_MODE_COMPETE);
    fake_unsubscribe(subscription);
    assert_true(fake_wait_unsubscribed(subscription));
    run_quietly(suite);
    assert_true(subscription->subscribed <= 1);
}

static void a_topic_can_be_subscribed_again(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "again");
    for (size_t i = 0; i < 5; i++) {
        struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
        fake_publish(suite->fake, topic, FL_SLICE_LIT("1"));
        assert_true(fake_wait_deliveries(subscription, 1));
        fake_accept(last_of(subscription));
        fake_unsubscribe(subscription);
        assert_true(fake_wait_unsubscribed(subscription));
    }
}

/* A long queue is dropped in the end, and the budget shows that nothing of it stays. */
static void a_long_queue_can_be_left(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "long");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 1, PLENTY);
    fake_publish_numbers(suite->fake, topic, 6000);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    fake_unsubscribe(subscription);
    fake_settle_all(subscription, CONNECTOR_MODIFIED);
    assert_true(fake_wait_unsubscribed(subscription));
}

static void close_waits_for_what_is_unsettled(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "close");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 3, PLENTY);
    fake_publish_numbers(suite->fake, topic, 10);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    fake_close(suite->fake, suite->fake->patience_ms * 10);
    run_quietly(suite);
    assert_int_equal(suite->fake->closed, 0);
    size_t count = subscription->count;
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    assert_true(fake_wait_closed(suite->fake));
    run_quietly(suite);
    assert_int_equal(suite->fake->closed, 1);
    assert_int_equal(subscription->count, count);
}

static void close_ends_at_its_deadline_while_busy(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "busy");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 2000);
    assert_true(fake_wait_deliveries(subscription, 1));
    int64_t before_ms = net_loop_now_ms(suite->fake->loop);
    fake_close(suite->fake, suite->fake->patience_ms * 10);
    fake_close(suite->fake, 30);
    fake_close(suite->fake, suite->fake->patience_ms * 10);
    assert_true(fake_wait_closed(suite->fake));
    assert_true(net_loop_now_ms(suite->fake->loop) - before_ms >= 30);
}

static void close_answers_what_was_just_published(void **state)
{
    struct suite *suite = suite_of(state);
    fake_publish_numbers(suite->fake, fake_topic(suite->fake, "last"), 100);
    size_t taken = suite->fake->taken_count;
    fake_close(suite->fake, suite->fake->patience_ms);
    assert_true(fake_wait_closed(suite->fake));
    assert_int_equal(suite->fake->answered_count, taken);
}

static void close_of_an_idle_connector_is_quick(void **state)
{
    struct suite *suite = suite_of(state);
    struct fake_subscription *subscription =
        subscribe_wide(suite, fake_topic(suite->fake, "idle"), "g");
    fake_unsubscribe(subscription);
    fake_close(suite->fake, suite->fake->patience_ms * 10);
    assert_true(fake_wait_closed(suite->fake));
    assert_int_equal(subscription->unsubscribed, 1);
}

/* --- backlog --- */

static void backlog_counts_what_waits_and_what_is_out(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->backlog);
    struct fl_slice topic = fake_topic(suite->fake, "backlog"), group = FL_SLICE_LIT("g");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 2, PLENTY);
    fake_publish_numbers(suite->fake, topic, 9);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    struct fake_backlog backlog;
    assert_true(fake_ask_backlog(suite->fake, topic, group, &backlog));
    REQUIRE(backlog.what.is_known);
    if (backlog.what.is_exact) {
        assert_int_equal(backlog.what.undelivered + backlog.what.in_flight, 9);
        assert_int_equal(backlog.what.in_flight, subscription->in_flight);
    }
    assert_true(backlog.what.as_of_wall_ms >= backlog.what.oldest_wall_ms);
    accept_until(subscription, 9);
    assert_true(fake_ask_backlog(suite->fake, topic, group, &backlog));
    if (backlog.what.is_exact)
        assert_int_equal(backlog.what.undelivered + backlog.what.in_flight, 0);
}

static void backlog_counts_what_is_delayed(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->backlog && suite->traits->delays);
    struct fl_slice topic = fake_topic(suite->fake, "later"), group = FL_SLICE_LIT("g");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("1"));
    assert_true(fake_wait_deliveries(subscription, 1));
    fake_settle(last_of(subscription), CONNECTOR_MODIFIED, 3600 * 1000);
    struct fake_backlog backlog;
    assert_true(fake_ask_backlog(suite->fake, topic, group, &backlog));
    REQUIRE(backlog.what.is_known && backlog.what.is_exact);
    assert_int_equal(backlog.what.undelivered, 1);
    assert_true(backlog.what.oldest_wall_ms > 0);
}

/* --- the broker goes away --- */

static bool is_down(const void *object, size_t number)
{
    (void)number;
    return !((const struct fake_gateway *)object)->is_up;
}

static void nothing_confirmed_is_lost_when_the_broker_is_killed(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->kill_broker && suite->subject->revive_broker);
    struct fl_slice topic = fake_topic(suite->fake, "killed");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 2, PLENTY);
    fake_publish_numbers(suite->fake, topic, 20);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    struct fake_delivery *before = subscription->deliveries[0];
    suite->subject->kill_broker(suite->subject);
    assert_true(fake_wait(suite->fake, is_down, suite->fake, 0));
    suite->subject->revive_broker(suite->subject);
    assert_true(fake_wait(suite->fake, is_up, suite->fake, 0));
    /* Of an ended generation: the message comes again all the same. */
    size_t known = subscription->count;
    for (size_t i = 0; i < known; i++) {
        if (!subscription->deliveries[i]->is_settled)
            fake_accept(subscription->deliveries[i]);
    }
    subscription->on_delivery = fake_accept;
    assert_true(fake_wait_deliveries(subscription, known + 20));
    assert_all_came(subscription, 20);
    bool is_back = false;
    for (size_t i = known; i < subscription->count; i++)
        is_back |= fake_number(subscription->deliveries[i]) == fake_number(before);
    assert_true(is_back);
}

/* --- the list --- */

#define PROMISE(function)                                                                          \
    {                                                                                              \
#function, function, set_up, tear_down, NULL                                               \
    }

static const struct CMUnitTest promises[] = {
    PROMISE(the_type_is_well_formed),
    PROMISE(what_is_published_is_received),
    PROMISE(metadata_travels_beside_the_body),
    PROMISE(each_publish_is_answered_once_in_whatever_number),
    PROMISE(a_topic_without_subscribers_takes_messages),
    PROMISE(a_hundred_topics_do_not_mix),
    PROMISE(any_bytes_come_back_as_they_were),
    PROMISE(every_group_gets_every_message),
    PROMISE(one_of_a_group_gets_each_message),
    PROMISE(without_groups_equal_subscriptions_get_everything),
    PROMISE(patterns_take_what_begins_like_them),
    PROMISE(a_pattern_that_left_takes_nothing_more),
    PROMISE(all_come_and_lanes_keep_their_order),
    PROMISE(nothing_comes_before_the_first_window),
    PROMISE(window_zero_pauses),
    PROMISE(a_window_full_of_messages_holds),
    PROMISE(a_window_that_shrinks_lets_nothing_more_come),
    PROMISE(a_window_full_of_bytes_holds),
    PROMISE(deliveries_settle_in_any_order),
    PROMISE(modified_comes_again_after_its_delay),
    PROMISE(delays_end_in_the_order_of_their_length),
    PROMISE(a_retry_holds_its_lane),
    PROMISE(released_comes_again_at_once),
    PROMISE(rejected_never_comes_again),
    PROMISE(a_settlement_that_is_late_or_made_up_is_ignored),
    PROMISE(the_gateway_may_settle_and_publish_while_it_hears),
    PROMISE(the_gateway_may_unsubscribe_while_it_hears),
    PROMISE(unsubscribe_waits_for_what_is_unsettled),
    PROMISE(unsubscribe_right_after_subscribe_is_answered),
    PROMISE(a_topic_can_be_subscribed_again),
    PROMISE(a_long_queue_can_be_left),
    PROMISE(close_waits_for_what_is_unsettled),
    PROMISE(close_ends_at_its_deadline_while_busy),
    PROMISE(close_answers_what_was_just_published),
    PROMISE(close_of_an_idle_connector_is_quick),
    PROMISE(backlog_counts_what_waits_and_what_is_out),
    PROMISE(backlog_counts_what_is_delayed),
    PROMISE(nothing_confirmed_is_lost_when_the_broker_is_killed),
};

int connector_suite_run(struct suite_subject *subject)
{
    enum { COUNT = sizeof promises / sizeof *promises };
    const char *why_not = subject->start ? subject->start(subject) : NULL;
    if (why_not) {
        print_message("[  SKIPPED ] %s: %s\n", subject->name, why_not);
        return 0;
    }
    struct CMUnitTest tests[COUNT];
    memcpy(tests, promises, sizeof promises);
    for (size_t i = 0; i < COUNT; i++)
        tests[i].initial_state = subject;
    int failed = _cmocka_run_group_tests(subject->name, tests, COUNT, NULL, NULL);
    if (subject->stop)
        subject->stop(subject);
    return failed;
}
