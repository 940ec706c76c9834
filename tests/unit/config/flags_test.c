/* The command line: what daprd's answers are, outcome by outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/flags.h"

static const struct config_build build = {"1.2.3", "abc"};

/* At most 12 arguments behind the program's name; NULL ends them. */
static void parse(const char *const *args, struct config_flags_result *result)
{
    char *argv[16] = {(char *)"fairlead"};
    int argc = 1;
    for (; *args; args++)
        argv[argc++] = (char *)*args;
    config_flags_parse(argc, argv, &build, result);
}

#define PARSE(result, ...) parse((const char *const[]){__VA_ARGS__, NULL}, result)
#define ID "--app-id=held"

static void defaults_are_daprds(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, ID);
    const struct config_flags *f = &r.flags;
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_string_equal(f->app_id.data, "held");
    assert_int_equal(f->app_port, 0);
    assert_int_equal(f->app_protocol, CONFIG_PROTOCOL_HTTP);
    assert_string_equal(f->app_channel_address.data, "127.0.0.1");
    assert_int_equal(f->app_max_concurrency, -1);
    assert_int_equal(f->app_health_probe_interval_ms, 5000);
    assert_int_equal(f->app_health_probe_timeout_ms, 500);
    assert_int_equal(f->app_health_threshold, 3);
    assert_string_equal(f->app_health_check_path.data, "/healthz");
    assert_int_equal(f->http_port, 3500);
    assert_int_equal(f->grpc_port, 50001);
    assert_int_equal(f->listen_addresses.count, 0);
    assert_int_equal(f->public_port, 0);
    assert_int_equal(f->max_body_bytes, 4 << 20);
    assert_int_equal(f->read_buffer_bytes, 4096);
    assert_int_equal(f->max_connections, 10000);
    assert_int_equal(f->log_level, FL_LOG_INFO);
    assert_int_equal(f->api_logging, CONFIG_UNSET);
    assert_true(f->has_metrics);
    assert_int_equal(f->metrics_port, 9090);
    assert_string_equal(f->metrics_listen_address.data, "0.0.0.0");
    assert_int_equal(f->graceful_shutdown_ms, 5000);
    assert_false(f->has_block_shutdown);
    assert_int_equal(f->max_memory_bytes, 256 << 20);
    assert_int_equal(f->publish_wait_ms, 2000);
    assert_int_equal(f->publish_timeout_ms, 30000);
    assert_int_equal(r.without_effect.count, 0);
    assert_int_equal(r.err.len, 0);
    config_flags_fini(&r);
}

static void every_form_of_writing_works(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "-app-id", "held", "stray", "--app-port", "80", "-dapr-http-port=81", "--strict",
          "--enable-metrics=f", "--resources-path=a,b", "--resources-path", "c");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.app_port, 80);
    assert_int_equal(r.flags.http_port, 81);
    assert_true(r.flags.is_strict);
    assert_false(r.flags.has_metrics);
    assert_int_equal(r.flags.resources_paths.count, 3);
    assert_string_equal(r.flags.resources_paths.items[2].data, "c");
    config_flags_fini(&r);
    PARSE(&r, ID, "--log-as-json", "false", "--", "--no-such-flag");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_true(r.flags.log_as_json);
    config_flags_fini(&r);
}

struct usage_case {
    const char *args[3];
    const char *message;
};

