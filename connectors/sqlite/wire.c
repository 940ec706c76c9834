/* A message as a row keeps it, and back.
 *
 * Body and content type are columns as they are. Metadata is one text of `key=value` pairs joined
 * by `&`, so that it can be read and searched with the sqlite3 tool: visible ASCII stands for
 * itself, every other byte and the few with a meaning are percent-encoded, so any bytes survive.
 * Order and repeated keys survive as well.
 *
 * The file may have been written by a person, so reading is total: a percent sign that no two hex
 * digits follow stands for itself, and a pair without `=` has an empty value.
 */
#include <string.h>

#include "base/alloc.h"
#include "connectors/sqlite/sqlite_priv.h"

/* Metadata up to this size is decoded without an allocation. */
enum { FEW_PAIRS = 16, FEW_BYTES = 1024 };

enum { ROW_BYTES = 64 }; /* what a row has beside its body and metadata, about */

/* --- writing --- */

void cn_record_bind_body(const struct cn_record *record, sqlite3_stmt *statement, int place)
{
    const char *data = record->body.len ? record->body.data : "";
    if (record->is_text)
        sqlite3_bind_text64(statement, place, data, record->body.len, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_blob64(statement, place, data, record->body.len, SQLITE_STATIC);
}

int64_t cn_record_bytes(const struct cn_record *record)
{
    return (int64_t)(record->body.len + record->metadata.len) + ROW_BYTES;
}

/* `+` means a space to those who read this as a form. */
static bool stands_for_itself(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("%&=+#", c);
}

static char *put_encoded(char *at, struct fl_slice s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (stands_for_itself(c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    return at;
}

void cn_metadata_write(const struct ce_event *event, struct fl_buffer *out, struct fl_slice *text)
{
    size_t start = out->len, most = 1;
    if (event->metadata_count == 0) {
        bool is_absent = event->flags & CE_EVENT_WITHOUT_METADATA;
        *text = is_absent ? FL_SLICE_NULL : fl_slice_of("", 0);
        return;
    }
    for (size_t i = 0; i < event->metadata_count; i++)
        most += (event->metadata[i].key.len + event->metadata[i].value.len) * 3 + 2;
    fl_buffer_reserve(out, most);
    char *at = out->data + start;
    for (size_t i = 0; i < event->metadata_count; i++) {
        if (i > 0)
            *at++ = '&';
        at = put_encoded(at, event->metadata[i].key);
        *at++ = '=';
        at = put_encoded(at, event->metadata[i].value);
    }
    out->len = (size_t)(at - out->data);
    *text = fl_slice_of(out->data + start, out->len - start);
}

/* --- reading --- */

static int hex_value(char c)
{
    char lower = fl_ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decodes to `at`, which has room for `s.len` bytes. */
static struct fl_slice decode(struct fl_slice s, char *at)
{
    char *start = at;
    for (size_t i = 0; i < s.len; i++) {
        int high = s.data[i] == '%' && s.len - i > 2 ? hex_value(s.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.data[i + 2]) : -1;
        if (low < 0) {
            *at++ = s.data[i];
            continue;
        }
        *at++ = (char)(high << 4 | low);
        i += 2;
    }
    return fl_slice_of(start, (size_t)(at - start));
}

static size_t count_pairs(struct fl_slice text)
{
    size_t count = text.len > 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '&';
    return count;
}

/* Fills `pairs` and the bytes at `at`; returns how many there are. Nothing between two `&` is no
 * pair: an empty key with an empty value is written as `=`. */
static size_t read_pairs(struct fl_slice text, struct ce_metadata *pairs, char *at)
{
    size_t count = 0;
    while (text.len > 0) {
        struct fl_slice pair = fl_slice_of(text.data, fl_slice_find_byte(text, '&'));
        size_t used = pair.len < text.len ? pair.len + 1 : pair.len;
        text = fl_slice_of(text.data + used, text.len - used);
        if (pair.len == 0)
            continue;
        size_t key_len = fl_slice_find_byte(pair, '=');
        size_t value_at = key_len < pair.len ? key_len + 1 : key_len;
        pairs[count].key = decode(fl_slice_of(pair.data, key_len), at);
        pairs[count].value = decode(fl_slice_of(pair.data + value_at, pair.len - value_at),
                                    at + pairs[count].key.len);
        at += pairs[count].key.len + pairs[count].value.len;
        count++;
    }
    return count;
}

enum fl_err cn_event_read(struct fl_slice body, struct fl_slice type, struct fl_slice metadata,
                          struct ce_event **event)
{
    struct ce_metadata few_pairs[FEW_PAIRS], *pairs = few_pairs;
    char few_bytes[FEW_BYTES], *bytes = few_bytes;
    size_t most = count_pairs(metadata);
    void *memory = NULL;
    if (most > FEW_PAIRS || metadata.len > FEW_BYTES) {
        memory = fl_try_alloc(most * sizeof *pairs + metadata.len);
        if (!memory)
            return FL_ERR_NO_MEMORY;
        pairs = memory;
        bytes = (char *)(pairs + most);
    }
    size_t count = read_pairs(metadata, pairs, bytes);
    enum fl_err err = ce_event_new(body, type, pairs, count, NULL, event);
    fl_free(memory);
    if (!err && fl_slice_is_null(metadata))
        (*event)->flags |= CE_EVENT_WITHOUT_METADATA;
    return err;
}
