/* Every transition of a circuit breaker, with instants that the tests name themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/breaker.h"

struct fixture {
    struct fl_arena arena;
    struct config_breaker config;
    struct gw_breaker breaker;
    char changes[200]; /* "closed>open " and so on, in order */
};

static void note_change(struct gw_breaker *breaker, enum gw_breaker_state before)
{
    struct fixture *f = breaker->context;
    strcat(f->changes, gw_breaker_state_name(before));
    strcat(f->changes, ">");
    strcat(f->changes, gw_breaker_state_name(breaker->state));
    strcat(f->changes, " ");
}

/* At 0: open for 1 s, clears its counts every `interval_ms`. */
static void begin(struct fixture *f, const char *trip, int64_t max_requests, int64_t interval_ms)
{
    struct fl_error error;
    *f = (struct fixture){
        .config = {.max_requests = max_requests, .interval_ms = interval_ms, .timeout_ms = 1000}};
    if (config_trip_parse(fl_slice_str(trip), &f->arena, &f->config.trip, &error))
        fail_msg("%s", error.text);
    gw_breaker_init(&f->breaker, &f->config, 0);
    f->breaker.changed = note_change;
    f->breaker.context = f;
}

static void end(struct fixture *f)
{
    fl_arena_fini(&f->arena);
}

static uint64_t admit(struct fixture *f, int64_t now_ms)
{
    uint64_t epoch = 0;
    assert_int_equal(gw_breaker_admit(&f->breaker, now_ms, &epoch), GW_ADMITTED);
    return epoch;
}

static void refuse(struct fixture *f, int64_t now_ms, enum gw_admission how)
{
    uint64_t epoch = 4711;
    assert_int_equal(gw_breaker_admit(&f->breaker, now_ms, &epoch), how);
    assert_int_equal(epoch, 4711);
}

static void succeed(struct fixture *f, int64_t now_ms)
{
    gw_breaker_succeeded(&f->breaker, now_ms, admit(f, now_ms));
}

static void fail_once(struct fixture *f, int64_t now_ms)
{
    gw_breaker_failed(&f->breaker, now_ms, admit(f, now_ms));
}

static void assert_state(struct fixture *f, int64_t now_ms, enum gw_breaker_state state)
{
    assert_int_equal(gw_breaker_state(&f->breaker, now_ms), state);
}

static void failures_in_a_row_open_it_and_a_success_closes_it_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "consecutiveFailures >= 2", 1, 0);
    fail_once(&f, 0);
    succeed(&f, 1);
    fail_once(&f, 2);
    assert_state(&f, 2, GW_BREAKER_CLOSED);
    fail_once(&f, 3);
    assert_state(&f, 3, GW_BREAKER_OPEN);
    refuse(&f, 3, GW_REFUSED_OPEN);
    assert_int_equal(gw_breaker_wait_ms(&f.breaker, 503), 500);
    refuse(&f, 1002, GW_REFUSED_OPEN);
    assert_state(&f, 1003, GW_BREAKER_HALF_OPEN);
    assert_int_equal(gw_breaker_wait_ms(&f.breaker, 1003), 0);
    succeed(&f, 1003);
    assert_state(&f, 1003, GW_BREAKER_CLOSED);
    assert_string_equal(f.changes, "closed>open open>half-open half-open>closed ");
    end(&f);
}

static void a_failure_while_half_open_opens_it_for_its_whole_time(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "consecutiveFailures > 0", 1, 0);
    fail_once(&f, 0);
    fail_once(&f, 1700);
    refuse(&f, 2699, GW_REFUSED_OPEN);
    assert_state(&f, 2700, GW_BREAKER_HALF_OPEN);
    /* Whatever the trip says: only while closed is it asked. */
    assert_string_equal(f.changes, "closed>open open>half-open half-open>open open>half-open ");
    end(&f);
}

static void half_open_lets_through_no_more_than_its_requests(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "consecutiveFailures > 0", 2, 0);
    fail_once(&f, 0);
    uint64_t first = admit(&f, 1000), second = admit(&f, 1000);
    refuse(&f, 1000, GW_REFUSED_TOO_MANY);
    assert_true(gw_breaker_wait_ms(&f.breaker, 1000) > 0);
    gw_breaker_succeeded(&f.breaker, 1001, first);
    refuse(&f, 1001, GW_REFUSED_TOO_MANY);
    assert_state(&f, 1001, GW_BREAKER_HALF_OPEN);
    gw_breaker_succeeded(&f.breaker, 1002, second);
    assert_state(&f, 1002, GW_BREAKER_CLOSED);
    admit(&f, 1002);
    end(&f);
}

static void one_failure_among_the_tries_opens_it_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "consecutiveFailures > 0", 3, 0);
    fail_once(&f, 0);
    succeed(&f, 1000);
    succeed(&f, 1001);
    fail_once(&f, 1002);
    assert_state(&f, 1002, GW_BREAKER_OPEN);
    end(&f);
}

static void an_operation_without_a_verdict_leaves_its_place(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "requests >= 2 && consecutiveFailures > 0", 1, 0);
    gw_breaker_withdrew(&f.breaker, 0, admit(&f, 0));
    fail_once(&f, 0);
    assert_state(&f, 0, GW_BREAKER_CLOSED);
    fail_once(&f, 0);
    assert_state(&f, 0, GW_BREAKER_OPEN);
    uint64_t epoch = admit(&f, 1000);
    refuse(&f, 1000, GW_REFUSED_TOO_MANY);
    gw_breaker_withdrew(&f.breaker, 1001, epoch);
    assert_state(&f, 1001, GW_BREAKER_HALF_OPEN);
    admit(&f, 1001);
    end(&f);
}

