/* The loop's side of pubsub.sqlite: what the gateway asks, and what it is told.
 *
 * What one turn of the loop brings is gathered in one cn_work, which a deferred task sends to the
 * session; the session's cn_answer is unpacked here, and all callbacks come from there. So nothing
 * calls back from inside a call.
 *
 * Two things are decided here although the session does the work. A publish is answered at its
 * deadline whether or not the session has come to it; the item stays until the session gives it
 * back, since it may be reading it. And a delivery that was on its way when its window changed, or
 * its subscription left, is given back at once, so the gateway never gets more than it allowed.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "connectors/sqlite/sqlite_priv.h"

enum {
    MOST_FREE_ITEMS = 1024,
    SMALL_ITEM = 128, /* bytes of topic and key in an item that is kept for later */
    DELIVERY_BATCH = 64,
    MOST_PEEK = 10000,
};

/* --- work --- */

static struct cn_work *work_of(struct cn_sqlite *sqlite)
{
    if (!sqlite->work) {
        sqlite->work = fl_zalloc(sizeof *sqlite->work);
        fl_list_init(&sqlite->work->publishes);
        fl_list_init(&sqlite->work->changes);
        net_loop_defer(sqlite->connector.host->loop, &sqlite->send);
    }
    return sqlite->work;
}

static void on_send(struct net_task *task)
{
    struct cn_sqlite *sqlite = FL_CONTAINER(task, struct cn_sqlite, send);
    struct cn_work *work = sqlite->work;
    sqlite->work = NULL;
    if (work)
        connector_session_post(sqlite->session, &work->entry);
}

void cn_work_free(struct cn_work *work)
{
    fl_free(work->settlements);
    fl_free(work->extensions);
    fl_free(work);
}

static struct cn_change *add_change(struct cn_sqlite *sqlite, enum cn_change_kind kind,
                                    struct cn_feed *feed)
{
    struct cn_change *change = fl_zalloc(sizeof *change);
    change->kind = kind;
    change->feed = feed;
    fl_list_add_last(&work_of(sqlite)->changes, &change->link);
    return change;
}

void cn_change_free(struct cn_change *change)
{
    fl_buffer_fini(&change->text);
    fl_buffer_fini(&change->data);
    fl_free(change);
}

/* --- publishing --- */

static struct cn_item *new_item(struct cn_sqlite *sqlite, size_t room)
{
    struct fl_list *first = room <= SMALL_ITEM ? fl_list_first(&sqlite->free_items) : NULL;
    if (first) {
        fl_list_remove(first);
        sqlite->free_item_count--;
        return FL_LIST_ENTRY(first, struct cn_item, link);
    }
    room = room < SMALL_ITEM ? SMALL_ITEM : room;
    struct cn_item *item = fl_zalloc(sizeof *item + room);
    item->room = (uint32_t)room;
    return item;
}

/* The session is done with it, and it was answered. */
static void free_item(struct cn_sqlite *sqlite, struct cn_item *item)
{
    fl_list_remove(&item->link);
    ce_event_release(&item->event);
    fl_free(item->note);
    if (item->room != SMALL_ITEM || sqlite->free_item_count == MOST_FREE_ITEMS) {
        fl_free(item);
        return;
    }
    uint32_t room = item->room;
    memset(item, 0, sizeof *item);
    item->room = room;
    fl_list_add_first(&sqlite->free_items, &item->link);
    sqlite->free_item_count++;
}

/* Kept in the order of deadlines, which is nearly always that of taking. */
static void join_line(struct cn_sqlite *sqlite, struct cn_item *item)
{
    struct fl_list *line = &sqlite->outstanding, *next = line;
    while (next->prev != line &&
           FL_LIST_ENTRY(next->prev, struct cn_item, outstanding)->deadline_at_ms >
               item->deadline_at_ms)
        next = next->prev;
    fl_list_add_last(next, &item->outstanding);
    sqlite->outstanding_count++;
    if (line->next == &item->outstanding)
        net_timer_start(sqlite->connector.host->loop, &sqlite->deadline_timer,
                        item->deadline_at_ms);
}

static void add_item(struct cn_sqlite *sqlite, const struct connector_publish *publish)
{
    struct cn_item *item = new_item(sqlite, publish->topic.len + publish->partition_key.len);
    memcpy(item->text, publish->topic.data, publish->topic.len);
    item->topic = fl_slice_of(item->text, publish->topic.len);
    if (publish->partition_key.len) {
        char *key = item->text + publish->topic.len;
        memcpy(key, publish->partition_key.data, publish->partition_key.len);
        item->key = fl_slice_of(key, publish->partition_key.len);
    }
    item->token = publish->token;
    item->event = ce_event_hold(publish->event);
    item->deadline_at_ms = publish->deadline_at_ms;
    item->is_urgent = publish->is_urgent;
    fl_list_add_last(&work_of(sqlite)->publishes, &item->link);
    join_line(sqlite, item);
}

