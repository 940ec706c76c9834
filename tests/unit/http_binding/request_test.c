/* Calls as requests, and requests after redirects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "connectors/http/request.h"

#define JSON "application/json; charset=utf-8"

static struct cn_http_settings settings;
static struct cn_http_request request;
static struct fl_error error;
static struct ce_metadata rows[600];
static size_t row_count;

static int set_up(void **state)
{
    (void)state;
    settings =
        (struct cn_http_settings){.url = FL_SLICE_LIT("http://h/b"), .is_status_checked = true};
    request = (struct cn_http_request){0};
    row_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cn_http_request_fini(&request);
    return 0;
}

static void add(const char *key, const char *value)
{
    rows[row_count++] = (struct ce_metadata){fl_slice_str(key), fl_slice_str(value)};
}

static enum fl_err make(const char *operation)
{
    struct connector_call call = {
        .operation = fl_slice_str(operation),
        .metadata = rows,
        .metadata_count = row_count,
    };
    cn_http_request_fini(&request);
    return cn_http_request_init(&request, &settings, &call, &error);
}

static void assert_field(const char *name, const char *value)
{
    struct fl_slice got = cn_http_fields_get(&request.fields, name);
    if (!value)
        assert_true(fl_slice_is_null(got));
    else
        assert_string_equal(got.data, value);
}

static void each_operation_has_its_method(void **state)
{
    (void)state;
    const char *const methods[] = {"POST",  "GET",    "HEAD",    "POST", "PUT",
                                   "PATCH", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; cn_http_operations[i]; i++) {
        assert_int_equal(make(cn_http_operations[i]), FL_OK);
        assert_string_equal(request.method, methods[i]);
        assert_int_equal(request.has_body, methods[i][0] == 'P');
        assert_field("Content-Type", methods[i][0] == 'P' ? JSON : NULL);
        assert_field("Accept", JSON);
    }
    assert_int_equal(make("Create"), FL_ERR_UNSUPPORTED);
}

static void capital_keys_are_fields(void **state)
{
    (void)state;
    add("X-A", " 1\t");
    add("Accept", "text/x");
    add("Content-Type", "text/y");
    add("x-b", "2");
    add("aX", "3");
    add("\xc3\x89", "4");
    add("Path", "/p");
    add("Empty", "");
    assert_int_equal(make("get"), FL_OK);
    assert_field("X-A", "1");
    assert_field("Accept", "text/x");
    assert_field("Content-Type", "text/y");
    assert_field("Path", "/p");
    assert_field("Empty", "");
    assert_field("x-b", NULL);
    assert_field("aX", NULL);
    assert_string_equal(request.url, "http://h/b");
}

static void a_key_given_twice_counts_once(void **state)
{
    (void)state;
    add("X-A", "1");
    add("X-a", "2");
    assert_int_equal(make("get"), FL_OK);
    size_t count = 0;
    for (size_t i = 0; i < request.fields.count; i++)
        count += fl_slice_starts_with_nocase(fl_slice_str(request.fields.items[i].line),
                                             FL_SLICE_LIT("x-a:"));
    assert_int_equal(count, 1);
    assert_field("X-A", "2");
}

static void framing_is_not_the_callers(void **state)
{
    (void)state;
    add("Host", "evil");
    add("HOST", "evil");
    add("Content-Length", "1");
    add("Transfer-Encoding", "chunked");
    add("Trailer", "X");
    assert_int_equal(make("post"), FL_OK);
    assert_field("Host", NULL);
    assert_field("Content-Length", NULL);
    assert_field("Transfer-Encoding", NULL);
    assert_field("Trailer", NULL);
}

static void lines_cannot_be_broken(void **state)
{
    (void)state;
    const char *const values[] = {"a\r\nX: 1", "a\nb", "a\rb", "a\x01", "a\x7f"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        row_count = 0;
        add("X-Secret", values[i]);
        assert_int_equal(make("get"), FL_ERR_INVALID);
        assert_null(strstr(error.text, "\n"));
        assert_non_null(strstr(error.text, "X-Secret"));
    }
    const char *const names[] = {"X\r\nY", "X Y", "X:", "X\xc3\xa9", "X\x01"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        row_count = 0;
        add(names[i], "1");
        assert_int_equal(make("get"), FL_ERR_INVALID);
        assert_null(strstr(error.text, "\n"));
    }
    /* Bytes beyond ASCII and tabs are values. */
    row_count = 0;
    add("X-A", "\xc3\xa9\t\xff");
    assert_int_equal(make("get"), FL_OK);
}

