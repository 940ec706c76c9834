/* One component: its settings, the batches towards the connector, and what it calls back. */
#include "gateway/component.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "config/resolve.h"
#include "connectors/registry.h"
#include "gateway/component_options.h"
#include "gateway/gateway.h"
#include "gateway/input_event.h"
#include "gateway/intake.h"
#include "gateway/invocation.h"
#include "gateway/metrics.h"
#include "gateway/subscriptions.h"

#define SCOPE "dapr.runtime.processor"

static struct gw_component *component_of(struct connector *connector)
{
    return connector->context;
}

/* --- publishing --- */

static void offer_line(struct gw_component *component)
{
    struct connector *connector = component->connector;
    int64_t timeout_ms = component->gateway->flags->publish_timeout_ms;
    int64_t deadline = net_loop_now_ms(component->gateway->loop) + timeout_ms;
    while (component->line_count && !component->is_blocked && component->is_up) {
        struct connector_publish batch[GW_PUBLISH_BATCH];
        size_t count = 0;
        FL_LIST_EACH(at, &component->line)
        {
            struct gw_publish *publish = FL_LIST_ENTRY(at, struct gw_publish, link);
            batch[count++] =
                (struct connector_publish){publish->topic, publish->event, publish->partition_key,
                                           deadline,       publish,        publish->is_urgent};
            if (count == GW_PUBLISH_BATCH)
                break;
        }
        size_t taken = connector->type->publish(connector, batch, count);
        component->sent_count += taken;
        for (size_t i = 0; i < taken; i++) {
            struct gw_publish *publish = batch[i].token;
            fl_list_remove(&publish->link);
            component->line_count--;
            gw_publish_sent(publish);
        }
        component->is_blocked = taken < count;
    }
}

/* Those that came since the last time and are still there begin to wait; the ones before them do
 * already, so a long line is not walked every turn. */
static void on_flush(struct net_task *task)
{
    struct gw_component *component = FL_CONTAINER(task, struct gw_component, flush);
    size_t fresh = component->fresh_count;
    component->fresh_count = 0;
    offer_line(component);
    struct fl_list *at = component->line.prev;
    for (; at != &component->line && fresh > 0; at = at->prev, fresh--)
        gw_publish_must_wait(FL_LIST_ENTRY(at, struct gw_publish, link));
}

void gw_component_enqueue(struct gw_component *component, struct gw_publish *publish)
{
    fl_list_add_last(&component->line, &publish->link);
    component->line_count++;
    component->fresh_count++;
    net_loop_defer(component->gateway->loop, &component->flush);
}

/* What the connector said last, and that without secrets: a batch that fails does so with one text,
 * and looking for secrets takes time. */
struct hidden {
    const char *said;
    char text[sizeof((struct fl_error *)0)->text];
};

/* Words of a connector may hold what it was given; they go to clients and into the log. */
static const char *without_secrets(const struct gw_component *component, const char *said,
                                   struct hidden *hidden)
{
    if (!said)
        return NULL;
    if (!hidden->said || strcmp(hidden->said, said) != 0) {
        hidden->said = said;
        snprintf(hidden->text, sizeof hidden->text, "%s", said);
        config_component_hide_secrets(component->config, hidden->text);
    }
    return hidden->text;
}

static void on_published(struct connector *connector, const struct connector_published *items,
                         size_t count)
{
    struct gw_component *component = component_of(connector);
    struct hidden hidden = {.said = NULL};
    component->sent_count -= count;
    for (size_t i = 0; i < count; i++) {
        struct gw_publish_result result = {.code = items[i].code,
                                           .class = items[i].class,
                                           .text =
                                               without_secrets(component, items[i].text, &hidden)};
        gw_publish_finish(items[i].token, &result);
    }
}

static void on_writable(struct connector *connector)
{
    struct gw_component *component = component_of(connector);
    component->is_blocked = false;
    net_loop_defer(component->gateway->loop, &component->flush);
}

/* --- settling --- */

void gw_component_flush_settlements(struct gw_component *component)
{
    size_t count = component->settlement_count;
    if (count == 0)
        return;
    component->settlement_count = 0;
    if (!component->is_closed)
        component->connector->type->settle(component->connector, component->settlements, count);
}

static void on_settle(struct net_task *task)
{
    gw_component_flush_settlements(FL_CONTAINER(task, struct gw_component, settle));
}

void gw_component_settle(struct gw_component *component, const struct connector_settlement *one)
{
    if (component->settlement_count == GW_SETTLE_BATCH)
        gw_component_flush_settlements(component);
    component->settlements[component->settlement_count++] = *one;
    net_loop_defer(component->gateway->loop, &component->settle);
}

