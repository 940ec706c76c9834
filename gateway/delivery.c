/* One delivery's life; see the header.
 *
 * The request is three parts: the head that its way keeps rendered, the fields of this event (trace
 * context, the publisher's metadata, the length), and the event's bytes. Nothing is copied but the
 * fields.
 */
#include "gateway/delivery.h"

#include <stdio.h>

#include "base/clock.h"
#include "cloudevents/dapr_envelope.h"
#include "gateway/binary_view.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/retry.h"
#include "gateway/verdict.h"
#include "routes/table.h"

#define SCOPE "dapr.runtime.processor.subscription"

enum { OLD_DELIVERY_MS = 60000, WARN_INTERVAL_MS = 60000 };

/* Nothing was found yet that the event may be sent to. */
static const uint32_t NO_WAY = UINT32_MAX;

static void attempt(struct gw_delivery *delivery);

void gw_delivery_set_state(struct gw_delivery *delivery, enum gw_delivery_state state)
{
    struct gw_subscription *subscription = delivery->subscription;
    if (delivery->state == GW_DELIVERY_CALLING)
        subscription->in_flight_count--;
    if (delivery->state == GW_DELIVERY_RETRY_WAIT)
        subscription->retry_waiting_count--;
    if (state == GW_DELIVERY_CALLING)
        subscription->in_flight_count++;
    if (state == GW_DELIVERY_RETRY_WAIT)
        subscription->retry_waiting_count++;
    delivery->state = state;
}

/* --- counting --- */

static void resolve_ingress(struct gw_subscription *subscription, enum gw_ingress kind)
{
    static const struct {
        struct fl_slice process, status;
    } labels[GW_INGRESS_KINDS] = {
        [GW_INGRESS_SUCCESS] = {FL_SLICE_LIT("success"), FL_SLICE_LIT("success")},
        [GW_INGRESS_RETRY] = {FL_SLICE_LIT("retry"), FL_SLICE_LIT("retry")},
        [GW_INGRESS_DROP] = {FL_SLICE_LIT("drop"), FL_SLICE_LIT("drop")},
        [GW_INGRESS_APP_DROP] = {FL_SLICE_LIT("drop"), FL_SLICE_LIT("success")},
    };
    struct gw_metrics *metrics = subscription->gateway->metrics;
    struct fl_slice values[] = {subscription->config->pubsub, labels[kind].process,
                                labels[kind].status, subscription->config->topic};
    subscription->ingress[kind] = gw_metrics_counter(metrics, GW_PUBSUB_INGRESS_COUNT, values);
    subscription->ingress_latency[kind] =
        gw_metrics_histogram(metrics, GW_PUBSUB_INGRESS_LATENCIES, values);
}

void gw_delivery_count(struct gw_subscription *subscription, enum gw_ingress kind,
                       int64_t elapsed_ms)
{
    if (!subscription->ingress[kind])
        resolve_ingress(subscription, kind);
    gw_counter_add(subscription->ingress[kind], 1);
    if (elapsed_ms > 0)
        gw_histogram_add(subscription->ingress_latency[kind], (uint64_t)elapsed_ms);
}

static int64_t age_ms(const struct gw_delivery *delivery)
{
    return net_loop_now_ms(delivery->subscription->gateway->loop) - delivery->came_ms;
}

static void count_dropped(struct gw_delivery *delivery, const char *reason)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct fl_slice values[] = {subscription->config->pubsub, fl_slice_str(reason),
                                subscription->config->topic};
    gw_counter_add(gw_metrics_counter(subscription->gateway->metrics, GW_DROPPED_TOTAL, values), 1);
}

/* --- ends --- */

static void log_outcome(struct gw_delivery *delivery, const char *what)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct fl_slice id = delivery->view ? ce_event_json(delivery->view, CE_ID) : FL_SLICE_NULL;
    FL_DEBUG(subscription->gateway->log, SCOPE,
             "event %.*s, topic %.*s, pubsub %.*s, attempt %u: %s", FL_SLICE_ARG(id),
             FL_SLICE_ARG(subscription->config->topic), FL_SLICE_ARG(subscription->config->pubsub),
             delivery->failures + 1, what);
}

bool gw_delivery_is_stale(const struct gw_delivery *delivery)
{
    return delivery->generation != delivery->subscription->component->generation;
}

/* Ends a stale delivery, whatever its verdict: it comes again, and counts then. */
static bool end_stale(struct gw_delivery *delivery)
{
    if (!gw_delivery_is_stale(delivery))
        return false;
    log_outcome(delivery, "ended after the connection was lost");
    gw_intake_settle(delivery, CONNECTOR_RELEASED, 0);
    return true;
}

