/* The loop's side: what the gateway calls, the callbacks, and the type.
 *
 * No callback is made inside a call of the gateway: all come from `folder_on_answer`, from a timer
 * or from the session's end. A callback may call back into this file (a delivery may be settled
 * inside `deliver`), so everything is in order before each.
 */
#include "folder.h"

#include <stdio.h>

#include "base/alloc.h"

enum { MOST_PUBLISHES = 4096 }; /* taken and not answered; the gateway keeps what is beyond */

struct folder_settings {
    struct fl_slice path;
};

static struct folder *folder_of(struct connector *connector)
{
    return (struct folder *)(void *)connector;
}

static void post(struct folder *folder, struct folder_job *job, enum folder_job_kind kind)
{
    job->kind = kind;
    connector_session_post(folder->store->session, &job->entry);
}

static struct fl_error *error_of(const struct folder_failure *failure, struct fl_error *error)
{
    if (!failure->code)
        return NULL;
    fl_error_set(error, failure->code, failure->class, "%s", failure->text);
    return error;
}

/* --- publishing --- */

static void answer_publish(struct folder_publish *publish, enum fl_err code,
                           enum fl_error_class class, const char *text)
{
    struct connector *connector = &publish->folder->connector;
    struct connector_published published = {publish->token, code, class, code ? text : NULL};
    net_timer_stop(connector->host->loop, &publish->deadline);
    if (publish->is_answered)
        return;
    publish->is_answered = true;
    connector->host->callbacks->published(connector, &published, 1);
}

static void free_publish(struct folder_publish *publish)
{
    publish->folder->publish_count--;
    fl_list_remove(&publish->link);
    ce_event_release(&publish->event);
    fl_free(publish->topic);
    fl_free(publish);
}

/* The session has it still, and may store it yet. */
static void on_publish_deadline(struct net_timer *timer)
{
    struct folder_publish *publish = FL_CONTAINER(timer, struct folder_publish, deadline);
    answer_publish(publish, FL_ERR_TIMEOUT, FL_CLASS_UNKNOWN, "the folder did not answer in time");
}

static size_t folder_publish(struct connector *connector, const struct connector_publish *items,
                             size_t count)
{
    struct folder *folder = folder_of(connector);
    size_t taken = 0;
    while (taken < count && !folder->is_closing && folder->publish_count < MOST_PUBLISHES) {
        const struct connector_publish *item = &items[taken++];
        struct folder_publish *publish = fl_zalloc(sizeof *publish);
        publish->folder = folder;
        publish->token = item->token;
        publish->event = ce_event_hold(item->event);
        publish->topic = folder_encode(item->topic);
        publish->deadline.expired = on_publish_deadline;
        net_timer_start(connector->host->loop, &publish->deadline, item->deadline_at_ms);
        fl_list_add_last(&folder->publishes, &publish->link);
        folder->publish_count++;
        post(folder, &publish->job, FOLDER_PUBLISH);
    }
    folder->owes_writable |= taken < count;
    return taken;
}

/* --- subscribing --- */

static void begin_leaving(struct folder *folder, struct folder_subscriber *subscriber)
{
    if (subscriber->is_leaving)
        return;
    subscriber->is_leaving = true;
    post(folder, &subscriber->stop, FOLDER_STOP);
}

/* Once the session claims no more and nothing is in flight, it may forget. */
static void consider_forgetting(struct folder *folder, struct folder_subscriber *subscriber)
{
    if (!subscriber->is_stopped || subscriber->is_forgotten || subscriber->in_flight_count > 0)
        return;
    subscriber->is_forgotten = true;
    post(folder, &subscriber->forget, FOLDER_FORGET);
}

static void free_subscriber(struct folder_subscriber *subscriber)
{
    fl_list_remove(&subscriber->link);
    folder_forget_names(subscriber);
    fl_free(subscriber->topic);
    fl_free(subscriber->group);
    fl_free(subscriber);
}

static void folder_subscribe(struct connector *connector,
                             struct connector_subscription *subscription)
{
    struct folder *folder = folder_of(connector);
    struct folder_subscriber *subscriber = fl_zalloc(sizeof *subscriber);
    subscriber->subscription = subscription;
    subscriber->topic = folder_encode(subscription->topic);
    subscriber->group = folder_encode(subscription->group);
    subscriber->is_broadcast = subscription->mode == CONNECTOR_MODE_BROADCAST;
    fl_list_init(&subscriber->in_flight);
    fl_list_init(&subscriber->served);
    fl_list_add_last(&folder->subscribers, &subscriber->link);
    subscription->state = subscriber;
    post(folder, &subscriber->subscribe, FOLDER_SUBSCRIBE);
}

