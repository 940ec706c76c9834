/* What the files of the embedded broker share: the instance on the loop, the broker in the session,
 * and what crosses between them.
 *
 *   loop                                   session
 *   struct cn_sqlite ── struct cn_work ──► struct cn_broker: one transaction a turn
 *                    ◄── struct cn_answer ─
 *
 * All changes made in one turn of the loop cross in one cn_work, all that a turn of the session
 * produced crosses in one cn_answer. Each object belongs to one side at a time. An event's count of
 * references changes on the loop only: the session reads bodies that an item's reference keeps, and
 * makes new events that nobody else knows yet.
 *
 * Inside the session a message is named by its seq. The lifetime of a message for one consumer:
 *
 *   behind the cursor: not yet looked at      (table cursor)
 *   claimed: out for delivery, with a lease   (table claim; struct cn_claim if it is ours)
 *   waiting: for its due time or its lane     (table waiting)
 *   settled: in none of them
 */
#ifndef CN_SQLITE_PRIV_H
#define CN_SQLITE_PRIV_H

#include "base/buffer.h"
#include "base/list.h"
#include "base/map.h"
#include "connectors/connector.h"
#include "connectors/session.h"
#include "connectors/sqlite/settings.h"
#include "connectors/sqlite/store.h"
#include "net/loop.h"

enum {
    CN_MOST_OUTSTANDING = 16384, /* publishes taken and not answered */
    CN_MOST_TOPIC_BYTES = 1024,
    CN_MOST_MESSAGE_BYTES = 512 * 1024 * 1024,
    CN_CLAIM_SPAN = 64,     /* messages of one claim: the bits of its mask */
    CN_MOST_PARKED = 10000, /* messages of one topic and consumer that wait for their lane */
    CN_POLL_MS = 1000,      /* the safety net under the bell; leases and dead owners */
};

/* --- what crosses --- */

/* One publish, from `publish` until its answer was given and the session has given it back. */
struct cn_item {
    struct fl_list link; /* in a cn_work, the broker, a cn_answer, or the list of free ones */
    struct fl_list outstanding; /* loop: in order of taking */
    void *token;
    struct ce_event *event;     /* one reference */
    struct fl_slice topic, key; /* inside `text` */
    int64_t deadline_at_ms;
    int64_t expires_wall_ms; /* session: 0 = never */
    bool is_urgent;
    bool is_answered; /* loop: its deadline passed before the session was done */
    enum fl_err code; /* the result; the rest only when it is not FL_OK */
    enum fl_error_class class;
    char *note; /* its own allocation; NULL: the answer's common text */
    uint32_t room;
    char text[]; /* topic, key */
};

struct cn_settlement {
    struct cn_feed *feed;
    struct connector_token token;
    enum connector_outcome outcome;
    int64_t delay_ms;
};

struct cn_extension {
    struct cn_feed *feed;
    struct connector_token token;
};

enum cn_change_kind {
    CN_SUBSCRIBE,
    CN_UNSUBSCRIBE,
    CN_WINDOW,
    CN_BACKLOG,
    CN_INVOKE,
    CN_CLOSE,
};

/* A request that is answered by itself (all but CN_WINDOW and CN_CLOSE). */
struct cn_change {
    struct fl_list link;
    enum cn_change_kind kind;
    struct cn_feed *feed;
    uint32_t window_messages, epoch;
    size_t window_bytes;
    void *token;           /* the gateway's: backlog, invoke */
    struct fl_buffer text; /* backlog: topic NUL group; invoke: operation, topic, id, group */
    struct fl_slice topic, group, operation, id; /* inside `text` */
    int64_t count;
    bool has_failed; /* the answer: `error` */
    struct fl_error error;
    struct connector_backlog backlog;
    struct fl_buffer data; /* the answer of an invoke */
};

struct cn_work {
    struct fl_mailbox_entry entry;
    struct fl_list publishes, changes;
    struct cn_settlement *settlements;
    size_t settlement_count, settlement_room;
    struct cn_extension *extensions;
    size_t extension_count, extension_room;
};

/* One delivery on its way to the loop. */
struct cn_delivery {
    struct cn_feed *feed;
    struct cn_item *item;   /* its event is delivered, or NULL */
    struct ce_event *event; /* read from the file, uncharged, one reference; or NULL */
    char *topic;            /* of a pattern's delivery: its own allocation; else NULL */
    size_t topic_len;
    uint32_t epoch; /* of the window it was claimed under */
    uint64_t lane;
    uint32_t attempt;
    int64_t stored_wall_ms;
    struct connector_token token;
};

