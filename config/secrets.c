/* The stores. Both are looked into when a value is asked for: the file's tree is walked along the
 * name instead of being flattened beforehand, so deep nesting and long names cost nothing. Each
 * place of the tree has one name, so a walk visits it at most once.
 *
 * The JSON reader's own messages quote the text at fault, which may be a password; only the line
 * and the column are taken over. */
#include "config/secrets.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "config/yaml.h"

#define SCOPE "dapr.runtime"

struct file_settings {
    struct fl_slice path, separator;
    bool is_multi_valued;
};

struct env_settings {
    struct fl_slice prefix;
};

enum store_kind { FILE_STORE, ENV_STORE, ABSENT_STORE };

struct store {
    enum store_kind kind;
    struct fl_slice type; /* as written */
    struct file_settings file;
    json_t *root; /* FILE_STORE */
    struct env_settings env;
};

static const struct config_option file_options[] = {
    {.name = "secretsFile",
     .type = CONFIG_STRING,
     .is_required = true,
     .help = "a file with one JSON object, of at most 4 MiB; relative to the working folder",
     .offset = offsetof(struct file_settings, path)},
    {.name = "nestedSeparator",
     .type = CONFIG_STRING,
     .default_text = ":",
     .help = "stands between the names of nested secrets, such as db:password",
     .offset = offsetof(struct file_settings, separator)},
    {.name = "multiValued",
     .type = CONFIG_BOOL,
     .default_text = "false",
     .help = "an object at the top is one secret with several keys",
     .offset = offsetof(struct file_settings, is_multi_valued)},
    {.name = NULL},
};

static const struct config_option env_options[] = {
    {.name = "prefix",
     .type = CONFIG_STRING,
     .help = "stands before the name of every secret to make the variable's name",
     .offset = offsetof(struct env_settings, prefix)},
    {.name = NULL},
};

/* In the order of enum store_kind. */
const struct config_secret_store_type config_secret_store_types[] = {
    {"secretstores.local.file", "Secrets from a JSON file.", file_options},
    {"secretstores.local.env", "Secrets from environment variables.", env_options},
    {NULL, NULL, NULL},
};

bool config_secret_store_is_absent(struct fl_slice type)
{
    static const char *const names[] = {
        "alicloud.parameterstore", "aws.parameterstore", "aws.secretmanager",
        "azure.keyvault",          "gcp.secretmanager",  "hashicorp.vault",
        "huaweicloud.csms",        "kubernetes",         "tencentcloud.ssm"};
    static const struct fl_slice category = FL_SLICE_LIT("secretstores.");
    if (!fl_slice_starts_with(type, category))
        return false;
    struct fl_slice rest = fl_slice_of(type.data + category.len, type.len - category.len);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (fl_slice_eq_nocase(rest, fl_slice_str(names[i])))
            return true;
    return false;
}

bool config_env_is_denied(struct fl_slice name)
{
    return fl_slice_eq_nocase(name, FL_SLICE_LIT("APP_API_TOKEN")) ||
           fl_slice_starts_with_nocase(name, FL_SLICE_LIT("DAPR_"));
}

/* --- opening ---------------------------------------------------------------------------------- */

static void free_store(struct store *store)
{
    json_decref(store->root);
    fl_free(store);
}

void config_secrets_fini(struct config_secrets *secrets)
{
    uint32_t at = 0;
    struct fl_slice name;
    void *store;
    while (fl_map_next(&secrets->stores, &at, &name, &store))
        free_store(store);
    fl_map_fini(&secrets->stores);
}

/* One warning: whoever runs on this machine can read along. */
static void doubt_mode(const struct config_bind *how, const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && (status.st_mode & S_IROTH))
        config_note(how->notes, FL_LOG_WARNING, SCOPE,
                    "%s: the secrets in %s can be read by every user of this machine (mode %04o)",
                    how->owner, path, (unsigned)status.st_mode & 07777U);
}

static enum fl_err parse_file(const char *path, struct fl_slice text, json_t **root,
                              struct fl_error *error)
{
    json_error_t where;
    json_t *got = json_loadb(text.data, text.len,
                             JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &where);
    if (!got)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "%s:%d:%d: found what is not JSON in UTF-8; accepted: one object, "
                            "nested at most 2000 deep",
                            path, where.line, where.column);
    if (json_is_object(got)) {
        *root = got;
        return FL_OK;
    }
    json_decref(got);
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "%s: found JSON that is not an object; accepted: one object", path);
}

