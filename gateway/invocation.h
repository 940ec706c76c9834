/* Calls of what a connector can do beyond publishing and subscribing (its `invoke`).
 *
 * An invocation ends exactly once: with the connector's answer, at its deadline, or when the
 * connector is closed. A connector that answers after the deadline is heard and ignored, so whoever
 * asked may be gone by then.
 *
 * Thread: the loop's.
 */
#ifndef GW_INVOCATION_H
#define GW_INVOCATION_H

#include "connectors/connector.h"

struct gw_component;
struct gw_invocation;

/* Those that one connector has not answered yet, the ones past their deadline included. */
enum { GW_MOST_INVOCATIONS = 10000 };

/* Ends an invocation; it is free for use again when this is called. `answer` and what it points to
 * are borrowed for the call. FL_ERR_TIMEOUT: no answer until the deadline; it may have happened.
 * FL_ERR_CLOSED: the connector was closed; class unknown, since it may have happened. */
typedef void gw_invoked_fn(struct gw_invocation *invocation,
                           const struct connector_invoked *answer);

/* Embedded in its owner, which keeps it until `done`. */
struct gw_invocation {
    gw_invoked_fn *done;
};

/* Starts; `done` is called later, never from inside. Everything in `call` is borrowed for this
 * call, its deadline counts, its token is ours. After a failure `done` is not called:
 * FL_ERR_UNSUPPORTED (no such operation), FL_ERR_CLOSED (not connected), FL_ERR_AGAIN (not now, or
 * too many are open), or what the connector says. */
enum fl_err gw_component_invoke(struct gw_component *component, struct gw_invocation *invocation,
                                const struct connector_call *call,
                                struct fl_error *error) FL_MUST_USE;

/* For the component: the connector answered; it was closed; the process ends. */
void gw_invocations_on_answer(struct connector *connector, const struct connector_invoked *answer);
void gw_invocations_end(struct gw_component *component);
void gw_invocations_free(struct gw_component *component);

#endif
