/* The forms of the command line: which one it is, and what is different about each.
 *
 * Without a subcommand, or under the name daprd, it is daprd's form, whose mistakes are told as
 * daprd tells them (flags.c). A subcommand has help of its own, tells a mistake in one line, and
 * says what an argument without a dash means: for publish and peek the topic, for publish the data
 * too, for `run` the command to run, for check folders. `help` and `version` end at once. */
#include <stdio.h>
#include <string.h>

#include "config/flags_priv.h"
#include "config/spelling.h"

/* --- which form ------------------------------------------------------------------------------- */

static bool find_command(const char *word, enum config_command *command)
{
    for (int i = 0; i < CONFIG_COMMAND_COUNT; i++) {
        const char *name = config_command_infos[i].name;
        if (name && strcmp(name, word) == 0) {
            *command = (enum config_command)i;
            return true;
        }
    }
    return false;
}

static void end_unknown_command(struct config_parser *p, const char *word)
{
    struct config_flags_result *result = p->result;
    struct config_spelling spelling;
    config_spelling_init(&spelling, fl_slice_str(word));
    for (int i = 0; i < CONFIG_COMMAND_COUNT; i++)
        if (config_command_infos[i].name)
            config_spelling_offer(&spelling, fl_slice_str(config_command_infos[i].name));
    config_spelling_offer(&spelling, FL_SLICE_LIT("help"));
    config_spelling_offer(&spelling, FL_SLICE_LIT("version"));
    result->outcome = CONFIG_EXIT;
    result->status = 2;
    fl_buffer_printf(&result->err, "fairlead: unknown command \"%.200s\"", word);
    if (spelling.best.data)
        fl_buffer_printf(&result->err, "; the nearest known one is %.*s",
                         FL_SLICE_ARG(spelling.best));
    fl_buffer_append_str(&result->err, "\n\n");
    config_commands_print(&result->err);
}

/* help [COMMAND], version: what ends at once. */
static bool take_word(struct config_parser *p, int argc, char *const *argv,
                      const struct config_build *build)
{
    struct config_flags_result *result = p->result;
    const char *word = argv[1];
    result->outcome = CONFIG_EXIT;
    if (strcmp(word, "version") == 0)
        fl_buffer_printf(&result->out, "Fairlead %s, commit %s\n", build->version, build->commit);
    else if (strcmp(word, "help") == 0 && argc == 2)
        config_commands_print(&result->out);
    else if (strcmp(word, "help") != 0)
        return false;
    else if (find_command(argv[2], &p->command))
        config_command_print_help(p->command, &result->out);
    else
        end_unknown_command(p, argv[2]);
    return true;
}

static bool is_called_daprd(const char *path)
{
    const char *name = strrchr(path, '/');
    return strcmp(name ? name + 1 : path, "daprd") == 0;
}

bool config_form_choose(struct config_parser *p, int argc, char *const *argv,
                        const struct config_build *build)
{
    p->result->flags.is_called_daprd = argc > 0 && is_called_daprd(argv[0]);
    if (argc < 2 || argv[1][0] == '-' || p->result->flags.is_called_daprd)
        return true;
    if (take_word(p, argc, argv, build))
        return false;
    p->result->outcome = CONFIG_RUN;
    if (find_command(argv[1], &p->command))
        return true;
    end_unknown_command(p, argv[1]);
    return false;
}

/* --- how a subcommand ends -------------------------------------------------------------------- */

/* Of publish a mistake means that nothing was stored, which is status 1. */
void config_form_end(struct config_parser *p, const char *message, const char *hint)
{
    struct config_flags_result *result = p->result;
    const char *name = config_command_name(p->command);
    result->status = p->command == CONFIG_PUBLISH ? 1 : 2;
    fl_buffer_printf(&result->err, "fairlead %s: %s\n%sTo see all of it: fairlead %s --help\n",
                     name, message, hint, name);
}

void config_form_end_with_help(struct config_parser *p)
{
    p->result->outcome = CONFIG_EXIT;
    config_command_print_help(p->command, &p->result->out);
}

/* --- arguments without a dash ----------------------------------------------------------------- */

/* Where the next argument goes; NULL: it is one too many. */
static struct fl_slice *place_of_argument(struct config_parser *p)
{
    struct config_tool_flags *tool = &p->result->flags.tool;
    bool is_word = p->command == CONFIG_OPTIONS || p->command == CONFIG_COMPLETION;
    struct fl_slice *first = is_word ? &tool->word : &tool->topic;
    if (fl_slice_is_null(*first))
        return first;
    if (p->command == CONFIG_PUBLISH && fl_slice_is_null(tool->data))
        return &tool->data;
    return NULL;
}

