/* W3C trace context and baggage, as daprd takes and makes them.
 *
 * Thread: any.
 */
#ifndef CE_TRACE_CONTEXT_H
#define CE_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define CE_TRACEPARENT_LEN 55
/* What daprd sends where there is no trace. */
#define CE_TRACEPARENT_ZERO "00-00000000000000000000000000000000-0000000000000000-00"
/* A longer tracestate is not passed on. */
#define CE_TRACESTATE_MAX 512

struct ce_trace {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags; /* bit 0: sampled */
};

/* Reads a traceparent: lower-case hex, versions 00 to fe (00 with exactly four parts), ids not all
 * zero. What is written back is always version 00. */
bool ce_trace_parse(struct fl_slice text, struct ce_trace *trace);

/* Writes CE_TRACEPARENT_LEN characters and no NUL. */
void ce_trace_format(const struct ce_trace *trace, char out[CE_TRACEPARENT_LEN]);

/* A span below `parent`: the same trace, a new span id, the parent's flags with its sampling
 * decision. */
void ce_trace_child(const struct ce_trace *parent, struct ce_trace *child);

/* The first span of a new trace, sampled for this part (0 to 1) of all trace ids. */
void ce_trace_root(double ratio, struct ce_trace *root);

/* True for a tracestate that is passed on: at most CE_TRACESTATE_MAX bytes and 32 members of the
 * form key=value, no key twice. The empty text is not. */
bool ce_tracestate_is_valid(struct fl_slice text);

/* Checks one baggage header (several are joined with ','). The empty text is valid. FL_ERR_INVALID
 * with the E of daprd's "invalid baggage header: E" as the text. */
enum fl_err ce_baggage_check(struct fl_slice text, struct fl_error *error) FL_MUST_USE;

#endif
