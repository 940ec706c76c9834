/* The head of an answer: its status and fields, as the metadata of the binding's answer.
 *
 * Lines come one by one as the server sent them. A status line begins anew, so that of several
 * heads (1xx first) the last one counts; what comes after a head has ended is a trailer and is left
 * out. The bytes and the lines of all heads of a request are bounded.
 *
 * Ownership: everything is copied. A zeroed struct is an empty head. Thread: one at a time; pure.
 */
#ifndef CN_HTTP_RESPONSE_H
#define CN_HTTP_RESPONSE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "cloudevents/event.h"

/* Of all heads of a request, 1xx and trailers included. What is no field counts too: libcurl keeps
 * every line, in some 60 bytes more than it has. */
enum { CN_HTTP_MOST_HEAD_BYTES = 64 * 1024, CN_HTTP_MOST_HEAD_FIELDS = 1000 };

struct cn_http_head_field {
    uint32_t name_at, name_len, value_at, value_len; /* in `text` */
    bool is_joined;                                  /* while metadata are made */
};

struct cn_http_head {
    struct fl_buffer text;
    struct cn_http_head_field *fields;
    size_t count;
    struct fl_buffer status; /* "404 Not Found" */
    bool has_ended;
    size_t seen_bytes, seen_lines; /* since the beginning */
};

/* The metadata of an answer; the array is followed by its texts. */
struct cn_http_metadata {
    struct ce_metadata *items;
    size_t count;
    struct fl_buffer text;
};

void cn_http_head_fini(struct cn_http_head *head);
void cn_http_metadata_fini(struct cn_http_metadata *metadata);

/* One line with its end. FL_ERR_TOO_LARGE: more bytes or lines than are taken; FL_ERR_INVALID: a
 * Content-Length that is no number, or differs from one before; FL_ERR_UNSUPPORTED: a transfer
 * coding other than chunked. */
enum fl_err cn_http_head_add(struct cn_http_head *head, struct fl_slice line) FL_MUST_USE;

/* The first value of a field, name without case; the null slice when there is none. Borrowed. */
struct fl_slice cn_http_head_get(const struct cn_http_head *head, const char *name);

/* statusCode and status first, then each field under its canonical name, equal ones joined by
 * ", ". What speaks of the body on its way is left out; `is_decoded`: so is what speaks of it as it
 * was before it was unpacked. Once for a head. */
void cn_http_head_metadata(struct cn_http_head *head, int status, bool is_decoded,
                           struct cn_http_metadata *metadata);

#endif
