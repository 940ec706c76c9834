/* Raw values to typed ones: ports, sizes, words and durations as the gateway takes them, and what
 * no flag says from the surroundings: the current folder's name, the folder for data. A mistake
 * here is daprd's exit 1, told as one fatal line. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/flags_priv.h"
#include "config/quantity.h"
#include "config/spelling.h"

static void end_fatal(struct config_parser *p, const char *format, ...) FL_PRINTF(2, 3);

/* The first fatal finding is the one that is told. */
static void end_fatal(struct config_parser *p, const char *format, ...)
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

static bool is_given(const struct config_parser *p, const char *name)
{
    const struct config_flag *flag = config_flags_find(p, fl_slice_str(name));
    return flag && p->given[flag - config_flags_table];
}

static bool is_from_environment(const struct config_parser *p, const char *name)
{
    const struct config_flag *flag = config_flags_find(p, fl_slice_str(name));
    return flag && p->from_environment[flag - config_flags_table] && !is_given(p, name);
}

static void take_port(struct config_parser *p, struct fl_slice text, const char *name,
                      uint16_t *port)
{
    enum fl_err err = config_parse_port(text, port);
    const struct config_flag *flag = config_flags_find(p, fl_slice_str(name));
    bool is_variable = is_from_environment(p, name);
    const char *what = is_variable ? "environment variable" : "flag";
    name = is_variable ? flag->variable : name;
    if (err == FL_ERR_TOO_LARGE)
        end_fatal(p,
                  FATAL_FROM_RUNTIME "error parsing %s %s: found \"%.*s\"; accepted: a port "
                                     "from 0 to 65535",
                  name, what, FL_SLICE_ARG(text));
    else if (err != FL_OK)
        end_fatal(p,
                  FATAL_FROM_RUNTIME
                  "error parsing %s %s: strconv.Atoi: parsing \"%.*s\": invalid syntax",
                  name, what, FL_SLICE_ARG(text));
}

static void take_size(struct config_parser *p, struct fl_slice text, const char *name,
                      int64_t *bytes)
{
    if (config_parse_quantity(text, bytes) != FL_OK)
        end_fatal(p,
                  FATAL_FLAGS "invalid value for --%s: found \"%.*s\"; accepted: a size such as "
                              "512, 64Ki, 4Mi or 16M",
                  name, FL_SLICE_ARG(text));
}

/* One that may be left empty, which is 0. */
static void take_optional_port(struct config_parser *p, struct fl_slice text, const char *name,
                               uint16_t *port)
{
    if (text.len)
        take_port(p, text, name, port);
}

/* How `dapr run` writes a port that nobody chose. */
static bool is_no_port(struct fl_slice text)
{
    return fl_slice_eq_str(text, "-1") || fl_slice_eq_str(text, "0");
}

/* Under `run` a port that no flag gives is the environment's or the default one if that is free,
 * else another: within a `run` the environment has the ports of the outer one. */
static void take_own_port(struct config_parser *p, struct fl_slice text, const char *name,
                          uint16_t *port, bool *is_picked)
{
    *is_picked = p->command == CONFIG_RUN_PROGRAM && (!is_given(p, name) || is_no_port(text));
    if (*is_picked && is_no_port(text))
        text = fl_slice_str(config_flags_find(p, fl_slice_str(name))->default_text);
    take_port(p, text, name, port);
}

