/* An input binding that does what a test tells it, and logs what it hears: `bindings.story`.
 *
 * input_test.py compiles it into a module beside a copy of the gateway. Orders are calls of its
 * output side; `ms`, `count`, `lane` are metadata of the call:
 *
 *   emit     `count` events (1), of lane `lane` (0); their bytes are the data of the call (none for
 *            null), their metadata is what begins with "x:"
 *   down     the connection is lost, and comes back after `ms`
 *   revoke   lane `lane` goes to somebody else
 *   refuse   the next `count` subscribes fail
 *
 * What the application refuses is forgotten, as a clock's ticks are, unless `redelivers` is set:
 * then it is offered again after its delay; with `hurries` at once, whatever the delay. With
 * `abandons` it does not wait for settlements when it is left: its source has everything back.
 * Everything that the gateway says is one line of the log that begins with "story:". */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "connectors/connector.h"
#include "net/loop.h"

enum { MOST_MESSAGES = 2000, MOST_EXTRAS = 16, MOST_DELIVERIES = 2000 };

struct message {
    struct ce_event *event; /* NULL: settled for good */
    uint64_t lane;
    uint64_t number; /* of the delivery that is out; 0: none is */
    uint32_t attempt;
    int64_t due_ms;
};

struct settings {
    bool redelivers, hurries, abandons;
    int64_t lease_ms, window;
};

struct story {
    struct connector connector;
    struct net_task task;
    struct net_timer up_timer, due_timer;
    bool is_up, is_closing;
    bool is_announced, is_leaving;
    long refusals;
    uint32_t last_number, generation, most, out_count;
    struct message messages[MOST_MESSAGES];
    size_t message_count;
    struct connector_subscription *subscription;
    struct connector_invoked invoked[MOST_DELIVERIES];
    size_t invoked_count;
    long down_ms; /* an order; -1: none */
    long revoked; /* an order; -1: none */
};

#define SAY(story, ...) FL_INFO((story)->connector.host->log, "story", "story: " __VA_ARGS__)

static struct story *story_of(struct connector *connector)
{
    return (struct story *)connector;
}

static const struct settings *settings_of(const struct story *story)
{
    return story->connector.settings;
}

static struct net_loop *loop_of(const struct story *story)
{
    return story->connector.host->loop;
}

static void wake(struct story *story)
{
    net_loop_defer(loop_of(story), &story->task);
}

static const struct connector_callbacks *back(const struct story *story)
{
    return story->connector.host->callbacks;
}

/* --- a turn --- */

static void deliver(struct story *story)
{
    struct connector_delivery batch[MOST_DELIVERIES];
    size_t count = 0;
    int64_t now = net_loop_now_ms(loop_of(story)), next = INT64_MAX;
    bool may = story->is_up && story->subscription && !story->is_leaving;
    for (size_t i = 0; i < story->message_count && may; i++) {
        struct message *message = &story->messages[i];
        if (!message->event || message->number)
            continue;
        if (message->due_ms > now) {
            next = message->due_ms < next ? message->due_ms : next;
            continue;
        }
        if (story->out_count >= story->most)
            break;
        message->number = ++story->last_number;
        story->out_count++;
        batch[count++] = (struct connector_delivery){
            .event = ce_event_hold(message->event),
            .lane = message->lane,
            .attempt = message->attempt,
            .token = {{i, (uint64_t)story->generation << 32 | message->number}}};
    }
    if (next != INT64_MAX)
        net_timer_start(loop_of(story), &story->due_timer, next);
    if (count)
        back(story)->deliver(&story->connector, story->subscription, batch, count);
}

static void announce(struct story *story)
{
    static struct fl_error no = {
        .code = FL_ERR_REFUSED, .class = FL_CLASS_RETRY, .text = "the story says no"};
    struct connector_subscription *subscription = story->subscription;
    if (!subscription || story->is_announced)
        return;
    bool is_refused = story->refusals > 0;
    story->refusals -= is_refused;
    story->is_announced = true;
    if (is_refused)
        story->subscription = NULL;
    back(story)->subscribed(&story->connector, subscription, is_refused ? &no : NULL);
}

static void take_back(struct story *story)
{
    story->out_count = 0;
    for (size_t i = 0; i < story->message_count; i++)
        story->messages[i].number = 0;
}

static void leave(struct story *story)
{
    struct connector_subscription *subscription = story->subscription;
    if (story->is_leaving && settings_of(story)->abandons)
        take_back(story);
    if (!story->is_leaving || story->out_count)
        return;
    story->is_leaving = false;
    story->subscription = NULL;
    SAY(story, "left");
    back(story)->unsubscribed(&story->connector, subscription);
}

