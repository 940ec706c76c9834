/* A connector that does what a test tells it, and logs what it hears: `pubsub.story`.
 *
 * features_test.py compiles it into a module beside a copy of the gateway. Messages live in one
 * array, each with the subscription of its topic, and are offered one attempt after the other. A
 * publish to the topic `control` with a raw body is an order:
 *
 *   down MS       the connection is lost, and comes back after MS milliseconds
 *   stall A B     no publish is taken; A milliseconds later the connection is lost for B more
 *   revoke LANE   the lane goes to somebody else
 *   fail N        the next N publishes fail and may be tried again
 *   no N          the next N publishes will never be taken
 *   later N MS    the next N publishes are answered after MS milliseconds
 *
 * A message with the metadata partitionKey=N is of lane N. Everything that the gateway says is one
 * line of the log that begins with "story:".
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "connectors/connector.h"
#include "net/loop.h"

enum { MOST_MESSAGES = 1000, MOST_SUBSCRIPTIONS = 16, MOST_ANSWERS = 1000 };

struct message {
    struct ce_event *event; /* NULL: settled for good */
    struct connector_subscription *subscription;
    uint64_t lane;
    uint64_t number; /* of the delivery that is out; 0: none is */
    uint32_t attempt;
};

struct settings {
    bool history, delays;
    int64_t lease_ms;
};

struct later;

struct story {
    struct connector connector;
    struct later *laters; /* answers that are due later */
    struct net_task task;
    struct net_timer up_timer, down_timer, late_timer;
    long down_ms;
    long failing, refusing, late, late_ms; /* publishes to come */
    bool is_up, is_closing, is_stalled;
    uint32_t last_number, generation;
    struct message messages[MOST_MESSAGES];
    size_t message_count;
    struct connector_subscription *subscriptions[MOST_SUBSCRIPTIONS];
    bool are_announced[MOST_SUBSCRIPTIONS];
    uint32_t most[MOST_SUBSCRIPTIONS]; /* the windows */
    size_t subscription_count;
    struct connector_published published[MOST_ANSWERS];
    size_t published_count;
    struct connector_invoked invoked;
    bool owes_invoked;
    uint64_t extended, settled;
};

#define SAY(story, ...) FL_INFO((story)->connector.host->log, "story", "story: " __VA_ARGS__)

static struct story *story_of(struct connector *connector)
{
    return (struct story *)connector;
}

static void wake(struct story *story)
{
    net_loop_defer(story->connector.host->loop, &story->task);
}

static const struct connector_callbacks *back(struct story *story)
{
    return story->connector.host->callbacks;
}

static void deliver_one(struct story *story, struct message *message)
{
    size_t at = (size_t)(message - story->messages);
    message->number = ++story->last_number;
    struct connector_delivery delivery = {
        .event = ce_event_hold(message->event),
        .topic = message->subscription->topic,
        .lane = message->lane,
        .attempt = message->attempt,
        .token = {{at, (uint64_t)story->generation << 32 | message->number}},
    };
    back(story)->deliver(&story->connector, message->subscription, &delivery, 1);
}

static void announce(struct story *story)
{
    for (size_t i = 0; i < story->subscription_count; i++) {
        if (story->are_announced[i])
            continue;
        story->are_announced[i] = true;
        back(story)->subscribed(&story->connector, story->subscriptions[i], NULL);
    }
}

static bool has_room(const struct story *story, size_t s)
{
    uint32_t out = 0;
    for (size_t i = 0; i < story->message_count; i++) {
        const struct message *message = &story->messages[i];
        out +=
            message->event && message->number && message->subscription == story->subscriptions[s];
    }
    return out < story->most[s];
}

static void deliver(struct story *story)
{
    for (size_t i = 0; i < story->message_count && story->is_up; i++) {
        struct message *message = &story->messages[i];
        for (size_t s = 0; s < story->subscription_count; s++) {
            if (message->event && message->number == 0 &&
                story->subscriptions[s] == message->subscription && has_room(story, s))
                deliver_one(story, message);
        }
    }
}

static void answer_all_later(struct story *story);