static void folder_unsubscribe(struct connector *connector,
                               struct connector_subscription *subscription)
{
    struct folder_subscriber *subscriber = subscription->state;
    subscriber->is_asked = true;
    begin_leaving(folder_of(connector), subscriber);
}

/* It may come before `subscribed`, and may be smaller than what is in flight. */
static void folder_window(struct connector *connector, struct connector_subscription *subscription,
                          uint32_t messages, size_t bytes)
{
    struct folder_subscriber *subscriber = subscription->state;
    if (!subscriber || subscriber->is_leaving)
        return;
    struct folder_window *window = fl_zalloc(sizeof *window);
    window->subscriber = subscriber;
    window->messages = subscriber->window_messages = messages;
    window->bytes = subscriber->window_bytes = bytes;
    post(folder_of(connector), &window->job, FOLDER_WINDOW);
}

static void finish_subscribe(struct folder *folder, struct folder_subscriber *subscriber)
{
    struct connector *connector = &folder->connector;
    if (subscriber->is_leaving)
        return;
    if (subscriber->subscribe.failure.code)
        begin_leaving(folder,
                      subscriber); /* a window may be under way to the session; told at the end */
    else
        connector->host->callbacks->subscribed(connector, subscriber->subscription, NULL);
}

static void finish_forget(struct folder *folder, struct folder_subscriber *subscriber)
{
    struct connector *connector = &folder->connector;
    struct connector_subscription *subscription = subscriber->subscription;
    bool is_asked = subscriber->is_asked;
    struct fl_error failed;
    const struct fl_error *error = error_of(&subscriber->subscribe.failure, &failed);
    subscription->state = NULL;
    free_subscriber(subscriber);
    if (is_asked)
        connector->host->callbacks->unsubscribed(connector, subscription);
    else if (error)
        connector->host->callbacks->subscribed(connector, subscription, error);
}

/* --- deliveries --- */

/* The session counts what is out by the window that it knows; the window may be smaller now. */
static bool is_wanted(const struct folder_subscriber *subscriber)
{
    return !subscriber->is_leaving && subscriber->in_flight_count < subscriber->window_messages &&
           subscriber->in_flight_bytes < subscriber->window_bytes;
}

static void give_back(struct folder *folder, struct folder_delivery *delivery,
                      enum connector_outcome outcome)
{
    delivery->outcome = outcome;
    post(folder, &delivery->job, FOLDER_DELIVERY);
}

static void finish_claim(struct folder *folder, struct folder_delivery *delivery)
{
    struct connector *connector = &folder->connector;
    struct folder_subscriber *subscriber = delivery->subscriber;
    struct ce_event *event = NULL;
    if (!is_wanted(subscriber) ||
        ce_event_new(fl_slice_of(delivery->body, delivery->len), FL_SLICE_NULL, NULL, 0,
                     connector->host->budget, &event)) {
        give_back(folder, delivery, CONNECTOR_RELEASED);
        return;
    }
    fl_list_add_last(&subscriber->in_flight, &delivery->link);
    subscriber->in_flight_count++;
    subscriber->in_flight_bytes += delivery->len;
    const struct connector_delivery what = {
        .event = event,
        .topic = subscriber->subscription->topic,
        .attempt = delivery->attempt,
        .stored_wall_ms = delivery->stored_wall_ms,
        .token = {{delivery->number, 0}},
    };
    connector->host->callbacks->deliver(connector, subscriber->subscription, &what, 1);
}

/* NULL: settled already. */
static struct folder_delivery *find_delivery(const struct folder_subscriber *subscriber,
                                             uint64_t number)
{
    FL_LIST_EACH(at, &subscriber->in_flight)
    {
        struct folder_delivery *delivery = FL_LIST_ENTRY(at, struct folder_delivery, link);
        if (delivery->number == number)
            return delivery;
    }
    return NULL;
}

static void folder_settle(struct connector *connector, const struct connector_settlement *items,
                          size_t count)
{
    struct folder *folder = folder_of(connector);
    for (size_t i = 0; i < count; i++) {
        struct folder_subscriber *subscriber = items[i].subscription->state;
        struct folder_delivery *delivery =
            subscriber ? find_delivery(subscriber, items[i].token.word[0]) : NULL;
        if (!delivery)
            continue;
        fl_list_remove(&delivery->link);
        subscriber->in_flight_count--;
        subscriber->in_flight_bytes -= delivery->len;
        give_back(folder, delivery, items[i].outcome);
        consider_forgetting(folder, subscriber);
    }
}

/* --- backlog --- */

static void free_backlog(struct folder_backlog *backlog)
{
    fl_free(backlog->topic);
    fl_free(backlog->group);
    fl_free(backlog);
}

