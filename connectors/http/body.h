/* The body of an answer while it comes: cut where the component says, unpacked if it was packed for
 * us, and never larger than the room that was granted.
 *
 * Room is asked for by whoever feeds the body, not here. Feeding says how far it came, so that the
 * rest of the bytes can be given again when there is more room.
 *
 * Ownership: the bytes are copied. A zeroed struct is no body. Thread: one at a time; pure.
 */
#ifndef CN_HTTP_BODY_H
#define CN_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum cn_http_body_result {
    CN_HTTP_BODY_TAKEN,  /* all of it */
    CN_HTTP_BODY_FULL,   /* the room is used up: more of it, or an end */
    CN_HTTP_BODY_CUT,    /* it is longer than it may be: the answer is complete as it is */
    CN_HTTP_BODY_BROKEN, /* not the gzip that it says it is */
    CN_HTTP_BODY_NO_MEMORY,
};

struct cn_http_gunzip;

struct cn_http_body {
    char *data;
    size_t len, size;              /* bytes held, bytes allocated */
    size_t room;                   /* bytes that may be allocated */
    size_t most;                   /* bytes after which it is cut */
    size_t expected;               /* bytes that were announced; 0: unknown */
    struct cn_http_gunzip *gunzip; /* NULL: as it comes */
};

/* `most` SIZE_MAX: no end but that of the room. `expected` is of the bytes as they come. */
void cn_http_body_init(struct cn_http_body *body, size_t room, size_t most, size_t expected,
                       bool is_gzip);
void cn_http_body_fini(struct cn_http_body *body);

/* `*used` bytes were taken, also where the result is not TAKEN. */
enum cn_http_body_result cn_http_body_add(struct cn_http_body *body, struct fl_slice bytes,
                                          size_t *used);

/* The server has sent everything: false when what it packed breaks off. */
bool cn_http_body_is_whole(const struct cn_http_body *body);

/* The room worth having next: all of it when the length is known, else twice what there is, and
 * never more than it may hold. */
size_t cn_http_body_next_room(const struct cn_http_body *body);

#endif