static void on_turn_end(struct net_task *task)
{
    struct story *story = FL_CONTAINER(task, struct story, task);
    struct connector *connector = &story->connector;
    size_t count = story->published_count;
    story->published_count = 0;
    if (count)
        back(story)->published(connector, story->published, count);
    if (story->owes_invoked) {
        story->owes_invoked = false;
        back(story)->invoked(connector, &story->invoked);
    }
    if (story->is_closing) {
        answer_all_later(story);
        for (size_t i = 0; i < story->message_count; i++)
            ce_event_release(&story->messages[i].event);
        net_timer_stop(connector->host->loop, &story->up_timer);
        net_timer_stop(connector->host->loop, &story->down_timer);
        net_timer_stop(connector->host->loop, &story->late_timer);
        back(story)->closed(connector);
        return;
    }
    announce(story);
    deliver(story);
}

/* --- orders --- */

static void go_down(struct story *story, long back_in_ms)
{
    struct fl_error error;
    fl_error_set(&error, FL_ERR_CLOSED, FL_CLASS_RETRY, "the story says so");
    story->is_up = false;
    story->generation++;
    for (size_t i = 0; i < story->message_count; i++)
        story->messages[i].number = 0;
    net_timer_start(story->connector.host->loop, &story->up_timer,
                    net_loop_now_ms(story->connector.host->loop) + back_in_ms);
    back(story)->state(&story->connector, false, &error);
}

static void on_down(struct net_timer *timer)
{
    struct story *story = FL_CONTAINER(timer, struct story, down_timer);
    go_down(story, story->down_ms);
}

static void stall(struct story *story, long for_ms, long down_ms)
{
    story->is_stalled = true;
    story->down_ms = down_ms;
    net_timer_start(story->connector.host->loop, &story->down_timer,
                    net_loop_now_ms(story->connector.host->loop) + for_ms);
}

static void on_up(struct net_timer *timer)
{
    struct story *story = FL_CONTAINER(timer, struct story, up_timer);
    story->is_up = true;
    story->is_stalled = false;
    back(story)->state(&story->connector, true, NULL);
    wake(story);
}

static void obey(struct story *story, struct fl_slice order)
{
    char text[64];
    long number = 0, other = 0;
    snprintf(text, sizeof text, "%.*s", FL_SLICE_ARG(order));
    sscanf(text, "%*s %ld %ld", &number, &other);
    SAY(story, "order %s", text);
    if (text[0] == 'd')
        go_down(story, number);
    if (text[0] == 's')
        stall(story, number, other);
    if (text[0] == 'f')
        story->failing = number;
    if (text[0] == 'n')
        story->refusing = number;
    if (text[0] == 'l') {
        story->late = number;
        story->late_ms = other;
    }
    for (size_t i = 0; text[0] == 'r' && i < story->subscription_count; i++)
        back(story)->revoked(&story->connector, story->subscriptions[i], (uint64_t)number, 0);
}

/* Orders are carried out at the end of a turn, as callbacks must be. */
struct order {
    struct net_task task;
    struct story *story;
    struct ce_event *event;
};

static void on_order(struct net_task *task)
{
    struct order *order = FL_CONTAINER(task, struct order, task);
    obey(order->story, order->event->body);
    ce_event_release(&order->event);
    fl_free(order);
}

/* --- slots --- */

static void store(struct story *story, const struct connector_publish *item)
{
    for (size_t s = 0; s < story->subscription_count; s++) {
        if (!fl_slice_eq(story->subscriptions[s]->topic, item->topic) ||
            story->message_count == MOST_MESSAGES)
            continue;
        struct message *message = &story->messages[story->message_count++];
        *message = (struct message){ce_event_hold(item->event), story->subscriptions[s], 0, 0, 1};
        if (item->partition_key.len)
            message->lane = (uint64_t)(item->partition_key.data[0] - '0');
    }
}

struct later {
    struct later *next;
    struct net_timer timer;
    struct story *story;
    struct connector_published answer;
};

static void on_later(struct net_timer *timer)
{
    struct later *later = FL_CONTAINER(timer, struct later, timer);
    struct later **at = &later->story->laters;
    while (*at != later)
        at = &(*at)->next;
    *at = later->next;
    back(later->story)->published(&later->story->connector, &later->answer, 1);
    fl_free(later);
}

