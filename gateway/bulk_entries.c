/* Reading a bulk publish; see the header.
 *
 * One walk over the body collects the entries and stops collecting at the first bad one, so what is
 * kept never takes much more room than the body does. The walk itself goes on to the end, because a
 * wrong form further behind outweighs a bad entry. Texts of errors are Go's, since clients of daprd
 * know them.
 */
#include "gateway/bulk_entries.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"

/* --- form --- */

static const char *type_word(struct fl_slice value)
{
    switch (ce_json_type_of(value)) {
    case CE_JSON_OBJECT:
        return "object";
    case CE_JSON_ARRAY:
        return "array";
    case CE_JSON_STRING:
        return "string";
    case CE_JSON_NUMBER:
        return "number";
    case CE_JSON_TRUE:
    case CE_JSON_FALSE:
        return "bool";
    case CE_JSON_NONE:
    case CE_JSON_NULL:
        break;
    }
    return "null";
}

static enum fl_err refuse_value(struct fl_slice value, const char *wanted, struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "json: cannot unmarshal %s into Go value of type %s", type_word(value),
                        wanted);
}

static enum fl_err refuse_field(struct fl_slice value, const char *name, const char *wanted,
                                struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                        "json: cannot unmarshal %s into Go struct field "
                        "bulkPublishMessageEntry.%s of type %s",
                        type_word(value), name, wanted);
}

/* The members of one entry as they are written. */
struct tokens {
    struct fl_slice id, content_type, event, metadata;
};

static enum fl_err take_string(struct fl_slice value, const char *name, struct fl_slice *token,
                               struct fl_error *error)
{
    enum ce_json_type type = ce_json_type_of(value);
    if (type == CE_JSON_STRING)
        *token = value;
    else if (type != CE_JSON_NULL)
        return refuse_field(value, name, "string", error);
    return FL_OK;
}

static enum fl_err take_metadata(struct fl_slice value, struct fl_slice *token,
                                 struct fl_error *error)
{
    struct ce_json_walk walk;
    struct fl_slice item;
    *token = FL_SLICE_NULL;
    if (ce_json_type_of(value) == CE_JSON_NULL)
        return FL_OK;
    if (ce_json_type_of(value) != CE_JSON_OBJECT)
        return refuse_field(value, "metadata", "map[string]string", error);
    ce_json_walk_init(&walk, value);
    while (ce_json_walk_next(&walk, NULL, &item)) {
        enum ce_json_type type = ce_json_type_of(item);
        if (type != CE_JSON_STRING && type != CE_JSON_NULL)
            return refuse_field(item, "metadata", "string", error);
    }
    *token = value;
    return FL_OK;
}

static enum fl_err take_member(struct tokens *tokens, struct fl_slice key, struct fl_slice value,
                               struct fl_error *error)
{
    if (ce_json_equals_nocase(key, FL_SLICE_LIT("entryId")))
        return take_string(value, "entryId", &tokens->id, error);
    if (ce_json_equals_nocase(key, FL_SLICE_LIT("contentType")))
        return take_string(value, "contentType", &tokens->content_type, error);
    if (ce_json_equals_nocase(key, FL_SLICE_LIT("metadata")))
        return take_metadata(value, &tokens->metadata, error);
    if (ce_json_equals_nocase(key, FL_SLICE_LIT("event")))
        tokens->event = value;
    return FL_OK;
}

/* Numbers of an event are doubles to daprd, so one beyond them has the wrong form. */
static enum fl_err check_numbers(struct fl_slice event, struct fl_error *error)
{
    struct ce_json_scan scan = {0};
    if (ce_json_scan(event, &scan) == FL_OK && !(scan.flags & CE_JSON_HUGE_NUMBER))
        return FL_OK;
    return refuse_value(FL_SLICE_LIT("1"), "float64", error);
}

static enum fl_err read_tokens(struct fl_slice value, bool has_huge_numbers, struct tokens *tokens,
                               struct fl_error *error)
{
    struct ce_json_walk walk;
    struct fl_slice key, member;
    *tokens = (struct tokens){.event = FL_SLICE_LIT("null")};
    if (ce_json_type_of(value) == CE_JSON_NULL)
        return FL_OK;
    if (ce_json_type_of(value) != CE_JSON_OBJECT)
        return refuse_value(value, "http.bulkPublishMessageEntry", error);
    ce_json_walk_init(&walk, value);
    while (ce_json_walk_next(&walk, &key, &member)) {
        enum fl_err err = take_member(tokens, key, member, error);
        if (err)
            return err;
    }
    return has_huge_numbers ? check_numbers(tokens->event, error) : FL_OK;
}

