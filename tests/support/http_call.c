/* A client on net/ alone, to try the pool of connections against a scripted server.
 *
 * usage: http_call PORT [--name value]...   names: see `switches` below; times in ms.
 * It makes --calls calls, --at-once of them together, --pause-ms apart, each a POST with a body of
 * --request-bytes. Each call that ends prints a line: the error's name or `ok`, the status, the
 * milliseconds it took, and the body or the text of the failure.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "net/http_pool.h"
#include "net/loop.h"

static struct {
    int64_t calls, at_once, pause_ms, timeout_ms, request_bytes;
} wanted = {.calls = 1, .at_once = 1, .timeout_ms = 5000};

struct attempt {
    struct http_call call;
    int64_t began_ms;
};

static struct net_loop *loop;
static struct http_pool *pool;
static struct fl_budget budget;
static int64_t started, ended;
static char *request_body;
static char request_head[128];
static struct net_timer next_timer;

static void start_call(void);

static void print_result(const struct attempt *attempt, const struct http_result *result)
{
    int64_t took_ms = fl_clock_ms() - attempt->began_ms;
    const char *name = result->code ? fl_err_name(result->code) : "ok";
    printf("%s|%d|%lld|", name, result->status, (long long)took_ms);
    if (result->code)
        printf("%s\n", result->text);
    else if (result->body.len > 200)
        printf("%zu bytes\n", result->body.len);
    else
        printf("%.*s\n", FL_SLICE_ARG(result->body));
    fflush(stdout);
}

static void on_next(struct net_timer *timer)
{
    (void)timer;
    start_call();
}

static void on_done(struct http_call *call, const struct http_result *result)
{
    struct attempt *attempt = FL_CONTAINER(call, struct attempt, call);
    print_result(attempt, result);
    fl_free(attempt);
    ended++;
    if (ended == wanted.calls)
        net_loop_stop(loop);
    else if (started < wanted.calls && wanted.pause_ms)
        net_timer_start(loop, &next_timer, net_loop_now_ms(loop) + wanted.pause_ms);
    else if (started < wanted.calls)
        start_call();
}

static void start_call(void)
{
    struct attempt *attempt = fl_zalloc(sizeof *attempt);
    started++;
    attempt->began_ms = fl_clock_ms();
    attempt->call.parts[0] = (struct iovec){request_head, strlen(request_head)};
    attempt->call.parts[1] = (struct iovec){request_body, (size_t)wanted.request_bytes};
    attempt->call.part_count = wanted.request_bytes ? 2 : 1;
    attempt->call.timeout_ms = wanted.timeout_ms;
    attempt->call.on_done = on_done;
    http_pool_send(pool, &attempt->call);
}

static bool apply_switches(int argc, char **argv, struct http_pool_settings *settings)
{
    int64_t head_bytes = (int64_t)settings->most_head_bytes,
            body_bytes = (int64_t)settings->most_body_bytes,
            connections = (int64_t)settings->most_connections;
    const struct {
        const char *name;
        int64_t *value;
    } switches[] = {{"--calls", &wanted.calls},
                    {"--at-once", &wanted.at_once},
                    {"--pause-ms", &wanted.pause_ms},
                    {"--timeout-ms", &wanted.timeout_ms},
                    {"--request-bytes", &wanted.request_bytes},
                    {"--head-bytes", &head_bytes},
                    {"--body-bytes", &body_bytes},
                    {"--connections", &connections},
                    {"--connect-ms", &settings->connect_timeout_ms},
                    {"--idle-ms", &settings->idle_timeout_ms}};
    for (int i = 2; i < argc; i += 2) {
        bool is_known = false;
        for (size_t j = 0; j < sizeof switches / sizeof *switches && i + 1 < argc; j++) {
            if (strcmp(argv[i], switches[j].name) == 0) {
                *switches[j].value = atoll(argv[i + 1]);
                is_known = true;
            }
        }
        if (!is_known) {
            fprintf(stderr, "http_call: unknown or without a value: %s\n", argv[i]);
            return false;
        }
    }
    settings->most_head_bytes = (size_t)head_bytes;
    settings->most_body_bytes = (size_t)body_bytes;
    settings->most_connections = (size_t)connections;
    return true;
}

int main(int argc, char **argv)
{
    struct http_pool_settings settings = http_pool_defaults();
    struct sockaddr_in *to = (struct sockaddr_in *)&settings.address;
    struct fl_error error;
    if (argc < 2 || !apply_switches(argc, argv, &settings) || net_loop_new(&loop, &error))
        return 2;
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    settings.address_len = sizeof *to;
    settings.loop = loop;
    settings.budget = &budget;
    fl_budget_init(&budget, 64 * 1024 * 1024);
    request_body = fl_alloc((size_t)wanted.request_bytes);
    memset(request_body, 'x', (size_t)wanted.request_bytes);
    snprintf(request_head, sizeof request_head,
             "POST /call HTTP/1.1\r\nHost: h\r\nContent-Length: %lld\r\n\r\n",
             (long long)wanted.request_bytes);
    next_timer.expired = on_next;
    pool = http_pool_new(&settings);
    while (started < wanted.at_once)
        start_call();
    net_loop_run(loop);
    http_pool_free(&pool);
    net_loop_free(&loop);
    fl_free(request_body);
    if (budget.used_bytes)
        fprintf(stderr, "http_call: %zu bytes of the budget were not given back\n",
                budget.used_bytes);
    return budget.used_bytes ? 1 : 0;
}
