/* Subscriptions: from configuration to a running feed. */
#include "gateway/subscriptions.h"

#include <stdio.h>

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/version.h"
#include "cloudevents/publish_metadata.h"
#include "config/resolve.h"
#include "gateway/api_path.h"
#include "gateway/bulk_subscribe.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/intake.h"
#include "gateway/metrics.h"
#include "gateway/subscription_check.h"
#include "routes/table.h"

#define SCOPE "dapr.runtime.processor.subscription"

enum { FIRST_RETRY_MS = 500, MOST_RETRY_MS = 60000 };

static struct gw_subscription *subscription_of(struct connector_subscription *feed)
{
    return feed->context;
}

/* --- making --- */

static void render_head(struct gw_subscription *subscription, struct gw_way *way)
{
    static const struct fl_slice agent = FL_SLICE_LIT("User-Agent: Fairlead/" FL_VERSION "\r\n");
    struct gw_app *app = &subscription->gateway->app;
    bool is_bulk = subscription->config->bulk.is_enabled;
    fl_buffer_append_str(&way->head, "POST ");
    gw_target_append(&way->head, way->path);
    fl_buffer_printf(&way->head, " HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\n",
                     fl_buffer_cstr(&app->host),
                     is_bulk ? "application/json" : "application/cloudevents+json");
    if (http_is_field_value(subscription->config->pubsub))
        fl_buffer_printf(&way->head, "Pubsubname: %.*s\r\n",
                         FL_SLICE_ARG(subscription->config->pubsub));
    fl_buffer_append_slice(&way->head, fl_buffer_slice(&app->common_fields));
    fl_buffer_append_slice(&way->head, agent);
    way->agent_bytes = agent.len;
    struct gw_metrics *metrics = subscription->gateway->metrics;
    struct fl_slice path = gw_metrics_http_client_path(metrics, way->path);
    struct fl_slice labels[] = {gw_metrics_http_method(metrics, FL_SLICE_LIT("POST")), path,
                                FL_SLICE_LIT("200")};
    struct fl_slice sent[] = {gw_metrics_http_method(metrics, FL_SLICE_LIT("POST")), path,
                              FL_SLICE_LIT("")};
    way->completed = gw_metrics_counter(metrics, GW_HTTP_CLIENT_COMPLETED_COUNT, labels);
    way->roundtrip = gw_metrics_histogram(metrics, GW_HTTP_CLIENT_ROUNDTRIP_LATENCY, labels);
    way->sent_bytes = gw_metrics_histogram(metrics, GW_HTTP_CLIENT_SENT_BYTES, sent);
}

static enum fl_err make_routes(struct gw_subscription *subscription, struct fl_error *error)
{
    const struct config_subscription *config = subscription->config;
    struct route_rule *rules = fl_alloc(sizeof *rules * (config->rule_count + 1));
    struct fl_error cause;
    for (size_t i = 0; i < config->rule_count; i++)
        rules[i] = (struct route_rule){config->rules[i].match, config->rules[i].call};
    enum fl_err err =
        route_table_new(rules, config->rule_count, FL_SLICE_NULL, &subscription->routes, &cause);
    fl_free(rules);
    if (err && config->file)
        return fl_error_set(error, err, cause.class, "%s:%u: Subscription \"%.*s\": %s",
                            config->file, config->line, FL_SLICE_ARG(config->name), cause.text);
    if (err) {
        *error = cause;
        return err;
    }
    subscription->way_count = subscription->routes->count;
    subscription->ways = fl_zalloc(sizeof *subscription->ways * (subscription->way_count + 1));
    for (size_t i = 0; i < subscription->way_count; i++) {
        subscription->ways[i].path = subscription->routes->ways[i].path;
        render_head(subscription, &subscription->ways[i]);
    }
    return FL_OK;
}

