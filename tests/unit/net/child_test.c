/* Children: what they print, how they end, what they leave behind, and a port that is free. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "net/child.h"
#include "net/port.h"

enum { DEADLINE_MS = 20000 };

static struct net_loop *loop;
static struct net_child *child;
static struct fl_buffer out, err; /* a line end behind each line */
static int status;
static struct net_timer timer;

static int set_up(void **state)
{
    (void)state;
    status = -1;
    return net_loop_new(&loop, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    net_child_free(&child);
    net_timer_stop(loop, &timer);
    net_loop_free(&loop);
    fl_buffer_fini(&out);
    fl_buffer_fini(&err);
    return 0;
}

static void on_line(void *context, struct fl_slice line, bool is_cut, bool is_error)
{
    struct fl_buffer *to = is_error ? &err : &out;
    (void)context;
    (void)is_cut;
    fl_buffer_append_slice(to, line);
    fl_buffer_append_byte(to, '\n');
    if (fl_slice_eq_str(line, "ready"))
        net_loop_stop(loop);
}

static void on_end(void *context, int number)
{
    (void)context;
    status = number;
    net_loop_stop(loop);
}

static void on_deadline(struct net_timer *t)
{
    (void)t;
    fail_msg("the child did not do it in time");
}

static enum fl_err start(char *const *argv, int64_t leftover_ms, struct fl_error *error)
{
    static const struct net_child_variable variables[] = {{"CHILD_TEST", "new"}, {"HOME", "/h"}};
    struct net_child_settings settings = {.loop = loop,
                                          .argv = argv,
                                          .variables = variables,
                                          .variable_count = 2,
                                          .most_descriptors = 100,
                                          .leftover_ms = leftover_ms,
                                          .on_line = on_line,
                                          .on_end = on_end};
    timer.expired = on_deadline;
    net_timer_start(loop, &timer, net_loop_now_ms(loop) + DEADLINE_MS);
    return net_child_start(&settings, &child, error);
}

static void run_shell(const char *script, int64_t leftover_ms)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    assert_int_equal(start(argv, leftover_ms, NULL), FL_OK);
    net_loop_run(loop);
}

static void lines_and_status_come_back(void **state)
{
    (void)state;
    run_shell("echo one; echo two >&2; printf three; exit 7", 1000);
    assert_int_equal(status, 7);
    assert_string_equal(fl_buffer_cstr(&out), "one\nthree\n");
    assert_string_equal(fl_buffer_cstr(&err), "two\n");
}

static void a_signal_is_a_status_above_128(void **state)
{
    (void)state;
    run_shell("kill -9 $$", 1000);
    assert_int_equal(status, 128 + SIGKILL);
}

static void variables_and_limits_are_the_programs(void **state)
{
    (void)state;
    setenv("CHILD_TEST", "old", 1);
    run_shell("echo $CHILD_TEST $HOME $(ulimit -n); kill -13 $$", 1000);
    assert_string_equal(fl_buffer_cstr(&out), "new /h 100\n");
    assert_int_equal(status, 128 + SIGPIPE);
}

static void a_program_that_is_not_there_is_said(void **state)
{
    (void)state;
    struct fl_error error;
    char *argv[] = {(char *)"no-such-program-here", NULL};
    assert_int_equal(start(argv, 0, &error), FL_ERR_NOT_FOUND);
    assert_string_equal(error.text, "cannot start no-such-program-here: No such file or directory");
    assert_null(child);
    char *folder[] = {(char *)"/tmp", NULL};
    assert_int_equal(start(folder, 0, &error), FL_ERR_SYSTEM);
}

static void a_told_program_ends(void **state)
{
    (void)state;
    run_shell("trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.01; done", 1000);
    assert_int_equal(status, -1);
    net_child_signal(child, SIGTERM);
    net_loop_run(loop);
    assert_int_equal(status, 3);
    assert_string_equal(fl_buffer_cstr(&out), "ready\ntold\n");
}

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static void what_the_program_leaves_is_told_and_waited_for(void **state)
{
    (void)state;
    run_shell("(trap 'echo bye; exit 0' TERM; echo started; while :; do sleep 0.01; done) & "
              "sleep 0.2; exit 4",
              10000);
    assert_int_equal(status, 4);
    assert_string_equal(fl_buffer_cstr(&out), "started\nbye\n");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void what_does_not_listen_is_killed(void **state)
{
    (void)state;
    run_shell("(trap '' TERM; echo $$; while :; do sleep 0.01; done) & sleep 0.1; exit 4", 50);
    assert_int_equal(status, 4);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void freeing_kills_the_whole_tree(void **state)
{
    (void)state;
    run_shell("sh -c 'trap \"\" TERM; sleep 100 & echo $!; echo ready; wait'; echo no", 1000);
    pid_t deepest = (pid_t)atoi(fl_buffer_cstr(&out));
    assert_true(deepest > 1 && !is_gone(deepest));
    net_child_free(&child);
    assert_true(is_gone(deepest));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* The kernel does it; the program's pid comes through a pipe of its own. */
static void a_program_dies_with_this_process(void **state)
{
    (void)state;
    int ends[2];
    pid_t program = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t middle = fork();
    if (middle == 0) {
        net_loop_free(&loop);
        if (net_loop_new(&loop, NULL))
            _exit(1);
        char *argv[] = {(char *)"sleep", (char *)"100", NULL};
        if (start(argv, 0, NULL))
            _exit(1);
        program = net_child_pid(child);
        if (write(ends[1], &program, sizeof program) != sizeof program)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(read(ends[0], &program, sizeof program), sizeof program);
    waitpid(middle, NULL, 0);
    for (int i = 0; i < 1000 && !is_gone(program); i++) {
        waitpid(program, NULL, WNOHANG); /* if it became ours */
        usleep(5000);
    }
    assert_true(is_gone(program));
    close(ends[0]);
    close(ends[1]);
}

/* --- ports --- */

static int listen_at(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void a_port_in_use_is_not_chosen(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1"}, *const all[] = {""};
    uint16_t taken, chosen;
    int mark, fd = listen_at(&taken);
    assert_int_equal(net_port_choose(addresses, 1, taken, 0, &chosen, &mark), FL_OK);
    assert_true(chosen > taken);
    close(mark);
    assert_int_equal(net_port_choose(all, 1, taken, 0, &chosen, &mark), FL_OK);
    assert_true(chosen > taken);
    close(mark);
    close(fd);
}

static void a_chosen_port_is_not_chosen_again(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1"};
    uint16_t first, second, third;
    int marks[3];
    assert_int_equal(net_port_choose(addresses, 1, 23500, 0, &first, &marks[0]), FL_OK);
    assert_int_equal(net_port_choose(addresses, 1, first, 0, &second, &marks[1]), FL_OK);
    assert_true(second > first);
    close(marks[1]);
    assert_int_equal(net_port_choose(addresses, 1, first, second, &third, &marks[2]), FL_OK);
    assert_true(third > second);
    close(marks[0]);
    close(marks[2]);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_and_status_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_signal_is_a_status_above_128, set_up, tear_down),
        cmocka_unit_test_setup_teardown(variables_and_limits_are_the_programs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_told_program_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_program_leaves_is_told_and_waited_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_listen_is_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(freeing_kills_the_whole_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_program_dies_with_this_process, set_up, tear_down),
        cmocka_unit_test(a_port_in_use_is_not_chosen),
        cmocka_unit_test(a_chosen_port_is_not_chosen_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
