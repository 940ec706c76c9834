/* TLS of the client side, on OpenSSL: the channel to an application that speaks https.
 *
 * As daprd does, the application's certificate is not verified and the version is at least 1.2: the
 * channel usually leads to the same host, and the certificate is often self-signed.
 *
 * Thread: the loop's.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct net_tls_client;
struct net_tls;

enum fl_err net_tls_client_new(struct net_tls_client **client, struct fl_error *error) FL_MUST_USE;
void net_tls_client_free(struct net_tls_client **client);

/* One connection on `fd`, which is borrowed. `host` is for SNI. */
enum fl_err net_tls_new(struct net_tls_client *client, int fd, const char *host,
                        struct net_tls **tls) FL_MUST_USE;
void net_tls_free(struct net_tls **tls);

enum net_tls_result { NET_TLS_DONE, NET_TLS_WANT_READ, NET_TLS_WANT_WRITE, NET_TLS_BROKEN };

enum net_tls_result net_tls_handshake(struct net_tls *tls);

/* As net_stream_read and net_stream_writev; `*wants` tells what the next try waits for. */
ssize_t net_tls_read(struct net_tls *tls, void *data, size_t room, enum net_tls_result *wants);
ssize_t net_tls_write(struct net_tls *tls, const void *data, size_t len,
                      enum net_tls_result *wants);
bool net_tls_has_pending(const struct net_tls *tls);

#endif
