/* Publishing one event.
 *
 * The usual request costs: one look-up of its path, one event built by splicing, one entry in the
 * component's line. Checks come in daprd's order: component (by api.c), body, rawPayload,
 * CloudEvent, topic scope.
 */
#include "gateway/api_publish.h"

#include "base/clock.h"
#include "cloudevents/body_kind.h"
#include "cloudevents/dapr_envelope.h"
#include "cloudevents/http_binary.h"
#include "cloudevents/publish_metadata.h"
#include "gateway/api_bulk.h"
#include "gateway/api_error.h"
#include "gateway/api_path.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/publish_error.h"
#include "gateway/publish_options.h"
#include "gateway/topic.h"

void gw_api_query_metadata(struct fl_arena *arena, struct fl_slice query,
                           struct ce_metadata **pairs, size_t *count)
{
    static const struct fl_slice prefix = FL_SLICE_LIT("metadata.");
    size_t most = 1;
    *count = 0;
    *pairs = NULL;
    if (query.len == 0)
        return;
    for (size_t i = 0; i < query.len; i++)
        most += query.data[i] == '&';
    *pairs = FL_ARENA_ARRAY(arena, struct ce_metadata, most);
    while (query.len) {
        size_t end = fl_slice_find_byte(query, '&');
        struct fl_slice pair = fl_slice_of(query.data, end), key, value;
        end += end < query.len;
        query = fl_slice_of(query.data + end, query.len - end);
        size_t equals = fl_slice_find_byte(pair, '=');
        bool has_value = equals < pair.len;
        if (fl_slice_find_byte(pair, ';') < pair.len ||
            !gw_query_decode(arena, fl_slice_of(pair.data, equals), &key) ||
            !gw_query_decode(arena,
                             has_value ? fl_slice_of(pair.data + equals + 1, pair.len - equals - 1)
                                       : FL_SLICE_LIT(""),
                             &value) ||
            !fl_slice_starts_with(key, prefix))
            continue;
        key = fl_slice_of(key.data + prefix.len, key.len - prefix.len);
        if (fl_slice_is_null(ce_metadata_find(*pairs, *count, key)))
            (*pairs)[(*count)++] = (struct ce_metadata){key, value};
    }
}

static void fail_publish(struct gateway *gateway, struct http_exchange *exchange,
                         const struct gw_call_info *info, struct gw_topic *topic,
                         const struct gw_publish_result *result)
{
    struct fl_arena arena = {0};
    struct gw_api_error error =
        gw_publish_error(&arena, result, topic->component->name, topic->name);
    struct fl_slice egress[] = {topic->component->name, FL_SLICE_LIT("false"), topic->name};
    gw_counter_add(gw_metrics_counter(gateway->metrics, GW_PUBSUB_EGRESS_COUNT, egress), 1);
    gw_publish_count_refused(gateway, topic, error.status);
    gw_api_fail(gateway, exchange, info, &error);
    fl_arena_fini(&arena);
}

static void on_published(struct gw_publish *publish, const struct gw_publish_result *result)
{
    struct gw_request *request = FL_CONTAINER(publish, struct gw_request, publish);
    struct gateway *gateway = request->gateway;
    struct gw_topic *topic = request->topic;
    if (result->code) {
        fail_publish(gateway, request->exchange, &request->info, topic, result);
    } else {
        int64_t elapsed = net_loop_now_ms(gateway->loop) - request->info.started_ms;
        gw_counter_add(topic->egress, 1);
        if (elapsed > 0)
            gw_histogram_add(topic->egress_latency, (uint64_t)elapsed);
        gw_counter_add(topic->published, 1);
        if (request->is_plain_post)
            gw_api_respond_published(gateway, request);
        else
            gw_api_respond(gateway, request->exchange, &request->info, 204, NULL, FL_SLICE_NULL,
                           FL_SLICE_NULL);
    }
    gw_request_free(&request);
}

static bool is_awaited(const struct gw_publish *publish)
{
    const struct gw_request *request = FL_CONTAINER(publish, struct gw_request, publish);
    return http_exchange_is_awaited(request->exchange);
}

static void send_event(struct gateway *gateway, struct gw_api_hand *hand, struct ce_event **event,
                       struct fl_slice partition_key)
{
    struct gw_topic *topic = hand->topic;
    if (!topic->is_allowed) {
        ce_event_release(event);
        gw_publish_fail_forbidden(gateway, hand);
        return;
    }
    struct gw_request *request = gw_request_new(gateway, hand);
    request->publish.component = topic->component;
    request->publish.topic = topic->broker_name;
    request->publish.partition_key = partition_key;
    request->publish.done = on_published;
    request->publish.is_awaited = is_awaited;
    enum fl_err err = gw_publish_start(gateway, &request->publish, event);
    if (err) {
        struct gw_publish_result result = {
            .code = err, .class = FL_CLASS_RETRY, .text = "too many messages are waiting"};
        ce_event_release(event);
        fail_publish(gateway, request->exchange, &request->info, topic, &result);
        gw_request_free(&request);
    }
}

/* A request in binary content mode becomes the JSON format first; then it is adopted like any other
 * event. */
