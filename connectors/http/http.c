/* bindings.http as the gateway sees it: its options and operations, opening and closing, what it
 * counts.
 *
 * The work is done elsewhere: front.c is the loop's side, worker.c the session's, transfer.c one
 * call there. Opening reads certificates and starts the thread; no server is asked for anything
 * before the first call, so the component is up at once.
 */
#include "connectors/http/http.h"

#include "base/alloc.h"
#include "connectors/http/http_priv.h"

/* --- opening and closing --- */

static size_t most_body_bytes(const struct cn_http_settings *settings)
{
    return settings->max_body_bytes > 0 ? (size_t)settings->max_body_bytes : SIZE_MAX;
}

static enum fl_err open_http(struct connector *connector, struct fl_error *error)
{
    struct cn_http *http = cn_http_of(connector);
    const struct cn_http_settings *settings = connector->settings;
    struct cn_http_tls tls = {0};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL, "libcurl cannot be used here");
    enum fl_err err = cn_http_tls_init(&tls, settings, error);
    if (!err)
        err = cn_http_worker_new(&tls, most_body_bytes(settings), &http->worker, error);
    cn_http_tls_fini(&tls);
    if (err)
        return err;
    http->worker->http = http;
    err = connector_session_start(&cn_http_session_type, connector->host->loop, http->worker,
                                  &http->worker->session, error);
    if (err) {
        cn_http_worker_free(&http->worker);
        return err;
    }
    http->session = http->worker->session;
    cn_http_front_init(http);
    return FL_OK;
}

static void close_http(struct connector *connector, int64_t deadline_at_ms)
{
    struct cn_http *http = cn_http_of(connector);
    connector_session_set_deadline(http->session, deadline_at_ms);
    cn_http_front_close(http, deadline_at_ms);
}

void cn_http_on_session_ended(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned)
{
    struct cn_http_worker *worker = owner;
    struct cn_http *http = worker->http;
    /* Whatever stands in the mailbox is in the list of calls as well. */
    (void)rest;
    cn_http_front_end(http, is_abandoned);
    if (!is_abandoned)
        cn_http_worker_free(&http->worker);
    http->connector.host->callbacks->closed(&http->connector);
}

/* --- what is counted --- */

static const struct connector_counter counters[] = {
    {"http_requests_total", "Requests sent, those that follow a redirect included.", false},
    {"http_connections_total", "Connections made for requests.", false},
    {"http_redirects_total", "Redirects followed.", false},
    {"http_received_bytes_total", "Bytes of bodies received.", false},
    {"http_cut_total", "Answers that were longer than maxResponseBodySize.", false},
    {"http_in_flight", "Calls that are not answered yet.", true},
    {NULL, NULL, false},
};

static void read_counters(struct connector *connector, uint64_t *values)
{
    struct cn_http_counts *counts = &cn_http_of(connector)->worker->counts;
    _Atomic uint64_t *all[] = {&counts->requests,       &counts->connections, &counts->redirects,
                               &counts->received_bytes, &counts->cut,         &counts->in_flight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        values[i] = atomic_load_explicit(all[i], memory_order_relaxed);
}

/* --- options --- */

static enum fl_err check_settings(const void *settings, struct fl_error *error)
{
    const struct cn_http_settings *ours = settings;
    struct fl_slice name = ours->security_token_header;
    if (name.len && !cn_http_is_token(name))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "securityTokenHeader: found \"%.*s\"; accepted is the name of a header "
                            "field, such as X-Token",
                            FL_SLICE_ARG(name));
    if (cn_http_is_reserved(name))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "securityTokenHeader: found \"%.*s\", which every request sets by "
                            "itself; accepted is another header field, such as X-Token",
                            FL_SLICE_ARG(name));
    if (!cn_http_is_value(ours->security_token))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "securityToken: it holds a control character, such as the end of a "
                            "line; a header field cannot carry it");
    return cn_http_tls_check(ours, error);
}

