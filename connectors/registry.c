/* Linked-in connectors and modules behind one look-up; see the header.
 *
 * Types that are known stand in one array: first those linked in, then those of opened modules. A
 * type that is not there is looked for in the module that its name suggests (`pubsub.acme.queues` →
 * `connector-acme-queues.so`); if that does not exist, all modules are opened, since one may serve
 * types of any name. That costs a few milliseconds and happens only where the alternative is an
 * error.
 *
 * Modules are never closed: their constants and their threads' code stay in use.
 */
#include "connectors/registry.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "config/spelling.h"
#include "connectors/memory/memory.h"

#define MODULE_PREFIX "connector-"
#define MODULE_SUFFIX ".so"
#define MODULE_SYMBOL "fairlead_connector"

enum { FOLDERS = 2 };

/* The Makefile says which: CONNECTOR(sqlite) CONNECTOR(http) … */
#define CONNECTOR(system) extern const struct connector_type cn_##system##_type;
CONNECTORS
#undef CONNECTOR

#define CONNECTOR(system) &cn_##system##_type,
static const struct connector_type *const linked_in[] = {&cn_memory_type, CONNECTORS};
#undef CONNECTOR

struct connector_registry {
    const struct connector_type **types;
    size_t count;
    char *folders[FOLDERS]; /* NULL: unknown */
};

static bool has_type(const struct connector_registry *registry, const struct connector_type *type)
{
    for (size_t i = 0; i < registry->count; i++) {
        if (registry->types[i] == type)
            return true;
    }
    return false;
}

/* All types of one module. */
static void add_types(struct connector_registry *registry, const struct connector_type *type)
{
    for (; type && !has_type(registry, type); type = type->next) {
        registry->types =
            fl_realloc(registry->types, sizeof *registry->types * (registry->count + 1));
        registry->types[registry->count++] = type;
    }
}

static void find_folders(struct connector_registry *registry)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path);
    if (len <= 0 || (size_t)len == sizeof path)
        return;
    while (len > 0 && path[len - 1] != '/')
        len--;
    static const char *const below[FOLDERS] = {"connectors", "../lib/fairlead"};
    for (int i = 0; i < FOLDERS; i++) {
        struct fl_buffer folder = {0};
        fl_buffer_append(&folder, path, (size_t)len);
        fl_buffer_append_str(&folder, below[i]);
        registry->folders[i] = fl_strdup(fl_buffer_slice(&folder));
        fl_buffer_fini(&folder);
    }
}

struct connector_registry *connector_registry_new(void)
{
    struct connector_registry *registry = fl_zalloc(sizeof *registry);
    for (size_t i = 0; i < sizeof linked_in / sizeof *linked_in; i++)
        add_types(registry, linked_in[i]);
    find_folders(registry);
    return registry;
}

void connector_registry_free(struct connector_registry **registry)
{
    if (!*registry)
        return;
    for (int i = 0; i < FOLDERS; i++)
        fl_free((*registry)->folders[i]);
    fl_free((*registry)->types);
    FL_FREE(*registry);
}

const struct connector_type *connector_registry_next(const struct connector_registry *registry,
                                                     size_t *at)
{
    return *at < registry->count ? registry->types[(*at)++] : NULL;
}

/* --- modules --- */

static enum fl_err load_module(struct connector_registry *registry, const char *path,
                               struct fl_error *error)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot open module: %s",
                            dlerror());
    const struct connector_type *type = dlsym(module, MODULE_SYMBOL);
    enum fl_err err = FL_OK;
    if (!type)
        err = fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL,
                           "%s is no connector: it has no symbol " MODULE_SYMBOL, path);
    else if (type->interface != CONNECTOR_INTERFACE)
        err = fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_FATAL,
                           "%s was built for connector interface %u, this executable has %u", path,
                           (unsigned)type->interface, (unsigned)CONNECTOR_INTERFACE);
    if (err)
        dlclose(module);
    else
        add_types(registry, type);
    return err;
}

/* The file name that a component type suggests; false when it suggests none. Since only letters,
 * digits and dashes get through, it cannot lead out of its folder. */
static bool module_name(struct fl_slice component_type, struct fl_buffer *name)
{
    size_t dot = fl_slice_find_byte(component_type, '.');
    if (dot + 1 >= component_type.len || component_type.len > 128)
        return false;
    fl_buffer_append_str(name, MODULE_PREFIX);
    for (size_t i = dot + 1; i < component_type.len; i++) {
        char c = fl_ascii_lower(component_type.data[i]);
        c = c == '.' ? '-' : c;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
        fl_buffer_append_byte(name, c);
    }
    fl_buffer_append_str(name, MODULE_SUFFIX);
    return true;
}

static enum fl_err load_named(struct connector_registry *registry, struct fl_slice component_type,
                              struct fl_error *error)
{
    struct fl_buffer name = {0}, path = {0};
    enum fl_err err = FL_OK;
    bool is_named = module_name(component_type, &name);
    for (int i = 0; is_named && i < FOLDERS && registry->folders[i]; i++) {
        fl_buffer_clear(&path);
        fl_buffer_printf(&path, "%s/%s", registry->folders[i], fl_buffer_cstr(&name));
        if (access(fl_buffer_cstr(&path), F_OK) == 0) {
            err = load_module(registry, fl_buffer_cstr(&path), error);
            break;
        }
    }
    fl_buffer_fini(&name);
    fl_buffer_fini(&path);
    return err;
}

