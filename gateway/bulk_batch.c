/* One bulk call and its tries. A batch owns its body, which lives for one call and is rendered
 * again for the next try, and the places of its deliveries; a place is emptied when its delivery
 * has its verdict, and the batch goes with the last one.
 *
 * A verdict may settle, which frees the delivery: nothing of it is touched afterwards.
 */
#include "gateway/bulk_batch.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/random.h"
#include "gateway/bulk_call.h"
#include "gateway/component.h"
#include "gateway/delivery.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"

#define SCOPE "dapr.runtime.processor.subscription"

/* PAUSE: until the next look when the application is unhealthy or memory is short. */
enum { PAUSE_MS = 1000, OLD_DELIVERY_MS = 60000 };

struct place {
    struct gw_delivery *delivery; /* NULL: it has its verdict */
    enum gw_bulk_status status;   /* what the answer says */
};

struct gw_bulk_batch {
    struct fl_list link;
    struct gw_bulk_batches *batches;
    uint32_t way;
    struct gw_app_call call;
    struct net_timer timer;  /* of the next try */
    struct gw_waiter waiter; /* in the breaker's line */
    struct gw_policy_run run;
    struct fl_buffer body;
    char fields[160];
    char id[GW_BULK_ID_LEN];
    bool is_calling;
    int64_t sent_ms;
    uint32_t count, open_count;
    struct place places[];
};

static struct gateway *gateway_of(const struct gw_bulk_batch *batch)
{
    return batch->batches->subscription->gateway;
}

static int64_t now_ms(const struct gw_bulk_batch *batch)
{
    return net_loop_now_ms(gateway_of(batch)->loop);
}

static void free_body(struct gw_bulk_batch *batch)
{
    fl_budget_release(&gateway_of(batch)->budget, batch->body.len);
    fl_buffer_fini(&batch->body);
}

static void free_batch(struct gw_bulk_batch *batch)
{
    net_timer_stop(gateway_of(batch)->loop, &batch->timer);
    gw_policy_leave(&batch->waiter);
    gw_policy_withdrew(&batch->batches->subscription->policy, &batch->run);
    fl_list_remove(&batch->link);
    free_body(batch);
    fl_free(batch);
}

static void on_retry_due(struct net_timer *timer)
{
    gw_bulk_batch_send(FL_CONTAINER(timer, struct gw_bulk_batch, timer));
}

static void on_let_through(struct gw_waiter *waiter)
{
    gw_bulk_batch_send(FL_CONTAINER(waiter, struct gw_bulk_batch, waiter));
}

struct gw_bulk_batch *gw_bulk_batch_new(struct gw_bulk_batches *batches, uint32_t way, size_t most)
{
    struct gw_bulk_batch *batch = fl_zalloc(sizeof *batch + most * sizeof *batch->places);
    batch->batches = batches;
    batch->way = way;
    batch->timer.expired = on_retry_due;
    batch->waiter.go = on_let_through;
    fl_random_uuid(batch->id);
    fl_list_add_last(&batches->list, &batch->link);
    return batch;
}

/* By its verdicts: what had to wait for it may go. */
static void end_batch(struct gw_bulk_batch *batch)
{
    struct gw_bulk_batches *batches = batch->batches;
    free_batch(batch);
    batches->on_ended(batches);
}

static void set_states(struct gw_bulk_batch *batch, enum gw_delivery_state state)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->places[i].delivery)
            gw_delivery_set_state(batch->places[i].delivery, state);
    }
}

static void try_again_in(struct gw_bulk_batch *batch, int64_t wait_ms)
{
    set_states(batch, GW_DELIVERY_IN_BULK);
    net_timer_start(gateway_of(batch)->loop, &batch->timer, now_ms(batch) + wait_ms);
}

/* --- counting --- */

static void count_statuses(struct gw_bulk_batch *batch)
{
    static const struct fl_slice words[] = {[GW_BULK_RETRY] = FL_SLICE_LIT("RETRY"),
                                            [GW_BULK_SUCCESS] = FL_SLICE_LIT("SUCCESS"),
                                            [GW_BULK_DROP] = FL_SLICE_LIT("DROP")};
    struct gw_metrics *metrics = gateway_of(batch)->metrics;
    bool is_there[sizeof words / sizeof *words] = {false};
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->places[i].delivery)
            is_there[batch->places[i].status] = true;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct fl_slice labels[] = {FL_SLICE_LIT("pubsubName"), words[i],
                                    batch->batches->subscription->config->topic};
        if (is_there[i])
            gw_counter_add(gw_metrics_counter(metrics, GW_PUBSUB_INGRESS_BULK_EVENT_COUNT, labels),
                           1);
    }
}

