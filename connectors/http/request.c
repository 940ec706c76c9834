/* Calls as requests; see the header.
 *
 * Of a call's metadata `path` and `errorIfNot2XX` are ours, the three trace fields are passed on,
 * and every key that begins with a capital letter is a header field. The order in which fields are
 * set decides who wins: the caller over the defaults, the component's token and the trace over the
 * caller.
 *
 * Redirects are followed here and not by libcurl, because they have to go as Go's client does it:
 * 301, 302 and 303 become GET whatever the method was, and credentials stay with their host. What
 * is a credential is told by the field's name; the component's token is one by definition.
 */
#include "connectors/http/request.h"

#include <curl/curl.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/version.h"
#include "connectors/http/url.h"

#define JSON_TYPE FL_SLICE_LIT("application/json; charset=utf-8")

enum { MOST_REQUESTS = 10 };

const char *const cn_http_operations[] = {"create", "get",    "head",    "post",  "put",
                                          "patch",  "delete", "options", "trace", NULL};

/* Of each operation. */
static const struct {
    const char *method;
    bool has_body;
} methods[] = {{"POST", true},    {"GET", false},     {"HEAD", false},
               {"POST", true},    {"PUT", true},      {"PATCH", true},
               {"DELETE", false}, {"OPTIONS", false}, {"TRACE", false}};

/* Fields that a server's answers to one host must not carry to another. */
static const char *const secret_fields[] = {"Authorization", "Proxy-Authorization", "Cookie",
                                            "Cookie2", "Www-Authenticate"};
/* They tell of a body, and go with it. */
static const char *const body_fields[] = {"Content-Encoding", "Content-Language",
                                          "Content-Location", "Content-Type"};
/* What the client says by itself; a key of that name changes nothing. */
static const char *const reserved_fields[] = {"Host", "Content-Length", "Transfer-Encoding",
                                              "Trailer"};
static const char *const trace_fields[] = {"traceparent", "tracestate", "baggage"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- the caller's metadata --- */

/* The null slice when it is not there. */
static struct fl_slice metadata_of(const struct connector_call *call, const char *key)
{
    for (size_t i = call->metadata_count; i-- > 0;)
        if (fl_slice_eq_str(call->metadata[i].key, key))
            return fl_slice_of(call->metadata[i].value.data ? call->metadata[i].value.data : "",
                               call->metadata[i].value.len);
    return FL_SLICE_NULL;
}

static bool is_truthy(struct fl_slice text)
{
    static const char *const words[] = {"y", "yes", "true", "t", "on", "1"};
    text = fl_slice_trim(text);
    for (size_t i = 0; i < COUNT(words); i++)
        if (fl_slice_eq_nocase(text, fl_slice_str(words[i])))
            return true;
    return false;
}

bool cn_http_is_reserved(struct fl_slice name)
{
    for (size_t i = 0; i < COUNT(reserved_fields); i++)
        if (fl_slice_eq_nocase(name, fl_slice_str(reserved_fields[i])))
            return true;
    return false;
}

static enum fl_err set_given(struct cn_http_fields *fields, const struct connector_call *call,
                             struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < call->metadata_count && !err; i++) {
        struct fl_slice key = call->metadata[i].key;
        if (key.len && key.data[0] >= 'A' && key.data[0] <= 'Z' && !cn_http_is_reserved(key))
            err = cn_http_fields_set(fields, key, call->metadata[i].value, error);
    }
    return err;
}

static enum fl_err set_trace(struct cn_http_fields *fields, const struct connector_call *call,
                             struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < COUNT(trace_fields) && !err; i++) {
        struct fl_slice value = metadata_of(call, trace_fields[i]);
        if (value.len)
            err = cn_http_fields_set(fields, fl_slice_str(trace_fields[i]), value, error);
    }
    return err;
}

/* --- the fields --- */

static enum fl_err set_defaults(struct cn_http_request *request, struct fl_error *error)
{
    struct cn_http_fields *fields = &request->fields;
    enum fl_err err = cn_http_fields_set(fields, FL_SLICE_LIT("User-Agent"),
                                         FL_SLICE_LIT("fairlead/" FL_VERSION), error);
    if (!err)
        err = cn_http_fields_set(fields, FL_SLICE_LIT("Accept"), JSON_TYPE, error);
    if (!err && request->has_body)
        err = cn_http_fields_set(fields, FL_SLICE_LIT("Content-Type"), JSON_TYPE, error);
    return err;
}

