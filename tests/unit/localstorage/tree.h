/* A folder to try names in: a root with files, folders and links, and a secret beside it.
 *
 *   FOLDER/secret.txt            "secret", which nothing may reach
 *   FOLDER/outside/              a folder that must stay empty
 *   FOLDER/root/                 the root
 *     a.txt "a"   d/b.txt "b"   d/e/ (empty)
 *     inside -> d               up -> ../secret.txt      absolute -> FOLDER/secret.txt
 *     out -> ../outside         far -> FOLDER/outside    chain -> chain2 -> d/../../outside
 *     loop -> loop              ping -> pong -> ping     self -> .      parent -> ..
 *     magic -> /proc/self/root  cwd -> /proc/self/cwd    dangling -> nowhere
 *     fifo, socket              a FIFO and a socket
 *
 * Thread: the test's.
 */
#ifndef TESTS_LOCALSTORAGE_TREE_H
#define TESTS_LOCALSTORAGE_TREE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "connectors/localstorage/localstorage_priv.h"

struct tree {
    char folder[64]; /* without links itself */
    char root_path[80];
    struct cn_localstorage_worker worker;
};

static inline char *tree_path(const struct tree *tree, const char *name, char *room)
{
    snprintf(room, 512, "%s/%s", tree->folder, name);
    return room;
}

static inline void tree_write(const struct tree *tree, const char *name, const char *text)
{
    char path[512];
    FILE *file = fopen(tree_path(tree, name, path), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* The file's first bytes; "" when there is none. */
static inline const char *tree_read(const struct tree *tree, const char *name)
{
    static char text[256];
    char path[512];
    FILE *file = fopen(tree_path(tree, name, path), "r");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[len] = 0;
    if (file)
        fclose(file);
    return text;
}

static inline bool tree_has(const struct tree *tree, const char *name)
{
    char path[512];
    struct stat info;
    return lstat(tree_path(tree, name, path), &info) == 0;
}

/* Everything that the pattern names, with what is in it. */
static inline void tree_remove(const struct tree *tree, const char *pattern)
{
    char path[512], command[600];
    snprintf(command, sizeof command, "rm -rf %s", tree_path(tree, pattern, path));
    assert_int_equal(system(command), 0);
}

static inline void tree_make(const struct tree *tree, const char *name)
{
    char path[512];
    assert_int_equal(mkdir(tree_path(tree, name, path), 0777), 0);
}

static inline void tree_link(const struct tree *tree, const char *target, const char *name)
{
    char path[512];
    assert_int_equal(symlink(target, tree_path(tree, name, path)), 0);
}

static inline void tree_make_links(const struct tree *tree)
{
    char target[512];
    tree_link(tree, "d", "root/inside");
    tree_link(tree, "../secret.txt", "root/up");
    tree_link(tree, tree_path(tree, "secret.txt", target), "root/absolute");
    tree_link(tree, "../outside", "root/out");
    tree_link(tree, tree_path(tree, "outside", target), "root/far");
    tree_link(tree, "chain2", "root/chain");
    tree_link(tree, "d/../../outside", "root/chain2");
    tree_link(tree, "loop", "root/loop");
    tree_link(tree, "pong", "root/ping");
    tree_link(tree, "ping", "root/pong");
    tree_link(tree, ".", "root/self");
    tree_link(tree, "..", "root/parent");
    tree_link(tree, "/proc/self/root", "root/magic");
    tree_link(tree, "/proc/self/cwd", "root/cwd");
    tree_link(tree, "nowhere", "root/dangling");
}

static inline void tree_make_oddities(const struct tree *tree)
{
    char path[512];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_int_equal(mkfifo(tree_path(tree, "root/fifo", path), 0666), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/root/socket", tree->folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static inline int tree_open(void **state)
{
    struct tree *tree = fl_zalloc(sizeof *tree);
    struct fl_error error;
    snprintf(tree->folder, sizeof tree->folder, "/tmp/localstorage_test.XXXXXX");
    if (!mkdtemp(tree->folder))
        return -1;
    snprintf(tree->root_path, sizeof tree->root_path, "%s/root", tree->folder);
    tree_make(tree, "root");
    tree_make(tree, "outside");
    tree_make(tree, "root/d");
    tree_make(tree, "root/d/e");
    tree_write(tree, "secret.txt", "secret");
    tree_write(tree, "root/a.txt", "a");
    tree_write(tree, "root/d/b.txt", "b");
    tree_make_links(tree);
    tree_make_oddities(tree);
    tree->worker.most_answer_bytes = 1 << 20;
    tree->worker.most_listed = 1000;
    tree->worker.is_synced = true;
    if (cn_localstorage_root_open(&tree->worker.root, fl_slice_str(tree->root_path), &error))
        return -1;
    *state = tree;
    return 0;
}

/* The same without openat2. */
static inline int tree_open_stepwise(void **state)
{
    if (tree_open(state))
        return -1;
    struct tree *tree = *state;
    tree->worker.root.is_stepwise = true;
    return 0;
}

static inline int tree_close(void **state)
{
    struct tree *tree = *state;
    char command[192];
    cn_localstorage_root_close(&tree->worker.root);
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", tree->folder, tree->folder);
    int status = system(command);
    fl_free(tree);
    return status == 0 ? 0 : -1;
}

/* What was not to be touched is as it was. */
static inline void tree_assert_kept(const struct tree *tree)
{
    char path[512];
    assert_string_equal(tree_read(tree, "secret.txt"), "secret");
    /* Only an empty folder can be removed. */
    tree_path(tree, "outside", path);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
}

/* Runs one operation as the session does, memory granted as often as it is asked for. */
static inline struct cn_localstorage_job *tree_run(struct tree *tree,
                                                   cn_localstorage_operation_fn *operation,
                                                   struct fl_slice name, struct fl_slice data)
{
    struct cn_localstorage_job *job = fl_zalloc(sizeof *job);
    job->operation = operation;
    job->name = name;
    job->data = data;
    job->deadline_at_ms = INT64_MAX;
    job->allowed_bytes = CN_LOCALSTORAGE_ALLOWED_BYTES;
    do {
        job->name = name;
        if (job->wanted_bytes)
            job->allowed_bytes = job->wanted_bytes;
        cn_localstorage_run(&tree->worker, job);
    } while (job->wanted_bytes);
    return job;
}

static inline void tree_end(struct cn_localstorage_job **job)
{
    fl_buffer_fini(&(*job)->answer);
    FL_FREE(*job);
}

/* Runs one, and tells its answer, or its error behind "!"; valid until the next one. Folders of
 * the test are shown as FOLDER. */
static inline const char *tree_tell(struct tree *tree, cn_localstorage_operation_fn *operation,
                                    const char *name, const char *data)
{
    static char told[4096];
    struct cn_localstorage_job *job =
        tree_run(tree, operation, fl_slice_str(name), fl_slice_str(data));
    struct fl_buffer text = {0};
    if (job->has_failed)
        fl_buffer_printf(&text, "!%s", job->error.text);
    else
        fl_buffer_append_slice(&text, fl_buffer_slice(&job->answer));
    size_t len = 0;
    const char *from = fl_buffer_cstr(&text);
    while (*from && len < sizeof told - 8) {
        bool is_ours = strncmp(from, tree->folder, strlen(tree->folder)) == 0;
        if (is_ours)
            len += (size_t)sprintf(told + len, "FOLDER");
        else
            told[len++] = *from;
        from += is_ours ? strlen(tree->folder) : 1;
    }
    told[len] = 0;
    fl_buffer_fini(&text);
    tree_end(&job);
    return told;
}

#endif
