/* An intrusive doubly linked list with a head: O(1) everywhere, no allocation.
 *
 * The head and every entry are `struct fl_list`. A removed entry points at itself, so removing
 * twice is harmless and `fl_list_is_empty` on an entry tells whether it is linked.
 *
 * Thread: one at a time.
 */
#ifndef FL_BASE_LIST_H
#define FL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct fl_list {
    struct fl_list *next, *prev;
};

#define FL_CONTAINER(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void fl_list_init(struct fl_list *list)
{
    list->next = list->prev = list;
}

static inline bool fl_list_is_empty(const struct fl_list *list)
{
    return list->next == list;
}

static inline void fl_list_add_last(struct fl_list *head, struct fl_list *entry)
{
    entry->prev = head->prev;
    entry->next = head;
    head->prev->next = entry;
    head->prev = entry;
}

static inline void fl_list_add_first(struct fl_list *head, struct fl_list *entry)
{
    fl_list_add_last(head->next, entry);
}

static inline void fl_list_remove(struct fl_list *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    entry->next = entry->prev = entry;
}

/* NULL when empty. */
static inline struct fl_list *fl_list_first(const struct fl_list *head)
{
    return head->next == head ? NULL : head->next;
}

/* Moves all of `from` to the end of `to`; `from` is empty afterwards. */
static inline void fl_list_move_all(struct fl_list *to, struct fl_list *from)
{
    if (fl_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    fl_list_init(from);
}

#define FL_LIST_ENTRY(entry, type, member) FL_CONTAINER(entry, type, member)
/* Entries must not be removed inside, save by FL_LIST_EACH_SAFE, which allows removing `at` itself.
 */
#define FL_LIST_EACH(at, head) for (struct fl_list *at = (head)->next; at != (head); at = at->next)
#define FL_LIST_EACH_SAFE(at, head)                                                                \
    for (struct fl_list *at = (head)->next, *at##_next = at->next; at != (head);                   \
         at = at##_next, at##_next = at->next)

#endif
