/* Resolving. A store that waits for another is looked at again when that one opens, and so stands
 * right behind it; everything else comes after all stores, in the order of the files. */
#include "config/resolve.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "config/fields_priv.h"

#define SCOPE "dapr.runtime.processor"

/* --- looking up ------------------------------------------------------------------------------- */

/* daprd's rule for what a resource may read of the environment: no token of ours, nothing of
 * daprd's, and only the listed names when there is a list. */
static bool may_read(struct fl_slice name)
{
    if (name.len == 0 || config_env_is_denied(name) || fl_slice_find_byte(name, ' ') < name.len ||
        memchr(name.data, '\0', name.len))
        return false;
    struct fl_slice allowed = fl_slice_str(getenv("DAPR_ENV_KEYS"));
    if (allowed.len == 0)
        return true;
    while (allowed.len) {
        size_t at = fl_slice_find_byte(allowed, ' ');
        if (fl_slice_eq(fl_slice_of(allowed.data, at), name))
            return true;
        size_t used = at == allowed.len ? at : at + 1;
        allowed = fl_slice_of(allowed.data + used, allowed.len - used);
    }
    return false;
}

/* Go's strconv.Unquote for the cases that occur: one pair of "…", `…`, or '…' around one
 * character. A text with escapes, or one that is no such literal, stays as it is. */
static struct fl_slice unquote(struct fl_slice text, struct fl_arena *arena)
{
    if (text.len < 2 || text.data[0] != text.data[text.len - 1])
        return text;
    char quote = text.data[0];
    struct fl_slice inner = fl_slice_of(text.data + 1, text.len - 2);
    if (fl_slice_find_byte(inner, quote) < inner.len)
        return text;
    if (quote == '`')
        return fl_arena_copy(arena, inner);
    if (quote != '"' && quote != '\'')
        return text;
    if (fl_slice_find_byte(inner, '\n') < inner.len || fl_slice_find_byte(inner, '\\') < inner.len)
        return text;
    if (quote == '\'' && (inner.len == 0 || fl_utf8_sequence(inner) != inner.len))
        return text;
    return fl_arena_copy(arena, inner);
}

/* A doubt about one value of a component; an error of a strict load. */
static enum fl_err doubt_value(const struct config_resolve *how,
                               const struct config_component *component,
                               const struct config_value *value, const char *what,
                               struct fl_error *error)
{
    const struct config_reader reader = {
        .arena = how->arena, .notes = how->notes, .scope = SCOPE, .is_strict = how->is_strict};
    return config_field_doubt(&reader, error, "%s:%u: component %.*s: %.*s: %s; the value %s",
                              value->file, value->line, FL_SLICE_ARG(component->name),
                              FL_SLICE_ARG(value->name), what,
                              value->value.len ? "beside it is used" : "stays empty");
}

static enum fl_err resolve_env(const struct config_resolve *how,
                               const struct config_component *component, struct config_value *value,
                               struct fl_slice name, struct fl_error *error)
{
    char what[300];
    value->value = fl_slice_of("", 0);
    value->is_secret = true;
    if (!may_read(name)) {
        snprintf(what, sizeof what,
                 "the environment variable \"%.*s\" may not be read by resources",
                 FL_SLICE_ARG(name));
        return doubt_value(how, component, value, what, error);
    }
    const char *found = getenv(name.data);
    if (!found) {
        snprintf(what, sizeof what, "the environment variable \"%.*s\" is not set",
                 FL_SLICE_ARG(name));
        return doubt_value(how, component, value, what, error);
    }
    value->value = unquote(fl_arena_copy(how->arena, fl_slice_str(found)), how->arena);
    return FL_OK;
}

/* A secret that is not found leaves the value as it is, and the component is opened with that. */
static enum fl_err resolve_secret(const struct config_resolve *how,
                                  const struct config_secrets *secrets,
                                  const struct config_component *component,
                                  const struct config_secret_ref *ref, struct config_value *value,
                                  struct fl_error *error)
{
    struct fl_slice found;
    struct fl_error cause;
    char what[700];
    if (component->secret_store.len == 0) {
        snprintf(what, sizeof what,
                 "the secret \"%.*s\" is not looked up: the component has no auth.secretStore",
                 FL_SLICE_ARG(ref->name));
        return doubt_value(how, component, value, what, error);
    }
    enum fl_err err =
        config_secrets_get(secrets, component->secret_store, ref, how->arena, &found, &cause);
    if (err == FL_OK && found.len) {
        value->value = unquote(found, how->arena);
        value->is_secret = true;
        return FL_OK;
    }
    if (err == FL_OK)
        snprintf(what, sizeof what, "the secret \"%.*s\" of store \"%.*s\" is empty",
                 FL_SLICE_ARG(ref->name), FL_SLICE_ARG(component->secret_store));
    else
        snprintf(what, sizeof what, "Error getting secret: store \"%.*s\": %s",
                 FL_SLICE_ARG(component->secret_store), cause.text);
    return doubt_value(how, component, value, what, error);
}

