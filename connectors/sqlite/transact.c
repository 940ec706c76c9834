/* The transaction of a turn: its steps, its end, and what a failure of it means.
 *
 *   what the loop sent ─► noted ─► BEGIN ─► delayed that are due, publishes, settlements, groups,
 *                                           claims, retention ─► COMMIT ─► one answer to the loop
 *
 * Nothing is answered and nothing changes in memory for good before the commit. A transaction that
 * fails leaves settlements noted for the next one and answers the publishes with the reason. Three
 * kinds of failure: the disk is full (publishing pauses, the rest goes on in the space that the
 * ballast gives up), another program is in the way (once more, soon), and anything else, which ends
 * the connection.
 */
#include "base/log.h"
#include "connectors/sqlite/sqlite_priv.h"

enum { BUSY_PAUSE_MS = 50 };

#define SCOPE "dapr.contrib"

/* --- steps --- */

/* Without space they wait as publishes do: what is left is for settling. */
bool cn_is_delayed_due(const struct cn_broker *broker)
{
    return !broker->is_out_of_space && broker->next_due_wall_ms <= broker->store.wall_ms;
}

static enum fl_err run_invoke(struct cn_broker *broker, struct cn_change *change,
                              struct fl_error *error)
{
    if (fl_slice_eq_str(change->operation, "cancel"))
        return cn_delayed_cancel(broker, change->topic, change->id, error);
    fl_buffer_clear(&change->data); /* of a turn that failed */
    return cn_peek(broker, change->topic, change->group, change->count, &change->data, error);
}

static bool is_answer_of_its_own(enum fl_err err)
{
    return err == FL_ERR_NOT_FOUND || err == FL_ERR_INVALID || err == FL_ERR_TOO_LARGE ||
           err == FL_ERR_UNSUPPORTED;
}

/* What concerns the file; the rest of each change is done after the commit. */
static enum fl_err run_change(struct cn_broker *broker, struct cn_change *change,
                              struct fl_error *error)
{
    switch (change->kind) {
    case CN_SUBSCRIBE:
        return change->feed->consumer && change->feed->consumer->id == 0
                   ? cn_consumer_attach(change->feed->consumer, error)
                   : FL_OK;
    case CN_BACKLOG:
        return cn_backlog(broker, change->topic, change->group, &change->backlog, error);
    case CN_INVOKE:
        return run_invoke(broker, change, error);
    case CN_UNSUBSCRIBE:
    case CN_WINDOW:
    case CN_CLOSE:
        break;
    }
    return FL_OK;
}

static enum fl_err run_changes(struct cn_broker *broker, struct fl_error *error)
{
    FL_LIST_EACH(at, &broker->changes)
    {
        struct cn_change *change = FL_LIST_ENTRY(at, struct cn_change, link);
        enum fl_err err = run_change(broker, change, error);
        change->has_failed = err != FL_OK;
        if (err)
            change->error = *error;
        if (err && !is_answer_of_its_own(err))
            return err;
    }
    return FL_OK;
}

static bool is_served(const struct cn_broker *broker, int64_t id)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        const struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (consumer->id == id && !consumer->is_leaving)
            return true;
    }
    return false;
}

/* A broadcast group ends with its consumer; any other is served by this process no longer, and its
 * expiry begins. */
static enum fl_err let_go(struct cn_broker *broker, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    FL_LIST_EACH(at, &broker->consumers)
    {
        struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (err || !consumer->is_leaving || consumer->in_flight || !consumer->id)
            continue;
        if (consumer->feed->mode == CONNECTOR_MODE_BROADCAST)
            err = cn_consumer_remove(broker, consumer->id, error);
        else if (!is_served(broker, consumer->id))
            err = CN_EXEC(&broker->store, error, CN_SQL_CONSUMER_SEEN, consumer->id,
                          broker->store.wall_ms, 0);
    }
    return err;
}

/* Consumers of before a reconnect. One that cannot be attached tries again with the next poll. */
static enum fl_err attach_again(struct cn_broker *broker, struct fl_error *error)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (consumer->id || consumer->is_leaving || !consumer->was_attached)
            continue;
        enum fl_err err = cn_consumer_attach(consumer, error);
        if (err && !is_answer_of_its_own(err))
            return err;
        if (err)
            FL_WARN(broker->log, SCOPE, "%s: %s", broker->log_name, error->text);
    }
    return FL_OK;
}

