/* Lines of pipes and files: whole ones, long ones, the last one, and a reader that pauses. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "net/lines.h"

static struct net_loop *loop;
static struct net_lines *lines;
static struct fl_buffer got; /* each line, '|' behind it, '+' behind a piece, '.' at the end */
static size_t pause_after;   /* lines; 0: never */
static size_t line_count;

static int set_up(void **state)
{
    (void)state;
    line_count = pause_after = 0;
    return net_loop_new(&loop, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    net_lines_free(&lines);
    net_loop_free(&loop);
    fl_buffer_fini(&got);
    return 0;
}

static void on_line(void *context, struct fl_slice line, bool is_cut)
{
    (void)context;
    fl_buffer_append_slice(&got, line);
    fl_buffer_append_byte(&got, is_cut ? '+' : '|');
    if (++line_count == pause_after) {
        net_lines_pause(lines);
        net_loop_stop(loop);
    }
}

static void on_end(void *context, const char *reason)
{
    (void)context;
    fl_buffer_append_str(&got, reason ? "!" : ".");
    net_lines_free(&lines);
    net_loop_stop(loop);
}

static void read_from(int fd, size_t most_bytes)
{
    struct net_lines_settings settings = {
        .loop = loop, .fd = fd, .most_bytes = most_bytes, .on_line = on_line, .on_end = on_end};
    assert_int_equal(net_lines_new(&settings, &lines, NULL), FL_OK);
    net_loop_run(loop);
}

static int pipe_of(const char *text)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[1]);
    return ends[0];
}

static int file_of(const char *text)
{
    char path[] = "/tmp/lines_test_XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

typedef int source_fn(const char *text);
static source_fn *const sources[] = {pipe_of, file_of};

static void check(const char *text, size_t most_bytes, const char *wanted)
{
    for (size_t i = 0; i < 2; i++) {
        int fd = sources[i](text);
        fl_buffer_clear(&got);
        read_from(fd, most_bytes);
        assert_string_equal(fl_buffer_cstr(&got), wanted);
        close(fd);
    }
}

static void lines_come_one_by_one(void **state)
{
    (void)state;
    check("a\nbc\n\nd\n", 10, "a|bc||d|.");
    check("", 10, ".");
    check("\n", 10, "|.");
}

static void the_last_line_needs_no_end(void **state)
{
    (void)state;
    check("a\nbc", 10, "a|bc|.");
}

static void a_long_line_comes_in_pieces(void **state)
{
    (void)state;
    check("abcdefg\nh\n", 3, "abc+def+g|h|.");
    check("abc\nabcd", 3, "abc|abc+d|.");
}

static void a_paused_reader_is_quiet_and_goes_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int fd = sources[i]("a\nb\nc\nd");
        fl_buffer_clear(&got);
        line_count = 0;
        pause_after = 2;
        read_from(fd, 10);
        assert_string_equal(fl_buffer_cstr(&got), "a|b|");
        net_lines_resume(lines);
        net_loop_run(loop);
        assert_string_equal(fl_buffer_cstr(&got), "a|b|c|d|.");
        close(fd);
    }
}

static void the_descriptor_keeps_its_mode(void **state)
{
    (void)state;
    int fd = pipe_of("a\n");
    read_from(fd, 10);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    close(fd);
}

static void finishing_takes_what_is_there(void **state)
{
    (void)state;
    int ends[2];
    struct net_lines_settings settings = {
        .loop = loop, .most_bytes = 10, .on_line = on_line, .on_end = on_end};
    assert_int_equal(pipe(ends), 0);
    settings.fd = ends[0];
    assert_int_equal(net_lines_new(&settings, &lines, NULL), FL_OK);
    assert_int_equal(write(ends[1], "a\nb", 3), 3);
    net_lines_finish(lines);
    assert_string_equal(fl_buffer_cstr(&got), "a|b|");
    close(ends[0]);
    close(ends[1]);
}

static void a_descriptor_that_cannot_be_read_says_why(void **state)
{
    (void)state;
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    read_from(fd, 10);
    assert_string_equal(fl_buffer_cstr(&got), "!");
    close(fd);
}

static void many_short_lines_cost_no_copies_of_the_rest(void **state)
{
    (void)state;
    size_t count = 300000;
    struct fl_buffer text = {0};
    for (size_t i = 0; i < count; i++)
        fl_buffer_append_str(&text, "x\n");
    int fd = file_of(fl_buffer_cstr(&text));
    read_from(fd, 10);
    assert_int_equal(line_count, count);
    close(fd);
    fl_buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_come_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_line_needs_no_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_line_comes_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_paused_reader_is_quiet_and_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_descriptor_keeps_its_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finishing_takes_what_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_descriptor_that_cannot_be_read_says_why, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(many_short_lines_cost_no_copies_of_the_rest, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
