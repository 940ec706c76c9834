/* JSON to the tree that YAML becomes.
 *
 * The nodes are of a dialect that never turns numbers into strings; the bounds are those of YAML.
 */
#include "config/json_nodes_priv.h"

#include <jansson.h>

struct converter {
    struct fl_arena *arena;
    const char *file;
    size_t node_count;
};

static struct config_node *convert(struct converter *c, json_t *json, unsigned depth);

static bool convert_array(struct converter *c, json_t *json, unsigned depth,
                          struct config_node *node)
{
    size_t count = json_array_size(json);
    node->kind = CONFIG_NODE_LIST;
    node->list.items = FL_ARENA_ARRAY(c->arena, struct config_node *, count + 1);
    node->list.count = count;
    for (size_t i = 0; i < count; i++) {
        node->list.items[i] = convert(c, json_array_get(json, i), depth + 1);
        if (!node->list.items[i])
            return false;
    }
    return true;
}

static bool convert_object(struct converter *c, json_t *json, unsigned depth,
                           struct config_node *node)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    node->kind = CONFIG_NODE_MAP;
    node->map.pairs = FL_ARENA_ARRAY(c->arena, struct config_node_pair, json_object_size(json) + 1);
    json_object_foreach(json, key, value)
    {
        struct config_node_pair *pair = &node->map.pairs[count++];
        pair->key = fl_arena_copy(c->arena, fl_slice_str(key));
        pair->value = convert(c, value, depth + 1);
        if (!pair->value)
            return false;
    }
    node->map.count = count;
    return true;
}

static void convert_scalar(struct converter *c, json_t *json, struct config_node *node)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        node->kind = CONFIG_NODE_STRING;
        node->text =
            fl_arena_copy(c->arena, fl_slice_of(json_string_value(json), json_string_length(json)));
        break;
    case JSON_INTEGER:
        node->kind = CONFIG_NODE_INT;
        node->integer.value = json_integer_value(json);
        node->text =
            fl_slice_str(fl_arena_printf(c->arena, "%lld", (long long)json_integer_value(json)));
        break;
    case JSON_REAL:
        node->kind = CONFIG_NODE_FLOAT;
        node->real = json_real_value(json);
        node->text = fl_slice_str(fl_arena_printf(c->arena, "%g", json_real_value(json)));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        node->kind = CONFIG_NODE_BOOL;
        node->boolean = json_is_true(json);
        node->text = node->boolean ? FL_SLICE_LIT("true") : FL_SLICE_LIT("false");
        break;
    case JSON_NULL:
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
}

/* NULL: too deep or too many values. */
static struct config_node *convert(struct converter *c, json_t *json, unsigned depth)
{
    if (depth > CONFIG_YAML_DEPTH_MAX || ++c->node_count > CONFIG_YAML_NODES_MAX)
        return NULL;
    struct config_node *node = FL_ARENA_NEW(c->arena, struct config_node);
    node->dialect = CONFIG_DIALECT_JSON;
    node->file = c->file;
    bool is_fine = true;
    if (json_is_array(json))
        is_fine = convert_array(c, json, depth, node);
    else if (json_is_object(json))
        is_fine = convert_object(c, json, depth, node);
    else
        convert_scalar(c, json, node);
    return is_fine ? node : NULL;
}

enum fl_err config_json_read(struct fl_slice text, const char *file, struct fl_arena *arena,
                             struct config_node **root, struct fl_error *error)
{
    json_error_t problem;
    struct converter converter = {.arena = arena, .file = file};
    if (text.len > CONFIG_YAML_BYTES_MAX)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "%s: the answer is longer than 4 MiB", file);
    json_t *json = json_loadb(text.data, text.len,
                              JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &problem);
    if (!json)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s: line %d, column %d: %s",
                            file, problem.line, problem.column, problem.text);
    struct config_node *got = convert(&converter, json, 1);
    json_decref(json);
    if (!got)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "%s: the answer is nested too deeply or has too many values", file);
    *root = got;
    return FL_OK;
}
