/* How much a group has before it.
 *
 * The numbers of a topic have no gaps, so what stands behind a cursor is a difference of two
 * numbers and no message is counted. What is claimed is counted in the bits of the claims, what
 * waits in an index. Expired messages will never be delivered and are taken off; they are counted
 * in the index of expiry, up to a bound beyond which the answer says that it is not exact.
 *
 * The oldest message is looked for at the low end of everything: the first behind each cursor, the
 * lowest that waits in each topic, the lowest that is claimed in each of a few topics.
 */
#include "connectors/sqlite/sqlite_priv.h"

enum {
    MOST_EXPIRED = 100000,    /* looked at in one backlog */
    OLDEST_LOOKS = 256,       /* expired messages passed over to find one that is not */
    MOST_CLAIMED_TOPICS = 64, /* looked at for the oldest claimed message */
};

struct sum {
    struct cn_store *store;
    int64_t behind, expired, waiting, in_flight;
    int64_t oldest_wall_ms; /* INT64_MAX: none */
    bool is_exact;
    /* The lowest claimed message of each topic. */
    int64_t claimed[MOST_CLAIMED_TOPICS];
    size_t claimed_count;
};

static void note_stored(struct sum *sum, int64_t stored_wall_ms)
{
    if (stored_wall_ms < sum->oldest_wall_ms)
        sum->oldest_wall_ms = stored_wall_ms;
}

static enum fl_err look_at_stored(struct sum *sum, int64_t seq, struct fl_error *error)
{
    int64_t stored;
    enum fl_err err = CN_VALUE(sum->store, &stored, INT64_MAX, error, CN_SQL_BACKLOG_STORED, seq);
    if (!err)
        note_stored(sum, stored);
    return err;
}

/* --- behind the cursors --- */

/* Numbers below the lowest message are of messages that retention has removed. */
static enum fl_err add_cursor(struct sum *sum, int64_t topic, int64_t position,
                              struct fl_error *error)
{
    int64_t from = cn_seq(topic, position), end = cn_seq(topic, CN_NUMBER_MASK), first, last,
            stored;
    enum fl_err err = CN_VALUE(sum->store, &last, 0, error, CN_SQL_BACKLOG_LAST, from, end);
    if (err || last == 0)
        return err;
    err = CN_VALUE(sum->store, &first, last, error, CN_SQL_MESSAGE_FIRST, from, end);
    if (!err)
        err = CN_VALUE(sum->store, &stored, INT64_MAX, error, CN_SQL_BACKLOG_OLDEST, from, end,
                       sum->store->wall_ms, OLDEST_LOOKS);
    if (err)
        return err;
    sum->behind += last - first + 1;
    note_stored(sum, stored);
    return FL_OK;
}

static enum fl_err add_cursors(struct sum *sum, int64_t consumer, struct fl_error *error)
{
    sqlite3_stmt *row = CN_QUERY(sum->store, error, CN_SQL_BACKLOG_CURSORS, consumer);
    if (!row)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(sum->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        err = add_cursor(sum, sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), error);
        if (err) {
            sqlite3_reset(row);
            return err;
        }
    }
}

static enum fl_err take_off_expired(struct sum *sum, int64_t consumer, struct fl_error *error)
{
    sqlite3_stmt *row = CN_QUERY(sum->store, error, CN_SQL_BACKLOG_EXPIRED, consumer,
                                 sum->store->wall_ms, MOST_EXPIRED);
    if (!row)
        return error->code;
    bool has_row;
    enum fl_err err = cn_store_step(sum->store, row, &has_row, error);
    if (err || !has_row)
        return err;
    if (sqlite3_column_int64(row, 0) >= MOST_EXPIRED)
        sum->is_exact = false;
    sum->expired += sqlite3_column_int64(row, 1);
    sqlite3_reset(row);
    return FL_OK;
}

/* --- waiting --- */

static enum fl_err add_waiting(struct sum *sum, int64_t consumer, struct fl_error *error)
{
    int64_t count, seq = 0;
    enum fl_err err = CN_VALUE(sum->store, &count, 0, error, CN_SQL_BACKLOG_WAITING, consumer);
    if (err || count == 0)
        return err;
    sum->waiting += count;
    for (;;) {
        err = CN_VALUE(sum->store, &seq, 0, error, CN_SQL_BACKLOG_NEXT_WAITING, consumer, seq);
        if (err || seq == 0)
            return err;
        err = look_at_stored(sum, seq, error);
        if (err)
            return err;
        seq = cn_seq(cn_seq_topic(seq), CN_NUMBER_MASK); /* on to the next topic */
    }
}

