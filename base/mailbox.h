/* Hands work from any thread to one: push from anywhere, take everything at once, wake once.
 *
 * A sender pushes an intrusive entry and calls the receiver's `wake` only if the receiver said that
 * it sleeps; the receiver takes the whole list in the order of arrival. No lock exists, so none is
 * held while anyone's code runs. Built on Concurrency Kit's `ck_stack` (push, batch pop).
 *
 * Receiver's protocol, which loses no wake-up:
 *     take everything → work → `fl_mailbox_sleep` → if it says true, block; woken or not: take
 * again.
 */
#ifndef FL_BASE_MAILBOX_H
#define FL_BASE_MAILBOX_H

#include <ck_stack.h>
#include <stdatomic.h>
#include <stdbool.h>

struct fl_mailbox_entry {
    ck_stack_entry_t link; /* the mailbox's, while the entry is inside */
};

/* Called on the sender's thread when the receiver sleeps; must be safe from any thread. */
typedef void fl_mailbox_wake_fn(void *context);

struct fl_mailbox {
    ck_stack_t stack;
    atomic_bool is_asleep;
    fl_mailbox_wake_fn *wake;
    void *context; /* borrowed */
};

void fl_mailbox_init(struct fl_mailbox *mailbox, fl_mailbox_wake_fn *wake, void *context);

/* Any thread. The entry is taken: it belongs to the receiver afterwards. */
void fl_mailbox_post(struct fl_mailbox *mailbox, struct fl_mailbox_entry *entry);

/* Receiver only. All entries, oldest first, linked by `fl_mailbox_next`; NULL when there are none.
 */
struct fl_mailbox_entry *fl_mailbox_take_all(struct fl_mailbox *mailbox);
struct fl_mailbox_entry *fl_mailbox_next(struct fl_mailbox_entry *entry);

/* Receiver only. True: nothing is inside and the next post will wake, so blocking is safe.
 * False: something came; take again. */
bool fl_mailbox_sleep(struct fl_mailbox *mailbox) __attribute__((warn_unused_result));

#endif
