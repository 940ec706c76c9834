/* The header lines of a call that differ from event to event: trace context, what the event's
 * publisher or source gave beside its bytes, and the length of the body (http-api.md §4.1).
 *
 * Deliveries of subscriptions and events of input bindings share them. Lines are rendered into room
 * of the caller's that is kept from call to call; only metadata needs more than that room.
 *
 * Thread: the loop's.
 */
#ifndef GW_DELIVERY_FIELDS_H
#define GW_DELIVERY_FIELDS_H

#include "base/buffer.h"
#include "cloudevents/event.h"

/* Zeroed before its first use. */
struct gw_delivery_fields {
    struct fl_buffer long_text; /* when `text` is too small */
    bool names_agent;           /* the metadata brings a User-Agent of its own */
    char text[192];
};

/* Borrowed for the call. */
struct gw_delivery_source {
    const struct ce_event *event;
    struct fl_slice traceparent; /* of this call; null: it has none */
    size_t body_bytes;
    bool has_token;       /* every call carries a token: none is taken over from metadata */
    bool has_pubsub_name; /* the head has a pubsubname: metadata gives no other */
};

/* The lines and the empty line that ends them; `lines` is valid until the next call with `fields`.
 * FL_ERR_INVALID: something in the metadata cannot be a header. FL_ERR_NO_MEMORY. */
enum fl_err gw_delivery_fields_render(struct gw_delivery_fields *fields,
                                      const struct gw_delivery_source *source,
                                      struct fl_slice *lines) FL_MUST_USE;

void gw_delivery_fields_fini(struct gw_delivery_fields *fields);

#endif
