/* Subscriptions while the process runs: what is subscribed, where its events go, how many may be
 * unsettled.
 *
 *   INERT                            its component does not exist, there is no application, or its
 *                                    metadata asks for what cannot be (last_error says what)
 *   WAITING ─► STARTING ─► ACTIVE    WAITING for the component, the application's health, or the
 *      ▲           │         │       next try of a subscribe that failed
 *      └───────────┴─────────┘
 *
 * A failed subscribe is repeated for ever with back-off; its siblings are not touched.
 *
 * Thread: the loop's.
 */
#ifndef GW_SUBSCRIPTIONS_H
#define GW_SUBSCRIPTIONS_H

#include "base/buffer.h"
#include "config/subscription_resource.h"
#include "connectors/connector.h"
#include "gateway/metrics.h"
#include "gateway/policy.h"
#include "net/loop.h"

struct gateway;
struct gw_bulk;
struct gw_component;
struct route_table;

/* Deliveries of one subscription that may be unsettled at a time, unless the connector wants
 * another number of messages. */
enum { GW_WINDOW_MESSAGES = 64, GW_WINDOW_BYTES = 16 * 1024 * 1024 };

enum gw_subscription_state { GW_SUB_INERT, GW_SUB_WAITING, GW_SUB_STARTING, GW_SUB_ACTIVE };

/* One path of the application that the rules may lead to. */
struct gw_way {
    struct fl_slice path;  /* of the application */
    struct fl_buffer head; /* of a delivery's request, up to what differs from event to event */
    size_t agent_bytes;    /* of its last line, the User-Agent */
    struct gw_counter *completed;
    struct gw_histogram *roundtrip, *sent_bytes; /* of answers with 200 */
};

/* Series of an attempt's outcome; resolved when first needed. */
enum gw_ingress {
    GW_INGRESS_SUCCESS,
    GW_INGRESS_RETRY,
    GW_INGRESS_DROP,
    GW_INGRESS_APP_DROP,
    GW_INGRESS_KINDS
};

struct gw_subscription {
    struct gateway *gateway;
    const struct config_subscription *config;
    struct gw_component *component; /* NULL: unknown */
    struct connector_subscription feed;
    enum gw_subscription_state state;
    bool is_allowed;          /* by the subscription scopes */
    bool is_raw, is_raw_bad;  /* rawPayload of the subscription's metadata */
    uint32_t window_messages; /* that may be unsettled while it is open */
    struct route_table *routes;
    struct gw_way *ways;
    size_t way_count;
    struct gw_policy policy;                          /* inbound */
    struct fl_buffer broker_topic, dead_letter_topic; /* with the component's prefix */
    struct net_timer retry_timer;
    int64_t retry_wait_ms;
    int64_t active_wall_s;     /* when it became active last */
    struct fl_list deliveries; /* unsettled */
    size_t unsettled_count;
    uint32_t stale_count; /* of them: of a connection that was lost, and worked on still */
    size_t in_flight_count;
    size_t retry_waiting_count;
    struct fl_list lanes; /* of gw_lane */
    struct gw_bulk *bulk;
    struct gw_counter *ingress[GW_INGRESS_KINDS];
    struct gw_histogram *ingress_latency[GW_INGRESS_KINDS];
    struct gw_counter *delivered, *retried, *dead_lettered;
    int64_t warned_ms; /* of the last warning about failing deliveries */
    struct fl_error last_error;
};

struct gw_subscriptions {
    struct gw_subscription *items;
    size_t count;
    struct config_subscriptions merged; /* in the order of metadata */
    struct fl_list free_deliveries;     /* of gw_delivery; intake's */
    size_t free_delivery_count;
    struct gw_histogram *received_bytes;
    bool are_started;
    bool are_paused; /* by health */
    bool are_stopped;
};

/* Declared ones are known from the start, for metadata. */
enum fl_err gw_subscriptions_init(struct gateway *gateway, struct fl_error *error) FL_MUST_USE;

/* With the application's answer (NULL: it gave none). `failed`: it could not be asked, or answered
 * nonsense; then nothing is subscribed, declared ones included, as in daprd. */
void gw_subscriptions_start(struct gateway *gateway, const struct fl_slice *answer, bool failed);

void gw_subscriptions_on_component(struct gateway *gateway, struct gw_component *component);
void gw_subscriptions_on_health(struct gateway *gateway, bool is_healthy);

/* No new deliveries are taken; those unsettled go on. */
void gw_subscriptions_stop(struct gateway *gateway);
/* Deliveries that are being worked on or settled. */
size_t gw_subscriptions_in_flight(const struct gateway *gateway);
void gw_subscriptions_fini(struct gateway *gateway);

/* The window as it should be now: what is worked on for a former connection takes a part of it, so
 * that a connection that comes and goes does not multiply what the application is given. */
void gw_subscription_apply_window(struct gw_subscription *subscription);

/* Callbacks of connectors. */
void gw_subscriptions_on_subscribed(struct connector *connector,
                                    struct connector_subscription *feed,
                                    const struct fl_error *error);
void gw_subscriptions_on_unsubscribed(struct connector *connector,
                                      struct connector_subscription *feed);

#endif
