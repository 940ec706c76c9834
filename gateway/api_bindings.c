/* Calls of output bindings; see the header.
 *
 *   read ─► attempt ─┬─ answered ───────────────► 200 or 204
 *             ▲      └─ failed ─┬─ policy: wait ─┐
 *             └─────────────────┼────────────────┘
 *                               └─ no more ─────► 500 (our bound: 429; not connected: 503)
 *
 * What a time limit ends may still be under way in the connector, whose late answer nobody hears.
 */
#include "gateway/api_bindings.h"

#include <stdio.h>

#include "base/alloc.h"
#include "gateway/api_error.h"
#include "gateway/binding_request.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/invocation.h"
#include "gateway/metrics.h"

struct binding_call {
    struct fl_list link; /* in waiting_bindings, between two attempts */
    struct gw_invocation invocation;
    struct gateway *gateway;
    struct gw_request *request;
    struct gw_component *component;
    struct gw_binding_request body;
    struct gw_policy_run run;
    struct net_timer timer; /* of the next attempt */
    struct fl_error failure;
    size_t charged_bytes;
    int64_t began_ms;
};

/* --- counting --- */

static void count_call(struct gateway *gateway, struct fl_slice name, struct fl_slice operation,
                       bool is_good, int64_t elapsed_ms)
{
    struct gw_metrics *metrics = gateway->metrics;
    struct fl_slice labels[] = {name, operation,
                                is_good ? FL_SLICE_LIT("true") : FL_SLICE_LIT("false")};
    gw_counter_add(gw_metrics_counter(metrics, GW_OUTPUT_BINDING_COUNT, labels), 1);
    if (elapsed_ms > 0)
        gw_histogram_add(gw_metrics_histogram(metrics, GW_OUTPUT_BINDING_LATENCIES, labels),
                         (uint64_t)elapsed_ms);
}

/* --- answers --- */

/* As Go writes headers: a name that cannot be one is left out, line breaks become spaces. */
static void append_header(struct fl_buffer *out, const struct ce_metadata *pair)
{
    if (!http_is_token(pair->key))
        return;
    fl_buffer_printf(out, "Metadata.%.*s: ", FL_SLICE_ARG(pair->key));
    struct fl_slice value = fl_slice_trim(pair->value);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        fl_buffer_append_byte(out, byte < 0x20 && byte != '\t' ? ' ' : (char)byte);
    }
    fl_buffer_append_str(out, "\r\n");
}

static void append_headers(struct fl_buffer *out, const struct connector_invoked *answer)
{
    for (size_t i = 0; answer && i < answer->metadata_count; i++)
        append_header(out, &answer->metadata[i]);
}

static int status_of(const struct fl_error *failure)
{
    if (failure->code == FL_ERR_AGAIN || failure->code == FL_ERR_NO_MEMORY)
        return 429;
    return failure->code == FL_ERR_CLOSED ? 503 : 500;
}

static void free_call(struct binding_call *call)
{
    net_timer_stop(call->gateway->loop, &call->timer);
    fl_list_remove(&call->link);
    fl_budget_release(&call->gateway->budget, call->charged_bytes);
    gw_binding_request_fini(&call->body);
    fl_free(call);
}

static void respond_failure(struct gateway *gateway, struct http_exchange *exchange,
                            const struct gw_call_info *info, struct fl_slice name,
                            const struct fl_error *failure, struct fl_slice headers)
{
    struct fl_buffer message = {0};
    int status = status_of(failure);
    fl_buffer_printf(&message, "error invoking output binding %.*s: %s", FL_SLICE_ARG(name),
                     failure->text);
    struct gw_api_error error = {
        .status = status,
        .code = "ERR_INVOKE_OUTPUT_BINDING",
        .category = "binding",
        .message = fl_buffer_slice(&message),
        .extra = headers,
        .retry_after_s = status == 429 || status == 503 ? 1 : 0,
    };
    gw_api_fail(gateway, exchange, info, &error);
    fl_buffer_fini(&message);
}

/* The request is answered, and everything of it is gone. `answer` NULL: there was none. */
static void finish(struct binding_call *call, const struct connector_invoked *answer)
{
    struct gateway *gateway = call->gateway;
    struct gw_request *request = call->request;
    struct fl_buffer headers = {0};
    bool is_good = call->failure.code == FL_OK;
    append_headers(&headers, answer);
    count_call(gateway, call->component->name, call->body.operation, is_good,
               net_loop_now_ms(gateway->loop) - call->began_ms);
    if (!is_good)
        respond_failure(gateway, request->exchange, &request->info, call->component->name,
                        &call->failure, fl_buffer_slice(&headers));
    else if (answer->has_response)
        gw_api_respond(gateway, request->exchange, &request->info, 200, "application/json",
                       answer->data, fl_buffer_slice(&headers));
    else
        gw_api_respond(gateway, request->exchange, &request->info, 204, NULL, FL_SLICE_NULL,
                       fl_buffer_slice(&headers));
    fl_buffer_fini(&headers);
    free_call(call);
    gw_request_free(&request);
}

