/* The subcommands that run no gateway, the name daprd, and what the environment says under `run`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "config/flags.h"

static const struct config_build build = {"1.2.3", "abc"};

/* The program's name and at most 12 arguments; NULL ends them. */
static void parse(const char *const *args, struct config_flags_result *result)
{
    char *argv[16] = {0};
    int argc = 0;
    for (; *args; args++)
        argv[argc++] = (char *)*args;
    config_flags_parse(argc, argv, &build, result);
}

#define PARSE(result, ...) parse((const char *const[]){__VA_ARGS__, NULL}, result)
#define FAIRLEAD(result, ...) PARSE(result, "fairlead", __VA_ARGS__)

static bool holds(const struct fl_buffer *buffer, const char *text)
{
    return buffer->len && memmem(buffer->data, buffer->len, text, strlen(text));
}

static const char *const variables[] = {"APP_ID", "APP_PORT", "DAPR_HTTP_PORT", "DAPR_GRPC_PORT",
                                        "DAPR_METRICS_PORT"};

static int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    return 0;
}

/* --- the name --------------------------------------------------------------------------------- */

static void under_the_name_daprd_words_are_ignored(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "/opt/bin/daprd", "run", "--app-id", "a");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.command, CONFIG_SERVE);
    assert_true(r.flags.is_called_daprd);
    assert_string_equal(r.flags.app_id.data, "a");
    config_flags_fini(&r);
    PARSE(&r, "daprd", "--version");
    assert_int_equal(r.outcome, CONFIG_EXIT);
    assert_int_equal(r.status, 0);
    assert_true(fl_slice_eq_str(fl_buffer_slice(&r.out), "1.2.3\n"));
    config_flags_fini(&r);
}

static void another_name_that_ends_in_daprd_is_not_it(void **state)
{
    (void)state;
    struct config_flags_result r;
    PARSE(&r, "/opt/daprd/fairlead-daprd", "run");
    assert_false(r.flags.is_called_daprd);
    assert_int_equal(r.flags.command, CONFIG_RUN_PROGRAM);
    config_flags_fini(&r);
}

/* What `dapr run` puts on the command line of its runtime. */
static void the_arguments_of_dapr_run_are_accepted(void **state)
{
    (void)state;
    struct config_flags_result r;
    char *argv[] = {(char *)"/h/.dapr/bin/daprd",
                    (char *)"--app-protocol",
                    (char *)"http",
                    (char *)"--log-level",
                    (char *)"info",
                    (char *)"--app-max-concurrency",
                    (char *)"-1",
                    (char *)"--placement-host-address",
                    (char *)"localhost:50005",
                    (char *)"--resources-path",
                    (char *)"/h/.dapr/components",
                    (char *)"--max-body-size",
                    (char *)"-1",
                    (char *)"--read-buffer-size",
                    (char *)"4Ki",
                    (char *)"--app-id",
                    (char *)"orders",
                    (char *)"--app-port",
                    (char *)"0",
                    (char *)"--dapr-http-port",
                    (char *)"3501",
                    (char *)"--dapr-grpc-port",
                    (char *)"40001",
                    (char *)"--profile-port",
                    (char *)"-1",
                    (char *)"--metrics-port",
                    (char *)"40002",
                    (char *)"--dapr-internal-grpc-port",
                    (char *)"40003",
                    (char *)"--enable-app-health-check",
                    NULL};
    config_flags_parse(sizeof argv / sizeof *argv - 1, argv, &build, &r);
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.app_port, 0);
    assert_int_equal(r.flags.http_port, 3501);
    assert_int_equal(r.flags.grpc_port, 40001);
    assert_int_equal(r.flags.max_body_bytes, 4 << 20);
    assert_true(r.flags.has_app_health_check);
    config_flags_fini(&r);
}

/* --- check, options, completion --------------------------------------------------------------- */

