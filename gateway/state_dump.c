/* The state dump; see the header.
 *
 * Each kind is walked twice: first what is in trouble, then the rest, as long as there are lines
 * left. What is printed is what the objects hold, so nothing is counted for it while nobody asks.
 */
#include "gateway/state_dump.h"

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "cloudevents/timestamp.h"
#include "config/resolve.h"
#include "gateway/component.h"
#include "gateway/duration.h"
#include "gateway/gateway.h"
#include "gateway/input_binding.h"
#include "gateway/state_names.h"
#include "net/http_server.h"

#define SCOPE "fairlead.state"

/* The lines of one kind. */
struct dump {
    struct gateway *gateway;
    const char *kind;
    bool wants_trouble; /* which of the two walks it is */
    size_t count;
    struct fl_buffer line;
};

/* --- writing ---------------------------------------------------------------------------------- */

static void write_line(const struct gateway *gateway, struct fl_slice text)
{
    fl_log_write_fields(gateway->log, FL_LOG_INFO, true, SCOPE, text, NULL, 0);
}

static struct dump begin(struct gateway *gateway, const char *kind)
{
    return (struct dump){.gateway = gateway, .kind = kind, .wants_trouble = true};
}

/* True: this one's turn is now, and a line is open for it. */
static bool open_line(struct dump *dump, bool is_in_trouble)
{
    if (is_in_trouble != dump->wants_trouble || dump->count++ >= GW_DUMP_LINES)
        return false;
    dump->line.len = 0;
    fl_buffer_append_str(&dump->line, dump->kind);
    return true;
}

static void close_line(struct dump *dump)
{
    write_line(dump->gateway, fl_buffer_slice(&dump->line));
}

static void end(struct dump *dump)
{
    if (dump->count > GW_DUMP_LINES) {
        dump->line.len = 0;
        fl_buffer_printf(&dump->line, "%s: and %zu more", dump->kind, dump->count - GW_DUMP_LINES);
        close_line(dump);
    }
    fl_buffer_fini(&dump->line);
}

/* --- parts of lines --------------------------------------------------------------------------- */

static bool is_plain(struct fl_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = fl_ascii_lower(value.data[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !memchr("._-/:@", c, 6))
            return false;
    }
    return value.len > 0;
}

/* What names hold comes from users: whatever is not plain is quoted, so that none can look like
 * another word. The quotes are single ones, since the log's own are double. */
static void word(struct fl_buffer *out, const char *key, struct fl_slice value)
{
    const char *quote = is_plain(value) ? "" : "'";
    fl_buffer_printf(out, " %s=%s", key, quote);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c == '\'' || c < ' ' || c == 127)
            fl_buffer_printf(out, "\\x%02x", c);
        else
            fl_buffer_append_byte(out, (char)c);
    }
    fl_buffer_append_str(out, quote);
}

static void number(struct fl_buffer *out, const char *key, uint64_t value)
{
    fl_buffer_printf(out, " %s=%llu", key, (unsigned long long)value);
}

static void instant(struct fl_buffer *out, const char *key, int64_t wall_s)
{
    char text[CE_TIME_MAX];
    if (wall_s)
        fl_buffer_printf(out, " %s=%.*s", key, (int)ce_time_format_utc(wall_s, text), text);
}

/* Words of a peer may hold what it was given. */
static void last_error(struct fl_buffer *out, const struct gw_component *component,
                       const struct fl_error *error)
{
    char text[sizeof error->text];
    if (error->text[0] == '\0')
        return;
    snprintf(text, sizeof text, "%s", error->text);
    if (component)
        config_component_hide_secrets(component->config, text);
    word(out, "last_error", fl_slice_str(text));
}

/* --- the kinds -------------------------------------------------------------------------------- */

