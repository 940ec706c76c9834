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

#include "base/map.h"
#include "config/resiliency.h"
#include "gateway/breaker.h"

struct gateway;
struct gw_counter;

/* The breakers of this process, by component. */
struct gw_policies {
    struct fl_map breakers; /* of struct gw_named_breaker, private to policy.c */
};

struct gw_policy {
    struct gateway *gateway;
    struct config_policy config; /* is_set false: every operation is one attempt, and nothing below
                                    need be called */
    struct gw_breaker *breaker;  /* NULL: none */
    struct fl_slice component;   /* borrowed */
    enum config_direction direction;
    enum config_category category;
    int64_t logged_ms; /* a line about retries is written once a second at most */
};

/* Zeroed before the first attempt. */
struct gw_policy_run {
    uint32_t failures;
    int64_t began_ms; /* of the first failure */
    uint64_t epoch;   /* of the breaker, for the attempt under way */
    bool is_admitted; /* by the breaker, and without a verdict yet */
    bool counted_retry, counted_timeout;
};

/* Looks up what applies; breakers are made when first named. `component` is borrowed as long as the
 * policy. */
void gw_policy_resolve(struct gateway *gateway, struct fl_slice component,
                       enum config_direction direction, enum config_category category,
                       struct gw_policy *policy);
void gw_policies_fini(struct gateway *gateway);

/* Counts a look-up as daprd does: outbound each operation, inbound each start of reading. */
void gw_policy_count(const struct gw_policy *policy);

/* Before each attempt. NULL: go on. Else why not, in daprd's words; the run is over. */
const char *gw_policy_begin(struct gw_policy *policy, struct gw_policy_run *run);

void gw_policy_succeeded(struct gw_policy *policy, struct gw_policy_run *run);

/* `http_status` 0: the failure has none; `was_timeout`: the time limit ended it. Returns the wait
 * before the next attempt in milliseconds, or -1: no more attempts. */
int64_t gw_policy_failed(struct gw_policy *policy, struct gw_policy_run *run, int http_status,
                         bool was_timeout);

/* The peer refused this input, as it will every time: no sign of trouble for the breaker, and no
 * reason for another attempt. */
void gw_policy_rejected(struct gw_policy *policy, struct gw_policy_run *run);

void gw_policy_withdrew(struct gw_policy *policy, struct gw_policy_run *run);

/* Milliseconds, at least 1, until an operation that the breaker refused is worth another try. */
int64_t gw_policy_refused_ms(const struct gw_policy *policy);

/* For each breaker that exists; for the state dump. */
typedef void gw_breaker_visit_fn(void *context, struct fl_slice component,
                                 struct gw_breaker *breaker);
void gw_policies_each_breaker(struct gateway *gateway, gw_breaker_visit_fn *visit, void *context);

#endif
