/* Parser and evaluator of the match language; see the header.
 *
 *     expression = operand [ "==" operand ]
 *     operand    = "(" expression ")" | literal | attribute
 *     attribute  = "event" ( "." name | "[" string "]" )
 *     literal    = string | [ "-" ] number | "true" | "false" | "null"
 *
 * The parser is a recursive descent with one token in hand and a bound on depth; it builds nodes in
 * an arena that lives as long as the expression. What it accepts is then narrowed by `check`: the
 * whole must be a comparison of one attribute with one literal, or `true` or `false` alone. The
 * rest of CEL grows here: a level of precedence is a function of the parser, an operator is a kind
 * of node, and `evaluate` has one case for each.
 *
 * Comparing follows CEL over JSON: numbers compare as doubles, and values of different types are
 * unequal, which is no error. A missing attribute is one.
 */
#include "routes/expression.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cloudevents/event.h"
#include "cloudevents/json_scan.h"
#include "routes/lexer_priv.h"

enum { MOST_DEPTH = 32 };

#define ACCEPTED                                                                                   \
    "the full match language is not in this version; accepted is a comparison such as "            \
    "event.type == \"text\" or event[\"name\"] == \"text\", with a text, a number, true, false "   \
    "or null on the other side, or true or false alone"

enum node_kind {
    NODE_ATTRIBUTE,
    NODE_STRING,
    NODE_NUMBER,
    NODE_TRUE,
    NODE_FALSE,
    NODE_NULL,
    NODE_EQUAL,
};

struct node {
    enum node_kind kind;
    size_t at;            /* where it begins in the text */
    struct fl_slice text; /* a name or a string */
    int attribute;        /* enum ce_attribute, or -1 for one without a fixed place */
    double number;
    const struct node *left, *right; /* of an operator; of a comparison: attribute, literal */
};

struct route_expression {
    struct fl_arena arena;
    const struct node *root;
};

/* --- parsing --- */

struct parser {
    struct route_lexer lexer;
    struct route_token token; /* the one in hand */
    int depth;
    struct fl_arena *arena;
    struct fl_error *error;
};

static size_t token_at(const struct parser *parser)
{
    return (size_t)(parser->token.text.data - parser->lexer.text.data);
}

static enum fl_err unsupported(const struct parser *parser, size_t at)
{
    return fl_error_set(parser->error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT, "column %zu: " ACCEPTED,
                        route_lexer_column(&parser->lexer, at));
}

/* The token in hand is not what has to stand here: the end is a mistake in any version, everything
 * else may have a meaning in the whole language. */
static enum fl_err unexpected(const struct parser *parser)
{
    if (parser->token.kind != ROUTE_TOKEN_END)
        return unsupported(parser, token_at(parser));
    return fl_error_set(parser->error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "column %zu: the expression ends too early",
                        route_lexer_column(&parser->lexer, parser->lexer.text.len));
}

static FL_MUST_USE enum fl_err advance(struct parser *parser)
{
    return route_lexer_next(&parser->lexer, &parser->token, parser->error);
}

static FL_MUST_USE enum fl_err expect(struct parser *parser, enum route_token_kind kind)
{
    return parser->token.kind == kind ? advance(parser) : unexpected(parser);
}

static struct node *add_node(struct parser *parser, enum node_kind kind, size_t at)
{
    struct node *node = FL_ARENA_NEW(parser->arena, struct node);
    node->kind = kind;
    node->at = at;
    return node;
}

/* Attributes whose places an event keeps; the others are looked for by name. */
static int attribute_of(struct fl_slice name)
{
    static const char *const names[CE_ATTRIBUTE_COUNT] = {
        [CE_ID] = "id",
        [CE_SOURCE] = "source",
        [CE_TYPE] = "type",
        [CE_SPECVERSION] = "specversion",
        [CE_DATACONTENTTYPE] = "datacontenttype",
        [CE_SUBJECT] = "subject",
        [CE_TIME] = "time",
        [CE_TOPIC] = "topic",
        [CE_PUBSUBNAME] = "pubsubname",
        [CE_TRACEID] = "traceid",
        [CE_TRACEPARENT] = "traceparent",
        [CE_TRACESTATE] = "tracestate",
        [CE_EXPIRATION] = "expiration",
        [CE_DATA] = "data",
        [CE_DATA_BASE64] = "data_base64",
    };
    for (int i = 0; i < CE_ATTRIBUTE_COUNT; i++) {
        if (names[i] && fl_slice_eq_str(name, names[i]))
            return i;
    }
    return -1;
}

