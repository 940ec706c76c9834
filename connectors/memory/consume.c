/* Consuming: a subscriber's queue, its window, and what becomes of deliveries.
 *
 * A message stands in exactly one place: `waiting` (a list in order), a slot (in flight) or
 * `delayed` (a heap by due time). Under `single` a subscriber has one message in flight or delayed
 * and nothing else moves until it is settled; that is what keeps the order over retries. Under
 * `parallel` the window alone decides. What comes back goes to the head of `waiting`.
 *
 * The token of a delivery is the place of its slot and a number that no other delivery has, so one
 * that is stale, or made up, meets a slot with another number and is ignored.
 */
#include "base/alloc.h"
#include "base/budget.h"
#include "connectors/memory/memory_priv.h"

enum {
    BATCH = 64,                /* deliveries of one call */
    SLICE = 1024,              /* messages dropped in one round of the loop */
    MOST_FREE_MESSAGES = 1024, /* nodes kept for later */
};

struct pending_backlog {
    struct fl_list link;
    struct connector_backlog backlog;
    void *token;
};

static struct cn_memory_subscriber *subscriber_of(struct connector_subscription *subscription)
{
    return subscription->state;
}

/* --- messages --- */

static struct cn_memory_message *new_message(struct cn_memory *memory)
{
    struct fl_list *first = fl_list_first(&memory->free_messages);
    if (!first)
        return fl_alloc(sizeof(struct cn_memory_message));
    fl_list_remove(first);
    memory->free_count--;
    return FL_LIST_ENTRY(first, struct cn_memory_message, link);
}

/* The message stands nowhere any more. Giving up the event may publish; see the private header. */
static void drop_message(struct cn_memory *memory, struct cn_memory_message *message)
{
    struct ce_event *event = message->event;
    struct cn_memory_name *name = message->name;
    if (memory->free_count < MOST_FREE_MESSAGES) {
        fl_list_add_first(&memory->free_messages, &message->link);
        memory->free_count++;
    } else {
        fl_free(message);
    }
    fl_budget_release(memory->connector.host->budget, sizeof *message);
    if (name)
        cn_memory_name_release(memory, &name);
    ce_event_release(&event);
}

void cn_memory_free_nodes(struct cn_memory *memory)
{
    for (struct fl_list *first; (first = fl_list_first(&memory->free_messages));) {
        fl_list_remove(first);
        fl_free(FL_LIST_ENTRY(first, struct cn_memory_message, link));
    }
    memory->free_count = 0;
}

/* --- the window --- */

static bool can_deliver(const struct cn_memory_subscriber *subscriber)
{
    if (subscriber->is_leaving || fl_list_is_empty(&subscriber->waiting) ||
        subscriber->in_flight >= subscriber->window_messages ||
        subscriber->in_flight_bytes >= subscriber->window_bytes)
        return false;
    return !cn_memory_is_single(subscriber->memory) ||
           (subscriber->in_flight == 0 && subscriber->delayed.count == 0);
}

/* To be called after every change that may let a message go. */
static void consider(struct cn_memory_subscriber *subscriber)
{
    if (!fl_list_is_empty(&subscriber->ready) || !can_deliver(subscriber))
        return;
    fl_list_add_last(&subscriber->memory->ready, &subscriber->ready);
    cn_memory_wake(subscriber->memory);
}

static void put_first(struct cn_memory_subscriber *subscriber, struct cn_memory_message *message)
{
    fl_list_add_first(&subscriber->waiting, &message->link);
    subscriber->waiting_count++;
}

void cn_memory_enqueue(struct cn_memory_subscriber *subscriber, struct ce_event *event,
                       struct cn_memory_name *name, int64_t stored_wall_ms)
{
    struct cn_memory *memory = subscriber->memory;
    struct cn_memory_message *message = new_message(memory);
    *message = (struct cn_memory_message){
        .event = ce_event_hold(event),
        .name = name,
        .stored_wall_ms = stored_wall_ms,
        .attempt = 1,
    };
    if (name)
        name->references++;
    fl_list_add_last(&subscriber->waiting, &message->link);
    subscriber->waiting_count++;
    fl_budget_charge(memory->connector.host->budget, sizeof *message);
    consider(subscriber);
}

/* --- delivering --- */

