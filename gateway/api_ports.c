/* The ports of the API: the main one on addresses or a Unix socket, and the public one.
 *
 * A port that is taken is tried again for a while, as a gateway before this one may still be
 * leaving it. Stopping closes the ports and leaves what is under way to its answers; the task
 * `stop_check` tells the shutdown when there is nothing left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "gateway/api_bindings.h"
#include "gateway/api_priv.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/topic.h"

#define SCOPE "dapr.runtime.http"

enum { LISTEN_RETRY_MS = 500, LISTEN_TOTAL_MS = 10000 };

/* Connections of publishers leave descriptors for those to the application and to brokers. */
static size_t most_connections(const struct gateway *gateway)
{
    size_t wanted = (size_t)gateway->flags->max_connections;
    size_t possible = gateway->most_descriptors / 4 * 3;
    if (wanted <= possible)
        return wanted;
    FL_WARN(gateway->log, SCOPE,
            "at most %zu connections are accepted at once, not %zu: the limit of open files is %zu",
            possible, wanted, gateway->most_descriptors);
    return possible;
}

static struct http_server *make_server(struct gateway *gateway, struct gw_port *port)
{
    struct http_server_settings settings = http_server_defaults();
    settings.loop = gateway->loop;
    settings.budget = &gateway->budget;
    settings.handler = &gw_api_handler;
    settings.context = port;
    settings.most_head_bytes = (size_t)gateway->flags->read_buffer_bytes + 4096;
    settings.most_connections = most_connections(gateway);
    settings.body_wait_ms =
        gateway->flags->publish_wait_ms > 0 ? gateway->flags->publish_wait_ms : 1;
    settings.quiet = &gateway->api.stop_check;
    return http_server_new(&settings);
}

static void on_stop_check(struct net_task *task)
{
    struct gw_api *api = FL_CONTAINER(task, struct gw_api, stop_check);
    gw_shutdown_check(api->main.gateway);
}

void gw_api_init(struct gateway *gateway)
{
    struct gw_api *api = &gateway->api;
    const struct config_flags *flags = gateway->flags;
    const struct config_configuration *configuration = &gateway->configuration;
    api->main = (struct gw_port){.gateway = gateway};
    api->public = (struct gw_port){.gateway = gateway, .is_public = true};
    api->token = fl_slice_str(getenv("DAPR_API_TOKEN"));
    api->most_body_bytes = flags->max_body_bytes > 0 ? (uint64_t)flags->max_body_bytes : UINT64_MAX;
    api->logs_calls = flags->api_logging == CONFIG_UNSET
                          ? configuration->has_api_logging && configuration->api_logging
                          : flags->api_logging == CONFIG_TRUE;
    api->is_publish_allowed = config_api_is_allowed(configuration, "v1.0", "publish");
    api->is_alpha_publish_allowed = config_api_is_allowed(configuration, "v1.0-alpha1", "publish");
    api->is_bindings_allowed = config_api_is_allowed(configuration, "v1.0", "bindings");
    api->is_metadata_allowed = config_api_is_allowed(configuration, "v1.0", "metadata");
    api->is_shutdown_allowed = config_api_is_allowed(configuration, "v1.0", "shutdown");
    api->is_invoke_allowed = config_api_is_allowed(configuration, "v1.0", "invoke");
    api->stop_check.run = on_stop_check;
    api->request_bytes = gw_metrics_histogram(gateway->metrics, GW_HTTP_SERVER_REQUEST_BYTES, NULL);
    api->response_bytes =
        gw_metrics_histogram(gateway->metrics, GW_HTTP_SERVER_RESPONSE_BYTES, NULL);
    fl_list_init(&api->free_requests);
    fl_list_init(&api->waiting_bindings);
    gw_trace_init(&api->trace, &configuration->tracing);
    api->main.server = make_server(gateway, &api->main);
}

static void warn_beyond_loopback(struct gateway *gateway, struct fl_slice address)
{
    bool is_loopback =
        fl_slice_starts_with(address, FL_SLICE_LIT("127.")) || fl_slice_eq_str(address, "::1");
    if (!is_loopback && gateway->api.token.len == 0)
        FL_WARN(gateway->log, SCOPE,
                "the API is reachable beyond this machine and needs no token: set "
                "--dapr-listen-addresses "
                "127.0.0.1 or the environment variable DAPR_API_TOKEN");
}

