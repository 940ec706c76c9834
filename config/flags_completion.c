/* Completion of command lines, as a script for each of three shells.
 *
 * The scripts are printed from the rows of flags and of subcommands, so that they know what this
 * program knows. What only the program can tell, the names of component types, a script asks it at
 * the moment (`fairlead options --names`). Behind `run` a shell goes on as if the command of the
 * application stood alone.
 *
 * bash breaks a word at '=', so `--flag=value` is three words there; zsh and fish need no help with
 * it. */
#include "config/flags_priv.h"

#define SHELLS "bash zsh fish"

/* --- what the shells share -------------------------------------------------------------------- */

static bool is_taken_by(const struct config_flag *flag, int command)
{
    return config_flag_is_of(flag, (enum config_command)command);
}

static void print_header(const char *shell, struct fl_buffer *out)
{
    fl_buffer_printf(out, "# Completion of fairlead for %s; printed by: fairlead completion %s\n",
                     shell, shell);
}

/* The first clause of a help text, in the quotes of the shell: `quote` stands for one inside, and
 * each byte of `escaped` gets a backslash. */
static void print_short(const char *help, const char *quote, const char *escaped,
                        struct fl_buffer *out)
{
    for (const char *at = help; *at && *at != ';'; at++) {
        if (*at == '.' && (at[1] == ' ' || at[1] == '\0'))
            break;
        if (*at == '\'')
            fl_buffer_append_str(out, quote);
        else if (strchr(escaped, *at))
            fl_buffer_printf(out, "\\%c", *at);
        else
            fl_buffer_append_byte(out, *at);
    }
}

/* Flags of `run` that have their value in the next word. */
static void print_valued(struct fl_buffer *out)
{
    for (size_t i = 0; i < config_flags_count; i++) {
        const struct config_flag *flag = &config_flags_table[i];
        if (!is_taken_by(flag, CONFIG_RUN_PROGRAM) || !config_flag_has_value(flag))
            continue;
        fl_buffer_printf(out, "--%s ", flag->name);
        if (flag->letter)
            fl_buffer_printf(out, "-%c ", flag->letter);
    }
}

/* --- bash ------------------------------------------------------------------------------------- */

static const char bash_start[] =
    "_fairlead()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local command= flags= start= i IFS=$' \\t\\n'\n"
    "    COMPREPLY=()\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur=\n"
    "    elif [[ $flag == = ]]; then\n"
    "        flag=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    fi\n"
    "    if [[ ${COMP_WORDS[0]##*/} != daprd && $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} != -* ]]; "
    "then\n"
    "        command=${COMP_WORDS[1]}\n"
    "    fi\n";

/* What follows the start of the application's command is not ours. The flag before the word at the
 * cursor may want it as its value, so the walk ends behind the cursor when it does. */
static const char bash_run[] =
    "    if [[ $command == run ]]; then\n"
    "        for ((i = 2; i <= COMP_CWORD; i++)); do\n"
    "            if [[ ${COMP_WORDS[i]} == -- && $i -lt $COMP_CWORD ]]; then\n"
    "                start=$((i + 1))\n"
    "                break\n"
    "            elif [[ $valued == *\" ${COMP_WORDS[i]} \"* ]]; then\n"
    "                [[ ${COMP_WORDS[i+1]} == = ]] && ((i++))\n"
    "                ((i++))\n"
    "            elif [[ ${COMP_WORDS[i]} != -* ]]; then\n"
    "                start=$i\n"
    "                break\n"
    "            fi\n"
    "        done\n"
    "    fi\n"
    "    if [[ $start ]]; then\n"
    "        if declare -F _command_offset >/dev/null; then\n"
    "            _command_offset $start\n"
    "        elif ((start == COMP_CWORD)); then\n"
    "            COMPREPLY=($(compgen -c -- \"$cur\"))\n"
    "        else\n"
    "            _fairlead_paths -f\n"
    "        fi\n"
    "        return\n"
    "    fi\n";

