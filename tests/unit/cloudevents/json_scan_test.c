/* The scanner: what is valid, what is flagged, and what walks and tokens give back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cloudevents/json_scan.h"

struct text_case {
    struct fl_slice text;
    unsigned flags;
};

#define TEXT(literal) FL_SLICE_LIT(literal)

static void accepts_what_the_grammar_allows(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {{"{}", 2}, 0},
        {{"[]", 2}, 0},
        {{" \t\r\n[ ]\n", 8}, 0},
        {{"\"\"", 2}, 0},
        {{"0", 1}, 0},
        {{"-0", 2}, 0},
        {{"-0.5e+10", 8}, 0},
        {{"1E5", 3}, 0},
        {{"true", 4}, 0},
        {{"false", 5}, 0},
        {{"null", 4}, 0},
        {{"{\"\":[{\"a\":[]},1]}", 17}, 0},
        {{"\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 24}, 0},
        {{"\"\\ud83d\\ude00\"", 14}, 0},
        {{"\"\xf0\x9f\x98\x80\x7f\"", 7}, 0},
        {{"1 x", 3}, CE_JSON_TRAILING},
        {{"{}{}", 4}, CE_JSON_TRAILING},
        {{"\"\xff\"", 3}, CE_JSON_BAD_TEXT},
        {{"\"\xc0\xaf\"", 4}, CE_JSON_BAD_TEXT},
        {{"\"\xed\xa0\x80\"", 5}, CE_JSON_BAD_TEXT},
        {{"\"\\ud800\"", 8}, CE_JSON_BAD_TEXT},
        {{"\"\\ude00\\ud800\"", 14}, CE_JSON_BAD_TEXT},
        {{"[1e400]", 7}, CE_JSON_HUGE_NUMBER},
        {{"-1e309", 6}, CE_JSON_HUGE_NUMBER},
        {{"1e99999999999999999999", 22}, CE_JSON_HUGE_NUMBER},
        {{"0e99999999999999999999", 22}, 0},
        {{"1e-99999999999999999999", 23}, 0},
        {{"1.7976931348623157e308", 22}, 0},
        {{"1.7976931348623158e308", 22}, 0},
        {{"1.7976931348623159e308", 22}, CE_JSON_HUGE_NUMBER},
        {{"0.00017976931348623159e312", 26}, CE_JSON_HUGE_NUMBER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_json_scan scan = {0};
        assert_int_equal(ce_json_scan(cases[i].text, &scan), FL_OK);
        assert_int_equal(scan.flags, cases[i].flags);
    }
}

static void rejects_what_the_grammar_forbids(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_cut;
        size_t at;
    } cases[] = {
        {"", true, 0},
        {"  ", true, 2},
        {"{", true, 1},
        {"[1", true, 2},
        {"\"x", true, 2},
        {"tru", true, 3},
        {"-", true, 1},
        {"1.", true, 2},
        {"1e", true, 2},
        {"1e+", true, 3},
        {"{\"a\"", true, 4},
        {"{\"a\":", true, 5},
        {"\"\\u12", true, 5},
        {"\"\\", true, 2},
        {"hello", false, 0},
        {"TRUE", false, 0},
        {"NaN", false, 0},
        {"{'a':1}", false, 1},
        {"[1,]", false, 3},
        {"{\"a\":1,}", false, 7},
        {"{,}", false, 1},
        {"[1 2]", false, 3},
        {"{\"a\" 1}", false, 5},
        {"[1}", false, 2},
        {"{1:2}", false, 1},
        {"+1", false, 0},
        {".5", false, 0},
        {"[1.]", false, 3},
        {"[01]", false, 2},
        {"[0x1]", false, 2},
        {"\"\t\"", false, 1},
        {"\"\x01\"", false, 1},
        {"\"\\x\"", false, 2},
        {"\"\\u00g0\"", false, 5},
        {"\xef\xbb\xbf{}", false, 0},
        {"]", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_json_scan scan = {0};
        assert_int_equal(ce_json_scan(fl_slice_str(cases[i].text), &scan), FL_ERR_INVALID);
        assert_int_equal(scan.is_cut, cases[i].is_cut);
        assert_int_equal(scan.stopped_at, cases[i].at);
    }
    struct ce_json_scan scan = {0};
    assert_int_equal(ce_json_scan(FL_SLICE_NULL, &scan), FL_ERR_INVALID);
    assert_int_equal(ce_json_scan(fl_slice_of("1\0", 2), &scan), FL_OK);
    assert_true(scan.flags & CE_JSON_TRAILING);
    assert_int_equal(ce_json_scan(fl_slice_of("\"\0\"", 3), &scan), FL_ERR_INVALID);
}

static enum fl_err scan_depth(unsigned depth, bool is_object, unsigned max_depth)
{
    size_t unit = is_object ? 5 : 1;
    char *text = malloc(depth * (unit + 1) + 1);
    size_t len = 0;
    for (unsigned i = 0; i < depth; i++) {
        memcpy(text + len, is_object ? "{\"a\":" : "[", unit);
        len += unit;
    }
    if (is_object)
        text[len++] = '1';
    for (unsigned i = 0; i < depth; i++)
        text[len++] = is_object ? '}' : ']';
    struct ce_json_scan scan = {.max_depth = max_depth};
    enum fl_err err = ce_json_scan(fl_slice_of(text, len), &scan);
    free(text);
    return err;
}

static void takes_ten_thousand_levels_and_no_more(void **state)
{
    (void)state;
    for (int is_object = 0; is_object < 2; is_object++) {
        assert_int_equal(scan_depth(10000, is_object, 0), FL_OK);
        assert_int_equal(scan_depth(10001, is_object, 0), FL_ERR_INVALID);
        assert_int_equal(scan_depth(10001, is_object, CE_JSON_MAX_DEPTH + 1), FL_OK);
        assert_int_equal(scan_depth(10002, is_object, 1000000), FL_ERR_INVALID);
        assert_int_equal(scan_depth(1, is_object, 1), FL_OK);
        assert_int_equal(scan_depth(2, is_object, 1), FL_ERR_INVALID);
    }
}

/* Objects and arrays in turn, so that every bit matters. */
static void remembers_the_kind_of_every_level(void **state)
{
    (void)state;
    char text[2000];
    size_t len = 0;
    for (int i = 0; i < 150; i++)
        len += (size_t)sprintf(text + len, i % 3 ? "{\"k\":" : "[");
    text[len++] = '1';
    for (int i = 149; i >= 0; i--)
        text[len++] = i % 3 ? '}' : ']';
    struct ce_json_scan scan = {0};
    assert_int_equal(ce_json_scan(fl_slice_of(text, len), &scan), FL_OK);
    text[len - 2] = text[len - 2] == '}' ? ']' : '}';
    assert_int_equal(ce_json_scan(fl_slice_of(text, len), &scan), FL_ERR_INVALID);
}

