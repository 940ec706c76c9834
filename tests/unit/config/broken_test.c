/* Broken documents of every kind, and the whole text that their owner gets to read: file, line,
 * field, what was found, what is accepted, the nearest spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "config/component.h"
#include "config/configuration.h"
#include "config/resiliency.h"
#include "config/subscription_resource.h"

enum kind { COMPONENT, SUBSCRIPTION, SUBSCRIPTION_V1, RESILIENCY, CONFIGURATION };

static enum fl_err read_resource(enum kind kind, const struct config_node *root, bool is_strict,
                                 struct fl_arena *arena, struct fl_error *error)
{
    struct config_component component;
    struct config_subscription subscription;
    struct config_resiliency resiliency;
    if (kind == COMPONENT)
        return config_component_decode(root, arena, NULL, is_strict, &component, error);
    if (kind != RESILIENCY)
        return config_subscription_decode(root, kind == SUBSCRIPTION_V1, arena, NULL, is_strict,
                                          &subscription, error);
    config_resiliency_init(&resiliency, arena);
    enum fl_err err = config_resiliency_decode(&resiliency, root, NULL, is_strict, error);
    config_resiliency_fini(&resiliency);
    return err;
}

static enum fl_err read_document(enum kind kind, const char *text, bool is_strict,
                                 struct fl_arena *arena, struct fl_error *error)
{
    struct config_configuration configuration;
    struct config_node *root;
    if (kind == CONFIGURATION) {
        config_configuration_init(&configuration);
        return config_configuration_apply(fl_slice_str(text), "f.yaml", is_strict, arena, NULL,
                                          &configuration, error);
    }
    enum fl_err err = config_yaml_parse(fl_slice_str(text), "f.yaml", 1, CONFIG_DIALECT_RESOURCE,
                                        arena, &root, error);
    return err == FL_OK ? read_resource(kind, root, is_strict, arena, error) : err;
}

struct broken {
    enum kind kind;
    bool is_strict;
    const char *text;
    const char *message;
};

#define HEAD "metadata: {name: x}\n"
#define OF_CODES "accepted: codes and ranges of codes from 100 to 599, such as 429,500-503"
#define OF_DURATION                                                                                \
    "accepted: a duration such as 500ms, or an integer of milliseconds, not negative"

static const struct broken documents[] = {
    {COMPONENT, false, "[]\n", "f.yaml:1: the document: found list; accepted: a map"},
    {COMPONENT, false, "metadata: x\n", "f.yaml:1: metadata: found string \"x\"; accepted: a map"},
    {COMPONENT, false, "spec: {}\n", "f.yaml:1: metadata.name is missing or empty"},
    {COMPONENT, false, "metadata: {name: ''}\n", "f.yaml:1: metadata.name is missing or empty"},
    {COMPONENT, false, "metadata:\n  name: a/b\n",
     "f.yaml:2: metadata.name: found string \"a/b\"; accepted: a name without \"/\" and \"%\" that "
     "is not \".\" or \"..\""},
    {COMPONENT, false, "metadata: {name: a%b}\n",
     "f.yaml:1: metadata.name: found string \"a%b\"; accepted: a name without \"/\" and \"%\" that "
     "is not \".\" or \"..\""},
    {COMPONENT, false, "metadata: {name: ..}\n",
     "f.yaml:1: metadata.name: found string \"..\"; accepted: a name without \"/\" and \"%\" that "
     "is not \".\" or \"..\""},
    {COMPONENT, false, "metadata: {name: [x]}\n",
     "f.yaml:1: metadata.name: found list; accepted: a string"},
    {COMPONENT, false, HEAD "scopes: app\n",
     "f.yaml:2: scopes: found string \"app\"; accepted: a list of strings"},
    {COMPONENT, false, HEAD "scopes: [[a]]\n", "f.yaml:2: scopes: found list; accepted: a string"},
    {COMPONENT, false, HEAD "spec: x\n", "f.yaml:2: spec: found string \"x\"; accepted: a map"},
    {COMPONENT, false, HEAD "spec:\n  type: {}\n",
     "f.yaml:3: spec.type: found map; accepted: a string"},
    {COMPONENT, false, HEAD "spec:\n  ignoreErrors: maybe\n",
     "f.yaml:3: spec.ignoreErrors: found string \"maybe\"; accepted: true or false"},
    {COMPONENT, false, HEAD "spec:\n  ignoreErrors: 'true'\n",
     "f.yaml:3: spec.ignoreErrors: found string \"true\"; accepted: true or false"},
    {COMPONENT, false, HEAD "spec: {metadata: {a: b}}\n",
     "f.yaml:2: spec.metadata: found map; accepted: a list"},
    {COMPONENT, false, HEAD "spec:\n  metadata:\n  - name: a\n  - b\n",
     "f.yaml:5: spec.metadata[1]: found string \"b\"; accepted: a map"},
    {COMPONENT, false, HEAD "spec: {metadata: [{name: a, value: [.nan]}]}\n",
     "f.yaml:2: spec.metadata[0]: found list; accepted: a value of at most 1 MiB that JSON can "
     "write"},
    {COMPONENT, false, HEAD "spec: {metadata: [{name: a, secretKeyRef: b}]}\n",
     "f.yaml:2: spec.metadata[0].secretKeyRef: found string \"b\"; accepted: a map"},
    {COMPONENT, false, HEAD "auth: secret\n",
     "f.yaml:2: auth: found string \"secret\"; accepted: a map"},
    {COMPONENT, false, HEAD "spec:\n\ttype: x\n",
     "f.yaml:3:1: found a tab; accepted: lines that are indented with spaces"},
    {COMPONENT, true, HEAD "spec:\n  typ: x\n",
     "f.yaml:3: spec: \"typ\" is not a known field; the nearest known one is \"type\""},
    {COMPONENT, true, HEAD "spec: {}\nscope: [a]\n",
     "f.yaml:3: \"scope\" is not a known field; the nearest known one is \"scopes\""},
    {COMPONENT, true, HEAD "spec: {metadata: [{nam: a}]}\n",
     "f.yaml:2: spec.metadata[0]: \"nam\" is not a known field; the nearest known one is \"name\""},
    {COMPONENT, true, HEAD "spec: {initTimeout: soon}\n",
     "f.yaml:2: spec.initTimeout: found \"soon\"; accepted: a positive duration such as 10s; 5s "
     "is used"},
    {SUBSCRIPTION, false, HEAD "spec: {topic: [t]}\n",
     "f.yaml:2: spec.topic: found list; accepted: a string"},
    {SUBSCRIPTION, false, HEAD "spec: {routes: /x}\n",
     "f.yaml:2: spec.routes: found string \"/x\"; accepted: a map"},
    {SUBSCRIPTION, false, HEAD "spec: {routes: {rules: {match: a}}}\n",
     "f.yaml:2: spec.routes.rules: found map; accepted: a list"},
    {SUBSCRIPTION, false, HEAD "spec: {routes: {rules: [a]}}\n",
     "f.yaml:2: spec.routes.rules[0]: found string \"a\"; accepted: a map"},
    {SUBSCRIPTION, false, HEAD "spec: {routes: {rules: [{path: [x]}]}}\n",
     "f.yaml:2: spec.routes.rules[0].path: found list; accepted: a string"},
    {SUBSCRIPTION, false, HEAD "spec: {metadata: [a]}\n",
     "f.yaml:2: spec.metadata: found list; accepted: a map of strings"},
    {SUBSCRIPTION, false, HEAD "spec: {metadata: {a: {b: c}}}\n",
     "f.yaml:2: spec.metadata.a: found map; accepted: a string"},
    {SUBSCRIPTION, false, HEAD "spec: {bulkSubscribe: [{enabled: true}]}\n",
     "f.yaml:2: spec.bulkSubscribe: found list; accepted: a map"},
    {SUBSCRIPTION, false, HEAD "spec: {bulkSubscribe: {maxMessagesCount: 1.5}}\n",
     "f.yaml:2: spec.bulkSubscribe.maxMessagesCount: found number \"1.5\"; accepted: an integer of "
     "32 bits"},
    {SUBSCRIPTION, false, HEAD "spec: {bulkSubscribe: {maxAwaitDurationMs: 3000000000}}\n",
     "f.yaml:2: spec.bulkSubscribe.maxAwaitDurationMs: found number \"3000000000\"; accepted: an "
     "integer of 32 bits"},
    {SUBSCRIPTION, true, HEAD "spec: {route: /x}\n",
     "f.yaml:2: spec: \"route\" is not a known field; the nearest known one is \"routes\""},
    {SUBSCRIPTION_V1, true, HEAD "spec: {rout: /x}\n",
     "f.yaml:2: spec: \"rout\" is not a known field; the nearest known one is \"route\""},
    {SUBSCRIPTION_V1, true, HEAD "spec: {pubsubName: p, deadLeterTopic: d}\n",
     "f.yaml:2: spec: \"deadLeterTopic\" is not a known field; the nearest known one is "
     "\"deadLetterTopic\""},
    {RESILIENCY, false, HEAD "spec: {policies: {timeouts: {t: soon}}}\n",
     "f.yaml:2: spec.policies.timeouts.t: found string \"soon\"; " OF_DURATION},
    {RESILIENCY, false, HEAD "spec: {policies: {timeouts: {t: -1s}}}\n",
     "f.yaml:2: spec.policies.timeouts.t: found string \"-1s\"; " OF_DURATION},
    {RESILIENCY, false, HEAD "spec: {policies: {retries: {r: {duration: 1d}}}}\n",
     "f.yaml:2: spec.policies.retries.r.duration: found string \"1d\"; " OF_DURATION},
    {RESILIENCY, false, HEAD "spec: {policies: {retries: {r: {policy: linear}}}}\n",
     "f.yaml:2: spec.policies.retries.r.policy: found string \"linear\"; accepted: constant, "
     "exponential"},
    {RESILIENCY, false, HEAD "spec: {policies: {retries: {r: {maxRetries: many}}}}\n",
     "f.yaml:2: spec.policies.retries.r.maxRetries: found string \"many\"; accepted: an integer; "
     "-1: for ever"},
    {RESILIENCY, false,
     HEAD "spec: {policies: {retries: {r: {matching: {httpStatusCodes: 99}}}}}\n",
     "f.yaml:2: spec.policies.retries.r.matching.httpStatusCodes: found number \"99\"; " OF_CODES},
    {RESILIENCY, false,
     HEAD "spec: {policies: {retries: {r: {matching: {httpStatusCodes: '500-400'}}}}}\n",
     "f.yaml:2: spec.policies.retries.r.matching.httpStatusCodes: found string "
     "\"500-400\"; " OF_CODES},
    {RESILIENCY, false,
     HEAD "spec: {policies: {retries: {r: {matching: {gRPCStatusCodes: '1,17'}}}}}\n",
     "f.yaml:2: spec.policies.retries.r.matching.gRPCStatusCodes: found string \"1,17\"; accepted: "
     "codes and ranges of codes from 0 to 16, such as 1,4-6"},
    {RESILIENCY, false, HEAD "spec: {policies: {circuitBreakers: {b: {trip: failures > 5}}}}\n",
     "f.yaml:2: spec.policies.circuitBreakers.b.trip: found \"failures > 5\": column 1: found "
     "\"failures\"; accepted: requests, totalSuccesses, totalFailures, consecutiveSuccesses, "
     "consecutiveFailures, integers"},
    {RESILIENCY, false, HEAD "spec: {policies: {circuitBreakers: {b: {maxRequests: x}}}}\n",
     "f.yaml:2: spec.policies.circuitBreakers.b.maxRequests: found string \"x\"; accepted: an "
     "integer of 64 bits"},
    {RESILIENCY, false, HEAD "spec: {targets: {components: {c: {inbound: retry}}}}\n",
     "f.yaml:2: spec.targets.components.c.inbound: found string \"retry\"; accepted: a map"},
    {RESILIENCY, true, HEAD "spec: {targets: {components: {c: {inbond: {}}}}}\n",
     "f.yaml:2: spec.targets.components.c: \"inbond\" is not a known field; the nearest known one "
     "is \"inbound\""},
    {RESILIENCY, true, HEAD "targets: {}\n",
     "f.yaml:2: \"targets\" has no effect beside spec; it belongs below it"},
    {CONFIGURATION, false, "spec: [\n",
     "f.yaml:2:1: did not find expected node content while parsing a flow node"},
    {CONFIGURATION, false, "spec: {}\nspec: {}\n",
     "f.yaml:2:1: the key \"spec\" is already set in this map"},
    {CONFIGURATION, false, "spec:\n  metrics: {enabled: maybe}\n",
     "f.yaml:2: spec.metrics.enabled: found string \"maybe\"; accepted: true or false"},
    {CONFIGURATION, false, "spec: {metrics: {latencyDistributionBuckets: [5, 1]}}\n",
     "f.yaml:1: spec.metrics.latencyDistributionBuckets: found number \"1\"; accepted: positive "
     "integers of milliseconds, each larger than the one before"},
    {CONFIGURATION, false, "spec: {features: {name: x}}\n",
     "f.yaml:1: spec.features: found map; accepted: a list"},
    {CONFIGURATION, false, "spec: {features: [x]}\n",
     "f.yaml:1: spec.features[0]: found string \"x\"; accepted: a map"},
    {CONFIGURATION, false, "spec: {tracing: {otel: {endpointAddress: 'o:1', protocol: tcp}}}\n",
     "invalid protocol tcp provided for Otel endpoint (f.yaml:1: accepted: http, grpc)"},
    {CONFIGURATION, false, "spec: {accessControl: {policies: [{appId: a}, {namespace: n}]}}\n",
     "invalid access control spec. missing trustdomain for apps: [a ], missing namespace for apps: "
     "[a], missing app name on at least one of the app policies: true (f.yaml:1)"},
    {CONFIGURATION, false, "spec: {secrets: {scopes: [{storeName: s, defaultAccess: some}]}}\n",
     "f.yaml:1: spec.secrets.scopes[0].defaultAccess: found string \"some\"; accepted: allow, "
     "deny"},
    {CONFIGURATION, false, "spec: {secrets: {scopes: [{storeName: s}, {storeName: s}]}}\n",
     "f.yaml:1: spec.secrets.scopes[1].storeName: found string \"s\"; accepted: a store that is "
     "not listed "
     "before"},
    {CONFIGURATION, true, "spec: {Metrics: {}}\n",
     "f.yaml:1: spec: \"Metrics\" is not a known field; the nearest known one is \"metrics\""},
    {CONFIGURATION, true, "spec: {tracing: {samplingRate: often}}\n",
     "f.yaml:1: spec.tracing.samplingRate: found \"often\"; accepted: a number from 0 to 1; 0.0001 "
     "is used"},
    {CONFIGURATION, true, "spec: {httpPipeline: {handlers: [{name: a, type: b}]}}\n",
     "f.yaml:1: spec.httpPipeline: middleware is not part of this version; requests do not pass "
     "through what is listed"},
};

static void every_broken_document_says_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        const struct broken *broken = &documents[i];
        struct fl_arena arena = {0};
        struct fl_error error = {.text = "nothing"};
        if (read_document(broken->kind, broken->text, broken->is_strict, &arena, &error) == FL_OK)
            fail_msg("accepted: %s", broken->text);
        assert_string_equal(error.text, broken->message);
        fl_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broken_document_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
