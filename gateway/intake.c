/* Intake; see the header. */
#include "gateway/intake.h"

#include "base/alloc.h"
#include "gateway/bulk_subscribe.h"
#include "gateway/component.h"
#include "gateway/delivery.h"
#include "gateway/gateway.h"

enum { MOST_FREE_DELIVERIES = 1024, EXTEND_BATCH = 256 };

/* --- the pool --- */

static struct gw_delivery *new_delivery(struct gw_subscription *subscription)
{
    struct gw_subscriptions *all = &subscription->gateway->subscriptions;
    struct fl_list *first = fl_list_first(&all->free_deliveries);
    struct gw_delivery *delivery;
    if (first) {
        delivery = FL_LIST_ENTRY(first, struct gw_delivery, lane_link);
        fl_list_remove(first);
        all->free_delivery_count--;
        /* The fields need not be cleared: nothing of them is read before it is written. */
        memset(delivery, 0, offsetof(struct gw_delivery, fields));
    } else {
        delivery = fl_zalloc(sizeof *delivery);
    }
    delivery->subscription = subscription;
    fl_list_init(&delivery->lane_link);
    fl_list_init(&delivery->call.link);
    fl_list_add_last(&subscription->deliveries, &delivery->link);
    subscription->unsettled_count++;
    return delivery;
}

static void free_delivery(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct gw_subscriptions *all = &subscription->gateway->subscriptions;
    fl_list_remove(&delivery->link);
    fl_list_remove(&delivery->lane_link);
    subscription->unsettled_count--;
    ce_event_release(&delivery->event);
    ce_event_release(&delivery->view);
    gw_delivery_fields_fini(&delivery->fields);
    if (all->free_delivery_count == MOST_FREE_DELIVERIES) {
        fl_free(delivery);
        return;
    }
    fl_list_add_first(&all->free_deliveries, &delivery->lane_link);
    all->free_delivery_count++;
}

void gw_intake_free_pool(struct gateway *gateway)
{
    struct gw_subscriptions *all = &gateway->subscriptions;
    if (!all->free_deliveries.next)
        return;
    for (struct fl_list *first; (first = fl_list_first(&all->free_deliveries));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct gw_delivery, lane_link));
    }
}

/* --- lanes --- */

static struct gw_lane *find_lane(struct gw_subscription *subscription, uint64_t id)
{
    FL_LIST_EACH(at, &subscription->lanes)
    {
        struct gw_lane *lane = FL_LIST_ENTRY(at, struct gw_lane, link);
        if (lane->id == id)
            return lane;
    }
    struct gw_lane *lane = fl_zalloc(sizeof *lane);
    lane->id = id;
    fl_list_init(&lane->waiting);
    fl_list_add_last(&subscription->lanes, &lane->link);
    return lane;
}

static void drop_lane(struct gw_lane *lane)
{
    fl_list_remove(&lane->link);
    fl_free(lane);
}

static void release_lane(struct gw_subscription *subscription, struct gw_lane *lane)
{
    struct connector *connector = subscription->component->connector;
    gw_component_flush_settlements(subscription->component);
    if (connector->type->release_lane)
        connector->type->release_lane(connector, &subscription->feed, lane->id);
    drop_lane(lane);
}

/* The one in work is done: the next one's turn, or the lane is idle and goes. */
static void advance_lane(struct gw_subscription *subscription, struct gw_lane *lane)
{
    /* When the process stops, those waiting are given back, not begun; while the application is
     * unhealthy they stay where they are. */
    const struct gw_subscriptions *all = &subscription->gateway->subscriptions;
    bool may_begin = !all->are_stopped && !all->are_paused;
    struct fl_list *first = may_begin ? fl_list_first(&lane->waiting) : NULL;
    lane->is_busy = first != NULL;
    if (first) {
        fl_list_remove(first);
        gw_delivery_begin(FL_LIST_ENTRY(first, struct gw_delivery, lane_link));
    } else if (lane->is_revoked) {
        release_lane(subscription, lane);
    } else if (lane->id > 1 && fl_list_is_empty(&lane->waiting)) {
        /* Lane 1 is that of a wholly ordered feed and comes again; keys are many. */
        drop_lane(lane);
    }
}

static bool has_deliveries(const struct gw_subscription *subscription, uint64_t lane_id)
{
    FL_LIST_EACH(at, &subscription->deliveries)
    {
        if (FL_LIST_ENTRY(at, struct gw_delivery, link)->lane_id == lane_id)
            return true;
    }
    return false;
}

/* Deliveries of bulk calls do not stand in their lanes; the last one of a revoked lane lets it go.
 */
static void end_revoked(struct gw_subscription *subscription, uint64_t id)
{
    if (fl_list_is_empty(&subscription->lanes) || has_deliveries(subscription, id))
        return;
    struct gw_lane *lane = find_lane(subscription, id);
    if (lane->is_revoked)
        release_lane(subscription, lane);
    else
        drop_lane(lane);
}

/* --- in --- */