size_t cn_front_publish(struct connector *connector, const struct connector_publish *items,
                        size_t count)
{
    struct cn_sqlite *sqlite = cn_sqlite_of(connector);
    size_t taken = 0;
    if (sqlite->is_closing)
        return 0;
    while (taken < count && sqlite->outstanding_count < CN_MOST_OUTSTANDING)
        add_item(sqlite, &items[taken++]);
    sqlite->owes_writable |= taken < count;
    return taken;
}

static void leave_line(struct cn_sqlite *sqlite, struct cn_item *item)
{
    fl_list_remove(&item->outstanding);
    sqlite->outstanding_count--;
}

static void say_writable(struct cn_sqlite *sqlite)
{
    struct connector *connector = &sqlite->connector;
    if (!sqlite->owes_writable || sqlite->is_closing ||
        sqlite->outstanding_count >= CN_MOST_OUTSTANDING)
        return;
    sqlite->owes_writable = false;
    connector->host->callbacks->writable(connector);
}

/* The session may be reading these, or never come to them. */
static void on_deadline(struct net_timer *timer)
{
    struct cn_sqlite *sqlite = FL_CONTAINER(timer, struct cn_sqlite, deadline_timer);
    struct connector *connector = &sqlite->connector;
    int64_t now_ms = net_loop_now_ms(connector->host->loop);
    for (struct fl_list *first; (first = fl_list_first(&sqlite->outstanding));) {
        struct cn_item *item = FL_LIST_ENTRY(first, struct cn_item, outstanding);
        if (item->deadline_at_ms > now_ms) {
            net_timer_start(connector->host->loop, timer, item->deadline_at_ms);
            break;
        }
        struct connector_published late = {item->token, FL_ERR_TIMEOUT, FL_CLASS_UNKNOWN,
                                           "the file was busy until the deadline"};
        leave_line(sqlite, item);
        item->is_answered = true;
        connector->host->callbacks->published(connector, &late, 1);
    }
    say_writable(sqlite);
}

static void give_published(struct cn_sqlite *sqlite, struct cn_answer *answer)
{
    struct connector *connector = &sqlite->connector;
    struct connector_published batch[DELIVERY_BATCH];
    size_t count = 0;
    FL_LIST_EACH(at, &answer->published)
    {
        struct cn_item *item = FL_LIST_ENTRY(at, struct cn_item, link);
        if (item->is_answered)
            continue;
        leave_line(sqlite, item);
        const char *text = item->note ? item->note : answer->publish_error.text;
        batch[count++] = (struct connector_published){item->token, item->code, item->class,
                                                      item->code ? text : NULL};
        if (count == DELIVERY_BATCH) {
            connector->host->callbacks->published(connector, batch, count);
            count = 0;
        }
    }
    if (count)
        connector->host->callbacks->published(connector, batch, count);
    if (fl_list_is_empty(&sqlite->outstanding))
        net_timer_stop(connector->host->loop, &sqlite->deadline_timer);
}

/* --- deliveries --- */

static void return_delivery(struct cn_sqlite *sqlite, const struct cn_delivery *delivery)
{
    struct cn_work *work = work_of(sqlite);
    if (work->settlement_count == work->settlement_room) {
        work->settlement_room = work->settlement_room ? work->settlement_room * 2 : 64;
        work->settlements =
            fl_realloc(work->settlements, sizeof *work->settlements * work->settlement_room);
    }
    work->settlements[work->settlement_count++] =
        (struct cn_settlement){delivery->feed, delivery->token, CONNECTOR_RELEASED, 0};
}

/* The event that the gateway gets, with a reference for it. */
static struct ce_event *event_of(struct cn_sqlite *sqlite, struct cn_delivery *delivery)
{
    if (delivery->item)
        return ce_event_hold(delivery->item->event);
    struct ce_event *event = delivery->event;
    delivery->event = NULL;
    event->budget = sqlite->connector.host->budget;
    fl_budget_charge(event->budget, event->charged_bytes);
    return event;
}

static bool is_wanted(const struct cn_delivery *delivery)
{
    return !delivery->feed->is_leaving && delivery->epoch == delivery->feed->epoch;
}

