/* Topics and groups: what exists in the file, and which of it this process serves.
 *
 * A topic's row is read once in a transaction, when it is first needed there; what it says holds
 * until the commit, because the writer lock keeps everyone else out. A group has a cursor at every
 * topic that its subscription matches, from the moment in which both exist: a new topic gets the
 * cursors of all patterns that match it, a new pattern gets one at each topic. So retention can ask
 * the cursors alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cloudevents/timestamp.h"
#include "connectors/sqlite/sqlite_priv.h"

static bool matches(struct fl_slice pattern, struct fl_slice topic)
{
    return fl_slice_starts_with(topic, fl_slice_of(pattern.data, pattern.len - 1)) &&
           topic.len >= pattern.len;
}

/* --- topics in memory --- */

static struct cn_topic *topic_of(struct cn_broker *broker, struct fl_slice name)
{
    struct cn_topic *topic = fl_map_find(&broker->topics, name);
    if (topic)
        return topic;
    topic = fl_zalloc(sizeof *topic + name.len + 1);
    if (name.len)
        memcpy(topic->text, name.data, name.len);
    topic->name = fl_slice_of(topic->text, name.len);
    fl_list_init(&topic->readers);
    fl_map_set(&broker->topics, name, topic);
    return topic;
}

/* One that cannot be made is not remembered: publishers may think of any number of names. */
static void drop_topic(struct cn_broker *broker, struct cn_topic *topic)
{
    if (topic->id || !fl_list_is_empty(&topic->readers))
        return;
    fl_map_remove(&broker->topics, topic->name);
    fl_free(topic->fresh);
    fl_free(topic);
}

/* Ids begin at 1 and have no gaps, so a plain array is the index. */
static void set_id(struct cn_broker *broker, struct cn_topic *topic, int64_t id)
{
    topic->id = id;
    if (id >= broker->topic_id_room) {
        int64_t room = id * 2 + 64;
        broker->topics_by_id =
            fl_realloc(broker->topics_by_id, sizeof(struct cn_topic *) * (size_t)room);
        memset(broker->topics_by_id + broker->topic_id_room, 0,
               sizeof(struct cn_topic *) * (size_t)(room - broker->topic_id_room));
        broker->topic_id_room = room;
    }
    broker->topics_by_id[id] = topic;
}

struct cn_topic *cn_topic_by_id(const struct cn_broker *broker, int64_t id)
{
    return id > 0 && id < broker->topic_id_room ? broker->topics_by_id[id] : NULL;
}

struct cn_reader *cn_reader_by_topic(const struct cn_consumer *consumer, int64_t id)
{
    const struct cn_topic *topic = cn_topic_by_id(consumer->broker, id);
    if (!topic)
        return NULL;
    FL_LIST_EACH(at, &topic->readers)
    {
        struct cn_reader *reader = FL_LIST_ENTRY(at, struct cn_reader, of_topic);
        if (reader->consumer == consumer)
            return reader;
    }
    return NULL;
}

static void add_reader(struct cn_consumer *consumer, struct cn_topic *topic)
{
    FL_LIST_EACH(at, &topic->readers)
    {
        if (FL_LIST_ENTRY(at, struct cn_reader, of_topic)->consumer == consumer)
            return;
    }
    struct cn_reader *reader = fl_zalloc(sizeof *reader);
    reader->topic = topic;
    reader->consumer = consumer;
    fl_list_init(&reader->ready);
    fl_list_add_last(&topic->readers, &reader->of_topic);
    fl_list_add_last(&consumer->readers, &reader->of_consumer);
    cn_reader_ready(reader);
}

static void free_reader(struct cn_reader *reader)
{
    fl_list_remove(&reader->of_topic);
    fl_list_remove(&reader->of_consumer);
    fl_list_remove(&reader->ready);
    fl_free(reader);
}

void cn_reader_ready(struct cn_reader *reader)
{
    if (!fl_list_is_empty(&reader->ready))
        return;
    fl_list_add_last(&reader->consumer->ready_readers, &reader->ready);
    cn_consumer_consider(reader->consumer);
}

