/* The files around the database, with real processes: locks that end with their process, a bell
 * that wakes another one, a ballast on a disk that is full, and what is refused before opening.
 *
 * Read-only and small file systems are mounted by a child in a mount namespace of its own; without
 * the right to do that these cases are skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "connectors/sqlite/guard.h"
#include "connectors/sqlite/store.h"

enum { DEADLINE_MS = 10000, SCHEMA = 3 };

static char folder[64], file[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/guard_test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/broker.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) ? -1 : 0;
}

/* `name` in the folder of this test. Good until the fourth call after. */
static const char *in_folder(const char *name)
{
    static char names[4][256];
    static unsigned next;
    char *text = names[next++ % 4];
    snprintf(text, sizeof names[0], "%s/%s", folder, name);
    return text;
}

static struct cn_guard open_guard(void)
{
    struct cn_guard guard;
    struct fl_error error;
    if (cn_guard_open(&guard, file, &error))
        fail_msg("%s", error.text);
    return guard;
}

/* --- other processes --- */

struct other {
    pid_t pid;
    int to, from; /* pipes */
};

/* What a child does. It ends by returning; 0 is success, 77 a skip. */
typedef int(child_fn)(int from_parent, int to_parent);

static struct other start_other(child_fn *work)
{
    int down[2], up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    struct other other = {fork(), down[1], up[0]};
    if (other.pid == 0) {
        close(down[1]);
        close(up[0]);
        _exit(work(down[0], up[1]));
    }
    close(down[0]);
    close(up[1]);
    return other;
}

static bool is_told(int fd, int timeout_ms)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&watch, 1, timeout_ms) == 1 && read(fd, &byte, 1) == 1;
}

static bool tell(int fd)
{
    return write(fd, "", 1) == 1;
}

static int end_of(struct other *other)
{
    int status;
    close(other->to);
    assert_int_equal(waitpid(other->pid, &status, 0), other->pid);
    close(other->from);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* In a child cmocka's assertions would run the parent's tests on. */
#define CHECK(claim)                                                                               \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "child: %s is false at line %d (%s)\n", #claim, __LINE__,              \
                    strerror(errno));                                                              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static void expect_child(child_fn *work)
{
    struct other other = start_other(work);
    int result = end_of(&other);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
}

/* --- the writer lock --- */

static void guards_of_one_process_exclude_each_other(void **state)
{
    struct cn_guard first = open_guard(), second = open_guard();
    (void)state;
    assert_true(cn_guard_try_lock(&first));
    assert_false(cn_guard_try_lock(&second));
    assert_true(cn_guard_try_lock(&first));
    cn_guard_unlock(&first);
    assert_true(cn_guard_try_lock(&second));
    assert_false(cn_guard_try_lock(&first));
    cn_guard_close(&second);
    assert_true(cn_guard_try_lock(&first));
    cn_guard_close(&first);
}

static int wait_for_the_lock(int from_parent, int to_parent)
{
    struct cn_guard guard;
    struct fl_error error;
    (void)from_parent;
    CHECK(cn_guard_open(&guard, file, &error) == FL_OK);
    CHECK(!cn_guard_try_lock(&guard));
    CHECK(tell(to_parent));
    CHECK(cn_guard_lock(&guard, &error) == FL_OK);
    CHECK(tell(to_parent));
    return 0;
}

static void waits_until_the_other_process_has_written(void **state)
{
    struct cn_guard guard = open_guard();
    (void)state;
    assert_true(cn_guard_try_lock(&guard));
    struct other other = start_other(wait_for_the_lock);
    assert_true(is_told(other.from, DEADLINE_MS));
    assert_false(is_told(other.from, 30));
    cn_guard_unlock(&guard);
    assert_true(is_told(other.from, DEADLINE_MS));
    assert_int_equal(end_of(&other), 0);
    cn_guard_close(&guard);
}

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

static void a_signal_ends_the_wait(void **state)
{
    struct cn_guard first = open_guard(), second = open_guard();
    struct sigaction action = {.sa_handler = do_nothing}, before;
    struct itimerval often = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
    struct fl_error error;
    (void)state;
    assert_true(cn_guard_try_lock(&first));
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    enum fl_err err = cn_guard_lock(&second, &error);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(err, FL_ERR_AGAIN);
    assert_int_equal(error.class, FL_CLASS_RETRY);
    cn_guard_unlock(&first);
    assert_int_equal(cn_guard_lock(&second, &error), FL_OK);
    cn_guard_close(&first);
    cn_guard_close(&second);
}

