/* Claims: what our consumers have in hand, and how it comes back.
 *
 * A claim is one row for up to 64 neighbouring messages, with a mask of those that are unsettled:
 * claiming and settling cost a few rows a turn and not two a message. In memory the same claim also
 * keeps each message's size and lease. Settlements gather in `done` and in `returns`; the
 * transaction writes them, and only its commit makes them true here, so a transaction that fails
 * forgets none.
 *
 * What comes back another way than by the gateway's word is here too: leases of ours that run out,
 * and claims that are taken over from a process that is dead or hangs. How claims are made is in
 * scan.c.
 */
#include "base/alloc.h"
#include "connectors/sqlite/sqlite_priv.h"

enum {
    LEAST_POLL_MS = 50, /* between two looks at what others hold */
};

/* --- the table --- */

struct cn_claim *cn_claim_new(struct cn_consumer *consumer, int64_t first)
{
    struct cn_broker *broker = consumer->broker;
    struct cn_claim *claim = fl_zalloc(sizeof *claim);
    claim->consumer = consumer;
    claim->first = first;
    claim->id = ++broker->last_claim_id;
    claim->until_ms = broker->store.now_ms + broker->settings.lease_ms;
    if (broker->lapse_at_ms > claim->until_ms)
        broker->lapse_at_ms = claim->until_ms;
    fl_list_init(&claim->dirty);
    fl_list_init(&claim->longer);
    fl_list_add_last(&broker->new_claims, &claim->fresh);
    fl_list_add_last(&consumer->claims, &claim->link);
    if (broker->free_place_count) {
        claim->place = broker->free_places[--broker->free_place_count];
    } else {
        if (broker->claim_count == broker->claim_room) {
            broker->claim_room = broker->claim_room ? broker->claim_room * 2 : 64;
            broker->claims =
                fl_realloc(broker->claims, sizeof(struct cn_claim *) * broker->claim_room);
            broker->free_places =
                fl_realloc(broker->free_places, sizeof(uint32_t) * broker->claim_room);
        }
        claim->place = broker->claim_count++;
    }
    broker->claims[claim->place] = claim;
    return claim;
}

static void free_claim(struct cn_claim *claim)
{
    struct cn_broker *broker = claim->consumer->broker;
    broker->claims[claim->place] = NULL;
    broker->free_places[broker->free_place_count++] = claim->place;
    fl_list_remove(&claim->link);
    fl_list_remove(&claim->dirty);
    fl_list_remove(&claim->fresh);
    fl_list_remove(&claim->longer);
    fl_free(claim);
}

static unsigned index_of(uint64_t bit)
{
    return (unsigned)__builtin_ctzll(bit);
}

/* The message is no longer with the gateway. */
static void leave_hand(struct cn_claim *claim, uint64_t bit)
{
    struct cn_broker *broker = claim->consumer->broker;
    claim->done |= bit;
    claim->consumer->in_flight--;
    claim->consumer->in_flight_bytes -= claim->bytes[index_of(bit)];
    if (fl_list_is_empty(&claim->dirty))
        fl_list_add_last(&broker->dirty, &claim->dirty);
    cn_consumer_consider(claim->consumer);
}

static void give_back(struct cn_claim *claim, uint64_t bit, int64_t due_ms, uint32_t attempt)
{
    struct cn_broker *broker = claim->consumer->broker;
    if (broker->return_count == broker->return_room) {
        broker->return_room = broker->return_room ? broker->return_room * 2 : 64;
        broker->returns =
            fl_realloc(broker->returns, sizeof *broker->returns * broker->return_room);
    }
    broker->returns[broker->return_count++] = (struct cn_return){claim, bit, due_ms, attempt};
    leave_hand(claim, bit);
}

/* --- settlements --- */

/* The claim that a token names, and the bit in it; NULL for one that is stale or made up. */
static struct cn_claim *find_claim(struct cn_broker *broker, const struct cn_feed *feed,
                                   struct connector_token token, uint64_t *bit)
{
    uint64_t place = token.word[0] & UINT32_MAX, index = token.word[0] >> 32;
    if (place >= broker->claim_count || index >= CN_CLAIM_SPAN)
        return NULL;
    struct cn_claim *claim = broker->claims[place];
    *bit = (uint64_t)1 << index;
    bool is_ours =
        claim && claim->id == (int64_t)token.word[1] && claim->consumer == feed->consumer;
    return is_ours && (claim->mask & ~claim->done & *bit) ? claim : NULL;
}

