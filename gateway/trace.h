/* What this process does with W3C trace context (daprd's three configurations).
 *
 * Thread: the loop's.
 */
#ifndef GW_TRACE_H
#define GW_TRACE_H

#include "cloudevents/event.h"
#include "cloudevents/trace_context.h"

struct config_tracing;

enum gw_trace_mode {
    GW_TRACE_OFF,   /* samplingRate 0: no headers, nothing taken over */
    GW_TRACE_PASS,  /* neither a sampling rate nor an exporter: the caller's context passes through
                     */
    GW_TRACE_SPANS, /* every API call and every delivery is a span of its own */
};

struct gw_trace {
    enum gw_trace_mode mode;
    double ratio;
};

void gw_trace_init(struct gw_trace *trace, const struct config_tracing *config);

/* The context of one API call. `parent` and `state` are the request's headers or null. Fills the
 * text for the response and for the envelope (empty when there is none: `has_context` is false) and
 * whether the tracestate is taken over. */
struct gw_trace_call {
    bool has_context;
    bool takes_state;
    char text[CE_TRACEPARENT_LEN];
};
void gw_trace_request(const struct gw_trace *trace, struct fl_slice parent, struct fl_slice state,
                      struct gw_trace_call *call);

/* The traceparent header of a delivery of `event`: its length (CE_TRACEPARENT_LEN), or 0 for no
 * header. */
size_t gw_trace_delivery(const struct gw_trace *trace, const struct ce_event *event,
                         char out[CE_TRACEPARENT_LEN]);

#endif