static void folder_backlog(struct connector *connector, struct fl_slice topic,
                           struct fl_slice group, void *token)
{
    struct folder_backlog *backlog = fl_zalloc(sizeof *backlog);
    backlog->token = token;
    backlog->topic = folder_encode(topic);
    backlog->group = folder_encode(group);
    post(folder_of(connector), &backlog->job, FOLDER_BACKLOG);
}

static void finish_backlog(struct folder *folder, struct folder_backlog *backlog)
{
    struct connector *connector = &folder->connector;
    connector->host->callbacks->backlog(connector, &backlog->what, backlog->token);
    free_backlog(backlog);
}

/* --- closing --- */

static void consider_ending(struct folder *folder)
{
    bool is_late = net_loop_now_ms(folder->connector.host->loop) >= folder->close_at_ms;
    bool is_idle = fl_list_is_empty(&folder->publishes) && fl_list_is_empty(&folder->subscribers);
    if (!folder->is_closing || folder->is_ending || !(is_idle || is_late))
        return;
    folder->is_ending = true;
    connector_session_set_deadline(folder->store->session, folder->close_at_ms);
    post(folder, &folder->close, FOLDER_CLOSE);
}

static void on_close_deadline(struct net_timer *timer)
{
    consider_ending(FL_CONTAINER(timer, struct folder, close_timer));
}

static void folder_close(struct connector *connector, int64_t deadline_at_ms)
{
    struct folder *folder = folder_of(connector);
    if (folder->is_ending || (folder->is_closing && deadline_at_ms >= folder->close_at_ms))
        return;
    folder->is_closing = true;
    folder->close_at_ms = deadline_at_ms;
    net_timer_start(connector->host->loop, &folder->close_timer, deadline_at_ms);
    FL_LIST_EACH(at, &folder->subscribers)
    begin_leaving(folder, FL_LIST_ENTRY(at, struct folder_subscriber, link));
    consider_ending(folder);
}

/* Answers what is open. What an abandoned session may still use is not freed. */
static void end_publishes(struct folder *folder, bool is_abandoned)
{
    for (struct fl_list *first; (first = fl_list_first(&folder->publishes));) {
        struct folder_publish *publish = FL_LIST_ENTRY(first, struct folder_publish, link);
        fl_list_remove(&publish->link);
        answer_publish(publish, FL_ERR_CLOSED, FL_CLASS_UNKNOWN, "the gateway stops");
        if (!is_abandoned)
            free_publish(publish);
    }
}

static void free_in_flight(struct folder_subscriber *subscriber)
{
    for (struct fl_list *first; (first = fl_list_first(&subscriber->in_flight));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct folder_delivery, link));
    }
}

/* What is in flight stays in the taken folders; since we are gone, whoever comes next puts it
 * back. */
static void end_subscribers(struct folder *folder, bool is_abandoned)
{
    struct connector *connector = &folder->connector;
    for (struct fl_list *first; (first = fl_list_first(&folder->subscribers));) {
        struct folder_subscriber *subscriber = FL_LIST_ENTRY(first, struct folder_subscriber, link);
        struct connector_subscription *subscription = subscriber->subscription;
        bool is_asked = subscriber->is_asked;
        fl_list_remove(&subscriber->link);
        subscription->state = NULL;
        free_in_flight(subscriber);
        if (!is_abandoned)
            free_subscriber(subscriber);
        if (is_asked)
            connector->host->callbacks->unsubscribed(connector, subscription);
    }
}

static void free_rest(struct folder *folder, struct folder_job *job)
{
    if (job->kind == FOLDER_WINDOW)
        fl_free(FL_CONTAINER(job, struct folder_window, job));
    else if (job->kind == FOLDER_DELIVERY)
        fl_free(FL_CONTAINER(job, struct folder_delivery, job));
    else if (job->kind == FOLDER_BACKLOG)
        finish_backlog(folder, FL_CONTAINER(job, struct folder_backlog, job));
}

/* Jobs that the session never did: those it had taken, and the rest. */
static void end_jobs(struct folder *folder, struct fl_mailbox_entry *rest)
{
    for (struct fl_list *first; (first = fl_list_first(&folder->store->todo));) {
        fl_list_remove(first);
        free_rest(folder, FL_LIST_ENTRY(first, struct folder_job, link));
    }
    while (rest) {
        struct folder_job *job = FL_CONTAINER(rest, struct folder_job, entry);
        rest = fl_mailbox_next(rest);
        free_rest(folder, job);
    }
}

static void on_session_ended(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned)
{
    struct folder_store *store = owner;
    struct folder *folder = store->folder;
    struct connector *connector = &folder->connector;
    net_timer_stop(connector->host->loop, &folder->close_timer);
    if (!is_abandoned)
        end_jobs(folder, rest);
    end_publishes(folder, is_abandoned);
    end_subscribers(folder, is_abandoned);
    store->folder = NULL;
    if (!is_abandoned)
        folder_store_free(store);
    connector->host->callbacks->closed(connector);
}

