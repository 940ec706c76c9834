/* JSON text in Go's manner, and base64; see json_write.h.
 *
 * Strings go through one function that writes the next escape, used by the measuring and the
 * writing loop alike, so the two cannot disagree. Runs without any escape are copied whole.
 *
 * The rewriter has no tree and no recursion. A first pass over the text notes for each container
 * where it ends and how many containers opened before that, in order of opening, so a member can be
 * skipped in one step however deep it is. The second pass keeps a stack of frames; an object's
 * members are collected on a second stack and sorted before the first of them is written.
 */
#include "cloudevents/json_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cloudevents/json_bytes_priv.h"
#include "cloudevents/json_scan.h"

/* --- strings --- */

static size_t put_text(char out[6], const char *text, size_t len)
{
    memcpy(out, text, len);
    return len;
}

static size_t put_ascii_escape(char out[6], unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (c < sizeof letters && letters[c]) {
        out[0] = '\\';
        out[1] = letters[c];
        return 2;
    }
    memcpy(out, "\\u00", 4);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

/* Writes the character at `*at`, which is not clean or is the first of a character beyond ASCII,
 * and moves behind it. */
static size_t put_character(const char **at, const char *end, char out[6])
{
    const char *start = *at;
    unsigned char c = (unsigned char)*start;
    if (c < 0x80) {
        *at = start + 1;
        return put_ascii_escape(out, c);
    }
    size_t len = ce_utf8_length(start, end);
    *at = start + (len ? len : 1);
    if (len == 0)
        return put_text(out, "\\ufffd", 6);
    if (len == 3 && memcmp(start, "\xe2\x80", 2) == 0) {
        if ((unsigned char)start[2] == 0xa8)
            return put_text(out, "\\u2028", 6);
        if ((unsigned char)start[2] == 0xa9)
            return put_text(out, "\\u2029", 6);
    }
    return put_text(out, start, len);
}

size_t ce_json_string_size(struct fl_slice text)
{
    size_t size = 2;
    const char *at = ce_slice_start(text), *end = at + text.len;
    while (at < end) {
        const char *stop = ce_skip_clean(at, end);
        size += (size_t)(stop - at);
        at = stop;
        char escape[6];
        if (at < end)
            size += put_character(&at, end, escape);
    }
    return size;
}

char *ce_json_put_string(char *out, struct fl_slice text)
{
    *out++ = '"';
    const char *at = ce_slice_start(text), *end = at + text.len;
    while (at < end) {
        const char *stop = ce_skip_clean(at, end);
        memcpy(out, at, (size_t)(stop - at));
        out += stop - at;
        at = stop;
        char escape[6];
        if (at < end) {
            size_t len = put_character(&at, end, escape);
            memcpy(out, escape, len);
            out += len;
        }
    }
    *out++ = '"';
    return out;
}

enum fl_err ce_json_try_string(struct fl_buffer *out, struct fl_slice text)
{
    size_t size = ce_json_string_size(text);
    enum fl_err err = fl_buffer_try_reserve(out, size);
    if (err == FL_OK) {
        ce_json_put_string(out->data + out->len, text);
        out->len += size;
    }
    return err;
}

void ce_json_append_string(struct fl_buffer *out, struct fl_slice text)
{
    size_t size = ce_json_string_size(text);
    fl_buffer_reserve(out, size);
    ce_json_put_string(out->data + out->len, text);
    out->len += size;
}

void ce_json_append_key(struct fl_buffer *out, const char *key)
{
    char last = out->len ? out->data[out->len - 1] : '{';
    if (last != '{' && last != '[')
        fl_buffer_append_byte(out, ',');
    ce_json_append_string(out, fl_slice_str(key));
    fl_buffer_append_byte(out, ':');
}

/* --- repair --- */

/* What stands for the piece of a string at `*at`, which is not plain: itself, or U+FFFD. Moves
 * behind the piece. */
static struct fl_slice repair_piece(const char **at, const char *end)
{
    const char *start = *at;
    bool is_bad = false;
    if (*start != '\\') {
        size_t len = ce_utf8_length(start, end);
        is_bad = len == 0;
        *at = start + (is_bad ? 1 : len);
    } else if (end - start < 6 || start[1] != 'u') {
        *at = start + (end - start < 2 ? 1 : 2);
    } else {
        int unit = ce_hex4(start + 2, end);
        *at = start + 6;
        if (ce_is_high_surrogate(unit) && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' &&
            ce_is_low_surrogate(ce_hex4(*at + 2, end)))
            *at += 6;
        else
            is_bad = ce_is_high_surrogate(unit) || ce_is_low_surrogate(unit);
    }
    return is_bad ? FL_SLICE_LIT("\xef\xbf\xbd") : fl_slice_of(start, (size_t)(*at - start));
}

/* In a validated value only strings hold anything that is not plain, save their quotes. */
size_t ce_json_repaired_size(struct fl_slice value)
{
    size_t size = 0;
    const char *at = ce_slice_start(value), *end = at + value.len;
    while (at < end) {
        const char *stop = ce_skip_plain(at, end);
        size += (size_t)(stop - at);
        at = stop;
        if (at < end)
            size += repair_piece(&at, end).len;
    }
    return size;
}

char *ce_json_put_repaired(char *out, struct fl_slice value)
{
    const char *at = ce_slice_start(value), *end = at + value.len;
    while (at < end) {
        const char *stop = ce_skip_plain(at, end);
        memcpy(out, at, (size_t)(stop - at));
        out += stop - at;
        at = stop;
        if (at < end) {
            struct fl_slice piece = repair_piece(&at, end);
            memcpy(out, piece.data, piece.len);
            out += piece.len;
        }
    }
    return out;
}

/* --- numbers --- */

/* The shortest digits that read back as `number`, as d.ddde±x. All doubles keep 15 digits; those
 * near zero have fewer to give, so there every length is tried. */
static void print_shortest(double number, char *text, size_t room)
{
    int precision = fabs(number) < 2.3e-308 ? 0 : 14;
    for (; precision < 16; precision++) {
        snprintf(text, room, "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            return;
    }
    snprintf(text, room, "%.16e", number);
}

size_t ce_json_format_double(double number, char out[32])
{
    if (number == 0) {
        memcpy(out, "-0", 2);
        if (signbit(number))
            return 2;
        out[0] = '0';
        return 1;
    }
    char text[40], digits[20];
    print_shortest(number, text, sizeof text);
    int exponent = atoi(strchr(text, 'e') + 1);
    size_t count = 0, len = 0;
    const char *at = text;
    if (*at == '-')
        out[len++] = *at++;
    for (; *at != 'e'; at++)
        if (*at != '.')
            digits[count++] = *at;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    if (exponent < -6 || exponent >= 21) {
        out[len++] = digits[0];
        if (count > 1) {
            out[len++] = '.';
            memcpy(out + len, digits + 1, count - 1);
            len += count - 1;
        }
        char tail[8];
        size_t tail_len =
            (size_t)snprintf(tail, sizeof tail, "e%c%d", exponent < 0 ? '-' : '+', abs(exponent));
        memcpy(out + len, tail, tail_len);
        return len + tail_len;
    }
    if (exponent < 0) {
        memcpy(out + len, "0.00000", (size_t)(1 - exponent));
        len += (size_t)(1 - exponent);
        memcpy(out + len, digits, count);
        return len + count;
    }
    for (size_t i = 0; i < count || i <= (size_t)exponent; i++) {
        if (i == (size_t)exponent + 1)
            out[len++] = '.';
        out[len++] = i < count ? digits[i] : '0';
    }
    return len;
}

/* --- rewriting --- */

struct container {
    uint32_t end;  /* behind its closing bracket; while it is open: the container around it */
    uint32_t next; /* how many containers opened before it ended */
};

struct member {
    const char *key; /* decoded */
    uint32_t key_len;
    uint32_t value_at;
    uint32_t ordinal; /* of the first container at or behind the value */
};

struct frame {
    bool is_object;
    bool is_first;
    uint32_t at, end;      /* array: the place in the text, and of the closing bracket */
    uint32_t ordinal;      /* array: of the next container */
    uint32_t first, count; /* object: its members on the stack, and how many are left to write */
    uint32_t done;
};

struct rewriter {
    struct fl_buffer *out;
    const char *text, *end;
    struct fl_buffer containers, members, frames;
    struct fl_buffer keys;    /* decoded keys, reserved once so that they do not move */
    struct fl_buffer scratch; /* one string or number */
};

static const char *skip_token(const char *at, const char *end)
{
    if (*at != '"') {
        while (at < end && *at != ',' && *at != '}' && *at != ']' && !ce_is_json_space(*at))
            at++;
        return at;
    }
    at++;
    while ((at = ce_skip_plain(at, end)) < end) {
        if (*at == '"')
            return at + 1;
        at += *at == '\\' && end - at >= 2 ? 2 : 1;
    }
    return end;
}

static enum fl_err index_containers(struct rewriter *w)
{
    uint32_t open = UINT32_MAX;
    const char *at = w->text;
    while (at < w->end) {
        struct container *all = (struct container *)(void *)w->containers.data;
        size_t count = w->containers.len / sizeof *all;
        if (*at == '"') {
            at = skip_token(at, w->end);
            continue;
        }
        if (*at == '{' || *at == '[') {
            struct container c = {.end = open};
            enum fl_err err = fl_buffer_try_append(&w->containers, &c, sizeof c);
            if (err != FL_OK)
                return err;
            open = (uint32_t)count;
        } else if ((*at == '}' || *at == ']') && open != UINT32_MAX) {
            uint32_t around = all[open].end;
            all[open] = (struct container){(uint32_t)(at + 1 - w->text), (uint32_t)count};
            open = around;
        }
        at++;
    }
    return FL_OK;
}

/* Moves `*at` behind the value there, and `*ordinal` past the containers in it. */
static void skip_indexed(const struct rewriter *w, const char **at, uint32_t *ordinal)
{
    if (**at == '{' || **at == '[') {
        const struct container *c = (const struct container *)(const void *)w->containers.data;
        *at = w->text + c[*ordinal].end;
        *ordinal = c[*ordinal].next;
    } else {
        *at = skip_token(*at, w->end);
    }
}

static enum fl_err set_key(struct rewriter *w, struct member *member, struct fl_slice token)
{
    struct fl_slice key = ce_json_inside(token);
    if (!ce_json_is_plain(token) || !fl_utf8_is_valid(key)) {
        if (!w->keys.data) {
            size_t room = ce_json_decoded_room(fl_slice_of(w->text, (size_t)(w->end - w->text)));
            enum fl_err err = fl_buffer_try_reserve(&w->keys, room);
            if (err != FL_OK)
                return err;
        }
        char *decoded = w->keys.data + w->keys.len;
        key = fl_slice_of(decoded, ce_json_decode(token, decoded));
        w->keys.len += key.len;
    }
    member->key = key.data;
    member->key_len = (uint32_t)key.len;
    return FL_OK;
}

/* By key, then by place in the text. */
static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = fl_slice_compare(fl_slice_of(x->key, x->key_len), fl_slice_of(y->key, y->key_len));
    return order ? order : (x->value_at > y->value_at) - (x->value_at < y->value_at);
}

/* Sorts, and keeps the last of each run of equal keys; returns how many are left. */
static size_t sort_members(struct member *members, size_t count)
{
    qsort(members, count, sizeof *members, compare_members);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_repeated = i + 1 < count && members[i].key_len == members[i + 1].key_len &&
                           memcmp(members[i].key, members[i + 1].key, members[i].key_len) == 0;
        if (!is_repeated)
            members[kept++] = members[i];
    }
    return kept;
}

