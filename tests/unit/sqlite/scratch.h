/* A broker over a real file in a folder of its own, without session and loop: a test calls the
 * rooms of the broker by hand, each between scratch_begin and scratch_commit, and looks at the file
 * by SQL of its own.
 *
 * Thread: the test's.
 */
#ifndef TESTS_SQLITE_SCRATCH_H
#define TESTS_SQLITE_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "connectors/sqlite/sqlite_priv.h"

/* 2026-01-01T00:00:00Z, where the clocks of each test begin. */
#define SCRATCH_WALL_MS 1767225600000

enum { SCRATCH_MAX_TOPICS = 100000 };

struct scratch {
    char folder[64];
    struct cn_counts counts;
    struct cn_broker broker;
    struct fl_error error;
};

static inline void scratch_read_clocks(struct scratch *scratch)
{
    scratch->broker.store.now_ms = fl_clock_ms();
    scratch->broker.store.wall_ms = fl_clock_wall_ns() / 1000000;
}

static inline void scratch_advance(struct scratch *scratch, int64_t ms)
{
    fl_clock_fake_advance(ms);
    scratch_read_clocks(scratch);
}

static inline void scratch_begin(struct scratch *scratch)
{
    if (cn_store_begin(&scratch->broker.store, false, NULL, &scratch->error) != FL_OK)
        fail_msg("%s", scratch->error.text);
}

static inline void scratch_commit(struct scratch *scratch)
{
    enum fl_err err = cn_topics_write(&scratch->broker, &scratch->error);
    if (!err)
        err = cn_store_commit(&scratch->broker.store, &scratch->error);
    if (err)
        fail_msg("%s", scratch->error.text);
}

static inline int scratch_open(void **state)
{
    struct scratch *scratch = fl_zalloc(sizeof *scratch);
    struct cn_broker *broker = &scratch->broker;
    char path[96];
    fl_clock_fake(SCRATCH_WALL_MS * 1000000);
    snprintf(scratch->folder, sizeof scratch->folder, "/tmp/sqlite_test.XXXXXX");
    if (!mkdtemp(scratch->folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.db", scratch->folder);
    broker->settings = (struct cn_settings){.max_bytes = 1 << 30,
                                            .retention_ms = 24 * 3600 * 1000,
                                            .lease_ms = 30000,
                                            .max_topics = SCRATCH_MAX_TOPICS};
    broker->counts = &scratch->counts;
    broker->store.counts = &scratch->counts;
    broker->store.settings = &broker->settings;
    broker->store.path = fl_strdup(fl_slice_str(path));
    broker->next_due_wall_ms = INT64_MAX;
    struct fl_list *const lists[] = {&broker->publishes, &broker->stored,    &broker->changes,
                                     &broker->consumers, &broker->ready,     &broker->dirty,
                                     &broker->extended,  &broker->new_claims};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        fl_list_init(lists[i]);
    scratch_read_clocks(scratch);
    *state = scratch;
    if (cn_store_open(&broker->store, FL_SLICE_LIT("test"), &scratch->error) == FL_OK)
        return 0;
    fprintf(stderr, "%s\n", scratch->error.text);
    return -1;
}

static inline int scratch_close(void **state)
{
    struct scratch *scratch = *state;
    char command[128];
    cn_store_close(&scratch->broker.store);
    cn_topics_free(&scratch->broker);
    fl_free(scratch->broker.store.path);
    snprintf(command, sizeof command, "rm -rf '%s'", scratch->folder);
    fl_free(scratch);
    fl_clock_real();
    return system(command) ? -1 : 0;
}

/* Runs SQL of the test's own. */
static inline void scratch_run(struct scratch *scratch, const char *sql)
{
    if (sqlite3_exec(scratch->broker.store.db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(scratch->broker.store.db));
}

/* The first column of the first row. */
static inline int64_t scratch_number(struct scratch *scratch, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(scratch->broker.store.db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(scratch->broker.store.db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* The id of a topic, made when it is not there. Inside a transaction. */
static inline struct cn_topic *scratch_topic(struct scratch *scratch, const char *name)
{
    struct cn_topic *topic;
    if (cn_topic_load(&scratch->broker, fl_slice_str(name), true, &topic, &scratch->error))
        fail_msg("%s", scratch->error.text);
    return topic;
}

/* Appends one message. Inside a transaction. */
static inline void scratch_add(struct scratch *scratch, const char *topic,
                               const struct cn_record *record)
{
    if (cn_message_add(&scratch->broker, scratch_topic(scratch, topic), record, &scratch->error))
        fail_msg("%s", scratch->error.text);
}

/* Appends `count` messages of `body_len` bytes, in a transaction of their own. Returns the topic's
 * id. */
static inline int64_t scratch_fill(struct scratch *scratch, const char *topic, int count,
                                   size_t body_len)
{
    char *body = fl_zalloc(body_len + 1);
    struct cn_record record = {.body = fl_slice_of(body, body_len)};
    scratch_begin(scratch);
    for (int i = 0; i < count; i++)
        scratch_add(scratch, topic, &record);
    int64_t id = scratch_topic(scratch, topic)->id;
    scratch_commit(scratch);
    fl_free(body);
    return id;
}

#endif