void cn_settle(struct cn_broker *broker, const struct cn_settlement *settlement)
{
    uint64_t bit;
    struct cn_claim *claim = find_claim(broker, settlement->feed, settlement->token, &bit);
    if (!claim)
        return;
    switch (settlement->outcome) {
    case CONNECTOR_ACCEPTED:
    case CONNECTOR_REJECTED:
        leave_hand(claim, bit);
        break;
    case CONNECTOR_RELEASED:
        give_back(claim, bit, 0, claim->attempt);
        break;
    case CONNECTOR_MODIFIED:
        give_back(claim, bit,
                  settlement->delay_ms > 0 ? broker->store.now_ms + settlement->delay_ms : 0,
                  claim->attempt + 1);
        break;
    }
}

void cn_extend(struct cn_broker *broker, const struct cn_extension *extension)
{
    uint64_t bit;
    struct cn_claim *claim = find_claim(broker, extension->feed, extension->token, &bit);
    if (!claim)
        return;
    int64_t until_ms = broker->store.now_ms + broker->settings.lease_ms;
    claim->ends_ms[index_of(bit)] = until_ms;
    claim->until_ms = until_ms;
    if (fl_list_is_empty(&claim->longer))
        fl_list_add_last(&broker->extended, &claim->longer);
}

/* Something of a group is due: all our consumers of it look, since whoever gave it back may have no
 * room for it. */
static void wake_group(struct cn_broker *broker, int64_t id, int64_t due_ms)
{
    FL_LIST_EACH(at, &broker->consumers)
    {
        struct cn_consumer *consumer = FL_LIST_ENTRY(at, struct cn_consumer, link);
        if (consumer->id != id)
            continue;
        if (consumer->next_due_ms > due_ms)
            consumer->next_due_ms = due_ms;
        cn_consumer_consider(consumer);
    }
}

/* Other topics need no look, of which a pattern has many. */
void cn_lane_look_again(struct cn_broker *broker, int64_t consumer, int64_t seq)
{
    struct cn_topic *topic = cn_topic_by_id(broker, cn_seq_topic(seq));
    wake_group(broker, consumer, 0);
    if (!topic)
        return;
    FL_LIST_EACH(at, &topic->readers)
    {
        struct cn_reader *reader = FL_LIST_ENTRY(at, struct cn_reader, of_topic);
        if (reader->consumer->id == consumer)
            cn_reader_ready(reader);
    }
}

enum fl_err cn_lane_promote(struct cn_broker *broker, int64_t consumer, int64_t lane,
                            struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    int64_t seq, changes = 0;
    enum fl_err err = CN_VALUE(store, &seq, -1, error, CN_SQL_WAITING_IN_LANE, consumer, lane);
    if (err || seq < 0)
        return err;
    err = CN_CHANGE(store, &changes, error, CN_SQL_WAITING_PROMOTE, consumer, seq);
    if (!err && changes)
        err = CN_EXEC(store, error, CN_SQL_CURSOR_UNPARK, cn_seq_topic(seq), consumer);
    return err;
}

/* A row of ours that is gone was taken over by somebody: then it is theirs. */
static enum fl_err write_return(struct cn_broker *broker, const struct cn_return *back,
                                struct fl_error *error)
{
    const struct cn_claim *claim = back->claim;
    struct cn_store *store = &broker->store;
    int64_t changes = 0;
    enum fl_err err = CN_CHANGE(store, &changes, error, CN_SQL_CLAIM_TAKE_BIT,
                                (int64_t)store->owner, claim->id, (int64_t)back->bit);
    if (err || changes == 0)
        return err;
    wake_group(broker, claim->consumer->id, back->due_ms);
    broker->must_ring = true;
    return CN_EXEC(store, error, CN_SQL_WAITING_ADD, claim->consumer->id,
                   claim->first + index_of(back->bit), (int64_t)claim->lane, back->due_ms,
                   back->attempt);
}

