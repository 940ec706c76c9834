/* Showing messages without claiming any: one JSON object a line, for people and scripts.
 *
 * Topics are gone through by id and each by number, which is the order of seq. Without a group
 * these are the oldest messages that are kept, and after them those that are not published yet. For
 * a group they are what it has not settled: claimed or waiting, which stands before its cursor, and
 * then what is behind it. Claims are read once and sorted, so a pattern over many topics does not
 * read them for each.
 *
 * What a publisher sent is of any size, so it is appended politely: too little memory, or too many
 * bytes, end the answer and nothing else.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"
#include "cloudevents/timestamp.h"
#include "config/spelling.h"
#include "connectors/sqlite/sqlite_priv.h"

enum {
    MOST_LINES = 10000,
    MOST_BYTES = 16 * 1024 * 1024, /* no line begins beyond */
    MOST_CLAIMS = 16384,           /* rows read */
    MOST_DELAYED = 100000,         /* rows looked at: they are not in order of topics */
    MOST_NEAR_BYTES = 80,          /* longer names are near nothing */
};

/* A row of `claim` for a consumer of the group. */
struct claimed {
    int64_t consumer, first;
    uint64_t mask;
    int64_t attempt;
};

/* A message of a group that stands before its cursor. */
struct unsettled {
    int64_t seq, attempt;
    int64_t due_ms;
    const char *state;
};

struct unsettled_list {
    struct unsettled *items;
    size_t count, room;
};

struct peek {
    struct cn_broker *broker;
    struct cn_store *store;
    struct fl_slice topic, group;
    struct fl_buffer lowest, highest; /* names that match lie between them */
    struct fl_buffer *out;
    size_t start; /* of the answer in `out` */
    int64_t left; /* lines */

    int64_t topic_id; /* the current one */
    struct fl_buffer topic_name;
    struct claimed *claims; /* in order of `first` */
    size_t claim_count, claim_at;
    bool has_topic, has_group; /* any was found */
};

static bool is_full(const struct peek *peek)
{
    return peek->left <= 0 || peek->out->len - peek->start >= MOST_BYTES;
}

static void bind_text(sqlite3_stmt *statement, int column, struct fl_slice text)
{
    sqlite3_bind_text64(statement, column, text.data ? text.data : "", text.len, SQLITE_STATIC,
                        SQLITE_UTF8);
}

/* --- one line --- */

struct line {
    struct fl_slice topic, key, type, metadata, body; /* null: absent */
    const char *state;                                /* NULL: none is told */
    int64_t number, attempt;                          /* 0: none */
    int64_t stored_wall_ms, due_wall_ms, expires_wall_ms;
};

static void append_instant(struct fl_buffer *out, const char *key, int64_t wall_ms)
{
    char text[CE_TIME_MAX];
    if (wall_ms == 0)
        return;
    int64_t rest_ms = (wall_ms % 1000 + 1000) % 1000;
    size_t len = ce_time_format_utc((wall_ms - rest_ms) / 1000, text);
    ce_json_append_key(out, key);
    fl_buffer_printf(out, "\"%.*s.%03dZ\"", (int)len - 1, text, (int)rest_ms);
}

static void append_number(struct fl_buffer *out, const char *key, int64_t number)
{
    if (number <= 0)
        return;
    ce_json_append_key(out, key);
    fl_buffer_append_u64(out, (uint64_t)number);
}

static enum fl_err append_text(struct fl_buffer *out, const char *key, struct fl_slice text)
{
    if (fl_slice_is_null(text))
        return FL_OK;
    ce_json_append_key(out, key);
    return ce_json_try_string(out, text);
}

static enum fl_err append_metadata(struct fl_buffer *out, struct fl_slice metadata)
{
    struct ce_event *event;
    if (fl_slice_is_null(metadata))
        return FL_OK;
    enum fl_err err = cn_event_read(fl_slice_of("", 0), FL_SLICE_NULL, metadata, &event);
    if (err)
        return err;
    ce_json_append_key(out, "metadata");
    fl_buffer_append_byte(out, '{');
    for (size_t i = 0; !err && i < event->metadata_count; i++) {
        if (i > 0)
            fl_buffer_append_byte(out, ',');
        err = ce_json_try_string(out, event->metadata[i].key);
        fl_buffer_append_byte(out, ':');
        if (!err)
            err = ce_json_try_string(out, event->metadata[i].value);
    }
    fl_buffer_append_byte(out, '}');
    ce_event_release(&event);
    return err;
}

