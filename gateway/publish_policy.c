/* Publishes under a policy; see the header. */
#include "gateway/publish_policy.h"

#include "base/alloc.h"
#include "gateway/component.h"
#include "gateway/gateway.h"

/* How long a dead letter is tried: what it replaces is offered again when it fails. */
enum { MOST_DEAD_LETTER_MS = 30000 };

struct attempt;

struct gw_publish_operation {
    struct fl_list link; /* among those that wait for their next attempt */
    struct gw_publish *owner;
    struct ce_event *event;  /* held */
    struct attempt *attempt; /* under way; NULL: none */
    struct gw_policy_run run;
    struct net_task first;  /* attempt */
    struct net_timer timer; /* of the attempt's time limit, or of the next attempt */
    struct fl_error failure;
    bool is_refused; /* by the circuit breaker, which ends it */
    int64_t until_at_ms;
};

/* It lives until the connector has answered, its operation perhaps not so long. */
struct attempt {
    struct gw_publish publish;
    struct gw_publish_operation *operation; /* NULL: nobody hears the answer */
    char names[];
};

static struct gw_policy *policy_of(const struct gw_publish_operation *operation)
{
    return &operation->owner->component->outbound;
}

static int64_t now_ms(const struct gw_publish_operation *operation)
{
    return net_loop_now_ms(operation->owner->gateway->loop);
}

static void stop_waiting(struct gw_publish_operation *operation)
{
    net_timer_stop(operation->owner->gateway->loop, &operation->timer);
    if (fl_list_is_empty(&operation->link))
        return;
    fl_list_remove(&operation->link);
    operation->owner->gateway->publishing.waiting_count--;
}

static void free_operation(struct gw_publish_operation *operation)
{
    stop_waiting(operation);
    net_loop_cancel(operation->owner->gateway->loop, &operation->first);
    ce_event_release(&operation->event);
    operation->owner->operation = NULL;
    operation->owner->state = GW_PUBLISH_IDLE;
    fl_free(operation);
}

/* With the failure that stands in `operation`; its code is FL_OK after a success. */
static void finish(struct gw_publish_operation *operation)
{
    struct gw_publish *owner = operation->owner;
    struct fl_error failure = operation->failure;
    struct gw_publish_result result = {failure.code, failure.class,
                                       failure.code ? failure.text : NULL, operation->is_refused};
    free_operation(operation);
    owner->done(owner, &result);
}

static bool is_awaited(const struct gw_publish_operation *operation)
{
    const struct gw_publish *owner = operation->owner;
    return !owner->is_awaited || owner->is_awaited(owner);
}

static void ask_breaker(struct gw_publish_operation *operation);
static void start_attempt(struct gw_publish_operation *operation);

static void on_next_attempt(struct net_timer *timer)
{
    struct gw_publish_operation *operation =
        FL_CONTAINER(timer, struct gw_publish_operation, timer);
    stop_waiting(operation);
    if (!is_awaited(operation)) {
        finish(operation);
        return;
    }
    ask_breaker(operation);
    start_attempt(operation);
}

/* A dead letter's owner takes it back when the component goes down; one that was sent is found out
 * here. */
static bool may_wait(const struct gw_publish_operation *operation, int64_t wait_ms)
{
    const struct gateway *gateway = operation->owner->gateway;
    return wait_ms >= 0 && gateway->shutdown.phase < GW_DRAINING && is_awaited(operation) &&
           (!operation->owner->is_urgent || operation->owner->component->is_up) &&
           gateway->publishing.waiting_count < GW_MOST_WAITING_PUBLISHES &&
           now_ms(operation) + wait_ms <= operation->until_at_ms;
}

static void fail(struct gw_publish_operation *operation, bool was_timeout)
{
    struct gateway *gateway = operation->owner->gateway;
    struct gw_policy *policy = policy_of(operation);
    int64_t wait = -1;
    if (operation->failure.code == FL_ERR_AGAIN && !was_timeout)
        gw_policy_withdrew(policy, &operation->run);
    else if (operation->failure.class == FL_CLASS_REJECT)
        gw_policy_rejected(policy, &operation->run);
    else
        wait = gw_policy_failed(policy, &operation->run, 0, was_timeout);
    if (!may_wait(operation, wait)) {
        finish(operation);
        return;
    }
    gateway->publishing.waiting_count++;
    fl_list_add_last(&gateway->publishing.retrying, &operation->link);
    operation->timer.expired = on_next_attempt;
    net_timer_start(gateway->loop, &operation->timer, now_ms(operation) + wait);
}

static void on_answered(struct gw_publish *publish, const struct gw_publish_result *result)
{
    struct attempt *attempt = FL_CONTAINER(publish, struct attempt, publish);
    struct gw_publish_operation *operation = attempt->operation;
    if (operation) {
        operation->attempt = NULL;
        net_timer_stop(publish->gateway->loop, &operation->timer);
        fl_error_set(&operation->failure, result->code, result->class, "%s",
                     result->text ? result->text : "");
    }
    fl_free(attempt);
    if (!operation)
        return;
    if (operation->failure.code) {
        fail(operation, false);
        return;
    }
    gw_policy_succeeded(policy_of(operation), &operation->run);
    finish(operation);
}

