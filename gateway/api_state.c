/* State as JSON. daprd's clients compare and decode the metadata document, so it is added only for
 * those who ask. Errors are shown as they were logged, without the secrets of the component. */
#include "gateway/api_state.h"

#include "cloudevents/json_write.h"
#include "cloudevents/timestamp.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/input_binding.h"
#include "gateway/state_names.h"

bool gw_api_state_is_asked(struct fl_slice query)
{
    while (query.len) {
        size_t end = fl_slice_find_byte(query, '&');
        if (fl_slice_eq_str(fl_slice_of(query.data, end), "state=true"))
            return true;
        size_t used = end == query.len ? end : end + 1;
        query = fl_slice_of(query.data + used, query.len - used);
    }
    return false;
}

/* --- members --- */

static void text(struct fl_buffer *out, const char *name, struct fl_slice value)
{
    ce_json_append_key(out, name);
    ce_json_append_string(out, value);
}

static void count(struct fl_buffer *out, const char *name, size_t value)
{
    ce_json_append_key(out, name);
    fl_buffer_append_u64(out, value);
}

static void since(struct fl_buffer *out, int64_t wall_s)
{
    char time[CE_TIME_MAX];
    text(out, "since", fl_slice_of(time, ce_time_format_utc(wall_s, time)));
}

static void last_error(struct fl_buffer *out, const struct fl_error *error)
{
    if (error->text[0])
        text(out, "lastError", fl_slice_str(error->text));
}

static void open_object(struct fl_buffer *out)
{
    bool is_first = out->data[out->len - 1] == '[';
    fl_buffer_append_str(out, is_first ? "{" : ",{");
}

static void open_list(struct fl_buffer *out, const char *name)
{
    ce_json_append_key(out, name);
    fl_buffer_append_byte(out, '[');
}

/* --- components --- */

static void one_component(struct fl_buffer *out, const struct gw_component *component)
{
    open_object(out);
    text(out, "name", component->name);
    text(out, "state", fl_slice_str(gw_component_state_name(component)));
    if (component->is_up)
        since(out, component->connected_wall_s);
    last_error(out, &component->last_error);
    count(out, "waiting", component->waiting_count);
    count(out, "inFlight", component->sent_count + component->ticket_count);
    fl_buffer_append_byte(out, '}');
}

/* One that was declared and cannot be had. */
static void absent_component(struct fl_buffer *out, const struct config_component *config)
{
    open_object(out);
    text(out, "name", config->name);
    text(out, "state", FL_SLICE_LIT("absent"));
    text(out, "lastError",
         fl_slice_str(config->trouble ? config->trouble : "its secret store is not loaded"));
    fl_buffer_append_byte(out, '}');
}

static void components(struct fl_buffer *out, const struct gateway *gateway)
{
    open_list(out, "components");
    for (size_t i = 0; i < gateway->component_count; i++)
        one_component(out, gateway->components[i]);
    for (size_t i = 0; i < gateway->resources.component_count; i++)
        if (gateway->resources.components[i].standing != CONFIG_SOUND)
            absent_component(out, &gateway->resources.components[i]);
    fl_buffer_append_byte(out, ']');
}

/* --- what is subscribed and read --- */

static void one_subscription(struct fl_buffer *out, const struct gw_subscription *subscription)
{
    open_object(out);
    text(out, "pubsubname", subscription->config->pubsub);
    text(out, "topic", subscription->config->topic);
    text(out, "state", fl_slice_str(gw_subscription_state_name(subscription)));
    if (subscription->state == GW_SUB_ACTIVE)
        since(out, subscription->active_wall_s);
    last_error(out, &subscription->last_error);
    count(out, "unsettled", subscription->unsettled_count);
    count(out, "inFlight", subscription->in_flight_count);
    count(out, "waitingForRetry", subscription->retry_waiting_count);
    fl_buffer_append_byte(out, '}');
}

static void one_input(struct fl_buffer *out, const struct gw_input *input)
{
    open_object(out);
    text(out, "name", input->component->name);
    text(out, "state", fl_slice_str(gw_input_state_name(input)));
    if (input->state == GW_INPUT_READING)
        since(out, input->reading_wall_s);
    last_error(out, &input->last_error);
    count(out, "unsettled", input->event_count);
    fl_buffer_append_byte(out, '}');
}

void gw_api_state_append(struct fl_buffer *out, const struct gateway *gateway)
{
    ce_json_append_key(out, "fairlead");
    fl_buffer_append_byte(out, '{');
    components(out, gateway);
    open_list(out, "subscriptions");
    for (size_t i = 0; i < gateway->subscriptions.count; i++)
        one_subscription(out, &gateway->subscriptions.items[i]);
    fl_buffer_append_byte(out, ']');
    open_list(out, "inputBindings");
    for (size_t i = 0; i < gateway->inputs.count; i++)
        one_input(out, &gateway->inputs.items[i]);
    fl_buffer_append_str(out, "]}");
}
