/* Operations under a policy, and the line of a breaker, on a loop whose clock the tests move.
 *
 * The loop is a stand-in of this file, so that a quarter of an hour passes at once: it knows the
 * instant, deferred tasks and timers, and nothing else that policies ask of a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"

#define S(text) FL_SLICE_LIT(text)

/* --- the loop --- */

enum { MOST_TIMERS = 4 };

struct net_loop {
    int64_t now_ms;
    struct net_task *tasks[4];
    size_t task_count;
    struct net_timer *timers[MOST_TIMERS];
    int64_t due_ms[MOST_TIMERS];
    size_t turns; /* tasks and timers that ran */
};

int64_t net_loop_now_ms(const struct net_loop *loop)
{
    return loop->now_ms;
}

void net_loop_defer(struct net_loop *loop, struct net_task *task)
{
    if (task->is_queued)
        return;
    task->is_queued = true;
    loop->tasks[loop->task_count++] = task;
}

void net_loop_cancel(struct net_loop *loop, struct net_task *task)
{
    for (size_t i = 0; i < loop->task_count; i++) {
        if (loop->tasks[i] == task)
            loop->tasks[i] = loop->tasks[--loop->task_count];
    }
    task->is_queued = false;
}

void net_timer_stop(struct net_loop *loop, struct net_timer *timer)
{
    for (size_t i = 0; i < MOST_TIMERS; i++) {
        if (loop->timers[i] == timer)
            loop->timers[i] = NULL;
    }
    timer->entry.place = 0;
}

void net_timer_start(struct net_loop *loop, struct net_timer *timer, int64_t at_ms)
{
    net_timer_stop(loop, timer);
    for (size_t i = 0; i < MOST_TIMERS; i++) {
        if (loop->timers[i])
            continue;
        loop->timers[i] = timer;
        loop->due_ms[i] = at_ms;
        timer->entry.place = 1;
        return;
    }
    fail_msg("too many timers");
}

static void run_tasks(struct net_loop *loop)
{
    while (loop->task_count) {
        struct net_task *task = loop->tasks[--loop->task_count];
        task->is_queued = false;
        loop->turns++;
        task->run(task);
    }
}

static void advance(struct net_loop *loop, int64_t ms)
{
    run_tasks(loop);
    loop->now_ms += ms;
    for (size_t i = 0; i < MOST_TIMERS; i++) {
        struct net_timer *timer = loop->timers[i];
        if (!timer || loop->due_ms[i] > loop->now_ms)
            continue;
        net_timer_stop(loop, timer);
        loop->turns++;
        timer->expired(timer);
    }
    run_tasks(loop);
}

/* --- the gateway --- */

struct fixture {
    struct net_loop loop;
    struct gateway *gateway;
    struct fl_log log;
    FILE *lines;
    struct fl_buffer text;
    struct gw_policy policy; /* of "orders", inbound */
    struct gw_policy_run run;
};

static void add_resiliency(struct fixture *f, const char *spec)
{
    struct fl_error error;
    struct config_node *root;
    struct gateway *gateway = f->gateway;
    const char *text = fl_arena_printf(
        &gateway->arena, "kind: Resiliency\nmetadata: {name: r, namespace: ns}\n%s", spec);
    config_notes_init(&gateway->notes, &gateway->arena);
    if (config_yaml_parse(fl_slice_str(text), "r.yaml", 1, CONFIG_DIALECT_RESOURCE, &gateway->arena,
                          &root, &error) ||
        config_resiliency_decode(&gateway->resources.resiliency, root, &gateway->notes, true,
                                 &error))
        fail_msg("%s", error.text);
}

static void resolve(struct fixture *f, const char *component, enum config_direction direction,
                    struct gw_policy *policy)
{
    gw_policy_resolve(f->gateway, fl_slice_str(component), direction, CONFIG_CATEGORY_PUBSUB,
                      policy);
}

