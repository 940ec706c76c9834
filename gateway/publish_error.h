/* How the publish endpoints say no: one event, bulk and batch alike (http-api.md §1.5, §2).
 *
 * Every function that answers ends the request in hand.
 *
 * Thread: the loop's.
 */
#ifndef GW_PUBLISH_ERROR_H
#define GW_PUBLISH_ERROR_H

#include "gateway/api_error.h"
#include "gateway/publish.h"

/* The status that stands for a failure of the component, or of ours on the way to it. */
int gw_publish_status(enum fl_err code, enum fl_error_class class);

/* What becomes of a publish that ended with this result; the message lives in `arena`. */
struct gw_api_error gw_publish_error(struct fl_arena *arena, const struct gw_publish_result *result,
                                     struct fl_slice pubsub, struct fl_slice topic);

/* A refusal that names the component; `pairs` become the ErrorInfo's metadata. */
void gw_publish_fail(struct gateway *gateway, struct gw_api_hand *hand, int status,
                     const char *code, const char *reason, const char *message,
                     const struct ce_metadata *pairs, size_t pair_count);

/* One that names the application, and the cause unless it is NULL. */
void gw_publish_fail_for_app(struct gateway *gateway, struct gw_api_hand *hand, int status,
                             const char *code, const char *reason, const char *message,
                             const char *cause);

/* The body is no CloudEvent. */
void gw_publish_fail_event(struct gateway *gateway, struct gw_api_hand *hand, const char *cause);

/* The request's metadata, which is shown, makes no sense. */
void gw_publish_fail_metadata(struct gateway *gateway, struct gw_api_hand *hand, const char *cause,
                              const struct ce_metadata *query, size_t count);

/* rawPayload is no boolean. */
void gw_publish_fail_raw_payload(struct gateway *gateway, struct gw_api_hand *hand,
                                 struct fl_slice bad, const struct ce_metadata *query,
                                 size_t count);

/* The publishing scopes forbid the topic. */
void gw_publish_fail_forbidden(struct gateway *gateway, struct gw_api_hand *hand);

/* Counts one refused publish under the reason that its status stands for. */
void gw_publish_count_refused(struct gateway *gateway, const struct gw_topic *topic, int status);

#endif
