/* The API's front: heads in, middleware in daprd's order, endpoints.
 *
 * The usual publish is recognised by its path as sent (gateway/topic.h) and answered with a line of
 * header fields that never changes. Everything else takes the long way: cleaning, decoding,
 * matching.
 */
#include "gateway/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "gateway/api_bindings.h"
#include "gateway/api_bulk.h"
#include "gateway/api_cancel.h"
#include "gateway/api_cors.h"
#include "gateway/api_error.h"
#include "gateway/api_invoke.h"
#include "gateway/api_match.h"
#include "gateway/api_metadata.h"
#include "gateway/api_path.h"
#include "gateway/api_publish.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/topic.h"

#define SCOPE "dapr.runtime.http"

enum { LISTEN_RETRY_MS = 500, LISTEN_TOTAL_MS = 10000, MOST_FREE_REQUESTS = 1024 };

static const struct fl_slice zero_trace_line =
    FL_SLICE_LIT("Traceparent: " CE_TRACEPARENT_ZERO "\r\n");
static const char text_plain[] = "text/plain; charset=utf-8";

/* --- answers --- */

static void log_call(struct gateway *gateway, const struct gw_call_info *info, int status,
                     size_t size)
{
    char method[1200], code[16], bytes[24], duration[24];
    if (info->log_name)
        snprintf(method, sizeof method, "%s", info->log_name);
    else
        snprintf(method, sizeof method, "%.*s %.*s", FL_SLICE_ARG(info->method),
                 FL_SLICE_ARG(info->path));
    snprintf(code, sizeof code, "%d", status);
    snprintf(bytes, sizeof bytes, "%zu", size);
    snprintf(duration, sizeof duration, "%lld",
             (long long)(net_loop_now_ms(gateway->loop) - info->started_ms));
    struct fl_log_field fields[] = {{"method", fl_slice_str(method), false},
                                    {"code", fl_slice_str(code), true},
                                    {"size", fl_slice_str(bytes), true},
                                    {"duration", fl_slice_str(duration), true},
                                    {"useragent", info->user_agent, false}};
    fl_log_write_fields(gateway->log, FL_LOG_INFO, true, "dapr.runtime.http-info",
                        FL_SLICE_LIT("HTTP API Called"), fields, info->user_agent.len ? 5 : 4);
}

static void count_call(struct gateway *gateway, const struct gw_call_info *info, int status,
                       size_t size)
{
    struct gw_metrics *metrics = gateway->metrics;
    int64_t elapsed = net_loop_now_ms(gateway->loop) - info->started_ms;
    struct fl_slice labels[] = {gw_metrics_http_method(metrics, info->method),
                                gw_metrics_http_path(metrics, info->path),
                                gw_metrics_http_status((unsigned)status)};
    gw_counter_add(gw_metrics_counter(metrics, GW_HTTP_SERVER_REQUEST_COUNT, labels), 1);
    gw_counter_add(gw_metrics_counter(metrics, GW_HTTP_SERVER_RESPONSE_COUNT, labels), 1);
    gw_histogram_add(gw_metrics_histogram(metrics, GW_HTTP_SERVER_LATENCY, labels),
                     (uint64_t)elapsed);
    gw_histogram_add(gateway->api.request_bytes, info->request_bytes);
    gw_histogram_add(gateway->api.response_bytes, size);
}

static bool is_health_path(struct fl_slice path)
{
    return memmem(path.data, path.len, "/healthz", 8) != NULL;
}

