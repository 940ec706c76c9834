/* What the application's answer means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/verdict.h"
#include "net/http_pool.h"

static enum gw_verdict verdict(int status, const char *body)
{
    struct http_result result = {.status = status, .body = fl_slice_str(body)};
    return gw_verdict_of(&result);
}

static void a_status_word_decides(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum gw_verdict verdict;
    } cases[] = {
        {"{\"status\":\"SUCCESS\"}", GW_VERDICT_SUCCESS},
        {"{\"status\":\"RETRY\"}", GW_VERDICT_RETRY},
        {"{\"status\":\"DROP\"}", GW_VERDICT_DROP},
        {"{\"status\":\"\"}", GW_VERDICT_SUCCESS},
        {"{\"status\":\"success\"}", GW_VERDICT_RETRY},
        {"{\"status\":\"drop\"}", GW_VERDICT_RETRY},
        {"{\"status\":\" DROP\"}", GW_VERDICT_RETRY},
        {"{\"status\":\"\\u0044ROP\"}", GW_VERDICT_DROP},
        {"{\"status\":\"SUC\\u0043ESS\"}", GW_VERDICT_SUCCESS},
        {"{\"STATUS\":\"DROP\"}", GW_VERDICT_DROP},
        {"{\"status\":\"DROP\",\"status\":\"RETRY\"}", GW_VERDICT_RETRY},
        {"{\"a\":{\"status\":\"DROP\"}}", GW_VERDICT_SUCCESS},
        {" \n{\"status\":\"DROP\"} trailing", GW_VERDICT_DROP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (verdict(200, cases[i].body) != cases[i].verdict)
            fail_msg("%s", cases[i].body);
    }
}

static void a_body_that_says_nothing_is_success(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "OK",
        "[]",
        "[{\"status\":\"DROP\"}]",
        "\"DROP\"",
        "{\"status\":5}",
        "{}",
        "null",
        "{\"status\":null}",
        "{\"status\":\"DROP\"",
        "\xef\xbb\xbf{\"status\":\"DROP\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        if (verdict(200, bodies[i]) != GW_VERDICT_SUCCESS)
            fail_msg("%s", bodies[i]);
    }
}

static void only_2xx_bodies_are_read(void **state)
{
    (void)state;
    static const char drop[] = "{\"status\":\"DROP\"}", success[] = "{\"status\":\"SUCCESS\"}";
    for (int status = 200; status < 300; status++)
        assert_int_equal(verdict(status, drop), GW_VERDICT_DROP);
    for (int status = 300; status < 600; status++)
        assert_int_equal(verdict(status, success),
                         status == 404 ? GW_VERDICT_DROP : GW_VERDICT_RETRY);
}

static void no_answer_is_a_retry(void **state)
{
    (void)state;
    static const enum fl_err codes[] = {FL_ERR_REFUSED,   FL_ERR_CLOSED,  FL_ERR_INVALID,
                                        FL_ERR_TOO_LARGE, FL_ERR_TIMEOUT, FL_ERR_NO_MEMORY};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct http_result result = {.code = codes[i], .status = 200};
        assert_int_equal(gw_verdict_of(&result), GW_VERDICT_RETRY);
    }
}

static void words_alone(void **state)
{
    (void)state;
    assert_int_equal(gw_verdict_of_word(FL_SLICE_NULL), GW_VERDICT_SUCCESS);
    assert_int_equal(gw_verdict_of_word(FL_SLICE_LIT("DROP")), GW_VERDICT_DROP);
    assert_int_equal(gw_verdict_of_word(FL_SLICE_LIT("DROPS")), GW_VERDICT_RETRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_word_decides),
        cmocka_unit_test(a_body_that_says_nothing_is_success),
        cmocka_unit_test(only_2xx_bodies_are_read),
        cmocka_unit_test(no_answer_is_a_retry),
        cmocka_unit_test(words_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
