/* The server seen from its handler: order, re-entrance, the ends of connections, the budget's line.
 *
 * Client and server share one thread: a test writes to a socket, lets the loop run until something
 * is true, and reads. What only bytes on the wire show is in tests/integration/http1.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "net/http_server.h"
#include "net/loop.h"

enum { MOST_ASKED = 64, BUDGET_BYTES = 1 << 20, WAIT_MS = 5000 };

static struct net_loop *loop;
static struct fl_budget budget;
static struct http_server *server;
static uint16_t port;

/* Requests that wait for the test's answer, in order of arrival. */
static struct http_exchange *asked[MOST_ASKED];
static int asked_count;
static bool answers_at_once;
/* Called inside on_request, before anything else. */
static void (*during_request)(struct http_exchange *exchange);
static void (*during_head)(struct http_exchange *exchange);
static int failures[8];

static void answer(struct http_exchange *exchange, const char *body, bool closes)
{
    struct http_response response = {.status = 200, .body = fl_slice_str(body), .closes = closes};
    http_exchange_respond(exchange, &response);
}

static void on_head(struct http_exchange *exchange, void *context, uint64_t *most_body_bytes)
{
    assert_ptr_equal(context, failures);
    *most_body_bytes = 100000;
    if (during_head)
        during_head(exchange);
}

static void on_request(struct http_exchange *exchange, void *context)
{
    assert_ptr_equal(context, failures);
    if (during_request)
        during_request(exchange);
    if (answers_at_once) {
        char target[64];
        struct fl_slice path = http_exchange_head(exchange)->target;
        snprintf(target, sizeof target, "%.*s", FL_SLICE_ARG(path));
        answer(exchange, target, false);
    } else {
        assert_true(asked_count < MOST_ASKED);
        asked[asked_count++] = exchange;
    }
}

static void on_body_failed(struct http_exchange *exchange, enum http_body_failure why,
                           void *context)
{
    assert_ptr_equal(context, failures);
    failures[why]++;
    answer(exchange, "failed", false);
}

static const struct http_handler handler = {on_head, on_request, on_body_failed};

static int start(const struct http_server_settings *settings)
{
    struct fl_error error;
    asked_count = 0;
    answers_at_once = false;
    during_request = NULL;
    during_head = NULL;
    memset(failures, 0, sizeof failures);
    server = http_server_new(settings);
    return http_server_listen(server, "127.0.0.1", 0, false, &port, &error);
}

static struct http_server_settings usual_settings(void)
{
    struct http_server_settings settings = http_server_defaults();
    settings.loop = loop;
    settings.budget = &budget;
    settings.handler = &handler;
    settings.context = failures;
    settings.head_timeout_ms = 200;
    settings.most_pipelined = 4;
    return settings;
}

static int set_up(void **state)
{
    (void)state;
    if (net_loop_new(&loop, NULL))
        return -1;
    fl_budget_init(&budget, BUDGET_BYTES);
    struct http_server_settings settings = usual_settings();
    return start(&settings);
}

static int tear_down(void **state)
{
    (void)state;
    http_server_free(&server);
    net_loop_free(&loop);
    /* Nobody keeps a part of the budget. */
    assert_int_equal(budget.used_bytes, 0);
    assert_int_equal(budget.waiting_bytes, 0);
    return 0;
}

/* --- running the loop in slices --- */

static void on_slice_end(struct net_timer *timer)
{
    (void)timer;
    net_loop_stop(loop);
}

static void run_for(int64_t ms)
{
    struct net_timer end = {.expired = on_slice_end};
    net_timer_start(loop, &end, net_loop_now_ms(loop) + ms);
    net_loop_run(loop);
    net_timer_stop(loop, &end);
}

#define RUN_UNTIL(claim)                                                                           \
    do {                                                                                           \
        int64_t give_up_at = fl_clock_ms() + WAIT_MS;                                              \
        while (!(claim) && fl_clock_ms() < give_up_at)                                             \
            run_for(1);                                                                            \
        assert_true(claim);                                                                        \
    } while (0)

/* --- clients --- */

struct client {
    int fd;
    size_t len;
    bool is_ended;
    char bytes[64 * 1024];
};

