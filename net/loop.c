/* The loop on libuv.
 *
 * One turn of libuv is: timers → idle → prepare → poll → check → closing. Deferred work is run in
 * `check`, right after the sockets were served, and in `prepare`, for what timers deferred. Work
 * that defers more work is run in rounds; after MOST_ROUNDS of them an idle handle keeps the next
 * poll from sleeping, so that sockets get their turn in between.
 *
 * The mailbox of posts follows the receiver's protocol of base/mailbox.h: `prepare` is the place
 * where the loop is about to sleep, so there the sleeping flag is set and the list looked at once
 * more. Waking is an eventfd of our own: uv_async_t makes the receiver spin until its sender is
 * done, which on a busy core waits for a sender that is not running.
 */
#include "net/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/loop_priv.h"

enum { MOST_ROUNDS = 8, MOST_SIGNALS = 8 };

struct signal_watch {
    uv_signal_t handle;
    net_signal_fn *on_signal;
    void *context;
};

struct net_loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer;
    uv_poll_t waker;
    int wake_fd;
    struct net_task *first_task, **last_task;
    struct fl_list deadline_classes;
    struct fl_heap timers;
    int64_t armed_at_ms; /* when `timer` fires; INT64_MAX = not running */
    struct fl_mailbox mailbox;
    int64_t turn_began_ns, longest_turn_ns;
    bool is_idle_running;
    struct signal_watch signals[MOST_SIGNALS];
    int signal_count;
};

uv_loop_t *net_loop_uv(struct net_loop *loop)
{
    return &loop->uv;
}

void net_loop_mark_turn(struct net_loop *loop)
{
    if (loop->turn_began_ns == 0)
        loop->turn_began_ns = fl_clock_ns();
}

int64_t net_loop_now_ms(const struct net_loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

int64_t net_loop_take_longest_turn_ns(struct net_loop *loop)
{
    int64_t longest = loop->longest_turn_ns;
    loop->longest_turn_ns = 0;
    return longest;
}

int64_t net_loop_longest_turn_ns(const struct net_loop *loop)
{
    return loop->longest_turn_ns;
}

/* --- deferred work --- */

void net_loop_defer(struct net_loop *loop, struct net_task *task)
{
    if (task->is_queued)
        return;
    task->is_queued = true;
    task->next = NULL;
    *loop->last_task = task;
    loop->last_task = &task->next;
}

void net_loop_cancel(struct net_loop *loop, struct net_task *task)
{
    if (!task->is_queued)
        return;
    for (struct net_task **at = &loop->first_task; *at; at = &(*at)->next) {
        if (*at == task) {
            *at = task->next;
            if (loop->last_task == &task->next)
                loop->last_task = at;
            task->is_queued = false;
            return;
        }
    }
}

static void run_posts(struct net_loop *loop)
{
    struct fl_mailbox_entry *entry = fl_mailbox_take_all(&loop->mailbox);
    while (entry) {
        struct fl_mailbox_entry *next = fl_mailbox_next(entry);
        struct net_post *post = FL_CONTAINER(entry, struct net_post, entry);
        post->run(post);
        entry = next;
    }
}

static void run_tasks(struct net_loop *loop)
{
    for (int round = 0; loop->first_task && round < MOST_ROUNDS; round++) {
        /* A task deferred while the round runs waits for the next round: the marker is the last one
         * of now. */
        struct net_task *last = FL_CONTAINER(loop->last_task, struct net_task, next);
        for (bool is_last = false; !is_last && loop->first_task;) {
            struct net_task *task = loop->first_task;
            is_last = task == last;
            loop->first_task = task->next;
            if (!loop->first_task)
                loop->last_task = &loop->first_task;
            task->is_queued = false;
            task->run(task);
        }
    }
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle;
}

/* The poll must not sleep while work is left. */
static void set_idle(struct net_loop *loop, bool on)
{
    if (on == loop->is_idle_running)
        return;
    loop->is_idle_running = on;
    if (on)
        uv_idle_start(&loop->idle, on_idle);
    else
        uv_idle_stop(&loop->idle);
}

static void end_turn(struct net_loop *loop)
{
    if (loop->turn_began_ns == 0)
        return;
    int64_t took = fl_clock_ns() - loop->turn_began_ns;
    loop->turn_began_ns = 0;
    if (took > loop->longest_turn_ns)
        loop->longest_turn_ns = took;
}

static void on_check(uv_check_t *handle)
{
    struct net_loop *loop = handle->data;
    run_posts(loop);
    run_tasks(loop);
    set_idle(loop, loop->first_task != NULL);
}

static void wake(void *context)
{
    struct net_loop *loop = context;
    uint64_t one = 1;
    /* A full counter means that it is awake already. */
    ssize_t ignored = write(loop->wake_fd, &one, sizeof one);
    (void)ignored;
}

/* Waking is all that is wanted: posts are taken in `check`. */
static void on_wake(uv_poll_t *handle, int status, int events)
{
    struct net_loop *loop = handle->data;
    uint64_t count;
    (void)status;
    (void)events;
    ssize_t ignored = read(loop->wake_fd, &count, sizeof count);
    (void)ignored;
}

/* 0, or libuv's code. */
static int make_waker(struct net_loop *loop)
{
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0)
        return uv_translate_sys_error(errno);
    int failed = uv_poll_init(&loop->uv, &loop->waker, loop->wake_fd);
    loop->waker.data = loop;
    return failed ? failed : uv_poll_start(&loop->waker, UV_READABLE, on_wake);
}

