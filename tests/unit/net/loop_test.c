/* The loop: turns and deferred work, deadlines, timers, posts, the measurement of turns. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/loop.h"
#include "net/stream.h"

static struct net_loop *loop;
/* What happened, one letter each. */
static char happened[256];
static size_t happened_count;

static void note(char what)
{
    assert_true(happened_count + 1 < sizeof happened);
    happened[happened_count++] = what;
    happened[happened_count] = 0;
}

static int set_up(void **state)
{
    (void)state;
    happened_count = 0;
    happened[0] = 0;
    return net_loop_new(&loop, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    net_loop_free(&loop);
    assert_null(loop);
    net_loop_free(&loop);
    return 0;
}

/* A timer that ends the run: what is waited for must have happened by then. */
static void on_end(struct net_timer *timer)
{
    (void)timer;
    net_loop_stop(loop);
}

static void run_for(int64_t ms)
{
    struct net_timer end = {.expired = on_end};
    net_timer_start(loop, &end, net_loop_now_ms(loop) + ms);
    net_loop_run(loop);
    net_timer_stop(loop, &end);
}

/* --- deferred work --- */

struct lettered_task {
    struct net_task task;
    char letter;
    struct net_task *defers, *cancels;
    int times;
};

static void on_task(struct net_task *task)
{
    struct lettered_task *lettered = FL_CONTAINER(task, struct lettered_task, task);
    note(lettered->letter);
    if (lettered->defers)
        net_loop_defer(loop, lettered->defers);
    if (lettered->cancels)
        net_loop_cancel(loop, lettered->cancels);
    if (--lettered->times > 0)
        net_loop_defer(loop, task);
}

static void deferred_work_runs_in_order_and_once(void **state)
{
    struct lettered_task a = {.task.run = on_task, .letter = 'a'}, b = a, c = a;
    (void)state;
    b.letter = 'b';
    c.letter = 'c';
    a.defers = &c.task;
    net_loop_defer(loop, &a.task);
    net_loop_defer(loop, &b.task);
    net_loop_defer(loop, &a.task);
    run_for(5);
    assert_string_equal(happened, "abc");
}

static void cancelled_work_does_not_run(void **state)
{
    struct lettered_task a = {.task.run = on_task, .letter = 'a'}, b = a, c = a, d = a;
    (void)state;
    b.letter = 'b';
    c.letter = 'c';
    d.letter = 'd';
    net_loop_defer(loop, &a.task);
    net_loop_defer(loop, &b.task);
    net_loop_defer(loop, &c.task);
    net_loop_cancel(loop, &c.task);
    net_loop_cancel(loop, &c.task);
    net_loop_defer(loop, &d.task);
    /* The last of the round leaves while the round runs. */
    a.cancels = &d.task;
    run_for(5);
    assert_string_equal(happened, "ab");
    net_loop_defer(loop, &c.task);
    run_for(5);
    assert_string_equal(happened, "abc");
}

static void on_short_timer(struct net_timer *timer)
{
    (void)timer;
    note('T');
}

static void work_that_defers_itself_lets_timers_through(void **state)
{
    struct lettered_task busy = {.task.run = on_task, .letter = '.', .times = 100};
    struct net_timer timer = {.expired = on_short_timer};
    (void)state;
    net_timer_start(loop, &timer, net_loop_now_ms(loop));
    net_loop_defer(loop, &busy.task);
    int64_t began = fl_clock_ms();
    run_for(20);
    assert_true(fl_clock_ms() - began >= 19);
    assert_int_equal(happened_count, 101);
    /* Rounds are bounded, so the timer is not the last. */
    assert_true(strchr(happened, 'T') < happened + 40);
}

/* --- deadlines --- */

struct lettered_deadline {
    struct net_deadline deadline;
    char letter;
};

static struct net_deadlines fast, slow;
static struct net_deadline *stopped_by_expiry, *restarted_by_expiry;

static void on_expired(struct net_deadline *deadline)
{
    note(FL_CONTAINER(deadline, struct lettered_deadline, deadline)->letter);
    assert_false(net_deadline_is_running(deadline));
    if (stopped_by_expiry)
        net_deadline_stop(stopped_by_expiry);
    if (restarted_by_expiry == deadline) {
        restarted_by_expiry = NULL;
        net_deadline_start(&fast, deadline);
    }
}

static void start_lettered(struct net_deadlines *class, struct lettered_deadline *lettered,
                           char letter)
{
    lettered->letter = letter;
    net_deadline_init(&lettered->deadline);
    net_deadline_start(class, &lettered->deadline);
}

static void each_class_has_its_own_duration(void **state)
{
    struct lettered_deadline a, b, c, d;
    (void)state;
    net_deadlines_init(&fast, loop, 10, on_expired);
    net_deadlines_init(&slow, loop, 40, on_expired);
    start_lettered(&slow, &a, 'a');
    start_lettered(&fast, &b, 'b');
    start_lettered(&fast, &c, 'c');
    start_lettered(&fast, &d, 'd');
    net_deadline_stop(&c.deadline);
    net_deadline_stop(&c.deadline);
    int64_t began = fl_clock_ms();
    run_for(25);
    assert_string_equal(happened, "bd");
    assert_true(net_deadline_is_running(&a.deadline));
    run_for(40);
    assert_string_equal(happened, "bda");
    assert_true(fl_clock_ms() - began >= 40);
    net_deadlines_fini(&fast);
    net_deadlines_fini(&slow);
    net_deadlines_fini(&slow);
}

static void expiring_may_stop_and_restart_others(void **state)
{
    struct lettered_deadline a, b, c;
    (void)state;
    net_deadlines_init(&fast, loop, 5, on_expired);
    start_lettered(&fast, &a, 'a');
    start_lettered(&fast, &b, 'b');
    start_lettered(&fast, &c, 'c');
    stopped_by_expiry = &b.deadline;
    restarted_by_expiry = &a.deadline;
    run_for(30);
    stopped_by_expiry = NULL;
    assert_string_equal(happened, "aca");
    net_deadlines_fini(&fast);
}

static void restarting_moves_the_deadline_on(void **state)
{
    struct lettered_deadline a;
    (void)state;
    net_deadlines_init(&fast, loop, 30, on_expired);
    start_lettered(&fast, &a, 'a');
    for (int i = 0; i < 4; i++) {
        run_for(12);
        net_deadline_start(&fast, &a.deadline);
    }
    assert_string_equal(happened, "");
    run_for(45);
    assert_string_equal(happened, "a");
    net_deadlines_fini(&fast);
}

static void a_class_without_duration_never_expires(void **state)
{
    struct lettered_deadline a;
    (void)state;
    net_deadlines_init(&fast, loop, 0, on_expired);
    start_lettered(&fast, &a, 'a');
    assert_false(net_deadline_is_running(&a.deadline));
    run_for(5);
    assert_string_equal(happened, "");
    net_deadlines_fini(&fast);
}

static void moving_to_another_class_leaves_the_first(void **state)
{
    struct lettered_deadline a;
    (void)state;
    net_deadlines_init(&fast, loop, 5, on_expired);
    net_deadlines_init(&slow, loop, 1000, on_expired);
    start_lettered(&fast, &a, 'a');
    net_deadline_start(&slow, &a.deadline);
    run_for(20);
    assert_string_equal(happened, "");
    net_deadlines_fini(&slow);
    net_deadlines_fini(&fast);
    assert_false(net_deadline_is_running(&a.deadline));
}

/* --- timers --- */

struct lettered_timer {
    struct net_timer timer;
    char letter;
    int repeats;
};

static void on_lettered_timer(struct net_timer *timer)
{
    struct lettered_timer *lettered = FL_CONTAINER(timer, struct lettered_timer, timer);
    note(lettered->letter);
    assert_false(net_timer_is_running(timer));
    if (lettered->repeats-- > 0)
        net_timer_start(loop, timer, net_loop_now_ms(loop) + 2);
}

static void timers_fire_in_order_of_time(void **state)
{
    struct lettered_timer timers[5];
    int64_t now = net_loop_now_ms(loop);
    static const int due[] = {20, 5, 10, 5, 1};
    (void)state;
    for (int i = 0; i < 5; i++) {
        timers[i] =
            (struct lettered_timer){.timer.expired = on_lettered_timer, .letter = (char)('a' + i)};
        net_timer_start(loop, &timers[i].timer, now + due[i]);
    }
    run_for(40);
    assert_string_equal(happened, "ebdca");
}

static void timers_stop_restart_and_repeat(void **state)
{
    struct lettered_timer a = {.timer.expired = on_lettered_timer, .letter = 'a'}, b = a, c = a;
    (void)state;
    b.letter = 'b';
    c.letter = 'c';
    c.repeats = 3;
    int64_t now = net_loop_now_ms(loop);
    net_timer_start(loop, &a.timer, now + 5);
    net_timer_start(loop, &b.timer, now + 5000);
    net_timer_start(loop, &b.timer, now + 3);
    net_timer_start(loop, &c.timer, now - 1000);
    net_timer_stop(loop, &a.timer);
    net_timer_stop(loop, &a.timer);
    run_for(40);
    assert_int_equal(happened_count, 5);
    assert_null(strchr(happened, 'a'));
    assert_non_null(strchr(happened, 'b'));
}

/* --- posts --- */

enum { THREADS = 4, POSTS = 5000 };

struct numbered_post {
    struct net_post post;
    int thread, number;
};

static int next_of[THREADS], posts_seen;
static pthread_t loop_thread;

static void on_post(struct net_post *post)
{
    struct numbered_post *numbered = FL_CONTAINER(post, struct numbered_post, post);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_int_equal(numbered->number, next_of[numbered->thread]++);
    free(numbered);
    if (++posts_seen == THREADS * POSTS)
        net_loop_stop(loop);
}

static void *post_all(void *argument)
{
    int thread = *(int *)argument;
    for (int i = 0; i < POSTS; i++) {
        struct numbered_post *numbered = calloc(1, sizeof *numbered);
        *numbered = (struct numbered_post){.post.run = on_post, .thread = thread, .number = i};
        net_loop_post(loop, &numbered->post);
        if (i % 500 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

static void posts_of_threads_arrive_in_their_order(void **state)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    (void)state;
    loop_thread = pthread_self();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, post_all, &numbers[i]);
    }
    run_for(30000);
    assert_int_equal(posts_seen, THREADS * POSTS);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* --- the longest turn --- */

static void on_slow_event(struct net_stream *stream, void *context, unsigned events)
{
    char byte;
    (void)context;
    (void)events;
    if (net_stream_read(stream, &byte, 1) == 1)
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
}

static void the_longest_turn_is_measured(void **state)
{
    int ends[2];
    struct net_stream *stream = NULL;
    (void)state;
    run_for(5);
    net_loop_take_longest_turn_ns(loop);
    run_for(20);
    /* Sleeping is not a turn. */
    assert_true(net_loop_take_longest_turn_ns(loop) < 15000000);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(net_stream_new(loop, ends[0], on_slow_event, NULL, &stream), FL_OK);
    assert_int_equal(write(ends[1], "x", 1), 1);
    run_for(60);
    int64_t longest = net_loop_take_longest_turn_ns(loop);
    assert_true(longest >= 30000000);
    assert_int_equal(net_loop_take_longest_turn_ns(loop), 0);
    net_stream_close(&stream);
    close(ends[1]);
}

/* --- signals --- */

static void on_signal(int number, void *context)
{
    assert_int_equal(number, SIGUSR1);
    assert_ptr_equal(context, happened);
    note('s');
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    assert_int_equal(net_loop_on_signal(loop, SIGUSR1, on_signal, happened), FL_OK);
    raise(SIGUSR1);
    run_for(20);
    assert_string_equal(happened, "s");
}

/* --- streams --- */

static unsigned events_seen;

static void on_stream_event(struct net_stream *stream, void *context, unsigned events)
{
    (void)stream;
    (void)context;
    events_seen |= events;
}

static void make_pair(struct net_stream **stream, int *other)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(net_stream_new(loop, ends[0], on_stream_event, NULL, stream), FL_OK);
    *other = ends[1];
    events_seen = 0;
}

static void a_vanished_peer_is_noticed_while_reading_is_off(void **state)
{
    struct net_stream *stream = NULL;
    int other;
    (void)state;
    make_pair(&stream, &other);
    net_stream_want(stream, false, false);
    assert_int_equal(write(other, "x", 1), 1);
    run_for(10);
    assert_int_equal(events_seen, 0);
    close(other);
    run_for(10);
    assert_int_equal(events_seen, NET_BROKEN);
    net_stream_close(&stream);
    net_stream_close(&stream);
}

static void a_half_closed_peer_reads_as_the_end_and_can_be_written_to(void **state)
{
    struct net_stream *stream = NULL;
    char bytes[8];
    int other;
    (void)state;
    make_pair(&stream, &other);
    shutdown(other, SHUT_WR);
    run_for(5);
    assert_int_equal(events_seen, NET_READABLE);
    assert_int_equal(net_stream_read(stream, bytes, sizeof bytes), 0);
    net_stream_want(stream, false, true);
    events_seen = 0;
    run_for(5);
    assert_int_equal(events_seen, NET_WRITABLE);
    struct iovec parts[] = {{(char *)"ab", 2}, {(char *)"cd", 2}};
    assert_int_equal(net_stream_writev(stream, parts, 2), 4);
    assert_int_equal(read(other, bytes, sizeof bytes), 4);
    assert_memory_equal(bytes, "abcd", 4);
    net_stream_close(&stream);
    close(other);
}

static void writing_to_a_vanished_peer_is_an_error_not_a_signal(void **state)
{
    struct net_stream *stream = NULL;
    int other;
    (void)state;
    make_pair(&stream, &other);
    close(other);
    struct iovec part = {(char *)"ab", 2};
    assert_int_equal(net_stream_writev(stream, &part, 1), -2);
    net_stream_reset(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deferred_work_runs_in_order_and_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled_work_does_not_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_that_defers_itself_lets_timers_through, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_class_has_its_own_duration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(expiring_may_stop_and_restart_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restarting_moves_the_deadline_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_class_without_duration_never_expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moving_to_another_class_leaves_the_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(timers_fire_in_order_of_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timers_stop_restart_and_repeat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(posts_of_threads_arrive_in_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_longest_turn_is_measured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signals_arrive_on_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_vanished_peer_is_noticed_while_reading_is_off, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_half_closed_peer_reads_as_the_end_and_can_be_written_to,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(writing_to_a_vanished_peer_is_an_error_not_a_signal, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
