/* Dapr's envelope, spliced; see dapr_envelope.h.
 *
 * An envelope is a sorted list of pieces: a member's name, its value, and how the value is written.
 * The list is measured, the event allocated to the byte, and the pieces written one behind the
 * other, their places noted as spans. For a new envelope the list is added in order; an adopted
 * event's members are collected by the scanner, sorted, and what daprd sets is put in its place
 * among them.
 */
#include "cloudevents/dapr_envelope.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "cloudevents/event_priv.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"
#include "cloudevents/timestamp.h"

#define NS_PER_S 1000000000
#define MAX_MEMBERS 65536
#define FEW_PIECES 40

enum how {
    COPY,   /* JSON as it is */
    REPAIR, /* JSON with bad text in it */
    QUOTE,  /* a string that is known to need no escape */
    ESCAPE, /* a string */
    BASE64, /* bytes, as a string */
};

struct piece {
    struct fl_slice name;  /* decoded: what is sorted by */
    struct fl_slice key;   /* the name's token; null: `name` between quotes */
    struct fl_slice value; /* what `how` is applied to */
    size_t size;           /* of the written value */
    enum how how;
    enum ce_attribute attribute;
};

struct pieces {
    struct piece *all;
    size_t count, room;
    bool repairs_keys;
    uint32_t flags; /* of the event */
    enum fl_err err;
    struct piece few[FEW_PIECES];
};

/* --- the list --- */

static void pieces_init(struct pieces *p)
{
    p->all = p->few;
    p->count = 0;
    p->room = FEW_PIECES;
    p->repairs_keys = false;
    p->flags = CE_EVENT_STRUCTURED;
    p->err = FL_OK;
}

static void pieces_fini(struct pieces *p)
{
    if (p->all != p->few)
        fl_free(p->all);
}

/* A new last piece, or NULL with `err` set. */
static struct piece *pieces_push(struct pieces *p)
{
    if (p->count < p->room)
        return &p->all[p->count++];
    size_t room = p->room * 2;
    struct piece *old = p->all == p->few ? NULL : p->all;
    struct piece *grown = fl_try_realloc(old, room * sizeof *grown);
    if (!grown) {
        p->err = FL_ERR_NO_MEMORY;
        return NULL;
    }
    if (!old)
        memcpy(grown, p->few, sizeof p->few);
    p->all = grown;
    p->room = room;
    return &p->all[p->count++];
}

static size_t measure(struct fl_slice value, enum how how)
{
    switch (how) {
    case COPY:
        return value.len;
    case REPAIR:
        return ce_json_repaired_size(value);
    case QUOTE:
        return value.len + 2;
    case ESCAPE:
        return ce_json_string_size(value);
    case BASE64:
        return ce_base64_size(value.len) + 2;
    }
    return 0;
}

static void fill_piece(struct piece *piece, enum ce_attribute attribute, struct fl_slice value,
                       enum how how)
{
    piece->name = ce_attribute_name(attribute);
    piece->key = FL_SLICE_NULL;
    piece->value = value;
    piece->size = measure(value, how);
    piece->how = how;
    piece->attribute = attribute;
}

/* Appends; the caller keeps the order. The few pieces of a new envelope always have room. */
static void add(struct pieces *p, enum ce_attribute attribute, struct fl_slice value, enum how how)
{
    fill_piece(&p->all[p->count++], attribute, value, how);
}

static void add_literal(struct pieces *p, enum ce_attribute attribute, const char *value)
{
    add(p, attribute, fl_slice_str(value), QUOTE);
}

/* --- writing --- */

static char *put_quoted(char *at, struct fl_slice text)
{
    *at++ = '"';
    if (text.len > 0)
        memcpy(at, text.data, text.len);
    at += text.len;
    *at++ = '"';
    return at;
}

