/* What does not grow with the backlog: memory, the cost of a delivery, the log, and the time to
 * open the file and to look into it.
 *
 * 20,000 messages; FAIRLEAD_SOAK=1 makes it a million, and adds a minute of saturation. The driver
 * keeps nothing of a message, so what the process holds is the connector's. Costs are CPU time of
 * the whole process; of several samples the least counts, since others use the machine as well.
 */
#include "connectors/sqlite/sqlite.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "connectors/connector.h"
#include "net/loop.h"

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    OUTSTANDING = 1000,  /* publishes of the closed loop */
    WINDOW = 64,         /* as the gateway gives it */
    MOST_AHEAD = 100000, /* publishes that saturate wait for deliveries beyond this */
    SAMPLE = 1000,       /* deliveries whose cost is taken together */
    SAMPLES = 5,
    PATIENCE_MS = 300000,
    MOST_WAL_BYTES = 128 << 20,
    MOST_RESIDENT_KIB = 64 << 10,
    MOST_LOOK_MS = 10,
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_MEASURED = 0 }; /* sanitizers have their own ideas of memory and time */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { IS_MEASURED = 0 };
#else
enum { IS_MEASURED = 1 };
#endif
#else
enum { IS_MEASURED = 1 };
#endif

/* --- the driver --- */

struct feed {
    struct connector_subscription head;
    bool is_subscribed, has_left;
    uint64_t delivered;
};

struct driver {
    struct connector_host host;
    struct net_loop *loop;
    struct fl_log log;
    struct fl_budget budget;
    struct fl_arena arena;
    struct connector *connector;
    void *settings;
    struct net_timer patience, watch;
    bool is_up, is_closed, is_late;

    struct fl_slice topic, body;
    struct ce_metadata pair; /* of each publish; no key: none */
    uint64_t wanted, taken, answered, refused;
    int64_t until_at_ms; /* publishing goes on until then; 0: until `wanted` */

    bool (*is_done)(const struct driver *driver);
    struct feed *feed; /* the one waited for */
    uint64_t target;
    struct connector_backlog backlog;
    bool has_answer;
    size_t answer_bytes;
    int64_t most_wal_bytes;
};

static struct {
    char folder[64], path[96];
    uint64_t many;
    bool is_soak;
} run;

static struct driver *driver_of(struct connector *connector)
{
    return connector->context;
}

static void check(struct driver *driver)
{
    if (driver->is_done && driver->is_done(driver))
        net_loop_stop(driver->loop);
}

static bool is_over(const struct driver *driver, size_t count)
{
    return driver->until_at_ms ? net_loop_now_ms(driver->loop) >= driver->until_at_ms
                               : driver->taken + count >= driver->wanted;
}

/* One more after those taken and `count` others. */
static bool may_publish(const struct driver *driver, size_t count)
{
    bool is_ahead =
        driver->until_at_ms && driver->taken + count - driver->feed->delivered >= MOST_AHEAD;
    return !is_over(driver, count) && !is_ahead &&
           driver->taken + count - driver->answered < OUTSTANDING;
}

static void pump(struct driver *driver)
{
    struct connector_publish items[64];
    for (;;) {
        size_t count = 0;
        while (count < 64 && may_publish(driver, count)) {
            struct ce_event *event;
            FL_ASSERT(ce_event_new(driver->body, FL_SLICE_NULL, &driver->pair,
                                   driver->pair.key.len > 0, &driver->budget, &event) == FL_OK);
            items[count++] = (struct connector_publish){
                .topic = driver->topic,
                .event = event,
                .deadline_at_ms = net_loop_now_ms(driver->loop) + PATIENCE_MS,
                .token = event,
            };
        }
        if (!count)
            return;
        size_t taken = driver->connector->type->publish(driver->connector, items, count);
        FL_ASSERT(taken == count);
        driver->taken += taken;
    }
}

static void on_state(struct connector *connector, bool is_up, const struct fl_error *error)
{
    (void)error;
    driver_of(connector)->is_up = is_up;
    check(driver_of(connector));
}

static void on_published(struct connector *connector, const struct connector_published *items,
                         size_t count)
{
    struct driver *driver = driver_of(connector);
    for (size_t i = 0; i < count; i++) {
        struct ce_event *event = items[i].token;
        driver->refused += items[i].code != FL_OK;
        ce_event_release(&event);
    }
    driver->answered += count;
    pump(driver);
    check(driver);
}

