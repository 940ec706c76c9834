/* The input binding: options, opening and closing, and one timer for each reader.
 *
 * A reader is a subscription with its ticker. Its timer wakes it when a tick is due, or at least
 * every minute where it goes by the wall clock, so that a clock that was set is noticed. A tick
 * that finds no room in the window is counted and forgotten: there is nothing it could wait in, and
 * the next one says the same. Nothing is kept of what was delivered but its number, so settling,
 * with whatever outcome, makes room and no more.
 *
 * One deferred task makes the calls back into the gateway that must not be made inside its own.
 */
#include "connectors/cron/cron.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "config/quantity.h"
#include "connectors/cron/tick.h"
#include "connectors/cron/ticker.h"
#include "connectors/cron/zone.h"
#include "net/loop.h"

#define SCOPE "dapr.contrib"

struct settings {
    struct fl_slice schedule;
};

struct cron {
    struct connector connector; /* first: the gateway's head of the instance */
    struct cn_cron_zone *local; /* of the process */
    struct fl_slice time_zone;  /* its name, as events tell it */
    struct cn_cron_schedule schedule;
    struct fl_list readers;
    struct net_task task; /* all calls back into the gateway but ticks */
    struct net_timer close_timer;
    int64_t close_at_ms;
    bool is_up, is_closing;
    uint64_t ticks, skipped;
};

struct reader {
    struct fl_list link;
    struct cron *cron;
    struct connector_subscription *subscription; /* the gateway's */
    struct cn_cron_ticker ticker;
    struct net_timer timer;
    bool is_announced; /* `subscribed` was called */
    bool is_leaving;   /* nothing is delivered any more */
    bool is_silent;    /* it leaves because the connector closes; nobody asked */
    uint32_t window_messages, in_flight;
    size_t window_bytes;
    uint64_t last_number;
};

static struct cron *cron_of(struct connector *connector)
{
    return (struct cron *)(void *)connector;
}

static void wake(struct cron *cron)
{
    net_loop_defer(cron->connector.host->loop, &cron->task);
}

/* --- ticks --- */

static struct cn_cron_clocks read_clocks(void)
{
    return (struct cn_cron_clocks){.mono_ns = fl_clock_ns(), .wall_ns = fl_clock_wall_ns()};
}

/* Rounded up, so that the timer is not early. */
static void start_timer(struct reader *reader)
{
    struct net_loop *loop = reader->cron->connector.host->loop;
    struct cn_cron_clocks now = read_clocks();
    int64_t wait_ns = cn_cron_ticker_wait_ns(&reader->ticker, now), at_ns;
    if (wait_ns == INT64_MAX || __builtin_add_overflow(now.mono_ns, wait_ns, &at_ns))
        net_timer_stop(loop, &reader->timer);
    else
        net_timer_start(loop, &reader->timer, at_ns / 1000000 + 1);
}

static bool has_room(const struct reader *reader)
{
    return reader->in_flight < reader->window_messages && reader->window_bytes > 0;
}

static void deliver(struct reader *reader, struct ce_event *event, int64_t wall_ms)
{
    struct connector *connector = &reader->cron->connector;
    const struct connector_delivery delivery = {
        .event = event,
        .attempt = 1,
        .stored_wall_ms = wall_ms,
        .token = {{++reader->last_number, 0}},
    };
    reader->in_flight++;
    reader->cron->ticks++;
    cn_cron_ticker_count(&reader->ticker);
    connector->host->callbacks->deliver(connector, reader->subscription, &delivery, 1);
}

static void tick(struct reader *reader, int64_t wall_ns)
{
    struct cron *cron = reader->cron;
    struct ce_event *event;
    if (!has_room(reader) ||
        cn_cron_tick_new(cron->time_zone, wall_ns, cron->connector.host->budget, &event) != FL_OK) {
        cron->skipped++;
        return;
    }
    deliver(reader, event, wall_ns / 1000000);
}

static void on_timer(struct net_timer *timer)
{
    struct reader *reader = FL_CONTAINER(timer, struct reader, timer);
    struct cn_cron_clocks now = read_clocks();
    if (cn_cron_ticker_is_due(&reader->ticker, now))
        tick(reader, now.wall_ns);
    if (!reader->is_leaving)
        start_timer(reader);
}

static void window(struct connector *connector, struct connector_subscription *subscription,
                   uint32_t messages, size_t bytes)
{
    struct reader *reader = subscription->state;
    (void)connector;
    if (!reader)
        return;
    reader->window_messages = messages;
    reader->window_bytes = bytes;
}

