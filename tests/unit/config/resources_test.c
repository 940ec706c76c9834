/* Folders of resources: order, filters, duplicates, what is skipped and what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "config/resources.h"

struct folder {
    char path[64];
    char *files[16];
    size_t count;
    struct config_resources resources;
    struct config_configuration configuration;
    struct fl_error error;
};

static void begin(struct folder *f)
{
    *f = (struct folder){0};
    snprintf(f->path, sizeof f->path, "/tmp/fl-resources-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    config_configuration_init(&f->configuration);
    unsetenv("NAMESPACE");
    unsetenv("POD_NAME");
    unsetenv("DAPR_ENV_KEYS");
}

static void put(struct folder *f, const char *name, const char *text)
{
    char *path = fl_alloc(128);
    snprintf(path, 128, "%s/%s", f->path, name);
    f->files[f->count++] = path;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fwrite(text, 1, strlen(text), file) == strlen(text));
    fclose(file);
}

static enum fl_err load(struct folder *f, bool is_strict)
{
    struct fl_slice path = fl_slice_str(f->path);
    struct config_load how = {.folders = {&path, 1},
                              .identity = config_identity_of(FL_SLICE_LIT("held")),
                              .configuration = &f->configuration,
                              .is_strict = is_strict};
    return config_resources_load(&how, &f->resources, &f->error);
}

static void end(struct folder *f)
{
    config_resources_fini(&f->resources);
    for (size_t i = 0; i < f->count; i++) {
        unlink(f->files[i]);
        fl_free(f->files[i]);
    }
    rmdir(f->path);
}

/* Names of components, then topics of subscriptions. */
static void shows(struct folder *f, const char *expected)
{
    struct fl_buffer out = {0};
    for (size_t i = 0; i < f->resources.component_count; i++)
        fl_buffer_printf(&out, "%s ", f->resources.components[i].name.data);
    for (size_t i = 0; i < f->resources.subscriptions.count; i++)
        fl_buffer_printf(&out, "%s->%s ", f->resources.subscriptions.items[i].topic.data,
                         f->resources.subscriptions.items[i].rules[0].path.data);
    assert_string_equal(fl_buffer_cstr(&out), expected);
    fl_buffer_fini(&out);
}

static bool tells(const struct folder *f, const char *text)
{
    for (const struct config_note *note = f->resources.notes.first; note; note = note->next)
        if (strstr(note->text, text))
            return true;
    return false;
}

#define COMPONENT(name, more)                                                                      \
    "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: " name                        \
    "}\nspec: {type: pubsub.in-memory, version: v1" more "}\n"
#define SUBSCRIPTION(name, topic, path)                                                            \
    "apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: " name                     \
    "}\nspec: {pubsubname: p, topic: " topic ", routes: {default: " path "}}\n"

static void components_load_in_daprds_order(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "b.yaml", COMPONENT("two", "") "---\n" COMPONENT("three", ""));
    put(&f, "a.YML", COMPONENT("one", ""));
    put(&f, "c.yaml", "---\n" COMPONENT("yes", ""));
    put(&f, "z.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: store}\nspec: {type: "
        "secretstores.local.env, version: v1}\n");
    put(&f, "k.yaml",
        "APIVERSION: dapr.io/v1alpha1\nKind: Component\nMetadata: {Name: odd}\nSPEC: {Type: "
        "x.y}\n");
    assert_int_equal(load(&f, true), FL_OK);
    shows(&f, "store one two three true odd ");
    assert_string_equal(f.resources.components[2].log_name.data, "two (pubsub.in-memory/v1)");
    assert_string_equal(f.resources.components[5].log_name.data, "odd (x.y)");
    assert_int_equal(f.resources.components[3].line, 6);
    assert_true(
        fl_slice_eq_str(config_component_category(&f.resources.components[0]), "secretstores"));
    assert_true(fl_slice_eq_str(config_component_system(&f.resources.components[0]), "local.env"));
    assert_int_equal(f.resources.components[0].init_timeout_ms, 5000);
    end(&f);
}

