/* Watched folders: what is written, renamed and removed there is said with its name. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "net/watch.h"

static struct net_loop *loop;
static struct net_watch *watch;
static char folder[64];
static const char *awaited;
static bool has_come;

static char *path_of(const char *name)
{
    static char path[2][128];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int set_up(void **state)
{
    (void)state;
    has_come = false;
    strcpy(folder, "/tmp/fairlead-watch-XXXXXX");
    return !mkdtemp(folder) || net_loop_new(&loop, NULL) != FL_OK;
}

static int tear_down(void **state)
{
    (void)state;
    net_watch_stop(&watch);
    net_loop_free(&loop);
    unlink(path_of("a.yaml"));
    unlink(path_of("b.yaml"));
    return rmdir(folder);
}

static void on_change(void *context, const char *name)
{
    (void)context;
    if (name && strcmp(name, awaited) == 0) {
        has_come = true;
        net_loop_stop(loop);
    }
}

static void on_deadline(struct net_timer *timer)
{
    (void)timer;
    net_loop_stop(loop);
}

static bool comes(const char *name)
{
    struct net_timer timer = {.expired = on_deadline};
    awaited = name;
    has_come = false;
    net_timer_start(loop, &timer, net_loop_now_ms(loop) + 10000);
    net_loop_run(loop);
    net_timer_stop(loop, &timer);
    return has_come;
}

static void write_file(const char *name)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs("x", file);
    fclose(file);
}

static void start(void)
{
    assert_int_equal(net_watch_start(loop, folder, on_change, NULL, &watch, NULL), FL_OK);
}

static void says_what_is_written(void **state)
{
    (void)state;
    start();
    write_file("a.yaml");
    assert_true(comes("a.yaml"));
}

static void says_both_names_of_a_rename(void **state)
{
    (void)state;
    write_file("a.yaml");
    start();
    assert_int_equal(rename(path_of("a.yaml"), path_of("b.yaml")), 0);
    assert_true(comes("b.yaml"));
}

static void says_what_is_removed(void **state)
{
    (void)state;
    write_file("a.yaml");
    start();
    unlink(path_of("a.yaml"));
    assert_true(comes("a.yaml"));
}

static void a_missing_folder_is_an_error_with_its_name(void **state)
{
    struct fl_error error;
    (void)state;
    assert_int_equal(net_watch_start(loop, "/nonexistent/folder", on_change, NULL, &watch, &error),
                     FL_ERR_SYSTEM);
    assert_null(watch);
    assert_non_null(strstr(error.text, "/nonexistent/folder"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_what_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_both_names_of_a_rename, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_is_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_an_error_with_its_name, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
