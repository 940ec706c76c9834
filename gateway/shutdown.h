/* How the process ends (runtime.md §5): signals, the API's request, the block period, the grace
 * period.
 *
 *   RUNNING ─► BLOCKING (--dapr-block-shutdown-duration) ─► DRAINING ─► CLOSING ─► STOPPED
 *
 * Draining: the API takes no new connections and answers what runs; subscriptions and input
 * bindings take nothing new and finish what the application works on. Closing: connectors close.
 * The grace period bounds both.
 *
 * Thread: the loop's.
 */
#ifndef GW_SHUTDOWN_H
#define GW_SHUTDOWN_H

#include <stdbool.h>

#include "base/error.h"
#include "net/loop.h"

struct gateway;

enum gw_phase { GW_RUNNING, GW_BLOCKING, GW_DRAINING, GW_CLOSING, GW_STOPPED };

struct gw_shutdown {
    enum gw_phase phase;
    struct net_timer block_timer, grace_timer, force_timer, settle_timer;
    bool was_signalled; /* another signal ends the process at once */
    bool restarts;      /* SIGHUP: the process goes on with configuration read anew */
    bool is_beginning;  /* parts are being stopped; what they say meanwhile concludes nothing */
    bool drains_first;  /* the block period has not begun: deliveries under way end first */
    int64_t deadline_at_ms;
};

enum fl_err gw_shutdown_init(struct gateway *gateway) FL_MUST_USE;

/* POST /v1.0/shutdown: no block period. With `is_forced` the process exits with status 1 in 100 ms.
 */
void gw_shutdown_by_api(struct gateway *gateway, bool is_forced);

/* An orderly stop without the block period, for a failure. */
void gw_shutdown_begin(struct gateway *gateway);

/* Something ended that the shutdown may wait for. */
void gw_shutdown_check(struct gateway *gateway);
void gw_shutdown_on_health(struct gateway *gateway, bool is_healthy);

#endif
