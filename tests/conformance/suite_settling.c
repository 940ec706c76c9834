/* What becomes of a delivery. A part of the connector suite.
 */

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

static void attempts_count_what_was_tried(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "attempts");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    static const struct {
        enum connector_outcome outcome;
        uint32_t next;
    } steps[] = {{CONNECTOR_MODIFIED, 2}, {CONNECTOR_RELEASED, 2}, {CONNECTOR_MODIFIED, 3},
                 {CONNECTOR_MODIFIED, 4}, {CONNECTOR_RELEASED, 4}, {CONNECTOR_RELEASED, 4}};
    fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
    assert_true(fake_wait_deliveries(subscription, 1));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fake_settle(last_of(subscription), steps[i].outcome, 0);
        assert_true(fake_wait_deliveries(subscription, i + 2));
        assert_attempt(last_of(subscription), steps[i].next);
    }
}

/* Neighbours are settled in every way at once, and each of them has its own end. */
static void neighbours_are_settled_each_in_its_way(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->order != CONNECTOR_ORDER_SUBSCRIPTION);
    struct fl_slice topic = fake_topic(suite->fake, "neighbours");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 80);
    assert_true(fake_wait_deliveries(subscription, 80));
    for (size_t i = 0; i < 80; i++) {
        struct fake_delivery *delivery = subscription->deliveries[i];
        fake_settle(delivery, (enum connector_outcome)(fake_number(delivery) % 4), 0);
    }
    accept_until(subscription, 120);
    run_quietly(suite);
    assert_int_equal(subscription->count, 120);
    for (size_t i = 80; i < 120; i++) {
        size_t way = fake_number(subscription->deliveries[i]) % 4;
        assert_true(way == CONNECTOR_RELEASED || way == CONNECTOR_MODIFIED);
        assert_attempt(subscription->deliveries[i], way == CONNECTOR_MODIFIED ? 2 : 1);
    }
}

static const struct CMUnitTest settling_promises[] = {
    PROMISE(deliveries_settle_in_any_order),
    PROMISE(modified_comes_again_after_its_delay),
    PROMISE(delays_end_in_the_order_of_their_length),
    PROMISE(a_retry_holds_its_lane),
    PROMISE(released_comes_again_at_once),
    PROMISE(rejected_never_comes_again),
    PROMISE(a_settlement_that_is_late_or_made_up_is_ignored),
    PROMISE(attempts_count_what_was_tried),
    PROMISE(neighbours_are_settled_each_in_its_way),
};
