/* One delivery: a message handed to us with a token, until it is settled.
 *
 *   HELD / IN_LANE ─► CALLING ─┬─ success ─────────────────────────────► accepted
 *                       ▲      ├─ retry ─► RETRY_WAIT ─┐ (policy spent ─► DEAD_LETTER ─► accepted,
 *                       └──────┼───────────────────────┘  without one: the house's back-off)
 *                              └─ drop ─► DEAD_LETTER, if there is one ─► accepted
 *
 * What an open circuit breaker refuses goes to the dead letter topic; without one, or where the
 * breaker is that of publishes too, it waits (RETRY_WAIT) in the breaker's line, which is no
 * attempt and takes no step of the back-off. A dead letter that is refused waits there as well.
 *
 * What fails while the process ends is given back; only the application's explicit word makes a
 * dead letter then.
 *
 * `gw_delivery_set_state` is the one door of every change.
 *
 * Thread: the loop's.
 */
#ifndef GW_DELIVERY_H
#define GW_DELIVERY_H

#include "gateway/app.h"
#include "gateway/delivery_fields.h"
#include "gateway/intake.h"
#include "gateway/publish.h"

enum gw_delivery_state {
    GW_DELIVERY_HELD,        /* the application is unhealthy */
    GW_DELIVERY_IN_LANE,     /* behind another one of its lane */
    GW_DELIVERY_IN_BULK,     /* gathered for a bulk call, or in it */
    GW_DELIVERY_CALLING,     /* the application works on it */
    GW_DELIVERY_RETRY_WAIT,  /* until its timer expires */
    GW_DELIVERY_DEAD_LETTER, /* being published to the dead letter topic */
    GW_DELIVERY_SETTLED,
};

struct gw_delivery {
    struct fl_list link;      /* in its subscription */
    struct fl_list lane_link; /* in its lane's line, or the freelist */
    struct gw_subscription *subscription;
    struct ce_event *event; /* as stored; held */
    struct ce_event *view;  /* what the application sees; held, NULL until prepared */
    struct connector_token token;
    struct gw_lane *lane; /* NULL: none */
    uint64_t lane_id;
    uint32_t generation;      /* of the component, when it came */
    uint32_t attempt;         /* the broker's count; 1 = first */
    uint32_t failures;        /* failed tries since it came, all of them */
    uint32_t back_offs;       /* times that the house's back-off was begun for it */
    struct gw_policy_run run; /* of the inbound policy; begins anew when it is spent */
    int64_t came_ms, called_ms;
    enum gw_delivery_state state;
    bool was_dropped; /* on the application's word, or expired, or without a route: on the way to
                         the dead letter topic */
    bool warned_old;
    bool is_refused;   /* by the circuit breaker, and not let through since */
    bool sends_stored; /* the body is the event's as stored, not the view's */
    uint32_t way;
    struct gw_app_call call;
    struct net_timer timer;
    struct gw_waiter waiter; /* in the breaker's line */
    struct gw_publish dead_letter;
    struct gw_delivery_fields fields;
};

void gw_delivery_set_state(struct gw_delivery *delivery, enum gw_delivery_state state);

/* The connection that it came by is lost: the broker will offer the message again, and heeds no
 * settlement of this delivery. */
bool gw_delivery_is_stale(const struct gw_delivery *delivery);

/* Starts working on it. */
void gw_delivery_begin(struct gw_delivery *delivery);

/* Ends what is under way without settling. */
void gw_delivery_cancel(struct gw_delivery *delivery);

/* --- for bulk calls too, which share everything but the call --- */

/* Prepares the view and chooses the way. False: there is none, and the delivery has its verdict. */
bool gw_delivery_find_way(struct gw_delivery *delivery);

/* --- verdicts; of a stale delivery they are neither counted nor carried out --- */

/* The policy is spent: the dead letter topic or the back-off decide. `http_status` 0: none. */
void gw_delivery_failed_finally(struct gw_delivery *delivery, int http_status, const char *why);
void gw_delivery_succeeded(struct gw_delivery *delivery);
void gw_delivery_dropped(struct gw_delivery *delivery, const char *reason);

/* Whether there is a dead letter topic for what an open circuit breaker refuses. */
bool gw_delivery_may_leave(const struct gw_subscription *subscription);

/* Says once a minute that deliveries of the subscription fail. */
void gw_delivery_warn(struct gw_subscription *subscription, const char *why);

/* Counts one call of the application, by the answer's status; nothing when there was none. */
void gw_delivery_count_call(struct gw_subscription *subscription, uint32_t way_number,
                            const struct http_result *result, int64_t elapsed_ms);

/* Counts one attempt's outcome. */
void gw_delivery_count(struct gw_subscription *subscription, enum gw_ingress kind,
                       int64_t elapsed_ms);

#endif
