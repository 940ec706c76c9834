/* What daprd reads from publish metadata, and its classes of content types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cloudevents/body_kind.h"
#include "cloudevents/publish_metadata.h"

#define TEXT(literal) FL_SLICE_LIT(literal)
#define S 1000000000LL

static void reads_times_to_live(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
        int64_t ns;
    } cases[] = {
        {"10s", true, 10 * S},
        {"1m30s", true, 90 * S},
        {"1h30m", true, 5400 * S},
        {"1.5h", true, 5400 * S},
        {"1.000000001s", true, 1000000001},
        {".5s", true, S / 2},
        {"5.s", true, 5 * S},
        {"100ms", true, S / 10},
        {"3us2ns", true, 3002},
        {"1µs", true, 1000},
        {"1μs", true, 1000},
        {"+5s", true, 5 * S},
        {"-5s", true, -5 * S},
        {"1000", true, 1000 * S},
        {"+5", true, 5 * S},
        {"0", true, 0},
        {"0s", true, 0},
        {"+0", true, 0},
        {"-0", true, 0},
        {"00", false, 0},
        {"-5", false, 0},
        {"", false, 0},
        {"+", false, 0},
        {"1.5", false, 0},
        {"1d", false, 0},
        {" 5", false, 0},
        {"0x5", false, 0},
        {".s", false, 0},
        {"5s ", false, 0},
        {"5s5", false, 0},
        {"++5", false, 0},
        {"99999999999999999999", false, 0},
        {"99999999999", true, 7766279630452241920},
        {"9223372036854775807ns", true, INT64_MAX},
        {"9223372036854775808ns", false, 0},
        {"-9223372036854775808ns", true, INT64_MIN},
        {"9223372036s9223372036s", false, 0},
        {"2562048h", false, 0},
        {"0.100000000000000000000h", true, 360 * S},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -1;
        assert_int_equal(ce_ttl_parse(fl_slice_str(cases[i].text), &ns), cases[i].is_valid);
        assert_int_equal(ns, cases[i].is_valid ? cases[i].ns : -1);
    }
}

static void reads_overrides_in_any_case(void **state)
{
    (void)state;
    static const struct ce_metadata pairs[] = {
        {{"CloudEvent.Id", 13}, {"up", 2}},
        {{"cloudevent.id", 13}, {"low", 3}},
        {{"CLOUDEVENT.SOURCE", 17}, {"UP", 2}},
        {{"cloudevent.topic", 16}, {"x", 1}},
        {{"cloudevent.tracestate", 21}, {"s", 1}},
        {{"cloudevent.ids", 14}, {"x", 1}},
        {{"TTL", 3}, {"nonsense", 8}},
        {{"ttlInSeconds", 12}, {"5", 1}},
    };
    struct ce_publish_metadata m;
    ce_publish_metadata_read(pairs, 8, &m);
    assert_true(fl_slice_eq_str(m.id, "low"));
    assert_true(fl_slice_eq_str(m.source, "UP"));
    assert_true(fl_slice_eq_str(m.tracestate, "s"));
    assert_true(fl_slice_is_null(m.type) && fl_slice_is_null(m.traceparent));
    assert_false(m.has_ttl);
    ce_publish_metadata_read(pairs + 7, 1, &m);
    assert_true(m.has_ttl && m.ttl_ns == 5 * S);
    ce_publish_metadata_read(NULL, 0, &m);
    assert_false(m.has_ttl);
}

static void reads_raw_payload(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int truth; /* 2: refused */
    } cases[] = {{"1", 1},     {"t", 1},    {"T", 1},     {"TRUE", 1},
                 {"true", 1},  {"True", 1}, {"0", 0},     {"f", 0},
                 {"F", 0},     {"", 0},     {"FALSE", 0}, {"false", 0},
                 {"False", 0}, {"tRuE", 2}, {" true", 2}, {"\"true\"", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_metadata pair = {TEXT("rawPayload"), fl_slice_str(cases[i].text)};
        bool is_raw = false;
        struct fl_slice bad = FL_SLICE_NULL;
        enum fl_err err = ce_metadata_raw_payload(&pair, 1, &is_raw, &bad);
        assert_int_equal(err, cases[i].truth == 2 ? FL_ERR_INVALID : FL_OK);
        assert_int_equal(is_raw, cases[i].truth == 1);
        assert_int_equal(bad.len, cases[i].truth == 2 ? strlen(cases[i].text) : 0);
    }
    struct ce_metadata other = {TEXT("rawpayload"), TEXT("x")};
    bool is_raw = true;
    assert_int_equal(ce_metadata_raw_payload(&other, 1, &is_raw, NULL), FL_OK);
    assert_false(is_raw);
}

