/* Subscriptions of `fairlead check`; see the header.
 *
 * Scopes of topics are an application's: asked for the id given, else for each application that the
 * subscription is scoped to. A subscription for everybody is held against the topics that the
 * component allows at all. */
#include "gateway/check_subscriptions.h"

#include <stdio.h>

#include "config/scopes.h"
#include "config/spelling.h"
#include "gateway/check_findings.h"
#include "gateway/consume_options.h"
#include "routes/table.h"

/* One subscription and the component that it names. */
struct look {
    const struct config_resources *resources;
    const struct config_subscription *subscription;
    const struct config_component *config; /* NULL: none, or one that cannot be had */
    const struct gw_checked_component *checked;
    struct fl_slice app_id;
    struct fl_arena *arena;
    struct gw_findings *findings;
};

static void add(struct look *look, enum gw_severity severity, const char *format, ...)
    FL_PRINTF(3, 4);

static void add(struct look *look, enum gw_severity severity, const char *format, ...)
{
    const struct config_subscription *subscription = look->subscription;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gw_findings_add(look->findings, severity, subscription->file, subscription->line,
                    fl_arena_printf(look->arena, "Subscription \"%.*s\": %s",
                                    FL_SLICE_ARG(subscription->name), text));
}

/* --- the component ---------------------------------------------------------------------------- */

static bool share_a_scope(const struct config_list *a, const struct config_list *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (config_list_has(b, a->items[i]))
            return true;
    return a->count == 0 || b->count == 0;
}

static void say_no_component(struct look *look)
{
    struct fl_slice wanted = look->subscription->pubsub;
    struct config_spelling spelling;
    config_spelling_init(&spelling, wanted);
    for (size_t i = 0; i < look->resources->component_count; i++) {
        const struct config_component *config = &look->resources->components[i];
        if (fl_slice_eq_str(config_component_category(config), "pubsub"))
            config_spelling_offer(&spelling, config->name);
    }
    add(look, GW_FINDING_ERROR, "pubsubname: there is no pub/sub component named \"%.*s\"%s%s%s",
        FL_SLICE_ARG(wanted), spelling.best.data ? "; the nearest is \"" : "",
        spelling.best.data ? spelling.best.data : "", spelling.best.data ? "\"" : "");
}

/* The one of that name that an application of the subscription may have. */
static void find_component(struct look *look, const struct gw_checked_components *checked)
{
    const struct config_component *named = NULL;
    for (size_t i = 0; i < checked->count; i++) {
        const struct config_component *config = &look->resources->components[i];
        if (!fl_slice_eq(config->name, look->subscription->pubsub))
            continue;
        named = config;
        if (!share_a_scope(&config->scopes, &look->subscription->scopes))
            continue;
        if (!fl_slice_eq_str(config_component_category(config), "pubsub"))
            break;
        look->config = checked->items[i].type ? config : NULL;
        look->checked = &checked->items[i];
        return;
    }
    if (!named)
        say_no_component(look);
    else if (!fl_slice_eq_str(config_component_category(named), "pubsub"))
        add(look, GW_FINDING_ERROR, "pubsubname: %s is no pub/sub component", named->log_name.data);
    else
        add(look, GW_FINDING_ERROR,
            "pubsubname: %s is in the scope of none of the applications that this is for",
            named->log_name.data);
}

/* --- topics ----------------------------------------------------------------------------------- */

static void check_length(struct look *look, const char *field, struct fl_slice topic)
{
    size_t most = look->checked->traits.max_topic_bytes;
    const struct config_identity identity = config_identity_of(look->app_id);
    struct fl_slice prefix = FL_SLICE_NULL;
    if (look->config->has_namespace_tag)
        prefix = config_identity_namespace(&identity);
    if (most && prefix.len + topic.len > most)
        add(look, GW_FINDING_ERROR, "%s: found %zu bytes; accepted: at most %zu for %s", field,
            topic.len, most - (prefix.len < most ? prefix.len : most), look->config->log_name.data);
}

