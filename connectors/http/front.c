/* The loop's side of bindings.http: taking calls, granting room, giving answers.
 *
 * A request is made here, when the call comes, because it costs little and tells at once what is
 * wrong with the caller's metadata. Everything that touches the budget is here too, for the budget
 * is the loop's: see the header for who asks when.
 *
 * A call that finds no room to begin with stands in the budget's line like everybody else. Each
 * wait, for that or for a longer answer (room.c), ends by a timer of its own, at the call's
 * deadline or earlier, so the session gets an answer to each ask and a call never hangs between the
 * two.
 */
#include "base/alloc.h"
#include "base/log.h"
#include "connectors/http/http_priv.h"

#define SCOPE "dapr.contrib"

/* --- answers --- */

void cn_http_call_free(struct cn_http_call *call)
{
    cn_http_request_fini(&call->request);
    cn_http_head_fini(&call->head);
    cn_http_body_fini(&call->body);
    cn_http_metadata_fini(&call->metadata);
    fl_free(call->data);
    fl_free(call);
}

static void tell_cut(struct cn_http_call *call)
{
    struct cn_http *http = call->http;
    if (call->stop != CN_HTTP_STOP_CUT || http->has_told_cut)
        return;
    http->has_told_cut = true;
    FL_WARN(http->connector.host->log, SCOPE,
            "%s: an answer is longer than maxResponseBodySize and was cut to %zu bytes; this is "
            "told once",
            http->connector.log_name, call->body.len);
}

static void give_answer(struct cn_http_call *call)
{
    struct connector *connector = &call->http->connector;
    struct connector_invoked answer = {
        .token = call->token,
        .error = call->has_failed ? &call->error : NULL,
        .has_response = call->has_answer,
    };
    if (call->has_answer) {
        answer.data = fl_slice_of(call->body.data ? call->body.data : "", call->body.len);
        answer.metadata = call->metadata.items;
        answer.metadata_count = call->metadata.count;
    }
    connector->host->callbacks->invoked(connector, &answer);
}

void cn_http_front_stop_waiting(struct cn_http_call *call)
{
    const struct connector_host *host = call->http->connector.host;
    fl_budget_leave(host->budget, &call->wish);
    fl_list_remove(&call->asking);
    fl_budget_release_waiting(host->budget, call->waiting_bytes);
    net_timer_stop(host->loop, &call->wait_timer);
    call->waiting_bytes = 0;
}

static void forget(struct cn_http_call *call)
{
    struct cn_http *http = call->http;
    fl_list_remove(&call->link);
    http->call_count--;
    fl_budget_release(http->connector.host->budget, call->charged_bytes);
}

void cn_http_front_on_done(struct net_post *post)
{
    struct cn_http_call *call = FL_CONTAINER(post, struct cn_http_call, done);
    struct cn_http *http = call->http;
    tell_cut(call);
    give_answer(call);
    forget(call);
    cn_http_call_free(call);
    cn_http_room_serve(http);
}

/* --- bytes of the budget --- */

static size_t first_bytes(const struct cn_http_call *call)
{
    return CN_HTTP_OVERHEAD + CN_HTTP_FIRST_ROOM + call->data_len +
           cn_http_request_bytes(&call->request);
}

/* Whatever is larger would hold up everybody behind it until the gateway is all but empty. */
static bool is_hopeless(const struct fl_budget *budget, size_t bytes)
{
    return bytes > budget->total_bytes - budget->total_bytes / 8;
}

static enum fl_err refuse_bytes(const struct fl_budget *budget, struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                        "there is no room for the call: the gateway holds %zu of %zu bytes "
                        "(--max-memory)",
                        budget->used_bytes, budget->total_bytes);
}

static void start(struct cn_http_call *call)
{
    call->charged_bytes = first_bytes(call);
    call->has_started = true;
    connector_session_post(call->http->session, &call->message.entry);
}

