/* Secret stores, and components whose values come from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "config/option.h"
#include "config/resolve.h"

static const struct config_identity identity = {.app_id = FL_SLICE_LIT("held")};

struct scene {
    struct fl_arena arena;
    struct config_notes notes;
    struct config_secrets secrets;
    char file[64];
    struct fl_error error;
};

static void begin(struct scene *s, const char *json)
{
    *s = (struct scene){0};
    config_notes_init(&s->notes, &s->arena);
    snprintf(s->file, sizeof s->file, "/tmp/fl-secrets-XXXXXX");
    int fd = mkstemp(s->file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
    close(fd);
    unsetenv("DAPR_ENV_KEYS");
    unsetenv("POD_NAME");
}

static void end(struct scene *s)
{
    config_secrets_fini(&s->secrets);
    fl_arena_fini(&s->arena);
    unlink(s->file);
}

static bool tells(const struct scene *s, const char *text)
{
    for (const struct config_note *note = s->notes.first; note; note = note->next)
        if (strstr(note->text, text))
            return true;
    return false;
}

/* A component without values. */
static struct config_component bare(struct scene *s, const char *name, const char *type)
{
    struct config_component c = {.name = fl_slice_str(name),
                                 .type = fl_slice_str(type),
                                 .version = FL_SLICE_LIT("v1"),
                                 .file = "f.yaml",
                                 .line = 1};
    c.log_name = fl_slice_str(fl_arena_printf(&s->arena, "%s (%s/v1)", name, type));
    c.metadata = FL_ARENA_ARRAY(&s->arena, struct config_value, 8);
    c.secrets = FL_ARENA_ARRAY(&s->arena, struct config_secret_ref, 8);
    return c;
}

static void set(struct config_component *c, const char *name, const char *value)
{
    c->metadata[c->metadata_count++] = (struct config_value){
        .name = fl_slice_str(name), .value = fl_slice_str(value), .file = "f.yaml", .line = 2};
}

static void refer(struct config_component *c, const char *name, const char *store,
                  const char *secret, const char *key)
{
    c->secret_store = fl_slice_str(store);
    c->secrets[c->metadata_count] =
        (struct config_secret_ref){.name = fl_slice_str(secret), .key = fl_slice_str(key)};
    set(c, name, "");
}

static struct config_component file_store(struct scene *s, const char *name)
{
    struct config_component c = bare(s, name, "secretstores.local.file");
    set(&c, "secretsFile", s->file);
    return c;
}

static void resolve(struct scene *s, struct config_component *components, size_t count,
                    bool is_strict)
{
    const struct config_resolve how = {
        .identity = &identity, .arena = &s->arena, .notes = &s->notes, .is_strict = is_strict};
    config_components_resolve(&how, components, count);
}

static enum fl_err open_store(struct scene *s, struct config_component *c)
{
    const struct config_bind how = {
        .owner = c->log_name.data, .arena = &s->arena, .notes = &s->notes};
    return config_secrets_open(&s->secrets, c, &how, &s->error);
}

/* The value, or the error's text. */
static const char *get(struct scene *s, const char *store, const char *name, const char *key)
{
    const struct config_secret_ref ref = {fl_slice_str(name), fl_slice_str(key)};
    struct fl_slice value;
    if (config_secrets_get(&s->secrets, fl_slice_str(store), &ref, &s->arena, &value, &s->error) !=
        FL_OK)
        return s->error.text;
    return fl_arena_strdup(&s->arena, value);
}

