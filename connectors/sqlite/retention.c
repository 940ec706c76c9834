/* What goes by itself: messages that are old enough, messages that have to make room, groups that
 * nobody reads for.
 *
 * A message may go when every group of its topic has settled it. Cursors, waiting rows and claims
 * say that without a look at any message: up to the lowest position of all cursors, and below
 * whatever is waiting or claimed. Of that, messages go from the low end of the topic upwards, so
 * the numbers that are left have no gaps.
 *
 * Work is done in slices, topic after topic by id; a slice ends with its topics, its messages or
 * its time. A round is one way through all topics. When the file reaches `maxBytes` a new round
 * begins in which age does not count ("pressed"), until the file is below 95 % of it; when such a
 * round finds nothing to remove, publishing is refused.
 *
 * The place of a round is one number, `tidy_topic`: the id of the topic that was done last, above
 * three bits that hold what else has to be known between slices.
 */
#include "base/clock.h"
#include "connectors/sqlite/sqlite_priv.h"

#define SCOPE "dapr.contrib"

enum {
    SLICE_TOPICS = 64,
    SLICE_MESSAGES = 2000,
    SLICE_MS = 10, /* large messages take longer to remove: their pages are read one by one */
    PIECE_MESSAGES = 250,
    REST_MS = 1000,
    SEEN_MS = 60000, /* how often groups in use are marked so, at least */
    SLICE_GROUPS = 16,
};

/* The low bits of `tidy_topic`. GOES_ON: no rest was to be made after the last slice. */
enum { IS_PRESSED = 1, HAS_REMOVED = 2, GOES_ON = 4, ROUND_BITS = 3 };

struct slice {
    struct cn_broker *broker;
    int64_t page_bytes, used_bytes;
    int64_t began_ms;
    bool is_pressed, has_removed; /* of the round */
    int64_t removed;              /* messages, in this slice */
    struct slice_topic {
        int64_t id;
        int64_t settled; /* the highest seq that may go */
    } topics[SLICE_TOPICS];
    int topic_count; /* with something that may go */
    int64_t last;    /* id of the last topic looked at */
    bool is_last;    /* no topic follows */
    bool is_cut;     /* there is more to remove */
};

/* --- size --- */

static enum fl_err measure(struct slice *slice, struct fl_error *error)
{
    struct cn_store *store = &slice->broker->store;
    int64_t pages, free_pages;
    enum fl_err err = cn_store_value(store, CN_SQL_PAGE_COUNT, NULL, 0, 0, &pages, error);
    if (!err)
        err = cn_store_value(store, CN_SQL_FREE_PAGES, NULL, 0, 0, &free_pages, error);
    if (err)
        return err;
    slice->used_bytes = (pages - free_pages) * slice->page_bytes;
    atomic_store_explicit(&slice->broker->counts->used_bytes, (uint64_t)slice->used_bytes,
                          memory_order_relaxed);
    return FL_OK;
}

static bool is_roomy(const struct slice *slice)
{
    int64_t most = slice->broker->settings.max_bytes;
    return most <= 0 || slice->used_bytes < most - most / 20;
}

/* Begins a pressed round when the bound is reached, and ends the pressure when there is room. A
 * round that still looks for something to remove lets the file grow by a sixteenth, no more. */
static void judge_size(struct slice *slice)
{
    int64_t most = slice->broker->settings.max_bytes;
    if (is_roomy(slice)) {
        slice->is_pressed = false;
        slice->broker->is_over_size = false;
        return;
    }
    if (slice->used_bytes >= most + most / 16)
        slice->broker->is_over_size = true;
    if (slice->is_pressed || slice->used_bytes < most)
        return;
    slice->is_pressed = true;
    slice->has_removed = false;
    slice->last = 0;
}

static enum fl_err begin(struct slice *slice, struct fl_error *error)
{
    struct cn_broker *broker = slice->broker;
    slice->began_ms = fl_clock_ms();
    slice->is_pressed = broker->tidy_topic & IS_PRESSED;
    slice->has_removed = broker->tidy_topic & HAS_REMOVED;
    slice->last = broker->tidy_topic >> ROUND_BITS;
    enum fl_err err =
        cn_store_value(&broker->store, CN_SQL_PAGE_SIZE, NULL, 0, 4096, &slice->page_bytes, error);
    if (!err)
        err = measure(slice, error);
    if (!err)
        judge_size(slice);
    return err;
}

