/* Transactions that fail half-way: what was promised before and after them is kept.
 *
 * A VFS that is the default one, save that its writes fail when a test wants it, stands below the
 * connector, which runs on its own thread with a fake gateway before it. */
#include "connectors/sqlite/sqlite.h"
#include "connectors/sqlite/sqlite_priv.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/conformance/fake_gateway.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PATIENCE_MS = 8000, QUIET_MS = 300 };

/* --- writes that fail --- */

static atomic_int writes_to_fail;
static atomic_int failure; /* what they say: a status of SQLite */
static char ballast[128];  /* when set, writes fail as long as this file exists */
static atomic_bool is_full;
static sqlite3_vfs *real_vfs;
static sqlite3_vfs failing_vfs;
/* The default VFS has a table of methods for databases and one for logs, with one xWrite. */
static struct {
    const sqlite3_io_methods *real;
    sqlite3_io_methods failing;
} tables[2];

static int failing_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    if (atomic_load(&is_full) && access(ballast, F_OK) == 0)
        return SQLITE_FULL;
    if (atomic_load(&writes_to_fail) > 0) {
        atomic_fetch_sub(&writes_to_fail, 1);
        return atomic_load(&failure);
    }
    return tables[0].real->xWrite(file, data, len, at);
}

static int failing_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                        int *flags_out)
{
    (void)vfs;
    int status = real_vfs->xOpen(real_vfs, name, file, flags, flags_out);
    if (status != SQLITE_OK || !file->pMethods)
        return status;
    for (int i = 0; i < 2; i++) {
        if (!tables[i].real) {
            tables[i].real = file->pMethods;
            tables[i].failing = *file->pMethods;
            tables[i].failing.xWrite = failing_write;
        }
        if (file->pMethods == tables[i].real) {
            file->pMethods = &tables[i].failing;
            break;
        }
    }
    return SQLITE_OK;
}

static void install_vfs(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    failing_vfs = *real_vfs;
    failing_vfs.zName = "failing";
    failing_vfs.xOpen = failing_open;
    assert_int_equal(sqlite3_vfs_register(&failing_vfs, 1), SQLITE_OK);
}

/* The next write fails, and only that. */
static void fail_once(int status)
{
    atomic_store(&failure, status);
    atomic_store(&writes_to_fail, 1);
}

/* --- a broker in a folder of its own --- */

struct broker {
    char folder[32], path[64];
    struct fake_gateway *fake;
};

static struct fake_gateway *open_fake_gateway(const struct broker *broker, const char *lease)
{
    struct fl_error error;
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("connectionString"), .value = fl_slice_str(broker->path)},
        {.name = FL_SLICE_LIT("leaseTime"), .value = fl_slice_str(lease)},
        {.name = FL_SLICE_LIT("maxTopics"), .value = FL_SLICE_LIT("20")},
    };
    struct fake_gateway *fake = fake_gateway_new(
        &cn_sqlite_type, values, sizeof values / sizeof *values, PATIENCE_MS, QUIET_MS, &error);
    if (!fake)
        fail_msg("%s", error.text);
    assert_true(fake_wait_up(fake));
    return fake;
}

static int open_broker(void **state)
{
    struct broker *broker = fl_zalloc(sizeof *broker);
    snprintf(broker->folder, sizeof broker->folder, "/tmp/failure_test.XXXXXX");
    assert_non_null(mkdtemp(broker->folder));
    snprintf(broker->path, sizeof broker->path, "%s/a.db", broker->folder);
    snprintf(ballast, sizeof ballast, "%s/a.db-ballast", broker->folder);
    atomic_store(&is_full, false);
    atomic_store(&writes_to_fail, 0);
    broker->fake = open_fake_gateway(broker, "60s");
    *state = broker;
    return 0;
}