/* After CLOSE nothing is started: what is granted then is given back when the wait ends. */
static void on_granted(struct fl_budget_wish *wish)
{
    struct cn_http_call *call = FL_CONTAINER(wish, struct cn_http_call, wish);
    if (call->http->is_closing) {
        call->charged_bytes = wish->bytes;
        return;
    }
    cn_http_front_stop_waiting(call);
    start(call);
}

static void fail_to_start(struct cn_http_call *call)
{
    if (call->http->is_closing)
        fl_error_set(&call->error, FL_ERR_CLOSED, FL_CLASS_RETRY, "the component is closing");
    else
        refuse_bytes(call->http->connector.host->budget, &call->error);
    call->has_failed = true;
    give_answer(call);
    forget(call);
    cn_http_call_free(call);
}

static void on_wait_over(struct net_timer *timer)
{
    struct cn_http_call *call = FL_CONTAINER(timer, struct cn_http_call, wait_timer);
    cn_http_front_stop_waiting(call);
    if (call->has_started)
        cn_http_room_answer(call, false);
    else
        fail_to_start(call);
}

void cn_http_front_limit_wait(struct cn_http_call *call)
{
    struct cn_http *http = call->http;
    struct net_loop *loop = http->connector.host->loop;
    int64_t until_ms = net_loop_now_ms(loop) + CN_HTTP_ROOM_WAIT_MS;
    if (call->deadline_at_ms < until_ms)
        until_ms = call->deadline_at_ms;
    if (http->close_at_ms < until_ms)
        until_ms = http->close_at_ms;
    call->wait_timer.expired = on_wait_over;
    net_timer_start(loop, &call->wait_timer, until_ms);
}

static void wait_to_start(struct cn_http_call *call)
{
    call->wish.bytes = first_bytes(call);
    call->wish.granted = on_granted;
    cn_http_front_limit_wait(call);
    fl_budget_wait(call->http->connector.host->budget, &call->wish);
}

/* --- taking --- */

static struct cn_http_call *new_call(struct cn_http *http, const struct connector_call *call)
{
    const struct cn_http_settings *settings = http->connector.settings;
    struct cn_http_call *made = fl_zalloc(sizeof *made);
    int64_t limit_ms = settings->response_timeout_ms;
    made->http = http;
    made->token = call->token;
    made->message.kind = CN_HTTP_START;
    made->deadline_at_ms = call->deadline_at_ms;
    if (limit_ms > 0 &&
        net_loop_now_ms(http->connector.host->loop) + limit_ms < made->deadline_at_ms)
        made->deadline_at_ms = net_loop_now_ms(http->connector.host->loop) + limit_ms;
    made->ask.run = cn_http_room_on_ask;
    made->done.run = cn_http_front_on_done;
    fl_list_init(&made->wish.link);
    fl_list_init(&made->asking);
    fl_list_init(&made->link);
    fl_list_init(&made->under_way);
    return made;
}

static enum fl_err copy_data(struct cn_http_call *call, struct fl_slice data,
                             struct fl_error *error)
{
    if (!call->request.has_body || data.len == 0)
        return FL_OK;
    call->data = fl_try_alloc(data.len);
    if (!call->data)
        return fl_error_set(error, FL_ERR_NO_MEMORY, FL_CLASS_RETRY,
                            "there is no memory for %zu bytes to send", data.len);
    memcpy(call->data, data.data, data.len);
    call->data_len = data.len;
    return FL_OK;
}

static size_t held_bytes(const struct cn_http_call *call)
{
    return sizeof *call + call->data_len + cn_http_request_bytes(&call->request);
}

/* Starts the call, or lets it stand in line with what it has to send. */
static enum fl_err start_or_wait(struct cn_http *http, struct cn_http_call *call,
                                 struct fl_error *error)
{
    struct fl_budget *budget = http->connector.host->budget;
    call->total_bytes = budget->total_bytes;
    if (fl_budget_try_take(budget, first_bytes(call))) {
        start(call);
        return FL_OK;
    }
    if (is_hopeless(budget, first_bytes(call)) || !fl_budget_hold_waiting(budget, held_bytes(call)))
        return refuse_bytes(budget, error);
    call->waiting_bytes = held_bytes(call);
    wait_to_start(call);
    return FL_OK;
}

