/* Free ports; see the header. Whether one is free is tried by listening on it for a moment, as the
 * server will: with SO_REUSEADDR, so that connections of a former server do not count. */
#include "net/port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_TRIES = 1000 };

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* False for what is no address; the server will say so. */
static bool read_address(const char *text, uint16_t port, union any_address *at, socklen_t *len)
{
    memset(at, 0, sizeof *at);
    if (inet_pton(AF_INET, text, &at->in.sin_addr) == 1) {
        at->in.sin_family = AF_INET;
        at->in.sin_port = htons(port);
        *len = sizeof at->in;
        return true;
    }
    at->in6.sin6_family = AF_INET6;
    at->in6.sin6_port = htons(port);
    *len = sizeof at->in6;
    return *text == '\0' || inet_pton(AF_INET6, text, &at->in6.sin6_addr) == 1;
}

static bool is_free_at(const char *address, uint16_t port)
{
    union any_address at;
    socklen_t len;
    int one = 1, zero = 0;
    if (!read_address(address, port, &at, &len))
        return true;
    int fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return *address || is_free_at("0.0.0.0", port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (*address == '\0')
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    bool is_free = bind(fd, &at.any, len) == 0 && listen(fd, 1) == 0;
    close(fd);
    return is_free;
}

/* -1: somebody else has it. */
static int mark(uint16_t port)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int len = snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "fairlead-port-%u", port);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_free(const char *const *addresses, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        if (!is_free_at(addresses[i], port))
            return false;
    return true;
}

enum fl_err net_port_choose(const char *const *addresses, size_t count, uint16_t first,
                            uint16_t except, uint16_t *port, int *mark_fd)
{
    for (uint32_t at = first; at < first + (uint32_t)MOST_TRIES && at <= UINT16_MAX; at++) {
        int fd = at == except ? -1 : mark((uint16_t)at);
        if (fd < 0)
            continue;
        if (is_free(addresses, count, (uint16_t)at)) {
            *port = (uint16_t)at;
            *mark_fd = fd;
            return FL_OK;
        }
        close(fd);
    }
    return FL_ERR_NOT_FOUND;
}
