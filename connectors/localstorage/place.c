/* From a name to an open folder and a last component; see root.h.
 *
 *   name ──► reading (links, dots; advice only) ──► path without dots ──► open_beneath ──► folder
 *
 * Most names have neither links nor `..`: their path is at once what is left of them without empty
 * parts, and opening it proves that no link is in it. Only else each component is looked at. When
 * the tree changes between reading and opening, opening says ELOOP and the name is read again, at
 * most ATTEMPTS times.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connectors/localstorage/root.h"

enum {
    ATTEMPTS = 16,
    MOST_LINKS = 255, /* as many as Dapr follows */
    FOLDER = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

static void close_fd(int fd)
{
    int kept = errno;
    if (fd >= 0)
        close(fd);
    errno = kept;
}

/* --- opening --- */

static bool is_link(int folder, const char *name)
{
    struct stat info;
    int kept = errno;
    bool is_one = fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
    errno = kept;
    return is_one;
}

/* One component. A link that should be a folder is ENOTDIR to the kernel. */
static int open_step(int folder, const char *name, int flags)
{
    int fd = openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR && is_link(folder, name))
        errno = ELOOP;
    return fd;
}

static int open_stepwise(int folder, const char *path, int flags)
{
    int at = folder;
    for (;;) {
        char part[NAME_MAX + 1];
        size_t len = strcspn(path, "/");
        if (len > NAME_MAX) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(part, path, len);
        part[len] = 0;
        bool is_last = path[len] == 0;
        int next = open_step(at, part, is_last ? flags : FOLDER);
        if (at != folder)
            close_fd(at);
        if (next < 0 || is_last)
            return next;
        at = next;
        path += len + 1;
    }
    if (at != folder)
        close_fd(at);
    return -1;
}

/* O_NOFOLLOW would make a last component that is a link ENOTDIR; without it that is ELOOP too. */
static int open_at_once(int folder, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)((flags & ~O_NOFOLLOW) | O_CLOEXEC),
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

int cn_localstorage_open_beneath(struct cn_localstorage_root *root, int folder, const char *path,
                                 int flags)
{
    if (path[0] == 0)
        return openat(folder, ".", flags | O_CLOEXEC);
    if (!root->is_stepwise) {
        int fd = open_at_once(folder, path, flags);
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != EAGAIN))
            return fd;
        /* EAGAIN: something was renamed meanwhile, and the kernel does not want to look again. */
        root->is_stepwise = errno != EAGAIN;
    }
    return open_stepwise(folder, path, flags);
}

/* --- reading a name --- */

/* The path so far, where it leads, and what is still to be read. */
struct reading {
    struct cn_localstorage_root *root;
    int root_fd;
    struct fl_buffer *path; /* relative; no dots, no links */
    int folder;             /* of `path`; -1: does not exist, or is no folder */
    int failure;            /* errno: whether it exists could not be found out */
    struct fl_buffer rest;
    size_t rest_at;
    int links;
};

static void append_part(struct fl_buffer *path, struct fl_slice part)
{
    if (path->len > 0)
        fl_buffer_append_byte(path, '/');
    fl_buffer_append_slice(path, part);
}

static void drop_part(struct fl_buffer *path)
{
    while (path->len > 0 && path->data[--path->len] != '/') {
    }
}

/* False at the end. Empty parts and `.` are passed over. */
static bool next_part(struct fl_slice text, size_t *at, struct fl_slice *part)
{
    while (*at < text.len) {
        struct fl_slice left = fl_slice_of(text.data + *at, text.len - *at);
        size_t len = fl_slice_find_byte(left, '/');
        *at += len + (len < left.len);
        *part = fl_slice_of(left.data, len);
        if (len > 0 && !fl_slice_eq_str(*part, "."))
            return true;
    }
    return false;
}

/* `folder` -1: errno says why. What is only out of reach now, without descriptors say, must not be
 * taken for what does not exist: its links would be read by their letters. */
