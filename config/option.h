/* Option rows: one row is the whole truth about one setting, and parser, validator and manual come
 * from it.
 *
 * A connector describes its metadata by rows and gets a struct filled; keys match without case,
 * aliases too, the last of equal keys wins (with a warning; an error when they differ in case), an
 * empty value is an absent one. What is wrong is told
 * with file, line, field, what was found, what is accepted and the nearest valid spelling. An
 * unknown key is a warning; it is an error when it is a near miss of a key that is not set, and
 * under `is_strict`.
 *
 * Ownership: rows are static. Strings and lists in the filled struct point into the arena given, or
 * to the row's default text.
 *
 * Thread: any.
 */
#ifndef FL_CONFIG_OPTION_H
#define FL_CONFIG_OPTION_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "config/note.h"
#include "config/values.h"

/* The type of a row, and the C type that stands at its offset. */
enum config_option_type {
    CONFIG_STRING,   /* struct fl_slice; the null slice when unset without a default */
    CONFIG_INT,      /* int64_t; decimal, 0x.., 0o.., 0b.. */
    CONFIG_BOOL,     /* bool; true t yes y on 1, false f no n off 0, in any case */
    CONFIG_DURATION, /* int64_t milliseconds; a Go duration or a bare integer in `unit` */
    CONFIG_BYTES,    /* int64_t; a Kubernetes quantity */
    CONFIG_LIST,     /* struct config_list; comma-separated, trimmed, empty parts dropped */
    CONFIG_ENUM,     /* int; the index into `values`, which match without case */
    CONFIG_IGNORED,  /* nothing: known and accepted, without effect here */
};

struct config_option {
    const char *name;
    const char *aliases; /* comma-separated; NULL: none */
    enum config_option_type type;
    const char *unit;         /* CONFIG_DURATION: of a bare integer, "ms" or "s" (NULL: refused);
                                 others: shown in the manual; NULL: none */
    int64_t min, max;         /* inclusive; both 0: any. CONFIG_DURATION: milliseconds */
    const char *values;       /* CONFIG_ENUM: "a|b|c" */
    const char *default_text; /* parsed like a user's; NULL: zero, false, null, empty, index 0 */
    bool is_required;
    bool is_secret; /* its value never stands in a message */
    const char *help;
    size_t offset;
};

/* Rows and the struct they fill. A table ends with a row whose name is NULL; a NULL table is empty.
 * Several may share one list of settings: a connector's own rows and the gateway's rows for every
 * component. */
struct config_option_target {
    const struct config_option *rows;
    void *into; /* NULL: the settings are checked, nothing is stored */
};

struct config_bind {
    const char *owner;      /* begins every text, such as "orders (pubsub.redis/v1)"; NULL: none */
    struct fl_arena *arena; /* for strings and lists */
    struct config_notes *notes; /* warnings; may be NULL */
    bool is_strict;             /* warnings are errors */
    bool is_open;               /* unknown keys are fine and silent (request metadata) */
    const char *file;           /* where a missing setting is missed; NULL: where the others are */
    uint32_t line;
};

/* Fills every target, defaults included; nothing is stored on failure. Notes that keep errors have
 * all that is wrong, and `error` the last of it. */
enum fl_err config_options_bind(const struct config_option_target *targets, size_t target_count,
                                const struct config_value *values, size_t value_count,
                                const struct config_bind *how, struct fl_error *error) FL_MUST_USE;

/* The row that a name means, by name or alias without case; NULL when there is none. */
const struct config_option *config_option_find(const struct config_option *rows,
                                               struct fl_slice name);

/* "a duration such as 500ms or 1m30s, or an integer of seconds, from 1s to 1h0m0s": what a row
 * takes, for messages and the manual. */
void config_option_describe(const struct config_option *row, struct fl_buffer *out);

/* The manual: a table in Markdown, or plain paragraphs for a terminal. */
void config_options_print_markdown(const struct config_option *rows, struct fl_buffer *out);
void config_options_print_plain(const struct config_option *rows, struct fl_buffer *out);

#endif
