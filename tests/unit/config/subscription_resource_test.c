/* Subscriptions from resources and from the application's answer, as the recorded cases show them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "config/subscription_resource.h"

/* "pubsub/topic match->path[call] …", one line each: enough to compare by eye. */
static const char *show(const struct config_subscriptions *list, struct fl_buffer *out)
{
    fl_buffer_clear(out);
    for (size_t i = 0; i < list->count; i++) {
        const struct config_subscription *s = &list->items[i];
        fl_buffer_printf(out, "%.*s/%.*s", FL_SLICE_ARG(s->pubsub), FL_SLICE_ARG(s->topic));
        for (size_t r = 0; r < s->rule_count; r++)
            fl_buffer_printf(out, " %.*s->%.*s[%.*s]", FL_SLICE_ARG(s->rules[r].match),
                             FL_SLICE_ARG(s->rules[r].path), FL_SLICE_ARG(s->rules[r].call));
        for (size_t m = 0; m < s->metadata_count; m++)
            fl_buffer_printf(out, " %.*s=%.*s", FL_SLICE_ARG(s->metadata[m].name),
                             FL_SLICE_ARG(s->metadata[m].value));
        if (s->dead_letter_topic.len)
            fl_buffer_printf(out, " dead=%.*s", FL_SLICE_ARG(s->dead_letter_topic));
        if (s->bulk.is_enabled)
            fl_buffer_printf(out, " bulk=%d,%d", s->bulk.max_messages, s->bulk.max_await_ms);
        fl_buffer_append_byte(out, '\n');
    }
    return fl_buffer_cstr(out);
}

#define SUB "\"pubsubname\":\"p\",\"topic\":\"t\""
#define OTHER ",{\"pubsubname\":\"p\",\"topic\":\"u\",\"route\":\"/u\"}]"
#define U "p/u ->/u[/u]\n"

