/* Children; see the header.
 *
 * fork and exec are done here, not by libuv, because the program has to be tied to our life
 * (PR_SET_PDEATHSIG) between the two. This process is a subreaper: a process whose parent ended
 * becomes its child, which is how the whole tree is known, from /proc/self/task/<id>/children.
 * Every ended child is collected at SIGCHLD; when none is left, the program has ended for good.
 *
 *   RUNNING ─► LEFTOVER (told SIGTERM; after leftover_ms SIGKILL) ─► ended
 */
#include "net/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "net/lines.h"
#include "net/loop_priv.h"

enum { LINE_BYTES = 64 * 1024, KILL_ROUNDS = 200, KILL_ROUND_US = 5000, MOST_SIGNALS = 64 };

struct net_child {
    struct net_child_settings settings;
    pid_t pid;
    bool has_ended; /* the program itself */
    bool is_killed; /* nobody is called any more */
    int status;
    uv_signal_t *watch;
    struct net_timer leftover_timer;
    int output_fds[2];
    struct net_lines *outputs[2];
};

/* --- what runs in the new process ------------------------------------------------------------- */

/* Only what is safe after fork; everything was prepared before. */
struct launch {
    char *const *argv;
    char **environment;
    int output_fds[2];
    int report_fd; /* takes errno if the program cannot be started */
    pid_t parent;
    size_t most_descriptors;
};

/* Handlers of this process must not run in the new one, and what this process ignores for itself
 * is not the program's choice. */
static void reset_signals(void)
{
    struct sigaction action;
    sigset_t none;
    for (int number = 1; number <= MOST_SIGNALS; number++) {
        if (sigaction(number, NULL, &action) != 0)
            continue;
        if (action.sa_handler != SIG_IGN || number == SIGPIPE) {
            action.sa_handler = SIG_DFL;
            action.sa_flags = 0;
            sigaction(number, &action, NULL);
        }
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void restore_limit(size_t most_descriptors)
{
    struct rlimit limit;
    if (most_descriptors && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = most_descriptors;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

_Noreturn static void become(const struct launch *launch)
{
    reset_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->parent)
        _exit(1); /* The parent was gone before it could be watched. */
    restore_limit(launch->most_descriptors);
    if (dup2(launch->output_fds[0], STDOUT_FILENO) >= 0 &&
        dup2(launch->output_fds[1], STDERR_FILENO) >= 0)
        execvpe(launch->argv[0], launch->argv, launch->environment);
    int failed = errno;
    ssize_t ignored = write(launch->report_fd, &failed, sizeof failed);
    (void)ignored;
    _exit(127);
}

/* --- starting --------------------------------------------------------------------------------- */

extern char **environ;

static bool is_replaced(const struct net_child_settings *settings, const char *entry)
{
    for (size_t i = 0; i < settings->variable_count; i++) {
        size_t len = strlen(settings->variables[i].name);
        if (strncmp(entry, settings->variables[i].name, len) == 0 && entry[len] == '=')
            return true;
    }
    return false;
}

/* Ours, with the variables in place of those of the same name; in one arena. */
static char **make_environment(const struct net_child_settings *settings, struct fl_arena *arena)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **entries = FL_ARENA_ARRAY(arena, char *, count + settings->variable_count + 1);
    for (size_t i = 0; i < count; i++)
        if (!is_replaced(settings, environ[i]))
            entries[kept++] = environ[i];
    for (size_t i = 0; i < settings->variable_count; i++)
        entries[kept++] = fl_arena_printf(arena, "%s=%s", settings->variables[i].name,
                                          settings->variables[i].value);
    return entries;
}

struct pipes {
    int ends[3][2]; /* output, error, report; -1: closed */
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static enum fl_err open_pipes(struct pipes *pipes, struct fl_error *error)
{
    memset(pipes, 0xff, sizeof *pipes);
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes->ends[i], O_CLOEXEC) != 0)
            return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot make a pipe: %s",
                                strerror(errno));
    return FL_OK;
}

static void close_pipes(struct pipes *pipes)
{
    for (int i = 0; i < 3; i++) {
        close_end(&pipes->ends[i][0]);
        close_end(&pipes->ends[i][1]);
    }
}

/* Signals are held back around fork, so that none meets a handler of ours in the new process. */
static pid_t fork_held(const struct launch *launch)
{
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    pid_t pid = fork();
    int failed = errno;
    if (pid == 0)
        become(launch);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    errno = failed;
    return pid;
}

static enum fl_err refuse(const char *program, int failed, struct fl_error *error)
{
    return fl_error_set(error, failed == ENOENT ? FL_ERR_NOT_FOUND : FL_ERR_SYSTEM, FL_CLASS_FATAL,
                        "cannot start %s: %s", program, strerror(failed));
}

/* Returns when the program was started, or could not be. */
static enum fl_err launch_program(const struct net_child_settings *settings, struct pipes *pipes,
                                  pid_t *pid, struct fl_error *error)
{
    struct fl_arena arena = {0};
    struct launch launch = {.argv = settings->argv,
                            .environment = make_environment(settings, &arena),
                            .output_fds = {pipes->ends[0][1], pipes->ends[1][1]},
                            .report_fd = pipes->ends[2][1],
                            .parent = getpid(),
                            .most_descriptors = settings->most_descriptors};
    int failed = 0;
    pid_t child = fork_held(&launch);
    if (child < 0)
        failed = errno;
    for (int i = 0; i < 3; i++)
        close_end(&pipes->ends[i][1]);
    if (child > 0 && read(pipes->ends[2][0], &failed, sizeof failed) != sizeof failed)
        failed = 0; /* The pipe was closed by exec. */
    fl_arena_fini(&arena);
    if (failed && child > 0)
        waitpid(child, NULL, 0);
    if (failed)
        return refuse(settings->argv[0], failed, error);
    *pid = child;
    return FL_OK;
}

