/* The resources folders (--resources-path): every document of this process, decoded, filtered and
 * in daprd's order.
 *
 * A document that cannot be read is a warning and is skipped; two definitions of one name, a
 * missing folder, and under `is_strict` anything doubtful, are errors.
 *
 * Ownership: everything lives in the struct's arena; the struct points into itself and must not be
 * copied or moved. Thread: any, once loaded.
 */
#ifndef FL_CONFIG_RESOURCES_H
#define FL_CONFIG_RESOURCES_H

#include "config/component.h"
#include "config/configuration.h"
#include "config/resiliency.h"
#include "config/subscription_resource.h"
#include "config/templates.h"

#define CONFIG_FILES_MAX 10000

struct config_resources {
    struct config_component *components; /* secret stores first, then file order; scope, namespace
                                            and deny list already applied; resolved as each
                                            one's `standing` says */
    size_t component_count;
    struct config_subscriptions subscriptions; /* first documents of all files, then the second
                                                  ones, …; scopes applied; the first of equal
                                                  (pubsub, topic) only */
    struct config_resiliency resiliency;
    struct config_list http_endpoints; /* names, for metadata */
    struct config_notes notes;
    struct fl_arena arena;
};

struct config_load {
    struct config_list folders;
    struct config_identity identity;
    const struct config_configuration *configuration; /* deny list, HotReload; NULL: defaults */
    bool makes_default;                               /* a component that no file declares */
    bool is_strict;
    bool takes_all_scopes; /* of every application, in place of the identity's */
    bool keeps_errors;     /* of what is not a bound: into the notes, and the load goes on */
};

/* The component that `makes_default` makes; it has no metadata. */
#define CONFIG_DEFAULT_COMPONENT "pubsub"
#define CONFIG_DEFAULT_TYPE "pubsub.sqlite"

/* Initialises `resources`, whatever the result, so that its notes can be written; fini it always.
 * The error's text is complete as daprd's: "failed to load components: …". */
enum fl_err config_resources_load(const struct config_load *how, struct config_resources *resources,
                                  struct fl_error *error) FL_MUST_USE;
void config_resources_fini(struct config_resources *resources);

/* "NAME" is a valid name of a resource: not empty, not "." or "..", without '/' and '%'. */
bool config_name_is_valid(struct fl_slice name);

#endif
