/* The Prometheus text, version 0.0.4, as Go's client library writes it.
 *
 * Families by name, series by their label values, labels by name, numbers in Go's shortest form:
 * a text of ours and one of daprd's can be compared line by line. Only the numbers are made here;
 * label texts were written when the series was made.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/metrics_priv.h"

/* From here on Go writes an exponent; below, plain decimals. */
#define EXPONENT_FROM 6

/* Digits with the exponent behind, for whole numbers that a double holds exactly. */
static size_t format_large(uint64_t value, char text[32])
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    int exponent = count - 1;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return (size_t)snprintf(text, 32, "%c%s%.*se+%02d", digits[0], count > 1 ? "." : "", count - 1,
                            digits + 1, exponent);
}

/* Fewest digits that read back the same. */
static size_t format_any(double value, char text[32])
{
    int precision = 0;
    for (; precision < 17; precision++) {
        snprintf(text, 32, "%.*e", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    const char *mark = strchr(text, 'e');
    int exponent = mark ? atoi(mark + 1) : 0;
    if (exponent < -4 || exponent >= EXPONENT_FROM)
        return strlen(text);
    return (size_t)snprintf(text, 32, "%.*f", precision > exponent ? precision - exponent : 0,
                            value);
}

size_t gw_metrics_format(double value, char text[32])
{
    if (isnan(value))
        return (size_t)snprintf(text, 32, "NaN");
    if (isinf(value))
        return (size_t)snprintf(text, 32, value > 0 ? "+Inf" : "-Inf");
    if (value >= 0 && value < 9007199254740992.0 && value == (double)(uint64_t)value) {
        if (value >= 1e6)
            return format_large((uint64_t)value, text);
        return (size_t)snprintf(text, 32, "%u", (unsigned)value);
    }
    return format_any(value, text);
}

void gw_metrics_render_head(struct fl_buffer *out, const char *name, const char *type,
                            const char *help)
{
    fl_buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* One line; a null `le` leaves that label out. */
static void render_sample(struct fl_buffer *out, struct fl_slice name, const char *suffix,
                          struct fl_slice labels, struct fl_slice le, double value)
{
    char number[32];
    size_t number_len = gw_metrics_format(value, number);
    fl_buffer_append_slice(out, name);
    fl_buffer_append_str(out, suffix);
    fl_buffer_append_byte(out, '{');
    fl_buffer_append_slice(out, labels);
    if (!fl_slice_is_null(le)) {
        fl_buffer_append_str(out, ",le=\"");
        fl_buffer_append_slice(out, le);
        fl_buffer_append_byte(out, '"');
    }
    fl_buffer_append_str(out, "} ");
    fl_buffer_append(out, number, number_len);
    fl_buffer_append_byte(out, '\n');
}

static void render_histogram(struct fl_buffer *out, struct fl_slice name, struct fl_slice labels,
                             const struct gw_histogram *histogram)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i <= histogram->buckets->count; i++) {
        count += histogram->counts[i];
        render_sample(out, name, "_bucket", labels, histogram->buckets->le[i], (double)count);
    }
    render_sample(out, name, "_sum", labels, FL_SLICE_NULL, (double)histogram->sum);
    render_sample(out, name, "_count", labels, FL_SLICE_NULL, (double)count);
}

static bool is_histogram_empty(const struct gw_histogram *histogram)
{
    for (uint32_t i = 0; i <= histogram->buckets->count; i++)
        if (histogram->counts[i])
            return false;
    return true;
}

static bool is_visible(const struct gw_series *series, enum gw_metric_kind kind)
{
    switch (kind) {
    case GW_COUNTER:
        return series->counter.value != 0;
    case GW_GAUGE:
        return series->gauge.is_set;
    case GW_LATENCIES:
    case GW_SIZES:
        return !is_histogram_empty(&series->histogram);
    }
    return false;
}

static void render_series(struct fl_buffer *out, const struct gw_metric_row *row,
                          const struct gw_series *series)
{
    struct fl_slice name = fl_slice_str(row->name);
    switch (row->kind) {
    case GW_COUNTER:
        render_sample(out, name, "", series->labels, FL_SLICE_NULL, (double)series->counter.value);
        return;
    case GW_GAUGE:
        render_sample(out, name, "", series->labels, FL_SLICE_NULL, series->gauge.value);
        return;
    case GW_LATENCIES:
    case GW_SIZES:
        render_histogram(out, name, series->labels, &series->histogram);
        return;
    }
}

static const char *type_text(enum gw_metric_kind kind)
{
    switch (kind) {
    case GW_COUNTER:
        return "counter";
    case GW_GAUGE:
        return "gauge";
    case GW_LATENCIES:
    case GW_SIZES:
        return "histogram";
    }
    return "untyped";
}

struct placed {
    struct fl_slice key;
    const struct gw_series *series;
};

static int compare_placed(const void *a, const void *b)
{
    return fl_slice_compare(((const struct placed *)a)->key, ((const struct placed *)b)->key);
}

/* `placed` has room for all series of any family. */
static void render_family(struct fl_buffer *out, const struct gw_family *family,
                          struct placed *placed)
{
    size_t count = 0;
    uint32_t at = 0;
    struct fl_slice key;
    void *value;
    while (fl_map_next(&family->series, &at, &key, &value))
        if (is_visible(value, family->row->kind))
            placed[count++] = (struct placed){key, value};
    if (!count)
        return;
    qsort(placed, count, sizeof placed[0], compare_placed);
    gw_metrics_render_head(out, family->row->name, type_text(family->row->kind), family->row->help);
    for (size_t i = 0; i < count; i++)
        render_series(out, family->row, placed[i].series);
}

void gw_metrics_render(struct gw_metrics *metrics, struct fl_buffer *out)
{
    if (metrics->on_scrape)
        metrics->on_scrape(metrics, metrics->scrape_context);
    size_t most = 1;
    for (size_t i = 0; i < metrics->family_count; i++)
        if (fl_map_count(&metrics->ordered[i]->series) > most)
            most = fl_map_count(&metrics->ordered[i]->series);
    struct placed *placed = fl_alloc(most * sizeof *placed);
    for (size_t i = 0; i < metrics->family_count; i++)
        render_family(out, metrics->ordered[i], placed);
    fl_free(placed);
    gw_metrics_render_process(out, metrics->boot_s);
}
