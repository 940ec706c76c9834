/* Policies in three maps by name, targets in a fourth; a look-up resolves names at that moment, so
 * the order of resources does not matter.
 *
 * A second resource may redefine a policy or a target: the map's value is replaced. Built-in
 * policies stand in the map from the start; a redefinition of one of the initialisation and service
 * retries with fewer than three retries is lifted to three, as daprd does. */
#include "config/resiliency.h"

#include <stdio.h>

#include "config/fields_priv.h"
#include "config/quantity.h"
#include "config/resources_priv.h"
#include "config/spelling.h"

#define SCOPE "dapr.runtime.resiliency"
#define PATH_TEXT 200

enum { BUILT_IN_RETRIES = 3, CODES_MAX = 600 };

struct reference {
    struct fl_slice timeout, retry, breaker;
};

struct target {
    struct reference directions[2];
    const char *file;
    uint32_t line;
};

#define FIELD(struct_, member, name_, type_)                                                       \
    {                                                                                              \
        .name = (name_), .type = (type_), .offset = offsetof(struct struct_, member)               \
    }

/* --- built-in policies ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool is_exponential;
    int64_t duration_ms, max_interval_ms, max_retries;
} built_ins[] = {
    {"DaprBuiltInServiceRetries", false, 1000, 60000, BUILT_IN_RETRIES},
    {"DaprBuiltInActorRetries", false, 1000, 60000, BUILT_IN_RETRIES},
    {"DaprBuiltInActorReminderRetries", true, 5000, 60000, CONFIG_RETRY_FOREVER},
    {"DaprBuiltInInitializationRetries", true, 5000, 1000, BUILT_IN_RETRIES},
    {"DaprBuiltInActorNotFoundRetries", false, 1000, 60000, 5},
};

enum { BUILT_IN_COUNT = sizeof built_ins / sizeof *built_ins };

static bool is_built_in(struct fl_slice name)
{
    for (size_t i = 0; i < BUILT_IN_COUNT; i++)
        if (fl_slice_eq_str(name, built_ins[i].name))
            return true;
    return false;
}

void config_resiliency_init(struct config_resiliency *resiliency, struct fl_arena *arena)
{
    *resiliency = (struct config_resiliency){.arena = arena};
    for (size_t i = 0; i < BUILT_IN_COUNT; i++) {
        struct config_retry *retry = FL_ARENA_NEW(arena, struct config_retry);
        *retry = (struct config_retry){.name = fl_slice_str(built_ins[i].name),
                                       .is_exponential = built_ins[i].is_exponential,
                                       .duration_ms = built_ins[i].duration_ms,
                                       .max_interval_ms = built_ins[i].max_interval_ms,
                                       .max_retries = built_ins[i].max_retries};
        fl_map_set(&resiliency->retries, retry->name, retry);
    }
}

void config_resiliency_fini(struct config_resiliency *resiliency)
{
    fl_map_fini(&resiliency->timeouts);
    fl_map_fini(&resiliency->retries);
    fl_map_fini(&resiliency->breakers);
    fl_map_fini(&resiliency->components);
    *resiliency = (struct config_resiliency){0};
}

/* --- decoding policies ------------------------------------------------------------------------ */

struct decoder {
    struct config_resiliency *resiliency;
    struct config_reader reader;
    struct fl_error *error;
};

static enum fl_err refuse(struct decoder *d, const struct config_node *node, const char *path,
                          const char *accepted)
{
    return config_field_error(node, path, accepted, d->error);
}

/* A duration, or a bare integer of milliseconds; absent leaves `ms` as it is. */
static enum fl_err read_duration(struct decoder *d, const struct config_node *node,
                                 const char *path, int64_t min_ms, int64_t *ms)
{
    struct fl_slice text;
    int64_t ns;
    if (!node)
        return FL_OK;
    if (config_node_string(node, d->reader.arena, &text) != FL_OK ||
        config_parse_duration(text, CONFIG_BARE_MS, &ns) != FL_OK || config_ns_to_ms(ns) < min_ms)
        return refuse(d, node, path,
                      min_ms > 0 ? "a positive duration such as 500ms, or an integer of "
                                   "milliseconds"
                                 : "a duration such as 500ms, or an integer of milliseconds, not "
                                   "negative");
    *ms = config_ns_to_ms(ns);
    return FL_OK;
}

