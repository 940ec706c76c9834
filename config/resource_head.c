/* What every resource begins with: apiVersion, kind, metadata and scopes. Only the name and the
 * namespace mean something here; Kubernetes' other fields of `metadata` are accepted without a
 * word, because resources are often exported from a cluster. */
#include "config/resources.h"
#include "config/resources_priv.h"

bool config_name_is_valid(struct fl_slice name)
{
    return name.len && !fl_slice_eq_str(name, ".") && !fl_slice_eq_str(name, "..") &&
           fl_slice_find_byte(name, '/') == name.len && fl_slice_find_byte(name, '%') == name.len &&
           !memchr(name.data, '\0', name.len);
}

struct metadata {
    struct fl_slice name, namespace;
};

/* Kubernetes' other fields are accepted without a word. */
static const struct config_field metadata_fields[] = {
    CONFIG_FIELD(metadata, name, "name", CONFIG_FIELD_STRING),
    CONFIG_FIELD(metadata, namespace, "namespace", CONFIG_FIELD_STRING),
    {"labels", CONFIG_FIELD_KNOWN, 0},
    {"annotations", CONFIG_FIELD_KNOWN, 0},
    {"generateName", CONFIG_FIELD_KNOWN, 0},
    {"resourceVersion", CONFIG_FIELD_KNOWN, 0},
    {"uid", CONFIG_FIELD_KNOWN, 0},
    {"generation", CONFIG_FIELD_KNOWN, 0},
    {"creationTimestamp", CONFIG_FIELD_KNOWN, 0},
    {"managedFields", CONFIG_FIELD_KNOWN, 0},
    {"finalizers", CONFIG_FIELD_KNOWN, 0},
    {"ownerReferences", CONFIG_FIELD_KNOWN, 0},
    {"selfLink", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

enum fl_err config_resource_head_read(const struct config_reader *reader,
                                      const struct config_node *root,
                                      struct config_resource_head *head, struct fl_error *error)
{
    struct metadata metadata = {0};
    enum fl_err err =
        config_fields_read(reader, head->metadata, "metadata", metadata_fields, &metadata, error);
    if (err != FL_OK)
        return err;
    const struct config_node *at = config_node_find(head->metadata, "name");
    if (metadata.name.len == 0 && config_field_end(reader, FL_OK, error) != FL_OK)
        return FL_ERR_NOT_FOUND;
    if (metadata.name.len == 0)
        return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                            "%s:%u: metadata.name is missing or empty", root->file, root->line);
    if (!config_name_is_valid(metadata.name))
        return config_field_error(at, "metadata.name",
                                  "a name without \"/\" and \"%\" that is not \".\" or \"..\"",
                                  error);
    head->name = metadata.name;
    head->namespace = metadata.namespace;
    return FL_OK;
}
