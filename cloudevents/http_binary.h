/* Binary content mode, both ways: attributes in headers, data in the body.
 *
 * The rules are HTTP's; the other protocols differ only by their row of header_map.h, which every
 * function takes. Headers are pairs of key and value; those that are no attributes are passed over.
 *
 * Thread: any.
 */
#ifndef CE_HTTP_BINARY_H
#define CE_HTTP_BINARY_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "cloudevents/event.h"
#include "cloudevents/header_map.h"

/* True when all four required attributes are among the headers and the content type is of neither
 * structured nor batch mode. `content_type` may be null. */
bool ce_binary_is_mode(const struct ce_header_map *map, const struct ce_metadata *headers,
                       size_t count, struct fl_slice content_type);

struct ce_binary_message {
    const struct ce_metadata *headers;
    size_t header_count;
    struct fl_slice content_type; /* null: absent */
    struct fl_slice body;
    bool has_data;
};

/* Appends the event in the JSON format to `json`: JSON data when the content type says so and the
 * body is valid JSON, a string when the type is textual and the body valid UTF-8, else data_base64.
 * Checks what ce_structured_check checks. `message` is borrowed; its content type may also stand
 * among the headers. FL_ERR_INVALID with the reason (class reject), FL_ERR_NO_MEMORY. */
enum fl_err ce_binary_read(const struct ce_header_map *map, const struct ce_binary_message *message,
                           struct fl_buffer *json, struct fl_error *error) FL_MUST_USE;

/* Takes a structured event apart. Headers live in `arena`, data in the event or in `scratch`.
 * Members that are null or no valid attributes are left out. FL_ERR_INVALID, FL_ERR_NO_MEMORY. */
enum fl_err ce_binary_write(const struct ce_header_map *map, const struct ce_event *event,
                            struct fl_arena *arena, struct fl_buffer *scratch,
                            struct ce_binary_message *message) FL_MUST_USE;

#endif