static void answer_all_later(struct story *story)
{
    while (story->laters) {
        struct later *later = story->laters;
        net_timer_stop(story->connector.host->loop, &later->timer);
        on_later(&later->timer);
    }
}

static void answer_later(struct story *story, struct connector_published answer)
{
    struct later *later = fl_zalloc(sizeof *later);
    later->timer.expired = on_later;
    later->story = story;
    later->answer = answer;
    later->next = story->laters;
    story->laters = later;
    story->late--;
    net_timer_start(story->connector.host->loop, &later->timer,
                    net_loop_now_ms(story->connector.host->loop) + story->late_ms);
}

/* What was ordered for this publish; true: it is stored. */
static bool answer(struct story *story, void *token)
{
    struct connector_published answer = {.token = token};
    if (story->failing > 0 || story->refusing > 0) {
        answer.code = FL_ERR_REFUSED;
        answer.class = story->failing > 0 ? FL_CLASS_RETRY : FL_CLASS_REJECT;
        answer.text = "the story says no";
        story->failing > 0 ? story->failing-- : story->refusing--;
    }
    if (story->late > 0)
        answer_later(story, answer);
    else
        story->published[story->published_count++] = answer;
    return answer.code == FL_OK;
}

static size_t publish(struct connector *connector, const struct connector_publish *items,
                      size_t count)
{
    struct story *story = story_of(connector);
    size_t taken = 0;
    for (; taken < count && !story->is_stalled && story->published_count < MOST_ANSWERS; taken++) {
        SAY(story, "publish %.*s metadata %zu", FL_SLICE_ARG(items[taken].topic),
            items[taken].event->metadata_count);
        if (!fl_slice_eq_str(items[taken].topic, "control")) {
            if (answer(story, items[taken].token))
                store(story, &items[taken]);
            continue;
        }
        story->published[story->published_count++] =
            (struct connector_published){.token = items[taken].token};
        struct order *order = fl_zalloc(sizeof *order);
        order->task.run = on_order;
        order->story = story;
        order->event = ce_event_hold(items[taken].event);
        net_loop_defer(connector->host->loop, &order->task);
    }
    wake(story);
    return taken;
}

static void on_late(struct net_timer *timer)
{
    struct story *story = FL_CONTAINER(timer, struct story, late_timer);
    SAY(story, "late answer");
    back(story)->invoked(&story->connector, &story->invoked);
}

/* The id says what becomes of it. */
static enum fl_err invoke(struct connector *connector, const struct connector_call *call,
                          struct fl_error *error)
{
    static struct fl_error gone = {.code = FL_ERR_NOT_FOUND, .text = "gone"};
    struct story *story = story_of(connector);
    struct fl_slice topic = call->metadata[0].value, id = call->metadata[1].value;
    SAY(story, "%.*s %.*s of %.*s", FL_SLICE_ARG(call->operation), FL_SLICE_ARG(id),
        FL_SLICE_ARG(topic));
    if (fl_slice_eq_str(id, "odd"))
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT, "no");
    story->invoked = (struct connector_invoked){.token = call->token};
    if (fl_slice_eq_str(id, "gone"))
        story->invoked.error = &gone;
    if (fl_slice_eq_str(id, "late")) {
        net_timer_start(connector->host->loop, &story->late_timer, call->deadline_at_ms + 50);
    } else if (!fl_slice_eq_str(id, "silent")) {
        story->owes_invoked = true;
        wake(story);
    }
    return FL_OK;
}

static void subscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct story *story = story_of(connector);
    SAY(story, "subscribe %.*s mode %d start %d value %.*s", FL_SLICE_ARG(subscription->topic),
        subscription->mode, subscription->start, FL_SLICE_ARG(subscription->start_value));
    FL_ASSERT(story->subscription_count < MOST_SUBSCRIPTIONS);
    story->subscriptions[story->subscription_count++] = subscription;
    wake(story);
}

static void unsubscribe(struct connector *connector, struct connector_subscription *subscription)
{
    (void)connector;
    (void)subscription;
}

