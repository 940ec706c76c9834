/* Every promise is one test on a connector of its own, opened before and closed after it.
 *
 * Tests say what must come and wait for it; where something must not come, they run the loop for
 * the subject's quiet time. They are written for any order and any number in flight, and look at
 * the traits where a promise depends on them. No wait has an upper bound but the patience, so that
 * a busy machine makes tests slow and not wrong. What the fake gateway watches all the time
 * (windows, answers, the end, the budget back at zero) fails the test in its teardown.
 *
 * The promises stand in one file a theme, each with its list; all are one translation unit.
 */
#include "tests/conformance/connector_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/conformance/suite_support.c"

#include "tests/conformance/suite_child.c"

#include "tests/conformance/suite_backlog.c"
#include "tests/conformance/suite_broker.c"
#include "tests/conformance/suite_callbacks.c"
#include "tests/conformance/suite_groups.c"
#include "tests/conformance/suite_history.c"
#include "tests/conformance/suite_leases.c"
#include "tests/conformance/suite_leaving.c"
#include "tests/conformance/suite_processes.c"
#include "tests/conformance/suite_publish.c"
#include "tests/conformance/suite_settling.c"
#include "tests/conformance/suite_time.c"
#include "tests/conformance/suite_windows.c"

#define THEME(name)                                                                                \
    {                                                                                              \
#name, name##_promises, sizeof name##_promises / sizeof *name##_promises                   \
    }

static const struct theme {
    const char *name;
    const struct CMUnitTest *promises;
    size_t count;
} themes[] = {
    THEME(publish),  THEME(groups),  THEME(history), THEME(windows),
    THEME(settling), THEME(time),    THEME(leases),  THEME(callbacks),
    THEME(leaving),  THEME(backlog), THEME(broker),  THEME(processes),
};

static bool is_asked_for(const struct suite_subject *subject, const char *theme)
{
    const char *at = subject->themes ? strstr(subject->themes, theme) : "";
    size_t len = strlen(theme);
    return !subject->themes || (at && (at[len] == 0 || at[len] == ' '));
}

static int run_themes(struct suite_subject *subject)
{
    struct CMUnitTest *tests = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof themes / sizeof *themes; i++) {
        if (!is_asked_for(subject, themes[i].name))
            continue;
        tests = fl_realloc(tests, sizeof *tests * (count + themes[i].count));
        memcpy(tests + count, themes[i].promises, sizeof *tests * themes[i].count);
        count += themes[i].count;
    }
    for (size_t i = 0; i < count; i++)
        tests[i].initial_state = subject;
    cmocka_set_test_filter(getenv("PROMISE"));
    int failed = _cmocka_run_group_tests(subject->name, tests, count, NULL, NULL);
    fl_free(tests);
    return failed;
}

int connector_suite_run(struct suite_subject *subject)
{
    const char *why_not = subject->start ? subject->start(subject) : NULL;
    if (why_not) {
        print_message("[  SKIPPED ] %s: %s\n", subject->name, why_not);
        return 0;
    }
    int failed = run_themes(subject);
    if (subject->stop)
        subject->stop(subject);
    return failed;
}