/* Until the next try. */
static void wait_for(struct gw_delivery *delivery, int64_t wait_ms)
{
    struct net_loop *loop = delivery->subscription->gateway->loop;
    gw_delivery_set_state(delivery, GW_DELIVERY_RETRY_WAIT);
    net_timer_start(loop, &delivery->timer, net_loop_now_ms(loop) + wait_ms);
}

void gw_delivery_succeeded(struct gw_delivery *delivery)
{
    if (end_stale(delivery))
        return;
    gw_counter_add(delivery->subscription->delivered, 1);
    gw_intake_settle(delivery, CONNECTOR_ACCEPTED, 0);
}

void gw_delivery_warn(struct gw_subscription *subscription, const char *why)
{
    int64_t now = net_loop_now_ms(subscription->gateway->loop);
    if (subscription->warned_ms && now - subscription->warned_ms < WARN_INTERVAL_MS)
        return;
    subscription->warned_ms = now;
    FL_WARN(subscription->gateway->log, SCOPE,
            "deliveries of topic %.*s through pubsub %.*s fail and are tried again until they "
            "succeed: %s",
            FL_SLICE_ARG(subscription->config->topic), FL_SLICE_ARG(subscription->config->pubsub),
            why);
}

/* Tried and failed for good as far as policies go: the house's back-off, by the broker when it can
 * and nothing has to stay in order, else here. */
static void back_off(struct gw_delivery *delivery, const char *why)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct gateway *gateway = subscription->gateway;
    /* A run of a policy counts once here, however many tries it made. */
    int64_t wait = gw_retry_backoff_ms(delivery->attempt - 1 + ++delivery->back_offs);
    delivery->was_dropped = false;
    delivery->run = (struct gw_policy_run){0};
    gw_counter_add(subscription->retried, 1);
    gw_delivery_warn(subscription, why);
    if (gateway->subscriptions.are_stopped ||
        (delivery->lane_id == 0 && subscription->component->connector->traits.delays)) {
        gw_intake_settle(delivery, CONNECTOR_MODIFIED, wait);
        return;
    }
    wait_for(delivery, wait);
}

static bool to_dead_letter(struct gw_delivery *delivery);

static void on_dead_letter_let_through(struct gw_waiter *waiter)
{
    (void)to_dead_letter(FL_CONTAINER(waiter, struct gw_delivery, waiter));
}

/* The breaker of publishes refused the dead letter. Its verdict stands, so it waits for a place as
 * publishes do; it may be the one whose success closes the breaker. */
static void wait_to_dead_letter(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    gw_delivery_warn(subscription, "the dead letter topic's circuit breaker is open");
    gw_delivery_set_state(delivery, GW_DELIVERY_RETRY_WAIT);
    delivery->waiter.go = on_dead_letter_let_through;
    gw_policy_wait(&subscription->component->outbound, &delivery->waiter);
}

static void on_dead_lettered(struct gw_publish *publish, const struct gw_publish_result *result)
{
    struct gw_delivery *delivery = FL_CONTAINER(publish, struct gw_delivery, dead_letter);
    struct gw_subscription *subscription = delivery->subscription;
    if (result->code == FL_OK) {
        gw_counter_add(subscription->dead_lettered, 1);
        gw_intake_settle(delivery, CONNECTOR_ACCEPTED, 0);
        return;
    }
    if (end_stale(delivery))
        return;
    if (result->is_refusal && !subscription->gateway->subscriptions.are_stopped) {
        wait_to_dead_letter(delivery);
        return;
    }
    FL_WARN(subscription->gateway->log, SCOPE, "cannot publish to the dead letter topic %.*s: %s",
            FL_SLICE_ARG(subscription->config->dead_letter_topic),
            result->text ? result->text : "");
    back_off(delivery, "the dead letter topic cannot be published to");
}

static bool has_dead_letter(const struct gw_subscription *subscription)
{
    struct fl_slice topic = subscription->config->dead_letter_topic;
    return topic.len &&
           config_scopes_allow(&subscription->component->scopes, CONFIG_SCOPE_PUBLISH, topic);
}