static void add_folder(struct config_parser *p, const char *token)
{
    struct config_list *list = &p->raw.resources_paths;
    struct fl_slice *items = FL_ARENA_ARRAY(&p->result->arena, struct fl_slice, list->count + 1);
    if (list->count)
        memcpy(items, list->items, list->count * sizeof *items);
    items[list->count++] = fl_arena_copy(&p->result->arena, fl_slice_str(token));
    list->items = items;
}

bool config_form_take_argument(struct config_parser *p, const char *token)
{
    char message[300];
    if (p->command == CONFIG_CHECK) {
        add_folder(p, token);
        return true;
    }
    struct fl_slice *place = place_of_argument(p);
    if (place) {
        *place = fl_arena_copy(&p->result->arena, fl_slice_str(token));
        return true;
    }
    snprintf(message, sizeof message, "one argument too many: %.200s", token);
    config_flags_end(p, message,
                     p->command == CONFIG_PUBLISH ? "Data that holds spaces stands in quotes\n"
                                                  : "");
    return false;
}

void config_form_keep_program(struct config_parser *p, int count, char *const *argv)
{
    struct fl_arena *arena = &p->result->arena;
    char **copies = FL_ARENA_ARRAY(arena, char *, (size_t)count + 1);
    for (int i = 0; i < count; i++)
        copies[i] = fl_arena_strdup(arena, fl_slice_str(argv[i]));
    p->result->flags.program = copies;
}

/* --- what it means together ------------------------------------------------------------------- */

static void add_attribute(struct config_parser *p, const char *name, struct fl_slice value)
{
    if (value.len == 0)
        return;
    struct fl_arena *arena = &p->result->arena;
    char *pair = fl_arena_printf(arena, "cloudevent.%s=%.*s", name, FL_SLICE_ARG(value));
    FL_ASSERT(config_flags_append_pair(arena, fl_slice_str(pair),
                                       &p->result->flags.tool.metadata) == FL_OK);
}

static void finish_message_tool(struct config_parser *p)
{
    struct config_tool_flags *tool = &p->result->flags.tool;
    const struct config_raw_flags *raw = &p->raw;
    tool->pubsub = raw->pubsub;
    tool->content_type = raw->content_type;
    tool->metadata = raw->metadata;
    tool->by_line = raw->lines;
    tool->is_quiet = raw->quiet;
    tool->group = raw->group;
    tool->count = raw->count;
    add_attribute(p, "id", raw->event_id);
    add_attribute(p, "type", raw->event_type);
    add_attribute(p, "source", raw->event_source);
    if (fl_slice_eq_str(tool->data, "-"))
        tool->data = FL_SLICE_NULL;
    if (tool->topic.len == 0)
        config_flags_end(p, "which topic? none is named", "");
    else if (p->command == CONFIG_PEEK && tool->count < 1)
        config_flags_end(p, "--count is at least 1", "");
    else if (tool->by_line && !fl_slice_is_null(tool->data))
        config_flags_end(p, "--lines reads standard input, and data is given as well", "");
    else if (tool->by_line && raw->event_id.len)
        config_flags_end(p, "--lines makes many messages, and --id is for one", "");
}

static void finish_check(struct config_parser *p)
{
    const struct config_flags *flags = &p->result->flags;
    p->result->flags.tool.as_json = p->raw.json;
    if (flags->resources_paths.count == 0 && flags->config_files.count == 0)
        config_flags_end(p, "which folder? none is named, and no --config either", "");
}

/* It is printed here: the script is made of the rows of flags and of nothing else. */
static void finish_completion(struct config_parser *p)
{
    struct config_flags_result *result = p->result;
    struct fl_slice shell = result->flags.tool.word;
    char message[200];
    if (config_completion_print(shell, &result->out)) {
        result->outcome = CONFIG_EXIT;
        return;
    }
    snprintf(message, sizeof message, "found \"%.*s\"; accepted: bash, zsh, fish",
             (int)(shell.len < 100 ? shell.len : 100), shell.data ? shell.data : "");
    config_flags_end(p, shell.len ? message : "which shell? accepted: bash, zsh, fish", "");
}

void config_form_finish_tool(struct config_parser *p)
{
    if (p->command == CONFIG_CHECK)
        finish_check(p);
    else if (p->command == CONFIG_OPTIONS)
        p->result->flags.tool.names_only = p->raw.names;
    else if (p->command == CONFIG_COMPLETION)
        finish_completion(p);
    else
        finish_message_tool(p);
}
