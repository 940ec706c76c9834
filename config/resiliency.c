/* Policies in three maps by name, targets in a fourth; a look-up resolves names at that moment, so
 * the order of resources does not matter.
 *
 * A second resource may redefine a policy or a target: the map's value is replaced. Built-in
 * policies stand in the map from the start.
 */
#include <stdio.h>

#include "config/resiliency_priv.h"
#include "config/spelling.h"

/* --- built-in policies -------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    bool is_exponential;
    int64_t duration_ms, max_interval_ms, max_retries;
} built_ins[] = {
    {"DaprBuiltInServiceRetries", false, 1000, 60000, CONFIG_BUILT_IN_RETRIES},
    {"DaprBuiltInActorRetries", false, 1000, 60000, CONFIG_BUILT_IN_RETRIES},
    {"DaprBuiltInActorReminderRetries", true, 5000, 60000, CONFIG_RETRY_FOREVER},
    {"DaprBuiltInInitializationRetries", true, 5000, 1000, CONFIG_BUILT_IN_RETRIES},
    {"DaprBuiltInActorNotFoundRetries", false, 1000, 60000, 5},
};

enum { BUILT_IN_COUNT = sizeof built_ins / sizeof *built_ins };

bool config_retry_is_built_in(struct fl_slice name)
{
    for (size_t i = 0; i < BUILT_IN_COUNT; i++)
        if (fl_slice_eq_str(name, built_ins[i].name))
            return true;
    return false;
}

void config_resiliency_init(struct config_resiliency *resiliency, struct fl_arena *arena)
{
    *resiliency = (struct config_resiliency){.arena = arena};
    for (size_t i = 0; i < BUILT_IN_COUNT; i++) {
        struct config_retry *retry = FL_ARENA_NEW(arena, struct config_retry);
        *retry = (struct config_retry){.name = fl_slice_str(built_ins[i].name),
                                       .is_exponential = built_ins[i].is_exponential,
                                       .duration_ms = built_ins[i].duration_ms,
                                       .max_interval_ms = built_ins[i].max_interval_ms,
                                       .max_retries = built_ins[i].max_retries};
        fl_map_set(&resiliency->retries, retry->name, retry);
    }
}

void config_resiliency_fini(struct config_resiliency *resiliency)
{
    fl_map_fini(&resiliency->timeouts);
    fl_map_fini(&resiliency->retries);
    fl_map_fini(&resiliency->breakers);
    fl_map_fini(&resiliency->components);
    *resiliency = (struct config_resiliency){0};
}

/* --- checking ----------------------------------------------------------------------------------
 */

static struct fl_slice nearest_key(const struct fl_map *map, struct fl_slice word)
{
    struct config_spelling spelling;
    uint32_t at = 0;
    struct fl_slice key;
    void *value;
    config_spelling_init(&spelling, word);
    while (fl_map_next(map, &at, &key, &value))
        config_spelling_offer(&spelling, key);
    return spelling.best;
}

static enum fl_err check_reference(const struct config_reader *reader,
                                   const struct config_target *target, struct fl_slice component,
                                   const char *field, const struct fl_map *map,
                                   struct fl_slice name, bool is_fatal, struct fl_error *error)
{
    char text[400], nearest[150] = "";
    if (name.len == 0 || fl_map_find(map, name))
        return FL_OK;
    struct fl_slice near = nearest_key(map, name);
    if (near.len)
        snprintf(nearest, sizeof nearest, "; the nearest is \"%s\"", near.data);
    snprintf(text, sizeof text,
             "%s:%u: spec.targets.components.%.*s: %s \"%.*s\" is not defined by any policy%s",
             target->file, target->line, FL_SLICE_ARG(component), field,
             (int)(name.len > 80 ? 80 : name.len), name.data, nearest);
    if (is_fatal) {
        enum fl_err err = fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_FATAL, "%s", text);
        return config_notes_keep(reader->notes, reader->scope, error) ? FL_OK : err;
    }
    return config_field_doubt(reader, error, "%s; none is used", text);
}

static enum fl_err check_target(const struct config_resiliency *resiliency,
                                const struct config_reader *reader,
                                const struct config_target *target, struct fl_slice component,
                                struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (int i = 0; i < 2 && err == FL_OK; i++) {
        const struct config_reference *reference = &target->directions[i];
        err = check_reference(reader, target, component, "circuitBreaker", &resiliency->breakers,
                              reference->breaker, true, error);
        if (err == FL_OK)
            err = check_reference(reader, target, component, "retry", &resiliency->retries,
                                  reference->retry, false, error);
        if (err == FL_OK)
            err = check_reference(reader, target, component, "timeout", &resiliency->timeouts,
                                  reference->timeout, false, error);
    }
    return err;
}