static void bad_usage_is_exit_2(void **state)
{
    (void)state;
    static const struct usage_case cases[] = {
        {{"--nothing"}, "unknown flag: --nothing\n"},
        {{"--nothing=x"}, "unknown flag: --nothing\n"},
        {{"-v"}, "unknown shorthand flag: 'v' in -v\n"},
        {{"--app-id"}, "flag needs an argument: --app-id\n"},
        {{"--=x"}, "bad flag syntax: --=x\n"},
        {{"---x"}, "bad flag syntax: ---x\n"},
        {{"--help"}, "pflag: help requested\n"},
        {{"-h"}, "pflag: help requested\n"},
        {{"-help"}, "pflag: help requested\n"},
        {{"--app-max-concurrency=x"},
         "invalid argument \"x\" for \"--app-max-concurrency\" flag: strconv.ParseInt: parsing "
         "\"x\": invalid syntax\n"},
        {{"--app-max-concurrency", "-10"},
         "invalid argument \"--10\" for \"--app-max-concurrency\" flag: strconv.ParseInt: parsing "
         "\"--10\": invalid syntax\n"},
        {{"--app-health-threshold=99999999999999999999"},
         "invalid argument \"99999999999999999999\" for \"--app-health-threshold\" flag: "
         "strconv.ParseInt: parsing \"99999999999999999999\": value out of range\n"},
        {{"--enable-metrics=maybe"},
         "invalid argument \"maybe\" for \"--enable-metrics\" flag: strconv.ParseBool: parsing "
         "\"maybe\": invalid syntax\n"},
        {{"--enable-api-logging=x"},
         "invalid argument \"x\" for \"--enable-api-logging\" flag: strconv.ParseBool: parsing "
         "\"x\": invalid syntax\n"},
        {{"--dapr-block-shutdown-duration=soon"},
         "invalid argument \"soon\" for \"--dapr-block-shutdown-duration\" flag: time: invalid "
         "duration \"soon\"\n"},
        {{"--publish-wait=5"},
         "invalid argument \"5\" for \"--publish-wait\" flag: time: missing unit in duration "
         "\"5\"\n"},
        {{"--app-binding-options-timeout=3s"}, "unknown flag: --app-binding-options-timeout\n"},
        {{"--hot-reload-reconcile-interval=3s"}, "unknown flag: --hot-reload-reconcile-interval\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_flags_result r;
        parse((const char *const[]){cases[i].args[0], cases[i].args[1], NULL}, &r);
        assert_int_equal(r.outcome, CONFIG_EXIT);
        assert_int_equal(r.status, 2);
        assert_string_equal(fl_buffer_cstr(&r.out), cases[i].message);
        assert_memory_equal(fl_buffer_cstr(&r.err), cases[i].message, strlen(cases[i].message));
        assert_non_null(strstr(fl_buffer_cstr(&r.err), "Usage of fairlead:"));
        config_flags_fini(&r);
    }
}

static void a_near_miss_is_named_on_standard_error(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "--app-prot=5");
    assert_non_null(strstr(fl_buffer_cstr(&r.err), "The nearest known flag is --app-port\n"));
    assert_string_equal(fl_buffer_cstr(&r.out), "unknown flag: --app-prot\n");
    config_flags_fini(&r);
}

struct fatal_case {
    const char *args[4];
    const char *message;
};

#define RUNTIME "Fatal error from runtime: "