static int is_module(const struct dirent *entry)
{
    struct fl_slice name = fl_slice_str(entry->d_name);
    size_t suffix = sizeof MODULE_SUFFIX - 1;
    return fl_slice_starts_with(name, FL_SLICE_LIT(MODULE_PREFIX)) && name.len > suffix &&
           memcmp(name.data + name.len - suffix, MODULE_SUFFIX, suffix) == 0;
}

static void load_folder(struct connector_registry *registry, const char *folder,
                        struct fl_error *error)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_module, alphasort);
    for (int i = 0; i < count; i++) {
        struct fl_buffer path = {0};
        struct fl_error reason = {0};
        fl_buffer_printf(&path, "%s/%s", folder, entries[i]->d_name);
        if (load_module(registry, fl_buffer_cstr(&path), &reason) && error && !error->code)
            *error = reason;
        fl_buffer_fini(&path);
        free(entries[i]);
    }
    free(entries);
}

void connector_registry_load_all(struct connector_registry *registry, struct fl_error *error)
{
    if (error)
        *error = (struct fl_error){0};
    for (int i = 0; i < FOLDERS && registry->folders[i]; i++)
        load_folder(registry, registry->folders[i], error);
}

/* --- look-up --- */

static bool is_first_version(struct fl_slice version)
{
    return version.len == 0 || fl_slice_eq_nocase(version, FL_SLICE_LIT("v0")) ||
           fl_slice_eq_nocase(version, FL_SLICE_LIT("v1"));
}

/* Whether a row of `component_types` is this type in this version. */
static bool serves(const char *row, struct fl_slice component_type, struct fl_slice version)
{
    struct fl_slice text = fl_slice_str(row);
    if (is_first_version(version))
        return fl_slice_eq_nocase(text, component_type);
    return text.len == component_type.len + 1 + version.len &&
           fl_slice_starts_with_nocase(text, component_type) &&
           text.data[component_type.len] == '/' &&
           fl_slice_eq_nocase(fl_slice_of(text.data + component_type.len + 1, version.len),
                              version);
}

static const struct connector_type *find_known(const struct connector_registry *registry,
                                               struct fl_slice component_type,
                                               struct fl_slice version)
{
    for (size_t i = 0; i < registry->count; i++) {
        for (const char *const *row = registry->types[i]->component_types; *row; row++) {
            if (serves(*row, component_type, version))
                return registry->types[i];
        }
    }
    return NULL;
}

/* ": nearest is X", or all types there are. */
static void append_advice(const struct connector_registry *registry, struct fl_slice component_type,
                          struct fl_buffer *text)
{
    struct config_spelling spelling;
    struct fl_buffer all = {0};
    config_spelling_init(&spelling, component_type);
    for (size_t i = 0; i < registry->count; i++) {
        for (const char *const *row = registry->types[i]->component_types; *row; row++) {
            config_spelling_offer(&spelling, fl_slice_str(*row));
            fl_buffer_printf(&all, "%s%s", all.len ? ", " : "", *row);
        }
    }
    if (spelling.best.len)
        fl_buffer_printf(text, "; did you mean %.*s?", FL_SLICE_ARG(spelling.best));
    else
        fl_buffer_printf(text, "; there are %.*s", FL_SLICE_ARG(fl_buffer_slice(&all)));
    fl_buffer_fini(&all);
}

static enum fl_err fail_unknown(const struct connector_registry *registry,
                                struct fl_slice component_type, struct fl_slice version,
                                const struct fl_error *module_error, struct fl_error *error)
{
    struct fl_buffer text = {0};
    fl_buffer_printf(&text, "no connector serves %.*s", FL_SLICE_ARG(component_type));
    if (!is_first_version(version))
        fl_buffer_printf(&text, "/%.*s", FL_SLICE_ARG(version));
    if (!is_first_version(version) && find_known(registry, component_type, FL_SLICE_NULL))
        fl_buffer_printf(&text, "; this type has version v1 only");
    else
        append_advice(registry, component_type, &text);
    if (module_error->code)
        fl_buffer_printf(&text, "; %s", module_error->text);
    enum fl_err err =
        fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT, "%s", fl_buffer_cstr(&text));
    fl_buffer_fini(&text);
    return err;
}

enum fl_err connector_registry_find(struct connector_registry *registry,
                                    struct fl_slice component_type, struct fl_slice version,
                                    const struct connector_type **type, struct fl_error *error)
{
    const struct connector_type *found = find_known(registry, component_type, version);
    if (!found) {
        enum fl_err err = load_named(registry, component_type, error);
        if (err)
            return err;
        found = find_known(registry, component_type, version);
    }
    if (!found) {
        struct fl_error module_error;
        connector_registry_load_all(registry, &module_error);
        found = find_known(registry, component_type, version);
        if (!found)
            return fail_unknown(registry, component_type, version, &module_error, error);
    }
    *type = found;
    return FL_OK;
}
