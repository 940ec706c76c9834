/* The end of a subscription and of the connector. A part of the connector suite.
 */

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

static const struct CMUnitTest leaving_promises[] = {
    PROMISE(unsubscribe_waits_for_what_is_unsettled),
    PROMISE(unsubscribe_right_after_subscribe_is_answered),
    PROMISE(a_topic_can_be_subscribed_again),
    PROMISE(a_long_queue_can_be_left),
    PROMISE(close_waits_for_what_is_unsettled),
    PROMISE(close_ends_at_its_deadline_while_busy),
    PROMISE(close_answers_what_was_just_published),
    PROMISE(close_of_an_idle_connector_is_quick),
};