static enum fl_err open_file(struct store *store, const struct config_bind *how,
                             struct fl_error *error)
{
    struct fl_arena scratch = {0};
    struct fl_slice text;
    const char *path = store->file.path.data;
    if (memchr(path, '\0', store->file.path.len))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "%s: secretsFile: found a path with a NUL in it", how->owner);
    enum fl_err err = config_read_file(path, &scratch, &text, error);
    if (err == FL_OK)
        err = parse_file(path, text, &store->root, error);
    if (err == FL_OK)
        doubt_mode(how, path);
    fl_arena_fini(&scratch);
    return err == FL_ERR_NOT_FOUND ? FL_ERR_INVALID : err; /* it is the type that is not found */
}

static enum fl_err find_kind(const struct config_component *component, enum store_kind *kind,
                             struct fl_error *error)
{
    struct fl_slice type = component->type, version = component->version;
    bool is_first = version.len == 0 || fl_slice_eq_nocase(version, FL_SLICE_LIT("v0")) ||
                    fl_slice_eq_nocase(version, FL_SLICE_LIT("v1"));
    *kind = ABSENT_STORE;
    if (config_secret_store_is_absent(type))
        return FL_OK;
    for (int i = 0; is_first && config_secret_store_types[i].type; i++)
        if (fl_slice_eq_nocase(type, fl_slice_str(config_secret_store_types[i].type))) {
            *kind = (enum store_kind)i;
            return FL_OK;
        }
    return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT,
                        "couldn't find secret store %.*s/%.*s: there are secretstores.local.file "
                        "and secretstores.local.env, each in v1",
                        FL_SLICE_ARG(type), FL_SLICE_ARG(version));
}

static enum fl_err fill_store(struct store *store, const struct config_component *component,
                              const struct config_bind *how, struct fl_error *error)
{
    struct config_option_target target = {NULL, NULL};
    if (store->kind == ABSENT_STORE)
        return FL_OK;
    target.rows = config_secret_store_types[store->kind].options;
    target.into = store->kind == FILE_STORE ? (void *)&store->file : (void *)&store->env;
    enum fl_err err =
        config_options_bind(&target, 1, component->metadata, component->metadata_count, how, error);
    if (err == FL_OK && store->kind == FILE_STORE)
        err = open_file(store, how, error);
    return err;
}

enum fl_err config_secrets_open(struct config_secrets *secrets, struct config_component *component,
                                const struct config_bind *how, struct fl_error *error)
{
    enum store_kind kind;
    enum fl_err err = find_kind(component, &kind, error);
    if (err != FL_OK)
        return err;
    struct store *store = fl_zalloc(sizeof *store);
    store->kind = kind;
    store->type = component->type;
    err = fill_store(store, component, how, error);
    if (err != FL_OK) {
        free_store(store);
        return err;
    }
    component->has_many_keys = store->file.is_multi_valued;
    struct store *former = fl_map_set(&secrets->stores, component->name, store);
    if (former)
        free_store(former);
    return kind == ABSENT_STORE ? config_secrets_find(secrets, component->name, error) : FL_OK;
}

enum fl_err config_secrets_find(const struct config_secrets *secrets, struct fl_slice store,
                                struct fl_error *error)
{
    const struct store *found = fl_map_find(&secrets->stores, store);
    if (!found)
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_REJECT,
                            "no secret store \"%.*s\" is open", FL_SLICE_ARG(store));
    if (found->kind == ABSENT_STORE)
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT,
                            "the secret store \"%.*s\" is of type %.*s, which is not part of "
                            "Fairlead; accepted: secretstores.local.file, secretstores.local.env",
                            FL_SLICE_ARG(store), FL_SLICE_ARG(found->type));
    return FL_OK;
}

/* --- looking into a file ---------------------------------------------------------------------- */

/* What is left of a path behind `name` and the separator; the null slice when it does not begin so.
 * An empty rest that is not null: the path is the name. */
static struct fl_slice after(struct fl_slice path, struct fl_slice name, struct fl_slice separator)
{
    if (!fl_slice_starts_with(path, name))
        return FL_SLICE_NULL;
    struct fl_slice rest = fl_slice_of(path.data + name.len, path.len - name.len);
    if (rest.len == 0)
        return fl_slice_of("", 0);
    if (rest.len == separator.len || !fl_slice_starts_with(rest, separator))
        return FL_SLICE_NULL;
    return fl_slice_of(rest.data + separator.len, rest.len - separator.len);
}

static const json_t *find_leaf(const json_t *node, struct fl_slice path, struct fl_slice separator);

static const json_t *find_below(const json_t *child, struct fl_slice name, struct fl_slice path,
                                struct fl_slice separator)
{
    struct fl_slice rest = after(path, name, separator);
    if (fl_slice_is_null(rest))
        return NULL;
    bool is_leaf = !json_is_object(child) && !json_is_array(child);
    if (rest.len == 0)
        return is_leaf ? child : NULL;
    return is_leaf ? NULL : find_leaf(child, rest, separator);
}

/* The scalar that a path of names and places of lists leads to. Recursion is as deep as the file,
 * which the JSON reader bounds. */
