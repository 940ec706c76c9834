/* Claims as rows: what a transaction writes when messages go out and come back, and what is taken
 * over from others. The turns are made by hand, on clocks that stand still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

enum { LEASE_MS = 30000, WINDOW = 100 };

/* --- a consumer, and turns --- */

static struct cn_consumer *join(struct scratch *scratch, struct cn_feed *feed, const char *topic,
                                const char *group)
{
    *feed = (struct cn_feed){.topic = fl_slice_str(topic), .group = fl_slice_str(group)};
    feed->is_pattern = topic[strlen(topic) - 1] == '*';
    struct cn_consumer *consumer = cn_consumer_new(&scratch->broker, feed);
    scratch_begin(scratch);
    if (cn_consumer_attach(consumer, &scratch->error))
        fail_msg("%s", scratch->error.text);
    scratch_commit(scratch);
    consumer->window_messages = WINDOW;
    consumer->window_bytes = 1 << 20;
    cn_consumer_consider(consumer);
    return consumer;
}

static void leave(struct cn_consumer *consumer)
{
    cn_claims_drop(consumer->broker);
    cn_consumer_free(consumer);
}

static void forget_deliveries(struct scratch *scratch)
{
    struct cn_answer *answer = scratch->broker.answer;
    for (size_t i = 0; answer && i < answer->delivery_count; i++) {
        ce_event_release(&answer->deliveries[i].event);
        fl_free(answer->deliveries[i].topic);
    }
    if (answer)
        fl_free(answer->deliveries);
    fl_free(answer);
    scratch->broker.answer = NULL;
}

/* What a turn does with claims; the deliveries stay in the answer until the next one. */
static void take_turn(struct scratch *scratch, bool takes_over)
{
    struct fl_error *error = &scratch->error;
    forget_deliveries(scratch);
    scratch_begin(scratch);
    enum fl_err err = takes_over ? cn_claims_take_over(&scratch->broker, error) : FL_OK;
    if (!err)
        err = cn_settle_write(&scratch->broker, error);
    if (!err)
        err = cn_claim_all(&scratch->broker, error);
    if (err)
        fail_msg("%s", error->text);
    scratch_commit(scratch);
    cn_claims_committed(&scratch->broker);
}

static size_t delivered(const struct scratch *scratch)
{
    return scratch->broker.answer ? scratch->broker.answer->delivery_count : 0;
}

static struct cn_delivery delivery(const struct scratch *scratch, size_t at)
{
    assert_true(at < delivered(scratch));
    return scratch->broker.answer->deliveries[at];
}

static void settle(struct scratch *scratch, struct cn_delivery what, enum connector_outcome outcome,
                   int64_t delay_ms)
{
    struct cn_settlement settlement = {what.feed, what.token, outcome, delay_ms};
    cn_settle(&scratch->broker, &settlement);
}

static void expect(struct scratch *scratch, const char *sql, int64_t expected)
{
    assert_int_equal(scratch_number(scratch, sql), expected);
}

/* --- rows --- */

static void neighbours_share_a_row(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    struct cn_delivery all[WINDOW];
    scratch_fill(scratch, "t", 150, 10);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), WINDOW);
    expect(scratch, "SELECT count(*) FROM claim", 2);
    expect(scratch, "SELECT sum(first & 1099511627775) FROM claim", 1 + 65);
    expect(scratch, "SELECT position FROM cursor", WINDOW);
    for (size_t i = 0; i < WINDOW; i++)
        all[i] = delivery(scratch, i);
    consumer->window_messages = 0;
    for (size_t i = 1; i < WINDOW; i++)
        settle(scratch, all[i], i % 2 ? CONNECTOR_ACCEPTED : CONNECTOR_REJECTED, 0);
    take_turn(scratch, false);
    expect(scratch, "SELECT count(*) FROM claim", 1);
    expect(scratch, "SELECT mask FROM claim", 1);
    assert_int_equal(consumer->in_flight, 1);
    assert_int_equal(consumer->in_flight_bytes, 10);
    settle(scratch, all[0], CONNECTOR_ACCEPTED, 0);
    settle(scratch, all[0], CONNECTOR_MODIFIED, 0);
    settle(scratch, all[40], CONNECTOR_RELEASED, 0);
    take_turn(scratch, false);
    expect(scratch, "SELECT count(*) FROM claim", 0);
    expect(scratch, "SELECT count(*) FROM waiting", 0);
    assert_int_equal(consumer->in_flight, 0);
    leave(consumer);
}