static void start(struct gw_delivery *delivery)
{
    struct gw_subscription *subscription = delivery->subscription;
    if (subscription->gateway->subscriptions.are_paused) {
        gw_delivery_set_state(delivery, GW_DELIVERY_HELD);
    } else if (subscription->bulk) {
        gw_delivery_set_state(delivery, GW_DELIVERY_IN_BULK);
        gw_bulk_add(subscription->bulk, delivery);
    } else if (delivery->lane_id == 0) {
        gw_delivery_begin(delivery);
    } else {
        struct gw_lane *lane = find_lane(subscription, delivery->lane_id);
        delivery->lane = lane;
        if (lane->is_busy) {
            gw_delivery_set_state(delivery, GW_DELIVERY_IN_LANE);
            fl_list_add_last(&lane->waiting, &delivery->lane_link);
        } else {
            lane->is_busy = true;
            gw_delivery_begin(delivery);
        }
    }
}

void gw_intake_deliver(struct connector *connector, struct connector_subscription *feed,
                       const struct connector_delivery *items, size_t count)
{
    struct gw_subscription *subscription = feed->context;
    int64_t now = net_loop_now_ms(subscription->gateway->loop);
    (void)connector;
    for (size_t i = 0; i < count; i++) {
        struct gw_delivery *delivery = new_delivery(subscription);
        delivery->event = items[i].event;
        delivery->token = items[i].token;
        delivery->lane_id = items[i].lane;
        delivery->attempt = items[i].attempt ? items[i].attempt : 1;
        delivery->came_ms = now;
        delivery->generation = subscription->component->generation;
        if (subscription->gateway->subscriptions.are_stopped)
            gw_intake_settle(delivery, CONNECTOR_RELEASED, 0);
        else
            start(delivery);
    }
}

void gw_intake_settle(struct gw_delivery *delivery, enum connector_outcome outcome,
                      int64_t delay_ms)
{
    struct gw_subscription *subscription = delivery->subscription;
    struct gw_lane *lane = delivery->lane;
    uint64_t lane_id = delivery->lane_id;
    bool was_waiting = delivery->state == GW_DELIVERY_IN_LANE;
    struct connector_settlement settlement = {&subscription->feed, delivery->token, outcome,
                                              delay_ms};
    bool is_stale = gw_delivery_is_stale(delivery);
    if (!is_stale)
        gw_component_settle(subscription->component, &settlement);
    gw_delivery_set_state(delivery, GW_DELIVERY_SETTLED);
    free_delivery(delivery);
    if (is_stale) {
        subscription->stale_count--;
        gw_subscription_apply_window(subscription);
    }
    if (lane && !was_waiting)
        advance_lane(subscription, lane);
    else if (!lane && lane_id)
        end_revoked(subscription, lane_id);
    if (subscription->gateway->shutdown.phase != GW_RUNNING)
        gw_shutdown_check(subscription->gateway);
}

/* --- out, without a settlement --- */

/* Takes it from where it waits; false when somebody works on it. */
static bool take_waiting(struct gw_delivery *delivery)
{
    switch (delivery->state) {
    case GW_DELIVERY_HELD:
    case GW_DELIVERY_IN_LANE:
    case GW_DELIVERY_RETRY_WAIT:
        break;
    case GW_DELIVERY_IN_BULK:
        if (!gw_bulk_remove(delivery->subscription->bulk, delivery))
            return false;
        break;
    case GW_DELIVERY_CALLING:
        if (!gw_app_call_is_waiting(&delivery->call))
            return false;
        break;
    case GW_DELIVERY_DEAD_LETTER:
    case GW_DELIVERY_SETTLED:
        return false;
    }
    gw_delivery_cancel(delivery);
    fl_list_remove(&delivery->lane_link);
    return true;
}

/* Nobody works on it any more, and the broker knows. */
static void forget(struct gw_delivery *delivery)
{
    if (delivery->lane && delivery->state != GW_DELIVERY_IN_LANE)
        delivery->lane->is_busy = false;
    gw_delivery_set_state(delivery, GW_DELIVERY_SETTLED);
    free_delivery(delivery);
}

void gw_intake_revoked(struct connector *connector, struct connector_subscription *feed,
                       uint64_t id, int64_t until_at_ms)
{
    struct gw_subscription *subscription = feed->context;
    (void)connector;
    (void)until_at_ms; /* what is in flight settles; after the deadline the broker ignores it */
    FL_LIST_EACH_SAFE(at, &subscription->deliveries)
    {
        struct gw_delivery *delivery = FL_LIST_ENTRY(at, struct gw_delivery, link);
        if (delivery->lane_id == id && take_waiting(delivery))
            forget(delivery);
    }
    struct gw_lane *lane = find_lane(subscription, id);
    lane->is_revoked = true;
    if (!has_deliveries(subscription, id))
        release_lane(subscription, lane);
}