/* A quote, a control character and a bad byte at every offset of a long string. */
static void finds_bytes_at_every_offset(void **state)
{
    (void)state;
    for (size_t len = 1; len < 70; len++) {
        for (size_t i = 0; i < len; i++) {
            char text[80] = "\"";
            struct ce_json_scan scan = {0};
            memset(text + 1, 'x', len);
            text[len + 1] = '"';
            struct fl_slice whole = fl_slice_of(text, len + 2);
            text[i + 1] = '\x1f';
            assert_int_equal(ce_json_scan(whole, &scan), FL_ERR_INVALID);
            assert_int_equal(scan.stopped_at, i + 1);
            text[i + 1] = '\x80';
            assert_int_equal(ce_json_scan(whole, &scan), FL_OK);
            assert_int_equal(scan.flags, CE_JSON_BAD_TEXT);
            text[i + 1] = '"';
            assert_int_equal(ce_json_scan(whole, &scan), FL_OK);
            assert_int_equal(scan.value.len, i + 2);
        }
    }
}

struct seen {
    char text[200];
};

static void on_member(void *context, struct fl_slice key, struct fl_slice value)
{
    struct seen *seen = context;
    size_t len = strlen(seen->text);
    snprintf(seen->text + len, sizeof seen->text - len, "%.*s=%.*s;", FL_SLICE_ARG(key),
             FL_SLICE_ARG(value));
}

