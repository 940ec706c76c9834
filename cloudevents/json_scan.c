/* One strict pass over JSON text; see json_scan.h.
 *
 * The reader is a machine of three states: before a value, before a key, behind a value. What it
 * has to remember of the containers around it is one bit a level (object or array), so depth
 * costs 1.25 KiB of stack at most and there is nothing to recurse. Strings are skipped 16 bytes at
 * a time; bad UTF-8 and lone surrogates are only noted, because Go repairs them when it decodes. A
 * number is compared with the range of doubles by its decimal exponent; only those near the edge
 * are converted.
 *
 * Walks over validated text trust its shape but never its end.
 */
#include "cloudevents/json_scan.h"

#include <math.h>
#include <stdlib.h>

#include "cloudevents/json_bytes_priv.h"

#define DEPTH_WORDS ((CE_JSON_MAX_DEPTH + 1 + 63) / 64)
/* Decimal exponent of the largest double: 1.79e308 is 0.179e309. */
#define DOUBLE_MAX_MAGNITUDE 309

struct reader {
    const char *at, *end;
    unsigned flags;
};

/* --- strings --- */

/* `at` is behind the backslash. */
static bool read_escape(struct reader *r)
{
    if (r->at == r->end)
        return false;
    char c = *r->at;
    if (c != 'u') {
        if (!memchr("\"\\/bfnrt", c, 8))
            return false;
        r->at++;
        return true;
    }
    r->at++;
    int unit = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int digit = r->at < r->end ? ce_hex_value(*r->at) : -1;
        if (digit < 0)
            return false;
        unit = unit << 4 | digit;
    }
    if (unit < 0xd800 || unit >= 0xe000)
        return true;
    if (ce_is_high_surrogate(unit) && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u' &&
        ce_is_low_surrogate(ce_hex4(r->at + 2, r->end)))
        r->at += 6;
    else
        r->flags |= CE_JSON_BAD_TEXT;
    return true;
}

/* `at` is on the opening quote; afterwards behind the closing one. */
static bool read_string(struct reader *r)
{
    r->at++;
    for (;;) {
        r->at = ce_skip_plain(r->at, r->end);
        if (r->at == r->end)
            return false;
        unsigned char c = (unsigned char)*r->at;
        if (c == '"') {
            r->at++;
            return true;
        }
        if (c < 0x20)
            return false;
        if (c == '\\') {
            r->at++;
            if (!read_escape(r))
                return false;
            continue;
        }
        size_t len = ce_utf8_length(r->at, r->end);
        if (len == 0) {
            r->flags |= CE_JSON_BAD_TEXT;
            len = 1;
        }
        r->at += len;
    }
}

/* --- numbers --- */

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* Whether a number whose first digit that counts has place 309 rounds to infinity. Digits past the
 * 800th can only break a tie, for which one more digit stands. */
static bool rounds_to_infinity(const char *digits, const char *end)
{
    char text[820] = "0.";
    size_t len = 2;
    bool has_more = false;
    for (const char *at = digits; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.')
            continue;
        if (len < 802)
            text[len++] = *at;
        else if (*at != '0')
            has_more = true;
    }
    if (has_more)
        text[len++] = '1';
    memcpy(text + len, "e309", 5);
    return isinf(strtod(text, NULL));
}

/* Whether a valid number's size is beyond every double. `point` and `exponent_at` are the ends of
 * the whole part and of the fraction. */
static bool is_huge(const char *start, const char *point, const char *exponent_at, const char *end)
{
    const char *digits = start + (*start == '-');
    long magnitude = point - digits;
    if (*digits == '0') {
        magnitude = 0;
        digits = point < exponent_at ? point + 1 : point;
        for (; digits < exponent_at && *digits == '0'; digits++)
            magnitude--;
        if (digits == exponent_at)
            return false;
    }
    if (exponent_at < end) {
        const char *at = exponent_at + 1;
        bool is_negative = *at == '-';
        at += is_negative || *at == '+';
        long exponent = 0;
        for (; at < end; at++)
            if (exponent < (1L << 50))
                exponent = exponent * 10 + (*at - '0');
        magnitude += is_negative ? -exponent : exponent;
    }
    if (magnitude != DOUBLE_MAX_MAGNITUDE)
        return magnitude > DOUBLE_MAX_MAGNITUDE;
    return rounds_to_infinity(digits, exponent_at);
}

