/* Scalars in both dialects, documents, aliases, merge keys, and every bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "config/yaml.h"

static struct config_node *parse(struct fl_arena *arena, const char *text,
                                 enum config_dialect dialect)
{
    struct config_node *root = NULL;
    struct fl_error error;
    enum fl_err err =
        config_yaml_parse(fl_slice_str(text), "f.yaml", 1, dialect, arena, &root, &error);
    if (err != FL_OK)
        fail_msg("%s", error.text);
    return root;
}

static void refuses(const char *text, enum config_dialect dialect, enum fl_err code,
                    const char *message)
{
    struct fl_arena arena = {0};
    struct config_node *root = NULL;
    struct fl_error error;
    assert_int_equal(
        config_yaml_parse(fl_slice_str(text), "f.yaml", 1, dialect, &arena, &root, &error), code);
    assert_null(root);
    assert_string_equal(error.text, message);
    fl_arena_fini(&arena);
}

/* A scalar as a string field, as a component's value, and as a string field of the configuration.
 */
static void scalars_become_what_daprd_shows(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *string, *value, *configuration;
    } cases[] = {
        {"abc", "abc", "abc", "abc"},
        {"'123'", "123", "123", "123"},
        {"123", "123", "123", "123"},
        {"yes", "true", "true", "yes"},
        {"Off", "false", "false", "Off"},
        {"n", "false", "false", "n"},
        {"\"yes\"", "yes", "yes", "yes"},
        {"010", "8", "8", "010"},
        {"0x10", "16", "16", "0x10"},
        {"0b11", "3", "3", "0b11"},
        {"1_000", "1000", "1000", "1_000"},
        {"1e3", "1000", "1000", "1e3"},
        {"1.50", "1.5", "1.5", "1.50"},
        {"1e6", "1e+06", "1000000", "1e6"},
        {"1e21", "1e+21", "1e+21", "1e21"},
        {"1e-7", "1e-07", "1e-7", "1e-7"},
        {"0.0001", "0.0001", "0.0001", "0.0001"},
        {"0.00001", "1e-05", "0.00001", "0.00001"},
        {"-0.5", "-0.5", "-0.5", "-0.5"},
        {"123456.5", "123456.5", "123456.5", "123456.5"},
        {"-17", "-17", "-17", "-17"},
        {"08", "8", "8", "08"},
        {"2024-01-02", "2024-01-02", "2024-01-02", "2024-01-02"},
        {"2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00",
         "2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"},
        {"18446744073709551615", "18446744073709551615", "18446744073709551615",
         "18446744073709551615"},
        {"9223372036854775808", "9223372036854775808", "9223372036854775808",
         "9223372036854775808"},
        {"18446744073709551616", "1.8446744073709552e+19", "18446744073709552000",
         "18446744073709551616"},
        {"null", "", "", ""},
        {"~", "", "", ""},
        {"!!str 5", "5", "5", "5"},
        {"!!int '5'", "5", "5", "5"},
        {"!!float 5", "5", "5", "5"},
        {"! 5", "5", "5", "5"},
        {"!custom yes", "yes", "yes", "yes"},
        {"1:30", "1:30", "1:30", "1:30"},
        {"-", "-", "-", "-"},
        {"+", "+", "+", "+"},
        {"1e", "1e", "1e", "1e"},
        {".", ".", ".", "."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        char text[200];
        snprintf(text, sizeof text, "k: %s\n",
                 strcmp(cases[i].yaml, "-") == 0 ? "\"-\"" : cases[i].yaml);
        struct fl_slice got;
        struct config_node *root = parse(&arena, text, CONFIG_DIALECT_RESOURCE);
        struct config_node *node = root->map.pairs[0].value;
        assert_int_equal(config_node_string(node, &arena, &got), FL_OK);
        assert_string_equal(got.data, cases[i].string);
        assert_int_equal(config_node_value(node, &arena, &got), FL_OK);
        assert_string_equal(got.data, cases[i].value);
        root = parse(&arena, text, CONFIG_DIALECT_CONFIGURATION);
        assert_int_equal(config_node_string(root->map.pairs[0].value, &arena, &got), FL_OK);
        assert_string_equal(got.data, cases[i].configuration);
        fl_arena_fini(&arena);
    }
}

static void values_become_compact_json(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"{b: 1, a: [x, yes, null, 1.50]}", "{\"a\":[\"x\",true,null,1.5],\"b\":1}"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"{1: a, yes: b}", "{\"1\":\"a\",\"true\":\"b\"}"},
        {"[\"<&>\\\"\\\\\\n\\u2028\"]", "[\"\\u003c\\u0026\\u003e\\\"\\\\\\n\\u2028\"]"},
        {"{a: 1, a: 2}", "{\"a\":2}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct fl_slice got;
        struct config_node *root = parse(&arena, cases[i].yaml, CONFIG_DIALECT_RESOURCE);
        assert_int_equal(config_node_value(root, &arena, &got), FL_OK);
        assert_string_equal(got.data, cases[i].json);
        assert_int_equal(config_node_string(root, &arena, &got), FL_ERR_INVALID);
        fl_arena_fini(&arena);
    }
}