/* --- one entry --- */

static bool is_string(struct fl_slice value)
{
    return ce_json_type_of(value) == CE_JSON_STRING;
}

static enum fl_err decode_base64(struct fl_slice token, struct fl_buffer *out,
                                 struct fl_error *error)
{
    struct fl_buffer text = {0};
    struct fl_slice inside = ce_json_inside(token);
    size_t bad_at = 0;
    enum fl_err err = FL_OK;
    if (!ce_json_is_plain(token)) {
        err = ce_json_try_decode(token, &text);
        inside = fl_buffer_slice(&text);
    }
    if (!err)
        err = ce_base64_try_decode(inside, true, out, &bad_at);
    fl_buffer_fini(&text);
    if (err == FL_ERR_INVALID)
        return fl_error_set(error, err, FL_CLASS_REJECT,
                            "error: unable to decode base64 application/octect-stream data: "
                            "illegal base64 data at input byte %zu",
                            bad_at);
    return err;
}

enum fl_err gw_bulk_entry_bytes(const struct gw_bulk_entry *entry, struct fl_buffer *out,
                                struct fl_error *error)
{
    switch (entry->kind) {
    case CE_BULK_TEXT:
        return ce_json_try_decode(entry->event, out);
    case CE_BULK_BYTES:
        return decode_base64(entry->event, out, error);
    case CE_BULK_JSON:
    case CE_BULK_EVENT:
        return ce_json_try_rewrite(out, entry->event);
    case CE_BULK_MISMATCH:
        break;
    }
    return FL_ERR_INVALID;
}

/* FL_ERR_INVALID with the cause in `error`, FL_ERR_NO_MEMORY. */
static enum fl_err check_event(const struct gw_bulk_entry *entry, struct fl_buffer *scratch,
                               struct fl_error *error)
{
    bool needs_string = entry->kind == CE_BULK_TEXT || entry->kind == CE_BULK_BYTES;
    if (entry->kind == CE_BULK_MISMATCH || (needs_string && !is_string(entry->event)))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "error: mismatch between contentType and event");
    if (entry->kind != CE_BULK_BYTES)
        return FL_OK;
    fl_buffer_clear(scratch);
    return decode_base64(entry->event, scratch, error);
}

static void note_fault(struct gw_bulk_entries *entries, enum gw_bulk_fault fault)
{
    entries->fault = fault;
    if (fault == GW_BULK_BAD_ID)
        fl_error_set(&entries->cause, FL_ERR_INVALID, FL_CLASS_REJECT,
                     "entryId is duplicated or not present for entry");
}

static enum fl_err keep(struct gw_bulk_entries *entries, const struct gw_bulk_entry *entry)
{
    if (entries->count == entries->room) {
        size_t room = entries->room ? entries->room * 2 : 16;
        struct gw_bulk_entry *grown = fl_try_realloc(entries->items, room * sizeof *grown);
        if (!grown)
            return FL_ERR_NO_MEMORY;
        entries->items = grown;
        entries->room = room;
    }
    entries->items[entries->count++] = *entry;
    return FL_OK;
}

/* --- all of them --- */

struct reading {
    struct fl_arena *arena;
    struct gw_bulk_entries *entries;
    struct fl_map ids;
    struct fl_buffer scratch;
};

static enum fl_err examine(struct reading *reading, const struct tokens *tokens)
{
    struct gw_bulk_entries *entries = reading->entries;
    struct gw_bulk_entry entry = {
        .id = ce_json_decode_in(reading->arena, tokens->id),
        .content_type = ce_json_decode_in(reading->arena, tokens->content_type),
        .event = tokens->event,
        .metadata = tokens->metadata,
    };
    entry.kind = ce_bulk_kind_of(entry.content_type);
    enum fl_err err = check_event(&entry, &reading->scratch, &entries->cause);
    if (err == FL_ERR_INVALID) {
        note_fault(entries, GW_BULK_BAD_EVENT);
        return FL_OK;
    }
    if (err)
        return err;
    if (entry.id.len == 0 || fl_map_set(&reading->ids, entry.id, reading)) {
        note_fault(entries, GW_BULK_BAD_ID);
        return FL_OK;
    }
    return keep(entries, &entry);
}

