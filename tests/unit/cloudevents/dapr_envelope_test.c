/* Dapr's envelope, adopted events, raw subscriptions, expiry and trace: what daprd 1.18 showed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "cloudevents/dapr_envelope.h"
#include "cloudevents/json_scan.h"

#define TEXT(literal) FL_SLICE_LIT(literal)
#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
/* 2026-01-01T00:00:00.5Z */
#define NOW_NS 1767225600500000000

static int at_new_year(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    fl_clock_fake(NOW_NS);
    return 0;
}

static int at_any_time(void **state)
{
    (void)state;
    fl_clock_real();
    unsetenv("TZ");
    return 0;
}

static struct ce_dapr_envelope plain(struct fl_slice body, const char *content_type)
{
    return (struct ce_dapr_envelope){.body = body,
                                     .content_type = fl_slice_str(content_type),
                                     .app_id = TEXT("app"),
                                     .topic = TEXT("a"),
                                     .pubsubname = TEXT("p"),
                                     .given = {.id = TEXT("7")}};
}

/* Each noted place is what a scan of the body finds. */
static void assert_spans(const struct ce_event *event)
{
    struct ce_event *again;
    assert_int_equal(ce_event_new(event->body, FL_SLICE_NULL, NULL, 0, NULL, &again), FL_OK);
    assert_int_equal(again->flags, event->flags);
    assert_memory_equal(again->spans, event->spans, sizeof event->spans);
    ce_event_release(&again);
}

static void assert_body(struct ce_event *event, const char *body)
{
    char *text = fl_strdup(event->body);
    assert_string_equal(text, body);
    fl_free(text);
    assert_spans(event);
    ce_event_release(&event);
}

static struct ce_event *wrap(const struct ce_dapr_envelope *in)
{
    struct ce_event *event = NULL;
    struct fl_error error;
    assert_int_equal(ce_dapr_envelope_new(in, &error, &event), FL_OK);
    return event;
}

#define TAIL(type)                                                                                 \
    ",\"datacontenttype\":\"" type "\",\"id\":\"7\",\"pubsubname\":\"p\",\"source\":\"app\","      \
    "\"specversion\":\"1.0\",\"time\":\"2026-01-01T00:00:00Z\",\"topic\":\"a\",\"traceid\":\"\","  \
    "\"traceparent\":\"\",\"tracestate\":\"\",\"type\":\"com.dapr.event.sent\"}"

