/* Loading the folders, in the order that daprd shows: files by name, documents by place. Each
 * file's tree lives in a scratch arena that goes when the file is done; what is kept was copied
 * out.
 *
 * A component passes four gates, in this order: namespace, duplicate name, scope, deny list. The
 * duplicate check looks only at those accepted before, as daprd's does. Subscriptions are collected
 * with their position and sorted at the end. */
#include "config/resources.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "config/resources_priv.h"
#include "config/spelling.h"

#define SCOPE "dapr.runtime.loader.disk"
#define BYTES_MAX ((size_t)64 * 1024 * 1024)

struct positioned {
    struct config_subscription subscription;
    size_t position, order;
};

struct loader {
    const struct config_load *how;
    struct config_resources *resources;
    struct fl_error *error;
    struct config_component *components;
    size_t component_count, component_room;
    struct positioned *subscriptions;
    size_t subscription_count, subscription_room;
    struct fl_slice *endpoints, *resiliencies;
    size_t endpoint_count, endpoint_room;
    size_t resiliency_count, resiliency_room;
    struct fl_map names; /* accepted components */
    size_t file_count, byte_count;

    /* The document at hand. */
    struct fl_arena scratch;
    const char *path;
    size_t position;
};

bool config_name_is_valid(struct fl_slice name)
{
    return name.len && !fl_slice_eq_str(name, ".") && !fl_slice_eq_str(name, "..") &&
           fl_slice_find_byte(name, '/') == name.len && fl_slice_find_byte(name, '%') == name.len &&
           !memchr(name.data, '\0', name.len);
}

/* --- the head of a resource ------------------------------------------------------------------- */

struct metadata {
    struct fl_slice name, namespace;
};

