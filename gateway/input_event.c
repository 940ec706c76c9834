/* The life of one event of an input binding; see the header.
 *
 * The request is three parts, as a delivery's is: the head that the binding keeps rendered, the
 * fields of this event, and its bytes. Nothing is copied but the fields.
 *
 * No event ends inside the call that begins it: one that may not be called at all gets a timer of
 * no length. So a line of events behind each other needs no recursion, however many fail. */
#include "gateway/input_event.h"

#include "base/alloc.h"
#include "cloudevents/publish_metadata.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/input_report.h"
#include "gateway/retry.h"

enum { EXTEND_BATCH = 64 };

/* A lane that goes to somebody else when its last event here has ended. */
struct revoked_lane {
    struct fl_list link;
    uint64_t id;
};

static void attempt(struct gw_input_event *event);

static int64_t now_ms(const struct gw_input *input)
{
    return net_loop_now_ms(input->gateway->loop);
}

static bool is_stale(const struct gw_input_event *event)
{
    return event->generation != event->input->component->generation ||
           event->reading != event->input->reading;
}

/* --- lanes --- */

/* The first unsettled one of the lane, which is the one being worked on if any is. */
static struct gw_input_event *first_of_lane(struct gw_input *input, uint64_t lane)
{
    FL_LIST_EACH(at, &input->events)
    {
        struct gw_input_event *event = FL_LIST_ENTRY(at, struct gw_input_event, link);
        if (event->lane == lane)
            return event;
    }
    return NULL;
}

static void release_if_revoked(struct gw_input *input, uint64_t lane)
{
    struct connector *connector = input->component->connector;
    FL_LIST_EACH_SAFE(at, &input->revoked_lanes)
    {
        struct revoked_lane *revoked = FL_LIST_ENTRY(at, struct revoked_lane, link);
        if (revoked->id != lane)
            continue;
        fl_list_remove(&revoked->link);
        fl_free(revoked);
        gw_component_flush_settlements(input->component);
        if (connector->type->release_lane)
            connector->type->release_lane(connector, &input->feed, lane);
    }
}

static void mark_revoked(struct gw_input *input, uint64_t lane)
{
    FL_LIST_EACH(at, &input->revoked_lanes)
    {
        if (FL_LIST_ENTRY(at, struct revoked_lane, link)->id == lane)
            return;
    }
    struct revoked_lane *revoked = fl_zalloc(sizeof *revoked);
    revoked->id = lane;
    fl_list_add_last(&input->revoked_lanes, &revoked->link);
}

static void forget_revoked(struct gw_input *input)
{
    for (struct fl_list *first; (first = fl_list_first(&input->revoked_lanes));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct revoked_lane, link));
    }
}

/* One of the lane ended: the next one's turn. */
static void advance_lane(struct gw_input *input, uint64_t lane)
{
    struct gw_input_event *next = first_of_lane(input, lane);
    if (!next)
        release_if_revoked(input, lane);
    else if (next->state == GW_INPUT_EVENT_IN_LANE)
        attempt(next);
}

/* --- ends --- */

static void free_event(struct gw_input_event *event)
{
    fl_list_remove(&event->link);
    event->input->event_count--;
    ce_event_release(&event->event);
    gw_delivery_fields_fini(&event->fields);
    fl_free(event);
}

static void end(struct gw_input_event *event, enum connector_outcome outcome, int64_t delay_ms)
{
    struct gw_input *input = event->input;
    uint64_t lane = event->lane;
    struct connector_settlement settlement = {&input->feed, event->token, outcome, delay_ms};
    bool was_stale = is_stale(event);
    if (!was_stale)
        gw_component_settle(input->component, &settlement);
    free_event(event);
    if (was_stale) {
        input->stale_count--;
        gw_input_apply_window(input);
    }
    if (lane)
        advance_lane(input, lane);
    if (input->gateway->shutdown.phase != GW_RUNNING)
        gw_shutdown_check(input->gateway);
}

static bool goes_on(const struct gw_input_event *event)
{
    const struct gw_input *input = event->input;
    return input->is_wanted && input->state == GW_INPUT_READING && !is_stale(event);
}

static void wait_for(struct gw_input_event *event, int64_t wait_ms)
{
    event->state = GW_INPUT_EVENT_WAITING;
    net_timer_start(event->input->gateway->loop, &event->timer, now_ms(event->input) + wait_ms);
}

static void on_let_through(struct gw_waiter *waiter)
{
    attempt(FL_CONTAINER(waiter, struct gw_input_event, waiter));
}

/* It would come again at once, or behind others of its lane: it stays until it may be tried. */
static void back_off(struct gw_input_event *event)
{
    event->run = (struct gw_policy_run){0};
    event->refusal = NULL;
    if (!event->is_refused) {
        wait_for(event, gw_retry_backoff_ms(event->attempt++));
        return;
    }
    event->state = GW_INPUT_EVENT_WAITING;
    event->waiter.go = on_let_through;
    gw_policy_wait(&event->input->policy, &event->waiter);
}

