/* The promises of connectors/connector.h as one list of tests, run against any connector.
 *
 * A connector gives a subject: its type, its settings, and functions that start and stop its broker
 * if it has one. Traits, and which operations there are, decide which promises apply; what does not
 * apply is skipped by name, and a trait that is claimed and does not hold is a failure. Where a new
 * group begins is nobody's promise without `history`, so other promises let a group exist before
 * they publish for it.
 *
 * A program is one file, `connector_<system>_test.c`: it includes connector_suite.c and
 * fake_gateway.c, and its main calls `connector_suite_run`. connector_example_test.c is a short one
 * to begin with. PROMISE='what_a_killed*' in the environment runs some promises only, `themes` of
 * the subject those of some files.
 *
 * Some promises need another process: the suite starts the program itself as a child, with the
 * subject's values, so its main begins with `connector_suite_child`.
 *
 * Thread: one.
 */
#ifndef CONNECTOR_SUITE_H
#define CONNECTOR_SUITE_H

#include "config/values.h"
#include "connectors/connector.h"

struct suite_subject;

/* NULL, or why the whole suite is skipped ("redis-server is not installed"). May fill `values`. */
typedef const char *suite_start_fn(struct suite_subject *subject);
typedef void suite_act_fn(struct suite_subject *subject);
/* Writes the start position at which message `number` (from 1) of a topic comes first. */
typedef void suite_position_fn(size_t number, char *text, size_t room);

struct suite_subject {
    const char *name; /* in the output */
    const struct connector_type *type;
    const struct config_value *values; /* as they would stand in YAML */
    size_t value_count;
    const char *themes;  /* only promises of these themes, such as "leases processes"; NULL: all */
    int64_t patience_ms; /* longest wait for what has to come; 0 = 5 s */
    int64_t quiet_ms;    /* how long nothing must come to believe that nothing will; 0 = 20 ms */
    suite_start_fn *start; /* all that follow may be NULL, then what needs them is skipped */
    suite_position_fn *position;
    suite_act_fn *stop;
    suite_act_fn *kill_broker; /* without warning; what it has confirmed is there when it revives */
    suite_act_fn *revive_broker;
    suite_act_fn *hang_broker; /* it keeps its connections and answers nothing */
    suite_act_fn *resume_broker;
    void *context; /* the subject's own */
};

/* Runs all; the number of failures, as cmocka's group has it. */
int connector_suite_run(struct suite_subject *subject);

/* True when this process is a child of a suite; then its work is done, and *status is for main to
 * return. */
bool connector_suite_child(int argc, char **argv, const struct connector_type *type, int *status);

#endif