struct cn_answer {
    struct net_post post;
    struct cn_sqlite *sqlite;
    struct fl_list published, changes;
    struct cn_delivery *deliveries;
    size_t delivery_count, delivery_room;
    bool has_state, is_up;
    struct fl_error state_error;
    struct fl_error publish_error; /* the common text of failed publishes */
};

/* A subscription. The first part is the loop's, the second does not change, the third is the
 * session's. */
struct cn_feed {
    struct fl_list link;
    struct connector_subscription *subscription; /* NULL after `unsubscribed` */
    bool is_leaving;                             /* nothing is delivered any more */
    uint32_t epoch;                              /* counts windows */

    struct fl_slice topic, group, start_value; /* inside `text` */
    enum connector_mode mode;
    enum connector_start start;
    bool is_pattern; /* `topic` ends in an asterisk */
    char *text;

    struct cn_consumer *consumer;
};

/* --- the session's side --- */

/* A topic that this process has used. `last` and what follows are valid in the transaction `seen`.
 */
struct cn_topic {
    struct fl_slice name; /* inside this allocation */
    int64_t id;           /* 0: not known to be in the file */
    uint64_t made;        /* the transaction that added it, if it was one of ours */
    uint64_t seen;
    int64_t last;
    bool is_dirty; /* `last` has to be written */
    struct cn_topic *next_dirty;
    /* Messages stored in this transaction, in order, so that a claim need not read them back:
     * numbers from `fresh_first`; none when fresh_count is 0. */
    int64_t fresh_first;
    struct cn_item **fresh;
    uint32_t fresh_count, fresh_room;
    struct fl_list readers; /* of cn_reader: our consumers of it */
    char text[];
};

/* One of our consumers at one topic. */
struct cn_reader {
    struct fl_list of_topic, of_consumer;
    struct fl_list
        ready; /* in the consumer's `ready`: the topic may have messages behind its cursor */
    struct cn_topic *topic;
    struct cn_consumer *consumer;
};

/* A row of `consumer` that this process serves, for one feed. Several feeds may serve one row. */
struct cn_consumer {
    struct fl_list link;  /* in `consumers` of the broker */
    struct fl_list ready; /* in `ready` of the broker: has room, and something to look at */
    struct cn_broker *broker;
    struct cn_feed *feed;
    uint64_t number;   /* of those that this broker has had */
    int64_t id;        /* 0: has to be attached (again) */
    uint64_t attached; /* the transaction in which it was */
    bool is_leaving;
    bool was_attached;   /* `subscribed` was answered */
    bool must_look;      /* another process has changed something: cursors and waiting rows */
    int64_t next_due_ms; /* of its waiting rows; INT64_MAX: none known */
    uint32_t window_messages, epoch;
    size_t window_bytes;
    uint32_t in_flight;
    size_t in_flight_bytes;
    struct fl_list readers; /* of cn_reader, by of_consumer */
    struct fl_list ready_readers;
    struct fl_list claims;
};

/* A row of `claim` that is ours. Named by its place in the broker's table and its id. */
struct cn_claim {
    struct fl_list link;   /* in the consumer's claims */
    struct fl_list dirty;  /* in the broker's `dirty`: `done` has to be written */
    struct fl_list fresh;  /* in the broker's `new_claims`: made in this transaction */
    struct fl_list longer; /* in the broker's `extended` */
    struct cn_consumer *consumer;
    uint32_t place;
    int64_t id;
    int64_t first;       /* seq of bit 0 */
    uint64_t mask, done; /* unsettled; settled since the last commit (a part of the mask) */
    uint64_t lane;
    int64_t until_ms; /* the end of the longest lease in it, as in the row */
    uint32_t attempt;
    uint32_t bytes[CN_CLAIM_SPAN];  /* of each message */
    int64_t ends_ms[CN_CLAIM_SPAN]; /* of each message's lease */
};

/* A delivery that failed or was given back, until its row of `waiting` is committed. */
struct cn_return {
    struct cn_claim *claim;
    uint64_t bit; /* one */
    int64_t due_ms;
    uint32_t attempt;
};

struct cn_broker {
    struct cn_store store;
    struct cn_settings settings;
    struct cn_counts *counts;
    struct connector_session *session;
    struct cn_sqlite *sqlite; /* for answers only */
    const struct fl_log *log;
    struct fl_slice application;
    const char *log_name;
    uint64_t nonce; /* tells this broker's broadcast groups from those of others */
    uint64_t last_consumer_number;