static void a_zero_byte_is_no_end_of_a_value(void **state)
{
    (void)state;
    rows[row_count++] = (struct ce_metadata){FL_SLICE_LIT("X-A"), FL_SLICE_LIT("a\0b")};
    assert_int_equal(make("get"), FL_ERR_INVALID);
    row_count = 0;
    rows[row_count++] = (struct ce_metadata){FL_SLICE_LIT("path"), FL_SLICE_LIT("a\0b")};
    assert_int_equal(make("get"), FL_ERR_INVALID);
}

static void fields_are_bounded(void **state)
{
    (void)state;
    static char names[600][8];
    for (size_t i = 0; i < 600; i++) {
        snprintf(names[i], sizeof names[i], "X-%zu", i);
        add(names[i], "1");
    }
    assert_int_equal(make("get"), FL_ERR_TOO_LARGE);
}

static void the_trace_is_passed_on(void **state)
{
    (void)state;
    add("Traceparent", "theirs");
    add("traceparent", "00-1");
    add("tracestate", "a=b");
    add("baggage", "");
    assert_int_equal(make("get"), FL_OK);
    assert_field("traceparent", "00-1");
    assert_field("tracestate", "a=b");
    assert_field("baggage", NULL);
}

static void the_token_is_the_components(void **state)
{
    (void)state;
    settings.security_token = FL_SLICE_LIT("s");
    add("X-Token", "mine");
    assert_int_equal(make("get"), FL_OK);
    assert_field("X-Token", "mine");
    settings.security_token_header = FL_SLICE_LIT("X-TOKEN");
    assert_int_equal(make("get"), FL_OK);
    assert_field("X-Token", "s");
}

static void the_callers_word_about_statuses_wins(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_checked;
    } cases[] = {{"true", true}, {" YES ", true}, {"1", true},   {"on", true},
                 {"x", false},   {"0", false},    {"no", false}, {" ", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        row_count = 0;
        add("errorIfNot2XX", cases[i].text);
        settings.is_status_checked = !cases[i].is_checked;
        assert_int_equal(make("get"), FL_OK);
        assert_int_equal(request.is_status_checked, cases[i].is_checked);
    }
    row_count = 0;
    add("errorIfNot2XX", "");
    add("ErrorIfNot2xx", "false");
    settings.is_status_checked = true;
    assert_int_equal(make("get"), FL_OK);
    assert_true(request.is_status_checked);
}

static void gzip_is_asked_for_where_it_can_be_undone(void **state)
{
    (void)state;
    assert_int_equal(make("get"), FL_OK);
    assert_true(request.wants_gzip);
    assert_field("Accept-Encoding", "gzip");
    assert_int_equal(make("head"), FL_OK);
    assert_false(request.wants_gzip);
    add("Range", "bytes=0-1");
    assert_int_equal(make("get"), FL_OK);
    assert_false(request.wants_gzip);
    row_count = 0;
    add("Accept-Encoding", "gzip");
    assert_int_equal(make("get"), FL_OK);
    assert_false(request.wants_gzip);
}

static void failures_name_method_and_url(void **state)
{
    (void)state;
    settings.url = FL_SLICE_NULL;
    assert_int_equal(make("get"), FL_ERR_UNSUPPORTED);
    assert_string_equal(error.text, "Get \"\": unsupported protocol scheme \"\"");
    add("path", "p");
    assert_int_equal(make("create"), FL_ERR_UNSUPPORTED);
    assert_string_equal(error.text, "Post \"/p\": unsupported protocol scheme \"\"");
}

/* --- redirects --- */

static void follow(int status, const char *location)
{
    assert_int_equal(cn_http_request_redirect(&request, status, fl_slice_str(location), &error),
                     FL_OK);
}

static void some_statuses_are_redirects(void **state)
{
    (void)state;
    for (int status = 300; status < 310; status++)
        assert_int_equal(cn_http_is_redirect(status), status == 301 || status == 302 ||
                                                          status == 303 || status == 307 ||
                                                          status == 308);
}

static void three_statuses_drop_the_body(void **state)
{
    (void)state;
    for (int status = 301; status <= 303; status++) {
        row_count = 0;
        add("Content-Language", "de");
        assert_int_equal(make("put"), FL_OK);
        follow(status, "/c");
        assert_string_equal(request.method, "GET");
        assert_false(request.has_body);
        assert_field("Content-Type", NULL);
        assert_field("Content-Language", NULL);
        assert_string_equal(request.url, "http://h/c");
        assert_field("Referer", "http://h/b");
    }
}

static void two_statuses_keep_the_body(void **state)
{
    (void)state;
    for (int status = 307; status <= 308; status++) {
        assert_int_equal(make("patch"), FL_OK);
        follow(status, "c?d#e");
        assert_string_equal(request.method, "PATCH");
        assert_true(request.has_body);
        assert_field("Content-Type", JSON);
        assert_memory_equal(request.url, "http://h/c?d", 12);
    }
}

