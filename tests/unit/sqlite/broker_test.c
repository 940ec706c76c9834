/* The whole connector where the connector suite does not reach: its limits reached on purpose, what
 * its settings do, and its file in the hands of others. */
#include "connectors/sqlite/sqlite.h"
#include "connectors/sqlite/sqlite_priv.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/conformance/fake_gateway.c"

#include <cmocka.h>

#define PLENTY ((size_t)64 << 20)

enum { PATIENCE_MS = 30000, QUIET_MS = 50 };

struct place {
    char folder[40], path[64];
    struct fake_gateway *fake;
};

static int make_place(void **state)
{
    struct place *place = fl_zalloc(sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/broker_test.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/a.db", place->folder);
    *state = place;
    return 0;
}

/* With one setting more, or NULL. */
static struct fake_gateway *open_with(struct place *place, const char *name, const char *value)
{
    struct fl_error error;
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("connectionString"), .value = fl_slice_str(place->path)},
        {.name = fl_slice_str(name), .value = fl_slice_str(value)},
    };
    place->fake =
        fake_gateway_new(&cn_sqlite_type, values, name ? 2 : 1, PATIENCE_MS, QUIET_MS, &error);
    if (!place->fake)
        fail_msg("%s", error.text);
    assert_true(fake_wait_up(place->fake));
    return place->fake;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    char complaint[256] = "", command[64];
    if (place->fake)
        fake_gateway_free(&place->fake, complaint, sizeof complaint);
    if (complaint[0])
        print_error("%s\n", complaint);
    snprintf(command, sizeof command, "rm -rf '%s'", place->folder);
    fl_free(place);
    return system(command) || complaint[0] ? -1 : 0;
}

static struct fake_subscription *subscribe(struct fake_gateway *fake, const char *topic,
                                           uint32_t window)
{
    struct fake_subscription *subscription =
        fake_subscribe(fake, fl_slice_str(topic), "g", CONNECTOR_MODE_COMPETE);
    assert_true(fake_wait_subscribed(subscription));
    fake_window(subscription, window, PLENTY);
    return subscription;
}

static struct fake_publish *publish(struct fake_gateway *fake, const char *topic, const char *body)
{
    struct fake_publish *publish = fake_publish(fake, fl_slice_str(topic), fl_slice_str(body));
    assert_true(fake_wait_answers(fake));
    return publish;
}

static void publish_keyed(struct fake_gateway *fake, const char *topic, const char *key, int count)
{
    char body[16];
    for (int i = 0; i < count; i++) {
        struct fake_message message = {.topic = fl_slice_str(topic), .key = fl_slice_str(key)};
        message.body = fl_slice_of(body, (size_t)snprintf(body, sizeof body, "%d", i));
        fake_publish_message(fake, &message);
    }
    assert_true(fake_wait_answers(fake));
}

/* The first column of the first row of a statement of the test's own. */
static int64_t number_of(const struct place *place, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    return number;
}

/* Until the statement says the number; the loop goes on meanwhile. */
static void wait_number(struct place *place, const char *sql, int64_t expected)
{
    int64_t until_ms = fl_clock_ms() + PATIENCE_MS;
    while (number_of(place, sql) != expected && fl_clock_ms() < until_ms)
        fake_run_quietly(place->fake, 20);
    assert_int_equal(number_of(place, sql), expected);
}

/* --- topics --- */

