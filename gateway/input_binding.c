/* Asking for input bindings and reading them; see the header.
 *
 * Two things are kept apart: whether a binding is wanted, which the application and its health say,
 * and how far the connector is with the subscription. `adjust` brings the second after the first,
 * so a change of mind while a subscribe or an unsubscribe is under way is heeded when that is
 * answered. */
#include "gateway/input_binding.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/version.h"
#include "config/resolve.h"
#include "config/subscription_resource.h"
#include "gateway/api_path.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/input_event.h"
#include "gateway/metrics.h"

#define SCOPE "dapr.runtime.processor.binding"

enum { QUESTION_TIMEOUT_MS = 3000, FIRST_RETRY_MS = 500, MOST_RETRY_MS = 60000 };

static struct gw_input *input_of(struct connector_subscription *feed)
{
    return feed->context;
}

/* --- making --- */

static void render_head(struct gw_input *input)
{
    static const struct fl_slice agent = FL_SLICE_LIT("User-Agent: Fairlead/" FL_VERSION "\r\n");
    struct gw_app *app = &input->gateway->app;
    fl_buffer_append_str(&input->head, "POST ");
    gw_target_append(&input->head, input->path);
    fl_buffer_printf(&input->head, " HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n",
                     fl_buffer_cstr(&app->host));
    fl_buffer_append_slice(&input->head, fl_buffer_slice(&app->common_fields));
    fl_buffer_append_slice(&input->head, agent);
    input->agent_bytes = agent.len;
}

static void on_retry_timer(struct net_timer *timer);

static void init_one(struct gw_component *component, struct gw_input *input)
{
    struct gateway *gateway = component->gateway;
    struct fl_slice route = component->binding.route;
    *input = (struct gw_input){.gateway = gateway,
                               .component = component,
                               .retry_timer = {.expired = on_retry_timer},
                               .retry_wait_ms = FIRST_RETRY_MS};
    input->path = config_path_clean(route.len ? route : component->name, &component->arena);
    input->feed = (struct connector_subscription){.group = component->connector->consumer_id,
                                                  .mode = CONNECTOR_MODE_COMPETE,
                                                  .start = CONNECTOR_START_DEFAULT,
                                                  .context = input};
    fl_list_init(&input->events);
    fl_list_init(&input->revoked_lanes);
    gw_policy_resolve(gateway, component->name, CONFIG_INBOUND, CONFIG_CATEGORY_BINDING,
                      &input->policy);
    render_head(input);
    component->input = input;
}

static void say_binding(struct gateway *gateway, const struct gw_component *component)
{
    const char *name = component->connector->log_name;
    if (component->binding.is_input)
        FL_INFO(gateway->log, SCOPE, "successful init for input binding (%s)", name);
    if (component->binding.is_output)
        FL_INFO(gateway->log, SCOPE, "successful init for output binding (%s)", name);
}

void gw_inputs_init(struct gateway *gateway)
{
    struct gw_inputs *all = &gateway->inputs;
    all->items = fl_zalloc(sizeof *all->items * (gateway->component_count + 1));
    for (size_t i = 0; i < gateway->component_count; i++) {
        struct gw_component *component = gateway->components[i];
        if (component->kind != GW_BINDING)
            continue;
        say_binding(gateway, component);
        if (component->binding.is_input)
            init_one(component, &all->items[all->count++]);
    }
}

void gw_inputs_fini(struct gateway *gateway)
{
    struct gw_inputs *all = &gateway->inputs;
    if (all->is_asking)
        gw_app_call_cancel(&all->question);
    for (size_t i = 0; i < all->count; i++) {
        struct gw_input *input = &all->items[i];
        net_timer_stop(gateway->loop, &input->retry_timer);
        gw_input_drop_all(input);
        fl_buffer_fini(&input->head);
        input->component->input = NULL;
    }
    FL_FREE(all->items);
    fl_buffer_fini(&all->question_bytes);
    *all = (struct gw_inputs){0};
}

/* --- reading --- */

