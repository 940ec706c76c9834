/* Peeking shows messages as one JSON object a line, in order, and changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

static enum fl_err peek(struct scratch *scratch, const char *topic, const char *group,
                        int64_t count, struct fl_buffer *out)
{
    enum fl_err err = cn_peek(&scratch->broker, fl_slice_str(topic), fl_slice_str(group), count,
                              out, &scratch->error);
    assert_true(sqlite3_get_autocommit(scratch->broker.store.db));
    return err;
}

static void expect(struct scratch *scratch, const char *topic, const char *group, int64_t count,
                   const char *expected)
{
    struct fl_buffer out = {0};
    if (peek(scratch, topic, group, count, &out))
        fail_msg("%s", scratch->error.text);
    assert_string_equal(fl_buffer_cstr(&out), expected);
    fl_buffer_fini(&out);
}

static void expect_failure(struct scratch *scratch, const char *topic, const char *group,
                           const char *text)
{
    struct fl_buffer out = {0};
    fl_buffer_append_str(&out, "before");
    assert_int_equal(peek(scratch, topic, group, 10, &out), FL_ERR_NOT_FOUND);
    assert_string_equal(scratch->error.text, text);
    assert_string_equal(fl_buffer_cstr(&out), "before");
    fl_buffer_fini(&out);
}

static void add(struct scratch *scratch, const char *topic, struct fl_slice body)
{
    struct cn_record record = {.body = body};
    scratch_begin(scratch);
    scratch_add(scratch, topic, &record);
    scratch_commit(scratch);
}

static void add_group(struct scratch *scratch, int id, const char *name, const char *topic)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "INSERT INTO consumer(id, name, topic, pattern, created, seen)"
             " VALUES(%d, '%s', '%s', 0, 0, 0)",
             id, name, topic);
    scratch_run(scratch, sql);
}

static void shows_every_field(void **state)
{
    struct scratch *scratch = *state;
    struct cn_record record = {.key = FL_SLICE_LIT("k\"1"),
                               .type = FL_SLICE_LIT("application/cloudevents+json"),
                               .metadata = FL_SLICE_LIT("a=b%22&c="),
                               .body = FL_SLICE_LIT(" {\"id\":\r\n\"1\\n\"} \n"),
                               .is_text = true,
                               .expires_wall_ms = SCRATCH_WALL_MS + 60007};
    scratch_advance(scratch, 45);
    scratch_begin(scratch);
    scratch_add(scratch, "orders", &record);
    scratch_commit(scratch);
    expect(scratch, "orders", "", 10,
           "{\"topic\":\"orders\",\"number\":1,\"stored\":\"2026-01-01T00:00:00.045Z\","
           "\"key\":\"k\\\"1\",\"expires\":\"2026-01-01T00:01:00.007Z\","
           "\"content_type\":\"application/cloudevents+json\","
           "\"metadata\":{\"a\":\"b\\\"\",\"c\":\"\"},\"event\":{\"id\":  \"1\\n\"}}\n");
}

#define HEAD(topic, number)                                                                        \
    "{\"topic\":\"" topic "\",\"number\":" #number ",\"stored\":\"2026-01-01T00:00:00.000Z\","

static void bodies_of_all_kinds_are_shown(void **state)
{
    struct scratch *scratch = *state;
    add(scratch, "t", FL_SLICE_LIT("line\none"));
    add(scratch, "t", FL_SLICE_LIT("[1]"));
    add(scratch, "t", FL_SLICE_LIT("\xff\x00\x01"));
    add(scratch, "t", FL_SLICE_LIT(""));
    add(scratch, "t", FL_SLICE_LIT("{\"a\":\"\xff\"}"));
    add(scratch, "t", FL_SLICE_LIT("{} {}"));
    expect(
        scratch, "t", "", 10,
        HEAD("t", 1) "\"text\":\"line\\none\"}\n" HEAD("t", 2) "\"text\":\"[1]\"}\n" HEAD(
            "t",
            3) "\"data_base64\":\"/wAB\"}\n" HEAD("t",
                                                  4) "\"text\":\"\"}\n" HEAD("t",
                                                                             5) "\"event\":{\"a\":"
                                                                                "\"\xef\xbf\xbd\"}}"
                                                                                "\n" HEAD("t",
                                                                                          6) "\"tex"
                                                                                             "t\":"
                                                                                             "\"{} "
                                                                                             "{}\"}"
                                                                                             "\n");
}

static void the_oldest_come_first_and_no_more_than_asked_for(void **state)
{
    struct scratch *scratch = *state;
    for (int i = 0; i < 5; i++)
        add(scratch, "t", FL_SLICE_LIT("x"));
    scratch_run(scratch, "DELETE FROM message WHERE seq & 1099511627775 = 1");
    expect(scratch, "t", "", 2, HEAD("t", 2) "\"text\":\"x\"}\n" HEAD("t", 3) "\"text\":\"x\"}\n");
    expect(scratch, "t", "", 0, "");
    expect(scratch, "t", "", -5, "");
}

static void a_pattern_shows_its_topics_in_order(void **state)
{
    struct scratch *scratch = *state;
    add(scratch, "a.2", FL_SLICE_LIT("x"));
    add(scratch, "b.1", FL_SLICE_LIT("x"));
    add(scratch, "a.1", FL_SLICE_LIT("x"));
    add(scratch, "a", FL_SLICE_LIT("x"));
    add(scratch, "a.2", FL_SLICE_LIT("y"));
    expect(scratch, "a.*", "", 10,
           HEAD("a.2", 1) "\"text\":\"x\"}\n" HEAD("a.2", 2) "\"text\":\"y\"}\n" HEAD(
               "a.1", 1) "\"text\":\"x\"}\n");
    expect(scratch, "*", "", 3,
           HEAD("a.2", 1) "\"text\":\"x\"}\n" HEAD("a.2", 2) "\"text\":\"y\"}\n" HEAD(
               "b.1", 1) "\"text\":\"x\"}\n");
}

static void delayed_messages_come_last(void **state)
{
    struct scratch *scratch = *state;
    struct cn_record record = {.body = FL_SLICE_LIT("{\"id\":\"d\"}"), .key = FL_SLICE_LIT("k")};
    add(scratch, "t", FL_SLICE_LIT("x"));
    scratch_begin(scratch);
    for (int i = 2; i > 0; i--)
        assert_int_equal(cn_delayed_add(&scratch->broker, FL_SLICE_LIT("t"),
                                        SCRATCH_WALL_MS + i * 1000, FL_SLICE_NULL, 0, &record,
                                        &scratch->error),
                         FL_OK);
    assert_int_equal(cn_delayed_add(&scratch->broker, FL_SLICE_LIT("later"), SCRATCH_WALL_MS + 1000,
                                    FL_SLICE_NULL, 0, &record, &scratch->error),
                     FL_OK);
    scratch_commit(scratch);
    expect(scratch, "t", "", 2,
           HEAD("t", 1) "\"text\":\"x\"}\n"
                        "{\"topic\":\"t\",\"state\":\"delayed\",\"key\":\"k\","
                        "\"due\":\"2026-01-01T00:00:01.000Z\",\"event\":{\"id\":\"d\"}}\n");
    expect(scratch, "later", "", 5,
           "{\"topic\":\"later\",\"state\":\"delayed\",\"key\":\"k\","
           "\"due\":\"2026-01-01T00:00:01.000Z\",\"event\":{\"id\":\"d\"}}\n");
    expect(scratch, "later", "", 0, "");
    expect_failure(scratch, "late", "", "there is no topic 'late'");
}

#define LINE(number, state, rest)                                                                  \
    "{\"topic\":\"t\",\"number\":" #number ",\"state\":\"" state                                   \
    "\",\"stored\":\"2026-01-01T00:00:00.000Z\"," rest "\"text\":\"x\"}\n"

static void a_group_sees_what_it_has_not_settled(void **state)
{
    struct scratch *scratch = *state;
    char sql[512];
    struct cn_record record = {.body = FL_SLICE_LIT("x")};
    for (int i = 0; i < 9; i++)
        add(scratch, "t", FL_SLICE_LIT("x"));
    record.expires_wall_ms = SCRATCH_WALL_MS + 1;
    scratch_begin(scratch);
    scratch_add(scratch, "t", &record);
    int64_t topic = scratch_topic(scratch, "t")->id;
    scratch_commit(scratch);
    scratch_advance(scratch, 1);
    add_group(scratch, 1, "g", "t");
    add_group(scratch, 2, "other", "t");
    snprintf(sql, sizeof sql,
             "INSERT INTO cursor(topic, consumer, position) VALUES(%lld, 1, 8), (%lld, 2, 0);"
             "INSERT INTO claim(owner, id, consumer, first, mask, lane, until, attempt)"
             " VALUES(1, 1, 1, %lld, 5, 0, 1, 2), (1, 2, 2, %lld, 255, 0, 1, 1);"
             "INSERT INTO waiting(consumer, seq, lane, due, attempt)"
             " VALUES(1, %lld, 0, %lld, 3), (1, %lld, 7, NULL, 0), (2, %lld, 0, NULL, 1);",
             (long long)topic, (long long)topic, (long long)cn_seq(topic, 4),
             (long long)cn_seq(topic, 1), (long long)cn_seq(topic, 5),
             (long long)(scratch->broker.store.now_ms + 1999), (long long)cn_seq(topic, 2),
             (long long)cn_seq(topic, 1));
    scratch_run(scratch, sql);
    expect(scratch, "t", "g", 10,
           LINE(2, "blocked", "") LINE(4, "in flight", "\"attempt\":2,")
               LINE(5, "retry", "\"attempt\":3,\"due\":\"2026-01-01T00:00:02.000Z\",")
                   LINE(6, "in flight", "\"attempt\":2,") LINE(9, "waiting", "")
                       LINE(10, "expired", "\"expires\":\"2026-01-01T00:00:00.001Z\","));
    expect(scratch, "t", "g", 2, LINE(2, "blocked", "") LINE(4, "in flight", "\"attempt\":2,"));
    expect(scratch, "t*", "g", 1, LINE(2, "blocked", ""));
}

static void what_is_not_there_is_named_with_the_nearest(void **state)
{
    struct scratch *scratch = *state;
    add(scratch, "orders", FL_SLICE_LIT("x"));
    add(scratch, "payments", FL_SLICE_LIT("x"));
    expect_failure(scratch, "order", "", "there is no topic 'order'; the nearest is 'orders'");
    expect_failure(scratch, "zzz", "", "there is no topic 'zzz'");
    expect_failure(scratch, "zzz*", "", "there is no topic 'zzz*'");
    expect_failure(scratch, "", "", "there is no topic ''");
    add_group(scratch, 1, "billing", "payments");
    add_group(scratch, 2, "billing", "future");
    expect_failure(scratch, "orders", "biling",
                   "no group 'biling' reads topic 'orders'; the nearest is 'billing'");
    expect_failure(scratch, "orders", "billing", "no group 'billing' reads topic 'orders'");
    expect_failure(scratch, "oders", "billing",
                   "there is no topic 'oders'; the nearest is 'orders'");
    expect(scratch, "future", "billing", 10, "");
}

static void answers_are_bounded(void **state)
{
    struct scratch *scratch = *state;
    struct fl_buffer out = {0};
    scratch_fill(scratch, "t", 10, 5 * 1024 * 1024);
    assert_int_equal(peek(scratch, "t", "", 1000000000000, &out), FL_OK);
    /* NULs are shown as six characters each. */
    assert_true(out.len > 16 * 1024 * 1024 && out.len < 47 * 1024 * 1024);
    assert_int_equal(out.data[out.len - 1], '\n');
    fl_buffer_fini(&out);
}

