/* A CloudEvent as Fairlead carries it: one allocation, immutable, counted.
 *
 * An event is what a broker stores (`body`), the metadata that its publisher gave beside it, and
 * the places of the attributes inside the body, found once. Most bodies are a CloudEvent in the
 * JSON format
 * ("structured"); a raw publish is any bytes at all. One event fans out to many subscriptions, so
 * it is the one thing here that is counted by references.
 *
 * The bytes of the body never change after construction. The allocation is charged to a budget, if
 * one was given, until the last reference is gone.
 *
 * Thread: construction on any thread; holding and releasing only on the loop's.
 */
#ifndef CE_EVENT_H
#define CE_EVENT_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct fl_budget;

/* Attributes whose places are kept. The order is the order in `struct ce_event`. */
enum ce_attribute {
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_SPECVERSION,
    CE_DATACONTENTTYPE,
    CE_SUBJECT,
    CE_TIME,
    CE_TOPIC,
    CE_PUBSUBNAME,
    CE_TRACEID,
    CE_TRACEPARENT,
    CE_TRACESTATE,
    CE_EXPIRATION,
    CE_DATA,
    CE_DATA_BASE64,
    CE_ATTRIBUTE_COUNT,
};

enum ce_event_flag {
    CE_EVENT_STRUCTURED = 1 << 0, /* the body is one JSON object and nothing after it */
    CE_EVENT_NULL = 1 << 1, /* the body is the JSON value null, which daprd takes for an event */
    /* Structured, but a number is beyond any double: daprd cannot read it. */
    CE_EVENT_HUGE_NUMBER = 1 << 2,
    /* The publisher gave no metadata at all, which a bulk subscriber sees as null instead of {}. */
    CE_EVENT_WITHOUT_METADATA = 1 << 3,
};

/* The JSON text of a member's value inside the body; `len` 0 = absent. */
struct ce_span {
    uint32_t at, len;
};

/* One pair of the publisher's metadata ("metadata.<key>" of the publish request; headers on a
 * broker). */
struct ce_metadata {
    struct fl_slice key, value;
};

struct ce_event {
    uint32_t references;
    uint32_t flags; /* of enum ce_event_flag */
    struct fl_budget *budget;
    size_t charged_bytes;
    struct fl_slice body;
    struct fl_slice content_type; /* the broker's content type of the body, or null */
    const struct ce_metadata *metadata;
    size_t metadata_count;
    struct ce_span spans[CE_ATTRIBUTE_COUNT];
};

/* Returns `event` with a reference more. */
static inline struct ce_event *ce_event_hold(struct ce_event *event)
{
    event->references++;
    return event;
}

/* Gives up one reference and sets the pointer to NULL; NULL inside is accepted. */
void ce_event_release(struct ce_event **event);

/* The JSON text of an attribute's value (a string keeps its quotes); the null slice when absent.
 * Borrowed. */
static inline struct fl_slice ce_event_json(const struct ce_event *event,
                                            enum ce_attribute attribute)
{
    struct ce_span span = event->spans[attribute];
    return span.len ? fl_slice_of(event->body.data + span.at, span.len) : FL_SLICE_NULL;
}

/* Any top-level member by its name, extensions included: its JSON text, or the null slice. Scans
 * the body for names that have no place of their own. Borrowed. */
struct fl_slice ce_event_member(const struct ce_event *event, struct fl_slice name);

/* Makes an event of bytes as they came from a broker or a raw publish: copies body, content type
 * and metadata and looks for the attributes. `content_type` may be null. Never fails for the
 * content: bytes that are no JSON object give an event without CE_EVENT_STRUCTURED. The bytes of
 * the whole allocation are charged (without asking) to `budget`, which may be NULL.
 * FL_ERR_NO_MEMORY, FL_ERR_TOO_LARGE (4 GiB). The new event has one reference, the caller's. */
enum fl_err ce_event_new(struct fl_slice body, struct fl_slice content_type,
                         const struct ce_metadata *metadata, size_t metadata_count,
                         struct fl_budget *budget, struct ce_event **event) FL_MUST_USE;

#endif