static void a_nested_secret_is_named_by_its_path(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{\"plain\":\"p\",\"db\":{\"password\":\"d\",\"hosts\":[\"one\",{\"two\":\"2\"}]},"
              "\"a:b\":\"colon\",\"dba\":{\"x\":\"longer\"},\"empty\":\"\",\"nul\\\\\":\"n\","
              "\"\":\"nameless\",\"twice\":\"first\",\"twice\":\"last\"}");
    struct config_component c = file_store(&s, "st");
    assert_int_equal(open_store(&s, &c), FL_OK);
    assert_false(c.has_many_keys);
    static const char *const found[][2] = {
        {"plain", "p"},          {"db:password", "d"}, {"db:hosts:0", "one"},
        {"db:hosts:1:two", "2"}, {"a:b", "colon"},     {"dba:x", "longer"},
        {"empty", ""},           {"twice", "last"},    {"nul\\", "n"}};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        assert_string_equal(get(&s, "st", found[i][0], NULL), found[i][1]);
        assert_string_equal(get(&s, "st", found[i][0], found[i][0]), found[i][1]);
    }
    static const char *const absent[] = {
        "db",   "db:",    "db:hosts",     "db:hosts:2", "db:hosts:00", "Plain",
        "plai", "plain:", "db:password:", "pl",         "db.password"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        char text[64];
        snprintf(text, sizeof text, "secret %s not found", absent[i]);
        assert_string_equal(get(&s, "st", absent[i], NULL), text);
    }
    assert_string_equal(get(&s, "st", "plain", "other"), "secret plain has no key \"other\"");
    end(&s);
}

static void leaves_that_are_no_strings_become_their_json_text(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{\"n\":6379,\"neg\":-1,\"f\":1.5,\"tenth\":0.1,\"big\":12345678901234567890,"
              "\"e\":1e300,\"t\":true,\"no\":false,\"z\":null,\"nul\":\"a\\u0000b\"}");
    struct config_component c = file_store(&s, "st");
    assert_int_equal(open_store(&s, &c), FL_OK);
    static const char *const found[][2] = {
        {"n", "6379"},    {"neg", "-1"},   {"f", "1.5"},
        {"tenth", "0.1"}, {"e", "1e+300"}, {"t", "true"},
        {"no", "false"},  {"z", ""},       {"big", "1.2345678901234567e+19"}};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        assert_string_equal(get(&s, "st", found[i][0], NULL), found[i][1]);
    struct fl_slice value;
    const struct config_secret_ref ref = {FL_SLICE_LIT("nul"), FL_SLICE_NULL};
    assert_int_equal(
        config_secrets_get(&s.secrets, FL_SLICE_LIT("st"), &ref, &s.arena, &value, &s.error),
        FL_OK);
    assert_true(fl_slice_eq(value, fl_slice_of("a\0b", 3)));
    end(&s);
}

static void the_separator_may_be_another(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{\"a\":{\"b\":\"ab\"},\"a:b\":\"colon\"}");
    struct config_component c = file_store(&s, "st");
    set(&c, "nestedSeparator", "__");
    assert_int_equal(open_store(&s, &c), FL_OK);
    assert_string_equal(get(&s, "st", "a__b", NULL), "ab");
    assert_string_equal(get(&s, "st", "a:b", NULL), "colon");
    assert_string_equal(get(&s, "st", "a_b", NULL), "secret a_b not found");
    end(&s);
}

static void an_object_is_one_secret_with_several_keys(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{\"db\":{\"user\":\"u\",\"tls\":{\"ca\":\"c\",\"all\":[\"x\"]}},\"plain\":\"p\","
              "\"n\":5,\"l\":[\"x\"],\"db:user\":\"top\"}");
    struct config_component c = file_store(&s, "st");
    set(&c, "multiValued", "true");
    assert_int_equal(open_store(&s, &c), FL_OK);
    assert_true(c.has_many_keys);
    assert_string_equal(get(&s, "st", "db", "user"), "u");
    assert_string_equal(get(&s, "st", "db", "tls:ca"), "c");
    assert_string_equal(get(&s, "st", "db", "tls:all:0"), "x");
    assert_string_equal(get(&s, "st", "plain", NULL), "p");
    assert_string_equal(get(&s, "st", "db:user", NULL), "top");
    assert_string_equal(get(&s, "st", "db", NULL), "secret db has no key \"db\"");
    assert_string_equal(get(&s, "st", "db", "tls"), "secret db has no key \"tls\"");
    assert_string_equal(get(&s, "st", "n", NULL), "secret n not found");
    assert_string_equal(get(&s, "st", "l", "l:0"), "secret l not found");
    end(&s);
}

