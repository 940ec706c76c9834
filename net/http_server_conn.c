/* A connection from accepting to its end.
 *
 * An idle one owns no buffer. What it holds for longer than a call (an incomplete head, a body, an
 * answer that the client does not take) counts in the server's budget, and each of the drop
 * functions here gives one of them back; closing drops everything. The memory itself is freed at
 * the end of the turn, so that callers up the stack may still look at it.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/http_server_priv.h"

enum { MOST_UNSENT_BYTES = 64 * 1024 };

void http_conn_drop_in(struct http_conn *conn)
{
    fl_buffer_fini(&conn->in);
    conn->search.seen = 0;
    if (conn->in_held_bytes)
        fl_budget_release_waiting(conn->server->settings.budget, conn->in_held_bytes);
    conn->in_held_bytes = 0;
}

bool http_conn_hold_in(struct http_conn *conn)
{
    struct fl_budget *budget = conn->server->settings.budget;
    if (conn->in.room > conn->in_held_bytes) {
        if (!fl_budget_hold_waiting(budget, conn->in.room - conn->in_held_bytes))
            return false;
        conn->in_held_bytes = conn->in.room;
    }
    return true;
}

void http_conn_drop_body(struct http_conn *conn)
{
    struct fl_budget *budget = conn->server->settings.budget;
    fl_buffer_fini(&conn->head);
    fl_buffer_fini(&conn->body);
    fl_budget_leave(budget, &conn->wish);
    size_t reserved = conn->reserved_bytes;
    conn->reserved_bytes = 0;
    conn->reading = NULL;
    if (reserved)
        fl_budget_release(budget, reserved);
}

void http_conn_drop_out(struct http_conn *conn)
{
    if (conn->out_charged)
        fl_budget_release(conn->server->settings.budget, conn->out_charged);
    fl_buffer_fini(&conn->out);
    conn->out_taken = conn->out_charged = 0;
}

void http_conn_want(struct http_conn *conn)
{
    bool reading = !conn->is_peer_done && http_conn_unsent(conn) <= MOST_UNSENT_BYTES &&
                   (conn->state == CONN_LINGER || conn->state == CONN_BODY ||
                    (conn->state == CONN_HEAD && !conn->closes &&
                     conn->exchange_count < conn->server->settings.most_pipelined));
    net_stream_want(conn->stream, reading, http_conn_unsent(conn) > 0);
}

void http_conns_bury(struct net_task *task)
{
    struct http_server *server = FL_CONTAINER(task, struct http_server, bury);
    for (struct fl_list *first; (first = fl_list_first(&server->dead));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct http_conn, link));
    }
}

void http_conn_close(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (!conn->stream)
        return;
    net_stream_close(&conn->stream);
    net_deadline_stop(&conn->deadline);
    net_deadline_stop(&conn->write_deadline);
    net_loop_cancel(server->settings.loop, &conn->flush);
    net_loop_cancel(server->settings.loop, &conn->resume);
    http_conn_drop_line(conn);
    http_conn_drop_in(conn);
    http_conn_drop_body(conn);
    http_conn_drop_out(conn);
    fl_list_remove(&conn->link);
    fl_list_add_last(&server->dead, &conn->link);
    net_loop_defer(server->settings.loop, &server->bury);
    server->conn_count--;
    if (!server->is_stopped)
        http_listeners_set_open(&server->listeners, true);
}

static void on_stream(struct net_stream *stream, void *context, unsigned events)
{
    struct http_conn *conn = context;
    (void)stream;
    if (events & NET_BROKEN) {
        http_conn_close(conn);
        return;
    }
    if (events & NET_WRITABLE)
        http_conn_flush(conn);
    if ((events & NET_READABLE) && conn->stream)
        http_conn_on_readable(conn);
}

void http_conn_on_accepted(int fd, void *context)
{
    struct http_server *server = context;
    struct http_conn *conn = fl_zalloc(sizeof *conn);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->server = server;
    conn->flush.run = http_conn_on_flush;
    conn->resume.run = http_conn_on_resume;
    fl_list_init(&conn->exchanges);
    fl_list_init(&conn->wish.link);
    net_deadline_init(&conn->deadline);
    net_deadline_init(&conn->write_deadline);
    if (net_stream_new(server->settings.loop, fd, on_stream, conn, &conn->stream)) {
        close(fd);
        fl_free(conn);
        return;
    }
    fl_list_add_last(&server->conns, &conn->link);
    server->conn_count++;
    net_deadline_start(&server->head_deadlines, &conn->deadline);
    if (server->conn_count >= server->settings.most_connections)
        http_listeners_set_open(&server->listeners, false);
}
