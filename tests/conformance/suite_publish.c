/* Publishing, and receiving what was published as it was. A part of the connector suite.
 */

static void the_type_is_well_formed(void **state)
{
    const struct connector_type *type = suite_of(state)->subject->type;
    assert_int_equal(type->interface, CONNECTOR_INTERFACE);
    assert_non_null(type->component_types[0]);
    assert_non_null(type->summary);
    assert_true(type->state_size >= sizeof(struct connector));
    assert_non_null(type->open);
    assert_non_null(type->close);
    assert_int_equal(type->subscribe != NULL, type->settle != NULL);
    assert_int_equal(type->subscribe != NULL, type->unsubscribe != NULL);
    assert_int_equal(type->subscribe != NULL, type->window != NULL);
    assert_true((type->traits.lease_ms > 0) == (type->extend != NULL));
}

static void what_is_published_is_received(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "orders");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish(suite->fake, topic, FL_SLICE_LIT("{\"hello\":\"world\"}"));
    assert_published(suite);
    assert_true(fake_wait_deliveries(subscription, 1));
    const struct connector_delivery *what = &subscription->deliveries[0]->what;
    assert_true(fl_slice_eq_str(what->event->body, "{\"hello\":\"world\"}"));
    assert_true(fl_slice_eq(what->topic, topic));
    assert_true(what->attempt <= 1);
    assert_lane(suite, what, false);
    fake_accept(last_of(subscription));
    run_quietly(suite);
    assert_int_equal(subscription->count, 1);
}

static void metadata_travels_beside_the_body(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->headers);
    static const struct ce_metadata metadata[] = {
        {FL_SLICE_LIT("colour"), FL_SLICE_LIT("bleu foncé")},
        {FL_SLICE_LIT("empty"), FL_SLICE_LIT("")},
        {FL_SLICE_LIT("Mixed-Case.Key"), FL_SLICE_LIT("a=b, c")},
    };
    struct ce_event *event = NULL;
    assert_int_equal(ce_event_new(FL_SLICE_LIT("body"), FL_SLICE_LIT("text/plain"), metadata, 3,
                                  &suite->fake->budget, &event),
                     FL_OK);
    struct fl_slice topic = fake_topic(suite->fake, "metadata");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    fake_publish_event(suite->fake, topic, event);
    assert_true(fake_wait_deliveries(subscription, 1));
    const struct ce_event *got = last_of(subscription)->what.event;
    for (size_t i = 0; i < 3; i++) {
        size_t at = 0;
        while (at < got->metadata_count && !fl_slice_eq(got->metadata[at].key, metadata[i].key))
            at++;
        assert_true(at < got->metadata_count);
        assert_true(fl_slice_eq(got->metadata[at].value, metadata[i].value));
    }
}

static void each_publish_is_answered_once_in_whatever_number(void **state)
{
    struct suite *suite = suite_of(state);
    fake_publish_numbers(suite->fake, fake_topic(suite->fake, "many"), 10000);
    assert_published(suite);
    run_quietly(suite);
    assert_int_equal(suite->fake->answered_count, 10000);
}

static void a_topic_without_subscribers_takes_messages(void **state)
{
    struct suite *suite = suite_of(state);
    fake_publish(suite->fake, fake_topic(suite->fake, "nobody"), FL_SLICE_LIT("x"));
    assert_published(suite);
}

/* Unless the connector names its alphabet, a topic may be any bytes. */
static void a_hundred_topics_do_not_mix(void **state)
{
    struct suite *suite = suite_of(state);
    static const char strange[] = " /.:#+>?%&=\"'\\{}[]()<>|;,!~^`$@\t\n\x01\x7f\xc3\xa9\xff";
    size_t any = suite->traits->topic_alphabet ? 0 : sizeof strange - 1;
    struct fake_subscription *subscriptions[100];
    struct fl_slice base = fake_topic(suite->fake, "t");
    for (size_t i = 0; i < 100; i++) {
        struct fl_slice topic =
            fl_slice_str(fl_arena_printf(&suite->fake->arena, "%.*s%zu%.*s", FL_SLICE_ARG(base), i,
                                         (int)(any && i % 2 ? 1 + i / 2 % any : 0), strange));
        subscriptions[i] = fake_subscribe(suite->fake, topic, "g", CONNECTOR_MODE_COMPETE);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_true(fake_wait_subscribed(subscriptions[i]));
        fake_window(subscriptions[i], 10, PLENTY);
    }
    for (size_t i = 0; i < 100; i++)
        fake_publish(suite->fake, subscriptions[i]->head.topic,
                     fl_slice_str(fl_arena_printf(&suite->fake->arena, "%zu", i)));
    for (size_t i = 0; i < 100; i++) {
        assert_true(fake_wait_deliveries(subscriptions[i], 1));
        assert_int_equal(fake_number(last_of(subscriptions[i])), i);
        assert_true(
            fl_slice_eq(last_of(subscriptions[i])->what.topic, subscriptions[i]->head.topic));
    }
    run_quietly(suite);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(subscriptions[i]->count, 1);
}

