/* The broker goes away, or answers nothing, and comes back. A part of the connector suite.
 */

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
    assert_true(fake_wait_down(suite->fake));
    size_t known = subscription->count;
    subscription->on_delivery = fake_accept;
    suite->subject->revive_broker(suite->subject);
    assert_true(fake_wait_up(suite->fake));
    /* Of an ended generation: the message comes again all the same. */
    for (size_t i = 0; i < known; i++)
        fake_accept(subscription->deliveries[i]);
    assert_true(fake_wait_deliveries(subscription, known + 20));
    assert_all_came(subscription, 20);
    bool is_back = false;
    for (size_t i = known; i < subscription->count; i++)
        is_back |= fake_number(subscription->deliveries[i]) == fake_number(before);
    assert_true(is_back);
}

static void require_kills(const struct suite *suite)
{
    REQUIRE(suite->subject->kill_broker && suite->subject->revive_broker);
}

static void kill_broker(struct suite *suite)
{
    suite->subject->kill_broker(suite->subject);
    assert_true(fake_wait_down(suite->fake));
}

static void revive_broker(struct suite *suite)
{
    suite->subject->revive_broker(suite->subject);
    assert_true(fake_wait_up(suite->fake));
}

static void without_a_broker_publishing_fails_and_nothing_hangs(void **state)
{
    struct suite *suite = suite_of(state);
    require_kills(suite);
    struct fl_slice topic = fake_topic(suite->fake, "away");
    struct fake_subscription *leaves = subscribe_wide(suite, topic, "leaves");
    struct fake_subscription *stays = subscribe_wide(suite, topic, "stays");
    stays->on_delivery = fake_accept;
    kill_broker(suite);
    struct fake_publish *lost = fake_publish(suite->fake, topic, FL_SLICE_LIT("0"));
    assert_true(fake_wait_answers(suite->fake));
    assert_int_not_equal(lost->code, FL_OK);
    fake_unsubscribe(leaves);
    assert_true(fake_wait_unsubscribed(leaves));
    if (suite->subject->type->backlog) {
        struct fake_backlog backlog;
        assert_true(fake_ask_backlog(suite->fake, topic, FL_SLICE_LIT("stays"), &backlog));
        assert_false(backlog.what.is_known);
    }
    revive_broker(suite);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("1"));
    assert_true(fake_wait_deliveries(stays, 1));
    run_quietly(suite);
    for (size_t i = 0; i < stays->count; i++)
        assert_true(fake_number(stays->deliveries[i]) == 1 || lost->class == FL_CLASS_UNKNOWN);
    assert_int_equal(suite->fake->downs, 1);
}

static void a_broker_may_come_and_go(void **state)
{
    struct suite *suite = suite_of(state);
    require_kills(suite);
    struct fl_slice topic = fake_topic(suite->fake, "come-and-go");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 5, PLENTY);
    size_t published = 0;
    for (unsigned round = 1; round <= 2; round++) {
        fake_publish_keyed(suite->fake, topic, 10, 3);
        published += 10;
        assert_published(suite);
        assert_true(fake_wait_deliveries(subscription, 1));
        kill_broker(suite);
        revive_broker(suite);
        assert_int_equal(suite->fake->downs, round);
    }
    /* Nothing was settled before: all of it comes, that which was out before once more. */
    subscription->on_delivery = fake_accept;
    size_t known = subscription->count;
    for (size_t i = 0; i < known; i++)
        fake_accept(subscription->deliveries[i]);
    assert_true(fake_wait_deliveries(subscription, published));
    assert_all_came(subscription, 10);
}

static void closing_without_a_broker_is_quick(void **state)
{
    struct suite *suite = suite_of(state);
    require_kills(suite);
    struct fake_subscription *subscription =
        subscribe_wide(suite, fake_topic(suite->fake, "close-away"), "g");
    kill_broker(suite);
    fake_close(suite->fake, suite->fake->patience_ms * 10);
    assert_true(fake_wait_closed(suite->fake));
    assert_int_equal(subscription->unsubscribed, 0);
    suite->subject->revive_broker(suite->subject);
}

/* --- a broker that hangs --- */

static void require_hangs(const struct suite *suite)
{
    REQUIRE(suite->subject->hang_broker && suite->subject->resume_broker);
}

static void hang_broker(struct suite *suite)
{
    suite->subject->hang_broker(suite->subject);
    suite->is_hung = true;
}

static void resume_broker(struct suite *suite)
{
    suite->subject->resume_broker(suite->subject);
    suite->is_hung = false;
}

