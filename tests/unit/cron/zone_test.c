/* Time zones: files and rules as the C library understands them, names that are refused, files that
 * are damaged. Tests that need the machine's zone files are skipped where there are none.
 */
#include "connectors/cron/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"

#define ZONES "/usr/share/zoneinfo/"

static void need_zone_files(void)
{
    if (access(ZONES "Europe/Berlin", R_OK) != 0)
        skip();
}

static struct cn_cron_zone *find(const char *name)
{
    struct cn_cron_zone *zone = NULL;
    struct fl_error error;
    if (cn_cron_zone_find(fl_slice_str(name), &zone, &error) != FL_OK)
        fail_msg("%s: %s", name, error.text);
    return zone;
}

static struct cn_cron_zone *rule(const char *text)
{
    struct cn_cron_zone *zone = NULL;
    struct fl_error error;
    if (cn_cron_zone_of_rule(fl_slice_str(text), &zone, &error) != FL_OK)
        fail_msg("%s: %s", text, error.text);
    return zone;
}

/* --- against the C library, which has one zone for the whole process: this one --- */

static void use_in_the_library(const char *tz)
{
    assert_int_equal(setenv("TZ", tz, 1), 0);
    tzset();
}

static int32_t offset_of_the_library(int64_t at_s)
{
    time_t second = (time_t)at_s;
    struct tm tm;
    assert_non_null(localtime_r(&second, &tm));
    return (int32_t)tm.tm_gmtoff;
}

/* Every week, and on both sides of every change that is told, from 1970 to 2100. */
static void expect_as_the_library(const struct cn_cron_zone *zone, const char *tz)
{
    enum { WEEK_S = 7 * 86400 };
    use_in_the_library(tz);
    for (int64_t at = 0, until; at < INT64_C(4102444800);
         at = until < at + WEEK_S ? until : at + WEEK_S) {
        int32_t offset = cn_cron_zone_offset(zone, at, &until);
        assert_true(until > at);
        if (offset != offset_of_the_library(at))
            fail_msg("%s at %lld: %d, and %d in the library", tz, (long long)at, offset,
                     offset_of_the_library(at));
        if (until < at + WEEK_S && offset != offset_of_the_library(until - 1))
            fail_msg("%s: another offset before %lld already", tz, (long long)until);
    }
    use_in_the_library("UTC");
}

static void files_are_understood_as_the_library_does(void **state)
{
    static const char *const names[] = {
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Europe/Dublin",
        "Asia/Tehran",
        "America/Sao_Paulo",
        "Africa/Casablanca",
        "Pacific/Apia",
        "Antarctica/Troll",
        "America/St_Johns",
        "Asia/Gaza",
        "Pacific/Chatham",
        "Etc/GMT+5",
        "EST5EDT",
        "America/Argentina/Buenos_Aires",
    };
    (void)state;
    need_zone_files();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct cn_cron_zone *zone = find(names[i]);
        expect_as_the_library(zone, names[i]);
        cn_cron_zone_free(&zone);
    }
}

static void rules_are_understood_as_the_library_does(void **state)
{
    static const char *const rules[] = {
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "EST5EDT,M3.2.0,M11.1.0",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "IST-5:30",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        "AAA3BBB2:30:15,J60/1,J300",
        "AAA+3BBB,59,299/4:30",
        "XXX-12:45:30",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct cn_cron_zone *zone = rule(rules[i]);
        expect_as_the_library(zone, rules[i]);
        cn_cron_zone_free(&zone);
    }
}

static void a_summer_time_all_year_long_never_ends(void **state)
{
    struct cn_cron_zone *zone = rule("EST5EDT,0/0,J365/25");
    (void)state;
    for (int64_t at = INT64_C(1750000000), until; at < INT64_C(1900000000); at = until) {
        assert_int_equal(cn_cron_zone_offset(zone, at, &until), -4 * 3600);
        assert_true(until > at);
    }
    cn_cron_zone_free(&zone);
}

