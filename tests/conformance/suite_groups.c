/* Who gets a message: groups, patterns, broadcast. A part of the connector suite.
 */

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

static void each_subscription_gets_every_broadcast(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "broadcast");
    struct fake_subscription *all[3];
    for (size_t i = 0; i < 3; i++) {
        all[i] = fake_subscribe(suite->fake, topic, "g", CONNECTOR_MODE_BROADCAST);
        assert_true(fake_wait_subscribed(all[i]));
        all[i]->on_delivery = fake_accept;
        fake_window(all[i], 10, PLENTY);
    }
    fake_publish_numbers(suite->fake, topic, 50);
    for (size_t i = 0; i < 3; i++)
        assert_true(fake_wait_deliveries(all[i], 50));
    fake_unsubscribe(all[2]);
    assert_true(fake_wait_unsubscribed(all[2]));
    fake_publish(suite->fake, topic, FL_SLICE_LIT("50"));
    assert_true(fake_wait_deliveries(all[0], 51));
    assert_true(fake_wait_deliveries(all[1], 51));
    run_quietly(suite);
    for (size_t i = 0; i < 3; i++) {
        assert_all_came(all[i], i < 2 ? 51 : 50);
        assert_int_equal(all[i]->count, i < 2 ? 51 : 50);
    }
}

/* Whoever gives a message back may take no more; then it is for the others of the group. */
static void what_one_gives_back_another_of_the_group_gets(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes);
    static const enum connector_outcome outcomes[] = {CONNECTOR_RELEASED, CONNECTOR_MODIFIED};
    for (size_t i = 0; i < 2; i++) {
        struct fl_slice topic = fake_topic(suite->fake, "give-back");
        struct fake_subscription *gives = subscribe(suite, topic, "g");
        fake_window(gives, 1, PLENTY);
        fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
        assert_true(fake_wait_deliveries(gives, 1));
        struct fake_subscription *gets = subscribe_wide(suite, topic, "g");
        run_quietly(suite);
        fake_window(gives, 0, PLENTY);
        run_quietly(suite);
        fake_settle(last_of(gives), outcomes[i], i * 20);
        assert_true(fake_wait_deliveries(gets, 1));
        fake_accept(last_of(gets));
    }
}

static void a_lane_goes_on_with_another_of_the_group(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->order == CONNECTOR_ORDER_LANE);
    struct fl_slice topic = fake_topic(suite->fake, "lane-goes-on");
    struct fake_subscription *pauses = subscribe(suite, topic, "g");
    fake_window(pauses, 2, PLENTY);
    fake_publish_keyed(suite->fake, topic, 5, 1);
    assert_published(suite);
    assert_true(fake_wait_deliveries(pauses, 1));
    struct fake_subscription *takes = subscribe_wide(suite, topic, "g");
    takes->on_delivery = fake_accept;
    run_quietly(suite);
    fake_window(pauses, 0, PLENTY);
    run_quietly(suite);
    fake_accept(last_of(pauses));
    assert_true(fake_wait_deliveries(takes, 4));
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fake_number(takes->deliveries[i]), i + 1);
}

static void patterns_take_topics_that_are_made_later(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->wildcards);
    struct fake_gateway *fake = suite->fake;
    struct fl_slice base = fake_topic(fake, "new");
    struct fl_slice pattern =
        fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.*", FL_SLICE_ARG(base)));
    struct fake_subscription *wide = subscribe_wide(suite, pattern, "g");
    struct fake_subscription *other = subscribe_wide(suite, pattern, "h");
    wide->on_delivery = other->on_delivery = fake_accept;
    for (size_t i = 0; i < 100; i++)
        fake_publish(fake,
                     fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.%zu", FL_SLICE_ARG(base), i)),
                     fl_slice_str(fl_arena_printf(&fake->arena, "%zu", i)));
    assert_published(suite);
    assert_true(fake_wait_deliveries(wide, 100));
    assert_true(fake_wait_deliveries(other, 100));
    assert_all_came(wide, 100);
    assert_all_came(other, 100);
    run_quietly(suite);
    assert_int_equal(wide->count + other->count, 200);
}

/* For each delivery of the busy topic two more are published to it. */
static void accept_and_publish_two(struct fake_delivery *delivery)
{
    struct fake_gateway *fake = delivery->subscription->fake;
    const struct fl_slice *busy = delivery->subscription->context;
    for (int i = 0; i < 2 && fake->publish_count < 1000; i++)
        fake_publish(fake, *busy, FL_SLICE_LIT("1"));
    fake_accept(delivery);
}

static bool has_calm_one(const void *object, size_t number)
{
    const struct fake_subscription *subscription = object;
    for (size_t i = subscription->count; i-- > 0;) {
        if (fake_number(subscription->deliveries[i]) == number)
            return true;
    }
    return false;
}

static void a_busy_topic_starves_no_other_of_its_pattern(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->wildcards);
    struct fake_gateway *fake = suite->fake;
    struct fl_slice base = fake_topic(fake, "busy");
    struct fl_slice topics[3];
    static const char *const ends[] = {"*", "a", "b"};
    for (size_t i = 0; i < 3; i++)
        topics[i] =
            fl_slice_str(fl_arena_printf(&fake->arena, "%.*s.%s", FL_SLICE_ARG(base), ends[i]));
    struct fake_subscription *subscription = subscribe(suite, topics[0], "g");
    subscription->on_delivery = accept_and_publish_two;
    subscription->context = &topics[1];
    for (int i = 0; i < 20; i++)
        fake_publish(fake, topics[1], FL_SLICE_LIT("1"));
    fake_publish(fake, topics[2], FL_SLICE_LIT("2"));
    assert_published(suite);
    fake_window(subscription, 1, PLENTY);
    assert_true(fake_wait(fake, has_calm_one, subscription, 2));
    assert_true(subscription->count < 100);
    subscription->on_delivery = fake_accept;
    accept_until(subscription, subscription->count);
}

static const struct CMUnitTest groups_promises[] = {
    PROMISE(every_group_gets_every_message),
    PROMISE(one_of_a_group_gets_each_message),
    PROMISE(without_groups_equal_subscriptions_get_everything),
    PROMISE(patterns_take_what_begins_like_them),
    PROMISE(a_pattern_that_left_takes_nothing_more),
    PROMISE(each_subscription_gets_every_broadcast),
    PROMISE(what_one_gives_back_another_of_the_group_gets),
    PROMISE(a_lane_goes_on_with_another_of_the_group),
    PROMISE(patterns_take_topics_that_are_made_later),
    PROMISE(a_busy_topic_starves_no_other_of_its_pattern),
};