/* Neighbours of one feed in one call; what the gateway does inside may end the next one's feed. */
static size_t give_some(struct cn_sqlite *sqlite, struct cn_delivery *deliveries, size_t count)
{
    struct connector *connector = &sqlite->connector;
    struct connector_delivery batch[DELIVERY_BATCH];
    struct cn_feed *feed = deliveries[0].feed;
    size_t done = 0, given = 0;
    for (; done < count && done < DELIVERY_BATCH && deliveries[done].feed == feed; done++) {
        struct cn_delivery *delivery = &deliveries[done];
        if (!is_wanted(delivery)) {
            return_delivery(sqlite, delivery);
            ce_event_release(&delivery->event);
            continue;
        }
        batch[given++] = (struct connector_delivery){
            .event = event_of(sqlite, delivery),
            .topic =
                delivery->topic ? fl_slice_of(delivery->topic, delivery->topic_len) : feed->topic,
            .lane = delivery->lane,
            .attempt = delivery->attempt,
            .stored_wall_ms = delivery->stored_wall_ms,
            .token = delivery->token,
        };
    }
    if (given)
        connector->host->callbacks->deliver(connector, feed->subscription, batch, given);
    return done;
}

static void give_deliveries(struct cn_sqlite *sqlite, struct cn_answer *answer)
{
    for (size_t i = 0; i < answer->delivery_count;)
        i += give_some(sqlite, &answer->deliveries[i], answer->delivery_count - i);
    for (size_t i = 0; i < answer->delivery_count; i++)
        fl_free(answer->deliveries[i].topic);
}

void cn_front_settle(struct connector *connector, const struct connector_settlement *items,
                     size_t count)
{
    struct cn_work *work = work_of(cn_sqlite_of(connector));
    if (work->settlement_count + count > work->settlement_room) {
        work->settlement_room = (work->settlement_count + count) * 2;
        work->settlements =
            fl_realloc(work->settlements, sizeof *work->settlements * work->settlement_room);
    }
    for (size_t i = 0; i < count; i++) {
        struct cn_feed *feed = items[i].subscription->state;
        if (feed)
            work->settlements[work->settlement_count++] =
                (struct cn_settlement){feed, items[i].token, items[i].outcome, items[i].delay_ms};
    }
}

void cn_front_extend(struct connector *connector, struct connector_subscription *subscription,
                     const struct connector_token *tokens, size_t count)
{
    struct cn_work *work = work_of(cn_sqlite_of(connector));
    struct cn_feed *feed = subscription->state;
    if (!feed)
        return;
    if (work->extension_count + count > work->extension_room) {
        work->extension_room = (work->extension_count + count) * 2;
        work->extensions =
            fl_realloc(work->extensions, sizeof *work->extensions * work->extension_room);
    }
    for (size_t i = 0; i < count; i++)
        work->extensions[work->extension_count++] = (struct cn_extension){feed, tokens[i]};
}

/* --- subscriptions --- */

static char *copy(char **at, struct fl_slice s, struct fl_slice *to)
{
    if (s.len)
        memcpy(*at, s.data, s.len);
    *to = fl_slice_of(*at, s.len);
    *at += s.len;
    return *at;
}

void cn_front_subscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct cn_sqlite *sqlite = cn_sqlite_of(connector);
    struct cn_feed *feed = fl_zalloc(sizeof *feed);
    struct fl_slice topic = subscription->topic;
    char *at = feed->text =
        fl_alloc(topic.len + subscription->group.len + subscription->start_value.len + 1);
    copy(&at, topic, &feed->topic);
    copy(&at, subscription->group, &feed->group);
    copy(&at, subscription->start_value, &feed->start_value);
    feed->subscription = subscription;
    feed->mode = subscription->mode;
    feed->start = subscription->start;
    feed->is_pattern = topic.len && topic.data[topic.len - 1] == '*';
    fl_list_add_last(&sqlite->feeds, &feed->link);
    subscription->state = feed;
    add_change(sqlite, CN_SUBSCRIBE, feed);
}

static void free_feed(struct cn_feed *feed)
{
    if (feed->subscription)
        feed->subscription->state = NULL;
    fl_list_remove(&feed->link);
    fl_free(feed->text);
    fl_free(feed);
}

void cn_front_unsubscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct cn_feed *feed = subscription->state;
    if (!feed || feed->is_leaving)
        return;
    feed->is_leaving = true;
    add_change(cn_sqlite_of(connector), CN_UNSUBSCRIBE, feed);
}

void cn_front_window(struct connector *connector, struct connector_subscription *subscription,
                     uint32_t messages, size_t bytes)
{
    struct cn_feed *feed = subscription->state;
    if (!feed)
        return;
    struct cn_change *change = add_change(cn_sqlite_of(connector), CN_WINDOW, feed);
    change->window_messages = messages;
    change->window_bytes = bytes;
    change->epoch = ++feed->epoch;
}