static void dump_counters(struct fl_buffer *out, struct gw_component *component)
{
    const struct connector_counter *counters = component->connector->type->counters;
    gw_component_count(component);
    for (size_t i = 0; component->figures && counters && counters[i].name; i++)
        number(out, counters[i].name, component->figures[i]);
}

static void dump_component(struct dump *dump, struct gw_component *component)
{
    struct fl_buffer *out = &dump->line;
    bool is_in_trouble = !component->is_up || component->is_blocked;
    if (!open_line(dump, is_in_trouble))
        return;
    word(out, "name", component->name);
    word(out, "type", component->config->type);
    fl_buffer_printf(out, " state=%s", gw_component_state_name(component));
    instant(out, component->is_up ? "since" : "last_up", component->connected_wall_s);
    number(out, "reconnects", component->generation);
    number(out, "line", component->line_count);
    number(out, "waiting", component->waiting_count);
    number(out, "calls_in_flight", component->ticket_count);
    if (component->is_blocked)
        fl_buffer_append_str(out, " takes_no_more_now=true");
    if (!component->is_closed)
        dump_counters(out, component);
    last_error(out, component, &component->last_error);
    close_line(dump);
}

static void dump_components(struct gateway *gateway)
{
    struct dump dump = begin(gateway, "component");
    for (int walk = 0; walk < 2; walk++, dump.wants_trouble = false)
        for (size_t i = 0; i < gateway->component_count; i++)
            dump_component(&dump, gateway->components[i]);
    end(&dump);
}

/* An active one that gets nothing, because none does. */
static const char *subscription_state(const struct gw_subscription *subscription)
{
    const struct gw_subscriptions *all = &subscription->gateway->subscriptions;
    if (subscription->state == GW_SUB_ACTIVE && (all->are_stopped || all->are_paused))
        return all->are_stopped ? "stopped" : "paused";
    return gw_subscription_state_name(subscription);
}

static void dump_subscription(struct dump *dump, const struct gw_subscription *subscription)
{
    struct fl_buffer *out = &dump->line;
    bool is_in_trouble = subscription->state != GW_SUB_ACTIVE ||
                         subscription->retry_waiting_count || subscription->last_error.text[0];
    if (!open_line(dump, is_in_trouble))
        return;
    word(out, "pubsub", subscription->config->pubsub);
    word(out, "topic", subscription->config->topic);
    fl_buffer_printf(out, " state=%s", subscription_state(subscription));
    number(out, "window", subscription->window_messages);
    number(out, "unsettled", subscription->unsettled_count);
    number(out, "in_flight", subscription->in_flight_count);
    number(out, "waiting_for_retry", subscription->retry_waiting_count);
    last_error(out, subscription->component, &subscription->last_error);
    close_line(dump);
}

static void dump_subscriptions(struct gateway *gateway)
{
    struct dump dump = begin(gateway, "subscription");
    for (int walk = 0; walk < 2; walk++, dump.wants_trouble = false)
        for (size_t i = 0; i < gateway->subscriptions.count; i++)
            dump_subscription(&dump, &gateway->subscriptions.items[i]);
    end(&dump);
}

static void dump_input(struct dump *dump, const struct gw_input *input)
{
    struct fl_buffer *out = &dump->line;
    bool is_in_trouble = input->is_wanted && input->state != GW_INPUT_READING;
    if (!open_line(dump, is_in_trouble || input->last_error.text[0]))
        return;
    word(out, "binding", input->component->name);
    word(out, "path", input->path);
    fl_buffer_printf(out, " wanted=%s state=%s", input->is_wanted ? "true" : "false",
                     gw_input_state_name(input));
    number(out, "unsettled", input->event_count);
    last_error(out, input->component, &input->last_error);
    close_line(dump);
}

static void dump_inputs(struct gateway *gateway)
{
    struct dump dump = begin(gateway, "input binding");
    for (int walk = 0; walk < 2; walk++, dump.wants_trouble = false)
        for (size_t i = 0; i < gateway->inputs.count; i++)
            dump_input(&dump, &gateway->inputs.items[i]);
    end(&dump);
}