static void wrong_values_are_exit_1(void **state)
{
    (void)state;
    static const struct fatal_case cases[] = {
        {{"--mode=standalone"}, RUNTIME "parameter app-id cannot be empty"},
        {{"--app-id="}, RUNTIME "parameter app-id cannot be empty"},
        {{"--app-id=a.b"}, RUNTIME "parameter app-id cannot contain dots"},
        {{ID, "--log-level=loud"}, "invalid value for --log-level: loud"},
        {{ID, "--app-port=x"},
         RUNTIME "error parsing app-port flag: strconv.Atoi: parsing \"x\": invalid syntax"},
        {{ID, "--dapr-http-port=abc"},
         RUNTIME
         "error parsing dapr-http-port flag: strconv.Atoi: parsing \"abc\": invalid syntax"},
        {{ID, "--dapr-http-port="},
         RUNTIME "error parsing dapr-http-port flag: strconv.Atoi: parsing \"\": invalid syntax"},
        {{ID, "--metrics-port=70000"},
         RUNTIME "error parsing metrics-port flag: found \"70000\"; accepted: a port from 0 to "
                 "65535"},
        {{ID, "--app-port=3500"},
         RUNTIME "the 'dapr-http-port' argument value 3500 conflicts with 'app-port'"},
        {{ID, "--app-port=50001"},
         RUNTIME "the 'dapr-grpc-port' argument value 50001 conflicts with 'app-port'"},
        {{ID, "--dapr-grpc-port=0"},
         RUNTIME "the 'dapr-grpc-port' argument value 0 conflicts with 'app-port'"},
        {{ID, "--app-protocol=htp"},
         RUNTIME "invalid value for 'app-protocol': htp (accepted: http, https; the nearest known "
                 "one is http)"},
        {{ID, "--app-protocol=GRPC", "--app-port=1"},
         RUNTIME "invalid value for 'app-protocol': grpc: applications over HTTP/2 are not served "
                 "by this version; accepted: http, https"},
        {{ID, "--app-protocol=h2c", "--app-port=1"},
         RUNTIME "invalid value for 'app-protocol': h2c: applications over HTTP/2 are not served "
                 "by this version; accepted: http, https"},
        {{ID, "--max-body-size=huge"},
         "Failed to parse flags: invalid value for --max-body-size: found \"huge\"; accepted: a "
         "size such as 512, 64Ki, 4Mi or 16M"},
        {{ID, "--read-buffer-size=x"},
         "Failed to parse flags: invalid value for --read-buffer-size: found \"x\"; accepted: a "
         "size such as 512, 64Ki, 4Mi or 16M"},
        {{ID, "--max-memory=1Ki"},
         "Failed to parse flags: invalid value for --max-memory: found \"1Ki\"; accepted: a size "
         "of at least 1Mi"},
        {{ID, "--max-connections=0"},
         "Failed to parse flags: invalid value for --max-connections: found \"0\"; accepted: an "
         "integer of at least 1"},
        {{ID, "--publish-timeout=0s"},
         "Failed to parse flags: invalid value for --publish-timeout: found 0 ms; accepted: a "
         "duration that is positive"},
        {{ID, "--actors-disseminate-timeout=0s"},
         "Failed to parse flags: invalid value for --actors-disseminate-timeout: accepted: a "
         "duration that is positive"},
        {{ID, "--app-health-probe-timeout=9000", "--app-health-probe-interval=1"},
         RUNTIME "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'"},
        {{ID, "--disable-init-endpoints=odd"},
         RUNTIME "invalid value for --disable-init-endpoints: \"odd\"; accepted: config, "
                 "subscribe"},
        {{ID, "--mode=cloud"}, RUNTIME "invalid mode: cloud"},
        {{ID, "--mode=kubernetes"},
         RUNTIME "invalid mode: kubernetes: resources from an operator are not served by this "
                 "version; accepted: standalone, with the resources as files"},
        {{ID, "--enable-mtls"},
         RUNTIME "--enable-mtls=true is refused: there is no certificate authority and no traffic "
                 "between sidecars here, so nothing would be encrypted; accepted: "
                 "--enable-mtls=false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_flags_result r;
        parse(cases[i].args, &r);
        assert_int_equal(r.outcome, CONFIG_EXIT_FATAL);
        assert_int_equal(r.status, 1);
        assert_string_equal(r.fatal, cases[i].message);
        config_flags_fini(&r);
    }
}

static void accepted_values_are_understood(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "--app-id=a b/c", "--app-protocol=", "--log-level=WARN", "--max-body-size=0",
          "--read-buffer-size=64Ki", "--dapr-listen-addresses=127.0.0.1, ::1,",
          "--dapr-graceful-shutdown-seconds=0", "--dapr-block-shutdown-duration=90s",
          "--enable-api-logging=false", "--disable-init-endpoints= Config ,SUBSCRIBE",
          "--app-health-check-path=x");
    const struct config_flags *f = &r.flags;
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(f->app_protocol, CONFIG_PROTOCOL_HTTP);
    assert_int_equal(f->log_level, FL_LOG_WARNING);
    assert_int_equal(f->max_body_bytes, 0);
    assert_int_equal(f->read_buffer_bytes, 65536);
    assert_int_equal(f->listen_addresses.count, 2);
    assert_string_equal(f->listen_addresses.items[1].data, "::1");
    assert_int_equal(f->graceful_shutdown_ms, -1);
    assert_true(f->has_block_shutdown);
    assert_int_equal(f->block_shutdown_ms, 90000);
    assert_int_equal(f->api_logging, CONFIG_FALSE);
    assert_true(f->skips_config_endpoint && f->skips_subscribe_endpoint);
    assert_string_equal(f->app_health_check_path.data, "/x");
    config_flags_fini(&r);
}

