/* Operations under a policy; see the header. */
#include "gateway/policy.h"

#include <stdio.h>

#include "base/buffer.h"
#include "gateway/duration.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/retry.h"

#define SCOPE "dapr.runtime.resiliency"

enum { LOG_INTERVAL_MS = 1000 };

static int64_t now_ms(const struct gw_policy *policy)
{
    return net_loop_now_ms(policy->gateway->loop);
}

static const char *direction_name(const struct gw_policy *policy)
{
    return policy->direction == CONFIG_INBOUND ? "inbound" : "outbound";
}

/* --- counting --- */

/* The labels that a policy's series begin with; `target` is the caller's room for one of them. */
enum { TARGET_BYTES = 300, LABELS = 6 };

static void fill_labels(const struct gw_policy *policy, const char *kind, const char *status,
                        char target[TARGET_BYTES], struct fl_slice labels[LABELS])
{
    const struct config_resiliency *resiliency = &policy->gateway->resources.resiliency;
    const char *type = policy->category == CONFIG_CATEGORY_PUBSUB ? "Pubsub" : "Binding";
    snprintf(target, TARGET_BYTES, "%s_%.*s", type, FL_SLICE_ARG(policy->component));
    labels[0] = fl_slice_str(direction_name(policy));
    labels[1] = resiliency->name;
    labels[2] = resiliency->namespace;
    labels[3] = fl_slice_str(kind);
    labels[4] = fl_slice_str(status);
    labels[5] = fl_slice_str(target);
}

static struct gw_counter *counter(const struct gw_policy *policy, enum gw_metric metric,
                                  const char *kind, const char *status)
{
    char target[TARGET_BYTES];
    struct fl_slice labels[LABELS];
    fill_labels(policy, kind, status, target, labels);
    return gw_metrics_counter(policy->gateway->metrics, metric, labels);
}

static void count_activation(const struct gw_policy *policy, const char *kind, const char *status)
{
    gw_counter_add(counter(policy, GW_RESILIENCY_ACTIVATIONS_TOTAL, kind, status), 1);
}

static void count_look_up(const struct gw_policy *policy, struct gw_counter **series,
                          const char *kind, const char *status)
{
    if (!*series)
        *series = counter(policy, GW_RESILIENCY_COUNT, kind, status);
    gw_counter_add(*series, 1);
}

/* In the order of enum gw_breaker_state. */
static const char *const state_names[GW_POLICY_STATES] = {"closed", "half-open", "open", "unknown"};

static void resolve_states(struct gw_policy *policy)
{
    for (size_t i = 0; i < GW_POLICY_STATES; i++) {
        char target[TARGET_BYTES];
        struct fl_slice labels[LABELS];
        fill_labels(policy, "circuitbreaker", state_names[i], target, labels);
        policy->states[i] =
            gw_metrics_gauge(policy->gateway->metrics, GW_RESILIENCY_CB_STATE, labels);
    }
}

/* Of the four series the one of the present state is 1. */
static void count_breaker(struct gw_policy *policy)
{
    size_t present = gw_breaker_state(policy->breaker, now_ms(policy));
    count_look_up(policy, &policy->breakers[present], "circuitbreaker", state_names[present]);
    if (!policy->states[0])
        resolve_states(policy);
    for (size_t i = 0; i < GW_POLICY_STATES; i++)
        gw_gauge_set(policy->states[i], i == present);
}

static void find_breaker(struct gw_policy *policy)
{
    if (policy->config.breaker && !policy->breaker)
        policy->breaker =
            gw_breakers_get(policy->gateway, policy->component, policy->config.breaker);
}

void gw_policy_count(struct gw_policy *policy)
{
    find_breaker(policy);
    if (policy->config.timeout_ms)
        count_look_up(policy, &policy->timeouts, "timeout", "");
    if (policy->config.retry)
        count_look_up(policy, &policy->retries, "retry", "");
    if (policy->breaker)
        count_breaker(policy);
}

/* --- look-up --- */

void gw_policy_resolve(struct gateway *gateway, struct fl_slice component,
                       enum config_direction direction, enum config_category category,
                       struct gw_policy *policy)
{
    struct config_policy config =
        config_resiliency_find(&gateway->resources.resiliency, component, direction, category);
    *policy = (struct gw_policy){.gateway = gateway,
                                 .config = config,
                                 .component = component,
                                 .direction = direction,
                                 .category = category};
}

/* --- attempts --- */

