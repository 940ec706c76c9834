/* Bulk publishes and batches.
 *
 *   read ─► make every event ─► scope ─► start every publish ─► wait for all ─► one answer
 *
 * `struct gw_batch` is what stands between one request and its publishes: one item for each, which
 * embeds the publish, and a count of those that have not ended. Failed items line up in the order
 * in which they failed, as daprd lists them.
 *
 * Memory: the events are charged to the budget at once when there is room for all of them; else
 * every event waits for room on its own. What could never fit is refused before it is made.
 */
#include "gateway/api_bulk.h"

#include <stdio.h>

#include "base/alloc.h"
#include "cloudevents/batch.h"
#include "cloudevents/dapr_envelope.h"
#include "cloudevents/json_write.h"
#include "cloudevents/publish_metadata.h"
#include "gateway/api_error.h"
#include "gateway/api_publish.h"
#include "gateway/bulk_entries.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/publish_error.h"
#include "gateway/publish_options.h"
#include "gateway/topic.h"

/* A longer list of failed entries is in the body only: clients bound the size of a head. */
enum { MOST_HEADER_BYTES = 4096 };

static const char too_many[] = "the events take more memory than --max-memory has";
static const char out_of_memory[] = "out of memory for the messages";

struct gw_batch_item {
    struct gw_publish publish;
    struct gw_batch *batch;
    struct ce_event *event; /* until it is started */
    struct fl_slice id;     /* in the batch's arena */
    const char *failure;    /* NULL: none; in the batch's arena */
    struct gw_batch_item *next_failed;
};

struct gw_batch {
    struct gw_request *request;
    struct fl_arena arena;
    bool is_bulk; /* else a CloudEvents batch */
    size_t count, open_count, failed_count;
    size_t charged_bytes;
    int status; /* of all failures, 500 when they differ */
    const char *first_message;
    struct gw_batch_item *first_failed, *last_failed;
    struct gw_batch_item items[];
};

/* --- refusals of the whole request --- */

static void fail_form(struct gateway *gateway, struct gw_api_hand *hand, const char *cause)
{
    const char *message = fl_arena_printf(
        &hand->arena, "error when unmarshaling the request for topic %.*s pubsub %.*s: %s",
        FL_SLICE_ARG(hand->topic->name), FL_SLICE_ARG(hand->topic->component->name), cause);
    gw_publish_fail_for_app(gateway, hand, 400, "ERR_PUBSUB_EVENTS_SER",
                            "DAPR_PUBSUB_UNMARSHAL_EVENTS", message, NULL);
}

static void fail_fault(struct gateway *gateway, struct gw_api_hand *hand,
                       const struct gw_bulk_entries *entries)
{
    bool is_id = entries->fault == GW_BULK_BAD_ID;
    const char *cause = entries->cause.text;
    const char *message = fl_arena_printf(
        &hand->arena, "%s for topic %.*s pubsub %.*s%s%s",
        is_id ? "error marshaling events to bytes" : "error when marshalling cloud event envelope",
        FL_SLICE_ARG(hand->topic->name), FL_SLICE_ARG(hand->topic->component->name),
        is_id ? ". error: " : ": ", cause);
    gw_publish_fail_for_app(gateway, hand, 400, "ERR_PUBSUB_EVENTS_SER",
                            is_id ? "DAPR_PUBSUB_MARSHAL_EVENTS" : "DAPR_PUBSUB_MARSHAL_ENVELOPE",
                            message, cause);
}

/* Nothing was started. FL_ERR_AGAIN: our own bound, for now; FL_ERR_REFUSED: for ever. */
static void fail_publish(struct gateway *gateway, struct gw_api_hand *hand, enum fl_err code,
                         const char *text)
{
    struct gw_publish_result result = {.code = code, .class = FL_CLASS_RETRY, .text = text};
    struct gw_api_error error =
        gw_publish_error(&hand->arena, &result, hand->topic->component->name, hand->topic->name);
    gw_api_fail(gateway, hand->exchange, &hand->info, &error);
}

/* --- the batch --- */

