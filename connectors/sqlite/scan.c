/* Claiming: what each consumer takes next, and in which order.
 *
 * A consumer that has room takes first what waits and is due, then what stands behind its cursors,
 * topic by topic, until its window is full. What it takes goes into claims (claim.c) and into the
 * deliveries of the answer. Messages that were stored in this very transaction are handed on from
 * memory and not read back.
 *
 * A message with a partition key is claimed alone, and only when nothing of its lane is out or
 * waits before it; otherwise it is parked in `waiting` without a due time, until the one before it
 * is settled. So a lane is worked on one message at a time over all processes.
 */
#include "base/alloc.h"
#include "connectors/sqlite/sqlite_priv.h"

enum {
    MOST_DUE_AT_ONCE = 256,
    MOST_LOOKED_AT = 4096, /* messages behind one cursor, in one transaction */
};

/* --- taking --- */

/* Claims of one consumer while they are being made: neighbours go into one row. */
struct harvest {
    struct cn_consumer *consumer;
    struct cn_claim *open; /* NULL: none yet */
};

static bool has_room(const struct cn_consumer *consumer)
{
    return consumer->in_flight < consumer->window_messages &&
           consumer->in_flight_bytes < consumer->window_bytes;
}

static enum fl_err close_claim(struct harvest *harvest, struct fl_error *error)
{
    const struct cn_claim *claim = harvest->open;
    if (!claim)
        return FL_OK;
    harvest->open = NULL;
    struct cn_store *store = &harvest->consumer->broker->store;
    return CN_EXEC(store, error, CN_SQL_CLAIM_ADD, (int64_t)store->owner, claim->id,
                   claim->consumer->id, claim->first, (int64_t)claim->mask, (int64_t)claim->lane,
                   claim->until_ms, claim->attempt);
}

static struct cn_delivery *new_delivery(struct cn_broker *broker)
{
    struct cn_answer *answer = cn_answer_of(broker);
    if (answer->delivery_count == answer->delivery_room) {
        answer->delivery_room = answer->delivery_room ? answer->delivery_room * 2 : 64;
        answer->deliveries =
            fl_realloc(answer->deliveries, sizeof *answer->deliveries * answer->delivery_room);
    }
    struct cn_delivery *delivery = &answer->deliveries[answer->delivery_count++];
    *delivery = (struct cn_delivery){0};
    return delivery;
}

struct found {
    int64_t seq, stored_wall_ms;
    uint64_t lane;
    uint32_t attempt;
    size_t bytes;
    struct cn_item *item;   /* or */
    struct ce_event *event; /* taken */
};

static enum fl_err take(struct harvest *harvest, const struct cn_topic *topic,
                        const struct found *found, struct fl_error *error)
{
    struct cn_consumer *consumer = harvest->consumer;
    struct cn_claim *claim = harvest->open;
    bool fits = claim && claim->lane == 0 && found->lane == 0 && claim->attempt == found->attempt &&
                found->seq > claim->first && found->seq - claim->first < CN_CLAIM_SPAN &&
                !(claim->mask & (uint64_t)1 << (found->seq - claim->first));
    if (!fits) {
        enum fl_err err = close_claim(harvest, error);
        if (err)
            return err;
        claim = harvest->open = cn_claim_new(consumer, found->seq);
        claim->lane = found->lane;
        claim->attempt = found->attempt;
    }
    unsigned index = (unsigned)(found->seq - claim->first);
    claim->mask |= (uint64_t)1 << index;
    claim->bytes[index] = (uint32_t)found->bytes;
    claim->ends_ms[index] = consumer->broker->store.now_ms + consumer->broker->settings.lease_ms;
    consumer->in_flight++;
    consumer->in_flight_bytes += found->bytes;
    struct cn_delivery *delivery = new_delivery(consumer->broker);
    delivery->feed = consumer->feed;
    delivery->item = found->item;
    delivery->event = found->event;
    delivery->epoch = consumer->epoch;
    delivery->lane = found->lane;
    delivery->attempt = found->attempt;
    delivery->stored_wall_ms = found->stored_wall_ms;
    delivery->token =
        (struct connector_token){{claim->place | (uint64_t)index << 32, (uint64_t)claim->id}};
    if (consumer->feed->is_pattern) {
        delivery->topic = fl_strdup(topic->name);
        delivery->topic_len = topic->name.len;
    }
    return FL_OK;
}

