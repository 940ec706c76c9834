/* Header lines of one event; see the header.
 *
 * Without metadata, which is the usual case, everything is written at once into the caller's small
 * room. With metadata its lines go first and the small room's are appended to them; which keys are
 * withheld is daprd's choice, and so is the prefix of those that gRPC reserves. */
#include "gateway/delivery_fields.h"

#include "cloudevents/publish_metadata.h"
#include "cloudevents/trace_context.h"
#include "net/http_parser.h"

static bool has_suffix(struct fl_slice s, struct fl_slice suffix)
{
    return s.len >= suffix.len &&
           fl_slice_eq(fl_slice_of(s.data + s.len - suffix.len, suffix.len), suffix);
}

/* `has_trace`: the request carries a trace of its own. */
static bool is_withheld(const struct gw_delivery_source *source, struct fl_slice key,
                        bool has_trace)
{
    static const char *const names[] = {
        "content-type", "content-length",    "destination-app-id",  "host", "connection",
        "keep-alive",   "proxy-connection",  "proxy-authenticate",  "te",   "trailer",
        "upgrade",      "transfer-encoding", "proxy-authorization",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (fl_slice_eq_nocase(key, fl_slice_str(names[i])))
            return true;
    }
    if (has_suffix(key, FL_SLICE_LIT("-bin")))
        return true;
    if (fl_slice_eq_nocase(key, FL_SLICE_LIT("traceparent")))
        return has_trace;
    if (fl_slice_eq_nocase(key, FL_SLICE_LIT("pubsubname")))
        return source->has_pubsub_name;
    return source->has_token && fl_slice_eq_nocase(key, FL_SLICE_LIT("dapr-api-token"));
}

/* Appends the header lines that come from the event's metadata. FL_ERR_INVALID: one cannot be a
 * header. */
static enum fl_err append_metadata(struct gw_delivery_fields *fields,
                                   const struct gw_delivery_source *source, bool has_trace)
{
    const struct ce_event *event = source->event;
    struct fl_buffer *out = &fields->long_text;
    for (size_t i = 0; i < event->metadata_count; i++) {
        struct fl_slice key = event->metadata[i].key, value = event->metadata[i].value;
        if (is_withheld(source, key, has_trace))
            continue;
        bool is_pseudo = key.len && key.data[0] == ':';
        bool is_grpc = fl_slice_starts_with(key, FL_SLICE_LIT("grpc-"));
        if (is_pseudo)
            key = fl_slice_of(key.data + 1, key.len - 1);
        if (!http_is_token(key) || !http_is_field_value(value))
            return FL_ERR_INVALID;
        bool is_agent = fl_slice_eq_nocase(key, FL_SLICE_LIT("user-agent"));
        fields->names_agent |= is_agent;
        if (is_agent && value.len == 0)
            continue;
        enum fl_err err = fl_buffer_try_reserve(out, key.len + value.len + 16);
        if (err)
            return err;
        fl_buffer_printf(out, "%s%.*s: %.*s\r\n", is_pseudo || is_grpc ? "dapr-" : "",
                         FL_SLICE_ARG(key), FL_SLICE_ARG(value));
    }
    return FL_OK;
}

static char *put_u64(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

/* Puts the metadata's lines before those that every call has, whose first `trace_bytes` are the
 * trace. A traceparent of the metadata takes the place of one that says nothing. */
static enum fl_err add_metadata(struct gw_delivery_fields *fields,
                                const struct gw_delivery_source *source, size_t trace_bytes,
                                struct fl_slice *lines)
{
    static const struct fl_slice nothing = FL_SLICE_LIT(CE_TRACEPARENT_ZERO);
    const struct ce_event *event = source->event;
    bool has_trace = trace_bytes && !fl_slice_eq(source->traceparent, nothing);
    struct fl_slice given =
        ce_metadata_find(event->metadata, event->metadata_count, FL_SLICE_LIT("traceparent"));
    if (!has_trace && given.len)
        *lines = fl_slice_of(lines->data + trace_bytes, lines->len - trace_bytes);
    fl_buffer_clear(&fields->long_text);
    enum fl_err err = append_metadata(fields, source, has_trace || given.len == 0);
    if (err)
        return err;
    fl_buffer_append_slice(&fields->long_text, *lines);
    *lines = fl_buffer_slice(&fields->long_text);
    return FL_OK;
}

enum fl_err gw_delivery_fields_render(struct gw_delivery_fields *fields,
                                      const struct gw_delivery_source *source,
                                      struct fl_slice *lines)
{
    static const char name[] = "Traceparent: ", length[] = "Content-Length: ";
    char *at = fields->text, digits[20];
    fields->names_agent = false;
    if (source->traceparent.len == CE_TRACEPARENT_LEN) {
        memcpy(at, name, sizeof name - 1);
        at += sizeof name - 1;
        memcpy(at, source->traceparent.data, CE_TRACEPARENT_LEN);
        at += CE_TRACEPARENT_LEN;
        memcpy(at, "\r\n", 2);
        at += 2;
    }
    size_t trace_bytes = (size_t)(at - fields->text);
    memcpy(at, length, sizeof length - 1);
    at += sizeof length - 1;
    char *first = put_u64(digits + sizeof digits, source->body_bytes);
    size_t count = (size_t)(digits + sizeof digits - first);
    memcpy(at, first, count);
    at += count;
    memcpy(at, "\r\n\r\n", 4);
    at += 4;
    struct fl_slice all = fl_slice_of(fields->text, (size_t)(at - fields->text));
    if (source->event->metadata_count) {
        enum fl_err err = add_metadata(fields, source, trace_bytes, &all);
        if (err)
            return err;
    }
    *lines = all;
    return FL_OK;
}

void gw_delivery_fields_fini(struct gw_delivery_fields *fields)
{
    fl_buffer_fini(&fields->long_text);
}
