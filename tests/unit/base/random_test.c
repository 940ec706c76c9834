/* Random bytes: shape of ids, bounds, and what a child of fork gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"

static void ids_have_the_shape_of_version_4(void **state)
{
    (void)state;
    for (int round = 0; round < 1000; round++) {
        char id[37] = {0};
        fl_random_uuid(id);
        assert_int_equal(strlen(id), 36);
        assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
        for (int i = 0; i < 36; i++)
            assert_int_equal(id[i] == '-', i == 8 || i == 13 || i == 18 || i == 23);
        assert_int_equal(id[14], '4');
        assert_non_null(strchr("89ab", id[19]));
    }
}

static void ids_differ(void **state)
{
    static char ids[500][36];
    (void)state;
    for (int i = 0; i < 500; i++) {
        fl_random_uuid(ids[i]);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(ids[i], ids[j], 36);
    }
}

static void numbers_stay_under_their_bound(void **state)
{
    int seen[7] = {0};
    (void)state;
    for (int i = 0; i < 7000; i++) {
        uint64_t value = fl_random_below(7);
        assert_true(value < 7);
        seen[value]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 700, 1300);
    assert_int_equal(fl_random_below(1), 0);
    assert_true(fl_random_below(UINT64_MAX) < UINT64_MAX);
    for (int i = 0; i < 1000; i++) {
        double unit = fl_random_unit();
        assert_true(unit >= 0 && unit < 1);
    }
}

static void large_requests_are_filled_to_the_end(void **state)
{
    static unsigned char bytes[20000];
    (void)state;
    fl_random_bytes(bytes, sizeof bytes);
    int zeroes = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        zeroes += bytes[i] == 0;
    assert_in_range(zeroes, 20, 200);
}

static void a_child_of_fork_draws_other_bytes(void **state)
{
    int ends[2];
    char mine[36], childs[36];
    (void)state;
    fl_random_uuid(mine);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        fl_random_uuid(childs);
        _exit(write(ends[1], childs, 36) == 36 ? 0 : 1);
    }
    assert_int_equal(read(ends[0], childs, 36), 36);
    fl_random_uuid(mine);
    assert_memory_not_equal(mine, childs, 36);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_the_shape_of_version_4),
        cmocka_unit_test(ids_differ),
        cmocka_unit_test(numbers_stay_under_their_bound),
        cmocka_unit_test(large_requests_are_filled_to_the_end),
        cmocka_unit_test(a_child_of_fork_draws_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
