/* Shutdown; see the header. */
#include "gateway/shutdown.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "gateway/component.h"
#include "gateway/duration.h"
#include "gateway/gateway.h"
#include "net/http_server.h"

#define SCOPE "dapr.runtime"

enum { FORCE_DELAY_MS = 100, MOST_DRAIN_MS = 30000 };

static struct gateway *gateway_of(struct gw_shutdown *shutdown)
{
    return FL_CONTAINER(shutdown, struct gateway, shutdown);
}

static int64_t now_ms(const struct gateway *gateway)
{
    return net_loop_now_ms(gateway->loop);
}

static void stop_loop(struct gateway *gateway)
{
    struct gw_shutdown *shutdown = &gateway->shutdown;
    net_timer_stop(gateway->loop, &shutdown->grace_timer);
    net_timer_stop(gateway->loop, &shutdown->block_timer);
    shutdown->phase = GW_STOPPED;
    net_loop_stop(gateway->loop);
}

static void on_grace_over(struct net_timer *timer)
{
    struct gateway *gateway = gateway_of(FL_CONTAINER(timer, struct gw_shutdown, grace_timer));
    FL_WARN(gateway->log, SCOPE, "Graceful shutdown timeout exceeded, forcing shutdown");
    /* What did not end in time is not taken apart either: that could hang once more. */
    _exit(1);
}

static void start_closing(struct gateway *gateway)
{
    gateway->shutdown.phase = GW_CLOSING;
    gw_components_close(gateway, gateway->shutdown.deadline_at_ms);
    gw_shutdown_check(gateway);
}

/* The period is counted from the end of the deliveries that were under way. */
static void start_block_period(struct gateway *gateway)
{
    gateway->shutdown.drains_first = false;
    net_timer_start(gateway->loop, &gateway->shutdown.block_timer,
                    now_ms(gateway) + gateway->flags->block_shutdown_ms);
}

static size_t in_flight(const struct gateway *gateway)
{
    return gw_subscriptions_in_flight(gateway) + gw_inputs_in_flight(gateway);
}

void gw_shutdown_check(struct gateway *gateway)
{
    struct gw_shutdown *shutdown = &gateway->shutdown;
    if (shutdown->is_beginning)
        return;
    if (shutdown->phase == GW_BLOCKING && shutdown->drains_first && in_flight(gateway) == 0) {
        start_block_period(gateway);
        return;
    }
    if (shutdown->phase == GW_DRAINING && in_flight(gateway) == 0 && gw_api_is_quiet(gateway)) {
        start_closing(gateway);
        return;
    }
    if (shutdown->phase == GW_CLOSING && gw_components_are_closed(gateway)) {
        FL_INFO(gateway->log, SCOPE, "Dapr runtime stopped");
        if (gateway->exit_status == 0)
            FL_INFO(gateway->log, SCOPE, "Daprd shutdown gracefully");
        stop_loop(gateway);
    }
}

void gw_shutdown_begin(struct gateway *gateway)
{
    struct gw_shutdown *shutdown = &gateway->shutdown;
    if (shutdown->phase >= GW_DRAINING)
        return;
    int64_t grace_ms = gateway->flags->graceful_shutdown_ms;
    FL_INFO(gateway->log, SCOPE, "Dapr is shutting down");
    net_timer_stop(gateway->loop, &shutdown->block_timer);
    shutdown->phase = GW_DRAINING;
    gateway->is_ready = false;
    if (grace_ms < 0) {
        FL_INFO(gateway->log, SCOPE,
                "Graceful shutdown timeout is infinite, will wait indefinitely to shutdown");
        shutdown->deadline_at_ms = INT64_MAX;
    } else {
        shutdown->deadline_at_ms = now_ms(gateway) + grace_ms;
        net_timer_start(gateway->loop, &shutdown->grace_timer, shutdown->deadline_at_ms);
    }
    shutdown->is_beginning = true;
    gw_app_stop(&gateway->app);
    gw_subscriptions_stop(gateway);
    gw_inputs_stop(gateway);
    gw_publishing_stop(gateway);
    gw_api_stop(gateway);
    shutdown->is_beginning = false;
    gw_shutdown_check(gateway);
}

static void on_block_over(struct net_timer *timer)
{
    struct gateway *gateway = gateway_of(FL_CONTAINER(timer, struct gw_shutdown, block_timer));
    if (gateway->shutdown.drains_first) {
        start_block_period(gateway);
        return;
    }
    FL_INFO(gateway->log, SCOPE, "%s expired, entering shutdown...",
            gateway->use->blocks_for ? "The wait has" : "Block shutdown period");
    gw_shutdown_begin(gateway);
}

