/* All components of this process: opened in order, found by name, closed together.
 *
 * Thread: the loop's.
 */
#ifndef GW_COMPONENTS_H
#define GW_COMPONENTS_H

#include "base/error.h"
#include "base/slice.h"

struct config_component;
struct gateway;
struct gw_component;

/* Opens all components of the resources in order; skips what belongs to other building blocks with
 * a line. FL_ERR_INVALID: one that does not ignore errors failed, `error` has daprd's text. */
enum fl_err gw_components_open(struct gateway *gateway, struct fl_error *error) FL_MUST_USE;

/* The pub/sub component, or the binding, of that name; NULL when there is none. */
struct gw_component *gw_component_find(const struct gateway *gateway, struct fl_slice name);
struct gw_component *gw_binding_find(const struct gateway *gateway, struct fl_slice name);

/* The component is a secret store, and an open one. */
bool gw_component_is_secret_store(const struct config_component *config);

/* Whether "state", "middleware", … is one of Dapr's categories that are known and not here. */
bool gw_category_is_skipped(struct fl_slice category);

/* Starts closing all; gw_components_are_closed tells when it is done. */
void gw_components_close(struct gateway *gateway, int64_t deadline_at_ms);
bool gw_components_are_closed(const struct gateway *gateway);
void gw_components_free(struct gateway *gateway);

#endif
