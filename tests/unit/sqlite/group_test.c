/* Groups and topics as rows: who has a cursor where, and where it begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

static struct cn_consumer *try_join(struct scratch *scratch, struct cn_feed *feed, enum fl_err *err)
{
    feed->is_pattern = feed->topic.len && feed->topic.data[feed->topic.len - 1] == '*';
    struct cn_consumer *consumer = cn_consumer_new(&scratch->broker, feed);
    scratch_begin(scratch);
    *err = cn_consumer_attach(consumer, &scratch->error);
    scratch_commit(scratch);
    return consumer;
}

static struct cn_consumer *join(struct scratch *scratch, struct cn_feed *feed)
{
    enum fl_err err;
    struct cn_consumer *consumer = try_join(scratch, feed, &err);
    if (err)
        fail_msg("%s", scratch->error.text);
    return consumer;
}

static void expect(struct scratch *scratch, const char *sql, int64_t expected)
{
    assert_int_equal(scratch_number(scratch, sql), expected);
}

static void a_pattern_has_a_cursor_at_each_topic_that_it_matches(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed early = {.topic = FL_SLICE_LIT("or*"), .group = FL_SLICE_LIT("early")};
    struct cn_feed late = {.topic = FL_SLICE_LIT("or*"), .group = FL_SLICE_LIT("late")};
    struct cn_feed all = {.topic = FL_SLICE_LIT("*"), .group = FL_SLICE_LIT("all")};
    struct cn_consumer *first = join(scratch, &early);
    /* "or" itself is nothing that begins with "or" and goes on. */
    static const char *const names[] = {"or", "order", "orders", "o", "other"};
    for (size_t i = 0; i < 5; i++)
        scratch_fill(scratch, names[i], 3, 1);
    expect(scratch, "SELECT count(*) FROM cursor", 2);
    expect(scratch, "SELECT count(*) FROM cursor WHERE position = 0", 2);
    struct cn_consumer *second = join(scratch, &late), *third = join(scratch, &all);
    expect(scratch, "SELECT count(*) FROM cursor WHERE consumer = 2", 2);
    expect(scratch, "SELECT count(*) FROM cursor WHERE consumer = 3", 5);
    assert_non_null(cn_reader_by_topic(first, 2));
    assert_null(cn_reader_by_topic(first, 1));
    assert_non_null(cn_reader_by_topic(third, 1));
    cn_consumer_free(first);
    cn_consumer_free(second);
    cn_consumer_free(third);
}

/* Nobody serves it here; its process may come back. */
static void a_new_topic_gets_the_cursors_of_groups_that_others_serve(void **state)
{
    struct scratch *scratch = *state;
    scratch_run(scratch, "INSERT INTO consumer(id, name, topic, pattern, created, seen)"
                         " VALUES(7, 'g', 'or*', 1, 0, 0), (8, 'g', 'x*', 1, 0, 0)");
    scratch_fill(scratch, "orders", 1, 1);
    expect(scratch, "SELECT count(*) FROM cursor", 1);
    expect(scratch, "SELECT consumer FROM cursor", 7);
}

static void a_topic_that_another_process_made_is_learnt(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed = {.topic = FL_SLICE_LIT("or*"), .group = FL_SLICE_LIT("g")};
    struct cn_consumer *consumer = join(scratch, &feed);
    scratch_run(scratch, "INSERT INTO topic(id, name, last) VALUES(1, 'x', 0), (2, 'orders', 5)");
    scratch_begin(scratch);
    assert_int_equal(cn_topics_learn(&scratch->broker, &scratch->error), FL_OK);
    scratch_commit(scratch);
    assert_null(cn_reader_by_topic(consumer, 1));
    assert_non_null(cn_reader_by_topic(consumer, 2));
    assert_int_equal(scratch->broker.last_topic_id, 2);
    cn_consumer_free(consumer);
}

static void a_rollback_forgets_what_it_made_and_nothing_else(void **state)
{
    struct scratch *scratch = *state;
    struct cn_broker *broker = &scratch->broker;
    struct cn_feed feed = {.topic = FL_SLICE_LIT("*"), .group = FL_SLICE_LIT("g")};
    struct cn_consumer *consumer = join(scratch, &feed);
    scratch_fill(scratch, "old", 3, 1);
    broker->last_topic_id_before = broker->last_topic_id;
    scratch_begin(scratch);
    struct cn_topic *old = scratch_topic(scratch, "old"), *new = scratch_topic(scratch, "new");
    int64_t id = new->id;
    assert_int_equal(old->last, 3);
    struct cn_record record = {.body = FL_SLICE_LIT("x")};
    scratch_add(scratch, "old", &record);
    cn_store_rollback(&broker->store);
    cn_topics_forget(broker);
    assert_ptr_equal(cn_topic_by_id(broker, 1), old);
    assert_null(cn_topic_by_id(broker, id));
    scratch_begin(scratch);
    assert_int_equal(scratch_topic(scratch, "old")->last, 3);
    assert_int_equal(scratch_topic(scratch, "other")->id, id);
    assert_int_equal(scratch_topic(scratch, "new")->id, id + 1);
    scratch_commit(scratch);
    expect(scratch, "SELECT count(*) FROM cursor", 3);
    assert_non_null(cn_reader_by_topic(consumer, id + 1));
    cn_consumer_free(consumer);
}

