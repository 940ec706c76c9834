/* What the files of bindings.http share: the instance on the loop, the worker in the session, and
 * the calls that move between them.
 *
 *   loop                                session
 *   struct cn_http ── START, ROOM ────► struct cn_http_worker: all transfers on one curl multi
 *                  ◄── ask, done ─────
 *
 * A call belongs to the loop until START, then to the session until `done`; the session lends it
 * back for as long as it asks for room (`is_asking`), and does not end it meanwhile. So each field
 * below has one owner at a time, and no lock is needed.
 *
 * Bytes: before a call begins the loop takes from the budget what it begins with, waiting in line
 * if it has to: the data, and CN_HTTP_FIRST_ROOM for the answer. What the answer needs beyond is
 * asked for, while the transfer is paused and the server waits. An answer whose length is known is
 * asked for as a whole and may wait, behind everybody who stands in the budget's line (room.c);
 * since it holds nothing but its first room, two that wait do not block each other. One whose
 * length is unknown grows step by step and never waits holding what it has: without room it fails.
 */
#ifndef CN_HTTP_PRIV_H
#define CN_HTTP_PRIV_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "base/heap.h"
#include "base/list.h"
#include "connectors/connector.h"
#include "connectors/http/body.h"
#include "connectors/http/request.h"
#include "connectors/http/response.h"
#include "connectors/http/settings.h"
#include "connectors/http/tls.h"
#include "connectors/session.h"
#include "net/loop.h"

enum {
    CN_HTTP_MOST_CALLS = 1024,      /* taken and not answered */
    CN_HTTP_MOST_CONNECTIONS = 256, /* to all hosts; further calls wait for one */
    CN_HTTP_CONNECT_MS = 15000,     /* name, connection and TLS together */
    CN_HTTP_ROOM_WAIT_MS = 15000,   /* an answer's wait for room in the budget */
    CN_HTTP_FIRST_ROOM = 32 * 1024, /* of each answer, without asking */
    CN_HTTP_OVERHEAD = 64 * 1024,   /* of each call: libcurl's buffers */
};

struct cn_http_worker;

/* Counted by the session, read by the loop. */
struct cn_http_counts {
    _Atomic uint64_t requests, connections, redirects, received_bytes, cut, in_flight;
};

enum cn_http_message_kind { CN_HTTP_START, CN_HTTP_ROOM, CN_HTTP_CLOSE };

struct cn_http_message {
    struct fl_mailbox_entry entry;
    enum cn_http_message_kind kind;
};

/* How a hop ended, as far as libcurl was stopped by us. */
enum cn_http_stop {
    CN_HTTP_RUNS,
    CN_HTTP_STOP_CUT,      /* the body is as long as it may be */
    CN_HTTP_STOP_REDIRECT, /* the body of a redirect is of no interest */
    CN_HTTP_STOP_HEAD,     /* too many header fields, or too large */
    CN_HTTP_STOP_LENGTH,   /* where the body ends is not clear */
    CN_HTTP_STOP_CODING,   /* a transfer coding that was not asked for */
    CN_HTTP_STOP_GZIP,     /* not what it says */
    CN_HTTP_STOP_MEMORY,
};

struct cn_http_call {
    struct fl_list link; /* loop: in cn_http.calls */
    struct cn_http *http;
    void *token;
    struct cn_http_message message;
    struct cn_http_request request;
    char *data; /* the body to send */
    size_t data_len;
    int64_t deadline_at_ms; /* the earlier of the caller's and the component's */
    size_t charged_bytes;   /* loop; and the next two */
    size_t waiting_bytes;   /* of the budget's line, before it has started */
    bool has_started;

    /* Room: set by the session before `ask`, by the loop before ROOM. */
    struct net_post ask;
    bool is_asking;
    bool can_wait;
    size_t asked_bytes;
    bool is_granted;
    size_t total_bytes;         /* of the budget, for the text of a refusal */
    struct fl_list asking;      /* loop: in cn_http.asking */
    struct fl_budget_wish wish; /* loop: before the start */
    struct net_timer wait_timer;

