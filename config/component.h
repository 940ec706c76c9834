/* Component resources: what to connect to, as declared.
 *
 * Values of the metadata list are strings as daprd makes them; resolve.h has what replaces
 * `envRef`, `secretKeyRef` and tags when the folder is loaded.
 *
 * Ownership: everything lives in the arena of the resources it was loaded with. Thread: any, once
 * loaded.
 */
#ifndef FL_CONFIG_COMPONENT_H
#define FL_CONFIG_COMPONENT_H

#include "config/note.h"
#include "config/values.h"
#include "config/yaml.h"

#define CONFIG_INIT_TIMEOUT_MS 5000

/* Where a value comes from when it does not stand in the resource. */
struct config_secret_ref {
    struct fl_slice name, key;
    struct fl_slice env; /* a variable of the environment, where no value stands; null: none */
};

/* What loading found out about a component. */
enum config_standing {
    CONFIG_SOUND,  /* its values are resolved; what they are worth is its connector's to say */
    CONFIG_PARKED, /* its secret store is not there: it is absent, and a note said so */
    CONFIG_BROKEN, /* it cannot be had; `trouble` says why */
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
    struct config_secret_ref *secrets; /* parallel to `metadata`; null name: no secret */
    size_t metadata_count;
    struct config_list scopes; /* empty: every application */
    struct fl_slice secret_store;
    bool has_namespace_tag; /* a raw value held {namespace}: topics get the namespace in front */
    bool has_many_keys;     /* an open secret store whose secrets have several keys each */
    enum config_standing standing;
    bool is_unknown;     /* of CONFIG_BROKEN: nothing serves its type */
    const char *trouble; /* of CONFIG_BROKEN: daprd's text, "[INIT_COMPONENT_FAILURE]: …" */
    const char *file;
    uint32_t line, type_line; /* of the document, and of what says its type */
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

#endif