static void the_last_bit_of_a_row_is_a_message_too(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    scratch_fill(scratch, "t", 64, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    expect(scratch, "SELECT count(*) FROM claim", 1);
    expect(scratch, "SELECT mask FROM claim", -1);
    struct cn_delivery last = delivery(scratch, 63);
    settle(scratch, last, CONNECTOR_MODIFIED, 500);
    take_turn(scratch, false);
    expect(scratch, "SELECT mask FROM claim", INT64_MAX);
    expect(scratch, "SELECT seq & 1099511627775 FROM waiting", 64);
    scratch_advance(scratch, 500);
    cn_consumer_consider(consumer);
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 1);
    assert_int_equal(delivery(scratch, 0).attempt, 2);
    leave(consumer);
}

static void a_gap_that_retention_left_is_passed_over(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    scratch_fill(scratch, "t", 200, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    scratch_run(scratch, "DELETE FROM message WHERE seq & 1099511627775 <= 100");
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 100);
    expect(scratch, "SELECT min(first) & 1099511627775 FROM claim", 101);
    scratch_fill(scratch, "t", 1, 1);
    scratch_run(scratch, "DELETE FROM message WHERE seq & 1099511627775 = 201");
    leave(consumer);
    consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 0);
    expect(scratch, "SELECT position FROM cursor", 201);
    leave(consumer);
}

/* --- leases --- */

static void each_message_has_a_lease_of_its_own(void **state)
{
    struct scratch *scratch = *state;
    struct cn_broker *broker = &scratch->broker;
    struct cn_feed feed;
    scratch_fill(scratch, "t", 10, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    struct cn_extension longer = {&feed, delivery(scratch, 3).token};
    consumer->window_messages = 0;
    scratch_advance(scratch, LEASE_MS / 2);
    cn_extend(broker, &longer);
    take_turn(scratch, false);
    expect(scratch, "SELECT until FROM claim", broker->store.now_ms + LEASE_MS);
    assert_int_equal(cn_claims_lapse(broker), broker->store.now_ms + LEASE_MS / 2);
    scratch_advance(scratch, LEASE_MS / 2 - 1);
    assert_int_equal(cn_claims_lapse(broker), broker->store.now_ms + 1);
    assert_int_equal(consumer->in_flight, 10);
    scratch_advance(scratch, 1);
    assert_int_equal(cn_claims_lapse(broker), broker->store.now_ms + LEASE_MS / 2);
    assert_int_equal(consumer->in_flight, 1);
    take_turn(scratch, false);
    expect(scratch, "SELECT count(*) FROM waiting WHERE due = 0 AND attempt = 2", 9);
    expect(scratch, "SELECT mask FROM claim", 1 << 3);
    assert_int_equal(atomic_load(&scratch->counts.lapsed), 9);
    leave(consumer);
}

/* --- transactions that fail --- */

static void fail_turn(struct scratch *scratch)
{
    forget_deliveries(scratch);
    scratch_begin(scratch);
    enum fl_err err = cn_settle_write(&scratch->broker, &scratch->error);
    if (!err)
        err = cn_claim_all(&scratch->broker, &scratch->error);
    assert_int_equal(err, FL_OK);
    cn_store_rollback(&scratch->broker.store);
    cn_claims_rolled_back(&scratch->broker);
    cn_topics_forget(&scratch->broker);
}

static void a_failed_transaction_claims_nothing(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    scratch_fill(scratch, "t", 70, 5);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    fail_turn(scratch);
    assert_int_equal(delivered(scratch), 70);
    assert_int_equal(consumer->in_flight, 0);
    assert_int_equal(consumer->in_flight_bytes, 0);
    struct cn_delivery never = delivery(scratch, 0);
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 70);
    assert_int_equal(consumer->in_flight, 70);
    settle(scratch, never, CONNECTOR_REJECTED, 0);
    assert_int_equal(consumer->in_flight, 70);
    leave(consumer);
}