static void sorts_bodies_by_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum ce_body_kind kind;
    } cases[] = {
        {NULL, CE_BODY_TEXT},
        {"", CE_BODY_TEXT},
        {"application/json", CE_BODY_JSON},
        {"Application/JSON", CE_BODY_JSON},
        {"application/json; charset=utf-8", CE_BODY_JSON},
        {"application/json;", CE_BODY_JSON},
        {"application/json ; charset=utf-8", CE_BODY_TEXT},
        {"application/json, text/plain", CE_BODY_TEXT},
        {"application/jsonx", CE_BODY_TEXT},
        {"application/vnd.api+json", CE_BODY_TEXT},
        {"text/json", CE_BODY_TEXT},
        {"application/octet-stream", CE_BODY_BYTES},
        {"application/cloudevents+protobuf", CE_BODY_BYTES},
        {"application/cloudevents+json", CE_BODY_EVENT},
        {"Application/CloudEvents+JSON;charset=utf-8", CE_BODY_EVENT},
        {"application/cloudevents-batch+json", CE_BODY_BATCH},
        {"application/cloudevents+xml", CE_BODY_TEXT},
        {"foo", CE_BODY_TEXT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ce_body_kind_of(fl_slice_str(cases[i].type), TEXT("{}")), cases[i].kind);
}

static void looks_into_protobuf(void **state)
{
    (void)state;
    static const struct {
        struct fl_slice body;
        bool is_event;
    } cases[] = {
        {{"\x0a\x01i\x12\x01s\x1a\x03"
          "1.0\x22\x01t",
          14},
         true},
        {{"", 0}, true},
        {{"{\"a\": 1}", 8}, false},
        {{"\x0a\x02\xff\xfe", 4}, false}, /* id is no UTF-8 */
        {{"\x32\x02\xff\xfe", 4}, true},  /* binary_data may be anything */
        {{"\x0a\x05i", 3}, false},        /* cut */
        {{"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11}, true},  /* another wire type */
        {{"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 11}, false}, /* 65 bits */
        {{"\x2a\x07\x0a\x01k\x12\x02\x1a\x00", 9}, true},              /* an attribute */
        {{"\x2a\x08\x0a\x01k\x12\x03\x1a\x01\xff", 10}, false},        /* its string is no UTF-8 */
        {{"\x2a\x04\x12\x02\x3a\x01", 6}, false},                      /* its time is cut */
        {{"\x7b\x08\x01\x7c", 4}, true},                               /* an unknown group */
        {{"\x7b\x08\x01\x6c", 4}, false},                              /* which another one ends */
        {{"\x7c", 1}, false},                                          /* or that never began */
        {{"\x00\x00", 2}, false},                                      /* field 0 */
        {{"\x0e\x00", 2}, false},                                      /* wire type 6 */
        {{"\x79\x01\x02\x03\x04\x05\x06\x07\x08\x7d\x01\x02\x03\x04", 14}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ce_body_kind_of(TEXT("application/x-protobuf"), cases[i].body),
                         cases[i].is_event ? CE_BODY_BYTES : CE_BODY_TEXT);
    char groups[100];
    memset(groups, 0x7b, sizeof groups);
    assert_int_equal(ce_body_kind_of(TEXT("application/x-protobuf"), fl_slice_of(groups, 100)),
                     CE_BODY_TEXT);
}

static void sorts_bulk_entries_by_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum ce_bulk_kind kind;
    } cases[] = {
        {NULL, CE_BULK_MISMATCH},
        {"", CE_BULK_MISMATCH},
        {"text/html", CE_BULK_TEXT},
        {"TEXT/PLAIN", CE_BULK_TEXT},
        {"text/plain; charset=x", CE_BULK_TEXT},
        {"application/xml; charset=utf-8", CE_BULK_TEXT},
        {"APPLICATION/OCTET-STREAM", CE_BULK_BYTES},
        {"application/json; charset=utf-8", CE_BULK_JSON},
        {"application/cloudevents+json; charset=utf-8", CE_BULK_EVENT},
        {"application/vnd.x+json", CE_BULK_MISMATCH},
        {"application/cloudevents-batch+json", CE_BULK_MISMATCH},
        {"foo/bar", CE_BULK_MISMATCH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ce_bulk_kind_of(fl_slice_str(cases[i].type)), cases[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times_to_live), cmocka_unit_test(reads_overrides_in_any_case),
        cmocka_unit_test(reads_raw_payload),   cmocka_unit_test(sorts_bodies_by_type),
        cmocka_unit_test(looks_into_protobuf), cmocka_unit_test(sorts_bulk_entries_by_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
