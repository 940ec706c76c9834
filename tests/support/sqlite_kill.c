/* Ends the gateway with SIGKILL at a named point of a message's way. Preloaded (LD_PRELOAD) by
 * tests/integration/sqlite/kill_test.py, which compiles it.
 *
 *   insert   the statement that stores a message was stepped, inside the transaction
 *   commit   COMMIT has returned
 *   answer   the answer 204 is about to be written to a client
 *   verdict  an answer 2xx of the application was read
 *   settle   the statement that settles claims is about to be stepped
 *
 * KILL_POINT names the point, KILL_PAGE a file of two integers which the test maps as well: how
 * often the point has still to be passed (0: not armed), and whether it was the end. The calls are
 * seen by standing before those of the C library and of SQLite; SQLite's own are looked up when
 * first needed, since the module that brings the library is opened late.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct sqlite3_stmt sqlite3_stmt;
typedef int step_fn(sqlite3_stmt *);
typedef const char *sql_fn(sqlite3_stmt *);
typedef ssize_t send_fn(int, const void *, size_t, int);
typedef ssize_t sendmsg_fn(int, const struct msghdr *, int);
typedef ssize_t read_fn(int, void *, size_t);

int sqlite3_step(sqlite3_stmt *statement);

enum point { NONE, INSERT, COMMIT, ANSWER, VERDICT, SETTLE };
static const char *const names[] = {"none", "insert", "commit", "answer", "verdict", "settle"};

struct page {
    _Atomic int left, is_hit;
};

static enum point point;
static struct page *page;
static step_fn *real_step;
static sql_fn *real_sql;
static send_fn *real_send;
static sendmsg_fn *real_sendmsg;
static read_fn *real_read;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("KILL_POINT"), *path = getenv("KILL_PAGE");
    *(void **)&real_send = dlsym(RTLD_NEXT, "send");
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    *(void **)&real_read = dlsym(RTLD_NEXT, "read");
    int fd = name && path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *memory = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return;
    page = memory;
    for (int i = INSERT; i <= SETTLE; i++) {
        if (strcmp(name, names[i]) == 0)
            point = (enum point)i;
    }
}

/* The session and the loop are two threads, so only the one that counts to zero ends it. */
static void pass(enum point passed)
{
    if (passed != point || !page || atomic_load(&page->left) <= 0)
        return;
    if (atomic_fetch_sub(&page->left, 1) != 1)
        return;
    atomic_store(&page->is_hit, 1);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool starts(const void *data, size_t len, const char *with)
{
    size_t most = strlen(with);
    return len >= most && memcmp(data, with, most) == 0;
}

/* --- SQLite --- */

static void find_sqlite(void)
{
    void *library = dlopen("libsqlite3.so.0", RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        abort();
    *(void **)&real_step = dlsym(library, "sqlite3_step");
    *(void **)&real_sql = dlsym(library, "sqlite3_sql");
    if (!real_step || !real_sql)
        abort();
}

static bool is_settling(const char *sql)
{
    return strncmp(sql, "DELETE FROM claim ", 18) == 0 || strncmp(sql, "UPDATE claim ", 13) == 0;
}

int sqlite3_step(sqlite3_stmt *statement)
{
    if (!real_step)
        find_sqlite();
    const char *sql = real_sql(statement);
    if (sql && is_settling(sql))
        pass(SETTLE);
    int status = real_step(statement);
    if (sql && strncmp(sql, "INSERT INTO message(", 20) == 0)
        pass(INSERT);
    if (sql && strcmp(sql, "COMMIT") == 0)
        pass(COMMIT);
    return status;
}

/* --- sockets --- */

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    if (starts(data, len, "HTTP/1.1 204"))
        pass(ANSWER);
    return real_send(fd, data, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (message->msg_iovlen > 0 &&
        starts(message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, "HTTP/1.1 204"))
        pass(ANSWER);
    return real_sendmsg(fd, message, flags);
}

ssize_t read(int fd, void *data, size_t room)
{
    ssize_t len = real_read(fd, data, room);
    if (len > 0 && starts(data, (size_t)len, "HTTP/1.1 2"))
        pass(VERDICT);
    return len;
}
