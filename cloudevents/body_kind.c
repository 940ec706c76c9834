/* Content types, and the one body that must be looked into; see body_kind.h.
 *
 * daprd asks whether bytes sent as application/x-protobuf decode as a CloudEvent. That is a
 * question of form only: well-formed wire data, UTF-8 where the schema says string, and the same
 * for the messages inside. The schema stands below as tables; a known number with another wire type
 * is an unknown field, as in Go.
 */
#include "cloudevents/body_kind.h"

#include <stdbool.h>

/* True when the type is `name`, alone or directly followed by `;`. */
static bool is_type(struct fl_slice content_type, const char *name)
{
    struct fl_slice wanted = fl_slice_str(name);
    return fl_slice_starts_with_nocase(content_type, wanted) &&
           (content_type.len == wanted.len || content_type.data[wanted.len] == ';');
}

/* --- protobuf --- */

/* Groups inside of groups; none exist in the schema. */
#define MAX_GROUPS 64

enum wire {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_END = 4,
    WIRE_32 = 5
};

struct message;

struct field {
    uint32_t number;
    const struct message *message; /* NULL: a string */
};

/* The fields whose bytes have a form to check. */
struct message {
    struct field fields[8]; /* ends at number 0 */
};

static const struct message timestamp_message;
static const struct message any_message = {{{1, NULL}}};
static const struct message value_message = {
    {{3, NULL}, {5, NULL}, {6, NULL}, {7, &timestamp_message}}};
static const struct message attribute_message = {{{1, NULL}, {2, &value_message}}};
static const struct message event_message = {{{1, NULL},
                                              {2, NULL},
                                              {3, NULL},
                                              {4, NULL},
                                              {5, &attribute_message},
                                              {7, NULL},
                                              {8, &any_message}}};

struct reader {
    const unsigned char *at, *end;
};

static bool read_varint(struct reader *r, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70 && r->at < r->end; shift += 7) {
        unsigned char byte = *r->at++;
        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = v;
            return true;
        }
    }
    return false;
}

static bool read_tag(struct reader *r, uint32_t *number, enum wire *wire)
{
    uint64_t tag;
    if (!read_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff || (tag & 7) > WIRE_32)
        return false;
    *number = (uint32_t)(tag >> 3);
    *wire = (enum wire)(tag & 7);
    return true;
}

static bool read_bytes(struct reader *r, uint64_t len, struct fl_slice *bytes)
{
    if (len > (uint64_t)(r->end - r->at))
        return false;
    *bytes = fl_slice_of((const char *)r->at, (size_t)len);
    r->at += len;
    return true;
}

/* Reads the value of a field that is no group; `bytes` is set for WIRE_BYTES. */
static bool read_value(struct reader *r, enum wire wire, struct fl_slice *bytes)
{
    uint64_t number;
    switch (wire) {
    case WIRE_VARINT:
        return read_varint(r, &number);
    case WIRE_64:
        return read_bytes(r, 8, bytes);
    case WIRE_32:
        return read_bytes(r, 4, bytes);
    case WIRE_BYTES:
        return read_varint(r, &number) && read_bytes(r, number, bytes);
    case WIRE_GROUP:
    case WIRE_END:
        return false;
    }
    return false;
}

static bool skip_group(struct reader *r, uint32_t number)
{
    uint32_t open[MAX_GROUPS];
    unsigned depth = 0;
    open[depth++] = number;
    while (depth > 0) {
        enum wire wire;
        struct fl_slice bytes;
        if (!read_tag(r, &number, &wire))
            return false;
        if (wire == WIRE_GROUP) {
            if (depth == MAX_GROUPS)
                return false;
            open[depth++] = number;
        } else if (wire == WIRE_END) {
            if (open[--depth] != number)
                return false;
        } else if (!read_value(r, wire, &bytes)) {
            return false;
        }
    }
    return true;
}

/* Recursion goes as deep as the schema, four levels. */
static bool is_message(struct fl_slice bytes, const struct message *message)
{
    if (bytes.len == 0)
        return true;
    struct reader r = {(const unsigned char *)bytes.data,
                       (const unsigned char *)bytes.data + bytes.len};
    while (r.at < r.end) {
        uint32_t number;
        enum wire wire;
        struct fl_slice value = FL_SLICE_NULL;
        if (!read_tag(&r, &number, &wire))
            return false;
        if (wire == WIRE_GROUP ? !skip_group(&r, number) : !read_value(&r, wire, &value))
            return false;
        if (wire != WIRE_BYTES)
            continue;
        for (const struct field *f = message->fields; f->number; f++) {
            if (f->number != number)
                continue;
            if (f->message ? !is_message(value, f->message) : !fl_utf8_is_valid(value))
                return false;
        }
    }
    return true;
}

/* --- kinds --- */

enum ce_body_kind ce_body_kind_of(struct fl_slice content_type, struct fl_slice body)
{
    if (!fl_slice_starts_with_nocase(content_type, FL_SLICE_LIT("application/")))
        return CE_BODY_TEXT;
    if (is_type(content_type, "application/json"))
        return CE_BODY_JSON;
    if (is_type(content_type, "application/cloudevents+json"))
        return CE_BODY_EVENT;
    if (is_type(content_type, "application/cloudevents-batch+json"))
        return CE_BODY_BATCH;
    if (is_type(content_type, "application/octet-stream") ||
        is_type(content_type, "application/cloudevents+protobuf"))
        return CE_BODY_BYTES;
    if (is_type(content_type, "application/x-protobuf") && is_message(body, &event_message))
        return CE_BODY_BYTES;
    return CE_BODY_TEXT;
}

enum ce_bulk_kind ce_bulk_kind_of(struct fl_slice content_type)
{
    if (fl_slice_starts_with_nocase(content_type, FL_SLICE_LIT("text/")) ||
        is_type(content_type, "application/xml"))
        return CE_BULK_TEXT;
    if (is_type(content_type, "application/json"))
        return CE_BULK_JSON;
    if (is_type(content_type, "application/cloudevents+json"))
        return CE_BULK_EVENT;
    if (is_type(content_type, "application/octet-stream"))
        return CE_BULK_BYTES;
    return CE_BULK_MISMATCH;
}
