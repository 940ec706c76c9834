/* Component documents. Decoding keeps what the user wrote, with the line of every entry; resolve.c
 * comes after filters and duplicates were looked at, because it reads the environment and secret
 * stores and draws identifiers. */
#include "config/component.h"

#include <stdio.h>

#include "base/buffer.h"
#include "config/fields_priv.h"
#include "config/quantity.h"
#include "config/resources.h"
#include "config/resources_priv.h"
#include "config/templates.h"
#include "config/value_source_priv.h"

#define SCOPE "dapr.runtime.loader.disk"

/* --- looking ---------------------------------------------------------------------------------- */

const struct config_value *config_component_find(const struct config_component *component,
                                                 const char *name)
{
    for (size_t i = component->metadata_count; i-- > 0;)
        if (fl_slice_eq_nocase(component->metadata[i].name, fl_slice_str(name)))
            return &component->metadata[i];
    return NULL;
}

struct fl_slice config_component_category(const struct config_component *component)
{
    struct fl_slice type = component->type;
    return fl_slice_of(type.data, fl_slice_find_byte(type, '.'));
}

struct fl_slice config_component_system(const struct config_component *component)
{
    struct fl_slice type = component->type;
    size_t dot = fl_slice_find_byte(type, '.');
    if (dot == type.len)
        return FL_SLICE_LIT("");
    return fl_slice_of(type.data + dot + 1, type.len - dot - 1);
}

/* --- decoding --------------------------------------------------------------------------------- */

struct spec {
    struct fl_slice type, version, init_timeout;
    bool ignores_errors;
    const struct config_node *metadata;
};

struct document {
    struct config_resource_head head;
    const struct config_node *spec, *auth;
};

static const struct config_field spec_fields[] = {
    CONFIG_FIELD(spec, type, "type", CONFIG_FIELD_STRING),
    CONFIG_FIELD(spec, version, "version", CONFIG_FIELD_STRING),
    CONFIG_FIELD(spec, ignores_errors, "ignoreErrors", CONFIG_FIELD_BOOL),
    CONFIG_FIELD(spec, init_timeout, "initTimeout", CONFIG_FIELD_STRING),
    CONFIG_FIELD(spec, metadata, "metadata", CONFIG_FIELD_LIST),
    {NULL},
};

static const struct config_field document_fields[] = {
    CONFIG_RESOURCE_HEAD_FIELDS(document, head),
    CONFIG_FIELD(document, spec, "spec", CONFIG_FIELD_MAP),
    CONFIG_FIELD(document, auth, "auth", CONFIG_FIELD_MAP),
    {NULL},
};

/* Two sources of one value, or none that says what to look up: daprd takes one without a word. */
static enum fl_err doubt_sources(const struct config_reader *reader, const struct config_node *node,
                                 const char *path, const struct config_value_source *source,
                                 const struct config_secret_ref *secret, struct fl_error *error)
{
    if (source->secret && secret->name.len == 0)
        return config_field_doubt(reader, error,
                                  "%s:%u: %s.secretKeyRef: name is missing or empty, so no secret "
                                  "is looked up",
                                  node->file, source->secret->line, path);
    if (source->value && source->env_ref.len)
        return config_field_doubt(reader, error,
                                  "%s:%u: %s: both value and envRef are given; the value counts",
                                  node->file, node->line, path);
    return FL_OK;
}

static enum fl_err decode_value(const struct config_reader *reader, const char *path,
                                const struct config_value_source *source,
                                struct config_value *value, struct config_secret_ref *secret,
                                struct fl_error *error)
{
    value->value = fl_slice_of("", 0);
    if (!source->value)
        secret->env = source->env_ref.len ? source->env_ref : FL_SLICE_NULL;
    else if (config_node_value(source->value, reader->arena, &value->value) != FL_OK)
        return config_field_error(source->value, path,
                                  "a value of at most 1 MiB that JSON can write", error);
    return FL_OK;
}

static enum fl_err decode_entry(const struct config_reader *reader, const struct config_node *node,
                                size_t index, struct config_value *value,
                                struct config_secret_ref *secret, struct fl_error *error)
{
    struct config_value_source source = {0};
    char path[64];
    snprintf(path, sizeof path, "spec.metadata[%zu]", index);
    *secret = (struct config_secret_ref){0};
    enum fl_err err = config_value_source_read(reader, node, path, true, &source, error);
    *value = (struct config_value){.name = source.name, .file = node->file, .line = node->line};
    if (err == FL_OK)
        err = decode_value(reader, path, &source, value, secret, error);
    if (err == FL_OK)
        err = config_value_source_read_secret(reader, &source, path, secret, error);
    if (err == FL_OK)
        err = config_field_end(reader, err, error);
    if (err == FL_OK && source.name.len == 0)
        err = config_field_doubt(reader, error,
                                 "%s:%u: %s: name is missing or empty; the entry has no effect",
                                 node->file, node->line, path);
    if (err == FL_OK)
        err = doubt_sources(reader, node, path, &source, secret, error);
    return err;
}