static void wraps_data_by_type(void **state)
{
    (void)state;
    static const struct {
        struct fl_slice body;
        const char *type, *envelope;
    } cases[] = {
        {{"{\"n\":1}", 7}, "application/json", "{\"data\":{\"n\":1}" TAIL("application/json")},
        {{" [1, 2]\n", 8}, "application/json;x", "{\"data\":[1, 2]" TAIL("application/json;x")},
        {{"{\"a\":1} x", 9}, "application/json", "{\"data\":{\"a\":1}" TAIL("application/json")},
        {{"{\"a\":1,}", 8},
         "application/json",
         "{\"data\":\"{\\\"a\\\":1,}\"" TAIL("application/json")},
        {{"", 0}, "application/json", "{\"data\":\"\"" TAIL("application/json")},
        {{" \n\t ", 4}, "application/json", "{\"data\":\" \\n\\t \"" TAIL("application/json")},
        {{"12345678901234567890123", 23},
         "application/json",
         "{\"data\":12345678901234567890123" TAIL("application/json")},
        {{"\"x\xff\xfey\"", 6},
         "application/json",
         "{\"data\":\"x\xef\xbf\xbd\xef\xbf\xbdy\"" TAIL("application/json")},
        {{"\xef\xbb\xbf{}", 5},
         "application/json",
         "{\"data\":\"\ufeff{}\"" TAIL("application/json")},
        {{"a\xff<\x01", 4},
         "text/plain",
         "{\"data\":\"a\\ufffd\\u003c\\u0001\"" TAIL("text/plain")},
        {{"hi", 2}, NULL, "{\"data\":\"hi\"" TAIL("text/plain")},
        {{"hi", 2}, "", "{\"data\":\"hi\"" TAIL("text/plain")},
        {{"hi", 2}, "x/\"y\"", "{\"data\":\"hi\"" TAIL("x/\\\"y\\\"")},
        {{"\x00\xff", 2},
         "application/octet-stream",
         "{\"data_base64\":\"AP8=\"" TAIL("application/octet-stream")},
        {{"", 0},
         "application/octet-stream",
         "{\"data_base64\":\"\"" TAIL("application/octet-stream")},
        {{NULL, 0},
         "application/octet-stream",
         "{\"data_base64\":\"\"" TAIL("application/octet-stream")},
        {{"{}", 2},
         "application/cloudevents-batch+json",
         "{\"data\":\"{}\"" TAIL("application/cloudevents-batch+json")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_dapr_envelope in = plain(cases[i].body, cases[i].type);
        assert_body(wrap(&in), cases[i].envelope);
    }
}

static void applies_overrides(void **state)
{
    (void)state;
    struct ce_dapr_envelope in = plain(TEXT("x"), NULL);
    in.given = (struct ce_publish_metadata){.id = TEXT("<i>"),
                                            .source = TEXT("s"),
                                            .type = TEXT("t"),
                                            .subject = TEXT("u"),
                                            .traceid = TEXT("tr"),
                                            .tracestate = TEXT("st")};
    in.traceparent = TEXT(PARENT);
    assert_body(wrap(&in),
                "{\"data\":\"x\",\"datacontenttype\":\"text/plain\",\"id\":\"\\u003ci\\u003e\","
                "\"pubsubname\":\"p\",\"source\":\"s\",\"specversion\":\"1.0\",\"subject\":\"u\","
                "\"time\":\"2026-01-01T00:00:00Z\",\"topic\":\"a\",\"traceid\":\"tr\","
                "\"traceparent\":\"tr\",\"tracestate\":\"st\",\"type\":\"t\"}");
    in.given.traceparent = TEXT("tp");
    struct ce_event *event = wrap(&in);
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_TRACEID), "\"tp\""));
    ce_event_release(&event);
    in = plain(TEXT("x"), NULL);
    in.given.id = FL_SLICE_NULL;
    in.app_id = FL_SLICE_NULL;
    in.traceparent = TEXT(PARENT);
    event = wrap(&in);
    assert_int_equal(ce_event_json(event, CE_ID).len, 38);
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_SOURCE), "\"Dapr\""));
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_TRACEPARENT), "\"" PARENT "\""));
    assert_spans(event);
    ce_event_release(&event);
}

