/* JSON in Go's manner, and base64. The rewritten texts were compared with Go's own on 400,000
 * generated documents when the rewriter was made; the cases here keep the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"

#define TEXT(literal) FL_SLICE_LIT(literal)

static void escapes_strings_as_go(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"plain text of more than sixteen bytes", "\"plain text of more than sixteen bytes\""},
        {"say \"hi\" \\ <b>&", "\"say \\\"hi\\\" \\\\ \\u003cb\\u003e\\u0026\""},
        {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {"é✓😀", "\"é✓😀\""},
        {"\u2027\u2028\u2029\u202a", "\"\u2027\\u2028\\u2029\u202a\""},
        {"a\xff\x80z\xe2\x82", "\"a\\ufffd\\ufffdz\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buffer out = {0};
        ce_json_append_string(&out, fl_slice_str(cases[i][0]));
        assert_string_equal(fl_buffer_cstr(&out), cases[i][1]);
        assert_int_equal(ce_json_string_size(fl_slice_str(cases[i][0])), strlen(cases[i][1]));
        fl_buffer_fini(&out);
    }
    assert_int_equal(ce_json_string_size(FL_SLICE_NULL), 2);
}

/* Every byte at every offset, against one at a time. */
static void escapes_alike_at_every_offset(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char one = (char)byte;
        size_t alone = ce_json_string_size(fl_slice_of(&one, 1));
        for (size_t at = 0; at < 40; at++) {
            char text[40];
            memset(text, 'x', sizeof text);
            text[at] = one;
            assert_int_equal(ce_json_string_size(fl_slice_of(text, 40)), alone + 39);
        }
    }
}

static void writes_keys_with_their_commas(void **state)
{
    (void)state;
    struct fl_buffer out = {0};
    fl_buffer_append_byte(&out, '{');
    ce_json_append_key(&out, "a");
    fl_buffer_append_str(&out, "1");
    ce_json_append_key(&out, "b<");
    fl_buffer_append_str(&out, "2}");
    assert_string_equal(fl_buffer_cstr(&out), "{\"a\":1,\"b\\u003c\":2}");
    fl_buffer_fini(&out);
}

