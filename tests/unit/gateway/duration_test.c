/* Durations as Go prints them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/duration.h"

static void prints_as_go_does(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ms"},
        {999, "999ms"},
        {1000, "1s"},
        {1500, "1.5s"},
        {5001, "5.001s"},
        {59999, "59.999s"},
        {60000, "1m0s"},
        {90500, "1m30.5s"},
        {180000, "3m0s"},
        {3600000, "1h0m0s"},
        {3661001, "1h1m1.001s"},
        {86400000, "24h0m0s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buffer out = {0};
        gw_duration_append(&out, cases[i].ms);
        assert_string_equal(fl_buffer_cstr(&out), cases[i].text);
        fl_buffer_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prints_as_go_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
