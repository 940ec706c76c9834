/* One line per record, as daprd writes them: logrus text, or flat JSON.
 *
 * Fields: time (RFC 3339, nanoseconds, local offset), level (debug info warning error fatal), msg,
 * app_id, instance, scope, type, ver. A record never holds a payload or a secret. Everything goes
 * through one writer with one write(2) a record, so records of several threads do not mix.
 *
 * A `struct fl_log` is made once per process and handed down; a scope is a name such as
 * "dapr.runtime".
 *
 * Thread: any, after `fl_log_init`.
 */
#ifndef FL_BASE_LOG_H
#define FL_BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

enum fl_log_level { FL_LOG_DEBUG, FL_LOG_INFO, FL_LOG_WARNING, FL_LOG_ERROR, FL_LOG_FATAL };

struct fl_log {
    enum fl_log_level level;
    bool is_json;
    int fd;
    char app_id[256];
    char instance[256];
    char version[32];
};

/* Extra `key=value` fields of one record; borrowed for the call. */
struct fl_log_field {
    const char *key;
    struct fl_slice value;
    bool is_number; /* JSON: written without quotes */
};

/* Standard output, info, text; the instance is the host name. `version` is copied. */
void fl_log_init(struct fl_log *log, const char *version);

/* "debug" "info" "warn" "warning" "error" "fatal", in any case. */
enum fl_err fl_log_parse_level(struct fl_slice text, enum fl_log_level *level) FL_MUST_USE;
const char *fl_log_level_name(enum fl_log_level level);

static inline bool fl_log_wants(const struct fl_log *log, enum fl_log_level level)
{
    return level >= log->level;
}

void fl_log_write(const struct fl_log *log, enum fl_log_level level, const char *scope,
                  const char *format, ...) FL_PRINTF(4, 5);

/* With extra fields; `always` writes whatever the level (API log lines do). */
void fl_log_write_fields(const struct fl_log *log, enum fl_log_level level, bool always,
                         const char *scope, struct fl_slice msg, const struct fl_log_field *fields,
                         size_t count);

#define FL_DEBUG(log, scope, ...)                                                                  \
    (fl_log_wants(log, FL_LOG_DEBUG) ? fl_log_write(log, FL_LOG_DEBUG, scope, __VA_ARGS__)         \
                                     : (void)0)
#define FL_INFO(log, scope, ...) fl_log_write(log, FL_LOG_INFO, scope, __VA_ARGS__)
#define FL_WARN(log, scope, ...) fl_log_write(log, FL_LOG_WARNING, scope, __VA_ARGS__)
#define FL_ERROR(log, scope, ...) fl_log_write(log, FL_LOG_ERROR, scope, __VA_ARGS__)
#define FL_FATAL(log, scope, ...) fl_log_write(log, FL_LOG_FATAL, scope, __VA_ARGS__)

#endif
