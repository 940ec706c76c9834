/* Configuration files (--config): tracing, metrics, API rules, features and what else daprd reads
 * there.
 *
 * Several files apply in order: members of structs merge, scalars overwrite, lists are replaced.
 * What this version does not carry out is read all the same and told by a note.
 *
 * Ownership: everything lives in the arena given. Thread: any, once loaded.
 */
#ifndef FL_CONFIG_CONFIGURATION_H
#define FL_CONFIG_CONFIGURATION_H

#include "config/note.h"
#include "config/values.h"
#include "config/yaml.h"

struct config_tracing {
    bool has_sampling_rate;
    double sampling_rate; /* 0 to 1; 0.0001 when unset or unparsable */
    bool has_stdout;
    struct fl_slice zipkin_endpoint; /* empty: none */
    struct fl_slice otel_endpoint;   /* empty: none */
    struct fl_slice otel_protocol;   /* "http" or "grpc" */
    bool otel_is_secure;
    struct config_list otel_headers; /* "k=v" */
    int64_t otel_timeout_ms;         /* 0: unset */
};

struct config_metric_label {
    struct fl_slice name;
    struct config_pairs regex; /* name: replacement, value: pattern */
};

struct config_metric_rule {
    struct fl_slice name;
    struct config_metric_label *labels;
    size_t label_count;
};

struct config_metrics {
    bool is_enabled;
    bool records_error_codes;
    bool has_increased_cardinality; /* true when unset */
    bool excludes_verbs;
    struct config_list path_matching;
    int64_t *latency_buckets_ms;
    size_t latency_bucket_count; /* 0: daprd's own */
    struct config_metric_rule *rules;
    size_t rule_count;
};

struct config_api_rule {
    struct fl_slice name, version, protocol;
};

struct config_api_rules {
    struct config_api_rule *items;
    size_t count;
};

struct config_handler {
    struct fl_slice name, type, version;
};

struct config_handlers {
    struct config_handler *items;
    size_t count;
};

struct config_feature {
    struct fl_slice name;
    bool is_enabled;
};

struct config_features {
    struct config_feature *items;
    size_t count;
};

struct config_configuration {
    struct config_tracing tracing;
    struct config_metrics metrics;
    struct config_api_rules api_allowed, api_denied; /* as written, all protocols */
    struct config_features features;                 /* as written */
    struct config_list components_deny;              /* "type" or "type/version" */
    bool has_api_logging;                            /* the file says something about it */
    bool api_logging;
    bool api_logging_obfuscates_urls;
    bool api_logging_omits_health;
    struct config_handlers http_pipeline, app_http_pipeline; /* read; not carried out */
    bool has_access_control, has_secrets_scopes, has_name_resolution, has_mtls, has_wasm,
        has_workflow;
};

void config_configuration_init(struct config_configuration *configuration);

/* Loads all files over the defaults. The error's text is complete: "error loading configuration:
 * …". No file: one note "loading default configuration". */
enum fl_err config_configuration_load(const struct config_list *files, bool is_strict,
                                      struct fl_arena *arena, struct config_notes *notes,
                                      struct config_configuration *configuration,
                                      struct fl_error *error) FL_MUST_USE;

/* One document's text over what is there already; what `load` does for each file. */
enum fl_err config_configuration_apply(struct fl_slice text, const char *file, bool is_strict,
                                       struct fl_arena *arena, struct config_notes *notes,
                                       struct config_configuration *configuration,
                                       struct fl_error *error) FL_MUST_USE;

/* Default on: HotReload, WorkflowsRemoteActivityReminder. The last mention of a name counts. */
bool config_feature_is_enabled(const struct config_configuration *configuration, const char *name);

/* A component of this type and version is on the deny list, or lacks one of both while there is a
 * list. */
bool config_component_is_denied(const struct config_configuration *configuration,
                                struct fl_slice type, struct fl_slice version);

/* Whether an API group is served: "publish", "bindings", "metadata", "shutdown", …; `version` is
 * "v1.0" or "v1.0-alpha1". */
bool config_api_is_allowed(const struct config_configuration *configuration, const char *version,
                           const char *name);

#endif
