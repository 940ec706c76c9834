/* Subscriptions: declared by resources, or given by the application's answer to GET
 * /dapr/subscribe. Both become the same struct.
 *
 * Ownership: everything lives in the arena given. Thread: any, once read.
 */
#ifndef FL_CONFIG_SUBSCRIPTION_RESOURCE_H
#define FL_CONFIG_SUBSCRIPTION_RESOURCE_H

#include "config/note.h"
#include "config/values.h"
#include "config/yaml.h"

#define CONFIG_BULK_MESSAGES 100
#define CONFIG_BULK_AWAIT_MS 1000
#define CONFIG_SUBSCRIPTIONS_MAX 100000

enum config_subscription_origin { CONFIG_DECLARED, CONFIG_PROGRAMMATIC };

struct config_rule {
    struct fl_slice match; /* empty or blank: always */
    struct fl_slice path;  /* as given, for metadata; may be empty */
    struct fl_slice call;  /* cleaned, begins with '/': what to POST to */
    uint32_t line;         /* 0: unknown, or the default */
};

struct config_bulk {
    bool is_enabled;
    int32_t max_messages; /* > 0, the default filled in */
    int32_t max_await_ms; /* > 0, the default filled in */
};

struct config_subscription {
    enum config_subscription_origin origin;
    struct fl_slice name;              /* of the resource; null for a programmatic one */
    struct fl_slice pubsub;            /* may be empty: kept, listed, inert */
    struct fl_slice topic;             /* may be empty */
    struct fl_slice dead_letter_topic; /* empty: none */
    struct config_value *metadata;     /* sorted by name, names unique */
    size_t metadata_count;
    struct config_rule *rules; /* in order, the default last with an empty match; none at all: every
                                  message is dropped */
    size_t rule_count;
    struct config_bulk bulk;
    struct config_list scopes; /* declared ones; empty: every application */
    const char *file;          /* NULL for a programmatic one */
    uint32_t line;
};

struct config_subscriptions {
    struct config_subscription *items;
    size_t count;
};

/* Decodes one Subscription document, v1alpha1 or v2alpha1. FL_ERR_INVALID: a wrong type or a bad
 * name; FL_ERR_NOT_FOUND: no name at all. */
enum fl_err config_subscription_decode(const struct config_node *root, bool is_v1,
                                       struct fl_arena *arena, struct config_notes *notes,
                                       bool is_strict, struct config_subscription *subscription,
                                       struct fl_error *error) FL_MUST_USE;

/* Reads the body of a 200 answer. An empty body, `[]` and `null` are no subscriptions. Elements
 * without any route are left out with a warning; `null` elements are left out; the last of equal
 * (pubsub, topic) wins, at the place of the first. One wrong type, or a null rule, and the whole
 * answer is FL_ERR_INVALID. `body` is borrowed for the call. */
enum fl_err config_subscriptions_parse(struct fl_slice body, struct fl_arena *arena,
                                       struct config_notes *notes,
                                       struct config_subscriptions *subscriptions,
                                       struct fl_error *error) FL_MUST_USE;

/* Declared ones, those with a programmatic namesake (pubsub, topic) replaced by it in place, then
 * the remaining programmatic ones: the order in which metadata lists them. The structs are copied,
 * what they point to is shared. */
void config_subscriptions_merge(const struct config_subscriptions *declared,
                                const struct config_subscriptions *programmatic,
                                struct fl_arena *arena, struct config_subscriptions *merged);

/* Unix path cleaning with a leading '/': "orders/" → "/orders", "" → "/", "http://h/x" →
 * "/http:/h/x". */
struct fl_slice config_path_clean(struct fl_slice path, struct fl_arena *arena);

#endif
