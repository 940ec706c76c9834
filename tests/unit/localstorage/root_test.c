/* The root as it is configured: what is accepted, made, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/localstorage/tree.h"

static const char *open_error(struct tree *tree, const char *path)
{
    static struct fl_error error;
    struct cn_localstorage_root root = {0};
    (void)tree;
    if (cn_localstorage_root_open(&root, fl_slice_str(path), &error) == FL_OK) {
        cn_localstorage_root_close(&root);
        return NULL;
    }
    assert_null(root.path.data);
    return error.text;
}

static void refuses_system_folders_however_they_are_written(void **state)
{
    static const char *const paths[] = {
        "/proc",
        "/proc/x",
        "/sys",
        "/sys/kernel/x",
        "/boot",
        "/boot/efi",
        "/var/run/secrets",
        "/proc/",
        "//proc//x",
        "/tmp/../proc",
        "/./sys",
        "/proc/self/root",
        "/proc/1/x",
        "/var/run/secrets/kubernetes.io",
    };
    struct fl_error error;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(cn_localstorage_root_check(fl_slice_str(paths[i]), &error),
                         FL_ERR_INVALID);
        assert_non_null(strstr(error.text, "lies under /"));
        assert_non_null(open_error(*state, paths[i]));
    }
}

static void refuses_links_to_system_folders(void **state)
{
    struct tree *tree = *state;
    char path[512];
    tree_link(tree, "/proc", "kernel");
    tree_link(tree, "kernel", "kernel2");
    assert_non_null(strstr(open_error(tree, tree_path(tree, "kernel2/x", path)), "/proc"));
    assert_non_null(strstr(open_error(tree, tree_path(tree, "kernel", path)), "/proc"));
}

static void refuses_what_secrets_are_a_link_to(void **state)
{
    char real[4096], path[4200];
    assert_non_null(realpath("/var/run", real));
    snprintf(path, sizeof path, "%s/secrets", real);
    assert_non_null(strstr(open_error(*state, path), "/var/run/secrets"));
    snprintf(path, sizeof path, "%s/secrets/x", real);
    assert_non_null(strstr(open_error(*state, path), "/var/run/secrets"));
}

static void neighbours_by_their_letters_are_not_refused(void **state)
{
    struct fl_error error;
    (void)state;
    assert_int_equal(cn_localstorage_root_check(FL_SLICE_LIT("/processed"), &error), FL_OK);
    assert_int_equal(cn_localstorage_root_check(FL_SLICE_LIT("/system"), &error), FL_OK);
    assert_int_equal(cn_localstorage_root_check(FL_SLICE_LIT("/bootstrap/x"), &error), FL_OK);
    assert_int_equal(cn_localstorage_root_check(FL_SLICE_LIT("/srv/proc"), &error), FL_OK);
    assert_int_equal(cn_localstorage_root_check(FL_SLICE_LIT("relative"), &error), FL_OK);
}

static void refuses_files_empty_paths_nul_and_long_ones(void **state)
{
    struct tree *tree = *state;
    struct fl_error error;
    char path[512], *name = fl_zalloc(5000);
    assert_non_null(strstr(open_error(tree, tree_path(tree, "secret.txt", path)), "is a file"));
    assert_non_null(open_error(tree, tree_path(tree, "secret.txt/below", path)));
    assert_non_null(strstr(open_error(tree, ""), "names no folder"));
    assert_int_equal(cn_localstorage_root_check(FL_SLICE_LIT("/tmp/a\0b"), &error), FL_ERR_INVALID);
    assert_non_null(strstr(error.text, "NUL"));
    memset(name, 'n', 4999);
    name[0] = '/';
    assert_non_null(strstr(open_error(tree, name), "4999 bytes"));
    fl_free(name);
}

static void makes_what_is_missing_under_the_umask(void **state)
{
    struct tree *tree = *state;
    struct stat info;
    char path[512];
    mode_t before = umask(027);
    assert_null(open_error(tree, tree_path(tree, "new/deep/root", path)));
    umask(before);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0750);
}

static void follows_links_in_what_exists(void **state)
{
    struct tree *tree = *state;
    struct cn_localstorage_root root = {0};
    struct fl_error error;
    char path[512], expected[512];
    tree_link(tree, "outside", "alias");
    assert_int_equal(cn_localstorage_root_open(
                         &root, fl_slice_str(tree_path(tree, "alias/./x/../y/", path)), &error),
                     FL_OK);
    assert_string_equal(fl_buffer_cstr(&root.path), tree_path(tree, "outside/y", expected));
    cn_localstorage_root_close(&root);
    assert_int_equal(rmdir(expected), 0);
}

static void a_relative_path_begins_in_the_working_directory(void **state)
{
    struct tree *tree = *state;
    struct cn_localstorage_root root = {0};
    struct fl_error error;
    char before[4096], expected[512];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(tree->folder), 0);
    enum fl_err err = cn_localstorage_root_open(&root, FL_SLICE_LIT("./x/../here"), &error);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(err, FL_OK);
    assert_string_equal(fl_buffer_cstr(&root.path), tree_path(tree, "here", expected));
    cn_localstorage_root_close(&root);
}

static void a_dangling_link_is_refused(void **state)
{
    struct tree *tree = *state;
    char path[512];
    tree_link(tree, "nowhere-at-all", "lost");
    assert_non_null(open_error(tree, tree_path(tree, "lost", path)));
    assert_false(tree_has(tree, "nowhere-at-all"));
}

#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, tree_open, tree_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(refuses_system_folders_however_they_are_written),
        TREE_TEST(refuses_links_to_system_folders),
        TREE_TEST(refuses_what_secrets_are_a_link_to),
        TREE_TEST(neighbours_by_their_letters_are_not_refused),
        TREE_TEST(refuses_files_empty_paths_nul_and_long_ones),
        TREE_TEST(makes_what_is_missing_under_the_umask),
        TREE_TEST(follows_links_in_what_exists),
        TREE_TEST(a_relative_path_begins_in_the_working_directory),
        TREE_TEST(a_dangling_link_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
