/* The database; see the header.
 *
 * SQLite's busy handler starves a process that competes with a busy one, and a checkpoint beside a
 * writer meets a bug of the versions up to 3.51.2 that can corrupt the file; both end with one lock
 * of our own, taken before every transaction that writes and before every checkpoint. Within it
 * SQLITE_BUSY can only come from a stranger (the sqlite3 tool in the middle of a transaction), for
 * which a short busy time-out is enough.
 *
 * How a commit syncs is switched between transactions by PRAGMA synchronous: FULL syncs the
 * write-ahead log before COMMIT returns, NORMAL leaves that to a later one.
 */
#include "connectors/sqlite/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

enum {
    CHECKPOINT_FRAMES = 16 * 1024 * 1024 / 4096, /* then even a busy session stops to do it */
    LONG_WAIT_MS = 1000,                         /* for the file */
    CHUNK_BYTES = 256 * 1024, /* the file grows by so much, so that reserving is seldom a write */
};

/* --- failures --- */

enum fl_err cn_store_fail(struct cn_store *store, int status, struct fl_error *error)
{
    const char *text = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(status);
    int system = store->db ? sqlite3_system_errno(store->db) : 0;
    int primary = status & 0xff;
    store->lacks_space = false;
    if (primary == SQLITE_FULL ||
        (primary == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT))) {
        store->lacks_space = true;
        return fl_error_set(error, FL_ERR_CLOSED, FL_CLASS_RETRY, "the disk that holds %s is full",
                            store->path);
    }
    if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT)
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "%s is damaged: %s", store->path,
                            text);
    if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED)
        return fl_error_set(error, FL_ERR_CLOSED, FL_CLASS_RETRY, "%s is locked by another program",
                            store->path);
    return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_RETRY, "%s: %s%s%s", store->path, text,
                        system ? ": " : "", system ? strerror(system) : "");
}

/* --- statements --- */

sqlite3_stmt *cn_store_sql(struct cn_store *store, enum cn_sql sql, struct fl_error *error)
{
    sqlite3_stmt **statement = &store->statements[sql];
    if (*statement)
        return *statement;
    int status = sqlite3_prepare_v3(store->db, cn_sql_text(sql), -1, SQLITE_PREPARE_PERSISTENT,
                                    statement, NULL);
    if (status == SQLITE_OK)
        return *statement;
    cn_store_fail(store, status, error);
    return NULL;
}

sqlite3_stmt *cn_store_query(struct cn_store *store, enum cn_sql sql, const int64_t *values,
                             size_t count, struct fl_error *error)
{
    sqlite3_stmt *statement = cn_store_sql(store, sql, error);
    for (size_t i = 0; statement && i < count; i++)
        sqlite3_bind_int64(statement, (int)i + 1, values[i]);
    return statement;
}