/* --- its output ------------------------------------------------------------------------------- */

static void give_line(struct net_child *child, struct fl_slice line, bool is_cut, bool is_error)
{
    if (!child->is_killed)
        child->settings.on_line(child->settings.context, line, is_cut, is_error);
}

static void on_output_line(void *context, struct fl_slice line, bool is_cut)
{
    give_line(context, line, is_cut, false);
}

static void on_error_line(void *context, struct fl_slice line, bool is_cut)
{
    give_line(context, line, is_cut, true);
}

static void on_output_end(void *context, const char *reason)
{
    (void)context;
    (void)reason;
}

static enum fl_err watch_output(struct net_child *child, int which, struct fl_error *error)
{
    struct net_lines_settings settings = {.loop = child->settings.loop,
                                          .fd = child->output_fds[which],
                                          .most_bytes = LINE_BYTES,
                                          .on_line = which ? on_error_line : on_output_line,
                                          .on_end = on_output_end,
                                          .context = child};
    return net_lines_new(&settings, &child->outputs[which], error);
}

/* --- the tree below us ------------------------------------------------------------------------ */

/* Sends the signal to every child that we have now, and returns how many there are. */
static int signal_children(int number)
{
    char path[64];
    int count = 0, pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (fscanf(file, "%d", &pid) == 1) {
        kill(pid, number);
        count++;
    }
    fclose(file);
    return count;
}

/* Collects what has ended; false when no child is left at all. */
static bool collect(struct net_child *child)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == child->pid) {
            child->has_ended = true;
            child->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
        if (pid == 0)
            return true;
        if (pid < 0 && errno != EINTR)
            return false;
    }
}

static void on_leftover_over(struct net_timer *timer)
{
    struct net_child *child = FL_CONTAINER(timer, struct net_child, leftover_timer);
    signal_children(SIGKILL);
    /* What a killed process leaves becomes ours, and is killed in the next round. */
    net_timer_start(child->settings.loop, timer, net_loop_now_ms(child->settings.loop) + 50);
}

static void finish(struct net_child *child)
{
    net_timer_stop(child->settings.loop, &child->leftover_timer);
    for (int i = 0; i < 2; i++)
        net_lines_finish(child->outputs[i]);
    child->settings.on_end(child->settings.context, child->status);
}

static void on_child_signal(uv_signal_t *watch, int number)
{
    struct net_child *child = watch->data;
    bool had_ended = child->has_ended;
    (void)number;
    if (child->is_killed)
        return;
    if (!collect(child)) {
        uv_signal_stop(watch);
        finish(child);
        return;
    }
    if (!child->has_ended || had_ended)
        return;
    signal_children(SIGTERM);
    if (child->settings.leftover_ms >= 0)
        net_timer_start(child->settings.loop, &child->leftover_timer,
                        net_loop_now_ms(child->settings.loop) + child->settings.leftover_ms);
}

/* --- life ------------------------------------------------------------------------------------- */

static enum fl_err watch_end(struct net_child *child, struct fl_error *error)
{
    uv_signal_t *watch = fl_zalloc(sizeof *watch);
    int failed = uv_signal_init(net_loop_uv(child->settings.loop), watch);
    if (failed) {
        fl_free(watch);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot watch a program: %s",
                            uv_strerror(failed));
    }
    watch->data = child;
    child->watch = watch;
    failed = uv_signal_start(watch, on_child_signal, SIGCHLD);
    if (failed)
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot watch a program: %s",
                            uv_strerror(failed));
    return FL_OK;
}

enum fl_err net_child_start(const struct net_child_settings *settings, struct net_child **out,
                            struct fl_error *error)
{
    struct net_child *child = fl_zalloc(sizeof *child);
    struct pipes pipes;
    child->settings = *settings;
    child->leftover_timer.expired = on_leftover_over;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    enum fl_err err = open_pipes(&pipes, error);
    for (int i = 0; i < 2; i++)
        child->output_fds[i] = pipes.ends[i][0];
    for (int i = 0; i < 2 && !err; i++)
        err = watch_output(child, i, error);
    if (!err)
        err = watch_end(child, error);
    if (!err)
        err = launch_program(settings, &pipes, &child->pid, error);
    pipes.ends[0][0] = pipes.ends[1][0] = -1; /* the child's own from here on */
    close_pipes(&pipes);
    if (err)
        net_child_free(&child);
    else
        *out = child;
    return err;
}

pid_t net_child_pid(const struct net_child *child)
{
    return child->pid;
}

void net_child_signal(struct net_child *child, int signal_number)
{
    if (child->has_ended)
        signal_children(signal_number);
    else
        kill(child->pid, signal_number);
}

void net_child_kill(struct net_child *child)
{
    child->is_killed = true;
    for (int i = 0; i < KILL_ROUNDS && collect(child); i++) {
        if (signal_children(SIGKILL) == 0 && !child->has_ended)
            kill(child->pid, SIGKILL);
        usleep(KILL_ROUND_US);
    }
}

static void free_watch(uv_handle_t *handle)
{
    fl_free(handle);
}

void net_child_free(struct net_child **pointer)
{
    struct net_child *child = *pointer;
    if (!child)
        return;
    *pointer = NULL;
    if (child->pid > 0)
        net_child_kill(child);
    net_timer_stop(child->settings.loop, &child->leftover_timer);
    if (child->watch)
        uv_close((uv_handle_t *)child->watch, free_watch);
    for (int i = 0; i < 2; i++) {
        net_lines_free(&child->outputs[i]);
        close_end(&child->output_fds[i]);
    }
    fl_free(child);
}
