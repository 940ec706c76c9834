/* A VFS for SQLite that counts: everything is passed on to the default one.
 *
 * How often a commit waits for the disk is a promise of this connector, so it is measured where
 * SQLite asks for it. Counted are the syncs of files and the bytes that were written to them, of
 * the database, its log and its temporary files together. Not counted is what the VFS below does
 * by itself: the sync of a folder after a file was made or removed, and the shared memory.
 *
 * Thread: a VFS may be used by connections of any thread; new and free by one at a time.
 */
#ifndef CN_SQLITE_VFS_H
#define CN_SQLITE_VFS_H

#include <stdatomic.h>
#include <stdint.h>

/* Only ever grow; read by any thread. */
struct cn_vfs_counts {
    _Atomic uint64_t syncs;         /* asked for, also those that failed */
    _Atomic uint64_t written_bytes; /* of writes that succeeded */
};

struct cn_vfs;

/* Registers a VFS of a unique name over the one that is the default now, so that a VFS which a
 * test has made the default lies below. `counts` is borrowed until cn_vfs_free. Never NULL. */
struct cn_vfs *cn_vfs_new(struct cn_vfs_counts *counts);

/* The name for sqlite3_open_v2; borrowed until cn_vfs_free. */
const char *cn_vfs_name(const struct cn_vfs *vfs);

/* After the last connection was closed. NULL is accepted; *vfs becomes NULL. */
void cn_vfs_free(struct cn_vfs **vfs);

#endif
