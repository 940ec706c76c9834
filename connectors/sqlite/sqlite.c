/* The loop's side of pubsub.sqlite: options and traits, what the gateway asks, what it is told.
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
#include "connectors/sqlite/sqlite.h"

#include <string.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "connectors/sqlite/path.h"
#include "connectors/sqlite/sqlite_priv.h"

enum {
    MOST_FREE_ITEMS = 1024,
    SMALL_ITEM = 128, /* bytes of topic and key in an item that is kept for later */
    DELIVERY_BATCH = 64,
    MOST_PEEK = 10000,
};

static struct cn_sqlite *sqlite_of(struct connector *connector)
{
    return (struct cn_sqlite *)(void *)connector;
}

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

static size_t publish(struct connector *connector, const struct connector_publish *items,
                      size_t count)
{
    struct cn_sqlite *sqlite = sqlite_of(connector);
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

static void settle(struct connector *connector, const struct connector_settlement *items,
                   size_t count)
{
    struct cn_work *work = work_of(sqlite_of(connector));
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

static void extend(struct connector *connector, struct connector_subscription *subscription,
                   const struct connector_token *tokens, size_t count)
{
    struct cn_work *work = work_of(sqlite_of(connector));
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

static void subscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct cn_sqlite *sqlite = sqlite_of(connector);
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

static void unsubscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct cn_feed *feed = subscription->state;
    if (!feed || feed->is_leaving)
        return;
    feed->is_leaving = true;
    add_change(sqlite_of(connector), CN_UNSUBSCRIBE, feed);
}

static void window(struct connector *connector, struct connector_subscription *subscription,
                   uint32_t messages, size_t bytes)
{
    struct cn_feed *feed = subscription->state;
    if (!feed)
        return;
    struct cn_change *change = add_change(sqlite_of(connector), CN_WINDOW, feed);
    change->window_messages = messages;
    change->window_bytes = bytes;
    change->epoch = ++feed->epoch;
}

static void backlog(struct connector *connector, struct fl_slice topic, struct fl_slice group,
                    void *token)
{
    struct cn_change *change = add_change(sqlite_of(connector), CN_BACKLOG, NULL);
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

static enum fl_err invoke(struct connector *connector, const struct connector_call *call,
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
    struct cn_change *change = add_change(sqlite_of(connector), CN_INVOKE, NULL);
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
void cn_sqlite_on_answer(struct net_post *post)
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

/* --- opening and closing --- */

static enum fl_err open_sqlite(struct connector *connector, struct fl_error *error)
{
    struct cn_sqlite *sqlite = sqlite_of(connector);
    const struct cn_settings *settings = connector->settings;
    struct fl_buffer path = {0};
    enum fl_err err =
        cn_path_of(settings->connection_string, connector->host->data_dir, &path, error);
    if (!err)
        err = cn_guard_inspect(fl_buffer_cstr(&path), CN_SCHEMA_VERSION, error);
    if (err) {
        fl_buffer_fini(&path);
        return err;
    }
    fl_list_init(&sqlite->feeds);
    fl_list_init(&sqlite->outstanding);
    fl_list_init(&sqlite->free_items);
    sqlite->send.run = on_send;
    sqlite->deadline_timer.expired = on_deadline;
    sqlite->counts = fl_zalloc(sizeof *sqlite->counts);
    sqlite->broker = cn_broker_new(settings, fl_strdup(fl_slice_str(fl_buffer_cstr(&path))),
                                   connector->host->app_id, sqlite->counts, sqlite);
    fl_buffer_fini(&path);
    err = connector_session_start(&cn_session_type, connector->host->loop, sqlite->broker,
                                  &sqlite->broker->session, error);
    if (err) {
        cn_broker_free(&sqlite->broker);
        FL_FREE(sqlite->counts);
        return err;
    }
    sqlite->session = sqlite->broker->session;
    return FL_OK;
}

static void close_sqlite(struct connector *connector, int64_t deadline_at_ms)
{
    struct cn_sqlite *sqlite = sqlite_of(connector);
    connector_session_set_deadline(sqlite->session, deadline_at_ms);
    if (sqlite->is_closing)
        return;
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

void cn_sqlite_on_session_ended(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned)
{
    struct cn_broker *broker = owner;
    struct cn_sqlite *sqlite = broker->sqlite;
    struct connector *connector = &sqlite->connector;
    net_timer_stop(connector->host->loop, &sqlite->deadline_timer);
    net_loop_cancel(connector->host->loop, &sqlite->send);
    answer_the_rest(sqlite);
    if (sqlite->work)
        free_rest(sqlite, &sqlite->work->entry);
    free_rest(sqlite, rest);
    for (struct fl_list *first; (first = fl_list_first(&sqlite->free_items));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct cn_item, link));
    }
    if (!is_abandoned) {
        cn_broker_free(&sqlite->broker);
        for (struct fl_list *first; (first = fl_list_first(&sqlite->feeds));)
            free_feed(FL_LIST_ENTRY(first, struct cn_feed, link));
        FL_FREE(sqlite->counts);
    }
    connector->host->callbacks->closed(connector);
}

/* --- what is counted --- */

static const struct connector_counter counters[] = {
    {"commits_total", "Transactions committed.", false},
    {"syncs_total", "Calls that wait for the disk (fsync, fdatasync).", false},
    {"written_bytes_total", "Bytes written to the database and its log.", false},
    {"stored_total", "Messages stored.", false},
    {"delivered_total", "Deliveries handed out, redeliveries included.", false},
    {"lapsed_total", "Deliveries whose lease ran out or whose process died.", false},
    {"checkpoints_total", "Times the log was moved into the database.", false},
    {"removed_total", "Messages removed by retention.", false},
    {"log_bytes", "Size of what the log holds.", true},
    {"used_bytes", "Size of what the database holds, free pages not counted.", true},
    {NULL, NULL, false},
};

static void read_counters(struct connector *connector, uint64_t *values)
{
    struct cn_counts *counts = sqlite_of(connector)->counts;
    _Atomic uint64_t *all[] = {
        &counts->commits,   &counts->file.syncs, &counts->file.written_bytes, &counts->stored,
        &counts->delivered, &counts->lapsed,     &counts->checkpoints,        &counts->removed,
        &counts->wal_bytes, &counts->used_bytes};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        values[i] = atomic_load_explicit(all[i], memory_order_relaxed);
}

/* --- options and traits --- */

static enum fl_err check_settings(const void *settings, struct fl_error *error)
{
    const struct cn_settings *ours = settings;
    struct fl_buffer path = {0};
    /* A folder that is only known to a running gateway is no reason to refuse. */
    struct fl_slice somewhere = FL_SLICE_LIT("/");
    enum fl_err err = cn_path_of(ours->connection_string, somewhere, &path, error);
    fl_buffer_fini(&path);
    return err;
}

static void resolve_traits(const void *settings, struct connector_traits *traits)
{
    traits->lease_ms = ((const struct cn_settings *)settings)->lease_ms;
}

static const char *const component_types[] = {"pubsub.sqlite", NULL};

static const struct config_option component_options[] = {
    {
        .name = "connectionString",
        .aliases = "url,path",
        .type = CONFIG_STRING,
        .help = "The database file: a path or a file: URI. Without it, broker.db in the data "
                "folder (--data-dir), which all gateways of one user share.",
        .offset = offsetof(struct cn_settings, connection_string),
    },
    {
        .name = "maxBytes",
        .type = CONFIG_BYTES,
        .default_text = "1Gi",
        .min = 1048576,
        .max = INT64_MAX,
        .help = "The most that the database may hold. Settled messages are removed early to stay "
                "under it; when every message is unsettled, publishing is refused with 429.",
        .offset = offsetof(struct cn_settings, max_bytes),
    },
    {
        .name = "retention",
        .type = CONFIG_DURATION,
        .unit = "s",
        .default_text = "24h",
        .max = INT64_MAX / 1000000,
        .help = "How long a message is kept after it was stored, for groups that start later. It "
                "is removed when it is older and every group has settled it.",
        .offset = offsetof(struct cn_settings, retention_ms),
    },
    {
        .name = "leaseTime",
        .type = CONFIG_DURATION,
        .unit = "s",
        .default_text = "30s",
        .min = 100,
        .max = 86400000,
        .help = "A delivery is offered again this long after the gateway stopped to work on it. "
                "While the application works the lease is extended.",
        .offset = offsetof(struct cn_settings, lease_ms),
    },
    {
        .name = "groupExpiry",
        .type = CONFIG_DURATION,
        .unit = "s",
        .default_text = "0s",
        .max = INT64_MAX / 1000000,
        .help = "A group that no process has served for this long is removed, and what it has not "
                "settled with it; 0: never.",
        .offset = offsetof(struct cn_settings, group_expiry_ms),
    },
    {
        .name = "busyTimeout",
        .type = CONFIG_DURATION,
        .unit = "ms",
        .default_text = "2s",
        .max = 60000,
        .help = "How long a write lock of another program, such as the sqlite3 tool in a "
                "transaction, is waited for; then publishing is refused with 503 until it is "
                "gone. Gateways take turns by a lock of their own and never wait this long.",
        .offset = offsetof(struct cn_settings, busy_ms),
    },
    {
        .name = "maxTopics",
        .type = CONFIG_INT,
        .default_text = "100000",
        .min = 1,
        .max = 8000000,
        .help = "The most topics that the database may hold; one more is refused.",
        .offset = offsetof(struct cn_settings, max_topics),
    },
    {.name = NULL},
};

struct publish_settings {
    int64_t delay_ms, lifetime_ms;
    struct fl_slice deliver_at, partition_key;
};

static const struct config_option publish_options[] = {
    {
        .name = "delay",
        .type = CONFIG_DURATION,
        .unit = "s",
        .max = INT64_MAX / 1000000,
        .help = "The message is published this much later; until then it can be taken back by its "
                "id.",
        .offset = offsetof(struct publish_settings, delay_ms),
    },
    {
        .name = "deliverAt",
        .type = CONFIG_STRING,
        .help = "The message is published at this time (RFC 3339); until then it can be taken "
                "back by its id.",
        .offset = offsetof(struct publish_settings, deliver_at),
    },
    {
        .name = "ttlInSeconds",
        .type = CONFIG_IGNORED,
        .help = "The message is not delivered any more when it is older, counted from when it was "
                "published.",
    },
    {
        .name = "partitionKey",
        .type = CONFIG_STRING,
        .help = "Messages of one key are delivered in order, one at a time, over all gateways.",
        .offset = offsetof(struct publish_settings, partition_key),
    },
    {.name = NULL},
};

const struct connector_type cn_sqlite_type = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "A durable broker in one file, without a server; the gateways of one machine share "
               "it.",
    .traits =
        {
            .lease_ms = 30000,
            .delays = true,
            .ttl = true,
            .headers = true,
            .wildcards = true,
            .history = true,
            .survives_process = true,
            .competes = true,
            .order = CONNECTOR_ORDER_LANE,
            .max_message_bytes = CN_MOST_MESSAGE_BYTES,
            .max_topic_bytes = CN_MOST_TOPIC_BYTES,
        },
    .state_size = sizeof(struct cn_sqlite),
    .settings_size = sizeof(struct cn_settings),
    .component_options = component_options,
    .publish_options = publish_options,
    .check = check_settings,
    .resolve_traits = resolve_traits,
    .open = open_sqlite,
    .close = close_sqlite,
    .publish = publish,
    .invoke = invoke,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .window = window,
    .settle = settle,
    .extend = extend,
    .backlog = backlog,
    .counters = counters,
    .read_counters = read_counters,
};