static void end_generation(struct gw_subscription *subscription)
{
    FL_LIST_EACH_SAFE(at, &subscription->deliveries)
    {
        struct gw_delivery *delivery = FL_LIST_ENTRY(at, struct gw_delivery, link);
        bool is_dead_letter = delivery->state == GW_DELIVERY_DEAD_LETTER;
        if (take_waiting(delivery) ||
            (is_dead_letter && gw_publish_withdraw(&delivery->dead_letter)))
            forget(delivery);
    }
    subscription->stale_count = (uint32_t)subscription->unsettled_count;
    gw_subscription_apply_window(subscription);
    /* Lanes are handed out anew. */
    FL_LIST_EACH_SAFE(at, &subscription->lanes)
    {
        struct gw_lane *lane = FL_LIST_ENTRY(at, struct gw_lane, link);
        lane->is_revoked = false;
        if (!lane->is_busy)
            drop_lane(lane);
    }
}

void gw_intake_end_generation(struct gw_component *component)
{
    struct gw_subscriptions *all = &component->gateway->subscriptions;
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].component == component)
            end_generation(&all->items[i]);
    }
    if (component->gateway->shutdown.phase != GW_RUNNING)
        gw_shutdown_check(component->gateway);
}

/* It is the first of its lane still. */
static void hold(struct gw_delivery *delivery)
{
    struct gw_lane *lane = delivery->lane;
    gw_delivery_cancel(delivery);
    gw_delivery_set_state(delivery, lane ? GW_DELIVERY_IN_LANE : GW_DELIVERY_HELD);
    if (!lane)
        return;
    lane->is_busy = false;
    fl_list_add_first(&lane->waiting, &delivery->lane_link);
}

void gw_intake_pause(struct gw_subscription *subscription)
{
    if (subscription->bulk) {
        gw_bulk_pause(subscription->bulk);
        return;
    }
    FL_LIST_EACH(at, &subscription->deliveries)
    {
        struct gw_delivery *delivery = FL_LIST_ENTRY(at, struct gw_delivery, link);
        if (delivery->state == GW_DELIVERY_CALLING && gw_app_call_is_waiting(&delivery->call))
            hold(delivery);
    }
}

/* Lanes that stopped half-way go on first: what was held came later than what stands in them. */
void gw_intake_resume(struct gw_subscription *subscription)
{
    FL_LIST_EACH_SAFE(at, &subscription->lanes)
    {
        struct gw_lane *lane = FL_LIST_ENTRY(at, struct gw_lane, link);
        if (!lane->is_busy && !fl_list_is_empty(&lane->waiting))
            advance_lane(subscription, lane);
    }
    FL_LIST_EACH_SAFE(at, &subscription->deliveries)
    {
        struct gw_delivery *delivery = FL_LIST_ENTRY(at, struct gw_delivery, link);
        if (delivery->state == GW_DELIVERY_HELD)
            start(delivery);
    }
}

void gw_intake_release_waiting(struct gw_subscription *subscription)
{
    if (subscription->bulk)
        gw_bulk_pause(subscription->bulk);
    /* Lanes do not advance any more, so settling one touches no other. */
    FL_LIST_EACH_SAFE(at, &subscription->deliveries)
    {
        struct gw_delivery *delivery = FL_LIST_ENTRY(at, struct gw_delivery, link);
        bool was_tried = delivery->failures > 0;
        if (take_waiting(delivery))
            gw_intake_settle(delivery, was_tried ? CONNECTOR_MODIFIED : CONNECTOR_RELEASED, 0);
    }
}

void gw_intake_drop_all(struct gw_subscription *subscription)
{
    for (struct fl_list *first; (first = fl_list_first(&subscription->deliveries));) {
        struct gw_delivery *delivery = FL_LIST_ENTRY(first, struct gw_delivery, link);
        gw_delivery_cancel(delivery);
        if (delivery->state == GW_DELIVERY_DEAD_LETTER)
            gw_publish_withdraw(&delivery->dead_letter);
        free_delivery(delivery);
    }
    for (struct fl_list *first; (first = fl_list_first(&subscription->lanes));)
        drop_lane(FL_LIST_ENTRY(first, struct gw_lane, link));
}

/* --- leases --- */

static void extend_one(struct gw_subscription *subscription)
{
    struct connector *connector = subscription->component->connector;
    struct connector_token tokens[EXTEND_BATCH];
    size_t count = 0;
    FL_LIST_EACH(at, &subscription->deliveries)
    {
        const struct gw_delivery *delivery = FL_LIST_ENTRY(at, struct gw_delivery, link);
        if (gw_delivery_is_stale(delivery))
            continue;
        tokens[count++] = delivery->token;
        if (count == EXTEND_BATCH) {
            connector->type->extend(connector, &subscription->feed, tokens, count);
            count = 0;
        }
    }
    if (count)
        connector->type->extend(connector, &subscription->feed, tokens, count);
}

void gw_intake_extend(struct gw_component *component)
{
    struct gw_subscriptions *all = &component->gateway->subscriptions;
    if (!component->connector->type->extend || !component->is_up)
        return;
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].component == component)
            extend_one(&all->items[i]);
    }
}
