/* What a request passes before its endpoint, in daprd's order: tracing with baggage, CORS, token.
 * Each step may add to the lines that the answer carries; each gives false when it answered. */
#include <stdio.h>

#include "gateway/api_cors.h"
#include "gateway/api_priv.h"
#include "gateway/gateway.h"
#include "gateway/topic.h"

const struct fl_slice gw_api_zero_trace_line =
    FL_SLICE_LIT("Traceparent: " CE_TRACEPARENT_ZERO "\r\n");

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
        gw_api_respond_text(gateway, hand, 400, text);
    }
    fl_buffer_fini(&all);
    return is_good;
}

static bool apply_trace(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct gw_api *api = &gateway->api;
    bool is_health =
        hand->topic ? hand->topic->has_health_path : gw_api_is_health_path(hand->info.path);
    if (api->trace.mode == GW_TRACE_OFF || is_health)
        return true;
    gw_trace_request(&api->trace, hand->fields.traceparent, hand->fields.tracestate, &hand->trace);
    if (!hand->trace.has_context && !hand->fields.has_baggage) {
        hand->info.fields = gw_api_zero_trace_line;
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
    gw_api_respond_text(gateway, hand, 401, "invalid api token\n");
    return false;
}

bool gw_api_middleware_pass(const struct gw_port *port, struct gw_api_hand *hand)
{
    struct gateway *gateway = port->gateway;
    return apply_trace(gateway, hand) &&
           (port->is_public || (apply_cors(gateway, hand) && check_token(gateway, hand)));
}
