/* Trip expressions: a small precedence climber over text, compiled to postfix so that asking costs
 * a short walk over numbers.
 *
 * daprd takes any CEL expression over five counters; what can be said about five integers without
 * functions is here: + - * / %, comparisons, && || !, parentheses, true and false. Every node has a
 * type (number or truth) that is checked while compiling, so that evaluation cannot meet a surprise
 * besides a division by zero or an overflow, and those do not trip, as daprd's failing expressions
 * do not. Depth and length are bounded by CONFIG_TRIP_OPS_MAX. */
#include <stdio.h>

#include "config/quantity.h"
#include "config/resiliency.h"
#include "config/spelling.h"

enum op {
    OP_NUMBER,
    OP_COUNTER, /* number: its index */
    OP_OR,
    OP_AND,
    OP_EQ,
    OP_NE,
    OP_LE,
    OP_GE,
    OP_LT,
    OP_GT,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_NOT,
    OP_NEG,
};

enum type { TYPE_NUMBER, TYPE_TRUTH };

static const char *const counters[] = {"requests", "totalSuccesses", "totalFailures",
                                       "consecutiveSuccesses", "consecutiveFailures"};

enum { COUNTER_COUNT = sizeof counters / sizeof *counters };

/* Binary operators; a longer spelling stands before a shorter one that begins it. */
static const struct {
    const char *text;
    enum op op;
    int level;
    enum type takes, gives;
} operators[] = {
    {"||", OP_OR, 1, TYPE_TRUTH, TYPE_TRUTH},   {"&&", OP_AND, 2, TYPE_TRUTH, TYPE_TRUTH},
    {"==", OP_EQ, 3, TYPE_NUMBER, TYPE_TRUTH},  {"!=", OP_NE, 3, TYPE_NUMBER, TYPE_TRUTH},
    {"<=", OP_LE, 3, TYPE_NUMBER, TYPE_TRUTH},  {">=", OP_GE, 3, TYPE_NUMBER, TYPE_TRUTH},
    {"<", OP_LT, 3, TYPE_NUMBER, TYPE_TRUTH},   {">", OP_GT, 3, TYPE_NUMBER, TYPE_TRUTH},
    {"+", OP_ADD, 4, TYPE_NUMBER, TYPE_NUMBER}, {"-", OP_SUB, 4, TYPE_NUMBER, TYPE_NUMBER},
    {"*", OP_MUL, 5, TYPE_NUMBER, TYPE_NUMBER}, {"/", OP_DIV, 5, TYPE_NUMBER, TYPE_NUMBER},
    {"%", OP_MOD, 5, TYPE_NUMBER, TYPE_NUMBER},
};

enum { OPERATOR_COUNT = sizeof operators / sizeof *operators };

struct compiler {
    struct fl_slice rest;
    size_t length; /* of the whole text, for the column */
    struct config_trip_op ops[CONFIG_TRIP_OPS_MAX];
    size_t count, depth;
    struct fl_error *error;
};

/* --- compiling -------------------------------------------------------------------------------- */

static enum fl_err fail(struct compiler *c, const char *what)
{
    return fl_error_set(c->error, FL_ERR_INVALID, FL_CLASS_REJECT, "column %zu: %s",
                        c->length - c->rest.len + 1, what);
}

static void skip(struct compiler *c, size_t len)
{
    c->rest = fl_slice_of(c->rest.data + len, c->rest.len - len);
}

static void skip_space(struct compiler *c)
{
    while (c->rest.len && strchr(" \t\r\n", c->rest.data[0]) && c->rest.data[0])
        skip(c, 1);
}

static bool take(struct compiler *c, char byte)
{
    skip_space(c);
    if (c->rest.len == 0 || c->rest.data[0] != byte)
        return false;
    skip(c, 1);
    return true;
}

