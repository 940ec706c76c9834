/* What is printed from the rows of flags: help, the list of commands, the reference page. */
#include "config/flags_priv.h"

static const char *const group_titles[CONFIG_GROUP_COUNT] = {
    [CONFIG_GROUP_COMMAND] = "This command",
    [CONFIG_GROUP_APP] = "The application",
    [CONFIG_GROUP_API] = "The API",
    [CONFIG_GROUP_RESOURCES] = "Resources and configuration",
    [CONFIG_GROUP_LOG] = "Logs and metrics",
    [CONFIG_GROUP_LIFE] = "Bounds and shutdown",
    [CONFIG_GROUP_PROCESS] = "This process",
    [CONFIG_GROUP_ABSENT] = "Accepted, without effect in this version",
};

const char *config_flag_default(const struct config_flag *flag, enum config_command command)
{
    const char *other = NULL;
    if (command == CONFIG_RUN_PROGRAM)
        other = flag->run_default;
    else if (command != CONFIG_SERVE)
        other = flag->tool_default;
    return other ? other : flag->default_text;
}

const char *config_command_name(enum config_command command)
{
    const char *name = config_command_infos[command].name;
    return name ? name : "";
}

static const char *kind_name(enum config_flag_kind kind)
{
    switch (kind) {
    case CONFIG_FLAG_STRING:
        return "string";
    case CONFIG_FLAG_INT:
        return "int";
    case CONFIG_FLAG_DURATION:
        return "duration";
    case CONFIG_FLAG_LIST:
        return "list";
    case CONFIG_FLAG_PAIRS:
        return "key=value";
    case CONFIG_FLAG_BOOL:
    case CONFIG_FLAG_TRISTATE:
        return "";
    }
    return "";
}

static void print_flag(const struct config_flag *flag, enum config_command command,
                       struct fl_buffer *out)
{
    const char *kind = kind_name(flag->kind), *fallback = config_flag_default(flag, command);
    fl_buffer_append_str(out, "  ");
    if (flag->letter && command != CONFIG_SERVE)
        fl_buffer_printf(out, "-%c, ", flag->letter);
    fl_buffer_printf(out, "--%s%s%s\n        %s", flag->name, *kind ? " " : "", kind, flag->help);
    if (fallback)
        fl_buffer_printf(out, " (default %s)", fallback);
    if (config_flag_variable(flag, command))
        fl_buffer_printf(out, " (variable %s)", flag->variable);
    if (flag->deprecated)
        fl_buffer_printf(out, " (deprecated: %s)", flag->deprecated);
    fl_buffer_append_byte(out, '\n');
}

static bool has_flags(enum config_flag_group group, enum config_command command)
{
    for (size_t i = 0; i < config_flags_count; i++)
        if (config_flags_table[i].group == group &&
            config_flag_is_of(&config_flags_table[i], command))
            return true;
    return false;
}

static void print_groups(enum config_command command, struct fl_buffer *out)
{
    for (int group = 0; group < CONFIG_GROUP_COUNT; group++) {
        if (!has_flags((enum config_flag_group)group, command))
            continue;
        fl_buffer_printf(out, "\n%s:\n", group_titles[group]);
        for (size_t i = 0; i < config_flags_count; i++)
            if ((int)config_flags_table[i].group == group &&
                config_flag_is_of(&config_flags_table[i], command))
                print_flag(&config_flags_table[i], command, out);
    }
}

void config_flags_print_help(const char *name, struct fl_buffer *out)
{
    fl_buffer_printf(out, "Usage of %s:\n  %s %s\n  %s COMMAND, see %s help\n", name, name,
                     config_command_infos[CONFIG_SERVE].synopsis, name, name);
    print_groups(CONFIG_SERVE, out);
}

void config_command_print_help(enum config_command command, struct fl_buffer *out)
{
    const struct config_command_info *info = &config_command_infos[command];
    if (!info->name) {
        config_flags_print_help("fairlead", out);
        return;
    }
    fl_buffer_printf(out, "Usage:\n  fairlead %s %s\n\n%s", info->name, info->synopsis, info->text);
    print_groups(command, out);
}