/* The same for every process and version: lanes are stored. FNV-1a; 0 and 1 mean other things.
 * Equal keys of two topics are two lanes, so that in one lane the seq is the order. */
static uint64_t lane_of(int64_t topic, struct fl_slice key)
{
    uint64_t hash = (0xcbf29ce484222325 ^ (uint64_t)topic) * 0x100000001b3;
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * 0x100000001b3;
    return key.len == 0 ? 0 : hash < 2 ? hash + 2 : hash;
}

static enum fl_err is_lane_busy(struct cn_consumer *consumer, uint64_t lane, bool *is_busy,
                                struct fl_error *error)
{
    struct cn_store *store = &consumer->broker->store;
    int64_t found;
    enum fl_err err =
        CN_VALUE(store, &found, -1, error, CN_SQL_CLAIM_IN_LANE, consumer->id, (int64_t)lane);
    if (!err && found < 0)
        err =
            CN_VALUE(store, &found, -1, error, CN_SQL_WAITING_IN_LANE, consumer->id, (int64_t)lane);
    *is_busy = found >= 0;
    return err;
}

/* --- behind the cursor --- */

struct scan {
    struct harvest *harvest;
    struct cn_topic *topic;
    int64_t position, parked;
};

/* Takes, parks or passes over the message after the position. `*goes_on` is false when it has to
 * stay. The event is taken. */
static enum fl_err meet(struct scan *scan, struct found *found, struct fl_slice key,
                        int64_t expires_wall_ms, bool *goes_on, struct fl_error *error)
{
    struct cn_consumer *consumer = scan->harvest->consumer;
    struct cn_store *store = &consumer->broker->store;
    enum fl_err err = FL_OK;
    bool is_busy = false;
    found->lane = lane_of(cn_seq_topic(found->seq), key);
    *goes_on = true;
    if (expires_wall_ms && expires_wall_ms <= store->wall_ms)
        goto passed;
    if (found->lane) {
        err = close_claim(scan->harvest, error);
        if (!err)
            err = is_lane_busy(consumer, found->lane, &is_busy, error);
    }
    if (!err && is_busy && scan->parked >= CN_MOST_PARKED) {
        *goes_on = false;
        ce_event_release(&found->event);
        return FL_OK;
    }
    if (!err && is_busy) {
        scan->parked++;
        err = CN_EXEC(store, error, CN_SQL_WAITING_ADD, consumer->id, found->seq,
                      (int64_t)found->lane, -1, 1);
    } else if (!err) {
        err = take(scan->harvest, scan->topic, found, error);
        if (!err)
            found->event = NULL;
    }
passed:
    ce_event_release(&found->event);
    if (!err)
        scan->position = cn_seq_number(found->seq);
    return err;
}

/* Messages that were stored in this very transaction. */
static enum fl_err scan_fresh(struct scan *scan, struct fl_error *error)
{
    struct cn_topic *topic = scan->topic;
    bool goes_on = true;
    enum fl_err err = FL_OK;
    while (!err && goes_on && scan->position < topic->last && has_room(scan->harvest->consumer)) {
        struct cn_item *item = topic->fresh[scan->position + 1 - topic->fresh_first];
        struct found found = {.seq = cn_seq(topic->id, scan->position + 1),
                              .stored_wall_ms = scan->harvest->consumer->broker->store.wall_ms,
                              .attempt = 1,
                              .bytes = item->event->body.len,
                              .item = item};
        err = meet(scan, &found, item->key, item->expires_wall_ms, &goes_on, error);
    }
    return err;
}

static enum fl_err read_message(sqlite3_stmt *row, struct found *found, struct fl_error *error)
{
    struct fl_slice body = cn_column(row, 6);
    found->seq = sqlite3_column_int64(row, 0);
    found->stored_wall_ms = sqlite3_column_int64(row, 2);
    found->bytes = body.len;
    enum fl_err err = cn_event_read(body, cn_column(row, 4), cn_column(row, 5), &found->event);
    return err ? fl_error_set(error, err, FL_CLASS_RETRY, "no memory for a message of %zu bytes",
                              body.len)
               : FL_OK;
}