static void what_cannot_be_read_is_skipped_with_a_warning(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "a.yaml", "a: [\n---\n" COMPONENT("after", ""));
    put(&f, "b.yaml", COMPONENT("a/b", ""));
    put(&f, "c.yaml", COMPONENT("''", ""));
    put(&f, "d.yaml", "# nothing\n");
    put(&f, "e.yaml", "just text\n");
    put(&f, "f.yaml", "kind: Deployment\napiVersion: apps/v1\n");
    put(&f, "g.yaml", "apiVersion: dapr.io/v1alpha1\nkind: Componnent\n");
    put(&f, "h.yaml", "apiVersion: dapr.io/v2\nkind: Component\n");
    put(&f, "i.txt", COMPONENT("text", ""));
    put(&f, "j.yaml", "\xef\xbb\xbf" COMPONENT("bom", ""));
    assert_int_equal(load(&f, false), FL_OK);
    shows(&f, "after bom ");
    assert_true(tells(&f, "Could not determine resource type: "));
    assert_true(tells(&f, "daprd load Component error when parsing manifests yaml resource in "));
    assert_true(tells(&f, "metadata.name: found string \"a/b\"; accepted: a name without"));
    assert_true(tells(&f, "metadata.name is missing or empty"));
    assert_true(tells(&f, "the document: found string \"just text\"; accepted: a map with"));
    assert_true(tells(&f, "g.yaml:2: kind: found \"Componnent\"; the nearest known one is "
                          "\"Component\"; the document is skipped"));
    assert_true(tells(&f,
                      "h.yaml:1: apiVersion: found \"dapr.io/v2\"; accepted for kind Component: "
                      "dapr.io/v1alpha1; the document is skipped"));
    assert_true(tells(&f, "A non-YAML Component file i.txt was detected, it will not be loaded"));
    assert_false(tells(&f, "Deployment"));
    config_resources_fini(&f.resources);
    assert_int_equal(load(&f, true), FL_ERR_INVALID);
    assert_non_null(strstr(f.error.text, "a.yaml:2:1: did not find expected node content"));
    end(&f);
}

static void scopes_and_namespaces_filter(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    setenv("NAMESPACE", "mine", 1);
    put(&f, "a.yaml", COMPONENT("in", "") "scopes: [x, held]\n");
    put(&f, "b.yaml", COMPONENT("out", "") "scopes: [Held]\n");
    put(&f, "c.yaml", COMPONENT("none", "") "scopes: []\n");
    put(&f, "d.yaml", COMPONENT("other, namespace: other", ""));
    put(&f, "e.yaml", COMPONENT("ours, namespace: mine", ""));
    assert_int_equal(load(&f, true), FL_OK);
    shows(&f, "in none ours ");
    end(&f);
    unsetenv("NAMESPACE");
}

static void duplicates_are_fatal_among_those_accepted_before(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "a.yaml", COMPONENT("x", "") "scopes: [other]\n");
    put(&f, "b.yaml", COMPONENT("x", ""));
    assert_int_equal(load(&f, true), FL_OK);
    shows(&f, "x ");
    config_resources_fini(&f.resources);
    put(&f, "c.yaml", COMPONENT("x", "") "scopes: [other]\n");
    assert_int_equal(load(&f, true), FL_ERR_EXISTS);
    const char *text = "failed to load components: duplicate definition of Component name x "
                       "(pubsub.in-memory/v1) with existing x (pubsub.in-memory/v1)";
    assert_memory_equal(f.error.text, text, strlen(text));
    end(&f);
}

static void a_missing_folder_is_fatal(void **state)
{
    (void)state;
    struct folder f;
    char text[200];
    begin(&f);
    rmdir(f.path);
    assert_int_equal(load(&f, false), FL_ERR_NOT_FOUND);
    snprintf(text, sizeof text,
             "failed to create watcher: failed to add target %s: no such file or directory",
             f.path);
    assert_string_equal(f.error.text, text);
    config_resources_fini(&f.resources);
    struct config_feature off = {FL_SLICE_LIT("HotReload"), false};
    f.configuration.features.items = &off;
    f.configuration.features.count = 1;
    assert_int_equal(load(&f, false), FL_ERR_NOT_FOUND);
    snprintf(text, sizeof text, "failed to load components: open %s: no such file or directory",
             f.path);
    assert_string_equal(f.error.text, text);
    end(&f);
}

static void denied_components_are_left_out(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    struct fl_slice deny = FL_SLICE_LIT("pubsub.in-memory/v1");
    f.configuration.components_deny = (struct config_list){&deny, 1};
    put(&f, "a.yaml", COMPONENT("x", ""));
    assert_int_equal(load(&f, true), FL_OK);
    shows(&f, "");
    assert_true(tells(&f, "component x (pubsub.in-memory/v1) is on the deny list"));
    end(&f);
}

