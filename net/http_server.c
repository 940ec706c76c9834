/* The server as a whole: where it listens, how long anything may take, and how it stops.
 *
 * The time limits are lists by length, so that starting one costs no search. A stopped server
 * closes what is idle; bodies on their way get a short time to arrive, and each connection ends
 * behind its last answer.
 */
#include "net/http_server_priv.h"

enum { LINGER_MS = 2000, STOPPED_BODY_MS = 3000 };

struct http_server_settings http_server_defaults(void)
{
    return (struct http_server_settings){
        .most_head_bytes = 8192,
        .most_connections = 10000,
        .most_pipelined = 64,
        .head_timeout_ms = 10000,
        .body_timeout_ms = 60000,
        .body_wait_ms = 2000,
        .idle_timeout_ms = 180000,
        .write_timeout_ms = 30000,
    };
}

static struct http_conn *conn_of(struct net_deadline *deadline)
{
    return FL_CONTAINER(deadline, struct http_conn, deadline);
}

static void on_head_timeout(struct net_deadline *deadline)
{
    struct http_conn *conn = conn_of(deadline);
    if (conn->in.len)
        http_conn_refuse(conn, 408, "408 Request Timeout");
    else
        http_conn_close(conn);
}

static void on_body_timeout(struct net_deadline *deadline)
{
    http_body_fail(conn_of(deadline), HTTP_BODY_TIMED_OUT);
}

static void on_wait_timeout(struct net_deadline *deadline)
{
    http_body_fail(conn_of(deadline), HTTP_BODY_NO_MEMORY);
}

static void on_plain_timeout(struct net_deadline *deadline)
{
    http_conn_close(conn_of(deadline));
}

static void on_write_timeout(struct net_deadline *deadline)
{
    http_conn_close(FL_CONTAINER(deadline, struct http_conn, write_deadline));
}

enum fl_err http_server_listen(struct http_server *server, const char *address, uint16_t port,
                               bool reuse_port, uint16_t *bound_port, struct fl_error *error)
{
    return http_listeners_add(&server->listeners, address, port, reuse_port, bound_port, error);
}

enum fl_err http_server_listen_unix(struct http_server *server, const char *path,
                                    struct fl_error *error)
{
    return http_listeners_add_unix(&server->listeners, path, error);
}

void http_server_stop(struct http_server *server)
{
    if (server->is_stopped)
        return;
    server->is_stopped = true;
    http_listeners_fini(&server->listeners);
    FL_LIST_EACH_SAFE(at, &server->conns)
    {
        struct http_conn *conn = FL_LIST_ENTRY(at, struct http_conn, link);
        if (conn->exchange_count == 0 && http_conn_unsent(conn) == 0 && conn->state != CONN_LINGER)
            http_conn_close(conn);
        else if (conn->state == CONN_BODY)
            http_body_start_time(conn);
    }
}

struct http_server *http_server_new(const struct http_server_settings *settings)
{
    struct http_server *server = fl_zalloc(sizeof *server);
    struct net_loop *loop = settings->loop;
    server->settings = *settings;
    http_listeners_init(&server->listeners, loop, http_conn_on_accepted, server);
    server->bury.run = http_conns_bury;
    fl_list_init(&server->conns);
    fl_list_init(&server->dead);
    fl_list_init(&server->free_exchanges);
    fl_list_init(&server->orphans);
    net_deadlines_init(&server->head_deadlines, loop, settings->head_timeout_ms, on_head_timeout);
    net_deadlines_init(&server->body_deadlines, loop, settings->body_timeout_ms, on_body_timeout);
    net_deadlines_init(&server->wait_deadlines, loop, settings->body_wait_ms, on_wait_timeout);
    net_deadlines_init(&server->idle_deadlines, loop, settings->idle_timeout_ms, on_plain_timeout);
    net_deadlines_init(&server->write_deadlines, loop, settings->write_timeout_ms,
                       on_write_timeout);
    net_deadlines_init(&server->linger_deadlines, loop, LINGER_MS, on_plain_timeout);
    net_deadlines_init(&server->stopped_deadlines, loop, STOPPED_BODY_MS, on_body_timeout);
    return server;
}

void http_server_free(struct http_server **pointer)
{
    struct http_server *server = *pointer;
    if (!server)
        return;
    *pointer = NULL;
    http_server_stop(server);
    FL_LIST_EACH_SAFE(at, &server->conns)
    {
        http_conn_close(FL_LIST_ENTRY(at, struct http_conn, link));
    }
    http_conns_bury(&server->bury);
    net_loop_cancel(server->settings.loop, &server->bury);
    for (struct fl_list *first; (first = fl_list_first(&server->orphans));) {
        fl_list_remove(first);
        FL_LIST_ENTRY(first, struct http_exchange, link)->server = NULL;
    }
    for (struct fl_list *first; (first = fl_list_first(&server->free_exchanges));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct http_exchange, link));
    }
    net_deadlines_fini(&server->head_deadlines);
    net_deadlines_fini(&server->body_deadlines);
    net_deadlines_fini(&server->wait_deadlines);
    net_deadlines_fini(&server->idle_deadlines);
    net_deadlines_fini(&server->write_deadlines);
    net_deadlines_fini(&server->linger_deadlines);
    net_deadlines_fini(&server->stopped_deadlines);
    fl_free(server);
}

size_t http_server_connection_count(const struct http_server *server)
{
    return server->conn_count;
}

size_t http_server_busy_count(const struct http_server *server)
{
    return server->busy_count;
}
