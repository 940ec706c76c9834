/* Two sources, one shape. The application's JSON becomes the same node tree as YAML (in a dialect
 * that never turns numbers into strings), so that one set of rows reads both; only what differs on
 * purpose is written twice: an element without a route is dropped where the application said it
 * and kept where a resource did. */
#include "config/subscription_resource.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/map.h"
#include "config/fields_priv.h"
#include "config/json_nodes_priv.h"
#include "config/resources_priv.h"

#define SCOPE "dapr.runtime.processor.subscription"

struct spec {
    struct fl_slice pubsub, topic, dead_letter_topic, route;
    struct config_pairs metadata;
    const struct config_node *routes, *bulk;
};

struct routes {
    const struct config_node *rules;
    struct fl_slice fallback;
};

struct document {
    struct config_resource_head head;
    const struct config_node *spec;
};

#define COMMON_SPEC_FIELDS                                                                         \
    CONFIG_FIELD(spec, pubsub, "pubsubname", CONFIG_FIELD_STRING),                                 \
        CONFIG_FIELD(spec, topic, "topic", CONFIG_FIELD_STRING),                                   \
        CONFIG_FIELD(spec, dead_letter_topic, "deadLetterTopic", CONFIG_FIELD_STRING),             \
        CONFIG_FIELD(spec, metadata, "metadata", CONFIG_FIELD_PAIRS),                              \
        CONFIG_FIELD(spec, bulk, "bulkSubscribe", CONFIG_FIELD_MAP)

