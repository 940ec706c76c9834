/* The metadata of a publish, as far as the component's connector has rows for it.
 *
 * Keys that a connector does not know pass, as in daprd. Two are promises and do not: `delay` and
 * `deliverAt` are refused where the connector has no such row, because a message that is delivered
 * at once is not what its publisher was told.
 *
 * Thread: the loop's.
 */
#ifndef GW_PUBLISH_OPTIONS_H
#define GW_PUBLISH_OPTIONS_H

#include "base/arena.h"
#include "cloudevents/event.h"

struct gw_component;

/* FL_ERR_REFUSED, with the reason: a value that its row does not accept, or a promise that the
 * connector cannot keep. Costs a look at each key; nothing is made unless a row knows one. The
 * arena is for what is parsed, and may go afterwards. */
enum fl_err gw_publish_options_check(const struct gw_component *component,
                                     const struct ce_metadata *metadata, size_t count,
                                     struct fl_arena *arena, struct fl_error *error) FL_MUST_USE;

/* The metadata holds `delay` or `deliverAt`. */
bool gw_publish_has_promise(const struct ce_metadata *metadata, size_t count);

#endif