static void settle(struct connector *connector, const struct connector_settlement *items,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct reader *reader = items[i].subscription->state;
        if (!reader || reader->in_flight == 0)
            continue;
        if (--reader->in_flight == 0 && reader->is_leaving)
            wake(cron_of(connector));
    }
}

/* --- readers --- */

static void subscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct cron *cron = cron_of(connector);
    struct reader *reader = fl_zalloc(sizeof *reader);
    reader->cron = cron;
    reader->subscription = subscription;
    reader->timer.expired = on_timer;
    cn_cron_ticker_start(&reader->ticker, &cron->schedule, read_clocks());
    fl_list_add_last(&cron->readers, &reader->link);
    subscription->state = reader;
    start_timer(reader);
    wake(cron);
}

static void leave(struct reader *reader)
{
    reader->is_leaving = true;
    net_timer_stop(reader->cron->connector.host->loop, &reader->timer);
}

static void unsubscribe(struct connector *connector, struct connector_subscription *subscription)
{
    struct reader *reader = subscription->state;
    if (!reader)
        return;
    reader->is_silent = false;
    leave(reader);
    wake(cron_of(connector));
}

static void end_reader(struct reader *reader)
{
    struct connector *connector = &reader->cron->connector;
    struct connector_subscription *subscription = reader->subscription;
    bool is_silent = reader->is_silent;
    fl_list_remove(&reader->link);
    fl_free(reader);
    subscription->state = NULL;
    if (!is_silent)
        connector->host->callbacks->unsubscribed(connector, subscription);
}

/* What is due to one reader. The gateway may unsubscribe from inside `subscribed`. */
static void serve(struct reader *reader, bool is_late)
{
    struct connector *connector = &reader->cron->connector;
    if (!reader->is_announced && !reader->is_silent) {
        reader->is_announced = true;
        connector->host->callbacks->subscribed(connector, reader->subscription, NULL);
    }
    if (reader->is_leaving && (reader->in_flight == 0 || is_late))
        end_reader(reader);
}

/* --- the instance --- */

static void finish_closing(struct cron *cron)
{
    struct connector *connector = &cron->connector;
    net_timer_stop(connector->host->loop, &cron->close_timer);
    net_loop_cancel(connector->host->loop, &cron->task);
    cn_cron_schedule_fini(&cron->schedule);
    cn_cron_zone_free(&cron->local);
    connector->host->callbacks->closed(connector);
}

static void on_turn_end(struct net_task *task)
{
    struct cron *cron = FL_CONTAINER(task, struct cron, task);
    struct connector *connector = &cron->connector;
    bool is_late = cron->is_closing && net_loop_now_ms(connector->host->loop) >= cron->close_at_ms;
    if (!cron->is_up) {
        cron->is_up = true;
        connector->host->callbacks->state(connector, true, NULL);
    }
    FL_LIST_EACH_SAFE(at, &cron->readers)
    serve(FL_LIST_ENTRY(at, struct reader, link), is_late);
    if (cron->is_closing && fl_list_is_empty(&cron->readers))
        finish_closing(cron);
}

static void on_close_deadline(struct net_timer *timer)
{
    wake(FL_CONTAINER(timer, struct cron, close_timer));
}

static void close_cron(struct connector *connector, int64_t deadline_at_ms)
{
    struct cron *cron = cron_of(connector);
    if (cron->is_closing && deadline_at_ms >= cron->close_at_ms)
        return;
    cron->close_at_ms = deadline_at_ms;
    net_timer_start(connector->host->loop, &cron->close_timer, deadline_at_ms);
    FL_LIST_EACH(at, &cron->readers)
    {
        struct reader *reader = FL_LIST_ENTRY(at, struct reader, link);
        reader->is_silent = reader->is_silent || !reader->is_leaving;
        leave(reader);
    }
    cron->is_closing = true;
    wake(cron);
}

static void read_local_zone(struct cron *cron)
{
    const char *tz = getenv("TZ");
    struct fl_slice name = fl_slice_str(tz && tz[0] == ':' ? tz + 1 : tz);
    struct fl_error error;
    cron->time_zone = !tz ? FL_SLICE_LIT("Local") : name.len ? name : FL_SLICE_LIT("UTC");
    if (cn_cron_zone_local(tz, &cron->local, &error) == FL_OK)
        return;
    cron->time_zone = FL_SLICE_LIT("UTC");
    FL_WARN(cron->connector.host->log, SCOPE, "%s: the local time zone is unknown, UTC is used: %s",
            cron->connector.log_name, error.text);
}

