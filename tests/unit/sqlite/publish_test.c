/* One publish among many: what is wrong with it is its own fault, and what its metadata asks for is
 * written beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

enum { MOST_ITEMS = 4096 };

/* Items of a test, in order of publishing. */
static struct cn_item *items[MOST_ITEMS];
static size_t item_count;

static struct cn_item *add(struct scratch *scratch, const char *topic, const char *body,
                           const struct ce_metadata *metadata, size_t metadata_count)
{
    size_t len = strlen(topic);
    struct cn_item *item = fl_zalloc(sizeof *item + len);
    memcpy(item->text, topic, len);
    item->topic = fl_slice_of(item->text, len);
    item->deadline_at_ms = scratch->broker.store.now_ms + 1000;
    if (ce_event_new(fl_slice_str(body), FL_SLICE_LIT("text/plain"), metadata, metadata_count, NULL,
                     &item->event))
        fail_msg("no event");
    fl_list_init(&item->outstanding);
    fl_list_add_last(&scratch->broker.publishes, &item->link);
    assert_true(item_count < MOST_ITEMS);
    return items[item_count++] = item;
}

static struct cn_item *add_with(struct scratch *scratch, const char *key, const char *value)
{
    struct ce_metadata metadata = {fl_slice_str(key), fl_slice_str(value)};
    return add(scratch, "t", "x", &metadata, 1);
}

static void publish_all(struct scratch *scratch)
{
    scratch_begin(scratch);
    if (cn_publish_all(&scratch->broker, &scratch->error))
        fail_msg("%s", scratch->error.text);
    scratch_commit(scratch);
    while (fl_list_first(&scratch->broker.stored))
        fl_list_remove(fl_list_first(&scratch->broker.stored));
}

static int close_all(void **state)
{
    while (item_count > 0) {
        struct cn_item *item = items[--item_count];
        ce_event_release(&item->event);
        fl_free(item->note);
        fl_free(item);
    }
    return scratch_close(state);
}

static void expect(struct scratch *scratch, const char *sql, int64_t expected)
{
    assert_int_equal(scratch_number(scratch, sql), expected);
}

static void assert_refused(const struct cn_item *item, enum fl_err code, enum fl_error_class class)
{
    assert_int_equal(item->code, code);
    assert_int_equal(item->class, class);
    assert_non_null(item->note);
}

static void numbers_of_a_topic_have_no_gaps(void **state)
{
    struct scratch *scratch = *state;
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 10; i++)
            add(scratch, i % 2 ? "odd" : "even", "x", NULL, 0);
        publish_all(scratch);
    }
    expect(scratch, "SELECT count(*) FROM topic WHERE last = 15", 2);
    expect(scratch, "SELECT count(*) FROM message", 30);
    expect(scratch, "SELECT sum(seq & 1099511627775) FROM message WHERE seq >> 40 = 1", 120);
    expect(scratch, "SELECT sum(seq & 1099511627775) FROM message WHERE seq >> 40 = 2", 120);
}

static void a_transaction_takes_so_many_and_the_rest_waits(void **state)
{
    struct scratch *scratch = *state;
    for (int i = 0; i < 3000; i++)
        add(scratch, "t", "x", NULL, 0);
    publish_all(scratch);
    expect(scratch, "SELECT last FROM topic", 2048);
    assert_false(fl_list_is_empty(&scratch->broker.publishes));
    publish_all(scratch);
    expect(scratch, "SELECT last FROM topic", 3000);
    assert_true(fl_list_is_empty(&scratch->broker.publishes));
}

static void one_that_is_wrong_is_refused_alone(void **state)
{
    struct scratch *scratch = *state;
    scratch->broker.settings.max_topics = 1;
    struct cn_item *first = add(scratch, "t", "x", NULL, 0);
    struct cn_item *many = add(scratch, "one too many", "x", NULL, 0);
    struct cn_item *delay = add_with(scratch, "Delay", "never");
    struct cn_item *late = add(scratch, "t", "x", NULL, 0);
    struct cn_item *last = add(scratch, "t", "x", NULL, 0);
    late->deadline_at_ms = scratch->broker.store.now_ms;
    publish_all(scratch);
    assert_int_equal(first->code, FL_OK);
    assert_refused(many, FL_ERR_TOO_LARGE, FL_CLASS_REJECT);
    assert_refused(delay, FL_ERR_INVALID, FL_CLASS_REJECT);
    assert_refused(late, FL_ERR_TIMEOUT, FL_CLASS_UNKNOWN);
    assert_int_equal(last->code, FL_OK);
    assert_int_equal(scratch->broker.stored_count, 2);
    expect(scratch, "SELECT count(*) FROM message", 2);
    expect(scratch, "SELECT count(*) FROM topic", 1);
}

