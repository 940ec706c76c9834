/* `fairlead check`: declared subscriptions against the components that they name: that there is
 * one, topics and dead letter topics within its bounds and scopes, metadata, routing rules.
 *
 * Thread: one at a time.
 */
#ifndef GW_CHECK_SUBSCRIPTIONS_H
#define GW_CHECK_SUBSCRIPTIONS_H

#include "gateway/check_components.h"

/* `app_id` empty: no application in particular. */
void gw_check_subscriptions(const struct config_resources *resources,
                            const struct gw_checked_components *components, struct fl_slice app_id,
                            struct fl_arena *arena, struct gw_findings *findings);

#endif