static void one_topic_too_many_is_refused_and_the_others_go_on(void **state)
{
    struct fake_gateway *fake = open_with(*state, "maxTopics", "3");
    struct fake_subscription *pattern = subscribe(fake, "t*", 100);
    pattern->on_delivery = fake_accept;
    static const char *const names[] = {"t1", "t2", "t3"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(publish(fake, names[i], "x")->code, FL_OK);
    struct fake_publish *refused = publish(fake, "t4", "x");
    assert_int_equal(refused->code, FL_ERR_TOO_LARGE);
    assert_int_equal(refused->class, FL_CLASS_REJECT);
    struct fake_subscription *more =
        fake_subscribe(fake, FL_SLICE_LIT("t5"), "g", CONNECTOR_MODE_COMPETE);
    assert_false(fake_wait_subscribed(more));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(publish(fake, names[i], "y")->code, FL_OK);
    assert_true(fake_wait_deliveries(pattern, 6));
    assert_int_equal(fake->downs, 0);
    assert_int_equal(number_of(*state, "SELECT count(*) FROM consumer"), 1);
}

/* --- size --- */

static void publish_kilobytes(struct fake_gateway *fake, int count)
{
    static char body[10000];
    memset(body, 'x', sizeof body);
    for (int i = 0; i < count; i++)
        fake_publish(fake, FL_SLICE_LIT("big"), fl_slice_of(body, sizeof body));
    assert_true(fake_wait_answers(fake));
}

/* Unsettled messages are never dropped: publishing stops. Once they are settled it goes on. */
static void a_full_file_refuses_until_something_is_settled(void **state)
{
    struct fake_gateway *fake = open_with(*state, "maxBytes", "1Mi");
    struct fake_subscription *subscription = subscribe(fake, "big", 0);
    size_t stored = 0;
    struct fake_publish *last = NULL;
    for (int round = 0; round < 2000 && (!last || last->code == FL_OK); round++) {
        publish_kilobytes(fake, 5);
        last = fake->publishes[fake->publish_count - 1];
    }
    assert_int_equal(last->code, FL_ERR_AGAIN);
    assert_int_equal(last->class, FL_CLASS_RETRY);
    for (size_t i = 0; i < fake->publish_count; i++)
        stored += fake->publishes[i]->code == FL_OK;
    assert_true(stored > 50);
    assert_int_equal(number_of(*state, "SELECT count(*) FROM message"), (int64_t)stored);
    /* A dead letter is let in: only it can end what fills the file. */
    struct fake_message letter = {
        .topic = FL_SLICE_LIT("dead"), .body = FL_SLICE_LIT("x"), .is_urgent = true};
    const struct fake_publish *urgent = fake_publish_message(fake, &letter);
    assert_true(fake_wait_answers(fake));
    assert_int_equal(urgent->code, FL_OK);
    subscription->on_delivery = fake_accept;
    fake_window(subscription, 100, PLENTY);
    assert_true(fake_wait_deliveries(subscription, stored));
    int64_t until_ms = fl_clock_ms() + PATIENCE_MS;
    do
        publish_kilobytes(fake, 1);
    while (fake->publishes[fake->publish_count - 1]->code != FL_OK && fl_clock_ms() < until_ms);
    assert_int_equal(fake->publishes[fake->publish_count - 1]->code, FL_OK);
    assert_true(fake_wait_deliveries(subscription, stored + 1));
}

/* --- lanes --- */

static void assert_lane_in_order(const struct fake_subscription *subscription, uint64_t lane,
                                 size_t count)
{
    size_t next = 0;
    for (size_t i = 0; i < subscription->count; i++) {
        if (subscription->deliveries[i]->what.lane == lane)
            assert_int_equal(fake_number(subscription->deliveries[i]), next++);
    }
    assert_int_equal(next, count);
}

/* Its messages are put aside up to a bound; then what is behind them waits, and still comes. */
static void a_hot_key_holds_nobody_up_until_the_bound(void **state)
{
    struct fake_gateway *fake = open_with(*state, NULL, NULL);
    struct fake_subscription *subscription = subscribe(fake, "hot", 50);
    publish_keyed(fake, "hot", "hot", CN_MOST_PARKED - 100);
    assert_true(fake_wait_deliveries(subscription, 1));
    uint64_t hot = subscription->deliveries[0]->what.lane;
    publish_keyed(fake, "hot", "cold", 10);
    assert_true(fake_wait_deliveries(subscription, 2));
    uint64_t cold = subscription->deliveries[1]->what.lane;
    assert_true(cold != hot);
    fake_accept(subscription->deliveries[1]);
    assert_true(fake_wait_deliveries(subscription, 3));
    subscription->on_delivery = fake_accept;
    publish_keyed(fake, "hot", "late", 10);
    fake_accept(subscription->deliveries[2]);
    assert_true(fake_wait_deliveries(subscription, 1 + 10 + 10));
    assert_int_equal(subscription->in_flight, 1);
    assert_lane_in_order(subscription, cold, 10);
}

static void beyond_the_bound_all_come_in_order(void **state)
{
    enum { HOT = CN_MOST_PARKED + 300, COLD = 20 };
    struct fake_gateway *fake = open_with(*state, NULL, NULL);
    struct fake_subscription *subscription = subscribe(fake, "hot", 50);
    publish_keyed(fake, "hot", "hot", HOT);
    publish_keyed(fake, "hot", "cold", COLD);
    assert_true(fake_wait_deliveries(subscription, 1));
    fake_run_quietly(fake, QUIET_MS);
    uint64_t hot = subscription->deliveries[0]->what.lane;
    assert_int_equal(subscription->count, 1);
    assert_int_equal(number_of(*state, "SELECT parked FROM cursor"), CN_MOST_PARKED);
    subscription->on_delivery = fake_accept;
    fake_accept(subscription->deliveries[0]);
    /* The waits are many, each with the patience of its own. */
    for (size_t seen = 0; subscription->count < HOT + COLD;) {
        seen = subscription->count;
        assert_true(fake_wait_deliveries(subscription, seen + 1));
        fake_run_quietly(fake, 1);
    }
    fake_run_quietly(fake, QUIET_MS);
    assert_int_equal(subscription->count, HOT + COLD);
    assert_lane_in_order(subscription, hot, HOT);
    assert_int_equal(number_of(*state, "SELECT count(*) FROM waiting"), 0);
    assert_int_equal(number_of(*state, "SELECT parked FROM cursor"), 0);
}

/* --- retention --- */

static void settled_messages_go_with_time_and_unsettled_ones_stay(void **state)
{
    struct fake_gateway *fake = open_with(*state, "retention", "10ms");
    struct fake_subscription *subscription = subscribe(fake, "orders", 3);
    fake_publish_numbers(fake, FL_SLICE_LIT("orders"), 10);
    fake_publish_numbers(fake, FL_SLICE_LIT("nobody"), 10);
    assert_true(fake_wait_deliveries(subscription, 3));
    fake_window(subscription, 0, 0);
    fake_accept(subscription->deliveries[0]);
    fake_accept(subscription->deliveries[2]);
    /* Of the first topic the lowest alone: the second is unsettled and holds what is above. */
    wait_number(*state, "SELECT count(*) FROM message", 9);
    assert_int_equal(number_of(*state, "SELECT min(seq) & 1099511627775 FROM message"), 2);
    fake_accept(subscription->deliveries[1]);
    wait_number(*state, "SELECT count(*) FROM message", 7);
    fake_window(subscription, 3, PLENTY);
    subscription->on_delivery = fake_accept;
    assert_true(fake_wait_deliveries(subscription, 10));
    wait_number(*state, "SELECT count(*) FROM message", 0);
    /* Numbers go on where they were. */
    publish(fake, "orders", "10");
    assert_true(fake_wait_deliveries(subscription, 11));
}

static void a_group_that_nobody_serves_goes_with_time(void **state)
{
    struct fake_gateway *fake = open_with(*state, "groupExpiry", "300ms");
    struct fake_subscription *stays = subscribe(fake, "orders", 10);
    struct fake_subscription *leaves =
        fake_subscribe(fake, FL_SLICE_LIT("orders"), "h", CONNECTOR_MODE_COMPETE);
    assert_true(fake_wait_subscribed(leaves));
    fake_unsubscribe(leaves);
    assert_true(fake_wait_unsubscribed(leaves));
    assert_int_equal(number_of(*state, "SELECT count(*) FROM consumer"), 2);
    wait_number(*state, "SELECT count(*) FROM consumer", 1);
    publish(fake, "orders", "1");
    assert_true(fake_wait_deliveries(stays, 1));
}

/* --- bounds of what is outstanding --- */

static int hold_lock(const struct place *place)
{
    char name[80];
    struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    snprintf(name, sizeof name, "%s-lock", place->path);
    int fd = open(name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLKW, &byte), 0);
    return fd;
}