/* --- which messages may go --- */

static int64_t cutoff(const struct slice *slice)
{
    const struct cn_broker *broker = slice->broker;
    return slice->is_pressed ? INT64_MAX : broker->store.wall_ms - broker->settings.retention_ms;
}

/* Whether the lowest message of a topic is old enough: most topics need no more than this. */
static enum fl_err has_candidate(struct slice *slice, int64_t topic, bool *has,
                                 struct fl_error *error)
{
    struct cn_store *store = &slice->broker->store;
    sqlite3_stmt *row = CN_QUERY(store, error, CN_SQL_TIDY_MESSAGES, cn_seq(topic, 0),
                                 cn_seq(topic, CN_NUMBER_MASK), 1);
    if (!row)
        return error->code;
    enum fl_err err = cn_store_step(store, row, has, error);
    if (err || !*has)
        return err;
    *has = sqlite3_column_int64(row, 1) <= cutoff(slice);
    sqlite3_reset(row);
    return FL_OK;
}

static enum fl_err add_topic(struct slice *slice, int64_t topic, struct fl_error *error)
{
    bool has;
    int64_t settled;
    enum fl_err err = has_candidate(slice, topic, &has, error);
    if (err || !has)
        return err;
    err = CN_VALUE(&slice->broker->store, &settled, cn_seq(topic, CN_NUMBER_MASK), error,
                   CN_SQL_TIDY_SETTLED, cn_seq(topic, 0), topic);
    if (!err && cn_seq_number(settled) > 0)
        slice->topics[slice->topic_count++] = (struct slice_topic){topic, settled};
    return err;
}

static enum fl_err collect_topics(struct slice *slice, struct fl_error *error)
{
    struct cn_store *store = &slice->broker->store;
    sqlite3_stmt *row = CN_QUERY(store, error, CN_SQL_TIDY_TOPICS, slice->last, SLICE_TOPICS);
    if (!row)
        return error->code;
    int seen = 0;
    for (;; seen++) {
        bool has_row;
        enum fl_err err = cn_store_step(store, row, &has_row, error);
        slice->is_last = seen < SLICE_TOPICS;
        if (err || !has_row)
            return err;
        slice->last = sqlite3_column_int64(row, 0);
        err = add_topic(slice, slice->last, error);
        if (err) {
            sqlite3_reset(row);
            return err;
        }
    }
}

/* What is claimed from its lowest bit on stays. */
static void respect_claim(struct slice *slice, int64_t first, uint64_t mask)
{
    if (mask == 0)
        return;
    int64_t lowest = first + __builtin_ctzll(mask);
    for (int i = 0; i < slice->topic_count; i++) {
        struct slice_topic *topic = &slice->topics[i];
        if (topic->id == cn_seq_topic(lowest) && topic->settled >= lowest)
            topic->settled = lowest - 1;
    }
}

static enum fl_err respect_claims(struct slice *slice, struct fl_error *error)
{
    struct cn_broker *broker = slice->broker;
    sqlite3_stmt *row = cn_store_sql(&broker->store, CN_SQL_TIDY_CLAIMS, error);
    if (!row)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(&broker->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        respect_claim(slice, sqlite3_column_int64(row, 0), (uint64_t)sqlite3_column_int64(row, 1));
    }
}

/* --- removing --- */

static bool is_spent(const struct slice *slice)
{
    return slice->removed >= SLICE_MESSAGES || fl_clock_ms() - slice->began_ms >= SLICE_MS;
}

