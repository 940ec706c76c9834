/* The event loop: turns, deferred work, deadlines, timers, signals, posts from other threads.
 *
 * A turn is: sockets that are ready are served, then deferred work runs until none is left, then
 * the loop sleeps. Work is deferred so that one system call or one batch serves everything that one
 * turn brought.
 *
 * Two kinds of time-outs exist. A *deadline class* is a list of entries that all wait equally long:
 * adding and removing is O(1), so each of a hundred thousand connections can have one. A *timer*
 * has a time of its own and lives in a heap. One libuv timer serves both.
 *
 * Only net/ knows that libuv is underneath.
 *
 * Thread: the loop's, except `net_loop_post`.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mailbox.h"

struct net_loop;

enum fl_err net_loop_new(struct net_loop **loop, struct fl_error *error) FL_MUST_USE;

/* Everything made on the loop must be closed before; runs the loop until closing handles are gone.
 */
void net_loop_free(struct net_loop **loop);

/* Returns after `net_loop_stop`. */
void net_loop_run(struct net_loop *loop);
void net_loop_stop(struct net_loop *loop);

/* Monotonic milliseconds, read once a turn. */
int64_t net_loop_now_ms(const struct net_loop *loop);

/* The longest turn, in nanoseconds, since the last call of this function: how long a ready socket
 * may have waited. */
int64_t net_loop_take_longest_turn_ns(struct net_loop *loop);
/* The same, and it goes on counting. */
int64_t net_loop_longest_turn_ns(const struct net_loop *loop);

/* --- deferred work --- */

struct net_task;
typedef void net_task_fn(struct net_task *task);

/* Embedded in its owner, zeroed, `run` set. */
struct net_task {
    struct net_task *next;
    net_task_fn *run;
    bool is_queued;
};

/* Runs `task` at the end of this turn; does nothing when it is queued already. The task is borrowed
 * until it ran or was cancelled. */
void net_loop_defer(struct net_loop *loop, struct net_task *task);
void net_loop_cancel(struct net_loop *loop, struct net_task *task);

/* --- deadlines: one list per duration --- */

struct net_deadline;
typedef void net_deadline_fn(struct net_deadline *deadline);

struct net_deadline {
    struct fl_list link; /* initialised by net_deadline_init */
    int64_t at_ms;
};

struct net_deadlines {
    struct fl_list link, entries;
    struct net_loop *loop;
    int64_t duration_ms;
    net_deadline_fn *expired;
};

/* The class is the caller's and is borrowed by the loop until `net_deadlines_fini`. duration_ms <=
 * 0: never expires. */
void net_deadlines_init(struct net_deadlines *deadlines, struct net_loop *loop, int64_t duration_ms,
                        net_deadline_fn *expired);
void net_deadlines_fini(struct net_deadlines *deadlines);

static inline void net_deadline_init(struct net_deadline *deadline)
{
    fl_list_init(&deadline->link);
}

/* (Re)starts the wait. The entry is borrowed until it expired or was stopped. */
void net_deadline_start(struct net_deadlines *deadlines, struct net_deadline *deadline);

static inline void net_deadline_stop(struct net_deadline *deadline)
{
    fl_list_remove(&deadline->link);
}

static inline bool net_deadline_is_running(const struct net_deadline *deadline)
{
    return !fl_list_is_empty(&deadline->link);
}

/* --- timers: a time of their own --- */

struct net_timer;
typedef void net_timer_fn(struct net_timer *timer);

/* Zeroed, `expired` set. */
struct net_timer {
    struct fl_heap_entry entry;
    net_timer_fn *expired;
};

/* (Re)starts. The timer is borrowed until it expired or was stopped. */
void net_timer_start(struct net_loop *loop, struct net_timer *timer, int64_t at_ms);
void net_timer_stop(struct net_loop *loop, struct net_timer *timer);

static inline bool net_timer_is_running(const struct net_timer *timer)
{
    return fl_heap_has(&timer->entry);
}

/* --- from other threads --- */

struct net_post;
typedef void net_post_fn(struct net_post *post);

struct net_post {
    struct fl_mailbox_entry entry;
    net_post_fn *run;
};

/* Any thread. Runs `post->run` on the loop; the post is taken. */
void net_loop_post(struct net_loop *loop, struct net_post *post);

/* --- signals --- */

typedef void net_signal_fn(int signal_number, void *context);

enum fl_err net_loop_on_signal(struct net_loop *loop, int signal_number, net_signal_fn *on_signal,
                               void *context) FL_MUST_USE;

#endif