static void publishing_takes_a_prefix_and_says_when_it_goes_on(void **state)
{
    struct fake_gateway *fake = open_with(*state, NULL, NULL);
    int lock = hold_lock(*state);
    fake_publish_numbers(fake, FL_SLICE_LIT("many"), CN_MOST_OUTSTANDING + 5000);
    fake_run_quietly(fake, QUIET_MS);
    assert_int_equal(fake->taken_count, CN_MOST_OUTSTANDING);
    assert_true(fake->is_line_stopped);
    close(lock);
    assert_true(fake_wait_answers(fake));
    assert_int_equal(number_of(*state, "SELECT last FROM topic"), CN_MOST_OUTSTANDING + 5000);
    for (size_t i = 0; i < fake->publish_count; i++)
        assert_int_equal(fake->publishes[i]->code, FL_OK);
}

/* What is given up at its deadline keeps its place until the session gives it back; it is stored
 * never or once. */
static void a_deadline_makes_room_for_no_second_of_it(void **state)
{
    struct place *place = *state;
    struct fake_gateway *fake = open_with(place, NULL, NULL);
    int lock = hold_lock(place);
    for (int i = 0; i < 100; i++)
        fake_publish_message(fake, &(struct fake_message){.topic = FL_SLICE_LIT("late"),
                                                          .body = FL_SLICE_LIT("x"),
                                                          .deadline_ms = 20 + i % 7});
    assert_true(fake_wait_answers(fake));
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(fake->publishes[i]->code, FL_ERR_TIMEOUT);
    close(lock);
    assert_int_equal(publish(fake, "late", "y")->code, FL_OK);
    assert_true(number_of(place, "SELECT count(*) FROM message") <= 101);
    assert_int_equal(number_of(place, "SELECT count(*) FROM message WHERE body = x'79'"), 1);
}

