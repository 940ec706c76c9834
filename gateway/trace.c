/* Trace context through the gateway; see the header. */
#include "gateway/trace.h"

#include <string.h>

#include "cloudevents/dapr_envelope.h"
#include "config/configuration.h"

void gw_trace_init(struct gw_trace *trace, const struct config_tracing *config)
{
    bool exports = config->has_stdout || config->zipkin_endpoint.len || config->otel_endpoint.len;
    trace->ratio = config->sampling_rate;
    if (config->has_sampling_rate && config->sampling_rate == 0)
        trace->mode = GW_TRACE_OFF;
    else
        trace->mode = config->has_sampling_rate || exports ? GW_TRACE_SPANS : GW_TRACE_PASS;
}

void gw_trace_request(const struct gw_trace *trace, struct fl_slice parent, struct fl_slice state,
                      struct gw_trace_call *call)
{
    struct ce_trace above, own;
    call->has_context = call->takes_state = false;
    if (trace->mode == GW_TRACE_OFF)
        return;
    bool has_parent = parent.len && ce_trace_parse(parent, &above);
    call->takes_state = has_parent && ce_tracestate_is_valid(state);
    if (trace->mode == GW_TRACE_PASS) {
        call->has_context = has_parent;
        if (has_parent)
            ce_trace_format(&above, call->text);
        return;
    }
    if (has_parent)
        ce_trace_child(&above, &own);
    else
        ce_trace_root(trace->ratio, &own);
    ce_trace_format(&own, call->text);
    call->has_context = true;
}

size_t gw_trace_delivery(const struct gw_trace *trace, const struct ce_event *event,
                         char out[CE_TRACEPARENT_LEN])
{
    struct ce_trace above, own;
    if (trace->mode == GW_TRACE_OFF)
        return 0;
    switch (ce_event_traceparent(event, &above)) {
    case CE_TRACE_ABSENT:
        return 0;
    case CE_TRACE_INVALID:
        if (trace->mode == GW_TRACE_PASS) {
            memcpy(out, CE_TRACEPARENT_ZERO, CE_TRACEPARENT_LEN);
            return CE_TRACEPARENT_LEN;
        }
        ce_trace_root(trace->ratio, &own);
        break;
    case CE_TRACE_VALID:
        if (trace->mode == GW_TRACE_SPANS)
            ce_trace_child(&above, &own);
        else
            own = above;
        break;
    }
    ce_trace_format(&own, out);
    return CE_TRACEPARENT_LEN;
}
