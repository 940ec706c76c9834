/* Reads a descriptor line by line on the loop: a pipe, a terminal, a socket or a file.
 *
 * The descriptor is read only when it has something, and keeps its blocking mode, since it may be
 * shared with other processes (a terminal is). A line longer than the bound comes in pieces. What
 * stands behind the last line end is a line too.
 *
 * Thread: the loop's.
 */
#ifndef NET_LINES_H
#define NET_LINES_H

#include "base/slice.h"
#include "net/loop.h"

struct net_lines;

/* `line` has no line end (LF) and is borrowed for the call. `is_cut`: it is a piece, and more of
 * the same line follows. The reader may be paused, but not freed, from inside. */
typedef void net_line_fn(void *context, struct fl_slice line, bool is_cut);

/* Nothing follows; `reason` is NULL at the end of the input, else what reading failed with. The
 * reader may be freed from inside. */
typedef void net_lines_end_fn(void *context, const char *reason);

struct net_lines_settings {
    struct net_loop *loop;
    int fd;            /* borrowed, until the reader is freed; nobody else reads it */
    size_t most_bytes; /* of a line */
    net_line_fn *on_line;
    net_lines_end_fn *on_end;
    void *context;
};

enum fl_err net_lines_new(const struct net_lines_settings *settings, struct net_lines **lines,
                          struct fl_error *error) FL_MUST_USE;

/* A paused reader calls nothing; what it has read already comes after resuming. */
void net_lines_pause(struct net_lines *lines);
void net_lines_resume(struct net_lines *lines);

/* Hands over now what can be read without waiting, and then what stands behind the last line end,
 * for an input whose writers are known to be gone. `on_end` is not called any more. */
void net_lines_finish(struct net_lines *lines);

/* Sets the pointer to NULL; NULL inside is accepted. */
void net_lines_free(struct net_lines **lines);

#endif
