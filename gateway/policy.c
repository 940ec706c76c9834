/* Operations under a policy; see the header. */
#include "gateway/policy.h"

#include <stdio.h>

#include "base/alloc.h"
#include "gateway/duration.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/retry.h"

#define SCOPE "dapr.runtime.resiliency"

enum { LOG_INTERVAL_MS = 1000 };

/* A breaker with the component that it guards. */
struct named_breaker {
    struct gw_breaker breaker;
    struct gateway *gateway;
    struct fl_slice component;
};

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

static void count(const struct gw_policy *policy, enum gw_metric metric, const char *kind,
                  const char *status)
{
    char target[TARGET_BYTES];
    struct fl_slice labels[LABELS];
    fill_labels(policy, kind, status, target, labels);
    gw_counter_add(gw_metrics_counter(policy->gateway->metrics, metric, labels), 1);
}

/* Of the four series the one of the present state is 1. */
static void show_state(const struct gw_policy *policy, const char *present)
{
    static const char *const names[] = {"closed", "half-open", "open", "unknown"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char target[TARGET_BYTES];
        struct fl_slice labels[LABELS];
        fill_labels(policy, "circuitbreaker", names[i], target, labels);
        gw_gauge_set(gw_metrics_gauge(policy->gateway->metrics, GW_RESILIENCY_CB_STATE, labels),
                     names[i] == present || strcmp(names[i], present) == 0);
    }
}

static const char *state_of(const struct gw_policy *policy)
{
    return gw_breaker_state_name(gw_breaker_state(policy->breaker, now_ms(policy)));
}

void gw_policy_count(const struct gw_policy *policy)
{
    if (policy->config.timeout_ms)
        count(policy, GW_RESILIENCY_COUNT, "timeout", "");
    if (policy->config.retry)
        count(policy, GW_RESILIENCY_COUNT, "retry", "");
    if (policy->breaker) {
        count(policy, GW_RESILIENCY_COUNT, "circuitbreaker", state_of(policy));
        show_state(policy, state_of(policy));
    }
}

/* --- look-up --- */

static void on_changed(struct gw_breaker *breaker, enum gw_breaker_state before)
{
    struct named_breaker *named = breaker->context;
    FL_INFO(named->gateway->log, SCOPE, "Circuit breaker \"%.*s-%.*s\" changed state from %s to %s",
            FL_SLICE_ARG(breaker->config->name), FL_SLICE_ARG(named->component),
            gw_breaker_state_name(before), gw_breaker_state_name(breaker->state));
}

/* One for each component, of the kind that was named first. */
static struct gw_breaker *breaker_of(struct gateway *gateway, struct fl_slice component,
                                     const struct config_breaker *config)
{
    struct fl_map *all = &gateway->policies.breakers;
    struct named_breaker *named = fl_map_find(all, component);
    if (!named) {
        named = fl_zalloc(sizeof *named);
        gw_breaker_init(&named->breaker, config, net_loop_now_ms(gateway->loop));
        named->breaker.changed = on_changed;
        named->breaker.context = named;
        named->gateway = gateway;
        named->component = component;
        fl_map_set(all, component, named);
    }
    return &named->breaker;
}

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
    if (config.breaker)
        policy->breaker = breaker_of(gateway, component, config.breaker);
}

void gw_policies_fini(struct gateway *gateway)
{
    struct fl_map *all = &gateway->policies.breakers;
    uint32_t at = 0;
    struct fl_slice name;
    for (void *named; fl_map_next(all, &at, &name, &named);)
        fl_free(named);
    fl_map_fini(all);
}

void gw_policies_each_breaker(struct gateway *gateway, gw_breaker_visit_fn *visit, void *context)
{
    uint32_t at = 0;
    struct fl_slice name;
    for (void *named; fl_map_next(&gateway->policies.breakers, &at, &name, &named);)
        visit(context, name, &((struct named_breaker *)named)->breaker);
}

/* --- attempts --- */

const char *gw_policy_begin(struct gw_policy *policy, struct gw_policy_run *run)
{
    run->is_admitted = false;
    if (!policy->breaker)
        return NULL;
    switch (gw_breaker_admit(policy->breaker, now_ms(policy), &run->epoch)) {
    case GW_ADMITTED:
        run->is_admitted = true;
        return NULL;
    case GW_REFUSED_OPEN:
        count(policy, GW_RESILIENCY_ACTIVATIONS_TOTAL, "circuitbreaker", "open");
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
    enum gw_breaker_state before = policy->breaker->state;
    verdict(policy->breaker, now_ms(policy), run->epoch);
    if (policy->breaker->state != before)
        count(policy, GW_RESILIENCY_ACTIVATIONS_TOTAL, "circuitbreaker", state_of(policy));
}

static void log_recovery(const struct gw_policy *policy, const struct gw_policy_run *run)
{
    FL_DEBUG(policy->gateway->log, SCOPE,
             "Recovered processing operation component[%.*s] %s after %u attempts",
             FL_SLICE_ARG(policy->component),
             policy->direction == CONFIG_INBOUND ? "input" : "output", run->failures + 1);
}

void gw_policy_succeeded(struct gw_policy *policy, struct gw_policy_run *run)
{
    tell_breaker(policy, run, gw_breaker_succeeded);
    if (run->failures)
        log_recovery(policy, run);
}

void gw_policy_rejected(struct gw_policy *policy, struct gw_policy_run *run)
{
    tell_breaker(policy, run, gw_breaker_succeeded);
}

void gw_policy_withdrew(struct gw_policy *policy, struct gw_policy_run *run)
{
    tell_breaker(policy, run, gw_breaker_withdrew);
}

static void log_retry(struct gw_policy *policy, int64_t wait_ms)
{
    int64_t now = now_ms(policy);
    if (policy->logged_ms && now - policy->logged_ms < LOG_INTERVAL_MS)
        return;
    policy->logged_ms = now;
    struct fl_buffer wait = {0};
    gw_duration_append(&wait, wait_ms);
    FL_INFO(policy->gateway->log, SCOPE,
            "Error processing operation component[%.*s] %s. Retrying in %s…",
            FL_SLICE_ARG(policy->component),
            policy->direction == CONFIG_INBOUND ? "input" : "output", fl_buffer_cstr(&wait));
    fl_buffer_fini(&wait);
}

int64_t gw_policy_failed(struct gw_policy *policy, struct gw_policy_run *run, int http_status,
                         bool was_timeout)
{
    int64_t now = now_ms(policy);
    tell_breaker(policy, run, gw_breaker_failed);
    if (was_timeout && !run->counted_timeout) {
        count(policy, GW_RESILIENCY_ACTIVATIONS_TOTAL, "timeout", "");
        run->counted_timeout = true;
    }
    if (!policy->config.retry)
        return -1;
    if (run->failures++ == 0)
        run->began_ms = now;
    int64_t wait = gw_retry_policy_wait_ms(policy->config.retry, run->failures, now - run->began_ms,
                                           http_status);
    if (wait < 0)
        return -1;
    if (!run->counted_retry)
        count(policy, GW_RESILIENCY_ACTIVATIONS_TOTAL, "retry", "");
    run->counted_retry = true;
    log_retry(policy, wait);
    return wait;
}

int64_t gw_policy_refused_ms(const struct gw_policy *policy)
{
    int64_t wait = policy->breaker ? gw_breaker_wait_ms(policy->breaker, now_ms(policy)) : 0;
    return wait > 0 ? wait : 1;
}
