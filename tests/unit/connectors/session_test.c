/* A session: its turns, its sleep, and its end in every way.
 *
 * The owner counts what its turns see. Nothing here is judged by how quickly it came, only by what
 * came first and by what must not have come yet.
 */
#include "connectors/session.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { PATIENCE_MS = 20000 };

struct owner;
typedef void owner_turn_fn(struct owner *owner, struct fl_mailbox_entry *work,
                           struct connector_session_sleep *sleep);

/* The loop's side and the thread's side of a test. */
struct owner {
    struct net_loop *loop;
    struct connector_session *session;
    owner_turn_fn *turn;
    struct net_timer patience, later;

    /* The thread's, until a reply or the end has come. */
    int pipe[2];
    int answer[2]; /* from the thread to a test that has no reply of it */
    unsigned turns;
    unsigned numbers[4096]; /* of the entries, in order of arrival */
    size_t number_count;
    size_t sizes[4096]; /* how many came in each turn that had work */
    size_t size_count;
    int64_t woke_at_ms[16];
    bool was_ready;
    _Atomic unsigned interrupts;

    /* The loop's. */
    unsigned replies;
    unsigned replies_wanted;
    bool has_ended, was_abandoned;
    size_t rest_count;
};

struct entry {
    struct fl_mailbox_entry entry;
    unsigned number;
};

struct reply {
    struct net_post post;
    struct owner *owner;
};

/* --- the owner --- */

static void on_turn(void *context, struct fl_mailbox_entry *work,
                    struct connector_session_sleep *sleep)
{
    struct owner *owner = context;
    owner->turns++;
    owner->turn(owner, work, sleep);
}

static void on_interrupt(void *context)
{
    ((struct owner *)context)->interrupts++;
}

static size_t free_entries(struct fl_mailbox_entry *list)
{
    size_t count = 0;
    for (struct fl_mailbox_entry *next; list; list = next, count++) {
        next = fl_mailbox_next(list);
        fl_free(FL_CONTAINER(list, struct entry, entry));
    }
    return count;
}

static void on_ended(void *context, struct fl_mailbox_entry *rest, bool is_abandoned)
{
    struct owner *owner = context;
    assert_false(owner->has_ended);
    owner->has_ended = true;
    owner->was_abandoned = is_abandoned;
    owner->rest_count = free_entries(rest);
    net_loop_stop(owner->loop);
}

static const struct connector_session_type type = {
    .name = "test", .turn = on_turn, .interrupt = on_interrupt, .ended = on_ended};
static const struct connector_session_type type_without_interrupt = {
    .name = "test", .turn = on_turn, .ended = on_ended};

static void on_reply(struct net_post *post)
{
    struct reply *reply = FL_CONTAINER(post, struct reply, post);
    struct owner *owner = reply->owner;
    fl_free(reply);
    if (++owner->replies == owner->replies_wanted)
        net_loop_stop(owner->loop);
}

static bool reply_to(struct owner *owner)
{
    struct reply *reply = fl_zalloc(sizeof *reply);
    reply->owner = owner;
    reply->post.run = on_reply;
    if (connector_session_reply(owner->session, &reply->post))
        return true;
    fl_free(reply);
    return false;
}

/* --- the loop's side --- */

static void on_patience(struct net_timer *timer)
{
    net_loop_stop(FL_CONTAINER(timer, struct owner, patience)->loop);
}

static void run(struct owner *owner, int64_t ms)
{
    net_timer_start(owner->loop, &owner->patience, net_loop_now_ms(owner->loop) + ms);
    net_loop_run(owner->loop);
    net_timer_stop(owner->loop, &owner->patience);
}

static void wait_replies(struct owner *owner, unsigned count)
{
    owner->replies_wanted = count;
    if (owner->replies < count)
        run(owner, PATIENCE_MS);
    assert_true(owner->replies >= count);
}

static void wait_end(struct owner *owner)
{
    if (!owner->has_ended)
        run(owner, PATIENCE_MS);
    assert_true(owner->has_ended);
}

