/* Bodies of bulk calls and their answers; see the header.
 *
 * daprd reads each event and writes it anew, which sorts its keys, takes numbers through doubles
 * and replaces bytes that are no text. An event that would come out meaning the same is copied as
 * it is, after one look at its bytes; only the others are written anew.
 */
#include "gateway/bulk_call.h"

#include <stdlib.h>

#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"
#include "gateway/api_bulk.h"

/* Integers of so many digits are the same in a double. */
enum { MOST_EXACT_DIGITS = 15 };
/* The id's first four groups; the fifth is the entry's number. */
enum { ID_PREFIX_LEN = 24 };

/* --- ids --- */

static void put_entry_id(char *at, const char id[GW_BULK_ID_LEN], uint32_t number)
{
    static const char digits[] = "0123456789abcdef";
    memcpy(at, id, ID_PREFIX_LEN);
    for (int i = GW_BULK_ID_LEN - 1; i >= ID_PREFIX_LEN; i--) {
        at[i] = digits[number & 15];
        number >>= 4;
    }
}

static bool number_of(struct fl_slice entry_id, const char id[GW_BULK_ID_LEN], uint32_t *number)
{
    uint64_t value = 0;
    if (entry_id.len != GW_BULK_ID_LEN || memcmp(entry_id.data, id, ID_PREFIX_LEN) != 0)
        return false;
    for (size_t i = ID_PREFIX_LEN; i < GW_BULK_ID_LEN; i++) {
        char c = entry_id.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *number = (uint32_t)value;
    return value <= UINT32_MAX;
}

/* --- the body --- */

/* Behind the string that begins at `at`, or NULL where it holds an escape of four hex digits, which
 * may be half a character. */
static const char *skip_string(const char *at, const char *end, bool *has_high)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && (++at == end || *at == 'u'))
            return NULL;
        *has_high |= (unsigned char)*at >= 0x80;
    }
    return at + (at < end);
}

bool gw_bulk_is_as_written(struct fl_slice json)
{
    const char *at = json.data, *end = json.data + json.len;
    bool has_high = false;
    int digits = 0;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end, &has_high);
            if (!at)
                return false;
            continue;
        }
        at++;
        if (c >= '0' && c <= '9') {
            if (++digits > MOST_EXACT_DIGITS)
                return false;
        } else if (digits && (c == '.' || c == 'e' || c == 'E')) {
            return false;
        } else {
            digits = 0;
        }
    }
    return !has_high || fl_utf8_is_valid(json);
}

static enum fl_err append_text(struct fl_buffer *out, const char *text)
{
    return fl_buffer_try_append(out, text, strlen(text));
}

static enum fl_err append_member(struct fl_buffer *out, const char *key, struct fl_slice value)
{
    enum fl_err err = append_text(out, key);
    return err ? err : ce_json_try_string(out, value);
}

static enum fl_err append_event(struct fl_buffer *out, const struct ce_event *view, bool is_raw)
{
    struct fl_slice json = is_raw ? ce_event_json(view, CE_DATA_BASE64) : view->body;
    if (is_raw || gw_bulk_is_as_written(json))
        return fl_buffer_try_append(out, json.data, json.len);
    struct ce_json_scan scan = {.max_depth = CE_JSON_MAX_DEPTH + 1};
    enum fl_err err = ce_json_scan(json, &scan);
    return err ? err : ce_json_try_rewrite(out, scan.value);
}

static int compare_keys(const void *a, const void *b)
{
    const struct ce_metadata *const *one = a, *const *other = b;
    int order = fl_slice_compare((*one)->key, (*other)->key);
    return order ? order : (*one > *other) - (*one < *other);
}

static enum fl_err append_pair(struct fl_buffer *out, const struct ce_metadata *pair, bool is_first)
{
    enum fl_err err = is_first ? FL_OK : append_text(out, ",");
    if (!err)
        err = ce_json_try_string(out, pair->key);
    if (!err)
        err = append_text(out, ":");
    return err ? err : ce_json_try_string(out, pair->value);
}

/* Sorted by key, the first of equal ones. */
static enum fl_err append_pairs(struct fl_buffer *out, const struct ce_event *stored)
{
    size_t count = stored->metadata_count;
    const struct ce_metadata **pairs = fl_try_alloc(count * sizeof *pairs);
    if (!pairs)
        return FL_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        pairs[i] = &stored->metadata[i];
    qsort(pairs, count, sizeof *pairs, compare_keys);
    enum fl_err err = append_text(out, "{");
    for (size_t i = 0; i < count && !err; i++) {
        if (i == 0 || !fl_slice_eq(pairs[i]->key, pairs[i - 1]->key))
            err = append_pair(out, pairs[i], i == 0);
    }
    fl_free(pairs);
    return err ? err : append_text(out, "}");
}

static enum fl_err append_metadata(struct fl_buffer *out, const struct ce_event *stored)
{
    if (stored->metadata_count)
        return append_pairs(out, stored);
    return append_text(out, stored->flags & CE_EVENT_WITHOUT_METADATA ? "null" : "{}");
}

