/* The session's turn: notes what the loop sent, does everything that waits in one transaction
 * (transact.c), and sends one answer to the loop.
 *
 * Around that the turn sees to the connection. It opens the file, looks each second whether the
 * file is still there, who died and whether there is space again, moves the log into the database
 * when there is nothing else to do, and closes. A connection that ends for a failure is opened
 * again with back-off, for ever.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "connectors/sqlite/sqlite_priv.h"

enum {
    FIRST_REOPEN_MS = 100,
    MOST_REOPEN_MS = 10000,
    IDLE_CHECKPOINT_FRAMES = 64,
};

#define SCOPE "dapr.contrib"

/* --- answers --- */

struct cn_answer *cn_answer_of(struct cn_broker *broker)
{
    if (broker->answer)
        return broker->answer;
    struct cn_answer *answer = fl_zalloc(sizeof *answer);
    answer->sqlite = broker->sqlite;
    answer->post.run = cn_front_on_answer;
    fl_list_init(&answer->published);
    fl_list_init(&answer->changes);
    broker->answer = answer;
    return answer;
}

static void send_answer(struct cn_broker *broker)
{
    struct cn_answer *answer = broker->answer;
    if (!answer)
        return;
    broker->answer = NULL;
    /* An abandoned session has nobody to answer to; what it holds is left as it is. */
    bool is_heard = connector_session_reply(broker->session, &answer->post);
    (void)is_heard;
}

static void tell_state(struct cn_broker *broker, bool is_up, const struct fl_error *error)
{
    struct cn_answer *answer = cn_answer_of(broker);
    answer->has_state = true;
    answer->is_up = is_up;
    if (error)
        answer->state_error = *error;
    broker->was_told_up = is_up;
}

/* --- what the loop sent --- */

static void note_window(struct cn_broker *broker, struct cn_change *change)
{
    struct cn_consumer *consumer = change->feed->consumer;
    (void)broker;
    if (consumer) {
        consumer->window_messages = change->window_messages;
        consumer->window_bytes = change->window_bytes;
        consumer->epoch = change->epoch;
        cn_consumer_consider(consumer);
    }
    cn_change_free(change);
}

static void note_change(struct cn_broker *broker, struct cn_change *change)
{
    fl_list_remove(&change->link);
    switch (change->kind) {
    case CN_WINDOW:
        note_window(broker, change);
        return;
    case CN_CLOSE:
        broker->is_closing = true;
        FL_LIST_EACH(at, &broker->consumers)
        {
            struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
            consumer->is_leaving = true;
            cn_consumer_consider(consumer);
        }
        cn_change_free(change);
        return;
    case CN_UNSUBSCRIBE:
        if (change->feed->consumer) {
            change->feed->consumer->is_leaving = true;
            cn_consumer_consider(change->feed->consumer);
        }
        break;
    case CN_SUBSCRIBE:
        cn_consumer_new(broker, change->feed)->is_leaving = broker->is_closing;
        break;
    case CN_BACKLOG:
    case CN_INVOKE:
        break;
    }
    fl_list_add_last(&broker->changes, &change->link);
}

static void note_work(struct cn_broker *broker, struct cn_work *work)
{
    fl_list_move_all(&broker->publishes, &work->publishes);
    for (size_t i = 0; i < work->settlement_count; i++)
        cn_settle(broker, &work->settlements[i]);
    for (size_t i = 0; i < work->extension_count; i++)
        cn_extend(broker, &work->extensions[i]);
    for (struct fl_list *first; (first = fl_list_first(&work->changes));)
        note_change(broker, FL_LIST_ENTRY(first, struct cn_change, link));
    cn_work_free(work);
}

/* --- opening, and the end of a connection --- */

static void close_store(struct cn_broker *broker)
{
    cn_claims_drop(broker);
    FL_LIST_EACH(at, &broker->consumers)
    {
        cn_consumer_reset(FL_LIST_ENTRY(at, struct cn_consumer, link));
    }
    cn_store_close(&broker->store);
    cn_topics_free(broker);
    broker->dirty_topics = NULL;
    broker->last_topic_id = 0;
    broker->is_open = false;
}