static void dump_breaker(void *context, struct fl_slice component, struct gw_breaker *breaker)
{
    struct dump *dump = context;
    struct fl_buffer *out = &dump->line;
    int64_t now_ms = net_loop_now_ms(dump->gateway->loop);
    enum gw_breaker_state state = gw_breaker_state(breaker, now_ms);
    if (!open_line(dump, state != GW_BREAKER_CLOSED))
        return;
    word(out, "policy", breaker->config->name);
    word(out, "component", component);
    fl_buffer_printf(out, " state=%s", gw_breaker_state_name(state));
    number(out, "requests", breaker->counts.requests);
    number(out, "failures", breaker->counts.total_failures);
    number(out, "consecutive_failures", breaker->counts.consecutive_failures);
    if (state == GW_BREAKER_OPEN)
        number(out, "half_open_in_ms", (uint64_t)gw_breaker_wait_ms(breaker, now_ms));
    close_line(dump);
}

static void dump_breakers(struct gateway *gateway)
{
    struct dump dump = begin(gateway, "circuit breaker");
    for (int walk = 0; walk < 2; walk++, dump.wants_trouble = false)
        gw_breakers_each(gateway, dump_breaker, &dump);
    end(&dump);
}

/* --- the process ------------------------------------------------------------------------------ */

static const char *phase_name(const struct gateway *gateway)
{
    switch (gateway->shutdown.phase) {
    case GW_RUNNING:
        return gateway->is_ready ? "running" : "starting";
    case GW_BLOCKING:
        return "blocking";
    case GW_DRAINING:
        return "draining";
    case GW_CLOSING:
        return "closing";
    case GW_STOPPED:
        return "stopped";
    }
    return "";
}

static void dump_process(const struct gateway *gateway)
{
    struct fl_buffer out = {0};
    struct http_server *server = gateway->api.main.server;
    fl_buffer_printf(&out, "process phase=%s up=", phase_name(gateway));
    gw_duration_append(&out, (fl_clock_ms() - gateway->started_ms) / 1000 * 1000);
    number(&out, "connections", server ? http_server_connection_count(server) : 0);
    number(&out, "requests_under_way", gateway->api.request_count);
    number(&out, "publishes_waiting", gateway->publishing.waiting_count);
    number(&out, "longest_turn_us", (uint64_t)net_loop_longest_turn_ns(gateway->loop) / 1000);
    number(&out, "budget_bytes", gateway->budget.total_bytes);
    number(&out, "budget_used_bytes", gateway->budget.used_bytes);
    number(&out, "budget_waiting_bytes", gateway->budget.waiting_bytes);
    number(&out, "budget_peak_bytes", gateway->budget.peak_bytes);
    write_line(gateway, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
}

static void dump_app(const struct gateway *gateway)
{
    const struct gw_app *app = &gateway->app;
    struct fl_buffer out = {0};
    if (!app->exists)
        return;
    fl_buffer_append_str(&out, "application");
    word(&out, "address", fl_buffer_slice(&app->host));
    fl_buffer_printf(&out, " port=%s health=%s", app->is_discovered ? "open" : "awaited",
                     app->is_healthy ? "good" : "bad");
    number(&out, "calls", (uint64_t)app->active_calls);
    write_line(gateway, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
}

void gw_state_dump(struct gateway *gateway)
{
    dump_process(gateway);
    dump_app(gateway);
    dump_components(gateway);
    dump_subscriptions(gateway);
    dump_inputs(gateway);
    dump_breakers(gateway);
}

static void on_signal(int number_of_signal, void *context)
{
    (void)number_of_signal;
    gw_state_dump(context);
}

enum fl_err gw_state_dump_init(struct gateway *gateway)
{
    return net_loop_on_signal(gateway->loop, SIGUSR1, on_signal, gateway);
}