static bool read_number(struct reader *r)
{
    const char *start = r->at, *end = r->end, *at = r->at;
    at += *at == '-';
    r->at = at;
    if (at == end || !is_digit(*at))
        return false;
    at = *at == '0' ? at + 1 : skip_digits(at, end);
    const char *point = at;
    if (at < end && *at == '.') {
        r->at = at + 1;
        at = skip_digits(r->at, end);
        if (at == r->at)
            return false;
    }
    const char *exponent_at = at;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        r->at = at;
        at = skip_digits(at, end);
        if (at == r->at)
            return false;
    }
    r->at = at;
    if ((exponent_at < at || at - start >= DOUBLE_MAX_MAGNITUDE) &&
        is_huge(start, point, exponent_at, at))
        r->flags |= CE_JSON_HUGE_NUMBER;
    return true;
}

/* --- values --- */

static bool read_word(struct reader *r, const char *word)
{
    for (; *word; word++, r->at++)
        if (r->at == r->end || *r->at != *word)
            return false;
    return true;
}

/* Any value but a container; `at` < `end`. */
static bool read_scalar(struct reader *r)
{
    switch (*r->at) {
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true");
    case 'f':
        return read_word(r, "false");
    case 'n':
        return read_word(r, "null");
    default:
        return (*r->at == '-' || is_digit(*r->at)) && read_number(r);
    }
}

/* The containers around the reader, outermost first. */
struct nesting {
    unsigned depth, max_depth;
    bool is_object; /* the innermost one */
    uint64_t bits[DEPTH_WORDS];
};

