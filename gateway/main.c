/* The command: reads the command line, opens the log, runs the gateway or a subcommand. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "config/flags.h"
#include "gateway/cli.h"
#include "gateway/cli_check.h"
#include "gateway/cli_options.h"
#include "gateway/cli_peek.h"
#include "gateway/cli_publish.h"
#include "gateway/cli_run.h"
#include "gateway/gateway.h"
#include "gateway/version.h"
#include "gateway/wait_client.h"

/* Large blocks (bodies, events) come from the kernel one by one and go back when they are freed.
 * glibc would raise the threshold to the first such block that is freed; from then on they leave
 * holes of megabytes in the heap, which nobody counts against --max-memory. */
static void keep_large_blocks_apart(void)
{
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
}

/* A descriptor that the parent closed would be given to the next file or socket, which would then
 * get what is meant for a terminal. */
static void keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            _exit(1);
}

static bool is_tool(const struct config_flags *flags)
{
    return flags->command != CONFIG_SERVE && flags->command != CONFIG_RUN_PROGRAM;
}

/* Standard output of a tool is for what it prints. */
static bool open_log(struct fl_log *log, const struct config_flags *flags)
{
    log->level = flags->log_level;
    log->is_json = flags->log_as_json;
    log->fd = is_tool(flags) ? STDERR_FILENO : STDOUT_FILENO;
    snprintf(log->app_id, sizeof log->app_id, "%.*s", FL_SLICE_ARG(flags->app_id));
    if (flags->log_file.len == 0)
        return true;
    int fd = open(flags->log_file.data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        FL_FATAL(log, "dapr.runtime", "failed to open log file \"%.*s\": %s",
                 FL_SLICE_ARG(flags->log_file), strerror(errno));
        return false;
    }
    log->fd = fd;
    return true;
}

static void tell_fatal(struct fl_log *log, const struct config_flags_result *result)
{
    static const char prefix[] = "Fatal error from runtime: ";
    const char *text = result->fatal;
    if (is_tool(&result->flags))
        gw_cli_say(result->flags.command, "%s",
                   strncmp(text, prefix, sizeof prefix - 1) ? text : text + sizeof prefix - 1);
    else if (open_log(log, &result->flags))
        FL_FATAL(log, "dapr.runtime", "%s", text);
}

static int serve(const struct config_flags *flags, const struct config_list *without_effect,
                 struct fl_log *log)
{
    static const struct gateway_use nothing_else = {0};
    int status;
    do
        status = gateway_run(flags, without_effect, &nothing_else, log);
    while (status == GATEWAY_RESTART);
    return status;
}

static int run_command(const struct config_flags_result *result, struct fl_log *log)
{
    const struct config_flags *flags = &result->flags;
    if (flags->is_wait_client)
        return gw_wait_client(flags->http_port);
    if (flags->command == CONFIG_CHECK)
        return gw_cli_check(flags);
    if (flags->command == CONFIG_OPTIONS)
        return gw_cli_options(flags);
    if (!open_log(log, flags))
        return 1;
    config_notes_write(&result->notes, log);
    switch (flags->command) {
    case CONFIG_RUN_PROGRAM:
        return gw_cli_run(flags, &result->without_effect, log);
    case CONFIG_PUBLISH:
        return gw_cli_publish(flags, &result->without_effect, log);
    case CONFIG_PEEK:
        return gw_cli_peek(flags, &result->without_effect, log);
    case CONFIG_SERVE:
    case CONFIG_CHECK:
    case CONFIG_OPTIONS:
    case CONFIG_COMPLETION:
    case CONFIG_COMMAND_COUNT:
        break;
    }
    return serve(flags, &result->without_effect, log);
}

int main(int argc, char **argv)
{
    struct config_build build = {FL_VERSION, gw_commit()};
    struct config_flags_result result;
    struct fl_log log;
    keep_standard_descriptors();
    keep_large_blocks_apart();
    fl_log_init(&log, FL_VERSION);
    config_flags_parse(argc, argv, &build, &result);
    gw_cli_write(STDOUT_FILENO, fl_buffer_slice(&result.out));
    gw_cli_write(STDERR_FILENO, fl_buffer_slice(&result.err));
    int status = result.status;
    if (result.outcome == CONFIG_EXIT_FATAL)
        tell_fatal(&log, &result);
    else if (result.outcome == CONFIG_RUN)
        status = run_command(&result, &log);
    config_flags_fini(&result);
    return status;
}