/* A part of a compressed body cannot be undone, and neither can what the caller asked for. */
static enum fl_err ask_for_gzip(struct cn_http_request *request, struct fl_error *error)
{
    struct cn_http_fields *fields = &request->fields;
    if (!fl_slice_is_null(cn_http_fields_get(fields, "Accept-Encoding")) ||
        !fl_slice_is_null(cn_http_fields_get(fields, "Range")) ||
        strcmp(request->method, "HEAD") == 0)
        return FL_OK;
    request->wants_gzip = true;
    return cn_http_fields_set(fields, FL_SLICE_LIT("Accept-Encoding"), FL_SLICE_LIT("gzip"), error);
}

static enum fl_err set_token(struct cn_http_fields *fields, const struct cn_http_settings *settings,
                             struct fl_error *error)
{
    if (!settings->security_token.len || !settings->security_token_header.len)
        return FL_OK;
    return cn_http_fields_set(fields, settings->security_token_header, settings->security_token,
                              error);
}

static enum fl_err set_fields(struct cn_http_request *request,
                              const struct cn_http_settings *settings,
                              const struct connector_call *call, struct fl_error *error)
{
    struct cn_http_fields *fields = &request->fields;
    enum fl_err err = set_defaults(request, error);
    if (!err)
        err = set_given(fields, call, error);
    if (!err)
        err = set_token(fields, settings, error);
    if (!err)
        err = set_trace(fields, call, error);
    if (!err)
        err = ask_for_gzip(request, error);
    request->has_own_referer = !fl_slice_is_null(cn_http_fields_get(fields, "Referer"));
    for (size_t i = 0; i < COUNT(secret_fields); i++)
        cn_http_fields_mark_secret(fields, fl_slice_str(secret_fields[i]));
    if (settings->security_token.len)
        cn_http_fields_mark_secret(fields, settings->security_token_header);
    return err;
}

/* --- the whole --- */

static enum fl_err set_method(struct cn_http_request *request, const struct connector_call *call,
                              struct fl_error *error)
{
    for (size_t i = 0; cn_http_operations[i]; i++) {
        if (!fl_slice_eq_str(call->operation, cn_http_operations[i]))
            continue;
        request->method = methods[i].method;
        request->has_body = methods[i].has_body;
        return FL_OK;
    }
    return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT, "there is no operation %.*s",
                        FL_SLICE_ARG(call->operation));
}

static enum fl_err set_url(struct cn_http_request *request, struct fl_slice base,
                           struct fl_slice path, struct fl_error *error)
{
    struct fl_buffer url = {0};
    struct fl_error why;
    enum fl_err err = cn_http_url_join(base, path, &url, &why);
    request->url = fl_strdup(fl_buffer_slice(&url));
    fl_buffer_fini(&url);
    return err ? cn_http_request_fail(request, err, why.class, error, "%s", why.text) : FL_OK;
}

enum fl_err cn_http_request_init(struct cn_http_request *request,
                                 const struct cn_http_settings *settings,
                                 const struct connector_call *call, struct fl_error *error)
{
    struct cn_http_request made = {0};
    struct fl_slice checked = metadata_of(call, "errorIfNot2XX");
    made.is_status_checked = checked.len ? is_truthy(checked) : settings->is_status_checked;
    enum fl_err err = set_method(&made, call, error);
    if (!err)
        err = set_url(&made, settings->url, metadata_of(call, "path"), error);
    if (!err)
        err = set_fields(&made, settings, call, error);
    if (err)
        cn_http_request_fini(&made);
    else
        *request = made;
    return err;
}

void cn_http_request_fini(struct cn_http_request *request)
{
    cn_http_fields_fini(&request->fields);
    FL_FREE(request->url);
}

size_t cn_http_request_bytes(const struct cn_http_request *request)
{
    size_t sum = strlen(request->url);
    for (size_t i = 0; i < request->fields.count; i++)
        sum += strlen(request->fields.items[i].line);
    return 2 * sum;
}

enum fl_err cn_http_request_fail(const struct cn_http_request *request, enum fl_err code,
                                 enum fl_error_class class, struct fl_error *error,
                                 const char *format, ...)
{
    char url[200], method[8], reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    /* A reason may tell of what the server sent, such as the names of its certificate. */
    cn_http_make_showable(reason);
    cn_http_url_show(fl_slice_str(request->url), url, sizeof url);
    snprintf(method, sizeof method, "%s", request->method);
    for (char *c = method + 1; *c; c++)
        *c = fl_ascii_lower(*c);
    return fl_error_set(error, code, class, "%s \"%s\": %s", method, url, reason);
}

/* --- redirects --- */

bool cn_http_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Frees what libcurl gave. */
static char *take_text(char *text)
{
    char *ours = fl_strdup(fl_slice_str(text));
    curl_free(text);
    return ours;
}