/* NULL when there is no memory for it. */
static struct gw_batch *new_batch(struct gateway *gateway, size_t count, bool is_bulk)
{
    if (count > (SIZE_MAX - sizeof(struct gw_batch)) / sizeof(struct gw_batch_item))
        return NULL;
    size_t size = sizeof(struct gw_batch) + count * sizeof(struct gw_batch_item);
    struct gw_batch *batch = fl_try_alloc(size);
    if (!batch)
        return NULL;
    memset(batch, 0, size);
    batch->is_bulk = is_bulk;
    batch->count = count;
    batch->charged_bytes = size;
    fl_budget_charge(&gateway->budget, size);
    return batch;
}

/* With the events that were not started. */
static void free_batch(struct gateway *gateway, struct gw_batch **pointer)
{
    struct gw_batch *batch = *pointer;
    *pointer = NULL;
    for (size_t i = 0; i < batch->count; i++)
        ce_event_release(&batch->items[i].event);
    fl_arena_fini(&batch->arena);
    fl_budget_release(&gateway->budget, batch->charged_bytes);
    fl_free(batch);
}

static void note_failure(struct gw_batch_item *item, const struct gw_publish_result *result)
{
    struct gw_batch *batch = item->batch;
    struct gw_topic *topic = batch->request->topic;
    struct gw_api_error error =
        gw_publish_error(&batch->arena, result, topic->component->name, topic->name);
    item->failure =
        fl_arena_printf(&batch->arena, "%.*s%s", FL_SLICE_ARG(error.pairs[0].value),
                        error.status == 504 ? " (the message may have been stored)" : "");
    gw_publish_count_refused(batch->request->gateway, topic, error.status);
    if (batch->last_failed)
        batch->last_failed->next_failed = item;
    else
        batch->first_failed = item;
    batch->last_failed = item;
    if (batch->failed_count++ == 0) {
        batch->status = error.status;
        batch->first_message = error.message.data;
    } else if (batch->status != error.status) {
        batch->status = 500;
    }
}

/* --- the answer --- */

static void count_outcome(struct gw_batch *batch)
{
    struct gw_request *request = batch->request;
    struct gateway *gateway = request->gateway;
    struct gw_topic *topic = request->topic;
    int64_t elapsed = net_loop_now_ms(gateway->loop) - request->info.started_ms;
    struct fl_slice yes[] = {topic->component->name, FL_SLICE_LIT("true"), topic->name};
    struct fl_slice no[] = {topic->component->name, FL_SLICE_LIT("false"), topic->name};
    size_t stored = batch->count - batch->failed_count;
    gw_counter_add(topic->published, stored);
    if (batch->is_bulk) {
        struct fl_slice *labels = batch->failed_count ? no : yes;
        gw_counter_add(gw_metrics_counter(gateway->metrics, GW_PUBSUB_EGRESS_BULK_COUNT, labels),
                       1);
        if (elapsed > 0)
            gw_histogram_add(
                gw_metrics_histogram(gateway->metrics, GW_PUBSUB_EGRESS_BULK_LATENCIES, labels),
                (uint64_t)elapsed);
        return;
    }
    gw_counter_add(topic->egress, stored);
    if (stored && elapsed > 0)
        gw_histogram_add(topic->egress_latency, (uint64_t)elapsed);
    if (batch->failed_count)
        gw_counter_add(gw_metrics_counter(gateway->metrics, GW_PUBSUB_EGRESS_COUNT, no),
                       batch->failed_count);
}

/* A header value from text of any origin: what no header may hold becomes a space. */
static void append_field(struct fl_buffer *out, const char *name, struct fl_slice prefix,
                         struct fl_slice text)
{
    fl_buffer_append_str(out, name);
    fl_buffer_append_str(out, ": ");
    fl_buffer_append_slice(out, prefix);
    size_t start = out->len;
    fl_buffer_append_slice(out, text);
    for (size_t i = start; i < out->len; i++) {
        unsigned char c = (unsigned char)out->data[i];
        if (c < 0x20 || c == 0x7f)
            out->data[i] = ' ';
    }
    fl_buffer_append_str(out, "\r\n");
}

