/* One call of the binding as an HTTP request, and what a redirect makes of it.
 *
 * Pure: no connection is opened here. Thread: one at a time; a request moves from the loop to the
 * session with its call.
 */
#ifndef CN_HTTP_REQUEST_H
#define CN_HTTP_REQUEST_H

#include "base/error.h"
#include "connectors/connector.h"
#include "connectors/http/fields.h"
#include "connectors/http/settings.h"

struct cn_http_request {
    const char *method; /* static */
    char *url;          /* absolute, http or https */
    struct cn_http_fields fields;
    bool has_body;          /* the data of the call are sent */
    bool is_status_checked; /* a status outside 200 to 299 is an error */
    bool wants_gzip;        /* it was asked for here, so it is undone here */
    bool has_own_referer;   /* the caller's, which redirects leave alone */
    unsigned redirects;     /* that were followed */
};

/* The operations, in the order in which errors list them; NULL ends the list. */
extern const char *const cn_http_operations[];

/* Everything is copied. Failures name the URL as far as that is no secret. FL_ERR_UNSUPPORTED: the
 * operation, or the scheme. */
enum fl_err cn_http_request_init(struct cn_http_request *request,
                                 const struct cn_http_settings *settings,
                                 const struct connector_call *call,
                                 struct fl_error *error) FL_MUST_USE;
void cn_http_request_fini(struct cn_http_request *request);

/* What the URL and the fields take, here and once more in libcurl. */
size_t cn_http_request_bytes(const struct cn_http_request *request);

/* A header field that the client says by itself, such as Host; name without case. */
bool cn_http_is_reserved(struct fl_slice name);

/* Whether a status with a Location is followed. */
bool cn_http_is_redirect(int status);

/* Turns the request into the one that follows. FL_ERR_REFUSED: ten were sent; FL_ERR_INVALID: the
 * location leads nowhere. Then the request is as it was. */
enum fl_err cn_http_request_redirect(struct cn_http_request *request, int status,
                                     struct fl_slice location, struct fl_error *error) FL_MUST_USE;

/* Fills `error` with a text that begins with method and URL: `Get "http://h/p": ` and the reason.
 */
enum fl_err cn_http_request_fail(const struct cn_http_request *request, enum fl_err code,
                                 enum fl_error_class class, struct fl_error *error,
                                 const char *format, ...) FL_PRINTF(5, 6);

#endif
