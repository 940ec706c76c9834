/* The JSON event format of one event ("structured"): strict validation, and its data as bytes.
 *
 * What Dapr's applications publish is only adopted (see dapr_envelope.h); the strict rules are for
 * batch and binary mode.
 *
 * Thread: any.
 */
#ifndef CE_STRUCTURED_H
#define CE_STRUCTURED_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "cloudevents/event.h"

/* Checks the text of one event against CloudEvents 1.0.2: one JSON object and nothing after it, the
 * required attributes, names, types and values, no attribute twice, one of data and data_base64 at
 * most. FL_ERR_INVALID with the reason (class reject); FL_ERR_NO_MEMORY for a very long attribute.
 */
enum fl_err ce_structured_check(struct fl_slice json, struct fl_error *error) FL_MUST_USE;

enum ce_data_kind {
    CE_DATA_KIND_NONE,  /* the event has no data */
    CE_DATA_KIND_JSON,  /* JSON text */
    CE_DATA_KIND_TEXT,  /* the text itself, UTF-8 */
    CE_DATA_KIND_BYTES, /* from data_base64 */
};

struct ce_data {
    enum ce_data_kind kind;
    struct fl_slice bytes;
    /* The datacontenttype as UTF-8; "application/json" when the event has JSON data and names none;
     * the null slice when it is absent otherwise. */
    struct fl_slice content_type;
};

/* The payload of a structured event as binary modes carry it. `data->bytes` and
 * `data->content_type` are borrowed from the event or from `scratch`, which the caller owns and
 * whose former bytes are dropped. FL_ERR_INVALID (no structured event, bad base64),
 * FL_ERR_NO_MEMORY. */
enum fl_err ce_event_data(const struct ce_event *event, struct fl_buffer *scratch,
                          struct ce_data *data) FL_MUST_USE;

#endif
