/* HTTPEndpoint resources: addresses of other services, by name.
 *
 * Only their names are used here (metadata lists them), since service invocation is not; what they
 * hold is checked all the same, so that a folder that passes here is sound elsewhere.
 *
 * Ownership: the name lives in the reader's arena. Thread: one at a time.
 */
#ifndef FL_CONFIG_HTTP_ENDPOINT_H
#define FL_CONFIG_HTTP_ENDPOINT_H

#include "config/resources_priv.h"

/* Decodes one document whose apiVersion and kind were checked; fills `head`. FL_ERR_INVALID: a
 * wrong type, a bad name, or an entry of `headers` that is none. FL_ERR_NOT_FOUND: no name. */
enum fl_err config_http_endpoint_decode(const struct config_reader *reader,
                                        const struct config_node *root,
                                        struct config_resource_head *head,
                                        struct fl_error *error) FL_MUST_USE;

#endif