static const char bash_end[] =
    "    if [[ $cur == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$flags --help\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    case $command in\n"
    "    check) _fairlead_paths -d ;;\n"
    "    options)\n"
    "        COMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" options --names 2>/dev/null)\" "
    "-- \"$cur\")) ;;\n"
    "    completion) COMPREPLY=($(compgen -W '" SHELLS "' -- \"$cur\")) ;;\n"
    "    help) COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\")) ;;\n"
    "    '')\n"
    "        if [[ $COMP_CWORD -eq 1 && ${COMP_WORDS[0]##*/} != daprd ]]; then\n"
    "            COMPREPLY=($(compgen -W \"$commands help version\" -- \"$cur\"))\n"
    "        fi ;;\n"
    "    esac\n"
    "}\n\n"
    "_fairlead_paths()\n"
    "{\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    COMPREPLY=($(compgen \"$1\" -- \"$cur\"))\n"
    "}\n\n"
    "complete -F _fairlead fairlead daprd\n";

/* "*:--config|run:-c|publish:-c": a long name means the same everywhere, a letter does not. */
static void print_bash_pattern(const struct config_flag *flag, struct fl_buffer *out)
{
    fl_buffer_printf(out, "*:--%s", flag->name);
    for (int i = CONFIG_SERVE + 1; flag->letter && i < CONFIG_COMMAND_COUNT; i++)
        if (is_taken_by(flag, i))
            fl_buffer_printf(out, "|%s:-%c", config_command_name((enum config_command)i),
                             flag->letter);
}

static void print_bash_value(const struct config_flag *flag, struct fl_buffer *out)
{
    fl_buffer_append_str(out, "    ");
    print_bash_pattern(flag, out);
    if (flag->words)
        fl_buffer_printf(out, ") COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n",
                         flag->words);
    else
        fl_buffer_printf(out, ") %sreturn ;;\n",
                         flag->offer == CONFIG_OFFER_FILES     ? "_fairlead_paths -f; "
                         : flag->offer == CONFIG_OFFER_FOLDERS ? "_fairlead_paths -d; "
                                                               : "");
}

static void print_bash_values(struct fl_buffer *out)
{
    fl_buffer_append_str(out, "    case $command:$flag in\n");
    for (size_t i = 0; i < config_flags_count; i++)
        if (config_flag_has_value(&config_flags_table[i]))
            print_bash_value(&config_flags_table[i], out);
    fl_buffer_append_str(out, "    esac\n");
}

static void print_bash_flags(struct fl_buffer *out)
{
    fl_buffer_append_str(out, "    case $command in\n");
    for (int command = 0; command < CONFIG_COMMAND_COUNT; command++) {
        const char *name = config_command_name((enum config_command)command);
        fl_buffer_printf(out, "    %s) flags='", *name ? name : "''");
        for (size_t i = 0; i < config_flags_count; i++)
            if (is_taken_by(&config_flags_table[i], command))
                fl_buffer_printf(out, "--%s ", config_flags_table[i].name);
        fl_buffer_append_str(out, "' ;;\n");
    }
    fl_buffer_append_str(out, "    esac\n");
}

static void print_bash_program(struct fl_buffer *out)
{
    fl_buffer_append_str(out, "    local valued=' ");
    print_valued(out);
    fl_buffer_append_str(out, "'\n");
    fl_buffer_append_str(out, bash_run);
}

static void print_bash(struct fl_buffer *out)
{
    print_header("bash", out);
    fl_buffer_append_str(out, bash_start);
    fl_buffer_append_str(out, "    local commands='");
    for (int i = CONFIG_SERVE + 1; i < CONFIG_COMMAND_COUNT; i++)
        fl_buffer_printf(out, "%s%s", i > CONFIG_SERVE + 1 ? " " : "",
                         config_command_name((enum config_command)i));
    fl_buffer_append_str(out, "'\n");
    print_bash_program(out);
    print_bash_values(out);
    print_bash_flags(out);
    fl_buffer_append_str(out, bash_end);
}

/* --- zsh -------------------------------------------------------------------------------------- */

#define ZSH_QUOTE "'\\''"
#define ZSH_ESCAPED "\\[]:"

