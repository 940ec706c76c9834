/* Any bytes as a resources file, as a configuration file, and as the application's answer to
 * GET /dapr/subscribe.
 *
 * Claims: whatever is accepted can be walked and written out within its bounds; a policy can be
 * looked up and its expression evaluated; a refusal has a text; nothing leaks.
 */
#include "base/error.h"
#include "config/component.h"
#include "config/configuration.h"
#include "config/resiliency.h"
#include "config/resolve.h"
#include "config/scopes.h"
#include "config/subscription_resource.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_component(const struct config_node *root, bool is_strict, struct fl_arena *arena,
                            struct config_notes *notes)
{
    const struct config_identity identity = {.app_id = FL_SLICE_LIT("app"),
                                             .namespace = FL_SLICE_LIT("ns")};
    struct config_component component;
    struct config_scopes scopes;
    struct fl_error error = {.text = ""};
    enum fl_err err = config_component_decode(root, arena, notes, is_strict, &component, &error);
    FL_ASSERT(notes->keeps_errors || (err == FL_OK) == (error.text[0] == '\0'));
    if (err != FL_OK)
        return;
    FL_ASSERT(component.name.len > 0 && component.init_timeout_ms > 0);
    const struct config_resolve how = {.identity = &identity, .arena = arena, .notes = notes};
    const struct config_secrets no_stores = {0};
    if (config_component_resolve(&how, &no_stores, &component, &error) != FL_OK)
        return;
    for (size_t i = 0; i < component.metadata_count; i++)
        FL_ASSERT(component.metadata[i].value.data != NULL);
    config_scopes_read(component.metadata, component.metadata_count, identity.app_id, arena,
                       &scopes);
    (void)config_scopes_allow(&scopes, CONFIG_SCOPE_PUBLISH, component.name);
}

static void check_subscription(const struct config_subscription *subscription)
{
    FL_ASSERT(subscription->bulk.max_messages > 0 && subscription->bulk.max_await_ms > 0);
    for (size_t i = 0; i < subscription->rule_count; i++)
        FL_ASSERT(subscription->rules[i].call.data[0] == '/');
    for (size_t i = 1; i < subscription->metadata_count; i++)
        FL_ASSERT(fl_slice_compare(subscription->metadata[i - 1].name,
                                   subscription->metadata[i].name) < 0);
}

static void check_subscriptions(const struct config_node *root, bool is_strict,
                                struct fl_arena *arena, struct config_notes *notes)
{
    for (int version = 1; version <= 2; version++) {
        struct config_subscription subscription;
        struct fl_error error;
        if (config_subscription_decode(root, version == 1, arena, notes, is_strict, &subscription,
                                       &error) == FL_OK)
            check_subscription(&subscription);
    }
}

static void check_resiliency(const struct config_node *root, bool is_strict, struct fl_arena *arena,
                             struct config_notes *notes)
{
    static const struct config_counts counts = {10, 4, 6, 0, 3};
    struct config_resiliency resiliency;
    struct fl_error error;
    config_resiliency_init(&resiliency, arena);
    (void)!config_resiliency_decode(&resiliency, root, notes, is_strict, &error);
    (void)!config_resiliency_check(&resiliency, notes, is_strict, &error);
    for (int direction = 0; direction < 2; direction++) {
        struct config_policy policy =
            config_resiliency_find(&resiliency, FL_SLICE_LIT("a"), (enum config_direction)direction,
                                   CONFIG_CATEGORY_PUBSUB);
        FL_ASSERT(policy.timeout_ms >= 0);
        if (policy.retry)
            (void)config_retry_matches(policy.retry, 500);
        if (policy.breaker)
            (void)config_trip_is_met(&policy.breaker->trip, &counts);
    }
    config_resiliency_fini(&resiliency);
}

static void check_documents(struct fl_slice text, bool is_strict, bool keeps_errors)
{
    size_t at = 0;
    uint32_t line = 1, first_line;
    struct fl_slice document;
    while (config_yaml_next_document(text, &at, &line, &document, &first_line)) {
        struct fl_arena arena = {0};
        struct config_notes notes;
        struct config_node *root;
        struct fl_slice json;
        struct fl_error error = {.text = ""};
        config_notes_init(&notes, &arena);
        notes.keeps_errors = keeps_errors;
        if (config_yaml_parse(document, "f.yaml", first_line, CONFIG_DIALECT_RESOURCE, &arena,
                              &root, &error) == FL_OK) {
            if (config_node_value(root, &arena, &json) == FL_OK)
                FL_ASSERT(json.len <= 1024 * 1024 + 1 || root->kind == CONFIG_NODE_STRING);
            check_component(root, is_strict, &arena, &notes);
            check_subscriptions(root, is_strict, &arena, &notes);
            check_resiliency(root, is_strict, &arena, &notes);
        } else {
            FL_ASSERT(error.text[0] != '\0');
        }
        fl_arena_fini(&arena);
    }
}

static void check_configuration(struct fl_slice text, bool is_strict, bool keeps_errors)
{
    struct fl_arena arena = {0};
    struct config_notes notes;
    struct config_configuration configuration;
    struct fl_error error = {.text = ""};
    config_notes_init(&notes, &arena);
    notes.keeps_errors = keeps_errors;
    config_configuration_init(&configuration);
    if (config_configuration_apply(text, "c.yaml", is_strict, &arena, &notes, &configuration,
                                   &error) != FL_OK)
        FL_ASSERT(keeps_errors || error.text[0] != '\0');
    FL_ASSERT(configuration.tracing.sampling_rate >= 0 && configuration.tracing.sampling_rate <= 1);
    (void)config_api_is_allowed(&configuration, "v1.0", "publish");
    (void)config_feature_is_enabled(&configuration, "HotReload");
    (void)config_component_is_denied(&configuration, FL_SLICE_LIT("a.b"), FL_SLICE_LIT("v1"));
    fl_arena_fini(&arena);
}

static void check_answer(struct fl_slice body)
{
    struct fl_arena arena = {0};
    struct config_notes notes;
    struct config_subscriptions list;
    struct fl_error error = {.text = ""};
    config_notes_init(&notes, &arena);
    if (config_subscriptions_parse(body, &arena, &notes, &list, &error) == FL_OK)
        for (size_t i = 0; i < list.count; i++)
            check_subscription(&list.items[i]);
    else
        FL_ASSERT(error.text[0] != '\0');
    fl_arena_fini(&arena);
}

/* The first byte chooses what the rest is, whether reading is strict, and whether it goes on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct fl_slice text = fl_slice_of((const char *)data + 1, size - 1);
    bool is_strict = data[0] & 4, keeps_errors = data[0] & 8;
    switch (data[0] & 3) {
    case 0:
    case 1:
        check_documents(text, is_strict, keeps_errors);
        break;
    case 2:
        check_configuration(text, is_strict, keeps_errors);
        break;
    case 3:
        check_answer(text);
        break;
    }
    return 0;
}
