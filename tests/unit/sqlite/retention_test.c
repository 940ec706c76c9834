/* Retention: what every group has settled goes, when it is old or when room is needed; nothing else
 * ever does. Groups that nobody reads for go as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

enum { DAY_MS = 24 * 3600 * 1000 };

static void tidy(struct scratch *scratch)
{
    scratch_read_clocks(scratch);
    scratch_begin(scratch);
    if (cn_tidy(&scratch->broker, &scratch->error))
        fail_msg("%s", scratch->error.text);
    scratch_commit(scratch);
}

/* Until it rests; returns how many slices that took. */
static int tidy_all(struct scratch *scratch)
{
    int slices = 0;
    do {
        tidy(scratch);
        slices++;
    } while (scratch->broker.tidy_at_ms <= scratch->broker.store.now_ms && slices < 10000);
    return slices;
}

/* Numbers of the messages that are left, such as "3..10"; "" for none. */
static void expect_left(struct scratch *scratch, int64_t topic, const char *expected)
{
    char sql[256], found[64] = "";
    snprintf(sql, sizeof sql,
             "SELECT ifnull(min(seq), 0) & 1099511627775 FROM message WHERE seq >> 40 = %lld",
             (long long)topic);
    int64_t first = scratch_number(scratch, sql);
    snprintf(sql, sizeof sql,
             "SELECT ifnull(max(seq), 0) & 1099511627775 FROM message WHERE seq >> 40 = %lld",
             (long long)topic);
    int64_t last = scratch_number(scratch, sql);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM message WHERE seq >> 40 = %lld",
             (long long)topic);
    int64_t count = scratch_number(scratch, sql);
    if (count > 0)
        snprintf(found, sizeof found, "%lld..%lld", (long long)first, (long long)last);
    assert_string_equal(found, expected);
    assert_int_equal(count, count > 0 ? last - first + 1 : 0);
}

static void add_consumer(struct scratch *scratch, int id, const char *name, const char *topic)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "INSERT INTO consumer(id, name, topic, pattern, created, seen)"
             " VALUES(%d, '%s', '%s', 0, %lld, %lld)",
             id, name, topic, (long long)scratch->broker.store.wall_ms,
             (long long)scratch->broker.store.wall_ms);
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

static void add_waiting(struct scratch *scratch, int64_t topic, int consumer, int number)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "INSERT INTO waiting(consumer, seq, lane, due, attempt) VALUES(%d, %lld, 0, 1, 1)",
             consumer, (long long)cn_seq(topic, number));
    scratch_run(scratch, sql);
}

static void add_claim(struct scratch *scratch, int id, int64_t topic, int first, uint64_t mask)
{
    char sql[192];
    snprintf(sql, sizeof sql,
             "INSERT INTO claim(owner, id, consumer, first, mask, lane, until, attempt)"
             " VALUES(99, %d, 1, %lld, %lld, 0, 1, 1)",
             id, (long long)cn_seq(topic, first), (long long)mask);
    scratch_run(scratch, sql);
}

static void old_messages_of_no_group_go(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 5, 10);
    scratch_advance(scratch, DAY_MS - 1);
    scratch_fill(scratch, "t", 3, 10);
    tidy_all(scratch);
    expect_left(scratch, topic, "1..8");
    scratch_advance(scratch, 1);
    tidy_all(scratch);
    expect_left(scratch, topic, "6..8");
    assert_int_equal(scratch->counts.removed, 5);
    scratch_advance(scratch, DAY_MS);
    tidy_all(scratch);
    expect_left(scratch, topic, "");
    assert_int_equal(scratch_fill(scratch, "t", 1, 10), topic);
    expect_left(scratch, topic, "9..9");
}

static void the_slowest_group_holds_messages(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 20, 10), other = scratch_fill(scratch, "u", 4, 10);
    set_cursor(scratch, topic, 1, 12);
    set_cursor(scratch, topic, 2, 7);
    set_cursor(scratch, other, 2, 4);
    scratch_advance(scratch, 2 * (int64_t)DAY_MS);
    tidy_all(scratch);
    expect_left(scratch, topic, "8..20");
    expect_left(scratch, other, "");
    set_cursor(scratch, topic, 2, 20);
    tidy_all(scratch);
    expect_left(scratch, topic, "13..20");
}

static void waiting_messages_stay(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 20, 10);
    set_cursor(scratch, topic, 1, 15);
    set_cursor(scratch, topic, 2, 20);
    add_waiting(scratch, topic, 2, 9);
    add_waiting(scratch, topic, 2, 11);
    add_waiting(scratch, topic + 1, 2, 1);
    scratch_advance(scratch, DAY_MS);
    tidy_all(scratch);
    expect_left(scratch, topic, "9..20");
    scratch_run(scratch, "DELETE FROM waiting");
    add_waiting(scratch, topic, 1, 1);
    add_waiting(scratch, topic, 1, 15);
    scratch_run(scratch, "DELETE FROM waiting WHERE seq & 1099511627775 = 1");
    tidy_all(scratch);
    expect_left(scratch, topic, "15..20");
}

