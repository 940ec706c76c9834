/* The metadata document, and the values that applications add to it. */
#include "gateway/api_metadata.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/version.h"
#include "cloudevents/json_write.h"
#include "gateway/api_error.h"
#include "gateway/api_state.h"
#include "gateway/component.h"
#include "gateway/duration.h"
#include "gateway/gateway.h"

/* Any bytes, zeros included. */
struct extended_value {
    size_t len;
    char bytes[];
};

static struct extended_value *new_value(struct fl_slice text)
{
    struct extended_value *value = fl_alloc(sizeof *value + text.len);
    value->len = text.len;
    if (text.len)
        memcpy(value->bytes, text.data, text.len);
    return value;
}

static void key(struct fl_buffer *out, const char *name)
{
    ce_json_append_key(out, name);
}

static void text(struct fl_buffer *out, const char *name, struct fl_slice value)
{
    key(out, name);
    ce_json_append_string(out, value);
}

static void optional_text(struct fl_buffer *out, const char *name, struct fl_slice value)
{
    if (value.len)
        text(out, name, value);
}

/* Lists of objects that hold a name only. */
static void names(struct fl_buffer *out, const char *member, const struct config_list *list)
{
    if (list->count == 0)
        return;
    key(out, member);
    fl_buffer_append_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        fl_buffer_append_str(out, i ? ",{" : "{");
        text(out, "name", list->items[i]);
        fl_buffer_append_byte(out, '}');
    }
    fl_buffer_append_byte(out, ']');
}

static void features(struct fl_buffer *out, const struct config_configuration *configuration)
{
    static const char *const defaults[] = {"HotReload", "WorkflowsRemoteActivityReminder"};
    const struct config_features *given = &configuration->features;
    bool has_any = false;
    key(out, "enabledFeatures");
    fl_buffer_append_byte(out, '[');
    for (size_t i = 0; i < given->count; i++) {
        if (!given->items[i].is_enabled)
            continue;
        fl_buffer_append_str(out, has_any ? "," : "");
        ce_json_append_string(out, given->items[i].name);
        has_any = true;
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        bool is_given = false;
        for (size_t k = 0; k < given->count; k++)
            is_given |= fl_slice_eq_str(given->items[k].name, defaults[i]);
        if (is_given)
            continue;
        fl_buffer_append_str(out, has_any ? "," : "");
        ce_json_append_string(out, fl_slice_str(defaults[i]));
        has_any = true;
    }
    fl_buffer_append_byte(out, ']');
}

static void one_component(struct fl_buffer *out, const struct config_component *config,
                          const char *const *capabilities, size_t count)
{
    fl_buffer_append_byte(out, '{');
    text(out, "name", config->name);
    text(out, "type", config->type);
    optional_text(out, "version", config->version);
    for (size_t i = 0; i < count; i++) {
        fl_buffer_append_str(out, i ? "," : ",\"capabilities\":[");
        ce_json_append_string(out, fl_slice_str(capabilities[i]));
    }
    fl_buffer_append_str(out, count ? "]}" : "}");
}

static void next_component(struct fl_buffer *out, bool *has_any)
{
    if (!*has_any)
        key(out, "components");
    fl_buffer_append_byte(out, *has_any ? ',' : '[');
    *has_any = true;
}

/* Secret stores, and then those that have a connector: the order in which they were opened. */
static void components(struct fl_buffer *out, const struct gateway *gateway)
{
    static const char *const many_keys[] = {"MULTIPLE_KEY_VALUES_PER_SECRET"};
    bool has_any = false;
    for (size_t i = 0; i < gateway->resources.component_count; i++) {
        const struct config_component *config = &gateway->resources.components[i];
        if (!gw_component_is_secret_store(config))
            continue;
        next_component(out, &has_any);
        one_component(out, config, many_keys, config->has_many_keys);
    }
    for (size_t i = 0; i < gateway->component_count; i++) {
        const struct gw_component *component = gateway->components[i];
        const char *capabilities[8];
        size_t count = gw_component_capabilities(component, capabilities, 8);
        next_component(out, &has_any);
        one_component(out, component->config, capabilities, count);
    }
    if (has_any)
        fl_buffer_append_byte(out, ']');
}

static int by_key(const void *a, const void *b)
{
    return fl_slice_compare(((const struct ce_metadata *)a)->key,
                            ((const struct ce_metadata *)b)->key);
}

static void pair(struct fl_buffer *out, size_t index, struct fl_slice name, struct fl_slice value)
{
    fl_buffer_append_str(out, index ? "," : "");
    ce_json_append_string(out, name);
    fl_buffer_append_byte(out, ':');
    ce_json_append_string(out, value);
}

/* In the order of its keys. */
static void extended(struct fl_buffer *out, const struct gateway *gateway, struct fl_arena *arena)
{
    const struct fl_map *given = &gateway->api.extended;
    struct ce_metadata *pairs = FL_ARENA_ARRAY(arena, struct ce_metadata, fl_map_count(given) + 1);
    size_t count = 0;
    uint32_t at = 0;
    struct fl_slice name;
    void *value;
    pairs[count++] =
        (struct ce_metadata){FL_SLICE_LIT("daprRuntimeVersion"), FL_SLICE_LIT(FL_VERSION)};
    while (fl_map_next(given, &at, &name, &value)) {
        const struct extended_value *bytes = value;
        pairs[count++] = (struct ce_metadata){name, fl_slice_of(bytes->bytes, bytes->len)};
    }
    qsort(pairs, count, sizeof *pairs, by_key);
    key(out, "extended");
    fl_buffer_append_byte(out, '{');
    for (size_t i = 0; i < count; i++)
        pair(out, i, pairs[i].key, pairs[i].value);
    fl_buffer_append_byte(out, '}');
}

