/* The pure parts of bulk: entries of a bulk publish, bodies of bulk calls and their answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "gateway/api_bulk.h"
#include "gateway/bulk_call.h"
#include "gateway/bulk_entries.h"

#define S(text) FL_SLICE_LIT(text)

static const char call_id[] = "01234567-89ab-4cde-8f01-234567890000";

static void assert_text(struct fl_slice got, const char *wanted)
{
    if (!fl_slice_eq_str(got, wanted))
        fail_msg("got \"%.*s\", wanted \"%s\"", FL_SLICE_ARG(got), wanted);
}

/* --- entries --- */

struct reading {
    struct fl_arena arena;
    struct gw_bulk_entries entries;
    struct fl_error error;
    enum fl_err err;
};

static struct reading read_body(const char *body)
{
    struct reading reading = {0};
    reading.err =
        gw_bulk_entries_read(&reading.arena, fl_slice_str(body), &reading.entries, &reading.error);
    return reading;
}

static void end_reading(struct reading *reading)
{
    gw_bulk_entries_fini(&reading->entries);
    fl_arena_fini(&reading->arena);
}

static void assert_form_error(const char *body, const char *text)
{
    struct reading reading = read_body(body);
    assert_int_equal(reading.err, FL_ERR_INVALID);
    assert_string_equal(reading.error.text, text);
    end_reading(&reading);
}

static void assert_fault(const char *body, enum gw_bulk_fault fault, const char *text)
{
    struct reading reading = read_body(body);
    assert_int_equal(reading.err, FL_OK);
    assert_int_equal(reading.entries.fault, fault);
    assert_string_equal(reading.entries.cause.text, text);
    end_reading(&reading);
}

static void assert_bytes(const char *body, const char *wanted)
{
    struct reading reading = read_body(body);
    struct fl_buffer bytes = {0};
    assert_int_equal(reading.err, FL_OK);
    assert_int_equal(reading.entries.fault, GW_BULK_NO_FAULT);
    assert_int_equal(reading.entries.count, 1);
    assert_int_equal(gw_bulk_entry_bytes(&reading.entries.items[0], &bytes, &reading.error), FL_OK);
    assert_text(fl_buffer_slice(&bytes), wanted);
    fl_buffer_fini(&bytes);
    end_reading(&reading);
}

static void reads_entries_whatever_the_case_of_keys(void **state)
{
    (void)state;
    struct reading reading = read_body(
        " [{\"ENTRYID\":\"1\",\"Event\":\"x\",\"contenttype\":\"text/plain\",\"foo\":[1]},"
        "{\"entryId\":\"\\u0032\",\"event\":5,\"contentType\":\"application/json\"}] x");
    assert_int_equal(reading.err, FL_OK);
    assert_int_equal(reading.entries.count, 2);
    assert_text(reading.entries.items[0].id, "1");
    assert_text(reading.entries.items[0].content_type, "text/plain");
    assert_text(reading.entries.items[1].id, "2");
    assert_text(reading.entries.items[1].event, "5");
    end_reading(&reading);
}

static void takes_null_and_nothing_for_an_empty_list(void **state)
{
    (void)state;
    const char *const bodies[] = {"null", "[]", " [ ] "};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct reading reading = read_body(bodies[i]);
        assert_int_equal(reading.err, FL_OK);
        assert_int_equal(reading.entries.count, 0);
        end_reading(&reading);
    }
}

static void refuses_a_wrong_form_in_go_words(void **state)
{
    (void)state;
    assert_form_error("{\"entryID\": \"}", "unexpected EOF");
    assert_form_error(
        "{\"entryID\": \"\"}",
        "json: cannot unmarshal object into Go value of type []http.bulkPublishMessageEntry");
    assert_form_error("", "EOF");
    assert_form_error(
        "[1]", "json: cannot unmarshal number into Go value of type http.bulkPublishMessageEntry");
    assert_form_error("[{\"entryId\":1}]", "json: cannot unmarshal number into Go struct field "
                                           "bulkPublishMessageEntry.entryId of type string");
    assert_form_error("[{\"metadata\":\"x\"}]",
                      "json: cannot unmarshal string into Go struct field "
                      "bulkPublishMessageEntry.metadata of type map[string]string");
    assert_form_error("[{\"metadata\":{\"a\":true}}]",
                      "json: cannot unmarshal bool into Go struct field "
                      "bulkPublishMessageEntry.metadata of type string");
    assert_form_error("[{\"entryId\":\"1\",\"event\":1e400,\"contentType\":\"application/json\"}]",
                      "json: cannot unmarshal number into Go value of type float64");
}

