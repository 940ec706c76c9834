/* A load generator for HTTP/1.1 POSTs over kept connections: closed loop or open loop, one thread.
 *
 * Closed loop (no --rate): each connection sends its next request when it has its answer. Open loop
 * (--rate R): request i is due at i/R seconds whatever the answers do; if no connection is free
 * then it waits, and its latency counts from when it was due, so a server that stalls cannot hide
 * it.
 *
 * One request is built once and sent again and again; of an answer only its status and its end are
 * looked for. The loop is cheap on purpose: it shares a core with the receiving application, and
 * the server under test should be what is busy. At the end nothing more is sent, what is
 * outstanding is waited for (--drain seconds), and one line of key=value is printed.
 *
 * Latencies stand in a histogram with 32 steps per power of two, so a percentile is at most 3 %
 * off.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_HEAD_MAX = 4096, STEPS = 32, STEP_BITS = 5, BUCKETS = 64 * STEPS, STATUS_MAX = 600 };
#define SECOND_NS UINT64_C(1000000000)

struct options {
    struct in_addr address;
    uint16_t port;
    const char *path;
    const char *content_type;
    size_t connections;
    size_t body_bytes;
    double seconds;
    double drain_seconds;
    uint64_t count; /* 0: until the time is over */
    double rate;    /* requests a second; 0: closed loop */
};

struct connection {
    int fd;
    bool is_waiting; /* a request was begun and its answer has not ended */
    bool wants_out;
    bool is_chunked;
    size_t sent;        /* bytes of the request */
    size_t head_size;   /* bytes of the answer's head so far; all of it when has_head */
    uint64_t body_left; /* of an answer whose head is complete */
    uint64_t due_ns;    /* from when the latency counts */
    bool has_head;
    struct connection *next_idle;
    char head[ANSWER_HEAD_MAX + 1];
};

struct load {
    struct options options;
    char *request;
    size_t request_bytes;
    int epoll;
    struct connection *connections;
    struct connection *idle;
    uint64_t started_ns;
    uint64_t stop_ns;
    uint64_t begun; /* requests */
    uint64_t answered;
    uint64_t broken;    /* connections that ended instead of an answer */
    uint64_t late_most; /* open loop: the most requests that were due and had no connection */
    uint64_t statuses[STATUS_MAX];
    uint64_t buckets[BUCKETS];
    uint64_t slowest_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- histogram ------------------------------------------------------------------------------- */

static size_t bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (size_t)ns;
    unsigned shift = (unsigned)(63 - __builtin_clzll(ns)) - STEP_BITS;
    return (size_t)(shift + 1) * STEPS + (size_t)(ns >> shift) - STEPS;
}

static double bucket_us(size_t bucket)
{
    if (bucket < STEPS)
        return (double)bucket / 1e3;
    unsigned shift = (unsigned)(bucket / STEPS) - 1;
    return (double)((bucket % STEPS + STEPS) << shift) / 1e3;
}

static void record(struct load *load, uint64_t ns)
{
    load->buckets[bucket_of(ns)]++;
    if (ns > load->slowest_ns)
        load->slowest_ns = ns;
}

static double percentile_us(const struct load *load, double fraction)
{
    uint64_t wanted = (uint64_t)((double)load->answered * fraction), seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += load->buckets[i];
        if (seen > wanted)
            return bucket_us(i);
    }
    return (double)load->slowest_ns / 1e3;
}

/* --- connections ----------------------------------------------------------------------------- */

static void watch(struct load *load, struct connection *connection, int operation)
{
    struct epoll_event event = {
        .events = EPOLLIN | (connection->wants_out ? EPOLLOUT : 0u),
        .data.ptr = connection,
    };
    if (epoll_ctl(load->epoll, operation, connection->fd, &event) != 0)
        die("load: epoll_ctl");
}

static void make_idle(struct load *load, struct connection *connection)
{
    connection->is_waiting = false;
    connection->next_idle = load->idle;
    load->idle = connection;
}

/* Leaves the idle list alone: the caller knows whether the connection is in it. */
static void connect_again(struct load *load, struct connection *connection)
{
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(load->options.port),
        .sin_addr = load->options.address,
    };
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("load: connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        die("load: fcntl");
    connection->fd = fd;
    connection->wants_out = false;
    watch(load, connection, EPOLL_CTL_ADD);
}

static void broke(struct load *load, struct connection *connection)
{
    close(connection->fd);
    connect_again(load, connection);
    if (connection->is_waiting) {
        load->broken++;
        make_idle(load, connection);
    }
}

static void open_all(struct load *load)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->connections = calloc(load->options.connections, sizeof *load->connections);
    if (load->epoll < 0 || !load->connections)
        die("load: start");
    for (size_t i = 0; i < load->options.connections; i++) {
        connect_again(load, &load->connections[i]);
        make_idle(load, &load->connections[i]);
    }
}

static void close_all(struct load *load)
{
    for (size_t i = 0; i < load->options.connections; i++)
        close(load->connections[i].fd);
    close(load->epoll);
    free(load->connections);
    free(load->request);
}

/* --- one request ----------------------------------------------------------------------------- */

