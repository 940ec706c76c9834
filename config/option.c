/* Binding settings to rows happens in two walks over the same code: the first parses everything and
 * stores nothing, so that a failure leaves the target untouched; the second stores what is known to
 * be good. Text for people is made from the rows alone. */
#include "config/option.h"

#include <inttypes.h>
#include <stdio.h>

#include "config/quantity.h"
#include "config/spelling.h"

enum { SHOWN_MAX = 80 };

/* --- rows ------------------------------------------------------------------------------------- */

/* The next part of a list separated by `separator`; false at its end. */
static bool next_part(struct fl_slice *rest, char separator, struct fl_slice *part)
{
    if (fl_slice_is_null(*rest))
        return false;
    size_t at = fl_slice_find_byte(*rest, separator);
    *part = fl_slice_of(rest->data, at);
    *rest = at == rest->len ? FL_SLICE_NULL : fl_slice_of(rest->data + at + 1, rest->len - at - 1);
    return true;
}

static bool is_name_of(const struct config_option *row, struct fl_slice name)
{
    if (fl_slice_eq_nocase(name, fl_slice_str(row->name)))
        return true;
    struct fl_slice rest = fl_slice_str(row->aliases), alias;
    while (next_part(&rest, ',', &alias))
        if (fl_slice_eq_nocase(name, alias))
            return true;
    return false;
}

const struct config_option *config_option_find(const struct config_option *rows,
                                               struct fl_slice name)
{
    for (; rows && rows->name; rows++)
        if (is_name_of(rows, name))
            return rows;
    return NULL;
}

static bool has_bounds(const struct config_option *row)
{
    return row->min != 0 || row->max != 0;
}

static void print_size(int64_t bytes, struct fl_buffer *out)
{
    static const char *const suffixes[] = {"", "Ki", "Mi", "Gi", "Ti"};
    size_t i = 0;
    for (; i < 4 && bytes && bytes % 1024 == 0; i++)
        bytes /= 1024;
    fl_buffer_printf(out, "%" PRId64 "%s", bytes, suffixes[i]);
}

static void print_amount(const struct config_option *row, int64_t amount, struct fl_buffer *out)
{
    char text[CONFIG_DURATION_TEXT];
    if (row->type == CONFIG_DURATION && amount <= INT64_MAX / 1000000)
        fl_buffer_append_str(out, config_format_duration(amount * 1000000, text));
    else if (row->type == CONFIG_BYTES)
        print_size(amount, out);
    else
        fl_buffer_printf(out, "%" PRId64, amount);
}

/* The most that the type can hold is no bound that a reader has to know. */
static bool is_unbounded(const struct config_option *row)
{
    return row->max == INT64_MAX ||
           (row->type == CONFIG_DURATION && row->max == INT64_MAX / 1000000);
}

static void print_bounds(const struct config_option *row, struct fl_buffer *out)
{
    if (!has_bounds(row))
        return;
    fl_buffer_append_str(out, is_unbounded(row) ? ", at least " : ", from ");
    print_amount(row, row->min, out);
    if (is_unbounded(row))
        return;
    fl_buffer_append_str(out, " to ");
    print_amount(row, row->max, out);
}

static void describe_enum(const struct config_option *row, struct fl_buffer *out)
{
    struct fl_slice rest = fl_slice_str(row->values), value;
    const char *before = "";
    while (next_part(&rest, '|', &value)) {
        fl_buffer_append_str(out, before);
        fl_buffer_append_slice(out, value);
        before = ", ";
    }
}

static void describe_duration(const struct config_option *row, struct fl_buffer *out)
{
    fl_buffer_append_str(out, "a duration such as 500ms or 1m30s");
    if (row->unit)
        fl_buffer_printf(out, " or an integer of %s",
                         strcmp(row->unit, "ms") == 0 ? "milliseconds" : "seconds");
}

