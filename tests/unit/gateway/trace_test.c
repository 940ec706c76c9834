/* Trace context of API calls and deliveries in the three configurations, and the views of messages
 * in binary mode, which carry it in their metadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cloudevents/dapr_envelope.h"
#include "config/configuration.h"
#include "gateway/binary_view.h"
#include "gateway/trace.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define S(text) FL_SLICE_LIT(text)

static struct gw_trace trace_of(struct config_tracing config)
{
    struct gw_trace trace;
    gw_trace_init(&trace, &config);
    return trace;
}

static const struct config_tracing off = {.has_sampling_rate = true},
                                   spans = {.has_sampling_rate = true, .sampling_rate = 1},
                                   usual = {.sampling_rate = 0.0001};

static void the_configuration_chooses_the_mode(void **state)
{
    (void)state;
    assert_int_equal(trace_of(off).mode, GW_TRACE_OFF);
    assert_int_equal(trace_of(usual).mode, GW_TRACE_PASS);
    assert_int_equal(trace_of(spans).mode, GW_TRACE_SPANS);
    assert_int_equal(trace_of((struct config_tracing){.has_stdout = true}).mode, GW_TRACE_SPANS);
    assert_int_equal(trace_of((struct config_tracing){.zipkin_endpoint = S("h")}).mode,
                     GW_TRACE_SPANS);
}

static struct gw_trace_call call(struct config_tracing config, const char *parent,
                                 const char *tracestate)
{
    struct gw_trace trace = trace_of(config);
    struct gw_trace_call call;
    gw_trace_request(&trace, fl_slice_str(parent), fl_slice_str(tracestate), &call);
    return call;
}

static void calls_pass_their_parent_on(void **state)
{
    (void)state;
    struct gw_trace_call given = call(usual, PARENT, "a=b");
    assert_true(given.has_context && given.takes_state);
    assert_memory_equal(given.text, PARENT, CE_TRACEPARENT_LEN);
    given = call(usual, NULL, "a=b");
    assert_false(given.has_context || given.takes_state);
    given = call(usual, "junk", "a=b");
    assert_false(given.has_context || given.takes_state);
    assert_false(call(usual, PARENT, "nonsense").takes_state);
    assert_false(call(off, PARENT, "a=b").has_context);
}

static void calls_are_spans_of_their_parent(void **state)
{
    (void)state;
    struct gw_trace_call child = call(spans, PARENT, NULL), root = call(spans, NULL, NULL);
    assert_true(child.has_context && root.has_context);
    assert_memory_equal(child.text, PARENT, 36);
    assert_memory_not_equal(child.text + 36, &PARENT[36], 16);
    assert_memory_equal(child.text + 53, "01", 2);
    assert_memory_not_equal(root.text, PARENT, 36);
}

static size_t deliver(struct config_tracing config, const char *body, char out[CE_TRACEPARENT_LEN])
{
    struct gw_trace trace = trace_of(config);
    struct ce_event *event;
    assert_int_equal(ce_event_new(fl_slice_str(body), FL_SLICE_NULL, NULL, 0, NULL, &event), FL_OK);
    size_t len = gw_trace_delivery(&trace, event, out);
    ce_event_release(&event);
    return len;
}

static void deliveries_carry_the_events_trace(void **state)
{
    (void)state;
    static const char own[] = "{\"traceparent\":\"" PARENT "\"}",
                      empty[] = "{\"traceparent\":\"\"}", id[] = "{\"traceid\":\"" PARENT "\"}",
                      none[] = "{}";
    char out[CE_TRACEPARENT_LEN];
    assert_int_equal(deliver(usual, own, out), CE_TRACEPARENT_LEN);
    assert_memory_equal(out, PARENT, sizeof out);
    assert_int_equal(deliver(usual, id, out), CE_TRACEPARENT_LEN);
    assert_memory_equal(out, PARENT, sizeof out);
    assert_int_equal(deliver(usual, empty, out), CE_TRACEPARENT_LEN);
    assert_memory_equal(out, CE_TRACEPARENT_ZERO, sizeof out);
    assert_int_equal(deliver(usual, none, out), 0);
    assert_int_equal(deliver(off, own, out), 0);
    assert_int_equal(deliver(spans, own, out), CE_TRACEPARENT_LEN);
    assert_memory_equal(out, PARENT, 36);
    assert_memory_not_equal(out + 36, &PARENT[36], 16);
    assert_int_equal(deliver(spans, empty, out), CE_TRACEPARENT_LEN);
    assert_memory_not_equal(out, CE_TRACEPARENT_ZERO, 36);
}

static struct ce_event *stored(const struct ce_metadata *metadata, size_t count)
{
    struct ce_event *event;
    assert_int_equal(ce_event_new(S("\x01\x02"), FL_SLICE_NULL, metadata, count, NULL, &event),
                     FL_OK);
    return event;
}

static void binary_messages_show_their_attributes(void **state)
{
    (void)state;
    const struct ce_metadata metadata[] = {{S("Content-Type"), S("application/octet-stream; x=y")},
                                           {S("ce_id"), S("7")},
                                           {S("CE_Type"), S("a\"b")},
                                           {S("ce_traceparent"), S(PARENT)},
                                           {S("ce-source"), S("no")},
                                           {S("other"), S("no")}};
    struct ce_event *event = stored(metadata, 6), *view = NULL;
    assert_true(gw_binary_is_message(event));
    assert_int_equal(gw_binary_view_new(event, NULL, &view), FL_OK);
    assert_true(view->flags & CE_EVENT_STRUCTURED);
    assert_true(fl_slice_eq_str(ce_event_json(view, CE_ID), "\"7\""));
    assert_true(fl_slice_eq_str(ce_event_json(view, CE_TYPE), "\"a\\\"b\""));
    assert_true(fl_slice_eq_str(ce_event_json(view, CE_DATA), "\"AQI=\""));
    assert_true(fl_slice_eq_str(ce_event_json(view, CE_DATACONTENTTYPE),
                                "\"application/octet-stream; x=y\""));
    assert_true(fl_slice_is_null(ce_event_json(view, CE_SOURCE)));
    struct ce_trace found;
    assert_int_equal(ce_event_traceparent(view, &found), CE_TRACE_VALID);
    ce_event_release(&view);
    ce_event_release(&event);
}

static void other_messages_are_not_binary(void **state)
{
    (void)state;
    const struct ce_metadata text[] = {{S("content-type"), S("text/plain")}},
                             none[] = {{S("ce_id"), S("7")}},
                             longer[] = {{S("content-type"), S("application/octet-streams")}};
    const struct ce_metadata *const cases[] = {text, none, longer};
    for (size_t i = 0; i < 3; i++) {
        struct ce_event *event = stored(cases[i], 1);
        assert_false(gw_binary_is_message(event));
        ce_event_release(&event);
    }
    struct ce_event *event = stored(NULL, 0);
    assert_false(gw_binary_is_message(event));
    ce_event_release(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_chooses_the_mode),
        cmocka_unit_test(calls_pass_their_parent_on),
        cmocka_unit_test(calls_are_spans_of_their_parent),
        cmocka_unit_test(deliveries_carry_the_events_trace),
        cmocka_unit_test(binary_messages_show_their_attributes),
        cmocka_unit_test(other_messages_are_not_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
