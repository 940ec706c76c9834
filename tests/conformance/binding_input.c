/* What an input binding promises. A part of the binding suite.
 */

static struct fake_subscription *subscribe(struct binding *binding)
{
    struct fake_subscription *subscription =
        fake_subscribe(binding->fake, FL_SLICE_NULL, NULL, CONNECTOR_MODE_COMPETE);
    assert_true(fake_wait_subscribed(subscription));
    return subscription;
}

static void cause(struct binding *binding)
{
    if (binding->subject->cause)
        binding->subject->cause(binding->subject);
}

/* An event more than there were. */
static void await_event(struct binding *binding, struct fake_subscription *subscription)
{
    size_t before = subscription->count;
    cause(binding);
    assert_true(fake_wait_deliveries(subscription, before + 1));
}

/* Reads with this window and has one event, unsettled. */
static struct fake_subscription *read_one(struct binding *binding, uint32_t window)
{
    struct fake_subscription *subscription = subscribe(binding);
    fake_window(subscription, window, WIDE_BYTES);
    await_event(binding, subscription);
    return subscription;
}

static void events_come_and_are_accepted(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription = subscribe(binding);
    subscription->on_delivery = fake_accept;
    fake_window(subscription, 10, WIDE_BYTES);
    for (int i = 0; i < 3; i++)
        await_event(binding, subscription);
}

static void an_event_that_was_refused_stops_no_later_one(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription = subscribe(binding);
    fake_window(subscription, 1, WIDE_BYTES);
    for (int i = 0; i < 2; i++) {
        await_event(binding, subscription);
        fake_settle(subscription->deliveries[subscription->count - 1], CONNECTOR_MODIFIED, 0);
    }
    await_event(binding, subscription);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
}

static void nothing_comes_before_the_first_window(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription = subscribe(binding);
    subscription->on_delivery = fake_accept;
    cause(binding);
    run_quietly(binding);
    assert_int_equal(subscription->count, 0);
    fake_window(subscription, 1, WIDE_BYTES);
    await_event(binding, subscription);
}

static void a_window_of_zero_pauses(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription = subscribe(binding);
    subscription->on_delivery = fake_accept;
    fake_window(subscription, 10, WIDE_BYTES);
    await_event(binding, subscription);
    fake_window(subscription, 0, 0);
    size_t before = subscription->count;
    cause(binding);
    run_quietly(binding);
    assert_int_equal(subscription->count, before);
    fake_window(subscription, 10, WIDE_BYTES);
    await_event(binding, subscription);
}

static void the_window_is_kept_while_events_are_unsettled(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription = read_one(binding, 1);
    cause(binding);
    run_quietly(binding);
    assert_int_equal(subscription->most_in_flight, 1);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    await_event(binding, subscription);
}

static void leaving_waits_for_what_is_unsettled(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription = read_one(binding, 1);
    fake_unsubscribe(subscription);
    run_quietly(binding);
    assert_int_equal(subscription->unsubscribed, 0);
    fake_settle_all(subscription, CONNECTOR_ACCEPTED);
    assert_true(fake_wait_unsubscribed(subscription));
}

static void after_leaving_one_may_come_again(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *gone = subscribe(binding);
    gone->on_delivery = fake_accept;
    fake_window(gone, 1, WIDE_BYTES);
    fake_unsubscribe(gone);
    assert_true(fake_wait_unsubscribed(gone));
    struct fake_subscription *back = subscribe(binding);
    back->on_delivery = fake_accept;
    fake_window(back, 1, WIDE_BYTES);
    await_event(binding, back);
}

static void leaving_at_once_is_answered(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription =
        fake_subscribe(binding->fake, FL_SLICE_NULL, NULL, CONNECTOR_MODE_COMPETE);
    fake_unsubscribe(subscription);
    assert_true(fake_wait_unsubscribed(subscription));
}

static void accept_and_leave(struct fake_delivery *delivery)
{
    fake_accept(delivery);
    if (!delivery->subscription->has_left)
        fake_unsubscribe(delivery->subscription);
}

static void the_gateway_may_leave_while_it_hears(void **state)
{
    struct binding *binding = *state;
    struct fake_subscription *subscription = subscribe(binding);
    subscription->on_delivery = accept_and_leave;
    fake_window(subscription, 10, WIDE_BYTES);
    await_event(binding, subscription);
    assert_true(fake_wait_unsubscribed(subscription));
}

static const struct CMUnitTest input_promises[] = {
    PROMISE(events_come_and_are_accepted),
    PROMISE(an_event_that_was_refused_stops_no_later_one),
    PROMISE(nothing_comes_before_the_first_window),
    PROMISE(a_window_of_zero_pauses),
    PROMISE(the_window_is_kept_while_events_are_unsettled),
    PROMISE(leaving_waits_for_what_is_unsettled),
    PROMISE(after_leaving_one_may_come_again),
    PROMISE(leaving_at_once_is_answered),
    PROMISE(the_gateway_may_leave_while_it_hears),
};
