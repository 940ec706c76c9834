/* Prints manuals; see the header.
 *
 * The list needs every module opened, a manual only the one that serves the type. Texts are wrapped
 * here, since rows hold them as one line. */
#include "gateway/cli_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/secrets.h"
#include "connectors/registry.h"
#include "gateway/cli.h"
#include "gateway/manual.h"

enum { COLUMNS = 80, MOST_TYPES = 1000 };

struct named_type {
    const char *name, *summary;
};

/* --- wrapping --------------------------------------------------------------------------------- */

static size_t indent_of(struct fl_slice line)
{
    size_t indent = 0;
    while (indent < line.len && line.data[indent] == ' ')
        indent++;
    return indent;
}

/* Where the first part of the line ends that fits behind `column`: at a space, or at its end. */
static size_t fitting(struct fl_slice words, size_t column)
{
    size_t fit = fl_slice_find_byte(words, ' ');
    for (size_t at = fit; at < words.len;) {
        struct fl_slice rest = fl_slice_of(words.data + at + 1, words.len - at - 1);
        at += 1 + fl_slice_find_byte(rest, ' ');
        if (column + at > COLUMNS)
            break;
        fit = at;
    }
    return fit;
}

/* A line that is too long goes on below, under its own indentation. */
static void wrap_line(struct fl_slice line, struct fl_buffer *out)
{
    size_t indent = indent_of(line);
    struct fl_slice words = fl_slice_of(line.data + indent, line.len - indent);
    do {
        size_t fit = fitting(words, indent);
        fl_buffer_printf(out, "%*s%.*s\n", (int)(words.len ? indent : 0), "", (int)fit, words.data);
        size_t used = fit < words.len ? fit + 1 : fit;
        words = fl_slice_of(words.data + used, words.len - used);
    } while (words.len);
}

static void write_wrapped(struct fl_buffer *text)
{
    struct fl_buffer out = {0};
    struct fl_slice rest = fl_buffer_slice(text);
    while (rest.len) {
        size_t end = fl_slice_find_byte(rest, '\n');
        wrap_line(fl_slice_of(rest.data, end), &out);
        size_t used = end < rest.len ? end + 1 : end;
        rest = fl_slice_of(rest.data + used, rest.len - used);
    }
    gw_cli_write(STDOUT_FILENO, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    fl_buffer_fini(text);
}

/* --- the list --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named_type *)a)->name, ((const struct named_type *)b)->name);
}

static size_t list_types(struct connector_registry *registry, struct named_type *types)
{
    const struct connector_type *type;
    size_t count = 0, at = 0;
    while ((type = connector_registry_next(registry, &at)))
        for (const char *const *name = type->component_types; *name && count < MOST_TYPES; name++)
            types[count++] = (struct named_type){*name, type->summary};
    for (const struct config_secret_store_type *store = config_secret_store_types; store->type;
         store++)
        if (count < MOST_TYPES)
            types[count++] = (struct named_type){store->type, store->summary};
    qsort(types, count, sizeof *types, by_name);
    return count;
}

static int print_list(struct connector_registry *registry, bool names_only)
{
    static struct named_type types[MOST_TYPES];
    struct fl_buffer out = {0};
    struct fl_error error = {0};
    connector_registry_load_all(registry, &error);
    size_t count = list_types(registry, types);
    for (size_t i = 0; i < count; i++) {
        fl_buffer_printf(&out, "%s\n", types[i].name);
        if (!names_only)
            fl_buffer_printf(&out, "    %s\n", types[i].summary);
    }
    if (!names_only)
        fl_buffer_append_str(&out, "\nAll about one: fairlead options TYPE\n");
    write_wrapped(&out);
    if (error.text[0])
        gw_cli_say(CONFIG_OPTIONS, "a module is left out: %s", error.text);
    return 0;
}

/* --- one manual ------------------------------------------------------------------------------- */

static void print_section(const struct gw_manual_section *section, struct fl_buffer *out)
{
    fl_buffer_printf(out, "\n%s:\n", section->title);
    if (section->rows)
        config_options_print_plain(section->rows, out);
    for (size_t i = 0; i < section->line_count; i++)
        fl_buffer_printf(out, "  %s\n      %s\n", section->lines[i].name, section->lines[i].help);
    if (section->closing)
        fl_buffer_printf(out, "\n%s\n", section->closing);
}

/* As the connector writes it; the user may have another case. */
static const char *name_of(const struct connector_type *type, struct fl_slice word)
{
    for (const char *const *name = type->component_types; *name; name++)
        if (fl_slice_eq_nocase(word, fl_slice_str(*name)))
            return *name;
    return type->component_types[0];
}

static void print_manual(const char *name, const struct connector_type *type)
{
    struct fl_buffer out = {0}, operations = {0};
    struct gw_manual manual;
    gw_manual_make(name, type, &manual);
    gw_manual_operations(type, &operations);
    fl_buffer_printf(&out, "%s\n\n%s\n", name, type->summary);
    if (operations.len)
        fl_buffer_printf(&out, "\nOperations: %s\n", fl_buffer_cstr(&operations));
    for (size_t i = 0; i < manual.section_count; i++)
        print_section(&manual.sections[i], &out);
    fl_buffer_fini(&operations);
    write_wrapped(&out);
}

/* A secret store has no connector; its manual is one of settings only. */
static bool print_store(struct fl_slice word)
{
    for (const struct config_secret_store_type *store = config_secret_store_types; store->type;
         store++) {
        const struct connector_type type = {.summary = store->summary,
                                            .component_options = store->options};
        if (!fl_slice_eq_nocase(word, fl_slice_str(store->type)))
            continue;
        print_manual(store->type, &type);
        return true;
    }
    return false;
}

static int print_one(struct connector_registry *registry, struct fl_slice word)
{
    const struct connector_type *type;
    struct fl_error error;
    if (print_store(word))
        return 0;
    if (connector_registry_find(registry, word, FL_SLICE_NULL, &type, &error)) {
        gw_cli_say(CONFIG_OPTIONS, "%s", error.text);
        return 1;
    }
    print_manual(name_of(type, word), type);
    return 0;
}

int gw_cli_options(const struct config_flags *flags)
{
    const struct config_tool_flags *tool = &flags->tool;
    struct connector_registry *registry = connector_registry_new();
    int status =
        tool->word.len ? print_one(registry, tool->word) : print_list(registry, tool->names_only);
    connector_registry_free(&registry);
    return status;
}