void cn_bind_text(sqlite3_stmt *statement, int place, struct fl_slice text)
{
    if (fl_slice_is_null(text))
        sqlite3_bind_null(statement, place);
    else
        sqlite3_bind_text64(statement, place, text.data, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

enum fl_err cn_store_step(struct cn_store *store, sqlite3_stmt *statement, bool *has_row,
                          struct fl_error *error)
{
    int status = sqlite3_step(statement);
    *has_row = status == SQLITE_ROW;
    if (status == SQLITE_ROW)
        return FL_OK;
    enum fl_err err = status == SQLITE_DONE ? FL_OK : cn_store_fail(store, status, error);
    sqlite3_reset(statement);
    return err;
}

enum fl_err cn_store_exec(struct cn_store *store, enum cn_sql sql, const int64_t *values,
                          size_t count, int64_t *changes, struct fl_error *error)
{
    sqlite3_stmt *statement = cn_store_query(store, sql, values, count, error);
    if (!statement)
        return error->code;
    bool has_row;
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    if (!err && has_row)
        sqlite3_reset(statement);
    if (!err && changes)
        *changes = sqlite3_changes64(store->db);
    return err;
}

enum fl_err cn_store_value(struct cn_store *store, enum cn_sql sql, const int64_t *values,
                           size_t count, int64_t otherwise, int64_t *value, struct fl_error *error)
{
    sqlite3_stmt *statement = cn_store_query(store, sql, values, count, error);
    if (!statement)
        return error->code;
    bool has_row;
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    if (err)
        return err;
    bool has_value = has_row && sqlite3_column_type(statement, 0) != SQLITE_NULL;
    *value = has_value ? sqlite3_column_int64(statement, 0) : otherwise;
    if (has_row)
        sqlite3_reset(statement);
    return FL_OK;
}

static enum fl_err run_text(struct cn_store *store, const char *text, struct fl_error *error)
{
    int status = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    return status == SQLITE_OK ? FL_OK : cn_store_fail(store, status, error);
}

/* --- transactions --- */

static enum fl_err set_durable(struct cn_store *store, bool is_durable, struct fl_error *error)
{
    if (store->is_durable == is_durable)
        return FL_OK;
    enum fl_err err = run_text(
        store, is_durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", error);
    if (!err)
        store->is_durable = is_durable;
    return err;
}

/* A newer Fairlead may have opened the file and changed it under us. */
static enum fl_err check_schema(struct cn_store *store, struct fl_error *error)
{
    int64_t version;
    enum fl_err err = cn_store_value(store, CN_SQL_USER_VERSION, NULL, 0, 0, &version, error);
    if (err || version == CN_SCHEMA_VERSION)
        return err;
    return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_FATAL,
                        "%s has become one of schema %lld; this Fairlead knows schema %d",
                        store->path, (long long)version, CN_SCHEMA_VERSION);
}

/* Whether a process other than this one has a row in `owner`; the guard knows who lives, but a row
 * is there before the first look. */
static enum fl_err look_for_others(struct cn_store *store, bool *is_foreign, struct fl_error *error)
{
    int64_t version, other;
    enum fl_err err = cn_store_value(store, CN_SQL_DATA_VERSION, NULL, 0, 0, &version, error);
    if (is_foreign)
        *is_foreign = !err && version != store->data_version;
    if (err || version == store->data_version)
        return err;
    err = check_schema(store, error);
    if (!err)
        err = CN_VALUE(store, &other, 0, error, CN_SQL_OWNER_OTHERS, (int64_t)store->owner, 0);
    if (err)
        return err;
    store->data_version = version;
    store->has_others = other != 0;
    return FL_OK;
}

/* While the file was locked nobody could extend a lease. Those of others may be shorter than ours.
 */
static void note_wait(struct cn_store *store)
{
    int64_t now_ms = fl_clock_ms(), long_ms = store->settings->lease_ms / 2;
    if (now_ms - store->asked_ms >= (long_ms < LONG_WAIT_MS ? long_ms : LONG_WAIT_MS))
        store->blocked_ms = now_ms;
    store->asked_ms = 0;
}

enum fl_err cn_store_begin(struct cn_store *store, bool is_durable, bool *is_foreign,
                           struct fl_error *error)
{
    FL_ASSERT(!store->is_in_transaction);
    if (store->asked_ms == 0)
        store->asked_ms = fl_clock_ms();
    enum fl_err err = cn_guard_lock(&store->guard, error);
    if (err)
        return err;
    err = set_durable(store, is_durable, error);
    if (!err)
        err = cn_store_exec(store, CN_SQL_BEGIN, NULL, 0, NULL, error);
    if (err) {
        cn_guard_unlock(&store->guard);
        return err;
    }
    note_wait(store);
    store->is_in_transaction = true;
    store->transaction++;
    err = look_for_others(store, is_foreign, error);
    if (err)
        cn_store_rollback(store);
    return err;
}

void cn_store_rollback(struct cn_store *store)
{
    struct fl_error ignored;
    if (!store->is_in_transaction)
        return;
    for (int i = 0; i < CN_SQL_COUNT; i++) {
        if (store->statements[i])
            sqlite3_reset(store->statements[i]);
    }
    /* Some failures, a full disk among them, have rolled back already; and what went wrong before
     * is what has to be known afterwards. */
    bool lacks_space = store->lacks_space;
    if (!sqlite3_get_autocommit(store->db)) {
        enum fl_err err = cn_store_exec(store, CN_SQL_ROLLBACK, NULL, 0, NULL, &ignored);
        (void)err;
    }
    store->lacks_space = lacks_space;
    store->is_in_transaction = false;
    cn_guard_unlock(&store->guard);
}

enum fl_err cn_store_commit(struct cn_store *store, struct fl_error *error)
{
    FL_ASSERT(store->is_in_transaction);
    enum fl_err err = cn_store_exec(store, CN_SQL_COMMIT, NULL, 0, NULL, error);
    if (err) {
        /* What was written but could not be synced may be found after a crash all the same. */
        bool may_be_stored = !store->lacks_space;
        cn_store_rollback(store);
        if (may_be_stored)
            error->class = FL_CLASS_UNKNOWN;
        return err;
    }
    store->is_in_transaction = false;
    atomic_fetch_add_explicit(&store->counts->commits, 1, memory_order_relaxed);
    if (store->is_durable)
        atomic_fetch_add_explicit(&store->counts->durable_commits, 1, memory_order_relaxed);
    if (store->wal_frames >= CHECKPOINT_FRAMES)
        cn_store_checkpoint(store);
    cn_guard_unlock(&store->guard);
    return FL_OK;
}

enum fl_err cn_store_reserve(struct cn_store *store, struct fl_error *error)
{
    int64_t pages, page_bytes;
    enum fl_err err = cn_store_value(store, CN_SQL_PAGE_COUNT, NULL, 0, 0, &pages, error);
    if (!err)
        err = cn_store_value(store, CN_SQL_PAGE_SIZE, NULL, 0, 0, &page_bytes, error);
    if (err)
        return err;
    sqlite3_int64 bytes = pages * page_bytes;
    int status = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
    if (status == SQLITE_OK || status == SQLITE_NOTFOUND)
        return FL_OK;
    /* The allocation's own reason is not kept, and no other is to be expected. */
    return cn_store_fail(store, SQLITE_FULL, error);
}

static int on_wal(void *context, sqlite3 *db, const char *name, int frames)
{
    struct cn_store *store = context;
    (void)db;
    (void)name;
    store->wal_frames = frames;
    atomic_store_explicit(&store->counts->wal_bytes, (uint64_t)frames * 4120, memory_order_relaxed);
    return SQLITE_OK;
}

void cn_store_checkpoint(struct cn_store *store)
{
    int frames = 0, moved = 0;
    int status =
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
    if (status == SQLITE_OK && moved == frames)
        store->wal_frames = 0; /* the next commit writes from its beginning */
    atomic_fetch_add_explicit(&store->counts->checkpoints, 1, memory_order_relaxed);
}

void cn_store_checkpoint_locked(struct cn_store *store)
{
    if (!cn_guard_try_lock(&store->guard))
        return;
    cn_store_checkpoint(store);
    cn_guard_unlock(&store->guard);
}

bool cn_store_has_changed(struct cn_store *store)
{
    struct fl_error ignored;
    int64_t version;
    return cn_store_value(store, CN_SQL_DATA_VERSION, NULL, 0, 0, &version, &ignored) != FL_OK ||
           version != store->data_version;
}

/* --- opening --- */

/* Messages are nobody else's business: a new file is its owner's, and SQLite gives the log the same
 * mode. One that exists is not opened, since closing a descriptor of a file that SQLite has open in
 * this process would drop its locks. */
static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

static enum fl_err open_file(struct cn_store *store, struct fl_error *error)
{
    make_file(store->path);
    int status = sqlite3_open_v2(store->path, &store->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                 cn_vfs_name(store->vfs));
    if (status != SQLITE_OK)
        return cn_store_fail(store, status, error);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, (int)store->settings->busy_ms);
    store->is_durable = true;
    /* Takes the place of SQLite's own hook, the one that checkpoints. */
    sqlite3_wal_hook(store->db, on_wal, store);
    int chunk = CHUNK_BYTES;
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
    return run_text(store,
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF; "
                    "PRAGMA temp_store=MEMORY;"
                    "PRAGMA cache_size=-4096; PRAGMA journal_size_limit=67108864;",
                    error);
}

static enum fl_err read_number(struct cn_store *store, const char *text, int64_t *number,
                               struct fl_error *error)
{
    sqlite3_stmt *statement;
    int status = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL);
    if (status != SQLITE_OK)
        return cn_store_fail(store, status, error);
    status = sqlite3_step(statement);
    *number = status == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status == SQLITE_ROW || status == SQLITE_DONE ? FL_OK
                                                         : cn_store_fail(store, status, error);
}