static void at_the_bound_of_the_file_all_are_refused(void **state)
{
    struct scratch *scratch = *state;
    struct cn_item *item = add(scratch, "t", "x", NULL, 0);
    scratch->broker.is_over_size = true;
    publish_all(scratch);
    assert_refused(item, FL_ERR_AGAIN, FL_CLASS_RETRY);
    expect(scratch, "SELECT count(*) FROM message", 0);
}

static void a_lifetime_counts_from_now(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        const char *text;
        int64_t after_ms; /* -1: never */
    } lifetimes[] = {{"1", 1000}, {"1m30s", 90000}, {"1ns", 1}, {"soon", -1}, {"", -1}};
    for (size_t i = 0; i < sizeof lifetimes / sizeof *lifetimes; i++) {
        char sql[128];
        add_with(scratch, "ttlInSeconds", lifetimes[i].text);
        publish_all(scratch);
        snprintf(sql, sizeof sql,
                 "SELECT ifnull(expires - %lld, -1) FROM message ORDER BY seq DESC LIMIT 1",
                 (long long)scratch->broker.store.wall_ms);
        expect(scratch, sql, lifetimes[i].after_ms);
    }
}

static void what_is_for_later_is_no_message_yet(void **state)
{
    struct scratch *scratch = *state;
    add_with(scratch, "delay", "5");
    add_with(scratch, "deliverAt", "2026-01-01T00:01:00Z");
    add_with(scratch, "deliverAt", "2025-12-31T23:59:59Z"); /* the clock stands at the new year */
    add_with(scratch, "delay", "0");
    publish_all(scratch);
    expect(scratch, "SELECT count(*) FROM message", 2);
    expect(scratch, "SELECT count(*) FROM delayed", 2);
    expect(scratch, "SELECT min(due) FROM delayed", SCRATCH_WALL_MS + 5000);
    expect(scratch, "SELECT max(due) FROM delayed", SCRATCH_WALL_MS + 60000);
    assert_int_equal(scratch->broker.next_due_wall_ms, SCRATCH_WALL_MS + 5000);
    expect(scratch, "SELECT count(*) FROM delayed WHERE metadata = ''", 2);
}

static void metadata_of_a_delayed_message_is_bounded(void **state)
{
    struct scratch *scratch = *state;
    struct ce_metadata metadata[66];
    for (size_t i = 0; i < 66; i++)
        metadata[i] = (struct ce_metadata){FL_SLICE_LIT("k"), FL_SLICE_LIT("v")};
    metadata[0] = (struct ce_metadata){FL_SLICE_LIT("delay"), FL_SLICE_LIT("1h")};
    struct cn_item *fits = add(scratch, "t", "x", metadata, 65);
    struct cn_item *does_not = add(scratch, "t", "x", metadata, 66);
    struct cn_item *not_delayed = add(scratch, "t", "x", metadata + 1, 65);
    publish_all(scratch);
    assert_int_equal(fits->code, FL_OK);
    assert_refused(does_not, FL_ERR_TOO_LARGE, FL_CLASS_REJECT);
    assert_int_equal(not_delayed->code, FL_OK);
}

static void structured_events_are_text_and_the_rest_is_not(void **state)
{
    struct scratch *scratch = *state;
    add(scratch, "t", "{\"specversion\":\"1.0\",\"id\":\"1\"}", NULL, 0);
    add(scratch, "t", "plain", NULL, 0);
    add(scratch, "t", "", NULL, 0);
    publish_all(scratch);
    expect(scratch, "SELECT count(*) FROM message WHERE typeof(body) = 'text'", 1);
    expect(scratch, "SELECT count(*) FROM message WHERE typeof(body) = 'blob'", 2);
    expect(scratch, "SELECT count(*) FROM message WHERE length(body) = 0", 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, scratch_open, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(numbers_of_a_topic_have_no_gaps),
        CASE(a_transaction_takes_so_many_and_the_rest_waits),
        CASE(one_that_is_wrong_is_refused_alone),
        CASE(at_the_bound_of_the_file_all_are_refused),
        CASE(a_lifetime_counts_from_now),
        CASE(what_is_for_later_is_no_message_yet),
        CASE(metadata_of_a_delayed_message_is_bounded),
        CASE(structured_events_are_text_and_the_rest_is_not),
    };
    return cmocka_run_group_tests_name("sqlite publish", tests, NULL, NULL);
}
