/* Several gateways on one broker, and what outlives each of them. A part of the connector suite.
 *
 * Most of it is shown by two connectors on one loop; what happens when a process dies is shown by a
 * child.
 */

/* --- two connectors --- */

static void assert_all_came_once(const struct pair *pair, size_t count)
{
    bool *seen = fl_zalloc(count);
    const struct fake_subscription *both[] = {pair->one, pair->other};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < both[i]->count; j++) {
            size_t number = fake_number(both[i]->deliveries[j]);
            assert_true(number < count && !seen[number]);
            seen[number] = true;
        }
    }
    fl_free(seen);
    assert_int_equal(pair->one->count + pair->other->count, count);
}

static void gateways_of_one_group_share_its_messages(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->survives_process);
    struct fake_gateway *other = another(suite);
    struct fl_slice topic = fake_topic(suite->fake, "share");
    struct pair pair = {subscribe(suite, topic, "g"), subscribe_at(other, topic, "g")};
    struct fake_subscription *both[] = {suite->fake->subscriptions[0], other->subscriptions[0]};
    for (size_t i = 0; i < 2; i++) {
        both[i]->on_delivery = fake_accept;
        fake_window(both[i], 10, PLENTY);
    }
    fake_publish_numbers(suite->fake, topic, 1000);
    assert_true(fake_wait(suite->fake, pair_has, &pair, 1000));
    run_quietly(suite);
    assert_all_came_once(&pair, 1000);
}

static void what_one_gateway_publishes_the_other_delivers(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->survives_process);
    struct fake_gateway *other = another(suite);
    struct fl_slice topic = fake_topic(suite->fake, "across");
    struct fake_subscription *here = subscribe_wide(suite, topic, "here");
    struct fake_subscription *there = subscribe_at(other, topic, "there");
    fake_window(there, 100, PLENTY);
    here->on_delivery = there->on_delivery = fake_accept;
    for (size_t i = 0; i < 10; i++) {
        fake_publish(i % 2 ? other : suite->fake, topic, FL_SLICE_LIT("x"));
        assert_true(fake_wait_deliveries(here, i + 1));
        assert_true(fake_wait_deliveries(there, i + 1));
    }
    run_quietly(suite);
    assert_int_equal(here->count, 10);
    assert_int_equal(there->count, 10);
}

/* Watches lanes over all subscriptions: a lane is out once at a time, and goes on in order. */
enum { WATCHED_LANES = 5 };

struct lane_watch {
    struct fake_delivery *out[WATCHED_LANES];
    size_t next[WATCHED_LANES]; /* the least number that is not settled */
    size_t done;
    const char *complaint;
};

static void note_in_lane(struct fake_delivery *delivery)
{
    struct lane_watch *watch = delivery->subscription->context;
    size_t number = fake_number(delivery), lane = number % WATCHED_LANES;
    if (watch->out[lane])
        watch->complaint = "a lane is out twice";
    if (number != watch->next[lane])
        watch->complaint = "a lane is out of order";
    watch->out[lane] = delivery;
}

static void settle_some(struct lane_watch *watch, size_t round)
{
    for (size_t lane = 0; lane < WATCHED_LANES; lane++) {
        struct fake_delivery *delivery = watch->out[lane];
        if (!delivery || (lane + round) % 3 == 0)
            continue;
        watch->out[lane] = NULL;
        if (delivery->what.attempt == 1 && fake_number(delivery) % 4 == 0) {
            fake_settle(delivery, CONNECTOR_MODIFIED, 3);
            continue;
        }
        watch->next[lane] += WATCHED_LANES;
        watch->done++;
        fake_accept(delivery);
    }
}