static void the_environment_is_read_with_a_prefix_and_never_daprs_own(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "");
    setenv("FL_SECRET_ONE", "one", 1);
    setenv("DAPR_API_TOKEN", "never", 1);
    setenv("App_Api_Token", "never", 1);
    struct config_component plain = bare(&s, "plain", "secretstores.local.env");
    struct config_component prefixed = bare(&s, "prefixed", "SecretStores.local.env");
    prefixed.type = FL_SLICE_LIT("secretstores.Local.Env");
    set(&prefixed, "prefix", "FL_SECRET_");
    struct config_component sly = bare(&s, "sly", "secretstores.local.env");
    set(&sly, "prefix", "dapr_");
    assert_int_equal(open_store(&s, &plain), FL_OK);
    assert_int_equal(open_store(&s, &prefixed), FL_OK);
    assert_int_equal(open_store(&s, &sly), FL_OK);
    assert_string_equal(get(&s, "plain", "FL_SECRET_ONE", NULL), "one");
    assert_string_equal(get(&s, "prefixed", "ONE", "ONE"), "one");
    assert_string_equal(get(&s, "prefixed", "FL_SECRET_ONE", NULL),
                        "secret FL_SECRET_ONE not found");
    assert_string_equal(get(&s, "prefixed", "ONE", "two"), "secret ONE has no key \"two\"");
    assert_string_equal(get(&s, "plain", "DAPR_API_TOKEN", NULL),
                        "the environment variable \"DAPR_API_TOKEN\" may not be read by resources");
    assert_string_equal(get(&s, "plain", "App_Api_Token", NULL),
                        "the environment variable \"App_Api_Token\" may not be read by resources");
    assert_string_equal(get(&s, "sly", "API_TOKEN", NULL),
                        "the environment variable \"dapr_API_TOKEN\" may not be read by resources");
    assert_string_equal(get(&s, "none", "x", NULL), "no secret store \"none\" is open");
    unsetenv("DAPR_API_TOKEN");
    end(&s);
}

/* What follows the file's name in the error of opening it. */
static void refuses(const char *json, const char *text)
{
    struct scene s;
    begin(&s, json);
    struct config_component c = file_store(&s, "st");
    assert_int_equal(open_store(&s, &c), FL_ERR_INVALID);
    assert_non_null(strstr(s.error.text, s.file));
    assert_string_equal(strstr(s.error.text, s.file) + strlen(s.file), text);
    end(&s);
}

#define NOT_JSON ": found what is not JSON in UTF-8; accepted: one object, nested at most 2000 deep"

static void a_file_that_is_no_object_is_refused_without_showing_any_of_it(void **state)
{
    (void)state;
    refuses("", ":1:0" NOT_JSON);
    refuses("{", ":1:1" NOT_JSON);
    refuses("{\"password\": hunter2}", ":1:19" NOT_JSON);
    refuses("{\"password\":\n \"hunter2\" \"hunter3\"}", ":2:20" NOT_JSON);
    refuses("{\"p\":\"\xff\"}", ":1:6" NOT_JSON);
    refuses("[\"hunter2\"]", ": found JSON that is not an object; accepted: one object");
    refuses("\"hunter2\"", ": found JSON that is not an object; accepted: one object");
    refuses("null", ": found JSON that is not an object; accepted: one object");
}

static void a_file_is_bounded_in_depth_and_size(void **state)
{
    (void)state;
    struct scene s;
    struct fl_buffer deep = {0};
    for (int i = 0; i < 5000; i++)
        fl_buffer_append_str(&deep, "{\"a\":");
    fl_buffer_append_str(&deep, "\"x\"");
    for (int i = 0; i < 5000; i++)
        fl_buffer_append_byte(&deep, '}');
    begin(&s, fl_buffer_cstr(&deep));
    struct config_component c = file_store(&s, "st");
    assert_int_equal(open_store(&s, &c), FL_ERR_INVALID);
    end(&s);
    fl_buffer_clear(&deep);
    fl_buffer_append_str(&deep, "{\"a\":\"");
    for (int i = 0; i < 5 * 1024; i++)
        fl_buffer_printf(&deep, "%01024d", 0);
    fl_buffer_append_str(&deep, "\"}");
    begin(&s, fl_buffer_cstr(&deep));
    c = file_store(&s, "st");
    assert_int_equal(open_store(&s, &c), FL_ERR_TOO_LARGE);
    end(&s);
    fl_buffer_fini(&deep);
}

