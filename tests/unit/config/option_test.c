/* Binding settings to rows: types, bounds, defaults, aliases, and the exact texts of refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/option.h"

struct settings {
    struct fl_slice host, password;
    int64_t count, wait_ms, limit_bytes, slow_ms;
    bool tls;
    struct config_list brokers;
    int mode;
};

#define ROW(member) .offset = offsetof(struct settings, member)

static const struct config_option rows[] = {
    {.name = "host", .type = CONFIG_STRING, .is_required = true, .help = "Where.", ROW(host)},
    {.name = "password",
     .aliases = "pass,secret",
     .type = CONFIG_STRING,
     .is_secret = true,
     .max = 8,
     .help = "The password.",
     ROW(password)},
    {.name = "count",
     .type = CONFIG_INT,
     .min = 1,
     .max = 10,
     .default_text = "3",
     .help = "How many.",
     ROW(count)},
    {.name = "waitTime",
     .type = CONFIG_DURATION,
     .unit = "ms",
     .min = 1,
     .max = 60000,
     .default_text = "5s",
     .help = "How long.",
     ROW(wait_ms)},
    {.name = "slowTime",
     .type = CONFIG_DURATION,
     .unit = "s",
     .help = "Slow | or not.",
     ROW(slow_ms)},
    {.name = "limit",
     .type = CONFIG_BYTES,
     .unit = "bytes",
     .min = 1,
     .max = INT64_MAX,
     .help = "Most bytes.",
     ROW(limit_bytes)},
    {.name = "enableTLS", .type = CONFIG_BOOL, .help = "Encrypt.", ROW(tls)},
    {.name = "brokers", .type = CONFIG_LIST, .help = "All of them.", ROW(brokers)},
    {.name = "mode",
     .type = CONFIG_ENUM,
     .values = "single|parallel",
     .default_text = "parallel",
     .help = "How.",
     ROW(mode)},
    {.name = "old", .type = CONFIG_IGNORED, .help = "Nothing."},
    {.name = NULL},
};

#define VALUE(key, text, at)                                                                       \
    {                                                                                              \
        .name = {key, sizeof(key) - 1}, .value = {text, sizeof(text) - 1}, .file = "c.yaml",       \
        .line = (at)                                                                               \
    }

static enum fl_err bind(const struct config_value *values, size_t count, bool is_strict,
                        struct settings *settings, struct fl_arena *arena,
                        struct config_notes *notes, struct fl_error *error)
{
    struct config_option_target target = {rows, settings};
    struct config_bind how = {
        .owner = "orders (pubsub.x/v1)", .arena = arena, .notes = notes, .is_strict = is_strict};
    return config_options_bind(&target, 1, values, count, &how, error);
}

static void fills_every_type(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct settings s;
    memset(&s, 0x5a, sizeof s);
    const struct config_value values[] = {
        VALUE("HOST", "h", 1),        VALUE("secret", "p", 2),        VALUE("Count", "0x5", 3),
        VALUE("waittime", "250", 4),  VALUE("slowTime", "2", 5),      VALUE("limit", "4Ki", 6),
        VALUE("enabletls", "yes", 7), VALUE("brokers", "a, b,,c", 8), VALUE("mode", "SINGLE", 9),
        VALUE("old", "anything", 10),
    };
    assert_int_equal(bind(values, 10, true, &s, &arena, NULL, NULL), FL_OK);
    assert_string_equal(s.host.data, "h");
    assert_string_equal(s.password.data, "p");
    assert_int_equal(s.count, 5);
    assert_int_equal(s.wait_ms, 250);
    assert_int_equal(s.slow_ms, 2000);
    assert_int_equal(s.limit_bytes, 4096);
    assert_true(s.tls);
    assert_int_equal(s.brokers.count, 3);
    assert_string_equal(s.brokers.items[2].data, "c");
    assert_int_equal(s.mode, 0);
    fl_arena_fini(&arena);
}

static void defaults_stand_where_nothing_is_set(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct settings s;
    memset(&s, 0x5a, sizeof s);
    const struct config_value values[] = {VALUE("host", "a", 1), VALUE("host", "b", 2),
                                          VALUE("count", "", 3)};
    assert_int_equal(bind(values, 3, false, &s, &arena, NULL, NULL), FL_OK);
    assert_string_equal(s.host.data, "b");
    assert_true(fl_slice_is_null(s.password));
    assert_int_equal(s.count, 3);
    assert_int_equal(s.wait_ms, 5000);
    assert_int_equal(s.slow_ms, 0);
    assert_int_equal(s.limit_bytes, 0);
    assert_false(s.tls);
    assert_int_equal(s.brokers.count, 0);
    assert_int_equal(s.mode, 1);
    fl_arena_fini(&arena);
}

/* What is told, or why it is refused. */
static const char *told_of_two(const struct config_value *values, bool is_strict,
                               enum fl_err expected, struct fl_arena *arena, struct fl_error *error)
{
    struct settings s;
    struct config_notes notes;
    config_notes_init(&notes, arena);
    assert_int_equal(bind(values, 2, is_strict, &s, arena, &notes, error), expected);
    return expected ? error->text : notes.first ? notes.first->text : "";
}