static void text_that_is_no_rule_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "CET",
        "C1",
        "CET-1CEST",
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3 ",
        "CET-1CEST,M3.5.0,M10.5.0/3,",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0/,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J1,J366",
        "CET-1CEST,0,366",
        "CET-25",
        "CET-1:60",
        "CET-1:30:60",
        "CET--1",
        "<CET-1",
        "<+0>1",
        "<a b>1",
        "CET99999999999999999999",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cn_cron_zone *zone = NULL;
        struct fl_error error = {0};
        if (cn_cron_zone_of_rule(fl_slice_str(texts[i]), &zone, &error) != FL_ERR_INVALID)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_null(zone);
        assert_true(error.text[0]);
    }
}

/* --- names --- */

static void utc_needs_no_file(void **state)
{
    int64_t until;
    (void)state;
    assert_null(find("UTC"));
    assert_null(find(""));
    assert_int_equal(cn_cron_zone_offset(NULL, 1750000000, &until), 0);
    assert_int_equal(until, INT64_MAX);
}

static void expect_refused(const char *name, enum fl_err code, const char *words)
{
    struct cn_cron_zone *zone = NULL;
    struct fl_error error = {0};
    enum fl_err err = cn_cron_zone_find(fl_slice_str(name), &zone, &error);
    if (err != code || !strstr(error.text, words) || zone)
        fail_msg("\"%s\": %s: %s", name, fl_err_name(err), error.text);
}

static void no_name_leads_out_of_the_folder(void **state)
{
    static const char *const names[] = {
        "../zoneinfo/Europe/Berlin",
        "..",
        ".",
        "./Europe/Berlin",
        "Europe/../Europe/Berlin",
        "Europe/..",
        "/usr/share/zoneinfo/Europe/Berlin",
        "/etc/localtime",
        "Europe//Berlin",
        "Europe/",
        "/",
        "Europe\\Berlin",
        "Europe/Berlin ",
        "Europe/Berl\xc3\xadn",
        "tzdata.zi",
        "Europe/Berlin%2f..",
        "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b",
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        expect_refused(names[i], FL_ERR_INVALID, "such as Europe/Berlin");
}

static void an_unknown_name_is_told_with_what_is_accepted(void **state)
{
    (void)state;
    expect_refused("Nowhere/X", FL_ERR_NOT_FOUND,
                   "there is no time zone \"Nowhere/X\"; accepted are the names of the files in");
    need_zone_files();
    expect_refused("europe/berlin", FL_ERR_NOT_FOUND, "in their spelling");
    expect_refused("Europe/Berlin/X", FL_ERR_NOT_FOUND, "Europe/Berlin/X");
}

static void a_folder_is_no_zone(void **state)
{
    (void)state;
    need_zone_files();
    expect_refused("Europe", FL_ERR_INVALID, "Europe is no zone file");
}

static void files_that_count_leap_seconds_are_refused(void **state)
{
    (void)state;
    if (access(ZONES "right/UTC", R_OK) != 0)
        skip();
    expect_refused("right/UTC", FL_ERR_INVALID, "leap seconds");
}

/* --- the local zone --- */

static int32_t local_offset(const char *tz)
{
    struct cn_cron_zone *zone = NULL;
    struct fl_error error;
    int64_t until;
    if (cn_cron_zone_local(tz, &zone, &error) != FL_OK)
        fail_msg("%s: %s", tz, error.text);
    int32_t offset = cn_cron_zone_offset(zone, INT64_C(1750000000), &until); /* in June */
    cn_cron_zone_free(&zone);
    return offset;
}

static void tz_may_be_a_name_a_path_or_a_rule(void **state)
{
    (void)state;
    assert_int_equal(local_offset(""), 0);
    assert_int_equal(local_offset(":"), 0);
    assert_int_equal(local_offset("UTC"), 0);
    assert_int_equal(local_offset("CET-1CEST,M3.5.0,M10.5.0/3"), 7200);
    assert_int_equal(local_offset(":IST-5:30"), 19800);
    need_zone_files();
    assert_int_equal(local_offset("Europe/Berlin"), 7200);
    assert_int_equal(local_offset(":Europe/Berlin"), 7200);
    assert_int_equal(local_offset(ZONES "Europe/Berlin"), 7200);
}

static void any_other_tz_is_refused(void **state)
{
    static const char *const texts[] = {"Nowhere/X",   "/nowhere",  "../x",
                                        "/etc/passwd", "/dev/zero", "/etc"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cn_cron_zone *zone = NULL;
        struct fl_error error = {0};
        assert_int_not_equal(cn_cron_zone_local(texts[i], &zone, &error), FL_OK);
        assert_null(zone);
        assert_true(error.text[0]);
    }
}

static void without_tz_it_is_the_machines(void **state)
{
    (void)state;
    unsetenv("TZ");
    tzset();
    assert_int_equal(local_offset(NULL), offset_of_the_library(INT64_C(1750000000)));
}

/* --- files, byte by byte --- */

static void append_u32(struct fl_buffer *file, uint32_t value)
{
    const char bytes[] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                          (char)value};
    fl_buffer_append(file, bytes, sizeof bytes);
}

