/* libyaml's events become a tree; everything a hostile document could make large is counted here.
 *
 * The builder keeps one stack of finished values and one of open containers. When a container ends,
 * its values leave the stack and become its children. Anchors name finished nodes only, so a tree
 * has no cycles; every node knows its height and its weight (itself and all below, with aliases
 * written out), and both are checked when a container ends, so neither nested aliases nor merge
 * keys can make later walks long. */
#include "config/yaml.h"

#include <stdio.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/map.h"
#include "config/yaml_priv.h"

#define NUMBER_TEXT(number) #number
#define NUMBER(number) NUMBER_TEXT(number)
#define TOO_DEEP "nested more than " NUMBER(CONFIG_YAML_DEPTH_MAX) " deep"

struct frame {
    struct config_node *node;
    struct fl_slice anchor; /* null: none */
    size_t base;            /* of its values on the stack */
};

struct builder {
    yaml_parser_t parser;
    struct fl_arena *arena;
    struct fl_slice text;
    const char *file;
    uint32_t first_line;
    enum config_dialect dialect;
    struct fl_error *error;

    struct frame frames[CONFIG_YAML_DEPTH_MAX];
    size_t depth;
    struct config_node **values;
    bool *merges; /* parallel: this value is the plain scalar << */
    size_t value_count, value_room;
    size_t node_count;
    struct fl_map anchors; /* struct config_node * */
    struct config_node *root;
};

static enum fl_err fail_at(struct builder *b, enum fl_err code, uint32_t line, uint32_t column,
                           const char *what)
{
    return fl_error_set(b->error, code, FL_CLASS_REJECT, "%s:%u:%u: %s", b->file, line, column,
                        what);
}

static uint32_t line_of(const struct builder *b, yaml_mark_t mark)
{
    return b->first_line + (uint32_t)mark.line;
}

/* --- values and containers -------------------------------------------------------------------- */

static struct config_node *new_node(struct builder *b, enum config_node_kind kind, yaml_mark_t mark)
{
    struct config_node *node = FL_ARENA_NEW(b->arena, struct config_node);
    *node = (struct config_node){.kind = kind,
                                 .dialect = b->dialect,
                                 .line = line_of(b, mark),
                                 .column = (uint32_t)mark.column + 1,
                                 .file = b->file,
                                 .height = 1,
                                 .weight = 1};
    b->node_count++;
    return node;
}

static void push_value(struct builder *b, struct config_node *node, bool is_merge)
{
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    if (b->value_count == b->value_room) {
        b->value_room = b->value_room ? b->value_room * 2 : 64;
        b->values = fl_realloc(b->values, b->value_room * sizeof(*b->values));
        b->merges = fl_realloc(b->merges, b->value_room * sizeof(*b->merges));
    }
    b->values[b->value_count] = node;
    b->merges[b->value_count++] = is_merge;
}

static void set_anchor(struct builder *b, struct fl_slice name, struct config_node *node)
{
    if (!fl_slice_is_null(name))
        fl_map_set(&b->anchors, name, node);
}

/* A child's height and weight count in its parent; false when a bound is passed. */
static bool add_weight(struct config_node *node, const struct config_node *child)
{
    if (child->height + 1 > node->height)
        node->height = child->height + 1;
    node->weight += child->weight;
    return node->height <= CONFIG_YAML_DEPTH_MAX && node->weight <= CONFIG_YAML_WEIGHT_MAX;
}

static enum fl_err too_heavy(struct builder *b, const struct config_node *node)
{
    if (node->height > CONFIG_YAML_DEPTH_MAX)
        return fail_at(b, FL_ERR_TOO_LARGE, node->line, node->column, TOO_DEEP);
    return fail_at(b, FL_ERR_TOO_LARGE, node->line, node->column,
                   "with its aliases written out, this is more than " NUMBER(
                       CONFIG_YAML_WEIGHT_MAX) " values");
}

static enum fl_err end_list(struct builder *b, struct config_node *node, struct config_node **items,
                            size_t count)
{
    node->list.items = FL_ARENA_ARRAY(b->arena, struct config_node *, count + 1);
    node->list.count = count;
    for (size_t i = 0; i < count; i++) {
        node->list.items[i] = items[i];
        if (!add_weight(node, items[i]))
            return too_heavy(b, node);
    }
    return FL_OK;
}