static enum fl_err decode_timeout(struct decoder *d, const struct config_node_pair *pair,
                                  const char *path)
{
    int64_t ms = 0;
    enum fl_err err = read_duration(d, pair->value, path, 0, &ms);
    if (err != FL_OK)
        return err;
    int64_t *kept = FL_ARENA_NEW(d->resiliency->arena, int64_t);
    *kept = ms;
    fl_map_set(&d->resiliency->timeouts, pair->key, kept);
    return FL_OK;
}

/* "500" or "500-503". */
static bool parse_range(struct fl_slice part, int64_t min, int64_t max,
                        struct config_code_range *range)
{
    int64_t first, last;
    size_t dash = fl_slice_find_byte(part, '-');
    struct fl_slice left = fl_slice_trim(fl_slice_of(part.data, dash)), right = left;
    if (dash < part.len)
        right = fl_slice_trim(fl_slice_of(part.data + dash + 1, part.len - dash - 1));
    if (config_parse_int(left, &first) != FL_OK || config_parse_int(right, &last) != FL_OK)
        return false;
    if (first < min || last > max || first > last)
        return false;
    *range = (struct config_code_range){(int32_t)first, (int32_t)last};
    return true;
}

static bool parse_codes(struct fl_slice text, int64_t min, int64_t max, struct fl_arena *arena,
                        struct config_codes *codes)
{
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.data[i] == ',';
    if (most > CODES_MAX)
        return false;
    *codes = (struct config_codes){.items = FL_ARENA_ARRAY(arena, struct config_code_range, most),
                                   .is_set = true};
    for (bool is_last = false; !is_last;) {
        size_t at = fl_slice_find_byte(text, ',');
        struct fl_slice part = fl_slice_trim(fl_slice_of(text.data, at));
        if (!parse_range(part, min, max, &codes->items[codes->count++]))
            return false;
        is_last = at == text.len;
        if (!is_last)
            text = fl_slice_of(text.data + at + 1, text.len - at - 1);
    }
    return true;
}

struct matching {
    const struct config_node *http, *grpc;
};

static const struct config_field matching_fields[] = {
    FIELD(matching, http, "httpStatusCodes", CONFIG_FIELD_ANY),
    FIELD(matching, grpc, "gRPCStatusCodes", CONFIG_FIELD_ANY),
    {NULL},
};

static enum fl_err read_codes(struct decoder *d, const struct config_node *node, const char *path,
                              int64_t min, int64_t max, struct config_codes *codes)
{
    struct fl_slice text;
    if (!node)
        return FL_OK;
    if (config_node_string(node, d->reader.arena, &text) == FL_OK &&
        (text.len == 0 || parse_codes(text, min, max, d->resiliency->arena, codes)))
        return FL_OK;
    return refuse(d, node, path,
                  max == 16 ? "codes and ranges of codes from 0 to 16, such as 1,4-6"
                            : "codes and ranges of codes from 100 to 599, such as 429,500-503");
}

static enum fl_err decode_matching(struct decoder *d, const struct config_node *node,
                                   const char *path, struct config_retry *retry)
{
    struct matching matching = {0};
    char name[PATH_TEXT + 40];
    snprintf(name, sizeof name, "%s.matching", path);
    enum fl_err err =
        config_fields_read(&d->reader, node, name, matching_fields, &matching, d->error);
    snprintf(name, sizeof name, "%s.matching.httpStatusCodes", path);
    if (err == FL_OK)
        err = read_codes(d, matching.http, name, 100, 599, &retry->http_codes);
    snprintf(name, sizeof name, "%s.matching.gRPCStatusCodes", path);
    if (err == FL_OK)
        err = read_codes(d, matching.grpc, name, 0, 16, &retry->grpc_codes);
    return err;
}

struct retry {
    const struct config_node *policy, *duration, *max_interval, *max_retries, *matching;
};

static const struct config_field retry_fields[] = {
    FIELD(retry, policy, "policy", CONFIG_FIELD_ANY),
    FIELD(retry, duration, "duration", CONFIG_FIELD_ANY),
    FIELD(retry, max_interval, "maxInterval", CONFIG_FIELD_ANY),
    FIELD(retry, max_retries, "maxRetries", CONFIG_FIELD_ANY),
    FIELD(retry, matching, "matching", CONFIG_FIELD_MAP),
    {NULL},
};

static enum fl_err read_policy_word(struct decoder *d, const struct config_node *node,
                                    const char *path, bool *is_exponential)
{
    struct fl_slice text = FL_SLICE_LIT("constant");
    if (node && config_node_string(node, d->reader.arena, &text) != FL_OK)
        return refuse(d, node, path, "constant, exponential");
    *is_exponential = fl_slice_eq_nocase(text, FL_SLICE_LIT("exponential"));
    if (*is_exponential || text.len == 0 || fl_slice_eq_nocase(text, FL_SLICE_LIT("constant")))
        return FL_OK;
    return refuse(d, node, path, "constant, exponential");
}

