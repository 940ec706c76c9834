/* Delayed messages: each is published once, in time, in order, or taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

static void add(struct scratch *scratch, const char *topic, int64_t after_ms, const char *id,
                const struct cn_record *record)
{
    int64_t due = scratch->broker.store.wall_ms + after_ms;
    if (cn_delayed_add(&scratch->broker, fl_slice_str(topic), due, fl_slice_str(id), 0, record,
                       &scratch->error))
        fail_msg("%s", scratch->error.text);
}

static void add_plain(struct scratch *scratch, const char *topic, int64_t after_ms, const char *id)
{
    struct cn_record record = {.body = fl_slice_str(id), .is_text = true};
    scratch_begin(scratch);
    add(scratch, topic, after_ms, id, &record);
    scratch_commit(scratch);
}

static void publish_due(struct scratch *scratch)
{
    scratch_begin(scratch);
    if (cn_delayed_publish_due(&scratch->broker, &scratch->error))
        fail_msg("%s", scratch->error.text);
    scratch_commit(scratch);
}

static enum fl_err cancel(struct scratch *scratch, const char *topic, const char *id)
{
    scratch_begin(scratch);
    enum fl_err err =
        cn_delayed_cancel(&scratch->broker, fl_slice_str(topic), fl_slice_str(id), &scratch->error);
    scratch_commit(scratch);
    return err;
}

static void a_message_waits_until_it_is_due(void **state)
{
    struct scratch *scratch = *state;
    add_plain(scratch, "orders", 5000, "a");
    assert_int_equal(scratch->broker.next_due_wall_ms, SCRATCH_WALL_MS + 5000);
    scratch_advance(scratch, 4999);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 0);
    assert_int_equal(scratch->broker.next_due_wall_ms, SCRATCH_WALL_MS + 5000);
    assert_false(scratch->broker.must_ring);
    scratch_advance(scratch, 1);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message JOIN topic"
                                             " ON topic.id = seq >> 40 AND name = 'orders'"),
                     1);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM delayed"), 0);
    assert_true(scratch->broker.next_due_wall_ms == INT64_MAX);
    assert_true(scratch->broker.must_ring);
}

static void all_columns_move(void **state)
{
    struct scratch *scratch = *state;
    struct cn_record text = {.key = FL_SLICE_LIT("k"),
                             .type = FL_SLICE_LIT("text/plain"),
                             .metadata = FL_SLICE_LIT("a=b"),
                             .body = FL_SLICE_LIT("{}"),
                             .is_text = true};
    struct cn_record bytes = {.metadata = FL_SLICE_LIT(""), .body = FL_SLICE_LIT("\0\xff")};
    scratch_begin(scratch);
    int64_t due = scratch->broker.store.wall_ms + 1000;
    assert_int_equal(cn_delayed_add(&scratch->broker, FL_SLICE_LIT("t"), due, FL_SLICE_LIT("1"),
                                    7000, &text, &scratch->error),
                     FL_OK);
    assert_int_equal(cn_delayed_add(&scratch->broker, FL_SLICE_LIT("t"), due, FL_SLICE_NULL, 0,
                                    &bytes, &scratch->error),
                     FL_OK);
    scratch_commit(scratch);
    scratch_advance(scratch, 1500);
    publish_due(scratch);
    assert_int_equal(
        scratch_number(scratch,
                       "SELECT count(*) FROM message WHERE key = 'k' AND type = 'text/plain' AND"
                       " metadata = 'a=b' AND typeof(body) = 'text' AND body = '{}'"),
        1);
    assert_int_equal(scratch_number(scratch, "SELECT expires FROM message WHERE key = 'k'"),
                     SCRATCH_WALL_MS + 1500 + 7000);
    assert_int_equal(
        scratch_number(scratch, "SELECT count(*) FROM message WHERE key IS NULL AND type IS NULL"
                                " AND metadata = '' AND body = x'00ff' AND expires IS NULL"),
        1);
}

static void they_come_in_order_of_their_instants(void **state)
{
    struct scratch *scratch = *state;
    add_plain(scratch, "t", 3000, "c");
    add_plain(scratch, "t", 1000, "a");
    add_plain(scratch, "t", 2000, "b");
    add_plain(scratch, "t", 3000, "d");
    scratch_advance(scratch, 10000);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT group_concat(body, '') = 'abcd'"
                                             " FROM (SELECT body FROM message ORDER BY seq)"),
                     1);
}

static void a_slice_is_bounded_and_the_rest_follows_at_once(void **state)
{
    struct scratch *scratch = *state;
    struct cn_record record = {.body = FL_SLICE_LIT("x")};
    scratch_begin(scratch);
    for (int i = 0; i < 1100; i++)
        add(scratch, "t", 1, "id", &record);
    scratch_commit(scratch);
    scratch_advance(scratch, 1);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 500);
    assert_int_equal(scratch->broker.next_due_wall_ms, 0);
    publish_due(scratch);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 1100);
    assert_true(scratch->broker.next_due_wall_ms == INT64_MAX);
}

static void a_slice_is_bounded_in_bytes(void **state)
{
    struct scratch *scratch = *state;
    size_t len = 5 * 1024 * 1024;
    char *body = fl_zalloc(len);
    struct cn_record record = {.body = fl_slice_of(body, len)};
    scratch_begin(scratch);
    for (int i = 0; i < 2; i++)
        add(scratch, "t", 1, "id", &record);
    scratch_commit(scratch);
    scratch_advance(scratch, 1);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 1);
    assert_int_equal(scratch->broker.next_due_wall_ms, 0);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 2);
    fl_free(body);
}

static void a_topic_too_many_loses_nothing(void **state)
{
    struct scratch *scratch = *state;
    scratch->broker.settings.max_topics = 1;
    add_plain(scratch, "first", 1, "a");
    add_plain(scratch, "second", 2, "b");
    add_plain(scratch, "first", 3, "c");
    scratch_advance(scratch, 10);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 2);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM delayed WHERE event_id = 'b'"),
                     1);
    int64_t due = scratch->broker.next_due_wall_ms;
    assert_in_range(due, SCRATCH_WALL_MS + 60000, SCRATCH_WALL_MS + 120010);
    scratch->broker.settings.max_topics = 2;
    scratch_advance(scratch, due - scratch->broker.store.wall_ms);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 3);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM delayed"), 0);
}

static void a_topic_too_many_is_logged_once_a_minute(void **state)
{
    struct scratch *scratch = *state;
    struct fl_log log;
    char path[96], text[4096];
    snprintf(path, sizeof path, "%s/log", scratch->folder);
    fl_log_init(&log, "test");
    FILE *file = fopen(path, "w+");
    assert_non_null(file);
    log.fd = fileno(file);
    scratch->broker.log = &log;
    scratch->broker.log_name = "NAME";
    scratch->broker.settings.max_topics = 0;
    for (int i = 0; i < 3; i++) {
        add_plain(scratch, "none", 1, "a");
        scratch_advance(scratch, 10);
        publish_due(scratch);
    }
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_non_null(strstr(text, "NAME: a delayed message is due and has to wait"));
    assert_null(strchr(strchr(text, '\n') + 1, '\n'));
}

/* A file may hold what nobody may publish any more; it must not keep everything else up. */
static void a_topic_that_is_too_long_waits_for_ever(void **state)
{
    struct scratch *scratch = *state;
    char topic[CN_MOST_TOPIC_BYTES + 2];
    memset(topic, 't', sizeof topic - 1);
    topic[sizeof topic - 1] = 0;
    add_plain(scratch, topic, 1, "a");
    add_plain(scratch, "t", 1, "b");
    scratch_advance(scratch, 10);
    publish_due(scratch);
    assert_int_equal(cancel(scratch, topic, "a"), FL_OK);
    assert_int_equal(cancel(scratch, "t", "b"), FL_ERR_NOT_FOUND);
}