static void begin(struct fixture *f, const char *spec)
{
    *f = (struct fixture){.loop = {.now_ms = 1000000}};
    f->gateway = fl_zalloc(sizeof *f->gateway);
    f->lines = tmpfile();
    assert_non_null(f->lines);
    fl_log_init(&f->log, "0");
    f->log.fd = fileno(f->lines);
    f->gateway->loop = &f->loop;
    f->gateway->log = &f->log;
    f->gateway->metrics = gw_metrics_new(&(struct gw_metrics_settings){.app_id = S("app")});
    config_resiliency_init(&f->gateway->resources.resiliency, &f->gateway->arena);
    add_resiliency(f, spec);
    resolve(f, "orders", CONFIG_INBOUND, &f->policy);
    assert_true(f->policy.config.is_set);
}

static void end(struct fixture *f)
{
    gw_breakers_fini(f->gateway);
    gw_metrics_free(&f->gateway->metrics);
    config_resiliency_fini(&f->gateway->resources.resiliency);
    fl_arena_fini(&f->gateway->arena);
    fl_free(f->gateway);
    fl_buffer_fini(&f->text);
    fclose(f->lines);
}

#define INBOUND(fields) "targets: {components: {orders: {inbound: {" fields "}}}}\n"
#define BREAKS                                                                                     \
    "circuitBreakers: {breaks: {timeout: 1s, trip: consecutiveFailures >= 2}, "                    \
    "late: {timeout: 9s, maxRequests: 3, trip: consecutiveFailures >= 1}}"

static const char *const breaking =
    "spec:\n  policies: {" BREAKS "}\n  " INBOUND("circuitBreaker: breaks");

static void assert_begins(struct fixture *f)
{
    const char *refusal = gw_policy_begin(&f->policy, &f->run);
    if (refusal)
        fail_msg("refused: %s", refusal);
}

static int64_t fail_with(struct fixture *f, int http_status)
{
    assert_begins(f);
    return gw_policy_failed(&f->policy, &f->run, http_status, false);
}

/* Every run begins anew. */
static void fail_runs(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        f->run = (struct gw_policy_run){0};
        fail_with(f, 500);
    }
}

static const char *metrics(struct fixture *f)
{
    fl_buffer_clear(&f->text);
    gw_metrics_render(f->gateway->metrics, &f->text);
    return fl_buffer_cstr(&f->text);
}

/* The value of a series of "orders"; 0 when it does not show. */
static int series(struct fixture *f, const char *name, const char *direction, const char *policy,
                  const char *status)
{
    char line[300];
    snprintf(line, sizeof line,
             "\n%s{app_id=\"app\",flow_direction=\"%s\",name=\"r\",namespace=\"ns\",policy=\"%s\","
             "status=\"%s\",target=\"Pubsub_orders\"} ",
             name, direction, policy, status);
    const char *at = strstr(metrics(f), line);
    return at ? atoi(at + strlen(line)) : 0;
}

static int activations(struct fixture *f, const char *policy, const char *status)
{
    return series(f, "dapr_resiliency_activations_total", "inbound", policy, status);
}

static size_t logged(struct fixture *f, const char *what)
{
    static char all[65536];
    size_t count = 0;
    ssize_t len = pread(fileno(f->lines), all, sizeof all - 1, 0);
    assert_true(len >= 0);
    all[len] = 0;
    for (const char *at = all; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* --- attempts --- */

static void retries_end_after_their_number(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "spec:\n  policies: {retries: {two: {duration: 50ms, maxRetries: 2}}}\n  " INBOUND(
                  "retry: two"));
    assert_int_equal(fail_with(&f, 500), 50);
    assert_int_equal(fail_with(&f, 0), 50);
    assert_int_equal(fail_with(&f, 500), -1);
    assert_int_equal(activations(&f, "retry", ""), 1);
    end(&f);
}

static void a_status_that_does_not_match_ends_it_at_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "spec:\n  policies: {retries: {some: {duration: 50ms, matching: {httpStatusCodes: "
              "\"429,500-502\"}}}}\n  " INBOUND("retry: some"));
    assert_int_equal(fail_with(&f, 503), -1);
    assert_int_equal(activations(&f, "retry", ""), 0);
    f.run = (struct gw_policy_run){0};
    assert_int_equal(fail_with(&f, 429), 50);
    assert_int_equal(fail_with(&f, 0), 50);
    assert_int_equal(fail_with(&f, 404), -1);
    end(&f);
}