static void answers_are_read_as_daprd_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *body, *shown;
    } cases[] = {
        {"", ""},
        {"  ", ""},
        {"null", ""},
        {"[]", ""},
        {"[{" SUB ",\"route\":\"/t\"}]", "p/t ->/t[/t]\n"},
        {"[{" SUB ",\"route\":\"/t\"}] x", "p/t ->/t[/t]\n"},
        {"[{" SUB ",\"route\":\"/t\"},null" OTHER, "p/t ->/t[/t]\n" U},
        {"[{\"pubsubname\":\"p\",\"topic\":\"\",\"route\":\"/t\"}]", "p/ ->/t[/t]\n"},
        {"[{\"route\":\"/t\"}]", "/ ->/t[/t]\n"},
        {"[{" SUB "}" OTHER, U},
        {"[{" SUB ",\"route\":\"\"}" OTHER, U},
        {"[{" SUB ",\"routes\":{}}" OTHER, U},
        {"[{" SUB ",\"route\":\"/t\",\"routes\":null}]", "p/t ->/t[/t]\n"},
        {"[{" SUB ",\"route\":\"/t\",\"routes\":{}}]", "p/t ->/t[/t]\n"},
        {"[{" SUB ",\"routes\":{\"rules\":null,\"default\":\"/d\"}}]", "p/t ->/d[/d]\n"},
        {"[{" SUB ",\"route\":\"/t\",\"routes\":{\"default\":\"/d\"}}]", "p/t ->/d[/d]\n"},
        {"[{" SUB ",\"routes\":{\"rules\":[{\"match\":\"true\"}],\"default\":\"/d\"}}]",
         "p/t true->[/] ->/d[/d]\n"},
        {"[{" SUB ",\"routes\":{\"rules\":[{\"match\":null,\"path\":\"/r\"}]},\"route\":\"/t\"}]",
         "p/t ->/r[/r] ->/t[/t]\n"},
        {"[{" SUB ",\"route\":\"/\"}]", "p/t ->/[/]\n"},
        {"[{" SUB ",\"route\":\"t\"}]", "p/t ->t[/t]\n"},
        {"[{" SUB ",\"route\":\"http://127.0.0.1:1/x\"}]",
         "p/t ->http://127.0.0.1:1/x[/http:/127.0.0.1:1/x]\n"},
        {"[{" SUB ",\"route\":\"/t\",\"foo\":1,\"ttl\":5}]", "p/t ->/t[/t]\n"},
        {"[{" SUB ",\"route\":\"/t\",\"deadLetterTopic\":null}]", "p/t ->/t[/t]\n"},
        {"[{" SUB ",\"route\":\"/t\",\"deadLetterTopic\":\"d\"}]", "p/t ->/t[/t] dead=d\n"},
        {"[{" SUB ",\"route\":\"/t\",\"metadata\":{\"b\":\"2\",\"a\":\"1\",\"n\":null}}]",
         "p/t ->/t[/t] a=1 b=2 n=\n"},
        {"[{" SUB ",\"route\":\"/t\",\"bulkSubscribe\":{\"enabled\":true,\"maxMessagesCount\":7,"
         "\"maxAwaitDurationMs\":20}}]",
         "p/t ->/t[/t] bulk=7,20\n"},
        {"[{" SUB ",\"route\":\"/t\",\"bulkSubscribe\":{\"enabled\":true,\"maxMessagesCount\":0}}]",
         "p/t ->/t[/t] bulk=100,1000\n"},
        {"[{\"PubsubName\":\"p\",\"TOPIC\":\"t\",\"Route\":\"/t\"}]", "p/t ->/t[/t]\n"},
        {"[{\"pubsubname\":\"p\",\"topic\":\"x\",\"topic\":\"t\",\"route\":\"/t\"}]",
         "p/t ->/t[/t]\n"},
        {"[{" SUB ",\"route\":\"/t\"},{" SUB ",\"route\":\"/second\"}]",
         "p/t ->/second[/second]\n"},
        {"[{" SUB ",\"route\":\"/t\"},{\"pubsubname\":\"pt\",\"topic\":\"\",\"route\":\"/s\"}]",
         "p/t ->/t[/t]\npt/ ->/s[/s]\n"},
    };
    struct fl_buffer out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct config_subscriptions list = {0};
        struct fl_error error;
        if (config_subscriptions_parse(fl_slice_str(cases[i].body), &arena, NULL, &list, &error) !=
            FL_OK)
            fail_msg("%s: %s", cases[i].body, error.text);
        assert_string_equal(show(&list, &out), cases[i].shown);
        fl_arena_fini(&arena);
    }
    fl_buffer_fini(&out);
}

static void one_wrong_type_ends_the_whole_answer(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"{}", "/dapr/subscribe: the document: found map; accepted: a list of subscriptions"},
        {"\"x\"", "/dapr/subscribe: the document: found string \"x\"; accepted: a list of "
                  "subscriptions"},
        {"[5" OTHER, "/dapr/subscribe: [0]: found number \"5\"; accepted: a map"},
        {"[{" SUB ",\"route\":5}" OTHER,
         "/dapr/subscribe: [0].route: found number \"5\"; accepted: a string"},
        {"[{\"pubsubname\":\"p\",\"topic\":5,\"route\":\"/t\"}" OTHER,
         "/dapr/subscribe: [0].topic: found number \"5\"; accepted: a string"},
        {"[{" SUB ",\"metadata\":[]}" OTHER,
         "/dapr/subscribe: [0].metadata: found list; accepted: a map of strings"},
        {"[{" SUB ",\"metadata\":{\"a\":true}}" OTHER,
         "/dapr/subscribe: [0].metadata.a: found boolean \"true\"; accepted: a string"},
        {"[{" SUB ",\"routes\":\"x\"}" OTHER,
         "/dapr/subscribe: [0].routes: found string \"x\"; accepted: a map"},
        {"[{" SUB ",\"routes\":{\"rules\":{}}}" OTHER,
         "/dapr/subscribe: [0].routes.rules: found map; accepted: a list"},
        {"[{" SUB ",\"routes\":{\"rules\":[null]}}" OTHER,
         "/dapr/subscribe: [0].routes.rules[0]: found null; accepted: a map with match and path"},
        {"[{" SUB ",\"bulkSubscribe\":true}" OTHER,
         "/dapr/subscribe: [0].bulkSubscribe: found boolean \"true\"; accepted: a map"},
        {"[{" SUB ",\"bulkSubscribe\":{\"maxMessagesCount\":\"5\"}}" OTHER,
         "/dapr/subscribe: [0].bulkSubscribe.maxMessagesCount: found string \"5\"; accepted: an "
         "integer of 32 bits"},
        {"[{" SUB ",\"bulkSubscribe\":{\"maxMessagesCount\":1.5}}" OTHER,
         "/dapr/subscribe: [0].bulkSubscribe.maxMessagesCount: found number \"1.5\"; accepted: an "
         "integer of 32 bits"},
        {"[{" SUB ",\"bulkSubscribe\":{\"maxMessagesCount\":1099511627776}}" OTHER,
         "/dapr/subscribe: [0].bulkSubscribe.maxMessagesCount: found number \"1099511627776\"; "
         "accepted: an integer of 32 bits"},
        {"[{" SUB ",\"deadLetterTopic\":5}" OTHER,
         "/dapr/subscribe: [0].deadLetterTopic: found number \"5\"; accepted: a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct config_subscriptions list = {.count = 77};
        struct fl_error error;
        assert_int_equal(
            config_subscriptions_parse(fl_slice_str(cases[i].body), &arena, NULL, &list, &error),
            FL_ERR_INVALID);
        assert_string_equal(error.text, cases[i].text);
        assert_int_equal(list.count, 77);
        fl_arena_fini(&arena);
    }
}

