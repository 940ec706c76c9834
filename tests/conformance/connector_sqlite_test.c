/* pubsub.sqlite against the connector suite, on a file in a scratch folder.
 *
 * The suite's sources are included, since every program here is made of one file and the archives.
 */
#include "connectors/sqlite/sqlite.h"

#include <ftw.h>
#include <unistd.h>

#include "tests/conformance/connector_suite.c"
#include "tests/conformance/fake_gateway.c"

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

int main(void)
{
    char folder[] = "/tmp/fairlead-suite-XXXXXX", path[64];
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/broker.db", folder);
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("connectionString"), .value = fl_slice_str(path)},
        {.name = FL_SLICE_LIT("leaseTime"), .value = FL_SLICE_LIT("2s")},
    };
    struct suite_subject subject = {.name = "sqlite",
                                    .type = &cn_sqlite_type,
                                    .values = values,
                                    .value_count = sizeof values / sizeof *values,
                                    .quiet_ms = 60};
    int failed = connector_suite_run(&subject);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}
