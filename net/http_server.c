/* The server's connections.
 *
 *   accept ─► HEAD ─┬─ whole request in hand ─► on_request ─► pending ─► answered ─► HEAD
 *              ▲    ├─ body incomplete ─► WAIT_BUDGET (its line) ─► BODY ─► on_request ─► …
 *              │    └─ refused ─► answer ─► LINGER ─► closed
 *              └──── pipelined requests are taken on while fewer than most_pipelined wait
 *
 * LINGER: our side is closed and what still comes is thrown away, so that the answer is seen.
 *
 * Reads go into one buffer of the server; only what is incomplete at the end of a read is copied to
 * the connection. A head that comes in pieces is searched for its end (each byte once) and parsed
 * when complete; it is parsed a second time when a body that came in pieces is complete, because
 * slices into a moved buffer would be wrong.
 *
 * Answers are written to the socket directly when they are first in line and nothing else of the
 * connection is pending; otherwise they are gathered and flushed once at the end of the turn.
 */
#include "net/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "net/http_listener.h"
#include "net/loop.h"
#include "net/stream.h"

enum {
    READ_BYTES = 16 * 1024,
    LINGER_MS = 2000,
    STOPPED_BODY_MS = 3000,
    MOST_LINGER_BYTES = 8 * 1024 * 1024,
    MOST_UNSENT_BYTES = 64 * 1024,
    LARGE_OUT_BYTES = 64 * 1024, /* above this, what waits to be sent counts in the budget */
    MOST_FREE_EXCHANGES = 1024,
};

enum conn_state { CONN_HEAD, CONN_WAIT_BUDGET, CONN_BODY, CONN_LINGER };

struct http_exchange {
    struct fl_list link;        /* in its connection's line, the orphans, or the freelist */
    struct http_server *server; /* NULL: freed */
    struct http_conn *conn;     /* NULL: the client is gone */
    void *context;
    struct fl_buffer out; /* an answer given before its turn */
    size_t out_charged;
    bool is_answered;
    bool is_head_request;
    bool keeps_alive;
    bool is_http_1_0;
    bool wants_continue; /* 100 Continue is owed when this one is first in line */
};

struct http_conn {
    struct fl_list link;
    struct http_server *server;
    struct net_stream *stream;
    struct net_deadline deadline;       /* of reading */
    struct net_deadline write_deadline; /* running while the kernel takes nothing */
    struct fl_list exchanges;           /* in the order of the requests */
    unsigned exchange_count;
    unsigned char state;
    bool is_peer_done; /* it closed its sending side */
    bool closes;       /* after what is in line was answered */
    bool is_processing;
    struct fl_buffer in;  /* incomplete head, or what came behind a paused request */
    size_t in_held_bytes; /* of the budget's line part */
    struct http_head_search search;
    struct fl_buffer head; /* of the request whose body is coming */
    struct fl_buffer body;
    uint64_t body_length; /* declared; of a chunked body: the limit */
    bool is_body_chunked;
    struct http_chunked chunked;
    struct http_exchange *reading; /* whose body is coming */
    struct fl_budget_wish wish;
    size_t reserved_bytes;
    size_t lingered_bytes;
    struct fl_buffer out; /* answers; its first `out_taken` bytes were taken by the kernel */
    size_t out_taken, out_charged;
    struct net_task flush;
    struct net_task resume; /* goes on with `in`, or with a body that was granted its room */
};

struct http_server {
    struct http_server_settings settings;
    struct http_listeners listeners;
    bool is_stopped;
    struct net_deadlines head_deadlines, body_deadlines, wait_deadlines, idle_deadlines,
        write_deadlines, linger_deadlines, stopped_deadlines;
    struct fl_list conns;
    struct fl_list dead; /* connections to free at the end of the turn */
    struct net_task bury;
    size_t conn_count;
    size_t busy_count;
    struct fl_list free_exchanges;
    size_t free_exchange_count;
    struct fl_list orphans;       /* unanswered exchanges whose client is gone */
    int64_t date_s, date_loop_ms; /* the clock is read once a turn */
    char date[64];
    size_t date_len;
    struct http_head parsed; /* of the request in hand; valid inside callbacks */
    struct fl_slice parsed_body;
    struct http_exchange *asked; /* inside on_head and not answered yet */
    char read_buffer[READ_BYTES];
};

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

