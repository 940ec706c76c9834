/* Binary mode, read to the JSON format and written from it; see http_binary.h.
 *
 * Reading makes the text of a structured event, so that one path (adopt, store, deliver) follows
 * for all modes. Types are lost on the way, as the bindings say: every attribute of a header is a
 * String.
 */
#include "cloudevents/http_binary.h"

#include "cloudevents/attribute.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"
#include "cloudevents/structured.h"

#define MAX_ATTRIBUTES 256

/* --- reading --- */

static bool is_attribute(const struct ce_header_map *map, struct fl_slice header, const char *name)
{
    struct fl_slice found = ce_header_attribute(map, header), wanted = fl_slice_str(name);
    return map->folds_case ? fl_slice_eq_nocase(found, wanted) : fl_slice_eq(found, wanted);
}

static bool has_attribute(const struct ce_header_map *map, const struct ce_metadata *headers,
                          size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (is_attribute(map, headers[i].key, name))
            return true;
    return false;
}

bool ce_binary_is_mode(const struct ce_header_map *map, const struct ce_metadata *headers,
                       size_t count, struct fl_slice content_type)
{
    if (fl_slice_starts_with_nocase(content_type, FL_SLICE_LIT("application/cloudevents")))
        return false;
    size_t rule_count;
    const struct ce_attribute_rule *rules = ce_attribute_rules(&rule_count);
    for (size_t i = 0; i < rule_count; i++)
        if (rules[i].is_required && !has_attribute(map, headers, count, rules[i].name))
            return false;
    return true;
}

struct read {
    const struct ce_header_map *map;
    struct fl_buffer *json;
    struct fl_error *error;
    struct fl_buffer name, value;
    struct fl_slice names[MAX_ATTRIBUTES]; /* as they are written */
    size_t name_count;
};

static enum fl_err refuse(struct read *read, struct fl_slice header, const char *reason)
{
    return fl_error_set(read->error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s header %.*s %s",
                        read->map->name, header.len > 64 ? 64 : (int)header.len,
                        header.data ? header.data : "", reason);
}

/* `,"name":` or the first one. */
static enum fl_err put_key(struct fl_buffer *json, struct fl_slice name)
{
    enum fl_err err = FL_OK;
    if (json->len > 0 && json->data[json->len - 1] != '{')
        err = fl_buffer_try_append(json, ",", 1);
    if (err == FL_OK)
        err = ce_json_try_string(json, name);
    return err == FL_OK ? fl_buffer_try_append(json, ":", 1) : err;
}

static enum fl_err put_string(struct fl_buffer *json, struct fl_slice name, struct fl_slice value)
{
    enum fl_err err = put_key(json, name);
    return err == FL_OK ? ce_json_try_string(json, value) : err;
}

/* The attribute's name in lower case where the protocol folds names, in read->name. */
static struct fl_slice fold_name(struct read *read, struct fl_slice name)
{
    fl_buffer_clear(&read->name);
    fl_buffer_append_slice(&read->name, name);
    for (size_t i = 0; i < read->name.len && read->map->folds_case; i++)
        read->name.data[i] = fl_ascii_lower(read->name.data[i]);
    return fl_buffer_slice(&read->name);
}

static enum fl_err decode_value(struct read *read, struct fl_slice header, struct fl_slice value)
{
    fl_buffer_clear(&read->value);
    if (!read->map->is_percent_coded)
        return fl_buffer_try_append(&read->value, value.data, value.len);
    enum fl_err err = ce_header_decode(value, &read->value);
    return err == FL_OK ? err : refuse(read, header, "is not percent-encoded UTF-8");
}

static enum fl_err check_repeated(struct read *read, struct fl_slice header, struct fl_slice name)
{
    for (size_t i = 0; i < read->name_count; i++) {
        bool is_same = read->map->folds_case ? fl_slice_eq_nocase(read->names[i], name)
                                             : fl_slice_eq(read->names[i], name);
        if (is_same)
            return refuse(read, header, "is there twice");
    }
    if (read->name_count == MAX_ATTRIBUTES)
        return refuse(read, header, "is one too many; at most 256 attributes are taken");
    read->names[read->name_count++] = name;
    return FL_OK;
}

