/* Listening; see the header. */
#include "net/http_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/loop_priv.h"

enum { MOST_ACCEPTS_PER_EVENT = 64, PAUSE_MS = 100, MOST_QUEUED = 4096 };

static void close_for_a_moment(struct http_listeners *listeners)
{
    http_listeners_set_open(listeners, false);
    net_timer_start(listeners->loop, &listeners->pause,
                    net_loop_now_ms(listeners->loop) + PAUSE_MS);
}

static void on_pause_over(struct net_timer *timer)
{
    http_listeners_set_open(FL_CONTAINER(timer, struct http_listeners, pause), true);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct http_listener *listener = poll->data;
    struct http_listeners *all = listener->all;
    (void)status;
    (void)events;
    net_loop_mark_turn(all->loop);
    for (int i = 0; i < MOST_ACCEPTS_PER_EVENT && all->are_open; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            all->on_accepted(fd, all->context);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            close_for_a_moment(all);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

void http_listeners_set_open(struct http_listeners *listeners, bool are_open)
{
    if (are_open == listeners->are_open)
        return;
    listeners->are_open = are_open;
    net_timer_stop(listeners->loop, &listeners->pause);
    for (int i = 0; i < listeners->count; i++) {
        if (are_open)
            uv_poll_start(listeners->each[i].poll, UV_READABLE, on_acceptable);
        else
            uv_poll_stop(listeners->each[i].poll);
    }
}

/* `fd` is bound; it is taken, on failure too. */
static enum fl_err add(struct http_listeners *listeners, int fd, const char *path,
                       struct fl_error *error)
{
    struct http_listener *listener = &listeners->each[listeners->count];
    uv_poll_t *poll = fl_zalloc(sizeof *poll);
    int failed = listen(fd, MOST_QUEUED) != 0 ? -errno : 0;
    if (!failed)
        failed = uv_poll_init(net_loop_uv(listeners->loop), poll, fd);
    if (failed) {
        fl_free(poll);
        close(fd);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "listen: %s",
                            uv_strerror(failed));
    }
    *listener =
        (struct http_listener){listeners, poll, fd, path ? fl_strdup(fl_slice_str(path)) : NULL};
    poll->data = listener;
    listeners->count++;
    if (listeners->are_open)
        uv_poll_start(poll, UV_READABLE, on_acceptable);
    return FL_OK;
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static bool parse_address(const char *text, uint16_t port, union any_address *address,
                          socklen_t *len)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &address->in.sin_addr) == 1) {
        address->in.sin_family = AF_INET;
        address->in.sin_port = htons(port);
        *len = sizeof address->in;
        return true;
    }
    if (*text == 0 || inet_pton(AF_INET6, text, &address->in6.sin6_addr) == 1) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons(port);
        *len = sizeof address->in6;
        return true;
    }
    return false;
}

/* A bound TCP socket, or -1 with errno. */
static int bind_tcp(union any_address *at, socklen_t len, bool is_dual, bool reuse_port)
{
    int one = 1, only_ipv6 = !is_dual;
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (at->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof only_ipv6);
    if (bind(fd, &at->any, len) != 0) {
        int failed = errno;
        close(fd);
        errno = failed;
        return -1;
    }
    return fd;
}

enum fl_err http_listeners_add(struct http_listeners *listeners, const char *address, uint16_t port,
                               bool reuse_port, uint16_t *bound_port, struct fl_error *error)
{
    union any_address at;
    socklen_t len;
    if (listeners->count == HTTP_MOST_LISTENERS)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "more than %d listen addresses", HTTP_MOST_LISTENERS);
    if (!parse_address(address, port, &at, &len))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "listen tcp %s:%u: not a numeric address", address, port);
    int fd = bind_tcp(&at, len, *address == 0, reuse_port);
    if (fd < 0 && errno == EAFNOSUPPORT && *address == 0) {
        /* No IPv6 on this machine. */
        return http_listeners_add(listeners, "0.0.0.0", port, reuse_port, bound_port, error);
    }
    if (fd < 0)
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_RETRY, "listen tcp %s:%u: bind: %s",
                            address, port, strerror(errno));
    if (bound_port && getsockname(fd, &at.any, &len) == 0)
        *bound_port = ntohs(at.any.sa_family == AF_INET ? at.in.sin_port : at.in6.sin6_port);
    return add(listeners, fd, NULL, error);
}

enum fl_err http_listeners_add_unix(struct http_listeners *listeners, const char *path,
                                    struct fl_error *error)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path || listeners->count == HTTP_MOST_LISTENERS)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "listen unix %s: path too long", path);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        int failed = errno;
        if (fd >= 0)
            close(fd);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "listen unix %s: bind: %s", path,
                            strerror(failed));
    }
    return add(listeners, fd, path, error);
}

void http_listeners_init(struct http_listeners *listeners, struct net_loop *loop,
                         http_accepted_fn *on_accepted, void *context)
{
    *listeners = (struct http_listeners){.loop = loop,
                                         .on_accepted = on_accepted,
                                         .context = context,
                                         .are_open = true,
                                         .pause.expired = on_pause_over};
}

static void free_poll(uv_handle_t *handle)
{
    fl_free(handle);
}

void http_listeners_fini(struct http_listeners *listeners)
{
    http_listeners_set_open(listeners, false);
    net_timer_stop(listeners->loop, &listeners->pause);
    for (int i = 0; i < listeners->count; i++) {
        struct http_listener *listener = &listeners->each[i];
        uv_close((uv_handle_t *)listener->poll, free_poll);
        close(listener->fd);
        if (listener->path)
            unlink(listener->path);
        FL_FREE(listener->path);
    }
    listeners->count = 0;
}