/* A word of _arguments: '(-a --app-id)'{-a+,--app-id=}'[Name of the application]:string:' */
static void print_zsh_flag(const struct config_flag *flag, int command, struct fl_buffer *out)
{
    bool has_value = config_flag_has_value(flag);
    bool repeats = flag->kind == CONFIG_FLAG_LIST || flag->kind == CONFIG_FLAG_PAIRS;
    bool has_letter = flag->letter && command != CONFIG_SERVE;
    fl_buffer_append_str(out, "        ");
    if (repeats)
        fl_buffer_append_str(out, "'*'");
    else if (has_letter)
        fl_buffer_printf(out, "'(-%c --%s)'", flag->letter, flag->name);
    if (has_letter)
        fl_buffer_printf(out, "{-%c%s,--%s%s}", flag->letter, has_value ? "+" : "", flag->name,
                         has_value ? "=" : "");
    else
        fl_buffer_printf(out, "--%s%s", flag->name, has_value ? "=" : "");
    fl_buffer_append_str(out, "'[");
    print_short(flag->help, ZSH_QUOTE, ZSH_ESCAPED, out);
    fl_buffer_append_byte(out, ']');
    if (has_value && flag->words)
        fl_buffer_printf(out, ":%s:(%s)", flag->name, flag->words);
    else if (has_value)
        fl_buffer_printf(out, ":%s:%s", flag->name,
                         flag->offer == CONFIG_OFFER_FILES     ? "_files"
                         : flag->offer == CONFIG_OFFER_FOLDERS ? "_files -/"
                                                               : "");
    fl_buffer_append_str(out, "' \\\n");
}

/* What may stand there without a dash. */
static const char *zsh_arguments(int command)
{
    switch ((enum config_command)command) {
    case CONFIG_RUN_PROGRAM:
        return "'(-)1:command: _command_names -e' '*::argument: _normal'";
    case CONFIG_CHECK:
        return "'*:folder:_files -/'";
    case CONFIG_OPTIONS:
        return "'1:type:($(\"$program\" options --names 2>/dev/null))'";
    case CONFIG_COMPLETION:
        return "'1:shell:(" SHELLS ")'";
    case CONFIG_PUBLISH:
        return "'1:topic:' '2:data:'";
    case CONFIG_PEEK:
        return "'1:topic:'";
    case CONFIG_SERVE:
    case CONFIG_COMMAND_COUNT:
        break;
    }
    return "";
}

static void print_zsh_command(int command, struct fl_buffer *out)
{
    const char *name = config_command_name((enum config_command)command);
    fl_buffer_printf(out, "    %s)\n", *name ? name : "''");
    if (*name)
        fl_buffer_append_str(out, "        shift words\n        (( CURRENT-- ))\n");
    fl_buffer_append_str(out, "        _arguments -s -S : \\\n");
    for (size_t i = 0; i < config_flags_count; i++)
        if (is_taken_by(&config_flags_table[i], command))
            print_zsh_flag(&config_flags_table[i], command, out);
    fl_buffer_printf(out, "        '(- *)--help[all about it]' %s ;;\n", zsh_arguments(command));
}

/* `commands` is the shell's own list of programs, so the variable has another name. */
static void print_zsh(struct fl_buffer *out)
{
    fl_buffer_append_str(out, "#compdef fairlead daprd\n");
    print_header("zsh", out);
    fl_buffer_append_str(out, "_fairlead() {\n"
                              "    local program=$words[1] command= curcontext=$curcontext\n"
                              "    local -a subcommands\n"
                              "    subcommands=(\n");
    for (int i = CONFIG_SERVE + 1; i < CONFIG_COMMAND_COUNT; i++) {
        fl_buffer_printf(out, "        '%s:", config_command_infos[i].name);
        print_short(config_command_infos[i].summary, ZSH_QUOTE, ":", out);
        fl_buffer_append_str(out, "'\n");
    }
    fl_buffer_append_str(out, "        'help:the list of commands, or all about one'\n"
                              "        'version:the version'\n"
                              "    )\n"
                              "    if [[ ${program:t} != daprd && $words[2] != -* ]]; then\n"
                              "        if (( CURRENT == 2 )); then\n"
                              "            _describe -t commands command subcommands\n"
                              "            return\n"
                              "        fi\n"
                              "        command=$words[2]\n"
                              "    fi\n"
                              "    case $command in\n"
                              "    help) _describe -t commands command subcommands ;;\n");
    for (int i = 0; i < CONFIG_COMMAND_COUNT; i++)
        print_zsh_command(i, out);
    fl_buffer_append_str(out, "    esac\n}\n\n"
                              "if [[ $funcstack[1] == _fairlead ]]; then\n"
                              "    _fairlead \"$@\"\n"
                              "else\n"
                              "    compdef _fairlead fairlead daprd\n"
                              "fi\n");
}

/* --- fish ------------------------------------------------------------------------------------- */

