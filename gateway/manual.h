/* The manual of one component type as sections of option rows: what `fairlead options` and the
 * printed references show, so that they cannot disagree.
 *
 * Ownership: texts and rows are the program's or the connector's; a manual is valid as long as the
 * connector type. Thread: any.
 */
#ifndef GW_MANUAL_H
#define GW_MANUAL_H

#include "config/option.h"
#include "connectors/connector.h"

enum { GW_MANUAL_SECTIONS = 6, GW_MANUAL_LINES = 16 };

/* A key whose help says all: of every component, whatever its connector. */
struct gw_manual_line {
    const char *name, *help;
};

/* Either rows or lines. */
struct gw_manual_section {
    const char *title;
    const struct config_option *rows; /* NULL: lines */
    struct gw_manual_line lines[GW_MANUAL_LINES];
    size_t line_count;
    const char *closing; /* a sentence behind them; NULL: none */
};

struct gw_manual {
    struct gw_manual_section sections[GW_MANUAL_SECTIONS];
    size_t section_count;
};

/* Of a type by its name, since a connector may serve some of several categories. */
void gw_manual_make(const char *name, const struct connector_type *type, struct gw_manual *manual);

/* "create, get, list" of an output binding; "" where there are none. */
void gw_manual_operations(const struct connector_type *type, struct fl_buffer *out);

#endif
