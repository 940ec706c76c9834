/* Writes the references that are made from the program's own tables, so that they cannot disagree
 * with it: the flags, the metrics, each connector's options, and the manual page.
 *
 * usage: docs FOLDER    writes FOLDER/flags.md, metrics.md, options/TYPE.md and fairlead.1
 *
 * `make docs` writes into docs/; `make check-fast` writes into the build folder and compares.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/version.h"
#include "config/flags.h"
#include "config/secrets.h"
#include "connectors/memory/memory.h"
#include "gateway/manual.h"
#include "gateway/metrics.h"

static const char generated[] = "Printed by `make docs` from the program's own tables.\n\n";

static bool write_file(const char *folder, const char *name, struct fl_buffer *text)
{
    struct fl_buffer path = {0};
    fl_buffer_printf(&path, "%s/%s", folder, name);
    FILE *file = fopen(fl_buffer_cstr(&path), "w");
    bool is_written = file && fwrite(text->data, 1, text->len, file) == text->len;
    if (file && fclose(file) != 0)
        is_written = false;
    if (!is_written)
        fprintf(stderr, "docs: cannot write %s: %s\n", fl_buffer_cstr(&path), strerror(errno));
    fl_buffer_fini(&path);
    fl_buffer_fini(text);
    return is_written;
}

/* --- references in Markdown --- */

static bool write_flags(const char *folder)
{
    struct fl_buffer out = {0};
    fl_buffer_printf(&out, "# Flags\n\n%s", generated);
    fl_buffer_append_str(
        &out, "`--flag=value` and `--flag value`; a boolean without a value is true; a list takes "
              "commas and may be repeated.\nSizes are Kubernetes quantities (`4Mi`, `16M`), "
              "durations are Go's (`500ms`, `1m30s`).\n\n");
    config_flags_print_markdown(&out);
    return write_file(folder, "flags.md", &out);
}

static bool write_metrics(const char *folder)
{
    struct fl_buffer out = {0};
    gw_metrics_print_markdown(&out);
    fl_buffer_printf(&out, "\n%s", generated);
    out.len--; /* one line end is enough at the end */
    return write_file(folder, "metrics.md", &out);
}

static void print_section(const struct gw_manual_section *section, struct fl_buffer *out)
{
    fl_buffer_printf(out, "\n## %s\n\n", section->title);
    if (section->rows)
        config_options_print_markdown(section->rows, out);
    if (section->line_count)
        fl_buffer_append_str(out, "| key | meaning |\n|---|---|\n");
    for (size_t i = 0; i < section->line_count; i++)
        fl_buffer_printf(out, "| `%s` | %s |\n", section->lines[i].name, section->lines[i].help);
    if (section->closing)
        fl_buffer_printf(out, "\n%s\n", section->closing);
}

static bool write_options(const char *folder, const char *name, const struct connector_type *type)
{
    struct fl_buffer out = {0}, file = {0};
    struct gw_manual manual;
    fl_buffer_printf(&out, "# %s\n\n%s\n\n%s", name, type->summary, generated);
    out.len--; /* each table begins with an empty line */
    if (type->operations) {
        fl_buffer_append_str(&out, "\nOperations: ");
        gw_manual_operations(type, &out);
        fl_buffer_append_str(&out, "\n");
    }
    gw_manual_make(name, type, &manual);
    for (size_t i = 0; i < manual.section_count; i++)
        print_section(&manual.sections[i], &out);
    fl_buffer_printf(&file, "options/%s.md", name);
    bool is_written = write_file(folder, fl_buffer_cstr(&file), &out);
    fl_buffer_fini(&file);
    return is_written;
}

/* All of this tree's, as the Makefile names them: CONNECTOR(sqlite) CONNECTOR(http) … */
#define CONNECTOR(system) extern const struct connector_type cn_##system##_type;
CONNECTORS
#undef CONNECTOR

#define CONNECTOR(system) &cn_##system##_type,
static const struct connector_type *const connectors[] = {&cn_memory_type, CONNECTORS};
#undef CONNECTOR

