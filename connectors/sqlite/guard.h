/* The files around the database: who writes, who lives, who has news, and room for a full disk.
 *
 *   FILE-lock     byte 0: the writer lock; byte 1 + n: the process that is owner n lives
 *   FILE-bell     written to after messages were stored; the others watch it
 *   FILE-ballast  8 MiB that are given up when the disk is full
 *
 * Locks are of the open file description, so the kernel gives them back when a process ends in
 * whatever way, and two guards of one process exclude each other as two processes do. None of these
 * files is ever the database itself: closing any descriptor of that file would drop the locks that
 * SQLite holds on it for the whole process. FILE-lock and FILE-bell are never removed.
 *
 * Thread: one at a time; cn_guard_inspect and cn_guard_is_network: any.
 */
#ifndef CN_SQLITE_GUARD_H
#define CN_SQLITE_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { CN_GUARD_BALLAST_BYTES = 8 * 1024 * 1024 };

/* A device and an inode: which file a name stands for. */
struct cn_guard_identity {
    dev_t device;
    ino_t inode;
    bool is_known;
};

/* A zeroed struct is a closed guard. */
struct cn_guard {
    const char *path; /* borrowed until cn_guard_close */
    int lock_fd, bell_fd;
    int notify_fd; /* readable when the bell rang; -1 when the system has no inotify instance left,
                      which leaves the others' messages to the poll of each second */
    bool is_open;
    bool has_owner;
    uint64_t owner;
    struct cn_guard_identity file, log, lock;
};

/* True for the types (statfs) of file systems that other machines share: there neither locks nor
 * the shared memory of SQLite's log can be relied on. FUSE is not among them, since it says nothing
 * of what lies behind it: containers have their disks through it. */
bool cn_guard_is_network(long f_type);

/* Before anything is opened, and without waiting or making anything: is this a place and a file
 * that we may use? Refused, always with FL_CLASS_FATAL and a text that says what was found: a
 * folder that is missing and cannot be made, or cannot be written; a read-only or a network file
 * system; what is no plain file, has a second hard link or is a mount of its own (SQLite's files
 * would stand apart from it); what is no database, damaged, or another application's; a schema
 * newer than `version`. Missing and empty are fine. So is a database which another program holds
 * for itself at this moment: whoever opens it reads the same numbers again.
 *
 * When the last process has left a log behind, SQLite may make FILE-shm to read it.
 *
 * FL_ERR_INVALID, FL_ERR_UNSUPPORTED (file system, application, schema), FL_ERR_SYSTEM. */
enum fl_err cn_guard_inspect(const char *path, int version, struct fl_error *error) FL_MUST_USE;

/* Makes missing folders (mode 0700), FILE-lock and FILE-bell (0600), and watches the bell. `path`
 * is borrowed until cn_guard_close. On failure the guard is closed. FL_ERR_SYSTEM: FL_CLASS_RETRY
 * when something ran out, FL_CLASS_FATAL otherwise; FL_ERR_TOO_LARGE; FL_ERR_INVALID. */
enum fl_err cn_guard_open(struct cn_guard *guard, const char *path,
                          struct fl_error *error) FL_MUST_USE;

/* Gives all locks back; the files stay. A closed guard is accepted. */
void cn_guard_close(struct cn_guard *guard);

/* The writer lock, waited for; held by this guard until cn_guard_unlock. FL_ERR_AGAIN: a signal
 * interrupted the wait. A signal that comes just before the wait does not end it. Taking it twice
 * succeeds, and one unlock gives it back. */
enum fl_err cn_guard_lock(struct cn_guard *guard, struct fl_error *error) FL_MUST_USE;
/* The same without waiting; false when somebody else has it. */
bool cn_guard_try_lock(struct cn_guard *guard) FL_MUST_USE;
void cn_guard_unlock(struct cn_guard *guard);

/* Shows that `owner` lives for as long as the guard is open; one owner a guard, an earlier one is
 * given up. FL_ERR_EXISTS: another guard is this owner. FL_ERR_INVALID: above 2^63 - 2. */
enum fl_err cn_guard_own(struct cn_guard *guard, uint64_t owner,
                         struct fl_error *error) FL_MUST_USE;
void cn_guard_disown(struct cn_guard *guard);

/* Whether any guard, this one too, is `owner`. True when the system does not say: whoever asks
 * waits for the lease then. */
bool cn_guard_lives(const struct cn_guard *guard, uint64_t owner);

/* Tells every guard of this file, this one too. The bell does not grow. */
void cn_guard_ring(struct cn_guard *guard);
/* Whether the bell rang since the last call; our own rings count, they cannot be told apart. */
bool cn_guard_heard(struct cn_guard *guard);

/* Makes FILE-ballast with its blocks allocated, or leaves it when it is there; true when it is
 * there in full. A ballast that is not whole is removed. Under the writer lock, so that two
 * processes do not work on it at once. */
bool cn_guard_keep_ballast(struct cn_guard *guard);
/* Removes FILE-ballast, for every process. */
void cn_guard_drop_ballast(struct cn_guard *guard);

/* Remembers which file the path names now, and its log: after the database was opened, which keeps
 * the inodes from being used again. */
void cn_guard_note_file(struct cn_guard *guard);
/* The path no longer names the file that was noted. */
bool cn_guard_has_lost_file(const struct cn_guard *guard);
/* Removes FILE-wal and FILE-shm if they are still those of the file that was noted: whoever opens
 * another file under its name would apply its log to it. */
void cn_guard_drop_log(struct cn_guard *guard);
/* The path no longer names the file that was noted, or FILE-lock is no longer the one that was
 * opened: removed, moved or replaced. Either way others may already work on another file or
 * under another lock. False for a closed guard. */
bool cn_guard_is_replaced(const struct cn_guard *guard);

#endif
