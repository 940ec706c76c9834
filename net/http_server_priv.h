/* What the files of the HTTP server share: a connection, an exchange, the server.
 *
 *   http_server.c           settings, listening, time limits, stopping
 *   http_server_conn.c      a connection from accepting to its end, and what it holds
 *   http_server_read.c      bytes in: heads, and requests in hand as a whole
 *   http_server_body.c      bodies that come in pieces
 *   http_server_exchange.c  requests and their line
 *   http_server_answer.c    answers as bytes
 *   http_server_write.c     answers out, in the order of the requests
 *
 *   accept ─► HEAD ─┬─ whole request in hand ─► on_request ─► pending ─► answered ─► HEAD
 *              ▲    ├─ body incomplete ─► WAIT_BUDGET (its line) ─► BODY ─► on_request ─► …
 *              │    └─ refused ─► answer ─► LINGER ─► closed
 *              └──── pipelined requests are taken on while fewer than most_pipelined wait
 *
 * LINGER: our side is closed and what still comes is thrown away, so that the answer is seen.
 *
 * Ownership: a server has its connections, a connection its line of exchanges. Almost everything
 * may close the connection; it is freed at the end of the turn, so who goes on afterwards looks
 * whether `stream` is still there. Thread: the loop's.
 */
#ifndef HTTP_SERVER_PRIV_H
#define HTTP_SERVER_PRIV_H

#include <sys/uio.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/buffer.h"
#include "base/list.h"
#include "net/http_listener.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/stream.h"

enum {
    HTTP_READ_BYTES = 16 * 1024,
    HTTP_LARGE_OUT_BYTES = 64 * 1024, /* above this, what waits to be sent counts in the budget */
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
    char read_buffer[HTTP_READ_BYTES];
};

static inline size_t http_conn_unsent(const struct http_conn *conn)
{
    return conn->out.len - conn->out_taken;
}

/* The one whose answer is next; NULL: nothing is in line. */
static inline struct http_exchange *http_conn_first(const struct http_conn *conn)
{
    struct fl_list *first = fl_list_first(&conn->exchanges);
    return first ? FL_LIST_ENTRY(first, struct http_exchange, link) : NULL;
}

/* --- http_server_conn.c --- */

/* Takes a descriptor that the listeners accepted; `context` is the server. */
void http_conn_on_accepted(int fd, void *context);
/* Idempotent. */
void http_conn_close(struct http_conn *conn);
/* Frees the closed ones: the task at the end of a turn. */
void http_conns_bury(struct net_task *task);
/* Tells the stream what is awaited of it now. */
void http_conn_want(struct http_conn *conn);
/* Accounts for the room of `in`; false when the budget's part for the incomplete is full. */
bool http_conn_hold_in(struct http_conn *conn);
void http_conn_drop_in(struct http_conn *conn);
void http_conn_drop_body(struct http_conn *conn);
void http_conn_drop_out(struct http_conn *conn);

/* --- http_server_read.c --- */

void http_conn_on_readable(struct http_conn *conn);
/* The client will send nothing more. */
void http_conn_on_end(struct http_conn *conn);
/* Works through what was read. `is_own`: the bytes are conn->in (and `bytes` is ignored); else they
 * are the server's read buffer. */
void http_conn_process(struct http_conn *conn, struct fl_slice bytes, bool is_own);
/* Hands a whole request to the handler. */
void http_conn_deliver(struct http_conn *conn, struct http_exchange *exchange,
                       struct fl_slice body);

/* --- http_server_body.c --- */

/* A body that is not in hand as a whole: the head is copied, and room for the whole body is asked
 * for. `length` of a chunked one is the most that it may have. */
void http_body_start(struct http_conn *conn, struct http_exchange *exchange, struct fl_slice head,
                     uint64_t length, bool is_chunked);
/* Adds what came of the body. Gives what is left behind its end; a failure or the end changes the
 * state. */
struct fl_slice http_body_take(struct http_conn *conn, struct fl_slice bytes);
/* Reads a body in place, without a copy through the read buffer; false: this one cannot be. */
bool http_body_read(struct http_conn *conn);
/* Starts the body's time anew, by whether the server is stopped. */
void http_body_start_time(struct http_conn *conn);
void http_body_fail(struct http_conn *conn, enum http_body_failure why);
/* The task `resume`. */
void http_conn_on_resume(struct net_task *task);

/* --- http_server_exchange.c --- */

/* A new one, last in line. */
struct http_exchange *http_exchange_add(struct http_conn *conn);
/* Out of its connection's line; it belongs to the caller. */
void http_exchange_remove(struct http_exchange *exchange);
/* Frees one that is in no list, or keeps it for the next request. */
void http_exchange_recycle(struct http_exchange *exchange);
/* The line of a connection that will send nothing more. Who was told of an unanswered one answers
 * it some day, into nothing. */
void http_conn_drop_line(struct http_conn *conn);

/* --- http_server_answer.c --- */

/* A rendered answer: at most four parts, of which the first may be in `small`. The others are
 * borrowed from the response. */
struct http_answer {
    struct iovec parts[4];
    int count;
    char small[1024];
};

void http_answer_render(struct http_exchange *exchange, const struct http_response *response,
                        struct http_answer *answer);

/* --- http_server_write.c --- */

void http_conn_flush(struct http_conn *conn);
/* The task `flush`. */
void http_conn_on_flush(struct net_task *task);
void http_conn_send_continue(struct http_conn *conn);
/* An answer from the server itself, which ends the connection: the request never reached the
 * handler's code for it. */
void http_conn_refuse(struct http_conn *conn, int status, const char *text);

#endif