static void sets_the_expiration(void **state)
{
    (void)state;
    static const struct {
        int64_t ttl_ns;
        const char *expiration;
    } cases[] = {
        {1000000000000, "\"2026-01-01T00:16:40Z\""}, {0, "\"2026-01-01T00:00:00Z\""},
        {499999999, "\"2026-01-01T00:00:00Z\""},     {500000000, "\"2026-01-01T00:00:01Z\""},
        {-500000001, "\"2025-12-31T23:59:59Z\""},    {INT64_MAX, "\"2318-04-12T23:47:17Z\""},
        {INT64_MIN, "\"1733-09-22T00:12:43Z\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_dapr_envelope in = plain(TEXT("{}"), NULL);
        in.given.has_ttl = true;
        in.given.ttl_ns = cases[i].ttl_ns;
        for (int adopts = 0; adopts < 2; adopts++) {
            struct ce_event *event;
            assert_int_equal(adopts ? ce_dapr_adopt_new(&in, NULL, &event)
                                    : ce_dapr_envelope_new(&in, NULL, &event),
                             FL_OK);
            assert_true(fl_slice_eq_str(ce_event_json(event, CE_EXPIRATION), cases[i].expiration));
            assert_int_equal(ce_event_is_expired(event, NOW_NS), cases[i].ttl_ns < 500000000);
            assert_spans(event);
            ce_event_release(&event);
        }
        in.keeps_no_expiration = true;
        struct ce_event *event = wrap(&in);
        assert_true(fl_slice_is_null(ce_event_json(event, CE_EXPIRATION)));
        ce_event_release(&event);
    }
}

#define SET ",\"pubsubname\":\"p\",\"source\":\"Dapr\",\"specversion\":\"1.0\","
#define TIME "\"time\":\"2026-01-01T00:00:00Z\","
#define TRACE "\"traceid\":\"T\",\"traceparent\":\"T\",\"tracestate\":\"S\","
#define SENT "\"type\":\"com.dapr.event.sent\"}"

static void adopts_events(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "{\"pubsubname\":\"p\",\"source\":\"Dapr\",\"specversion\":\"1.0\"," TIME
               "\"topic\":\"a\"," TRACE SENT},
        {"{\"id\":\"1\",\"id\":\"2\"}", "{\"id\":\"2\"" SET TIME "\"topic\":\"a\"," TRACE SENT},
        {"{\"\\u0069d\":\"1\",\"id\":2}", "{\"id\":2" SET TIME "\"topic\":\"a\"," TRACE SENT},
        {"{\"ID\":1.0,\"data\":{\"f\" :1.0}} x",
         "{\"ID\":1.0,\"data\":{\"f\" :1.0}" SET TIME "\"topic\":\"a\"," TRACE SENT},
        {"{\"topic\":5,\"pubsubname\":{},\"time\":null,\"source\":null,\"type\":null,\"a\":0}",
         "{\"a\":0" SET "\"time\":null,\"topic\":\"a\"," TRACE SENT},
        {"{\"a\":0,\"traceid\":null,\"tracestate\":5,\"type\":{\"x\":[]}}",
         "{\"a\":0" SET TIME
         "\"topic\":\"a\",\"traceid\":null,\"tracestate\":5,\"type\":{\"x\":[]}}"},
        {"{\"a\":0,\"traceparent\":\"lost\"}", "{\"a\":0" SET TIME "\"topic\":\"a\"," TRACE SENT},
        {"{\"a\":0,\"traceid\":\"x\",\"traceparent\":\"kept\"}",
         "{\"a\":0" SET TIME
         "\"topic\":\"a\",\"traceid\":\"x\",\"traceparent\":\"kept\",\"tracestate\":\"S\"," SENT},
        {"{\"a\":\"x\xff\\ud800\",\"\xff\":1}",
         "{\"a\":\"x\xef\xbf\xbd\xef\xbf\xbd\"" SET TIME "\"topic\":\"a\"," TRACE
         "\"type\":\"com.dapr.event.sent\",\"\xef\xbf\xbd\":1}"},
        {"{\"a\":1e400}", "{\"a\":1e400" SET TIME "\"topic\":\"a\"," TRACE SENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_dapr_envelope in =
            plain(fl_slice_str(cases[i][0]), "application/cloudevents+json");
        in.traceparent = TEXT("T");
        in.tracestate = TEXT("S");
        struct ce_event *event;
        struct fl_error error;
        assert_int_equal(ce_dapr_adopt_new(&in, &error, &event), FL_OK);
        assert_body(event, cases[i][1]);
    }
}

static void refuses_to_adopt_what_is_no_object(void **state)
{
    (void)state;
    static const char *const cases[] = {"",     " ",     "null", "[]",    "5",
                                        "true", "\"x\"", "{",    "hello", "{\"id\":\"1\",}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_dapr_envelope in = plain(fl_slice_str(cases[i]), NULL);
        struct ce_event *event = NULL;
        struct fl_error error;
        assert_int_equal(ce_dapr_adopt_new(&in, &error, &event), FL_ERR_INVALID);
        assert_int_equal(error.class, FL_CLASS_REJECT);
        assert_null(event);
    }
}

static enum fl_err adopt_members(unsigned count, struct ce_event **event)
{
    char *text = malloc(count * 16 + 2);
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += (size_t)sprintf(text + len, "%c\"k%u\":1", i ? ',' : '{', (i * 7919) % count);
    text[len++] = '}';
    struct ce_dapr_envelope in = plain(fl_slice_of(text, len), NULL);
    struct fl_error error;
    enum fl_err err = ce_dapr_adopt_new(&in, &error, event);
    free(text);
    return err;
}

