/* Checking the metadata of a publish; see the header. */
#include "gateway/publish_options.h"

#include "gateway/component.h"

static bool is_promise(struct fl_slice key)
{
    return fl_slice_eq_nocase(key, FL_SLICE_LIT("delay")) ||
           fl_slice_eq_nocase(key, FL_SLICE_LIT("deliverAt"));
}

bool gw_publish_has_promise(const struct ce_metadata *metadata, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_promise(metadata[i].key))
            return true;
    }
    return false;
}

static enum fl_err check_values(const struct config_option *rows,
                                const struct ce_metadata *metadata, size_t count,
                                struct fl_arena *arena, struct fl_error *error)
{
    struct config_value *values = FL_ARENA_ARRAY(arena, struct config_value, count);
    struct config_option_target target = {rows, NULL};
    struct config_bind how = {.arena = arena, .is_open = true};
    struct fl_error cause;
    for (size_t i = 0; i < count; i++)
        values[i] = (struct config_value){.name = metadata[i].key, .value = metadata[i].value};
    if (config_options_bind(&target, 1, values, count, &how, &cause))
        return fl_error_set(error, FL_ERR_REFUSED, FL_CLASS_REJECT, "%s", cause.text);
    return FL_OK;
}

enum fl_err gw_publish_options_check(const struct gw_component *component,
                                     const struct ce_metadata *metadata, size_t count,
                                     struct fl_arena *arena, struct fl_error *error)
{
    const struct config_option *rows = component->connector->type->publish_options;
    bool has_known = false;
    for (size_t i = 0; i < count; i++) {
        bool is_known = config_option_find(rows, metadata[i].key) != NULL;
        if (!is_known && is_promise(metadata[i].key))
            return fl_error_set(error, FL_ERR_REFUSED, FL_CLASS_REJECT,
                                "%.*s is not supported by %.*s, which would deliver the message at "
                                "once",
                                FL_SLICE_ARG(metadata[i].key),
                                FL_SLICE_ARG(component->config->type));
        has_known |= is_known;
    }
    return has_known ? check_values(rows, metadata, count, arena, error) : FL_OK;
}