static enum fl_err emit(struct compiler *c, enum op what, int64_t number)
{
    if (c->count == CONFIG_TRIP_OPS_MAX)
        return fail(c, "the expression is too long");
    c->ops[c->count++] = (struct config_trip_op){.what = (uint8_t)what, .number = number};
    return FL_OK;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static struct fl_slice take_word(struct compiler *c)
{
    size_t len = 0;
    while (len < c->rest.len && is_word_byte(c->rest.data[len]))
        len++;
    struct fl_slice word = fl_slice_of(c->rest.data, len);
    skip(c, len);
    return word;
}

static enum fl_err fail_word(struct compiler *c, struct fl_slice word)
{
    const char *near = config_spelling_nearest(word, counters, COUNTER_COUNT);
    return fl_error_set(c->error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "column %zu: found \"%.*s\"; accepted: requests, totalSuccesses, "
                        "totalFailures, consecutiveSuccesses, consecutiveFailures, integers%s%s%s",
                        c->length - c->rest.len - word.len + 1,
                        (int)(word.len > 60 ? 60 : word.len), word.data,
                        near ? "; the nearest is \"" : "", near ? near : "", near ? "\"" : "");
}

static enum fl_err compile_word(struct compiler *c, enum type *type)
{
    struct fl_slice word = take_word(c);
    int64_t number;
    if (word.len == 0)
        return fail(c, "a counter, an integer or a parenthesis is missing");
    *type = TYPE_NUMBER;
    if (config_parse_int(word, &number) == FL_OK)
        return emit(c, OP_NUMBER, number);
    for (int64_t i = 0; i < COUNTER_COUNT; i++)
        if (fl_slice_eq_str(word, counters[i]))
            return emit(c, OP_COUNTER, i);
    *type = TYPE_TRUTH;
    if (fl_slice_eq_str(word, "true") || fl_slice_eq_str(word, "false"))
        return emit(c, OP_NUMBER, word.data[0] == 't');
    return fail_word(c, word);
}

static enum fl_err compile_level(struct compiler *c, int level, enum type *type);

static enum fl_err compile_prefix(struct compiler *c, enum op op, enum type *type);

static enum fl_err compile_operand(struct compiler *c, enum type *type)
{
    if (take(c, '!'))
        return compile_prefix(c, OP_NOT, type);
    if (take(c, '-'))
        return compile_prefix(c, OP_NEG, type);
    if (!take(c, '('))
        return compile_word(c, type);
    enum fl_err err = compile_level(c, 1, type);
    if (err == FL_OK && !take(c, ')'))
        return fail(c, "a closing parenthesis is missing");
    return err;
}

static enum fl_err compile_prefix(struct compiler *c, enum op op, enum type *type)
{
    enum type wanted = op == OP_NOT ? TYPE_TRUTH : TYPE_NUMBER;
    if (++c->depth > CONFIG_TRIP_OPS_MAX)
        return fail(c, "the expression is nested too deeply");
    enum fl_err err = compile_operand(c, type);
    c->depth--;
    if (err != FL_OK)
        return err;
    if (*type != wanted)
        return fail(c, op == OP_NOT ? "\"!\" takes a comparison" : "\"-\" takes a number");
    return emit(c, op, 0);
}

/* The operator that stands here if it binds at least as tightly as `level`; -1: none. */
static int find_operator(struct compiler *c, int level)
{
    skip_space(c);
    for (int i = 0; i < OPERATOR_COUNT; i++)
        if (fl_slice_starts_with(c->rest, fl_slice_str(operators[i].text)))
            return operators[i].level >= level ? i : -1;
    return -1;
}

/* == and != also compare truths with each other. */
static bool do_types_fit(int at, enum type left, enum type right)
{
    if (operators[at].op == OP_EQ || operators[at].op == OP_NE)
        return left == right;
    return left == operators[at].takes && right == operators[at].takes;
}

static enum fl_err compile_level(struct compiler *c, int level, enum type *type)
{
    enum type right;
    if (++c->depth > CONFIG_TRIP_OPS_MAX)
        return fail(c, "the expression is nested too deeply");
    enum fl_err err = compile_operand(c, type);
    for (int at; err == FL_OK && (at = find_operator(c, level)) >= 0;) {
        skip(c, strlen(operators[at].text));
        err = compile_level(c, operators[at].level + 1, &right);
        if (err == FL_OK && !do_types_fit(at, *type, right))
            err = fail(c, "a number stands where a comparison belongs, or the other way round");
        if (err == FL_OK)
            err = emit(c, operators[at].op, 0);
        *type = operators[at].gives;
    }
    c->depth--;
    return err;
}

static enum fl_err fail_operator(struct compiler *c)
{
    size_t len = 1;
    while (len < c->rest.len && len < 20 && is_word_byte(c->rest.data[len - 1]) &&
           is_word_byte(c->rest.data[len]))
        len++;
    size_t whole = fl_utf8_sequence(c->rest);
    return fl_error_set(
        c->error, FL_ERR_INVALID, FL_CLASS_REJECT,
        "column %zu: found \"%.*s\" where an operator belongs; accepted: + - * / %% "
        "== != < <= > >= && ||",
        c->length - c->rest.len + 1, (int)(whole > len ? whole : len), c->rest.data);
}

enum fl_err config_trip_parse(struct fl_slice text, struct fl_arena *arena,
                              struct config_trip *trip, struct fl_error *error)
{
    struct compiler c = {.rest = text, .length = text.len, .error = error};
    enum type type = TYPE_NUMBER;
    enum fl_err err = compile_level(&c, 1, &type);
    if (err != FL_OK)
        return err;
    skip_space(&c);
    if (c.rest.len)
        return fail_operator(&c);
    if (type != TYPE_TRUTH)
        return fail(&c, "the expression is a number; accepted: a comparison");
    trip->ops = FL_ARENA_ARRAY(arena, struct config_trip_op, c.count);
    trip->count = c.count;
    memcpy(trip->ops, c.ops, c.count * sizeof *c.ops);
    return FL_OK;
}

/* --- evaluating ------------------------------------------------------------------------------- */

static int64_t counter_value(const struct config_counts *counts, int64_t index)
{
    const uint64_t values[COUNTER_COUNT] = {counts->requests, counts->total_successes,
                                            counts->total_failures, counts->consecutive_successes,
                                            counts->consecutive_failures};
    return values[index] > INT64_MAX ? INT64_MAX : (int64_t)values[index];
}

static bool divide(enum op op, int64_t a, int64_t b, int64_t *result)
{
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    *result = op == OP_DIV ? a / b : a % b;
    return true;
}

/* False: no value. */
static bool apply(enum op op, int64_t a, int64_t b, int64_t *result)
{
    switch (op) {
    case OP_OR:
        return *result = a || b, true;
    case OP_AND:
        return *result = a && b, true;
    case OP_EQ:
        return *result = a == b, true;
    case OP_NE:
        return *result = a != b, true;
    case OP_LE:
        return *result = a <= b, true;
    case OP_GE:
        return *result = a >= b, true;
    case OP_LT:
        return *result = a < b, true;
    case OP_GT:
        return *result = a > b, true;
    case OP_ADD:
        return !__builtin_add_overflow(a, b, result);
    case OP_SUB:
        return !__builtin_sub_overflow(a, b, result);
    case OP_MUL:
        return !__builtin_mul_overflow(a, b, result);
    case OP_DIV:
    case OP_MOD:
        return divide(op, a, b, result);
    case OP_NUMBER:
    case OP_COUNTER:
    case OP_NOT:
    case OP_NEG:
        break;
    }
    return false;
}

/* The compiler has seen to it that operands are there and the stack is deep enough. */
static bool step(const struct config_trip_op *op, const struct config_counts *counts,
                 int64_t *stack, size_t *depth)
{
    switch ((enum op)op->what) {
    case OP_NUMBER:
        stack[(*depth)++] = op->number;
        return true;
    case OP_COUNTER:
        stack[(*depth)++] = counter_value(counts, op->number);
        return true;
    case OP_NOT:
        stack[*depth - 1] = !stack[*depth - 1];
        return true;
    case OP_NEG:
        return !__builtin_sub_overflow(0, stack[*depth - 1], &stack[*depth - 1]);
    case OP_OR:
    case OP_AND:
    case OP_EQ:
    case OP_NE:
    case OP_LE:
    case OP_GE:
    case OP_LT:
    case OP_GT:
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
        --*depth;
        return apply((enum op)op->what, stack[*depth - 1], stack[*depth], &stack[*depth - 1]);
    }
    return false;
}

bool config_trip_is_met(const struct config_trip *trip, const struct config_counts *counts)
{
    int64_t stack[CONFIG_TRIP_OPS_MAX];
    size_t depth = 0;
    for (size_t i = 0; i < trip->count; i++)
        if (!step(&trip->ops[i], counts, stack, &depth))
            return false;
    return depth == 1 && stack[0] != 0;
}
