/* Trace context and baggage: what is taken, what is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cloudevents/trace_context.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"
#define PARENT "00-" TRACE "-" SPAN "-01"

static void reads_traceparents(void **state)
{
    (void)state;
    /* NULL: refused; otherwise what is written back. */
    static const char *const cases[][2] = {
        {PARENT, PARENT},
        {"00-" TRACE "-" SPAN "-00", "00-" TRACE "-" SPAN "-00"},
        {"00-" TRACE "-" SPAN "-ff", "00-" TRACE "-" SPAN "-ff"},
        {"01-" TRACE "-" SPAN "-01", PARENT},
        {"01-" TRACE "-" SPAN "-01-ab", PARENT},
        {"fe-" TRACE "-" SPAN "-01-", PARENT},
        {"01-" TRACE "-" SPAN "-01ab", NULL},
        {"ff-" TRACE "-" SPAN "-01", NULL},
        {PARENT "-00", NULL},
        {CE_TRACEPARENT_ZERO, NULL},
        {"00-" TRACE "-0000000000000000-01", NULL},
        {"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", NULL},
        {"00-" TRACE "-" SPAN, NULL},
        {"00_" TRACE "-" SPAN "-01", NULL},
        {"00-" TRACE "-" SPAN "-0g", NULL},
        {"junk", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_trace trace;
        assert_int_equal(ce_trace_parse(fl_slice_str(cases[i][0]), &trace), cases[i][1] != NULL);
        if (!cases[i][1])
            continue;
        char text[CE_TRACEPARENT_LEN + 1] = "";
        ce_trace_format(&trace, text);
        assert_string_equal(text, cases[i][1]);
    }
}

static void makes_children_and_roots(void **state)
{
    (void)state;
    struct ce_trace parent, child, root;
    assert_true(ce_trace_parse(fl_slice_str("00-" TRACE "-" SPAN "-fe"), &parent));
    ce_trace_child(&parent, &child);
    assert_memory_equal(child.trace_id, parent.trace_id, 16);
    assert_memory_not_equal(child.span_id, parent.span_id, 8);
    assert_int_equal(child.flags, 0xfe);
    int sampled = 0;
    for (int i = 0; i < 2000; i++) {
        ce_trace_root(0.5, &root);
        sampled += root.flags & 1;
    }
    assert_in_range(sampled, 800, 1200);
    ce_trace_root(1, &root);
    assert_int_equal(root.flags, 1);
    ce_trace_root(0, &root);
    assert_int_equal(root.flags, 0);
}

static void takes_well_formed_tracestates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"a=b", true},         {"a=b,c=d", true}, {"a=b , c=d", true}, {"a=b,,c=d", true},
        {"t1@vendor=x", true}, {"1t@v=x", true},  {"nonsense", false}, {"a=", false},
        {"A=b", false},        {"1a=b", false},   {"a=b,a=c", false},  {"a=b=c", false},
        {"", false},           {",", false},      {"a@=x", false},     {"a@1v=x", false},
        {"a=\x7f", false},     {"a=b c", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ce_tracestate_is_valid(fl_slice_str(cases[i].text)), cases[i].is_valid);
    char text[600];
    size_t len = 0;
    for (int i = 0; i < 33; i++)
        len += (size_t)sprintf(text + len, "%sk%d=v", i ? "," : "", i);
    assert_false(ce_tracestate_is_valid(fl_slice_of(text, len)));
    assert_true(ce_tracestate_is_valid(fl_slice_of(text, len - 6)));
    memset(text, 'v', sizeof text);
    memcpy(text, "a=", 2);
    memcpy(text + 250, ",b=", 3);
    memcpy(text + 500, ",c=", 3);
    assert_true(ce_tracestate_is_valid(fl_slice_of(text, 512)));
    assert_false(ce_tracestate_is_valid(fl_slice_of(text, 513)));
}

static void checks_baggage(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", NULL},
        {"k=v", NULL},
        {"a=1,b=2", NULL},
        {"k=v;p=1,k2=v%202", NULL},
        {" k = v ; p ; q = 2 ", NULL},
        {"k=", NULL},
        {"nonsense", "invalid baggage list-member: \"nonsense\""},
        {"a=1,", "invalid baggage list-member: \"\""},
        {"=v", "invalid key: \"\""},
        {"k@=v", "invalid key: \"k@\""},
        {"k=a b", "invalid value: \"a b\""},
        {"k=v;p@=1", "invalid baggage list-member property: \"p@=1\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_error error;
        enum fl_err err = ce_baggage_check(fl_slice_str(cases[i][0]), &error);
        assert_int_equal(err, cases[i][1] ? FL_ERR_INVALID : FL_OK);
        if (cases[i][1])
            assert_string_equal(error.text, cases[i][1]);
    }
    struct fl_error error;
    char *text = malloc(9000);
    for (size_t i = 0; i < 9000; i += 4)
        memcpy(text + i, "k=v,", 4);
    assert_int_equal(ce_baggage_check(fl_slice_of(text, 8999), &error), FL_ERR_INVALID);
    assert_int_equal(ce_baggage_check(fl_slice_of(text, 181 * 4 - 1), &error), FL_ERR_INVALID);
    assert_int_equal(ce_baggage_check(fl_slice_of(text, 180 * 4 - 1), &error), FL_OK);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_traceparents),
        cmocka_unit_test(makes_children_and_roots),
        cmocka_unit_test(takes_well_formed_tracestates),
        cmocka_unit_test(checks_baggage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