static enum fl_err fail_template(const struct config_component *component,
                                 const struct config_value *value, const struct fl_error *cause,
                                 struct fl_error *error)
{
    return fl_error_set(error, cause->code, FL_CLASS_REJECT, "%s:%u: component %.*s: %.*s: %s",
                        value->file, value->line, FL_SLICE_ARG(component->name),
                        FL_SLICE_ARG(value->name), cause->text);
}

/* A value may hold any braces; those that differ from a tag in case only are most likely meant. */
static enum fl_err doubt_tag(const struct config_resolve *how,
                             const struct config_component *component,
                             const struct config_value *value, const char *tag,
                             struct fl_error *error)
{
    const struct config_reader reader = {
        .arena = how->arena, .notes = how->notes, .scope = SCOPE, .is_strict = how->is_strict};
    return config_field_doubt(&reader, error,
                              "%s:%u: component %.*s: %.*s: what looks like the tag %s is spelled "
                              "otherwise and stays as it is",
                              value->file, value->line, FL_SLICE_ARG(component->name),
                              FL_SLICE_ARG(value->name), tag);
}

static enum fl_err resolve_value(const struct config_resolve *how,
                                 const struct config_secrets *secrets,
                                 struct config_component *component, size_t index,
                                 struct fl_error *error)
{
    struct config_value *value = &component->metadata[index];
    const struct config_secret_ref *ref = &component->secrets[index];
    struct fl_error cause;
    enum fl_err err = FL_OK;
    if (ref->env.len)
        err = resolve_env(how, component, value, ref->env, error);
    if (err == FL_OK && ref->name.len)
        err = resolve_secret(how, secrets, component, ref, value, error);
    const char *near = config_template_near_miss(value->value);
    if (err == FL_OK && near)
        err = doubt_tag(how, component, value, near, error);
    if (err == FL_OK && config_template_expand(value->value, how->identity, how->arena,
                                               &value->value, &cause) != FL_OK)
        err = fail_template(component, value, &cause, error);
    return err;
}

static bool needs_store(const struct config_component *component)
{
    if (component->secret_store.len == 0)
        return false;
    for (size_t i = 0; i < component->metadata_count; i++)
        if (component->secrets[i].name.len)
            return true;
    return false;
}