static void sorts_many_members(void **state)
{
    (void)state;
    static const unsigned counts[] = {5, 39, 40, 41, 100, 5000, 65536};
    struct ce_event *event;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assert_int_equal(adopt_members(counts[i], &event), FL_OK);
        assert_true(fl_slice_starts_with(event->body, TEXT("{\"k0\":1,\"k1\":1,")));
        assert_spans(event);
        ce_event_release(&event);
    }
    assert_int_equal(adopt_members(65537, &event), FL_ERR_TOO_LARGE);
}

static void keeps_data_of_any_valid_depth(void **state)
{
    (void)state;
    char *text = malloc(40000);
    for (size_t depth = 10000; depth <= 10001; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct ce_dapr_envelope in = plain(fl_slice_of(text, 2 * depth), "application/json");
        struct ce_event *event = wrap(&in);
        assert_int_equal(ce_event_json(event, CE_DATA).data[0], depth == 10000 ? '[' : '"');
        assert_spans(event);
        ce_event_release(&event);
    }
    free(text);
}

static void gives_raw_subscriptions_their_envelope(void **state)
{
    (void)state;
    struct ce_metadata pairs[] = {{TEXT("traceid"), TEXT("i")}, {TEXT("tracestate"), TEXT("s")}};
    struct ce_event *stored, *event;
    assert_int_equal(ce_event_new(TEXT("hello"), TEXT("text/plain"), pairs, 2, NULL, &stored),
                     FL_OK);
    assert_int_equal(ce_dapr_raw_new(stored, TEXT("t"), TEXT("p"), NULL, &event), FL_OK);
    char start[] =
        "{\"data_base64\":\"aGVsbG8=\",\"datacontenttype\":\"application/octet-stream\",\"id\":";
    assert_true(fl_slice_starts_with(event->body, fl_slice_str(start)));
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_TRACEID), "\"i\""));
    assert_true(fl_slice_is_null(ce_event_json(event, CE_TRACEPARENT)));
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_TRACESTATE), "\"s\""));
    assert_true(fl_slice_is_null(ce_event_json(event, CE_TIME)));
    assert_spans(event);
    ce_event_release(&event);
    ce_event_release(&stored);
    pairs[1].key = TEXT("traceparent");
    assert_int_equal(ce_event_new(TEXT(""), FL_SLICE_NULL, pairs, 2, NULL, &stored), FL_OK);
    assert_int_equal(ce_dapr_raw_new(stored, TEXT("t"), TEXT("p"), NULL, &event), FL_OK);
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_TRACEID), "\"s\""));
    assert_true(fl_slice_eq_str(ce_event_json(event, CE_TRACEPARENT), "\"s\""));
    ce_event_release(&event);
    fl_alloc_fail_at(1);
    assert_int_equal(ce_dapr_raw_new(stored, TEXT("t"), TEXT("p"), NULL, &event), FL_ERR_NO_MEMORY);
    fl_alloc_fail_at(0);
    ce_event_release(&stored);
}

