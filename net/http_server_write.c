/* Answers out, in the order of the requests.
 *
 * An answer is written to the socket directly when it is first in line and nothing else of the
 * connection is pending; otherwise answers are gathered and flushed once at the end of the turn.
 * One that is given before its turn waits with its exchange.
 */
#include "net/http_server_priv.h"

static void start_linger(struct http_conn *conn)
{
    /* Closing with unread input would send a reset, which can destroy the answer on its way. */
    conn->state = CONN_LINGER;
    net_stream_shutdown(conn->stream);
    net_deadline_start(&conn->server->linger_deadlines, &conn->deadline);
    if (conn->is_peer_done)
        http_conn_close(conn);
    else
        http_conn_want(conn);
}

/* Everything is sent and nothing is in line. */
static void on_quiet(struct http_conn *conn)
{
    if (conn->state == CONN_LINGER || conn->reading)
        return;
    if (conn->closes) {
        start_linger(conn);
        return;
    }
    if (conn->is_peer_done || conn->server->is_stopped) {
        http_conn_close(conn);
        return;
    }
    if (conn->state == CONN_HEAD)
        net_deadline_start(conn->in.len ? &conn->server->head_deadlines
                                        : &conn->server->idle_deadlines,
                           &conn->deadline);
}

static void after_write(struct http_conn *conn)
{
    if (http_conn_unsent(conn)) {
        /* Only bytes that the kernel took put the end off, not answers that queue up. */
        if (!net_deadline_is_running(&conn->write_deadline))
            net_deadline_start(&conn->server->write_deadlines, &conn->write_deadline);
        http_conn_want(conn);
        return;
    }
    if (conn->exchange_count == 0)
        on_quiet(conn);
}

void http_conn_flush(struct http_conn *conn)
{
    if (!conn->stream || http_conn_unsent(conn) == 0)
        return;
    struct iovec part = {conn->out.data + conn->out_taken, http_conn_unsent(conn)};
    ssize_t n = net_stream_writev(conn->stream, &part, 1);
    if (n < 0) {
        http_conn_close(conn);
        return;
    }
    conn->out_taken += (size_t)n;
    if (n > 0)
        net_deadline_stop(&conn->write_deadline);
    if (http_conn_unsent(conn) == 0) {
        http_conn_drop_out(conn);
        http_conn_want(conn);
    }
    after_write(conn);
}

void http_conn_on_flush(struct net_task *task)
{
    http_conn_flush(FL_CONTAINER(task, struct http_conn, flush));
}

/* Keeps what the kernel did not take. Large answers count in the budget while they wait for their
 * client; without memory for one the connection is closed. */