enum fl_err config_component_resolve(const struct config_resolve *how,
                                     const struct config_secrets *secrets,
                                     struct config_component *component, struct fl_error *error)
{
    if (needs_store(component)) {
        enum fl_err err = config_secrets_find(secrets, component->secret_store, error);
        if (err != FL_OK)
            return err;
    }
    for (size_t i = 0; i < component->metadata_count; i++) {
        enum fl_err err = resolve_value(how, secrets, component, i, error);
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

/* --- all of them ------------------------------------------------------------------------------ */

struct resolver {
    const struct config_resolve *how;
    struct config_secrets secrets;
    struct config_component *sorted;
    size_t sorted_count;
    const struct config_component **parked; /* stores that wait for a store, in order */
    size_t parked_count;
};

/* daprd's words, which begin alike for whatever went wrong. */
static void mark_broken(struct resolver *r, struct config_component *component, const char *step,
                        const struct fl_error *cause)
{
    const char *name = component->log_name.data;
    struct fl_arena *arena = r->how->arena;
    struct fl_error told;
    const char *inner = "";
    if (*step)
        inner = fl_arena_printf(arena,
                                "[%s_COMPONENT_FAILURE]: initialization error occurred for "
                                "%s: ",
                                step, name);
    component->standing = CONFIG_BROKEN;
    component->trouble =
        fl_arena_printf(arena,
                        "[INIT_COMPONENT_FAILURE]: initialization error occurred for %s: "
                        "%s%s",
                        name, inner, cause->text);
    (void)fl_error_set(&told, cause->code, FL_CLASS_FATAL, "process component %s error: %s",
                       component->name.data, component->trouble);
    (void)config_notes_keep(r->how->notes, SCOPE, &told);
}

/* The component is absent and everything else goes on, as in daprd; a strict load takes it for an
 * error. */
static void park(struct resolver *r, struct config_component *component)
{
    struct fl_error told;
    (void)fl_error_set(&told, FL_ERR_AGAIN, FL_CLASS_REJECT,
                       "Component %s references a secret store that isn't loaded: %.*s (%s:%u)",
                       component->name.data, FL_SLICE_ARG(component->secret_store), component->file,
                       component->line);
    if (r->how->is_strict) {
        mark_broken(r, component, "", &told);
        return;
    }
    component->standing = CONFIG_PARKED;
    config_note(r->how->notes, FL_LOG_WARNING, SCOPE, "%s; the component is absent", told.text);
}

/* Whether the component has its values now, or is known not to get them; false: it waits for a
 * store. */
static bool resolve_one(struct resolver *r, struct config_component *component)
{
    struct fl_error cause;
    struct fl_slice category = config_component_category(component);
    if (!fl_slice_eq_str(category, "pubsub") && !fl_slice_eq_str(category, "bindings") &&
        !fl_slice_eq_str(category, "secretstores"))
        return true;
    enum fl_err err = config_component_resolve(r->how, &r->secrets, component, &cause);
    if (err == FL_ERR_AGAIN)
        return false;
    if (err != FL_OK)
        mark_broken(r, component, err == FL_ERR_UNSUPPORTED ? "INIT" : "", &cause);
    return true;
}

static void open_store(struct resolver *r, struct config_component *component)
{
    struct fl_error cause;
    const struct config_bind how = {.owner = component->log_name.data,
                                    .arena = r->how->arena,
                                    .notes = r->how->notes,
                                    .is_strict = r->how->is_strict,
                                    .file = component->file,
                                    .line = component->line};
    enum fl_err err = config_secrets_open(&r->secrets, component, &how, &cause);
    if (err == FL_OK || err == FL_ERR_UNSUPPORTED)
        return;
    config_component_hide_secrets(component, cause.text);
    component->is_unknown = err == FL_ERR_NOT_FOUND;
    mark_broken(r, component, component->is_unknown ? "CREATE" : "INIT", &cause);
}

/* A store, and then those that waited for it, and then those that waited for these: they stand in
 * `sorted` already when their own turn comes. */
static void place_store(struct resolver *r, const struct config_component *component)
{
    size_t at = r->sorted_count;
    r->sorted[r->sorted_count++] = *component;
    if (!resolve_one(r, &r->sorted[at])) {
        r->parked[r->parked_count++] = component;
        r->sorted_count--;
        return;
    }
    for (; at < r->sorted_count; at++) {
        struct config_component *store = &r->sorted[at];
        if (store->standing == CONFIG_SOUND)
            open_store(r, store);
        size_t kept = 0;
        for (size_t i = 0; i < r->parked_count; i++) {
            struct config_component *next = &r->sorted[r->sorted_count];
            *next = *r->parked[i];
            if (fl_slice_eq(next->secret_store, store->name) && resolve_one(r, next))
                r->sorted_count++;
            else
                r->parked[kept++] = r->parked[i];
        }
        r->parked_count = kept;
    }
}

static bool is_store(const struct config_component *component)
{
    return fl_slice_eq_str(config_component_category(component), "secretstores");
}

static void place_others(struct resolver *r, const struct config_component *components,
                         size_t count)
{
    for (size_t i = 0; i < r->parked_count; i++) {
        r->sorted[r->sorted_count] = *r->parked[i];
        park(r, &r->sorted[r->sorted_count++]);
    }
    for (size_t i = 0; i < count; i++) {
        if (is_store(&components[i]))
            continue;
        struct config_component *component = &r->sorted[r->sorted_count++];
        *component = components[i];
        if (!resolve_one(r, component))
            park(r, component);
    }
}

void config_components_resolve(const struct config_resolve *how,
                               struct config_component *components, size_t count)
{
    struct resolver r = {.how = how};
    if (count == 0)
        return;
    r.sorted = fl_zalloc(sizeof *r.sorted * (count + 1));
    r.parked = fl_zalloc(sizeof *r.parked * (count + 1));
    for (size_t i = 0; i < count; i++)
        if (is_store(&components[i]))
            place_store(&r, &components[i]);
    place_others(&r, components, count);
    memcpy(components, r.sorted, sizeof *components * count);
    fl_free(r.sorted);
    fl_free(r.parked);
    config_secrets_fini(&r.secrets);
}

/* --- hiding ----------------------------------------------------------------------------------- */

/* A secret shorter than the first is a word that may stand anywhere; a part of one counts from the
 * second on, in secrets of at most the third. */
enum { HIDDEN_MIN = 4, HIDDEN_PART_MIN = 6, HIDDEN_PARTS_OF_MAX = 64 * 1024 };

/* Puts "***" in the place of `len` bytes, which are more. Returns what stands behind it. */
static char *cover(char *at, size_t len)
{
    memcpy(at, "***", 3);
    memmove(at + 3, at + len, strlen(at + len) + 1);
    return at + 3;
}

static void hide_whole(char *text, struct fl_slice secret)
{
    if (secret.len < HIDDEN_MIN)
        return;
    while ((text = memmem(text, strlen(text), secret.data, secret.len)))
        text = cover(text, secret.len);
}

/* Whoever is given a path or an address speaks of its folder or its host. */
static void hide_parts(char *text, struct fl_slice secret)
{
    if (secret.len < HIDDEN_PART_MIN || secret.len > HIDDEN_PARTS_OF_MAX)
        return;
    while (*text) {
        size_t left = strlen(text), len = HIDDEN_PART_MIN;
        if (left < len || !memmem(secret.data, secret.len, text, len)) {
            text++;
            continue;
        }
        while (len < left && memmem(secret.data, secret.len, text, len + 1))
            len++;
        text = cover(text, len);
    }
}

void config_component_hide_secrets(const struct config_component *component, char *text)
{
    for (size_t i = 0; i < component->metadata_count; i++)
        if (component->metadata[i].is_secret)
            hide_whole(text, component->metadata[i].value);
    for (size_t i = 0; i < component->metadata_count; i++)
        if (component->metadata[i].is_secret)
            hide_parts(text, component->metadata[i].value);
}
