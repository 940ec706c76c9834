/* The thread, its sleep and its end; see the header.
 *
 * The sleep follows the receiver's protocol of base/mailbox.h: only after `fl_mailbox_sleep` said
 * that nothing is inside does the thread block in poll(2), on an eventfd beside the turn's own
 * descriptors.
 *
 * Interrupting is a signal to the thread. One that arrives just before a system call blocks wakes
 * nobody, so the loop repeats it until the thread has ended.
 *
 * The gate is a mutex that is held for the few instructions of a reply and of abandoning: after the
 * loop has abandoned a thread, no post of it can reach a loop that may be gone.
 */
#include "connectors/session.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

/* Ignored by default, and used by nobody here for urgent data. */
#define WAKE_SIGNAL SIGURG

enum { INTERRUPT_EVERY_MS = 20, PATIENCE_MS = 1000 };

struct connector_session {
    const struct connector_session_type *type;
    void *owner;
    struct net_loop *loop;
    struct fl_mailbox mailbox;
    pthread_t thread;
    int wake_fd;
    atomic_bool is_interrupted;
    _Atomic uint64_t generation;

    pthread_mutex_t gate; /* of the next two */
    bool is_abandoned, has_ended;

    struct net_post over; /* the thread's last post */
    struct net_timer timer;
    int64_t deadline_at_ms;
    int64_t interrupted_at_ms;            /* 0: not yet */
    struct connector_session_sleep sleep; /* the thread's */
};

/* --- the thread --- */

static void wake(void *context)
{
    struct connector_session *session = context;
    uint64_t one = 1;
    /* A full counter means that it is awake already. */
    ssize_t ignored = write(session->wake_fd, &one, sizeof one);
    (void)ignored;
}