static void a_wrong_form_outweighs_a_bad_entry_before_it(void **state)
{
    (void)state;
    assert_form_error("[{},{\"entryId\":false}]",
                      "json: cannot unmarshal bool into Go struct field "
                      "bulkPublishMessageEntry.entryId of type string");
}

static void the_first_bad_entry_decides(void **state)
{
    (void)state;
    static const char mismatch[] = "error: mismatch between contentType and event";
    static const char bad_id[] = "entryId is duplicated or not present for entry";
    assert_fault("[null]", GW_BULK_BAD_EVENT, mismatch);
    assert_fault("[{\"entryId\":\"1\",\"event\":{},\"contentType\":\"text/plain\"}]",
                 GW_BULK_BAD_EVENT, mismatch);
    assert_fault("[{\"event\":\"x\",\"contentType\":\"text/plain\"},{}]", GW_BULK_BAD_ID, bad_id);
    assert_fault("[{\"event\":\"x\",\"contentType\":\"a/b\"}]", GW_BULK_BAD_EVENT, mismatch);
    assert_fault("[{\"entryId\":\"1\",\"event\":\"x\",\"contentType\":\"text/plain\"},"
                 "{\"entryId\":\"\\u0031\",\"event\":\"x\",\"contentType\":\"text/plain\"}]",
                 GW_BULK_BAD_ID, bad_id);
    assert_fault(
        "[{\"entryId\":\"1\",\"event\":\"AA EC\",\"contentType\":\"application/octet-stream\"}]",
        GW_BULK_BAD_EVENT,
        "error: unable to decode base64 application/octect-stream data: illegal base64 data at "
        "input byte 2");
}

static void turns_events_into_bytes_by_their_type(void **state)
{
    (void)state;
    assert_bytes("[{\"entryId\":\"1\",\"event\":\"a\\u00e9\\n\",\"contentType\":\"text/html\"}]",
                 "a\xc3\xa9\n");
    assert_bytes("[{\"entryId\":\"1\",\"event\":\"YWJj\\nZGVm\",\"contentType\":"
                 "\"application/octet-stream\"}]",
                 "abcdef");
    assert_bytes("[{\"entryId\":\"1\",\"event\":{\"b\": 1.0, \"a\": \"<\"},\"contentType\":"
                 "\"application/json\"}]",
                 "{\"a\":\"\\u003c\",\"b\":1}");
    assert_bytes("[{\"entryId\":\"1\",\"contentType\":\"application/json\"}]", "null");
}

static void entries_survive_each_failing_allocation(void **state)
{
    (void)state;
    static const char body[] =
        "[{\"entryId\":\"1\",\"event\":\"YWJj\\n\",\"contentType\":\"application/octet-stream\"}]";
    bool is_done = false;
    for (unsigned nth = 1; !is_done; nth++) {
        fl_alloc_fail_at(nth);
        struct reading reading = read_body(body);
        is_done = reading.err == FL_OK;
        if (!is_done)
            assert_int_equal(reading.err, FL_ERR_NO_MEMORY);
        fl_alloc_fail_at(0);
        end_reading(&reading);
        assert_in_range(nth, 1, 20);
    }
}

static void metadata_of_the_entry_wins_over_the_query(void **state)
{
    (void)state;
    struct ce_metadata query[] = {{S("a"), S("query")}, {S("z"), S("query")}};
    const struct ce_metadata *pairs;
    size_t count;
    struct reading reading =
        read_body("[{\"entryId\":\"1\",\"event\":\"x\",\"contentType\":\"text/plain\","
                  "\"metadata\":{\"k\":\"1\",\"a\":\"own\",\"k\":null}},"
                  "{\"entryId\":\"2\",\"event\":\"x\",\"contentType\":\"text/plain\"}]");
    assert_int_equal(reading.entries.count, 2);
    gw_bulk_entry_metadata(&reading.arena, &reading.entries.items[0], query, 2, &pairs, &count);
    assert_int_equal(count, 3);
    assert_text(pairs[0].key, "a");
    assert_text(pairs[0].value, "own");
    assert_text(pairs[1].key, "k");
    assert_text(pairs[1].value, "");
    assert_text(pairs[2].key, "z");
    gw_bulk_entry_metadata(&reading.arena, &reading.entries.items[1], query, 2, &pairs, &count);
    assert_int_equal(count, 0);
    end_reading(&reading);
}