static bool write_all_options(const char *folder)
{
    bool is_written = true;
    for (size_t i = 0; i < sizeof connectors / sizeof *connectors; i++)
        for (const struct connector_type *type = connectors[i]; type; type = type->next)
            for (const char *const *name = type->component_types; *name; name++)
                is_written = write_options(folder, *name, type) && is_written;
    for (const struct config_secret_store_type *store = config_secret_store_types; store->type;
         store++) {
        const struct connector_type type = {.summary = store->summary,
                                            .component_options = store->options};
        is_written = write_options(folder, store->type, &type) && is_written;
    }
    return is_written;
}

/* --- the manual page --- */

/* Text as roff takes it: a dash that is to be copied, a backslash, no request by accident. */
static void print_roff(struct fl_slice text, struct fl_buffer *out)
{
    if (text.len && (text.data[0] == '.' || text.data[0] == '\''))
        fl_buffer_append_str(out, "\\&");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\')
            fl_buffer_append_str(out, "\\e");
        else if (text.data[i] == '-')
            fl_buffer_append_str(out, "\\-");
        else
            fl_buffer_append_byte(out, text.data[i]);
    }
    fl_buffer_append_byte(out, '\n');
}

/* One line of the help: a group's title, a flag, or what it means. */
static void print_help_line(struct fl_slice line, struct fl_buffer *out)
{
    struct fl_slice text = fl_slice_trim(line);
    if (text.len == 0)
        return;
    if (line.data[0] != ' ')
        fl_buffer_append_str(out, ".SS ");
    else if (fl_slice_starts_with(line, FL_SLICE_LIT("  -")))
        fl_buffer_append_str(out, ".TP\n.B ");
    if (line.data[0] != ' ' && text.data[text.len - 1] == ':')
        text.len--;
    print_roff(text, out);
}

static struct fl_slice next_line(struct fl_slice *rest)
{
    size_t end = fl_slice_find_byte(*rest, '\n');
    struct fl_slice line = fl_slice_of(rest->data, end);
    size_t used = end < rest->len ? end + 1 : end;
    *rest = fl_slice_of(rest->data + used, rest->len - used);
    return line;
}

/* The first paragraph of the help is the usage, which the synopsis says already. */
static void print_flags_roff(struct fl_buffer *out)
{
    struct fl_buffer help = {0};
    config_flags_print_help("fairlead", &help);
    struct fl_slice rest = fl_buffer_slice(&help);
    bool is_past_usage = false;
    while (rest.len) {
        struct fl_slice line = next_line(&rest);
        is_past_usage = is_past_usage || line.len == 0;
        if (is_past_usage)
            print_help_line(line, out);
    }
    fl_buffer_fini(&help);
}

/* Of a subcommand's help: its usage as the title, its text, and the flags of its own, which come
 * first and are followed by those of the gateway. */
static void print_command_roff(enum config_command command, struct fl_buffer *out)
{
    struct fl_buffer help = {0};
    config_command_print_help(command, &help);
    struct fl_slice rest = fl_buffer_slice(&help);
    (void)next_line(&rest); /* "Usage:" */
    fl_buffer_append_str(out, ".SS ");
    print_roff(fl_slice_trim(next_line(&rest)), out);
    fl_buffer_append_str(out, ".nf\n");
    (void)next_line(&rest);
    for (struct fl_slice line; (line = next_line(&rest)).len;)
        print_roff(line, out);
    fl_buffer_append_str(out, ".fi\n");
    bool has_own = command != CONFIG_RUN_PROGRAM;
    if (has_own)
        (void)next_line(&rest); /* the group's title */
    for (struct fl_slice line; has_own && (line = next_line(&rest)).len;)
        print_help_line(line, out);
    fl_buffer_fini(&help);
}