/* A map under construction: pairs, and the keys that explicit entries and earlier merges took. */
struct map_build {
    struct config_node_pair *pairs;
    size_t count, room;
    struct fl_map keys;
};

static void add_pair(struct map_build *build, struct config_node_pair pair)
{
    if (build->count == build->room) {
        build->room = build->room ? build->room * 2 : 16;
        build->pairs = fl_realloc(build->pairs, build->room * sizeof(*build->pairs));
    }
    build->pairs[build->count++] = pair;
}

static enum fl_err add_explicit(struct builder *b, struct map_build *build,
                                const struct config_node *key, struct config_node *value)
{
    if (key->kind == CONFIG_NODE_LIST || key->kind == CONFIG_NODE_MAP ||
        key->kind == CONFIG_NODE_NULL)
        return fail_at(b, FL_ERR_INVALID, key->line, key->column, "a key must be a scalar");
    struct config_node_pair pair = {.line = key->line, .column = key->column, .value = value};
    pair.key =
        b->dialect == CONFIG_DIALECT_CONFIGURATION ? key->text : config_scalar_text(key, b->arena);
    if (fl_map_set(&build->keys, pair.key, value) && b->dialect == CONFIG_DIALECT_CONFIGURATION)
        return fl_error_set(b->error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "%s:%u:%u: the key \"%.*s\" is already set in this map", b->file,
                            key->line, key->column, FL_SLICE_ARG(pair.key));
    add_pair(build, pair);
    return FL_OK;
}

static enum fl_err merge_one(struct builder *b, struct map_build *build, struct config_node *node,
                             const struct config_node *source)
{
    if (source->kind != CONFIG_NODE_MAP)
        return fail_at(b, FL_ERR_INVALID, source->line, source->column,
                       "a merge key (<<) takes a map or a list of maps");
    if (!add_weight(node, source))
        return too_heavy(b, node);
    for (size_t i = 0; i < source->map.count; i++) {
        const struct config_node_pair *pair = &source->map.pairs[i];
        if (fl_map_find(&build->keys, pair->key))
            continue;
        fl_map_set(&build->keys, pair->key, pair->value);
        add_pair(build, *pair);
    }
    return FL_OK;
}

static enum fl_err merge(struct builder *b, struct map_build *build, struct config_node *node,
                         const struct config_node *source)
{
    if (source->kind != CONFIG_NODE_LIST)
        return merge_one(b, build, node, source);
    for (size_t i = 0; i < source->list.count; i++) {
        enum fl_err err = merge_one(b, build, node, source->list.items[i]);
        if (err != FL_OK)
            return err;
    }
    return FL_OK;
}

/* Explicit keys first, so that they win over merged ones wherever the merge key stands. */
static enum fl_err fill_map(struct builder *b, struct map_build *build, struct config_node *node,
                            size_t base, size_t count)
{
    enum fl_err err = FL_OK;
    for (size_t i = base; i + 1 < base + count && err == FL_OK; i += 2) {
        if (b->merges[i])
            continue;
        if (!add_weight(node, b->values[i]) || !add_weight(node, b->values[i + 1]))
            return too_heavy(b, node);
        err = add_explicit(b, build, b->values[i], b->values[i + 1]);
    }
    for (size_t i = base; i + 1 < base + count && err == FL_OK; i += 2)
        if (b->merges[i])
            err = merge(b, build, node, b->values[i + 1]);
    return err;
}

static enum fl_err end_map(struct builder *b, struct config_node *node, size_t base, size_t count)
{
    struct map_build build = {0};
    enum fl_err err = fill_map(b, &build, node, base, count);
    if (err == FL_OK) {
        node->map.pairs = FL_ARENA_ARRAY(b->arena, struct config_node_pair, build.count + 1);
        node->map.count = build.count;
        if (build.count)
            memcpy(node->map.pairs, build.pairs, build.count * sizeof(*build.pairs));
    }
    fl_map_fini(&build.keys);
    fl_free(build.pairs);
    return err;
}

/* --- events ----------------------------------------------------------------------------------- */

static struct fl_slice anchor_name(const yaml_char_t *anchor)
{
    return fl_slice_str((const char *)anchor);
}

