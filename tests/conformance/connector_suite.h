/* The promises of connectors/connector.h as one list of tests, run against any connector.
 *
 * A connector gives a subject: its type, its settings, and functions that start and stop its broker
 * if it has one. Traits decide which promises apply; what does not apply is skipped by name, and a
 * trait that is claimed and does not hold is a failure.
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

struct suite_subject {
    const char *name; /* in the output */
    const struct connector_type *type;
    const struct config_value *values; /* as they would stand in YAML */
    size_t value_count;
    int64_t patience_ms;   /* longest wait for what has to come; 0 = 5 s */
    int64_t quiet_ms;      /* how long nothing must come to believe that nothing will; 0 = 20 ms */
    suite_start_fn *start; /* all four may be NULL */
    suite_act_fn *stop;
    suite_act_fn *kill_broker; /* without warning; NULL: what needs it is skipped */
    suite_act_fn *revive_broker;
    void *context; /* the subject's own */
};

/* Runs all; the number of failures, as cmocka's group has it. */
int connector_suite_run(struct suite_subject *subject);

#endif
