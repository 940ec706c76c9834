/* The connector interface: what a messaging system must offer the gateway, and what it gets in
 * return.
 *
 * A connector is one constant `struct connector_type`, its single exported symbol. It carries out
 * what the gateway decides: retries, back-off, dead letters, ordering and limits are the gateway's.
 *
 * Rules that hold for every slot and every callback
 *
 * - Thread: everything below is called on the loop's thread, in both directions. A connector whose
 *   client library blocks or has threads of its own crosses over by a mailbox (`session.h`).
 *
 * - No call blocks. It fails now (and nothing is answered later), or is answered later exactly
 *   once.
 *
 * - A callback into the gateway never runs inside the call that asked for it: defer it to the end
 *   of the turn (`net_loop_defer`). A slot may be called inside a callback (a delivery is settled
 *   inside `deliver`), so a connector's state is in order before each.
 *
 * - Pointers in arguments are borrowed for the call unless a word says otherwise: *copied* (by the
 *   callee), *taken* (the callee's from now on, on success only), *held* (the callee adds a
 *   reference of its own).
 *
 * - Units: bytes, milliseconds; instants ending in `_at_ms` are of the monotonic clock, those
 *   ending in `_wall_ms` count from 1970.
 *
 * - Errors: code says what happened, class what to do (`base/error.h`); text has one line for a
 *   person.
 *
 * - An absent operation (NULL) means "not supported". `open` and `close` are always there;
 *   `subscribe` comes with `unsubscribe`, `window` and `settle`; `extend` with a lease, and only
 *   then.
 *
 * Life: `open`, then `state` up. The gateway publishes, invokes and subscribes only while the
 * connector is up; windows, settlements and `unsubscribe` may come at any time. What comes while it
 * is down all the same is answered all the same. `close` ends everything.
 */
#ifndef CONNECTOR_H
#define CONNECTOR_H

#include "base/error.h"
#include "base/slice.h"
#include "cloudevents/event.h"
#include "config/option.h"

/* Matches exactly, or the module is refused. */
#define CONNECTOR_INTERFACE 4

struct fl_budget;
struct fl_log;
struct net_loop;
struct connector;
struct connector_host;
struct connector_subscription;

/* --- what a connector promises --- */

enum connector_order {
    CONNECTOR_ORDER_NONE,         /* any order */
    CONNECTOR_ORDER_LANE,         /* in order within a lane */
    CONNECTOR_ORDER_SUBSCRIPTION, /* in order as a whole: one lane */
};

/* Each promise here is tested by the connector suite; one that is claimed and does not hold is a
 * failure. */
struct connector_traits {
    int64_t lease_ms;    /* a delivery that is neither settled nor extended is offered again; 0 = no
                            lease */
    int64_t max_hold_ms; /* longest time that a delivery may stay unsettled although extended; 0 =
                            no limit */
    uint32_t window_messages; /* unsettled deliveries of one subscription that keep it busy, where a
                                 settlement takes long; 0 = the gateway's own choice */
    bool delays;    /* `modified` with delay_ms is carried out by the broker; without it the
                       message is offered again at once, and the gateway waits itself */
    bool forgets;   /* of an input binding: what is settled as `modified` does not come again */
    bool ttl;       /* message time to live is carried out by the broker (daprd's MESSAGE_TTL) */
    bool headers;   /* metadata travels beside the body */
    bool wildcards; /* subscriptions may be patterns (daprd's SUBSCRIBE_WILDCARDS) */
    bool history;   /* a new group may start at earliest, at a time, at a position; without it the
                       gateway asks for CONNECTOR_START_DEFAULT alone */
    /* What was confirmed, and the groups, are still there after kill -9 of the gateway. What it had
     * in hand is offered again, by whatever gateway of the group is next. */
    bool survives_process;
    bool competes; /* CONNECTOR_MODE_COMPETE is honoured; else every subscription gets everything */
    enum connector_order order;
    /* `fairlead check` measures the topics of subscriptions. Whatever else is beyond a limit comes
     * to the connector, which refuses it: FL_CLASS_REJECT, for this one publish or subscription. */
    size_t max_message_bytes;   /* 0 = no limit of its own */
    size_t max_topic_bytes;     /* 0 = no limit of its own */
    const char *topic_alphabet; /* in words, for errors; NULL = any bytes, NUL and `/` included */
};

