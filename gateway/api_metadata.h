/* GET /v1.0/metadata and PUT /v1.0/metadata/{key} (http-api.md §8.2).
 *
 * Thread: the loop's.
 */
#ifndef GW_API_METADATA_H
#define GW_API_METADATA_H

#include "gateway/api.h"

/* All extended values together. */
enum { GW_MOST_EXTENDED_BYTES = 1024 * 1024 };

void gw_api_metadata(struct gateway *gateway, struct gw_api_hand *hand);
void gw_api_metadata_set(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body);

#endif