static void adjust(struct gw_input *input)
{
    struct connector *connector = input->component->connector;
    bool is_due = !net_timer_is_running(&input->retry_timer);
    if (input->is_wanted && input->state == GW_INPUT_IDLE && input->component->is_up && is_due) {
        input->state = GW_INPUT_STARTING;
        connector->type->subscribe(connector, &input->feed);
    } else if (!input->is_wanted && input->state == GW_INPUT_READING) {
        input->state = GW_INPUT_STOPPING;
        connector->type->unsubscribe(connector, &input->feed);
    }
}

static void on_retry_timer(struct net_timer *timer)
{
    adjust(FL_CONTAINER(timer, struct gw_input, retry_timer));
}

static void want(struct gw_input *input)
{
    input->is_wanted = true;
    adjust(input);
}

static void stop_wanting(struct gw_input *input)
{
    input->is_wanted = false;
    net_timer_stop(input->gateway->loop, &input->retry_timer);
    adjust(input);
    gw_input_release_waiting(input);
}

static void wait_and_retry(struct gw_input *input)
{
    struct net_loop *loop = input->gateway->loop;
    int64_t wait = input->retry_wait_ms;
    int64_t jitter = (int64_t)fl_random_below((uint64_t)wait / 2 + 1) - wait / 4;
    input->retry_wait_ms = wait * 3 / 2 > MOST_RETRY_MS ? MOST_RETRY_MS : wait * 3 / 2;
    net_timer_start(loop, &input->retry_timer, net_loop_now_ms(loop) + wait + jitter);
}

static void on_refused(struct gw_input *input, const struct fl_error *error)
{
    input->last_error = *error;
    config_component_hide_secrets(input->component->config, input->last_error.text);
    FL_WARN(input->gateway->log, SCOPE, "cannot read from input binding %s: %s",
            input->component->connector->log_name, input->last_error.text);
    input->state = GW_INPUT_IDLE;
    if (input->is_wanted)
        wait_and_retry(input);
}

void gw_input_apply_window(struct gw_input *input)
{
    struct connector *connector = input->component->connector;
    uint32_t wanted = connector->traits.window_messages;
    uint32_t most = wanted ? wanted : GW_INPUT_WINDOW_EVENTS;
    if (!input->is_wanted || input->state != GW_INPUT_READING)
        return;
    uint32_t stale = input->stale_count < most ? (uint32_t)input->stale_count : most;
    connector->type->window(connector, &input->feed, most - stale,
                            most > stale ? GW_INPUT_WINDOW_BYTES : 0);
}

void gw_inputs_on_subscribed(struct connector *connector, struct connector_subscription *feed,
                             const struct fl_error *error)
{
    struct gw_input *input = input_of(feed);
    if (error) {
        on_refused(input, error);
        return;
    }
    if (input->retry_wait_ms != FIRST_RETRY_MS)
        FL_INFO(input->gateway->log, SCOPE, "reading from input binding %s", connector->log_name);
    input->retry_wait_ms = FIRST_RETRY_MS;
    input->last_error.text[0] = 0;
    input->state = GW_INPUT_READING;
    input->reading_wall_s = fl_clock_wall_s();
    gw_policy_count(&input->policy);
    gw_input_apply_window(input);
    adjust(input);
}

void gw_inputs_on_unsubscribed(struct connector *connector, struct connector_subscription *feed)
{
    struct gw_input *input = input_of(feed);
    (void)connector;
    input->state = GW_INPUT_IDLE;
    input->reading++;
    input->stale_count = input->event_count;
    adjust(input);
}

/* --- asking --- */

static void ask_next(struct gateway *gateway);

static void count_question(struct gateway *gateway, const struct gw_input *input, int status)
{
    struct gw_metrics *metrics = gateway->metrics;
    struct fl_slice labels[] = {gw_metrics_http_method(metrics, FL_SLICE_LIT("OPTIONS")),
                                gw_metrics_http_client_path(metrics, input->path),
                                gw_metrics_http_status((unsigned)status)};
    gw_counter_add(gw_metrics_counter(metrics, GW_HTTP_CLIENT_COMPLETED_COUNT, labels), 1);
}

static void end_round(struct gateway *gateway)
{
    gateway->inputs.is_asking = false;
    gateway_mark_ready(gateway);
}

