/* What the gateway counts, and the Prometheus text that tells it.
 *
 * One registry on one loop thread. Every family is one row of a table (metrics_table.c): Dapr's,
 * with daprd's names, types and labels, and ours, which begin with "fairlead_". A caller asks once
 * for the series of its label values, keeps the pointer as long as the registry lives, and records
 * through it: an add is a few instructions without lock, atomics or allocation.
 *
 *     struct fl_slice labels[] = {component, topic};
 *     struct gw_counter *delivered = gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, labels);
 *     ...
 *     gw_counter_add(delivered, 1);
 *
 * A series shows after its first record, a gauge while it is set. Look-ups never fail: a family
 * that the configuration switches off answers with a series that nobody prints, and a family that
 * is full answers with one whose labels say "other" (see GW_SERIES_MAX).
 *
 * Ownership: label values and paths are copied; the configuration given to `gw_metrics_new` is
 * copied; series belong to the registry. Units: latencies are whole milliseconds, sizes bytes.
 *
 * Thread: the loop's.
 */
#ifndef FL_GATEWAY_METRICS_H
#define FL_GATEWAY_METRICS_H

#include "base/buffer.h"
#include "base/log.h"
#include "config/configuration.h"

/* Series a family may have. Past it, topic and path become "other"; when GW_SERIES_OTHER_MAX more
 * have come that way, all labels do. fairlead_metrics_folded_total counts the look-ups that met
 * either. */
#define GW_SERIES_MAX 1000
#define GW_SERIES_OTHER_MAX 100
/* A longer label value is cut, at a whole character. */
#define GW_LABEL_VALUE_MAX 255
/* What is read of the configuration; the rest is left out with a line in the log. */
#define GW_LATENCY_BUCKETS_MAX 100
#define GW_METRIC_RULES_MAX 200
#define GW_PATH_PATTERNS_MAX 200
/* Names that connectors may count under, all of them together. */
#define GW_CONNECTOR_FAMILIES_MAX 100

#define GW_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

/* Behind each: the label values to give, in this order (alphabetical). The registry adds app_id
 * and namespace itself. */
enum gw_metric {
    GW_HTTP_SERVER_REQUEST_COUNT,         /* method path status */
    GW_HTTP_SERVER_RESPONSE_COUNT,        /* method path status; off without increasedCardinality */
    GW_HTTP_SERVER_LATENCY,               /* method path status */
    GW_HTTP_SERVER_REQUEST_BYTES,         /* - */
    GW_HTTP_SERVER_RESPONSE_BYTES,        /* - */
    GW_HTTP_CLIENT_COMPLETED_COUNT,       /* method path status */
    GW_HTTP_CLIENT_ROUNDTRIP_LATENCY,     /* method path status */
    GW_HTTP_CLIENT_SENT_BYTES,            /* method path status (always "") */
    GW_HTTP_CLIENT_RECEIVED_BYTES,        /* - */
    GW_HTTP_HEALTHPROBES_COMPLETED_COUNT, /* status */
    GW_HTTP_HEALTHPROBES_ROUNDTRIP_LATENCY, /* status */

    GW_PUBSUB_INGRESS_COUNT,            /* component process_status status topic */
    GW_PUBSUB_INGRESS_LATENCIES,        /* component process_status status topic */
    GW_PUBSUB_INGRESS_BULK_COUNT,       /* component process_status topic */
    GW_PUBSUB_INGRESS_BULK_EVENT_COUNT, /* component process_status topic */
    GW_PUBSUB_INGRESS_BULK_LATENCIES,   /* component process_status topic */
    GW_PUBSUB_EGRESS_COUNT,             /* component success topic */
    GW_PUBSUB_EGRESS_LATENCIES,         /* component success topic */
    GW_PUBSUB_EGRESS_BULK_COUNT,        /* component success topic */
    GW_PUBSUB_EGRESS_BULK_LATENCIES,    /* component success topic */

    GW_RESILIENCY_LOADED,            /* name namespace */
    GW_RESILIENCY_COUNT,             /* flow_direction name namespace policy status target */
    GW_RESILIENCY_ACTIVATIONS_TOTAL, /* flow_direction name namespace policy status target */
    GW_RESILIENCY_CB_STATE,          /* flow_direction name namespace policy status target; gauge */

    GW_INPUT_BINDING_COUNT,      /* component success */
    GW_INPUT_BINDING_LATENCIES,  /* component success */
    GW_OUTPUT_BINDING_COUNT,     /* component operation success */
    GW_OUTPUT_BINDING_LATENCIES, /* component operation success */

    GW_ERROR_CODE_TOTAL,          /* category error_code; off without recordErrorCodes */
    GW_COMPONENT_INIT_TOTAL,      /* component (its type) */
    GW_COMPONENT_INIT_FAIL_TOTAL, /* component (its type) componentName reason */
    GW_COMPONENT_LOADED,          /* - */

    GW_PUBLISHED_TOTAL,      /* component topic */
    GW_REFUSED_TOTAL,        /* component reason */
    GW_PUBLISH_WAITING,      /* component; gauge */
    GW_DELIVERED_TOTAL,      /* component topic */
    GW_RETRIED_TOTAL,        /* component topic */
    GW_RETRY_WAITING,        /* component topic; gauge */
    GW_DROPPED_TOTAL,        /* component reason topic */
    GW_DEAD_LETTERED_TOTAL,  /* component topic */
    GW_IN_FLIGHT,            /* component topic; gauge */
    GW_WINDOW,               /* component topic; gauge */
    GW_CONNECTOR_UP,         /* component; gauge */
    GW_LOOP_LAG_SECONDS,     /* -; gauge */
    GW_BUDGET_BYTES,         /* -; gauge */
    GW_BUDGET_USED_BYTES,    /* -; gauge */
    GW_CONNECTIONS,          /* -; gauge */
    GW_METRICS_FOLDED_TOTAL, /* metric; the registry's own */