/* --- attempts --- */

static void attempt(struct binding_call *call);

static void on_next_attempt(struct net_timer *timer)
{
    struct binding_call *call = FL_CONTAINER(timer, struct binding_call, timer);
    fl_list_remove(&call->link);
    if (http_exchange_is_awaited(call->request->exchange))
        attempt(call);
    else
        finish(call, NULL);
}

/* What the policy says of the failure that stands in `call`: the wait before the next attempt, or
 * -1. Our own bounds are no failure of the component, and trying again at once would not help. */
static int64_t ask_policy(struct binding_call *call)
{
    struct gw_policy *policy = &call->component->outbound;
    const struct fl_error *failure = &call->failure;
    if (!policy->config.is_set)
        return -1;
    if (failure->code == FL_ERR_AGAIN || failure->code == FL_ERR_NO_MEMORY) {
        gw_policy_withdrew(policy, &call->run);
        return -1;
    }
    if (failure->class == FL_CLASS_REJECT) {
        gw_policy_rejected(policy, &call->run);
        return -1;
    }
    return gw_policy_failed(policy, &call->run, 0, failure->code == FL_ERR_TIMEOUT);
}

static void fail_attempt(struct binding_call *call, const struct connector_invoked *answer)
{
    struct gateway *gateway = call->gateway;
    int64_t wait = ask_policy(call);
    if (wait < 0 || gateway->shutdown.phase >= GW_DRAINING ||
        !http_exchange_is_awaited(call->request->exchange)) {
        finish(call, answer);
        return;
    }
    fl_list_add_last(&gateway->api.waiting_bindings, &call->link);
    net_timer_start(gateway->loop, &call->timer, net_loop_now_ms(gateway->loop) + wait);
}

static void on_invoked(struct gw_invocation *invocation, const struct connector_invoked *answer)
{
    struct binding_call *call = FL_CONTAINER(invocation, struct binding_call, invocation);
    struct gw_policy *policy = &call->component->outbound;
    call->failure = (struct fl_error){0};
    if (!answer->error) {
        if (policy->config.is_set)
            gw_policy_succeeded(policy, &call->run);
        finish(call, answer);
        return;
    }
    call->failure = *answer->error;
    if (call->failure.code == FL_ERR_TIMEOUT)
        fl_error_set(&call->failure, FL_ERR_TIMEOUT, FL_CLASS_UNKNOWN, "context deadline exceeded");
    fail_attempt(call, answer);
}

static void attempt(struct binding_call *call)
{
    struct gw_policy *policy = &call->component->outbound;
    int64_t timeout_ms = policy->config.timeout_ms;
    const char *refusal = policy->config.is_set ? gw_policy_begin(policy, &call->run) : NULL;
    if (refusal) {
        fl_error_set(&call->failure, FL_ERR_REFUSED, FL_CLASS_RETRY, "%s", refusal);
        finish(call, NULL);
        return;
    }
    struct connector_call what = {
        .operation = call->body.operation,
        .data = fl_buffer_slice(&call->body.data),
        .metadata = call->body.metadata,
        .metadata_count = call->body.metadata_count,
        .deadline_at_ms =
            timeout_ms > 0 ? net_loop_now_ms(call->gateway->loop) + timeout_ms : INT64_MAX,
    };
    if (gw_component_invoke(call->component, &call->invocation, &what, &call->failure))
        fail_attempt(call, NULL);
}

void gw_api_bindings_stop(struct gateway *gateway)
{
    for (struct fl_list *first; (first = fl_list_first(&gateway->api.waiting_bindings));)
        finish(FL_LIST_ENTRY(first, struct binding_call, link), NULL);
}

/* --- before the first attempt --- */

static bool has_operation(const struct connector_type *type, struct fl_slice operation)
{
    for (const char *const *at = type->operations; *at; at++) {
        if (fl_slice_eq_str(operation, *at))
            return true;
    }
    return false;
}

static enum fl_err refuse_operation(const struct connector_type *type, struct fl_slice name,
                                    struct fl_slice operation, struct fl_error *error)
{
    struct fl_buffer all = {0};
    for (const char *const *at = type->operations; *at; at++)
        fl_buffer_printf(&all, "%s%s", all.len ? " " : "", *at);
    enum fl_err err =
        fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT,
                     "binding %.*s does not support operation %.*s. supported operations:%s",
                     FL_SLICE_ARG(name), FL_SLICE_ARG(operation), fl_buffer_cstr(&all));
    fl_buffer_fini(&all);
    return err;
}

