/* The database: opening, schema, statements, transactions, and what their failures mean.
 *
 * The schema is meant to be read with the sqlite3 tool (docs/connectors/sqlite.md). A message's
 * `seq` is its topic's id and its number in one integer, so that all messages of a topic are one
 * range of the table, in order, without an index; the numbers of a topic have no gaps.
 *
 * Every write happens in one transaction a turn, under the writer lock of the guard. A durable
 * transaction is synced before its commit returns; one that holds only settlements and claims is
 * not, since losing it to a power cut repeats deliveries and loses nothing.
 *
 * Thread: the session's.
 */
#ifndef CN_SQLITE_STORE_H
#define CN_SQLITE_STORE_H

#include <sqlite3.h>

#include "base/error.h"
#include "base/slice.h"
#include "connectors/sqlite/guard.h"
#include "connectors/sqlite/settings.h"
#include "connectors/sqlite/sql.h"
#include "connectors/sqlite/vfs.h"

#define CN_APPLICATION_ID 0x464c4452 /* "FLDR", in the header of the file */
#define CN_SCHEMA_VERSION 1

/* seq = topic << CN_NUMBER_BITS | number */
#define CN_NUMBER_BITS 40
#define CN_NUMBER_MASK (((int64_t)1 << CN_NUMBER_BITS) - 1)

static inline int64_t cn_seq(int64_t topic, int64_t number)
{
    return topic << CN_NUMBER_BITS | number;
}

static inline int64_t cn_seq_topic(int64_t seq)
{
    return seq >> CN_NUMBER_BITS;
}

static inline int64_t cn_seq_number(int64_t seq)
{
    return seq & CN_NUMBER_MASK;
}

/* What is counted; read by any thread. */
struct cn_counts {
    struct cn_vfs_counts file;
    _Atomic uint64_t commits, durable_commits, stored, delivered, lapsed, checkpoints, removed,
        refused_full, wal_bytes, used_bytes;
};

struct cn_store {
    struct cn_guard guard;
    const struct cn_settings *settings; /* borrowed */
    char *path;
    struct cn_counts *counts; /* borrowed */
    struct cn_vfs *vfs;
    sqlite3 *db;
    sqlite3_stmt *statements[CN_SQL_COUNT]; /* prepared when first used, and kept */
    uint64_t owner;                         /* our row in `owner`, and our byte in the lock file */
    uint64_t
        transaction; /* counts transactions; a cache of this number is valid in this one only */
    bool is_in_transaction;
    bool is_durable;         /* how the database syncs now */
    bool lacks_space;        /* the last failure was a full disk */
    bool has_others;         /* other processes have the file open, as far as known */
    int64_t data_version;    /* changes when another connection commits */
    int64_t wal_frames;      /* after the last commit */
    int64_t changed_ms;      /* when a foreign commit was seen last */
    int64_t asked_ms;        /* since when a transaction is waited for; 0: it is not */
    int64_t blocked_ms;      /* when a wait that was long for a lease ended */
    int64_t wall_ms, now_ms; /* clocks, read at the start of a turn */
};

/* Opens or makes the file, takes an owner's id, and puts away what dead owners left. `store` is
 * zeroed but for settings, path, counts. On failure everything is closed again. FL_CLASS_FATAL: the
 * file is not ours or too new; FL_CLASS_RETRY otherwise. */
enum fl_err cn_store_open(struct cn_store *store, struct fl_slice application,
                          struct fl_error *error) FL_MUST_USE;
/* Gives the owner's id back; the last one to close merges the write-ahead log. Zero-safe. */
void cn_store_close(struct cn_store *store);

/* Takes the writer lock and begins; `is_foreign` (may be NULL) tells whether another process has
 * committed since our last transaction. FL_ERR_AGAIN: interrupted while waiting for the lock. */
enum fl_err cn_store_begin(struct cn_store *store, bool is_durable, bool *is_foreign,
                           struct fl_error *error) FL_MUST_USE;
