/* What is doubtful about subscriptions once it is known which components there are: one that names
 * no component, and metadata that nobody reads.
 *
 * Thread: the loop's.
 */
#ifndef GW_SUBSCRIPTION_CHECK_H
#define GW_SUBSCRIPTION_CHECK_H

#include "config/subscription_resource.h"

struct gateway;

enum { GW_SUBSCRIPTION_OWNER_TEXT = 300 };
/* Whose metadata it is, for messages. Returns `out`. */
const char *gw_subscription_owner(const struct config_subscription *config,
                                  char out[GW_SUBSCRIPTION_OWNER_TEXT]);

/* Each list is to be looked at once, before it is made. Doubts go to the log; under `is_strict` the
 * first is FL_ERR_INVALID or FL_ERR_NOT_FOUND. */
enum fl_err gw_subscriptions_check(struct gateway *gateway, const struct config_subscriptions *list,
                                   bool is_strict, struct fl_error *error) FL_MUST_USE;

#endif