/* --- owners --- */

static int live_as_seven(int from_parent, int to_parent)
{
    struct cn_guard guard;
    struct fl_error error;
    CHECK(cn_guard_open(&guard, file, &error) == FL_OK);
    CHECK(cn_guard_own(&guard, 7, &error) == FL_OK);
    CHECK(cn_guard_lock(&guard, &error) == FL_OK);
    CHECK(tell(to_parent));
    is_told(from_parent, -1);
    return 0;
}

static void a_killed_process_holds_nothing(void **state)
{
    struct cn_guard guard = open_guard();
    (void)state;
    assert_false(cn_guard_lives(&guard, 7));
    struct other other = start_other(live_as_seven);
    assert_true(is_told(other.from, DEADLINE_MS));
    assert_true(cn_guard_lives(&guard, 7));
    assert_false(cn_guard_lives(&guard, 6));
    assert_false(cn_guard_lives(&guard, 8));
    assert_false(cn_guard_try_lock(&guard));
    kill(other.pid, SIGKILL);
    assert_int_equal(end_of(&other), -SIGKILL);
    assert_false(cn_guard_lives(&guard, 7));
    assert_true(cn_guard_try_lock(&guard));
    cn_guard_close(&guard);
}

static void a_stopped_process_lives(void **state)
{
    struct cn_guard guard = open_guard();
    (void)state;
    struct other other = start_other(live_as_seven);
    assert_true(is_told(other.from, DEADLINE_MS));
    kill(other.pid, SIGSTOP);
    assert_true(cn_guard_lives(&guard, 7));
    kill(other.pid, SIGKILL);
    assert_int_equal(end_of(&other), -SIGKILL);
    assert_false(cn_guard_lives(&guard, 7));
    cn_guard_close(&guard);
}

static void an_owner_is_one_guard_and_knows_itself(void **state)
{
    struct cn_guard first = open_guard(), second = open_guard();
    struct fl_error error;
    (void)state;
    assert_int_equal(cn_guard_own(&first, 1, &error), FL_OK);
    assert_int_equal(cn_guard_own(&first, 1, &error), FL_OK);
    assert_true(cn_guard_lives(&first, 1));
    assert_true(cn_guard_lives(&second, 1));
    assert_int_equal(cn_guard_own(&second, 1, &error), FL_ERR_EXISTS);
    assert_false(second.has_owner);
    assert_true(cn_guard_try_lock(&second));

    assert_int_equal(cn_guard_own(&first, 2, &error), FL_OK);
    assert_false(cn_guard_lives(&second, 1));
    assert_true(cn_guard_lives(&second, 2));
    cn_guard_disown(&first);
    cn_guard_disown(&first);
    assert_false(cn_guard_lives(&first, 2));
    assert_false(cn_guard_lives(&second, 2));
    cn_guard_close(&first);
    cn_guard_close(&second);
}

static void owners_have_a_byte_up_to_the_last_one(void **state)
{
    struct cn_guard first = open_guard(), second = open_guard();
    const uint64_t last = (uint64_t)INT64_MAX - 1;
    struct fl_error error;
    (void)state;
    assert_int_equal(cn_guard_own(&first, 0, &error), FL_OK);
    assert_true(cn_guard_lives(&second, 0));
    assert_int_equal(cn_guard_own(&first, last, &error), FL_OK);
    assert_true(cn_guard_lives(&second, last));
    assert_false(cn_guard_lives(&second, last + 1));
    assert_int_equal(cn_guard_own(&first, last + 1, &error), FL_ERR_INVALID);
    assert_int_equal(cn_guard_own(&first, UINT64_MAX, &error), FL_ERR_INVALID);
    assert_true(cn_guard_lives(&first, last));
    cn_guard_close(&first);
    assert_false(cn_guard_lives(&second, last));
    cn_guard_close(&second);
}

/* --- the bell --- */

