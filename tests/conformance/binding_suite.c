/* Every promise is one test on a binding of its own, opened before and closed after it.
 *
 * The fake gateway of the connector suite drives it and watches all the time: no callback inside a
 * call or after `closed`, windows, the budget back at zero. The suite puts its own `invoked` before
 * the fake's, which also looks at the thread and keeps the whole answer. Tests wait for what must
 * come; where something must not come, they run the loop for the subject's quiet time.
 *
 * What outputs and inputs promise stands in a file each; all are one translation unit.
 */
#include "tests/conformance/binding_suite.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/conformance/fake_gateway.h"

enum { MANY = 1000, SOME = 50, MOST_PROMISES = 64 };

#define WIDE_BYTES ((size_t)64 << 20)

struct binding {
    struct binding_subject *subject;
    struct fake_gateway *fake;
    bool is_stalled;
};

struct call {
    struct fake_call head; /* first: `invoked` finds it by the token */
    struct binding *binding;
    bool has_response, has_text;
    void (*on_answer)(struct call *call); /* inside the callback; may be NULL */
    size_t countdown;                     /* the test's */
};

/* --- what the suite hears beside the fake --- */

static const struct connector_callbacks *fake_callbacks;
static pthread_t loop_thread;

static void on_call_invoked(struct connector *connector, const struct connector_invoked *answer)
{
    struct call *call = answer->token;
    struct fake_gateway *fake = connector->context;
    if (!pthread_equal(pthread_self(), loop_thread))
        abort(); /* nothing of the fake may be touched from here */
    if (answer->error && answer->error->code == FL_OK)
        fake_complain(fake, "invoked: an error without a code");
    call->has_response = answer->has_response;
    call->has_text = answer->error && answer->error->text[0];
    if (answer->error && !call->has_text)
        fake_complain(fake, "invoked: an error without a text");
    if (call->on_answer)
        call->on_answer(call);
    fake_callbacks->invoked(connector, answer);
}

/* --- a binding for each test --- */

static struct connector_callbacks suite_callbacks;

static struct fake_gateway *open_binding(const struct binding_subject *subject)
{
    struct fake_gateway *fake =
        fake_gateway_new_for_suite(subject->type, subject->values, subject->value_count,
                                   subject->patience_ms, subject->quiet_ms);
    if (!fake)
        return NULL;
    loop_thread = pthread_self();
    fake_callbacks = fake->host.callbacks;
    suite_callbacks = *fake_callbacks;
    suite_callbacks.invoked = on_call_invoked;
    fake->host.callbacks = &suite_callbacks;
    return fake;
}

static int set_up_opened(void **state)
{
    struct binding_subject *subject = *state;
    struct binding *binding = fl_zalloc(sizeof *binding);
    binding->subject = subject;
    binding->fake = open_binding(subject);
    if (!binding->fake) {
        fl_free(binding);
        return -1;
    }
    *state = binding;
    return 0;
}

static int set_up(void **state)
{
    if (set_up_opened(state))
        return -1;
    struct binding *binding = *state;
    return fake_wait_up(binding->fake) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct binding *binding = *state;
    char complaint[256];
    if (binding->is_stalled)
        binding->subject->resume(binding->subject);
    fake_gateway_free(&binding->fake, complaint, sizeof complaint);
    *state = binding->subject;
    fl_free(binding);
    if (complaint[0])
        print_error("%s\n", complaint);
    return complaint[0] ? -1 : 0;
}

#define PROMISE(function)                                                                          \
    {                                                                                              \
#function, function, set_up, tear_down, NULL                                               \
    }

#define REQUIRE(claim)                                                                             \
    do {                                                                                           \
        if (!(claim))                                                                              \
            skip();                                                                                \
    } while (0)

static void run_quietly(struct binding *binding)
{
    fake_run_quietly(binding->fake, binding->fake->quiet_ms);
}

static void assert_closed_once(struct binding *binding)
{
    assert_true(fake_wait_closed(binding->fake));
    run_quietly(binding);
    assert_int_equal(binding->fake->closed, 1);
}

#include "tests/conformance/binding_output.c"

#include "tests/conformance/binding_input.c"

/* --- every binding's life --- */

static void closing_twice_closes_once(void **state)
{
    struct binding *binding = *state;
    fake_close(binding->fake, binding->fake->patience_ms);
    fake_close(binding->fake, binding->fake->patience_ms);
    fake_close(binding->fake, 0);
    assert_closed_once(binding);
}

static void closing_at_once_after_opening_closes(void **state)
{
    struct binding *binding = *state;
    fake_close(binding->fake, binding->fake->patience_ms);
    assert_closed_once(binding);
}

static void closing_at_once_without_time_closes(void **state)
{
    struct binding *binding = *state;
    fake_close(binding->fake, 0);
    assert_closed_once(binding);
}

static void it_is_up_once(void **state)
{
    struct binding *binding = *state;
    run_quietly(binding);
    assert_int_equal(binding->fake->ups, 1);
}

static const struct CMUnitTest life_promises[] = {
    PROMISE(it_is_up_once),
    PROMISE(closing_twice_closes_once),
    {"closing_at_once_after_opening_closes", closing_at_once_after_opening_closes, set_up_opened,
     tear_down, NULL},
    {"closing_at_once_without_time_closes", closing_at_once_without_time_closes, set_up_opened,
     tear_down, NULL},
};

static void add(struct CMUnitTest *tests, size_t *count, const struct CMUnitTest *more,
                size_t more_count)
{
    memcpy(tests + *count, more, sizeof *tests * more_count);
    *count += more_count;
}

#define ADD(list) add(tests, &count, list, sizeof(list) / sizeof *(list))

static int run_promises(struct binding_subject *subject)
{
    struct CMUnitTest tests[MOST_PROMISES];
    size_t count = 0;
    ADD(life_promises);
    if (subject->type->operations)
        ADD(output_promises);
    if (subject->type->subscribe)
        ADD(input_promises);
    for (size_t i = 0; i < count; i++)
        tests[i].initial_state = subject;
    return _cmocka_run_group_tests(subject->name, tests, count, NULL, NULL);
}

_Static_assert(sizeof life_promises + sizeof output_promises + sizeof input_promises <=
                   sizeof(struct CMUnitTest[MOST_PROMISES]),
               "MOST_PROMISES is too small");

int binding_suite_run(struct binding_subject *subject)
{
    const char *why_not = subject->start ? subject->start(subject) : NULL;
    if (why_not) {
        print_message("[  SKIPPED ] %s: %s\n", subject->name, why_not);
        return 0;
    }
    int failed = run_promises(subject);
    if (subject->stop)
        subject->stop(subject);
    return failed;
}
