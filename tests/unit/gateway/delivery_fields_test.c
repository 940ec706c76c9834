/* The header lines of one event: what is withheld, renamed, taken over, and what cannot be sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cloudevents/trace_context.h"
#include "gateway/delivery_fields.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define OTHER_TRACE "00-11111111111111111111111111111111-2222222222222222-00"
#define END "Content-Length: 5\r\n\r\n"

enum { MOST_PAIRS = 4 };

/* An event with these pairs of metadata, and how it is sent. */
struct sample {
    const char *pairs[MOST_PAIRS][2];
    const char *trace; /* of the call; NULL: none */
    bool has_token, has_pubsub_name;
    const char *lines; /* NULL: it cannot be sent */
};

static enum fl_err render(const struct sample *sample, struct gw_delivery_fields *fields,
                          struct fl_slice *lines)
{
    struct ce_metadata metadata[MOST_PAIRS];
    struct ce_event event = {.metadata = metadata};
    for (size_t i = 0; i < MOST_PAIRS && sample->pairs[i][0]; i++)
        metadata[event.metadata_count++] = (struct ce_metadata){fl_slice_str(sample->pairs[i][0]),
                                                                fl_slice_str(sample->pairs[i][1])};
    struct gw_delivery_source source = {.event = &event,
                                        .traceparent = fl_slice_str(sample->trace),
                                        .body_bytes = 5,
                                        .has_token = sample->has_token,
                                        .has_pubsub_name = sample->has_pubsub_name};
    return gw_delivery_fields_render(fields, &source, lines);
}

static void check(const struct sample *samples, size_t count)
{
    /* One after the other in the same room, as it is used. */
    struct gw_delivery_fields fields = {0};
    for (size_t i = 0; i < count; i++) {
        struct fl_slice lines = FL_SLICE_LIT("untouched");
        enum fl_err err = render(&samples[i], &fields, &lines);
        const char *wanted = samples[i].lines ? samples[i].lines : "untouched";
        if (!fl_slice_eq_str(lines, wanted))
            fail_msg("%zu: %.*s", i, FL_SLICE_ARG(lines));
        assert_int_equal(err, samples[i].lines ? FL_OK : FL_ERR_INVALID);
    }
    gw_delivery_fields_fini(&fields);
}

#define CHECK(samples) check(samples, sizeof samples / sizeof *samples)

static void a_trace_and_the_length_are_always_said(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.lines = END},
        {.trace = TRACE, .lines = "Traceparent: " TRACE "\r\n" END},
        {.trace = CE_TRACEPARENT_ZERO, .lines = "Traceparent: " CE_TRACEPARENT_ZERO "\r\n" END},
    };
    CHECK(samples);
}

static void metadata_becomes_lines(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {{{"a", "1"}, {"X-B", ""}}, .lines = "a: 1\r\nX-B: \r\n" END},
        {{{"grpc-status", "1"}, {":path", "/"}},
         .lines = "dapr-grpc-status: 1\r\ndapr-path: /\r\n" END},
        {{{"tracestate", "k=v"}, {"cookie", "c"}}, .lines = "tracestate: k=v\r\ncookie: c\r\n" END},
        {{{"User-Agent", ""}}, .lines = END},
    };
    CHECK(samples);
}

static void what_describes_the_request_is_withheld(void **state)
{
    (void)state;
    static const char *const names[] = {
        "content-type", "Content-Length",      "destination-app-id", "HOST",      "connection",
        "keep-alive",   "proxy-connection",    "proxy-authenticate", "te",        "trailer",
        "upgrade",      "proxy-authorization", "transfer-encoding",  "Trace-bin", "-bin",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct sample samples[] = {
            {{{names[i], "v"}, {"after", "1"}}, .lines = "after: 1\r\n" END}};
        CHECK(samples);
    }
}

static void what_the_gateway_says_itself_is_withheld(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {{{"Dapr-Api-Token", "t"}}, .has_token = true, .lines = END},
        {{{"dapr-api-token", "t"}}, .lines = "dapr-api-token: t\r\n" END},
        {{{"pubsubName", "p"}}, .has_pubsub_name = true, .lines = END},
        {{{"pubsubName", "p"}}, .lines = "pubsubName: p\r\n" END},
    };
    CHECK(samples);
}

static void a_trace_of_the_metadata_yields_to_a_real_one(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {{{"traceparent", OTHER_TRACE}}, TRACE, .lines = "Traceparent: " TRACE "\r\n" END},
        {{{"traceparent", OTHER_TRACE}},
         CE_TRACEPARENT_ZERO,
         .lines = "traceparent: " OTHER_TRACE "\r\n" END},
        {{{"traceparent", OTHER_TRACE}}, .lines = "traceparent: " OTHER_TRACE "\r\n" END},
        {{{"traceparent", ""}},
         CE_TRACEPARENT_ZERO,
         .lines = "Traceparent: " CE_TRACEPARENT_ZERO "\r\n" END},
    };
    CHECK(samples);
}

static void what_no_header_can_carry_is_refused(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {{{"a b", "1"}}},
        {{{"", "1"}}},
        {{{":", "1"}}},
        {{{"a:b", "1"}}},
        {{{"a", "x\r\ny: z"}}},
        {{{"a\r\nb", "1"}}},
        {{{"good", "1"}, {"bad", "\x01"}}},
        {{{"good", "1"}}, .lines = "good: 1\r\n" END},
    };
    CHECK(samples);
}

static void an_agent_of_the_metadata_is_reported(void **state)
{
    (void)state;
    struct gw_delivery_fields fields = {0};
    struct fl_slice lines;
    const struct sample with = {{{"user-agent", "theirs"}}, .lines = ""}, without = {.lines = ""};
    assert_int_equal(render(&with, &fields, &lines), FL_OK);
    assert_true(fields.names_agent);
    assert_int_equal(render(&without, &fields, &lines), FL_OK);
    assert_false(fields.names_agent);
    gw_delivery_fields_fini(&fields);
}

static void long_metadata_has_room(void **state)
{
    (void)state;
    static char value[100000];
    struct gw_delivery_fields fields = {0};
    struct fl_slice lines;
    memset(value, 'v', sizeof value - 1);
    const struct sample sample = {{{"a", value}, {"b", value}}, TRACE, .lines = ""};
    assert_int_equal(render(&sample, &fields, &lines), FL_OK);
    assert_int_equal(lines.len, 2 * (sizeof value - 1) + 2 * strlen("a: \r\n") +
                                    strlen("Traceparent: " TRACE "\r\n" END));
    assert_memory_equal(lines.data + lines.len - strlen(END), END, strlen(END));
    gw_delivery_fields_fini(&fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_and_the_length_are_always_said),
        cmocka_unit_test(metadata_becomes_lines),
        cmocka_unit_test(what_describes_the_request_is_withheld),
        cmocka_unit_test(what_the_gateway_says_itself_is_withheld),
        cmocka_unit_test(a_trace_of_the_metadata_yields_to_a_real_one),
        cmocka_unit_test(what_no_header_can_carry_is_refused),
        cmocka_unit_test(an_agent_of_the_metadata_is_reported),
        cmocka_unit_test(long_metadata_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