static enum fl_err learn_of_others(struct cn_broker *broker, struct fl_error *error)
{
    enum fl_err err = cn_topics_learn(broker, error);
    if (!err)
        err = cn_delayed_look(broker, error);
    cn_consumers_look(broker);
    return err;
}

/* The size is also looked at whenever the file may have grown by a noticeable part of its bound. */
static bool is_time_to_tidy(const struct cn_broker *broker)
{
    return broker->store.now_ms >= broker->tidy_at_ms ||
           broker->grown_bytes >= broker->settings.max_bytes / 64;
}

static enum fl_err tidy(struct cn_broker *broker, struct fl_error *error)
{
    if (!is_time_to_tidy(broker))
        return FL_OK;
    broker->grown_bytes = 0;
    return cn_tidy(broker, error);
}

static enum fl_err run_steps(struct cn_broker *broker, bool is_foreign, bool takes_over,
                             struct fl_error *error)
{
    enum fl_err err = is_foreign ? learn_of_others(broker, error) : FL_OK;
    if (!err)
        err = attach_again(broker, error);
    if (!err && takes_over)
        err = cn_claims_take_over(broker, error);
    if (!err && cn_is_delayed_due(broker))
        err = cn_delayed_publish_due(broker, error);
    if (!err)
        err = cn_publish_all(broker, error);
    if (!err)
        err = cn_settle_write(broker, error);
    if (!err)
        err = run_changes(broker, error);
    if (!err)
        err = cn_claim_all(broker, error);
    if (!err)
        err = cn_topics_write(broker, error);
    if (!err)
        err = let_go(broker, error);
    return err ? err : tidy(broker, error);
}

static bool needs_sync(const struct cn_broker *broker)
{
    if (!fl_list_is_empty(&broker->publishes))
        return true;
    /* A new group, and a message that was taken back, are promises too. */
    FL_LIST_EACH(at, &broker->changes)
    {
        enum cn_change_kind kind = FL_LIST_ENTRY(at, struct cn_change, link)->kind;
        if (kind == CN_INVOKE || kind == CN_SUBSCRIBE)
            return true;
    }
    return false;
}

/* --- rollback and commit --- */

static void drop_deliveries(struct cn_answer *answer, size_t from)
{
    for (size_t i = from; i < answer->delivery_count; i++) {
        ce_event_release(&answer->deliveries[i].event);
        fl_free(answer->deliveries[i].topic);
    }
    answer->delivery_count = from;
}

static void answer_change(struct cn_broker *broker, struct cn_change *change)
{
    fl_list_remove(&change->link);
    fl_list_add_last(&cn_answer_of(broker)->changes, &change->link);
}

/* Nothing was stored, so all wait again, in their order. */
static void put_publishes_back(struct cn_broker *broker)
{
    struct fl_list all;
    fl_list_init(&all);
    FL_LIST_EACH(at, &broker->stored)
    {
        struct cn_item *item = FL_LIST_ENTRY(at, struct cn_item, link);
        item->code = FL_OK;
        FL_FREE(item->note);
    }
    fl_list_move_all(&all, &broker->stored);
    fl_list_move_all(&all, &broker->publishes);
    fl_list_move_all(&broker->publishes, &all);
    broker->stored_count = 0;
}

static void undo(struct cn_broker *broker, size_t deliveries_before)
{
    put_publishes_back(broker);
    broker->next_due_wall_ms = 0; /* learnt anew */
    cn_claims_rolled_back(broker);
    cn_topics_forget(broker);
    if (broker->answer)
        drop_deliveries(broker->answer, deliveries_before);
    FL_LIST_EACH(at, &broker->consumers)
    {
        struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (consumer->id && consumer->attached == broker->store.transaction)
            cn_consumer_reset(consumer);
    }
    cn_consumers_look(broker);
}

/* One that joins later than the claim's answer would find its consumer gone, so leaving comes last.
 */
static void finish_changes(struct cn_broker *broker)
{
    FL_LIST_EACH_SAFE(at, &broker->changes)
    {
        struct cn_change *change = FL_LIST_ENTRY(at, struct cn_change, link);
        struct cn_consumer *consumer = change->feed ? change->feed->consumer : NULL;
        if (change->kind == CN_UNSUBSCRIBE && consumer && consumer->in_flight)
            continue;
        if (change->kind == CN_UNSUBSCRIBE && consumer)
            cn_consumer_free(consumer);
        if (change->kind == CN_SUBSCRIBE && consumer) {
            consumer->was_attached = !change->has_failed;
            if (change->has_failed)
                cn_consumer_free(consumer);
        }
        answer_change(broker, change);
    }
}

