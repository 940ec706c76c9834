/* A binary heap of intrusive entries, smallest `due` first; entries know their place, so any can
 * leave.
 *
 * Equal dues leave in the order in which they were added. A zeroed struct is an empty heap.
 *
 * Thread: one at a time.
 */
#ifndef FL_BASE_HEAP_H
#define FL_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fl_heap_entry {
    int64_t due;    /* what is ordered by; set before adding, unchanged while inside */
    uint64_t order; /* the heap's */
    size_t place;   /* the heap's; index + 1, 0 = not inside */
};

struct fl_heap {
    struct fl_heap_entry **entries;
    size_t count, room;
    uint64_t next_order;
};

/* Frees the heap's own memory, not the entries. */
void fl_heap_fini(struct fl_heap *heap);
void fl_heap_add(struct fl_heap *heap, struct fl_heap_entry *entry);
/* Does nothing when the entry is not inside. */
void fl_heap_remove(struct fl_heap *heap, struct fl_heap_entry *entry);

/* NULL when empty. */
static inline struct fl_heap_entry *fl_heap_first(const struct fl_heap *heap)
{
    return heap->count ? heap->entries[0] : NULL;
}

static inline bool fl_heap_has(const struct fl_heap_entry *entry)
{
    return entry->place != 0;
}

#endif
