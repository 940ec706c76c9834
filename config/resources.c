/* Loading the folders, in the order that daprd shows: files by name, documents by place. Each
 * file's tree lives in a scratch arena that goes when the file is done; what is kept was copied
 * out.
 *
 * Subscriptions are collected with their position and sorted at the end, when it is also known
 * which components there are for what resiliency names. */
#include "config/resources.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "config/loader_priv.h"
#include "config/resolve.h"

#define BYTES_MAX ((size_t)64 * 1024 * 1024)

/* --- files and folders ------------------------------------------------------------------------ */

static bool is_yaml_name(const char *name)
{
    struct fl_slice text = fl_slice_str(name);
    static const char *const endings[] = {".yaml", ".yml"};
    for (size_t i = 0; i < 2; i++) {
        struct fl_slice ending = fl_slice_str(endings[i]);
        if (text.len >= ending.len &&
            fl_slice_eq_nocase(fl_slice_of(text.data + text.len - ending.len, ending.len), ending))
            return true;
    }
    return false;
}

static enum fl_err load_file(struct config_loader *l, const char *path)
{
    struct fl_slice text;
    struct fl_error cause;
    l->path = path;
    if (config_read_file(path, &l->scratch, &text, &cause) != FL_OK) {
        struct config_reader reader = config_loader_reader(l);
        return config_field_doubt(&reader, l->error,
                                  "daprd load Component error when reading file: %s", cause.text);
    }
    l->byte_count += text.len;
    if (++l->file_count > CONFIG_FILES_MAX || l->byte_count > BYTES_MAX)
        return fl_error_set(l->error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL,
                            "failed to load components: more than %d files or 64 MiB of resources "
                            "(at %s)",
                            CONFIG_FILES_MAX, path);
    enum fl_err err = config_loader_read(l, text);
    fl_arena_fini(&l->scratch);
    l->scratch = (struct fl_arena){0};
    return err;
}

