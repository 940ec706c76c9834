/* Order within lanes, and how much may be in flight. A part of the connector suite.
 */

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

/* A window that is full of bytes, or somebody who leaves, while something is due: no reason to
 * spin.
 */
static void waiting_costs_no_time(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->order != CONNECTOR_ORDER_SUBSCRIPTION);
    struct fl_slice topic = fake_topic(suite->fake, "idle");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 10, PLENTY);
    fake_publish_numbers(suite->fake, topic, 2);
    assert_true(fake_wait_deliveries(subscription, 2));
    fake_window(subscription, 10, 1);
    fake_settle(subscription->deliveries[0], CONNECTOR_MODIFIED, 1);
    run_quietly(suite);
    clock_t before = clock();
    fake_run_quietly(suite->fake, 300);
    assert_true(clock() - before < CLOCKS_PER_SEC / 5);
    fake_unsubscribe(subscription);
    run_quietly(suite);
    before = clock();
    fake_run_quietly(suite->fake, 300);
    assert_true(clock() - before < CLOCKS_PER_SEC / 5);
}

/* As many keys as messages in flight: all of them at once. One key: one after the other. */
static void a_lane_is_out_once_and_holds_no_other(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->order == CONNECTOR_ORDER_LANE);
    struct fl_slice topic = fake_topic(suite->fake, "out-once");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish_keyed(suite->fake, topic, 40, 1);
    fake_publish_keyed(suite->fake, topic, 20, 20);
    assert_published(suite);
    /* The key of the first 40 is the first of the 20. */
    assert_true(fake_wait_deliveries(subscription, 20));
    run_quietly(suite);
    assert_int_equal(subscription->in_flight, 20);
    for (size_t i = 0; i < 20; i++) {
        for (size_t j = 0; j < i; j++)
            assert_true(subscription->deliveries[i]->what.lane !=
                        subscription->deliveries[j]->what.lane);
    }
    accept_until(subscription, 60);
}

static const struct CMUnitTest windows_promises[] = {
    PROMISE(all_come_and_lanes_keep_their_order),
    PROMISE(nothing_comes_before_the_first_window),
    PROMISE(window_zero_pauses),
    PROMISE(a_window_full_of_messages_holds),
    PROMISE(a_window_that_shrinks_lets_nothing_more_come),
    PROMISE(a_window_full_of_bytes_holds),
    PROMISE(waiting_costs_no_time),
    PROMISE(a_lane_is_out_once_and_holds_no_other),
};