    /* Session. */
    struct cn_http_worker *worker;
    struct fl_list under_way;
    struct fl_heap_entry deadline;
    CURL *easy; /* NULL: not under way, or ended */
    struct curl_slist *fields;
    size_t sent;   /* of data */
    size_t taken;  /* of the chunk that libcurl gives again after a pause */
    size_t thrown; /* bytes of a redirect's body */
    struct cn_http_head head;
    struct cn_http_body body;
    bool has_body;  /* `body` was begun */
    bool has_ended; /* the answer below stands; it is told when nobody is asked any more */
    enum cn_http_stop stop;
    char detail[CURL_ERROR_SIZE];

    /* The answer. */
    struct net_post done;
    struct fl_error error;
    bool has_failed, has_answer; /* both: a status that is an error */
    struct cn_http_metadata metadata;
};

/* The session's. It is not part of the instance, because an abandoned session keeps it. */
struct cn_http_worker {
    struct connector_session *session;
    struct cn_http *http; /* loop only */
    struct cn_http_tls tls;
    size_t most_body_bytes;
    CURLM *multi;
    int epoll_fd;
    int64_t timer_at_ms; /* libcurl's; INT64_MAX: none */
    struct fl_heap deadlines;
    struct fl_list under_way;
    size_t count; /* calls that have started and were not handed back */
    bool is_closing;
    struct cn_http_counts counts;
};

/* The instance: begins with the gateway's part. */
struct cn_http {
    struct connector connector;
    struct cn_http_worker *worker;
    struct connector_session *session;
    struct fl_list calls; /* all that are not answered */
    size_t call_count;
    struct fl_list asking; /* calls that wait for room for their answers, in order */
    struct net_timer room_timer;
    struct net_task up;
    struct cn_http_message close_message;
    bool is_closing;
    bool has_told_cut;
    int64_t close_at_ms;
};

static inline struct cn_http *cn_http_of(struct connector *connector)
{
    return (struct cn_http *)(void *)connector;
}

/* --- front.c: the loop's side --- */

void cn_http_front_init(struct cn_http *http);
enum fl_err cn_http_front_invoke(struct connector *connector, const struct connector_call *call,
                                 struct fl_error *error) FL_MUST_USE;
/* Nothing more is taken, and nobody waits for room beyond the deadline. */
void cn_http_front_close(struct cn_http *http, int64_t deadline_at_ms);
/* Answers what the session has not. `is_abandoned`: the calls may still be in use. */
void cn_http_front_end(struct cn_http *http, bool is_abandoned);
/* A post, from the session. */
void cn_http_front_on_done(struct net_post *post);
/* Of a call that waits for bytes: starts the timer that ends it; ends it. */
void cn_http_front_limit_wait(struct cn_http_call *call);
void cn_http_front_stop_waiting(struct cn_http_call *call);

/* --- room.c: room for answers, on the loop --- */

void cn_http_room_init(struct cn_http *http);
/* A post, from the session. */
void cn_http_room_on_ask(struct net_post *post);
void cn_http_room_answer(struct cn_http_call *call, bool is_granted);
/* Something was given back: whoever waits is looked at. */
void cn_http_room_serve(struct cn_http *http);

/* --- worker.c: the session's turn --- */

extern const struct connector_session_type cn_http_session_type;

/* `tls` is taken. Fails when a descriptor is lacking. */
enum fl_err cn_http_worker_new(struct cn_http_tls *tls, size_t most_body_bytes,
                               struct cn_http_worker **worker, struct fl_error *error) FL_MUST_USE;
void cn_http_worker_free(struct cn_http_worker **worker);

/* The session has ended; in http.c. */
void cn_http_on_session_ended(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned);

/* --- transfer.c: one call in the session --- */

void cn_http_transfer_start(struct cn_http_worker *worker, struct cn_http_call *call);
/* The loop has answered the ask. */
void cn_http_transfer_on_room(struct cn_http_call *call);
/* libcurl is done with the hop. */
void cn_http_transfer_on_end(struct cn_http_call *call, CURLcode result);
/* Ends it now, whatever it is doing. */
void cn_http_transfer_abort(struct cn_http_call *call, enum fl_err code, const char *text);

/* --- failure.c: why a request failed --- */

struct cn_http_failure {
    enum fl_err code;
    enum fl_error_class class;
    char text[CURL_ERROR_SIZE + 32];
};

/* While the call still has its handle. */
void cn_http_failure_read(const struct cn_http_call *call, CURLcode result,
                          struct cn_http_failure *failure);

/* Frees a call that neither side uses. */
void cn_http_call_free(struct cn_http_call *call);

#endif
