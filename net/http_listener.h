/* Listening sockets that open and close their doors together.
 *
 * A server owns one set of them. While its doors are open, each connection that arrives is handed
 * over; closed doors leave connections in the kernel's queue. When the process has no descriptor
 * left, the doors close by themselves for a moment, since the queue would stay readable and spin.
 *
 * Thread: the loop's.
 */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include "base/error.h"
#include "net/loop.h"

struct uv_poll_s;

/* Takes `fd`, a non-blocking connection. May close the doors. */
typedef void http_accepted_fn(int fd, void *context);

enum { HTTP_MOST_LISTENERS = 16 };

struct http_listeners;

struct http_listener {
    struct http_listeners *all;
    struct uv_poll_s *poll; /* freed by its close callback */
    int fd;
    char *path; /* of a Unix socket */
};

/* The owner's storage. */
struct http_listeners {
    struct net_loop *loop;
    http_accepted_fn *on_accepted;
    void *context; /* borrowed */
    struct http_listener each[HTTP_MOST_LISTENERS];
    int count;
    bool are_open;
    struct net_timer pause;
};

/* The doors are open. */
void http_listeners_init(struct http_listeners *listeners, struct net_loop *loop,
                         http_accepted_fn *on_accepted, void *context);

/* Closes the sockets and removes the files of Unix sockets; harmless a second time. */
void http_listeners_fini(struct http_listeners *listeners);

/* As http_server_listen and http_server_listen_unix. */
enum fl_err http_listeners_add(struct http_listeners *listeners, const char *address, uint16_t port,
                               bool reuse_port, uint16_t *bound_port,
                               struct fl_error *error) FL_MUST_USE;
enum fl_err http_listeners_add_unix(struct http_listeners *listeners, const char *path,
                                    struct fl_error *error) FL_MUST_USE;

void http_listeners_set_open(struct http_listeners *listeners, bool are_open);

#endif
