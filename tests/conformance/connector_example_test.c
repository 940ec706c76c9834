/* The example of a connector against the connector suite: pubsub.folder, on a scratch folder.
 *
 * The sources are included, since every program here is made of one file and the archives.
 */
#include "examples/connector/folder.c"
#include "examples/connector/store.c"

#include <ftw.h>

#include "tests/conformance/connector_suite.c"
#include "tests/conformance/fake_gateway.c"

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    int status;
    if (connector_suite_child(argc, argv, &fairlead_connector, &status))
        return status;
    char path[] = "/tmp/fairlead-suite-XXXXXX";
    if (!mkdtemp(path)) {
        perror("mkdtemp");
        return 1;
    }
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("path"), .value = fl_slice_str(path)},
    };
    struct suite_subject subject = {.name = "example",
                                    .type = &fairlead_connector,
                                    .values = values,
                                    .value_count = 1,
                                    .patience_ms = 20000,
                                    .quiet_ms = 40};
    int failed = connector_suite_run(&subject);
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}
