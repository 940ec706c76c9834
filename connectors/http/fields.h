/* The header fields of a request: names once, values that cannot break a line.
 *
 * A name is a token and a value has no control bytes but the tab (RFC 9110, 5.1 and 5.5), so
 * nothing that a caller gives can end a line and begin another. Setting a name again replaces what
 * it had.
 *
 * Ownership: names and values are copied. A zeroed struct is an empty list. Thread: one at a time.
 */
#ifndef CN_HTTP_FIELDS_H
#define CN_HTTP_FIELDS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

enum { CN_HTTP_MOST_FIELDS = 256 };

struct cn_http_field {
    char *line;      /* "Name: value"; "Name;" for an empty value, which is how libcurl wants it */
    size_t name_len; /* of the line's start */
    bool is_secret;  /* stays with the host that it was meant for */
};

struct cn_http_fields {
    struct cn_http_field *items;
    size_t count;
};

void cn_http_fields_fini(struct cn_http_fields *fields);

/* The value is trimmed. FL_ERR_INVALID: not a name, or not a value; FL_ERR_TOO_LARGE: there are
 * CN_HTTP_MOST_FIELDS. The text has the name and never the value. */
enum fl_err cn_http_fields_set(struct cn_http_fields *fields, struct fl_slice name,
                               struct fl_slice value, struct fl_error *error) FL_MUST_USE;

/* Names compare without case. The value is borrowed; the null slice when there is none. */
struct fl_slice cn_http_fields_get(const struct cn_http_fields *fields, const char *name);

void cn_http_fields_remove(struct cn_http_fields *fields, const char *name);

/* What must not be sent on to another host. */
void cn_http_fields_mark_secret(struct cn_http_fields *fields, struct fl_slice name);
void cn_http_fields_remove_secrets(struct cn_http_fields *fields);

/* RFC 9110, 5.6.2; not empty. */
bool cn_http_is_token(struct fl_slice text);
/* RFC 9110, 5.5, with bytes beyond ASCII. */
bool cn_http_is_value(struct fl_slice text);

#endif
