/* One operation under a resiliency policy: retry( breaker( time limit( operation ) ) ).
 *
 * A policy is what applies to one component in one direction; it is looked up once. Each operation
 * under it has a run, which counts its attempts:
 *
 *     gw_policy_begin ── refused ──► the operation ends with that text, without an attempt
 *          │
 *       attempt, at most config.timeout_ms long
 *          │
 *          ├─ gw_policy_succeeded
 *          ├─ gw_policy_failed ──► a wait, then gw_policy_begin again, or -1: the run is spent
 *          └─ gw_policy_withdrew: it ended without a verdict (the process stops, …)
 *
 * Whoever runs the operation keeps the timers; this keeps the rules, the counts and the log.
 *
 * Thread: the loop's.
 */
#ifndef GW_POLICY_H
#define GW_POLICY_H

#include "config/resiliency.h"
#include "gateway/breaker_line.h"

struct gateway;
struct gw_counter;
struct gw_gauge;

enum { GW_POLICY_STATES = 4 }; /* of a breaker in the metrics; one is "unknown" */

struct gw_policy {
    struct gateway *gateway;
    struct config_policy config; /* is_set false: every operation is one attempt, and nothing below
                                    need be called */
    struct gw_breaker *breaker;  /* NULL: none, or not looked up yet */
    struct fl_slice component;   /* borrowed */
    enum config_direction direction;
    enum config_category category;
    int64_t told_retry_ms, told_recovery_ms; /* lines about either come once a second at most */
    /* Series of look-ups, resolved when first needed. */
    struct gw_counter *timeouts, *retries, *breakers[GW_POLICY_STATES];
    struct gw_gauge *states[GW_POLICY_STATES];
};

/* Zeroed before the first attempt. */
struct gw_policy_run {
    uint32_t failures;
    int64_t began_ms; /* of the first attempt; 0: there was none */
    uint64_t epoch;   /* of the breaker, for the attempt under way */
    bool is_admitted; /* by the breaker, and without a verdict yet */
    bool counted_retry, counted_timeout;
};

/* Looks up what applies. `component` is borrowed as long as the gateway, since it may name a
 * breaker. */
void gw_policy_resolve(struct gateway *gateway, struct fl_slice component,
                       enum config_direction direction, enum config_category category,
                       struct gw_policy *policy);

/* Counts a look-up as daprd does: outbound each operation, inbound each start of reading. The first
 * look-up of a component that names a breaker makes it, so the template named first wins. */
void gw_policy_count(struct gw_policy *policy);

/* Before each attempt. NULL: go on, and end the attempt by one of the calls below. Else why not, in
 * daprd's words; the run is over. */
const char *gw_policy_begin(struct gw_policy *policy, struct gw_policy_run *run);

void gw_policy_succeeded(struct gw_policy *policy, struct gw_policy_run *run);

/* `http_status` 0: the failure has none; `was_timeout`: the time limit ended it. Returns the wait
 * before the next attempt in milliseconds, or -1: no more attempts. */
int64_t gw_policy_failed(struct gw_policy *policy, struct gw_policy_run *run, int http_status,
                         bool was_timeout);

/* It failed, and the caller makes no other attempt whatever the policy says. */
void gw_policy_failed_finally(struct gw_policy *policy, struct gw_policy_run *run,
                              bool was_timeout);

/* The peer refused this input, as it will every time: no sign of trouble for the breaker, and no
 * reason for another attempt. */
void gw_policy_rejected(struct gw_policy *policy, struct gw_policy_run *run);

/* It ended without a verdict: as if it had not begun. Does nothing when none is under way. */
void gw_policy_withdrew(struct gw_policy *policy, struct gw_policy_run *run);

/* --- what to do with an operation that the breaker refused --- */

/* Milliseconds, at least 1, until it is worth another try; for who gives the operation back. */
int64_t gw_policy_refused_ms(const struct gw_policy *policy);

/* For who keeps it: the waiter's turn comes when the breaker has room for one more. */
void gw_policy_wait(struct gw_policy *policy, struct gw_waiter *waiter);
/* Does nothing for one that does not wait. */
void gw_policy_leave(struct gw_waiter *waiter);

#endif
