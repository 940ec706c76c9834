/* The VFS that loses power; see the header.
 *
 * Each file that was opened is an inode: where it lies now, its changes since its last sync in
 * their order, and whether its name, and the lack of it after a removal, would be found after the
 * cut. A change keeps the bytes before and after it. At the cut all changes are undone from the
 * last to the first, which gives the synced state, and the pieces that survive are written again.
 *
 * A removed file is only moved aside, so that a removal can be undone as well.
 */
#include "tests/conformance/power_vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"

enum { SECTOR = 512, MOST_INODES = 64 };

struct change {
    struct change *before; /* the one made earlier, or NULL */
    bool is_truncate;
    int64_t at, len; /* of a truncate: the new size; bytes lost behind it */
    int64_t old_size;
    int64_t old_len;       /* bytes that were there */
    unsigned char bytes[]; /* old_len old ones; of a write, `len` new ones behind them */
};

struct inode {
    char *name, *place; /* what SQLite calls it, where it lies */
    struct change *last;
    bool is_name_synced; /* its name is found after a cut */
    bool is_removed;     /* its name was taken away since, without a sync */
    bool syncs_folder;   /* at its next sync */
    bool is_database;
};

struct power_file {
    sqlite3_file head;
    struct inode *inode; /* NULL: a temporary file without a name */
    sqlite3_file below[];
};

static struct {
    pthread_mutex_t lock;
    sqlite3_vfs vfs, *below;
    struct power_plan plan;
    bool is_armed, is_counting;
    unsigned done;
    uint64_t random;
    struct inode *inodes[MOST_INODES];
    int inode_count;
} power = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned chance(void)
{
    power.random ^= power.random << 13;
    power.random ^= power.random >> 7;
    power.random ^= power.random << 17;
    return (unsigned)(power.random >> 40) & 255;
}

/* --- the cut --- */

static void put(int fd, const unsigned char *bytes, int64_t len, int64_t at)
{
    if (len > 0)
        FL_ASSERT(pwrite(fd, bytes, (size_t)len, at) == len);
}

static void undo(int fd, const struct change *change)
{
    if (change->is_truncate) {
        FL_ASSERT(ftruncate(fd, change->old_size) == 0);
        put(fd, change->bytes, change->old_len, change->at);
        return;
    }
    put(fd, change->bytes, change->old_len, change->at);
    if (change->at + change->len > change->old_size)
        FL_ASSERT(ftruncate(fd, change->old_size) == 0);
}

/* What of a change had reached the disk before its time. */
static void redo_some(int fd, const struct change *change)
{
    if (!change)
        return;
    redo_some(fd, change->before);
    if (change->is_truncate) {
        if (chance() < power.plan.survival)
            FL_ASSERT(ftruncate(fd, change->at) == 0);
        return;
    }
    const unsigned char *bytes = change->bytes + change->old_len;
    /* Half of the writes are torn, the others came as a whole or not at all. */
    bool is_torn = chance() & 1, is_kept = chance() < power.plan.survival;
    for (int64_t done = 0; done < change->len;) {
        int64_t piece = SECTOR - (change->at + done) % SECTOR;
        piece = piece < change->len - done ? piece : change->len - done;
        if (is_torn ? chance() < power.plan.survival : is_kept)
            put(fd, bytes + done, piece, change->at + done);
        done += piece;
    }
}

static void cut_content(const struct inode *inode)
{
    if (!inode->last)
        return;
    int fd = open(inode->place, O_RDWR | O_CLOEXEC);
    FL_ASSERT(fd >= 0);
    for (const struct change *change = inode->last; change; change = change->before)
        undo(fd, change);
    redo_some(fd, inode->last);
    close(fd);
}

/* Those that came last have the better claim to a name. */
static void cut_names(void)
{
    for (int i = power.inode_count - 1; i >= 0; i--) {
        const struct inode *inode = power.inodes[i];
        bool is_there = inode->is_name_synced || chance() < power.plan.survival;
        if (inode->is_removed)
            is_there = is_there && chance() >= power.plan.survival;
        if (!is_there)
            unlink(inode->place);
        else if (inode->is_removed && access(inode->name, F_OK) != 0)
            rename(inode->place, inode->name);
        else if (inode->is_removed)
            unlink(inode->place);
    }
}

