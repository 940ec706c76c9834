/* The setting connectionString: which strings name which file, and which are refused with what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/sqlite/path.h"

/* A folder of its own, without symbolic links, is the working directory of each test. */
static char folder[64];

static int enter_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/path_test.XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") || system(command) ? -1 : 0;
}

static void expect_path(const char *text, const char *expected)
{
    struct fl_error error = {0};
    struct fl_buffer path = {0};
    if (cn_path_of(fl_slice_str(text), FL_SLICE_LIT("/data"), &path, &error))
        fail_msg("%s: %s", text, error.text);
    assert_string_equal(path.data, expected);
    assert_int_equal(path.len, strlen(expected));
    fl_buffer_fini(&path);
}

static void expect_here(const char *text, const char *name)
{
    char expected[256];
    snprintf(expected, sizeof expected, "%s/%s", folder, name);
    expect_path(text, expected);
}

static void expect_refusal_of(struct fl_slice text, enum fl_err code, const char *words)
{
    struct fl_error error = {0};
    struct fl_buffer path = {0};
    enum fl_err err = cn_path_of(text, FL_SLICE_LIT("/data"), &path, &error);
    if (err != code || !strstr(error.text, words))
        fail_msg("%.*s: %s: %s", FL_SLICE_ARG(text), fl_err_name(err), error.text);
    assert_int_equal(error.code, code);
    assert_int_equal(error.class, FL_CLASS_FATAL);
    assert_int_equal(path.len, 0);
    fl_buffer_fini(&path);
}

static void expect_refusal(const char *text, enum fl_err code, const char *words)
{
    expect_refusal_of(fl_slice_str(text), code, words);
}

static void takes_paths(void **state)
{
    (void)state;
    expect_path("/nowhere/a b.db", "/nowhere/a b.db");
    expect_here("a.db", "a.db");
    expect_here("./a.db", "a.db");
    expect_here("sub/a%20.db", "sub/a%20.db");
    expect_here(" a", " a");
    expect_here("file", "file");
    expect_here("a.db?_txlock=immediate", "a.db");
}

static void takes_uris(void **state)
{
    (void)state;
    expect_path("file:/nowhere/a.db", "/nowhere/a.db");
    expect_path("file:///nowhere/a.db", "/nowhere/a.db");
    expect_path("file://localhost/nowhere/a.db", "/nowhere/a.db");
    expect_path("FILE://LOCALHOST/nowhere/a%3fb%25.db#x?y", "/nowhere/a?b%.db");
    expect_here("file:a%20b.db", "a b.db");
    expect_here("file:sub/a.db?mode=rw", "sub/a.db");
}

static void accepts_parameters_without_effect(void **state)
{
    (void)state;
    expect_here("file:a.db?mode=rwc&cache=private&_txlock=deferred", "a.db");
    expect_here("file:a.db?", "a.db");
    expect_here("file:a.db?&&mode=rw&", "a.db");
    expect_here("file:a.db?%6dode=r%77#mode=ro", "a.db");
    expect_here("file:a.db?_txlock=exclusive", "a.db");
}

static void refuses_parameters_with_advice(void **state)
{
    (void)state;
    expect_refusal("file:a?mode=ro", FL_ERR_UNSUPPORTED,
                   "mode=ro is not possible: a broker writes");
    expect_refusal("file:a?mode=memory", FL_ERR_UNSUPPORTED, "pubsub.in-memory");
    expect_refusal("a?mode=memory&cache=shared", FL_ERR_UNSUPPORTED, "pubsub.in-memory");
    expect_refusal("file:a?mode", FL_ERR_UNSUPPORTED, "mode= is not possible");
    expect_refusal("file:a?cache=shared", FL_ERR_UNSUPPORTED, "cache=private");
    expect_refusal("file:a?vfs=unix-none", FL_ERR_UNSUPPORTED, "brings its own");
    expect_refusal("file:a?immutable=1", FL_ERR_UNSUPPORTED, "a broker writes");
    expect_refusal("file:a?nolock=1", FL_ERR_UNSUPPORTED, "several processes");
    expect_refusal("file:a?_txlock=never", FL_ERR_UNSUPPORTED, "use deferred, immediate or");
    expect_refusal("file:a?_pragma=busy_timeout(5)", FL_ERR_UNSUPPORTED, "sets its own");
    expect_refusal("file:a?mode=rw&Mode=rw", FL_ERR_INVALID, "not known (mode, cache and _txlock");
    expect_refusal("file:a?mode=r%7", FL_ERR_INVALID, "hexadecimal");
}

