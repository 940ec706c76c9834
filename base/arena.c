/* Bump allocation in blocks; see the header. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>

#include "base/alloc.h"

enum { BLOCK_BYTES = 4096 - 32 };

struct fl_arena_block {
    struct fl_arena_block *next;
    size_t used;
    size_t room;
    alignas(max_align_t) char data[];
};

void fl_arena_fini(struct fl_arena *arena)
{
    while (arena->blocks) {
        struct fl_arena_block *block = arena->blocks;
        arena->blocks = block->next;
        fl_free(block);
    }
    arena->used_bytes = 0;
}

void *fl_arena_alloc(struct fl_arena *arena, size_t size)
{
    size_t need = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct fl_arena_block *block = arena->blocks;
    FL_ASSERT(need >= size);
    if (!block || block->room - block->used < need) {
        size_t room = need > BLOCK_BYTES ? need : BLOCK_BYTES;
        block = fl_alloc(sizeof *block + room);
        block->used = 0;
        block->room = room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *at = block->data + block->used;
    block->used += need;
    arena->used_bytes += need;
    memset(at, 0, need);
    return at;
}

char *fl_arena_strdup(struct fl_arena *arena, struct fl_slice s)
{
    char *copy = fl_arena_alloc(arena, s.len + 1);
    if (s.len)
        memcpy(copy, s.data, s.len);
    return copy;
}

struct fl_slice fl_arena_copy(struct fl_arena *arena, struct fl_slice s)
{
    return fl_slice_of(fl_arena_strdup(arena, s), s.len);
}

char *fl_arena_printf(struct fl_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    FL_ASSERT(len >= 0);
    char *text = fl_arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