void gw_api_respond(struct gateway *gateway, struct http_exchange *exchange,
                    const struct gw_call_info *info, int status, const char *content_type,
                    struct fl_slice body, struct fl_slice extra)
{
    struct gw_api *api = &gateway->api;
    struct fl_buffer lines = {0};
    struct http_response response = {.status = status, .fields = info->fields, .body = body};
    if (content_type || extra.len) {
        fl_buffer_append_slice(&lines, info->fields);
        if (content_type)
            fl_buffer_printf(&lines, "Content-Type: %s\r\n", content_type);
        fl_buffer_append_slice(&lines, extra);
        response.fields = fl_buffer_slice(&lines);
    }
    if (!info->is_uncounted)
        count_call(gateway, info, status, body.len);
    if (api->logs_calls && !info->is_unlogged &&
        !(gateway->configuration.api_logging_omits_health && is_health_path(info->path)))
        log_call(gateway, info, status, body.len);
    http_exchange_respond(exchange, &response);
    fl_buffer_fini(&lines);
}

void gw_api_respond_published(struct gateway *gateway, struct gw_request *request)
{
    struct gw_api *api = &gateway->api;
    struct gw_topic *topic = request->topic;
    gw_counter_add(topic->requests, 1);
    gw_counter_add(topic->responses, 1);
    gw_histogram_add(topic->latency,
                     (uint64_t)(net_loop_now_ms(gateway->loop) - request->info.started_ms));
    gw_histogram_add(api->request_bytes, request->info.request_bytes);
    gw_histogram_add(api->response_bytes, 0);
    if (api->logs_calls)
        log_call(gateway, &request->info, 204, 0);
    struct http_response response = {.status = 204, .fields = request->info.fields};
    http_exchange_respond(request->exchange, &response);
}

/* A target that daprd's HTTP library refuses before anything sees it. */
static void respond_bad_target(struct gateway *gateway, struct gw_api_hand *hand)
{
    hand->info.is_unlogged = hand->info.is_uncounted = true;
    gw_api_respond(gateway, hand->exchange, &hand->info, 400, text_plain,
                   FL_SLICE_LIT("400 Bad Request"), FL_SLICE_NULL);
}

/* As Go's http.Error: for answers that come before any endpoint. */
static void respond_error_text(struct gateway *gateway, struct gw_api_hand *hand, int status,
                               const char *text)
{
    gw_api_respond(gateway, hand->exchange, &hand->info, status, text_plain, fl_slice_str(text),
                   FL_SLICE_LIT("X-Content-Type-Options: nosniff\r\n"));
}

/* --- requests that are answered later --- */

struct gw_request *gw_request_new(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct gw_api *api = &gateway->api;
    struct fl_list *first = fl_list_first(&api->free_requests);
    struct gw_request *request;
    if (first) {
        request = FL_LIST_ENTRY(first, struct gw_request, link);
        fl_list_remove(first);
        api->free_request_count--;
        memset(request, 0, sizeof *request);
    } else {
        request = fl_zalloc(sizeof *request);
    }
    fl_list_init(&request->link);
    api->request_count++;
    request->gateway = gateway;
    request->exchange = hand->exchange;
    request->topic = hand->topic;
    hand->topic = NULL;
    request->info = hand->info;
    request->is_plain_post =
        hand->endpoint == GW_ENDPOINT_PUBLISH && fl_slice_eq_str(hand->info.method, "POST");
    /* The method, path and lines live in the read buffer or the hand: what outlives it is kept. */
    bool keeps_path = !request->topic || !request->is_plain_post;
    bool keeps_lines = hand->info.fields.data != zero_trace_line.data && hand->info.fields.len;
    request->info.method = request->is_plain_post ? FL_SLICE_LIT("POST") : FL_SLICE_NULL;
    request->info.path = request->is_plain_post ? request->topic->path : FL_SLICE_NULL;
    if (keeps_path || keeps_lines || hand->info.user_agent.len) {
        struct fl_buffer *kept = &request->kept;
        struct fl_slice parts[] = {keeps_lines ? hand->info.fields : FL_SLICE_NULL,
                                   keeps_path ? hand->info.method : FL_SLICE_NULL,
                                   keeps_path ? hand->info.path : FL_SLICE_NULL,
                                   hand->info.user_agent};
        struct fl_slice *targets[] = {&request->info.fields, &request->info.method,
                                      &request->info.path, &request->info.user_agent};
        fl_buffer_reserve(kept, parts[0].len + parts[1].len + parts[2].len + parts[3].len + 1);
        for (size_t i = 0; i < 4; i++) {
            if (parts[i].len == 0)
                continue;
            *targets[i] = fl_slice_of(kept->data + kept->len, parts[i].len);
            fl_buffer_append_slice(kept, parts[i]);
        }
    }
    return request;
}

