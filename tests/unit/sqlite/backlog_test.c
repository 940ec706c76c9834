/* The backlog is exact, whatever state its messages are in, and costs no look at each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

static struct connector_backlog backlog_of(struct scratch *scratch, const char *topic,
                                           const char *group)
{
    struct connector_backlog backlog = {0};
    if (cn_backlog(&scratch->broker, fl_slice_str(topic), fl_slice_str(group), &backlog,
                   &scratch->error))
        fail_msg("%s", scratch->error.text);
    assert_false(scratch->broker.store.is_in_transaction);
    assert_true(sqlite3_get_autocommit(scratch->broker.store.db));
    return backlog;
}

static void expect(struct scratch *scratch, const char *topic, const char *group,
                   uint64_t undelivered, uint64_t in_flight, int64_t oldest_wall_ms)
{
    struct connector_backlog backlog = backlog_of(scratch, topic, group);
    assert_true(backlog.is_known);
    assert_true(backlog.is_exact);
    assert_int_equal(backlog.undelivered, undelivered);
    assert_int_equal(backlog.in_flight, in_flight);
    assert_int_equal(backlog.oldest_wall_ms, oldest_wall_ms);
    assert_int_equal(backlog.as_of_wall_ms, scratch->broker.store.wall_ms);
}

static void add_group(struct scratch *scratch, int id, const char *name, const char *topic,
                      int64_t owner)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "INSERT INTO consumer(id, name, topic, pattern, owner, created, seen)"
             " VALUES(%d, '%s', '%s', 0, nullif(%lld, 0), 0, 0)",
             id, name, topic, (long long)owner);
    scratch_run(scratch, sql);
}

static void set_cursor(struct scratch *scratch, int64_t topic, int consumer, int position)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "INSERT OR REPLACE INTO cursor(topic, consumer, position) VALUES(%lld, %d, %d)",
             (long long)topic, consumer, position);
    scratch_run(scratch, sql);
}

static void add_claim(struct scratch *scratch, int id, int consumer, int64_t first, uint64_t mask)
{
    char sql[192];
    snprintf(sql, sizeof sql,
             "INSERT INTO claim(owner, id, consumer, first, mask, lane, until, attempt)"
             " VALUES(99, %d, %d, %lld, %lld, 0, 1, 1)",
             id, consumer, (long long)first, (long long)mask);
    scratch_run(scratch, sql);
}

static void add_waiting(struct scratch *scratch, int consumer, int64_t seq)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "INSERT INTO waiting(consumer, seq, lane, due, attempt) VALUES(%d, %lld, 0, 1, 1)",
             consumer, (long long)seq);
    scratch_run(scratch, sql);
}

static void a_group_that_does_not_exist_is_unknown(void **state)
{
    struct scratch *scratch = *state;
    scratch_fill(scratch, "t", 3, 1);
    add_group(scratch, 1, "g", "t", 0);
    assert_false(backlog_of(scratch, "t", "other").is_known);
    assert_false(backlog_of(scratch, "u", "g").is_known);
    assert_false(backlog_of(scratch, "u", "").is_known);
    assert_int_equal(backlog_of(scratch, "t", "other").undelivered, 0);
    expect(scratch, "t", "g", 0, 0, 0);
}

static void counts_what_is_behind_the_cursor(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 10, 1);
    add_group(scratch, 1, "g", "t", 0);
    set_cursor(scratch, topic, 1, 0);
    expect(scratch, "t", "g", 10, 0, SCRATCH_WALL_MS);
    scratch_advance(scratch, 500);
    scratch_fill(scratch, "t", 2, 1);
    set_cursor(scratch, topic, 1, 10);
    expect(scratch, "t", "g", 2, 0, SCRATCH_WALL_MS + 500);
    set_cursor(scratch, topic, 1, 12);
    expect(scratch, "t", "g", 0, 0, 0);
}

static void what_retention_removed_does_not_count(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 10, 1);
    add_group(scratch, 1, "g", "t", 0);
    set_cursor(scratch, topic, 1, 0);
    scratch_run(scratch, "DELETE FROM message WHERE seq & 1099511627775 <= 7");
    expect(scratch, "t", "g", 3, 0, SCRATCH_WALL_MS);
    scratch_run(scratch, "DELETE FROM message");
    expect(scratch, "t", "g", 0, 0, 0);
}

static void what_waits_and_what_is_claimed_counts_apart(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 10, 1);
    scratch_advance(scratch, 1000);
    scratch_fill(scratch, "t", 190, 1);
    add_group(scratch, 1, "g", "t", 0);
    add_group(scratch, 2, "h", "t", 0);
    set_cursor(scratch, topic, 1, 100);
    add_claim(scratch, 1, 1, cn_seq(topic, 20), 0xff);
    add_claim(scratch, 2, 1, cn_seq(topic, 30), ~(uint64_t)0);
    add_claim(scratch, 3, 2, cn_seq(topic, 30), 1);
    expect(scratch, "t", "g", 100, 72, SCRATCH_WALL_MS + 1000);
    add_waiting(scratch, 1, cn_seq(topic, 12));
    add_waiting(scratch, 2, cn_seq(topic, 1));
    expect(scratch, "t", "g", 101, 72, SCRATCH_WALL_MS + 1000);
    add_waiting(scratch, 1, cn_seq(topic, 3));
    expect(scratch, "t", "g", 102, 72, SCRATCH_WALL_MS);
    expect(scratch, "t", "", 103, 73, SCRATCH_WALL_MS);
}

static void the_oldest_may_be_claimed(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 64, 1);
    scratch_advance(scratch, 1000);
    scratch_fill(scratch, "t", 64, 1);
    add_group(scratch, 1, "g", "t", 0);
    set_cursor(scratch, topic, 1, 128);
    add_claim(scratch, 1, 1, cn_seq(topic, 64), (uint64_t)1 << 10);
    expect(scratch, "t", "g", 0, 1, SCRATCH_WALL_MS + 1000);
    add_claim(scratch, 2, 1, cn_seq(topic, 65), 1);
    add_claim(scratch, 3, 1, cn_seq(topic, 1), (uint64_t)1 << 63);
    expect(scratch, "t", "g", 0, 3, SCRATCH_WALL_MS);
}

static void expired_messages_do_not_count(void **state)
{
    struct scratch *scratch = *state;
    struct cn_record record = {.body = FL_SLICE_LIT("x"), .expires_wall_ms = SCRATCH_WALL_MS + 5};
    int64_t topic = scratch_fill(scratch, "t", 4, 1);
    scratch_begin(scratch);
    for (int i = 0; i < 3; i++)
        scratch_add(scratch, "t", &record);
    record.expires_wall_ms += 1000;
    scratch_add(scratch, "t", &record);
    scratch_add(scratch, "u", &record);
    scratch_commit(scratch);
    add_group(scratch, 1, "g", "t", 0);
    set_cursor(scratch, topic, 1, 5);
    expect(scratch, "t", "g", 3, 0, SCRATCH_WALL_MS);
    scratch_advance(scratch, 5);
    expect(scratch, "t", "g", 1, 0, SCRATCH_WALL_MS);
    set_cursor(scratch, topic, 1, 0);
    expect(scratch, "t", "g", 5, 0, SCRATCH_WALL_MS);
    scratch_advance(scratch, 1000);
    set_cursor(scratch, topic, 1, 4);
    expect(scratch, "t", "g", 0, 0, 0);
}

static void a_pattern_sums_its_topics(void **state)
{
    struct scratch *scratch = *state;
    int64_t a = scratch_fill(scratch, "a.1", 10, 1), b = scratch_fill(scratch, "a.2", 20, 1);
    add_group(scratch, 1, "g", "a.*", 0);
    set_cursor(scratch, a, 1, 1);
    set_cursor(scratch, b, 1, 2);
    add_waiting(scratch, 1, cn_seq(a, 1));
    add_waiting(scratch, 1, cn_seq(b, 1));
    add_claim(scratch, 1, 1, cn_seq(b, 2), 1);
    expect(scratch, "a.*", "g", 29, 1, SCRATCH_WALL_MS);
}

static void members_of_a_broadcast_group_are_summed(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 10, 1);
    add_group(scratch, 1, "g/1-a", "t", 1);
    add_group(scratch, 2, "g/2-b", "t", 2);
    add_group(scratch, 3, "g/other", "t", 0);
    add_group(scratch, 4, "gg", "t", 3);
    for (int i = 1; i <= 4; i++)
        set_cursor(scratch, topic, i, i);
    expect(scratch, "t", "g", 9 + 8, 0, SCRATCH_WALL_MS);
    expect(scratch, "t", "g/other", 7, 0, SCRATCH_WALL_MS);
    expect(scratch, "t", "", 9 + 8 + 7 + 6, 0, SCRATCH_WALL_MS);
}

static void sees_what_the_transaction_has_stored(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 1, 1);
    add_group(scratch, 1, "g", "t", 0);
    set_cursor(scratch, topic, 1, 0);
    struct cn_record record = {.body = FL_SLICE_LIT("x")};
    struct connector_backlog backlog;
    scratch_begin(scratch);
    scratch_add(scratch, "t", &record);
    assert_int_equal(cn_backlog(&scratch->broker, FL_SLICE_LIT("t"), FL_SLICE_LIT("g"), &backlog,
                                &scratch->error),
                     FL_OK);
    assert_int_equal(backlog.undelivered, 2);
    scratch_commit(scratch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_group_that_does_not_exist_is_unknown),
        TEST(counts_what_is_behind_the_cursor),
        TEST(what_retention_removed_does_not_count),
        TEST(what_waits_and_what_is_claimed_counts_apart),
        TEST(the_oldest_may_be_claimed),
        TEST(expired_messages_do_not_count),
        TEST(a_pattern_sums_its_topics),
        TEST(members_of_a_broadcast_group_are_summed),
        TEST(sees_what_the_transaction_has_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
