/* The words for states, as docs/metadata.md lists them. */
#include "gateway/state_names.h"

#include "gateway/component.h"
#include "gateway/input_binding.h"
#include "gateway/subscriptions.h"

const char *gw_component_state_name(const struct gw_component *component)
{
    if (component->is_closed)
        return "closed";
    if (component->is_up)
        return "up";
    return component->connected_wall_s ? "down" : "connecting";
}

const char *gw_subscription_state_name(const struct gw_subscription *subscription)
{
    switch (subscription->state) {
    case GW_SUB_INERT:
        return "inert";
    case GW_SUB_WAITING:
        return "waiting";
    case GW_SUB_STARTING:
        return "starting";
    case GW_SUB_ACTIVE:
        return "active";
    }
    return "";
}

const char *gw_input_state_name(const struct gw_input *input)
{
    switch (input->state) {
    case GW_INPUT_IDLE:
        return "idle";
    case GW_INPUT_STARTING:
        return "starting";
    case GW_INPUT_READING:
        return "reading";
    case GW_INPUT_STOPPING:
        return "stopping";
    }
    return "";
}
