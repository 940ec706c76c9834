/* The metrics port; see the header. */
#include "gateway/metrics_port.h"

#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "net/http_server.h"

enum { MOST_METRICS_CONNECTIONS = 64 };

static void set(struct gateway *gateway, enum gw_metric metric, const struct fl_slice *labels,
                double value)
{
    gw_gauge_set(gw_metrics_gauge(gateway->metrics, metric, labels), value);
}

static void refresh_components(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->component_count; i++) {
        struct gw_component *component = gateway->components[i];
        gw_component_count(component);
        set(gateway, GW_CONNECTOR_UP, &component->name, component->is_up);
        set(gateway, GW_PUBLISH_WAITING, &component->name, (double)component->waiting_count);
    }
}

static void refresh_subscriptions(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->subscriptions.count; i++) {
        const struct gw_subscription *subscription = &gateway->subscriptions.items[i];
        struct fl_slice labels[] = {subscription->config->pubsub, subscription->config->topic};
        bool is_open = subscription->state == GW_SUB_ACTIVE && !gateway->subscriptions.are_paused;
        if (!subscription->component)
            continue;
        set(gateway, GW_IN_FLIGHT, labels, (double)subscription->in_flight_count);
        set(gateway, GW_RETRY_WAITING, labels, (double)subscription->retry_waiting_count);
        set(gateway, GW_WINDOW, labels, is_open ? subscription->window_messages : 0);
    }
}

static void refresh(struct gw_metrics *metrics, void *context)
{
    struct gateway *gateway = context;
    (void)metrics;
    size_t connections = http_server_connection_count(gateway->api.main.server);
    set(gateway, GW_LOOP_LAG_SECONDS, NULL,
        (double)net_loop_take_longest_turn_ns(gateway->loop) / 1e9);
    set(gateway, GW_BUDGET_BYTES, NULL, (double)gateway->budget.total_bytes);
    set(gateway, GW_BUDGET_USED_BYTES, NULL,
        (double)(gateway->budget.used_bytes + gateway->budget.waiting_bytes));
    set(gateway, GW_CONNECTIONS, NULL, (double)connections);
    refresh_components(gateway);
    refresh_subscriptions(gateway);
}

static void on_head(struct http_exchange *exchange, void *context, uint64_t *most_body_bytes)
{
    (void)exchange;
    (void)context;
    *most_body_bytes = 0;
}

static void on_request(struct http_exchange *exchange, void *context)
{
    struct gateway *gateway = context;
    struct fl_buffer text = {0};
    gw_metrics_render(gateway->metrics, &text);
    struct http_response response = {
        .status = 200,
        .fields = FL_SLICE_LIT("Content-Type: " GW_METRICS_CONTENT_TYPE "\r\n"),
        .body = fl_buffer_slice(&text)};
    http_exchange_respond(exchange, &response);
    fl_buffer_fini(&text);
}

static void on_body_failed(struct http_exchange *exchange, enum http_body_failure why,
                           void *context)
{
    struct http_response response = {.status = 400, .closes = true};
    (void)why;
    (void)context;
    http_exchange_respond(exchange, &response);
}

static const struct http_handler metrics_handler = {
    .on_head = on_head, .on_request = on_request, .on_body_failed = on_body_failed};

enum fl_err gw_metrics_port_start(struct gateway *gateway, struct fl_error *error)
{
    const struct config_flags *flags = gateway->flags;
    struct fl_error cause;
    gw_metrics_set_scrape_hook(gateway->metrics, refresh, gateway);
    if (!flags->has_metrics)
        return FL_OK;
    struct http_server_settings settings = http_server_defaults();
    settings.loop = gateway->loop;
    settings.budget = &gateway->budget;
    settings.handler = &metrics_handler;
    settings.context = gateway;
    settings.most_connections = MOST_METRICS_CONNECTIONS;
    gateway->metrics_server = http_server_new(&settings);
    const char *address =
        flags->metrics_listen_address.len ? flags->metrics_listen_address.data : "0.0.0.0";
    if (http_server_listen(gateway->metrics_server, address, flags->metrics_port, flags->reuse_port,
                           NULL, &cause))
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "failed to listen on %s:%u: %s",
                            address, flags->metrics_port, cause.text);
    FL_INFO(gateway->log, "dapr.metrics", "metrics server started on %s:%u/", address,
            flags->metrics_port);
    return FL_OK;
}

void gw_metrics_port_stop(struct gateway *gateway)
{
    http_server_free(&gateway->metrics_server);
}