static void read_metadata(struct gw_subscription *subscription)
{
    const struct config_subscription *config = subscription->config;
    for (size_t i = 0; i < config->metadata_count; i++) {
        if (!fl_slice_eq_str(config->metadata[i].name, "rawPayload"))
            continue;
        struct ce_metadata pair = {config->metadata[i].name, config->metadata[i].value};
        subscription->is_raw_bad =
            ce_metadata_raw_payload(&pair, 1, &subscription->is_raw, NULL) != FL_OK;
    }
}

/* The feed as the component and the subscription want it; one that cannot be had stays inert. */
static void make_feed(struct gw_subscription *subscription)
{
    const struct config_subscription *config = subscription->config;
    struct gw_component *component = subscription->component;
    struct gw_consume consume = component->consume;
    char owner[GW_SUBSCRIPTION_OWNER_TEXT];
    struct config_bind how = {.owner = gw_subscription_owner(config, owner),
                              .arena = &subscription->gateway->arena};
    if (gw_consume_read(config->metadata, config->metadata_count, &how,
                        &component->connector->traits, &consume, &subscription->last_error))
        subscription->state = GW_SUB_INERT;
    subscription->feed = (struct connector_subscription){
        .topic = fl_buffer_slice(&subscription->broker_topic),
        .group = component->connector->consumer_id,
        .mode = consume.mode,
        .start = consume.start,
        .start_value = consume.start_value,
        .metadata = config->metadata,
        .metadata_count = config->metadata_count,
        .context = subscription,
    };
}

static void attach_component(struct gw_subscription *subscription)
{
    const struct config_subscription *config = subscription->config;
    struct gateway *gateway = subscription->gateway;
    struct gw_component *component = gw_component_find(gateway, config->pubsub);
    if (!component || !gateway->app.exists)
        return;
    subscription->component = component;
    subscription->state = GW_SUB_WAITING;
    subscription->is_allowed =
        config_scopes_allow(&component->scopes, CONFIG_SCOPE_SUBSCRIBE, config->topic);
    gw_policy_resolve(gateway, config->pubsub, CONFIG_INBOUND, CONFIG_CATEGORY_PUBSUB,
                      &subscription->policy);
    fl_buffer_append_slice(&subscription->broker_topic, component->topic_prefix);
    fl_buffer_append_slice(&subscription->broker_topic, config->topic);
    if (config->dead_letter_topic.len) {
        fl_buffer_append_slice(&subscription->dead_letter_topic, component->topic_prefix);
        fl_buffer_append_slice(&subscription->dead_letter_topic, config->dead_letter_topic);
    }
    make_feed(subscription);
}

static void resolve_series(struct gw_subscription *subscription)
{
    struct gw_metrics *metrics = subscription->gateway->metrics;
    struct fl_slice labels[] = {subscription->config->pubsub, subscription->config->topic};
    subscription->delivered = gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, labels);
    subscription->retried = gw_metrics_counter(metrics, GW_RETRIED_TOTAL, labels);
    subscription->dead_lettered = gw_metrics_counter(metrics, GW_DEAD_LETTERED_TOTAL, labels);
}

static void on_retry_timer(struct net_timer *timer);

static enum fl_err init_one(struct gateway *gateway, struct gw_subscription *subscription,
                            const struct config_subscription *config, struct fl_error *error)
{
    subscription->gateway = gateway;
    subscription->config = config;
    subscription->retry_timer.expired = on_retry_timer;
    subscription->retry_wait_ms = FIRST_RETRY_MS;
    fl_list_init(&subscription->deliveries);
    fl_list_init(&subscription->lanes);
    enum fl_err err = make_routes(subscription, error);
    if (err)
        return err;
    read_metadata(subscription);
    attach_component(subscription);
    resolve_series(subscription);
    const struct gw_component *component = subscription->component;
    uint32_t wanted = component ? component->connector->traits.window_messages : 0;
    subscription->window_messages = wanted ? wanted : GW_WINDOW_MESSAGES;
    if (config->bulk.is_enabled) {
        subscription->bulk = gw_bulk_new(subscription);
        /* While one batch is in its call, the next one gathers. */
        uint32_t two_batches = 2 * gw_bulk_most_messages(subscription->bulk);
        if (two_batches > subscription->window_messages)
            subscription->window_messages = two_batches;
    }
    return FL_OK;
}

