/* Configuration files over defaults. Every struct is read by rows straight into the place where it
 * stays, so that what a later file does not mention keeps its value; lists are replaced whole.
 *
 * Nothing passes unnoticed: unknown fields are warned about with the nearest name, and parts of
 * daprd's configuration that this version does not carry out say so, once for each file. */
#include "config/configuration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "config/fields_priv.h"
#include "config/quantity.h"

#define SCOPE "dapr.runtime"
#define DEFAULT_SAMPLING_RATE 0.0001

#define FIELD(struct_, member, name_, type_)                                                       \
    {                                                                                              \
        .name = (name_), .type = (type_), .offset = offsetof(struct struct_, member)               \
    }

struct applier {
    struct config_configuration *into;
    struct config_reader reader;
    struct fl_error *error;
};

void config_configuration_init(struct config_configuration *configuration)
{
    *configuration = (struct config_configuration){0};
    configuration->tracing.sampling_rate = DEFAULT_SAMPLING_RATE;
    configuration->tracing.otel_is_secure = true;
    configuration->metrics.is_enabled = true;
    configuration->metrics.has_increased_cardinality = true;
}

static enum fl_err read_fields(struct applier *a, const struct config_node *node, const char *path,
                               const struct config_field *fields, void *into)
{
    return config_fields_read(&a->reader, node, path, fields, into, a->error);
}

static void note_absent(struct applier *a, enum fl_log_level level, const struct config_node *node,
                        const char *field, const char *what)
{
    char place[CONFIG_PLACE_TEXT];
    config_note(a->reader.notes, level, SCOPE, "%s: %s: %s",
                config_field_place(node, node->line, place), field, what);
}

/* --- tracing ---------------------------------------------------------------------------------- */

struct tracing {
    struct fl_slice sampling_rate;
    bool has_stdout;
    const struct config_node *zipkin, *otel;
};