static void on_answer(struct http_call *http, const struct http_result *result)
{
    struct gw_app_call *call = FL_CONTAINER(http, struct gw_app_call, http);
    struct gw_inputs *all = FL_CONTAINER(call, struct gw_inputs, question);
    struct gw_input *input = &all->items[all->asked];
    struct gateway *gateway = input->gateway;
    gw_app_call_done(call);
    if (result->code) {
        FL_WARN(gateway->log, SCOPE, "failed to read from bindings: OPTIONS %.*s: %s",
                FL_SLICE_ARG(input->path), result->text);
        end_round(gateway);
        return;
    }
    count_question(gateway, input, result->status);
    if ((result->status >= 200 && result->status < 300) || result->status == 405)
        want(input);
    else
        FL_INFO(gateway->log, SCOPE, "app has not subscribed to binding %.*s.",
                FL_SLICE_ARG(input->component->name));
    all->asked++;
    ask_next(gateway);
}

static void ask(struct gateway *gateway, const struct gw_input *input)
{
    struct gw_inputs *all = &gateway->inputs;
    struct fl_buffer *bytes = &all->question_bytes;
    fl_buffer_clear(bytes);
    fl_buffer_append_str(bytes, "OPTIONS ");
    gw_target_append(bytes, input->path);
    fl_buffer_printf(bytes,
                     " HTTP/1.1\r\nHost: %s\r\nUser-Agent: Fairlead/" FL_VERSION
                     "\r\nContent-Type: application/json\r\n%.*s\r\n",
                     fl_buffer_cstr(&gateway->app.host),
                     FL_SLICE_ARG(fl_buffer_slice(&gateway->app.common_fields)));
    all->question = (struct gw_app_call){.http = {.parts = {{bytes->data, bytes->len}},
                                                  .part_count = 1,
                                                  .timeout_ms = QUESTION_TIMEOUT_MS,
                                                  .on_done = on_answer}};
    gw_app_call(&gateway->app, &all->question);
}

static void ask_next(struct gateway *gateway)
{
    struct gw_inputs *all = &gateway->inputs;
    while (all->asked < all->count && all->items[all->asked].is_wanted)
        all->asked++;
    if (all->asked < all->count)
        ask(gateway, &all->items[all->asked]);
    else
        end_round(gateway);
}

/* Those that need no question do not wait for the others' answers. */
static void begin_round(struct gateway *gateway)
{
    struct gw_inputs *all = &gateway->inputs;
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].component->binding.skips_probe)
            want(&all->items[i]);
    }
    all->is_asking = true;
    all->asked = 0;
    ask_next(gateway);
}

static void give_up_round(struct gateway *gateway)
{
    struct gw_inputs *all = &gateway->inputs;
    if (!all->is_asking)
        return;
    all->is_asking = false;
    gw_app_call_cancel(&all->question);
}

static void stop_all(struct gateway *gateway)
{
    give_up_round(gateway);
    for (size_t i = 0; i < gateway->inputs.count; i++)
        stop_wanting(&gateway->inputs.items[i]);
}

/* --- what happens around them --- */

void gw_inputs_start(struct gateway *gateway)
{
    struct gw_inputs *all = &gateway->inputs;
    if (all->are_started || all->are_stopped)
        return;
    all->are_started = true;
    /* One that turned unhealthy meanwhile is asked when it is healthy again. */
    if (gateway->app.is_healthy)
        begin_round(gateway);
    else
        gateway_mark_ready(gateway);
}

void gw_inputs_on_component(struct gw_component *component)
{
    if (component->input)
        adjust(component->input);
}

void gw_inputs_on_health(struct gateway *gateway, bool is_healthy)
{
    struct gw_inputs *all = &gateway->inputs;
    if (!all->are_started || all->are_stopped)
        return;
    if (!is_healthy)
        stop_all(gateway);
    else if (!all->is_asking)
        begin_round(gateway);
}

void gw_inputs_stop(struct gateway *gateway)
{
    if (gateway->inputs.are_stopped)
        return;
    gateway->inputs.are_stopped = true;
    stop_all(gateway);
}

size_t gw_inputs_in_flight(const struct gateway *gateway)
{
    size_t sum = 0;
    for (size_t i = 0; i < gateway->inputs.count; i++)
        sum += gateway->inputs.items[i].event_count;
    return sum;
}
