/* Resiliency resources: time limits, retries and circuit breakers, and which of them a component
 * gets.
 *
 * Several resources merge; the last of equal names wins. Targets are resolved when looked up.
 *
 * Ownership: everything lives in the arena given to `config_resiliency_init`. Thread: any, once
 * loaded.
 */
#ifndef FL_CONFIG_RESILIENCY_H
#define FL_CONFIG_RESILIENCY_H

#include "base/map.h"
#include "config/note.h"
#include "config/values.h"
#include "config/yaml.h"

#define CONFIG_RETRY_FOREVER (-1)
#define CONFIG_TRIP_OPS_MAX 64

struct config_code_range {
    int32_t first, last; /* inclusive */
};

struct config_codes {
    struct config_code_range *items;
    size_t count;
    bool is_set; /* absent: every code is retried */
};

struct config_retry {
    struct fl_slice name;
    bool is_exponential; /* 500 ms × 1.5 ± 50 %, at most max_interval_ms, ends after 15 minutes */
    int64_t duration_ms; /* constant */
    int64_t max_interval_ms;
    int64_t max_retries; /* after the first attempt; CONFIG_RETRY_FOREVER */
    struct config_codes http_codes, grpc_codes;
};

struct config_counts {
    uint64_t requests, total_successes, total_failures, consecutive_successes, consecutive_failures;
};

/* A trip expression in postfix. */
struct config_trip_op {
    uint8_t what;
    int64_t number;
};

struct config_trip {
    struct config_trip_op *ops;
    size_t count;
};

struct config_breaker {
    struct fl_slice name;
    int64_t max_requests; /* admitted while half open; > 0 */
    int64_t interval_ms;  /* counts are cleared this often while closed; 0: never */
    int64_t timeout_ms;   /* open for this long; > 0 */
    struct config_trip trip;
};

enum config_direction { CONFIG_INBOUND, CONFIG_OUTBOUND };
enum config_category { CONFIG_CATEGORY_PUBSUB, CONFIG_CATEGORY_BINDING };

/* What applies to one component in one direction. Pointers are borrowed from the resiliency. */
struct config_policy {
    bool is_set;                          /* any of the three */
    int64_t timeout_ms;                   /* per attempt; 0: none */
    const struct config_retry *retry;     /* NULL: one attempt */
    const struct config_breaker *breaker; /* NULL: none */
};

struct config_resiliency {
    struct fl_arena *arena;          /* borrowed */
    struct fl_map timeouts;          /* int64_t * milliseconds */
    struct fl_map retries;           /* struct config_retry * */
    struct fl_map breakers;          /* struct config_breaker * */
    struct fl_map components;        /* private: targets by component name */
    struct config_list names;        /* of all resources loaded, for metadata */
    struct fl_slice name, namespace; /* of the last one loaded, for metric labels */
};

/* With the built-in policies inside. */
void config_resiliency_init(struct config_resiliency *resiliency, struct fl_arena *arena);
void config_resiliency_fini(struct config_resiliency *resiliency);

/* Decodes one document over what is there; what was decoded before an error stays. */
enum fl_err config_resiliency_decode(struct config_resiliency *resiliency,
                                     const struct config_node *root, struct config_notes *notes,
                                     bool is_strict, struct fl_error *error) FL_MUST_USE;

/* After the last document: a target that names an undefined breaker is an error (daprd panics), an
 * undefined retry or time limit a warning. */
enum fl_err config_resiliency_check(const struct config_resiliency *resiliency,
                                    struct config_notes *notes, bool is_strict,
                                    struct fl_error *error) FL_MUST_USE;

/* After the last component: a target that names none of them (the keys of `components`) is
 * doubtful.
 */
enum fl_err config_resiliency_check_targets(const struct config_resiliency *resiliency,
                                            const struct fl_map *components,
                                            struct config_notes *notes, bool is_strict,
                                            struct fl_error *error) FL_MUST_USE;

/* The component's target, or the first of the default names that exists. A component that is listed
 * under targets at all gets no defaults. */
struct config_policy config_resiliency_find(const struct config_resiliency *resiliency,
                                            struct fl_slice component,
                                            enum config_direction direction,
                                            enum config_category category);

/* A retry policy by name, such as "DaprBuiltInInitializationRetries"; NULL when undefined. */
const struct config_retry *config_resiliency_retry(const struct config_resiliency *resiliency,
                                                   const char *name);

/* Whether an answer with this HTTP status is tried again under the policy (its count aside).
 * `http_status` 0: an error without a code, which always is. */
bool config_retry_matches(const struct config_retry *retry, int32_t http_status);

/* Whether the breaker opens. An expression that fails (division by zero) does not trip. */
bool config_trip_is_met(const struct config_trip *trip, const struct config_counts *counts);

/* Compiles an expression over requests, totalSuccesses, totalFailures, consecutiveSuccesses and
 * consecutiveFailures: integers, + - * / %, comparisons, && || !, parentheses. */
enum fl_err config_trip_parse(struct fl_slice text, struct fl_arena *arena,
                              struct config_trip *trip, struct fl_error *error) FL_MUST_USE;

#endif
