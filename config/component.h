/* Component resources: what to connect to, as declared.
 *
 * Values of the metadata list are strings as daprd makes them; `envRef` is resolved and tags are
 * replaced when the folder is loaded, `secretKeyRef` is accepted and left as it is, with a warning.
 *
 * Ownership: everything lives in the arena of the resources it was loaded with. Thread: any, once
 * loaded.
 */
#ifndef FL_CONFIG_COMPONENT_H
#define FL_CONFIG_COMPONENT_H

#include "config/note.h"
#include "config/templates.h"
#include "config/values.h"
#include "config/yaml.h"

#define CONFIG_INIT_TIMEOUT_MS 5000

struct config_secret_ref {
    struct fl_slice name, key;
};

struct config_component {
    struct fl_slice name;
    struct fl_slice namespace; /* empty: none */
    struct fl_slice type;      /* as written, such as "pubsub.redis" */
    struct fl_slice version;   /* as written; empty: none */
    struct fl_slice log_name;  /* "NAME (TYPE/VERSION)" or "NAME (TYPE)" */
    bool ignores_errors;
    int64_t init_timeout_ms;           /* > 0 */
    struct config_value *metadata;     /* same-named entries stay; the last one wins */
    struct config_secret_ref *secrets; /* parallel to `metadata`; null name: none */
    size_t metadata_count;
    struct config_list scopes; /* empty: every application */
    struct fl_slice secret_store;
    bool has_namespace_tag; /* a raw value held {namespace}: topics get the namespace in front */
    const char *file;
    uint32_t line;
};

/* The last entry of that name, without case; NULL when absent. */
const struct config_value *config_component_find(const struct config_component *component,
                                                 const char *name);

/* "pubsub", "bindings", …: the type up to its first dot, or all of it. */
struct fl_slice config_component_category(const struct config_component *component);

/* The type after the first dot. */
struct fl_slice config_component_system(const struct config_component *component);

/* Decodes one document whose apiVersion and kind were checked. FL_ERR_INVALID: a wrong type or a
 * bad name. FL_ERR_NOT_FOUND: no name at all; daprd drops such a document without a word. */
enum fl_err config_component_decode(const struct config_node *root, struct fl_arena *arena,
                                    struct config_notes *notes, bool is_strict,
                                    struct config_component *component,
                                    struct fl_error *error) FL_MUST_USE;

/* Resolves envRef (allowed ones) and replaces tags in all values. */
enum fl_err config_component_resolve(struct config_component *component,
                                     const struct config_identity *identity, struct fl_arena *arena,
                                     struct config_notes *notes,
                                     struct fl_error *error) FL_MUST_USE;

#endif