static enum fl_err begin_container(struct builder *b, const yaml_event_t *event,
                                   enum config_node_kind kind, const yaml_char_t *anchor)
{
    struct config_node *node = new_node(b, kind, event->start_mark);
    if (b->depth == CONFIG_YAML_DEPTH_MAX)
        return fail_at(b, FL_ERR_TOO_LARGE, node->line, node->column, TOO_DEEP);
    struct frame *frame = &b->frames[b->depth++];
    *frame = (struct frame){.node = node, .base = b->value_count};
    if (anchor)
        frame->anchor = fl_arena_copy(b->arena, anchor_name(anchor));
    return FL_OK;
}

static enum fl_err end_container(struct builder *b)
{
    struct frame frame = b->frames[--b->depth];
    size_t count = b->value_count - frame.base;
    enum fl_err err;
    if (frame.node->kind == CONFIG_NODE_LIST)
        err = end_list(b, frame.node, count ? b->values + frame.base : NULL, count);
    else
        err = end_map(b, frame.node, frame.base, count);
    b->value_count = frame.base;
    if (err != FL_OK)
        return err;
    set_anchor(b, frame.anchor, frame.node);
    push_value(b, frame.node, false);
    return FL_OK;
}

static enum fl_err on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct config_node *node = new_node(b, CONFIG_NODE_STRING, event->start_mark);
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_plain = event->data.scalar.plain_implicit && (!tag || strcmp(tag, "!") != 0);
    node->text = fl_arena_copy(
        b->arena, fl_slice_of((const char *)event->data.scalar.value, event->data.scalar.length));
    if (config_scalar_resolve(node, tag, is_plain) != FL_OK)
        return fl_error_set(b->error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "%s:%u:%u: \"%.*s\" does not fit its tag %s", b->file, node->line,
                            node->column, FL_SLICE_ARG(node->text), tag);
    set_anchor(b, anchor_name(event->data.scalar.anchor), node);
    push_value(b, node, is_plain && fl_slice_eq_str(node->text, "<<"));
    return FL_OK;
}

static enum fl_err on_alias(struct builder *b, const yaml_event_t *event)
{
    struct fl_slice name = anchor_name(event->data.alias.anchor);
    struct config_node *node = fl_map_find(&b->anchors, name);
    b->node_count++;
    if (!node)
        return fl_error_set(b->error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "%s:%u:%u: no anchor \"%.*s\" stands before this alias", b->file,
                            line_of(b, event->start_mark), (uint32_t)event->start_mark.column + 1,
                            FL_SLICE_ARG(name));
    push_value(b, node, false);
    return FL_OK;
}

static enum fl_err on_event(struct builder *b, const yaml_event_t *event, bool *is_done)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return begin_container(b, event, CONFIG_NODE_LIST, event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return begin_container(b, event, CONFIG_NODE_MAP, event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return end_container(b);
    case YAML_DOCUMENT_END_EVENT:
    case YAML_STREAM_END_EVENT:
        *is_done = true;
        return FL_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
        return FL_OK;
    }
    return FL_OK;
}

/* Whether the parser stopped at a tab, which its own message does not say. Its index counts
 * characters, so the place is looked for by line and column. */
static bool is_at_tab(const struct builder *b)
{
    struct fl_slice rest = b->text;
    for (size_t line = 0; line < b->parser.problem_mark.line; line++) {
        size_t at = fl_slice_find_byte(rest, '\n');
        if (at == rest.len)
            return false;
        rest = fl_slice_of(rest.data + at + 1, rest.len - at - 1);
    }
    for (size_t column = 0; column < b->parser.problem_mark.column && rest.len; column++) {
        size_t len = fl_utf8_sequence(rest);
        len = len ? len : 1;
        rest = fl_slice_of(rest.data + len, rest.len - len);
    }
    return rest.len && rest.data[0] == '\t';
}

/* A byte that is no text: its place is an offset, since lines were not counted yet. */
static enum fl_err encoding_error(struct builder *b)
{
    size_t at = b->parser.problem_offset < b->text.len ? b->parser.problem_offset : b->text.len;
    uint32_t line = b->first_line, column = 1;
    for (size_t i = 0; i < at; i++, column++)
        if (b->text.data[i] == '\n') {
            line++;
            column = 0;
        }
    char what[160];
    snprintf(what, sizeof what, "%s; accepted: UTF-8 without control characters",
             b->parser.problem ? b->parser.problem : "not text");
    return fail_at(b, FL_ERR_INVALID, line, column, what);
}