static void give_back(struct gw_input_event *event)
{
    int64_t delay = gw_retry_backoff_ms(event->attempt);
    if (event->is_refused) {
        int64_t least = gw_policy_refused_ms(&event->input->policy);
        delay = delay < least ? least : delay;
    }
    end(event, CONNECTOR_MODIFIED, delay);
}

/* No attempt is left. One that the breaker refuses is told of once. */
static void give_up(struct gw_input_event *event, const char *why, bool is_refused)
{
    struct gw_input *input = event->input;
    const struct connector_traits *traits = &input->component->connector->traits;
    bool is_news = !is_refused || !event->is_refused;
    event->is_refused = is_refused;
    if (!is_stale(event) && is_news) {
        gw_input_count(input, false, now_ms(input) - event->came_ms);
        gw_input_say_failure(input, why);
    }
    if (goes_on(event) && !traits->forgets && (event->lane || !traits->delays))
        back_off(event);
    else
        give_back(event);
}

/* --- attempts --- */

static void on_due(struct net_timer *timer)
{
    struct gw_input_event *event = FL_CONTAINER(timer, struct gw_input_event, timer);
    if (event->refusal)
        give_up(event, event->refusal, false);
    else
        attempt(event);
}

static void on_refusal_due(struct net_timer *timer)
{
    struct gw_input_event *event = FL_CONTAINER(timer, struct gw_input_event, timer);
    event->timer.expired = on_due;
    give_up(event, event->refusal, true);
}

static void refuse(struct gw_input_event *event, const char *why, bool is_by_breaker)
{
    event->refusal = why;
    event->timer.expired = is_by_breaker ? on_refusal_due : on_due;
    wait_for(event, 0);
}

static bool is_accepted(const struct gw_input *input, const struct http_result *result)
{
    if (result->code)
        return false;
    return input->policy.config.retry ? result->status == 200
                                      : result->status >= 200 && result->status < 300;
}

static void fail(struct gw_input_event *event, const struct http_result *result)
{
    struct gw_input *input = event->input;
    char text[GW_INPUT_FAILURE_BYTES];
    if (!goes_on(event)) {
        gw_policy_withdrew(&input->policy, &event->run);
    } else if (input->policy.config.is_set) {
        int64_t wait = gw_policy_failed(&input->policy, &event->run, result->status,
                                        result->code == FL_ERR_TIMEOUT);
        if (wait >= 0) {
            wait_for(event, wait);
            return;
        }
    }
    gw_input_failure_text(result, text);
    give_up(event, text, false);
}

static void on_answer(struct http_call *http, const struct http_result *result)
{
    struct gw_app_call *call = FL_CONTAINER(http, struct gw_app_call, http);
    struct gw_input_event *event = FL_CONTAINER(call, struct gw_input_event, call);
    struct gw_input *input = event->input;
    gw_app_call_done(call);
    gw_input_count_call(input, result, now_ms(input) - event->called_ms);
    if (!is_accepted(input, result)) {
        fail(event, result);
        return;
    }
    if (input->policy.config.is_set)
        gw_policy_succeeded(&input->policy, &event->run);
    if (!is_stale(event))
        gw_input_count(input, true, now_ms(input) - event->came_ms);
    end(event, CONNECTOR_ACCEPTED, 0);
}

/* The metadata's traceparent is the parent; without any there is one that says nothing. */
static enum fl_err render_fields(struct gw_input_event *event, struct fl_slice *fields)
{
    struct gateway *gateway = event->input->gateway;
    const struct ce_event *ce = event->event;
    struct gw_trace_call trace;
    gw_trace_request(
        &gateway->api.trace,
        ce_metadata_find(ce->metadata, ce->metadata_count, FL_SLICE_LIT("traceparent")),
        FL_SLICE_NULL, &trace);
    struct fl_slice parent = FL_SLICE_LIT(CE_TRACEPARENT_ZERO);
    if (trace.has_context)
        parent = fl_slice_of(trace.text, CE_TRACEPARENT_LEN);
    else if (gateway->api.trace.mode == GW_TRACE_OFF)
        parent = FL_SLICE_NULL;
    struct gw_delivery_source source = {.event = ce,
                                        .traceparent = parent,
                                        .body_bytes = ce->body.len,
                                        .has_token = gateway->app.common_fields.len > 0};
    return gw_delivery_fields_render(&event->fields, &source, fields);
}

static void call_app(struct gw_input_event *event, struct fl_slice fields)
{
    struct gw_input *input = event->input;
    struct fl_slice body = event->event->body;
    size_t agent_bytes = event->fields.names_agent ? input->agent_bytes : 0;
    struct http_call *http = &event->call.http;
    event->state = GW_INPUT_EVENT_CALLING;
    event->is_refused = false;
    event->called_ms = now_ms(input);
    http->parts[0] = (struct iovec){input->head.data, input->head.len - agent_bytes};
    http->parts[1] = (struct iovec){(char *)fields.data, fields.len};
    http->parts[2] = (struct iovec){(char *)body.data, body.len};
    http->part_count = body.len ? 3 : 2;
    http->timeout_ms = input->policy.config.timeout_ms;
    http->on_done = on_answer;
    gw_app_call(&input->gateway->app, &event->call);
}