static void post_number(struct owner *owner, unsigned number)
{
    struct entry *entry = fl_zalloc(sizeof *entry);
    entry->number = number;
    connector_session_post(owner->session, &entry->entry);
}

static struct owner *new_owner(owner_turn_fn *turn)
{
    struct owner *owner = fl_zalloc(sizeof *owner);
    struct fl_error error;
    owner->turn = turn;
    owner->patience.expired = on_patience;
    assert_int_equal(pipe(owner->pipe), 0);
    assert_int_equal(pipe(owner->answer), 0);
    assert_int_equal(net_loop_new(&owner->loop, &error), FL_OK);
    return owner;
}

static void start(struct owner *owner, const struct connector_session_type *of)
{
    struct fl_error error;
    assert_int_equal(connector_session_start(of, owner->loop, owner, &owner->session, &error),
                     FL_OK);
}

static struct owner *start_new(owner_turn_fn *turn)
{
    struct owner *owner = new_owner(turn);
    start(owner, &type);
    return owner;
}

static void free_owner(struct owner *owner)
{
    net_timer_stop(owner->loop, &owner->later);
    net_loop_free(&owner->loop);
    close(owner->pipe[0]);
    close(owner->pipe[1]);
    close(owner->answer[0]);
    close(owner->answer[1]);
    fl_free(owner);
}

/* --- work --- */

enum { OVER = 1000000 };

/* Notes the numbers; OVER ends the session. Replies once for a turn with work. */
static void note_numbers(struct owner *owner, struct fl_mailbox_entry *work,
                         struct connector_session_sleep *sleep)
{
    size_t before = owner->number_count;
    for (struct fl_mailbox_entry *next; work; work = next) {
        next = fl_mailbox_next(work);
        struct entry *entry = FL_CONTAINER(work, struct entry, entry);
        if (entry->number == OVER)
            sleep->is_over = true;
        else
            owner->numbers[owner->number_count++] = entry->number;
        fl_free(entry);
    }
    if (owner->number_count == before)
        return;
    owner->sizes[owner->size_count++] = owner->number_count - before;
    assert_true(reply_to(owner));
}

static void the_first_turn_comes_without_work(void **state)
{
    (void)state;
    struct owner *owner = start_new(note_numbers);
    post_number(owner, OVER);
    wait_end(owner);
    assert_true(owner->turns >= 1 && owner->turns <= 2);
    assert_false(owner->was_abandoned);
    free_owner(owner);
}

/* The first number finds the thread busy in a turn of its own; all that come meanwhile are one
 * turn's work. */
static void wait_for_byte(struct owner *owner, struct fl_mailbox_entry *work,
                          struct connector_session_sleep *sleep)
{
    bool is_first = work && owner->number_count == 0;
    note_numbers(owner, work, sleep);
    char byte;
    if (is_first)
        assert_int_equal(read(owner->pipe[0], &byte, 1), 1);
}

static void what_comes_while_a_turn_is_busy_is_the_next_turns_work(void **state)
{
    (void)state;
    struct owner *owner = start_new(wait_for_byte);
    post_number(owner, 0);
    wait_replies(owner, 1);
    for (unsigned i = 1; i <= 1000; i++)
        post_number(owner, i);
    assert_int_equal(write(owner->pipe[1], "x", 1), 1);
    wait_replies(owner, 2);
    assert_int_equal(owner->size_count, 2);
    assert_int_equal(owner->sizes[1], 1000);
    for (unsigned i = 0; i <= 1000; i++)
        assert_int_equal(owner->numbers[i], i);
    post_number(owner, OVER);
    wait_end(owner);
    free_owner(owner);
}

