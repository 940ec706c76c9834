/* Heads of answers, and the metadata that they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "connectors/http/response.h"

static struct cn_http_head head;
static struct cn_http_metadata metadata;

static int set_up(void **state)
{
    (void)state;
    head = (struct cn_http_head){0};
    metadata = (struct cn_http_metadata){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cn_http_head_fini(&head);
    cn_http_metadata_fini(&metadata);
    return 0;
}

/* Lines as libcurl gives them: one by one, with their ends. */
static enum fl_err feed(const char *text)
{
    enum fl_err err = FL_OK;
    while (*text && !err) {
        const char *end = strchr(text, '\n');
        size_t len = end ? (size_t)(end + 1 - text) : strlen(text);
        err = cn_http_head_add(&head, fl_slice_of(text, len));
        text += len;
    }
    return err;
}

/* "key=value|" of all, after the status. */
static const char *all(int status, bool is_decoded)
{
    static char text[4096];
    size_t len = 0;
    cn_http_metadata_fini(&metadata);
    cn_http_head_metadata(&head, status, is_decoded, &metadata);
    text[0] = '\0';
    for (size_t i = 2; i < metadata.count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s=%.*s|",
                                FL_SLICE_ARG(metadata.items[i].key),
                                FL_SLICE_ARG(metadata.items[i].value));
    return text;
}

static void assert_status(const char *code, const char *status)
{
    assert_true(fl_slice_eq_str(metadata.items[0].key, "statusCode"));
    assert_true(fl_slice_eq_str(metadata.items[0].value, code));
    assert_true(fl_slice_eq_str(metadata.items[1].key, "status"));
    assert_true(fl_slice_eq_str(metadata.items[1].value, status));
}

static void the_status_comes_first(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 404 Not Found\r\n\r\n"), FL_OK);
    assert_string_equal(all(404, false), "");
    assert_status("404", "404 Not Found");
    assert_int_equal(feed("HTTP/1.1 299 \r\n\r\n"), FL_OK);
    all(299, false);
    assert_status("299", "299");
}

static void names_are_canonical(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 200 OK\nx-lower-case: 1\r\nETAG: 2\r\nX_y-1a: 3\n\n"), FL_OK);
    assert_string_equal(all(200, false), "X-Lower-Case=1|Etag=2|X_y-1a=3|");
}

static void equal_names_are_joined(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 200 OK\r\nA: 1\r\nB: x\r\na: 2\r\nA:\r\nb: y\r\nA: 3\r\n\r\n"),
                     FL_OK);
    assert_string_equal(all(200, false), "A=1, 2, , 3|B=x, y|");
}

static void what_speaks_of_the_way_is_left_out(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n"
                          "Content-Length: 5\r\nContent-Encoding: gzip\r\nA: 1\r\n\r\n"),
                     FL_OK);
    assert_string_equal(all(200, false), "Content-Encoding=gzip|A=1|");
    cn_http_head_fini(&head);
    head = (struct cn_http_head){0};
    assert_int_equal(feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n"),
                     FL_OK);
    assert_string_equal(all(200, true), "");
}

static void the_last_head_counts(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\n\r\n"),
                     FL_OK);
    assert_true(head.has_ended);
    assert_string_equal(all(200, false), "A=1|");
    assert_status("200", "200 OK");
}

static void trailers_are_left_out(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 200 OK\r\nA: 1\r\n\r\nA: 2\r\nB: 3\r\n"), FL_OK);
    assert_string_equal(all(200, false), "A=1|");
}

static void garbage_is_made_harmless(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 200 O\x01K\x7f\r\nBad name: 1\r\n: 2\r\nno colon\r\n"
                          "HTTP/1.1 300 x\r\n\x01: 3\r\nA: a\x02\tb\rc\r\n\r\n"),
                     FL_OK);
    assert_string_equal(all(200, false), "A=a \tb c|");
    assert_status("200", "200 O K ");
}

static void folded_values_go_on(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 200 OK\r\n  stray\r\nA: 1\r\n  2\r\n\t3\r\nB: 4\r\n\r\n"),
                     FL_OK);
    assert_string_equal(all(200, false), "A=1 2 3|B=4|");
}

static void a_value_is_found_without_case(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 302 Found\r\nLOCATION: /a\r\nLocation: /b\r\n\r\n"), FL_OK);
    assert_true(fl_slice_eq_str(cn_http_head_get(&head, "location"), "/a"));
    assert_true(fl_slice_is_null(cn_http_head_get(&head, "Other")));
}

