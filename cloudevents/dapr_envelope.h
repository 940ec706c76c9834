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
#include "cloudevents/event.h"
#include "cloudevents/trace_context.h"

/* What a publish body of a content type becomes. */
enum ce_body_kind {
    CE_BODY_TEXT,  /* a string; also the answer for a null content type */
    CE_BODY_JSON,  /* a JSON value, or a string when it is not valid */
    CE_BODY_BYTES, /* data_base64 */
    CE_BODY_EVENT, /* application/cloudevents+json: adopted */
    CE_BODY_BATCH, /* application/cloudevents-batch+json: Fairlead takes it apart, Dapr makes a
                      string of it */
};

/* The body is looked at for application/x-protobuf only. */
enum ce_body_kind ce_body_kind_of(struct fl_slice content_type, struct fl_slice body);

/* What `event` of a bulk entry must be, by the entry's content type. */
enum ce_bulk_kind {
    CE_BULK_MISMATCH, /* no such type: daprd's "mismatch between contentType and event" */
    CE_BULK_TEXT,     /* a JSON string: its UTF-8 */
    CE_BULK_BYTES,    /* a JSON string of base64 (CR and LF skipped) */
    CE_BULK_JSON,     /* any value, rewritten */
    CE_BULK_EVENT,    /* the same, then adopted */
};

enum ce_bulk_kind ce_bulk_kind_of(struct fl_slice content_type);

/* The metadata of a publish request that the envelope depends on. Slices are borrowed from the
 * metadata; null or empty means not given. */
struct ce_publish_metadata {
    struct fl_slice id, source, type, subject, traceid, traceparent, tracestate; /* cloudevent.* */
    bool has_ttl;
    int64_t ttl_ns; /* 0 or less: expired at once */
};

/* Reads the overrides and the time to live; keys in any case, an exact spelling before another. */
void ce_publish_metadata_read(const struct ce_metadata *metadata, size_t count,
                              struct ce_publish_metadata *out);

/* The value of the metadata key `rawPayload` (case matters): 1 t T TRUE true True and 0 f F FALSE
 * false False and empty. Without the key *is_raw is false. FL_ERR_INVALID for another value, which
 * is stored in *bad (may be NULL). */
enum fl_err ce_metadata_raw_payload(const struct ce_metadata *metadata, size_t count, bool *is_raw,
                                    struct fl_slice *bad) FL_MUST_USE;

/* The value of a metadata key, compared exactly; the null slice when it is not there. */
struct fl_slice ce_metadata_find(const struct ce_metadata *metadata, size_t count,
                                 struct fl_slice key);

/* A Go duration ("1m30s") or whole seconds. False: unparseable, or seconds of 0 or less other than
 * "0",
 * "-0" and "+0". Seconds past the 64-bit nanosecond range wrap around. */
bool ce_ttl_parse(struct fl_slice text, int64_t *ttl_ns);

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