static const char *const component_types[] = {"bindings.http", NULL};

static const struct config_option component_options[] = {
    {
        .name = "url",
        .type = CONFIG_STRING,
        .help = "Where calls go: an http or https URL. A call's path is joined to it. Not looked "
                "at before the first call.",
        .offset = offsetof(struct cn_http_settings, url),
    },
    {
        .name = "responseTimeout",
        .type = CONFIG_DURATION,
        .unit = "s",
        .max = INT64_MAX / 1000000,
        .help = "The most that a call may take, redirects and the body included; 0: only the "
                "caller's own limit counts.",
        .offset = offsetof(struct cn_http_settings, response_timeout_ms),
    },
    {
        .name = "maxResponseBodySize",
        .type = CONFIG_BYTES,
        .default_text = "100Mi",
        .help = "An answer's body is cut here; 0 or less: only by --max-memory.",
        .offset = offsetof(struct cn_http_settings, max_body_bytes),
    },
    {
        .name = "errorIfNot2XX",
        .type = CONFIG_BOOL,
        .default_text = "true",
        .help = "A status outside 200 to 299 is an error. A call's own errorIfNot2XX wins.",
        .offset = offsetof(struct cn_http_settings, is_status_checked),
    },
    {
        .name = "securityToken",
        .type = CONFIG_STRING,
        .is_secret = true,
        .help = "Sent with every request as the header field that securityTokenHeader names, but "
                "not on to another host that a redirect names.",
        .offset = offsetof(struct cn_http_settings, security_token),
    },
    {
        .name = "securityTokenHeader",
        .type = CONFIG_STRING,
        .help = "The header field of securityToken. Without both nothing is sent.",
        .offset = offsetof(struct cn_http_settings, security_token_header),
    },
    {
        .name = "MTLSRootCA",
        .type = CONFIG_STRING,
        .help = "Certificates to trust instead of the system's: PEM text, or the path of a file.",
        .offset = offsetof(struct cn_http_settings, root_ca),
    },
    {
        .name = "MTLSClientCert",
        .type = CONFIG_STRING,
        .help = "The client's certificate: PEM text, or the path of a file.",
        .offset = offsetof(struct cn_http_settings, client_cert),
    },
    {
        .name = "MTLSClientKey",
        .type = CONFIG_STRING,
        .is_secret = true,
        .help = "The key of the client's certificate: PEM text, or the path of a file.",
        .offset = offsetof(struct cn_http_settings, client_key),
    },
    {
        .name = "MTLSRenegotiation",
        .type = CONFIG_ENUM,
        .values = "RenegotiateNever|RenegotiateOnceAsClient|RenegotiateFreelyAsClient",
        .default_text = "RenegotiateNever",
        .help = "Whether a server may renegotiate a TLS 1.2 connection. The last two are the same.",
        .offset = offsetof(struct cn_http_settings, renegotiation),
    },
    {.name = NULL},
};

struct invoke_settings {
    struct fl_slice path, is_status_checked;
};

static const struct config_option invoke_options[] = {
    {
        .name = "path",
        .type = CONFIG_STRING,
        .help = "Joined to the component's url with one slash; may hold a query.",
        .offset = offsetof(struct invoke_settings, path),
    },
    {
        .name = "errorIfNot2XX",
        .type = CONFIG_STRING,
        .help = "Instead of the component's: y, yes, true, t, on and 1 mean true, everything else "
                "false.",
        .offset = offsetof(struct invoke_settings, is_status_checked),
    },
    {.name = NULL},
};

const struct connector_type cn_http_type = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "Calls an HTTP server.",
    .operations = cn_http_operations,
    .state_size = sizeof(struct cn_http),
    .settings_size = sizeof(struct cn_http_settings),
    .component_options = component_options,
    .invoke_options = invoke_options,
    .check = check_settings,
    .open = open_http,
    .close = close_http,
    .invoke = cn_http_front_invoke,
    .counters = counters,
    .read_counters = read_counters,
};
