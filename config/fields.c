/* Reading maps by rows. The types are Go's, because daprd's are: an integer field takes 1e3 and 5.0
 * but not 1.5, a string field takes every scalar, a boolean only a boolean; in the configuration
 * dialect a boolean may also be one of YAML 1.1's words, which the node already says. */
#include "config/fields_priv.h"

#include <math.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/map.h"
#include "config/spelling.h"

enum { SHOWN_MAX = 60 };

/* What stands there, short enough for a line: `string "maybe"`, `list`. */
static void describe_found(const struct config_node *node, char *out, size_t size)
{
    struct fl_slice text = node->text;
    bool is_scalar = node->kind != CONFIG_NODE_LIST && node->kind != CONFIG_NODE_MAP;
    if (!is_scalar || node->kind == CONFIG_NODE_NULL) {
        snprintf(out, size, "%s", config_node_kind_name(node->kind));
        return;
    }
    snprintf(out, size, "%s \"%.*s%s\"", config_node_kind_name(node->kind),
             (int)(text.len > SHOWN_MAX ? SHOWN_MAX : text.len), text.data,
             text.len > SHOWN_MAX ? "…" : "");
}

const char *config_field_place(const struct config_node *node, uint32_t line,
                               char out[CONFIG_PLACE_TEXT])
{
    if (line)
        snprintf(out, CONFIG_PLACE_TEXT, "%s:%u", node->file, line);
    else
        snprintf(out, CONFIG_PLACE_TEXT, "%s", node->file);
    return out;
}

enum fl_err config_field_error(const struct config_node *node, const char *path,
                               const char *accepted, struct fl_error *error)
{
    char found[256], place[CONFIG_PLACE_TEXT];
    describe_found(node, found, sizeof found);
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s: %s: found %s; accepted: %s",
                        config_field_place(node, node->line, place), *path ? path : "the document",
                        found, accepted);
}

enum fl_err config_field_doubt(const struct config_reader *reader, struct fl_error *error,
                               const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (reader->is_strict) {
        enum fl_err err = fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s", text);
        return config_notes_keep(reader->notes, reader->scope, error) ? FL_OK : err;
    }
    config_note(reader->notes, FL_LOG_WARNING, reader->scope, "%s", text);
    return FL_OK;
}

enum fl_err config_field_keep(const struct config_reader *reader, enum fl_err err,
                              const struct fl_error *error)
{
    if (err == FL_OK || !reader->has_failed ||
        !config_notes_keep(reader->notes, reader->scope, error))
        return err;
    *reader->has_failed = true;
    return FL_OK;
}

enum fl_err config_field_end(const struct config_reader *reader, enum fl_err err,
                             struct fl_error *error)
{
    if (err != FL_OK || !reader->has_failed || !*reader->has_failed)
        return err;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s", "");
}

size_t config_node_unique_pairs(const struct config_node *map, struct fl_arena *arena,
                                struct config_node_pair **pairs)
{
    size_t count = 0;
    struct fl_map seen = {0};
    *pairs = FL_ARENA_ARRAY(arena, struct config_node_pair, map->map.count + 1);
    for (size_t i = 0; i < map->map.count; i++) {
        const struct config_node_pair *pair = &map->map.pairs[i];
        struct config_node_pair *known = fl_map_find(&seen, pair->key);
        if (known) {
            *known = *pair;
            continue;
        }
        (*pairs)[count] = *pair;
        fl_map_set(&seen, pair->key, &(*pairs)[count++]);
    }
    fl_map_fini(&seen);
    return count;
}

/* --- types ------------------------------------------------------------------------------------ */

static enum fl_err read_integer(const struct config_node *node, const char *path, int64_t min,
                                int64_t max, int64_t *value, struct fl_error *error)
{
    const char *accepted = max == INT32_MAX ? "an integer of 32 bits" : "an integer of 64 bits";
    int64_t got = 0;
    bool fits = false;
    if (node->kind == CONFIG_NODE_INT) {
        got = node->integer.value;
        fits = node->integer.magnitude <= INT64_MAX;
    } else if (node->kind == CONFIG_NODE_FLOAT && node->dialect != CONFIG_DIALECT_JSON &&
               node->real == floor(node->real) && fabs(node->real) < 9e15) {
        got = (int64_t)node->real;
        fits = true;
    }
    if (!fits || got < min || got > max)
        return config_field_error(node, path, accepted, error);
    *value = got;
    return FL_OK;
}

