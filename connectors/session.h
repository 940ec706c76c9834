/* A session: one thread, one mailbox and one connection, for client libraries that block.
 *
 * The thread calls `turn` again and again. A turn takes everything that waits, does it, and posts
 * its answers to the loop; between turns the thread sleeps on the mailbox and on the descriptors
 * that the turn named. So batching and group commit come from load itself: what arrives while a
 * turn is busy is the work of the next one.
 *
 *   loop: connector_session_post ──► mailbox ──► turn ──► connector_session_reply ──► loop
 *
 * examples/connector is a small connector that works so.
 *
 * A session never owns a call without an end. `connector_session_interrupt` makes a blocked system
 * call return (EINTR, by a signal whose handler does nothing) and calls the connector's own
 * `interrupt`, for what a signal does not reach. A thread that does not end by its deadline even so
 * is abandoned: it and what it uses are never freed, its answers go nowhere, and the process is
 * expected to exit.
 *
 * `generation` counts connections. Whoever carries a token across the two threads carries the
 * generation with it, so that an answer from before a reconnect is known as such.
 */
#ifndef CONNECTOR_SESSION_H
#define CONNECTOR_SESSION_H

#include <poll.h>

#include "base/error.h"
#include "base/mailbox.h"
#include "net/loop.h"

enum { CONNECTOR_SESSION_WATCHES = 4 };

struct connector_session;

/* What a turn leaves for the thread to do. Kept from turn to turn; `revents` are of the last sleep.
 */
struct connector_session_sleep {
    int64_t until_at_ms; /* sleep at most until then; INT64_MAX: until something comes; set to
                            INT64_MAX before each turn */
    struct pollfd watches[CONNECTOR_SESSION_WATCHES];
    int watch_count;
    bool is_over; /* no turn follows; the thread ends */
};

struct connector_session_type {
    const char *name; /* of the thread, at most 15 bytes */

    /* Session's thread. `work` is a list in order of arrival, or NULL; its entries are taken, so
     * `fl_mailbox_next` is asked before an entry is given away. A turn that finds the session
     * interrupted ends what it is at and says `is_over`. */
    void (*turn)(void *owner, struct fl_mailbox_entry *work, struct connector_session_sleep *sleep);

    /* Any thread, at any time while the session lives, possibly several times: makes calls return
     * that a signal does not wake. May be NULL. */
    void (*interrupt)(void *owner);

    /* Loop. The thread has ended, or (`is_abandoned`) will never: then whatever it uses, `owner`
     * above all, must not be freed. So `owner` is no part of the connector's instance, whose memory
     * goes after `closed`. The session itself is gone. `rest` is what was posted and never reached
     * a turn; its entries are taken. An abandoned one may have posted a
     * reply that still runs. */
    void (*ended)(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned);
};

/* Starts the thread; the first turn comes at once, without work, and `*session` is set before it.
 * `type` and `owner` are borrowed until `ended`. Loop. FL_ERR_SYSTEM. */
enum fl_err connector_session_start(const struct connector_session_type *type,
                                    struct net_loop *loop, void *owner,
                                    struct connector_session **session,
                                    struct fl_error *error) FL_MUST_USE;

/* Any thread. The entry is taken. */
void connector_session_post(struct connector_session *session, struct fl_mailbox_entry *entry);

/* Session's thread. Runs `post` on the loop. False: the session was abandoned, the post was not
 * taken. */
bool connector_session_reply(struct connector_session *session, struct net_post *post) FL_MUST_USE;

/* Any thread. Wakes a blocked call; the turn sees it by `connector_session_is_interrupted`. */
void connector_session_interrupt(struct connector_session *session);

/* Session's thread. True from the first interrupt on. */
bool connector_session_is_interrupted(const struct connector_session *session);

/* Loop. By then the thread has to have ended: it is interrupted, and a second later abandoned. The
 * thread ends by a turn that says `is_over`, so something has to be posted that tells it to. A
 * second call can only bring it forward. */
void connector_session_set_deadline(struct connector_session *session, int64_t deadline_at_ms);

/* Session's thread counts, any thread reads. */
uint64_t connector_session_generation(const struct connector_session *session);
void connector_session_next_generation(struct connector_session *session);

#endif
