/* The body of a call of an output binding: {"operation": …, "data": …, "metadata": {…}}, read as Go
 * reads it (http-api.md §0.2, §6): keys in any case, the last of equal ones, unknown ones ignored,
 * only the first JSON value counts.
 *
 * Thread: any.
 */
#ifndef GW_BINDING_REQUEST_H
#define GW_BINDING_REQUEST_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "cloudevents/event.h"

enum { GW_MOST_BINDING_METADATA = 1000 };

/* Zeroed before; `gw_binding_request_fini` frees what it holds. */
struct gw_binding_request {
    struct fl_arena arena;
    struct fl_slice operation;    /* empty: not given */
    struct fl_buffer data;        /* JSON as Go writes it; "null" when there is none */
    struct ce_metadata *metadata; /* keys once each; room for GW_BINDING_EXTRAS more */
    size_t metadata_count;
};

/* Pairs that the caller may add: traceparent, tracestate, baggage. */
enum { GW_BINDING_EXTRAS = 3 };

/* Everything is copied. FL_ERR_INVALID: the text says why, in daprd's words where it has some;
 * FL_ERR_NO_MEMORY. */
enum fl_err gw_binding_request_read(struct fl_slice body, struct gw_binding_request *request,
                                    struct fl_error *error) FL_MUST_USE;
void gw_binding_request_fini(struct gw_binding_request *request);

/* Adds a pair, or replaces the one of that key. The value is borrowed. At most GW_BINDING_EXTRAS
 * times. */
void gw_binding_request_set(struct gw_binding_request *request, const char *key,
                            struct fl_slice value);

#endif
