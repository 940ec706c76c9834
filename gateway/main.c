/* The command: reads the command line, opens the log, runs the gateway. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "config/flags.h"
#include "gateway/gateway.h"
#include "gateway/version.h"
#include "gateway/wait_client.h"

static void write_all(int fd, struct fl_slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.data, text.len);
        if (n <= 0)
            return;
        text = fl_slice_of(text.data + n, text.len - (size_t)n);
    }
}

/* Large blocks (bodies, events) come from the kernel one by one and go back when they are freed.
 * glibc would raise the threshold to the first such block that is freed; from then on they leave
 * holes of megabytes in the heap, which nobody counts against --max-memory. */
static void keep_large_blocks_apart(void)
{
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
}

static bool open_log(struct fl_log *log, const struct config_flags *flags)
{
    log->level = flags->log_level;
    log->is_json = flags->log_as_json;
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

int main(int argc, char **argv)
{
    struct config_build build = {FL_VERSION, gw_commit()};
    struct config_flags_result result;
    struct fl_log log;
    keep_large_blocks_apart();
    fl_log_init(&log, FL_VERSION);
    config_flags_parse(argc, argv, &build, &result);
    write_all(STDOUT_FILENO, fl_buffer_slice(&result.out));
    write_all(STDERR_FILENO, fl_buffer_slice(&result.err));
    int status = result.status;
    if (result.outcome == CONFIG_EXIT_FATAL) {
        if (open_log(&log, &result.flags))
            FL_FATAL(&log, "dapr.runtime", "%s", result.fatal);
    } else if (result.outcome == CONFIG_RUN && result.flags.is_wait_client) {
        status = gw_wait_client(result.flags.http_port);
    } else if (result.outcome == CONFIG_RUN) {
        status = 1;
        if (open_log(&log, &result.flags)) {
            config_notes_write(&result.notes, &log);
            do
                status = gateway_run(&result.flags, &result.without_effect, &log);
            while (status == GATEWAY_RESTART);
        }
    }
    config_flags_fini(&result);
    return status;
}
