/* The command line: daprd's, complete, Fairlead's own flags, and the subcommands, from one table of
 * rows.
 *
 * A first argument that begins with '-', or none at all, is daprd's form; else it names a
 * subcommand: run, publish, peek, check, options, completion, help, version. A program that is
 * called by the name daprd knows daprd's form only.
 *
 * Parsing follows daprd: `--f=v`, `--f v`, a single dash for two, bare booleans, lists that take
 * CSV and repeat, stray positionals ignored. Flags of building blocks that are not here are
 * accepted, collected in `without_effect`, and marked so in the help. Subcommands know short forms
 * (`-p 3000`), refuse what they do not know, and end with fewer words.
 *
 * Ownership: `config_flags_parse` copies what it keeps into the result's arena; free it with
 * `config_flags_fini`. Thread: one at a time, at start.
 */
#ifndef FL_CONFIG_FLAGS_H
#define FL_CONFIG_FLAGS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/log.h"
#include "config/note.h"
#include "config/values.h"

enum config_protocol {
    CONFIG_PROTOCOL_HTTP,
    CONFIG_PROTOCOL_HTTPS,
    CONFIG_PROTOCOL_H2C,
    CONFIG_PROTOCOL_GRPC,
    CONFIG_PROTOCOL_GRPCS,
};

enum config_tristate { CONFIG_UNSET, CONFIG_FALSE, CONFIG_TRUE };

enum config_command {
    CONFIG_SERVE,       /* daprd's form */
    CONFIG_RUN_PROGRAM, /* `fairlead run` */
    CONFIG_PUBLISH,
    CONFIG_PEEK,
    CONFIG_CHECK,
    CONFIG_OPTIONS,
    CONFIG_COMPLETION,
    CONFIG_COMMAND_COUNT,
};

/* What the tools are told beyond the flags of a gateway. */
struct config_tool_flags {
    struct fl_slice pubsub; /* empty: choose */
    struct fl_slice topic;
    struct fl_slice data;         /* null: standard input */
    struct fl_slice content_type; /* empty: judge by the data */
    struct config_pairs metadata; /* of publish: as given, --id, --type and --source included */
    bool by_line, is_quiet;
    struct fl_slice group; /* of peek; empty: none */
    int64_t count;         /* of peek, from 1 */
    struct fl_slice word;  /* of options: a component type; null: list them */
    bool names_only;       /* of options */
    bool as_json;          /* of check */
};

struct config_flags {
    enum config_command command;
    bool is_called_daprd;

    /* The application. */
    struct fl_slice app_id;            /* of check it may be empty: nobody in particular */
    uint16_t app_port;                 /* 0: no application */
    enum config_protocol app_protocol; /* http or https; --app-ssl is already applied */
    struct fl_slice app_channel_address;
    int64_t app_max_concurrency; /* calls at once; <= 0: no limit */
    bool has_app_health_check;
    struct fl_slice app_health_check_path; /* begins with '/' */
    int64_t app_health_probe_interval_ms;
    int64_t app_health_probe_timeout_ms;
    int64_t app_health_threshold;
    bool skips_config_endpoint;    /* --disable-init-endpoints=config */
    bool skips_subscribe_endpoint; /* … =subscribe */

    /* The API. */
    uint16_t http_port;
    uint16_t grpc_port;                  /* not served */
    struct config_list listen_addresses; /* empty: all */
    uint16_t public_port;                /* 0: off */
    struct fl_slice public_listen_address;
    struct fl_slice unix_domain_socket; /* a directory; empty: TCP */
    struct fl_slice allowed_origins;    /* as written: the list is not trimmed; empty: no CORS */
    int64_t max_body_bytes;             /* 0: no limit */
    int64_t read_buffer_bytes;
    bool reuse_port;
    int64_t max_connections;

    /* Resources. */
    struct config_list resources_paths;
    struct config_list config_files;
    struct fl_slice data_dir;   /* an absolute path; null: nothing says where */
    bool has_default_component; /* a subcommand without a resources folder */

    /* Logs and metrics. */
    enum fl_log_level log_level;
    bool log_as_json;
    struct fl_slice log_file; /* empty: standard output */
    enum config_tristate api_logging;
    bool has_metrics;
    uint16_t metrics_port;
    struct fl_slice metrics_listen_address;

    /* Life and bounds. */
    int64_t graceful_shutdown_ms; /* -1: wait for ever (daprd's 0) */
    bool has_block_shutdown;
    int64_t block_shutdown_ms;
    int64_t max_memory_bytes;
    int64_t publish_wait_ms;
    int64_t publish_timeout_ms;
    bool is_strict;

    /* `fairlead run`. */
    char *const *program; /* its command, NULL at the end; NULL: none */
    bool picks_http_port, picks_grpc_port, picks_metrics_port; /* not given: another one may do */

    struct config_tool_flags tool;

    bool
        is_wait_client; /* --wait: poll the other process's health and end; nothing was validated */
};

enum config_outcome {
    CONFIG_RUN,        /* `flags` are complete */
    CONFIG_EXIT,       /* print `out` and `err`, exit with `status`: version, help, bad usage */
    CONFIG_EXIT_FATAL, /* log `fatal` at level fatal, exit with `status` (1) */
};

struct config_flags_result {
    enum config_outcome outcome;
    int status;
    struct fl_buffer out, err; /* for standard output and standard error; `err` may also hold the
                                  messages of deprecated flags when the outcome is CONFIG_RUN */
    const char *fatal;         /* complete, daprd's prefix included */
    struct config_flags flags; /* on CONFIG_EXIT_FATAL the log's fields are still usable */
    struct config_list without_effect; /* names of flags given that do nothing here */
    struct config_notes notes;         /* warnings, such as of --app-ssl */
    struct fl_arena arena;
};

/* What --version and --build-info print. */
struct config_build {
    const char *version;
    const char *commit;
};

/* `argv[0]` is the name that the program is called by, `argv[argc]` is NULL. Reads the current
 * folder and of the environment HOME, XDG_STATE_HOME, and under `run` APP_ID, APP_PORT,
 * DAPR_HTTP_PORT, DAPR_GRPC_PORT and DAPR_METRICS_PORT. The result is initialised here, whatever
 * the outcome. */
void config_flags_parse(int argc, char *const *argv, const struct config_build *build,
                        struct config_flags_result *result);
void config_flags_fini(struct config_flags_result *result);

/* The text of --help: groups, defaults, what has no effect. `name` is the program's. */
void config_flags_print_help(const char *name, struct fl_buffer *out);
/* The text of a subcommand's --help; of CONFIG_SERVE the same as above for "fairlead". */
void config_command_print_help(enum config_command command, struct fl_buffer *out);
/* "run"; "" for daprd's form. */
const char *config_command_name(enum config_command command);
/* All flags, and what differs in subcommands, as a reference page in Markdown. */
void config_flags_print_markdown(struct fl_buffer *out);

/* "http", "https", … as metadata lists it. */
const char *config_protocol_name(enum config_protocol protocol);

#endif
