/* The vectors of the CloudEvents facts: V valid, I invalid, T header values; by their numbers. Then
 * the same event through every protocol's binary mode and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cloudevents/attribute.h"
#include "cloudevents/batch.h"
#include "cloudevents/http_binary.h"
#include "cloudevents/structured.h"

#define TEXT(literal) FL_SLICE_LIT(literal)
#define BASE "\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\""
#define PLUS(more) "{" BASE "," more "}"
#define NO_DATA "(none)"
#define TWENTY_ONE "abcdefghijklmnopqrstu"

/* An event, and what HTTP binary mode makes of its data. */
struct valid {
    const char *number, *json;
    const char *body; /* NO_DATA; NULL: not looked at */
    size_t body_len;  /* 0: strlen */
    const char *content_type, *header, *value;
};

static const struct valid valid_events[] = {
    {"V1", "{" BASE "}", NO_DATA},
    {"V2", "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\",\"source\":\"//h/p\"}", NO_DATA},
    {"V2", "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\",\"source\":\"mailto:a@b.c\"}"},
    {"V2", "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\",\"source\":\"urn:uuid:6e8bc430-"
           "9c3a-11d9-9669-0800200c9a66\"}"},
    {"V2", "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\",\"source\":\"1-555-123-4567\"}"},
    {"V3", PLUS("\"subject\":null,\"ext\":null"), NO_DATA, .header = "ce-ext"},
    {"V3", PLUS("\"subject\":null,\"ext\":null"), NO_DATA, .header = "ce-subject"},
    {"V4", PLUS("\"n\":-2147483648"), .header = "ce-n", .value = "-2147483648"},
    {"V4", PLUS("\"n\":2147483647"), .header = "ce-n", .value = "2147483647"},
    {"V4", PLUS("\"n\":0"), .header = "ce-n", .value = "0"},
    {"V5", PLUS("\"flag\":true"), .header = "ce-flag", .value = "true"},
    {"V6", PLUS("\"data\":\"{\\\"a\\\":1}\""), "\"{\\\"a\\\":1}\"",
     .content_type = "application/json"},
    {"V7", PLUS("\"datacontenttype\":\"application/json\",\"data\":null"), "null",
     .content_type = "application/json"},
    {"V8", PLUS("\"datacontenttype\":\"application/json\",\"data\":1.5"), "1.5",
     .content_type = "application/json"},
    {"V9", PLUS("\"datacontenttype\":\"application/vnd.x+json; charset=utf-8\",\"data\":{\"a\":1}"),
     "{\"a\":1}", .content_type = "application/vnd.x+json; charset=utf-8"},
    {"V10", PLUS("\"datacontenttype\":\"application/xml\",\"data\":\"<a b=\\\"c\\\"/>\""),
     "<a b=\"c\"/>", .content_type = "application/xml"},
    {"V11", PLUS("\"datacontenttype\":\"TEXT/Plain; CharSet=utf-8\",\"data\":\"x\""), "x",
     .content_type = "TEXT/Plain; CharSet=utf-8"},
    {"V12", PLUS("\"data_base64\":\"AAEC/w==\""), "\x00\x01\x02\xff", 4},
    {"V12", PLUS("\"data_base64\":\"AAEC\\/w==\""), "\x00\x01\x02\xff", 4},
    {"V13", PLUS("\"data_base64\":\"eyAieHl6IjogMTIzIH0=\""), "{ \"xyz\": 123 }"},
    {"V14", PLUS("\"data_base64\":\"\""), ""},
    {"V15", PLUS("\"time\":\"2018-04-05T17:31:00Z\""), .header = "ce-time",
     .value = "2018-04-05T17:31:00Z"},
    {"V15", PLUS("\"time\":\"2018-04-05T17:31:00.123456789Z\""), .header = "ce-time",
     .value = "2018-04-05T17:31:00.123456789Z"},
    {"V15", PLUS("\"time\":\"2018-04-05T17:31:00+02:00\""), .header = "ce-time",
     .value = "2018-04-05T17:31:00+02:00"},
    {"V15", PLUS("\"time\":\"2018-04-05T17:31:00-00:00\"")},
    {"V15", PLUS("\"time\":\"2016-12-31T23:59:60Z\"")},
    {"V15", PLUS("\"time\":\"2018-04-05t17:31:00z\""), .header = "ce-time",
     .value = "2018-04-05t17:31:00z"},
    {"V16", PLUS("\"" TWENTY_ONE "\":\"x\""), .header = "ce-" TWENTY_ONE, .value = "x"},
    {"V16", PLUS("\"1x\":\"x\""), .header = "ce-1x", .value = "x"},
    {"V19", PLUS("\"subject\":\"😀\""), .header = "ce-subject", .value = "%F0%9F%98%80"},
    {"V19", PLUS("\"subject\":\"\\uD83D\\uDE00\""), .header = "ce-subject",
     .value = "%F0%9F%98%80"},
    {"escaped name",
     "{\"specversion\":\"1.0\",\"\\u0069d\":\"1\",\"source\":\"/s\",\"type\":\"t\"}", NO_DATA,
     .header = "ce-id", .value = "1"},
    {"text null", PLUS("\"datacontenttype\":\"text/plain\",\"data\":null"), NO_DATA,
     .content_type = "text/plain"},
    {"data_base64 null", PLUS("\"data_base64\":null,\"data\":1"), "1",
     .content_type = "application/json"},
    {"type without data", PLUS("\"datacontenttype\":\"application/json\""), NO_DATA,
     .content_type = "application/json"},
};

