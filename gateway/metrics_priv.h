/* What the files of the metrics share: the table's rows, families with their series, rules.
 *
 * metrics_table.c has the rows, metrics.c finds and makes series, metrics_rules.c rewrites label
 * values, metrics_path.c makes path and method labels, metrics_connector.c has what connectors
 * count, metrics_text.c and metrics_process.c write.
 *
 * Thread: the loop's.
 */
#ifndef FL_GATEWAY_METRICS_PRIV_H
#define FL_GATEWAY_METRICS_PRIV_H

#include <regex.h>

#include "base/arena.h"
#include "base/map.h"
#include "gateway/metrics.h"

#define GW_LABELS_MAX 8
#define GW_RULE_GROUPS_MAX 10
#define GW_RULE_PATTERN_MAX 512

enum gw_metric_kind { GW_COUNTER, GW_GAUGE, GW_LATENCIES, GW_SIZES };

/* When a family records at all, apart from metrics being on. */
enum gw_metric_gate { GW_ALWAYS, GW_IF_ERROR_CODES, GW_IF_INCREASED_CARDINALITY };

struct gw_metric_row {
    const char *name;
    enum gw_metric_kind kind;
    enum gw_metric_gate gate;
    bool has_namespace; /* the registry adds its own; false also where the caller gives one */
    const char *labels; /* the caller's, alphabetical, one space between; app_id is always added */
    const char *help;   /* one sentence without a full stop */
};

extern const struct gw_metric_row gw_metric_rows[GW_METRIC_COUNT];

/* One compiled replacement of a label's values. */
struct gw_rule {
    struct gw_rule *next;     /* of the same label */
    struct gw_rule *next_all; /* of the registry */
    regex_t regex;
    struct fl_slice replacement;
    uint8_t groups[GW_RULE_GROUPS_MAX]; /* number in the user's pattern to ours; 0: none */
};

enum gw_label_source { GW_LABEL_APP_ID, GW_LABEL_NAMESPACE, GW_LABEL_VALUE };

struct gw_label {
    struct fl_slice name;
    enum gw_label_source source;
    size_t at;    /* which of the caller's values */
    bool is_wide; /* a peer or a user chooses it freely: first to become "other" */
    struct gw_rule *rules;
};

struct gw_series {
    struct fl_slice labels; /* as they stand between the braces */
    union {
        struct gw_counter counter;
        struct gw_gauge gauge;
        struct gw_histogram histogram;
    };
};

struct gw_family {
    const struct gw_metric_row *row;
    struct gw_label labels[GW_LABELS_MAX]; /* sorted by name */
    size_t label_count;
    bool is_off;
    struct gw_series *sink;    /* of a family that is off; made when first asked for */
    struct gw_counter *folded; /* made when first needed */
    struct fl_map series;      /* key: the label values in order, a NUL between */
};

struct gw_metrics {
    struct fl_arena arena; /* series, texts, rules */
    struct fl_slice app_id, name_space;
    bool has_increased_cardinality, excludes_verbs, is_off;
    struct fl_slice *patterns; /* of paths, as they show */
    size_t pattern_count;
    struct gw_buckets latency, size;
    struct gw_rule *all_rules;
    double boot_s; /* since 1970 */
    struct gw_family families[GW_METRIC_COUNT];
    struct gw_family *ordered[GW_METRIC_COUNT + GW_CONNECTOR_FAMILIES_MAX]; /* as in the text */
    size_t family_count; /* of `ordered`: those of the table, then connectors' too */
    gw_metrics_scrape_fn *on_scrape;
    void *scrape_context;
};

/* --- metrics.c --- */

void gw_metrics_init_family(struct gw_family *family, const struct gw_metric_row *row,
                            const struct config_metrics *config);
/* Puts a family among those that are rendered, by its name. */
void gw_metrics_add_family(struct gw_metrics *metrics, struct gw_family *family);
struct gw_series *gw_metrics_series(struct gw_metrics *metrics, struct gw_family *family,
                                    const struct fl_slice *values);

/* --- metrics_rules.c --- */

/* Compiles the configuration's rules into the families' labels; what does not compile is logged. */
void gw_metrics_add_rules(struct gw_metrics *metrics, const struct config_metrics *config,
                          const struct fl_log *log);
void gw_metrics_fini_rules(struct gw_metrics *metrics);
/* Rewrites the NUL-terminated `value` (GW_LABEL_VALUE_MAX + 1 bytes) in place. */
void gw_rules_apply(const struct gw_rule *rules, char *value);

/* --- metrics_path.c --- */

void gw_metrics_add_patterns(struct gw_metrics *metrics, const struct config_metrics *config,
                             const struct fl_log *log);

/* --- metrics_text.c --- */

/* Go's shortest form that reads back as the same number; returns the length, at most 31. */
size_t gw_metrics_format(double value, char text[32]);
void gw_metrics_render_head(struct fl_buffer *out, const char *name, const char *type,
                            const char *help);

/* --- metrics_process.c --- */

/* `boot_s`: when the machine started, in seconds since 1970. */
void gw_metrics_render_process(struct fl_buffer *out, double boot_s);
double gw_metrics_boot_time_s(void);

#endif
