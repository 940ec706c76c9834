/* Error bodies; see the header. */
#include "gateway/api_error.h"

#include "cloudevents/json_write.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"

static void append_member(struct fl_buffer *out, const char *key, struct fl_slice value)
{
    ce_json_append_key(out, key);
    ce_json_append_string(out, value);
}

static void append_resource(struct fl_buffer *out, const struct gw_api_error *error)
{
    fl_buffer_append_byte(out, '{');
    append_member(out, "@type", FL_SLICE_LIT("type.googleapis.com/google.rpc.ResourceInfo"));
    append_member(out, "description", error->message);
    append_member(out, "owner", FL_SLICE_LIT(""));
    append_member(out, "resource_name", error->resource);
    append_member(out, "resource_type", FL_SLICE_LIT("pubsub"));
    fl_buffer_append_str(out, "},");
}

static void append_info(struct fl_buffer *out, const struct gw_api_error *error)
{
    const struct ce_metadata *map = error->map ? error->map : error->pairs;
    size_t count = error->map ? error->map_count : error->pair_count;
    fl_buffer_append_byte(out, '{');
    append_member(out, "@type", FL_SLICE_LIT("type.googleapis.com/google.rpc.ErrorInfo"));
    append_member(out, "domain", FL_SLICE_LIT("dapr.io"));
    ce_json_append_key(out, "metadata");
    fl_buffer_append_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i)
            fl_buffer_append_byte(out, ',');
        ce_json_append_string(out, map[i].key);
        fl_buffer_append_byte(out, ':');
        ce_json_append_string(out, map[i].value);
    }
    fl_buffer_append_byte(out, '}');
    append_member(out, "reason", fl_slice_str(error->reason));
    fl_buffer_append_byte(out, '}');
}

static void append_body(struct fl_buffer *out, const struct gw_api_error *error)
{
    fl_buffer_append_byte(out, '{');
    append_member(out, "errorCode", fl_slice_str(error->code));
    append_member(out, "message", error->message);
    if (error->reason) {
        ce_json_append_key(out, "details");
        fl_buffer_append_byte(out, '[');
        if (!fl_slice_is_null(error->resource))
            append_resource(out, error);
        append_info(out, error);
        fl_buffer_append_byte(out, ']');
    }
    fl_buffer_append_byte(out, '}');
}

void gw_api_fail(struct gateway *gateway, struct http_exchange *exchange,
                 const struct gw_call_info *info, const struct gw_api_error *error)
{
    struct fl_buffer body = {0};
    struct fl_buffer extra = {0};
    if (error->retry_after_s)
        fl_buffer_printf(&extra, "Retry-After: %d\r\n", error->retry_after_s);
    fl_buffer_append_slice(&extra, error->extra);
    struct fl_slice labels[] = {fl_slice_str(error->category), fl_slice_str(error->code)};
    gw_counter_add(gw_metrics_counter(gateway->metrics, GW_ERROR_CODE_TOTAL, labels), 1);
    append_body(&body, error);
    gw_api_respond(gateway, exchange, info, error->status, "application/json",
                   fl_buffer_slice(&body), fl_buffer_slice(&extra));
    fl_buffer_fini(&extra);
    fl_buffer_fini(&body);
}

void gw_api_fail_simple(struct gateway *gateway, struct http_exchange *exchange,
                        const struct gw_call_info *info, int status, const char *code,
                        const char *category, const char *message)
{
    struct gw_api_error error = {
        .status = status, .code = code, .category = category, .message = fl_slice_str(message)};
    gw_api_fail(gateway, exchange, info, &error);
}

bool gw_api_fail_framing(struct gateway *gateway, struct gw_api_hand *hand,
                         enum http_body_failure why)
{
    static const char text_plain[] = "text/plain; charset=utf-8";
    if (why == HTTP_BODY_BAD_CHUNK)
        gw_api_respond(gateway, hand->exchange, &hand->info, 400, text_plain,
                       FL_SLICE_LIT("400 Bad Request: malformed chunked encoding"), FL_SLICE_NULL);
    else if (why == HTTP_BODY_TIMED_OUT)
        gw_api_respond(gateway, hand->exchange, &hand->info, 408, text_plain,
                       FL_SLICE_LIT("408 Request Timeout"), FL_SLICE_NULL);
    return why == HTTP_BODY_BAD_CHUNK || why == HTTP_BODY_TIMED_OUT;
}
