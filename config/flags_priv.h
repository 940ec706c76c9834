/* The table of flags, for the parser and for what is printed from it; and what the files of the
 * parser share, of which a token, a message and a hint are borrowed.
 *
 * Thread: any; the table is constant, and a parser is one call's.
 */
#ifndef FL_CONFIG_FLAGS_PRIV_H
#define FL_CONFIG_FLAGS_PRIV_H

#include "config/flags.h"

enum config_flag_kind {
    CONFIG_FLAG_STRING,   /* struct fl_slice */
    CONFIG_FLAG_INT,      /* int64_t */
    CONFIG_FLAG_BOOL,     /* bool */
    CONFIG_FLAG_TRISTATE, /* enum config_tristate */
    CONFIG_FLAG_DURATION, /* int64_t milliseconds */
    CONFIG_FLAG_LIST,     /* struct config_list; commas part it */
    CONFIG_FLAG_PAIRS,    /* struct config_pairs; one KEY=VALUE each time */
};

enum config_flag_group {
    CONFIG_GROUP_COMMAND,
    CONFIG_GROUP_APP,
    CONFIG_GROUP_API,
    CONFIG_GROUP_RESOURCES,
    CONFIG_GROUP_LOG,
    CONFIG_GROUP_LIFE,
    CONFIG_GROUP_PROCESS,
    CONFIG_GROUP_ABSENT,
    CONFIG_GROUP_COUNT,
};

/* What a shell offers as a flag's value when there are no words for it. */
enum config_flag_offer { CONFIG_OFFER_NOTHING, CONFIG_OFFER_FILES, CONFIG_OFFER_FOLDERS };

/* Which forms of the command line take a flag: bits, one for each enum config_command. */
#define CONFIG_TAKES(command) (1u << (command))
#define CONFIG_TAKES_DAPRD (CONFIG_TAKES(CONFIG_SERVE) | CONFIG_TAKES(CONFIG_RUN_PROGRAM))

/* What the command line says, before it means anything. */
struct config_raw_flags {
    struct fl_slice app_id, app_port, app_protocol, app_channel_address, health_path;
    int64_t app_max_concurrency, probe_interval, probe_timeout, threshold;
    bool app_ssl, has_health_check;
    struct config_list disable_init;
    struct fl_slice http_port, grpc_port, listen_addresses, public_port, public_listen_address;
    struct fl_slice unix_domain_socket, allowed_origins, max_body, read_buffer;
    int64_t old_max_body, old_read_buffer, max_connections;
    bool reuse_port;
    struct config_list resources_paths, config_files;
    struct fl_slice components_path, mode, data_dir;
    struct fl_slice log_level, log_file, metrics_port, metrics_listen_address;
    bool log_as_json, enable_metrics;
    enum config_tristate api_logging;
    int64_t graceful_seconds, block_ms, publish_wait_ms, publish_timeout_ms;
    struct fl_slice max_memory;
    bool strict, version, build_info, wait, mtls;
    struct fl_slice pubsub, content_type, event_id, event_type, event_source, group, run_file;
    struct config_pairs metadata;
    bool lines, quiet, kubernetes, names, json;
    int64_t count;
    struct fl_slice ignored_text;
    struct config_list ignored_list;
    int64_t ignored_int, disseminate_ms;
    bool ignored_bool;
};

struct config_flag {
    const char *name;
    enum config_flag_kind kind;
    enum config_flag_group group;
    size_t offset;            /* in struct config_raw_flags */
    const char *default_text; /* NULL: empty, 0 or false */
    const char *deprecated;   /* what stderr says when it is used; NULL: it is not */
    const char *help;
    char letter;              /* its short form in subcommands; 0: none */
    unsigned takes;           /* of CONFIG_TAKES; 0: CONFIG_TAKES_DAPRD */
    const char *run_default;  /* where `fairlead run` has another one */
    const char *tool_default; /* where the other subcommands have another one */
    const char *variable; /* of the environment, read by `fairlead run`; CONFIG_FLAG_STRING only */
    const char *words;    /* what a shell offers as its value, parted by spaces; NULL: nothing */
    enum config_flag_offer offer;
};