/* --- a refused subscription --- */

/* The gateway may have sent more for it before it hears of that. */
static void what_follows_a_refused_subscribe_is_harmless(void **state)
{
    struct fake_gateway *fake = open_with(*state, NULL, NULL);
    for (int round = 0; round < 50; round++) {
        struct fake_subscription *refused = fake_subscribe_from(
            fake, FL_SLICE_LIT("orders"), "g", CONNECTOR_START_POSITION, "no number");
        fake_run_quietly(fake, 0);
        for (uint32_t i = 0; i < 5 && !refused->subscribed; i++) {
            fake_window(refused, i, PLENTY);
            fake_run_quietly(fake, 0);
        }
        assert_false(fake_wait_subscribed(refused));
    }
    fake_run_quietly(fake, QUIET_MS);
    assert_int_equal(number_of(*state, "SELECT count(*) FROM consumer"), 0);
}

static void leaving_while_it_is_refused_is_answered(void **state)
{
    struct fake_gateway *fake = open_with(*state, NULL, NULL);
    struct fake_subscription *refused =
        fake_subscribe_from(fake, FL_SLICE_LIT("orders"), "g", CONNECTOR_START_TIME, "no time");
    fake_unsubscribe(refused);
    assert_true(fake_wait_unsubscribed(refused));
}

/* --- the file in other hands --- */

/* A program that knows nothing of our lock writes for a while. */
static void another_program_that_writes_is_waited_for(void **state)
{
    struct place *place = *state;
    struct fake_gateway *fake = open_with(place, "busyTimeout", "50ms");
    struct fake_subscription *subscription = subscribe(fake, "orders", 10);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct fake_publish *refused = publish(fake, "orders", "1");
    assert_int_equal(refused->code, FL_ERR_CLOSED);
    assert_int_equal(refused->class, FL_CLASS_RETRY);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    int64_t until_ms = fl_clock_ms() + PATIENCE_MS;
    while (publish(fake, "orders", "2")->code != FL_OK && fl_clock_ms() < until_ms)
        fake_run_quietly(fake, 10);
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_int_equal(fake_number(subscription->deliveries[0]), 2);
    assert_int_equal(fake->downs, 0);
}