/* Each step is a transaction that ends with its version, so a step that was interrupted is done
 * again and none is done twice. */
static enum fl_err upgrade(struct cn_store *store, struct fl_error *error)
{
    int64_t version, application;
    enum fl_err err = read_number(store, "PRAGMA user_version", &version, error);
    if (!err)
        err = read_number(store, "PRAGMA application_id", &application, error);
    if (err)
        return err;
    if ((application != CN_APPLICATION_ID && application != 0) || version > CN_SCHEMA_VERSION)
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_FATAL,
                            "%s holds application %lld, schema %lld; this Fairlead reads "
                            "application %d up to schema %d",
                            store->path, (long long)application, (long long)version,
                            CN_APPLICATION_ID, CN_SCHEMA_VERSION);
    for (int next = (int)version + 1; !err && next <= CN_SCHEMA_VERSION; next++) {
        char numbers[128];
        snprintf(numbers, sizeof numbers,
                 "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", CN_APPLICATION_ID,
                 next);
        err = run_text(store, "BEGIN IMMEDIATE", error);
        if (!err)
            err = run_text(store, cn_sql_upgrade(next), error);
        if (!err)
            err = run_text(store, numbers, error);
        if (err)
            sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

static void read_boot_id(char *id, size_t room)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file || !fgets(id, (int)room, file))
        snprintf(id, room, "unknown");
    if (file)
        fclose(file);
    id[strcspn(id, "\n")] = 0;
}

