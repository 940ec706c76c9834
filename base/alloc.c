/* Allocation; see the header. */
#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local unsigned fail_countdown;

static void *or_abort(void *memory, size_t size)
{
    if (!memory && size) {
        fprintf(stderr, "fairlead: out of memory for %zu bytes\n", size);
        abort();
    }
    return memory;
}

void *fl_alloc(size_t size)
{
    return or_abort(malloc(size ? size : 1), size ? size : 1);
}

void *fl_zalloc(size_t size)
{
    return or_abort(calloc(1, size ? size : 1), size ? size : 1);
}

void *fl_realloc(void *old, size_t size)
{
    return or_abort(realloc(old, size ? size : 1), size ? size : 1);
}

char *fl_strdup(struct fl_slice s)
{
    char *copy = fl_alloc(s.len + 1);
    if (s.len)
        memcpy(copy, s.data, s.len);
    copy[s.len] = 0;
    return copy;
}

static int must_fail(void)
{
    return fail_countdown && --fail_countdown == 0;
}

void *fl_try_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *fl_try_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : realloc(old, size ? size : 1);
}

void fl_free(void *memory)
{
    free(memory);
}

void fl_alloc_fail_at(unsigned nth)
{
    fail_countdown = nth;
}