/* False when there is no dead letter topic that may be published to. */
static bool to_dead_letter(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    if (!has_dead_letter(subscription))
        return false;
    gw_delivery_set_state(delivery, GW_DELIVERY_DEAD_LETTER);
    delivery->dead_letter = (struct gw_publish){
        .component = subscription->component,
        .topic = fl_buffer_slice(&subscription->dead_letter_topic),
        .is_urgent = true,
        .done = on_dead_lettered,
    };
    struct ce_event *copy = ce_event_hold(delivery->event);
    enum fl_err err = gw_publish_start(subscription->gateway, &delivery->dead_letter, &copy);
    FL_ASSERT(err == FL_OK); /* an urgent one is never refused */
    return true;
}

void gw_delivery_dropped(struct gw_delivery *delivery, const char *reason)
{
    if (end_stale(delivery))
        return;
    count_dropped(delivery, reason);
    log_outcome(delivery, reason);
    delivery->was_dropped = true;
    if (!to_dead_letter(delivery))
        gw_intake_settle(delivery, CONNECTOR_ACCEPTED, 0);
}

void gw_delivery_failed_finally(struct gw_delivery *delivery, int http_status, const char *why)
{
    char text[96];
    if (end_stale(delivery))
        return;
    if (http_status) {
        snprintf(text, sizeof text, "the application answered with status %d", http_status);
        why = text;
    }
    /* A process that ends, often beside an application that does, gives back what fails now. */
    bool is_stopped = delivery->subscription->gateway->subscriptions.are_stopped;
    bool leaves = !is_stopped && to_dead_letter(delivery);
    gw_delivery_count(delivery->subscription, leaves ? GW_INGRESS_DROP : GW_INGRESS_RETRY,
                      age_ms(delivery));
    if (!leaves)
        back_off(delivery, why);
}

/* --- the policy --- */

/* While the application is unhealthy nothing is tried. */
static void try_again(struct gw_delivery *delivery)
{
    enum { PAUSE_MS = 1000 };
    if (delivery->subscription->gateway->subscriptions.are_paused)
        wait_for(delivery, PAUSE_MS);
    else
        attempt(delivery);
}

static void on_retry_due(struct net_timer *timer)
{
    try_again(FL_CONTAINER(timer, struct gw_delivery, timer));
}

static void on_let_through(struct gw_waiter *waiter)
{
    try_again(FL_CONTAINER(waiter, struct gw_delivery, waiter));
}

/* A component has one breaker: while it is open, a dead letter under it would be refused as well.
 */
bool gw_delivery_may_leave(const struct gw_subscription *subscription)
{
    return has_dead_letter(subscription) && !subscription->component->outbound.config.breaker;
}

/* The breaker lets nothing through. The dead letter topic takes the event, as in daprd; without one
 * the delivery stays here until it is let through. */
static void refuse(struct gw_delivery *delivery, const char *why)
{
    struct gw_subscription *subscription = delivery->subscription;
    if (end_stale(delivery))
        return;
    log_outcome(delivery, why);
    delivery->run = (struct gw_policy_run){0};
    if (gw_delivery_may_leave(subscription) && to_dead_letter(delivery)) {
        gw_delivery_count(subscription, GW_INGRESS_DROP, age_ms(delivery));
        return;
    }
    if (!delivery->is_refused)
        gw_delivery_count(subscription, GW_INGRESS_RETRY, age_ms(delivery));
    delivery->is_refused = true;
    gw_delivery_warn(subscription, why);
    gw_delivery_set_state(delivery, GW_DELIVERY_RETRY_WAIT);
    delivery->waiter.go = on_let_through;
    gw_policy_wait(&subscription->policy, &delivery->waiter);
}

/* False: the breaker refused it, and it has been dealt with. */
static bool is_let_through(struct gw_delivery *delivery)
{
    struct gw_policy *policy = &delivery->subscription->policy;
    const char *refusal = policy->config.is_set ? gw_policy_begin(policy, &delivery->run) : NULL;
    if (refusal)
        refuse(delivery, refusal);
    else
        delivery->is_refused = false;
    return !refusal;
}

/* The wait before the next try of a call that failed; -1: there is none. What is stale or stops is
 * not tried again, but its failure says as much about the application as any other. */
static int64_t ask_policy(struct gw_delivery *delivery, const struct http_result *result)
{
    struct gw_subscription *subscription = delivery->subscription;
    bool was_timeout = result->code == FL_ERR_TIMEOUT;
    bool is_error = result->code || result->status < 200 || result->status > 299;
    if (!subscription->policy.config.is_set)
        return -1;
    if (!gw_delivery_is_stale(delivery) && !subscription->gateway->subscriptions.are_stopped)
        return gw_policy_failed(&subscription->policy, &delivery->run,
                                is_error ? result->status : 0, was_timeout);
    gw_policy_failed_finally(&subscription->policy, &delivery->run, was_timeout);
    return -1;
}

