/* The small shapes that configuration is handed around in: lists, pairs, settings with their place.
 *
 * Ownership: everything points into the arena of whoever read it (a resources folder, a
 * configuration file, the command line) and is valid as long as that arena. Slices made by this
 * folder have a NUL behind them, which their length does not count.
 *
 * Thread: any, once made.
 */
#ifndef FL_CONFIG_VALUES_H
#define FL_CONFIG_VALUES_H

#include "base/slice.h"

struct config_list {
    struct fl_slice *items;
    size_t count;
};

struct config_pair {
    struct fl_slice name, value;
};

struct config_pairs {
    struct config_pair *items;
    size_t count;
};

/* One setting as a user wrote it. */
struct config_value {
    struct fl_slice name;
    struct fl_slice value;
    const char *file; /* NULL: not from a file (request metadata) */
    uint32_t line;    /* from 1; 0: unknown */
    bool is_secret;   /* from a secret store or the environment: never shown */
};

/* Exact comparison, as daprd compares application ids and topics. */
static inline bool config_list_has(const struct config_list *list, struct fl_slice item)
{
    for (size_t i = 0; i < list->count; i++)
        if (fl_slice_eq(list->items[i], item))
            return true;
    return false;
}

#endif