static const char *value_of(const struct folder *f, const char *name)
{
    const struct config_value *value = config_component_find(&f->resources.components[0], name);
    assert_non_null(value);
    return value->value.data;
}

static void values_are_strings_as_daprd_makes_them(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    setenv("FL_TEST_PLAIN", "from env", 1);
    setenv("FL_TEST_QUOTED", "\"good\"", 1);
    setenv("DAPR_FL_TEST", "never", 1);
    put(&f, "a.yaml",
        COMPONENT("x", ", initTimeout: 90s, ignoreErrors: true, metadata: [{name: a, value: 1.50}, "
                       "{name: b, value: yes}, {name: c, value: {k: [1]}}, {name: d}, {name: e, "
                       "value: '\"q\"'}, {name: f, envRef: FL_TEST_PLAIN}, {name: g, envRef: "
                       "FL_TEST_QUOTED}, {name: h, envRef: DAPR_FL_TEST}, {name: i, value: v, "
                       "envRef: FL_TEST_PLAIN}, {name: j, envRef: FL_TEST_UNSET}, {name: k, "
                       "value: '{appID}-{namespace}'}, {name: A, value: last}, {value: nameless}, "
                       "{name: s, secretKeyRef: {name: one, key: k}}, {name: t, value: beside, "
                       "secretKeyRef: {name: one}}]"));
    assert_int_equal(load(&f, false), FL_OK);
    static const char *const expected[][2] = {
        {"a", "last"},
        {"b", "true"},
        {"c", "{\"k\":[1]}"},
        {"d", ""},
        {"e", "\"q\""},
        {"f", "from env"},
        {"g", "good"},
        {"h", ""},
        {"i", "v"},
        {"j", ""},
        {"K", "held-default.held"},
        {"s", ""},
        {"t", "beside"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(value_of(&f, expected[i][0]), expected[i][1]);
    const struct config_component *c = &f.resources.components[0];
    assert_int_equal(c->init_timeout_ms, 90000);
    assert_true(c->ignores_errors && c->has_namespace_tag);
    assert_string_equal(c->secrets[12].key.data, "k");
    assert_true(tells(&f, "x: h: the environment variable \"DAPR_FL_TEST\" may not be read"));
    assert_true(tells(&f, "x: s: the secret \"one\" is not looked up: the component has no "
                          "auth.secretStore; the value stays empty"));
    assert_true(tells(&f, "x: t: the secret \"one\" is not looked up"));
    assert_null(config_component_find(c, "nothing"));
    config_resources_fini(&f.resources);
    setenv("DAPR_ENV_KEYS", "OTHER FL_TEST_QUOTED", 1);
    assert_int_equal(load(&f, false), FL_OK);
    assert_string_equal(value_of(&f, "f"), "");
    assert_string_equal(value_of(&f, "g"), "good");
    unsetenv("DAPR_ENV_KEYS");
    end(&f);
}

static void a_tag_without_a_value_fails_the_component(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "a.yaml", COMPONENT("x", ", metadata: [{name: a, value: '{podName}'}]"));
    assert_int_equal(load(&f, false), FL_OK);
    const struct config_component *c = &f.resources.components[0];
    assert_int_equal(c->standing, CONFIG_BROKEN);
    assert_non_null(strstr(c->trouble, "[INIT_COMPONENT_FAILURE]: initialization error occurred "
                                       "for x (pubsub.in-memory/v1): "));
    end(&f);
}

static void subscriptions_load_by_place_then_file(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "a.yaml", SUBSCRIPTION("a1", "t", "/a1") "---\n" SUBSCRIPTION("a2", "u", "/a2"));
    put(&f, "b.yaml", SUBSCRIPTION("b1", "u", "/b1") "---\n" SUBSCRIPTION("b2", "v", "/b2"));
    put(&f, "c.yaml", SUBSCRIPTION("c1", "w", "/c1") "scopes: [other]\n");
    put(&f, "d.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: d1}\nspec: "
        "{pubsubname: p, topic: w, route: /d1}\n");
    assert_int_equal(load(&f, false), FL_OK);
    shows(&f, "t->/a1 u->/b1 w->/d1 v->/b2 ");
    end(&f);
}

