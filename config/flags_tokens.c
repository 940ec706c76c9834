/* Tokens to raw values, by pflag's rules: which flag a token names, where its value stands, and
 * whether it is one of the flag's kind. What a value means is not looked at here (flags_finish.c):
 * daprd reads ports, sizes and words as strings first and complains about them only later.
 *
 * What no token says is the flag's default, or under `run` what the environment has for it. */
#include <stdio.h>
#include <stdlib.h>

#include "config/flags_priv.h"
#include "config/quantity.h"
#include "config/spelling.h"

const struct config_flag *config_flags_find(const struct config_parser *p, struct fl_slice name)
{
    for (size_t i = 0; i < config_flags_count; i++)
        if (fl_slice_eq_str(name, config_flags_table[i].name) &&
            config_flag_is_of(&config_flags_table[i], p->command))
            return &config_flags_table[i];
    return NULL;
}

static const struct config_flag *find_letter(const struct config_parser *p, char letter)
{
    for (size_t i = 0; i < config_flags_count; i++)
        if (config_flags_table[i].letter == letter &&
            config_flag_is_of(&config_flags_table[i], p->command))
            return &config_flags_table[i];
    return NULL;
}

void config_flags_append_list(struct fl_arena *arena, struct fl_slice text,
                              struct config_list *list)
{
    size_t more = 1;
    for (size_t i = 0; i < text.len; i++)
        more += text.data[i] == ',';
    struct fl_slice *items = FL_ARENA_ARRAY(arena, struct fl_slice, list->count + more);
    if (list->count)
        memcpy(items, list->items, list->count * sizeof *items);
    list->items = items;
    while (text.len) {
        size_t at = fl_slice_find_byte(text, ',');
        items[list->count++] = fl_arena_copy(arena, fl_slice_of(text.data, at));
        size_t used = at == text.len ? at : at + 1;
        text = fl_slice_of(text.data + used, text.len - used);
    }
}

enum fl_err config_flags_append_pair(struct fl_arena *arena, struct fl_slice text,
                                     struct config_pairs *pairs)
{
    size_t equals = fl_slice_find_byte(text, '=');
    if (equals == 0 || equals == text.len)
        return FL_ERR_INVALID;
    struct config_pair *items = FL_ARENA_ARRAY(arena, struct config_pair, pairs->count + 1);
    if (pairs->count)
        memcpy(items, pairs->items, pairs->count * sizeof *items);
    items[pairs->count].name = fl_arena_copy(arena, fl_slice_of(text.data, equals));
    items[pairs->count].value =
        fl_arena_copy(arena, fl_slice_of(text.data + equals + 1, text.len - equals - 1));
    pairs->items = items;
    pairs->count++;
    return FL_OK;
}

/* Go's wording of why a text is not a value of that kind. */
static void explain_kind(const struct config_flag *flag, struct fl_slice text, enum fl_err err,
                         char *out, size_t size)
{
    const char *reason = err == FL_ERR_TOO_LARGE ? "value out of range" : "invalid syntax";
    int64_t ignored;
    if (flag->kind == CONFIG_FLAG_PAIRS)
        snprintf(out, size, "accepted: KEY=VALUE");
    else if (flag->kind == CONFIG_FLAG_INT)
        snprintf(out, size, "strconv.ParseInt: parsing \"%.*s\": %s", FL_SLICE_ARG(text), reason);
    else if (flag->kind != CONFIG_FLAG_DURATION)
        snprintf(out, size, "strconv.ParseBool: parsing \"%.*s\": %s", FL_SLICE_ARG(text), reason);
    else if (config_parse_int(text, &ignored) == FL_OK)
        snprintf(out, size, "time: missing unit in duration \"%.*s\"", FL_SLICE_ARG(text));
    else
        snprintf(out, size, "time: invalid duration \"%.*s\"", FL_SLICE_ARG(text));
}

static enum fl_err store(struct config_parser *p, const struct config_flag *flag,
                         struct fl_slice text)
{
    void *at = (char *)&p->raw + flag->offset;
    int64_t number = 0;
    bool truth = false;
    enum fl_err err = FL_OK;
    switch (flag->kind) {
    case CONFIG_FLAG_STRING:
        *(struct fl_slice *)at = fl_arena_copy(&p->result->arena, text);
        break;
    case CONFIG_FLAG_LIST:
        config_flags_append_list(&p->result->arena, text, at);
        break;
    case CONFIG_FLAG_PAIRS:
        err = config_flags_append_pair(&p->result->arena, text, at);
        break;
    case CONFIG_FLAG_INT:
        err = config_parse_int_any(text, &number);
        if (err == FL_OK)
            *(int64_t *)at = number;
        break;
    case CONFIG_FLAG_DURATION:
        err = config_parse_duration(text, CONFIG_BARE_REFUSED, &number);
        if (err == FL_OK)
            *(int64_t *)at = config_ns_to_ms(number);
        break;
    case CONFIG_FLAG_BOOL:
        err = config_parse_bool(text, &truth);
        if (err == FL_OK)
            *(bool *)at = truth;
        break;
    case CONFIG_FLAG_TRISTATE:
        err = config_parse_bool(text, &truth);
        if (err == FL_OK)
            *(enum config_tristate *)at = truth ? CONFIG_TRUE : CONFIG_FALSE;
        break;
    }
    return err;
}

