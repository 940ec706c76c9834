/* One call in the session: its requests, one behind the other, on libcurl.
 *
 *   start ──► hop ──► head, body (room is asked for) ──► end ── a redirect ──► hop
 *                                                         └── else ──► the answer, handed back
 *
 * Redirects and unpacking are ours, so libcurl gets one plain request at a time. It may send a
 * request again by itself when a kept connection turns out to be closed before it answered. That is
 * right for requests that may be repeated; for the others the server may have acted already, so
 * sending their body again is refused (`on_rewind`) and the caller is told.
 *
 * A body that needs room is paused: libcurl gives the same bytes again afterwards, of which `taken`
 * are done with.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "connectors/http/http_priv.h"

enum { MOST_THROWN_BYTES = 2048 };

static void count(_Atomic uint64_t *what, uint64_t more)
{
    atomic_fetch_add_explicit(what, more, memory_order_relaxed);
}

/* To an abandoned session nobody listens; it has nothing left to do about that. */
static void reply(struct cn_http_worker *worker, struct net_post *post)
{
    bool is_heard = connector_session_reply(worker->session, post);
    (void)is_heard;
}

/* --- the end --- */

static void free_easy(struct cn_http_call *call)
{
    if (!call->easy)
        return;
    curl_multi_remove_handle(call->worker->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->fields);
    call->easy = NULL;
    call->fields = NULL;
}

/* The call is the loop's afterwards. */
static void hand_back(struct cn_http_call *call)
{
    struct cn_http_worker *worker = call->worker;
    worker->count--;
    atomic_fetch_sub_explicit(&worker->counts.in_flight, 1, memory_order_relaxed);
    reply(worker, &call->done);
}

static void end(struct cn_http_call *call)
{
    free_easy(call);
    fl_list_remove(&call->under_way);
    fl_heap_remove(&call->worker->deadlines, &call->deadline);
    call->has_ended = true;
    if (!call->is_asking)
        hand_back(call);
}

static void fail(struct cn_http_call *call, enum fl_err code, enum fl_error_class class,
                 const char *text)
{
    cn_http_request_fail(&call->request, code, class, &call->error, "%s", text);
    call->has_failed = true;
    end(call);
}

void cn_http_transfer_abort(struct cn_http_call *call, enum fl_err code, const char *text)
{
    fail(call, code, FL_CLASS_UNKNOWN, text);
}

/* --- room --- */

static void ask_for_room(struct cn_http_call *call)
{
    size_t next = cn_http_body_next_room(&call->body);
    call->asked_bytes = next - call->body.room;
    call->can_wait = call->body.expected > call->body.room;
    call->is_asking = true;
    reply(call->worker, &call->ask);
}

static void refuse_room(struct cn_http_call *call)
{
    char text[200];
    snprintf(text, sizeof text,
             "the answer does not fit: it has more than %zu bytes, and within %zu bytes "
             "(--max-memory) there is no room for %zu more",
             call->body.len, call->total_bytes, call->asked_bytes);
    fail(call, FL_ERR_NO_MEMORY, FL_CLASS_RETRY, text);
}

void cn_http_transfer_on_room(struct cn_http_call *call)
{
    call->is_asking = false;
    if (call->is_granted)
        call->body.room += call->asked_bytes;
    if (call->has_ended) {
        hand_back(call);
    } else if (!call->is_granted) {
        refuse_room(call);
    } else {
        /* What was held is given to on_body inside; only here is it told if that fails. */
        CURLcode result = curl_easy_pause(call->easy, CURLPAUSE_CONT);
        if (result != CURLE_OK)
            cn_http_transfer_on_end(call, result);
    }
}

/* --- callbacks of libcurl --- */

static size_t on_head(char *line, size_t size, size_t len, void *context)
{
    struct cn_http_call *call = context;
    enum fl_err err = cn_http_head_add(&call->head, fl_slice_of(line, size * len));
    if (!err)
        return size * len;
    call->stop = err == FL_ERR_INVALID       ? CN_HTTP_STOP_LENGTH
                 : err == FL_ERR_UNSUPPORTED ? CN_HTTP_STOP_CODING
                                             : CN_HTTP_STOP_HEAD;
    return 0;
}

