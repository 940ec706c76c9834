/* The application: discovery, start-up questions, probes, the concurrency limit. */
#include "gateway/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "base/version.h"
#include "gateway/api_path.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/subscriptions.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "net/tls.h"

#define SCOPE "dapr.runtime"
#define HEALTH_SCOPE "dapr.apphealth"

enum {
    KNOCK_INTERVAL_MS = 100,
    KNOCK_TIMEOUT_MS = 500,
    KNOCKS_PER_LINE = 100,
    ASK_TRIES = 4,
    ASK_TOTAL_MS = 10000
};

/* --- the concurrency limit --- */

static void send_call(struct gw_app *app, struct gw_app_call *call)
{
    struct gw_app_instance *instance = &app->instances[app->next_instance];
    app->next_instance = (app->next_instance + 1) % app->instance_count;
    app->active_calls++;
    instance->active_calls++;
    call->instance = instance;
    call->is_counted = true;
    http_pool_send(instance->pool, &call->http);
}

void gw_app_call(struct gw_app *app, struct gw_app_call *call)
{
    call->app = app;
    call->is_counted = false;
    fl_list_init(&call->link);
    if (app->most_concurrent > 0 && app->active_calls >= app->most_concurrent)
        fl_list_add_last(&app->waiting, &call->link);
    else
        send_call(app, call);
}

void gw_app_call_done(struct gw_app_call *call)
{
    struct gw_app *app = call->app;
    if (!call->is_counted)
        return;
    call->is_counted = false;
    app->active_calls--;
    call->instance->active_calls--;
    struct fl_list *first =
        app->active_calls < app->most_concurrent ? fl_list_first(&app->waiting) : NULL;
    if (first) {
        fl_list_remove(first);
        send_call(app, FL_LIST_ENTRY(first, struct gw_app_call, link));
    }
}

bool gw_app_call_is_waiting(const struct gw_app_call *call)
{
    return call->app && !call->is_counted && !fl_list_is_empty(&call->link);
}

void gw_app_call_cancel(struct gw_app_call *call)
{
    if (!call->app)
        return;
    fl_list_remove(&call->link);
    http_pool_cancel(&call->http);
    gw_app_call_done(call);
}

/* --- questions of start-up --- */

static void ask_subscribe(struct gw_app *app);

static void count_question(struct gw_app *app, const char *path, int status)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d", status);
    struct fl_slice labels[] = {FL_SLICE_LIT("GET"), fl_slice_str(path),
                                fl_slice_of(text, (size_t)len)};
    gw_counter_add(
        gw_metrics_counter(app->gateway->metrics, GW_HTTP_CLIENT_COMPLETED_COUNT, labels), 1);
}

static void ask(struct gw_app *app, const char *path, http_call_fn *on_done)
{
    fl_buffer_clear(&app->ask_bytes);
    fl_buffer_printf(&app->ask_bytes,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Fairlead/" FL_VERSION
                     "\r\nContent-Type: application/json\r\ndapr-app-id: %.*s\r\n%.*s\r\n",
                     path, fl_buffer_cstr(&app->host), FL_SLICE_ARG(app->id),
                     FL_SLICE_ARG(fl_buffer_slice(&app->common_fields)));
    app->ask = (struct http_call){
        .parts = {{app->ask_bytes.data, app->ask_bytes.len}}, .part_count = 1, .on_done = on_done};
    http_pool_send(app->instances[0].pool, &app->ask);
}

static void on_subscribe_retry(struct net_timer *timer)
{
    ask_subscribe(FL_CONTAINER(timer, struct gw_app, ask_timer));
}