static void note_absent(struct config_parser *p, const struct config_flag *flag,
                        struct fl_slice value)
{
    struct config_list *list = &p->result->without_effect;
    if (flag->group != CONFIG_GROUP_ABSENT || value.len == 0 || fl_slice_eq_str(value, "false") ||
        config_list_has(list, fl_slice_str(flag->name)))
        return;
    config_flags_append_list(&p->result->arena, fl_slice_str(flag->name), list);
}

static bool take_value(struct config_parser *p, const struct config_flag *flag,
                       struct fl_slice value)
{
    enum fl_err err = store(p, flag, value);
    if (err != FL_OK) {
        char reason[512], message[1024];
        explain_kind(flag, value, err, reason, sizeof reason);
        snprintf(message, sizeof message, "invalid argument \"%.*s\" for \"--%s\" flag: %s",
                 (int)(value.len > 200 ? 200 : value.len), value.data ? value.data : "", flag->name,
                 reason);
        config_flags_end(p, message, "");
        return false;
    }
    if (flag->deprecated && !p->given[flag - config_flags_table])
        fl_buffer_printf(&p->result->err, "Flag --%s has been deprecated, %s\n", flag->name,
                         flag->deprecated);
    p->given[flag - config_flags_table] = true;
    note_absent(p, flag, value);
    return true;
}

static void end_unknown(struct config_parser *p, struct fl_slice name)
{
    struct config_spelling spelling;
    char message[512], hint[128] = "";
    config_spelling_init(&spelling, name);
    for (size_t i = 0; i < config_flags_count; i++)
        if (config_flag_is_of(&config_flags_table[i], p->command))
            config_spelling_offer(&spelling, fl_slice_str(config_flags_table[i].name));
    if (spelling.best.data)
        snprintf(hint, sizeof hint, "The nearest known flag is --%s\n", spelling.best.data);
    snprintf(message, sizeof message, "unknown flag: --%.*s",
             (int)(name.len > 400 ? 400 : name.len), name.data);
    config_flags_end(p, message, hint);
}

/* `value` is what stands behind '=', or null: then it is the next token's, or true. */
static bool take_flag(struct config_parser *p, const struct config_flag *flag,
                      struct fl_slice value, int argc, char *const *argv, int *at)
{
    if (!fl_slice_is_null(value))
        return take_value(p, flag, value);
    if (flag->kind == CONFIG_FLAG_BOOL || flag->kind == CONFIG_FLAG_TRISTATE)
        return take_value(p, flag, FL_SLICE_LIT("true"));
    if (*at + 1 >= argc) {
        char message[256];
        snprintf(message, sizeof message, "flag needs an argument: --%s", flag->name);
        config_flags_end(p, message, "");
        return false;
    }
    return take_value(p, flag, fl_slice_str(argv[++*at]));
}

static void end_asked_for_help(struct config_parser *p)
{
    if (p->command == CONFIG_SERVE)
        config_flags_end(p, "pflag: help requested", "");
    else
        config_form_end_with_help(p);
}

/* One token that begins with two dashes (the first of them perhaps added); false ends the walk. */
static bool take_long(struct config_parser *p, struct fl_slice body, int argc, char *const *argv,
                      int *at)
{
    size_t equals = fl_slice_find_byte(body, '=');
    struct fl_slice name = fl_slice_of(body.data, equals), value = FL_SLICE_NULL;
    if (name.len == 0 || name.data[0] == '-') {
        char message[256];
        snprintf(message, sizeof message, "bad flag syntax: --%.*s",
                 (int)(body.len > 200 ? 200 : body.len), body.data);
        config_flags_end(p, message, "");
        return false;
    }
    const struct config_flag *flag = config_flags_find(p, name);
    if (!flag && fl_slice_eq_str(name, "help")) {
        end_asked_for_help(p);
        return false;
    }
    if (!flag) {
        end_unknown(p, name);
        return false;
    }
    if (equals < body.len)
        value = fl_slice_of(body.data + equals + 1, body.len - equals - 1);
    return take_flag(p, flag, value, argc, argv, at);
}

static void end_unknown_letter(struct config_parser *p, char letter, const char *token)
{
    char message[256];
    snprintf(message, sizeof message, "unknown shorthand flag: '%c' in %.200s", letter, token);
    config_flags_end(p, message, "");
}

/* One token of a subcommand that begins with one dash: a long name, as daprd's form takes it, or
 * letters, the last of which may have its value behind it or in the next token. */
