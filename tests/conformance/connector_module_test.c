/* The registry: linked-in types, and modules that this program compiles and puts beside itself.
 *
 * Without a C compiler only the linked-in part is tested, and the rest says that it is skipped.
 */
#include "connectors/registry.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"

struct place {
    char here[PATH_MAX];    /* the folder of this program */
    char modules[PATH_MAX]; /* below it */
    char root[PATH_MAX];    /* of the sources; empty: not found */
    bool has_modules;
};

static struct place place;

static void join(char out[PATH_MAX], const char *folder, const char *name)
{
    FL_ASSERT(snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX);
}

/* The nearest folder at or above `folder` that has the interface's header. */
static bool find_root_above(const char *folder)
{
    char header[PATH_MAX];
    snprintf(place.root, sizeof place.root, "%s", folder);
    do {
        join(header, place.root, "connectors/connector.h");
        if (access(header, R_OK) == 0)
            return true;
        char *slash = strrchr(place.root, '/');
        place.root[slash ? slash - place.root : 0] = 0;
    } while (place.root[0]);
    return false;
}

static void find_root(void)
{
    char working[PATH_MAX];
    if (!find_root_above(place.here) && getcwd(working, sizeof working))
        find_root_above(working);
}

static bool compile_module(const char *name, const char *source)
{
    char path[PATH_MAX];
    join(path, place.modules, "module.c");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(source, file);
    fclose(file);
    struct fl_buffer command = {0};
    fl_buffer_printf(&command,
                     "cc -std=c11 -D_GNU_SOURCE -shared -fPIC -I'%s' -o '%s/connector-%s.so' "
                     "'%s' >/dev/null 2>&1",
                     place.root, place.modules, name, path);
    int status = system(fl_buffer_cstr(&command));
    fl_buffer_fini(&command);
    unlink(path);
    return status == 0;
}

/* A module with this interface number and these types; opening it sets a variable of the
 * environment to 1. */
static bool make_module(const char *name, const char *interface, const char *types)
{
    struct fl_buffer source = {0};
    fl_buffer_printf(&source,
                     "#include <stdlib.h>\n"
                     "#include \"connectors/connector.h\"\n"
                     "static const char *const types[] = {%s, NULL};\n"
                     "__attribute__((constructor)) static void opened(void)\n"
                     "{ setenv(\"OPENED_%s\", \"1\", 1); }\n"
                     "static const char *const more_types[] = {\"bindings.beside-%s\", NULL};\n"
                     "static const struct connector_type more = {\n"
                     "    .interface = %s, .component_types = more_types};\n"
                     "const struct connector_type fairlead_connector = {\n"
                     "    .interface = %s, .next = &more, .component_types = types,\n"
                     "    .summary = \"%s\"};\n",
                     types, name, name, interface, interface, name);
    bool is_made = compile_module(name, fl_buffer_cstr(&source));
    fl_buffer_fini(&source);
    return is_made;
}

static int set_up(void **state)
{
    (void)state;
    ssize_t len = readlink("/proc/self/exe", place.here, sizeof place.here - 1);
    assert_true(len > 0);
    *strrchr(place.here, '/') = 0;
    join(place.modules, place.here, "connectors");
    mkdir(place.modules, 0777);
    find_root();
    place.has_modules =
        place.root[0] &&
        make_module("good", "CONNECTOR_INTERFACE",
                    "\"pubsub.good\", \"bindings.good\", \"pubsub.good/v2\"") &&
        make_module("acme-queues", "CONNECTOR_INTERFACE", "\"pubsub.acme.queues\"") &&
        make_module("many", "CONNECTOR_INTERFACE", "\"pubsub.elsewhere\"") &&
        make_module("strange", "CONNECTOR_INTERFACE + 41", "\"pubsub.strange\"") &&
        compile_module("empty", "int nothing;\n");
    char path[PATH_MAX];
    join(path, place.modules, "connector-broken.so");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("this is no shared object", file);
    fclose(file);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"good",    "acme-queues", "many",
                                        "strange", "empty",       "broken"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX], name[64];
        snprintf(name, sizeof name, "connector-%s.so", names[i]);
        join(path, place.modules, name);
        unlink(path);
    }
    rmdir(place.modules);
    return 0;
}