/* Any negative count means for ever; daprd writes the field as a number or as a string. */
static enum fl_err read_max_retries(struct decoder *d, const struct config_node *node,
                                    const char *path, int64_t *max_retries)
{
    struct fl_slice text;
    int64_t value;
    if (!node)
        return FL_OK;
    if (config_node_string(node, d->reader.arena, &text) != FL_OK ||
        config_parse_int(text, &value) != FL_OK || value > INT32_MAX)
        return refuse(d, node, path, "an integer; -1: for ever");
    *max_retries = value < 0 ? CONFIG_RETRY_FOREVER : value;
    return FL_OK;
}

static void lift_built_in(struct decoder *d, const struct config_node *node,
                          struct config_retry *retry)
{
    char place[CONFIG_PLACE_TEXT];
    if (!is_built_in(retry->name) || retry->max_retries >= BUILT_IN_RETRIES)
        return;
    config_note(d->reader.notes, FL_LOG_WARNING, SCOPE,
                "Attempted override of %s did not meet minimum retry count, resetting to %d. (%s)",
                retry->name.data, BUILT_IN_RETRIES, config_field_place(node, node->line, place));
    retry->max_retries = BUILT_IN_RETRIES;
}

static enum fl_err read_retry(struct decoder *d, const struct retry *from, const char *path,
                              struct config_retry *retry)
{
    char name[PATH_TEXT + 40];
    snprintf(name, sizeof name, "%s.policy", path);
    enum fl_err err = read_policy_word(d, from->policy, name, &retry->is_exponential);
    snprintf(name, sizeof name, "%s.duration", path);
    if (err == FL_OK)
        err = read_duration(d, from->duration, name, 0, &retry->duration_ms);
    snprintf(name, sizeof name, "%s.maxInterval", path);
    if (err == FL_OK)
        err = read_duration(d, from->max_interval, name, 0, &retry->max_interval_ms);
    snprintf(name, sizeof name, "%s.maxRetries", path);
    if (err == FL_OK)
        err = read_max_retries(d, from->max_retries, name, &retry->max_retries);
    if (err == FL_OK)
        err = decode_matching(d, from->matching, path, retry);
    return err;
}

static enum fl_err decode_retry(struct decoder *d, const struct config_node_pair *pair,
                                const char *path)
{
    struct retry from = {0};
    struct config_retry retry = {
        .duration_ms = 5000, .max_interval_ms = 60000, .max_retries = CONFIG_RETRY_FOREVER};
    enum fl_err err =
        config_fields_read(&d->reader, pair->value, path, retry_fields, &from, d->error);
    if (err == FL_OK)
        err = read_retry(d, &from, path, &retry);
    if (err != FL_OK)
        return err;
    retry.name = fl_arena_copy(d->resiliency->arena, pair->key);
    lift_built_in(d, pair->value, &retry);
    struct config_retry *kept = FL_ARENA_NEW(d->resiliency->arena, struct config_retry);
    *kept = retry;
    fl_map_set(&d->resiliency->retries, retry.name, kept);
    return FL_OK;
}

struct breaker {
    int64_t max_requests;
    const struct config_node *interval, *timeout, *trip;
};

static const struct config_field breaker_fields[] = {
    FIELD(breaker, max_requests, "maxRequests", CONFIG_FIELD_INT64),
    FIELD(breaker, interval, "interval", CONFIG_FIELD_ANY),
    FIELD(breaker, timeout, "timeout", CONFIG_FIELD_ANY),
    FIELD(breaker, trip, "trip", CONFIG_FIELD_ANY),
    {NULL},
};

static enum fl_err read_trip(struct decoder *d, const struct config_node *node, const char *path,
                             struct config_trip *trip)
{
    struct fl_slice text = FL_SLICE_LIT("consecutiveFailures > 5");
    struct fl_error cause;
    if (node && config_node_string(node, d->reader.arena, &text) != FL_OK)
        return refuse(d, node, path, "an expression such as consecutiveFailures > 5");
    if (text.len == 0)
        text = FL_SLICE_LIT("consecutiveFailures > 5");
    if (config_trip_parse(text, d->resiliency->arena, trip, &cause) == FL_OK)
        return FL_OK;
    char place[CONFIG_PLACE_TEXT];
    return fl_error_set(d->error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s: %s: found \"%.*s%s\": %s",
                        config_field_place(node, node->line, place), path,
                        (int)(text.len > 100 ? 100 : text.len), text.data,
                        text.len > 100 ? "…" : "", cause.text);
}

