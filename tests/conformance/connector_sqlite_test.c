/* pubsub.sqlite against the connector suite, on files in scratch folders: once with a lease that no
 * test outlives, and once with a short one for what happens when it ends.
 *
 * The broker "goes away" when something else stands in the place of its file, and "hangs" while
 * another process holds the writer lock.
 *
 * The suite's sources are included, since every program here is made of one file and the archives.
 */
#include "connectors/sqlite/sqlite.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/connector_suite.c"
#include "tests/conformance/fake_gateway.c"

struct place {
    char folder[64];
    char file[96], away[96], garbage[96], lock[96];
    int lock_fd; /* while it is held */
};

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void require_place(bool claim, const char *what)
{
    if (claim)
        return;
    perror(what);
    exit(1);
}

static void make_place(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "/tmp/fairlead-suite-XXXXXX");
    require_place(mkdtemp(place->folder) != NULL, "mkdtemp");
    snprintf(place->file, sizeof place->file, "%s/broker.db", place->folder);
    snprintf(place->away, sizeof place->away, "%s/away.db", place->folder);
    snprintf(place->garbage, sizeof place->garbage, "%s/garbage.db", place->folder);
    snprintf(place->lock, sizeof place->lock, "%s/broker.db-lock", place->folder);
    place->lock_fd = -1;
}

/* In one step, so that the connector never finds no file there and makes a new one. */
static void put_garbage(struct suite_subject *subject)
{
    struct place *place = subject->context;
    FILE *garbage = fopen(place->garbage, "w");
    require_place(garbage != NULL, place->garbage);
    for (int i = 0; i < 1000; i++)
        fputs("This is no database. ", garbage);
    fclose(garbage);
    require_place(link(place->file, place->away) == 0, "link");
    require_place(rename(place->garbage, place->file) == 0, "rename");
}

static void put_back(struct suite_subject *subject)
{
    const struct place *place = subject->context;
    require_place(rename(place->away, place->file) == 0, "rename");
}

static void hold_writer_lock(struct suite_subject *subject)
{
    struct place *place = subject->context;
    struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    place->lock_fd = open(place->lock, O_RDWR | O_CLOEXEC);
    require_place(place->lock_fd >= 0, place->lock);
    require_place(fcntl(place->lock_fd, F_OFD_SETLKW, &byte) == 0, "lock");
}

static void give_writer_lock(struct suite_subject *subject)
{
    struct place *place = subject->context;
    close(place->lock_fd);
    place->lock_fd = -1;
}

static void write_position(size_t number, char *text, size_t room)
{
    snprintf(text, room, "%zu", number);
}

static int run(const char *name, const char *lease, const char *only)
{
    struct place place;
    make_place(&place);
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("connectionString"), .value = fl_slice_str(place.file)},
        {.name = FL_SLICE_LIT("leaseTime"), .value = fl_slice_str(lease)},
    };
    struct suite_subject subject = {.name = name,
                                    .type = &cn_sqlite_type,
                                    .values = values,
                                    .value_count = sizeof values / sizeof *values,
                                    .themes = only,
                                    .patience_ms = 20000,
                                    .quiet_ms = 40,
                                    .position = write_position,
                                    .kill_broker = put_garbage,
                                    .revive_broker = put_back,
                                    .hang_broker = hold_writer_lock,
                                    .resume_broker = give_writer_lock,
                                    .context = &place};
    int failed = connector_suite_run(&subject);
    nftw(place.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}

int main(int argc, char **argv)
{
    int status;
    if (connector_suite_child(argc, argv, &cn_sqlite_type, &status))
        return status;
    return run("sqlite", "30s", NULL) + run("sqlite, short leases", "400ms", "leases");
}
