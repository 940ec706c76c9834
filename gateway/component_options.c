/* The settings of one component; see the header. */
#include "gateway/component_options.h"

#include "base/log.h"
#include "config/scopes.h"
#include "config/spelling.h"
#include "connectors/registry.h"

const struct config_option gw_pubsub_options[] = {
    {.name = "consumerID",
     .type = CONFIG_IGNORED,
     .help = "the consumer group; the application id when it is empty or not given"},
    {.name = NULL},
};

#define ROW(member) .offset = offsetof(struct gw_binding_settings, member)

const struct config_option gw_binding_options[] = {
    {.name = "direction",
     .type = CONFIG_LIST,
     ROW(directions),
     .help = "`input`, `output` or both, separated by a comma: what the binding is used for; both "
             "when not given. With `input` the application is not asked whether it wants events"},
    {.name = "route",
     .type = CONFIG_STRING,
     ROW(route),
     .help = "path of the application that gets the events of an input binding; the component's "
             "name when not given"},
    {.name = NULL},
};

struct fl_slice gw_component_consumer_id(const struct config_component *config,
                                         struct fl_slice app_id)
{
    const struct config_value *value = config_component_find(config, "consumerID");
    struct fl_slice given = value ? fl_slice_trim(value->value) : FL_SLICE_NULL;
    return given.len ? given : app_id;
}

enum fl_err gw_component_refuse_category(const struct config_component *config,
                                         struct fl_error *error)
{
    static const char *const known[] = {"pubsub", "bindings", "secretstores"};
    const char *near = config_spelling_nearest(config_component_category(config), known,
                                               sizeof known / sizeof *known);
    return fl_error_set(
        error, FL_ERR_INVALID, FL_CLASS_FATAL,
        "%s:%u: spec.type %s; accepted: pubsub.NAME, bindings.NAME, secretstores.NAME%s%s%s",
        config->file, config->type_line,
        config->type.len ? "has no known category" : "is missing or empty",
        near ? "; the nearest is \"" : "", near ? near : "", near ? "\"" : "");
}

static enum fl_err refuse_direction(const struct config_component *config, struct fl_slice found,
                                    struct fl_error *error)
{
    static const char *const sides[] = {"input", "output"};
    const char *near = config_spelling_nearest(found, sides, 2);
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                        "%s:%u: %s: direction: found \"%.*s\"; accepted: input, output%s%s%s",
                        config->file, config_component_find(config, "direction")->line,
                        config->log_name.data, (int)(found.len > 80 ? 80 : found.len), found.data,
                        near ? "; the nearest is \"" : "", near ? near : "", near ? "\"" : "");
}

/* Which sides are used: those named, or both, as far as the connector has them. */
static enum fl_err choose_sides(const struct gw_component_setting *how,
                                const struct connector_type *type,
                                struct gw_binding_settings *binding, struct fl_error *error)
{
    const struct config_list *given = &binding->directions;
    bool wants_input = given->count == 0, wants_output = given->count == 0;
    for (size_t i = 0; i < given->count; i++) {
        bool is_input = fl_slice_eq_nocase(given->items[i], FL_SLICE_LIT("input"));
        if (!is_input && !fl_slice_eq_nocase(given->items[i], FL_SLICE_LIT("output")))
            return refuse_direction(how->config, given->items[i], error);
        if (is_input)
            wants_input = binding->skips_probe = true;
        else
            wants_output = true;
    }
    binding->is_input = wants_input && type->subscribe;
    binding->is_output = wants_output && type->operations;
    if (!binding->is_input && !binding->is_output)
        config_note(how->notes, FL_LOG_WARNING, "dapr.runtime.processor.binding",
                    "%s is used for nothing: its direction names a side that %.*s does not have",
                    how->config->log_name.data, FL_SLICE_ARG(how->config->type));
    return FL_OK;
}

static enum fl_err bind(const struct gw_component_setting *how, const struct config_bind *bind_how,
                        struct gw_component_settings *settings, struct fl_error *error)
{
    const struct config_component *config = how->config;
    const struct connector_type *type = settings->type;
    settings->own = type->settings_size ? fl_arena_alloc(how->arena, type->settings_size) : NULL;
    const struct config_option_target pubsub[] = {{type->component_options, settings->own},
                                                  {config_scope_options, NULL},
                                                  {gw_pubsub_options, NULL},
                                                  {gw_consume_options, NULL}};
    const struct config_option_target binding[] = {{type->component_options, settings->own},
                                                   {gw_binding_options, &settings->binding}};
    bool is_pubsub = how->kind == GW_PUBSUB;
    enum fl_err err =
        config_options_bind(is_pubsub ? pubsub : binding, is_pubsub ? 4 : 2, config->metadata,
                            config->metadata_count, bind_how, error);
    if (!err && is_pubsub)
        err = config_scopes_check(config->metadata, config->metadata_count, bind_how, error);
    return err;
}

/* The line of the setting that a connector's text begins with, as in "schedule: found …"; else that
 * of the component. */
static uint32_t line_of(const struct config_component *config, const char *text)
{
    char name[64];
    size_t len = strcspn(text, ": ");
    if (len == 0 || len >= sizeof name)
        return config->line;
    memcpy(name, text, len);
    name[len] = '\0';
    const struct config_value *value = config_component_find(config, name);
    return value ? value->line : config->line;
}

/* A connector does not know files; and that it misses something says nothing about its type, which
 * FL_ERR_NOT_FOUND would. */
static enum fl_err check_own(const struct config_component *config,
                             const struct gw_component_settings *settings, struct fl_error *error)
{
    struct fl_error cause;
    enum fl_err err = settings->type->check(settings->own, &cause);
    if (!err)
        return FL_OK;
    return fl_error_set(error, err == FL_ERR_NOT_FOUND ? FL_ERR_INVALID : err, cause.class,
                        "%s:%u: %s: %s", config->file, line_of(config, cause.text),
                        config->log_name.data, cause.text);
}

enum fl_err gw_component_read_settings(const struct gw_component_setting *how,
                                       struct gw_component_settings *settings,
                                       struct fl_error *error)
{
    const struct config_component *config = how->config;
    struct gw_component_settings read = {0};
    struct config_bind bind_how = {.owner = config->log_name.data,
                                   .arena = how->arena,
                                   .notes = how->notes,
                                   .is_strict = how->is_strict,
                                   .file = config->file,
                                   .line = config->line};
    struct fl_error cause;
    enum fl_err err =
        connector_registry_find(how->registry, config->type, config->version, &read.type, &cause);
    if (err)
        return fl_error_set(error, err, cause.class, "%s:%u: %s: %s", config->file,
                            config->type_line, config->log_name.data, cause.text);
    err = bind(how, &bind_how, &read, error);
    if (!err && read.type->check)
        err = check_own(config, &read, error);
    if (err)
        return err;
    read.traits = read.type->traits;
    if (read.type->resolve_traits)
        read.type->resolve_traits(read.own, &read.traits);
    if (how->kind == GW_PUBSUB)
        err = gw_consume_read(config->metadata, config->metadata_count, &bind_how, &read.traits,
                              &read.consume, error);
    else
        err = choose_sides(how, read.type, &read.binding, error);
    if (!err)
        *settings = read;
    return err;
}
