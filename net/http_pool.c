/* The pool of connections to one server.
 *
 *   CONNECTING ─► BUSY (request going out, answer coming in) ─► IDLE ─► BUSY …
 *
 * Answers are read into one buffer of the pool; an answer that is there as a whole is handed on
 * without a copy, anything else is gathered in the connection. The most recently used idle
 * connection is taken first, so that surplus ones age.
 *
 * Failures that are known at once (no socket, a refused connect) are reported at the end of the
 * turn: `failed` holds the calls that wait for it.
 */
#include "net/http_pool.h"

#include <string.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/buffer.h"
#include "net/stream.h"

enum { READ_BYTES = 16 * 1024, MOST_INTERIM_ANSWERS = 16 };

enum out_state { OUT_CONNECTING, OUT_BUSY, OUT_IDLE, OUT_CLOSED };

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_END };

struct http_conn_out {
    struct fl_list link; /* in idle, busy or dead */
    struct http_pool *pool;
    struct net_stream *stream;
    struct net_deadline deadline; /* connecting or idle */
    struct http_call *call;
    size_t sent_bytes, request_bytes;
    struct fl_buffer in; /* gathered answer */
    size_t charged_bytes;
    unsigned char state;
    unsigned char interim_count;
    bool is_reused;   /* it carried a call before */
    bool saw_answer;  /* a byte of the present answer */
    bool is_gathered; /* `in` holds the head; `body` gathers */
    struct fl_buffer body;
    size_t head_bytes;
    enum body_kind body_kind;
    uint64_t body_length;
    struct http_chunked chunked;
};

struct http_pool {
    struct http_pool_settings settings;
    struct fl_list idle, busy, dead;
    size_t conn_count, idle_count;
    struct fl_list waiting; /* calls */
    struct fl_list failed;  /* calls to be told that no connection could be started */
    struct fl_error failure;
    struct net_task report, bury;
    struct net_deadlines connect_deadlines, idle_deadlines;
    struct http_head parsed;
    char read_buffer[READ_BYTES];
};

struct http_pool_settings http_pool_defaults(void)
{
    return (struct http_pool_settings){
        .most_connections = 1024,
        .most_idle = 1024,
        .most_head_bytes = 8192,
        .most_body_bytes = 4 * 1024 * 1024,
        .connect_timeout_ms = 5000,
        .idle_timeout_ms = 60000,
    };
}

static void dispatch(struct http_pool *pool);

/* --- connections --- */

static void forget_answer(struct http_conn_out *conn)
{
    if (conn->charged_bytes)
        fl_budget_release(conn->pool->settings.budget, conn->charged_bytes);
    conn->charged_bytes = 0;
    fl_buffer_fini(&conn->in);
    fl_buffer_fini(&conn->body);
    conn->is_gathered = conn->saw_answer = false;
    conn->interim_count = 0;
    conn->sent_bytes = 0;
}

static void bury(struct net_task *task)
{
    struct http_pool *pool = FL_CONTAINER(task, struct http_pool, bury);
    for (struct fl_list *first; (first = fl_list_first(&pool->dead));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct http_conn_out, link));
    }
}

static void close_conn(struct http_conn_out *conn)
{
    struct http_pool *pool = conn->pool;
    if (conn->state == OUT_CLOSED)
        return;
    pool->idle_count -= conn->state == OUT_IDLE;
    pool->conn_count--;
    conn->state = OUT_CLOSED;
    net_deadline_stop(&conn->deadline);
    net_stream_close(&conn->stream);
    forget_answer(conn);
    fl_list_remove(&conn->link);
    fl_list_add_last(&pool->dead, &conn->link);
    net_loop_defer(pool->settings.loop, &pool->bury);
}

/* The call leaves its connection and the pool; its owner is told last, since it may send again from
 * inside. */
static void finish_call(struct http_call *call, const struct http_result *result)
{
    net_timer_stop(call->pool->settings.loop, &call->timer);
    call->pool = NULL;
    if (call->conn)
        call->conn->call = NULL;
    call->conn = NULL;
    call->on_done(call, result);
}

static void fail_call(struct http_call *call, enum fl_err code, const char *text)
{
    struct http_result result = {.code = code, .text = text};
    finish_call(call, &result);
}

