/* Files before they are documents: reading them whole, cutting them into documents as daprd cuts
 * them (which is not as YAML would), and replacing variables by Go's rules. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "config/yaml.h"

static uint32_t count_lines(const char *from, const char *to)
{
    uint32_t count = 0;
    for (; from < to; from++)
        count += *from == '\n';
    return count;
}

bool config_yaml_next_document(struct fl_slice text, size_t *at, uint32_t *line,
                               struct fl_slice *document, uint32_t *first_line)
{
    if (*at >= text.len)
        return false;
    const char *start = text.data + *at, *end = text.data + text.len;
    const char *separator = memmem(start, (size_t)(end - start), "\n---", 4);
    const char *stop = separator ? separator : end, *next = end;
    if (separator) {
        const char *newline = memchr(separator + 4, '\n', (size_t)(end - separator - 4));
        next = newline ? newline + 1 : end;
    }
    *document = fl_slice_of(start, (size_t)(stop - start));
    *first_line = *line;
    *line += count_lines(start, next);
    *at = (size_t)(next - text.data);
    return true;
}

static bool is_name_byte(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_special_byte(char c)
{
    return c != '\0' && strchr("*#$@!?-0123456789", c) != NULL;
}

/* The variable's name behind a '$', and how many bytes it takes there; Go's os.Expand. An empty
 * name with bytes is bad syntax, which vanishes; an empty name without leaves the '$'. */
static struct fl_slice variable_name(struct fl_slice rest, size_t *used)
{
    *used = 0;
    if (rest.len == 0)
        return FL_SLICE_NULL;
    if (rest.data[0] == '{') {
        size_t end = fl_slice_find_byte(rest, '}');
        *used = end == rest.len ? 1 : end + 1;
        return end == rest.len || end == 1 ? FL_SLICE_NULL : fl_slice_of(rest.data + 1, end - 1);
    }
    if (is_special_byte(rest.data[0])) {
        *used = 1;
        return fl_slice_of(rest.data, 1);
    }
    while (*used < rest.len && is_name_byte(rest.data[*used]))
        ++*used;
    return fl_slice_of(rest.data, *used);
}

/* Where the file names variables, for notes. */
struct env_place {
    const char *file;
    uint32_t line;
    struct config_notes *notes;
};

static void append_variable(struct fl_buffer *out, struct fl_slice name,
                            const struct env_place *place)
{
    char *copy = fl_strdup(name);
    const char *value = strlen(copy) == name.len ? getenv(copy) : NULL;
    if (value)
        fl_buffer_append_str(out, value);
    else
        config_note(place->notes, FL_LOG_WARNING, "dapr.runtime",
                    "%s:%u: the environment variable \"%.*s\" is not set; nothing stands in its "
                    "place",
                    place->file, place->line, (int)(name.len > 80 ? 80 : name.len), name.data);
    fl_free(copy);
}

enum fl_err config_yaml_expand_env(struct fl_slice text, const char *file,
                                   struct config_notes *notes, struct fl_arena *arena,
                                   struct fl_slice *expanded)
{
    struct fl_buffer out = {0};
    struct env_place place = {file, 1, notes};
    for (size_t i = 0; i < text.len && out.len <= CONFIG_YAML_BYTES_MAX;) {
        struct fl_slice rest = fl_slice_of(text.data + i, text.len - i);
        size_t plain = fl_slice_find_byte(rest, '$'), used;
        fl_buffer_append(&out, rest.data, plain);
        place.line += count_lines(rest.data, rest.data + plain);
        if (plain == rest.len)
            break;
        rest = fl_slice_of(rest.data + plain + 1, rest.len - plain - 1);
        struct fl_slice name = variable_name(rest, &used);
        if (name.len)
            append_variable(&out, name, &place);
        else if (used == 0)
            fl_buffer_append_byte(&out, '$');
        place.line += count_lines(rest.data, rest.data + used);
        i += plain + 1 + used;
    }
    enum fl_err err = out.len > CONFIG_YAML_BYTES_MAX ? FL_ERR_TOO_LARGE : FL_OK;
    if (err == FL_OK)
        *expanded = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return err;
}

static enum fl_err read_all(int fd, const char *path, struct fl_buffer *out, struct fl_error *error)
{
    for (;;) {
        fl_buffer_reserve(out, 65536);
        ssize_t got = read(fd, out->data + out->len, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_REJECT, "read %s: %s", path,
                                strerror(errno));
        if (got == 0)
            return FL_OK;
        out->len += (size_t)got;
        if (out->len > CONFIG_YAML_BYTES_MAX)
            return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                                "%s: longer than 4 MiB, which is the most a file may have", path);
    }
}

enum fl_err config_read_file(const char *path, struct fl_arena *arena, struct fl_slice *text,
                             struct fl_error *error)
{
    /* O_NONBLOCK: a FIFO among the resources must not hold up the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        /* Go writes the system's messages in lower case. */
        int number = errno;
        char reason[128];
        snprintf(reason, sizeof reason, "%s", strerror(number));
        reason[0] = fl_ascii_lower(reason[0]);
        return fl_error_set(error, number == ENOENT ? FL_ERR_NOT_FOUND : FL_ERR_SYSTEM,
                            FL_CLASS_REJECT, "open %s: %s", path, reason);
    }
    struct fl_buffer out = {0};
    enum fl_err err = read_all(fd, path, &out, error);
    close(fd);
    if (err == FL_OK)
        *text = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return err;
}
