/* Bytes in: heads are parsed, and requests that are in hand as a whole go to the handler.
 *
 * Reads go into one buffer of the server; only what is incomplete at the end of a read is copied to
 * the connection. A head that comes in pieces is searched for its end (each byte once) and parsed
 * when complete. A body that is not whole is http_server_body.c's.
 */
#include "net/http_server_priv.h"

enum { MOST_LINGER_BYTES = 8 * 1024 * 1024 };

/* 8 KiB; whoever raises the limit of the head wants longer targets as well. */
static size_t most_target_bytes(const struct http_server *server)
{
    size_t by_head = server->settings.most_head_bytes;
    by_head -= by_head > 4096 ? 4096 : 0;
    return by_head > HTTP_MOST_TARGET_BYTES ? by_head : HTTP_MOST_TARGET_BYTES;
}

/* Tells the handler of the head; false when it answered at once (the exchange is gone then). */
static bool ask_handler(struct http_server *server, struct http_exchange *exchange, uint64_t *most)
{
    server->parsed_body = FL_SLICE_NULL;
    server->asked = exchange;
    server->settings.handler->on_head(exchange, server->settings.context, most);
    if (server->asked != exchange)
        return false;
    server->asked = NULL;
    if (exchange->conn)
        return true;
    /* The line ended meanwhile; the handler waits for a body that will not come. */
    fl_list_remove(&exchange->link);
    http_exchange_recycle(exchange);
    return false;
}

void http_conn_deliver(struct http_conn *conn, struct http_exchange *exchange, struct fl_slice body)
{
    struct http_server *server = conn->server;
    net_deadline_stop(&conn->deadline);
    /* What the client sends behind a request that ends the connection is not looked at. */
    conn->closes |= !exchange->keeps_alive;
    server->parsed_body = body;
    server->settings.handler->on_request(exchange, server->settings.context);
}

/* The head in `server->parsed` begins `bytes`. Gives what is left behind the request, or behind its
 * head. */
static struct fl_slice take_request(struct http_conn *conn, struct fl_slice bytes)
{
    struct http_server *server = conn->server;
    struct http_head *head = &server->parsed;
    struct fl_slice head_bytes = fl_slice_of(bytes.data, head->head_bytes);
    struct fl_slice rest = fl_slice_of(bytes.data + head->head_bytes, bytes.len - head->head_bytes);
    if (head->target.len > most_target_bytes(server)) {
        http_conn_refuse(conn, 414, "414 Request URI Too Long");
        return FL_SLICE_NULL;
    }
    if (head->expects_unknown) {
        http_conn_refuse(conn, 417, "417 Expectation Failed");
        return FL_SLICE_NULL;
    }
    struct http_exchange *exchange = http_exchange_add(conn);
    bool has_body = head->is_chunked || head->content_length > 0;
    uint64_t most = 0;
    exchange->keeps_alive = head->keeps_alive && !server->is_stopped;
    exchange->is_http_1_0 = head->minor_version == 0;
    exchange->is_head_request = fl_slice_eq(head->method, FL_SLICE_LIT("HEAD"));
    if (!has_body || (!head->is_chunked && rest.len >= (uint64_t)head->content_length)) {
        size_t length = has_body ? (size_t)head->content_length : 0;
        if (!ask_handler(server, exchange, &most))
            return fl_slice_of(rest.data + length, rest.len - length);
        if (length > most) {
            conn->reading = exchange;
            http_body_fail(conn, HTTP_BODY_TOO_LARGE);
            return FL_SLICE_NULL;
        }
        http_conn_deliver(conn, exchange, fl_slice_of(rest.data, length));
        return fl_slice_of(rest.data + length, rest.len - length);
    }
    /* When the answer comes before the body was read, what follows it cannot be found. */
    exchange->keeps_alive = false;
    if (!ask_handler(server, exchange, &most)) {
        conn->closes = true;
        return FL_SLICE_NULL;
    }
    exchange->keeps_alive = head->keeps_alive && !server->is_stopped;
    exchange->wants_continue = head->expects_continue && head->minor_version == 1 && rest.len == 0;
    if (!head->is_chunked && (uint64_t)head->content_length > most) {
        exchange->wants_continue = false;
        conn->reading = exchange;
        http_body_fail(conn, HTTP_BODY_TOO_LARGE);
        return FL_SLICE_NULL;
    }
    http_body_start(conn, exchange, head_bytes,
                    head->is_chunked ? most : (uint64_t)head->content_length, head->is_chunked);
    return rest;
}

/* What is left over stays with the connection. */
static void keep_rest(struct http_conn *conn, struct fl_slice rest, bool is_own)
{
    if (is_own) {
        fl_buffer_consume(&conn->in, conn->in.len - rest.len);
        if (conn->in.len == 0)
            http_conn_drop_in(conn);
        return;
    }
    fl_buffer_append_slice(&conn->in, rest);
    if (!http_conn_hold_in(conn)) {
        if (conn->reading) {
            http_body_fail(conn, HTTP_BODY_NO_MEMORY);
            return;
        }
        http_conn_refuse(conn, 503, "503 Service Unavailable");
    }
}