static void reports_the_outermost_members(void **state)
{
    (void)state;
    struct seen seen = {""};
    struct ce_json_scan scan = {.on_member = on_member, .context = &seen};
    struct fl_slice text = TEXT(" { \"a\" : 1 , \"b\":{\"c\":[1,{}]} ,\"d\":[ ]\n} ");
    assert_int_equal(ce_json_scan(text, &scan), FL_OK);
    assert_string_equal(seen.text, "\"a\"=1;\"b\"={\"c\":[1,{}]};\"d\"=[ ];");
    seen.text[0] = '\0';
    assert_int_equal(ce_json_scan(TEXT("[1 ,[2],\"x\"]"), &scan), FL_OK);
    assert_string_equal(seen.text, "=1;=[2];=\"x\";");
    seen.text[0] = '\0';
    assert_int_equal(ce_json_scan(TEXT("7"), &scan), FL_OK);
    assert_string_equal(seen.text, "");
}

static void walks_and_finds(void **state)
{
    (void)state;
    struct fl_slice text =
        TEXT("{\"a\":1,\"b\" : \"x\\\"}\" , \"\\u0061\":[1,{\"z\":\"]\"}],\"EntryID\":true}");
    struct fl_slice key, value;
    struct ce_json_walk walk;
    static const char *const values[] = {"1", "\"x\\\"}\"", "[1,{\"z\":\"]\"}]", "true"};
    ce_json_walk_init(&walk, text);
    for (int i = 0; i < 4; i++) {
        assert_true(ce_json_walk_next(&walk, &key, &value));
        assert_true(fl_slice_eq_str(value, values[i]));
    }
    assert_true(fl_slice_eq_str(key, "\"EntryID\""));
    assert_false(ce_json_walk_next(&walk, &key, &value));
    assert_true(fl_slice_eq_str(ce_json_find(text, TEXT("a")), values[2]));
    assert_true(fl_slice_is_null(ce_json_find(text, TEXT("entryId"))));
    assert_true(fl_slice_eq_str(ce_json_find_nocase(text, "entryId"), "true"));
    assert_true(fl_slice_is_null(ce_json_find(TEXT("[\"a\"]"), TEXT("a"))));
    ce_json_walk_init(&walk, TEXT("[ 1, 2 ]"));
    assert_true(ce_json_walk_next(&walk, NULL, &value));
    assert_true(ce_json_walk_next(&walk, &key, &value));
    assert_true(fl_slice_is_null(key) && fl_slice_eq_str(value, "2"));
    assert_false(ce_json_walk_next(&walk, &key, &value));
    ce_json_walk_init(&walk, TEXT("\"scalar\""));
    assert_false(ce_json_walk_next(&walk, &key, &value));
}

static void decodes_strings_as_go(void **state)
{
    (void)state;
    static const struct {
        const char *token, *text;
    } cases[] = {
        {"\"\"", ""},
        {"\"abc\"", "abc"},
        {"\"\\u00e9\\ud83d\\ude00\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "é😀\n\t\"\\/\b\f\r"},
        {"\"\\ud800\"", "\xef\xbf\xbd"},
        {"\"\\ud800x\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd😀"},
        {"\"\\ude00\\n\"", "\xef\xbf\xbd\n"},
        {"\"x\xff\xfey\"", "x\xef\xbf\xbd\xef\xbf\xbdy"},
        {"\"\xed\xa0\x80\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"5", ""},
    };
    struct fl_arena arena = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_slice token = fl_slice_str(cases[i].token);
        struct fl_buffer out = {0};
        assert_int_equal(ce_json_try_decode(token, &out), FL_OK);
        assert_true(fl_slice_eq_str(fl_buffer_slice(&out), cases[i].text));
        assert_true(fl_slice_eq_str(ce_json_decode_in(&arena, token), cases[i].text));
        assert_int_equal(ce_json_equals(token, fl_buffer_slice(&out)), token.data[0] == '"');
        assert_false(ce_json_equals(token, TEXT("something else")));
        fl_buffer_fini(&out);
    }
    assert_true(fl_slice_is_null(ce_json_decode_in(&arena, TEXT("true"))));
    fl_arena_fini(&arena);
    struct fl_buffer out = {0};
    fl_alloc_fail_at(1);
    assert_int_equal(ce_json_try_decode(TEXT("\"abc\""), &out), FL_ERR_NO_MEMORY);
    fl_alloc_fail_at(0);
    assert_int_equal(out.len, 0);
    fl_buffer_fini(&out);
}

