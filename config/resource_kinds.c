/* What a document among the resources may be, and the gates it passes.
 *
 * A component passes four gates, in this order: namespace, duplicate name, scope, deny list. The
 * duplicate check looks only at those accepted before, as daprd's does.
 *
 * Documents of other systems pass without a word; one that means to be Dapr's, by its apiVersion or
 * by a kind without one, is told when it is none of ours. */
#include <stdio.h>

#include "base/alloc.h"
#include "config/http_endpoint.h"
#include "config/loader_priv.h"
#include "config/spelling.h"

/* --- notes ------------------------------------------------------------------------------------ */

static struct config_notes *notes_of(struct config_loader *l)
{
    return &l->resources->notes;
}

struct config_reader config_loader_reader(struct config_loader *l)
{
    return (struct config_reader){.arena = &l->resources->arena,
                                  .notes = notes_of(l),
                                  .scope = CONFIG_LOADER_SCOPE,
                                  .is_strict = l->how->is_strict};
}

/* A document that cannot be read is skipped with daprd's warning, or ends a strict load. */
static enum fl_err skip_document(struct config_loader *l, const char *kind,
                                 const struct fl_error *cause)
{
    struct config_reader reader = config_loader_reader(l);
    if (cause->text[0] == '\0') /* kept by the notes */
        return FL_OK;
    return config_field_doubt(&reader, l->error,
                              "daprd load %s error when parsing manifests yaml resource in %s: %s",
                              kind, l->path, cause->text);
}

/* What notes keep does not end the load; a bound does. */
enum fl_err config_loader_go_on(struct config_loader *l, enum fl_err err)
{
    bool is_kept = err && err != FL_ERR_TOO_LARGE &&
                   config_notes_keep(notes_of(l), CONFIG_LOADER_SCOPE, l->error);
    return is_kept ? FL_OK : err;
}

/* --- filters ---------------------------------------------------------------------------------- */

static bool is_in_namespace(const struct config_loader *l, struct fl_slice namespace)
{
    struct fl_slice ours = l->how->identity.namespace;
    return ours.len == 0 || namespace.len == 0 || fl_slice_eq(ours, namespace);
}

bool config_loader_is_in_scope(const struct config_loader *l, const struct config_list *scopes)
{
    return scopes->count == 0 || l->how->takes_all_scopes ||
           config_list_has(scopes, l->how->identity.app_id);
}

bool config_loader_can_meet(const struct config_loader *l, const struct config_list *a,
                            const struct config_list *b)
{
    if (!l->how->takes_all_scopes || a->count == 0 || b->count == 0)
        return true;
    for (size_t i = 0; i < a->count; i++)
        if (config_list_has(b, a->items[i]))
            return true;
    return false;
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

static enum fl_err refuse_duplicate(struct config_loader *l,
                                    const struct config_component *component,
                                    const struct config_component *existing)
{
    return fl_error_set(l->error, FL_ERR_EXISTS, FL_CLASS_FATAL,
                        "failed to load components: duplicate definition of Component name %s with "
                        "existing %s (%s:%u and %s:%u)",
                        component->log_name.data, existing->log_name.data, component->file,
                        component->line, existing->file, existing->line);
}

static bool is_denied(struct config_loader *l, const struct config_component *component)
{
    if (!l->how->configuration ||
        !config_component_is_denied(l->how->configuration, component->type, component->version))
        return false;
    config_note(notes_of(l), FL_LOG_WARNING, "dapr.runtime",
                "%s:%u: component %s is on the deny list of the configuration and is not loaded",
                component->file, component->line, component->log_name.data);
    return true;
}

static enum fl_err accept_component(struct config_loader *l,
                                    const struct config_component *component)
{
    l->components = grow(l->components, l->component_count, &l->component_room, sizeof *component);
    l->components[l->component_count++] = *component;
    struct config_component *kept = FL_ARENA_NEW(&l->resources->arena, struct config_component);
    *kept = *component;
    fl_map_set(&l->names, component->name, kept);
    return FL_OK;
}

static enum fl_err on_component(struct config_loader *l, const struct config_node *root)
{
    struct config_component component;
    struct fl_error cause;
    if (config_component_decode(root, &l->resources->arena, notes_of(l), l->how->is_strict,
                                &component, &cause) != FL_OK)
        return skip_document(l, "Component", &cause);
    fl_map_set(&l->seen_names, component.name, (void *)root->file);
    if (!is_in_namespace(l, component.namespace))
        return FL_OK;
    const struct config_component *existing = fl_map_find(&l->names, component.name);
    if (existing && config_loader_can_meet(l, &existing->scopes, &component.scopes))
        return refuse_duplicate(l, &component, existing);
    if (!config_loader_is_in_scope(l, &component.scopes) || is_denied(l, &component))
        return FL_OK;
    return accept_component(l, &component);
}

enum fl_err config_loader_add_default(struct config_loader *l)
{
    struct config_component component = {
        .name = FL_SLICE_LIT(CONFIG_DEFAULT_COMPONENT),
        .type = FL_SLICE_LIT(CONFIG_DEFAULT_TYPE),
        .version = FL_SLICE_LIT("v1"),
        .log_name = FL_SLICE_LIT(CONFIG_DEFAULT_COMPONENT " (" CONFIG_DEFAULT_TYPE "/v1)"),
        .init_timeout_ms = CONFIG_INIT_TIMEOUT_MS,
        .file = "(no file)",
        .line = 1};
    fl_map_set(&l->seen_names, component.name, (void *)component.file);
    return is_denied(l, &component) ? FL_OK : accept_component(l, &component);
}

/* --- the other kinds -------------------------------------------------------------------------- */

static enum fl_err add_subscription(struct config_loader *l, const struct config_node *root,
                                    bool is_v1)
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
    l->subscriptions[l->subscription_count] = (struct config_positioned){
        .subscription = subscription, .position = l->position, .order = l->subscription_count};
    l->subscription_count++;
    return FL_OK;
}