static char *put_value(char *at, const struct piece *piece)
{
    switch (piece->how) {
    case COPY:
        memcpy(at, piece->value.data, piece->value.len);
        return at + piece->value.len;
    case REPAIR:
        return ce_json_put_repaired(at, piece->value);
    case ESCAPE:
        if (piece->size != piece->value.len + 2)
            return ce_json_put_string(at, piece->value);
        return put_quoted(at, piece->value);
    case QUOTE:
        return put_quoted(at, piece->value);
    case BASE64:
        *at++ = '"';
        at = ce_base64_put(at, piece->value);
        *at++ = '"';
        return at;
    }
    return at;
}

static size_t key_size(const struct pieces *p, const struct piece *piece)
{
    if (fl_slice_is_null(piece->key))
        return piece->name.len + 2;
    return p->repairs_keys ? ce_json_repaired_size(piece->key) : piece->key.len;
}

static char *put_key(char *at, const struct pieces *p, const struct piece *piece)
{
    if (fl_slice_is_null(piece->key))
        return put_quoted(at, piece->name);
    if (p->repairs_keys)
        return ce_json_put_repaired(at, piece->key);
    memcpy(at, piece->key.data, piece->key.len);
    return at + piece->key.len;
}

/* Makes the event of the finished list. */
static enum fl_err build(const struct pieces *p, const struct ce_event_extras *extras,
                         struct ce_event **event)
{
    size_t size = 1 + (p->count == 0);
    for (size_t i = 0; i < p->count; i++)
        size += key_size(p, &p->all[i]) + p->all[i].size + 2;
    struct ce_event *made;
    char *start;
    enum fl_err err = ce_event_alloc(size, extras, &made, &start);
    if (err != FL_OK)
        return err;
    char *at = start;
    *at++ = '{';
    for (size_t i = 0; i < p->count; i++) {
        const struct piece *piece = &p->all[i];
        if (i > 0)
            *at++ = ',';
        at = put_key(at, p, piece);
        *at++ = ':';
        if (piece->attribute != CE_ATTRIBUTE_COUNT)
            made->spans[piece->attribute] =
                (struct ce_span){(uint32_t)(at - start), (uint32_t)piece->size};
        at = put_value(at, piece);
    }
    *at++ = '}';
    FL_ASSERT((size_t)(at - start) == size);
    made->flags = p->flags;
    *event = made;
    return FL_OK;
}

static struct ce_event_extras extras_of(const struct ce_dapr_envelope *in)
{
    return (struct ce_event_extras){in->broker_content_type, in->metadata, in->metadata_count,
                                    in->budget};
}

static enum fl_err explain(enum fl_err err, struct fl_error *error)
{
    if (err == FL_ERR_NO_MEMORY)
        return fl_error_set(error, err, FL_CLASS_RETRY, "no memory for the event");
    if (err == FL_ERR_TOO_LARGE)
        return fl_error_set(error, err, FL_CLASS_REJECT, "the event is too large");
    return err;
}

/* --- a new envelope --- */

static struct fl_slice either(struct fl_slice a, struct fl_slice b)
{
    return a.len ? a : b;
}

/* Now and the time to live, in whole seconds of UTC. */
static struct fl_slice expiration_of(int64_t ttl_ns, char text[CE_TIME_MAX])
{
    int64_t now_ns = fl_clock_wall_ns();
    int64_t seconds = now_ns / NS_PER_S + ttl_ns / NS_PER_S;
    int64_t rest = now_ns % NS_PER_S + ttl_ns % NS_PER_S;
    if (rest >= NS_PER_S)
        seconds++;
    else if (rest < 0)
        seconds--;
    return fl_slice_of(text, ce_time_format_utc(seconds, text));
}

static bool has_expiration(const struct ce_dapr_envelope *in)
{
    return in->given.has_ttl && !in->keeps_no_expiration;
}

static void add_data(struct pieces *p, const struct ce_dapr_envelope *in)
{
    enum ce_body_kind kind = ce_body_kind_of(in->content_type, in->body);
    if (kind == CE_BODY_BYTES) {
        add(p, CE_DATA_BASE64, in->body, BASE64);
        return;
    }
    struct ce_json_scan scan = {0};
    if (kind != CE_BODY_JSON || ce_json_scan(in->body, &scan) != FL_OK) {
        add(p, CE_DATA, in->body, ESCAPE);
        return;
    }
    if (scan.flags & CE_JSON_HUGE_NUMBER)
        p->flags |= CE_EVENT_HUGE_NUMBER;
    add(p, CE_DATA, scan.value, scan.flags & CE_JSON_BAD_TEXT ? REPAIR : COPY);
}

