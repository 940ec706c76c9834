/* Zone files (TZif, RFC 8536), versions 1 to 4.
 *
 *   header · block of 32-bit times                                  version 1
 *   header · block of 32-bit times · header · block of 64-bit times · "\n" rule "\n"   later ones
 *
 * A block is six arrays, one behind the other: instants of the transitions, the type of each, the
 * types (offset, whether it is summer time, name), names, leap seconds, and two arrays of marks
 * that matter to nobody here. The header has the six counts. All that is used is the instants and
 * the offsets; of a later version only the second block.
 *
 * The bytes come from a file that an administrator or a package wrote, but every count and every
 * index is held against what is there.
 */
#include "base/alloc.h"
#include "connectors/cron/zone_priv.h"

enum {
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    SHORT_TIME_BYTES = 4,
    LONG_TIME_BYTES = 8,
    MOST_COUNT = CN_CRON_ZONE_FILE_MAX,
    MOST_OFFSET_S = 26 * 3600 - 1, /* RFC 8536, 3.2 */
};

struct counts {
    uint32_t utc_marks, standard_marks, leaps, transitions, types, name_bytes;
};

struct block {
    struct counts counts;
    size_t time_bytes;
    struct fl_slice instants, indexes, types;
};

static uint32_t read_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t read_time(const char *bytes, size_t time_bytes)
{
    if (time_bytes == SHORT_TIME_BYTES)
        return (int32_t)read_u32(bytes);
    return (int64_t)((uint64_t)read_u32(bytes) << 32 | read_u32(bytes + 4));
}

static bool take(struct fl_slice *rest, size_t len, struct fl_slice *part)
{
    if (rest->len < len)
        return false;
    *part = fl_slice_of(rest->data, len);
    *rest = fl_slice_of(rest->data + len, rest->len - len);
    return true;
}

/* '\0' is version 1, which has no digit. */
static bool take_header(struct fl_slice *rest, char *version, struct counts *counts)
{
    struct fl_slice header;
    if (!take(rest, HEADER_BYTES, &header) || memcmp(header.data, "TZif", 4) != 0)
        return false;
    *version = header.data[4];
    uint32_t *const all[] = {&counts->utc_marks,   &counts->standard_marks, &counts->leaps,
                             &counts->transitions, &counts->types,          &counts->name_bytes};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = read_u32(header.data + 20 + 4 * i);
        if (*all[i] > MOST_COUNT)
            return false;
    }
    return true;
}

static bool take_block(struct fl_slice *rest, size_t time_bytes, struct block *block)
{
    const struct counts *counts = &block->counts;
    struct fl_slice ignored;
    block->time_bytes = time_bytes;
    return take(rest, counts->transitions * time_bytes, &block->instants) &&
           take(rest, counts->transitions, &block->indexes) &&
           take(rest, counts->types * (size_t)TYPE_BYTES, &block->types) &&
           take(rest, counts->name_bytes, &ignored) &&
           take(rest, counts->leaps * (time_bytes + 4), &ignored) &&
           take(rest, counts->standard_marks, &ignored) && take(rest, counts->utc_marks, &ignored);
}

static bool read_type(const struct block *block, size_t index, int32_t *offset_s)
{
    if (index >= block->counts.types)
        return false;
    *offset_s = (int32_t)read_u32(block->types.data + index * TYPE_BYTES);
    return *offset_s >= -MOST_OFFSET_S && *offset_s <= MOST_OFFSET_S;
}

static bool read_transitions(const struct block *block, struct cn_cron_zone *zone)
{
    zone->count = block->counts.transitions;
    for (size_t i = 0; i < zone->count; i++) {
        struct cn_cron_transition *transition = &zone->transitions[i];
        transition->at_s =
            read_time(block->instants.data + i * block->time_bytes, block->time_bytes);
        if (!read_type(block, (unsigned char)block->indexes.data[i], &transition->offset_s) ||
            (i && transition->at_s <= zone->transitions[i - 1].at_s))
            return false;
    }
    return read_type(block, 0, &zone->first_offset_s);
}

/* An empty rule says nothing of the time after the last transition, whose offset then stays. */
static bool read_rule(struct fl_slice rest, struct cn_cron_zone *zone)
{
    if (rest.len < 2 || rest.data[0] != '\n')
        return false;
    struct fl_slice line = fl_slice_of(rest.data + 1, rest.len - 1);
    line.len = fl_slice_find_byte(line, '\n');
    if (line.len == rest.len - 1)
        return false;
    zone->has_rule = line.len > 0;
    return !zone->has_rule || cn_cron_rule_parse(line, &zone->rule) == FL_OK;
}

/* The block that counts, and the rest behind it, which is empty for version 1. */
static bool find_block(struct fl_slice bytes, struct block *block, struct fl_slice *rest)
{
    char version, again;
    if (!take_header(&bytes, &version, &block->counts) ||
        !take_block(&bytes, SHORT_TIME_BYTES, block))
        return false;
    bool has_more = version >= '2';
    if (has_more && (!take_header(&bytes, &again, &block->counts) ||
                     !take_block(&bytes, LONG_TIME_BYTES, block)))
        return false;
    *rest = has_more ? bytes : FL_SLICE_NULL;
    return true;
}

static enum fl_err refuse(struct fl_error *error, const char *why)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "%s", why);
}

enum fl_err cn_cron_zone_of_file(struct fl_slice bytes, struct cn_cron_zone **zone,
                                 struct fl_error *error)
{
    struct block block;
    struct fl_slice rest;
    if (!find_block(bytes, &block, &rest))
        return refuse(error, "it is no zone file (TZif), or a part of one");
    if (block.counts.leaps)
        return refuse(error,
                      "its time counts leap seconds, which the clock of this machine does not");
    struct cn_cron_zone *found =
        fl_zalloc(sizeof *found + block.counts.transitions * sizeof *found->transitions);
    if (!read_transitions(&block, found) || (!fl_slice_is_null(rest) && !read_rule(rest, found))) {
        cn_cron_zone_free(&found);
        return refuse(error, "it is a damaged zone file (TZif)");
    }
    *zone = found;
    return FL_OK;
}