static bool nesting_enter(struct nesting *n, bool is_object)
{
    if (n->depth == n->max_depth)
        return false;
    uint64_t bit = (uint64_t)1 << (n->depth % 64);
    uint64_t *word = &n->bits[n->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    n->is_object = is_object;
    n->depth++;
    return true;
}

static void nesting_leave(struct nesting *n)
{
    n->depth--;
    if (n->depth > 0) {
        unsigned level = n->depth - 1;
        n->is_object = n->bits[level / 64] >> (level % 64) & 1;
    }
}

enum state { VALUE, KEY, BEHIND };

/* Opens a container or reads a scalar; says what comes next. */
static bool step_value(struct reader *r, struct nesting *n, enum state *state)
{
    char c = *r->at;
    *state = BEHIND;
    if (c != '{' && c != '[')
        return read_scalar(r);
    if (!nesting_enter(n, c == '{'))
        return false;
    r->at = ce_skip_space(r->at + 1, r->end);
    if (r->at < r->end && *r->at == (c == '{' ? '}' : ']')) {
        r->at++;
        nesting_leave(n);
    } else {
        *state = c == '{' ? KEY : VALUE;
    }
    return true;
}

/* Reads a key and its colon; leaves the token in `key`. */
static bool step_key(struct reader *r, struct fl_slice *key)
{
    const char *start = r->at;
    if (*start != '"' || !read_string(r))
        return false;
    *key = fl_slice_of(start, (size_t)(r->at - start));
    r->at = ce_skip_space(r->at, r->end);
    if (r->at == r->end || *r->at != ':')
        return false;
    r->at++;
    return true;
}

/* Reads the comma or the end of the container. */
static bool step_behind(struct reader *r, struct nesting *n, enum state *state)
{
    char c = *r->at;
    if (c == ',') {
        r->at++;
        *state = n->is_object ? KEY : VALUE;
        return true;
    }
    if (c != (n->is_object ? '}' : ']'))
        return false;
    r->at++;
    nesting_leave(n);
    return true;
}

/* Reads one whole value at `at`. Members of the outermost container are reported when they end,
 * which is when the machine stands behind a value at depth 1. */
static bool read_document(struct reader *r, const struct ce_json_scan *scan)
{
    struct nesting nesting;
    nesting.depth = 0;
    nesting.max_depth = scan->max_depth ? scan->max_depth : CE_JSON_MAX_DEPTH;
    if (nesting.max_depth > CE_JSON_MAX_DEPTH + 1)
        nesting.max_depth = CE_JSON_MAX_DEPTH + 1;
    struct fl_slice outer_key = FL_SLICE_NULL, key = FL_SLICE_NULL;
    const char *outer_value = NULL;
    enum state state = VALUE;
    for (;;) {
        r->at = ce_skip_space(r->at, r->end);
        if (r->at == r->end)
            return false;
        if (state == BEHIND) {
            if (!step_behind(r, &nesting, &state))
                return false;
        } else if (state == KEY) {
            if (!step_key(r, &key))
                return false;
            if (nesting.depth == 1)
                outer_key = key;
            state = VALUE;
        } else {
            if (nesting.depth == 1)
                outer_value = r->at;
            if (!step_value(r, &nesting, &state))
                return false;
        }
        if (state != BEHIND || nesting.depth > 1)
            continue;
        if (nesting.depth == 0)
            return true;
        if (scan->on_member)
            scan->on_member(scan->context, outer_key,
                            fl_slice_of(outer_value, (size_t)(r->at - outer_value)));
    }
}

enum ce_json_type ce_json_type_of(struct fl_slice value)
{
    switch (value.len ? value.data[0] : 0) {
    case 0:
        return CE_JSON_NONE;
    case '{':
        return CE_JSON_OBJECT;
    case '[':
        return CE_JSON_ARRAY;
    case '"':
        return CE_JSON_STRING;
    case 't':
        return CE_JSON_TRUE;
    case 'f':
        return CE_JSON_FALSE;
    case 'n':
        return CE_JSON_NULL;
    default:
        return CE_JSON_NUMBER;
    }
}

enum fl_err ce_json_scan(struct fl_slice text, struct ce_json_scan *scan)
{
    if (text.len == 0)
        text.data = "";
    const char *end = text.data + text.len;
    const char *start = ce_skip_space(text.data, end);
    struct reader r = {.at = start, .end = end};
    bool is_valid = read_document(&r, scan);
    scan->stopped_at = (size_t)(r.at - text.data);
    scan->is_cut = !is_valid && r.at == end;
    if (!is_valid)
        return FL_ERR_INVALID;
    scan->value = fl_slice_of(start, (size_t)(r.at - start));
    scan->type = ce_json_type_of(scan->value);
    scan->flags = r.flags;
    if (ce_skip_space(r.at, end) != end)
        scan->flags |= CE_JSON_TRAILING;
    return FL_OK;
}

enum fl_err ce_json_explain(struct fl_slice text, const struct ce_json_scan *scan,
                            struct fl_error *error)
{
    if (scan->is_cut) {
        bool is_blank =
            text.len == 0 || ce_skip_space(text.data, text.data + text.len) == text.data + text.len;
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s",
                            is_blank ? "EOF" : "unexpected EOF");
    }
    unsigned char c = (unsigned char)text.data[scan->stopped_at];
    if (c > 0x20 && c < 0x7f && c != '\'')
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "invalid character '%c' at byte %zu", c, scan->stopped_at);
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "invalid character '\\x%02x' at byte %zu", c, scan->stopped_at);
}

/* --- walking validated text --- */

/* Behind the string whose opening quote is at `at`. */
static const char *skip_string(const char *at, const char *end)
{
    at++;
    while ((at = ce_skip_plain(at, end)) < end) {
        if (*at == '"')
            return at + 1;
        at += *at == '\\' && end - at >= 2 ? 2 : 1;
    }
    return end;
}

static const char *skip_container(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end);
            continue;
        }
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return at;
    }
    return end;
}

static const char *skip_value(const char *at, const char *end)
{
    if (at == end)
        return end;
    if (*at == '"')
        return skip_string(at, end);
    if (*at == '{' || *at == '[')
        return skip_container(at, end);
    while (at < end && *at != ',' && *at != '}' && *at != ']' && !ce_is_json_space(*at))
        at++;
    return at;
}