void config_option_describe(const struct config_option *row, struct fl_buffer *out)
{
    switch (row->type) {
    case CONFIG_STRING:
        fl_buffer_append_str(out, "a string");
        break;
    case CONFIG_INT:
        fl_buffer_append_str(out, "an integer");
        break;
    case CONFIG_BOOL:
        fl_buffer_append_str(out, "true or false");
        break;
    case CONFIG_DURATION:
        describe_duration(row, out);
        break;
    case CONFIG_BYTES:
        fl_buffer_append_str(out, "a size such as 512, 64Ki or 16M");
        break;
    case CONFIG_LIST:
        fl_buffer_append_str(out, "a comma-separated list");
        break;
    case CONFIG_ENUM:
        describe_enum(row, out);
        break;
    case CONFIG_IGNORED:
        fl_buffer_append_str(out, "anything");
        break;
    }
    if (row->unit && row->type != CONFIG_DURATION)
        fl_buffer_printf(out, " (%s)", row->unit);
    print_bounds(row, out);
}

/* --- values ----------------------------------------------------------------------------------- */

static bool is_within(const struct config_option *row, int64_t value)
{
    return !has_bounds(row) || (value >= row->min && value <= row->max);
}

static bool parse_truth(struct fl_slice text, bool *value)
{
    static const char *const no[] = {"n", "no", "false", "f", "off", "0"};
    *value = config_is_truthy(text);
    for (size_t i = 0; i < sizeof no / sizeof *no && !*value; i++)
        if (fl_slice_eq_nocase(text, fl_slice_str(no[i])))
            return true;
    return *value;
}

static bool parse_amount(const struct config_option *row, struct fl_slice text, int64_t *value)
{
    int64_t got;
    enum fl_err err;
    if (row->type == CONFIG_DURATION) {
        enum config_bare bare = CONFIG_BARE_REFUSED;
        if (row->unit)
            bare = strcmp(row->unit, "ms") == 0 ? CONFIG_BARE_MS : CONFIG_BARE_S;
        err = config_parse_duration(text, bare, &got);
        if (err == FL_OK)
            got = config_ns_to_ms(got);
    } else if (row->type == CONFIG_BYTES) {
        err = config_parse_quantity(text, &got);
    } else {
        err = config_parse_int_any(text, &got);
    }
    if (err != FL_OK || !is_within(row, got))
        return false;
    *value = got;
    return true;
}

static bool parse_enum(const struct config_option *row, struct fl_slice text, int *index)
{
    struct fl_slice rest = fl_slice_str(row->values), value;
    for (int i = 0; next_part(&rest, '|', &value); i++)
        if (fl_slice_eq_nocase(text, value)) {
            *index = i;
            return true;
        }
    return false;
}

static struct config_list parse_list(struct fl_slice text, struct fl_arena *arena)
{
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.data[i] == ',';
    struct config_list list = {.items = FL_ARENA_ARRAY(arena, struct fl_slice, most)};
    struct fl_slice part;
    while (next_part(&text, ',', &part)) {
        part = fl_slice_trim(part);
        if (part.len)
            list.items[list.count++] = fl_arena_copy(arena, part);
    }
    return list;
}

static bool is_length_fine(const struct config_option *row, struct fl_slice text)
{
    return is_within(row, (int64_t)text.len);
}

/* Parses by the row; stores at `at` unless it is NULL. False: not accepted. */
static bool take_value(const struct config_option *row, struct fl_slice text,
                       struct fl_arena *arena, void *at)
{
    int64_t amount;
    bool truth;
    int index;
    struct fl_slice trimmed = fl_slice_trim(text);
    switch (row->type) {
    case CONFIG_STRING:
        if (at)
            *(struct fl_slice *)at = fl_arena_copy(arena, text);
        return is_length_fine(row, text);
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        if (!parse_amount(row, trimmed, &amount))
            return false;
        if (at)
            *(int64_t *)at = amount;
        return true;
    case CONFIG_BOOL:
        if (!parse_truth(trimmed, &truth))
            return false;
        if (at)
            *(bool *)at = truth;
        return true;
    case CONFIG_LIST:
        if (at)
            *(struct config_list *)at = parse_list(text, arena);
        return true;
    case CONFIG_ENUM:
        if (!parse_enum(row, trimmed, &index))
            return false;
        if (at)
            *(int *)at = index;
        return true;
    case CONFIG_IGNORED:
        return true;
    }
    return false;
}

static void store_nothing(const struct config_option *row, void *at)
{
    switch (row->type) {
    case CONFIG_STRING:
        *(struct fl_slice *)at = FL_SLICE_NULL;
        break;
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        *(int64_t *)at = 0;
        break;
    case CONFIG_BOOL:
        *(bool *)at = false;
        break;
    case CONFIG_LIST:
        *(struct config_list *)at = (struct config_list){0};
        break;
    case CONFIG_ENUM:
        *(int *)at = 0;
        break;
    case CONFIG_IGNORED:
        break;
    }
}

