/* What the three files of the in-memory broker share: the instance, its subscribers, the index of
 * topics and the messages that wait.
 *
 *   publish ──► topic ──► each subscriber: waiting ──► slot (in flight) ──► gone
 *                                             ▲            │ modified, released
 *                                             └─ delayed ◄─┘
 *
 * A message here is one subscriber's share of an event: a node with a reference to the event. No
 * byte of an event is ever copied.
 *
 * Whatever calls back into the gateway happens in one deferred task of the instance, so no function
 * of the interface calls back. Giving up an event may serve the budget's line and so come back into
 * `publish`; every function leaves its lists in order before it gives one up.
 *
 * Thread: the loop's.
 */
#ifndef CN_MEMORY_PRIV_H
#define CN_MEMORY_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "connectors/connector.h"
#include "net/loop.h"

enum cn_memory_concurrency { CN_MEMORY_SINGLE, CN_MEMORY_PARALLEL };

struct cn_memory_settings {
    int concurrency; /* enum cn_memory_concurrency */
};

/* The concrete topic of messages that came by a pattern. Counted, because the copies of one event
 * for several subscribers, and the messages of one topic in a row, share it. */
struct cn_memory_name {
    uint32_t references;
    uint32_t len;
    char text[];
};

struct cn_memory_message {
    struct fl_list link;         /* in `waiting`, or in the list of free nodes */
    struct fl_heap_entry due;    /* in `delayed` */
    struct ce_event *event;      /* one reference */
    struct cn_memory_name *name; /* one reference; NULL: the subscription's own topic */
    int64_t stored_wall_ms;
    uint64_t number;  /* of its latest delivery */
    uint32_t attempt; /* of its next or present delivery */
};

/* Where a delivery's token points: word[0] is the place of a slot, word[1] the delivery's number.
 */
struct cn_memory_slot {
    struct cn_memory_message *message; /* NULL: free */
    uint32_t next_free;
};

struct cn_memory_subscriber {
    struct fl_list link;  /* in `subscribers` of the instance */
    struct fl_list peer;  /* in `subscribers` of its topic */
    struct fl_list ready; /* in `ready` of the instance: may have something to deliver */
    struct cn_memory *memory;
    struct cn_memory_topic *topic;
    struct connector_subscription *subscription; /* the gateway's */
    bool is_announced;                           /* `subscribed` was called */
    bool is_leaving;                             /* nothing is delivered any more */
    bool is_silent; /* it leaves because the connector closes; nobody asked */
    uint32_t window_messages;
    size_t window_bytes;

    struct fl_list waiting;
    uint64_t waiting_count;
    struct fl_heap delayed;
    struct net_timer timer; /* of the first one delayed */

    struct cn_memory_slot *slots;
    uint32_t slot_count, slot_room; /* ever used; allocated */
    uint32_t first_free;            /* its place + 1; 0 = none */
    uint32_t in_flight;
    size_t in_flight_bytes;
};

/* Those who subscribed to one topic, or to one prefix. */
struct cn_memory_topic {
    struct fl_list subscribers;
};

/* One length that prefixes have, with the number of them. */
struct cn_memory_length {
    size_t len;
    size_t count;
};

struct cn_memory_answers {
    struct connector_published *items;
    size_t count, room;
};

struct cn_memory {
    struct connector connector; /* first: the gateway's head of the instance */
    struct net_task task;       /* all calls back into the gateway */
    struct net_timer close_timer;
    int64_t close_at_ms;
    bool is_up, is_closing;
    bool owes_writable;   /* `publish` left something */
    bool owes_subscribed; /* somebody is not announced */
    bool owes_parting;    /* somebody leaves, or closing goes on */

    struct fl_list subscribers, ready;
    struct fl_map topics;   /* of struct cn_memory_topic, by exact topic */
    struct fl_map prefixes; /* the same, by what stands before the `*` */
    struct cn_memory_length *lengths;
    size_t length_count;
    struct cn_memory_name *last_name; /* borrowed from the messages that have it; may be NULL */

    struct cn_memory_answers answers; /* those to give at the end of the turn */
    struct cn_memory_answers given;   /* being given; changes places with `answers` */
    struct fl_list backlogs;

    struct fl_list free_messages;
    size_t free_count;
    uint64_t last_number;
    int64_t wall_ms, wall_read_at_ms; /* the wall clock, read once in a millisecond of the loop */
};

static inline struct cn_memory *cn_memory_of(struct connector *connector)
{
    return (struct cn_memory *)(void *)connector;
}

static inline bool cn_memory_is_single(const struct cn_memory *memory)
{
    return memory->connector.traits.order == CONNECTOR_ORDER_SUBSCRIPTION;
}

static inline void cn_memory_wake(struct cn_memory *memory)
{
    net_loop_defer(memory->connector.host->loop, &memory->task);
}

/* --- publish.c --- */

size_t cn_memory_publish(struct connector *connector, const struct connector_publish *items,
                         size_t count);
/* Calls `published` for what was taken, and `writable` if something was not. */
void cn_memory_give_answers(struct cn_memory *memory);
/* The wall clock, milliseconds. */
int64_t cn_memory_wall_ms(struct cn_memory *memory);
/* Adds a subscriber to the index; its topic becomes known to `cn_memory_publish`. */
void cn_memory_index_add(struct cn_memory *memory, struct cn_memory_subscriber *subscriber);
/* Does nothing for one that is not inside. */
void cn_memory_index_remove(struct cn_memory *memory, struct cn_memory_subscriber *subscriber);
void cn_memory_name_release(struct cn_memory *memory, struct cn_memory_name **name);

/* --- consume.c --- */

/* Adds a message for one subscriber. The event and the name (NULL: the subscription's own topic)
 * are held. */
void cn_memory_enqueue(struct cn_memory_subscriber *subscriber, struct ce_event *event,
                       struct cn_memory_name *name, int64_t stored_wall_ms);
void cn_memory_subscribe(struct connector *connector, struct connector_subscription *subscription);
void cn_memory_unsubscribe(struct connector *connector,
                           struct connector_subscription *subscription);
void cn_memory_window(struct connector *connector, struct connector_subscription *subscription,
                      uint32_t messages, size_t bytes);
void cn_memory_settle(struct connector *connector, const struct connector_settlement *items,
                      size_t count);
void cn_memory_backlog(struct connector *connector, struct fl_slice topic, struct fl_slice group,
                       void *token);

/* The parts of the task: answers to `subscribe`, deliveries, goodbyes, answers to `backlog`. */
void cn_memory_announce(struct cn_memory *memory);
void cn_memory_deliver(struct cn_memory *memory);
/* Ends those who leave and have nothing in flight; with `is_forced` all who leave. To be called
 * when parting is owed. */
void cn_memory_part(struct cn_memory *memory, bool is_forced);
void cn_memory_give_backlogs(struct cn_memory *memory);
/* Begins the end of a subscriber: nothing is delivered or kept for it any more. */
void cn_memory_leave(struct cn_memory_subscriber *subscriber);
void cn_memory_free_nodes(struct cn_memory *memory);

#endif
