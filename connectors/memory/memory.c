/* The in-memory broker's entry: options, traits, open, close, and the one task that calls back.
 *
 * Closing is leaving for every subscriber: what waits is dropped, what is in flight may be settled
 * until the deadline, and `closed` follows when the last subscriber is gone. Since freeing a long
 * queue takes time, subscribers drop theirs in slices, one a round of the loop.
 */
#include "connectors/memory/memory.h"

#include "base/alloc.h"
#include "connectors/memory/memory_priv.h"

static void finish_closing(struct cn_memory *memory)
{
    struct connector *connector = &memory->connector;
    net_timer_stop(connector->host->loop, &memory->close_timer);
    net_loop_cancel(connector->host->loop, &memory->task);
    cn_memory_free_nodes(memory);
    fl_map_fini(&memory->topics);
    fl_map_fini(&memory->prefixes);
    FL_FREE(memory->lengths);
    FL_FREE(memory->answers.items);
    FL_FREE(memory->given.items);
    connector->host->callbacks->closed(connector);
}

static void part(struct cn_memory *memory)
{
    bool is_late =
        memory->is_closing && net_loop_now_ms(memory->connector.host->loop) >= memory->close_at_ms;
    cn_memory_part(memory, is_late);
    if (memory->is_closing && fl_list_is_empty(&memory->subscribers))
        finish_closing(memory);
}

static void on_turn_end(struct net_task *task)
{
    struct cn_memory *memory = FL_CONTAINER(task, struct cn_memory, task);
    struct connector *connector = &memory->connector;
    if (!memory->is_up) {
        memory->is_up = true;
        connector->host->callbacks->state(connector, true, NULL);
    }
    if (memory->owes_subscribed)
        cn_memory_announce(memory);
    cn_memory_give_answers(memory);
    cn_memory_deliver(memory);
    cn_memory_give_backlogs(memory);
    if (memory->owes_parting)
        part(memory);
}

static void on_close_deadline(struct net_timer *timer)
{
    struct cn_memory *memory = FL_CONTAINER(timer, struct cn_memory, close_timer);
    memory->owes_parting = true;
    cn_memory_wake(memory);
}

static enum fl_err open_memory(struct connector *connector, struct fl_error *error)
{
    (void)error;
    struct cn_memory *memory = cn_memory_of(connector);
    memory->task.run = on_turn_end;
    memory->close_timer.expired = on_close_deadline;
    memory->wall_read_at_ms = -1;
    fl_list_init(&memory->subscribers);
    fl_list_init(&memory->ready);
    fl_list_init(&memory->backlogs);
    fl_list_init(&memory->free_messages);
    cn_memory_wake(memory);
    return FL_OK;
}

static void close_memory(struct connector *connector, int64_t deadline_at_ms)
{
    struct cn_memory *memory = cn_memory_of(connector);
    if (memory->is_closing && deadline_at_ms >= memory->close_at_ms)
        return;
    memory->close_at_ms = deadline_at_ms;
    net_timer_start(connector->host->loop, &memory->close_timer, deadline_at_ms);
    if (!memory->is_closing) {
        memory->is_closing = true;
        FL_LIST_EACH(at, &memory->subscribers)
        {
            struct cn_memory_subscriber *subscriber =
                FL_LIST_ENTRY(at, struct cn_memory_subscriber, link);
            subscriber->is_silent = !subscriber->is_leaving;
            cn_memory_leave(subscriber);
        }
    }
    memory->owes_parting = true;
    cn_memory_wake(memory);
}

static void resolve_traits(const void *settings, struct connector_traits *traits)
{
    const struct cn_memory_settings *memory_settings = settings;
    if (memory_settings->concurrency == CN_MEMORY_PARALLEL)
        traits->order = CONNECTOR_ORDER_NONE;
}

static const char *const component_types[] = {"pubsub.in-memory", NULL};

static const struct config_option component_options[] = {
    {
        .name = "concurrencyMode",
        .type = CONFIG_ENUM,
        .values = "single|parallel",
        .default_text = "single",
        .help = "single: each subscription gets its messages in order, one at a time; parallel: as "
                "many at a time as its window allows, in no particular order.",
        .offset = offsetof(struct cn_memory_settings, concurrency),
    },
    {.name = NULL},
};

const struct connector_type cn_memory_type = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "A broker inside the process: every subscription of this process gets every "
               "message; nothing outlives the process.",
    .traits =
        {
            .delays = true,
            .headers = true,
            .wildcards = true,
            .order = CONNECTOR_ORDER_SUBSCRIPTION,
        },
    .state_size = sizeof(struct cn_memory),
    .settings_size = sizeof(struct cn_memory_settings),
    .component_options = component_options,
    .resolve_traits = resolve_traits,
    .open = open_memory,
    .close = close_memory,
    .publish = cn_memory_publish,
    .subscribe = cn_memory_subscribe,
    .unsubscribe = cn_memory_unsubscribe,
    .window = cn_memory_window,
    .settle = cn_memory_settle,
    .backlog = cn_memory_backlog,
};