static void append_failed_entries(struct fl_buffer *out, const struct gw_batch *batch)
{
    fl_buffer_append_str(out, "{\"failedEntries\":[");
    for (struct gw_batch_item *item = batch->first_failed; item; item = item->next_failed) {
        if (item != batch->first_failed)
            fl_buffer_append_byte(out, ',');
        fl_buffer_append_str(out, "{\"entryId\":");
        ce_json_append_string(out, item->id);
        fl_buffer_append_str(out, ",\"error\":");
        ce_json_append_string(out, fl_slice_str(item->failure));
        fl_buffer_append_byte(out, '}');
    }
    fl_buffer_append_str(out, "],\"errorCode\":\"ERR_PUBSUB_PUBLISH_MESSAGE\"}");
}

static void respond_failed_entries(struct gw_batch *batch)
{
    struct gw_request *request = batch->request;
    struct gateway *gateway = request->gateway;
    struct fl_buffer body = {0}, extra = {0};
    struct fl_slice labels[] = {FL_SLICE_LIT("pubsub"), FL_SLICE_LIT("ERR_PUBSUB_PUBLISH_MESSAGE")};
    struct fl_slice message = fl_slice_str(batch->first_message);
    if (message.len > MOST_HEADER_BYTES)
        message.len = MOST_HEADER_BYTES;
    gw_counter_add(gw_metrics_counter(gateway->metrics, GW_ERROR_CODE_TOTAL, labels), 1);
    append_failed_entries(&body, batch);
    append_field(&extra, "metadata.error", FL_SLICE_LIT("api error: code = Internal desc = "),
                 message);
    if (body.len <= MOST_HEADER_BYTES)
        append_field(&extra, "metadata.responseData", FL_SLICE_NULL, fl_buffer_slice(&body));
    if (batch->status == 429 || batch->status == 503)
        fl_buffer_append_str(&extra, "Retry-After: 1\r\n");
    gw_api_respond(gateway, request->exchange, &request->info, batch->status, "application/json",
                   fl_buffer_slice(&body), fl_buffer_slice(&extra));
    fl_buffer_fini(&body);
    fl_buffer_fini(&extra);
}

static void respond_first_failure(struct gw_batch *batch)
{
    struct gw_request *request = batch->request;
    struct gw_topic *topic = request->topic;
    const char *message =
        fl_arena_printf(&batch->arena, "%s (%zu of %zu events were stored)", batch->first_message,
                        batch->count - batch->failed_count, batch->count);
    struct gw_api_error error = {
        .status = batch->status,
        .code = "ERR_PUBSUB_PUBLISH_MESSAGE",
        .category = "pubsub",
        .message = fl_slice_str(message),
        .reason = "DAPR_PUBSUB_PUBLISH_MESSAGE",
        .resource = topic->component->name,
        .pairs = {{FL_SLICE_LIT("error"), fl_slice_str(batch->first_failed->failure)},
                  {FL_SLICE_LIT("topic"), topic->name}},
        .pair_count = 2,
        .retry_after_s = batch->status == 429 || batch->status == 503 ? 1 : 0,
    };
    gw_api_fail(request->gateway, request->exchange, &request->info, &error);
}

static void finish(struct gw_batch *batch)
{
    struct gw_request *request = batch->request;
    count_outcome(batch);
    if (batch->failed_count == 0)
        gw_api_respond(request->gateway, request->exchange, &request->info, 204, NULL,
                       FL_SLICE_NULL, FL_SLICE_NULL);
    else if (batch->is_bulk)
        respond_failed_entries(batch);
    else
        respond_first_failure(batch);
    request->batch = NULL;
    free_batch(request->gateway, &batch);
    gw_request_free(&request);
}

static void end_one(struct gw_batch *batch)
{
    if (--batch->open_count == 0)
        finish(batch);
}

static void on_published(struct gw_publish *publish, const struct gw_publish_result *result)
{
    struct gw_batch_item *item = FL_CONTAINER(publish, struct gw_batch_item, publish);
    if (result->code)
        note_failure(item, result);
    end_one(item->batch);
}