/* The connection is of no use any more; what becomes of its call is decided here. */
static void break_conn(struct http_conn_out *conn, enum fl_err code, const char *text)
{
    struct http_pool *pool = conn->pool;
    struct http_call *call = conn->call;
    bool may_repeat = code == FL_ERR_CLOSED && conn->is_reused && !conn->saw_answer;
    conn->call = NULL;
    close_conn(conn);
    if (call) {
        call->conn = NULL;
        if (may_repeat && !call->was_repeated) {
            call->was_repeated = true;
            fl_list_add_first(&pool->waiting, &call->link);
        } else {
            fail_call(call, code, text);
        }
    }
    dispatch(pool);
}

static void keep_conn(struct http_conn_out *conn)
{
    struct http_pool *pool = conn->pool;
    forget_answer(conn);
    if (pool->idle_count >= pool->settings.most_idle) {
        close_conn(conn);
        return;
    }
    conn->state = OUT_IDLE;
    conn->is_reused = true;
    pool->idle_count++;
    fl_list_remove(&conn->link);
    fl_list_add_first(&pool->idle, &conn->link);
    net_deadline_start(&pool->idle_deadlines, &conn->deadline);
}

/* --- the request --- */

static void send_request(struct http_conn_out *conn)
{
    struct http_call *call = conn->call;
    struct iovec parts[HTTP_CALL_PARTS];
    size_t skip = conn->sent_bytes;
    int count = 0;
    for (int i = 0; i < call->part_count; i++) {
        struct iovec part = call->parts[i];
        if (skip >= part.iov_len) {
            skip -= part.iov_len;
            continue;
        }
        parts[count++] = (struct iovec){(char *)part.iov_base + skip, part.iov_len - skip};
        skip = 0;
    }
    ssize_t n = net_stream_writev(conn->stream, parts, count);
    if (n < 0) {
        /* An answer may have come before the reset: the stream tells of the break, and reading
         * finds the answer first. A TLS layer that broke gives nothing more. */
        net_stream_want(conn->stream, true, false);
        if (conn->pool->settings.tls)
            break_conn(conn, FL_ERR_CLOSED, "connection reset while sending the request");
        return;
    }
    conn->sent_bytes += (size_t)n;
    net_stream_want(conn->stream, true, conn->sent_bytes < conn->request_bytes);
}

static void start_call(struct http_conn_out *conn, struct http_call *call)
{
    conn->state = OUT_BUSY;
    conn->call = call;
    conn->request_bytes = 0;
    for (int i = 0; i < call->part_count; i++)
        conn->request_bytes += call->parts[i].iov_len;
    call->conn = conn;
    net_deadline_stop(&conn->deadline);
    fl_list_remove(&conn->link);
    fl_list_add_last(&conn->pool->busy, &conn->link);
    send_request(conn);
}

/* --- the answer --- */

static void complete(struct http_conn_out *conn, struct fl_slice body, bool may_keep)
{
    struct http_pool *pool = conn->pool;
    struct http_call *call = conn->call;
    struct http_result result = {
        .code = FL_OK, .status = pool->parsed.status, .head = &pool->parsed, .body = body};
    bool keeps = may_keep && pool->parsed.keeps_alive && conn->sent_bytes == conn->request_bytes;
    conn->call = NULL;
    call->conn = NULL;
    if (conn->is_gathered || !keeps) {
        /* The answer lives in the connection: it is told first, and the connection is free
         * afterwards. */
        finish_call(call, &result);
        if (keeps)
            keep_conn(conn);
        else
            close_conn(conn);
    } else {
        keep_conn(conn);
        finish_call(call, &result);
    }
    dispatch(pool);
}

static bool charge(struct http_conn_out *conn, size_t more)
{
    if (conn->body.len + more > conn->pool->settings.most_body_bytes) {
        break_conn(conn, FL_ERR_TOO_LARGE, "answer body too large");
        return false;
    }
    if (conn->pool->settings.budget) {
        fl_budget_charge(conn->pool->settings.budget, more);
        conn->charged_bytes += more;
    }
    return true;
}

static bool gather(struct http_conn_out *conn, struct fl_slice piece)
{
    if (!charge(conn, piece.len))
        return false;
    if (fl_buffer_try_append(&conn->body, piece.data, piece.len)) {
        break_conn(conn, FL_ERR_NO_MEMORY, "out of memory for an answer");
        return false;
    }
    return true;
}

/* The head was gathered earlier; slices into it are made anew before the owner sees them. */
static void complete_gathered(struct http_conn_out *conn, bool may_keep)
{
    struct http_refusal ignored;
    enum http_parse again =
        http_parse_response(fl_slice_of(conn->in.data, conn->head_bytes), HTTP_MOST_HEAD_BYTES,
                            &conn->pool->parsed, &ignored);
    FL_ASSERT(again == HTTP_PARSE_DONE);
    complete(conn, fl_buffer_slice(&conn->body), may_keep);
}

