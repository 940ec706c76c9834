/* Findings: the place that a text is about, each told once, in order, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/check_findings.h"

static struct fl_slice roots[] = {FL_SLICE_LIT("res"), FL_SLICE_LIT("/etc/c.yaml")};

struct fixture {
    struct gw_findings findings;
    struct fl_buffer out;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.findings.roots = {roots, 2}};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gw_findings_fini(&f->findings);
    fl_buffer_fini(&f->out);
    return 0;
}

static void add(struct fixture *f, const char *text)
{
    gw_findings_add(&f->findings, GW_FINDING_ERROR, NULL, 0, text);
}

static const char *print(struct fixture *f, bool as_json)
{
    f->out.len = 0;
    gw_findings_print(&f->findings, as_json, &f->out);
    return fl_buffer_cstr(&f->out);
}

static void a_place_at_the_start_is_taken(void **state)
{
    struct fixture *f = *state;
    add(f, "res/a.yaml:7: spec: it is wrong");
    assert_string_equal(print(f, false), "res/a.yaml:7: error: spec: it is wrong\n");
}

static void words_before_a_place_are_left_out(void **state)
{
    struct fixture *f = *state;
    add(f, "daprd load Component error when parsing manifests yaml resource in res/a b.yaml: "
           "res/a b.yaml:7: it is wrong");
    add(f, "error loading configuration: /etc/c.yaml:3: it is wrong too");
    assert_string_equal(print(f, false), "/etc/c.yaml:3: error: it is wrong too\n"
                                         "res/a b.yaml:7: error: it is wrong\n");
}

static void a_column_is_kept(void **state)
{
    struct fixture *f = *state;
    add(f, "res/a.yaml:7:12: it is wrong");
    assert_string_equal(print(f, false), "res/a.yaml:7:12: error: it is wrong\n");
}

static void a_place_within_a_sentence_stays_there(void **state)
{
    struct fixture *f = *state;
    add(f, "failed to load components: two of a name (res/b.yaml:2 and res/a.yaml:1)");
    assert_string_equal(print(f, false), "res/b.yaml:2: error: two of a name (res/b.yaml:2 and "
                                         "res/a.yaml:1)\n");
}

static void a_folders_name_within_a_word_is_no_place(void **state)
{
    struct fixture *f = *state;
    add(f, "a resource at 12:30 and a re:res:5");
    assert_string_equal(print(f, false), "error: a resource at 12:30 and a re:res:5\n");
}

static void a_text_without_a_place_gets_the_one_given(void **state)
{
    struct fixture *f = *state;
    gw_findings_add(&f->findings, GW_FINDING_WARNING, "res/a.yaml", 3, "it is odd: 12:30");
    gw_findings_add(&f->findings, GW_FINDING_NOTE, NULL, 0, "it is good");
    assert_string_equal(print(f, false), "note: it is good\nres/a.yaml:3: warning: it is odd: "
                                         "12:30\n");
}

static void equal_findings_are_one(void **state)
{
    struct fixture *f = *state;
    add(f, "res/a.yaml:7: it is wrong");
    add(f, "daprd load: res/a.yaml:7: it is wrong");
    add(f, "res/a.yaml:8: it is wrong");
    assert_int_equal(f->findings.count, 2);
    assert_int_equal(f->findings.counts[GW_FINDING_ERROR], 2);
}

static void lines_of_a_file_come_in_order(void **state)
{
    struct fixture *f = *state;
    add(f, "res/b.yaml:1: d");
    add(f, "res/a.yaml:10: b");
    add(f, "res/a.yaml:9: a");
    add(f, "res/a.yaml:10: c");
    assert_string_equal(print(f, false), "res/a.yaml:9: error: a\nres/a.yaml:10: error: b\n"
                                         "res/a.yaml:10: error: c\nres/b.yaml:1: error: d\n");
}

static void json_has_what_is_known(void **state)
{
    struct fixture *f = *state;
    add(f, "res/a.yaml:7:2: a \"word\"");
    add(f, "nowhere");
    assert_string_equal(print(f, true), "{\"severity\":\"error\",\"text\":\"nowhere\"}\n"
                                        "{\"severity\":\"error\",\"file\":\"res/a.yaml\","
                                        "\"line\":7,\"column\":2,\"text\":\"a \\\"word\\\"\"}\n");
}

static void notes_below_a_warning_are_no_findings(void **state)
{
    struct fixture *f = *state;
    struct config_notes notes;
    struct fl_error error = {.text = "kept"};
    config_notes_init(&notes, &f->findings.arena);
    assert_false(config_notes_keep(&notes, "s", &error));
    notes.keeps_errors = true;
    config_note(&notes, FL_LOG_INFO, "s", "told");
    config_note(&notes, FL_LOG_WARNING, "s", "warned");
    assert_true(config_notes_keep(&notes, "s", &error));
    gw_findings_add_notes(&f->findings, &notes);
    assert_string_equal(print(f, false), "warning: warned\nerror: kept\n");
}

static void more_than_the_most_are_counted(void **state)
{
    struct fixture *f = *state;
    char text[64];
    for (int i = 0; i < GW_FINDINGS_MAX + 5; i++) {
        snprintf(text, sizeof text, "res/a.yaml:%d: x", i + 1);
        add(f, text);
    }
    assert_int_equal(f->findings.count, GW_FINDINGS_MAX);
    assert_int_equal(f->findings.counts[GW_FINDING_ERROR], GW_FINDINGS_MAX + 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_place_at_the_start_is_taken),
        TEST(words_before_a_place_are_left_out),
        TEST(a_column_is_kept),
        TEST(a_place_within_a_sentence_stays_there),
        TEST(a_folders_name_within_a_word_is_no_place),
        TEST(a_text_without_a_place_gets_the_one_given),
        TEST(equal_findings_are_one),
        TEST(lines_of_a_file_come_in_order),
        TEST(json_has_what_is_known),
        TEST(notes_below_a_warning_are_no_findings),
        TEST(more_than_the_most_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