/* --- claimed --- */

static void note_claimed(struct sum *sum, int64_t seq)
{
    for (size_t i = 0; i < sum->claimed_count; i++) {
        if (cn_seq_topic(sum->claimed[i]) != cn_seq_topic(seq))
            continue;
        if (seq < sum->claimed[i])
            sum->claimed[i] = seq;
        return;
    }
    if (sum->claimed_count < MOST_CLAIMED_TOPICS)
        sum->claimed[sum->claimed_count++] = seq;
}

static enum fl_err read_claims(struct sum *sum, int64_t consumer, struct fl_error *error)
{
    sqlite3_stmt *row = CN_QUERY(sum->store, error, CN_SQL_BACKLOG_CLAIMS, consumer);
    if (!row)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(sum->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        uint64_t mask = (uint64_t)sqlite3_column_int64(row, 1);
        if (mask == 0)
            continue;
        sum->in_flight += __builtin_popcountll(mask);
        note_claimed(sum, sqlite3_column_int64(row, 0) + __builtin_ctzll(mask));
    }
}

static enum fl_err add_claims(struct sum *sum, int64_t consumer, struct fl_error *error)
{
    sum->claimed_count = 0;
    enum fl_err err = read_claims(sum, consumer, error);
    for (size_t i = 0; !err && i < sum->claimed_count; i++)
        err = look_at_stored(sum, sum->claimed[i], error);
    return err;
}

/* --- all of it --- */

static enum fl_err add_consumer(struct sum *sum, int64_t consumer, struct fl_error *error)
{
    int64_t behind = sum->behind;
    enum fl_err err = add_cursors(sum, consumer, error);
    if (!err && sum->behind > behind)
        err = take_off_expired(sum, consumer, error);
    if (!err)
        err = add_waiting(sum, consumer, error);
    return err ? err : add_claims(sum, consumer, error);
}

static enum fl_err add_consumers(struct sum *sum, struct fl_slice topic, struct fl_slice group,
                                 bool *is_known, struct fl_error *error)
{
    sqlite3_stmt *row =
        cn_store_sql(sum->store, group.len ? CN_SQL_BACKLOG_GROUP : CN_SQL_BACKLOG_TOPIC, error);
    if (!row)
        return error->code;
    cn_bind_text(row, 1, topic);
    if (group.len)
        cn_bind_text(row, 2, group);
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(sum->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        *is_known = true;
        err = add_consumer(sum, sqlite3_column_int64(row, 0), error);
        if (err) {
            sqlite3_reset(row);
            return err;
        }
    }
}

enum fl_err cn_backlog(struct cn_broker *broker, struct fl_slice topic, struct fl_slice group,
                       struct connector_backlog *backlog, struct fl_error *error)
{
    struct sum sum = {.store = &broker->store, .oldest_wall_ms = INT64_MAX, .is_exact = true};
    bool is_known = false, has_begun = !broker->store.is_in_transaction;
    enum fl_err err =
        has_begun ? cn_store_exec(sum.store, CN_SQL_READ_BEGIN, NULL, 0, NULL, error) : FL_OK;
    if (err)
        return err;
    err = add_consumers(&sum, topic, group, &is_known, error);
    if (has_begun) {
        struct fl_error ignored;
        enum fl_err end = cn_store_exec(sum.store, CN_SQL_COMMIT, NULL, 0, NULL, &ignored);
        (void)end; /* nothing was written */
    }
    if (err)
        return err;
    int64_t undelivered = sum.behind - sum.expired + sum.waiting;
    *backlog = (struct connector_backlog){
        .is_known = is_known,
        .is_exact = is_known && sum.is_exact,
        .undelivered = (uint64_t)(undelivered > 0 ? undelivered : 0),
        .in_flight = (uint64_t)sum.in_flight,
        .oldest_wall_ms = sum.oldest_wall_ms == INT64_MAX ? 0 : sum.oldest_wall_ms,
        .as_of_wall_ms = broker->store.wall_ms,
    };
    return FL_OK;
}