static void on_subscribe_answer(struct http_call *call, const struct http_result *result)
{
    struct gw_app *app = FL_CONTAINER(call, struct gw_app, ask);
    struct gateway *gateway = app->gateway;
    if (result->code) {
        /* daprd's DaprBuiltInInitializationRetries: exponential from 500 ms, at most 1 s, three
         * times. */
        if (++app->ask_attempts < ASK_TRIES) {
            int64_t wait = app->ask_attempts == 1 ? 500 : app->ask_attempts == 2 ? 750 : 1000;
            wait = wait / 2 + (int64_t)fl_random_below((uint64_t)wait);
            app->ask_timer.expired = on_subscribe_retry;
            net_timer_start(gateway->loop, &app->ask_timer,
                            net_loop_now_ms(gateway->loop) + (wait > 1000 ? 1000 : wait));
            return;
        }
        FL_ERROR(gateway->log, SCOPE, "error getting topics from app: %s", result->text);
        gw_subscriptions_start(gateway, NULL, true);
        gw_inputs_start(gateway);
        return;
    }
    count_question(app, "/dapr/subscribe", result->status);
    if (result->status == 200) {
        gw_subscriptions_start(gateway, &result->body, false);
    } else {
        if (result->status != 404)
            FL_ERROR(gateway->log, SCOPE,
                     "app returned http status code %d from subscription endpoint", result->status);
        gw_subscriptions_start(gateway, NULL, false);
    }
    gw_inputs_start(gateway);
}

static void ask_subscribe(struct gw_app *app)
{
    struct gateway *gateway = app->gateway;
    if (gateway->flags->skips_subscribe_endpoint)
        FL_INFO(gateway->log, SCOPE,
                "Skipping programmatic subscription loading (see 'disable-init-endpoints' "
                "flag/annotation)");
    if (gateway->flags->skips_subscribe_endpoint || gateway->pubsub_count == 0) {
        gw_subscriptions_start(gateway, NULL, false);
        gw_inputs_start(gateway);
        return;
    }
    ask(app, "/dapr/subscribe", on_subscribe_answer);
}

static void on_config_answer(struct http_call *call, const struct http_result *result)
{
    struct gw_app *app = FL_CONTAINER(call, struct gw_app, ask);
    if (!result->code)
        count_question(app, "/dapr/config", result->status);
    ask_subscribe(app);
}

static void start_asking(struct gw_app *app)
{
    if (app->asked_init)
        return;
    app->asked_init = true;
    if (app->gateway->flags->skips_config_endpoint)
        ask_subscribe(app);
    else
        ask(app, "/dapr/config", on_config_answer);
}

/* --- health --- */

static void set_healthy(struct gw_app *app, bool is_healthy, const char *why)
{
    struct gateway *gateway = app->gateway;
    if (is_healthy == app->is_healthy)
        return;
    app->is_healthy = is_healthy;
    app->was_ever_healthy |= is_healthy;
    if (is_healthy)
        FL_INFO(gateway->log, HEALTH_SCOPE, "App entered healthy status");
    else
        FL_WARN(gateway->log, HEALTH_SCOPE, "App entered un-healthy status: %s", why);
    if (is_healthy)
        start_asking(app);
    gw_subscriptions_on_health(gateway, is_healthy);
    gw_inputs_on_health(gateway, is_healthy);
    gw_shutdown_on_health(gateway, is_healthy);
}

static void probe(struct gw_app *app);

static void on_probe_timer(struct net_timer *timer)
{
    probe(FL_CONTAINER(timer, struct gw_app, probe_timer));
}

static void on_probed(struct http_call *call, const struct http_result *result)
{
    struct gw_app *app = FL_CONTAINER(call, struct gw_app, probe);
    const struct config_flags *flags = app->gateway->flags;
    bool is_ok = !result->code && result->status >= 200 && result->status < 300;
    if (!result->code) {
        struct fl_slice labels[] = {gw_metrics_http_status((unsigned)result->status)};
        struct gw_metrics *metrics = app->gateway->metrics;
        int64_t took = net_loop_now_ms(app->gateway->loop) - app->probed_ms;
        gw_counter_add(gw_metrics_counter(metrics, GW_HTTP_HEALTHPROBES_COMPLETED_COUNT, labels),
                       1);
        gw_histogram_add(
            gw_metrics_histogram(metrics, GW_HTTP_HEALTHPROBES_ROUNDTRIP_LATENCY, labels),
            (uint64_t)took);
    }
    net_timer_start(app->gateway->loop, &app->probe_timer,
                    net_loop_now_ms(app->gateway->loop) + flags->app_health_probe_interval_ms);
    if (is_ok) {
        /* While healthy a passing probe does not reset the count: failures add up, as in daprd. */
        if (!app->is_healthy)
            app->probe_failures = 0;
        set_healthy(app, true, NULL);
        return;
    }
    if (app->is_healthy && ++app->probe_failures >= flags->app_health_threshold)
        set_healthy(app, false,
                    result->code ? result->text : "the probe was answered with an error status");
}