enum fl_err ce_dapr_envelope_new(const struct ce_dapr_envelope *in, struct fl_error *error,
                                 struct ce_event **event)
{
    const struct ce_publish_metadata *given = &in->given;
    struct fl_slice trace = either(given->traceparent, either(given->traceid, in->traceparent));
    char uuid[36], expiration[CE_TIME_MAX];
    struct pieces p;
    pieces_init(&p);
    add_data(&p, in);
    add(&p, CE_DATACONTENTTYPE, either(in->content_type, FL_SLICE_LIT("text/plain")), ESCAPE);
    if (has_expiration(in))
        add(&p, CE_EXPIRATION, expiration_of(given->ttl_ns, expiration), QUOTE);
    if (given->id.len) {
        add(&p, CE_ID, given->id, ESCAPE);
    } else {
        fl_random_uuid(uuid);
        add(&p, CE_ID, fl_slice_of(uuid, sizeof uuid), QUOTE);
    }
    add(&p, CE_PUBSUBNAME, in->pubsubname, ESCAPE);
    add(&p, CE_SOURCE, either(given->source, either(in->app_id, FL_SLICE_LIT("Dapr"))), ESCAPE);
    add_literal(&p, CE_SPECVERSION, "1.0");
    if (given->subject.len)
        add(&p, CE_SUBJECT, given->subject, ESCAPE);
    add(&p, CE_TIME, ce_time_now(), QUOTE);
    add(&p, CE_TOPIC, in->topic, ESCAPE);
    add(&p, CE_TRACEID, trace, ESCAPE);
    add(&p, CE_TRACEPARENT, trace, ESCAPE);
    add(&p, CE_TRACESTATE, either(given->tracestate, in->tracestate), ESCAPE);
    add(&p, CE_TYPE, either(given->type, FL_SLICE_LIT("com.dapr.event.sent")), ESCAPE);
    struct ce_event_extras extras = extras_of(in);
    return explain(build(&p, &extras, event), error);
}

/* --- an adopted event --- */

static void collect_member(void *context, struct fl_slice key, struct fl_slice value)
{
    struct pieces *p = context;
    if (p->count == MAX_MEMBERS)
        p->err = FL_ERR_TOO_LARGE;
    struct piece *piece = p->err == FL_OK ? pieces_push(p) : NULL;
    if (piece)
        *piece = (struct piece){.key = key, .value = value, .size = value.len, .how = COPY};
}

/* Decodes the names and finds out which are attributes. Names that need decoding are written to
 * `scratch`, which is reserved once so that they stay where they are. */
static enum fl_err name_pieces(struct pieces *p, struct fl_slice body, struct fl_buffer *scratch)
{
    for (size_t i = 0; i < p->count; i++) {
        struct piece *piece = &p->all[i];
        if (ce_json_is_plain(piece->key) && !p->repairs_keys) {
            piece->name = ce_json_inside(piece->key);
        } else {
            if (!scratch->data) {
                enum fl_err err = fl_buffer_try_reserve(scratch, ce_json_decoded_room(body));
                if (err != FL_OK)
                    return err;
            }
            char *at = scratch->data + scratch->len;
            piece->name = fl_slice_of(at, ce_json_decode(piece->key, at));
            scratch->len += piece->name.len;
        }
        piece->attribute = ce_attribute_of(piece->name);
        if (p->repairs_keys) {
            piece->how = REPAIR;
            piece->size = measure(piece->value, REPAIR);
        }
    }
    return FL_OK;
}

/* By name, then by place in the body. */
static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int order = fl_slice_compare(x->name, y->name);
    return order ? order : (x->value.data > y->value.data) - (x->value.data < y->value.data);
}

