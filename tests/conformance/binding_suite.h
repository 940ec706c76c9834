/* The promises of connectors/connector.h to bindings, as one list of tests, run for any connector
 * of "bindings." types.
 *
 * A connector gives a subject: its type, its settings, calls that succeed, and functions that start
 * and stop its peer if it has one. A type with `operations` is tried as an output, one with
 * `subscribe` as an input; what a promise needs and the subject does not give is skipped by name.
 *
 * A program on this suite includes binding_suite.c and fake_gateway.c, as those of the connector
 * suite include theirs.
 *
 * Thread: one.
 */
#ifndef BINDING_SUITE_H
#define BINDING_SUITE_H

#include "config/values.h"
#include "connectors/connector.h"

struct binding_subject;

/* NULL, or why the whole suite is skipped. May fill `values`. */
typedef const char *binding_start_fn(struct binding_subject *subject);
typedef void binding_act_fn(struct binding_subject *subject);

/* A call that succeeds however often it is made, also several times at once. */
struct binding_sample {
    const char *operation;
    struct fl_slice data; /* JSON text; null: the four bytes `null` */
    const struct ce_metadata *metadata;
    size_t metadata_count;
};

struct binding_subject {
    const char *name; /* in the output */
    const struct connector_type *type;
    const struct config_value *values; /* as they would stand in YAML */
    size_t value_count;
    const struct binding_sample *samples; /* one for each operation at best */
    size_t sample_count;
    int64_t patience_ms; /* longest wait for what has to come; 0 = 5 s */
    int64_t quiet_ms;    /* how long nothing must come to believe that nothing will; 0 = 20 ms */
    binding_start_fn *start; /* all that follow may be NULL */
    binding_act_fn *stop;
    binding_act_fn *cause;  /* input: makes one event happen; NULL: events come by themselves */
    binding_act_fn *stall;  /* output: from now on no call to the peer ends */
    binding_act_fn *resume; /* ends that */
    void *context;          /* the subject's own */
};

/* Runs all; the number of failures, as cmocka's group has it. */
int binding_suite_run(struct binding_subject *subject);

#endif
