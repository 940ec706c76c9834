/* Routing: which endpoint a request goes to, by its head, and again when its body is there.
 *
 * The usual publish is recognised by its path as sent (gateway/topic.h) and answered with a line of
 * header fields that never changes. Everything else takes the long way: cleaning, decoding,
 * matching.
 */
#include "gateway/api_bindings.h"
#include "gateway/api_bulk.h"
#include "gateway/api_cancel.h"
#include "gateway/api_error.h"
#include "gateway/api_invoke.h"
#include "gateway/api_match.h"
#include "gateway/api_metadata.h"
#include "gateway/api_path.h"
#include "gateway/api_priv.h"
#include "gateway/api_publish.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/topic.h"

static void respond_shutdown(struct gateway *gateway, struct gw_api_hand *hand)
{
    bool is_forced = fl_slice_eq_nocase(hand->fields.force_shutdown, FL_SLICE_LIT("true"));
    gw_api_respond(gateway, hand->exchange, &hand->info, 204, NULL, FL_SLICE_NULL, FL_SLICE_NULL);
    gw_shutdown_by_api(gateway, is_forced);
}

static void respond_no_component(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct ce_metadata *pairs;
    size_t count;
    gw_api_query_metadata(&hand->arena, hand->query, &pairs, &count);
    struct gw_api_error error = {
        .status = 404,
        .code = "ERR_PUBSUB_NOT_FOUND",
        .category = "pubsub",
        .message = fl_slice_str(fl_arena_printf(&hand->arena, "pubsub %.*s is not found",
                                                FL_SLICE_ARG(hand->pubsub_name))),
        .reason = "DAPR_PUBSUB_NOT_FOUND",
        .map = pairs,
        .map_count = count,
    };
    gw_api_fail(gateway, hand->exchange, &hand->info, &error);
}

/* What the log calls the request when paths are not to be seen there. */
static const char *log_name(struct gw_api_hand *hand)
{
    static const char *const names[] = {
        [GW_ENDPOINT_PUBLISH] = "PublishEvent", [GW_ENDPOINT_BULK_PUBLISH] = "BulkPublishEvent",
        [GW_ENDPOINT_CANCEL] = "CancelEvent",   [GW_ENDPOINT_BINDING] = "InvokeOutputBinding",
        [GW_ENDPOINT_METADATA] = "GetMetadata", [GW_ENDPOINT_METADATA_SET] = "SetMetadata",
        [GW_ENDPOINT_HEALTHZ] = "Healthz",      [GW_ENDPOINT_HEALTHZ_OUTBOUND] = "HealthzOutbound",
        [GW_ENDPOINT_SHUTDOWN] = "Shutdown",
    };
    if (hand->endpoint != GW_ENDPOINT_NONE)
        return names[hand->endpoint];
    struct fl_slice app_id = gw_invoke_target(&hand->arena, &hand->fields, hand->info.path);
    return fl_arena_printf(&hand->arena, "InvokeService/%.*s", FL_SLICE_ARG(app_id));
}

/* Finds the topic of a publish; false: answered. */
static bool find_topic(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice raw_path)
{
    struct gw_component *component = gw_component_find(gateway, hand->pubsub_name);
    if (!component) {
        respond_no_component(gateway, hand);
        return false;
    }
    hand->topic = gw_topic_new(gateway, component, hand->topic_name, hand->info.path);
    hand->topic->has_health_path = gw_api_is_health_path(hand->info.path);
    if (hand->endpoint == GW_ENDPOINT_PUBLISH)
        gw_topic_cache_add(gateway, raw_path, hand->topic);
    return true;
}