static void taking_back_removes_all_of_that_id_and_topic(void **state)
{
    struct scratch *scratch = *state;
    add_plain(scratch, "t", 1000, "a");
    add_plain(scratch, "t", 2000, "a");
    add_plain(scratch, "other", 1000, "a");
    add_plain(scratch, "t", 1000, "b");
    assert_int_equal(cancel(scratch, "t", "a"), FL_OK);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM delayed"), 2);
    assert_int_equal(cancel(scratch, "t", "a"), FL_ERR_NOT_FOUND);
    assert_non_null(strstr(scratch->error.text, "'a'"));
    assert_int_equal(cancel(scratch, "t", NULL), FL_ERR_NOT_FOUND);
    scratch_advance(scratch, 1000);
    publish_due(scratch);
    assert_int_equal(cancel(scratch, "t", "b"), FL_ERR_NOT_FOUND);
}

static void a_rollback_keeps_it_delayed(void **state)
{
    struct scratch *scratch = *state;
    add_plain(scratch, "t", 1, "a");
    scratch_advance(scratch, 1);
    scratch_begin(scratch);
    scratch->broker.last_topic_id_before = scratch->broker.last_topic_id;
    assert_int_equal(cn_delayed_publish_due(&scratch->broker, &scratch->error), FL_OK);
    cn_store_rollback(&scratch->broker.store);
    cn_topics_forget(&scratch->broker);
    scratch_begin(scratch);
    assert_int_equal(cn_delayed_look(&scratch->broker, &scratch->error), FL_OK);
    scratch_commit(scratch);
    assert_int_equal(scratch->broker.next_due_wall_ms, 0);
    publish_due(scratch);
    assert_int_equal(scratch_number(scratch, "SELECT count(*) FROM message"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_waits_until_it_is_due),
        TEST(all_columns_move),
        TEST(they_come_in_order_of_their_instants),
        TEST(a_slice_is_bounded_and_the_rest_follows_at_once),
        TEST(a_slice_is_bounded_in_bytes),
        TEST(a_topic_too_many_loses_nothing),
        TEST(a_topic_too_many_is_logged_once_a_minute),
        TEST(a_topic_that_is_too_long_waits_for_ever),
        TEST(taking_back_removes_all_of_that_id_and_topic),
        TEST(a_rollback_keeps_it_delayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