    GW_METRIC_COUNT,
};

/* The members of the series are for the inlines below. */
struct gw_counter {
    uint64_t value;
};

struct gw_gauge {
    double value;
    bool is_set;
};

#define GW_BUCKET_TABLE 128

struct gw_buckets {
    uint8_t small[GW_BUCKET_TABLE]; /* place of each value below GW_BUCKET_TABLE */
    uint32_t count;
    uint32_t after_small; /* first bound above the table */
    uint64_t *bounds;     /* ascending */
    struct fl_slice *le;  /* count + 1 texts, the last one "+Inf" */
};

struct gw_histogram {
    const struct gw_buckets *buckets;
    uint64_t *counts; /* buckets->count + 1, each alone, not cumulative */
    uint64_t sum;
};

struct gw_metrics;

struct gw_metrics_settings {
    struct fl_slice app_id;
    struct fl_slice name_space;          /* the environment's NAMESPACE as it is, or empty */
    const struct config_metrics *config; /* NULL: daprd's defaults */
    const struct fl_log *log;            /* borrowed for the call; NULL: nothing is said */
};

/* Cannot fail: what is wrong in the configuration (a bad regular expression) is logged and left
 * out. */
struct gw_metrics *gw_metrics_new(const struct gw_metrics_settings *settings);
void gw_metrics_free(struct gw_metrics **metrics);

/* The series of these label values; never NULL, the same pointer for the same values. `values` may
 * be NULL for a family without labels. The kind must be the row's. A hash look-up. */
struct gw_counter *gw_metrics_counter(struct gw_metrics *metrics, enum gw_metric metric,
                                      const struct fl_slice *values);
struct gw_gauge *gw_metrics_gauge(struct gw_metrics *metrics, enum gw_metric metric,
                                  const struct fl_slice *values);
struct gw_histogram *gw_metrics_histogram(struct gw_metrics *metrics, enum gw_metric metric,
                                          const struct fl_slice *values);

static inline void gw_counter_add(struct gw_counter *counter, uint64_t more)
{
    counter->value += more;
}

static inline void gw_gauge_set(struct gw_gauge *gauge, double value)
{
    gauge->value = value;
    gauge->is_set = true;
}

static inline void gw_gauge_add(struct gw_gauge *gauge, double more)
{
    gauge->value += more;
    gauge->is_set = true;
}

/* Takes it out of the text: what it told about is gone. */
static inline void gw_gauge_unset(struct gw_gauge *gauge)
{
    gauge->value = 0;
    gauge->is_set = false;
}

/* `value` in whole milliseconds or bytes, whichever the family has. As in daprd a value counts
 * below the first bound that is larger than it: milliseconds are cut off, so 1 means "below 2". */
static inline void gw_histogram_add(struct gw_histogram *histogram, uint64_t value)
{
    const struct gw_buckets *buckets = histogram->buckets;
    uint32_t at;
    if (value < GW_BUCKET_TABLE) {
        at = buckets->small[value];
    } else {
        at = buckets->after_small;
        while (at < buckets->count && buckets->bounds[at] <= value)
            at++;
    }
    histogram->counts[at]++;
    histogram->sum += value;
}

/* What a connector counts, as fairlead_connector_<name>{app_id,component,namespace,type}. */
struct gw_connector_figure {
    const char *name; /* letters, digits and underscores; with `help` borrowed for ever */
    const char *help;
    bool is_gauge;
    struct fl_slice component, type;
    uint64_t value; /* as it is now, not what came since the last time */
};

/* Called at each scrape. Connectors that count the same thing share a family. A figure whose name
 * is malformed, belongs to a family of ours, is of the other kind elsewhere, or is one too many is
 * left out. Rules of the configuration do not apply to its labels. */
void gw_metrics_set_figure(struct gw_metrics *metrics, const struct gw_connector_figure *figure);

/* The `path` label of a request path without its query. The answer points into `path` or into the
 * registry. */
struct fl_slice gw_metrics_http_path(const struct gw_metrics *metrics, struct fl_slice path);
/* The same for calls to the application: the few paths that the gateway itself asks for there
 * (/dapr/config, /dapr/metrics, /dapr/subscribe, /healthz) always show. */
struct fl_slice gw_metrics_http_client_path(const struct gw_metrics *metrics, struct fl_slice path);
/* The `method` label: the verb, "UNKNOWN", or "" with excludeVerbs. Static. */
struct fl_slice gw_metrics_http_method(const struct gw_metrics *metrics, struct fl_slice method);
/* The `status` label; static for 100 to 599, "" for 0 and "other" beyond. */
struct fl_slice gw_metrics_http_status(unsigned status);

/* `fn` runs at the start of every rendering, so that gauges can be set then. NULL takes it away. */
typedef void gw_metrics_scrape_fn(struct gw_metrics *metrics, void *context);
void gw_metrics_set_scrape_hook(struct gw_metrics *metrics, gw_metrics_scrape_fn *fn,
                                void *context);

/* Appends the whole exposition (type: GW_METRICS_CONTENT_TYPE): our families, then process_*. */
void gw_metrics_render(struct gw_metrics *metrics, struct fl_buffer *out);

/* Appends the reference of all families; docs/metrics.md is made of it. */
void gw_metrics_print_markdown(struct fl_buffer *out);

#endif