static void take_body(struct http_conn_out *conn, struct fl_slice bytes)
{
    while (bytes.len) {
        size_t eaten = bytes.len;
        struct fl_slice piece = bytes;
        enum http_parse result = HTTP_PARSE_MORE;
        if (conn->body_kind == BODY_CHUNKED) {
            result = http_chunked_next(&conn->chunked, bytes, &eaten, &piece);
        } else if (conn->body_kind == BODY_LENGTH) {
            uint64_t need = conn->body_length - conn->body.len;
            piece.len = eaten = bytes.len < need ? bytes.len : (size_t)need;
        }
        if (result == HTTP_PARSE_BAD) {
            break_conn(conn, FL_ERR_INVALID, "answer with malformed chunks");
            return;
        }
        if (piece.len && !gather(conn, piece))
            return;
        bytes = fl_slice_of(bytes.data + eaten, bytes.len - eaten);
        if (result == HTTP_PARSE_DONE ||
            (conn->body_kind == BODY_LENGTH && conn->body.len == conn->body_length)) {
            complete_gathered(conn, bytes.len == 0);
            return;
        }
    }
}

static void classify_body(struct http_conn_out *conn, const struct http_head *head)
{
    conn->body_length = head->content_length > 0 ? (uint64_t)head->content_length : 0;
    conn->chunked = (struct http_chunked){0};
    if (head->status == 204 || head->status == 304 || head->content_length == 0)
        conn->body_kind = BODY_NONE;
    else if (head->is_chunked)
        conn->body_kind = BODY_CHUNKED;
    else
        conn->body_kind = head->content_length > 0 ? BODY_LENGTH : BODY_TO_END;
}

/* The head in pool->parsed begins `bytes`, which are the read buffer or conn->in. */
static void take_answer(struct http_conn_out *conn, struct fl_slice bytes, bool is_own)
{
    struct http_head *head = &conn->pool->parsed;
    struct fl_slice rest = fl_slice_of(bytes.data + head->head_bytes, bytes.len - head->head_bytes);
    classify_body(conn, head);
    if (conn->body_kind == BODY_NONE) {
        /* Whoever announces a body where none may be could send it later, and it would be read as
         * the next answer. */
        conn->is_gathered = is_own;
        complete(conn, FL_SLICE_NULL, rest.len == 0 && conn->body_length == 0 && !head->is_chunked);
        return;
    }
    if (conn->body_kind == BODY_LENGTH &&
        conn->body_length > conn->pool->settings.most_body_bytes) {
        break_conn(conn, FL_ERR_TOO_LARGE, "answer body too large");
        return;
    }
    if (conn->body_kind == BODY_LENGTH && rest.len >= conn->body_length) {
        conn->is_gathered = is_own;
        complete(conn, fl_slice_of(rest.data, (size_t)conn->body_length),
                 rest.len == conn->body_length);
        return;
    }
    if (is_own) {
        /* Interim answers stand before the head. */
        size_t before = (size_t)(bytes.data - conn->in.data);
        fl_buffer_consume(&conn->in, before);
        rest.data -= before;
    } else {
        fl_buffer_append(&conn->in, bytes.data, head->head_bytes);
    }
    conn->head_bytes = head->head_bytes;
    conn->is_gathered = true;
    take_body(conn, rest);
}

/* A complete head ends this; an interim answer (1xx) is skipped. */
static void take_head(struct http_conn_out *conn, struct fl_slice bytes, bool is_own)
{
    struct http_pool *pool = conn->pool;
    for (;;) {
        struct http_refusal refusal;
        enum http_parse result =
            http_parse_response(bytes, pool->settings.most_head_bytes, &pool->parsed, &refusal);
        if (result == HTTP_PARSE_BAD) {
            break_conn(conn, refusal.status == 431 ? FL_ERR_TOO_LARGE : FL_ERR_INVALID,
                       refusal.status == 431 ? "answer head too large" : "malformed HTTP answer");
            return;
        }
        if (result == HTTP_PARSE_MORE)
            break;
        if (pool->parsed.status >= 200) {
            take_answer(conn, bytes, is_own);
            return;
        }
        if (pool->parsed.status == 101 || ++conn->interim_count > MOST_INTERIM_ANSWERS) {
            break_conn(conn, FL_ERR_INVALID, "unexpected interim answer");
            return;
        }
        bytes =
            fl_slice_of(bytes.data + pool->parsed.head_bytes, bytes.len - pool->parsed.head_bytes);
    }
    if (is_own)
        fl_buffer_consume(&conn->in, conn->in.len - bytes.len);
    else
        fl_buffer_append_slice(&conn->in, bytes);
}

