/* Leases: who stops to extend loses what it holds. A part of the connector suite.
 *
 * They need a subject whose lease is short, since no test waits longer than a second for one.
 */

enum { LONGEST_LEASE_MS = 1000 };

static void require_short_lease(const struct suite *suite)
{
    REQUIRE(suite->traits->lease_ms > 0 && suite->traits->lease_ms <= LONGEST_LEASE_MS);
}

static void what_is_not_extended_comes_again(void **state)
{
    struct suite *suite = suite_of(state);
    require_short_lease(suite);
    struct fl_slice topic = fake_topic(suite->fake, "lapse");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    suite->fake->is_hung = true;
    fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        assert_true(fake_wait_deliveries(subscription, attempt));
        struct fake_delivery *delivery = last_of(subscription);
        assert_int_equal(fake_number(delivery), 7);
        assert_attempt(delivery, attempt);
        if (attempt > 1)
            assert_true(delivery->at_ms - subscription->deliveries[attempt - 2]->at_ms >=
                        suite->traits->lease_ms * 4 / 5);
    }
    fake_accept(last_of(subscription));
    fake_run_quietly(suite->fake, suite->traits->lease_ms * 3 / 2);
    assert_int_equal(subscription->count, 3);
}

/* Extends the first and the third for three leases. False when this machine stood still so long
 * that a lease may have ended meanwhile. */
static bool extend_two(struct suite *suite, struct fake_subscription *subscription)
{
    int64_t lease_ms = suite->traits->lease_ms, until_ms = now_ms(suite) + 3 * lease_ms;
    bool was_in_time = true;
    for (int64_t last_ms = subscription->deliveries[0]->at_ms; last_ms < until_ms;) {
        fake_extend(subscription->deliveries[0]);
        fake_extend(subscription->deliveries[2]);
        was_in_time &= now_ms(suite) - last_ms < lease_ms / 2;
        last_ms = now_ms(suite);
        fake_run_quietly(suite->fake, lease_ms / 5);
    }
    return was_in_time;
}

static void what_is_extended_stays_and_the_rest_comes_again(void **state)
{
    struct suite *suite = suite_of(state);
    require_short_lease(suite);
    REQUIRE(suite->traits->order != CONNECTOR_ORDER_SUBSCRIPTION);
    struct fl_slice topic = fake_topic(suite->fake, "extend");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    suite->fake->is_hung = true;
    fake_publish_numbers(suite->fake, topic, 4);
    assert_true(fake_wait_deliveries(subscription, 4));
    size_t kept[] = {fake_number(subscription->deliveries[0]),
                     fake_number(subscription->deliveries[2])};
    bool was_in_time = extend_two(suite, subscription);
    assert_true(fake_wait_deliveries(subscription, 6));
    for (size_t i = 4; i < subscription->count && was_in_time; i++) {
        size_t number = fake_number(subscription->deliveries[i]);
        assert_true(number != kept[0] && number != kept[1]);
    }
}

static void a_settlement_after_the_lease_is_ignored(void **state)
{
    struct suite *suite = suite_of(state);
    require_short_lease(suite);
    struct fl_slice topic = fake_topic(suite->fake, "too-late");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    suite->fake->is_hung = true;
    fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
    assert_true(fake_wait_deliveries(subscription, 2));
    for (int outcome = 0; outcome < 4; outcome++)
        fake_settle(subscription->deliveries[0], (enum connector_outcome)outcome, 0);
    fake_extend(subscription->deliveries[0]);
    /* Neither done nor given back by that: it comes when the lease of the second one ends. */
    assert_true(fake_wait_deliveries(subscription, 3));
    assert_attempt(subscription->deliveries[2], 3);
    assert_true(subscription->deliveries[2]->at_ms - subscription->deliveries[1]->at_ms >=
                suite->traits->lease_ms * 4 / 5);
}

static void a_lapse_holds_its_lane(void **state)
{
    struct suite *suite = suite_of(state);
    require_short_lease(suite);
    REQUIRE(suite->traits->order != CONNECTOR_ORDER_NONE);
    struct fl_slice topic = fake_topic(suite->fake, "lapse-lane");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    suite->fake->is_hung = true;
    fake_publish_keyed(suite->fake, topic, 3, 1);
    assert_true(fake_wait_deliveries(subscription, 1));
    size_t before = subscription->count;
    assert_true(fake_wait_deliveries(subscription, before + 1));
    assert_int_equal(fake_number(subscription->deliveries[before]), 0);
    suite->fake->is_hung = false;
    accept_until(subscription, before + 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fake_number(subscription->deliveries[before + i]), i);
}

/* Leaving does not wait for what nobody will settle. */
static void unsubscribe_ends_with_the_leases(void **state)
{
    struct suite *suite = suite_of(state);
    require_short_lease(suite);
    struct fl_slice topic = fake_topic(suite->fake, "leave-lapse");
    struct fake_subscription *leaves = subscribe_wide(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 3);
    assert_true(fake_wait_deliveries(leaves, 1));
    run_quietly(suite);
    suite->fake->is_hung = true;
    fake_unsubscribe(leaves);
    assert_true(fake_wait_unsubscribed(leaves));
    suite->fake->is_hung = false;
    struct fake_subscription *stays = subscribe_wide(suite, topic, "g");
    stays->on_delivery = fake_accept;
    assert_true(fake_wait_deliveries(stays, 3));
    assert_all_came(stays, 3);
}

/* Another process that lives and does nothing. */
static void what_a_stopped_gateway_holds_comes_again(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->survives_process);
    require_short_lease(suite);
    struct fl_slice topic = fake_topic(suite->fake, "stopped");
    make_group(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 5);
    assert_published(suite);
    struct suite_child *child =
        start_child(suite, &(struct child_orders){"hold", topic, "g", 5, 0});
    wait_done(child);
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    kill(child->pid, SIGSTOP);
    assert_true(fake_wait_deliveries(subscription, 5));
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    kill(child->pid, SIGCONT);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("5"));
    accept_until(subscription, 6);
    assert_all_came(subscription, 6);
    kill_child(child);
    run_quietly(suite);
    assert_int_equal(subscription->count, 6);
}

static const struct CMUnitTest leases_promises[] = {
    PROMISE(what_is_not_extended_comes_again),
    PROMISE(what_is_extended_stays_and_the_rest_comes_again),
    PROMISE(a_settlement_after_the_lease_is_ignored),
    PROMISE(a_lapse_holds_its_lane),
    PROMISE(unsubscribe_ends_with_the_leases),
    PROMISE(what_a_stopped_gateway_holds_comes_again),
};