static void go_down(struct story *story)
{
    struct fl_error error;
    fl_error_set(&error, FL_ERR_CLOSED, FL_CLASS_RETRY, "the story says so");
    story->is_up = false;
    story->generation++;
    take_back(story);
    net_timer_start(loop_of(story), &story->up_timer,
                    net_loop_now_ms(loop_of(story)) + story->down_ms);
    story->down_ms = -1;
    back(story)->state(&story->connector, false, &error);
}

static void answer_calls(struct story *story)
{
    for (size_t i = 0; i < story->invoked_count; i++)
        back(story)->invoked(&story->connector, &story->invoked[i]);
    story->invoked_count = 0;
}

static void on_turn_end(struct net_task *task)
{
    struct story *story = FL_CONTAINER(task, struct story, task);
    answer_calls(story);
    if (story->is_closing) {
        for (size_t i = 0; i < story->message_count; i++)
            ce_event_release(&story->messages[i].event);
        net_timer_stop(loop_of(story), &story->up_timer);
        net_timer_stop(loop_of(story), &story->due_timer);
        back(story)->closed(&story->connector);
        return;
    }
    if (story->down_ms >= 0)
        go_down(story);
    if (story->revoked >= 0) {
        uint64_t lane = (uint64_t)story->revoked;
        story->revoked = -1;
        back(story)->revoked(&story->connector, story->subscription, lane, INT64_MAX);
    }
    announce(story);
    leave(story);
    deliver(story);
}

static void on_up(struct net_timer *timer)
{
    struct story *story = FL_CONTAINER(timer, struct story, up_timer);
    story->is_up = true;
    back(story)->state(&story->connector, true, NULL);
    wake(story);
}

static void on_due(struct net_timer *timer)
{
    wake(FL_CONTAINER(timer, struct story, due_timer));
}

/* --- orders --- */

static long number_of(const struct connector_call *call, const char *name, long otherwise)
{
    for (size_t i = 0; i < call->metadata_count; i++) {
        if (fl_slice_eq_str(call->metadata[i].key, name))
            return strtol(call->metadata[i].value.data, NULL, 10);
    }
    return otherwise;
}

static void emit(struct story *story, const struct connector_call *call)
{
    struct ce_metadata extras[MOST_EXTRAS];
    size_t count = 0;
    for (size_t i = 0; i < call->metadata_count && count < MOST_EXTRAS; i++) {
        struct ce_metadata pair = call->metadata[i];
        if (!fl_slice_starts_with(pair.key, FL_SLICE_LIT("x:")))
            continue;
        pair.key = fl_slice_of(pair.key.data + 2, pair.key.len - 2);
        extras[count++] = pair;
    }
    struct fl_slice body = fl_slice_eq_str(call->data, "null") ? fl_slice_of("", 0) : call->data;
    for (long n = number_of(call, "count", 1); n > 0; n--) {
        if (story->message_count == MOST_MESSAGES)
            return;
        struct message message = {.lane = (uint64_t)number_of(call, "lane", 0), .attempt = 1};
        if (ce_event_new(body, FL_SLICE_NULL, extras, count, story->connector.host->budget,
                         &message.event) == FL_OK)
            story->messages[story->message_count++] = message;
    }
}

static enum fl_err invoke(struct connector *connector, const struct connector_call *call,
                          struct fl_error *error)
{
    struct story *story = story_of(connector);
    if (story->invoked_count == MOST_DELIVERIES)
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY, "too many orders");
    SAY(story, "order %.*s", FL_SLICE_ARG(call->operation));
    if (fl_slice_eq_str(call->operation, "emit"))
        emit(story, call);
    else if (fl_slice_eq_str(call->operation, "down"))
        story->down_ms = number_of(call, "ms", 0);
    else if (fl_slice_eq_str(call->operation, "revoke"))
        story->revoked = number_of(call, "lane", 0);
    else
        story->refusals = number_of(call, "count", 1);
    story->invoked[story->invoked_count++] = (struct connector_invoked){.token = call->token};
    wake(story);
    return FL_OK;
}

/* --- reading --- */

static void subscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct story *story = story_of(connector);
    SAY(story, "subscribe%s", story->subscription ? " twice" : "");
    story->subscription = subscription;
    story->is_announced = story->is_leaving = false;
    story->most = 0;
    wake(story);
}

static void unsubscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct story *story = story_of(connector);
    SAY(story, "unsubscribe%s", story->subscription == subscription ? "" : " of nothing");
    story->is_leaving = true;
    wake(story);
}

static void window(struct connector *connector, struct connector_subscription *subscription,
                   uint32_t messages, size_t bytes)
{
    struct story *story = story_of(connector);
    (void)subscription;
    SAY(story, "window %u %zu", messages, bytes);
    story->most = messages;
    wake(story);
}