static const char *header_value(const struct ce_binary_message *message, const char *name,
                                char out[300])
{
    for (size_t i = 0; i < message->header_count; i++) {
        if (!fl_slice_eq_str(message->headers[i].key, name))
            continue;
        snprintf(out, 300, "%.*s", FL_SLICE_ARG(message->headers[i].value));
        return out;
    }
    return NULL;
}

static void assert_http(const struct valid *v, const struct ce_event *event)
{
    struct fl_arena arena = {0};
    struct fl_buffer scratch = {0};
    struct ce_binary_message message;
    char text[300];
    assert_int_equal(ce_binary_write(ce_header_map_of(CE_HTTP), event, &arena, &scratch, &message),
                     FL_OK);
    if (v->header && v->value)
        assert_string_equal(header_value(&message, v->header, text), v->value);
    else if (v->header)
        assert_null(header_value(&message, v->header, text));
    if (v->body) {
        assert_int_equal(message.has_data, strcmp(v->body, NO_DATA) != 0);
        assert_int_equal(fl_slice_is_null(message.content_type), v->content_type == NULL);
    }
    if (v->content_type)
        assert_true(fl_slice_eq_str(message.content_type, v->content_type));
    if (v->body && message.has_data) {
        size_t len = v->body_len ? v->body_len : strlen(v->body);
        assert_true(fl_slice_eq(message.body, fl_slice_of(v->body, len)));
    }
    fl_arena_fini(&arena);
    fl_buffer_fini(&scratch);
}

static void takes_valid_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid_events / sizeof *valid_events; i++) {
        const struct valid *v = &valid_events[i];
        struct fl_error error = {.text = ""};
        if (ce_structured_check(fl_slice_str(v->json), &error) != FL_OK)
            fail_msg("%s: %s", v->number, error.text);
        struct ce_event *event;
        assert_int_equal(ce_event_new(fl_slice_str(v->json), FL_SLICE_NULL, NULL, 0, NULL, &event),
                         FL_OK);
        assert_http(v, event);
        ce_event_release(&event);
    }
}

static void v18_takes_an_event_of_64_kib(void **state)
{
    (void)state;
    char *text = malloc(65537);
    size_t len =
        (size_t)sprintf(text, PLUS("\"datacontenttype\":\"text/plain\",\"data\":\"\"")) - 2;
    memset(text + len, 'x', 65536 - len);
    memcpy(text + 65534, "\"}", 2);
    assert_int_equal(ce_structured_check(fl_slice_of(text, 65536), NULL), FL_OK);
    free(text);
}

struct invalid {
    const char *number, *json, *reason; /* reason: a part of it */
};