static void a_failed_transaction_forgets_no_settlement(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    scratch_fill(scratch, "t", 3, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    struct cn_delivery all[] = {delivery(scratch, 0), delivery(scratch, 1), delivery(scratch, 2)};
    settle(scratch, all[0], CONNECTOR_ACCEPTED, 0);
    settle(scratch, all[1], CONNECTOR_MODIFIED, 700);
    fail_turn(scratch);
    settle(scratch, all[0], CONNECTOR_MODIFIED, 0);
    settle(scratch, all[2], CONNECTOR_REJECTED, 0);
    take_turn(scratch, false);
    expect(scratch, "SELECT count(*) FROM claim", 0);
    expect(scratch, "SELECT count(*) FROM waiting", 1);
    expect(scratch, "SELECT due FROM waiting", scratch->broker.store.now_ms + 700);
    leave(consumer);
}

/* --- lanes --- */

static void add_keyed(struct scratch *scratch, const char *topic, const char *key, int count)
{
    struct cn_record record = {.key = fl_slice_str(key), .body = FL_SLICE_LIT("x")};
    scratch_begin(scratch);
    for (int i = 0; i < count; i++)
        scratch_add(scratch, topic, &record);
    scratch_commit(scratch);
}

static void a_lane_is_parked_and_goes_on_one_by_one(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    add_keyed(scratch, "t", "a", 4);
    add_keyed(scratch, "t", "b", 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 2);
    expect(scratch, "SELECT count(*) FROM claim WHERE lane <> 0", 2);
    expect(scratch, "SELECT count(*) FROM waiting WHERE due IS NULL", 3);
    expect(scratch, "SELECT parked FROM cursor", 3);
    for (int i = 2; i <= 4; i++) {
        settle(scratch, delivery(scratch, 0), CONNECTOR_ACCEPTED, 0);
        take_turn(scratch, false);
        assert_int_equal(delivered(scratch), 1);
        assert_int_equal(delivery(scratch, 0).attempt, 1);
        expect(scratch, "SELECT parked FROM cursor", 4 - i);
        expect(scratch, "SELECT max(first) & 1099511627775 FROM claim WHERE first & 255 < 5", i);
    }
    leave(consumer);
}

/* A message that failed holds its lane although nothing of it is claimed. */
static void a_back_off_blocks_its_lane(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    add_keyed(scratch, "t", "a", 2);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    settle(scratch, delivery(scratch, 0), CONNECTOR_MODIFIED, 1000);
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 0);
    add_keyed(scratch, "t", "a", 1);
    consumer->must_look = true;
    cn_consumer_consider(consumer);
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 0);
    scratch_advance(scratch, 1000);
    cn_consumer_consider(consumer);
    take_turn(scratch, false);
    assert_int_equal(delivered(scratch), 1);
    assert_int_equal(delivery(scratch, 0).attempt, 2);
    expect(scratch, "SELECT count(*) FROM waiting WHERE due IS NULL", 2);
    leave(consumer);
}

/* --- others --- */

/* Another owner with this claim of group 1 on topic 1, and with a broadcast group of its own. */
static void add_other(struct scratch *scratch, int owner, int64_t first, uint64_t mask,
                      int64_t until_ms)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO owner(id, application, pid, since) VALUES(%d, 'other', 1, 0);"
             "INSERT INTO consumer(id, name, topic, pattern, owner, created, seen)"
             " VALUES(%d, 'all/%d', 't', 0, %d, 0, 0);"
             "INSERT INTO cursor(topic, consumer, position) VALUES(1, %d, 0);"
             "INSERT INTO claim(owner, id, consumer, first, mask, lane, until, attempt)"
             " VALUES(%d, 1, 1, %lld, %lld, 0, %lld, 4)",
             owner, owner, owner, owner, owner, owner, (long long)cn_seq(1, first), (long long)mask,
             (long long)until_ms);
    scratch_run(scratch, sql);
}