static void probe(struct gw_app *app)
{
    const struct config_flags *flags = app->gateway->flags;
    fl_buffer_clear(&app->probe_bytes);
    fl_buffer_append_str(&app->probe_bytes, "GET ");
    gw_target_append(&app->probe_bytes, flags->app_health_check_path);
    fl_buffer_printf(&app->probe_bytes,
                     " HTTP/1.1\r\nHost: %s\r\nUser-Agent: Fairlead/" FL_VERSION "\r\n\r\n",
                     fl_buffer_cstr(&app->host));
    app->probe = (struct http_call){.parts = {{app->probe_bytes.data, app->probe_bytes.len}},
                                    .part_count = 1,
                                    .timeout_ms = flags->app_health_probe_timeout_ms,
                                    .on_done = on_probed};
    app->probed_ms = net_loop_now_ms(app->gateway->loop);
    http_pool_send(app->instances[0].pool, &app->probe);
}

/* --- discovery --- */

static void knock(struct gw_app *app);

static void on_knock_timer(struct net_timer *timer)
{
    struct gw_app *app = FL_CONTAINER(timer, struct gw_app, knock_timer);
    net_stream_close(&app->knock);
    knock(app);
}

static void on_discovered(struct gw_app *app)
{
    struct gateway *gateway = app->gateway;
    net_timer_stop(gateway->loop, &app->knock_timer);
    app->is_discovered = true;
    FL_INFO(gateway->log, SCOPE, "application discovered on port %u", gateway->flags->app_port);
    if (gateway->flags->has_app_health_check) {
        /* Readiness does not wait for the first healthy probe. */
        app->probe_timer.expired = on_probe_timer;
        probe(app);
        gateway_mark_ready(gateway);
    } else {
        app->is_healthy = app->was_ever_healthy = true;
        start_asking(app);
    }
}

static void knock_again_later(struct gw_app *app)
{
    struct gateway *gateway = app->gateway;
    if (++app->knocks % KNOCKS_PER_LINE == 0)
        FL_INFO(gateway->log, SCOPE, "waiting for application to listen on port %u",
                gateway->flags->app_port);
    net_timer_start(gateway->loop, &app->knock_timer,
                    net_loop_now_ms(gateway->loop) + KNOCK_INTERVAL_MS);
}

static void on_knock(struct net_stream *stream, void *context, unsigned events)
{
    struct gw_app *app = context;
    (void)stream;
    net_stream_close(&app->knock);
    if (events & NET_BROKEN)
        knock_again_later(app);
    else
        on_discovered(app);
}

static void on_address(void *context, const struct sockaddr *address, socklen_t len,
                       const char *text)
{
    struct gw_app *app = context;
    struct gateway *gateway = app->gateway;
    const struct config_flags *flags = gateway->flags;
    app->lookup = NULL;
    if (!address) {
        FL_WARN(gateway->log, SCOPE, "cannot resolve the application's address '%.*s': %s",
                FL_SLICE_ARG(flags->app_channel_address), text);
        knock_again_later(app);
        return;
    }
    struct http_pool_settings settings = http_pool_defaults();
    settings.loop = gateway->loop;
    settings.budget = &gateway->budget;
    memcpy(&settings.address, address, len);
    settings.address_len = len;
    settings.tls = app->tls;
    settings.host = flags->app_channel_address.data;
    settings.most_head_bytes = (size_t)flags->read_buffer_bytes + 4096;
    app->instances[0].pool = http_pool_new(&settings);
    app->instance_count = 1;
    knock(app);
}