static void settle_one(struct story *story, const struct connector_settlement *item)
{
    static const char *const words[] = {"accepted", "released", "modified", "rejected"};
    const struct connector_traits *traits = &story->connector.traits;
    struct message *message = &story->messages[item->token.word[0]];
    uint64_t number = (uint64_t)story->generation << 32 | message->number;
    bool is_now = message->number && item->token.word[1] == number && story->subscription;
    SAY(story, "settle %d %s after %lld%s", (int)item->token.word[0], words[item->outcome],
        (long long)item->delay_ms, is_now ? "" : " stale");
    if (!is_now)
        return;
    story->out_count--;
    message->number = 0;
    bool comes_again = item->outcome == CONNECTOR_RELEASED ||
                       (item->outcome == CONNECTOR_MODIFIED && !traits->forgets);
    message->attempt += item->outcome == CONNECTOR_MODIFIED;
    message->due_ms = net_loop_now_ms(loop_of(story)) + (traits->delays ? item->delay_ms : 0);
    if (!comes_again)
        ce_event_release(&message->event);
}

static void settle(struct connector *connector, const struct connector_settlement *items,
                   size_t count)
{
    for (size_t i = 0; i < count; i++)
        settle_one(story_of(connector), &items[i]);
    wake(story_of(connector));
}

static void extend(struct connector *connector, struct connector_subscription *subscription,
                   const struct connector_token *tokens, size_t count)
{
    struct story *story = story_of(connector);
    (void)subscription;
    for (size_t i = 0; i < count; i++) {
        const struct message *message = &story->messages[tokens[i].word[0]];
        uint64_t number = (uint64_t)story->generation << 32 | message->number;
        bool is_now = message->number && tokens[i].word[1] == number;
        SAY(story, "extend %d%s", (int)tokens[i].word[0], is_now ? "" : " stale");
    }
}

static void release_lane(struct connector *connector, struct connector_subscription *subscription,
                         uint64_t lane)
{
    struct story *story = story_of(connector);
    (void)subscription;
    SAY(story, "release %d", (int)lane);
    for (size_t i = 0; i < story->message_count; i++) {
        struct message *message = &story->messages[i];
        if (message->lane != lane || !message->event)
            continue;
        story->out_count -= message->number != 0;
        message->number = 0;
        ce_event_release(&message->event);
    }
    wake(story);
}

/* --- life --- */

static enum fl_err open_story(struct connector *connector, struct fl_error *error)
{
    struct story *story = story_of(connector);
    (void)error;
    story->task.run = on_turn_end;
    story->up_timer.expired = on_up;
    story->due_timer.expired = on_due;
    story->generation = 1;
    story->down_ms = story->revoked = -1;
    net_timer_start(connector->host->loop, &story->up_timer,
                    net_loop_now_ms(connector->host->loop));
    return FL_OK;
}

static void close_story(struct connector *connector, int64_t deadline_at_ms)
{
    struct story *story = story_of(connector);
    (void)deadline_at_ms;
    SAY(story, "close with %u out", story->out_count);
    story->is_closing = true;
    wake(story);
}

static void resolve_traits(const void *given, struct connector_traits *traits)
{
    const struct settings *settings = given;
    traits->lease_ms = settings->lease_ms;
    traits->window_messages = (uint32_t)settings->window;
    traits->delays = settings->redelivers;
    traits->forgets = !settings->redelivers && !settings->hurries;
}

static const char *const component_types[] = {"bindings.story", NULL};
static const char *const operations[] = {"emit", "down", "revoke", "refuse", NULL};

static const struct config_option component_options[] = {
    {.name = "redelivers", .type = CONFIG_BOOL, .offset = offsetof(struct settings, redelivers)},
    {.name = "hurries", .type = CONFIG_BOOL, .offset = offsetof(struct settings, hurries)},
    {.name = "abandons", .type = CONFIG_BOOL, .offset = offsetof(struct settings, abandons)},
    {.name = "leaseTime",
     .type = CONFIG_DURATION,
     .unit = "ms",
     .offset = offsetof(struct settings, lease_ms)},
    {.name = "window",
     .type = CONFIG_INT,
     .max = 100000,
     .offset = offsetof(struct settings, window)},
    {.name = NULL},
};

const struct connector_type fairlead_connector = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "Does what a test tells it.",
    .operations = operations,
    .traits = {.competes = true, .order = CONNECTOR_ORDER_LANE},
    .state_size = sizeof(struct story),
    .settings_size = sizeof(struct settings),
    .component_options = component_options,
    .resolve_traits = resolve_traits,
    .open = open_story,
    .close = close_story,
    .invoke = invoke,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .window = window,
    .settle = settle,
    .extend = extend,
    .release_lane = release_lane,
};
