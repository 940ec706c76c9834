/* Start and stop, in daprd's order (runtime.md §1.6): configuration → metrics → components →
 * subscriptions → API → application → ready.
 *
 * Subcommands run the same gateway: `run` has an application beside it, publish and peek open its
 * components and start nothing else. */
#include "gateway/gateway.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/version.h"
#include "connectors/registry.h"
#include "gateway/component.h"
#include "gateway/grpc_port.h"
#include "gateway/metrics.h"
#include "gateway/metrics_port.h"
#include "gateway/resource_watch.h"
#include "gateway/state_dump.h"
#include "gateway/topic.h"
#include "gateway/version.h"

#define SCOPE "dapr.runtime"

void gateway_fail(struct gateway *gateway, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gateway->exit_status = 1;
    FL_FATAL(gateway->log, SCOPE, "Fatal error from runtime: %s", text);
    gw_shutdown_begin(gateway);
}

void gateway_mark_ready(struct gateway *gateway)
{
    if (gateway->is_ready || gateway->shutdown.phase != GW_RUNNING)
        return;
    gateway->is_ready = true;
    FL_INFO(gateway->log, SCOPE, "dapr initialized. Status: Running. Init Elapsed %lldms",
            (long long)(fl_clock_ms() - gateway->started_ms));
}

void gateway_on_listening(struct gateway *gateway)
{
    gateway->is_outbound_ready = true;
    gw_grpc_port_start(gateway);
    if (gateway->use->on_open)
        gateway->use->on_open(gateway, gateway->use->context);
    gw_app_start(&gateway->app);
}

