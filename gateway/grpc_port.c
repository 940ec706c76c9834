/* The gRPC port that serves nothing; see the header.
 *
 * A gRPC client begins with HTTP/2's preface, which no request of HTTP/1.1 looks like: it gets what
 * the server answers to a bad request and is closed. */
#include "gateway/grpc_port.h"

#include <stdio.h>

#include "gateway/gateway.h"
#include "net/http_server.h"

#define SCOPE "dapr.runtime"

enum { MOST_CONNECTIONS = 16 };

static void refuse(struct http_exchange *exchange, int status)
{
    struct http_response response = {
        .status = status,
        .fields = FL_SLICE_LIT("Content-Type: text/plain\r\n"),
        .body = FL_SLICE_LIT("gRPC is not served by this version; the HTTP API is\n"),
        .closes = true};
    http_exchange_respond(exchange, &response);
}

static void on_head(struct http_exchange *exchange, void *context, uint64_t *most_body_bytes)
{
    (void)context;
    *most_body_bytes = 0;
    refuse(exchange, 501);
}

static void on_request(struct http_exchange *exchange, void *context)
{
    (void)context;
    refuse(exchange, 501);
}

static void on_body_failed(struct http_exchange *exchange, enum http_body_failure why,
                           void *context)
{
    (void)why;
    (void)context;
    refuse(exchange, 501);
}

static const struct http_handler handler = {
    .on_head = on_head, .on_request = on_request, .on_body_failed = on_body_failed};

static enum fl_err listen_unix(struct gateway *gateway, struct fl_error *error)
{
    const struct config_flags *flags = gateway->flags;
    char path[512];
    snprintf(path, sizeof path, "%.*s/dapr-%.*s-grpc.socket",
             FL_SLICE_ARG(flags->unix_domain_socket), FL_SLICE_ARG(flags->app_id));
    return http_server_listen_unix(gateway->grpc_server, path, error);
}

/* One address is enough, as for the API. */
static enum fl_err listen_tcp(struct gateway *gateway, struct fl_error *error)
{
    const struct config_flags *flags = gateway->flags;
    const struct config_list *list = &flags->listen_addresses;
    enum fl_err result = FL_ERR_SYSTEM;
    for (size_t i = 0; i < list->count || i == 0; i++) {
        const char *address = list->count ? list->items[i].data : "";
        if (!http_server_listen(gateway->grpc_server, address, flags->grpc_port, flags->reuse_port,
                                NULL, error))
            result = FL_OK;
    }
    return result;
}

void gw_grpc_port_start(struct gateway *gateway)
{
    const struct config_flags *flags = gateway->flags;
    struct http_server_settings settings = http_server_defaults();
    struct fl_error error;
    if (!flags->is_called_daprd || gateway->grpc_server)
        return;
    settings.loop = gateway->loop;
    settings.budget = &gateway->budget;
    settings.handler = &handler;
    settings.most_connections = MOST_CONNECTIONS;
    gateway->grpc_server = http_server_new(&settings);
    enum fl_err err =
        flags->unix_domain_socket.len ? listen_unix(gateway, &error) : listen_tcp(gateway, &error);
    if (err)
        FL_WARN(gateway->log, SCOPE, "the gRPC port cannot be held: %s", error.text);
    else
        FL_INFO(gateway->log, SCOPE,
                "gRPC port %u is open and serves nothing: this version has the HTTP API only",
                flags->grpc_port);
}

void gw_grpc_port_stop(struct gateway *gateway)
{
    http_server_free(&gateway->grpc_server);
}