void ce_json_walk_init(struct ce_json_walk *walk, struct fl_slice value)
{
    enum ce_json_type type = ce_json_type_of(value);
    *walk = (struct ce_json_walk){.is_object = type == CE_JSON_OBJECT};
    if ((type == CE_JSON_OBJECT || type == CE_JSON_ARRAY) && value.len >= 2) {
        walk->end = value.data + value.len - 1;
        walk->at = ce_skip_space(value.data + 1, walk->end);
    }
}

bool ce_json_walk_next(struct ce_json_walk *walk, struct fl_slice *key, struct fl_slice *value)
{
    const char *at = walk->at, *end = walk->end;
    if (at == end)
        return false;
    struct fl_slice name = FL_SLICE_NULL;
    if (walk->is_object) {
        const char *start = at;
        at = *at == '"' ? skip_string(at, end) : end;
        name = fl_slice_of(start, (size_t)(at - start));
        at = ce_skip_space(at, end);
        at = ce_skip_space(at < end ? at + 1 : end, end);
    }
    const char *start = at;
    at = skip_value(at, end);
    *value = fl_slice_of(start, (size_t)(at - start));
    if (key)
        *key = name;
    at = ce_skip_space(at, end);
    walk->at = ce_skip_space(at < end ? at + 1 : end, end);
    return true;
}

struct fl_slice ce_json_find(struct fl_slice value, struct fl_slice name)
{
    struct fl_slice found = FL_SLICE_NULL, key, member;
    struct ce_json_walk walk;
    if (ce_json_type_of(value) != CE_JSON_OBJECT)
        return found;
    ce_json_walk_init(&walk, value);
    while (ce_json_walk_next(&walk, &key, &member))
        if (ce_json_equals(key, name))
            found = member;
    return found;
}

struct fl_slice ce_json_find_nocase(struct fl_slice value, const char *name)
{
    struct fl_slice found = FL_SLICE_NULL, key, member;
    struct ce_json_walk walk;
    if (ce_json_type_of(value) != CE_JSON_OBJECT)
        return found;
    ce_json_walk_init(&walk, value);
    while (ce_json_walk_next(&walk, &key, &member))
        if (ce_json_equals_nocase(key, fl_slice_str(name)))
            found = member;
    return found;
}

/* --- string tokens --- */

bool ce_json_is_plain(struct fl_slice token)
{
    return token.len >= 2 && token.data[0] == '"' && token.data[token.len - 1] == '"' &&
           !memchr(token.data, '\\', token.len);
}

static size_t put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Decodes the escape at `*at` (behind the backslash, before `end`). */
static unsigned decode_escape(const char **at, const char *end)
{
    char c = *(*at)++;
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        break;
    default:
        return (unsigned char)c < 0x80 ? (unsigned char)c : 0xfffd;
    }
    int unit = ce_hex4(*at, end);
    if (unit < 0)
        return 0xfffd;
    *at += 4;
    if (unit < 0xd800 || unit >= 0xe000)
        return (unsigned)unit;
    int low = -1;
    if (ce_is_high_surrogate(unit) && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u')
        low = ce_hex4(*at + 2, end);
    if (!ce_is_low_surrogate(low))
        return 0xfffd;
    *at += 6;
    return 0x10000u + ((unsigned)(unit - 0xd800) << 10) + (unsigned)(low - 0xdc00);
}

/* Decodes the next piece of a string's inside, a run of plain text or one character, to `out`,
 * which has room for `run` bytes and a character more; returns the bytes written. `*at` < `end`. */
static size_t decode_piece(const char **at, const char *end, char *out)
{
    const char *start = *at;
    const char *stop = ce_skip_plain(start, end);
    if (stop != start) {
        size_t len = (size_t)(stop - start);
        memcpy(out, start, len);
        *at = stop;
        return len;
    }
    if (*start == '\\' && end - start >= 2) {
        *at = start + 1;
        return put_utf8(out, decode_escape(at, end));
    }
    size_t len = ce_utf8_length(start, end);
    if (len == 0) {
        *at = start + 1;
        return put_utf8(out, 0xfffd);
    }
    memcpy(out, start, len);
    *at = start + len;
    return len;
}

