/* What the metadata of a component says, read and checked without opening anything: the connector's
 * own settings, and those that every pub/sub component or binding has.
 *
 * Ownership: what is filled lives in the arena given, beside the resources it came from.
 *
 * Thread: the loop's, or a tool's only one.
 */
#ifndef GW_COMPONENT_OPTIONS_H
#define GW_COMPONENT_OPTIONS_H

#include "config/component.h"
#include "config/option.h"
#include "connectors/connector.h"
#include "gateway/consume_options.h"

struct connector_registry;

enum gw_component_kind { GW_PUBSUB, GW_BINDING };

/* Of a binding. */
struct gw_binding_settings {
    struct config_list directions; /* as written */
    struct fl_slice route;         /* empty: the component's name */
    bool is_input, is_output;      /* the sides that are used */
    bool skips_probe;              /* `input` was named: the application is not asked */
};

/* Rows for validation and for the manual. */
extern const struct config_option gw_pubsub_options[];
extern const struct config_option gw_binding_options[];

struct gw_component_setting {
    const struct config_component *config;
    enum gw_component_kind kind;
    struct connector_registry *registry;
    struct fl_arena *arena;
    struct config_notes *notes;
    bool is_strict;
};

struct gw_component_settings {
    const struct connector_type *type;
    void *own; /* the connector's, settings_size bytes; NULL when it has none */
    struct connector_traits traits;
    struct gw_consume consume;          /* of a pub/sub component */
    struct gw_binding_settings binding; /* of a binding */
};

/* FL_ERR_NOT_FOUND: no connector serves the type. FL_ERR_INVALID and others: the metadata is
 * wrong; the text names the component, the file and the line. */
enum fl_err gw_component_read_settings(const struct gw_component_setting *how,
                                       struct gw_component_settings *settings,
                                       struct fl_error *error) FL_MUST_USE;

/* FL_ERR_INVALID, with a text that says where the type stands, what it lacks and what is nearest.
 */
enum fl_err gw_component_refuse_category(const struct config_component *config,
                                         struct fl_error *error);

/* The consumer group: the metadata's consumerID, or the application's id. */
struct fl_slice gw_component_consumer_id(const struct config_component *config,
                                         struct fl_slice app_id);

#endif