/* Ends the transaction and gives the lock back, whatever the result. On failure nothing was stored,
 * save for FL_CLASS_UNKNOWN: then it may have been. */
enum fl_err cn_store_commit(struct cn_store *store, struct fl_error *error) FL_MUST_USE;
void cn_store_rollback(struct cn_store *store);

/* Within a transaction: makes room in the file for all pages that it has by now. What was committed
 * can then be moved from the log even when the disk is full, so that the log is free for those who
 * settle. Fails as a full disk does. */
enum fl_err cn_store_reserve(struct cn_store *store, struct fl_error *error) FL_MUST_USE;

/* Moves what it can from the write-ahead log into the database. The writer lock must be held. */
void cn_store_checkpoint(struct cn_store *store);
/* The same, with the lock taken for it if it is free. */
void cn_store_checkpoint_locked(struct cn_store *store);
/* Outside of a transaction: another process has committed since our last one began. */
bool cn_store_has_changed(struct cn_store *store);

/* The statement, reset. NULL when the file is broken, with `error` filled. Borrowed. */
sqlite3_stmt *cn_store_sql(struct cn_store *store, enum cn_sql sql, struct fl_error *error);

/* Runs a statement that yields no row with integers as its first parameters; others stay as they
 * were bound. *changes (may be NULL): rows that it changed. */
enum fl_err cn_store_exec(struct cn_store *store, enum cn_sql sql, const int64_t *values,
                          size_t count, int64_t *changes, struct fl_error *error) FL_MUST_USE;
#define CN_EXEC(store, error, sql, ...)                                                            \
    cn_store_exec(store, sql, (const int64_t[]){__VA_ARGS__},                                      \
                  sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), NULL, error)
#define CN_CHANGE(store, changes, error, sql, ...)                                                 \
    cn_store_exec(store, sql, (const int64_t[]){__VA_ARGS__},                                      \
                  sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), changes, error)

/* The first column of the first row, or `otherwise` when there is no row or it is NULL. */
enum fl_err cn_store_value(struct cn_store *store, enum cn_sql sql, const int64_t *values,
                           size_t count, int64_t otherwise, int64_t *value,
                           struct fl_error *error) FL_MUST_USE;
#define CN_VALUE(store, value, otherwise, error, sql, ...)                                         \
    cn_store_value(store, sql, (const int64_t[]){__VA_ARGS__},                                     \
                   sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), otherwise, value,     \
                   error)

/* For statements that yield rows: bind integers, then step. FL_OK and *has_row; the statement is
 * reset when there is none, and on failure. Who stops earlier resets it. */
sqlite3_stmt *cn_store_query(struct cn_store *store, enum cn_sql sql, const int64_t *values,
                             size_t count, struct fl_error *error);
#define CN_QUERY(store, error, sql, ...)                                                           \
    cn_store_query(store, sql, (const int64_t[]){__VA_ARGS__},                                     \
                   sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t), error)
enum fl_err cn_store_step(struct cn_store *store, sqlite3_stmt *statement, bool *has_row,
                          struct fl_error *error) FL_MUST_USE;

/* Binds a text that outlives the step; a null slice is NULL. */
void cn_bind_text(sqlite3_stmt *statement, int place, struct fl_slice text);

/* Fills the error from SQLite's last failure: FL_ERR_CLOSED for a full disk and for a file that is
 * away for a while, FL_ERR_SYSTEM otherwise. */
enum fl_err cn_store_fail(struct cn_store *store, int status, struct fl_error *error);

/* Column as bytes; borrowed until the next step. Null for NULL. */
static inline struct fl_slice cn_column(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    int len = sqlite3_column_bytes(statement, column);
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return FL_SLICE_NULL;
    return data ? fl_slice_of(data, (size_t)len) : fl_slice_of("", 0);
}

#endif
