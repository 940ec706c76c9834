/* pubsub.in-memory against the connector suite, in both of its modes.
 *
 * The suite's sources are included, since every program here is made of one file and the archives.
 */
#include "connectors/memory/memory.h"

#include "tests/conformance/connector_suite.c"
#include "tests/conformance/fake_gateway.c"

int main(void)
{
    static const struct config_value parallel[] = {
        {.name = FL_SLICE_LIT("concurrencyMode"), .value = FL_SLICE_LIT("parallel")},
    };
    struct suite_subject in_order = {.name = "memory, single", .type = &cn_memory_type};
    struct suite_subject at_once = {
        .name = "memory, parallel",
        .type = &cn_memory_type,
        .values = parallel,
        .value_count = 1,
    };
    return connector_suite_run(&in_order) + connector_suite_run(&at_once);
}
