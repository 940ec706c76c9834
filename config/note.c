/* Notes are a list in the reader's arena. Configuration is read before the log is open (its level
 * and its file are configuration too), so what is worth a line waits here. The count is bounded:
 * a folder of ten thousand broken files says so in a few hundred lines. */
#include "config/note.h"

#include <stdio.h>

void config_notes_init(struct config_notes *notes, struct fl_arena *arena)
{
    *notes = (struct config_notes){.arena = arena};
}

static void add(struct config_notes *notes, enum fl_log_level level, const char *scope,
                const char *text)
{
    struct config_note *note = FL_ARENA_NEW(notes->arena, struct config_note);
    *note = (struct config_note){.level = level, .scope = scope, .text = text};
    if (notes->last)
        notes->last->next = note;
    else
        notes->first = note;
    notes->last = note;
    notes->count++;
}

void config_note(struct config_notes *notes, enum fl_log_level level, const char *scope,
                 const char *format, ...)
{
    if (!notes || notes->count >= CONFIG_NOTES_MAX)
        return;
    if (notes->count == CONFIG_NOTES_MAX - 1) {
        add(notes, FL_LOG_WARNING, scope, "further messages about configuration are left out");
        return;
    }
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add(notes, level, scope, fl_arena_strdup(notes->arena, fl_slice_str(text)));
}

bool config_notes_keep(struct config_notes *notes, const char *scope, const struct fl_error *error)
{
    if (!notes || !notes->keeps_errors)
        return false;
    if (error->text[0])
        config_note(notes, FL_LOG_ERROR, scope, "%s", error->text);
    return true;
}

void config_notes_write(const struct config_notes *notes, const struct fl_log *log)
{
    for (const struct config_note *note = notes->first; note; note = note->next)
        if (fl_log_wants(log, note->level))
            fl_log_write(log, note->level, note->scope, "%s", note->text);
}
