/* The waiting client; see the header. A process of its own, so it may block. */
#include "gateway/wait_client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { TOTAL_MS = 60000 };

static int ask_once(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_usec = 500000};
    char request[128], answer[64] = "";
    int len = snprintf(
        request, sizeof request,
        "GET /v1.0/healthz/outbound HTTP/1.1\r\nHost: localhost:%u\r\nConnection: close\r\n\r\n",
        port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int is_up = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                send(fd, request, (size_t)len, MSG_NOSIGNAL) == len &&
                recv(fd, answer, sizeof answer - 1, 0) > 12 && strncmp(answer + 8, " 204", 4) == 0;
    close(fd);
    return is_up;
}

int gw_wait_client(uint16_t http_port)
{
    struct timespec pause = {.tv_nsec = 100000000};
    int64_t until = fl_clock_ms() + TOTAL_MS;
    fprintf(stderr, "waiting for Dapr to be ready on port %u\n", http_port);
    while (fl_clock_ms() < until) {
        if (ask_once(http_port)) {
            fprintf(stderr, "Dapr is ready\n");
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    fprintf(stderr, "Dapr is not ready after %d s\n", TOTAL_MS / 1000);
    return 0;
}
