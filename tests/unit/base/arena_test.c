/* Arenas: alignment, zeroes, what was asked for. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void gives_aligned_zeroes_of_any_size(void **state)
{
    struct fl_arena arena = {0};
    size_t asked = 0;
    (void)state;
    for (size_t size = 0; size < 10000; size += size < 100 ? 1 : 777) {
        unsigned char *bytes = fl_arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)bytes % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], 0);
        memset(bytes, 0xff, size);
        asked += size;
    }
    assert_true(arena.used_bytes >= asked);
    fl_arena_fini(&arena);
    assert_int_equal(arena.used_bytes, 0);
    fl_arena_fini(&arena);
}

static void copies_end_in_a_nul_that_does_not_count(void **state)
{
    struct fl_arena arena = {0};
    (void)state;
    struct fl_slice copy = fl_arena_copy(&arena, fl_slice_of("abcd", 2));
    assert_int_equal(copy.len, 2);
    assert_string_equal(copy.data, "ab");
    assert_string_equal(fl_arena_strdup(&arena, FL_SLICE_NULL), "");
    assert_string_equal(fl_arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    fl_arena_fini(&arena);
}

static void large_and_small_live_side_by_side(void **state)
{
    struct fl_arena arena = {0};
    (void)state;
    char *small = fl_arena_strdup(&arena, FL_SLICE_LIT("small"));
    char *large = FL_ARENA_ARRAY(&arena, char, 100000);
    int *number = FL_ARENA_NEW(&arena, int);
    memset(large, 'x', 100000);
    *number = 5;
    assert_string_equal(small, "small");
    assert_int_equal(large[99999], 'x');
    fl_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_aligned_zeroes_of_any_size),
        cmocka_unit_test(copies_end_in_a_nul_that_does_not_count),
        cmocka_unit_test(large_and_small_live_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