static void check_takes_folders_and_no_application(void **state)
{
    (void)state;
    struct config_flags_result r;
    FAIRLEAD(&r, "check", "-d", "a", "b,c", "--config=x.yaml", "--json");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.command, CONFIG_CHECK);
    assert_int_equal(r.flags.resources_paths.count, 2);
    assert_string_equal(r.flags.resources_paths.items[0].data, "a");
    assert_string_equal(r.flags.resources_paths.items[1].data, "b,c");
    assert_int_equal(r.flags.config_files.count, 1);
    assert_int_equal(r.flags.app_id.len, 0);
    assert_true(r.flags.tool.as_json);
    assert_false(r.flags.has_default_component);
    config_flags_fini(&r);
}

static void check_needs_something_to_look_at(void **state)
{
    (void)state;
    struct config_flags_result r;
    FAIRLEAD(&r, "check", "--json");
    assert_int_equal(r.outcome, CONFIG_EXIT);
    assert_int_equal(r.status, 2);
    assert_true(holds(&r.err, "fairlead check: which folder? none is named"));
    config_flags_fini(&r);
    FAIRLEAD(&r, "check", "--config", "x.yaml");
    assert_int_equal(r.outcome, CONFIG_RUN);
    config_flags_fini(&r);
}

static void check_knows_no_flag_of_a_gateway(void **state)
{
    (void)state;
    struct config_flags_result r;
    FAIRLEAD(&r, "check", "--dapr-http-port", "1", "a");
    assert_int_equal(r.outcome, CONFIG_EXIT);
    assert_true(holds(&r.err, "unknown flag: --dapr-http-port"));
    config_flags_fini(&r);
}

static void check_refuses_an_id_with_dots(void **state)
{
    (void)state;
    struct config_flags_result r;
    FAIRLEAD(&r, "check", "--app-id=a.b", "x");
    assert_int_equal(r.outcome, CONFIG_EXIT_FATAL);
    config_flags_fini(&r);
}

static void options_takes_one_type_or_none(void **state)
{
    (void)state;
    struct config_flags_result r;
    FAIRLEAD(&r, "options", "pubsub.x");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_string_equal(r.flags.tool.word.data, "pubsub.x");
    config_flags_fini(&r);
    FAIRLEAD(&r, "options", "--names");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_true(r.flags.tool.names_only);
    config_flags_fini(&r);
    FAIRLEAD(&r, "options", "a", "b");
    assert_int_equal(r.outcome, CONFIG_EXIT);
    assert_int_equal(r.status, 2);
    assert_true(holds(&r.err, "one argument too many: b"));
    config_flags_fini(&r);
}

static void completion_prints_a_script_for_each_shell(void **state)
{
    (void)state;
    struct config_flags_result r;
    FAIRLEAD(&r, "completion", "bash");
    assert_int_equal(r.outcome, CONFIG_EXIT);
    assert_int_equal(r.status, 0);
    assert_true(holds(&r.out, "complete -F _fairlead fairlead daprd"));
    assert_true(holds(&r.out, "--resources-path "));
    config_flags_fini(&r);
    FAIRLEAD(&r, "completion", "zsh");
    assert_true(holds(&r.out, "#compdef fairlead daprd\n"));
    config_flags_fini(&r);
    FAIRLEAD(&r, "completion", "fish");
    assert_true(holds(&r.out, "complete -c fairlead"));
    config_flags_fini(&r);
}

static void completion_names_the_shells_that_it_knows(void **state)
{
    (void)state;
    struct config_flags_result r;
    FAIRLEAD(&r, "completion", "tcsh");
    assert_int_equal(r.status, 2);
    assert_int_equal(r.out.len, 0);
    assert_true(holds(&r.err, "found \"tcsh\"; accepted: bash, zsh, fish"));
    config_flags_fini(&r);
    FAIRLEAD(&r, "completion");
    assert_int_equal(r.status, 2);
    assert_true(holds(&r.err, "which shell?"));
    config_flags_fini(&r);
}

static void every_subcommand_has_help(void **state)
{
    (void)state;
    for (int i = CONFIG_SERVE + 1; i < CONFIG_COMMAND_COUNT; i++) {
        struct config_flags_result r;
        FAIRLEAD(&r, config_command_name((enum config_command)i), "--help");
        assert_int_equal(r.outcome, CONFIG_EXIT);
        assert_int_equal(r.status, 0);
        assert_true(holds(&r.out, "Usage:\n  fairlead "));
        config_flags_fini(&r);
    }
}

