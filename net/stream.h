/* A non-blocking stream socket on the loop, with or without TLS on top.
 *
 * The stream does not buffer: its holder reads and writes when told that it may. Reading interest
 * is on from the start; while it is off, a peer that vanished (reset) is still noticed. A peer that
 * only closed its sending side shows as a read of 0 bytes, and writing to it goes on.
 *
 * Thread: the loop's.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/slice.h"

struct net_loop;
struct net_stream;
struct net_tls_client;

enum net_stream_event {
    NET_READABLE = 1 << 0,
    NET_WRITABLE = 1 << 1,
    NET_BROKEN = 1 << 2, /* reset, or a failed connect; nothing follows */
};

typedef void net_stream_fn(struct net_stream *stream, void *context, unsigned events);

/* Takes `fd` (non-blocking, connected or connecting) on success. `context` is borrowed until close.
 */
enum fl_err net_stream_new(struct net_loop *loop, int fd, net_stream_fn *on_event, void *context,
                           struct net_stream **stream) FL_MUST_USE;

/* Starts connecting; the first event is NET_WRITABLE (connected, TLS done) or NET_BROKEN. `tls` may
 * be NULL; else it is borrowed until close, and `host` names the server for SNI. */
enum fl_err net_stream_connect(struct net_loop *loop, const struct sockaddr *address,
                               socklen_t address_len, struct net_tls_client *tls, const char *host,
                               net_stream_fn *on_event, void *context, struct net_stream **stream,
                               struct fl_error *error) FL_MUST_USE;

/* No event comes after this call; the pointer is set to NULL. NULL inside is accepted. With `reset`
 * the peer sees a reset instead of an orderly end. */
void net_stream_close(struct net_stream **stream);
void net_stream_reset(struct net_stream **stream);

void net_stream_set_handler(struct net_stream *stream, net_stream_fn *on_event, void *context);

/* Interest. Changing it costs a system call at the next sleep, so the usual connection never does.
 */
void net_stream_want(struct net_stream *stream, bool reading, bool writing);

/* > 0: bytes; 0: the peer closed its sending side; -1: nothing now (FL_ERR_AGAIN); -2: broken. */
ssize_t net_stream_read(struct net_stream *stream, void *data, size_t room);

/* >= 0: bytes taken by the kernel, maybe fewer than given; -2: broken. */
ssize_t net_stream_writev(struct net_stream *stream, const struct iovec *parts, int count);

/* Sends the end of our side; reading goes on. */
void net_stream_shutdown(struct net_stream *stream);

/* True when the peer has closed its sending side, or is gone, and everything it sent was read:
 * looked up at the kernel, also while reading interest is off. */
bool net_stream_has_ended(const struct net_stream *stream);

/* True when bytes may wait inside the TLS layer although the socket is not readable. */
bool net_stream_has_pending(const struct net_stream *stream);

/* The peer's address as text; "" for a Unix socket. `out` holds at least 64 bytes. */
void net_stream_peer_name(const struct net_stream *stream, char out[64]);

#endif