static void exponential_retries_end_after_a_quarter_of_an_hour(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "spec:\n  policies: {retries: {growing: {policy: exponential, maxInterval: 10s}}}\n"
              "  " INBOUND("retry: growing"));
    const int64_t most = 15 * 60 * 1000, began = f.loop.now_ms;
    int64_t wait, last = 0;
    int attempts = 0;
    while ((wait = fail_with(&f, 0)) >= 0) {
        assert_in_range(wait, 250, 15000);
        attempts++;
        last = f.loop.now_ms - began;
        assert_true(last + wait <= most);
        advance(&f.loop, wait);
    }
    /* The wait that would have passed the end is at most 15 s. */
    assert_in_range(f.loop.now_ms - began, most - 15000, most);
    assert_in_range(attempts, 60, 190);
    end(&f);
}

static void the_quarter_of_an_hour_holds_the_first_attempt_too(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "spec:\n  policies: {retries: {growing: {policy: exponential}}}\n  " INBOUND(
                  "retry: growing"));
    assert_begins(&f);
    advance(&f.loop, 15 * 60 * 1000);
    assert_int_equal(gw_policy_failed(&f.policy, &f.run, 0, false), -1);
    end(&f);
}

static void time_limits_count_once_an_operation(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "spec:\n  policies: {timeouts: {short: 300ms}, retries: {two: {duration: 1ms, "
              "maxRetries: 2}}}\n  " INBOUND("retry: two, timeout: short"));
    assert_int_equal(f.policy.config.timeout_ms, 300);
    for (int i = 0; i < 3; i++) {
        assert_begins(&f);
        gw_policy_failed(&f.policy, &f.run, 0, true);
    }
    assert_int_equal(activations(&f, "timeout", ""), 1);
    f.run = (struct gw_policy_run){0};
    assert_begins(&f);
    gw_policy_failed_finally(&f.policy, &f.run, true);
    assert_int_equal(activations(&f, "timeout", ""), 2);
    assert_int_equal(activations(&f, "retry", ""), 1);
    end(&f);
}

static void lines_about_retries_come_once_a_second(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "spec:\n  policies: {retries: {ever: {duration: 5s}}}\n  " INBOUND("retry: ever"));
    fail_runs(&f, 3);
    gw_policy_succeeded(&f.policy, &f.run);
    gw_policy_succeeded(&f.policy, &f.run);
    assert_int_equal(logged(&f, "Error processing operation component[orders] input. "
                                "Retrying in 5s…"),
                     1);
    assert_int_equal(logged(&f, "Recovered processing operation component[orders] input after 2 "
                                "attempts"),
                     1);
    advance(&f.loop, 1000);
    fail_runs(&f, 1);
    assert_int_equal(logged(&f, "Retrying in 5s…"), 2);
    end(&f);
}

/* --- breakers --- */

