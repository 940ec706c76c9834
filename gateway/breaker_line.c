/* Breakers and their lines; see the header.
 *
 * Waiters are woken in a task at the end of the turn, never inside the verdict that made room: who
 * gives a verdict is in the middle of its own work. While the breaker is open one timer stands for
 * the whole line; while it is half open and full nothing runs at all, since the verdict that
 * changes that comes by `gw_breaker_serve_line`. */
#include "gateway/breaker_line.h"

#include "base/alloc.h"
#include "gateway/gateway.h"

#define SCOPE "dapr.runtime.resiliency"

struct component_breaker {
    struct gw_breaker breaker;
    struct gateway *gateway;
    struct fl_slice component; /* borrowed */
    struct fl_list line;       /* of gw_waiter, the longest wait first */
    struct net_task task;      /* serves the line */
    struct net_timer timer;    /* of the time open, while somebody waits */
};

static struct component_breaker *of(struct gw_breaker *breaker)
{
    return FL_CONTAINER(breaker, struct component_breaker, breaker);
}

/* --- the line --- */

/* One for each place there is. A waiter that does not want any more takes none, and one that is
 * refused stands in line again, so the walk is bounded by who stood there at its start. */
static void serve(struct component_breaker *own)
{
    struct net_loop *loop = own->gateway->loop;
    struct fl_list here;
    fl_list_init(&here);
    fl_list_move_all(&here, &own->line);
    for (struct fl_list *first; (first = fl_list_first(&here));) {
        if (gw_breaker_wait_ms(&own->breaker, net_loop_now_ms(loop)) > 0)
            break;
        fl_list_remove(first);
        struct gw_waiter *waiter = FL_LIST_ENTRY(first, struct gw_waiter, link);
        waiter->go(waiter);
    }
    fl_list_move_all(&here, &own->line);
    fl_list_move_all(&own->line, &here);
    net_timer_stop(loop, &own->timer);
    if (own->breaker.state == GW_BREAKER_OPEN && !fl_list_is_empty(&own->line))
        net_timer_start(loop, &own->timer, own->breaker.until_ms);
}

static void on_turn_end(struct net_task *task)
{
    serve(FL_CONTAINER(task, struct component_breaker, task));
}

static void on_time_over(struct net_timer *timer)
{
    serve(FL_CONTAINER(timer, struct component_breaker, timer));
}

void gw_breaker_serve_line(struct gw_breaker *breaker)
{
    struct component_breaker *own = of(breaker);
    if (!fl_list_is_empty(&own->line))
        net_loop_defer(own->gateway->loop, &own->task);
}

void gw_breaker_wait(struct gw_breaker *breaker, struct gw_waiter *waiter)
{
    struct component_breaker *own = of(breaker);
    fl_list_add_last(&own->line, &waiter->link);
    if (!net_timer_is_running(&own->timer))
        net_loop_defer(own->gateway->loop, &own->task);
}

void gw_breaker_leave(struct gw_waiter *waiter)
{
    if (waiter->link.next)
        fl_list_remove(&waiter->link);
}

/* --- the breakers --- */

static void on_changed(struct gw_breaker *breaker, enum gw_breaker_state before)
{
    struct component_breaker *own = of(breaker);
    FL_INFO(own->gateway->log, SCOPE, "Circuit breaker \"%.*s-%.*s\" changed state from %s to %s",
            FL_SLICE_ARG(breaker->config->name), FL_SLICE_ARG(own->component),
            gw_breaker_state_name(before), gw_breaker_state_name(breaker->state));
    gw_breaker_serve_line(breaker);
}

static struct component_breaker *new_breaker(struct gateway *gateway, struct fl_slice component,
                                             const struct config_breaker *config)
{
    struct component_breaker *own = fl_zalloc(sizeof *own);
    gw_breaker_init(&own->breaker, config, net_loop_now_ms(gateway->loop));
    own->breaker.changed = on_changed;
    own->gateway = gateway;
    own->component = component;
    own->task.run = on_turn_end;
    own->timer.expired = on_time_over;
    fl_list_init(&own->line);
    return own;
}

struct gw_breaker *gw_breakers_get(struct gateway *gateway, struct fl_slice component,
                                   const struct config_breaker *config)
{
    struct fl_map *all = &gateway->breakers.by_component;
    struct component_breaker *own = fl_map_find(all, component);
    if (!own) {
        own = new_breaker(gateway, component, config);
        fl_map_set(all, component, own);
    }
    return &own->breaker;
}

static void free_breaker(struct component_breaker *own)
{
    FL_ASSERT(fl_list_is_empty(&own->line));
    net_timer_stop(own->gateway->loop, &own->timer);
    net_loop_cancel(own->gateway->loop, &own->task);
    fl_free(own);
}

void gw_breakers_fini(struct gateway *gateway)
{
    uint32_t at = 0;
    struct fl_slice name;
    for (void *own; fl_map_next(&gateway->breakers.by_component, &at, &name, &own);)
        free_breaker(own);
    fl_map_fini(&gateway->breakers.by_component);
}

void gw_breakers_each(struct gateway *gateway, gw_breaker_visit_fn *visit, void *context)
{
    uint32_t at = 0;
    struct fl_slice name;
    for (void *own; fl_map_next(&gateway->breakers.by_component, &at, &name, &own);)
        visit(context, name, &((struct component_breaker *)own)->breaker);
}