static void refuses_what_is_no_file_of_this_host(void **state)
{
    (void)state;
    expect_refusal(":memory:", FL_ERR_UNSUPPORTED, "pubsub.in-memory");
    expect_refusal("file::memory:?cache=private", FL_ERR_UNSUPPORTED, "pubsub.in-memory");
    expect_refusal("file://server/a.db", FL_ERR_UNSUPPORTED, "on host server: use file:///PATH");
    expect_refusal("file://a.db", FL_ERR_UNSUPPORTED, "on host a.db");
    expect_refusal("file:", FL_ERR_INVALID, "names no file");
    expect_refusal("file://localhost", FL_ERR_INVALID, "names no file");
    expect_refusal("?mode=rw", FL_ERR_INVALID, "names no file");
    expect_refusal("/tmp/", FL_ERR_INVALID, "names a folder");
    expect_refusal("file:///", FL_ERR_INVALID, "names a folder");
    expect_refusal("..", FL_ERR_INVALID, "names a folder");
    expect_refusal("a/.", FL_ERR_INVALID, "names a folder");
    expect_refusal("file:a%00b", FL_ERR_INVALID, "NUL");
    expect_refusal_of(FL_SLICE_LIT("a\0b"), FL_ERR_INVALID, "NUL");
    expect_refusal("file:a%4", FL_ERR_INVALID, "hexadecimal");
    expect_refusal("file:a%", FL_ERR_INVALID, "hexadecimal");
    expect_refusal("file:a%g0", FL_ERR_INVALID, "hexadecimal");
}

static void bounds_the_length(void **state)
{
    char text[CN_PATH_BYTES_MAX + 2];
    (void)state;
    memset(text, 'x', sizeof text);
    text[0] = '/';
    expect_refusal_of(fl_slice_of(text, CN_PATH_BYTES_MAX + 1), FL_ERR_TOO_LARGE,
                      "has 505 bytes, at most 504");
    text[CN_PATH_BYTES_MAX] = 0;
    expect_path(text, text);
}

static void empty_is_in_the_data_folder(void **state)
{
    struct fl_buffer path = {0};
    struct fl_error error = {0};
    (void)state;
    expect_path("", "/data/broker.db");
    fl_buffer_append_str(&path, "at ");
    assert_int_equal(cn_path_of(FL_SLICE_NULL, FL_SLICE_LIT("/data/"), &path, &error), FL_OK);
    assert_string_equal(path.data, "at /data/broker.db");
    assert_int_equal(cn_path_of(FL_SLICE_NULL, FL_SLICE_NULL, &path, &error), FL_ERR_INVALID);
    assert_non_null(strstr(error.text, "--data-dir"));
    assert_int_equal(path.len, strlen("at /data/broker.db"));
    fl_buffer_fini(&path);
}

/* Two names of one file are one path, so that both find the same lock beside it. */
static void follows_links_as_far_as_there_is_something(void **state)
{
    (void)state;
    assert_int_equal(mkdir("real", 0700), 0);
    assert_int_equal(symlink("real", "link"), 0);
    expect_here("link/a.db", "real/a.db");
    expect_here("link/missing/a.db", "real/missing/a.db");
    expect_here("real/../link/a.db", "real/a.db");
    assert_int_equal(mknod("real/a.db", S_IFREG | 0600, 0), 0);
    assert_int_equal(symlink("a.db", "real/b.db"), 0);
    expect_here("link/b.db", "real/a.db");
    assert_int_equal(symlink("/", "root"), 0);
    expect_path("root/missing.db", "/missing.db");
}

static void says_when_there_is_no_working_directory(void **state)
{
    (void)state;
    assert_int_equal(mkdir("gone", 0700), 0);
    assert_int_equal(chdir("gone"), 0);
    assert_int_equal(rmdir("../gone"), 0);
    expect_refusal("a.db", FL_ERR_SYSTEM, "no working directory");
    expect_path("/nowhere/a.db", "/nowhere/a.db");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_paths),
        TEST(takes_uris),
        TEST(accepts_parameters_without_effect),
        TEST(refuses_parameters_with_advice),
        TEST(refuses_what_is_no_file_of_this_host),
        TEST(bounds_the_length),
        TEST(empty_is_in_the_data_folder),
        TEST(follows_links_as_far_as_there_is_something),
        TEST(says_when_there_is_no_working_directory),
    };
    return cmocka_run_group_tests_name("sqlite_path", tests, NULL, NULL);
}
