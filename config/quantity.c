/* Sizes, durations, truths and integers, each by the grammar that daprd's libraries use, without
 * floating point: a quantity is a decimal mantissa with an exponent of ten or two, rounded away
 * from zero at the end, as Kubernetes rounds; a duration is summed in nanoseconds. */
#include "config/quantity.h"

#include <limits.h>
#include <stdio.h>

typedef unsigned __int128 wide;

#define WIDE_MAX (~(wide)0)

/* --- quantities ------------------------------------------------------------------------------- */

struct suffix {
    const char *text;
    int ten, two;
};

static const struct suffix suffixes[] = {
    {"", 0, 0},    {"n", -9, 0},  {"u", -6, 0},  {"m", -3, 0},  {"k", 3, 0},   {"M", 6, 0},
    {"G", 9, 0},   {"T", 12, 0},  {"P", 15, 0},  {"E", 18, 0},  {"Ki", 0, 10}, {"Mi", 0, 20},
    {"Gi", 0, 30}, {"Ti", 0, 40}, {"Pi", 0, 50}, {"Ei", 0, 60},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits with at most one point between them; the digits as one integer and how many of them stood
 * behind the point. Leading zeros cost nothing. */
static enum fl_err take_mantissa(struct fl_slice *text, wide *mantissa, int *scale)
{
    size_t i = 0, digits = 0;
    bool has_point = false;
    for (; i < text->len && (is_digit(text->data[i]) || (text->data[i] == '.' && !has_point));
         i++) {
        if (text->data[i] == '.') {
            has_point = true;
            continue;
        }
        digits++;
        if (*mantissa > WIDE_MAX / 1000)
            return FL_ERR_TOO_LARGE;
        *mantissa = *mantissa * 10 + (unsigned)(text->data[i] - '0');
        *scale += has_point;
    }
    *text = fl_slice_of(text->data + i, text->len - i);
    return digits ? FL_OK : FL_ERR_INVALID;
}

/* `e3`, `E-2`; the letter is known to be there. */
static bool take_exponent(struct fl_slice text, int *ten)
{
    int sign = 1;
    size_t i = 1;
    if (i < text.len && (text.data[i] == '-' || text.data[i] == '+'))
        sign = text.data[i++] == '-' ? -1 : 1;
    if (i == text.len || text.len - i > 3)
        return false;
    int value = 0;
    for (; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *ten = sign * value;
    return true;
}

static bool take_suffix(struct fl_slice text, int *ten, int *two)
{
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (fl_slice_eq_str(text, suffixes[i].text)) {
            *ten = suffixes[i].ten;
            *two = suffixes[i].two;
            return true;
        }
    return text.len > 1 && (text.data[0] == 'e' || text.data[0] == 'E') && take_exponent(text, ten);
}

/* mantissa × 10^ten × 2^two, rounded up. */
static enum fl_err scale_up(wide mantissa, int ten, int two, uint64_t *value)
{
    for (; two > 0; two--) {
        if (mantissa > WIDE_MAX / 2)
            return FL_ERR_TOO_LARGE;
        mantissa *= 2;
    }
    for (; ten > 0 && mantissa; ten--) {
        if (mantissa > WIDE_MAX / 10)
            return FL_ERR_TOO_LARGE;
        mantissa *= 10;
    }
    bool has_rest = false;
    for (; ten < 0 && mantissa; ten++) {
        has_rest = has_rest || mantissa % 10 != 0;
        mantissa /= 10;
    }
    mantissa += has_rest;
    if (mantissa > INT64_MAX)
        return FL_ERR_TOO_LARGE;
    *value = (uint64_t)mantissa;
    return FL_OK;
}

static bool take_sign(struct fl_slice *text)
{
    bool is_negative = text->len && text->data[0] == '-';
    if (text->len && (text->data[0] == '-' || text->data[0] == '+'))
        *text = fl_slice_of(text->data + 1, text->len - 1);
    return is_negative;
}

enum fl_err config_parse_quantity(struct fl_slice text, int64_t *value)
{
    bool is_negative = take_sign(&text);
    wide mantissa = 0;
    int scale = 0, ten = 0, two = 0;
    uint64_t magnitude;
    enum fl_err err = take_mantissa(&text, &mantissa, &scale);
    if (err != FL_OK)
        return err;
    if (!take_suffix(text, &ten, &two))
        return FL_ERR_INVALID;
    err = scale_up(mantissa, ten - scale, two, &magnitude);
    if (err == FL_OK)
        *value = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return err;
}

/* --- durations -------------------------------------------------------------------------------- */

struct unit {
    const char *text;
    uint64_t ns;
};

/* Longer names first where one begins another. Both signs for micro are Go's. */
static const struct unit units[] = {
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},
    {"\xce\xbcs", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", UINT64_C(60) * 1000000000},
    {"h", UINT64_C(3600) * 1000000000},
};

static const struct unit *take_unit(struct fl_slice *text)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct fl_slice name = fl_slice_str(units[i].text);
        if (!fl_slice_starts_with(*text, name))
            continue;
        *text = fl_slice_of(text->data + name.len, text->len - name.len);
        return &units[i];
    }
    return NULL;
}

