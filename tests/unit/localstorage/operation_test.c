/* The operations' answers and errors, their bounds, and what a crash or a full disk leaves.
 *
 * The program has system calls of its own before libc's, which fail, stop half-way or kill the
 * process when a test says so.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/localstorage/tree.h"

/* --- a disk that does what a test says --- */

static struct {
    size_t room;          /* bytes that may still be written; 0: any number */
    bool is_short;        /* a write takes a single byte */
    bool is_nameless_off; /* no O_TMPFILE, as on NFS */
    bool is_link_off;     /* linkat fails, as without /proc */
    bool kills;           /* when the room is used up */
    int sync_failure;
    int syncs, nameless;
    const char *swapped; /* a name in the working directory: just before it is opened, */
    void (*swap)(void);  /* this happens */
} disk;

ssize_t write(int fd, const void *data, size_t len)
{
    bool is_file = fd > 2;
    if (is_file && disk.is_short && len > 1)
        len = 1;
    if (is_file && disk.room && len >= disk.room) {
        syscall(SYS_write, fd, data, disk.room - 1);
        if (disk.kills)
            raise(SIGKILL);
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, data, len);
}

int fsync(int fd)
{
    disk.syncs++;
    if (disk.sync_failure) {
        errno = disk.sync_failure;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    disk.nameless++;
    if (disk.is_link_off) {
        errno = ENOENT;
        return -1;
    }
    return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int openat(int fd, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (disk.swapped && strcmp(path, disk.swapped) == 0 && (flags & O_PATH) == 0) {
        disk.swapped = NULL;
        disk.swap();
    }
    if (disk.is_nameless_off && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, fd, path, flags, mode);
}

static int open_tree(void **state)
{
    memset(&disk, 0, sizeof disk);
    return tree_open(state);
}

static int close_tree(void **state)
{
    memset(&disk, 0, sizeof disk);
    return tree_close(state);
}

/* --- short words --- */

static const char *create(struct tree *tree, const char *name, const char *data)
{
    return tree_tell(tree, cn_localstorage_create, name, data);
}

static const char *get(struct tree *tree, const char *name)
{
    return tree_tell(tree, cn_localstorage_get, name, "null");
}

static const char *list(struct tree *tree, const char *name)
{
    return tree_tell(tree, cn_localstorage_list, name, "null");
}

static const char *remove_named(struct tree *tree, const char *name)
{
    return tree_tell(tree, cn_localstorage_delete, name, "null");
}

static void assert_starts(const char *text, const char *start)
{
    if (strncmp(text, start, strlen(start)) != 0)
        fail_msg("\"%s\" does not start with \"%s\"", text, start);
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

/* Files in the root that `create` has not finished. */
static size_t count_unfinished(const struct tree *tree)
{
    char command[192];
    snprintf(command, sizeof command, "find %s -name '.fairlead-*' | wc -l", tree->folder);
    FILE *pipe = popen(command, "r");
    unsigned count = 99;
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

/* --- create --- */

static void create_writes_text_without_its_quotes(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(create(tree, "new/deep/x", "\"hello there\""),
                        "{\"fileName\":\"new/deep/x\"}");
    assert_string_equal(tree_read(tree, "root/new/deep/x"), "hello there");
    create(tree, "x", "\"a \\\"b\\\"\\n\\u00e9\\u003c\"");
    assert_string_equal(tree_read(tree, "root/x"), "a \"b\"\n\xc3\xa9<");
    create(tree, "x", "{\"a\":[1,\"b\"]}");
    assert_string_equal(tree_read(tree, "root/x"), "{\"a\":[1,\"b\"]}");
    create(tree, "x", "5");
    assert_string_equal(tree_read(tree, "root/x"), "5");
    create(tree, "x", "\"\"");
    assert_string_equal(tree_read(tree, "root/x"), "");
    create(tree, "x", "\"no end");
    assert_string_equal(tree_read(tree, "root/x"), "\"no end");
}

static void create_decodes_what_happens_to_be_base64(void **state)
{
    struct tree *tree = *state;
    create(tree, "x", "\"AAECAwQ=\"");
    assert_memory_equal(tree_read(tree, "root/x"), "\0\1\2\3\4", 6);
    create(tree, "x", "\"word\"");
    assert_string_equal(tree_read(tree, "root/x"), "\xc2\x8a\xdd");
    create(tree, "x", "null");
    assert_string_equal(tree_read(tree, "root/x"), "\x9e\xe9\x65");
    create(tree, "x", "\"aGV\\nsbG8=\"");
    assert_string_equal(tree_read(tree, "root/x"), "hello");
    create(tree, "x", "\"aGVsbG8\"");
    assert_string_equal(tree_read(tree, "root/x"), "aGVsbG8");
}

static void create_without_a_name_makes_one_each_time(void **state)
{
    struct tree *tree = *state;
    char first[128];
    snprintf(first, sizeof first, "%s", create(tree, "", "\"1 1\""));
    assert_int_equal(strlen(first), strlen("{\"fileName\":\"\"}") + 36);
    assert_string_not_equal(create(tree, "", "\"2 2\""), first);
    assert_string_equal(get(tree, ""), "!error reading file FOLDER/root: is a directory");
}

static void create_replaces_a_file_and_keeps_its_permissions(void **state)
{
    struct tree *tree = *state;
    char path[512];
    struct stat info;
    assert_int_equal(chmod(tree_path(tree, "root/a.txt", path), 0640), 0);
    create(tree, "a.txt", "\"n e w\"");
    assert_string_equal(tree_read(tree, "root/a.txt"), "n e w");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    mode_t before = umask(027);
    create(tree, "b.txt", "\"n e w\"");
    umask(before);
    assert_int_equal(stat(tree_path(tree, "root/b.txt", path), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void create_writes_through_links_inside_the_root(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(create(tree, "inside/b.txt", "\"n e w\""), "{\"fileName\":\"d/b.txt\"}");
    assert_string_equal(create(tree, "dangling", "\"n e w\""), "{\"fileName\":\"nowhere\"}");
    assert_string_equal(get(tree, "dangling"), "n e w");
    assert_string_equal(create(tree, "../../escaped", "\"n e w\""), "{\"fileName\":\"escaped\"}");
}

static void create_refuses_what_is_no_file(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(create(tree, "d", "\"x y\""),
                        "!error creating file FOLDER/root/d: is a directory");
    assert_string_equal(create(tree, "/", "\"x y\""),
                        "!error creating file FOLDER/root: is a directory");
    assert_string_equal(create(tree, "fifo", "\"x y\""),
                        "!error creating file FOLDER/root/fifo: is not a regular file");
    assert_string_equal(create(tree, "socket", "\"x y\""),
                        "!error creating file FOLDER/root/socket: is not a regular file");
    assert_string_equal(create(tree, "a.txt/x", "\"x y\""),
                        "!error creating directory FOLDER/root/a.txt: not a directory");
    assert_starts(create(tree, "loop", "\"x y\""), "!error getting absolute path for file loop: ");
    assert_true(tree_has(tree, "root/fifo"));
}

static void a_name_that_is_too_long_is_said_whole(void **state)
{
    char name[301], expected[512];
    memset(name, 'n', 300);
    name[300] = 0;
    snprintf(expected, sizeof expected,
             "!error getting absolute path for file %s: file name too long", name);
    assert_string_equal(create(*state, name, "\"x y\""), expected);
}

static void an_error_is_one_line(void **state)
{
    assert_string_equal(get(*state, "a\nb\r\tc"), "!file not found: FOLDER/root/a?b??c");
}

/* --- create: disks --- */

static void a_full_disk_leaves_the_former_file_and_no_rest(void **state)
{
    struct tree *tree = *state;
    for (int i = 0; i < 2; i++) {
        disk.is_nameless_off = i == 1;
        disk.room = 5;
        assert_string_equal(create(tree, "a.txt", "\"0123456789 \""),
                            "!error creating file FOLDER/root/a.txt: no space left on device");
        assert_starts(create(tree, "new.txt", "\"0123456789 \""), "!error creating file");
        disk.room = 0;
        assert_string_equal(tree_read(tree, "root/a.txt"), "a");
        assert_false(tree_has(tree, "root/new.txt"));
        assert_int_equal(count_unfinished(tree), 0);
    }
}

static void a_disk_that_fails_to_sync_is_an_error(void **state)
{
    struct tree *tree = *state;
    disk.sync_failure = EIO;
    assert_string_equal(create(tree, "a.txt", "\"x y\""),
                        "!error creating file FOLDER/root/a.txt: input/output error");
    assert_string_equal(tree_read(tree, "root/a.txt"), "a");
    assert_int_equal(count_unfinished(tree), 0);
    disk.sync_failure = EINVAL;
    assert_string_equal(create(tree, "a.txt", "\"x y\""), "{\"fileName\":\"a.txt\"}");
}

static void short_writes_are_continued(void **state)
{
    struct tree *tree = *state;
    disk.is_short = true;
    create(tree, "x", "\"0123456789 \"");
    assert_string_equal(tree_read(tree, "root/x"), "0123456789 ");
}

static void without_nameless_files_it_works_too(void **state)
{
    struct tree *tree = *state;
    disk.is_nameless_off = true;
    create(tree, "x", "\"1 2\"");
    create(tree, "a.txt", "\"3 4\"");
    assert_string_equal(tree_read(tree, "root/x"), "1 2");
    assert_string_equal(tree_read(tree, "root/a.txt"), "3 4");
    assert_int_equal(disk.nameless, 0);
    disk.is_nameless_off = false;
    disk.is_link_off = true;
    create(tree, "x", "\"5 6\"");
    assert_string_equal(tree_read(tree, "root/x"), "5 6");
    assert_int_equal(count_unfinished(tree), 0);
}

static void syncing_is_done_before_the_answer_or_not_at_all(void **state)
{
    struct tree *tree = *state;
    create(tree, "new/x", "\"1 2\"");
    assert_int_equal(disk.syncs, 3); /* the root for the new folder, the file, the new folder */
    remove_named(tree, "new/x");
    assert_int_equal(disk.syncs, 4);
    tree->worker.is_synced = false;
    create(tree, "newer/x", "\"1 2\"");
    remove_named(tree, "newer/x");
    assert_int_equal(disk.syncs, 4);
}

static void a_root_that_is_made_again_is_synced_too(void **state)
{
    struct tree *tree = *state;
    tree_remove(tree, "root");
    create(tree, "x", "\"1 2\"");
    assert_int_equal(disk.syncs, 3); /* the folder above the root, the file, the root */
    tree_remove(tree, "root");
    tree->worker.is_synced = false;
    create(tree, "x", "\"1 2\"");
    assert_int_equal(disk.syncs, 3);
    tree_remove(tree, "root");
    tree->worker.is_synced = true;
    disk.sync_failure = EIO;
    assert_starts(create(tree, "x", "\"1 2\""), "!error creating directory FOLDER/root: ");
}

/* In a child, which is killed with half of the bytes written. */
static void die_writing(struct tree *tree, const char *name)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        disk.room = 5;
        disk.kills = true;
        create(tree, name, "\"0123456789 \"");
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void a_crash_leaves_no_half_file_under_the_name(void **state)
{
    struct tree *tree = *state;
    die_writing(tree, "a.txt");
    die_writing(tree, "d/e/new.txt");
    assert_int_equal(count_unfinished(tree), 0);
    disk.is_nameless_off = true;
    die_writing(tree, "a.txt");
    die_writing(tree, "d/e/new.txt");
    assert_string_equal(tree_read(tree, "root/a.txt"), "a");
    assert_false(tree_has(tree, "root/d/e/new.txt"));
    assert_int_equal(count_unfinished(tree), 2);
    assert_string_equal(list(tree, "d"), "[\"FOLDER/root/d/b.txt\"]");
}

/* --- get --- */

static void get_reads_files(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(get(tree, "a.txt"), "a");
    assert_string_equal(get(tree, "d/b.txt/"), "b");
    assert_string_equal(get(tree, "inside/b.txt"), "b");
    assert_string_equal(get(tree, "../../a.txt"), "a");
}

static void get_says_what_is_not_there(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(get(tree, "missing"), "!file not found: FOLDER/root/missing");
    assert_string_equal(get(tree, "no/where"), "!file not found: FOLDER/root/no/where");
    assert_string_equal(get(tree, "up"), "!file not found: FOLDER/root/secret.txt");
    assert_string_equal(get(tree, "absolute"), "!file not found: FOLDER/rootFOLDER/secret.txt");
    assert_string_equal(get(tree, "d"), "!error reading file FOLDER/root/d: is a directory");
    assert_string_equal(get(tree, "/"), "!error reading file FOLDER/root: is a directory");
    assert_string_equal(get(tree, "a.txt/x"),
                        "!error reading file FOLDER/root/a.txt/x: not a directory");
}

static void get_does_not_wait_for_what_is_no_file(void **state)
{
    struct tree *tree = *state;
    char path[512];
    assert_string_equal(get(tree, "fifo"),
                        "!error reading file FOLDER/root/fifo: is not a regular file");
    assert_string_equal(get(tree, "socket"),
                        "!error reading file FOLDER/root/socket: is not a regular file");
    if (mknod(tree_path(tree, "root/device", path), S_IFCHR | 0666, 1 << 8 | 5) != 0)
        skip();
    assert_string_equal(get(tree, "device"),
                        "!error reading file FOLDER/root/device: is not a regular file");
    assert_string_equal(create(tree, "device", "\"x y\""),
                        "!error creating file FOLDER/root/device: is not a regular file");
}

/* --- what changes between looking and opening --- */

static void become_link(void)
{
    assert_int_equal(unlink("a.txt"), 0);
    assert_int_equal(symlink("../secret.txt", "a.txt"), 0);
}

static void become_fifo(void)
{
    assert_int_equal(unlink("a.txt"), 0);
    assert_int_equal(mkfifo("a.txt", 0666), 0);
}

/* Tells what the operation says while a.txt becomes something else. */
static const char *tell_swapped(struct tree *tree, cn_localstorage_operation_fn *operation,
                                void (*swap)(void))
{
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(tree->root_path), 0);
    disk.swap = swap;
    disk.swapped = "a.txt";
    const char *told = tree_tell(tree, operation, "a.txt", "\"x y\"");
    assert_null(disk.swapped);
    assert_int_equal(chdir(before), 0);
    return told;
}

static void a_file_that_becomes_a_link_is_not_read(void **state)
{
    assert_string_equal(tell_swapped(*state, cn_localstorage_get, become_link),
                        "!error reading file FOLDER/root/a.txt: too many levels of symbolic links");
}

static void a_file_that_becomes_a_fifo_is_not_waited_for(void **state)
{
    assert_string_equal(tell_swapped(*state, cn_localstorage_get, become_fifo),
                        "!error reading file FOLDER/root/a.txt: is not a regular file");
}

static void a_file_that_becomes_a_link_is_not_written_through(void **state)
{
    struct tree *tree = *state;
    assert_int_equal(tell_swapped(tree, cn_localstorage_create, become_link)[0], '!');
    assert_string_equal(tree_read(tree, "secret.txt"), "secret");
}

static void make_sparse(struct tree *tree, const char *name, off_t size)
{
    char path[512];
    tree_write(tree, name, "x");
    assert_int_equal(truncate(tree_path(tree, name, path), size), 0);
}

static void get_asks_for_memory_before_it_reads(void **state)
{
    struct tree *tree = *state;
    make_sparse(tree, "root/big", 500000);
    struct cn_localstorage_job *job =
        tree_run(tree, cn_localstorage_get, FL_SLICE_LIT("big"), FL_SLICE_NULL);
    assert_false(job->has_failed);
    assert_int_equal(job->answer.len, 500000);
    assert_int_equal(job->rounds, 1);
    assert_int_equal(job->allowed_bytes, 500001);
    assert_true(job->answer.room <= 600000);
    tree_end(&job);
}

static void get_refuses_more_than_an_answer_may_have(void **state)
{
    struct tree *tree = *state;
    make_sparse(tree, "root/huge", (off_t)1 << 40);
    struct cn_localstorage_job *job =
        tree_run(tree, cn_localstorage_get, FL_SLICE_LIT("huge"), FL_SLICE_NULL);
    assert_true(job->has_failed);
    assert_int_equal(job->error.code, FL_ERR_TOO_LARGE);
    assert_holds(job->error.text, "more than the 1048576 bytes that an answer may have");
    assert_int_equal(job->answer.room, 0);
    tree_end(&job);
    make_sparse(tree, "root/most", (1 << 20) - 1);
    job = tree_run(tree, cn_localstorage_get, FL_SLICE_LIT("most"), FL_SLICE_NULL);
    assert_false(job->has_failed);
    assert_int_equal(job->answer.len, (1 << 20) - 1);
    tree_end(&job);
}

static void get_reads_files_that_do_not_say_their_size(void **state)
{
    struct tree *tree = *state;
    fl_buffer_clear(&tree->worker.root.path);
    fl_buffer_append_str(&tree->worker.root.path, "/proc");
    assert_holds(get(tree, "self/status"), "VmRSS");
    if (access("/proc/kallsyms", R_OK) != 0)
        skip();
    assert_holds(get(tree, "kallsyms"), "more than the 1048576 bytes");
}

static void get_ends_when_it_gets_no_memory(void **state)
{
    struct tree *tree = *state;
    make_sparse(tree, "root/big", 500000);
    struct cn_localstorage_job job = {.name = FL_SLICE_LIT("big"), .allowed_bytes = 1 << 20};
    fl_alloc_fail_at(1);
    cn_localstorage_get(&tree->worker, &job);
    fl_alloc_fail_at(0);
    assert_true(job.has_failed);
    assert_holds(job.error.text, "annot allocate memory");
    fl_buffer_fini(&job.answer);
}

static void create_ends_when_it_gets_no_memory(void **state)
{
    struct tree *tree = *state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        fl_alloc_fail_at(nth);
        assert_holds(create(tree, "new.txt", "\"a\\nb\""), "annot allocate memory");
        fl_alloc_fail_at(0);
        assert_false(tree_has(tree, "root/new.txt"));
    }
    assert_string_equal(create(tree, "new.txt", "\"a\\nb\""), "{\"fileName\":\"new.txt\"}");
}

/* --- list --- */

static void list_names_every_file_in_order(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(
        list(tree, ""),
        "[\"FOLDER/root/a.txt\",\"FOLDER/root/absolute\",\"FOLDER/root/chain\","
        "\"FOLDER/root/chain2\",\"FOLDER/root/cwd\",\"FOLDER/root/d/b.txt\","
        "\"FOLDER/root/dangling\",\"FOLDER/root/far\",\"FOLDER/root/fifo\","
        "\"FOLDER/root/inside\",\"FOLDER/root/loop\",\"FOLDER/root/magic\",\"FOLDER/root/out\","
        "\"FOLDER/root/parent\",\"FOLDER/root/ping\",\"FOLDER/root/pong\",\"FOLDER/root/self\","
        "\"FOLDER/root/socket\",\"FOLDER/root/up\"]");
    assert_string_equal(list(tree, "d"), "[\"FOLDER/root/d/b.txt\"]");
    assert_string_equal(list(tree, "inside"), "[\"FOLDER/root/d/b.txt\"]");
    assert_string_equal(list(tree, "d/e"), "null");
    tree_write(tree, "root/d/e/\xff<\"", "x");
    assert_string_equal(list(tree, "d/e"), "[\"FOLDER/root/d/e/\\ufffd\\u003c\\\"\"]");
}

/* In a child, which may become somebody who has no rights. */
static int list_as_nobody(struct tree *tree)
{
    const char *listed;
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 2;
    listed = list(tree, "d");
    if (strcmp(listed, "[\"FOLDER/root/d/b.txt\",\"FOLDER/root/d/z\"]") != 0)
        return 3;
    listed = list(tree, "d/lost+found");
    return strcmp(listed, "!error listing files in FOLDER/root/d/lost+found: permission denied") !=
           0;
}

static void list_goes_around_a_folder_that_may_not_be_read(void **state)
{
    struct tree *tree = *state;
    char path[512];
    int status;
    tree_make(tree, "root/d/lost+found");
    tree_write(tree, "root/d/lost+found/x", "x");
    tree_write(tree, "root/d/z", "z");
    assert_int_equal(chmod(tree->folder, 0755), 0);
    assert_int_equal(chmod(tree_path(tree, "root/d/lost+found", path), 0), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(list_as_nobody(tree));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void list_says_what_is_no_folder(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(list(tree, "a.txt"),
                        "!unable to list files as the file specified is not a directory: "
                        "FOLDER/root/a.txt");
    assert_string_equal(list(tree, "zzz"), "!error getting stats for path FOLDER/root/zzz: no such "
                                           "file or directory");
    assert_starts(list(tree, "fifo"), "!unable to list files");
}

static void list_is_bounded_in_entries(void **state)
{
    struct tree *tree = *state;
    tree->worker.most_listed = 19; /* 18 in the root, and d/b.txt or d/e */
    assert_string_equal(list(tree, ""), "!error listing files in FOLDER/root: more than 19 "
                                        "entries: list a folder below it");
    tree->worker.most_listed = 21;
    assert_starts(list(tree, ""), "[");
}

static void list_is_bounded_in_bytes(void **state)
{
    struct tree *tree = *state;
    char name[256];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "root/d/e/%0200d", i);
        tree_write(tree, name, "");
    }
    struct cn_localstorage_job *job =
        tree_run(tree, cn_localstorage_list, FL_SLICE_LIT("d"), FL_SLICE_NULL);
    assert_false(job->has_failed);
    assert_int_equal(job->rounds, 1);
    assert_true(job->answer.len > 60000);
    tree_end(&job);
    tree->worker.most_answer_bytes = 50000;
    assert_holds(list(tree, "d"), "a list of more than 50000 bytes");
}

/* Deeper than there are descriptors. */
static void list_and_delete_reach_as_deep_as_create(void **state)
{
    struct tree *tree = *state;
    struct fl_buffer name = {0};
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){64, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 300; i++)
        fl_buffer_append_str(&name, "a/");
    fl_buffer_append_str(&name, "x");
    tree->worker.is_synced = false;
    for (int i = 0; i < 2; i++) {
        tree->worker.root.is_stepwise = i == 1;
        assert_starts(create(tree, fl_buffer_cstr(&name), "\"1 2\""), "{\"fileName\":\"a/a/");
        assert_string_equal(get(tree, fl_buffer_cstr(&name)), "1 2");
        assert_starts(list(tree, "a"), "[\"FOLDER/root/a/a/");
        assert_string_equal(remove_named(tree, fl_buffer_cstr(&name)), "");
        assert_string_equal(list(tree, "a"), "null");
    }
    fl_buffer_fini(&name);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* --- delete --- */

static void delete_removes_files_and_empty_folders(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(remove_named(tree, "a.txt"), "");
    assert_false(tree_has(tree, "root/a.txt"));
    assert_string_equal(remove_named(tree, "d/e"), "");
    assert_false(tree_has(tree, "root/d/e"));
    assert_string_equal(remove_named(tree, "fifo"), "");
    assert_false(tree_has(tree, "root/fifo"));
    assert_string_equal(remove_named(tree, "inside/b.txt"), "");
    assert_false(tree_has(tree, "root/d/b.txt"));
    assert_string_equal(remove_named(tree, "inside"), "");
    assert_false(tree_has(tree, "root/d"));
    assert_true(tree_has(tree, "root/inside"));
}

static void delete_says_what_it_cannot(void **state)
{
    struct tree *tree = *state;
    assert_string_equal(remove_named(tree, "missing"),
                        "!error deleting file FOLDER/root/missing: no such file or directory");
    assert_string_equal(remove_named(tree, "no/where"),
                        "!error deleting file FOLDER/root/no/where: no such file or directory");
    assert_string_equal(remove_named(tree, "d"),
                        "!error deleting file FOLDER/root/d: directory not empty");
    assert_string_equal(remove_named(tree, "up"),
                        "!error deleting file FOLDER/root/secret.txt: no such file or directory");
    assert_string_equal(tree_read(tree, "secret.txt"), "secret");
}

static void delete_leaves_the_root(void **state)
{
    struct tree *tree = *state;
    tree_remove(tree, "root/*");
    assert_string_equal(remove_named(tree, ""),
                        "!error deleting file FOLDER/root: it is the root folder");
    assert_string_equal(remove_named(tree, ".."),
                        "!error deleting file FOLDER/root: it is the root folder");
    assert_true(tree_has(tree, "root"));
}

/* --- too late --- */

static void what_is_past_its_deadline_is_not_begun(void **state)
{
    struct tree *tree = *state;
    struct cn_localstorage_job job = {.operation = cn_localstorage_create,
                                      .name = FL_SLICE_LIT("late"),
                                      .data = FL_SLICE_LIT("5")};
    cn_localstorage_run(&tree->worker, &job);
    assert_true(job.has_failed);
    assert_int_equal(job.error.code, FL_ERR_TIMEOUT);
    assert_false(tree_has(tree, "root/late"));
}

static void a_list_ends_at_its_deadline(void **state)
{
    struct tree *tree = *state;
    struct cn_localstorage_job job = {.deadline_at_ms = 1, .allowed_bytes = 1 << 20};
    cn_localstorage_list(&tree->worker, &job);
    assert_true(job.has_failed);
    assert_int_equal(job.error.code, FL_ERR_TIMEOUT);
    assert_holds(job.error.text, "the deadline passed");
}

#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, open_tree, close_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(create_writes_text_without_its_quotes),
        TREE_TEST(create_decodes_what_happens_to_be_base64),
        TREE_TEST(create_without_a_name_makes_one_each_time),
        TREE_TEST(create_replaces_a_file_and_keeps_its_permissions),
        TREE_TEST(create_writes_through_links_inside_the_root),
        TREE_TEST(create_refuses_what_is_no_file),
        TREE_TEST(a_name_that_is_too_long_is_said_whole),
        TREE_TEST(an_error_is_one_line),
        TREE_TEST(a_full_disk_leaves_the_former_file_and_no_rest),
        TREE_TEST(a_disk_that_fails_to_sync_is_an_error),
        TREE_TEST(short_writes_are_continued),
        TREE_TEST(without_nameless_files_it_works_too),
        TREE_TEST(syncing_is_done_before_the_answer_or_not_at_all),
        TREE_TEST(a_root_that_is_made_again_is_synced_too),
        TREE_TEST(a_crash_leaves_no_half_file_under_the_name),
        TREE_TEST(get_reads_files),
        TREE_TEST(get_says_what_is_not_there),
        TREE_TEST(get_does_not_wait_for_what_is_no_file),
        TREE_TEST(a_file_that_becomes_a_link_is_not_read),
        TREE_TEST(a_file_that_becomes_a_fifo_is_not_waited_for),
        TREE_TEST(a_file_that_becomes_a_link_is_not_written_through),
        TREE_TEST(get_asks_for_memory_before_it_reads),
        TREE_TEST(get_refuses_more_than_an_answer_may_have),
        TREE_TEST(get_reads_files_that_do_not_say_their_size),
        TREE_TEST(get_ends_when_it_gets_no_memory),
        TREE_TEST(create_ends_when_it_gets_no_memory),
        TREE_TEST(list_names_every_file_in_order),
        TREE_TEST(list_goes_around_a_folder_that_may_not_be_read),
        TREE_TEST(list_says_what_is_no_folder),
        TREE_TEST(list_is_bounded_in_entries),
        TREE_TEST(list_is_bounded_in_bytes),
        TREE_TEST(list_and_delete_reach_as_deep_as_create),
        TREE_TEST(delete_removes_files_and_empty_folders),
        TREE_TEST(delete_says_what_it_cannot),
        TREE_TEST(delete_leaves_the_root),
        TREE_TEST(what_is_past_its_deadline_is_not_begun),
        TREE_TEST(a_list_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