static void count(struct cn_broker *broker)
{
    atomic_fetch_add_explicit(&broker->counts->stored, broker->stored_count, memory_order_relaxed);
    if (broker->answer)
        atomic_fetch_add_explicit(&broker->counts->delivered, broker->answer->delivery_count,
                                  memory_order_relaxed);
}

static void commit_done(struct cn_broker *broker)
{
    cn_claims_committed(broker);
    count(broker);
    if (!fl_list_is_empty(&broker->stored))
        fl_list_move_all(&cn_answer_of(broker)->published, &broker->stored);
    broker->stored_count = 0;
    finish_changes(broker);
    if (broker->must_ring && broker->store.has_others)
        cn_guard_ring(&broker->store.guard);
    broker->must_ring = false;
    broker->is_called = false;
}

enum fl_err cn_transact(struct cn_broker *broker, bool takes_over, struct fl_error *error)
{
    size_t deliveries_before = broker->answer ? broker->answer->delivery_count : 0;
    bool is_foreign;
    broker->last_topic_id_before = broker->last_topic_id;
    broker->stored_count = 0;
    enum fl_err err = cn_store_begin(&broker->store, needs_sync(broker), &is_foreign, error);
    if (err)
        return err;
    err = run_steps(broker, is_foreign, takes_over, error);
    if (!err && broker->stored_count)
        err = cn_store_reserve(&broker->store, error);
    if (err)
        cn_store_rollback(&broker->store);
    else
        err = cn_store_commit(&broker->store, error);
    if (err)
        undo(broker, deliveries_before);
    else
        commit_done(broker);
    return err;
}

/* --- failures --- */

void cn_fail_publishes(struct cn_broker *broker, const struct fl_error *error)
{
    if (fl_list_is_empty(&broker->publishes))
        return;
    struct cn_answer *answer = cn_answer_of(broker);
    answer->publish_error = *error;
    FL_LIST_EACH(at, &broker->publishes)
    {
        struct cn_item *item = FL_LIST_ENTRY(at, struct cn_item, link);
        item->code = error->code;
        item->class = error->class;
    }
    fl_list_move_all(&answer->published, &broker->publishes);
}

void cn_fail_changes(struct cn_broker *broker, const struct fl_error *error)
{
    FL_LIST_EACH_SAFE(at, &broker->changes)
    {
        struct cn_change *change = FL_LIST_ENTRY(at, struct cn_change, link);
        change->has_failed = change->kind != CN_UNSUBSCRIBE;
        change->error = *error;
        if (change->kind == CN_UNSUBSCRIBE || change->kind == CN_SUBSCRIBE) {
            if (change->feed->consumer)
                cn_consumer_free(change->feed->consumer);
        }
        answer_change(broker, change);
    }
}

static void run_out_of_space(struct cn_broker *broker, const struct fl_error *error)
{
    if (!broker->is_out_of_space)
        FL_WARN(broker->log, SCOPE,
                "%s: %s: publishing is refused until there is space again; deliveries go on",
                broker->log_name, error->text);
    broker->is_out_of_space = true;
    cn_guard_drop_ballast(&broker->store.guard);
    cn_fail_publishes(broker, error);
}

/* True when the turn may go on with another transaction at once. */
static bool handle_failure(struct cn_broker *broker, const struct fl_error *error)
{
    struct fl_error why = *error;
    if (broker->store.lacks_space) {
        bool was_out = broker->is_out_of_space;
        broker->store.lacks_space = false;
        run_out_of_space(broker, &why);
        broker->pause_until_ms = was_out ? broker->store.now_ms + CN_POLL_MS : 0;
        return !was_out;
    }
    if (error->code == FL_ERR_AGAIN)
        return false; /* interrupted: the deadline of closing decides */
    if (error->code == FL_ERR_CLOSED || error->code == FL_ERR_NO_MEMORY) {
        why.code = FL_ERR_CLOSED;
        cn_fail_publishes(broker, &why);
        broker->pause_until_ms = broker->store.now_ms + BUSY_PAUSE_MS;
        return false;
    }
    cn_go_down(broker, error);
    return false;
}

void cn_transact_and_handle(struct cn_broker *broker, bool takes_over)
{
    struct fl_error error = {0};
    bool goes_on =
        cn_transact(broker, takes_over, &error) != FL_OK && handle_failure(broker, &error);
    if (goes_on && cn_transact(broker, takes_over, &error) != FL_OK) {
        bool ignored = handle_failure(broker, &error);
        (void)ignored;
    }
}
