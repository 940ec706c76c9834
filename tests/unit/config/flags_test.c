/* The command line: what daprd's answers are, outcome by outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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
    fl_buffer_clear(&out);
    config_flags_print_markdown(&out);
    assert_non_null(strstr(fl_buffer_cstr(&out), "| `--publish-wait` | duration | 2s | How long"));
    fl_buffer_fini(&out);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