static void fail_attempt(struct gw_delivery *delivery, const struct http_result *result)
{
    const char *why = result->code ? result->text : "the application asked for a retry";
    bool is_error = result->code || result->status < 200 || result->status > 299;
    int64_t wait = ask_policy(delivery, result);
    if (end_stale(delivery))
        return;
    delivery->failures++;
    log_outcome(delivery, why);
    if (wait < 0) {
        gw_delivery_failed_finally(delivery, is_error ? result->status : 0, why);
        return;
    }
    gw_counter_add(delivery->subscription->retried, 1);
    wait_for(delivery, wait);
}

/* --- the call --- */

static enum fl_err render_fields(struct gw_delivery *delivery, struct fl_slice body,
                                 struct fl_slice *fields)
{
    struct gateway *gateway = delivery->subscription->gateway;
    char trace[CE_TRACEPARENT_LEN];
    size_t trace_bytes = gw_trace_delivery(&gateway->api.trace, delivery->view, trace);
    struct gw_delivery_source source = {.event = delivery->event,
                                        .traceparent = fl_slice_of(trace, trace_bytes),
                                        .body_bytes = body.len,
                                        .has_token = gateway->app.common_fields.len > 0,
                                        .has_pubsub_name = true};
    return gw_delivery_fields_render(&delivery->fields, &source, fields);
}

void gw_delivery_count_call(struct gw_subscription *subscription, uint32_t way_number,
                            const struct http_result *result, int64_t elapsed_ms)
{
    struct gw_metrics *metrics = subscription->gateway->metrics;
    const struct gw_way *way = &subscription->ways[way_number];
    if (result->code)
        return;
    struct gw_counter *completed = way->completed;
    struct gw_histogram *roundtrip = way->roundtrip;
    if (result->status != 200) {
        struct fl_slice labels[] = {gw_metrics_http_method(metrics, FL_SLICE_LIT("POST")),
                                    gw_metrics_http_client_path(metrics, way->path),
                                    gw_metrics_http_status((unsigned)result->status)};
        completed = gw_metrics_counter(metrics, GW_HTTP_CLIENT_COMPLETED_COUNT, labels);
        roundtrip = gw_metrics_histogram(metrics, GW_HTTP_CLIENT_ROUNDTRIP_LATENCY, labels);
    }
    gw_counter_add(completed, 1);
    gw_histogram_add(roundtrip, (uint64_t)elapsed_ms);
    gw_histogram_add(way->sent_bytes, 0);
    gw_histogram_add(subscription->gateway->subscriptions.received_bytes, result->body.len);
}

static void on_answer(struct http_call *http, const struct http_result *result)
{
    struct gw_app_call *call = FL_CONTAINER(http, struct gw_app_call, http);
    struct gw_delivery *delivery = FL_CONTAINER(call, struct gw_delivery, call);
    struct gw_subscription *subscription = delivery->subscription;
    int64_t elapsed = net_loop_now_ms(subscription->gateway->loop) - delivery->called_ms;
    gw_app_call_done(call);
    gw_delivery_count_call(subscription, delivery->way, result, elapsed);
    if (!delivery->warned_old && elapsed > OLD_DELIVERY_MS) {
        delivery->warned_old = true;
        FL_INFO(subscription->gateway->log, SCOPE, "a delivery of topic %.*s took %lld ms",
                FL_SLICE_ARG(subscription->config->topic), (long long)elapsed);
    }
    switch (gw_verdict_of(result)) {
    case GW_VERDICT_SUCCESS:
        gw_delivery_count(subscription, GW_INGRESS_SUCCESS, elapsed);
        if (subscription->policy.config.is_set)
            gw_policy_succeeded(&subscription->policy, &delivery->run);
        gw_delivery_succeeded(delivery);
        return;
    case GW_VERDICT_DROP:
        gw_delivery_count(subscription,
                          result->status == 404 ? GW_INGRESS_DROP : GW_INGRESS_APP_DROP, elapsed);
        if (subscription->policy.config.is_set)
            gw_policy_rejected(&subscription->policy, &delivery->run);
        gw_delivery_dropped(delivery, "dropped by the application");
        return;
    case GW_VERDICT_RETRY:
        gw_delivery_count(subscription, GW_INGRESS_RETRY, elapsed);
        fail_attempt(delivery, result);
        return;
    }
}

