/* Storing what was published.
 *
 * A message is appended to its topic: the next number, one row. Its item is remembered for the rest
 * of the transaction, so that a consumer of this process that is up to date gets the very event
 * that came in, and nothing is read back.
 *
 * A publish that can never be stored (a bad delay, a topic too many) is answered by itself;
 * whatever SQLite refuses ends the transaction, and then nothing of it was stored.
 */
#include <string.h>

#include "base/alloc.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/publish_metadata.h"
#include "cloudevents/timestamp.h"
#include "connectors/sqlite/sqlite_priv.h"

enum {
    MOST_IN_A_TURN = 2048, /* publishes of one transaction */
    MOST_METADATA = 64,    /* pairs of a delayed message that are looked at */
};

/* --- rows --- */

static void mark_readers(struct cn_topic *topic)
{
    FL_LIST_EACH(at, &topic->readers)
    {
        cn_reader_ready(FL_LIST_ENTRY(at, struct cn_reader, of_topic));
    }
}

enum fl_err cn_message_add(struct cn_broker *broker, struct cn_topic *topic,
                           const struct cn_record *record, struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    if (topic->last >= CN_NUMBER_MASK)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "topic '%.*s' has used up its numbers", FL_SLICE_ARG(topic->name));
    sqlite3_stmt *statement = CN_QUERY(store, error, CN_SQL_MESSAGE_ADD,
                                       cn_seq(topic->id, topic->last + 1), store->wall_ms);
    if (!statement)
        return error->code;
    if (record->expires_wall_ms)
        sqlite3_bind_int64(statement, 3, record->expires_wall_ms);
    else
        sqlite3_bind_null(statement, 3);
    cn_bind_text(statement, 4, record->key);
    cn_bind_text(statement, 5, record->type);
    cn_bind_text(statement, 6, record->metadata);
    cn_record_bind_body(record, statement, 7);
    bool has_row;
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    if (err)
        return err;
    topic->last++;
    broker->grown_bytes += cn_record_bytes(record);
    if (!topic->is_dirty) {
        topic->is_dirty = true;
        topic->next_dirty = broker->dirty_topics;
        broker->dirty_topics = topic;
    }
    broker->must_ring = true;
    mark_readers(topic);
    return FL_OK;
}

static void remember(struct cn_topic *topic, struct cn_item *item)
{
    if (topic->fresh_count == 0)
        topic->fresh_first = topic->last;
    if (topic->fresh_count == topic->fresh_room) {
        topic->fresh_room = topic->fresh_room ? topic->fresh_room * 2 : 64;
        topic->fresh = fl_realloc(topic->fresh, sizeof(struct cn_item *) * topic->fresh_room);
    }
    topic->fresh[topic->fresh_count++] = item;
}

/* --- what the metadata asks for --- */

struct wishes {
    int64_t lifetime_ms; /* 0: for ever; -1: none at all */
    int64_t due_wall_ms; /* 0: now */
};

static bool is_delay_key(struct fl_slice key)
{
    return fl_slice_eq_nocase(key, FL_SLICE_LIT("delay")) ||
           fl_slice_eq_nocase(key, FL_SLICE_LIT("deliverAt"));
}

static enum fl_err read_due(const struct ce_metadata *pair, int64_t wall_ms, int64_t *due_wall_ms,
                            struct fl_error *error)
{
    int64_t ns;
    if (fl_slice_eq_nocase(pair->key, FL_SLICE_LIT("delay"))) {
        if (!ce_ttl_parse(pair->value, &ns))
            return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                                "metadata delay is '%.*s': a duration such as 30s or 1h30m, or "
                                "whole seconds, is accepted",
                                FL_SLICE_ARG(pair->value));
        *due_wall_ms = ns > 0 ? wall_ms + ns / 1000000 : 0;
        return FL_OK;
    }
    struct ce_timestamp time;
    if (!ce_timestamp_parse(pair->value, &time))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "metadata deliverAt is '%.*s': an RFC 3339 time such as "
                            "2030-01-31T12:00:00Z is accepted",
                            FL_SLICE_ARG(pair->value));
    int64_t due = ce_timestamp_ns(time) / 1000000;
    *due_wall_ms = due > wall_ms ? due : 0;
    return FL_OK;
}

static enum fl_err read_wishes(const struct ce_event *event, int64_t wall_ms, struct wishes *wishes,
                               struct fl_error *error)
{
    struct ce_publish_metadata known;
    *wishes = (struct wishes){0};
    if (event->metadata_count == 0)
        return FL_OK;
    ce_publish_metadata_read(event->metadata, event->metadata_count, &known);
    if (known.has_ttl)
        wishes->lifetime_ms = known.ttl_ns <= 0 ? -1 : (known.ttl_ns - 1) / 1000000 + 1;
    for (size_t i = 0; i < event->metadata_count; i++) {
        if (!is_delay_key(event->metadata[i].key) || event->metadata[i].value.len == 0)
            continue;
        enum fl_err err = read_due(&event->metadata[i], wall_ms, &wishes->due_wall_ms, error);
        if (err)
            return err;
    }
    return FL_OK;
}

/* --- one publish --- */