static void attempt(struct gw_input_event *event)
{
    struct gw_input *input = event->input;
    struct fl_slice fields;
    if (render_fields(event, &fields)) {
        refuse(event, "the event's metadata cannot be sent as headers", false);
        return;
    }
    const char *refusal =
        input->policy.config.is_set ? gw_policy_begin(&input->policy, &event->run) : NULL;
    if (refusal)
        refuse(event, refusal, true);
    else
        call_app(event, fields);
}

/* --- in --- */

static struct gw_input_event *new_event(struct gw_input *input,
                                        const struct connector_delivery *delivery)
{
    struct gw_input_event *event = fl_zalloc(sizeof *event);
    event->input = input;
    event->event = delivery->event;
    event->token = delivery->token;
    event->lane = delivery->lane;
    event->generation = input->component->generation;
    event->reading = input->reading;
    event->attempt = delivery->attempt ? delivery->attempt : 1;
    event->came_ms = now_ms(input);
    event->timer.expired = on_due;
    fl_list_init(&event->call.link);
    fl_list_add_last(&input->events, &event->link);
    input->event_count++;
    return event;
}

void gw_input_deliver(struct connector *connector, struct connector_subscription *feed,
                      const struct connector_delivery *items, size_t count_of_items)
{
    struct gw_input *input = feed->context;
    (void)connector;
    for (size_t i = 0; i < count_of_items; i++) {
        struct gw_input_event *event = new_event(input, &items[i]);
        if (!input->is_wanted || input->state != GW_INPUT_READING)
            end(event, CONNECTOR_RELEASED, 0);
        else if (event->lane == 0 || first_of_lane(input, event->lane) == event)
            attempt(event);
    }
}

/* --- out, without a verdict --- */

/* Takes it from where it waits; false when the application works on it. */
static bool take_waiting(struct gw_input_event *event)
{
    if (event->state == GW_INPUT_EVENT_CALLING) {
        if (!gw_app_call_is_waiting(&event->call))
            return false;
        gw_app_call_cancel(&event->call);
        gw_policy_withdrew(&event->input->policy, &event->run);
    }
    net_timer_stop(event->input->gateway->loop, &event->timer);
    gw_policy_leave(&event->waiter);
    return true;
}

void gw_input_revoked(struct connector *connector, struct connector_subscription *feed,
                      uint64_t lane, int64_t until_at_ms)
{
    struct gw_input *input = feed->context;
    (void)connector;
    (void)until_at_ms; /* what is in flight settles; after the deadline the source ignores it */
    FL_LIST_EACH_SAFE(at, &input->events)
    {
        struct gw_input_event *event = FL_LIST_ENTRY(at, struct gw_input_event, link);
        if (event->lane == lane && take_waiting(event))
            free_event(event);
    }
    mark_revoked(input, lane);
    if (!first_of_lane(input, lane))
        release_if_revoked(input, lane);
}

void gw_input_end_generation(struct gw_input *input)
{
    FL_LIST_EACH_SAFE(at, &input->events)
    {
        struct gw_input_event *event = FL_LIST_ENTRY(at, struct gw_input_event, link);
        if (take_waiting(event))
            free_event(event);
    }
    input->stale_count = input->event_count;
    gw_input_apply_window(input);
    forget_revoked(input); /* lanes are handed out anew */
    if (input->gateway->shutdown.phase != GW_RUNNING)
        gw_shutdown_check(input->gateway);
}

void gw_input_release_waiting(struct gw_input *input)
{
    /* Those behind the others go first, so that none of them is begun. */
    for (struct fl_list *at = input->events.prev, *before; at != &input->events; at = before) {
        struct gw_input_event *event = FL_LIST_ENTRY(at, struct gw_input_event, link);
        before = at->prev;
        bool was_tried = event->state == GW_INPUT_EVENT_WAITING || event->run.failures > 0;
        if (take_waiting(event))
            end(event, was_tried ? CONNECTOR_MODIFIED : CONNECTOR_RELEASED, 0);
    }
}

void gw_input_drop_all(struct gw_input *input)
{
    for (struct fl_list *first; (first = fl_list_first(&input->events));) {
        struct gw_input_event *event = FL_LIST_ENTRY(first, struct gw_input_event, link);
        if (!take_waiting(event)) {
            gw_app_call_cancel(&event->call);
            gw_policy_withdrew(&input->policy, &event->run);
        }
        free_event(event);
    }
    forget_revoked(input);
}

/* --- leases --- */

void gw_input_extend(struct gw_input *input)
{
    struct connector *connector = input->component->connector;
    struct connector_token tokens[EXTEND_BATCH];
    size_t held = 0;
    if (!connector->type->extend || !input->component->is_up)
        return;
    FL_LIST_EACH(at, &input->events)
    {
        const struct gw_input_event *event = FL_LIST_ENTRY(at, struct gw_input_event, link);
        if (is_stale(event))
            continue;
        tokens[held++] = event->token;
        if (held == EXTEND_BATCH) {
            connector->type->extend(connector, &input->feed, tokens, held);
            held = 0;
        }
    }
    if (held)
        connector->type->extend(connector, &input->feed, tokens, held);
}
