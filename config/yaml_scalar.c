/* What a YAML scalar is, and how daprd turns it back into text.
 *
 * daprd's resources go YAML 1.1 → JSON → Go struct. So an unquoted `yes` arrives in a string field
 * as "true" and 1.50 as "1.5"; a string field formats numbers by Go's %g (1e6 → "1e+06"), a
 * component's value by JSON's rules (1e6 → "1000000"). Dates keep their text, and so do integers up
 * to 2^64. */
#include "config/yaml_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "config/quantity.h"

#define VALUE_BYTES_MAX ((size_t)1024 * 1024)

/* --- reading ---------------------------------------------------------------------------------- */

static bool is_one_of(struct fl_slice text, const char *const *words)
{
    for (; *words; words++)
        if (fl_slice_eq_str(text, *words))
            return true;
    return false;
}

static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const trues[] = {"true", "True", "TRUE", "yes", "Yes", "YES",
                                    "on",   "On",   "ON",   "y",   "Y",   NULL};
static const char *const falses[] = {"false", "False", "FALSE", "no", "No", "NO",
                                     "off",   "Off",   "OFF",   "n",  "N",  NULL};
static const char *const infinities[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL};
static const char *const negative_infinities[] = {"-.inf", "-.Inf", "-.INF", NULL};
static const char *const not_numbers[] = {".nan", ".NaN", ".NAN", NULL};

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_like_float(const char *text)
{
    size_t whole = 0, fraction = 0;
    text += *text == '-' || *text == '+';
    for (; *text >= '0' && *text <= '9'; text++)
        whole++;
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9'; text++)
            fraction++;
    if (whole + fraction == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        if (*text < '0' || *text > '9')
            return false;
        while (*text >= '0' && *text <= '9')
            text++;
    }
    return *text == '\0';
}

static void set_integer(struct config_node *node, int64_t value, uint64_t magnitude)
{
    node->kind = CONFIG_NODE_INT;
    node->integer.value = value;
    node->integer.magnitude = magnitude;
}

/* Underscores are dropped wherever they stand, as YAML 1.1 allows. */
static bool resolve_number(struct config_node *node)
{
    char text[128];
    size_t len = 0;
    if (node->text.len >= sizeof text)
        return false;
    for (size_t i = 0; i < node->text.len; i++)
        if (node->text.data[i] != '_')
            text[len++] = node->text.data[i];
    text[len] = '\0';
    if (strlen(text) != len)
        return false;
    int64_t value;
    uint64_t magnitude;
    if (config_parse_int_any(fl_slice_of(text, len), &value) == FL_OK) {
        set_integer(node, value, value > 0 ? (uint64_t)value : 0);
        return true;
    }
    if (text[0] != '0' && fl_slice_to_u64(fl_slice_of(text, len), &magnitude)) {
        set_integer(node, INT64_MAX, magnitude);
        return true;
    }
    if (!looks_like_float(text))
        return false;
    node->kind = CONFIG_NODE_FLOAT;
    node->real = strtod(text, NULL);
    return true;
}

static bool resolve_special_float(struct config_node *node)
{
    double real;
    if (is_one_of(node->text, infinities))
        real = INFINITY;
    else if (is_one_of(node->text, negative_infinities))
        real = -INFINITY;
    else if (is_one_of(node->text, not_numbers))
        real = NAN;
    else
        return false;
    node->kind = CONFIG_NODE_FLOAT;
    node->real = real;
    return true;
}

static void resolve_plain(struct config_node *node)
{
    node->kind = CONFIG_NODE_STRING;
    if (is_one_of(node->text, nulls)) {
        node->kind = CONFIG_NODE_NULL;
    } else if (is_one_of(node->text, trues) || is_one_of(node->text, falses)) {
        node->kind = CONFIG_NODE_BOOL;
        node->boolean = is_one_of(node->text, trues);
    } else if (strchr("+-.0123456789", node->text.data[0]) && !resolve_special_float(node)) {
        resolve_number(node);
    }
}

struct tag_rule {
    const char *tag;
    enum config_node_kind kind;
};

static const struct tag_rule tag_rules[] = {
    {"tag:yaml.org,2002:null", CONFIG_NODE_NULL},
    {"tag:yaml.org,2002:bool", CONFIG_NODE_BOOL},
    {"tag:yaml.org,2002:int", CONFIG_NODE_INT},
    {"tag:yaml.org,2002:float", CONFIG_NODE_FLOAT},
};