const char *gw_policy_begin(struct gw_policy *policy, struct gw_policy_run *run)
{
    int64_t now = now_ms(policy);
    if (run->began_ms == 0)
        run->began_ms = now;
    run->is_admitted = false;
    find_breaker(policy);
    if (!policy->breaker)
        return NULL;
    switch (gw_breaker_admit(policy->breaker, now, &run->epoch)) {
    case GW_ADMITTED:
        run->is_admitted = true;
        return NULL;
    case GW_REFUSED_OPEN:
        return "circuit breaker is open";
    case GW_REFUSED_TOO_MANY:
        break;
    }
    return "too many requests";
}

/* What the breaker hears of an attempt; a change of state is counted with its name. */
typedef void breaker_verdict_fn(struct gw_breaker *breaker, int64_t now_ms, uint64_t epoch);

static void tell_breaker(struct gw_policy *policy, struct gw_policy_run *run,
                         breaker_verdict_fn *verdict)
{
    if (!run->is_admitted)
        return;
    run->is_admitted = false;
    struct gw_breaker *breaker = policy->breaker;
    enum gw_breaker_state before = breaker->state;
    verdict(breaker, now_ms(policy), run->epoch);
    if (breaker->state != before)
        count_activation(policy, "circuitbreaker", gw_breaker_state_name(breaker->state));
}

static const char *operation_of(const struct gw_policy *policy)
{
    return policy->direction == CONFIG_INBOUND ? "input" : "output";
}

/* Whether it is time for another line of a kind; notes that it comes. */
static bool may_tell(const struct gw_policy *policy, int64_t *told_ms)
{
    int64_t now = now_ms(policy);
    if (*told_ms && now - *told_ms < LOG_INTERVAL_MS)
        return false;
    *told_ms = now;
    return true;
}

void gw_policy_succeeded(struct gw_policy *policy, struct gw_policy_run *run)
{
    tell_breaker(policy, run, gw_breaker_succeeded);
    if (run->failures && may_tell(policy, &policy->told_recovery_ms))
        FL_INFO(policy->gateway->log, SCOPE,
                "Recovered processing operation component[%.*s] %s after %u attempts",
                FL_SLICE_ARG(policy->component), operation_of(policy), run->failures + 1);
}

void gw_policy_rejected(struct gw_policy *policy, struct gw_policy_run *run)
{
    tell_breaker(policy, run, gw_breaker_succeeded);
}

void gw_policy_withdrew(struct gw_policy *policy, struct gw_policy_run *run)
{
    if (!run->is_admitted)
        return;
    tell_breaker(policy, run, gw_breaker_withdrew);
    gw_breaker_serve_line(policy->breaker);
}

static void tell_retry(struct gw_policy *policy, int64_t wait_ms)
{
    if (!may_tell(policy, &policy->told_retry_ms))
        return;
    struct fl_buffer wait = {0};
    gw_duration_append(&wait, wait_ms);
    FL_INFO(policy->gateway->log, SCOPE,
            "Error processing operation component[%.*s] %s. Retrying in %s…",
            FL_SLICE_ARG(policy->component), operation_of(policy), fl_buffer_cstr(&wait));
    fl_buffer_fini(&wait);
}

static void count_once(const struct gw_policy *policy, const char *kind, bool *is_counted)
{
    if (!*is_counted)
        count_activation(policy, kind, "");
    *is_counted = true;
}

void gw_policy_failed_finally(struct gw_policy *policy, struct gw_policy_run *run, bool was_timeout)
{
    tell_breaker(policy, run, gw_breaker_failed);
    if (was_timeout && policy->config.timeout_ms)
        count_once(policy, "timeout", &run->counted_timeout);
    run->failures++;
}

int64_t gw_policy_failed(struct gw_policy *policy, struct gw_policy_run *run, int http_status,
                         bool was_timeout)
{
    gw_policy_failed_finally(policy, run, was_timeout);
    if (!policy->config.retry)
        return -1;
    int64_t wait = gw_retry_policy_wait_ms(policy->config.retry, run->failures,
                                           now_ms(policy) - run->began_ms, http_status);
    if (wait < 0)
        return -1;
    count_once(policy, "retry", &run->counted_retry);
    tell_retry(policy, wait);
    return wait;
}

/* --- refused --- */

int64_t gw_policy_refused_ms(const struct gw_policy *policy)
{
    int64_t wait = policy->breaker ? gw_breaker_wait_ms(policy->breaker, now_ms(policy)) : 0;
    return wait > 0 ? wait : 1;
}

void gw_policy_wait(struct gw_policy *policy, struct gw_waiter *waiter)
{
    gw_breaker_wait(policy->breaker, waiter);
}

void gw_policy_leave(struct gw_waiter *waiter)
{
    gw_breaker_leave(waiter);
}
