/* Heads and metadata; see the header.
 *
 * A server may send anything. A field whose name is no token cannot become a name of metadata and
 * is left out; control characters in a value become spaces; a line that begins with a space goes on
 * with the value before it (obsolete folding). Equal names are joined only when the whole head is
 * known, so a head of many equal fields costs no more than any other.
 *
 * What tells where the body ends has to be clear. libcurl takes the last of two lengths and undoes
 * a coding such as `gzip, chunked` by itself, without regard to how much memory that takes; neither
 * was asked for, so both end the answer.
 */
#include "connectors/http/response.h"

#include <stdio.h>

#include "connectors/http/fields.h"

void cn_http_head_fini(struct cn_http_head *head)
{
    fl_buffer_fini(&head->text);
    fl_buffer_fini(&head->status);
    FL_FREE(head->fields);
    head->count = 0;
}

void cn_http_metadata_fini(struct cn_http_metadata *metadata)
{
    fl_buffer_fini(&metadata->text);
    FL_FREE(metadata->items);
    metadata->count = 0;
}

/* --- lines --- */

static void append_value(struct fl_buffer *out, struct fl_slice value)
{
    size_t at = out->len;
    fl_buffer_append_slice(out, value);
    for (; at < out->len; at++)
        if (((unsigned char)out->data[at] < 0x20 && out->data[at] != '\t') || out->data[at] == 0x7f)
            out->data[at] = ' ';
}

static void begin(struct cn_http_head *head, struct fl_slice line)
{
    size_t space = fl_slice_find_byte(line, ' ');
    head->has_ended = false;
    head->count = 0;
    fl_buffer_clear(&head->text);
    fl_buffer_clear(&head->status);
    if (space < line.len)
        append_value(&head->status,
                     fl_slice_trim(fl_slice_of(line.data + space, line.len - space)));
}

/* The value is the last thing in the text, so it can grow. */
static void go_on(struct cn_http_head *head, struct fl_slice line)
{
    struct cn_http_head_field *field = head->count ? &head->fields[head->count - 1] : NULL;
    if (!field || field->value_at + field->value_len != head->text.len)
        return;
    fl_buffer_append_byte(&head->text, ' ');
    append_value(&head->text, fl_slice_trim(line));
    field->value_len = (uint32_t)(head->text.len - field->value_at);
}

static void append_canonical(struct fl_buffer *out, struct fl_slice name)
{
    bool is_first = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = fl_ascii_lower(name.data[i]);
        fl_buffer_append_byte(out, is_first && c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
        is_first = c == '-';
    }
}

/* Several lengths are good if they are the same. */
static enum fl_err check_length(const struct cn_http_head *head, struct fl_slice value)
{
    uint64_t length;
    struct fl_slice former = cn_http_head_get(head, "Content-Length");
    bool is_good = fl_slice_to_u64(value, &length) && length <= INT64_MAX &&
                   (fl_slice_is_null(former) || fl_slice_eq(former, value));
    return is_good ? FL_OK : FL_ERR_INVALID;
}

static enum fl_err check_framing(const struct cn_http_head *head, struct fl_slice name,
                                 struct fl_slice value)
{
    if (fl_slice_eq_nocase(name, FL_SLICE_LIT("Content-Length")))
        return check_length(head, value);
    if (fl_slice_eq_nocase(name, FL_SLICE_LIT("Transfer-Encoding")))
        return fl_slice_eq_nocase(value, FL_SLICE_LIT("chunked")) ? FL_OK : FL_ERR_UNSUPPORTED;
    return FL_OK;
}

static enum fl_err add_field(struct cn_http_head *head, struct fl_slice line)
{
    size_t colon = fl_slice_find_byte(line, ':');
    struct fl_slice name = fl_slice_of(line.data, colon);
    if (colon == line.len || !cn_http_is_token(name))
        return FL_OK;
    struct fl_slice value = fl_slice_trim(fl_slice_of(line.data + colon + 1, line.len - colon - 1));
    enum fl_err err = check_framing(head, name, value);
    if (err)
        return err;
    /* Doubles when the count is a power of two. */
    if ((head->count & (head->count - 1)) == 0)
        head->fields =
            fl_realloc(head->fields, (head->count ? head->count * 2 : 1) * sizeof *head->fields);
    struct cn_http_head_field *field = &head->fields[head->count++];
    field->is_joined = false;
    field->name_at = (uint32_t)head->text.len;
    append_canonical(&head->text, name);
    field->name_len = (uint32_t)colon;
    field->value_at = (uint32_t)head->text.len;
    append_value(&head->text, value);
    field->value_len = (uint32_t)(head->text.len - field->value_at);
    return FL_OK;
}