static void lanes_are_kept_over_gateways(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->survives_process &&
            suite->traits->order == CONNECTOR_ORDER_LANE);
    struct fake_gateway *other = another(suite);
    struct fl_slice topic = fake_topic(suite->fake, "lanes-over");
    struct lane_watch watch = {.next = {0, 1, 2, 3, 4}};
    struct fake_subscription *both[] = {subscribe(suite, topic, "g"),
                                        subscribe_at(other, topic, "g")};
    for (size_t i = 0; i < 2; i++) {
        both[i]->on_delivery = note_in_lane;
        both[i]->context = &watch;
        fake_window(both[i], 10, PLENTY);
    }
    fake_publish_keyed(suite->fake, topic, 200, WATCHED_LANES);
    assert_published(suite);
    int64_t until_ms = now_ms(suite) + suite->fake->patience_ms * 2;
    for (size_t round = 0; watch.done < 200 && now_ms(suite) < until_ms; round++) {
        fake_run_quietly(suite->fake, 1);
        settle_some(&watch, round);
    }
    assert_null(watch.complaint);
    assert_int_equal(watch.done, 200);
    assert_true(both[0]->count > 0 && both[1]->count > 0);
}

static void each_gateway_gets_every_broadcast(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->survives_process);
    struct fake_gateway *other = another(suite);
    struct fl_slice topic = fake_topic(suite->fake, "everyone");
    struct fake_subscription *all[] = {
        fake_subscribe(suite->fake, topic, "g", CONNECTOR_MODE_BROADCAST),
        fake_subscribe(suite->fake, topic, "g", CONNECTOR_MODE_BROADCAST),
        fake_subscribe(other, topic, "g", CONNECTOR_MODE_BROADCAST)};
    for (size_t i = 0; i < 3; i++) {
        assert_true(fake_wait_subscribed(all[i]));
        all[i]->on_delivery = fake_accept;
        fake_window(all[i], 10, PLENTY);
    }
    fake_publish_numbers(suite->fake, topic, 50);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fake_wait_deliveries(all[i], 50));
        assert_all_came(all[i], 50);
    }
    run_quietly(suite);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(all[i]->count, 50);
}

static void patterns_learn_of_topics_that_another_gateway_makes(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->wildcards && suite->traits->survives_process);
    struct fake_gateway *other = another(suite);
    struct fl_slice base = fake_topic(suite->fake, "learn");
    struct fl_arena *arena = &suite->arena;
    struct fl_slice pattern = fl_slice_str(fl_arena_printf(arena, "%.*s*", FL_SLICE_ARG(base)));
    struct fake_subscription *subscription = subscribe_wide(suite, pattern, "g");
    subscription->on_delivery = fake_accept;
    for (size_t i = 0; i < 10; i++) {
        struct fl_slice topic =
            fl_slice_str(fl_arena_printf(arena, "%.*s.%zu", FL_SLICE_ARG(base), i));
        fake_publish(i % 2 ? suite->fake : other, topic, FL_SLICE_LIT("x"));
        assert_true(fake_wait_deliveries(subscription, i + 1));
        assert_true(fl_slice_eq(last_of(subscription)->what.topic, topic));
    }
    run_quietly(suite);
    assert_int_equal(subscription->count, 10);
}

/* --- a process dies --- */

static void what_a_killed_gateway_held_comes_again(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->survives_process);
    struct fl_slice topic = fake_topic(suite->fake, "killed");
    make_group(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 5);
    assert_published(suite);
    struct suite_child *child =
        start_child(suite, &(struct child_orders){"hold", topic, "g", 5, 0});
    wait_done(child);
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    run_quietly(suite);
    assert_int_equal(subscription->count, 0);
    kill_child(child);
    assert_true(fake_wait_deliveries(subscription, 5));
    assert_all_came(subscription, 5);
    for (size_t i = 0; i < 5; i++)
        assert_attempt(subscription->deliveries[i], 2);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    run_quietly(suite);
    assert_int_equal(subscription->count, 5);
}

