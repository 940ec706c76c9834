/* The address of a call: the component's url and the caller's path, joined and made sendable.
 *
 * Pure: no name is looked up here. Thread: any.
 */
#ifndef CN_HTTP_URL_H
#define CN_HTTP_URL_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Appends the URL to `out`. The two are joined as text with exactly one slash (a null path: the url
 * alone), a fragment is dropped, the path is escaped where it has to be, ".." stays as it is.
 * FL_ERR_INVALID, FL_ERR_UNSUPPORTED: the text says why, without naming the URL, and `out` gets
 * what was joined, for messages. */
enum fl_err cn_http_url_join(struct fl_slice url, struct fl_slice path, struct fl_buffer *out,
                             struct fl_error *error) FL_MUST_USE;

/* The URL as it may stand in a message: without user, password and query, and not too long. */
void cn_http_url_show(struct fl_slice url, char *out, size_t room);

/* Makes a text one line of UTF-8, whatever its bytes were. */
void cn_http_make_showable(char *text);

#endif