static struct client *connect_client(struct client *client)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->len = 0;
    client->is_ended = false;
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&to, sizeof to), 0);
    return client;
}

static void send_text(struct client *client, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(client->fd, text, len, MSG_NOSIGNAL), len);
}

/* Takes what has come; the bytes always end in a NUL. */
static const char *received(struct client *client)
{
    for (;;) {
        ssize_t n = recv(client->fd, client->bytes + client->len,
                         sizeof client->bytes - 1 - client->len, MSG_DONTWAIT);
        if (n <= 0) {
            client->is_ended |= n == 0;
            client->bytes[client->len] = 0;
            return client->bytes;
        }
        client->len += (size_t)n;
    }
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

static bool has_ended(struct client *client)
{
    received(client);
    return client->is_ended;
}

static void hang_up(struct client *client)
{
    close(client->fd);
    RUN_UNTIL(http_server_connection_count(server) == 0);
}

static void reset(struct client *client)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(client->fd);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n"

/* --- cases --- */

static void answers_leave_in_the_order_of_requests(void **state)
{
    struct client client;
    (void)state;
    send_text(connect_client(&client), GET("/a") GET("/b") GET("/c"));
    RUN_UNTIL(asked_count == 3);
    assert_int_equal(http_server_busy_count(server), 3);
    answer(asked[2], "third", false);
    answer(asked[1], "second", false);
    run_for(20);
    assert_int_equal(strlen(received(&client)), 0);
    answer(asked[0], "first", false);
    RUN_UNTIL(count_of(received(&client), "HTTP/1.1 200") == 3);
    const char *first = strstr(client.bytes, "first"), *second = strstr(client.bytes, "second");
    assert_true(first && second > first && strstr(client.bytes, "third") > second);
    assert_int_equal(http_server_busy_count(server), 0);
    hang_up(&client);
}

static void a_shorter_request_behind_one_in_pieces_is_answered(void **state)
{
    struct client client;
    (void)state;
    answers_at_once = true;
    send_text(connect_client(&client), "GET /a-rather-long-target-it-is HTTP/1.1\r\n");
    run_for(10);
    send_text(&client, "Host: h\r\nX-Long: 0123456789012345678901234567890\r\n\r\n" GET("/b"));
    RUN_UNTIL(count_of(received(&client), "HTTP/1.1 200") == 2);
    hang_up(&client);
}

static void a_head_in_pieces_behind_an_answer_has_its_time_limit(void **state)
{
    struct client client;
    (void)state;
    answers_at_once = true;
    send_text(connect_client(&client), GET("/a") "GET /b HT");
    int64_t began = fl_clock_ms();
    RUN_UNTIL(strstr(received(&client), "HTTP/1.1 408"));
    assert_true(fl_clock_ms() - began >= 150);
    RUN_UNTIL(has_ended(&client));
    hang_up(&client);
}

static void reading_pauses_while_too_many_wait_and_goes_on_after(void **state)
{
    struct client client;
    (void)state;
    send_text(connect_client(&client), GET("/1") GET("/2") GET("/3") GET("/4") GET("/5") GET("/6"));
    RUN_UNTIL(asked_count == 4);
    send_text(&client, GET("/7") GET("/8"));
    run_for(20);
    assert_int_equal(asked_count, 4);
    for (int i = 0; i < 8; i++) {
        RUN_UNTIL(asked_count > i);
        answer(asked[i], "x", false);
    }
    RUN_UNTIL(count_of(received(&client), "HTTP/1.1 200") == 8);
    hang_up(&client);
}

static struct http_exchange *answered_inside;

static void answer_another(struct http_exchange *exchange)
{
    struct http_exchange *other = answered_inside;
    answered_inside = NULL;
    if (other)
        answer(other, "from inside", false);
    assert_true(fl_slice_eq_str(http_exchange_head(exchange)->target, "/inside"));
    during_request = NULL;
}

static void a_request_in_hand_is_not_disturbed_by_another_that_goes_on(void **state)
{
    struct client paused, other;
    (void)state;
    send_text(connect_client(&paused), GET("/1") GET("/2") GET("/3") GET("/4") GET("/5"));
    RUN_UNTIL(asked_count == 4);
    answered_inside = asked[0];
    during_request = answer_another;
    send_text(connect_client(&other), GET("/inside"));
    RUN_UNTIL(asked_count == 6);
    for (int i = 1; i < 6; i++)
        answer(asked[i], "x", false);
    RUN_UNTIL(count_of(received(&paused), "HTTP/1.1 200") == 5);
    RUN_UNTIL(count_of(received(&other), "HTTP/1.1 200") == 1);
    close(paused.fd);
    hang_up(&other);
}

static void give_back(struct http_exchange *exchange)
{
    if (!fl_slice_eq_str(http_exchange_head(exchange)->target, "/inside"))
        return;
    fl_budget_release(&budget, BUDGET_BYTES);
    assert_true(fl_slice_eq_str(http_exchange_head(exchange)->target, "/inside"));
    assert_true(fl_slice_eq_str(http_exchange_body(exchange), "abc"));
}

static void a_request_in_hand_is_not_disturbed_by_a_body_that_is_granted(void **state)
{
    struct client waiting, other;
    (void)state;
    fl_budget_charge(&budget, BUDGET_BYTES);
    send_text(connect_client(&waiting), POST("/waiting", "5000000000"));
    RUN_UNTIL(failures[HTTP_BODY_TOO_LARGE] == 1);
    close(waiting.fd);
    send_text(connect_client(&waiting), POST("/waiting", "5") "12");
    run_for(20);
    send_text(&waiting, "345");
    run_for(20);
    assert_int_equal(asked_count, 0);
    during_request = give_back;
    send_text(connect_client(&other), POST("/inside", "3") "abc");
    RUN_UNTIL(asked_count == 2);
    answer(asked[0], "x", false);
    answer(asked[1], "x", false);
    RUN_UNTIL(count_of(received(&waiting), "HTTP/1.1 200") == 1);
    RUN_UNTIL(count_of(received(&other), "HTTP/1.1 200") == 1);
    close(waiting.fd);
    hang_up(&other);
}

static void nothing_follows_an_answer_that_closes(void **state)
{
    struct client client;
    (void)state;
    send_text(connect_client(&client), GET("/a") GET("/b") GET("/c") POST("/d", "10") "123");
    RUN_UNTIL(asked_count == 3);
    answer(asked[1], "early", false);
    answer(asked[0], "last", true);
    RUN_UNTIL(has_ended(&client));
    assert_int_equal(count_of(client.bytes, "HTTP/1.1 "), 1);
    assert_int_equal(count_of(client.bytes, "Connection: close\r\n"), 1);
    assert_false(http_exchange_is_alive(asked[2]));
    answer(asked[2], "nowhere", false);
    hang_up(&client);
}

static void close_first_in_line(struct http_exchange *exchange)
{
    if (fl_slice_eq_str(http_exchange_head(exchange)->target, "/b"))
        answer(asked[0], "last", true);
}

static void the_line_may_end_while_a_head_is_looked_at(void **state)
{
    struct client client;
    (void)state;
    during_head = close_first_in_line;
    send_text(connect_client(&client), GET("/a") GET("/b"));
    RUN_UNTIL(has_ended(&client));
    assert_int_equal(asked_count, 1);
    hang_up(&client);
    assert_int_equal(http_server_busy_count(server), 0);
}

static void refuse_at_head(struct http_exchange *exchange)
{
    answer(exchange, "refused", false);
}

static void an_answer_before_an_unread_body_says_that_it_closes(void **state)
{
    struct client client;
    (void)state;
    during_head = refuse_at_head;
    send_text(connect_client(&client), POST("/a", "10") "123");
    RUN_UNTIL(has_ended(&client));
    assert_int_equal(count_of(client.bytes, "Connection: close\r\n"), 1);
    assert_int_equal(asked_count, 0);
    hang_up(&client);
}

static void an_answer_before_a_body_that_is_in_hand_keeps_the_connection(void **state)
{
    struct client client;
    (void)state;
    during_head = refuse_at_head;
    send_text(connect_client(&client), POST("/a", "3") "123" GET("/b"));
    RUN_UNTIL(count_of(received(&client), "HTTP/1.1 200") == 2);
    assert_int_equal(count_of(client.bytes, "Connection: close\r\n"), 0);
    hang_up(&client);
}

static void a_reset_is_noticed_while_answers_are_pending(void **state)
{
    struct client client;
    (void)state;
    send_text(connect_client(&client), GET("/a"));
    RUN_UNTIL(asked_count == 1);
    assert_true(http_exchange_is_alive(asked[0]));
    reset(&client);
    RUN_UNTIL(!http_exchange_is_alive(asked[0]));
    assert_int_equal(http_server_connection_count(server), 0);
    assert_int_equal(http_server_busy_count(server), 0);
    answer(asked[0], "nowhere", false);
}

static void a_reset_is_noticed_while_reading_is_paused(void **state)
{
    struct client client;
    (void)state;
    send_text(connect_client(&client), GET("/1") GET("/2") GET("/3") GET("/4") GET("/5"));
    RUN_UNTIL(asked_count == 4);
    answer(asked[2], "early", false);
    reset(&client);
    RUN_UNTIL(!http_exchange_is_alive(asked[0]));
    answer(asked[0], "nowhere", false);
    answer(asked[1], "nowhere", false);
    answer(asked[3], "nowhere", false);
    assert_int_equal(asked_count, 4);
}

static void a_reset_is_noticed_while_waiting_for_the_budget(void **state)
{
    struct client client;
    (void)state;
    fl_budget_charge(&budget, BUDGET_BYTES);
    send_text(connect_client(&client), POST("/a", "10") "123");
    RUN_UNTIL(!fl_list_is_empty(&budget.line));
    reset(&client);
    RUN_UNTIL(http_server_connection_count(server) == 0);
    assert_true(fl_list_is_empty(&budget.line));
    fl_budget_release(&budget, BUDGET_BYTES);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
    struct client client;
    (void)state;
    send_text(connect_client(&client), GET("/a") GET("/b"));
    shutdown(client.fd, SHUT_WR);
    RUN_UNTIL(asked_count == 2);
    run_for(20);
    assert_true(http_exchange_is_alive(asked[0]));
    answer(asked[1], "b", false);
    answer(asked[0], "a", false);
    RUN_UNTIL(has_ended(&client));
    assert_int_equal(count_of(client.bytes, "HTTP/1.1 200"), 2);
    hang_up(&client);
}

static void a_freed_server_leaves_unanswered_exchanges_valid(void **state)
{
    struct client client, gone;
    (void)state;
    send_text(connect_client(&gone), GET("/a"));
    RUN_UNTIL(asked_count == 1);
    reset(&gone);
    RUN_UNTIL(!http_exchange_is_alive(asked[0]));
    send_text(connect_client(&client), GET("/b") GET("/c"));
    RUN_UNTIL(asked_count == 3);
    answer(asked[2], "early", false);
    http_server_free(&server);
    assert_false(http_exchange_is_alive(asked[1]));
    answer(asked[0], "nowhere", false);
    answer(asked[1], "nowhere", false);
    close(client.fd);
}

static void a_stopped_server_answers_what_is_pending_and_then_closes(void **state)
{
    struct client client, idle;
    (void)state;
    connect_client(&idle);
    send_text(connect_client(&client), GET("/a") GET("/b"));
    RUN_UNTIL(asked_count == 2);
    http_server_stop(server);
    RUN_UNTIL(has_ended(&idle));
    answer(asked[0], "a", false);
    run_for(10);
    answer(asked[1], "b", false);
    RUN_UNTIL(has_ended(&client));
    assert_int_equal(count_of(client.bytes, "HTTP/1.1 200"), 2);
    assert_int_equal(count_of(client.bytes, "Connection: close\r\n"), 1);
    close(idle.fd);
    hang_up(&client);
}

static void a_continue_is_sent_when_its_request_is_first_in_line(void **state)
{
    struct client client;
    (void)state;
    send_text(connect_client(&client),
              GET("/a") "POST /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                        "Content-Length: 2\r\n\r\n");
    RUN_UNTIL(asked_count == 1);
    run_for(20);
    assert_int_equal(strlen(received(&client)), 0);
    answer(asked[0], "first", false);
    RUN_UNTIL(strstr(received(&client), "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_true(strstr(client.bytes, "first") < strstr(client.bytes, "100 Continue"));
    send_text(&client, "ok");
    RUN_UNTIL(asked_count == 2);
    answer(asked[1], "second", false);
    RUN_UNTIL(count_of(received(&client), "HTTP/1.1 200") == 2);
    hang_up(&client);
}

static void a_body_that_finds_no_memory_fails_politely(void **state)
{
    struct client client;
    (void)state;
    fl_alloc_fail_at(1);
    send_text(connect_client(&client), "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                                       "chunked\r\n\r\n5\r\nhello\r\n");
    RUN_UNTIL(has_ended(&client));
    assert_int_equal(failures[HTTP_BODY_NO_MEMORY], 1);
    hang_up(&client);
    fl_alloc_fail_at(1);
    send_text(connect_client(&client), POST("/a", "50000") "12");
    RUN_UNTIL(has_ended(&client));
    fl_alloc_fail_at(0);
    assert_int_equal(failures[HTTP_BODY_NO_MEMORY], 2);
    assert_non_null(strstr(client.bytes, "failed"));
    hang_up(&client);
}

static void waiting_too_long_for_the_budget_fails(void **state)
{
    struct client client;
    struct http_server_settings settings = usual_settings();
    (void)state;
    http_server_free(&server);
    settings.body_wait_ms = 50;
    assert_int_equal(start(&settings), FL_OK);
    fl_budget_charge(&budget, BUDGET_BYTES);
    send_text(connect_client(&client), POST("/a", "10") "123");
    RUN_UNTIL(has_ended(&client));
    assert_int_equal(failures[HTTP_BODY_NO_MEMORY], 1);
    fl_budget_release(&budget, BUDGET_BYTES);
    hang_up(&client);
}

static void at_the_bound_of_connections_accepting_stops(void **state)
{
    struct client first, second;
    struct http_server_settings settings = usual_settings();
    (void)state;
    http_server_free(&server);
    settings.most_connections = 1;
    assert_int_equal(start(&settings), FL_OK);
    answers_at_once = true;
    send_text(connect_client(&first), GET("/a"));
    RUN_UNTIL(strstr(received(&first), "HTTP/1.1 200"));
    send_text(connect_client(&second), GET("/b"));
    run_for(30);
    assert_int_equal(http_server_connection_count(server), 1);
    assert_int_equal(strlen(received(&second)), 0);
    close(first.fd);
    RUN_UNTIL(strstr(received(&second), "HTTP/1.1 200"));
    hang_up(&second);
}

static bool has_passed;

static void on_passed(struct net_timer *timer)
{
    (void)timer;
    has_passed = true;
}

static void a_client_that_takes_nothing_is_dropped_however_many_answers_queue(void **state)
{
    struct client client;
    struct http_server_settings settings = usual_settings();
    static char large[2 * 1024 * 1024 + 1];
    (void)state;
    http_server_free(&server);
    settings.write_timeout_ms = 500;
    assert_int_equal(start(&settings), FL_OK);
    memset(large, 'x', sizeof large - 1);
    connect_client(&client);
    int room = 4096;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    send_text(&client, GET("/1") GET("/2") GET("/3") GET("/4"));
    RUN_UNTIL(asked_count == 4);
    answer(asked[0], large, false);
    answer(asked[1], large, false);
    answer(asked[2], large, false);
    run_for(300);
    answer(asked[3], "x", false);
    /* A limit that began with the last answer would not have passed before this. */
    has_passed = false;
    struct net_timer later = {.expired = on_passed};
    net_timer_start(loop, &later, net_loop_now_ms(loop) + settings.write_timeout_ms);
    RUN_UNTIL(http_server_connection_count(server) == 0);
    assert_false(has_passed);
    net_timer_stop(loop, &later);
    close(client.fd);
}

static void a_large_answer_counts_in_the_budget_until_it_is_taken(void **state)
{
    struct client client;
    static char large[4 * 1024 * 1024 + 1];
    size_t taken = 0;
    ssize_t n;
    (void)state;
    memset(large, 'x', sizeof large - 1);
    connect_client(&client);
    send_text(&client, GET("/1") GET("/2"));
    RUN_UNTIL(asked_count == 2);
    answer(asked[1], large, false); /* before its turn */
    assert_true(budget.used_bytes >= sizeof large - 1);
    answer(asked[0], "x", false);
    run_for(1);
    assert_true(budget.used_bytes > 0);
    while (taken < sizeof large - 1) {
        while ((n = recv(client.fd, client.bytes, sizeof client.bytes, MSG_DONTWAIT)) > 0)
            taken += (size_t)n;
        run_for(1);
    }
    RUN_UNTIL(budget.used_bytes == 0);
    hang_up(&client);
}

static void a_unix_socket_replaces_a_stale_file_and_removes_its_own(void **state)
{
    char folder[] = "/tmp/fairlead-http-XXXXXX", path[64];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct fl_error error;
    struct client client = {.len = 0};
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    fclose(fopen(path, "w"));
    assert_int_equal(http_server_listen_unix(server, path, &error), FL_OK);
    answers_at_once = true;
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    client.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&to, sizeof to), 0);
    send_text(&client, GET("/a"));
    RUN_UNTIL(strstr(received(&client), "HTTP/1.1 200"));
    hang_up(&client);
    http_server_stop(server);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void addresses_that_cannot_be_had_are_told(void **state)
{
    struct fl_error error;
    char path[200];
    uint16_t other = 0;
    (void)state;
    assert_int_equal(http_server_listen(server, "127.0.0.1", port, false, NULL, &error),
                     FL_ERR_SYSTEM);
    assert_non_null(strstr(error.text, "bind: Address already in use"));
    assert_int_equal(http_server_listen(server, "localhost", 0, false, NULL, &error),
                     FL_ERR_INVALID);
    assert_int_equal(http_server_listen(server, "", 0, false, &other, &error), FL_OK);
    assert_int_not_equal(other, 0);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    assert_int_equal(http_server_listen_unix(server, path, &error), FL_ERR_TOO_LARGE);
    enum fl_err err = FL_OK;
    for (int i = 0; i < 20 && !err; i++)
        err = http_server_listen(server, "127.0.0.1", 0, false, NULL, &error);
    assert_int_equal(err, FL_ERR_TOO_LARGE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(answers_leave_in_the_order_of_requests),
        CASE(a_shorter_request_behind_one_in_pieces_is_answered),
        CASE(a_head_in_pieces_behind_an_answer_has_its_time_limit),
        CASE(reading_pauses_while_too_many_wait_and_goes_on_after),
        CASE(a_request_in_hand_is_not_disturbed_by_another_that_goes_on),
        CASE(a_request_in_hand_is_not_disturbed_by_a_body_that_is_granted),
        CASE(nothing_follows_an_answer_that_closes),
        CASE(the_line_may_end_while_a_head_is_looked_at),
        CASE(an_answer_before_an_unread_body_says_that_it_closes),
        CASE(an_answer_before_a_body_that_is_in_hand_keeps_the_connection),
        CASE(a_reset_is_noticed_while_answers_are_pending),
        CASE(a_reset_is_noticed_while_reading_is_paused),
        CASE(a_reset_is_noticed_while_waiting_for_the_budget),
        CASE(a_half_closed_client_gets_its_answers),
        CASE(a_freed_server_leaves_unanswered_exchanges_valid),
        CASE(a_stopped_server_answers_what_is_pending_and_then_closes),
        CASE(a_continue_is_sent_when_its_request_is_first_in_line),
        CASE(a_body_that_finds_no_memory_fails_politely),
        CASE(waiting_too_long_for_the_budget_fails),
        CASE(at_the_bound_of_connections_accepting_stops),
        CASE(a_client_that_takes_nothing_is_dropped_however_many_answers_queue),
        CASE(a_large_answer_counts_in_the_budget_until_it_is_taken),
        CASE(a_unix_socket_replaces_a_stale_file_and_removes_its_own),
        CASE(addresses_that_cannot_be_had_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
