/* Publishing several events with one request: POST /v1.0/publish/bulk/{pubsub}/{topic} (http-api.md
 * §2), and a CloudEvents batch sent to the single publish endpoint.
 *
 * What can be known wrong is found before the first event leaves: then nothing is published. After
 * that each event succeeds or fails alone, and the request is answered when the last one has ended.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_BULK_H
#define GW_API_BULK_H

#include "gateway/api.h"

void gw_api_bulk_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body);

/* The body of a bulk publish will not come. */
void gw_api_bulk_publish_failed(struct gateway *gateway, struct gw_api_hand *hand,
                                enum http_body_failure why);

/* A body of application/cloudevents-batch+json: each event is adopted as if it was sent alone. 204
 * when all are stored, else the first failure, which says how many were. */
void gw_api_batch_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body);

#endif
