/* Between resources.c, which walks folders and makes the result, and resource_kinds.c, which knows
 * what a document may be.
 *
 * Thread: one at a time.
 */
#ifndef FL_CONFIG_LOADER_PRIV_H
#define FL_CONFIG_LOADER_PRIV_H

#include "base/map.h"
#include "config/resources.h"
#include "config/resources_priv.h"

#define CONFIG_LOADER_SCOPE "dapr.runtime.loader.disk"

struct config_positioned {
    struct config_subscription subscription;
    size_t position, order;
};

struct config_loader {
    const struct config_load *how;
    struct config_resources *resources;
    struct fl_error *error;
    struct config_component *components;
    size_t component_count, component_room;
    struct config_positioned *subscriptions;
    size_t subscription_count, subscription_room;
    struct fl_slice *endpoints, *resiliencies;
    size_t endpoint_count, endpoint_room;
    size_t resiliency_count, resiliency_room;
    struct fl_map names;      /* struct config_component *: accepted ones */
    struct fl_map seen_names; /* of every Component document that could be read */
    size_t file_count, byte_count;

    /* The document at hand. */
    struct fl_arena scratch;
    const char *path;
    size_t position;
};

/* Doubts are told in this reader's name. */
struct config_reader config_loader_reader(struct config_loader *loader);

/* Reads all documents of one file's text; `loader->path` names it. */
enum fl_err config_loader_read(struct config_loader *loader, struct fl_slice text) FL_MUST_USE;

/* Passes the gates of a component that no file declares. */
enum fl_err config_loader_add_default(struct config_loader *loader) FL_MUST_USE;

/* What notes keep does not end the load; a bound does. */
enum fl_err config_loader_go_on(struct config_loader *loader, enum fl_err err) FL_MUST_USE;

/* Whether a resource with these scopes is meant for this application. */
bool config_loader_is_in_scope(const struct config_loader *loader,
                               const struct config_list *scopes);

/* Whether one application may get both of two resources that are in scope. */
bool config_loader_can_meet(const struct config_loader *loader, const struct config_list *a,
                            const struct config_list *b);

#endif