/* Answers what can be answered by the head; true: the body is wanted. */
static bool route(struct gw_port *port, struct gw_api_hand *hand)
{
    struct gateway *gateway = port->gateway;
    struct gw_api *api = &gateway->api;
    struct fl_slice raw_path;
    struct fl_slice target = http_exchange_head(hand->exchange)->target;
    if (fl_slice_eq_str(target, "*")) {
        hand->info.path = target;
        gw_api_respond(gateway, hand->exchange, &hand->info, 200, NULL, FL_SLICE_NULL,
                       FL_SLICE_NULL);
        return false;
    }
    if (!gw_target_split(target, &raw_path, &hand->query)) {
        gw_api_respond_bad_target(gateway, hand);
        return false;
    }
    struct gw_topic *known = port->is_public || !gw_api_is_post_or_put(hand->info.method)
                                 ? NULL
                                 : gw_topic_cache_find(gateway, raw_path);
    if (known) {
        hand->endpoint = GW_ENDPOINT_PUBLISH;
        hand->topic = gw_topic_hold(known);
        hand->info.path = known->path;
    } else {
        if (!gw_path_escapes_are_valid(raw_path)) {
            gw_api_respond_bad_target(gateway, hand);
            return false;
        }
        hand->info.path = gw_path_clean(&hand->arena, raw_path);
        gw_api_match(api, hand, port->is_public);
        if (hand->endpoint == GW_ENDPOINT_CANCEL)
            hand->info.path.len = gw_api_last_slash(hand->info.path);
    }
    if (!gw_api_middleware_pass(port, hand))
        return false;
    if (api->logs_calls && gateway->configuration.api_logging_obfuscates_urls)
        hand->info.log_name = log_name(hand);
    switch (hand->endpoint) {
    case GW_ENDPOINT_NONE:
        gw_api_unknown(gateway, hand, port->is_public);
        return false;
    case GW_ENDPOINT_HEALTHZ:
        gw_api_health(gateway, hand);
        return false;
    case GW_ENDPOINT_HEALTHZ_OUTBOUND:
        gw_api_outbound_health(gateway, hand);
        return false;
    case GW_ENDPOINT_METADATA:
        gw_api_metadata(gateway, hand);
        return false;
    case GW_ENDPOINT_SHUTDOWN:
        respond_shutdown(gateway, hand);
        return false;
    case GW_ENDPOINT_PUBLISH:
    case GW_ENDPOINT_BULK_PUBLISH:
    case GW_ENDPOINT_CANCEL:
        return hand->topic || find_topic(gateway, hand, raw_path);
    case GW_ENDPOINT_BINDING:
    case GW_ENDPOINT_METADATA_SET:
        return true;
    }
    return false;
}

static void on_head(struct http_exchange *exchange, void *context, uint64_t *most_body_bytes)
{
    struct gw_port *port = context;
    struct gw_api *api = &port->gateway->api;
    gw_api_hand_begin(port->gateway, exchange);
    *most_body_bytes = port->is_public ? UINT64_MAX : api->most_body_bytes;
    if (!route(port, &api->hand))
        api->hand.exchange = NULL;
}

/* One whose body came in pieces is looked at again: the hand may hold another request by now, and
 * the head's bytes have moved in any case. Its answer at the head would have ended it, so it is
 * routed as before. */
static bool retake(struct gw_port *port, struct http_exchange *exchange)
{
    struct gw_api_hand *hand = &port->gateway->api.hand;
    if (hand->exchange == exchange && hand->head_at == http_exchange_head(exchange)->method.data)
        return true;
    gw_api_hand_begin(port->gateway, exchange);
    return route(port, hand);
}

static void on_request(struct http_exchange *exchange, void *context)
{
    struct gw_port *port = context;
    struct gateway *gateway = port->gateway;
    struct gw_api_hand *hand = &gateway->api.hand;
    if (retake(port, exchange)) {
        struct fl_slice body = http_exchange_body(exchange);
        hand->info.request_bytes = body.len;
        if (hand->endpoint == GW_ENDPOINT_PUBLISH)
            gw_api_publish(gateway, hand, body);
        else if (hand->endpoint == GW_ENDPOINT_BULK_PUBLISH)
            gw_api_bulk_publish(gateway, hand, body);
        else if (hand->endpoint == GW_ENDPOINT_CANCEL)
            gw_api_cancel(gateway, hand);
        else if (hand->endpoint == GW_ENDPOINT_BINDING)
            gw_api_binding(gateway, hand, body);
        else
            gw_api_metadata_set(gateway, hand, body);
    }
    hand->exchange = NULL;
}

static void on_body_failed(struct http_exchange *exchange, enum http_body_failure why,
                           void *context)
{
    struct gw_port *port = context;
    struct gateway *gateway = port->gateway;
    struct gw_api_hand *hand = &gateway->api.hand;
    if (retake(port, exchange)) {
        if (hand->endpoint == GW_ENDPOINT_PUBLISH)
            gw_api_publish_failed(gateway, hand, why);
        else if (hand->endpoint == GW_ENDPOINT_BULK_PUBLISH)
            gw_api_bulk_publish_failed(gateway, hand, why);
        else if (hand->endpoint == GW_ENDPOINT_BINDING)
            gw_api_binding_failed(gateway, hand, why);
        else
            gw_api_fail_simple(gateway, exchange, &hand->info, 400, "ERR_BODY_READ", "common",
                               why == HTTP_BODY_TOO_LARGE
                                   ? "failed to read request body: stream too large"
                                   : "failed to read request body: it did not arrive");
    }
    hand->exchange = NULL;
}

const struct http_handler gw_api_handler = {
    .on_head = on_head, .on_request = on_request, .on_body_failed = on_body_failed};