static void start_extend_timer(struct gw_component *component)
{
    int64_t third = component->connector->traits.lease_ms / 3;
    net_timer_start(component->gateway->loop, &component->extend_timer,
                    net_loop_now_ms(component->gateway->loop) + (third > 0 ? third : 1));
}

/* What is settled in this turn goes first: it needs no lease any more. */
static void on_extend(struct net_timer *timer)
{
    struct gw_component *component = FL_CONTAINER(timer, struct gw_component, extend_timer);
    gw_component_flush_settlements(component);
    gw_intake_extend(component);
    if (component->input)
        gw_input_extend(component->input);
    start_extend_timer(component);
}

/* --- state --- */

static void on_state(struct connector *connector, bool is_up, const struct fl_error *error)
{
    struct gw_component *component = component_of(connector);
    struct gateway *gateway = component->gateway;
    bool was_up = component->is_up;
    component->is_up = is_up;
    if (is_up) {
        component->connected_wall_s = fl_clock_wall_s();
        component->is_blocked = false;
        net_timer_stop(gateway->loop, &component->init_timer);
        if (component->warned && !was_up)
            FL_INFO(gateway->log, SCOPE, "Component connected: %s", connector->log_name);
        component->warned = false;
        net_loop_defer(gateway->loop, &component->flush);
    } else {
        if (error) {
            component->last_error = *error;
            config_component_hide_secrets(component->config, component->last_error.text);
        }
        if (was_up) {
            component->generation++;
            component->warned = true;
            FL_WARN(gateway->log, SCOPE, "Component disconnected: %s: %s", connector->log_name,
                    error ? component->last_error.text : "no reason given");
        }
    }
    if (was_up && !is_up)
        gw_intake_end_generation(component);
    if (was_up && !is_up && component->input)
        gw_input_end_generation(component->input);
    gw_subscriptions_on_component(gateway, component);
    gw_inputs_on_component(component);
}

static void on_init_timeout(struct net_timer *timer)
{
    struct gw_component *component = FL_CONTAINER(timer, struct gw_component, init_timer);
    component->warned = true;
    FL_WARN(component->gateway->log, SCOPE,
            "Component %s is not connected after %lld ms and goes on trying: %s",
            component->connector->log_name, (long long)component->config->init_timeout_ms,
            component->last_error.text[0] ? component->last_error.text : "no answer");
}

static void on_closed(struct connector *connector)
{
    struct gw_component *component = component_of(connector);
    component->is_closed = true;
    component->is_up = false;
    net_timer_stop(component->gateway->loop, &component->extend_timer);
    gw_invocations_end(component);
    gw_shutdown_check(component->gateway);
}

static void on_backlog(struct connector *connector, const struct connector_backlog *backlog,
                       void *token)
{
    (void)connector;
    (void)backlog;
    (void)token;
}

const struct connector_callbacks gw_connector_callbacks = {
    .state = on_state,
    .published = on_published,
    .invoked = gw_invocations_on_answer,
    .writable = on_writable,
    .subscribed = gw_subscriptions_on_subscribed,
    .unsubscribed = gw_subscriptions_on_unsubscribed,
    .deliver = gw_intake_deliver,
    .revoked = gw_intake_revoked,
    .backlog = on_backlog,
    .closed = on_closed,
};

/* The same but for what is read: events of a binding never pass through intake. */
const struct connector_callbacks gw_binding_callbacks = {
    .state = on_state,
    .published = on_published,
    .invoked = gw_invocations_on_answer,
    .writable = on_writable,
    .subscribed = gw_inputs_on_subscribed,
    .unsubscribed = gw_inputs_on_unsubscribed,
    .deliver = gw_input_deliver,
    .revoked = gw_input_revoked,
    .backlog = on_backlog,
    .closed = on_closed,
};

/* --- opening --- */

static enum fl_err open_connector(struct gw_component *component, const struct connector_type *type,
                                  void *settings, const struct connector_traits *traits,
                                  struct fl_error *error)
{
    struct gateway *gateway = component->gateway;
    const struct config_component *config = component->config;
    struct connector *connector = fl_zalloc(type->state_size);
    *connector = (struct connector){
        .type = type,
        .host = component->kind == GW_BINDING ? &gateway->binding_host : &gateway->host,
        .traits = *traits,
        .name = config->name,
        .log_name = config->log_name.data,
        .settings = settings,
        .consumer_id = gw_component_consumer_id(config, gateway->flags->app_id),
        .context = component};
    component->connector = connector;
    component->init_timer.expired = on_init_timeout;
    net_timer_start(gateway->loop, &component->init_timer,
                    net_loop_now_ms(gateway->loop) + config->init_timeout_ms);
    enum fl_err err = type->open(connector, error);
    if (err == FL_ERR_NOT_FOUND) /* means an unknown type to those who called */
        err = error->code = FL_ERR_SYSTEM;
    if (err) {
        net_timer_stop(gateway->loop, &component->init_timer);
        FL_FREE(component->connector);
        return err;
    }
    if (connector->traits.lease_ms) {
        component->extend_timer.expired = on_extend;
        start_extend_timer(component);
    }
    return FL_OK;
}

