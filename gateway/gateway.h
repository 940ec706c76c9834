/* The gateway: everything that exists in this process, and the order of its start and stop.
 *
 * Nothing is global; this struct owns all. Its parts are described in their own headers.
 *
 * Thread: the loop's.
 */
#ifndef GW_GATEWAY_H
#define GW_GATEWAY_H

#include "base/budget.h"
#include "base/log.h"
#include "base/map.h"
#include "config/configuration.h"
#include "config/flags.h"
#include "config/resources.h"
#include "connectors/connector.h"
#include "gateway/api.h"
#include "gateway/app.h"
#include "gateway/input_binding.h"
#include "gateway/policy.h"
#include "gateway/publish.h"
#include "gateway/shutdown.h"
#include "gateway/subscriptions.h"
#include "net/loop.h"

struct connector_registry;
struct gw_component;
struct gw_metrics;
struct gw_resource_watch;
struct http_server;

typedef void gateway_use_fn(struct gateway *gateway, void *context);

/* What a gateway is run for besides serving. A zeroed one is daprd's form; borrowed while the
 * gateway lives. */
struct gateway_use {
    bool is_tool; /* opens components and nothing else: no port, no application, no subscription */
    void *context;
    gateway_use_fn *on_loop;    /* the loop is there, and nobody watches signals yet */
    gateway_use_fn *on_open;    /* the API listens; of a tool: the components were opened */
    gateway_use_fn *on_stopped; /* all has stopped; the loop is still there and may run again */
    const char *blocks_for;   /* what a block period that no flag asks for waits for; NULL: the flag
                                 asks */
    struct fl_error *failure; /* takes what made the start fail; NULL: that is logged */
};

struct gateway {
    const struct config_flags *flags;
    const struct gateway_use *use;
    struct fl_log *log;
    struct fl_arena arena;
    struct config_notes notes;
    struct config_identity identity;
    struct config_configuration configuration;
    struct config_resources resources;
    struct fl_budget budget;
    size_t most_descriptors; /* that the kernel lets us have */
    struct net_loop *loop;
    struct gw_metrics *metrics;
    struct http_server *metrics_server;
    struct http_server *grpc_server; /* of a process called daprd */
    struct connector_registry *registry;
    struct connector_host host, binding_host; /* of pub/sub components, of bindings */
    struct gw_component **components;
    size_t component_count, pubsub_count;
    struct fl_map components_by_name;
    struct gw_breakers breakers;
    struct fl_map topics_by_path;
    struct gw_publishing publishing;
    struct gw_app app;
    struct gw_subscriptions subscriptions;
    struct gw_inputs inputs;
    struct gw_api api;
    struct gw_shutdown shutdown;
    struct gw_resource_watch *resource_watch; /* NULL: of a tool */
    int64_t started_ms;
    bool is_outbound_ready; /* components are open, the API listens */
    bool is_ready;          /* start-up was gone through */
    int exit_status;
};

enum { GATEWAY_RESTART = -1 }; /* what gateway_run returns after SIGHUP */

/* Starts, runs until shutdown, and stops. Returns the exit status, or GATEWAY_RESTART: run again.
 * Everything is borrowed for the call. */
int gateway_run(const struct config_flags *flags, const struct config_list *without_effect,
                const struct gateway_use *use, struct fl_log *log);

/* A failure that ends the process: logged as daprd does, then an orderly stop with exit status 1.
 */
void gateway_fail(struct gateway *gateway, const char *format, ...) FL_PRINTF(2, 3);

/* Called when the API listens: the application is looked for. */
void gateway_on_listening(struct gateway *gateway);

/* Called when the application's port answered (or there is no application) and its configuration
 * was asked for. */
void gateway_mark_ready(struct gateway *gateway);

#endif