/* Instants of the monotonic clock mean nothing after a reboot: what was to wait has waited. */
static enum fl_err forget_former_boot(struct cn_store *store, struct fl_error *error)
{
    char id[64];
    read_boot_id(id, sizeof id);
    char *text = sqlite3_mprintf("UPDATE waiting SET due = 0 WHERE due IS NOT NULL AND"
                                 " (SELECT value FROM meta WHERE name = 'boot') <> %Q;"
                                 "UPDATE meta SET value = %Q WHERE name = 'boot' AND value <> %Q;",
                                 id, id, id);
    FL_ASSERT(text);
    enum fl_err err = run_text(store, text, error);
    sqlite3_free(text);
    return err;
}

static enum fl_err add_owner(struct cn_store *store, struct fl_slice application,
                             struct fl_error *error)
{
    sqlite3_stmt *statement =
        CN_QUERY(store, error, CN_SQL_OWNER_ADD, getpid(), fl_clock_wall_ns() / 1000000);
    if (!statement)
        return error->code;
    bool has_row;
    sqlite3_bind_text(statement, 3, application.data ? application.data : "", (int)application.len,
                      SQLITE_TRANSIENT);
    enum fl_err err = cn_store_step(store, statement, &has_row, error);
    store->owner = (uint64_t)sqlite3_last_insert_rowid(store->db);
    return err;
}

static enum fl_err enter(struct cn_store *store, struct fl_slice application,
                         struct fl_error *error)
{
    enum fl_err err = cn_store_begin(store, false, NULL, error);
    if (err)
        return err;
    err = forget_former_boot(store, error);
    if (!err)
        err = add_owner(store, application, error);
    if (!err)
        err = cn_guard_own(&store->guard, store->owner, error);
    if (err) {
        cn_store_rollback(store);
        return err;
    }
    return cn_store_commit(store, error);
}

static enum fl_err open_locked(struct cn_store *store, struct fl_error *error)
{
    enum fl_err err = cn_guard_lock(&store->guard, error);
    if (err)
        return err;
    err = open_file(store, error);
    if (!err)
        err = upgrade(store, error);
    cn_guard_unlock(&store->guard);
    return err;
}

enum fl_err cn_store_open(struct cn_store *store, struct fl_slice application,
                          struct fl_error *error)
{
    enum fl_err err = cn_guard_inspect(store->path, CN_SCHEMA_VERSION, error);
    if (err)
        return err;
    err = cn_guard_open(&store->guard, store->path, error);
    if (err)
        return err;
    store->vfs = cn_vfs_new(&store->counts->file);
    err = open_locked(store, error);
    if (!err)
        err = enter(store, application, error);
    if (err) {
        cn_store_close(store);
        return err;
    }
    cn_guard_note_file(&store->guard);
    return FL_OK;
}

static void finalize_all(struct cn_store *store)
{
    for (int i = 0; i < CN_SQL_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
}

void cn_store_close(struct cn_store *store)
{
    struct fl_error ignored;
    cn_store_rollback(store);
    if (store->db && store->owner && cn_store_begin(store, false, NULL, &ignored) == FL_OK) {
        enum fl_err err = CN_EXEC(store, &ignored, CN_SQL_OWNER_REMOVE, (int64_t)store->owner);
        if (err || cn_store_commit(store, &ignored))
            cn_store_rollback(store);
    }
    if (store->db) {
        finalize_all(store);
        /* The last to close merges the log, which is a checkpoint. Without the lock (the wait for
         * it was interrupted) that is left to the next one who opens. */
        bool is_locked = cn_guard_lock(&store->guard, &ignored) == FL_OK;
        /* A file that was moved away gets what is its own, and the one in its place does not. */
        bool is_lost = is_locked && cn_guard_has_lost_file(&store->guard);
        if (!is_locked)
            sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        if (is_lost)
            cn_store_checkpoint(store);
        sqlite3_close(store->db);
        if (is_lost)
            cn_guard_drop_log(&store->guard);
        if (is_locked)
            cn_guard_unlock(&store->guard);
        store->db = NULL;
    }
    store->owner = 0;
    store->asked_ms = 0;
    cn_guard_close(&store->guard);
    cn_vfs_free(&store->vfs);
}