static int listen_to_the_bell(int from_parent, int to_parent)
{
    struct cn_guard guard;
    struct fl_error error;
    (void)from_parent;
    CHECK(cn_guard_open(&guard, file, &error) == FL_OK);
    cn_guard_heard(&guard);
    CHECK(tell(to_parent));
    struct pollfd watch = {.fd = guard.notify_fd, .events = POLLIN};
    CHECK(poll(&watch, 1, DEADLINE_MS) == 1);
    CHECK(cn_guard_heard(&guard));
    CHECK(!cn_guard_heard(&guard));
    return 0;
}

static void the_bell_wakes_another_process(void **state)
{
    struct cn_guard guard = open_guard();
    (void)state;
    struct other other = start_other(listen_to_the_bell);
    assert_true(is_told(other.from, DEADLINE_MS));
    cn_guard_ring(&guard);
    assert_int_equal(end_of(&other), 0);
    cn_guard_close(&guard);
}

static void the_bell_does_not_grow_and_collects_nothing(void **state)
{
    struct cn_guard guard = open_guard();
    struct stat found;
    (void)state;
    assert_false(cn_guard_heard(&guard));
    for (int i = 0; i < 20000; i++)
        cn_guard_ring(&guard);
    assert_true(cn_guard_heard(&guard));
    assert_false(cn_guard_heard(&guard));
    assert_int_equal(stat(in_folder("broker.db-bell"), &found), 0);
    assert_int_equal(found.st_size, 1);
    cn_guard_close(&guard);
}

static void a_guard_without_inotify_hears_nothing(void **state)
{
    struct cn_guard guard = open_guard();
    (void)state;
    close(guard.notify_fd);
    guard.notify_fd = -1;
    cn_guard_ring(&guard);
    assert_false(cn_guard_heard(&guard));
    cn_guard_close(&guard);
}

/* --- opening and closing --- */

static mode_t mode_of(const char *name)
{
    struct stat found;
    assert_int_equal(stat(name, &found), 0);
    return found.st_mode & 07777;
}

static void makes_folders_and_files_for_the_user_alone(void **state)
{
    struct cn_guard guard;
    struct fl_error error;
    mode_t before = umask(0);
    (void)state;
    snprintf(file, sizeof file, "%s/a/b/broker.db", folder);
    assert_int_equal(cn_guard_open(&guard, file, &error), FL_OK);
    umask(before);
    assert_int_equal(mode_of(in_folder("a")), 0700);
    assert_int_equal(mode_of(in_folder("a/b")), 0700);
    assert_int_equal(mode_of(in_folder("a/b/broker.db-lock")), 0600);
    assert_int_equal(mode_of(in_folder("a/b/broker.db-bell")), 0600);
    assert_int_equal(access(file, F_OK), -1);
    assert_true(cn_guard_keep_ballast(&guard));
    assert_int_equal(mode_of(in_folder("a/b/broker.db-ballast")), 0600);
    cn_guard_close(&guard);
}

static void opens_no_links_pipes_or_folders(void **state)
{
    struct cn_guard guard;
    struct fl_error error;
    (void)state;
    assert_int_equal(mkfifo(in_folder("broker.db-bell"), 0600), 0);
    assert_int_equal(cn_guard_open(&guard, file, &error), FL_ERR_INVALID);
    assert_non_null(strstr(error.text, "broker.db-bell is not a plain file"));
    assert_false(guard.is_open);
    assert_int_equal(unlink(in_folder("broker.db-lock")), 0);
    assert_int_equal(symlink("elsewhere", in_folder("broker.db-lock")), 0);
    assert_int_equal(cn_guard_open(&guard, file, &error), FL_ERR_SYSTEM);
    assert_int_equal(error.class, FL_CLASS_FATAL);
    assert_int_equal(access(in_folder("elsewhere"), F_OK), -1);
    assert_int_equal(cn_guard_open(&guard, in_folder("broker.db-bell/sub/a"), &error),
                     FL_ERR_SYSTEM);
}

static void closing_is_safe_at_any_time(void **state)
{
    struct cn_guard guard = {0};
    (void)state;
    cn_guard_close(&guard);
    assert_false(cn_guard_is_replaced(&guard));
    assert_true(fcntl(0, F_GETFD) >= 0 || errno == EBADF);
    guard = open_guard();
    int fds[] = {guard.lock_fd, guard.bell_fd, guard.notify_fd};
    cn_guard_close(&guard);
    cn_guard_close(&guard);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fcntl(fds[i], F_GETFD), -1);
}