static const struct config_field tracing_fields[] = {
    FIELD(tracing, sampling_rate, "samplingRate", CONFIG_FIELD_STRING),
    FIELD(tracing, has_stdout, "stdout", CONFIG_FIELD_BOOL),
    FIELD(tracing, zipkin, "zipkin", CONFIG_FIELD_MAP),
    FIELD(tracing, otel, "otel", CONFIG_FIELD_MAP),
    {"expandParams", CONFIG_FIELD_KNOWN, 0},
    {"includeBody", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field zipkin_fields[] = {
    FIELD(config_tracing, zipkin_endpoint, "endpointAddress", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field otel_fields[] = {
    FIELD(config_tracing, otel_protocol, "protocol", CONFIG_FIELD_STRING),
    FIELD(config_tracing, otel_endpoint, "endpointAddress", CONFIG_FIELD_STRING),
    FIELD(config_tracing, otel_is_secure, "isSecure", CONFIG_FIELD_BOOL),
    FIELD(config_tracing, otel_headers, "headers", CONFIG_FIELD_STRINGS),
    {"timeout", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static enum fl_err read_sampling_rate(struct applier *a, const struct config_node *node,
                                      struct fl_slice text)
{
    char *end;
    if (fl_slice_is_null(text))
        return FL_OK;
    struct config_tracing *tracing = &a->into->tracing;
    double rate = strtod(text.data, &end);
    tracing->has_sampling_rate = true;
    tracing->sampling_rate = rate < 0 ? 0 : rate > 1 ? 1 : rate;
    if (text.len && end == text.data + text.len && !isnan(rate))
        return FL_OK;
    char place[CONFIG_PLACE_TEXT];
    tracing->sampling_rate = DEFAULT_SAMPLING_RATE;
    return config_field_doubt(&a->reader, a->error,
                              "%s: spec.tracing.samplingRate: found \"%.*s\"; accepted: a number "
                              "from 0 to 1; 0.0001 is used",
                              config_field_place(node, node->line, place),
                              (int)(text.len > 60 ? 60 : text.len), text.data);
}

static enum fl_err read_otel_timeout(struct applier *a, const struct config_node *otel)
{
    const struct config_node *node = config_node_find(otel, "timeout");
    struct fl_slice text;
    int64_t ns;
    if (!node)
        return FL_OK;
    if (config_node_string(node, a->reader.arena, &text) != FL_OK ||
        config_parse_duration(text, CONFIG_BARE_MS, &ns) != FL_OK || ns < 0)
        return config_field_error(node, "spec.tracing.otel.timeout",
                                  "a duration such as 10s, or an integer of milliseconds",
                                  a->error);
    a->into->tracing.otel_timeout_ms = config_ns_to_ms(ns);
    return FL_OK;
}

static enum fl_err check_otel(struct applier *a)
{
    const struct config_tracing *tracing = &a->into->tracing;
    if (tracing->otel_endpoint.len == 0 || fl_slice_eq_str(tracing->otel_protocol, "http") ||
        fl_slice_eq_str(tracing->otel_protocol, "grpc"))
        return FL_OK;
    return fl_error_set(a->error, FL_ERR_REFUSED, FL_CLASS_FATAL,
                        "invalid protocol %.*s provided for Otel endpoint (accepted: http, grpc)",
                        FL_SLICE_ARG(tracing->otel_protocol));
}

static enum fl_err apply_tracing(struct applier *a, const struct config_node *node)
{
    struct config_tracing *into = &a->into->tracing;
    struct tracing tracing = {.has_stdout = into->has_stdout};
    enum fl_err err = read_fields(a, node, "spec.tracing", tracing_fields, &tracing);
    if (err == FL_OK)
        err = read_sampling_rate(a, node, tracing.sampling_rate);
    if (err == FL_OK)
        err = read_fields(a, tracing.zipkin, "spec.tracing.zipkin", zipkin_fields, into);
    if (err == FL_OK)
        err = read_fields(a, tracing.otel, "spec.tracing.otel", otel_fields, into);
    if (err == FL_OK)
        err = read_otel_timeout(a, tracing.otel);
    if (err == FL_OK)
        err = check_otel(a);
    if (err != FL_OK)
        return err;
    into->has_stdout = tracing.has_stdout;
    if (into->has_stdout || into->zipkin_endpoint.len || into->otel_endpoint.len)
        note_absent(a, FL_LOG_WARNING, node, "spec.tracing",
                    "trace context is passed on, but spans are not exported by this version");
    return FL_OK;
}

/* --- metrics ---------------------------------------------------------------------------------- */

struct metrics {
    const struct config_node *buckets, *http, *rules;
};

static const struct config_field metrics_list_fields[] = {
    FIELD(metrics, buckets, "latencyDistributionBuckets", CONFIG_FIELD_LIST),
    FIELD(metrics, http, "http", CONFIG_FIELD_MAP),
    FIELD(metrics, rules, "rules", CONFIG_FIELD_LIST),
    {"enabled", CONFIG_FIELD_KNOWN, 0},
    {"recordErrorCodes", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field metrics_fields[] = {
    FIELD(config_metrics, is_enabled, "enabled", CONFIG_FIELD_BOOL),
    FIELD(config_metrics, records_error_codes, "recordErrorCodes", CONFIG_FIELD_BOOL),
    {"latencyDistributionBuckets", CONFIG_FIELD_KNOWN, 0},
    {"http", CONFIG_FIELD_KNOWN, 0},
    {"rules", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field metrics_http_fields[] = {
    FIELD(config_metrics, has_increased_cardinality, "increasedCardinality", CONFIG_FIELD_BOOL),
    FIELD(config_metrics, path_matching, "pathMatching", CONFIG_FIELD_STRINGS),
    FIELD(config_metrics, excludes_verbs, "excludeVerbs", CONFIG_FIELD_BOOL),
    {NULL},
};

static const struct config_field metric_rule_fields[] = {
    FIELD(config_metric_rule, name, "name", CONFIG_FIELD_STRING),
    {"labels", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field metric_label_fields[] = {
    FIELD(config_metric_label, name, "name", CONFIG_FIELD_STRING),
    FIELD(config_metric_label, regex, "regex", CONFIG_FIELD_PAIRS),
    {NULL},
};

static enum fl_err read_buckets(struct applier *a, const struct config_node *node)
{
    size_t count = node->list.count;
    int64_t *buckets = FL_ARENA_ARRAY(a->reader.arena, int64_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        enum fl_err err = config_field_read_value(&a->reader, node->list.items[i],
                                                  "spec.metrics.latencyDistributionBuckets",
                                                  CONFIG_FIELD_INT64, &buckets[i], a->error);
        if (err != FL_OK)
            return err;
        if (buckets[i] < 1 || (i && buckets[i] <= buckets[i - 1]))
            return config_field_error(node->list.items[i],
                                      "spec.metrics.latencyDistributionBuckets",
                                      "positive integers of milliseconds, each larger than the "
                                      "one before",
                                      a->error);
    }
    a->into->metrics.latency_buckets_ms = buckets;
    a->into->metrics.latency_bucket_count = count;
    return FL_OK;
}

static enum fl_err read_metric_rule(struct applier *a, const struct config_node *node,
                                    struct config_metric_rule *rule)
{
    enum fl_err err = read_fields(a, node, "spec.metrics.rules[]", metric_rule_fields, rule);
    const struct config_node *labels = config_node_find(node, "labels");
    if (err != FL_OK || !labels)
        return err;
    if (labels->kind != CONFIG_NODE_LIST)
        return config_field_error(labels, "spec.metrics.rules[].labels", "a list", a->error);
    size_t count = labels->list.count;
    rule->labels = FL_ARENA_ARRAY(a->reader.arena, struct config_metric_label, count + 1);
    rule->label_count = count;
    for (size_t i = 0; i < count && err == FL_OK; i++)
        err = read_fields(a, labels->list.items[i], "spec.metrics.rules[].labels[]",
                          metric_label_fields, &rule->labels[i]);
    return err;
}

static enum fl_err read_metric_rules(struct applier *a, const struct config_node *node)
{
    size_t count = node->list.count;
    struct config_metric_rule *rules =
        FL_ARENA_ARRAY(a->reader.arena, struct config_metric_rule, count + 1);
    for (size_t i = 0; i < count; i++) {
        enum fl_err err = read_metric_rule(a, node->list.items[i], &rules[i]);
        if (err != FL_OK)
            return err;
    }
    a->into->metrics.rules = rules;
    a->into->metrics.rule_count = count;
    return FL_OK;
}

static enum fl_err apply_metrics(struct applier *a, const struct config_node *node)
{
    struct metrics metrics = {0};
    enum fl_err err = read_fields(a, node, "spec.metrics", metrics_fields, &a->into->metrics);
    if (err == FL_OK)
        err = read_fields(a, node, "spec.metrics", metrics_list_fields, &metrics);
    if (err == FL_OK)
        err = read_fields(a, metrics.http, "spec.metrics.http", metrics_http_fields,
                          &a->into->metrics);
    if (err == FL_OK && metrics.buckets)
        err = read_buckets(a, metrics.buckets);
    if (err == FL_OK && metrics.rules)
        err = read_metric_rules(a, metrics.rules);
    return err;
}

/* --- API rules, features, components, logging ------------------------------------------------- */

struct rules {
    const struct config_node *allowed, *denied;
};

static const struct config_field rules_fields[] = {
    FIELD(rules, allowed, "allowed", CONFIG_FIELD_LIST),
    FIELD(rules, denied, "denied", CONFIG_FIELD_LIST),
    {NULL},
};

static const struct config_field api_rule_fields[] = {
    FIELD(config_api_rule, name, "name", CONFIG_FIELD_STRING),
    FIELD(config_api_rule, version, "version", CONFIG_FIELD_STRING),
    FIELD(config_api_rule, protocol, "protocol", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field feature_fields[] = {
    FIELD(config_feature, name, "name", CONFIG_FIELD_STRING),
    FIELD(config_feature, is_enabled, "enabled", CONFIG_FIELD_BOOL),
    {NULL},
};

static const struct config_field handler_fields[] = {
    FIELD(config_handler, name, "name", CONFIG_FIELD_STRING),
    FIELD(config_handler, type, "type", CONFIG_FIELD_STRING),
    FIELD(config_handler, version, "version", CONFIG_FIELD_STRING),
    {"selector", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

/* A list of maps into an array of structs; the list replaces what was there. */
static enum fl_err read_list(struct applier *a, const struct config_node *node, const char *path,
                             const struct config_field *fields, size_t size, void *items,
                             size_t *count)
{
    if (!node)
        return FL_OK;
    char *array = fl_arena_alloc(a->reader.arena, (node->list.count + 1) * size);
    for (size_t i = 0; i < node->list.count; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s[%zu]", path, i);
        enum fl_err err = read_fields(a, node->list.items[i], name, fields, array + i * size);
        if (err != FL_OK)
            return err;
    }
    memcpy(items, &array, sizeof array); /* every pointer to a struct looks alike */
    *count = node->list.count;
    return FL_OK;
}

static enum fl_err apply_api(struct applier *a, const struct config_node *node)
{
    struct rules rules = {0};
    struct config_configuration *into = a->into;
    enum fl_err err = read_fields(a, node, "spec.api", rules_fields, &rules);
    if (err == FL_OK)
        err = read_list(a, rules.allowed, "spec.api.allowed", api_rule_fields,
                        sizeof(struct config_api_rule), &into->api_allowed.items,
                        &into->api_allowed.count);
    if (err == FL_OK)
        err = read_list(a, rules.denied, "spec.api.denied", api_rule_fields,
                        sizeof(struct config_api_rule), &into->api_denied.items,
                        &into->api_denied.count);
    return err;
}

static const struct config_field components_fields[] = {
    FIELD(config_configuration, components_deny, "deny", CONFIG_FIELD_STRINGS),
    {NULL},
};

struct logging {
    const struct config_node *api;
};

static const struct config_field logging_fields[] = {
    FIELD(logging, api, "apiLogging", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field api_logging_fields[] = {
    FIELD(config_configuration, api_logging, "enabled", CONFIG_FIELD_BOOL),
    FIELD(config_configuration, api_logging_obfuscates_urls, "obfuscateURLs", CONFIG_FIELD_BOOL),
    FIELD(config_configuration, api_logging_omits_health, "omitHealthChecks", CONFIG_FIELD_BOOL),
    {NULL},
};

static enum fl_err apply_logging(struct applier *a, const struct config_node *node)
{
    struct logging logging = {0};
    enum fl_err err = read_fields(a, node, "spec.logging", logging_fields, &logging);
    if (err == FL_OK)
        err = read_fields(a, logging.api, "spec.logging.apiLogging", api_logging_fields, a->into);
    if (err == FL_OK && config_node_find(logging.api, "enabled"))
        a->into->has_api_logging = true;
    return err;
}

struct pipeline {
    const struct config_node *handlers;
};

static const struct config_field pipeline_fields[] = {
    FIELD(pipeline, handlers, "handlers", CONFIG_FIELD_LIST),
    {NULL},
};

static enum fl_err apply_pipeline(struct applier *a, const struct config_node *node,
                                  const char *path, struct config_handlers *into)
{
    struct pipeline pipeline = {0};
    char name[64], place[CONFIG_PLACE_TEXT];
    snprintf(name, sizeof name, "%s.handlers", path);
    enum fl_err err = read_fields(a, node, path, pipeline_fields, &pipeline);
    if (err == FL_OK)
        err = read_list(a, pipeline.handlers, name, handler_fields, sizeof(struct config_handler),
                        &into->items, &into->count);
    if (err != FL_OK || into->count == 0)
        return err;
    return config_field_doubt(&a->reader, a->error,
                              "%s: %s: middleware is not part of this version; requests do not "
                              "pass through the %zu handlers listed",
                              config_field_place(node, node->line, place), path, into->count);
}

/* --- access control and secrets --------------------------------------------------------------- */

struct access {
    const struct config_node *policies;
};

static const struct config_field access_fields[] = {
    FIELD(access, policies, "policies", CONFIG_FIELD_LIST),
    {"defaultAction", CONFIG_FIELD_KNOWN, 0},
    {"trustDomain", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

struct access_policy {
    struct fl_slice app_id, trust_domain, namespace;
};

static const struct config_field access_policy_fields[] = {
    FIELD(access_policy, app_id, "appId", CONFIG_FIELD_STRING),
    FIELD(access_policy, trust_domain, "trustDomain", CONFIG_FIELD_STRING),
    FIELD(access_policy, namespace, "namespace", CONFIG_FIELD_STRING),
    {"defaultAction", CONFIG_FIELD_KNOWN, 0},
    {"operations", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static void append_name(struct fl_buffer *names, struct fl_slice name)
{
    if (names->len)
        fl_buffer_append_byte(names, ' ');
    fl_buffer_append_slice(names, name);
}

static enum fl_err check_access(struct applier *a, const struct access_policy *policies,
                                size_t count)
{
    struct fl_buffer domains = {0}, namespaces = {0};
    bool lacks_name = false, is_fine = true;
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < count; i++) {
        const struct access_policy *policy = &policies[i];
        lacks_name = lacks_name || policy->app_id.len == 0;
        if (policy->trust_domain.len == 0)
            append_name(&domains, policy->app_id);
        if (policy->namespace.len == 0)
            append_name(&namespaces, policy->app_id);
        is_fine =
            is_fine && policy->app_id.len && policy->trust_domain.len && policy->namespace.len;
    }
    if (!is_fine)
        err = fl_error_set(a->error, FL_ERR_REFUSED, FL_CLASS_FATAL,
                           "invalid access control spec. missing trustdomain for apps: [%.*s], "
                           "missing namespace for apps: [%.*s], missing app name on at least one "
                           "of the app policies: %s",
                           FL_SLICE_ARG(domains), FL_SLICE_ARG(namespaces),
                           lacks_name ? "true" : "false");
    fl_buffer_fini(&domains);
    fl_buffer_fini(&namespaces);
    return err;
}

static enum fl_err apply_access(struct applier *a, const struct config_node *node)
{
    struct access access = {0};
    struct access_policy *policies = NULL;
    size_t count = 0;
    a->into->has_access_control = true;
    enum fl_err err = read_fields(a, node, "spec.accessControl", access_fields, &access);
    if (err == FL_OK)
        err = read_list(a, access.policies, "spec.accessControl.policies", access_policy_fields,
                        sizeof *policies, &policies, &count);
    if (err == FL_OK)
        err = check_access(a, policies, count);
    if (err == FL_OK)
        note_absent(a, FL_LOG_INFO, node, "spec.accessControl",
                    "has no effect: it concerns service invocation, which is not here");
    return err;
}

struct secrets {
    const struct config_node *scopes;
};

static const struct config_field secrets_fields[] = {
    FIELD(secrets, scopes, "scopes", CONFIG_FIELD_LIST),
    {NULL},
};

struct secret_scope {
    struct fl_slice store, access;
};

static const struct config_field secret_scope_fields[] = {
    FIELD(secret_scope, store, "storeName", CONFIG_FIELD_STRING),
    FIELD(secret_scope, access, "defaultAccess", CONFIG_FIELD_STRING),
    {"allowedSecrets", CONFIG_FIELD_KNOWN, 0},
    {"deniedSecrets", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static enum fl_err check_secret_scope(struct applier *a, const struct config_node *node,
                                      const struct secret_scope *scopes, size_t at)
{
    struct fl_slice access = scopes[at].access;
    if (access.len && !fl_slice_eq_nocase(access, FL_SLICE_LIT("allow")) &&
        !fl_slice_eq_nocase(access, FL_SLICE_LIT("deny")))
        return config_field_error(config_node_find(node, "defaultAccess"),
                                  "spec.secrets.scopes[].defaultAccess", "allow, deny", a->error);
    for (size_t i = 0; i < at; i++)
        if (fl_slice_eq(scopes[i].store, scopes[at].store))
            return config_field_error(node, "spec.secrets.scopes[].storeName",
                                      "a store that is not listed before", a->error);
    return FL_OK;
}

enum { SECRET_SCOPES_MAX = 1000 };

static enum fl_err apply_secrets(struct applier *a, const struct config_node *node)
{
    struct secrets secrets = {0};
    struct secret_scope *scopes = NULL;
    size_t count = 0;
    a->into->has_secrets_scopes = true;
    enum fl_err err = read_fields(a, node, "spec.secrets", secrets_fields, &secrets);
    if (err == FL_OK && secrets.scopes && secrets.scopes->list.count > SECRET_SCOPES_MAX)
        return config_field_error(secrets.scopes, "spec.secrets.scopes", "at most 1000 scopes",
                                  a->error);
    if (err == FL_OK)
        err = read_list(a, secrets.scopes, "spec.secrets.scopes", secret_scope_fields,
                        sizeof *scopes, &scopes, &count);
    for (size_t i = 0; i < count && err == FL_OK; i++)
        err = check_secret_scope(a, secrets.scopes->list.items[i], scopes, i);
    if (err == FL_OK)
        note_absent(a, FL_LOG_INFO, node, "spec.secrets",
                    "has no effect: the secrets API is not part of this version");
    return err;
}

/* --- the document ----------------------------------------------------------------------------- */

struct document {
    const struct config_node *spec;
};

static const struct config_field document_fields[] = {
    FIELD(document, spec, "spec", CONFIG_FIELD_MAP),
    {"apiVersion", CONFIG_FIELD_KNOWN, 0},
    {"kind", CONFIG_FIELD_KNOWN, 0},
    {"metadata", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

struct spec {
    const struct config_node *tracing, *metric, *metrics, *http_pipeline, *app_http_pipeline;
    const struct config_node *features, *api, *access, *secrets, *components, *logging;
    const struct config_node *name_resolution, *mtls, *wasm, *workflow;
};

static const struct config_field spec_fields[] = {
    FIELD(spec, tracing, "tracing", CONFIG_FIELD_MAP),
    FIELD(spec, metric, "metric", CONFIG_FIELD_MAP),
    FIELD(spec, metrics, "metrics", CONFIG_FIELD_MAP),
    FIELD(spec, http_pipeline, "httpPipeline", CONFIG_FIELD_MAP),
    FIELD(spec, app_http_pipeline, "appHttpPipeline", CONFIG_FIELD_MAP),
    FIELD(spec, features, "features", CONFIG_FIELD_LIST),
    FIELD(spec, api, "api", CONFIG_FIELD_MAP),
    FIELD(spec, access, "accessControl", CONFIG_FIELD_MAP),
    FIELD(spec, secrets, "secrets", CONFIG_FIELD_MAP),
    FIELD(spec, components, "components", CONFIG_FIELD_MAP),
    FIELD(spec, logging, "logging", CONFIG_FIELD_MAP),
    FIELD(spec, name_resolution, "nameResolution", CONFIG_FIELD_ANY),
    FIELD(spec, mtls, "mtls", CONFIG_FIELD_ANY),
    FIELD(spec, wasm, "wasm", CONFIG_FIELD_ANY),
    FIELD(spec, workflow, "workflow", CONFIG_FIELD_ANY),
    {NULL},
};

/* What daprd keeps there and nothing here reads. */
static void apply_absent(struct applier *a, const struct spec *spec)
{
    const struct {
        const struct config_node *node;
        bool *flag;
        const char *name;
    } parts[] = {
        {spec->name_resolution, &a->into->has_name_resolution, "spec.nameResolution"},
        {spec->mtls, &a->into->has_mtls, "spec.mtls"},
        {spec->wasm, &a->into->has_wasm, "spec.wasm"},
        {spec->workflow, &a->into->has_workflow, "spec.workflow"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!parts[i].node)
            continue;
        *parts[i].flag = true;
        note_absent(a, FL_LOG_INFO, parts[i].node, parts[i].name,
                    "has no effect: the building block is not here");
    }
}

typedef enum fl_err apply_fn(struct applier *a, const struct config_node *node);

static enum fl_err apply_http_pipeline(struct applier *a, const struct config_node *node)
{
    return apply_pipeline(a, node, "spec.httpPipeline", &a->into->http_pipeline);
}

static enum fl_err apply_app_http_pipeline(struct applier *a, const struct config_node *node)
{
    return apply_pipeline(a, node, "spec.appHttpPipeline", &a->into->app_http_pipeline);
}

static enum fl_err apply_features(struct applier *a, const struct config_node *node)
{
    return read_list(a, node, "spec.features", feature_fields, sizeof(struct config_feature),
                     &a->into->features.items, &a->into->features.count);
}

static enum fl_err apply_components(struct applier *a, const struct config_node *node)
{
    return read_fields(a, node, "spec.components", components_fields, a->into);
}

static enum fl_err apply_spec(struct applier *a, const struct config_node *node)
{
    struct spec spec = {0};
    enum fl_err err = read_fields(a, node, "spec", spec_fields, &spec);
    const struct {
        const struct config_node *node;
        apply_fn *apply;
    } parts[] = {
        {spec.tracing, apply_tracing},
        {spec.metric, apply_metrics},
        {spec.metrics, apply_metrics},
        {spec.http_pipeline, apply_http_pipeline},
        {spec.app_http_pipeline, apply_app_http_pipeline},
        {spec.features, apply_features},
        {spec.api, apply_api},
        {spec.access, apply_access},
        {spec.secrets, apply_secrets},
        {spec.components, apply_components},
        {spec.logging, apply_logging},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts && err == FL_OK; i++)
        if (parts[i].node)
            err = parts[i].apply(a, parts[i].node);
    if (err == FL_OK)
        apply_absent(a, &spec);
    return err;
}

enum fl_err config_configuration_apply(struct fl_slice text, const char *file, bool is_strict,
                                       struct fl_arena *arena, struct config_notes *notes,
                                       struct config_configuration *configuration,
                                       struct fl_error *error)
{
    struct config_configuration copy = *configuration;
    struct applier a = {.into = &copy, .error = error};
    struct document document = {0};
    struct fl_arena scratch = {0};
    struct fl_slice expanded;
    struct config_node *root;
    a.reader = (struct config_reader){
        .arena = arena, .notes = notes, .scope = SCOPE, .is_strict = is_strict};
    enum fl_err err = config_yaml_expand_env(text, &scratch, &expanded);
    if (err != FL_OK)
        (void)fl_error_set(error, err, FL_CLASS_REJECT,
                           "%s: longer than 4 MiB with its variables replaced", file);
    if (err == FL_OK)
        err = config_yaml_parse(expanded, file, 1, CONFIG_DIALECT_CONFIGURATION, &scratch, &root,
                                error);
    if (err == FL_OK)
        err = read_fields(&a, root, "", document_fields, &document);
    if (err == FL_OK && document.spec)
        err = apply_spec(&a, document.spec);
    fl_arena_fini(&scratch);
    if (err == FL_OK)
        *configuration = copy;
    return err;
}

static enum fl_err load_file(struct fl_slice path, bool is_strict, struct fl_arena *arena,
                             struct config_notes *notes, struct config_configuration *configuration,
                             struct fl_error *error)
{
    struct fl_slice text;
    struct fl_error cause;
    struct fl_arena scratch = {0};
    const char *name = fl_arena_strdup(arena, path);
    enum fl_err err = config_read_file(name, &scratch, &text, &cause);
    if (err == FL_OK)
        err =
            config_configuration_apply(text, name, is_strict, arena, notes, configuration, &cause);
    fl_arena_fini(&scratch);
    if (err == FL_OK)
        return FL_OK;
    bool is_complete = cause.code == FL_ERR_REFUSED;
    return fl_error_set(error, err, FL_CLASS_FATAL, "%s%s",
                        is_complete ? "" : "error loading configuration: ", cause.text);
}

enum fl_err config_configuration_load(const struct config_list *files, bool is_strict,
                                      struct fl_arena *arena, struct config_notes *notes,
                                      struct config_configuration *configuration,
                                      struct fl_error *error)
{
    struct config_configuration loaded;
    config_configuration_init(&loaded);
    if (files->count == 0)
        config_note(notes, FL_LOG_INFO, SCOPE, "loading default configuration");
    for (size_t i = 0; i < files->count; i++) {
        enum fl_err err = load_file(files->items[i], is_strict, arena, notes, &loaded, error);
        if (err != FL_OK)
            return err;
    }
    *configuration = loaded;
    return FL_OK;
}

/* --- questions -------------------------------------------------------------------------------- */

bool config_feature_is_enabled(const struct config_configuration *configuration, const char *name)
{
    for (size_t i = configuration->features.count; i-- > 0;)
        if (fl_slice_eq_str(configuration->features.items[i].name, name))
            return configuration->features.items[i].is_enabled;
    return strcmp(name, "HotReload") == 0 || strcmp(name, "WorkflowsRemoteActivityReminder") == 0;
}

/* "type" matches every version of it, "type/version" that one. */
bool config_component_is_denied(const struct config_configuration *configuration,
                                struct fl_slice type, struct fl_slice version)
{
    const struct config_list *deny = &configuration->components_deny;
    if (deny->count == 0)
        return false;
    if (type.len == 0 || version.len == 0)
        return true;
    for (size_t i = 0; i < deny->count; i++) {
        struct fl_slice entry = deny->items[i];
        size_t slash = fl_slice_find_byte(entry, '/');
        if (!fl_slice_eq_nocase(fl_slice_of(entry.data, slash), type))
            continue;
        if (slash == entry.len ||
            fl_slice_eq_nocase(fl_slice_of(entry.data + slash + 1, entry.len - slash - 1), version))
            return true;
    }
    return false;
}

/* daprd compares "VERSION/NAME" with the group's key, and as a prefix with the route. */
static bool matches(const struct config_api_rule *rule, const char *version, const char *name)
{
    char key[128], route[128], text[128];
    snprintf(text, sizeof text, "%.*s/%.*s", FL_SLICE_ARG(rule->version), FL_SLICE_ARG(rule->name));
    snprintf(route, sizeof route, "%s/%s", version, name);
    snprintf(key, sizeof key, "%s/%s", strcmp(version, "v1.0") == 0 ? "v1" : "v1alpha1", name);
    return strcmp(text, key) == 0 || strncmp(route, text, strlen(text)) == 0;
}

/* Whether a list has rules for HTTP at all, and one of them matches. */
static bool has_match(const struct config_api_rules *rules, const char *version, const char *name,
                      bool *has_rules)
{
    *has_rules = false;
    for (size_t i = 0; i < rules->count; i++) {
        if (!fl_slice_eq_str(rules->items[i].protocol, "http"))
            continue;
        *has_rules = true;
        if (matches(&rules->items[i], version, name))
            return true;
    }
    return false;
}

bool config_api_is_allowed(const struct config_configuration *configuration, const char *version,
                           const char *name)
{
    bool has_rules;
    if (has_match(&configuration->api_denied, version, name, &has_rules))
        return false;
    return has_match(&configuration->api_allowed, version, name, &has_rules) || !has_rules;
}
