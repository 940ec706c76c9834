/* DELETE /v1.0/publish/{pubsub}/{topic}/{id}: takes back a delayed message before it is due.
 *
 * A topic may hold slashes, as in a publish; the last segment is the id, percent-decoded, so an id
 * that holds a slash writes it as %2F. The id is the CloudEvent's. Metrics and logs show the path
 * without it, or every call would be a series of its own.
 *
 *   204  taken back: nobody gets it
 *   404  ERR_PUBSUB_MESSAGE_NOT_FOUND     no such message waits (any more)
 *   400  ERR_PUBSUB_CANCEL_UNSUPPORTED    the component does not take messages back
 *   403, 404 for the component, 503       as for a publish
 *   504  no answer within --publish-timeout; it may have been taken back
 *
 * Thread: the loop's.
 */
#ifndef GW_API_CANCEL_H
#define GW_API_CANCEL_H

#include "gateway/api.h"

/* The topic of the hand is taken over, its `key` is the id. */
void gw_api_cancel(struct gateway *gateway, struct gw_api_hand *hand);

#endif
