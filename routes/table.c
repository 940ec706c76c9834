/* A table is its ways in order of the rules, cut behind the first that is always taken; see the
 * header.
 *
 * Cutting at compile time is what makes the usual table, one path and no rule, a table of one way
 * without an expression, which the inline half in the header answers. The ways that are cut are
 * compiled all the same: a mistake in a dead rule is told like any other.
 */
#include "routes/table.h"

#include "base/alloc.h"
#include "routes/expression.h"

static enum fl_err fail_rule(size_t number, struct fl_slice match, const struct fl_error *reason,
                             struct fl_error *error)
{
    size_t shown = match.len < 120 ? match.len : 120;
    while (shown && shown < match.len && ((unsigned char)match.data[shown] & 0xc0) == 0x80)
        shown--;
    return fl_error_set(error, reason->code, reason->class, "rule %zu, match %.*s%s: %s", number,
                        (int)shown, match.data, shown < match.len ? "…" : "", reason->text);
}

static enum fl_err compile_way(const struct route_rule *rule, size_t number, struct route_way *way,
                               struct fl_error *error)
{
    struct fl_slice match = fl_slice_trim(rule->match);
    if (match.len) {
        struct fl_error reason = {0};
        if (route_expression_new(match, &way->expression, &reason))
            return fail_rule(number, match, &reason, error);
    }
    way->path = fl_slice_of(fl_strdup(rule->path), rule->path.len);
    return FL_OK;
}

static void free_way(struct route_way *way)
{
    route_expression_free(&way->expression);
    fl_free((char *)way->path.data);
    *way = (struct route_way){0};
}

/* Frees the ways behind the first that is always taken. */
static void cut(struct route_table *table)
{
    size_t kept = 0;
    while (kept < table->count && table->ways[kept].expression)
        kept++;
    for (size_t i = kept + 1; i < table->count; i++)
        free_way(&table->ways[i]);
    if (kept < table->count)
        table->count = kept + 1;
}

enum fl_err route_table_new(const struct route_rule *rules, size_t count,
                            struct fl_slice default_path, struct route_table **table,
                            struct fl_error *error)
{
    struct route_table *made = fl_zalloc(sizeof *made + sizeof *made->ways * (count + 1));
    for (size_t i = 0; i < count; i++) {
        enum fl_err err = compile_way(&rules[i], i + 1, &made->ways[i], error);
        if (err) {
            route_table_free(&made);
            return err;
        }
        made->count++;
    }
    if (default_path.len)
        made->ways[made->count++].path = fl_slice_of(fl_strdup(default_path), default_path.len);
    cut(made);
    *table = made;
    return FL_OK;
}

void route_table_free(struct route_table **table)
{
    if (!*table)
        return;
    for (size_t i = 0; i < (*table)->count; i++)
        free_way(&(*table)->ways[i]);
    FL_FREE(*table);
}

enum fl_err route_choose_by_rules(const struct route_table *table, const struct ce_event *event,
                                  struct route_choice *choice, struct fl_error *error)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct route_way *way = &table->ways[i];
        bool is_taken = true;
        enum fl_err err = way->expression
                              ? route_expression_eval(way->expression, event, &is_taken, error)
                              : FL_OK;
        if (err)
            return err;
        if (is_taken) {
            *choice = (struct route_choice){way->path, (uint32_t)i};
            return FL_OK;
        }
    }
    *choice = (struct route_choice){0};
    return FL_OK;
}
