/* Cross-origin requests: which lines an answer carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/api_cors.h"

#define VARY                                                                                       \
    "Vary: Origin\r\nVary: Access-Control-Request-Method\r\n"                                      \
    "Vary: Access-Control-Request-Headers\r\n"

struct ask {
    const char *allowed, *method, *origin, *asked_method, *asked_headers;
};

static void assert_lines(struct ask ask, bool is_preflight, const char *lines)
{
    struct gw_request_fields fields = {.origin = fl_slice_str(ask.origin),
                                       .access_control_method = fl_slice_str(ask.asked_method),
                                       .access_control_headers = fl_slice_str(ask.asked_headers)};
    struct fl_buffer out = {0};
    assert_int_equal(
        gw_cors_apply(fl_slice_str(ask.allowed), fl_slice_str(ask.method), &fields, &out),
        is_preflight);
    assert_string_equal(fl_buffer_cstr(&out), lines);
    fl_buffer_fini(&out);
}

static bool allows(const char *list, const char *origin)
{
    struct gw_request_fields fields = {.origin = fl_slice_str(origin)};
    struct fl_buffer out = {0};
    gw_cors_apply(fl_slice_str(list), FL_SLICE_LIT("POST"), &fields, &out);
    bool is_allowed = strstr(fl_buffer_cstr(&out), "Allow-Origin") != NULL;
    fl_buffer_fini(&out);
    return is_allowed;
}

static void actual_requests_vary_by_origin(void **state)
{
    (void)state;
    assert_lines((struct ask){"*", "POST", NULL, NULL, NULL}, false, "Vary: Origin\r\n");
    assert_lines((struct ask){"*", "POST", "http://a", NULL, NULL}, false,
                 "Vary: Origin\r\nAccess-Control-Allow-Origin: *\r\n");
    assert_lines((struct ask){"http://a", "GET", "HTTP://A", "POST", NULL}, false,
                 "Vary: Origin\r\nAccess-Control-Allow-Origin: HTTP://A\r\n");
    assert_lines((struct ask){"http://a", "GET", "http://b", NULL, NULL}, false,
                 "Vary: Origin\r\n");
    assert_lines((struct ask){"*", "OPTIONS", "http://a", NULL, NULL}, false,
                 "Vary: Origin\r\nAccess-Control-Allow-Origin: *\r\n");
}

static void preflights_are_answered(void **state)
{
    (void)state;
    assert_lines((struct ask){"*", "OPTIONS", "http://a", "post", "x-b,CONTENT-type"}, true,
                 VARY "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: POST\r\n"
                      "Access-Control-Allow-Headers: X-B, Content-Type\r\n");
    assert_lines((struct ask){"http://a", "OPTIONS", "http://a", "DELETE", NULL}, true,
                 VARY "Access-Control-Allow-Origin: http://a\r\n"
                      "Access-Control-Allow-Methods: DELETE\r\n");
    assert_lines((struct ask){"http://a", "OPTIONS", "http://b", "POST", "X"}, true, VARY);
    assert_lines((struct ask){"*", "OPTIONS", NULL, "POST", NULL}, true, VARY);
    assert_lines((struct ask){"*", "OPTIONS", "http://a", "TRACE", NULL}, true, VARY);
}

static void origins_are_listed_literally(void **state)
{
    (void)state;
    assert_true(allows("http://a,http://b", "http://b"));
    assert_false(allows("http://a, http://b", "http://b"));
    assert_true(allows("null", "null"));
    assert_true(allows("https://*.example.com", "https://x.y.example.com"));
    assert_true(allows("https://*.example.com", "https://.EXAMPLE.com"));
    assert_false(allows("https://*.example.com", "https://example.com"));
    assert_false(allows("https://*.example.com", "https://x.example.com.evil"));
    assert_false(allows("ab*ba", "aba"));
    assert_false(allows(",", "http://a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actual_requests_vary_by_origin),
        cmocka_unit_test(preflights_are_answered),
        cmocka_unit_test(origins_are_listed_literally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