static enum fl_err read_string(const struct config_reader *reader, const struct config_node *node,
                               const char *path, struct fl_slice *into, struct fl_error *error)
{
    struct fl_slice text;
    if (config_node_string(node, reader->arena, &text) != FL_OK)
        return config_field_error(node, path, "a string", error);
    *into = text;
    return FL_OK;
}

static enum fl_err read_strings(const struct config_reader *reader, const struct config_node *node,
                                const char *path, struct config_list *into, struct fl_error *error)
{
    if (node->kind != CONFIG_NODE_LIST)
        return config_field_error(node, path, "a list of strings", error);
    struct config_list list = {
        .items = FL_ARENA_ARRAY(reader->arena, struct fl_slice, node->list.count + 1),
        .count = node->list.count};
    for (size_t i = 0; i < list.count; i++) {
        enum fl_err err = read_string(reader, node->list.items[i], path, &list.items[i], error);
        if (err != FL_OK)
            return err;
    }
    *into = list;
    return FL_OK;
}

static enum fl_err read_pairs(const struct config_reader *reader, const struct config_node *node,
                              const char *path, struct config_pairs *into, struct fl_error *error)
{
    if (node->kind != CONFIG_NODE_MAP)
        return config_field_error(node, path, "a map of strings", error);
    struct config_node_pair *from;
    size_t count = config_node_unique_pairs(node, reader->arena, &from);
    struct config_pairs pairs = {
        .items = FL_ARENA_ARRAY(reader->arena, struct config_pair, count + 1), .count = count};
    for (size_t i = 0; i < count; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s.%.*s", path, FL_SLICE_ARG(from[i].key));
        pairs.items[i].name = fl_arena_copy(reader->arena, from[i].key);
        enum fl_err err = read_string(reader, from[i].value, name, &pairs.items[i].value, error);
        if (err != FL_OK)
            return err;
    }
    *into = pairs;
    return FL_OK;
}

enum fl_err config_field_read_value(const struct config_reader *reader,
                                    const struct config_node *node, const char *path,
                                    enum config_field_type type, void *into, struct fl_error *error)
{
    int64_t integer;
    enum fl_err err = FL_OK;
    switch (type) {
    case CONFIG_FIELD_STRING:
        return read_string(reader, node, path, into, error);
    case CONFIG_FIELD_BOOL:
        if (node->kind != CONFIG_NODE_BOOL)
            return config_field_error(node, path, "true or false", error);
        *(bool *)into = node->boolean;
        return FL_OK;
    case CONFIG_FIELD_INT32:
        err = read_integer(node, path, INT32_MIN, INT32_MAX, &integer, error);
        if (err == FL_OK)
            *(int32_t *)into = (int32_t)integer;
        return err;
    case CONFIG_FIELD_INT64:
        err = read_integer(node, path, INT64_MIN, INT64_MAX, &integer, error);
        if (err == FL_OK)
            *(int64_t *)into = integer;
        return err;
    case CONFIG_FIELD_STRINGS:
        return read_strings(reader, node, path, into, error);
    case CONFIG_FIELD_PAIRS:
        return read_pairs(reader, node, path, into, error);
    case CONFIG_FIELD_MAP:
        if (node->kind != CONFIG_NODE_MAP)
            return config_field_error(node, path, "a map", error);
        break;
    case CONFIG_FIELD_LIST:
        if (node->kind != CONFIG_NODE_LIST)
            return config_field_error(node, path, "a list", error);
        break;
    case CONFIG_FIELD_ANY:
        break;
    case CONFIG_FIELD_KNOWN:
        return FL_OK;
    }
    *(const struct config_node **)into = node;
    return FL_OK;
}

/* --- maps ------------------------------------------------------------------------------------- */

static bool is_named(const struct config_node_pair *pair, const struct config_node *map,
                     const char *name)
{
    struct fl_slice wanted = fl_slice_str(name);
    return map->dialect == CONFIG_DIALECT_CONFIGURATION ? fl_slice_eq(pair->key, wanted)
                                                        : fl_slice_eq_nocase(pair->key, wanted);
}

