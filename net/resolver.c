/* getaddrinfo on libuv's thread pool; see the header. */
#include "net/resolver.h"

#include <netdb.h>
#include <stdio.h>

#include "base/alloc.h"
#include "net/loop_priv.h"

struct net_lookup {
    uv_getaddrinfo_t request;
    net_lookup_fn *on_done; /* NULL: cancelled */
    void *context;
};

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct net_lookup *lookup = request->data;
    if (lookup->on_done && (status != 0 || !found))
        lookup->on_done(lookup->context, NULL, 0, status ? uv_strerror(status) : "no address");
    else if (lookup->on_done)
        lookup->on_done(lookup->context, found->ai_addr, found->ai_addrlen, NULL);
    uv_freeaddrinfo(found);
    fl_free(lookup);
}

enum fl_err net_lookup_start(struct net_loop *loop, const char *host, uint16_t port,
                             net_lookup_fn *on_done, void *context, struct net_lookup **out)
{
    struct net_lookup *lookup = fl_zalloc(sizeof *lookup);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    lookup->on_done = on_done;
    lookup->context = context;
    lookup->request.data = lookup;
    if (uv_getaddrinfo(net_loop_uv(loop), &lookup->request, on_resolved, host, service, &hints) !=
        0) {
        fl_free(lookup);
        return FL_ERR_SYSTEM;
    }
    *out = lookup;
    return FL_OK;
}

void net_lookup_cancel(struct net_lookup **lookup)
{
    if (!*lookup)
        return;
    (*lookup)->on_done = NULL;
    uv_cancel((uv_req_t *)&(*lookup)->request);
    *lookup = NULL;
}