/* The last of the lowest messages that may go together; *upto stays when there is none. */
static enum fl_err find_piece(struct slice *slice, const struct slice_topic *topic, int64_t *upto,
                              struct fl_error *error)
{
    struct cn_store *store = &slice->broker->store;
    int64_t oldest_kept = cutoff(slice);
    sqlite3_stmt *row = CN_QUERY(store, error, CN_SQL_TIDY_MESSAGES, cn_seq(topic->id, 0),
                                 topic->settled, PIECE_MESSAGES);
    if (!row)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(store, row, &has_row, error);
        if (err || !has_row)
            return err;
        if (sqlite3_column_int64(row, 1) > oldest_kept)
            break;
        *upto = sqlite3_column_int64(row, 0);
    }
    sqlite3_reset(row);
    return FL_OK;
}

static enum fl_err remove_piece(struct slice *slice, const struct slice_topic *topic, bool *has,
                                struct fl_error *error)
{
    struct cn_broker *broker = slice->broker;
    int64_t upto = 0, changes;
    enum fl_err err = find_piece(slice, topic, &upto, error);
    *has = !err && upto != 0;
    if (!*has)
        return err;
    err =
        CN_CHANGE(&broker->store, &changes, error, CN_SQL_TIDY_REMOVE, cn_seq(topic->id, 0), upto);
    if (err)
        return err;
    slice->removed += changes;
    slice->has_removed = true;
    atomic_fetch_add_explicit(&broker->counts->removed, (uint64_t)changes, memory_order_relaxed);
    return measure(slice, error);
}

/* Until nothing of the topic may go, or the slice has done enough, but always a piece: a slow disk
 * must not keep it from getting on. */
static enum fl_err remove_from(struct slice *slice, const struct slice_topic *topic,
                               struct fl_error *error)
{
    bool has;
    enum fl_err err;
    do {
        err = remove_piece(slice, topic, &has, error);
        if (!err && slice->is_pressed)
            judge_size(slice);
    } while (!err && has && !is_spent(slice));
    return err;
}

static enum fl_err remove_all(struct slice *slice, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (int i = 0; !err && i < slice->topic_count; i++) {
        err = remove_from(slice, &slice->topics[i], error);
        if (err || !is_spent(slice))
            continue;
        /* The next slice begins with this topic. */
        slice->is_cut = true;
        slice->last = slice->topics[i].id - 1;
        slice->is_last = false;
        break;
    }
    return err;
}

/* --- groups --- */

enum fl_err cn_consumer_remove(struct cn_broker *broker, int64_t consumer, struct fl_error *error)
{
    static const enum cn_sql tables[] = {CN_SQL_WAITING_REMOVE_ALL, CN_SQL_CLAIM_REMOVE_ALL,
                                         CN_SQL_CURSOR_REMOVE_ALL, CN_SQL_CONSUMER_REMOVE};
    enum fl_err err = FL_OK;
    for (size_t i = 0; !err && i < sizeof tables / sizeof *tables; i++)
        err = CN_EXEC(&broker->store, error, tables[i], consumer);
    return err;
}

/* How often groups are looked at, in milliseconds of the monotonic clock. */
static int64_t group_period(const struct cn_broker *broker)
{
    int64_t quarter = broker->settings.group_expiry_ms / 4;
    if (broker->settings.group_expiry_ms <= 0 || quarter > SEEN_MS)
        return SEEN_MS;
    return quarter > 0 ? quarter : 1;
}

/* When the last slice was done follows from the instant that it set for this one; a period that
 * ended between the two calls for a look at the groups. */
static bool is_time_for_groups(const struct cn_broker *broker)
{
    int64_t rest = broker->tidy_topic & GOES_ON ? 0 : REST_MS;
    int64_t last = broker->tidy_at_ms > rest ? broker->tidy_at_ms - rest : 0;
    int64_t period = group_period(broker);
    return broker->store.now_ms / period != last / period;
}

static enum fl_err mark_ours(struct cn_broker *broker, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    FL_LIST_EACH(at, &broker->consumers)
    {
        const struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        int64_t changes = 1;
        if (!err && consumer->id && !consumer->is_leaving)
            err = CN_CHANGE(&broker->store, &changes, error, CN_SQL_CONSUMER_SEEN, consumer->id,
                            broker->store.wall_ms, (int64_t)broker->store.owner);
        if (!err && changes == 0)
            err = cn_consumer_is_gone(consumer, error);
    }
    return err;
}

