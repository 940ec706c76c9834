/* Locks, bell, ballast and identity; see the header. inspect.c looks at a file before all that.
 *
 * Locks are fcntl's F_OFD_ ones. Byte 0 is waited for in the kernel, so two processes that write
 * all the time take turns. Asking who holds a byte (F_OFD_GETLK) answers for other descriptions
 * only, so a guard remembers its own owner's id.
 *
 * The bell is one byte written over itself. Its block is there from the opening on, so ringing
 * needs no room on the disk. inotify joins equal events that nobody has read yet, so a guard that
 * does not listen collects nothing.
 */
#include "connectors/sqlite/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/sqlite/path.h"

enum { WRITER_BYTE = 0, FIRST_OWNER_BYTE = 1, NAME_BYTES = CN_PATH_BYTES_MAX + 16 };

static bool make_name(const char *path, const char *suffix, char name[NAME_BYTES])
{
    int len = snprintf(name, NAME_BYTES, "%s%s", path, suffix);
    return len > 0 && len < NAME_BYTES;
}

static enum fl_err fail(struct fl_error *error, const char *what, const char *name)
{
    int failure = errno;
    bool is_passing = failure == ENOSPC || failure == EDQUOT || failure == EMFILE ||
                      failure == ENFILE || failure == ENOMEM || failure == EINTR || failure == EIO;
    return fl_error_set(error, FL_ERR_SYSTEM, is_passing ? FL_CLASS_RETRY : FL_CLASS_FATAL,
                        "cannot %s %.300s: %s", what, name, strerror(failure));
}

/* --- opening --- */

/* Every folder above `path` that is missing. One that another process makes at the same time is as
 * good. */
static enum fl_err make_folders(const char *path, struct fl_error *error)
{
    char name[NAME_BYTES];
    if (!make_name(path, "", name))
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL, "the path is too long");
    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        /* Looked for first, since mkdir on a read-only file system says so before anything else. */
        if (access(name, F_OK) && mkdir(name, 0700) && errno != EEXIST)
            return fail(error, "make the folder", name);
        *slash = '/';
    }
    return FL_OK;
}

static enum fl_err open_beside(const char *path, const char *suffix, int *fd,
                               struct fl_error *error)
{
    char name[NAME_BYTES];
    struct stat found;
    if (!make_name(path, suffix, name))
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL, "the path is too long");
    int made = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (made < 0)
        return fail(error, "open", name);
    if (fstat(made, &found) || !S_ISREG(found.st_mode)) {
        close(made);
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "%.300s is not a plain file",
                            name);
    }
    *fd = made;
    return FL_OK;
}

