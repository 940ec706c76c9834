/* The loop's side of bindings.http: taking calls, granting room, giving answers.
 *
 * A request is made here, when the call comes, because it costs little and tells at once what is
 * wrong with the caller's metadata. Everything that touches the budget is here too, for the budget
 * is the loop's: see the header for who asks when.
 *
 * A wait for room ends by a timer of its own, at the call's deadline or earlier, so the session
 * gets an answer to each ask in any case and a call never hangs between the two.
 */
#include "base/alloc.h"
#include "base/log.h"
#include "connectors/http/http_priv.h"

#define SCOPE "dapr.contrib"

/* --- taking --- */

static void on_granted(struct fl_budget_wish *wish);
static void on_wait_over(struct net_timer *timer);

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
    made->ask.run = cn_http_front_on_ask;
    made->done.run = cn_http_front_on_done;
    fl_list_init(&made->wish.link);
    made->wish.granted = on_granted;
    made->wait_timer.expired = on_wait_over;
    fl_list_init(&made->link);
    fl_list_init(&made->under_way);
    return made;
}

void cn_http_call_free(struct cn_http_call *call)
{
    cn_http_request_fini(&call->request);
    cn_http_head_fini(&call->head);
    cn_http_body_fini(&call->body);
    cn_http_metadata_fini(&call->metadata);
    fl_free(call->data);
    fl_free(call);
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

static enum fl_err take_bytes(struct cn_http *http, struct cn_http_call *call,
                              struct fl_error *error)
{
    struct fl_budget *budget = http->connector.host->budget;
    size_t bytes = CN_HTTP_OVERHEAD + CN_HTTP_FIRST_ROOM + call->data_len;
    if (!fl_budget_try_take(budget, bytes))
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                            "there is no room for the call: the gateway holds %zu of %zu bytes",
                            budget->used_bytes, budget->total_bytes);
    call->charged_bytes = bytes;
    call->total_bytes = budget->total_bytes;
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
        err = take_bytes(http, made, error);
    if (err) {
        cn_http_call_free(made);
        return err;
    }
    fl_list_add_last(&http->calls, &made->link);
    http->call_count++;
    connector_session_post(http->session, &made->message.entry);
    return FL_OK;
}

/* --- room --- */

static void answer_ask(struct cn_http_call *call, bool is_granted)
{
    struct cn_http *http = call->http;
    fl_budget_leave(http->connector.host->budget, &call->wish);
    net_timer_stop(http->connector.host->loop, &call->wait_timer);
    call->charged_bytes += is_granted ? call->asked_bytes : 0;
    call->is_granted = is_granted;
    call->message.kind = CN_HTTP_ROOM;
    connector_session_post(http->session, &call->message.entry);
}

static void on_granted(struct fl_budget_wish *wish)
{
    answer_ask(FL_CONTAINER(wish, struct cn_http_call, wish), true);
}

static void on_wait_over(struct net_timer *timer)
{
    answer_ask(FL_CONTAINER(timer, struct cn_http_call, wait_timer), false);
}

static void wait_for_room(struct cn_http_call *call)
{
    struct cn_http *http = call->http;
    struct net_loop *loop = http->connector.host->loop;
    int64_t until_ms = net_loop_now_ms(loop) + CN_HTTP_ROOM_WAIT_MS;
    if (call->deadline_at_ms < until_ms)
        until_ms = call->deadline_at_ms;
    if (http->is_closing && http->close_at_ms < until_ms)
        until_ms = http->close_at_ms;
    call->wish.bytes = call->asked_bytes;
    net_timer_start(loop, &call->wait_timer, until_ms);
    fl_budget_wait(http->connector.host->budget, &call->wish);
}

/* A wish that only an empty gateway could grant would hold up everybody behind it. */
static bool is_hopeless(const struct cn_http_call *call, const struct fl_budget *budget)
{
    return call->asked_bytes > budget->total_bytes - budget->total_bytes / 8;
}

void cn_http_front_on_ask(struct net_post *post)
{
    struct cn_http_call *call = FL_CONTAINER(post, struct cn_http_call, ask);
    struct fl_budget *budget = call->http->connector.host->budget;
    if (fl_budget_try_take(budget, call->asked_bytes))
        answer_ask(call, true);
    else if (call->can_wait && !is_hopeless(call, budget))
        wait_for_room(call);
    else
        answer_ask(call, false);
}

/* --- answers --- */

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
    tell_cut(call);
    give_answer(call);
    forget(call);
    cn_http_call_free(call);
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
    http->up.run = on_up;
    http->close_message.kind = CN_HTTP_CLOSE;
    http->close_at_ms = INT64_MAX;
    net_loop_defer(http->connector.host->loop, &http->up);
}

void cn_http_front_close(struct cn_http *http, int64_t deadline_at_ms)
{
    struct net_loop *loop = http->connector.host->loop;
    if (!http->is_closing)
        connector_session_post(http->session, &http->close_message.entry);
    http->is_closing = true;
    if (deadline_at_ms >= http->close_at_ms)
        return;
    http->close_at_ms = deadline_at_ms;
    FL_LIST_EACH(at, &http->calls)
    {
        struct cn_http_call *call = FL_LIST_ENTRY(at, struct cn_http_call, link);
        if (net_timer_is_running(&call->wait_timer) && call->deadline_at_ms > deadline_at_ms)
            net_timer_start(loop, &call->wait_timer, deadline_at_ms);
    }
}

void cn_http_front_end(struct cn_http *http, bool is_abandoned)
{
    struct net_loop *loop = http->connector.host->loop;
    net_loop_cancel(loop, &http->up);
    for (struct fl_list *first; (first = fl_list_first(&http->calls));) {
        struct cn_http_call *call = FL_LIST_ENTRY(first, struct cn_http_call, link);
        struct fl_error error;
        fl_error_set(&error, FL_ERR_CLOSED, FL_CLASS_UNKNOWN,
                     "the component was closed before the answer came");
        struct connector_invoked answer = {.token = call->token, .error = &error};
        fl_budget_leave(http->connector.host->budget, &call->wish);
        net_timer_stop(loop, &call->wait_timer);
        http->connector.host->callbacks->invoked(&http->connector, &answer);
        forget(call);
        if (!is_abandoned)
            cn_http_call_free(call);
    }
}
