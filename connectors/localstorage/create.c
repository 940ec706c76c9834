/* "create": a file that appears whole or not at all.
 *
 * The bytes go into a file without a name where the file system can (O_TMPFILE), else into one
 * with a name of its own beside the final one; it is synced and renamed over the final name. So
 * neither a reader nor a crash meets half a file, and a full disk leaves the former one. Whoever
 * may not write to the former file may not replace it either, and its permission bits stay.
 *
 * Data that is a JSON string is taken without its quotes, and what then happens to be base64 is
 * decoded: plain words of four letters too, as Dapr does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"
#include "connectors/localstorage/localstorage_priv.h"

#define UNFINISHED_PREFIX ".fairlead-"
#define UNFINISHED_SUFFIX ".unfinished"

enum {
    UUID_BYTES = 36,
    PREFIX_BYTES = sizeof UNFINISHED_PREFIX - 1,
    UNFINISHED_BYTES = PREFIX_BYTES + UUID_BYTES + sizeof UNFINISHED_SUFFIX - 1,
    WRITE_BYTES = 1 << 20, /* of one write(2), so that an interrupt is noticed */
};

bool cn_localstorage_is_unfinished(const char *name)
{
    return strlen(name) == UNFINISHED_BYTES &&
           strncmp(name, UNFINISHED_PREFIX, PREFIX_BYTES) == 0 &&
           strcmp(name + PREFIX_BYTES + UUID_BYTES, UNFINISHED_SUFFIX) == 0;
}

/* --- data --- */

/* The string's bytes when `data` is a JSON string, else `data` itself. */
static enum fl_err unquote(struct fl_slice data, struct fl_buffer *room, struct fl_slice *out)
{
    struct ce_json_scan scan = {0};
    if (data.len == 0 || data.data[0] != '"' || ce_json_scan(data, &scan) != FL_OK ||
        (scan.flags & CE_JSON_TRAILING) || scan.value.len != data.len) {
        *out = data;
        return FL_OK;
    }
    if (ce_json_is_plain(scan.value) && !(scan.flags & CE_JSON_BAD_TEXT)) {
        *out = ce_json_inside(scan.value);
        return FL_OK;
    }
    enum fl_err err = ce_json_try_decode(scan.value, room);
    if (!err)
        *out = fl_buffer_slice(room);
    return err;
}

/* Both buffers are the caller's; *out lies in one of them or in `data`. */
static enum fl_err decode(struct fl_slice data, struct fl_buffer *text, struct fl_buffer *bytes,
                          struct fl_slice *out)
{
    struct fl_slice unquoted;
    enum fl_err err = unquote(data, text, &unquoted);
    if (err)
        return err;
    err = ce_base64_try_decode(unquoted, true, bytes, NULL);
    if (err == FL_ERR_NO_MEMORY)
        return err;
    *out = err ? unquoted : fl_buffer_slice(bytes);
    return FL_OK;
}

/* --- the new file --- */

struct draft {
    int folder, fd;
    bool has_name; /* else it is linked to `name` when it is done */
    char name[UNFINISHED_BYTES + 1];
};

static int open_draft(struct draft *draft, bool may_be_nameless)
{
    char uuid[UUID_BYTES];
    fl_random_uuid(uuid);
    snprintf(draft->name, sizeof draft->name, UNFINISHED_PREFIX "%.*s" UNFINISHED_SUFFIX,
             UUID_BYTES, uuid);
    draft->has_name = false;
    if (may_be_nameless) {
        draft->fd = openat(draft->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
        if (draft->fd >= 0)
            return 0;
    }
    draft->fd = openat(draft->folder, draft->name,
                       O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0666);
    draft->has_name = draft->fd >= 0;
    return draft->fd >= 0 ? 0 : errno;
}

static void close_draft(struct draft *draft)
{
    if (draft->fd >= 0)
        close(draft->fd);
    if (draft->has_name)
        unlinkat(draft->folder, draft->name, 0);
    draft->fd = -1;
    draft->has_name = false;
}

static int write_all(const struct cn_localstorage_worker *worker, int fd, struct fl_slice bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        size_t len = bytes.len - done < WRITE_BYTES ? bytes.len - done : WRITE_BYTES;
        ssize_t written = write(fd, bytes.data + done, len);
        if (written < 0 && errno != EINTR)
            return errno;
        if (written < 0 && cn_localstorage_is_interrupted(worker))
            return EINTR;
        done += written > 0 ? (size_t)written : 0;
    }
    return 0;
}

static int name_draft(struct draft *draft)
{
    char path[64];
    if (draft->has_name)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", draft->fd);
    if (linkat(AT_FDCWD, path, draft->folder, draft->name, AT_SYMLINK_FOLLOW) != 0)
        return errno;
    draft->has_name = true;
    return 0;
}

