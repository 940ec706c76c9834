/* Binary heap; see the header. */
#include "base/heap.h"

#include "base/alloc.h"

static bool is_before(const struct fl_heap_entry *a, const struct fl_heap_entry *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(struct fl_heap *heap, size_t at, struct fl_heap_entry *entry)
{
    heap->entries[at] = entry;
    entry->place = at + 1;
}

static void sift_up(struct fl_heap *heap, size_t at, struct fl_heap_entry *entry)
{
    while (at && is_before(entry, heap->entries[(at - 1) / 2])) {
        put(heap, at, heap->entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(heap, at, entry);
}

static void sift_down(struct fl_heap *heap, size_t at, struct fl_heap_entry *entry)
{
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && is_before(heap->entries[child + 1], heap->entries[child]))
            child++;
        if (!is_before(heap->entries[child], entry))
            break;
        put(heap, at, heap->entries[child]);
        at = child;
    }
    put(heap, at, entry);
}

void fl_heap_fini(struct fl_heap *heap)
{
    fl_free(heap->entries);
    *heap = (struct fl_heap){0};
}

void fl_heap_add(struct fl_heap *heap, struct fl_heap_entry *entry)
{
    FL_ASSERT(entry->place == 0);
    if (heap->count == heap->room) {
        heap->room = heap->room ? heap->room * 2 : 16;
        heap->entries = fl_realloc(heap->entries, sizeof *heap->entries * heap->room);
    }
    entry->order = heap->next_order++;
    sift_up(heap, heap->count++, entry);
}

void fl_heap_remove(struct fl_heap *heap, struct fl_heap_entry *entry)
{
    if (entry->place == 0)
        return;
    size_t at = entry->place - 1;
    FL_ASSERT(at < heap->count && heap->entries[at] == entry);
    struct fl_heap_entry *last = heap->entries[--heap->count];
    entry->place = 0;
    if (last == entry)
        return;
    if (at && is_before(last, heap->entries[(at - 1) / 2]))
        sift_up(heap, at, last);
    else
        sift_down(heap, at, last);
}
