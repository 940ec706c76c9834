/* The table of protocols, and the coding of header values; see header_map.h. */
#include "cloudevents/header_map.h"

#include "cloudevents/json_bytes_priv.h"

static const struct ce_header_map maps[CE_PROTOCOL_COUNT] = {
    [CE_HTTP] = {.protocol = CE_HTTP,
                 .name = "HTTP",
                 .prefix = "ce-",
                 .content_type = "Content-Type",
                 .is_percent_coded = true,
                 .folds_case = true},
    [CE_KAFKA] = {.protocol = CE_KAFKA,
                  .name = "Kafka",
                  .prefix = "ce_",
                  .content_type = "content-type",
                  .null_is_no_data = true},
    [CE_AMQP] = {.protocol = CE_AMQP,
                 .name = "AMQP",
                 .prefix = "cloudEvents_",
                 .other_prefix = "cloudEvents:",
                 .content_type = "content-type"},
    [CE_MQTT5] = {.protocol = CE_MQTT5,
                  .name = "MQTT",
                  .prefix = "",
                  .content_type = "Content Type"},
    [CE_NATS] = {.protocol = CE_NATS,
                 .name = "NATS",
                 .prefix = "ce-",
                 .content_type = "ce-datacontenttype",
                 .is_percent_coded = true,
                 .folds_case = true},
};

const struct ce_header_map *ce_header_map_of(enum ce_protocol protocol)
{
    return &maps[protocol];
}

static struct fl_slice behind_prefix(const struct ce_header_map *map, struct fl_slice header,
                                     const char *prefix)
{
    struct fl_slice start = fl_slice_str(prefix);
    bool matches = map->folds_case ? fl_slice_starts_with_nocase(header, start)
                                   : fl_slice_starts_with(header, start);
    if (!prefix || !matches || header.len == start.len)
        return FL_SLICE_NULL;
    return fl_slice_of(header.data + start.len, header.len - start.len);
}

struct fl_slice ce_header_attribute(const struct ce_header_map *map, struct fl_slice header)
{
    struct fl_slice name = behind_prefix(map, header, map->prefix);
    return fl_slice_is_null(name) ? behind_prefix(map, header, map->other_prefix) : name;
}

void ce_header_encode(struct fl_slice value, struct fl_buffer *out)
{
    static const char hex[] = "0123456789ABCDEF";
    if (value.len == 0)
        return;
    fl_buffer_reserve(out, value.len * 3);
    char *at = out->data + out->len;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        }
    }
    out->len = (size_t)(at - out->data);
}

/* Undoes a quoted string to `out`; false when its closing quote is not the last byte. */
static bool unquote(struct fl_slice value, char *out, size_t *len)
{
    *len = 0;
    for (size_t i = 1; i < value.len; i++) {
        if (value.data[i] == '"')
            return i + 1 == value.len;
        if (value.data[i] == '\\')
            i++;
        if (i < value.len)
            out[(*len)++] = value.data[i];
    }
    return false;
}

/* Percent-decodes in place. */
static bool decode_percent(char *text, size_t *len)
{
    size_t to = 0;
    for (size_t i = 0; i < *len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80)
            return false;
        if (c == '%') {
            int high = *len - i >= 3 ? ce_hex_value(text[i + 1]) : -1;
            int low = high >= 0 ? ce_hex_value(text[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        text[to++] = (char)c;
    }
    *len = to;
    return true;
}

enum fl_err ce_header_decode(struct fl_slice value, struct fl_buffer *out)
{
    if (value.len == 0)
        return FL_OK;
    fl_buffer_reserve(out, value.len);
    char *text = out->data + out->len;
    size_t len = value.len;
    if (value.data[0] != '"')
        memcpy(text, value.data, len);
    else if (!unquote(value, text, &len))
        return FL_ERR_INVALID;
    if (!decode_percent(text, &len) || !fl_utf8_is_valid(fl_slice_of(text, len)))
        return FL_ERR_INVALID;
    out->len += len;
    return FL_OK;
}
