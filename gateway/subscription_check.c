/* Doubts about subscriptions are warnings: daprd takes them, and what the application said is never
 * refused for a key that is spelled wrongly. */
#include "gateway/subscription_check.h"

#include <stdio.h>

#include "config/spelling.h"
#include "gateway/component.h"
#include "gateway/consume_options.h"
#include "gateway/gateway.h"

#define SCOPE "dapr.runtime.processor.subscription"

const char *gw_subscription_owner(const struct config_subscription *config,
                                  char out[GW_SUBSCRIPTION_OWNER_TEXT])
{
    snprintf(out, GW_SUBSCRIPTION_OWNER_TEXT, "subscription to topic '%.*s' on pubsub '%.*s'",
             FL_SLICE_ARG(config->topic), FL_SLICE_ARG(config->pubsub));
    return out;
}

static void print_nearest(const struct gateway *gateway, struct fl_slice name,
                          struct fl_buffer *out)
{
    struct config_spelling spelling;
    config_spelling_init(&spelling, name);
    for (size_t i = 0; i < gateway->component_count; i++)
        if (gateway->components[i]->kind == GW_PUBSUB)
            config_spelling_offer(&spelling, gateway->components[i]->name);
    if (spelling.best.data)
        fl_buffer_printf(out, "; the nearest is \"%.*s\"", FL_SLICE_ARG(spelling.best));
}

/* It stays dormant, and metadata lists it; that alone would leave its owner wondering. */
static enum fl_err doubt_component(struct gateway *gateway,
                                   const struct config_subscription *config,
                                   const struct config_bind *how, struct fl_error *error)
{
    struct fl_buffer text = {0};
    enum fl_err err = FL_OK;
    if (config->file)
        fl_buffer_printf(&text, "%s:%u: ", config->file, config->line);
    fl_buffer_printf(&text, "%s: there is no pub/sub component of that name", how->owner);
    print_nearest(gateway, config->pubsub, &text);
    if (how->is_strict)
        err = fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT, "%s", fl_buffer_cstr(&text));
    else
        config_note(how->notes, FL_LOG_WARNING, SCOPE, "%s", fl_buffer_cstr(&text));
    fl_buffer_fini(&text);
    return err;
}

static enum fl_err check_one(struct gateway *gateway, const struct config_subscription *config,
                             bool is_strict, struct fl_error *error)
{
    char owner[GW_SUBSCRIPTION_OWNER_TEXT];
    struct config_bind how = {.owner = gw_subscription_owner(config, owner),
                              .arena = &gateway->arena,
                              .notes = &gateway->notes,
                              .is_strict = is_strict};
    const struct gw_component *component = gw_component_find(gateway, config->pubsub);
    if (config->pubsub.len == 0) /* told where it was read */
        return FL_OK;
    if (!component)
        return doubt_component(gateway, config, &how, error);
    return gw_consume_check_keys(config->metadata, config->metadata_count, &how,
                                 component->connector->type, error);
}

enum fl_err gw_subscriptions_check(struct gateway *gateway, const struct config_subscriptions *list,
                                   bool is_strict, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    config_notes_init(&gateway->notes, &gateway->arena);
    for (size_t i = 0; i < list->count && !err; i++)
        err = check_one(gateway, &list->items[i], is_strict, error);
    config_notes_write(&gateway->notes, gateway->log);
    config_notes_init(&gateway->notes, &gateway->arena);
    return err;
}
