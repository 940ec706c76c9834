/* Between configuration.c, which walks the document, and those who know its parts.
 *
 * Each part reads straight into the configuration; what the document does not mention keeps its
 * value. Thread: one at a time.
 */
#ifndef FL_CONFIG_CONFIGURATION_PRIV_H
#define FL_CONFIG_CONFIGURATION_PRIV_H

#include "config/configuration.h"
#include "config/fields_priv.h"

#define CONFIG_CONFIGURATION_SCOPE "dapr.runtime"
#define CONFIG_SAMPLING_RATE 0.0001

struct config_applier {
    struct config_configuration *into;
    struct config_reader reader;
    struct fl_error *error;
};

enum fl_err config_applier_read(struct config_applier *applier, const struct config_node *node,
                                const char *path, const struct config_field *fields,
                                void *into) FL_MUST_USE;

/* A list of maps into an array of structs of `size` bytes; the list replaces what was there.
 * `items` is the address of a pointer to such structs. */
enum fl_err config_applier_read_list(struct config_applier *applier, const struct config_node *node,
                                     const char *path, const struct config_field *fields,
                                     size_t size, void *items, size_t *count) FL_MUST_USE;

/* Says that a part is not carried out, or not in full. */
void config_applier_note(struct config_applier *applier, enum fl_log_level level,
                         const struct config_node *node, const char *field, const char *what);

/* The nearest name that is not this one; NULL: it is known, or near none. */
const char *config_near_miss(struct fl_slice word, const char *const *names, size_t count);

enum fl_err config_apply_tracing(struct config_applier *applier,
                                 const struct config_node *node) FL_MUST_USE;
enum fl_err config_apply_metrics(struct config_applier *applier,
                                 const struct config_node *node) FL_MUST_USE;
enum fl_err config_apply_api(struct config_applier *applier,
                             const struct config_node *node) FL_MUST_USE;
enum fl_err config_apply_logging(struct config_applier *applier,
                                 const struct config_node *node) FL_MUST_USE;
enum fl_err config_apply_pipeline(struct config_applier *applier, const struct config_node *node,
                                  const char *path, struct config_handlers *into) FL_MUST_USE;
enum fl_err config_apply_access(struct config_applier *applier,
                                const struct config_node *node) FL_MUST_USE;
enum fl_err config_apply_secrets(struct config_applier *applier,
                                 const struct config_node *node) FL_MUST_USE;

#endif