/* Collects the members of the object whose opening bracket is at `at`. */
static enum fl_err open_object(struct rewriter *w, const char *at, uint32_t ordinal)
{
    struct frame frame = {.is_object = true, .is_first = true};
    size_t first = w->members.len;
    ordinal++;
    at = ce_skip_space(at + 1, w->end);
    while (*at != '}') {
        struct member member;
        const char *key_at = at;
        at = skip_token(at, w->end);
        enum fl_err err = set_key(w, &member, fl_slice_of(key_at, (size_t)(at - key_at)));
        at = ce_skip_space(at, w->end);
        at = ce_skip_space(at + 1, w->end);
        member.value_at = (uint32_t)(at - w->text);
        member.ordinal = ordinal;
        if (err == FL_OK)
            err = fl_buffer_try_append(&w->members, &member, sizeof member);
        if (err != FL_OK)
            return err;
        skip_indexed(w, &at, &ordinal);
        at = ce_skip_space(at, w->end);
        if (*at == ',')
            at = ce_skip_space(at + 1, w->end);
    }
    frame.first = (uint32_t)(first / sizeof(struct member));
    if (w->members.len > first) {
        struct member *members = (struct member *)(void *)(w->members.data + first);
        frame.count = (uint32_t)sort_members(members, (w->members.len - first) / sizeof *members);
    }
    enum fl_err err = fl_buffer_try_append(&w->frames, &frame, sizeof frame);
    return err == FL_OK ? fl_buffer_try_append(w->out, "{", 1) : err;
}