static enum fl_err write_done(struct cn_broker *broker, const struct cn_claim *claim,
                              struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    int64_t changes = 0;
    if (claim->mask & ~claim->done)
        return CN_EXEC(store, error, CN_SQL_CLAIM_CLEAR, (int64_t)store->owner, claim->id,
                       (int64_t)claim->done);
    enum fl_err err =
        CN_CHANGE(store, &changes, error, CN_SQL_CLAIM_REMOVE, (int64_t)store->owner, claim->id);
    if (err || claim->lane == 0 || changes == 0)
        return err;
    cn_lane_look_again(broker, claim->consumer->id, claim->first);
    broker->must_ring = true;
    return cn_lane_promote(broker, claim->consumer->id, (int64_t)claim->lane, error);
}

enum fl_err cn_settle_write(struct cn_broker *broker, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (size_t i = 0; !err && i < broker->return_count; i++)
        err = write_return(broker, &broker->returns[i], error);
    FL_LIST_EACH(at, &broker->dirty)
    {
        struct cn_claim *claim = FL_LIST_ENTRY(at, struct cn_claim, dirty);
        if (!err)
            err = write_done(broker, claim, error);
        cn_consumer_consider(claim->consumer);
    }
    FL_LIST_EACH(at, &broker->extended)
    {
        const struct cn_claim *claim = FL_LIST_ENTRY(at, struct cn_claim, longer);
        if (!err)
            err = CN_EXEC(&broker->store, error, CN_SQL_CLAIM_EXTEND, (int64_t)broker->store.owner,
                          claim->id, claim->until_ms);
    }
    return err;
}

void cn_claims_committed(struct cn_broker *broker)
{
    struct fl_list *first;
    broker->return_count = 0;
    while ((first = fl_list_first(&broker->extended)))
        fl_list_remove(first);
    while ((first = fl_list_first(&broker->new_claims)))
        fl_list_remove(first);
    while ((first = fl_list_first(&broker->dirty))) {
        struct cn_claim *claim = FL_LIST_ENTRY(first, struct cn_claim, dirty);
        fl_list_remove(first);
        claim->mask &= ~claim->done;
        claim->done = 0;
        if (claim->mask == 0)
            free_claim(claim);
    }
}

/* What this transaction claimed was never delivered. */
void cn_claims_rolled_back(struct cn_broker *broker)
{
    for (struct fl_list *first; (first = fl_list_first(&broker->new_claims));) {
        struct cn_claim *claim = FL_LIST_ENTRY(first, struct cn_claim, fresh);
        struct cn_consumer *consumer = claim->consumer;
        for (uint64_t left = claim->mask; left; left &= left - 1) {
            consumer->in_flight--;
            consumer->in_flight_bytes -= claim->bytes[index_of(left)];
        }
        consumer->must_look = true;
        free_claim(claim);
        cn_consumer_consider(consumer);
    }
}

void cn_claims_drop(struct cn_broker *broker)
{
    for (uint32_t place = 0; place < broker->claim_count; place++) {
        if (broker->claims[place])
            free_claim(broker->claims[place]);
    }
    broker->return_count = 0;
}

/* --- leases --- */

int64_t cn_claims_lapse(struct cn_broker *broker)
{
    int64_t now_ms = broker->store.now_ms, next_ms = INT64_MAX;
    for (uint32_t place = 0; place < broker->claim_count; place++) {
        struct cn_claim *claim = broker->claims[place];
        if (!claim)
            continue;
        for (uint64_t left = claim->mask & ~claim->done; left; left &= left - 1) {
            uint64_t bit = left & -left;
            int64_t until_ms = claim->ends_ms[index_of(bit)];
            if (until_ms > now_ms) {
                next_ms = until_ms < next_ms ? until_ms : next_ms;
                continue;
            }
            atomic_fetch_add_explicit(&broker->counts->lapsed, 1, memory_order_relaxed);
            give_back(claim, bit, 0, claim->attempt + 1);
        }
    }
    return next_ms;
}

void cn_claims_give_back(struct cn_consumer *consumer)
{
    FL_LIST_EACH(at, &consumer->claims)
    {
        struct cn_claim *claim = FL_LIST_ENTRY(at, struct cn_claim, link);
        for (uint64_t left = claim->mask & ~claim->done; left; left &= left - 1)
            give_back(claim, left & -left, 0, claim->attempt + 1);
    }
}