static enum fl_err scan_rows(struct scan *scan, struct fl_error *error)
{
    struct cn_store *store = &scan->harvest->consumer->broker->store;
    struct cn_topic *topic = scan->topic;
    int64_t until = topic->fresh_count ? topic->fresh_first - 1 : topic->last;
    bool goes_on = true, has_row = true;
    enum fl_err err = FL_OK;
    if (scan->position >= until)
        return FL_OK;
    sqlite3_stmt *rows = CN_QUERY(store, error, CN_SQL_MESSAGE_RANGE,
                                  cn_seq(topic->id, scan->position), cn_seq(topic->id, until));
    if (!rows)
        return error->code;
    for (int i = 0; i < MOST_LOOKED_AT && !err && goes_on && has_row; i++) {
        struct found found = {.attempt = 1};
        if (!has_room(scan->harvest->consumer))
            break;
        err = cn_store_step(store, rows, &has_row, error);
        if (err || !has_row)
            break;
        int64_t expires_wall_ms = sqlite3_column_int64(rows, 3);
        if (expires_wall_ms && expires_wall_ms <= store->wall_ms)
            found.seq = sqlite3_column_int64(rows, 0); /* passed over, so its body is not needed */
        else
            err = read_message(rows, &found, error);
        if (!err)
            err = meet(scan, &found, cn_column(rows, 1), expires_wall_ms, &goes_on, error);
    }
    sqlite3_reset(rows);
    /* A gap at the end, where retention was. */
    if (!err && !has_row)
        scan->position = until;
    return err;
}

/* The other topics of the pattern are first when there is room again. */
static void go_last(struct cn_reader *reader)
{
    fl_list_remove(&reader->ready);
    fl_list_add_last(&reader->consumer->ready_readers, &reader->ready);
}

static enum fl_err claim_topic(struct harvest *harvest, struct cn_reader *reader,
                               struct fl_error *error)
{
    struct cn_broker *broker = reader->consumer->broker;
    struct cn_store *store = &broker->store;
    struct scan scan = {.harvest = harvest};
    enum fl_err err = cn_topic_load(broker, reader->topic->name, false, &scan.topic, error);
    if (err == FL_ERR_NOT_FOUND) {
        fl_list_remove(&reader->ready); /* it was to be made in a transaction that failed */
        return FL_OK;
    }
    sqlite3_stmt *row =
        err ? NULL
            : CN_QUERY(store, error, CN_SQL_CURSOR_GET, scan.topic->id, reader->consumer->id);
    if (!row)
        return error->code;
    bool has_row;
    err = cn_store_step(store, row, &has_row, error);
    if (err)
        return err;
    if (!has_row)
        return cn_consumer_is_gone(reader->consumer, error);
    int64_t before = scan.position = sqlite3_column_int64(row, 0);
    scan.parked = sqlite3_column_int64(row, 1);
    sqlite3_reset(row);
    err = scan_rows(&scan, error);
    if (!err && scan.topic->fresh_count && scan.position + 1 >= scan.topic->fresh_first)
        err = scan_fresh(&scan, error);
    if (!err && scan.position != before)
        err = CN_EXEC(store, error, CN_SQL_CURSOR_SET, scan.topic->id, reader->consumer->id,
                      scan.position, scan.parked);
    if (scan.position >= scan.topic->last || scan.parked >= CN_MOST_PARKED)
        fl_list_remove(&reader->ready);
    else if (!has_room(reader->consumer))
        go_last(reader);
    return err;
}

/* --- what waits --- */

struct due {
    int64_t seq, lane, attempt;
};

static enum fl_err list_due(struct cn_consumer *consumer, struct due *due, size_t most,
                            size_t *count, struct fl_error *error)
{
    struct cn_store *store = &consumer->broker->store;
    sqlite3_stmt *rows =
        CN_QUERY(store, error, CN_SQL_WAITING_DUE, consumer->id, store->now_ms, (int64_t)most);
    bool has_row = true;
    enum fl_err err = rows ? FL_OK : error->code;
    *count = 0;
    while (!err && has_row) {
        err = cn_store_step(store, rows, &has_row, error);
        if (!err && has_row)
            due[(*count)++] =
                (struct due){sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1),
                             sqlite3_column_int64(rows, 2)};
    }
    return err;
}