static void no_memory_is_an_answer(void **state)
{
    struct scratch *scratch = *state;
    struct cn_record record = {.metadata = FL_SLICE_LIT("a=b"), .body = FL_SLICE_LIT("{\"a\":1}")};
    scratch_begin(scratch);
    scratch_add(scratch, "t", &record);
    scratch_commit(scratch);
    for (unsigned nth = 1;; nth++) {
        struct fl_buffer out = {0};
        fl_alloc_fail_at(nth);
        enum fl_err err = peek(scratch, "t", "", 10, &out);
        fl_alloc_fail_at(0);
        assert_true(err == FL_OK || err == FL_ERR_TOO_LARGE);
        assert_true(err == FL_OK ? out.len > 0 : out.len == 0);
        fl_buffer_fini(&out);
        if (err == FL_OK) {
            assert_true(nth > 1);
            return;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_every_field),
        TEST(bodies_of_all_kinds_are_shown),
        TEST(the_oldest_come_first_and_no_more_than_asked_for),
        TEST(a_pattern_shows_its_topics_in_order),
        TEST(delayed_messages_come_last),
        TEST(a_group_sees_what_it_has_not_settled),
        TEST(what_is_not_there_is_named_with_the_nearest),
        TEST(answers_are_bounded),
        TEST(no_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