/* One number with its unit, added to `sum`. */
static enum fl_err take_part(struct fl_slice *text, wide *sum)
{
    wide mantissa = 0;
    int scale = 0;
    enum fl_err err = take_mantissa(text, &mantissa, &scale);
    if (err != FL_OK)
        return err;
    const struct unit *unit = take_unit(text);
    if (!unit)
        return FL_ERR_INVALID;
    /* Digits far behind the point weigh less than a nanosecond; cutting them keeps the product in
     * range. */
    for (; mantissa > WIDE_MAX / units[7].ns && scale > 0; scale--)
        mantissa /= 10;
    if (mantissa > WIDE_MAX / units[7].ns)
        return FL_ERR_TOO_LARGE;
    wide ns = mantissa * unit->ns;
    for (; scale > 0; scale--)
        ns /= 10;
    if (ns > (wide)INT64_MAX - *sum)
        return FL_ERR_TOO_LARGE;
    *sum += ns;
    return FL_OK;
}

static enum fl_err parse_bare(struct fl_slice text, enum config_bare bare, int64_t *ns)
{
    int64_t value;
    enum fl_err err = config_parse_int(text, &value);
    if (err != FL_OK)
        return err;
    int64_t unit = bare == CONFIG_BARE_MS ? 1000000 : 1000000000;
    return __builtin_mul_overflow(value, unit, ns) ? FL_ERR_TOO_LARGE : FL_OK;
}

enum fl_err config_parse_duration(struct fl_slice text, enum config_bare bare, int64_t *ns)
{
    int64_t ignored;
    if (bare != CONFIG_BARE_REFUSED && config_parse_int(text, &ignored) != FL_ERR_INVALID) {
        int64_t value;
        enum fl_err err = parse_bare(text, bare, &value);
        if (err == FL_OK)
            *ns = value;
        return err;
    }
    bool is_negative = take_sign(&text);
    if (text.len == 0)
        return FL_ERR_INVALID;
    wide sum = 0;
    if (!fl_slice_eq_str(text, "0")) {
        while (text.len) {
            enum fl_err err = take_part(&text, &sum);
            if (err != FL_OK)
                return err;
        }
    }
    *ns = is_negative ? -(int64_t)sum : (int64_t)sum;
    return FL_OK;
}

int64_t config_ns_to_ms(int64_t ns)
{
    int64_t ms = ns / 1000000, rest = ns % 1000000;
    return ms + (rest > 0) - (rest < 0);
}

/* `value` in units of 10^digits, without trailing zeros behind the point. */
static void print_fraction(char *out, size_t size, uint64_t value, unsigned digits,
                           const char *unit)
{
    uint64_t power = 1;
    for (unsigned i = 0; i < digits; i++)
        power *= 10;
    uint64_t rest = value % power;
    for (; digits && rest % 10 == 0; digits--)
        rest /= 10;
    if (digits)
        snprintf(out, size, "%llu.%0*llu%s", (unsigned long long)(value / power), (int)digits,
                 (unsigned long long)rest, unit);
    else
        snprintf(out, size, "%llu%s", (unsigned long long)(value / power), unit);
}

