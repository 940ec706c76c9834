/* What the gateway may do inside a callback. A part of the connector suite.
 */

static void answer_with_a_publish(struct fake_delivery *delivery)
{
    struct fake_gateway *fake = delivery->subscription->fake;
    const struct fl_slice *target =
        delivery->subscription->head.state ? &fake->subscriptions[1]->head.topic : NULL;
    if (target)
        fake_publish(fake, *target, delivery->what.event->body);
    fake_accept(delivery);
}

static void the_gateway_may_settle_and_publish_while_it_hears(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice from = fake_topic(suite->fake, "from"), to = fake_topic(suite->fake, "to");
    struct fake_subscription *source = subscribe(suite, from, "g");
    struct fake_subscription *sink = subscribe_wide(suite, to, "g");
    source->on_delivery = answer_with_a_publish;
    sink->on_delivery = fake_accept;
    fake_window(source, 7, PLENTY);
    fake_publish_numbers(suite->fake, from, 300);
    assert_true(fake_wait_deliveries(sink, 300));
    assert_all_came(sink, 300);
    assert_published(suite);
}

static void accept_and_leave(struct fake_delivery *delivery)
{
    fake_accept(delivery);
    if (!delivery->subscription->has_left)
        fake_unsubscribe(delivery->subscription);
}

static void the_gateway_may_unsubscribe_while_it_hears(void **state)
{
    struct suite *suite = suite_of(state);
    struct fl_slice topic = fake_topic(suite->fake, "leave");
    struct fake_subscription *leaves = subscribe_wide(suite, topic, "g");
    struct fake_subscription *stays = subscribe_wide(suite, topic, "h");
    leaves->on_delivery = accept_and_leave;
    stays->on_delivery = fake_accept;
    fake_publish_numbers(suite->fake, topic, 200);
    assert_true(fake_wait_unsubscribed(leaves));
    assert_true(fake_wait_deliveries(stays, 200));
    assert_all_came(stays, 200);
}

static const struct CMUnitTest callbacks_promises[] = {
    PROMISE(the_gateway_may_settle_and_publish_while_it_hears),
    PROMISE(the_gateway_may_unsubscribe_while_it_hears),
};