/* Kubernetes' other fields are accepted without a word. */
static const struct config_field metadata_fields[] = {
    {"name", CONFIG_FIELD_STRING, offsetof(struct metadata, name)},
    {"namespace", CONFIG_FIELD_STRING, offsetof(struct metadata, namespace)},
    {"labels", CONFIG_FIELD_KNOWN, 0},
    {"annotations", CONFIG_FIELD_KNOWN, 0},
    {"generateName", CONFIG_FIELD_KNOWN, 0},
    {"resourceVersion", CONFIG_FIELD_KNOWN, 0},
    {"uid", CONFIG_FIELD_KNOWN, 0},
    {"generation", CONFIG_FIELD_KNOWN, 0},
    {"creationTimestamp", CONFIG_FIELD_KNOWN, 0},
    {"managedFields", CONFIG_FIELD_KNOWN, 0},
    {"finalizers", CONFIG_FIELD_KNOWN, 0},
    {"ownerReferences", CONFIG_FIELD_KNOWN, 0},
    {"selfLink", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

enum fl_err config_resource_head_read(const struct config_reader *reader,
                                      const struct config_node *root,
                                      struct config_resource_head *head, struct fl_error *error)
{
    struct metadata metadata = {0};
    enum fl_err err =
        config_fields_read(reader, head->metadata, "metadata", metadata_fields, &metadata, error);
    if (err != FL_OK)
        return err;
    const struct config_node *at = config_node_find(head->metadata, "name");
    if (metadata.name.len == 0)
        return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                            "%s:%u: metadata.name is missing or empty", root->file, root->line);
    if (!config_name_is_valid(metadata.name))
        return config_field_error(at, "metadata.name",
                                  "a name without \"/\" and \"%\" that is not \".\" or \"..\"",
                                  error);
    head->name = metadata.name;
    head->namespace = metadata.namespace;
    return FL_OK;
}

/* --- notes ------------------------------------------------------------------------------------ */

static struct config_notes *notes_of(struct loader *l)
{
    return &l->resources->notes;
}

static struct config_reader reader_of(struct loader *l)
{
    return (struct config_reader){.arena = &l->resources->arena,
                                  .notes = notes_of(l),
                                  .scope = SCOPE,
                                  .is_strict = l->how->is_strict};
}

/* A document that cannot be read is skipped with daprd's warning, or ends a strict load. */
static enum fl_err skip_document(struct loader *l, const char *kind, const struct fl_error *cause)
{
    struct config_reader reader = reader_of(l);
    return config_field_doubt(&reader, l->error,
                              "daprd load %s error when parsing manifests yaml resource in %s: %s",
                              kind, l->path, cause->text);
}

/* What notes keep does not end the load; a bound does. */
static enum fl_err go_on(struct loader *l, enum fl_err err)
{
    bool is_kept =
        err && err != FL_ERR_TOO_LARGE && config_notes_keep(notes_of(l), SCOPE, l->error);
    return is_kept ? FL_OK : err;
}

/* --- filters ---------------------------------------------------------------------------------- */

static bool is_in_namespace(const struct loader *l, struct fl_slice namespace)
{
    struct fl_slice ours = l->how->identity.namespace;
    return ours.len == 0 || namespace.len == 0 || fl_slice_eq(ours, namespace);
}

static bool is_in_scope(const struct loader *l, const struct config_list *scopes)
{
    return scopes->count == 0 || config_list_has(scopes, l->how->identity.app_id);
}

/* Doubles the room of an array of `size`-byte items when it is full. */
static void *grow(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 16;
    return fl_realloc(items, *room * size);
}

/* --- components ------------------------------------------------------------------------------- */

static enum fl_err refuse_duplicate(struct loader *l, const struct config_component *component,
                                    const struct config_component *existing)
{
    return fl_error_set(l->error, FL_ERR_EXISTS, FL_CLASS_FATAL,
                        "failed to load components: duplicate definition of Component name %s with "
                        "existing %s (%s:%u and %s:%u)",
                        component->log_name.data, existing->log_name.data, component->file,
                        component->line, existing->file, existing->line);
}

static bool is_denied(struct loader *l, const struct config_component *component)
{
    if (!l->how->configuration ||
        !config_component_is_denied(l->how->configuration, component->type, component->version))
        return false;
    config_note(notes_of(l), FL_LOG_WARNING, "dapr.runtime",
                "%s:%u: component %s is on the deny list of the configuration and is not loaded",
                component->file, component->line, component->log_name.data);
    return true;
}

static enum fl_err fail_resolve(struct loader *l, const struct config_component *component,
                                const struct fl_error *cause)
{
    if (component->ignores_errors) {
        config_note(notes_of(l), FL_LOG_ERROR, "dapr.runtime.processor",
                    "Ignoring error processing component: process component %s error: %s",
                    component->name.data, cause->text);
        return FL_OK;
    }
    return fl_error_set(l->error, cause->code, FL_CLASS_FATAL,
                        "process component %s error: [INIT_COMPONENT_FAILURE]: initialization "
                        "error occurred for %s: %s",
                        component->name.data, component->log_name.data, cause->text);
}

static enum fl_err accept_component(struct loader *l, const struct config_component *component)
{
    l->components = grow(l->components, l->component_count, &l->component_room, sizeof *component);
    l->components[l->component_count++] = *component;
    struct config_component *kept = FL_ARENA_NEW(&l->resources->arena, struct config_component);
    *kept = *component;
    fl_map_set(&l->names, component->name, kept);
    return FL_OK;
}

static enum fl_err on_component(struct loader *l, const struct config_node *root)
{
    struct config_component component;
    struct fl_error cause;
    if (config_component_decode(root, &l->resources->arena, notes_of(l), l->how->is_strict,
                                &component, &cause) != FL_OK)
        return skip_document(l, "Component", &cause);
    if (!is_in_namespace(l, component.namespace))
        return FL_OK;
    const struct config_component *existing = fl_map_find(&l->names, component.name);
    if (existing)
        return refuse_duplicate(l, &component, existing);
    if (!is_in_scope(l, &component.scopes) || is_denied(l, &component))
        return FL_OK;
    if (config_component_resolve(&component, &l->how->identity, &l->resources->arena, notes_of(l),
                                 &cause) != FL_OK)
        return fail_resolve(l, &component, &cause);
    return accept_component(l, &component);
}

static enum fl_err add_default_component(struct loader *l)
{
    struct config_component component = {
        .name = FL_SLICE_LIT(CONFIG_DEFAULT_COMPONENT),
        .type = FL_SLICE_LIT(CONFIG_DEFAULT_TYPE),
        .version = FL_SLICE_LIT("v1"),
        .log_name = FL_SLICE_LIT(CONFIG_DEFAULT_COMPONENT " (" CONFIG_DEFAULT_TYPE "/v1)"),
        .init_timeout_ms = CONFIG_INIT_TIMEOUT_MS,
        .file = "(no file)",
        .line = 1};
    return is_denied(l, &component) ? FL_OK : accept_component(l, &component);
}

/* --- the other kinds -------------------------------------------------------------------------- */

static enum fl_err add_subscription(struct loader *l, const struct config_node *root, bool is_v1)
{
    struct config_subscription subscription;
    struct fl_error cause;
    if (config_subscription_decode(root, is_v1, &l->resources->arena, notes_of(l),
                                   l->how->is_strict, &subscription, &cause) != FL_OK)
        return skip_document(l, "Subscription", &cause);
    if (l->subscription_count == CONFIG_SUBSCRIPTIONS_MAX)
        return fl_error_set(l->error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL,
                            "failed to load declarative subscriptions: more than %d of them",
                            CONFIG_SUBSCRIPTIONS_MAX);
    l->subscriptions = grow(l->subscriptions, l->subscription_count, &l->subscription_room,
                            sizeof *l->subscriptions);
    l->subscriptions[l->subscription_count] = (struct positioned){
        .subscription = subscription, .position = l->position, .order = l->subscription_count};
    l->subscription_count++;
    return FL_OK;
}

static enum fl_err on_subscription_v1(struct loader *l, const struct config_node *root)
{
    return add_subscription(l, root, true);
}

static enum fl_err on_subscription_v2(struct loader *l, const struct config_node *root)
{
    return add_subscription(l, root, false);
}

struct generic {
    struct config_resource_head head;
};

static const struct config_field generic_fields[] = {
    CONFIG_RESOURCE_HEAD_FIELDS(generic, head),
    {"spec", CONFIG_FIELD_KNOWN, 0},
    {"auth", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static enum fl_err read_head(struct loader *l, const struct config_node *root,
                             struct config_resource_head *head, struct fl_error *cause)
{
    struct generic generic = {0};
    struct config_reader reader = reader_of(l);
    enum fl_err err = config_fields_read(&reader, root, "", generic_fields, &generic, cause);
    if (err == FL_OK)
        err = config_resource_head_read(&reader, root, &generic.head, cause);
    if (err == FL_OK)
        *head = generic.head;
    return err;
}

static enum fl_err on_http_endpoint(struct loader *l, const struct config_node *root)
{
    struct config_resource_head head;
    struct fl_error cause;
    if (read_head(l, root, &head, &cause) != FL_OK)
        return skip_document(l, "HTTPEndpoint", &cause);
    if (!is_in_namespace(l, head.namespace) || !is_in_scope(l, &head.scopes))
        return FL_OK;
    l->endpoints = grow(l->endpoints, l->endpoint_count, &l->endpoint_room, sizeof *l->endpoints);
    l->endpoints[l->endpoint_count++] = head.name;
    return FL_OK;
}

/* daprd looks at the first document of a file only; here that is said. */
static enum fl_err on_resiliency(struct loader *l, const struct config_node *root)
{
    struct config_reader reader = reader_of(l);
    struct config_resource_head head;
    struct fl_error cause;
    if (l->position > 0)
        return config_field_doubt(&reader, l->error,
                                  "%s:%u: a Resiliency that is not the first document of its file "
                                  "has no effect; move it into a file of its own",
                                  root->file, root->line);
    if (read_head(l, root, &head, &cause) != FL_OK)
        return skip_document(l, "Resiliency", &cause);
    if (!is_in_scope(l, &head.scopes))
        return FL_OK;
    l->resiliencies =
        grow(l->resiliencies, l->resiliency_count, &l->resiliency_room, sizeof *l->resiliencies);
    l->resiliencies[l->resiliency_count++] = head.name;
    config_note(notes_of(l), FL_LOG_INFO, "dapr.runtime", "Loading Resiliency configuration: %s",
                head.name.data);
    if (config_resiliency_decode(&l->resources->resiliency, root, notes_of(l), l->how->is_strict,
                                 &cause) == FL_OK)
        return FL_OK;
    if (l->how->is_strict)
        return skip_document(l, "Resiliency", &cause);
    config_note(notes_of(l), FL_LOG_ERROR, "dapr.runtime",
                "Could not read resiliency policy %s: %s", head.name.data, cause.text);
    return FL_OK;
}

static enum fl_err on_ignored(struct loader *l, const struct config_node *root)
{
    (void)l;
    (void)root;
    return FL_OK;
}

/* --- documents -------------------------------------------------------------------------------- */

typedef enum fl_err on_document_fn(struct loader *l, const struct config_node *root);

static const struct {
    const char *kind;
    const char *api_version; /* NULL: not looked at */
    on_document_fn *on_document;
} kinds[] = {
    {"Component", "dapr.io/v1alpha1", on_component},
    {"Subscription", "dapr.io/v1alpha1", on_subscription_v1},
    {"Subscription", "dapr.io/v2alpha1", on_subscription_v2},
    {"Resiliency", NULL, on_resiliency},
    {"HTTPEndpoint", "dapr.io/v1alpha1", on_http_endpoint},
    {"Configuration", NULL, on_ignored},
    {"MCPServer", NULL, on_ignored},
    {"WorkflowAccessPolicy", NULL, on_ignored},
};

enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

static struct fl_slice text_of(const struct config_node *root, const char *key)
{
    const struct config_node *node = config_node_find(root, key);
    return node && node->kind == CONFIG_NODE_STRING ? node->text : FL_SLICE_NULL;
}

/* Documents of other systems pass without a word; one that means to be Dapr's does not. */
static enum fl_err on_other_kind(struct loader *l, const struct config_node *root,
                                 struct fl_slice api_version, struct fl_slice kind)
{
    struct config_reader reader = reader_of(l);
    struct config_spelling spelling;
    bool is_known = false;
    if (!fl_slice_starts_with_nocase(api_version, FL_SLICE_LIT("dapr.io/")))
        return FL_OK;
    config_spelling_init(&spelling, kind);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        config_spelling_offer(&spelling, fl_slice_str(kinds[i].kind));
        is_known = is_known || fl_slice_eq_str(kind, kinds[i].kind);
    }
    if (is_known)
        return config_field_doubt(&reader, l->error,
                                  "%s:%u: apiVersion: found \"%.*s\" for a %.*s, which no version "
                                  "of it has; the document is skipped",
                                  root->file, root->line, FL_SLICE_ARG(api_version),
                                  FL_SLICE_ARG(kind));
    return config_field_doubt(
        &reader, l->error, "%s:%u: kind: found \"%.*s\"%s%s%s; the document is skipped", root->file,
        root->line, FL_SLICE_ARG(kind), spelling.best.data ? "; the nearest known one is \"" : "",
        spelling.best.data ? spelling.best.data : "", spelling.best.data ? "\"" : "");
}

static enum fl_err dispatch(struct loader *l, const struct config_node *root)
{
    struct fl_slice api_version = text_of(root, "apiVersion"), kind = text_of(root, "kind");
    if (root->kind == CONFIG_NODE_NULL)
        return FL_OK;
    if (root->kind != CONFIG_NODE_MAP) {
        struct fl_error cause;
        (void)config_field_error(root, "", "a map with apiVersion, kind, metadata and spec",
                                 &cause);
        return skip_document(l, "Component", &cause);
    }
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (fl_slice_eq_str(kind, kinds[i].kind) &&
            (!kinds[i].api_version || fl_slice_eq_str(api_version, kinds[i].api_version)))
            return kinds[i].on_document(l, root);
    return on_other_kind(l, root, api_version, kind);
}

static enum fl_err on_bad_yaml(struct loader *l, const struct fl_error *cause)
{
    if (!l->how->is_strict)
        config_note(notes_of(l), FL_LOG_ERROR, SCOPE, "Could not determine resource type: %s",
                    cause->text);
    return skip_document(l, "Component", cause);
}

static enum fl_err load_text(struct loader *l, struct fl_slice text)
{
    size_t at = 0;
    uint32_t line = 1, first_line;
    struct fl_slice document;
    enum fl_err err = FL_OK;
    for (l->position = 0;
         err == FL_OK && config_yaml_next_document(text, &at, &line, &document, &first_line);
         l->position++) {
        struct config_node *root;
        struct fl_error cause;
        if (config_yaml_parse(document, l->path, first_line, CONFIG_DIALECT_RESOURCE, &l->scratch,
                              &root, &cause) == FL_OK)
            err = go_on(l, dispatch(l, root));
        else
            err = on_bad_yaml(l, &cause);
    }
    return err;
}

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

static enum fl_err load_file(struct loader *l, const char *path)
{
    struct fl_slice text;
    struct fl_error cause;
    l->path = path;
    if (config_read_file(path, &l->scratch, &text, &cause) != FL_OK) {
        struct config_reader reader = reader_of(l);
        return config_field_doubt(&reader, l->error,
                                  "daprd load Component error when reading file: %s", cause.text);
    }
    l->byte_count += text.len;
    if (++l->file_count > CONFIG_FILES_MAX || l->byte_count > BYTES_MAX)
        return fl_error_set(l->error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL,
                            "failed to load components: more than %d files or 64 MiB of resources "
                            "(at %s)",
                            CONFIG_FILES_MAX, path);
    enum fl_err err = load_text(l, text);
    fl_arena_fini(&l->scratch);
    l->scratch = (struct fl_arena){0};
    return err;
}

static enum fl_err refuse_folder(struct loader *l, const char *folder, int number)
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

static enum fl_err load_entry(struct loader *l, const char *folder, const struct dirent *entry)
{
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return FL_OK;
    char *path = fl_arena_printf(&l->resources->arena, "%s/%s", folder, entry->d_name);
    if (!is_yaml_name(entry->d_name) || entry->d_type == DT_DIR) {
        config_note(notes_of(l), FL_LOG_WARNING, SCOPE,
                    "A non-YAML Component file %s was detected, it will not be loaded",
                    entry->d_name);
        return FL_OK;
    }
    return load_file(l, path);
}

static enum fl_err load_folder(struct loader *l, struct fl_slice folder)
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

static void *keep(struct loader *l, const void *items, size_t count, size_t size)
{
    void *copy = fl_arena_alloc(&l->resources->arena, count * size + 1);
    if (count)
        memcpy(copy, items, count * size);
    return copy;
}

static bool is_secret_store(const struct config_component *component)
{
    return fl_slice_eq_str(config_component_category(component), "secretstores");
}

static void finish_components(struct loader *l)
{
    struct config_component *sorted =
        FL_ARENA_ARRAY(&l->resources->arena, struct config_component, l->component_count + 1);
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < l->component_count; i++)
            if (is_secret_store(&l->components[i]) == (pass == 0))
                sorted[count++] = l->components[i];
    l->resources->components = sorted;
    l->resources->component_count = count;
}

static int by_position(const void *a, const void *b)
{
    const struct positioned *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* A later subscription of the same name takes the earlier one's place. */
static size_t replace_namesakes(struct positioned *items, size_t count)
{
    struct fl_map names = {0};
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct positioned *earlier = fl_map_find(&names, items[i].subscription.name);
        if (earlier) {
            *earlier = items[i];
            continue;
        }
        items[kept] = items[i];
        fl_map_set(&names, items[kept].subscription.name, &items[kept]);
        kept++;
    }
    fl_map_fini(&names);
    return kept;
}

static bool is_first_of_topic(struct fl_map *seen, const struct config_subscription *subscription,
                              struct fl_arena *scratch)
{
    struct fl_slice key = config_subscription_key(subscription, scratch);
    return fl_map_set(seen, key, (void *)subscription) == NULL;
}

static void finish_subscriptions(struct loader *l)
{
    struct config_subscriptions *out = &l->resources->subscriptions;
    struct fl_map seen = {0};
    if (l->subscription_count)
        qsort(l->subscriptions, l->subscription_count, sizeof *l->subscriptions, by_position);
    size_t count = replace_namesakes(l->subscriptions, l->subscription_count);
    out->items = FL_ARENA_ARRAY(&l->resources->arena, struct config_subscription, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct config_subscription *subscription = &l->subscriptions[i].subscription;
        if (is_in_scope(l, &subscription->scopes) &&
            is_first_of_topic(&seen, subscription, &l->scratch))
            out->items[out->count++] = *subscription;
    }
    fl_map_fini(&seen);
}

static enum fl_err finish(struct loader *l)
{
    struct config_resources *resources = l->resources;
    finish_components(l);
    finish_subscriptions(l);
    resources->http_endpoints = (struct config_list){
        keep(l, l->endpoints, l->endpoint_count, sizeof *l->endpoints), l->endpoint_count};
    resources->resiliency.names =
        (struct config_list){keep(l, l->resiliencies, l->resiliency_count, sizeof *l->resiliencies),
                             l->resiliency_count};
    return config_resiliency_check(&resources->resiliency, notes_of(l), l->how->is_strict,
                                   l->error);
}

enum fl_err config_resources_load(const struct config_load *how, struct config_resources *resources,
                                  struct fl_error *error)
{
    struct loader l = {.how = how, .resources = resources, .error = error};
    *resources = (struct config_resources){0};
    config_notes_init(&resources->notes, &resources->arena);
    resources->notes.keeps_errors = how->keeps_errors;
    config_resiliency_init(&resources->resiliency, &resources->arena);
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < how->folders.count && err == FL_OK; i++)
        err = go_on(&l, load_folder(&l, how->folders.items[i]));
    if (err == FL_OK && how->makes_default)
        err = add_default_component(&l);
    if (err == FL_OK)
        err = finish(&l);
    fl_free(l.components);
    fl_free(l.subscriptions);
    fl_free(l.endpoints);
    fl_free(l.resiliencies);
    fl_map_fini(&l.names);
    fl_arena_fini(&l.scratch);
    return err;
}

void config_resources_fini(struct config_resources *resources)
{
    config_resiliency_fini(&resources->resiliency);
    fl_arena_fini(&resources->arena);
    *resources = (struct config_resources){0};
}