/* One row of somebody else's: every message in it may go to whoever wants it. */
static enum fl_err take_over_row(struct cn_broker *broker, sqlite3_stmt *row,
                                 struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    int64_t owner = sqlite3_column_int64(row, 0), id = sqlite3_column_int64(row, 1);
    int64_t consumer = sqlite3_column_int64(row, 2), first = sqlite3_column_int64(row, 3);
    uint64_t mask = (uint64_t)sqlite3_column_int64(row, 4);
    int64_t lane = sqlite3_column_int64(row, 5), attempt = sqlite3_column_int64(row, 6);
    enum fl_err err = FL_OK;
    for (uint64_t left = mask; !err && left; left &= left - 1)
        err = CN_EXEC(store, error, CN_SQL_WAITING_ADD, consumer, first + index_of(left), lane, 0,
                      attempt + 1);
    if (!err)
        err = CN_EXEC(store, error, CN_SQL_CLAIM_REMOVE, owner, id);
    atomic_fetch_add_explicit(&broker->counts->lapsed, (uint64_t)__builtin_popcountll(mask),
                              memory_order_relaxed);
    return err;
}

static enum fl_err take_over(struct cn_broker *broker, enum cn_sql which, int64_t value,
                             bool *has_taken, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (bool has_row = true; !err && has_row;) {
        /* The statement begins anew after each row, since the table changed under it. */
        sqlite3_stmt *rows =
            CN_QUERY(&broker->store, error, which, value, (int64_t)broker->store.owner);
        if (!rows)
            return error->code;
        err = cn_store_step(&broker->store, rows, &has_row, error);
        if (err || !has_row)
            break;
        err = take_over_row(broker, rows, error);
        sqlite3_reset(rows);
        *has_taken = true;
    }
    return err;
}

/* An owner whose process is gone: its claims, its broadcast groups, its row. */
static enum fl_err bury(struct cn_broker *broker, int64_t owner, bool *has_taken,
                        struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    enum fl_err err = take_over(broker, CN_SQL_CLAIM_OF_OWNER, owner, has_taken, error);
    for (int64_t consumer = 1; !err && consumer;) {
        err = CN_VALUE(store, &consumer, 0, error, CN_SQL_CONSUMER_OF_OWNER, owner);
        if (!err && consumer)
            err = cn_consumer_remove(broker, consumer, error);
    }
    return err ? err : CN_EXEC(store, error, CN_SQL_OWNER_REMOVE, owner);
}

/* The next look is not later than the end of a lease: most are settled or extended by then, and one
 * that is not belongs to a process that hangs. */
static enum fl_err look_when_a_lease_ends(struct cn_broker *broker, struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    int64_t until_ms, soonest_ms = store->now_ms + LEAST_POLL_MS;
    enum fl_err err = CN_VALUE(store, &until_ms, INT64_MAX, error, CN_SQL_CLAIM_NEXT_LAPSE,
                               (int64_t)store->owner);
    if (err)
        return err;
    until_ms = until_ms < soonest_ms ? soonest_ms : until_ms;
    if (broker->poll_at_ms > until_ms)
        broker->poll_at_ms = until_ms;
    return FL_OK;
}

enum fl_err cn_claims_take_over(struct cn_broker *broker, struct fl_error *error)
{
    struct cn_store *store = &broker->store;
    bool has_taken = false, has_others = false;
    int64_t owner = 0;
    enum fl_err err = FL_OK;
    while (!err) {
        err = CN_VALUE(store, &owner, 0, error, CN_SQL_OWNER_OTHERS, (int64_t)store->owner, owner);
        if (err || owner == 0)
            break;
        if (cn_guard_lives(&store->guard, (uint64_t)owner))
            has_others = true;
        else
            err = bury(broker, owner, &has_taken, error);
    }
    /* After a time in which the file was locked, those who live get a lease's time to extend what
     * they hold. */
    if (!err && store->now_ms >= store->blocked_ms + broker->settings.lease_ms)
        err = take_over(broker, CN_SQL_CLAIM_LAPSED, store->now_ms, &has_taken, error);
    if (!err && has_others)
        err = look_when_a_lease_ends(broker, error);
    if (err)
        return err;
    store->has_others = has_others;
    if (!has_taken)
        return FL_OK;
    broker->must_ring = true;
    cn_consumers_look(broker);
    return FL_OK;
}