/* --- the ballast --- */

static void the_ballast_takes_real_blocks(void **state)
{
    struct cn_guard guard = open_guard();
    struct stat found;
    (void)state;
    assert_true(cn_guard_keep_ballast(&guard));
    assert_int_equal(stat(in_folder("broker.db-ballast"), &found), 0);
    assert_int_equal(found.st_size, CN_GUARD_BALLAST_BYTES);
    assert_true(found.st_blocks * 512 >= CN_GUARD_BALLAST_BYTES);
    assert_true(cn_guard_keep_ballast(&guard));

    assert_int_equal(truncate(in_folder("broker.db-ballast"), 0), 0);
    assert_int_equal(truncate(in_folder("broker.db-ballast"), CN_GUARD_BALLAST_BYTES), 0);
    assert_true(cn_guard_keep_ballast(&guard));
    assert_int_equal(stat(in_folder("broker.db-ballast"), &found), 0);
    assert_true(found.st_blocks * 512 >= CN_GUARD_BALLAST_BYTES);

    cn_guard_drop_ballast(&guard);
    cn_guard_drop_ballast(&guard);
    assert_int_equal(access(in_folder("broker.db-ballast"), F_OK), -1);
    cn_guard_close(&guard);
}

/* A namespace of its own with a tmpfs of `options` on the folder "disk"; 77 without the right. */
static int mount_disk(const char *options)
{
    CHECK(mkdir(in_folder("disk"), 0700) == 0);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return 77;
    if (mount("none", in_folder("disk"), "tmpfs", 0, options))
        return 77;
    snprintf(file, sizeof file, "%s/disk/broker.db", folder);
    return 0;
}

/* Writes until the disk says no, at most `limit` bytes; what went in. */
static size_t fill_disk(const char *name, size_t limit)
{
    static const char block[64 * 1024];
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    size_t written = 0;
    while (written < limit) {
        ssize_t len = write(fd, block, sizeof block);
        if (len <= 0)
            break;
        written += (size_t)len;
    }
    close(fd);
    return written;
}

static int give_up_ballast(int from_parent, int to_parent)
{
    struct cn_guard guard;
    struct fl_error error;
    (void)from_parent;
    (void)to_parent;
    int result = mount_disk("size=16m");
    if (result)
        return result;
    CHECK(cn_guard_open(&guard, file, &error) == FL_OK);
    CHECK(cn_guard_keep_ballast(&guard));
    CHECK(fill_disk(in_folder("disk/other"), 64 << 20) < CN_GUARD_BALLAST_BYTES);
    CHECK(fill_disk(in_folder("disk/other"), 64 << 20) == 0);
    cn_guard_heard(&guard);
    cn_guard_ring(&guard);
    CHECK(cn_guard_heard(&guard));
    cn_guard_drop_ballast(&guard);
    CHECK(fill_disk(in_folder("disk/more"), 7 << 20) >= 7 << 20);
    CHECK(!cn_guard_keep_ballast(&guard));
    CHECK(access(in_folder("disk/broker.db-ballast"), F_OK) && errno == ENOENT);
    CHECK(unlink(in_folder("disk/more")) == 0);
    CHECK(cn_guard_keep_ballast(&guard));
    cn_guard_close(&guard);
    return 0;
}

static void the_ballast_is_room_on_a_full_disk(void **state)
{
    (void)state;
    expect_child(give_up_ballast);
}

static int keep_too_much(int from_parent, int to_parent)
{
    struct cn_guard guard;
    struct fl_error error;
    (void)from_parent;
    (void)to_parent;
    int result = mount_disk("size=4m");
    if (result)
        return result;
    CHECK(cn_guard_open(&guard, file, &error) == FL_OK);
    CHECK(!cn_guard_keep_ballast(&guard));
    CHECK(fill_disk(in_folder("disk/all"), 64 << 20) > 3 << 20);
    cn_guard_close(&guard);
    return 0;
}

static void a_ballast_that_does_not_fit_takes_nothing(void **state)
{
    (void)state;
    expect_child(keep_too_much);
}

/* --- the file's identity --- */

