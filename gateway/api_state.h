/* How each component, subscription and input binding is doing: the member `fairlead` of
 * GET /v1.0/metadata?state=true (docs/metadata.md). Without that query the document is daprd's.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_STATE_H
#define GW_API_STATE_H

#include "base/buffer.h"

struct gateway;

/* The query asks for it: one of its pairs is `state=true`. */
bool gw_api_state_is_asked(struct fl_slice query);

/* One more member of the object that `out` ends in. */
void gw_api_state_append(struct fl_buffer *out, const struct gateway *gateway);

#endif
