/* What a component says about TLS: trust, identity, renegotiation.
 *
 * Ownership: texts are copied. A zeroed struct is the system's trust and no identity; `init`, with
 * its I/O, is for the loop at opening, `apply` for the session.
 */
#ifndef CN_HTTP_TLS_H
#define CN_HTTP_TLS_H

#include <curl/curl.h>

#include "base/buffer.h"
#include "base/error.h"
#include "connectors/http/settings.h"

struct cn_http_tls {
    struct fl_buffer root_ca, client_cert, client_key; /* PEM */
    char *trust_file, *trust_folder; /* of the environment, where root_ca is not given; or NULL */
    bool is_renegotiable;
};

/* No I/O: what is given as text has to be what it should be, and an identity has two halves. */
enum fl_err cn_http_tls_check(const struct cn_http_settings *settings,
                              struct fl_error *error) FL_MUST_USE;

/* Reads what is a path. */
enum fl_err cn_http_tls_init(struct cn_http_tls *tls, const struct cn_http_settings *settings,
                             struct fl_error *error) FL_MUST_USE;
void cn_http_tls_fini(struct cn_http_tls *tls);

/* The texts are borrowed by the handle until it is cleaned up or reset. */
void cn_http_tls_apply(const struct cn_http_tls *tls, CURL *easy);

#endif