void cn_go_down(struct cn_broker *broker, const struct fl_error *error)
{
    struct fl_error why = *error;
    close_store(broker);
    connector_session_next_generation(broker->session);
    if (why.class != FL_CLASS_UNKNOWN) {
        why.code = FL_ERR_CLOSED;
        why.class = FL_CLASS_RETRY;
        cn_fail_publishes(broker, &why);
    } else {
        why.code = FL_ERR_TIMEOUT;
        cn_fail_publishes(broker, &why);
        why.class = FL_CLASS_RETRY;
    }
    cn_fail_changes(broker, &why);
    broker->last_error = why;
    broker->reopen_wait_ms = FIRST_REOPEN_MS;
    broker->reopen_at_ms = broker->store.now_ms + FIRST_REOPEN_MS;
    if (broker->was_told_up)
        tell_state(broker, false, &why);
}

/* Under the writer lock, so that no two processes fill it at once. */
static bool keep_ballast(struct cn_broker *broker)
{
    struct fl_error ignored;
    if (cn_guard_lock(&broker->store.guard, &ignored))
        return false;
    bool is_kept = cn_guard_keep_ballast(&broker->store.guard);
    cn_guard_unlock(&broker->store.guard);
    return is_kept;
}

static void open_store(struct cn_broker *broker)
{
    struct fl_error error = {0};
    broker->store.settings = &broker->settings;
    broker->store.counts = broker->counts;
    enum fl_err err = cn_store_open(&broker->store, broker->application, &error);
    if (err) {
        bool is_news = strcmp(error.text, broker->last_error.text) != 0;
        error.code = FL_ERR_CLOSED;
        broker->last_error = error;
        cn_fail_publishes(broker, &error);
        cn_fail_changes(broker, &error);
        broker->reopen_at_ms = broker->store.now_ms + broker->reopen_wait_ms;
        broker->reopen_wait_ms = broker->reopen_wait_ms * 2 < MOST_REOPEN_MS
                                     ? broker->reopen_wait_ms * 2
                                     : MOST_REOPEN_MS;
        if (is_news)
            tell_state(broker, false, &error);
        return;
    }
    broker->is_open = true;
    broker->reopen_wait_ms = FIRST_REOPEN_MS;
    broker->last_error.text[0] = 0;
    broker->is_out_of_space = !keep_ballast(broker);
    broker->is_over_size = false;
    broker->next_due_wall_ms = 0; /* learnt by the first transaction */
    broker->tidy_at_ms = 0;
    broker->poll_at_ms = 0;
    broker->pause_until_ms = 0;
    broker->has_looked = false;
    tell_state(broker, true, NULL);
}

/* --- the turn --- */

static void read_clocks(struct cn_broker *broker)
{
    broker->store.now_ms = fl_clock_ms();
    broker->store.wall_ms = fl_clock_wall_ns() / 1000000;
}

/* Each second: is the file still there, is there space again, who died, what else did the bell not
 * say? True when a transaction has to take over from others. */
static bool poll_file(struct cn_broker *broker)
{
    struct fl_error error;
    broker->poll_at_ms = broker->store.now_ms + CN_POLL_MS;
    if (cn_guard_is_replaced(&broker->store.guard)) {
        fl_error_set(&error, FL_ERR_SYSTEM, FL_CLASS_RETRY, "%s was removed or replaced",
                     broker->store.path);
        cn_go_down(broker, &error);
        return false;
    }
    if (broker->is_out_of_space && keep_ballast(broker)) {
        broker->is_out_of_space = false;
        FL_INFO(broker->log, SCOPE, "%s: there is space again: publishing goes on",
                broker->log_name);
    }
    return cn_store_has_changed(&broker->store) || broker->store.has_others || !broker->has_looked;
}

static bool is_ready(const struct fl_list *list)
{
    return !fl_list_is_empty(list);
}

static bool has_settlements(const struct cn_broker *broker)
{
    return broker->return_count || is_ready(&broker->dirty) || is_ready(&broker->extended);
}