/* daprd's label of the component is this very word. */
static void count_ingress(struct gw_bulk_batch *batch, int64_t elapsed_ms)
{
    struct gw_metrics *metrics = gateway_of(batch)->metrics;
    struct fl_slice labels[] = {FL_SLICE_LIT("pubsubName"), FL_SLICE_LIT(""),
                                batch->batches->subscription->config->topic};
    gw_counter_add(gw_metrics_counter(metrics, GW_PUBSUB_INGRESS_BULK_COUNT, labels), 1);
    if (elapsed_ms > 0)
        gw_histogram_add(gw_metrics_histogram(metrics, GW_PUBSUB_INGRESS_BULK_LATENCIES, labels),
                         (uint64_t)elapsed_ms);
    count_statuses(batch);
}

/* --- verdicts --- */

static void warn_if_old(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    int64_t age = net_loop_now_ms(subscription->gateway->loop) - delivery->came_ms;
    if (delivery->warned_old || age <= OLD_DELIVERY_MS)
        return;
    delivery->warned_old = true;
    FL_INFO(subscription->gateway->log, SCOPE, "a delivery of topic %.*s took %lld ms",
            FL_SLICE_ARG(subscription->config->topic), (long long)age);
}

/* A path that the application does not have: daprd takes the batch for done, without dead letter.
 */
static void forget(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct fl_slice labels[] = {subscription->config->pubsub,
                                FL_SLICE_LIT("dropped by the application"),
                                subscription->config->topic};
    gw_counter_add(gw_metrics_counter(subscription->gateway->metrics, GW_DROPPED_TOTAL, labels), 1);
    gw_intake_settle(delivery, CONNECTOR_ACCEPTED, 0);
}

/* Gives each delivery that succeeded or was dropped its verdict; the others stay. A stale one goes
 * in any case. */
static void end_finished(struct gw_bulk_batch *batch, bool is_unknown_path)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct gw_delivery *delivery = batch->places[i].delivery;
        if (!delivery)
            continue;
        warn_if_old(delivery);
        bool is_stale = gw_delivery_is_stale(delivery);
        if (batch->places[i].status == GW_BULK_RETRY && !is_stale) {
            delivery->failures++;
            continue;
        }
        batch->places[i].delivery = NULL;
        batch->open_count--;
        if (is_unknown_path && !is_stale)
            forget(delivery);
        else if (batch->places[i].status == GW_BULK_DROP)
            gw_delivery_dropped(delivery, "dropped by the application");
        else
            gw_delivery_succeeded(delivery);
    }
}

static void fail_rest(struct gw_bulk_batch *batch, int http_status, const char *why)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct gw_delivery *delivery = batch->places[i].delivery;
        batch->places[i].delivery = NULL;
        if (delivery)
            gw_delivery_failed_finally(delivery, http_status, why);
    }
}

/* --- the policy --- */

/* The breaker lets nothing through. Where there is a dead letter topic that is still open to it, it
 * takes the entries, as in daprd; else the batch stays until it is let through. */
static void refuse(struct gw_bulk_batch *batch, const char *why)
{
    struct gw_subscription *subscription = batch->batches->subscription;
    batch->run = (struct gw_policy_run){0};
    if (gw_delivery_may_leave(subscription)) {
        fail_rest(batch, 0, why);
        end_batch(batch);
        return;
    }
    gw_delivery_warn(subscription, why);
    set_states(batch, GW_DELIVERY_IN_BULK);
    gw_policy_wait(&subscription->policy, &batch->waiter);
}

/* False: the breaker refused it, and it has been dealt with. */
static bool is_let_through(struct gw_bulk_batch *batch)
{
    struct gw_policy *policy = &batch->batches->subscription->policy;
    const char *refusal = policy->config.is_set ? gw_policy_begin(policy, &batch->run) : NULL;
    if (refusal)
        refuse(batch, refusal);
    return !refusal;
}

static bool is_good(const struct http_result *result)
{
    return !result->code && result->status >= 200 && result->status < 300;
}

/* Of a call after which nothing is left to try. One entry that failed is a failed call; those that
 * are stale are among them. */
