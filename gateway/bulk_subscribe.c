/* Rounds of bulk deliveries; see the header.
 *
 * A *round* takes what was gathered, asks delivery.c for the way of each, and makes one batch
 * (bulk_batch.h) for each way. With lanes, a round begins when the batches of the one before have
 * ended, for the sake of order.
 */
#include "gateway/bulk_subscribe.h"

#include "base/alloc.h"
#include "gateway/bulk_batch.h"
#include "gateway/component.h"
#include "gateway/delivery.h"
#include "gateway/gateway.h"

/* Until the next look when the application is unhealthy. */
enum { PAUSE_MS = 1000 };

struct gw_bulk {
    struct gw_subscription *subscription;
    struct fl_list gathered; /* of gw_delivery, by lane_link */
    size_t gathered_count;
    struct gw_bulk_batches batches;
    struct gw_bulk_batch **by_way; /* of the round that is being made */
    struct net_timer timer;
    bool has_lanes;
    bool is_due; /* a round is owed when the batches under way have ended */
};

static struct gateway *gateway_of(const struct gw_bulk *bulk)
{
    return bulk->subscription->gateway;
}

static int64_t now_ms(const struct gw_bulk *bulk)
{
    return net_loop_now_ms(gateway_of(bulk)->loop);
}

static void start_timer(struct gw_bulk *bulk, int64_t wait_ms)
{
    net_timer_start(gateway_of(bulk)->loop, &bulk->timer, now_ms(bulk) + wait_ms);
}

uint32_t gw_bulk_most_messages(const struct gw_bulk *bulk)
{
    int32_t wanted = bulk->subscription->config->bulk.max_messages;
    return wanted < GW_BULK_MOST_MESSAGES ? (uint32_t)wanted : GW_BULK_MOST_MESSAGES;
}

/* A lane one of whose deliveries waits for its next try stays as it is, for the sake of order. */
static bool is_lane_waiting(const struct gw_subscription *subscription, uint64_t lane_id)
{
    if (lane_id == 0 || subscription->retry_waiting_count == 0)
        return false;
    FL_LIST_EACH(at, &subscription->deliveries)
    {
        const struct gw_delivery *other = FL_LIST_ENTRY(at, struct gw_delivery, link);
        if (other->state == GW_DELIVERY_RETRY_WAIT && other->lane_id == lane_id)
            return true;
    }
    return false;
}

static size_t take_gathered(struct gw_bulk *bulk, struct fl_list *taken)
{
    size_t count = 0, most = gw_bulk_most_messages(bulk);
    fl_list_init(taken);
    FL_LIST_EACH_SAFE(at, &bulk->gathered)
    {
        struct gw_delivery *delivery = FL_LIST_ENTRY(at, struct gw_delivery, lane_link);
        if (count == most)
            break;
        if (is_lane_waiting(bulk->subscription, delivery->lane_id))
            continue;
        fl_list_remove(at);
        fl_list_add_last(taken, at);
        bulk->gathered_count--;
        count++;
    }
    return count;
}

/* Puts it into the batch of its way, or ends it. */
static void place(struct gw_bulk *bulk, struct gw_delivery *delivery, size_t most)
{
    if (!gw_delivery_find_way(delivery))
        return;
    struct gw_bulk_batch **batch = &bulk->by_way[delivery->way];
    if (!*batch)
        *batch = gw_bulk_batch_new(&bulk->batches, delivery->way, most);
    gw_bulk_batch_add(*batch, delivery);
}

static void send_round(struct gw_bulk *bulk)
{
    for (size_t i = 0; i < bulk->subscription->way_count; i++) {
        struct gw_bulk_batch *batch = bulk->by_way[i];
        bulk->by_way[i] = NULL;
        if (batch)
            gw_bulk_batch_send(batch);
    }
}

