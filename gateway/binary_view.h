/* Messages in the brokers' binary mode, as daprd knows it: the broker says that the body is
 * application/octet-stream, the attributes stand in the metadata.
 *
 * A message is one when its metadata has a `content-type` of that kind. What the application is
 * sent are the bytes as stored; rules, time to live and trace look at a view: the metadata whose
 * keys begin with `ce_`, without it and in lower case, and the body in base64 as `data`.
 *
 * Thread: the loop's.
 */
#ifndef GW_BINARY_VIEW_H
#define GW_BINARY_VIEW_H

#include "cloudevents/event.h"

bool gw_binary_find(const struct ce_event *event);

/* Costs nothing for an event without metadata, the usual one. */
static inline bool gw_binary_is_message(const struct ce_event *event)
{
    return event->metadata_count && gw_binary_find(event);
}

/* A structured event with one reference, charged to `budget`. FL_ERR_NO_MEMORY,
 * FL_ERR_TOO_LARGE. */
enum fl_err gw_binary_view_new(const struct ce_event *event, struct fl_budget *budget,
                               struct ce_event **view) FL_MUST_USE;

#endif