/* --- bodies of calls --- */

static struct ce_event *new_event(const char *body, const struct ce_metadata *metadata,
                                  size_t count)
{
    struct ce_event *event;
    assert_int_equal(ce_event_new(fl_slice_str(body), FL_SLICE_NULL, metadata, count, NULL, &event),
                     FL_OK);
    return event;
}

static void knows_what_daprd_would_write_alike(void **state)
{
    (void)state;
    assert_true(gw_bulk_is_as_written(S("{\"a\": [123456789012345, -1, true], \"b\":\"\\n\"}")));
    assert_true(gw_bulk_is_as_written(S("{\"a\":\"1e5 \xc3\xa9 1.0\"}")));
    assert_true(gw_bulk_is_as_written(S("null")));
    assert_false(gw_bulk_is_as_written(S("{\"a\":9007199254740993}")));
    assert_false(gw_bulk_is_as_written(S("{\"a\":1.0}")));
    assert_false(gw_bulk_is_as_written(S("{\"a\":1e5}")));
    assert_false(gw_bulk_is_as_written(S("{\"a\":\"\\ud800\"}")));
    assert_false(gw_bulk_is_as_written(S("{\"a\":\"\xff\"}")));
}

static void renders_a_call(void **state)
{
    (void)state;
    struct ce_metadata metadata[] = {{S("z"), S("1")}, {S("b"), S("<")}, {S("z"), S("2")}};
    struct ce_event *one = new_event("{\"n\":1.0}", metadata, 3);
    struct ce_event *other = new_event("{\"x\": true}", NULL, 0);
    struct fl_buffer body = {0};
    other->flags |= CE_EVENT_WITHOUT_METADATA;
    assert_int_equal(gw_bulk_append_head(&body), FL_OK);
    assert_int_equal(gw_bulk_append_entry(&body, call_id, 0, one, one, false), FL_OK);
    assert_int_equal(gw_bulk_append_entry(&body, call_id, 26, other, other, false), FL_OK);
    assert_int_equal(gw_bulk_append_tail(&body, call_id, S("p"), S("t\"")), FL_OK);
    assert_text(fl_buffer_slice(&body),
                "{\"entries\":[{\"entryId\":\"01234567-89ab-4cde-8f01-000000000000\",\"event\":"
                "{\"n\":1},\"metadata\":{\"b\":\"\\u003c\",\"z\":\"1\"},\"contentType\":"
                "\"application/cloudevents+json\"},{\"entryId\":"
                "\"01234567-89ab-4cde-8f01-00000000001a\",\"event\":{\"x\": true},\"metadata\":"
                "null,\"contentType\":\"application/cloudevents+json\"}],\"id\":"
                "\"01234567-89ab-4cde-8f01-234567890000\",\"metadata\":{\"pubsubName\":\"p\"},"
                "\"pubsubname\":\"p\",\"topic\":\"t\\\"\",\"type\":\"com.dapr.event.sent.bulk\"}");
    fl_buffer_fini(&body);
    ce_event_release(&one);
    ce_event_release(&other);
}

static void renders_raw_entries_as_base64(void **state)
{
    (void)state;
    struct ce_event *stored = new_event("x", NULL, 0);
    struct ce_event *view = new_event("{\"data_base64\":\"eA==\"}", NULL, 0);
    struct fl_buffer body = {0};
    assert_int_equal(gw_bulk_append_head(&body), FL_OK);
    assert_int_equal(gw_bulk_append_entry(&body, call_id, 0, stored, view, true), FL_OK);
    assert_text(fl_buffer_slice(&body),
                "{\"entries\":[{\"entryId\":\"01234567-89ab-4cde-8f01-000000000000\",\"event\":"
                "\"eA==\",\"metadata\":{},\"contentType\":\"application/octet-stream\"}");
    fl_buffer_fini(&body);
    ce_event_release(&stored);
    ce_event_release(&view);
}

