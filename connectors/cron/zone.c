/* Where zones are looked for, and the offset at an instant.
 *
 * A name is checked before it becomes a path: it has no dot and does not begin with a slash, so
 * there is no way out of the folder but by a link that stands in the folder itself.
 */
#include "connectors/cron/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "connectors/cron/zone_priv.h"

static const char machine_zone[] = "/etc/localtime";

/* Where distributions put their zone files; the first that has the name counts. */
static const char *const folders[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"};

enum { FOLDERS = sizeof folders / sizeof *folders };

/* --- files --- */

static enum fl_err system_error(struct fl_error *error, const char *path, int number)
{
    enum fl_err code = number == ENOENT || number == ENOTDIR ? FL_ERR_NOT_FOUND : FL_ERR_SYSTEM;
    return fl_error_set(error, code, FL_CLASS_FATAL, "%s: %s", path, strerror(number));
}

/* At most `room` bytes; one more than the bound shows that a file is too large. */
static enum fl_err read_all(int fd, const char *path, struct fl_buffer *bytes,
                            struct fl_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return system_error(error, path, errno);
    if (!S_ISREG(status.st_mode) || status.st_size > CN_CRON_ZONE_FILE_MAX)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "%s is no zone file", path);
    fl_buffer_reserve(bytes, CN_CRON_ZONE_FILE_MAX);
    ssize_t got = 1;
    while (got > 0 && bytes->len < CN_CRON_ZONE_FILE_MAX) {
        got = read(fd, bytes->data + bytes->len, CN_CRON_ZONE_FILE_MAX - bytes->len);
        if (got > 0)
            bytes->len += (size_t)got;
    }
    return got < 0 ? system_error(error, path, errno) : FL_OK;
}

static enum fl_err load(const char *path, struct cn_cron_zone **zone, struct fl_error *error)
{
    struct fl_buffer bytes = {0};
    struct fl_error why;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return system_error(error, path, errno);
    enum fl_err err = read_all(fd, path, &bytes, error);
    close(fd);
    if (err == FL_OK) {
        err = cn_cron_zone_of_file(fl_buffer_slice(&bytes), zone, &why);
        if (err)
            fl_error_set(error, err, FL_CLASS_FATAL, "%s: %s", path, why.text);
    }
    fl_buffer_fini(&bytes);
    return err;
}

/* --- names --- */

static bool is_name_byte(char c)
{
    return (fl_ascii_lower(c) >= 'a' && fl_ascii_lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '+' || c == '-';
}

static bool is_name(struct fl_slice name)
{
    if (name.len == 0 || name.len > CN_CRON_ZONE_NAME_MAX)
        return false;
    bool was_slash = true;
    for (size_t i = 0; i < name.len; i++) {
        bool is_slash = name.data[i] == '/';
        if (is_slash ? was_slash : !is_name_byte(name.data[i]))
            return false;
        was_slash = is_slash;
    }
    return !was_slash;
}

static const char accepted[] =
    "accepted are the names of the files in /usr/share/zoneinfo (package tzdata), in their "
    "spelling, such as Europe/Berlin, and UTC and Local";

enum fl_err cn_cron_zone_find(struct fl_slice name, struct cn_cron_zone **zone,
                              struct fl_error *error)
{
    if (name.len == 0 || fl_slice_eq_str(name, "UTC")) {
        *zone = NULL;
        return FL_OK;
    }
    if (!is_name(name))
        return fl_error_set(
            error, FL_ERR_INVALID, FL_CLASS_FATAL, "\"%.*s\" is no name of a time zone; %s",
            (int)(name.len < CN_CRON_ZONE_NAME_MAX ? name.len : CN_CRON_ZONE_NAME_MAX), name.data,
            accepted);
    enum fl_err err = FL_ERR_NOT_FOUND;
    for (int i = 0; i < FOLDERS && err == FL_ERR_NOT_FOUND; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%.*s", folders[i], FL_SLICE_ARG(name));
        err = load(path, zone, error);
    }
    if (err == FL_ERR_NOT_FOUND)
        return fl_error_set(error, err, FL_CLASS_FATAL, "there is no time zone \"%.*s\"; %s",
                            FL_SLICE_ARG(name), accepted);
    return err;
}

static enum fl_err find_by_path_name_or_rule(struct fl_slice tz, struct cn_cron_zone **zone,
                                             struct fl_error *error)
{
    if (tz.len && tz.data[0] == '/') {
        /* A value of the environment ends in a NUL. */
        return load(tz.data, zone, error);
    }
    if (cn_cron_zone_find(tz, zone, error) == FL_OK ||
        cn_cron_zone_of_rule(tz, zone, error) == FL_OK)
        return FL_OK;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                        "\"%.*s\" is neither the name of a time zone nor a rule; %s",
                        (int)(tz.len < CN_CRON_ZONE_NAME_MAX ? tz.len : CN_CRON_ZONE_NAME_MAX),
                        tz.data, accepted);
}

enum fl_err cn_cron_zone_local(const char *tz, struct cn_cron_zone **zone, struct fl_error *error)
{
    if (tz)
        return find_by_path_name_or_rule(fl_slice_str(tz[0] == ':' ? tz + 1 : tz), zone, error);
    enum fl_err err = load(machine_zone, zone, error);
    if (err != FL_ERR_NOT_FOUND)
        return err;
    *zone = NULL;
    return FL_OK;
}

enum fl_err cn_cron_zone_of_rule(struct fl_slice text, struct cn_cron_zone **zone,
                                 struct fl_error *error)
{
    struct cn_cron_rule rule;
    if (cn_cron_rule_parse(text, &rule) != FL_OK)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL, "it is no rule of a time zone");
    struct cn_cron_zone *found = fl_zalloc(sizeof *found);
    found->has_rule = true;
    found->rule = rule;
    *zone = found;
    return FL_OK;
}

/* --- the offset --- */

/* How many transitions are not after the instant. */
static size_t count_until(const struct cn_cron_zone *zone, int64_t at_s)
{
    size_t low = 0, high = zone->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->transitions[middle].at_s <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t cn_cron_zone_offset(const struct cn_cron_zone *zone, int64_t at_s, int64_t *until_s)
{
    *until_s = INT64_MAX;
    if (!zone)
        return 0;
    size_t passed = count_until(zone, at_s);
    if (passed == zone->count && zone->has_rule)
        return cn_cron_rule_offset(&zone->rule, at_s, until_s);
    if (passed < zone->count)
        *until_s = zone->transitions[passed].at_s;
    return passed ? zone->transitions[passed - 1].offset_s : zone->first_offset_s;
}

void cn_cron_zone_free(struct cn_cron_zone **zone)
{
    fl_free(*zone);
    *zone = NULL;
}
