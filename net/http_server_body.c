/* Bodies that come in pieces, read when the budget has room for the whole of each.
 *
 * The head is kept with the connection and parsed a second time when the body is complete, because
 * slices into a moved buffer would be wrong. A chunked body without a limit asks for a quarter of
 * the budget and is charged as it grows beyond that.
 */
#include "net/http_server_priv.h"

void http_body_fail(struct http_conn *conn, enum http_body_failure why)
{
    struct http_server *server = conn->server;
    struct http_exchange *exchange = conn->reading;
    struct http_refusal ignored;
    /* The head that the handler looks at stands in one of these. */
    struct fl_buffer head = conn->head, in = conn->in;
    conn->head = conn->in = (struct fl_buffer){0};
    if (head.len)
        http_parse_request(fl_buffer_slice(&head), HTTP_MOST_HEAD_BYTES, &server->parsed, &ignored);
    server->parsed_body = FL_SLICE_NULL;
    http_conn_drop_in(conn);
    http_conn_drop_body(conn);
    conn->state = CONN_HEAD;
    conn->closes = true;
    exchange->keeps_alive = false;
    net_deadline_stop(&conn->deadline);
    server->settings.handler->on_body_failed(exchange, why, server->settings.context);
    fl_buffer_fini(&head);
    fl_buffer_fini(&in);
}

static void body_complete(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    struct http_exchange *exchange = conn->reading;
    struct http_refusal ignored;
    /* The handler's answer may find the socket broken and close the connection, so its bytes are
     * held here meanwhile. `conn` itself is buried at the end of the turn at the earliest. */
    struct fl_buffer head = conn->head, body = conn->body;
    conn->head = conn->body = (struct fl_buffer){0};
    enum http_parse again =
        http_parse_request(fl_buffer_slice(&head), HTTP_MOST_HEAD_BYTES, &server->parsed, &ignored);
    FL_ASSERT(again == HTTP_PARSE_DONE);
    conn->reading = NULL;
    conn->state = CONN_HEAD;
    http_conn_deliver(conn, exchange, fl_buffer_slice(&body));
    fl_buffer_fini(&head);
    fl_buffer_fini(&body);
    http_conn_drop_body(conn);
}

/* A chunked body without a limit may outgrow what it reserved; then it is charged as it grows. */
static void charge_growth(struct http_conn *conn)
{
    if (conn->body.len <= conn->reserved_bytes)
        return;
    fl_budget_charge(conn->server->settings.budget, conn->body.len - conn->reserved_bytes);
    conn->reserved_bytes = conn->body.len;
}

struct fl_slice http_body_take(struct http_conn *conn, struct fl_slice bytes)
{
    if (!conn->is_body_chunked) {
        size_t need = (size_t)conn->body_length - conn->body.len;
        size_t len = bytes.len < need ? bytes.len : need;
        if (fl_buffer_try_append(&conn->body, bytes.data, len)) {
            http_body_fail(conn, HTTP_BODY_NO_MEMORY);
            return FL_SLICE_NULL;
        }
        bytes = fl_slice_of(bytes.data + len, bytes.len - len);
        if (conn->body.len == conn->body_length)
            body_complete(conn);
        return bytes;
    }
    for (;;) {
        size_t eaten;
        struct fl_slice piece;
        enum http_parse result = http_chunked_next(&conn->chunked, bytes, &eaten, &piece);
        bytes = fl_slice_of(bytes.data + eaten, bytes.len - eaten);
        if (result == HTTP_PARSE_BAD) {
            http_body_fail(conn, HTTP_BODY_BAD_CHUNK);
            return FL_SLICE_NULL;
        }
        if (piece.len > conn->body_length - conn->body.len) {
            http_body_fail(conn, HTTP_BODY_TOO_LARGE);
            return FL_SLICE_NULL;
        }
        if (fl_buffer_try_append(&conn->body, piece.data, piece.len)) {
            http_body_fail(conn, HTTP_BODY_NO_MEMORY);
            return FL_SLICE_NULL;
        }
        charge_growth(conn);
        if (result == HTTP_PARSE_DONE) {
            body_complete(conn);
            return bytes;
        }
        if (bytes.len == 0)
            return bytes;
    }
}

