/* The loop's side: bounds, waiting for room in the budget, closing.
 *
 * The peers are a socket that listens and never accepts, so that a call is connected and hears
 * nothing, and a port that nobody listens on, so that a call which has begun fails at once.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/http/http.h"
#include "connectors/http/http_priv.h"
#include "tests/conformance/fake_gateway.c"

enum { PATIENCE_MS = 20000 };

static struct fake_gateway *fake;
static int silent_fd;
static char silent_url[64], dead_url[64];
static struct fake_call calls[CN_HTTP_MOST_CALLS + 1];

static int open_port(char *url, size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return -1;
    snprintf(url, room, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    memset(calls, 0, sizeof calls);
    silent_fd = open_port(silent_url, sizeof silent_url);
    int dead_fd = open_port(dead_url, sizeof dead_url);
    return silent_fd < 0 || listen(silent_fd, 16) != 0 || dead_fd < 0 || close(dead_fd) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(silent_fd);
    return 0;
}

static void open_with(const char *url, const char *timeout)
{
    struct fl_error error;
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("url"), .value = fl_slice_str(url)},
        {.name = FL_SLICE_LIT("responseTimeout"), .value = fl_slice_str(timeout)},
    };
    fake = fake_gateway_new(&cn_http_type, values, timeout ? 2 : 1, PATIENCE_MS, 20, &error);
    assert_non_null(fake);
    assert_true(fake_wait_up(fake));
}

static void end(void)
{
    char complaint[256];
    fake_gateway_free(&fake, complaint, sizeof complaint);
    assert_string_equal(complaint, "");
}

static enum fl_err invoke(struct fake_call *call, struct fl_slice data, int64_t deadline_ms)
{
    struct fl_error error;
    struct connector_call what = {
        .operation = FL_SLICE_LIT("post"),
        .data = data,
        .deadline_at_ms = deadline_ms ? net_loop_now_ms(fake->loop) + deadline_ms : INT64_MAX,
        .token = call,
    };
    fake->inside++;
    enum fl_err err = fake->connector->type->invoke(fake->connector, &what, &error);
    fake->inside--;
    return err;
}

static bool was_answered(const void *object, size_t number)
{
    return ((const struct fake_call *)object)->answers >= number;
}

static void assert_answer(struct fake_call *call, enum fl_err code)
{
    assert_true(fake_wait(fake, was_answered, call, 1));
    assert_int_equal(call->answers, 1);
    assert_int_equal(call->code, code);
}

static void take_all_room(void)
{
    fl_budget_charge(&fake->budget, fake->budget.total_bytes);
}

static void give_all_room(void)
{
    fl_budget_release(&fake->budget, fake->budget.total_bytes);
}

static void a_call_waits_for_room_and_then_begins(void **state)
{
    (void)state;
    open_with(dead_url, NULL);
    take_all_room();
    assert_int_equal(invoke(&calls[0], FL_SLICE_LIT("abc"), 0), FL_OK);
    fake_run_quietly(fake, 50);
    assert_int_equal(calls[0].answers, 0);
    assert_true(fake->budget.waiting_bytes > 0);
    give_all_room();
    assert_answer(&calls[0], FL_ERR_REFUSED);
    assert_int_equal(fake->budget.waiting_bytes, 0);
    end();
}

static void a_wait_for_room_ends_at_the_deadline(void **state)
{
    (void)state;
    open_with(dead_url, NULL);
    take_all_room();
    assert_int_equal(invoke(&calls[0], FL_SLICE_LIT("abc"), 20), FL_OK);
    assert_answer(&calls[0], FL_ERR_AGAIN);
    assert_int_equal(fake->budget.waiting_bytes, 0);
    give_all_room();
    end();
}

static void a_wait_for_room_ends_when_the_component_closes(void **state)
{
    (void)state;
    open_with(dead_url, NULL);
    take_all_room();
    for (int i = 0; i < 3; i++)
        assert_int_equal(invoke(&calls[i], FL_SLICE_LIT("abc"), 0), FL_OK);
    fake_close(fake, PATIENCE_MS);
    /* What is granted after the closing began is given back. */
    give_all_room();
    assert_true(fake_wait_closed(fake));
    for (int i = 0; i < 3; i++)
        assert_answer(&calls[i], FL_ERR_CLOSED);
    assert_int_equal(fake->budget.waiting_bytes, 0);
    end();
}