static void claimed_messages_stay(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 200, 10), other = scratch_fill(scratch, "u", 9, 10);
    set_cursor(scratch, topic, 1, 200);
    set_cursor(scratch, other, 1, 9);
    add_claim(scratch, 1, topic, 100, (uint64_t)1 << 63);
    add_claim(scratch, 2, topic, 110, 0);
    add_claim(scratch, 3, topic, 120, 1 << 3 | 1 << 20);
    scratch_advance(scratch, DAY_MS);
    tidy_all(scratch);
    expect_left(scratch, topic, "123..200");
    expect_left(scratch, other, "");
    scratch_run(scratch, "DELETE FROM claim WHERE id = 3");
    tidy_all(scratch);
    expect_left(scratch, topic, "163..200");
}

static void a_slice_is_bounded(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 5500, 10);
    scratch_advance(scratch, DAY_MS);
    tidy(scratch);
    expect_left(scratch, topic, "2001..5500");
    assert_int_equal(scratch->broker.tidy_at_ms, scratch->broker.store.now_ms);
    assert_int_equal(tidy_all(scratch), 2);
    expect_left(scratch, topic, "");
    assert_int_equal(scratch->broker.tidy_at_ms, scratch->broker.store.now_ms + 1000);
}

static void many_topics_get_their_turn(void **state)
{
    struct scratch *scratch = *state;
    enum { TOPICS = 200 };
    struct cn_record record = {.body = FL_SLICE_LIT("x")};
    char name[16];
    scratch_begin(scratch);
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof name, "t%d", i);
        scratch_add(scratch, name, &record);
    }
    scratch_commit(scratch);
    scratch_advance(scratch, DAY_MS);
    for (int i = 0; i < TOPICS / 64 + 1; i++) {
        assert_true(scratch->broker.store.now_ms >= scratch->broker.tidy_at_ms);
        tidy(scratch);
        scratch_advance(scratch, 1000);
    }
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 0);
}

static int64_t used(const struct scratch *scratch)
{
    return (int64_t)scratch->counts.used_bytes;
}

static void settled_messages_make_room(void **state)
{
    struct scratch *scratch = *state;
    scratch->broker.settings.max_bytes = 1 << 20;
    int64_t topic = scratch_fill(scratch, "t", 1000, 1000);
    set_cursor(scratch, topic, 1, 900);
    tidy_all(scratch);
    assert_true(used(scratch) < (1 << 20) / 100 * 95);
    assert_true(used(scratch) > (1 << 20) / 100 * 60);
    assert_false(scratch->broker.is_over_size);
    assert_true(scratch_number(scratch, "SELECT count(*) FROM message") >= 400);
    assert_int_equal(scratch_number(scratch, "SELECT max(seq) & 1099511627775 FROM message"), 1000);
}

static void publishing_is_refused_when_nothing_is_settled(void **state)
{
    struct scratch *scratch = *state;
    scratch->broker.settings.max_bytes = 1 << 20;
    int64_t topic = scratch_fill(scratch, "t", 1000, 1000);
    set_cursor(scratch, topic, 1, 0);
    tidy_all(scratch);
    assert_true(scratch->broker.is_over_size);
    assert_int_equal(scratch->broker.tidy_at_ms, scratch->broker.store.now_ms + 1000);
    expect_left(scratch, topic, "1..1000");
    scratch_advance(scratch, 2 * (int64_t)DAY_MS);
    tidy_all(scratch);
    expect_left(scratch, topic, "1..1000");
    assert_true(scratch->broker.is_over_size);
    scratch->broker.settings.retention_ms = 4 * (int64_t)DAY_MS;
    set_cursor(scratch, topic, 1, 400);
    tidy_all(scratch);
    assert_false(scratch->broker.is_over_size);
    assert_true(used(scratch) < (1 << 20) / 100 * 95);
}

static void one_round_looks_at_all_topics_before_publishing_is_refused(void **state)
{
    struct scratch *scratch = *state;
    struct cn_record record = {.body = FL_SLICE_LIT("x")};
    char name[16];
    scratch->broker.settings.max_bytes = 1 << 20;
    scratch_begin(scratch);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "t%d", i);
        scratch_add(scratch, name, &record);
    }
    scratch_commit(scratch);
    scratch_run(scratch,
                "INSERT INTO cursor(topic, consumer, position) SELECT id, 1, 0 FROM topic");
    tidy(scratch); /* a round is under way when the bound is reached */
    scratch_advance(scratch, 1000);
    while (scratch_number(scratch, "PRAGMA page_count") * 4096 < 1 << 20)
        scratch_fill(scratch, "last", 10, 1000);
    for (int i = 0; i < 200 / 64; i++) {
        tidy(scratch);
        assert_int_equal(scratch->broker.tidy_at_ms, scratch->broker.store.now_ms);
        assert_int_equal(scratch->counts.removed, 0);
        assert_false(scratch->broker.is_over_size);
    }
    tidy_all(scratch);
    assert_true(scratch->counts.removed > 0);
    assert_false(scratch->broker.is_over_size);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message WHERE length(body) = 1"),
                     200);
}

