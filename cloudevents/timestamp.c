/* RFC 3339 by the letter and as Go reads it; see timestamp.h.
 *
 * Both readers share the shape: a date, a clock, an optional fraction, a zone. What differs is a
 * handful of tolerances, held in `struct dialect`. Days are counted with the civil calendar's
 * closed formula, so no call depends on the C library's time zone, save the one that writes local
 * time.
 */
#include "cloudevents/timestamp.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

struct dialect {
    bool
        is_go; /* a comma before the fraction, one-digit hours; but no lower case, no leap second */
};

struct reader {
    const char *at, *end;
};

static bool read_number(struct reader *r, int digits, int low, int high, int *value)
{
    if (r->end - r->at < digits)
        return false;
    int v = 0;
    for (int i = 0; i < digits; i++) {
        char c = r->at[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    r->at += digits;
    *value = v;
    return v >= low && v <= high;
}

static bool read_byte(struct reader *r, char byte)
{
    if (r->at == r->end || *r->at != byte)
        return false;
    r->at++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

/* Days since 1970-01-01. Years start in March here, so that the leap day is the last. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool read_date(struct reader *r, int64_t *days)
{
    int year, month, day;
    if (!read_number(r, 4, 0, 9999, &year) || !read_byte(r, '-') ||
        !read_number(r, 2, 1, 12, &month) || !read_byte(r, '-') ||
        !read_number(r, 2, 1, 31, &day) || day > days_in_month(year, month))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

/* A fraction of any length; digits past the ninth do not count. */
static bool read_fraction(struct reader *r, int32_t *nanoseconds)
{
    r->at++;
    const char *start = r->at;
    int32_t value = 0;
    for (int i = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9'; i++, r->at++)
        if (i < 9)
            value = value * 10 + (*r->at - '0');
    int digits = (int)(r->at - start > 9 ? 9 : r->at - start);
    for (int i = digits; i < 9; i++)
        value *= 10;
    *nanoseconds = value;
    return digits > 0;
}

static bool read_clock(struct reader *r, struct dialect d, int64_t *seconds, int32_t *nanoseconds)
{
    int hour, minute, second;
    bool has_short_hour = d.is_go && r->end - r->at >= 2 && r->at[1] == ':';
    if (!read_number(r, has_short_hour ? 1 : 2, 0, 23, &hour) || !read_byte(r, ':') ||
        !read_number(r, 2, 0, 59, &minute) || !read_byte(r, ':') ||
        !read_number(r, 2, 0, d.is_go ? 59 : 60, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    *nanoseconds = 0;
    if (r->at < r->end && (*r->at == '.' || (d.is_go && *r->at == ',')))
        return read_fraction(r, nanoseconds);
    return true;
}

/* Go lets the hours of an offset reach 24 and the minutes 60. */
static bool read_zone(struct reader *r, struct dialect d, int64_t *offset_s)
{
    *offset_s = 0;
    if (read_byte(r, 'Z') || (!d.is_go && read_byte(r, 'z')))
        return true;
    bool is_west = r->at < r->end && *r->at == '-';
    if (!is_west && (r->at == r->end || *r->at != '+'))
        return false;
    r->at++;
    int hour, minute;
    if (!read_number(r, 2, 0, d.is_go ? 24 : 23, &hour) || !read_byte(r, ':') ||
        !read_number(r, 2, 0, d.is_go ? 60 : 59, &minute))
        return false;
    *offset_s = (is_west ? -1 : 1) * (hour * 3600 + minute * 60);
    return true;
}

static bool parse(struct fl_slice text, struct dialect d, struct ce_timestamp *time)
{
    if (text.len == 0)
        return false;
    struct reader r = {text.data, text.data + text.len};
    int64_t days, seconds, offset_s;
    int32_t nanoseconds;
    if (!read_date(&r, &days) || !(read_byte(&r, 'T') || (!d.is_go && read_byte(&r, 't'))) ||
        !read_clock(&r, d, &seconds, &nanoseconds) || !read_zone(&r, d, &offset_s) || r.at != r.end)
        return false;
    *time = (struct ce_timestamp){days * 86400 + seconds - offset_s, nanoseconds};
    return true;
}

bool ce_timestamp_parse(struct fl_slice text, struct ce_timestamp *time)
{
    return parse(text, (struct dialect){.is_go = false}, time);
}

bool ce_timestamp_parse_go(struct fl_slice text, struct ce_timestamp *time)
{
    return parse(text, (struct dialect){.is_go = true}, time);
}

int64_t ce_timestamp_ns(struct ce_timestamp time)
{
    int64_t ns;
    if (__builtin_mul_overflow(time.seconds, (int64_t)1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)time.nanoseconds, &ns))
        return time.seconds < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static size_t format(const struct tm *tm, char out[CE_TIME_MAX])
{
    int year = tm->tm_year + 1900;
    int len = snprintf(out, CE_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u", (unsigned)year % 10000,
                       (unsigned)(tm->tm_mon + 1) % 100, (unsigned)tm->tm_mday % 100,
                       (unsigned)tm->tm_hour % 100, (unsigned)tm->tm_min % 100,
                       (unsigned)tm->tm_sec % 100);
    long offset_min = tm->tm_gmtoff / 60;
    if (offset_min == 0) {
        out[len] = 'Z';
        return (size_t)len + 1;
    }
    unsigned size = (unsigned)(offset_min < 0 ? -offset_min : offset_min);
    len += snprintf(out + len, CE_TIME_MAX - (size_t)len, "%c%02u:%02u", offset_min < 0 ? '-' : '+',
                    size / 60 % 100, size % 60);
    return (size_t)len;
}

struct fl_slice ce_time_now(void)
{
    static _Thread_local struct {
        int64_t second;
        size_t len; /* 0: nothing was worked out yet */
        char text[CE_TIME_MAX];
    } last;
    int64_t now = fl_clock_wall_s();
    if (last.len == 0 || last.second != now) {
        time_t t = (time_t)now;
        struct tm tm;
        localtime_r(&t, &tm);
        last.len = format(&tm, last.text);
        last.second = now;
    }
    return fl_slice_of(last.text, last.len);
}

size_t ce_time_format_utc(int64_t seconds, char out[CE_TIME_MAX])
{
    const int64_t lowest = -62167219200, highest = 253402300799;
    time_t t = (time_t)(seconds < lowest ? lowest : seconds > highest ? highest : seconds);
    struct tm tm;
    gmtime_r(&t, &tm);
    tm.tm_gmtoff = 0;
    return format(&tm, out);
}
