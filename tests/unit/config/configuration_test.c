/* Configuration files: fields, merging, questions, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/configuration.h"

struct fixture {
    struct fl_arena arena;
    struct config_notes notes;
    struct config_configuration c;
    struct fl_error error;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    config_notes_init(&f->notes, &f->arena);
    config_configuration_init(&f->c);
}

static enum fl_err apply(struct fixture *f, const char *text, bool is_strict)
{
    return config_configuration_apply(fl_slice_str(text), "c.yaml", is_strict, &f->arena, &f->notes,
                                      &f->c, &f->error);
}

static void defaults_are_daprds(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(apply(&f, "", true), FL_OK);
    assert_true(f.c.metrics.is_enabled);
    assert_true(f.c.metrics.has_increased_cardinality);
    assert_false(f.c.metrics.records_error_codes);
    assert_false(f.c.tracing.has_sampling_rate);
    assert_true(f.c.tracing.sampling_rate == 0.0001);
    assert_true(f.c.tracing.otel_is_secure);
    assert_true(config_feature_is_enabled(&f.c, "HotReload"));
    assert_false(config_feature_is_enabled(&f.c, "Other"));
    assert_true(config_api_is_allowed(&f.c, "v1.0", "publish"));
    assert_false(config_component_is_denied(&f.c, FL_SLICE_LIT("x.y"), FL_SLICE_NULL));
    fl_arena_fini(&f.arena);
}

static void every_field_is_read(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    setenv("FL_TEST_ENDPOINT", "http://z:1/x", 1);
    enum fl_err err =
        apply(&f,
              "apiVersion: dapr.io/v1alpha1\n"
              "kind: Configuration\n"
              "metadata: {name: c}\n"
              "spec:\n"
              "  tracing:\n"
              "    samplingRate: 0.5\n"
              "    stdout: true\n"
              "    zipkin: {endpointAddress: $FL_TEST_ENDPOINT}\n"
              "    otel: {protocol: http, endpointAddress: 'o:4318', isSecure: false, headers: "
              "[a=b], timeout: 10s}\n"
              "  metrics:\n"
              "    enabled: false\n"
              "    recordErrorCodes: yes\n"
              "    latencyDistributionBuckets: [1, 5, 10]\n"
              "    http: {increasedCardinality: false, pathMatching: [/a/b], excludeVerbs: true}\n"
              "    rules: [{name: m, labels: [{name: l, regex: {new: 'old.*'}}]}]\n"
              "  features: [{name: HotReload, enabled: false}, {name: X, enabled: true}]\n"
              "  api: {allowed: [{name: publish, version: v1, protocol: http}]}\n"
              "  components: {deny: [pubsub.redis, bindings.http/v2]}\n"
              "  logging: {apiLogging: {enabled: true, obfuscateURLs: true, omitHealthChecks: "
              "true}}\n"
              "  accessControl: {policies: [{appId: a, trustDomain: t, namespace: n}]}\n"
              "  secrets: {scopes: [{storeName: s, defaultAccess: Deny}]}\n"
              "  nameResolution: {component: mdns}\n"
              "  mtls: {enabled: true}\n"
              "---\n",
              true);
    if (err != FL_OK)
        fail_msg("%s", f.error.text);
    const struct config_tracing *t = &f.c.tracing;
    assert_true(t->has_sampling_rate && t->sampling_rate == 0.5 && t->has_stdout);
    assert_string_equal(t->zipkin_endpoint.data, "http://z:1/x");
    assert_string_equal(t->otel_endpoint.data, "o:4318");
    assert_false(t->otel_is_secure);
    assert_string_equal(t->otel_headers.items[0].data, "a=b");
    assert_int_equal(t->otel_timeout_ms, 10000);
    const struct config_metrics *m = &f.c.metrics;
    assert_false(m->is_enabled);
    assert_true(m->records_error_codes);
    assert_int_equal(m->latency_bucket_count, 3);
    assert_int_equal(m->latency_buckets_ms[1], 5);
    assert_false(m->has_increased_cardinality);
    assert_true(m->excludes_verbs);
    assert_string_equal(m->path_matching.items[0].data, "/a/b");
    assert_string_equal(m->rules[0].labels[0].regex.items[0].value.data, "old.*");
    assert_false(config_feature_is_enabled(&f.c, "HotReload"));
    assert_true(config_feature_is_enabled(&f.c, "X"));
    assert_true(f.c.has_api_logging && f.c.api_logging && f.c.api_logging_obfuscates_urls);
    assert_true(f.c.api_logging_omits_health);
    assert_true(f.c.has_access_control && f.c.has_secrets_scopes && f.c.has_name_resolution);
    assert_true(f.c.has_mtls);
    assert_false(f.c.has_wasm);
    assert_true(config_component_is_denied(&f.c, FL_SLICE_LIT("pubsub.redis"), FL_SLICE_LIT("v1")));
    assert_true(
        config_component_is_denied(&f.c, FL_SLICE_LIT("bindings.http"), FL_SLICE_LIT("v2")));
    assert_false(
        config_component_is_denied(&f.c, FL_SLICE_LIT("bindings.http"), FL_SLICE_LIT("v1")));
    assert_true(config_component_is_denied(&f.c, FL_SLICE_LIT("bindings.http"), FL_SLICE_NULL));
    fl_arena_fini(&f.arena);
}

static void later_files_merge_structs_and_replace_lists(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(apply(&f,
                           "spec:\n"
                           "  metric: {recordErrorCodes: true, enabled: false}\n"
                           "  metrics: {enabled: true}\n"
                           "  features: [{name: A, enabled: true}, {name: B, enabled: true}]\n",
                           true),
                     FL_OK);
    assert_true(f.c.metrics.is_enabled && f.c.metrics.records_error_codes);
    assert_int_equal(
        apply(&f, "spec: {metrics: {http: {excludeVerbs: true}}, features: [{name: C}]}\n", true),
        FL_OK);
    assert_true(f.c.metrics.records_error_codes && f.c.metrics.excludes_verbs);
    assert_int_equal(f.c.features.count, 1);
    fl_arena_fini(&f.arena);
}

static void api_rules_follow_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *api;
        bool publish, alpha_bulk, metadata;
    } cases[] = {
        {"{}", true, true, true},
        {"{allowed: [{name: publish, version: v1, protocol: http}]}", true, false, false},
        {"{allowed: [{name: publish, version: v1.0, protocol: http}]}", true, false, false},
        {"{allowed: [{name: publish, version: v1}]}", true, true, true},
        {"{allowed: [{name: publish, version: v1, protocol: grpc}]}", true, true, true},
        {"{denied: [{name: metadata, version: v1, protocol: http}]}", true, true, false},
        {"{denied: [{name: publish, version: v1alpha1, protocol: http}]}", true, false, true},
        {"{allowed: [{name: publish, version: v1, protocol: http}], denied: [{name: publish, "
         "version: v1.0, protocol: http}]}",
         false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        char text[300];
        begin(&f);
        snprintf(text, sizeof text, "spec: {api: %s}\n", cases[i].api);
        assert_int_equal(apply(&f, text, false), FL_OK);
        assert_int_equal(config_api_is_allowed(&f.c, "v1.0", "publish"), cases[i].publish);
        assert_int_equal(config_api_is_allowed(&f.c, "v1.0-alpha1", "publish"),
                         cases[i].alpha_bulk);
        assert_int_equal(config_api_is_allowed(&f.c, "v1.0", "metadata"), cases[i].metadata);
        fl_arena_fini(&f.arena);
    }
}

static void odd_rates_become_the_default(void **state)
{
    (void)state;
    static const struct {
        const char *rate;
        double value;
    } cases[] = {{"'0'", 0}, {"1", 1},  {"'x'", 0.0001}, {"''", 0.0001},
                 {"1.5", 1}, {"-1", 0}, {"nan", 0.0001}, {"0.10", 0.1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        char text[100];
        begin(&f);
        snprintf(text, sizeof text, "spec: {tracing: {samplingRate: %s}}\n", cases[i].rate);
        assert_int_equal(apply(&f, text, false), FL_OK);
        assert_true(f.c.tracing.sampling_rate == cases[i].value);
        assert_true(f.c.tracing.has_sampling_rate);
        fl_arena_fini(&f.arena);
    }
}

static void files_load_in_order(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    char first[] = "/tmp/fl-config-XXXXXX", second[] = "/tmp/fl-config-XXXXXX";
    int a = mkstemp(first), b = mkstemp(second);
    assert_true(a >= 0 && b >= 0);
    assert_true(dprintf(a, "spec: {metrics: {enabled: false, recordErrorCodes: true}}\n") > 0);
    assert_true(dprintf(b, "spec: {metrics: {enabled: true}}\n") > 0);
    close(a);
    close(b);
    struct fl_slice paths[] = {fl_slice_str(first), fl_slice_str(second)};
    struct config_list files = {paths, 2};
    assert_int_equal(config_configuration_load(&files, false, &f.arena, &f.notes, &f.c, &f.error),
                     FL_OK);
    assert_true(f.c.metrics.is_enabled && f.c.metrics.records_error_codes);
    unlink(second);
    assert_int_equal(config_configuration_load(&files, false, &f.arena, &f.notes, &f.c, &f.error),
                     FL_ERR_NOT_FOUND);
    char expected[200];
    snprintf(expected, sizeof expected,
             "error loading configuration: open %s: no such file or directory", second);
    assert_string_equal(f.error.text, expected);
    unlink(first);
    files.count = 0;
    assert_int_equal(config_configuration_load(&files, false, &f.arena, &f.notes, &f.c, &f.error),
                     FL_OK);
    assert_string_equal(f.notes.last->text, "loading default configuration");
    fl_arena_fini(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_daprds),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(later_files_merge_structs_and_replace_lists),
        cmocka_unit_test(api_rules_follow_the_contract),
        cmocka_unit_test(odd_rates_become_the_default),
        cmocka_unit_test(files_load_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
