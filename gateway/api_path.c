/* Targets and paths; see the header. */
#include "gateway/api_path.h"

bool gw_target_split(struct fl_slice target, struct fl_slice *path, struct fl_slice *query)
{
    if (target.len && target.data[0] != '/' && target.data[0] != '?') {
        bool is_http = fl_slice_starts_with_nocase(target, FL_SLICE_LIT("http://"));
        bool is_https = fl_slice_starts_with_nocase(target, FL_SLICE_LIT("https://"));
        if (!is_http && !is_https)
            return false;
        size_t skip = is_http ? 7 : 8;
        while (skip < target.len && target.data[skip] != '/' && target.data[skip] != '?')
            skip++;
        target = fl_slice_of(target.data + skip, target.len - skip);
    }
    size_t mark = fl_slice_find_byte(target, '?');
    *path = fl_slice_of(target.data, mark);
    *query = mark < target.len ? fl_slice_of(target.data + mark + 1, target.len - mark - 1)
                               : FL_SLICE_NULL;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = fl_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_escape(struct fl_slice text, size_t at)
{
    return at + 2 < text.len && hex_value(text.data[at + 1]) >= 0 &&
           hex_value(text.data[at + 2]) >= 0;
}

bool gw_path_escapes_are_valid(struct fl_slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] == '%' && !is_escape(path, i))
            return false;
    }
    return true;
}

static bool is_clean(struct fl_slice path)
{
    if (path.len == 0 || path.data[0] != '/' || (path.len > 1 && path.data[path.len - 1] == '/'))
        return false;
    for (size_t i = 0; i + 1 < path.len; i++) {
        if (path.data[i] == '/' && (path.data[i + 1] == '/' || path.data[i + 1] == '.'))
            return false;
    }
    return true;
}

struct fl_slice gw_path_clean(struct fl_arena *arena, struct fl_slice path)
{
    if (is_clean(path))
        return path;
    char *out = fl_arena_alloc(arena, path.len + 2);
    size_t len = 0, at = 0;
    while (at < path.len) {
        size_t end = at;
        while (end < path.len && path.data[end] != '/')
            end++;
        struct fl_slice part = fl_slice_of(path.data + at, end - at);
        at = end + 1;
        if (part.len == 0 || fl_slice_eq_str(part, "."))
            continue;
        if (fl_slice_eq_str(part, "..")) {
            while (len && out[--len] != '/')
                ;
            continue;
        }
        out[len++] = '/';
        memcpy(out + len, part.data, part.len);
        len += part.len;
    }
    if (len == 0)
        out[len++] = '/';
    return fl_slice_of(out, len);
}

static bool decode(struct fl_arena *arena, struct fl_slice text, bool plus_is_space,
                   struct fl_slice *decoded)
{
    bool is_plain = true;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%' && !is_escape(text, i))
            return false;
        is_plain &= text.data[i] != '%' && !(plus_is_space && text.data[i] == '+');
    }
    *decoded = text;
    if (is_plain)
        return true;
    char *out = fl_arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            c = (char)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
            i += 2;
        } else if (plus_is_space && c == '+') {
            c = ' ';
        }
        out[len++] = c;
    }
    *decoded = fl_slice_of(out, len);
    return true;
}

bool gw_query_decode(struct fl_arena *arena, struct fl_slice text, struct fl_slice *decoded)
{
    return decode(arena, text, true, decoded);
}

bool gw_path_decode(struct fl_arena *arena, struct fl_slice text, struct fl_slice *decoded)
{
    return decode(arena, text, false, decoded);
}

/* --- the other direction --- */

static bool is_among(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (fl_ascii_lower(c) >= 'a' && fl_ascii_lower(c) <= 'z');
}

/* Every byte may stand in a path as it is. */
static bool is_encoded(struct fl_slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (!is_alphanumeric(path.data[i]) && !is_among(path.data[i], "-_.~/!$&'()*+,;=:@[]%"))
            return false;
    }
    return gw_path_escapes_are_valid(path);
}

static void append_escape(struct fl_buffer *out, char c)
{
    fl_buffer_printf(out, "%%%02X", (unsigned char)c);
}

/* One byte out of place and Go decodes the path and writes it anew. */
static void append_path(struct fl_buffer *out, struct fl_slice path)
{
    if (is_encoded(path)) {
        fl_buffer_append_slice(out, path);
        return;
    }
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (c == '%' && is_escape(path, i)) {
            c = (char)(hex_value(path.data[i + 1]) << 4 | hex_value(path.data[i + 2]));
            i += 2;
        }
        if (is_alphanumeric(c) || is_among(c, "-_.~/$&+,;=:@"))
            fl_buffer_append_byte(out, c);
        else
            append_escape(out, c);
    }
}

void gw_target_append(struct fl_buffer *out, struct fl_slice path)
{
    path = fl_slice_of(path.data, fl_slice_find_byte(path, '#'));
    size_t mark = fl_slice_find_byte(path, '?');
    append_path(out, fl_slice_of(path.data, mark));
    for (size_t i = mark; i < path.len; i++) {
        if ((unsigned char)path.data[i] <= ' ' || path.data[i] == 0x7f)
            append_escape(out, path.data[i]);
        else
            fl_buffer_append_byte(out, path.data[i]);
    }
}