static void far_beyond_the_bound_publishing_is_refused_at_once(void **state)
{
    struct scratch *scratch = *state;
    scratch->broker.settings.max_bytes = 1 << 20;
    int64_t topic = scratch_fill(scratch, "t", 6000, 1000);
    set_cursor(scratch, topic, 1, 6000);
    tidy(scratch);
    assert_true(scratch->broker.is_over_size);
    tidy_all(scratch);
    assert_false(scratch->broker.is_over_size);
}

static void groups_that_nobody_reads_for_go(void **state)
{
    struct scratch *scratch = *state;
    struct cn_consumer ours = {.id = 1};
    scratch->broker.settings.group_expiry_ms = 3600 * 1000;
    int64_t topic = scratch_fill(scratch, "t", 10, 10);
    add_consumer(scratch, 1, "ours", "t");
    add_consumer(scratch, 2, "theirs", "t");
    set_cursor(scratch, topic, 1, 3);
    set_cursor(scratch, topic, 2, 5);
    add_waiting(scratch, topic, 2, 4);
    fl_list_add_last(&scratch->broker.consumers, &ours.link);
    for (int i = 0; i < 60; i++) {
        tidy(scratch);
        scratch_advance(scratch, 59 * 1000);
    }
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM consumer"), 2);
    scratch_advance(scratch, 120 * 1000);
    tidy(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM consumer WHERE id = 1"), 1);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM consumer"), 1);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM cursor"), 1);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM waiting"), 0);
    assert_true(scratch_number(scratch, "SELECT seen FROM consumer") >
                scratch->broker.store.wall_ms - 60000);
    fl_list_remove(&ours.link);
}

static void a_group_gets_time_to_come_back_after_a_long_stop(void **state)
{
    struct scratch *scratch = *state;
    scratch->broker.settings.group_expiry_ms = 3600 * 1000;
    add_consumer(scratch, 1, "g", "t");
    scratch_advance(scratch, DAY_MS);
    struct fl_error error;
    cn_store_close(&scratch->broker.store);
    assert_int_equal(cn_store_open(&scratch->broker.store, FL_SLICE_LIT("test"), &error), FL_OK);
    tidy(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM consumer"), 1);
    scratch_advance(scratch, 130 * 1000);
    tidy(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM consumer"), 0);
}

static void groups_stay_without_an_expiry(void **state)
{
    struct scratch *scratch = *state;
    add_consumer(scratch, 1, "g", "t");
    scratch_advance(scratch, 100 * (int64_t)DAY_MS);
    tidy(scratch);
    scratch_advance(scratch, 600 * 1000);
    tidy(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM consumer"), 1);
}

static void removing_a_consumer_leaves_the_others(void **state)
{
    struct scratch *scratch = *state;
    int64_t topic = scratch_fill(scratch, "t", 10, 10);
    add_consumer(scratch, 1, "a", "t");
    add_consumer(scratch, 2, "b", "t");
    set_cursor(scratch, topic, 1, 3);
    set_cursor(scratch, topic, 2, 3);
    add_waiting(scratch, topic, 1, 2);
    add_waiting(scratch, topic, 2, 2);
    add_claim(scratch, 1, topic, 1, 1);
    scratch_begin(scratch);
    assert_int_equal(cn_consumer_remove(&scratch->broker, 1, &scratch->error), FL_OK);
    scratch_commit(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM claim"), 0);
    assert_int_equal(scratch_number(scratch, "SELECT sum(consumer) FROM waiting"), 2);
    assert_int_equal(scratch_number(scratch, "SELECT sum(consumer) FROM cursor"), 2);
    assert_int_equal(scratch_number(scratch, "SELECT sum(id) FROM consumer"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(old_messages_of_no_group_go),
        TEST(the_slowest_group_holds_messages),
        TEST(waiting_messages_stay),
        TEST(claimed_messages_stay),
        TEST(a_slice_is_bounded),
        TEST(many_topics_get_their_turn),
        TEST(settled_messages_make_room),
        TEST(publishing_is_refused_when_nothing_is_settled),
        TEST(one_round_looks_at_all_topics_before_publishing_is_refused),
        TEST(far_beyond_the_bound_publishing_is_refused_at_once),
        TEST(groups_that_nobody_reads_for_go),
        TEST(a_group_gets_time_to_come_back_after_a_long_stop),
        TEST(groups_stay_without_an_expiry),
        TEST(removing_a_consumer_leaves_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