/* A subscription of before a reconnect that has to be taken up again. */
static bool has_detached(const struct cn_broker *broker)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        const struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (consumer->id == 0 && consumer->was_attached && !consumer->is_leaving)
            return true;
    }
    return false;
}

static bool has_work(const struct cn_broker *broker)
{
    return broker->is_called || is_ready(&broker->publishes) || has_settlements(broker) ||
           is_ready(&broker->ready) || is_ready(&broker->changes) || cn_is_delayed_due(broker) ||
           has_detached(broker);
}

static void refuse_without_space(struct cn_broker *broker)
{
    struct fl_error error;
    if (!broker->is_out_of_space || fl_list_is_empty(&broker->publishes))
        return;
    fl_error_set(&error, FL_ERR_CLOSED, FL_CLASS_RETRY, "the disk that holds %s is full",
                 broker->store.path);
    cn_fail_publishes(broker, &error);
}

static void work_on(struct cn_broker *broker, bool takes_over)
{
    refuse_without_space(broker);
    if (broker->store.now_ms < broker->pause_until_ms && !broker->is_closing)
        return;
    bool is_work = has_work(broker), is_tidying = broker->store.now_ms >= broker->tidy_at_ms;
    if (!is_work && !is_tidying && !takes_over)
        return;
    cn_transact_and_handle(broker, takes_over);
    /* What is done each second anyway leaves it idle. */
    if (is_work)
        broker->worked_at_ms = broker->store.now_ms;
    if (broker->is_open && broker->is_out_of_space)
        cn_store_checkpoint_locked(&broker->store);
}

/* Moving the log into the database is done when there is nothing else to do. */
static void checkpoint_when_idle(struct cn_broker *broker)
{
    if (broker->store.wal_frames >= IDLE_CHECKPOINT_FRAMES &&
        broker->store.now_ms - broker->worked_at_ms >= CN_POLL_MS / 2)
        cn_store_checkpoint_locked(&broker->store);
}

static bool is_quiet(const struct cn_broker *broker)
{
    if (is_ready(&broker->publishes) || is_ready(&broker->changes))
        return false;
    FL_LIST_EACH(at, &broker->consumers)
    {
        if (FL_LIST_ENTRY(at, struct cn_consumer, link)->in_flight)
            return false;
    }
    return true;
}

static bool has_broadcast(const struct cn_broker *broker)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        const struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (consumer->id && consumer->feed->mode == CONNECTOR_MODE_BROADCAST)
            return true;
    }
    return false;
}

static void close_if_done(struct cn_broker *broker)
{
    bool is_late = connector_session_is_interrupted(broker->session);
    if (!broker->is_closing || !(is_late || !broker->is_open || is_quiet(broker)))
        return;
    if (broker->is_open) {
        FL_LIST_EACH(at, &broker->consumers)
        {
            cn_claims_give_back(FL_LIST_ENTRY(at, struct cn_consumer, link));
        }
        struct fl_error error;
        if (has_settlements(broker) || has_broadcast(broker)) {
            enum fl_err err = cn_transact(broker, false, &error);
            (void)err; /* then the leases end by the lock byte's going free */
        }
    }
    struct fl_error error;
    fl_error_set(&error, FL_ERR_CLOSED, FL_CLASS_RETRY, "the component is closing");
    /* Claims go before the consumers that they point to. */
    close_store(broker);
    cn_fail_publishes(broker, &error);
    cn_fail_changes(broker, &error);
    broker->is_closed = true;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_turn_ms(const struct cn_broker *broker)
{
    const struct cn_store *store = &broker->store;
    if (!broker->is_open)
        return broker->reopen_at_ms;
    int64_t next = sooner(broker->poll_at_ms, broker->lapse_at_ms);
    if (broker->next_due_wall_ms != INT64_MAX && !broker->is_out_of_space) {
        int64_t wait_ms = broker->next_due_wall_ms - store->wall_ms;
        next = sooner(next, store->now_ms + (wait_ms < CN_POLL_MS ? wait_ms : CN_POLL_MS));
    }
    next = sooner(next, broker->tidy_at_ms);
    FL_LIST_EACH(at, &broker->consumers)
    {
        const struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (cn_consumer_has_room(consumer))
            next = sooner(next, consumer->next_due_ms);
    }
    if (is_ready(&broker->publishes) || is_ready(&broker->ready) || has_settlements(broker))
        next = store->now_ms;
    if (store->now_ms < broker->pause_until_ms)
        next = next < broker->pause_until_ms ? broker->pause_until_ms : next;
    return next;
}

/* Consumers whose waiting rows have become due. */
static void wake_due(struct cn_broker *broker)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (consumer->next_due_ms <= broker->store.now_ms)
            cn_consumer_consider(consumer);
    }
}

