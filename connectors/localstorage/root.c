/* The root folder as it is configured; see the header.
 *
 * Whoever configures the root is trusted, and so are the folders above it: its path is cleaned by
 * its letters and its links are followed once, at the start. From then on it stands for a path
 * without links, which is opened anew for every operation, so that a root that is removed and made
 * again is found.
 */
#include "connectors/localstorage/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What holds the kernel's objects, the boot loader's files, and a pod's credentials. */
static const char *const refused[] = {"/proc", "/sys", "/boot", "/var/run/secrets"};

enum { REFUSED = sizeof refused / sizeof *refused };

/* Below the root there must be room for names. */
enum { MOST_ROOT_BYTES = PATH_MAX / 2 };

static void append_component(struct fl_buffer *path, struct fl_slice part)
{
    if (part.len == 0 || fl_slice_eq_str(part, "."))
        return;
    if (!fl_slice_eq_str(part, "..")) {
        fl_buffer_append_byte(path, '/');
        fl_buffer_append_slice(path, part);
        return;
    }
    while (path->len > 0 && path->data[--path->len] != '/') {
    }
}

/* Appends the components of `text`, with `.` and `..` taken by their letters. */
static void append_cleaned(struct fl_buffer *path, struct fl_slice text)
{
    while (text.len > 0) {
        size_t len = fl_slice_find_byte(text, '/');
        append_component(path, fl_slice_of(text.data, len));
        len += len < text.len;
        text = fl_slice_of(text.data + len, text.len - len);
    }
}

static bool lies_in(struct fl_slice path, struct fl_slice folder)
{
    return folder.len > 0 && fl_slice_starts_with(path, folder) &&
           (path.len == folder.len || path.data[folder.len] == '/');
}

static enum fl_err refuse_place(const struct fl_buffer *path, const char *folder,
                                struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                        "rootPath is %.*s, which is or lies under %s: name a folder for data",
                        path->len < 200 ? (int)path->len : 200, path->data, folder);
}

static enum fl_err check_letters(const struct fl_buffer *path, struct fl_error *error)
{
    for (size_t i = 0; i < REFUSED; i++) {
        if (lies_in(fl_buffer_slice(path), fl_slice_str(refused[i])))
            return refuse_place(path, refused[i], error);
    }
    return FL_OK;
}

static enum fl_err check_text(struct fl_slice root_path, struct fl_error *error)
{
    if (root_path.len == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "rootPath names no folder");
    if (fl_slice_find_byte(root_path, '\0') < root_path.len)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "rootPath has a NUL byte");
    if (root_path.len > MOST_ROOT_BYTES)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "rootPath has %zu bytes; at most %d are accepted", root_path.len,
                            MOST_ROOT_BYTES);
    return FL_OK;
}

enum fl_err cn_localstorage_root_check(struct fl_slice root_path, struct fl_error *error)
{
    struct fl_buffer path = {0};
    enum fl_err err = check_text(root_path, error);
    if (!err && root_path.data[0] == '/') {
        append_cleaned(&path, root_path);
        err = check_letters(&path, error);
    }
    fl_buffer_fini(&path);
    return err;
}

static enum fl_err make_absolute(struct fl_slice root_path, struct fl_buffer *path,
                                 struct fl_error *error)
{
    if (root_path.data[0] != '/') {
        char folder[PATH_MAX];
        if (!getcwd(folder, sizeof folder) || folder[0] != '/')
            return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL,
                                "rootPath is relative and there is no working directory");
        append_cleaned(path, fl_slice_str(folder));
    }
    append_cleaned(path, root_path);
    return FL_OK;
}

/* Follows links in the longest part that exists; what is missing stays as it is. */
static void follow_links(struct fl_buffer *path)
{
    size_t len = path->len;
    char real[PATH_MAX];
    while (len > 0) {
        char *head = fl_strdup(fl_slice_of(path->data, len));
        bool is_found = realpath(head, real) != NULL;
        fl_free(head);
        if (is_found) {
            struct fl_buffer whole = {0};
            fl_buffer_append_str(&whole, real[1] ? real : "");
            fl_buffer_append(&whole, path->data + len, path->len - len);
            fl_buffer_fini(path);
            *path = whole;
            return;
        }
        while (len > 0 && path->data[--len] != '/') {
        }
    }
}