static uint32_t take_slot(struct cn_memory_subscriber *subscriber)
{
    if (subscriber->first_free) {
        uint32_t place = subscriber->first_free - 1;
        subscriber->first_free = subscriber->slots[place].next_free;
        return place;
    }
    if (subscriber->slot_count == subscriber->slot_room) {
        subscriber->slot_room = subscriber->slot_room ? subscriber->slot_room * 2 : 8;
        subscriber->slots =
            fl_realloc(subscriber->slots, sizeof *subscriber->slots * subscriber->slot_room);
    }
    return subscriber->slot_count++;
}

static struct connector_delivery next_delivery(struct cn_memory_subscriber *subscriber)
{
    struct cn_memory *memory = subscriber->memory;
    struct cn_memory_message *message =
        FL_LIST_ENTRY(subscriber->waiting.next, struct cn_memory_message, link);
    fl_list_remove(&message->link);
    subscriber->waiting_count--;
    uint32_t place = take_slot(subscriber);
    subscriber->slots[place].message = message;
    subscriber->in_flight++;
    subscriber->in_flight_bytes += message->event->body.len;
    message->number = ++memory->last_number;
    return (struct connector_delivery){
        .event = ce_event_hold(message->event),
        .topic = message->name ? fl_slice_of(message->name->text, message->name->len)
                               : subscriber->subscription->topic,
        .lane = cn_memory_is_single(memory) ? 1 : 0,
        .attempt = message->attempt,
        .stored_wall_ms = message->stored_wall_ms,
        .token = {{place, message->number}},
    };
}

/* One batch for each that is ready, so that none keeps the others waiting; the next round of the
 * loop goes on. */
void cn_memory_deliver(struct cn_memory *memory)
{
    struct connector *connector = &memory->connector;
    struct connector_delivery batch[BATCH];
    struct fl_list now;
    fl_list_init(&now);
    fl_list_move_all(&now, &memory->ready);
    for (struct fl_list *first; (first = fl_list_first(&now));) {
        struct cn_memory_subscriber *subscriber =
            FL_LIST_ENTRY(first, struct cn_memory_subscriber, ready);
        fl_list_remove(first);
        size_t count = 0;
        while (count < BATCH && can_deliver(subscriber))
            batch[count++] = next_delivery(subscriber);
        if (count)
            connector->host->callbacks->deliver(connector, subscriber->subscription, batch, count);
        consider(subscriber);
    }
}

/* --- settling --- */

/* Empties the slot that the token names; NULL when it names no delivery of now. */
static struct cn_memory_message *take_delivery(struct cn_memory_subscriber *subscriber,
                                               struct connector_token token)
{
    if (token.word[0] >= subscriber->slot_count)
        return NULL;
    struct cn_memory_slot *slot = &subscriber->slots[token.word[0]];
    struct cn_memory_message *message = slot->message;
    if (!message || message->number != token.word[1])
        return NULL;
    slot->message = NULL;
    slot->next_free = subscriber->first_free;
    subscriber->first_free = (uint32_t)token.word[0] + 1;
    subscriber->in_flight--;
    subscriber->in_flight_bytes -= message->event->body.len;
    return message;
}

static struct cn_memory_message *first_delayed(const struct cn_memory_subscriber *subscriber)
{
    struct fl_heap_entry *first = fl_heap_first(&subscriber->delayed);
    return first ? FL_CONTAINER(first, struct cn_memory_message, due) : NULL;
}

static void start_timer(struct cn_memory_subscriber *subscriber)
{
    struct net_loop *loop = subscriber->memory->connector.host->loop;
    struct cn_memory_message *first = first_delayed(subscriber);
    if (first)
        net_timer_start(loop, &subscriber->timer, first->due.due);
    else
        net_timer_stop(loop, &subscriber->timer);
}

/* Those that are due go before what waits, in order of their due times. */
static void on_due(struct net_timer *timer)
{
    struct cn_memory_subscriber *subscriber =
        FL_CONTAINER(timer, struct cn_memory_subscriber, timer);
    int64_t now_ms = net_loop_now_ms(subscriber->memory->connector.host->loop);
    struct fl_list due;
    fl_list_init(&due);
    for (struct cn_memory_message *message;
         (message = first_delayed(subscriber)) && message->due.due <= now_ms;) {
        fl_heap_remove(&subscriber->delayed, &message->due);
        fl_list_add_last(&due, &message->link);
        subscriber->waiting_count++;
    }
    fl_list_move_all(&due, &subscriber->waiting);
    fl_list_move_all(&subscriber->waiting, &due);
    start_timer(subscriber);
    consider(subscriber);
}

