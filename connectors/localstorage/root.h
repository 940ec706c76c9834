/* A folder that no name leaves: how names that come from outside become places below it.
 *
 * A name is read as if the folder were the root of the file system: `..` ends at it, an absolute
 * name or link begins at it, symbolic links (the last one too) are resolved inside it. What does
 * not exist is joined by its letters, so that a file can be named before it is made.
 *
 * The safety does not rest on that reading. A place is opened by a path without dots, from a
 * descriptor of the folder, and no link is followed on the way: by one openat2(2), or a component
 * at a time where the kernel or a seccomp filter lacks it. Whoever swaps a folder for a link in
 * between gets an error or the reading of the new state, never a step outside.
 *
 * Ownership: a place owns its descriptor and its text. Paths and names are borrowed.
 *
 * Thread: one at a time; the calls block on the file system.
 */
#ifndef CN_LOCALSTORAGE_ROOT_H
#define CN_LOCALSTORAGE_ROOT_H

#include "base/buffer.h"
#include "base/error.h"

struct cn_localstorage_root {
    struct fl_buffer path; /* absolute, without links; empty stands for "/" */
    bool is_stepwise;      /* no openat2: set by the first call that finds out, or by a test */
};

/* Where a name leads. */
struct cn_localstorage_place {
    struct fl_buffer path; /* absolute, with a NUL behind */
    size_t relative_at;    /* where in it the part below the root begins */
    size_t leaf_at;        /* and its last component */
    bool is_root;
    int folder;  /* the folder that has it, as O_PATH; -1: it could not be opened */
    int failure; /* errno of that */
};

/* Prepares the root for `root_path`: makes it absolute, follows links in what exists, refuses
 * system folders and files, makes what is missing (mode 0777 less the umask). FL_ERR_INVALID,
 * FL_ERR_SYSTEM. */
enum fl_err cn_localstorage_root_open(struct cn_localstorage_root *root, struct fl_slice root_path,
                                      struct fl_error *error) FL_MUST_USE;
void cn_localstorage_root_close(struct cn_localstorage_root *root);

/* What can be known wrong about a root path without any I/O. FL_ERR_INVALID. */
enum fl_err cn_localstorage_root_check(struct fl_slice root_path,
                                       struct fl_error *error) FL_MUST_USE;

/* Makes the root itself again when it is gone; `is_synced`: so that it outlives a power cut. 0, or
 * an errno. */
int cn_localstorage_root_make(const struct cn_localstorage_root *root, bool is_synced);

/* Finds the place of `name`. 0, or an errno when it cannot be looked up at all: ELOOP, EACCES,
 * ENAMETOOLONG, EINVAL (a NUL). A folder that is missing is no failure of this call. */
int cn_localstorage_place_find(struct cn_localstorage_root *root, struct fl_slice name,
                               struct cn_localstorage_place *place);
void cn_localstorage_place_fini(struct cn_localstorage_place *place);

/* Makes the missing folders above a place (0777 less the umask) and opens the last one;
 * `is_synced`: so that they outlive a power cut. 0, or an errno. */
int cn_localstorage_place_make_folders(struct cn_localstorage_root *root,
                                       struct cn_localstorage_place *place, bool is_synced);

/* Waits until the disk has a file, or the names in an O_PATH folder. 0, or an errno; a file system
 * that cannot sync, or a folder that may be written and not read, is passed over. */
int cn_localstorage_sync(int fd);
int cn_localstorage_sync_folder(int folder);

/* The descriptor of `path` below `folder`, close-on-exec, or -1 with errno; ELOOP when a component
 * is a link. The path is relative, has no dots, and may be empty for the folder itself. */
int cn_localstorage_open_beneath(struct cn_localstorage_root *root, int folder, const char *path,
                                 int flags);

static inline const char *cn_localstorage_leaf(const struct cn_localstorage_place *place)
{
    return place->is_root ? "." : place->path.data + place->leaf_at;
}

static inline struct fl_slice cn_localstorage_relative(const struct cn_localstorage_place *place)
{
    return fl_slice_of(place->path.data + place->relative_at, place->path.len - place->relative_at);
}

#endif