void cn_front_backlog(struct connector *connector, struct fl_slice topic, struct fl_slice group,
                      void *token)
{
    struct cn_change *change = add_change(cn_sqlite_of(connector), CN_BACKLOG, NULL);
    change->token = token;
    fl_buffer_append_slice(&change->text, topic);
    fl_buffer_append_slice(&change->text, group);
    const char *text = fl_buffer_cstr(&change->text);
    change->topic = fl_slice_of(text, topic.len);
    change->group = fl_slice_of(text + topic.len, group.len);
}

/* --- operations --- */

static struct fl_slice find_metadata(const struct connector_call *call, const char *key)
{
    for (size_t i = 0; i < call->metadata_count; i++) {
        if (fl_slice_eq_str(call->metadata[i].key, key))
            return call->metadata[i].value;
    }
    return fl_slice_of("", 0);
}

static enum fl_err read_count(struct fl_slice text, int64_t *count, struct fl_error *error)
{
    *count = 0;
    for (size_t i = 0; i < text.len && *count <= MOST_PEEK; i++)
        *count = text.data[i] >= '0' && text.data[i] <= '9' ? *count * 10 + (text.data[i] - '0')
                                                            : MOST_PEEK + 1;
    if (text.len == 0)
        *count = 10;
    if (*count >= 1 && *count <= MOST_PEEK)
        return FL_OK;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "count is '%.*s': from 1 to %d are accepted", FL_SLICE_ARG(text),
                        MOST_PEEK);
}

enum fl_err cn_front_invoke(struct connector *connector, const struct connector_call *call,
                            struct fl_error *error)
{
    struct fl_slice parts[] = {call->operation, find_metadata(call, "topic"),
                               find_metadata(call, "id"), find_metadata(call, "group")};
    int64_t number;
    if (!fl_slice_eq_str(parts[0], "cancel") && !fl_slice_eq_str(parts[0], "peek"))
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT,
                            "no operation '%.*s'; there are cancel and peek",
                            FL_SLICE_ARG(parts[0]));
    enum fl_err err = read_count(find_metadata(call, "count"), &number, error);
    if (err)
        return err;
    struct cn_change *change = add_change(cn_sqlite_of(connector), CN_INVOKE, NULL);
    struct fl_slice *into[] = {&change->operation, &change->topic, &change->id, &change->group};
    change->token = call->token;
    change->count = number;
    for (int i = 0; i < 4; i++)
        fl_buffer_append_slice(&change->text, parts[i]);
    const char *at = fl_buffer_cstr(&change->text);
    for (int i = 0; i < 4; i++) {
        *into[i] = fl_slice_of(at, parts[i].len);
        at += parts[i].len;
    }
    return FL_OK;
}

/* --- answers --- */

/* For the gateway it is gone. What it sent since may still be on its way to the session, so the
 * session says when nothing is left of it. */
static void forget_feed(struct cn_sqlite *sqlite, struct cn_feed *feed)
{
    feed->subscription->state = NULL;
    feed->subscription = NULL;
    feed->is_leaving = true;
    add_change(sqlite, CN_UNSUBSCRIBE, feed);
}

static void give_change(struct cn_sqlite *sqlite, struct cn_change *change)
{
    struct connector *connector = &sqlite->connector;
    const struct connector_callbacks *callbacks = connector->host->callbacks;
    struct cn_feed *feed = change->feed;
    struct connector_subscription *subscription = feed ? feed->subscription : NULL;
    struct connector_invoked answer = {.token = change->token,
                                       .error = change->has_failed ? &change->error : NULL,
                                       .has_response = true,
                                       .data = fl_buffer_slice(&change->data)};
    switch (change->kind) {
    case CN_SUBSCRIBE:
        /* One that failed is gone, unless it was asked to leave meanwhile: that is answered by
         * itself. */
        if (change->has_failed && !feed->is_leaving)
            forget_feed(sqlite, feed);
        callbacks->subscribed(connector, subscription, change->has_failed ? &change->error : NULL);
        break;
    case CN_UNSUBSCRIBE:
        free_feed(feed);
        if (subscription)
            callbacks->unsubscribed(connector, subscription);
        break;
    case CN_BACKLOG:
        if (change->has_failed)
            change->backlog.is_known = false;
        callbacks->backlog(connector, &change->backlog, change->token);
        break;
    case CN_INVOKE:
        callbacks->invoked(connector, &answer);
        break;
    case CN_WINDOW:
    case CN_CLOSE:
        break;
    }
}

