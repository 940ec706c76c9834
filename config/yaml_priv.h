/* Between yaml.c, which builds the tree, and yaml_scalar.c, which knows what a scalar means.
 *
 * Thread: one at a time.
 */
#ifndef FL_CONFIG_YAML_PRIV_H
#define FL_CONFIG_YAML_PRIV_H

#include "config/yaml.h"

/* Sets kind and value of a scalar node from `node->text`. `tag` is the explicit one or NULL;
 * `is_plain` means neither quoted nor tagged. FL_ERR_INVALID: the text does not fit the tag. */
enum fl_err config_scalar_resolve(struct config_node *node, const char *tag,
                                  bool is_plain) FL_MUST_USE;

/* The scalar as a map's key and as a string-typed field of the resource dialect. */
struct fl_slice config_scalar_text(const struct config_node *node, struct fl_arena *arena);

#endif