static void append_time(struct fl_buffer *file, int64_t value, bool is_long)
{
    if (is_long)
        append_u32(file, (uint32_t)((uint64_t)value >> 32));
    append_u32(file, (uint32_t)value);
}

struct shape {
    char version;
    uint32_t leaps;
    int64_t first_s, second_s; /* transitions: to the second type, and back */
    unsigned char type;        /* of the first transition */
    int32_t offset_s;          /* of the second type */
    const char *footer;
};

static void append_block(struct fl_buffer *file, const struct shape *shape, bool is_long)
{
    fl_buffer_append(file, "TZif", 4);
    fl_buffer_append_byte(file, shape->version);
    for (int i = 0; i < 15; i++)
        fl_buffer_append_byte(file, 0);
    const uint32_t counts[] = {0, 0, shape->leaps, 2, 2, 4};
    for (int i = 0; i < 6; i++)
        append_u32(file, counts[i]);
    append_time(file, shape->first_s, is_long);
    append_time(file, shape->second_s, is_long);
    fl_buffer_append_byte(file, (char)shape->type);
    fl_buffer_append_byte(file, 0);
    for (int i = 0; i < 2; i++) {
        append_u32(file, (uint32_t)(i ? shape->offset_s : 600));
        fl_buffer_append(file, "\0\0", 2);
    }
    /* Names that would pass for an offset, were they taken for a third type. */
    fl_buffer_append(file, "\0\0\1\0", 4);
    for (uint32_t i = 0; i < shape->leaps; i++) {
        append_time(file, 0, is_long);
        append_u32(file, 1);
    }
}

static struct fl_buffer file_of(const struct shape *shape)
{
    struct fl_buffer file = {0};
    append_block(&file, shape, false);
    if (shape->version) {
        append_block(&file, shape, true);
        fl_buffer_append_str(&file, shape->footer);
    }
    return file;
}

static const struct shape sound = {'2', 0, 1000, 2000, 1, 3600, "\nAAA-2\n"};

static enum fl_err read_file(const struct shape *shape, struct cn_cron_zone **zone)
{
    struct fl_buffer file = file_of(shape);
    struct fl_error error;
    enum fl_err err = cn_cron_zone_of_file(fl_buffer_slice(&file), zone, &error);
    fl_buffer_fini(&file);
    return err;
}

static void expect_offset(const struct cn_cron_zone *zone, int64_t at_s, int32_t offset_s,
                          int64_t expected_until_s)
{
    int64_t until_s;
    assert_int_equal(cn_cron_zone_offset(zone, at_s, &until_s), offset_s);
    assert_int_equal(until_s, expected_until_s);
}

static void a_file_tells_offsets_before_between_and_after_its_transitions(void **state)
{
    struct cn_cron_zone *zone = NULL;
    (void)state;
    assert_int_equal(read_file(&sound, &zone), FL_OK);
    expect_offset(zone, -5000, 600, 1000);
    expect_offset(zone, 999, 600, 1000);
    expect_offset(zone, 1000, 3600, 2000);
    expect_offset(zone, 1999, 3600, 2000);
    expect_offset(zone, 2000, 7200, INT64_MAX); /* the rule's, from the last transition on */
    cn_cron_zone_free(&zone);
}