/* --- the environment -------------------------------------------------------------------------- */

static void run_reads_the_variables_of_dapr_run(void **state)
{
    (void)state;
    struct config_flags_result r;
    setenv("APP_ID", "from-environment", 1);
    setenv("APP_PORT", "6001", 1);
    setenv("DAPR_HTTP_PORT", "3601", 1);
    setenv("DAPR_GRPC_PORT", "3602", 1);
    setenv("DAPR_METRICS_PORT", "3603", 1);
    FAIRLEAD(&r, "run", "true");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_string_equal(r.flags.app_id.data, "from-environment");
    assert_int_equal(r.flags.app_port, 6001);
    assert_int_equal(r.flags.http_port, 3601);
    assert_int_equal(r.flags.grpc_port, 3602);
    assert_int_equal(r.flags.metrics_port, 3603);
    assert_true(r.flags.picks_http_port);
    assert_int_equal(r.notes.count, 5);
    assert_string_equal(r.notes.first->text, "--app-id is APP_ID of the environment");
    config_flags_fini(&r);
}

static void a_flag_counts_before_its_variable(void **state)
{
    (void)state;
    struct config_flags_result r;
    setenv("APP_ID", "from-environment", 1);
    setenv("APP_PORT", "nonsense", 1);
    setenv("DAPR_HTTP_PORT", "3601", 1);
    FAIRLEAD(&r, "run", "-a", "mine", "-p", "80", "-H", "81", "true");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_string_equal(r.flags.app_id.data, "mine");
    assert_int_equal(r.flags.app_port, 80);
    assert_int_equal(r.flags.http_port, 81);
    assert_false(r.flags.picks_http_port);
    assert_int_equal(r.notes.count, 0);
    config_flags_fini(&r);
}

static void a_wrong_variable_is_named(void **state)
{
    (void)state;
    struct config_flags_result r;
    setenv("APP_PORT", "nonsense", 1);
    FAIRLEAD(&r, "run", "-a", "a", "true");
    assert_int_equal(r.outcome, CONFIG_EXIT_FATAL);
    assert_non_null(strstr(r.fatal, "error parsing APP_PORT environment variable: "));
    config_flags_fini(&r);
}

static void an_empty_variable_is_none(void **state)
{
    (void)state;
    struct config_flags_result r;
    setenv("APP_ID", "", 1);
    setenv("DAPR_HTTP_PORT", "", 1);
    FAIRLEAD(&r, "run", "-d", "x", "true");
    assert_int_equal(r.outcome, CONFIG_RUN);
    assert_int_equal(r.flags.http_port, 3500);
    config_flags_fini(&r);
}

/* daprd sets these and never reads them. */
static void only_run_reads_them(void **state)
{
    (void)state;
    struct config_flags_result r;
    setenv("APP_ID", "from-environment", 1);
    setenv("DAPR_HTTP_PORT", "3601", 1);
    FAIRLEAD(&r, "--app-id=a");
    assert_string_equal(r.flags.app_id.data, "a");
    assert_int_equal(r.flags.http_port, 3500);
    config_flags_fini(&r);
    FAIRLEAD(&r, "check", "x");
    assert_int_equal(r.flags.app_id.len, 0);
    config_flags_fini(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, clear_environment, clear_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(under_the_name_daprd_words_are_ignored),
        TEST(another_name_that_ends_in_daprd_is_not_it),
        TEST(the_arguments_of_dapr_run_are_accepted),
        TEST(check_takes_folders_and_no_application),
        TEST(check_needs_something_to_look_at),
        TEST(check_knows_no_flag_of_a_gateway),
        TEST(check_refuses_an_id_with_dots),
        TEST(options_takes_one_type_or_none),
        TEST(completion_prints_a_script_for_each_shell),
        TEST(completion_names_the_shells_that_it_knows),
        TEST(every_subcommand_has_help),
        TEST(run_reads_the_variables_of_dapr_run),
        TEST(a_flag_counts_before_its_variable),
        TEST(a_wrong_variable_is_named),
        TEST(an_empty_variable_is_none),
        TEST(only_run_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