static void send_rest(struct load *load, struct connection *connection)
{
    ssize_t wrote = send(connection->fd, load->request + connection->sent,
                         load->request_bytes - connection->sent, MSG_NOSIGNAL);
    if (wrote < 0 && errno != EAGAIN)
        return; /* The reset is seen when reading. */
    connection->sent += wrote > 0 ? (size_t)wrote : 0;
    bool wants_out = connection->sent < load->request_bytes;
    if (wants_out != connection->wants_out) {
        connection->wants_out = wants_out;
        watch(load, connection, EPOLL_CTL_MOD);
    }
}

static void begin_request(struct load *load, uint64_t due_ns)
{
    struct connection *connection = load->idle;
    load->idle = connection->next_idle;
    connection->is_waiting = true;
    connection->has_head = false;
    connection->sent = 0;
    connection->head_size = 0;
    connection->due_ns = due_ns;
    load->begun++;
    send_rest(load, connection);
}

static bool is_over(const struct load *load, uint64_t now)
{
    return now >= load->stop_ns || (load->options.count != 0 && load->begun >= load->options.count);
}

static uint64_t due_at(const struct load *load, uint64_t index)
{
    return load->started_ns + (uint64_t)((double)index * 1e9 / load->options.rate);
}

/* Begins what is due, as far as there are idle connections. */
static void begin_due(struct load *load, uint64_t now)
{
    if (load->options.rate <= 0) {
        while (load->idle && !is_over(load, now))
            begin_request(load, now);
        return;
    }
    while (load->idle && !is_over(load, now) && due_at(load, load->begun) <= now)
        begin_request(load, due_at(load, load->begun));
    uint64_t due = (uint64_t)((double)(now - load->started_ns) / 1e9 * load->options.rate);
    if (!load->idle && due > load->begun && due - load->begun > load->late_most)
        load->late_most = due - load->begun;
}

/* --- its answer ------------------------------------------------------------------------------ */

static void ended(struct load *load, struct connection *connection, uint64_t now)
{
    unsigned long status = strtoul(connection->head + 9, NULL, 10);
    load->statuses[status < STATUS_MAX ? status : 0]++;
    load->answered++;
    record(load, now - connection->due_ns);
    make_idle(load, connection);
}

static void read_head_fields(struct connection *connection)
{
    const char *head = connection->head;
    const char *length = strcasestr(head, "\r\ncontent-length:");
    bool has_no_body = strncmp(head + 9, "204", 3) == 0 || strncmp(head + 9, "304", 3) == 0;
    connection->body_left = length && !has_no_body ? strtoull(length + 17, NULL, 10) : 0;
    connection->is_chunked = strcasestr(head, "\r\ntransfer-encoding: chunked") != NULL;
}

/* The end of a chunked body is looked for in its last bytes, which is enough for answers that come
 * one at a time. */
static bool is_body_over(struct connection *connection, const char *bytes, size_t size)
{
    if (connection->is_chunked)
        return size >= 5 && memcmp(bytes + size - 5, "0\r\n\r\n", 5) == 0;
    connection->body_left -= size < connection->body_left ? size : connection->body_left;
    return connection->body_left == 0;
}

static void read_answer(struct load *load, struct connection *connection, uint64_t now)
{
    char body[16384], *into = body;
    size_t room = sizeof body;
    if (!connection->has_head) {
        into = connection->head + connection->head_size;
        room = ANSWER_HEAD_MAX - connection->head_size;
    }
    ssize_t got = room ? recv(connection->fd, into, room, 0) : 0;
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || !connection->is_waiting) {
        broke(load, connection);
        return;
    }
    size_t size = (size_t)got;
    if (!connection->has_head) {
        connection->head_size += size;
        connection->head[connection->head_size] = '\0';
        const char *end = strstr(connection->head, "\r\n\r\n");
        if (!end || connection->head_size < 13)
            return;
        connection->has_head = true;
        read_head_fields(connection);
        into = connection->head + (end + 4 - connection->head);
        size = (size_t)(connection->head + connection->head_size - into);
    }
    if (is_body_over(connection, into, size))
        ended(load, connection, now);
}

/* --- the run --------------------------------------------------------------------------------- */

static uint64_t next_event_ns(const struct load *load, uint64_t now, uint64_t give_up_ns)
{
    if (is_over(load, now))
        return give_up_ns;
    if (load->options.rate > 0 && load->idle) {
        uint64_t due = due_at(load, load->begun);
        return due < load->stop_ns ? due : load->stop_ns;
    }
    return load->stop_ns;
}

static void wait_and_read(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[256];
    uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {
        .tv_sec = (time_t)(left / SECOND_NS),
        .tv_nsec = (long)(left % SECOND_NS),
    };
    int count = epoll_pwait2(load->epoll, events, 256, &timeout, NULL);
    now = now_ns();
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            send_rest(load, connection);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            read_answer(load, connection, now);
        /* At once, not after the batch: a closed loop's client does not wait for its siblings. */
        if (load->options.rate <= 0)
            begin_due(load, now);
    }
}

