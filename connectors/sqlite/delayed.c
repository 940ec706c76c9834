/* Messages that are published later.
 *
 * A delayed message is a row of `delayed` until its instant by the wall clock, and then becomes an
 * ordinary message at the end of its topic, in one transaction, so it is never in both places or in
 * none. Memory holds the next instant only. Every process that has the file open looks; whoever has
 * the writer lock first publishes.
 *
 * Rows are read first and written afterwards, a slice at a time: no statement changes what another
 * one is still reading.
 */
#include "base/alloc.h"
#include "connectors/sqlite/sqlite_priv.h"

#define SCOPE "dapr.contrib"

enum {
    SLICE_ROWS = 500,
    SLICE_BYTES = 8 * 1024 * 1024, /* of bodies and metadata; the first row is always taken */
    PUT_OFF_MS = 60000,
};

/* A row of a slice: what becomes of it when all are read. */
struct due_row {
    int64_t id;
    bool is_put_off;
};

struct due_slice {
    struct due_row rows[SLICE_ROWS];
    size_t count, bytes, published;
    char reason[sizeof((struct fl_error *)0)->text]; /* why the last one was put off */
};

enum fl_err cn_delayed_add(struct cn_broker *broker, struct fl_slice topic, int64_t due_wall_ms,
                           struct fl_slice event_id, int64_t lifetime_ms,
                           const struct cn_record *record, struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    sqlite3_stmt *statement = CN_QUERY(store, error, CN_SQL_DELAYED_ADD, due_wall_ms, lifetime_ms);
    if (!statement)
        return error->code;
    bool has_row;
    cn_bind_text(statement, 3, event_id);
    cn_bind_text(statement, 4, topic.data ? topic : fl_slice_of("", 0));
    cn_bind_text(statement, 5, record->key);
    cn_bind_text(statement, 6, record->type);
    cn_bind_text(statement, 7, record->metadata);
    cn_record_bind_body(record, statement, 8);
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    broker->grown_bytes += cn_record_bytes(record);
    if (!err && due_wall_ms < broker->next_due_wall_ms)
        broker->next_due_wall_ms = due_wall_ms;
    return err;
}

/* --- publishing what is due --- */

enum {
    COLUMN_ID,
    COLUMN_TOPIC,
    COLUMN_LIFETIME,
    COLUMN_KEY,
    COLUMN_TYPE,
    COLUMN_METADATA,
    COLUMN_BODY
};

static struct cn_record read_record(sqlite3_stmt *row, int64_t wall_ms)
{
    struct cn_record record = {.key = cn_column(row, COLUMN_KEY),
                               .type = cn_column(row, COLUMN_TYPE),
                               .metadata = cn_column(row, COLUMN_METADATA),
                               .body = cn_column(row, COLUMN_BODY),
                               .is_text = sqlite3_column_type(row, COLUMN_BODY) == SQLITE_TEXT};
    int64_t lifetime_ms = sqlite3_column_int64(row, COLUMN_LIFETIME);
    if (lifetime_ms > 0)
        record.expires_wall_ms =
            lifetime_ms < INT64_MAX - wall_ms ? wall_ms + lifetime_ms : INT64_MAX;
    return record;
}

/* Publishes one row. A topic that cannot be made puts the row off; it is no failure of the slice.
 */
static enum fl_err publish_row(struct cn_broker *broker, sqlite3_stmt *row, struct due_slice *slice,
                               struct fl_error *error)
{
    struct cn_record record = read_record(row, broker->store.wall_ms);
    struct cn_topic *topic;
    enum fl_err err = cn_topic_load(broker, cn_column(row, COLUMN_TOPIC), true, &topic, error);
    if (!err)
        err = cn_message_add(broker, topic, &record, error);
    bool is_put_off = err == FL_ERR_TOO_LARGE || err == FL_ERR_INVALID;
    if (is_put_off)
        memcpy(slice->reason, error->text, sizeof slice->reason);
    else if (err)
        return err;
    slice->bytes += record.body.len + record.metadata.len;
    slice->published += !is_put_off;
    slice->rows[slice->count++] =
        (struct due_row){sqlite3_column_int64(row, COLUMN_ID), is_put_off};
    return FL_OK;
}

