/* One bulk call of the application: the body that is sent, and the answer (http-api.md §4.4).
 *
 * Entry ids are UUIDs made of the call's own id and the entry's number, so an answer leads back to
 * its entry without a table.
 *
 * Thread: any.
 */
#ifndef GW_BULK_CALL_H
#define GW_BULK_CALL_H

#include "base/buffer.h"
#include "cloudevents/event.h"

enum { GW_BULK_ID_LEN = 36 };

/* Appends the start of the body. */
enum fl_err gw_bulk_append_head(struct fl_buffer *out) FL_MUST_USE;

/* Appends entry `number`. `stored` is the event as the broker has it; `view`, which may be the
 * same, is what a single delivery would carry. FL_ERR_NO_MEMORY, FL_ERR_TOO_LARGE; on failure the
 * buffer holds part of the entry. */
enum fl_err gw_bulk_append_entry(struct fl_buffer *out, const char id[GW_BULK_ID_LEN],
                                 uint32_t number, const struct ce_event *stored,
                                 const struct ce_event *view, bool is_raw) FL_MUST_USE;

/* Appends what follows the last entry. */
enum fl_err gw_bulk_append_tail(struct fl_buffer *out, const char id[GW_BULK_ID_LEN],
                                struct fl_slice pubsub, struct fl_slice topic) FL_MUST_USE;

enum gw_bulk_status {
    GW_BULK_RETRY, /* RETRY, no status, or one that is unknown */
    GW_BULK_SUCCESS,
    GW_BULK_DROP,
};

typedef void gw_bulk_status_fn(void *context, uint32_t number, enum gw_bulk_status status);

/* Tells the status of each entry that the answer names, in its order; one that it does not name has
 * failed. False: the body is no answer to a bulk call, nothing was told. `unknown` counts the
 * statuses of ids that are not of this call. */
bool gw_bulk_read_answer(struct fl_slice body, const char id[GW_BULK_ID_LEN], uint32_t count,
                         gw_bulk_status_fn *on_status, void *context, size_t *unknown);

/* True when the JSON text means to any reader what daprd's own writing of it would: no number that
 * a double changes, no bytes that are no text. */
bool gw_bulk_is_as_written(struct fl_slice json);

#endif