static void sizes_follow_the_old_flags_too(void **state)
{
    (void)state;
    static const struct {
        const char *args[4];
        int64_t body, head;
    } cases[] = {
        {{ID, "--max-body-size=-1"}, 4 << 20, 4096},
        {{ID, "--max-body-size=-2"}, 0, 4096},
        {{ID, "--max-body-size=1k"}, 1000, 4096},
        {{ID, "--dapr-http-max-request-size=1"}, 1 << 20, 4096},
        {{ID, "--dapr-http-max-request-size=-1"}, 4 << 20, 4096},
        {{ID, "--dapr-http-max-request-size=0"}, 0, 4096},
        {{ID, "--max-body-size=1Ki", "--dapr-http-max-request-size=2"}, 1024, 4096},
        {{ID, "--dapr-http-read-buffer-size=16"}, 4 << 20, 16384},
        {{ID, "--dapr-http-read-buffer-size=-1"}, 4 << 20, 4096},
        {{ID, "--read-buffer-size=1Ki", "--dapr-http-read-buffer-size=16"}, 4 << 20, 1024},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_flags_result r;
        parse(cases[i].args, &r);
        assert_int_equal(r.outcome, CONFIG_RUN);
        assert_int_equal(r.flags.max_body_bytes, cases[i].body);
        assert_int_equal(r.flags.read_buffer_bytes, cases[i].head);
        config_flags_fini(&r);
    }
}

static void deprecated_flags_work_and_say_so(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, ID, "--app-ssl", "--components-path=x", "--components-path=y");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.app_protocol, CONFIG_PROTOCOL_HTTPS);
    assert_string_equal(r.flags.resources_paths.items[0].data, "y");
    assert_string_equal(
        fl_buffer_cstr(&r.err),
        "Flag --app-ssl has been deprecated, use --app-protocol=https instead\n"
        "Flag --components-path has been deprecated, use --resources-path instead\n");
    assert_int_equal(r.notes.count, 1);
    config_flags_fini(&r);
}

static void flags_of_absent_parts_are_listed(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, ID, "--placement-host-address=", "--scheduler-host-address=a:1",
          "--scheduler-host-address=b:1", "--sentry-address=x:1", "--enable-mtls=false",
          "--enable-profiling=false", "--app-ssl=false", "--actors-service=");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.without_effect.count, 2);
    assert_string_equal(r.without_effect.items[0].data, "scheduler-host-address");
    assert_string_equal(r.without_effect.items[1].data, "sentry-address");
    config_flags_fini(&r);
}

static void version_and_build_info_end_well(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "--version");
    assert_int_equal(r.outcome, CONFIG_EXIT);
    assert_int_equal(r.status, 0);
    assert_string_equal(fl_buffer_cstr(&r.out), "1.2.3\n");
    config_flags_fini(&r);
    PARSE(&r, "--build-info");
    assert_int_equal(r.status, 0);
    assert_string_equal(fl_buffer_cstr(&r.out),
                        "Version: 1.2.3\nGit Commit: abc\nGit Version: 1.2.3\n");
    config_flags_fini(&r);
}

static void waiting_needs_no_application(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "--wait", "--dapr-http-port=81");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_true(r.flags.is_wait_client);
    assert_int_equal(r.flags.http_port, 81);
    config_flags_fini(&r);
}

static void help_names_groups_defaults_and_what_has_no_effect(void **state)
{
    (void)state;
    struct fl_buffer out = {0};
    config_flags_print_help("fairlead", &out);
    const char *text = fl_buffer_cstr(&out);
    static const char *const parts[] = {
        "\nThe application:\n",
        "\nAccepted, without effect in this version:\n  --dapr-grpc-port string\n",
        "confirmation, and unsettled deliveries. (default 256Mi)\n",
        "(deprecated: use --max-body-size instead)\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(strstr(text, parts[i]));
    assert_null(strstr(text, "--lines"));
    fl_buffer_clear(&out);
    config_flags_print_markdown(&out);
    assert_non_null(strstr(fl_buffer_cstr(&out), "| `--publish-wait` | duration | 2s | How long"));
    fl_buffer_fini(&out);
}

/* --- subcommands ------------------------------------------------------------------------------ */

static void an_unknown_command_names_the_nearest(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "rnu");
    assert_int_equal(r.outcome, CONFIG_EXIT);
    assert_int_equal(r.status, 2);
    assert_non_null(strstr(fl_buffer_cstr(&r.err), "unknown command \"rnu\"; the nearest known one "
                                                   "is run\n"));
    config_flags_fini(&r);
    PARSE(&r, "help", "peak");
    assert_int_equal(r.status, 2);
    assert_non_null(strstr(fl_buffer_cstr(&r.err), "the nearest known one is peek\n"));
    config_flags_fini(&r);
}