static enum fl_err open_array(struct rewriter *w, const char *at, uint32_t ordinal)
{
    const struct container *c = (const struct container *)(const void *)w->containers.data;
    struct frame frame = {.is_first = true,
                          .at = (uint32_t)(at + 1 - w->text),
                          .end = c[ordinal].end - 1,
                          .ordinal = ordinal + 1};
    enum fl_err err = fl_buffer_try_append(&w->frames, &frame, sizeof frame);
    return err == FL_OK ? fl_buffer_try_append(w->out, "[", 1) : err;
}

static enum fl_err rewrite_number(struct rewriter *w, struct fl_slice token)
{
    /* Integers that every double holds are written as they are. */
    if (token.len <= 15 && !memchr(token.data, '.', token.len) &&
        !memchr(token.data, 'e', token.len) && !memchr(token.data, 'E', token.len))
        return fl_buffer_try_append(w->out, token.data, token.len);
    fl_buffer_clear(&w->scratch);
    enum fl_err err = fl_buffer_try_reserve(&w->scratch, token.len + 1);
    if (err != FL_OK)
        return err;
    memcpy(w->scratch.data, token.data, token.len);
    w->scratch.data[token.len] = '\0';
    double number = strtod(w->scratch.data, NULL);
    if (!isfinite(number))
        return FL_ERR_INVALID;
    char text[32];
    return fl_buffer_try_append(w->out, text, ce_json_format_double(number, text));
}