#define REQUIRE_MODULES()                                                                          \
    do {                                                                                           \
        if (!place.has_modules)                                                                    \
            skip();                                                                                \
    } while (0)

static struct fl_error last_error;

/* One look-up in a fresh registry; NULL and `last_error` on failure. */
static const struct connector_type *find(const char *component_type, const char *version)
{
    struct connector_registry *registry = connector_registry_new();
    const struct connector_type *type = NULL;
    last_error = (struct fl_error){0};
    enum fl_err err = connector_registry_find(registry, fl_slice_str(component_type),
                                              fl_slice_str(version), &type, &last_error);
    connector_registry_free(&registry);
    assert_null(registry);
    assert_true((err == FL_OK) == (type != NULL));
    assert_int_equal(err, last_error.code);
    return type;
}

static bool says(const char *text)
{
    if (strstr(last_error.text, text))
        return true;
    print_error("not in \"%s\": %s\n", last_error.text, text);
    return false;
}

static void finds_what_is_linked_in(void **state)
{
    (void)state;
    const struct connector_type *type = find("pubsub.in-memory", "v1");
    assert_non_null(type);
    assert_string_equal(type->component_types[0], "pubsub.in-memory");
    assert_ptr_equal(find("PubSub.In-Memory", "V1"), type);
    assert_ptr_equal(find("pubsub.in-memory", ""), type);
    assert_ptr_equal(find("pubsub.in-memory", NULL), type);
    assert_ptr_equal(find("pubsub.in-memory", "v0"), type);
}

static void other_versions_are_not_the_first(void **state)
{
    (void)state;
    assert_null(find("pubsub.in-memory", "v2"));
    assert_int_equal(last_error.code, FL_ERR_NOT_FOUND);
    assert_true(says("no connector serves pubsub.in-memory/v2; this type has version v1 only"));
}

static void an_unknown_type_gets_the_nearest_spelling(void **state)
{
    (void)state;
    assert_null(find("pubsub.in-memroy", "v1"));
    assert_true(says("no connector serves pubsub.in-memroy; did you mean pubsub.in-memory?"));
    assert_int_equal(last_error.class, FL_CLASS_REJECT);
    assert_null(find("pubsub.somethingentirelydifferent", "v1"));
    assert_true(says("there are pubsub.in-memory"));
}

static void names_that_lead_elsewhere_are_unknown(void **state)
{
    (void)state;
    static const char *const names[] = {
        "", ".", "pubsub", "pubsub.", "pubsub./../../x", "pubsub.a/b", "pubsub.a b", "pubsub.%s%n",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_null(find(names[i], "v1"));
        assert_int_equal(last_error.code, FL_ERR_NOT_FOUND);
    }
}

static void lists_every_type_once(void **state)
{
    (void)state;
    struct connector_registry *registry = connector_registry_new();
    size_t at = 0, linked_in = 0, count = 0, memory = 0;
    while (connector_registry_next(registry, &at))
        linked_in++;
    connector_registry_load_all(registry, NULL);
    connector_registry_load_all(registry, &last_error);
    at = 0;
    for (const struct connector_type *type; (type = connector_registry_next(registry, &at));) {
        count++;
        memory += strcmp(type->component_types[0], "pubsub.in-memory") == 0;
    }
    assert_int_equal(memory, 1);
    assert_int_equal(count, linked_in + (place.has_modules ? 6 : 0));
    assert_int_not_equal(last_error.code, FL_OK);
    connector_registry_free(&registry);
}