static void what_can_never_have_room_is_refused_at_once(void **state)
{
    (void)state;
    open_with(dead_url, NULL);
    size_t held = fake->budget.total_bytes / 2;
    fl_budget_charge(&fake->budget, held);
    size_t len = fake->budget.total_bytes - fake->budget.total_bytes / 8;
    char *data = fl_zalloc(len);
    assert_int_equal(invoke(&calls[0], fl_slice_of(data, len), 0), FL_ERR_AGAIN);
    fl_free(data);
    fl_budget_release(&fake->budget, held);
    end();
}

static void calls_are_bounded(void **state)
{
    (void)state;
    open_with(silent_url, NULL);
    for (int i = 0; i < CN_HTTP_MOST_CALLS; i++)
        assert_int_equal(invoke(&calls[i], FL_SLICE_NULL, 0), FL_OK);
    assert_int_equal(invoke(&calls[CN_HTTP_MOST_CALLS], FL_SLICE_NULL, 0), FL_ERR_AGAIN);
    fake_close(fake, 0);
    assert_true(fake_wait_closed(fake));
    for (int i = 0; i < CN_HTTP_MOST_CALLS; i++)
        assert_answer(&calls[i], FL_ERR_CLOSED);
    end();
}

static void the_earlier_limit_counts(void **state)
{
    (void)state;
    open_with(silent_url, "10ms");
    assert_int_equal(invoke(&calls[0], FL_SLICE_NULL, 0), FL_OK);
    assert_int_equal(invoke(&calls[1], FL_SLICE_NULL, PATIENCE_MS * 10), FL_OK);
    assert_answer(&calls[0], FL_ERR_TIMEOUT);
    assert_answer(&calls[1], FL_ERR_TIMEOUT);
    end();
    open_with(silent_url, "10000s");
    memset(calls, 0, sizeof calls);
    assert_int_equal(invoke(&calls[0], FL_SLICE_NULL, 10), FL_OK);
    assert_answer(&calls[0], FL_ERR_TIMEOUT);
    end();
}

static size_t thread_count(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void closing_ends_the_thread_though_a_peer_is_silent(void **state)
{
    (void)state;
    /* A sanitizer starts a thread of its own with the first of ours. */
    open_with(silent_url, NULL);
    end();
    size_t before = thread_count();
    open_with(silent_url, NULL);
    assert_true(thread_count() > before);
    assert_int_equal(invoke(&calls[0], FL_SLICE_NULL, 0), FL_OK);
    fake_run_quietly(fake, 20);
    fake_close(fake, 0);
    assert_true(fake_wait_closed(fake));
    assert_answer(&calls[0], FL_ERR_CLOSED);
    /* Joined, not abandoned. */
    assert_int_equal(thread_count(), before);
    end();
}

static void a_closing_component_takes_no_call(void **state)
{
    (void)state;
    open_with(silent_url, NULL);
    fake_close(fake, PATIENCE_MS);
    assert_int_equal(invoke(&calls[0], FL_SLICE_NULL, 0), FL_ERR_CLOSED);
    assert_true(fake_wait_closed(fake));
    end();
}

static void header_fields_of_a_call_count(void **state)
{
    enum { LEN = 1 << 20 };
    (void)state;
    open_with(silent_url, NULL);
    char *value = fl_alloc(LEN);
    memset(value, 'x', LEN);
    const struct ce_metadata metadata[] = {{FL_SLICE_LIT("X-A"), fl_slice_of(value, LEN)},
                                           {FL_SLICE_LIT("path"), fl_slice_of(value, LEN)}};
    struct connector_call what = {
        .operation = FL_SLICE_LIT("get"),
        .metadata = metadata,
        .metadata_count = 2,
        .deadline_at_ms = INT64_MAX,
        .token = &calls[0],
    };
    struct fl_error error;
    assert_int_equal(cn_http_type.invoke(fake->connector, &what, &error), FL_OK);
    /* Ours and libcurl's. */
    assert_true(fake->budget.used_bytes >= 4 * LEN);
    fl_free(value);
    fake_close(fake, 0);
    assert_true(fake_wait_closed(fake));
    assert_int_equal(fake->budget.used_bytes, 0);
    end();
}

static bool asks_for_room(const struct cn_http *http)
{
    return !fl_list_is_empty(&http->asking);
}

/* Nothing calls back into the gateway meanwhile, so it is looked at again and again. */
static void wait_until_it_asks(const struct cn_http *http, bool it_does)
{
    int64_t end_ms = net_loop_now_ms(fake->loop) + PATIENCE_MS / 2;
    while (asks_for_room(http) != it_does && net_loop_now_ms(fake->loop) < end_ms)
        fake_run_quietly(fake, 2);
    assert_int_equal(asks_for_room(http), it_does);
}

/* The connection of a call whose server has announced 1 MiB, for which there is no room. */
static int announce_much(struct cn_http *http)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\nx";
    assert_int_equal(invoke(&calls[0], FL_SLICE_NULL, 0), FL_OK);
    take_all_room();
    int fd = accept(silent_fd, NULL, NULL);
    assert_int_equal(write(fd, head, sizeof head - 1), sizeof head - 1);
    wait_until_it_asks(http, true);
    return fd;
}

