/* The heap: order, equal dues, removal from the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/heap.h"

enum { ENTRIES = 2000 };

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void gives_entries_in_order_of_due(void **state)
{
    static struct fl_heap_entry entries[ENTRIES];
    struct fl_heap heap = {0};
    uint32_t seed = 1;
    (void)state;
    for (int i = 0; i < ENTRIES; i++) {
        entries[i].due = next_random(&seed) % 500;
        fl_heap_add(&heap, &entries[i]);
    }
    int64_t last_due = -1;
    const struct fl_heap_entry *last = NULL;
    for (struct fl_heap_entry *first; (first = fl_heap_first(&heap));) {
        assert_true(first->due >= last_due);
        if (last && first->due == last_due)
            assert_true(first > last);
        last_due = first->due;
        last = first;
        fl_heap_remove(&heap, first);
        assert_false(fl_heap_has(first));
    }
    fl_heap_fini(&heap);
}

static void any_entry_may_leave(void **state)
{
    static struct fl_heap_entry entries[ENTRIES];
    struct fl_heap heap = {0};
    uint32_t seed = 2;
    (void)state;
    for (int i = 0; i < ENTRIES; i++) {
        entries[i].due = (int64_t)next_random(&seed) - 5000000;
        fl_heap_add(&heap, &entries[i]);
    }
    for (int i = 0; i < ENTRIES; i += 2) {
        fl_heap_remove(&heap, &entries[i]);
        fl_heap_remove(&heap, &entries[i]);
    }
    assert_int_equal(heap.count, ENTRIES / 2);
    int64_t last = INT64_MIN;
    size_t count = 0;
    for (struct fl_heap_entry *first; (first = fl_heap_first(&heap)); count++) {
        assert_true((first - entries) % 2 == 1);
        assert_true(first->due >= last);
        last = first->due;
        fl_heap_remove(&heap, first);
    }
    assert_int_equal(count, ENTRIES / 2);
    fl_heap_fini(&heap);
}

static void an_entry_may_come_back(void **state)
{
    struct fl_heap heap = {0};
    struct fl_heap_entry a = {.due = 5}, b = {.due = 5};
    (void)state;
    fl_heap_add(&heap, &a);
    fl_heap_add(&heap, &b);
    fl_heap_remove(&heap, &a);
    fl_heap_add(&heap, &a);
    assert_ptr_equal(fl_heap_first(&heap), &b);
    fl_heap_remove(&heap, &b);
    assert_ptr_equal(fl_heap_first(&heap), &a);
    fl_heap_fini(&heap);
    assert_null(fl_heap_first(&heap));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_entries_in_order_of_due),
        cmocka_unit_test(any_entry_may_leave),
        cmocka_unit_test(an_entry_may_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