static void process(struct http_conn *conn, struct fl_slice bytes, bool is_own);
static void close_conn(struct http_conn *conn);

/* --- exchanges --- */

static struct http_exchange *new_exchange(struct http_conn *conn)
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

static void free_exchange(struct http_exchange *exchange)
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

static void unlink_exchange(struct http_exchange *exchange)
{
    fl_list_remove(&exchange->link);
    struct http_server *server = exchange->server;
    exchange->conn->exchange_count--;
    exchange->conn = NULL;
    if (--server->busy_count == 0 && server->is_stopped && server->settings.quiet)
        net_loop_defer(server->settings.loop, server->settings.quiet);
}

static struct http_exchange *first_exchange(const struct http_conn *conn)
{
    struct fl_list *first = fl_list_first(&conn->exchanges);
    return first ? FL_LIST_ENTRY(first, struct http_exchange, link) : NULL;
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

/* --- what a connection holds --- */

static void drop_in(struct http_conn *conn)
{
    fl_buffer_fini(&conn->in);
    conn->search.seen = 0;
    if (conn->in_held_bytes)
        fl_budget_release_waiting(conn->server->settings.budget, conn->in_held_bytes);
    conn->in_held_bytes = 0;
}

/* Accounts for the room of `in`; false when the budget's part for the incomplete is full. */
static bool hold_in(struct http_conn *conn)
{
    struct fl_budget *budget = conn->server->settings.budget;
    if (conn->in.room > conn->in_held_bytes) {
        if (!fl_budget_hold_waiting(budget, conn->in.room - conn->in_held_bytes))
            return false;
        conn->in_held_bytes = conn->in.room;
    }
    return true;
}

static void drop_body(struct http_conn *conn)
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

static size_t unsent(const struct http_conn *conn)
{
    return conn->out.len - conn->out_taken;
}

static void drop_out(struct http_conn *conn)
{
    if (conn->out_charged)
        fl_budget_release(conn->server->settings.budget, conn->out_charged);
    fl_buffer_fini(&conn->out);
    conn->out_taken = conn->out_charged = 0;
}

static void want(struct http_conn *conn)
{
    bool reading = !conn->is_peer_done && unsent(conn) <= MOST_UNSENT_BYTES &&
                   (conn->state == CONN_LINGER || conn->state == CONN_BODY ||
                    (conn->state == CONN_HEAD && !conn->closes &&
                     conn->exchange_count < conn->server->settings.most_pipelined));
    net_stream_want(conn->stream, reading, unsent(conn) > 0);
}

/* The line of a connection that will send nothing more. Who was told of an unanswered one answers
 * it some day, into nothing. */
static void drop_line(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    for (struct http_exchange *exchange; (exchange = first_exchange(conn));) {
        unlink_exchange(exchange);
        if (exchange->is_answered || exchange == conn->reading)
            free_exchange(exchange);
        else
            fl_list_add_last(&server->orphans, &exchange->link);
    }
}

/* A connection is freed at the end of the turn, so that callers up the stack may still look at it.
 */
static void bury(struct net_task *task)
{
    struct http_server *server = FL_CONTAINER(task, struct http_server, bury);
    for (struct fl_list *first; (first = fl_list_first(&server->dead));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct http_conn, link));
    }
}

