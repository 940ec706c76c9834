/* One event of an input binding, from the connector to the application's verdict.
 *
 *   IN_LANE ─► CALLING ─┬─ accepted ──────────────────────► settled as accepted
 *                 ▲     └─ failed ─┬─ policy: WAITING ─┐
 *                 ├────────────────┼───────────────────┘
 *                 └─ back-off: WAITING ─┴─ no more ───────► settled as modified
 *
 * Accepted is any 2xx; exactly 200 where a retry policy applies (runtime.md §2.5). When no attempts
 * are left, a source that forgets the event, or offers it again after its delay, gets it back as
 * `modified`; for any other, and for one of a lane, the house's back-off is kept here, and what an
 * open breaker refuses waits in its line.
 *
 * Events of one lane are worked on one after the other. An event of a connection that was lost, or
 * of a former reading, ends without a settlement.
 *
 * Thread: the loop's.
 */
#ifndef GW_INPUT_EVENT_H
#define GW_INPUT_EVENT_H

#include "gateway/delivery_fields.h"
#include "gateway/input_binding.h"

enum gw_input_event_state {
    GW_INPUT_EVENT_IN_LANE, /* behind another one of its lane */
    GW_INPUT_EVENT_CALLING, /* the application works on it */
    GW_INPUT_EVENT_WAITING, /* for its next attempt, or for its end when `refusal` says why */
};

struct gw_input_event {
    struct fl_list link; /* in its binding */
    struct gw_input *input;
    struct ce_event *event; /* held */
    struct connector_token token;
    uint64_t lane;       /* 0: none */
    uint32_t generation; /* of the component, when it came */
    uint32_t reading;    /* of the binding, when it came */
    uint32_t attempt;    /* the source's count; 1 = first */
    enum gw_input_event_state state;
    int64_t came_ms, called_ms;
    const char *refusal; /* why it ends without a call; NULL: it does not */
    bool is_refused;     /* by the circuit breaker, and not let through since */
    struct gw_policy_run run;
    struct gw_app_call call;
    struct net_timer timer;
    struct gw_waiter waiter; /* in the breaker's line */
    struct gw_delivery_fields fields;
};

/* Callbacks of connectors. */
void gw_input_deliver(struct connector *connector, struct connector_subscription *feed,
                      const struct connector_delivery *items, size_t count);
void gw_input_revoked(struct connector *connector, struct connector_subscription *feed,
                      uint64_t lane, int64_t until_at_ms);

/* The connection is lost: what waits is forgotten, the source has it. */
void gw_input_end_generation(struct gw_input *input);

/* Gives back what was never tried, and what waits for its next attempt. */
void gw_input_release_waiting(struct gw_input *input);

/* Forgets all events without settling them: the end of the process. */
void gw_input_drop_all(struct gw_input *input);

/* Extends the leases of everything unsettled. */
void gw_input_extend(struct gw_input *input);

#endif
