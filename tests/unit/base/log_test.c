/* Log records as they leave: text and JSON shape, order of fields, escapes, levels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"

struct scene {
    struct fl_log log;
    int reader;
    char line[4096];
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    int ends[2];
    setenv("TZ", "UTC", 1);
    tzset();
    fl_clock_fake(1767225600120000000);
    if (pipe(ends) != 0)
        return -1;
    fl_log_init(&scene->log, "1.2.3");
    strcpy(scene->log.instance, "host-1");
    strcpy(scene->log.app_id, "app");
    scene->log.fd = ends[1];
    scene->reader = ends[0];
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    close(scene->log.fd);
    close(scene->reader);
    free(scene);
    fl_clock_real();
    return 0;
}

static const char *read_line(struct scene *scene)
{
    ssize_t n = read(scene->reader, scene->line, sizeof scene->line - 1);
    assert_true(n > 0);
    scene->line[n] = 0;
    assert_int_equal(scene->line[n - 1], '\n');
    scene->line[n - 1] = 0;
    assert_null(strchr(scene->line, '\n'));
    return scene->line;
}

static void text_records_are_logrus_lines(void **state)
{
    struct scene *scene = *state;
    FL_INFO(&scene->log, "dapr.runtime", "two %s", "words");
    assert_string_equal(read_line(scene),
                        "time=\"2026-01-01T00:00:00.12Z\" level=info msg=\"two words\" app_id=app "
                        "instance=host-1 scope=dapr.runtime type=log ver=1.2.3");
}

static void whole_seconds_have_no_fraction(void **state)
{
    struct scene *scene = *state;
    fl_clock_fake(1767225600000000000);
    FL_WARN(&scene->log, "s", "m");
    assert_non_null(strstr(read_line(scene), "time=\"2026-01-01T00:00:00Z\" level=warning"));
}

static void the_offset_is_the_local_one(void **state)
{
    struct scene *scene = *state;
    setenv("TZ", "XXX+03:30", 1);
    tzset();
    FL_INFO(&scene->log, "s", "m");
    assert_non_null(strstr(read_line(scene), "time=\"2025-12-31T20:30:00.12-03:30\""));
}

static void json_records_are_flat_objects(void **state)
{
    struct scene *scene = *state;
    struct fl_log_field extra[] = {{"size", FL_SLICE_LIT("17"), true},
                                   {"name", FL_SLICE_LIT("a\"<b>\x01\xff\xc3\xa9"), false}};
    scene->log.is_json = true;
    fl_log_write_fields(&scene->log, FL_LOG_ERROR, false, "scope", FL_SLICE_LIT("m\n"), extra, 2);
    json_t *record = json_loads(read_line(scene), 0, NULL);
    assert_non_null(record);
    assert_int_equal(json_object_size(record), 10);
    assert_string_equal(json_string_value(json_object_get(record, "msg")), "m\n");
    assert_string_equal(json_string_value(json_object_get(record, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(record, "type")), "log");
    assert_int_equal(json_integer_value(json_object_get(record, "size")), 17);
    assert_string_equal(json_string_value(json_object_get(record, "name")),
                        "a\"<b>\x01\xef\xbf\xbd\xc3\xa9");
    json_decref(record);
    assert_null(strchr(scene->line, '<'));
}

static void values_cannot_break_the_line(void **state)
{
    struct scene *scene = *state;
    struct fl_log_field extra[] = {{"evil", FL_SLICE_LIT("x\r\nlevel=info \"q\" \\"), false}};
    fl_log_write_fields(&scene->log, FL_LOG_INFO, false, "s", FL_SLICE_LIT("m"), extra, 1);
    assert_non_null(strstr(read_line(scene), " evil=\"x\\r\\nlevel=info \\\"q\\\" \\\\\" "));
}

static void quiet_levels_write_nothing(void **state)
{
    struct scene *scene = *state;
    scene->log.level = FL_LOG_ERROR;
    FL_DEBUG(&scene->log, "s", "no");
    FL_INFO(&scene->log, "s", "no");
    FL_WARN(&scene->log, "s", "no");
    fl_log_write_fields(&scene->log, FL_LOG_DEBUG, true, "s", FL_SLICE_LIT("come what may"), NULL,
                        0);
    assert_non_null(strstr(read_line(scene), "msg=\"come what may\""));
}

static void levels_have_names(void **state)
{
    enum fl_log_level level = FL_LOG_FATAL;
    (void)state;
    assert_int_equal(fl_log_parse_level(FL_SLICE_LIT("WARN"), &level), FL_OK);
    assert_int_equal(level, FL_LOG_WARNING);
    assert_int_equal(fl_log_parse_level(FL_SLICE_LIT("warnings"), &level), FL_ERR_INVALID);
    assert_int_equal(level, FL_LOG_WARNING);
    assert_string_equal(fl_log_level_name(FL_LOG_WARNING), "warning");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_records_are_logrus_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_seconds_have_no_fraction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_offset_is_the_local_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_records_are_flat_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_cannot_break_the_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quiet_levels_write_nothing, set_up, tear_down),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
