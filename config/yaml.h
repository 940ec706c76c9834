/* YAML documents as bounded trees of nodes that know their file, line and column.
 *
 * Two dialects exist because daprd has two parsers. Resources: YAML 1.1 scalars (`yes` is a truth,
 * `010` is 8), keys found without case, the last of equal keys wins. Configuration: keys are exact,
 * equal keys are an error, and a scalar read as text keeps its spelling.
 *
 * Bounds: CONFIG_YAML_*; aliases share the node they name, so a document can neither grow in memory
 * nor be walked beyond CONFIG_YAML_WEIGHT_MAX steps.
 *
 * Ownership: nodes live in the arena given to the parser; texts taken from them are copied into the
 * arena given to the taker, so the tree can go before they do. Thread: one at a time.
 */
#ifndef FL_CONFIG_YAML_H
#define FL_CONFIG_YAML_H

#include "base/arena.h"
#include "base/error.h"
#include "config/note.h"
#include "config/values.h"

#define CONFIG_YAML_BYTES_MAX ((size_t)4 * 1024 * 1024) /* a file */
#define CONFIG_YAML_NODES_MAX 200000                    /* a document */
#define CONFIG_YAML_DEPTH_MAX 100
#define CONFIG_YAML_WEIGHT_MAX 400000 /* nodes with every alias written out */

enum config_dialect {
    CONFIG_DIALECT_RESOURCE,
    CONFIG_DIALECT_CONFIGURATION,
    CONFIG_DIALECT_JSON, /* keys without case, the last one wins; only strings are strings */
};

enum config_node_kind {
    CONFIG_NODE_NULL,
    CONFIG_NODE_BOOL,
    CONFIG_NODE_INT,   /* also those from 2^63 to 2^64, which only have a text */
    CONFIG_NODE_FLOAT, /* never an integer in disguise: 1e3 is a float */
    CONFIG_NODE_STRING,
    CONFIG_NODE_LIST,
    CONFIG_NODE_MAP,
};

struct config_node_pair {
    struct fl_slice key;
    uint32_t line, column; /* of the key */
    struct config_node *value;
};

struct config_node {
    enum config_node_kind kind;
    enum config_dialect dialect;
    uint32_t line, column; /* from 1 */
    const char *file;
    struct fl_slice text; /* scalars, as written; strings unescaped */
    union {
        bool boolean;
        struct {
            int64_t value;
            uint64_t magnitude; /* of a positive one; beyond INT64_MAX `value` is INT64_MAX */
        } integer;
        double real;
        struct {
            struct config_node **items;
            size_t count;
        } list;
        struct {
            struct config_node_pair *pairs;
            size_t count;
        } map;
    };
    uint32_t height, weight; /* for the bounds */
};

/* Reads one document. `text` is borrowed for the call; `file` is kept (borrowed) in the nodes;
 * `first_line` is the line on which `text` begins. An empty document gives a null node. The error's
 * text begins with FILE:LINE:COLUMN. */
enum fl_err config_yaml_parse(struct fl_slice text, const char *file, uint32_t first_line,
                              enum config_dialect dialect, struct fl_arena *arena,
                              struct config_node **root, struct fl_error *error) FL_MUST_USE;

/* Walks the documents of a resources file: they end at each newline that `---` follows, and the
 * rest of that line is dropped. Start with `*at` = 0 and `*line` = 1; false when done. `document`
 * is a part of `text`, `first_line` the line it begins on. */
bool config_yaml_next_document(struct fl_slice text, size_t *at, uint32_t *line,
                               struct fl_slice *document, uint32_t *first_line);

/* Replaces $VAR and ${VAR} by the environment's values, undefined ones by nothing, which is noted;
 * `file` is for the notes. The result is bounded like a file. */
enum fl_err config_yaml_expand_env(struct fl_slice text, const char *file,
                                   struct config_notes *notes, struct fl_arena *arena,
                                   struct fl_slice *expanded) FL_MUST_USE;

/* Reads a whole file of at most CONFIG_YAML_BYTES_MAX into the arena. The text of an error is
 * daprd's: "open PATH: no such file or directory". */
enum fl_err config_read_file(const char *path, struct fl_arena *arena, struct fl_slice *text,
                             struct fl_error *error) FL_MUST_USE;

/* The value of a key; NULL when absent, null, or `node` is not a map. */
struct config_node *config_node_find(const struct config_node *node, const char *key);

/* "string", "number" and so on, for messages. */
const char *config_node_kind_name(enum config_node_kind kind);

/* A scalar as a string-typed field takes it (a name, a topic, a map's value): text as it is, others
 * re-stringified as daprd does (`yes` → "true", 0x10 → "16", 1.50 → "1.5"). FL_ERR_INVALID for
 * lists and maps. */
enum fl_err config_node_string(const struct config_node *node, struct fl_arena *arena,
                               struct fl_slice *text) FL_MUST_USE;

/* A component's `value`: strings as they are, null empty, everything else its compact JSON text.
 * FL_ERR_TOO_LARGE beyond 1 MiB. */
enum fl_err config_node_value(const struct config_node *node, struct fl_arena *arena,
                              struct fl_slice *text) FL_MUST_USE;

#endif