static void a_key_that_is_set_twice_is_told(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_error error;
    const struct config_value same[] = {VALUE("host", "a", 1), VALUE("host", "b", 2)};
    const struct config_value other_case[] = {VALUE("host", "a", 1), VALUE("HOST", "b", 2)};
    assert_string_equal(told_of_two(same, false, FL_OK, &arena, &error),
                        "c.yaml:2: orders (pubsub.x/v1): \"host\" is set more than once (line 1); "
                        "this one counts");
    assert_string_equal(told_of_two(same, true, FL_ERR_INVALID, &arena, &error),
                        "c.yaml:2: orders (pubsub.x/v1): \"host\" is set more than once (line 1)");
    assert_string_equal(told_of_two(other_case, false, FL_ERR_INVALID, &arena, &error),
                        "c.yaml:2: orders (pubsub.x/v1): \"HOST\" is set more than once, as "
                        "\"host\" too (line 1)");
    fl_arena_fini(&arena);
}

struct refusal {
    struct config_value value;
    bool is_strict;
    const char *text;
};

static void refusals_say_everything(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {VALUE("count", "11", 4), false,
         "c.yaml:4: orders (pubsub.x/v1): count: found \"11\"; accepted: an integer, from 1 to 10"},
        {VALUE("count", "x", 4), false,
         "c.yaml:4: orders (pubsub.x/v1): count: found \"x\"; accepted: an integer, from 1 to 10"},
        {VALUE("waitTime", "soon", 5), false,
         "c.yaml:5: orders (pubsub.x/v1): waitTime: found \"soon\"; accepted: a duration such as "
         "500ms or 1m30s or an integer of milliseconds, from 1ms to 1m0s"},
        {VALUE("slowTime", "1d", 5), false,
         "c.yaml:5: orders (pubsub.x/v1): slowTime: found \"1d\"; accepted: a duration such as "
         "500ms or 1m30s or an integer of seconds"},
        {VALUE("limit", "0", 6), false,
         "c.yaml:6: orders (pubsub.x/v1): limit: found \"0\"; accepted: a size such as 512, 64Ki "
         "or 16M (bytes), at least 1"},
        {VALUE("enableTLS", "maybe", 7), false,
         "c.yaml:7: orders (pubsub.x/v1): enableTLS: found \"maybe\"; accepted: true or false"},
        {VALUE("mode", "paralel", 8), false,
         "c.yaml:8: orders (pubsub.x/v1): mode: found \"paralel\"; accepted: single, parallel; the "
         "nearest is \"parallel\""},
        {VALUE("pass", "much too long", 9), false,
         "c.yaml:9: orders (pubsub.x/v1): password: found a value that is not accepted (not "
         "shown); accepted: a string, from 0 to 8"},
        {VALUE("enableTSL", "true", 10), false,
         "c.yaml:10: orders (pubsub.x/v1): \"enableTSL\" is not a known key; the nearest known one "
         "is \"enableTLS\""},
        {VALUE("somethingElse", "true", 10), true,
         "c.yaml:10: orders (pubsub.x/v1): \"somethingElse\" is not a known key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct settings s = {.count = 77};
        struct fl_error error;
        const struct config_value values[] = {VALUE("host", "h", 1), cases[i].value};
        assert_int_equal(bind(values, 2, cases[i].is_strict, &s, &arena, NULL, &error),
                         FL_ERR_INVALID);
        assert_string_equal(error.text, cases[i].text);
        assert_int_equal(s.count, 77);
        fl_arena_fini(&arena);
    }
}

