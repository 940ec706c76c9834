/* One row per flag: name, type, group, default, help, where it goes, and whether it does anything
 * here. Three steps: tokens to raw values by pflag's rules (a mistake is exit 2), raw values to
 * typed ones (a mistake is exit 1), help from the rows. The split follows daprd, which reads ports,
 * sizes and words as strings first and complains about them only later. */
#include "config/flags.h"

#include <stdio.h>

#include "config/quantity.h"
#include "config/spelling.h"

enum kind {
    KIND_STRING,   /* struct fl_slice */
    KIND_INT,      /* int64_t */
    KIND_BOOL,     /* bool */
    KIND_TRISTATE, /* enum config_tristate */
    KIND_DURATION, /* int64_t milliseconds */
    KIND_LIST,     /* struct config_list */
};

enum group {
    GROUP_APP,
    GROUP_API,
    GROUP_RESOURCES,
    GROUP_LOG,
    GROUP_LIFE,
    GROUP_PROCESS,
    GROUP_ABSENT,
    GROUP_COUNT,
};

static const char *const group_titles[GROUP_COUNT] = {
    [GROUP_APP] = "The application",
    [GROUP_API] = "The API",
    [GROUP_RESOURCES] = "Resources and configuration",
    [GROUP_LOG] = "Logs and metrics",
    [GROUP_LIFE] = "Bounds and shutdown",
    [GROUP_PROCESS] = "This process",
    [GROUP_ABSENT] = "Accepted, without effect in this version",
};

/* What the command line says, before it means anything. */
struct raw {
    struct fl_slice app_id, app_port, app_protocol, app_channel_address, health_path;
    int64_t app_max_concurrency, probe_interval, probe_timeout, threshold;
    bool app_ssl, has_health_check;
    struct config_list disable_init;
    struct fl_slice http_port, grpc_port, listen_addresses, public_port, public_listen_address;
    struct fl_slice unix_domain_socket, allowed_origins, max_body, read_buffer;
    int64_t old_max_body, old_read_buffer, max_connections;
    bool reuse_port;
    struct config_list resources_paths, config_files;
    struct fl_slice components_path, mode;
    struct fl_slice log_level, log_file, metrics_port, metrics_listen_address;
    bool log_as_json, enable_metrics;
    enum config_tristate api_logging;
    int64_t graceful_seconds, block_ms, publish_wait_ms, publish_timeout_ms;
    struct fl_slice max_memory;
    bool strict, version, build_info, wait, mtls, given_block;
    struct fl_slice ignored_text;
    struct config_list ignored_list;
    int64_t ignored_int, disseminate_ms;
    bool ignored_bool;
};

struct flag {
    const char *name;
    enum kind kind;
    enum group group;
    size_t offset;
    const char *default_text; /* NULL: empty, 0 or false */
    const char *deprecated;   /* what stderr says when it is used; NULL: it is not */
    const char *help;
};

#define AT(member) offsetof(struct raw, member)

