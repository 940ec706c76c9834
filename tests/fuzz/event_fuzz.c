/* Any bytes as a publish body, a stored message, a batch, and as headers.
 *
 * Claims: an envelope is always an event that reads back; so is what adopting accepts; a strict
 * event survives binary mode; nothing leaks.
 */
#include "base/error.h"
#include "cloudevents/batch.h"
#include "cloudevents/dapr_envelope.h"
#include "cloudevents/http_binary.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/structured.h"
#include "cloudevents/timestamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The places noted while writing are those that a scan finds. */
static void check_reads_back(const struct ce_event *event)
{
    struct ce_event *again;
    FL_ASSERT(ce_event_new(event->body, FL_SLICE_NULL, NULL, 0, NULL, &again) == FL_OK);
    FL_ASSERT(again->flags == event->flags);
    for (int i = 0; i < CE_ATTRIBUTE_COUNT; i++)
        FL_ASSERT(fl_slice_eq(ce_event_json(event, (enum ce_attribute)i),
                              ce_event_json(again, (enum ce_attribute)i)));
    ce_event_release(&again);
}

static void use(const struct ce_event *event)
{
    struct ce_trace trace;
    (void)ce_event_is_expired(event, 0);
    (void)ce_event_traceparent(event, &trace);
    (void)ce_event_member(event, FL_SLICE_LIT("ext"));
    struct ce_event *raw;
    FL_ASSERT(ce_dapr_raw_new(event, FL_SLICE_LIT("t"), FL_SLICE_LIT("p"), NULL, &raw) == FL_OK);
    check_reads_back(raw);
    ce_event_release(&raw);
    for (int p = 0; p < CE_PROTOCOL_COUNT; p++) {
        struct fl_arena arena = {0};
        struct fl_buffer scratch = {0}, json = {0};
        struct ce_binary_message message;
        struct fl_error error;
        const struct ce_header_map *map = ce_header_map_of((enum ce_protocol)p);
        if (ce_binary_write(map, event, &arena, &scratch, &message) == FL_OK)
            (void)!ce_binary_read(map, &message, &json, &error);
        fl_arena_fini(&arena);
        fl_buffer_fini(&scratch);
        fl_buffer_fini(&json);
    }
}

static void publish(struct fl_slice body, struct fl_slice content_type, struct fl_slice word)
{
    struct ce_metadata pairs[] = {{FL_SLICE_LIT("cloudevent.id"), word},
                                  {FL_SLICE_LIT("TTL"), word},
                                  {FL_SLICE_LIT("traceparent"), word}};
    struct ce_dapr_envelope in = {.body = body,
                                  .content_type = content_type,
                                  .app_id = FL_SLICE_LIT("app"),
                                  .topic = word,
                                  .pubsubname = FL_SLICE_LIT("pubsub"),
                                  .metadata = pairs,
                                  .metadata_count = 3};
    ce_publish_metadata_read(pairs, 3, &in.given);
    struct ce_event *event;
    FL_ASSERT(ce_dapr_envelope_new(&in, NULL, &event) == FL_OK);
    FL_ASSERT(event->flags & CE_EVENT_STRUCTURED);
    check_reads_back(event);
    use(event);
    ce_event_release(&event);
    struct fl_error error;
    if (ce_dapr_adopt_new(&in, &error, &event) == FL_OK) {
        check_reads_back(event);
        use(event);
        ce_event_release(&event);
    }
}

static void read_binary(struct fl_slice body, struct fl_slice content_type, struct fl_slice word)
{
    struct ce_metadata headers[] = {{FL_SLICE_LIT("ce-id"), FL_SLICE_LIT("1")},
                                    {FL_SLICE_LIT("ce-source"), FL_SLICE_LIT("/s")},
                                    {FL_SLICE_LIT("ce-type"), FL_SLICE_LIT("t")},
                                    {FL_SLICE_LIT("ce-specversion"), FL_SLICE_LIT("1.0")},
                                    {FL_SLICE_LIT("ce-ext"), word}};
    struct ce_binary_message message = {.headers = headers,
                                        .header_count = 5,
                                        .content_type = content_type,
                                        .body = body,
                                        .has_data = true};
    struct fl_buffer json = {0};
    struct fl_error error;
    if (ce_binary_read(ce_header_map_of(CE_HTTP), &message, &json, &error) == FL_OK) {
        enum fl_err err = ce_structured_check(fl_buffer_slice(&json), &error);
        FL_ASSERT(err == FL_OK);
    }
    fl_buffer_fini(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The first byte chooses the type; a short word for headers and keys follows up to a line's
     * end. */
    static const char *const types[] = {NULL,
                                        "application/json",
                                        "text/plain; charset=utf-8",
                                        "application/octet-stream",
                                        "application/x-protobuf",
                                        "application/cloudevents+json",
                                        "application/cloudevents-batch+json"};
    struct fl_slice text = fl_slice_of((const char *)data, size), word = FL_SLICE_NULL;
    struct fl_slice content_type = FL_SLICE_NULL;
    if (size > 1) {
        size_t type = data[0] % 8;
        size_t line = fl_slice_find_byte(text, '\n');
        word = fl_slice_of(text.data + 1, line < size && line > 0 ? line - 1 : 0);
        content_type = type < 7 ? fl_slice_str(types[type]) : word;
        text = fl_slice_of(text.data + (line < size ? line + 1 : 1),
                           size - (line < size ? line + 1 : 1));
    }
    struct ce_event *event;
    struct fl_error error;
    struct ce_timestamp time;
    struct ce_batch batch;
    FL_ASSERT(ce_event_new(text, content_type, NULL, 0, NULL, &event) == FL_OK);
    use(event);
    ce_event_release(&event);
    publish(text, content_type, word);
    read_binary(text, content_type, word);
    if (ce_batch_open(&batch, text, &error) == FL_OK) {
        struct fl_slice json;
        while (ce_batch_next(&batch, &json))
            FL_ASSERT(ce_structured_check(json, &error) == FL_OK);
    }
    (void)!ce_structured_check(text, &error);
    (void)!ce_baggage_check(text, &error);
    (void)ce_tracestate_is_valid(text);
    (void)ce_timestamp_parse(text, &time);
    (void)ce_timestamp_parse_go(word, &time);
    return 0;
}