static void on_invoked(struct connector *connector, const struct connector_invoked *answer)
{
    struct driver *driver = driver_of(connector);
    driver->has_answer = true;
    driver->answer_bytes = answer->error ? 0 : answer->data.len;
    check(driver);
}

static void on_writable(struct connector *connector)
{
    pump(driver_of(connector));
}

static void on_subscribed(struct connector *connector, struct connector_subscription *head,
                          const struct fl_error *error)
{
    FL_ASSERT(!error);
    ((struct feed *)head->context)->is_subscribed = true;
    check(driver_of(connector));
}

static void on_unsubscribed(struct connector *connector, struct connector_subscription *head)
{
    ((struct feed *)head->context)->has_left = true;
    check(driver_of(connector));
}

/* The fastest application there is. */
static void on_deliver(struct connector *connector, struct connector_subscription *head,
                       const struct connector_delivery *items, size_t count)
{
    struct driver *driver = driver_of(connector);
    struct feed *feed = head->context;
    for (size_t i = 0; i < count; i++) {
        struct connector_settlement item = {head, items[i].token, CONNECTOR_ACCEPTED, 0};
        struct ce_event *event = items[i].event;
        ce_event_release(&event);
        connector->type->settle(connector, &item, 1);
    }
    feed->delivered += count;
    pump(driver);
    check(driver);
}

static void on_revoked(struct connector *connector, struct connector_subscription *head,
                       uint64_t lane, int64_t until_at_ms)
{
    (void)until_at_ms;
    connector->type->release_lane(connector, head, lane);
}

static void on_backlog(struct connector *connector, const struct connector_backlog *backlog,
                       void *token)
{
    struct driver *driver = driver_of(connector);
    (void)token;
    driver->backlog = *backlog;
    driver->has_answer = true;
    check(driver);
}

static void on_closed(struct connector *connector)
{
    driver_of(connector)->is_closed = true;
    check(driver_of(connector));
}

static const struct connector_callbacks callbacks = {
    .state = on_state,
    .published = on_published,
    .invoked = on_invoked,
    .writable = on_writable,
    .subscribed = on_subscribed,
    .unsubscribed = on_unsubscribed,
    .deliver = on_deliver,
    .revoked = on_revoked,
    .backlog = on_backlog,
    .closed = on_closed,
};

/* --- waiting --- */

static void on_patience(struct net_timer *timer)
{
    struct driver *driver = FL_CONTAINER(timer, struct driver, patience);
    driver->is_late = true;
    net_loop_stop(driver->loop);
}

static void note_log_size(struct driver *driver)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s-wal", run.path);
    if (stat(path, &status) == 0 && status.st_size > driver->most_wal_bytes)
        driver->most_wal_bytes = status.st_size;
}

/* Ten times a second for as long as anything is waited for. */
static void on_watch(struct net_timer *timer)
{
    struct driver *driver = FL_CONTAINER(timer, struct driver, watch);
    note_log_size(driver);
    net_timer_start(driver->loop, timer, net_loop_now_ms(driver->loop) + 100);
    check(driver);
}

static void wait_until(struct driver *driver, bool (*is_done)(const struct driver *driver))
{
    if (is_done(driver))
        return;
    driver->is_done = is_done;
    net_timer_start(driver->loop, &driver->patience, net_loop_now_ms(driver->loop) + PATIENCE_MS);
    net_timer_start(driver->loop, &driver->watch, net_loop_now_ms(driver->loop) + 100);
    net_loop_run(driver->loop);
    net_timer_stop(driver->loop, &driver->patience);
    net_timer_stop(driver->loop, &driver->watch);
    driver->is_done = NULL;
    note_log_size(driver);
    assert_false(driver->is_late);
}

static bool is_up(const struct driver *driver)
{
    return driver->is_up;
}

static bool is_closed(const struct driver *driver)
{
    return driver->is_closed;
}

static bool is_filled(const struct driver *driver)
{
    return is_over(driver, 0) && driver->answered == driver->taken;
}

static bool is_subscribed(const struct driver *driver)
{
    return driver->feed->is_subscribed;
}

static bool has_left(const struct driver *driver)
{
    return driver->feed->has_left;
}

static bool is_delivered(const struct driver *driver)
{
    return driver->feed->delivered >= driver->target;
}

static bool has_answer(const struct driver *driver)
{
    return driver->has_answer;
}

/* --- life --- */