static bool is_word(struct fl_slice name)
{
    return fl_slice_eq_str(name, "true") || fl_slice_eq_str(name, "false") ||
           fl_slice_eq_str(name, "null") || fl_slice_eq_str(name, "in");
}

/* The word `event` is in hand. */
static enum fl_err parse_attribute(struct parser *parser, const struct node **out)
{
    struct node *node = add_node(parser, NODE_ATTRIBUTE, token_at(parser));
    enum fl_err err = advance(parser);
    if (err)
        return err;
    bool is_indexed = parser->token.kind == ROUTE_TOKEN_OPEN_SQUARE;
    err = expect(parser, is_indexed ? ROUTE_TOKEN_OPEN_SQUARE : ROUTE_TOKEN_DOT);
    if (err)
        return err;
    if (parser->token.kind != (is_indexed ? ROUTE_TOKEN_STRING : ROUTE_TOKEN_NAME) ||
        (!is_indexed && is_word(parser->token.text)))
        return unexpected(parser);
    node->text =
        fl_arena_copy(parser->arena, is_indexed ? parser->token.value : parser->token.text);
    node->attribute = attribute_of(node->text);
    *out = node;
    err = advance(parser);
    return !err && is_indexed ? expect(parser, ROUTE_TOKEN_CLOSE_SQUARE) : err;
}

static enum fl_err parse_word(struct parser *parser, const struct node **out)
{
    static const struct {
        const char *text;
        enum node_kind kind;
    } words[] = {{"true", NODE_TRUE}, {"false", NODE_FALSE}, {"null", NODE_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (fl_slice_eq_str(parser->token.text, words[i].text)) {
            *out = add_node(parser, words[i].kind, token_at(parser));
            return advance(parser);
        }
    }
    if (fl_slice_eq_str(parser->token.text, "event"))
        return parse_attribute(parser, out);
    return unexpected(parser);
}

static enum fl_err parse_number(struct parser *parser, const struct node **out)
{
    struct node *node = add_node(parser, NODE_NUMBER, token_at(parser));
    bool is_negative = parser->token.kind == ROUTE_TOKEN_MINUS;
    enum fl_err err = is_negative ? advance(parser) : FL_OK;
    if (err)
        return err;
    if (parser->token.kind != ROUTE_TOKEN_NUMBER)
        return unexpected(parser);
    node->number = is_negative ? -parser->token.number : parser->token.number;
    *out = node;
    return advance(parser);
}

static enum fl_err parse_string(struct parser *parser, const struct node **out)
{
    struct node *node = add_node(parser, NODE_STRING, token_at(parser));
    node->text = parser->token.value;
    *out = node;
    return advance(parser);
}

static enum fl_err parse_expression(struct parser *parser, const struct node **out);

static enum fl_err parse_operand(struct parser *parser, const struct node **out)
{
    switch (parser->token.kind) {
    case ROUTE_TOKEN_STRING:
        return parse_string(parser, out);
    case ROUTE_TOKEN_NUMBER:
    case ROUTE_TOKEN_MINUS:
        return parse_number(parser, out);
    case ROUTE_TOKEN_NAME:
        return parse_word(parser, out);
    case ROUTE_TOKEN_OPEN: {
        enum fl_err err = advance(parser);
        if (!err)
            err = parse_expression(parser, out);
        return err ? err : expect(parser, ROUTE_TOKEN_CLOSE);
    }
    case ROUTE_TOKEN_END:
    case ROUTE_TOKEN_EQUAL:
    case ROUTE_TOKEN_DOT:
    case ROUTE_TOKEN_CLOSE:
    case ROUTE_TOKEN_OPEN_SQUARE:
    case ROUTE_TOKEN_CLOSE_SQUARE:
    case ROUTE_TOKEN_OTHER:
        break;
    }
    return unexpected(parser);
}

static enum fl_err parse_comparison(struct parser *parser, const struct node **out)
{
    enum fl_err err = parse_operand(parser, out);
    if (err || parser->token.kind != ROUTE_TOKEN_EQUAL)
        return err;
    struct node *node = add_node(parser, NODE_EQUAL, token_at(parser));
    node->left = *out;
    err = advance(parser);
    if (!err)
        err = parse_operand(parser, &node->right);
    *out = node;
    return err;
}

static enum fl_err parse_expression(struct parser *parser, const struct node **out)
{
    if (parser->depth == MOST_DEPTH)
        return fl_error_set(parser->error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "column %zu: nested deeper than %d",
                            route_lexer_column(&parser->lexer, token_at(parser)), MOST_DEPTH);
    parser->depth++;
    enum fl_err err = parse_comparison(parser, out);
    parser->depth--;
    return err;
}

static bool is_constant(const struct node *root)
{
    return root->kind == NODE_TRUE || root->kind == NODE_FALSE;
}

/* The root must be a boolean literal, or an attribute against a literal; puts the attribute to the
 * left. */
static enum fl_err check(struct parser *parser, const struct node **root)
{
    if (is_constant(*root))
        return FL_OK;
    if ((*root)->kind != NODE_EQUAL)
        return unsupported(parser, (*root)->at);
    struct node *node = add_node(parser, NODE_EQUAL, (*root)->at);
    bool is_swapped = (*root)->right->kind == NODE_ATTRIBUTE;
    node->left = is_swapped ? (*root)->right : (*root)->left;
    node->right = is_swapped ? (*root)->left : (*root)->right;
    if (node->left->kind != NODE_ATTRIBUTE || node->right->kind == NODE_ATTRIBUTE ||
        node->right->kind == NODE_EQUAL)
        return unsupported(parser, node->at);
    *root = node;
    return FL_OK;
}

static enum fl_err compile(struct route_expression *expression, struct fl_slice text,
                           struct fl_error *error)
{
    struct parser parser = {
        .lexer = {.text = text, .arena = &expression->arena},
        .arena = &expression->arena,
        .error = error,
    };
    enum fl_err err = advance(&parser);
    if (!err)
        err = parse_expression(&parser, &expression->root);
    if (!err && parser.token.kind != ROUTE_TOKEN_END)
        err = unexpected(&parser);
    return err ? err : check(&parser, &expression->root);
}

enum fl_err route_expression_new(struct fl_slice text, struct route_expression **expression,
                                 struct fl_error *error)
{
    if (text.len > ROUTE_EXPRESSION_MAX_BYTES)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "%zu bytes long; at most %zu are accepted", text.len,
                            ROUTE_EXPRESSION_MAX_BYTES);
    if (!fl_utf8_is_valid(text))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "not valid UTF-8");
    struct route_expression *made = fl_zalloc(sizeof *made);
    enum fl_err err = compile(made, text, error);
    if (err) {
        route_expression_free(&made);
        return err;
    }
    *expression = made;
    return FL_OK;
}