static void sort_pieces(struct pieces *p)
{
    if (p->count > FEW_PIECES) {
        qsort(p->all, p->count, sizeof *p->all, compare_pieces);
        return;
    }
    for (size_t i = 1; i < p->count; i++) {
        struct piece moved = p->all[i];
        size_t to = i;
        for (; to > 0 && compare_pieces(&p->all[to - 1], &moved) > 0; to--)
            p->all[to] = p->all[to - 1];
        p->all[to] = moved;
    }
}

static void drop_repeated(struct pieces *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        if (i + 1 == p->count || !fl_slice_eq(p->all[i].name, p->all[i + 1].name))
            p->all[kept++] = p->all[i];
    p->count = kept;
}

/* The place of an attribute in the sorted list, or where it belongs. */
static size_t place_of(const struct pieces *p, enum ce_attribute attribute, bool *is_there)
{
    struct fl_slice name = ce_attribute_name(attribute);
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fl_slice_compare(p->all[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *is_there = low < p->count && fl_slice_eq(p->all[low].name, name);
    return low;
}

static bool has(const struct pieces *p, enum ce_attribute attribute)
{
    bool is_there;
    place_of(p, attribute, &is_there);
    return is_there;
}

static bool has_value(const struct pieces *p, enum ce_attribute attribute)
{
    bool is_there;
    size_t at = place_of(p, attribute, &is_there);
    return is_there && !fl_slice_eq(p->all[at].value, FL_SLICE_LIT("null"));
}

static void set(struct pieces *p, enum ce_attribute attribute, struct fl_slice value, enum how how)
{
    bool is_there;
    size_t at = place_of(p, attribute, &is_there);
    if (!is_there) {
        if (!pieces_push(p))
            return;
        memmove(&p->all[at + 1], &p->all[at], (p->count - 1 - at) * sizeof *p->all);
    }
    fill_piece(&p->all[at], attribute, value, how);
}

static void set_missing(struct pieces *p, enum ce_attribute attribute, const char *value)
{
    if (!has_value(p, attribute))
        set(p, attribute, fl_slice_str(value), QUOTE);
}

/* What daprd sets in an event that a client made. */
static void set_dapr_members(struct pieces *p, const struct ce_dapr_envelope *in,
                             char expiration[CE_TIME_MAX])
{
    set(p, CE_TOPIC, in->topic, ESCAPE);
    set(p, CE_PUBSUBNAME, in->pubsubname, ESCAPE);
    if (!has(p, CE_TIME))
        set(p, CE_TIME, ce_time_now(), QUOTE);
    if (!has(p, CE_TRACEID)) {
        set(p, CE_TRACEID, in->traceparent, ESCAPE);
        set(p, CE_TRACEPARENT, in->traceparent, ESCAPE);
    }
    if (!has(p, CE_TRACESTATE))
        set(p, CE_TRACESTATE, in->tracestate, ESCAPE);
    set_missing(p, CE_SOURCE, "Dapr");
    set_missing(p, CE_TYPE, "com.dapr.event.sent");
    set_missing(p, CE_SPECVERSION, "1.0");
    if (has_expiration(in))
        set(p, CE_EXPIRATION, expiration_of(in->given.ttl_ns, expiration), QUOTE);
}

static enum fl_err scan_object(struct fl_slice body, struct pieces *p, struct fl_error *error)
{
    struct ce_json_scan scan = {.on_member = collect_member, .context = p};
    if (ce_json_scan(body, &scan) != FL_OK)
        return ce_json_explain(body, &scan, error);
    if (scan.type != CE_JSON_OBJECT)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "a CloudEvent must be a JSON object");
    p->repairs_keys = scan.flags & CE_JSON_BAD_TEXT;
    if (scan.flags & CE_JSON_HUGE_NUMBER)
        p->flags |= CE_EVENT_HUGE_NUMBER;
    return explain(p->err, error);
}

enum fl_err ce_dapr_adopt_new(const struct ce_dapr_envelope *in, struct fl_error *error,
                              struct ce_event **event)
{
    struct fl_buffer scratch = {0};
    char expiration[CE_TIME_MAX];
    struct pieces p;
    pieces_init(&p);
    enum fl_err err = scan_object(in->body, &p, error);
    if (err != FL_OK)
        goto out;
    err = explain(name_pieces(&p, in->body, &scratch), error);
    if (err != FL_OK)
        goto out;
    sort_pieces(&p);
    drop_repeated(&p);
    set_dapr_members(&p, in, expiration);
    struct ce_event_extras extras = extras_of(in);
    err = explain(p.err == FL_OK ? build(&p, &extras, event) : p.err, error);
out:
    pieces_fini(&p);
    fl_buffer_fini(&scratch);
    return err;
}

/* --- raw subscriptions --- */

enum fl_err ce_dapr_raw_new(const struct ce_event *stored, struct fl_slice topic,
                            struct fl_slice pubsubname, struct fl_budget *budget,
                            struct ce_event **event)
{
    const struct ce_metadata *metadata = stored->metadata;
    size_t count = stored->metadata_count;
    struct fl_slice traceid = ce_metadata_find(metadata, count, FL_SLICE_LIT("traceid"));
    struct fl_slice traceparent = ce_metadata_find(metadata, count, FL_SLICE_LIT("traceparent"));
    struct fl_slice tracestate = ce_metadata_find(metadata, count, FL_SLICE_LIT("tracestate"));
    if (!fl_slice_is_null(traceparent))
        traceid = traceparent;
    char uuid[36];
    fl_random_uuid(uuid);
    struct pieces p;
    pieces_init(&p);
    add(&p, CE_DATA_BASE64, stored->body, BASE64);
    add_literal(&p, CE_DATACONTENTTYPE, "application/octet-stream");
    add(&p, CE_ID, fl_slice_of(uuid, sizeof uuid), QUOTE);
    add(&p, CE_PUBSUBNAME, pubsubname, ESCAPE);
    add_literal(&p, CE_SOURCE, "Dapr");
    add_literal(&p, CE_SPECVERSION, "1.0");
    add(&p, CE_TOPIC, topic, ESCAPE);
    if (!fl_slice_is_null(traceid))
        add(&p, CE_TRACEID, traceid, ESCAPE);
    if (!fl_slice_is_null(traceparent))
        add(&p, CE_TRACEPARENT, traceparent, ESCAPE);
    if (!fl_slice_is_null(tracestate))
        add(&p, CE_TRACESTATE, tracestate, ESCAPE);
    add_literal(&p, CE_TYPE, "com.dapr.event.sent");
    struct ce_event_extras extras = {.budget = budget};
    return build(&p, &extras, event);
}

/* --- before a delivery --- */

/* Decodes a string of a length that any time or trace has; the null slice for anything else. */
static struct fl_slice short_string(struct fl_slice token, char text[3 * 192])
{
    if (ce_json_type_of(token) != CE_JSON_STRING || token.len > 192)
        return FL_SLICE_NULL;
    if (ce_json_is_plain(token))
        return ce_json_inside(token);
    return fl_slice_of(text, ce_json_decode(token, text));
}

bool ce_event_is_expired(const struct ce_event *event, int64_t now_wall_ns)
{
    char text[3 * 192];
    struct fl_slice token = ce_event_json(event, CE_EXPIRATION);
    struct ce_timestamp time;
    if (fl_slice_is_null(token) || !ce_timestamp_parse_go(short_string(token, text), &time))
        return false;
    int64_t now_s = now_wall_ns / NS_PER_S;
    return time.seconds < now_s ||
           (time.seconds == now_s && time.nanoseconds < now_wall_ns % NS_PER_S);
}

enum ce_event_trace ce_event_traceparent(const struct ce_event *event, struct ce_trace *trace)
{
    char text[3 * 192];
    struct fl_slice token = ce_event_json(event, CE_TRACEPARENT);
    if (fl_slice_is_null(token))
        token = ce_event_json(event, CE_TRACEID);
    if (fl_slice_is_null(token) || ce_json_type_of(token) == CE_JSON_NULL)
        return CE_TRACE_ABSENT;
    return ce_trace_parse(short_string(token, text), trace) ? CE_TRACE_VALID : CE_TRACE_INVALID;
}