void gw_request_free(struct gw_request **pointer)
{
    struct gw_request *request = *pointer;
    struct gateway *gateway = request->gateway;
    struct gw_api *api = &gateway->api;
    *pointer = NULL;
    gw_topic_release(&request->topic);
    fl_buffer_fini(&request->kept);
    api->request_count--;
    if (api->free_request_count < MOST_FREE_REQUESTS) {
        api->free_request_count++;
        fl_list_add_first(&api->free_requests, &request->link);
    } else {
        fl_free(request);
    }
    if (gateway->shutdown.phase != GW_RUNNING)
        net_loop_defer(gateway->loop, &api->stop_check);
}

/* --- heads --- */

/* Where a field goes, by its name; NULL for one that does not matter here. The length tells most
 * apart. */
static struct fl_slice *field_place(struct fl_slice name, struct gw_request_fields *fields)
{
    struct fl_slice wanted;
    struct fl_slice *place;
    switch (name.len) {
    case 6:
        wanted = FL_SLICE_LIT("origin"), place = &fields->origin;
        break;
    case 10:
        if (fl_ascii_lower(name.data[0]) == 'u')
            wanted = FL_SLICE_LIT("user-agent"), place = &fields->user_agent;
        else
            wanted = FL_SLICE_LIT("tracestate"), place = &fields->tracestate;
        break;
    case 11:
        if (fl_ascii_lower(name.data[0]) == 't')
            wanted = FL_SLICE_LIT("traceparent"), place = &fields->traceparent;
        else
            wanted = FL_SLICE_LIT("dapr-app-id"), place = &fields->app_id;
        break;
    case 12:
        wanted = FL_SLICE_LIT("content-type"), place = &fields->content_type;
        break;
    case 13:
        wanted = FL_SLICE_LIT("authorization"), place = &fields->authorization;
        break;
    case 14:
        wanted = FL_SLICE_LIT("dapr-api-token"), place = &fields->token;
        break;
    case 19:
        wanted = FL_SLICE_LIT("dapr-force-shutdown"), place = &fields->force_shutdown;
        break;
    case 29:
        wanted = FL_SLICE_LIT("access-control-request-method"),
        place = &fields->access_control_method;
        break;
    case 30:
        wanted = FL_SLICE_LIT("access-control-request-headers"),
        place = &fields->access_control_headers;
        break;
    default:
        return NULL;
    }
    return fl_slice_eq_nocase(name, wanted) ? place : NULL;
}

/* The first field of each name counts. */
static void collect_fields(const struct http_head *head, struct gw_request_fields *fields)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct fl_slice name = head->fields[i].name;
        struct fl_slice *place = field_place(name, fields);
        if (place && fl_slice_is_null(*place))
            *place = head->fields[i].value;
        else if (name.len == 5 && fl_slice_eq_nocase(name, FL_SLICE_LIT("ce-id")))
            fields->has_ce_id = true;
        else if (name.len == 7 && fl_slice_eq_nocase(name, FL_SLICE_LIT("baggage")))
            fields->has_baggage = true;
    }
}

static void begin_hand(struct gateway *gateway, struct http_exchange *exchange)
{
    struct gw_api_hand *hand = &gateway->api.hand;
    const struct http_head *head = http_exchange_head(exchange);
    gw_topic_release(&hand->topic);
    if (hand->arena.blocks)
        fl_arena_fini(&hand->arena);
    fl_buffer_clear(&hand->lines);
    hand->exchange = exchange;
    hand->head_at = head->method.data;
    hand->endpoint = GW_ENDPOINT_NONE;
    hand->pubsub_name = hand->topic_name = hand->key = hand->query = FL_SLICE_NULL;
    hand->fields = (struct gw_request_fields){0};
    hand->trace = (struct gw_trace_call){0};
    hand->info =
        (struct gw_call_info){.method = head->method, .started_ms = net_loop_now_ms(gateway->loop)};
    hand->info.request_bytes = head->content_length > 0 ? (size_t)head->content_length : 0;
    collect_fields(head, &hand->fields);
    if (gateway->api.logs_calls)
        hand->info.user_agent = hand->fields.user_agent;
}