/* Takes the attempt back, or lets go of it when it was sent; true: it was. */
static bool abandon(struct gw_publish_operation *operation)
{
    struct attempt *attempt = operation->attempt;
    operation->attempt = NULL;
    if (gw_publish_withdraw(&attempt->publish)) {
        fl_free(attempt);
        return false;
    }
    attempt->operation = NULL;
    return true;
}

static void on_time_limit(struct net_timer *timer)
{
    struct gw_publish_operation *operation =
        FL_CONTAINER(timer, struct gw_publish_operation, timer);
    bool waited_for_room = operation->attempt->publish.state == GW_PUBLISH_WAITS_FOR_ROOM;
    bool was_sent = abandon(operation);
    if (waited_for_room) {
        /* Between attempts nobody would count the bytes of an event that found no room. */
        fl_error_set(&operation->failure, FL_ERR_AGAIN, FL_CLASS_RETRY,
                     "the memory bound (--max-memory) is reached");
        fail(operation, false);
        return;
    }
    bool is_up = operation->owner->component->is_up;
    enum fl_err code = was_sent ? FL_ERR_TIMEOUT : is_up ? FL_ERR_AGAIN : FL_ERR_CLOSED;
    fl_error_set(&operation->failure, code, was_sent ? FL_CLASS_UNKNOWN : FL_CLASS_RETRY,
                 "context deadline exceeded");
    fail(operation, true);
}

static struct attempt *new_attempt(struct gw_publish_operation *operation)
{
    const struct gw_publish *owner = operation->owner;
    struct fl_slice topic = owner->topic, key = owner->partition_key;
    struct attempt *attempt = fl_zalloc(sizeof *attempt + topic.len + key.len + 1);
    memcpy(attempt->names, topic.data, topic.len);
    if (key.len)
        memcpy(attempt->names + topic.len, key.data, key.len);
    attempt->operation = operation;
    attempt->publish = (struct gw_publish){
        .component = owner->component,
        .topic = fl_slice_of(attempt->names, topic.len),
        .partition_key =
            fl_slice_is_null(key) ? key : fl_slice_of(attempt->names + topic.len, key.len),
        .is_urgent = owner->is_urgent,
        .is_attempt = true,
        .done = on_answered,
    };
    return attempt;
}

/* Notes whether the breaker lets an attempt through. */
static void ask_breaker(struct gw_publish_operation *operation)
{
    const char *refusal = gw_policy_begin(policy_of(operation), &operation->run);
    operation->is_refused = refusal != NULL;
    if (refusal)
        fl_error_set(&operation->failure, FL_ERR_REFUSED, FL_CLASS_RETRY, "%s", refusal);
}

static void start_attempt(struct gw_publish_operation *operation)
{
    struct gateway *gateway = operation->owner->gateway;
    struct gw_policy *policy = policy_of(operation);
    if (operation->is_refused) {
        finish(operation);
        return;
    }
    struct attempt *attempt = new_attempt(operation);
    struct ce_event *event = ce_event_hold(operation->event);
    if (gw_publish_start(gateway, &attempt->publish, &event)) {
        ce_event_release(&event);
        fl_free(attempt);
        fl_error_set(&operation->failure, FL_ERR_AGAIN, FL_CLASS_RETRY,
                     "too many messages are waiting");
        fail(operation, false);
        return;
    }
    operation->attempt = attempt;
    operation->timer.expired = on_time_limit;
    if (policy->config.timeout_ms > 0)
        net_timer_start(gateway->loop, &operation->timer,
                        now_ms(operation) + policy->config.timeout_ms);
}

static void on_first(struct net_task *task)
{
    start_attempt(FL_CONTAINER(task, struct gw_publish_operation, first));
}

void gw_publish_policy_start(struct gateway *gateway, struct gw_publish *publish,
                             struct ce_event **event)
{
    struct gw_publish_operation *operation = fl_zalloc(sizeof *operation);
    fl_list_init(&operation->link);
    operation->owner = publish;
    operation->event = *event;
    *event = NULL;
    operation->first.run = on_first;
    operation->until_at_ms =
        publish->is_urgent ? net_loop_now_ms(gateway->loop) + MOST_DEAD_LETTER_MS : INT64_MAX;
    publish->operation = operation;
    publish->state = GW_PUBLISH_UNDER_POLICY;
    gw_policy_count(policy_of(operation));
    /* Now, since whoever has a place in the breaker's line has it for this call. */
    ask_breaker(operation);
    net_loop_defer(gateway->loop, &operation->first);
}

bool gw_publish_policy_withdraw(struct gw_publish_operation **pointer)
{
    struct gw_publish_operation *operation = *pointer;
    struct attempt *attempt = operation->attempt;
    if (attempt && !gw_publish_withdraw(&attempt->publish))
        return false;
    gw_policy_withdrew(policy_of(operation), &operation->run);
    fl_free(attempt);
    free_operation(operation);
    return true;
}

void gw_publish_policy_stop(struct gateway *gateway)
{
    struct fl_list *all = &gateway->publishing.retrying;
    for (struct fl_list *first; (first = fl_list_first(all));)
        finish(FL_LIST_ENTRY(first, struct gw_publish_operation, link));
}