static void processes_share_a_group(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->survives_process);
    struct fl_slice topic = fake_topic(suite->fake, "processes");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    subscription->on_delivery = fake_accept;
    fake_window(subscription, 8, PLENTY);
    struct suite_child *child =
        start_child(suite, &(struct child_orders){"accept", topic, "g", 0, 0});
    wait_done(child);
    fake_publish_numbers(suite->fake, topic, 400);
    assert_published(suite);
    bool seen[400] = {false};
    size_t of_child = 0, checked = 0;
    int64_t until_ms = now_ms(suite) + CHILD_PATIENCE_MS;
    while (of_child + subscription->count < 400 && now_ms(suite) < until_ms) {
        if (!hear_child(child))
            continue;
        size_t number = strtoul(child->line, NULL, 10);
        assert_true(number < 400 && !seen[number]);
        seen[number] = true;
        of_child++;
    }
    run_quietly(suite);
    for (; checked < subscription->count; checked++) {
        size_t number = fake_number(subscription->deliveries[checked]);
        assert_true(number < 400 && !seen[number]);
        seen[number] = true;
    }
    assert_int_equal(of_child + checked, 400);
    end_child(child);
}

static void what_a_killed_gateway_confirmed_is_there(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->survives_process);
    struct fl_slice topic = lasting_topic(suite, "confirmed");
    struct fake_subscription *early = subscribe(suite, topic, "g");
    struct suite_child *child =
        start_child(suite, &(struct child_orders){"publish", topic, NULL, 300, 7});
    wait_done(child);
    kill_child(child);
    fake_unsubscribe(early);
    assert_true(fake_wait_unsubscribed(early));
    restart(suite);
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    subscription->on_delivery = fake_accept;
    assert_true(fake_wait_deliveries(subscription, 300));
    run_quietly(suite);
    assert_int_equal(subscription->count, 300);
    assert_all_came(subscription, 300);
}

static void a_back_off_outlives_its_gateway(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->survives_process && suite->traits->delays);
    struct fl_slice topic = fake_topic(suite->fake, "put-off");
    make_group(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("7"));
    assert_published(suite);
    int64_t before_ms = now_ms(suite);
    struct suite_child *child =
        start_child(suite, &(struct child_orders){"put-off", topic, "g", 1, 600});
    wait_done(child);
    kill_child(child);
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_true(last_of(subscription)->at_ms - before_ms >= 600);
    assert_attempt(last_of(subscription), 2);
}

/* --- the same gateway again --- */

static void attempts_and_positions_outlive_a_restart(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->competes && suite->traits->survives_process);
    struct fl_slice topic = lasting_topic(suite, "restart");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("0"));
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        assert_true(fake_wait_deliveries(subscription, attempt));
        assert_attempt(last_of(subscription), attempt);
        fake_settle(last_of(subscription), CONNECTOR_MODIFIED, 0);
    }
    assert_true(fake_wait_deliveries(subscription, 3));
    fake_window(subscription, 1, PLENTY);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("1"));
    fake_publish(suite->fake, topic, FL_SLICE_LIT("2"));
    assert_published(suite);
    fake_unsubscribe(subscription);
    fake_settle(last_of(subscription), CONNECTOR_MODIFIED, 0);
    assert_true(fake_wait_unsubscribed(subscription));
    restart(suite);
    subscription = subscribe_wide(suite, topic, "g");
    subscription->on_delivery = fake_accept;
    assert_true(fake_wait_deliveries(subscription, 3));
    assert_all_came(subscription, 3);
    for (size_t i = 0; i < 3; i++)
        assert_attempt(subscription->deliveries[i],
                       fake_number(subscription->deliveries[i]) == 0 ? 4 : 1);
    restart(suite);
    subscription = subscribe_wide(suite, topic, "g");
    run_quietly(suite);
    assert_int_equal(subscription->count, 0);
}

static const struct CMUnitTest processes_promises[] = {
    PROMISE(gateways_of_one_group_share_its_messages),
    PROMISE(what_one_gateway_publishes_the_other_delivers),
    PROMISE(lanes_are_kept_over_gateways),
    PROMISE(each_gateway_gets_every_broadcast),
    PROMISE(patterns_learn_of_topics_that_another_gateway_makes),
    PROMISE(what_a_killed_gateway_held_comes_again),
    PROMISE(processes_share_a_group),
    PROMISE(what_a_killed_gateway_confirmed_is_there),
    PROMISE(a_back_off_outlives_its_gateway),
    PROMISE(attempts_and_positions_outlive_a_restart),
};
