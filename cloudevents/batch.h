/* The JSON batch format: an array of events, taken apart in place.
 *
 * Thread: any.
 */
#ifndef CE_BATCH_H
#define CE_BATCH_H

#include "base/error.h"
#include "base/slice.h"
#include "cloudevents/json_scan.h"

struct ce_batch {
    size_t count;
    struct ce_json_walk walk;
};

/* True for application/cloudevents-batch+json, in any case, with or without parameters. */
bool ce_batch_is_type(struct fl_slice content_type);

/* Checks the whole batch: a JSON array and nothing after it, every element an event by
 * ce_structured_check, one specversion. May be empty. `body` is borrowed while `batch` is used.
 * FL_ERR_INVALID with the reason and the element's number from 1 (class reject), FL_ERR_NO_MEMORY.
 */
enum fl_err ce_batch_open(struct ce_batch *batch, struct fl_slice body,
                          struct fl_error *error) FL_MUST_USE;

/* The JSON text of the next event; false at the end. Borrowed from the body. */
bool ce_batch_next(struct ce_batch *batch, struct fl_slice *json);

#endif
