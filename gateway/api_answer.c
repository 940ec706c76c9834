/* Answers of the API, which metrics count and, if asked for, the log shows.
 *
 * A plain publish is counted in the series that its topic holds, without looking for them.
 */
#include <stdio.h>

#include "gateway/api_priv.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/topic.h"

static const char text_plain[] = "text/plain; charset=utf-8";

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

bool gw_api_is_health_path(struct fl_slice path)
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
        !(gateway->configuration.api_logging_omits_health && gw_api_is_health_path(info->path)))
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

void gw_api_respond_bad_target(struct gateway *gateway, struct gw_api_hand *hand)
{
    hand->info.is_unlogged = hand->info.is_uncounted = true;
    gw_api_respond(gateway, hand->exchange, &hand->info, 400, text_plain,
                   FL_SLICE_LIT("400 Bad Request"), FL_SLICE_NULL);
}

void gw_api_respond_text(struct gateway *gateway, struct gw_api_hand *hand, int status,
                         const char *text)
{
    gw_api_respond(gateway, hand->exchange, &hand->info, status, text_plain, fl_slice_str(text),
                   FL_SLICE_LIT("X-Content-Type-Options: nosniff\r\n"));
}