/* One that has expired, or that is not there, is done with. */
static enum fl_err claim_due(struct harvest *harvest, const struct due *due, struct fl_error *error)
{
    struct cn_consumer *consumer = harvest->consumer;
    struct cn_store *store = &consumer->broker->store;
    struct found found = {.attempt = (uint32_t)due->attempt, .lane = (uint64_t)due->lane};
    struct cn_topic nameless = {.name = FL_SLICE_NULL}, *topic = &nameless;
    sqlite3_stmt *row = CN_QUERY(store, error, CN_SQL_MESSAGE_ONE, due->seq);
    bool has_row = false;
    enum fl_err err = row ? cn_store_step(store, row, &has_row, error) : error->code;
    bool is_alive =
        !err && has_row &&
        (sqlite3_column_int64(row, 3) == 0 || sqlite3_column_int64(row, 3) > store->wall_ms);
    if (is_alive)
        err = read_message(row, &found, error);
    if (row)
        sqlite3_reset(row);
    if (!err && is_alive && consumer->feed->is_pattern) {
        struct cn_topic *known = cn_topic_by_id(consumer->broker, cn_seq_topic(due->seq));
        topic = known ? known : topic;
    }
    if (!err)
        err = CN_EXEC(store, error, CN_SQL_WAITING_REMOVE, consumer->id, due->seq);
    if (!err && is_alive)
        err = take(harvest, topic, &found, error);
    else
        ce_event_release(&found.event);
    if (!err && !is_alive && due->lane) {
        err = cn_lane_promote(consumer->broker, consumer->id, due->lane, error);
        cn_lane_look_again(consumer->broker, consumer->id, due->seq);
    }
    return err;
}

static enum fl_err claim_waiting(struct harvest *harvest, struct fl_error *error)
{
    struct cn_consumer *consumer = harvest->consumer;
    struct due due[MOST_DUE_AT_ONCE];
    size_t room = consumer->window_messages - consumer->in_flight, count;
    enum fl_err err =
        list_due(consumer, due, room < MOST_DUE_AT_ONCE ? room : MOST_DUE_AT_ONCE, &count, error);
    for (size_t i = 0; !err && i < count && has_room(consumer); i++)
        err = claim_due(harvest, &due[i], error);
    return err ? err
               : CN_VALUE(&consumer->broker->store, &consumer->next_due_ms, INT64_MAX, error,
                          CN_SQL_WAITING_NEXT_DUE, consumer->id);
}

/* --- one consumer, all consumers --- */

/* Another process has committed: which topics are ahead of our cursors? */
static enum fl_err look(struct cn_consumer *consumer, struct fl_error *error)
{
    struct cn_store *store = &consumer->broker->store;
    consumer->must_look = false;
    consumer->next_due_ms = 0;
    sqlite3_stmt *rows = CN_QUERY(store, error, CN_SQL_CURSOR_BEHIND, consumer->id);
    bool has_row = true;
    enum fl_err err = rows ? FL_OK : error->code;
    while (!err && has_row) {
        err = cn_store_step(store, rows, &has_row, error);
        if (err || !has_row)
            break;
        struct cn_reader *reader = cn_reader_by_topic(consumer, sqlite3_column_int64(rows, 0));
        if (reader)
            cn_reader_ready(reader);
    }
    return err;
}

static enum fl_err claim_for(struct cn_consumer *consumer, struct fl_error *error)
{
    struct harvest harvest = {.consumer = consumer};
    enum fl_err err = consumer->must_look ? look(consumer, error) : FL_OK;
    if (!err && consumer->next_due_ms <= consumer->broker->store.now_ms)
        err = claim_waiting(&harvest, error);
    FL_LIST_EACH_SAFE(at, &consumer->ready_readers)
    {
        if (!err && has_room(consumer))
            err = claim_topic(&harvest, FL_LIST_ENTRY(at, struct cn_reader, ready), error);
    }
    return err ? err : close_claim(&harvest, error);
}

enum fl_err cn_claim_all(struct cn_broker *broker, struct fl_error *error)
{
    struct fl_list now;
    enum fl_err err = FL_OK;
    fl_list_init(&now);
    fl_list_move_all(&now, &broker->ready);
    for (struct fl_list *first; !err && (first = fl_list_first(&now));) {
        struct cn_consumer *consumer = FL_LIST_ENTRY(first, struct cn_consumer, ready);
        fl_list_remove(first);
        err = claim_for(consumer, error);
        cn_consumer_consider(consumer);
    }
    fl_list_move_all(&broker->ready, &now);
    return err;
}
