/* A cursor eats the text from its front; each `take_` function removes what it understood, or
 * fails.
 *
 * Which time holds at an instant is answered by the changes of the years around it: the latest one
 * that is not after the instant, and the earliest one that is. Two years on either side suffice,
 * since a change lies within a year or at most 167 hours outside of it.
 */
#include "connectors/cron/zone_rule.h"

#include "connectors/cron/calendar.h"

enum { HOUR_S = 3600, MOST_OFFSET_HOURS = 24, MOST_CHANGE_HOURS = 167, YEARS_AROUND = 2 };

/* --- the text --- */

static bool take_byte(struct fl_slice *text, char byte)
{
    if (text->len == 0 || text->data[0] != byte)
        return false;
    *text = fl_slice_of(text->data + 1, text->len - 1);
    return true;
}

static bool is_letter(char c)
{
    return fl_ascii_lower(c) >= 'a' && fl_ascii_lower(c) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_number(struct fl_slice *text, int min, int max, int *number)
{
    size_t len = 0;
    int value = 0;
    for (; len < text->len && is_digit(text->data[len]); len++) {
        value = value * 10 + (text->data[len] - '0');
        if (value > max)
            return false;
    }
    if (len == 0 || value < min)
        return false;
    *text = fl_slice_of(text->data + len, text->len - len);
    *number = value;
    return true;
}

/* Three letters or more, or `<+0330>`: what a clock shows beside the time, which nobody asks for
 * here. */
static bool take_name(struct fl_slice *text)
{
    bool is_quoted = take_byte(text, '<');
    size_t len = 0;
    for (; len < text->len; len++) {
        char c = text->data[len];
        if (!is_letter(c) && !(is_quoted && (is_digit(c) || c == '+' || c == '-')))
            break;
    }
    *text = fl_slice_of(text->data + len, text->len - len);
    return len >= 3 && (!is_quoted || take_byte(text, '>'));
}

/* `[+-]hh[:mm[:ss]]` in seconds. */
static bool take_time(struct fl_slice *text, int most_hours, int32_t *seconds)
{
    int hours, minutes = 0, rest = 0;
    bool is_negative = take_byte(text, '-');
    if (!is_negative)
        take_byte(text, '+');
    if (!take_number(text, 0, most_hours, &hours))
        return false;
    if (take_byte(text, ':') && !take_number(text, 0, 59, &minutes))
        return false;
    if (take_byte(text, ':') && !take_number(text, 0, 59, &rest))
        return false;
    int32_t sum = hours * HOUR_S + minutes * 60 + rest;
    *seconds = is_negative ? -sum : sum;
    return true;
}

/* POSIX counts offsets west of Greenwich. */
static bool take_offset(struct fl_slice *text, int32_t *east_s)
{
    int32_t west_s;
    if (!take_time(text, MOST_OFFSET_HOURS, &west_s))
        return false;
    *east_s = -west_s;
    return true;
}

static bool take_day(struct fl_slice *text, struct cn_cron_change *change)
{
    if (take_byte(text, 'J')) {
        change->kind = CN_CRON_DAY_JULIAN;
        return take_number(text, 1, 365, &change->day);
    }
    if (!take_byte(text, 'M')) {
        change->kind = CN_CRON_DAY_OF_YEAR;
        return take_number(text, 0, 365, &change->day);
    }
    change->kind = CN_CRON_DAY_OF_MONTH;
    return take_number(text, 1, 12, &change->month) && take_byte(text, '.') &&
           take_number(text, 1, 5, &change->week) && take_byte(text, '.') &&
           take_number(text, 0, 6, &change->day);
}

static bool take_change(struct fl_slice *text, struct cn_cron_change *change)
{
    change->time_s = 2 * HOUR_S;
    return take_byte(text, ',') && take_day(text, change) &&
           (!take_byte(text, '/') || take_time(text, MOST_CHANGE_HOURS, &change->time_s));
}

static bool take_summer(struct fl_slice *text, struct cn_cron_rule *rule)
{
    rule->summer_s = rule->standard_s + HOUR_S;
    if (!take_name(text))
        return false;
    if (text->len && text->data[0] != ',' && !take_offset(text, &rule->summer_s))
        return false;
    return take_change(text, &rule->to_summer) && take_change(text, &rule->to_standard);
}

enum fl_err cn_cron_rule_parse(struct fl_slice text, struct cn_cron_rule *rule)
{
    struct cn_cron_rule found = {0};
    if (!take_name(&text) || !take_offset(&text, &found.standard_s))
        return FL_ERR_INVALID;
    found.has_summer = text.len > 0;
    if (found.has_summer && (!take_summer(&text, &found) || text.len))
        return FL_ERR_INVALID;
    *rule = found;
    return FL_OK;
}

/* --- its meaning --- */

static bool is_leap_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t weekday_of_month(int64_t year, const struct cn_cron_change *change)
{
    int64_t first = cn_cron_day_of(year, change->month, 1);
    int64_t next_month = change->month == 12 ? cn_cron_day_of(year + 1, 1, 1)
                                             : cn_cron_day_of(year, change->month + 1, 1);
    int64_t day = first + (change->day - cn_cron_weekday_of(first) + 7) % 7;
    day += 7 * (change->week - 1);
    return day < next_month ? day : day - 7;
}

static int64_t day_of_change(int64_t year, const struct cn_cron_change *change)
{
    int64_t new_year = cn_cron_day_of(year, 1, 1);
    switch (change->kind) {
    case CN_CRON_DAY_OF_MONTH:
        return weekday_of_month(year, change);
    case CN_CRON_DAY_JULIAN:
        return new_year + change->day - 1 + (change->day >= 60 && is_leap_year(year));
    case CN_CRON_DAY_OF_YEAR:
        break;
    }
    return new_year + change->day;
}

/* The instant of a change; its time of day is told in the offset that ends then. */
static int64_t instant_of(int64_t year, const struct cn_cron_change *change, int32_t offset_s)
{
    return day_of_change(year, change) * CN_CRON_DAY_S + change->time_s - offset_s;
}

/* What is known while the changes around an instant are gone through. */
struct around {
    int64_t at_s, since_s, until_s;
    int32_t offset_s;
};

/* Where both changes fall on one instant, the one that is offered later wins. */
static void offer(struct around *around, int64_t instant, int32_t offset_s)
{
    if (instant > around->at_s && instant < around->until_s)
        around->until_s = instant;
    if (instant <= around->at_s && instant >= around->since_s) {
        around->since_s = instant;
        around->offset_s = offset_s;
    }
}

int32_t cn_cron_rule_offset(const struct cn_cron_rule *rule, int64_t at_s, int64_t *until_s)
{
    struct around around = {at_s, INT64_MIN, INT64_MAX, rule->standard_s};
    int64_t year = cn_cron_date_of(cn_cron_day_at(at_s)).year;
    for (int64_t y = year - YEARS_AROUND; rule->has_summer && y <= year + YEARS_AROUND; y++) {
        offer(&around, instant_of(y, &rule->to_standard, rule->summer_s), rule->standard_s);
        offer(&around, instant_of(y, &rule->to_summer, rule->standard_s), rule->summer_s);
    }
    *until_s = around.until_s;
    return around.offset_s;
}