static enum fl_err store_now(struct cn_broker *broker, struct cn_item *item,
                             struct cn_record *record, const struct wishes *wishes,
                             struct fl_error *error)
{
    struct cn_topic *topic;
    enum fl_err err = cn_topic_load(broker, item->topic, true, &topic, error);
    if (err)
        return err;
    if (wishes->lifetime_ms)
        record->expires_wall_ms = broker->store.wall_ms + wishes->lifetime_ms;
    item->expires_wall_ms = record->expires_wall_ms;
    err = cn_message_add(broker, topic, record, error);
    if (!err)
        remember(topic, item);
    return err;
}

/* The id by which a delayed message can be taken back; `room` keeps one that has escapes. */
static struct fl_slice event_id(const struct ce_event *event, struct fl_buffer *room)
{
    struct fl_slice json = ce_event_json(event, CE_ID);
    if (json.len && ce_json_is_plain(json))
        return ce_json_inside(json);
    if (json.len && ce_json_try_decode(json, room) == FL_OK)
        return fl_buffer_slice(room);
    return ce_metadata_find(event->metadata, event->metadata_count, FL_SLICE_LIT("cloudevent.id"));
}

/* The wish is fulfilled when the message is due; a dead letter made of it must not wait again. */
static enum fl_err store_later(struct cn_broker *broker, struct cn_item *item,
                               struct cn_record *record, const struct wishes *wishes,
                               struct fl_error *error)
{
    struct ce_metadata kept[MOST_METADATA];
    struct ce_event stripped = *item->event;
    struct fl_buffer text = {0}, id = {0};
    size_t count = 0;
    for (size_t i = 0; i < stripped.metadata_count; i++) {
        if (is_delay_key(stripped.metadata[i].key))
            continue;
        if (count == MOST_METADATA)
            return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                                "a delayed message may have at most %d metadata pairs",
                                MOST_METADATA);
        kept[count++] = stripped.metadata[i];
    }
    stripped.metadata = kept;
    stripped.metadata_count = count;
    cn_metadata_write(&stripped, &text, &record->metadata);
    enum fl_err err =
        cn_delayed_add(broker, item->topic, wishes->due_wall_ms, event_id(item->event, &id),
                       wishes->lifetime_ms < 0 ? 1 : wishes->lifetime_ms, record, error);
    fl_buffer_fini(&text);
    fl_buffer_fini(&id);
    return err;
}

static enum fl_err store_one(struct cn_broker *broker, struct cn_item *item, struct fl_buffer *text,
                             struct fl_error *error)
{
    const struct ce_event *event = item->event;
    struct wishes wishes;
    enum fl_err err = read_wishes(event, broker->store.wall_ms, &wishes, error);
    if (err)
        return err;
    struct cn_record record = {.key = item->key,
                               .type = event->content_type,
                               .body = event->body,
                               .is_text = event->flags & CE_EVENT_STRUCTURED};
    if (wishes.due_wall_ms)
        return store_later(broker, item, &record, &wishes, error);
    fl_buffer_clear(text);
    cn_metadata_write(event, text, &record.metadata);
    return store_now(broker, item, &record, &wishes, error);
}

static void refuse(struct cn_item *item, const struct fl_error *error)
{
    item->code = error->code;
    item->class = error->class;
    item->note = fl_strdup(fl_slice_str(error->text));
}

/* What is wrong with one publish, and not with the file. */
static bool is_its_own_fault(enum fl_err err)
{
    return err == FL_ERR_INVALID || err == FL_ERR_TOO_LARGE || err == FL_ERR_TIMEOUT ||
           err == FL_ERR_AGAIN;
}

static enum fl_err check(const struct cn_broker *broker, const struct cn_item *item,
                         struct fl_error *error)
{
    if (item->topic.len > CN_MOST_TOPIC_BYTES)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "a topic's name has at most %d bytes", CN_MOST_TOPIC_BYTES);
    if (item->deadline_at_ms <= broker->store.now_ms)
        return fl_error_set(error, FL_ERR_TIMEOUT, FL_CLASS_UNKNOWN,
                            "the file was busy until the deadline");
    /* SQLite has a limit of its own, and what it refuses would end the turn for all. */
    if (item->event->body.len > CN_MOST_MESSAGE_BYTES)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "a message has at most %d bytes", CN_MOST_MESSAGE_BYTES);
    if (broker->is_over_size && !item->is_urgent)
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                            "%s holds its maxBytes (%lld), and every message in it is unsettled",
                            broker->store.path, (long long)broker->settings.max_bytes);
    return FL_OK;
}

enum fl_err cn_publish_all(struct cn_broker *broker, struct fl_error *error)
{
    struct fl_buffer text = {0};
    enum fl_err err = FL_OK;
    struct fl_list *first;
    uint64_t stored = 0;
    for (int i = 0; i < MOST_IN_A_TURN && (first = fl_list_first(&broker->publishes)); i++) {
        struct cn_item *item = FL_LIST_ENTRY(first, struct cn_item, link);
        err = check(broker, item, error);
        if (!err)
            err = store_one(broker, item, &text, error);
        if (err && !is_its_own_fault(err))
            break;
        fl_list_remove(first);
        fl_list_add_last(&broker->stored, first);
        if (err)
            refuse(item, error);
        stored += !err;
        err = FL_OK;
    }
    fl_buffer_fini(&text);
    broker->stored_count = stored;
    return err;
}
