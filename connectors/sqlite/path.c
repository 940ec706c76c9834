/* Reading `connectionString`; see the header.
 *
 * The order is: take the form apart (path, URI), look at the parameters, judge the name, make it
 * absolute, follow links. A parameter that would change nothing for a broker is accepted, so that
 * a string written for Dapr's state.sqlite can be kept; one that asks for what a broker cannot give
 * is refused, since a database in memory that turns out to be a file, or the other way round, is
 * noticed too late.
 */
#include "connectors/sqlite/path.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static const char default_name[] = "broker.db";

static enum fl_err invalid(struct fl_error *error, const char *what, struct fl_slice value)
{
    if (value.len > 200)
        value.len = 200;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "%s: %.*s", what,
                        FL_SLICE_ARG(value));
}

/* --- percent-encoding --- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = fl_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum fl_err decode(struct fl_slice text, struct fl_buffer *out, struct fl_error *error)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            fl_buffer_append_byte(out, text.data[i]);
            continue;
        }
        int high = i + 2 < text.len ? hex_of(text.data[i + 1]) : -1;
        int low = i + 2 < text.len ? hex_of(text.data[i + 2]) : -1;
        if (high < 0 || low < 0)
            return invalid(error, "a % without two hexadecimal digits", text);
        fl_buffer_append_byte(out, (char)(high << 4 | low));
        i += 2;
    }
    return FL_OK;
}

/* --- parameters --- */

struct parameter {
    const char *key;
    const char *accepted[3];
    const char *advice;
};

static const struct parameter parameters[] = {
    {"mode",
     {"rw", "rwc"},
     "a broker writes: use mode=rw or mode=rwc, and for a broker in memory a component of type "
     "pubsub.in-memory"},
    {"cache",
     {"private"},
     "connections do not share a cache here: use cache=private or leave it out"},
    {"_txlock",
     {"deferred", "immediate", "exclusive"},
     "use deferred, immediate or exclusive, or leave it out"},
    {"vfs", {NULL}, "Fairlead brings its own: leave it out"},
    {"immutable", {NULL}, "a broker writes: leave it out"},
    {"nolock", {NULL}, "several processes may use the file: leave it out"},
    {"_pragma", {NULL}, "Fairlead sets its own: leave it out"},
};

static const struct parameter *find_parameter(struct fl_slice key)
{
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (fl_slice_eq_str(key, parameters[i].key))
            return &parameters[i];
    return NULL;
}

static enum fl_err check_parameter(struct fl_slice key, struct fl_slice value,
                                   struct fl_error *error)
{
    const struct parameter *parameter = find_parameter(key);
    if (!parameter)
        return invalid(error, "a parameter that is not known (mode, cache and _txlock are)", key);
    for (int i = 0; i < 3 && parameter->accepted[i]; i++)
        if (fl_slice_eq_str(value, parameter->accepted[i]))
            return FL_OK;
    if (value.len > 100)
        value.len = 100;
    return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_FATAL, "%s=%.*s is not possible: %s",
                        parameter->key, FL_SLICE_ARG(value), parameter->advice);
}

/* Cuts `s` at the first `byte`: *rest is what follows it, null when there is none. */
static struct fl_slice cut(struct fl_slice s, char byte, struct fl_slice *rest)
{
    size_t at = fl_slice_find_byte(s, byte);
    *rest = at < s.len ? fl_slice_of(s.data + at + 1, s.len - at - 1) : FL_SLICE_NULL;
    return fl_slice_of(s.data, at);
}

static enum fl_err check_pair(struct fl_slice pair, struct fl_error *error)
{
    struct fl_buffer key = {0}, value = {0};
    struct fl_slice value_text, key_text = cut(pair, '=', &value_text);
    enum fl_err err = decode(key_text, &key, error);
    if (!err)
        err = decode(value_text, &value, error);
    if (!err)
        err = check_parameter(fl_buffer_slice(&key), fl_buffer_slice(&value), error);
    fl_buffer_fini(&key);
    fl_buffer_fini(&value);
    return err;
}

static enum fl_err check_query(struct fl_slice query, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    while (!err && query.len > 0) {
        struct fl_slice pair = cut(query, '&', &query);
        if (pair.len > 0)
            err = check_pair(pair, error);
    }
    return err;
}

/* --- forms --- */

/* What follows `file:`, up to the parameters. With an authority the path begins at the next slash.
 */
static enum fl_err take_uri(struct fl_slice uri, struct fl_buffer *name, struct fl_error *error)
{
    if (fl_slice_starts_with(uri, FL_SLICE_LIT("//"))) {
        uri = fl_slice_of(uri.data + 2, uri.len - 2);
        size_t slash = fl_slice_find_byte(uri, '/');
        struct fl_slice authority = fl_slice_of(uri.data, slash);
        if (authority.len > 0 && !fl_slice_eq_nocase(authority, FL_SLICE_LIT("localhost")))
            return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_FATAL,
                                "the file is on host %.*s: use file:///PATH for one of this host",
                                (int)(authority.len < 200 ? authority.len : 200), authority.data);
        uri = fl_slice_of(uri.data + slash, uri.len - slash);
    }
    return decode(uri, name, error);
}

