/* What users read of a component, a subscription and an input binding: the words for their states,
 * in GET /v1.0/metadata?state=true as in the state dump.
 *
 * Ownership: static text. Thread: the loop's.
 */
#ifndef GW_STATE_NAMES_H
#define GW_STATE_NAMES_H

struct gw_component;
struct gw_input;
struct gw_subscription;

const char *gw_component_state_name(const struct gw_component *component);
const char *gw_subscription_state_name(const struct gw_subscription *subscription);
const char *gw_input_state_name(const struct gw_input *input);

#endif