static void rendering_survives_each_failing_allocation(void **state)
{
    (void)state;
    struct ce_metadata metadata[] = {{S("a"), S("1")}};
    struct ce_event *event = new_event("{\"n\":1.0}", metadata, 1);
    enum fl_err err = FL_ERR_NO_MEMORY;
    for (unsigned nth = 1; err; nth++) {
        struct fl_buffer body = {0};
        fl_alloc_fail_at(nth);
        err = gw_bulk_append_entry(&body, call_id, 0, event, event, false);
        fl_alloc_fail_at(0);
        if (err)
            assert_int_equal(err, FL_ERR_NO_MEMORY);
        fl_buffer_fini(&body);
        assert_in_range(nth, 1, 40);
    }
    ce_event_release(&event);
}

/* --- answers --- */

struct told {
    size_t count;
    uint32_t numbers[8];
    enum gw_bulk_status statuses[8];
};

static void tell(void *context, uint32_t number, enum gw_bulk_status status)
{
    struct told *told = context;
    assert_in_range(told->count, 0, 7);
    told->numbers[told->count] = number;
    told->statuses[told->count++] = status;
}

#define ID(last) "01234567-89ab-4cde-8f01-00000000000" last

static void takes_the_status_of_each_entry(void **state)
{
    (void)state;
    struct told told = {0};
    size_t unknown;
    assert_true(gw_bulk_read_answer(
        S("{\"Statuses\":[{\"entryId\":\"" ID(
            "2") "\",\"status\":\"SUCCESS\"},"
                 "{\"entryID\":\"" ID("0") "\",\"status\":\"DROP\"},"
                                           "{\"entryId\":\"" ID(
                                               "1") "\",\"status\":\"success\"},"
                                                    "{\"entryId\":\"\\u0030"
                                                    "1234567-89ab-4cde-8f01-000000000001\"},"
                                                    "{\"entryId\":\"" ID(
                                                        "3") "\",\"status\":\"SUCCESS\"},"
                                                             "{\"entryId\":\"x\",\"status\":"
                                                             "\"SUCCESS\"},null]} trailing"),
        call_id, 3, tell, &told, &unknown));
    assert_int_equal(told.count, 4);
    assert_int_equal(unknown, 3);
    assert_int_equal(told.numbers[0], 2);
    assert_int_equal(told.statuses[0], GW_BULK_SUCCESS);
    assert_int_equal(told.numbers[1], 0);
    assert_int_equal(told.statuses[1], GW_BULK_DROP);
    assert_int_equal(told.numbers[2], 1);
    assert_int_equal(told.statuses[2], GW_BULK_RETRY);
    assert_int_equal(told.numbers[3], 1);
    assert_int_equal(told.statuses[3], GW_BULK_RETRY);
}

static void tells_nothing_of_what_is_no_answer(void **state)
{
    (void)state;
    const char *const bodies[] = {
        "",
        "OK",
        "[]",
        "{\"statuses\":{}}",
        "{\"statuses\":[1]}",
        "{\"statuses\":[{\"entryId\":\"" ID("0") "\",\"status\":\"SUCCESS\"},{\"status\":1}]}",
    };
    struct told told = {0};
    size_t unknown;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_false(
            gw_bulk_read_answer(fl_slice_str(bodies[i]), call_id, 3, tell, &told, &unknown));
    assert_true(gw_bulk_read_answer(S("{\"statuses\":null}"), call_id, 3, tell, &told, &unknown));
    assert_true(gw_bulk_read_answer(S("null"), call_id, 3, tell, &told, &unknown));
    assert_int_equal(told.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_entries_whatever_the_case_of_keys),
        cmocka_unit_test(takes_null_and_nothing_for_an_empty_list),
        cmocka_unit_test(refuses_a_wrong_form_in_go_words),
        cmocka_unit_test(a_wrong_form_outweighs_a_bad_entry_before_it),
        cmocka_unit_test(the_first_bad_entry_decides),
        cmocka_unit_test(turns_events_into_bytes_by_their_type),
        cmocka_unit_test(entries_survive_each_failing_allocation),
        cmocka_unit_test(metadata_of_the_entry_wins_over_the_query),
        cmocka_unit_test(knows_what_daprd_would_write_alike),
        cmocka_unit_test(renders_a_call),
        cmocka_unit_test(renders_raw_entries_as_base64),
        cmocka_unit_test(rendering_survives_each_failing_allocation),
        cmocka_unit_test(takes_the_status_of_each_entry),
        cmocka_unit_test(tells_nothing_of_what_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
