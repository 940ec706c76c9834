/* Values of resources that may stand elsewhere: in a secret store or in the environment. The
 * metadata of components and the headers and certificates of HTTPEndpoints share the shape.
 *
 * Ownership: what is read lives in the reader's arena or is borrowed from the document. Thread: one
 * at a time.
 */
#ifndef FL_CONFIG_VALUE_SOURCE_PRIV_H
#define FL_CONFIG_VALUE_SOURCE_PRIV_H

#include "config/component.h"
#include "config/fields_priv.h"

struct config_value_source {
    struct fl_slice name; /* empty where the place has none */
    struct fl_slice env_ref;
    const struct config_node *value, *secret; /* NULL: absent */
};

/* One such map. `path` names it in messages; `has_name`: one of its fields is its name. */
enum fl_err config_value_source_read(const struct config_reader *reader,
                                     const struct config_node *node, const char *path,
                                     bool has_name, struct config_value_source *source,
                                     struct fl_error *error) FL_MUST_USE;

/* Its secretKeyRef, when there is one; `path` as above. */
enum fl_err config_value_source_read_secret(const struct config_reader *reader,
                                            const struct config_value_source *source,
                                            const char *path, struct config_secret_ref *secret,
                                            struct fl_error *error) FL_MUST_USE;

/* The resource's `auth`, which names the store of its secrets. */
enum fl_err config_auth_read(const struct config_reader *reader, const struct config_node *node,
                             struct fl_slice *secret_store, struct fl_error *error) FL_MUST_USE;

#endif
