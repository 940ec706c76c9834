/* The mailbox between threads: nothing is lost, each sender's order holds, no wake-up is missed. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mailbox.h"

enum { SENDERS = 4, POSTS = 250000 };

struct letter {
    struct fl_mailbox_entry entry;
    int sender, number;
};

struct sender {
    struct fl_mailbox *mailbox;
    struct letter *letters;
    int number;
};

static void on_wake(void *context)
{
    sem_post(context);
}

static void *send_all(void *argument)
{
    struct sender *sender = argument;
    for (int i = 0; i < POSTS; i++) {
        struct letter *letter = &sender->letters[i];
        letter->sender = sender->number;
        letter->number = i;
        fl_mailbox_post(sender->mailbox, &letter->entry);
    }
    return NULL;
}

static int take(struct fl_mailbox *mailbox, int *next_of)
{
    int taken = 0;
    struct fl_mailbox_entry *entry = fl_mailbox_take_all(mailbox);
    while (entry) {
        struct letter *letter = (struct letter *)entry;
        entry = fl_mailbox_next(entry);
        assert_int_equal(letter->number, next_of[letter->sender]);
        next_of[letter->sender]++;
        taken++;
    }
    return taken;
}

static void nothing_is_lost_between_threads(void **state)
{
    struct fl_mailbox mailbox;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    int next_of[SENDERS] = {0};
    sem_t wakes;
    (void)state;
    sem_init(&wakes, 0, 0);
    fl_mailbox_init(&mailbox, on_wake, &wakes);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&mailbox, calloc(POSTS, sizeof(struct letter)), i};
        pthread_create(&threads[i], NULL, send_all, &senders[i]);
    }
    int taken = 0;
    while (taken < SENDERS * POSTS) {
        taken += take(&mailbox, next_of);
        /* A missed wake-up blocks here for ever, which the runner's time limit shows. */
        if (taken < SENDERS * POSTS && fl_mailbox_sleep(&mailbox))
            sem_wait(&wakes);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(next_of[i], POSTS);
        free(senders[i].letters);
    }
    assert_null(fl_mailbox_take_all(&mailbox));
    sem_destroy(&wakes);
}

static int wakes_seen;

static void count_wake(void *context)
{
    (void)context;
    wakes_seen++;
}

static void wakes_once_and_only_a_sleeper(void **state)
{
    struct fl_mailbox mailbox;
    struct letter letters[4] = {0};
    (void)state;
    fl_mailbox_init(&mailbox, count_wake, NULL);
    fl_mailbox_post(&mailbox, &letters[0].entry);
    assert_int_equal(wakes_seen, 0);
    assert_false(fl_mailbox_sleep(&mailbox));
    assert_ptr_equal(fl_mailbox_take_all(&mailbox), &letters[0].entry);
    assert_true(fl_mailbox_sleep(&mailbox));
    fl_mailbox_post(&mailbox, &letters[1].entry);
    fl_mailbox_post(&mailbox, &letters[2].entry);
    assert_int_equal(wakes_seen, 1);
    struct fl_mailbox_entry *first = fl_mailbox_take_all(&mailbox);
    assert_ptr_equal(first, &letters[1].entry);
    assert_ptr_equal(fl_mailbox_next(first), &letters[2].entry);
    assert_null(fl_mailbox_next(fl_mailbox_next(first)));
    fl_mailbox_post(&mailbox, &letters[3].entry);
    assert_int_equal(wakes_seen, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wakes_once_and_only_a_sleeper),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
