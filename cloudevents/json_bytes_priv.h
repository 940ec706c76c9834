/* The byte loops that scanner and writer share: runs of text that need no attention, and white
 * space.
 *
 * Each has one form for SSE2 and a portable one; both give the same answers.
 *
 * Thread: any.
 */
#ifndef CE_JSON_BYTES_PRIV_H
#define CE_JSON_BYTES_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Stops at `"`, `\`, control characters and bytes from 0x80 on: all that a string's reader looks
 * at. */
static inline bool ce_byte_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Stops also at < > and &, which Go escapes. */
static inline bool ce_byte_is_clean(unsigned char c)
{
    return ce_byte_is_plain(c) && c != '<' && c != '>' && c != '&';
}

#ifdef __SSE2__
/* A bit for each of 16 bytes that is not plain. The signed comparison covers both ends at once. */
static inline unsigned ce_not_plain_mask(__m128i v)
{
    __m128i bad = _mm_cmpgt_epi8(_mm_set1_epi8(0x20), v);
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(bad);
}

static inline unsigned ce_not_clean_mask(__m128i v)
{
    __m128i bad = _mm_cmpeq_epi8(v, _mm_set1_epi8('&'));
    /* '<' is 0x3c and '>' 0x3e: equal but for one bit. */
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(_mm_or_si128(v, _mm_set1_epi8(2)), _mm_set1_epi8('>')));
    return (unsigned)_mm_movemask_epi8(bad) | ce_not_plain_mask(v);
}

static inline const char *ce_skip_plain(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        unsigned mask = ce_not_plain_mask(_mm_loadu_si128((const __m128i *)(const void *)at));
        if (mask)
            return at + __builtin_ctz(mask);
    }
    while (at < end && ce_byte_is_plain((unsigned char)*at))
        at++;
    return at;
}

static inline const char *ce_skip_clean(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        unsigned mask = ce_not_clean_mask(_mm_loadu_si128((const __m128i *)(const void *)at));
        if (mask)
            return at + __builtin_ctz(mask);
    }
    while (at < end && ce_byte_is_clean((unsigned char)*at))
        at++;
    return at;
}
#else
static inline const char *ce_skip_plain(const char *at, const char *end)
{
    while (at < end && ce_byte_is_plain((unsigned char)*at))
        at++;
    return at;
}

static inline const char *ce_skip_clean(const char *at, const char *end)
{
    while (at < end && ce_byte_is_clean((unsigned char)*at))
        at++;
    return at;
}
#endif

/* Where a slice starts; not NULL, so that arithmetic on it is defined. */
static inline const char *ce_slice_start(struct fl_slice s)
{
    return s.data ? s.data : "";
}

static inline bool ce_is_json_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *ce_skip_space(const char *at, const char *end)
{
    while (at < end && ce_is_json_space(*at))
        at++;
    return at;
}

/* Length of the well-formed UTF-8 sequence at `at`, 0 when malformed; `at` < `end`. */
static inline size_t ce_utf8_length(const char *at, const char *end)
{
    unsigned char first = (unsigned char)*at;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0 && end - at >= 2)
        return ((unsigned char)at[1] & 0xc0) == 0x80 ? 2 : 0;
    return fl_utf8_sequence(fl_slice_of(at, (size_t)(end - at)));
}

/* Value of a hexadecimal digit, or -1. */
static inline int ce_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The four hexadecimal digits at `at`, which has them or -1 is the answer. */
static inline int ce_hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int a = ce_hex_value(at[0]), b = ce_hex_value(at[1]);
    int c = ce_hex_value(at[2]), d = ce_hex_value(at[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

static inline bool ce_is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static inline bool ce_is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

#endif