static void an_answer_that_waits_for_room_goes_on_when_there_is_some(void **state)
{
    static char rest[1048575];
    (void)state;
    open_with(silent_url, NULL);
    struct cn_http *http = cn_http_of(fake->connector);
    int fd = announce_much(http);
    give_all_room();
    wait_until_it_asks(http, false);
    /* The peer's buffers may be small: it is read while this is written. */
    assert_int_equal(write(fd, rest, sizeof rest), sizeof rest);
    assert_answer(&calls[0], FL_OK);
    assert_int_equal(calls[0].data.len, sizeof rest + 1);
    close(fd);
    end();
}

static void an_answer_that_waits_leaves_the_last_eighth_and_the_line_to_others(void **state)
{
    struct fl_budget_wish small = {.bytes = 1};
    (void)state;
    open_with(silent_url, NULL);
    struct cn_http *http = cn_http_of(fake->connector);
    int fd = announce_much(http);
    size_t spare = fake->budget.total_bytes / 8;
    fl_budget_release(&fake->budget, spare);
    fake_run_quietly(fake, 100);
    assert_true(asks_for_room(http));
    assert_true(fl_budget_try_take(&fake->budget, small.bytes));
    fl_budget_release(&fake->budget, fake->budget.total_bytes - spare + small.bytes);
    wait_until_it_asks(http, false);
    close(fd);
    assert_answer(&calls[0], FL_ERR_REFUSED);
    end();
}

static void an_answer_that_waits_for_room_ends_when_the_component_closes(void **state)
{
    (void)state;
    open_with(silent_url, NULL);
    int fd = announce_much(cn_http_of(fake->connector));
    fake_close(fake, 50);
    assert_true(fake_wait_closed(fake));
    assert_int_equal(calls[0].answers, 1);
    assert_int_not_equal(calls[0].code, FL_OK);
    give_all_room();
    assert_int_equal(fake->budget.used_bytes, 0);
    close(fd);
    end();
}

int main(void)
{
    setenv("no_proxy", "*", 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        /* First, so that it counts no thread that another test left behind. */
        TEST(closing_ends_the_thread_though_a_peer_is_silent),
        TEST(a_call_waits_for_room_and_then_begins),
        TEST(a_wait_for_room_ends_at_the_deadline),
        TEST(a_wait_for_room_ends_when_the_component_closes),
        TEST(what_can_never_have_room_is_refused_at_once),
        TEST(calls_are_bounded),
        TEST(the_earlier_limit_counts),
        TEST(a_closing_component_takes_no_call),
        TEST(header_fields_of_a_call_count),
        TEST(an_answer_that_waits_for_room_goes_on_when_there_is_some),
        TEST(an_answer_that_waits_leaves_the_last_eighth_and_the_line_to_others),
        TEST(an_answer_that_waits_for_room_ends_when_the_component_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