/* --- binding ---------------------------------------------------------------------------------- */

/* "OWNER: FILE:LINE: ", each part only when known. */
static void print_place(const struct config_bind *how, const struct config_value *value,
                        struct fl_buffer *out)
{
    if (value && value->file && value->line)
        fl_buffer_printf(out, "%s:%u: ", value->file, value->line);
    else if (value && value->file)
        fl_buffer_printf(out, "%s: ", value->file);
    if (how->owner)
        fl_buffer_printf(out, "%s: ", how->owner);
}

static enum fl_err fail_with(struct fl_buffer *text, struct fl_error *error)
{
    enum fl_err err =
        fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s", fl_buffer_cstr(text));
    fl_buffer_fini(text);
    return err;
}

static void print_nearest_word(const struct config_option *row, struct fl_slice found,
                               struct fl_buffer *out)
{
    struct config_spelling spelling;
    struct fl_slice rest = fl_slice_str(row->values), value;
    config_spelling_init(&spelling, found);
    while (row->type == CONFIG_ENUM && next_part(&rest, '|', &value))
        config_spelling_offer(&spelling, value);
    if (spelling.best.data)
        fl_buffer_printf(out, "; the nearest is \"%.*s\"", FL_SLICE_ARG(spelling.best));
}

static enum fl_err refuse_value(const struct config_bind *how, const struct config_option *row,
                                const struct config_value *value, struct fl_error *error)
{
    struct fl_buffer text = {0};
    struct fl_slice found = value->value;
    bool is_hidden = row->is_secret || value->is_secret;
    print_place(how, value, &text);
    if (is_hidden)
        fl_buffer_printf(
            &text, "%s: found a value that is not accepted (not shown); accepted: ", row->name);
    else
        fl_buffer_printf(&text, "%s: found \"%.*s%s\"; accepted: ", row->name,
                         (int)(found.len > SHOWN_MAX ? SHOWN_MAX : found.len),
                         found.data ? found.data : "", found.len > SHOWN_MAX ? "…" : "");
    config_option_describe(row, &text);
    if (!is_hidden)
        print_nearest_word(row, found, &text);
    return fail_with(&text, error);
}

/* The setting that counts for a row: the last one of its name. */
static const struct config_value *find_setting(const struct config_option *row,
                                               const struct config_value *values, size_t count)
{
    for (size_t i = count; i-- > 0;)
        if (is_name_of(row, values[i].name))
            return values[i].value.len ? &values[i] : NULL;
    return NULL;
}

static enum fl_err refuse_missing(const struct config_bind *how, const struct config_option *row,
                                  const struct config_value *values, size_t count,
                                  struct fl_error *error)
{
    struct fl_buffer text = {0};
    struct config_value place = {.file = count ? values[0].file : NULL};
    if (how->file)
        place = (struct config_value){.file = how->file, .line = how->line};
    print_place(how, &place, &text);
    fl_buffer_printf(&text, "%s: missing, but required; accepted: ", row->name);
    config_option_describe(row, &text);
    return fail_with(&text, error);
}

static enum fl_err bind_row(const struct config_bind *how, const struct config_option *row,
                            const struct config_value *values, size_t count, void *into,
                            bool stores, struct fl_error *error)
{
    void *at = stores && into ? (char *)into + row->offset : NULL;
    const struct config_value *setting = find_setting(row, values, count);
    if (setting) {
        if (!take_value(row, setting->value, how->arena, at))
            return refuse_value(how, row, setting, error);
        return FL_OK;
    }
    if (row->is_required)
        return refuse_missing(how, row, values, count, error);
    if (!row->default_text && at)
        store_nothing(row, at);
    if (row->default_text)
        FL_ASSERT(take_value(row, fl_slice_str(row->default_text), how->arena, at));
    return FL_OK;
}