static enum fl_err on_subscription_v1(struct config_loader *l, const struct config_node *root)
{
    return add_subscription(l, root, true);
}

static enum fl_err on_subscription_v2(struct config_loader *l, const struct config_node *root)
{
    return add_subscription(l, root, false);
}

static enum fl_err on_http_endpoint(struct config_loader *l, const struct config_node *root)
{
    struct config_reader reader = config_loader_reader(l);
    struct config_resource_head head;
    struct fl_error cause;
    bool has_failed = false;
    reader.has_failed = &has_failed;
    if (config_http_endpoint_decode(&reader, root, &head, &cause) != FL_OK)
        return skip_document(l, "HTTPEndpoint", &cause);
    if (!is_in_namespace(l, head.namespace) || !config_loader_is_in_scope(l, &head.scopes))
        return FL_OK;
    l->endpoints = grow(l->endpoints, l->endpoint_count, &l->endpoint_room, sizeof *l->endpoints);
    l->endpoints[l->endpoint_count++] = head.name;
    return FL_OK;
}

struct resiliency_document {
    struct config_resource_head head;
};

static const struct config_field resiliency_fields[] = {
    CONFIG_RESOURCE_HEAD_FIELDS(resiliency_document, head),
    {"spec", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static enum fl_err read_head(struct config_loader *l, const struct config_node *root,
                             struct config_resource_head *head, struct fl_error *cause)
{
    struct resiliency_document document = {0};
    /* Decoding tells what is doubtful; the head alone is read without a word. */
    struct config_reader quiet = {.arena = &l->resources->arena};
    enum fl_err err = config_fields_read(&quiet, root, "", resiliency_fields, &document, cause);
    if (err == FL_OK)
        err = config_resource_head_read(&quiet, root, &document.head, cause);
    if (err == FL_OK)
        *head = document.head;
    return err;
}

/* daprd looks at the first document of a file only; here that is said. */
static enum fl_err on_resiliency(struct config_loader *l, const struct config_node *root)
{
    struct config_reader reader = config_loader_reader(l);
    struct config_resource_head head;
    struct fl_error cause;
    if (l->position > 0)
        return config_field_doubt(&reader, l->error,
                                  "%s:%u: a Resiliency that is not the first document of its file "
                                  "has no effect; move it into a file of its own",
                                  root->file, root->line);
    if (read_head(l, root, &head, &cause) != FL_OK)
        return skip_document(l, "Resiliency", &cause);
    if (!config_loader_is_in_scope(l, &head.scopes))
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

/* People put it there, and daprd does not say a word. */
static enum fl_err on_configuration(struct config_loader *l, const struct config_node *root)
{
    config_note(notes_of(l), FL_LOG_WARNING, CONFIG_LOADER_SCOPE,
                "%s:%u: a Configuration among the resources has no effect; name its file with "
                "--config",
                root->file, root->line);
    return FL_OK;
}

static enum fl_err on_other_block(struct config_loader *l, const struct config_node *root)
{
    config_note(notes_of(l), FL_LOG_INFO, CONFIG_LOADER_SCOPE,
                "%s:%u: the document has no effect: its building block is not here", root->file,
                root->line);
    return FL_OK;
}

/* --- documents -------------------------------------------------------------------------------- */

typedef enum fl_err on_document_fn(struct config_loader *l, const struct config_node *root);

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
    {"Configuration", NULL, on_configuration},
    {"MCPServer", NULL, on_other_block},
    {"WorkflowAccessPolicy", NULL, on_other_block},
};

enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

/* The text of a scalar as daprd reads it; null: absent, or no scalar. */
static struct fl_slice text_of(struct config_loader *l, const struct config_node *root,
                               const char *key)
{
    struct fl_slice text = FL_SLICE_NULL;
    const struct config_node *node = config_node_find(root, key);
    if (node && config_node_string(node, &l->scratch, &text) != FL_OK)
        return FL_SLICE_NULL;
    return text;
}

static uint32_t line_of(const struct config_node *root, const char *key)
{
    const struct config_node *node = config_node_find(root, key);
    return node ? node->line : root->line;
}

/* The first row of the kind that this word means, exactly or nearly; KIND_COUNT: none. */
static size_t find_kind(struct fl_slice kind, bool *is_exact)
{
    struct config_spelling spelling;
    size_t best = KIND_COUNT;
    config_spelling_init(&spelling, kind);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        unsigned before = spelling.best_edits;
        config_spelling_offer(&spelling, fl_slice_str(kinds[i].kind));
        if (spelling.best_edits < before)
            best = i;
    }
    *is_exact = best < KIND_COUNT && fl_slice_eq_str(kind, kinds[best].kind);
    return best;
}

/* "dapr.io/v1alpha1, dapr.io/v2alpha1": those that a kind has. */
static void print_versions(const char *kind, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].kind, kind) == 0 && len < size)
            len +=
                (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "",
                                 kinds[i].api_version ? kinds[i].api_version : "dapr.io/v1alpha1");
}

