/* All components of this process: opened in the order that loading gave them (secret stores first),
 * found by name, closed together. Secret stores are names here: they were read while the resources
 * were loaded. */
#include "gateway/components.h"

#include "base/alloc.h"
#include "config/resolve.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"

#define SCOPE "dapr.runtime.processor"

static void count_init(struct gateway *gateway, enum gw_metric metric,
                       const struct config_component *config)
{
    struct fl_slice labels[] = {config->type};
    gw_counter_add(gw_metrics_counter(gateway->metrics, metric, labels), 1);
}

static void count_failure(struct gateway *gateway, const struct config_component *config,
                          const char *reason)
{
    struct fl_slice labels[] = {config->type, config->name, fl_slice_str(reason)};
    gw_counter_add(gw_metrics_counter(gateway->metrics, GW_COMPONENT_INIT_FAIL_TOTAL, labels), 1);
}

/* daprd's words for a component that could not be had; in the gateway's arena. */
static char *failure_text(struct gateway *gateway, const struct config_component *config,
                          enum gw_component_kind kind, bool is_unknown, const char *cause)
{
    struct fl_arena *arena = &gateway->arena;
    const char *log_name = config->log_name.data;
    if (is_unknown && kind == GW_BINDING)
        return fl_arena_printf(arena,
                               "[INIT_COMPONENT_FAILURE]: initialization error occurred for %s: "
                               "couldn't find binding %s: %s",
                               log_name, log_name, cause);
    const char *bus = "";
    if (is_unknown)
        bus = fl_arena_printf(arena,
                              "couldn't find message bus %.*s/%.*s: ", FL_SLICE_ARG(config->type),
                              FL_SLICE_ARG(config->version));
    return fl_arena_printf(
        arena,
        "[INIT_COMPONENT_FAILURE]: initialization error occurred for %s: [%s_COMPONENT_FAILURE]: "
        "initialization error occurred for %s: %s%s",
        log_name, is_unknown ? "CREATE" : "INIT", log_name, bus, cause);
}

/* What the failure of one component is to the whole: `what` is its text, `reason` the metric's. */
static enum fl_err fail_one(struct gateway *gateway, const struct config_component *config,
                            const char *reason, const char *what, struct fl_error *error)
{
    count_failure(gateway, config, reason);
    FL_ERROR(gateway->log, SCOPE, "Failed to init component %s: %s", config->log_name.data, what);
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "process component %.*s error: %s",
                        FL_SLICE_ARG(config->name), what);
}

static enum fl_err open_one(struct gateway *gateway, const struct config_component *config,
                            enum gw_component_kind kind, struct fl_error *error)
{
    struct gw_component *component;
    struct fl_error cause;
    enum fl_err err = gw_component_open(gateway, config, kind, &component, &cause);
    count_init(gateway, GW_COMPONENT_INIT_TOTAL, config);
    if (!err) {
        gateway->components[gateway->component_count++] = component;
        gateway->pubsub_count += kind == GW_PUBSUB;
        fl_map_set(&gateway->components_by_name, config->name, component);
        FL_INFO(gateway->log, SCOPE, "Component loaded: %s", config->log_name.data);
        return FL_OK;
    }
    bool is_unknown = err == FL_ERR_NOT_FOUND;
    config_component_hide_secrets(config, cause.text);
    return fail_one(gateway, config, is_unknown ? "creation" : "init",
                    failure_text(gateway, config, kind, is_unknown, cause.text), error);
}

/* A store did its work when the values of the others were resolved. */
static void say_store(struct gateway *gateway, const struct config_component *config)
{
    if (config_secret_store_is_absent(config->type)) {
        FL_WARN(gateway->log, SCOPE,
                "Component %s is skipped: the secret stores of Fairlead are "
                "secretstores.local.file and secretstores.local.env",
                config->log_name.data);
        return;
    }
    count_init(gateway, GW_COMPONENT_INIT_TOTAL, config);
    gw_counter_add(gw_metrics_counter(gateway->metrics, GW_COMPONENT_LOADED, NULL), 1);
    FL_INFO(gateway->log, SCOPE, "Component loaded: %s", config->log_name.data);
}

bool gw_category_is_skipped(struct fl_slice category)
{
    static const char *const names[] = {"state",          "middleware", "configuration",
                                        "crypto",         "lock",       "conversation",
                                        "nameresolution", "workflow",   "workflowbackend"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (fl_slice_eq_str(category, names[i]))
            return true;
    }
    return false;
}