void cn_topics_forget(struct cn_broker *broker)
{
    uint32_t at = 0;
    void *value;
    while (fl_map_next(&broker->topics, &at, NULL, &value)) {
        struct cn_topic *topic = value;
        if (topic->seen != broker->store.transaction)
            continue;
        if (topic->made == broker->store.transaction) {
            broker->topics_by_id[topic->id] = NULL;
            topic->id = 0;
        }
        topic->seen = 0;
        topic->is_dirty = false;
        topic->fresh_count = 0;
        drop_topic(broker, topic);
    }
    broker->dirty_topics = NULL;
    broker->last_topic_id = broker->last_topic_id_before;
}

void cn_topics_free(struct cn_broker *broker)
{
    uint32_t at = 0;
    void *value;
    while (fl_map_next(&broker->topics, &at, NULL, &value)) {
        struct cn_topic *topic = value;
        fl_free(topic->fresh);
        fl_free(topic);
    }
    fl_map_fini(&broker->topics);
    FL_FREE(broker->topics_by_id);
    broker->topic_id_room = 0;
}

/* --- topics in the file --- */

static enum fl_err find_topic(struct cn_broker *broker, struct cn_topic *topic, bool *is_there,
                              struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    bool by_id = topic->id != 0;
    sqlite3_stmt *statement =
        cn_store_sql(store, by_id ? CN_SQL_TOPIC_LAST : CN_SQL_TOPIC_BY_NAME, error);
    if (!statement)
        return error->code;
    if (by_id)
        sqlite3_bind_int64(statement, 1, topic->id);
    else
        cn_bind_text(statement, 1, topic->name);
    enum fl_err err = cn_store_step(store, statement, is_there, error);
    if (err || !*is_there)
        return err;
    if (!by_id)
        set_id(broker, topic, sqlite3_column_int64(statement, 0));
    topic->last = sqlite3_column_int64(statement, by_id ? 0 : 1);
    sqlite3_reset(statement);
    return FL_OK;
}

/* Every pattern in the file, ours or not, gets its cursor at the new topic. */
static enum fl_err add_cursors(struct cn_broker *broker, const struct cn_topic *topic,
                               struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    sqlite3_stmt *patterns = cn_store_sql(store, CN_SQL_CONSUMER_PATTERNS, error);
    if (!patterns)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(store, patterns, &has_row, error);
        if (err || !has_row)
            return err;
        int64_t consumer = sqlite3_column_int64(patterns, 0);
        if (!matches(cn_column(patterns, 1), topic->name))
            continue;
        err = CN_EXEC(store, error, CN_SQL_CURSOR_ADD, topic->id, consumer, 0);
        if (err) {
            sqlite3_reset(patterns);
            return err;
        }
    }
}

static enum fl_err add_topic(struct cn_broker *broker, struct cn_topic *topic,
                             struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    int64_t count;
    enum fl_err err = cn_store_value(store, CN_SQL_TOPIC_COUNT, NULL, 0, 0, &count, error);
    if (err)
        return err;
    if (count >= broker->settings.max_topics)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "%s holds its maxTopics (%lld), so topic '%.*s' cannot be made",
                            store->path, (long long)broker->settings.max_topics,
                            FL_SLICE_ARG(topic->name));
    sqlite3_stmt *statement = cn_store_sql(store, CN_SQL_TOPIC_ADD, error);
    if (!statement)
        return error->code;
    bool has_row;
    cn_bind_text(statement, 1, topic->name);
    err = cn_store_step(store, statement, &has_row, error);
    if (err)
        return err;
    set_id(broker, topic, sqlite3_last_insert_rowid(store->db));
    topic->last = 0;
    topic->seen = topic->made = store->transaction;
    topic->fresh_count = 0;
    err = add_cursors(broker, topic, error);
    return err ? err : cn_topics_learn(broker, error);
}

enum fl_err cn_topic_load(struct cn_broker *broker, struct fl_slice name, bool may_add,
                          struct cn_topic **found, struct fl_error *error)
{
    struct cn_topic *topic = topic_of(broker, name);
    bool is_there;
    if (topic->seen == broker->store.transaction) {
        *found = topic;
        return FL_OK;
    }
    enum fl_err err = find_topic(broker, topic, &is_there, error);
    if (err)
        return err;
    topic->fresh_count = 0;
    if (is_there)
        topic->seen = broker->store.transaction;
    else if (name.len > CN_MOST_TOPIC_BYTES)
        err = fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                           "a topic's name has at most %d bytes", CN_MOST_TOPIC_BYTES);
    else if (may_add)
        err = add_topic(broker, topic, error);
    else
        err = fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT, "there is no topic '%.*s'",
                           FL_SLICE_ARG(name));
    if (!err)
        *found = topic;
    else if (err == FL_ERR_NOT_FOUND || err == FL_ERR_TOO_LARGE || err == FL_ERR_INVALID)
        drop_topic(broker, topic);
    return err;
}

