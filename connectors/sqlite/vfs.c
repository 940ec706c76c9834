/* A VFS that passes on and counts; see the header.
 *
 * A file of this VFS is a head of ours with the file of the VFS below right behind it, in the one
 * allocation that SQLite makes for it. The head's table of methods has the version of the table
 * below: SQLite asks the version whether there is shared memory (2) and mapped reading (3), and a
 * table that offers more than the file below has would be called into NULL.
 *
 * SQLite's own VFS keeps what it knows of open files by inode, for the process. Because it stays
 * the one that opens them, connections with and without this VFS share that knowledge, and closing
 * one does not drop the locks of another.
 */
#include "connectors/sqlite/vfs.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/error.h"

struct cn_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    struct cn_vfs_counts *counts;
    char name[32];
};

struct counted_file {
    sqlite3_file head;
    struct cn_vfs_counts *counts;
    sqlite3_file below[]; /* of the size that the VFS below asks for */
};

/* --- files --- */

static sqlite3_file *below_of(sqlite3_file *file)
{
    return ((struct counted_file *)file)->below;
}

static int file_close(sqlite3_file *file)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xClose(below);
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xRead(below, data, len, at);
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    sqlite3_file *below = below_of(file);
    int status = below->pMethods->xWrite(below, data, len, at);
    if (status == SQLITE_OK)
        atomic_fetch_add_explicit(&((struct counted_file *)file)->counts->written_bytes,
                                  (uint64_t)len, memory_order_relaxed);
    return status;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xTruncate(below, size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    sqlite3_file *below = below_of(file);
    atomic_fetch_add_explicit(&((struct counted_file *)file)->counts->syncs, 1,
                              memory_order_relaxed);
    return below->pMethods->xSync(below, flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xFileSize(below, size);
}

static int file_lock(sqlite3_file *file, int level)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xLock(below, level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xUnlock(below, level);
}

static int file_check_lock(sqlite3_file *file, int *is_reserved)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xCheckReservedLock(below, is_reserved);
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xFileControl(below, operation, argument);
}

static int file_sector_size(sqlite3_file *file)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xSectorSize(below);
}

static int file_characteristics(sqlite3_file *file)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xDeviceCharacteristics(below);
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xShmMap(below, page, size, extend, memory);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xShmLock(below, offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    sqlite3_file *below = below_of(file);
    below->pMethods->xShmBarrier(below);
}

static int file_shm_unmap(sqlite3_file *file, int is_last)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xShmUnmap(below, is_last);
}

static int file_fetch(sqlite3_file *file, sqlite3_int64 at, int len, void **memory)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xFetch(below, at, len, memory);
}

static int file_unfetch(sqlite3_file *file, sqlite3_int64 at, void *memory)
{
    sqlite3_file *below = below_of(file);
    return below->pMethods->xUnfetch(below, at, memory);
}

#define METHODS(version)                                                                           \
    {                                                                                              \
        .iVersion = version, .xClose = file_close, .xRead = file_read, .xWrite = file_write,       \
        .xTruncate = file_truncate, .xSync = file_sync, .xFileSize = file_size,                    \
        .xLock = file_lock, .xUnlock = file_unlock, .xCheckReservedLock = file_check_lock,         \
        .xFileControl = file_control, .xSectorSize = file_sector_size,                             \
        .xDeviceCharacteristics = file_characteristics, .xShmMap = file_shm_map,                   \
        .xShmLock = file_shm_lock, .xShmBarrier = file_shm_barrier, .xShmUnmap = file_shm_unmap,   \
        .xFetch = file_fetch, .xUnfetch = file_unfetch                                             \
    }

/* By the version of the methods below; SQLite looks only at those that the version has. */
static const sqlite3_io_methods methods_of[] = {METHODS(1), METHODS(1), METHODS(2), METHODS(3)};

/* --- the VFS --- */