/* Writes, and gives the draft its own name. 0 or an errno. */
static int fill_draft(const struct cn_localstorage_worker *worker, struct draft *draft,
                      struct fl_slice bytes, mode_t mode)
{
    int failure = write_all(worker, draft->fd, bytes);
    if (!failure && mode && fchmod(draft->fd, mode) != 0)
        failure = errno;
    if (!failure && worker->is_synced)
        failure = cn_localstorage_sync(draft->fd);
    return failure ? failure : name_draft(draft);
}

static int make_draft(const struct cn_localstorage_worker *worker, struct draft *draft,
                      struct fl_slice bytes, mode_t mode)
{
    int failure = open_draft(draft, true);
    if (!failure)
        failure = fill_draft(worker, draft, bytes, mode);
    /* Without /proc a nameless file cannot be given a name. */
    if ((failure == ENOENT || failure == EACCES || failure == EPERM) && !draft->has_name &&
        draft->fd >= 0) {
        close_draft(draft);
        failure = open_draft(draft, false);
        if (!failure)
            failure = fill_draft(worker, draft, bytes, mode);
    }
    return failure;
}

/* --- the former file --- */

/* Its permission bits, 0 when there is none. What is no file that may be written is refused, as an
 * errno; ENOTSUP stands for what is no regular file. Nothing here waits for a FIFO's reader. */
static int look_at_former(const struct cn_localstorage_place *place, mode_t *mode)
{
    struct stat info;
    const char *leaf = cn_localstorage_leaf(place);
    *mode = 0;
    if (fstatat(place->folder, leaf, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    if (S_ISDIR(info.st_mode))
        return EISDIR;
    if (!S_ISREG(info.st_mode))
        return S_ISLNK(info.st_mode) ? ELOOP : ENOTSUP;
    int fd = openat(place->folder, leaf, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    close(fd);
    *mode = info.st_mode & 0777;
    return 0;
}

static int replace(struct draft *draft, const struct cn_localstorage_place *place, bool is_synced)
{
    if (renameat(draft->folder, draft->name, place->folder, cn_localstorage_leaf(place)) != 0)
        return errno;
    draft->has_name = false;
    return is_synced ? cn_localstorage_sync_folder(place->folder) : 0;
}

/* --- the operation --- */

static void fail_creating(struct cn_localstorage_job *job, const struct fl_buffer *path,
                          int failure)
{
    static const char what[] = "error creating file";
    if (failure == ENOTSUP)
        cn_localstorage_fail(job, what, path, "is not a regular file");
    else
        cn_localstorage_fail_errno(job, what, path, failure);
}

static bool make_folders(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                         struct cn_localstorage_place *place)
{
    if (place->folder >= 0)
        return true;
    int failure = cn_localstorage_place_make_folders(&worker->root, place, worker->is_synced);
    if (!failure)
        return true;
    struct fl_buffer folder = {0};
    size_t len = place->leaf_at > 1 ? place->leaf_at - 1 : place->leaf_at;
    fl_buffer_append(&folder, place->path.data, len);
    cn_localstorage_fail_errno(job, "error creating directory", &folder, failure);
    fl_buffer_fini(&folder);
    return false;
}

static void write_file(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                       const struct cn_localstorage_place *place, struct fl_slice bytes)
{
    struct draft draft = {.folder = place->folder, .fd = -1};
    mode_t mode;
    int failure = look_at_former(place, &mode);
    if (!failure)
        failure = make_draft(worker, &draft, bytes, mode);
    if (!failure)
        failure = replace(&draft, place, worker->is_synced);
    close_draft(&draft);
    if (failure)
        fail_creating(job, &place->path, failure);
}

static void answer(struct cn_localstorage_job *job, const struct cn_localstorage_place *place)
{
    fl_buffer_append_str(&job->answer, "{\"fileName\":");
    ce_json_append_string(&job->answer, cn_localstorage_relative(place));
    fl_buffer_append_byte(&job->answer, '}');
    job->has_response = true;
}

static void create_at(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                      struct cn_localstorage_place *place)
{
    struct fl_buffer text = {0}, decoded = {0};
    struct fl_slice bytes = FL_SLICE_NULL;
    if (place->is_root)
        fail_creating(job, &place->path, EISDIR);
    else if (decode(job->data, &text, &decoded, &bytes))
        fail_creating(job, &place->path, ENOMEM);
    else if (make_folders(worker, job, place))
        write_file(worker, job, place, bytes);
    fl_buffer_fini(&text);
    fl_buffer_fini(&decoded);
    if (!job->has_failed)
        answer(job, place);
}

void cn_localstorage_create(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job)
{
    struct cn_localstorage_place place;
    char uuid[UUID_BYTES];
    if (job->name.len == 0) {
        fl_random_uuid(uuid);
        job->name = fl_slice_of(uuid, sizeof uuid);
    }
    if (cn_localstorage_find(worker, job, &place)) {
        create_at(worker, job, &place);
        cn_localstorage_place_fini(&place);
    }
    job->name = FL_SLICE_NULL;
}
