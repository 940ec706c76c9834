/* The match language: what compiles, what it means, and what refusals say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cloudevents/event.h"
#include "routes/expression.h"

static const char BODY[] =
    "{\"id\":\"1\",\"type\":\"order.created\",\"source\":\"say \\\"hi\\\" \\u00e9\","
    "\"retries\":3,\"ratio\":1.5,\"big\":9007199254740993,\"negative\":-3,\"ok\":true,\"no\":false,"
    "\"nothing\":null,\"my-ext\":\"dash\",\"empty\":\"\",\"nul\":\"a\\u0000b\",\"data\":{\"x\":1},"
    "\"list\":[1],\"last\":7}";

static struct ce_event *event_of(const char *body)
{
    struct ce_event *event = NULL;
    assert_int_equal(ce_event_new(fl_slice_str(body), FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
    return event;
}

static enum fl_err compile(const char *text, struct fl_error *error)
{
    struct route_expression *expression = NULL;
    enum fl_err err = route_expression_new(fl_slice_str(text), &expression, error);
    assert_true((err == FL_OK) == (expression != NULL));
    route_expression_free(&expression);
    return err;
}

/* 1, 0, or -1 for an error at run time. */
static int evaluate(const char *text, const char *body, struct fl_error *error)
{
    struct route_expression *expression = NULL;
    struct fl_error why = {0};
    if (route_expression_new(fl_slice_str(text), &expression, &why))
        fail_msg("%s: %s", text, why.text);
    struct ce_event *event = event_of(body);
    bool result = false;
    enum fl_err err = route_expression_eval(expression, event, &result, error);
    ce_event_release(&event);
    route_expression_free(&expression);
    return err ? -1 : result;
}

static void compares_attributes_with_literals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"event.type == \"order.created\"", 1},
        {"event.type == 'order.created'", 1},
        {"event[\"type\"] == 'order.created'", 1},
        {"'order.created' == event.type", 1},
        {"\"order.created\"==event['type']", 1},
        {"event.type == \"order\"", 0},
        {"event.type == \"\"", 0},
        {"event.empty == \"\"", 1},
        {" \t\n(event.type) == ((\"order.created\")) // a comment", 1},
        {"((event.type == 'order.created'))", 1},
        {"event.type == '''order.created'''", 1},
        {"event.type == r\"order.created\"", 1},
        {"event.type == R'order\\.created'", 0},
        {"event.type == 'order\\x2ecreated'", 1},
        {"event.type == 'order\\056created'", 1},
        {"event.source == 'say \\\"hi\\\" \\u00e9'", 1},
        {"event.source == 'say \"hi\" \\U000000e9'", 1},
        {"event.source == \"\"\"say \"hi\" é\"\"\"", 1},
        {"event.nul == 'a\\x00b'", 1},
        {"event.nul == 'a'", 0},
        {"event['my-ext'] == 'dash'", 1},
        {"event.retries == 3", 1},
        {"event.retries == 3.0", 1},
        {"event.retries == 3u", 1},
        {"event.retries == 0x3", 1},
        {"event.retries == 4", 0},
        {"event.negative == -3", 1},
        {"-3 == event.negative", 1},
        {"event.ratio == 1.5", 1},
        {"event.ratio == 15e-1", 1},
        {"event.last == 7", 1},
        {"event.big == 9007199254740992", 1},
        {"event.retries == -9223372036854775808", 0},
        {"event.retries == 18446744073709551615u", 0},
        {"event.retries == .5", 0},
        {"event.ok == true", 1},
        {"event.ok == false", 0},
        {"event.no == false", 1},
        {"event.nothing == null", 1},
        {"event.type == null", 0},
        {"event.type == 5", 0},
        {"event.retries == \"3\"", 0},
        {"event.ok == 1", 0},
        {"event.data == 'x'", 0},
        {"event.list == 1", 0},
        {"true", 1},
        {"false", 0},
        {"((true))", 1},
        {" false // never", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (evaluate(cases[i].text, BODY, NULL) != cases[i].result)
            fail_msg("%s is not %d", cases[i].text, cases[i].result);
    }
}

static void a_missing_attribute_is_an_error_with_its_name(void **state)
{
    (void)state;
    struct fl_error error = {0};
    assert_int_equal(evaluate("event.missing == 'x'", BODY, &error), -1);
    assert_int_equal(error.code, FL_ERR_NOT_FOUND);
    assert_string_equal(error.text, "no such key: missing");
    assert_int_equal(evaluate("event.subject == 'x'", BODY, &error), -1);
    assert_string_equal(error.text, "no such key: subject");
    assert_int_equal(evaluate("event.type == 'x'", "null", &error), -1);
    assert_string_equal(error.text, "no such key: type");
    assert_int_equal(evaluate("event.type == 'x'", "no JSON", &error), -1);
}

