/* Configuration files over defaults. Every struct is read by rows straight into the place where it
 * stays, so that what a later file does not mention keeps its value; lists are replaced whole.
 *
 * Nothing passes unnoticed: unknown fields are warned about with the nearest name, and parts of
 * daprd's configuration that this version does not carry out say so, once for each file. */

#include <stdio.h>

#include "config/configuration_priv.h"
#include "config/spelling.h"

void config_configuration_init(struct config_configuration *configuration)
{
    *configuration = (struct config_configuration){0};
    configuration->tracing.sampling_rate = CONFIG_SAMPLING_RATE;
    configuration->tracing.otel_is_secure = true;
    configuration->metrics.is_enabled = true;
    configuration->metrics.has_increased_cardinality = true;
}

enum fl_err config_applier_read(struct config_applier *a, const struct config_node *node,
                                const char *path, const struct config_field *fields, void *into)
{
    return config_fields_read(&a->reader, node, path, fields, into, a->error);
}

void config_applier_note(struct config_applier *a, enum fl_log_level level,
                         const struct config_node *node, const char *field, const char *what)
{
    char place[CONFIG_PLACE_TEXT];
    config_note(a->reader.notes, level, CONFIG_CONFIGURATION_SCOPE, "%s: %s: %s",
                config_field_place(node, node->line, place), field, what);
}

/* A list of maps into an array of structs; the list replaces what was there. */
enum fl_err config_applier_read_list(struct config_applier *a, const struct config_node *node,
                                     const char *path, const struct config_field *fields,
                                     size_t size, void *items, size_t *count)
{
    if (!node)
        return FL_OK;
    char *array = fl_arena_alloc(a->reader.arena, (node->list.count + 1) * size);
    for (size_t i = 0; i < node->list.count; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s[%zu]", path, i);
        enum fl_err err =
            config_applier_read(a, node->list.items[i], name, fields, array + i * size);
        if (err != FL_OK)
            return err;
    }
    memcpy(items, &array, sizeof array); /* every pointer to a struct looks alike */
    *count = node->list.count;
    return FL_OK;
}

/* The nearest name that is not this one; NULL: it is known, or near none. */
const char *config_near_miss(struct fl_slice word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fl_slice_eq_str(word, names[i]))
            return NULL;
    return config_spelling_nearest(word, names, count);
}

/* --- the document ----------------------------------------------------------------------------- */

struct document {
    struct fl_slice kind;
    const struct config_node *spec;
};

static const struct config_field document_fields[] = {
    CONFIG_FIELD(document, spec, "spec", CONFIG_FIELD_MAP),
    CONFIG_FIELD(document, kind, "kind", CONFIG_FIELD_STRING),
    {"apiVersion", CONFIG_FIELD_KNOWN, 0},
    {"metadata", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

struct spec {
    const struct config_node *tracing, *metric, *metrics, *http_pipeline, *app_http_pipeline;
    const struct config_node *features, *api, *access, *secrets, *components, *logging;
    const struct config_node *name_resolution, *mtls, *wasm, *workflow;
};

static const struct config_field spec_fields[] = {
    CONFIG_FIELD(spec, tracing, "tracing", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, metric, "metric", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, metrics, "metrics", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, http_pipeline, "httpPipeline", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, app_http_pipeline, "appHttpPipeline", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, features, "features", CONFIG_FIELD_LIST),
    CONFIG_FIELD(spec, api, "api", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, access, "accessControl", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, secrets, "secrets", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, components, "components", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, logging, "logging", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, name_resolution, "nameResolution", CONFIG_FIELD_ANY),
    CONFIG_FIELD(spec, mtls, "mtls", CONFIG_FIELD_ANY),
    CONFIG_FIELD(spec, wasm, "wasm", CONFIG_FIELD_ANY),
    CONFIG_FIELD(spec, workflow, "workflow", CONFIG_FIELD_ANY),
    {NULL},
};

static const struct config_field feature_fields[] = {
    CONFIG_FIELD(config_feature, name, "name", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_feature, is_enabled, "enabled", CONFIG_FIELD_BOOL),
    {NULL},
};

static const struct config_field components_fields[] = {
    CONFIG_FIELD(config_configuration, components_deny, "deny", CONFIG_FIELD_STRINGS),
    {NULL},
};

/* What daprd keeps there and nothing here reads. */
static void apply_absent(struct config_applier *a, const struct spec *spec)
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
        config_applier_note(a, FL_LOG_INFO, parts[i].node, parts[i].name,
                            "has no effect: the building block is not here");
    }
}

typedef enum fl_err apply_fn(struct config_applier *a, const struct config_node *node);

static enum fl_err apply_http_pipeline(struct config_applier *a, const struct config_node *node)
{
    return config_apply_pipeline(a, node, "spec.httpPipeline", &a->into->http_pipeline);
}

static enum fl_err apply_app_http_pipeline(struct config_applier *a, const struct config_node *node)
{
    return config_apply_pipeline(a, node, "spec.appHttpPipeline", &a->into->app_http_pipeline);
}