static void knows_expired_events(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool is_expired;
    } cases[] = {
        {"{\"expiration\":\"2020-01-01T00:00:00Z\"}", true},
        {"{\"expiration\":\"2020-01-01T00:00:00+02:00\"}", true},
        {"{\"expiration\":\"2020-01-01T00\\u003a00:00Z\"}", true},
        {"{\"expiration\":\"2026-01-01T00:00:00.4Z\"}", true},
        {"{\"expiration\":\"2026-01-01T00:00:00.5Z\"}", false},
        {"{\"expiration\":\"2026-01-01T00:00:01Z\"}", false},
        {"{\"expiration\":\"9999-12-31T23:59:59Z\"}", false},
        {"{\"expiration\":\"yesterday\"}", false},
        {"{\"expiration\":5}", false},
        {"{\"expiration\":null}", false},
        {"{}", false},
        {"no JSON", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_event *event;
        assert_int_equal(
            ce_event_new(fl_slice_str(cases[i].body), FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
        assert_int_equal(ce_event_is_expired(event, NOW_NS), cases[i].is_expired);
        ce_event_release(&event);
    }
}

static void finds_the_trace_of_an_event(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum ce_event_trace answer;
    } cases[] = {
        {"{}", CE_TRACE_ABSENT},
        {"{\"traceparent\":null,\"traceid\":\"" PARENT "\"}", CE_TRACE_ABSENT},
        {"{\"traceid\":null}", CE_TRACE_ABSENT},
        {"{\"traceparent\":\"\",\"traceid\":\"" PARENT "\"}", CE_TRACE_INVALID},
        {"{\"traceid\":\"abc\"}", CE_TRACE_INVALID},
        {"{\"traceid\":5}", CE_TRACE_INVALID},
        {"{\"traceid\":{\"a\":1}}", CE_TRACE_INVALID},
        {"{\"traceid\":\"" PARENT "\"}", CE_TRACE_VALID},
        {"{\"traceparent\":\"\\u00300"
         "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\",\"traceid\":\"x\"}",
         CE_TRACE_VALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_event *event;
        struct ce_trace trace;
        assert_int_equal(
            ce_event_new(fl_slice_str(cases[i].body), FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
        assert_int_equal(ce_event_traceparent(event, &trace), cases[i].answer);
        ce_event_release(&event);
    }
}

static void keeps_metadata_and_charges(void **state)
{
    (void)state;
    struct fl_budget budget;
    fl_budget_init(&budget, 1 << 20);
    struct ce_metadata pair = {TEXT("partitionKey"), TEXT("k")};
    struct ce_dapr_envelope in = plain(TEXT("x"), NULL);
    in.metadata = &pair;
    in.metadata_count = 1;
    in.broker_content_type = TEXT("application/cloudevents+json");
    in.budget = &budget;
    struct ce_event *event = wrap(&in);
    assert_true(fl_slice_eq_str(event->metadata[0].key, "partitionKey"));
    assert_true(fl_slice_eq_str(event->content_type, "application/cloudevents+json"));
    assert_int_equal(budget.used_bytes, event->charged_bytes);
    ce_event_release(&event);
    assert_int_equal(budget.used_bytes, 0);
}

/* More members than fit without a heap, one whose name must be decoded, and bad text. */
static void fails_politely_at_every_allocation(void **state)
{
    (void)state;
    char text[2000];
    size_t len = (size_t)sprintf(text, "{\"\\u0041\":\"\xff\"");
    for (int i = 0; i < 90; i++)
        len += (size_t)sprintf(text + len, ",\"k%d\":1", i);
    text[len++] = '}';
    struct ce_dapr_envelope in = plain(fl_slice_of(text, len), "application/json");
    for (int adopts = 0; adopts < 2; adopts++) {
        enum fl_err err = FL_ERR_NO_MEMORY;
        unsigned nth;
        for (nth = 1; err == FL_ERR_NO_MEMORY; nth++) {
            struct ce_event *event = NULL;
            struct fl_error error;
            fl_alloc_fail_at(nth);
            err = adopts ? ce_dapr_adopt_new(&in, &error, &event)
                         : ce_dapr_envelope_new(&in, &error, &event);
            fl_alloc_fail_at(0);
            assert_true((err == FL_OK) == (event != NULL));
            if (err == FL_ERR_NO_MEMORY)
                assert_int_equal(error.class, FL_CLASS_RETRY);
            ce_event_release(&event);
        }
        assert_int_equal(err, FL_OK);
        assert_int_equal(nth, adopts ? 6 : 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wraps_data_by_type),
        cmocka_unit_test(applies_overrides),
        cmocka_unit_test(sets_the_expiration),
        cmocka_unit_test(adopts_events),
        cmocka_unit_test(refuses_to_adopt_what_is_no_object),
        cmocka_unit_test(sorts_many_members),
        cmocka_unit_test(keeps_data_of_any_valid_depth),
        cmocka_unit_test(gives_raw_subscriptions_their_envelope),
        cmocka_unit_test(knows_expired_events),
        cmocka_unit_test(finds_the_trace_of_an_event),
        cmocka_unit_test(keeps_metadata_and_charges),
        cmocka_unit_test(fails_politely_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, at_new_year, at_any_time);
}