static bool read_binary(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body,
                        struct fl_buffer *json, bool *is_binary)
{
    const struct http_head *head = http_exchange_head(hand->exchange);
    struct ce_metadata *headers =
        FL_ARENA_ARRAY(&hand->arena, struct ce_metadata, head->field_count);
    for (size_t i = 0; i < head->field_count; i++)
        headers[i] = (struct ce_metadata){head->fields[i].name, head->fields[i].value};
    *is_binary = ce_binary_is_mode(ce_header_map_of(CE_HTTP), headers, head->field_count,
                                   hand->fields.content_type);
    if (!*is_binary)
        return true;
    struct ce_binary_message message = {headers, head->field_count, hand->fields.content_type, body,
                                        body.len > 0 || hand->fields.content_type.len > 0};
    struct fl_error error;
    if (ce_binary_read(ce_header_map_of(CE_HTTP), &message, json, &error)) {
        gw_publish_fail_event(gateway, hand, error.text);
        return false;
    }
    return true;
}

/* A body that came in pieces stood in line and gives its room back when this turn ends, so its
 * event is charged at once. Escapes can make that six times as large: what is beyond a half more
 * has to find room like any other, else a few bodies of control characters pass the bound together.
 */
static void charge_reserved(struct gateway *gateway, struct ce_event *event, size_t reserved_bytes)
{
    size_t bytes = event->charged_bytes;
    if (bytes > reserved_bytes + reserved_bytes / 2 &&
        !fl_budget_has_room(&gateway->budget, bytes - reserved_bytes))
        return;
    fl_budget_charge(&gateway->budget, bytes);
    event->budget = &gateway->budget;
}

void gw_api_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body)
{
    struct ce_metadata *metadata;
    size_t count;
    bool is_raw = false, is_binary = false;
    struct fl_slice bad;
    struct fl_buffer json = {0};
    struct fl_error error = {0};
    struct ce_event *event = NULL;
    gw_api_query_metadata(&hand->arena, hand->query, &metadata, &count);
    if (count && ce_metadata_raw_payload(metadata, count, &is_raw, &bad)) {
        gw_publish_fail_raw_payload(gateway, hand, bad, metadata, count);
        return;
    }
    if (count &&
        gw_publish_options_check(hand->topic->component, metadata, count, &hand->arena, &error)) {
        gw_publish_fail_metadata(gateway, hand, error.text, metadata, count);
        return;
    }
    enum ce_body_kind kind = ce_body_kind_of(hand->fields.content_type, body);
    if (kind == CE_BODY_BATCH && !is_raw && body.len && fl_slice_trim(body).data[0] == '[') {
        gw_api_batch_publish(gateway, hand, body);
        return;
    }
    if (hand->fields.has_ce_id && !is_raw && !read_binary(gateway, hand, body, &json, &is_binary))
        return;
    /* An event whose bytes find no room is made all the same, uncharged, and waits: its request
     * needs no second reading. One whose body stood in line already is charged when its size is
     * known. */
    size_t reserved_bytes = http_exchange_reserved_bytes(hand->exchange);
    bool has_room = reserved_bytes == 0 &&
                    fl_budget_has_room(&gateway->budget, gw_api_event_estimate(body.len));
    struct fl_budget *budget = has_room ? &gateway->budget : NULL;
    enum fl_err err;
    if (is_raw) {
        err = ce_event_new(body, FL_SLICE_NULL, metadata, count, budget, &event);
    } else {
        struct ce_dapr_envelope in = {
            .body = is_binary ? fl_buffer_slice(&json) : body,
            .content_type = hand->fields.content_type,
            .app_id = gateway->flags->app_id,
            .topic = hand->topic->name,
            .pubsubname = hand->topic->component->name,
            .traceparent = hand->trace.has_context
                               ? fl_slice_of(hand->trace.text, CE_TRACEPARENT_LEN)
                               : FL_SLICE_LIT(""),
            .tracestate = hand->trace.takes_state ? hand->fields.tracestate : FL_SLICE_LIT(""),
            .keeps_no_expiration = hand->topic->component->connector->traits.ttl,
            .metadata = metadata,
            .metadata_count = count,
            .budget = budget,
        };
        if (count)
            ce_publish_metadata_read(metadata, count, &in.given);
        err = kind == CE_BODY_EVENT || is_binary ? ce_dapr_adopt_new(&in, &error, &event)
                                                 : ce_dapr_envelope_new(&in, &error, &event);
    }
    fl_buffer_fini(&json);
    if (err == FL_ERR_NO_MEMORY) {
        struct gw_publish_result result = {
            .code = err, .class = FL_CLASS_RETRY, .text = "out of memory for the message"};
        fail_publish(gateway, hand->exchange, &hand->info, hand->topic, &result);
    } else if (err) {
        gw_publish_fail_event(gateway, hand, error.text);
    } else {
        if (reserved_bytes)
            charge_reserved(gateway, event, reserved_bytes);
        send_event(gateway, hand, &event,
                   ce_metadata_find(event->metadata, count, FL_SLICE_LIT("partitionKey")));
    }
}

void gw_api_publish_failed(struct gateway *gateway, struct gw_api_hand *hand,
                           enum http_body_failure why)
{
    struct gw_publish_result result = {
        .code = FL_ERR_REFUSED, .class = FL_CLASS_REJECT, .text = "stream too large"};
    if (gw_api_fail_framing(gateway, hand, why))
        return;
    if (why == HTTP_BODY_NO_MEMORY)
        result = (struct gw_publish_result){.code = FL_ERR_AGAIN,
                                            .class = FL_CLASS_RETRY,
                                            .text = "the memory bound (--max-memory) is reached"};
    fail_publish(gateway, hand->exchange, &hand->info, hand->topic, &result);
}