/* How a new head that has these lines is taken. */
static enum fl_err begin_with(const char *lines)
{
    cn_http_head_fini(&head);
    head = (struct cn_http_head){0};
    assert_int_equal(feed("HTTP/1.1 200 OK\r\n"), FL_OK);
    return feed(lines);
}

static void fields_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(feed("HTTP/1.1 200 OK\r\n"), FL_OK);
    for (int i = 1; i < CN_HTTP_MOST_HEAD_FIELDS; i++)
        assert_int_equal(feed("A: 1\r\n"), FL_OK);
    assert_int_equal(feed("A: 1\r\n"), FL_ERR_TOO_LARGE);
    all(200, false);
    assert_int_equal(metadata.count, 3);
}

static int count_until_refused(const char *lines)
{
    int count = 0;
    while (feed(lines) == FL_OK && count < CN_HTTP_MOST_HEAD_BYTES)
        count++;
    return count;
}

static void lines_are_bounded_whatever_they_are(void **state)
{
    (void)state;
    assert_int_equal(count_until_refused("(:\r\n"), CN_HTTP_MOST_HEAD_FIELDS);
    assert_int_equal(begin_with("\r\n"), FL_OK);
    assert_int_equal(count_until_refused("Trailer: 1\r\n"), CN_HTTP_MOST_HEAD_FIELDS - 2);
    assert_int_equal(begin_with("\r\n"), FL_OK);
    assert_int_equal(count_until_refused("HTTP/1.1 100\r\n\r\n"), CN_HTTP_MOST_HEAD_FIELDS / 2 - 1);
}

static void bytes_are_bounded_over_all_heads(void **state)
{
    (void)state;
    enum fl_err err = FL_OK;
    size_t count = 0;
    char lines[520];
    snprintf(lines, sizeof lines, "HTTP/1.1 102 %0496d\r\n\r\n", 1);
    size_t len = strlen(lines);
    for (; !err && count < CN_HTTP_MOST_HEAD_BYTES; count++)
        err = feed(lines);
    assert_int_equal(err, FL_ERR_TOO_LARGE);
    assert_true(count * len <= CN_HTTP_MOST_HEAD_BYTES + len);
    assert_true(2 * count < CN_HTTP_MOST_HEAD_FIELDS);
}

static void a_coding_that_nobody_asked_for_is_refused(void **state)
{
    static const char *const codings[] = {"gzip, chunked", "gzip",    "br",   "chunked, chunked",
                                          "identity",      "deflate", "zstd", ""};
    (void)state;
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char line[64];
        snprintf(line, sizeof line, "transfer-Encoding: %s\r\n", codings[i]);
        assert_int_equal(begin_with(line), FL_ERR_UNSUPPORTED);
    }
    assert_int_equal(begin_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"),
                     FL_ERR_UNSUPPORTED);
    assert_int_equal(begin_with("Transfer-Encoding:\t Chunked \r\n\r\n"), FL_OK);
    /* What a trailer says changes nothing. */
    assert_int_equal(feed("Transfer-Encoding: gzip\r\nContent-Length: x\r\n"), FL_OK);
}

static void a_length_that_is_not_clear_is_refused(void **state)
{
    static const char *const lengths[] = {"",  "-1",   "+1", "1 2",
                                          "x", "0x10", "5,", "9223372036854775808"};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char line[64];
        snprintf(line, sizeof line, "content-length: %s\r\n", lengths[i]);
        assert_int_equal(begin_with(line), FL_ERR_INVALID);
    }
    assert_int_equal(begin_with("Content-Length: 5\r\nContent-Length: 2\r\n"), FL_ERR_INVALID);
    assert_int_equal(begin_with("Content-Length: 5\r\nContent-Length: 5\r\n"), FL_OK);
    assert_int_equal(begin_with("Content-Length: 9223372036854775807\r\n"), FL_OK);
    /* Each head has its own. */
    assert_int_equal(begin_with("Content-Length: 1\r\n\r\nHTTP/1.1 200 OK\r\n"
                                "Content-Length: 2\r\n\r\n"),
                     FL_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_status_comes_first),
        TEST(names_are_canonical),
        TEST(equal_names_are_joined),
        TEST(what_speaks_of_the_way_is_left_out),
        TEST(the_last_head_counts),
        TEST(trailers_are_left_out),
        TEST(garbage_is_made_harmless),
        TEST(folded_values_go_on),
        TEST(a_value_is_found_without_case),
        TEST(fields_are_bounded),
        TEST(lines_are_bounded_whatever_they_are),
        TEST(bytes_are_bounded_over_all_heads),
        TEST(a_coding_that_nobody_asked_for_is_refused),
        TEST(a_length_that_is_not_clear_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