static void a_store_that_cannot_be_opened_says_why(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{}");
    struct config_component c = bare(&s, "st", "secretstores.local.file");
    assert_int_equal(open_store(&s, &c), FL_ERR_INVALID);
    assert_non_null(strstr(s.error.text, "secretsFile: missing, but required"));
    set(&c, "secretsFile", "/nowhere/secrets.json");
    assert_int_equal(open_store(&s, &c), FL_ERR_INVALID);
    assert_string_equal(s.error.text, "open /nowhere/secrets.json: no such file or directory");
    set(&c, "secretsFile", "/tmp");
    assert_int_equal(open_store(&s, &c), FL_ERR_SYSTEM);
    struct config_component near = file_store(&s, "st");
    set(&near, "nestedSeperator", "/");
    assert_int_equal(open_store(&s, &near), FL_ERR_INVALID);
    assert_non_null(strstr(s.error.text, "the nearest known one is \"nestedSeparator\""));
    struct config_component other = bare(&s, "st", "secretstores.local.fiel");
    assert_int_equal(open_store(&s, &other), FL_ERR_NOT_FOUND);
    assert_non_null(strstr(s.error.text, "couldn't find secret store secretstores.local.fiel/v1"));
    struct config_component later = file_store(&s, "st");
    later.version = FL_SLICE_LIT("v2");
    assert_int_equal(open_store(&s, &later), FL_ERR_NOT_FOUND);
    end(&s);
}

static void a_file_that_everybody_may_read_is_told_once(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{\"a\":\"b\"}");
    struct config_component c = file_store(&s, "st");
    assert_int_equal(open_store(&s, &c), FL_OK);
    assert_int_equal(s.notes.count, 0);
    assert_int_equal(chmod(s.file, 0640), 0);
    assert_int_equal(open_store(&s, &c), FL_OK);
    assert_int_equal(s.notes.count, 0);
    assert_int_equal(chmod(s.file, 0644), 0);
    assert_int_equal(open_store(&s, &c), FL_OK);
    assert_int_equal(s.notes.count, 1);
    assert_true(tells(&s, "can be read by every user of this machine (mode 0644)"));
    end(&s);
}

static void values_come_from_stores_and_stay_when_there_is_none(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{\"pass\":\"word\",\"quoted\":\"\\\"q\\\"\",\"tag\":\"{appID}\",\"empty\":\"\"}");
    struct config_component all[2] = {bare(&s, "x", "pubsub.redis"), file_store(&s, "st")};
    refer(&all[0], "a", "st", "pass", NULL);
    refer(&all[0], "b", "st", "quoted", "quoted");
    refer(&all[0], "c", "st", "tag", NULL);
    refer(&all[0], "d", "st", "nope", NULL);
    refer(&all[0], "e", "st", "empty", NULL);
    refer(&all[0], "f", "st", "pass", "other");
    all[0].metadata[5].value = FL_SLICE_LIT("beside");
    refer(&all[0], "g", "st", "pass", NULL);
    all[0].metadata[6].value = FL_SLICE_LIT("beside");
    resolve(&s, all, 2, false);
    assert_string_equal(all[0].name.data, "st");
    static const char *const expected[] = {"word", "q", "held", "", "", "beside", "word"};
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(all[1].metadata[i].value.data, expected[i]);
    assert_int_equal(all[1].standing, CONFIG_SOUND);
    assert_true(tells(&s, "f.yaml:2: component x: d: Error getting secret: store \"st\": secret "
                          "nope not found; the value stays empty"));
    assert_true(tells(&s, "component x: e: the secret \"empty\" of store \"st\" is empty"));
    assert_true(tells(&s, "secret pass has no key \"other\"; the value beside it is used"));
    assert_false(tells(&s, "word"));
    end(&s);
}

