/* Errors of the publish endpoints; see the header. */
#include "gateway/publish_error.h"

#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/topic.h"

int gw_publish_status(enum fl_err code, enum fl_error_class class)
{
    switch (code) {
    case FL_ERR_TOO_LARGE:
        /* A bound that waiting does not move is the broker's no. */
        return class == FL_CLASS_REJECT ? 500 : 429;
    case FL_ERR_INVALID:
        return 400;
    case FL_ERR_AGAIN:
    case FL_ERR_NO_MEMORY:
        return 429;
    case FL_ERR_CLOSED:
        return 503;
    case FL_ERR_TIMEOUT:
        return 504;
    default:
        return 500;
    }
}

struct gw_api_error gw_publish_error(struct fl_arena *arena, const struct gw_publish_result *result,
                                     struct fl_slice pubsub, struct fl_slice topic)
{
    int status = gw_publish_status(result->code, result->class);
    const char *text = result->text ? result->text : fl_err_name(result->code);
    const char *message = fl_arena_printf(
        arena, "error when publishing to topic %.*s in pubsub %.*s: %s%s", FL_SLICE_ARG(topic),
        FL_SLICE_ARG(pubsub), text, status == 504 ? " (the message may have been stored)" : "");
    return (struct gw_api_error){
        .status = status,
        .code = "ERR_PUBSUB_PUBLISH_MESSAGE",
        .category = "pubsub",
        .message = fl_slice_str(message),
        .reason = "DAPR_PUBSUB_PUBLISH_MESSAGE",
        .resource = pubsub,
        .pairs = {{FL_SLICE_LIT("error"), fl_slice_str(fl_arena_printf(arena, "%s", text))},
                  {FL_SLICE_LIT("topic"), topic}},
        .pair_count = 2,
        .retry_after_s = status == 429 || status == 503 ? 1 : 0,
    };
}

void gw_publish_fail(struct gateway *gateway, struct gw_api_hand *hand, int status,
                     const char *code, const char *reason, const char *message,
                     const struct ce_metadata *pairs, size_t pair_count)
{
    struct gw_api_error error = {.status = status,
                                 .code = code,
                                 .category = "pubsub",
                                 .message = fl_slice_str(message),
                                 .reason = reason,
                                 .resource = hand->topic->component->name,
                                 .map = pairs,
                                 .map_count = pair_count};
    gw_api_fail(gateway, hand->exchange, &hand->info, &error);
}

/* The kinds that name the application and the cause. */
void gw_publish_fail_for_app(struct gateway *gateway, struct gw_api_hand *hand, int status,
                             const char *code, const char *reason, const char *message,
                             const char *cause)
{
    struct ce_metadata pairs[] = {{FL_SLICE_LIT("appID"), gateway->flags->app_id},
                                  {FL_SLICE_LIT("error"), fl_slice_str(cause)}};
    gw_publish_fail(gateway, hand, status, code, reason, message, pairs, cause ? 2 : 1);
}

void gw_publish_fail_event(struct gateway *gateway, struct gw_api_hand *hand, const char *cause)
{
    gw_publish_fail_for_app(gateway, hand, 500, "ERR_PUBSUB_CLOUD_EVENTS_SER",
                            "DAPR_PUBSUB_CLOUD_EVENT_CREATION", "cannot create cloudevent", cause);
}

void gw_publish_fail_metadata(struct gateway *gateway, struct gw_api_hand *hand, const char *cause,
                              const struct ce_metadata *query, size_t count)
{
    const char *message =
        fl_arena_printf(&hand->arena, "failed deserializing metadata. Error: %s", cause);
    gw_publish_fail(gateway, hand, 400, "ERR_PUBSUB_REQUEST_METADATA",
                    "DAPR_PUBSUB_METADATA_DESERIALIZATION", message, query, count);
}

void gw_publish_fail_raw_payload(struct gateway *gateway, struct gw_api_hand *hand,
                                 struct fl_slice bad, const struct ce_metadata *query, size_t count)
{
    const char *cause =
        fl_arena_printf(&hand->arena, "rawPayload value must be a valid boolean: actual is '%.*s'",
                        FL_SLICE_ARG(bad));
    gw_publish_fail_metadata(gateway, hand, cause, query, count);
}

void gw_publish_fail_forbidden(struct gateway *gateway, struct gw_api_hand *hand)
{
    const char *message =
        fl_arena_printf(&hand->arena, "topic %.*s is not allowed for app id %.*s",
                        FL_SLICE_ARG(hand->topic->name), FL_SLICE_ARG(gateway->flags->app_id));
    struct ce_metadata pairs[] = {{FL_SLICE_LIT("error"), fl_slice_str(message)},
                                  {FL_SLICE_LIT("topic"), hand->topic->name}};
    gw_publish_fail(gateway, hand, 403, "ERR_PUBSUB_FORBIDDEN", "DAPR_PUBSUB_FORBIDDEN", message,
                    pairs, 2);
}

void gw_publish_count_refused(struct gateway *gateway, const struct gw_topic *topic, int status)
{
    const char *reason = status == 429   ? "bound"
                         : status == 503 ? "not_connected"
                         : status == 504 ? "unknown"
                                         : "broker";
    struct fl_slice labels[] = {topic->component->name, fl_slice_str(reason)};
    gw_counter_add(gw_metrics_counter(gateway->metrics, GW_REFUSED_TOTAL, labels), 1);
}