static bool is_redirected(const struct cn_http_call *call)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return cn_http_is_redirect((int)status) && cn_http_head_get(&call->head, "Location").len;
}

static bool is_packed(const struct cn_http_call *call)
{
    return call->request.wants_gzip &&
           fl_slice_eq_nocase(cn_http_head_get(&call->head, "Content-Encoding"),
                              FL_SLICE_LIT("gzip"));
}

static void begin_body(struct cn_http_call *call)
{
    curl_off_t announced = 0;
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    cn_http_body_init(&call->body, CN_HTTP_FIRST_ROOM, call->worker->most_body_bytes,
                      announced > 0 ? (size_t)announced : 0, is_packed(call));
    call->has_body = true;
}

static size_t pause_for_room(struct cn_http_call *call)
{
    if (!call->is_asking)
        ask_for_room(call);
    return CURL_WRITEFUNC_PAUSE;
}

/* What add said, as libcurl wants it: all was taken, wait, or stop. */
static size_t after_add(struct cn_http_call *call, enum cn_http_body_result result, size_t len)
{
    switch (result) {
    case CN_HTTP_BODY_TAKEN:
        call->taken = 0;
        return len;
    case CN_HTTP_BODY_FULL:
        return pause_for_room(call);
    case CN_HTTP_BODY_CUT:
        call->stop = CN_HTTP_STOP_CUT;
        break;
    case CN_HTTP_BODY_BROKEN:
        call->stop = CN_HTTP_STOP_GZIP;
        break;
    case CN_HTTP_BODY_NO_MEMORY:
        call->stop = CN_HTTP_STOP_MEMORY;
        break;
    }
    return CURL_WRITEFUNC_ERROR;
}

/* A short body is read to its end, so that the connection can be used again. */
static size_t throw_away(struct cn_http_call *call, size_t len)
{
    call->thrown += len;
    if (call->thrown <= MOST_THROWN_BYTES)
        return len;
    call->stop = CN_HTTP_STOP_REDIRECT;
    return CURL_WRITEFUNC_ERROR;
}

static size_t on_body(char *bytes, size_t size, size_t len, void *context)
{
    struct cn_http_call *call = context;
    size_t used = 0, all = size * len;
    if (call->stop != CN_HTTP_RUNS)
        return CURL_WRITEFUNC_ERROR;
    if (is_redirected(call))
        return throw_away(call, all);
    if (!call->has_body)
        begin_body(call);
    /* An answer that is known to be large asks before the first byte. */
    if (call->body.expected > call->body.room)
        return pause_for_room(call);
    struct fl_slice rest = fl_slice_of(bytes + call->taken, all - call->taken);
    enum cn_http_body_result result = cn_http_body_add(&call->body, rest, &used);
    call->taken += used;
    count(&call->worker->counts.received_bytes, used);
    return after_add(call, result, all);
}

static size_t on_read(char *out, size_t size, size_t len, void *context)
{
    struct cn_http_call *call = context;
    size_t left = call->data_len - call->sent, room = size * len;
    size_t now = left < room ? left : room;
    if (now)
        memcpy(out, call->data + call->sent, now);
    call->sent += now;
    return now;
}