static void compares_keys_as_go(void **state)
{
    (void)state;
    assert_true(ce_json_equals_nocase(TEXT("\"ENTRYID\""), TEXT("entryId")));
    assert_true(ce_json_equals_nocase(TEXT("\"\\u0065ntryid\""), TEXT("entryId")));
    assert_true(ce_json_equals_nocase(TEXT("\"\xc5\xbftatus\""), TEXT("status")));
    assert_true(ce_json_equals_nocase(TEXT("\"bul\xe2\x84\xaa\""), TEXT("bulk")));
    assert_true(ce_json_equals_nocase(TEXT("\"\""), TEXT("")));
    assert_false(ce_json_equals_nocase(TEXT("\"entry\""), TEXT("entryId")));
    assert_false(ce_json_equals_nocase(TEXT("{}"), TEXT("")));
    assert_false(ce_json_equals_nocase(TEXT("5"), TEXT("5")));
    char long_key[300];
    memset(long_key, 'a', sizeof long_key);
    long_key[0] = long_key[299] = '"';
    assert_false(ce_json_equals_nocase(fl_slice_of(long_key, 300), TEXT("a")));
}

static void reads_integers(void **state)
{
    (void)state;
    int64_t n = 0;
    assert_true(ce_json_to_i64(TEXT("-9223372036854775808"), &n) && n == INT64_MIN);
    assert_true(ce_json_to_i64(TEXT("9223372036854775807"), &n) && n == INT64_MAX);
    assert_true(ce_json_to_i64(TEXT("0"), &n) && n == 0);
    assert_false(ce_json_to_i64(TEXT("9223372036854775808"), &n));
    assert_false(ce_json_to_i64(TEXT("1.0"), &n));
    assert_false(ce_json_to_i64(TEXT("1e3"), &n));
    assert_false(ce_json_to_i64(TEXT("\"1\""), &n));
    assert_false(ce_json_to_i64(FL_SLICE_NULL, &n));
}

static void explains_a_failure(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"  ", "EOF"},
                                           {"{\"a\": \"", "unexpected EOF"},
                                           {"hello", "invalid character 'h' at byte 0"},
                                           {"[\x01", "invalid character '\\x01' at byte 1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_json_scan scan = {0};
        struct fl_error error;
        struct fl_slice text = fl_slice_str(cases[i][0]);
        assert_int_equal(ce_json_scan(text, &scan), FL_ERR_INVALID);
        assert_int_equal(ce_json_explain(text, &scan, &error), FL_ERR_INVALID);
        assert_string_equal(error.text, cases[i][1]);
        assert_int_equal(error.class, FL_CLASS_REJECT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_grammar_allows),
        cmocka_unit_test(rejects_what_the_grammar_forbids),
        cmocka_unit_test(takes_ten_thousand_levels_and_no_more),
        cmocka_unit_test(remembers_the_kind_of_every_level),
        cmocka_unit_test(finds_bytes_at_every_offset),
        cmocka_unit_test(reports_the_outermost_members),
        cmocka_unit_test(walks_and_finds),
        cmocka_unit_test(decodes_strings_as_go),
        cmocka_unit_test(compares_keys_as_go),
        cmocka_unit_test(reads_integers),
        cmocka_unit_test(explains_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