static void infinity_is_no_value(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_slice got;
    struct config_node *root = parse(&arena, "[.inf]", CONFIG_DIALECT_RESOURCE);
    assert_int_equal(config_node_value(root, &arena, &got), FL_ERR_INVALID);
    assert_int_equal(config_node_string(root->list.items[0], &arena, &got), FL_OK);
    assert_string_equal(got.data, "+Inf");
    fl_arena_fini(&arena);
}

static void keys_are_found_by_the_dialects_rule(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    const char *text = "Name: a\nname: b\nNAME: c\nother: null\n";
    struct config_node *root = parse(&arena, text, CONFIG_DIALECT_RESOURCE);
    assert_string_equal(config_node_find(root, "name")->text.data, "b");
    assert_string_equal(config_node_find(root, "nAME")->text.data, "b");
    assert_null(config_node_find(root, "other"));
    assert_null(config_node_find(root, "nothing"));
    root = parse(&arena, text, CONFIG_DIALECT_CONFIGURATION);
    assert_string_equal(config_node_find(root, "name")->text.data, "b");
    assert_null(config_node_find(root, "nAME"));
    fl_arena_fini(&arena);
}

static void nodes_know_their_place(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct config_node *root = NULL;
    struct fl_error error;
    assert_int_equal(config_yaml_parse(FL_SLICE_LIT("a:\n  b: [1,\n    2]\n"), "f.yaml", 10,
                                       CONFIG_DIALECT_RESOURCE, &arena, &root, &error),
                     FL_OK);
    struct config_node *list = config_node_find(config_node_find(root, "a"), "b");
    assert_int_equal(list->list.items[1]->line, 12);
    assert_int_equal(list->list.items[1]->column, 5);
    assert_string_equal(list->file, "f.yaml");
    fl_arena_fini(&arena);
}

static void aliases_and_merge_keys_work(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct config_node *root = parse(&arena,
                                     "base: &b {x: 1, p: 2}\n"
                                     "more: &m {z: 3, x: 9}\n"
                                     "one: {<<: *b, p: 5}\n"
                                     "two: {p: 6, <<: [*b, *m]}\n"
                                     "same: *b\n",
                                     CONFIG_DIALECT_RESOURCE);
    struct fl_slice json;
    assert_int_equal(config_node_value(config_node_find(root, "one"), &arena, &json), FL_OK);
    assert_string_equal(json.data, "{\"p\":5,\"x\":1}");
    assert_int_equal(config_node_value(config_node_find(root, "two"), &arena, &json), FL_OK);
    assert_string_equal(json.data, "{\"p\":6,\"x\":1,\"z\":3}");
    assert_ptr_equal(config_node_find(root, "same"), config_node_find(root, "base"));
    fl_arena_fini(&arena);
}

static void an_empty_document_is_null(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "\n\n", "\xef\xbb\xbf# x\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fl_arena arena = {0};
        assert_int_equal(parse(&arena, texts[i], CONFIG_DIALECT_RESOURCE)->kind, CONFIG_NODE_NULL);
        fl_arena_fini(&arena);
    }
}

static void wrong_documents_are_refused_with_their_place(void **state)
{
    (void)state;
    refuses("a: [\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:2:1: did not find expected node content while parsing a flow node");
    refuses("a: b: c\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:5: mapping values are not allowed in this context");
    refuses("a: 1\na: 2\n", CONFIG_DIALECT_CONFIGURATION, FL_ERR_INVALID,
            "f.yaml:2:1: the key \"a\" is already set in this map");
    refuses("a: *b\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:4: no anchor \"b\" stands before this alias");
    refuses("a: &a [*a]\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:8: no anchor \"a\" stands before this alias");
    refuses("? [a]\n: b\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:3: a key must be a scalar");
    refuses("a: !!int x\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:4: \"x\" does not fit its tag tag:yaml.org,2002:int");
    refuses("a: !!binary eA==\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:4: \"eA==\" does not fit its tag tag:yaml.org,2002:binary");
    refuses("a: {<<: 5}\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:9: a merge key (<<) takes a map or a list of maps");
    refuses("a: \"\x01\"\n", CONFIG_DIALECT_RESOURCE, FL_ERR_INVALID,
            "f.yaml:1:5: control characters are not allowed; accepted: UTF-8 without control "
            "characters");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[400] = "";
    for (int i = 0; i < CONFIG_YAML_DEPTH_MAX + 1; i++)
        strcat(text, "[");
    refuses(text, CONFIG_DIALECT_RESOURCE, FL_ERR_TOO_LARGE,
            "f.yaml:1:101: nested more than 100 deep");
}

