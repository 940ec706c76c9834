/* A publish under its component's outbound policy: attempts, each a publish of its own, until one
 * succeeds or the policy is spent.
 *
 * The connector keeps an attempt that a time limit has ended until it answers; nobody hears that
 * answer. What it was about may have been stored, so a retry may store it twice (at least once).
 *
 * When nobody waits for the outcome any more, an attempt that fails is the last one.
 *
 * Our own bound (FL_ERR_AGAIN) is no failure of the component: it ends the publish at once. So does
 * a component's word that it will never take this message.
 *
 * Thread: the loop's. For publish.c only.
 */
#ifndef GW_PUBLISH_POLICY_H
#define GW_PUBLISH_POLICY_H

#include "gateway/publish.h"

struct gw_publish_operation;

/* Starts; `event` is taken. `publish->done` is called later, never from inside. */
void gw_publish_policy_start(struct gateway *gateway, struct gw_publish *publish,
                             struct ce_event **event);

/* Ends it without `done`. False: an attempt was sent and is not answered. */
bool gw_publish_policy_withdraw(struct gw_publish_operation **operation);

/* No further attempts: those that wait for one end with their last failure. */
void gw_publish_policy_stop(struct gateway *gateway);

#endif