static enum fl_err decode_metadata(const struct config_reader *reader,
                                   const struct config_node *list,
                                   struct config_component *component, struct fl_error *error)
{
    size_t count = list ? list->list.count : 0, kept = 0;
    component->metadata = FL_ARENA_ARRAY(reader->arena, struct config_value, count + 1);
    component->secrets = FL_ARENA_ARRAY(reader->arena, struct config_secret_ref, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct config_value *value = &component->metadata[kept];
        enum fl_err err =
            decode_entry(reader, list->list.items[i], i, value, &component->secrets[kept], error);
        err = config_field_keep(reader, err, error);
        if (err != FL_OK)
            return err;
        kept += value->name.len > 0;
        if (config_template_has_namespace(value->value))
            component->has_namespace_tag = true;
    }
    component->metadata_count = kept;
    return FL_OK;
}

static int64_t init_timeout_ms(struct fl_slice text)
{
    int64_t ns;
    if (config_parse_duration(text, CONFIG_BARE_REFUSED, &ns) != FL_OK || ns <= 0)
        return CONFIG_INIT_TIMEOUT_MS;
    return config_ns_to_ms(ns);
}

static enum fl_err doubt_timeout(const struct config_reader *reader, const struct config_node *root,
                                 struct fl_slice text, struct fl_error *error)
{
    int64_t ns;
    if (text.len == 0 || (config_parse_duration(text, CONFIG_BARE_REFUSED, &ns) == FL_OK && ns > 0))
        return FL_OK;
    const struct config_node *node =
        config_node_find(config_node_find(root, "spec"), "initTimeout");
    return config_field_doubt(reader, error,
                              "%s:%u: spec.initTimeout: found \"%.*s\"; accepted: a positive "
                              "duration such as 10s; 5s is used",
                              root->file, node ? node->line : root->line, FL_SLICE_ARG(text));
}

static struct fl_slice make_log_name(struct fl_arena *arena, const struct config_component *c)
{
    return fl_slice_str(fl_arena_printf(arena, "%.*s (%.*s%s%.*s)", FL_SLICE_ARG(c->name),
                                        FL_SLICE_ARG(c->type), c->version.len ? "/" : "",
                                        FL_SLICE_ARG(c->version)));
}

static enum fl_err decode(const struct config_reader *reader, const struct config_node *root,
                          struct config_component *component, struct fl_error *error)
{
    struct document document = {0};
    struct spec spec = {0};
    struct fl_slice secret_store = {0};
    enum fl_err err = config_fields_read(reader, root, "", document_fields, &document, error);
    if (err == FL_OK)
        err = config_resource_head_read(reader, root, &document.head, error);
    if (err == FL_OK)
        err = config_fields_read(reader, document.spec, "spec", spec_fields, &spec, error);
    if (err == FL_OK)
        err = config_auth_read(reader, document.auth, &secret_store, error);
    if (err == FL_OK)
        err = decode_metadata(reader, spec.metadata, component, error);
    err = config_field_end(reader, err, error);
    if (err == FL_OK)
        err = doubt_timeout(reader, root, spec.init_timeout, error);
    if (err != FL_OK)
        return err;
    component->name = document.head.name;
    component->namespace = document.head.namespace;
    component->scopes = document.head.scopes;
    component->type = spec.type;
    component->version = spec.version;
    component->ignores_errors = spec.ignores_errors;
    component->init_timeout_ms = init_timeout_ms(spec.init_timeout);
    component->secret_store = secret_store;
    component->log_name = make_log_name(reader->arena, component);
    component->file = root->file;
    component->line = root->line;
    const struct config_node *type = config_node_find(document.spec, "type");
    component->type_line = type ? type->line : document.spec ? document.spec->line : root->line;
    return FL_OK;
}

enum fl_err config_component_decode(const struct config_node *root, struct fl_arena *arena,
                                    struct config_notes *notes, bool is_strict,
                                    struct config_component *component, struct fl_error *error)
{
    bool has_failed = false;
    struct config_reader reader = {.arena = arena,
                                   .notes = notes,
                                   .scope = SCOPE,
                                   .is_strict = is_strict,
                                   .has_failed = &has_failed};
    struct config_component got = {0};
    enum fl_err err = decode(&reader, root, &got, error);
    if (err == FL_OK)
        *component = got;
    return err;
}