static void lose_power(void)
{
    for (int i = 0; i < power.inode_count; i++)
        cut_content(power.inodes[i]);
    cut_names();
    _exit(POWER_EXIT);
}

/* Before each operation that changes a disk; the lock is held. */
static void count_operation(const struct inode *inode)
{
    if (!power.is_armed)
        return;
    if (power.plan.moment == POWER_AT_CHECKPOINT && inode && inode->is_database)
        power.is_counting = true;
    if (power.plan.moment != POWER_AT_CHECKPOINT)
        power.is_counting = true;
    if (power.is_counting && ++power.done == power.plan.operations)
        lose_power();
}

/* --- inodes --- */

static struct inode *find_inode(const char *name)
{
    for (int i = power.inode_count - 1; i >= 0; i--) {
        if (!power.inodes[i]->is_removed && strcmp(power.inodes[i]->name, name) == 0)
            return power.inodes[i];
    }
    return NULL;
}

static void drop_changes(struct inode *inode)
{
    for (struct change *change; (change = inode->last);) {
        inode->last = change->before;
        fl_free(change);
    }
}

static void free_inode(int index)
{
    struct inode *inode = power.inodes[index];
    drop_changes(inode);
    fl_free(inode->name);
    fl_free(inode->place);
    fl_free(inode);
    power.inode_count--;
    memmove(&power.inodes[index], &power.inodes[index + 1],
            sizeof(struct inode *) * (size_t)(power.inode_count - index));
}

static struct inode *add_inode(const char *name, bool is_there)
{
    FL_ASSERT(power.inode_count < MOST_INODES);
    struct inode *inode = fl_zalloc(sizeof *inode);
    inode->name = fl_strdup(fl_slice_str(name));
    inode->place = fl_strdup(fl_slice_str(name));
    inode->is_name_synced = is_there;
    power.inodes[power.inode_count++] = inode;
    return inode;
}

static void sync_folder(void)
{
    for (int i = power.inode_count - 1; i >= 0; i--) {
        struct inode *inode = power.inodes[i];
        inode->is_name_synced = true;
        if (inode->is_removed) {
            unlink(inode->place);
            free_inode(i);
        }
    }
}

/* --- changes --- */

static void add_change(struct power_file *file, bool is_truncate, const void *data, int64_t len,
                       int64_t at)
{
    struct inode *inode = file->inode;
    sqlite3_int64 size = 0;
    FL_ASSERT(file->below->pMethods->xFileSize(file->below, &size) == SQLITE_OK);
    int64_t end = is_truncate || at + len > size ? size : at + len;
    int64_t old_len = end > at ? end - at : 0;
    struct change *change = fl_zalloc(sizeof *change + (size_t)(old_len + (data ? len : 0)));
    change->before = inode->last;
    change->is_truncate = is_truncate;
    change->at = at;
    change->len = len;
    change->old_size = size;
    change->old_len = old_len;
    if (old_len)
        FL_ASSERT(file->below->pMethods->xRead(file->below, change->bytes, (int)old_len, at) ==
                  SQLITE_OK);
    if (data)
        memcpy(change->bytes + old_len, data, (size_t)len);
    inode->last = change;
}

/* --- files --- */

static struct power_file *file_of(sqlite3_file *file)
{
    return (struct power_file *)file;
}

static int file_close(sqlite3_file *file)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xClose(below);
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xRead(below, data, len, at);
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    struct power_file *self = file_of(file);
    pthread_mutex_lock(&power.lock);
    if (self->inode) {
        add_change(self, false, data, len, at);
        int status = self->below->pMethods->xWrite(self->below, data, len, at);
        FL_ASSERT(status == SQLITE_OK);
        count_operation(self->inode);
    }
    pthread_mutex_unlock(&power.lock);
    return self->inode ? SQLITE_OK : self->below->pMethods->xWrite(self->below, data, len, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct power_file *self = file_of(file);
    pthread_mutex_lock(&power.lock);
    if (self->inode)
        add_change(self, true, NULL, 0, size);
    int status = self->below->pMethods->xTruncate(self->below, size);
    count_operation(self->inode);
    pthread_mutex_unlock(&power.lock);
    return status;
}