static enum fl_err rewrite_string(struct rewriter *w, struct fl_slice token)
{
    struct fl_slice inside = ce_json_inside(token);
    if (ce_skip_clean(inside.data, inside.data + inside.len) == inside.data + inside.len)
        return fl_buffer_try_append(w->out, token.data, token.len);
    fl_buffer_clear(&w->scratch);
    enum fl_err err = ce_json_try_decode(token, &w->scratch);
    return err == FL_OK ? ce_json_try_string(w->out, fl_buffer_slice(&w->scratch)) : err;
}

static enum fl_err rewrite_value(struct rewriter *w, const char *at, uint32_t ordinal)
{
    if (*at == '{')
        return open_object(w, at, ordinal);
    if (*at == '[')
        return open_array(w, at, ordinal);
    struct fl_slice token = fl_slice_of(at, (size_t)(skip_token(at, w->end) - at));
    if (*at == '"')
        return rewrite_string(w, token);
    if (*at == '-' || (*at >= '0' && *at <= '9'))
        return rewrite_number(w, token);
    return fl_buffer_try_append(w->out, token.data, token.len);
}

static enum fl_err begin_item(struct rewriter *w, struct frame *frame)
{
    bool is_first = frame->is_first;
    frame->is_first = false;
    return is_first ? FL_OK : fl_buffer_try_append(w->out, ",", 1);
}

/* Writes the next element, or the end of the array. */
static enum fl_err step_array(struct rewriter *w, struct frame *frame)
{
    const char *at = ce_skip_space(w->text + frame->at, w->end);
    if (*at == ',')
        at = ce_skip_space(at + 1, w->end);
    if ((size_t)(at - w->text) >= frame->end) {
        w->frames.len -= sizeof *frame;
        return fl_buffer_try_append(w->out, "]", 1);
    }
    const char *value = at;
    uint32_t ordinal = frame->ordinal;
    skip_indexed(w, &at, &frame->ordinal);
    frame->at = (uint32_t)(at - w->text);
    enum fl_err err = begin_item(w, frame);
    return err == FL_OK ? rewrite_value(w, value, ordinal) : err;
}

/* Writes the next member, or the end of the object. */
static enum fl_err step_object(struct rewriter *w, struct frame *frame)
{
    if (frame->done == frame->count) {
        w->members.len = frame->first * sizeof(struct member);
        w->frames.len -= sizeof *frame;
        return fl_buffer_try_append(w->out, "}", 1);
    }
    const struct member *members = (const struct member *)(const void *)w->members.data;
    struct member member = members[frame->first + frame->done++];
    enum fl_err err = begin_item(w, frame);
    if (err == FL_OK)
        err = ce_json_try_string(w->out, fl_slice_of(member.key, member.key_len));
    if (err == FL_OK)
        err = fl_buffer_try_append(w->out, ":", 1);
    return err == FL_OK ? rewrite_value(w, w->text + member.value_at, member.ordinal) : err;
}