static const struct invalid invalid_events[] = {
    {"I1", "{\"specversion\":\"1.0\",\"source\":\"/s\",\"type\":\"t\"}", "id is missing"},
    {"I2", "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\"}", "source is missing"},
    {"I3", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"}", "type is missing"},
    {"I4", "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}", "specversion is missing"},
    {"I1", "{\"specversion\":\"1.0\",\"id\":null,\"source\":\"/s\",\"type\":\"t\"}",
     "id is missing"},
    {"I5", "{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"/s\",\"type\":\"t\"}",
     "id must not be empty"},
    {"I6", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"\",\"type\":\"t\"}",
     "source must not"},
    {"I7", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"\"}",
     "type must not"},
    {"I8", PLUS("\"subject\":\"\""), "subject must not"},
    {"I9", PLUS("\"dataschema\":\"\""), "dataschema must not"},
    {"I10", PLUS("\"Ext\":\"x\""), "Ext has a name"},
    {"I10", PLUS("\"my-ext\":\"x\""), "my-ext has a name"},
    {"I10", PLUS("\"my_ext\":\"x\""), "my_ext has a name"},
    {"I10", PLUS("\"é\":\"x\""), "é has a name"},
    {"I10", PLUS("\"\":\"x\""), "has a name"},
    {"I11", PLUS("\"n\":2147483648"), "n is no 32-bit Integer"},
    {"I11", PLUS("\"n\":-2147483649"), "n is no 32-bit Integer"},
    {"I12", PLUS("\"n\":1.5"), "n is no"},
    {"I12", PLUS("\"n\":1e3"), "n is no"},
    {"I12", PLUS("\"n\":1.0"), "n is no"},
    {"I13", PLUS("\"o\":{\"a\":1}"), "o is a JSON object"},
    {"I13", PLUS("\"a\":[1]"), "a is a JSON object or array"},
    {"I14", "{\"specversion\":\"1.0\",\"id\":1,\"source\":\"/s\",\"type\":\"t\"}",
     "id must be a string"},
    {"I14", PLUS("\"subject\":true"), "subject must be a string"},
    {"I15", PLUS("\"data\":1,\"data_base64\":\"AA==\""), "exclude"},
    {"I16", PLUS("\"data_base64\":\"-_8=\""), "no base64"},
    {"I16", PLUS("\"data_base64\":\"AA\""), "no base64"},
    {"I16", PLUS("\"data_base64\":5"), "must be a string"},
    {"I17", PLUS("\"datacontenttype\":\"text/xml\",\"data\":{\"a\":1}"), "not JSON"},
    {"I18", PLUS("\"time\":\"2018-04-05\""), "RFC 3339"},
    {"I18", PLUS("\"time\":\"2018-04-05T17:31:00\""), "RFC 3339"},
    {"I18", PLUS("\"time\":\"2018-13-01T00:00:00Z\""), "RFC 3339"},
    {"I18", PLUS("\"time\":\"2018-02-30T00:00:00Z\""), "RFC 3339"},
    {"I18", PLUS("\"time\":\"2018-04-05T24:00:00Z\""), "RFC 3339"},
    {"I18", PLUS("\"time\":\"\""), "empty"},
    {"I19", PLUS("\"dataschema\":\"/rel\""), "absolute URI"},
    {"I20", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a b\",\"type\":\"t\"}",
     "URI reference"},
    {"I21", PLUS("\"subject\":\"a\\u0007b\""), "control"},
    {"I21", PLUS("\"subject\":\"\\uDEAD\""), "surrogate"},
    {"I21", PLUS("\"subject\":\"\\uFFFE\""), "noncharacter"},
    {"I21", PLUS("\"subject\":\"\\u0080\""), "control"},
    {"I21", PLUS("\"subject\":\"\\uFDD0\""), "noncharacter"},
    {"I21", PLUS("\"subject\":\"\\uD83F\\uDFFF\""), "noncharacter"},
    {"I21", PLUS("\"ext\":\"\xff\""), "UTF-8"},
    {"I22", PLUS("\"id\":\"2\""), "id is there twice"},
    {"I22", PLUS("\"\\u0069d\":\"2\""), "id is there twice"},
    {"I22", PLUS("\"data\":1,\"data\":2"), "data is there twice"},
    {"I26", "{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}",
     "not supported"},
    {"I26", "{\"specversion\":\"1.0.2\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}",
     "not supported"},
    {"I26", "{\"specversion\":\"2.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}",
     "not supported"},
    {"media type", PLUS("\"datacontenttype\":\"json\""), "media type"},
    {"trailing", "{" BASE "} x", "nothing after"},
    {"array", "[]", "one JSON object"},
    {"cut", "{" BASE, "unexpected EOF"},
};