static enum fl_err read_breaker(struct decoder *d, const struct breaker *from, const char *path,
                                struct config_breaker *breaker)
{
    char name[PATH_TEXT + 40];
    snprintf(name, sizeof name, "%s.interval", path);
    enum fl_err err = read_duration(d, from->interval, name, 0, &breaker->interval_ms);
    snprintf(name, sizeof name, "%s.timeout", path);
    if (err == FL_OK)
        err = read_duration(d, from->timeout, name, 0, &breaker->timeout_ms);
    snprintf(name, sizeof name, "%s.trip", path);
    if (err == FL_OK)
        err = read_trip(d, from->trip, name, &breaker->trip);
    return err;
}

static enum fl_err decode_breaker(struct decoder *d, const struct config_node_pair *pair,
                                  const char *path)
{
    struct breaker from = {.max_requests = 1};
    struct config_breaker breaker = {.timeout_ms = 60000};
    enum fl_err err =
        config_fields_read(&d->reader, pair->value, path, breaker_fields, &from, d->error);
    if (err == FL_OK)
        err = read_breaker(d, &from, path, &breaker);
    if (err != FL_OK)
        return err;
    breaker.name = fl_arena_copy(d->resiliency->arena, pair->key);
    breaker.max_requests = from.max_requests > 0 ? from.max_requests : 1;
    if (breaker.timeout_ms == 0)
        breaker.timeout_ms = 60000;
    struct config_breaker *kept = FL_ARENA_NEW(d->resiliency->arena, struct config_breaker);
    *kept = breaker;
    fl_map_set(&d->resiliency->breakers, breaker.name, kept);
    return FL_OK;
}

typedef enum fl_err decode_pair_fn(struct decoder *d, const struct config_node_pair *pair,
                                   const char *path);

static enum fl_err decode_each(struct decoder *d, const struct config_node *map, const char *path,
                               decode_pair_fn *decode)
{
    struct config_node_pair *pairs;
    struct fl_arena scratch = {0};
    enum fl_err err = FL_OK;
    size_t count = map ? config_node_unique_pairs(map, &scratch, &pairs) : 0;
    for (size_t i = 0; i < count && err == FL_OK; i++) {
        char name[PATH_TEXT];
        snprintf(name, sizeof name, "%s.%.*s", path, FL_SLICE_ARG(pairs[i].key));
        err = config_field_keep(&d->reader, decode(d, &pairs[i], name), d->error);
    }
    fl_arena_fini(&scratch);
    return err;
}

/* --- decoding targets ------------------------------------------------------------------------- */

struct directions {
    const struct config_node *inbound, *outbound;
};

