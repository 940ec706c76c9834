/* What daprd makes of a body, by its content type.
 *
 * Types compare without case, and are equal to the name or followed directly by `;`.
 *
 * Thread: any.
 */
#ifndef CE_BODY_KIND_H
#define CE_BODY_KIND_H

#include "base/slice.h"

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

#endif