static enum fl_err syntax_error(struct builder *b)
{
    const yaml_parser_t *parser = &b->parser;
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_READER_ERROR)
        return encoding_error(b);
    if (is_at_tab(b))
        return fail_at(b, FL_ERR_INVALID, line_of(b, parser->problem_mark),
                       (uint32_t)parser->problem_mark.column + 1,
                       "found a tab; accepted: lines that are indented with spaces");
    char since[40] = "";
    if (parser->context && parser->context_mark.line != parser->problem_mark.line)
        snprintf(since, sizeof since, " that begins in line %u", line_of(b, parser->context_mark));
    return fl_error_set(b->error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s:%u:%u: %s%s%s%s", b->file,
                        line_of(b, parser->problem_mark), (uint32_t)parser->problem_mark.column + 1,
                        problem, parser->context ? " " : "", parser->context ? parser->context : "",
                        since);
}

static enum fl_err build(struct builder *b)
{
    bool is_done = false;
    enum fl_err err = FL_OK;
    while (!is_done && err == FL_OK) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return syntax_error(b);
        err = on_event(b, &event, &is_done);
        if (err == FL_OK && b->node_count > CONFIG_YAML_NODES_MAX)
            err = fail_at(b, FL_ERR_TOO_LARGE, line_of(b, event.start_mark), 1,
                          "the document has more than " NUMBER(CONFIG_YAML_NODES_MAX) " values");
        yaml_event_delete(&event);
    }
    return err;
}

enum fl_err config_yaml_parse(struct fl_slice text, const char *file, uint32_t first_line,
                              enum config_dialect dialect, struct fl_arena *arena,
                              struct config_node **root, struct fl_error *error)
{
    struct builder *b = fl_zalloc(sizeof *b);
    b->arena = arena;
    b->text = text;
    b->file = file;
    b->first_line = first_line;
    b->dialect = dialect;
    b->error = error;
    enum fl_err err;
    if (text.len > CONFIG_YAML_BYTES_MAX) {
        err = fail_at(b, FL_ERR_TOO_LARGE, first_line, 1, "longer than 4 MiB");
    } else if (!yaml_parser_initialize(&b->parser)) {
        err = fail_at(b, FL_ERR_NO_MEMORY, first_line, 1, "no memory for the YAML parser");
    } else {
        const char *input = text.data ? text.data : "";
        yaml_parser_set_input_string(&b->parser, (const unsigned char *)input, text.len);
        err = build(b);
        yaml_parser_delete(&b->parser);
    }
    if (err == FL_OK) {
        if (!b->root)
            b->root = new_node(b, CONFIG_NODE_NULL, (yaml_mark_t){0});
        *root = b->root;
    }
    fl_map_fini(&b->anchors);
    fl_free(b->values);
    fl_free(b->merges);
    fl_free(b);
    return err;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The exact key, the last of equal ones; else, in the resource dialect, the bytewise greatest that
 * differs in case only: Go sees the keys of a map sorted, and its last one wins. */
struct config_node *config_node_find(const struct config_node *node, const char *key)
{
    if (!node || node->kind != CONFIG_NODE_MAP)
        return NULL;
    struct fl_slice wanted = fl_slice_str(key);
    const struct config_node_pair *best = NULL;
    for (size_t i = 0; i < node->map.count; i++) {
        const struct config_node_pair *pair = &node->map.pairs[i];
        bool is_same = node->dialect == CONFIG_DIALECT_CONFIGURATION
                           ? fl_slice_eq(pair->key, wanted)
                           : fl_slice_eq_nocase(pair->key, wanted);
        if (!is_same)
            continue;
        bool is_best_exact = best && fl_slice_eq(best->key, wanted);
        if (!best || fl_slice_eq(pair->key, wanted) || node->dialect == CONFIG_DIALECT_JSON ||
            (!is_best_exact && fl_slice_compare(pair->key, best->key) >= 0))
            best = pair;
    }
    return best && best->value->kind != CONFIG_NODE_NULL ? best->value : NULL;
}

const char *config_node_kind_name(enum config_node_kind kind)
{
    switch (kind) {
    case CONFIG_NODE_NULL:
        return "null";
    case CONFIG_NODE_BOOL:
        return "boolean";
    case CONFIG_NODE_INT:
    case CONFIG_NODE_FLOAT:
        return "number";
    case CONFIG_NODE_STRING:
        return "string";
    case CONFIG_NODE_LIST:
        return "list";
    case CONFIG_NODE_MAP:
        return "map";
    }
    return "unknown";
}