/* In daprd's order. */
static enum fl_err choose_component(struct gateway *gateway, struct fl_slice name,
                                    struct fl_slice operation, struct gw_component **chosen,
                                    struct fl_error *error)
{
    struct gw_component *component = gw_binding_find(gateway, name);
    if (operation.len == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "operation field is missing from request");
    if (!component || !component->binding.is_output)
        return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                            "couldn't find output binding %.*s", FL_SLICE_ARG(name));
    const struct connector_type *type = component->connector->type;
    if (!has_operation(type, operation))
        return refuse_operation(type, name, operation, error);
    *chosen = component;
    return FL_OK;
}

static void fail_malformed(struct gateway *gateway, struct gw_api_hand *hand, const char *text)
{
    struct fl_buffer message = {0};
    fl_buffer_printf(&message, "failed deserializing HTTP body: %s", text);
    gw_api_fail_simple(gateway, hand->exchange, &hand->info, 400, "ERR_MALFORMED_REQUEST", "common",
                       fl_buffer_cstr(&message));
    fl_buffer_fini(&message);
}

/* All baggage of the request; it was checked before, unless tracing is off. False: answered. */
static bool take_baggage(struct gateway *gateway, struct gw_api_hand *hand,
                         struct gw_binding_request *body)
{
    struct fl_buffer all = {0};
    struct fl_error error;
    if (!hand->fields.has_baggage)
        return true;
    gw_api_join_baggage(hand->exchange, &all);
    bool is_good = ce_baggage_check(fl_buffer_slice(&all), &error) == FL_OK;
    if (is_good && all.len) {
        char *text = fl_arena_printf(&body->arena, "%s", fl_buffer_cstr(&all));
        gw_binding_request_set(body, "baggage", fl_slice_str(text));
    }
    if (!is_good) {
        fl_buffer_clear(&all);
        fl_buffer_printf(&all, "invalid baggage header: %s", error.text);
        gw_api_fail_simple(gateway, hand->exchange, &hand->info, 400, "ERR_MALFORMED_REQUEST",
                           "common", fl_buffer_cstr(&all));
    }
    fl_buffer_fini(&all);
    return is_good;
}

static void take_trace(struct gateway *gateway, const struct gw_api_hand *hand,
                       struct gw_binding_request *body)
{
    if (gateway->api.trace.mode == GW_TRACE_OFF)
        return;
    const char *text = hand->trace.has_context ? hand->trace.text : CE_TRACEPARENT_ZERO;
    char *own = fl_arena_printf(&body->arena, "%.*s", CE_TRACEPARENT_LEN, text);
    gw_binding_request_set(body, "traceparent", fl_slice_str(own));
    if (hand->trace.takes_state) {
        own = fl_arena_printf(&body->arena, "%.*s", FL_SLICE_ARG(hand->fields.tracestate));
        gw_binding_request_set(body, "tracestate", fl_slice_str(own));
    }
}

static void start_call(struct gateway *gateway, struct gw_api_hand *hand,
                       struct gw_component *component, struct gw_binding_request *body)
{
    struct binding_call *call = fl_zalloc(sizeof *call);
    fl_list_init(&call->link);
    call->gateway = gateway;
    call->component = component;
    call->body = *body;
    call->invocation.done = on_invoked;
    call->timer.expired = on_next_attempt;
    call->began_ms = net_loop_now_ms(gateway->loop);
    /* Kept until the call has ended, for further attempts. */
    call->charged_bytes = body->data.len + body->arena.used_bytes;
    fl_budget_charge(&gateway->budget, call->charged_bytes);
    call->request = gw_request_new(gateway, hand);
    if (component->outbound.config.is_set)
        gw_policy_count(&component->outbound);
    attempt(call);
}

void gw_api_binding(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice text)
{
    struct gw_binding_request body = {0};
    struct gw_component *component = NULL;
    struct fl_error error;
    if (gw_binding_request_read(text, &body, &error)) {
        fail_malformed(gateway, hand, error.text);
    } else if (take_baggage(gateway, hand, &body)) {
        take_trace(gateway, hand, &body);
        if (choose_component(gateway, hand->key, body.operation, &component, &error)) {
            count_call(gateway, hand->key, body.operation, false, 0);
            respond_failure(gateway, hand->exchange, &hand->info, hand->key, &error, FL_SLICE_NULL);
        }
    }
    if (component)
        start_call(gateway, hand, component, &body);
    else
        gw_binding_request_fini(&body);
}

void gw_api_binding_failed(struct gateway *gateway, struct gw_api_hand *hand,
                           enum http_body_failure why)
{
    struct fl_error error;
    if (gw_api_fail_framing(gateway, hand, why))
        return;
    if (why == HTTP_BODY_TOO_LARGE) {
        fail_malformed(gateway, hand, "stream too large");
        return;
    }
    fl_error_set(&error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                 "the memory bound (--max-memory) is reached");
    respond_failure(gateway, hand->exchange, &hand->info, hand->key, &error, FL_SLICE_NULL);
}