static void secrets_stay_with_their_host(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool stay;
        const char *referer;
    } cases[] = {
        {"http://h/b?k=v", "http://h/c", true, "http://h/b?k=v"},
        {"http://h/b", "http://H:81/c", true, "http://h/b"},
        {"http://h/b", "https://h/c", true, "http://h/b"},
        {"http://h/b", "//h/c", true, "http://h/b"},
        {"http://u:p@h/b?k=v", "http://g/c", false, "http://h/"},
        {"http://h/b", "http://sub.h/c", false, "http://h/"},
        {"https://h/b", "http://h/c", false, NULL},
        {"https://h/b?k", "https://g/c", false, "https://h/"},
    };
    settings.security_token = FL_SLICE_LIT("s");
    settings.security_token_header = FL_SLICE_LIT("X-Token");
    add("Authorization", "a");
    add("Cookie", "c");
    add("Proxy-Authorization", "p");
    add("X-Own", "o");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        settings.url = fl_slice_str(cases[i].from);
        assert_int_equal(make("get"), FL_OK);
        follow(302, cases[i].to);
        assert_field("Authorization", cases[i].stay ? "a" : NULL);
        assert_field("Proxy-Authorization", cases[i].stay ? "p" : NULL);
        assert_field("Cookie", cases[i].stay ? "c" : NULL);
        assert_field("X-Token", cases[i].stay ? "s" : NULL);
        assert_field("X-Own", "o");
        assert_field("Referer", cases[i].referer);
    }
}

static void a_callers_referer_stays(void **state)
{
    (void)state;
    add("Referer", "http://own/");
    assert_int_equal(make("get"), FL_OK);
    follow(302, "/1");
    follow(302, "http://g/2");
    assert_field("Referer", "http://own/");
}

static void ten_requests_are_the_most(void **state)
{
    (void)state;
    assert_int_equal(make("get"), FL_OK);
    for (int i = 0; i < 9; i++)
        follow(302, "/again");
    assert_int_equal(cn_http_request_redirect(&request, 302, FL_SLICE_LIT("/again"), &error),
                     FL_ERR_REFUSED);
    assert_string_equal(error.text, "Get \"http://h/again\": stopped after 10 redirects");
}

static void only_http_is_followed(void **state)
{
    (void)state;
    const char *const locations[] = {"ftp://h/",     "file:///x", "gopher://h",  "mailto:a@b",
                                     "javascript:x", "http://",   "http://a b/", "http://h:99999/"};
    assert_int_equal(make("get"), FL_OK);
    for (size_t i = 0; i < sizeof locations / sizeof *locations; i++) {
        assert_int_equal(
            cn_http_request_redirect(&request, 302, fl_slice_str(locations[i]), &error),
            FL_ERR_INVALID);
        assert_string_equal(request.url, "http://h/b");
    }
}

static void what_a_server_is_called_stays_in_its_line(void **state)
{
    (void)state;
    assert_int_equal(make("get"), FL_OK);
    cn_http_request_fail(&request, FL_ERR_REFUSED, FL_CLASS_RETRY, &error,
                         "TLS: the name '%s' is another", "a\r\nlevel=fatal\x1b[2J");
    assert_string_equal(error.text,
                        "Get \"http://h/b\": TLS: the name 'a??level=fatal?[2J' is another");
    cn_http_request_fail(&request, FL_ERR_REFUSED, FL_CLASS_RETRY, &error, "%s", "\xff\xfe");
    assert_string_equal(error.text, "Get \"http://h/b\": ??");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_operation_has_its_method),
        TEST(capital_keys_are_fields),
        TEST(a_key_given_twice_counts_once),
        TEST(framing_is_not_the_callers),
        TEST(lines_cannot_be_broken),
        TEST(a_zero_byte_is_no_end_of_a_value),
        TEST(fields_are_bounded),
        TEST(the_trace_is_passed_on),
        TEST(the_token_is_the_components),
        TEST(the_callers_word_about_statuses_wins),
        TEST(gzip_is_asked_for_where_it_can_be_undone),
        TEST(failures_name_method_and_url),
        TEST(some_statuses_are_redirects),
        TEST(three_statuses_drop_the_body),
        TEST(two_statuses_keep_the_body),
        TEST(secrets_stay_with_their_host),
        TEST(a_callers_referer_stays),
        TEST(ten_requests_are_the_most),
        TEST(only_http_is_followed),
        TEST(what_a_server_is_called_stays_in_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
