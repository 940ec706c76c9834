/* Joining and escaping; see the header.
 *
 * The rules are those of Go's net/url, whose results daprd sends. A path that is valid as it stands
 * is sent as it stands, "%2F" included. One that holds a byte which has to be escaped is decoded
 * and escaped as a whole, so "%2F" beside a space becomes a slash. A query is sent as given, but
 * for the bytes that would break the request line or that HTTP knows nothing about.
 */
#include "connectors/http/url.h"

#include <stdio.h>

/* The parts of "scheme://authority/path?query", borrowed. */
struct parts {
    struct fl_slice scheme, authority, path, query;
    bool has_query;
};

static bool is_letter(char c)
{
    return fl_ascii_lower(c) >= 'a' && fl_ascii_lower(c) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_of(char c)
{
    if (is_digit(c))
        return c - '0';
    c = fl_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What stands before the colon, if that can be a scheme; else empty. */
static struct fl_slice scheme_of(struct fl_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == ':')
            return fl_slice_of(text.data, i);
        if (!is_letter(c) && (i == 0 || (!is_digit(c) && c != '+' && c != '-' && c != '.')))
            break;
    }
    return FL_SLICE_LIT("");
}

static struct fl_slice after(struct fl_slice text, size_t len)
{
    return fl_slice_of(text.data + len, text.len - len);
}

static void split_rest(struct fl_slice rest, struct parts *parts)
{
    size_t at = 0;
    while (at < rest.len && rest.data[at] != '/' && rest.data[at] != '?')
        at++;
    parts->authority = fl_slice_of(rest.data, at);
    rest = after(rest, at);
    at = fl_slice_find_byte(rest, '?');
    parts->path = fl_slice_of(rest.data, at);
    parts->has_query = at < rest.len;
    parts->query = parts->has_query ? after(rest, at + 1) : FL_SLICE_NULL;
}

static enum fl_err split(struct fl_slice text, struct parts *parts, struct fl_error *error)
{
    parts->scheme = scheme_of(text);
    if (!fl_slice_eq_nocase(parts->scheme, FL_SLICE_LIT("http")) &&
        !fl_slice_eq_nocase(parts->scheme, FL_SLICE_LIT("https")))
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT,
                            "unsupported protocol scheme \"%.*s\"", FL_SLICE_ARG(parts->scheme));
    struct fl_slice rest = after(text, parts->scheme.len + 1);
    bool has_slashes = fl_slice_starts_with(rest, FL_SLICE_LIT("//"));
    if (has_slashes)
        split_rest(after(rest, 2), parts);
    if (!has_slashes || parts->authority.len == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "the URL names no host");
    if (fl_slice_find_byte(parts->authority, ' ') < parts->authority.len)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "the URL has a space in its host");
    return FL_OK;
}

/* --- escaping --- */

/* Stands in a path unescaped when nothing else there has to be escaped. */
static bool is_valid_in_path(char c)
{
    return is_letter(c) || is_digit(c) || (c && strchr("-_.~!$&'()*+,;=:@[]/%", c));
}

/* Stands in a path that is escaped anew. */
static bool is_plain_in_path(char c)
{
    return is_letter(c) || is_digit(c) || (c && strchr("-_.~$&+,/:;=@", c));
}

static void append_escaped(struct fl_buffer *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    fl_buffer_append(out, escape, sizeof escape);
}

static bool has_good_escapes(struct fl_slice path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.data[i] == '%' &&
            (path.len - i < 3 || hex_of(path.data[i + 1]) < 0 || hex_of(path.data[i + 2]) < 0))
            return false;
    return true;
}

static void append_path(struct fl_buffer *out, struct fl_slice path)
{
    size_t valid = 0;
    while (valid < path.len && is_valid_in_path(path.data[valid]))
        valid++;
    if (path.len == 0)
        fl_buffer_append_byte(out, '/');
    if (valid == path.len) {
        fl_buffer_append_slice(out, path);
        return;
    }
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (c == '%') {
            c = (char)(hex_of(path.data[i + 1]) << 4 | hex_of(path.data[i + 2]));
            i += 2;
        }
        if (is_plain_in_path(c))
            fl_buffer_append_byte(out, c);
        else
            append_escaped(out, (unsigned char)c);
    }
}

static void append_query(struct fl_buffer *out, struct fl_slice query)
{
    fl_buffer_append_byte(out, '?');
    for (size_t i = 0; i < query.len; i++) {
        unsigned char c = (unsigned char)query.data[i];
        if (c <= 0x20 || c >= 0x7f)
            append_escaped(out, c);
        else
            fl_buffer_append_byte(out, (char)c);
    }
}

/* --- all of it --- */

static enum fl_err check_text(struct fl_slice text, struct fl_error *error)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                                "the URL holds a control character");
    return FL_OK;
}

static enum fl_err append_url(struct fl_slice text, struct fl_buffer *out, struct fl_error *error)
{
    struct parts parts = {0};
    enum fl_err err = check_text(text, error);
    text.len = fl_slice_find_byte(text, '#');
    if (!err)
        err = split(text, &parts, error);
    if (err)
        return err;
    if (!has_good_escapes(parts.path))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "the URL's path has a %% that two hexadecimal digits do not follow");
    fl_buffer_append_slice(out, parts.scheme);
    fl_buffer_append_str(out, "://");
    fl_buffer_append_slice(out, parts.authority);
    append_path(out, parts.path);
    if (parts.has_query)
        append_query(out, parts.query);
    return FL_OK;
}

static void join(struct fl_slice url, struct fl_slice path, struct fl_buffer *out)
{
    while (url.len && url.data[url.len - 1] == '/')
        url.len--;
    while (path.len && path.data[0] == '/')
        path = after(path, 1);
    fl_buffer_append_slice(out, url);
    fl_buffer_append_byte(out, '/');
    fl_buffer_append_slice(out, path);
}

enum fl_err cn_http_url_join(struct fl_slice url, struct fl_slice path, struct fl_buffer *out,
                             struct fl_error *error)
{
    struct fl_buffer joined = {0};
    if (fl_slice_is_null(path))
        fl_buffer_append_slice(&joined, url);
    else
        join(url, path, &joined);
    enum fl_err err = append_url(fl_buffer_slice(&joined), out, error);
    if (err)
        fl_buffer_append_slice(out, fl_buffer_slice(&joined));
    fl_buffer_fini(&joined);
    return err;
}

void cn_http_make_showable(char *text)
{
    bool is_utf8 = fl_utf8_is_valid(fl_slice_str(text));
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f || (!is_utf8 && (*text & 0x80)))
            *text = '?';
}

static struct fl_slice without_user(struct fl_slice authority)
{
    for (size_t at; (at = fl_slice_find_byte(authority, '@')) < authority.len;)
        authority = after(authority, at + 1);
    return authority;
}

void cn_http_url_show(struct fl_slice url, char *out, size_t room)
{
    struct parts parts = {0};
    struct fl_error ignored;
    url.len = fl_slice_find_byte(url, '#');
    if (split(url, &parts, &ignored)) {
        /* Whatever it is, what could be a password is not shown. */
        url.len = fl_slice_find_byte(url, '@') < url.len ? 0 : fl_slice_find_byte(url, '?');
        snprintf(out, room, "%.*s", FL_SLICE_ARG(url));
    } else {
        parts.authority = without_user(parts.authority);
        snprintf(out, room, "%.*s://%.*s%.*s", FL_SLICE_ARG(parts.scheme),
                 FL_SLICE_ARG(parts.authority), FL_SLICE_ARG(parts.path));
    }
    cn_http_make_showable(out);
}