/* --- publishing --- */

struct connector_publish {
    struct fl_slice topic;         /* the broker's name of it, namespace prefix included */
    struct ce_event *event;        /* the gateway keeps a reference until this one is answered; who
                                      answers at the deadline while a thread still reads holds one */
    struct fl_slice partition_key; /* null = none */
    int64_t deadline_at_ms;        /* answered by then at the latest */
    void *token;                   /* the gateway's; comes back in the answer */
    bool is_urgent; /* a dead letter: what it replaces is settled when it is stored, so a bound that
                       only keeps the broker from growing must not refuse it */
};

struct connector_published {
    void *token;
    enum fl_err code; /* FL_OK: stored. FL_ERR_TIMEOUT with class unknown: may have been stored */
    enum fl_error_class class;
    const char *text; /* borrowed; NULL on success */
};

/* --- invoking (output bindings) --- */

struct connector_call {
    struct fl_slice operation; /* of a binding: one of the type's `operations` */
    struct fl_slice data;      /* of a binding: JSON text as the API has it, "null" when there is
                                  none */
    const struct ce_metadata *metadata; /* trace context included */
    size_t metadata_count;
    int64_t deadline_at_ms; /* whoever asked is answered then in any case, and a later answer is
                               ignored; INT64_MAX: none */
    void *token;
};

struct connector_invoked {
    void *token;
    struct fl_error *error; /* NULL on success */
    bool has_response;      /* false: the operation answers nothing at all */
    struct fl_slice data;
    const struct ce_metadata *metadata; /* also on failure */
    size_t metadata_count;
};

/* --- subscribing --- */

enum connector_mode {
    CONNECTOR_MODE_COMPETE,   /* one of the group's subscribers gets each message */
    CONNECTOR_MODE_BROADCAST, /* each subscriber gets each message */
};

enum connector_start {
    CONNECTOR_START_DEFAULT, /* the connector's own, as its page says: at the first message that is
                                still there, or with what is published from now on */
    CONNECTOR_START_EARLIEST,
    CONNECTOR_START_LATEST,
    CONNECTOR_START_TIME,     /* start_value: RFC 3339 */
    CONNECTOR_START_POSITION, /* start_value: the broker's own words */
};

/* The gateway's; it lives from `subscribe` until `unsubscribed` was called. An input binding is
 * read by one subscription without topic: what it brings is bytes and metadata, and a delivery
 * that the application refused is settled as `modified`. */
struct connector_subscription {
    struct fl_slice topic; /* or pattern; null: of an input binding */
    struct fl_slice group;
    enum connector_mode mode;
    enum connector_start start; /* for a group that does not exist yet */
    struct fl_slice start_value;
    const struct config_value *metadata; /* of the Subscription */
    size_t metadata_count;
    void *state;   /* the connector's own, from subscribe to unsubscribed */
    void *context; /* the gateway's own */
};

/* Names a delivery to the connector that made it. Its 16 bytes mean nothing to the gateway. */
struct connector_token {
    uint64_t word[2];
};

struct connector_delivery {
    struct ce_event *event; /* one reference is taken by the gateway */
    struct fl_slice topic;  /* the concrete one, for a pattern subscription as well */
    uint64_t lane;          /* 0 = none; equal lanes are worked on one at a time, in order */
    uint32_t attempt; /* 1 = first; 0 = unknown; one more after `modified`, and after a gateway
                         that ended, or lost its lease, with the message in hand */
    int64_t stored_wall_ms; /* when the broker stored it; 0 = unknown */
    struct connector_token token;
};

/* AMQP 1.0's words for what became of a delivery (OASIS AMQP 1.0, part 3, 3.4). */
enum connector_outcome {
    CONNECTOR_ACCEPTED, /* done */
    CONNECTOR_RELEASED, /* never tried: give it back, the attempt does not count */
    CONNECTOR_MODIFIED, /* tried and failed: offer it again, not before delay_ms */
    CONNECTOR_REJECTED, /* never again */
};

struct connector_settlement {
    struct connector_subscription *subscription;
    struct connector_token token;
    enum connector_outcome outcome;
    int64_t delay_ms; /* of CONNECTOR_MODIFIED */
};