static void write_file(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void notices_a_file_that_is_gone_or_another(void **state)
{
    struct cn_guard guard = open_guard();
    (void)state;
    write_file(file, "first");
    assert_false(cn_guard_is_replaced(&guard));
    cn_guard_note_file(&guard);
    assert_false(cn_guard_is_replaced(&guard));
    write_file(file, "changed");
    assert_false(cn_guard_is_replaced(&guard));
    assert_int_equal(rename(file, in_folder("moved.db")), 0);
    assert_true(cn_guard_is_replaced(&guard));
    write_file(file, "second");
    assert_true(cn_guard_is_replaced(&guard));
    cn_guard_note_file(&guard);
    assert_false(cn_guard_is_replaced(&guard));
    assert_int_equal(rename(in_folder("moved.db"), file), 0);
    assert_true(cn_guard_is_replaced(&guard));
    cn_guard_close(&guard);
    assert_false(cn_guard_is_replaced(&guard));
}

static void notices_that_others_have_another_lock(void **state)
{
    struct cn_guard guard = open_guard();
    (void)state;
    write_file(file, "");
    cn_guard_note_file(&guard);
    assert_int_equal(unlink(in_folder("broker.db-lock")), 0);
    assert_true(cn_guard_is_replaced(&guard));
    struct cn_guard second = open_guard();
    assert_true(cn_guard_is_replaced(&guard));
    assert_false(cn_guard_is_replaced(&second));
    cn_guard_close(&second);
    cn_guard_close(&guard);
}

static void a_folder_that_is_gone_is_a_file_that_is_gone(void **state)
{
    struct cn_guard guard;
    struct fl_error error;
    (void)state;
    snprintf(file, sizeof file, "%s/sub/broker.db", folder);
    assert_int_equal(cn_guard_open(&guard, file, &error), FL_OK);
    write_file(file, "");
    cn_guard_note_file(&guard);
    assert_int_equal(rename(in_folder("sub"), in_folder("other")), 0);
    assert_true(cn_guard_is_replaced(&guard));
    write_file(in_folder("sub"), "");
    assert_true(cn_guard_is_replaced(&guard));
    cn_guard_close(&guard);
}

/* --- inspecting --- */

static sqlite3 *open_db(const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    return db;
}

static void make_db(const char *sql)
{
    sqlite3_close(open_db(sql));
}

/* A database of Fairlead's with this schema. */
static void make_ours(int version, const char *more)
{
    char sql[256];
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d; %s",
             CN_APPLICATION_ID, version, more);
    make_db(sql);
}

static void expect_good(const char *path)
{
    struct fl_error error;
    if (cn_guard_inspect(path, SCHEMA, &error))
        fail_msg("%s", error.text);
}

static void expect_refusal(const char *path, enum fl_err code, const char *words)
{
    struct fl_error error = {0};
    enum fl_err err = cn_guard_inspect(path, SCHEMA, &error);
    if (err != code || !strstr(error.text, words))
        fail_msg("%s: %s: %s", path, fl_err_name(err), error.text);
    assert_int_equal(error.code, code);
    assert_int_equal(error.class, FL_CLASS_FATAL);
}

static void network_types_are_known_by_number(void **state)
{
    static const long network[] = {0x6969,     0x517b,     (long)0xff534d42, (long)0xfe534d42,
                                   0x01021997, 0x5346414f, 0x00c36400,       0x0bd00bd0};
    /* tmpfs, ext4, xfs, btrfs, overlay, zfs, f2fs, FUSE */
    static const long here[] = {0x01021994, 0xef53,     0x58465342,       (long)0x9123683e,
                                0x794c7630, 0x2fc12fc1, (long)0xf2f52010, 0x65735546};
    (void)state;
    for (size_t i = 0; i < sizeof network / sizeof *network; i++)
        assert_true(cn_guard_is_network(network[i]));
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        assert_false(cn_guard_is_network(here[i]));
    /* As a long of 32 bits would have it. */
    assert_true(cn_guard_is_network((int32_t)0xff534d42));
    assert_false(cn_guard_is_network(0));
}

static void takes_what_is_missing_or_empty(void **state)
{
    (void)state;
    expect_good(file);
    expect_good(in_folder("a/b/c/broker.db"));
    assert_int_equal(access(in_folder("a"), F_OK), -1);
    assert_int_equal(access(file, F_OK), -1);
    write_file(file, "");
    expect_good(file);
    make_db("VACUUM");
    expect_good(file);
}

