/* daprd's error bodies (http-api.md §0.4): simple, and detailed for pub/sub.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_ERROR_H
#define GW_API_ERROR_H

#include "base/buffer.h"
#include "cloudevents/event.h"
#include "gateway/api.h"

/* One error as the API says it. */
struct gw_api_error {
    int status;
    const char *code;     /* "ERR_PUBSUB_NOT_FOUND" */
    const char *category; /* of the error code metric */
    struct fl_slice message;
    const char *reason;       /* of the ErrorInfo; NULL: the simple shape */
    struct fl_slice resource; /* pub/sub component of the ResourceInfo; null: none */
    /* ErrorInfo's metadata: pairs, written sorted by key; an empty object when there are none. */
    struct ce_metadata pairs[2];
    size_t pair_count;
    const struct ce_metadata *map; /* used instead of `pairs` when not NULL */
    size_t map_count;
    int retry_after_s;     /* 0: no Retry-After */
    struct fl_slice extra; /* more header lines, or null */
};

/* Answers with it and counts its code. */
void gw_api_fail(struct gateway *gateway, struct http_exchange *exchange,
                 const struct gw_call_info *info, const struct gw_api_error *error);

/* The simple shape in one line. */
void gw_api_fail_simple(struct gateway *gateway, struct http_exchange *exchange,
                        const struct gw_call_info *info, int status, const char *code,
                        const char *category, const char *message);

/* Answers a request whose body broke off for a reason that has nothing to do with its endpoint:
 * bad framing, or time. False: it is neither, and nothing was answered. */
bool gw_api_fail_framing(struct gateway *gateway, struct gw_api_hand *hand,
                         enum http_body_failure why);

#endif
