/* Reading a schedule. The first bytes tell which form it has: a zone is taken off, then `@` begins
 * a descriptor, `P` or `R` an interval, and all else is fields, whose sets of values are bits of a
 * word. A descriptor is the fields that stand for it. Search is in schedule_next.c.
 */
#include "connectors/cron/schedule.h"

#include "config/quantity.h"
#include "config/spelling.h"
#include "connectors/cron/fields.h"
#include "connectors/cron/interval.h"
#include "connectors/cron/zone.h"

static const char accepted[] =
    "accepted are \"[second] minute hour day month weekday\", @every 15m, @hourly, @daily, "
    "@midnight, @weekly, @monthly, @yearly, @annually, PT15M or R5/PT10S, all of them also behind "
    "\"TZ=Europe/Berlin \"";

static const struct descriptor {
    const char *name, *fields;
} descriptors[] = {
    {"@yearly", "0 0 0 1 1 *"}, {"@annually", "0 0 0 1 1 *"}, {"@monthly", "0 0 0 1 * *"},
    {"@weekly", "0 0 0 * * 0"}, {"@daily", "0 0 0 * * *"},    {"@midnight", "0 0 0 * * *"},
    {"@hourly", "0 0 * * * *"},
};

static struct fl_slice behind(struct fl_slice text, size_t len)
{
    return fl_slice_of(text.data + len, text.len - len);
}

/* Up to the first white space. */
static struct fl_slice first_word(struct fl_slice text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] != ' ' &&
           (text.data[len] < '\t' || text.data[len] > '\r'))
        len++;
    return fl_slice_of(text.data, len);
}

/* --- fields --- */

/* The words of a text, at most `most`; their number even where there are more. */
static size_t split(struct fl_slice text, struct fl_slice *words, size_t most)
{
    size_t count = 0;
    for (text = fl_slice_trim(text); text.len; count++) {
        struct fl_slice word = first_word(text);
        if (count < most)
            words[count] = word;
        text = fl_slice_trim(behind(text, word.len));
    }
    return count;
}

static enum fl_err read_fields(struct fl_slice text, struct cn_cron_schedule *schedule,
                               struct fl_error *error)
{
    struct fl_slice words[CN_CRON_FIELDS] = {FL_SLICE_LIT("0")};
    bool has_star[CN_CRON_FIELDS];
    size_t count = split(text, words, CN_CRON_FIELDS);
    if (count != CN_CRON_FIELDS && count != CN_CRON_FIELDS - 1)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "it has %zu field%s; %s", count,
                            count == 1 ? "" : "s", accepted);
    if (count == CN_CRON_FIELDS - 1) {
        memmove(words + 1, words, count * sizeof *words);
        words[0] = FL_SLICE_LIT("0");
    }
    for (int i = 0; i < CN_CRON_FIELDS; i++) {
        enum fl_err err = cn_cron_field_parse(words[i], (enum cn_cron_field)i, &schedule->sets[i],
                                              &has_star[i], error);
        if (err)
            return err;
    }
    schedule->is_either_day = !has_star[CN_CRON_DAY] && !has_star[CN_CRON_WEEKDAY];
    return FL_OK;
}

/* --- intervals --- */

static void set_interval(struct cn_cron_schedule *schedule, int64_t interval_ns)
{
    schedule->is_lengthened = interval_ns < CN_CRON_SHORTEST_NS;
    schedule->interval_ns = schedule->is_lengthened ? CN_CRON_SHORTEST_NS : interval_ns;
}

static enum fl_err read_every(struct fl_slice text, struct cn_cron_schedule *schedule,
                              struct fl_error *error)
{
    int64_t ns;
    if (config_parse_duration(text, CONFIG_BARE_REFUSED, &ns) != FL_OK || ns < 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "@every: found \"%.*s\"; accepted is a duration such as 500ms, 15s or "
                            "1h30m",
                            (int)(text.len < 40 ? text.len : 40), text.data);
    set_interval(schedule, ns);
    return FL_OK;
}

static enum fl_err read_interval(struct fl_slice text, struct cn_cron_schedule *schedule,
                                 struct fl_error *error)
{
    int64_t ns;
    enum fl_err err = cn_cron_interval_parse(text, &ns, &schedule->repetitions, error);
    if (err == FL_OK)
        set_interval(schedule, ns);
    return err;
}

/* --- the whole --- */

static enum fl_err read_descriptor(struct fl_slice text, struct cn_cron_schedule *schedule,
                                   struct fl_error *error)
{
    enum { COUNT = sizeof descriptors / sizeof *descriptors };
    const char *names[COUNT + 1] = {"@every"};
    struct fl_slice word = first_word(text);
    if (fl_slice_eq_str(word, "@every"))
        return read_every(fl_slice_trim(behind(text, word.len)), schedule, error);
    for (size_t i = 0; i < COUNT; i++) {
        if (fl_slice_eq_str(text, descriptors[i].name))
            return read_fields(fl_slice_str(descriptors[i].fields), schedule, error);
        names[i + 1] = descriptors[i].name;
    }
    const char *near = config_spelling_nearest(word, names, COUNT + 1);
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "\"%.*s\" is unknown%s%s%s; %s",
                        (int)(text.len < 40 ? text.len : 40), text.data,
                        near ? " (did you mean " : "", near ? near : "", near ? "?)" : "",
                        accepted);
}

static bool has_zone(struct fl_slice text, struct fl_slice *name)
{
    static const struct fl_slice prefixes[] = {{"TZ=", 3}, {"CRON_TZ=", 8}};
    for (size_t i = 0; i < 2; i++) {
        if (!fl_slice_starts_with(text, prefixes[i]))
            continue;
        *name = behind(first_word(text), prefixes[i].len);
        return true;
    }
    return false;
}

static enum fl_err read_timing(struct fl_slice text, struct cn_cron_schedule *schedule,
                               struct fl_error *error)
{
    if (text.len == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "it is empty; %s", accepted);
    if (text.data[0] == '@')
        return read_descriptor(text, schedule, error);
    if (text.data[0] == 'P' || text.data[0] == 'R')
        return read_interval(text, schedule, error);
    return read_fields(text, schedule, error);
}

enum fl_err cn_cron_schedule_parse(struct fl_slice text, const struct cn_cron_zone *local,
                                   struct cn_cron_schedule *schedule, struct fl_error *error)
{
    struct cn_cron_schedule found = {.zone = local};
    struct fl_slice zone;
    if (text.len > CN_CRON_SCHEDULE_MAX)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL,
                            "it has %zu bytes; accepted are %d at most", text.len,
                            CN_CRON_SCHEDULE_MAX);
    text = fl_slice_trim(text);
    bool is_named = has_zone(text, &zone);
    if (is_named && !fl_slice_eq_str(zone, "Local")) {
        enum fl_err err = cn_cron_zone_find(zone, &found.named_zone, error);
        if (err)
            return err;
        found.zone = found.named_zone;
    }
    enum fl_err err = read_timing(
        is_named ? fl_slice_trim(behind(text, first_word(text).len)) : text, &found, error);
    if (err)
        cn_cron_zone_free(&found.named_zone);
    else
        *schedule = found;
    return err;
}

void cn_cron_schedule_fini(struct cn_cron_schedule *schedule)
{
    cn_cron_zone_free(&schedule->named_zone);
    *schedule = (struct cn_cron_schedule){0};
}
