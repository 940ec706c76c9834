/* Messages that expire, and messages that are published later. A part of the connector suite.
 *
 * Instants of the broker are of the wall clock, those of a test of the monotonic one; SLACK_MS is
 * what the two may differ by over the seconds of a test.
 */

enum { SLACK_MS = 20 };

/* `ttl` is in seconds, or a duration. */
static struct fake_publish *publish_for(struct suite *suite, const char *ttl, struct fl_slice topic,
                                        const char *body, const char *key)
{
    struct ce_metadata metadata = {FL_SLICE_LIT("ttlInSeconds"), fl_slice_str(ttl)};
    return fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                                    .body = fl_slice_str(body),
                                                                    .key = fl_slice_str(key),
                                                                    .metadata = &metadata,
                                                                    .metadata_count = 1});
}

/* --- time to live --- */

static void what_is_taken_in_time_is_delivered(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->ttl);
    struct fl_slice topic = fake_topic(suite->fake, "in-time");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    int64_t before_ms = now_ms(suite);
    publish_for(suite, "1", topic, "1", NULL);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("2"));
    accept_until(subscription, 1);
    accept_until(subscription, now_ms(suite) - before_ms < 900 ? 2 : 1);
}

static void what_expires_while_it_waits_is_not_delivered(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->ttl);
    struct fl_slice topic = fake_topic(suite->fake, "expired");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    publish_for(suite, "1", topic, "1", NULL);
    publish_for(suite, "300ms", topic, "2", "lane");
    fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                             .body = FL_SLICE_LIT("3"),
                                                             .key = FL_SLICE_LIT("lane")});
    fake_publish(suite->fake, topic, FL_SLICE_LIT("4"));
    assert_published(suite);
    fake_run_quietly(suite->fake, 1000 + SLACK_MS);
    fake_window(subscription, 10, PLENTY);
    accept_until(subscription, 2);
    run_quietly(suite);
    assert_int_equal(subscription->count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_true(fake_number(subscription->deliveries[i]) > 2);
}

static void what_expires_before_it_is_tried_again_is_gone(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->ttl && suite->traits->delays);
    struct fl_slice topic = fake_topic(suite->fake, "expired-retry");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    publish_for(suite, "1", topic, "1", "lane");
    assert_true(fake_wait_deliveries(subscription, 1));
    fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                             .body = FL_SLICE_LIT("2"),
                                                             .key = FL_SLICE_LIT("lane")});
    fake_settle(last_of(subscription), CONNECTOR_MODIFIED, 1000 + SLACK_MS);
    /* Its lane goes on without it. */
    assert_true(fake_wait_deliveries(subscription, 2));
    assert_int_equal(fake_number(last_of(subscription)), 2);
    fake_accept(last_of(subscription));
    run_quietly(suite);
    assert_int_equal(subscription->count, 2);
}

/* --- published later --- */

static void require_delays(const struct suite *suite)
{
    const struct config_option *row = suite->subject->type->publish_options;
    while (row && row->name && strcmp(row->name, "delay") != 0)
        row++;
    REQUIRE(row && row->name);
}

static struct fake_publish *publish_with(struct suite *suite, struct fl_slice topic,
                                         const char *body, const char *key, const char *value)
{
    struct ce_metadata metadata = {fl_slice_str(key), fl_slice_str(value)};
    return fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                                    .body = fl_slice_str(body),
                                                                    .metadata = &metadata,
                                                                    .metadata_count = 1});
}

static void a_delayed_message_comes_when_it_is_due(void **state)
{
    struct suite *suite = suite_of(state);
    require_delays(suite);
    struct fl_slice topic = fake_topic(suite->fake, "delay");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    int64_t before_ms = now_ms(suite);
    char at[40];
    publish_with(suite, topic, "300", "delay", "300ms");
    publish_with(suite, topic, "100", "delay", "100ms");
    write_time(fl_clock_wall_ns() / 1000000 + 200, at, sizeof at);
    publish_with(suite, topic, "200", "deliverAt", at);
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 3));
    run_quietly(suite);
    assert_int_equal(subscription->count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct fake_delivery *delivery = subscription->deliveries[i];
        assert_int_equal(fake_number(delivery), 100 * (i + 1));
        assert_true(delivery->at_ms - before_ms >= 100 * (int64_t)(i + 1) - SLACK_MS);
        assert_attempt(delivery, 1);
    }
}

