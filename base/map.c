/* Open addressing over an insertion-ordered entry array; see the header.
 *
 * Slots hold entry numbers, so growing re-hashes integers only, and iteration is a walk over the
 * array. The hash is SipHash-1-3: short keys from peers are hashed in some 15 ns and cannot be made
 * to collide.
 */
#include "base/map.h"

#include "base/alloc.h"
#include "base/random.h"

static inline uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

struct sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

uint32_t fl_hash(struct fl_slice key)
{
    const uint64_t *seed = fl_random_process_seed();
    struct sip s = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                    seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    const char *at = key.data;
    size_t left = key.len;
    uint64_t word;
    for (; left >= 8; at += 8, left -= 8) {
        memcpy(&word, at, 8);
        s.d ^= word;
        sip_round(&s);
        s.a ^= word;
    }
    word = (uint64_t)key.len << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)(unsigned char)at[i] << (8 * i);
    s.d ^= word;
    sip_round(&s);
    s.a ^= word;
    s.c ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    uint64_t hash = s.a ^ s.b ^ s.c ^ s.d;
    return (uint32_t)(hash ^ (hash >> 32));
}

void fl_map_fini(struct fl_map *map)
{
    for (uint32_t i = 0; i < map->used; i++)
        fl_free((char *)map->entries[i].key.data);
    fl_free(map->entries);
    fl_free(map->slots);
    *map = (struct fl_map){0};
}

static uint32_t *find_slot(const struct fl_map *map, struct fl_slice key, uint32_t hash)
{
    for (uint32_t i = hash & (map->slot_count - 1);; i = (i + 1) & (map->slot_count - 1)) {
        uint32_t number = map->slots[i];
        if (number == 0)
            return &map->slots[i];
        const struct fl_map_entry *entry = &map->entries[number - 1];
        if (entry->hash == hash && fl_slice_eq(entry->key, key))
            return &map->slots[i];
    }
}

void *fl_map_find(const struct fl_map *map, struct fl_slice key)
{
    if (map->live == 0)
        return NULL;
    uint32_t number = *find_slot(map, key, fl_hash(key));
    return number ? map->entries[number - 1].value : NULL;
}

/* Drops dead entries and gives the slots at most half load. */
static void rebuild(struct fl_map *map)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < map->used; i++) {
        if (map->entries[i].value)
            map->entries[live++] = map->entries[i];
        else
            fl_free((char *)map->entries[i].key.data);
    }
    map->used = live;
    map->room = live < 4 ? 8 : live * 2;
    map->entries = fl_realloc(map->entries, sizeof *map->entries * map->room);
    uint32_t slot_count = 16;
    while (slot_count < map->room * 2)
        slot_count *= 2;
    fl_free(map->slots);
    map->slots = fl_zalloc(sizeof *map->slots * slot_count);
    map->slot_count = slot_count;
    for (uint32_t i = 0; i < live; i++)
        *find_slot(map, map->entries[i].key, map->entries[i].hash) = i + 1;
}

void *fl_map_set(struct fl_map *map, struct fl_slice key, void *value)
{
    FL_ASSERT(value);
    if (map->used == map->room)
        rebuild(map);
    uint32_t hash = fl_hash(key);
    uint32_t *slot = find_slot(map, key, hash);
    if (*slot) {
        struct fl_map_entry *entry = &map->entries[*slot - 1];
        void *former = entry->value;
        map->live += former == NULL;
        entry->value = value;
        return former;
    }
    char *copy = fl_strdup(key);
    map->entries[map->used] = (struct fl_map_entry){fl_slice_of(copy, key.len), value, hash};
    *slot = ++map->used;
    map->live++;
    return NULL;
}

void *fl_map_remove(struct fl_map *map, struct fl_slice key)
{
    if (map->live == 0)
        return NULL;
    uint32_t number = *find_slot(map, key, fl_hash(key));
    if (number == 0)
        return NULL;
    /* The entry stays as a grave, so that probing goes on past it; `rebuild` clears graves. */
    void *former = map->entries[number - 1].value;
    map->entries[number - 1].value = NULL;
    map->live -= former != NULL;
    return former;
}

bool fl_map_next(const struct fl_map *map, uint32_t *at, struct fl_slice *key, void **value)
{
    while (*at < map->used) {
        const struct fl_map_entry *entry = &map->entries[(*at)++];
        if (entry->value) {
            if (key)
                *key = entry->key;
            if (value)
                *value = entry->value;
            return true;
        }
    }
    return false;
}
