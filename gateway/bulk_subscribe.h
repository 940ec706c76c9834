/* Bulk subscriptions: deliveries gathered and given to the application in one call per path
 * (http-api.md §4.4).
 *
 * Deliveries are gathered until there are maxMessagesCount of them or maxAwaitDurationMs after the
 * first one. Entries that fail go through the inbound policy together, and alone through the dead
 * letter topic or the house's back-off, after which they are gathered again. A call that the
 * circuit breaker refuses waits in its line, unless there is a dead letter topic for what it
 * carries.
 *
 *   gathered (IN_BULK) ─► in a call (CALLING) ─┬─► accepted, dropped, dead letter, back-off
 *                              ▲               └─► waits for the next try (IN_BULK) ─┐
 *                              └─────────────────────────────────────────────────────┘
 *
 * Order: while deliveries have lanes there is one round of calls at a time, and a lane one of whose
 * deliveries waits for its next try stays gathered.
 *
 * Thread: the loop's.
 */
#ifndef GW_BULK_SUBSCRIBE_H
#define GW_BULK_SUBSCRIBE_H

#include <stdbool.h>
#include <stdint.h>

struct gw_bulk;
struct gw_delivery;
struct gw_subscription;

/* A larger maxMessagesCount counts as this. */
enum { GW_BULK_MOST_MESSAGES = 10000 };

struct gw_bulk *gw_bulk_new(struct gw_subscription *subscription);
/* Cancels calls under way; deliveries are not touched. NULL inside is accepted. */
void gw_bulk_free(struct gw_bulk **bulk);

/* Messages of a full call: the subscription's window must not be smaller. */
uint32_t gw_bulk_most_messages(const struct gw_bulk *bulk);

/* The delivery is in state GW_DELIVERY_IN_BULK; it ends by one of delivery.h's verdicts. */
void gw_bulk_add(struct gw_bulk *bulk, struct gw_delivery *delivery);

/* Calls that the application has not heard of wait: until it is healthy, or to be taken out. */
void gw_bulk_pause(struct gw_bulk *bulk);

/* Takes a delivery out that waits, gathered or for its next try; false when it is in a call (or not
 * here). */
bool gw_bulk_remove(struct gw_bulk *bulk, struct gw_delivery *delivery);

#endif
