/* Families that no row of the table has: what connectors count.
 *
 * A connector's names are known when it is opened, which may be long after the registry was made,
 * so a family is made when a name is first seen and lives as long as the registry. It is found by
 * its whole name; a look-up costs a walk over all families, once per figure and scrape.
 */
#include <ctype.h>

#include "gateway/metrics_priv.h"

#define PREFIX "fairlead_connector_"

static bool is_name(const char *name)
{
    for (const char *at = name; *at; at++) {
        if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '_')
            return false;
    }
    return *name && strlen(name) <= 60;
}

static struct gw_family *find_family(struct gw_metrics *metrics, const char *name)
{
    for (size_t i = 0; i < metrics->family_count; i++) {
        const char *known = metrics->ordered[i]->row->name;
        if (strncmp(known, PREFIX, sizeof PREFIX - 1) == 0 &&
            strcmp(known + sizeof PREFIX - 1, name) == 0)
            return metrics->ordered[i];
    }
    return NULL;
}

static struct gw_family *make_family(struct gw_metrics *metrics,
                                     const struct gw_connector_figure *figure)
{
    struct gw_metric_row *row = FL_ARENA_NEW(&metrics->arena, struct gw_metric_row);
    struct gw_family *family = FL_ARENA_NEW(&metrics->arena, struct gw_family);
    *row = (struct gw_metric_row){
        .name = fl_arena_printf(&metrics->arena, PREFIX "%s", figure->name),
        .kind = figure->is_gauge ? GW_GAUGE : GW_COUNTER,
        .has_namespace = true,
        .labels = "component type",
        .help = figure->help,
    };
    gw_metrics_init_family(family, row, NULL);
    gw_metrics_add_family(metrics, family);
    return family;
}

void gw_metrics_set_figure(struct gw_metrics *metrics, const struct gw_connector_figure *figure)
{
    if (metrics->is_off || !is_name(figure->name))
        return;
    struct gw_family *family = find_family(metrics, figure->name);
    if (!family && metrics->family_count < GW_METRIC_COUNT + GW_CONNECTOR_FAMILIES_MAX)
        family = make_family(metrics, figure);
    enum gw_metric_kind kind = figure->is_gauge ? GW_GAUGE : GW_COUNTER;
    if (!family || family->row->kind != kind || strcmp(family->row->labels, "component type") != 0)
        return;
    struct fl_slice values[] = {figure->component, figure->type};
    struct gw_series *series = gw_metrics_series(metrics, family, values);
    if (figure->is_gauge)
        gw_gauge_set(&series->gauge, (double)figure->value);
    else
        series->counter.value = figure->value;
}