static enum fl_err refuse_folder(struct config_loader *l, const char *folder, int number)
{
    bool is_watched =
        !l->how->configuration || config_feature_is_enabled(l->how->configuration, "HotReload");
    char reason[128];
    snprintf(reason, sizeof reason, "%s", strerror(number));
    reason[0] = fl_ascii_lower(reason[0]);
    return fl_error_set(l->error, number == ENOENT ? FL_ERR_NOT_FOUND : FL_ERR_SYSTEM,
                        FL_CLASS_FATAL,
                        is_watched ? "failed to create watcher: failed to add target %s: %s"
                                   : "failed to load components: open %s: %s",
                        folder, reason);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum fl_err load_entry(struct config_loader *l, const char *folder,
                              const struct dirent *entry)
{
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return FL_OK;
    char *path = fl_arena_printf(&l->resources->arena, "%s/%s", folder, entry->d_name);
    if (!is_yaml_name(entry->d_name) || entry->d_type == DT_DIR) {
        config_note(&l->resources->notes, FL_LOG_WARNING, CONFIG_LOADER_SCOPE,
                    "A non-YAML Component file %s was detected, it will not be loaded",
                    entry->d_name);
        return FL_OK;
    }
    return load_file(l, path);
}

static enum fl_err load_folder(struct config_loader *l, struct fl_slice folder)
{
    struct dirent **entries;
    while (folder.len > 1 && folder.data[folder.len - 1] == '/')
        folder.len--;
    const char *name = fl_arena_strdup(&l->resources->arena, folder);
    int count = scandir(name, &entries, NULL, by_name);
    if (count < 0)
        return refuse_folder(l, name, errno);
    enum fl_err err = FL_OK;
    for (int i = 0; i < count; i++) {
        if (err == FL_OK)
            err = load_entry(l, name, entries[i]);
        free(entries[i]);
    }
    free(entries);
    return err;
}

/* --- the result ------------------------------------------------------------------------------- */

static void *keep(struct config_loader *l, const void *items, size_t count, size_t size)
{
    void *copy = fl_arena_alloc(&l->resources->arena, count * size + 1);
    if (count)
        memcpy(copy, items, count * size);
    return copy;
}

static void finish_components(struct config_loader *l)
{
    struct config_resources *resources = l->resources;
    const struct config_resolve how = {.identity = &l->how->identity,
                                       .arena = &resources->arena,
                                       .notes = &resources->notes,
                                       .is_strict = l->how->is_strict};
    resources->components = keep(l, l->components, l->component_count, sizeof *l->components);
    resources->component_count = l->component_count;
    config_components_resolve(&how, resources->components, resources->component_count);
}

static int by_position(const void *a, const void *b)
{
    const struct config_positioned *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static enum fl_err doubt_replaced(struct config_loader *l,
                                  const struct config_subscription *earlier,
                                  const struct config_subscription *later)
{
    struct config_reader reader = config_loader_reader(l);
    return config_field_doubt(&reader, l->error,
                              "%s:%u: the Subscription \"%.*s\" takes the place of the one of the "
                              "same name at %s:%u",
                              later->file, later->line, FL_SLICE_ARG(later->name), earlier->file,
                              earlier->line);
}

/* A later subscription of the same name takes the earlier one's place. */
static enum fl_err replace_namesakes(struct config_loader *l, size_t *count)
{
    struct config_positioned *items = l->subscriptions;
    struct fl_map names = {0};
    size_t kept = 0;
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < l->subscription_count && err == FL_OK; i++) {
        struct config_positioned *earlier = fl_map_find(&names, items[i].subscription.name);
        if (earlier) {
            err = doubt_replaced(l, &earlier->subscription, &items[i].subscription);
            *earlier = items[i];
            continue;
        }
        items[kept] = items[i];
        fl_map_set(&names, items[kept].subscription.name, &items[kept]);
        kept++;
    }
    fl_map_fini(&names);
    *count = kept;
    return err;
}

/* The first of a topic counts; a later one is told, since its rules are never asked. */
static enum fl_err add_if_first(struct config_loader *l, struct fl_map *seen,
                                const struct config_subscription *subscription)
{
    struct config_subscriptions *out = &l->resources->subscriptions;
    struct fl_slice key = config_subscription_key(subscription, &l->scratch);
    const struct config_subscription *first = fl_map_find(seen, key);
    struct config_reader reader = config_loader_reader(l);
    if (first && config_loader_can_meet(l, &first->scopes, &subscription->scopes))
        return config_field_doubt(&reader, l->error,
                                  "%s:%u: the Subscription \"%.*s\" has no effect: \"%.*s\" at "
                                  "%s:%u comes first for topic \"%.*s\" of pubsub \"%.*s\"",
                                  subscription->file, subscription->line,
                                  FL_SLICE_ARG(subscription->name), FL_SLICE_ARG(first->name),
                                  first->file, first->line, FL_SLICE_ARG(subscription->topic),
                                  FL_SLICE_ARG(subscription->pubsub));
    out->items[out->count] = *subscription;
    fl_map_set(seen, key, &out->items[out->count++]);
    return FL_OK;
}

static enum fl_err finish_subscriptions(struct config_loader *l)
{
    struct config_subscriptions *out = &l->resources->subscriptions;
    struct fl_map seen = {0};
    size_t count;
    if (l->subscription_count)
        qsort(l->subscriptions, l->subscription_count, sizeof *l->subscriptions, by_position);
    enum fl_err err = replace_namesakes(l, &count);
    out->items = FL_ARENA_ARRAY(&l->resources->arena, struct config_subscription, count + 1);
    for (size_t i = 0; i < count && err == FL_OK; i++)
        if (config_loader_is_in_scope(l, &l->subscriptions[i].subscription.scopes))
            err = add_if_first(l, &seen, &l->subscriptions[i].subscription);
    fl_map_fini(&seen);
    return err;
}

static enum fl_err finish_resiliency(struct config_loader *l)
{
    struct config_resiliency *resiliency = &l->resources->resiliency;
    struct config_notes *notes = &l->resources->notes;
    resiliency->names =
        (struct config_list){keep(l, l->resiliencies, l->resiliency_count, sizeof *l->resiliencies),
                             l->resiliency_count};
    enum fl_err err = config_resiliency_check(resiliency, notes, l->how->is_strict, l->error);
    if (err == FL_OK)
        err = config_resiliency_check_targets(resiliency, &l->seen_names, notes, l->how->is_strict,
                                              l->error);
    return err;
}

static enum fl_err finish(struct config_loader *l)
{
    finish_components(l);
    l->resources->http_endpoints = (struct config_list){
        keep(l, l->endpoints, l->endpoint_count, sizeof *l->endpoints), l->endpoint_count};
    enum fl_err err = finish_subscriptions(l);
    return err == FL_OK ? finish_resiliency(l) : err;
}

enum fl_err config_resources_load(const struct config_load *how, struct config_resources *resources,
                                  struct fl_error *error)
{
    struct config_loader l = {.how = how, .resources = resources, .error = error};
    *resources = (struct config_resources){0};
    config_notes_init(&resources->notes, &resources->arena);
    resources->notes.keeps_errors = how->keeps_errors;
    config_resiliency_init(&resources->resiliency, &resources->arena);
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < how->folders.count && err == FL_OK; i++)
        err = config_loader_go_on(&l, load_folder(&l, how->folders.items[i]));
    if (err == FL_OK && how->makes_default)
        err = config_loader_add_default(&l);
    if (err == FL_OK)
        err = finish(&l);
    fl_free(l.components);
    fl_free(l.subscriptions);
    fl_free(l.endpoints);
    fl_free(l.resiliencies);
    fl_map_fini(&l.names);
    fl_map_fini(&l.seen_names);
    fl_arena_fini(&l.scratch);
    return err;
}

void config_resources_fini(struct config_resources *resources)
{
    config_resiliency_fini(&resources->resiliency);
    fl_arena_fini(&resources->arena);
    *resources = (struct config_resources){0};
}
