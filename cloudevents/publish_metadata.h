/* The metadata of a publish request as daprd reads it: overrides, time to live, rawPayload.
 *
 * Thread: any.
 */
#ifndef CE_PUBLISH_METADATA_H
#define CE_PUBLISH_METADATA_H

#include <stdbool.h>

#include "base/error.h"
#include "cloudevents/event.h"

/* The metadata of a publish request that the envelope depends on. Slices are borrowed from the
 * metadata; null or empty means not given. */
struct ce_publish_metadata {
    struct fl_slice id, source, type, subject, traceid, traceparent, tracestate; /* cloudevent.* */
    bool has_ttl;
    int64_t ttl_ns; /* 0 or less: expired at once */
};

/* Reads the overrides and the time to live; keys in any case, an exact spelling before another. */
void ce_publish_metadata_read(const struct ce_metadata *metadata, size_t count,
                              struct ce_publish_metadata *out);

/* The value of the metadata key `rawPayload` (case matters): 1 t T TRUE true True and 0 f F FALSE
 * false False and empty. Without the key *is_raw is false. FL_ERR_INVALID for another value, which
 * is stored in *bad (may be NULL). */
enum fl_err ce_metadata_raw_payload(const struct ce_metadata *metadata, size_t count, bool *is_raw,
                                    struct fl_slice *bad) FL_MUST_USE;

/* The value of a metadata key, compared exactly; the null slice when it is not there. */
struct fl_slice ce_metadata_find(const struct ce_metadata *metadata, size_t count,
                                 struct fl_slice key);

/* A Go duration ("1m30s") or whole seconds. False: unparseable, or seconds of 0 or less other than
 * "0",
 * "-0" and "+0". Seconds past the 64-bit nanosecond range wrap around. */
bool ce_ttl_parse(struct fl_slice text, int64_t *ttl_ns);

#endif