static bool is_awaited(const struct gw_publish *publish)
{
    const struct gw_batch_item *item = FL_CONTAINER(publish, struct gw_batch_item, publish);
    return http_exchange_is_awaited(item->batch->request->exchange);
}

/* --- sending --- */

/* The batch is taken: its events leave, or it is freed with the refusal. */
static void send_batch(struct gateway *gateway, struct gw_api_hand *hand, struct gw_batch *batch)
{
    if (!hand->topic->is_allowed) {
        gw_publish_fail_forbidden(gateway, hand);
        free_batch(gateway, &batch);
        return;
    }
    struct gw_request *request = gw_request_new(gateway, hand);
    request->batch = batch;
    batch->request = request;
    /* One more, so that the batch lasts until all were started. */
    batch->open_count = batch->count + 1;
    for (size_t i = 0; i < batch->count; i++) {
        struct gw_batch_item *item = &batch->items[i];
        item->batch = batch;
        item->publish.component = request->topic->component;
        item->publish.topic = request->topic->broker_name;
        item->publish.partition_key = ce_metadata_find(
            item->event->metadata, item->event->metadata_count, FL_SLICE_LIT("partitionKey"));
        item->publish.done = on_published;
        item->publish.is_awaited = is_awaited;
        if (gw_publish_start(gateway, &item->publish, &item->event)) {
            struct gw_publish_result result = {.code = FL_ERR_AGAIN,
                                               .class = FL_CLASS_RETRY,
                                               .text = "too many messages are waiting"};
            ce_event_release(&item->event);
            note_failure(item, &result);
            end_one(batch);
        }
    }
    end_one(batch);
}

/* Bytes that the events of one request may take, the batch included. */
static size_t need_of(size_t body_bytes, size_t count, const struct ce_metadata *query,
                      size_t query_count)
{
    size_t query_bytes = query_count * sizeof *query; /* every event may get all of it */
    for (size_t i = 0; i < query_count; i++)
        query_bytes += query[i].key.len + query[i].value.len;
    return body_bytes +
           count * (gw_api_event_estimate(0) + sizeof(struct gw_batch_item) + query_bytes);
}

/* What the body reserved goes back when this request returns. */
static bool has_room(struct gateway *gateway, struct gw_api_hand *hand, size_t need)
{
    size_t reserved = http_exchange_reserved_bytes(hand->exchange);
    return need <= reserved || fl_budget_has_room(&gateway->budget, need - reserved);
}

/* What every envelope of the request has in common. */
static struct ce_dapr_envelope envelope_of(struct gateway *gateway, struct gw_api_hand *hand,
                                           size_t need)
{
    return (struct ce_dapr_envelope){
        .app_id = gateway->flags->app_id,
        .topic = hand->topic->name,
        .pubsubname = hand->topic->component->name,
        .traceparent = hand->trace.has_context ? fl_slice_of(hand->trace.text, CE_TRACEPARENT_LEN)
                                               : FL_SLICE_LIT(""),
        .tracestate = hand->trace.takes_state ? hand->fields.tracestate : FL_SLICE_LIT(""),
        .keeps_no_expiration = hand->topic->component->connector->traits.ttl,
        .budget = has_room(gateway, hand, need) ? &gateway->budget : NULL,
    };
}

/* --- bulk publish --- */

struct bulk {
    const struct gw_component *component;
    const struct ce_metadata *query;
    size_t query_count;
    bool is_raw;
    bool has_promise; /* the query says when: it goes for entries without metadata too */
    struct gw_bulk_entries entries;
};