static void broken_json_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{", "[", "[{]", "x", "[\"\\ud800\"]", "[\xff]", "[1,]"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct fl_arena arena = {0};
        struct config_subscriptions list;
        struct fl_error error;
        assert_int_equal(
            config_subscriptions_parse(fl_slice_str(bodies[i]), &arena, NULL, &list, &error),
            FL_ERR_INVALID);
        fl_arena_fini(&arena);
    }
}

static void depth_of_answers_is_bounded(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct config_subscriptions list;
    struct fl_error error;
    struct fl_buffer body = {0};
    fl_buffer_append_str(&body, "[{\"x\":");
    for (int i = 0; i < 500; i++)
        fl_buffer_append_byte(&body, '[');
    for (int i = 0; i < 500; i++)
        fl_buffer_append_byte(&body, ']');
    fl_buffer_append_str(&body, "}]");
    assert_int_equal(
        config_subscriptions_parse(fl_buffer_slice(&body), &arena, NULL, &list, &error),
        FL_ERR_TOO_LARGE);
    fl_buffer_fini(&body);
    fl_arena_fini(&arena);
}

static void an_element_without_a_route_is_told(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct config_notes notes;
    struct config_subscriptions list;
    config_notes_init(&notes, &arena);
    assert_int_equal(config_subscriptions_parse(FL_SLICE_LIT("[{" SUB ",\"rout\":\"/x\"}]"), &arena,
                                                &notes, &list, NULL),
                     FL_OK);
    assert_int_equal(list.count, 0);
    assert_string_equal(notes.first->text, "/dapr/subscribe: [0]: \"rout\" is not a known field; "
                                           "the nearest known one is \"route\"");
    assert_string_equal(notes.last->text,
                        "/dapr/subscribe: [0]: no route, no rule and no default for topic \"t\" of "
                        "pubsub \"p\"; the element is left out");
    fl_arena_fini(&arena);
}

static enum fl_err decode(const char *yaml, bool is_v1, struct fl_arena *arena,
                          struct config_subscription *subscription, struct fl_error *error)
{
    struct config_node *root;
    enum fl_err err = config_yaml_parse(fl_slice_str(yaml), "s.yaml", 1, CONFIG_DIALECT_RESOURCE,
                                        arena, &root, error);
    if (err != FL_OK)
        return err;
    return config_subscription_decode(root, is_v1, arena, NULL, false, subscription, error);
}

static void resources_are_read_by_their_version(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        bool is_v1;
        const char *shown;
    } cases[] = {
        {"{pubsubname: p, topic: t, route: /t}", true, "p/t ->/t[/t]\n"},
        {"{pubsubname: p, topic: t, routes: {default: /t}}", false, "p/t ->/t[/t]\n"},
        {"{pubsubname: p, topic: t, route: /t}", false, "p/t\n"},
        {"{pubsubname: p, topic: t, routes: {default: /t}}", true, "p/t\n"},
        {"{pubsubname: p, topic: t}", true, "p/t\n"},
        {"{pubsubname: p, topic: yes, routes: {default: /d}}", false, "p/true ->/d[/d]\n"},
        {"{pubsubname: p, topic: t, routes: {rules: [{match: 'a', path: x}, ~], default: /d}}",
         false, "p/t a->x[/x] ->[/] ->/d[/d]\n"},
        {"{pubsubname: p, topic: t, metadata: {x: 5, rawPayload: true}, route: /t}", true,
         "p/t ->/t[/t] rawPayload=true x=5\n"},
        {"{PubSubName: p, Topic: t, BulkSubscribe: {Enabled: true}, route: /t}", true,
         "p/t ->/t[/t] bulk=100,1000\n"},
        {"{}", false, "/\n"},
        {"~", false, "/\n"},
    };
    struct fl_buffer out = {0}, yaml = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_arena arena = {0};
        struct config_subscription subscription;
        struct config_subscriptions list = {&subscription, 1};
        struct fl_error error;
        fl_buffer_clear(&yaml);
        fl_buffer_printf(&yaml, "metadata: {name: s}\nscopes: [a, b]\nspec: %s\n", cases[i].spec);
        if (decode(fl_buffer_cstr(&yaml), cases[i].is_v1, &arena, &subscription, &error) != FL_OK)
            fail_msg("%s", error.text);
        assert_string_equal(show(&list, &out), cases[i].shown);
        assert_string_equal(subscription.name.data, "s");
        assert_int_equal(subscription.scopes.count, 2);
        fl_arena_fini(&arena);
    }
    fl_buffer_fini(&out);
    fl_buffer_fini(&yaml);
}

