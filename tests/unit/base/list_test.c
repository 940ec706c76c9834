/* Intrusive lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct fl_list link;
};

static int number_of(struct fl_list *link)
{
    return FL_LIST_ENTRY(link, struct item, link)->number;
}

static void assert_holds(struct fl_list *head, const char *digits)
{
    FL_LIST_EACH(at, head)
    {
        assert_int_equal(number_of(at), *digits - '0');
        digits++;
    }
    assert_int_equal(*digits, 0);
}

static void make(struct item *items, int count)
{
    for (int i = 0; i < count; i++) {
        items[i].number = i;
        fl_list_init(&items[i].link);
    }
}

static void adds_at_both_ends(void **state)
{
    struct fl_list head;
    struct item items[3];
    (void)state;
    fl_list_init(&head);
    make(items, 3);
    assert_null(fl_list_first(&head));
    fl_list_add_last(&head, &items[1].link);
    fl_list_add_last(&head, &items[2].link);
    fl_list_add_first(&head, &items[0].link);
    assert_holds(&head, "012");
    assert_ptr_equal(fl_list_first(&head), &items[0].link);
}

static void removing_twice_is_harmless(void **state)
{
    struct fl_list head;
    struct item items[3];
    (void)state;
    fl_list_init(&head);
    make(items, 3);
    for (int i = 0; i < 3; i++)
        fl_list_add_last(&head, &items[i].link);
    fl_list_remove(&items[1].link);
    fl_list_remove(&items[1].link);
    assert_true(fl_list_is_empty(&items[1].link));
    assert_holds(&head, "02");
}

static void moves_all_to_the_end_of_another(void **state)
{
    struct fl_list head, other;
    struct item items[4];
    (void)state;
    fl_list_init(&head);
    fl_list_init(&other);
    make(items, 4);
    for (int i = 0; i < 4; i++)
        fl_list_add_last(i < 2 ? &head : &other, &items[i].link);
    fl_list_move_all(&head, &other);
    assert_holds(&head, "0123");
    assert_true(fl_list_is_empty(&other));
    fl_list_move_all(&head, &other);
    assert_holds(&head, "0123");
    fl_list_move_all(&other, &head);
    assert_holds(&other, "0123");
}

static void the_safe_walk_may_remove_where_it_stands(void **state)
{
    struct fl_list head;
    struct item items[5];
    (void)state;
    fl_list_init(&head);
    make(items, 5);
    for (int i = 0; i < 5; i++)
        fl_list_add_last(&head, &items[i].link);
    FL_LIST_EACH_SAFE(at, &head)
    {
        if (number_of(at) % 2 == 0)
            fl_list_remove(at);
    }
    assert_holds(&head, "13");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_at_both_ends),
        cmocka_unit_test(removing_twice_is_harmless),
        cmocka_unit_test(moves_all_to_the_end_of_another),
        cmocka_unit_test(the_safe_walk_may_remove_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