static enum fl_err read_all(struct reading *reading, struct fl_slice array, bool has_huge_numbers,
                            struct fl_error *error)
{
    struct ce_json_walk walk;
    struct fl_slice value;
    struct tokens tokens;
    ce_json_walk_init(&walk, array);
    while (ce_json_walk_next(&walk, NULL, &value)) {
        enum fl_err err = read_tokens(value, has_huge_numbers, &tokens, error);
        if (!err && reading->entries->fault == GW_BULK_NO_FAULT)
            err = examine(reading, &tokens);
        if (err == FL_ERR_NO_MEMORY)
            return fl_error_set(error, err, FL_CLASS_RETRY, "out of memory for the messages");
        if (err)
            return err;
    }
    return FL_OK;
}

enum fl_err gw_bulk_entries_read(struct fl_arena *arena, struct fl_slice body,
                                 struct gw_bulk_entries *entries, struct fl_error *error)
{
    struct ce_json_scan scan = {0};
    if (ce_json_scan(body, &scan))
        return ce_json_explain(body, &scan, error);
    if (scan.type == CE_JSON_NULL)
        return FL_OK;
    if (scan.type != CE_JSON_ARRAY)
        return refuse_value(scan.value, "[]http.bulkPublishMessageEntry", error);
    struct reading reading = {.arena = arena, .entries = entries};
    enum fl_err err = read_all(&reading, scan.value, scan.flags & CE_JSON_HUGE_NUMBER, error);
    fl_map_fini(&reading.ids);
    fl_buffer_fini(&reading.scratch);
    return err;
}

void gw_bulk_entries_fini(struct gw_bulk_entries *entries)
{
    FL_FREE(entries->items);
    entries->count = entries->room = 0;
}

/* --- metadata --- */

struct ranked {
    struct ce_metadata pair;
    size_t rank; /* the highest of equal keys wins */
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *one = a, *other = b;
    int order = fl_slice_compare(one->pair.key, other->pair.key);
    if (order)
        return order;
    return one->rank > other->rank ? -1 : one->rank < other->rank;
}

static size_t member_count(struct fl_slice object)
{
    struct ce_json_walk walk;
    struct fl_slice value;
    size_t count = 0;
    ce_json_walk_init(&walk, object);
    while (ce_json_walk_next(&walk, NULL, &value))
        count++;
    return count;
}

static struct fl_slice decoded_or_empty(struct fl_arena *arena, struct fl_slice token)
{
    struct fl_slice text = ce_json_decode_in(arena, token);
    return text.data ? text : FL_SLICE_LIT("");
}

void gw_bulk_entry_metadata(struct fl_arena *arena, const struct gw_bulk_entry *entry,
                            const struct ce_metadata *query, size_t query_count,
                            const struct ce_metadata **pairs, size_t *count)
{
    struct ce_json_walk walk;
    struct fl_slice key, value;
    *pairs = NULL;
    *count = 0;
    if (fl_slice_is_null(entry->metadata))
        return;
    size_t most = query_count + member_count(entry->metadata), n = 0;
    if (most == 0)
        return;
    struct ranked *all = FL_ARENA_ARRAY(arena, struct ranked, most);
    for (size_t i = 0; i < query_count; i++)
        all[n++] = (struct ranked){query[i], 0};
    ce_json_walk_init(&walk, entry->metadata);
    while (n < most && ce_json_walk_next(&walk, &key, &value)) {
        struct ce_metadata pair = {decoded_or_empty(arena, key), decoded_or_empty(arena, value)};
        all[n] = (struct ranked){pair, n + 1};
        n++;
    }
    qsort(all, n, sizeof *all, compare_ranked);
    struct ce_metadata *unique = FL_ARENA_ARRAY(arena, struct ce_metadata, n);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !fl_slice_eq(all[i].pair.key, all[i - 1].pair.key))
            unique[(*count)++] = all[i].pair;
    }
    *pairs = unique;
}