static enum fl_err doubt_version(struct config_loader *l, const struct config_node *root,
                                 struct fl_slice api_version, const char *kind)
{
    struct config_reader reader = config_loader_reader(l);
    char versions[80];
    print_versions(kind, versions, sizeof versions);
    if (api_version.len == 0)
        return config_field_doubt(&reader, l->error,
                                  "%s:%u: apiVersion is missing; accepted for kind %s: %s; the "
                                  "document is skipped",
                                  root->file, line_of(root, "apiVersion"), kind, versions);
    return config_field_doubt(&reader, l->error,
                              "%s:%u: apiVersion: found \"%.*s\"; accepted for kind %s: %s; the "
                              "document is skipped",
                              root->file, line_of(root, "apiVersion"), FL_SLICE_ARG(api_version),
                              kind, versions);
}

static enum fl_err doubt_kind(struct config_loader *l, const struct config_node *root,
                              struct fl_slice kind, size_t nearest)
{
    struct config_reader reader = config_loader_reader(l);
    static const char accepted[] =
        "accepted: Component, Subscription, Resiliency, HTTPEndpoint; the document is skipped";
    if (kind.len == 0)
        return config_field_doubt(&reader, l->error, "%s:%u: kind is missing or no text; %s",
                                  root->file, line_of(root, "kind"), accepted);
    if (nearest < KIND_COUNT)
        return config_field_doubt(&reader, l->error,
                                  "%s:%u: kind: found \"%.*s\"; the nearest known one is \"%s\"; "
                                  "the document is skipped",
                                  root->file, line_of(root, "kind"), FL_SLICE_ARG(kind),
                                  kinds[nearest].kind);
    return config_field_doubt(&reader, l->error, "%s:%u: kind: found \"%.*s\"; %s", root->file,
                              line_of(root, "kind"), FL_SLICE_ARG(kind), accepted);
}

static bool is_near_version(struct fl_slice api_version)
{
    static const char *const known[] = {"dapr.io/v1alpha1", "dapr.io/v2alpha1"};
    return config_spelling_nearest(api_version, known, 2) != NULL;
}

static enum fl_err on_other_kind(struct config_loader *l, const struct config_node *root,
                                 struct fl_slice api_version, struct fl_slice kind)
{
    struct config_reader reader = config_loader_reader(l);
    bool is_exact;
    size_t nearest = find_kind(kind, &is_exact);
    if (api_version.len == 0 && kind.len == 0)
        return config_field_doubt(&reader, l->error,
                                  "%s:%u: the document is no resource, for it has neither "
                                  "apiVersion nor kind; it is skipped",
                                  root->file, root->line);
    bool is_ours = fl_slice_starts_with_nocase(api_version, FL_SLICE_LIT("dapr.io/")) ||
                   is_near_version(api_version) || (api_version.len == 0 && is_exact);
    if (!is_ours)
        return FL_OK;
    if (is_exact)
        return doubt_version(l, root, api_version, kinds[nearest].kind);
    return doubt_kind(l, root, kind, nearest);
}

static enum fl_err dispatch(struct config_loader *l, const struct config_node *root)
{
    struct fl_slice api_version = text_of(l, root, "apiVersion"), kind = text_of(l, root, "kind");
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

static enum fl_err on_bad_yaml(struct config_loader *l, const struct fl_error *cause)
{
    if (!l->how->is_strict)
        config_note(notes_of(l), FL_LOG_ERROR, CONFIG_LOADER_SCOPE,
                    "Could not determine resource type: %s", cause->text);
    return skip_document(l, "Component", cause);
}

enum fl_err config_loader_read(struct config_loader *l, struct fl_slice text)
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
            err = config_loader_go_on(l, dispatch(l, root));
        else
            err = on_bad_yaml(l, &cause);
    }
    return err;
}
