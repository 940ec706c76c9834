/* Between resiliency.c, which holds policies and looks them up, resiliency_policies.c, which reads
 * one policy, and resiliency_document.c, which walks the document.
 *
 * Ownership: what the maps of a resiliency point to lives in its arena. Thread: one at a time.
 */
#ifndef FL_CONFIG_RESILIENCY_PRIV_H
#define FL_CONFIG_RESILIENCY_PRIV_H

#include "config/fields_priv.h"
#include "config/resiliency.h"

#define CONFIG_RESILIENCY_SCOPE "dapr.runtime.resiliency"

/* Bytes for the path of a policy or target in messages, and for that of a field below it. */
#define CONFIG_RESILIENCY_PATH 200
#define CONFIG_RESILIENCY_FIELD_PATH (CONFIG_RESILIENCY_PATH + 40)

/* The fewest retries that a redefinition of a built-in policy gets. */
#define CONFIG_BUILT_IN_RETRIES 3

bool config_retry_is_built_in(struct fl_slice name);

/* What a target names for one direction; empty: nothing. */
struct config_reference {
    struct fl_slice timeout, retry, breaker;
};

/* What the map `components` points to. */
struct config_target {
    struct config_reference directions[2]; /* by config_direction */
    const char *file;
    uint32_t line;
};

struct config_resiliency_decoder {
    struct config_resiliency *resiliency;
    struct config_reader reader;
    struct fl_error *error;
};

/* Reads one policy into its map; the pair's key is its name, `path` its place in messages. */
typedef enum fl_err config_decode_policy_fn(struct config_resiliency_decoder *d,
                                            const struct config_node_pair *pair, const char *path);

config_decode_policy_fn config_decode_timeout;
config_decode_policy_fn config_decode_retry;
config_decode_policy_fn config_decode_breaker;

#endif
