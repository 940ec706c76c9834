/* A server on net/ alone, to try HTTP/1.1 framing from outside: it answers what it was asked.
 *
 * usage: http_echo [--name value]...   names: see `switches` below; sizes in bytes, times in ms.
 * It prints `port N` when it listens and ends when its standard input does.
 *
 *   /missing...     404 before the body is read
 *   /delay/MS...    the answer comes MS milliseconds after the request
 *   /stats          connections, busy exchanges, answers to clients that were gone, bytes of the
 *                   budget in use and at most
 *   anything else   200; X-Method, X-Target and X-Length say what was read, the body comes back
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/buffer.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/stream.h"

static struct net_loop *loop;
static struct http_server *server;
static struct fl_budget budget;
static int64_t most_body_bytes = 4 * 1024 * 1024;
static unsigned long gone_count;

/* An answer that waits for its time. */
struct delayed {
    struct net_timer timer;
    struct http_exchange *exchange;
    struct fl_buffer fields, body;
};

static void respond(struct http_exchange *exchange, int status, struct fl_slice fields,
                    struct fl_slice body)
{
    struct http_response response = {.status = status, .fields = fields, .body = body};
    gone_count += !http_exchange_is_alive(exchange);
    http_exchange_respond(exchange, &response);
}

static void respond_text(struct http_exchange *exchange, int status, const char *text)
{
    respond(exchange, status, FL_SLICE_LIT("Content-Type: text/plain\r\n"), fl_slice_str(text));
}

static void on_delay_over(struct net_timer *timer)
{
    struct delayed *delayed = FL_CONTAINER(timer, struct delayed, timer);
    respond(delayed->exchange, 200, fl_buffer_slice(&delayed->fields),
            fl_buffer_slice(&delayed->body));
    fl_buffer_fini(&delayed->fields);
    fl_buffer_fini(&delayed->body);
    fl_free(delayed);
}

static void on_head(struct http_exchange *exchange, void *context, uint64_t *most)
{
    (void)context;
    if (fl_slice_starts_with(http_exchange_head(exchange)->target, FL_SLICE_LIT("/missing")))
        respond_text(exchange, 404, "missing");
    else
        *most = (uint64_t)most_body_bytes;
}

static void respond_stats(struct http_exchange *exchange)
{
    struct fl_buffer text = {0};
    fl_buffer_printf(&text, "%zu %zu %lu %zu %zu", http_server_connection_count(server),
                     http_server_busy_count(server), gone_count, budget.used_bytes,
                     budget.peak_bytes);
    respond(exchange, 200, FL_SLICE_NULL, fl_buffer_slice(&text));
    fl_buffer_fini(&text);
}

static void on_request(struct http_exchange *exchange, void *context)
{
    const struct http_head *head = http_exchange_head(exchange);
    struct fl_slice body = http_exchange_body(exchange);
    (void)context;
    if (fl_slice_eq_str(head->target, "/stats")) {
        respond_stats(exchange);
        return;
    }
    struct delayed *delayed = fl_zalloc(sizeof *delayed);
    fl_buffer_printf(&delayed->fields, "X-Method: %.*s\r\nX-Target: %.*s\r\nX-Length: %zu\r\n",
                     FL_SLICE_ARG(head->method), FL_SLICE_ARG(head->target), body.len);
    fl_buffer_append_slice(&delayed->body, body);
    delayed->exchange = exchange;
    delayed->timer.expired = on_delay_over;
    if (fl_slice_starts_with(head->target, FL_SLICE_LIT("/delay/"))) {
        char text[16];
        snprintf(text, sizeof text, "%.*s", (int)head->target.len - 7, head->target.data + 7);
        net_timer_start(loop, &delayed->timer, net_loop_now_ms(loop) + atoi(text));
    } else {
        on_delay_over(&delayed->timer);
    }
}

static void on_body_failed(struct http_exchange *exchange, enum http_body_failure why,
                           void *context)
{
    (void)context;
    switch (why) {
    case HTTP_BODY_TOO_LARGE:
        respond_text(exchange, 413, "too large");
        return;
    case HTTP_BODY_BAD_CHUNK:
        respond_text(exchange, 400, "bad chunk");
        return;
    case HTTP_BODY_NO_MEMORY:
        respond(exchange, 429, FL_SLICE_LIT("Retry-After: 1\r\n"), FL_SLICE_LIT("no room"));
        return;
    case HTTP_BODY_TIMED_OUT:
        respond_text(exchange, 408, "too slow");
        return;
    }
}

static const struct http_handler handler = {on_head, on_request, on_body_failed};

/* Standard input is a pipe of the test: its end is the end of the test. */
static void on_input(struct net_stream *stream, void *context, unsigned events)
{
    char byte;
    (void)context;
    if ((events & NET_BROKEN) || net_stream_read(stream, &byte, 1) != -1)
        net_loop_stop(loop);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int64_t budget_bytes = 64 * 1024 * 1024;

/* Sets what is asked for; false when a name is unknown or has no value. */
static bool apply_switches(int argc, char **argv, struct http_server_settings *settings)
{
    int64_t head_bytes = (int64_t)settings->most_head_bytes,
            connections = (int64_t)settings->most_connections, pipelined = settings->most_pipelined;
    const struct {
        const char *name;
        int64_t *value;
    } switches[] = {{"--head-bytes", &head_bytes},
                    {"--connections", &connections},
                    {"--pipelined", &pipelined},
                    {"--head-ms", &settings->head_timeout_ms},
                    {"--body-ms", &settings->body_timeout_ms},
                    {"--wait-ms", &settings->body_wait_ms},
                    {"--idle-ms", &settings->idle_timeout_ms},
                    {"--write-ms", &settings->write_timeout_ms},
                    {"--body-bytes", &most_body_bytes},
                    {"--budget", &budget_bytes}};
    for (int i = 1; i < argc; i += 2) {
        bool is_known = false;
        for (size_t j = 0; j < sizeof switches / sizeof *switches && i + 1 < argc; j++) {
            if (strcmp(argv[i], switches[j].name) == 0) {
                *switches[j].value = atoll(argv[i + 1]);
                is_known = true;
            }
        }
        if (!is_known) {
            fprintf(stderr, "http_echo: unknown or without a value: %s\n", argv[i]);
            return false;
        }
    }
    settings->most_head_bytes = (size_t)head_bytes;
    settings->most_connections = (size_t)connections;
    settings->most_pipelined = (unsigned)pipelined;
    return true;
}

int main(int argc, char **argv)
{
    struct http_server_settings settings = http_server_defaults();
    struct net_stream *input = NULL;
    struct fl_error error;
    uint16_t port = 0;
    if (!apply_switches(argc, argv, &settings))
        return 2;
    raise_descriptor_limit();
    if (net_loop_new(&loop, &error) || net_stream_new(loop, STDIN_FILENO, on_input, NULL, &input))
        return 1;
    fl_budget_init(&budget, (size_t)budget_bytes);
    settings.loop = loop;
    settings.budget = &budget;
    settings.handler = &handler;
    server = http_server_new(&settings);
    if (http_server_listen(server, "127.0.0.1", 0, false, &port, &error)) {
        fprintf(stderr, "http_echo: %s\n", error.text);
        return 1;
    }
    printf("port %u\n", port);
    fflush(stdout);
    net_loop_run(loop);
    http_server_free(&server);
    net_stream_close(&input);
    net_loop_free(&loop);
    return 0;
}
