/* Reading publish metadata as daprd does; see publish_metadata.h.
 *
 * Durations follow Go's time.ParseDuration, its arithmetic included (a fraction goes through a
 * double).
 */
#include "cloudevents/publish_metadata.h"

#include <stddef.h>

#define NS_PER_S 1000000000
/* 2^63 ns: the size of the most negative duration. */
#define DURATION_MAX_SIZE ((uint64_t)1 << 63)

/* --- durations --- */

struct unit {
    struct fl_slice name;
    uint64_t ns;
};

static bool find_unit(struct fl_slice name, uint64_t *ns)
{
    static const struct unit units[] = {
        {{"ns", 2}, 1},
        {{"us", 2}, 1000},
        {{"\xc2\xb5s", 3}, 1000},
        {{"\xce\xbcs", 3}, 1000},
        {{"ms", 2}, 1000000},
        {{"s", 1}, NS_PER_S},
        {{"m", 1}, 60 * (uint64_t)NS_PER_S},
        {{"h", 1}, 3600 * (uint64_t)NS_PER_S},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (fl_slice_eq(units[i].name, name)) {
            *ns = units[i].ns;
            return true;
        }
    }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

struct reader {
    const char *at, *end;
};

/* Digits before the point; false past 2^63. */
static bool read_whole(struct reader *r, uint64_t *value)
{
    uint64_t v = 0;
    for (; r->at < r->end && is_digit(*r->at); r->at++) {
        if (v > DURATION_MAX_SIZE / 10)
            return false;
        v = v * 10 + (uint64_t)(*r->at - '0');
        if (v > DURATION_MAX_SIZE)
            return false;
    }
    *value = v;
    return true;
}

/* Digits behind the point; those that no longer fit are passed over. */
static void read_fraction(struct reader *r, uint64_t *value, double *scale)
{
    bool is_full = false;
    *value = 0;
    *scale = 1;
    for (; r->at < r->end && is_digit(*r->at); r->at++) {
        uint64_t next = *value * 10 + (uint64_t)(*r->at - '0');
        is_full = is_full || *value > (DURATION_MAX_SIZE - 1) / 10 || next > DURATION_MAX_SIZE;
        if (is_full)
            continue;
        *value = next;
        *scale *= 10;
    }
}

/* One number with its unit, as in "1.5h". */
static bool read_term(struct reader *r, uint64_t *ns)
{
    uint64_t whole, fraction = 0, unit;
    double scale = 1;
    const char *start = r->at;
    if (!read_whole(r, &whole))
        return false;
    bool has_digits = r->at != start;
    if (r->at < r->end && *r->at == '.') {
        start = ++r->at;
        read_fraction(r, &fraction, &scale);
        has_digits = has_digits || r->at != start;
    }
    start = r->at;
    while (r->at < r->end && *r->at != '.' && !is_digit(*r->at))
        r->at++;
    if (!has_digits || !find_unit(fl_slice_of(start, (size_t)(r->at - start)), &unit) ||
        whole > DURATION_MAX_SIZE / unit)
        return false;
    *ns = whole * unit + (uint64_t)((double)fraction * ((double)unit / scale));
    return *ns <= DURATION_MAX_SIZE;
}

static bool parse_duration(struct fl_slice text, int64_t *ns)
{
    struct reader r = {text.data, text.data + text.len};
    bool is_negative = text.data[0] == '-';
    if (is_negative || text.data[0] == '+')
        r.at++;
    if (r.end - r.at == 1 && *r.at == '0') {
        *ns = 0;
        return true;
    }
    if (r.at == r.end)
        return false;
    uint64_t total = 0, term;
    while (r.at < r.end) {
        if (!read_term(&r, &term) || total + term > DURATION_MAX_SIZE)
            return false;
        total += term;
    }
    if (!is_negative && total == DURATION_MAX_SIZE)
        return false;
    *ns = (int64_t)(is_negative ? 0 - total : total);
    return true;
}

static bool parse_seconds(struct fl_slice text, int64_t *ns)
{
    if (text.data[0] == '+')
        text = fl_slice_of(text.data + 1, text.len - 1);
    uint64_t seconds;
    if (!fl_slice_to_u64(text, &seconds) || seconds == 0 || seconds > INT64_MAX)
        return false;
    *ns = (int64_t)(seconds * NS_PER_S);
    return true;
}

bool ce_ttl_parse(struct fl_slice text, int64_t *ttl_ns)
{
    return text.len > 0 && (parse_duration(text, ttl_ns) || parse_seconds(text, ttl_ns));
}

/* --- keys --- */

struct override_row {
    struct fl_slice key;
    size_t offset;
};

#define OVERRIDE(name)                                                                             \
    {                                                                                              \
        {"cloudevent." #name, sizeof("cloudevent." #name) - 1},                                    \
            offsetof(struct ce_publish_metadata, name)                                             \
    }

static const struct override_row overrides[] = {
    OVERRIDE(id),      OVERRIDE(source),      OVERRIDE(type),       OVERRIDE(subject),
    OVERRIDE(traceid), OVERRIDE(traceparent), OVERRIDE(tracestate),
};
#define OVERRIDE_COUNT (sizeof overrides / sizeof *overrides)

/* Stores the value unless one of a better spelling is there. */
static void take(struct fl_slice *slot, bool *slot_is_exact, struct fl_slice value, bool is_exact)
{
    if (fl_slice_is_null(*slot) || (is_exact && !*slot_is_exact)) {
        *slot = value.data ? value : FL_SLICE_LIT("");
        *slot_is_exact = is_exact;
    }
}

void ce_publish_metadata_read(const struct ce_metadata *metadata, size_t count,
                              struct ce_publish_metadata *out)
{
    *out = (struct ce_publish_metadata){0};
    struct fl_slice ttl = FL_SLICE_NULL, ttl_seconds = FL_SLICE_NULL;
    bool ttl_is_exact = false, ttl_seconds_is_exact = false;
    bool is_exact[OVERRIDE_COUNT] = {false};
    const struct fl_slice ttl_key = FL_SLICE_LIT("ttl");
    const struct fl_slice seconds_key = FL_SLICE_LIT("ttlInSeconds");
    for (size_t i = 0; i < count; i++) {
        struct fl_slice key = metadata[i].key, value = metadata[i].value;
        if (fl_slice_eq_nocase(key, ttl_key))
            take(&ttl, &ttl_is_exact, value, fl_slice_eq(key, ttl_key));
        if (fl_slice_eq_nocase(key, seconds_key))
            take(&ttl_seconds, &ttl_seconds_is_exact, value, fl_slice_eq(key, seconds_key));
        for (size_t o = 0; o < OVERRIDE_COUNT; o++)
            if (fl_slice_eq_nocase(key, overrides[o].key))
                take((struct fl_slice *)(void *)((char *)out + overrides[o].offset), &is_exact[o],
                     value, fl_slice_eq(key, overrides[o].key));
    }
    out->has_ttl = ce_ttl_parse(fl_slice_is_null(ttl) ? ttl_seconds : ttl, &out->ttl_ns);
}

struct fl_slice ce_metadata_find(const struct ce_metadata *metadata, size_t count,
                                 struct fl_slice key)
{
    for (size_t i = 0; i < count; i++)
        if (fl_slice_eq(metadata[i].key, key))
            return metadata[i].value.data ? metadata[i].value : FL_SLICE_LIT("");
    return FL_SLICE_NULL;
}

enum fl_err ce_metadata_raw_payload(const struct ce_metadata *metadata, size_t count, bool *is_raw,
                                    struct fl_slice *bad)
{
    static const char *const words[2][6] = {{"0", "f", "F", "FALSE", "false", "False"},
                                            {"1", "t", "T", "TRUE", "true", "True"}};
    struct fl_slice value = ce_metadata_find(metadata, count, FL_SLICE_LIT("rawPayload"));
    if (value.len == 0) {
        *is_raw = false;
        return FL_OK;
    }
    for (int truth = 0; truth < 2; truth++) {
        for (int i = 0; i < 6; i++) {
            if (fl_slice_eq_str(value, words[truth][i])) {
                *is_raw = truth == 1;
                return FL_OK;
            }
        }
    }
    if (bad)
        *bad = value;
    return FL_ERR_INVALID;
}