/* Line ends can only stand between the tokens of a JSON text, where a space means the same. */
static enum fl_err append_json(struct fl_buffer *out, struct fl_slice value)
{
    size_t size = ce_json_repaired_size(value);
    ce_json_append_key(out, "event");
    enum fl_err err = fl_buffer_try_reserve(out, size);
    if (err)
        return err;
    char *at = out->data + out->len, *end = ce_json_put_repaired(at, value);
    for (; at < end; at++) {
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    }
    out->len += size;
    return FL_OK;
}

static enum fl_err append_base64(struct fl_buffer *out, struct fl_slice body)
{
    size_t size = ce_base64_size(body.len);
    ce_json_append_key(out, "data_base64");
    enum fl_err err = fl_buffer_try_reserve(out, size + 2);
    if (err)
        return err;
    fl_buffer_append_byte(out, '"');
    ce_base64_put(out->data + out->len, body);
    out->len += size;
    fl_buffer_append_byte(out, '"');
    return FL_OK;
}

static enum fl_err append_body(struct fl_buffer *out, struct fl_slice body)
{
    struct ce_json_scan scan = {.max_depth = CE_JSON_MAX_DEPTH + 1};
    if (ce_json_scan(body, &scan) == FL_OK && scan.type == CE_JSON_OBJECT &&
        !(scan.flags & CE_JSON_TRAILING))
        return append_json(out, scan.value);
    if (fl_utf8_is_valid(body))
        return append_text(out, "text", body);
    return append_base64(out, body);
}

static enum fl_err append_line(struct fl_buffer *out, const struct line *line)
{
    fl_buffer_append_byte(out, '{');
    enum fl_err err = append_text(out, "topic", line->topic);
    append_number(out, "number", line->number);
    if (!err && line->state)
        err = append_text(out, "state", fl_slice_str(line->state));
    append_instant(out, "stored", line->stored_wall_ms);
    if (!err)
        err = append_text(out, "key", line->key);
    append_number(out, "attempt", line->attempt);
    append_instant(out, "due", line->due_wall_ms);
    append_instant(out, "expires", line->expires_wall_ms);
    if (!err)
        err = append_text(out, "content_type", line->type);
    if (!err)
        err = append_metadata(out, line->metadata);
    if (!err)
        err = append_body(out, line->body);
    fl_buffer_append_str(out, "}\n");
    return err;
}

/* A line is there as a whole or not at all. */
static enum fl_err put_line(struct peek *peek, const struct line *line, struct fl_error *error)
{
    size_t before = peek->out->len;
    if (append_line(peek->out, line)) {
        peek->out->len = before;
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_RETRY,
                            "there is not enough memory to show the messages");
    }
    peek->left--;
    return FL_OK;
}

/* --- rows --- */

/* A row of `message`; `item` may be NULL. */
static enum fl_err put_message(struct peek *peek, sqlite3_stmt *row, const struct unsettled *item,
                               struct fl_error *error)
{
    const struct cn_store *store = peek->store;
    struct line line = {.topic = fl_buffer_slice(&peek->topic_name),
                        .number = cn_seq_number(sqlite3_column_int64(row, 0)),
                        .key = cn_column(row, 1),
                        .stored_wall_ms = sqlite3_column_int64(row, 2),
                        .expires_wall_ms = sqlite3_column_int64(row, 3),
                        .type = cn_column(row, 4),
                        .metadata = cn_column(row, 5),
                        .body = cn_column(row, 6)};
    if (item) {
        line.state = item->state;
        line.attempt = item->attempt;
    } else if (peek->group.len) {
        bool is_expired = line.expires_wall_ms && line.expires_wall_ms <= store->wall_ms;
        line.state = is_expired ? "expired" : "waiting";
    }
    if (item && item->due_ms)
        line.due_wall_ms = store->wall_ms + (item->due_ms - store->now_ms);
    return put_line(peek, &line, error);
}

static enum fl_err put_range(struct peek *peek, int64_t behind, struct fl_error *error)
{
    if (is_full(peek))
        return FL_OK;
    sqlite3_stmt *row =
        CN_QUERY(peek->store, error, CN_SQL_MESSAGE_RANGE, cn_seq(peek->topic_id, behind),
                 cn_seq(peek->topic_id, CN_NUMBER_MASK));
    if (!row)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(peek->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        err = put_message(peek, row, NULL, error);
        if (err || is_full(peek)) {
            sqlite3_reset(row);
            return err;
        }
    }
}