static void attempt(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct gw_way *way = &subscription->ways[delivery->way];
    struct fl_slice fields;
    if (delivery->way == NO_WAY) {
        gw_delivery_begin(delivery);
        return;
    }
    struct fl_slice body = (delivery->sends_stored ? delivery->event : delivery->view)->body;
    if (render_fields(delivery, body, &fields)) {
        gw_delivery_count(subscription, GW_INGRESS_RETRY, 0);
        gw_delivery_failed_finally(delivery, 0, "the message's metadata cannot be sent as headers");
        return;
    }
    if (!is_let_through(delivery))
        return;
    gw_delivery_set_state(delivery, GW_DELIVERY_CALLING);
    delivery->called_ms = net_loop_now_ms(subscription->gateway->loop);
    struct http_call *http = &delivery->call.http;
    http->parts[0] = (struct iovec){
        way->head.data, way->head.len - (delivery->fields.names_agent ? way->agent_bytes : 0)};
    http->parts[1] = (struct iovec){(char *)fields.data, fields.len};
    http->parts[2] = (struct iovec){(char *)body.data, body.len};
    http->part_count = 3;
    http->timeout_ms = subscription->policy.config.timeout_ms;
    http->on_done = on_answer;
    gw_app_call(&subscription->gateway->app, &delivery->call);
}

/* --- before the call --- */

static enum fl_err make_view(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    if (!subscription->is_raw) {
        delivery->sends_stored = gw_binary_is_message(delivery->event);
        if (delivery->sends_stored)
            return gw_binary_view_new(delivery->event, &subscription->gateway->budget,
                                      &delivery->view);
        delivery->view = ce_event_hold(delivery->event);
        return FL_OK;
    }
    return ce_dapr_raw_new(delivery->event, subscription->config->topic,
                           subscription->config->pubsub, &subscription->gateway->budget,
                           &delivery->view);
}

enum route {
    ROUTE_FOUND,  /* delivery->way */
    ROUTE_NONE,   /* no rule matches */
    ROUTE_FAILED, /* a rule failed to evaluate, or the message is no event */
    ROUTE_EXPIRED,
};

static enum route choose_route(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct route_choice choice;
    struct fl_error error;
    delivery->way = NO_WAY;
    if (subscription->is_raw_bad || (!delivery->view && make_view(delivery)))
        return ROUTE_FAILED;
    const struct ce_event *view = delivery->view;
    if (!(view->flags & (CE_EVENT_STRUCTURED | CE_EVENT_NULL)) ||
        (view->flags & CE_EVENT_HUGE_NUMBER))
        return ROUTE_FAILED;
    if (view->spans[CE_EXPIRATION].len && ce_event_is_expired(view, fl_clock_wall_ns()))
        return ROUTE_EXPIRED;
    if (route_choose(subscription->routes, view, &choice, &error))
        return ROUTE_FAILED;
    if (fl_slice_is_null(choice.path))
        return ROUTE_NONE;
    delivery->way = choice.number;
    return ROUTE_FOUND;
}

/* As in daprd, what a bulk subscription ends without a call is no attempt in the metrics. */
static void drop_uncalled(struct gw_delivery *delivery, enum gw_ingress kind, const char *reason)
{
    if (!delivery->subscription->bulk)
        gw_delivery_count(delivery->subscription, kind, 0);
    gw_delivery_dropped(delivery, reason);
}

bool gw_delivery_find_way(struct gw_delivery *delivery)
{
    switch (choose_route(delivery)) {
    case ROUTE_FOUND:
        return true;
    case ROUTE_NONE:
        drop_uncalled(delivery, GW_INGRESS_APP_DROP, "no rule matches");
        break;
    case ROUTE_EXPIRED:
        drop_uncalled(delivery, GW_INGRESS_DROP, "expired");
        break;
    case ROUTE_FAILED:
        delivery->failures++;
        gw_delivery_failed_finally(delivery, 0,
                                   "the message is no event, or a rule cannot be evaluated");
        break;
    }
    return false;
}

void gw_delivery_begin(struct gw_delivery *delivery)
{
    delivery->timer.expired = on_retry_due;
    if (gw_delivery_find_way(delivery))
        attempt(delivery);
}

void gw_delivery_cancel(struct gw_delivery *delivery)
{
    net_timer_stop(delivery->subscription->gateway->loop, &delivery->timer);
    gw_policy_leave(&delivery->waiter);
    if (delivery->state != GW_DELIVERY_CALLING)
        return;
    gw_app_call_cancel(&delivery->call);
    gw_policy_withdrew(&delivery->subscription->policy, &delivery->run);
}
