/* What every kind of resource begins with.
 *
 * Thread: one at a time.
 */
#ifndef FL_CONFIG_RESOURCES_PRIV_H
#define FL_CONFIG_RESOURCES_PRIV_H

#include <stddef.h>

#include "config/fields_priv.h"

struct config_resource_head {
    struct fl_slice api_version, kind;
    const struct config_node *metadata;
    struct config_list scopes;
    /* Filled by `config_resource_head_read`. */
    struct fl_slice name, namespace;
};

/* Rows for a struct that holds a head as `member`. */
#define CONFIG_RESOURCE_HEAD_FIELDS(struct_, member)                                               \
    {"apiVersion", CONFIG_FIELD_STRING, offsetof(struct struct_, member.api_version)},             \
        {"kind", CONFIG_FIELD_STRING, offsetof(struct struct_, member.kind)},                      \
        {"metadata", CONFIG_FIELD_MAP, offsetof(struct struct_, member.metadata)},                 \
    {                                                                                              \
        "scopes", CONFIG_FIELD_STRINGS, offsetof(struct struct_, member.scopes)                    \
    }

/* Name and namespace. FL_ERR_NOT_FOUND: no name; FL_ERR_INVALID: a bad one. */
enum fl_err config_resource_head_read(const struct config_reader *reader,
                                      const struct config_node *root,
                                      struct config_resource_head *head,
                                      struct fl_error *error) FL_MUST_USE;

struct config_subscription;

/* What makes two subscriptions the same: pubsub and topic, in one text. */
struct fl_slice config_subscription_key(const struct config_subscription *subscription,
                                        struct fl_arena *arena);

#endif
