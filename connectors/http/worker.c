/* The session's turn: every transfer of a component on one curl multi.
 *
 * libcurl says by callbacks which sockets it wants watched and when it wants to be called next. The
 * sockets go into one epoll descriptor, which is the session's watch (an epoll descriptor is
 * readable when one of its own is), so any number of transfers share this thread and its
 * connections. Deadlines of whole calls, which may take several requests, stand in a heap of ours:
 * libcurl's own limit is of one request, and does not run while that waits for a connection.
 *
 * The thread ends when it was told to close and no call is left. When it is interrupted, at the
 * deadline of closing, it aborts what is left; nothing it does blocks.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "connectors/http/http_priv.h"

enum { EVENTS_AT_ONCE = 64, MOST_ROUNDS = 16 };

/* --- what libcurl wants --- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    (void)easy, (void)unused;
    struct cn_http_worker *worker = context;
    struct epoll_event event = {.data.fd = fd};
    /* One that libcurl has closed before it says so may be somebody else's by now; it is not in
     * here, and nothing happens. */
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0)
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct cn_http_worker *worker = context;
    worker->timer_at_ms = timeout_ms < 0 ? INT64_MAX : fl_clock_ms() + timeout_ms;
    return 0;
}

/* --- a turn --- */

static void take_work(struct cn_http_worker *worker, struct fl_mailbox_entry *work)
{
    while (work) {
        struct cn_http_message *message = FL_CONTAINER(work, struct cn_http_message, entry);
        work = fl_mailbox_next(work);
        switch (message->kind) {
        case CN_HTTP_START:
            cn_http_transfer_start(worker, FL_CONTAINER(message, struct cn_http_call, message));
            break;
        case CN_HTTP_ROOM:
            cn_http_transfer_on_room(FL_CONTAINER(message, struct cn_http_call, message));
            break;
        case CN_HTTP_CLOSE:
            worker->is_closing = true;
            break;
        }
    }
}

static void serve_sockets(struct cn_http_worker *worker)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int running, count = epoll_wait(worker->epoll_fd, events, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < count; i++) {
        uint32_t got = events[i].events;
        int what = (got & EPOLLIN ? CURL_CSELECT_IN : 0) | (got & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (got & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(worker->multi, events[i].data.fd, what, &running);
    }
}

static bool is_timer_due(const struct cn_http_worker *worker)
{
    return worker->timer_at_ms <= fl_clock_ms();
}

static void serve_timer(struct cn_http_worker *worker)
{
    int running;
    if (!is_timer_due(worker))
        return;
    worker->timer_at_ms = INT64_MAX;
    curl_multi_socket_action(worker->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static void take_results(struct cn_http_worker *worker)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(worker->multi, &left));) {
        struct cn_http_call *call = NULL;
        CURLcode result = message->data.result;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call) == CURLE_OK && call)
            cn_http_transfer_on_end(call, result);
    }
}

static struct cn_http_call *first_due(const struct cn_http_worker *worker, int64_t now_ms)
{
    struct fl_heap_entry *first = fl_heap_first(&worker->deadlines);
    return first && first->due <= now_ms ? FL_CONTAINER(first, struct cn_http_call, deadline)
                                         : NULL;
}

static void end_due(struct cn_http_worker *worker)
{
    int64_t now_ms = fl_clock_ms();
    for (struct cn_http_call *call; (call = first_due(worker, now_ms));)
        cn_http_transfer_abort(call, FL_ERR_TIMEOUT, "context deadline exceeded");
}

static void end_all(struct cn_http_worker *worker)
{
    for (struct fl_list *first; (first = fl_list_first(&worker->under_way));)
        cn_http_transfer_abort(FL_LIST_ENTRY(first, struct cn_http_call, under_way), FL_ERR_CLOSED,
                               "the component is closing");
}

static void fall_asleep(struct cn_http_worker *worker, struct connector_session_sleep *sleep)
{
    struct fl_heap_entry *first = fl_heap_first(&worker->deadlines);
    sleep->watches[0] = (struct pollfd){.fd = worker->epoll_fd, .events = POLLIN};
    sleep->watch_count = 1;
    sleep->until_at_ms = worker->timer_at_ms;
    if (first && first->due < sleep->until_at_ms)
        sleep->until_at_ms = first->due;
    sleep->is_over = worker->is_closing && worker->count == 0;
}

/* Idle connections are closed on this thread: a goodbye may have to be written to each. */
static void close_multi(struct cn_http_worker *worker)
{
    curl_multi_cleanup(worker->multi);
    worker->multi = NULL;
}

static void turn(void *owner, struct fl_mailbox_entry *work, struct connector_session_sleep *sleep)
{
    struct cn_http_worker *worker = owner;
    take_work(worker, work);
    serve_sockets(worker);
    /* Starting, a redirect and a wait that is over want to be served at once. */
    for (int i = 0; i < MOST_ROUNDS && (i == 0 || is_timer_due(worker)); i++) {
        serve_timer(worker);
        take_results(worker);
    }
    end_due(worker);
    if (worker->session && connector_session_is_interrupted(worker->session))
        end_all(worker);
    fall_asleep(worker, sleep);
    if (sleep->is_over)
        close_multi(worker);
}

const struct connector_session_type cn_http_session_type = {
    .name = "http",
    .turn = turn,
    .ended = cn_http_on_session_ended,
};

/* --- life --- */

static CURLM *new_multi(struct cn_http_worker *worker)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        return NULL;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, worker);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, worker);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CN_HTTP_MOST_CONNECTIONS);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CN_HTTP_MOST_CONNECTIONS);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return multi;
}

enum fl_err cn_http_worker_new(struct cn_http_tls *tls, size_t most_body_bytes,
                               struct cn_http_worker **worker, struct fl_error *error)
{
    struct cn_http_worker *made = fl_zalloc(sizeof *made);
    made->most_body_bytes = most_body_bytes;
    made->timer_at_ms = INT64_MAX;
    fl_list_init(&made->under_way);
    made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int failure = errno;
    made->multi = made->epoll_fd >= 0 ? new_multi(made) : NULL;
    if (!made->multi) {
        cn_http_worker_free(&made);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL,
                            "no descriptors for connections: %s", strerror(failure));
    }
    made->tls = *tls;
    *tls = (struct cn_http_tls){0};
    *worker = made;
    return FL_OK;
}

void cn_http_worker_free(struct cn_http_worker **worker)
{
    struct cn_http_worker *old = *worker;
    curl_multi_cleanup(old->multi);
    if (old->epoll_fd >= 0)
        close(old->epoll_fd);
    fl_heap_fini(&old->deadlines);
    cn_http_tls_fini(&old->tls);
    FL_FREE(*worker);
}