enum fl_err cn_topics_write(struct cn_broker *broker, struct fl_error *error)
{
    for (struct cn_topic *topic; (topic = broker->dirty_topics);) {
        enum fl_err err =
            CN_EXEC(&broker->store, error, CN_SQL_TOPIC_SET_LAST, topic->id, topic->last);
        if (err)
            return err;
        topic->is_dirty = false;
        broker->dirty_topics = topic->next_dirty;
    }
    return FL_OK;
}

static void offer_to_patterns(struct cn_broker *broker, struct fl_slice name, int64_t id)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (!consumer->feed->is_pattern || consumer->id == 0 || consumer->is_leaving ||
            !matches(consumer->feed->topic, name))
            continue;
        struct cn_topic *topic = topic_of(broker, name);
        set_id(broker, topic, id);
        add_reader(consumer, topic);
    }
}

enum fl_err cn_topics_learn(struct cn_broker *broker, struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    sqlite3_stmt *statement = CN_QUERY(store, error, CN_SQL_TOPIC_AFTER, broker->last_topic_id);
    if (!statement)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(store, statement, &has_row, error);
        if (err || !has_row)
            return err;
        broker->last_topic_id = sqlite3_column_int64(statement, 0);
        offer_to_patterns(broker, cn_column(statement, 1), broker->last_topic_id);
    }
}

/* --- consumers --- */

struct cn_consumer *cn_consumer_new(struct cn_broker *broker, struct cn_feed *feed)
{
    struct cn_consumer *consumer = fl_zalloc(sizeof *consumer);
    consumer->broker = broker;
    consumer->number = ++broker->last_consumer_number;
    consumer->feed = feed;
    consumer->next_due_ms = INT64_MAX;
    fl_list_init(&consumer->ready);
    fl_list_init(&consumer->readers);
    fl_list_init(&consumer->ready_readers);
    fl_list_init(&consumer->claims);
    fl_list_add_last(&broker->consumers, &consumer->link);
    feed->consumer = consumer;
    return consumer;
}

enum fl_err cn_consumer_is_gone(const struct cn_consumer *consumer, struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_RETRY,
                        "group '%.*s' of '%.*s' was removed while it was in use",
                        FL_SLICE_ARG(consumer->feed->group), FL_SLICE_ARG(consumer->feed->topic));
}

static void free_readers(struct cn_consumer *consumer)
{
    for (struct fl_list *first; (first = fl_list_first(&consumer->readers));)
        free_reader(FL_LIST_ENTRY(first, struct cn_reader, of_consumer));
}

void cn_consumer_free(struct cn_consumer *consumer)
{
    free_readers(consumer);
    fl_list_remove(&consumer->link);
    fl_list_remove(&consumer->ready);
    consumer->feed->consumer = NULL;
    fl_free(consumer);
}

void cn_consumer_reset(struct cn_consumer *consumer)
{
    free_readers(consumer);
    fl_list_remove(&consumer->ready);
    consumer->id = 0;
    consumer->in_flight = 0;
    consumer->in_flight_bytes = 0;
    consumer->must_look = false;
    consumer->next_due_ms = INT64_MAX;
}

static bool has_something(const struct cn_consumer *consumer)
{
    return consumer->must_look || !fl_list_is_empty(&consumer->ready_readers) ||
           consumer->next_due_ms <= consumer->broker->store.now_ms;
}

bool cn_consumer_has_room(const struct cn_consumer *consumer)
{
    return consumer->id && !consumer->is_leaving &&
           consumer->in_flight < consumer->window_messages &&
           consumer->in_flight_bytes < consumer->window_bytes;
}