static void on_prepare(uv_prepare_t *handle)
{
    struct net_loop *loop = handle->data;
    run_tasks(loop);
    while (!fl_mailbox_sleep(&loop->mailbox)) {
        run_posts(loop);
        run_tasks(loop);
    }
    /* Idle handles were counted before this point, so one that starts now would come a turn too
     * late. */
    if (loop->first_task)
        wake(loop);
    end_turn(loop);
}

void net_loop_post(struct net_loop *loop, struct net_post *post)
{
    fl_mailbox_post(&loop->mailbox, &post->entry);
}

/* --- deadlines and timers --- */

static void on_timer(uv_timer_t *handle);

static void arm(struct net_loop *loop, int64_t at_ms)
{
    if (at_ms >= loop->armed_at_ms)
        return;
    int64_t now = net_loop_now_ms(loop);
    loop->armed_at_ms = at_ms;
    uv_timer_start(&loop->timer, on_timer, at_ms > now ? (uint64_t)(at_ms - now) : 0, 0);
}

static void expire_class(struct net_deadlines *class, int64_t now)
{
    /* What is added while expiring waits its whole duration, so it is never due in this walk unless
     * the duration is 0. */
    for (struct fl_list *first; (first = fl_list_first(&class->entries));) {
        struct net_deadline *deadline = FL_LIST_ENTRY(first, struct net_deadline, link);
        if (deadline->at_ms > now)
            break;
        fl_list_remove(first);
        class->expired(deadline);
    }
}

static void on_timer(uv_timer_t *handle)
{
    struct net_loop *loop = handle->data;
    int64_t now = net_loop_now_ms(loop), next = INT64_MAX;
    loop->armed_at_ms = INT64_MAX;
    for (struct fl_heap_entry *first;
         (first = fl_heap_first(&loop->timers)) && first->due <= now;) {
        struct net_timer *timer = FL_CONTAINER(first, struct net_timer, entry);
        fl_heap_remove(&loop->timers, first);
        timer->expired(timer);
    }
    FL_LIST_EACH_SAFE(at, &loop->deadline_classes)
    {
        expire_class(FL_LIST_ENTRY(at, struct net_deadlines, link), now);
    }
    FL_LIST_EACH(at, &loop->deadline_classes)
    {
        struct net_deadlines *class = FL_LIST_ENTRY(at, struct net_deadlines, link);
        struct fl_list *first = fl_list_first(&class->entries);
        if (first && FL_LIST_ENTRY(first, struct net_deadline, link)->at_ms < next)
            next = FL_LIST_ENTRY(first, struct net_deadline, link)->at_ms;
    }
    struct fl_heap_entry *first = fl_heap_first(&loop->timers);
    if (first && first->due < next)
        next = first->due;
    if (next != INT64_MAX)
        arm(loop, next);
}