/* --- middleware; each gives false when it answered --- */

void gw_api_join_baggage(struct http_exchange *exchange, struct fl_buffer *out)
{
    const struct http_head *head = http_exchange_head(exchange);
    for (size_t i = 0; i < head->field_count; i++) {
        if (!fl_slice_eq_nocase(head->fields[i].name, FL_SLICE_LIT("baggage")))
            continue;
        if (out->len)
            fl_buffer_append_byte(out, ',');
        fl_buffer_append_slice(out, head->fields[i].value);
    }
}

static bool append_baggage(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct fl_buffer all = {0};
    struct fl_error error;
    gw_api_join_baggage(hand->exchange, &all);
    bool is_good = ce_baggage_check(fl_buffer_slice(&all), &error) == FL_OK;
    if (is_good) {
        if (all.len)
            fl_buffer_printf(&hand->lines, "Baggage: %.*s\r\n",
                             FL_SLICE_ARG(fl_buffer_slice(&all)));
    } else {
        char text[600];
        snprintf(text, sizeof text, "invalid baggage header: %s\n", error.text);
        hand->info.fields = FL_SLICE_NULL;
        hand->info.is_unlogged = hand->info.is_uncounted = true;
        respond_error_text(gateway, hand, 400, text);
    }
    fl_buffer_fini(&all);
    return is_good;
}

static bool apply_trace(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct gw_api *api = &gateway->api;
    bool is_health = hand->topic ? hand->topic->has_health_path : is_health_path(hand->info.path);
    if (api->trace.mode == GW_TRACE_OFF || is_health)
        return true;
    gw_trace_request(&api->trace, hand->fields.traceparent, hand->fields.tracestate, &hand->trace);
    if (!hand->trace.has_context && !hand->fields.has_baggage) {
        hand->info.fields = zero_trace_line;
        return true;
    }
    fl_buffer_printf(&hand->lines, "Traceparent: %.*s\r\n", CE_TRACEPARENT_LEN,
                     hand->trace.has_context ? hand->trace.text : CE_TRACEPARENT_ZERO);
    if (hand->trace.takes_state)
        fl_buffer_printf(&hand->lines, "Tracestate: %.*s\r\n",
                         FL_SLICE_ARG(hand->fields.tracestate));
    bool goes_on = !hand->fields.has_baggage || append_baggage(gateway, hand);
    hand->info.fields = fl_buffer_slice(&hand->lines);
    return goes_on;
}

static bool apply_cors(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct fl_slice origins = gateway->flags->allowed_origins;
    if (origins.len == 0)
        return true;
    if (hand->lines.len == 0)
        fl_buffer_append_slice(&hand->lines, hand->info.fields);
    bool is_preflight = gw_cors_apply(origins, hand->info.method, &hand->fields, &hand->lines);
    hand->info.fields = fl_buffer_slice(&hand->lines);
    hand->info.is_unlogged = is_preflight;
    if (is_preflight)
        gw_api_respond(gateway, hand->exchange, &hand->info, 200, NULL, FL_SLICE_NULL,
                       FL_SLICE_NULL);
    return !is_preflight;
}

/* Compares in time that does not depend on where the texts differ. */
static bool is_same_secret(struct fl_slice a, struct fl_slice b)
{
    unsigned char difference = a.len != b.len;
    for (size_t i = 0; i < b.len; i++)
        difference |= (unsigned char)((i < a.len ? a.data[i] : 0) ^ b.data[i]);
    return difference == 0;
}