struct connector_backlog {
    bool is_known; /* false is an answer: "unknown" is never 0 */
    bool is_exact;
    uint64_t undelivered, in_flight;
    int64_t oldest_wall_ms; /* 0 = unknown or none */
    int64_t as_of_wall_ms;
};

/* --- counters --- */

/* Something that a connector counts; the gateway shows it as the metric
 * `fairlead_connector_<name>{component="…"}`. */
struct connector_counter {
    const char *name; /* such as "syncs_total"; NULL ends the list */
    const char *help;
    bool is_gauge; /* may fall; else it only grows */
};

/* --- gateway → connector --- */

struct connector_type {
    uint32_t interface; /* CONNECTOR_INTERFACE */
    /* One more of the same module, for component types with options or operations of their own,
     * such as the bindings of a system beside its pub/sub; NULL: none. */
    const struct connector_type *next;
    const char *const *component_types; /* "pubsub.redis", …; NULL ends the list */
    const char *summary;                /* one sentence, for `fairlead options` and the docs */
    struct connector_traits traits;     /* `resolve_traits` may narrow them for one component */
    /* Of an output binding: what `invoke` can do, such as "create", in the order in which errors
     * list them; NULL ends the list. NULL: no output binding. An input binding is a type of
     * "bindings." that has `subscribe`. */
    const char *const *operations;
    size_t state_size;    /* of the instance; it starts with a struct connector */
    size_t settings_size; /* of the struct that component_options fill; 0 = no settings */
    /* Rows end with one whose name is NULL; a NULL table is an empty one. */
    const struct config_option *component_options;
    const struct config_option *publish_options;
    const struct config_option *subscribe_options;
    const struct config_option *invoke_options;

    /* What the rows cannot say about the settings: combinations, certificates that do not parse. No
     * I/O. Runs for `fairlead check` too, so whatever can be known wrong is found here. `settings`
     * is borrowed. */
    enum fl_err (*check)(const void *settings, struct fl_error *error);

    /* Narrows the type's traits by the settings, where they depend on them. */
    void (*resolve_traits)(const void *settings, struct connector_traits *traits);

    /* The instance's memory is zeroed, its `struct connector` filled, its settings checked. Starts
     * connecting and never gives up by itself; says `state` when it is up, and may say at any time
     * why it is still down. Fails only where no time and no peer could mend it. After a failure
     * nothing is called any more, `close` neither. */
    enum fl_err (*open)(struct connector *connector, struct fl_error *error);

    /* No new work comes. What was taken is finished until the deadline: publishes are answered,
     * deliveries may be settled, and nothing more is delivered. Then `closed` is called, at the
     * latest soon after the deadline, and only then the memory goes. Subscriptions end with it:
     * `unsubscribed` is called for those whose `unsubscribe` came, and for no other. Idempotent: a
     * second call can only bring the deadline forward. */
    void (*close)(struct connector *connector, int64_t deadline_at_ms);

    /* Takes a prefix of `items` (its length is the result) and answers each taken one exactly once
     * by `published`, at its deadline at the latest. The array is borrowed; events, topics and keys
     * stay valid until the answer. What was not taken stays in the gateway's line, which offers it
     * again after `writable`. */
    size_t (*publish)(struct connector *connector, const struct connector_publish *items,
                      size_t count);

    /* Answered by `invoked`. Everything in `call` is copied or used up inside. FL_ERR_AGAIN: not
     * now. FL_ERR_UNSUPPORTED: no such operation. An output binding gets the operations that it
     * lists and no other. A pub/sub connector offers what its system can do beyond publishing and
     * subscribing:
     *
     * - "cancel", metadata `topic`, `id`: takes back a delayed message before it is due;
     *   FL_ERR_NOT_FOUND when there is none (any more).
     *
     * - "peek", metadata `topic`, `count`, `group` (may be absent): shows messages and claims none;
     *   answers with one JSON object a line. */
    enum fl_err (*invoke)(struct connector *connector, const struct connector_call *call,
                          struct fl_error *error);

    /* Answered by `subscribed`. The subscription is borrowed until `unsubscribed`, or until
     * `subscribed` tells of a failure. Changes made in one turn of the loop are applied together.
     * No delivery comes before `subscribed`, nor before the first `window`. */
    void (*subscribe)(struct connector *connector, struct connector_subscription *subscription);