/* Without inotify the guard works, only later: -1. */
static int watch(const char *path)
{
    char name[NAME_BYTES];
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 &&
        (!make_name(path, "-bell", name) || inotify_add_watch(fd, name, IN_MODIFY) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static struct cn_guard_identity identity_of(const struct stat *found)
{
    return (struct cn_guard_identity){found->st_dev, found->st_ino, true};
}

enum fl_err cn_guard_open(struct cn_guard *guard, const char *path, struct fl_error *error)
{
    struct stat found;
    *guard = (struct cn_guard){
        .path = path, .lock_fd = -1, .bell_fd = -1, .notify_fd = -1, .is_open = true};
    enum fl_err err = make_folders(path, error);
    if (!err)
        err = open_beside(path, "-lock", &guard->lock_fd, error);
    if (!err && fstat(guard->lock_fd, &found) == 0)
        guard->lock = identity_of(&found);
    if (!err)
        err = open_beside(path, "-bell", &guard->bell_fd, error);
    if (err) {
        cn_guard_close(guard);
        return err;
    }
    cn_guard_ring(guard); /* before the watch, and for the block */
    guard->notify_fd = watch(path);
    return FL_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void cn_guard_close(struct cn_guard *guard)
{
    if (!guard->is_open)
        return;
    close_fd(guard->notify_fd);
    close_fd(guard->bell_fd);
    close_fd(guard->lock_fd);
    *guard = (struct cn_guard){.lock_fd = -1, .bell_fd = -1, .notify_fd = -1};
}

/* --- locks --- */

static int lock_byte(const struct cn_guard *guard, int command, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    FL_ASSERT(guard->is_open);
    return fcntl(guard->lock_fd, command, &lock);
}

enum fl_err cn_guard_lock(struct cn_guard *guard, struct fl_error *error)
{
    if (lock_byte(guard, F_OFD_SETLKW, F_WRLCK, WRITER_BYTE) == 0)
        return FL_OK;
    if (errno == EINTR)
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                            "interrupted while another process was writing to %.300s", guard->path);
    return fail(error, "lock", guard->path);
}

bool cn_guard_try_lock(struct cn_guard *guard)
{
    return lock_byte(guard, F_OFD_SETLK, F_WRLCK, WRITER_BYTE) == 0;
}

void cn_guard_unlock(struct cn_guard *guard)
{
    lock_byte(guard, F_OFD_SETLK, F_UNLCK, WRITER_BYTE);
}

/* The last byte that a lock of one byte can cover. */
static bool has_byte(uint64_t owner)
{
    return owner <= (uint64_t)INT64_MAX - FIRST_OWNER_BYTE;
}

static off_t byte_of(uint64_t owner)
{
    return (off_t)(FIRST_OWNER_BYTE + owner);
}

enum fl_err cn_guard_own(struct cn_guard *guard, uint64_t owner, struct fl_error *error)
{
    if (guard->has_owner && guard->owner == owner)
        return FL_OK;
    if (!has_byte(owner))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "owner %llu of %.300s",
                            (unsigned long long)owner, guard->path);
    if (lock_byte(guard, F_OFD_SETLK, F_WRLCK, byte_of(owner))) {
        if (errno == EAGAIN || errno == EACCES)
            return fl_error_set(error, FL_ERR_EXISTS, FL_CLASS_RETRY,
                                "another process is owner %llu of %.300s",
                                (unsigned long long)owner, guard->path);
        return fail(error, "lock", guard->path);
    }
    cn_guard_disown(guard);
    guard->owner = owner;
    guard->has_owner = true;
    return FL_OK;
}

void cn_guard_disown(struct cn_guard *guard)
{
    if (guard->has_owner)
        lock_byte(guard, F_OFD_SETLK, F_UNLCK, byte_of(guard->owner));
    guard->has_owner = false;
}

bool cn_guard_lives(const struct cn_guard *guard, uint64_t owner)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (guard->has_owner && guard->owner == owner)
        return true;
    if (!has_byte(owner))
        return false;
    lock.l_start = byte_of(owner);
    FL_ASSERT(guard->is_open);
    return fcntl(guard->lock_fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* --- the bell --- */

void cn_guard_ring(struct cn_guard *guard)
{
    /* One that is not heard is made up for by the poll of each second. */
    ssize_t written = pwrite(guard->bell_fd, "!", 1, 0);
    (void)written;
}

bool cn_guard_heard(struct cn_guard *guard)
{
    _Alignas(struct inotify_event) char events[1024];
    bool is_heard = false;
    /* The bound is for a bell that rings faster than we read. */
    for (int turn = 0; turn < 64 && guard->notify_fd >= 0; turn++) {
        ssize_t len = read(guard->notify_fd, events, sizeof events);
        if (len <= 0 && !(len < 0 && errno == EINTR))
            break;
        is_heard = true;
    }
    return is_heard;
}

/* --- the ballast --- */

static bool fill_with_zeros(int fd)
{
    static const char zeros[64 * 1024];
    for (off_t at = 0; at < CN_GUARD_BALLAST_BYTES;) {
        ssize_t len = pwrite(fd, zeros, sizeof zeros, at);
        if (len > 0)
            at += len;
        else if (len == 0 || errno != EINTR)
            return false;
    }
    return true;
}

/* Where blocks cannot be asked for, the size tells: it grows with what was written. */
static bool fill(int fd, const struct stat *found)
{
    bool is_long = found->st_size == CN_GUARD_BALLAST_BYTES;
    if (is_long && (uint64_t)found->st_blocks * 512 >= CN_GUARD_BALLAST_BYTES)
        return true;
    if (fallocate(fd, 0, 0, CN_GUARD_BALLAST_BYTES) == 0)
        return true;
    return (errno == EOPNOTSUPP || errno == ENOSYS) && (is_long || fill_with_zeros(fd));
}

bool cn_guard_keep_ballast(struct cn_guard *guard)
{
    int fd;
    struct stat found;
    if (open_beside(guard->path, "-ballast", &fd, NULL))
        return false;
    bool is_whole = fstat(fd, &found) == 0 && fill(fd, &found);
    close(fd);
    if (!is_whole)
        cn_guard_drop_ballast(guard);
    return is_whole;
}

void cn_guard_drop_ballast(struct cn_guard *guard)
{
    char name[NAME_BYTES];
    if (make_name(guard->path, "-ballast", name))
        unlink(name);
}

/* --- identity --- */

void cn_guard_note_file(struct cn_guard *guard)
{
    char name[NAME_BYTES];
    struct stat found;
    guard->file = guard->log = (struct cn_guard_identity){0};
    if (stat(guard->path, &found) == 0)
        guard->file = identity_of(&found);
    if (make_name(guard->path, "-wal", name) && stat(name, &found) == 0)
        guard->log = identity_of(&found);
}

/* Only what is certain counts: a folder that cannot be read at the moment is not a new file. */
static bool is_other(const char *path, const char *suffix, const struct cn_guard_identity *identity)
{
    char name[NAME_BYTES];
    struct stat found;
    if (!identity->is_known || !make_name(path, suffix, name))
        return false;
    if (stat(name, &found))
        return errno == ENOENT || errno == ENOTDIR;
    return found.st_dev != identity->device || found.st_ino != identity->inode;
}

bool cn_guard_has_lost_file(const struct cn_guard *guard)
{
    return guard->is_open && is_other(guard->path, "", &guard->file);
}

bool cn_guard_is_replaced(const struct cn_guard *guard)
{
    return cn_guard_has_lost_file(guard) ||
           (guard->is_open && is_other(guard->path, "-lock", &guard->lock));
}

void cn_guard_drop_log(struct cn_guard *guard)
{
    char name[NAME_BYTES];
    if (!guard->log.is_known || is_other(guard->path, "-wal", &guard->log))
        return;
    if (make_name(guard->path, "-wal", name))
        unlink(name);
    if (make_name(guard->path, "-shm", name))
        unlink(name);
}