static bool check_token(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct gw_api *api = &gateway->api;
    if (api->token.len == 0 || hand->endpoint == GW_ENDPOINT_HEALTHZ ||
        hand->endpoint == GW_ENDPOINT_HEALTHZ_OUTBOUND ||
        is_same_secret(hand->fields.token, api->token))
        return true;
    hand->info.is_unlogged = true;
    respond_error_text(gateway, hand, 401, "invalid api token\n");
    return false;
}

/* --- what needs no body --- */

static void respond_health(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct fl_slice query = hand->query, app_id = FL_SLICE_NULL;
    if (!gateway->is_ready) {
        gw_api_fail_simple(
            gateway, hand->exchange, &hand->info, 500, "ERR_HEALTH_NOT_READY", "health",
            gateway->shutdown.phase == GW_BLOCKING ? "dapr is not ready: [security-provider]"
                                                   : "dapr is not ready: [runtime]");
        return;
    }
    while (query.len) {
        size_t end = fl_slice_find_byte(query, '&');
        struct fl_slice pair = fl_slice_of(query.data, end);
        end += end < query.len;
        query = fl_slice_of(query.data + end, query.len - end);
        size_t equals = fl_slice_find_byte(pair, '=');
        if (!fl_slice_eq_str(fl_slice_of(pair.data, equals), "appid") || !fl_slice_is_null(app_id))
            continue;
        struct fl_slice value = equals < pair.len
                                    ? fl_slice_of(pair.data + equals + 1, pair.len - equals - 1)
                                    : FL_SLICE_LIT("");
        if (!gw_query_decode(&hand->arena, value, &app_id))
            app_id = FL_SLICE_NULL;
    }
    if (!fl_slice_is_null(app_id) && !fl_slice_eq(app_id, gateway->flags->app_id)) {
        gw_api_fail_simple(gateway, hand->exchange, &hand->info, 500, "ERR_HEALTH_APPID_NOT_MATCH",
                           "health", "dapr app-id does not match");
        return;
    }
    gw_api_respond(gateway, hand->exchange, &hand->info, 204, NULL, FL_SLICE_NULL, FL_SLICE_NULL);
}

static void respond_outbound_health(struct gateway *gateway, struct gw_api_hand *hand)
{
    if (gateway->is_outbound_ready)
        gw_api_respond(gateway, hand->exchange, &hand->info, 204, NULL, FL_SLICE_NULL,
                       FL_SLICE_NULL);
    else
        gw_api_fail_simple(gateway, hand->exchange, &hand->info, 500,
                           "ERR_OUTBOUND_HEALTH_NOT_READY", "health", "dapr outbound is not ready");
}

static void respond_shutdown(struct gateway *gateway, struct gw_api_hand *hand)
{
    bool is_forced = fl_slice_eq_nocase(hand->fields.force_shutdown, FL_SLICE_LIT("true"));
    gw_api_respond(gateway, hand->exchange, &hand->info, 204, NULL, FL_SLICE_NULL, FL_SLICE_NULL);
    gw_shutdown_by_api(gateway, is_forced);
}

/* Where nothing falls through to service invocation: 405 when the path is known by another method.
 */
static void respond_not_found(struct gateway *gateway, struct gw_api_hand *hand, bool is_public)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
    struct fl_slice asked = hand->info.method;
    struct fl_buffer allowed = {0};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        hand->info.method = fl_slice_str(methods[i]);
        hand->endpoint = GW_ENDPOINT_NONE;
        gw_api_match(&gateway->api, hand, is_public);
        if (hand->endpoint != GW_ENDPOINT_NONE)
            fl_buffer_printf(&allowed, "Allow: %s\r\n", methods[i]);
    }
    hand->info.method = asked;
    hand->endpoint = GW_ENDPOINT_NONE;
    if (allowed.len)
        gw_api_respond(gateway, hand->exchange, &hand->info, 405, NULL, FL_SLICE_NULL,
                       fl_buffer_slice(&allowed));
    else
        respond_error_text(gateway, hand, 404, "404 page not found\n");
    fl_buffer_fini(&allowed);
}