enum fl_err config_scalar_resolve(struct config_node *node, const char *tag, bool is_plain)
{
    node->kind = CONFIG_NODE_STRING;
    if (is_plain) {
        resolve_plain(node);
        return FL_OK;
    }
    if (!tag)
        return FL_OK;
    if (strcmp(tag, "tag:yaml.org,2002:binary") == 0)
        return FL_ERR_INVALID;
    for (size_t i = 0; i < sizeof tag_rules / sizeof *tag_rules; i++) {
        if (strcmp(tag, tag_rules[i].tag) != 0)
            continue;
        resolve_plain(node);
        if (tag_rules[i].kind == CONFIG_NODE_FLOAT && node->kind == CONFIG_NODE_INT) {
            node->kind = CONFIG_NODE_FLOAT;
            node->real = strtod(node->text.data, NULL);
        }
        return node->kind == tag_rules[i].kind ? FL_OK : FL_ERR_INVALID;
    }
    return FL_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The shortest digits that read back as the same double, and the decimal exponent of the first. */
static int shortest(double real, char digits[32], int *exponent)
{
    char text[40];
    int precision = 0;
    do {
        snprintf(text, sizeof text, "%.*e", precision, real);
        precision++;
    } while (precision < 18 && strtod(text, NULL) != real);
    int count = 0;
    char *at = text;
    for (; *at && *at != 'e'; at++)
        if (*at >= '0' && *at <= '9')
            digits[count++] = *at;
    *exponent = *at == 'e' ? (int)strtol(at + 1, NULL, 10) : 0;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

static void print_positional(struct fl_buffer *out, const char *digits, int count, int exponent)
{
    if (exponent < 0) {
        fl_buffer_append_str(out, "0.");
        for (int i = -1; i > exponent; i--)
            fl_buffer_append_byte(out, '0');
        fl_buffer_append(out, digits, (size_t)count);
        return;
    }
    for (int i = 0; i <= exponent || i < count; i++) {
        if (i == exponent + 1)
            fl_buffer_append_byte(out, '.');
        fl_buffer_append_byte(out, i < count ? digits[i] : '0');
    }
}

static void print_scientific(struct fl_buffer *out, const char *digits, int count, int exponent,
                             int exponent_digits)
{
    fl_buffer_append(out, digits, 1);
    if (count > 1) {
        fl_buffer_append_byte(out, '.');
        fl_buffer_append(out, digits + 1, (size_t)count - 1);
    }
    fl_buffer_printf(out, "e%c%0*d", exponent < 0 ? '-' : '+', exponent_digits, abs(exponent));
}

/* `is_json`: encoding/json's choice of form; else strconv's 'g' with the shortest precision. */
static void print_float(struct fl_buffer *out, double real, bool is_json)
{
    if (isnan(real) || isinf(real)) {
        fl_buffer_append_str(out, isnan(real) ? "NaN" : real < 0 ? "-Inf" : "+Inf");
        return;
    }
    char digits[32];
    int exponent, count = shortest(fabs(real), digits, &exponent);
    if (signbit(real))
        fl_buffer_append_byte(out, '-');
    if (real == 0)
        fl_buffer_append_byte(out, '0');
    else if (is_json && exponent >= -6 && exponent < 21)
        print_positional(out, digits, count, exponent);
    else if (is_json)
        print_scientific(out, digits, count, exponent, exponent < 0 ? 1 : 2);
    else if (exponent >= -4 && exponent < 6)
        print_positional(out, digits, count, exponent);
    else
        print_scientific(out, digits, count, exponent, 2);
}

static void print_scalar(struct fl_buffer *out, const struct config_node *node, bool is_json)
{
    switch (node->kind) {
    case CONFIG_NODE_NULL:
        fl_buffer_append_str(out, is_json ? "null" : "");
        break;
    case CONFIG_NODE_BOOL:
        fl_buffer_append_str(out, node->boolean ? "true" : "false");
        break;
    case CONFIG_NODE_INT:
        if (node->integer.magnitude)
            fl_buffer_printf(out, "%" PRIu64, node->integer.magnitude);
        else
            fl_buffer_printf(out, "%" PRId64, node->integer.value);
        break;
    case CONFIG_NODE_FLOAT:
        print_float(out, node->real, is_json);
        break;
    case CONFIG_NODE_STRING:
        fl_buffer_append_slice(out, node->text);
        break;
    case CONFIG_NODE_LIST:
    case CONFIG_NODE_MAP:
        break;
    }
}

struct fl_slice config_scalar_text(const struct config_node *node, struct fl_arena *arena)
{
    if (node->kind == CONFIG_NODE_STRING)
        return node->text;
    struct fl_buffer out = {0};
    print_scalar(&out, node, false);
    struct fl_slice text = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return text;
}

enum fl_err config_node_string(const struct config_node *node, struct fl_arena *arena,
                               struct fl_slice *text)
{
    if (node->kind == CONFIG_NODE_LIST || node->kind == CONFIG_NODE_MAP)
        return FL_ERR_INVALID;
    if (node->dialect == CONFIG_DIALECT_JSON && node->kind != CONFIG_NODE_NULL &&
        node->kind != CONFIG_NODE_STRING)
        return FL_ERR_INVALID;
    bool keeps_spelling = node->dialect == CONFIG_DIALECT_CONFIGURATION;
    if (node->kind == CONFIG_NODE_STRING || (node->kind != CONFIG_NODE_NULL && keeps_spelling))
        *text = fl_arena_copy(arena, node->text);
    else
        *text = config_scalar_text(node, arena);
    return FL_OK;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* Go's escapes, HTML ones included. The parser has refused malformed UTF-8. */
static void json_string(struct fl_buffer *out, struct fl_slice text)
{
    fl_buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
        const char *at = c ? strchr(shorts, c) : NULL;
        if (at && (at - shorts) % 2 == 0 && c != 'b')
            fl_buffer_append(out, (char[]){'\\', at[1]}, 2);
        else if (c < 0x20 || c == '<' || c == '>' || c == '&')
            fl_buffer_printf(out, "\\u%04x", c);
        else if (c == 0xe2 && i + 2 < text.len && text.data[i + 1] == '\x80' &&
                 (text.data[i + 2] == '\xa8' || text.data[i + 2] == '\xa9')) {
            fl_buffer_append_str(out, text.data[i + 2] == '\xa8' ? "\\u2028" : "\\u2029");
            i += 2;
        } else
            fl_buffer_append_byte(out, (char)c);
    }
    fl_buffer_append_byte(out, '"');
}

static int compare_pairs(const void *a, const void *b)
{
    const struct config_node_pair *const *x = a, *const *y = b;
    int order = fl_slice_compare((*x)->key, (*y)->key);
    if (order)
        return order;
    return *x < *y ? -1 : *x > *y;
}

static enum fl_err json_value(struct fl_buffer *out, const struct config_node *node);

/* Keys sorted bytewise; of equal ones the last stays. */
static enum fl_err json_map(struct fl_buffer *out, const struct config_node *node)
{
    size_t count = node->map.count;
    const struct config_node_pair **sorted = fl_alloc((count + 1) * sizeof(*sorted));
    enum fl_err err = FL_OK;
    const char *comma = "{";
    for (size_t i = 0; i < count; i++)
        sorted[i] = &node->map.pairs[i];
    qsort(sorted, count, sizeof(*sorted), compare_pairs);
    for (size_t i = 0; i < count && err == FL_OK; i++) {
        if (i + 1 < count && fl_slice_eq(sorted[i]->key, sorted[i + 1]->key))
            continue;
        fl_buffer_append_str(out, comma);
        json_string(out, sorted[i]->key);
        fl_buffer_append_byte(out, ':');
        err = json_value(out, sorted[i]->value);
        comma = ",";
    }
    fl_buffer_append_str(out, *comma == '{' ? "{}" : "}");
    fl_free(sorted);
    return err;
}

static enum fl_err json_list(struct fl_buffer *out, const struct config_node *node)
{
    enum fl_err err = FL_OK;
    fl_buffer_append_byte(out, '[');
    for (size_t i = 0; i < node->list.count && err == FL_OK; i++) {
        if (i)
            fl_buffer_append_byte(out, ',');
        err = json_value(out, node->list.items[i]);
    }
    fl_buffer_append_byte(out, ']');
    return err;
}

/* Recursion is bounded by CONFIG_YAML_DEPTH_MAX, output by the bytes checked on the way. */
static enum fl_err json_value(struct fl_buffer *out, const struct config_node *node)
{
    enum fl_err err = FL_OK;
    if (out->len > VALUE_BYTES_MAX)
        return FL_ERR_TOO_LARGE;
    if (node->kind == CONFIG_NODE_FLOAT && !isfinite(node->real))
        return FL_ERR_INVALID;
    if (node->kind == CONFIG_NODE_MAP)
        err = json_map(out, node);
    else if (node->kind == CONFIG_NODE_LIST)
        err = json_list(out, node);
    else if (node->kind == CONFIG_NODE_STRING)
        json_string(out, node->text);
    else
        print_scalar(out, node, true);
    return err == FL_OK && out->len > VALUE_BYTES_MAX ? FL_ERR_TOO_LARGE : err;
}

enum fl_err config_node_value(const struct config_node *node, struct fl_arena *arena,
                              struct fl_slice *text)
{
    if (node->kind == CONFIG_NODE_STRING) {
        *text = fl_arena_copy(arena, node->text);
        return FL_OK;
    }
    struct fl_buffer out = {0};
    enum fl_err err = FL_OK;
    if (node->kind != CONFIG_NODE_NULL)
        err = json_value(&out, node);
    if (err == FL_OK)
        *text = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return err;
}
