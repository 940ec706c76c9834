/* Findings: the place in a text, the order, the two forms; see the header.
 *
 * Equal texts are told once, since a component's metadata is read by several readers that know a
 * key in common. The search for an equal one is a walk: findings are few, and bounded. */
#include "gateway/check_findings.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cloudevents/json_write.h"

static const char *const severity_names[GW_SEVERITIES] = {
    [GW_FINDING_NOTE] = "note", [GW_FINDING_WARNING] = "warning", [GW_FINDING_ERROR] = "error"};

void gw_findings_fini(struct gw_findings *findings)
{
    FL_FREE(findings->items);
    fl_arena_fini(&findings->arena);
    *findings = (struct gw_findings){0};
}

/* --- the place in a text ---------------------------------------------------------------------- */

/* The line of "…:LINE" at the start of the text's rest; false when there is none. A file's name may
 * hold spaces and colons, but not a colon and a space: there another part of a text begins. */
static bool read_line(const char *text, struct gw_finding *finding, const char **end)
{
    for (const char *at = text; *at && *at != ')' && strncmp(at, ": ", 2) != 0; at++) {
        char *behind;
        if (*at != ':' || at[1] < '0' || at[1] > '9')
            continue;
        unsigned long long line = strtoull(at + 1, &behind, 10);
        if (line == 0 || !strchr(": )", *behind))
            continue;
        finding->file = fl_slice_of(text, (size_t)(at - text));
        finding->line = line;
        *end = behind;
        return true;
    }
    return false;
}

/* ":COLUMN" behind the line, where a text has it. */
static const char *read_column(const char *text, struct gw_finding *finding)
{
    char *behind;
    if (text[0] != ':' || text[1] < '0' || text[1] > '9')
        return text;
    unsigned long long column = strtoull(text + 1, &behind, 10);
    if (*behind != ':')
        return text;
    finding->column = column;
    return behind;
}

/* A place that ends in ": " begins a message, and what stands before it is left out; one within a
 * sentence stays there. */
static bool place_at(const char *at, struct gw_finding *finding)
{
    const char *end;
    if (!read_line(at, finding, &end))
        return false;
    end = read_column(end, finding);
    if (end[0] == ':' && end[1] == ' ')
        finding->text = fl_slice_str(end + 2);
    return true;
}

/* Where a root stands as a path, and not as a part of some word. */
static bool is_path_at(const char *text, const char *at, struct fl_slice root)
{
    bool begins = at == text || at[-1] == ' ' || at[-1] == '(';
    return begins && (at[root.len] == '/' || at[root.len] == ':' || fl_slice_eq_str(root, "/"));
}

/* The first place of one root that is before `limit`; NULL: none. */
static const char *place_of_root(const char *text, struct fl_slice root, const char *limit)
{
    for (const char *at = strstr(text, root.data); at && (!limit || at < limit);
         at = strstr(at + 1, root.data)) {
        struct gw_finding tried = {0};
        if (is_path_at(text, at, root) && place_at(at, &tried))
            return at;
    }
    return NULL;
}

static void find_place(const struct config_list *roots, const char *text,
                       struct gw_finding *finding)
{
    const char *best = NULL;
    for (size_t i = 0; i < roots->count; i++) {
        const char *at = place_of_root(text, roots->items[i], best);
        best = at ? at : best;
    }
    if (best)
        place_at(best, finding);
}

/* --- the list --------------------------------------------------------------------------------- */

static bool has_one(const struct gw_findings *findings, const struct gw_finding *one)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct gw_finding *known = &findings->items[i];
        if (known->line == one->line && known->column == one->column &&
            fl_slice_eq(known->file, one->file) && fl_slice_eq(known->text, one->text))
            return true;
    }
    return false;
}

/* Without daprd's words for an end of the start, which this is not. */
static const char *without_start(const char *text)
{
    static const char loading[] = "failed to load components: ";
    static const char opening[] = "initialization error occurred for ";
    if (strncmp(text, loading, sizeof loading - 1) == 0)
        text += sizeof loading - 1;
    for (const char *at; (at = strstr(text, opening));)
        text = at + sizeof opening - 1;
    return text;
}

void gw_findings_add(struct gw_findings *findings, enum gw_severity severity, const char *file,
                     uint32_t line, const char *text)
{
    text = fl_arena_strdup(&findings->arena, fl_slice_str(without_start(text)));
    struct gw_finding finding = {.severity = severity,
                                 .file = FL_SLICE_LIT(""),
                                 .text = fl_slice_str(text),
                                 .order = findings->count};
    find_place(&findings->roots, text, &finding);
    if (finding.line == 0 && file) {
        finding.file = fl_arena_copy(&findings->arena, fl_slice_str(file));
        finding.line = line;
    }
    if (has_one(findings, &finding))
        return;
    findings->counts[severity]++;
    if (findings->count == GW_FINDINGS_MAX)
        return;
    if (findings->count == findings->room) {
        findings->room = findings->room ? 2 * findings->room : 32;
        findings->items = fl_realloc(findings->items, findings->room * sizeof finding);
    }
    findings->items[findings->count++] = finding;
}

void gw_findings_add_notes(struct gw_findings *findings, const struct config_notes *notes)
{
    for (const struct config_note *note = notes->first; note; note = note->next)
        if (note->level >= FL_LOG_WARNING)
            gw_findings_add(findings,
                            note->level >= FL_LOG_ERROR ? GW_FINDING_ERROR : GW_FINDING_WARNING,
                            NULL, 0, note->text);
}

/* --- printing --------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct gw_finding *x = a, *y = b;
    int order = fl_slice_compare(x->file, y->file);
    if (order == 0 && x->line != y->line)
        order = x->line < y->line ? -1 : 1;
    if (order == 0)
        order = x->order < y->order ? -1 : x->order > y->order;
    return order;
}

static void print_json(const struct gw_finding *finding, struct fl_buffer *out)
{
    fl_buffer_append_str(out, "{\"severity\":");
    ce_json_append_string(out, fl_slice_str(severity_names[finding->severity]));
    if (finding->file.len) {
        ce_json_append_key(out, "file");
        ce_json_append_string(out, finding->file);
    }
    if (finding->line) {
        ce_json_append_key(out, "line");
        fl_buffer_append_u64(out, finding->line);
    }
    if (finding->column) {
        ce_json_append_key(out, "column");
        fl_buffer_append_u64(out, finding->column);
    }
    ce_json_append_key(out, "text");
    ce_json_append_string(out, finding->text);
    fl_buffer_append_str(out, "}\n");
}

static void print_text(const struct gw_finding *finding, struct fl_buffer *out)
{
    if (finding->file.len)
        fl_buffer_printf(out, "%.*s:", FL_SLICE_ARG(finding->file));
    if (finding->line)
        fl_buffer_printf(out, "%llu:", (unsigned long long)finding->line);
    if (finding->column)
        fl_buffer_printf(out, "%llu:", (unsigned long long)finding->column);
    fl_buffer_printf(out, "%s%s: %.*s\n", finding->file.len ? " " : "",
                     severity_names[finding->severity], FL_SLICE_ARG(finding->text));
}

void gw_findings_print(struct gw_findings *findings, bool as_json, struct fl_buffer *out)
{
    if (findings->count)
        qsort(findings->items, findings->count, sizeof *findings->items, by_place);
    for (size_t i = 0; i < findings->count; i++)
        (as_json ? print_json : print_text)(&findings->items[i], out);
}