static enum fl_err check_open(const struct cn_http *http, struct fl_error *error)
{
    if (http->is_closing)
        return fl_error_set(error, FL_ERR_CLOSED, FL_CLASS_RETRY, "the component is closing");
    if (http->call_count >= CN_HTTP_MOST_CALLS)
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                            "%d calls of the component are not answered yet", CN_HTTP_MOST_CALLS);
    return FL_OK;
}

enum fl_err cn_http_front_invoke(struct connector *connector, const struct connector_call *call,
                                 struct fl_error *error)
{
    struct cn_http *http = cn_http_of(connector);
    enum fl_err err = check_open(http, error);
    if (err)
        return err;
    struct cn_http_call *made = new_call(http, call);
    err = cn_http_request_init(&made->request, connector->settings, call, error);
    if (!err)
        err = copy_data(made, call->data, error);
    if (!err)
        err = start_or_wait(http, made, error);
    if (err) {
        cn_http_call_free(made);
        return err;
    }
    fl_list_add_last(&http->calls, &made->link);
    http->call_count++;
    return FL_OK;
}

/* --- opening and closing --- */

static void on_up(struct net_task *task)
{
    struct cn_http *http = FL_CONTAINER(task, struct cn_http, up);
    http->connector.host->callbacks->state(&http->connector, true, NULL);
}

/* There is no connection to wait for: a call makes one. */
void cn_http_front_init(struct cn_http *http)
{
    fl_list_init(&http->calls);
    cn_http_room_init(http);
    http->up.run = on_up;
    http->close_message.kind = CN_HTTP_CLOSE;
    http->close_at_ms = INT64_MAX;
    net_loop_defer(http->connector.host->loop, &http->up);
}

/* Who has not started will not: that is told when the timer is served, not inside this call. */
static void hasten(struct cn_http_call *call, int64_t deadline_at_ms)
{
    struct net_loop *loop = call->http->connector.host->loop;
    if (!net_timer_is_running(&call->wait_timer))
        return;
    if (!call->has_started)
        net_timer_start(loop, &call->wait_timer, net_loop_now_ms(loop));
    else if (call->deadline_at_ms > deadline_at_ms)
        net_timer_start(loop, &call->wait_timer, deadline_at_ms);
}

void cn_http_front_close(struct cn_http *http, int64_t deadline_at_ms)
{
    if (!http->is_closing)
        connector_session_post(http->session, &http->close_message.entry);
    http->is_closing = true;
    if (deadline_at_ms >= http->close_at_ms)
        return;
    http->close_at_ms = deadline_at_ms;
    FL_LIST_EACH(at, &http->calls)
    {
        struct cn_http_call *call = FL_LIST_ENTRY(at, struct cn_http_call, link);
        hasten(call, deadline_at_ms);
    }
}

void cn_http_front_end(struct cn_http *http, bool is_abandoned)
{
    net_loop_cancel(http->connector.host->loop, &http->up);
    net_timer_stop(http->connector.host->loop, &http->room_timer);
    for (struct fl_list *first; (first = fl_list_first(&http->calls));) {
        struct cn_http_call *call = FL_LIST_ENTRY(first, struct cn_http_call, link);
        struct fl_error error;
        fl_error_set(&error, FL_ERR_CLOSED, FL_CLASS_UNKNOWN,
                     "the component was closed before the answer came");
        struct connector_invoked answer = {.token = call->token, .error = &error};
        cn_http_front_stop_waiting(call);
        http->connector.host->callbacks->invoked(&http->connector, &answer);
        forget(call);
        if (!is_abandoned)
            cn_http_call_free(call);
    }
}