static void a_later_subscription_of_the_same_name_replaces(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "a.yaml", SUBSCRIPTION("a", "t", "/first"));
    put(&f, "b.yaml", SUBSCRIPTION("a", "u", "/second"));
    assert_int_equal(load(&f, false), FL_OK);
    shows(&f, "u->/second ");
    end(&f);
}

static void long_documents_load(void **state)
{
    (void)state;
    struct folder f;
    struct fl_buffer text = {0};
    begin(&f);
    fl_buffer_append_str(&text, COMPONENT("x", ", metadata: [{name: a, value: "));
    text.len -= strlen("}\n");
    for (int i = 0; i < 100000; i++)
        fl_buffer_append_byte(&text, 'v');
    fl_buffer_append_str(&text, "}]}\n");
    put(&f, "a.yaml", fl_buffer_cstr(&text));
    assert_int_equal(load(&f, true), FL_OK);
    assert_int_equal(strlen(value_of(&f, "a")), 100000);
    fl_buffer_fini(&text);
    end(&f);
}

static void resiliency_counts_in_a_first_document_only(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "a.yaml",
        "kind: Resiliency\nmetadata: {name: one}\nspec: {policies: {timeouts: "
        "{DefaultTimeoutPolicy: 1s}}}\n");
    put(&f, "b.yaml",
        COMPONENT("x", "") "---\nkind: Resiliency\nmetadata: {name: two}\nspec: "
                           "{policies: {timeouts: {DefaultTimeoutPolicy: 2s}}}\n");
    put(&f, "c.yaml", "kind: Resiliency\nmetadata: {name: three}\nscopes: [other]\nspec: {}\n");
    put(&f, "d.yaml",
        "kind: Resiliency\nmetadata: {name: four}\nspec: {policies: {timeouts: {t: "
        "soon}}}\n");
    assert_int_equal(load(&f, false), FL_OK);
    struct config_policy policy = config_resiliency_find(&f.resources.resiliency, FL_SLICE_LIT("x"),
                                                         CONFIG_INBOUND, CONFIG_CATEGORY_PUBSUB);
    assert_int_equal(policy.timeout_ms, 1000);
    assert_int_equal(f.resources.resiliency.names.count, 2);
    assert_true(tells(&f, "Loading Resiliency configuration: one"));
    assert_true(tells(&f, "b.yaml:6: a Resiliency that is not the first document of its file has "
                          "no effect"));
    assert_true(tells(&f, "Could not read resiliency policy four: "));
    end(&f);
}

static void http_endpoints_are_listed(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    put(&f, "a.yaml",
        "apiVersion: dapr.io/v1alpha1\nkind: HTTPEndpoint\nmetadata: {name: e}\nspec: "
        "{baseUrl: 'http://127.0.0.1:1'}\n");
    assert_int_equal(load(&f, true), FL_OK);
    assert_int_equal(f.resources.http_endpoints.count, 1);
    assert_string_equal(f.resources.http_endpoints.items[0].data, "e");
    end(&f);
}

static void notes_are_bounded(void **state)
{
    (void)state;
    struct folder f;
    struct fl_buffer text = {0};
    begin(&f);
    for (int i = 0; i < CONFIG_NOTES_MAX; i++)
        fl_buffer_append_str(&text, "- a\n---\n");
    put(&f, "a.yaml", fl_buffer_cstr(&text));
    assert_int_equal(load(&f, false), FL_OK);
    assert_int_equal(f.resources.notes.count, CONFIG_NOTES_MAX);
    assert_string_equal(f.resources.notes.last->text,
                        "further messages about configuration are left out");
    fl_buffer_fini(&text);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_load_in_daprds_order),
        cmocka_unit_test(what_cannot_be_read_is_skipped_with_a_warning),
        cmocka_unit_test(scopes_and_namespaces_filter),
        cmocka_unit_test(duplicates_are_fatal_among_those_accepted_before),
        cmocka_unit_test(a_missing_folder_is_fatal),
        cmocka_unit_test(denied_components_are_left_out),
        cmocka_unit_test(values_are_strings_as_daprd_makes_them),
        cmocka_unit_test(a_tag_without_a_value_fails_the_component),
        cmocka_unit_test(subscriptions_load_by_place_then_file),
        cmocka_unit_test(a_later_subscription_of_the_same_name_replaces),
        cmocka_unit_test(long_documents_load),
        cmocka_unit_test(resiliency_counts_in_a_first_document_only),
        cmocka_unit_test(http_endpoints_are_listed),
        cmocka_unit_test(notes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
