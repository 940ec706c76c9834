/* What reading configuration wants to say without failing: lines for the log, kept until the log
 * is open.
 *
 * Ownership: texts are copied into the arena given. At most CONFIG_NOTES_MAX are kept; the last of
 * them then says that more were left out.
 *
 * Notes may also keep errors: what would end the reading becomes a note of level error, and reading
 * goes on. So `fairlead check` tells all at once.
 *
 * Thread: one at a time.
 */
#ifndef FL_CONFIG_NOTE_H
#define FL_CONFIG_NOTE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"

#define CONFIG_NOTES_MAX 500

struct config_note {
    struct config_note *next;
    enum fl_log_level level;
    const char *scope; /* the logger's name, such as "dapr.runtime.loader.disk"; static */
    const char *text;  /* one line */
};

/* Set `arena` and zero the rest; or use `config_notes_init`. */
struct config_notes {
    struct fl_arena *arena; /* borrowed */
    struct config_note *first, *last;
    size_t count;
    bool keeps_errors; /* false after config_notes_init */
};

void config_notes_init(struct config_notes *notes, struct fl_arena *arena);

/* `notes` may be NULL: nothing is kept then. */
void config_note(struct config_notes *notes, enum fl_log_level level, const char *scope,
                 const char *format, ...) FL_PRINTF(4, 5);

/* True when these notes keep errors: this one is kept, and its reader goes on as if it were fine.
 * An error without a text was kept before. */
bool config_notes_keep(struct config_notes *notes, const char *scope, const struct fl_error *error);

/* Writes all of them to the log, in the order in which they were made. */
void config_notes_write(const struct config_notes *notes, const struct fl_log *log);

#endif