static struct driver *open_driver(void)
{
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("connectionString"), .value = fl_slice_str(run.path)},
        {.name = FL_SLICE_LIT("maxBytes"), .value = FL_SLICE_LIT("16Gi")},
    };
    const struct connector_type *type = &cn_sqlite_type;
    struct driver *driver = fl_zalloc(sizeof *driver);
    struct fl_error error;
    driver->patience.expired = on_patience;
    driver->watch.expired = on_watch;
    driver->settings = fl_zalloc(type->settings_size);
    fl_budget_init(&driver->budget, (size_t)64 << 20);
    fl_log_init(&driver->log, "0");
    driver->log.level = FL_LOG_FATAL;
    FL_ASSERT(net_loop_new(&driver->loop, &error) == FL_OK);
    driver->host = (struct connector_host){.callbacks = &callbacks,
                                           .loop = driver->loop,
                                           .log = &driver->log,
                                           .budget = &driver->budget,
                                           .app_id = FL_SLICE_LIT("scale")};
    struct config_option_target target = {type->component_options, driver->settings};
    struct config_bind how = {.owner = "scale", .arena = &driver->arena, .is_strict = true};
    FL_ASSERT(config_options_bind(&target, 1, values, 2, &how, &error) == FL_OK);
    driver->connector = fl_zalloc(type->state_size);
    *driver->connector = (struct connector){.type = type,
                                            .host = &driver->host,
                                            .traits = type->traits,
                                            .name = FL_SLICE_LIT("scale"),
                                            .log_name = "scale",
                                            .settings = driver->settings,
                                            .consumer_id = FL_SLICE_LIT("scale"),
                                            .context = driver};
    FL_ASSERT(type->open(driver->connector, &error) == FL_OK);
    wait_until(driver, is_up);
    return driver;
}

static void close_driver(struct driver *driver)
{
    driver->connector->type->close(driver->connector, net_loop_now_ms(driver->loop) + PATIENCE_MS);
    wait_until(driver, is_closed);
    assert_int_equal(driver->budget.used_bytes, 0);
    net_loop_free(&driver->loop);
    fl_arena_fini(&driver->arena);
    fl_free(driver->settings);
    fl_free(driver->connector);
    fl_free(driver);
}

/* --- measuring --- */

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double wall_ms(void)
{
    return (double)fl_clock_ns() / 1e6;
}

/* VmRSS or VmHWM. */
static long memory_kib(const char *name)
{
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name) + 1, NULL, 10);
    }
    if (file)
        fclose(file);
    return kib;
}

/* A CloudEvent with 256 bytes of data, as the gateway stores it. */
static struct fl_slice usual_body(void)
{
    static char text[600];
    char data[257];
    memset(data, 'x', 256);
    data[256] = 0;
    int len =
        snprintf(text, sizeof text,
                 "{\"specversion\":\"1.0\",\"type\":\"com.dapr.event.sent\",\"source\":\"scale\","
                 "\"id\":\"5a3cb0c8-6a50-4c1e-a2a7-2a3f6f6f2f6e\",\"topic\":\"scale\","
                 "\"pubsubname\":\"pubsub\",\"time\":\"2030-01-01T00:00:00Z\","
                 "\"datacontenttype\":\"text/plain\",\"data\":\"%s\"}",
                 data);
    return fl_slice_of(text, (size_t)len);
}

static void fill(struct driver *driver, const char *topic, uint64_t count)
{
    driver->topic = fl_slice_str(topic);
    driver->body = usual_body();
    driver->wanted = driver->taken + count;
    pump(driver);
    wait_until(driver, is_filled);
    assert_int_equal(driver->refused, 0);
}

static void subscribe(struct driver *driver, struct feed *feed, const char *topic)
{
    *feed = (struct feed){
        .head = {.topic = fl_slice_str(topic), .group = FL_SLICE_LIT("scale"), .context = feed}};
    driver->feed = feed;
    driver->connector->type->subscribe(driver->connector, &feed->head);
    wait_until(driver, is_subscribed);
}

static void give_window(struct driver *driver, struct feed *feed)
{
    driver->connector->type->window(driver->connector, &feed->head, WINDOW, 16 << 20);
}

static void unsubscribe(struct driver *driver, struct feed *feed)
{
    driver->feed = feed;
    driver->connector->type->unsubscribe(driver->connector, &feed->head);
    wait_until(driver, has_left);
}

