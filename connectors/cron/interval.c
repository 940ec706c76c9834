/* The parts of a duration stand in one order, from weeks to seconds, each at most once; a table has
 * them in that order, and its place only moves forward. The sum is kept within int64_t.
 */
#include "connectors/cron/interval.h"

#define SECOND_NS INT64_C(1000000000)

struct part {
    char letter;
    bool is_time; /* stands behind the T */
    int64_t ns;   /* 0: no fixed length */
};

static const struct part parts[] = {
    {'Y', false, 0},
    {'M', false, 0},
    {'W', false, 7 * 86400 * SECOND_NS},
    {'D', false, 86400 * SECOND_NS},
    {'H', true, 3600 * SECOND_NS},
    {'M', true, 60 * SECOND_NS},
    {'S', true, SECOND_NS},
};

enum { PARTS = sizeof parts / sizeof *parts };

static const char accepted[] =
    "accepted is such as PT1M30S, P1DT12H, R5/PT10S or R/PT1M: weeks (W), "
    "days (D), then T and hours (H), minutes (M), seconds (S)";

static enum fl_err refuse(struct fl_error *error, const char *why)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "%s; %s", why, accepted);
}

static struct fl_slice behind(struct fl_slice text, size_t len)
{
    return fl_slice_of(text.data + len, text.len - len);
}

static size_t count_digits(struct fl_slice text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9')
        len++;
    return len;
}

/* What stands behind the point of a number of seconds; digits beyond the ninth are passed over. */
static int64_t fraction_ns(struct fl_slice digits)
{
    int64_t ns = 0, weight = SECOND_NS / 10;
    for (size_t i = 0; i < digits.len; i++, weight /= 10)
        ns += (digits.data[i] - '0') * weight;
    return ns;
}

/* A number, and the fraction that seconds may have. */
struct amount {
    uint64_t whole;
    int64_t fraction_ns;
    bool has_fraction;
};

static enum fl_err take_amount(struct fl_slice *text, struct amount *amount, struct fl_error *error)
{
    size_t len = count_digits(*text);
    *amount = (struct amount){0};
    if (len == 0)
        return refuse(error, "a number is missing");
    if (!fl_slice_to_u64(fl_slice_of(text->data, len), &amount->whole))
        return refuse(error, "a number is too large");
    *text = behind(*text, len);
    if (text->len == 0 || (text->data[0] != '.' && text->data[0] != ','))
        return FL_OK;
    struct fl_slice digits = behind(*text, 1);
    digits.len = count_digits(digits);
    if (digits.len == 0)
        return refuse(error, "a fraction has no digits");
    amount->has_fraction = true;
    amount->fraction_ns = fraction_ns(digits);
    *text = behind(*text, 1 + digits.len);
    return FL_OK;
}

/* Finds the part of a letter at `*place` or behind it, and moves the place beyond. */
static enum fl_err take_part(struct fl_slice *text, bool is_time, int *place,
                             const struct part **part, struct fl_error *error)
{
    if (text->len == 0)
        return refuse(error, "the letter behind the last number is missing");
    for (int i = *place; i < PARTS; i++) {
        if (parts[i].letter != text->data[0] || parts[i].is_time != is_time)
            continue;
        *place = i + 1;
        *part = &parts[i];
        *text = behind(*text, 1);
        return parts[i].ns ? FL_OK
                           : refuse(error, "years and months have no fixed length: use the fields, "
                                           "@monthly or @yearly");
    }
    return refuse(error, "a letter is unknown, out of order or there twice");
}

static enum fl_err add(int64_t *sum, const struct amount *amount, const struct part *part,
                       struct fl_error *error)
{
    int64_t ns;
    if (amount->has_fraction && part->ns != SECOND_NS)
        return refuse(error, "only seconds may have a fraction");
    if (__builtin_mul_overflow(amount->whole, part->ns, &ns) ||
        __builtin_add_overflow(ns, amount->fraction_ns, &ns) ||
        __builtin_add_overflow(*sum, ns, sum))
        return refuse(error, "it is longer than 292 years");
    return FL_OK;
}

static enum fl_err read_duration(struct fl_slice text, int64_t *sum, struct fl_error *error)
{
    bool is_time = false;
    int place = 0;
    if (text.len < 2 || text.data[0] != 'P' || text.data[text.len - 1] == 'T')
        return refuse(error, "a duration begins with P and has a part at least");
    for (text = behind(text, 1); text.len;) {
        struct amount amount;
        const struct part *part = NULL;
        if (!is_time && text.data[0] == 'T') {
            is_time = true;
            text = behind(text, 1);
        }
        enum fl_err err = take_amount(&text, &amount, error);
        if (err == FL_OK)
            err = take_part(&text, is_time, &place, &part, error);
        if (err == FL_OK)
            err = add(sum, &amount, part, error);
        if (err)
            return err;
    }
    return *sum ? FL_OK : refuse(error, "it has no length");
}

/* `R`, `R5` or `R-1`, without the slash. */
static enum fl_err read_repetitions(struct fl_slice text, uint64_t *repetitions,
                                    struct fl_error *error)
{
    struct fl_slice number = behind(text, 1);
    *repetitions = 0;
    if (number.len == 0 || fl_slice_eq_str(number, "-1"))
        return FL_OK;
    if (!fl_slice_to_u64(number, repetitions))
        return refuse(error, "what stands behind R is no number of events");
    return *repetitions ? FL_OK : refuse(error, "R0 asks for no event at all");
}

enum fl_err cn_cron_interval_parse(struct fl_slice text, int64_t *interval_ns,
                                   uint64_t *repetitions, struct fl_error *error)
{
    int64_t sum = 0;
    uint64_t count = 0;
    if (text.len && text.data[0] == 'R') {
        size_t slash = fl_slice_find_byte(text, '/');
        if (slash == text.len)
            return refuse(error, "behind R and its number a slash and a duration are missing");
        enum fl_err err = read_repetitions(fl_slice_of(text.data, slash), &count, error);
        if (err)
            return err;
        text = behind(text, slash + 1);
    }
    if (fl_slice_find_byte(text, '/') < text.len)
        return refuse(error, "it begins or ends at a date");
    enum fl_err err = read_duration(text, &sum, error);
    if (err)
        return err;
    *interval_ns = sum;
    *repetitions = count;
    return FL_OK;
}
