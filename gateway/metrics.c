/* The registry: families, and the series that callers keep pointers to.
 *
 * A series is found by its label values, cleaned and in the order of the text, with a NUL between;
 * the same bytes order the text. Its labels are written out once, when it is made. Series live in
 * an arena and never leave, so a pointer stays good and the number of series has to be bounded:
 *
 *     1 .. GW_SERIES_MAX           every label as given
 *     .. + GW_SERIES_OTHER_MAX     wide labels (topic, path) are "other"
 *     one more                     all the caller's labels are "other"
 *
 * So a peer that invents topics or paths costs a bounded amount of memory and text.
 */
#include <stdlib.h>

#include "gateway/metrics_priv.h"

#define KEY_MAX (GW_LABELS_MAX * (GW_LABEL_VALUE_MAX + 1))

static const uint64_t latency_bounds_ms[] = {1,    2,    3,    4,     5,     6,     8,     10,  13,
                                             16,   20,   25,   30,    40,    50,    65,    80,  100,
                                             130,  160,  200,  250,   300,   400,   500,   650, 800,
                                             1000, 2000, 5000, 10000, 20000, 50000, 100000};

static const uint64_t size_bounds[] = {1024,      2048,       4096,      16384,    65536,
                                       262144,    1048576,    4194304,   16777216, 67108864,
                                       268435456, 1073741824, 4294967296};

/* --- buckets --- */

static void init_buckets(struct gw_buckets *buckets, struct fl_arena *arena, const uint64_t *bounds,
                         size_t count)
{
    buckets->count = (uint32_t)count;
    buckets->bounds = FL_ARENA_ARRAY(arena, uint64_t, count + 1);
    buckets->le = FL_ARENA_ARRAY(arena, struct fl_slice, count + 1);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        buckets->bounds[i] = bounds[i];
        buckets->le[i] =
            fl_arena_copy(arena, fl_slice_of(text, gw_metrics_format((double)bounds[i], text)));
    }
    buckets->le[count] = FL_SLICE_LIT("+Inf");
    uint32_t at = 0;
    for (uint64_t value = 0; value < GW_BUCKET_TABLE; value++) {
        while (at < count && bounds[at] <= value)
            at++;
        buckets->small[value] = (uint8_t)at;
    }
    buckets->after_small = at;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The configuration's bounds, ascending, each once; those that are not positive cannot hold a
 * value and are left out. */
static size_t latency_bounds_of(const struct config_metrics *config, const struct fl_log *log,
                                uint64_t bounds[GW_LATENCY_BUCKETS_MAX])
{
    size_t count = 0, unique = 0;
    for (size_t i = 0; i < config->latency_bucket_count && count < GW_LATENCY_BUCKETS_MAX; i++)
        if (config->latency_buckets_ms[i] > 0)
            bounds[count++] = (uint64_t)config->latency_buckets_ms[i];
    if (log && config->latency_bucket_count > GW_LATENCY_BUCKETS_MAX)
        FL_WARN(log, "dapr.runtime", "metrics: only %d latencyDistributionBuckets are used",
                GW_LATENCY_BUCKETS_MAX);
    qsort(bounds, count, sizeof bounds[0], compare_u64);
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || bounds[unique - 1] != bounds[i])
            bounds[unique++] = bounds[i];
    return unique;
}

static void init_all_buckets(struct gw_metrics *metrics, const struct config_metrics *config,
                             const struct fl_log *log)
{
    uint64_t bounds[GW_LATENCY_BUCKETS_MAX];
    size_t count = config ? latency_bounds_of(config, log, bounds) : 0;
    if (count)
        init_buckets(&metrics->latency, &metrics->arena, bounds, count);
    else
        init_buckets(&metrics->latency, &metrics->arena, latency_bounds_ms,
                     sizeof latency_bounds_ms / sizeof latency_bounds_ms[0]);
    init_buckets(&metrics->size, &metrics->arena, size_bounds,
                 sizeof size_bounds / sizeof size_bounds[0]);
}

/* --- families --- */

static bool is_wide_label(struct fl_slice name)
{
    return fl_slice_eq_str(name, "topic") || fl_slice_eq_str(name, "path");
}

static void add_label(struct gw_family *family, struct fl_slice name, enum gw_label_source source,
                      size_t at)
{
    FL_ASSERT(family->label_count < GW_LABELS_MAX);
    size_t place = family->label_count++;
    while (place > 0 && fl_slice_compare(family->labels[place - 1].name, name) > 0) {
        family->labels[place] = family->labels[place - 1];
        place--;
    }
    family->labels[place] =
        (struct gw_label){.name = name, .source = source, .at = at, .is_wide = is_wide_label(name)};
}

static bool is_family_off(const struct gw_metric_row *row, const struct config_metrics *config)
{
    if (config && !config->is_enabled)
        return true;
    switch (row->gate) {
    case GW_ALWAYS:
        return false;
    case GW_IF_ERROR_CODES:
        return !config || !config->records_error_codes;
    case GW_IF_INCREASED_CARDINALITY:
        return config && !config->has_increased_cardinality;
    }
    return false;
}

