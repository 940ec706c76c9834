/* Which endpoint a request means, by its method and its cleaned path.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_MATCH_H
#define GW_API_MATCH_H

#include "gateway/api.h"

/* Sets the endpoint of `hand` and the names that its path holds, decoded; GW_ENDPOINT_NONE when
 * nothing is served there, or the configuration does not allow it. */
void gw_api_match(const struct gw_api *api, struct gw_api_hand *hand, bool is_public);

bool gw_api_is_post_or_put(struct fl_slice method);

/* Where the last slash stands; `path` has one. */
size_t gw_api_last_slash(struct fl_slice path);

#endif