static struct fake_publish *publish_until(struct suite *suite, struct fl_slice topic,
                                          const char *body, int64_t deadline_ms)
{
    return fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                                    .body = fl_slice_str(body),
                                                                    .deadline_ms = deadline_ms});
}

static bool is_publish_answered(const void *object, size_t number)
{
    const struct fake_publish *publish = object;
    return publish->answers >= number;
}

static void assert_unknown(const struct fake_publish *publish)
{
    assert_int_equal(publish->code, FL_ERR_TIMEOUT);
    assert_int_equal(publish->class, FL_CLASS_UNKNOWN);
}

static void a_publish_is_answered_at_its_deadline(void **state)
{
    struct suite *suite = suite_of(state);
    require_hangs(suite);
    struct fl_slice topic = fake_topic(suite->fake, "deadline");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    subscription->on_delivery = fake_accept;
    hang_broker(suite);
    int64_t before_ms = now_ms(suite);
    /* The first of all has the last deadline, beyond any wait of this test. */
    struct fake_publish *last = publish_until(suite, topic, "0", suite->fake->patience_ms * 3);
    struct fake_publish *first = publish_until(suite, topic, "1", 100);
    struct fake_publish *second = publish_until(suite, topic, "2", 150);
    assert_true(fake_wait(suite->fake, is_publish_answered, first, 1));
    assert_true(now_ms(suite) - before_ms >= 100);
    assert_true(fake_wait(suite->fake, is_publish_answered, second, 1));
    assert_int_equal(last->answers, 0);
    assert_unknown(first);
    assert_unknown(second);
    resume_broker(suite);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("3"));
    assert_true(fake_wait_answers(suite->fake));
    assert_int_equal(last->code, FL_OK);
    assert_true(fake_wait_deliveries(subscription, 2));
    run_quietly(suite);
    /* Those that were given up may have been stored, once. */
    assert_true(subscription->count <= 4);
    assert_true(suite->fake->is_up);
}

static void what_is_settled_while_the_broker_hangs_is_settled(void **state)
{
    struct suite *suite = suite_of(state);
    require_hangs(suite);
    struct fl_slice topic = fake_topic(suite->fake, "settle-hung");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    fake_window(subscription, 5, PLENTY);
    fake_publish_numbers(suite->fake, topic, 20);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    run_quietly(suite);
    hang_broker(suite);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    size_t known = subscription->count;
    fake_run_quietly(suite->fake, 100);
    resume_broker(suite);
    subscription->on_delivery = fake_accept;
    assert_true(fake_wait_deliveries(subscription, 20));
    run_quietly(suite);
    assert_int_equal(subscription->count, 20);
    assert_true(known <= 5);
}

/* Far more than the connector takes: it takes a prefix, and the rest when there is room. */
static void outstanding_publishes_are_bounded(void **state)
{
    struct suite *suite = suite_of(state);
    require_hangs(suite);
    enum { COUNT = 40000 };
    struct fl_slice topic = fake_topic(suite->fake, "bounded");
    suite->fake->patience_ms *= 4;
    hang_broker(suite);
    fake_publish_numbers(suite->fake, topic, COUNT);
    fake_run_quietly(suite->fake, 50);
    assert_true(suite->fake->taken_count < COUNT);
    assert_int_equal(suite->fake->answered_count, 0);
    resume_broker(suite);
    assert_published(suite);
    assert_int_equal(suite->fake->taken_count, COUNT);
}

static void close_ends_although_the_broker_hangs(void **state)
{
    struct suite *suite = suite_of(state);
    require_hangs(suite);
    struct fl_slice topic = fake_topic(suite->fake, "close-hung");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("0"));
    assert_true(fake_wait_deliveries(subscription, 1));
    hang_broker(suite);
    struct fake_publish *publish = publish_until(suite, topic, "1", 60000);
    run_quietly(suite);
    fake_close(suite->fake, 50);
    assert_true(fake_wait_closed(suite->fake));
    assert_int_equal(publish->answers, 1);
    assert_int_not_equal(publish->code, FL_OK);
}

static const struct CMUnitTest broker_promises[] = {
    PROMISE(nothing_confirmed_is_lost_when_the_broker_is_killed),
    PROMISE(without_a_broker_publishing_fails_and_nothing_hangs),
    PROMISE(a_broker_may_come_and_go),
    PROMISE(closing_without_a_broker_is_quick),
    PROMISE(a_publish_is_answered_at_its_deadline),
    PROMISE(what_is_settled_while_the_broker_hangs_is_settled),
    PROMISE(outstanding_publishes_are_bounded),
    PROMISE(close_ends_although_the_broker_hangs),
};
