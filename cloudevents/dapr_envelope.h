/* What daprd does to a published body, and what it asks of an event before it is delivered.
 *
 * An envelope is spliced from its parts straight into the event's one allocation; the places of the
 * attributes are noted on the way, so nothing is scanned twice. Arguments are borrowed; what the
 * event keeps is copied. Times are seconds or nanoseconds of the wall clock since 1970.
 *
 * Thread: any (a budget is charged on the loop only).
 */
#ifndef CE_DAPR_ENVELOPE_H
#define CE_DAPR_ENVELOPE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "cloudevents/body_kind.h"
#include "cloudevents/event.h"
#include "cloudevents/publish_metadata.h"
#include "cloudevents/trace_context.h"

struct ce_dapr_envelope {
    struct fl_slice body;
    struct fl_slice content_type; /* as the publisher wrote it; null or empty: text/plain */
    struct fl_slice app_id;       /* the source, unless overridden */
    struct fl_slice topic, pubsubname;
    struct fl_slice traceparent, tracestate; /* the request's; empty when there is no trace */
    struct ce_publish_metadata given;        /* overrides and time to live; zeroed: none */
    bool keeps_no_expiration; /* the connector has a TTL of its own: write no expiration */
    const struct ce_metadata *metadata; /* kept with the event for the broker */
    size_t metadata_count;
    struct fl_slice broker_content_type; /* the event's content_type; may be null */
    struct fl_budget *budget;            /* may be NULL; charged without asking */
};

/* Wraps a body that is no CloudEvent (every kind but CE_BODY_EVENT; a batch becomes text).
 * FL_ERR_NO_MEMORY, FL_ERR_TOO_LARGE (4 GiB). The event has one reference. */
enum fl_err ce_dapr_envelope_new(const struct ce_dapr_envelope *in, struct fl_error *error,
                                 struct ce_event **event) FL_MUST_USE;

/* Adopts a body that is a CloudEvent in the JSON format: keeps every member, sets topic and
 * pubsubname, and what is missing; the overrides in `given` do not apply. Members come out sorted,
 * the last of equal names. FL_ERR_INVALID: the first JSON value of the body is no object.
 * FL_ERR_NO_MEMORY; FL_ERR_TOO_LARGE: more than 65,536 members, or 4 GiB. */
enum fl_err ce_dapr_adopt_new(const struct ce_dapr_envelope *in, struct fl_error *error,
                              struct ce_event **event) FL_MUST_USE;

/* The event that a subscription with rawPayload=true receives: the stored bytes as data_base64, the
 * trace members of the stored event's metadata. A new event without metadata, one reference.
 * FL_ERR_NO_MEMORY, FL_ERR_TOO_LARGE. */
enum fl_err ce_dapr_raw_new(const struct ce_event *stored, struct fl_slice topic,
                            struct fl_slice pubsubname, struct fl_budget *budget,
                            struct ce_event **event) FL_MUST_USE;

/* True when the event's `expiration` is a time in the past; anything unreadable is not expired. */
bool ce_event_is_expired(const struct ce_event *event, int64_t now_wall_ns);

/* The trace that an event carries: its traceparent, or its traceid when it has no traceparent at
 * all. */
enum ce_event_trace {
    CE_TRACE_ABSENT,  /* neither member, or null: send no header */
    CE_TRACE_INVALID, /* "", unreadable, or no string: send CE_TRACEPARENT_ZERO */
    CE_TRACE_VALID,
};

/* Fills `trace` when CE_TRACE_VALID. */
enum ce_event_trace ce_event_traceparent(const struct ce_event *event, struct ce_trace *trace);

#endif
