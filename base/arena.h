/* Many small things that die together: configuration, metadata, one bulk request.
 *
 * A zeroed struct is an empty arena. Nothing is freed alone. Allocation aborts when memory is gone,
 * so an arena is for input whose size was bounded before.
 *
 * Thread: one at a time.
 */
#ifndef FL_BASE_ARENA_H
#define FL_BASE_ARENA_H

#include "base/error.h"
#include "base/slice.h"

struct fl_arena_block;

struct fl_arena {
    struct fl_arena_block *blocks;
    size_t used_bytes; /* all that was asked of it, for budgets */
};

void fl_arena_fini(struct fl_arena *arena);

/* Zeroed, aligned for any type. */
void *fl_arena_alloc(struct fl_arena *arena, size_t size) __attribute__((returns_nonnull));

/* Copies with a NUL behind; the slice's length does not count it. */
struct fl_slice fl_arena_copy(struct fl_arena *arena, struct fl_slice s);
char *fl_arena_strdup(struct fl_arena *arena, struct fl_slice s) __attribute__((returns_nonnull));
char *fl_arena_printf(struct fl_arena *arena, const char *format, ...) FL_PRINTF(2, 3);

#define FL_ARENA_NEW(arena, type) ((type *)fl_arena_alloc((arena), sizeof(type)))
#define FL_ARENA_ARRAY(arena, type, count) ((type *)fl_arena_alloc((arena), sizeof(type) * (count)))

#endif