    /* Nothing is delivered after this call; unsettled deliveries may still be settled until
     * `unsubscribed`, which comes when all were settled or the broker has them back. */
    void (*unsubscribe)(struct connector *connector, struct connector_subscription *subscription);

    /* The most that may be delivered and unsettled; 0 messages pauses. It may come before
     * `subscribed`, and may be less than what is out; from the call on it counts, so what is on its
     * way from another thread goes back. Then others of the group get it. Messages are never
     * overshot; bytes by at most one message per source. */
    void (*window)(struct connector *connector, struct connector_subscription *subscription,
                   uint32_t messages, size_t bytes);

    /* In any order, each delivery once. One of an ended generation, or a token that means nothing
     * (any more), is ignored. Not answered: a settlement that the broker loses shows as a
     * redelivery. The room in the window is free at once. */
    void (*settle)(struct connector *connector, const struct connector_settlement *items,
                   size_t count);

    /* "Still being worked on", called by the gateway every third of lease_ms while the application
     * works; a hung gateway does not call it, and its leases run out. */
    void (*extend)(struct connector *connector, struct connector_subscription *subscription,
                   const struct connector_token *tokens, size_t count);

    /* What `revoked` asked for is settled: the lane may go. */
    void (*release_lane)(struct connector *connector, struct connector_subscription *subscription,
                         uint64_t lane);

    /* Answered by `backlog`, with is_known = false where the broker cannot say. */
    void (*backlog)(struct connector *connector, struct fl_slice topic, struct fl_slice group,
                    void *token);

    /* What it counts; NULL: nothing. `read_counters` stores one value for each row of `counters`,
     * at any time from `open` until `closed`. */
    const struct connector_counter *counters;
    void (*read_counters)(struct connector *connector, uint64_t *values);
};

/* --- connector → gateway --- */

struct connector_callbacks {
    /* At any time. Each change from up to down ends a generation: settlements of before are
     * ignored. Subscriptions outlive it: the connector takes them up again by itself. `error` says
     * why it is down, NULL when it is up. */
    void (*state)(struct connector *connector, bool is_up, const struct fl_error *error);

    void (*published)(struct connector *connector, const struct connector_published *items,
                      size_t count);
    void (*invoked)(struct connector *connector, const struct connector_invoked *answer);

    /* `publish` may take again. */
    void (*writable)(struct connector *connector);

    /* A failed subscribe is repeated by the gateway with back-off, for ever; the connector keeps
     * nothing of it. */
    void (*subscribed)(struct connector *connector, struct connector_subscription *subscription,
                       const struct fl_error *error);
    void (*unsubscribed)(struct connector *connector, struct connector_subscription *subscription);

    /* The array is borrowed, one reference of each event is taken. */
    void (*deliver)(struct connector *connector, struct connector_subscription *subscription,
                    const struct connector_delivery *items, size_t count);

    /* The lane goes to somebody else. The gateway drops what waits of it without settling, lets
     * what is in flight finish until the instant given, settles that, and calls `release_lane`. */
    void (*revoked)(struct connector *connector, struct connector_subscription *subscription,
                    uint64_t lane, int64_t until_at_ms);

    void (*backlog)(struct connector *connector, const struct connector_backlog *backlog,
                    void *token);

    /* Nothing follows. */
    void (*closed)(struct connector *connector);
};

/* What every connector of one gateway shares; outlives them all. */
struct connector_host {
    const struct connector_callbacks *callbacks;
    struct net_loop *loop;
    const struct fl_log *log;
    struct fl_budget *budget;
    struct fl_slice app_id;
    struct fl_slice data_dir; /* for files of the connector's own; null = none is configured */
};

/* The head of every instance. Filled by the gateway before `open`, read-only for the connector. */
struct connector {
    const struct connector_type *type;
    const struct connector_host *host;
    struct connector_traits traits;
    struct fl_slice name;        /* of the component */
    const char *log_name;        /* "NAME (TYPE/VERSION)", for log lines */
    const void *settings;        /* settings_size bytes, filled from component_options */
    struct fl_slice consumer_id; /* the group of this component's subscriptions */
    void *context;               /* the gateway's own */
};

#endif