static void finish_log(struct config_parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct config_raw_flags *raw = &p->raw;
    flags->log_as_json = raw->log_as_json;
    flags->log_file = raw->log_file;
    flags->api_logging = raw->api_logging;
    flags->has_metrics = raw->enable_metrics;
    flags->metrics_listen_address = raw->metrics_listen_address;
    if (fl_log_parse_level(raw->log_level, &flags->log_level) != FL_OK) {
        flags->log_level = FL_LOG_INFO;
        end_fatal(p, "invalid value for --log-level: %.*s", FL_SLICE_ARG(raw->log_level));
    }
    take_own_port(p, raw->metrics_port, "metrics-port", &flags->metrics_port,
                  &flags->picks_metrics_port);
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
static void apply_app_ssl(struct config_parser *p, enum config_protocol *protocol)
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

static void finish_protocol(struct config_parser *p)
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

static void finish_health(struct config_parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct config_raw_flags *raw = &p->raw;
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

static void finish_init_endpoints(struct config_parser *p)
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

/* The last part of the current folder's name, with what no application id may hold replaced. */
static struct fl_slice app_id_of_folder(struct config_parser *p)
{
    enum { MOST_BYTES = 100 };
    char path[PATH_MAX], *id;
    const char *name = getcwd(path, sizeof path) ? strrchr(path, '/') + 1 : "";
    size_t len = 0;
    id = fl_arena_alloc(&p->result->arena, MOST_BYTES + 1);
    for (; *name && len < MOST_BYTES; name++) {
        bool is_fit = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                      (*name >= '0' && *name <= '9') || *name == '_';
        if (is_fit || len)
            id[len++] = is_fit ? *name : '-';
    }
    while (len && id[len - 1] == '-')
        id[--len] = '\0';
    return len ? fl_slice_of(id, len) : FL_SLICE_LIT("app");
}

static struct fl_slice choose_app_id(struct config_parser *p)
{
    if (p->command == CONFIG_SERVE || p->command == CONFIG_CHECK || p->raw.app_id.len)
        return p->raw.app_id;
    struct fl_slice id = app_id_of_folder(p);
    config_note(&p->result->notes, FL_LOG_INFO, "dapr.runtime",
                "no --app-id: the current folder's name is used, \"%.*s\"", FL_SLICE_ARG(id));
    return id;
}

static void refuse_bad_app_id(struct config_parser *p)
{
    struct fl_slice id = p->result->flags.app_id;
    if (id.len == 0 && p->command != CONFIG_CHECK)
        end_fatal(p, FATAL_FROM_RUNTIME "parameter app-id cannot be empty");
    else if (fl_slice_find_byte(id, '.') < id.len)
        end_fatal(p, FATAL_FROM_RUNTIME "parameter app-id cannot contain dots");
}

static void finish_app(struct config_parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct config_raw_flags *raw = &p->raw;
    flags->app_id = choose_app_id(p);
    flags->app_channel_address =
        raw->app_channel_address.len ? raw->app_channel_address : FL_SLICE_LIT("127.0.0.1");
    flags->app_max_concurrency = raw->app_max_concurrency;
    refuse_bad_app_id(p);
    if (p->command != CONFIG_RUN_PROGRAM || !is_no_port(raw->app_port))
        take_optional_port(p, raw->app_port, "app-port", &flags->app_port);
    finish_protocol(p);
    finish_health(p);
    finish_init_endpoints(p);
}

/* -1 is the default, anything else that is not positive means no limit; the old flag counts in MB
 * and only when the new one is not there. */
static void finish_body_limit(struct config_parser *p)
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

static void finish_read_buffer(struct config_parser *p)
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

static void refuse_equal_ports(struct config_parser *p, uint16_t api, const char *name)
{
    if (api == p->result->flags.app_port)
        end_fatal(p, FATAL_FROM_RUNTIME "the '%s' argument value %u conflicts with 'app-port'",
                  name, api);
}

static void finish_listen_addresses(struct config_parser *p)
{
    struct config_list all = {0}, *kept = &p->result->flags.listen_addresses;
    config_flags_append_list(&p->result->arena, p->raw.listen_addresses, &all);
    kept->items = all.items;
    for (size_t i = 0; i < all.count; i++) {
        struct fl_slice address = fl_slice_trim(all.items[i]);
        if (address.len)
            kept->items[kept->count++] = fl_arena_copy(&p->result->arena, address);
    }
}

static void finish_api(struct config_parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct config_raw_flags *raw = &p->raw;
    take_own_port(p, raw->http_port, "dapr-http-port", &flags->http_port, &flags->picks_http_port);
    take_own_port(p, raw->grpc_port, "dapr-grpc-port", &flags->grpc_port, &flags->picks_grpc_port);
    take_optional_port(p, raw->public_port, "dapr-public-port", &flags->public_port);
    if (!flags->picks_http_port)
        refuse_equal_ports(p, flags->http_port, "dapr-http-port");
    if (!flags->picks_grpc_port)
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

static void finish_mode(struct config_parser *p)
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
    if (p->raw.run_file.len || p->raw.kubernetes)
        end_fatal(
            p, FATAL_FROM_RUNTIME
            "--run-file and --kubernetes are refused: one `fairlead run` runs one application "
            "on this machine; accepted: one command behind the flags");
}

static struct fl_slice absolute(struct fl_arena *arena, struct fl_slice path)
{
    char folder[PATH_MAX];
    if (path.data[0] == '/' || !getcwd(folder, sizeof folder))
        return path;
    return fl_slice_str(
        fl_arena_printf(arena, "%s/%.*s", strcmp(folder, "/") ? folder : "", FL_SLICE_ARG(path)));
}

/* The XDG base directory specification: a path of the environment that is not absolute counts as
 * not set. */
static void finish_data_dir(struct config_parser *p)
{
    struct config_flags *flags = &p->result->flags;
    struct fl_arena *arena = &p->result->arena;
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (p->raw.data_dir.len)
        flags->data_dir = absolute(arena, p->raw.data_dir);
    else if (state && *state == '/')
        flags->data_dir = fl_slice_str(fl_arena_printf(arena, "%s/fairlead", state));
    else if (home && *home == '/')
        flags->data_dir = fl_slice_str(fl_arena_printf(arena, "%s/.local/state/fairlead", home));
}

static void finish_resources(struct config_parser *p)
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
    bool is_for_daprd = p->command == CONFIG_SERVE || p->command == CONFIG_CHECK;
    flags->has_default_component = !is_for_daprd && flags->resources_paths.count == 0;
    finish_data_dir(p);
}

static void finish_life(struct config_parser *p)
{
    struct config_flags *flags = &p->result->flags;
    const struct config_raw_flags *raw = &p->raw;
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

static bool print_version(struct config_parser *p, const struct config_build *build)
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

/* Of what is no gateway. */
static void finish_check(struct config_parser *p)
{
    p->result->flags.app_id = choose_app_id(p);
    refuse_bad_app_id(p);
    finish_resources(p);
}

void config_flags_finish(struct config_parser *p, const struct config_build *build)
{
    if (print_version(p, build))
        return;
    if (p->command >= CONFIG_CHECK) {
        if (p->command == CONFIG_CHECK)
            finish_check(p);
        config_form_finish_tool(p);
        return;
    }
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
    if (p->command == CONFIG_PUBLISH || p->command == CONFIG_PEEK)
        config_form_finish_tool(p);
}
