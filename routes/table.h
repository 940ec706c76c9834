/* Which path of the application takes an event: a subscription's rules, in order, then its default.
 *
 * The first rule that is true wins. A rule whose trimmed match is empty is always true, which makes
 * whatever follows it dead. A rule that fails to evaluate ends the search: the delivery has failed,
 * and that is not "no match".
 *
 * A table that leads to one path whatever the event is (no rules before the default, the usual one)
 * answers without looking at the event.
 *
 * Thread: made on any; choosing on any number of threads at a time.
 */
#ifndef ROUTE_TABLE_H
#define ROUTE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct ce_event;
struct route_expression;

/* As configured. */
struct route_rule {
    struct fl_slice match; /* empty or blank: always */
    struct fl_slice path;
};

/* One way out of the table. */
struct route_way {
    struct route_expression *expression; /* NULL: always taken */
    struct fl_slice path;                /* as given, NUL behind it */
};

struct route_table {
    size_t count; /* of ways that can be taken at all */
    struct route_way ways[];
};

/* Where an event goes. */
struct route_choice {
    struct fl_slice path; /* the table's; null = no rule matches, the message is dropped */
    uint32_t number; /* of the way: below `count` of the table, for what is kept beside each path */
};

/* Compiles the rules; everything is copied. An empty default is no default. Fails with the first
 * bad rule, named by its number (1 = first) and its text; codes as `route_expression_new`. */
enum fl_err route_table_new(const struct route_rule *rules, size_t count,
                            struct fl_slice default_path, struct route_table **table,
                            struct fl_error *error) FL_MUST_USE;

/* Sets the pointer to NULL; NULL inside is accepted. */
void route_table_free(struct route_table **table);

/* Where the ways have conditions. Not for callers: use `route_choose`. */
enum fl_err route_choose_by_rules(const struct route_table *table, const struct ce_event *event,
                                  struct route_choice *choice, struct fl_error *error) FL_MUST_USE;

/* The event is borrowed, and is not looked at (NULL is fine) when `route_table_is_constant`. An
 * error is a delivery failure; see `route_expression_eval`. */
static inline bool route_table_is_constant(const struct route_table *table)
{
    return table->count == 0 || table->ways[0].expression == NULL;
}

static inline FL_MUST_USE enum fl_err route_choose(const struct route_table *table,
                                                   const struct ce_event *event,
                                                   struct route_choice *choice,
                                                   struct fl_error *error)
{
    if (!route_table_is_constant(table))
        return route_choose_by_rules(table, event, choice, error);
    choice->path = table->count ? table->ways[0].path : FL_SLICE_NULL;
    choice->number = 0;
    return FL_OK;
}

#endif
