/* Log records in logrus' two shapes; see the header. */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

void fl_log_init(struct fl_log *log, const char *version)
{
    *log = (struct fl_log){.level = FL_LOG_INFO, .fd = STDOUT_FILENO};
    if (gethostname(log->instance, sizeof log->instance - 1) != 0)
        snprintf(log->instance, sizeof log->instance, "localhost");
    snprintf(log->version, sizeof log->version, "%s", version);
}

enum fl_err fl_log_parse_level(struct fl_slice text, enum fl_log_level *level)
{
    static const struct {
        const char *name;
        enum fl_log_level level;
    } names[] = {{"debug", FL_LOG_DEBUG},     {"info", FL_LOG_INFO},   {"warn", FL_LOG_WARNING},
                 {"warning", FL_LOG_WARNING}, {"error", FL_LOG_ERROR}, {"fatal", FL_LOG_FATAL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (fl_slice_eq_nocase(text, fl_slice_str(names[i].name))) {
            *level = names[i].level;
            return FL_OK;
        }
    }
    return FL_ERR_INVALID;
}

const char *fl_log_level_name(enum fl_log_level level)
{
    static const char *const names[] = {"debug", "info", "warning", "error", "fatal"};
    return names[level];
}

static void append_time(struct fl_buffer *out)
{
    int64_t wall = fl_clock_wall_ns();
    time_t seconds = (time_t)(wall / 1000000000);
    struct tm tm;
    char text[40], fraction[12];
    localtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    fl_buffer_append_str(out, text);
    int len = snprintf(fraction, sizeof fraction, ".%09d", (int)(wall % 1000000000));
    while (len > 1 && fraction[len - 1] == '0')
        len--;
    fl_buffer_append(out, fraction, len > 1 ? (size_t)len : 0);
    long offset = tm.tm_gmtoff / 60;
    if (offset == 0)
        fl_buffer_append_byte(out, 'Z');
    else
        fl_buffer_printf(out, "%c%02ld:%02ld", offset < 0 ? '-' : '+', labs(offset) / 60,
                         labs(offset) % 60);
}

/* A quoted value: JSON's escapes serve the text shape as well. Malformed bytes become U+FFFD. */
static void append_quoted(struct fl_buffer *out, struct fl_slice s, bool is_json)
{
    fl_buffer_append_byte(out, '"');
    while (s.len) {
        unsigned char c = (unsigned char)s.data[0];
        size_t n = fl_utf8_sequence(s);
        if (c == '"' || c == '\\')
            fl_buffer_printf(out, "\\%c", c);
        else if (c == '\n')
            fl_buffer_append_str(out, "\\n");
        else if (c == '\t')
            fl_buffer_append_str(out, "\\t");
        else if (c == '\r')
            fl_buffer_append_str(out, "\\r");
        else if (c < 0x20 || c == 0x7f)
            fl_buffer_printf(out, is_json ? "\\u%04x" : "\\x%02x", c);
        else if (is_json && (c == '<' || c == '>' || c == '&'))
            fl_buffer_printf(out, "\\u%04x", c);
        else if (n == 0)
            fl_buffer_append_str(out, "\xEF\xBF\xBD");
        else
            fl_buffer_append(out, s.data, n);
        s.data += n ? n : 1;
        s.len -= n ? n : 1;
    }
    fl_buffer_append_byte(out, '"');
}

static bool is_bare(struct fl_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("-._/@^+", c))))
            return false;
    }
    return true;
}

struct record {
    struct fl_log_field fields[24];
    size_t count;
};

static void add(struct record *record, const char *key, struct fl_slice value, bool is_number)
{
    if (record->count < sizeof record->fields / sizeof *record->fields)
        record->fields[record->count++] = (struct fl_log_field){key, value, is_number};
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct fl_log_field *)a)->key, ((const struct fl_log_field *)b)->key);
}

static void append_field(struct fl_buffer *out, const struct fl_log_field *field, bool is_json)
{
    if (is_json) {
        fl_buffer_append_byte(out, out->len > 1 ? ',' : '{');
        append_quoted(out, fl_slice_str(field->key), true);
        fl_buffer_append_byte(out, ':');
    } else {
        if (out->len)
            fl_buffer_append_byte(out, ' ');
        fl_buffer_append_str(out, field->key);
        fl_buffer_append_byte(out, '=');
    }
    if (is_json ? field->is_number : is_bare(field->value))
        fl_buffer_append_slice(out, field->value);
    else
        append_quoted(out, field->value, is_json);
}

void fl_log_write_fields(const struct fl_log *log, enum fl_log_level level, bool always,
                         const char *scope, struct fl_slice msg, const struct fl_log_field *fields,
                         size_t count)
{
    if (!always && !fl_log_wants(log, level))
        return;
    struct fl_buffer out = {0}, time = {0};
    struct record record = {.count = 0};
    append_time(&time);
    struct fl_log_field head[3] = {{"time", fl_buffer_slice(&time), false},
                                   {"level", fl_slice_str(fl_log_level_name(level)), false},
                                   {"msg", msg, false}};
    if (log->is_json) {
        for (size_t i = 0; i < 3; i++)
            add(&record, head[i].key, head[i].value, false);
    } else {
        /* The time is always quoted, as logrus does, though it could stand bare. */
        fl_buffer_append_str(&out, "time=");
        append_quoted(&out, head[0].value, false);
        append_field(&out, &head[1], false);
        if (msg.len)
            append_field(&out, &head[2], false);
    }
    if (log->app_id[0])
        add(&record, "app_id", fl_slice_str(log->app_id), false);
    add(&record, "instance", fl_slice_str(log->instance), false);
    add(&record, "scope", fl_slice_str(scope), false);
    add(&record, "type", FL_SLICE_LIT("log"), false);
    add(&record, "ver", fl_slice_str(log->version), false);
    for (size_t i = 0; i < count; i++)
        add(&record, fields[i].key, fields[i].value, fields[i].is_number);
    qsort(record.fields, record.count, sizeof *record.fields, by_key);
    for (size_t i = 0; i < record.count; i++)
        append_field(&out, &record.fields[i], log->is_json);
    fl_buffer_append_str(&out, log->is_json ? "}\n" : "\n");
    size_t done = 0;
    while (done < out.len) {
        ssize_t n = write(log->fd, out.data + done, out.len - done);
        if (n <= 0)
            break; /* A log that cannot be written must not stop the gateway. */
        done += (size_t)n;
    }
    fl_buffer_fini(&time);
    fl_buffer_fini(&out);
}

void fl_log_write(const struct fl_log *log, enum fl_log_level level, const char *scope,
                  const char *format, ...)
{
    if (!fl_log_wants(log, level))
        return;
    struct fl_buffer text = {0};
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len > 0) {
        fl_buffer_reserve(&text, (size_t)len + 1);
        vsnprintf(text.data, (size_t)len + 1, format, again);
        text.len = (size_t)len;
    }
    va_end(again);
    fl_log_write_fields(log, level, false, scope, fl_buffer_slice(&text), NULL, 0);
    fl_buffer_fini(&text);
}