const char *config_format_duration(int64_t ns, char out[CONFIG_DURATION_TEXT])
{
    uint64_t left = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    char *at = out;
    size_t size = CONFIG_DURATION_TEXT;
    if (ns < 0) {
        *at++ = '-';
        size--;
    }
    if (left == 0) {
        snprintf(at, size, "0s");
    } else if (left < 1000) {
        print_fraction(at, size, left, 0, "ns");
    } else if (left < 1000000) {
        print_fraction(at, size, left, 3, "\xc2\xb5s");
    } else if (left < 1000000000) {
        print_fraction(at, size, left, 6, "ms");
    } else {
        uint64_t minutes = left / units[6].ns, rest = left % units[6].ns;
        int used = 0;
        if (minutes >= 60)
            used = snprintf(at, size, "%lluh%llum", (unsigned long long)(minutes / 60),
                            (unsigned long long)(minutes % 60));
        else if (minutes)
            used = snprintf(at, size, "%llum", (unsigned long long)minutes);
        print_fraction(at + used, size - (size_t)used, rest, 9, "s");
    }
    return out;
}

/* --- truths and integers ---------------------------------------------------------------------- */

static bool is_one_of(struct fl_slice text, const char *const *words)
{
    for (; *words; words++)
        if (fl_slice_eq_str(text, *words))
            return true;
    return false;
}

enum fl_err config_parse_bool(struct fl_slice text, bool *value)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False", NULL};
    bool is_true = is_one_of(text, yes);
    if (!is_true && !is_one_of(text, no))
        return FL_ERR_INVALID;
    *value = is_true;
    return FL_OK;
}

bool config_is_truthy(struct fl_slice text)
{
    static const char *const words[] = {"y", "yes", "true", "t", "on", "1"};
    text = fl_slice_trim(text);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (fl_slice_eq_nocase(text, fl_slice_str(words[i])))
            return true;
    return false;
}

static int digit_of(char c)
{
    if (is_digit(c))
        return c - '0';
    c = fl_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static enum fl_err parse_base(struct fl_slice text, int base, bool is_negative, int64_t *value)
{
    uint64_t magnitude = 0, limit = is_negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    bool is_over = false;
    if (text.len == 0)
        return FL_ERR_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.data[i]);
        if (digit >= base)
            return FL_ERR_INVALID;
        if (magnitude > (limit - (unsigned)digit) / (unsigned)base)
            is_over = true;
        else
            magnitude = magnitude * (unsigned)base + (unsigned)digit;
    }
    if (is_over)
        return FL_ERR_TOO_LARGE;
    *value = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return FL_OK;
}

enum fl_err config_parse_int(struct fl_slice text, int64_t *value)
{
    bool is_negative = take_sign(&text);
    return parse_base(text, 10, is_negative, value);
}

/* Go allows `_` only between digits, or between the prefix and the first digit. */
static bool take_underscores(struct fl_slice text, bool has_prefix, char *out, size_t *len)
{
    bool was_digit = has_prefix;
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool is_underscore = text.data[i] == '_';
        if (is_underscore && (!was_digit || i + 1 == text.len))
            return false;
        if (!is_underscore)
            out[(*len)++] = text.data[i];
        was_digit = !is_underscore;
    }
    return true;
}

enum fl_err config_parse_int_any(struct fl_slice text, int64_t *value)
{
    char digits[128];
    size_t len, skip = 0;
    int base = 10;
    bool is_negative = take_sign(&text);
    if (text.len == 0 || text.len >= sizeof digits)
        return FL_ERR_INVALID;
    if (text.len > 1 && text.data[0] == '0') {
        char letter = fl_ascii_lower(text.data[1]);
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
        skip = letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
    }
    struct fl_slice rest = fl_slice_of(text.data + skip, text.len - skip);
    if (!take_underscores(rest, skip > 0, digits, &len))
        return FL_ERR_INVALID;
    return parse_base(fl_slice_of(digits, len), base, is_negative, value);
}

enum fl_err config_parse_port(struct fl_slice text, uint16_t *port)
{
    int64_t value;
    enum fl_err err = config_parse_int(text, &value);
    if (err != FL_OK)
        return err;
    if (value < 0 || value > UINT16_MAX)
        return FL_ERR_TOO_LARGE;
    *port = (uint16_t)value;
    return FL_OK;
}