static void refuses_what_is_no_plain_file(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)state;
    assert_int_equal(mkdir(file, 0700), 0);
    expect_refusal(file, FL_ERR_INVALID, "broker.db is a folder, not a file");
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    expect_refusal(file, FL_ERR_INVALID, "is a pipe, not a file");
    assert_int_equal(unlink(file), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", file);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    expect_refusal(file, FL_ERR_INVALID, "is a socket, not a file");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("/dev/null", file), 0);
    expect_refusal(file, FL_ERR_INVALID, "is a device, not a file");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("nothing", file), 0);
    expect_refusal(file, FL_ERR_INVALID, "is a symbolic link to nothing, not a file");
}

static void refuses_two_names_of_one_file(void **state)
{
    (void)state;
    make_ours(SCHEMA, "CREATE TABLE t (x)");
    assert_int_equal(link(file, in_folder("other.db")), 0);
    expect_refusal(file, FL_ERR_INVALID, "has 2 names (hard links)");
    assert_int_equal(unlink(in_folder("other.db")), 0);
    expect_good(file);
}

static void refuses_folders_that_are_none(void **state)
{
    (void)state;
    write_file(in_folder("plain"), "");
    expect_refusal(in_folder("plain/broker.db"), FL_ERR_INVALID, "plain is not a folder");
    expect_refusal(in_folder("plain/sub/broker.db"), FL_ERR_SYSTEM, "Not a directory");
    expect_refusal("relative.db", FL_ERR_INVALID, "not an absolute path");
    expect_refusal("", FL_ERR_INVALID, "not an absolute path");
}

static void refuses_what_is_no_database(void **state)
{
    (void)state;
    write_file(file, "abc");
    expect_refusal(file, FL_ERR_INVALID, "broker.db is not a SQLite database");
    write_file(file, "a text that is long enough to be mistaken for the header of a database, if "
                     "only its length were looked at, which it is not");
    expect_refusal(file, FL_ERR_INVALID, "is not a SQLite database");
}

static void refuses_what_is_damaged(void **state)
{
    char page[4096];
    (void)state;
    make_ours(SCHEMA, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))");
    assert_int_equal(truncate(file, 4096 * 3), 0);
    expect_refusal(file, FL_ERR_INVALID, "broker.db is damaged: ");
    assert_int_equal(unlink(file), 0);
    make_ours(SCHEMA, "CREATE TABLE t (x)");
    int fd = open(file, O_RDWR | O_CLOEXEC);
    memset(page, 0xa5, sizeof page);
    assert_int_equal(pwrite(fd, page, sizeof page - 100, 100), sizeof page - 100);
    close(fd);
    expect_refusal(file, FL_ERR_INVALID, "broker.db is damaged: ");
}

static void refuses_other_applications(void **state)
{
    (void)state;
    make_db("PRAGMA application_id=305419896");
    expect_refusal(file, FL_ERR_UNSUPPORTED,
                   "another application: its application_id is 0x12345678 with 0 tables and "
                   "indexes, Fairlead's is 0x464c4452");
    assert_int_equal(unlink(file), 0);
    make_db("CREATE TABLE theirs (x)");
    expect_refusal(file, FL_ERR_UNSUPPORTED, "0x00000000 with 1 tables");
}

static void refuses_newer_schemas_only(void **state)
{
    (void)state;
    make_ours(SCHEMA, "CREATE TABLE t (x)");
    expect_good(file);
    make_ours(SCHEMA - 1, "");
    expect_good(file);
    make_ours(SCHEMA + 1, "");
    expect_refusal(file, FL_ERR_UNSUPPORTED,
                   "has schema 4 of a newer Fairlead, this one knows up to schema 3");
}

static void takes_names_that_mean_something_in_a_uri(void **state)
{
    (void)state;
    snprintf(file, sizeof file, "%s/a%%41?mode=ro#b \xc3\xa9.db", folder);
    make_ours(SCHEMA, "CREATE TABLE t (x)");
    expect_good(file);
    make_ours(SCHEMA + 1, "");
    expect_refusal(file, FL_ERR_UNSUPPORTED, "schema 4");
}