static enum fl_err bind_all(const struct config_option_target *targets, size_t target_count,
                            const struct config_value *values, size_t count,
                            const struct config_bind *how, bool stores, struct fl_error *error)
{
    enum fl_err result = FL_OK;
    for (size_t t = 0; t < target_count; t++)
        for (const struct config_option *row = targets[t].rows; row && row->name; row++) {
            enum fl_err err = bind_row(how, row, values, count, targets[t].into, stores, error);
            if (err != FL_OK && !config_notes_keep(how->notes, "dapr.runtime", error))
                return err;
            if (err != FL_OK)
                result = err;
        }
    return result;
}

static bool is_known(const struct config_option_target *targets, size_t target_count,
                     struct fl_slice name)
{
    for (size_t t = 0; t < target_count; t++)
        if (config_option_find(targets[t].rows, name))
            return true;
    return false;
}

/* The nearest name among all rows, aliases included, and the row it belongs to. */
static const struct config_option *nearest_row(const struct config_option_target *targets,
                                               size_t target_count, struct fl_slice name,
                                               struct fl_slice *spelled)
{
    struct config_spelling spelling;
    const struct config_option *best = NULL;
    config_spelling_init(&spelling, name);
    for (size_t t = 0; t < target_count; t++)
        for (const struct config_option *row = targets[t].rows; row && row->name; row++) {
            unsigned before = spelling.best_edits;
            config_spelling_offer(&spelling, fl_slice_str(row->name));
            struct fl_slice rest = fl_slice_str(row->aliases), alias;
            while (next_part(&rest, ',', &alias))
                config_spelling_offer(&spelling, alias);
            if (spelling.best_edits < before)
                best = row;
        }
    *spelled = spelling.best;
    return best;
}

/* A near miss of a key that is not set is most likely that key: silently without it the component
 * would do something else than its owner wrote. */
static enum fl_err doubt_unknown(const struct config_option_target *targets, size_t target_count,
                                 const struct config_value *values, size_t count,
                                 const struct config_value *value, const struct config_bind *how,
                                 struct fl_error *error)
{
    struct fl_slice spelled;
    const struct config_option *near = nearest_row(targets, target_count, value->name, &spelled);
    struct fl_buffer text = {0};
    print_place(how, value, &text);
    fl_buffer_printf(&text, "\"%.*s\" is not a known key", FL_SLICE_ARG(value->name));
    if (near)
        fl_buffer_printf(&text, "; the nearest known one is \"%.*s\"", FL_SLICE_ARG(spelled));
    if (how->is_strict || (near && !find_setting(near, values, count))) {
        enum fl_err err = fail_with(&text, error);
        return config_notes_keep(how->notes, "dapr.runtime", error) ? FL_OK : err;
    }
    config_note(how->notes, FL_LOG_WARNING, "dapr.runtime", "%s", fl_buffer_cstr(&text));
    fl_buffer_fini(&text);
    return FL_OK;
}

/* daprd refuses one key in two spellings, for it cannot tell which one counts; the same spelling
 * twice is taken, and only the last one counts. */
static enum fl_err doubt_repeated(const struct config_value *last, const struct config_value *other,
                                  const struct config_bind *how, struct fl_error *error)
{
    struct fl_buffer text = {0};
    bool is_same = fl_slice_eq(last->name, other->name);
    print_place(how, last, &text);
    fl_buffer_printf(&text, "\"%.*s\" is set more than once", FL_SLICE_ARG(last->name));
    if (!is_same)
        fl_buffer_printf(&text, ", as \"%.*s\" too", FL_SLICE_ARG(other->name));
    if (other->line)
        fl_buffer_printf(&text, " (line %u)", other->line);
    if (how->is_strict || (!is_same && fl_slice_eq_nocase(last->name, other->name))) {
        enum fl_err err = fail_with(&text, error);
        return config_notes_keep(how->notes, "dapr.runtime", error) ? FL_OK : err;
    }
    fl_buffer_append_str(&text, "; this one counts");
    config_note(how->notes, FL_LOG_WARNING, "dapr.runtime", "%s", fl_buffer_cstr(&text));
    fl_buffer_fini(&text);
    return FL_OK;
}

static enum fl_err check_repeated(const struct config_option *row,
                                  const struct config_value *values, size_t count,
                                  const struct config_bind *how, struct fl_error *error)
{
    const struct config_value *last = NULL;
    for (size_t i = count; i-- > 0;) {
        if (!is_name_of(row, values[i].name))
            continue;
        if (last)
            return doubt_repeated(last, &values[i], how, error);
        last = &values[i];
    }
    return FL_OK;
}