static void close_conn(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (!conn->stream)
        return;
    net_stream_close(&conn->stream);
    net_deadline_stop(&conn->deadline);
    net_deadline_stop(&conn->write_deadline);
    net_loop_cancel(server->settings.loop, &conn->flush);
    net_loop_cancel(server->settings.loop, &conn->resume);
    drop_line(conn);
    drop_in(conn);
    drop_body(conn);
    drop_out(conn);
    fl_list_remove(&conn->link);
    fl_list_add_last(&server->dead, &conn->link);
    net_loop_defer(server->settings.loop, &server->bury);
    server->conn_count--;
    if (!server->is_stopped)
        http_listeners_set_open(&server->listeners, true);
}

/* --- writing --- */

static void start_linger(struct http_conn *conn)
{
    /* Closing with unread input would send a reset, which can destroy the answer on its way. */
    conn->state = CONN_LINGER;
    net_stream_shutdown(conn->stream);
    net_deadline_start(&conn->server->linger_deadlines, &conn->deadline);
    if (conn->is_peer_done)
        close_conn(conn);
    else
        want(conn);
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
        close_conn(conn);
        return;
    }
    if (conn->state == CONN_HEAD)
        net_deadline_start(conn->in.len ? &conn->server->head_deadlines
                                        : &conn->server->idle_deadlines,
                           &conn->deadline);
}

static void after_write(struct http_conn *conn)
{
    if (unsent(conn)) {
        /* Only bytes that the kernel took put the end off, not answers that queue up. */
        if (!net_deadline_is_running(&conn->write_deadline))
            net_deadline_start(&conn->server->write_deadlines, &conn->write_deadline);
        want(conn);
        return;
    }
    if (conn->exchange_count == 0)
        on_quiet(conn);
}

static void flush(struct http_conn *conn)
{
    if (!conn->stream || unsent(conn) == 0)
        return;
    struct iovec part = {conn->out.data + conn->out_taken, unsent(conn)};
    ssize_t n = net_stream_writev(conn->stream, &part, 1);
    if (n < 0) {
        close_conn(conn);
        return;
    }
    conn->out_taken += (size_t)n;
    if (n > 0)
        net_deadline_stop(&conn->write_deadline);
    if (unsent(conn) == 0) {
        drop_out(conn);
        want(conn);
    }
    after_write(conn);
}

