/* A JSON text as config nodes, so that one set of rows reads resources and answers of the
 * application.
 *
 * Ownership: the nodes live in the arena given; `file` is borrowed for as long as they do. Thread:
 * any.
 */
#ifndef FL_CONFIG_JSON_NODES_PRIV_H
#define FL_CONFIG_JSON_NODES_PRIV_H

#include "base/arena.h"
#include "base/error.h"
#include "config/yaml.h"

/* `file` names the text in messages. FL_ERR_TOO_LARGE: too long, too deep or too many values;
 * FL_ERR_INVALID: no JSON. */
enum fl_err config_json_read(struct fl_slice text, const char *file, struct fl_arena *arena,
                             struct config_node **root, struct fl_error *error) FL_MUST_USE;

#endif
