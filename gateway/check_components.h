/* `fairlead check`: the settings of every component, read and checked by its connector without
 * opening anything.
 *
 * Ownership: what is filled lives in the arena given and borrows from the resources. Thread: one at
 * a time.
 */
#ifndef GW_CHECK_COMPONENTS_H
#define GW_CHECK_COMPONENTS_H

#include "config/resources.h"
#include "gateway/component_options.h"

struct connector_registry;
struct gw_findings;

/* Parallel to the components of the resources. */
struct gw_checked_component {
    const struct connector_type *type; /* NULL: it cannot be had, or is none of ours */
    struct connector_traits traits;
};

struct gw_checked_components {
    struct gw_checked_component *items;
    size_t count;
};

void gw_check_components(const struct config_resources *resources,
                         struct connector_registry *registry, struct fl_arena *arena,
                         struct gw_findings *findings, struct gw_checked_components *checked);

#endif
