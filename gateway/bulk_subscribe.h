/* Bulk subscriptions: deliveries gathered and given to the application in one call per path
 * (http-api.md §4.4).
 *
 * Deliveries are gathered until there are maxMessagesCount of them or maxAwaitDurationMs after the
 * first one. Entries that fail go through the inbound retry policy together, and alone through the
 * dead letter topic or the house's back-off.
 *
 * Thread: the loop's.
 */
#ifndef GW_BULK_SUBSCRIBE_H
#define GW_BULK_SUBSCRIBE_H

#include <stdbool.h>

struct gw_bulk;
struct gw_delivery;
struct gw_subscription;

struct gw_bulk *gw_bulk_new(struct gw_subscription *subscription);
/* Cancels calls under way; deliveries are not touched. NULL inside is accepted. */
void gw_bulk_free(struct gw_bulk **bulk);

/* The delivery is in state GW_DELIVERY_IN_BULK; it ends by one of delivery.h's verdicts. */
void gw_bulk_add(struct gw_bulk *bulk, struct gw_delivery *delivery);

/* Takes a delivery out that is gathered but not in a call; false when it is in a call (or not
 * here). */
bool gw_bulk_remove(struct gw_bulk *bulk, struct gw_delivery *delivery);

#endif