size_t ce_json_decode(struct fl_slice token, char *out)
{
    if (ce_json_type_of(token) != CE_JSON_STRING || token.len < 2)
        return 0;
    const char *at = token.data + 1, *end = token.data + token.len - 1;
    size_t len = 0;
    while (at < end)
        len += decode_piece(&at, end, out + len);
    return len;
}

enum fl_err ce_json_try_decode(struct fl_slice token, struct fl_buffer *out)
{
    enum fl_err err = fl_buffer_try_reserve(out, ce_json_decoded_room(token));
    if (err == FL_OK && token.len > 2)
        out->len += ce_json_decode(token, out->data + out->len);
    return err;
}

struct fl_slice ce_json_decode_in(struct fl_arena *arena, struct fl_slice token)
{
    if (ce_json_type_of(token) != CE_JSON_STRING || token.len < 2)
        return FL_SLICE_NULL;
    if (ce_json_is_plain(token) && fl_utf8_is_valid(token))
        return ce_json_inside(token);
    char *text = fl_arena_alloc(arena, ce_json_decoded_room(token) + 1);
    return fl_slice_of(text, ce_json_decode(token, text));
}

bool ce_json_equals(struct fl_slice token, struct fl_slice text)
{
    if (token.len < 2 || token.data[0] != '"')
        return false;
    const char *at = token.data + 1, *end = token.data + token.len - 1;
    size_t done = 0;
    while (at < end) {
        const char *stop = ce_skip_plain(at, end);
        char piece[4];
        const char *bytes = at;
        size_t len = (size_t)(stop - at);
        if (len > 0) {
            at = stop;
        } else {
            len = decode_piece(&at, end, piece);
            bytes = piece;
        }
        if (len > text.len - done || memcmp(bytes, text.data + done, len) != 0)
            return false;
        done += len;
    }
    return done == text.len;
}

/* One character of folded text: ASCII in lower case, and the two other letters whose case partner
 * is an ASCII letter. Advances `*at`. */
static unsigned fold_next(const char **at, const char *end)
{
    unsigned char c = (unsigned char)*(*at)++;
    size_t left = (size_t)(end - *at);
    if (c == 0xc5 && left >= 1 && (unsigned char)(*at)[0] == 0xbf) {
        *at += 1;
        return 's';
    }
    if (c == 0xe2 && left >= 2 && (unsigned char)(*at)[0] == 0x84 &&
        (unsigned char)(*at)[1] == 0xaa) {
        *at += 2;
        return 'k';
    }
    return (unsigned char)fl_ascii_lower((char)c);
}

static bool equals_folded(struct fl_slice a, struct fl_slice b)
{
    const char *at = a.data, *a_end = a.data + a.len;
    const char *b_at = b.data, *b_end = b.data + b.len;
    while (at < a_end && b_at < b_end)
        if (fold_next(&at, a_end) != fold_next(&b_at, b_end))
            return false;
    return at == a_end && b_at == b_end;
}

bool ce_json_equals_nocase(struct fl_slice token, struct fl_slice text)
{
    /* A character of a name takes at most six bytes in the token, as in \u0061. */
    char decoded[192 * 3];
    if (token.len < 2 || token.data[0] != '"' || token.len > 192)
        return false;
    if (ce_json_is_plain(token))
        return equals_folded(ce_json_inside(token), text);
    return equals_folded(fl_slice_of(decoded, ce_json_decode(token, decoded)), text);
}

/* --- numbers --- */

bool ce_json_to_i64(struct fl_slice token, int64_t *number)
{
    if (ce_json_type_of(token) != CE_JSON_NUMBER)
        return false;
    bool is_negative = token.data[0] == '-';
    struct fl_slice digits = fl_slice_of(token.data + is_negative, token.len - is_negative);
    uint64_t magnitude;
    if (!fl_slice_to_u64(digits, &magnitude) ||
        magnitude > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
        return false;
    *number = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}
