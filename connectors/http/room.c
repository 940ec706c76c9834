/* Room for answers: what a call asks for while its server waits.
 *
 * Answers are the largest things that a gateway holds, and how long one holds its room is up to a
 * server that may be slow or dead. So they come last. Those that wait stand in a line of their own
 * and take only what nobody in the budget's line wants, and an eighth of the budget is never
 * theirs: while servers stall on announced hundreds of megabytes, events are still published.
 *
 * Nobody tells when the budget has room again, so the line is looked at when an answer of this
 * component has gone, and else every few milliseconds as long as somebody stands in it.
 */
#include "connectors/http/http_priv.h"

enum { LOOK_EVERY_MS = 20, KEPT_PART = 8 };

static struct fl_budget *budget_of(const struct cn_http_call *call)
{
    return call->http->connector.host->budget;
}

static size_t kept_bytes(const struct fl_budget *budget)
{
    return budget->total_bytes / KEPT_PART;
}

static bool try_take(const struct cn_http_call *call)
{
    struct fl_budget *budget = budget_of(call);
    return fl_budget_has_room(budget, call->asked_bytes + kept_bytes(budget)) &&
           fl_budget_try_take(budget, call->asked_bytes);
}

/* More than an empty gateway would give. */
static bool is_hopeless(const struct cn_http_call *call)
{
    struct fl_budget *budget = budget_of(call);
    return call->asked_bytes > budget->total_bytes - 2 * kept_bytes(budget);
}

void cn_http_room_answer(struct cn_http_call *call, bool is_granted)
{
    call->charged_bytes += is_granted ? call->asked_bytes : 0;
    call->is_granted = is_granted;
    call->message.kind = CN_HTTP_ROOM;
    connector_session_post(call->http->session, &call->message.entry);
}

void cn_http_room_serve(struct cn_http *http)
{
    struct net_loop *loop = http->connector.host->loop;
    for (struct fl_list *first; (first = fl_list_first(&http->asking));) {
        struct cn_http_call *call = FL_LIST_ENTRY(first, struct cn_http_call, asking);
        if (!try_take(call)) {
            net_timer_start(loop, &http->room_timer, net_loop_now_ms(loop) + LOOK_EVERY_MS);
            return;
        }
        cn_http_front_stop_waiting(call);
        cn_http_room_answer(call, true);
    }
    net_timer_stop(loop, &http->room_timer);
}

static void on_look(struct net_timer *timer)
{
    cn_http_room_serve(FL_CONTAINER(timer, struct cn_http, room_timer));
}

static void wait_for_room(struct cn_http_call *call)
{
    fl_list_add_last(&call->http->asking, &call->asking);
    cn_http_front_limit_wait(call);
    cn_http_room_serve(call->http);
}

/* One that cannot wait holds what others wait for, so it goes before them. */
void cn_http_room_on_ask(struct net_post *post)
{
    struct cn_http_call *call = FL_CONTAINER(post, struct cn_http_call, ask);
    if (call->can_wait && !is_hopeless(call))
        wait_for_room(call);
    else
        cn_http_room_answer(call, !call->can_wait && try_take(call));
}

void cn_http_room_init(struct cn_http *http)
{
    fl_list_init(&http->asking);
    http->room_timer.expired = on_look;
}