static int close_broker(void **state)
{
    struct broker *broker = *state;
    char complaint[256], command[64];
    atomic_store(&is_full, false);
    fake_gateway_free(&broker->fake, complaint, sizeof complaint);
    if (complaint[0])
        print_error("%s\n", complaint);
    snprintf(command, sizeof command, "rm -rf '%s'", broker->folder);
    fl_free(broker);
    return system(command) || complaint[0] ? -1 : 0;
}

/* The first column of the first row of a statement of the test's own. */
static int64_t number_of(const struct broker *broker, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open(broker->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    return number;
}

static struct fake_subscription *subscribe(struct broker *broker, const char *topic,
                                           uint32_t window)
{
    struct fake_subscription *subscription =
        fake_subscribe(broker->fake, fl_slice_str(topic), "group", CONNECTOR_MODE_COMPETE);
    assert_true(fake_wait_subscribed(subscription));
    fake_window(subscription, window, 1 << 20);
    return subscription;
}

static enum fl_err publish(struct broker *broker, const char *topic, const char *key,
                           const char *body)
{
    struct fake_message message = {
        .topic = fl_slice_str(topic), .body = fl_slice_str(body), .key = fl_slice_str(key)};
    struct fake_publish *publish = fake_publish_message(broker->fake, &message);
    assert_true(fake_wait_answers(broker->fake));
    return publish->code;
}

static bool has_body(const struct fake_delivery *delivery, const char *body)
{
    return fl_slice_eq_str(delivery->what.event->body, body);
}

/* --- what has to hold --- */

static void what_is_behind_the_cursor_comes_after_a_failed_turn(void **state)
{
    struct broker *broker = *state;
    struct fake_subscription *subscription = subscribe(broker, "orders", 1);
    fake_publish_numbers(broker->fake, FL_SLICE_LIT("orders"), 3);
    assert_true(fake_wait_answers(broker->fake));
    assert_true(fake_wait_deliveries(subscription, 1));
    for (size_t i = 1; i < 3; i++) {
        fail_once(SQLITE_FULL);
        fake_accept(subscription->deliveries[i - 1]);
        assert_true(fake_wait_deliveries(subscription, i + 1));
    }
    assert_int_equal(broker->fake->downs, 0);
}

static bool is_ballast_gone(const void *object, size_t number)
{
    (void)object;
    (void)number;
    return access(ballast, F_OK) != 0;
}

static void the_ballast_goes_when_the_disk_is_full_so_that_settling_goes_on(void **state)
{
    struct broker *broker = *state;
    struct fake_subscription *subscription = subscribe(broker, "orders", 1);
    fake_publish_numbers(broker->fake, FL_SLICE_LIT("orders"), 3);
    assert_true(fake_wait_answers(broker->fake));
    assert_true(fake_wait_deliveries(subscription, 1));
    atomic_store(&is_full, true);
    assert_int_equal(publish(broker, "orders", "", "x"), FL_ERR_CLOSED);
    assert_true(is_ballast_gone(NULL, 0));
    fake_accept(subscription->deliveries[0]);
    assert_true(fake_wait_deliveries(subscription, 2));
    assert_int_equal(broker->fake->downs, 0);
}

static void a_topic_that_could_not_be_made_breaks_no_pattern(void **state)
{
    struct broker *broker = *state;
    struct fake_subscription *subscription = subscribe(broker, "or*", 10);
    fail_once(SQLITE_FULL);
    assert_int_equal(publish(broker, "orders", "", "x"), FL_ERR_CLOSED);
    assert_int_equal(publish(broker, "other", "", "y"), FL_ERR_CLOSED);
    fake_run_quietly(broker->fake, 1500); /* until the space is looked at again */
    assert_int_equal(publish(broker, "orders", "", "z"), FL_OK);
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_true(has_body(subscription->deliveries[0], "z"));
    assert_int_equal(broker->fake->downs, 0);
}

static void a_delayed_message_comes_after_a_failed_turn(void **state)
{
    struct broker *broker = *state;
    struct fake_subscription *subscription = subscribe(broker, "orders", 10);
    struct ce_metadata delay = {FL_SLICE_LIT("delay"), FL_SLICE_LIT("300ms")};
    struct fake_message message = {.topic = FL_SLICE_LIT("orders"),
                                   .body = FL_SLICE_LIT("x"),
                                   .metadata = &delay,
                                   .metadata_count = 1};
    fake_publish_message(broker->fake, &message);
    assert_true(fake_wait_answers(broker->fake));
    fail_once(SQLITE_FULL);
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_int_equal(atomic_load(&writes_to_fail), 0);
}

/* What the connection that was lost had in its hands does not wait for the end of the lease. */
static void deliveries_of_a_lost_connection_come_again_at_once(void **state)
{
    struct broker *broker = *state;
    struct fake_subscription *subscription = subscribe(broker, "orders", 10);
    struct fake_subscription *broadcast =
        fake_subscribe(broker->fake, FL_SLICE_LIT("orders"), "all", CONNECTOR_MODE_BROADCAST);
    assert_true(fake_wait_subscribed(broadcast));
    assert_int_equal(publish(broker, "orders", "", "x"), FL_OK);
    assert_true(fake_wait_deliveries(subscription, 1));
    fail_once(SQLITE_IOERR_WRITE);
    assert_int_equal(publish(broker, "orders", "", "y"), FL_ERR_TIMEOUT);
    assert_int_equal(broker->fake->downs, 1);
    assert_true(fake_wait_deliveries(subscription, 2));
    assert_true(has_body(subscription->deliveries[1], "x"));
    assert_int_equal(subscription->deliveries[1]->what.attempt, 2);
    /* The broadcast group goes on as well, and none of before stays to keep messages for ever. */
    fake_window(broadcast, 10, 1 << 20);
    assert_true(fake_wait_deliveries(broadcast, 1));
    assert_true(has_body(broadcast->deliveries[0], "x"));
    assert_int_equal(number_of(broker, "SELECT count(*) FROM consumer WHERE owner IS NOT NULL"), 1);
    assert_int_equal(number_of(broker, "SELECT count(*) FROM owner"), 1);
}

static void names_of_topics_that_cannot_be_made_are_not_kept(void **state)
{
    struct broker *broker = *state;
    char topic[24];
    for (int i = 0; i < 40; i++) {
        snprintf(topic, sizeof topic, "topic-%d", i);
        assert_int_equal(publish(broker, topic, "", "x"), i < 20 ? FL_OK : FL_ERR_TOO_LARGE);
    }
    const struct cn_sqlite *sqlite = (const void *)broker->fake->connector;
    assert_int_equal(fl_map_count(&sqlite->broker->topics), 20);
}

static void a_start_that_is_refused_is_refused_again(void **state)
{
    struct broker *broker = *state;
    for (int i = 0; i < 2; i++) {
        struct fake_subscription *subscription = fake_subscribe_from(
            broker->fake, FL_SLICE_LIT("orders"), "group", CONNECTOR_START_POSITION, "first");
        assert_false(fake_wait_subscribed(subscription));
        assert_int_equal(subscription->subscribed, 1);
    }
    assert_int_equal(number_of(broker, "SELECT count(*) FROM consumer"), 0);
    assert_int_equal(publish(broker, "orders", "", "x"), FL_OK);
    struct fake_subscription *subscription = fake_subscribe_from(
        broker->fake, FL_SLICE_LIT("orders"), "group", CONNECTOR_START_LATEST, "");
    assert_true(fake_wait_subscribed(subscription));
    fake_window(subscription, 10, 1 << 20);
    assert_int_equal(publish(broker, "orders", "", "y"), FL_OK);
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_true(has_body(subscription->deliveries[0], "y"));
}

static const struct fake_delivery *find_delivery(const struct fake_subscription *subscription,
                                                 const char *body, size_t nth)
{
    for (size_t i = 0; i < subscription->count; i++) {
        if (has_body(subscription->deliveries[i], body) && nth-- == 0)
            return subscription->deliveries[i];
    }
    return NULL;
}

/* Equal keys of two topics are two lanes, so what happens in one does not let the other go. */
static void a_key_is_a_lane_of_its_topic(void **state)
{
    struct broker *broker = *state;
    subscribe(broker, "order.a", 0); /* which makes it the first topic */
    struct fake_subscription *subscription = subscribe(broker, "order.*", 10);
    assert_int_equal(publish(broker, "order.b", "k", "b1"), FL_OK);
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_int_equal(publish(broker, "order.b", "k", "b2"), FL_OK);
    assert_int_equal(publish(broker, "order.a", "k", "a1"), FL_OK);
    fake_settle(subscription->deliveries[0], CONNECTOR_MODIFIED, 300);
    assert_true(fake_wait_deliveries(subscription, 3)); /* b1 again */
    assert_non_null(find_delivery(subscription, "b1", 1));
    fake_accept((struct fake_delivery *)find_delivery(subscription, "a1", 0));
    fake_run_quietly(broker->fake, QUIET_MS);
    assert_null(find_delivery(subscription, "b2", 0));
    fake_accept((struct fake_delivery *)find_delivery(subscription, "b1", 1));
    assert_true(fake_wait_deliveries(subscription, 4));
    assert_non_null(find_delivery(subscription, "b2", 0));
}

/* Changes the file behind the gateway's back. */
static void change(const struct broker *broker, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(broker->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_group_that_is_removed_under_its_subscription_is_made_again(void **state)
{
    struct broker *broker = *state;
    struct fake_subscription *subscription = subscribe(broker, "orders", 10);
    change(broker, "DELETE FROM cursor; DELETE FROM consumer");
    assert_int_equal(publish(broker, "orders", "", "x"), FL_ERR_CLOSED);
    assert_true(fake_wait_up(broker->fake));
    assert_int_equal(publish(broker, "orders", "", "y"), FL_OK);
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_true(has_body(subscription->deliveries[0], "y"));
}

static void a_file_that_a_newer_version_took_is_left_alone(void **state)
{
    struct broker *broker = *state;
    subscribe(broker, "orders", 10);
    change(broker, "PRAGMA user_version = 2");
    assert_int_equal(publish(broker, "orders", "", "x"), FL_ERR_CLOSED);
    fake_run_quietly(broker->fake, QUIET_MS);
    assert_false(broker->fake->is_up);
    assert_int_equal(number_of(broker, "SELECT count(*) FROM message"), 0);
    change(broker, "PRAGMA user_version = 1");
    assert_true(fake_wait_up(broker->fake));
    assert_int_equal(publish(broker, "orders", "", "y"), FL_OK);
}

/* More than are looked at in one transaction. */
static void expired_messages_are_passed_over(void **state)
{
    enum { EXPIRED = 6000 };
    struct broker *broker = *state;
    struct fake_subscription *subscription = subscribe(broker, "orders", 0);
    struct ce_metadata lifetime = {FL_SLICE_LIT("ttlInSeconds"), FL_SLICE_LIT("1")};
    for (int i = 0; i < EXPIRED; i++) {
        struct fake_message message = {.topic = FL_SLICE_LIT("orders"),
                                       .body = FL_SLICE_LIT("x"),
                                       .metadata = &lifetime,
                                       .metadata_count = 1};
        fake_publish_message(broker->fake, &message);
    }
    assert_true(fake_wait_answers(broker->fake));
    assert_int_equal(publish(broker, "orders", "", "y"), FL_OK);
    fake_run_quietly(broker->fake, 1100);
    fake_window(subscription, 10, 1 << 20);
    assert_true(fake_wait_deliveries(subscription, 1));
    assert_true(has_body(subscription->deliveries[0], "y"));
}

/* While a person holds the file, nobody can extend a lease, so none ends by it. */
static void a_lock_of_another_program_ends_no_lease(void **state)
{
    struct broker *broker = *state;
    struct fl_error error;
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("connectionString"), .value = fl_slice_str(broker->path)},
        {.name = FL_SLICE_LIT("leaseTime"), .value = FL_SLICE_LIT("1s")},
        {.name = FL_SLICE_LIT("busyTimeout"), .value = FL_SLICE_LIT("100ms")},
    };
    struct fake_gateway *both[2];
    struct fake_subscription *subscriptions[2];
    char complaint[256];
    sqlite3 *db;
    for (int i = 0; i < 2; i++) {
        both[i] = fake_gateway_beside(broker->fake, values, sizeof values / sizeof *values, &error);
        assert_non_null(both[i]);
        assert_true(fake_wait_up(both[i]));
        subscriptions[i] =
            fake_subscribe(both[i], FL_SLICE_LIT("orders"), "group", CONNECTOR_MODE_COMPETE);
        assert_true(fake_wait_subscribed(subscriptions[i]));
        fake_window(subscriptions[i], i == 0, 1 << 20);
    }
    assert_int_equal(publish(broker, "orders", "", "x"), FL_OK);
    assert_true(fake_wait_deliveries(subscriptions[0], 1));
    fake_window(subscriptions[1], 1, 1 << 20);
    assert_int_equal(sqlite3_open(broker->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    fake_run_quietly(broker->fake, 2500);
    sqlite3_close(db);
    fake_run_quietly(broker->fake, 1500);
    assert_int_equal(subscriptions[0]->count, 1);
    assert_int_equal(subscriptions[1]->count, 0);
    for (int i = 0; i < 2; i++) {
        fake_gateway_free(&both[i], complaint, sizeof complaint);
        assert_string_equal(complaint, "");
    }
}

static void a_topic_that_is_too_long_is_refused(void **state)
{
    struct broker *broker = *state;
    char topic[CN_MOST_TOPIC_BYTES + 2];
    memset(topic, 't', sizeof topic);
    topic[CN_MOST_TOPIC_BYTES + 1] = 0;
    assert_int_equal(publish(broker, topic, "", "x"), FL_ERR_INVALID);
    static const struct ce_metadata later = {FL_SLICE_LIT("delay"), FL_SLICE_LIT("10ms")};
    struct fake_message delayed = {.topic = fl_slice_str(topic),
                                   .body = FL_SLICE_LIT("x"),
                                   .metadata = &later,
                                   .metadata_count = 1};
    const struct fake_publish *refused = fake_publish_message(broker->fake, &delayed);
    assert_true(fake_wait_answers(broker->fake));
    assert_int_equal(refused->code, FL_ERR_INVALID);
    topic[CN_MOST_TOPIC_BYTES] = 0;
    assert_int_equal(publish(broker, topic, "", "x"), FL_OK);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_broker, close_broker)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_behind_the_cursor_comes_after_a_failed_turn),
        CASE(the_ballast_goes_when_the_disk_is_full_so_that_settling_goes_on),
        CASE(a_topic_that_could_not_be_made_breaks_no_pattern),
        CASE(a_delayed_message_comes_after_a_failed_turn),
        CASE(deliveries_of_a_lost_connection_come_again_at_once),
        CASE(names_of_topics_that_cannot_be_made_are_not_kept),
        CASE(a_start_that_is_refused_is_refused_again),
        CASE(a_key_is_a_lane_of_its_topic),
        CASE(a_group_that_is_removed_under_its_subscription_is_made_again),
        CASE(a_file_that_a_newer_version_took_is_left_alone),
        CASE(expired_messages_are_passed_over),
        CASE(a_lock_of_another_program_ends_no_lease),
        CASE(a_topic_that_is_too_long_is_refused),
    };
    install_vfs();
    return cmocka_run_group_tests_name("sqlite failures", tests, NULL, NULL);
}
