/* Which topics an application may publish to and subscribe, by a pub/sub component's metadata.
 *
 * Ownership: lists live in the arena given. Thread: any, once read.
 */
#ifndef FL_CONFIG_SCOPES_H
#define FL_CONFIG_SCOPES_H

#include "base/arena.h"
#include "config/option.h"
#include "config/values.h"

enum config_scope_direction { CONFIG_SCOPE_PUBLISH, CONFIG_SCOPE_SUBSCRIBE };

struct config_scopes {
    struct config_list allowed_topics; /* empty: all */
    struct config_list protected_topics;
    /* This application's own lists, and whether it has an entry at all: `app=` is an empty list and
     * denies everything. Indexed by direction. */
    struct config_list own[2];
    bool has_own[2];
};

/* Reads allowedTopics, protectedTopics, publishingScopes and subscriptionScopes from a component's
 * settings, keys without case, spaces ignored. */
void config_scopes_read(const struct config_value *values, size_t count, struct fl_slice app_id,
                        struct fl_arena *arena, struct config_scopes *scopes);

/* Tells the parts of publishingScopes and subscriptionScopes that have no effect, since daprd
 * leaves them out without a word and then allows everything: into the notes, or under `is_strict`
 * as FL_ERR_INVALID. */
enum fl_err config_scopes_check(const struct config_value *values, size_t count,
                                const struct config_bind *how, struct fl_error *error) FL_MUST_USE;

bool config_scopes_allow(const struct config_scopes *scopes, enum config_scope_direction direction,
                         struct fl_slice topic);

/* The four keys as rows (CONFIG_IGNORED), to be known beside a connector's own. */
extern const struct config_option config_scope_options[];

#endif