static void a_component_whose_store_is_not_there_is_parked(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{}");
    struct config_component all[3] = {bare(&s, "x", "pubsub.redis"), bare(&s, "y", "pubsub.redis"),
                                      bare(&s, "z", "state.redis")};
    refer(&all[0], "a", "nope", "pass", NULL);
    all[1].secret_store = FL_SLICE_LIT("nope"); /* named, and nothing taken from it */
    refer(&all[2], "a", "nope", "pass", NULL);
    resolve(&s, all, 3, false);
    assert_int_equal(all[0].standing, CONFIG_PARKED);
    assert_int_equal(all[1].standing, CONFIG_SOUND);
    assert_int_equal(all[2].standing, CONFIG_SOUND); /* nobody opens it */
    assert_int_equal(s.notes.count, 1);
    assert_true(tells(&s, "Component x references a secret store that isn't loaded: nope "
                          "(f.yaml:1); the component is absent"));
    resolve(&s, all, 3, true);
    assert_int_equal(all[0].standing, CONFIG_BROKEN);
    end(&s);
}

static void stores_open_as_soon_as_what_they_need_is_open(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{\"prefix\":\"FL_SECRET_\",\"file\":\"unused\"}");
    setenv("FL_SECRET_PASS", "word", 1);
    struct config_component all[6] = {bare(&s, "loop1", "secretstores.local.env"),
                                      bare(&s, "loop2", "secretstores.local.env"),
                                      bare(&s, "env", "secretstores.local.env"),
                                      bare(&s, "x", "pubsub.redis"),
                                      file_store(&s, "last"),
                                      bare(&s, "lone", "secretstores.local.env")};
    refer(&all[0], "prefix", "loop2", "a", NULL);
    refer(&all[1], "prefix", "loop1", "a", NULL);
    refer(&all[2], "prefix", "last", "prefix", NULL);
    refer(&all[3], "password", "env", "PASS", NULL);
    resolve(&s, all, 6, false);
    static const char *const order[] = {"last", "env", "lone", "loop1", "loop2", "x"};
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(all[i].name.data, order[i]);
        assert_int_equal(all[i].standing, i == 3 || i == 4 ? CONFIG_PARKED : CONFIG_SOUND);
    }
    assert_string_equal(all[5].metadata[0].value.data, "word");
    assert_true(all[5].metadata[0].is_secret);
    assert_true(tells(&s, "Component loop1 references a secret store that isn't loaded: loop2"));
    end(&s);
}

