/* Cross-origin requests (--allowed-origins, http-api.md §8.6).
 *
 * Thread: the loop's.
 */
#ifndef GW_API_CORS_H
#define GW_API_CORS_H

#include "base/buffer.h"
#include "gateway/api.h"

/* Appends the header lines of an answer. True: the request is a preflight, and an empty 200 with
 * these lines is its answer. */
bool gw_cors_apply(struct fl_slice allowed_origins, struct fl_slice method,
                   const struct gw_request_fields *fields, struct fl_buffer *lines);

#endif
