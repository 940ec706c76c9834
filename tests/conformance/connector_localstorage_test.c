/* bindings.localstorage against the binding suite, with and without waiting for the disk.
 *
 * Its peer is the file system, which stalls in fsync(2): the program has one of its own, that waits
 * as one of a dead disk does, whatever signals come.
 */
#include "connectors/localstorage/localstorage.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/conformance/binding_suite.c"
#include "tests/conformance/fake_gateway.c"

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

int fsync(int fd)
{
    pthread_mutex_lock(&disk);
    pthread_mutex_unlock(&disk);
    return (int)syscall(SYS_fsync, fd);
}

static void stall(struct binding_subject *subject)
{
    (void)subject;
    pthread_mutex_lock(&disk);
}

static void resume(struct binding_subject *subject)
{
    (void)subject;
    pthread_mutex_unlock(&disk);
}

/* What an abandoned session uses stays, by its promise. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:open_localstorage\nleak:new_job\n";
}

#define NAMED(text)                                                                                \
    {                                                                                              \
        FL_SLICE_LIT("fileName"), FL_SLICE_LIT(text)                                               \
    }

static const struct ce_metadata kept[] = {NAMED("kept.txt")}, deep[] = {NAMED("a/b/c.txt")};

static const struct binding_sample samples[] = {
    {"create", FL_SLICE_LIT("\"hello there\""), kept, 1}, {"get", FL_SLICE_LIT("null"), kept, 1},
    {"create", FL_SLICE_LIT("{\"a\":[1,2,3]}"), deep, 1}, {"list", FL_SLICE_LIT("null"), NULL, 0},
    {"get", FL_SLICE_LIT("\"ignored\""), deep, 1},
};

int main(void)
{
    char folder[] = "/tmp/localstorage_suite.XXXXXX", root[64], remove[128];
    if (!mkdtemp(folder))
        return 1;
    snprintf(root, sizeof root, "%s/root", folder);
    snprintf(remove, sizeof remove, "rm -rf %s", folder);
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("rootPath"), .value = fl_slice_str(root)},
        {.name = FL_SLICE_LIT("syncWrites"), .value = FL_SLICE_LIT("false")},
    };
    struct binding_subject synced = {
        .name = "localstorage",
        .type = &cn_localstorage_type,
        .values = values,
        .value_count = 1,
        .samples = samples,
        .sample_count = sizeof samples / sizeof *samples,
        .patience_ms = 30000,
        .stall = stall,
        .resume = resume,
    };
    struct binding_subject unsynced = synced;
    unsynced.name = "localstorage, syncWrites: false";
    unsynced.value_count = 2;
    unsynced.stall = unsynced.resume = NULL;
    int failed = binding_suite_run(&synced) + binding_suite_run(&unsynced);
    return failed + (system(remove) != 0);
}