static void a_group_begins_where_it_was_told(void **state)
{
    struct scratch *scratch = *state;
    scratch_fill(scratch, "t", 10, 1);
    scratch_run(scratch, "DELETE FROM message WHERE seq & 1099511627775 <= 4;"
                         "UPDATE message SET stored = stored + (seq & 1099511627775) * 1000");
    static const struct {
        const char *group;
        enum connector_mode mode;
        enum connector_start start;
        const char *value;
        int64_t position;
    } cases[] = {
        {"a", CONNECTOR_MODE_COMPETE, CONNECTOR_START_DEFAULT, "", 4},
        {"b", CONNECTOR_MODE_BROADCAST, CONNECTOR_START_DEFAULT, "", 10},
        {"c", CONNECTOR_MODE_COMPETE, CONNECTOR_START_EARLIEST, "", 4},
        {"d", CONNECTOR_MODE_COMPETE, CONNECTOR_START_LATEST, "", 10},
        {"e", CONNECTOR_MODE_COMPETE, CONNECTOR_START_POSITION, "1", 0},
        {"f", CONNECTOR_MODE_COMPETE, CONNECTOR_START_POSITION, "7", 6},
        {"g", CONNECTOR_MODE_COMPETE, CONNECTOR_START_POSITION, "11", 10},
        {"h", CONNECTOR_MODE_COMPETE, CONNECTOR_START_POSITION, "9223372036854775808", 10},
        {"i", CONNECTOR_MODE_COMPETE, CONNECTOR_START_TIME, "2026-01-01T00:00:06Z", 5},
        {"j", CONNECTOR_MODE_COMPETE, CONNECTOR_START_TIME, "2026-01-01T00:00:06.001Z", 6},
        {"k", CONNECTOR_MODE_COMPETE, CONNECTOR_START_TIME, "2025-01-01T00:00:00Z", 4},
        {"l", CONNECTOR_MODE_COMPETE, CONNECTOR_START_TIME, "2027-01-01T00:00:00Z", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[96];
        struct cn_feed feed = {.topic = FL_SLICE_LIT("t"),
                               .group = fl_slice_str(cases[i].group),
                               .mode = cases[i].mode,
                               .start = cases[i].start,
                               .start_value = fl_slice_str(cases[i].value)};
        struct cn_consumer *consumer = join(scratch, &feed);
        snprintf(sql, sizeof sql, "SELECT position FROM cursor WHERE consumer = %lld",
                 (long long)consumer->id);
        assert_int_equal(scratch_number(scratch, sql), cases[i].position);
        cn_consumer_free(consumer);
    }
}

static void a_group_that_cannot_begin_leaves_nothing(void **state)
{
    struct scratch *scratch = *state;
    static const char *const positions[] = {"",   "0", "-1", "x", "1x", "00000000000000000001",
                                            "1.5"};
    scratch_fill(scratch, "t", 3, 1);
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        struct cn_feed feed = {.topic = FL_SLICE_LIT("t"),
                               .group = FL_SLICE_LIT("g"),
                               .start = CONNECTOR_START_POSITION,
                               .start_value = fl_slice_str(positions[i])};
        enum fl_err err;
        struct cn_consumer *consumer = try_join(scratch, &feed, &err);
        assert_int_equal(err, FL_ERR_INVALID);
        assert_int_equal(consumer->id, 0);
        cn_consumer_free(consumer);
    }
    struct cn_feed pattern = {.topic = FL_SLICE_LIT("*"),
                              .group = FL_SLICE_LIT("g"),
                              .start = CONNECTOR_START_POSITION,
                              .start_value = FL_SLICE_LIT("1")};
    enum fl_err err;
    cn_consumer_free(try_join(scratch, &pattern, &err));
    assert_int_equal(err, FL_ERR_INVALID);
    expect(scratch, "SELECT (SELECT count(*) FROM consumer) + (SELECT count(*) FROM cursor)", 0);
}

static void members_of_a_broadcast_group_are_groups_of_their_own(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feeds[3];
    struct cn_consumer *consumers[3];
    for (size_t i = 0; i < 3; i++) {
        feeds[i] =
            (struct cn_feed){.topic = FL_SLICE_LIT("t"),
                             .group = FL_SLICE_LIT("g"),
                             .mode = i < 2 ? CONNECTOR_MODE_BROADCAST : CONNECTOR_MODE_COMPETE};
        consumers[i] = join(scratch, &feeds[i]);
    }
    expect(scratch, "SELECT count(DISTINCT name) FROM consumer", 3);
    expect(scratch, "SELECT count(*) FROM consumer WHERE owner IS NOT NULL", 2);
    for (size_t i = 0; i < 3; i++)
        cn_consumer_free(consumers[i]);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_pattern_has_a_cursor_at_each_topic_that_it_matches),
        CASE(a_new_topic_gets_the_cursors_of_groups_that_others_serve),
        CASE(a_topic_that_another_process_made_is_learnt),
        CASE(a_rollback_forgets_what_it_made_and_nothing_else),
        CASE(a_group_begins_where_it_was_told),
        CASE(a_group_that_cannot_begin_leaves_nothing),
        CASE(members_of_a_broadcast_group_are_groups_of_their_own),
    };
    return cmocka_run_group_tests_name("sqlite group", tests, NULL, NULL);
}