static void an_open_breaker_refuses_and_is_counted_by_its_changes(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, breaking);
    fail_runs(&f, 2);
    assert_string_equal(gw_policy_begin(&f.policy, &f.run), "circuit breaker is open");
    assert_string_equal(gw_policy_begin(&f.policy, &f.run), "circuit breaker is open");
    assert_int_equal(gw_policy_refused_ms(&f.policy), 1000);
    assert_int_equal(activations(&f, "circuitbreaker", "open"), 1);
    advance(&f.loop, 1000);
    assert_begins(&f);
    struct gw_policy_run other = {0};
    assert_string_equal(gw_policy_begin(&f.policy, &other), "too many requests");
    assert_true(gw_policy_refused_ms(&f.policy) > 0);
    gw_policy_succeeded(&f.policy, &f.run);
    /* Half open was passed through inside one operation. */
    assert_int_equal(activations(&f, "circuitbreaker", "half-open"), 0);
    assert_int_equal(activations(&f, "circuitbreaker", "closed"), 1);
    assert_int_equal(
        logged(&f, "Circuit breaker \\\"breaks-orders\\\" changed state from closed to open"), 1);
    assert_int_equal(
        logged(&f, "Circuit breaker \\\"breaks-orders\\\" changed state from half-open to closed"),
        1);
    end(&f);
}

static void what_the_peer_rejects_does_not_open_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, breaking);
    for (int i = 0; i < 5; i++) {
        fail_runs(&f, 1);
        assert_begins(&f);
        gw_policy_rejected(&f.policy, &f.run);
    }
    assert_begins(&f);
    end(&f);
}

static void a_run_tells_its_verdict_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, breaking);
    fail_runs(&f, 1);
    gw_policy_failed(&f.policy, &f.run, 500, false);
    gw_policy_withdrew(&f.policy, &f.run);
    assert_begins(&f);
    gw_policy_withdrew(&f.policy, &f.run);
    gw_policy_withdrew(&f.policy, &f.run);
    assert_int_equal(f.policy.breaker->counts.requests, 1);
    end(&f);
}

static void both_directions_share_the_breaker_named_first(void **state)
{
    (void)state;
    struct fixture f;
    struct gw_policy outbound;
    begin(&f, "spec:\n  policies: {" BREAKS "}\n  targets: {components: {orders: {inbound: "
              "{circuitBreaker: breaks}, outbound: {circuitBreaker: late}}}}\n");
    resolve(&f, "orders", CONFIG_OUTBOUND, &outbound);
    assert_null(outbound.breaker);
    gw_policy_count(&f.policy);
    gw_policy_count(&outbound);
    assert_ptr_equal(outbound.breaker, f.policy.breaker);
    assert_int_equal(outbound.breaker->config->timeout_ms, 1000);
    fail_runs(&f, 2);
    struct gw_policy_run run = {0};
    assert_string_equal(gw_policy_begin(&outbound, &run), "circuit breaker is open");
    end(&f);
}

static void each_component_has_a_breaker_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    struct gw_policy other;
    begin(&f, "spec: {policies: {circuitBreakers: {DefaultCircuitBreakerPolicy: {timeout: 1s, "
              "trip: consecutiveFailures >= 1}}}}\n");
    resolve(&f, "invoices", CONFIG_INBOUND, &other);
    fail_runs(&f, 1);
    assert_string_equal(gw_policy_begin(&f.policy, &f.run), "circuit breaker is open");
    struct gw_policy_run run = {0};
    assert_null(gw_policy_begin(&other, &run));
    end(&f);
}

static void look_ups_are_counted_with_the_state_of_that_moment(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "spec:\n  policies: {timeouts: {short: 1s}, retries: {ever: {}}, " BREAKS
              "}\n  " INBOUND("retry: ever, timeout: short, circuitBreaker: breaks"));
    gw_policy_count(&f.policy);
    assert_int_equal(series(&f, "dapr_resiliency_count", "inbound", "timeout", ""), 1);
    assert_int_equal(series(&f, "dapr_resiliency_count", "inbound", "retry", ""), 1);
    assert_int_equal(series(&f, "dapr_resiliency_count", "inbound", "circuitbreaker", "closed"), 1);
    assert_int_equal(series(&f, "dapr_resiliency_cb_state", "inbound", "circuitbreaker", "closed"),
                     1);
    fail_runs(&f, 2);
    assert_int_equal(series(&f, "dapr_resiliency_cb_state", "inbound", "circuitbreaker", "closed"),
                     1);
    gw_policy_count(&f.policy);
    assert_int_equal(series(&f, "dapr_resiliency_count", "inbound", "circuitbreaker", "open"), 1);
    assert_int_equal(series(&f, "dapr_resiliency_cb_state", "inbound", "circuitbreaker", "closed"),
                     0);
    assert_int_equal(series(&f, "dapr_resiliency_cb_state", "inbound", "circuitbreaker", "open"),
                     1);
    end(&f);
}