static const struct config_field *find_field(const struct config_field *fields,
                                             const struct config_node *map,
                                             const struct config_node_pair *pair)
{
    for (; fields->name; fields++)
        if (is_named(pair, map, fields->name))
            return fields;
    return NULL;
}

static enum fl_err doubt_unknown(const struct config_reader *reader,
                                 const struct config_field *fields, const struct config_node *map,
                                 const struct config_node_pair *pair, const char *path,
                                 struct fl_error *error)
{
    struct config_spelling spelling;
    char nearest[128] = "", place[CONFIG_PLACE_TEXT];
    /* Nobody would read it, and comparing spellings is what a map of many wrong names would make
     * long. */
    if (!reader->is_strict && (!reader->notes || reader->notes->count >= CONFIG_NOTES_MAX))
        return FL_OK;
    config_spelling_init(&spelling, pair->key);
    for (; fields->name; fields++)
        config_spelling_offer(&spelling, fl_slice_str(fields->name));
    if (spelling.best.data)
        snprintf(nearest, sizeof nearest, "; the nearest known one is \"%s\"", spelling.best.data);
    return config_field_doubt(reader, error, "%s: %s%s\"%.*s\" is not a known field%s",
                              config_field_place(map, pair->line, place), path, *path ? ": " : "",
                              FL_SLICE_ARG(pair->key), nearest);
}

/* Of the pairs with a field's name, the first whose value counts, or does not; NULL: none. */
static const struct config_node_pair *find_pair(const struct config_field *field,
                                                const struct config_node *map,
                                                const struct config_node *value, bool counts)
{
    for (size_t i = 0; i < map->map.count; i++)
        if (is_named(&map->map.pairs[i], map, field->name) &&
            (map->map.pairs[i].value == value) == counts)
            return &map->map.pairs[i];
    return NULL;
}

/* daprd takes one of them without a word, so this is no error; but what the others say has no
 * effect. */
static enum fl_err doubt_repeated(const struct config_reader *reader,
                                  const struct config_field *field, const struct config_node *map,
                                  const struct config_node *value, const char *path,
                                  struct fl_error *error)
{
    char place[CONFIG_PLACE_TEXT];
    const struct config_node_pair *other = find_pair(field, map, value, false);
    if (!other || map->dialect == CONFIG_DIALECT_JSON)
        return FL_OK;
    return config_field_doubt(reader, error,
                              "%s: %s is set more than once; the one in line %u counts",
                              config_field_place(map, other->line, place), path,
                              find_pair(field, map, value, true)->line);
}

static enum fl_err doubt_all_unknown(const struct config_reader *reader,
                                     const struct config_field *fields,
                                     const struct config_node *map, const char *path,
                                     struct fl_error *error)
{
    for (size_t i = 0; i < map->map.count; i++) {
        const struct config_node_pair *pair = &map->map.pairs[i];
        if (find_field(fields, map, pair))
            continue;
        enum fl_err err = doubt_unknown(reader, fields, map, pair, path, error);
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

static enum fl_err read_field(const struct config_reader *reader, const struct config_field *field,
                              const struct config_node *map, const char *path, void *into,
                              struct fl_error *error)
{
    char name[256];
    const struct config_node *value = config_node_find(map, field->name);
    if (!value)
        return FL_OK;
    snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", field->name);
    enum fl_err err = config_field_read_value(reader, value, name, field->type,
                                              (char *)into + field->offset, error);
    if (err == FL_OK)
        err = doubt_repeated(reader, field, map, value, name, error);
    return err;
}

enum fl_err config_fields_read(const struct config_reader *reader, const struct config_node *node,
                               const char *path, const struct config_field *fields, void *into,
                               struct fl_error *error)
{
    if (!node || node->kind == CONFIG_NODE_NULL)
        return FL_OK;
    if (node->kind != CONFIG_NODE_MAP)
        return config_field_error(node, path, "a map", error);
    for (const struct config_field *field = fields; field->name; field++) {
        enum fl_err err = read_field(reader, field, node, path, into, error);
        err = config_field_keep(reader, err, error);
        if (err != FL_OK)
            return err;
    }
    return doubt_all_unknown(reader, fields, node, path, error);
}
