/* Components of `fairlead check`; see the header.
 *
 * What the readers of settings find wrong is in their notes already, with file and line; what else
 * ended a component, such as its connector's own check, gets the component's place here. */
#include "gateway/check_components.h"

#include "config/resolve.h"
#include "gateway/check_findings.h"
#include "gateway/components.h"

static void add(struct gw_findings *findings, enum gw_severity severity,
                const struct config_component *config, const char *text, struct fl_arena *arena)
{
    bool is_named = strstr(text, config->log_name.data) != NULL;
    gw_findings_add(findings, severity, config->file, config->line,
                    is_named ? text
                             : fl_arena_printf(arena, "%s: %s", config->log_name.data, text));
}

/* Whatever of the notes the error repeats is told once: it has the same words. */
static void check_settings(const struct config_component *config, enum gw_component_kind kind,
                           struct connector_registry *registry, struct fl_arena *arena,
                           struct gw_findings *findings, struct gw_checked_component *checked)
{
    struct config_notes notes;
    struct gw_component_settings settings;
    struct fl_error error;
    config_notes_init(&notes, arena);
    notes.keeps_errors = true;
    struct gw_component_setting how = {.config = config,
                                       .kind = kind,
                                       .registry = registry,
                                       .arena = arena,
                                       .notes = &notes,
                                       .is_strict = true};
    enum fl_err err = gw_component_read_settings(&how, &settings, &error);
    gw_findings_add_notes(findings, &notes);
    if (err) {
        config_component_hide_secrets(config, error.text);
        add(findings, GW_FINDING_ERROR, config, error.text, arena);
        return;
    }
    checked->type = settings.type;
    checked->traits = settings.traits;
}

static void add_category(const struct config_component *config, struct gw_findings *findings)
{
    struct fl_error error;
    (void)gw_component_refuse_category(config, &error);
    gw_findings_add(findings, GW_FINDING_ERROR, config->file, config->type_line, error.text);
}

static void check_one(const struct config_component *config, struct connector_registry *registry,
                      struct fl_arena *arena, struct gw_findings *findings,
                      struct gw_checked_component *checked)
{
    struct fl_slice category = config_component_category(config);
    if (config->standing != CONFIG_SOUND) /* The notes of loading say why. */
        return;
    if (fl_slice_eq_str(category, "pubsub"))
        check_settings(config, GW_PUBSUB, registry, arena, findings, checked);
    else if (fl_slice_eq_str(category, "bindings"))
        check_settings(config, GW_BINDING, registry, arena, findings, checked);
    else if (gw_component_is_secret_store(config))
        return;
    else if (gw_category_is_skipped(category) || fl_slice_eq_str(category, "secretstores"))
        add(findings, GW_FINDING_NOTE, config,
            "it is skipped: Fairlead serves pub/sub components, bindings and the secret stores "
            "local.file and local.env",
            arena);
    else
        add_category(config, findings);
}

void gw_check_components(const struct config_resources *resources,
                         struct connector_registry *registry, struct fl_arena *arena,
                         struct gw_findings *findings, struct gw_checked_components *checked)
{
    checked->count = resources->component_count;
    checked->items = FL_ARENA_ARRAY(arena, struct gw_checked_component, checked->count + 1);
    for (size_t i = 0; i < checked->count; i++) {
        checked->items[i] = (struct gw_checked_component){0};
        check_one(&resources->components[i], registry, arena, findings, &checked->items[i]);
    }
}