static void nothing_is_lost_or_reordered_while_it_falls_asleep(void **state)
{
    (void)state;
    struct owner *owner = start_new(note_numbers);
    for (unsigned i = 0; i < 4000; i++) {
        post_number(owner, i);
        if (i % 3 == 0)
            run(owner, 0);
    }
    post_number(owner, OVER);
    wait_end(owner);
    assert_int_equal(owner->number_count, 4000);
    for (unsigned i = 0; i < 4000; i++)
        assert_int_equal(owner->numbers[i], i);
    free_owner(owner);
}

/* --- sleeping --- */

/* Sleeps 30 ms twice, then until something comes. */
static void sleep_twice(struct owner *owner, struct fl_mailbox_entry *work,
                        struct connector_session_sleep *sleep)
{
    assert_true(sleep->until_at_ms == INT64_MAX);
    note_numbers(owner, work, sleep);
    if (owner->turns <= 3)
        owner->woke_at_ms[owner->turns - 1] = fl_clock_ms();
    if (owner->turns < 3)
        sleep->until_at_ms = fl_clock_ms() + 30;
    if (owner->turns == 3)
        assert_true(reply_to(owner));
}

static void it_sleeps_until_the_instant_it_was_given(void **state)
{
    (void)state;
    struct owner *owner = start_new(sleep_twice);
    wait_replies(owner, 1);
    assert_true(owner->woke_at_ms[1] - owner->woke_at_ms[0] >= 30);
    assert_true(owner->woke_at_ms[2] - owner->woke_at_ms[1] >= 30);
    run(owner, 100);
    post_number(owner, OVER);
    wait_end(owner);
    /* Without an instant it slept on, and the sleep wakes for nothing of its own. */
    assert_int_equal(owner->turns, 4);
    free_owner(owner);
}

static void an_instant_in_the_past_is_now(struct owner *owner, struct fl_mailbox_entry *work,
                                          struct connector_session_sleep *sleep)
{
    note_numbers(owner, work, sleep);
    sleep->until_at_ms = owner->turns < 100 ? fl_clock_ms() - 5000 : INT64_MAX;
    if (owner->turns == 100)
        assert_true(reply_to(owner));
}

static void it_does_not_sleep_when_there_is_something_to_do(void **state)
{
    (void)state;
    struct owner *owner = start_new(an_instant_in_the_past_is_now);
    wait_replies(owner, 1);
    post_number(owner, OVER);
    wait_end(owner);
    free_owner(owner);
}

/* Watches the pipe from the first turn on. */
static void watch_pipe(struct owner *owner, struct fl_mailbox_entry *work,
                       struct connector_session_sleep *sleep)
{
    note_numbers(owner, work, sleep);
    if (sleep->watch_count == 0) {
        sleep->watches[0] = (struct pollfd){.fd = -1, .events = POLLIN};
        sleep->watches[1] = (struct pollfd){.fd = owner->pipe[0], .events = POLLIN};
        sleep->watch_count = 2;
    }
    assert_int_equal(sleep->watches[0].revents, 0);
    if (!(sleep->watches[1].revents & POLLIN))
        return;
    char byte;
    assert_int_equal(read(owner->pipe[0], &byte, 1), 1);
    owner->was_ready = true;
    assert_true(reply_to(owner));
}

static void a_watched_descriptor_wakes_it(void **state)
{
    (void)state;
    struct owner *owner = start_new(watch_pipe);
    post_number(owner, 1);
    wait_replies(owner, 1);
    run(owner, 30);
    assert_int_equal(owner->replies, 1);
    for (unsigned i = 2; i <= 5; i++) {
        assert_int_equal(write(owner->pipe[1], "x", 1), 1);
        wait_replies(owner, i);
    }
    post_number(owner, OVER);
    wait_end(owner);
    assert_true(owner->was_ready);
    free_owner(owner);
}

/* --- interrupting --- */

/* Blocks in a system call for ever, until it fails with EINTR. */
static void block_in_read(struct owner *owner, struct fl_mailbox_entry *work,
                          struct connector_session_sleep *sleep)
{
    note_numbers(owner, work, sleep);
    if (owner->turns > 1)
        return;
    assert_true(reply_to(owner));
    char byte;
    ssize_t len = read(owner->pipe[0], &byte, 1);
    if (len < 0 && connector_session_is_interrupted(owner->session))
        assert_true(reply_to(owner));
    sleep->is_over = true;
}