void cn_consumer_consider(struct cn_consumer *consumer)
{
    if (!cn_consumer_has_room(consumer) || !has_something(consumer))
        fl_list_remove(&consumer->ready);
    else if (fl_list_is_empty(&consumer->ready))
        fl_list_add_last(&consumer->broker->ready, &consumer->ready);
}

void cn_consumers_look(struct cn_broker *broker)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        consumer->must_look = true;
        cn_consumer_consider(consumer);
    }
}

/* --- attaching --- */

static enum fl_err position_in_words(const struct cn_feed *feed, int64_t *number,
                                     struct fl_error *error)
{
    char text[24], *end;
    snprintf(text, sizeof text, "%.*s", FL_SLICE_ARG(feed->start_value));
    *number = strtoll(text, &end, 10);
    bool is_number = feed->start_value.len > 0 && feed->start_value.len < 20 && *end == 0;
    if (!is_number || *number < 1 || feed->is_pattern)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "a start position is the number of a message of one topic, from 1 on; "
                            "found '%.*s'%s",
                            FL_SLICE_ARG(feed->start_value),
                            feed->is_pattern ? " for a pattern" : "");
    --*number;
    return FL_OK;
}

static enum fl_err start_of(struct cn_consumer *consumer, int64_t topic, int64_t last,
                            int64_t *position, struct fl_error *error)
{
    const struct cn_feed *feed = consumer->feed;
    struct cn_store *store = &consumer->broker->store;
    enum connector_start start = feed->start;
    int64_t lowest = cn_seq(topic, 0), highest = cn_seq(topic, last), seq = 0;
    struct ce_timestamp time;
    enum fl_err err = FL_OK;
    if (start == CONNECTOR_START_DEFAULT)
        start = feed->mode == CONNECTOR_MODE_BROADCAST ? CONNECTOR_START_LATEST
                                                       : CONNECTOR_START_EARLIEST;
    *position = last;
    switch (start) {
    case CONNECTOR_START_DEFAULT:
    case CONNECTOR_START_LATEST:
        return FL_OK;
    case CONNECTOR_START_POSITION:
        err = position_in_words(feed, &seq, error);
        *position = seq < last ? seq : last;
        return err;
    case CONNECTOR_START_EARLIEST:
        err = CN_VALUE(store, &seq, highest + 1, error, CN_SQL_MESSAGE_FIRST, lowest, highest);
        break;
    case CONNECTOR_START_TIME:
        if (!ce_timestamp_parse(feed->start_value, &time))
            return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                                "start time '%.*s' is no RFC 3339 time",
                                FL_SLICE_ARG(feed->start_value));
        err = CN_VALUE(store, &seq, highest + 1, error, CN_SQL_MESSAGE_SINCE, lowest, highest,
                       ce_timestamp_ns(time) / 1000000);
        break;
    }
    if (!err)
        *position = cn_seq_number(seq) - 1;
    return err;
}

static enum fl_err find_row(struct cn_consumer *consumer, struct fl_slice name, int64_t *id,
                            struct fl_error *error)
{
    struct cn_store *store = &consumer->broker->store;
    sqlite3_stmt *statement = cn_store_sql(store, CN_SQL_CONSUMER_FIND, error);
    if (!statement)
        return error->code;
    bool has_row;
    sqlite3_bind_text(statement, 1, name.data, (int)name.len, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 2, consumer->feed->topic.data, (int)consumer->feed->topic.len,
                      SQLITE_TRANSIENT);
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    *id = !err && has_row ? sqlite3_column_int64(statement, 0) : 0;
    if (!err && has_row)
        sqlite3_reset(statement);
    return err;
}

static enum fl_err add_row(struct cn_consumer *consumer, struct fl_slice name, int64_t *id,
                           struct fl_error *error)
{
    struct cn_store *store = &consumer->broker->store;
    bool is_ours_alone = consumer->feed->mode == CONNECTOR_MODE_BROADCAST, has_row;
    sqlite3_stmt *statement =
        CN_QUERY(store, error, CN_SQL_CONSUMER_ADD, store->wall_ms, consumer->feed->is_pattern);
    if (!statement)
        return error->code;
    if (is_ours_alone)
        sqlite3_bind_int64(statement, 3, (int64_t)store->owner);
    else
        sqlite3_bind_null(statement, 3);
    sqlite3_bind_text(statement, 4, name.data, (int)name.len, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 5, consumer->feed->topic.data, (int)consumer->feed->topic.len,
                      SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 6, (int64_t)store->owner);
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    *id = sqlite3_last_insert_rowid(store->db);
    return err;
}