enum fl_err gw_bulk_append_head(struct fl_buffer *out)
{
    return append_text(out, "{\"entries\":[");
}

enum fl_err gw_bulk_append_entry(struct fl_buffer *out, const char id[GW_BULK_ID_LEN],
                                 uint32_t number, const struct ce_event *stored,
                                 const struct ce_event *view, bool is_raw)
{
    char entry_id[GW_BULK_ID_LEN];
    bool is_first = out->len && out->data[out->len - 1] == '[';
    struct fl_slice type = stored->content_type;
    if (type.len == 0)
        type = is_raw ? FL_SLICE_LIT("application/octet-stream")
                      : FL_SLICE_LIT("application/cloudevents+json");
    put_entry_id(entry_id, id, number);
    enum fl_err err = append_text(out, is_first ? "{\"entryId\":\"" : ",{\"entryId\":\"");
    if (!err)
        err = fl_buffer_try_append(out, entry_id, sizeof entry_id);
    if (!err)
        err = append_text(out, "\",\"event\":");
    if (!err)
        err = append_event(out, view, is_raw);
    if (!err)
        err = append_text(out, ",\"metadata\":");
    if (!err)
        err = append_metadata(out, stored);
    if (!err)
        err = append_member(out, ",\"contentType\":", type);
    return err ? err : append_text(out, "}");
}

enum fl_err gw_bulk_append_tail(struct fl_buffer *out, const char id[GW_BULK_ID_LEN],
                                struct fl_slice pubsub, struct fl_slice topic)
{
    enum fl_err err = append_member(out, "],\"id\":", fl_slice_of(id, GW_BULK_ID_LEN));
    if (!err)
        err = append_member(out, ",\"metadata\":{\"pubsubName\":", pubsub);
    if (!err)
        err = append_member(out, "},\"pubsubname\":", pubsub);
    if (!err)
        err = append_member(out, ",\"topic\":", topic);
    return err ? err : append_text(out, ",\"type\":\"com.dapr.event.sent.bulk\"}");
}

/* --- the answer --- */

static bool is_type_or_absent(struct fl_slice value, enum ce_json_type wanted)
{
    enum ce_json_type type = ce_json_type_of(value);
    return type == wanted || type == CE_JSON_NULL || type == CE_JSON_NONE;
}

/* One wrong type anywhere, and daprd takes nothing of the list. */
static bool statuses_are_valid(struct fl_slice statuses)
{
    struct ce_json_walk walk;
    struct fl_slice item;
    if (!is_type_or_absent(statuses, CE_JSON_ARRAY))
        return false;
    ce_json_walk_init(&walk, statuses);
    while (ce_json_walk_next(&walk, NULL, &item)) {
        if (!is_type_or_absent(item, CE_JSON_OBJECT) ||
            !is_type_or_absent(ce_json_find_nocase(item, "entryId"), CE_JSON_STRING) ||
            !is_type_or_absent(ce_json_find_nocase(item, "status"), CE_JSON_STRING))
            return false;
    }
    return true;
}

static bool entry_of(struct fl_slice token, const char id[GW_BULK_ID_LEN], uint32_t *number)
{
    /* A character takes at most six bytes of the token, and decodes to at most three for each. */
    char text[(GW_BULK_ID_LEN * 6 + 2) * 3];
    if (ce_json_type_of(token) != CE_JSON_STRING || ce_json_decoded_room(token) > sizeof text)
        return false;
    return number_of(fl_slice_of(text, ce_json_decode(token, text)), id, number);
}

static enum gw_bulk_status status_of(struct fl_slice token)
{
    if (ce_json_equals(token, FL_SLICE_LIT("SUCCESS")))
        return GW_BULK_SUCCESS;
    return ce_json_equals(token, FL_SLICE_LIT("DROP")) ? GW_BULK_DROP : GW_BULK_RETRY;
}

bool gw_bulk_read_answer(struct fl_slice body, const char id[GW_BULK_ID_LEN], uint32_t count,
                         gw_bulk_status_fn *on_status, void *context, size_t *unknown)
{
    struct ce_json_scan scan = {0};
    struct ce_json_walk walk;
    struct fl_slice item;
    *unknown = 0;
    if (ce_json_scan(body, &scan) || !is_type_or_absent(scan.value, CE_JSON_OBJECT))
        return false;
    struct fl_slice statuses = ce_json_find_nocase(scan.value, "statuses");
    if (!statuses_are_valid(statuses))
        return false;
    ce_json_walk_init(&walk, statuses);
    while (ce_json_walk_next(&walk, NULL, &item)) {
        uint32_t number;
        if (entry_of(ce_json_find_nocase(item, "entryId"), id, &number) && number < count)
            on_status(context, number, status_of(ce_json_find_nocase(item, "status")));
        else
            ++*unknown;
    }
    return true;
}
