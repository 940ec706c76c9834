/* What `fairlead check` found: texts with the place that they are about, each told once, ordered by
 * file and line.
 *
 * Texts come from everywhere that resources are read, and most of them name their place somewhere.
 * It is found by the names of what is looked at, the roots: folders and files. Words of daprd's in
 * front of the place are left out.
 *
 * Ownership: texts are copied, roots are borrowed. Thread: one at a time.
 */
#ifndef GW_CHECK_FINDINGS_H
#define GW_CHECK_FINDINGS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "config/note.h"
#include "config/values.h"

enum gw_severity { GW_FINDING_NOTE, GW_FINDING_WARNING, GW_FINDING_ERROR, GW_SEVERITIES };

/* More are counted and not kept. */
enum { GW_FINDINGS_MAX = 2000 };

struct gw_finding {
    enum gw_severity severity;
    struct fl_slice file; /* empty: none is known */
    uint64_t line;        /* 0: none is known */
    uint64_t column;      /* 0: none is known */
    struct fl_slice text; /* one line, the place not in it */
    size_t order;
};

/* Zeroed, with the roots set. */
struct gw_findings {
    struct fl_arena arena;
    struct config_list roots;
    struct gw_finding *items;
    size_t count, room;
    size_t counts[GW_SEVERITIES]; /* those not kept included */
};

void gw_findings_fini(struct gw_findings *findings);

/* `file` and `line` are of what the text is about, for a text that names no place; NULL and 0: not
 * known. */
void gw_findings_add(struct gw_findings *findings, enum gw_severity severity, const char *file,
                     uint32_t line, const char *text);

/* Warnings and errors; what is below is nothing to mend. */
void gw_findings_add_notes(struct gw_findings *findings, const struct config_notes *notes);

/* In order, one a line: "FILE:LINE: error: TEXT", or a JSON object. */
void gw_findings_print(struct gw_findings *findings, bool as_json, struct fl_buffer *out);

#endif