void gw_metrics_init_family(struct gw_family *family, const struct gw_metric_row *row,
                            const struct config_metrics *config)
{
    family->row = row;
    family->is_off = is_family_off(row, config);
    add_label(family, FL_SLICE_LIT("app_id"), GW_LABEL_APP_ID, 0);
    if (row->has_namespace)
        add_label(family, FL_SLICE_LIT("namespace"), GW_LABEL_NAMESPACE, 0);
    struct fl_slice rest = fl_slice_str(row->labels);
    for (size_t at = 0; rest.len; at++) {
        size_t len = fl_slice_find_byte(rest, ' ');
        add_label(family, fl_slice_of(rest.data, len), GW_LABEL_VALUE, at);
        size_t skip = len < rest.len ? len + 1 : len;
        rest = fl_slice_of(rest.data + skip, rest.len - skip);
    }
}

void gw_metrics_add_family(struct gw_metrics *metrics, struct gw_family *family)
{
    FL_ASSERT(metrics->family_count < sizeof metrics->ordered / sizeof *metrics->ordered);
    size_t place = metrics->family_count++;
    for (; place > 0; place--) {
        if (strcmp(metrics->ordered[place - 1]->row->name, family->row->name) < 0)
            break;
        metrics->ordered[place] = metrics->ordered[place - 1];
    }
    metrics->ordered[place] = family;
}

struct gw_metrics *gw_metrics_new(const struct gw_metrics_settings *settings)
{
    const struct config_metrics *config = settings->config;
    struct gw_metrics *metrics = fl_zalloc(sizeof *metrics);
    metrics->app_id = fl_arena_copy(&metrics->arena, settings->app_id);
    metrics->name_space = fl_arena_copy(&metrics->arena, settings->name_space);
    metrics->boot_s = gw_metrics_boot_time_s();
    metrics->has_increased_cardinality = !config || config->has_increased_cardinality;
    metrics->excludes_verbs = config && config->excludes_verbs;
    metrics->is_off = config && !config->is_enabled;
    init_all_buckets(metrics, config, settings->log);
    for (size_t i = 0; i < GW_METRIC_COUNT; i++) {
        gw_metrics_init_family(&metrics->families[i], &gw_metric_rows[i], config);
        gw_metrics_add_family(metrics, &metrics->families[i]);
    }
    if (config) {
        gw_metrics_add_rules(metrics, config, settings->log);
        gw_metrics_add_patterns(metrics, config, settings->log);
    }
    return metrics;
}

void gw_metrics_free(struct gw_metrics **metrics)
{
    if (!*metrics)
        return;
    gw_metrics_fini_rules(*metrics);
    for (size_t i = 0; i < (*metrics)->family_count; i++)
        fl_map_fini(&(*metrics)->ordered[i]->series);
    fl_arena_fini(&(*metrics)->arena);
    FL_FREE(*metrics);
}

/* --- label values --- */

/* Copies at most GW_LABEL_VALUE_MAX bytes of UTF-8, whole characters; what is not UTF-8, and NUL,
 * which ends a value in the key, becomes '?'. A peer chooses these bytes. */
static size_t clean_value(struct fl_slice value, char out[GW_LABEL_VALUE_MAX + 1])
{
    size_t len = 0;
    while (value.len) {
        bool is_ascii = (unsigned char)value.data[0] < 0x80;
        size_t bytes = is_ascii ? 1 : fl_utf8_sequence(value);
        size_t step = bytes ? bytes : 1;
        if (len + step > GW_LABEL_VALUE_MAX)
            break;
        if (bytes && value.data[0])
            memcpy(out + len, value.data, step);
        else
            out[len] = '?';
        len += step;
        value = fl_slice_of(value.data + step, value.len - step);
    }
    out[len] = 0;
    return len;
}

/* How much of the labels is given up. */
enum fold { FOLD_NONE, FOLD_WIDE, FOLD_ALL, FOLD_COUNT };

static bool is_folded(const struct gw_label *label, enum fold fold)
{
    return label->source == GW_LABEL_VALUE &&
           (fold == FOLD_ALL || (fold == FOLD_WIDE && label->is_wide));
}

static struct fl_slice value_of(const struct gw_metrics *metrics, const struct gw_label *label,
                                const struct fl_slice *values)
{
    switch (label->source) {
    case GW_LABEL_APP_ID:
        return metrics->app_id;
    case GW_LABEL_NAMESPACE:
        return metrics->name_space;
    case GW_LABEL_VALUE:
        return values[label->at];
    }
    return FL_SLICE_NULL;
}

static size_t make_key(const struct gw_metrics *metrics, const struct gw_family *family,
                       const struct fl_slice *values, enum fold fold, char key[KEY_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < family->label_count; i++) {
        const struct gw_label *label = &family->labels[i];
        struct fl_slice value =
            is_folded(label, fold) ? FL_SLICE_LIT("other") : value_of(metrics, label, values);
        char *start = key + len;
        clean_value(value, start);
        if (label->rules && *start)
            gw_rules_apply(label->rules, start);
        len += strlen(start) + 1;
    }
    return len;
}