static void one_subscription(struct fl_buffer *out, const struct config_subscription *subscription)
{
    fl_buffer_append_byte(out, '{');
    text(out, "pubsubname", subscription->pubsub);
    text(out, "topic", subscription->topic);
    if (subscription->metadata_count) {
        key(out, "metadata");
        fl_buffer_append_byte(out, '{');
        for (size_t i = 0; i < subscription->metadata_count; i++)
            pair(out, i, subscription->metadata[i].name, subscription->metadata[i].value);
        fl_buffer_append_byte(out, '}');
    }
    if (subscription->rule_count) {
        key(out, "rules");
        fl_buffer_append_byte(out, '[');
        for (size_t i = 0; i < subscription->rule_count; i++) {
            fl_buffer_append_str(out, i ? ",{" : "{");
            optional_text(out, "match", subscription->rules[i].match);
            optional_text(out, "path", subscription->rules[i].path);
            fl_buffer_append_byte(out, '}');
        }
        fl_buffer_append_byte(out, ']');
    }
    text(out, "deadLetterTopic", subscription->dead_letter_topic);
    text(out, "type",
         subscription->origin == CONFIG_DECLARED ? FL_SLICE_LIT("DECLARATIVE")
                                                 : FL_SLICE_LIT("PROGRAMMATIC"));
    fl_buffer_append_byte(out, '}');
}

static void subscriptions(struct fl_buffer *out, const struct gateway *gateway)
{
    const struct config_subscriptions *all = &gateway->subscriptions.merged;
    if (all->count == 0)
        return;
    key(out, "subscriptions");
    fl_buffer_append_byte(out, '[');
    for (size_t i = 0; i < all->count; i++) {
        fl_buffer_append_str(out, i ? "," : "");
        one_subscription(out, &all->items[i]);
    }
    fl_buffer_append_byte(out, ']');
}

static void duration(struct fl_buffer *out, const char *name, int64_t ms)
{
    key(out, name);
    fl_buffer_append_byte(out, '"');
    gw_duration_append(out, ms);
    fl_buffer_append_byte(out, '"');
}

static void app(struct fl_buffer *out, const struct gateway *gateway)
{
    const struct config_flags *flags = gateway->flags;
    key(out, "appConnectionProperties");
    fl_buffer_append_byte(out, '{');
    if (flags->app_port) {
        key(out, "port");
        fl_buffer_append_u64(out, flags->app_port);
    }
    text(out, "protocol", fl_slice_str(config_protocol_name(flags->app_protocol)));
    optional_text(out, "channelAddress", flags->app_channel_address);
    if (flags->app_max_concurrency > 0) {
        key(out, "maxConcurrency");
        fl_buffer_append_u64(out, (uint64_t)flags->app_max_concurrency);
    }
    if (flags->has_app_health_check) {
        key(out, "health");
        fl_buffer_append_byte(out, '{');
        text(out, "healthCheckPath", flags->app_health_check_path);
        duration(out, "healthProbeInterval", flags->app_health_probe_interval_ms);
        duration(out, "healthProbeTimeout", flags->app_health_probe_timeout_ms);
        key(out, "healthThreshold");
        fl_buffer_append_u64(out, (uint64_t)flags->app_health_threshold);
        fl_buffer_append_byte(out, '}');
    }
    fl_buffer_append_byte(out, '}');
}

void gw_api_metadata(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct fl_buffer out = {0};
    fl_buffer_append_byte(&out, '{');
    text(&out, "id", gateway->flags->app_id);
    text(&out, "runtimeVersion", FL_SLICE_LIT(FL_VERSION));
    features(&out, &gateway->configuration);
    components(&out, gateway);
    extended(&out, gateway, &hand->arena);
    subscriptions(&out, gateway);
    names(&out, "httpEndpoints", &gateway->resources.http_endpoints);
    app(&out, gateway);
    fl_buffer_append_str(&out,
                         ",\"actorRuntime\":{\"runtimeStatus\":\"DISABLED\",\"hostReady\":false,"
                         "\"placement\":\"placement: disconnected\"}");
    names(&out, "resiliencies", &gateway->resources.resiliency.names);
    if (gw_api_state_is_asked(hand->query))
        gw_api_state_append(&out, gateway);
    fl_buffer_append_str(&out, "}\n");
    gw_api_respond(gateway, hand->exchange, &hand->info, 200, "application/json",
                   fl_buffer_slice(&out), FL_SLICE_NULL);
    fl_buffer_fini(&out);
}

void gw_api_metadata_set(struct gateway *gateway, struct gw_api_hand *hand, struct fl_slice body)
{
    struct gw_api *api = &gateway->api;
    if (!fl_slice_eq_str(hand->key, "daprRuntimeVersion")) {
        const struct extended_value *former = fl_map_find(&api->extended, hand->key);
        size_t freed = former ? former->len : 0;
        if (api->extended_bytes - freed + body.len + hand->key.len > GW_MOST_EXTENDED_BYTES) {
            gw_api_fail_simple(gateway, hand->exchange, &hand->info, 400, "ERR_BODY_READ", "common",
                               "failed to read request body: extended metadata is full");
            return;
        }
        api->extended_bytes += body.len + (former ? 0 : hand->key.len) - freed;
        fl_free(fl_map_set(&api->extended, hand->key, new_value(body)));
    }
    gw_api_respond(gateway, hand->exchange, &hand->info, 204, NULL, FL_SLICE_NULL, FL_SLICE_NULL);
}
