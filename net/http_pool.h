/* HTTP/1.1 calls to one server over a pool of kept connections.
 *
 * A call is a request whose bytes its owner has rendered, head included; nothing is copied. Calls
 * beyond the most connections wait in line. The answer, a failure or the time limit ends a call
 * exactly once, never inside `http_pool_send`.
 *
 * A kept connection that breaks before any byte of an answer was seen says nothing about the
 * request: it is sent once more on a fresh connection. A connection that breaks later, or a fresh
 * one that breaks, is a failure.
 *
 * Thread: the loop's.
 */
#ifndef HTTP_POOL_H
#define HTTP_POOL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/list.h"
#include "base/slice.h"
#include "net/http_parser.h"
#include "net/loop.h"

struct fl_budget;
struct http_pool;
struct http_call;
struct net_tls_client;

struct http_pool_settings {
    struct net_loop *loop;
    struct fl_budget *budget; /* large answers are charged to it without asking */
    struct sockaddr_storage address;
    socklen_t address_len;
    struct net_tls_client *tls; /* NULL: plain. Borrowed. */
    const char *host;           /* for SNI. Borrowed. */
    size_t most_connections;
    size_t most_idle;
    size_t most_head_bytes; /* of an answer */
    size_t most_body_bytes;
    int64_t connect_timeout_ms;
    int64_t idle_timeout_ms; /* a kept connection that nobody used for so long is closed */
};

/* Everything but loop, address, tls and host. */
struct http_pool_settings http_pool_defaults(void);

/* `code` FL_OK: `status`, `head` and `body` are the answer, borrowed for the callback. Otherwise
 * `text` says what happened: FL_ERR_REFUSED (no connection), FL_ERR_CLOSED (broke without a
 * complete answer), FL_ERR_INVALID (not HTTP), FL_ERR_TOO_LARGE, FL_ERR_TIMEOUT, FL_ERR_NO_MEMORY.
 */
struct http_result {
    enum fl_err code;
    const char *text;
    int status;
    const struct http_head *head;
    struct fl_slice body;
};

typedef void http_call_fn(struct http_call *call, const struct http_result *result);

enum { HTTP_CALL_PARTS = 4 };

/* Embedded in its owner; zeroed, then parts, timeout_ms and on_done set. Borrowed by the pool until
 * on_done or cancel, and so are the bytes of the parts. */
struct http_call {
    struct iovec parts[HTTP_CALL_PARTS]; /* the rendered request */
    int part_count;
    int64_t timeout_ms; /* for the whole call, waiting in line included; 0 = none */
    http_call_fn *on_done;
    /* the pool's */
    struct http_pool *pool;
    struct http_conn_out *conn;
    struct fl_list link;
    struct net_timer timer;
    bool was_repeated;
};

struct http_pool *http_pool_new(const struct http_pool_settings *settings);
/* Calls under way are dropped without an answer. */
void http_pool_free(struct http_pool **pool);

void http_pool_send(struct http_pool *pool, struct http_call *call);

/* The call ends without on_done; its connection is closed. Harmless for a call that is not under
 * way. */
void http_pool_cancel(struct http_call *call);

static inline bool http_call_is_active(const struct http_call *call)
{
    return call->pool != NULL;
}

/* Where the pool connects to. */
void http_pool_address(const struct http_pool *pool, struct sockaddr_storage *address,
                       socklen_t *len);

/* Closes connections that are idle now, so that the next call connects anew. */
void http_pool_drop_idle(struct http_pool *pool);

#endif