static void on_flush(struct net_task *task)
{
    flush(FL_CONTAINER(task, struct http_conn, flush));
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
        close_conn(conn);
        return;
    }
    for (int i = 0; i < count; i++) {
        size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        fl_buffer_append(&conn->out, (char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
        sent -= skip;
    }
    if (conn->out.len > LARGE_OUT_BYTES && conn->out.len > conn->out_charged) {
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
    if (!gather && unsent(conn) == 0) {
        ssize_t n = net_stream_writev(conn->stream, parts, count);
        if (n < 0) {
            close_conn(conn);
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

static void send_continue(struct http_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec part = {(char *)text, sizeof text - 1};
    send_bytes(conn, &part, 1, false);
}

/* An answer that ends the connection is the last one: what was asked behind it stays unanswered. */
static void end_line(struct http_conn *conn)
{
    conn->closes = true;
    drop_line(conn);
    drop_body(conn);
    if (conn->state == CONN_BODY || conn->state == CONN_WAIT_BUDGET) {
        conn->state = CONN_HEAD;
        net_deadline_stop(&conn->deadline);
    }
}

/* The line moved: what was answered before its turn follows, and an owed 100 Continue. */
static void advance(struct http_conn *conn)
{
    struct http_exchange *first;
    while (conn->stream && (first = first_exchange(conn))) {
        if (!first->is_answered) {
            if (first->wants_continue) {
                first->wants_continue = false;
                send_continue(conn);
            }
            break;
        }
        struct iovec part = {first->out.data, first->out.len};
        bool is_last = !first->keeps_alive;
        send_bytes(conn, &part, 1, true);
        if (!conn->stream)
            return; /* Closing freed it. */
        unlink_exchange(first);
        free_exchange(first);
        if (is_last) {
            end_line(conn);
            return;
        }
    }
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } names[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Request Entity Too Large"},
                 {414, "Request URI Too Long"},
                 {417, "Expectation Failed"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].status == status)
            return names[i].text;
    }
    return "";
}

/* RFC 9110, 6.6.1: an origin server with a clock sends Date. Rendered once a second. */
static struct fl_slice date_line(struct http_server *server)
{
    int64_t loop_ms = net_loop_now_ms(server->settings.loop);
    if (loop_ms == server->date_loop_ms)
        return fl_slice_of(server->date, server->date_len);
    int64_t now = fl_clock_wall_s();
    server->date_loop_ms = loop_ms;
    if (now != server->date_s) {
        time_t seconds = (time_t)now;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        server->date_s = now;
        server->date_len =
            strftime(server->date, sizeof server->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    }
    return fl_slice_of(server->date, server->date_len);
}

struct out_head {
    char bytes[640];
    size_t len;
};

static void put(struct out_head *out, const char *data, size_t len)
{
    FL_ASSERT(out->len + len <= sizeof out->bytes);
    memcpy(out->bytes + out->len, data, len);
    out->len += len;
}

static void put_status(struct out_head *out, int status)
{
    if (status == 204) {
        put(out, "HTTP/1.1 204 No Content\r\n", 25);
        return;
    }
    char line[80];
    int len = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    put(out, line, (size_t)len);
}

static void put_length(struct out_head *out, size_t length)
{
    char line[48];
    int len = snprintf(line, sizeof line, "Content-Length: %zu\r\n", length);
    put(out, line, (size_t)len);
}

/* A rendered answer: at most four parts, of which the first may be in `small`. */
struct out_parts {
    struct iovec parts[4];
    int count;
    char small[1024];
};

static void render_answer(struct http_exchange *exchange, const struct http_response *response,
                          struct out_parts *out)
{
    struct out_head head = {.len = 0};
    struct fl_slice fields = response->fields, date = date_line(exchange->server);
    bool has_length = response->status != 204 && response->status != 304 && response->status >= 200;
    put_status(&head, response->status);
    put(&head, date.data, date.len);
    if (has_length)
        put_length(&head, response->body.len);
    if (!exchange->keeps_alive)
        put(&head, "Connection: close\r\n", 19);
    else if (exchange->is_http_1_0)
        put(&head, "Connection: keep-alive\r\n", 24);
    FL_ASSERT(head.len <= sizeof out->small);
    memcpy(out->small, head.bytes, head.len);
    if (head.len + fields.len + 2 <= sizeof out->small) {
        if (fields.len)
            memcpy(out->small + head.len, fields.data, fields.len);
        memcpy(out->small + head.len + fields.len, "\r\n", 2);
        out->parts[0] = (struct iovec){out->small, head.len + fields.len + 2};
        out->count = 1;
    } else {
        out->parts[0] = (struct iovec){out->small, head.len};
        out->parts[1] = (struct iovec){(char *)fields.data, fields.len};
        out->parts[2] = (struct iovec){(char *)"\r\n", 2};
        out->count = 3;
    }
    if (has_length && !exchange->is_head_request && response->body.len)
        out->parts[out->count++] = (struct iovec){(char *)response->body.data, response->body.len};
}

/* The answer of the first in line leaves, and those behind it that wait for that. */
static void send_first(struct http_exchange *exchange, const struct out_parts *out)
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
    unlink_exchange(exchange);
    free_exchange(exchange);
    if (is_last)
        end_line(conn);
    else
        advance(conn);
    if (!conn->stream)
        return;
    if (unsent(conn) == 0 || !gather)
        after_write(conn);
    if (conn->stream && was_full && conn->state == CONN_HEAD) {
        /* Later in the turn: the caller may stand inside another request's callback. */
        if (conn->in.len && !conn->is_processing && !conn->closes)
            net_loop_defer(server->settings.loop, &conn->resume);
        want(conn);
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
        free_exchange(exchange);
        return;
    }
    /* A stopped server closes behind the last answer, not behind the first of several. */
    bool is_newest = conn->exchanges.prev == &exchange->link;
    if (response->closes || (server->is_stopped && is_newest))
        exchange->keeps_alive = false;
    struct out_parts out;
    render_answer(exchange, response, &out);
    if (exchange == first_exchange(conn)) {
        send_first(exchange, &out);
        return;
    }
    for (int i = 0; i < out.count; i++)
        fl_buffer_append(&exchange->out, out.parts[i].iov_base, out.parts[i].iov_len);
    if (exchange->out.len > LARGE_OUT_BYTES) {
        exchange->out_charged = exchange->out.len;
        fl_budget_charge(server->settings.budget, exchange->out_charged);
    }
}

/* An answer from the server itself: the request never reached the handler's code for it. */
static void refuse(struct http_conn *conn, int status, const char *text)
{
    struct http_exchange *exchange = conn->reading ? conn->reading : new_exchange(conn);
    conn->reading = NULL;
    drop_in(conn);
    drop_body(conn);
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

/* --- reading --- */

static void fail_body(struct http_conn *conn, enum http_body_failure why)
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
    drop_in(conn);
    drop_body(conn);
    conn->state = CONN_HEAD;
    conn->closes = true;
    exchange->keeps_alive = false;
    net_deadline_stop(&conn->deadline);
    server->settings.handler->on_body_failed(exchange, why, server->settings.context);
    fl_buffer_fini(&head);
    fl_buffer_fini(&in);
}

static void deliver_request(struct http_conn *conn, struct http_exchange *exchange,
                            struct fl_slice body)
{
    struct http_server *server = conn->server;
    net_deadline_stop(&conn->deadline);
    /* What the client sends behind a request that ends the connection is not looked at. */
    conn->closes |= !exchange->keeps_alive;
    server->parsed_body = body;
    server->settings.handler->on_request(exchange, server->settings.context);
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
    deliver_request(conn, exchange, fl_buffer_slice(&body));
    fl_buffer_fini(&head);
    fl_buffer_fini(&body);
    drop_body(conn);
}

/* A chunked body without a limit may outgrow what it reserved; then it is charged as it grows. */
static void charge_growth(struct http_conn *conn)
{
    if (conn->body.len <= conn->reserved_bytes)
        return;
    fl_budget_charge(conn->server->settings.budget, conn->body.len - conn->reserved_bytes);
    conn->reserved_bytes = conn->body.len;
}

/* Adds what came of the body. Gives what is left behind its end; a failure or the end changes the
 * state. */
static struct fl_slice take_body(struct http_conn *conn, struct fl_slice bytes)
{
    if (!conn->is_body_chunked) {
        size_t need = (size_t)conn->body_length - conn->body.len;
        size_t len = bytes.len < need ? bytes.len : need;
        if (fl_buffer_try_append(&conn->body, bytes.data, len)) {
            fail_body(conn, HTTP_BODY_NO_MEMORY);
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
            fail_body(conn, HTTP_BODY_BAD_CHUNK);
            return FL_SLICE_NULL;
        }
        if (piece.len > conn->body_length - conn->body.len) {
            fail_body(conn, HTTP_BODY_TOO_LARGE);
            return FL_SLICE_NULL;
        }
        if (fl_buffer_try_append(&conn->body, piece.data, piece.len)) {
            fail_body(conn, HTTP_BODY_NO_MEMORY);
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
static void start_body_time(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    net_deadline_start(server->is_stopped ? &server->stopped_deadlines : &server->body_deadlines,
                       &conn->deadline);
}

static void begin_body(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->reading;
    conn->state = CONN_BODY;
    start_body_time(conn);
    if (!conn->is_body_chunked && fl_buffer_try_reserve(&conn->body, (size_t)conn->body_length)) {
        fail_body(conn, HTTP_BODY_NO_MEMORY);
        return;
    }
    if (exchange->wants_continue && exchange == first_exchange(conn)) {
        exchange->wants_continue = false;
        send_continue(conn);
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

static void on_resume(struct net_task *task)
{
    struct http_conn *conn = FL_CONTAINER(task, struct http_conn, resume);
    if (conn->state == CONN_WAIT_BUDGET)
        begin_body(conn);
    if (conn->stream && conn->in.len)
        process(conn, FL_SLICE_NULL, true);
    if (conn->stream)
        want(conn);
}

/* A body that is not in hand as a whole: the head is kept, and room for the whole body is asked
 * for. */
static void start_body(struct http_conn *conn, struct http_exchange *exchange, struct fl_slice head,
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
        fail_body(conn, HTTP_BODY_TOO_LARGE);
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
    free_exchange(exchange);
    return false;
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
        refuse(conn, 414, "414 Request URI Too Long");
        return FL_SLICE_NULL;
    }
    if (head->expects_unknown) {
        refuse(conn, 417, "417 Expectation Failed");
        return FL_SLICE_NULL;
    }
    struct http_exchange *exchange = new_exchange(conn);
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
            fail_body(conn, HTTP_BODY_TOO_LARGE);
            return FL_SLICE_NULL;
        }
        deliver_request(conn, exchange, fl_slice_of(rest.data, length));
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
        fail_body(conn, HTTP_BODY_TOO_LARGE);
        return FL_SLICE_NULL;
    }
    start_body(conn, exchange, head_bytes, head->is_chunked ? most : (uint64_t)head->content_length,
               head->is_chunked);
    return rest;
}

/* What is left over stays with the connection. */
static void keep_rest(struct http_conn *conn, struct fl_slice rest, bool is_own)
{
    if (is_own) {
        fl_buffer_consume(&conn->in, conn->in.len - rest.len);
        if (conn->in.len == 0)
            drop_in(conn);
        return;
    }
    fl_buffer_append_slice(&conn->in, rest);
    if (!hold_in(conn)) {
        if (conn->reading) {
            fail_body(conn, HTTP_BODY_NO_MEMORY);
            return;
        }
        refuse(conn, 503, "503 Service Unavailable");
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
        refuse(conn, refusal.status, refusal.text);
    return result == HTTP_PARSE_DONE;
}

/* Works through what was read. `is_own`: the bytes are conn->in (and `bytes` is ignored); else they
 * are the server's read buffer. */
static void process(struct http_conn *conn, struct fl_slice bytes, bool is_own)
{
    struct http_server *server = conn->server;
    if (is_own)
        bytes = fl_buffer_slice(&conn->in);
    conn->is_processing = true;
    bool is_stuck = false;
    while (bytes.len && conn->stream && !is_stuck) {
        if (conn->state == CONN_BODY) {
            bytes = take_body(conn, bytes);
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
        drop_in(conn);
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
    want(conn);
}

static void on_end(struct http_conn *conn)
{
    conn->is_peer_done = true;
    struct http_exchange *reading = conn->reading;
    if (reading) {
        /* The request will never be complete; those before it still get their answers. */
        drop_body(conn);
        unlink_exchange(reading);
        free_exchange(reading);
        conn->state = CONN_HEAD;
        net_deadline_stop(&conn->deadline);
    }
    if (conn->state == CONN_LINGER || (conn->exchange_count == 0 && unsent(conn) == 0)) {
        close_conn(conn);
        return;
    }
    want(conn);
}

static void discard(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    ssize_t n = net_stream_read(conn->stream, server->read_buffer, READ_BYTES);
    if (n == -1)
        return;
    conn->lingered_bytes += n > 0 ? (size_t)n : 0;
    if (n <= 0 || conn->lingered_bytes > MOST_LINGER_BYTES)
        close_conn(conn);
}

/* Large bodies are read in place: no copy through the read buffer. */
static bool read_body(struct http_conn *conn)
{
    if (conn->state != CONN_BODY || conn->is_body_chunked || conn->in.len)
        return false;
    size_t need = (size_t)conn->body_length - conn->body.len;
    ssize_t n = net_stream_read(conn->stream, conn->body.data + conn->body.len, need);
    if (n == 0) {
        on_end(conn);
    } else if (n == -2) {
        close_conn(conn);
    } else if (n > 0) {
        conn->body.len += (size_t)n;
        if (conn->body.len == conn->body_length) {
            body_complete(conn);
            if (conn->stream)
                want(conn);
        }
    }
    return true;
}

static void on_readable(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->state == CONN_LINGER) {
        discard(conn);
        return;
    }
    if (read_body(conn))
        return;
    ssize_t n = net_stream_read(conn->stream, server->read_buffer, READ_BYTES);
    if (n == -1)
        return;
    if (n == 0) {
        on_end(conn);
        return;
    }
    if (n < 0) {
        close_conn(conn);
        return;
    }
    struct fl_slice bytes = fl_slice_of(server->read_buffer, (size_t)n);
    if (conn->in.len == 0) {
        if (conn->state == CONN_HEAD && conn->exchange_count == 0)
            net_deadline_stop(&conn->deadline);
        process(conn, bytes, false);
        return;
    }
    fl_buffer_append_slice(&conn->in, bytes);
    if (!hold_in(conn)) {
        refuse(conn, 503, "503 Service Unavailable");
        return;
    }
    process(conn, FL_SLICE_NULL, true);
}

static void on_stream(struct net_stream *stream, void *context, unsigned events)
{
    struct http_conn *conn = context;
    (void)stream;
    if (events & NET_BROKEN) {
        close_conn(conn);
        return;
    }
    if (events & NET_WRITABLE)
        flush(conn);
    if ((events & NET_READABLE) && conn->stream)
        on_readable(conn);
}

/* --- time limits --- */

static struct http_conn *conn_of(struct net_deadline *deadline)
{
    return FL_CONTAINER(deadline, struct http_conn, deadline);
}

static void on_head_timeout(struct net_deadline *deadline)
{
    struct http_conn *conn = conn_of(deadline);
    if (conn->in.len)
        refuse(conn, 408, "408 Request Timeout");
    else
        close_conn(conn);
}

static void on_body_timeout(struct net_deadline *deadline)
{
    fail_body(conn_of(deadline), HTTP_BODY_TIMED_OUT);
}

static void on_wait_timeout(struct net_deadline *deadline)
{
    fail_body(conn_of(deadline), HTTP_BODY_NO_MEMORY);
}

static void on_plain_timeout(struct net_deadline *deadline)
{
    close_conn(conn_of(deadline));
}

static void on_write_timeout(struct net_deadline *deadline)
{
    close_conn(FL_CONTAINER(deadline, struct http_conn, write_deadline));
}

/* --- accepting --- */

static void on_accepted(int fd, void *context)
{
    struct http_server *server = context;
    struct http_conn *conn = fl_zalloc(sizeof *conn);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->server = server;
    conn->flush.run = on_flush;
    conn->resume.run = on_resume;
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
        if (conn->exchange_count == 0 && unsent(conn) == 0 && conn->state != CONN_LINGER)
            close_conn(conn);
        else if (conn->state == CONN_BODY)
            start_body_time(conn);
    }
}

/* --- life --- */

struct http_server *http_server_new(const struct http_server_settings *settings)
{
    struct http_server *server = fl_zalloc(sizeof *server);
    struct net_loop *loop = settings->loop;
    server->settings = *settings;
    http_listeners_init(&server->listeners, loop, on_accepted, server);
    server->bury.run = bury;
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
        close_conn(FL_LIST_ENTRY(at, struct http_conn, link));
    }
    bury(&server->bury);
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
