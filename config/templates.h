/* Who this process is, and the tags that stand for it in component values.
 *
 * {uuid} a fresh one for every occurrence; {podName}; {namespace}, which becomes NAMESPACE.APPID
 * (both); {appID}. Replaced in that order, each looking at what the ones before made.
 *
 * Thread: any.
 */
#ifndef FL_CONFIG_TEMPLATES_H
#define FL_CONFIG_TEMPLATES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

struct config_identity {
    struct fl_slice app_id;
    struct fl_slice namespace; /* the environment's NAMESPACE; null: not set at all */
    struct fl_slice pod_name;  /* POD_NAME; null or empty: none */
};

/* Reads NAMESPACE and POD_NAME; all slices are borrowed from the caller and the environment. */
struct config_identity config_identity_of(struct fl_slice app_id);

/* NAMESPACE, or "default" when it is not set at all. */
struct fl_slice config_identity_namespace(const struct config_identity *identity);

#define CONFIG_TEMPLATE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* The text itself when it holds no tag. FL_ERR_INVALID: {podName} without a pod;
 * FL_ERR_TOO_LARGE: the result passes CONFIG_TEMPLATE_BYTES_MAX. */
enum fl_err config_template_expand(struct fl_slice text, const struct config_identity *identity,
                                   struct fl_arena *arena, struct fl_slice *expanded,
                                   struct fl_error *error) FL_MUST_USE;

/* The tag that the text holds in another case only, such as "{appID}" for "{appid}"; NULL: none. */
const char *config_template_near_miss(struct fl_slice text);

/* Holds {namespace}: a pub/sub component with such a value prefixes every topic. */
bool config_template_has_namespace(struct fl_slice text);

#endif