void net_deadlines_init(struct net_deadlines *deadlines, struct net_loop *loop, int64_t duration_ms,
                        net_deadline_fn *expired)
{
    deadlines->loop = loop;
    deadlines->duration_ms = duration_ms;
    deadlines->expired = expired;
    fl_list_init(&deadlines->entries);
    fl_list_add_last(&loop->deadline_classes, &deadlines->link);
}

void net_deadlines_fini(struct net_deadlines *deadlines)
{
    if (!deadlines->loop)
        return;
    for (struct fl_list *first; (first = fl_list_first(&deadlines->entries));)
        fl_list_remove(first);
    fl_list_remove(&deadlines->link);
    deadlines->loop = NULL;
}

void net_deadline_start(struct net_deadlines *deadlines, struct net_deadline *deadline)
{
    fl_list_remove(&deadline->link);
    if (deadlines->duration_ms <= 0)
        return;
    deadline->at_ms = net_loop_now_ms(deadlines->loop) + deadlines->duration_ms;
    fl_list_add_last(&deadlines->entries, &deadline->link);
    arm(deadlines->loop, deadline->at_ms);
}

void net_timer_start(struct net_loop *loop, struct net_timer *timer, int64_t at_ms)
{
    fl_heap_remove(&loop->timers, &timer->entry);
    timer->entry.due = at_ms;
    fl_heap_add(&loop->timers, &timer->entry);
    arm(loop, at_ms);
}

void net_timer_stop(struct net_loop *loop, struct net_timer *timer)
{
    fl_heap_remove(&loop->timers, &timer->entry);
}

/* --- signals --- */

static void on_uv_signal(uv_signal_t *handle, int number)
{
    struct signal_watch *watch = handle->data;
    watch->on_signal(number, watch->context);
}

enum fl_err net_loop_on_signal(struct net_loop *loop, int signal_number, net_signal_fn *on_signal,
                               void *context)
{
    FL_ASSERT(loop->signal_count < MOST_SIGNALS);
    struct signal_watch *watch = &loop->signals[loop->signal_count];
    if (uv_signal_init(&loop->uv, &watch->handle) != 0)
        return FL_ERR_SYSTEM;
    loop->signal_count++;
    watch->handle.data = watch;
    watch->on_signal = on_signal;
    watch->context = context;
    if (uv_signal_start(&watch->handle, on_uv_signal, signal_number) != 0)
        return FL_ERR_SYSTEM;
    uv_unref((uv_handle_t *)&watch->handle);
    return FL_OK;
}

/* --- life --- */

enum fl_err net_loop_new(struct net_loop **out, struct fl_error *error)
{
    struct net_loop *loop = fl_zalloc(sizeof *loop);
    int failed = uv_loop_init(&loop->uv);
    if (failed) {
        fl_free(loop);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot make an event loop: %s",
                            uv_strerror(failed));
    }
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_timer_init(&loop->uv, &loop->timer);
    failed = make_waker(loop);
    loop->prepare.data = loop->check.data = loop->timer.data = loop;
    loop->last_task = &loop->first_task;
    loop->armed_at_ms = INT64_MAX;
    loop->turn_began_ns = fl_clock_ns();
    fl_list_init(&loop->deadline_classes);
    fl_mailbox_init(&loop->mailbox, wake, loop);
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    *out = loop;
    if (failed) {
        *out = NULL;
        net_loop_free(&loop);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL,
                            "cannot make a wake-up descriptor: %s", uv_strerror(failed));
    }
    return FL_OK;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void net_loop_free(struct net_loop **pointer)
{
    struct net_loop *loop = *pointer;
    if (!loop)
        return;
    *pointer = NULL;
    /* What is still closing gets its callbacks first; then the loop's own handles go. */
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    FL_ASSERT(uv_loop_close(&loop->uv) == 0);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    fl_heap_fini(&loop->timers);
    fl_free(loop);
}

void net_loop_run(struct net_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void net_loop_stop(struct net_loop *loop)
{
    uv_stop(&loop->uv);
}