void config_commands_print(struct fl_buffer *out)
{
    fl_buffer_printf(out, "Usage:\n  fairlead %s\n", config_command_infos[CONFIG_SERVE].synopsis);
    fl_buffer_printf(out, "        %s; all of them: fairlead --help\n",
                     config_command_infos[CONFIG_SERVE].summary);
    for (int i = 0; i < CONFIG_COMMAND_COUNT; i++) {
        const struct config_command_info *info = &config_command_infos[i];
        if (info->name)
            fl_buffer_printf(out, "  fairlead %s %s\n        %s\n", info->name, info->synopsis,
                             info->summary);
    }
    fl_buffer_append_str(out, "  fairlead help [COMMAND]\n        this list, or all about one\n"
                              "  fairlead version\n");
}

/* --- the reference page ----------------------------------------------------------------------- */

static void print_row(const struct config_flag *flag, enum config_command command,
                      struct fl_buffer *out)
{
    const char *kind = kind_name(flag->kind), *fallback = config_flag_default(flag, command);
    fl_buffer_printf(out, "| `--%s`", flag->name);
    if (flag->letter && command != CONFIG_SERVE)
        fl_buffer_printf(out, ", `-%c`", flag->letter);
    fl_buffer_printf(out, " | %s | %s | %s%s%s |\n", *kind ? kind : "boolean",
                     fallback ? fallback : "", flag->help, flag->deprecated ? " Deprecated: " : "",
                     flag->deprecated ? flag->deprecated : "");
}

static void print_table_head(const char *level, const char *title, struct fl_buffer *out)
{
    fl_buffer_printf(out, "%s %s\n\n| flag | type | default | meaning |\n|---|---|---|---|\n",
                     level, title);
}

static bool differs(const struct config_flag *flag, enum config_command command)
{
    return !config_flag_is_of(flag, CONFIG_SERVE) || (flag->letter != 0) ||
           config_flag_default(flag, command) != flag->default_text;
}

/* Of a subcommand only what is not as above; the others are named. */
static void print_command(enum config_command command, struct fl_buffer *out)
{
    const struct config_command_info *info = &config_command_infos[command];
    fl_buffer_printf(out, "\n## fairlead %s\n\n```\nfairlead %s %s\n\n%s```\n", info->name,
                     info->name, info->synopsis, info->text);
    print_table_head("\n###", "Flags of its own, and those that differ", out);
    for (size_t i = 0; i < config_flags_count; i++)
        if (config_flag_is_of(&config_flags_table[i], command) &&
            differs(&config_flags_table[i], command))
            print_row(&config_flags_table[i], command, out);
    fl_buffer_append_str(out, "\nAs above:");
    for (size_t i = 0; i < config_flags_count; i++)
        if (config_flag_is_of(&config_flags_table[i], command) &&
            !differs(&config_flags_table[i], command))
            fl_buffer_printf(out, " `--%s`", config_flags_table[i].name);
    fl_buffer_append_byte(out, '\n');
}

void config_flags_print_markdown(struct fl_buffer *out)
{
    const char *level = "##";
    for (int group = 0; group < CONFIG_GROUP_COUNT; group++) {
        if (!has_flags((enum config_flag_group)group, CONFIG_SERVE))
            continue;
        print_table_head(level, group_titles[group], out);
        level = "\n##";
        for (size_t i = 0; i < config_flags_count; i++)
            if ((int)config_flags_table[i].group == group &&
                config_flag_is_of(&config_flags_table[i], CONFIG_SERVE))
                print_row(&config_flags_table[i], CONFIG_SERVE, out);
    }
    for (int i = 0; i < CONFIG_COMMAND_COUNT; i++)
        if (config_command_infos[i].name)
            print_command((enum config_command)i, out);
}