/* Returns the seconds until the last answer. */
static double run(struct load *load)
{
    load->started_ns = now_ns();
    load->stop_ns = load->started_ns + (uint64_t)(load->options.seconds * 1e9);
    uint64_t give_up_ns = load->stop_ns + (uint64_t)(load->options.drain_seconds * 1e9);
    for (;;) {
        uint64_t now = now_ns();
        begin_due(load, now);
        bool is_drained = load->begun == load->answered + load->broken;
        if (now >= give_up_ns || (is_over(load, now) && is_drained))
            return (double)(now - load->started_ns) / 1e9;
        wait_and_read(load, next_event_ns(load, now, give_up_ns));
    }
}

static void report(const struct load *load, double seconds)
{
    printf("sent=%lu answered=%lu broken=%lu unanswered=%lu seconds=%.3f rate=%.0f "
           "p50_us=%.1f p90_us=%.1f p99_us=%.1f p99.9_us=%.1f max_us=%.1f late_most=%lu",
           load->begun, load->answered, load->broken, load->begun - load->answered - load->broken,
           seconds, (double)load->answered / seconds, percentile_us(load, 0.5),
           percentile_us(load, 0.9), percentile_us(load, 0.99), percentile_us(load, 0.999),
           (double)load->slowest_ns / 1e3, load->late_most);
    for (unsigned status = 0; status < STATUS_MAX; status++)
        if (load->statuses[status])
            printf(" status_%u=%lu", status, load->statuses[status]);
    printf("\n");
}

/* --- start ----------------------------------------------------------------------------------- */

/* A JSON object of exactly `size` bytes (at least 10) with many small members, as applications send
 * them; the last member fills up. */
static void fill_json(char *body, size_t size)
{
    size_t used = 1, index = 0;
    body[0] = '{';
    while (size - used >= 64) {
        used +=
            (size_t)snprintf(body + used, size - used, "\"field%zu\":\"value %zu\",\"n%zu\":%zu,",
                             index % 100, index % 1000, index % 100, index * 7919 % 100000);
        index++;
    }
    used += (size_t)snprintf(body + used, size - used, "\"end\":\"");
    memset(body + used, 'x', size - used - 2);
    memcpy(body + size - 2, "\"}", 2);
}

static void build_request(struct load *load)
{
    const struct options *options = &load->options;
    char head[2048];
    int head_size =
        snprintf(head, sizeof head,
                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: %s\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 options->path, options->port, options->content_type, options->body_bytes);
    load->request_bytes = (size_t)head_size + options->body_bytes;
    load->request = malloc(load->request_bytes + 1);
    if (!load->request || head_size >= (int)sizeof head)
        die("load: request");
    memcpy(load->request, head, (size_t)head_size);
    fill_json(load->request + head_size, options->body_bytes);
}

static void usage(void)
{
    fprintf(stderr,
            "usage: load --port P [--host 127.0.0.1] [--path /] [--type application/json]\n"
            "            [--connections 64] [--size 256] [--seconds 3] [--count N] [--rate R]\n"
            "            [--drain 10]\n");
    exit(2);
}

static void set_option(struct options *options, char letter, const char *value)
{
    switch (letter) {
    case 'h':
        if (inet_pton(AF_INET, value, &options->address) != 1)
            usage();
        break;
    case 'p':
        options->port = (uint16_t)strtoul(value, NULL, 10);
        break;
    case 'u':
        options->path = value;
        break;
    case 't':
        options->content_type = value;
        break;
    case 'c':
        options->connections = strtoul(value, NULL, 10);
        break;
    case 'b':
        options->body_bytes = strtoul(value, NULL, 10);
        break;
    case 's':
        options->seconds = strtod(value, NULL);
        break;
    case 'n':
        options->count = strtoull(value, NULL, 10);
        break;
    case 'r':
        options->rate = strtod(value, NULL);
        break;
    case 'd':
        options->drain_seconds = strtod(value, NULL);
        break;
    default:
        usage();
    }
}

static struct options read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"host", 1, NULL, 'h'},
        {"port", 1, NULL, 'p'},
        {"path", 1, NULL, 'u'},
        {"type", 1, NULL, 't'},
        {"connections", 1, NULL, 'c'},
        {"size", 1, NULL, 'b'},
        {"seconds", 1, NULL, 's'},
        {"count", 1, NULL, 'n'},
        {"rate", 1, NULL, 'r'},
        {"drain", 1, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {
        .address.s_addr = htonl(INADDR_LOOPBACK),
        .path = "/",
        .content_type = "application/json",
        .connections = 64,
        .body_bytes = 256,
        .seconds = 3,
        .drain_seconds = 10,
    };
    bool has_seconds = false;
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        set_option(&options, (char)letter, optarg);
        has_seconds = has_seconds || letter == 's';
    }
    if (options.count && !has_seconds)
        options.seconds = 3600;
    if (optind < argc || !options.port || !options.connections || options.body_bytes < 10)
        usage();
    return options;
}

int main(int argc, char **argv)
{
    struct load load = {.options = read_options(argc, argv)};
    build_request(&load);
    open_all(&load);
    report(&load, run(&load));
    close_all(&load);
    return 0;
}