static void what_is_due_already_comes_at_once(void **state)
{
    struct suite *suite = suite_of(state);
    require_delays(suite);
    struct fl_slice topic = fake_topic(suite->fake, "due");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    publish_with(suite, topic, "1", "deliverAt", "2001-09-09T01:46:40Z");
    publish_with(suite, topic, "2", "delay", "0s");
    publish_with(suite, topic, "3", "delay", "");
    accept_until(subscription, 3);
    run_quietly(suite);
    assert_int_equal(subscription->count, 3);
}

static void a_delay_that_means_nothing_is_refused(void **state)
{
    struct suite *suite = suite_of(state);
    require_delays(suite);
    struct fl_slice topic = fake_topic(suite->fake, "bad-delay");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    static const char *const bad[][2] = {
        {"delay", "soon"},
        {"delay", "5 minutes"},
        {"deliverAt", "tomorrow"},
        {"deliverAt", "2030-01-31"},
        {"deliverAt", "2030-02-31T00:00:00Z"},
    };
    enum { COUNT = sizeof bad / sizeof *bad };
    for (size_t i = 0; i < COUNT; i++)
        publish_with(suite, topic, "1", bad[i][0], bad[i][1]);
    fake_publish(suite->fake, topic, FL_SLICE_LIT("2"));
    assert_true(fake_wait_answers(suite->fake));
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_not_equal(suite->fake->publishes[i]->code, FL_OK);
        assert_int_equal(suite->fake->publishes[i]->class, FL_CLASS_REJECT);
    }
    assert_int_equal(suite->fake->publishes[COUNT]->code, FL_OK);
    accept_until(subscription, 1);
    run_quietly(suite);
    assert_int_equal(subscription->count, 1);
}

/* Its publisher's other metadata stays; the wish is fulfilled and goes. */
static void a_delayed_message_is_as_it_was(void **state)
{
    struct suite *suite = suite_of(state);
    require_delays(suite);
    REQUIRE(suite->traits->headers);
    struct fl_slice topic = fake_topic(suite->fake, "delayed-metadata");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    static const struct ce_metadata metadata[] = {{FL_SLICE_LIT("colour"), FL_SLICE_LIT("blue")},
                                                  {FL_SLICE_LIT("delay"), FL_SLICE_LIT("20ms")},
                                                  {FL_SLICE_LIT("size"), FL_SLICE_LIT("")}};
    fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                             .body = fl_slice_of("a\0\xff", 3),
                                                             .key = FL_SLICE_LIT("k"),
                                                             .metadata = metadata,
                                                             .metadata_count = 3});
    assert_true(fake_wait_deliveries(subscription, 1));
    const struct connector_delivery *what = &last_of(subscription)->what;
    assert_true(fl_slice_eq(what->event->body, fl_slice_of("a\0\xff", 3)));
    assert_true(fl_slice_eq_str(what->event->content_type, "text/plain"));
    assert_int_equal(what->event->metadata_count, 2);
    assert_true(fl_slice_eq_str(what->event->metadata[0].value, "blue"));
    assert_true(fl_slice_eq_str(what->event->metadata[1].key, "size"));
    assert_lane(suite, what, true);
}

/* Counted from when it is published: the delay does not use it up. */
static void a_delayed_message_has_its_time_to_live(void **state)
{
    struct suite *suite = suite_of(state);
    require_delays(suite);
    REQUIRE(suite->traits->ttl);
    struct fl_slice topic = fake_topic(suite->fake, "delayed-ttl");
    struct fake_subscription *now = subscribe_wide(suite, topic, "now");
    struct fake_subscription *late = subscribe(suite, topic, "late");
    static const struct ce_metadata metadata[] = {
        {FL_SLICE_LIT("delay"), FL_SLICE_LIT("400ms")},
        {FL_SLICE_LIT("ttlInSeconds"), FL_SLICE_LIT("300ms")}};
    fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                             .body = FL_SLICE_LIT("1"),
                                                             .metadata = metadata,
                                                             .metadata_count = 2});
    assert_published(suite);
    assert_true(fake_wait_deliveries(now, 1));
    fake_run_quietly(suite->fake, 300 + SLACK_MS);
    fake_window(late, 10, PLENTY);
    run_quietly(suite);
    assert_int_equal(late->count, 0);
}

