/* A whole application behind Fairlead, in one file and without a library.
 *
 * It is an HTTP server with two endpoints. Fairlead asks `GET /dapr/subscribe` once at its start
 * and gets the list of subscriptions: here one, topic `orders`, to be delivered to `POST /orders`.
 * Each event then arrives as a CloudEvent in the body of such a POST, is printed as received, and
 * the answer is the verdict: `{"status":"SUCCESS"}` settles it, "RETRY" asks for it again, "DROP"
 * gives it up.
 *
 * usage: subscriber PORT [PUBSUB]      PUBSUB, or the environment's PUBSUB, names the component;
 *                                      "pubsub" if neither is given
 *
 * One thread, one poll loop, a fixed table of connections. A request is answered once all of it has
 * arrived; a connection that sends what is too large or malformed is closed. Answers are small, so
 * one `send` takes them whole on a connection that has nothing else in flight.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, HEAD_MAX = 8 * 1024, REQUEST_MAX = 256 * 1024 };

struct connection {
    int fd; /* -1: this row is free */
    size_t size;
    char bytes[REQUEST_MAX + 1]; /* what has arrived and is not answered, then a NUL */
};

static struct connection connections[CONNECTIONS_MAX];
static const char *pubsub = "pubsub";

static void drop(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    connection->size = 0;
}

static bool answer(struct connection *connection, const char *status, const char *json)
{
    char text[1024];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        status, strlen(json), json);
    return send(connection->fd, text, (size_t)size, MSG_NOSIGNAL) == size;
}

static bool answer_subscriptions(struct connection *connection)
{
    char list[512];
    snprintf(list, sizeof list,
             "[{\"pubsubname\":\"%s\",\"topic\":\"orders\",\"route\":\"/orders\"}]", pubsub);
    return answer(connection, "200 OK", list);
}

static bool answer_event(struct connection *connection, const char *body, size_t body_size)
{
    printf("%.*s\n", (int)body_size, body);
    fflush(stdout);
    return answer(connection, "200 OK", "{\"status\":\"SUCCESS\"}");
}

/* False: the connection is of no more use. */
static bool serve(struct connection *connection, const char *head, const char *body,
                  size_t body_size)
{
    if (strncmp(head, "GET /dapr/subscribe ", 20) == 0)
        return answer_subscriptions(connection);
    if (strncmp(head, "POST /orders ", 13) == 0)
        return answer_event(connection, body, body_size);
    return answer(connection, "404 Not Found", "{}");
}

/* The value of a header, or NULL. `head` ends with a NUL; names have no case. */
static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

/* The size of the body that the head announces; a size above every bound if it announces none that
 * can be read. */
static size_t announced_size(const char *head)
{
    const char *value = header(head, "content-length");
    if (header(head, "transfer-encoding"))
        return (size_t)REQUEST_MAX + 1;
    if (!value)
        return 0;
    size_t digits = strspn(value, "0123456789");
    return digits == 0 || digits > 9 ? (size_t)REQUEST_MAX + 1 : strtoul(value, NULL, 10);
}

/* Answers the requests that are complete and keeps what follows them. */
static bool serve_complete(struct connection *connection)
{
    for (;;) {
        connection->bytes[connection->size] = '\0';
        char *end = strstr(connection->bytes, "\r\n\r\n");
        if (!end)
            return connection->size <= HEAD_MAX;
        size_t head_size = (size_t)(end + 4 - connection->bytes);
        *end = '\0';
        size_t body_size = announced_size(connection->bytes);
        if (head_size > HEAD_MAX || body_size > REQUEST_MAX - head_size)
            return false;
        if (connection->size < head_size + body_size) {
            *end = '\r';
            return true;
        }
        if (!serve(connection, connection->bytes, end + 4, body_size))
            return false;
        connection->size -= head_size + body_size;
        memmove(connection->bytes, connection->bytes + head_size + body_size, connection->size);
    }
}

static void read_some(struct connection *connection)
{
    ssize_t got =
        read(connection->fd, connection->bytes + connection->size, REQUEST_MAX - connection->size);
    if (got <= 0) {
        drop(connection);
        return;
    }
    connection->size += (size_t)got;
    if (!serve_complete(connection))
        drop(connection);
}

static void accept_one(int listener)
{
    int fd = accept(listener, NULL, NULL);
    for (int i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
        if (connections[i].fd < 0) {
            connections[i].fd = fd;
            return;
        }
    }
    if (fd >= 0)
        close(fd);
}

static int listen_on(const char *port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, CONNECTIONS_MAX) != 0) {
        perror("subscriber: cannot listen");
        exit(1);
    }
    return listener;
}

static void loop(int listener)
{
    for (;;) {
        /* A negative descriptor is one that poll leaves out. */
        struct pollfd wanted[CONNECTIONS_MAX + 1] = {{.fd = listener, .events = POLLIN}};
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            wanted[i + 1] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
        if (poll(wanted, CONNECTIONS_MAX + 1, -1) < 0)
            continue;
        for (int i = 0; i < CONNECTIONS_MAX; i++)
            if (wanted[i + 1].revents)
                read_some(&connections[i]);
        if (wanted[0].revents)
            accept_one(listener);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s PORT [PUBSUB]\n", argv[0]);
        return 2;
    }
    if (argc == 3)
        pubsub = argv[2];
    else if (getenv("PUBSUB"))
        pubsub = getenv("PUBSUB");
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        connections[i].fd = -1;
    int listener = listen_on(argv[1]);
    fprintf(stderr, "subscriber: serving topic orders of %s on 127.0.0.1:%s\n", pubsub, argv[1]);
    loop(listener);
}