static sqlite3_vfs *vfs_below(sqlite3_vfs *vfs)
{
    return ((struct cn_vfs *)vfs->pAppData)->below;
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct cn_vfs *self = vfs->pAppData;
    struct counted_file *counted = (struct counted_file *)file;
    counted->counts = self->counts;
    counted->head.pMethods = NULL;
    counted->below->pMethods = NULL;
    int status = self->below->xOpen(self->below, name, counted->below, flags, out_flags);
    /* Also after a failure: a file that has methods is closed by SQLite all the same. */
    if (counted->below->pMethods) {
        int version = counted->below->pMethods->iVersion;
        counted->head.pMethods = &methods_of[version < 1 ? 1 : version > 3 ? 3 : version];
    }
    return status;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int is_synced)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xDelete(below, name, is_synced);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xAccess(below, name, flags, result);
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int room, char *full)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xFullPathname(below, name, room, full);
}

static void *vfs_library_open(sqlite3_vfs *vfs, const char *name)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xDlOpen(below, name);
}

static void vfs_library_error(sqlite3_vfs *vfs, int room, char *text)
{
    sqlite3_vfs *below = vfs_below(vfs);
    below->xDlError(below, room, text);
}

static void (*vfs_library_symbol(sqlite3_vfs *vfs, void *library, const char *name))(void)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xDlSym(below, library, name);
}

static void vfs_library_close(sqlite3_vfs *vfs, void *library)
{
    sqlite3_vfs *below = vfs_below(vfs);
    below->xDlClose(below, library);
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *bytes)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xRandomness(below, len, bytes);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xSleep(below, microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *days)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xCurrentTime(below, days);
}

static int vfs_last_error(sqlite3_vfs *vfs, int room, char *text)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xGetLastError ? below->xGetLastError(below, room, text) : 0;
}

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ms)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xCurrentTimeInt64(below, ms);
}

static int vfs_set_call(sqlite3_vfs *vfs, const char *name, sqlite3_syscall_ptr call)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xSetSystemCall(below, name, call);
}

static sqlite3_syscall_ptr vfs_get_call(sqlite3_vfs *vfs, const char *name)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xGetSystemCall(below, name);
}

static const char *vfs_next_call(sqlite3_vfs *vfs, const char *name)
{
    sqlite3_vfs *below = vfs_below(vfs);
    return below->xNextSystemCall(below, name);
}

static const sqlite3_vfs vfs_template = {
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_name,
    .xDlOpen = vfs_library_open,
    .xDlError = vfs_library_error,
    .xDlSym = vfs_library_symbol,
    .xDlClose = vfs_library_close,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_last_error,
    .xCurrentTimeInt64 = vfs_time_ms,
    .xSetSystemCall = vfs_set_call,
    .xGetSystemCall = vfs_get_call,
    .xNextSystemCall = vfs_next_call,
};

/* --- names and lives --- */

struct cn_vfs *cn_vfs_new(struct cn_vfs_counts *counts)
{
    static _Atomic uint64_t made;
    struct cn_vfs *self = fl_zalloc(sizeof *self);
    self->below = sqlite3_vfs_find(NULL);
    FL_ASSERT(self->below);
    self->counts = counts;
    snprintf(self->name, sizeof self->name, "fairlead-%llu",
             (unsigned long long)atomic_fetch_add(&made, 1));
    self->vfs = vfs_template;
    self->vfs.iVersion = self->below->iVersion < 3 ? self->below->iVersion : 3;
    self->vfs.szOsFile = (int)sizeof(struct counted_file) + self->below->szOsFile;
    self->vfs.mxPathname = self->below->mxPathname;
    self->vfs.zName = self->name;
    self->vfs.pAppData = self;
    FL_ASSERT(sqlite3_vfs_register(&self->vfs, 0) == SQLITE_OK);
    return self;
}

const char *cn_vfs_name(const struct cn_vfs *vfs)
{
    return vfs->name;
}

void cn_vfs_free(struct cn_vfs **vfs)
{
    if (*vfs) {
        sqlite3_vfs_unregister(&(*vfs)->vfs);
        FL_FREE(*vfs);
    }
}