static void fini_one(struct gw_subscription *subscription)
{
    if (!subscription->gateway)
        return;
    gw_intake_drop_all(subscription);
    net_timer_stop(subscription->gateway->loop, &subscription->retry_timer);
    gw_bulk_free(&subscription->bulk);
    route_table_free(&subscription->routes);
    for (size_t i = 0; i < subscription->way_count; i++)
        fl_buffer_fini(&subscription->ways[i].head);
    FL_FREE(subscription->ways);
    fl_buffer_fini(&subscription->broker_topic);
    fl_buffer_fini(&subscription->dead_letter_topic);
}

static void drop_items(struct gw_subscriptions *all)
{
    for (size_t i = 0; i < all->count; i++)
        fini_one(&all->items[i]);
    FL_FREE(all->items);
    all->count = 0;
}

/* All of `merged`, or none. */
static enum fl_err make_items(struct gateway *gateway, const struct config_subscriptions *merged,
                              struct fl_error *error)
{
    struct gw_subscriptions *all = &gateway->subscriptions;
    drop_items(all);
    all->items = fl_zalloc(sizeof *all->items * (merged->count + 1));
    for (size_t i = 0; i < merged->count; i++) {
        all->count = i + 1;
        enum fl_err err = init_one(gateway, &all->items[i], &merged->items[i], error);
        if (err)
            return err;
    }
    all->merged = *merged;
    return FL_OK;
}

enum fl_err gw_subscriptions_init(struct gateway *gateway, struct fl_error *error)
{
    struct fl_error cause;
    const struct config_subscriptions *declared = &gateway->resources.subscriptions;
    fl_list_init(&gateway->subscriptions.free_deliveries);
    for (size_t i = 0; i < declared->count; i++)
        FL_INFO(gateway->log, "dapr.runtime", "Found Subscription: %.*s",
                FL_SLICE_ARG(declared->items[i].name));
    enum fl_err err = gw_subscriptions_check(gateway, declared, gateway->flags->is_strict, &cause);
    if (!err)
        err = make_items(gateway, declared, &cause);
    if (err)
        return fl_error_set(error, err, FL_CLASS_FATAL,
                            "failed to load declarative subscriptions: %s", cause.text);
    return FL_OK;
}

/* --- running --- */

static bool may_run(const struct gw_subscription *subscription)
{
    const struct gw_subscriptions *all = &subscription->gateway->subscriptions;
    return all->are_started && !all->are_stopped && subscription->component->is_up &&
           subscription->gateway->app.was_ever_healthy;
}

static void wait_and_retry(struct gw_subscription *subscription)
{
    struct gateway *gateway = subscription->gateway;
    int64_t wait = subscription->retry_wait_ms;
    int64_t jitter = (int64_t)fl_random_below((uint64_t)wait / 2 + 1) - wait / 4;
    subscription->state = GW_SUB_WAITING;
    subscription->retry_wait_ms = wait * 3 / 2 > MOST_RETRY_MS ? MOST_RETRY_MS : wait * 3 / 2;
    net_timer_start(gateway->loop, &subscription->retry_timer,
                    net_loop_now_ms(gateway->loop) + wait + jitter);
}