static const struct config_field v1_fields[] = {
    COMMON_SPEC_FIELDS,
    CONFIG_FIELD(spec, route, "route", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field v2_fields[] = {
    COMMON_SPEC_FIELDS,
    CONFIG_FIELD(spec, routes, "routes", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field programmatic_fields[] = {
    COMMON_SPEC_FIELDS,
    CONFIG_FIELD(spec, route, "route", CONFIG_FIELD_STRING),
    CONFIG_FIELD(spec, routes, "routes", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field routes_fields[] = {
    CONFIG_FIELD(routes, rules, "rules", CONFIG_FIELD_LIST),
    CONFIG_FIELD(routes, fallback, "default", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field rule_fields[] = {
    CONFIG_FIELD(config_rule, match, "match", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_rule, path, "path", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field bulk_fields[] = {
    CONFIG_FIELD(config_bulk, is_enabled, "enabled", CONFIG_FIELD_BOOL),
    CONFIG_FIELD(config_bulk, max_messages, "maxMessagesCount", CONFIG_FIELD_INT32),
    CONFIG_FIELD(config_bulk, max_await_ms, "maxAwaitDurationMs", CONFIG_FIELD_INT32),
    {NULL},
};

static const struct config_field document_fields[] = {
    CONFIG_RESOURCE_HEAD_FIELDS(document, head),
    CONFIG_FIELD(document, spec, "spec", CONFIG_FIELD_MAP),
    {NULL},
};

/* --- paths ------------------------------------------------------------------------------------ */

/* Removes the last segment that was written, with its slash. */
static void drop_segment(struct fl_buffer *out)
{
    while (out->len && out->data[--out->len] != '/')
        ;
}

struct fl_slice config_path_clean(struct fl_slice path, struct fl_arena *arena)
{
    struct fl_buffer out = {0};
    while (path.len) {
        size_t at = fl_slice_find_byte(path, '/');
        struct fl_slice segment = fl_slice_of(path.data, at);
        size_t used = at == path.len ? at : at + 1;
        path = fl_slice_of(path.data + used, path.len - used);
        if (segment.len == 0 || fl_slice_eq_str(segment, "."))
            continue;
        if (fl_slice_eq_str(segment, "..")) {
            drop_segment(&out);
            continue;
        }
        fl_buffer_append_byte(&out, '/');
        fl_buffer_append_slice(&out, segment);
    }
    if (out.len == 0)
        fl_buffer_append_byte(&out, '/');
    struct fl_slice clean = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return clean;
}

/* --- one subscription ------------------------------------------------------------------------- */

/* Where the fields of one subscription stand, for messages: "spec" or "[3]". */
struct place {
    const struct config_reader *reader;
    const char *path;
    bool refuses_null_rules;
};

static enum fl_err read_rule(const struct place *place, const struct config_node *node,
                             size_t index, struct config_rule *rule, struct fl_error *error)
{
    char path[128];
    snprintf(path, sizeof path, "%s.routes.rules[%zu]", place->path, index);
    if (node->kind == CONFIG_NODE_NULL && place->refuses_null_rules)
        return config_field_error(node, path, "a map with match and path", error);
    enum fl_err err = config_fields_read(place->reader, node, path, rule_fields, rule, error);
    if (err == FL_OK)
        rule->call = config_path_clean(rule->path, place->reader->arena);
    rule->line = node->line;
    return err;
}

static enum fl_err read_rules(const struct place *place, const struct spec *spec,
                              struct config_subscription *subscription, struct fl_error *error)
{
    struct fl_arena *arena = place->reader->arena;
    struct routes routes = {0};
    char path[128];
    snprintf(path, sizeof path, "%s.routes", place->path);
    enum fl_err err =
        config_fields_read(place->reader, spec->routes, path, routes_fields, &routes, error);
    if (err != FL_OK)
        return err;
    size_t count = routes.rules ? routes.rules->list.count : 0;
    subscription->rules = FL_ARENA_ARRAY(arena, struct config_rule, count + 1);
    for (size_t i = 0; i < count; i++) {
        err = read_rule(place, routes.rules->list.items[i], i, &subscription->rules[i], error);
        err = config_field_keep(place->reader, err, error);
        if (err != FL_OK)
            return err;
    }
    struct fl_slice fallback = routes.fallback.len ? routes.fallback : spec->route;
    if (fallback.len)
        subscription->rules[count++] =
            (struct config_rule){.path = fallback, .call = config_path_clean(fallback, arena)};
    subscription->rule_count = count;
    return FL_OK;
}

/* daprd replaces a negative number without a word. */
static enum fl_err doubt_bulk(const struct place *place, const struct config_node *node,
                              const char *path, const struct config_bulk *bulk,
                              struct fl_error *error)
{
    bool is_count = bulk->max_messages < 0;
    const char *field = is_count ? "maxMessagesCount" : "maxAwaitDurationMs";
    const struct config_node *at = config_node_find(node, field);
    char text[CONFIG_PLACE_TEXT];
    return config_field_doubt(place->reader, error,
                              "%s: %s.%s: found %d; accepted: a positive integer; %d is used",
                              config_field_place(at, at->line, text), path, field,
                              is_count ? bulk->max_messages : bulk->max_await_ms,
                              is_count ? CONFIG_BULK_MESSAGES : CONFIG_BULK_AWAIT_MS);
}

static enum fl_err read_bulk(const struct place *place, const struct spec *spec,
                             struct config_bulk *bulk, struct fl_error *error)
{
    char path[128];
    snprintf(path, sizeof path, "%s.bulkSubscribe", place->path);
    enum fl_err err = config_fields_read(place->reader, spec->bulk, path, bulk_fields, bulk, error);
    if (err == FL_OK && (bulk->max_messages < 0 || bulk->max_await_ms < 0))
        err = doubt_bulk(place, spec->bulk, path, bulk, error);
    if (bulk->max_messages <= 0)
        bulk->max_messages = CONFIG_BULK_MESSAGES;
    if (bulk->max_await_ms <= 0)
        bulk->max_await_ms = CONFIG_BULK_AWAIT_MS;
    return err;
}

static int by_name(const void *a, const void *b)
{
    const struct config_value *x = a, *y = b;
    return fl_slice_compare(x->name, y->name);
}

static void keep_metadata(const struct config_reader *reader, const struct spec *spec,
                          const struct config_node *node, struct config_subscription *subscription)
{
    size_t count = spec->metadata.count;
    const struct config_node *map = config_node_find(node, "metadata");
    struct config_node_pair *pairs = NULL; /* in the order of the row that was read */
    if (count)
        (void)config_node_unique_pairs(map, reader->arena, &pairs);
    subscription->metadata = FL_ARENA_ARRAY(reader->arena, struct config_value, count + 1);
    subscription->metadata_count = count;
    for (size_t i = 0; i < count; i++)
        subscription->metadata[i] = (struct config_value){.name = spec->metadata.items[i].name,
                                                          .value = spec->metadata.items[i].value,
                                                          .file = node->file,
                                                          .line = pairs[i].line};
    if (count)
        qsort(subscription->metadata, count, sizeof *subscription->metadata, by_name);
}

static enum fl_err read_spec(const struct place *place, const struct config_node *node,
                             const struct config_field *fields,
                             struct config_subscription *subscription, struct fl_error *error)
{
    struct spec spec = {0};
    enum fl_err err = config_fields_read(place->reader, node, place->path, fields, &spec, error);
    if (err == FL_OK)
        err = read_rules(place, &spec, subscription, error);
    if (err == FL_OK)
        err = read_bulk(place, &spec, &subscription->bulk, error);
    if (err != FL_OK)
        return err;
    subscription->pubsub = spec.pubsub;
    subscription->topic = spec.topic;
    subscription->dead_letter_topic = spec.dead_letter_topic;
    keep_metadata(place->reader, &spec, node, subscription);
    return FL_OK;
}

/* --- what daprd takes and nobody can mean --- */

static enum fl_err doubt_field(const struct place *place, const struct config_node *root,
                               const char *field, const char *what, struct fl_error *error)
{
    const struct config_node *spec = config_node_find(root, "spec");
    const struct config_node *node = config_node_find(spec, field);
    uint32_t line = node ? node->line : spec ? spec->line : root->line;
    return config_field_doubt(place->reader, error, "%s:%u: spec.%s %s", root->file, line, field,
                              what);
}

static enum fl_err doubt_rules(const struct place *place, const struct config_node *root,
                               const struct config_subscription *subscription, bool is_v1,
                               struct fl_error *error)
{
    if (subscription->rule_count == 0)
        return doubt_field(place, root, is_v1 ? "route" : "routes",
                           "is missing or empty: every message of the topic is dropped", error);
    for (size_t i = 0; i < subscription->rule_count; i++) {
        const struct config_rule *rule = &subscription->rules[i];
        if (rule->path.len)
            continue;
        enum fl_err err = config_field_doubt(
            place->reader, error,
            "%s:%u: spec.routes.rules[%zu]: path is missing or empty: \"/\" is called", root->file,
            rule->line, i);
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

static enum fl_err doubt_sense(const struct place *place, const struct config_node *root,
                               const struct config_subscription *subscription, bool is_v1,
                               struct fl_error *error)
{
    enum fl_err err = FL_OK;
    if (subscription->pubsub.len == 0)
        err = doubt_field(place, root, "pubsubname",
                          "is missing or empty: the subscription has no effect", error);
    if (err == FL_OK && subscription->topic.len == 0)
        err = doubt_field(place, root, "topic",
                          "is missing or empty: the subscription has no effect", error);
    if (err == FL_OK && subscription->dead_letter_topic.len &&
        fl_slice_eq(subscription->dead_letter_topic, subscription->topic))
        err = doubt_field(place, root, "deadLetterTopic",
                          "is the topic itself: what fails comes back for ever", error);
    return err == FL_OK ? doubt_rules(place, root, subscription, is_v1, error) : err;
}

/* --- declared --------------------------------------------------------------------------------- */

enum fl_err config_subscription_decode(const struct config_node *root, bool is_v1,
                                       struct fl_arena *arena, struct config_notes *notes,
                                       bool is_strict, struct config_subscription *subscription,
                                       struct fl_error *error)
{
    bool has_failed = false;
    struct config_reader reader = {.arena = arena,
                                   .notes = notes,
                                   .scope = SCOPE,
                                   .is_strict = is_strict,
                                   .has_failed = &has_failed};
    struct place place = {.reader = &reader, .path = "spec"};
    struct config_subscription got = {.origin = CONFIG_DECLARED};
    struct document document = {0};
    enum fl_err err = config_fields_read(&reader, root, "", document_fields, &document, error);
    if (err == FL_OK)
        err = config_resource_head_read(&reader, root, &document.head, error);
    if (err == FL_OK)
        err = read_spec(&place, document.spec, is_v1 ? v1_fields : v2_fields, &got, error);
    err = config_field_end(&reader, err, error);
    if (err == FL_OK)
        err = doubt_sense(&place, root, &got, is_v1, error);
    if (err != FL_OK)
        return err;
    got.name = document.head.name;
    got.scopes = document.head.scopes;
    got.file = root->file;
    got.line = root->line;
    *subscription = got;
    return FL_OK;
}

/* --- programmatic ----------------------------------------------------------------------------- */

struct fl_slice config_subscription_key(const struct config_subscription *subscription,
                                        struct fl_arena *arena)
{
    struct fl_buffer out = {0};
    fl_buffer_printf(&out, "%zu:", subscription->pubsub.len);
    fl_buffer_append_slice(&out, subscription->pubsub);
    fl_buffer_append_slice(&out, subscription->topic);
    struct fl_slice key = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return key;
}

/* Adds, or takes the place of the one with the same pubsub and topic. */
static void add_or_replace(struct config_subscriptions *list, struct fl_map *seen,
                           const struct config_subscription *subscription, struct fl_arena *scratch)
{
    struct fl_slice key = config_subscription_key(subscription, scratch);
    struct config_subscription *earlier = fl_map_find(seen, key);
    if (earlier) {
        *earlier = *subscription;
        return;
    }
    list->items[list->count] = *subscription;
    fl_map_set(seen, key, &list->items[list->count++]);
}

static enum fl_err read_element(const struct config_reader *reader, const struct config_node *node,
                                size_t index, struct config_subscription *subscription,
                                struct fl_error *error)
{
    char path[32];
    snprintf(path, sizeof path, "[%zu]", index);
    struct place place = {.reader = reader, .path = path, .refuses_null_rules = true};
    *subscription = (struct config_subscription){.origin = CONFIG_PROGRAMMATIC};
    return read_spec(&place, node, programmatic_fields, subscription, error);
}

static enum fl_err read_elements(const struct config_reader *reader, const struct config_node *root,
                                 struct config_subscriptions *list, struct fl_map *seen,
                                 struct fl_arena *scratch, struct fl_error *error)
{
    for (size_t i = 0; i < root->list.count; i++) {
        const struct config_node *node = root->list.items[i];
        struct config_subscription subscription;
        if (node->kind == CONFIG_NODE_NULL)
            continue;
        enum fl_err err = read_element(reader, node, i, &subscription, error);
        if (err != FL_OK)
            return err;
        if (subscription.rule_count == 0) {
            config_note(reader->notes, FL_LOG_WARNING, SCOPE,
                        "/dapr/subscribe: [%zu]: no route, no rule and no default for topic "
                        "\"%.*s\" of pubsub \"%.*s\"; the element is left out",
                        i, FL_SLICE_ARG(subscription.topic), FL_SLICE_ARG(subscription.pubsub));
            continue;
        }
        add_or_replace(list, seen, &subscription, scratch);
    }
    return FL_OK;
}

static enum fl_err read_answer(const struct config_reader *reader, const struct config_node *root,
                               struct config_subscriptions *subscriptions, struct fl_arena *scratch,
                               struct fl_error *error)
{
    if (root->kind == CONFIG_NODE_NULL) {
        *subscriptions = (struct config_subscriptions){0};
        return FL_OK;
    }
    if (root->kind != CONFIG_NODE_LIST)
        return config_field_error(root, "", "a list of subscriptions", error);
    if (root->list.count > CONFIG_SUBSCRIPTIONS_MAX)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "/dapr/subscribe: more than %d subscriptions",
                            CONFIG_SUBSCRIPTIONS_MAX);
    struct config_subscriptions list = {
        .items = FL_ARENA_ARRAY(reader->arena, struct config_subscription, root->list.count + 1)};
    struct fl_map seen = {0};
    enum fl_err err = read_elements(reader, root, &list, &seen, scratch, error);
    fl_map_fini(&seen);
    if (err == FL_OK)
        *subscriptions = list;
    return err;
}

enum fl_err config_subscriptions_parse(struct fl_slice body, struct fl_arena *arena,
                                       struct config_notes *notes,
                                       struct config_subscriptions *subscriptions,
                                       struct fl_error *error)
{
    struct config_reader reader = {.arena = arena, .notes = notes, .scope = SCOPE};
    struct fl_arena scratch = {0};
    struct config_node *root = NULL;
    if (fl_slice_trim(body).len == 0) {
        *subscriptions = (struct config_subscriptions){0};
        return FL_OK;
    }
    enum fl_err err = config_json_read(body, "/dapr/subscribe", &scratch, &root, error);
    if (err == FL_OK)
        err = read_answer(&reader, root, subscriptions, &scratch, error);
    fl_arena_fini(&scratch);
    return err;
}

/* --- merging ---------------------------------------------------------------------------------- */

void config_subscriptions_merge(const struct config_subscriptions *declared,
                                const struct config_subscriptions *programmatic,
                                struct fl_arena *arena, struct config_subscriptions *merged)
{
    struct config_subscriptions list = {
        .items = FL_ARENA_ARRAY(arena, struct config_subscription,
                                declared->count + programmatic->count + 1)};
    struct fl_map seen = {0};
    struct fl_arena scratch = {0};
    for (size_t i = 0; i < declared->count; i++)
        add_or_replace(&list, &seen, &declared->items[i], &scratch);
    for (size_t i = 0; i < programmatic->count; i++)
        add_or_replace(&list, &seen, &programmatic->items[i], &scratch);
    fl_map_fini(&seen);
    fl_arena_fini(&scratch);
    *merged = list;
}
