/* The gateway with a program beside it.
 *
 * The program is started when the API listens, so that its first publish finds somebody. The end
 * goes in this order, whoever begins it:
 *
 *   signal ─► no new deliveries ─► those in work end ─► program told ─► program ended ─► gateway
 * stops (shutdown's block period, which lasts until the program has ended)
 *
 * A terminal's Ctrl-C has reached the program already when it reaches us, so it is not told again
 * until the grace period is over. If the gateway stops first (it failed, or the API asked for it),
 * the program is told after that, and the loop runs on until it has ended.
 */
#include "gateway/cli_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "gateway/cli.h"
#include "gateway/gateway.h"
#include "net/child.h"
#include "net/port.h"

#define SCOPE "fairlead.run"
#define PREFIX "== APP == "

enum { MARKS = 3, MOST_VARIABLES = 8, LOOK_AGAIN_MS = 10 };

static const int64_t for_ever_ms = INT64_C(366) * 24 * 3600 * 1000;

/* How far the program is from its end. */
enum step {
    STEP_RUNNING,
    STEP_DRAINING, /* deliveries in work end first */
    STEP_TOLD_BY_TERMINAL,
    STEP_TOLD,
};

struct run {
    struct config_flags flags; /* with ports chosen */
    struct fl_log *log;
    struct gateway *gateway;
    struct fl_arena arena;
    int marks[MARKS]; /* of chosen ports; -1: none */
    size_t most_descriptors;
    struct net_child *child;
    bool was_started, has_ended;
    bool waits_for_program; /* the block period is ours, not the user's */
    int status;
    enum step step;
    int signal_count, told_number;
    struct net_timer timer;
    int64_t until_ms;
};

/* --- ports ------------------------------------------------------------------------------------ */

static void choose_port(struct run *run, int which, const char *what, uint16_t *port,
                        const char *const *addresses, size_t count)
{
    uint16_t wanted = *port;
    if (net_port_choose(addresses, count, wanted, run->flags.app_port, port, &run->marks[which]))
        return; /* The gateway will say what is wrong with this one. */
    if (*port != wanted)
        FL_INFO(run->log, SCOPE, "port %u is taken: %s is %u", wanted, what, *port);
}