static void deliver(struct driver *driver, struct feed *feed, uint64_t count)
{
    driver->feed = feed;
    driver->target = feed->delivered + count;
    wait_until(driver, is_delivered);
}

/* --- cases --- */

/* The least cost of a delivery, in microseconds, with this many messages behind it. */
static double cost_at(struct driver *driver, uint64_t backlog)
{
    double least = 1e9;
    uint64_t samples = backlog / SAMPLE < SAMPLES ? backlog / SAMPLE : SAMPLES;
    /* The small backlogs are emptied by one sample each, so there are several of them. */
    for (uint64_t i = 0; i < SAMPLES / samples; i++) {
        char topic[64];
        struct feed feed;
        snprintf(topic, sizeof topic, "cost-%llu-%llu", (unsigned long long)backlog,
                 (unsigned long long)i);
        subscribe(driver, &feed, topic);
        give_window(driver, &feed);
        for (uint64_t j = 0; j < samples; j++) {
            double before = cpu_us();
            deliver(driver, &feed, SAMPLE);
            double cost = (cpu_us() - before) / SAMPLE;
            least = cost < least ? cost : least;
        }
        unsubscribe(driver, &feed);
    }
    printf("figure: scale: %.2f us of CPU a delivery at a backlog of %llu\n", least,
           (unsigned long long)backlog);
    return least;
}

static void fill_for_costs(struct driver *driver, uint64_t backlog)
{
    uint64_t samples = backlog / SAMPLE < SAMPLES ? backlog / SAMPLE : SAMPLES;
    for (uint64_t i = 0; i < SAMPLES / samples; i++) {
        char topic[64];
        snprintf(topic, sizeof topic, "cost-%llu-%llu", (unsigned long long)backlog,
                 (unsigned long long)i);
        fill(driver, topic, backlog);
    }
}

static void look(struct driver *driver, const char *topic, uint64_t expected)
{
    struct feed feed;
    subscribe(driver, &feed, topic); /* the group, which is asked about */
    double least_backlog = 1e9, least_peek = 1e9;
    for (int i = 0; i < 5; i++) {
        driver->has_answer = false;
        double before = wall_ms();
        driver->connector->type->backlog(driver->connector, fl_slice_str(topic),
                                         FL_SLICE_LIT("scale"), NULL);
        wait_until(driver, has_answer);
        double took = wall_ms() - before;
        least_backlog = took < least_backlog ? took : least_backlog;
        assert_true(driver->backlog.is_known && driver->backlog.is_exact);
        assert_int_equal(driver->backlog.undelivered, expected);

        const struct ce_metadata pairs[] = {{FL_SLICE_LIT("topic"), fl_slice_str(topic)},
                                            {FL_SLICE_LIT("count"), FL_SLICE_LIT("10")},
                                            {FL_SLICE_LIT("group"), FL_SLICE_LIT("scale")}};
        struct connector_call call = {
            .operation = FL_SLICE_LIT("peek"), .metadata = pairs, .metadata_count = 3};
        struct fl_error error;
        driver->has_answer = false;
        before = wall_ms();
        assert_int_equal(driver->connector->type->invoke(driver->connector, &call, &error), 0);
        wait_until(driver, has_answer);
        took = wall_ms() - before;
        least_peek = took < least_peek ? took : least_peek;
        assert_true(driver->answer_bytes > 0);
    }
    printf("figure: scale: backlog answered in %.2f ms, peek in %.2f ms, at %llu messages\n",
           least_backlog, least_peek, (unsigned long long)expected);
    if (IS_MEASURED) {
        assert_true(least_backlog < MOST_LOOK_MS);
        assert_true(least_peek < MOST_LOOK_MS);
    }
    unsubscribe(driver, &feed);
}