static void move(const struct place *place, const char *from, const char *to)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char old[96], new[96];
        snprintf(old, sizeof old, "%s/%s%s", place->folder, from, suffixes[i]);
        snprintf(new, sizeof new, "%s/%s%s", place->folder, to, suffixes[i]);
        if (rename(old, new) != 0)
            assert_true(i > 0);
    }
}

/* What a moved file held stays in it, and a new one is begun; nothing of one is in the other. */
static void a_file_that_was_moved_away_is_whole_and_a_new_one_is_begun(void **state)
{
    struct place *place = *state;
    struct fake_gateway *fake = open_with(place, NULL, NULL);
    struct fake_subscription *subscription = subscribe(fake, "orders", 0);
    fake_publish_numbers(fake, FL_SLICE_LIT("orders"), 500);
    assert_true(fake_wait_answers(fake));
    move(place, "a.db", "moved.db");
    assert_true(fake_wait_down(fake));
    assert_true(fake_wait_up(fake));
    fake_window(subscription, 10, PLENTY);
    publish(fake, "orders", "7");
    assert_true(fake_wait_deliveries(subscription, 1));
    fake_run_quietly(fake, QUIET_MS);
    assert_int_equal(subscription->count, 1);
    assert_int_equal(fake_number(subscription->deliveries[0]), 7);
    struct place moved = *place;
    snprintf(moved.path, sizeof moved.path, "%s/moved.db", place->folder);
    assert_int_equal(number_of(&moved, "SELECT count(*) FROM message"), 500);
    assert_int_equal(number_of(place, "SELECT count(*) FROM message"), 1);
}

static void an_orderly_end_leaves_one_file_and_no_owner(void **state)
{
    struct place *place = *state;
    struct fake_gateway *fake = open_with(place, NULL, NULL);
    struct fake_subscription *all =
        fake_subscribe(fake, FL_SLICE_LIT("orders"), "g", CONNECTOR_MODE_BROADCAST);
    assert_true(fake_wait_subscribed(all));
    fake_window(all, 10, PLENTY);
    subscribe(fake, "orders", 10);
    publish(fake, "orders", "1");
    assert_true(fake_wait_deliveries(all, 1));
    char complaint[256], log[80];
    fake_gateway_free(&place->fake, complaint, sizeof complaint);
    assert_string_equal(complaint, "");
    snprintf(log, sizeof log, "%s-wal", place->path);
    assert_int_not_equal(access(log, F_OK), 0);
    assert_int_equal(number_of(place, "SELECT count(*) FROM owner"), 0);
    assert_int_equal(number_of(place, "SELECT count(*) FROM claim"), 0);
    assert_int_equal(number_of(place, "SELECT count(*) FROM consumer"), 1);
    assert_int_equal(number_of(place, "SELECT count(*) FROM message"), 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_topic_too_many_is_refused_and_the_others_go_on),
        CASE(a_full_file_refuses_until_something_is_settled),
        CASE(a_hot_key_holds_nobody_up_until_the_bound),
        CASE(beyond_the_bound_all_come_in_order),
        CASE(settled_messages_go_with_time_and_unsettled_ones_stay),
        CASE(a_group_that_nobody_serves_goes_with_time),
        CASE(publishing_takes_a_prefix_and_says_when_it_goes_on),
        CASE(a_deadline_makes_room_for_no_second_of_it),
        CASE(what_follows_a_refused_subscribe_is_harmless),
        CASE(leaving_while_it_is_refused_is_answered),
        CASE(another_program_that_writes_is_waited_for),
        CASE(a_file_that_was_moved_away_is_whole_and_a_new_one_is_begun),
        CASE(an_orderly_end_leaves_one_file_and_no_owner),
    };
    return cmocka_run_group_tests_name("sqlite broker", tests, NULL, NULL);
}
