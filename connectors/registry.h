/* Which connector serves a component type: those linked in, and loadable modules.
 *
 * A module is a shared object `connector-<system>.so` beside the executable (<dir>/connectors/) or
 * in its library folder (<dir>/../lib/fairlead/), never in the working directory. It exports one
 * symbol, `fairlead_connector`, a constant `struct connector_type`, whose interface number is
 * exactly CONNECTOR_INTERFACE. A module is opened when the first component of its types asks for
 * it, and stays open until the process ends.
 *
 * Nobody but registry.c knows whether a connector was linked in or loaded.
 *
 * Thread: one at a time. Opening a module reads files: at start-up, or when a component is added.
 */
#ifndef CONNECTOR_REGISTRY_H
#define CONNECTOR_REGISTRY_H

#include "base/error.h"
#include "base/slice.h"
#include "connectors/connector.h"

struct connector_registry;

/* Looks for modules relative to the running executable. Never fails: without a readable
 * /proc/self/exe there are no modules. */
struct connector_registry *connector_registry_new(void) __attribute__((returns_nonnull));

/* Sets the pointer to NULL; NULL inside is accepted. Types found stay valid. */
void connector_registry_free(struct connector_registry **registry);

/* `component_type` as in YAML ("pubsub.redis"), compared without case. `version` "", "v0" and "v1"
 * are the first version of a type; any other needs a type that lists "TYPE/VERSION". The type lives
 * as long as the process.
 *
 * FL_ERR_NOT_FOUND: nobody serves it; the text says what is near in spelling, or lists what there
 * is, beginning "no connector serves ". FL_ERR_UNSUPPORTED: its module has another interface number
 * (both are named). FL_ERR_SYSTEM: its module cannot be opened; the text has the loader's words. */
enum fl_err connector_registry_find(struct connector_registry *registry,
                                    struct fl_slice component_type, struct fl_slice version,
                                    const struct connector_type **type,
                                    struct fl_error *error) FL_MUST_USE;

/* Opens every module there is, for listings. Those that cannot be opened are left out and named in
 * `error` (the first of them), which may be NULL. */
void connector_registry_load_all(struct connector_registry *registry, struct fl_error *error);

/* Iterates over the connectors linked in or opened so far: start with `*at` = 0; NULL when done. */
const struct connector_type *connector_registry_next(const struct connector_registry *registry,
                                                     size_t *at);

#endif