/* The same for what the refused ones are links to, whether they exist or not. */
static enum fl_err check_resolved(const struct fl_buffer *path, struct fl_error *error)
{
    enum fl_err err = check_letters(path, error);
    for (size_t i = 0; i < REFUSED && !err; i++) {
        struct fl_buffer real = {0};
        fl_buffer_append_str(&real, refused[i]);
        follow_links(&real);
        if (lies_in(fl_buffer_slice(path), fl_buffer_slice(&real)))
            err = refuse_place(path, refused[i], error);
        fl_buffer_fini(&real);
    }
    return err;
}

/* The disk gets to know the names in the folder that has `path`, which is changed meanwhile. */
static int sync_above(char *path)
{
    char *slash = strrchr(path, '/'), kept = slash[1];
    slash[1] = 0;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int failure = fd >= 0 ? cn_localstorage_sync_folder(fd) : errno;
    slash[1] = kept;
    if (fd >= 0)
        close(fd);
    return failure;
}

/* One folder, the ones above it being there. */
static int make_folder(char *path, bool is_synced)
{
    struct stat info;
    if (mkdir(path, 0777) == 0)
        return is_synced ? sync_above(path) : 0;
    int failure = errno;
    if (failure == EEXIST || failure == EROFS)
        return 0;
    /* Folders above the root may be such that only what exists in them can be used. */
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? 0 : failure;
}

int cn_localstorage_root_make(const struct cn_localstorage_root *root, bool is_synced)
{
    struct fl_buffer head = {0};
    int failure = 0;
    for (size_t len = 1; len <= root->path.len && !failure; len++) {
        if (len < root->path.len && root->path.data[len] != '/')
            continue;
        fl_buffer_clear(&head);
        fl_buffer_append(&head, root->path.data, len);
        fl_buffer_cstr(&head);
        failure = make_folder(head.data, is_synced);
    }
    fl_buffer_fini(&head);
    return failure;
}

static enum fl_err fail_root(const struct cn_localstorage_root *root, const char *what,
                             struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "rootPath %.*s %s",
                        root->path.len < 300 ? (int)root->path.len : 300, root->path.data, what);
}

/* What was made is what was checked, unless somebody interfered. */
static enum fl_err check_made(struct cn_localstorage_root *root, struct fl_error *error)
{
    char real[PATH_MAX];
    const char *path = root->path.len ? fl_buffer_cstr(&root->path) : "/";
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_root(root, errno == ENOTDIR ? "is a file: a folder is needed" : strerror(errno),
                         error);
    close(fd);
    if (!realpath(path, real) || strcmp(real, path) != 0)
        return fail_root(root, "changed while it was opened", error);
    return FL_OK;
}

enum fl_err cn_localstorage_root_open(struct cn_localstorage_root *root, struct fl_slice root_path,
                                      struct fl_error *error)
{
    struct cn_localstorage_root made = {0};
    enum fl_err err = check_text(root_path, error);
    if (!err)
        err = make_absolute(root_path, &made.path, error);
    if (!err)
        err = check_letters(&made.path, error);
    if (!err) {
        follow_links(&made.path);
        err = made.path.len > MOST_ROOT_BYTES ? fail_root(&made, "is too long", error)
                                              : check_resolved(&made.path, error);
    }
    if (!err) {
        int failure = cn_localstorage_root_make(&made, true);
        if (failure && failure != ENOTDIR)
            err = fail_root(&made, strerror(failure), error);
    }
    if (!err)
        err = check_made(&made, error);
    if (err)
        cn_localstorage_root_close(&made);
    else
        *root = made;
    return err;
}

void cn_localstorage_root_close(struct cn_localstorage_root *root)
{
    fl_buffer_fini(&root->path);
}
