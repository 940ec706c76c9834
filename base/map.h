/* A hash map from byte strings to pointers, in insertion order (a key that was removed and is set
 * again may keep its former place).
 *
 * Keys are copied. Values are borrowed: the holder frees them. The hash is seeded per process, so a
 * peer cannot choose colliding keys. A zeroed struct is an empty map.
 *
 * Thread: one at a time.
 */
#ifndef FL_BASE_MAP_H
#define FL_BASE_MAP_H

#include "base/slice.h"

struct fl_map_entry {
    struct fl_slice key; /* NUL-terminated */
    void *value;         /* never NULL while the entry is alive */
    uint32_t hash;
};

struct fl_map {
    struct fl_map_entry *entries; /* in insertion order; removed ones have a NULL value */
    uint32_t *slots;              /* entry index + 1, 0 = free */
    uint32_t used, room, slot_count, live;
};

void fl_map_fini(struct fl_map *map);

/* NULL when absent. */
void *fl_map_find(const struct fl_map *map, struct fl_slice key);

/* Adds or replaces; returns the former value or NULL. `value` must not be NULL. */
void *fl_map_set(struct fl_map *map, struct fl_slice key, void *value);

/* Returns the value that was there, or NULL. */
void *fl_map_remove(struct fl_map *map, struct fl_slice key);

static inline uint32_t fl_map_count(const struct fl_map *map)
{
    return map->live;
}

/* Iterates in insertion order: start with `*at` = 0; false when done. Removing the current key is
 * allowed. */
bool fl_map_next(const struct fl_map *map, uint32_t *at, struct fl_slice *key, void **value);

/* The seeded hash itself, for tables of other shapes. */
uint32_t fl_hash(struct fl_slice key);

#endif