static enum fl_err put_unsettled(struct peek *peek, const struct unsettled *item,
                                 struct fl_error *error)
{
    bool has_row;
    sqlite3_stmt *row = CN_QUERY(peek->store, error, CN_SQL_MESSAGE_ONE, item->seq);
    if (!row)
        return error->code;
    enum fl_err err = cn_store_step(peek->store, row, &has_row, error);
    if (err || !has_row)
        return err;
    err = put_message(peek, row, item, error);
    sqlite3_reset(row);
    return err;
}

/* --- a group: what stands before its cursor --- */

static int compare_claims(const void *a, const void *b)
{
    int64_t left = ((const struct claimed *)a)->first, right = ((const struct claimed *)b)->first;
    return (left > right) - (left < right);
}

static int compare_unsettled(const void *a, const void *b)
{
    int64_t left = ((const struct unsettled *)a)->seq, right = ((const struct unsettled *)b)->seq;
    return (left > right) - (left < right);
}

static void add_claim(struct peek *peek, sqlite3_stmt *row)
{
    struct claimed *claim = &peek->claims[peek->claim_count++];
    *claim = (struct claimed){.consumer = sqlite3_column_int64(row, 0),
                              .first = sqlite3_column_int64(row, 1),
                              .mask = (uint64_t)sqlite3_column_int64(row, 2),
                              .attempt = sqlite3_column_int64(row, 3)};
}

/* All claims of the group. */
static enum fl_err read_claims(struct peek *peek, struct fl_error *error)
{
    sqlite3_stmt *row = cn_store_sql(peek->store, CN_SQL_PEEK_CLAIMS, error);
    if (!row)
        return error->code;
    bind_text(row, 1, peek->group);
    peek->claims = fl_alloc(sizeof *peek->claims * MOST_CLAIMS);
    bool has_row = true;
    while (has_row && peek->claim_count < MOST_CLAIMS) {
        enum fl_err err = cn_store_step(peek->store, row, &has_row, error);
        if (err)
            return err;
        if (has_row)
            add_claim(peek, row);
    }
    sqlite3_reset(row);
    qsort(peek->claims, peek->claim_count, sizeof *peek->claims, compare_claims);
    return FL_OK;
}

static enum fl_err add_unsettled(struct unsettled_list *list, struct unsettled item)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        struct unsettled *items = fl_try_realloc(list->items, room * sizeof *items);
        if (!items)
            return FL_ERR_NO_MEMORY;
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
    return FL_OK;
}

static enum fl_err add_bits(struct unsettled_list *list, const struct claimed *claim)
{
    enum fl_err err = FL_OK;
    for (uint64_t mask = claim->mask; !err && mask; mask &= mask - 1) {
        int64_t seq = claim->first + __builtin_ctzll(mask);
        err = add_unsettled(
            list, (struct unsettled){.seq = seq, .attempt = claim->attempt, .state = "in flight"});
    }
    return err;
}

/* Topics come in order of their ids, so the claims of this one begin where those of the one before
 * ended. */
static enum fl_err add_claimed(struct peek *peek, int64_t consumer, struct unsettled_list *list)
{
    enum fl_err err = FL_OK;
    while (peek->claim_at < peek->claim_count &&
           cn_seq_topic(peek->claims[peek->claim_at].first) < peek->topic_id)
        peek->claim_at++;
    for (size_t i = peek->claim_at; !err && i < peek->claim_count; i++) {
        if (cn_seq_topic(peek->claims[i].first) != peek->topic_id)
            break;
        if (peek->claims[i].consumer == consumer)
            err = add_bits(list, &peek->claims[i]);
    }
    return err;
}

static enum fl_err add_waiting(struct peek *peek, int64_t consumer, struct unsettled_list *list,
                               struct fl_error *error)
{
    sqlite3_stmt *row =
        CN_QUERY(peek->store, error, CN_SQL_PEEK_WAITING, consumer, cn_seq(peek->topic_id, 0),
                 cn_seq(peek->topic_id, CN_NUMBER_MASK), peek->left);
    if (!row)
        return error->code;
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(peek->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        bool is_blocked = sqlite3_column_type(row, 1) == SQLITE_NULL;
        err = add_unsettled(list, (struct unsettled){.seq = sqlite3_column_int64(row, 0),
                                                     .due_ms = sqlite3_column_int64(row, 1),
                                                     .attempt = sqlite3_column_int64(row, 2),
                                                     .state = is_blocked ? "blocked" : "retry"});
        if (err) {
            sqlite3_reset(row);
            return err;
        }
    }
}

