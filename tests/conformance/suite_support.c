/* What all promises use: a connector of their own, short words for what tests do again and again,
 * and more connectors of the same broker. A part of the connector suite.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "tests/conformance/connector_suite.h"
#include "tests/conformance/fake_gateway.h"

#define PLENTY ((size_t)64 << 20)

enum { MOST_OTHERS = 2, MOST_CHILDREN = 2 };

struct suite_child;

struct suite {
    struct suite_subject *subject;
    struct fake_gateway *fake;
    const struct connector_traits *traits;
    struct fl_arena arena; /* what lives longer than `fake` */
    struct fake_gateway *others[MOST_OTHERS];
    size_t other_count;
    struct suite_child *children[MOST_CHILDREN];
    size_t child_count;
    bool is_hung; /* its broker */
};

static struct suite *suite_of(void **state)
{
    return *state;
}

static struct fake_gateway *open_fake_of(const struct suite_subject *subject)
{
    return fake_gateway_new_for_suite(subject->type, subject->values, subject->value_count,
                                      subject->patience_ms, subject->quiet_ms);
}

static int set_up(void **state)
{
    struct suite_subject *subject = *state;
    struct suite *suite = fl_zalloc(sizeof *suite);
    suite->subject = subject;
    suite->fake = open_fake_of(subject);
    if (!suite->fake) {
        fl_free(suite);
        return -1;
    }
    suite->traits = &suite->fake->connector->traits;
    *state = suite;
    return fake_wait_up(suite->fake) ? 0 : -1;
}

static bool end_fake(struct fake_gateway **fake)
{
    char complaint[256];
    fake_gateway_free(fake, complaint, sizeof complaint);
    if (complaint[0])
        print_error("%s\n", complaint);
    return complaint[0] == 0;
}

static void end_children(struct suite *suite);

static int tear_down(void **state)
{
    struct suite *suite = *state;
    bool is_fine = true;
    end_children(suite);
    if (suite->is_hung)
        suite->subject->resume_broker(suite->subject);
    while (suite->other_count > 0)
        is_fine &= end_fake(&suite->others[--suite->other_count]);
    is_fine &= end_fake(&suite->fake);
    fl_arena_fini(&suite->arena);
    *state = suite->subject;
    fl_free(suite);
    return is_fine ? 0 : -1;
}

#define PROMISE(function)                                                                          \
    {                                                                                              \
#function, function, set_up, tear_down, NULL                                               \
    }

#define REQUIRE(claim)                                                                             \
    do {                                                                                           \
        if (!(claim))                                                                              \
            skip();                                                                                \
    } while (0)

/* --- other connectors of the same broker --- */

/* The same component in another gateway. */
static struct fake_gateway *another(struct suite *suite)
{
    struct fl_error error = {0};
    struct fake_gateway *fake = fake_gateway_beside(suite->fake, suite->subject->values,
                                                    suite->subject->value_count, &error);
    assert_non_null(fake);
    assert_true(suite->other_count < MOST_OTHERS);
    suite->others[suite->other_count++] = fake;
    assert_true(fake_wait_up(fake));
    return fake;
}

/* A topic that is known after `restart` too. */
static struct fl_slice lasting_topic(struct suite *suite, const char *name)
{
    return fl_arena_copy(&suite->arena, fake_topic(suite->fake, name));
}

/* Closes the connector and opens it again, as a gateway that is started anew. What belonged to the
 * fake is gone. */
static void restart(struct suite *suite)
{
    bool is_fine = end_fake(&suite->fake);
    suite->fake = open_fake_of(suite->subject);
    assert_non_null(suite->fake);
    suite->traits = &suite->fake->connector->traits;
    assert_true(is_fine);
    assert_true(fake_wait_up(suite->fake));
}

/* --- subscriptions --- */

static struct fake_subscription *subscribe_at(struct fake_gateway *fake, struct fl_slice topic,
                                              const char *group)
{
    struct fake_subscription *subscription =
        fake_subscribe(fake, topic, group, CONNECTOR_MODE_COMPETE);
    assert_true(fake_wait_subscribed(subscription));
    return subscription;
}

static struct fake_subscription *subscribe(struct suite *suite, struct fl_slice topic,
                                           const char *group)
{
    return subscribe_at(suite->fake, topic, group);
}

/* With all it may take. */
static struct fake_subscription *subscribe_wide(struct suite *suite, struct fl_slice topic,
                                                const char *group)
{
    struct fake_subscription *subscription = subscribe(suite, topic, group);
    fake_window(subscription, 100, PLENTY);
    return subscription;
}

/* The group is there, with nobody in it: from now on it gets what is published, wherever the
 * connector lets a new one begin. */
static void make_group(struct suite *suite, struct fl_slice topic, const char *group)
{
    struct fake_subscription *subscription = subscribe(suite, topic, group);
    fake_unsubscribe(subscription);
    assert_true(fake_wait_unsubscribed(subscription));
}

static struct fake_delivery *last_of(struct fake_subscription *subscription)
{
    return subscription->deliveries[subscription->count - 1];
}

static void run_quietly(struct suite *suite)
{
    fake_run_quietly(suite->fake, suite->fake->quiet_ms);
}

static int64_t now_ms(const struct suite *suite)
{
    return net_loop_now_ms(suite->fake->loop);
}

/* RFC 3339, with milliseconds. */
static void write_time(int64_t wall_ms, char *text, size_t room)
{
    time_t seconds = wall_ms / 1000;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(text, room, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, room - len, ".%03dZ", (int)(wall_ms % 1000));
}

/* --- what came --- */

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

static void assert_attempt(const struct fake_delivery *delivery, uint32_t expected)
{
    if (delivery->what.attempt)
        assert_int_equal(delivery->what.attempt, expected);
}

static void assert_all_published(struct fake_gateway *fake)
{
    assert_true(fake_wait_answers(fake));
    for (size_t i = 0; i < fake->publish_count; i++)
        assert_int_equal(fake->publishes[i]->code, FL_OK);
}

static void assert_published(struct suite *suite)
{
    assert_all_published(suite->fake);
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

/* Deliveries of two subscriptions together. */
struct pair {
    const struct fake_subscription *one, *other;
};

static bool pair_has(const void *object, size_t number)
{
    const struct pair *pair = object;
    return pair->one->count + pair->other->count >= number;
}