static void on_later(struct net_timer *timer)
{
    struct owner *owner = FL_CONTAINER(timer, struct owner, later);
    connector_session_interrupt(owner->session);
    net_timer_start(owner->loop, timer, net_loop_now_ms(owner->loop) + 10);
}

static void an_interrupt_wakes_a_blocked_call(void **state)
{
    (void)state;
    struct owner *owner = start_new(block_in_read);
    wait_replies(owner, 1);
    run(owner, 30);
    assert_int_equal(owner->replies, 1);
    /* One that comes just before the call blocks wakes nobody, so whoever interrupts repeats it. */
    owner->later.expired = on_later;
    net_timer_start(owner->loop, &owner->later, 0);
    wait_replies(owner, 2);
    net_timer_stop(owner->loop, &owner->later);
    wait_end(owner);
    assert_false(owner->was_abandoned);
    assert_true(owner->interrupts >= 1);
    free_owner(owner);
}

static void a_deadline_interrupts_and_ends_it(void **state)
{
    (void)state;
    struct owner *owner = start_new(block_in_read);
    wait_replies(owner, 1);
    int64_t deadline_ms = net_loop_now_ms(owner->loop) + 50;
    connector_session_set_deadline(owner->session, deadline_ms + 3600 * 1000);
    connector_session_set_deadline(owner->session, deadline_ms);
    connector_session_set_deadline(owner->session, deadline_ms + 3600 * 1000);
    wait_end(owner);
    assert_true(net_loop_now_ms(owner->loop) >= deadline_ms);
    assert_false(owner->was_abandoned);
    assert_int_equal(owner->replies, 2);
    free_owner(owner);
}

static void a_deadline_works_without_the_owners_interrupt(void **state)
{
    (void)state;
    struct owner *owner = new_owner(block_in_read);
    start(owner, &type_without_interrupt);
    connector_session_set_deadline(owner->session, net_loop_now_ms(owner->loop));
    wait_end(owner);
    assert_false(owner->was_abandoned);
    free_owner(owner);
}

static void a_sleeping_thread_hears_an_interrupt(struct owner *owner, struct fl_mailbox_entry *work,
                                                 struct connector_session_sleep *sleep)
{
    note_numbers(owner, work, sleep);
    sleep->is_over |= connector_session_is_interrupted(owner->session);
}

static void a_deadline_wakes_it_from_its_sleep(void **state)
{
    (void)state;
    struct owner *owner = start_new(a_sleeping_thread_hears_an_interrupt);
    post_number(owner, 1);
    wait_replies(owner, 1);
    connector_session_set_deadline(owner->session, net_loop_now_ms(owner->loop) + 10);
    wait_end(owner);
    assert_false(owner->was_abandoned);
    free_owner(owner);
}

/* A deadline that was set is none once the session has ended by itself. */
static void an_end_before_the_deadline_is_the_end(void **state)
{
    (void)state;
    struct owner *owner = start_new(note_numbers);
    connector_session_set_deadline(owner->session, net_loop_now_ms(owner->loop) + 20);
    post_number(owner, OVER);
    wait_end(owner);
    run(owner, 60);
    assert_int_equal(owner->interrupts, 0);
    free_owner(owner);
}

/* --- the rest --- */

/* Is over at the first number, and holds on until the byte comes, so that more is posted to it. */
static void end_at_once(struct owner *owner, struct fl_mailbox_entry *work,
                        struct connector_session_sleep *sleep)
{
    if (!work)
        return;
    note_numbers(owner, work, sleep);
    char byte;
    assert_int_equal(read(owner->pipe[0], &byte, 1), 1);
    sleep->is_over = true;
}