static enum fl_err put_before_cursor(struct peek *peek, int64_t consumer, struct fl_error *error)
{
    struct unsettled_list list = {0};
    enum fl_err err = add_claimed(peek, consumer, &list);
    if (!err)
        err = add_waiting(peek, consumer, &list, error);
    if (err == FL_ERR_NO_MEMORY)
        err = fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_RETRY,
                           "there is not enough memory to show the messages");
    if (!err && list.count)
        qsort(list.items, list.count, sizeof *list.items, compare_unsettled);
    for (size_t i = 0; !err && i < list.count && !is_full(peek); i++)
        err = put_unsettled(peek, &list.items[i], error);
    fl_free(list.items);
    return err;
}

/* --- topics --- */

/* The current topic for the group; one that it does not read shows nothing. */
static enum fl_err put_topic_of_group(struct peek *peek, struct fl_error *error)
{
    sqlite3_stmt *row = CN_QUERY(peek->store, error, CN_SQL_PEEK_CONSUMERS, peek->topic_id);
    if (!row)
        return error->code;
    bind_text(row, 2, peek->group);
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(peek->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        peek->has_group = true;
        err = put_before_cursor(peek, sqlite3_column_int64(row, 0), error);
        if (!err)
            err = put_range(peek, sqlite3_column_int64(row, 1), error);
        if (err || is_full(peek)) {
            sqlite3_reset(row);
            return err;
        }
    }
}

static enum fl_err next_topic(struct peek *peek, bool *has, struct fl_error *error)
{
    sqlite3_stmt *row = CN_QUERY(peek->store, error, CN_SQL_PEEK_TOPIC, peek->topic_id);
    if (!row)
        return error->code;
    bind_text(row, 2, fl_buffer_slice(&peek->lowest));
    bind_text(row, 3, fl_buffer_slice(&peek->highest));
    enum fl_err err = cn_store_step(peek->store, row, has, error);
    if (err || !*has)
        return err;
    peek->topic_id = sqlite3_column_int64(row, 0);
    fl_buffer_clear(&peek->topic_name);
    fl_buffer_append_slice(&peek->topic_name, cn_column(row, 1));
    sqlite3_reset(row);
    return FL_OK;
}

static enum fl_err put_topics(struct peek *peek, struct fl_error *error)
{
    enum fl_err err = peek->group.len ? read_claims(peek, error) : FL_OK;
    while (!err) {
        bool has;
        err = next_topic(peek, &has, error);
        if (err || !has)
            break;
        peek->has_topic = true;
        err = peek->group.len ? put_topic_of_group(peek, error) : put_range(peek, 0, error);
        if (is_full(peek))
            break;
    }
    return err;
}

/* --- not published yet --- */

static enum fl_err put_delayed(struct peek *peek, struct fl_error *error)
{
    if (peek->has_topic && is_full(peek))
        return FL_OK;
    /* One more than there is room for tells whether there is any. */
    sqlite3_stmt *row =
        CN_QUERY(peek->store, error, CN_SQL_PEEK_DELAYED, MOST_DELAYED, peek->left + 1);
    if (!row)
        return error->code;
    bind_text(row, 3, fl_buffer_slice(&peek->lowest));
    bind_text(row, 4, fl_buffer_slice(&peek->highest));
    for (;;) {
        bool has_row;
        enum fl_err err = cn_store_step(peek->store, row, &has_row, error);
        if (err || !has_row)
            return err;
        peek->has_topic = true;
        struct line line = {.state = "delayed",
                            .due_wall_ms = sqlite3_column_int64(row, 0),
                            .topic = cn_column(row, 1),
                            .key = cn_column(row, 2),
                            .type = cn_column(row, 3),
                            .metadata = cn_column(row, 4),
                            .body = cn_column(row, 5)};
        bool is_over = is_full(peek);
        if (!is_over)
            err = put_line(peek, &line, error);
        if (err || is_over) {
            sqlite3_reset(row);
            return err;
        }
    }
}

/* --- what is not there --- */

/* The name nearest to `word` among the rows of a statement, in the arena; null when none is. */
static struct fl_slice nearest(struct peek *peek, sqlite3_stmt *row, int column,
                               struct fl_slice word, struct fl_arena *arena)
{
    struct config_spelling spelling;
    struct fl_error ignored;
    bool has_row;
    config_spelling_init(&spelling, word);
    while (row && cn_store_step(peek->store, row, &has_row, &ignored) == FL_OK && has_row) {
        struct fl_slice name = cn_column(row, column);
        if (name.len <= MOST_NEAR_BYTES)
            config_spelling_offer(&spelling, fl_arena_copy(arena, name));
    }
    return spelling.best;
}