void route_expression_free(struct route_expression **expression)
{
    if (*expression)
        fl_arena_fini(&(*expression)->arena);
    FL_FREE(*expression);
}

/* --- evaluating --- */

/* `value` is a validated value inside the body of an event, and a number there is followed by a
 * byte that ends it for strtod too: white space, a comma or the closing brace. */
static bool equals_number(struct fl_slice value, double number)
{
    return ce_json_type_of(value) == CE_JSON_NUMBER && strtod(value.data, NULL) == number;
}

static bool equals(struct fl_slice value, const struct node *literal)
{
    switch (literal->kind) {
    case NODE_STRING:
        return ce_json_equals(value, literal->text);
    case NODE_NUMBER:
        return equals_number(value, literal->number);
    case NODE_TRUE:
        return ce_json_type_of(value) == CE_JSON_TRUE;
    case NODE_FALSE:
        return ce_json_type_of(value) == CE_JSON_FALSE;
    case NODE_NULL:
        return ce_json_type_of(value) == CE_JSON_NULL;
    case NODE_ATTRIBUTE:
    case NODE_EQUAL:
        break;
    }
    FL_ASSERT(!"a comparison has a literal on its right");
    return false;
}

static struct fl_slice attribute_value(const struct node *node, const struct ce_event *event)
{
    if (node->attribute >= 0)
        return ce_event_json(event, (enum ce_attribute)node->attribute);
    return ce_event_member(event, node->text);
}

enum fl_err route_expression_eval(const struct route_expression *expression,
                                  const struct ce_event *event, bool *result,
                                  struct fl_error *error)
{
    const struct node *root = expression->root;
    if (is_constant(root)) {
        *result = root->kind == NODE_TRUE;
        return FL_OK;
    }
    struct fl_slice value = attribute_value(root->left, event);
    if (value.len == 0)
        return fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_RETRY, "no such key: %.*s",
                            FL_SLICE_ARG(root->left->text));
    *result = equals(value, root->right);
    return FL_OK;
}