static void enter(struct reading *reading, int folder)
{
    if (folder < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
        reading->failure = errno;
    close_fd(reading->folder);
    reading->folder = folder;
}

static void leave(struct reading *reading)
{
    close_fd(reading->folder);
    reading->folder = -1;
}

static void enter_path(struct reading *reading)
{
    if (reading->root_fd < 0)
        return; /* without a root nothing below it exists */
    enter(reading, cn_localstorage_open_beneath(reading->root, reading->root_fd,
                                                fl_buffer_cstr(reading->path), FOLDER));
}

/* The link's text takes the link's place in what is still to be read. */
static int follow(struct reading *reading, struct fl_slice target)
{
    if (++reading->links > MOST_LINKS)
        return ELOOP;
    struct fl_buffer rest = {0};
    fl_buffer_append_slice(&rest, target);
    fl_buffer_append_byte(&rest, '/');
    fl_buffer_append(&rest, reading->rest.data + reading->rest_at,
                     reading->rest.len - reading->rest_at);
    fl_buffer_fini(&reading->rest);
    reading->rest = rest;
    reading->rest_at = 0;
    if (rest.len >= PATH_MAX)
        return ENAMETOOLONG;
    if (target.len > 0 && target.data[0] == '/') {
        fl_buffer_clear(reading->path);
        enter_path(reading);
    }
    return 0;
}

/* A component below a folder that exists. */
static int read_existing(struct reading *reading, struct fl_slice part)
{
    char name[NAME_MAX + 1], target[PATH_MAX];
    if (part.len > NAME_MAX)
        return ENAMETOOLONG;
    memcpy(name, part.data, part.len);
    name[part.len] = 0;
    ssize_t len = readlinkat(reading->folder, name, target, sizeof target);
    if (len >= 0)
        return (size_t)len == sizeof target ? ENAMETOOLONG
                                            : follow(reading, fl_slice_of(target, (size_t)len));
    int failure = errno;
    if (failure != EINVAL && failure != ENOENT)
        return failure;
    append_part(reading->path, part);
    if (failure == EINVAL)
        enter(reading, open_step(reading->folder, name, FOLDER));
    else
        leave(reading);
    return 0;
}

static int read_part(struct reading *reading, struct fl_slice part)
{
    if (fl_slice_eq_str(part, "..")) {
        drop_part(reading->path);
        enter_path(reading);
        return 0;
    }
    if (reading->folder >= 0)
        return read_existing(reading, part);
    append_part(reading->path, part);
    return 0;
}

/* Every component is looked at. `path` becomes what the name means now; 0 or an errno. */
static int read_name(struct cn_localstorage_root *root, int root_fd, struct fl_slice name,
                     struct fl_buffer *path)
{
    struct reading reading = {.root = root, .root_fd = root_fd, .path = path, .folder = -1};
    struct fl_slice part;
    int failure = 0;
    fl_buffer_clear(path);
    fl_buffer_append_slice(&reading.rest, name);
    enter_path(&reading);
    while (!failure && !reading.failure &&
           next_part(fl_buffer_slice(&reading.rest), &reading.rest_at, &part))
        failure = read_part(&reading, part);
    leave(&reading);
    fl_buffer_fini(&reading.rest);
    return failure ? failure : reading.failure;
}

/* True when the name has no `..`, and `path` is then what it means if no link is in it. */
static bool read_plain(struct fl_slice name, struct fl_buffer *path)
{
    struct fl_slice part;
    size_t at = 0;
    fl_buffer_clear(path);
    while (next_part(name, &at, &part)) {
        if (fl_slice_eq_str(part, ".."))
            return false;
        append_part(path, part);
    }
    return true;
}

/* --- places --- */

/* Opens the folder that has the last component of `path`. False: a link was met. */
static bool open_folder(struct cn_localstorage_root *root, int root_fd, struct fl_buffer *path,
                        struct cn_localstorage_place *place)
{
    struct fl_buffer folder = {0};
    fl_buffer_append_slice(&folder, fl_buffer_slice(path));
    drop_part(&folder);
    place->folder = cn_localstorage_open_beneath(root, root_fd, fl_buffer_cstr(&folder), FOLDER);
    place->failure = place->folder < 0 ? errno : 0;
    size_t leaf_at = folder.len + (folder.len > 0);
    fl_buffer_fini(&folder);
    if (place->folder < 0)
        return place->failure != ELOOP;
    if (path->len == 0 || !is_link(place->folder, fl_buffer_cstr(path) + leaf_at))
        return true;
    close_fd(place->folder);
    place->folder = -1;
    return false;
}

static int find_path(struct cn_localstorage_root *root, int root_fd, struct fl_slice name,
                     struct fl_buffer *path, struct cn_localstorage_place *place)
{
    if (read_plain(name, path) && open_folder(root, root_fd, path, place))
        return 0;
    for (int i = 0; i < ATTEMPTS; i++) {
        int failure = read_name(root, root_fd, name, path);
        if (failure || open_folder(root, root_fd, path, place))
            return failure;
    }
    return ELOOP;
}

static void set_path(const struct cn_localstorage_root *root, const struct fl_buffer *path,
                     struct cn_localstorage_place *place)
{
    fl_buffer_append_slice(&place->path, fl_buffer_slice(&root->path));
    place->is_root = path->len == 0;
    if (!place->is_root || root->path.len == 0)
        fl_buffer_append_byte(&place->path, '/');
    place->relative_at = place->path.len;
    fl_buffer_append_slice(&place->path, fl_buffer_slice(path));
    place->leaf_at = place->path.len;
    while (place->leaf_at > place->relative_at && place->path.data[place->leaf_at - 1] != '/')
        place->leaf_at--;
    fl_buffer_cstr(&place->path);
}

/* What the kernel says of a path that it looks up itself. */
static int check_place(const struct cn_localstorage_place *place)
{
    if (place->path.len >= PATH_MAX)
        return ENAMETOOLONG;
    if (place->folder >= 0)
        return place->path.len - place->leaf_at > NAME_MAX ? ENAMETOOLONG : 0;
    return place->failure == ENOENT || place->failure == ENOTDIR ? 0 : place->failure;
}

static int open_root(const struct cn_localstorage_root *root)
{
    struct fl_buffer path = {0};
    fl_buffer_append_slice(&path, fl_buffer_slice(&root->path));
    int fd = open(path.len ? fl_buffer_cstr(&path) : "/", FOLDER);
    fl_buffer_fini(&path);
    return fd;
}

int cn_localstorage_place_find(struct cn_localstorage_root *root, struct fl_slice name,
                               struct cn_localstorage_place *place)
{
    struct cn_localstorage_place found = {.folder = -1};
    struct fl_buffer path = {0};
    if (name.len >= PATH_MAX)
        return ENAMETOOLONG;
    if (fl_slice_find_byte(name, '\0') < name.len)
        return EINVAL;
    int root_fd = open_root(root), failure;
    if (root_fd >= 0) {
        failure = find_path(root, root_fd, name, &path, &found);
    } else {
        found.failure = errno;
        failure = read_name(root, -1, name, &path);
    }
    close_fd(root_fd);
    if (!failure) {
        set_path(root, &path, &found);
        failure = check_place(&found);
    }
    fl_buffer_fini(&path);
    if (failure)
        cn_localstorage_place_fini(&found);
    else
        *place = found;
    return failure;
}

void cn_localstorage_place_fini(struct cn_localstorage_place *place)
{
    fl_buffer_fini(&place->path);
    close_fd(place->folder);
    place->folder = -1;
}

/* --- making folders --- */

int cn_localstorage_sync(int fd)
{
    if (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS || errno == EROFS)
        return 0;
    return errno;
}

int cn_localstorage_sync_folder(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : errno;
    int failure = cn_localstorage_sync(fd);
    close(fd);
    return failure;
}

/* The folder `name`, made if it was missing; or -1. */
static int make_step(int folder, const char *name, bool is_synced)
{
    int fd = open_step(folder, name, FOLDER);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (mkdirat(folder, name, 0777) != 0 && errno != EEXIST)
        return -1;
    fd = open_step(folder, name, FOLDER);
    int failure = fd >= 0 && is_synced ? cn_localstorage_sync_folder(folder) : 0;
    if (failure) {
        close(fd);
        errno = failure;
        fd = -1;
    }
    return fd;
}

static int make_below(int root_fd, struct fl_slice path, bool is_synced)
{
    struct fl_slice part;
    size_t at = 0;
    int folder = root_fd;
    while (folder >= 0 && next_part(path, &at, &part)) {
        char name[NAME_MAX + 1];
        int next = -1;
        if (part.len <= NAME_MAX) {
            memcpy(name, part.data, part.len);
            name[part.len] = 0;
            next = make_step(folder, name, is_synced);
        } else {
            errno = ENAMETOOLONG;
        }
        close_fd(folder);
        folder = next;
    }
    return folder;
}

int cn_localstorage_place_make_folders(struct cn_localstorage_root *root,
                                       struct cn_localstorage_place *place, bool is_synced)
{
    int root_fd = open_root(root);
    if (root_fd < 0 && errno == ENOENT) {
        int failure = cn_localstorage_root_make(root, is_synced);
        if (failure)
            return failure;
        root_fd = open_root(root);
    }
    if (root_fd < 0)
        return errno;
    struct fl_slice folders =
        fl_slice_of(place->path.data + place->relative_at, place->leaf_at - place->relative_at);
    int folder = make_below(root_fd, folders, is_synced);
    if (folder < 0)
        return errno;
    close_fd(place->folder);
    place->folder = folder;
    place->failure = 0;
    return 0;
}
