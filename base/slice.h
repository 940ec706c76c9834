/* A view of bytes that somebody else owns.
 *
 * Slices are passed by value and never freed. They need no terminating NUL and may hold NULs. An
 * empty slice may have a NULL pointer; `fl_slice_is_null` tells "absent" from "empty".
 *
 * Thread: any.
 */
#ifndef FL_BASE_SLICE_H
#define FL_BASE_SLICE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fl_slice {
    const char *data;
    size_t len;
};

#define FL_SLICE_NULL ((struct fl_slice){NULL, 0})
/* For string literals and arrays that end in a NUL. */
#define FL_SLICE_LIT(literal) ((struct fl_slice){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s", whose precision is an int: longer text is cut. */
#define FL_SLICE_ARG(slice)                                                                        \
    (int)((slice).len < INT_MAX ? (slice).len : INT_MAX), (slice).data ? (slice).data : ""

static inline struct fl_slice fl_slice_of(const char *data, size_t len)
{
    return (struct fl_slice){data, len};
}

/* `text` may be NULL, which gives the null slice. */
static inline struct fl_slice fl_slice_str(const char *text)
{
    return (struct fl_slice){text, text ? strlen(text) : 0};
}

static inline bool fl_slice_is_null(struct fl_slice s)
{
    return s.data == NULL;
}

static inline bool fl_slice_eq(struct fl_slice a, struct fl_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool fl_slice_eq_str(struct fl_slice a, const char *text)
{
    size_t len = strlen(text);
    return a.len == len && (len == 0 || memcmp(a.data, text, len) == 0);
}

/* ASCII letters compare without case; no locale is involved. */
bool fl_slice_eq_nocase(struct fl_slice a, struct fl_slice b);

static inline bool fl_slice_starts_with(struct fl_slice s, struct fl_slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

bool fl_slice_starts_with_nocase(struct fl_slice s, struct fl_slice prefix);

/* Bytewise order, shorter first among equals: <0, 0, >0. */
int fl_slice_compare(struct fl_slice a, struct fl_slice b);

/* Removes ASCII white space (space, \t, \r, \n, \v, \f) on both sides. */
struct fl_slice fl_slice_trim(struct fl_slice s);

/* Position of the first `byte`, or `s.len` when there is none. */
size_t fl_slice_find_byte(struct fl_slice s, char byte);

/* Decimal digits only, no sign, no space, at least one digit; false on overflow of uint64_t. */
bool fl_slice_to_u64(struct fl_slice s, uint64_t *value);

static inline char fl_ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool fl_utf8_is_valid(struct fl_slice s);

/* Length in bytes (1 to 4) of the well-formed UTF-8 sequence at the start of `s`, 0 when malformed
 * or empty. */
size_t fl_utf8_sequence(struct fl_slice s);

#endif