/* One read; false when there was nothing. */
static bool on_readable(struct http_conn_out *conn)
{
    struct http_pool *pool = conn->pool;
    ssize_t n = net_stream_read(conn->stream, pool->read_buffer, READ_BYTES);
    if (n == -1)
        return false;
    if (n <= 0 || conn->state != OUT_BUSY) {
        /* Bytes on an idle connection answer no question: the framing is lost. */
        if (n == 0 && conn->is_gathered && conn->body_kind == BODY_TO_END)
            complete_gathered(conn, false);
        else
            break_conn(conn, FL_ERR_CLOSED, "connection closed before a complete answer");
        return true;
    }
    struct fl_slice bytes = fl_slice_of(pool->read_buffer, (size_t)n);
    conn->saw_answer = true;
    if (conn->is_gathered) {
        take_body(conn, bytes);
    } else if (conn->in.len) {
        fl_buffer_append_slice(&conn->in, bytes);
        take_head(conn, fl_buffer_slice(&conn->in), true);
    } else {
        take_head(conn, bytes, false);
    }
    return true;
}

static void on_stream(struct net_stream *stream, void *context, unsigned events)
{
    struct http_conn_out *conn = context;
    (void)stream;
    if (events & NET_BROKEN) {
        /* An answer that came before the reset is still there to be read. */
        while (conn->state == OUT_BUSY && on_readable(conn))
            ;
        if (conn->state == OUT_CLOSED)
            return;
        bool was_connecting = conn->state == OUT_CONNECTING;
        break_conn(conn, was_connecting ? FL_ERR_REFUSED : FL_ERR_CLOSED,
                   was_connecting ? "connection refused" : "connection reset");
        return;
    }
    if (conn->state == OUT_CONNECTING) {
        struct http_call *call = conn->call;
        start_call(conn, call);
        return;
    }
    if ((events & NET_WRITABLE) && conn->call && conn->sent_bytes < conn->request_bytes)
        send_request(conn);
    if ((events & NET_READABLE) && conn->state != OUT_CLOSED) {
        do
            on_readable(conn);
        while (conn->state == OUT_BUSY && net_stream_has_pending(conn->stream));
    }
}

/* --- who gets which connection --- */

static void on_connect_timeout(struct net_deadline *deadline)
{
    break_conn(FL_CONTAINER(deadline, struct http_conn_out, deadline), FL_ERR_TIMEOUT,
               "connecting timed out");
}

static void on_idle_timeout(struct net_deadline *deadline)
{
    close_conn(FL_CONTAINER(deadline, struct http_conn_out, deadline));
}

static void report_failed(struct net_task *task)
{
    struct http_pool *pool = FL_CONTAINER(task, struct http_pool, report);
    struct fl_list all;
    fl_list_init(&all);
    fl_list_move_all(&all, &pool->failed);
    for (struct fl_list *first; (first = fl_list_first(&all));) {
        struct http_call *call = FL_LIST_ENTRY(first, struct http_call, link);
        fl_list_remove(first);
        fail_call(call, FL_ERR_REFUSED, pool->failure.text);
    }
}

static void connect_for(struct http_pool *pool, struct http_call *call)
{
    struct http_conn_out *conn = fl_zalloc(sizeof *conn);
    net_deadline_init(&conn->deadline);
    conn->pool = pool;
    conn->state = OUT_CONNECTING;
    conn->call = call;
    enum fl_err err =
        net_stream_connect(pool->settings.loop, (const struct sockaddr *)&pool->settings.address,
                           pool->settings.address_len, pool->settings.tls, pool->settings.host,
                           on_stream, conn, &conn->stream, &pool->failure);
    if (err) {
        fl_free(conn);
        fl_list_add_last(&pool->failed, &call->link);
        net_loop_defer(pool->settings.loop, &pool->report);
        return;
    }
    call->conn = conn;
    pool->conn_count++;
    fl_list_add_last(&pool->busy, &conn->link);
    net_deadline_start(&pool->connect_deadlines, &conn->deadline);
}

static void place(struct http_pool *pool, struct http_call *call)
{
    struct fl_list *first = call->was_repeated ? NULL : fl_list_first(&pool->idle);
    if (first) {
        pool->idle_count--;
        start_call(FL_LIST_ENTRY(first, struct http_conn_out, link), call);
    } else {
        connect_for(pool, call);
    }
}

static bool has_place(const struct http_pool *pool)
{
    return pool->idle_count || pool->conn_count < pool->settings.most_connections;
}

