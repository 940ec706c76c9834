/* JSON text written as Go's encoder writes it, and base64.
 *
 * Inside strings `"` and `\` and control characters are escaped, and so are < > & U+2028 U+2029;
 * each byte that is no UTF-8 becomes U+FFFD. Doubles print in their shortest form, with an exponent
 * below 1e-6 and from 1e21 on.
 *
 * A `put` function writes to memory whose size was asked first and returns the end of what it
 * wrote; an `append` function writes to a buffer and aborts without memory (text of bounded size
 * only); a `try` function fails politely. Arguments are borrowed.
 *
 * Thread: any.
 */
#ifndef CE_JSON_WRITE_H
#define CE_JSON_WRITE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Bytes of `text` as a JSON string, with its quotes. */
size_t ce_json_string_size(struct fl_slice text);
char *ce_json_put_string(char *at, struct fl_slice text);
void ce_json_append_string(struct fl_buffer *out, struct fl_slice text);
enum fl_err ce_json_try_string(struct fl_buffer *out, struct fl_slice text) FL_MUST_USE;

/* `"key":` with a comma before it unless the buffer ends in `{`, `[` or is empty. */
void ce_json_append_key(struct fl_buffer *out, const char *key);

/* Writes at most 32 characters and no NUL, and returns how many. `number` is finite. */
size_t ce_json_format_double(double number, char out[32]);

/* A validated value without CE_JSON_BAD_TEXT: bad bytes and lone surrogate escapes become U+FFFD,
 * all else stays byte for byte. `size` and `put` agree. */
size_t ce_json_repaired_size(struct fl_slice value);
char *ce_json_put_repaired(char *at, struct fl_slice value);

/* Appends a validated value as Go writes what it has decoded: no white space, keys sorted bytewise,
 * the last of equal keys, numbers through doubles. Takes time in proportion to the text (and
 * sorting), at any depth. FL_ERR_NO_MEMORY, FL_ERR_INVALID (a number beyond any double,
 * unless an equal key hides it: ask CE_JSON_HUGE_NUMBER, as Go refuses both), FL_ERR_TOO_LARGE
 * (4 GiB); on failure the buffer's length is as before. */
enum fl_err ce_json_try_rewrite(struct fl_buffer *out, struct fl_slice value) FL_MUST_USE;

/* --- base64, RFC 4648 §4: the standard alphabet, padded --- */

static inline size_t ce_base64_size(size_t len)
{
    return (len + 2) / 3 * 4;
}

char *ce_base64_put(char *at, struct fl_slice bytes);
void ce_base64_append(struct fl_buffer *out, struct fl_slice bytes);

/* Appends the decoded bytes. `skips_newlines`: CR and LF anywhere are passed over, as Go does.
 * Padding must be there. FL_ERR_NO_MEMORY, FL_ERR_INVALID with the place of the bad byte in
 * `bad_at` (may be NULL); on failure the buffer's length is as before. */
enum fl_err ce_base64_try_decode(struct fl_slice text, bool skips_newlines, struct fl_buffer *out,
                                 size_t *bad_at) FL_MUST_USE;

#endif
