/* Exchanges: one for each request, in its connection's line until its answer has left.
 *
 * Those that are done are kept for the next requests, up to a number. An unanswered one whose
 * client is gone waits among the orphans for its answer; when the server is freed before that, the
 * answer frees it.
 */
#include "net/http_server_priv.h"

enum { MOST_FREE_EXCHANGES = 1024 };

struct http_exchange *http_exchange_add(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    struct fl_list *first = fl_list_first(&server->free_exchanges);
    struct http_exchange *exchange;
    if (first) {
        exchange = FL_LIST_ENTRY(first, struct http_exchange, link);
        fl_list_remove(first);
        server->free_exchange_count--;
        memset(exchange, 0, sizeof *exchange);
    } else {
        exchange = fl_zalloc(sizeof *exchange);
    }
    exchange->server = server;
    exchange->conn = conn;
    fl_list_add_last(&conn->exchanges, &exchange->link);
    conn->exchange_count++;
    server->busy_count++;
    return exchange;
}

void http_exchange_recycle(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    if (exchange->out_charged)
        fl_budget_release(server->settings.budget, exchange->out_charged);
    fl_buffer_fini(&exchange->out);
    if (!server || server->free_exchange_count == MOST_FREE_EXCHANGES) {
        fl_free(exchange);
        return;
    }
    fl_list_add_first(&server->free_exchanges, &exchange->link);
    server->free_exchange_count++;
}

void http_exchange_remove(struct http_exchange *exchange)
{
    fl_list_remove(&exchange->link);
    struct http_server *server = exchange->server;
    exchange->conn->exchange_count--;
    exchange->conn = NULL;
    if (--server->busy_count == 0 && server->is_stopped && server->settings.quiet)
        net_loop_defer(server->settings.loop, server->settings.quiet);
}

void http_conn_drop_line(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    for (struct http_exchange *exchange; (exchange = http_conn_first(conn));) {
        http_exchange_remove(exchange);
        if (exchange->is_answered || exchange == conn->reading)
            http_exchange_recycle(exchange);
        else
            fl_list_add_last(&server->orphans, &exchange->link);
    }
}

const struct http_head *http_exchange_head(const struct http_exchange *exchange)
{
    return &exchange->server->parsed;
}

struct fl_slice http_exchange_body(const struct http_exchange *exchange)
{
    return exchange->server->parsed_body;
}

size_t http_exchange_reserved_bytes(const struct http_exchange *exchange)
{
    return exchange->conn ? exchange->conn->reserved_bytes : 0;
}

void http_exchange_set_context(struct http_exchange *exchange, void *context)
{
    exchange->context = context;
}

void *http_exchange_context(const struct http_exchange *exchange)
{
    return exchange->context;
}

bool http_exchange_is_alive(const struct http_exchange *exchange)
{
    return exchange->conn != NULL;
}

bool http_exchange_is_awaited(const struct http_exchange *exchange)
{
    const struct http_conn *conn = exchange->conn;
    return conn && !conn->is_peer_done && !net_stream_has_ended(conn->stream);
}
