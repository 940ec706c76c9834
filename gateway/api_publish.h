/* POST /v1.0/publish/{pubsub}/{topic}: raw, wrapped, adopted and binary-mode events (http-api.md
 * §1).
 *
 * Thread: the loop's.
 */
#ifndef GW_API_PUBLISH_H
#define GW_API_PUBLISH_H

#include "gateway/api.h"

void gw_api_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body);

/* The body will not come. */
void gw_api_publish_failed(struct gateway *gateway, struct gw_api_hand *hand,
                           enum http_body_failure why);

/* Every metadata.<key>=<value> pair of a query, decoded; the first of equal keys. Pairs that hold a
 * raw ';' or a bad escape are dropped. */
void gw_api_query_metadata(struct fl_arena *arena, struct fl_slice query,
                           struct ce_metadata **pairs, size_t *count);

/* Bytes that an event of this body will roughly charge. */
static inline size_t gw_api_event_estimate(size_t body_bytes)
{
    return body_bytes + 1024;
}

#endif