static void append_escaped(struct fl_buffer *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n') {
            fl_buffer_append_str(out, "\\n");
            continue;
        }
        if (*value == '\\' || *value == '"')
            fl_buffer_append_byte(out, '\\');
        fl_buffer_append_byte(out, *value);
    }
}

static struct fl_slice make_label_text(struct gw_metrics *metrics, const struct gw_family *family,
                                       const char *key)
{
    struct fl_buffer text = {0};
    for (size_t i = 0; i < family->label_count; i++) {
        if (i)
            fl_buffer_append_byte(&text, ',');
        fl_buffer_append_slice(&text, family->labels[i].name);
        fl_buffer_append_str(&text, "=\"");
        append_escaped(&text, key);
        fl_buffer_append_byte(&text, '"');
        key += strlen(key) + 1;
    }
    struct fl_slice copy = fl_arena_copy(&metrics->arena, fl_buffer_slice(&text));
    fl_buffer_fini(&text);
    return copy;
}

/* --- series --- */

static struct gw_series *make_series(struct gw_metrics *metrics, const struct gw_family *family)
{
    struct gw_series *series = FL_ARENA_NEW(&metrics->arena, struct gw_series);
    enum gw_metric_kind kind = family->row->kind;
    if (kind == GW_LATENCIES || kind == GW_SIZES) {
        struct gw_histogram *histogram = &series->histogram;
        histogram->buckets = kind == GW_LATENCIES ? &metrics->latency : &metrics->size;
        histogram->counts =
            FL_ARENA_ARRAY(&metrics->arena, uint64_t, (size_t)histogram->buckets->count + 1);
    }
    return series;
}

static struct gw_series *add_series(struct gw_metrics *metrics, struct gw_family *family,
                                    struct fl_slice key)
{
    struct gw_series *series = make_series(metrics, family);
    series->labels = make_label_text(metrics, family, key.data);
    fl_map_set(&family->series, key, series);
    return series;
}

static bool has_room(const struct gw_family *family, enum fold fold)
{
    switch (fold) {
    case FOLD_NONE:
        return fl_map_count(&family->series) < GW_SERIES_MAX;
    case FOLD_WIDE:
        return fl_map_count(&family->series) < GW_SERIES_MAX + GW_SERIES_OTHER_MAX;
    case FOLD_ALL:
    case FOLD_COUNT:
        break;
    }
    return true;
}

static void count_folded(struct gw_metrics *metrics, struct gw_family *family)
{
    struct fl_slice name = fl_slice_str(family->row->name);
    if (!family->folded)
        family->folded = gw_metrics_counter(metrics, GW_METRICS_FOLDED_TOTAL, &name);
    gw_counter_add(family->folded, 1);
}

static struct gw_series *find_series(struct gw_metrics *metrics, struct gw_family *family,
                                     const struct fl_slice *values)
{
    char key[KEY_MAX];
    for (enum fold fold = FOLD_NONE; fold < FOLD_COUNT; fold++) {
        struct fl_slice k = fl_slice_of(key, make_key(metrics, family, values, fold, key));
        struct gw_series *series = fl_map_find(&family->series, k);
        if (!series && has_room(family, fold))
            series = add_series(metrics, family, k);
        if (!series)
            continue;
        if (fold != FOLD_NONE)
            count_folded(metrics, family);
        return series;
    }
    FL_ASSERT(!"the last fold always has room");
    return NULL;
}

struct gw_series *gw_metrics_series(struct gw_metrics *metrics, struct gw_family *family,
                                    const struct fl_slice *values)
{
    if (!family->is_off)
        return find_series(metrics, family, values);
    if (!family->sink)
        family->sink = make_series(metrics, family);
    return family->sink;
}

struct gw_counter *gw_metrics_counter(struct gw_metrics *metrics, enum gw_metric metric,
                                      const struct fl_slice *values)
{
    FL_ASSERT(gw_metric_rows[metric].kind == GW_COUNTER);
    return &gw_metrics_series(metrics, &metrics->families[metric], values)->counter;
}

struct gw_gauge *gw_metrics_gauge(struct gw_metrics *metrics, enum gw_metric metric,
                                  const struct fl_slice *values)
{
    FL_ASSERT(gw_metric_rows[metric].kind == GW_GAUGE);
    return &gw_metrics_series(metrics, &metrics->families[metric], values)->gauge;
}

struct gw_histogram *gw_metrics_histogram(struct gw_metrics *metrics, enum gw_metric metric,
                                          const struct fl_slice *values)
{
    FL_ASSERT(gw_metric_rows[metric].kind == GW_LATENCIES ||
              gw_metric_rows[metric].kind == GW_SIZES);
    return &gw_metrics_series(metrics, &metrics->families[metric], values)->histogram;
}

void gw_metrics_set_scrape_hook(struct gw_metrics *metrics, gw_metrics_scrape_fn *fn, void *context)
{
    metrics->on_scrape = fn;
    metrics->scrape_context = context;
}