static void delay(struct cn_memory_subscriber *subscriber, struct cn_memory_message *message,
                  int64_t delay_ms)
{
    message->due.due = net_loop_now_ms(subscriber->memory->connector.host->loop) + delay_ms;
    fl_heap_add(&subscriber->delayed, &message->due);
    start_timer(subscriber);
}

static void give_back(struct cn_memory_subscriber *subscriber, struct cn_memory_message *message,
                      const struct connector_settlement *item)
{
    message->attempt += item->outcome == CONNECTOR_MODIFIED;
    if (item->outcome == CONNECTOR_MODIFIED && item->delay_ms > 0)
        delay(subscriber, message, item->delay_ms);
    else
        put_first(subscriber, message);
}

static void owe_parting(struct cn_memory *memory)
{
    memory->owes_parting = true;
    cn_memory_wake(memory);
}

static void settle_one(const struct connector_settlement *item)
{
    struct cn_memory_subscriber *subscriber = subscriber_of(item->subscription);
    struct cn_memory_message *message = subscriber ? take_delivery(subscriber, item->token) : NULL;
    if (!message)
        return;
    bool is_kept = !subscriber->is_leaving &&
                   (item->outcome == CONNECTOR_RELEASED || item->outcome == CONNECTOR_MODIFIED);
    if (is_kept)
        give_back(subscriber, message, item);
    consider(subscriber);
    if (subscriber->is_leaving && subscriber->in_flight == 0)
        owe_parting(subscriber->memory);
    if (!is_kept)
        drop_message(subscriber->memory, message);
}

void cn_memory_settle(struct connector *connector, const struct connector_settlement *items,
                      size_t count)
{
    (void)connector;
    for (size_t i = 0; i < count; i++)
        settle_one(&items[i]);
}

void cn_memory_window(struct connector *connector, struct connector_subscription *subscription,
                      uint32_t messages, size_t bytes)
{
    (void)connector;
    struct cn_memory_subscriber *subscriber = subscriber_of(subscription);
    if (!subscriber)
        return;
    subscriber->window_messages = messages;
    subscriber->window_bytes = bytes;
    consider(subscriber);
}

/* --- coming and going --- */

void cn_memory_subscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct cn_memory *memory = cn_memory_of(connector);
    struct cn_memory_subscriber *subscriber = fl_zalloc(sizeof *subscriber);
    subscriber->memory = memory;
    subscriber->subscription = subscription;
    subscriber->timer.expired = on_due;
    fl_list_init(&subscriber->peer);
    fl_list_init(&subscriber->ready);
    fl_list_init(&subscriber->waiting);
    fl_list_add_last(&memory->subscribers, &subscriber->link);
    cn_memory_index_add(memory, subscriber);
    subscription->state = subscriber;
    memory->owes_subscribed = true;
    cn_memory_wake(memory);
}

void cn_memory_announce(struct cn_memory *memory)
{
    struct connector *connector = &memory->connector;
    memory->owes_subscribed = false;
    FL_LIST_EACH(at, &memory->subscribers)
    {
        struct cn_memory_subscriber *subscriber =
            FL_LIST_ENTRY(at, struct cn_memory_subscriber, link);
        if (subscriber->is_announced || subscriber->is_silent)
            continue;
        subscriber->is_announced = true;
        connector->host->callbacks->subscribed(connector, subscriber->subscription, NULL);
    }
}

void cn_memory_leave(struct cn_memory_subscriber *subscriber)
{
    if (subscriber->is_leaving)
        return;
    subscriber->is_leaving = true;
    fl_list_remove(&subscriber->ready);
    net_timer_stop(subscriber->memory->connector.host->loop, &subscriber->timer);
    cn_memory_index_remove(subscriber->memory, subscriber);
}

void cn_memory_unsubscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct cn_memory_subscriber *subscriber = subscriber_of(subscription);
    if (!subscriber)
        return;
    subscriber->is_silent = false;
    cn_memory_leave(subscriber);
    owe_parting(cn_memory_of(connector));
}

/* True when nothing is left that waits or is delayed. */
static bool drop_slice(struct cn_memory_subscriber *subscriber, size_t most)
{
    struct cn_memory *memory = subscriber->memory;
    for (size_t i = 0; i < most; i++) {
        struct fl_list *first = fl_list_first(&subscriber->waiting);
        struct cn_memory_message *message =
            first ? FL_LIST_ENTRY(first, struct cn_memory_message, link)
                  : first_delayed(subscriber);
        if (!message)
            return true;
        if (first) {
            fl_list_remove(first);
            subscriber->waiting_count--;
        } else {
            fl_heap_remove(&subscriber->delayed, &message->due);
        }
        drop_message(memory, message);
    }
    return fl_list_is_empty(&subscriber->waiting) && subscriber->delayed.count == 0;
}