static bool take_short(struct config_parser *p, const char *token, int argc, char *const *argv,
                       int *at)
{
    struct fl_slice body = fl_slice_str(token + 1);
    struct fl_slice name = fl_slice_of(body.data, fl_slice_find_byte(body, '='));
    if (body.len > 1 && (config_flags_find(p, name) || fl_slice_eq_str(body, "help")))
        return take_long(p, body, argc, argv, at);
    while (body.len) {
        const struct config_flag *flag = find_letter(p, body.data[0]);
        if (!flag && body.data[0] == 'h')
            end_asked_for_help(p);
        else if (!flag)
            end_unknown_letter(p, body.data[0], token);
        if (!flag)
            return false;
        body = fl_slice_of(body.data + 1, body.len - 1);
        bool has_equals = body.len && body.data[0] == '=';
        if (has_equals || (body.len && flag->kind != CONFIG_FLAG_BOOL))
            return take_flag(p, flag, fl_slice_of(body.data + has_equals, body.len - has_equals),
                             argc, argv, at);
        if (!take_flag(p, flag, FL_SLICE_NULL, argc, argv, at))
            return false;
    }
    return true;
}

/* daprd gives every token of more than two bytes with one leading dash a second one, values
 * included; `copies` holds those. */
static char *const *double_dashes(int argc, char *const *argv, struct fl_arena *arena)
{
    char **copies = FL_ARENA_ARRAY(arena, char *, (size_t)argc + 1);
    for (int i = 0; i < argc; i++) {
        bool is_single = argv[i][0] == '-' && argv[i][1] && argv[i][1] != '-' && argv[i][2];
        copies[i] = is_single ? fl_arena_printf(arena, "-%s", argv[i]) : argv[i];
    }
    return copies;
}

static bool take_daprd_tokens(struct config_parser *p, int argc, char *const *argv)
{
    argv = double_dashes(argc, argv, &p->result->arena);
    for (int i = 1; i < argc; i++) {
        const char *token = argv[i];
        if (token[0] != '-' || token[1] == '\0')
            continue;
        if (strcmp(token, "--") == 0)
            return true;
        if (token[1] == '-') {
            if (!take_long(p, fl_slice_str(token + 2), argc, argv, &i))
                return false;
            continue;
        }
        if (token[1] == 'h')
            end_asked_for_help(p);
        else
            end_unknown_letter(p, token[1], token);
        return false;
    }
    return true;
}

/* The first token that is no flag begins the command of `run`. */
static bool take_command_tokens(struct config_parser *p, int argc, char *const *argv)
{
    bool is_past_flags = false;
    for (int i = 2; i < argc; i++) {
        const char *token = argv[i];
        bool is_flag = !is_past_flags && token[0] == '-' && token[1];
        bool is_taken = true;
        if (is_flag && strcmp(token, "--") == 0)
            is_past_flags = true;
        else if (is_flag && token[1] == '-')
            is_taken = take_long(p, fl_slice_str(token + 2), argc, argv, &i);
        else if (is_flag)
            is_taken = take_short(p, token, argc, argv, &i);
        else if (p->command == CONFIG_RUN_PROGRAM) {
            config_form_keep_program(p, argc - i, argv + i);
            return true;
        } else
            is_taken = config_form_take_argument(p, token);
        if (!is_taken)
            return false;
    }
    return true;
}

/* --- what no token says ----------------------------------------------------------------------- */

static void set_defaults(struct config_parser *p)
{
    for (size_t i = 0; i < config_flags_count; i++) {
        const char *text = config_flag_default(&config_flags_table[i], p->command);
        if (text)
            FL_ASSERT(store(p, &config_flags_table[i], fl_slice_str(text)) == FL_OK);
    }
}

/* Only strings have a variable, so any text will do. */
static void take_environment(struct config_parser *p)
{
    for (size_t i = 0; i < config_flags_count; i++) {
        const struct config_flag *flag = &config_flags_table[i];
        const char *text = config_flag_variable(flag, p->command);
        text = text ? getenv(text) : NULL;
        if (!text || !*text)
            continue;
        FL_ASSERT(flag->kind == CONFIG_FLAG_STRING);
        FL_ASSERT(store(p, flag, fl_slice_str(text)) == FL_OK);
        p->from_environment[i] = true;
    }
}

/* A variable that a flag overrules is not worth a line. */
static void say_environment(struct config_parser *p)
{
    for (size_t i = 0; i < config_flags_count; i++)
        if (p->from_environment[i] && !p->given[i])
            config_note(&p->result->notes, FL_LOG_INFO, "dapr.runtime",
                        "--%s is %s of the environment", config_flags_table[i].name,
                        config_flags_table[i].variable);
}

bool config_flags_take_tokens(struct config_parser *p, int argc, char *const *argv)
{
    set_defaults(p);
    take_environment(p);
    bool is_taken = p->command == CONFIG_SERVE ? take_daprd_tokens(p, argc, argv)
                                               : take_command_tokens(p, argc, argv);
    if (is_taken)
        say_environment(p);
    return is_taken;
}