    bool is_open, was_told_up;
    struct fl_error last_error;
    int64_t reopen_at_ms, reopen_wait_ms;

    struct fl_list publishes; /* of cn_item: taken from the mailbox, not yet stored */
    struct fl_list stored;    /* of cn_item: done with in this transaction, stored or refused */
    uint64_t stored_count;    /* how many of them were stored */
    struct fl_list changes;   /* of cn_change */
    struct cn_answer *answer; /* being gathered; NULL: nothing yet */

    struct fl_map topics;           /* of cn_topic, by name */
    struct cn_topic **topics_by_id; /* those of it whose id is known */
    int64_t topic_id_room;
    struct cn_topic *dirty_topics;
    int64_t last_topic_id;        /* those above are not known to patterns yet */
    int64_t last_topic_id_before; /* the same, before this transaction */
    struct fl_list consumers, ready;
    struct cn_claim **claims; /* by place */
    uint32_t claim_count, claim_room;
    uint32_t *free_places;
    uint32_t free_place_count;
    int64_t last_claim_id;
    struct fl_list dirty, new_claims;
    struct cn_return *returns;
    size_t return_count, return_room;
    struct fl_list extended; /* of cn_claim, by `longer`: leases to write */
    bool must_ring;          /* others may have something to do after this commit */

    int64_t next_due_wall_ms; /* of `delayed`; INT64_MAX: none */
    int64_t poll_at_ms;
    int64_t lapse_at_ms;    /* not before then does a lease of ours end */
    int64_t pause_until_ms; /* after a failure that passes */
    int64_t worked_at_ms;
    bool is_called;       /* the bell rang: another process has committed something */
    bool has_looked;      /* once, for what dead owners left */
    int64_t grown_bytes;  /* stored since the last look at the size */
    int64_t tidy_at_ms;   /* retention's next look */
    int64_t tidy_topic;   /* and where it goes on */
    bool is_over_size;    /* maxBytes is reached: publishing is refused */
    bool is_out_of_space; /* the ballast is given up */

    bool is_closing, is_closed;
    int64_t close_at_ms;
};

/* The instance. Loop. */
struct cn_sqlite {
    struct connector connector; /* first: the gateway's head of the instance */
    struct connector_session *session;
    struct cn_broker *broker; /* the session's */
    struct cn_counts *counts; /* read by both */
    struct cn_work *work;     /* gathered in this turn; NULL: nothing yet */
    struct net_task send;
    struct fl_list feeds;
    struct fl_list outstanding; /* of cn_item, in order of taking */
    size_t outstanding_count;
    struct net_timer deadline_timer;
    struct fl_list free_items;
    size_t free_item_count;
    bool owes_writable, is_closing;
    int64_t close_at_ms;
};

static inline struct cn_sqlite *cn_sqlite_of(struct connector *connector)
{
    return (struct cn_sqlite *)(void *)connector;
}

/* --- sqlite.c: the instance's beginning and end --- */

void cn_sqlite_on_session_ended(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned);

/* --- front.c: the loop's side --- */

void cn_front_init(struct cn_sqlite *sqlite);
/* Takes nothing any more, wants no delivery, and tells the session so. */
void cn_front_close(struct cn_sqlite *sqlite);
/* After the session's end: answers what has no answer, and frees what never reached the session,
 * `rest` included. */
void cn_front_end(struct cn_sqlite *sqlite, struct fl_mailbox_entry *rest);
/* After the broker is freed, whose consumers point to them. */
void cn_front_free_feeds(struct cn_sqlite *sqlite);

/* The slots of connector.h. */
size_t cn_front_publish(struct connector *connector, const struct connector_publish *items,
                        size_t count);
void cn_front_settle(struct connector *connector, const struct connector_settlement *items,
                     size_t count);
void cn_front_extend(struct connector *connector, struct connector_subscription *subscription,
                     const struct connector_token *tokens, size_t count);
void cn_front_subscribe(struct connector *connector, struct connector_subscription *subscription);
void cn_front_unsubscribe(struct connector *connector, struct connector_subscription *subscription);
void cn_front_window(struct connector *connector, struct connector_subscription *subscription,
                     uint32_t messages, size_t bytes);
void cn_front_backlog(struct connector *connector, struct fl_slice topic, struct fl_slice group,
                      void *token);
enum fl_err cn_front_invoke(struct connector *connector, const struct connector_call *call,
                            struct fl_error *error) FL_MUST_USE;