static void start_one(struct gw_subscription *subscription)
{
    if (subscription->state != GW_SUB_WAITING || !may_run(subscription) ||
        net_timer_is_running(&subscription->retry_timer))
        return;
    struct gateway *gateway = subscription->gateway;
    const struct config_subscription *config = subscription->config;
    if (!subscription->is_allowed) {
        fl_error_set(&subscription->last_error, FL_ERR_REFUSED, FL_CLASS_REJECT,
                     "subscription to topic '%.*s' on pubsub '%.*s' is not allowed",
                     FL_SLICE_ARG(config->topic), FL_SLICE_ARG(config->pubsub));
        if (subscription->retry_wait_ms == FIRST_RETRY_MS)
            FL_ERROR(gateway->log, SCOPE, "%s", subscription->last_error.text);
        wait_and_retry(subscription);
        return;
    }
    subscription->state = GW_SUB_STARTING;
    gw_policy_count(&subscription->policy);
    subscription->component->connector->type->subscribe(subscription->component->connector,
                                                        &subscription->feed);
}

static void on_retry_timer(struct net_timer *timer)
{
    start_one(FL_CONTAINER(timer, struct gw_subscription, retry_timer));
}

void gw_subscription_apply_window(struct gw_subscription *subscription)
{
    const struct gw_subscriptions *all = &subscription->gateway->subscriptions;
    if (subscription->state != GW_SUB_ACTIVE)
        return;
    struct connector *connector = subscription->component->connector;
    bool is_open = !all->are_paused && !all->are_stopped &&
                   subscription->stale_count < subscription->window_messages;
    connector->type->window(connector, &subscription->feed,
                            is_open ? subscription->window_messages - subscription->stale_count : 0,
                            is_open ? GW_WINDOW_BYTES : 0);
}

void gw_subscriptions_on_subscribed(struct connector *connector,
                                    struct connector_subscription *feed,
                                    const struct fl_error *error)
{
    struct gw_subscription *subscription = subscription_of(feed);
    struct gateway *gateway = subscription->gateway;
    (void)connector;
    if (error) {
        subscription->last_error = *error;
        config_component_hide_secrets(subscription->component->config,
                                      subscription->last_error.text);
        FL_WARN(gateway->log, SCOPE, "Failed to start subscription for pubsub %.*s, topic %.*s: %s",
                FL_SLICE_ARG(subscription->config->pubsub),
                FL_SLICE_ARG(subscription->config->topic), subscription->last_error.text);
        wait_and_retry(subscription);
        return;
    }
    if (subscription->retry_wait_ms != FIRST_RETRY_MS)
        FL_INFO(gateway->log, SCOPE,
                "Successfully started subscription after retry for pubsub %.*s, topic %.*s",
                FL_SLICE_ARG(subscription->config->pubsub),
                FL_SLICE_ARG(subscription->config->topic));
    subscription->retry_wait_ms = FIRST_RETRY_MS;
    subscription->last_error.text[0] = 0;
    subscription->state = GW_SUB_ACTIVE;
    subscription->active_wall_s = fl_clock_wall_s();
    gw_subscription_apply_window(subscription);
}

void gw_subscriptions_on_unsubscribed(struct connector *connector,
                                      struct connector_subscription *feed)
{
    struct gw_subscription *subscription = subscription_of(feed);
    (void)connector;
    subscription->state = GW_SUB_WAITING;
    start_one(subscription);
    gw_shutdown_check(subscription->gateway);
}

static void start_all(struct gateway *gateway)
{
    struct gw_subscriptions *all = &gateway->subscriptions;
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].component)
            start_one(&all->items[i]);
    }
}

static void say_topics(struct gateway *gateway)
{
    struct gw_subscriptions *all = &gateway->subscriptions;
    for (size_t c = 0; c < gateway->component_count; c++) {
        struct gw_component *component = gateway->components[c];
        struct fl_buffer topics = {0};
        for (size_t i = 0; i < all->count && topics.len < 4096; i++) {
            if (all->items[i].component != component || all->items[i].state == GW_SUB_INERT)
                continue;
            fl_buffer_printf(&topics, "%s%.*s", topics.len ? " " : "",
                             FL_SLICE_ARG(all->items[i].config->topic));
        }
        if (topics.len)
            FL_INFO(gateway->log, SCOPE,
                    "app is subscribed to the following topics: [[%s]] through pubsub=%.*s",
                    fl_buffer_cstr(&topics), FL_SLICE_ARG(component->name));
        fl_buffer_fini(&topics);
    }
}

