/* JSON text read in place: one strict pass that finds what is wanted and builds no tree.
 *
 * `ce_json_scan` validates the first value of a text by RFC 8259 as Go's decoder reads it: at most
 * CE_JSON_MAX_DEPTH levels (one bit each, no recursion), no control characters inside strings, no
 * byte order mark, no NaN. Bytes that are no UTF-8 and lone surrogate escapes are accepted and
 * flagged; a reader sees U+FFFD there, one for each bad byte.
 *
 * A *token* is a piece of the text as it is written, a string with its quotes. What is said to be
 * "of a validated value" must come out of a scan that succeeded; of other bytes the answers are
 * meaningless, but no byte outside of the slice is read.
 *
 * Every slice is borrowed from the text. Sizes and places are in bytes.
 *
 * Thread: any.
 */
#ifndef CE_JSON_SCAN_H
#define CE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

#define CE_JSON_MAX_DEPTH 10000

enum ce_json_type {
    CE_JSON_NONE, /* no value: an empty slice */
    CE_JSON_OBJECT,
    CE_JSON_ARRAY,
    CE_JSON_STRING,
    CE_JSON_NUMBER,
    CE_JSON_TRUE,
    CE_JSON_FALSE,
    CE_JSON_NULL,
};

enum ce_json_flag {
    CE_JSON_BAD_TEXT = 1 << 0,    /* a string holds bad UTF-8 or a lone surrogate escape */
    CE_JSON_HUGE_NUMBER = 1 << 1, /* a number is beyond any double, such as 1e400 */
    CE_JSON_TRAILING = 1 << 2,    /* more than white space follows the value */
};

/* One member of the outermost object (`key` is a token), or one element of the outermost array
 * (`key` is the null slice). `value` has no white space around it. */
typedef void ce_json_member_fn(void *context, struct fl_slice key, struct fl_slice value);

struct ce_json_scan {
    /* Set by the caller; all zero is fine. */
    ce_json_member_fn
        *on_member; /* called in order, also when a later byte makes the text invalid */
    void *context;
    unsigned max_depth; /* 0: CE_JSON_MAX_DEPTH; at most one more than that */

    /* Set by the scan. */
    struct fl_slice value; /* the first value, without white space around it */
    enum ce_json_type type;
    unsigned flags; /* of enum ce_json_flag */
    /* Set by the scan, also on failure: the first byte after the value, or the first bad one. */
    size_t stopped_at;
    bool is_cut; /* it failed because the text ends too early */
};

/* Validates the first value of `text`; bytes after it only set CE_JSON_TRAILING. FL_ERR_INVALID. */
enum fl_err ce_json_scan(struct fl_slice text, struct ce_json_scan *scan) FL_MUST_USE;

/* Describes a failed scan in `error` (class reject): "EOF" for a text of white space, "unexpected
 * EOF" for one that is cut, else the bad byte and its place. Returns FL_ERR_INVALID. */
enum fl_err ce_json_explain(struct fl_slice text, const struct ce_json_scan *scan,
                            struct fl_error *error);

/* The type of a validated value, by its first byte. */
enum ce_json_type ce_json_type_of(struct fl_slice value);

/* Goes through the members or elements of one validated object or array, one level at a time.
 * Skipping a value costs its length: to look at every level of a deep document takes the square of
 * it. */
struct ce_json_walk {
    const char *at, *end;
    bool is_object;
};

/* `value`: a validated object or array; for any other value there is nothing to go through. */
void ce_json_walk_init(struct ce_json_walk *walk, struct fl_slice value);
/* False at the end, with the out-parameters untouched. `key` (a token; the null slice in an array)
 * may be NULL. */
bool ce_json_walk_next(struct ce_json_walk *walk, struct fl_slice *key, struct fl_slice *value);

/* The last member of a validated object whose decoded key equals `name`; the null slice when there
 * is none or `value` is no object. */
struct fl_slice ce_json_find(struct fl_slice value, struct fl_slice name);
/* The same with Go's rule for the bodies of its API: letters in any case. */
struct fl_slice ce_json_find_nocase(struct fl_slice value, const char *name);

/* --- string tokens --- */

/* True when the text between the quotes is the string's value: no escape in it (bad UTF-8 counts as
 * plain here; see CE_JSON_BAD_TEXT). False for what is no string token. */
bool ce_json_is_plain(struct fl_slice token);

/* The bytes between the quotes. */
static inline struct fl_slice ce_json_inside(struct fl_slice token)
{
    return token.len >= 2 ? fl_slice_of(token.data + 1, token.len - 2) : FL_SLICE_NULL;
}

/* The most bytes that decoding a token can give. */
static inline size_t ce_json_decoded_room(struct fl_slice token)
{
    return token.len * 3;
}

/* Decodes into `out`, which has room for ce_json_decoded_room(token) bytes, and returns how many
 * were written. What it writes is valid UTF-8. A token that is no string gives 0. */
size_t ce_json_decode(struct fl_slice token, char *out);
/* Appends. FL_ERR_NO_MEMORY. */
enum fl_err ce_json_try_decode(struct fl_slice token, struct fl_buffer *out) FL_MUST_USE;
/* For text of bounded size: the token's own bytes when they are plain and valid UTF-8, else a copy
 * in the arena. The null slice when it is no string. */
struct fl_slice ce_json_decode_in(struct fl_arena *arena, struct fl_slice token);

/* True when the token is a string with this value. Allocates nothing. */
bool ce_json_equals(struct fl_slice token, struct fl_slice text);
/* The same by Go's rule for keys: letters in any case; U+017F counts as s, U+212A as k. */
bool ce_json_equals_nocase(struct fl_slice token, struct fl_slice text);

/* --- numbers --- */

/* True for a number token without fraction and exponent that fits (what Go accepts for an integer).
 */
bool ce_json_to_i64(struct fl_slice token, int64_t *number);

#endif
