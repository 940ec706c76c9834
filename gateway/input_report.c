/* Figures and log lines of input bindings; see the header. Events are few beside deliveries, so
 * their series are looked up each time. */
#include "gateway/input_report.h"

#include <stdio.h>

#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"

#define SCOPE "dapr.runtime.processor.binding"

enum { MOST_SHOWN_BYTES = 100, WARN_INTERVAL_MS = 60000 };

void gw_input_count(const struct gw_input *input, bool is_accepted, int64_t elapsed_ms)
{
    struct gw_metrics *metrics = input->gateway->metrics;
    struct fl_slice labels[] = {input->component->name,
                                is_accepted ? FL_SLICE_LIT("true") : FL_SLICE_LIT("false")};
    gw_counter_add(gw_metrics_counter(metrics, GW_INPUT_BINDING_COUNT, labels), 1);
    if (elapsed_ms > 0)
        gw_histogram_add(gw_metrics_histogram(metrics, GW_INPUT_BINDING_LATENCIES, labels),
                         (uint64_t)elapsed_ms);
}

void gw_input_count_call(const struct gw_input *input, const struct http_result *result,
                         int64_t elapsed_ms)
{
    struct gw_metrics *metrics = input->gateway->metrics;
    struct fl_slice method = gw_metrics_http_method(metrics, FL_SLICE_LIT("POST"));
    struct fl_slice path = gw_metrics_http_client_path(metrics, input->path);
    struct fl_slice labels[] = {method, path, gw_metrics_http_status((unsigned)result->status)};
    struct fl_slice sent[] = {method, path, FL_SLICE_LIT("")};
    if (result->code)
        return;
    gw_counter_add(gw_metrics_counter(metrics, GW_HTTP_CLIENT_COMPLETED_COUNT, labels), 1);
    gw_histogram_add(gw_metrics_histogram(metrics, GW_HTTP_CLIENT_ROUNDTRIP_LATENCY, labels),
                     (uint64_t)elapsed_ms);
    gw_histogram_add(gw_metrics_histogram(metrics, GW_HTTP_CLIENT_SENT_BYTES, sent), 0);
    gw_histogram_add(input->gateway->subscriptions.received_bytes, result->body.len);
}

void gw_input_failure_text(const struct http_result *result, char text[GW_INPUT_FAILURE_BYTES])
{
    size_t shown = result->body.len < MOST_SHOWN_BYTES ? result->body.len : MOST_SHOWN_BYTES;
    if (result->code)
        snprintf(text, GW_INPUT_FAILURE_BYTES, "error invoking app: %s", result->text);
    else if (result->status >= 200 && result->status < 300)
        snprintf(text, GW_INPUT_FAILURE_BYTES,
                 "error invoking app: response object is nil (status %d, and with a retry policy "
                 "only 200 is success)",
                 result->status);
    else
        snprintf(text, GW_INPUT_FAILURE_BYTES,
                 "error invoking app: fails to send binding event to http app channel, status "
                 "code: %d body: %.*s",
                 result->status, (int)shown, result->body.data ? result->body.data : "");
}

void gw_input_say_failure(struct gw_input *input, const char *why)
{
    int64_t now = net_loop_now_ms(input->gateway->loop);
    FL_DEBUG(input->gateway->log, SCOPE, "error from app consumer for binding [%.*s]: %s",
             FL_SLICE_ARG(input->component->name), why);
    if (input->warned_ms && now - input->warned_ms < WARN_INTERVAL_MS)
        return;
    input->warned_ms = now;
    FL_WARN(input->gateway->log, SCOPE, "events of input binding %.*s fail: %s",
            FL_SLICE_ARG(input->component->name), why);
}