static void a_store_of_daprs_that_is_not_here_breaks_those_who_need_it(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{");
    struct config_component all[4] = {bare(&s, "vault", "secretstores.Hashicorp.Vault"),
                                      file_store(&s, "bad"), bare(&s, "x", "pubsub.redis"),
                                      bare(&s, "y", "pubsub.redis")};
    refer(&all[2], "password", "vault", "a", NULL);
    refer(&all[3], "password", "bad", "a", NULL);
    resolve(&s, all, 4, false);
    assert_int_equal(all[0].standing, CONFIG_SOUND);
    assert_true(config_secret_store_is_absent(all[0].type));
    assert_int_equal(all[1].standing, CONFIG_BROKEN);
    assert_false(all[1].is_unknown);
    assert_ptr_equal(
        strstr(all[1].trouble,
               "[INIT_COMPONENT_FAILURE]: initialization error occurred for bad "
               "(secretstores.local.file/v1): [INIT_COMPONENT_FAILURE]: initialization error "
               "occurred for bad (secretstores.local.file/v1): /tmp/fl-secrets-"),
        all[1].trouble);
    assert_int_equal(all[2].standing, CONFIG_BROKEN);
    assert_non_null(strstr(all[2].trouble, "the secret store \"vault\" is of type "
                                           "secretstores.Hashicorp.Vault, which is not part of "
                                           "Fairlead; accepted: secretstores.local.file, "
                                           "secretstores.local.env"));
    assert_int_equal(all[3].standing, CONFIG_PARKED);
    struct config_component odd = bare(&s, "odd", "secretstores.nothing");
    resolve(&s, &odd, 1, false);
    assert_true(odd.standing == CONFIG_BROKEN && odd.is_unknown);
    assert_non_null(strstr(odd.trouble, "[CREATE_COMPONENT_FAILURE]"));
    end(&s);
}

static void strict_loads_take_a_missing_secret_for_an_error(void **state)
{
    (void)state;
    struct scene s;
    begin(&s, "{}");
    struct config_component all[2] = {file_store(&s, "st"), bare(&s, "x", "pubsub.redis")};
    refer(&all[1], "a", "st", "nope", NULL);
    resolve(&s, all, 2, true);
    assert_int_equal(all[1].standing, CONFIG_BROKEN);
    assert_non_null(strstr(all[1].trouble, "secret nope not found"));
    assert_int_equal(s.notes.count, 0);
    s.notes.keeps_errors = true;
    struct config_component again[2] = {file_store(&s, "st"), bare(&s, "x", "pubsub.redis")};
    refer(&again[1], "a", "st", "nope", NULL);
    resolve(&s, again, 2, true);
    assert_int_equal(s.notes.count, 1);
    assert_true(tells(&s, "secret nope not found"));
    end(&s);
}

struct number {
    int64_t value;
};

static void what_came_from_a_secret_is_never_shown(void **state)
{
    (void)state;
    static const struct config_option rows[] = {
        {.name = "count", .type = CONFIG_INT, .offset = offsetof(struct number, value)},
        {.name = NULL}};
    struct scene s;
    struct number number;
    begin(&s, "{\"n\":\"hunter2\",\"short\":\"abc\"}");
    setenv("FL_SECRET_ENV", "hunter3", 1);
    struct config_component all[2] = {file_store(&s, "st"), bare(&s, "x", "pubsub.redis")};
    refer(&all[1], "count", "st", "n", NULL);
    refer(&all[1], "other", "st", "short", NULL);
    set(&all[1], "env", NULL);
    all[1].secrets[2].env = FL_SLICE_LIT("FL_SECRET_ENV");
    set(&all[1], "plain", "visible");
    resolve(&s, all, 2, false);
    struct config_option_target target = {rows, &number};
    struct config_bind how = {.arena = &s.arena, .is_open = true};
    assert_int_equal(config_options_bind(&target, 1, all[1].metadata, 4, &how, &s.error),
                     FL_ERR_INVALID);
    assert_null(strstr(s.error.text, "hunter2"));
    assert_non_null(strstr(s.error.text, "(not shown)"));
    char text[] = "hunter2 at hunter2hunter3, abc, visible, a hunter, hunte";
    config_component_hide_secrets(&all[1], text);
    assert_string_equal(text, "*** at ******, abc, visible, a ***, hunte");
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nested_secret_is_named_by_its_path),
        cmocka_unit_test(leaves_that_are_no_strings_become_their_json_text),
        cmocka_unit_test(the_separator_may_be_another),
        cmocka_unit_test(an_object_is_one_secret_with_several_keys),
        cmocka_unit_test(the_environment_is_read_with_a_prefix_and_never_daprs_own),
        cmocka_unit_test(a_file_that_is_no_object_is_refused_without_showing_any_of_it),
        cmocka_unit_test(a_file_is_bounded_in_depth_and_size),
        cmocka_unit_test(a_store_that_cannot_be_opened_says_why),
        cmocka_unit_test(a_file_that_everybody_may_read_is_told_once),
        cmocka_unit_test(values_come_from_stores_and_stay_when_there_is_none),
        cmocka_unit_test(a_component_whose_store_is_not_there_is_parked),
        cmocka_unit_test(stores_open_as_soon_as_what_they_need_is_open),
        cmocka_unit_test(a_store_of_daprs_that_is_not_here_breaks_those_who_need_it),
        cmocka_unit_test(strict_loads_take_a_missing_secret_for_an_error),
        cmocka_unit_test(what_came_from_a_secret_is_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