/* What is accepted, but may not be what was meant. */
static void warn(const struct cron *cron)
{
    const struct cn_cron_schedule *schedule = &cron->schedule;
    const struct fl_slice text = ((const struct settings *)cron->connector.settings)->schedule;
    char shortest[CONFIG_DURATION_TEXT];
    int64_t at_s;
    if (schedule->is_lengthened)
        FL_WARN(cron->connector.host->log, SCOPE,
                "%s: schedule \"%.*s\" is shorter than the shortest interval, %s, which is used",
                cron->connector.log_name, FL_SLICE_ARG(text),
                config_format_duration(CN_CRON_SHORTEST_NS, shortest));
    if (!schedule->interval_ns &&
        cn_cron_schedule_next(schedule, fl_clock_wall_s(), &at_s) != FL_OK)
        FL_WARN(cron->connector.host->log, SCOPE,
                "%s: schedule \"%.*s\" has no time within %d years", cron->connector.log_name,
                FL_SLICE_ARG(text), CN_CRON_SEARCH_YEARS);
}

static enum fl_err parse(const struct settings *settings, const struct cn_cron_zone *local,
                         struct cn_cron_schedule *schedule, struct fl_error *error)
{
    enum { SHOWN = 100 };
    struct fl_slice text = settings->schedule;
    struct fl_error why;
    enum fl_err err = cn_cron_schedule_parse(text, local, schedule, &why);
    return err ? fl_error_set(error, err, FL_CLASS_FATAL, "schedule: found \"%.*s\"%s: %s",
                              (int)(text.len < SHOWN ? text.len : SHOWN), text.data,
                              text.len < SHOWN ? "" : "...", why.text)
               : FL_OK;
}

/* Zone files are read here: they are as much a part of what the schedule means as its text. */
static enum fl_err check(const void *settings, struct fl_error *error)
{
    struct cn_cron_schedule schedule;
    enum fl_err err = parse(settings, NULL, &schedule, error);
    if (err == FL_OK)
        cn_cron_schedule_fini(&schedule);
    return err;
}

static enum fl_err open_cron(struct connector *connector, struct fl_error *error)
{
    struct cron *cron = cron_of(connector);
    read_local_zone(cron);
    enum fl_err err = parse(connector->settings, cron->local, &cron->schedule, error);
    if (err) {
        cn_cron_zone_free(&cron->local);
        return err;
    }
    warn(cron);
    cron->task.run = on_turn_end;
    cron->close_timer.expired = on_close_deadline;
    fl_list_init(&cron->readers);
    wake(cron);
    return FL_OK;
}

static const struct connector_counter counters[] = {
    {.name = "ticks_total", .help = "Events of bindings.cron that were given to the application."},
    {.name = "skipped_total",
     .help = "Ticks of bindings.cron without an event, because too many were being worked on."},
    {.name = NULL},
};

static void read_counters(struct connector *connector, uint64_t *values)
{
    const struct cron *cron = cron_of(connector);
    values[0] = cron->ticks;
    values[1] = cron->skipped;
}

static const char *const component_types[] = {"bindings.cron", NULL};

static const struct config_option component_options[] = {
    {
        .name = "schedule",
        .type = CONFIG_STRING,
        .is_required = true,
        .help =
            "when events come: `[second] minute hour day month weekday`, `@every 15m`, "
            "`@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly`, `@yearly` (`@annually`), "
            "or an ISO 8601 interval such as `PT15M` or `R5/PT10S`; with `TZ=Europe/Berlin ` "
            "or `CRON_TZ=Europe/Berlin ` before it in that zone, else in the local one",
        .offset = offsetof(struct settings, schedule),
    },
    {.name = NULL},
};

const struct connector_type cn_cron_type = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "An input binding that sends an event at given times.",
    .traits = {.forgets = true, .order = CONNECTOR_ORDER_NONE},
    .state_size = sizeof(struct cron),
    .settings_size = sizeof(struct settings),
    .component_options = component_options,
    .check = check,
    .open = open_cron,
    .close = close_cron,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .window = window,
    .settle = settle,
    .counters = counters,
    .read_counters = read_counters,
};