/* Only a URI has a fragment, which begins at the first # and means nothing here. */
static enum fl_err take_apart(struct fl_slice text, struct fl_buffer *name, struct fl_error *error)
{
    const struct fl_slice scheme = FL_SLICE_LIT("file:");
    bool is_uri = fl_slice_starts_with_nocase(text, scheme);
    struct fl_slice query, fragment;
    enum fl_err err = FL_OK;
    if (is_uri)
        text = cut(fl_slice_of(text.data + scheme.len, text.len - scheme.len), '#', &fragment);
    text = cut(text, '?', &query);
    if (is_uri)
        err = take_uri(text, name, error);
    else
        fl_buffer_append_slice(name, text);
    return err ? err : check_query(query, error);
}

static enum fl_err take_default(struct fl_slice data_dir, struct fl_buffer *name,
                                struct fl_error *error)
{
    if (data_dir.len == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "there is no folder for data: set connectionString or --data-dir");
    fl_buffer_append_slice(name, data_dir);
    if (name->data[name->len - 1] != '/')
        fl_buffer_append_byte(name, '/');
    fl_buffer_append_str(name, default_name);
    return FL_OK;
}

/* --- the name --- */

static bool ends_with(struct fl_slice s, struct fl_slice end)
{
    return s.len >= end.len && fl_slice_eq(fl_slice_of(s.data + s.len - end.len, end.len), end);
}

static enum fl_err check_name(struct fl_slice name, struct fl_error *error)
{
    if (name.len == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "connectionString names no file");
    if (fl_slice_find_byte(name, '\0') < name.len)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "a NUL in the path of connectionString");
    if (fl_slice_starts_with(name, FL_SLICE_LIT(":memory:")))
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_FATAL,
                            "a broker in memory is a component of type pubsub.in-memory");
    if (ends_with(name, FL_SLICE_LIT("/")) || ends_with(name, FL_SLICE_LIT("/.")) ||
        ends_with(name, FL_SLICE_LIT("/..")) || fl_slice_eq_str(name, ".") ||
        fl_slice_eq_str(name, ".."))
        return invalid(error, "connectionString names a folder, not a file", name);
    return FL_OK;
}

static enum fl_err make_absolute(struct fl_slice name, struct fl_buffer *out,
                                 struct fl_error *error)
{
    if (name.data[0] != '/') {
        char folder[PATH_MAX];
        if (!getcwd(folder, sizeof folder) || folder[0] != '/')
            return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "no working directory: %s",
                                strerror(errno));
        fl_buffer_append_str(out, folder);
        fl_buffer_append_byte(out, '/');
    }
    fl_buffer_append_slice(out, name);
    return FL_OK;
}

/* Follows links in the longest part of `name` that exists; what is missing stays as it is. */
static void follow_links(struct fl_buffer *name)
{
    size_t len = name->len;
    char real[PATH_MAX];
    while (len > 0) {
        char *head = fl_strdup(fl_slice_of(name->data, len));
        bool is_found = realpath(head, real) != NULL;
        fl_free(head);
        if (is_found) {
            struct fl_buffer whole = {0};
            fl_buffer_append_str(&whole, real[1] || len == name->len ? real : "");
            fl_buffer_append(&whole, name->data + len, name->len - len);
            fl_buffer_fini(name);
            *name = whole;
            return;
        }
        while (len > 0 && name->data[--len] != '/') {
        }
    }
}

static enum fl_err check_len(size_t len, struct fl_error *error)
{
    if (len > CN_PATH_BYTES_MAX)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL,
                            "the path of connectionString has %zu bytes, at most %d are possible",
                            len, CN_PATH_BYTES_MAX);
    return FL_OK;
}

enum fl_err cn_path_of(struct fl_slice connection_string, struct fl_slice data_dir,
                       struct fl_buffer *path, struct fl_error *error)
{
    struct fl_buffer name = {0}, absolute = {0};
    enum fl_err err = connection_string.len > 0 ? take_apart(connection_string, &name, error)
                                                : take_default(data_dir, &name, error);
    if (!err)
        err = check_name(fl_buffer_slice(&name), error);
    if (!err)
        err = make_absolute(fl_buffer_slice(&name), &absolute, error);
    if (!err)
        err = check_len(absolute.len, error);
    if (!err) {
        follow_links(&absolute);
        err = check_len(absolute.len, error);
    }
    if (!err) {
        fl_buffer_append_slice(path, fl_buffer_slice(&absolute));
        fl_buffer_cstr(path);
    }
    fl_buffer_fini(&name);
    fl_buffer_fini(&absolute);
    return err;
}