static void makes_nothing_beside_the_file(void **state)
{
    (void)state;
    make_ours(SCHEMA, "PRAGMA journal_mode=WAL; CREATE TABLE t (x)");
    expect_good(file);
    assert_int_equal(access(in_folder("broker.db-wal"), F_OK), -1);
    assert_int_equal(access(in_folder("broker.db-shm"), F_OK), -1);
}

/* Ends as a killed process does: the newest header is in the log and nowhere else. */
static int leave_a_log(int from_parent, int to_parent)
{
    char sql[256];
    sqlite3 *db;
    (void)from_parent;
    (void)to_parent;
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA application_id=%d; "
             "PRAGMA user_version=%d; CREATE TABLE t (x)",
             CN_APPLICATION_ID, SCHEMA + 1);
    CHECK(sqlite3_open(file, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    return 0;
}

static void reads_what_only_the_log_knows(void **state)
{
    (void)state;
    expect_child(leave_a_log);
    expect_refusal(file, FL_ERR_UNSUPPORTED, "has schema 4 of a newer Fairlead");
}

/* A checkpoint that was killed leaves a file shorter than its header says; the log completes it. */
static void a_torn_file_with_its_log_is_whole(void **state)
{
    char sql[160];
    struct stat found;
    (void)state;
    snprintf(sql, sizeof sql,
             "PRAGMA application_id=%d; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; "
             "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))",
             CN_APPLICATION_ID);
    sqlite3 *db = open_db(sql);
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(stat(file, &found), 0);
    assert_true(found.st_size > 4096 * 3);
    assert_int_equal(truncate(file, 4096 * 3), 0);
    expect_good(file);
    sqlite3_close(db);
}

static int hold_alone(int from_parent, int to_parent)
{
    sqlite3 *db;
    CHECK(sqlite3_open(file, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db,
                       "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                       "CREATE TABLE t (x)",
                       NULL, NULL, NULL) == SQLITE_OK);
    CHECK(tell(to_parent));
    is_told(from_parent, -1);
    sqlite3_close(db);
    return 0;
}

static void does_not_judge_what_another_program_holds(void **state)
{
    (void)state;
    struct other other = start_other(hold_alone);
    assert_true(is_told(other.from, DEADLINE_MS));
    expect_good(file);
    assert_int_equal(end_of(&other), 0);
    expect_refusal(file, FL_ERR_UNSUPPORTED, "another application");
}

static int find_busy(int from_parent, int to_parent)
{
    sqlite3 *db;
    (void)from_parent;
    (void)to_parent;
    CHECK(sqlite3_open(file, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_BUSY);
    return 0;
}

static void leaves_the_locks_of_this_process_alone(void **state)
{
    (void)state;
    make_ours(SCHEMA, "CREATE TABLE t (x)");
    sqlite3 *db = open_db("BEGIN EXCLUSIVE");
    expect_good(file);
    expect_child(find_busy);
    sqlite3_close(db);
    assert_int_equal(unlink(file), 0);
    make_ours(SCHEMA, "PRAGMA journal_mode=WAL; CREATE TABLE t (x)");
    db = open_db("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    expect_good(file);
    expect_child(find_busy);
    sqlite3_close(db);
}

static int is_refused(const char *path, enum fl_err code, const char *words)
{
    struct fl_error error = {0};
    errno = 0;
    CHECK(cn_guard_inspect(path, SCHEMA, &error) == code);
    if (!strstr(error.text, words))
        fprintf(stderr, "child: %s\n", error.text);
    CHECK(strstr(error.text, words));
    return 0;
}

static int inspect_read_only(int from_parent, int to_parent)
{
    (void)from_parent;
    (void)to_parent;
    int result = mount_disk("size=1m");
    if (result)
        return result;
    CHECK(cn_guard_inspect(file, SCHEMA, NULL) == FL_OK);
    CHECK(mkdir(in_folder("bound"), 0700) == 0);
    CHECK(mount(in_folder("disk"), in_folder("bound"), NULL, MS_BIND, NULL) == 0);
    CHECK(mount("none", in_folder("bound"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
    if (is_refused(in_folder("bound/broker.db"), FL_ERR_SYSTEM, "is on a read-only file system") ||
        is_refused(in_folder("bound/a/broker.db"), FL_ERR_SYSTEM, "is on a read-only file system"))
        return 1;
    CHECK(cn_guard_inspect(file, SCHEMA, NULL) == FL_OK);
    return 0;
}

static void refuses_a_read_only_mount(void **state)
{
    (void)state;
    expect_child(inspect_read_only);
}

static int inspect_single_mount(int from_parent, int to_parent)
{
    struct statx found;
    (void)from_parent;
    (void)to_parent;
    int result = mount_disk("size=1m");
    if (result)
        return result;
    CHECK(mknod(file, S_IFREG | 0600, 0) == 0);
    CHECK(mknod(in_folder("single.db"), S_IFREG | 0600, 0) == 0);
    CHECK(mount(file, in_folder("single.db"), NULL, MS_BIND, NULL) == 0);
    CHECK(statx(AT_FDCWD, file, 0, STATX_TYPE, &found) == 0);
    if (!(found.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
        return 77;
    CHECK(cn_guard_inspect(file, SCHEMA, NULL) == FL_OK);
    return is_refused(in_folder("single.db"), FL_ERR_INVALID, "mount its folder");
}

static void refuses_a_file_that_is_a_mount(void **state)
{
    (void)state;
    expect_child(inspect_single_mount);
}

static int inspect_as_nobody(int from_parent, int to_parent)
{
    (void)from_parent;
    (void)to_parent;
    if (geteuid() != 0)
        return 77;
    CHECK(chmod(folder, 0755) == 0);
    CHECK(mkdir(in_folder("open"), 0777) == 0 && chmod(in_folder("open"), 0777) == 0);
    CHECK(mknod(in_folder("open/broker.db"), S_IFREG | 0644, 0) == 0);
    CHECK(seteuid(65534) == 0);
    if (is_refused(file, FL_ERR_SYSTEM, "cannot be written by user 65534: Permission denied") ||
        is_refused(in_folder("a/b.db"), FL_ERR_SYSTEM, "cannot be written by user 65534"))
        return 1;
    CHECK(cn_guard_inspect(in_folder("open/other.db"), SCHEMA, NULL) == FL_OK);
    return is_refused(in_folder("open/broker.db"), FL_ERR_SYSTEM,
                      "open/broker.db cannot be written by user 65534: Permission denied");
}

static void refuses_what_the_user_may_not_write(void **state)
{
    (void)state;
    expect_child(inspect_as_nobody);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(guards_of_one_process_exclude_each_other),
        TEST(waits_until_the_other_process_has_written),
        TEST(a_signal_ends_the_wait),
        TEST(a_killed_process_holds_nothing),
        TEST(a_stopped_process_lives),
        TEST(an_owner_is_one_guard_and_knows_itself),
        TEST(owners_have_a_byte_up_to_the_last_one),
        TEST(the_bell_wakes_another_process),
        TEST(the_bell_does_not_grow_and_collects_nothing),
        TEST(a_guard_without_inotify_hears_nothing),
        TEST(makes_folders_and_files_for_the_user_alone),
        TEST(opens_no_links_pipes_or_folders),
        TEST(closing_is_safe_at_any_time),
        TEST(the_ballast_takes_real_blocks),
        TEST(the_ballast_is_room_on_a_full_disk),
        TEST(a_ballast_that_does_not_fit_takes_nothing),
        TEST(notices_a_file_that_is_gone_or_another),
        TEST(notices_that_others_have_another_lock),
        TEST(a_folder_that_is_gone_is_a_file_that_is_gone),
        TEST(network_types_are_known_by_number),
        TEST(takes_what_is_missing_or_empty),
        TEST(refuses_what_is_no_plain_file),
        TEST(refuses_two_names_of_one_file),
        TEST(refuses_folders_that_are_none),
        TEST(refuses_what_is_no_database),
        TEST(refuses_what_is_damaged),
        TEST(refuses_other_applications),
        TEST(refuses_newer_schemas_only),
        TEST(takes_names_that_mean_something_in_a_uri),
        TEST(makes_nothing_beside_the_file),
        TEST(reads_what_only_the_log_knows),
        TEST(a_torn_file_with_its_log_is_whole),
        TEST(does_not_judge_what_another_program_holds),
        TEST(leaves_the_locks_of_this_process_alone),
        TEST(refuses_a_read_only_mount),
        TEST(refuses_a_file_that_is_a_mount),
        TEST(refuses_what_the_user_may_not_write),
    };
    return cmocka_run_group_tests_name("sqlite_guard", tests, NULL, NULL);
}