static void help_and_version_are_words_too(void **state)
{
    (void)state;
    static const struct {
        const char *args[3], *text;
    } cases[] = {
        {{"help"}, "  fairlead publish [FLAGS] TOPIC [DATA | -]\n"},
        {{"help", "run"}, "fairlead run [FLAGS] [--] [COMMAND [ARGUMENT ...]]\n"},
        {{"run", "--help"}, "  -p, --app-port string\n"},
        {{"publish", "-h"}, "  -n, --lines\n"},
        {{"peek", "-help"}, "  -n, --count int\n"},
        {{"version"}, "Fairlead 1.2.3, commit abc\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_flags_result r;
        parse((const char *const[]){cases[i].args[0], cases[i].args[1], NULL}, &r);
        assert_int_equal(r.outcome, CONFIG_EXIT);
        assert_int_equal(r.status, 0);
        assert_int_equal(r.err.len, 0);
        assert_non_null(strstr(fl_buffer_cstr(&r.out), cases[i].text));
        config_flags_fini(&r);
    }
}

static void run_has_defaults_of_its_own(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "run");
    const struct config_flags *f = &r.flags;
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(f->command, CONFIG_RUN_PROGRAM);
    assert_true(f->app_id.len > 0);
    assert_true(f->has_default_component);
    assert_null(f->program);
    assert_true(f->picks_http_port && f->picks_grpc_port && f->picks_metrics_port);
    assert_int_equal(f->http_port, 3500);
    assert_int_equal(f->metrics_port, 9090);
    assert_int_equal(f->listen_addresses.count, 1);
    assert_string_equal(f->listen_addresses.items[0].data, "127.0.0.1");
    assert_string_equal(f->metrics_listen_address.data, "127.0.0.1");
    assert_int_equal(r.notes.count, 1);
    config_flags_fini(&r);
}

static void run_takes_short_forms_and_a_command(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "run", "-a", "held", "-p3000", "-H=3600", "--metrics-port=-1", "-d", "x", "--", "app",
          "--app-port");
    const struct config_flags *f = &r.flags;
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_string_equal(f->app_id.data, "held");
    assert_int_equal(f->app_port, 3000);
    assert_int_equal(f->http_port, 3600);
    assert_false(f->picks_http_port);
    assert_true(f->picks_metrics_port);
    assert_false(f->has_default_component);
    assert_string_equal(f->program[0], "app");
    assert_string_equal(f->program[1], "--app-port");
    assert_null(f->program[2]);
    config_flags_fini(&r);
    PARSE(&r, "run", "-app-id", "held", "--app-port", "3500", "app", "-p", "1");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.app_port, 3500);
    assert_string_equal(r.flags.program[2], "1");
    config_flags_fini(&r);
}

static void publish_and_peek_take_arguments(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "publish", "-q", "orders", "a b", "-m", "a=1,2", "--id=x", "-p", "bus");
    const struct config_tool_flags *tool = &r.flags.tool;
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.command, CONFIG_PUBLISH);
    assert_int_equal(r.flags.log_level, FL_LOG_FATAL);
    assert_string_equal(tool->topic.data, "orders");
    assert_string_equal(tool->data.data, "a b");
    assert_string_equal(tool->pubsub.data, "bus");
    assert_true(tool->is_quiet && !tool->by_line);
    assert_int_equal(tool->metadata.count, 2);
    assert_string_equal(tool->metadata.items[0].value.data, "1,2");
    assert_string_equal(tool->metadata.items[1].name.data, "cloudevent.id");
    config_flags_fini(&r);
    PARSE(&r, "publish", "-nq", "orders");
    assert_true(tool->is_quiet && tool->by_line && fl_slice_is_null(tool->data));
    config_flags_fini(&r);
    PARSE(&r, "publish", "orders", "-");
    assert_true(fl_slice_is_null(tool->data));
    config_flags_fini(&r);
    PARSE(&r, "peek", "orders", "-n", "3", "-g", "them");
    assert_string_equal(tool->group.data, "them");
    assert_int_equal(tool->count, 3);
    config_flags_fini(&r);
}