/* As the entry's event will have it. FL_ERR_REFUSED: the component cannot do what it says. */
static enum fl_err read_metadata(struct fl_arena *scratch, const struct bulk *bulk,
                                 const struct gw_bulk_entry *entry, struct ce_dapr_envelope *in,
                                 struct fl_error *error)
{
    struct fl_error cause;
    in->given = (struct ce_publish_metadata){0};
    gw_bulk_entry_metadata(scratch, entry, bulk->query, bulk->query_count, &in->metadata,
                           &in->metadata_count);
    if (fl_slice_is_null(entry->metadata) && bulk->has_promise) {
        in->metadata = bulk->query;
        in->metadata_count = bulk->query_count;
    }
    if (in->metadata_count == 0)
        return FL_OK;
    ce_publish_metadata_read(in->metadata, in->metadata_count, &in->given);
    if (gw_publish_options_check(bulk->component, in->metadata, in->metadata_count, scratch,
                                 &cause))
        return fl_error_set(error, FL_ERR_REFUSED, FL_CLASS_REJECT, "entry %.*s: %s",
                            FL_SLICE_ARG(entry->id), cause.text);
    return FL_OK;
}

static enum fl_err make_event(struct fl_arena *scratch, const struct bulk *bulk,
                              const struct gw_bulk_entry *entry, struct ce_dapr_envelope *in,
                              struct fl_buffer *bytes, struct fl_error *error,
                              struct ce_event **event)
{
    fl_buffer_clear(bytes);
    enum fl_err err = gw_bulk_entry_bytes(entry, bytes, error);
    if (!err)
        err = read_metadata(scratch, bulk, entry, in, error);
    if (err)
        return err;
    in->body = fl_buffer_slice(bytes);
    in->content_type = entry->content_type;
    if (bulk->is_raw)
        err = ce_event_new(in->body, FL_SLICE_NULL, in->metadata, in->metadata_count, in->budget,
                           event);
    else if (entry->kind == CE_BULK_EVENT)
        err = ce_dapr_adopt_new(in, error, event);
    else
        err = ce_dapr_envelope_new(in, error, event);
    if (!err && fl_slice_is_null(entry->metadata) && !bulk->has_promise)
        (*event)->flags |= CE_EVENT_WITHOUT_METADATA;
    return err;
}

/* The batch when all its events were made; else the request is answered and the batch is gone. */
static struct gw_batch *finished(struct gateway *gateway, struct gw_api_hand *hand,
                                 struct gw_batch *batch, enum fl_err err,
                                 const struct fl_error *error)
{
    if (!err)
        return batch;
    if (batch)
        free_batch(gateway, &batch);
    if (err == FL_ERR_NO_MEMORY)
        fail_publish(gateway, hand, FL_ERR_AGAIN, out_of_memory);
    else if (err == FL_ERR_REFUSED)
        gw_publish_fail_metadata(gateway, hand, error->text, NULL, 0);
    else
        gw_publish_fail_event(gateway, hand, error->text);
    return NULL;
}

/* Makes every event, or answers with the reason and gives NULL. */
static struct gw_batch *make_bulk(struct gateway *gateway, struct gw_api_hand *hand,
                                  const struct bulk *bulk, size_t body_bytes)
{
    const struct gw_bulk_entries *entries = &bulk->entries;
    size_t need = need_of(body_bytes, entries->count, bulk->query, bulk->query_count);
    if (need > gateway->budget.total_bytes) {
        fail_form(gateway, hand, too_many);
        return NULL;
    }
    struct ce_dapr_envelope in = envelope_of(gateway, hand, need);
    struct gw_batch *batch = new_batch(gateway, entries->count, true);
    struct fl_buffer bytes = {0};
    struct fl_arena scratch = {0};
    struct fl_error error = {0};
    enum fl_err err = batch ? FL_OK : FL_ERR_NO_MEMORY;
    for (size_t i = 0; !err && i < entries->count; i++) {
        struct gw_batch_item *item = &batch->items[i];
        item->id = fl_arena_copy(&batch->arena, entries->items[i].id);
        err = make_event(&scratch, bulk, &entries->items[i], &in, &bytes, &error, &item->event);
        if (scratch.blocks)
            fl_arena_fini(&scratch);
    }
    fl_buffer_fini(&bytes);
    return finished(gateway, hand, batch, err, &error);
}

