/* Tables of rules: order, default, dead rules, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cloudevents/event.h"
#include "routes/table.h"

#define RULE(match, path)                                                                          \
    {                                                                                              \
        FL_SLICE_LIT(match), FL_SLICE_LIT(path)                                                    \
    }

static struct route_table *make(const struct route_rule *rules, size_t count,
                                const char *default_path)
{
    struct route_table *table = NULL;
    struct fl_error error = {0};
    if (route_table_new(rules, count, fl_slice_str(default_path), &table, &error))
        fail_msg("%s", error.text);
    return table;
}

/* The path chosen, "-" for none, or the text of the error. */
static const char *choose(const struct route_table *table, const char *body)
{
    static struct fl_error error;
    struct ce_event *event = NULL;
    assert_int_equal(ce_event_new(fl_slice_str(body), FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
    struct route_choice choice;
    enum fl_err err = route_choose(table, event, &choice, &error);
    ce_event_release(&event);
    if (err)
        return error.text;
    if (fl_slice_is_null(choice.path))
        return "-";
    assert_true(choice.number < table->count);
    assert_ptr_equal(choice.path.data, table->ways[choice.number].path.data);
    return choice.path.data;
}

static void one_path_is_chosen_without_looking_at_the_event(void **state)
{
    (void)state;
    struct route_table *table = make(NULL, 0, "/all");
    assert_true(route_table_is_constant(table));
    struct route_choice choice;
    assert_int_equal(route_choose(table, NULL, &choice, NULL), FL_OK);
    assert_true(fl_slice_eq_str(choice.path, "/all"));
    route_table_free(&table);
    assert_null(table);
}

static void an_empty_table_takes_nothing(void **state)
{
    (void)state;
    struct route_table *table = make(NULL, 0, "");
    assert_true(route_table_is_constant(table));
    assert_string_equal(choose(table, "{\"type\":\"a\"}"), "-");
    route_table_free(&table);
}

static void the_first_true_rule_wins_and_the_default_is_last(void **state)
{
    (void)state;
    static const struct route_rule rules[] = {
        RULE("event.type == 'a'", "/first"),
        RULE("event.type == 'b'", "/second"),
        RULE("event.type == 'a'", "/dead"),
        RULE("event.type == 'c'", ""),
    };
    struct route_table *table = make(rules, 4, "/default");
    assert_false(route_table_is_constant(table));
    assert_int_equal(table->count, 5);
    assert_string_equal(choose(table, "{\"type\":\"a\"}"), "/first");
    assert_string_equal(choose(table, "{\"type\":\"b\"}"), "/second");
    assert_string_equal(choose(table, "{\"type\":\"c\"}"), "");
    assert_string_equal(choose(table, "{\"type\":\"d\"}"), "/default");
    route_table_free(&table);
    table = make(rules, 2, NULL);
    assert_string_equal(choose(table, "{\"type\":\"d\"}"), "-");
    route_table_free(&table);
}

static void a_blank_match_is_always_true_and_kills_the_rest(void **state)
{
    (void)state;
    static const struct route_rule rules[] = {
        RULE("event.type == 'a'", "/a"),
        RULE(" \t\n", "/always"),
        RULE("event.type == 'b'", "/b"),
    };
    struct route_table *table = make(rules, 3, "/default");
    assert_int_equal(table->count, 2);
    assert_string_equal(choose(table, "{\"type\":\"a\"}"), "/a");
    assert_string_equal(choose(table, "{\"type\":\"b\"}"), "/always");
    route_table_free(&table);
    table = make(rules + 1, 2, "/default");
    assert_true(route_table_is_constant(table));
    assert_int_equal(table->count, 1);
    assert_string_equal(choose(table, "{}"), "/always");
    route_table_free(&table);
}

static void a_failing_rule_ends_the_search(void **state)
{
    (void)state;
    static const struct route_rule rules[] = {
        RULE("event.type == 'a'", "/a"),
        RULE("event.missing == 'x'", "/x"),
        RULE("event.type == 'b'", "/b"),
    };
    struct route_table *table = make(rules, 3, "/default");
    assert_string_equal(choose(table, "{\"type\":\"a\"}"), "/a");
    assert_string_equal(choose(table, "{\"type\":\"b\"}"), "no such key: missing");
    route_table_free(&table);
}

static void a_bad_rule_is_named_dead_or_not(void **state)
{
    (void)state;
    static const struct route_rule rules[] = {
        RULE("", "/always"),
        RULE("event.type == 'a'", "/a"),
        RULE(" event.type = 'b' ", "/b"),
    };
    struct route_table *table = NULL;
    struct fl_error error = {0};
    assert_int_equal(route_table_new(rules, 3, FL_SLICE_NULL, &table, &error), FL_ERR_INVALID);
    assert_null(table);
    assert_string_equal(error.text, "rule 3, match event.type = 'b': column 12: \"=\" is no "
                                    "operator; equality is \"==\"");
}

static void a_long_bad_match_is_cut_between_characters(void **state)
{
    (void)state;
    static const struct route_rule rules[] = {
        RULE("event.type == 'ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé",
             "/"),
    };
    struct route_table *table = NULL;
    struct fl_error error = {0};
    assert_int_equal(route_table_new(rules, 1, FL_SLICE_NULL, &table, &error), FL_ERR_INVALID);
    assert_true(fl_utf8_is_valid(fl_slice_str(error.text)));
    assert_non_null(strstr(error.text, "é…: column 15: this string does not end"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_path_is_chosen_without_looking_at_the_event),
        cmocka_unit_test(an_empty_table_takes_nothing),
        cmocka_unit_test(the_first_true_rule_wins_and_the_default_is_last),
        cmocka_unit_test(a_blank_match_is_always_true_and_kills_the_rest),
        cmocka_unit_test(a_failing_rule_ends_the_search),
        cmocka_unit_test(a_bad_rule_is_named_dead_or_not),
        cmocka_unit_test(a_long_bad_match_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