static enum fl_err cancel(struct suite *suite, struct fl_slice topic, const char *id)
{
    struct ce_metadata metadata[] = {{FL_SLICE_LIT("topic"), topic},
                                     {FL_SLICE_LIT("id"), fl_slice_str(id)}};
    struct fake_call call;
    assert_true(fake_invoke(suite->fake, "cancel", metadata, 2, &call));
    return call.code;
}

static void a_delayed_message_can_be_taken_back_once(void **state)
{
    struct suite *suite = suite_of(state);
    require_delays(suite);
    struct fl_slice topic = fake_topic(suite->fake, "take-back");
    struct fl_slice other = fake_topic(suite->fake, "take-back-not");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    static const struct ce_metadata raw[] = {
        {FL_SLICE_LIT("delay"), FL_SLICE_LIT("250ms")},
        {FL_SLICE_LIT("cloudevent.id"), FL_SLICE_LIT("raw-1")}};
    publish_with(suite, topic, "{\"specversion\":\"1.0\",\"id\":\"event-1\",\"source\":\"s\"}",
                 "delay", "250ms");
    fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                             .body = FL_SLICE_LIT("1"),
                                                             .metadata = raw,
                                                             .metadata_count = 2});
    publish_with(suite, topic, "2", "delay", "250ms");
    assert_published(suite);
    int64_t before_ms = now_ms(suite);
    assert_int_equal(cancel(suite, other, "event-1"), FL_ERR_NOT_FOUND);
    assert_int_equal(cancel(suite, topic, ""), FL_ERR_NOT_FOUND);
    enum fl_err first = cancel(suite, topic, "event-1"), second = cancel(suite, topic, "raw-1");
    if (now_ms(suite) - before_ms < 200) {
        assert_int_equal(first, FL_OK);
        assert_int_equal(second, FL_OK);
    }
    assert_int_equal(cancel(suite, topic, "event-1"), FL_ERR_NOT_FOUND);
    size_t expected = (first != FL_OK) + (second != FL_OK) + 1u;
    assert_true(fake_wait_deliveries(subscription, expected));
    run_quietly(suite);
    assert_int_equal(subscription->count, expected);
    assert_int_equal(cancel(suite, topic, "raw-1"), FL_ERR_NOT_FOUND);
}

static void a_delayed_message_outlives_its_gateway(void **state)
{
    struct suite *suite = suite_of(state);
    require_delays(suite);
    REQUIRE(suite->traits->survives_process);
    struct fl_slice topic = lasting_topic(suite, "delay-restart");
    struct fake_subscription *subscription = subscribe(suite, topic, "g");
    int64_t before_ms = now_ms(suite);
    publish_with(suite, topic, "1", "delay", "400ms");
    assert_published(suite);
    fake_unsubscribe(subscription);
    assert_true(fake_wait_unsubscribed(subscription));
    restart(suite);
    subscription = subscribe_wide(suite, topic, "g");
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_true(last_of(subscription)->at_ms - before_ms >= 400 - SLACK_MS);
}

static void what_cannot_be_done_is_answered_so(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->subject->type->invoke);
    struct fake_call call;
    assert_true(fake_invoke(suite->fake, "no such operation", NULL, 0, &call));
    assert_int_equal(call.code, FL_ERR_UNSUPPORTED);
    assert_true(fake_invoke(suite->fake, "", NULL, 0, &call));
    assert_int_equal(call.code, FL_ERR_UNSUPPORTED);
}

static const struct CMUnitTest time_promises[] = {
    PROMISE(what_is_taken_in_time_is_delivered),
    PROMISE(what_expires_while_it_waits_is_not_delivered),
    PROMISE(what_expires_before_it_is_tried_again_is_gone),
    PROMISE(a_delayed_message_comes_when_it_is_due),
    PROMISE(what_is_due_already_comes_at_once),
    PROMISE(a_delay_that_means_nothing_is_refused),
    PROMISE(a_delayed_message_is_as_it_was),
    PROMISE(a_delayed_message_has_its_time_to_live),
    PROMISE(a_delayed_message_can_be_taken_back_once),
    PROMISE(a_delayed_message_outlives_its_gateway),
    PROMISE(what_cannot_be_done_is_answered_so),
};