static void check_allowed(struct look *look, const char *field, struct fl_slice topic,
                          enum config_scope_direction direction, struct fl_slice app)
{
    struct config_scopes scopes;
    const char *what = direction == CONFIG_SCOPE_PUBLISH ? "publishing" : "subscription";
    config_scopes_read(look->config->metadata, look->config->metadata_count, app, look->arena,
                       &scopes);
    if (scopes.allowed_topics.count && !config_list_has(&scopes.allowed_topics, topic))
        add(look, GW_FINDING_ERROR, "%s: \"%.*s\" is not among the allowedTopics of %s", field,
            FL_SLICE_ARG(topic), look->config->log_name.data);
    else if (app.len && !config_scopes_allow(&scopes, direction, topic))
        add(look, GW_FINDING_ERROR,
            "%s: \"%.*s\" is not in the %sScopes that application \"%.*s\" has in %s", field,
            FL_SLICE_ARG(topic), what, FL_SLICE_ARG(app), look->config->log_name.data);
}

static void check_topic(struct look *look, const char *field, struct fl_slice topic,
                        enum config_scope_direction direction)
{
    const struct config_list *apps = &look->subscription->scopes;
    if (topic.len == 0)
        return;
    check_length(look, field, topic);
    if (look->app_id.len || apps->count == 0)
        check_allowed(look, field, topic, direction, look->app_id);
    for (size_t i = 0; look->app_id.len == 0 && i < apps->count; i++)
        check_allowed(look, field, topic, direction, apps->items[i]);
}

static void check_topics(struct look *look)
{
    const struct config_subscription *subscription = look->subscription;
    check_topic(look, "topic", subscription->topic, CONFIG_SCOPE_SUBSCRIBE);
    check_topic(look, "deadLetterTopic", subscription->dead_letter_topic, CONFIG_SCOPE_PUBLISH);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void check_metadata(struct look *look)
{
    const struct config_subscription *subscription = look->subscription;
    const struct connector_type *type = look->checked->type;
    const struct config_option_target target = {type->subscribe_options, NULL};
    struct gw_consume consume = {0};
    struct config_notes notes;
    struct fl_error error;
    config_notes_init(&notes, look->arena);
    notes.keeps_errors = true;
    struct config_bind how = {.owner = fl_arena_printf(look->arena, "Subscription \"%.*s\"",
                                                       FL_SLICE_ARG(subscription->name)),
                              .arena = look->arena,
                              .notes = &notes,
                              .is_strict = true};
    struct config_bind open = how;
    open.is_open = true;
    const struct config_value *metadata = subscription->metadata;
    size_t count = subscription->metadata_count;
    if (gw_consume_check_keys(metadata, count, &how, type, &error))
        config_notes_keep(&notes, "", &error);
    if (config_options_bind(&target, 1, metadata, count, &open, &error))
        config_notes_keep(&notes, "", &error);
    if (gw_consume_read(metadata, count, &how, &look->checked->traits, &consume, &error))
        config_notes_keep(&notes, "", &error);
    gw_findings_add_notes(look->findings, &notes);
}

static void check_rules(struct look *look)
{
    const struct config_subscription *subscription = look->subscription;
    struct route_rule *rules =
        FL_ARENA_ARRAY(look->arena, struct route_rule, subscription->rule_count + 1);
    struct route_table *table;
    struct fl_error error;
    for (size_t i = 0; i < subscription->rule_count; i++)
        rules[i] = (struct route_rule){subscription->rules[i].match, subscription->rules[i].call};
    if (route_table_new(rules, subscription->rule_count, FL_SLICE_NULL, &table, &error))
        add(look, GW_FINDING_ERROR, "%s", error.text);
    else
        route_table_free(&table);
}

void gw_check_subscriptions(const struct config_resources *resources,
                            const struct gw_checked_components *components, struct fl_slice app_id,
                            struct fl_arena *arena, struct gw_findings *findings)
{
    for (size_t i = 0; i < resources->subscriptions.count; i++) {
        struct look look = {.resources = resources,
                            .subscription = &resources->subscriptions.items[i],
                            .app_id = app_id,
                            .arena = arena,
                            .findings = findings};
        check_rules(&look);
        find_component(&look, components);
        if (!look.config)
            continue;
        check_topics(&look);
        check_metadata(&look);
    }
}