/* Names that nobody knows are daprd's to come, and pass; near misses do not. */
static enum fl_err apply_features(struct config_applier *a, const struct config_node *node)
{
    static const char *const names[] = {"HotReload",
                                        "WorkflowsRemoteActivityReminder",
                                        "ActorStateTTL",
                                        "WorkflowsClusteredDeployment",
                                        "WorkflowHistorySigning",
                                        "WorkflowsFastPath"};
    struct config_features *into = &a->into->features;
    enum fl_err err =
        config_applier_read_list(a, node, "spec.features", feature_fields,
                                 sizeof(struct config_feature), &into->items, &into->count);
    for (size_t i = 0; i < node->list.count && err == FL_OK; i++) {
        const char *near =
            config_near_miss(into->items[i].name, names, sizeof names / sizeof *names);
        char place[CONFIG_PLACE_TEXT];
        if (near)
            err = config_field_doubt(
                &a->reader, a->error,
                "%s: spec.features[%zu]: \"%.*s\" is not a known feature; the nearest known one is "
                "\"%s\"",
                config_field_place(node->list.items[i], node->list.items[i]->line, place), i,
                FL_SLICE_ARG(into->items[i].name), near);
    }
    return err;
}

static enum fl_err apply_components(struct config_applier *a, const struct config_node *node)
{
    return config_applier_read(a, node, "spec.components", components_fields, a->into);
}

static enum fl_err apply_spec(struct config_applier *a, const struct config_node *node)
{
    struct spec spec = {0};
    enum fl_err err = config_applier_read(a, node, "spec", spec_fields, &spec);
    const struct {
        const struct config_node *node;
        apply_fn *apply;
    } parts[] = {
        {spec.tracing, config_apply_tracing},
        {spec.metric, config_apply_metrics},
        {spec.metrics, config_apply_metrics},
        {spec.http_pipeline, apply_http_pipeline},
        {spec.app_http_pipeline, apply_app_http_pipeline},
        {spec.features, apply_features},
        {spec.api, config_apply_api},
        {spec.access, config_apply_access},
        {spec.secrets, config_apply_secrets},
        {spec.components, apply_components},
        {spec.logging, config_apply_logging},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts && err == FL_OK; i++)
        if (parts[i].node)
            err = parts[i].apply(a, parts[i].node);
    if (err == FL_OK)
        apply_absent(a, &spec);
    return err;
}

/* daprd does not look at the kind; a file of another one given by mistake would be an empty
 * configuration. */
static enum fl_err check_kind(struct config_applier *a, const struct config_node *root,
                              struct fl_slice kind)
{
    const struct config_node *node = config_node_find(root, "kind");
    if (!node || fl_slice_eq_str(kind, "Configuration"))
        return FL_OK;
    return config_field_doubt(&a->reader, a->error,
                              "%s:%u: kind: found \"%.*s\"; accepted: Configuration; it is read as "
                              "one",
                              root->file, node->line, (int)(kind.len > 80 ? 80 : kind.len),
                              kind.data);
}

static bool is_blank(struct fl_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n", text.data[i]) || !text.data[i])
            return false;
    return true;
}

/* Only the first document counts, as for daprd. */
static enum fl_err check_rest(struct config_applier *a, struct fl_slice text, const char *file)
{
    size_t at = 0;
    uint32_t line = 1, first_line;
    struct fl_slice document;
    bool is_content = false;
    while (config_yaml_next_document(text, &at, &line, &document, &first_line)) {
        if (is_content && !is_blank(document))
            return config_field_doubt(&a->reader, a->error,
                                      "%s:%u: the document has no effect: only the first one of a "
                                      "configuration file counts",
                                      file, first_line);
        is_content = is_content || !is_blank(document);
    }
    return FL_OK;
}

enum fl_err config_configuration_apply(struct fl_slice text, const char *file, bool is_strict,
                                       struct fl_arena *arena, struct config_notes *notes,
                                       struct config_configuration *configuration,
                                       struct fl_error *error)
{
    struct config_configuration copy = *configuration;
    struct config_applier a = {.into = &copy, .error = error};
    struct document document = {0};
    struct fl_arena scratch = {0};
    struct fl_slice expanded;
    struct config_node *root;
    bool has_failed = false;
    a.reader = (struct config_reader){.arena = arena,
                                      .notes = notes,
                                      .scope = CONFIG_CONFIGURATION_SCOPE,
                                      .is_strict = is_strict,
                                      .has_failed = &has_failed};
    enum fl_err err = config_yaml_expand_env(text, file, notes, &scratch, &expanded);
    if (err != FL_OK)
        (void)fl_error_set(error, err, FL_CLASS_REJECT,
                           "%s: longer than 4 MiB with its variables replaced", file);
    if (err == FL_OK)
        err = config_yaml_parse(expanded, file, 1, CONFIG_DIALECT_CONFIGURATION, &scratch, &root,
                                error);
    if (err == FL_OK)
        err = config_applier_read(&a, root, "", document_fields, &document);
    if (err == FL_OK)
        err = check_kind(&a, root, document.kind);
    if (err == FL_OK && document.spec)
        err = apply_spec(&a, document.spec);
    if (err == FL_OK)
        err = check_rest(&a, expanded, file);
    err = config_field_end(&a.reader, err, error);
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
    bool is_complete = cause.code == FL_ERR_REFUSED || cause.text[0] == '\0';
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
        config_note(notes, FL_LOG_INFO, CONFIG_CONFIGURATION_SCOPE,
                    "loading default configuration");
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