/* Each connection is a descriptor; the soft limit is often 1,024 while the hard one is not. */
static void raise_descriptor_limit(struct gateway *gateway)
{
    struct rlimit limit, raised;
    gateway->most_descriptors = SIZE_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    raised = (struct rlimit){limit.rlim_max, limit.rlim_max};
    if (limit.rlim_cur != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    gateway->most_descriptors = limit.rlim_cur;
}

static void write_notes(struct gateway *gateway)
{
    config_notes_write(&gateway->notes, gateway->log);
    config_notes_init(&gateway->notes, &gateway->arena);
}

static void say_hello(struct gateway *gateway, const struct config_list *without_effect)
{
    const struct config_flags *flags = gateway->flags;
    FL_INFO(gateway->log, SCOPE, "Starting Dapr Runtime -- version %s -- commit %s", FL_VERSION,
            gw_commit());
    FL_INFO(gateway->log, SCOPE, "Fairlead %s serves Dapr's pub/sub and bindings API", FL_VERSION);
    FL_INFO(gateway->log, SCOPE, "Log level set to: %s", fl_log_level_name(flags->log_level));
    FL_INFO(gateway->log, SCOPE, "standalone mode configured");
    FL_INFO(gateway->log, SCOPE, "app id: %.*s", FL_SLICE_ARG(flags->app_id));
    if (without_effect->count == 0)
        return;
    struct fl_buffer names = {0};
    for (size_t i = 0; i < without_effect->count; i++)
        fl_buffer_printf(&names, "%s--%.*s", i ? " " : "", FL_SLICE_ARG(without_effect->items[i]));
    FL_INFO(gateway->log, SCOPE, "flags without effect here: %s", fl_buffer_cstr(&names));
    fl_buffer_fini(&names);
}

static enum fl_err load_configuration(struct gateway *gateway, struct fl_error *error)
{
    config_configuration_init(&gateway->configuration);
    enum fl_err err =
        config_configuration_load(&gateway->flags->config_files, gateway->flags->is_strict,
                                  &gateway->arena, &gateway->notes, &gateway->configuration, error);
    write_notes(gateway);
    return err;
}

static enum fl_err load_resources(struct gateway *gateway, struct fl_error *error)
{
    struct config_load how = {.folders = gateway->flags->resources_paths,
                              .identity = gateway->identity,
                              .configuration = &gateway->configuration,
                              .makes_default = gateway->flags->has_default_component,
                              .is_strict = gateway->flags->is_strict};
    enum fl_err err = config_resources_load(&how, &gateway->resources, error);
    config_notes_write(&gateway->resources.notes, gateway->log);
    const struct config_resiliency *resiliency = &gateway->resources.resiliency;
    for (size_t i = 0; !err && i < resiliency->names.count; i++) {
        struct fl_slice labels[] = {resiliency->names.items[i], resiliency->namespace};
        gw_counter_add(gw_metrics_counter(gateway->metrics, GW_RESILIENCY_LOADED, labels), 1);
    }
    return err;
}

static void say_default_component(struct gateway *gateway)
{
    struct fl_slice folder = gateway->flags->data_dir;
    FL_INFO(gateway->log, SCOPE,
            "no --resources-path: there is one component, " CONFIG_DEFAULT_COMPONENT
            " (" CONFIG_DEFAULT_TYPE "), which keeps messages in %.*s%s",
            FL_SLICE_ARG(folder), folder.len ? "/broker.db" : "a file of --data-dir");
}

static enum fl_err open_components(struct gateway *gateway, struct fl_error *error)
{
    FL_INFO(gateway->log, SCOPE, "Loading components…");
    enum fl_err err = load_resources(gateway, error);
    if (err)
        return err;
    gateway->host = (struct connector_host){.callbacks = &gw_connector_callbacks,
                                            .loop = gateway->loop,
                                            .log = gateway->log,
                                            .budget = &gateway->budget,
                                            .app_id = gateway->flags->app_id,
                                            .data_dir = gateway->flags->data_dir};
    gateway->binding_host = gateway->host;
    gateway->binding_host.callbacks = &gw_binding_callbacks;
    if (gateway->flags->has_default_component)
        say_default_component(gateway);
    FL_INFO(gateway->log, SCOPE, "Waiting for all outstanding components to be processed…");
    err = gw_components_open(gateway, error);
    write_notes(gateway);
    if (err)
        return err;
    for (size_t i = 0; i < gateway->component_count; i++)
        gw_counter_add(gw_metrics_counter(gateway->metrics, GW_COMPONENT_LOADED, NULL), 1);
    FL_INFO(gateway->log, SCOPE, "All outstanding components processed");
    return FL_OK;
}

static void start_metrics(struct gateway *gateway)
{
    struct gw_metrics_settings settings = {.app_id = gateway->flags->app_id,
                                           .name_space = gateway->identity.namespace,
                                           .config = &gateway->configuration.metrics,
                                           .log = gateway->log};
    gateway->metrics = gw_metrics_new(&settings);
}

/* What has to be there before the loop runs. */
static enum fl_err start(struct gateway *gateway, struct fl_error *error)
{
    enum fl_err err = load_configuration(gateway, error);
    if (err)
        return err;
    start_metrics(gateway);
    gw_publishing_init(gateway);
    if (!gateway->use->is_tool && (err = gw_metrics_port_start(gateway, error)))
        return err;
    if ((err = gw_app_init(gateway, error)))
        return err;
    gw_api_init(gateway);
    gateway->subscriptions.received_bytes =
        gw_metrics_histogram(gateway->metrics, GW_HTTP_CLIENT_RECEIVED_BYTES, NULL);
    if (!gateway->use->is_tool)
        gw_resource_watch_start(gateway);
    if ((err = open_components(gateway, error)) || gateway->use->is_tool)
        return err;
    gw_inputs_init(gateway);
    FL_INFO(gateway->log, SCOPE, "Loading Declarative Subscriptions…");
    return gw_subscriptions_init(gateway, error);
}

static void stop(struct gateway *gateway)
{
    gw_resource_watch_stop(gateway);
    gw_subscriptions_fini(gateway);
    gw_inputs_fini(gateway);
    gw_api_fini(gateway);
    gw_app_fini(&gateway->app);
    gw_metrics_port_stop(gateway);
    gw_grpc_port_stop(gateway);
    gw_components_free(gateway);
    gw_breakers_fini(gateway);
    gw_topic_cache_clear(gateway);
    connector_registry_free(&gateway->registry);
    if (gateway->publishing.waits.loop)
        gw_publishing_fini(gateway);
    gw_metrics_free(&gateway->metrics);
    net_loop_free(&gateway->loop);
    config_resources_fini(&gateway->resources);
    fl_arena_fini(&gateway->arena);
}

/* The start failed when components were open already: they close as at any other end. */
static void close_components(struct gateway *gateway)
{
    struct gw_shutdown *shutdown = &gateway->shutdown;
    int64_t grace_ms = gateway->flags->graceful_shutdown_ms;
    if (gateway->component_count == 0)
        return;
    shutdown->phase = GW_CLOSING;
    shutdown->deadline_at_ms = grace_ms < 0 ? INT64_MAX : net_loop_now_ms(gateway->loop) + grace_ms;
    gw_components_close(gateway, shutdown->deadline_at_ms);
    gw_shutdown_check(gateway);
    net_loop_run(gateway->loop);
}

static void fail_start(struct gateway *gateway, const struct fl_error *error)
{
    gateway->exit_status = 1;
    if (gateway->use->failure)
        *gateway->use->failure = *error;
    else
        FL_FATAL(gateway->log, SCOPE, "Fatal error from runtime: %s", error->text);
    close_components(gateway);
}

static void run(struct gateway *gateway)
{
    const struct gateway_use *use = gateway->use;
    if (!use->is_tool)
        gw_api_start(gateway);
    else if (use->on_open)
        use->on_open(gateway, use->context);
    net_loop_run(gateway->loop);
}

/* While nobody watches signals, before the start and between the two halves of a restart, they
 * wait: their default would end the process, even where only its state is asked for. */
static void hold_signals(bool holds)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&set, signals[i]);
    pthread_sigmask(holds ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int gateway_run(const struct config_flags *flags, const struct config_list *without_effect,
                const struct gateway_use *use, struct fl_log *log)
{
    struct gateway *gateway = fl_zalloc(sizeof *gateway);
    struct fl_error error;
    gateway->flags = flags;
    gateway->use = use;
    gateway->log = log;
    gateway->started_ms = fl_clock_ms();
    gateway->identity = config_identity_of(flags->app_id);
    gateway->registry = connector_registry_new();
    config_notes_init(&gateway->notes, &gateway->arena);
    fl_budget_init(&gateway->budget, (size_t)flags->max_memory_bytes);
    signal(SIGPIPE, SIG_IGN);
    hold_signals(true);
    say_hello(gateway, without_effect);
    raise_descriptor_limit(gateway);
    enum fl_err err = net_loop_new(&gateway->loop, &error);
    if (!err && use->on_loop)
        use->on_loop(gateway, use->context);
    if (!err && (gw_shutdown_init(gateway) || gw_state_dump_init(gateway)))
        err = fl_error_set(&error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot watch signals");
    hold_signals(false);
    if (!err)
        err = start(gateway, &error);
    if (err)
        fail_start(gateway, &error);
    else
        run(gateway);
    if (use->on_stopped && gateway->loop)
        use->on_stopped(gateway, use->context);
    int status = gateway->exit_status;
    if (status == 0 && gateway->shutdown.restarts && gateway->shutdown.phase == GW_STOPPED)
        status = GATEWAY_RESTART;
    hold_signals(status == GATEWAY_RESTART);
    if (gateway->shutdown.phase == GW_STOPPED || err)
        stop(gateway);
    fl_free(gateway);
    return status;
}
