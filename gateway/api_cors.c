/* CORS; see the header. */
#include "gateway/api_cors.h"

/* One wildcard per listed origin, spanning anything. */
static bool matches(struct fl_slice listed, struct fl_slice origin)
{
    size_t star = fl_slice_find_byte(listed, '*');
    if (star == listed.len)
        return fl_slice_eq_nocase(listed, origin);
    struct fl_slice head = fl_slice_of(listed.data, star);
    struct fl_slice tail = fl_slice_of(listed.data + star + 1, listed.len - star - 1);
    return origin.len >= head.len + tail.len && fl_slice_starts_with_nocase(origin, head) &&
           fl_slice_eq_nocase(fl_slice_of(origin.data + origin.len - tail.len, tail.len), tail);
}

/* The list is not trimmed: after "a, b" the second entry is " b" and matches nothing. */
static bool is_allowed(struct fl_slice list, struct fl_slice origin, bool *is_any)
{
    *is_any = false;
    bool found = false;
    while (list.len) {
        size_t comma = fl_slice_find_byte(list, ',');
        struct fl_slice one = fl_slice_of(list.data, comma);
        if (fl_slice_eq_str(one, "*"))
            *is_any = true;
        found |= *is_any || matches(one, origin);
        comma += comma < list.len;
        list = fl_slice_of(list.data + comma, list.len - comma);
    }
    return found;
}

static bool is_method_allowed(struct fl_slice method)
{
    static const char *const names[] = {"HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (fl_slice_eq_nocase(method, fl_slice_str(names[i])))
            return true;
    }
    return false;
}

static void append_upper(struct fl_buffer *out, struct fl_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        fl_buffer_append_byte(out, c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
    }
}

/* A list of header names in canonical case, joined by ", ". */
static void append_canonical(struct fl_buffer *out, struct fl_slice list)
{
    bool is_first = true;
    while (list.len) {
        size_t comma = fl_slice_find_byte(list, ',');
        struct fl_slice name = fl_slice_trim(fl_slice_of(list.data, comma));
        comma += comma < list.len;
        list = fl_slice_of(list.data + comma, list.len - comma);
        if (name.len == 0)
            continue;
        if (!is_first)
            fl_buffer_append_str(out, ", ");
        is_first = false;
        bool starts_word = true;
        for (size_t i = 0; i < name.len; i++) {
            char c = fl_ascii_lower(name.data[i]);
            if (starts_word && c >= 'a' && c <= 'z')
                c = (char)(c - 32);
            starts_word = c == '-';
            fl_buffer_append_byte(out, c);
        }
    }
}

static void append_origin(struct fl_buffer *lines, bool is_any, struct fl_slice origin)
{
    fl_buffer_printf(lines, "Access-Control-Allow-Origin: %.*s\r\n",
                     FL_SLICE_ARG(is_any ? FL_SLICE_LIT("*") : origin));
}

bool gw_cors_apply(struct fl_slice allowed_origins, struct fl_slice method,
                   const struct gw_request_fields *fields, struct fl_buffer *lines)
{
    bool is_any;
    bool is_ok = fields->origin.len && is_allowed(allowed_origins, fields->origin, &is_any);
    if (!fl_slice_eq_str(method, "OPTIONS") || fields->access_control_method.len == 0) {
        fl_buffer_append_str(lines, "Vary: Origin\r\n");
        if (is_ok)
            append_origin(lines, is_any, fields->origin);
        return false;
    }
    fl_buffer_append_str(lines, "Vary: Origin\r\nVary: Access-Control-Request-Method\r\n"
                                "Vary: Access-Control-Request-Headers\r\n");
    if (!is_ok || !is_method_allowed(fields->access_control_method))
        return true;
    append_origin(lines, is_any, fields->origin);
    fl_buffer_append_str(lines, "Access-Control-Allow-Methods: ");
    append_upper(lines, fields->access_control_method);
    fl_buffer_append_str(lines, "\r\n");
    if (fields->access_control_headers.len) {
        fl_buffer_append_str(lines, "Access-Control-Allow-Headers: ");
        append_canonical(lines, fields->access_control_headers);
        fl_buffer_append_str(lines, "\r\n");
    }
    return true;
}