/* --- the line --- */

enum { WAITERS = 64 };

/* An operation of a component whose breaker refuses it. */
struct operation {
    struct gw_waiter waiter;
    struct gw_policy_run run;
    struct fixture *f;
    int number, asked_count;
    bool is_under_way;
    bool is_tired;  /* it does not want any more when its turn comes */
    bool is_polite; /* it makes place for another when its turn comes, and stands in line again */
};

static int last_begun;

static void ask(struct operation *operation)
{
    operation->asked_count++;
    if (gw_policy_begin(&operation->f->policy, &operation->run)) {
        gw_policy_wait(&operation->f->policy, &operation->waiter);
        return;
    }
    operation->is_under_way = true;
    last_begun = operation->number;
}

static void on_turn(struct gw_waiter *waiter)
{
    struct operation *operation = FL_CONTAINER(waiter, struct operation, waiter);
    if (operation->is_polite) {
        operation->is_polite = false;
        gw_policy_wait(&operation->f->policy, &operation->waiter);
    } else if (!operation->is_tired) {
        ask(operation);
    }
}

static void begin_waiting(struct fixture *f, struct operation operations[WAITERS])
{
    begin(f, breaking);
    fail_runs(f, 2);
    for (int i = 0; i < WAITERS; i++) {
        operations[i] = (struct operation){.waiter.go = on_turn, .f = f, .number = i};
        ask(&operations[i]);
    }
}

static int under_way(const struct operation *operations)
{
    int count = 0;
    for (int i = 0; i < WAITERS; i++)
        count += operations[i].is_under_way;
    return count;
}

static int asked(const struct operation *operations)
{
    int count = 0;
    for (int i = 0; i < WAITERS; i++)
        count += operations[i].asked_count;
    return count;
}

static void fail_under_way(struct operation *operation)
{
    assert_true(operation->is_under_way);
    operation->is_under_way = false;
    gw_policy_failed(&operation->f->policy, &operation->run, 0, false);
    ask(operation);
}

static void leave_all(struct operation *operations)
{
    for (int i = 0; i < WAITERS; i++)
        gw_policy_leave(&operations[i].waiter);
}

static void a_line_wakes_one_for_each_place(void **state)
{
    (void)state;
    struct fixture f;
    struct operation operations[WAITERS];
    begin_waiting(&f, operations);
    advance(&f.loop, 999);
    assert_int_equal(asked(operations), WAITERS);
    advance(&f.loop, 1);
    assert_int_equal(under_way(operations), 1);
    assert_int_equal(last_begun, 0);
    size_t turns = f.loop.turns;
    advance(&f.loop, 600000);
    /* Ten minutes of a slow application: nobody was woken for nothing. */
    assert_int_equal(f.loop.turns, turns);
    assert_int_equal(asked(operations), WAITERS + 1);
    gw_policy_succeeded(&f.policy, &operations[0].run);
    assert_int_equal(under_way(operations), 1);
    advance(&f.loop, 0);
    assert_int_equal(under_way(operations), WAITERS);
    end(&f);
}

