/* The event: one allocation that holds the struct, the metadata array, the body and all strings.
 *
 * Layout: struct | metadata pairs | body | content type | metadata strings. Bytes that came from a
 * broker are scanned once, in place, for the spans of the attributes; the deepest envelope that
 * Fairlead itself can build (data at the limit of depth, and one level around it) is still read
 * back.
 */
#include "cloudevents/event.h"

#include "base/alloc.h"
#include "base/budget.h"
#include "cloudevents/event_priv.h"
#include "cloudevents/json_bytes_priv.h"
#include "cloudevents/json_scan.h"

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct fl_slice names[CE_ATTRIBUTE_COUNT] = {
    [CE_ID] = NAME("id"),
    [CE_SOURCE] = NAME("source"),
    [CE_TYPE] = NAME("type"),
    [CE_SPECVERSION] = NAME("specversion"),
    [CE_DATACONTENTTYPE] = NAME("datacontenttype"),
    [CE_SUBJECT] = NAME("subject"),
    [CE_TIME] = NAME("time"),
    [CE_TOPIC] = NAME("topic"),
    [CE_PUBSUBNAME] = NAME("pubsubname"),
    [CE_TRACEID] = NAME("traceid"),
    [CE_TRACEPARENT] = NAME("traceparent"),
    [CE_TRACESTATE] = NAME("tracestate"),
    [CE_EXPIRATION] = NAME("expiration"),
    [CE_DATA] = NAME("data"),
    [CE_DATA_BASE64] = NAME("data_base64"),
};

enum ce_attribute ce_attribute_of(struct fl_slice name)
{
    int attribute = 0;
    while (attribute < CE_ATTRIBUTE_COUNT && !fl_slice_eq(names[attribute], name))
        attribute++;
    return (enum ce_attribute)attribute;
}

struct fl_slice ce_attribute_name(enum ce_attribute attribute)
{
    return names[attribute];
}

static struct fl_slice copy_slice(char **at, struct fl_slice s)
{
    if (fl_slice_is_null(s))
        return s;
    char *copy = *at;
    memcpy(copy, s.data, s.len);
    *at += s.len;
    return fl_slice_of(copy, s.len);
}

enum fl_err ce_event_alloc(size_t body_len, const struct ce_event_extras *extras,
                           struct ce_event **event, char **body)
{
    if (body_len > UINT32_MAX)
        return FL_ERR_TOO_LARGE;
    size_t pairs_size = extras->metadata_count * sizeof(struct ce_metadata);
    size_t size = sizeof(struct ce_event) + pairs_size + body_len + extras->content_type.len;
    for (size_t i = 0; i < extras->metadata_count; i++)
        size += extras->metadata[i].key.len + extras->metadata[i].value.len;
    struct ce_event *made = fl_try_alloc(size);
    if (!made)
        return FL_ERR_NO_MEMORY;
    struct ce_metadata *pairs = (struct ce_metadata *)(made + 1);
    char *at = (char *)made + sizeof *made + pairs_size;
    *body = at;
    *made = (struct ce_event){.references = 1,
                              .budget = extras->budget,
                              .charged_bytes = size,
                              .body = fl_slice_of(at, body_len),
                              .metadata = extras->metadata_count ? pairs : NULL,
                              .metadata_count = extras->metadata_count};
    at += body_len;
    made->content_type = copy_slice(&at, extras->content_type);
    for (size_t i = 0; i < extras->metadata_count; i++) {
        pairs[i].key = copy_slice(&at, extras->metadata[i].key);
        pairs[i].value = copy_slice(&at, extras->metadata[i].value);
    }
    if (extras->budget)
        fl_budget_charge(extras->budget, size);
    *event = made;
    return FL_OK;
}

void ce_event_release(struct ce_event **event)
{
    struct ce_event *e = *event;
    *event = NULL;
    if (!e)
        return;
    FL_ASSERT(e->references > 0);
    if (--e->references > 0)
        return;
    struct fl_budget *budget = e->budget;
    size_t charged_bytes = e->charged_bytes;
    fl_free(e);
    if (budget)
        fl_budget_release(budget, charged_bytes);
}

/* Of equal names the last counts. */
static void note_member(void *context, struct fl_slice key, struct fl_slice value)
{
    struct ce_event *event = context;
    enum ce_attribute attribute = CE_ATTRIBUTE_COUNT;
    if (ce_json_is_plain(key)) {
        attribute = ce_attribute_of(ce_json_inside(key));
    } else {
        for (int i = 0; i < CE_ATTRIBUTE_COUNT; i++)
            if (ce_json_equals(key, names[i]))
                attribute = (enum ce_attribute)i;
    }
    if (attribute != CE_ATTRIBUTE_COUNT)
        event->spans[attribute] =
            (struct ce_span){(uint32_t)(value.data - event->body.data), (uint32_t)value.len};
}

/* Fills spans and flags from the body. */
static void find_attributes(struct ce_event *event)
{
    struct fl_slice body = event->body;
    const char *first = ce_skip_space(body.data, body.data + body.len);
    if (first == body.data + body.len || (*first != '{' && *first != 'n'))
        return;
    struct ce_json_scan scan = {
        .on_member = note_member, .context = event, .max_depth = CE_JSON_MAX_DEPTH + 1};
    enum fl_err err = ce_json_scan(body, &scan);
    if (err == FL_OK && !(scan.flags & CE_JSON_TRAILING)) {
        event->flags = scan.type == CE_JSON_OBJECT ? CE_EVENT_STRUCTURED : CE_EVENT_NULL;
        if (scan.flags & CE_JSON_HUGE_NUMBER)
            event->flags |= CE_EVENT_HUGE_NUMBER;
    } else {
        memset(event->spans, 0, sizeof event->spans);
    }
}

enum fl_err ce_event_new(struct fl_slice body, struct fl_slice content_type,
                         const struct ce_metadata *metadata, size_t metadata_count,
                         struct fl_budget *budget, struct ce_event **event)
{
    struct ce_event_extras extras = {content_type, metadata, metadata_count, budget};
    char *bytes;
    enum fl_err err = ce_event_alloc(body.len, &extras, event, &bytes);
    if (err != FL_OK)
        return err;
    if (body.len > 0)
        memcpy(bytes, body.data, body.len);
    find_attributes(*event);
    return FL_OK;
}

struct fl_slice ce_event_member(const struct ce_event *event, struct fl_slice name)
{
    enum ce_attribute attribute = ce_attribute_of(name);
    if (attribute != CE_ATTRIBUTE_COUNT)
        return ce_event_json(event, attribute);
    if (!(event->flags & CE_EVENT_STRUCTURED))
        return FL_SLICE_NULL;
    const char *end = event->body.data + event->body.len;
    const char *start = ce_skip_space(event->body.data, end);
    while (ce_is_json_space(end[-1]))
        end--;
    return ce_json_find(fl_slice_of(start, (size_t)(end - start)), name);
}
