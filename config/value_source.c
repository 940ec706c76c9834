/* The rows of a value that may stand elsewhere, with a name and without one, and of what it refers
 * to. Whether the sources make sense together is the caller's to say. */
#include "config/value_source_priv.h"

#include <stdio.h>

#define SOURCE_FIELDS                                                                              \
    CONFIG_FIELD(config_value_source, value, "value", CONFIG_FIELD_ANY),                           \
        CONFIG_FIELD(config_value_source, secret, "secretKeyRef", CONFIG_FIELD_MAP),               \
        CONFIG_FIELD(config_value_source, env_ref, "envRef", CONFIG_FIELD_STRING)

static const struct config_field named_fields[] = {
    CONFIG_FIELD(config_value_source, name, "name", CONFIG_FIELD_STRING),
    SOURCE_FIELDS,
    {NULL},
};

static const struct config_field nameless_fields[] = {
    SOURCE_FIELDS,
    {NULL},
};

static const struct config_field secret_fields[] = {
    CONFIG_FIELD(config_secret_ref, name, "name", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_secret_ref, key, "key", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field auth_fields[] = {
    {"secretStore", CONFIG_FIELD_STRING, 0},
    {NULL},
};

enum fl_err config_value_source_read(const struct config_reader *reader,
                                     const struct config_node *node, const char *path,
                                     bool has_name, struct config_value_source *source,
                                     struct fl_error *error)
{
    return config_fields_read(reader, node, path, has_name ? named_fields : nameless_fields, source,
                              error);
}

enum fl_err config_value_source_read_secret(const struct config_reader *reader,
                                            const struct config_value_source *source,
                                            const char *path, struct config_secret_ref *secret,
                                            struct fl_error *error)
{
    char name[128];
    snprintf(name, sizeof name, "%s.secretKeyRef", path);
    return config_fields_read(reader, source->secret, name, secret_fields, secret, error);
}

enum fl_err config_auth_read(const struct config_reader *reader, const struct config_node *node,
                             struct fl_slice *secret_store, struct fl_error *error)
{
    return config_fields_read(reader, node, "auth", auth_fields, secret_store, error);
}
