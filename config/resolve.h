/* Values of components as they are used: `envRef` and `secretKeyRef` looked up, tags replaced, in
 * daprd's order: secret stores first, each as soon as the store that it needs itself is open.
 *
 * A component whose secret store is not there is parked: it is absent and everything else goes on.
 * One that cannot be had is marked broken, with the words for whoever opens it. Components of
 * building blocks that are not here are left as they are.
 *
 * Thread: one at a time.
 */
#ifndef FL_CONFIG_RESOLVE_H
#define FL_CONFIG_RESOLVE_H

#include "config/component.h"
#include "config/secrets.h"
#include "config/templates.h"

struct config_resolve {
    const struct config_identity *identity;
    struct fl_arena *arena;
    struct config_notes *notes;
    bool is_strict; /* parked components and secrets that are not found are errors */
};

/* Fills the values, the standing and the trouble of each component, and brings them into the order
 * in which they are opened. */
void config_components_resolve(const struct config_resolve *how,
                               struct config_component *components, size_t count);

/* One component, with the stores that are open. FL_ERR_AGAIN: its store is not; nothing was
 * changed. FL_ERR_UNSUPPORTED: its store is not part of Fairlead. FL_ERR_INVALID: a tag without a
 * value, or a doubt in a strict load. */
enum fl_err config_component_resolve(const struct config_resolve *how,
                                     const struct config_secrets *secrets,
                                     struct config_component *component,
                                     struct fl_error *error) FL_MUST_USE;

/* Replaces in a text what stands in it of the component's secrets by "***": whole ones of four
 * bytes and more, and parts of six and more. For words of those who were given the values. */
void config_component_hide_secrets(const struct config_component *component, char *text);

#endif