static void refuses_invalid_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof invalid_events / sizeof *invalid_events; i++) {
        const struct invalid *v = &invalid_events[i];
        struct fl_error error = {.text = ""};
        if (ce_structured_check(fl_slice_str(v->json), &error) != FL_ERR_INVALID)
            fail_msg("%s is taken: %s", v->number, v->json);
        if (!strstr(error.text, v->reason))
            fail_msg("%s: %s", v->number, error.text);
        assert_int_equal(error.class, FL_CLASS_REJECT);
    }
    char *text = malloc(10000);
    size_t len = (size_t)sprintf(text, "{" BASE);
    for (int i = 0; i < 252; i++)
        len += (size_t)sprintf(text + len, ",\"x%d\":\"\"", i);
    assert_int_equal(sprintf(text + len, "}"), 1);
    assert_int_equal(ce_structured_check(fl_slice_str(text), NULL), FL_OK);
    sprintf(text + len, ",\"y\":\"\"}");
    assert_int_equal(ce_structured_check(fl_slice_str(text), NULL), FL_ERR_INVALID);
    free(text);
}

static void v17_i23_batches(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int count; /* -1: refused */
    } cases[] = {
        {"[]", 0},
        {" [ {" BASE "} , " PLUS("\"datacontenttype\":\"text/plain\",\"data\":\"x\"") "] ", 2},
        {"[{" BASE "},{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}]",
         -1},
        {"[{" BASE "},5]", -1},
        {"{" BASE "}", -1},
        {"[{" BASE "}] x", -1},
        {"[{" BASE "},]", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ce_batch batch;
        struct fl_error error;
        struct fl_slice json;
        enum fl_err err = ce_batch_open(&batch, fl_slice_str(cases[i].body), &error);
        assert_int_equal(err, cases[i].count < 0 ? FL_ERR_INVALID : FL_OK);
        if (cases[i].count < 0)
            continue;
        assert_int_equal(batch.count, cases[i].count);
        for (int n = 0; n < cases[i].count; n++)
            assert_true(ce_batch_next(&batch, &json) && json.data[0] == '{');
        assert_false(ce_batch_next(&batch, &json));
    }
}

/* --- binary mode, reading --- */

#define MAX_HEADERS 12

struct headers {
    const char *pairs[MAX_HEADERS][2];
};

#define REQUIRED                                                                                   \
    {"ce-specversion", "1.0"}, {"CE-ID", "1"}, {"Ce-Source", "/s"},                                \
    {                                                                                              \
        "ce-type", "t"                                                                             \
    }

static enum fl_err read_http(const struct headers *headers, const char *content_type,
                             struct fl_slice body, struct fl_buffer *json, struct fl_error *error)
{
    struct ce_metadata pairs[MAX_HEADERS];
    size_t count = 0;
    for (; count < MAX_HEADERS && headers->pairs[count][0]; count++)
        pairs[count] = (struct ce_metadata){fl_slice_str(headers->pairs[count][0]),
                                            fl_slice_str(headers->pairs[count][1])};
    struct ce_binary_message message = {.headers = pairs,
                                        .header_count = count,
                                        .content_type = fl_slice_str(content_type),
                                        .body = body,
                                        .has_data = true};
    return ce_binary_read(ce_header_map_of(CE_HTTP), &message, json, error);
}