/* Gives the gateway what the session sent, and frees it. */
void cn_front_on_answer(struct net_post *post);
/* Any thread. */
void cn_work_free(struct cn_work *work);
void cn_change_free(struct cn_change *change);

/* --- broker.c: the turn, opening, closing --- */

/* The session's state, before its thread starts. Borrows all; the path is taken. */
struct cn_broker *cn_broker_new(const struct cn_settings *settings, char *path,
                                struct fl_slice application, struct cn_counts *counts,
                                struct cn_sqlite *sqlite);
void cn_broker_free(struct cn_broker **broker);

/* The answer that is being gathered. */
struct cn_answer *cn_answer_of(struct cn_broker *broker);
/* The connection ends, all that wait are answered with the reason, and the file is opened again
 * later. */
void cn_go_down(struct cn_broker *broker, const struct fl_error *error);
extern const struct connector_session_type cn_session_type;

/* --- transact.c: the transaction of a turn, and its failures --- */

/* Everything that waits, once. On failure all of it waits again as before. */
enum fl_err cn_transact(struct cn_broker *broker, bool takes_over,
                        struct fl_error *error) FL_MUST_USE;
/* The same, and what follows from a failure is done: another try, a pause, or the connection's
 * end. */
void cn_transact_and_handle(struct cn_broker *broker, bool takes_over);
/* Some of `delayed` can be published now. */
bool cn_is_delayed_due(const struct cn_broker *broker);
/* All that wait are answered with one reason. */
void cn_fail_publishes(struct cn_broker *broker, const struct fl_error *error);
void cn_fail_changes(struct cn_broker *broker, const struct fl_error *error);

/* --- wire.c: message and row --- */

/* What a message consists of when it is stored; all borrowed. */
struct cn_record {
    struct fl_slice key, type, metadata, body; /* null: none */
    bool is_text;
    int64_t expires_wall_ms; /* 0: never */
};

/* Binds the body, which outlives the step, as a text or as bytes. */
void cn_record_bind_body(const struct cn_record *record, sqlite3_stmt *statement, int place);
/* What its row adds to the file, about. */
int64_t cn_record_bytes(const struct cn_record *record);
/* The metadata of an event as a row keeps it: `key=value` joined by `&`, percent-encoded, as in the
 * query of a publish request. Null when the event has none and was given none. */
void cn_metadata_write(const struct ce_event *event, struct fl_buffer *out, struct fl_slice *text);
/* Makes an event of a row's columns. FL_ERR_NO_MEMORY. Any thread. */
enum fl_err cn_event_read(struct fl_slice body, struct fl_slice type, struct fl_slice metadata,
                          struct ce_event **event) FL_MUST_USE;

/* --- publish.c --- */

/* Appends one message to its topic. */
enum fl_err cn_message_add(struct cn_broker *broker, struct cn_topic *topic,
                           const struct cn_record *record, struct fl_error *error) FL_MUST_USE;
