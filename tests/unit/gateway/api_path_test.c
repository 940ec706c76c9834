/* Targets, paths, and where an unknown path would be invoked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/api_invoke.h"
#include "gateway/api_path.h"

static void assert_text(struct fl_slice got, const char *wanted)
{
    if (!fl_slice_eq_str(got, wanted))
        fail_msg("got \"%.*s\", wanted \"%s\"", FL_SLICE_ARG(got), wanted);
}

static void splits_targets_of_both_forms(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/a/b?x=1?y", "/a/b", "x=1?y"},
        {"/a", "/a", NULL},
        {"/a?", "/a", ""},
        {"http://h:1/a?b", "/a", "b"},
        {"HTTPS://h", "", NULL},
        {"http://h?b", "", "b"},
        {"?b", "", "b"},
        {"", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_slice path, query;
        assert_true(gw_target_split(fl_slice_str(cases[i].target), &path, &query));
        assert_text(path, cases[i].path);
        assert_int_equal(fl_slice_is_null(query), cases[i].query == NULL);
        if (cases[i].query)
            assert_text(query, cases[i].query);
    }
    struct fl_slice path, query;
    assert_false(gw_target_split(FL_SLICE_LIT("a/b"), &path, &query));
    assert_false(gw_target_split(FL_SLICE_LIT("ftp://h/a"), &path, &query));
}

static void cleans_encoded_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *clean;
    } cases[] = {
        {"/v1.0/a", "/v1.0/a"},
        {"//v1.0//a/", "/v1.0/a"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/../../b", "/b"},
        {"/", "/"},
        {"", "/"},
        {"/a/..", "/"},
        {"/a%2F..%2Fb", "/a%2F..%2Fb"},
        {"/a/%2e%2e/b", "/a/%2e%2e/b"},
        {"/...", "/..."},
        {"/.a", "/.a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        assert_text(gw_path_clean(&arena, fl_slice_str(cases[i].path)), cases[i].clean);
        fl_arena_fini(&arena);
    }
}

static void decodes_by_the_rules_of_queries(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_slice out;
    assert_true(gw_query_decode(&arena, FL_SLICE_LIT("a%2Fb+c%c3%a9"), &out));
    assert_text(out, "a/b cé");
    assert_true(gw_query_decode(&arena, FL_SLICE_LIT("plain"), &out));
    assert_text(out, "plain");
    static const char *const bad[] = {"%", "%1", "a%zz", "%2", "%G0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(gw_query_decode(&arena, fl_slice_str(bad[i]), &out));
        assert_false(gw_path_escapes_are_valid(fl_slice_str(bad[i])));
    }
    fl_arena_fini(&arena);
}

static void configured_paths_become_targets(void **state)
{
    (void)state;
    static const struct {
        const char *path, *target;
    } cases[] = {
        {"/a/b", "/a/b"},
        {"/a b", "/a%20b"},
        {"/é", "/%C3%A9"},
        {"/a%2Fb", "/a%2Fb"},
        {"/a%2fb", "/a%2fb"},
        {"/a%2Fb c", "/a/b%20c"},
        {"/a:b+c@d!$&'()*,;=[]~", "/a:b+c@d!$&'()*,;=[]~"},
        {"/(x) y", "/%28x%29%20y"},
        {"/100%", "/100%25"},
        {"/a?x=1&y=/z", "/a?x=1&y=/z"},
        {"/a?x=a b", "/a?x=a%20b"},
        {"/a?", "/a?"},
        {"/a#b?c", "/a"},
        {"/a?b#c", "/a?b"},
        {"/a\r\nHost: evil", "/a%0D%0AHost:%20evil"},
        {"/a?b\r\n", "/a?b%0D%0A"},
        {"/\"<>\\^`{|}", "/%22%3C%3E%5C%5E%60%7B%7C%7D"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buffer out = {0};
        gw_target_append(&out, fl_slice_str(cases[i].path));
        assert_text(fl_buffer_slice(&out), cases[i].target);
        fl_buffer_fini(&out);
    }
    struct fl_buffer out = {0};
    gw_target_append(&out, fl_slice_of("/\0\x7f", 3));
    assert_text(fl_buffer_slice(&out), "/%00%7F");
    fl_buffer_fini(&out);
}

static void assert_invoked(const char *app_id, const char *authorization, const char *path,
                           const char *wanted)
{
    struct fl_arena arena = {0};
    struct gw_request_fields fields = {.app_id = fl_slice_str(app_id),
                                       .authorization = fl_slice_str(authorization)};
    struct fl_slice got = gw_invoke_target(&arena, &fields, fl_slice_str(path));
    assert_int_equal(fl_slice_is_null(got), wanted == NULL);
    if (wanted)
        assert_text(got, wanted);
    fl_arena_fini(&arena);
}

static void an_application_is_named_in_one_of_three_places(void **state)
{
    (void)state;
    static const char basic[] = "Basic ZGFwci1hcHAtaWQ6Ymlk"; /* dapr-app-id:bid */
    assert_invoked("hid", basic, "/v1.0/invoke/pid/method/x", "hid");
    assert_invoked(NULL, basic, "/v1.0/invoke/pid/method/x", "bid");
    assert_invoked("", NULL, "/v1.0/invoke/pid/method/x", "pid");
    assert_invoked(NULL, NULL, "/v1.0/invoke/a%20b/method/x", "a b");
    assert_invoked(NULL, NULL, "/v1.0/invoke/pid/x", NULL);
    assert_invoked(NULL, NULL, "/v1.0/invoke/pid", NULL);
    assert_invoked(NULL, NULL, "/v1.0/invoke//method/x", NULL);
    assert_invoked(NULL, NULL, "/", NULL);
    assert_invoked(NULL, "Basic ZGFwci1hcHAtaWQ6YTpi", "/x", NULL); /* dapr-app-id:a:b */
    assert_invoked(NULL, "Basic bWU6cGFzcw==", "/x", NULL);         /* me:pass */
    assert_invoked(NULL, "Basic !", "/x", NULL);
    assert_invoked(NULL, "Bearer x", "/x", NULL);
}

static void a_path_keeps_its_plus(void **state)
{
    (void)state;
    struct fl_arena own = {0};
    struct fl_slice decoded;
    assert_true(gw_path_decode(&own, FL_SLICE_LIT("1+1%2F2%20"), &decoded));
    assert_true(fl_slice_eq_str(decoded, "1+1/2 "));
    assert_false(gw_path_decode(&own, FL_SLICE_LIT("%2"), &decoded));
    fl_arena_fini(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_keeps_its_plus),
        cmocka_unit_test(splits_targets_of_both_forms),
        cmocka_unit_test(cleans_encoded_paths),
        cmocka_unit_test(decodes_by_the_rules_of_queries),
        cmocka_unit_test(configured_paths_become_targets),
        cmocka_unit_test(an_application_is_named_in_one_of_three_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