static const struct flag flags_table[] = {
    {"app-id", KIND_STRING, GROUP_APP, AT(app_id), NULL, NULL,
     "Name of the application; required, without dots."},
    {"app-port", KIND_STRING, GROUP_APP, AT(app_port), NULL, NULL,
     "Port that the application listens on; none: there is no application."},
    {"app-protocol", KIND_STRING, GROUP_APP, AT(app_protocol), "http", NULL,
     "How to talk to the application: http or https. h2c, grpc and grpcs are refused: HTTP/2 is "
     "not "
     "served by this version."},
    {"app-channel-address", KIND_STRING, GROUP_APP, AT(app_channel_address), "127.0.0.1", NULL,
     "Host of the application."},
    {"app-max-concurrency", KIND_INT, GROUP_APP, AT(app_max_concurrency), "-1", NULL,
     "Calls of the application at once; 0 or less: no limit."},
    {"app-ssl", KIND_BOOL, GROUP_APP, AT(app_ssl), NULL, "use --app-protocol=https instead",
     "Talk HTTPS to the application."},
    {"enable-app-health-check", KIND_BOOL, GROUP_APP, AT(has_health_check), NULL, NULL,
     "Probe the application and deliver only while it is healthy."},
    {"app-health-check-path", KIND_STRING, GROUP_APP, AT(health_path), "/healthz", NULL,
     "Path of the probe."},
    {"app-health-probe-interval", KIND_INT, GROUP_APP, AT(probe_interval), "5", NULL,
     "Seconds between probes."},
    {"app-health-probe-timeout", KIND_INT, GROUP_APP, AT(probe_timeout), "500", NULL,
     "Milliseconds until a probe has failed; not longer than the interval."},
    {"app-health-threshold", KIND_INT, GROUP_APP, AT(threshold), "3", NULL,
     "Failed probes until the application counts as unhealthy."},
    {"disable-init-endpoints", KIND_LIST, GROUP_APP, AT(disable_init), NULL, NULL,
     "Endpoints of the application not to call at start: config, subscribe."},

    {"dapr-http-port", KIND_STRING, GROUP_API, AT(http_port), "3500", NULL,
     "Port of the HTTP API."},
    {"dapr-listen-addresses", KIND_STRING, GROUP_API, AT(listen_addresses), NULL, NULL,
     "Addresses to listen on, comma-separated; none: all."},
    {"dapr-public-port", KIND_STRING, GROUP_API, AT(public_port), NULL, NULL,
     "Extra port for health and metadata only, without a token; none: off."},
    {"dapr-public-listen-address", KIND_STRING, GROUP_API, AT(public_listen_address), NULL, NULL,
     "Address of the public port; none: all."},
    {"unix-domain-socket", KIND_STRING, GROUP_API, AT(unix_domain_socket), NULL, NULL,
     "Folder for a Unix socket (dapr-APPID-http.socket) to listen on instead of TCP."},
    {"allowed-origins", KIND_STRING, GROUP_API, AT(allowed_origins), NULL, NULL,
     "Origins that browsers may call from, comma-separated, * for all; none: no CORS at all."},
    {"max-body-size", KIND_STRING, GROUP_API, AT(max_body), "4Mi", NULL,
     "Most bytes of a request body, such as 4Mi or 16M; 0: no limit; -1: the default."},
    {"dapr-http-max-request-size", KIND_INT, GROUP_API, AT(old_max_body), "4",
     "use --max-body-size instead", "The same in MB; --max-body-size wins."},
    {"read-buffer-size", KIND_STRING, GROUP_API, AT(read_buffer), "4Ki", NULL,
     "Most bytes of a request's head, and of the application's response head."},
    {"dapr-http-read-buffer-size", KIND_INT, GROUP_API, AT(old_read_buffer), "4",
     "use --read-buffer-size instead", "The same in KB; --read-buffer-size wins."},
    {"max-connections", KIND_INT, GROUP_API, AT(max_connections), "10000", NULL,
     "Connections at once; at this bound accepting stops until one ends."},
    {"reuse-port", KIND_BOOL, GROUP_API, AT(reuse_port), NULL, NULL,
     "Let several processes share the API port (SO_REUSEPORT)."},

    {"resources-path", KIND_LIST, GROUP_RESOURCES, AT(resources_paths), NULL, NULL,
     "Folder of resource files; may be repeated; none: no resources."},
    {"components-path", KIND_STRING, GROUP_RESOURCES, AT(components_path), NULL,
     "use --resources-path instead", "One such folder; ignored when --resources-path is given."},
    {"config", KIND_LIST, GROUP_RESOURCES, AT(config_files), NULL, NULL,
     "Configuration file; may be repeated, later ones win."},
    {"strict", KIND_BOOL, GROUP_RESOURCES, AT(strict), NULL, NULL,
     "Treat every warning about resources and configuration as an error."},

    {"log-level", KIND_STRING, GROUP_LOG, AT(log_level), "info", NULL,
     "debug, info, warn, error or fatal."},
    {"log-as-json", KIND_BOOL, GROUP_LOG, AT(log_as_json), NULL, NULL, "One JSON object a line."},
    {"log-file", KIND_STRING, GROUP_LOG, AT(log_file), NULL, NULL,
     "File to append the log to; none: standard output."},
    {"enable-api-logging", KIND_TRISTATE, GROUP_LOG, AT(api_logging), NULL, NULL,
     "Log every API call; not given: as the configuration says."},
    {"enable-metrics", KIND_BOOL, GROUP_LOG, AT(enable_metrics), "true", NULL,
     "Serve metrics in Prometheus' format."},
    {"metrics-port", KIND_STRING, GROUP_LOG, AT(metrics_port), "9090", NULL,
     "Port of the metrics."},
    {"metrics-listen-address", KIND_STRING, GROUP_LOG, AT(metrics_listen_address), "0.0.0.0", NULL,
     "Address of the metrics port."},

    {"max-memory", KIND_STRING, GROUP_LIFE, AT(max_memory), "256Mi", NULL,
     "Bytes for request bodies, publishes waiting for their confirmation, and unsettled "
     "deliveries."},
    {"publish-wait", KIND_DURATION, GROUP_LIFE, AT(publish_wait_ms), "2s", NULL,
     "How long a publish waits at a bound, or for its component's connection, before it is "
     "refused."},
    {"publish-timeout", KIND_DURATION, GROUP_LIFE, AT(publish_timeout_ms), "30s", NULL,
     "How long to wait for a broker's confirmation."},
    {"dapr-graceful-shutdown-seconds", KIND_INT, GROUP_LIFE, AT(graceful_seconds), "5", NULL,
     "Time for what is in flight at shutdown; 0: for ever."},
    {"dapr-block-shutdown-duration", KIND_DURATION, GROUP_LIFE, AT(block_ms), NULL, NULL,
     "Keep working this long after the signal, or until the application is unhealthy."},

    {"mode", KIND_STRING, GROUP_PROCESS, AT(mode), "standalone", NULL,
     "standalone; kubernetes is refused: its resources come from an operator."},
    {"version", KIND_BOOL, GROUP_PROCESS, AT(version), NULL, NULL, "Print the version and end."},
    {"build-info", KIND_BOOL, GROUP_PROCESS, AT(build_info), NULL, NULL,
     "Print version and commit and end."},
    {"wait", KIND_BOOL, GROUP_PROCESS, AT(wait), NULL, NULL,
     "Wait for the process that listens on --dapr-http-port to be ready, and end."},
    {"enable-mtls", KIND_BOOL, GROUP_PROCESS, AT(mtls), NULL, NULL,
     "true is refused: there is no certificate authority here and nothing would be encrypted."},

    {"dapr-grpc-port", KIND_STRING, GROUP_ABSENT, AT(grpc_port), "50001", NULL,
     "Port of the gRPC API."},
    {"dapr-internal-grpc-port", KIND_STRING, GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Port for other sidecars."},
    {"dapr-internal-grpc-listen-address", KIND_STRING, GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Address for other sidecars."},
    {"enable-profiling", KIND_BOOL, GROUP_ABSENT, AT(ignored_bool), NULL, NULL,
     "Profiling server."},
    {"profile-port", KIND_STRING, GROUP_ABSENT, AT(ignored_text), "7777", NULL,
     "Port of the profiling server."},
    {"placement-host-address", KIND_STRING, GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Actors' placement service."},
    {"actors-service", KIND_STRING, GROUP_ABSENT, AT(ignored_text), NULL,
     "there are no actors here", "Actors' service."},
    {"reminders-service", KIND_STRING, GROUP_ABSENT, AT(ignored_text), NULL,
     "there are no actors here", "Reminders' service."},
    {"actors-disseminate-timeout", KIND_DURATION, GROUP_ABSENT, AT(disseminate_ms), "30s", NULL,
     "Actors' dissemination time limit."},
    {"scheduler-host-address", KIND_LIST, GROUP_ABSENT, AT(ignored_list), NULL, NULL,
     "Scheduler of jobs."},
    {"scheduler-job-streams", KIND_INT, GROUP_ABSENT, AT(ignored_int), "3", NULL,
     "Connections to the scheduler."},
    {"sentry-address", KIND_STRING, GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Certificate authority."},
    {"sentry-request-jwt-audiences", KIND_LIST, GROUP_ABSENT, AT(ignored_list), NULL, NULL,
     "Audiences of the certificate authority's tokens."},
    {"control-plane-address", KIND_STRING, GROUP_ABSENT, AT(ignored_text), NULL, NULL,
     "Kubernetes operator."},
    {"control-plane-trust-domain", KIND_STRING, GROUP_ABSENT, AT(ignored_text), "localhost", NULL,
     "Trust domain of the control plane."},
    {"control-plane-namespace", KIND_STRING, GROUP_ABSENT, AT(ignored_text), "default", NULL,
     "Namespace of the control plane."},
    {"disable-builtin-k8s-secret-store", KIND_BOOL, GROUP_ABSENT, AT(ignored_bool), NULL, NULL,
     "Kubernetes' secret store."},
};

enum { FLAG_COUNT = sizeof flags_table / sizeof *flags_table };

struct parser {
    struct config_flags_result *result;
    struct raw raw;
    bool given[FLAG_COUNT];
};

/* --- outcomes --------------------------------------------------------------------------------- */

/* daprd: message and usage on standard error, the message alone on standard output, exit 2.
 * `hint` is a line of ours for standard error. */
static void end_with_usage(struct parser *p, const char *message, const char *hint)
{
    struct config_flags_result *result = p->result;
    result->outcome = CONFIG_EXIT;
    result->status = 2;
    fl_buffer_printf(&result->err, "%s\n%s", message, hint);
    config_flags_print_help("fairlead", &result->err);
    fl_buffer_printf(&result->out, "%s\n", message);
}

static void end_fatal(struct parser *p, const char *format, ...) FL_PRINTF(2, 3);

/* The first fatal finding is the one that is told. */
static void end_fatal(struct parser *p, const char *format, ...)
{
    struct config_flags_result *result = p->result;
    if (result->outcome == CONFIG_EXIT_FATAL)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    result->outcome = CONFIG_EXIT_FATAL;
    result->status = 1;
    result->fatal = fl_arena_strdup(&result->arena, fl_slice_str(text));
}

#define FATAL_FROM_RUNTIME "Fatal error from runtime: "
#define FATAL_FLAGS "Failed to parse flags: "

/* --- tokens to raw values --------------------------------------------------------------------- */

static const struct flag *find_flag(struct fl_slice name)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (fl_slice_eq_str(name, flags_table[i].name))
            return &flags_table[i];
    return NULL;
}

static void append_list(struct fl_arena *arena, struct fl_slice text, struct config_list *list)
{
    size_t more = 1;
    for (size_t i = 0; i < text.len; i++)
        more += text.data[i] == ',';
    struct fl_slice *items = FL_ARENA_ARRAY(arena, struct fl_slice, list->count + more);
    if (list->count)
        memcpy(items, list->items, list->count * sizeof *items);
    list->items = items;
    while (text.len) {
        size_t at = fl_slice_find_byte(text, ',');
        items[list->count++] = fl_arena_copy(arena, fl_slice_of(text.data, at));
        size_t used = at == text.len ? at : at + 1;
        text = fl_slice_of(text.data + used, text.len - used);
    }
}

/* Go's wording of why a text is not a value of that kind. */
static void explain_kind(const struct flag *flag, struct fl_slice text, enum fl_err err, char *out,
                         size_t size)
{
    const char *reason = err == FL_ERR_TOO_LARGE ? "value out of range" : "invalid syntax";
    int64_t ignored;
    if (flag->kind == KIND_INT)
        snprintf(out, size, "strconv.ParseInt: parsing \"%.*s\": %s", FL_SLICE_ARG(text), reason);
    else if (flag->kind != KIND_DURATION)
        snprintf(out, size, "strconv.ParseBool: parsing \"%.*s\": %s", FL_SLICE_ARG(text), reason);
    else if (config_parse_int(text, &ignored) == FL_OK)
        snprintf(out, size, "time: missing unit in duration \"%.*s\"", FL_SLICE_ARG(text));
    else
        snprintf(out, size, "time: invalid duration \"%.*s\"", FL_SLICE_ARG(text));
}

static enum fl_err store(struct parser *p, const struct flag *flag, struct fl_slice text)
{
    void *at = (char *)&p->raw + flag->offset;
    int64_t number = 0;
    bool truth = false;
    enum fl_err err = FL_OK;
    switch (flag->kind) {
    case KIND_STRING:
        *(struct fl_slice *)at = fl_arena_copy(&p->result->arena, text);
        break;
    case KIND_LIST:
        append_list(&p->result->arena, text, at);
        break;
    case KIND_INT:
        err = config_parse_int_any(text, &number);
        if (err == FL_OK)
            *(int64_t *)at = number;
        break;
    case KIND_DURATION:
        err = config_parse_duration(text, CONFIG_BARE_REFUSED, &number);
        if (err == FL_OK)
            *(int64_t *)at = config_ns_to_ms(number);
        break;
    case KIND_BOOL:
        err = config_parse_bool(text, &truth);
        if (err == FL_OK)
            *(bool *)at = truth;
        break;
    case KIND_TRISTATE:
        err = config_parse_bool(text, &truth);
        if (err == FL_OK)
            *(enum config_tristate *)at = truth ? CONFIG_TRUE : CONFIG_FALSE;
        break;
    }
    return err;
}

static void note_absent(struct parser *p, const struct flag *flag, struct fl_slice value)
{
    struct config_list *list = &p->result->without_effect;
    if (flag->group != GROUP_ABSENT || value.len == 0 || fl_slice_eq_str(value, "false") ||
        config_list_has(list, fl_slice_str(flag->name)))
        return;
    append_list(&p->result->arena, fl_slice_str(flag->name), list);
}

static bool take_value(struct parser *p, const struct flag *flag, struct fl_slice value)
{
    enum fl_err err = store(p, flag, value);
    if (err != FL_OK) {
        char reason[512], message[1024];
        explain_kind(flag, value, err, reason, sizeof reason);
        snprintf(message, sizeof message, "invalid argument \"%.*s\" for \"--%s\" flag: %s",
                 (int)(value.len > 200 ? 200 : value.len), value.data ? value.data : "", flag->name,
                 reason);
        end_with_usage(p, message, "");
        return false;
    }
    if (flag->deprecated && !p->given[flag - flags_table])
        fl_buffer_printf(&p->result->err, "Flag --%s has been deprecated, %s\n", flag->name,
                         flag->deprecated);
    p->given[flag - flags_table] = true;
    note_absent(p, flag, value);
    return true;
}

static void end_unknown(struct parser *p, struct fl_slice name)
{
    struct config_spelling spelling;
    char message[512], hint[128] = "";
    config_spelling_init(&spelling, name);
    for (size_t i = 0; i < FLAG_COUNT; i++)
        config_spelling_offer(&spelling, fl_slice_str(flags_table[i].name));
    if (spelling.best.data)
        snprintf(hint, sizeof hint, "The nearest known flag is --%s\n", spelling.best.data);
    snprintf(message, sizeof message, "unknown flag: --%.*s",
             (int)(name.len > 400 ? 400 : name.len), name.data);
    end_with_usage(p, message, hint);
}

/* One token that begins with two dashes (the first of them perhaps added); false ends the walk. */
static bool take_long(struct parser *p, struct fl_slice body, int argc, char *const *argv, int *at)
{
    size_t equals = fl_slice_find_byte(body, '=');
    struct fl_slice name = fl_slice_of(body.data, equals);
    if (name.len == 0 || name.data[0] == '-') {
        char message[256];
        snprintf(message, sizeof message, "bad flag syntax: --%.*s",
                 (int)(body.len > 200 ? 200 : body.len), body.data);
        end_with_usage(p, message, "");
        return false;
    }
    const struct flag *flag = find_flag(name);
    if (!flag && fl_slice_eq_str(name, "help")) {
        end_with_usage(p, "pflag: help requested", "");
        return false;
    }
    if (!flag) {
        end_unknown(p, name);
        return false;
    }
    if (equals < body.len)
        return take_value(p, flag, fl_slice_of(body.data + equals + 1, body.len - equals - 1));
    if (flag->kind == KIND_BOOL || flag->kind == KIND_TRISTATE)
        return take_value(p, flag, FL_SLICE_LIT("true"));
    if (*at + 1 >= argc) {
        char message[256];
        snprintf(message, sizeof message, "flag needs an argument: --%s", flag->name);
        end_with_usage(p, message, "");
        return false;
    }
    return take_value(p, flag, fl_slice_str(argv[++*at]));
}

/* daprd gives every token of more than two bytes with one leading dash a second one, values
 * included; `copies` holds those. */
static char *const *double_dashes(int argc, char *const *argv, struct fl_arena *arena)
{
    char **copies = FL_ARENA_ARRAY(arena, char *, (size_t)argc + 1);
    for (int i = 0; i < argc; i++) {
        bool is_single = argv[i][0] == '-' && argv[i][1] && argv[i][1] != '-' && argv[i][2];
        copies[i] = is_single ? fl_arena_printf(arena, "-%s", argv[i]) : argv[i];
    }
    return copies;
}

static bool take_tokens(struct parser *p, int argc, char *const *argv)
{
    argv = double_dashes(argc, argv, &p->result->arena);
    for (int i = 1; i < argc; i++) {
        const char *token = argv[i];
        if (token[0] != '-' || token[1] == '\0')
            continue;
        if (strcmp(token, "--") == 0)
            return true;
        if (token[1] == '-') {
            if (!take_long(p, fl_slice_str(token + 2), argc, argv, &i))
                return false;
            continue;
        }
        char message[64];
        snprintf(message, sizeof message, "unknown shorthand flag: '%c' in %s", token[1], token);
        end_with_usage(p, token[1] == 'h' ? "pflag: help requested" : message, "");
        return false;
    }
    return true;
}

static void set_defaults(struct parser *p)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (flags_table[i].default_text)
            FL_ASSERT(store(p, &flags_table[i], fl_slice_str(flags_table[i].default_text)) ==
                      FL_OK);
}

/* --- raw values to typed ones ----------------------------------------------------------------- */

static bool is_given(const struct parser *p, const char *name)
{
    return p->given[find_flag(fl_slice_str(name)) - flags_table];
}

static void take_port(struct parser *p, struct fl_slice text, const char *name, uint16_t *port)
{
    enum fl_err err = config_parse_port(text, port);
    if (err == FL_ERR_TOO_LARGE)
        end_fatal(p,
                  FATAL_FROM_RUNTIME "error parsing %s flag: found \"%.*s\"; accepted: a port "
                                     "from 0 to 65535",
                  name, FL_SLICE_ARG(text));
    else if (err != FL_OK)
        end_fatal(p,
                  FATAL_FROM_RUNTIME
                  "error parsing %s flag: strconv.Atoi: parsing \"%.*s\": invalid syntax",
                  name, FL_SLICE_ARG(text));
}

static void take_size(struct parser *p, struct fl_slice text, const char *name, int64_t *bytes)
{
    if (config_parse_quantity(text, bytes) != FL_OK)
        end_fatal(p,
                  FATAL_FLAGS "invalid value for --%s: found \"%.*s\"; accepted: a size such as "
                              "512, 64Ki, 4Mi or 16M",
                  name, FL_SLICE_ARG(text));
}

/* One that may be left empty, which is 0. */
static void take_optional_port(struct parser *p, struct fl_slice text, const char *name,
                               uint16_t *port)
{
    if (text.len)
        take_port(p, text, name, port);
}

static void finish_log(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct raw *raw = &p->raw;
    flags->log_as_json = raw->log_as_json;
    flags->log_file = raw->log_file;
    flags->api_logging = raw->api_logging;
    flags->has_metrics = raw->enable_metrics;
    flags->metrics_listen_address = raw->metrics_listen_address;
    if (fl_log_parse_level(raw->log_level, &flags->log_level) != FL_OK) {
        flags->log_level = FL_LOG_INFO;
        end_fatal(p, "invalid value for --log-level: %.*s", FL_SLICE_ARG(raw->log_level));
    }
    take_port(p, raw->metrics_port, "metrics-port", &flags->metrics_port);
}

static const char *const protocol_names[] = {
    [CONFIG_PROTOCOL_HTTP] = "http",   [CONFIG_PROTOCOL_HTTPS] = "https",
    [CONFIG_PROTOCOL_H2C] = "h2c",     [CONFIG_PROTOCOL_GRPC] = "grpc",
    [CONFIG_PROTOCOL_GRPCS] = "grpcs",
};

const char *config_protocol_name(enum config_protocol protocol)
{
    return protocol_names[protocol];
}

/* With --app-ssl a protocol becomes its encrypted form. */
static void apply_app_ssl(struct parser *p, enum config_protocol *protocol)
{
    if (!p->raw.app_ssl)
        return;
    if (*protocol == CONFIG_PROTOCOL_HTTP)
        *protocol = CONFIG_PROTOCOL_HTTPS;
    else if (*protocol == CONFIG_PROTOCOL_GRPC)
        *protocol = CONFIG_PROTOCOL_GRPCS;
    config_note(&p->result->notes, FL_LOG_WARNING, "dapr.runtime",
                "--app-ssl is deprecated; --app-protocol=%s is used", protocol_names[*protocol]);
}

static void finish_protocol(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    struct fl_slice text = p->raw.app_protocol;
    size_t found = text.len ? 5 : 0;
    for (size_t i = 0; i < 5 && text.len; i++)
        if (fl_slice_eq_nocase(text, fl_slice_str(protocol_names[i])))
            found = i;
    if (found == 5) {
        const char *near = config_spelling_nearest(text, protocol_names, 5);
        end_fatal(p,
                  FATAL_FROM_RUNTIME "invalid value for 'app-protocol': %.*s (accepted: http, "
                                     "https%s%s)",
                  FL_SLICE_ARG(text), near ? "; the nearest known one is " : "", near ? near : "");
        return;
    }
    flags->app_protocol = (enum config_protocol)found;
    apply_app_ssl(p, &flags->app_protocol);
    if (flags->app_port && flags->app_protocol > CONFIG_PROTOCOL_HTTPS)
        end_fatal(p,
                  FATAL_FROM_RUNTIME "invalid value for 'app-protocol': %s: applications over "
                                     "HTTP/2 are not served by this version; accepted: http, https",
                  protocol_names[flags->app_protocol]);
}

static void finish_health(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct raw *raw = &p->raw;
    int64_t interval = raw->probe_interval > 0 ? raw->probe_interval : 5;
    int64_t most = INT64_MAX / 2000;
    flags->has_app_health_check = raw->has_health_check;
    flags->app_health_probe_interval_ms = (interval < most ? interval : most) * 1000;
    flags->app_health_probe_timeout_ms = raw->probe_timeout > 0 ? raw->probe_timeout : 500;
    flags->app_health_threshold = raw->threshold < 1 ? 3 : raw->threshold;
    flags->app_health_check_path = raw->health_path;
    if (raw->health_path.len == 0 || raw->health_path.data[0] != '/')
        flags->app_health_check_path = fl_slice_str(
            fl_arena_printf(&p->result->arena, "/%.*s", FL_SLICE_ARG(raw->health_path)));
    if (flags->app_health_probe_timeout_ms > flags->app_health_probe_interval_ms)
        end_fatal(p, FATAL_FROM_RUNTIME "value for 'health-probe-timeout' must be smaller than "
                                        "'health-probe-interval'");
}

static void finish_init_endpoints(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    for (size_t i = 0; i < p->raw.disable_init.count; i++) {
        struct fl_slice name = fl_slice_trim(p->raw.disable_init.items[i]);
        if (fl_slice_eq_nocase(name, FL_SLICE_LIT("config")))
            flags->skips_config_endpoint = true;
        else if (fl_slice_eq_nocase(name, FL_SLICE_LIT("subscribe")))
            flags->skips_subscribe_endpoint = true;
        else
            end_fatal(p,
                      FATAL_FROM_RUNTIME "invalid value for --disable-init-endpoints: \"%.*s\"; "
                                         "accepted: config, subscribe",
                      FL_SLICE_ARG(name));
    }
}

static void finish_app(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct raw *raw = &p->raw;
    flags->app_id = raw->app_id;
    flags->app_channel_address =
        raw->app_channel_address.len ? raw->app_channel_address : FL_SLICE_LIT("127.0.0.1");
    flags->app_max_concurrency = raw->app_max_concurrency;
    if (raw->app_id.len == 0)
        end_fatal(p, FATAL_FROM_RUNTIME "parameter app-id cannot be empty");
    else if (fl_slice_find_byte(raw->app_id, '.') < raw->app_id.len)
        end_fatal(p, FATAL_FROM_RUNTIME "parameter app-id cannot contain dots");
    take_optional_port(p, raw->app_port, "app-port", &flags->app_port);
    finish_protocol(p);
    finish_health(p);
    finish_init_endpoints(p);
}

/* -1 is the default, anything else that is not positive means no limit; the old flag counts in MB
 * and only when the new one is not there. */
static void finish_body_limit(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const int64_t fallback = 4 << 20;
    int64_t bytes = fallback;
    if (is_given(p, "max-body-size") || !is_given(p, "dapr-http-max-request-size"))
        take_size(p, p->raw.max_body, "max-body-size", &bytes);
    else if (p->raw.old_max_body < 0 || p->raw.old_max_body > INT64_MAX >> 20)
        bytes = p->raw.old_max_body < 0 ? p->raw.old_max_body : 0;
    else
        bytes = p->raw.old_max_body * (1 << 20);
    flags->max_body_bytes = bytes == -1 ? fallback : bytes < 0 ? 0 : bytes;
}

static void finish_read_buffer(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const int64_t fallback = 4096, most = 1 << 30;
    int64_t bytes = fallback;
    if (is_given(p, "read-buffer-size") || !is_given(p, "dapr-http-read-buffer-size"))
        take_size(p, p->raw.read_buffer, "read-buffer-size", &bytes);
    else if (p->raw.old_read_buffer > 0)
        bytes = p->raw.old_read_buffer < most / 1024 ? p->raw.old_read_buffer * 1024 : most;
    flags->read_buffer_bytes = bytes <= 0 ? fallback : bytes < most ? bytes : most;
}

static void refuse_equal_ports(struct parser *p, uint16_t api, const char *name)
{
    if (api == p->result->flags.app_port)
        end_fatal(p, FATAL_FROM_RUNTIME "the '%s' argument value %u conflicts with 'app-port'",
                  name, api);
}

static void finish_listen_addresses(struct parser *p)
{
    struct config_list all = {0}, *kept = &p->result->flags.listen_addresses;
    append_list(&p->result->arena, p->raw.listen_addresses, &all);
    kept->items = all.items;
    for (size_t i = 0; i < all.count; i++) {
        struct fl_slice address = fl_slice_trim(all.items[i]);
        if (address.len)
            kept->items[kept->count++] = fl_arena_copy(&p->result->arena, address);
    }
}

static void finish_api(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct raw *raw = &p->raw;
    take_port(p, raw->http_port, "dapr-http-port", &flags->http_port);
    take_port(p, raw->grpc_port, "dapr-grpc-port", &flags->grpc_port);
    take_optional_port(p, raw->public_port, "dapr-public-port", &flags->public_port);
    refuse_equal_ports(p, flags->http_port, "dapr-http-port");
    refuse_equal_ports(p, flags->grpc_port, "dapr-grpc-port");
    finish_listen_addresses(p);
    finish_body_limit(p);
    finish_read_buffer(p);
    flags->public_listen_address = raw->public_listen_address;
    flags->unix_domain_socket = raw->unix_domain_socket;
    flags->allowed_origins = raw->allowed_origins;
    flags->reuse_port = raw->reuse_port;
    flags->max_connections = raw->max_connections;
    if (raw->max_connections < 1)
        end_fatal(p,
                  FATAL_FLAGS "invalid value for --max-connections: found \"%lld\"; accepted: an "
                              "integer of at least 1",
                  (long long)raw->max_connections);
}

static void finish_mode(struct parser *p)
{
    struct fl_slice mode = p->raw.mode;
    if (fl_slice_eq_str(mode, "kubernetes"))
        end_fatal(p, FATAL_FROM_RUNTIME
                  "invalid mode: kubernetes: resources from an operator are not served by this "
                  "version; accepted: standalone, with the resources as files");
    else if (!fl_slice_eq_str(mode, "standalone"))
        end_fatal(p, FATAL_FROM_RUNTIME "invalid mode: %.*s", FL_SLICE_ARG(mode));
    if (p->raw.mtls)
        end_fatal(p, FATAL_FROM_RUNTIME
                  "--enable-mtls=true is refused: there is no certificate authority and no traffic "
                  "between sidecars here, so nothing would be encrypted; accepted: "
                  "--enable-mtls=false");
}

static void finish_resources(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    flags->resources_paths = p->raw.resources_paths;
    flags->config_files = p->raw.config_files;
    flags->is_strict = p->raw.strict;
    if (flags->resources_paths.count == 0 && p->raw.components_path.len) {
        struct fl_slice *one = FL_ARENA_NEW(&p->result->arena, struct fl_slice);
        *one = p->raw.components_path;
        flags->resources_paths = (struct config_list){one, 1};
    }
}

static void finish_life(struct parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct raw *raw = &p->raw;
    const int64_t most_seconds = INT64_C(10) * 366 * 86400;
    int64_t seconds = raw->graceful_seconds < 0 ? 5 : raw->graceful_seconds;
    flags->graceful_shutdown_ms =
        seconds == 0 ? -1 : (seconds < most_seconds ? seconds : most_seconds) * 1000;
    flags->has_block_shutdown = is_given(p, "dapr-block-shutdown-duration");
    flags->block_shutdown_ms = raw->block_ms > 0 ? raw->block_ms : 0;
    flags->publish_wait_ms = raw->publish_wait_ms;
    flags->publish_timeout_ms = raw->publish_timeout_ms;
    take_size(p, raw->max_memory, "max-memory", &flags->max_memory_bytes);
    if (p->result->outcome != CONFIG_EXIT_FATAL && flags->max_memory_bytes < 1 << 20)
        end_fatal(p,
                  FATAL_FLAGS "invalid value for --max-memory: found \"%.*s\"; accepted: a size of "
                              "at least 1Mi",
                  FL_SLICE_ARG(raw->max_memory));
    if (raw->publish_wait_ms < 0 || raw->publish_timeout_ms <= 0)
        end_fatal(
            p,
            FATAL_FLAGS "invalid value for --%s: found %lld ms; accepted: a duration that is "
                        "%s",
            raw->publish_wait_ms < 0 ? "publish-wait" : "publish-timeout",
            (long long)(raw->publish_wait_ms < 0 ? raw->publish_wait_ms : raw->publish_timeout_ms),
            raw->publish_wait_ms < 0 ? "not negative" : "positive");
    if (raw->disseminate_ms <= 0)
        end_fatal(p, FATAL_FLAGS "invalid value for --actors-disseminate-timeout: accepted: a "
                                 "duration that is positive");
}

static bool print_version(struct parser *p, const struct config_build *build)
{
    struct config_flags_result *result = p->result;
    if (!p->raw.version && !p->raw.build_info)
        return false;
    result->outcome = CONFIG_EXIT;
    if (p->raw.version)
        fl_buffer_printf(&result->out, "%s\n", build->version);
    else
        fl_buffer_printf(&result->out, "Version: %s\nGit Commit: %s\nGit Version: %s\n",
                         build->version, build->commit, build->version);
    return true;
}

static void finish(struct parser *p, const struct config_build *build)
{
    if (print_version(p, build))
        return;
    finish_log(p);
    if (p->raw.wait) {
        p->result->flags.is_wait_client = true;
        take_port(p, p->raw.http_port, "dapr-http-port", &p->result->flags.http_port);
        return;
    }
    finish_app(p);
    finish_api(p);
    finish_mode(p);
    finish_resources(p);
    finish_life(p);
}

void config_flags_parse(int argc, char *const *argv, const struct config_build *build,
                        struct config_flags_result *result)
{
    *result = (struct config_flags_result){.outcome = CONFIG_RUN};
    struct parser *p = FL_ARENA_NEW(&result->arena, struct parser);
    p->result = result;
    config_notes_init(&result->notes, &result->arena);
    set_defaults(p);
    if (take_tokens(p, argc, argv))
        finish(p, build);
}

void config_flags_fini(struct config_flags_result *result)
{
    fl_buffer_fini(&result->out);
    fl_buffer_fini(&result->err);
    fl_arena_fini(&result->arena);
    *result = (struct config_flags_result){0};
}

/* --- help ------------------------------------------------------------------------------------- */

static const char *kind_name(enum kind kind)
{
    switch (kind) {
    case KIND_STRING:
        return "string";
    case KIND_INT:
        return "int";
    case KIND_DURATION:
        return "duration";
    case KIND_LIST:
        return "list";
    case KIND_BOOL:
    case KIND_TRISTATE:
        return "";
    }
    return "";
}

static void print_flag(const struct flag *flag, struct fl_buffer *out)
{
    const char *kind = kind_name(flag->kind);
    fl_buffer_printf(out, "  --%s%s%s\n        %s", flag->name, *kind ? " " : "", kind, flag->help);
    if (flag->default_text)
        fl_buffer_printf(out, " (default %s)", flag->default_text);
    if (flag->deprecated)
        fl_buffer_printf(out, " (deprecated: %s)", flag->deprecated);
    fl_buffer_append_byte(out, '\n');
}

void config_flags_print_help(const char *name, struct fl_buffer *out)
{
    fl_buffer_printf(out,
                     "Usage of %s:\n  %s --app-id=ID [--app-port=PORT] "
                     "[--resources-path=FOLDER] [--FLAG[=VALUE] ...]\n",
                     name, name);
    for (int group = 0; group < GROUP_COUNT; group++) {
        fl_buffer_printf(out, "\n%s:\n", group_titles[group]);
        for (size_t i = 0; i < FLAG_COUNT; i++)
            if ((int)flags_table[i].group == group)
                print_flag(&flags_table[i], out);
    }
}

void config_flags_print_markdown(struct fl_buffer *out)
{
    for (int group = 0; group < GROUP_COUNT; group++) {
        fl_buffer_printf(out, "%s## %s\n\n| flag | type | default | meaning |\n|---|---|---|---|\n",
                         group ? "\n" : "", group_titles[group]);
        for (size_t i = 0; i < FLAG_COUNT; i++) {
            const struct flag *flag = &flags_table[i];
            if ((int)flag->group != group)
                continue;
            const char *kind = kind_name(flag->kind);
            fl_buffer_printf(out, "| `--%s` | %s | %s | %s%s%s |\n", flag->name,
                             *kind ? kind : "boolean", flag->default_text ? flag->default_text : "",
                             flag->help, flag->deprecated ? " Deprecated: " : "",
                             flag->deprecated ? flag->deprecated : "");
        }
    }
}