static enum fl_err read_header(struct read *read, const struct ce_metadata *header)
{
    const struct ce_header_map *map = read->map;
    struct fl_slice written = ce_header_attribute(map, header->key);
    if (fl_slice_is_null(written) || fl_slice_eq_str(header->key, map->content_type))
        return FL_OK;
    struct fl_slice name = fold_name(read, written);
    if (!ce_attribute_name_is_valid(name)) {
        /* Without a prefix there is no telling an odd attribute from a header of someone else's. */
        if (map->prefix[0] == '\0')
            return FL_OK;
        return refuse(read, header->key, "has a name with more than a-z and 0-9 in it");
    }
    if (fl_slice_eq_str(name, "datacontenttype")) {
        if (map->protocol == CE_HTTP)
            return refuse(read, header->key, "is not allowed; Content-Type says it");
        return FL_OK;
    }
    enum fl_err err = check_repeated(read, header->key, written);
    if (err == FL_OK)
        err = decode_value(read, header->key, header->value);
    if (err == FL_OK)
        err = ce_attribute_check(name, fl_buffer_slice(&read->value), read->error);
    return err == FL_OK ? put_string(read->json, name, fl_buffer_slice(&read->value)) : err;
}

/* True when text of this type is UTF-8: no charset, or one that is a part of it. */
static bool is_utf8_type(struct fl_slice content_type)
{
    const struct fl_slice key = FL_SLICE_LIT("charset=");
    for (size_t i = 0; i + key.len <= content_type.len; i++) {
        struct fl_slice at = fl_slice_of(content_type.data + i, content_type.len - i);
        if (!fl_slice_starts_with_nocase(at, key))
            continue;
        at = fl_slice_of(at.data + key.len, at.len - key.len);
        if (at.len > 0 && at.data[0] == '"')
            at = fl_slice_of(at.data + 1, at.len - 1);
        return fl_slice_starts_with_nocase(at, FL_SLICE_LIT("utf-8")) ||
               fl_slice_starts_with_nocase(at, FL_SLICE_LIT("us-ascii"));
    }
    return true;
}

static enum fl_err put_data(struct fl_buffer *json, struct fl_slice body,
                            struct fl_slice content_type)
{
    /* The event's object is one level around the data. */
    struct ce_json_scan scan = {.max_depth = CE_JSON_MAX_DEPTH - 1};
    if (ce_media_type_is_json(content_type) && ce_json_scan(body, &scan) == FL_OK &&
        !(scan.flags & (CE_JSON_TRAILING | CE_JSON_BAD_TEXT))) {
        enum fl_err err = put_key(json, FL_SLICE_LIT("data"));
        return err == FL_OK ? fl_buffer_try_append(json, scan.value.data, scan.value.len) : err;
    }
    if (ce_media_type_is_text(content_type) && is_utf8_type(content_type) && fl_utf8_is_valid(body))
        return put_string(json, FL_SLICE_LIT("data"), body);
    enum fl_err err = put_key(json, FL_SLICE_LIT("data_base64"));
    size_t size = ce_base64_size(body.len);
    if (err == FL_OK)
        err = fl_buffer_try_reserve(json, size + 2);
    if (err != FL_OK)
        return err;
    fl_buffer_append_byte(json, '"');
    ce_base64_append(json, body);
    fl_buffer_append_byte(json, '"');
    return FL_OK;
}

/* The content type of the message, or of a header that the map names. */
static struct fl_slice find_content_type(const struct ce_header_map *map,
                                         const struct ce_binary_message *message)
{
    struct fl_slice key = fl_slice_str(map->content_type);
    if (message->content_type.len > 0)
        return message->content_type;
    for (size_t i = 0; i < message->header_count; i++)
        if (fl_slice_eq_nocase(message->headers[i].key, key))
            return message->headers[i].value;
    return FL_SLICE_NULL;
}

static enum fl_err read_content_type(struct read *read, struct fl_slice content_type)
{
    const struct fl_slice name = FL_SLICE_LIT("datacontenttype");
    if (content_type.len == 0)
        return FL_OK;
    enum fl_err err = ce_attribute_check(name, content_type, read->error);
    return err == FL_OK ? put_string(read->json, name, content_type) : err;
}

static enum fl_err read_message(struct read *read, const struct ce_binary_message *message)
{
    struct fl_slice content_type = find_content_type(read->map, message);
    if (!ce_binary_is_mode(read->map, message->headers, message->header_count, content_type))
        return fl_error_set(read->error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "a required attribute is missing among the headers");
    enum fl_err err = fl_buffer_try_append(read->json, "{", 1);
    for (size_t i = 0; i < message->header_count && err == FL_OK; i++)
        err = read_header(read, &message->headers[i]);
    if (err == FL_OK)
        err = read_content_type(read, content_type);
    /* An empty body without a type is no data: HTTP has no other way to say so. */
    bool has_data = message->has_data && (message->body.len > 0 || content_type.len > 0);
    if (err == FL_OK && has_data)
        err = put_data(read->json, message->body, content_type);
    return err == FL_OK ? fl_buffer_try_append(read->json, "}", 1) : err;
}

