/* Secret stores: where the values of `secretKeyRef` come from.
 *
 * Two of Dapr's stores are here: `secretstores.local.file`, a JSON file, and
 * `secretstores.local.env`, the environment. Dapr's others (Kubernetes, Vault and the clouds') are
 * known by name: such a component is skipped, and one that needs a secret of it cannot be had.
 *
 * Stores live while resources are loaded and no longer; what remains of a secret is the value that
 * a component asked for. No text made here holds a secret or a part of the file.
 *
 * Ownership: the stores own what they read; the values that they give are copied into the arena
 * given. Thread: one at a time.
 */
#ifndef FL_CONFIG_SECRETS_H
#define FL_CONFIG_SECRETS_H

#include "base/map.h"
#include "config/component.h"
#include "config/option.h"

/* One store type, for validation and for the manual. */
struct config_secret_store_type {
    const char *type; /* such as "secretstores.local.file"; NULL ends the list */
    const char *summary;
    const struct config_option *options;
};

extern const struct config_secret_store_type config_secret_store_types[];

/* The stores that are open, by name. A zeroed struct has none. */
struct config_secrets {
    struct fl_map stores;
};

void config_secrets_fini(struct config_secrets *secrets);

/* Opens a store whose own values are resolved; `how` as for its options. Says in the component
 * whether secrets of it have several keys.
 *
 * FL_ERR_UNSUPPORTED: a store of Dapr's that is not here; it is remembered by name.
 * FL_ERR_NOT_FOUND: no such type or version. Others: its settings, or its file, are wrong. */
enum fl_err config_secrets_open(struct config_secrets *secrets, struct config_component *component,
                                const struct config_bind *how, struct fl_error *error) FL_MUST_USE;

/* FL_ERR_AGAIN: no store of that name is open. FL_ERR_UNSUPPORTED: it is one that is not here. */
enum fl_err config_secrets_find(const struct config_secrets *secrets, struct fl_slice store,
                                struct fl_error *error) FL_MUST_USE;

/* One value out of an open store. An empty `key` means `name`.
 *
 * FL_ERR_NOT_FOUND: no such secret, or no such key of it. FL_ERR_REFUSED: an environment variable
 * that no resource may read. FL_ERR_AGAIN, FL_ERR_UNSUPPORTED: as above. */
enum fl_err config_secrets_get(const struct config_secrets *secrets, struct fl_slice store,
                               const struct config_secret_ref *ref, struct fl_arena *arena,
                               struct fl_slice *value, struct fl_error *error) FL_MUST_USE;

/* The type is one of Dapr's secret stores that are not here. */
bool config_secret_store_is_absent(struct fl_slice type);

/* The environment variables that resources may never read: the application's token and everything
 * of Dapr's own. */
bool config_env_is_denied(struct fl_slice name);

#endif
