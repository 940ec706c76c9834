/* Which application a request on an unknown path would be invoked on (http-api.md §0.1).
 *
 * Service invocation is not served here; but a caller that names an application gets another answer
 * than one that does not.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_INVOKE_H
#define GW_API_INVOKE_H

#include "gateway/api.h"

/* From the header dapr-app-id, from Basic credentials of the user dapr-app-id, or from
 * /v1.0/invoke/ID/method/... in the cleaned `path`; the null slice when nothing names one. The
 * result is borrowed or lives in the arena. */
struct fl_slice gw_invoke_target(struct fl_arena *arena, const struct gw_request_fields *fields,
                                 struct fl_slice path);

#endif