static void a_verdict_of_an_older_epoch_says_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "consecutiveFailures > 0", 1, 0);
    uint64_t old[] = {admit(&f, 0), admit(&f, 0), admit(&f, 0), admit(&f, 0)};
    gw_breaker_failed(&f.breaker, 0, old[0]);
    assert_state(&f, 0, GW_BREAKER_OPEN);
    gw_breaker_failed(&f.breaker, 999, old[1]);
    assert_state(&f, 1000, GW_BREAKER_HALF_OPEN);
    gw_breaker_succeeded(&f.breaker, 1000, old[2]);
    assert_state(&f, 1000, GW_BREAKER_HALF_OPEN);
    gw_breaker_withdrew(&f.breaker, 1000, old[3]);
    admit(&f, 1000);
    refuse(&f, 1000, GW_REFUSED_TOO_MANY);
    end(&f);
}

static void a_verdict_as_late_as_the_interval_counts_for_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "totalFailures >= 1", 1, 500);
    uint64_t epoch = admit(&f, 499);
    gw_breaker_failed(&f.breaker, 500, epoch);
    assert_state(&f, 500, GW_BREAKER_CLOSED);
    fail_once(&f, 501);
    assert_state(&f, 501, GW_BREAKER_OPEN);
    end(&f);
}

static void counts_begin_anew_each_interval_while_closed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "totalFailures >= 2", 1, 100);
    fail_once(&f, 0);
    fail_once(&f, 100);
    fail_once(&f, 250);
    assert_state(&f, 250, GW_BREAKER_CLOSED);
    fail_once(&f, 349);
    assert_state(&f, 349, GW_BREAKER_OPEN);
    /* The interval is nothing to the time that it stays open. */
    refuse(&f, 1348, GW_REFUSED_OPEN);
    succeed(&f, 1349);
    fail_once(&f, 1448);
    fail_once(&f, 1449);
    assert_state(&f, 1449, GW_BREAKER_CLOSED);
    end(&f);
}

static void without_an_interval_counts_last(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "totalFailures >= 3", 1, 0);
    fail_once(&f, 0);
    succeed(&f, 1000000);
    fail_once(&f, 2000000);
    assert_state(&f, 2000000, GW_BREAKER_CLOSED);
    fail_once(&f, 3000000);
    assert_state(&f, 3000000, GW_BREAKER_OPEN);
    end(&f);
}

static void every_counter_can_trip(void **state)
{
    (void)state;
    /* What each says after: success, success, failure, failure. */
    static const struct {
        const char *trip;
        bool is_met;
    } cases[] = {
        {"requests == 4", true},
        {"totalSuccesses == 2 && requests == 4", true},
        {"totalFailures == 2", true},
        {"consecutiveSuccesses == 0 && requests == 4", true},
        {"consecutiveFailures == 2", true},
        {"totalFailures * 100 / requests >= 50", true},
        {"totalFailures * 100 / requests > 50", false},
        {"requests / (consecutiveFailures - 2) > 0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        begin(&f, cases[i].trip, 1, 0);
        succeed(&f, 0);
        succeed(&f, 0);
        fail_once(&f, 0);
        assert_state(&f, 0, GW_BREAKER_CLOSED);
        fail_once(&f, 0);
        bool is_open = gw_breaker_state(&f.breaker, 0) == GW_BREAKER_OPEN;
        if (is_open != cases[i].is_met)
            fail_msg("%s", cases[i].trip);
        end(&f);
    }
}

static void a_success_never_trips(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "requests > 0", 1, 0);
    succeed(&f, 0);
    assert_state(&f, 0, GW_BREAKER_CLOSED);
    fail_once(&f, 0);
    assert_state(&f, 0, GW_BREAKER_OPEN);
    end(&f);
}

static void counts_begin_anew_with_every_state(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "totalFailures >= 2", 1, 0);
    fail_once(&f, 0);
    fail_once(&f, 0);
    succeed(&f, 1000);
    fail_once(&f, 1001);
    assert_state(&f, 1001, GW_BREAKER_CLOSED);
    assert_int_equal(f.breaker.counts.requests, 1);
    assert_int_equal(f.breaker.counts.total_successes, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it_and_a_success_closes_it_again),
        cmocka_unit_test(a_failure_while_half_open_opens_it_for_its_whole_time),
        cmocka_unit_test(half_open_lets_through_no_more_than_its_requests),
        cmocka_unit_test(one_failure_among_the_tries_opens_it_again),
        cmocka_unit_test(an_operation_without_a_verdict_leaves_its_place),
        cmocka_unit_test(a_verdict_of_an_older_epoch_says_nothing),
        cmocka_unit_test(a_verdict_as_late_as_the_interval_counts_for_nothing),
        cmocka_unit_test(counts_begin_anew_each_interval_while_closed),
        cmocka_unit_test(without_an_interval_counts_last),
        cmocka_unit_test(every_counter_can_trip),
        cmocka_unit_test(a_success_never_trips),
        cmocka_unit_test(counts_begin_anew_with_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
