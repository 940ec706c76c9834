/* Publishes and what they wait for; see the header. */
#include "gateway/publish.h"

#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/publish_policy.h"

static void stop_waiting(struct gw_publish *publish)
{
    struct gateway *gateway = publish->gateway;
    if (!net_deadline_is_running(&publish->wait))
        return;
    net_deadline_stop(&publish->wait);
    gateway->publishing.waiting_count--;
    publish->component->waiting_count--;
}

static void start_waiting(struct gw_publish *publish)
{
    publish->gateway->publishing.waiting_count++;
    publish->component->waiting_count++;
    net_deadline_start(&publish->gateway->publishing.waits, &publish->wait);
}

void gw_publish_finish(struct gw_publish *publish, const struct gw_publish_result *result)
{
    fl_list_remove(&publish->link);
    publish->state = GW_PUBLISH_IDLE;
    ce_event_release(&publish->event);
    publish->done(publish, result);
}

static void leave_room_line(struct gw_publish *publish)
{
    struct gateway *gateway = publish->gateway;
    fl_budget_leave(&gateway->budget, &publish->wish);
    fl_budget_release_waiting(&gateway->budget, publish->waiting_bytes);
}

static void on_wait_over(struct net_deadline *deadline)
{
    struct gw_publish *publish = FL_CONTAINER(deadline, struct gw_publish, wait);
    struct gateway *gateway = publish->gateway;
    bool waits_for_room = publish->state == GW_PUBLISH_WAITS_FOR_ROOM;
    struct gw_publish_result result = {
        .code = FL_ERR_AGAIN, .class = FL_CLASS_RETRY, .text = "too many messages are waiting"};
    gateway->publishing.waiting_count--;
    publish->component->waiting_count--;
    if (waits_for_room) {
        leave_room_line(publish);
        result.text = "the memory bound (--max-memory) is reached";
    } else if (!publish->component->is_up) {
        result.code = FL_ERR_CLOSED;
        result.text = publish->component->last_error.text[0] ? publish->component->last_error.text
                                                             : "the component is not connected";
    }
    if (!waits_for_room)
        publish->component->line_count--;
    gw_publish_finish(publish, &result);
}

/* Room came: the bytes held in the line become the event's charge, which its last reference gives
 * back. The wait goes on until it is sent. */
static void on_room(struct fl_budget_wish *wish)
{
    struct gw_publish *publish = FL_CONTAINER(wish, struct gw_publish, wish);
    struct gateway *gateway = publish->gateway;
    fl_budget_release_waiting(&gateway->budget, publish->waiting_bytes);
    publish->event->budget = &gateway->budget;
    publish->event->charged_bytes = wish->bytes;
    publish->state = GW_PUBLISH_IN_LINE;
    gw_component_enqueue(publish->component, publish);
}

enum fl_err gw_publish_start(struct gateway *gateway, struct gw_publish *publish,
                             struct ce_event **event)
{
    fl_list_init(&publish->link);
    net_deadline_init(&publish->wait);
    publish->gateway = gateway;
    if (publish->component->outbound.config.is_set && !publish->is_attempt) {
        gw_publish_policy_start(gateway, publish, event);
        return FL_OK;
    }
    if (!publish->is_urgent && gateway->publishing.waiting_count >= GW_MOST_WAITING_PUBLISHES)
        return FL_ERR_TOO_LARGE;
    if ((*event)->budget || publish->is_urgent) {
        publish->event = *event;
        *event = NULL;
        publish->state = GW_PUBLISH_IN_LINE;
        gw_component_enqueue(publish->component, publish);
        return FL_OK;
    }
    size_t bytes = (*event)->charged_bytes; /* its size, whoever pays */
    if (!fl_budget_hold_waiting(&gateway->budget, bytes))
        return FL_ERR_TOO_LARGE;
    publish->event = *event;
    *event = NULL;
    publish->waiting_bytes = bytes;
    publish->state = GW_PUBLISH_WAITS_FOR_ROOM;
    publish->wish.bytes = bytes;
    publish->wish.granted = on_room;
    fl_list_init(&publish->wish.link);
    fl_budget_wait(&gateway->budget, &publish->wish);
    start_waiting(publish);
    return FL_OK;
}

bool gw_publish_withdraw(struct gw_publish *publish)
{
    if (publish->state == GW_PUBLISH_UNDER_POLICY)
        return gw_publish_policy_withdraw(&publish->operation);
    if (publish->state != GW_PUBLISH_IN_LINE && publish->state != GW_PUBLISH_WAITS_FOR_ROOM)
        return false;
    stop_waiting(publish);
    if (publish->state == GW_PUBLISH_WAITS_FOR_ROOM)
        leave_room_line(publish);
    else
        publish->component->line_count--;
    fl_list_remove(&publish->link);
    publish->state = GW_PUBLISH_IDLE;
    ce_event_release(&publish->event);
    return true;
}

void gw_publish_sent(struct gw_publish *publish)
{
    stop_waiting(publish);
    publish->state = GW_PUBLISH_SENT;
}

void gw_publish_must_wait(struct gw_publish *publish)
{
    if (!publish->is_urgent && !net_deadline_is_running(&publish->wait))
        start_waiting(publish);
}

void gw_publishing_init(struct gateway *gateway)
{
    /* A class of no duration never expires; who may not wait waits for the shortest one. */
    int64_t wait_ms = gateway->flags->publish_wait_ms;
    net_deadlines_init(&gateway->publishing.waits, gateway->loop, wait_ms > 0 ? wait_ms : 1,
                       on_wait_over);
    fl_list_init(&gateway->publishing.retrying);
}

void gw_publishing_stop(struct gateway *gateway)
{
    gw_publish_policy_stop(gateway);
}

void gw_publishing_fini(struct gateway *gateway)
{
    net_deadlines_fini(&gateway->publishing.waits);
}
