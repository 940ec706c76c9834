/* Changes of resources on disk; see the header.
 *
 * An editor's save is several events, and so is an update of a mounted volume, which swaps a
 * symbolic link; so a line is written when it has been quiet for a moment. */
#include "gateway/resource_watch.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "gateway/gateway.h"
#include "net/watch.h"

#define SCOPE "dapr.runtime.hotreload"

enum { QUIET_MS = 300, MOST_NAMES = 8, MOST_NAME_BYTES = 1024 };

/* One folder; of a configuration file's folder only that file counts. */
struct place {
    struct gw_resource_watch *all;
    struct net_watch *watch;
    char *folder;
    char *file; /* NULL: every YAML file */
};

struct gw_resource_watch {
    struct gateway *gateway;
    struct place *places;
    size_t count;
    struct net_timer quiet_timer;
    struct config_list changed; /* paths, each once */
    size_t more;                /* that found no room in the list */
};

static bool has_ending(const char *name, const char *ending)
{
    size_t len = strlen(name), ending_len = strlen(ending);
    return len > ending_len && strcasecmp(name + len - ending_len, ending) == 0;
}

/* "..data" is the link that Kubernetes swaps when a mounted volume changes. */
static bool matters(const struct place *place, const char *name)
{
    if (strcmp(name, "..data") == 0)
        return true;
    if (place->file)
        return strcmp(name, place->file) == 0;
    return name[0] != '.' && (has_ending(name, ".yaml") || has_ending(name, ".yml"));
}

static void forget_changes(struct gw_resource_watch *all)
{
    for (size_t i = 0; i < all->changed.count; i++)
        fl_free((char *)all->changed.items[i].data);
    all->changed.count = 0;
    all->more = 0;
}

static void note_change(struct gw_resource_watch *all, const struct place *place, const char *name)
{
    struct fl_buffer path = {0};
    fl_buffer_printf(&path, "%s/%.*s", place->folder, MOST_NAME_BYTES, name);
    struct fl_slice text = fl_buffer_slice(&path);
    if (!config_list_has(&all->changed, text)) {
        if (all->changed.count < MOST_NAMES)
            all->changed.items[all->changed.count++] = fl_slice_str(fl_strdup(text));
        else
            all->more++;
    }
    fl_buffer_fini(&path);
}

static void on_change(void *context, const char *name)
{
    struct place *place = context;
    struct gw_resource_watch *all = place->all;
    if (!name || !matters(place, name))
        return;
    note_change(all, place, name);
    net_timer_start(all->gateway->loop, &all->quiet_timer,
                    net_loop_now_ms(all->gateway->loop) + QUIET_MS);
}

static void on_quiet(struct net_timer *timer)
{
    struct gw_resource_watch *all = FL_CONTAINER(timer, struct gw_resource_watch, quiet_timer);
    struct fl_buffer names = {0};
    for (size_t i = 0; i < all->changed.count; i++)
        fl_buffer_printf(&names, "%s%.*s", i ? ", " : "", FL_SLICE_ARG(all->changed.items[i]));
    if (all->more)
        fl_buffer_printf(&names, " and %zu more", all->more);
    FL_WARN(all->gateway->log, SCOPE,
            "Resources changed on disk: %s. What was loaded stays in use until SIGHUP or the next "
            "start",
            fl_buffer_cstr(&names));
    fl_buffer_fini(&names);
    forget_changes(all);
}

static void watch_place(struct gw_resource_watch *all, struct fl_slice folder, const char *file)
{
    struct fl_error error;
    struct place *place = &all->places[all->count++];
    place->all = all;
    place->folder = fl_strdup(folder);
    place->file = file ? fl_strdup(fl_slice_str(file)) : NULL;
    if (net_watch_start(all->gateway->loop, place->folder, on_change, place, &place->watch, &error))
        FL_INFO(all->gateway->log, SCOPE, "changes on disk will not be noticed: %s", error.text);
}

static void watch_file(struct gw_resource_watch *all, struct fl_slice path)
{
    const char *slash = memrchr(path.data, '/', path.len);
    size_t at = slash ? (size_t)(slash - path.data) : 0;
    struct fl_slice folder = slash ? fl_slice_of(path.data, at ? at : 1) : FL_SLICE_LIT(".");
    watch_place(all, folder, path.data + (slash ? at + 1 : 0));
}

void gw_resource_watch_start(struct gateway *gateway)
{
    const struct config_flags *flags = gateway->flags;
    const struct config_list *folders = &flags->resources_paths, *files = &flags->config_files;
    struct gw_resource_watch *all = fl_zalloc(sizeof *all);
    all->gateway = gateway;
    all->quiet_timer.expired = on_quiet;
    all->places = fl_zalloc(sizeof *all->places * (folders->count + files->count + 1));
    all->changed.items = fl_zalloc(sizeof *all->changed.items * MOST_NAMES);
    gateway->resource_watch = all;
    for (size_t i = 0; i < folders->count; i++)
        watch_place(all, folders->items[i], NULL);
    for (size_t i = 0; i < files->count; i++)
        watch_file(all, files->items[i]);
}

void gw_resource_watch_stop(struct gateway *gateway)
{
    struct gw_resource_watch *all = gateway->resource_watch;
    if (!all)
        return;
    net_timer_stop(gateway->loop, &all->quiet_timer);
    for (size_t i = 0; i < all->count; i++) {
        net_watch_stop(&all->places[i].watch);
        fl_free(all->places[i].folder);
        fl_free(all->places[i].file);
    }
    forget_changes(all);
    fl_free(all->changed.items);
    fl_free(all->places);
    FL_FREE(gateway->resource_watch);
}