/* A body that comes slowly must not use up the time that stopping may take. */
void http_body_start_time(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    net_deadline_start(server->is_stopped ? &server->stopped_deadlines : &server->body_deadlines,
                       &conn->deadline);
}

static void begin_body(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->reading;
    conn->state = CONN_BODY;
    http_body_start_time(conn);
    if (!conn->is_body_chunked && fl_buffer_try_reserve(&conn->body, (size_t)conn->body_length)) {
        http_body_fail(conn, HTTP_BODY_NO_MEMORY);
        return;
    }
    if (exchange->wants_continue && exchange == http_conn_first(conn)) {
        exchange->wants_continue = false;
        http_conn_send_continue(conn);
    }
}

/* Room is given back anywhere, also inside another request's callback; the body begins later in the
 * turn. */
static void on_granted(struct fl_budget_wish *wish)
{
    struct http_conn *conn = FL_CONTAINER(wish, struct http_conn, wish);
    conn->reserved_bytes = wish->bytes;
    net_deadline_stop(&conn->deadline);
    net_loop_defer(conn->server->settings.loop, &conn->resume);
}

void http_conn_on_resume(struct net_task *task)
{
    struct http_conn *conn = FL_CONTAINER(task, struct http_conn, resume);
    if (conn->state == CONN_WAIT_BUDGET)
        begin_body(conn);
    if (conn->stream && conn->in.len)
        http_conn_process(conn, FL_SLICE_NULL, true);
    if (conn->stream)
        http_conn_want(conn);
}

void http_body_start(struct http_conn *conn, struct http_exchange *exchange, struct fl_slice head,
                     uint64_t length, bool is_chunked)
{
    struct fl_budget *budget = conn->server->settings.budget;
    conn->reading = exchange;
    conn->is_body_chunked = is_chunked;
    conn->body_length = length;
    conn->chunked = (struct http_chunked){0};
    fl_buffer_append_slice(&conn->head, head);
    if (length > budget->total_bytes && !is_chunked) {
        /* Room for it will never come. */
        http_body_fail(conn, HTTP_BODY_TOO_LARGE);
        return;
    }
    if (length > budget->total_bytes)
        conn->body_length = budget->total_bytes;
    /* An unlimited chunked body cannot say its size beforehand: it asks for a quarter of the
     * budget. */
    size_t wish =
        length > budget->total_bytes / 4 && is_chunked ? budget->total_bytes / 4 : (size_t)length;
    conn->wish.bytes = wish;
    conn->wish.granted = on_granted;
    if (fl_budget_try_take(budget, wish)) {
        conn->reserved_bytes = wish;
        begin_body(conn);
        return;
    }
    conn->state = CONN_WAIT_BUDGET;
    fl_budget_wait(budget, &conn->wish);
    net_deadline_start(&conn->server->wait_deadlines, &conn->deadline);
}

/* Large bodies are read in place: no copy through the read buffer. */
bool http_body_read(struct http_conn *conn)
{
    if (conn->state != CONN_BODY || conn->is_body_chunked || conn->in.len)
        return false;
    size_t need = (size_t)conn->body_length - conn->body.len;
    ssize_t n = net_stream_read(conn->stream, conn->body.data + conn->body.len, need);
    if (n == 0) {
        http_conn_on_end(conn);
    } else if (n == -2) {
        http_conn_close(conn);
    } else if (n > 0) {
        conn->body.len += (size_t)n;
        if (conn->body.len == conn->body_length) {
            body_complete(conn);
            if (conn->stream)
                http_conn_want(conn);
        }
    }
    return true;
}
