/* How each protocol carries attributes beside the data (binary mode): one row per protocol.
 *
 * Thread: any.
 */
#ifndef CE_HEADER_MAP_H
#define CE_HEADER_MAP_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum ce_protocol { CE_HTTP, CE_KAFKA, CE_AMQP, CE_MQTT5, CE_NATS, CE_PROTOCOL_COUNT };

struct ce_header_map {
    enum ce_protocol protocol;
    const char *name;         /* for messages to people */
    const char *prefix;       /* written before an attribute's name; "" for MQTT 5 */
    const char *other_prefix; /* read as well; NULL when there is none */
    const char *content_type; /* the key of datacontenttype, prefix included */
    bool is_percent_coded;    /* values are percent-encoded (HTTP and NATS) */
    bool folds_case;          /* names compare without case */
    bool null_is_no_data;     /* no data is a null value, not an empty one (Kafka) */
};

const struct ce_header_map *ce_header_map_of(enum ce_protocol protocol);

/* The attribute's name when `header` has one of the map's prefixes and a name follows it, as it is
 * written; the null slice otherwise. Not yet checked against the rules of names. */
struct fl_slice ce_header_attribute(const struct ce_header_map *map, struct fl_slice header);

/* Encodes space, `"`, `%` and all but U+0021 to U+007E, as UTF-8 in upper-case hex. */
void ce_header_encode(struct fl_slice value, struct fl_buffer *out);

/* Undoes quotes of older senders, then one round of percent-decoding, and appends. FL_ERR_INVALID:
 * a malformed escape, raw bytes from 0x80 on, bytes that are no UTF-8, a closing quote that is
 * missing. */
enum fl_err ce_header_decode(struct fl_slice value, struct fl_buffer *out) FL_MUST_USE;

#endif