/* False when it answered: rawPayload makes no sense. */
static bool read_query(struct gateway *gateway, struct gw_api_hand *hand, struct bulk *bulk)
{
    struct ce_metadata *query;
    struct fl_slice bad;
    gw_api_query_metadata(&hand->arena, hand->query, &query, &bulk->query_count);
    bulk->query = query;
    bulk->has_promise = gw_publish_has_promise(query, bulk->query_count);
    if (bulk->query_count == 0 ||
        ce_metadata_raw_payload(query, bulk->query_count, &bulk->is_raw, &bad) == FL_OK)
        return true;
    gw_publish_fail_raw_payload(gateway, hand, bad, query, bulk->query_count);
    return false;
}

void gw_api_bulk_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body)
{
    struct bulk bulk = {.component = hand->topic->component};
    struct fl_error error = {0};
    if (!read_query(gateway, hand, &bulk))
        return;
    enum fl_err err = gw_bulk_entries_read(&hand->arena, body, &bulk.entries, &error);
    if (err == FL_ERR_NO_MEMORY) {
        fail_publish(gateway, hand, FL_ERR_AGAIN, error.text);
    } else if (err) {
        fail_form(gateway, hand, error.text);
    } else if (bulk.entries.fault != GW_BULK_NO_FAULT) {
        fail_fault(gateway, hand, &bulk.entries);
    } else {
        struct gw_batch *batch = make_bulk(gateway, hand, &bulk, body.len);
        if (batch)
            send_batch(gateway, hand, batch);
    }
    gw_bulk_entries_fini(&bulk.entries);
}

void gw_api_bulk_publish_failed(struct gateway *gateway, struct gw_api_hand *hand,
                                enum http_body_failure why)
{
    struct bulk bulk = {0};
    switch (why) {
    case HTTP_BODY_TOO_LARGE:
        if (read_query(gateway, hand, &bulk))
            fail_form(gateway, hand, "stream too large");
        return;
    case HTTP_BODY_NO_MEMORY:
        fail_publish(gateway, hand, FL_ERR_AGAIN, "the memory bound (--max-memory) is reached");
        return;
    case HTTP_BODY_BAD_CHUNK:
    case HTTP_BODY_TIMED_OUT:
        /* As for a single publish: framing and time limits are not the endpoint's. */
        gw_api_publish_failed(gateway, hand, why);
        return;
    }
}

/* --- a CloudEvents batch --- */

/* Adopts every event, or answers with the reason and gives NULL. */
static struct gw_batch *adopt_all(struct gateway *gateway, struct gw_api_hand *hand,
                                  struct ce_batch *events, struct ce_dapr_envelope *in)
{
    struct gw_batch *batch = new_batch(gateway, events->count, false);
    struct fl_error error = {0};
    enum fl_err err = batch ? FL_OK : FL_ERR_NO_MEMORY;
    for (size_t i = 0; !err && i < batch->count && ce_batch_next(events, &in->body); i++)
        err = ce_dapr_adopt_new(in, &error, &batch->items[i].event);
    return finished(gateway, hand, batch, err, &error);
}

void gw_api_batch_publish(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body)
{
    struct ce_batch events;
    struct ce_metadata *query;
    size_t query_count;
    struct fl_error error = {0};
    enum fl_err err = ce_batch_open(&events, body, &error);
    if (err == FL_ERR_NO_MEMORY) {
        fail_publish(gateway, hand, FL_ERR_AGAIN, out_of_memory);
        return;
    }
    if (err) {
        gw_publish_fail_event(gateway, hand, error.text);
        return;
    }
    gw_api_query_metadata(&hand->arena, hand->query, &query, &query_count);
    size_t need = need_of(body.len, events.count, query, query_count);
    if (need > gateway->budget.total_bytes) {
        fail_publish(gateway, hand, FL_ERR_REFUSED, too_many);
        return;
    }
    struct ce_dapr_envelope in = envelope_of(gateway, hand, need);
    in.metadata = query;
    in.metadata_count = query_count;
    if (query_count)
        ce_publish_metadata_read(query, query_count, &in.given);
    struct gw_batch *batch = adopt_all(gateway, hand, &events, &in);
    if (batch)
        send_batch(gateway, hand, batch);
}