static void any_bytes_come_back_as_they_were(void **state)
{
    struct suite *suite = suite_of(state);
    size_t large = (size_t)1 << 20, limit = suite->traits->max_message_bytes;
    large = limit && limit / 2 < large ? limit / 2 : large;
    char *bytes = fl_alloc(large);
    for (size_t i = 0; i < large; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    struct fl_slice bodies[] = {
        FL_SLICE_LIT(""),         fl_slice_of("\0", 1),      FL_SLICE_LIT("null"),
        fl_slice_of("a\0b", 3),   fl_slice_of(bytes, 256),   FL_SLICE_LIT("\xff\xfe\r\n\r\n"),
        FL_SLICE_LIT("  { } \n"), fl_slice_of(bytes, large),
    };
    size_t count = sizeof bodies / sizeof *bodies;
    struct fl_slice topic = fake_topic(suite->fake, "bytes");
    struct fake_subscription *subscription = subscribe_wide(suite, topic, "g");
    for (size_t i = 0; i < count; i++) {
        fake_publish(suite->fake, topic, bodies[i]);
        assert_true(fake_wait_deliveries(subscription, i + 1));
        assert_true(fl_slice_eq(last_of(subscription)->what.event->body, bodies[i]));
        fake_accept(last_of(subscription));
    }
    assert_published(suite);
    fl_free(bytes);
}

/* All bytes in keys and values, many pairs, repeated keys: in order, whether the event comes from
 * the broker or straight from its publisher. */
static void any_metadata_comes_back_as_it_was(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(suite->traits->headers);
    enum { COUNT = 100 };
    struct ce_metadata metadata[COUNT];
    char *large = fl_alloc(65536), bytes[256];
    for (size_t i = 0; i < 256; i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < 65536; i++)
        large[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < COUNT; i++)
        metadata[i] = (struct ce_metadata){fl_slice_of(bytes + 1 + i * 2, 1 + i % 7),
                                           fl_slice_of(bytes + i, i)};
    metadata[COUNT - 4] = (struct ce_metadata){FL_SLICE_LIT("%41"), FL_SLICE_LIT("100%25+%zz%4")};
    metadata[COUNT - 3].key = metadata[COUNT - 2].key = FL_SLICE_LIT("twice");
    metadata[COUNT - 1] = (struct ce_metadata){FL_SLICE_LIT("large"), fl_slice_of(large, 65536)};
    struct fl_slice topic = fake_topic(suite->fake, "any-metadata");
    struct fake_subscription *subscriptions[] = {subscribe_wide(suite, topic, "now"),
                                                 subscribe(suite, topic, "later")};
    fake_publish_message(suite->fake, &(struct fake_message){.topic = topic,
                                                             .body = FL_SLICE_LIT("x"),
                                                             .metadata = metadata,
                                                             .metadata_count = COUNT});
    assert_published(suite);
    fake_window(subscriptions[1], 1, PLENTY);
    for (size_t i = 0; i < 2; i++) {
        assert_true(fake_wait_deliveries(subscriptions[i], 1));
        const struct ce_event *got = last_of(subscriptions[i])->what.event;
        assert_int_equal(got->metadata_count, COUNT);
        for (size_t j = 0; j < COUNT; j++) {
            assert_true(fl_slice_eq(got->metadata[j].key, metadata[j].key));
            assert_true(fl_slice_eq(got->metadata[j].value, metadata[j].value));
        }
    }
    fl_free(large);
}

/* The number of a body is in its first bytes, what follows is made of it. */
static struct fl_slice body_of(char *into, size_t number)
{
    size_t len = (size_t)snprintf(into, 16, "%zu ", number), until = len + number * 37 % 5000;
    for (uint32_t x = (uint32_t)number + 1; len < until; len++) {
        x = x * 1664525 + 1013904223;
        into[len] = (char)(x >> 24);
    }
    return fl_slice_of(into, len);
}

static void a_thousand_bodies_come_back_as_they_were(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "bodies");
    struct fake_subscription *subscriptions[] = {subscribe(suite, topic, "now"),
                                                 subscribe(suite, topic, "later")};
    char body[6000];
    subscriptions[0]->on_delivery = subscriptions[1]->on_delivery = fake_accept;
    fake_window(subscriptions[0], 50, PLENTY);
    for (size_t i = 0; i < 1000; i++)
        fake_publish(suite->fake, topic, body_of(body, i));
    assert_published(suite);
    fake_window(subscriptions[1], 50, PLENTY);
    for (size_t i = 0; i < 2; i++) {
        assert_true(fake_wait_deliveries(subscriptions[i], 1000));
        assert_all_came(subscriptions[i], 1000);
        for (size_t j = 0; j < 1000; j++) {
            const struct fake_delivery *delivery = subscriptions[i]->deliveries[j];
            assert_true(
                fl_slice_eq(delivery->what.event->body, body_of(body, fake_number(delivery))));
        }
    }
}