/* daprd's words, and behind them what it leaves to be found out. */
static enum fl_err refuse_category(const struct config_component *config, struct fl_error *error)
{
    struct fl_error cause;
    enum fl_err err = gw_component_refuse_category(config, &cause);
    return fl_error_set(error, err, FL_CLASS_FATAL,
                        "process component %.*s error: incorrect type %.*s (%s)",
                        FL_SLICE_ARG(config->name), FL_SLICE_ARG(config->type), cause.text);
}

/* One of another building block is skipped with a line: the folder holds what other applications,
 * or the same one beside another sidecar, need. */
static enum fl_err skip_one(struct gateway *gateway, const struct config_component *config,
                            struct fl_slice category, struct fl_error *error)
{
    if (!gw_category_is_skipped(category))
        return refuse_category(config, error);
    FL_WARN(gateway->log, SCOPE,
            "Component %s is skipped: Fairlead serves pubsub, bindings and secretstores components "
            "only",
            config->log_name.data);
    return FL_OK;
}

/* By what loading found out, and by its category. */
static enum fl_err open_by_category(struct gateway *gateway, const struct config_component *config,
                                    struct fl_error *error)
{
    struct fl_slice category = config_component_category(config);
    if (config->standing == CONFIG_PARKED)
        return FL_OK;
    if (config->standing == CONFIG_BROKEN) {
        count_init(gateway, GW_COMPONENT_INIT_TOTAL, config);
        return fail_one(gateway, config, config->is_unknown ? "creation" : "init", config->trouble,
                        error);
    }
    if (fl_slice_eq_str(category, "pubsub"))
        return open_one(gateway, config, GW_PUBSUB, error);
    if (fl_slice_eq_str(category, "bindings"))
        return open_one(gateway, config, GW_BINDING, error);
    if (!fl_slice_eq_str(category, "secretstores"))
        return skip_one(gateway, config, category, error);
    say_store(gateway, config);
    return FL_OK;
}

enum fl_err gw_components_open(struct gateway *gateway, struct fl_error *error)
{
    size_t count = gateway->resources.component_count;
    gateway->components = fl_zalloc(sizeof *gateway->components * (count + 1));
    for (size_t i = 0; i < count; i++) {
        struct config_component *config = &gateway->resources.components[i];
        enum fl_err err = open_by_category(gateway, config, error);
        if (err && config->ignores_errors) {
            FL_ERROR(gateway->log, SCOPE, "Ignoring error processing component: %s", error->text);
            config->standing = CONFIG_BROKEN;
            config->trouble = fl_arena_strdup(&gateway->arena, fl_slice_str(error->text));
            continue;
        }
        if (err) {
            FL_WARN(gateway->log, SCOPE,
                    "Error processing component, daprd will exit gracefully: %s", error->text);
            return err;
        }
    }
    return FL_OK;
}

static struct gw_component *find(const struct gateway *gateway, struct fl_slice name,
                                 enum gw_component_kind kind)
{
    struct gw_component *component = fl_map_find(&gateway->components_by_name, name);
    return component && component->kind == kind ? component : NULL;
}

struct gw_component *gw_component_find(const struct gateway *gateway, struct fl_slice name)
{
    return find(gateway, name, GW_PUBSUB);
}

struct gw_component *gw_binding_find(const struct gateway *gateway, struct fl_slice name)
{
    return find(gateway, name, GW_BINDING);
}

bool gw_component_is_secret_store(const struct config_component *config)
{
    return fl_slice_eq_str(config_component_category(config), "secretstores") &&
           config->standing == CONFIG_SOUND && !config_secret_store_is_absent(config->type);
}

void gw_components_close(struct gateway *gateway, int64_t deadline_at_ms)
{
    for (size_t i = 0; i < gateway->component_count; i++)
        gw_component_close(gateway->components[i], deadline_at_ms);
}

bool gw_components_are_closed(const struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->component_count; i++) {
        if (!gateway->components[i]->is_closed)
            return false;
    }
    return true;
}

void gw_components_free(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->component_count; i++)
        gw_component_free(&gateway->components[i]);
    FL_FREE(gateway->components);
    gateway->component_count = gateway->pubsub_count = 0;
    fl_map_fini(&gateway->components_by_name);
}