static void programmatic_ones_replace_declared_ones_in_place(void **state)
{
    (void)state;
    struct fl_arena arena = {0};
    struct fl_buffer out = {0};
    struct config_subscription declared[] = {
        {.pubsub = FL_SLICE_LIT("p"), .topic = FL_SLICE_LIT("a")},
        {.pubsub = FL_SLICE_LIT("p"), .topic = FL_SLICE_LIT("b")},
    };
    struct config_subscription programmatic[] = {
        {.pubsub = FL_SLICE_LIT("p"), .topic = FL_SLICE_LIT("c")},
        {.pubsub = FL_SLICE_LIT("p"),
         .topic = FL_SLICE_LIT("a"),
         .dead_letter_topic = FL_SLICE_LIT("d")},
    };
    struct config_subscriptions merged, first = {declared, 2}, second = {programmatic, 2};
    config_subscriptions_merge(&first, &second, &arena, &merged);
    assert_string_equal(show(&merged, &out), "p/a dead=d\np/b\np/c\n");
    fl_buffer_fini(&out);
    fl_arena_fini(&arena);
}

static void paths_are_cleaned(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "/"},          {"/", "/"},         {"orders", "/orders"}, {"/orders/", "/orders"},
        {"//a//b", "/a/b"}, {"/a/./b", "/a/b"}, {"/a/../b", "/b"},     {"../../x", "/x"},
        {"/a/b/..", "/a"},  {"/..", "/"},       {"a/...", "/a/..."},   {"/a?x=1", "/a?x=1"},
    };
    struct fl_arena arena = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(config_path_clean(fl_slice_str(cases[i][0]), &arena).data, cases[i][1]);
    fl_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_as_daprd_reads_them),
        cmocka_unit_test(one_wrong_type_ends_the_whole_answer),
        cmocka_unit_test(broken_json_is_refused),
        cmocka_unit_test(depth_of_answers_is_bounded),
        cmocka_unit_test(an_element_without_a_route_is_told),
        cmocka_unit_test(resources_are_read_by_their_version),
        cmocka_unit_test(programmatic_ones_replace_declared_ones_in_place),
        cmocka_unit_test(paths_are_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