/* daprd takes the request for a service invocation: without an application's name, or on one that
 * it does not know. */
static void respond_unknown(struct gateway *gateway, struct gw_api_hand *hand, bool is_public)
{
    if (is_public || !gateway->api.is_invoke_allowed) {
        respond_not_found(gateway, hand, is_public);
        return;
    }
    struct fl_slice app_id = gw_invoke_target(&hand->arena, &hand->fields, hand->info.path);
    bool has_id = !fl_slice_is_null(app_id);
    const char *message =
        has_id ? fl_arena_printf(&hand->arena,
                                 "failed to invoke, id: %.*s, err: couldn't find service: %.*s",
                                 FL_SLICE_ARG(app_id), FL_SLICE_ARG(app_id))
               : "failed getting app id either from the URL path or the header dapr-app-id";
    gw_api_fail_simple(gateway, hand->exchange, &hand->info, has_id ? 500 : 404,
                       "ERR_DIRECT_INVOKE", "service-invocation", message);
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

/* --- the three callbacks --- */

/* Finds the topic of a publish; false: answered. */
static bool find_topic(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice raw_path)
{
    struct gw_component *component = gw_component_find(gateway, hand->pubsub_name);
    if (!component) {
        respond_no_component(gateway, hand);
        return false;
    }
    hand->topic = gw_topic_new(gateway, component, hand->topic_name, hand->info.path);
    hand->topic->has_health_path = is_health_path(hand->info.path);
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
        respond_bad_target(gateway, hand);
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
            respond_bad_target(gateway, hand);
            return false;
        }
        hand->info.path = gw_path_clean(&hand->arena, raw_path);
        gw_api_match(api, hand, port->is_public);
        if (hand->endpoint == GW_ENDPOINT_CANCEL)
            hand->info.path.len = gw_api_last_slash(hand->info.path);
    }
    if (!apply_trace(gateway, hand))
        return false;
    if (!port->is_public && (!apply_cors(gateway, hand) || !check_token(gateway, hand)))
        return false;
    if (api->logs_calls && gateway->configuration.api_logging_obfuscates_urls)
        hand->info.log_name = log_name(hand);
    switch (hand->endpoint) {
    case GW_ENDPOINT_NONE:
        respond_unknown(gateway, hand, port->is_public);
        return false;
    case GW_ENDPOINT_HEALTHZ:
        respond_health(gateway, hand);
        return false;
    case GW_ENDPOINT_HEALTHZ_OUTBOUND:
        respond_outbound_health(gateway, hand);
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
    begin_hand(port->gateway, exchange);
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
    begin_hand(port->gateway, exchange);
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

static const struct http_handler api_handler = {
    .on_head = on_head, .on_request = on_request, .on_body_failed = on_body_failed};

/* --- listening --- */

/* Connections of publishers leave descriptors for those to the application and to brokers. */
static size_t most_connections(const struct gateway *gateway)
{
    size_t wanted = (size_t)gateway->flags->max_connections;
    size_t possible = gateway->most_descriptors / 4 * 3;
    if (wanted <= possible)
        return wanted;
    FL_WARN(gateway->log, SCOPE,
            "at most %zu connections are accepted at once, not %zu: the limit of open files is %zu",
            possible, wanted, gateway->most_descriptors);
    return possible;
}

static struct http_server *make_server(struct gateway *gateway, struct gw_port *port)
{
    struct http_server_settings settings = http_server_defaults();
    settings.loop = gateway->loop;
    settings.budget = &gateway->budget;
    settings.handler = &api_handler;
    settings.context = port;
    settings.most_head_bytes = (size_t)gateway->flags->read_buffer_bytes + 4096;
    settings.most_connections = most_connections(gateway);
    settings.body_wait_ms =
        gateway->flags->publish_wait_ms > 0 ? gateway->flags->publish_wait_ms : 1;
    settings.quiet = &gateway->api.stop_check;
    return http_server_new(&settings);
}

static void on_stop_check(struct net_task *task)
{
    struct gw_api *api = FL_CONTAINER(task, struct gw_api, stop_check);
    gw_shutdown_check(api->main.gateway);
}

void gw_api_init(struct gateway *gateway)
{
    struct gw_api *api = &gateway->api;
    const struct config_flags *flags = gateway->flags;
    const struct config_configuration *configuration = &gateway->configuration;
    api->main = (struct gw_port){.gateway = gateway};
    api->public = (struct gw_port){.gateway = gateway, .is_public = true};
    api->token = fl_slice_str(getenv("DAPR_API_TOKEN"));
    api->most_body_bytes = flags->max_body_bytes > 0 ? (uint64_t)flags->max_body_bytes : UINT64_MAX;
    api->logs_calls = flags->api_logging == CONFIG_UNSET
                          ? configuration->has_api_logging && configuration->api_logging
                          : flags->api_logging == CONFIG_TRUE;
    api->is_publish_allowed = config_api_is_allowed(configuration, "v1.0", "publish");
    api->is_alpha_publish_allowed = config_api_is_allowed(configuration, "v1.0-alpha1", "publish");
    api->is_bindings_allowed = config_api_is_allowed(configuration, "v1.0", "bindings");
    api->is_metadata_allowed = config_api_is_allowed(configuration, "v1.0", "metadata");
    api->is_shutdown_allowed = config_api_is_allowed(configuration, "v1.0", "shutdown");
    api->is_invoke_allowed = config_api_is_allowed(configuration, "v1.0", "invoke");
    api->stop_check.run = on_stop_check;
    api->request_bytes = gw_metrics_histogram(gateway->metrics, GW_HTTP_SERVER_REQUEST_BYTES, NULL);
    api->response_bytes =
        gw_metrics_histogram(gateway->metrics, GW_HTTP_SERVER_RESPONSE_BYTES, NULL);
    fl_list_init(&api->free_requests);
    fl_list_init(&api->waiting_bindings);
    gw_trace_init(&api->trace, &configuration->tracing);
    api->main.server = make_server(gateway, &api->main);
}

static void warn_beyond_loopback(struct gateway *gateway, struct fl_slice address)
{
    bool is_loopback =
        fl_slice_starts_with(address, FL_SLICE_LIT("127.")) || fl_slice_eq_str(address, "::1");
    if (!is_loopback && gateway->api.token.len == 0)
        FL_WARN(gateway->log, SCOPE,
                "the API is reachable beyond this machine and needs no token: set "
                "--dapr-listen-addresses "
                "127.0.0.1 or the environment variable DAPR_API_TOKEN");
}

static enum fl_err listen_tcp(struct gateway *gateway, struct fl_error *error)
{
    const struct config_flags *flags = gateway->flags;
    struct fl_slice everywhere = FL_SLICE_LIT("");
    struct config_list one = {&everywhere, 1};
    const struct config_list *list =
        flags->listen_addresses.count ? &flags->listen_addresses : &one;
    enum fl_err err = FL_ERR_SYSTEM;
    for (size_t i = 0; i < list->count; i++) {
        struct fl_error failure;
        enum fl_err one_err =
            http_server_listen(gateway->api.main.server, list->items[i].data, flags->http_port,
                               flags->reuse_port, NULL, &failure);
        if (one_err) {
            FL_DEBUG(gateway->log, SCOPE, "%s", failure.text);
            *error = failure;
            continue;
        }
        err = FL_OK;
        FL_INFO(gateway->log, SCOPE, "HTTP server listening on TCP address: %.*s:%u",
                FL_SLICE_ARG(list->items[i]), flags->http_port);
        warn_beyond_loopback(gateway, list->items[i]);
    }
    return err;
}

static enum fl_err listen_unix(struct gateway *gateway, struct fl_error *error)
{
    const struct config_flags *flags = gateway->flags;
    char path[512];
    mkdir(flags->unix_domain_socket.data, 0755);
    snprintf(path, sizeof path, "%.*s/dapr-%.*s-http.socket",
             FL_SLICE_ARG(flags->unix_domain_socket), FL_SLICE_ARG(flags->app_id));
    enum fl_err err = http_server_listen_unix(gateway->api.main.server, path, error);
    if (!err)
        FL_INFO(gateway->log, SCOPE, "HTTP server listening on UNIX socket: %s", path);
    return err;
}

static void start_public(struct gateway *gateway)
{
    const struct config_flags *flags = gateway->flags;
    struct fl_error error;
    if (!flags->public_port)
        return;
    gateway->api.public.server = make_server(gateway, &gateway->api.public);
    if (http_server_listen(gateway->api.public.server,
                           flags->public_listen_address.len ? flags->public_listen_address.data
                                                            : "",
                           flags->public_port, flags->reuse_port, NULL, &error))
        gateway_fail(gateway, "failed to start public HTTP server: %s", error.text);
    else
        FL_INFO(gateway->log, SCOPE, "HTTP server is running on public port %u",
                flags->public_port);
}

static void try_listen(struct gateway *gateway)
{
    const struct config_flags *flags = gateway->flags;
    struct fl_error error;
    bool is_unix = flags->unix_domain_socket.len > 0;
    enum fl_err err = is_unix ? listen_unix(gateway, &error) : listen_tcp(gateway, &error);
    if (!err) {
        FL_INFO(gateway->log, SCOPE, "HTTP server is running on port %u", flags->http_port);
        FL_INFO(gateway->log, SCOPE, "The request body size parameter is: %lld bytes",
                (long long)flags->max_body_bytes);
        start_public(gateway);
        gateway_on_listening(gateway);
        return;
    }
    if (error.class == FL_CLASS_RETRY &&
        net_loop_now_ms(gateway->loop) < gateway->api.listen_until_ms) {
        net_timer_start(gateway->loop, &gateway->api.listen_timer,
                        net_loop_now_ms(gateway->loop) + LISTEN_RETRY_MS);
        return;
    }
    gateway_fail(gateway, "failed to start HTTP server: could not listen on any endpoint: %s",
                 error.text);
}

static void on_listen_timer(struct net_timer *timer)
{
    try_listen(FL_CONTAINER(timer, struct gw_api, listen_timer)->main.gateway);
}

void gw_api_start(struct gateway *gateway)
{
    gateway->api.listen_timer.expired = on_listen_timer;
    gateway->api.listen_until_ms = net_loop_now_ms(gateway->loop) + LISTEN_TOTAL_MS;
    try_listen(gateway);
}

void gw_api_stop(struct gateway *gateway)
{
    net_timer_stop(gateway->loop, &gateway->api.listen_timer);
    gw_api_bindings_stop(gateway);
    http_server_stop(gateway->api.main.server);
    if (gateway->api.public.server)
        http_server_stop(gateway->api.public.server);
}

bool gw_api_is_quiet(const struct gateway *gateway)
{
    return gateway->api.request_count == 0 && http_server_busy_count(gateway->api.main.server) == 0;
}

void gw_api_fini(struct gateway *gateway)
{
    struct gw_api *api = &gateway->api;
    if (!api->main.gateway)
        return;
    net_timer_stop(gateway->loop, &api->listen_timer);
    http_server_free(&api->main.server);
    http_server_free(&api->public.server);
    net_loop_cancel(gateway->loop, &api->stop_check);
    gw_topic_release(&api->hand.topic);
    fl_arena_fini(&api->hand.arena);
    fl_buffer_fini(&api->hand.lines);
    for (struct fl_list *first; (first = fl_list_first(&api->free_requests));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct gw_request, link));
    }
    uint32_t at = 0;
    void *value;
    while (fl_map_next(&api->extended, &at, NULL, &value))
        fl_free(value);
    fl_map_fini(&api->extended);
}
