/* Events of any bytes: what is found in them, what they keep, what they cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "cloudevents/event.h"

#define TEXT(literal) FL_SLICE_LIT(literal)

static struct ce_event *event_of(struct fl_slice body)
{
    struct ce_event *event = NULL;
    assert_int_equal(ce_event_new(body, FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
    return event;
}

static void finds_attributes(void **state)
{
    (void)state;
    struct ce_event *event = event_of(TEXT(
        " {\"id\":\"1\",\"data\" : {\"id\":\"x\"} ,\"id\":\"2\",\"\\u0074ype\":null,\"Ext\":7} "));
    assert_int_equal(event->flags, CE_EVENT_STRUCTURED);
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_ID), "\"2\""));
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_DATA), "{\"id\":\"x\"}"));
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_TYPE), "null"));
    assert_true(fl_slice_is_null(ce_event_json(event, CE_SOURCE)));
    assert_true(fl_slice_eq_str(ce_event_member(event, TEXT("Ext")), "7"));
    assert_true(fl_slice_eq_str(ce_event_member(event, TEXT("id")), "\"2\""));
    assert_true(fl_slice_is_null(ce_event_member(event, TEXT("ext"))));
    ce_event_release(&event);
    assert_null(event);
    ce_event_release(&event);
}

static void takes_any_bytes(void **state)
{
    (void)state;
    static const struct {
        struct fl_slice body;
        unsigned flags;
    } cases[] = {
        {{NULL, 0}, 0},
        {{"", 0}, 0},
        {{"  ", 2}, 0},
        {{"null", 4}, CE_EVENT_NULL},
        {{" null\n", 6}, CE_EVENT_NULL},
        {{"nul", 3}, 0},
        {{"[1]", 3}, 0},
        {{"5", 1}, 0},
        {{"{\"id\":\"1\"", 9}, 0},
        {{"{\"id\":\"1\"} x", 12}, 0},
        {{"{\"id\":1e400}", 12}, CE_EVENT_STRUCTURED | CE_EVENT_HUGE_NUMBER},
        {{"{\"id\":\"\xff\"}", 10}, CE_EVENT_STRUCTURED},
        {{"\x00\xff", 2}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_event *event = event_of(cases[i].body);
        assert_int_equal(event->flags, cases[i].flags);
        assert_true(fl_slice_eq(event->body, cases[i].body));
        assert_int_equal(fl_slice_is_null(ce_event_json(event, CE_ID)),
                         !(event->flags & CE_EVENT_STRUCTURED));
        assert_true(fl_slice_is_null(ce_event_member(event, TEXT("ext"))));
        ce_event_release(&event);
    }
}

static void copies_and_charges(void **state)
{
    (void)state;
    struct fl_budget budget;
    fl_budget_init(&budget, 1 << 20);
    char key[] = "key", value[] = "value", type[] = "text/plain", body[] = "hello";
    struct ce_metadata pairs[] = {{fl_slice_str(key), fl_slice_str(value)},
                                  {TEXT("empty"), FL_SLICE_NULL}};
    struct ce_event *event;
    assert_int_equal(
        ce_event_new(fl_slice_str(body), fl_slice_str(type), pairs, 2, &budget, &event), FL_OK);
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    memset(type, 'x', 10);
    memset(body, 'x', 5);
    assert_true(fl_slice_eq_str(event->body, "hello"));
    assert_true(fl_slice_eq_str(event->content_type, "text/plain"));
    assert_int_equal(event->metadata_count, 2);
    assert_true(fl_slice_eq_str(event->metadata[0].key, "key"));
    assert_true(fl_slice_eq_str(event->metadata[0].value, "value"));
    assert_int_equal(budget.used_bytes, event->charged_bytes);
    assert_true(event->charged_bytes > sizeof *event + 5);
    struct ce_event *second = ce_event_hold(event);
    ce_event_release(&event);
    assert_true(budget.used_bytes > 0);
    ce_event_release(&second);
    assert_int_equal(budget.used_bytes, 0);
    fl_alloc_fail_at(1);
    assert_int_equal(ce_event_new(TEXT("x"), FL_SLICE_NULL, NULL, 0, &budget, &event),
                     FL_ERR_NO_MEMORY);
    fl_alloc_fail_at(0);
    assert_int_equal(budget.used_bytes, 0);
    struct fl_slice huge = {body, (size_t)UINT32_MAX + 1};
    assert_int_equal(ce_event_new(huge, FL_SLICE_NULL, NULL, 0, NULL, &event), FL_ERR_TOO_LARGE);
}

/* What an envelope around data of the greatest depth needs. */
static void reads_one_level_more_than_data_may_have(void **state)
{
    (void)state;
    size_t len = 0;
    char *text = malloc(30000);
    for (int depth = 10000; depth <= 10001; depth++) {
        len = (size_t)sprintf(text, "{\"data\":");
        memset(text + len, '[', (size_t)depth);
        memset(text + len + depth, ']', (size_t)depth);
        len += 2 * (size_t)depth;
        text[len++] = '}';
        struct ce_event *event = event_of(fl_slice_of(text, len));
        assert_int_equal(event->flags, depth == 10000 ? CE_EVENT_STRUCTURED : 0);
        ce_event_release(&event);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_attributes),
        cmocka_unit_test(takes_any_bytes),
        cmocka_unit_test(copies_and_charges),
        cmocka_unit_test(reads_one_level_more_than_data_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