static bool is_subscribe(const struct cn_change *change)
{
    return change->kind == CN_SUBSCRIBE;
}

static bool is_other(const struct cn_change *change)
{
    return change->kind != CN_SUBSCRIBE;
}

static void give_changes(struct cn_sqlite *sqlite, struct cn_answer *answer,
                         bool (*is_asked_for)(const struct cn_change *change))
{
    FL_LIST_EACH_SAFE(at, &answer->changes)
    {
        struct cn_change *change = FL_LIST_ENTRY(at, struct cn_change, link);
        if (!is_asked_for(change))
            continue;
        fl_list_remove(at);
        give_change(sqlite, change);
        cn_change_free(change);
    }
}

/* Deliveries stand after `subscribed` and before `unsubscribed`. */
void cn_front_on_answer(struct net_post *post)
{
    struct cn_answer *answer = FL_CONTAINER(post, struct cn_answer, post);
    struct cn_sqlite *sqlite = answer->sqlite;
    struct connector *connector = &sqlite->connector;
    const struct connector_callbacks *callbacks = connector->host->callbacks;
    if (answer->has_state && answer->is_up)
        callbacks->state(connector, true, NULL);
    give_published(sqlite, answer);
    give_changes(sqlite, answer, is_subscribe);
    give_deliveries(sqlite, answer);
    give_changes(sqlite, answer, is_other);
    for (struct fl_list *first; (first = fl_list_first(&answer->published));)
        free_item(sqlite, FL_LIST_ENTRY(first, struct cn_item, link));
    if (answer->has_state && !answer->is_up)
        callbacks->state(connector, false, &answer->state_error);
    fl_free(answer->deliveries);
    fl_free(answer);
    say_writable(sqlite);
}

/* --- beginning and end --- */

void cn_front_init(struct cn_sqlite *sqlite)
{
    fl_list_init(&sqlite->feeds);
    fl_list_init(&sqlite->outstanding);
    fl_list_init(&sqlite->free_items);
    sqlite->send.run = on_send;
    sqlite->deadline_timer.expired = on_deadline;
}

void cn_front_close(struct cn_sqlite *sqlite)
{
    sqlite->is_closing = true;
    FL_LIST_EACH(at, &sqlite->feeds)
    {
        FL_LIST_ENTRY(at, struct cn_feed, link)->epoch++;
    }
    add_change(sqlite, CN_CLOSE, NULL);
}

/* Publishes that a session that never ended still has are answered; their memory is not ours any
 * more. */
static void answer_the_rest(struct cn_sqlite *sqlite)
{
    struct connector *connector = &sqlite->connector;
    for (struct fl_list *first; (first = fl_list_first(&sqlite->outstanding));) {
        struct cn_item *item = FL_LIST_ENTRY(first, struct cn_item, outstanding);
        struct connector_published answer = {item->token, FL_ERR_TIMEOUT, FL_CLASS_UNKNOWN,
                                             "the component was closed while the file was busy"};
        leave_line(sqlite, item);
        connector->host->callbacks->published(connector, &answer, 1);
    }
}

static void free_rest(struct cn_sqlite *sqlite, struct fl_mailbox_entry *rest)
{
    for (struct fl_mailbox_entry *next; rest; rest = next) {
        next = fl_mailbox_next(rest);
        struct cn_work *work = FL_CONTAINER(rest, struct cn_work, entry);
        for (struct fl_list *first; (first = fl_list_first(&work->publishes));)
            free_item(sqlite, FL_LIST_ENTRY(first, struct cn_item, link));
        for (struct fl_list *first; (first = fl_list_first(&work->changes));) {
            struct cn_change *change = FL_LIST_ENTRY(first, struct cn_change, link);
            fl_list_remove(first);
            cn_change_free(change);
        }
        cn_work_free(work);
    }
}

void cn_front_end(struct cn_sqlite *sqlite, struct fl_mailbox_entry *rest)
{
    struct net_loop *loop = sqlite->connector.host->loop;
    net_timer_stop(loop, &sqlite->deadline_timer);
    net_loop_cancel(loop, &sqlite->send);
    answer_the_rest(sqlite);
    if (sqlite->work)
        free_rest(sqlite, &sqlite->work->entry);
    free_rest(sqlite, rest);
    for (struct fl_list *first; (first = fl_list_first(&sqlite->free_items));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct cn_item, link));
    }
}

void cn_front_free_feeds(struct cn_sqlite *sqlite)
{
    for (struct fl_list *first; (first = fl_list_first(&sqlite->feeds));)
        free_feed(FL_LIST_ENTRY(first, struct cn_feed, link));
}