static enum fl_err listen_tcp(struct gateway *gateway, struct fl_error *error)
{
    const struct config_flags *flags = gateway->flags;
    struct fl_slice everywhere = FL_SLICE_LIT("");
    struct config_list one = {&everywhere, 1};
    const struct config_list *list =
        flags->listen_addresses.count ? &flags->listen_addresses : &one;
    enum fl_err err = FL_ERR_SYSTEM;
    for (size_t i = 0; i < list->count; i++) {
        struct fl_error failure;
        enum fl_err one_err =
            http_server_listen(gateway->api.main.server, list->items[i].data, flags->http_port,
                               flags->reuse_port, NULL, &failure);
        if (one_err) {
            FL_DEBUG(gateway->log, SCOPE, "%s", failure.text);
            *error = failure;
            continue;
        }
        err = FL_OK;
        FL_INFO(gateway->log, SCOPE, "HTTP server listening on TCP address: %.*s:%u",
                FL_SLICE_ARG(list->items[i]), flags->http_port);
        warn_beyond_loopback(gateway, list->items[i]);
    }
    return err;
}

static enum fl_err listen_unix(struct gateway *gateway, struct fl_error *error)
{
    const struct config_flags *flags = gateway->flags;
    char path[512];
    mkdir(flags->unix_domain_socket.data, 0755);
    snprintf(path, sizeof path, "%.*s/dapr-%.*s-http.socket",
             FL_SLICE_ARG(flags->unix_domain_socket), FL_SLICE_ARG(flags->app_id));
    enum fl_err err = http_server_listen_unix(gateway->api.main.server, path, error);
    if (!err)
        FL_INFO(gateway->log, SCOPE, "HTTP server listening on UNIX socket: %s", path);
    return err;
}

static void start_public(struct gateway *gateway)
{
    const struct config_flags *flags = gateway->flags;
    struct fl_error error;
    if (!flags->public_port)
        return;
    gateway->api.public.server = make_server(gateway, &gateway->api.public);
    if (http_server_listen(gateway->api.public.server,
                           flags->public_listen_address.len ? flags->public_listen_address.data
                                                            : "",
                           flags->public_port, flags->reuse_port, NULL, &error))
        gateway_fail(gateway, "failed to start public HTTP server: %s", error.text);
    else
        FL_INFO(gateway->log, SCOPE, "HTTP server is running on public port %u",
                flags->public_port);
}

static void try_listen(struct gateway *gateway)
{
    const struct config_flags *flags = gateway->flags;
    struct fl_error error;
    bool is_unix = flags->unix_domain_socket.len > 0;
    enum fl_err err = is_unix ? listen_unix(gateway, &error) : listen_tcp(gateway, &error);
    if (!err) {
        FL_INFO(gateway->log, SCOPE, "HTTP server is running on port %u", flags->http_port);
        FL_INFO(gateway->log, SCOPE, "The request body size parameter is: %lld bytes",
                (long long)flags->max_body_bytes);
        start_public(gateway);
        gateway_on_listening(gateway);
        return;
    }
    if (error.class == FL_CLASS_RETRY &&
        net_loop_now_ms(gateway->loop) < gateway->api.listen_until_ms) {
        net_timer_start(gateway->loop, &gateway->api.listen_timer,
                        net_loop_now_ms(gateway->loop) + LISTEN_RETRY_MS);
        return;
    }
    gateway_fail(gateway, "failed to start HTTP server: could not listen on any endpoint: %s",
                 error.text);
}

static void on_listen_timer(struct net_timer *timer)
{
    try_listen(FL_CONTAINER(timer, struct gw_api, listen_timer)->main.gateway);
}

void gw_api_start(struct gateway *gateway)
{
    gateway->api.listen_timer.expired = on_listen_timer;
    gateway->api.listen_until_ms = net_loop_now_ms(gateway->loop) + LISTEN_TOTAL_MS;
    try_listen(gateway);
}

void gw_api_stop(struct gateway *gateway)
{
    net_timer_stop(gateway->loop, &gateway->api.listen_timer);
    gw_api_bindings_stop(gateway);
    http_server_stop(gateway->api.main.server);
    if (gateway->api.public.server)
        http_server_stop(gateway->api.public.server);
}

bool gw_api_is_quiet(const struct gateway *gateway)
{
    return gateway->api.request_count == 0 && http_server_busy_count(gateway->api.main.server) == 0;
}

void gw_api_fini(struct gateway *gateway)
{
    struct gw_api *api = &gateway->api;
    if (!api->main.gateway)
        return;
    net_timer_stop(gateway->loop, &api->listen_timer);
    http_server_free(&api->main.server);
    http_server_free(&api->public.server);
    net_loop_cancel(gateway->loop, &api->stop_check);
    gw_topic_release(&api->hand.topic);
    fl_arena_fini(&api->hand.arena);
    fl_buffer_fini(&api->hand.lines);
    for (struct fl_list *first; (first = fl_list_first(&api->free_requests));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct gw_request, link));
    }
    uint32_t at = 0;
    void *value;
    while (fl_map_next(&api->extended, &at, NULL, &value))
        fl_free(value);
    fl_map_fini(&api->extended);
}
