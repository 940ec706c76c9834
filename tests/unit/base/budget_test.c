/* The byte budget: its line is strict, nobody starves, nobody is granted twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/budget.h"

enum { TOTAL = 1600, LINE_PART = 100, MAIN_PART = 1500 };

struct waiter {
    struct fl_budget_wish wish;
    struct fl_budget *budget;
    int number;
    int *order, *count; /* who was granted, in order */
    bool gives_back_at_once;
};

static void on_granted(struct fl_budget_wish *wish)
{
    struct waiter *waiter = FL_CONTAINER(wish, struct waiter, wish);
    waiter->order[(*waiter->count)++] = waiter->number;
    if (waiter->gives_back_at_once)
        fl_budget_release(waiter->budget, wish->bytes);
}

struct scene {
    struct fl_budget budget;
    struct waiter waiters[100];
    int order[100], count;
};

static struct waiter *wait_for(struct scene *scene, int number, size_t bytes)
{
    struct waiter *waiter = &scene->waiters[number];
    *waiter = (struct waiter){.wish = {.bytes = bytes, .granted = on_granted},
                              .budget = &scene->budget,
                              .number = number,
                              .order = scene->order,
                              .count = &scene->count};
    fl_list_init(&waiter->wish.link);
    fl_budget_wait(&scene->budget, &waiter->wish);
    return waiter;
}

static void start(struct scene *scene)
{
    *scene = (struct scene){.count = 0};
    fl_budget_init(&scene->budget, TOTAL);
}

static void grants_while_there_is_room(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    assert_true(fl_budget_try_take(&scene.budget, MAIN_PART - 1));
    assert_true(fl_budget_has_room(&scene.budget, 1));
    assert_false(fl_budget_try_take(&scene.budget, 2));
    assert_true(fl_budget_try_take(&scene.budget, 1));
    assert_false(fl_budget_try_take(&scene.budget, 1));
    assert_int_equal(scene.budget.used_bytes, MAIN_PART);
    fl_budget_release(&scene.budget, MAIN_PART);
    assert_int_equal(scene.budget.used_bytes, 0);
    assert_int_equal(scene.budget.peak_bytes, MAIN_PART);
}

static void the_line_is_served_in_order(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    assert_true(fl_budget_try_take(&scene.budget, MAIN_PART));
    for (int i = 0; i < 10; i++)
        wait_for(&scene, i, 150);
    fl_budget_release(&scene.budget, 300);
    assert_int_equal(scene.count, 2);
    fl_budget_release(&scene.budget, 1200);
    assert_int_equal(scene.count, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(scene.order[i], i);
    assert_int_equal(scene.budget.used_bytes, 1500);
}

static void small_wishes_do_not_pass_a_large_one(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    assert_true(fl_budget_try_take(&scene.budget, 1000));
    wait_for(&scene, 0, 1399);
    wait_for(&scene, 1, 1);
    assert_false(fl_budget_try_take(&scene.budget, 1));
    assert_false(fl_budget_has_room(&scene.budget, 1));
    fl_budget_release(&scene.budget, 500);
    assert_int_equal(scene.count, 0);
    fl_budget_release(&scene.budget, 400);
    assert_int_equal(scene.count, 2);
    assert_int_equal(scene.order[0], 0);
}

static void a_wish_over_the_total_is_granted_alone(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    assert_true(fl_budget_try_take(&scene.budget, 1));
    wait_for(&scene, 0, TOTAL * 10);
    wait_for(&scene, 1, 1);
    fl_budget_release(&scene.budget, 1);
    assert_int_equal(scene.count, 1);
    assert_int_equal(scene.budget.used_bytes, TOTAL * 10);
    fl_budget_release(&scene.budget, TOTAL * 10);
    assert_int_equal(scene.count, 2);
}

static void who_leaves_the_front_lets_the_next_in(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    assert_true(fl_budget_try_take(&scene.budget, 1000));
    struct waiter *large = wait_for(&scene, 0, 1400);
    struct waiter *small = wait_for(&scene, 1, 100);
    fl_budget_leave(&scene.budget, &large->wish);
    assert_int_equal(scene.count, 1);
    assert_int_equal(scene.order[0], 1);
    fl_budget_leave(&scene.budget, &small->wish);
    fl_budget_leave(&scene.budget, &large->wish);
    assert_int_equal(scene.budget.used_bytes, 1100);
}

static void granted_and_given_back_inside_serves_all(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    assert_true(fl_budget_try_take(&scene.budget, MAIN_PART));
    for (int i = 0; i < 100; i++)
        wait_for(&scene, i, 1000)->gives_back_at_once = true;
    fl_budget_release(&scene.budget, MAIN_PART);
    assert_int_equal(scene.count, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(scene.order[i], i);
    assert_int_equal(scene.budget.used_bytes, 0);
}

static void charging_overshoots_and_the_next_pay(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    fl_budget_charge(&scene.budget, TOTAL * 2);
    assert_false(fl_budget_try_take(&scene.budget, 1));
    wait_for(&scene, 0, 10);
    fl_budget_release(&scene.budget, TOTAL);
    assert_int_equal(scene.count, 0);
    fl_budget_release(&scene.budget, TOTAL);
    assert_int_equal(scene.count, 1);
}

static void the_lines_own_part_is_bounded(void **state)
{
    struct scene scene;
    (void)state;
    start(&scene);
    assert_true(fl_budget_hold_waiting(&scene.budget, LINE_PART - 1));
    assert_false(fl_budget_hold_waiting(&scene.budget, 2));
    assert_true(fl_budget_hold_waiting(&scene.budget, 1));
    assert_false(fl_budget_hold_waiting(&scene.budget, SIZE_MAX));
    fl_budget_release_waiting(&scene.budget, LINE_PART);
    assert_int_equal(scene.budget.waiting_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_while_there_is_room),
        cmocka_unit_test(the_line_is_served_in_order),
        cmocka_unit_test(small_wishes_do_not_pass_a_large_one),
        cmocka_unit_test(a_wish_over_the_total_is_granted_alone),
        cmocka_unit_test(who_leaves_the_front_lets_the_next_in),
        cmocka_unit_test(granted_and_given_back_inside_serves_all),
        cmocka_unit_test(charging_overshoots_and_the_next_pay),
        cmocka_unit_test(the_lines_own_part_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