static struct fl_slice without_end(struct fl_slice line)
{
    if (line.len && line.data[line.len - 1] == '\n')
        line.len--;
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

enum fl_err cn_http_head_add(struct cn_http_head *head, struct fl_slice line)
{
    head->seen_bytes += line.len;
    head->seen_lines++;
    if (head->seen_bytes > CN_HTTP_MOST_HEAD_BYTES || head->seen_lines > CN_HTTP_MOST_HEAD_FIELDS)
        return FL_ERR_TOO_LARGE;
    line = without_end(line);
    bool is_new = head->has_ended || head->status.len == 0;
    if (is_new && fl_slice_starts_with(line, FL_SLICE_LIT("HTTP/")))
        begin(head, line);
    else if (head->has_ended)
        return FL_OK;
    else if (line.len == 0)
        head->has_ended = true;
    else if (line.data[0] == ' ' || line.data[0] == '\t')
        go_on(head, line);
    else
        return add_field(head, line);
    return FL_OK;
}

/* --- looking --- */

static struct fl_slice name_of(const struct cn_http_head *head,
                               const struct cn_http_head_field *field)
{
    return fl_slice_of(head->text.data + field->name_at, field->name_len);
}

static struct fl_slice value_of(const struct cn_http_head *head,
                                const struct cn_http_head_field *field)
{
    return fl_slice_of(head->text.data + field->value_at, field->value_len);
}

struct fl_slice cn_http_head_get(const struct cn_http_head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (fl_slice_eq_nocase(name_of(head, &head->fields[i]), fl_slice_str(name)))
            return value_of(head, &head->fields[i]);
    return FL_SLICE_NULL;
}

/* --- metadata --- */

static bool is_left_out(struct fl_slice name, bool is_chunked, bool is_decoded)
{
    if (fl_slice_eq_str(name, "Transfer-Encoding") || fl_slice_eq_str(name, "Trailer"))
        return true;
    if (fl_slice_eq_str(name, "Content-Length"))
        return is_chunked || is_decoded;
    return is_decoded && fl_slice_eq_str(name, "Content-Encoding");
}

/* Appends the values of all fields of this name from `at` on, and marks them. */
static void join(struct cn_http_head *head, size_t at, struct fl_buffer *out)
{
    struct fl_slice name = name_of(head, &head->fields[at]);
    for (size_t i = at; i < head->count; i++) {
        struct cn_http_head_field *field = &head->fields[i];
        if (field->is_joined || !fl_slice_eq(name_of(head, field), name))
            continue;
        field->is_joined = true;
        if (i != at)
            fl_buffer_append_str(out, ", ");
        fl_buffer_append_slice(out, value_of(head, field));
    }
}

/* Places in the text while it grows, as an item's lengths with the pointers left for later. */
static void end_item(struct cn_http_metadata *metadata, size_t key_len, size_t value_len)
{
    struct ce_metadata *item = &metadata->items[metadata->count++];
    item->key.len = key_len;
    item->value.len = value_len;
}

static void add_item(struct cn_http_metadata *metadata, const char *key, struct fl_slice value)
{
    fl_buffer_append_str(&metadata->text, key);
    fl_buffer_append_slice(&metadata->text, value);
    end_item(metadata, strlen(key), value.len);
}

static void add_fields(struct cn_http_head *head, bool is_decoded,
                       struct cn_http_metadata *metadata)
{
    bool is_chunked = !fl_slice_is_null(cn_http_head_get(head, "Transfer-Encoding"));
    for (size_t i = 0; i < head->count; i++) {
        struct fl_slice name = name_of(head, &head->fields[i]);
        if (head->fields[i].is_joined || is_left_out(name, is_chunked, is_decoded))
            continue;
        fl_buffer_append_slice(&metadata->text, name);
        size_t at = metadata->text.len;
        join(head, i, &metadata->text);
        end_item(metadata, name.len, metadata->text.len - at);
    }
}

void cn_http_head_metadata(struct cn_http_head *head, int status, bool is_decoded,
                           struct cn_http_metadata *metadata)
{
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    metadata->items = fl_alloc((head->count + 2) * sizeof *metadata->items);
    metadata->count = 0;
    add_item(metadata, "statusCode", fl_slice_str(code));
    add_item(metadata, "status", fl_buffer_slice(&head->status));
    add_fields(head, is_decoded, metadata);
    const char *at = metadata->text.data;
    for (size_t i = 0; i < metadata->count; i++) {
        struct ce_metadata *item = &metadata->items[i];
        item->key.data = at;
        item->value.data = at + item->key.len;
        at += item->key.len + item->value.len;
    }
}
