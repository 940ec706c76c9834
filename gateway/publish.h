/* One event on its way to a broker, whoever sends it: the API or a dead letter.
 *
 *   WAITS_FOR_ROOM (in the budget's line) ─► IN_LINE (of the component) ─► SENT ─► done
 *
 * A publish waits at most --publish-wait before it is sent, for room or for the connector; then it
 * ends with FL_ERR_AGAIN (our bound: 429) or FL_ERR_CLOSED (not connected: 503). Once sent it ends
 * with the connector's answer, or with FL_ERR_TIMEOUT, which means that it may have been stored.
 *
 * Thread: the loop's.
 */
#ifndef GW_PUBLISH_H
#define GW_PUBLISH_H

#include "base/budget.h"
#include "connectors/connector.h"
#include "net/loop.h"

struct gateway;
struct gw_publish;
struct gw_topic;
struct gw_component;

enum { GW_MOST_WAITING_PUBLISHES = 10000 };

struct gw_publish_result {
    enum fl_err code;
    enum fl_error_class class;
    const char *text; /* borrowed; NULL on success */
    bool is_refusal;  /* by the component's circuit breaker: there was no attempt */
};

/* Ends a publish; it is free for use again when this is called. */
typedef void gw_publish_done_fn(struct gw_publish *publish, const struct gw_publish_result *result);

/* Whether anybody still waits for the outcome: else there is no further attempt. */
typedef bool gw_publish_awaited_fn(const struct gw_publish *publish);

enum gw_publish_state {
    GW_PUBLISH_IDLE,
    GW_PUBLISH_WAITS_FOR_ROOM,
    GW_PUBLISH_IN_LINE,
    GW_PUBLISH_SENT,
    GW_PUBLISH_UNDER_POLICY, /* its attempts go through the states above */
};

/* Embedded in its owner, zeroed. */
struct gw_publish {
    struct fl_list link;
    struct gateway *gateway;
    struct gw_component *component;
    struct ce_event *event; /* held */
    struct fl_slice topic;  /* the broker's name; borrowed from the owner until done */
    struct fl_slice partition_key;
    struct net_deadline wait;
    struct fl_budget_wish wish;
    size_t waiting_bytes;
    enum gw_publish_state state;
    bool is_attempt;                        /* of publish_policy.c */
    struct gw_publish_operation *operation; /* of one under a policy */
    bool is_urgent; /* a dead letter: does not wait for room, has no wait limit; its owner withdraws
                       it when the component goes down */
    gw_publish_done_fn *done;
    gw_publish_awaited_fn *is_awaited; /* NULL: it is for as long as it takes */
};

struct gw_publishing {
    struct net_deadlines waits;
    size_t waiting_count;    /* for room, in line beyond a turn, or for the next attempt */
    struct fl_list retrying; /* those that wait for their next attempt */
};

void gw_publishing_init(struct gateway *gateway);
void gw_publishing_fini(struct gateway *gateway);

/* Starts; `event` is taken. Where the component has an outbound policy, this is one operation under
 * it. `done` is called later, never from inside. Set component, topic,
 * partition_key and done before. An event that is not charged to the budget (its `budget` is NULL)
 * waits for room first. FL_ERR_TOO_LARGE: too many wait already, or they hold too much; nothing was
 * taken. */
enum fl_err gw_publish_start(struct gateway *gateway, struct gw_publish *publish,
                             struct ce_event **event) FL_MUST_USE;

/* Takes back one that was not sent; `done` is not called. False: it was sent, or is not under way.
 */
bool gw_publish_withdraw(struct gw_publish *publish);

/* The process stops: nobody waits for another attempt. */
void gw_publishing_stop(struct gateway *gateway);

/* For the component: the connector took it, or answered. */
void gw_publish_sent(struct gw_publish *publish);
void gw_publish_finish(struct gw_publish *publish, const struct gw_publish_result *result);
/* For the component: it stays in line, so its wait is counted from now. */
void gw_publish_must_wait(struct gw_publish *publish);

#endif