static void knock(struct gw_app *app)
{
    struct gateway *gateway = app->gateway;
    const struct config_flags *flags = gateway->flags;
    if (app->instance_count == 0) {
        if (net_lookup_start(gateway->loop, flags->app_channel_address.data, flags->app_port,
                             on_address, app, &app->lookup))
            knock_again_later(app);
        return;
    }
    struct sockaddr_storage address;
    socklen_t len;
    http_pool_address(app->instances[0].pool, &address, &len);
    if (net_stream_connect(gateway->loop, (struct sockaddr *)&address, len, app->tls,
                           flags->app_channel_address.data, on_knock, app, &app->knock, NULL))
        knock_again_later(app);
    else
        net_timer_start(gateway->loop, &app->knock_timer,
                        net_loop_now_ms(gateway->loop) + KNOCK_TIMEOUT_MS);
}

enum fl_err gw_app_init(struct gateway *gateway, struct fl_error *error)
{
    struct gw_app *app = &gateway->app;
    const struct config_flags *flags = gateway->flags;
    const char *token = getenv("APP_API_TOKEN");
    app->gateway = gateway;
    app->id = flags->app_id;
    app->exists = flags->app_port != 0;
    app->most_concurrent = flags->app_max_concurrency;
    app->knock_timer.expired = on_knock_timer;
    fl_list_init(&app->waiting);
    bool is_v6 =
        memchr(flags->app_channel_address.data, ':', flags->app_channel_address.len) != NULL;
    fl_buffer_printf(&app->host, is_v6 ? "[%.*s]:%u" : "%.*s:%u",
                     FL_SLICE_ARG(flags->app_channel_address), flags->app_port);
    if (!http_is_field_value(flags->app_id))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "parameter app-id cannot contain control characters");
    if (!http_is_field_value(fl_slice_str(token)))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "the environment variable APP_API_TOKEN holds a control character, "
                            "which no header can carry");
    if (token && *token)
        fl_buffer_printf(&app->common_fields, "dapr-api-token: %s\r\n", token);
    if (flags->app_protocol == CONFIG_PROTOCOL_HTTPS)
        return net_tls_client_new(&app->tls, error);
    return FL_OK;
}

void gw_app_start(struct gw_app *app)
{
    struct gateway *gateway = app->gateway;
    const struct config_flags *flags = gateway->flags;
    if (!app->exists) {
        FL_WARN(gateway->log, SCOPE,
                "App channel is not initialized. Did you configure an app-port?");
        gw_subscriptions_start(gateway, NULL, false);
        gateway_mark_ready(gateway);
        return;
    }
    if (app->most_concurrent > 0)
        FL_INFO(gateway->log, SCOPE, "app max concurrency set to %lld",
                (long long)app->most_concurrent);
    FL_INFO(gateway->log, SCOPE,
            "application protocol: %s. waiting on port %u.  This will block until the app is "
            "listening on "
            "that port.",
            config_protocol_name(flags->app_protocol), flags->app_port);
    knock(app);
}

void gw_app_stop(struct gw_app *app)
{
    struct gateway *gateway = app->gateway;
    net_lookup_cancel(&app->lookup);
    net_stream_close(&app->knock);
    net_timer_stop(gateway->loop, &app->knock_timer);
    net_timer_stop(gateway->loop, &app->ask_timer);
    net_timer_stop(gateway->loop, &app->probe_timer);
    http_pool_cancel(&app->ask);
    http_pool_cancel(&app->probe);
}

void gw_app_fini(struct gw_app *app)
{
    if (!app->gateway)
        return;
    gw_app_stop(app);
    for (size_t i = 0; i < app->instance_count; i++)
        http_pool_free(&app->instances[i].pool);
    net_tls_client_free(&app->tls);
    fl_buffer_fini(&app->host);
    fl_buffer_fini(&app->common_fields);
    fl_buffer_fini(&app->ask_bytes);
    fl_buffer_fini(&app->probe_bytes);
}
