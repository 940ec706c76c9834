/* Lines of a descriptor; see the header.
 *
 * libuv makes every descriptor that it polls non-blocking, which would change a terminal under the
 * shell's feet. So an epoll set of our own stands in between: it holds the descriptor, and libuv
 * polls the set. One read per event cannot block then. A file is refused by epoll and is always
 * ready, so it is read by a deferred task, one piece a round.
 */
#include "net/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "net/loop_priv.h"

enum { PIECE_BYTES = 64 * 1024, MOST_PIECES_AT_END = 256 };

struct net_lines {
    struct net_lines_settings settings;
    uv_poll_t *poll; /* NULL: a file */
    int epoll_fd;
    struct net_task task; /* reads a file; hands over what a resumed reader holds */
    struct fl_buffer buffer;
    size_t given_bytes;  /* of the buffer, handed over already */
    size_t looked_bytes; /* behind those, without a line end */
    bool is_paused, is_polling;
    bool has_ended;     /* nothing more can be read */
    bool is_told;       /* and on_end was called */
    const char *reason; /* why it ended */
};

static struct fl_slice held(const struct net_lines *lines)
{
    return fl_slice_of(lines->buffer.data + lines->given_bytes,
                       lines->buffer.len - lines->given_bytes);
}

/* The first `len` bytes of what is held, and `more` that are not part of the line. */
static void emit(struct net_lines *lines, size_t len, size_t more, bool is_cut)
{
    struct fl_slice line = fl_slice_of(lines->buffer.data + lines->given_bytes, len);
    lines->given_bytes += len + more;
    lines->looked_bytes = 0;
    lines->settings.on_line(lines->settings.context, line, is_cut);
}

/* Hands over the lines that are whole, until somebody pauses. */
static void emit_whole(struct net_lines *lines)
{
    size_t most = lines->settings.most_bytes;
    while (!lines->is_paused) {
        struct fl_slice rest = held(lines);
        size_t looked = lines->looked_bytes;
        size_t at =
            looked + fl_slice_find_byte(fl_slice_of(rest.data + looked, rest.len - looked), '\n');
        if (at > most)
            emit(lines, most, 0, true);
        else if (at < rest.len)
            emit(lines, at, 1, false);
        else {
            lines->looked_bytes = at;
            return;
        }
    }
}

static void emit_rest(struct net_lines *lines)
{
    if (held(lines).len && !lines->is_paused)
        emit(lines, held(lines).len, 0, false);
}

/* The last callback; the reader may be gone afterwards. */
static void emit_end(struct net_lines *lines)
{
    emit_rest(lines);
    if (lines->is_paused || lines->is_told)
        return;
    lines->is_told = true;
    lines->settings.on_end(lines->settings.context, lines->reason);
}

static void set_polling(struct net_lines *lines, bool on);

/* One piece. False: nothing more will come. */
static bool read_piece(struct net_lines *lines)
{
    fl_buffer_consume(&lines->buffer, lines->given_bytes);
    lines->given_bytes = 0;
    fl_buffer_reserve(&lines->buffer, PIECE_BYTES);
    ssize_t got = read(lines->settings.fd, lines->buffer.data + lines->buffer.len, PIECE_BYTES);
    if (got > 0)
        lines->buffer.len += (size_t)got;
    if (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)))
        return true;
    lines->reason = got < 0 ? strerror(errno) : NULL;
    lines->has_ended = true;
    set_polling(lines, false);
    return false;
}

static void serve(struct net_lines *lines)
{
    if (!lines->has_ended)
        (void)read_piece(lines);
    emit_whole(lines);
    if (lines->has_ended)
        emit_end(lines);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct net_lines *lines = poll->data;
    (void)status;
    (void)events;
    net_loop_mark_turn(lines->settings.loop);
    serve(lines);
}

static void set_polling(struct net_lines *lines, bool on)
{
    if (!lines->poll || on == lines->is_polling)
        return;
    lines->is_polling = on;
    if (on)
        uv_poll_start(lines->poll, UV_READABLE, on_readable);
    else
        uv_poll_stop(lines->poll);
}

static void on_task(struct net_task *task)
{
    struct net_lines *lines = FL_CONTAINER(task, struct net_lines, task);
    if (lines->is_paused)
        return;
    if (lines->poll && !lines->has_ended) {
        emit_whole(lines);
        return;
    }
    if (!lines->has_ended)
        net_loop_defer(lines->settings.loop, &lines->task);
    serve(lines);
}

/* FL_ERR_UNSUPPORTED: epoll does not take it, it is a file. */
static enum fl_err start_polling(struct net_lines *lines, struct fl_error *error)
{
    struct epoll_event event = {.events = EPOLLIN};
    lines->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (lines->epoll_fd >= 0 &&
        epoll_ctl(lines->epoll_fd, EPOLL_CTL_ADD, lines->settings.fd, &event) != 0 &&
        errno == EPERM)
        return FL_ERR_UNSUPPORTED;
    uv_poll_t *poll = fl_zalloc(sizeof *poll);
    int failed = lines->epoll_fd < 0 ? -errno : 0;
    if (!failed)
        failed = uv_poll_init(net_loop_uv(lines->settings.loop), poll, lines->epoll_fd);
    if (failed) {
        fl_free(poll);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot watch an input: %s",
                            uv_strerror(failed));
    }
    poll->data = lines;
    lines->poll = poll;
    set_polling(lines, true);
    return FL_OK;
}

enum fl_err net_lines_new(const struct net_lines_settings *settings, struct net_lines **out,
                          struct fl_error *error)
{
    struct net_lines *lines = fl_zalloc(sizeof *lines);
    lines->settings = *settings;
    lines->task.run = on_task;
    enum fl_err err = start_polling(lines, error);
    if (err == FL_ERR_UNSUPPORTED) {
        net_loop_defer(settings->loop, &lines->task);
        err = FL_OK;
    }
    if (err)
        net_lines_free(&lines);
    else
        *out = lines;
    return err;
}

void net_lines_pause(struct net_lines *lines)
{
    lines->is_paused = true;
    set_polling(lines, false);
}

void net_lines_resume(struct net_lines *lines)
{
    if (!lines->is_paused)
        return;
    lines->is_paused = false;
    set_polling(lines, !lines->has_ended);
    net_loop_defer(lines->settings.loop, &lines->task);
}

static bool is_readable_now(const struct net_lines *lines)
{
    struct pollfd at = {.fd = lines->settings.fd, .events = POLLIN};
    return poll(&at, 1, 0) == 1;
}

void net_lines_finish(struct net_lines *lines)
{
    lines->is_paused = false;
    for (int i = 0; i < MOST_PIECES_AT_END && !lines->has_ended && is_readable_now(lines); i++) {
        if (!read_piece(lines))
            break;
        emit_whole(lines);
    }
    emit_whole(lines);
    emit_rest(lines);
    lines->has_ended = lines->is_told = true;
    set_polling(lines, false);
    net_loop_cancel(lines->settings.loop, &lines->task);
}

static void free_poll(uv_handle_t *handle)
{
    fl_free(handle);
}

void net_lines_free(struct net_lines **pointer)
{
    struct net_lines *lines = *pointer;
    if (!lines)
        return;
    *pointer = NULL;
    net_loop_cancel(lines->settings.loop, &lines->task);
    if (lines->poll)
        uv_close((uv_handle_t *)lines->poll, free_poll);
    if (lines->epoll_fd >= 0)
        close(lines->epoll_fd);
    fl_buffer_fini(&lines->buffer);
    fl_free(lines);
}