static void formats_doubles_as_go(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-7, "-7"},
        {1.5, "1.5"},
        {0.1, "0.1"},
        {0.05, "0.05"},
        {1e-6, "0.000001"},
        {1e-7, "1e-7"},
        {9.99e-7, "9.99e-7"},
        {1e20, "100000000000000000000"},
        {1e21, "1e+21"},
        {1.234e300, "1.234e+300"},
        {12345678901234567890.0, "12345678901234567000"},
        {9007199254740993.0, "9007199254740992"},
        {123456.789, "123456.789"},
        {0.30000000000000004, "0.30000000000000004"},
        {5e-324, "5e-324"},
        {-1.7976931348623157e308, "-1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[33];
        text[ce_json_format_double(cases[i].number, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

static void rewrites_as_go(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"null", "null"},
        {" [ 1 , 2.0 , {} , [ ] ] ", "[1,2,{},[]]"},
        {"{\"b\":1,\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}"},
        {"{\"\\u0061\":1,\"a\":2}", "{\"a\":2}"},
        {"{\"n\":12345678901234567890,\"f\":1.0,\"e\":1e21,\"s\":0.0000001}",
         "{\"e\":1e+21,\"f\":1,\"n\":12345678901234567000,\"s\":1e-7}"},
        {"{\"z\":{\"y\":[{\"b\":[],\"a\":{}}],\"x\":\"<\"}}",
         "{\"z\":{\"x\":\"\\u003c\",\"y\":[{\"a\":{},\"b\":[]}]}}"},
        {"\"\\u2028\\u0041\\ud800\xff\"", "\"\\u2028A\xef\xbf\xbd\xef\xbf\xbd\""},
        {"[-0,-0.0,1E2]", "[-0,-0,100]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_json_scan scan = {0};
        struct fl_buffer out = {0};
        assert_int_equal(ce_json_scan(fl_slice_str(cases[i][0]), &scan), FL_OK);
        assert_int_equal(ce_json_try_rewrite(&out, scan.value), FL_OK);
        assert_string_equal(fl_buffer_cstr(&out), cases[i][1]);
        fl_buffer_fini(&out);
    }
    struct fl_buffer out = {0};
    fl_buffer_append_str(&out, "before");
    assert_int_equal(ce_json_try_rewrite(&out, TEXT("[1,1e400]")), FL_ERR_INVALID);
    assert_int_equal(out.len, 6);
    fl_buffer_fini(&out);
}

/* The deepest document with two members a level: quadratic work would take minutes. */
static void rewrites_deep_documents_in_time(void **state)
{
    (void)state;
    struct fl_buffer text = {0}, out = {0};
    for (int i = 0; i < CE_JSON_MAX_DEPTH - 1; i++)
        fl_buffer_append_str(&text, "{\"b\":");
    fl_buffer_append_byte(&text, '[');
    for (int i = 0; i < 500000; i++)
        fl_buffer_append_str(&text, "1,");
    fl_buffer_append_str(&text, "1]");
    for (int i = 0; i < CE_JSON_MAX_DEPTH - 1; i++)
        fl_buffer_append_str(&text, ",\"a\":1}");
    struct ce_json_scan scan = {0};
    assert_int_equal(ce_json_scan(fl_buffer_slice(&text), &scan), FL_OK);
    assert_int_equal(ce_json_try_rewrite(&out, scan.value), FL_OK);
    assert_int_equal(out.len, text.len);
    assert_memory_equal(out.data, "{\"a\":1,\"b\":{\"a\":1,\"b\":", 22);
    fl_buffer_fini(&text);
    fl_buffer_fini(&out);
}

static void repairs_only_what_is_bad(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"a\":\"x\xff\xfey\"}", "{\"a\":\"x\xef\xbf\xbd\xef\xbf\xbdy\"}"},
        {"[\"\\ud83d\\ude00\\ud83d\", 1.50]", "[\"\\ud83d\\ude00\xef\xbf\xbd\", 1.50]"},
        {"\"\\\\ud800 \\u0041\"", "\"\\\\ud800 \\u0041\""},
        {"\"\\ude00\\\"\"", "\"\xef\xbf\xbd\\\"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[100];
        struct fl_slice value = fl_slice_str(cases[i][0]);
        *ce_json_put_repaired(out, value) = '\0';
        assert_string_equal(out, cases[i][1]);
        assert_int_equal(ce_json_repaired_size(value), strlen(out));
    }
}

static void base64_both_ways(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buffer out = {0}, back = {0};
        ce_base64_append(&out, fl_slice_str(cases[i][0]));
        assert_true(fl_slice_eq_str(fl_buffer_slice(&out), cases[i][1]));
        assert_int_equal(ce_base64_try_decode(fl_buffer_slice(&out), false, &back, NULL), FL_OK);
        assert_true(fl_slice_eq_str(fl_buffer_slice(&back), cases[i][0]));
        fl_buffer_fini(&out);
        fl_buffer_fini(&back);
    }
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool skips;
        size_t bad_at; /* 99: valid */
    } cases[] = {
        {"AA", false, 0},         {"AA=", false, 3},    {"A===", false, 1},
        {"-_8=", false, 0},       {"AA EC", false, 2},  {"AAEC\nAAEC", false, 4},
        {"AAEC\nAAEC", true, 99}, {"AA==AA", false, 4}, {"\r\nAA\n=\n=\n", true, 99},
        {"AAE=x", false, 4},      {"=", false, 0},      {"AAECA", false, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buffer out = {0};
        size_t bad_at = 99;
        enum fl_err err =
            ce_base64_try_decode(fl_slice_str(cases[i].text), cases[i].skips, &out, &bad_at);
        assert_int_equal(err, cases[i].bad_at == 99 ? FL_OK : FL_ERR_INVALID);
        assert_int_equal(bad_at, cases[i].bad_at);
        assert_true(err == FL_OK || out.len == 0);
        fl_buffer_fini(&out);
    }
}

static void fails_politely_at_every_allocation(void **state)
{
    (void)state;
    struct fl_slice value = TEXT("{\"b\":[1.25,\"\\u0041\",{}],\"\\u0061\":12345678901234567890}");
    enum fl_err err = FL_ERR_NO_MEMORY;
    unsigned nth;
    for (nth = 1; err == FL_ERR_NO_MEMORY; nth++) {
        struct fl_buffer out = {0};
        fl_alloc_fail_at(nth);
        err = ce_json_try_rewrite(&out, value);
        fl_alloc_fail_at(0);
        assert_true(err == FL_OK || out.len == 0);
        fl_buffer_fini(&out);
    }
    assert_int_equal(err, FL_OK);
    assert_true(nth > 5);
    struct fl_buffer out = {0};
    fl_alloc_fail_at(1);
    assert_int_equal(ce_json_try_string(&out, TEXT("x")), FL_ERR_NO_MEMORY);
    fl_alloc_fail_at(1);
    assert_int_equal(ce_base64_try_decode(TEXT("AAAA"), false, &out, NULL), FL_ERR_NO_MEMORY);
    fl_alloc_fail_at(0);
    fl_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_strings_as_go),
        cmocka_unit_test(escapes_alike_at_every_offset),
        cmocka_unit_test(writes_keys_with_their_commas),
        cmocka_unit_test(formats_doubles_as_go),
        cmocka_unit_test(rewrites_as_go),
        cmocka_unit_test(rewrites_deep_documents_in_time),
        cmocka_unit_test(repairs_only_what_is_bad),
        cmocka_unit_test(base64_both_ways),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(fails_politely_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