static const char man_head[] =
    ".SH NAME\n"
    "fairlead \\- pub/sub and bindings gateway for HTTP applications\n"
    ".SH SYNOPSIS\n"
    ".B fairlead\n"
    "\\-\\-app\\-id=ID [\\-\\-app\\-port=PORT] [\\-\\-resources\\-path=FOLDER] "
    "[\\-\\-FLAG[=VALUE] ...]\n.br\n"
    ".B fairlead run\n[FLAGS] [\\-\\-] [COMMAND [ARGUMENT ...]]\n.br\n"
    ".B fairlead publish\n[FLAGS] TOPIC [DATA | \\-]\n.br\n"
    ".B fairlead peek\n[FLAGS] TOPIC\n.br\n"
    ".B fairlead check\n[FLAGS] [FOLDER ...]\n.br\n"
    ".B fairlead options\n[FLAGS] [TYPE]\n.br\n"
    ".B fairlead completion\nbash | zsh | fish\n.br\n"
    ".B fairlead help\n[COMMAND]\n.br\n"
    ".B fairlead version\n"
    ".SH DESCRIPTION\n"
    "Over plain HTTP applications publish and receive CloudEvents, call output bindings, and are\n"
    "called by input bindings; connectors speak to the systems. It takes the place of Dapr's\n"
    "sidecar for pub/sub and bindings: the same flags, resource files, endpoints and envelope.\n"
    "Under the name daprd it has daprd's command line and no other, and is taken by the command\n"
    "line of Dapr as its runtime.\n"
    ".PP\n"
    "It reads resource files once at start, listens, waits for the application's port, asks the\n"
    "application what it subscribes (GET /dapr/subscribe) and which bindings it wants (OPTIONS), "
    "and\n"
    "then serves until it is told to stop. SIGHUP reads the files anew, SIGUSR1 writes the state "
    "of\n"
    "everything to the log. The subcommands start it with an application beside it, or open its\n"
    "components for a moment.\n"
    ".SH COMMANDS\n";

static const char man_tail[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B DAPR_API_TOKEN\n"
    "Token that callers of the API send in the header dapr\\-api\\-token; not set: none needed.\n"
    ".TP\n.B APP_API_TOKEN\n"
    "Token that calls of the application carry in the header dapr\\-api\\-token.\n"
    ".TP\n.BR NAMESPACE \", \" POD_NAME\n"
    "What the tags {namespace} and {podName} in component values stand for; NAMESPACE also labels\n"
    "metrics.\n"
    ".TP\n.BR XDG_STATE_HOME \", \" HOME\n"
    "Where files of connectors are kept unless \\-\\-data\\-dir says so.\n"
    ".TP\n.BR APP_ID \", \" APP_PORT \", \" DAPR_HTTP_PORT \", \" DAPR_GRPC_PORT \", \" "
    "DAPR_METRICS_PORT\n"
    "Of fairlead run what the flags of these names are when they are not given. A port that is\n"
    "taken is replaced by another one.\n"
    ".TP\n.B DAPR_ENV_KEYS\n"
    "Space\\-separated names of variables that envRef in resource files may read; not set: any.\n"
    ".SH SIGNALS\n"
    ".TP\n.BR SIGTERM \", \" SIGINT\n"
    "Stop in order: no new work, what is in flight ends within\n"
    "\\-\\-dapr\\-graceful\\-shutdown\\-seconds. A second one ends the process at once.\n"
    ".TP\n.B SIGHUP\n"
    "Stop in order and start again in the same process, with all files read anew; of fairlead "
    "run,\n"
    "stop.\n"
    ".TP\n.B SIGUSR1\n"
    "Write the state of components, subscriptions, bindings, circuit breakers and bounds to the\n"
    "log.\n"
    ".SH EXIT STATUS\n"
    "0 after an orderly stop; 1 after a failure, or when the grace period ran out; 2 for a bad\n"
    "command line. Subcommands say theirs above; fairlead run has its command's.\n";

static bool write_man(const char *folder)
{
    struct fl_buffer out = {0};
    fl_buffer_append_str(&out, ".\\\" Printed by `make docs`.\n"
                               ".TH FAIRLEAD 1 \"\" \"Fairlead " FL_VERSION "\"\n");
    fl_buffer_append_str(&out, man_head);
    for (int i = CONFIG_SERVE + 1; i < CONFIG_COMMAND_COUNT; i++)
        print_command_roff((enum config_command)i, &out);
    fl_buffer_append_str(&out, ".SH OPTIONS\n");
    print_flags_roff(&out);
    fl_buffer_append_str(&out, man_tail);
    return write_file(folder, "fairlead.1", &out);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    struct fl_buffer options = {0};
    fl_buffer_printf(&options, "%s/options", argv[1]);
    mkdir(argv[1], 0777);
    mkdir(fl_buffer_cstr(&options), 0777);
    fl_buffer_fini(&options);
    bool is_written = write_flags(argv[1]);
    is_written = write_metrics(argv[1]) && is_written;
    is_written = write_all_options(argv[1]) && is_written;
    is_written = write_man(argv[1]) && is_written;
    return is_written ? 0 : 1;
}