static int time_left_ms(int64_t until_at_ms)
{
    if (until_at_ms == INT64_MAX)
        return -1;
    int64_t left = until_at_ms - fl_clock_ms();
    return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static void sleep_until_something_comes(struct connector_session *session)
{
    struct connector_session_sleep *sleep = &session->sleep;
    struct pollfd all[1 + CONNECTOR_SESSION_WATCHES] = {{.fd = session->wake_fd, .events = POLLIN}};
    memcpy(&all[1], sleep->watches, sizeof sleep->watches);
    bool is_empty = fl_mailbox_sleep(&session->mailbox);
    int ready = poll(all, (nfds_t)(1 + sleep->watch_count),
                     is_empty ? time_left_ms(sleep->until_at_ms) : 0);
    if (ready < 0)
        memset(all, 0, sizeof all); /* interrupted: nothing is known to be ready */
    for (int i = 0; i < sleep->watch_count; i++)
        sleep->watches[i].revents = all[1 + i].revents;
    if (all[0].revents & POLLIN) {
        uint64_t count;
        ssize_t ignored = read(session->wake_fd, &count, sizeof count);
        (void)ignored;
    }
}

static void *run(void *argument)
{
    struct connector_session *session = argument;
    struct connector_session_sleep *sleep = &session->sleep;
    for (;;) {
        struct fl_mailbox_entry *work = fl_mailbox_take_all(&session->mailbox);
        sleep->until_at_ms = INT64_MAX;
        session->type->turn(session->owner, work, sleep);
        if (sleep->is_over)
            break;
        sleep_until_something_comes(session);
    }
    pthread_mutex_lock(&session->gate);
    session->has_ended = true;
    if (!session->is_abandoned)
        net_loop_post(session->loop, &session->over);
    pthread_mutex_unlock(&session->gate);
    return NULL;
}

/* --- the end --- */

static void free_session(struct connector_session *session)
{
    net_timer_stop(session->loop, &session->timer);
    pthread_mutex_destroy(&session->gate);
    close(session->wake_fd);
    fl_free(session);
}

static void on_over(struct net_post *post)
{
    struct connector_session *session = FL_CONTAINER(post, struct connector_session, over);
    const struct connector_session_type *type = session->type;
    void *owner = session->owner;
    pthread_join(session->thread, NULL);
    struct fl_mailbox_entry *rest = fl_mailbox_take_all(&session->mailbox);
    free_session(session);
    type->ended(owner, rest, false);
}

/* One that has just ended is heard of in this turn of the loop or the next. */
static void abandon(struct connector_session *session)
{
    pthread_mutex_lock(&session->gate);
    bool has_ended = session->has_ended;
    session->is_abandoned = !has_ended;
    pthread_mutex_unlock(&session->gate);
    if (has_ended)
        return;
    pthread_detach(session->thread);
    session->type->ended(session->owner, NULL, true);
}

static void on_deadline(struct net_timer *timer)
{
    struct connector_session *session = FL_CONTAINER(timer, struct connector_session, timer);
    int64_t now_ms = net_loop_now_ms(session->loop);
    /* Counted from the first interrupt: the deadline may be long past, or the process stood still.
     */
    if (session->interrupted_at_ms == 0)
        session->interrupted_at_ms = now_ms;
    if (now_ms - session->interrupted_at_ms >= PATIENCE_MS) {
        abandon(session);
        return;
    }
    connector_session_interrupt(session);
    net_timer_start(session->loop, timer, now_ms + INTERRUPT_EVERY_MS);
}

void connector_session_set_deadline(struct connector_session *session, int64_t deadline_at_ms)
{
    if (net_timer_is_running(&session->timer) && deadline_at_ms >= session->deadline_at_ms)
        return;
    session->deadline_at_ms = deadline_at_ms;
    net_timer_start(session->loop, &session->timer, deadline_at_ms);
}

/* --- across the threads --- */

void connector_session_post(struct connector_session *session, struct fl_mailbox_entry *entry)
{
    fl_mailbox_post(&session->mailbox, entry);
}

bool connector_session_reply(struct connector_session *session, struct net_post *post)
{
    pthread_mutex_lock(&session->gate);
    bool is_heard = !session->is_abandoned;
    if (is_heard)
        net_loop_post(session->loop, post);
    pthread_mutex_unlock(&session->gate);
    return is_heard;
}

void connector_session_interrupt(struct connector_session *session)
{
    atomic_store(&session->is_interrupted, true);
    if (session->type->interrupt)
        session->type->interrupt(session->owner);
    pthread_kill(session->thread, WAKE_SIGNAL);
    wake(session);
}

bool connector_session_is_interrupted(const struct connector_session *session)
{
    return atomic_load(&session->is_interrupted);
}

uint64_t connector_session_generation(const struct connector_session *session)
{
    return atomic_load(&session->generation);
}

void connector_session_next_generation(struct connector_session *session)
{
    atomic_fetch_add(&session->generation, 1);
}

/* --- the beginning --- */

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

/* Without SA_RESTART, so that blocked calls return. Somebody else's handler is left alone. */
static void install_handler(void)
{
    struct sigaction now;
    if (sigaction(WAKE_SIGNAL, NULL, &now) != 0 ||
        (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN))
        return;
    struct sigaction ours = {.sa_handler = do_nothing};
    sigaction(WAKE_SIGNAL, &ours, NULL);
}

/* The process's signals are the loop's; this thread takes only the one that wakes it. */
static int start_thread(struct connector_session *session)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, WAKE_SIGNAL);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&session->thread, NULL, run, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0)
        pthread_setname_np(session->thread, session->type->name);
    return failure;
}

enum fl_err connector_session_start(const struct connector_session_type *type,
                                    struct net_loop *loop, void *owner,
                                    struct connector_session **session, struct fl_error *error)
{
    struct connector_session *made = fl_zalloc(sizeof *made);
    made->type = type;
    made->owner = owner;
    made->loop = loop;
    made->over.run = on_over;
    made->timer.expired = on_deadline;
    made->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made->wake_fd < 0) {
        int failure = errno;
        fl_free(made);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "eventfd: %s", strerror(failure));
    }
    fl_mailbox_init(&made->mailbox, wake, made);
    pthread_mutex_init(&made->gate, NULL);
    install_handler();
    /* The thread may use the session before pthread_create has returned. */
    *session = made;
    int failure = start_thread(made);
    if (failure) {
        *session = NULL;
        free_session(made);
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "cannot start a thread: %s",
                            strerror(failure));
    }
    return FL_OK;
}