static bool is_ours(const struct cn_broker *broker, int64_t id)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        if (FL_LIST_ENTRY(at, struct cn_consumer, link)->id == id)
            return true;
    }
    return false;
}

/* A group whose process was away as long as we were gets the time to come back first. */
static enum fl_err is_settled_in(struct cn_broker *broker, bool *is, struct fl_error *error)
{
    int64_t since;
    enum fl_err err = CN_VALUE(&broker->store, &since, broker->store.wall_ms, error,
                               CN_SQL_TIDY_OWNER, (int64_t)broker->store.owner);
    if (!err)
        *is = broker->store.wall_ms - since >= group_period(broker) * 2;
    return err;
}

/* The next group that is neither ours nor served by a process that lives: a wall clock that jumps
 * must not take the groups from under somebody. */
static enum fl_err find_group(struct cn_broker *broker, sqlite3_stmt *row, bool *has,
                              struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    for (;;) {
        enum fl_err err = cn_store_step(store, row, has, error);
        if (err || !*has)
            return err;
        if (!is_ours(broker, sqlite3_column_int64(row, 0)) &&
            !cn_guard_lives(&store->guard, (uint64_t)sqlite3_column_int64(row, 3)))
            return FL_OK;
    }
}

static enum fl_err remove_one_group(struct cn_broker *broker, bool *has, struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    sqlite3_stmt *row = CN_QUERY(store, error, CN_SQL_TIDY_GROUPS,
                                 store->wall_ms - broker->settings.group_expiry_ms);
    if (!row)
        return error->code;
    enum fl_err err = find_group(broker, row, has, error);
    if (err || !*has)
        return err;
    int64_t id = sqlite3_column_int64(row, 0);
    if (broker->log)
        FL_WARN(broker->log, SCOPE,
                "%s: group '%.*s' of '%.*s' was not in use for groupExpiry and is removed",
                broker->log_name, FL_SLICE_ARG(cn_column(row, 1)), FL_SLICE_ARG(cn_column(row, 2)));
    sqlite3_reset(row);
    return cn_consumer_remove(broker, id, error);
}

static enum fl_err tidy_groups(struct cn_broker *broker, struct fl_error *error)
{
    bool has = false;
    enum fl_err err = mark_ours(broker, error);
    if (!err && broker->settings.group_expiry_ms > 0)
        err = is_settled_in(broker, &has, error);
    for (int i = 0; !err && has && i < SLICE_GROUPS; i++)
        err = remove_one_group(broker, &has, error);
    return err;
}

/* --- the slice --- */

/* Sets where and when to go on. */
static void end(struct slice *slice)
{
    struct cn_broker *broker = slice->broker;
    bool goes_on = slice->is_cut || slice->is_pressed;
    if (slice->is_last) {
        bool was_in_vain = slice->is_pressed && !slice->has_removed;
        if (was_in_vain && slice->used_bytes >= broker->settings.max_bytes)
            broker->is_over_size = true;
        goes_on = slice->is_pressed && !was_in_vain;
        slice->last = 0;
        slice->has_removed = false;
    }
    broker->tidy_topic = slice->last << ROUND_BITS | (slice->is_pressed ? IS_PRESSED : 0) |
                         (slice->has_removed ? HAS_REMOVED : 0) | (goes_on ? GOES_ON : 0);
    broker->tidy_at_ms = broker->store.now_ms + (goes_on ? 0 : REST_MS);
}

enum fl_err cn_tidy(struct cn_broker *broker, struct fl_error *error)
{
    struct slice slice = {.broker = broker};
    enum fl_err err = is_time_for_groups(broker) ? tidy_groups(broker, error) : FL_OK;
    if (!err)
        err = begin(&slice, error);
    if (!err)
        err = collect_topics(&slice, error);
    if (!err && slice.topic_count > 0)
        err = respect_claims(&slice, error);
    if (!err && slice.topic_count > 0)
        err = remove_all(&slice, error);
    if (!err)
        end(&slice);
    return err;
}
