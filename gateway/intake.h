/* What connectors deliver: windows, lanes, and the pool of deliveries.
 *
 * A delivery enters here and is handed to delivery.c when it may be worked on: at once without a
 * lane, in its turn with one. While the application is unhealthy it is held, and lanes do not
 * advance; when the process stops, what was never tried is given back.
 *
 * When the connection to the broker is lost, the broker has everything back that is not settled:
 * what waits here is forgotten, and what the application works on ends without a settlement.
 *
 * Thread: the loop's.
 */
#ifndef GW_INTAKE_H
#define GW_INTAKE_H

#include "connectors/connector.h"
#include "gateway/subscriptions.h"

struct gw_delivery;

/* What has to be worked on in order. */
struct gw_lane {
    struct fl_list link;
    uint64_t id;
    struct fl_list waiting; /* deliveries behind the one being worked on */
    bool is_busy;
    bool is_revoked; /* nothing new starts; the lane goes when it is idle */
};

/* Callbacks of connectors. */
void gw_intake_deliver(struct connector *connector, struct connector_subscription *feed,
                       const struct connector_delivery *items, size_t count);
void gw_intake_revoked(struct connector *connector, struct connector_subscription *feed,
                       uint64_t lane, int64_t until_at_ms);

/* The delivery is settled: it leaves its lane and its subscription, and is gone. */
void gw_intake_settle(struct gw_delivery *delivery, enum connector_outcome outcome,
                      int64_t delay_ms);

/* The component's connection is lost. */
void gw_intake_end_generation(struct gw_component *component);

/* The application is unhealthy: what it has not heard of waits until it is healthy. */
void gw_intake_pause(struct gw_subscription *subscription);

/* Works on what was held while the application was unhealthy. */
void gw_intake_resume(struct gw_subscription *subscription);

/* Gives back what was never tried, and what waits for its next try; the process stops. */
void gw_intake_release_waiting(struct gw_subscription *subscription);

/* Forgets all deliveries without settling them: the end of the process. */
void gw_intake_drop_all(struct gw_subscription *subscription);

/* Frees the deliveries kept for use again. */
void gw_intake_free_pool(struct gateway *gateway);

/* Extends the leases of everything unsettled of a component, what waits for its next try included.
 */
void gw_intake_extend(struct gw_component *component);

#endif