static void window(struct connector *connector, struct connector_subscription *subscription,
                   uint32_t messages, size_t bytes)
{
    struct story *story = story_of(connector);
    (void)bytes;
    for (size_t i = 0; i < story->subscription_count; i++) {
        if (story->subscriptions[i] == subscription)
            story->most[i] = messages;
    }
    wake(story);
}

static void settle(struct connector *connector, const struct connector_settlement *items,
                   size_t count)
{
    static const char *const words[] = {"accepted", "released", "modified", "rejected"};
    struct story *story = story_of(connector);
    for (size_t i = 0; i < count; i++) {
        struct message *message = &story->messages[items[i].token.word[0]];
        uint64_t number = (uint64_t)story->generation << 32 | message->number;
        bool is_now = message->number && items[i].token.word[1] == number;
        SAY(story, "settle %d %s%s", (int)items[i].token.word[0], words[items[i].outcome],
            is_now ? "" : " stale");
        if (!is_now)
            continue;
        story->settled++;
        message->number = 0;
        message->attempt += items[i].outcome == CONNECTOR_MODIFIED;
        if (items[i].outcome == CONNECTOR_ACCEPTED || items[i].outcome == CONNECTOR_REJECTED)
            ce_event_release(&message->event);
    }
    wake(story);
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
        story->extended += is_now;
    }
}

static void release_lane(struct connector *connector, struct connector_subscription *subscription,
                         uint64_t lane)
{
    SAY(story_of(connector), "release %d of %.*s", (int)lane, FL_SLICE_ARG(subscription->topic));
}

static enum fl_err open_story(struct connector *connector, struct fl_error *error)
{
    struct story *story = story_of(connector);
    (void)error;
    story->task.run = on_turn_end;
    story->up_timer.expired = on_up;
    story->down_timer.expired = on_down;
    story->late_timer.expired = on_late;
    story->generation = 1;
    net_timer_start(connector->host->loop, &story->up_timer,
                    net_loop_now_ms(connector->host->loop));
    return FL_OK;
}

static void close_story(struct connector *connector, int64_t deadline_at_ms)
{
    struct story *story = story_of(connector);
    (void)deadline_at_ms;
    SAY(story, "close while %s", story->is_up ? "up" : "down");
    story->is_closing = true;
    wake(story);
}

static void resolve_traits(const void *given, struct connector_traits *traits)
{
    const struct settings *settings = given;
    traits->history = settings->history;
    traits->delays = settings->delays;
    traits->lease_ms = settings->lease_ms;
}

static void read_counters(struct connector *connector, uint64_t *values)
{
    values[0] = story_of(connector)->extended;
    values[1] = story_of(connector)->settled;
    values[2] = story_of(connector)->generation;
}

static const char *const component_types[] = {"pubsub.story", NULL};

static const struct config_option component_options[] = {
    {.name = "history", .type = CONFIG_BOOL, .offset = offsetof(struct settings, history)},
    {.name = "delays", .type = CONFIG_BOOL, .offset = offsetof(struct settings, delays)},
    {.name = "leaseTime",
     .type = CONFIG_DURATION,
     .unit = "ms",
     .offset = offsetof(struct settings, lease_ms)},
    {.name = NULL},
};

static const struct config_option publish_options[] = {
    {.name = "delay", .type = CONFIG_DURATION, .unit = "s", .max = 3600000},
    {.name = "priority", .type = CONFIG_ENUM, .values = "low|high"},
    {.name = NULL},
};

static const struct connector_counter counters[] = {
    {"extended_total", "Leases that were extended", false},
    {"settled_total", "Deliveries that were settled", false},
    {"generation", "Times that it was connected", true},
    {NULL, NULL, false},
};

const struct connector_type fairlead_connector = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "Does what a test tells it.",
    .traits = {.competes = true, .order = CONNECTOR_ORDER_LANE},
    .state_size = sizeof(struct story),
    .settings_size = sizeof(struct settings),
    .component_options = component_options,
    .publish_options = publish_options,
    .resolve_traits = resolve_traits,
    .open = open_story,
    .close = close_story,
    .publish = publish,
    .invoke = invoke,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .window = window,
    .settle = settle,
    .extend = extend,
    .release_lane = release_lane,
    .counters = counters,
    .read_counters = read_counters,
};