static bool has_room_for(const struct due_slice *slice, sqlite3_stmt *row)
{
    size_t bytes = cn_column(row, COLUMN_BODY).len + cn_column(row, COLUMN_METADATA).len;
    return slice->count == 0 || slice->bytes + bytes <= SLICE_BYTES;
}

static enum fl_err publish_slice(struct cn_broker *broker, struct due_slice *slice,
                                 struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    sqlite3_stmt *row = CN_QUERY(store, error, CN_SQL_DELAYED_DUE, store->wall_ms, SLICE_ROWS);
    if (!row)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(store, row, &has_row, error);
        if (err || !has_row)
            return err;
        if (!has_room_for(slice, row))
            break;
        err = publish_row(broker, row, slice, error);
        if (err) {
            sqlite3_reset(row);
            return err;
        }
    }
    sqlite3_reset(row);
    return FL_OK;
}

/* Rows that are put off gather at one instant a minute. So the first of a minute is known by
 * finding none there yet, whichever process put it off, and it alone is logged. The instant is an
 * odd one, which nobody asks for by deliverAt. */
static int64_t put_off_until(int64_t wall_ms)
{
    return (wall_ms / PUT_OFF_MS + 2) * PUT_OFF_MS - 1;
}

static enum fl_err log_put_off(struct cn_broker *broker, int64_t until,
                               const struct due_slice *slice, struct fl_error *error)
{
    int64_t is_known;
    enum fl_err err = CN_VALUE(&broker->store, &is_known, 0, error, CN_SQL_DELAYED_AT, until);
    if (!err && !is_known && broker->log)
        FL_WARN(broker->log, SCOPE, "%s: a delayed message is due and has to wait: %s",
                broker->log_name, slice->reason);
    return err;
}

static enum fl_err put_away(struct cn_broker *broker, const struct due_slice *slice,
                            struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    int64_t until = put_off_until(store->wall_ms);
    enum fl_err err = FL_OK;
    if (slice->published < slice->count)
        err = log_put_off(broker, until, slice, error);
    for (size_t i = 0; !err && i < slice->count; i++) {
        const struct due_row *row = &slice->rows[i];
        err = row->is_put_off ? CN_EXEC(store, error, CN_SQL_DELAYED_PUT_OFF, row->id, until)
                              : CN_EXEC(store, error, CN_SQL_DELAYED_REMOVE, row->id);
    }
    return err;
}

enum fl_err cn_delayed_publish_due(struct cn_broker *broker, struct fl_error *error)
{
    struct due_slice slice;
    slice.count = slice.bytes = slice.published = 0;
    enum fl_err err = publish_slice(broker, &slice, error);
    if (!err)
        err = put_away(broker, &slice, error);
    if (err)
        return err;
    if (slice.published > 0)
        broker->must_ring = true;
    return cn_delayed_look(broker, error);
}

enum fl_err cn_delayed_look(struct cn_broker *broker, struct fl_error *error)
{
    int64_t due;
    enum fl_err err =
        cn_store_value(&broker->store, CN_SQL_DELAYED_NEXT_DUE, NULL, 0, INT64_MAX, &due, error);
    if (!err)
        broker->next_due_wall_ms = due <= broker->store.wall_ms ? 0 : due;
    return err;
}

/* --- taking back --- */

enum fl_err cn_delayed_cancel(struct cn_broker *broker, struct fl_slice topic, struct fl_slice id,
                              struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    sqlite3_stmt *statement = cn_store_sql(store, CN_SQL_DELAYED_CANCEL, error);
    if (!statement)
        return error->code;
    bool has_row;
    cn_bind_text(statement, 1, id);
    cn_bind_text(statement, 2, topic);
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    if (err)
        return err;
    if (sqlite3_changes64(store->db) > 0)
        return FL_OK;
    return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                        "no message with the id '%.*s' waits to be published to topic '%.*s': it "
                        "was published already, taken back, or never delayed",
                        FL_SLICE_ARG(id), FL_SLICE_ARG(topic));
}
