/* Byte views; see the header. */
#include "base/slice.h"

/* Eight bytes with their ASCII capitals made small. A byte is a capital when adding lifts it over
 * 0x80 from 'A' on but not from 'Z' + 1 on; bytes from 0x80 on are left alone. */
static uint64_t lower_8(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
    uint64_t low_bits = word & ~high;
    uint64_t from_a = low_bits + (0x80 - 'A') * ones, beyond_z = low_bits + (0x7f - 'Z') * ones;
    return word | (((from_a ^ beyond_z) & ~word & high) >> 2);
}

static uint64_t load_8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return lower_8(word);
}

static uint64_t load_4(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return lower_8(word);
}

/* Header names are compared on every request, so the words overlap at the end instead of a loop
 * over what is left. */
bool fl_slice_eq_nocase(struct fl_slice a, struct fl_slice b)
{
    size_t len = a.len;
    if (len != b.len)
        return false;
    if (len < 4) {
        size_t i = 0;
        while (i < len && fl_ascii_lower(a.data[i]) == fl_ascii_lower(b.data[i]))
            i++;
        return i == len;
    }
    if (len < 8)
        return load_4(a.data) == load_4(b.data) &&
               load_4(a.data + len - 4) == load_4(b.data + len - 4);
    for (size_t i = 0; i + 8 < len; i += 8) {
        if (load_8(a.data + i) != load_8(b.data + i))
            return false;
    }
    return load_8(a.data + len - 8) == load_8(b.data + len - 8);
}

bool fl_slice_starts_with_nocase(struct fl_slice s, struct fl_slice prefix)
{
    return s.len >= prefix.len && fl_slice_eq_nocase(fl_slice_of(s.data, prefix.len), prefix);
}

int fl_slice_compare(struct fl_slice a, struct fl_slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct fl_slice fl_slice_trim(struct fl_slice s)
{
    while (s.len && is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

size_t fl_slice_find_byte(struct fl_slice s, char byte)
{
    const char *at = s.len ? memchr(s.data, byte, s.len) : NULL;
    return at ? (size_t)(at - s.data) : s.len;
}

bool fl_slice_to_u64(struct fl_slice s, uint64_t *value)
{
    uint64_t sum = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.data[i] - (unsigned)'0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

size_t fl_utf8_sequence(struct fl_slice s)
{
    if (s.len == 0)
        return 0;
    const unsigned char *b = (const unsigned char *)s.data;
    unsigned char first = b[0];
    if (first < 0x80)
        return 1;
    size_t len = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || s.len < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates and values over U+10FFFF show in the second byte. */
    if ((first == 0xE0 && b[1] < 0xA0) || (first == 0xED && b[1] > 0x9F) ||
        (first == 0xF0 && b[1] < 0x90) || (first == 0xF4 && b[1] > 0x8F))
        return 0;
    return len;
}

bool fl_utf8_is_valid(struct fl_slice s)
{
    while (s.len) {
        size_t n = fl_utf8_sequence(s);
        if (n == 0)
            return false;
        s.data += n;
        s.len -= n;
    }
    return true;
}
