/* A program that runs beside this process: started, watched, and never left behind.
 *
 * Its standard input is ours. Its standard output and error come back line by line. It stays in our
 * process group, so a terminal's Ctrl-C reaches it too. If this process is killed the kernel kills
 * the program; what the program started and left becomes our child, is told to end when the program
 * has ended, and is killed if it does not.
 *
 * At most one at a time in a process, since every child that ends is collected. Thread: the
 * loop's, which must be the process's first one.
 */
#ifndef NET_CHILD_H
#define NET_CHILD_H

#include <sys/types.h>

#include "base/slice.h"
#include "net/loop.h"

struct net_child;

struct net_child_variable {
    const char *name, *value;
};

/* One line of the program's output (`is_error`: of its standard error), or a piece of one (see
 * net/lines.h). Borrowed for the call. */
typedef void net_child_line_fn(void *context, struct fl_slice line, bool is_cut, bool is_error);

/* The program and all that it started are gone; `status` is the program's exit status, or 128 and
 * the number of the signal that killed it. The child may be freed from inside. */
typedef void net_child_end_fn(void *context, int status);

struct net_child_settings {
    struct net_loop *loop;
    char *const *argv; /* NULL at the end; looked for along PATH; borrowed for the call */
    const struct net_child_variable *variables; /* added to the environment; borrowed */
    size_t variable_count;
    size_t most_descriptors; /* its soft limit of open files; 0: ours */
    int64_t leftover_ms;     /* how long what it left may take to end; negative: for ever */
    net_child_line_fn *on_line;
    net_child_end_fn *on_end;
    void *context;
};

/* FL_ERR_NOT_FOUND: there is no such program. FL_ERR_SYSTEM: it cannot be started; the text says
 * why. */
enum fl_err net_child_start(const struct net_child_settings *settings, struct net_child **child,
                            struct fl_error *error) FL_MUST_USE;

pid_t net_child_pid(const struct net_child *child);

/* To the program itself; after its end to all that it left. */
void net_child_signal(struct net_child *child, int signal_number);

/* The program and all that it started, at once; returns when they are gone, or after a second. No
 * callback follows. */
void net_child_kill(struct net_child *child);

/* Whatever still runs is killed. Sets the pointer to NULL; NULL inside is accepted. */
void net_child_free(struct net_child **child);

#endif