static void turn(void *owner, struct fl_mailbox_entry *work, struct connector_session_sleep *sleep)
{
    struct cn_broker *broker = owner;
    bool takes_over = false;
    read_clocks(broker);
    for (struct fl_mailbox_entry *next; work; work = next) {
        next = fl_mailbox_next(work);
        note_work(broker, FL_CONTAINER(work, struct cn_work, entry));
    }
    if (!broker->is_open && !broker->is_closing && broker->store.now_ms >= broker->reopen_at_ms)
        open_store(broker);
    if (broker->is_open && cn_guard_heard(&broker->store.guard))
        broker->is_called |= cn_store_has_changed(&broker->store);
    if (broker->is_open && broker->store.now_ms >= broker->poll_at_ms) {
        takes_over = poll_file(broker);
        if (broker->is_open)
            checkpoint_when_idle(broker);
    }
    if (broker->is_open) {
        if (broker->store.now_ms >= broker->lapse_at_ms)
            broker->lapse_at_ms = cn_claims_lapse(broker);
        wake_due(broker);
        work_on(broker, takes_over);
        broker->has_looked |= takes_over;
    }
    if (!broker->is_open) {
        cn_fail_publishes(broker, &broker->last_error);
        cn_fail_changes(broker, &broker->last_error);
    }
    close_if_done(broker);
    send_answer(broker);
    sleep->is_over = broker->is_closed;
    sleep->until_at_ms = next_turn_ms(broker);
    sleep->watch_count = broker->is_open ? 1 : 0;
    sleep->watches[0] = (struct pollfd){.fd = broker->store.guard.notify_fd, .events = POLLIN};
}

const struct connector_session_type cn_session_type = {
    .name = "sqlite", .turn = turn, .ended = cn_sqlite_on_session_ended};

/* --- beginning and end --- */

struct cn_broker *cn_broker_new(const struct cn_settings *settings, char *path,
                                struct fl_slice application, struct cn_counts *counts,
                                struct cn_sqlite *sqlite)
{
    struct cn_broker *broker = fl_zalloc(sizeof *broker);
    broker->settings = *settings;
    broker->store.path = path;
    broker->store.guard = (struct cn_guard){.lock_fd = -1, .bell_fd = -1, .notify_fd = -1};
    broker->application = application;
    broker->counts = counts;
    broker->sqlite = sqlite;
    broker->log = sqlite->connector.host->log;
    broker->log_name = sqlite->connector.log_name;
    fl_random_bytes(&broker->nonce, sizeof broker->nonce);
    broker->lapse_at_ms = INT64_MAX;
    broker->reopen_wait_ms = FIRST_REOPEN_MS;
    fl_list_init(&broker->publishes);
    fl_list_init(&broker->stored);
    fl_list_init(&broker->changes);
    fl_list_init(&broker->consumers);
    fl_list_init(&broker->ready);
    fl_list_init(&broker->dirty);
    fl_list_init(&broker->new_claims);
    fl_list_init(&broker->extended);
    return broker;
}

void cn_broker_free(struct cn_broker **pointer)
{
    struct cn_broker *broker = *pointer;
    *pointer = NULL;
    for (struct fl_list *first; (first = fl_list_first(&broker->consumers));)
        cn_consumer_free(FL_LIST_ENTRY(first, struct cn_consumer, link));
    fl_free(broker->claims);
    fl_free(broker->free_places);
    fl_free(broker->returns);
    fl_free(broker->store.path);
    fl_free(broker);
}
