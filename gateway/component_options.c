/* The settings of one component; see the header. */
#include "gateway/component_options.h"

#include "base/log.h"
#include "config/scopes.h"
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
            return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                                "%s: direction: '%.*s' is neither input nor output",
                                how->config->log_name.data, FL_SLICE_ARG(given->items[i]));
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

enum fl_err gw_component_read_settings(const struct gw_component_setting *how,
                                       struct gw_component_settings *settings,
                                       struct fl_error *error)
{
    const struct config_component *config = how->config;
    struct gw_component_settings read = {0};
    struct config_bind bind_how = {.owner = config->log_name.data,
                                   .arena = how->arena,
                                   .notes = how->notes,
                                   .is_strict = how->is_strict};
    enum fl_err err =
        connector_registry_find(how->registry, config->type, config->version, &read.type, error);
    if (!err)
        err = bind(how, &bind_how, &read, error);
    if (!err && read.type->check)
        err = read.type->check(read.own, error);
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
