/* The database as such: transactions, other connections, owners, and what a reboot means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"

/* A second process, as far as the file can tell. */
static struct cn_store *open_other(struct scratch *scratch, struct cn_counts *counts)
{
    struct cn_store *other = fl_zalloc(sizeof *other);
    other->path = scratch->broker.store.path;
    other->settings = &scratch->broker.settings;
    other->counts = counts;
    if (cn_store_open(other, FL_SLICE_LIT("other"), &scratch->error))
        fail_msg("%s", scratch->error.text);
    return other;
}

static void close_other(struct cn_store **other)
{
    cn_store_close(*other);
    fl_free(*other);
    *other = NULL;
}

static bool begin(struct cn_store *store, struct fl_error *error)
{
    bool is_foreign = false;
    if (cn_store_begin(store, true, &is_foreign, error))
        fail_msg("%s", error->text);
    return is_foreign;
}

static void commit(struct cn_store *store, struct fl_error *error)
{
    if (cn_store_commit(store, error))
        fail_msg("%s", error->text);
}

static void add_topic(struct cn_store *store, const char *name)
{
    char sql[96];
    snprintf(sql, sizeof sql, "INSERT INTO topic(name, last) VALUES('%s', 0)", name);
    assert_int_equal(sqlite3_exec(store->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void what_others_commit_is_noticed_and_our_own_is_not(void **state)
{
    struct scratch *scratch = *state;
    struct cn_store *ours = &scratch->broker.store;
    struct cn_counts counts = {0};
    begin(ours, &scratch->error);
    add_topic(ours, "a");
    commit(ours, &scratch->error);
    assert_false(cn_store_has_changed(ours));
    assert_false(ours->has_others);
    assert_false(begin(ours, &scratch->error));
    commit(ours, &scratch->error);
    struct cn_store *other = open_other(scratch, &counts);
    assert_true(cn_store_has_changed(ours));
    assert_true(begin(ours, &scratch->error));
    assert_true(ours->has_others);
    commit(ours, &scratch->error);
    begin(other, &scratch->error);
    add_topic(other, "b");
    commit(other, &scratch->error);
    assert_true(cn_store_has_changed(ours));
    assert_true(begin(ours, &scratch->error));
    commit(ours, &scratch->error);
    assert_false(begin(ours, &scratch->error));
    commit(ours, &scratch->error);
    close_other(&other);
    begin(ours, &scratch->error);
    assert_false(ours->has_others);
    commit(ours, &scratch->error);
}

static void one_transaction_at_a_time_over_all_connections(void **state)
{
    struct scratch *scratch = *state;
    struct cn_store *ours = &scratch->broker.store;
    struct cn_counts counts = {0};
    struct cn_store *other = open_other(scratch, &counts);
    begin(ours, &scratch->error);
    assert_false(cn_guard_try_lock(&other->guard));
    cn_store_rollback(ours);
    assert_true(cn_guard_try_lock(&other->guard));
    cn_guard_unlock(&other->guard);
    begin(ours, &scratch->error);
    commit(ours, &scratch->error);
    assert_true(cn_guard_try_lock(&other->guard));
    cn_guard_unlock(&other->guard);
    close_other(&other);
}

static void a_rollback_leaves_nothing_and_the_next_one_works(void **state)
{
    struct scratch *scratch = *state;
    struct cn_store *ours = &scratch->broker.store;
    uint64_t transaction = ours->transaction;
    for (int i = 0; i < 3; i++) {
        begin(ours, &scratch->error);
        add_topic(ours, "a");
        cn_store_rollback(ours);
        cn_store_rollback(ours);
    }
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM topic"), 0);
    assert_int_equal(ours->transaction, transaction + 3);
    begin(ours, &scratch->error);
    add_topic(ours, "a");
    commit(ours, &scratch->error);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM topic"), 1);
}

static void only_durable_commits_are_synced(void **state)
{
    struct scratch *scratch = *state;
    struct cn_store *ours = &scratch->broker.store;
    uint64_t before = atomic_load(&scratch->counts.file.syncs);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(cn_store_begin(ours, false, NULL, &scratch->error), FL_OK);
        scratch_run(scratch, "INSERT INTO meta VALUES(hex(randomblob(8)), 1)");
        commit(ours, &scratch->error);
    }
    assert_int_equal(atomic_load(&scratch->counts.file.syncs), before);
    uint64_t durable = atomic_load(&scratch->counts.durable_commits);
    for (int i = 0; i < 5; i++) {
        begin(ours, &scratch->error);
        scratch_run(scratch, "INSERT INTO meta VALUES(hex(randomblob(8)), 1)");
        commit(ours, &scratch->error);
    }
    assert_int_equal(atomic_load(&scratch->counts.file.syncs), before + 5);
    assert_int_equal(atomic_load(&scratch->counts.durable_commits), durable + 5);
}

static void an_owner_id_is_never_used_again(void **state)
{
    struct scratch *scratch = *state;
    struct cn_counts counts = {0};
    uint64_t last = scratch->broker.store.owner;
    for (int i = 0; i < 3; i++) {
        struct cn_store *other = open_other(scratch, &counts);
        assert_true(other->owner > last);
        last = other->owner;
        assert_true(cn_guard_lives(&scratch->broker.store.guard, last));
        close_other(&other);
        assert_false(cn_guard_lives(&scratch->broker.store.guard, last));
    }
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM owner"), 1);
}

/* Then nobody would give back what it held. */
static void an_owner_that_still_holds_something_stays_known(void **state)
{
    struct scratch *scratch = *state;
    struct cn_counts counts = {0};
    struct cn_store *other = open_other(scratch, &counts);
    char sql[128];
    snprintf(sql, sizeof sql, "INSERT INTO claim VALUES(%llu, 1, 1, 1, 1, 0, 0, 1)",
             (unsigned long long)other->owner);
    scratch_run(scratch, sql);
    close_other(&other);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM owner"), 2);
}

/* Instants of the monotonic clock are of another boot: whatever waits has waited. */
static void a_reboot_ends_every_back_off(void **state)
{
    struct scratch *scratch = *state;
    struct cn_counts counts = {0};
    static const char waiting[] = "INSERT OR REPLACE INTO waiting VALUES(1, 1, 0, 99999999999, 1),"
                                  " (1, 2, 5, NULL, 1)";
    scratch_run(scratch, waiting);
    struct cn_store *other = open_other(scratch, &counts);
    close_other(&other);
    assert_int_equal(scratch_number(scratch, "SELECT max(due) FROM waiting"), 99999999999);
    scratch_run(scratch, "UPDATE meta SET value = 'another' WHERE name = 'boot'");
    other = open_other(scratch, &counts);
    close_other(&other);
    assert_int_equal(scratch_number(scratch, "SELECT max(due) FROM waiting"), 0);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM waiting WHERE due IS NULL"), 1);
    /* Once: what is put off since then is not touched by the next who opens. */
    scratch_run(scratch, waiting);
    other = open_other(scratch, &counts);
    close_other(&other);
    assert_int_equal(scratch_number(scratch, "SELECT max(due) FROM waiting"), 99999999999);
}

static void the_last_to_close_merges_the_log(void **state)
{
    struct scratch *scratch = *state;
    struct cn_counts counts = {0};
    char log[96];
    snprintf(log, sizeof log, "%s-wal", scratch->broker.store.path);
    struct cn_store *other = open_other(scratch, &counts);
    cn_store_close(&scratch->broker.store);
    assert_int_equal(access(log, F_OK), 0);
    begin(other, &scratch->error);
    commit(other, &scratch->error);
    close_other(&other);
    assert_int_not_equal(access(log, F_OK), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_others_commit_is_noticed_and_our_own_is_not),
        CASE(one_transaction_at_a_time_over_all_connections),
        CASE(a_rollback_leaves_nothing_and_the_next_one_works),
        CASE(only_durable_commits_are_synced),
        CASE(an_owner_id_is_never_used_again),
        CASE(an_owner_that_still_holds_something_stays_known),
        CASE(a_reboot_ends_every_back_off),
        CASE(the_last_to_close_merges_the_log),
    };
    return cmocka_run_group_tests_name("sqlite store", tests, NULL, NULL);
}