static void tell_policy(struct gw_bulk_batch *batch, const struct http_result *result,
                        bool has_failed)
{
    struct gw_policy *policy = &batch->batches->subscription->policy;
    if (!policy->config.is_set)
        return;
    if (has_failed)
        gw_policy_failed_finally(policy, &batch->run, result->code == FL_ERR_TIMEOUT);
    else
        gw_policy_succeeded(policy, &batch->run);
}

/* What is left failed: the policy decides about all of it together. */
static void retry_or_fail(struct gw_bulk_batch *batch, const struct http_result *result,
                          const char *why)
{
    struct gw_subscription *subscription = batch->batches->subscription;
    int http_status = result->code || is_good(result) ? 0 : result->status;
    int64_t wait = -1;
    if (subscription->gateway->subscriptions.are_stopped)
        tell_policy(batch, result, true);
    else if (subscription->policy.config.is_set)
        wait = gw_policy_failed(&subscription->policy, &batch->run, http_status,
                                result->code == FL_ERR_TIMEOUT);
    if (wait >= 0) {
        gw_counter_add(subscription->retried, batch->open_count);
        try_again_in(batch, wait);
        return;
    }
    fail_rest(batch, http_status, why);
    end_batch(batch);
}

/* --- the call --- */

static void set_all(struct gw_bulk_batch *batch, enum gw_bulk_status status)
{
    for (uint32_t i = 0; i < batch->count; i++)
        batch->places[i].status = status;
}

static void on_status(void *context, uint32_t number, enum gw_bulk_status status)
{
    struct gw_bulk_batch *batch = context;
    batch->places[number].status = status;
}

/* Notes the status of every entry. Returns what to say of those that failed. */
static const char *read_answer(struct gw_bulk_batch *batch, const struct http_result *result)
{
    size_t unknown;
    set_all(batch, GW_BULK_RETRY);
    if (result->code)
        return result->text;
    if (result->status == 404)
        set_all(batch, GW_BULK_DROP);
    if (!is_good(result))
        return "the application answered with an error status";
    if (!gw_bulk_read_answer(result->body, batch->id, batch->count, on_status, batch, &unknown))
        return "the application did not answer with a list of statuses";
    if (unknown)
        FL_WARN(gateway_of(batch)->log, SCOPE,
                "the application answered a bulk call of topic %.*s with %zu statuses of entries "
                "that it did not get",
                FL_SLICE_ARG(batch->batches->subscription->config->topic), unknown);
    return "the application asked for a retry";
}

static bool has_failures(const struct gw_bulk_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->places[i].delivery && batch->places[i].status == GW_BULK_RETRY)
            return true;
    }
    return false;
}

static void on_answer(struct http_call *http, const struct http_result *result)
{
    struct gw_app_call *call = FL_CONTAINER(http, struct gw_app_call, http);
    struct gw_bulk_batch *batch = FL_CONTAINER(call, struct gw_bulk_batch, call);
    int64_t elapsed = now_ms(batch) - batch->sent_ms;
    gw_app_call_done(call);
    batch->is_calling = false;
    free_body(batch);
    const char *why = read_answer(batch, result);
    FL_DEBUG(gateway_of(batch)->log, SCOPE, "bulk call %.*s of %u events, topic %.*s: %s %d",
             GW_BULK_ID_LEN, batch->id, batch->open_count,
             FL_SLICE_ARG(batch->batches->subscription->config->topic),
             result->code ? result->text : "status", result->status);
    gw_delivery_count_call(batch->batches->subscription, batch->way, result, elapsed);
    count_ingress(batch, elapsed);
    bool has_failed = has_failures(batch);
    end_finished(batch, !result->code && result->status == 404);
    if (batch->open_count) {
        retry_or_fail(batch, result, why);
    } else {
        tell_policy(batch, result, has_failed);
        end_batch(batch);
    }
}

static enum fl_err render_body(struct gw_bulk_batch *batch)
{
    const struct gw_subscription *subscription = batch->batches->subscription;
    size_t room = 512;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->places[i].delivery)
            room += batch->places[i].delivery->view->body.len + 160;
    }
    enum fl_err err = fl_buffer_try_reserve(&batch->body, room);
    if (!err)
        err = gw_bulk_append_head(&batch->body);
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        const struct gw_delivery *delivery = batch->places[i].delivery;
        if (delivery)
            err = gw_bulk_append_entry(&batch->body, batch->id, i, delivery->event, delivery->view,
                                       subscription->is_raw);
    }
    if (!err)
        err = gw_bulk_append_tail(&batch->body, batch->id, subscription->config->pubsub,
                                  subscription->config->topic);
    if (err)
        fl_buffer_fini(&batch->body);
    return err;
}