static void what_the_dead_held_is_taken_at_once(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    scratch_fill(scratch, "t", 64, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    scratch_run(scratch, "UPDATE cursor SET position = 64");
    add_other(scratch, 50, 1, UINT64_MAX & ~(uint64_t)6, scratch->broker.store.now_ms + LEASE_MS);
    take_turn(scratch, true);
    assert_int_equal(delivered(scratch), 62);
    for (size_t i = 0; i < 62; i++)
        assert_int_equal(delivery(scratch, i).attempt, 5);
    expect(scratch, "SELECT count(*) FROM owner", 1);
    expect(scratch, "SELECT count(*) FROM consumer", 1);
    expect(scratch, "SELECT count(*) FROM cursor", 1);
    expect(scratch, "SELECT count(*) FROM claim WHERE owner = 50", 0);
    assert_false(scratch->broker.store.has_others);
    leave(consumer);
}

static void what_the_living_hold_is_taken_when_its_lease_ends(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    struct cn_guard other;
    scratch_fill(scratch, "t", 5, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    scratch_run(scratch, "UPDATE cursor SET position = 5");
    add_other(scratch, 50, 1, 31, scratch->broker.store.now_ms + LEASE_MS);
    assert_int_equal(cn_guard_open(&other, scratch->broker.store.path, &scratch->error), FL_OK);
    assert_int_equal(cn_guard_own(&other, 50, &scratch->error), FL_OK);
    scratch_advance(scratch, LEASE_MS - 1);
    take_turn(scratch, true);
    assert_int_equal(delivered(scratch), 0);
    assert_true(scratch->broker.store.has_others);
    scratch_advance(scratch, 1);
    take_turn(scratch, true);
    assert_int_equal(delivered(scratch), 5);
    /* It lives: its broadcast group is its own. */
    expect(scratch, "SELECT count(*) FROM consumer", 2);
    expect(scratch, "SELECT count(*) FROM owner", 2);
    cn_guard_close(&other);
    take_turn(scratch, true);
    expect(scratch, "SELECT count(*) FROM consumer", 1);
    leave(consumer);
}

/* Somebody took over what we held too long: then it is theirs, whatever we say of it. */
static void what_others_took_is_not_ours_to_settle(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    scratch_fill(scratch, "t", 2, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t", "g");
    take_turn(scratch, false);
    struct cn_delivery first = delivery(scratch, 0), second = delivery(scratch, 1);
    scratch_run(scratch, "UPDATE claim SET owner = 50");
    settle(scratch, first, CONNECTOR_ACCEPTED, 0);
    settle(scratch, second, CONNECTOR_MODIFIED, 0);
    take_turn(scratch, false);
    expect(scratch, "SELECT mask FROM claim", 3);
    expect(scratch, "SELECT count(*) FROM waiting", 0);
    assert_int_equal(consumer->in_flight, 0);
    leave(consumer);
}

/* --- patterns --- */

/* Each topic gets its turn, however much there is of another. */
static void a_full_topic_leaves_room_for_the_others(void **state)
{
    struct scratch *scratch = *state;
    struct cn_feed feed;
    static const char *const names[] = {"t1", "t2", "t3"};
    for (size_t i = 0; i < 3; i++)
        scratch_fill(scratch, names[i], i == 0 ? 50 : 1, 1);
    struct cn_consumer *consumer = join(scratch, &feed, "t*", "g");
    consumer->window_messages = 1;
    size_t of_others = 0;
    for (size_t i = 0; i < 6; i++) {
        take_turn(scratch, false);
        assert_int_equal(delivered(scratch), 1);
        struct cn_delivery one = delivery(scratch, 0);
        of_others += !fl_slice_eq_str(fl_slice_of(one.topic, one.topic_len), "t1");
        settle(scratch, one, CONNECTOR_ACCEPTED, 0);
    }
    assert_int_equal(of_others, 2);
    leave(consumer);
}

static int close_all(void **state)
{
    struct scratch *scratch = *state;
    struct cn_broker *broker = &scratch->broker;
    forget_deliveries(scratch);
    fl_free(broker->claims);
    fl_free(broker->free_places);
    fl_free(broker->returns);
    return scratch_close(state);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, scratch_open, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(neighbours_share_a_row),
        CASE(the_last_bit_of_a_row_is_a_message_too),
        CASE(a_gap_that_retention_left_is_passed_over),
        CASE(each_message_has_a_lease_of_its_own),
        CASE(a_failed_transaction_claims_nothing),
        CASE(a_failed_transaction_forgets_no_settlement),
        CASE(a_lane_is_parked_and_goes_on_one_by_one),
        CASE(a_back_off_blocks_its_lane),
        CASE(what_the_dead_held_is_taken_at_once),
        CASE(what_the_living_hold_is_taken_when_its_lease_ends),
        CASE(what_others_took_is_not_ours_to_settle),
        CASE(a_full_topic_leaves_room_for_the_others),
    };
    return cmocka_run_group_tests_name("sqlite claim", tests, NULL, NULL);
}
