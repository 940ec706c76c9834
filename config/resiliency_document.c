/* A resiliency document: its policies by kind and name, and which of them its targets name.
 *
 * Policies and targets may be defined in any order and in several documents, so nothing is looked
 * up here.
 */
#include <stdio.h>

#include "config/resiliency_priv.h"
#include "config/resources_priv.h"

static enum fl_err decode_each(struct config_resiliency_decoder *d, const struct config_node *map,
                               const char *path, config_decode_policy_fn *decode)
{
    struct config_node_pair *pairs;
    struct fl_arena scratch = {0};
    enum fl_err err = FL_OK;
    size_t count = map ? config_node_unique_pairs(map, &scratch, &pairs) : 0;
    for (size_t i = 0; i < count && err == FL_OK; i++) {
        char name[CONFIG_RESILIENCY_PATH];
        snprintf(name, sizeof name, "%s.%.*s", path, FL_SLICE_ARG(pairs[i].key));
        err = config_field_keep(&d->reader, decode(d, &pairs[i], name), d->error);
    }
    fl_arena_fini(&scratch);
    return err;
}

/* --- targets -----------------------------------------------------------------------------------
 */

struct directions {
    const struct config_node *inbound, *outbound;
};

static const struct config_field directions_fields[] = {
    CONFIG_FIELD(directions, inbound, "inbound", CONFIG_FIELD_MAP),
    CONFIG_FIELD(directions, outbound, "outbound", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field reference_fields[] = {
    CONFIG_FIELD(config_reference, timeout, "timeout", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_reference, retry, "retry", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_reference, breaker, "circuitBreaker", CONFIG_FIELD_STRING),
    {NULL},
};

static enum fl_err decode_target(struct config_resiliency_decoder *d,
                                 const struct config_node_pair *pair, const char *path)
{
    struct directions directions = {0};
    struct config_target target = {.line = pair->line};
    char name[CONFIG_RESILIENCY_FIELD_PATH];
    enum fl_err err =
        config_fields_read(&d->reader, pair->value, path, directions_fields, &directions, d->error);
    snprintf(name, sizeof name, "%s.inbound", path);
    if (err == FL_OK)
        err = config_fields_read(&d->reader, directions.inbound, name, reference_fields,
                                 &target.directions[CONFIG_INBOUND], d->error);
    snprintf(name, sizeof name, "%s.outbound", path);
    if (err == FL_OK)
        err = config_fields_read(&d->reader, directions.outbound, name, reference_fields,
                                 &target.directions[CONFIG_OUTBOUND], d->error);
    if (err != FL_OK)
        return err;
    struct config_target *kept = FL_ARENA_NEW(d->resiliency->arena, struct config_target);
    target.file = fl_arena_strdup(d->resiliency->arena, fl_slice_str(pair->value->file));
    *kept = target;
    fl_map_set(&d->resiliency->components, pair->key, kept);
    return FL_OK;
}

/* --- documents ---------------------------------------------------------------------------------
 */

struct policies {
    const struct config_node *timeouts, *retries, *breakers;
};

static const struct config_field policies_fields[] = {
    CONFIG_FIELD(policies, timeouts, "timeouts", CONFIG_FIELD_MAP),
    CONFIG_FIELD(policies, retries, "retries", CONFIG_FIELD_MAP),
    CONFIG_FIELD(policies, breakers, "circuitBreakers", CONFIG_FIELD_MAP),
    {NULL},
};

struct targets {
    const struct config_node *apps, *actors, *components;
};

static const struct config_field targets_fields[] = {
    CONFIG_FIELD(targets, apps, "apps", CONFIG_FIELD_MAP),
    CONFIG_FIELD(targets, actors, "actors", CONFIG_FIELD_MAP),
    CONFIG_FIELD(targets, components, "components", CONFIG_FIELD_MAP),
    {NULL},
};

struct spec {
    const struct config_node *policies, *targets;
};

static const struct config_field spec_fields[] = {
    CONFIG_FIELD(spec, policies, "policies", CONFIG_FIELD_MAP),
    CONFIG_FIELD(spec, targets, "targets", CONFIG_FIELD_MAP),
    {NULL},
};

struct document {
    struct config_resource_head head;
    const struct config_node *spec;
};

static const struct config_field document_fields[] = {
    CONFIG_RESOURCE_HEAD_FIELDS(document, head),
    CONFIG_FIELD(document, spec, "spec", CONFIG_FIELD_MAP),
    {"policies", CONFIG_FIELD_KNOWN, 0},
    {"targets", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

/* Some examples show them beside the spec, where nobody reads them. */
static enum fl_err doubt_place(const struct config_reader *reader, const struct config_node *root,
                               struct fl_error *error)
{
    static const char *const names[] = {"policies", "targets"};
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < 2 && err == FL_OK; i++) {
        const struct config_node *node = config_node_find(root, names[i]);
        if (node)
            err = config_field_doubt(reader, error,
                                     "%s:%u: \"%s\" has no effect beside spec; it belongs below it",
                                     root->file, node->line, names[i]);
    }
    return err;
}

static enum fl_err decode_policies(struct config_resiliency_decoder *d,
                                   const struct config_node *node)
{
    struct policies policies = {0};
    enum fl_err err =
        config_fields_read(&d->reader, node, "spec.policies", policies_fields, &policies, d->error);
    if (err == FL_OK)
        err = decode_each(d, policies.timeouts, "spec.policies.timeouts", config_decode_timeout);
    if (err == FL_OK)
        err = decode_each(d, policies.retries, "spec.policies.retries", config_decode_retry);
    if (err == FL_OK)
        err = decode_each(d, policies.breakers, "spec.policies.circuitBreakers",
                          config_decode_breaker);
    return err;
}

static void note_unused_targets(struct config_resiliency_decoder *d, const struct targets *targets)
{
    const struct config_node *nodes[] = {targets->apps, targets->actors};
    static const char *const names[] = {"apps", "actors"};
    char place[CONFIG_PLACE_TEXT];
    for (size_t i = 0; i < 2; i++)
        if (nodes[i] && nodes[i]->map.count)
            config_note(d->reader.notes, FL_LOG_INFO, CONFIG_RESILIENCY_SCOPE,
                        "%s: spec.targets.%s has no effect: there is no service invocation and "
                        "there are no actors here",
                        config_field_place(nodes[i], nodes[i]->line, place), names[i]);
}

static enum fl_err decode_targets(struct config_resiliency_decoder *d,
                                  const struct config_node *node)
{
    struct targets targets = {0};
    enum fl_err err =
        config_fields_read(&d->reader, node, "spec.targets", targets_fields, &targets, d->error);
    if (err != FL_OK)
        return err;
    note_unused_targets(d, &targets);
    return decode_each(d, targets.components, "spec.targets.components", decode_target);
}

enum fl_err config_resiliency_decode(struct config_resiliency *resiliency,
                                     const struct config_node *root, struct config_notes *notes,
                                     bool is_strict, struct fl_error *error)
{
    struct config_resiliency_decoder d = {.resiliency = resiliency, .error = error};
    struct document document = {0};
    struct spec spec = {0};
    bool has_failed = false;
    d.reader = (struct config_reader){.arena = resiliency->arena,
                                      .notes = notes,
                                      .scope = CONFIG_RESILIENCY_SCOPE,
                                      .is_strict = is_strict,
                                      .has_failed = &has_failed};
    enum fl_err err = config_fields_read(&d.reader, root, "", document_fields, &document, error);
    if (err == FL_OK)
        err = doubt_place(&d.reader, root, error);
    if (err == FL_OK)
        err = config_resource_head_read(&d.reader, root, &document.head, error);
    if (err != FL_OK)
        return err;
    resiliency->name = document.head.name;
    resiliency->namespace = document.head.namespace;
    err = config_fields_read(&d.reader, document.spec, "spec", spec_fields, &spec, error);
    if (err == FL_OK)
        err = decode_policies(&d, spec.policies);
    if (err == FL_OK)
        err = decode_targets(&d, spec.targets);
    return config_field_end(&d.reader, err, error);
}