/* Parses a head at the start of `bytes`; MORE and BAD are dealt with here. */
static bool parse_head(struct http_conn *conn, struct fl_slice bytes, bool is_own)
{
    struct http_server *server = conn->server;
    struct http_refusal refusal = {400, "400 Bad Request"};
    enum http_parse result = HTTP_PARSE_DONE;
    if (is_own) {
        result = http_find_head_end(&conn->search, bytes);
        if (result == HTTP_PARSE_MORE && bytes.len > server->settings.most_head_bytes) {
            refusal = (struct http_refusal){431, "431 Request Header Fields Too Large"};
            result = HTTP_PARSE_BAD;
        }
    }
    if (result == HTTP_PARSE_DONE)
        result =
            http_parse_request(bytes, server->settings.most_head_bytes, &server->parsed, &refusal);
    if (result != HTTP_PARSE_MORE)
        conn->search.seen = 0;
    if (result == HTTP_PARSE_BAD)
        http_conn_refuse(conn, refusal.status, refusal.text);
    return result == HTTP_PARSE_DONE;
}

void http_conn_process(struct http_conn *conn, struct fl_slice bytes, bool is_own)
{
    struct http_server *server = conn->server;
    if (is_own)
        bytes = fl_buffer_slice(&conn->in);
    conn->is_processing = true;
    bool is_stuck = false;
    while (bytes.len && conn->stream && !is_stuck) {
        if (conn->state == CONN_BODY) {
            bytes = http_body_take(conn, bytes);
        } else if (conn->state == CONN_HEAD && !conn->closes &&
                   conn->exchange_count < server->settings.most_pipelined) {
            if (parse_head(conn, bytes, is_own))
                bytes = take_request(conn, bytes);
            else
                is_stuck = true;
        } else {
            is_stuck = true;
        }
        if (conn->closes)
            bytes = FL_SLICE_NULL;
    }
    conn->is_processing = false;
    if (!conn->stream)
        return;
    if (conn->closes) {
        http_conn_drop_in(conn);
    } else if (is_own || bytes.len) {
        bool is_new = !is_own || bytes.len < conn->in.len;
        keep_rest(conn, bytes, is_own);
        if (!conn->stream)
            return;
        /* The head's time runs from its first byte; while answers are pending it starts with the
         * last of them. */
        if (is_new && conn->state == CONN_HEAD && conn->in.len && conn->exchange_count == 0)
            net_deadline_start(&server->head_deadlines, &conn->deadline);
    }
    http_conn_want(conn);
}

void http_conn_on_end(struct http_conn *conn)
{
    conn->is_peer_done = true;
    struct http_exchange *reading = conn->reading;
    if (reading) {
        /* The request will never be complete; those before it still get their answers. */
        http_conn_drop_body(conn);
        http_exchange_remove(reading);
        http_exchange_recycle(reading);
        conn->state = CONN_HEAD;
        net_deadline_stop(&conn->deadline);
    }
    if (conn->state == CONN_LINGER || (conn->exchange_count == 0 && http_conn_unsent(conn) == 0)) {
        http_conn_close(conn);
        return;
    }
    http_conn_want(conn);
}

static void discard(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    ssize_t n = net_stream_read(conn->stream, server->read_buffer, HTTP_READ_BYTES);
    if (n == -1)
        return;
    conn->lingered_bytes += n > 0 ? (size_t)n : 0;
    if (n <= 0 || conn->lingered_bytes > MOST_LINGER_BYTES)
        http_conn_close(conn);
}

void http_conn_on_readable(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->state == CONN_LINGER) {
        discard(conn);
        return;
    }
    if (http_body_read(conn))
        return;
    ssize_t n = net_stream_read(conn->stream, server->read_buffer, HTTP_READ_BYTES);
    if (n == -1)
        return;
    if (n == 0) {
        http_conn_on_end(conn);
        return;
    }
    if (n < 0) {
        http_conn_close(conn);
        return;
    }
    struct fl_slice bytes = fl_slice_of(server->read_buffer, (size_t)n);
    if (conn->in.len == 0) {
        if (conn->state == CONN_HEAD && conn->exchange_count == 0)
            net_deadline_stop(&conn->deadline);
        http_conn_process(conn, bytes, false);
        return;
    }
    fl_buffer_append_slice(&conn->in, bytes);
    if (!http_conn_hold_in(conn)) {
        http_conn_refuse(conn, 503, "503 Service Unavailable");
        return;
    }
    http_conn_process(conn, FL_SLICE_NULL, true);
}