/* Stores all that were taken, each into its topic or, when it is for later, into `delayed`. */
enum fl_err cn_publish_all(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;

/* --- group.c: consumers of this process, their groups in the file, and topics --- */

/* Topic by name, from the file or made; loaded for this transaction. FL_ERR_NOT_FOUND: there is
 * none and it may not be made. FL_ERR_TOO_LARGE: maxTopics. */
enum fl_err cn_topic_load(struct cn_broker *broker, struct fl_slice name, bool may_add,
                          struct cn_topic **topic, struct fl_error *error) FL_MUST_USE;
/* The consumer of a feed, not yet attached. */
struct cn_consumer *cn_consumer_new(struct cn_broker *broker, struct cn_feed *feed);
/* Finds or makes its row and its cursors. */
enum fl_err cn_consumer_attach(struct cn_consumer *consumer, struct fl_error *error) FL_MUST_USE;
/* It leaves for good: nothing is claimed for it any more. */
void cn_consumer_free(struct cn_consumer *consumer);
/* Forgets what was known of the file: the connection is gone. */
void cn_consumer_reset(struct cn_consumer *consumer);
/* Fails, so that the file is opened again and the group made anew: its rows are gone, by another
 * process's groupExpiry or by a person. */
enum fl_err cn_consumer_is_gone(const struct cn_consumer *consumer,
                                struct fl_error *error) FL_MUST_USE;
/* It is attached and may claim more. */
bool cn_consumer_has_room(const struct cn_consumer *consumer);
/* Has room and something to look at: joins the line of those who claim. */
void cn_consumer_consider(struct cn_consumer *consumer);
/* All of ours look at their cursors and waiting rows: others may have changed something. */
void cn_consumers_look(struct cn_broker *broker);
/* NULL: this process has not met it. */
struct cn_topic *cn_topic_by_id(const struct cn_broker *broker, int64_t id);
struct cn_reader *cn_reader_by_topic(const struct cn_consumer *consumer, int64_t topic);
/* The reader's topic may have messages behind its cursor. */
void cn_reader_ready(struct cn_reader *reader);
/* Topics that others have made since, for patterns. */
enum fl_err cn_topics_learn(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;
/* Writes `last` of those that grew. */
enum fl_err cn_topics_write(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;
/* After a rollback: nothing that was learnt in the transaction holds. */
void cn_topics_forget(struct cn_broker *broker);
void cn_topics_free(struct cn_broker *broker);

/* --- scan.c: claiming --- */

/* Claims for all that have room, and adds the deliveries to the answer. */
enum fl_err cn_claim_all(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;

/* --- claim.c: claims, settlements, leases, take-over --- */

/* One without messages, which has a place in the table and no row yet; `first` is the seq of its
 * bit 0. */
struct cn_claim *cn_claim_new(struct cn_consumer *consumer, int64_t first);
/* The next of the lane may go. */
enum fl_err cn_lane_promote(struct cn_broker *broker, int64_t consumer, int64_t lane,
                            struct fl_error *error) FL_MUST_USE;
/* A lane of the consumer has less in it, namely `seq`: its next message may be due, and what stood
 * behind the cursor of its topic for want of room may have some now. */
void cn_lane_look_again(struct cn_broker *broker, int64_t consumer, int64_t seq);
/* Notes what became of a delivery; made-up and stale tokens are ignored. */
void cn_settle(struct cn_broker *broker, const struct cn_settlement *settlement);
void cn_extend(struct cn_broker *broker, const struct cn_extension *extension);
/* Writes what was noted. */
enum fl_err cn_settle_write(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;
/* After the commit; after a rollback. */
void cn_claims_committed(struct cn_broker *broker);
void cn_claims_rolled_back(struct cn_broker *broker);
/* Ends leases of ours that ran out; the earliest that goes on. */
int64_t cn_claims_lapse(struct cn_broker *broker);
/* Takes what dead owners, and hung ones whose leases ran out, have in their hands. */
enum fl_err cn_claims_take_over(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;
/* Gives back everything of a consumer, as tried. */
void cn_claims_give_back(struct cn_consumer *consumer);
/* Forgets all without a word to the file. */
void cn_claims_drop(struct cn_broker *broker);

/* --- delayed.c --- */

/* Adds a message that is due later; `event_id` may be null; `lifetime_ms` 0: for ever. */
enum fl_err cn_delayed_add(struct cn_broker *broker, struct fl_slice topic, int64_t due_wall_ms,
                           struct fl_slice event_id, int64_t lifetime_ms,
                           const struct cn_record *record, struct fl_error *error) FL_MUST_USE;
/* Publishes what is due, at most a slice, and learns the next due time. */
enum fl_err cn_delayed_publish_due(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;
/* FL_ERR_NOT_FOUND. */
enum fl_err cn_delayed_cancel(struct cn_broker *broker, struct fl_slice topic, struct fl_slice id,
                              struct fl_error *error) FL_MUST_USE;
/* Reads the next due time: after opening, and after another process has committed. */
enum fl_err cn_delayed_look(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;

/* --- retention.c --- */

/* One slice of what retention and group expiry have to do, inside a transaction; sets `tidy_at_ms`
 * and `is_over_size`. */
enum fl_err cn_tidy(struct cn_broker *broker, struct fl_error *error) FL_MUST_USE;
/* Deletes a consumer with all that is its own. */
enum fl_err cn_consumer_remove(struct cn_broker *broker, int64_t consumer,
                               struct fl_error *error) FL_MUST_USE;

/* --- backlog.c, peek.c: these only read --- */

enum fl_err cn_backlog(struct cn_broker *broker, struct fl_slice topic, struct fl_slice group,
                       struct connector_backlog *backlog, struct fl_error *error) FL_MUST_USE;
/* Appends one JSON object a line. */
enum fl_err cn_peek(struct cn_broker *broker, struct fl_slice topic, struct fl_slice group,
                    int64_t count, struct fl_buffer *out, struct fl_error *error) FL_MUST_USE;

#endif
