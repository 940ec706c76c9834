/* Topics and the table of request paths; see the header. */
#include "gateway/topic.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"

static void resolve_series(struct gateway *gateway, struct gw_topic *topic)
{
    struct fl_slice http[] = {gw_metrics_http_method(gateway->metrics, FL_SLICE_LIT("POST")),
                              gw_metrics_http_path(gateway->metrics, topic->path),
                              FL_SLICE_LIT("204")};
    struct fl_slice egress[] = {topic->component->name, FL_SLICE_LIT("true"), topic->name};
    struct fl_slice ours[] = {topic->component->name, topic->name};
    topic->requests = gw_metrics_counter(gateway->metrics, GW_HTTP_SERVER_REQUEST_COUNT, http);
    topic->responses = gw_metrics_counter(gateway->metrics, GW_HTTP_SERVER_RESPONSE_COUNT, http);
    topic->latency = gw_metrics_histogram(gateway->metrics, GW_HTTP_SERVER_LATENCY, http);
    topic->egress = gw_metrics_counter(gateway->metrics, GW_PUBSUB_EGRESS_COUNT, egress);
    topic->egress_latency =
        gw_metrics_histogram(gateway->metrics, GW_PUBSUB_EGRESS_LATENCIES, egress);
    topic->published = gw_metrics_counter(gateway->metrics, GW_PUBLISHED_TOTAL, ours);
}

struct gw_topic *gw_topic_new(struct gateway *gateway, struct gw_component *component,
                              struct fl_slice name, struct fl_slice path)
{
    struct gw_topic *topic = fl_zalloc(sizeof *topic);
    struct fl_buffer broker_name = {0};
    topic->references = 1;
    topic->component = component;
    topic->name = fl_slice_of(fl_strdup(name), name.len);
    topic->path = fl_slice_of(fl_strdup(path), path.len);
    fl_buffer_append_slice(&broker_name, component->topic_prefix);
    fl_buffer_append_slice(&broker_name, name);
    topic->broker_name = fl_buffer_slice(&broker_name);
    topic->is_allowed = config_scopes_allow(&component->scopes, CONFIG_SCOPE_PUBLISH, name);
    resolve_series(gateway, topic);
    return topic;
}

void gw_topic_release(struct gw_topic **pointer)
{
    struct gw_topic *topic = *pointer;
    *pointer = NULL;
    if (!topic || --topic->references)
        return;
    fl_free((char *)topic->name.data);
    fl_free((char *)topic->path.data);
    fl_free((char *)topic->broker_name.data);
    fl_free(topic);
}

struct gw_topic *gw_topic_cache_find(const struct gateway *gateway, struct fl_slice path)
{
    return fl_map_find(&gateway->topics_by_path, path);
}

void gw_topic_cache_clear(struct gateway *gateway)
{
    uint32_t at = 0;
    void *value;
    while (fl_map_next(&gateway->topics_by_path, &at, NULL, &value)) {
        struct gw_topic *topic = value;
        gw_topic_release(&topic);
    }
    fl_map_fini(&gateway->topics_by_path);
}

void gw_topic_cache_add(struct gateway *gateway, struct fl_slice path, struct gw_topic *topic)
{
    if (fl_map_count(&gateway->topics_by_path) >= GW_MOST_CACHED_PATHS)
        gw_topic_cache_clear(gateway);
    struct gw_topic *former = fl_map_set(&gateway->topics_by_path, path, gw_topic_hold(topic));
    gw_topic_release(&former);
}
