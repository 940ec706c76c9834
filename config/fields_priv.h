/* Rows for the maps of a document: which fields a map has, of what type, and where they go.
 *
 * What `option.h` is for lists of name and value, this is for YAML maps: wrong types are told with
 * file, line, field, what was found and what is accepted; unknown fields are noted with the nearest
 * name. Null and absent fields leave the target as it was.
 *
 * Ownership: strings live in the reader's arena. Thread: one at a time.
 */
#ifndef FL_CONFIG_FIELDS_PRIV_H
#define FL_CONFIG_FIELDS_PRIV_H

#include <stddef.h>

#include "config/note.h"
#include "config/values.h"
#include "config/yaml.h"

/* The C type that stands at a row's offset. */
enum config_field_type {
    CONFIG_FIELD_STRING,  /* struct fl_slice */
    CONFIG_FIELD_BOOL,    /* bool */
    CONFIG_FIELD_INT32,   /* int32_t */
    CONFIG_FIELD_INT64,   /* int64_t */
    CONFIG_FIELD_STRINGS, /* struct config_list */
    CONFIG_FIELD_PAIRS,   /* struct config_pairs: a map of strings; the last of equal keys */
    CONFIG_FIELD_MAP,     /* const struct config_node *, of that kind */
    CONFIG_FIELD_LIST,    /* const struct config_node * */
    CONFIG_FIELD_ANY,     /* const struct config_node * */
    CONFIG_FIELD_KNOWN,   /* nothing: accepted and not looked at */
};

/* A table ends with a row whose name is NULL. */
struct config_field {
    const char *name;
    enum config_field_type type;
    size_t offset;
};

/* A row for a member of `struct struct_`. */
#define CONFIG_FIELD(struct_, member, name_, type_)                                                \
    {                                                                                              \
        .name = (name_), .type = (type_), .offset = offsetof(struct struct_, member)               \
    }

struct config_reader {
    struct fl_arena *arena;
    struct config_notes *notes; /* may be NULL */
    const char *scope;          /* of the notes */
    bool is_strict;             /* unknown fields are errors */
    bool *has_failed; /* with notes that keep errors: set instead of ending; NULL: errors end it */
};

/* `path` names the map in messages, such as "spec.metadata[2]"; "" at the root. A NULL or null
 * node reads as an empty map. With
 * `has_failed`, notes that keep errors get those of all fields. */
enum fl_err config_fields_read(const struct config_reader *reader, const struct config_node *node,
                               const char *path, const struct config_field *fields, void *into,
                               struct fl_error *error) FL_MUST_USE;

/* One value of a map whose keys are names of the user's. */
enum fl_err config_field_read_value(const struct config_reader *reader,
                                    const struct config_node *node, const char *path,
                                    enum config_field_type type, void *into,
                                    struct fl_error *error) FL_MUST_USE;

#define CONFIG_PLACE_TEXT 300
/* "FILE:LINE", or "FILE" when the line is 0. Returns `out`. */
const char *config_field_place(const struct config_node *node, uint32_t line,
                               char out[CONFIG_PLACE_TEXT]);

/* "FILE:LINE: PATH: found FOUND; accepted: ACCEPTED". */
enum fl_err config_field_error(const struct config_node *node, const char *path,
                               const char *accepted, struct fl_error *error);

/* Says something doubtful: a warning, or under `is_strict` an error. `text` begins with the place.
 */
enum fl_err config_field_doubt(const struct config_reader *reader, struct fl_error *error,
                               const char *format, ...) FL_PRINTF(3, 4) FL_MUST_USE;

/* What a reader does with an error of one part: it ends the reading, unless it was kept. */
enum fl_err config_field_keep(const struct config_reader *reader, enum fl_err err,
                              const struct fl_error *error) FL_MUST_USE;

/* The end of a document: an error without a text when one was kept. What is missing in a document
 * of which a part could not be read is not to be told. */
enum fl_err config_field_end(const struct config_reader *reader, enum fl_err err,
                             struct fl_error *error) FL_MUST_USE;

/* The values of a map in order, each key once (the last one's value, at the place of the first). */
size_t config_node_unique_pairs(const struct config_node *map, struct fl_arena *arena,
                                struct config_node_pair **pairs);

#endif