static void drop_in_flight(struct cn_memory_subscriber *subscriber)
{
    for (uint32_t place = 0; place < subscriber->slot_count; place++) {
        struct cn_memory_message *message = subscriber->slots[place].message;
        subscriber->slots[place].message = NULL;
        if (message)
            drop_message(subscriber->memory, message);
    }
}

static void end_subscriber(struct cn_memory_subscriber *subscriber)
{
    struct connector *connector = &subscriber->memory->connector;
    struct connector_subscription *subscription = subscriber->subscription;
    bool is_silent = subscriber->is_silent;
    drop_in_flight(subscriber);
    fl_list_remove(&subscriber->link);
    fl_heap_fini(&subscriber->delayed);
    fl_free(subscriber->slots);
    fl_free(subscriber);
    subscription->state = NULL;
    if (!is_silent)
        connector->host->callbacks->unsubscribed(connector, subscription);
}

void cn_memory_part(struct cn_memory *memory, bool is_forced)
{
    memory->owes_parting = false;
    FL_LIST_EACH_SAFE(at, &memory->subscribers)
    {
        struct cn_memory_subscriber *subscriber =
            FL_LIST_ENTRY(at, struct cn_memory_subscriber, link);
        if (!subscriber->is_leaving)
            continue;
        if (!drop_slice(subscriber, is_forced ? SIZE_MAX : SLICE))
            owe_parting(memory);
        else if (subscriber->in_flight == 0 || is_forced)
            end_subscriber(subscriber);
    }
}

/* --- backlog --- */

static int64_t older(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* What waits is in order of publishing save for what came back, which is at the head and about as
 * old as the rest of it. */
static int64_t oldest_of(const struct cn_memory_subscriber *subscriber)
{
    int64_t oldest = 0;
    struct fl_list *first = fl_list_first(&subscriber->waiting);
    if (first)
        oldest = FL_LIST_ENTRY(first, struct cn_memory_message, link)->stored_wall_ms;
    for (size_t i = 0; i < subscriber->delayed.count; i++) {
        struct fl_heap_entry *entry = subscriber->delayed.entries[i];
        oldest = older(oldest, FL_CONTAINER(entry, struct cn_memory_message, due)->stored_wall_ms);
    }
    for (uint32_t place = 0; place < subscriber->slot_count; place++) {
        const struct cn_memory_message *message = subscriber->slots[place].message;
        oldest = older(oldest, message ? message->stored_wall_ms : 0);
    }
    return oldest;
}

/* Counted now, told at the end of the turn. Who does not subscribe has no backlog, not one of 0. */
void cn_memory_backlog(struct connector *connector, struct fl_slice topic, struct fl_slice group,
                       void *token)
{
    struct cn_memory *memory = cn_memory_of(connector);
    struct pending_backlog *pending = fl_zalloc(sizeof *pending);
    struct connector_backlog *backlog = &pending->backlog;
    pending->token = token;
    *backlog = (struct connector_backlog){.as_of_wall_ms = cn_memory_wall_ms(memory)};
    FL_LIST_EACH(at, &memory->subscribers)
    {
        const struct cn_memory_subscriber *subscriber =
            FL_LIST_ENTRY(at, struct cn_memory_subscriber, link);
        if (subscriber->is_leaving || !fl_slice_eq(subscriber->subscription->topic, topic) ||
            (group.len && !fl_slice_eq(subscriber->subscription->group, group)))
            continue;
        backlog->is_known = backlog->is_exact = true;
        backlog->undelivered += subscriber->waiting_count + subscriber->delayed.count;
        backlog->in_flight += subscriber->in_flight;
        backlog->oldest_wall_ms = older(backlog->oldest_wall_ms, oldest_of(subscriber));
    }
    fl_list_add_last(&memory->backlogs, &pending->link);
    cn_memory_wake(memory);
}

void cn_memory_give_backlogs(struct cn_memory *memory)
{
    struct connector *connector = &memory->connector;
    for (struct fl_list *first; (first = fl_list_first(&memory->backlogs));) {
        struct pending_backlog *pending = FL_LIST_ENTRY(first, struct pending_backlog, link);
        fl_list_remove(first);
        connector->host->callbacks->backlog(connector, &pending->backlog, pending->token);
        fl_free(pending);
    }
}