static int file_sync(sqlite3_file *file, int flags)
{
    struct inode *inode = file_of(file)->inode;
    (void)flags;
    pthread_mutex_lock(&power.lock);
    count_operation(inode);
    if (inode) {
        drop_changes(inode);
        if (inode->syncs_folder)
            sync_folder();
        inode->syncs_folder = false;
    }
    pthread_mutex_unlock(&power.lock);
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xFileSize(below, size);
}

static int file_lock(sqlite3_file *file, int level)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xLock(below, level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xUnlock(below, level);
}

static int file_check_lock(sqlite3_file *file, int *is_reserved)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xCheckReservedLock(below, is_reserved);
}

static int file_control(sqlite3_file *file, int operation, void *argument)
{
    sqlite3_file *below = file_of(file)->below;
    /* The VFS below would allocate or truncate by itself. */
    if (operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE)
        return SQLITE_NOTFOUND;
    return below->pMethods->xFileControl(below, operation, argument);
}

static int file_sector_size(sqlite3_file *file)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xSectorSize(below);
}

static int file_characteristics(sqlite3_file *file)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xDeviceCharacteristics(below);
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xShmMap(below, page, size, extend, memory);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xShmLock(below, offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    sqlite3_file *below = file_of(file)->below;
    below->pMethods->xShmBarrier(below);
}

static int file_shm_unmap(sqlite3_file *file, int is_last)
{
    sqlite3_file *below = file_of(file)->below;
    return below->pMethods->xShmUnmap(below, is_last);
}

/* Version 2: shared memory, and no mapped reading. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* --- the VFS --- */

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                    int *out_flags)
{
    struct power_file *self = file_of(file);
    (void)vfs;
    pthread_mutex_lock(&power.lock);
    bool is_there = name && access(name, F_OK) == 0;
    self->head.pMethods = NULL;
    self->inode = NULL;
    int status = power.below->xOpen(power.below, name, self->below, flags, out_flags);
    if (self->below->pMethods)
        self->head.pMethods = &methods;
    if (status == SQLITE_OK && name) {
        self->inode = find_inode(name);
        if (!self->inode)
            self->inode = add_inode(name, is_there);
        int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
        self->inode->syncs_folder |= (flags & SQLITE_OPEN_CREATE) && (flags & journals);
        self->inode->is_database = flags & SQLITE_OPEN_MAIN_DB;
        if (!is_there)
            count_operation(self->inode);
    }
    pthread_mutex_unlock(&power.lock);
    return status;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int is_synced)
{
    static unsigned removed;
    char aside[512];
    (void)vfs;
    pthread_mutex_lock(&power.lock);
    int status = SQLITE_OK;
    struct inode *inode = find_inode(name);
    if (access(name, F_OK) != 0) {
        status = SQLITE_IOERR_DELETE_NOENT;
    } else {
        if (!inode)
            inode = add_inode(name, true);
        FL_ASSERT((size_t)snprintf(aside, sizeof aside, "%s.gone-%u", name, removed++) <
                  sizeof aside);
        FL_ASSERT(rename(name, aside) == 0);
        fl_free(inode->place);
        inode->place = fl_strdup(fl_slice_str(aside));
        inode->is_removed = true;
        count_operation(inode);
        if (is_synced)
            sync_folder();
    }
    pthread_mutex_unlock(&power.lock);
    return status;
}

void power_arm(void)
{
    pthread_mutex_lock(&power.lock);
    power.is_armed = true;
    pthread_mutex_unlock(&power.lock);
}

void power_start(const struct power_plan *plan)
{
    power.plan = *plan;
    power.random = plan->seed * 2 + 1;
    power.is_armed = plan->moment == POWER_AT_ONCE;
    power.below = sqlite3_vfs_find(NULL);
    /* What does not concern files as they lie on the disk is the VFS's below. */
    power.vfs = *power.below;
    power.vfs.pNext = NULL;
    power.vfs.zName = "power";
    power.vfs.szOsFile = (int)sizeof(struct power_file) + power.below->szOsFile;
    power.vfs.xOpen = vfs_open;
    power.vfs.xDelete = vfs_delete;
    FL_ASSERT(sqlite3_vfs_register(&power.vfs, 1) == SQLITE_OK);
}
