/* A topic as publishers address it: component, names, and the metric series that a publish touches.
 *
 * Topics are found by the request's path as it was sent, so a publisher's second request costs one
 * look-up instead of cleaning, decoding and routing the path. The table is bounded; when it is full
 * it is emptied, and topics in use live on by their count.
 *
 * Thread: the loop's.
 */
#ifndef GW_TOPIC_H
#define GW_TOPIC_H

#include "base/map.h"
#include "base/slice.h"

struct gateway;
struct gw_component;
struct gw_counter;
struct gw_histogram;

enum { GW_MOST_CACHED_PATHS = 4096 };

struct gw_topic {
    uint32_t references; /* the table and every publish under way */
    struct gw_component *component;
    struct fl_slice name;        /* as the publisher says it */
    struct fl_slice broker_name; /* with the component's prefix */
    bool is_allowed;             /* by the publishing scopes */
    struct fl_slice path;        /* of the request, for API metrics */
    bool has_health_path;        /* it contains "/healthz": daprd sends no trace headers then */
    struct gw_counter *requests, *responses; /* of a POST answered 204 */
    struct gw_histogram *latency;
    struct gw_counter *egress, *published;
    struct gw_histogram *egress_latency;
};

/* With one reference, the caller's. */
struct gw_topic *gw_topic_new(struct gateway *gateway, struct gw_component *component,
                              struct fl_slice name, struct fl_slice path);

static inline struct gw_topic *gw_topic_hold(struct gw_topic *topic)
{
    topic->references++;
    return topic;
}

void gw_topic_release(struct gw_topic **topic);

/* The table of paths. `find` gives a borrowed topic or NULL. */
struct gw_topic *gw_topic_cache_find(const struct gateway *gateway, struct fl_slice path);
void gw_topic_cache_add(struct gateway *gateway, struct fl_slice path, struct gw_topic *topic);
void gw_topic_cache_clear(struct gateway *gateway);

#endif
