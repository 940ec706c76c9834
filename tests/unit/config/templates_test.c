/* Tags in component values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/templates.h"

static void tags_are_replaced_in_order(void **state)
{
    (void)state;
    const struct config_identity identity = {.app_id = FL_SLICE_LIT("app"),
                                             .namespace = FL_SLICE_LIT("ns"),
                                             .pod_name = FL_SLICE_LIT("pod-{appID}")};
    static const struct {
        const char *text, *expanded;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"{appID}-x-{appID}", "app-x-app"},
        {"{namespace}", "ns.app"},
        {"{podName}", "pod-app"},
        {"{appid}{", "{appid}{"},
        {"{{appID}}", "{app}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct fl_slice got;
        assert_int_equal(
            config_template_expand(fl_slice_str(cases[i].text), &identity, &arena, &got, NULL),
            FL_OK);
        assert_true(fl_slice_eq_str(got, cases[i].expanded));
        fl_arena_fini(&arena);
    }
}

static void every_uuid_is_fresh(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_slice got;
    const struct config_identity identity = {0};
    assert_int_equal(
        config_template_expand(FL_SLICE_LIT("{uuid}{uuid}"), &identity, &arena, &got, NULL), FL_OK);
    assert_int_equal(got.len, 72);
    assert_memory_not_equal(got.data, got.data + 36, 36);
    fl_arena_fini(&arena);
}

static void a_pod_name_must_exist(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_slice got = FL_SLICE_NULL;
    struct fl_error error;
    const struct config_identity identity = {.app_id = FL_SLICE_LIT("app")};
    assert_int_equal(
        config_template_expand(FL_SLICE_LIT("{podName}"), &identity, &arena, &got, &error),
        FL_ERR_INVALID);
    assert_string_equal(error.text, "the tag {podName} stands in a value, but POD_NAME is not set");
    assert_int_equal(
        config_template_expand(FL_SLICE_LIT("{namespace}"), &identity, &arena, &got, &error),
        FL_OK);
    assert_string_equal(got.data, "default.app");
    fl_arena_fini(&arena);
}

static void growth_is_bounded(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_error error;
    static char id[100000], text[7 * 1000 + 1];
    memset(id, 'x', sizeof id);
    for (size_t i = 0; i < 1000; i++)
        memcpy(text + 7 * i, "{appID}", 7);
    const struct config_identity identity = {.app_id = {id, sizeof id}};
    struct fl_slice got;
    assert_int_equal(config_template_expand(fl_slice_str(text), &identity, &arena, &got, &error),
                     FL_ERR_TOO_LARGE);
    fl_arena_fini(&arena);
}

static void a_tag_in_another_case_is_noticed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{appid}", "{appID}"},       {"x{appID}{UUID}", "{uuid}"},     {"{podname", NULL},
        {"{appID}{namespace}", NULL}, {"{{Namespace}}", "{namespace}"}, {"plain", NULL},
        {"{\"appid\":1}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = config_template_near_miss(fl_slice_str(cases[i][0]));
        assert_string_equal(near ? near : "", cases[i][1] ? cases[i][1] : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_replaced_in_order),
        cmocka_unit_test(every_uuid_is_fresh),
        cmocka_unit_test(a_pod_name_must_exist),
        cmocka_unit_test(growth_is_bounded),
        cmocka_unit_test(a_tag_in_another_case_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
