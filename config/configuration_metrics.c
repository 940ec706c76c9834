/* What a configuration says about being observed: tracing and metrics. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/configuration_priv.h"
#include "config/quantity.h"

/* --- tracing ---------------------------------------------------------------------------------- */

struct tracing {
    struct fl_slice sampling_rate;
    bool has_stdout;
    const struct config_node *zipkin, *otel;
};

static const struct config_field tracing_fields[] = {
    CONFIG_FIELD(tracing, sampling_rate, "samplingRate", CONFIG_FIELD_STRING),
    CONFIG_FIELD(tracing, has_stdout, "stdout", CONFIG_FIELD_BOOL),
    CONFIG_FIELD(tracing, zipkin, "zipkin", CONFIG_FIELD_MAP),
    CONFIG_FIELD(tracing, otel, "otel", CONFIG_FIELD_MAP),
    {"expandParams", CONFIG_FIELD_KNOWN, 0},
    {"includeBody", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field zipkin_fields[] = {
    CONFIG_FIELD(config_tracing, zipkin_endpoint, "endpointAddress", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field otel_fields[] = {
    CONFIG_FIELD(config_tracing, otel_protocol, "protocol", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_tracing, otel_endpoint, "endpointAddress", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_tracing, otel_is_secure, "isSecure", CONFIG_FIELD_BOOL),
    CONFIG_FIELD(config_tracing, otel_headers, "headers", CONFIG_FIELD_STRINGS),
    {"timeout", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static enum fl_err read_sampling_rate(struct config_applier *a, const struct config_node *node,
                                      struct fl_slice text)
{
    char *end;
    if (fl_slice_is_null(text))
        return FL_OK;
    struct config_tracing *tracing = &a->into->tracing;
    double rate = strtod(text.data, &end);
    tracing->has_sampling_rate = true;
    tracing->sampling_rate = rate < 0 ? 0 : rate > 1 ? 1 : rate;
    if (!text.len || end != text.data + text.len || isnan(rate))
        tracing->sampling_rate = CONFIG_SAMPLING_RATE;
    else if (rate >= 0 && rate <= 1)
        return FL_OK;
    char place[CONFIG_PLACE_TEXT];
    return config_field_doubt(&a->reader, a->error,
                              "%s: spec.tracing.samplingRate: found \"%.*s\"; accepted: a number "
                              "from 0 to 1; %g is used",
                              config_field_place(node, node->line, place),
                              (int)(text.len > 60 ? 60 : text.len), text.data,
                              tracing->sampling_rate);
}

static enum fl_err read_otel_timeout(struct config_applier *a, const struct config_node *otel)
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

static enum fl_err check_otel(struct config_applier *a, const struct config_node *otel)
{
    const struct config_tracing *tracing = &a->into->tracing;
    if (tracing->otel_endpoint.len == 0 || fl_slice_eq_str(tracing->otel_protocol, "http") ||
        fl_slice_eq_str(tracing->otel_protocol, "grpc"))
        return FL_OK;
    char place[CONFIG_PLACE_TEXT] = "";
    if (otel)
        config_field_place(otel, otel->line, place);
    return fl_error_set(
        a->error, FL_ERR_REFUSED, FL_CLASS_FATAL,
        "invalid protocol %.*s provided for Otel endpoint (%s%saccepted: http, grpc)",
        FL_SLICE_ARG(tracing->otel_protocol), place, *place ? ": " : "");
}

enum fl_err config_apply_tracing(struct config_applier *a, const struct config_node *node)
{
    struct config_tracing *into = &a->into->tracing;
    struct tracing tracing = {.has_stdout = into->has_stdout};
    enum fl_err err = config_applier_read(a, node, "spec.tracing", tracing_fields, &tracing);
    if (err == FL_OK)
        err = read_sampling_rate(a, node, tracing.sampling_rate);
    if (err == FL_OK)
        err = config_applier_read(a, tracing.zipkin, "spec.tracing.zipkin", zipkin_fields, into);
    if (err == FL_OK)
        err = config_applier_read(a, tracing.otel, "spec.tracing.otel", otel_fields, into);
    if (err == FL_OK)
        err = read_otel_timeout(a, tracing.otel);
    if (err == FL_OK)
        err = check_otel(a, tracing.otel);
    if (err != FL_OK)
        return err;
    into->has_stdout = tracing.has_stdout;
    if (into->has_stdout || into->zipkin_endpoint.len || into->otel_endpoint.len)
        config_applier_note(
            a, FL_LOG_WARNING, node, "spec.tracing",
            "trace context is passed on, but spans are not exported by this version");
    return FL_OK;
}

/* --- metrics ---------------------------------------------------------------------------------- */

struct metrics {
    const struct config_node *buckets, *http, *rules;
};

static const struct config_field metrics_list_fields[] = {
    CONFIG_FIELD(metrics, buckets, "latencyDistributionBuckets", CONFIG_FIELD_LIST),
    CONFIG_FIELD(metrics, http, "http", CONFIG_FIELD_MAP),
    CONFIG_FIELD(metrics, rules, "rules", CONFIG_FIELD_LIST),
    {"enabled", CONFIG_FIELD_KNOWN, 0},
    {"recordErrorCodes", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field metrics_fields[] = {
    CONFIG_FIELD(config_metrics, is_enabled, "enabled", CONFIG_FIELD_BOOL),
    CONFIG_FIELD(config_metrics, records_error_codes, "recordErrorCodes", CONFIG_FIELD_BOOL),
    {"latencyDistributionBuckets", CONFIG_FIELD_KNOWN, 0},
    {"http", CONFIG_FIELD_KNOWN, 0},
    {"rules", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field metrics_http_fields[] = {
    CONFIG_FIELD(config_metrics, has_increased_cardinality, "increasedCardinality",
                 CONFIG_FIELD_BOOL),
    CONFIG_FIELD(config_metrics, path_matching, "pathMatching", CONFIG_FIELD_STRINGS),
    CONFIG_FIELD(config_metrics, excludes_verbs, "excludeVerbs", CONFIG_FIELD_BOOL),
    {NULL},
};

static const struct config_field metric_rule_fields[] = {
    CONFIG_FIELD(config_metric_rule, name, "name", CONFIG_FIELD_STRING),
    {"labels", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static const struct config_field metric_label_fields[] = {
    CONFIG_FIELD(config_metric_label, name, "name", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_metric_label, regex, "regex", CONFIG_FIELD_PAIRS),
    {NULL},
};

static enum fl_err read_buckets(struct config_applier *a, const struct config_node *node)
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

static enum fl_err read_metric_rule(struct config_applier *a, const struct config_node *node,
                                    size_t index, struct config_metric_rule *rule)
{
    char path[64], name[96];
    snprintf(path, sizeof path, "spec.metrics.rules[%zu]", index);
    enum fl_err err = config_applier_read(a, node, path, metric_rule_fields, rule);
    const struct config_node *labels = config_node_find(node, "labels");
    if (err != FL_OK || !labels)
        return err;
    snprintf(name, sizeof name, "%s.labels", path);
    if (labels->kind != CONFIG_NODE_LIST)
        return config_field_error(labels, name, "a list", a->error);
    size_t count = labels->list.count;
    rule->labels = FL_ARENA_ARRAY(a->reader.arena, struct config_metric_label, count + 1);
    rule->label_count = count;
    for (size_t i = 0; i < count && err == FL_OK; i++) {
        snprintf(name, sizeof name, "%s.labels[%zu]", path, i);
        err = config_applier_read(a, labels->list.items[i], name, metric_label_fields,
                                  &rule->labels[i]);
    }
    return err;
}

static enum fl_err read_metric_rules(struct config_applier *a, const struct config_node *node)
{
    size_t count = node->list.count;
    struct config_metric_rule *rules =
        FL_ARENA_ARRAY(a->reader.arena, struct config_metric_rule, count + 1);
    for (size_t i = 0; i < count; i++) {
        enum fl_err err = read_metric_rule(a, node->list.items[i], i, &rules[i]);
        if (err != FL_OK)
            return err;
    }
    a->into->metrics.rules = rules;
    a->into->metrics.rule_count = count;
    return FL_OK;
}

enum fl_err config_apply_metrics(struct config_applier *a, const struct config_node *node)
{
    struct metrics metrics = {0};
    enum fl_err err =
        config_applier_read(a, node, "spec.metrics", metrics_fields, &a->into->metrics);
    if (err == FL_OK)
        err = config_applier_read(a, node, "spec.metrics", metrics_list_fields, &metrics);
    if (err == FL_OK)
        err = config_applier_read(a, metrics.http, "spec.metrics.http", metrics_http_fields,
                                  &a->into->metrics);
    if (err == FL_OK && metrics.buckets)
        err = read_buckets(a, metrics.buckets);
    if (err == FL_OK && metrics.rules)
        err = read_metric_rules(a, metrics.rules);
    return err;
}