static int on_rewind(void *context, curl_off_t offset, int origin)
{
    (void)context, (void)offset, (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

/* Connections are nobody else's, should the process start another. */
static curl_socket_t on_open_socket(void *context, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    (void)context, (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* --- a hop --- */

static void set_method(struct cn_http_call *call)
{
    CURL *easy = call->easy;
    const struct cn_http_request *request = &call->request;
    if (request->has_body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->data_len);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, call);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool set_fields(struct cn_http_call *call)
{
    const struct cn_http_fields *fields = &call->request.fields;
    /* Waiting for a 100 would delay every large body by a second where servers know nothing of it;
     * a caller who wants it names it. */
    bool wants_expect = !fl_slice_is_null(cn_http_fields_get(fields, "Expect"));
    for (size_t i = 0; i < fields->count + !wants_expect; i++) {
        const char *line = i < fields->count ? fields->items[i].line : "Expect:";
        struct curl_slist *longer = curl_slist_append(call->fields, line);
        if (!longer)
            return false;
        call->fields = longer;
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->fields);
    return true;
}

static void set_usual(struct cn_http_call *call)
{
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* an abort does not wait for a name server */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CN_HTTP_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    cn_http_tls_apply(&call->worker->tls, easy);
}

static void begin_hop(struct cn_http_call *call)
{
    cn_http_head_fini(&call->head);
    call->head = (struct cn_http_head){0};
    call->sent = call->taken = call->thrown = 0;
    call->stop = CN_HTTP_RUNS;
    call->detail[0] = '\0';
    call->easy = curl_easy_init();
    if (!call->easy) {
        fail(call, FL_ERR_NO_MEMORY, FL_CLASS_RETRY, "there is no memory for a request");
        return;
    }
    set_usual(call);
    set_method(call);
    bool is_set = set_fields(call) &&
                  curl_easy_setopt(call->easy, CURLOPT_URL, call->request.url) == CURLE_OK;
    count(&call->worker->counts.requests, 1);
    if (!is_set || curl_multi_add_handle(call->worker->multi, call->easy) != CURLM_OK)
        fail(call, FL_ERR_NO_MEMORY, FL_CLASS_RETRY, "there is no memory for a request");
}

void cn_http_transfer_start(struct cn_http_worker *worker, struct cn_http_call *call)
{
    call->worker = worker;
    worker->count++;
    count(&worker->counts.in_flight, 1);
    fl_list_add_last(&worker->under_way, &call->under_way);
    call->deadline.due = call->deadline_at_ms;
    fl_heap_add(&worker->deadlines, &call->deadline);
    begin_hop(call);
}

/* --- how a hop ended --- */

static void fail_as(struct cn_http_call *call, CURLcode result)
{
    struct cn_http_failure why;
    cn_http_failure_read(call, result, &why);
    fail(call, why.code, why.class, why.text);
}

static void follow(struct cn_http_call *call, int status)
{
    struct fl_slice location = cn_http_head_get(&call->head, "Location");
    if (cn_http_request_redirect(&call->request, status, location, &call->error)) {
        call->has_failed = true;
        end(call);
        return;
    }
    count(&call->worker->counts.redirects, 1);
    free_easy(call);
    begin_hop(call);
}

static void answer(struct cn_http_call *call, int status)
{
    bool is_decoded = call->body.gunzip != NULL;
    cn_http_head_metadata(&call->head, status, is_decoded, &call->metadata);
    call->has_answer = true;
    if (call->stop == CN_HTTP_STOP_CUT)
        count(&call->worker->counts.cut, 1);
    if (call->request.is_status_checked && (status < 200 || status > 299)) {
        call->has_failed = true;
        fl_error_set(&call->error, FL_ERR_REFUSED, FL_CLASS_RETRY, "received status code %d",
                     status);
    }
    end(call);
}

void cn_http_transfer_on_end(struct cn_http_call *call, CURLcode result)
{
    long status = 0, connections = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connections);
    count(&call->worker->counts.connections, (uint64_t)connections);
    bool is_good = call->stop == CN_HTTP_RUNS
                       ? result == CURLE_OK
                       : call->stop == CN_HTTP_STOP_CUT || call->stop == CN_HTTP_STOP_REDIRECT;
    if (!is_good)
        fail_as(call, result);
    else if (!call->head.has_ended)
        fail(call, FL_ERR_REFUSED, FL_CLASS_UNKNOWN, "the connection was closed within the head");
    else if (is_redirected(call))
        follow(call, (int)status);
    else if (call->stop != CN_HTTP_STOP_CUT && !cn_http_body_is_whole(&call->body))
        fail(call, FL_ERR_INVALID, FL_CLASS_UNKNOWN, "the packed answer breaks off");
    else
        answer(call, (int)status);
}