static void begin_round(struct gw_bulk *bulk)
{
    struct fl_list taken;
    bulk->is_due = false;
    net_timer_stop(gateway_of(bulk)->loop, &bulk->timer);
    if (bulk->gathered_count == 0)
        return;
    if (gateway_of(bulk)->subscriptions.are_paused) {
        start_timer(bulk, PAUSE_MS);
        return;
    }
    if (bulk->has_lanes && !fl_list_is_empty(&bulk->batches.list)) {
        bulk->is_due = true;
        return;
    }
    size_t count = take_gathered(bulk, &taken);
    for (struct fl_list *first; (first = fl_list_first(&taken));) {
        fl_list_remove(first);
        place(bulk, FL_LIST_ENTRY(first, struct gw_delivery, lane_link), count);
    }
    send_round(bulk);
    if (bulk->gathered_count)
        start_timer(bulk, bulk->subscription->config->bulk.max_await_ms);
}

static void on_await_over(struct net_timer *timer)
{
    begin_round(FL_CONTAINER(timer, struct gw_bulk, timer));
}

static void on_batch_ended(struct gw_bulk_batches *batches)
{
    struct gw_bulk *bulk = FL_CONTAINER(batches, struct gw_bulk, batches);
    if (bulk->is_due && fl_list_is_empty(&batches->list))
        begin_round(bulk);
}

static void consider_round(struct gw_bulk *bulk)
{
    if (bulk->is_due)
        return;
    if (bulk->gathered_count >= gw_bulk_most_messages(bulk))
        begin_round(bulk);
    else if (!net_timer_is_running(&bulk->timer))
        start_timer(bulk, bulk->subscription->config->bulk.max_await_ms);
}

/* The house's back-off is over; the oldest go first. */
static void on_backed_off(struct net_timer *timer)
{
    struct gw_delivery *delivery = FL_CONTAINER(timer, struct gw_delivery, timer);
    struct gw_bulk *bulk = delivery->subscription->bulk;
    gw_delivery_set_state(delivery, GW_DELIVERY_IN_BULK);
    fl_list_add_first(&bulk->gathered, &delivery->lane_link);
    bulk->gathered_count++;
    consider_round(bulk);
}

/* --- in and out --- */

void gw_bulk_add(struct gw_bulk *bulk, struct gw_delivery *delivery)
{
    delivery->timer.expired = on_backed_off;
    bulk->has_lanes |= delivery->lane_id != 0;
    fl_list_add_last(&bulk->gathered, &delivery->lane_link);
    bulk->gathered_count++;
    consider_round(bulk);
}

void gw_bulk_pause(struct gw_bulk *bulk)
{
    gw_bulk_batches_pause(&bulk->batches);
}

/* A round that waited for the batch that has just gone begins in the next turn: the caller is about
 * to free the delivery. */
static void owe_round(struct gw_bulk *bulk)
{
    if (!bulk->is_due || !fl_list_is_empty(&bulk->batches.list))
        return;
    bulk->is_due = false;
    start_timer(bulk, 0);
}

bool gw_bulk_remove(struct gw_bulk *bulk, struct gw_delivery *delivery)
{
    if (delivery->state != GW_DELIVERY_IN_BULK)
        return false;
    if (!fl_list_is_empty(&delivery->lane_link)) {
        fl_list_remove(&delivery->lane_link);
        bulk->gathered_count--;
        return true;
    }
    if (!gw_bulk_batches_remove(&bulk->batches, delivery))
        return false;
    owe_round(bulk);
    return true;
}

struct gw_bulk *gw_bulk_new(struct gw_subscription *subscription)
{
    struct gw_bulk *bulk = fl_zalloc(sizeof *bulk);
    bulk->subscription = subscription;
    bulk->by_way = fl_zalloc(sizeof *bulk->by_way * (subscription->way_count + 1));
    bulk->timer.expired = on_await_over;
    fl_list_init(&bulk->gathered);
    bulk->batches =
        (struct gw_bulk_batches){.subscription = subscription, .on_ended = on_batch_ended};
    fl_list_init(&bulk->batches.list);
    return bulk;
}

void gw_bulk_free(struct gw_bulk **pointer)
{
    struct gw_bulk *bulk = *pointer;
    *pointer = NULL;
    if (!bulk)
        return;
    gw_bulk_batches_free(&bulk->batches);
    net_timer_stop(gateway_of(bulk)->loop, &bulk->timer);
    fl_free(bulk->by_way);
    fl_free(bulk);
}