static void keep(struct http_conn *conn, const struct iovec *parts, int count, size_t sent,
                 size_t bytes)
{
    if (conn->out_taken >= conn->out.len / 2) {
        fl_buffer_consume(&conn->out, conn->out_taken);
        conn->out_taken = 0;
    }
    if (fl_buffer_try_reserve(&conn->out, bytes)) {
        http_conn_close(conn);
        return;
    }
    for (int i = 0; i < count; i++) {
        size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        fl_buffer_append(&conn->out, (char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
        sent -= skip;
    }
    if (conn->out.len > HTTP_LARGE_OUT_BYTES && conn->out.len > conn->out_charged) {
        fl_budget_charge(conn->server->settings.budget, conn->out.len - conn->out_charged);
        conn->out_charged = conn->out.len;
    }
}

/* Sends at once when nothing is in the way; gathers otherwise. */
static void send_bytes(struct http_conn *conn, const struct iovec *parts, int count, bool gather)
{
    size_t total = 0, sent = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    if (!gather && http_conn_unsent(conn) == 0) {
        ssize_t n = net_stream_writev(conn->stream, parts, count);
        if (n < 0) {
            http_conn_close(conn);
            return;
        }
        sent = (size_t)n;
    }
    if (sent < total) {
        keep(conn, parts, count, sent, total - sent);
        if (gather && conn->stream)
            net_loop_defer(conn->server->settings.loop, &conn->flush);
    }
}

void http_conn_send_continue(struct http_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec part = {(char *)text, sizeof text - 1};
    send_bytes(conn, &part, 1, false);
}

/* An answer that ends the connection is the last one: what was asked behind it stays unanswered. */
static void end_line(struct http_conn *conn)
{
    conn->closes = true;
    http_conn_drop_line(conn);
    http_conn_drop_body(conn);
    if (conn->state == CONN_BODY || conn->state == CONN_WAIT_BUDGET) {
        conn->state = CONN_HEAD;
        net_deadline_stop(&conn->deadline);
    }
}

/* The line moved: what was answered before its turn follows, and an owed 100 Continue. */
static void advance(struct http_conn *conn)
{
    struct http_exchange *first;
    while (conn->stream && (first = http_conn_first(conn))) {
        if (!first->is_answered) {
            if (first->wants_continue) {
                first->wants_continue = false;
                http_conn_send_continue(conn);
            }
            break;
        }
        struct iovec part = {first->out.data, first->out.len};
        bool is_last = !first->keeps_alive;
        send_bytes(conn, &part, 1, true);
        if (!conn->stream)
            return; /* Closing freed it. */
        http_exchange_remove(first);
        http_exchange_recycle(first);
        if (is_last) {
            end_line(conn);
            return;
        }
    }
}

/* The answer of the first in line leaves, and those behind it that wait for that. */
static void send_first(struct http_exchange *exchange, const struct http_answer *out)
{
    struct http_conn *conn = exchange->conn;
    struct http_server *server = conn->server;
    bool was_full = conn->exchange_count >= server->settings.most_pipelined;
    /* A lone request that is answered while it is processed needs no gathering: nothing follows it.
     */
    bool gather = conn->exchange_count > 1 || (conn->is_processing && conn->in.len > 0);
    conn->closes |= !exchange->keeps_alive;
    send_bytes(conn, out->parts, out->count, gather);
    if (!conn->stream) {
        /* Closing unlinked and freed this exchange: it was answered. */
        return;
    }
    bool is_last = !exchange->keeps_alive;
    http_exchange_remove(exchange);
    http_exchange_recycle(exchange);
    if (is_last)
        end_line(conn);
    else
        advance(conn);
    if (!conn->stream)
        return;
    if (http_conn_unsent(conn) == 0 || !gather)
        after_write(conn);
    if (conn->stream && was_full && conn->state == CONN_HEAD) {
        /* Later in the turn: the caller may stand inside another request's callback. */
        if (conn->in.len && !conn->is_processing && !conn->closes)
            net_loop_defer(server->settings.loop, &conn->resume);
        http_conn_want(conn);
    }
}

void http_exchange_respond(struct http_exchange *exchange, const struct http_response *response)
{
    struct http_conn *conn = exchange->conn;
    struct http_server *server = exchange->server;
    FL_ASSERT(!exchange->is_answered);
    exchange->is_answered = true;
    if (server && server->asked == exchange)
        server->asked = NULL;
    if (!conn) {
        fl_list_remove(&exchange->link);
        http_exchange_recycle(exchange);
        return;
    }
    /* A stopped server closes behind the last answer, not behind the first of several. */
    bool is_newest = conn->exchanges.prev == &exchange->link;
    if (response->closes || (server->is_stopped && is_newest))
        exchange->keeps_alive = false;
    struct http_answer out;
    http_answer_render(exchange, response, &out);
    if (exchange == http_conn_first(conn)) {
        send_first(exchange, &out);
        return;
    }
    for (int i = 0; i < out.count; i++)
        fl_buffer_append(&exchange->out, out.parts[i].iov_base, out.parts[i].iov_len);
    if (exchange->out.len > HTTP_LARGE_OUT_BYTES) {
        exchange->out_charged = exchange->out.len;
        fl_budget_charge(server->settings.budget, exchange->out_charged);
    }
}

void http_conn_refuse(struct http_conn *conn, int status, const char *text)
{
    struct http_exchange *exchange = conn->reading ? conn->reading : http_exchange_add(conn);
    conn->reading = NULL;
    http_conn_drop_in(conn);
    http_conn_drop_body(conn);
    conn->state = CONN_HEAD;
    conn->closes = true;
    net_deadline_stop(&conn->deadline);
    struct http_response response = {
        .status = status,
        .fields = FL_SLICE_LIT("Content-Type: text/plain; charset=utf-8\r\n"),
        .body = fl_slice_str(text),
        .closes = true,
    };
    http_exchange_respond(exchange, &response);
}
