/* An HTTP/1.1 server on the loop: connections, requests in order, bodies within a byte budget.
 *
 * It knows framing, time limits and back-pressure, and nothing of what is asked. A request reaches
 * its handler in two steps: when the head is complete, and when the body is. The handler answers at
 * once or any time later; answers leave in the order of the requests whatever the order they are
 * given in.
 *
 * Memory: an idle connection owns no buffer. A request that arrives whole is handed over from the
 * read buffer without a copy. A body that arrives in pieces waits in line for its whole length in
 * the budget before more of it is read, so slow senders cannot block one another half-way.
 *
 * Thread: the loop's.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/error.h"
#include "base/slice.h"
#include "net/http_parser.h"

struct fl_budget;
struct net_loop;
struct net_task;
struct http_server;
struct http_conn;

/* One request and its answer. Lives until it was answered, even if the client is gone by then. */
struct http_exchange;

enum http_body_failure {
    HTTP_BODY_TOO_LARGE, /* declared or grown over the limit that `on_head` gave */
    HTTP_BODY_BAD_CHUNK, /* chunked framing is malformed */
    HTTP_BODY_NO_MEMORY, /* no room in the budget within body_wait_ms, or its line is full */
    HTTP_BODY_TIMED_OUT, /* not complete within body_timeout_ms */
};

struct http_handler {
    /* The head is complete. May answer at once (the connection closes then if a body was
     * announced); otherwise gives the most bytes that the body may have. */
    void (*on_head)(struct http_exchange *exchange, void *context, uint64_t *most_body_bytes);
    /* The request is complete; head and body are borrowed for this call only. */
    void (*on_request)(struct http_exchange *exchange, void *context);
    /* The body will not be complete; the handler answers now. The connection closes afterwards. */
    void (*on_body_failed)(struct http_exchange *exchange, enum http_body_failure why,
                           void *context);
};

struct http_server_settings {
    struct net_loop *loop;
    struct fl_budget *budget;
    const struct http_handler *handler;
    void *context;
    size_t most_head_bytes;
    size_t most_connections;  /* at which accepting stops */
    unsigned most_pipelined;  /* requests of one connection that wait for answers, at which reading
                                 pauses */
    int64_t head_timeout_ms;  /* from the first byte (or from accepting) to the end of the head */
    int64_t body_timeout_ms;  /* from the end of the head to the end of the body */
    int64_t body_wait_ms;     /* in line for the budget */
    int64_t idle_timeout_ms;  /* between requests */
    int64_t write_timeout_ms; /* without a byte of progress */
    struct net_task *quiet;   /* deferred when a stopped server owes no answer any more; or NULL */
};

/* A settings struct with the defaults of everything but loop, budget, handler and context. */
struct http_server_settings http_server_defaults(void);

struct http_server *http_server_new(const struct http_server_settings *settings);
/* All connections are dropped. Unanswered exchanges stay valid and are freed by their answer. */
void http_server_free(struct http_server **server);

/* `address` is a numeric IPv4 or IPv6 address, or a host name's worth of nothing: "" listens on
 * all. Port 0 takes any free one; `*bound_port` (may be NULL) says which. */
enum fl_err http_server_listen(struct http_server *server, const char *address, uint16_t port,
                               bool reuse_port, uint16_t *bound_port,
                               struct fl_error *error) FL_MUST_USE;
/* A Unix socket; a stale file is replaced, and the file is removed by http_server_stop. */
enum fl_err http_server_listen_unix(struct http_server *server, const char *path,
                                    struct fl_error *error) FL_MUST_USE;

/* Closes the listening sockets; idle connections close, busy ones after their answer. */
void http_server_stop(struct http_server *server);

size_t http_server_connection_count(const struct http_server *server);
/* Requests whose answer is not yet written to the kernel. */
size_t http_server_busy_count(const struct http_server *server);

/* --- one exchange --- */

/* Valid inside the three callbacks only. */
const struct http_head *http_exchange_head(const struct http_exchange *exchange);
struct fl_slice http_exchange_body(const struct http_exchange *exchange);

/* Bytes of the body that are charged to the budget at the moment; given back when on_request
 * returns. A handler that keeps a copy may charge for it without waiting: this request stood in
 * line already. */
size_t http_exchange_reserved_bytes(const struct http_exchange *exchange);

/* The handler's own, kept with the exchange. */
void http_exchange_set_context(struct http_exchange *exchange, void *context);
void *http_exchange_context(const struct http_exchange *exchange);

/* False when the client is known to be gone: the answer will go nowhere. */
bool http_exchange_is_alive(const struct http_exchange *exchange);

/* False also when the client has closed its sending side, as one does that leaves; it may still
 * take an answer. A system call. */
bool http_exchange_is_awaited(const struct http_exchange *exchange);

struct http_response {
    int status;
    struct fl_slice fields; /* rendered lines, each ended by CR LF; Date, Content-Length and
                               Connection are added */
    struct fl_slice body;
    bool closes; /* the connection, after this answer */
};

/* Answers; the exchange is gone afterwards. Everything in `response` is copied or sent. */
void http_exchange_respond(struct http_exchange *exchange, const struct http_response *response);

/* "No Content" for 204; "" for a status without a name. */
const char *http_status_text(int status);

#endif