static bool part_is_equal(CURLU *a, CURLU *b, CURLUPart part)
{
    char *of_a = NULL, *of_b = NULL;
    curl_url_get(a, part, &of_a, CURLU_DEFAULT_PORT);
    curl_url_get(b, part, &of_b, CURLU_DEFAULT_PORT);
    bool is_equal = of_a && of_b && fl_slice_eq_nocase(fl_slice_str(of_a), fl_slice_str(of_b));
    curl_free(of_a);
    curl_free(of_b);
    return is_equal;
}

static bool has_scheme(CURLU *url, const char *wanted)
{
    char *scheme = NULL;
    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    bool is_it = scheme && fl_slice_eq_nocase(fl_slice_str(scheme), fl_slice_str(wanted));
    curl_free(scheme);
    return is_it;
}

static bool is_downgrade(CURLU *from, CURLU *to)
{
    return has_scheme(from, "https") && !has_scheme(to, "https");
}

/* Where the request comes from: to the same host in full, to another only the host, and nothing
 * where encryption ends. NULL: not said. */
static char *referer_of(CURLU *from, CURLU *to, bool is_same_host)
{
    CURLU *shown = is_downgrade(from, to) ? NULL : curl_url_dup(from);
    char *text = NULL;
    if (!shown)
        return NULL;
    curl_url_set(shown, CURLUPART_USER, NULL, 0);
    curl_url_set(shown, CURLUPART_PASSWORD, NULL, 0);
    if (!is_same_host) {
        curl_url_set(shown, CURLUPART_PATH, "/", 0);
        curl_url_set(shown, CURLUPART_QUERY, NULL, 0);
    }
    curl_url_get(shown, CURLUPART_URL, &text, 0);
    curl_url_cleanup(shown);
    return text;
}

static void set_referer(struct cn_http_request *request, CURLU *from, CURLU *to, bool is_same_host)
{
    struct fl_error ignored;
    if (request->has_own_referer)
        return;
    char *text = referer_of(from, to, is_same_host);
    if (!text ||
        cn_http_fields_set(&request->fields, FL_SLICE_LIT("Referer"), fl_slice_str(text), &ignored))
        cn_http_fields_remove(&request->fields, "Referer");
    curl_free(text);
}

static void change_method(struct cn_http_request *request, int status)
{
    if (status == 307 || status == 308)
        return;
    if (strcmp(request->method, "HEAD") != 0)
        request->method = "GET";
    request->has_body = false;
    for (size_t i = 0; i < COUNT(body_fields); i++)
        cn_http_fields_remove(&request->fields, body_fields[i]);
}

/* Both URLs are good. */
static enum fl_err follow(struct cn_http_request *request, int status, CURLU *from, CURLU *to,
                          struct fl_error *error)
{
    char *text = NULL;
    if (curl_url_get(to, CURLUPART_URL, &text, 0))
        return cn_http_request_fail(request, FL_ERR_INVALID, FL_CLASS_RETRY, error,
                                    "the answer redirects to an unreadable location");
    bool is_same_host = part_is_equal(from, to, CURLUPART_HOST);
    set_referer(request, from, to, is_same_host);
    if (!is_same_host || is_downgrade(from, to))
        cn_http_fields_remove_secrets(&request->fields);
    change_method(request, status);
    fl_free(request->url);
    request->url = take_text(text);
    request->redirects++;
    return FL_OK;
}

enum fl_err cn_http_request_redirect(struct cn_http_request *request, int status,
                                     struct fl_slice location, struct fl_error *error)
{
    enum fl_err err = FL_ERR_INVALID;
    CURLU *from = curl_url(), *to = curl_url();
    char *where = fl_strdup(location);
    if (request->redirects + 1 >= MOST_REQUESTS)
        err = cn_http_request_fail(request, FL_ERR_REFUSED, FL_CLASS_RETRY, error,
                                   "stopped after %d redirects", MOST_REQUESTS);
    else if (!from || !to || curl_url_set(from, CURLUPART_URL, request->url, CURLU_PATH_AS_IS) ||
             curl_url_set(to, CURLUPART_URL, request->url, CURLU_PATH_AS_IS) ||
             curl_url_set(to, CURLUPART_URL, where, CURLU_URLENCODE) ||
             !(has_scheme(to, "http") || has_scheme(to, "https")))
        err =
            cn_http_request_fail(request, FL_ERR_INVALID, FL_CLASS_RETRY, error,
                                 "the answer redirects to a location that is no http or https URL");
    else
        err = follow(request, status, from, to, error);
    fl_free(where);
    curl_url_cleanup(from);
    curl_url_cleanup(to);
    return err;
}