/* A name of exactly this many bytes. */
static struct fl_slice long_topic(struct suite *suite, size_t len, size_t number)
{
    struct fl_slice base = fake_topic(suite->fake, "longest");
    char *text = fl_arena_alloc(&suite->fake->arena, len + 1);
    memset(text, 'x', len);
    memcpy(text, base.data, base.len);
    text[len - 1] = (char)('a' + number % 26);
    return fl_slice_of(text, len);
}

static void topics_may_be_as_long_as_promised(void **state)
{
    struct suite *suite = suite_of(state);
    size_t most = suite->traits->max_topic_bytes ? suite->traits->max_topic_bytes : 2000;
    struct fake_subscription *subscriptions[100];
    for (size_t i = 0; i < 100; i++) {
        subscriptions[i] = subscribe_wide(suite, long_topic(suite, most, i), "g");
        fake_publish(suite->fake, subscriptions[i]->head.topic,
                     fl_slice_str(fl_arena_printf(&suite->fake->arena, "%zu", i)));
    }
    for (size_t i = 0; i < 100; i++) {
        assert_true(fake_wait_deliveries(subscriptions[i], 1));
        assert_int_equal(fake_number(last_of(subscriptions[i])), i);
    }
    assert_published(suite);
    /* A longer one is the connector's to refuse, and nothing else suffers from it. */
    fake_publish(suite->fake, long_topic(suite, most + 1, 0), FL_SLICE_LIT("x"));
    assert_true(fake_wait_answers(suite->fake));
    assert_true(suite->fake->is_up);
}

static void topics_that_differ_in_one_byte_do_not_mix(void **state)
{
    struct suite *suite = suite_of(state);
    REQUIRE(!suite->traits->topic_alphabet);
    static const char last[] = {'a', 'A', 0, '\n', '\x7f', '\x80', '\xff', '%'};
    struct fl_slice base = fake_topic(suite->fake, "differ");
    struct fake_subscription *subscriptions[sizeof last];
    for (size_t i = 0; i < sizeof last; i++) {
        char *text = fl_arena_strdup(&suite->fake->arena, base);
        text[base.len - 1] = last[i];
        subscriptions[i] = subscribe_wide(suite, fl_slice_of(text, base.len), "g");
    }
    for (size_t i = 0; i < sizeof last; i++)
        fake_publish(suite->fake, subscriptions[i]->head.topic,
                     fl_slice_str(fl_arena_printf(&suite->fake->arena, "%zu", i)));
    for (size_t i = 0; i < sizeof last; i++) {
        assert_true(fake_wait_deliveries(subscriptions[i], 1));
        assert_int_equal(fake_number(last_of(subscriptions[i])), i);
    }
    run_quietly(suite);
    for (size_t i = 0; i < sizeof last; i++)
        assert_int_equal(subscriptions[i]->count, 1);
}

/* The gateway gives a window when it hears `subscribed`, but it may do so before. */
static void a_window_may_come_before_the_answer(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "window-first");
    struct fake_subscription *first = subscribe_wide(suite, topic, "g");
    fake_publish_numbers(suite->fake, topic, 3);
    accept_until(first, 1);
    struct fake_subscription *second =
        fake_subscribe(suite->fake, topic, "other", CONNECTOR_MODE_COMPETE);
    second->on_delivery = fake_accept;
    fake_window(second, 10, PLENTY);
    fake_publish_numbers(suite->fake, topic, 3);
    assert_true(fake_wait_deliveries(second, 3));
}

static const struct CMUnitTest publish_promises[] = {
    PROMISE(the_type_is_well_formed),
    PROMISE(what_is_published_is_received),
    PROMISE(metadata_travels_beside_the_body),
    PROMISE(each_publish_is_answered_once_in_whatever_number),
    PROMISE(a_topic_without_subscribers_takes_messages),
    PROMISE(a_hundred_topics_do_not_mix),
    PROMISE(any_bytes_come_back_as_they_were),
    PROMISE(any_metadata_comes_back_as_it_was),
    PROMISE(a_thousand_bodies_come_back_as_they_were),
    PROMISE(topics_may_be_as_long_as_promised),
    PROMISE(topics_that_differ_in_one_byte_do_not_mix),
    PROMISE(a_window_may_come_before_the_answer),
};