/* The trace of the last entry that has one. */
static size_t trace_of(const struct gw_bulk_batch *batch, char text[CE_TRACEPARENT_LEN])
{
    const struct gw_trace *trace = &gateway_of(batch)->api.trace;
    size_t len = 0;
    for (uint32_t i = batch->count; i > 0 && len == 0; i--) {
        const struct gw_delivery *delivery = batch->places[i - 1].delivery;
        if (delivery)
            len = gw_trace_delivery(trace, delivery->view, text);
    }
    return len;
}

static size_t render_fields(struct gw_bulk_batch *batch)
{
    char trace[CE_TRACEPARENT_LEN];
    size_t len = trace_of(batch, trace);
    int written =
        snprintf(batch->fields, sizeof batch->fields, "%s%.*s%sContent-Length: %zu\r\n\r\n",
                 len ? "Traceparent: " : "", (int)len, trace, len ? "\r\n" : "", batch->body.len);
    return (size_t)written;
}

void gw_bulk_batch_send(struct gw_bulk_batch *batch)
{
    struct gw_subscription *subscription = batch->batches->subscription;
    struct gateway *gateway = subscription->gateway;
    struct gw_way *way = &subscription->ways[batch->way];
    if (gateway->subscriptions.are_paused) {
        try_again_in(batch, PAUSE_MS);
        return;
    }
    if (!is_let_through(batch))
        return;
    if (render_body(batch)) {
        gw_policy_withdrew(&subscription->policy, &batch->run);
        try_again_in(batch, PAUSE_MS);
        return;
    }
    fl_budget_charge(&gateway->budget, batch->body.len);
    set_states(batch, GW_DELIVERY_CALLING);
    batch->is_calling = true;
    batch->sent_ms = now_ms(batch);
    batch->call = (struct gw_app_call){0};
    struct http_call *http = &batch->call.http;
    http->parts[0] = (struct iovec){way->head.data, way->head.len};
    http->parts[1] = (struct iovec){batch->fields, render_fields(batch)};
    http->parts[2] = (struct iovec){batch->body.data, batch->body.len};
    http->part_count = 3;
    http->timeout_ms = subscription->policy.config.timeout_ms;
    http->on_done = on_answer;
    gw_app_call(&gateway->app, &batch->call);
}

/* --- in and out --- */

void gw_bulk_batch_add(struct gw_bulk_batch *batch, struct gw_delivery *delivery)
{
    batch->places[batch->count++].delivery = delivery;
    batch->open_count++;
}

static bool remove_from(struct gw_bulk_batch *batch, const struct gw_delivery *delivery)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->places[i].delivery != delivery)
            continue;
        batch->places[i].delivery = NULL;
        if (--batch->open_count == 0)
            free_batch(batch);
        return true;
    }
    return false;
}

void gw_bulk_batches_pause(struct gw_bulk_batches *batches)
{
    FL_LIST_EACH(at, &batches->list)
    {
        struct gw_bulk_batch *batch = FL_LIST_ENTRY(at, struct gw_bulk_batch, link);
        if (!batch->is_calling || !gw_app_call_is_waiting(&batch->call))
            continue;
        gw_app_call_cancel(&batch->call);
        batch->is_calling = false;
        free_body(batch);
        gw_policy_withdrew(&batches->subscription->policy, &batch->run);
        try_again_in(batch, PAUSE_MS);
    }
}

bool gw_bulk_batches_remove(struct gw_bulk_batches *batches, const struct gw_delivery *delivery)
{
    FL_LIST_EACH(at, &batches->list)
    {
        struct gw_bulk_batch *batch = FL_LIST_ENTRY(at, struct gw_bulk_batch, link);
        if (!batch->is_calling && remove_from(batch, delivery))
            return true;
    }
    return false;
}

void gw_bulk_batches_free(struct gw_bulk_batches *batches)
{
    for (struct fl_list *first; (first = fl_list_first(&batches->list));) {
        struct gw_bulk_batch *batch = FL_LIST_ENTRY(first, struct gw_bulk_batch, link);
        gw_app_call_cancel(&batch->call);
        free_batch(batch);
    }
}