static void a_module_may_have_several_types(void **state)
{
    (void)state;
    REQUIRE_MODULES();
    const struct connector_type *first = find("pubsub.good", "v1");
    const struct connector_type *other = find("bindings.beside-good", "v1");
    assert_non_null(other);
    assert_ptr_equal(first->next, other);
}

static void a_module_is_opened_when_it_is_needed(void **state)
{
    (void)state;
    REQUIRE_MODULES();
    assert_non_null(find("pubsub.in-memory", "v1"));
    assert_null(getenv("OPENED_good"));
    const struct connector_type *type = find("pubsub.good", "v1");
    assert_non_null(type);
    assert_string_equal(type->summary, "good");
    assert_non_null(getenv("OPENED_good"));
    assert_null(getenv("OPENED_many"));
    assert_ptr_equal(find("Bindings.GOOD", "v1"), type);
    assert_ptr_equal(find("pubsub.good", "v2"), type);
    assert_null(find("bindings.good", "v2"));
}

static void a_module_is_found_by_its_dotted_name_and_by_what_it_serves(void **state)
{
    (void)state;
    REQUIRE_MODULES();
    assert_string_equal(find("pubsub.acme.queues", "v1")->summary, "acme-queues");
    assert_string_equal(find("pubsub.elsewhere", "v1")->summary, "many");
}

static void another_interface_number_is_refused_with_both(void **state)
{
    (void)state;
    REQUIRE_MODULES();
    char text[128];
    snprintf(text, sizeof text, "was built for connector interface %d, this executable has %d",
             CONNECTOR_INTERFACE + 41, CONNECTOR_INTERFACE);
    assert_null(find("pubsub.strange", "v1"));
    assert_int_equal(last_error.code, FL_ERR_UNSUPPORTED);
    assert_true(says(text));
}

static void a_file_that_is_no_connector_is_refused(void **state)
{
    (void)state;
    REQUIRE_MODULES();
    assert_null(find("pubsub.empty", "v1"));
    assert_int_equal(last_error.code, FL_ERR_SYSTEM);
    assert_true(says("has no symbol fairlead_connector"));
    assert_null(find("pubsub.broken", "v1"));
    assert_int_equal(last_error.code, FL_ERR_SYSTEM);
    assert_true(says("connector-broken.so"));
}

static void the_working_directory_is_not_searched(void **state)
{
    (void)state;
    REQUIRE_MODULES();
    char from[PATH_MAX], elsewhere[] = "/tmp/fairlead-module-XXXXXX", moved[PATH_MAX];
    assert_non_null(mkdtemp(elsewhere));
    join(moved, elsewhere, "connector-cwd.so");
    assert_true(make_module("cwd", "CONNECTOR_INTERFACE", "\"pubsub.cwd\""));
    join(from, place.modules, "connector-cwd.so");
    struct fl_buffer command = {0};
    fl_buffer_printf(&command, "mv '%s' '%s'", from, moved);
    assert_int_equal(system(fl_buffer_cstr(&command)), 0);
    fl_buffer_fini(&command);
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(elsewhere), 0);
    const struct connector_type *type = find("pubsub.cwd", "v1");
    assert_int_equal(chdir(before), 0);
    unlink(moved);
    rmdir(elsewhere);
    assert_null(type);
    assert_null(getenv("OPENED_cwd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_linked_in),
        cmocka_unit_test(a_module_is_opened_when_it_is_needed),
        cmocka_unit_test(a_module_may_have_several_types),
        cmocka_unit_test(other_versions_are_not_the_first),
        cmocka_unit_test(an_unknown_type_gets_the_nearest_spelling),
        cmocka_unit_test(names_that_lead_elsewhere_are_unknown),
        cmocka_unit_test(a_module_is_found_by_its_dotted_name_and_by_what_it_serves),
        cmocka_unit_test(another_interface_number_is_refused_with_both),
        cmocka_unit_test(a_file_that_is_no_connector_is_refused),
        cmocka_unit_test(the_working_directory_is_not_searched),
        cmocka_unit_test(lists_every_type_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