static const char fish_start[] =
    "function __fairlead_is\n"
    "    set -l words (commandline -opc)\n"
    "    set -l command daprd\n"
    "    if test (count $words) -gt 1; and not string match -q -- '-*' $words[2]\n"
    "        set command $words[2]\n"
    "    end\n"
    "    contains -- $command $argv\n"
    "end\n\n"
    "function __fairlead_wants_command\n"
    "    test (count (commandline -opc)) -eq 1\n"
    "end\n\n";

/* What a shell offers for the application's command, from its first word on. */
static const char fish_program[] =
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    set -l i 3\n"
    "    while test $i -lt (count $words)\n"
    "        if test $words[$i] = --\n"
    "            set i (math $i + 1)\n"
    "            break\n"
    "        else if contains -- $words[$i] $valued\n"
    "            set i (math $i + 1)\n"
    "        else if not string match -q -- '-*' $words[$i]\n"
    "            break\n"
    "        end\n"
    "        set i (math $i + 1)\n"
    "    end\n"
    "    if test $i -le (count $words); and not string match -q -- '-*' $words[$i]\n"
    "        complete -C (string join ' ' -- $words[$i..])\n"
    "    end\n"
    "end\n\n"
    "complete -c fairlead -c daprd -f\n";

static void print_fish_flag(const struct config_flag *flag, int command, struct fl_buffer *out)
{
    const char *name = config_command_name((enum config_command)command);
    fl_buffer_printf(out, "complete -c fairlead%s -n '__fairlead_is %s' -l %s",
                     *name ? "" : " -c daprd", *name ? name : "daprd", flag->name);
    if (flag->letter && command != CONFIG_SERVE)
        fl_buffer_printf(out, " -s %c", flag->letter);
    if (config_flag_has_value(flag) && flag->words)
        fl_buffer_printf(out, " -x -a '%s'", flag->words);
    else if (config_flag_has_value(flag) && flag->offer == CONFIG_OFFER_FILES)
        fl_buffer_append_str(out, " -r -F");
    else if (config_flag_has_value(flag) && flag->offer == CONFIG_OFFER_FOLDERS)
        fl_buffer_append_str(out, " -x -a '(__fish_complete_directories)'");
    else if (config_flag_has_value(flag))
        fl_buffer_append_str(out, " -x");
    fl_buffer_append_str(out, " -d '");
    print_short(flag->help, "\\'", "\\", out);
    fl_buffer_append_str(out, "'\n");
}

static void print_fish(struct fl_buffer *out)
{
    static const char first[] = "complete -c fairlead -n __fairlead_wants_command";
    print_header("fish", out);
    fl_buffer_append_str(out, fish_start);
    fl_buffer_append_str(out, "function __fairlead_program\n    set -l valued ");
    print_valued(out);
    fl_buffer_append_str(out, "\n");
    fl_buffer_append_str(out, fish_program);
    for (int i = CONFIG_SERVE + 1; i < CONFIG_COMMAND_COUNT; i++) {
        fl_buffer_printf(out, "%s -a %s -d '", first, config_command_infos[i].name);
        print_short(config_command_infos[i].summary, "\\'", "\\", out);
        fl_buffer_append_str(out, "'\n");
    }
    fl_buffer_printf(out, "%s -a 'help version'\n", first);
    for (int command = 0; command < CONFIG_COMMAND_COUNT; command++)
        for (size_t i = 0; i < config_flags_count; i++)
            if (is_taken_by(&config_flags_table[i], command))
                print_fish_flag(&config_flags_table[i], command, out);
    fl_buffer_append_str(
        out, "complete -c fairlead -n '__fairlead_is run' -a '(__fairlead_program)'\n"
             "complete -c fairlead -n '__fairlead_is check' -a '(__fish_complete_directories)'\n"
             "complete -c fairlead -n '__fairlead_is options' -a '(fairlead options --names)'\n"
             "complete -c fairlead -n '__fairlead_is completion' -a '" SHELLS "'\n");
}

bool config_completion_print(struct fl_slice shell, struct fl_buffer *out)
{
    if (fl_slice_eq_str(shell, "bash"))
        print_bash(out);
    else if (fl_slice_eq_str(shell, "zsh"))
        print_zsh(out);
    else if (fl_slice_eq_str(shell, "fish"))
        print_fish(out);
    else
        return false;
    return true;
}
