/* How much a group has before it. A part of the connector suite.
 */

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

/* Undelivered and in flight, where the connector says that it is exact. */
static void assert_backlog(struct suite *suite, struct fl_slice topic, const char *group,
                           uint64_t undelivered, uint64_t in_flight)
{
    struct fake_backlog backlog;
    assert_true(fake_ask_backlog(suite->fake, topic, fl_slice_str(group), &backlog));
    REQUIRE(backlog.what.is_known && backlog.what.is_exact);
    assert_int_equal(backlog.what.undelivered, undelivered);
    assert_int_equal(backlog.what.in_flight, in_flight);
}

static void backlog_of_a_group_that_does_not_exist_is_unknown(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->backlog && suite->traits->competes);
    struct fl_slice topic = fake_topic(suite->fake, "unknown");
    struct fake_backlog backlog;
    assert_true(fake_ask_backlog(suite->fake, topic, FL_SLICE_LIT("g"), &backlog));
    assert_false(backlog.what.is_known);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("1"));
    assert_published(suite);
    subscribe(suite, topic, "g");
    assert_true(fake_ask_backlog(suite->fake, topic, FL_SLICE_LIT("other"), &backlog));
    assert_false(backlog.what.is_known);
}

static void backlog_is_of_one_group_and_follows_its_messages(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->backlog && suite->traits->competes);
    REQUIRE(suite->traits->order != CONNECTOR_ORDER_SUBSCRIPTION);
    struct fl_slice topic = fake_topic(suite->fake, "groups");
    struct fake_subscription *one = subscribe(suite, topic, "one");
    subscribe(suite, topic, "two");
    fake_publish_numbers(suite->fake, topic, 70);
    assert_published(suite);
    assert_backlog(suite, topic, "one", 70, 0);
    fake_window(one, 6, PLENTY);
    assert_true(fake_wait_deliveries(one, 6));
    fake_window(one, 0, PLENTY);
    assert_backlog(suite, topic, "one", 64, 6);
    fake_settle(one->deliveries[0], CONNECTOR_ACCEPTED, 0);
    fake_settle(one->deliveries[1], CONNECTOR_REJECTED, 0);
    fake_settle(one->deliveries[2], CONNECTOR_RELEASED, 0);
    fake_settle(one->deliveries[3], CONNECTOR_MODIFIED, 0);
    fake_settle(one->deliveries[4], CONNECTOR_MODIFIED, suite->traits->delays ? 3600000 : 0);
    assert_backlog(suite, topic, "one", 67, 1);
    assert_backlog(suite, topic, "two", 70, 0);
}

static void backlog_of_lanes_counts_what_is_held_up(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->backlog && suite->traits->order == CONNECTOR_ORDER_LANE);
    struct fl_slice topic = fake_topic(suite->fake, "held");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish_keyed(suite->fake, topic, 30, 3);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 3));
    assert_backlog(suite, topic, "g", 27, 3);
}

static void backlog_leaves_out_what_has_expired(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->backlog && suite->traits->ttl);
    struct fl_slice topic = fake_topic(suite->fake, "expires");
    static const struct ce_metadata ttl = {FL_SLICE_LIT("ttlInSeconds"), FL_SLICE_LIT("300ms")};
    subscribe(suite, topic, "g");
    for (int i = 0; i < 6; i++)
        fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                                 .body = FL_SLICE_LIT("x"),
                                                                 .metadata = &ttl,
                                                                 .metadata_count = i % 2});
    assert_published(suite);
    fake_run_quietly(suite->fake, 350);
    assert_backlog(suite, topic, "g", 3, 0);
}

static void backlog_of_a_pattern_is_of_all_its_topics(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->backlog && suite->traits->wildcards);
    struct fake_gateway *fake = suite->fake;
    struct fl_slice base = fake_topic(fake, "sum");
    struct fl_slice pattern =
        fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.*", FL_SLICE_ARG(base)));
    subscribe(suite, pattern, "g");
    for (size_t i = 0; i < 10; i++)
        fake_publish_numbers(
            fake, fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.%zu", FL_SLICE_ARG(base), i)),
            i);
    fake_publish(fake, base, FL_SLICE_LIT("no part of it"));
    assert_published(suite);
    assert_backlog(suite, pattern, "g", 45, 0);
}

static const struct CMUnitTest backlog_promises[] = {
    PROMISE(backlog_counts_what_waits_and_what_is_out),
    PROMISE(backlog_counts_what_is_delayed),
    PROMISE(backlog_of_a_group_that_does_not_exist_is_unknown),
    PROMISE(backlog_is_of_one_group_and_follows_its_messages),
    PROMISE(backlog_of_lanes_counts_what_is_held_up),
    PROMISE(backlog_leaves_out_what_has_expired),
    PROMISE(backlog_of_a_pattern_is_of_all_its_topics),
};