static const struct config_field directions_fields[] = {
    FIELD(directions, inbound, "inbound", CONFIG_FIELD_MAP),
    FIELD(directions, outbound, "outbound", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field reference_fields[] = {
    FIELD(reference, timeout, "timeout", CONFIG_FIELD_STRING),
    FIELD(reference, retry, "retry", CONFIG_FIELD_STRING),
    FIELD(reference, breaker, "circuitBreaker", CONFIG_FIELD_STRING),
    {NULL},
};

static enum fl_err decode_target(struct decoder *d, const struct config_node_pair *pair,
                                 const char *path)
{
    struct directions directions = {0};
    struct target target = {.line = pair->line};
    char name[PATH_TEXT + 40];
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
    struct target *kept = FL_ARENA_NEW(d->resiliency->arena, struct target);
    target.file = fl_arena_strdup(d->resiliency->arena, fl_slice_str(pair->value->file));
    *kept = target;
    fl_map_set(&d->resiliency->components, pair->key, kept);
    return FL_OK;
}

/* --- documents -------------------------------------------------------------------------------- */

struct policies {
    const struct config_node *timeouts, *retries, *breakers;
};

static const struct config_field policies_fields[] = {
    FIELD(policies, timeouts, "timeouts", CONFIG_FIELD_MAP),
    FIELD(policies, retries, "retries", CONFIG_FIELD_MAP),
    FIELD(policies, breakers, "circuitBreakers", CONFIG_FIELD_MAP),
    {NULL},
};

struct targets {
    const struct config_node *apps, *actors, *components;
};

static const struct config_field targets_fields[] = {
    FIELD(targets, apps, "apps", CONFIG_FIELD_MAP),
    FIELD(targets, actors, "actors", CONFIG_FIELD_MAP),
    FIELD(targets, components, "components", CONFIG_FIELD_MAP),
    {NULL},
};

struct spec {
    const struct config_node *policies, *targets;
};

static const struct config_field spec_fields[] = {
    FIELD(spec, policies, "policies", CONFIG_FIELD_MAP),
    FIELD(spec, targets, "targets", CONFIG_FIELD_MAP),
    {NULL},
};

struct document {
    struct config_resource_head head;
    const struct config_node *spec;
};

static const struct config_field document_fields[] = {
    CONFIG_RESOURCE_HEAD_FIELDS(document, head),
    FIELD(document, spec, "spec", CONFIG_FIELD_MAP),
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

static enum fl_err decode_policies(struct decoder *d, const struct config_node *node)
{
    struct policies policies = {0};
    enum fl_err err =
        config_fields_read(&d->reader, node, "spec.policies", policies_fields, &policies, d->error);
    if (err == FL_OK)
        err = decode_each(d, policies.timeouts, "spec.policies.timeouts", decode_timeout);
    if (err == FL_OK)
        err = decode_each(d, policies.retries, "spec.policies.retries", decode_retry);
    if (err == FL_OK)
        err = decode_each(d, policies.breakers, "spec.policies.circuitBreakers", decode_breaker);
    return err;
}

static void note_unused_targets(struct decoder *d, const struct targets *targets)
{
    const struct config_node *nodes[] = {targets->apps, targets->actors};
    static const char *const names[] = {"apps", "actors"};
    char place[CONFIG_PLACE_TEXT];
    for (size_t i = 0; i < 2; i++)
        if (nodes[i] && nodes[i]->map.count)
            config_note(d->reader.notes, FL_LOG_INFO, SCOPE,
                        "%s: spec.targets.%s has no effect: there is no service invocation and "
                        "there are no actors here",
                        config_field_place(nodes[i], nodes[i]->line, place), names[i]);
}

static enum fl_err decode_targets(struct decoder *d, const struct config_node *node)
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
    struct decoder d = {.resiliency = resiliency, .error = error};
    struct document document = {0};
    struct spec spec = {0};
    bool has_failed = false;
    d.reader = (struct config_reader){.arena = resiliency->arena,
                                      .notes = notes,
                                      .scope = SCOPE,
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

/* --- checking --------------------------------------------------------------------------------- */

static struct fl_slice nearest_key(const struct fl_map *map, struct fl_slice word)
{
    struct config_spelling spelling;
    uint32_t at = 0;
    struct fl_slice key;
    void *value;
    config_spelling_init(&spelling, word);
    while (fl_map_next(map, &at, &key, &value))
        config_spelling_offer(&spelling, key);
    return spelling.best;
}

static enum fl_err check_reference(const struct config_reader *reader, const struct target *target,
                                   struct fl_slice component, const char *field,
                                   const struct fl_map *map, struct fl_slice name, bool is_fatal,
                                   struct fl_error *error)
{
    char text[400], nearest[150] = "";
    if (name.len == 0 || fl_map_find(map, name))
        return FL_OK;
    struct fl_slice near = nearest_key(map, name);
    if (near.len)
        snprintf(nearest, sizeof nearest, "; the nearest is \"%s\"", near.data);
    snprintf(text, sizeof text,
             "%s:%u: spec.targets.components.%.*s: %s \"%.*s\" is not defined by any policy%s",
             target->file, target->line, FL_SLICE_ARG(component), field,
             (int)(name.len > 80 ? 80 : name.len), name.data, nearest);
    if (is_fatal) {
        enum fl_err err = fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_FATAL, "%s", text);
        return config_notes_keep(reader->notes, reader->scope, error) ? FL_OK : err;
    }
    return config_field_doubt(reader, error, "%s; none is used", text);
}

static enum fl_err check_target(const struct config_resiliency *resiliency,
                                const struct config_reader *reader, const struct target *target,
                                struct fl_slice component, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (int i = 0; i < 2 && err == FL_OK; i++) {
        const struct reference *reference = &target->directions[i];
        err = check_reference(reader, target, component, "circuitBreaker", &resiliency->breakers,
                              reference->breaker, true, error);
        if (err == FL_OK)
            err = check_reference(reader, target, component, "retry", &resiliency->retries,
                                  reference->retry, false, error);
        if (err == FL_OK)
            err = check_reference(reader, target, component, "timeout", &resiliency->timeouts,
                                  reference->timeout, false, error);
    }
    return err;
}

enum fl_err config_resiliency_check(const struct config_resiliency *resiliency,
                                    struct config_notes *notes, bool is_strict,
                                    struct fl_error *error)
{
    struct config_reader reader = {
        .arena = resiliency->arena, .notes = notes, .scope = SCOPE, .is_strict = is_strict};
    uint32_t at = 0;
    struct fl_slice component;
    void *target;
    while (fl_map_next(&resiliency->components, &at, &component, &target)) {
        enum fl_err err = check_target(resiliency, &reader, target, component, error);
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

enum fl_err config_resiliency_check_targets(const struct config_resiliency *resiliency,
                                            const struct fl_map *components,
                                            struct config_notes *notes, bool is_strict,
                                            struct fl_error *error)
{
    struct config_reader reader = {
        .arena = resiliency->arena, .notes = notes, .scope = SCOPE, .is_strict = is_strict};
    uint32_t at = 0;
    struct fl_slice component;
    void *value;
    while (fl_map_next(&resiliency->components, &at, &component, &value)) {
        const struct target *target = value;
        if (fl_map_find(components, component))
            continue;
        struct fl_slice near = nearest_key(components, component);
        enum fl_err err = config_field_doubt(
            &reader, error,
            "%s:%u: spec.targets.components: \"%.*s\" has no effect, for there is no component of "
            "that name%s%.*s%s",
            target->file, target->line, FL_SLICE_ARG(component),
            near.len ? "; the nearest is \"" : "", FL_SLICE_ARG(near), near.len ? "\"" : "");
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

/* --- looking up ------------------------------------------------------------------------------- */

static const char *const direction_names[] = {
    [CONFIG_INBOUND] = "Inbound", [CONFIG_OUTBOUND] = "Outbound"};
static const char *const category_names[] = {
    [CONFIG_CATEGORY_PUBSUB] = "Pubsub", [CONFIG_CATEGORY_BINDING] = "Binding"};

/* The first default that exists, from the most particular name to the least. */
static const void *find_default(const struct fl_map *map, enum config_direction direction,
                                enum config_category category, const char *policy)
{
    const char *way = direction_names[direction];
    char names[4][80];
    snprintf(names[0], sizeof names[0], "Default%sComponent%s%sPolicy", category_names[category],
             way, policy);
    snprintf(names[1], sizeof names[1], "DefaultComponent%s%sPolicy", way, policy);
    snprintf(names[2], sizeof names[2], "DefaultComponent%sPolicy", policy);
    snprintf(names[3], sizeof names[3], "Default%sPolicy", policy);
    for (size_t i = 0; i < 4; i++) {
        const void *found = fl_map_find(map, fl_slice_str(names[i]));
        if (found)
            return found;
    }
    return NULL;
}

struct config_policy config_resiliency_find(const struct config_resiliency *resiliency,
                                            struct fl_slice component,
                                            enum config_direction direction,
                                            enum config_category category)
{
    struct config_policy policy = {0};
    const int64_t *timeout_ms;
    const struct target *target = fl_map_find(&resiliency->components, component);
    if (target) {
        const struct reference *reference = &target->directions[direction];
        timeout_ms = fl_map_find(&resiliency->timeouts, reference->timeout);
        policy.retry = fl_map_find(&resiliency->retries, reference->retry);
        policy.breaker = fl_map_find(&resiliency->breakers, reference->breaker);
    } else {
        timeout_ms = find_default(&resiliency->timeouts, direction, category, "Timeout");
        policy.retry = find_default(&resiliency->retries, direction, category, "Retry");
        policy.breaker = find_default(&resiliency->breakers, direction, category, "CircuitBreaker");
    }
    policy.timeout_ms = timeout_ms ? *timeout_ms : 0;
    policy.is_set = timeout_ms || policy.retry || policy.breaker;
    return policy;
}

const struct config_retry *config_resiliency_retry(const struct config_resiliency *resiliency,
                                                   const char *name)
{
    return fl_map_find(&resiliency->retries, fl_slice_str(name));
}

bool config_retry_matches(const struct config_retry *retry, int32_t http_status)
{
    const struct config_codes *codes = &retry->http_codes;
    if (http_status == 0 || !codes->is_set)
        return true;
    for (size_t i = 0; i < codes->count; i++)
        if (http_status >= codes->items[i].first && http_status <= codes->items[i].last)
            return true;
    return false;
}
