/* The map against a plain array that does the same slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/map.h"

enum { KEYS = 400, STEPS = 40000 };

static struct fl_slice key_of(unsigned number, char text[16])
{
    int len = snprintf(text, 16, "key-%u", number);
    return fl_slice_of(text, (size_t)len);
}

static void a_zeroed_map_is_empty(void **state)
{
    struct fl_map map = {0};
    uint32_t at = 0;
    (void)state;
    assert_null(fl_map_find(&map, FL_SLICE_LIT("a")));
    assert_null(fl_map_remove(&map, FL_SLICE_LIT("a")));
    assert_false(fl_map_next(&map, &at, NULL, NULL));
    assert_int_equal(fl_map_count(&map), 0);
    fl_map_fini(&map);
}

static void copies_keys_and_returns_the_former_value(void **state)
{
    struct fl_map map = {0};
    char key[] = "name";
    int first, second;
    (void)state;
    assert_null(fl_map_set(&map, fl_slice_str(key), &first));
    key[0] = 'g';
    assert_ptr_equal(fl_map_find(&map, FL_SLICE_LIT("name")), &first);
    assert_ptr_equal(fl_map_set(&map, FL_SLICE_LIT("name"), &second), &first);
    assert_int_equal(fl_map_count(&map), 1);
    assert_ptr_equal(fl_map_remove(&map, FL_SLICE_LIT("name")), &second);
    assert_null(fl_map_remove(&map, FL_SLICE_LIT("name")));
    fl_map_fini(&map);
    fl_map_fini(&map);
}

static void keys_may_be_empty_or_hold_nuls(void **state)
{
    struct fl_map map = {0};
    int a, b, c;
    (void)state;
    fl_map_set(&map, FL_SLICE_LIT(""), &a);
    fl_map_set(&map, FL_SLICE_LIT("\0"), &b);
    fl_map_set(&map, FL_SLICE_LIT("\0\0"), &c);
    assert_ptr_equal(fl_map_find(&map, FL_SLICE_NULL), &a);
    assert_ptr_equal(fl_map_find(&map, FL_SLICE_LIT("\0")), &b);
    assert_ptr_equal(fl_map_find(&map, FL_SLICE_LIT("\0\0")), &c);
    fl_map_fini(&map);
}

static void walks_in_insertion_order_and_allows_removing(void **state)
{
    struct fl_map map = {0};
    char text[16];
    static int values[1000];
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        fl_map_set(&map, key_of(i, text), &values[i]);
    uint32_t at = 0;
    unsigned seen = 0;
    struct fl_slice key;
    void *value;
    while (fl_map_next(&map, &at, &key, &value)) {
        assert_ptr_equal(value, &values[seen]);
        assert_true(fl_slice_eq(key, key_of(seen, text)));
        assert_int_equal(key.data[key.len], 0);
        if (seen++ % 3 == 0)
            fl_map_remove(&map, key);
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(fl_map_count(&map), 666);
    fl_map_fini(&map);
}

/* A small generator, so that a failure comes back. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void agrees_with_an_array_under_churn(void **state)
{
    struct fl_map map = {0};
    static int values[KEYS];
    void *expected[KEYS] = {0};
    uint32_t seed = 42, live = 0;
    char text[16];
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        unsigned number = next_random(&seed) % KEYS;
        struct fl_slice key = key_of(number, text);
        void *former = expected[number];
        if (next_random(&seed) % 3) {
            assert_ptr_equal(fl_map_set(&map, key, &values[number]), former);
            expected[number] = &values[number];
            live += !former;
        } else {
            assert_ptr_equal(fl_map_remove(&map, key), former);
            expected[number] = NULL;
            live -= former != NULL;
        }
        assert_ptr_equal(fl_map_find(&map, key), expected[number]);
        assert_int_equal(fl_map_count(&map), live);
    }
    /* Graves are cleared: the table follows what lives, not what ever lived. */
    assert_true(map.room <= KEYS * 2);
    fl_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_map_is_empty),
        cmocka_unit_test(copies_keys_and_returns_the_former_value),
        cmocka_unit_test(keys_may_be_empty_or_hold_nuls),
        cmocka_unit_test(walks_in_insertion_order_and_allows_removing),
        cmocka_unit_test(agrees_with_an_array_under_churn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
