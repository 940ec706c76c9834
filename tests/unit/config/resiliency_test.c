/* Policies, targets, default names, and trip expressions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/resiliency.h"

struct fixture {
    struct fl_arena arena;
    struct config_notes notes;
    struct config_resiliency resiliency;
    struct fl_error error;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    config_notes_init(&f->notes, &f->arena);
    config_resiliency_init(&f->resiliency, &f->arena);
}

static void end(struct fixture *f)
{
    config_resiliency_fini(&f->resiliency);
    fl_arena_fini(&f->arena);
}

static enum fl_err decode(struct fixture *f, const char *spec)
{
    struct config_node *root;
    const char *text = fl_arena_printf(
        &f->arena, "kind: Resiliency\nmetadata: {name: r, namespace: ns}\n%s", spec);
    enum fl_err err = config_yaml_parse(fl_slice_str(text), "r.yaml", 1, CONFIG_DIALECT_RESOURCE,
                                        &f->arena, &root, &f->error);
    if (err != FL_OK)
        return err;
    return config_resiliency_decode(&f->resiliency, root, &f->notes, false, &f->error);
}

static struct config_policy find(struct fixture *f, const char *name,
                                 enum config_direction direction)
{
    return config_resiliency_find(&f->resiliency, fl_slice_str(name), direction,
                                  CONFIG_CATEGORY_PUBSUB);
}

static void policies_reach_their_targets(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(
        decode(&f, "spec:\n"
                   "  policies:\n"
                   "    timeouts: {short: 300ms, bare: 250}\n"
                   "    retries:\n"
                   "      two: {policy: constant, duration: 50ms, maxRetries: 2, matching: "
                   "{httpStatusCodes: \"429, 500-502\", gRPCStatusCodes: 1}}\n"
                   "      growing: {policy: exponential, maxInterval: 200}\n"
                   "      plain: {}\n"
                   "    circuitBreakers:\n"
                   "      trips: {maxRequests: 2, interval: 1s, timeout: 2s, trip: "
                   "consecutiveFailures >= 2}\n"
                   "      usual: {}\n"
                   "  targets:\n"
                   "    components:\n"
                   "      a: {inbound: {retry: two, timeout: short, circuitBreaker: trips}}\n"
                   "      b: {outbound: {retry: growing, timeout: bare, circuitBreaker: usual}}\n"
                   "      c: {inbound: {retry: plain}}\n"),
        FL_OK);
    struct config_policy p = find(&f, "a", CONFIG_INBOUND);
    assert_true(p.is_set);
    assert_int_equal(p.timeout_ms, 300);
    assert_int_equal(p.retry->duration_ms, 50);
    assert_int_equal(p.retry->max_retries, 2);
    assert_false(p.retry->is_exponential);
    assert_true(config_retry_matches(p.retry, 429));
    assert_true(config_retry_matches(p.retry, 501));
    assert_false(config_retry_matches(p.retry, 503));
    assert_true(config_retry_matches(p.retry, 0));
    assert_int_equal(p.breaker->max_requests, 2);
    assert_int_equal(p.breaker->interval_ms, 1000);
    assert_int_equal(p.breaker->timeout_ms, 2000);
    assert_string_equal(p.breaker->name.data, "trips");
    assert_false(find(&f, "a", CONFIG_OUTBOUND).is_set);
    p = find(&f, "b", CONFIG_OUTBOUND);
    assert_int_equal(p.timeout_ms, 250);
    assert_true(p.retry->is_exponential);
    assert_int_equal(p.retry->max_interval_ms, 200);
    assert_int_equal(p.retry->max_retries, CONFIG_RETRY_FOREVER);
    assert_true(config_retry_matches(p.retry, 404));
    assert_int_equal(p.breaker->max_requests, 1);
    assert_int_equal(p.breaker->timeout_ms, 60000);
    struct config_counts counts = {.consecutive_failures = 5};
    assert_false(config_trip_is_met(&p.breaker->trip, &counts));
    counts.consecutive_failures = 6;
    assert_true(config_trip_is_met(&p.breaker->trip, &counts));
    p = find(&f, "c", CONFIG_INBOUND);
    assert_int_equal(p.retry->duration_ms, 5000);
    assert_int_equal(p.retry->max_retries, CONFIG_RETRY_FOREVER);
    assert_string_equal(f.resiliency.name.data, "r");
    assert_string_equal(f.resiliency.namespace.data, "ns");
    end(&f);
}

static void default_names_apply_to_components_without_a_target(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(decode(&f, "spec:\n"
                                "  policies:\n"
                                "    timeouts: {DefaultTimeoutPolicy: 1s, "
                                "DefaultComponentOutboundTimeoutPolicy: 2s}\n"
                                "    retries: {DefaultPubsubComponentInboundRetryPolicy: "
                                "{maxRetries: 1}, DefaultComponentRetryPolicy: {maxRetries: 7}}\n"
                                "    circuitBreakers: {defaultCircuitBreakerPolicy: {}}\n"
                                "  targets: {components: {listed: {outbound: {}}}}\n"),
                     FL_OK);
    struct config_policy p = find(&f, "x", CONFIG_INBOUND);
    assert_int_equal(p.timeout_ms, 1000);
    assert_int_equal(p.retry->max_retries, 1);
    assert_null(p.breaker);
    p = find(&f, "x", CONFIG_OUTBOUND);
    assert_int_equal(p.timeout_ms, 2000);
    assert_int_equal(p.retry->max_retries, 7);
    p = config_resiliency_find(&f.resiliency, FL_SLICE_LIT("x"), CONFIG_INBOUND,
                               CONFIG_CATEGORY_BINDING);
    assert_int_equal(p.retry->max_retries, 7);
    assert_false(find(&f, "listed", CONFIG_INBOUND).is_set);
    end(&f);
}

static void later_resources_win_and_built_ins_are_protected(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    const struct config_retry *retry =
        config_resiliency_retry(&f.resiliency, "DaprBuiltInInitializationRetries");
    assert_int_equal(retry->max_retries, 3);
    assert_int_equal(retry->max_interval_ms, 1000);
    assert_true(retry->is_exponential);
    assert_int_equal(decode(&f, "spec: {policies: {timeouts: {t: 1s}, retries: "
                                "{DaprBuiltInServiceRetries: {maxRetries: 1}}}}\n"),
                     FL_OK);
    assert_int_equal(decode(&f, "spec: {policies: {timeouts: {t: 2s}}, targets: {components: {a: "
                                "{inbound: {timeout: t}}}}}\n"),
                     FL_OK);
    assert_int_equal(find(&f, "a", CONFIG_INBOUND).timeout_ms, 2000);
    assert_int_equal(
        config_resiliency_retry(&f.resiliency, "DaprBuiltInServiceRetries")->max_retries, 3);
    assert_string_equal(f.notes.last->text, "Attempted override of DaprBuiltInServiceRetries did "
                                            "not meet minimum retry count, resetting to 3. "
                                            "(r.yaml:3)");
    assert_null(config_resiliency_retry(&f.resiliency, "none"));
    end(&f);
}

static void references_are_checked(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(decode(&f, "spec:\n"
                                "  policies: {retries: {often: {}}, circuitBreakers: {cb: {}}}\n"
                                "  targets:\n"
                                "    components:\n"
                                "      a: {inbound: {retry: ofen}}\n"
                                "      b: {inbound: {circuitBreaker: bc}}\n"),
                     FL_OK);
    assert_int_equal(config_resiliency_check(&f.resiliency, &f.notes, false, &f.error),
                     FL_ERR_NOT_FOUND);
    assert_string_equal(f.error.text, "r.yaml:8: spec.targets.components.b: circuitBreaker \"bc\" "
                                      "is not defined by any policy");
    assert_string_equal(f.notes.last->text,
                        "r.yaml:7: spec.targets.components.a: retry \"ofen\" is not defined by any "
                        "policy; the nearest is \"often\"; none is used");
    end(&f);
}

static void what_was_read_before_an_error_stays(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(decode(&f, "spec: {policies: {timeouts: {DefaultTimeoutPolicy: 1s}, retries: "
                                "{bad: {policy: linear}}}}\n"),
                     FL_ERR_INVALID);
    assert_string_equal(f.error.text, "r.yaml:3: spec.policies.retries.bad.policy: found string "
                                      "\"linear\"; accepted: constant, exponential");
    assert_int_equal(find(&f, "x", CONFIG_INBOUND).timeout_ms, 1000);
    end(&f);
}

static void expressions_are_evaluated(void **state)
{
    (void)state;
    const struct config_counts counts = {.requests = 10,
                                         .total_successes = 4,
                                         .total_failures = 6,
                                         .consecutive_successes = 0,
                                         .consecutive_failures = 3};
    static const struct {
        const char *text;
        bool is_met;
    } cases[] = {
        {"consecutiveFailures > 2", true},
        {"consecutiveFailures>=4", false},
        {"requests >= 10 && totalFailures * 100 / requests >= 60", true},
        {"requests > 10 || consecutiveFailures == 3", true},
        {"!(requests > 5)", false},
        {"totalSuccesses + totalFailures != requests", false},
        {"requests - 3 * 2 == 4", true},
        {"requests - 3 - 2 == 5", true},
        {"(requests - 3) * 2 == 14", true},
        {"-requests < 0", true},
        {"requests % 4 == 2", true},
        {"requests / consecutiveSuccesses > 0", false},
        {"9223372036854775807 + requests > 0", false},
        {"true", true},
        {"false || true && false", false},
        {"(requests > 1) == (totalFailures > 1)", true},
        {"requests\n>\t1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct config_trip trip;
        struct fl_error error;
        if (config_trip_parse(fl_slice_str(cases[i].text), &arena, &trip, &error) != FL_OK)
            fail_msg("%s: %s", cases[i].text, error.text);
        assert_int_equal(config_trip_is_met(&trip, &counts), cases[i].is_met);
        fl_arena_fini(&arena);
    }
}

static void other_expressions_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "column 1: a counter, an integer or a parenthesis is missing"},
        {"requests >", "column 11: a counter, an integer or a parenthesis is missing"},
        {"requests", "column 9: the expression is a number; accepted: a comparison"},
        {"request > 1",
         "column 1: found \"request\"; accepted: requests, totalSuccesses, totalFailures, "
         "consecutiveSuccesses, consecutiveFailures, integers; the nearest is \"requests\""},
        {"(requests > 1", "column 14: a closing parenthesis is missing"},
        {"requests > 1 requests", "column 14: found \"requests\" where an operator belongs; "
                                  "accepted: + - * / % == != < <= > >= && ||"},
        {"requests > 1.5", "column 13: found \".\" where an operator belongs; accepted: + - * / % "
                           "== != < <= > >= && ||"},
        {"requests > 1 > 0",
         "column 17: a number stands where a comparison belongs, or the other way round"},
        {"requests && true",
         "column 17: a number stands where a comparison belongs, or the other way round"},
        {"!requests", "column 10: \"!\" takes a comparison"},
        {"-true == 1", "column 6: \"-\" takes a number"},
        {"requests = 1", "column 10: found \"=\" where an operator belongs; accepted: + - * / % == "
                         "!= < <= > >= && ||"},
        {"99999999999999999999 > 1",
         "column 1: found \"99999999999999999999\"; accepted: requests, totalSuccesses, "
         "totalFailures, consecutiveSuccesses, consecutiveFailures, integers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct config_trip trip;
        struct fl_error error;
        assert_int_equal(config_trip_parse(fl_slice_str(cases[i].text), &arena, &trip, &error),
                         FL_ERR_INVALID);
        assert_string_equal(error.text, cases[i].reason);
        fl_arena_fini(&arena);
    }
}

static void expressions_are_bounded(void **state)
{
    (void)state;
    static const char *const parts[] = {"(", "!", "-", "requests>1||"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct fl_arena arena = {0};
        struct config_trip trip;
        struct fl_error error;
        char text[4000] = "";
        for (int k = 0; k < 300; k++)
            strcat(text, parts[i]);
        strcat(text, "true");
        assert_int_equal(config_trip_parse(fl_slice_str(text), &arena, &trip, &error),
                         FL_ERR_INVALID);
        assert_non_null(strstr(error.text, i == 3 ? "too long" : "too deeply"));
        fl_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_reach_their_targets),
        cmocka_unit_test(default_names_apply_to_components_without_a_target),
        cmocka_unit_test(later_resources_win_and_built_ins_are_protected),
        cmocka_unit_test(references_are_checked),
        cmocka_unit_test(what_was_read_before_an_error_stays),
        cmocka_unit_test(expressions_are_evaluated),
        cmocka_unit_test(other_expressions_are_refused_with_a_reason),
        cmocka_unit_test(expressions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
