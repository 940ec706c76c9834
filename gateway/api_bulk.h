/* Many events in one request: daprd's bulk publish, and the CloudEvents batch mode of the publish endpoint.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_BULK_H
#define GW_API_BULK_H

#include "gateway/api.h"

void gw_api_bulk_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body);

/* The body will not come. */
void gw_api_bulk_publish_failed(struct gateway *gateway, struct gw_api_hand *hand,
                                enum http_body_failure why);

/* A body of type application/cloudevents-batch+json that begins an array. */
void gw_api_batch_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body);

#endif