static void dispatch(struct http_pool *pool)
{
    struct fl_list *first;
    while (has_place(pool) && (first = fl_list_first(&pool->waiting))) {
        fl_list_remove(first);
        place(pool, FL_LIST_ENTRY(first, struct http_call, link));
    }
}

static void on_call_timeout(struct net_timer *timer)
{
    struct http_call *call = FL_CONTAINER(timer, struct http_call, timer);
    struct http_pool *pool = call->pool;
    if (call->conn) {
        struct http_conn_out *conn = call->conn;
        conn->call = NULL;
        call->conn = NULL;
        close_conn(conn);
    }
    fl_list_remove(&call->link);
    fail_call(call, FL_ERR_TIMEOUT, "no answer in time");
    dispatch(pool);
}

void http_pool_send(struct http_pool *pool, struct http_call *call)
{
    FL_ASSERT(!call->pool);
    call->pool = pool;
    call->conn = NULL;
    call->was_repeated = false;
    fl_list_init(&call->link);
    if (call->timeout_ms > 0) {
        call->timer.expired = on_call_timeout;
        net_timer_start(pool->settings.loop, &call->timer,
                        net_loop_now_ms(pool->settings.loop) + call->timeout_ms);
    }
    if (fl_list_is_empty(&pool->waiting) && has_place(pool))
        place(pool, call);
    else
        fl_list_add_last(&pool->waiting, &call->link);
}

void http_pool_cancel(struct http_call *call)
{
    struct http_pool *pool = call->pool;
    if (!pool)
        return;
    net_timer_stop(pool->settings.loop, &call->timer);
    fl_list_remove(&call->link);
    call->pool = NULL;
    if (call->conn) {
        struct http_conn_out *conn = call->conn;
        conn->call = NULL;
        call->conn = NULL;
        close_conn(conn);
    }
    dispatch(pool);
}

void http_pool_address(const struct http_pool *pool, struct sockaddr_storage *address,
                       socklen_t *len)
{
    *address = pool->settings.address;
    *len = pool->settings.address_len;
}

void http_pool_drop_idle(struct http_pool *pool)
{
    for (struct fl_list *first; (first = fl_list_first(&pool->idle));)
        close_conn(FL_LIST_ENTRY(first, struct http_conn_out, link));
}

struct http_pool *http_pool_new(const struct http_pool_settings *settings)
{
    struct http_pool *pool = fl_zalloc(sizeof *pool);
    pool->settings = *settings;
    pool->report.run = report_failed;
    pool->bury.run = bury;
    fl_list_init(&pool->idle);
    fl_list_init(&pool->busy);
    fl_list_init(&pool->dead);
    fl_list_init(&pool->waiting);
    fl_list_init(&pool->failed);
    net_deadlines_init(&pool->connect_deadlines, settings->loop, settings->connect_timeout_ms,
                       on_connect_timeout);
    net_deadlines_init(&pool->idle_deadlines, settings->loop, settings->idle_timeout_ms,
                       on_idle_timeout);
    return pool;
}

static void drop_calls(struct http_pool *pool, struct fl_list *calls)
{
    for (struct fl_list *first; (first = fl_list_first(calls));) {
        struct http_call *call = FL_LIST_ENTRY(first, struct http_call, link);
        fl_list_remove(first);
        net_timer_stop(pool->settings.loop, &call->timer);
        call->pool = NULL;
    }
}

static void drop_conns(struct http_pool *pool, struct fl_list *conns)
{
    for (struct fl_list *first; (first = fl_list_first(conns));) {
        struct http_conn_out *conn = FL_LIST_ENTRY(first, struct http_conn_out, link);
        if (conn->call) {
            net_timer_stop(pool->settings.loop, &conn->call->timer);
            conn->call->pool = NULL;
            conn->call->conn = NULL;
            conn->call = NULL;
        }
        close_conn(conn);
    }
}

void http_pool_free(struct http_pool **pointer)
{
    struct http_pool *pool = *pointer;
    if (!pool)
        return;
    *pointer = NULL;
    drop_calls(pool, &pool->waiting);
    drop_calls(pool, &pool->failed);
    drop_conns(pool, &pool->busy);
    drop_conns(pool, &pool->idle);
    net_loop_cancel(pool->settings.loop, &pool->report);
    net_loop_cancel(pool->settings.loop, &pool->bury);
    bury(&pool->bury);
    net_deadlines_fini(&pool->connect_deadlines);
    net_deadlines_fini(&pool->idle_deadlines);
    fl_free(pool);
}