static const json_t *find_leaf(const json_t *node, struct fl_slice path, struct fl_slice separator)
{
    const char *key;
    size_t index;
    json_t *child;
    const json_t *found = NULL;
    json_object_foreach((json_t *)node, key, child)
    {
        found = find_below(child, fl_slice_str(key), path, separator);
        if (found)
            return found;
    }
    json_array_foreach(node, index, child)
    {
        char name[24];
        snprintf(name, sizeof name, "%zu", index);
        found = find_below(child, fl_slice_str(name), path, separator);
        if (found)
            return found;
    }
    return NULL;
}

/* The shortest text that reads as the same number; whole ones without an exponent. */
static struct fl_slice number_text(double value, struct fl_arena *arena)
{
    char text[40];
    if (fabs(value) < 1e15 && value == floor(value))
        return fl_slice_str(fl_arena_printf(arena, "%.0f", value));
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return fl_arena_copy(arena, fl_slice_str(text));
}

/* null, like an empty string, is a secret without a value. */
static struct fl_slice leaf_text(const json_t *leaf, struct fl_arena *arena)
{
    if (json_is_string(leaf))
        return fl_arena_copy(arena, fl_slice_of(json_string_value(leaf), json_string_length(leaf)));
    if (json_is_real(leaf))
        return number_text(json_real_value(leaf), arena);
    return json_is_true(leaf)    ? FL_SLICE_LIT("true")
           : json_is_false(leaf) ? FL_SLICE_LIT("false")
                                 : FL_SLICE_LIT("");
}

static const json_t *find_top(const json_t *root, struct fl_slice name)
{
    const char *key;
    json_t *child;
    json_object_foreach((json_t *)root, key, child) if (fl_slice_eq_str(name, key)) return child;
    return NULL;
}

/* Of a secret that is one string, the only key is its name. */
static const json_t *find_in_file(const struct store *store, struct fl_slice name,
                                  struct fl_slice key, bool *has_secret)
{
    struct fl_slice separator = store->file.separator;
    const json_t *secret = store->file.is_multi_valued ? find_top(store->root, name)
                                                       : find_leaf(store->root, name, separator);
    bool is_object = json_is_object(secret);
    *has_secret = secret && (is_object || !store->file.is_multi_valued || json_is_string(secret));
    if (!*has_secret)
        return NULL;
    if (is_object)
        return find_leaf(secret, key, separator);
    return fl_slice_eq(key, name) ? secret : NULL;
}

/* --- asking ----------------------------------------------------------------------------------- */

static enum fl_err lack_secret(struct fl_slice name, struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT, "secret %.*s not found",
                        FL_SLICE_ARG(name));
}

static enum fl_err lack_key(struct fl_slice name, struct fl_slice key, struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT, "secret %.*s has no key \"%.*s\"",
                        FL_SLICE_ARG(name), FL_SLICE_ARG(key));
}

static enum fl_err get_from_file(const struct store *store, struct fl_slice name,
                                 struct fl_slice key, struct fl_arena *arena,
                                 struct fl_slice *value, struct fl_error *error)
{
    bool has_secret;
    const json_t *leaf = find_in_file(store, name, key, &has_secret);
    if (!has_secret)
        return lack_secret(name, error);
    if (!leaf)
        return lack_key(name, key, error);
    *value = leaf_text(leaf, arena);
    return FL_OK;
}

static enum fl_err get_from_env(const struct store *store, struct fl_slice name,
                                struct fl_slice key, struct fl_arena *arena, struct fl_slice *value,
                                struct fl_error *error)
{
    const char *variable =
        fl_arena_printf(arena, "%.*s%.*s", FL_SLICE_ARG(store->env.prefix), FL_SLICE_ARG(name));
    if (config_env_is_denied(fl_slice_str(variable)))
        return fl_error_set(error, FL_ERR_REFUSED, FL_CLASS_REJECT,
                            "the environment variable \"%s\" may not be read by resources",
                            variable);
    if (!fl_slice_eq(key, name))
        return lack_key(name, key, error);
    const char *found = getenv(variable);
    if (!found)
        return lack_secret(name, error);
    *value = fl_arena_copy(arena, fl_slice_str(found));
    return FL_OK;
}

enum fl_err config_secrets_get(const struct config_secrets *secrets, struct fl_slice store,
                               const struct config_secret_ref *ref, struct fl_arena *arena,
                               struct fl_slice *value, struct fl_error *error)
{
    enum fl_err err = config_secrets_find(secrets, store, error);
    if (err != FL_OK)
        return err;
    const struct store *found = fl_map_find(&secrets->stores, store);
    struct fl_slice key = ref->key.len ? ref->key : ref->name;
    if (found->kind == FILE_STORE)
        return get_from_file(found, ref->name, key, arena, value, error);
    return get_from_env(found, ref->name, key, arena, value, error);
}
