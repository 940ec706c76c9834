/* Topic scopes: the table of the contract, and what the recorded answers show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/scopes.h"

struct scope_case {
    const char *key, *value;
    const char *allowed, *denied; /* topics of one letter each, for publishing by "held" */
};

static void publishing_follows_the_contract(void **state)
{
    (void)state;
    static const struct scope_case cases[] = {
        {"allowedTopics", "a, b", "ab", "cp"},
        {"ALLOWEDTOPICS", "a", "a", "bcp"},
        {"allowedTopics", "", "abcp", ""},
        {"allowedTopics", "a*", "", "abcp"},
        {"protectedTopics", "p", "abc", "p"},
        {"publishingScopes", "held=a,b;other=c", "ab", "cp"},
        {"publishingScopes", "held=", "", "abcp"},
        {"publishingScopes", "other=c", "abcp", ""},
        {"publishingScopes", " held = a , b ; other = c ", "ab", "cp"},
        {"publishingScopes", "held", "abcp", ""},
        {"publishingScopes", "held=a=b", "a", "bcp"},
        {"publishingScopes", "HELD=a", "abcp", ""},
        {"publishingScopes", "", "abcp", ""},
        {"publishingScopes", ";;held=a;;", "a", "bcp"},
        {"subscriptionScopes", "held=a", "abcp", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct config_scopes scopes;
        struct config_value value = {.name = fl_slice_str(cases[i].key),
                                     .value = fl_slice_str(cases[i].value)};
        config_scopes_read(&value, 1, FL_SLICE_LIT("held"), &arena, &scopes);
        for (const char *t = cases[i].allowed; *t; t++)
            assert_true(config_scopes_allow(&scopes, CONFIG_SCOPE_PUBLISH, fl_slice_of(t, 1)));
        for (const char *t = cases[i].denied; *t; t++)
            assert_false(config_scopes_allow(&scopes, CONFIG_SCOPE_PUBLISH, fl_slice_of(t, 1)));
        fl_arena_fini(&arena);
    }
}

static void lists_combine(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct config_scopes scopes;
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("allowedTopics"), .value = FL_SLICE_LIT("a,p")},
        {.name = FL_SLICE_LIT("protectedTopics"), .value = FL_SLICE_LIT("p")},
        {.name = FL_SLICE_LIT("subscriptionScopes"), .value = FL_SLICE_LIT("held=c,p")},
    };
    config_scopes_read(values, 3, FL_SLICE_LIT("held"), &arena, &scopes);
    assert_true(config_scopes_allow(&scopes, CONFIG_SCOPE_PUBLISH, FL_SLICE_LIT("a")));
    assert_false(config_scopes_allow(&scopes, CONFIG_SCOPE_PUBLISH, FL_SLICE_LIT("p")));
    assert_false(config_scopes_allow(&scopes, CONFIG_SCOPE_SUBSCRIBE, FL_SLICE_LIT("a")));
    assert_true(config_scopes_allow(&scopes, CONFIG_SCOPE_SUBSCRIBE, FL_SLICE_LIT("p")));
    assert_false(config_scopes_allow(&scopes, CONFIG_SCOPE_SUBSCRIBE, FL_SLICE_LIT("c")));
    fl_arena_fini(&arena);
}

static void parts_without_effect_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *value, *told;
    } cases[] = {
        {"a=x,y; b = z;", ""},
        {"a=", ""},
        {"", ""},
        {"a:x;b=y", "c.yaml:3: o: PublishingScopes: \"a:x\" has no effect; accepted: "
                    "app1=topic1,topic2;app2=topic3"},
        {"b=y;=x", "c.yaml:3: o: PublishingScopes: \"=x\" has no effect; accepted: "
                   "app1=topic1,topic2;app2=topic3"},
        {"a=x=y", "c.yaml:3: o: PublishingScopes: \"=y\" has no effect; accepted: "
                  "app1=topic1,topic2;app2=topic3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct config_notes notes;
        struct fl_error error;
        const struct config_value value = {.name = FL_SLICE_LIT("PublishingScopes"),
                                           .value = fl_slice_str(cases[i].value),
                                           .file = "c.yaml",
                                           .line = 3};
        struct config_bind how = {.owner = "o", .arena = &arena, .notes = &notes};
        config_notes_init(&notes, &arena);
        assert_int_equal(config_scopes_check(&value, 1, &how, &error), FL_OK);
        assert_string_equal(notes.first ? notes.first->text : "", cases[i].told);
        how.is_strict = true;
        assert_int_equal(config_scopes_check(&value, 1, &how, &error),
                         *cases[i].told ? FL_ERR_INVALID : FL_OK);
        fl_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishing_follows_the_contract),
        cmocka_unit_test(lists_combine),
        cmocka_unit_test(parts_without_effect_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
