/* The header fields of a request; see the header.
 *
 * A field is kept as the line that libcurl wants, so that a redirect has nothing to make anew. The
 * list is searched from end to end; its bound keeps that short.
 */
#include "connectors/http/fields.h"

#include "base/alloc.h"

bool cn_http_is_token(struct fl_slice text)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i], lower = fl_ascii_lower(c);
        bool is_alnum = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!is_alnum && !memchr(marks, c, sizeof marks - 1))
            return false;
    }
    return text.len > 0;
}

bool cn_http_is_value(struct fl_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static struct fl_slice name_of(const struct cn_http_field *field)
{
    return fl_slice_of(field->line, field->name_len);
}

static struct cn_http_field *find(const struct cn_http_fields *fields, struct fl_slice name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (fl_slice_eq_nocase(name_of(&fields->items[i]), name))
            return &fields->items[i];
    return NULL;
}

static char *make_line(struct fl_slice name, struct fl_slice value)
{
    char *line = fl_alloc(name.len + 2 + value.len + 1), *at = line + name.len;
    memcpy(line, name.data, name.len);
    if (value.len == 0) {
        memcpy(at, ";", 2);
        return line;
    }
    memcpy(at, ": ", 2);
    memcpy(at + 2, value.data, value.len);
    at[2 + value.len] = '\0';
    return line;
}

/* The name is shown without the bytes that made it none. */
static enum fl_err refuse_name(struct fl_slice name, struct fl_error *error)
{
    char shown[60];
    size_t len = name.len < sizeof shown ? name.len : sizeof shown;
    for (size_t i = 0; i < len; i++)
        shown[i] = cn_http_is_token(fl_slice_of(name.data + i, 1)) ? name.data[i] : '?';
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "a key of the metadata is not the name of a header field: \"%.*s\"",
                        (int)len, shown);
}

enum fl_err cn_http_fields_set(struct cn_http_fields *fields, struct fl_slice name,
                               struct fl_slice value, struct fl_error *error)
{
    if (!cn_http_is_token(name))
        return refuse_name(name, error);
    value = fl_slice_trim(value);
    if (!cn_http_is_value(value))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "the value of header field %.*s holds a control character",
                            FL_SLICE_ARG(name));
    struct cn_http_field *field = find(fields, name);
    if (!field && fields->count == CN_HTTP_MOST_FIELDS)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "there are more than %d header fields", CN_HTTP_MOST_FIELDS);
    if (!field) {
        fields->items = fl_realloc(fields->items, (fields->count + 1) * sizeof *fields->items);
        field = &fields->items[fields->count++];
        *field = (struct cn_http_field){0};
    }
    fl_free(field->line);
    field->line = make_line(name, value);
    field->name_len = name.len;
    return FL_OK;
}

struct fl_slice cn_http_fields_get(const struct cn_http_fields *fields, const char *name)
{
    const struct cn_http_field *field = find(fields, fl_slice_str(name));
    if (!field)
        return FL_SLICE_NULL;
    const char *after = field->line + field->name_len;
    return fl_slice_str(*after == ':' ? after + 2 : after + 1);
}

static void remove_at(struct cn_http_fields *fields, struct cn_http_field *field)
{
    fl_free(field->line);
    size_t at = (size_t)(field - fields->items);
    memmove(field, field + 1, (--fields->count - at) * sizeof *field);
}

void cn_http_fields_remove(struct cn_http_fields *fields, const char *name)
{
    struct cn_http_field *field = find(fields, fl_slice_str(name));
    if (field)
        remove_at(fields, field);
}

void cn_http_fields_mark_secret(struct cn_http_fields *fields, struct fl_slice name)
{
    struct cn_http_field *field = find(fields, name);
    if (field)
        field->is_secret = true;
}

void cn_http_fields_remove_secrets(struct cn_http_fields *fields)
{
    for (size_t i = fields->count; i-- > 0;)
        if (fields->items[i].is_secret)
            remove_at(fields, &fields->items[i]);
}

void cn_http_fields_fini(struct cn_http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        fl_free(fields->items[i].line);
    FL_FREE(fields->items);
    fields->count = 0;
}
