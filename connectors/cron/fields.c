/* A field is cut at commas, each part at its slash, what stands before the slash at its hyphen.
 * Empty parts of a list are passed over, as Dapr does, but one part has to be there.
 */
#include "connectors/cron/fields.h"

enum { NAME_LETTERS = 3 };

struct field_form {
    const char *title;
    const char *names; /* three letters each, in order from `min`; NULL: none */
    const char *note;  /* ends the text about a value that is out of range */
    unsigned min, max;
};

static const struct field_form forms[CN_CRON_FIELDS] = {
    [CN_CRON_SECOND] = {"second", NULL, "", 0, 59},
    [CN_CRON_MINUTE] = {"minute", NULL, "", 0, 59},
    [CN_CRON_HOUR] = {"hour", NULL, "", 0, 23},
    [CN_CRON_DAY] = {"day", NULL, "", 1, 31},
    [CN_CRON_MONTH] = {"month", "janfebmaraprmayjunjulaugsepoctnovdec", " or jan to dec", 1, 12},
    [CN_CRON_WEEKDAY] = {"weekday", "sunmontuewedthufrisat",
                         " or sun to sat; Sunday is 0 and never 7", 0, 6},
};

/* Splits at the first `byte`; without one `rest` is the null slice. */
static struct fl_slice cut(struct fl_slice text, char byte, struct fl_slice *rest)
{
    size_t at = fl_slice_find_byte(text, byte);
    *rest = at < text.len ? fl_slice_of(text.data + at + 1, text.len - at - 1) : FL_SLICE_NULL;
    return fl_slice_of(text.data, at);
}

static struct fl_slice shorten(struct fl_slice text)
{
    enum { SHOWN = 40 };
    return fl_slice_of(text.data, text.len < SHOWN ? text.len : SHOWN);
}

static enum fl_err refuse(const struct field_form *form, struct fl_slice found, const char *why,
                          struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                        "%s: found \"%.*s\", %s; accepted are %u to %u%s", form->title,
                        FL_SLICE_ARG(shorten(found)), why, form->min, form->max, form->note);
}

static bool read_name(const struct field_form *form, struct fl_slice text, unsigned *value)
{
    if (!form->names || text.len != NAME_LETTERS)
        return false;
    for (unsigned i = 0; i <= form->max - form->min; i++) {
        struct fl_slice name = fl_slice_of(form->names + NAME_LETTERS * i, NAME_LETTERS);
        if (fl_slice_eq_nocase(text, name)) {
            *value = form->min + i;
            return true;
        }
    }
    return false;
}

static enum fl_err read_value(const struct field_form *form, struct fl_slice text, unsigned *value,
                              struct fl_error *error)
{
    uint64_t number;
    if (read_name(form, text, value))
        return FL_OK;
    if (!fl_slice_to_u64(text, &number))
        return refuse(form, text, "which is no number", error);
    if (number < form->min || number > form->max)
        return refuse(form, text, "which is out of range", error);
    *value = (unsigned)number;
    return FL_OK;
}

/* A step beyond the range leaves its first value alone. */
static enum fl_err read_step(const struct field_form *form, struct fl_slice text, unsigned *step,
                             struct fl_error *error)
{
    uint64_t number;
    if (!fl_slice_to_u64(text, &number) || number == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "%s: found the step \"%.*s\"; accepted is a whole number from 1 on",
                            form->title, FL_SLICE_ARG(shorten(text)));
    *step = number <= form->max ? (unsigned)number : form->max + 1;
    return FL_OK;
}

struct range {
    unsigned first, last, step;
    bool is_star, is_single;
};

static enum fl_err read_ends(const struct field_form *form, struct fl_slice text,
                             struct range *range, struct fl_error *error)
{
    struct fl_slice high, low = cut(text, '-', &high);
    *range = (struct range){.first = form->min, .last = form->max, .step = 1, .is_star = true};
    if (fl_slice_eq_str(text, "*") || fl_slice_eq_str(text, "?"))
        return FL_OK;
    range->is_star = false;
    range->is_single = fl_slice_is_null(high);
    enum fl_err err = read_value(form, low, &range->first, error);
    if (err)
        return err;
    range->last = range->first;
    if (range->is_single)
        return FL_OK;
    err = read_value(form, high, &range->last, error);
    if (err == FL_OK && range->first > range->last)
        return refuse(form, text, "which ends before it begins", error);
    return err;
}

static enum fl_err read_part(const struct field_form *form, struct fl_slice part,
                             struct range *range, struct fl_error *error)
{
    struct fl_slice step, ends = cut(part, '/', &step);
    enum fl_err err = read_ends(form, ends, range, error);
    if (err || fl_slice_is_null(step))
        return err;
    if (range->is_single)
        range->last = form->max;
    err = read_step(form, step, &range->step, error);
    range->is_star = range->is_star && range->step == 1;
    return err;
}

enum fl_err cn_cron_field_parse(struct fl_slice text, enum cn_cron_field field, uint64_t *set,
                                bool *has_star, struct fl_error *error)
{
    const struct field_form *form = &forms[field];
    uint64_t found = 0;
    bool found_star = false;
    for (struct fl_slice rest = text, part; !fl_slice_is_null(rest);) {
        struct range range;
        part = cut(rest, ',', &rest);
        if (part.len == 0)
            continue;
        enum fl_err err = read_part(form, part, &range, error);
        if (err)
            return err;
        found_star = found_star || range.is_star;
        for (unsigned value = range.first; value <= range.last; value += range.step)
            found |= UINT64_C(1) << value;
    }
    if (!found)
        return refuse(form, text, "which names no value", error);
    *set = found;
    *has_star = found_star;
    return FL_OK;
}
