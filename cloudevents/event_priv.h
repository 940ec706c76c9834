/* How an event is made: for this folder only.
 *
 * Thread: any, but a budget is charged on the loop only.
 */
#ifndef CE_EVENT_PRIV_H
#define CE_EVENT_PRIV_H

#include "cloudevents/event.h"

/* What an event keeps beside its body. Borrowed; copied by ce_event_alloc. */
struct ce_event_extras {
    struct fl_slice content_type;
    const struct ce_metadata *metadata;
    size_t metadata_count;
    struct fl_budget *budget;
};

/* One allocation for the event, its extras, and `body_len` bytes of body, which the caller writes
 * to
 * `*body`. The event has one reference, no flags and no spans. FL_ERR_NO_MEMORY, FL_ERR_TOO_LARGE.
 */
enum fl_err ce_event_alloc(size_t body_len, const struct ce_event_extras *extras,
                           struct ce_event **event, char **body) FL_MUST_USE;

/* The attribute of a decoded member name, or CE_ATTRIBUTE_COUNT. */
enum ce_attribute ce_attribute_of(struct fl_slice name);

/* The member name of an attribute. */
struct fl_slice ce_attribute_name(enum ce_attribute attribute);

#endif