enum { CONFIG_FLAGS_MAX = 128 };

extern const struct config_flag config_flags_table[];
extern const size_t config_flags_count; /* at most CONFIG_FLAGS_MAX */

/* A subcommand, or daprd's form. */
struct config_command_info {
    const char *name;     /* NULL: daprd's form */
    const char *synopsis; /* behind the program's name */
    const char *summary;  /* half a sentence for the list of commands */
    const char *text;     /* what its help says before the flags */
};

extern const struct config_command_info config_command_infos[CONFIG_COMMAND_COUNT];

static inline bool config_flag_is_of(const struct config_flag *flag, enum config_command command)
{
    return ((flag->takes ? flag->takes : CONFIG_TAKES_DAPRD) & CONFIG_TAKES(command)) != 0;
}

/* What the flag is when it is not given; NULL: empty, 0 or false. */
const char *config_flag_default(const struct config_flag *flag, enum config_command command);

/* The variable that counts before the default; NULL: none. */
static inline const char *config_flag_variable(const struct config_flag *flag,
                                               enum config_command command)
{
    return command == CONFIG_RUN_PROGRAM ? flag->variable : NULL;
}

/* A boolean stands alone, any other flag has a value behind it. */
static inline bool config_flag_has_value(const struct config_flag *flag)
{
    return flag->kind != CONFIG_FLAG_BOOL && flag->kind != CONFIG_FLAG_TRISTATE;
}

/* The list of commands, for `fairlead help`. */
void config_commands_print(struct fl_buffer *out);

/* --- flags.c: what all steps work on --- */

struct config_parser {
    struct config_flags_result *result;
    enum config_command command;
    struct config_raw_flags raw;
    bool given[CONFIG_FLAGS_MAX];
    bool from_environment[CONFIG_FLAGS_MAX];
};

/* The command line has a mistake: says so as its form does. `hint` is a line of ours for standard
 * error, or empty. */
void config_flags_end(struct config_parser *p, const char *message, const char *hint);

/* --- flags_tokens.c: tokens to raw values --- */

/* False: a mistake, or a question for help, ended it. */
bool config_flags_take_tokens(struct config_parser *p, int argc, char *const *argv);
/* The flag of that name, if the command takes it; else NULL. */
const struct config_flag *config_flags_find(const struct config_parser *p, struct fl_slice name);
/* Copies the parts of `text` behind those of the list. */
void config_flags_append_list(struct fl_arena *arena, struct fl_slice text,
                              struct config_list *list);
/* Copies one KEY=VALUE. FL_ERR_INVALID: it is none. */
enum fl_err config_flags_append_pair(struct fl_arena *arena, struct fl_slice text,
                                     struct config_pairs *pairs) FL_MUST_USE;

/* --- flags_finish.c: raw values to typed ones --- */

void config_flags_finish(struct config_parser *p, const struct config_build *build);

/* --- flags_completion.c --- */

/* False: there is no shell of that name. */
bool config_completion_print(struct fl_slice shell, struct fl_buffer *out);

/* --- flags_form.c: the forms of the command line --- */

/* Which form it is; false when that ended it: help, version, or a command that there is not. */
bool config_form_choose(struct config_parser *p, int argc, char *const *argv,
                        const struct config_build *build);
/* A subcommand's mistake: one line, and where to read on. */
void config_form_end(struct config_parser *p, const char *message, const char *hint);
void config_form_end_with_help(struct config_parser *p);
/* An argument without a dash, of every subcommand but `run`. False when it is one too many, which
 * ends it. */
bool config_form_take_argument(struct config_parser *p, const char *token);
/* Of `run`: the command that it runs. Copied. */
void config_form_keep_program(struct config_parser *p, int count, char *const *argv);
/* What the own flags and arguments of a subcommand but `run` mean together. */
void config_form_finish_tool(struct config_parser *p);

#endif