static enum fl_err add_cursor(struct cn_consumer *consumer, bool is_new, int64_t id,
                              struct cn_topic *topic, int64_t last, struct fl_error *error)
{
    int64_t position = 0;
    enum fl_err err = is_new ? start_of(consumer, topic->id, last, &position, error) : FL_OK;
    if (!err)
        err = CN_EXEC(&consumer->broker->store, error, CN_SQL_CURSOR_ADD, topic->id, id, position);
    if (!err)
        add_reader(consumer, topic);
    return err;
}

static enum fl_err add_all_cursors(struct cn_consumer *consumer, bool is_new, int64_t id,
                                   struct fl_error *error)
{
    struct cn_broker *broker = consumer->broker;
    enum fl_err err = cn_topics_learn(broker, error);
    sqlite3_stmt *statement = err ? NULL : CN_QUERY(&broker->store, error, CN_SQL_TOPIC_AFTER, 0);
    bool has_row = statement != NULL;
    if (!statement)
        return error->code;
    while (!err && has_row) {
        err = cn_store_step(&broker->store, statement, &has_row, error);
        if (err || !has_row || !matches(consumer->feed->topic, cn_column(statement, 1)))
            continue;
        struct cn_topic *topic = topic_of(broker, cn_column(statement, 1));
        set_id(broker, topic, sqlite3_column_int64(statement, 0));
        err = add_cursor(consumer, is_new, id, topic, sqlite3_column_int64(statement, 2), error);
    }
    sqlite3_reset(statement);
    return err;
}

/* A broadcast consumer is a group of its own, which ends with its process; a new connection of the
 * same process finds it again. */
static struct fl_slice row_name(struct cn_consumer *consumer, struct fl_buffer *text)
{
    fl_buffer_append_slice(text, consumer->feed->group);
    if (consumer->feed->mode == CONNECTOR_MODE_BROADCAST)
        fl_buffer_printf(text, "/%016llx-%llu", (unsigned long long)consumer->broker->nonce,
                         (unsigned long long)consumer->number);
    return fl_slice_str(fl_buffer_cstr(text));
}

static enum fl_err add_cursors_of(struct cn_consumer *consumer, bool is_new, int64_t id,
                                  struct fl_error *error)
{
    struct cn_topic *topic;
    if (consumer->feed->is_pattern)
        return add_all_cursors(consumer, is_new, id, error);
    enum fl_err err = cn_topic_load(consumer->broker, consumer->feed->topic, true, &topic, error);
    return err ? err : add_cursor(consumer, is_new, id, topic, topic->last, error);
}

/* The transaction goes on without it, and leaves nothing of it: another attempt makes it anew. */
static enum fl_err forget_new(struct cn_consumer *consumer, int64_t id, struct fl_error *error)
{
    struct fl_error why = *error;
    free_readers(consumer);
    enum fl_err err = cn_consumer_remove(consumer->broker, id, error);
    if (err)
        return err;
    *error = why;
    return why.code;
}

enum fl_err cn_consumer_attach(struct cn_consumer *consumer, struct fl_error *error)
{
    struct cn_broker *broker = consumer->broker;
    struct fl_buffer text = {0};
    struct fl_slice name = row_name(consumer, &text);
    int64_t id;
    enum fl_err err = find_row(consumer, name, &id, error);
    bool is_new = !err && id == 0;
    if (is_new)
        err = add_row(consumer, name, &id, error);
    else if (!err)
        err = CN_EXEC(&broker->store, error, CN_SQL_CONSUMER_SEEN, id, broker->store.wall_ms,
                      (int64_t)broker->store.owner);
    fl_buffer_fini(&text);
    if (err)
        return err;
    err = add_cursors_of(consumer, is_new, id, error);
    if (err && is_new && (err == FL_ERR_INVALID || err == FL_ERR_TOO_LARGE))
        return forget_new(consumer, id, error);
    if (err)
        return err;
    consumer->id = id;
    consumer->attached = broker->store.transaction;
    consumer->next_due_ms = 0;
    cn_consumer_consider(consumer);
    return FL_OK;
}
