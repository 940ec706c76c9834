/* The circuit breakers of this process, one for each component, and the line of those who wait
 * until theirs lets them through.
 *
 * Whoever the breaker refused and who has time stands in its line instead of asking again and
 * again. The line wakes one waiter for each operation that the breaker has room for: when its time
 * open is over, when a verdict closes it, when an operation is withdrawn. Who is refused once more
 * stands behind the others, so that one input that always fails is not the only one that is tried.
 *
 * Thread: the loop's.
 */
#ifndef GW_BREAKER_LINE_H
#define GW_BREAKER_LINE_H

#include "base/list.h"
#include "base/map.h"
#include "gateway/breaker.h"

struct gateway;

/* The breakers by component. A zeroed one is empty. */
struct gw_breakers {
    struct fl_map by_component;
};

struct gw_waiter;
typedef void gw_waiter_fn(struct gw_waiter *waiter);

/* Zeroed, `go` set: in no line. */
struct gw_waiter {
    struct fl_list link;
    gw_waiter_fn
        *go; /* its turn: it has left the line, and asks the breaker now if it still wants */
};

/* The breaker of the component, made of `config` when nobody had one before: the kind that was
 * named first stays. Both are borrowed as long as the gateway. */
struct gw_breaker *gw_breakers_get(struct gateway *gateway, struct fl_slice component,
                                   const struct config_breaker *config);
void gw_breakers_fini(struct gateway *gateway);

/* The waiter is borrowed until its turn, or until it leaves. The breaker is one of
 * `gw_breakers_get`. */
void gw_breaker_wait(struct gw_breaker *breaker, struct gw_waiter *waiter);
/* Does nothing for one that is in no line. */
void gw_breaker_leave(struct gw_waiter *waiter);

/* An operation has ended, with a verdict or without: others may have their turn, after this turn
 * of the loop. */
void gw_breaker_serve_line(struct gw_breaker *breaker);

/* For each breaker that exists; for the state dump. */
typedef void gw_breaker_visit_fn(void *context, struct fl_slice component,
                                 struct gw_breaker *breaker);
void gw_breakers_each(struct gateway *gateway, gw_breaker_visit_fn *visit, void *context);

#endif
