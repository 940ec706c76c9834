/* Reads everything as the start of a gateway does, with notes that keep errors, so that one reading
 * tells all; see the header.
 *
 *   configuration files ─► resource folders ─► each component's settings ─► each subscription
 *
 * A component that cannot be had is told once; what depends on it is then not looked at. Without an
 * application's id resources of every scope are read, and what only an application's id decides is
 * asked for the applications that a resource names. */
#include "gateway/cli_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/resources.h"
#include "connectors/registry.h"
#include "gateway/check_components.h"
#include "gateway/check_findings.h"
#include "gateway/check_subscriptions.h"
#include "gateway/cli.h"

struct check {
    const struct config_flags *flags;
    struct gw_findings findings;
    struct fl_arena arena;
    struct config_list folders; /* those that there are */
    struct config_configuration configuration;
    struct config_resources resources;
    struct gw_checked_components components;
};

/* --- what is looked at ------------------------------------------------------------------------ */

/* A name that a text about it may begin with; the loader leaves out slashes at the end. */
static void add_root(struct check *check, struct fl_slice name)
{
    struct config_list *roots = &check->findings.roots;
    while (name.len > 1 && name.data[name.len - 1] == '/')
        name.len--;
    if (name.len)
        roots->items[roots->count++] = fl_slice_str(fl_arena_strdup(&check->arena, name));
}

static bool is_folder(struct check *check, struct fl_slice path)
{
    struct stat status;
    if (stat(path.data, &status) == 0 && S_ISDIR(status.st_mode))
        return true;
    int number = errno;
    bool is_there = access(path.data, F_OK) == 0;
    gw_findings_add(&check->findings, GW_FINDING_ERROR, path.data, 0,
                    is_there           ? "it is no folder; accepted: folders of resource files"
                    : number == ENOENT ? "there is no such folder"
                                       : strerror(number));
    return false;
}

static void list_roots(struct check *check)
{
    const struct config_list *folders = &check->flags->resources_paths;
    const struct config_list *files = &check->flags->config_files;
    size_t most = folders->count + files->count;
    check->findings.roots.items = FL_ARENA_ARRAY(&check->arena, struct fl_slice, most + 1);
    check->folders.items = FL_ARENA_ARRAY(&check->arena, struct fl_slice, folders->count + 1);
    for (size_t i = 0; i < files->count; i++)
        add_root(check, files->items[i]);
    for (size_t i = 0; i < folders->count; i++) {
        add_root(check, folders->items[i]);
        if (is_folder(check, folders->items[i]))
            check->folders.items[check->folders.count++] = folders->items[i];
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Each file by itself, so that a bad one hides nothing in the others. */
static void read_configuration(struct check *check)
{
    const struct config_list *files = &check->flags->config_files;
    config_configuration_init(&check->configuration);
    for (size_t i = 0; i < files->count; i++) {
        const struct config_list one = {&files->items[i], 1};
        struct config_notes notes;
        struct fl_error error;
        config_notes_init(&notes, &check->arena);
        notes.keeps_errors = true;
        if (config_configuration_load(&one, true, &check->arena, &notes, &check->configuration,
                                      &error))
            config_notes_keep(&notes, "", &error);
        gw_findings_add_notes(&check->findings, &notes);
    }
}

static void read_resources(struct check *check)
{
    struct fl_slice id = check->flags->app_id;
    struct fl_error error;
    struct config_load how = {.folders = check->folders,
                              .identity = config_identity_of(id.len ? id : FL_SLICE_LIT("app")),
                              .configuration = &check->configuration,
                              .takes_all_scopes = id.len == 0,
                              .is_strict = true,
                              .keeps_errors = true};
    if (config_resources_load(&how, &check->resources, &error))
        config_notes_keep(&check->resources.notes, "", &error);
    gw_findings_add_notes(&check->findings, &check->resources.notes);
}

/* --- the result ------------------------------------------------------------------------------- */

static void print_number(size_t number, const char *what, struct fl_buffer *out)
{
    fl_buffer_printf(out, "%zu %s%s", number, what, number == 1 ? "" : "s");
}

static void print_sums(const struct check *check, struct fl_buffer *out)
{
    const size_t *counts = check->findings.counts;
    print_number(counts[GW_FINDING_ERROR], "error", out);
    fl_buffer_append_str(out, ", ");
    print_number(counts[GW_FINDING_WARNING], "warning", out);
    fl_buffer_append_str(out, "; looked at ");
    print_number(check->resources.component_count, "component", out);
    fl_buffer_append_str(out, " and ");
    print_number(check->resources.subscriptions.count, "subscription", out);
    fl_buffer_append_byte(out, '\n');
}

static void print_sums_as_json(const struct check *check, struct fl_buffer *out)
{
    const size_t *counts = check->findings.counts;
    fl_buffer_printf(out,
                     "{\"errors\":%zu,\"warnings\":%zu,\"components\":%zu,\"subscriptions\":%zu}\n",
                     counts[GW_FINDING_ERROR], counts[GW_FINDING_WARNING],
                     check->resources.component_count, check->resources.subscriptions.count);
}

static int tell(struct check *check)
{
    struct fl_buffer out = {0};
    const size_t *counts = check->findings.counts;
    bool as_json = check->flags->tool.as_json;
    gw_findings_print(&check->findings, as_json, &out);
    (as_json ? print_sums_as_json : print_sums)(check, &out);
    gw_cli_write(STDOUT_FILENO, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    size_t bad = counts[GW_FINDING_ERROR];
    if (check->flags->is_strict)
        bad += counts[GW_FINDING_WARNING];
    return bad ? 1 : 0;
}

int gw_cli_check(const struct config_flags *flags)
{
    struct check check = {.flags = flags};
    struct connector_registry *registry = connector_registry_new();
    list_roots(&check);
    read_configuration(&check);
    read_resources(&check);
    gw_check_components(&check.resources, registry, &check.arena, &check.findings,
                        &check.components);
    gw_check_subscriptions(&check.resources, &check.components, flags->app_id, &check.arena,
                           &check.findings);
    int status = tell(&check);
    gw_findings_fini(&check.findings);
    config_resources_fini(&check.resources);
    fl_arena_fini(&check.arena);
    connector_registry_free(&registry);
    return status;
}