static enum fl_err refuse_topic(struct peek *peek, struct fl_error *error)
{
    struct fl_arena arena = {0};
    sqlite3_stmt *row = CN_QUERY(peek->store, error, CN_SQL_TOPIC_AFTER, 0);
    struct fl_slice near = nearest(peek, row, 1, peek->topic, &arena);
    enum fl_err err = near.len
                          ? fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                                         "there is no topic '%.*s'; the nearest is '%.*s'",
                                         FL_SLICE_ARG(peek->topic), FL_SLICE_ARG(near))
                          : fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                                         "there is no topic '%.*s'", FL_SLICE_ARG(peek->topic));
    fl_arena_fini(&arena);
    return err;
}

static enum fl_err refuse_group(struct peek *peek, struct fl_error *error)
{
    struct fl_arena arena = {0};
    sqlite3_stmt *row = cn_store_sql(peek->store, CN_SQL_PEEK_GROUPS, error);
    struct fl_slice near = nearest(peek, row, 0, peek->group, &arena);
    bool is_other = near.len && !fl_slice_eq(near, peek->group);
    enum fl_err err =
        is_other
            ? fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                           "no group '%.*s' reads topic '%.*s'; the nearest is '%.*s'",
                           FL_SLICE_ARG(peek->group), FL_SLICE_ARG(peek->topic), FL_SLICE_ARG(near))
            : fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                           "no group '%.*s' reads topic '%.*s'", FL_SLICE_ARG(peek->group),
                           FL_SLICE_ARG(peek->topic));
    fl_arena_fini(&arena);
    return err;
}

/* A group may have subscribed to what does not exist yet. */
static enum fl_err has_subscription(struct peek *peek, bool *has, struct fl_error *error)
{
    sqlite3_stmt *row = cn_store_sql(peek->store, CN_SQL_CONSUMER_FIND, error);
    if (!row)
        return error->code;
    bind_text(row, 1, peek->group);
    bind_text(row, 2, peek->topic);
    enum fl_err err = cn_store_step(peek->store, row, has, error);
    if (!err && *has)
        sqlite3_reset(row);
    return err;
}

static enum fl_err judge_absence(struct peek *peek, struct fl_error *error)
{
    bool has = false;
    if (peek->has_topic && (peek->has_group || peek->group.len == 0))
        return FL_OK;
    enum fl_err err = peek->group.len ? has_subscription(peek, &has, error) : FL_OK;
    if (err || has)
        return err;
    return peek->has_topic ? refuse_group(peek, error) : refuse_topic(peek, error);
}

/* --- the whole --- */

/* Every name that begins with a pattern's prefix lies between the prefix and the prefix with a byte
 * behind it that no UTF-8 has. */
static void set_names(struct peek *peek)
{
    struct fl_slice name = peek->topic;
    bool is_pattern = name.len && name.data[name.len - 1] == '*';
    name.len -= is_pattern;
    fl_buffer_append_slice(&peek->lowest, name);
    fl_buffer_append_slice(&peek->highest, name);
    if (is_pattern)
        fl_buffer_append_byte(&peek->highest, '\xff');
}

static enum fl_err run(struct peek *peek, struct fl_error *error)
{
    enum fl_err err = put_topics(peek, error);
    if (!err && peek->group.len == 0)
        err = put_delayed(peek, error);
    return err ? err : judge_absence(peek, error);
}

enum fl_err cn_peek(struct cn_broker *broker, struct fl_slice topic, struct fl_slice group,
                    int64_t count, struct fl_buffer *out, struct fl_error *error)
{
    struct peek peek = {.broker = broker,
                        .store = &broker->store,
                        .topic = topic,
                        .group = group,
                        .out = out,
                        .start = out->len,
                        .left = count < 0            ? 0
                                : count < MOST_LINES ? count
                                                     : MOST_LINES};
    bool has_begun = !broker->store.is_in_transaction;
    enum fl_err err =
        has_begun ? cn_store_exec(peek.store, CN_SQL_READ_BEGIN, NULL, 0, NULL, error) : FL_OK;
    if (err)
        return err;
    set_names(&peek);
    err = run(&peek, error);
    if (has_begun) {
        struct fl_error ignored;
        enum fl_err end = cn_store_exec(peek.store, CN_SQL_COMMIT, NULL, 0, NULL, &ignored);
        (void)end; /* nothing was written */
    }
    if (err)
        out->len = peek.start;
    fl_free(peek.claims);
    fl_buffer_fini(&peek.lowest);
    fl_buffer_fini(&peek.highest);
    fl_buffer_fini(&peek.topic_name);
    return err;
}