static void who_fails_while_half_open_stands_behind_the_others(void **state)
{
    (void)state;
    struct fixture f;
    struct operation operations[WAITERS];
    begin_waiting(&f, operations);
    for (int i = 0; i < 3; i++) {
        advance(&f.loop, 1000);
        assert_int_equal(last_begun, i);
        fail_under_way(&operations[i]);
        assert_int_equal(under_way(operations), 0);
    }
    /* Each was asked once, the three once more when they were let through and once when refused. */
    assert_int_equal(asked(operations), WAITERS + 3 + 3);
    leave_all(operations);
    end(&f);
}

static void a_place_that_is_given_back_goes_to_the_next(void **state)
{
    (void)state;
    struct fixture f;
    struct operation operations[WAITERS];
    begin_waiting(&f, operations);
    advance(&f.loop, 1000);
    gw_policy_withdrew(&f.policy, &operations[0].run);
    advance(&f.loop, 0);
    assert_int_equal(last_begun, 1);
    gw_policy_succeeded(&f.policy, &operations[1].run);
    leave_all(operations);
    end(&f);
}

static void who_does_not_want_any_more_takes_no_place(void **state)
{
    (void)state;
    struct fixture f;
    struct operation operations[WAITERS];
    begin_waiting(&f, operations);
    operations[0].is_tired = true;
    gw_policy_leave(&operations[1].waiter);
    gw_policy_leave(&operations[1].waiter);
    advance(&f.loop, 1000);
    assert_int_equal(last_begun, 2);
    assert_int_equal(under_way(operations), 1);
    leave_all(operations);
    end(&f);
}

static void who_steps_back_stands_behind_those_who_waited_longer(void **state)
{
    (void)state;
    struct fixture f;
    struct operation operations[WAITERS];
    begin_waiting(&f, operations);
    operations[0].is_polite = true;
    advance(&f.loop, 1000);
    assert_int_equal(last_begun, 1);
    fail_under_way(&operations[1]);
    advance(&f.loop, 1000);
    assert_int_equal(last_begun, 2);
    leave_all(operations);
    end(&f);
}

static void another_one_that_half_opens_it_does_not_stop_the_line(void **state)
{
    (void)state;
    struct fixture f;
    struct operation operations[WAITERS];
    begin_waiting(&f, operations);
    f.loop.now_ms += 1000; /* no timer has run yet */
    f.run = (struct gw_policy_run){0};
    assert_begins(&f);
    advance(&f.loop, 0);
    assert_int_equal(under_way(operations), 0);
    gw_policy_failed(&f.policy, &f.run, 0, false);
    advance(&f.loop, 999);
    assert_int_equal(under_way(operations), 0);
    advance(&f.loop, 1);
    assert_int_equal(under_way(operations), 1);
    leave_all(operations);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_end_after_their_number),
        cmocka_unit_test(a_status_that_does_not_match_ends_it_at_once),
        cmocka_unit_test(exponential_retries_end_after_a_quarter_of_an_hour),
        cmocka_unit_test(the_quarter_of_an_hour_holds_the_first_attempt_too),
        cmocka_unit_test(time_limits_count_once_an_operation),
        cmocka_unit_test(lines_about_retries_come_once_a_second),
        cmocka_unit_test(an_open_breaker_refuses_and_is_counted_by_its_changes),
        cmocka_unit_test(what_the_peer_rejects_does_not_open_it),
        cmocka_unit_test(a_run_tells_its_verdict_once),
        cmocka_unit_test(both_directions_share_the_breaker_named_first),
        cmocka_unit_test(each_component_has_a_breaker_of_its_own),
        cmocka_unit_test(look_ups_are_counted_with_the_state_of_that_moment),
        cmocka_unit_test(a_line_wakes_one_for_each_place),
        cmocka_unit_test(who_fails_while_half_open_stands_behind_the_others),
        cmocka_unit_test(a_place_that_is_given_back_goes_to_the_next),
        cmocka_unit_test(who_does_not_want_any_more_takes_no_place),
        cmocka_unit_test(who_steps_back_stands_behind_those_who_waited_longer),
        cmocka_unit_test(another_one_that_half_opens_it_does_not_stop_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
