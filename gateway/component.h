/* A pub/sub component: one connector instance with its name, its scopes and its line of publishes.
 *
 * The component opens the connector, follows its state, offers publishes in one batch a turn and
 * keeps in line what the connector does not take, batches settlements, and closes it.
 *
 * Thread: the loop's.
 */
#ifndef GW_COMPONENT_H
#define GW_COMPONENT_H

#include "config/component.h"
#include "config/resiliency.h"
#include "config/scopes.h"
#include "connectors/connector.h"
#include "gateway/consume_options.h"
#include "net/loop.h"

struct gateway;
struct gw_publish;

enum { GW_PUBLISH_BATCH = 256, GW_SETTLE_BATCH = 256 };

struct gw_component {
    struct gateway *gateway;
    const struct config_component *config;
    struct fl_slice name;
    struct connector *connector;
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

extern const struct connector_callbacks gw_connector_callbacks;

/* Opens all components of the resources in order; skips what belongs to other building blocks with
 * a line. FL_ERR_INVALID: one that does not ignore errors failed, `error` has daprd's text. */
enum fl_err gw_components_open(struct gateway *gateway, struct fl_error *error) FL_MUST_USE;

/* NULL when there is none of that name. */
struct gw_component *gw_component_find(const struct gateway *gateway, struct fl_slice name);

/* Puts a publish at the end of the component's line; it is offered at the end of the turn. */
void gw_component_enqueue(struct gw_component *component, struct gw_publish *publish);

/* One settlement, carried out at the end of the turn. */
void gw_component_settle(struct gw_component *component, const struct connector_settlement *one);
/* Carries out now what was gathered. */
void gw_component_flush_settlements(struct gw_component *component);

/* Starts closing all; gw_components_are_closed tells when it is done. */
void gw_components_close(struct gateway *gateway, int64_t deadline_at_ms);
bool gw_components_are_closed(const struct gateway *gateway);
void gw_components_free(struct gateway *gateway);

/* Writes what the connector counts into the metrics, as it is now. */
void gw_component_count(struct gw_component *component);

/* daprd's names of what a component can do, for metadata: up to `room` of them; returns the count.
 */
size_t gw_component_capabilities(const struct gw_component *component, const char **names,
                                 size_t room);

#endif
