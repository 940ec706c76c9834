/* Input bindings: which of them the application wants, and reading those.
 *
 *   IDLE ─► STARTING ─► READING ─► STOPPING ─► IDLE
 *
 * At start, after the subscriptions, and each time the application turns healthy, it is asked for
 * one binding after the other whether it wants the events: OPTIONS at the path they go to. A
 * binding whose `direction` names input is read without asking. An answer that refuses leaves this
 * one alone; no answer leaves it and those not yet asked alone until the application turns healthy
 * again (http-api.md §7).
 *
 * A wanted binding is read while its component is connected, the application is healthy and the
 * process is not ending; a subscribe that fails is repeated with back-off. What becomes of an event
 * is in input_event.h.
 *
 * Thread: the loop's.
 */
#ifndef GW_INPUT_BINDING_H
#define GW_INPUT_BINDING_H

#include "base/buffer.h"
#include "connectors/connector.h"
#include "gateway/app.h"
#include "gateway/policy.h"
#include "net/loop.h"

struct gateway;
struct gw_component;

/* Events of one input binding that may be unsettled at a time, unless the connector wants another
 * number. */
enum { GW_INPUT_WINDOW_EVENTS = 64, GW_INPUT_WINDOW_BYTES = 16 * 1024 * 1024 };

enum gw_input_state { GW_INPUT_IDLE, GW_INPUT_STARTING, GW_INPUT_READING, GW_INPUT_STOPPING };

struct gw_input {
    struct gateway *gateway;
    struct gw_component *component;
    struct connector_subscription feed;
    enum gw_input_state state;
    bool is_wanted;        /* by the application, as far as it is known now */
    uint32_t reading;      /* its number; settlements of a former one are not carried out */
    struct fl_slice path;  /* of the application; lives in the component's arena */
    struct fl_buffer head; /* of an event's request, up to what differs from event to event */
    size_t agent_bytes;    /* of its last line, the User-Agent */
    struct gw_policy policy;
    struct net_timer retry_timer; /* of a subscribe that failed */
    int64_t retry_wait_ms;
    int64_t reading_wall_s; /* when reading began last */
    struct fl_list events;  /* of gw_input_event: unsettled, in the order in which they came */
    size_t event_count;
    size_t stale_count; /* of them: of a former connection or reading, and worked on still */
    struct fl_list revoked_lanes; /* input_event.c's */
    int64_t warned_ms;            /* of the last line about failing events */
    struct fl_error last_error;   /* of subscribing; its text is empty when there is none */
};

struct gw_inputs {
    struct gw_input *items;
    size_t count;
    bool are_started; /* start-up came to them */
    bool are_stopped; /* for good: the process ends */
    bool is_asking;
    size_t asked; /* the one being asked about */
    struct gw_app_call question;
    struct fl_buffer question_bytes;
};

/* Makes one for each component that is read; says which bindings there are. */
void gw_inputs_init(struct gateway *gateway);

/* The subscriptions have started: asks, reads, and marks the gateway as ready when the last answer
 * is there. */
void gw_inputs_start(struct gateway *gateway);

/* The connection of a component came or went. */
void gw_inputs_on_component(struct gw_component *component);
void gw_inputs_on_health(struct gateway *gateway, bool is_healthy);

/* Nothing new is read; what the application works on goes on. */
void gw_inputs_stop(struct gateway *gateway);
/* Events that are being worked on or settled. */
size_t gw_inputs_in_flight(const struct gateway *gateway);
void gw_inputs_fini(struct gateway *gateway);

/* The window as it should be now: what is worked on for a former connection or reading takes a part
 * of it. */
void gw_input_apply_window(struct gw_input *input);

/* Callbacks of connectors. */
void gw_inputs_on_subscribed(struct connector *connector, struct connector_subscription *feed,
                             const struct fl_error *error);
void gw_inputs_on_unsubscribed(struct connector *connector, struct connector_subscription *feed);

#endif
