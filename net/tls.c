/* OpenSSL over a non-blocking descriptor; see the header. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/alloc.h"

struct net_tls_client {
    SSL_CTX *context;
};

struct net_tls {
    SSL *ssl;
};

enum fl_err net_tls_client_new(struct net_tls_client **out, struct fl_error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)) {
        SSL_CTX_free(context);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot set up TLS: %s",
                            ERR_reason_error_string(ERR_get_error()));
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    struct net_tls_client *client = fl_zalloc(sizeof *client);
    client->context = context;
    *out = client;
    return FL_OK;
}

void net_tls_client_free(struct net_tls_client **client)
{
    if (!*client)
        return;
    SSL_CTX_free((*client)->context);
    FL_FREE(*client);
}

enum fl_err net_tls_new(struct net_tls_client *client, int fd, const char *host,
                        struct net_tls **out)
{
    SSL *ssl = SSL_new(client->context);
    if (!ssl)
        return FL_ERR_NO_MEMORY;
    if (!SSL_set_fd(ssl, fd) || (host && !SSL_set_tlsext_host_name(ssl, host))) {
        SSL_free(ssl);
        return FL_ERR_SYSTEM;
    }
    SSL_set_connect_state(ssl);
    struct net_tls *tls = fl_zalloc(sizeof *tls);
    tls->ssl = ssl;
    *out = tls;
    return FL_OK;
}

void net_tls_free(struct net_tls **tls)
{
    if (!*tls)
        return;
    SSL_free((*tls)->ssl);
    FL_FREE(*tls);
}

static enum net_tls_result classify(struct net_tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_ZERO_RETURN:
        return NET_TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return NET_TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return NET_TLS_WANT_WRITE;
    default:
        return NET_TLS_BROKEN;
    }
}

enum net_tls_result net_tls_handshake(struct net_tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? NET_TLS_DONE : classify(tls, result);
}

/* 0 = the peer's orderly end, -1 = wait, -2 = broken, as in net/stream.h. */
static ssize_t outcome(struct net_tls *tls, int result, enum net_tls_result *wants)
{
    if (result > 0) {
        *wants = NET_TLS_DONE;
        return result;
    }
    *wants = classify(tls, result);
    return *wants == NET_TLS_DONE ? 0 : *wants == NET_TLS_BROKEN ? -2 : -1;
}

ssize_t net_tls_read(struct net_tls *tls, void *data, size_t room, enum net_tls_result *wants)
{
    ERR_clear_error();
    return outcome(tls, SSL_read(tls->ssl, data, room > INT32_MAX ? INT32_MAX : (int)room), wants);
}

ssize_t net_tls_write(struct net_tls *tls, const void *data, size_t len, enum net_tls_result *wants)
{
    ERR_clear_error();
    return outcome(tls, SSL_write(tls->ssl, data, len > INT32_MAX ? INT32_MAX : (int)len), wants);
}

bool net_tls_has_pending(const struct net_tls *tls)
{
    return SSL_pending(tls->ssl) > 0;
}