enum fl_err ce_binary_read(const struct ce_header_map *map, const struct ce_binary_message *message,
                           struct fl_buffer *json, struct fl_error *error)
{
    struct read read = {.map = map, .json = json, .error = error};
    size_t before = json->len;
    enum fl_err err = read_message(&read, message);
    fl_buffer_fini(&read.name);
    fl_buffer_fini(&read.value);
    if (err == FL_ERR_NO_MEMORY)
        fl_error_set(error, err, FL_CLASS_RETRY, "no memory for the event");
    if (err != FL_OK)
        json->len = before;
    return err;
}

/* --- writing --- */

/* The canonical string of an attribute's JSON value; the null slice for what is none. */
static struct fl_slice canonical(struct fl_arena *arena, struct fl_slice value)
{
    switch (ce_json_type_of(value)) {
    case CE_JSON_STRING:
        return ce_json_decode_in(arena, value);
    case CE_JSON_TRUE:
    case CE_JSON_FALSE:
        return value;
    case CE_JSON_NUMBER:
        return ce_integer_is_valid(value) ? value : FL_SLICE_NULL;
    case CE_JSON_NONE:
    case CE_JSON_NULL:
    case CE_JSON_OBJECT:
    case CE_JSON_ARRAY:
        break;
    }
    return FL_SLICE_NULL;
}

static struct fl_slice encode(const struct ce_header_map *map, struct fl_arena *arena,
                              struct fl_slice value)
{
    if (!map->is_percent_coded)
        return value;
    struct fl_buffer coded = {0};
    ce_header_encode(value, &coded);
    struct fl_slice kept = fl_arena_copy(arena, fl_buffer_slice(&coded));
    fl_buffer_fini(&coded);
    return kept;
}

static struct fl_slice header_key(const struct ce_header_map *map, struct fl_arena *arena,
                                  struct fl_slice name)
{
    char *key = fl_arena_printf(arena, "%s%.*s", map->prefix, FL_SLICE_ARG(name));
    return fl_slice_str(key);
}

/* Of equal names the last counts. */
static struct ce_metadata *header_for(struct ce_metadata *headers, size_t *count,
                                      struct fl_slice key)
{
    for (size_t i = 0; i < *count; i++)
        if (fl_slice_eq(headers[i].key, key))
            return &headers[i];
    if (*count == MAX_ATTRIBUTES)
        return NULL;
    headers[*count].key = key;
    return &headers[(*count)++];
}

static enum fl_err write_headers(const struct ce_header_map *map, struct fl_slice object,
                                 struct fl_arena *arena, struct ce_binary_message *message)
{
    struct ce_metadata *headers = FL_ARENA_ARRAY(arena, struct ce_metadata, MAX_ATTRIBUTES);
    struct ce_json_walk walk;
    struct fl_slice key, token;
    ce_json_walk_init(&walk, object);
    while (ce_json_walk_next(&walk, &key, &token)) {
        struct fl_slice name = ce_json_decode_in(arena, key);
        struct fl_slice value = canonical(arena, token);
        if (!ce_attribute_name_is_valid(name) || fl_slice_is_null(value) ||
            !ce_string_is_valid(value) || fl_slice_eq_str(name, "datacontenttype"))
            continue;
        struct ce_metadata *header =
            header_for(headers, &message->header_count, header_key(map, arena, name));
        if (!header)
            return FL_ERR_INVALID;
        header->value = encode(map, arena, value);
    }
    message->headers = headers;
    return FL_OK;
}

enum fl_err ce_binary_write(const struct ce_header_map *map, const struct ce_event *event,
                            struct fl_arena *arena, struct fl_buffer *scratch,
                            struct ce_binary_message *message)
{
    struct ce_data data;
    enum fl_err err = ce_event_data(event, scratch, &data);
    if (err != FL_OK)
        return err;
    struct ce_binary_message made = {.content_type = data.content_type,
                                     .body = data.bytes,
                                     .has_data = data.kind != CE_DATA_KIND_NONE};
    err = write_headers(map, fl_slice_trim(event->body), arena, &made);
    if (err == FL_OK)
        *message = made;
    return err;
}