/* --- answers --- */

static void finish(struct folder *folder, struct folder_job *job)
{
    switch (job->kind) {
    case FOLDER_PUBLISH: {
        struct folder_publish *publish = FL_CONTAINER(job, struct folder_publish, job);
        answer_publish(publish, job->failure.code, job->failure.class, job->failure.text);
        free_publish(publish);
        break;
    }
    case FOLDER_SUBSCRIBE:
        finish_subscribe(folder, FL_CONTAINER(job, struct folder_subscriber, subscribe));
        break;
    case FOLDER_STOP: {
        struct folder_subscriber *subscriber = FL_CONTAINER(job, struct folder_subscriber, stop);
        subscriber->is_stopped = true;
        consider_forgetting(folder, subscriber);
        break;
    }
    case FOLDER_FORGET:
        finish_forget(folder, FL_CONTAINER(job, struct folder_subscriber, forget));
        break;
    case FOLDER_BACKLOG:
        finish_backlog(folder, FL_CONTAINER(job, struct folder_backlog, job));
        break;
    case FOLDER_DELIVERY:
        finish_claim(folder, FL_CONTAINER(job, struct folder_delivery, job));
        break;
    case FOLDER_WINDOW:
    case FOLDER_CLOSE:
        break; /* these do not come back */
    }
}

void folder_on_answer(struct net_post *net_post)
{
    struct folder_answer *answer = FL_CONTAINER(net_post, struct folder_answer, post);
    struct folder *folder = answer->store->folder;
    struct fl_error error;
    if (!folder)
        return; /* posted just before its session was abandoned */
    struct connector *connector = &folder->connector;
    if (answer->has_state)
        connector->host->callbacks->state(connector, answer->is_up,
                                          error_of(&answer->failure, &error));
    for (struct fl_list *first; (first = fl_list_first(&answer->done));) {
        fl_list_remove(first);
        finish(folder, FL_LIST_ENTRY(first, struct folder_job, link));
    }
    fl_free(answer);
    if (folder->owes_writable && !folder->is_closing && folder->publish_count < MOST_PUBLISHES) {
        folder->owes_writable = false;
        connector->host->callbacks->writable(connector);
    }
    consider_ending(folder);
}

/* --- the type --- */

static const struct connector_session_type session_type = {
    .name = "folder",
    .turn = folder_turn,
    .ended = on_session_ended,
};

static enum fl_err folder_open(struct connector *connector, struct fl_error *error)
{
    struct folder *folder = folder_of(connector);
    const struct folder_settings *settings = connector->settings;
    fl_list_init(&folder->publishes);
    fl_list_init(&folder->subscribers);
    folder->close_timer.expired = on_close_deadline;
    folder->store = folder_store_new(settings->path);
    folder->store->folder = folder;
    enum fl_err err = connector_session_start(&session_type, connector->host->loop, folder->store,
                                              &folder->store->session, error);
    if (err)
        folder_store_free(folder->store);
    return err;
}

/* What the row cannot say. */
static enum fl_err folder_check(const void *settings, struct fl_error *error)
{
    struct fl_slice path = ((const struct folder_settings *)settings)->path;
    if (path.len > FOLDER_MOST_PATH)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "path is longer than %d bytes",
                            FOLDER_MOST_PATH);
    if (path.len == 0 || path.data[0] != '/')
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "path \"%.*s\" does not begin with /", FL_SLICE_ARG(path));
    return FL_OK;
}

static const char *const component_types[] = {"pubsub.folder", NULL};

static const struct config_option component_options[] = {
    {
        .name = "path",
        .type = CONFIG_STRING,
        .is_required = true,
        .help = "The folder, from the root on; it is made if it is not there. Gateways that name "
                "the same one share it.",
        .offset = offsetof(struct folder_settings, path),
    },
    {.name = NULL},
};

const struct connector_type fairlead_connector = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "A folder as a broker, one file a message, shared by the gateways of one machine.",
    .traits =
        {
            .survives_process = true,
            .competes = true,
            .order = CONNECTOR_ORDER_NONE,
            .max_topic_bytes = FOLDER_MOST_NAME,
        },
    .state_size = sizeof(struct folder),
    .settings_size = sizeof(struct folder_settings),
    .component_options = component_options,
    .check = folder_check,
    .open = folder_open,
    .close = folder_close,
    .publish = folder_publish,
    .subscribe = folder_subscribe,
    .unsubscribe = folder_unsubscribe,
    .window = folder_window,
    .settle = folder_settle,
    .backlog = folder_backlog,
};