/* Each size has its own topics in one file, beside all the others. */
static void deliveries_cost_the_same_at_every_backlog(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1000, 10000, 100000, 1000000};
    double costs[4];
    int count = run.is_soak ? 4 : 2;
    struct driver *driver = open_driver();
    double before = wall_ms();
    for (int i = 0; i < count; i++)
        fill_for_costs(driver, sizes[i]);
    fill(driver, "looked-at", run.many);
    printf("figure: scale: filled at %.0f messages a second, resident %ld KiB, log at most %lld "
           "KiB\n",
           (double)driver->answered / (wall_ms() - before) * 1e3, memory_kib("VmRSS:"),
           (long long)driver->most_wal_bytes / 1024);
    assert_true(driver->most_wal_bytes < MOST_WAL_BYTES);
    for (int i = 0; i < count; i++)
        costs[i] = cost_at(driver, sizes[i]);
    double ratio = costs[count - 1] / costs[0];
    printf("figure: scale: ratio of the largest backlog's cost to the least: %.2f\n", ratio);
    /* A short run has few samples, and whatever else runs is in them. */
    if (IS_MEASURED)
        assert_true(ratio <= (run.is_soak ? 1.5 : 3.0));
    look(driver, "looked-at", run.many);
    uint64_t stored = driver->answered;
    close_driver(driver);

    before = wall_ms();
    driver = open_driver();
    double opened = wall_ms() - before;
    printf("figure: scale: a file of %llu messages opened in %.1f ms\n", (unsigned long long)stored,
           opened);
    if (IS_MEASURED)
        assert_true(opened < 1000);
    close_driver(driver);
}

/* They are in the file, and the next due time is in memory. */
static void delayed_messages_cost_no_memory(void **state)
{
    (void)state;
    struct driver *driver = open_driver();
    fill(driver, "later", 1000);
    long before = memory_kib("VmRSS:");
    driver->pair = (struct ce_metadata){FL_SLICE_LIT("delay"), FL_SLICE_LIT("1h")};
    fill(driver, "delayed", run.many);
    long after = memory_kib("VmRSS:");
    printf("figure: scale: %llu delayed messages: resident %ld KiB before, %ld after\n",
           (unsigned long long)run.many, before, after);
    if (IS_MEASURED)
        assert_true(after - before < 8 << 10);
    close_driver(driver);

    /* An hour passes. */
    sqlite3 *db;
    assert_int_equal(sqlite3_open(run.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE delayed SET due = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);

    struct feed feed;
    driver = open_driver();
    subscribe(driver, &feed, "delayed");
    give_window(driver, &feed);
    double began = wall_ms();
    deliver(driver, &feed, run.many);
    printf("figure: scale: %llu delayed messages published and delivered, %.0f a second\n",
           (unsigned long long)run.many, (double)run.many / (wall_ms() - began) * 1e3);
    assert_int_equal(feed.delivered, run.many);
    assert_true(driver->most_wal_bytes < MOST_WAL_BYTES);
    unsubscribe(driver, &feed);
    close_driver(driver);
}

static void the_log_stays_small_under_saturation(void **state)
{
    (void)state;
    struct driver *driver = open_driver();
    struct feed feed;
    subscribe(driver, &feed, "busy");
    give_window(driver, &feed);
    driver->topic = FL_SLICE_LIT("busy");
    driver->body = usual_body();
    driver->feed = &feed;
    int64_t seconds = run.is_soak ? 60 : 2;
    driver->until_at_ms = net_loop_now_ms(driver->loop) + seconds * 1000;
    pump(driver);
    wait_until(driver, is_filled);
    driver->until_at_ms = 0;
    printf("figure: scale: %lld s of saturation: %llu published, %llu delivered, log at most %lld "
           "KiB\n",
           (long long)seconds, (unsigned long long)driver->answered,
           (unsigned long long)feed.delivered, (long long)driver->most_wal_bytes / 1024);
    assert_true(driver->most_wal_bytes < MOST_WAL_BYTES);
    assert_int_equal(driver->refused, 0);
    unsubscribe(driver, &feed);
    close_driver(driver);
}

/* Last: the peak of everything before. */
static void memory_stays_small(void **state)
{
    (void)state;
    long peak = memory_kib("VmHWM:");
    printf("figure: scale: resident memory at most %ld KiB\n", peak);
    if (IS_MEASURED)
        assert_true(peak < MOST_RESIDENT_KIB);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deliveries_cost_the_same_at_every_backlog),
        cmocka_unit_test(delayed_messages_cost_no_memory),
        cmocka_unit_test(the_log_stays_small_under_saturation),
        cmocka_unit_test(memory_stays_small),
    };
    run.is_soak = getenv("FAIRLEAD_SOAK") != NULL;
    run.many = run.is_soak ? 1000000 : 20000;
    snprintf(run.folder, sizeof run.folder, "/tmp/fairlead-scale-XXXXXX");
    if (!mkdtemp(run.folder))
        return 1;
    snprintf(run.path, sizeof run.path, "%s/broker.db", run.folder);
    int failed = cmocka_run_group_tests_name("sqlite_scale", tests, NULL, NULL);
    nftw(run.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}
