/* Metadata as a row keeps it: any bytes survive, and whatever stands in a row can be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "connectors/sqlite/sqlite_priv.h"

static struct ce_event *event_of(const struct ce_metadata *pairs, size_t count, uint32_t flags)
{
    struct ce_event *event;
    assert_int_equal(ce_event_new(FL_SLICE_LIT("{}"), FL_SLICE_NULL, pairs, count, NULL, &event),
                     FL_OK);
    event->flags |= flags;
    return event;
}

static struct ce_event *read_back(struct fl_slice text)
{
    struct ce_event *event;
    assert_int_equal(cn_event_read(FL_SLICE_LIT("body"), FL_SLICE_LIT("type"), text, &event),
                     FL_OK);
    return event;
}

static void expect_text(const struct ce_metadata *pairs, size_t count, const char *expected)
{
    struct fl_buffer out = {0};
    struct fl_slice text;
    struct ce_event *event = event_of(pairs, count, 0);
    cn_metadata_write(event, &out, &text);
    assert_true(fl_slice_eq_str(text, expected));
    ce_event_release(&event);
    fl_buffer_fini(&out);
}

static void expect_pairs(const char *text, size_t count, const char *const *expected)
{
    struct ce_event *event = read_back(fl_slice_str(text));
    assert_int_equal(event->metadata_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(fl_slice_eq_str(event->metadata[i].key, expected[i * 2]));
        assert_true(fl_slice_eq_str(event->metadata[i].value, expected[i * 2 + 1]));
    }
    ce_event_release(&event);
}

static void absent_and_empty_metadata_differ(void **state)
{
    struct fl_buffer out = {0};
    struct fl_slice text;
    (void)state;
    struct ce_event *without = event_of(NULL, 0, CE_EVENT_WITHOUT_METADATA);
    cn_metadata_write(without, &out, &text);
    assert_true(fl_slice_is_null(text));
    ce_event_release(&without);
    expect_text(NULL, 0, "");

    struct ce_event *absent = read_back(FL_SLICE_NULL), *empty = read_back(FL_SLICE_LIT(""));
    assert_true(absent->flags & CE_EVENT_WITHOUT_METADATA);
    assert_false(empty->flags & CE_EVENT_WITHOUT_METADATA);
    assert_int_equal(absent->metadata_count + empty->metadata_count, 0);
    ce_event_release(&absent);
    ce_event_release(&empty);
    fl_buffer_fini(&out);
}

static void writes_readable_pairs(void **state)
{
    (void)state;
    const struct ce_metadata pairs[] = {
        {FL_SLICE_LIT("ttlInSeconds"), FL_SLICE_LIT("30")},
        {FL_SLICE_LIT("cloudevent.source"), FL_SLICE_LIT("http://a/b?c=d&e")},
        {FL_SLICE_LIT("note"), FL_SLICE_LIT("1 + 1 = 100%")},
        {FL_SLICE_LIT("name"), FL_SLICE_LIT("gr\xc3\xbc\xc3\x9f")},
        {FL_SLICE_LIT(""), FL_SLICE_LIT("")},
    };
    expect_text(pairs, 5,
                "ttlInSeconds=30&cloudevent.source=http://a/b?c%3Dd%26e"
                "&note=1%20%2B%201%20%3D%20100%25&name=gr%C3%BC%C3%9F&=");
}

static void appends_to_what_is_there(void **state)
{
    (void)state;
    const struct ce_metadata pair = {FL_SLICE_LIT("a"), FL_SLICE_LIT("b")};
    struct fl_buffer out = {0};
    struct fl_slice text;
    struct ce_event *event = event_of(&pair, 1, 0);
    fl_buffer_append_str(&out, "before");
    cn_metadata_write(event, &out, &text);
    assert_true(fl_slice_eq_str(fl_buffer_slice(&out), "beforea=b"));
    assert_true(fl_slice_eq_str(text, "a=b"));
    ce_event_release(&event);
    fl_buffer_fini(&out);
}

static void every_byte_survives(void **state)
{
    (void)state;
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    const struct ce_metadata pairs[] = {{fl_slice_of(all, 256), fl_slice_of(all, 256)},
                                        {fl_slice_of(all + 128, 128), FL_SLICE_LIT("")},
                                        {fl_slice_of(all, 256), FL_SLICE_LIT("again")}};
    struct fl_buffer out = {0};
    struct fl_slice text;
    struct ce_event *event = event_of(pairs, 3, 0);
    cn_metadata_write(event, &out, &text);
    struct ce_event *back = read_back(text);
    assert_int_equal(back->metadata_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(fl_slice_eq(back->metadata[i].key, pairs[i].key));
        assert_true(fl_slice_eq(back->metadata[i].value, pairs[i].value));
    }
    ce_event_release(&event);
    ce_event_release(&back);
    fl_buffer_fini(&out);
}

static void reading_is_total(void **state)
{
    (void)state;
    expect_pairs("a=%4&b=%zz&c=%&d=100%25%", 4,
                 (const char *const[]){"a", "%4", "b", "%zz", "c", "%", "d", "100%%"});
    expect_pairs("&&a&=&=b&c=d=e+f&", 4,
                 (const char *const[]){"a", "", "", "", "", "b", "c", "d=e+f"});
    expect_pairs("%61%3d=%e2%82%ac", 1, (const char *const[]){"a=", "\xe2\x82\xac"});
    expect_pairs("&", 0, NULL);
}

static void body_and_type_stay(void **state)
{
    (void)state;
    struct ce_event *event = read_back(FL_SLICE_NULL);
    assert_true(fl_slice_eq_str(event->body, "body"));
    assert_true(fl_slice_eq_str(event->content_type, "type"));
    assert_null(event->budget);
    ce_event_release(&event);
    assert_int_equal(
        cn_event_read(FL_SLICE_LIT("{\"id\":\"1\"}"), FL_SLICE_NULL, FL_SLICE_NULL, &event), FL_OK);
    assert_true(event->flags & CE_EVENT_STRUCTURED);
    assert_true(fl_slice_is_null(event->content_type));
    ce_event_release(&event);
}

static void large_metadata_survives_and_no_memory_is_polite(void **state)
{
    (void)state;
    enum { PAIRS = 500 };
    struct ce_metadata *pairs = fl_alloc(sizeof *pairs * PAIRS);
    for (int i = 0; i < PAIRS; i++)
        pairs[i] = (struct ce_metadata){FL_SLICE_LIT("key"), FL_SLICE_LIT("some value")};
    struct fl_buffer out = {0};
    struct fl_slice text;
    struct ce_event *event = event_of(pairs, PAIRS, 0), *back = NULL;
    cn_metadata_write(event, &out, &text);
    for (unsigned nth = 1; nth <= 2; nth++) {
        fl_alloc_fail_at(nth);
        assert_int_equal(cn_event_read(FL_SLICE_LIT("x"), FL_SLICE_NULL, text, &back),
                         FL_ERR_NO_MEMORY);
        assert_null(back);
    }
    fl_alloc_fail_at(0);
    back = read_back(text);
    assert_int_equal(back->metadata_count, PAIRS);
    assert_true(fl_slice_eq_str(back->metadata[PAIRS - 1].value, "some value"));
    ce_event_release(&event);
    ce_event_release(&back);
    fl_buffer_fini(&out);
    fl_free(pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_and_empty_metadata_differ),
        cmocka_unit_test(writes_readable_pairs),
        cmocka_unit_test(appends_to_what_is_there),
        cmocka_unit_test(every_byte_survives),
        cmocka_unit_test(reading_is_total),
        cmocka_unit_test(body_and_type_stay),
        cmocka_unit_test(large_metadata_survives_and_no_memory_is_polite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
