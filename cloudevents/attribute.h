/* CloudEvents 1.0 attributes: names, types, and the rules of their values.
 *
 * Values here are canonical strings: UTF-8, not JSON. All slices are borrowed.
 *
 * Thread: any.
 */
#ifndef CE_ATTRIBUTE_H
#define CE_ATTRIBUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum ce_attribute_type {
    CE_TYPE_STRING,
    CE_TYPE_BOOLEAN,
    CE_TYPE_INTEGER,
    CE_TYPE_URI,
    CE_TYPE_URI_REFERENCE,
    CE_TYPE_TIMESTAMP,
    CE_TYPE_MEDIA_TYPE, /* a String that is an RFC 2046 media type */
};

/* One row of the specification's table of core attributes. */
struct ce_attribute_rule {
    const char *name;
    enum ce_attribute_type type;
    bool is_required;
};

/* The row of a core attribute; NULL for an extension. */
const struct ce_attribute_rule *ce_attribute_find(struct fl_slice name);
/* All rows; `*count` of them. */
const struct ce_attribute_rule *ce_attribute_rules(size_t *count);

/* One or more of a-z and 0-9, at most 1,024, and not "data" (which "data_base64" cannot be anyway).
 */
bool ce_attribute_name_is_valid(struct fl_slice name);

/* Checks a value that is present against the rule of its name: core attributes by their type and
 * not empty, extensions as Strings. FL_ERR_INVALID with the name and the reason (class reject). */
enum fl_err ce_attribute_check(struct fl_slice name, struct fl_slice value,
                               struct fl_error *error) FL_MUST_USE;

/* A CloudEvents String: valid UTF-8 without control characters and noncharacters. */
bool ce_string_is_valid(struct fl_slice text);
/* RFC 3986 §4.1; not empty. */
bool ce_uri_reference_is_valid(struct fl_slice text);
/* An absolute URI; a fragment is let through, as real producers use one. */
bool ce_uri_is_valid(struct fl_slice text);
/* Decimal, optional minus, within 32 bits. */
bool ce_integer_is_valid(struct fl_slice text);
bool ce_media_type_is_valid(struct fl_slice text);
/* True for any type/json and type/x+json, in any case, with or without parameters. */
bool ce_media_type_is_json(struct fl_slice text);
/* True for text/anything, and for XML, JavaScript and forms under application/. */
bool ce_media_type_is_text(struct fl_slice text);
/* The type without parameters: what stands before `;`, trimmed. */
struct fl_slice ce_media_type_bare(struct fl_slice text);

#endif
