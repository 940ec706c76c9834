/* Joining url and path, escaping, and what of a URL may be shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "connectors/http/url.h"

static char joined[512];
static struct fl_error error;

static const char *join(const char *url, const char *path)
{
    struct fl_buffer out = {0};
    enum fl_err err = cn_http_url_join(fl_slice_str(url), fl_slice_str(path), &out, &error);
    strcpy(joined, err ? error.text : fl_buffer_cstr(&out));
    fl_buffer_fini(&out);
    return joined;
}

static void joins_with_one_slash(void **state)
{
    (void)state;
    assert_string_equal(join("http://h/b", "p"), "http://h/b/p");
    assert_string_equal(join("http://h/b//", "//p"), "http://h/b/p");
    assert_string_equal(join("http://h", "/"), "http://h/");
    assert_string_equal(join("http://h", ""), "http://h/");
    assert_string_equal(join("http://h/b?k=v", "p"), "http://h/b?k=v/p");
    assert_string_equal(join("http://h", "http://other/x"), "http://h/http://other/x");
}

static void leaves_a_url_without_a_path_alone(void **state)
{
    (void)state;
    assert_string_equal(join("http://h/b/", NULL), "http://h/b/");
    assert_string_equal(join("HTTPS://h:1", NULL), "HTTPS://h:1/");
    assert_string_equal(join("http://h?x", NULL), "http://h/?x");
}

static void drops_a_fragment(void **state)
{
    (void)state;
    assert_string_equal(join("http://h", "/a#b?c"), "http://h/a");
    assert_string_equal(join("http://h#x", NULL), "http://h/");
}

static void keeps_a_valid_path_as_it_stands(void **state)
{
    (void)state;
    assert_string_equal(join("http://h", "/a%2fb/../c;d=(e)'[f]!*"),
                        "http://h/a%2fb/../c;d=(e)'[f]!*");
}

static void escapes_a_path_as_a_whole(void **state)
{
    (void)state;
    assert_string_equal(join("http://h", "/a b%2Fc%20d"), "http://h/a%20b/c%20d");
    assert_string_equal(join("http://h", "/\xc3\xa9(x)%41"), "http://h/%C3%A9%28x%29A");
    assert_string_equal(join("http://h", "/a\"<>^`{|}\\"), "http://h/a%22%3C%3E%5E%60%7B%7C%7D%5C");
    assert_string_equal(join("http://h", "/%3Fa b"), "http://h/%3Fa%20b");
}

static void escapes_in_a_query_what_would_break_the_line(void **state)
{
    (void)state;
    assert_string_equal(join("http://h", "/p?a=b c&d=\xc3\xa9&e=%zz?/"),
                        "http://h/p?a=b%20c&d=%C3%A9&e=%zz?/");
}

static void refuses_what_is_no_http_url(void **state)
{
    (void)state;
    assert_string_equal(join("", NULL), "unsupported protocol scheme \"\"");
    assert_string_equal(join("h/x", NULL), "unsupported protocol scheme \"\"");
    assert_string_equal(join("/x:y", NULL), "unsupported protocol scheme \"\"");
    assert_string_equal(join("1http://h", NULL), "unsupported protocol scheme \"\"");
    assert_string_equal(join("ftp://h", NULL), "unsupported protocol scheme \"ftp\"");
    assert_int_equal(error.code, FL_ERR_UNSUPPORTED);
    assert_string_equal(join("http:h", NULL), "the URL names no host");
    assert_string_equal(join("http:///x", NULL), "the URL names no host");
    assert_string_equal(join("http://?x", NULL), "the URL names no host");
    assert_string_equal(join("http://a b/x", NULL), "the URL has a space in its host");
}

static void refuses_bytes_that_break_lines(void **state)
{
    (void)state;
    for (int byte = 1; byte < 0x20; byte++) {
        char path[] = {'a', (char)byte, 'b', '\0'};
        assert_string_equal(join("http://h", path), "the URL holds a control character");
    }
    assert_string_equal(join("http://h", "\x7f"), "the URL holds a control character");
    assert_string_equal(join("http://h", "#\n"), "the URL holds a control character");
}

static void refuses_a_broken_escape(void **state)
{
    (void)state;
    const char *const paths[] = {"/%", "/%4", "/%zz", "/%4z", "/a%", "/% x"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        join("http://h", paths[i]);
        assert_non_null(strstr(joined, "hexadecimal"));
    }
}

static void gives_what_was_joined_when_it_refuses(void **state)
{
    (void)state;
    struct fl_buffer out = {0};
    assert_int_not_equal(cn_http_url_join(FL_SLICE_LIT("h"), FL_SLICE_LIT("p"), &out, &error),
                         FL_OK);
    assert_string_equal(fl_buffer_cstr(&out), "h/p");
    fl_buffer_fini(&out);
}

static const char *show(const char *url)
{
    cn_http_url_show(fl_slice_str(url), joined, 40);
    return joined;
}

static void shows_no_user_password_or_query(void **state)
{
    (void)state;
    assert_string_equal(show("http://me:pw@h:1/p?key=k#f"), "http://h:1/p");
    assert_string_equal(show("http://a@b@h/p"), "http://h/p");
    assert_string_equal(show("me:pw@h/p"), "");
    assert_string_equal(show("ftp://me:pw@h/p"), "");
    assert_string_equal(show("h/p?key=k"), "h/p");
    assert_string_equal(show(""), "");
}

static void shows_one_short_line_of_utf8(void **state)
{
    (void)state;
    assert_string_equal(show("h\r\n\x7f"), "h???");
    assert_string_equal(show("h\xff"), "h?");
    assert_int_equal(strlen(show("http://h/0123456789012345678901234567890123456789")), 39);
    assert_string_equal(show("http://h/012345678901234567890123456789\xc3\xa9"),
                        "http://h/012345678901234567890123456789");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_with_one_slash),
        cmocka_unit_test(leaves_a_url_without_a_path_alone),
        cmocka_unit_test(drops_a_fragment),
        cmocka_unit_test(keeps_a_valid_path_as_it_stands),
        cmocka_unit_test(escapes_a_path_as_a_whole),
        cmocka_unit_test(escapes_in_a_query_what_would_break_the_line),
        cmocka_unit_test(refuses_what_is_no_http_url),
        cmocka_unit_test(refuses_bytes_that_break_lines),
        cmocka_unit_test(refuses_a_broken_escape),
        cmocka_unit_test(gives_what_was_joined_when_it_refuses),
        cmocka_unit_test(shows_no_user_password_or_query),
        cmocka_unit_test(shows_one_short_line_of_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
