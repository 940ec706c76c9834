/* "get": a file's bytes.
 *
 * Only regular files are opened: a FIFO or a terminal would keep the thread waiting, and opening a
 * device may do something by itself. The size is looked at before anything is read, and a file
 * that has more bytes than it said (as those of /proc do) is read again with more room.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/localstorage/localstorage_priv.h"

enum { READ_BYTES = 1 << 20 };

static const char what[] = "error reading file";

/* 0, or an errno; ENOTSUP for what is no regular file. */
static int check_kind(const struct stat *info)
{
    if (S_ISREG(info->st_mode))
        return 0;
    return S_ISDIR(info->st_mode) ? EISDIR : S_ISLNK(info->st_mode) ? ELOOP : ENOTSUP;
}

/* Looked at before it is opened, and again after, since it may have been replaced in between. */
static int open_file(const struct cn_localstorage_place *place, int *fd, struct stat *info)
{
    const char *leaf = cn_localstorage_leaf(place);
    if (place->folder < 0)
        return place->failure;
    if (fstatat(place->folder, leaf, info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    int failure = check_kind(info);
    if (failure)
        return failure;
    *fd = openat(place->folder, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*fd < 0)
        return errno;
    failure = fstat(*fd, info) == 0 ? check_kind(info) : errno;
    if (failure) {
        close(*fd);
        *fd = -1;
    }
    return failure;
}

static void fail_reading(struct cn_localstorage_job *job, const struct fl_buffer *path, int failure)
{
    if (failure == ENOENT) {
        cn_localstorage_fail(job, "file not found:", path, "");
        job->error.code = FL_ERR_NOT_FOUND;
    } else if (failure == ENOTSUP) {
        cn_localstorage_fail(job, what, path, "is not a regular file");
    } else {
        cn_localstorage_fail_errno(job, what, path, failure);
    }
}

/* Reads until the end, or until `room` bytes are there. 0 or an errno. */
static int read_up_to(const struct cn_localstorage_worker *worker, int fd, size_t room,
                      struct fl_buffer *out)
{
    if (fl_buffer_try_reserve(out, room))
        return ENOMEM;
    while (out->len < room) {
        size_t len = room - out->len < READ_BYTES ? room - out->len : READ_BYTES;
        ssize_t got = read(fd, out->data + out->len, len);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return errno;
        if (cn_localstorage_is_interrupted(worker))
            return EINTR;
        out->len += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* One byte more than the file has is room for, so that its end is seen. */
static void read_file(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                      const struct fl_buffer *path, int fd, const struct stat *info)
{
    size_t size = info->st_size > 0 ? (size_t)info->st_size : 0;
    if (size >= job->allowed_bytes) {
        cn_localstorage_want(worker, job, size + 1, what, path);
        return;
    }
    size_t room = size > 0 ? size + 1 : job->allowed_bytes;
    int failure = read_up_to(worker, fd, room, &job->answer);
    bool has_more = !failure && job->answer.len == room;
    size_t more = room * 2 > job->allowed_bytes ? room * 2 : job->allowed_bytes;
    if (failure || has_more)
        fl_buffer_fini(&job->answer);
    if (failure)
        fail_reading(job, path, failure);
    else if (has_more)
        cn_localstorage_want(worker, job, more, what, path);
    else
        job->has_response = true;
}

void cn_localstorage_get(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job)
{
    struct cn_localstorage_place place;
    struct stat info;
    int fd = -1;
    if (!cn_localstorage_find(worker, job, &place))
        return;
    int failure = open_file(&place, &fd, &info);
    if (failure)
        fail_reading(job, &place.path, failure);
    else
        read_file(worker, job, &place.path, fd, &info);
    if (fd >= 0)
        close(fd);
    cn_localstorage_place_fini(&place);
}