static void refuses_the_rest_of_the_language_saying_what_it_takes(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "event.type != 'x'",
        "event.type == 'x' && event.id == '1'",
        "event.type == 'x' || true",
        "!(event.type == 'x')",
        "has(event.type)",
        "event.data.x == 1",
        "event.data['x'] == 1",
        "event['data'][0] == 1",
        "event.type.startsWith('x')",
        "event.retries > 1",
        "event.type in ['a']",
        "event.type == event.id",
        "'a' == 'a'",
        "'a' == 1",
        "event.ok",
        "null",
        "foo",
        "foo == 1",
        "event.type == order",
        "event == null",
        "event.type == b'x'",
        "event.type == br'x'",
        "event.type == 'x' == true",
        "(event.type == 'x') == true",
        "event.in == 'x'",
        "event.true == 'x'",
        "event[0] == 'x'",
        "- event.retries == 1",
        "--1 == event.retries",
        "event.retries == 1 + 2",
        "event.type == {'a': 1}",
        "event.type ? true : false",
        ")",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_error error = {0};
        if (compile(cases[i], &error) != FL_ERR_UNSUPPORTED)
            fail_msg("%s: %s", cases[i], error.text);
        assert_int_equal(error.class, FL_CLASS_REJECT);
        assert_non_null(strstr(error.text, "event.type == \"text\""));
    }
}

static void refuses_mistakes_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "column 1: the expression ends too early"},
        {"event", "column 6: the expression ends too early"},
        {"event.type ==", "column 14: the expression ends too early"},
        {"(event.type == 'x'", "column 19: the expression ends too early"},
        {"event.type = 'x'", "column 12: \"=\" is no operator"},
        {"event.type == 'é\\q'", "column 17: this escape is none of"},
        {"event.type == '\\u12'", "column 16: this escape is none of"},
        {"event.type == '\\ud800'", "column 16: this escape names no"},
        {"event.type == '\\U00110000'", "column 16: this escape names no"},
        {"event.type == '\\400'", "column 16: this escape is none of"},
        {"event.type == 'x", "column 15: this string does not end"},
        {"event.type == \"\"\"x\"\"", "column 15: this string does not end"},
        {"event.type == 'x\ny'", "column 15: this string does not end"},
        {"event.type == 'x\\", "column 17: this escape is none of"},
        {"event.type == `x`", "column 15: this character has no meaning"},
        {"event.type == #", "column 15: this character has no meaning"},
        {"event.type & 'x'", "column 12: this character has no meaning"},
        {"event.retries == 99999999999999999999", "column 18: this number does not fit"},
        {"event.retries == 9223372036854775809", "column 18: this number does not fit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_error error = {0};
        if (compile(cases[i].text, &error) != FL_ERR_INVALID ||
            strncmp(error.text, cases[i].said, strlen(cases[i].said)) != 0)
            fail_msg("%s: %s", cases[i].text, error.text);
    }
}

static void bounds_length_and_depth(void **state)
{
    (void)state;
    struct fl_error error = {0};
    size_t len = ROUTE_EXPRESSION_MAX_BYTES + 1;
    char *text = fl_alloc(len + 1);
    memset(text, '(', len);
    text[len] = 0;
    assert_int_equal(compile(text, &error), FL_ERR_TOO_LARGE);
    text[len - 1] = 0;
    assert_int_equal(compile(text, &error), FL_ERR_TOO_LARGE);
    assert_non_null(strstr(error.text, "nested deeper than 32"));
    memset(text, ' ', len - 1);
    memcpy(text, "event.id == '1'", 15);
    assert_int_equal(compile(text, &error), FL_OK);
    memset(text + 13, 'x', len - 1 - 14);
    text[len - 2] = '\'';
    assert_int_equal(compile(text, &error), FL_OK);
    fl_free(text);
}

static void refuses_text_that_is_no_utf8(void **state)
{
    (void)state;
    struct fl_error error = {0};
    assert_int_equal(compile("event.type == '\xff'", &error), FL_ERR_INVALID);
    assert_string_equal(error.text, "not valid UTF-8");
    struct route_expression *expression = NULL;
    assert_int_equal(
        route_expression_new(fl_slice_of("event.id == 'x'\0", 16), &expression, &error),
        FL_ERR_INVALID);
    assert_null(expression);
}

/* Every prefix of every kind of expression ends in an answer, never in an assertion. */
static void survives_any_cut(void **state)
{
    (void)state;
    static const char text[] = "((event['a\\u00e9\\101\\x41'])) == -0x1F.5e+10u // end";
    for (size_t from = 0; from < sizeof text; from++) {
        for (size_t to = from; to < sizeof text; to++) {
            struct route_expression *expression = NULL;
            if (route_expression_new(fl_slice_of(text + from, to - from), &expression, NULL))
                assert_null(expression);
            route_expression_free(&expression);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_attributes_with_literals),
        cmocka_unit_test(a_missing_attribute_is_an_error_with_its_name),
        cmocka_unit_test(refuses_the_rest_of_the_language_saying_what_it_takes),
        cmocka_unit_test(refuses_mistakes_with_their_place),
        cmocka_unit_test(bounds_length_and_depth),
        cmocka_unit_test(refuses_text_that_is_no_utf8),
        cmocka_unit_test(survives_any_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