enum fl_err config_resiliency_check(const struct config_resiliency *resiliency,
                                    struct config_notes *notes, bool is_strict,
                                    struct fl_error *error)
{
    struct config_reader reader = {.arena = resiliency->arena,
                                   .notes = notes,
                                   .scope = CONFIG_RESILIENCY_SCOPE,
                                   .is_strict = is_strict};
    uint32_t at = 0;
    struct fl_slice component;
    void *target;
    while (fl_map_next(&resiliency->components, &at, &component, &target)) {
        enum fl_err err = check_target(resiliency, &reader, target, component, error);
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

enum fl_err config_resiliency_check_targets(const struct config_resiliency *resiliency,
                                            const struct fl_map *components,
                                            struct config_notes *notes, bool is_strict,
                                            struct fl_error *error)
{
    struct config_reader reader = {.arena = resiliency->arena,
                                   .notes = notes,
                                   .scope = CONFIG_RESILIENCY_SCOPE,
                                   .is_strict = is_strict};
    uint32_t at = 0;
    struct fl_slice component;
    void *value;
    while (fl_map_next(&resiliency->components, &at, &component, &value)) {
        const struct config_target *target = value;
        if (fl_map_find(components, component))
            continue;
        struct fl_slice near = nearest_key(components, component);
        enum fl_err err = config_field_doubt(
            &reader, error,
            "%s:%u: spec.targets.components: \"%.*s\" has no effect, for there is no component of "
            "that name%s%.*s%s",
            target->file, target->line, FL_SLICE_ARG(component),
            near.len ? "; the nearest is \"" : "", FL_SLICE_ARG(near), near.len ? "\"" : "");
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

/* --- looking up --------------------------------------------------------------------------------
 */

static const char *const direction_names[] = {
    [CONFIG_INBOUND] = "Inbound", [CONFIG_OUTBOUND] = "Outbound"};
static const char *const category_names[] = {
    [CONFIG_CATEGORY_PUBSUB] = "Pubsub", [CONFIG_CATEGORY_BINDING] = "Binding"};

/* The first default that exists, from the most particular name to the least. */
static const void *find_default(const struct fl_map *map, enum config_direction direction,
                                enum config_category category, const char *policy)
{
    const char *way = direction_names[direction];
    char names[4][80];
    snprintf(names[0], sizeof names[0], "Default%sComponent%s%sPolicy", category_names[category],
             way, policy);
    snprintf(names[1], sizeof names[1], "DefaultComponent%s%sPolicy", way, policy);
    snprintf(names[2], sizeof names[2], "DefaultComponent%sPolicy", policy);
    snprintf(names[3], sizeof names[3], "Default%sPolicy", policy);
    for (size_t i = 0; i < 4; i++) {
        const void *found = fl_map_find(map, fl_slice_str(names[i]));
        if (found)
            return found;
    }
    return NULL;
}

struct config_policy config_resiliency_find(const struct config_resiliency *resiliency,
                                            struct fl_slice component,
                                            enum config_direction direction,
                                            enum config_category category)
{
    struct config_policy policy = {0};
    const int64_t *timeout_ms;
    const struct config_target *target = fl_map_find(&resiliency->components, component);
    if (target) {
        const struct config_reference *reference = &target->directions[direction];
        timeout_ms = fl_map_find(&resiliency->timeouts, reference->timeout);
        policy.retry = fl_map_find(&resiliency->retries, reference->retry);
        policy.breaker = fl_map_find(&resiliency->breakers, reference->breaker);
    } else {
        timeout_ms = find_default(&resiliency->timeouts, direction, category, "Timeout");
        policy.retry = find_default(&resiliency->retries, direction, category, "Retry");
        policy.breaker = find_default(&resiliency->breakers, direction, category, "CircuitBreaker");
    }
    policy.timeout_ms = timeout_ms ? *timeout_ms : 0;
    policy.is_set = timeout_ms || policy.retry || policy.breaker;
    return policy;
}

const struct config_retry *config_resiliency_retry(const struct config_resiliency *resiliency,
                                                   const char *name)
{
    return fl_map_find(&resiliency->retries, fl_slice_str(name));
}

bool config_retry_matches(const struct config_retry *retry, int32_t http_status)
{
    const struct config_codes *codes = &retry->http_codes;
    if (http_status == 0 || !codes->is_set)
        return true;
    for (size_t i = 0; i < codes->count; i++)
        if (http_status >= codes->items[i].first && http_status <= codes->items[i].last)
            return true;
    return false;
}
