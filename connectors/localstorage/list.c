/* "list": every file below a folder, as a JSON array of absolute paths.
 *
 * The tree is walked without recursion and with one folder open at a time: what is still to come
 * stands in a line of paths, each opened from the list's own folder, so that a folder that was
 * swapped for a link is not entered. Links are listed and not followed. What is in the line and
 * what was written count against one bound, which the byte budget has granted.
 *
 * Names of a folder come in the order of their bytes, folders among the files. What is removed
 * while the walk goes on may or may not be listed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cloudevents/json_write.h"
#include "connectors/localstorage/localstorage_priv.h"

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK };

struct entry {
    char *path; /* relative to the list's folder */
    bool is_folder;
};

struct walk {
    struct cn_localstorage_worker *worker;
    struct cn_localstorage_job *job;
    const struct fl_buffer *base; /* absolute path of the list's folder */
    int fd;                       /* the list's folder, as O_PATH */
    struct entry *line;           /* the next one is last */
    size_t count, room;
    size_t line_bytes, seen;
    enum { GOING, TOO_MANY, TOO_LARGE, TOO_LATE, STOPPED, FAILED } state;
    int failure; /* errno of FAILED */
};

static size_t bytes_of(const struct entry *entry)
{
    return sizeof *entry + strlen(entry->path) + 16;
}

static void check_bounds(struct walk *walk)
{
    if (walk->seen > walk->worker->most_listed)
        walk->state = TOO_MANY;
    else if (walk->line_bytes + walk->job->answer.room > walk->job->allowed_bytes)
        walk->state = TOO_LARGE;
    else if (cn_localstorage_is_interrupted(walk->worker))
        walk->state = STOPPED;
    else if (walk->job->deadline_at_ms <= fl_clock_ms())
        walk->state = TOO_LATE;
}

static void add_entry(struct walk *walk, const char *folder, const char *name, bool is_folder)
{
    struct fl_buffer path = {0};
    fl_buffer_append_str(&path, folder);
    if (path.len > 0)
        fl_buffer_append_byte(&path, '/');
    fl_buffer_append_str(&path, name);
    if (walk->count == walk->room) {
        walk->room = walk->room ? walk->room * 2 : 64;
        walk->line = fl_realloc(walk->line, sizeof *walk->line * walk->room);
    }
    struct entry *entry = &walk->line[walk->count++];
    *entry = (struct entry){fl_strdup(fl_buffer_slice(&path)), is_folder};
    fl_buffer_fini(&path);
    walk->line_bytes += bytes_of(entry);
    walk->seen++;
    check_bounds(walk);
}

static bool is_folder(int fd, const struct dirent *found)
{
    struct stat info;
    if (found->d_type != DT_UNKNOWN)
        return found->d_type == DT_DIR;
    return fstatat(fd, found->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

/* The last one first, since the line is worked on from its end. */
static int compare_backwards(const void *a, const void *b)
{
    return strcmp(((const struct entry *)b)->path, ((const struct entry *)a)->path);
}

static void read_entries(struct walk *walk, DIR *stream, const char *folder)
{
    size_t first = walk->count;
    const struct dirent *found;
    while (walk->state == GOING && (errno = 0, found = readdir(stream))) {
        const char *name = found->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            !cn_localstorage_is_unfinished(name))
            add_entry(walk, folder, name, is_folder(dirfd(stream), found));
    }
    if (walk->state == GOING && errno) {
        walk->state = FAILED;
        walk->failure = errno;
    }
    if (walk->count > first)
        qsort(walk->line + first, walk->count - first, sizeof *walk->line, compare_backwards);
}

/* One that is gone, or is a folder no more, is passed over, and so is one that may not be read: the
 * `lost+found` of a volume must not hide what is beside it. */
static void read_folder(struct walk *walk, const char *folder)
{
    int fd = cn_localstorage_open_beneath(&walk->worker->root, walk->fd, folder, FOLDER_FLAGS);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (stream) {
        read_entries(walk, stream, folder);
        closedir(stream);
        return;
    }
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
                   (errno == EACCES && folder[0] != 0)))
        return;
    walk->state = FAILED;
    walk->failure = errno;
    if (fd >= 0)
        close(fd);
}

