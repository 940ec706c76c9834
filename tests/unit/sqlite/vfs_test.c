/* The VFS that counts: what it counts is what happened, and nothing of SQLite is lost on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "connectors/sqlite/vfs.h"

static char folder[64], file[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vfs_test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/a.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) ? -1 : 0;
}

static sqlite3 *open_db(const char *vfs_name)
{
    sqlite3 *db = NULL;
    assert_int_equal(
        sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs_name),
        SQLITE_OK);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

/* The first column of the first row, as text. */
static void expect_answer(sqlite3 *db, const char *sql, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), expected);
    sqlite3_finalize(statement);
}

static void commit_rows(sqlite3 *db, int count)
{
    for (int i = 0; i < count; i++)
        run(db, "INSERT INTO t VALUES (randomblob(100))");
}

static uint64_t log_size(void)
{
    char name[128];
    struct stat found;
    snprintf(name, sizeof name, "%s-wal", file);
    assert_int_equal(stat(name, &found), 0);
    return (uint64_t)found.st_size;
}

static void counts_one_sync_a_full_commit_and_none_a_normal_one(void **state)
{
    struct cn_vfs_counts counts = {0};
    struct cn_vfs *vfs = cn_vfs_new(&counts);
    sqlite3 *db = open_db(cn_vfs_name(vfs));
    (void)state;
    expect_answer(db, "PRAGMA journal_mode=WAL", "wal");
    run(db, "PRAGMA synchronous=FULL; CREATE TABLE t (x)");
    commit_rows(db, 1);
    uint64_t syncs = counts.syncs;
    commit_rows(db, 10);
    assert_int_equal(counts.syncs - syncs, 10);
    run(db, "PRAGMA synchronous=NORMAL");
    syncs = counts.syncs;
    commit_rows(db, 10);
    assert_int_equal(counts.syncs - syncs, 0);
    sqlite3_close(db);
    cn_vfs_free(&vfs);
    assert_null(vfs);
}

static void counts_the_bytes_that_the_log_grows_by(void **state)
{
    struct cn_vfs_counts counts = {0};
    struct cn_vfs *vfs = cn_vfs_new(&counts);
    sqlite3 *db = open_db(cn_vfs_name(vfs));
    (void)state;
    run(db, "PRAGMA journal_mode=WAL; CREATE TABLE t (x)");
    uint64_t written = counts.written_bytes, size = log_size();
    commit_rows(db, 20);
    assert_true(log_size() > size);
    assert_int_equal(counts.written_bytes - written, log_size() - size);
    sqlite3_close(db);
    cn_vfs_free(&vfs);
}

static void maps_the_file_when_the_one_below_does(void **state)
{
    struct cn_vfs_counts counts = {0};
    struct cn_vfs *vfs = cn_vfs_new(&counts);
    sqlite3 *db = open_db(cn_vfs_name(vfs));
    (void)state;
    run(db, "CREATE TABLE t (x)");
    expect_answer(db, "PRAGMA mmap_size=1048576", "1048576");
    commit_rows(db, 50);
    expect_answer(db, "SELECT count(*) FROM t", "50");
    expect_answer(db, "PRAGMA integrity_check", "ok");
    sqlite3_close(db);
    cn_vfs_free(&vfs);
}

/* unix-dotfile has neither shared memory nor mapped reading: its methods are of version 1. */
static void offers_no_more_than_the_default_of_its_time(void **state)
{
    struct cn_vfs_counts counts = {0};
    sqlite3_vfs *usual = sqlite3_vfs_find(NULL);
    sqlite3_vfs_register(sqlite3_vfs_find("unix-dotfile"), 1);
    struct cn_vfs *vfs = cn_vfs_new(&counts);
    sqlite3_vfs_register(usual, 1);
    sqlite3 *db = open_db(cn_vfs_name(vfs));
    (void)state;
    expect_answer(db, "PRAGMA journal_mode=WAL", "delete");
    run(db, "PRAGMA mmap_size=1048576; CREATE TABLE t (x)");
    uint64_t syncs = counts.syncs;
    commit_rows(db, 5);
    assert_true(counts.syncs - syncs >= 5);
    expect_answer(db, "SELECT count(*) FROM t", "5");
    sqlite3_close(db);
    cn_vfs_free(&vfs);
}

static void gives_each_its_name_and_its_counts(void **state)
{
    struct cn_vfs_counts first_counts = {0}, second_counts = {0};
    struct cn_vfs *first = cn_vfs_new(&first_counts);
    struct cn_vfs *second = cn_vfs_new(&second_counts);
    char name[64];
    (void)state;
    assert_string_not_equal(cn_vfs_name(first), cn_vfs_name(second));
    sqlite3 *db = open_db(cn_vfs_name(second));
    run(db, "CREATE TABLE t (x)");
    assert_int_equal(first_counts.written_bytes, 0);
    assert_true(second_counts.written_bytes > 0);
    sqlite3_close(db);
    snprintf(name, sizeof name, "%s", cn_vfs_name(second));
    assert_ptr_not_equal(sqlite3_vfs_find(NULL), sqlite3_vfs_find(name));
    cn_vfs_free(&second);
    assert_null(sqlite3_vfs_find(name));
    cn_vfs_free(&first);
    cn_vfs_free(&first);
}

static void survives_an_open_that_fails(void **state)
{
    struct cn_vfs_counts counts = {0};
    struct cn_vfs *vfs = cn_vfs_new(&counts);
    sqlite3 *db = NULL;
    (void)state;
    snprintf(file, sizeof file, "%s/missing/a.db", folder);
    assert_int_equal(
        sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, cn_vfs_name(vfs)),
        SQLITE_CANTOPEN);
    sqlite3_close(db);
    cn_vfs_free(&vfs);
}

/* 0 when another process may write, 1 when it is told to wait. */
static int is_busy_elsewhere(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        int result = sqlite3_open(file, &db);
        if (result == SQLITE_OK)
            result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        _exit(result == SQLITE_BUSY ? 1 : result == SQLITE_OK ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void closing_beside_another_connection_keeps_its_locks(void **state)
{
    struct cn_vfs_counts counts = {0};
    struct cn_vfs *vfs = cn_vfs_new(&counts);
    sqlite3 *plain = open_db(NULL), *counted = open_db(cn_vfs_name(vfs));
    (void)state;
    run(plain, "CREATE TABLE t (x); BEGIN IMMEDIATE");
    expect_answer(counted, "SELECT count(*) FROM t", "0");
    sqlite3_close(counted);
    assert_int_equal(is_busy_elsewhere(), 1);
    run(plain, "COMMIT");
    assert_int_equal(is_busy_elsewhere(), 0);
    sqlite3_close(plain);
    cn_vfs_free(&vfs);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_one_sync_a_full_commit_and_none_a_normal_one),
        TEST(counts_the_bytes_that_the_log_grows_by),
        TEST(maps_the_file_when_the_one_below_does),
        TEST(offers_no_more_than_the_default_of_its_time),
        TEST(gives_each_its_name_and_its_counts),
        TEST(survives_an_open_that_fails),
        TEST(closing_beside_another_connection_keeps_its_locks),
    };
    return cmocka_run_group_tests_name("sqlite_vfs", tests, NULL, NULL);
}
