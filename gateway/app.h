/* Applications: where an event is delivered to.
 *
 * An application has instances (addresses), a limit of concurrent calls, and health. The sidecar
 * form is one application with one instance; it is the only one that can be configured now.
 *
 * At start: wait until the port answers → (health probes, if enabled) → GET /dapr/config → GET
 * /dapr/subscribe → ready.
 *
 * Thread: the loop's.
 */
#ifndef GW_APP_H
#define GW_APP_H

#include "base/buffer.h"
#include "net/http_pool.h"
#include "net/loop.h"

struct gateway;
struct gw_app;
struct net_lookup;
struct net_stream;

enum { GW_APP_INSTANCES = 8 };

/* One address of the application. */
struct gw_app_instance {
    struct http_pool *pool;
    size_t active_calls;
};

/* A call of the application that stands in the line of the concurrency limit, or is under way.
 * Zeroed; `http` filled, `send` set before. */
struct gw_app_call {
    struct fl_list link;
    struct http_call http;
    struct gw_app *app;
    struct gw_app_instance *instance;
    bool is_counted;
};

struct gw_app {
    struct gateway *gateway;
    struct fl_slice id;
    bool exists; /* an application is configured at all */
    struct gw_app_instance instances[GW_APP_INSTANCES];
    size_t instance_count;
    size_t next_instance;
    int64_t most_concurrent; /* <= 0: no limit */
    int64_t active_calls;
    struct fl_list waiting;         /* of gw_app_call */
    struct fl_buffer host;          /* "127.0.0.1:8080" */
    struct fl_buffer common_fields; /* of every call but probes: the token */
    struct net_tls_client *tls;
    bool is_healthy;
    bool was_ever_healthy;
    bool is_discovered; /* the port answered */
    bool asked_init;    /* /dapr/config and /dapr/subscribe were asked for */
    /* discovery */
    struct net_lookup *lookup;
    struct net_stream *knock;
    struct net_timer knock_timer;
    unsigned knocks;
    /* the questions of start-up */
    struct http_call ask;
    struct fl_buffer ask_bytes;
    unsigned ask_attempts;
    struct net_timer ask_timer;
    /* probes */
    struct http_call probe;
    struct fl_buffer probe_bytes;
    struct net_timer probe_timer;
    int64_t probe_failures, probed_ms;
};

enum fl_err gw_app_init(struct gateway *gateway, struct fl_error *error) FL_MUST_USE;
/* Starts discovery; `gateway_mark_ready` follows. */
void gw_app_start(struct gw_app *app);
/* Ends discovery and probes; calls under way go on. */
void gw_app_stop(struct gw_app *app);
void gw_app_fini(struct gw_app *app);

/* Sends when the concurrency limit lets it; call->http.on_done must call gw_app_call_done first. */
void gw_app_call(struct gw_app *app, struct gw_app_call *call);
void gw_app_call_done(struct gw_app_call *call);
/* It stands in the line of the concurrency limit: the application has not heard of it. */
bool gw_app_call_is_waiting(const struct gw_app_call *call);
/* Ends a call without its callback. */
void gw_app_call_cancel(struct gw_app_call *call);

#endif