static void a_missing_key_is_refused(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct settings s = {0};
    struct fl_error error;
    assert_int_equal(bind(NULL, 0, false, &s, &arena, NULL, &error), FL_ERR_INVALID);
    assert_string_equal(error.text, "orders (pubsub.x/v1): host: missing, but required; accepted: "
                                    "a string");
    fl_arena_fini(&arena);
}

static void an_unknown_key_is_a_warning(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct config_notes notes;
    struct settings s = {0};
    config_notes_init(&notes, &arena);
    const struct config_value values[] = {VALUE("host", "h", 1), VALUE("hots", "x", 2),
                                          VALUE("zzz", "x", 3)};
    assert_int_equal(bind(values, 3, false, &s, &arena, &notes, NULL), FL_OK);
    assert_int_equal(notes.count, 2);
    assert_string_equal(notes.first->text, "c.yaml:2: orders (pubsub.x/v1): \"hots\" is not a "
                                           "known key; the nearest known one is \"host\"");
    assert_string_equal(notes.last->text,
                        "c.yaml:3: orders (pubsub.x/v1): \"zzz\" is not a known key");
    fl_arena_fini(&arena);
}

static void request_metadata_may_hold_anything(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("hots"), .value = FL_SLICE_LIT("x")},
        {.name = FL_SLICE_LIT("host"), .value = FL_SLICE_LIT("y")}};
    struct config_option_target target = {rows, NULL};
    struct config_bind how = {.arena = &arena, .is_open = true};
    assert_int_equal(config_options_bind(&target, 1, values, 2, &how, NULL), FL_OK);
    fl_arena_fini(&arena);
}

static void the_manual_comes_from_the_rows(void **state)
{
    (void)state;
    struct fl_buffer out = {0};
    static const struct config_option two[] = {
        {.name = "slowTime",
         .aliases = "slow",
         .type = CONFIG_DURATION,
         .unit = "s",
         .min = 0,
         .max = 5000,
         .default_text = "1s",
         .help = "Slow | or not."},
        {.name = "host", .type = CONFIG_STRING, .is_required = true, .help = "Where."},
        {.name = NULL},
    };
    config_options_print_markdown(two, &out);
    assert_string_equal(fl_buffer_cstr(&out),
                        "| key | type | default | accepted | meaning |\n"
                        "|---|---|---|---|---|\n"
                        "| `slowTime`, `slow` | duration | `1s` | a duration such as 500ms or "
                        "1m30s or an integer of seconds, from 0s to 5s | Slow \\| or not. |\n"
                        "| `host` | string | required | a string | Where. |\n");
    fl_buffer_clear(&out);
    config_options_print_plain(two, &out);
    assert_string_equal(fl_buffer_cstr(&out),
                        "  slowTime, slow  (default 1s)\n"
                        "      Slow | or not.\n"
                        "      accepted: a duration such as 500ms or 1m30s or an integer of "
                        "seconds, from 0s to 5s\n"
                        "  host  (required)\n"
                        "      Where.\n"
                        "      accepted: a string\n");
    fl_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_every_type),
        cmocka_unit_test(defaults_stand_where_nothing_is_set),
        cmocka_unit_test(a_key_that_is_set_twice_is_told),
        cmocka_unit_test(refusals_say_everything),
        cmocka_unit_test(a_missing_key_is_refused),
        cmocka_unit_test(an_unknown_key_is_a_warning),
        cmocka_unit_test(request_metadata_may_hold_anything),
        cmocka_unit_test(the_manual_comes_from_the_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