static void choose_ports(struct run *run)
{
    struct config_flags *flags = &run->flags;
    const char *one[1] = {""};
    size_t count = flags->listen_addresses.count;
    const char **addresses = FL_ARENA_ARRAY(&run->arena, const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        addresses[i] = flags->listen_addresses.items[i].data;
    if (count == 0)
        addresses[count++] = "";
    if (flags->picks_http_port && flags->unix_domain_socket.len == 0)
        choose_port(run, 0, "the API's", &flags->http_port, addresses, count);
    if (flags->picks_grpc_port)
        choose_port(run, 1, "DAPR_GRPC_PORT", &flags->grpc_port, addresses, count);
    one[0] = flags->metrics_listen_address.len ? flags->metrics_listen_address.data : "0.0.0.0";
    if (flags->picks_metrics_port && flags->has_metrics)
        choose_port(run, 2, "the metrics'", &flags->metrics_port, one, 1);
}

/* --- the program's surroundings --------------------------------------------------------------- */

/* Where the API is for a program on this machine. */
static const char *endpoint(struct run *run)
{
    const struct config_list *list = &run->flags.listen_addresses;
    const char *host = list->count ? list->items[0].data : "";
    if (*host == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
        host = "127.0.0.1";
    bool is_v6 = strchr(host, ':') != NULL;
    return fl_arena_printf(&run->arena, "http://%s%s%s:%u", is_v6 ? "[" : "", host,
                           is_v6 ? "]" : "", run->flags.http_port);
}

static const char *number(struct run *run, uint16_t value)
{
    return fl_arena_printf(&run->arena, "%u", value);
}

static size_t list_variables(struct run *run, struct net_child_variable *list)
{
    const struct config_flags *flags = &run->flags;
    size_t count = 0;
    list[count++] = (struct net_child_variable){"APP_ID", flags->app_id.data};
    if (flags->app_port)
        list[count++] = (struct net_child_variable){"APP_PORT", number(run, flags->app_port)};
    list[count++] =
        (struct net_child_variable){"APP_PROTOCOL", config_protocol_name(flags->app_protocol)};
    list[count++] =
        (struct net_child_variable){"APP_CHANNEL_ADDRESS", flags->app_channel_address.data};
    list[count++] = (struct net_child_variable){"DAPR_GRPC_PORT", number(run, flags->grpc_port)};
    list[count++] =
        (struct net_child_variable){"DAPR_METRICS_PORT", number(run, flags->metrics_port)};
    if (flags->unix_domain_socket.len == 0) {
        list[count++] =
            (struct net_child_variable){"DAPR_HTTP_PORT", number(run, flags->http_port)};
        list[count++] = (struct net_child_variable){"DAPR_HTTP_ENDPOINT", endpoint(run)};
    }
    return count;
}

/* --- the program ------------------------------------------------------------------------------ */

static void on_line(void *context, struct fl_slice line, bool is_cut, bool is_error)
{
    struct fl_buffer out = {0};
    (void)context;
    (void)is_cut;
    fl_buffer_append_str(&out, PREFIX);
    fl_buffer_append_slice(&out, line);
    fl_buffer_append_byte(&out, '\n');
    gw_cli_write(is_error ? STDERR_FILENO : STDOUT_FILENO, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
}

static void on_end(void *context, int status)
{
    struct run *run = context;
    run->has_ended = true;
    run->status = status;
    net_timer_stop(run->gateway->loop, &run->timer);
    FL_INFO(run->log, SCOPE, "the application ended with status %d", status);
    if (run->gateway->shutdown.phase == GW_STOPPED)
        net_loop_stop(run->gateway->loop);
    else
        gw_shutdown_begin(run->gateway);
}

static void start_program(struct run *run)
{
    struct net_child_variable variables[MOST_VARIABLES];
    struct fl_error error;
    struct net_child_settings settings = {
        .loop = run->gateway->loop,
        .argv = run->flags.program,
        .variables = variables,
        .variable_count = list_variables(run, variables),
        .most_descriptors = run->most_descriptors,
        .leftover_ms = run->flags.graceful_shutdown_ms,
        .on_line = on_line,
        .on_end = on_end,
        .context = run,
    };
    enum fl_err err = net_child_start(&settings, &run->child, &error);
    run->was_started = true;
    if (!err) {
        FL_INFO(run->log, SCOPE, "started %s, process %d", run->flags.program[0],
                (int)net_child_pid(run->child));
        return;
    }
    FL_FATAL(run->log, SCOPE, "%s", error.text);
    run->has_ended = true;
    run->status = err == FL_ERR_NOT_FOUND ? 127 : 126;
    gw_shutdown_begin(run->gateway);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void tell(struct run *run, int signal_number)
{
    int64_t grace_ms = run->flags.graceful_shutdown_ms;
    run->step = STEP_TOLD;
    net_child_signal(run->child, signal_number);
    if (grace_ms >= 0)
        net_timer_start(run->gateway->loop, &run->timer,
                        net_loop_now_ms(run->gateway->loop) + grace_ms);
}

static void on_timer(struct net_timer *timer)
{
    struct run *run = FL_CONTAINER(timer, struct run, timer);
    struct net_loop *loop = run->gateway->loop;
    if (run->step == STEP_DRAINING && gw_subscriptions_in_flight(run->gateway) &&
        net_loop_now_ms(loop) < run->until_ms) {
        net_timer_start(loop, timer, net_loop_now_ms(loop) + LOOK_AGAIN_MS);
    } else if (run->step == STEP_TOLD) {
        FL_WARN(run->log, SCOPE, "the application did not end in time and is killed");
        net_child_signal(run->child, SIGKILL);
    } else {
        tell(run, run->step == STEP_DRAINING ? run->told_number : SIGTERM);
    }
}

/* A terminal sends its signals to all processes of the group in its foreground. */
static bool is_from_terminal(int signal_number)
{
    for (int fd = 0; fd < 3 && signal_number == SIGINT; fd++)
        if (tcgetpgrp(fd) == getpgrp())
            return true;
    return false;
}

/* The gateway's own watcher is called after this one: it stops deliveries at the first signal, and
 * ends the process at the second. */
static void on_signal(int signal_number, void *context)
{
    struct run *run = context;
    struct net_loop *loop = run->gateway->loop;
    int64_t grace_ms = run->flags.graceful_shutdown_ms, now = net_loop_now_ms(loop);
    if (!run->child || run->has_ended) {
        run->flags.has_block_shutdown &= !run->waits_for_program;
        return;
    }
    if (++run->signal_count > 1) {
        net_child_kill(run->child);
        return;
    }
    if (run->step != STEP_RUNNING)
        return;
    run->told_number = signal_number == SIGINT ? SIGINT : SIGTERM;
    run->until_ms = grace_ms < 0 ? INT64_MAX : now + grace_ms;
    run->step = is_from_terminal(signal_number) ? STEP_TOLD_BY_TERMINAL : STEP_DRAINING;
    if (run->step == STEP_DRAINING)
        net_timer_start(loop, &run->timer, now + LOOK_AGAIN_MS);
    else if (grace_ms >= 0)
        net_timer_start(loop, &run->timer, run->until_ms);
}

/* --- the gateway's stations ------------------------------------------------------------------- */

static void on_loop(struct gateway *gateway, void *context)
{
    struct run *run = context;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    run->gateway = gateway;
    run->timer.expired = on_timer;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (net_loop_on_signal(gateway->loop, signals[i], on_signal, run))
            FL_WARN(run->log, SCOPE, "signal %d cannot be watched", signals[i]);
}

static void on_open(struct gateway *gateway, void *context)
{
    struct run *run = context;
    (void)gateway;
    if (run->flags.program && !run->was_started)
        start_program(run);
}

static void on_stopped(struct gateway *gateway, void *context)
{
    struct run *run = context;
    if (run->child && !run->has_ended && run->step != STEP_TOLD)
        tell(run, SIGTERM);
    while (run->child && !run->has_ended)
        net_loop_run(gateway->loop);
    net_child_free(&run->child);
    net_timer_stop(gateway->loop, &run->timer);
}

/* While the program ends it may still publish; the period is cut short when it has ended. */
static void wait_for_program(struct run *run)
{
    struct config_flags *flags = &run->flags;
    run->waits_for_program = flags->program && !flags->has_block_shutdown;
    if (!run->waits_for_program)
        return;
    flags->has_block_shutdown = true;
    flags->block_shutdown_ms =
        flags->graceful_shutdown_ms < 0 ? for_ever_ms : 3 * flags->graceful_shutdown_ms;
}

int gw_cli_run(const struct config_flags *flags, const struct config_list *without_effect,
               struct fl_log *log)
{
    struct run run = {.flags = *flags, .log = log, .marks = {-1, -1, -1}};
    struct gateway_use use = {
        .context = &run, .on_loop = on_loop, .on_open = on_open, .on_stopped = on_stopped};
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        run.most_descriptors = limit.rlim_cur;
    choose_ports(&run);
    wait_for_program(&run);
    use.blocks_for = run.waits_for_program ? "the application to end" : NULL;
    int status = gateway_run(&run.flags, without_effect, &use, log);
    for (int i = 0; i < MARKS; i++)
        if (run.marks[i] >= 0)
            close(run.marks[i]);
    fl_arena_fini(&run.arena);
    if (status == GATEWAY_RESTART) /* A terminal that goes away is the end of what runs in it. */
        status = 0;
    return status ? status : run.status;
}
