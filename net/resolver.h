/* Host names to addresses, off the loop.
 *
 * Thread: the loop's; the look-up itself runs on a thread of libuv's pool.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <sys/socket.h>

#include "base/error.h"

struct net_loop;
struct net_lookup;

/* `address` is NULL when the name could not be resolved; then `text` says why. Borrowed for the
 * call. */
typedef void net_lookup_fn(void *context, const struct sockaddr *address, socklen_t len,
                           const char *text);

/* A numeric address is answered as well, later as always. `context` is borrowed until the answer or
 * the cancel. */
enum fl_err net_lookup_start(struct net_loop *loop, const char *host, uint16_t port,
                             net_lookup_fn *on_done, void *context,
                             struct net_lookup **lookup) FL_MUST_USE;

/* No answer comes afterwards; NULL inside is accepted. */
void net_lookup_cancel(struct net_lookup **lookup);

#endif
