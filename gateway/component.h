/* A component, pub/sub or binding: one connector instance with its name, its scopes, its policy and
 * its line of publishes.
 *
 * The component opens the connector, follows its state, offers publishes in one batch a turn and
 * keeps in line what the connector does not take, batches settlements, and closes it.
 *
 * Thread: the loop's.
 */
#ifndef GW_COMPONENT_H
#define GW_COMPONENT_H

#include "config/component.h"
#include "config/scopes.h"
#include "connectors/connector.h"
#include "gateway/component_options.h"
#include "gateway/components.h"
#include "gateway/policy.h"
#include "net/loop.h"

struct gateway;
struct gw_input;
struct gw_publish;

enum { GW_PUBLISH_BATCH = 256, GW_SETTLE_BATCH = 256 };

struct gw_component {
    struct gateway *gateway;
    const struct config_component *config;
    enum gw_component_kind kind;
    struct fl_slice name;
    struct connector *connector;
    struct gw_policy outbound; /* of publishes and invocations */
    struct gw_binding_settings binding;
    struct gw_input *input; /* of an input binding; NULL: none */
    struct config_scopes scopes;
    struct gw_consume consume;    /* what its subscriptions do unless they say otherwise */
    struct fl_slice topic_prefix; /* of a component with a {namespace} tag; else empty */
    struct fl_arena arena;        /* settings and scopes */
    bool is_up, is_closed, warned;
    uint32_t generation;         /* ends when the connection is lost */
    struct net_timer init_timer; /* says after initTimeout that the peer is still away */
    int64_t connected_wall_s;
    struct fl_error last_error;
    struct fl_list line; /* of gw_publish: accepted, not yet taken by the connector */
    size_t line_count;
    size_t sent_count;    /* publishes that the connector took and has not answered */
    size_t fresh_count;   /* at the end of the line: came since it was last offered */
    size_t waiting_count; /* for room in the budget, or in line beyond a turn */
    bool is_blocked;      /* the connector did not take everything; `writable` ends that */
    struct net_task flush;
    struct connector_settlement settlements[GW_SETTLE_BATCH];
    size_t settlement_count;
    struct net_task settle;
    struct net_timer extend_timer; /* leases of what is being worked on */
    struct fl_list tickets;        /* calls of `invoke` that are not answered yet */
    size_t ticket_count;
    uint64_t *figures; /* room for what the connector counts */
};

extern const struct connector_callbacks gw_connector_callbacks; /* of pub/sub components */
extern const struct connector_callbacks gw_binding_callbacks;

/* Reads its settings and opens its connector. FL_ERR_NOT_FOUND: no connector serves its type. */
enum fl_err gw_component_open(struct gateway *gateway, const struct config_component *config,
                              enum gw_component_kind kind, struct gw_component **component,
                              struct fl_error *error) FL_MUST_USE;

/* Starts closing; `is_closed` tells when it is done. */
void gw_component_close(struct gw_component *component, int64_t deadline_at_ms);
void gw_component_free(struct gw_component **component);

/* Puts a publish at the end of the component's line; it is offered at the end of the turn. */
void gw_component_enqueue(struct gw_component *component, struct gw_publish *publish);

/* One settlement, carried out at the end of the turn. */
void gw_component_settle(struct gw_component *component, const struct connector_settlement *one);
/* Carries out now what was gathered. */
void gw_component_flush_settlements(struct gw_component *component);

/* Writes what the connector counts into the metrics, as it is now. */
void gw_component_count(struct gw_component *component);

/* daprd's names of what a component can do, for metadata: up to `room` of them; returns the count.
 */
size_t gw_component_capabilities(const struct gw_component *component, const char **names,
                                 size_t room);

#endif
