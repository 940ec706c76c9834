/* A circuit breaker: it lets operations through until too many fail, then refuses all for a while,
 * then tries a few.
 *
 *   CLOSED ── trip is met ──► OPEN ── timeout ──► HALF_OPEN ─┬─ max_requests succeed ─► CLOSED
 *                              ▲                             │
 *                              └────────── one fails ────────┘
 *
 * Counts begin anew with every change of state, and while closed every `interval`. A verdict
 * belongs to the epoch in which its operation was let through; one of an older epoch says nothing
 * about the present state and is ignored (runtime.md §2.5).
 *
 * One breaker serves a component in both directions.
 *
 * Thread: the loop's. Instants are of the monotonic clock.
 */
#ifndef GW_BREAKER_H
#define GW_BREAKER_H

#include "config/resiliency.h"

enum gw_breaker_state { GW_BREAKER_CLOSED, GW_BREAKER_HALF_OPEN, GW_BREAKER_OPEN };

enum gw_admission { GW_ADMITTED, GW_REFUSED_OPEN, GW_REFUSED_TOO_MANY };

struct gw_breaker;
typedef void gw_breaker_changed_fn(struct gw_breaker *breaker, enum gw_breaker_state before);

struct gw_breaker {
    const struct config_breaker *config; /* borrowed */
    gw_breaker_changed_fn *changed;      /* called after every change of state; may be NULL */
    void *context;                       /* of `changed` */
    enum gw_breaker_state state;
    uint64_t epoch;
    struct config_counts counts;
    int64_t until_ms; /* closed: when counts begin anew, 0: never; open: when it half opens */
};

void gw_breaker_init(struct gw_breaker *breaker, const struct config_breaker *config,
                     int64_t now_ms);

/* Asks to let one operation through; an admitted one is ended by exactly one of the calls below,
 * with the epoch given here. */
enum gw_admission gw_breaker_admit(struct gw_breaker *breaker, int64_t now_ms, uint64_t *epoch);

void gw_breaker_succeeded(struct gw_breaker *breaker, int64_t now_ms, uint64_t epoch);
void gw_breaker_failed(struct gw_breaker *breaker, int64_t now_ms, uint64_t epoch);
/* It ended without a verdict: as if it had not been let through. */
void gw_breaker_withdrew(struct gw_breaker *breaker, int64_t now_ms, uint64_t epoch);

/* As it is at this instant. */
enum gw_breaker_state gw_breaker_state(struct gw_breaker *breaker, int64_t now_ms);

/* Milliseconds until a refused operation may be let through; 0 when it may be now. */
int64_t gw_breaker_wait_ms(struct gw_breaker *breaker, int64_t now_ms);

/* "closed", "half-open", "open". */
const char *gw_breaker_state_name(enum gw_breaker_state state);

#endif