static void what_no_turn_took_is_handed_over(void **state)
{
    (void)state;
    struct owner *owner = start_new(end_at_once);
    post_number(owner, 0);
    wait_replies(owner, 1);
    for (unsigned i = 1; i <= 50; i++)
        post_number(owner, i);
    assert_int_equal(write(owner->pipe[1], "x", 1), 1);
    wait_end(owner);
    assert_int_equal(owner->rest_count, 50);
    assert_int_equal(owner->number_count, 1);
    free_owner(owner);
}

static void generations_count_connections(struct owner *owner, struct fl_mailbox_entry *work,
                                          struct connector_session_sleep *sleep)
{
    if (work)
        connector_session_next_generation(owner->session);
    note_numbers(owner, work, sleep);
}

static void a_generation_is_seen_with_the_reply_that_follows_it(void **state)
{
    (void)state;
    struct owner *owner = start_new(generations_count_connections);
    assert_int_equal(connector_session_generation(owner->session), 0);
    for (unsigned i = 1; i <= 20; i++) {
        post_number(owner, i);
        wait_replies(owner, i);
        assert_int_equal(connector_session_generation(owner->session), i);
    }
    post_number(owner, OVER);
    wait_end(owner);
    free_owner(owner);
}

/* --- abandoned --- */

/* Hears nothing: each read that was interrupted begins anew. It ends when the byte comes, and then
 * finds nobody to reply to. */
static void ignore_everything(struct owner *owner, struct fl_mailbox_entry *work,
                              struct connector_session_sleep *sleep)
{
    free_entries(work);
    if (!reply_to(owner))
        _exit(10);
    char byte;
    while (read(owner->pipe[0], &byte, 1) != 1)
        owner->was_ready = true;
    bool is_heard = reply_to(owner);
    sleep->is_over = true;
    if (write(owner->answer[1], is_heard ? "y" : "n", 1) != 1)
        _exit(11);
}

/* In a process of its own, since the thread and the session are never freed. */
static int abandon_in_child(void)
{
    struct owner *owner = start_new(ignore_everything);
    wait_replies(owner, 1);
    int64_t deadline_ms = net_loop_now_ms(owner->loop) + 20;
    connector_session_set_deadline(owner->session, deadline_ms);
    post_number(owner, 1);
    wait_end(owner);
    if (!owner->was_abandoned || net_loop_now_ms(owner->loop) < deadline_ms + 1000)
        return 1;
    if (owner->interrupts < 2 || owner->rest_count != 0)
        return 2;
    /* The thread wakes up at last; its reply is refused, and the loop hears nothing more. */
    char byte;
    if (write(owner->pipe[1], "x", 1) != 1)
        return 3;
    if (read(owner->answer[0], &byte, 1) != 1 || byte != 'n')
        return 4;
    run(owner, 50);
    return owner->replies == 1 ? 0 : 5;
}

static void a_thread_that_hears_nothing_is_abandoned(void **state)
{
    (void)state;
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(abandon_in_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_hears_nothing_is_abandoned),
        cmocka_unit_test(the_first_turn_comes_without_work),
        cmocka_unit_test(what_comes_while_a_turn_is_busy_is_the_next_turns_work),
        cmocka_unit_test(nothing_is_lost_or_reordered_while_it_falls_asleep),
        cmocka_unit_test(it_sleeps_until_the_instant_it_was_given),
        cmocka_unit_test(it_does_not_sleep_when_there_is_something_to_do),
        cmocka_unit_test(a_watched_descriptor_wakes_it),
        cmocka_unit_test(an_interrupt_wakes_a_blocked_call),
        cmocka_unit_test(a_deadline_interrupts_and_ends_it),
        cmocka_unit_test(a_deadline_works_without_the_owners_interrupt),
        cmocka_unit_test(a_deadline_wakes_it_from_its_sleep),
        cmocka_unit_test(an_end_before_the_deadline_is_the_end),
        cmocka_unit_test(what_no_turn_took_is_handed_over),
        cmocka_unit_test(a_generation_is_seen_with_the_reply_that_follows_it),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
