/* Calls of output bindings: POST or PUT /v1.0/bindings/{name} (http-api.md §6).
 *
 * A call is one operation under the component's outbound policy. It is answered with what the
 * binding says, with metadata as headers; a call that is between two attempts when the process
 * stops, or its client leaves, ends with its last failure.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_BINDINGS_H
#define GW_API_BINDINGS_H

#include "gateway/api.h"

/* Takes over the request in hand. */
void gw_api_binding(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body);

/* The body will not come. */
void gw_api_binding_failed(struct gateway *gateway, struct gw_api_hand *hand,
                           enum http_body_failure why);

/* No further attempts: the process stops. */
void gw_api_bindings_stop(struct gateway *gateway);

#endif
