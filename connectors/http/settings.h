/* What a component of bindings.http is told. Filled from option rows; strings are borrowed from
 * whoever filled it. */
#ifndef CN_HTTP_SETTINGS_H
#define CN_HTTP_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* In the order of the option's values. */
enum cn_http_renegotiation {
    CN_HTTP_RENEGOTIATE_NEVER,
    CN_HTTP_RENEGOTIATE_ONCE,
    CN_HTTP_RENEGOTIATE_FREELY,
};

struct cn_http_settings {
    struct fl_slice url;
    int64_t response_timeout_ms;                      /* 0: none */
    int64_t max_body_bytes;                           /* 0 or less: no limit of this kind */
    struct fl_slice root_ca, client_cert, client_key; /* PEM text, or a path */
    int renegotiation;                                /* of enum cn_http_renegotiation */
    struct fl_slice security_token, security_token_header;
    bool is_status_checked; /* a status outside 200 to 299 is an error */
};

#endif
