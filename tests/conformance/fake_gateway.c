/* The gateway's side of the connector interface, for tests; see the header.
 *
 * The line of publishes is offered as a whole; what the connector does not take is offered again
 * after `writable`. Each delivery is kept for the whole test, so that its token can be settled
 * again, and so that order and attempts can be compared afterwards.
 */
#include "tests/conformance/fake_gateway.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/random.h"
#include "config/option.h"

void fake_complain(struct fake_gateway *fake, const char *format, ...)
{
    if (fake->complaint[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(fake->complaint, sizeof fake->complaint, format, args);
    va_end(args);
}

static struct fake_gateway *fake_of(struct connector *connector)
{
    return connector->context;
}

static void enter(struct fake_gateway *fake)
{
    fake->inside++;
}

static void leave(struct fake_gateway *fake)
{
    fake->inside--;
}

/* Room for one more pointer behind `count` others: the array doubles. */
static void *grow(void *array, size_t count)
{
    return count & (count - 1) ? array
                               : fl_realloc(array, sizeof(void *) * (count ? count * 2 : 1));
}

/* Opens every callback. */
static void hear(struct fake_gateway *fake, const char *what)
{
    if (fake->inside)
        fake_complain(fake, "%s was called inside a call", what);
    if (fake->closed)
        fake_complain(fake, "%s was called after closed", what);
}

/* Ends every callback. */
static void check_condition(struct fake_gateway *any)
{
    struct fake_gateway *fake = any->root;
    if (fake->condition && fake->condition(fake->condition_object, fake->condition_number))
        net_loop_stop(fake->loop);
}

/* --- waiting --- */

static void on_patience(struct net_timer *timer)
{
    net_loop_stop(FL_CONTAINER(timer, struct fake_gateway, timer)->loop);
}

static void run_for(struct fake_gateway *any, int64_t duration_ms)
{
    struct fake_gateway *fake = any->root;
    net_timer_start(fake->loop, &fake->timer, net_loop_now_ms(fake->loop) + duration_ms);
    net_loop_run(fake->loop);
    net_timer_stop(fake->loop, &fake->timer);
}

bool fake_wait(struct fake_gateway *any, fake_condition_fn *condition, const void *object,
               size_t number)
{
    struct fake_gateway *fake = any->root;
    if (condition(object, number))
        return true;
    fake->condition = condition;
    fake->condition_object = object;
    fake->condition_number = number;
    run_for(fake, any->patience_ms);
    fake->condition = NULL;
    return condition(object, number);
}

void fake_run_quietly(struct fake_gateway *fake, int64_t duration_ms)
{
    run_for(fake, duration_ms);
}

static bool is_up(const void *object, size_t number)
{
    const struct fake_gateway *fake = object;
    return fake->is_up == (number != 0);
}

bool fake_wait_up(struct fake_gateway *fake)
{
    return fake_wait(fake, is_up, fake, 1);
}

bool fake_wait_down(struct fake_gateway *fake)
{
    return fake_wait(fake, is_up, fake, 0);
}

/* --- what is in flight --- */

static void count_out(struct fake_delivery *delivery)
{
    struct fake_subscription *subscription = delivery->subscription;
    subscription->in_flight--;
    subscription->in_flight_bytes -= delivery->what.event->body.len;
}

static bool is_out(const struct fake_delivery *delivery)
{
    return !delivery->is_settled && !delivery->is_lost;
}

/* Those that were touched last at `until_ms` or before are not ours any more. */
static void lose(struct fake_subscription *subscription, int64_t until_ms)
{
    for (size_t i = 0; i < subscription->count; i++) {
        struct fake_delivery *delivery = subscription->deliveries[i];
        if (!is_out(delivery) || delivery->touched_ms > until_ms)
            continue;
        delivery->is_lost = true;
        count_out(delivery);
    }
}

void fake_extend(struct fake_delivery *delivery)
{
    struct fake_gateway *fake = delivery->subscription->fake;
    delivery->touched_ms = net_loop_now_ms(fake->loop);
    enter(fake);
    fake->connector->type->extend(fake->connector, &delivery->subscription->head,
                                  &delivery->what.token, 1);
    leave(fake);
}

static void extend_all(struct fake_gateway *fake)
{
    for (size_t i = 0; i < fake->subscription_count; i++) {
        struct fake_subscription *subscription = fake->subscriptions[i];
        for (size_t j = 0; j < subscription->count && subscription->in_flight; j++) {
            if (is_out(subscription->deliveries[j]) && !subscription->unsubscribed)
                fake_extend(subscription->deliveries[j]);
        }
    }
}

static void start_extend_timer(struct fake_gateway *fake)
{
    if (fake->connector->traits.lease_ms)
        net_timer_start(fake->loop, &fake->extend_timer,
                        net_loop_now_ms(fake->loop) + fake->connector->traits.lease_ms / 3);
}

static void on_extend(struct net_timer *timer)
{
    struct fake_gateway *fake = FL_CONTAINER(timer, struct fake_gateway, extend_timer);
    if (fake->is_up && !fake->is_hung && !fake->closed)
        extend_all(fake);
    start_extend_timer(fake);
}

/* --- what the connector says --- */

static void on_state(struct connector *connector, bool is_up, const struct fl_error *error)
{
    struct fake_gateway *fake = fake_of(connector);
    hear(fake, "state");
    if (is_up == (error != NULL))
        fake_complain(fake, "state: an error stands beside %s",
                      is_up ? "up" : "no reason for down");
    /* It may say more than once why it is down. */
    if (is_up && fake->is_up)
        fake_complain(fake, "state: told twice that it is up");
    fake->ups += is_up;
    fake->downs += !is_up && fake->is_up;
    fake->is_up = is_up;
    for (size_t i = 0; i < fake->subscription_count && !is_up; i++)
        lose(fake->subscriptions[i], INT64_MAX);
    check_condition(fake);
}

static void on_published(struct connector *connector, const struct connector_published *items,
                         size_t count)
{
    struct fake_gateway *fake = fake_of(connector);
    hear(fake, "published");
    for (size_t i = 0; i < count; i++) {
        struct fake_publish *publish = items[i].token;
        if (publish->answers++)
            fake_complain(fake, "a publish was answered twice");
        if ((items[i].code == FL_OK) != (items[i].text == NULL))
            fake_complain(fake, "published: a text stands beside success, or none beside failure");
        publish->code = items[i].code;
        publish->class = items[i].class;
        ce_event_release(&publish->what.event);
        fake->answered_count++;
    }
    check_condition(fake);
}

static void offer_line(struct fake_gateway *fake)
{
    size_t count = fake->publish_count - fake->taken_count;
    if (!count || fake->is_line_stopped)
        return;
    struct connector_publish *items = fl_alloc(sizeof *items * count);
    for (size_t i = 0; i < count; i++)
        items[i] = fake->publishes[fake->taken_count + i]->what;
    enter(fake);
    size_t taken = fake->connector->type->publish(fake->connector, items, count);
    leave(fake);
    if (taken > count)
        fake_complain(fake, "publish took more than it was given");
    fake->taken_count += taken < count ? taken : count;
    fake->is_line_stopped = taken < count;
    fl_free(items);
}

static void on_writable(struct connector *connector)
{
    struct fake_gateway *fake = fake_of(connector);
    hear(fake, "writable");
    fake->is_line_stopped = false;
    offer_line(fake);
    check_condition(fake);
}

static void on_invoked(struct connector *connector, const struct connector_invoked *answer)
{
    struct fake_gateway *fake = fake_of(connector);
    struct fake_call *call = answer->token;
    hear(fake, "invoked");
    if (call->answers++)
        fake_complain(fake, "invoked was called twice");
    call->code = answer->error ? answer->error->code : FL_OK;
    call->class = answer->error ? answer->error->class : FL_CLASS_RETRY;
    call->data = fl_arena_copy(&fake->arena, answer->data);
    check_condition(fake);
}

static void on_subscribed(struct connector *connector, struct connector_subscription *head,
                          const struct fl_error *error)
{
    struct fake_gateway *fake = fake_of(connector);
    struct fake_subscription *subscription = head->context;
    hear(fake, "subscribed");
    if (subscription->subscribed++)
        fake_complain(fake, "subscribed was called twice");
    subscription->has_failed = error != NULL;
    check_condition(fake);
}

static void on_unsubscribed(struct connector *connector, struct connector_subscription *head)
{
    struct fake_gateway *fake = fake_of(connector);
    struct fake_subscription *subscription = head->context;
    hear(fake, "unsubscribed");
    if (!subscription->has_left)
        fake_complain(fake, "unsubscribed was called, nobody asked");
    if (subscription->unsubscribed++)
        fake_complain(fake, "unsubscribed was called twice");
    check_condition(fake);
}

static void watch_window(struct fake_subscription *subscription, size_t body_len)
{
    struct fake_gateway *fake = subscription->fake;
    if (subscription->has_left)
        fake_complain(fake, "a delivery came after unsubscribe");
    if (!subscription->subscribed)
        fake_complain(fake, "a delivery came before subscribed");
    int64_t lease_ms = fake->connector->traits.lease_ms;
    if (lease_ms && (subscription->in_flight >= subscription->window_messages ||
                     subscription->in_flight_bytes >= subscription->window_bytes))
        lose(subscription, net_loop_now_ms(fake->loop) - lease_ms * 4 / 5);
    if (subscription->in_flight >= subscription->window_messages)
        fake_complain(fake, "a delivery came beyond a window of %u messages",
                      subscription->window_messages);
    if (subscription->in_flight && subscription->in_flight_bytes >= subscription->window_bytes)
        fake_complain(fake, "a delivery came beyond a window of %zu bytes",
                      subscription->window_bytes);
    subscription->in_flight++;
    subscription->in_flight_bytes += body_len;
    if (subscription->in_flight > subscription->most_in_flight)
        subscription->most_in_flight = subscription->in_flight;
    if (subscription->in_flight_bytes > subscription->most_in_flight_bytes)
        subscription->most_in_flight_bytes = subscription->in_flight_bytes;
}

static struct fake_delivery *note_delivery(struct fake_subscription *subscription,
                                           const struct connector_delivery *item)
{
    struct fake_gateway *fake = subscription->fake;
    struct fake_delivery *delivery = FL_ARENA_NEW(&fake->arena, struct fake_delivery);
    delivery->what = *item;
    delivery->what.topic = fl_arena_copy(&fake->arena, item->topic);
    delivery->subscription = subscription;
    delivery->at_ms = delivery->touched_ms = net_loop_now_ms(fake->loop);
    subscription->deliveries = grow(subscription->deliveries, subscription->count);
    subscription->deliveries[subscription->count++] = delivery;
    return delivery;
}

static void on_deliver(struct connector *connector, struct connector_subscription *head,
                       const struct connector_delivery *items, size_t count)
{
    struct fake_gateway *fake = fake_of(connector);
    struct fake_subscription *subscription = head->context;
    hear(fake, "deliver");
    /* The whole batch is noted first: the connector has counted it against the window. */
    size_t first = subscription->count;
    for (size_t i = 0; i < count; i++) {
        watch_window(subscription, items[i].event->body.len);
        note_delivery(subscription, &items[i]);
    }
    for (size_t i = first; i < first + count && subscription->on_delivery; i++)
        subscription->on_delivery(subscription->deliveries[i]);
    check_condition(fake);
}

static void on_revoked(struct connector *connector, struct connector_subscription *head,
                       uint64_t lane, int64_t until_at_ms)
{
    (void)until_at_ms;
    struct fake_gateway *fake = fake_of(connector);
    struct fake_subscription *subscription = head->context;
    hear(fake, "revoked");
    for (size_t i = 0; i < subscription->count; i++) {
        struct fake_delivery *delivery = subscription->deliveries[i];
        if (delivery->what.lane == lane && is_out(delivery)) {
            delivery->is_settled = true;
            count_out(delivery);
        }
    }
    enter(fake);
    connector->type->release_lane(connector, head, lane);
    leave(fake);
    check_condition(fake);
}

static void on_backlog(struct connector *connector, const struct connector_backlog *what,
                       void *token)
{
    struct fake_gateway *fake = fake_of(connector);
    struct fake_backlog *backlog = token;
    hear(fake, "backlog");
    backlog->what = *what;
    if (backlog->answers++)
        fake_complain(fake, "backlog was answered twice");
    check_condition(fake);
}

static void on_closed(struct connector *connector)
{
    struct fake_gateway *fake = fake_of(connector);
    hear(fake, "closed");
    if (fake->answered_count != fake->taken_count)
        fake_complain(fake, "closed came before %zu publishes were answered",
                      fake->taken_count - fake->answered_count);
    fake->closed++;
    check_condition(fake);
}

static const struct connector_callbacks callbacks = {
    .state = on_state,
    .published = on_published,
    .invoked = on_invoked,
    .writable = on_writable,
    .subscribed = on_subscribed,
    .unsubscribed = on_unsubscribed,
    .deliver = on_deliver,
    .revoked = on_revoked,
    .backlog = on_backlog,
    .closed = on_closed,
};

/* --- life --- */

static enum fl_err bind_settings(struct fake_gateway *fake, const struct connector_type *type,
                                 const struct config_value *values, size_t value_count,
                                 struct fl_error *error)
{
    struct config_option_target target = {.rows = type->component_options, .into = fake->settings};
    struct config_bind how = {.owner = "suite", .arena = &fake->arena, .is_strict = true};
    enum fl_err err = config_options_bind(&target, 1, values, value_count, &how, error);
    return !err && type->check ? type->check(fake->settings, error) : err;
}

static enum fl_err open_connector(struct fake_gateway *fake, const struct connector_type *type,
                                  struct fl_error *error)
{
    fake->connector = fl_zalloc(type->state_size);
    *fake->connector = (struct connector){
        .type = type,
        .host = &fake->host,
        .traits = type->traits,
        .name = FL_SLICE_LIT("suite"),
        .log_name = "suite",
        .settings = fake->settings,
        .consumer_id = FL_SLICE_LIT("suite"),
        .context = fake,
    };
    if (type->resolve_traits)
        type->resolve_traits(fake->settings, &fake->connector->traits);
    enter(fake);
    enum fl_err err = type->open(fake->connector, error);
    leave(fake);
    return err;
}

static void free_memory(struct fake_gateway **fake)
{
    struct fake_gateway *old = *fake;
    if (old->loop)
        net_timer_stop(old->loop, &old->extend_timer);
    if (old->root == old)
        net_loop_free(&old->loop);
    fl_free(old->connector);
    fl_free(old->settings);
    fl_free(old->publishes);
    fl_free(old->subscriptions);
    fl_arena_fini(&old->arena);
    FL_FREE(*fake);
}

/* Opens the connector on the loop that is there; gives everything back on failure. */
static struct fake_gateway *open_fake(struct fake_gateway *fake, const struct connector_type *type,
                                      const struct config_value *values, size_t value_count,
                                      struct fl_error *error)
{
    fake->timer.expired = on_patience;
    fake->extend_timer.expired = on_extend;
    fake->settings = fl_zalloc(type->settings_size + 1);
    fl_budget_init(&fake->budget, (size_t)256 << 20);
    fl_log_init(&fake->log, "0");
    fake->log.level = FL_LOG_FATAL;
    fake->host = (struct connector_host){
        .callbacks = &callbacks,
        .loop = fake->loop,
        .log = &fake->log,
        .budget = &fake->budget,
        .app_id = FL_SLICE_LIT("suite"),
    };
    if (bind_settings(fake, type, values, value_count, error) || open_connector(fake, type, error))
        free_memory(&fake);
    else
        start_extend_timer(fake);
    return fake;
}

struct fake_gateway *fake_gateway_new(const struct connector_type *type,
                                      const struct config_value *values, size_t value_count,
                                      int64_t patience_ms, int64_t quiet_ms, struct fl_error *error)
{
    struct fake_gateway *fake = fl_zalloc(sizeof *fake);
    fake->root = fake;
    fake->patience_ms = patience_ms;
    fake->quiet_ms = quiet_ms;
    if (net_loop_new(&fake->loop, error)) {
        fl_free(fake);
        return NULL;
    }
    return open_fake(fake, type, values, value_count, error);
}

struct fake_gateway *fake_gateway_new_for_suite(const struct connector_type *type,
                                                const struct config_value *values,
                                                size_t value_count, int64_t patience_ms,
                                                int64_t quiet_ms)
{
    struct fl_error error = {0};
    struct fake_gateway *fake =
        fake_gateway_new(type, values, value_count, patience_ms ? patience_ms : 5000,
                         quiet_ms ? quiet_ms : 20, &error);
    if (!fake)
        fprintf(stderr, "open: %s\n", error.text);
    return fake;
}

struct fake_gateway *fake_gateway_beside(struct fake_gateway *first,
                                         const struct config_value *values, size_t value_count,
                                         struct fl_error *error)
{
    struct fake_gateway *fake = fl_zalloc(sizeof *fake);
    fake->root = first->root;
    fake->loop = first->loop;
    fake->patience_ms = first->patience_ms;
    fake->quiet_ms = first->quiet_ms;
    return open_fake(fake, first->connector->type, values, value_count, error);
}

static void give_back_all(struct fake_gateway *fake)
{
    for (size_t i = 0; i < fake->subscription_count; i++) {
        struct fake_subscription *subscription = fake->subscriptions[i];
        if (subscription->has_failed)
            continue;
        if (!subscription->has_left)
            fake_unsubscribe(subscription);
        if (!subscription->unsubscribed)
            fake_settle_all(subscription, CONNECTOR_ACCEPTED);
        if (!fake_wait_unsubscribed(subscription))
            fake_complain(fake, "unsubscribed did not come");
    }
}

static void release_events(struct fake_gateway *fake)
{
    for (size_t i = 0; i < fake->publish_count; i++)
        ce_event_release(&fake->publishes[i]->what.event);
    for (size_t i = 0; i < fake->subscription_count; i++) {
        struct fake_subscription *subscription = fake->subscriptions[i];
        for (size_t j = 0; j < subscription->count; j++)
            ce_event_release(&subscription->deliveries[j]->what.event);
        fl_free(subscription->deliveries);
    }
}

void fake_gateway_free(struct fake_gateway **fake, char *complaint, size_t room)
{
    struct fake_gateway *old = *fake;
    if (!old->closed) {
        give_back_all(old);
        fake_close(old, old->patience_ms);
        if (!fake_wait_closed(old))
            fake_complain(old, "closed did not come");
    }
    /* Whatever the connector deferred after its goodbye shows here. */
    fake_run_quietly(old, 1);
    release_events(old);
    if (old->closed && old->budget.used_bytes != 0)
        fake_complain(old, "%zu bytes stay charged", old->budget.used_bytes);
    snprintf(complaint, room, "%s", old->complaint);
    free_memory(fake);
}

struct fl_slice fake_topic(struct fake_gateway *fake, const char *name)
{
    return fl_slice_str(fl_arena_printf(&fake->arena, "suite-%llx-%s",
                                        (unsigned long long)fl_random_below(UINT64_MAX), name));
}

/* --- publishing --- */

static struct fake_publish *add_to_line(struct fake_gateway *fake, struct fl_slice topic,
                                        struct fl_slice key, int64_t deadline_ms,
                                        struct ce_event *event)
{
    struct fake_publish *publish = FL_ARENA_NEW(&fake->arena, struct fake_publish);
    publish->what = (struct connector_publish){
        .topic = fl_arena_copy(&fake->arena, topic),
        .event = event,
        .partition_key = key.len ? fl_arena_copy(&fake->arena, key) : FL_SLICE_NULL,
        .deadline_at_ms =
            net_loop_now_ms(fake->loop) + (deadline_ms ? deadline_ms : fake->patience_ms),
        .token = publish,
    };
    fake->publishes = grow(fake->publishes, fake->publish_count);
    fake->publishes[fake->publish_count++] = publish;
    return publish;
}

static void line_up(struct fake_gateway *fake, const struct fake_message *message)
{
    struct ce_event *event = NULL;
    enum fl_err err = ce_event_new(message->body, FL_SLICE_LIT("text/plain"), message->metadata,
                                   message->metadata_count, &fake->budget, &event);
    FL_ASSERT(err == FL_OK);
    add_to_line(fake, message->topic, message->key, message->deadline_ms, event)->what.is_urgent =
        message->is_urgent;
}

struct fake_publish *fake_publish_event(struct fake_gateway *fake, struct fl_slice topic,
                                        struct ce_event *event)
{
    struct fake_publish *publish = add_to_line(fake, topic, FL_SLICE_NULL, 0, event);
    offer_line(fake);
    return publish;
}

struct fake_publish *fake_publish_message(struct fake_gateway *fake,
                                          const struct fake_message *message)
{
    line_up(fake, message);
    struct fake_publish *publish = fake->publishes[fake->publish_count - 1];
    offer_line(fake);
    return publish;
}

struct fake_publish *fake_publish(struct fake_gateway *fake, struct fl_slice topic,
                                  struct fl_slice body)
{
    return fake_publish_message(fake, &(struct fake_message){.topic = topic, .body = body});
}

void fake_publish_keyed(struct fake_gateway *fake, struct fl_slice topic, size_t count, size_t keys)
{
    char text[24], key[24];
    for (size_t i = 0; i < count; i++) {
        struct fake_message message = {.topic = topic};
        message.body = fl_slice_of(text, (size_t)snprintf(text, sizeof text, "%zu", i));
        if (keys)
            message.key = fl_slice_of(key, (size_t)snprintf(key, sizeof key, "key-%zu", i % keys));
        line_up(fake, &message);
    }
    offer_line(fake);
}

void fake_publish_numbers(struct fake_gateway *fake, struct fl_slice topic, size_t count)
{
    fake_publish_keyed(fake, topic, count, 0);
}

static bool is_answered(const void *object, size_t number)
{
    const struct fake_gateway *fake = object;
    return fake->answered_count >= number;
}

bool fake_wait_answers(struct fake_gateway *fake)
{
    return fake_wait(fake, is_answered, fake, fake->publish_count);
}

size_t fake_number(const struct fake_delivery *delivery)
{
    char text[24] = {0};
    struct fl_slice body = delivery->what.event->body;
    memcpy(text, body.data, body.len < sizeof text - 1 ? body.len : sizeof text - 1);
    return strtoul(text, NULL, 10);
}

/* --- subscribing --- */

static struct fake_subscription *add_subscription(struct fake_gateway *fake,
                                                  const struct connector_subscription *head)
{
    struct fake_subscription *subscription = FL_ARENA_NEW(&fake->arena, struct fake_subscription);
    subscription->fake = fake;
    subscription->head = *head;
    subscription->head.topic = fl_arena_copy(&fake->arena, head->topic);
    subscription->head.start_value = fl_arena_copy(&fake->arena, head->start_value);
    subscription->head.context = subscription;
    fake->subscriptions = grow(fake->subscriptions, fake->subscription_count);
    fake->subscriptions[fake->subscription_count++] = subscription;
    enter(fake);
    fake->connector->type->subscribe(fake->connector, &subscription->head);
    leave(fake);
    return subscription;
}

struct fake_subscription *fake_subscribe(struct fake_gateway *fake, struct fl_slice topic,
                                         const char *group, enum connector_mode mode)
{
    return add_subscription(fake, &(struct connector_subscription){
                                      .topic = topic, .group = fl_slice_str(group), .mode = mode});
}

struct fake_subscription *fake_subscribe_from(struct fake_gateway *fake, struct fl_slice topic,
                                              const char *group, enum connector_start start,
                                              const char *value)
{
    return add_subscription(fake,
                            &(struct connector_subscription){.topic = topic,
                                                             .group = fl_slice_str(group),
                                                             .start = start,
                                                             .start_value = fl_slice_str(value)});
}

void fake_window(struct fake_subscription *subscription, uint32_t messages, size_t bytes)
{
    struct fake_gateway *fake = subscription->fake;
    subscription->window_messages = messages;
    subscription->window_bytes = bytes;
    enter(fake);
    fake->connector->type->window(fake->connector, &subscription->head, messages, bytes);
    leave(fake);
}

void fake_settle(struct fake_delivery *delivery, enum connector_outcome outcome, int64_t delay_ms)
{
    struct fake_subscription *subscription = delivery->subscription;
    struct fake_gateway *fake = subscription->fake;
    if (is_out(delivery))
        count_out(delivery);
    delivery->is_settled = true;
    struct connector_settlement item = {
        .subscription = &subscription->head,
        .token = delivery->what.token,
        .outcome = outcome,
        .delay_ms = delay_ms,
    };
    enter(fake);
    fake->connector->type->settle(fake->connector, &item, 1);
    leave(fake);
}

void fake_settle_all(struct fake_subscription *subscription, enum connector_outcome outcome)
{
    for (size_t i = 0; i < subscription->count; i++) {
        if (!subscription->deliveries[i]->is_settled)
            fake_settle(subscription->deliveries[i], outcome, 0);
    }
}

void fake_accept(struct fake_delivery *delivery)
{
    fake_settle(delivery, CONNECTOR_ACCEPTED, 0);
}

void fake_unsubscribe(struct fake_subscription *subscription)
{
    struct fake_gateway *fake = subscription->fake;
    subscription->has_left = true;
    enter(fake);
    fake->connector->type->unsubscribe(fake->connector, &subscription->head);
    leave(fake);
}

static bool is_subscribed(const void *object, size_t number)
{
    const struct fake_subscription *subscription = object;
    return subscription->subscribed >= number;
}

bool fake_wait_subscribed(struct fake_subscription *subscription)
{
    return fake_wait(subscription->fake, is_subscribed, subscription, 1) &&
           !subscription->has_failed;
}

static bool is_unsubscribed(const void *object, size_t number)
{
    const struct fake_subscription *subscription = object;
    return subscription->unsubscribed >= number;
}

bool fake_wait_unsubscribed(struct fake_subscription *subscription)
{
    return fake_wait(subscription->fake, is_unsubscribed, subscription, 1);
}

static bool has_deliveries(const void *object, size_t number)
{
    const struct fake_subscription *subscription = object;
    return subscription->count >= number;
}

bool fake_wait_deliveries(struct fake_subscription *subscription, size_t count)
{
    return fake_wait(subscription->fake, has_deliveries, subscription, count);
}

static bool has_backlog(const void *object, size_t number)
{
    const struct fake_backlog *backlog = object;
    return backlog->answers >= number;
}

bool fake_ask_backlog(struct fake_gateway *fake, struct fl_slice topic, struct fl_slice group,
                      struct fake_backlog *backlog)
{
    *backlog = (struct fake_backlog){0};
    enter(fake);
    fake->connector->type->backlog(fake->connector, topic, group, backlog);
    leave(fake);
    return fake_wait(fake, has_backlog, backlog, 1);
}

static bool is_call_answered(const void *object, size_t number)
{
    const struct fake_call *call = object;
    return call->answers >= number;
}

bool fake_invoke(struct fake_gateway *fake, const char *operation,
                 const struct ce_metadata *metadata, size_t metadata_count, struct fake_call *call)
{
    struct connector_call what = {.operation = fl_slice_str(operation),
                                  .metadata = metadata,
                                  .metadata_count = metadata_count,
                                  .deadline_at_ms = net_loop_now_ms(fake->loop) + fake->patience_ms,
                                  .token = call};
    struct fl_error error = {0};
    *call = (struct fake_call){0};
    enter(fake);
    enum fl_err err = fake->connector->type->invoke(fake->connector, &what, &error);
    leave(fake);
    if (err) {
        *call = (struct fake_call){.answers = 1, .code = err, .class = error.class};
        return true;
    }
    return fake_wait(fake, is_call_answered, call, 1);
}

void fake_close(struct fake_gateway *fake, int64_t after_ms)
{
    enter(fake);
    fake->connector->type->close(fake->connector, net_loop_now_ms(fake->loop) + after_ms);
    leave(fake);
}

static bool is_closed(const void *object, size_t number)
{
    const struct fake_gateway *fake = object;
    return fake->closed >= number;
}

bool fake_wait_closed(struct fake_gateway *fake)
{
    return fake_wait(fake, is_closed, fake, 1);
}