void gw_shutdown_on_health(struct gateway *gateway, bool is_healthy)
{
    if (gateway->shutdown.phase != GW_BLOCKING || is_healthy)
        return;
    FL_INFO(gateway->log, SCOPE, "App reported unhealthy, entering shutdown...");
    gw_shutdown_begin(gateway);
}

static bool app_is_unhealthy(const struct gateway *gateway)
{
    return gateway->flags->has_app_health_check && !gateway->app.is_healthy;
}

static void start_blocking(struct gateway *gateway)
{
    struct fl_buffer period = {0};
    gateway->shutdown.phase = GW_BLOCKING;
    gateway->is_ready = false;
    gw_duration_append(&period, gateway->flags->block_shutdown_ms);
    if (gateway->use->blocks_for)
        FL_INFO(gateway->log, SCOPE, "Waiting for %s, %s at most", gateway->use->blocks_for,
                fl_buffer_cstr(&period));
    else
        FL_INFO(gateway->log, SCOPE,
                "Blocking graceful shutdown for %s or until app reports unhealthy...",
                fl_buffer_cstr(&period));
    fl_buffer_fini(&period);
    gw_subscriptions_stop(gateway);
    gw_inputs_stop(gateway);
    if (app_is_unhealthy(gateway)) {
        gw_shutdown_on_health(gateway, false);
        return;
    }
    gateway->shutdown.drains_first = true;
    net_timer_start(gateway->loop, &gateway->shutdown.block_timer, now_ms(gateway) + MOST_DRAIN_MS);
    gw_shutdown_check(gateway);
}

static void on_signal(int number, void *context)
{
    struct gateway *gateway = context;
    struct gw_shutdown *shutdown = &gateway->shutdown;
    const char *name = number == SIGINT ? "interrupt" : number == SIGHUP ? "hangup" : "terminated";
    if (shutdown->was_signalled) {
        FL_INFO(gateway->log, "dapr.signals",
                "Received signal '%s' during shutdown; exiting immediately", name);
        _exit(1);
    }
    shutdown->was_signalled = true;
    if (shutdown->phase != GW_RUNNING) {
        /* The application's end or the API began it. Ctrl-C in a terminal reaches the application
         * of `fairlead run` too, whose end may be seen first. */
        FL_INFO(gateway->log, "dapr.signals", "Received signal '%s'; already shutting down", name);
        return;
    }
    /* Who asked by the API was told that the process will end. */
    shutdown->restarts = number == SIGHUP && !net_timer_is_running(&shutdown->settle_timer);
    FL_INFO(gateway->log, "dapr.signals", "Received signal '%s'; %s", name,
            shutdown->restarts ? "restarting" : "beginning shutdown");
    if (gateway->flags->has_block_shutdown)
        start_blocking(gateway);
    else
        gw_shutdown_begin(gateway);
}

static void on_force(struct net_timer *timer)
{
    (void)timer;
    _exit(1);
}

void gw_shutdown_by_api(struct gateway *gateway, bool is_forced)
{
    struct gw_shutdown *shutdown = &gateway->shutdown;
    if (is_forced) {
        FL_INFO(gateway->log, SCOPE,
                "Force shutdown requested, exiting immediately without graceful shutdown");
        net_timer_start(gateway->loop, &shutdown->force_timer, now_ms(gateway) + FORCE_DELAY_MS);
        return;
    }
    FL_INFO(gateway->log, SCOPE, "Shutdown requested via API");
    shutdown->restarts = false;
    /* The answer to this very request leaves first. */
    net_timer_start(gateway->loop, &shutdown->settle_timer, now_ms(gateway) + 10);
}

static void on_api_shutdown(struct net_timer *timer)
{
    gw_shutdown_begin(gateway_of(FL_CONTAINER(timer, struct gw_shutdown, settle_timer)));
}

enum fl_err gw_shutdown_init(struct gateway *gateway)
{
    struct gw_shutdown *shutdown = &gateway->shutdown;
    shutdown->block_timer.expired = on_block_over;
    shutdown->grace_timer.expired = on_grace_over;
    shutdown->force_timer.expired = on_force;
    shutdown->settle_timer.expired = on_api_shutdown;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        enum fl_err err = net_loop_on_signal(gateway->loop, signals[i], on_signal, gateway);
        if (err)
            return err;
    }
    return FL_OK;
}