static struct gw_component *new_component(struct gateway *gateway,
                                          const struct config_component *config,
                                          enum gw_component_kind kind)
{
    struct gw_component *component = fl_zalloc(sizeof *component);
    component->gateway = gateway;
    component->config = config;
    component->kind = kind;
    component->name = config->name;
    component->flush.run = on_flush;
    component->settle.run = on_settle;
    fl_list_init(&component->line);
    fl_list_init(&component->tickets);
    config_scopes_read(config->metadata, config->metadata_count, gateway->flags->app_id,
                       &component->arena, &component->scopes);
    if (kind == GW_PUBSUB && config->has_namespace_tag)
        component->topic_prefix = config_identity_namespace(&gateway->identity);
    gw_policy_resolve(gateway, config->name, CONFIG_OUTBOUND,
                      kind == GW_PUBSUB ? CONFIG_CATEGORY_PUBSUB : CONFIG_CATEGORY_BINDING,
                      &component->outbound);
    return component;
}

enum fl_err gw_component_open(struct gateway *gateway, const struct config_component *config,
                              enum gw_component_kind kind, struct gw_component **opened,
                              struct fl_error *error)
{
    struct gw_component *component = new_component(gateway, config, kind);
    struct gw_component_settings settings;
    struct gw_component_setting how = {.config = config,
                                       .kind = kind,
                                       .registry = gateway->registry,
                                       .arena = &component->arena,
                                       .notes = &gateway->notes,
                                       .is_strict = gateway->flags->is_strict};
    enum fl_err err = gw_component_read_settings(&how, &settings, error);
    if (!err) {
        component->consume = settings.consume;
        component->binding = settings.binding;
        err = open_connector(component, settings.type, settings.own, &settings.traits, error);
    }
    if (err)
        gw_component_free(&component);
    else
        *opened = component;
    return err;
}

void gw_component_close(struct gw_component *component, int64_t deadline_at_ms)
{
    struct gateway *gateway = component->gateway;
    if (component->is_closed)
        return;
    gw_component_flush_settlements(component);
    net_timer_stop(gateway->loop, &component->init_timer);
    FL_INFO(gateway->log, SCOPE, "Shutting down component %s", component->connector->log_name);
    component->connector->type->close(component->connector, deadline_at_ms);
}

void gw_component_free(struct gw_component **pointer)
{
    struct gw_component *component = *pointer;
    struct gateway *gateway = component->gateway;
    *pointer = NULL;
    net_timer_stop(gateway->loop, &component->init_timer);
    net_timer_stop(gateway->loop, &component->extend_timer);
    net_loop_cancel(gateway->loop, &component->flush);
    net_loop_cancel(gateway->loop, &component->settle);
    gw_invocations_free(component);
    fl_free(component->connector);
    fl_free(component->figures);
    fl_arena_fini(&component->arena);
    fl_free(component);
}

void gw_component_count(struct gw_component *component)
{
    struct connector *connector = component->connector;
    const struct connector_counter *counters = connector->type->counters;
    size_t count = 0;
    if (!counters || !connector->type->read_counters || component->is_closed)
        return;
    while (counters[count].name)
        count++;
    if (!component->figures)
        component->figures = fl_zalloc(sizeof *component->figures * (count + 1));
    connector->type->read_counters(connector, component->figures);
    for (size_t i = 0; i < count; i++) {
        struct gw_connector_figure figure = {
            .name = counters[i].name,
            .help = counters[i].help,
            .is_gauge = counters[i].is_gauge,
            .component = component->name,
            .type = component->config->type,
            .value = component->figures[i],
        };
        gw_metrics_set_figure(component->gateway->metrics, &figure);
    }
}

size_t gw_component_capabilities(const struct gw_component *component, const char **names,
                                 size_t room)
{
    const struct connector_type *type = component->connector->type;
    const struct connector_traits *traits = &component->connector->traits;
    bool is_pubsub = component->kind == GW_PUBSUB;
    const struct {
        bool is_there;
        const char *name;
    } all[] = {{is_pubsub && traits->ttl, "MESSAGE_TTL"},
               {is_pubsub && traits->wildcards, "SUBSCRIBE_WILDCARDS"},
               {!is_pubsub && type->subscribe, "INPUT_BINDING"},
               {!is_pubsub && type->operations, "OUTPUT_BINDING"}};
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && count < room; i++) {
        if (all[i].is_there)
            names[count++] = all[i].name;
    }
    return count;
}
