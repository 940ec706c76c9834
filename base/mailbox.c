/* Mailbox on ck_stack; see the header.
 *
 * ThreadSanitizer does not see what Concurrency Kit's inline assembly orders, so the two places
 * where ownership of entries passes are annotated: everything before a push happens before the pop
 * of it.
 *
 * The sleeping flag and the stack form a Dekker pair: the sender pushes, then reads the flag; the
 * receiver sets the flag, then looks at the stack. Both sides put a full fence between, so at least
 * one sees the other.
 */
#include "base/mailbox.h"

#include <stddef.h>

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

#ifdef HAS_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
void __tsan_ignore_thread_begin(void);
void __tsan_ignore_thread_end(void);
#define ANNOTATE_ACQUIRE(address) __tsan_acquire(address)
#define ANNOTATE_RELEASE(address) __tsan_release(address)
#define IGNORE_BEGIN() __tsan_ignore_thread_begin()
#define IGNORE_END() __tsan_ignore_thread_end()
#else
#define ANNOTATE_ACQUIRE(address) ((void)(address))
#define ANNOTATE_RELEASE(address) ((void)(address))
#define IGNORE_BEGIN() ((void)0)
#define IGNORE_END() ((void)0)
#endif

void fl_mailbox_init(struct fl_mailbox *mailbox, fl_mailbox_wake_fn *wake, void *context)
{
    ck_stack_init(&mailbox->stack);
    atomic_init(&mailbox->is_asleep, false);
    mailbox->wake = wake;
    mailbox->context = context;
}

void fl_mailbox_post(struct fl_mailbox *mailbox, struct fl_mailbox_entry *entry)
{
    ANNOTATE_RELEASE(&mailbox->stack);
    /* The push itself writes the entry's link after the release; the pop orders it, unseen. */
    IGNORE_BEGIN();
    ck_stack_push_upmc(&mailbox->stack, &entry->link);
    IGNORE_END();
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&mailbox->is_asleep, memory_order_relaxed) &&
        atomic_exchange_explicit(&mailbox->is_asleep, false, memory_order_acq_rel))
        mailbox->wake(mailbox->context);
}

struct fl_mailbox_entry *fl_mailbox_take_all(struct fl_mailbox *mailbox)
{
    atomic_store_explicit(&mailbox->is_asleep, false, memory_order_relaxed);
    ck_stack_entry_t *newest = ck_stack_batch_pop_upmc(&mailbox->stack);
    ANNOTATE_ACQUIRE(&mailbox->stack);
    ck_stack_entry_t *oldest = NULL;
    while (newest) {
        ck_stack_entry_t *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return (struct fl_mailbox_entry *)(void *)oldest;
}

struct fl_mailbox_entry *fl_mailbox_next(struct fl_mailbox_entry *entry)
{
    return (struct fl_mailbox_entry *)(void *)entry->link.next;
}

bool fl_mailbox_sleep(struct fl_mailbox *mailbox)
{
    atomic_store_explicit(&mailbox->is_asleep, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (CK_STACK_ISEMPTY(&mailbox->stack))
        return true;
    atomic_store_explicit(&mailbox->is_asleep, false, memory_order_relaxed);
    return false;
}