static void reads_http_binary_mode(void **state)
{
    (void)state;
    static const struct {
        struct headers headers;
        const char *content_type;
        struct fl_slice body;
        const char *json; /* behind the four required ones; NULL: refused */
    } cases[] = {
        {{{REQUIRED}}, NULL, {"", 0}, "}"}, /* V20 */
        {{{REQUIRED, {"ce-ext", "e"}, {"x-ce-other", "o"}}},
         "application/json",
         {"{\"a\": 1}\n", 9},
         ",\"ext\":\"e\",\"datacontenttype\":\"application/json\",\"data\":{\"a\": 1}}"},
        {{{REQUIRED}},
         "text/plain",
         {"a\"b", 3},
         ",\"datacontenttype\":\"text/plain\",\"data\":\"a\\\"b\"}"},
        {{{REQUIRED}},
         "text/plain; charset=iso-8859-1",
         {"x", 1},
         ",\"datacontenttype\":\"text/plain; charset=iso-8859-1\",\"data_base64\":\"eA==\"}"},
        {{{REQUIRED}},
         "text/plain; CharSet=\"UTF-8\"",
         {"x", 1},
         ",\"datacontenttype\":\"text/plain; CharSet=\\\"UTF-8\\\"\",\"data\":\"x\"}"},
        {{{REQUIRED}},
         "text/plain",
         {"\xff", 1},
         ",\"datacontenttype\":\"text/plain\",\"data_base64\":\"/w==\"}"},
        {{{REQUIRED}}, NULL, {"\x00\x01", 2}, ",\"data_base64\":\"AAE=\"}"},
        {{{REQUIRED}},
         "application/json",
         {"{cut", 4},
         ",\"datacontenttype\":\"application/json\",\"data_base64\":\"e2N1dA==\"}"},
        {{{REQUIRED}},
         "application/json",
         {"", 0},
         ",\"datacontenttype\":\"application/json\",\"data_base64\":\"\"}"},
        {{{REQUIRED, {"ce-subject", "a%20%22b%22"}}},
         NULL,
         {"", 0},
         ",\"subject\":\"a \\\"b\\\"\"}"},
        {{{REQUIRED, {"ce-datacontenttype", "x/y"}}}, NULL, {"", 0}, NULL}, /* I24 */
        {{{REQUIRED, {"ce-my_ext", "x"}}}, NULL, {"", 0}, NULL},            /* I25 */
        {{{REQUIRED, {"ce-a.b", "x"}}}, NULL, {"", 0}, NULL},               /* I25 */
        {{{REQUIRED, {"ce-data", "x"}}}, NULL, {"", 0}, NULL},
        {{{REQUIRED, {"ce-Id", "2"}}}, NULL, {"", 0}, NULL},           /* I22 */
        {{{REQUIRED, {"ce-subject", "a%0Ab"}}}, NULL, {"", 0}, NULL},  /* T13 */
        {{{REQUIRED, {"ce-subject", "%FF"}}}, NULL, {"", 0}, NULL},    /* T10 */
        {{{REQUIRED, {"ce-subject", ""}}}, NULL, {"", 0}, NULL},       /* I8 */
        {{{REQUIRED, {"ce-time", "yesterday"}}}, NULL, {"", 0}, NULL}, /* I18 */
        {{{REQUIRED}}, "nonsense", {"", 0}, NULL},
        {{{REQUIRED}}, "application/cloudevents+json", {"{}", 2}, NULL}, /* T14 */
        {{{{"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}}}, NULL, {"", 0}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buffer json = {0};
        struct fl_error error = {.text = ""};
        enum fl_err err =
            read_http(&cases[i].headers, cases[i].content_type, cases[i].body, &json, &error);
        assert_int_equal(err, cases[i].json ? FL_OK : FL_ERR_INVALID);
        assert_int_equal(json.len == 0, err != FL_OK);
        if (err == FL_OK) {
            char expected[400];
            snprintf(expected, sizeof expected, "{%s%s", BASE, cases[i].json);
            assert_string_equal(fl_buffer_cstr(&json), expected);
            assert_int_equal(ce_structured_check(fl_buffer_slice(&json), &error), FL_OK);
        } else {
            assert_true(error.text[0] != '\0');
        }
        fl_buffer_fini(&json);
    }
}

static void t14_t15_t16_tell_modes_apart(void **state)
{
    (void)state;
    static const struct ce_metadata pairs[] = {{{"ce-id", 5}, {"1", 1}},
                                               {{"ce-source", 9}, {"/s", 2}},
                                               {{"ce-type", 7}, {"t", 1}},
                                               {{"ce-specversion", 14}, {"1.0", 3}}};
    const struct ce_header_map *http = ce_header_map_of(CE_HTTP),
                               *kafka = ce_header_map_of(CE_KAFKA);
    assert_true(ce_binary_is_mode(http, pairs, 4, FL_SLICE_NULL));
    assert_true(ce_binary_is_mode(http, pairs, 4, TEXT("application/json")));
    assert_false(ce_binary_is_mode(http, pairs, 3, FL_SLICE_NULL));
    assert_false(ce_binary_is_mode(kafka, pairs, 4, FL_SLICE_NULL));
    assert_false(
        ce_binary_is_mode(http, pairs, 4, TEXT("Application/CloudEvents+JSON; charset=utf-8")));
    assert_false(ce_binary_is_mode(http, pairs, 4, TEXT("application/cloudevents-batch+json")));
    assert_false(ce_binary_is_mode(http, pairs, 4, TEXT("application/cloudevents+avro")));
    assert_true(ce_batch_is_type(TEXT("Application/CloudEvents-Batch+JSON ; x=y")));
    assert_false(ce_batch_is_type(TEXT("application/cloudevents+json")));
}

/* --- header values --- */

static void t1_to_t13_code_header_values(void **state)
{
    (void)state;
    /* value, header, is the header what encoding gives? */
    static const struct {
        const char *value, *header;
        bool is_written;
    } cases[] = {
        {"Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80", true},            /* T1 */
        {"100%", "100%25", true},                                         /* T2 */
        {"%25", "%2525", true},                                           /* T3 */
        {"/a%20b", "/a%2520b", true},                                     /* T4 */
        {"he said \"hi\"", "he%20said%20%22hi%22", true},                 /* T5 */
        {"{\"k\":1}", "{%22k%22:1}", true},                               /* T6 */
        {"Müller", "M%C3%BCller", true},                                  /* T7 */
        {"Müller", "M%c3%bcller", false},                                 /* T7 */
        {"A", "%41", false},                                              /* T8 */
        {"a \"b", "\"a \\\"b\"", false},                                  /* T9 */
        {NULL, "%C0%A0", false},                                          /* T10 */
        {NULL, "%ED%A0%80", false},                                       /* T10 */
        {NULL, "%FF", false},                                             /* T10 */
        {NULL, "%E2%82", false},                                          /* T10 */
        {"2018-04-26T14:48:09+02:00", "2018-04-26T14:48:09+02:00", true}, /* T11 */
        {"a\xcc\x81", "a%CC%81", true},                                   /* T12 */
        {"a\nb", "a%0Ab", true}, /* T13: refused as a String */
        {"", "", true},
        {"", "\"\"", false},
        {"a b", "a b", false},
        {NULL, "100%", false},
        {NULL, "%zz", false},
        {NULL, "%4", false},
        {NULL, "\xc3\xbc", false},
        {NULL, "\"a", false},
        {NULL, "\"a\"b\"", false},
        {NULL, "\"a\\\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buffer out = {0};
        enum fl_err err = ce_header_decode(fl_slice_str(cases[i].header), &out);
        assert_int_equal(err, cases[i].value ? FL_OK : FL_ERR_INVALID);
        assert_true(fl_slice_eq(fl_buffer_slice(&out), fl_slice_str(cases[i].value)));
        fl_buffer_clear(&out);
        if (cases[i].is_written) {
            ce_header_encode(fl_slice_str(cases[i].value), &out);
            assert_true(fl_slice_eq_str(fl_buffer_slice(&out), cases[i].header));
        }
        fl_buffer_fini(&out);
    }
    assert_false(ce_string_is_valid(TEXT("a\nb")));
}

static void t4_t17_other_protocols_do_not_escape(void **state)
{
    (void)state;
    struct ce_metadata pairs[] = {{TEXT("ce_id"), TEXT("1")},
                                  {TEXT("ce_source"), TEXT("/a%20b")},
                                  {TEXT("ce_type"), TEXT("t")},
                                  {TEXT("ce_specversion"), TEXT("1.0")},
                                  {TEXT("content-type"), TEXT("application/json")}};
    struct ce_binary_message message = {.headers = pairs, .header_count = 5};
    struct fl_buffer json = {0};
    struct fl_error error;
    assert_int_equal(ce_binary_read(ce_header_map_of(CE_KAFKA), &message, &json, &error), FL_OK);
    assert_string_equal(fl_buffer_cstr(&json),
                        "{\"id\":\"1\",\"source\":\"/a%20b\",\"type\":\"t\","
                        "\"specversion\":\"1.0\",\"datacontenttype\":\"application/json\"}");
    fl_buffer_fini(&json);
}

/* JSON to binary mode and back keeps strings and data, for each protocol; numbers in data survive.
 */
static void survives_every_protocol(void **state)
{
    (void)state;
    static const char *const events[] = {
        PLUS("\"subject\":\"Euro € 😀 "
             "100%\",\"ext\":\"\\\"q\\\"\",\"datacontenttype\":\"application/"
             "json\",\"data\":{\"n\":12345678901234567890123,\"f\":1.0}"),
        PLUS("\"datacontenttype\":\"text/plain\",\"data\":\"a\\nb\""),
        PLUS("\"data_base64\":\"AAEC/w==\""),
        "{" BASE "}",
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        for (int p = 0; p < CE_PROTOCOL_COUNT; p++) {
            const struct ce_header_map *map = ce_header_map_of((enum ce_protocol)p);
            struct fl_arena arena = {0};
            struct fl_buffer scratch = {0}, json = {0};
            struct ce_binary_message message;
            struct ce_event *event;
            struct fl_error error = {.text = ""};
            assert_int_equal(
                ce_event_new(fl_slice_str(events[i]), FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
            assert_int_equal(ce_binary_write(map, event, &arena, &scratch, &message), FL_OK);
            if (ce_binary_read(map, &message, &json, &error) != FL_OK)
                fail_msg("%s: %s", map->name, error.text);
            assert_string_equal(fl_buffer_cstr(&json), events[i]);
            ce_event_release(&event);
            fl_arena_fini(&arena);
            fl_buffer_fini(&scratch);
            fl_buffer_fini(&json);
        }
    }
}

static void leaves_foreign_headers_alone(void **state)
{
    (void)state;
    const struct ce_header_map *amqp = ce_header_map_of(CE_AMQP),
                               *mqtt = ce_header_map_of(CE_MQTT5);
    assert_true(fl_slice_eq_str(ce_header_attribute(amqp, TEXT("cloudEvents:id")), "id"));
    assert_true(fl_slice_eq_str(ce_header_attribute(amqp, TEXT("cloudEvents_id")), "id"));
    assert_true(fl_slice_is_null(ce_header_attribute(amqp, TEXT("cloudevents_id"))));
    assert_true(fl_slice_is_null(ce_header_attribute(amqp, TEXT("cloudEvents_"))));
    assert_true(
        fl_slice_is_null(ce_header_attribute(ce_header_map_of(CE_HTTP), TEXT("cache-control"))));
    struct ce_metadata pairs[] = {
        {TEXT("id"), TEXT("1")},      {TEXT("source"), TEXT("/s")},
        {TEXT("type"), TEXT("t")},    {TEXT("specversion"), TEXT("1.0")},
        {TEXT("X-Other"), TEXT("o")}, {TEXT("datacontenttype"), TEXT("x/y")}};
    struct ce_binary_message message = {.headers = pairs, .header_count = 6};
    struct fl_buffer json = {0};
    struct fl_error error;
    assert_int_equal(ce_binary_read(mqtt, &message, &json, &error), FL_OK);
    assert_string_equal(fl_buffer_cstr(&json),
                        "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"specversion\":\"1.0\"}");
    fl_buffer_fini(&json);
}

static void checks_uris_and_media_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_reference, is_uri;
    } uris[] = {{"a:b", true, true},
                {"1a:b", false, false},
                {"/a:b", true, false},
                {"?q", true, false},
                {"#f", true, false},
                {"#f#g", false, false},
                {"http://[::1]/x", true, true},
                {"/a[1]", false, false},
                {"http://h/%4", false, false},
                {"http://h/%41#f", true, true},
                {"é", false, false},
                {"a<b", false, false},
                {"", false, false},
                {"a?b:c", true, false}};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        assert_int_equal(ce_uri_reference_is_valid(fl_slice_str(uris[i].text)),
                         uris[i].is_reference);
        assert_int_equal(ce_uri_is_valid(fl_slice_str(uris[i].text)), uris[i].is_uri);
    }
    static const struct {
        const char *text;
        bool is_valid, is_json, is_text;
    } types[] = {{"application/json", true, true, false},
                 {"text/json", true, true, true},
                 {"application/vnd.x+JSON; a=b", true, true, false},
                 {"application/xml", true, false, true},
                 {"image/svg+xml;", true, false, true},
                 {"x/y; a=\"q\\\"\" ; b=c", true, false, false},
                 {"x/y; a", false, false, false},
                 {"x/y; a=", false, false, false},
                 {"x/y; a=\"q", false, false, false},
                 {"x/y z", false, false, false},
                 {"x", false, false, false},
                 {"/y", false, false, false},
                 {"x/", false, false, false}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_int_equal(ce_media_type_is_valid(fl_slice_str(types[i].text)), types[i].is_valid);
        assert_int_equal(ce_media_type_is_json(fl_slice_str(types[i].text)), types[i].is_json);
        assert_int_equal(ce_media_type_is_text(fl_slice_str(types[i].text)), types[i].is_text);
    }
    assert_false(ce_integer_is_valid(TEXT("01")));
    assert_false(ce_integer_is_valid(TEXT("-")));
    assert_false(ce_integer_is_valid(FL_SLICE_NULL));
}

static void fails_politely_at_every_allocation(void **state)
{
    (void)state;
    struct fl_slice json = TEXT(PLUS("\"subject\":\"\\u0041\",\"data_base64\":\"AAEC\""));
    struct headers headers = {{REQUIRED, {"ce-ext", "e"}}};
    struct ce_event *event;
    assert_int_equal(ce_event_new(json, FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
    for (int what = 0; what < 4; what++) {
        enum fl_err err = FL_ERR_NO_MEMORY;
        unsigned nth;
        for (nth = 1; err == FL_ERR_NO_MEMORY; nth++) {
            struct fl_buffer out = {0};
            struct fl_error error;
            struct ce_batch batch;
            struct ce_data data;
            fl_alloc_fail_at(nth);
            if (what == 0)
                err = ce_structured_check(json, &error);
            else if (what == 1)
                err = ce_batch_open(&batch, TEXT("[{" BASE "}]"), &error);
            else if (what == 2)
                err = ce_event_data(event, &out, &data);
            else
                err = read_http(&headers, "text/plain", TEXT("x"), &out, &error);
            fl_alloc_fail_at(0);
            fl_buffer_fini(&out);
        }
        assert_int_equal(err, FL_OK);
        assert_true(nth > 2);
    }
    ce_event_release(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_valid_events),
        cmocka_unit_test(v18_takes_an_event_of_64_kib),
        cmocka_unit_test(refuses_invalid_events),
        cmocka_unit_test(v17_i23_batches),
        cmocka_unit_test(reads_http_binary_mode),
        cmocka_unit_test(t14_t15_t16_tell_modes_apart),
        cmocka_unit_test(t1_to_t13_code_header_values),
        cmocka_unit_test(t4_t17_other_protocols_do_not_escape),
        cmocka_unit_test(survives_every_protocol),
        cmocka_unit_test(leaves_foreign_headers_alone),
        cmocka_unit_test(checks_uris_and_media_types),
        cmocka_unit_test(fails_politely_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