static void depth_through_aliases_is_bounded(void **state)
{
    (void)state;
    struct fl_buffer text = {0};
    fl_buffer_append_str(&text, "a0: &a0 []\n");
    for (int i = 1; i < 200; i++)
        fl_buffer_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    refuses(fl_buffer_cstr(&text), CONFIG_DIALECT_RESOURCE, FL_ERR_TOO_LARGE,
            "f.yaml:101:7: nested more than 100 deep");
    fl_buffer_fini(&text);
}

static void a_billion_laughs_are_refused(void **state)
{
    (void)state;
    struct fl_buffer text = {0};
    fl_buffer_append_str(&text, "a0: &a0 [l,l,l,l,l,l,l,l,l,l]\n");
    for (int i = 1; i < 10; i++) {
        fl_buffer_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            fl_buffer_printf(&text, "%s*a%d", k ? "," : "", i - 1);
        fl_buffer_append_str(&text, "]\n");
    }
    refuses(fl_buffer_cstr(&text), CONFIG_DIALECT_RESOURCE, FL_ERR_TOO_LARGE,
            "f.yaml:6:5: with its aliases written out, this is more than 400000 values");
    fl_buffer_fini(&text);
}

static void the_number_of_values_is_bounded(void **state)
{
    (void)state;
    struct fl_buffer text = {0};
    fl_buffer_append_byte(&text, '[');
    for (int i = 0; i < CONFIG_YAML_NODES_MAX; i++)
        fl_buffer_append_str(&text, "a,");
    fl_buffer_append_byte(&text, ']');
    refuses(fl_buffer_cstr(&text), CONFIG_DIALECT_RESOURCE, FL_ERR_TOO_LARGE,
            "f.yaml:1:1: the document has more than 200000 values");
    fl_buffer_fini(&text);
}

static void a_long_document_loads(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_buffer text = {0};
    fl_buffer_append_str(&text, "a: ");
    for (int i = 0; i < 300000; i++)
        fl_buffer_append_byte(&text, 'x');
    struct config_node *root = parse(&arena, fl_buffer_cstr(&text), CONFIG_DIALECT_RESOURCE);
    assert_int_equal(config_node_find(root, "a")->text.len, 300000);
    fl_buffer_fini(&text);
    fl_arena_fini(&arena);
}

static void documents_split_as_daprd_splits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *documents[4];
        uint32_t lines[4];
    } cases[] = {
        {"a", 1, {"a"}, {1}},
        {"", 0, {0}, {0}},
        {"a\n---\nb", 2, {"a", "b"}, {1, 3}},
        {"a\n--- rest\nb\nc\n---\nd", 3, {"a", "b\nc", "d"}, {1, 3, 6}},
        {"---\na\n---\nb", 2, {"---\na", "b"}, {1, 4}},
        {"a\n---", 1, {"a"}, {1}},
        {"a\n---\n", 1, {"a"}, {1}},
        {"a\n----\nb", 2, {"a", "b"}, {1, 3}},
        {"a\n ---\nb", 1, {"a\n ---\nb"}, {1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t at = 0, count = 0;
        uint32_t line = 1, first;
        struct fl_slice document;
        while (
            config_yaml_next_document(fl_slice_str(cases[i].text), &at, &line, &document, &first)) {
            assert_true(count < cases[i].count);
            assert_true(fl_slice_eq_str(document, cases[i].documents[count]));
            assert_int_equal(first, cases[i].lines[count]);
            count++;
        }
        assert_int_equal(count, cases[i].count);
    }
}

static void variables_are_expanded_as_go_does(void **state)
{
    (void)state;
    setenv("FL_TEST_A", "one", 1);
    unsetenv("FL_TEST_B");
    static const struct {
        const char *text, *expanded;
    } cases[] = {
        {"x $FL_TEST_A y", "x one y"},
        {"${FL_TEST_A}b", "oneb"},
        {"$FL_TEST_B.", "."},
        {"${FL_TEST_B}", ""},
        {"a$", "a$"},
        {"a$ b", "a$ b"},
        {"${}x", "x"},
        {"${x", "x"},
        {"$1x", "x"},
        {"$$x", "x"},
        {"plain", "plain"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct fl_slice got;
        assert_int_equal(
            config_yaml_expand_env(fl_slice_str(cases[i].text), "f.yaml", NULL, &arena, &got),
            FL_OK);
        assert_string_equal(got.data, cases[i].expanded);
        fl_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_become_what_daprd_shows),
        cmocka_unit_test(values_become_compact_json),
        cmocka_unit_test(infinity_is_no_value),
        cmocka_unit_test(keys_are_found_by_the_dialects_rule),
        cmocka_unit_test(nodes_know_their_place),
        cmocka_unit_test(aliases_and_merge_keys_work),
        cmocka_unit_test(an_empty_document_is_null),
        cmocka_unit_test(wrong_documents_are_refused_with_their_place),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(depth_through_aliases_is_bounded),
        cmocka_unit_test(a_billion_laughs_are_refused),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(a_long_document_loads),
        cmocka_unit_test(documents_split_as_daprd_splits),
        cmocka_unit_test(variables_are_expanded_as_go_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