static void say_refused(struct gateway *gateway)
{
    const struct gw_subscriptions *all = &gateway->subscriptions;
    for (size_t i = 0; i < all->count; i++) {
        const struct gw_subscription *subscription = &all->items[i];
        if (subscription->state == GW_SUB_INERT && subscription->component)
            FL_ERROR(gateway->log, SCOPE, "%s; nothing is subscribed for it",
                     subscription->last_error.text);
    }
}

static bool take_answer(struct gateway *gateway, struct fl_slice answer)
{
    struct config_subscriptions given = {0};
    struct config_subscriptions *merged =
        FL_ARENA_NEW(&gateway->arena, struct config_subscriptions);
    struct fl_error error;
    config_notes_init(&gateway->notes, &gateway->arena);
    enum fl_err err =
        config_subscriptions_parse(answer, &gateway->arena, &gateway->notes, &given, &error);
    config_notes_write(&gateway->notes, gateway->log);
    config_notes_init(&gateway->notes, &gateway->arena);
    if (!err)
        err = gw_subscriptions_check(gateway, &given, false, &error);
    if (!err) {
        config_subscriptions_merge(&gateway->resources.subscriptions, &given, &gateway->arena,
                                   merged);
        err = make_items(gateway, merged, &error);
    }
    if (!err)
        return true;
    FL_ERROR(gateway->log, SCOPE, "error getting topics from app: %s", error.text);
    struct fl_error ignored;
    if (make_items(gateway, &gateway->resources.subscriptions, &ignored))
        drop_items(&gateway->subscriptions);
    return false;
}

void gw_subscriptions_start(struct gateway *gateway, const struct fl_slice *answer, bool failed)
{
    if (gateway->subscriptions.are_started)
        return;
    if (failed || (answer && !take_answer(gateway, *answer))) {
        FL_WARN(gateway->log, SCOPE,
                "failed to subscribe to topics: the application's answer cannot be used");
        return;
    }
    gateway->subscriptions.are_started = true;
    gateway->subscriptions.are_paused = !gateway->app.is_healthy;
    if (gateway->app.exists)
        say_topics(gateway);
    say_refused(gateway);
    start_all(gateway);
}

void gw_subscriptions_on_component(struct gateway *gateway, struct gw_component *component)
{
    (void)component;
    start_all(gateway);
}

void gw_subscriptions_on_health(struct gateway *gateway, bool is_healthy)
{
    struct gw_subscriptions *all = &gateway->subscriptions;
    all->are_paused = !is_healthy;
    start_all(gateway);
    for (size_t i = 0; i < all->count; i++) {
        gw_subscription_apply_window(&all->items[i]);
        if (is_healthy)
            gw_intake_resume(&all->items[i]);
        else
            gw_intake_pause(&all->items[i]);
    }
}

void gw_subscriptions_stop(struct gateway *gateway)
{
    struct gw_subscriptions *all = &gateway->subscriptions;
    if (all->are_stopped)
        return;
    all->are_stopped = true;
    for (size_t i = 0; i < all->count; i++) {
        struct gw_subscription *subscription = &all->items[i];
        net_timer_stop(gateway->loop, &subscription->retry_timer);
        gw_intake_release_waiting(subscription);
        if (subscription->state != GW_SUB_ACTIVE)
            continue;
        struct connector *connector = subscription->component->connector;
        connector->type->window(connector, &subscription->feed, 0, 0);
    }
}

size_t gw_subscriptions_in_flight(const struct gateway *gateway)
{
    size_t sum = 0;
    for (size_t i = 0; i < gateway->subscriptions.count; i++)
        sum += gateway->subscriptions.items[i].unsettled_count;
    return sum;
}

void gw_subscriptions_fini(struct gateway *gateway)
{
    drop_items(&gateway->subscriptions);
    gw_intake_free_pool(gateway);
}