static void the_first_version_has_no_rule(void **state)
{
    struct shape shape = sound;
    struct cn_cron_zone *zone = NULL;
    (void)state;
    shape.version = 0;
    shape.first_s = -1000;
    assert_int_equal(read_file(&shape, &zone), FL_OK);
    expect_offset(zone, -1001, 600, -1000);
    expect_offset(zone, -1000, 3600, 2000);
    expect_offset(zone, 2000, 600, INT64_MAX);
    cn_cron_zone_free(&zone);
}

static void an_empty_rule_leaves_the_last_offset(void **state)
{
    struct shape shape = sound;
    struct cn_cron_zone *zone = NULL;
    (void)state;
    shape.footer = "\n\n";
    assert_int_equal(read_file(&shape, &zone), FL_OK);
    expect_offset(zone, 2000, 600, INT64_MAX);
    cn_cron_zone_free(&zone);
}

static void expect_damaged(struct shape shape)
{
    struct cn_cron_zone *zone = NULL;
    assert_int_equal(read_file(&shape, &zone), FL_ERR_INVALID);
    assert_null(zone);
}

static void damaged_files_are_refused(void **state)
{
    struct shape shape = sound;
    (void)state;
    shape.type = 2;
    expect_damaged(shape);
    shape = sound;
    shape.second_s = 1000;
    expect_damaged(shape);
    shape = sound;
    shape.offset_s = 26 * 3600;
    expect_damaged(shape);
    shape.offset_s = INT32_MIN;
    expect_damaged(shape);
    shape = sound;
    shape.leaps = 1;
    expect_damaged(shape);
    shape = sound;
    shape.footer = "\nAAA-2";
    expect_damaged(shape);
    shape.footer = "AAA-2\n";
    expect_damaged(shape);
    shape.footer = "\nAAA\n";
    expect_damaged(shape);
    shape.footer = "\n";
    expect_damaged(shape);
}

static void a_part_of_a_file_is_refused(void **state)
{
    struct fl_buffer file = file_of(&sound);
    (void)state;
    for (size_t len = 0; len < file.len; len++) {
        struct cn_cron_zone *zone = NULL;
        struct fl_error error;
        /* A copy of just these bytes, so that a sanitizer sees what is read beyond them. */
        char *part = fl_strdup(fl_slice_of(file.data, len));
        assert_int_equal(cn_cron_zone_of_file(fl_slice_of(part, len), &zone, &error),
                         FL_ERR_INVALID);
        fl_free(part);
    }
    fl_buffer_fini(&file);
}

static void counts_beyond_the_file_are_refused(void **state)
{
    (void)state;
    for (size_t at = 20; at < 44; at++) {
        struct fl_buffer file = file_of(&sound);
        struct cn_cron_zone *zone = NULL;
        struct fl_error error;
        file.data[at] = (char)0xff;
        assert_int_equal(cn_cron_zone_of_file(fl_buffer_slice(&file), &zone, &error),
                         FL_ERR_INVALID);
        fl_buffer_fini(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_understood_as_the_library_does),
        cmocka_unit_test(rules_are_understood_as_the_library_does),
        cmocka_unit_test(a_summer_time_all_year_long_never_ends),
        cmocka_unit_test(text_that_is_no_rule_is_refused),
        cmocka_unit_test(utc_needs_no_file),
        cmocka_unit_test(no_name_leads_out_of_the_folder),
        cmocka_unit_test(an_unknown_name_is_told_with_what_is_accepted),
        cmocka_unit_test(a_folder_is_no_zone),
        cmocka_unit_test(files_that_count_leap_seconds_are_refused),
        cmocka_unit_test(tz_may_be_a_name_a_path_or_a_rule),
        cmocka_unit_test(any_other_tz_is_refused),
        cmocka_unit_test(without_tz_it_is_the_machines),
        cmocka_unit_test(a_file_tells_offsets_before_between_and_after_its_transitions),
        cmocka_unit_test(the_first_version_has_no_rule),
        cmocka_unit_test(an_empty_rule_leaves_the_last_offset),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(a_part_of_a_file_is_refused),
        cmocka_unit_test(counts_beyond_the_file_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