static enum fl_err check_all_repeated(const struct config_option_target *targets,
                                      size_t target_count, const struct config_value *values,
                                      size_t count, const struct config_bind *how,
                                      struct fl_error *error)
{
    for (size_t t = 0; t < target_count; t++)
        for (const struct config_option *row = targets[t].rows; row && row->name; row++) {
            enum fl_err err = check_repeated(row, values, count, how, error);
            if (err != FL_OK)
                return err;
        }
    return FL_OK;
}

enum fl_err config_options_bind(const struct config_option_target *targets, size_t target_count,
                                const struct config_value *values, size_t value_count,
                                const struct config_bind *how, struct fl_error *error)
{
    for (size_t i = 0; i < value_count && !how->is_open; i++) {
        if (is_known(targets, target_count, values[i].name))
            continue;
        enum fl_err err =
            doubt_unknown(targets, target_count, values, value_count, &values[i], how, error);
        if (err != FL_OK)
            return err;
    }
    enum fl_err err = FL_OK;
    if (!how->is_open)
        err = check_all_repeated(targets, target_count, values, value_count, how, error);
    if (err == FL_OK)
        err = bind_all(targets, target_count, values, value_count, how, false, error);
    if (err != FL_OK)
        return err;
    return bind_all(targets, target_count, values, value_count, how, true, error);
}

/* --- the manual ------------------------------------------------------------------------------- */

static const char *type_name(enum config_option_type type)
{
    switch (type) {
    case CONFIG_STRING:
        return "string";
    case CONFIG_INT:
        return "integer";
    case CONFIG_BOOL:
        return "boolean";
    case CONFIG_DURATION:
        return "duration";
    case CONFIG_BYTES:
        return "size";
    case CONFIG_LIST:
        return "list";
    case CONFIG_ENUM:
        return "word";
    case CONFIG_IGNORED:
        return "no effect";
    }
    return "";
}

/* A bar would end the table's cell. */
static void print_cell(struct fl_buffer *out, struct fl_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '|')
            fl_buffer_append_byte(out, '\\');
        fl_buffer_append_byte(out, text.data[i]);
    }
}

static void print_default(const struct config_option *row, struct fl_buffer *out)
{
    if (row->is_required)
        fl_buffer_append_str(out, "required");
    else if (row->default_text)
        fl_buffer_printf(out, "`%s`", row->default_text);
}

static void print_aliases(const struct config_option *row, const char *quote, struct fl_buffer *out)
{
    struct fl_slice rest = fl_slice_str(row->aliases), alias;
    while (next_part(&rest, ',', &alias))
        fl_buffer_printf(out, ", %s%.*s%s", quote, FL_SLICE_ARG(alias), quote);
}

void config_options_print_markdown(const struct config_option *rows, struct fl_buffer *out)
{
    fl_buffer_append_str(out, "| key | type | default | accepted | meaning |\n"
                              "|---|---|---|---|---|\n");
    for (; rows && rows->name; rows++) {
        struct fl_buffer accepted = {0};
        config_option_describe(rows, &accepted);
        fl_buffer_printf(out, "| `%s`", rows->name);
        print_aliases(rows, "`", out);
        fl_buffer_printf(out, " | %s | ", type_name(rows->type));
        print_default(rows, out);
        fl_buffer_append_str(out, " | ");
        print_cell(out, fl_buffer_slice(&accepted));
        fl_buffer_append_str(out, " | ");
        print_cell(out, fl_slice_str(rows->help));
        fl_buffer_append_str(out, " |\n");
        fl_buffer_fini(&accepted);
    }
}

void config_options_print_plain(const struct config_option *rows, struct fl_buffer *out)
{
    for (; rows && rows->name; rows++) {
        fl_buffer_printf(out, "  %s", rows->name);
        print_aliases(rows, "", out);
        if (rows->is_required)
            fl_buffer_append_str(out, "  (required)");
        else if (rows->default_text)
            fl_buffer_printf(out, "  (default %s)", rows->default_text);
        fl_buffer_append_str(out, "\n      ");
        fl_buffer_append_str(out, rows->help ? rows->help : "");
        fl_buffer_append_str(out, "\n      accepted: ");
        config_option_describe(rows, out);
        fl_buffer_append_byte(out, '\n');
    }
}