enum fl_err ce_json_try_rewrite(struct fl_buffer *out, struct fl_slice value)
{
    if (value.len >= UINT32_MAX)
        return FL_ERR_TOO_LARGE;
    struct rewriter w = {.out = out, .text = value.data, .end = value.data + value.len};
    size_t before = out->len;
    enum fl_err err = index_containers(&w);
    if (err == FL_OK)
        err = rewrite_value(&w, w.text, 0);
    while (err == FL_OK && w.frames.len > 0) {
        struct frame *top =
            (struct frame *)(void *)(w.frames.data + w.frames.len - sizeof(struct frame));
        err = top->is_object ? step_object(&w, top) : step_array(&w, top);
    }
    if (err != FL_OK)
        out->len = before;
    fl_buffer_fini(&w.containers);
    fl_buffer_fini(&w.members);
    fl_buffer_fini(&w.frames);
    fl_buffer_fini(&w.keys);
    fl_buffer_fini(&w.scratch);
    return err;
}

/* --- base64 --- */

static const char base64_letters[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *ce_base64_put(char *out, struct fl_slice bytes)
{
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t i = 0;
    for (; i + 3 <= bytes.len; i += 3, out += 4) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        out[0] = base64_letters[v >> 18];
        out[1] = base64_letters[v >> 12 & 63];
        out[2] = base64_letters[v >> 6 & 63];
        out[3] = base64_letters[v & 63];
    }
    size_t left = bytes.len - i;
    if (left > 0) {
        uint32_t v = (uint32_t)in[i] << 16 | (left == 2 ? (uint32_t)in[i + 1] << 8 : 0);
        out[0] = base64_letters[v >> 18];
        out[1] = base64_letters[v >> 12 & 63];
        out[2] = left == 2 ? base64_letters[v >> 6 & 63] : '=';
        out[3] = '=';
        out += 4;
    }
    return out;
}

void ce_base64_append(struct fl_buffer *out, struct fl_slice bytes)
{
    size_t size = ce_base64_size(bytes.len);
    fl_buffer_reserve(out, size);
    if (size > 0)
        ce_base64_put(out->data + out->len, bytes);
    out->len += size;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t skip_newlines(struct fl_slice text, size_t at, bool is_wanted)
{
    while (is_wanted && at < text.len && (text.data[at] == '\n' || text.data[at] == '\r'))
        at++;
    return at;
}

/* Checks the padding, whose first `=` is at `at`, behind `digits` digits of a group, and the end of
 * the text. */
static bool is_padding(struct fl_slice text, size_t at, unsigned digits, bool skips, size_t *bad)
{
    *bad = at;
    if (digits < 2)
        return false;
    at = skip_newlines(text, at + 1, skips);
    if (digits == 2) {
        *bad = at;
        if (at == text.len || text.data[at] != '=')
            return false;
        at = skip_newlines(text, at + 1, skips);
    }
    *bad = at;
    return at == text.len;
}

/* Decodes to `out` and returns its end, or NULL with the place in `bad`. */
static char *decode_base64(struct fl_slice text, bool skips, char *out, size_t *bad)
{
    uint32_t group = 0;
    unsigned digits = 0;
    size_t start = 0, at = skip_newlines(text, 0, skips);
    for (; at < text.len; at = skip_newlines(text, at + 1, skips)) {
        int value = base64_value(text.data[at]);
        if (value < 0)
            break;
        if (digits == 0)
            start = at;
        group = group << 6 | (uint32_t)value;
        if (++digits < 4)
            continue;
        *out++ = (char)(group >> 16);
        *out++ = (char)(group >> 8);
        *out++ = (char)group;
        digits = 0;
        group = 0;
    }
    *bad = at < text.len ? at : start;
    if (at == text.len)
        return digits == 0 ? out : NULL;
    if (text.data[at] != '=' || !is_padding(text, at, digits, skips, bad))
        return NULL;
    group <<= 6 * (4 - digits);
    *out++ = (char)(group >> 16);
    if (digits == 3)
        *out++ = (char)(group >> 8);
    return out;
}

enum fl_err ce_base64_try_decode(struct fl_slice text, bool skips_newlines, struct fl_buffer *out,
                                 size_t *bad_at)
{
    enum fl_err err = fl_buffer_try_reserve(out, text.len / 4 * 3 + 3);
    if (err != FL_OK)
        return err;
    size_t bad;
    char *end = decode_base64(text, skips_newlines, out->data + out->len, &bad);
    if (!end) {
        if (bad_at)
            *bad_at = bad;
        return FL_ERR_INVALID;
    }
    out->len = (size_t)(end - out->data);
    return FL_OK;
}
