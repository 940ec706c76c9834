/* The body of a bulk publish (http-api.md §2), read in place.
 *
 * Two kinds of mistakes are told apart, as daprd does. A body that does not have the form of a list
 * of entries is refused as a whole. In a body of the right form entries are examined in order,
 * each first for its content type and event, then for its id; the first bad one decides.
 *
 * Ownership: slices point into the body or into the arena given; both outlive the entries.
 *
 * Thread: any.
 */
#ifndef GW_BULK_ENTRIES_H
#define GW_BULK_ENTRIES_H

#include "base/arena.h"
#include "base/buffer.h"
#include "cloudevents/body_kind.h"
#include "cloudevents/event.h"

struct gw_bulk_entry {
    struct fl_slice id, content_type; /* decoded; empty when not given */
    struct fl_slice event;            /* a validated JSON value; "null" when not given */
    struct fl_slice metadata;         /* a validated object of strings, or null */
    enum ce_bulk_kind kind;
};

enum gw_bulk_fault {
    GW_BULK_NO_FAULT,
    GW_BULK_BAD_EVENT, /* the event does not fit its content type */
    GW_BULK_BAD_ID,    /* empty, or that of an entry before */
};

struct gw_bulk_entries {
    struct gw_bulk_entry *items; /* those before the first bad one */
    size_t count, room;
    enum gw_bulk_fault fault;
    struct fl_error cause; /* of the fault */
};

/* Fills zeroed `entries`, which are to be freed whatever the result. FL_ERR_INVALID: the form is
 * wrong, `error` has the reason; FL_ERR_NO_MEMORY. */
enum fl_err gw_bulk_entries_read(struct fl_arena *arena, struct fl_slice body,
                                 struct gw_bulk_entries *entries,
                                 struct fl_error *error) FL_MUST_USE;
void gw_bulk_entries_fini(struct gw_bulk_entries *entries);

/* Appends the bytes that an entry without fault stands for. FL_ERR_NO_MEMORY, and FL_ERR_INVALID
 * for base64 that is none. */
enum fl_err gw_bulk_entry_bytes(const struct gw_bulk_entry *entry, struct fl_buffer *out,
                                struct fl_error *error) FL_MUST_USE;

/* The metadata that goes with the entry's event: its own, and of the query's what it does not name
 * itself. An entry without a metadata object has none at all. Sorted by key, keys are unique. */
void gw_bulk_entry_metadata(struct fl_arena *arena, const struct gw_bulk_entry *entry,
                            const struct ce_metadata *query, size_t query_count,
                            const struct ce_metadata **pairs, size_t *count);

#endif
