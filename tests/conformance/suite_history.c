/* Where a new group begins. A part of the connector suite. */

/* Messages 0 … count-1, stored and confirmed. */
static struct fl_slice topic_with(struct suite *suite, const char *name, size_t count)
{
    struct fl_slice topic = fake_topic(suite->fake, name);
    fake_publish_numbers(suite->fake, topic, count);
    assert_published(suite);
    return topic;
}

static struct fake_subscription *subscribe_from(struct suite *suite, struct fl_slice topic,
                                                const char *group, enum connector_start start,
                                                const char *value)
{
    struct fake_subscription *subscription =
        fake_subscribe_from(suite->fake, topic, group, start, value);
    assert_true(fake_wait_subscribed(subscription));
    fake_window(subscription, 100, PLENTY);
    return subscription;
}

static void assert_numbers(const struct fake_subscription *subscription, size_t first, size_t count)
{
    assert_int_equal(subscription->count, count);
    for (size_t i = 0; i < count; i++) {
        bool is_there = false;
        for (size_t j = 0; j < count; j++)
            is_there |= fake_number(subscription->deliveries[j]) == first + i;
        assert_true(is_there);
    }
}

static void a_new_group_may_begin_at_either_end(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->history);
    struct fl_slice topic = topic_with(suite, "ends", 5);
    struct fake_subscription *all =
        subscribe_from(suite, topic, "all", CONNECTOR_START_EARLIEST, "");
    struct fake_subscription *new = subscribe_from(suite, topic, "new", CONNECTOR_START_LATEST, "");
    assert_true(fake_wait_deliveries(all, 5));
    run_quietly(suite);
    assert_int_equal(new->count, 0);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("5"));
    assert_true(fake_wait_deliveries(all, 6));
    assert_true(fake_wait_deliveries(new, 1));
    assert_numbers(all, 0, 6);
    assert_numbers(new, 5, 1);
}

static void a_new_group_may_begin_at_a_time(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->history);
    struct fl_slice topic = topic_with(suite, "times", 3);
    char time[40];
    fake_run_quietly(suite->fake, 20);
    int64_t wall_ms = fl_clock_wall_ns() / 1000000;
    write_time(wall_ms - 5, time, sizeof time);
    fake_run_quietly(suite->fake, 20);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("3"));
    fake_publish(suite->fake, topic, FL_SLICE_LIT("4"));
    assert_published(suite);
    struct fake_subscription *since =
        subscribe_from(suite, topic, "since", CONNECTOR_START_TIME, time);
    struct fake_subscription *ever =
        subscribe_from(suite, topic, "ever", CONNECTOR_START_TIME, "1999-01-01T00:00:00Z");
    struct fake_subscription *never =
        subscribe_from(suite, topic, "never", CONNECTOR_START_TIME, "2199-01-01T00:00:00+02:00");
    assert_true(fake_wait_deliveries(since, 2));
    assert_true(fake_wait_deliveries(ever, 5));
    run_quietly(suite);
    assert_numbers(since, 3, 2);
    assert_numbers(ever, 0, 5);
    assert_int_equal(never->count, 0);
}

static void a_new_group_may_begin_at_a_position(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->history && suite->subject->position);
    struct fl_slice topic = topic_with(suite, "positions", 5);
    static const size_t numbers[] = {1, 4, 5, 6, 1000};
    struct fake_subscription *subscriptions[5];
    for (size_t i = 0; i < 5; i++) {
        char *group = fl_arena_printf(&suite->arena, "from-%zu", numbers[i]), position[64];
        suite->subject->position(numbers[i], position, sizeof position);
        subscriptions[i] = subscribe_from(suite, topic, group, CONNECTOR_START_POSITION, position);
    }
    assert_true(fake_wait_deliveries(subscriptions[0], 5));
    assert_true(fake_wait_deliveries(subscriptions[1], 2));
    assert_true(fake_wait_deliveries(subscriptions[2], 1));
    run_quietly(suite);
    for (size_t i = 0; i < 5; i++)
        assert_numbers(subscriptions[i], numbers[i] - 1, numbers[i] <= 5 ? 6 - numbers[i] : 0);
}

static void a_group_that_exists_goes_on_where_it_was(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->history && suite->traits->competes);
    struct fl_slice topic = topic_with(suite, "exists", 6);
    struct fake_subscription *first =
        subscribe_from(suite, topic, "g", CONNECTOR_START_EARLIEST, "");
    fake_window(first, 2, PLENTY);
    assert_true(fake_wait_deliveries(first, 2));
    fake_window(first, 0, PLENTY);
    fake_unsubscribe(first);
    fake_settle_all(first, CONNECTOR_ACCEPTED);
    assert_true(fake_wait_unsubscribed(first));
    size_t known = first->count;
    struct fake_subscription *second =
        subscribe_from(suite, topic, "g", CONNECTOR_START_LATEST, "");
    second->on_delivery = fake_accept;
    assert_true(fake_wait_deliveries(second, 6 - known));
    fake_unsubscribe(second);
    assert_true(fake_wait_unsubscribed(second));
    struct fake_subscription *third =
        subscribe_from(suite, topic, "g", CONNECTOR_START_EARLIEST, "");
    run_quietly(suite);
    assert_int_equal(third->count, 0);
}

/* And nothing of the attempt stays: the group is new to the next one. */
static void a_start_that_means_nothing_is_refused(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->history);
    struct fl_slice topic = topic_with(suite, "refused", 3);
    static const struct {
        enum connector_start start;
        const char *value;
    } bad[] = {
        {CONNECTOR_START_TIME, "yesterday"},    {CONNECTOR_START_TIME, ""},
        {CONNECTOR_START_TIME, "2026-13-01"},   {CONNECTOR_START_POSITION, ""},
        {CONNECTOR_START_POSITION, "the last"}, {CONNECTOR_START_POSITION, "-"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fake_subscription *refused =
            fake_subscribe_from(suite->fake, topic, "g", bad[i].start, bad[i].value);
        assert_false(fake_wait_subscribed(refused));
        assert_int_equal(refused->subscribed, 1);
    }
    struct fake_subscription *subscription =
        subscribe_from(suite, topic, "g", CONNECTOR_START_LATEST, "");
    run_quietly(suite);
    assert_int_equal(subscription->count, 0);
    assert_true(suite->fake->is_up);
}

static const struct CMUnitTest history_promises[] = {
    PROMISE(a_new_group_may_begin_at_either_end),
    PROMISE(a_new_group_may_begin_at_a_time),
    PROMISE(a_new_group_may_begin_at_a_position),
    PROMISE(a_group_that_exists_goes_on_where_it_was),
    PROMISE(a_start_that_means_nothing_is_refused),
};
