/* bindings.cron against the binding suite. Its events come by themselves.
 *
 * The suite's sources are included, since every program here is made of one file and the archives.
 */
#include "connectors/cron/cron.h"

#include "tests/conformance/binding_suite.c"
#include "tests/conformance/fake_gateway.c"

int main(void)
{
    static const struct config_value interval[] = {
        {.name = FL_SLICE_LIT("schedule"), .value = FL_SLICE_LIT("@every 2ms")},
    };
    static const struct config_value shortest[] = {
        {.name = FL_SLICE_LIT("schedule"), .value = FL_SLICE_LIT("TZ=UTC @every 0s")},
    };
    struct binding_subject every = {
        .name = "cron, 2 ms", .type = &cn_cron_type, .values = interval, .value_count = 1};
    struct binding_subject without_pause = {
        .name = "cron, shortest", .type = &cn_cron_type, .values = shortest, .value_count = 1};
    return binding_suite_run(&every) + binding_suite_run(&without_pause);
}