static void list_file(struct walk *walk, const char *path)
{
    struct fl_buffer *out = &walk->job->answer, whole = {0};
    fl_buffer_append_slice(&whole, fl_buffer_slice(walk->base));
    if (whole.data[whole.len - 1] != '/')
        fl_buffer_append_byte(&whole, '/');
    fl_buffer_append_str(&whole, path);
    fl_buffer_append_byte(out, out->len ? ',' : '[');
    ce_json_append_string(out, fl_buffer_slice(&whole));
    fl_buffer_fini(&whole);
    check_bounds(walk);
}

static void go(struct walk *walk)
{
    read_folder(walk, "");
    while (walk->state == GOING && walk->count > 0) {
        struct entry entry = walk->line[--walk->count];
        walk->line_bytes -= bytes_of(&entry);
        if (entry.is_folder)
            read_folder(walk, entry.path);
        else
            list_file(walk, entry.path);
        fl_free(entry.path);
    }
    while (walk->count > 0)
        fl_free(walk->line[--walk->count].path);
    fl_free(walk->line);
}

/* Asks for all the memory that a list may have; false when it has it already. */
static bool want_memory(struct walk *walk)
{
    size_t most = walk->worker->most_answer_bytes;
    if (most > CN_LOCALSTORAGE_MOST_LIST_BYTES)
        most = CN_LOCALSTORAGE_MOST_LIST_BYTES;
    if (walk->job->allowed_bytes >= most)
        return false;
    cn_localstorage_want(walk->worker, walk->job, most, "", walk->base);
    return true;
}

static void fail_walk(struct walk *walk)
{
    static const char what[] = "error listing files in";
    struct cn_localstorage_job *job = walk->job;
    enum fl_err code = FL_ERR_TOO_LARGE;
    char reason[128] = "the deadline passed";
    if (walk->state == TOO_LARGE && want_memory(walk))
        return;
    if (walk->state == STOPPED || walk->state == FAILED) {
        cn_localstorage_fail_errno(job, what, walk->base,
                                   walk->state == FAILED ? walk->failure : EINTR);
        return;
    }
    if (walk->state == TOO_LATE)
        code = FL_ERR_TIMEOUT;
    else if (walk->state == TOO_MANY)
        snprintf(reason, sizeof reason, "more than %zu entries: list a folder below it",
                 walk->worker->most_listed);
    else
        snprintf(reason, sizeof reason, "a list of more than %zu bytes: list a folder below it",
                 job->allowed_bytes);
    cn_localstorage_fail(job, what, walk->base, reason);
    job->error.code = code;
}

static void list_folder(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                        const struct fl_buffer *base, int fd)
{
    struct walk walk = {.worker = worker, .job = job, .base = base, .fd = fd};
    go(&walk);
    if (walk.state != GOING) {
        fl_buffer_fini(&job->answer);
        fail_walk(&walk);
        return;
    }
    fl_buffer_append_str(&job->answer, job->answer.len ? "]" : "null");
    job->has_response = true;
}

/* The folder as O_PATH, or -1 with the job failed. */
static int open_listed(struct cn_localstorage_job *job, const struct cn_localstorage_place *place)
{
    struct stat info;
    const char *leaf = cn_localstorage_leaf(place);
    int failure = place->folder < 0 ? place->failure : 0;
    if (!failure && fstatat(place->folder, leaf, &info, AT_SYMLINK_NOFOLLOW) != 0)
        failure = errno;
    if (failure) {
        cn_localstorage_fail_errno(job, "error getting stats for path", &place->path, failure);
        return -1;
    }
    if (!S_ISDIR(info.st_mode)) {
        cn_localstorage_fail(job, "unable to list files as the file specified is not a directory:",
                             &place->path, "");
        return -1;
    }
    int fd = openat(place->folder, leaf, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        cn_localstorage_fail_errno(job, "error listing files in", &place->path, errno);
    return fd;
}

void cn_localstorage_list(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job)
{
    struct cn_localstorage_place place;
    if (!cn_localstorage_find(worker, job, &place))
        return;
    int fd = open_listed(job, &place);
    if (fd >= 0) {
        list_folder(worker, job, &place.path, fd);
        close(fd);
    }
    cn_localstorage_place_fini(&place);
}