static void mistakes_in_subcommands_are_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *args[4], *text;
        int status;
    } cases[] = {
        {{"run", "--app-prt=1"}, "fairlead run: unknown flag: --app-prt\nThe nearest", 2},
        {{"run", "-x"}, "fairlead run: unknown shorthand flag: 'x' in -x\n", 2},
        {{"run", "--lines"}, "fairlead run: unknown flag: --lines\n", 2},
        {{"run", "--app-port"}, "fairlead run: flag needs an argument: --app-port\n", 2},
        {{"publish"}, "fairlead publish: which topic? none is named\n", 1},
        {{"publish", "a", "b", "c"}, "fairlead publish: one argument too many: c\n", 1},
        {{"publish", "a", "b", "-n"}, "fairlead publish: --lines reads standard input", 1},
        {{"publish", "-m", "a"},
         "fairlead publish: invalid argument \"a\" for \"--metadata\" flag: accepted: KEY=VALUE\n",
         1},
        {{"peek", "a", "b"}, "fairlead peek: one argument too many: b\n", 2},
        {{"peek", "a", "-n0"}, "fairlead peek: --count is at least 1\n", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_flags_result r;
        parse((const char *const[]){cases[i].args[0], cases[i].args[1], cases[i].args[2],
                                    cases[i].args[3], NULL},
              &r);
        assert_int_equal(r.outcome, CONFIG_EXIT);
        assert_int_equal(r.status, cases[i].status);
        assert_int_equal(r.out.len, 0);
        assert_memory_equal(fl_buffer_cstr(&r.err), cases[i].text, strlen(cases[i].text));
        config_flags_fini(&r);
    }
}

static void an_id_made_of_a_folders_name_is_a_valid_one(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *id;
    } cases[] = {{"my.shop v2", "my-shop-v2"}, {"..a..", "a"}, {"_x", "_x"}, {"+++", "app"}};
    char scratch[] = "/tmp/flags_test_XXXXXX", path[64], former[4096];
    assert_non_null(getcwd(former, sizeof former));
    assert_non_null(mkdtemp(scratch));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_flags_result r;
        snprintf(path, sizeof path, "%s/%s", scratch, cases[i].folder);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chdir(path), 0);
        PARSE(&r, "run");
        assert_string_equal(r.flags.app_id.data, cases[i].id);
        config_flags_fini(&r);
        assert_int_equal(rmdir(path), 0);
    }
    assert_int_equal(chdir(former), 0);
    assert_int_equal(rmdir(scratch), 0);
}

static void the_folder_for_data_is_absolute(void **state)
{
    (void)state;
    struct config_flags_result r;
    setenv("HOME", "/home/x", 1);
    setenv("XDG_STATE_HOME", "relative", 1);
    PARSE(&r, ID);
    assert_string_equal(r.flags.data_dir.data, "/home/x/.local/state/fairlead");
    config_flags_fini(&r);
    setenv("XDG_STATE_HOME", "/state", 1);
    PARSE(&r, ID);
    assert_string_equal(r.flags.data_dir.data, "/state/fairlead");
    assert_false(r.flags.has_default_component);
    config_flags_fini(&r);
    PARSE(&r, ID, "--data-dir=here");
    assert_int_equal(r.flags.data_dir.data[0], '/');
    assert_non_null(strstr(r.flags.data_dir.data, "/here"));
    config_flags_fini(&r);
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    PARSE(&r, ID);
    assert_true(fl_slice_is_null(r.flags.data_dir));
    config_flags_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_daprds),
        cmocka_unit_test(every_form_of_writing_works),
        cmocka_unit_test(bad_usage_is_exit_2),
        cmocka_unit_test(a_near_miss_is_named_on_standard_error),
        cmocka_unit_test(wrong_values_are_exit_1),
        cmocka_unit_test(accepted_values_are_understood),
        cmocka_unit_test(sizes_follow_the_old_flags_too),
        cmocka_unit_test(deprecated_flags_work_and_say_so),
        cmocka_unit_test(flags_of_absent_parts_are_listed),
        cmocka_unit_test(version_and_build_info_end_well),
        cmocka_unit_test(waiting_needs_no_application),
        cmocka_unit_test(help_names_groups_defaults_and_what_has_no_effect),
        cmocka_unit_test(an_unknown_command_names_the_nearest),
        cmocka_unit_test(help_and_version_are_words_too),
        cmocka_unit_test(run_has_defaults_of_its_own),
        cmocka_unit_test(run_takes_short_forms_and_a_command),
        cmocka_unit_test(publish_and_peek_take_arguments),
        cmocka_unit_test(mistakes_in_subcommands_are_one_line),
        cmocka_unit_test(an_id_made_of_a_folders_name_is_a_valid_one),
        cmocka_unit_test(the_folder_for_data_is_absolute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
