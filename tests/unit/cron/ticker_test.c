/* Ticks by two clocks that the tests move: as they run, late, set forwards, set back.
 */
#include "connectors/cron/ticker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "connectors/cron/zone.h"

#define SECOND_NS INT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)
#define HOUR_NS (3600 * SECOND_NS)

struct fixture {
    struct cn_cron_schedule schedule;
    struct cn_cron_zone *zone;
    struct cn_cron_ticker ticker;
    struct cn_cron_clocks now;
    unsigned ticks;
};

static int64_t instant(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm);
}

static struct fixture start_in(const char *schedule, const char *zone, const char *at)
{
    struct fixture f = {.now = {.mono_ns = 5 * SECOND_NS, .wall_ns = instant(at) * SECOND_NS}};
    struct fl_error error;
    if (zone)
        assert_int_equal(cn_cron_zone_of_rule(fl_slice_str(zone), &f.zone, &error), FL_OK);
    if (cn_cron_schedule_parse(fl_slice_str(schedule), f.zone, &f.schedule, &error) != FL_OK)
        fail_msg("%s: %s", schedule, error.text);
    return f;
}

static void begin(struct fixture *f)
{
    cn_cron_ticker_start(&f->ticker, &f->schedule, f->now);
}

static void end(struct fixture *f)
{
    cn_cron_schedule_fini(&f->schedule);
    cn_cron_zone_free(&f->zone);
}

static void pass(struct fixture *f, int64_t ns)
{
    f->now.mono_ns += ns;
    f->now.wall_ns += ns;
}

static void look(struct fixture *f)
{
    if (!cn_cron_ticker_is_due(&f->ticker, f->now))
        return;
    f->ticks++;
    cn_cron_ticker_count(&f->ticker);
}

/* As the loop does: sleeps as long as it is told and looks, until so much time has passed. Returns
 * the number of looks. */
static unsigned run(struct fixture *f, int64_t for_ns)
{
    unsigned looks = 0;
    for (int64_t until = f->now.mono_ns + for_ns;; looks++) {
        int64_t wait = cn_cron_ticker_wait_ns(&f->ticker, f->now);
        assert_true(wait > 0);
        if (wait > until - f->now.mono_ns) {
            pass(f, until - f->now.mono_ns);
            return looks;
        }
        pass(f, wait);
        look(f);
    }
}

static unsigned ticks_within(struct fixture *f, int64_t for_ns)
{
    unsigned before = f->ticks;
    run(f, for_ns);
    return f->ticks - before;
}

/* --- intervals --- */

static void the_first_tick_of_an_interval_comes_after_one(void **state)
{
    struct fixture f = start_in("@every 10s", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    look(&f);
    assert_int_equal(f.ticks, 0);
    assert_int_equal(ticks_within(&f, 10 * SECOND_NS - 1), 0);
    assert_int_equal(ticks_within(&f, 1), 1);
    assert_int_equal(ticks_within(&f, 60 * SECOND_NS), 6);
    end(&f);
}

static void a_late_tick_does_not_move_those_after_it(void **state)
{
    struct fixture f = start_in("@every 10s", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    pass(&f, 13 * SECOND_NS);
    look(&f);
    assert_int_equal(f.ticks, 1);
    assert_int_equal(cn_cron_ticker_wait_ns(&f.ticker, f.now), 7 * SECOND_NS);
    end(&f);
}

static void intervals_that_were_missed_are_not_made_up_for(void **state)
{
    struct fixture f = start_in("@every 10s", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    pass(&f, 95 * SECOND_NS);
    look(&f);
    look(&f);
    assert_int_equal(f.ticks, 1);
    assert_int_equal(cn_cron_ticker_wait_ns(&f.ticker, f.now), 10 * SECOND_NS);
    end(&f);
}

static void an_interval_does_not_care_about_the_wall_clock(void **state)
{
    struct fixture f = start_in("@every 10s", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    f.now.wall_ns += 24 * HOUR_NS;
    assert_int_equal(ticks_within(&f, 25 * SECOND_NS), 2);
    f.now.wall_ns -= 48 * HOUR_NS;
    assert_int_equal(ticks_within(&f, 25 * SECOND_NS), 3);
    end(&f);
}

static void intervals_may_have_fractions_of_milliseconds(void **state)
{
    struct fixture f = start_in("@every 1500us", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    assert_int_equal(ticks_within(&f, 3 * SECOND_NS), 2000);
    end(&f);
}

static void the_shortest_interval_does_not_spin(void **state)
{
    struct fixture f = start_in("@every 0s", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    assert_int_equal(run(&f, SECOND_NS), 1000);
    assert_int_equal(f.ticks, 1000);
    end(&f);
}

static void the_longest_interval_never_comes(void **state)
{
    struct fixture f = start_in("@every 9223372036854775807ns", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    look(&f);
    assert_int_equal(f.ticks, 0);
    assert_int_equal(cn_cron_ticker_wait_ns(&f.ticker, f.now), INT64_MAX);
    end(&f);
}

static void repetitions_end(void **state)
{
    struct fixture f = start_in("R3/PT10S", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    assert_int_equal(ticks_within(&f, HOUR_NS), 3);
    assert_int_equal(cn_cron_ticker_wait_ns(&f.ticker, f.now), INT64_MAX);
    look(&f);
    assert_int_equal(f.ticks, 3);
    begin(&f);
    assert_int_equal(ticks_within(&f, HOUR_NS), 3);
    end(&f);
}

static void a_repetition_that_nobody_got_does_not_count(void **state)
{
    struct fixture f = start_in("R2/PT10S", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    pass(&f, 10 * SECOND_NS);
    assert_true(cn_cron_ticker_is_due(&f.ticker, f.now));
    assert_int_equal(ticks_within(&f, HOUR_NS), 2);
    end(&f);
}

/* --- fields --- */

static void times_come_when_the_wall_clock_shows_them(void **state)
{
    struct fixture f = start_in("*/5 * * * *", NULL, "2026-06-01 12:04:59");
    (void)state;
    begin(&f);
    pass(&f, SECOND_NS - 1);
    look(&f);
    assert_int_equal(f.ticks, 0);
    pass(&f, 1);
    look(&f);
    look(&f);
    assert_int_equal(f.ticks, 1);
    assert_int_equal(ticks_within(&f, HOUR_NS), 12);
    end(&f);
}

static void the_clock_is_looked_at_every_minute(void **state)
{
    struct fixture f = start_in("@yearly", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    assert_int_equal(run(&f, HOUR_NS), 60);
    assert_int_equal(f.ticks, 0);
    end(&f);
}

static void a_time_that_never_comes_is_searched_for_again(void **state)
{
    struct fixture f = start_in("0 0 29 2 *", NULL, "2096-03-01 00:00:00");
    (void)state;
    begin(&f);
    assert_false(f.ticker.has_due);
    assert_int_equal(run(&f, HOUR_NS), 60);
    f.now.wall_ns = instant("2104-02-28 23:00:00") * SECOND_NS;
    assert_int_equal(ticks_within(&f, 2 * HOUR_NS), 1);
    end(&f);
}

static void a_clock_set_forwards_gives_one_tick(void **state)
{
    struct fixture f = start_in("*/5 * * * *", NULL, "2026-06-01 12:01:00");
    (void)state;
    begin(&f);
    run(&f, 30 * SECOND_NS);
    f.now.wall_ns += 3 * HOUR_NS; /* 15:01:30 */
    assert_int_equal(ticks_within(&f, MINUTE_NS), 1);
    assert_int_equal(ticks_within(&f, 2 * MINUTE_NS + 29 * SECOND_NS), 0);
    assert_int_equal(ticks_within(&f, SECOND_NS), 1); /* 15:05:00 */
    end(&f);
}

static void a_machine_that_slept_gives_one_tick(void **state)
{
    struct fixture f = start_in("0 4 * * *", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    f.now.wall_ns += 72 * HOUR_NS; /* the monotonic clock stands still meanwhile */
    assert_int_equal(ticks_within(&f, MINUTE_NS), 1);
    assert_int_equal(ticks_within(&f, HOUR_NS), 0);
    end(&f);
}

static void a_clock_set_back_a_little_repeats_no_tick(void **state)
{
    struct fixture f = start_in("* * * * *", NULL, "2026-06-01 12:00:30");
    (void)state;
    begin(&f);
    assert_int_equal(ticks_within(&f, 30 * SECOND_NS), 1);
    f.now.wall_ns -= 60 * SECOND_NS; /* 12:00:00 again */
    look(&f);
    assert_int_equal(ticks_within(&f, 2 * MINUTE_NS - 1), 0);
    assert_int_equal(ticks_within(&f, 1), 1); /* 12:02:00 */
    end(&f);
}

static void a_clock_that_is_set_back_again_and_again_gives_no_storm(void **state)
{
    struct fixture f = start_in("* * * * *", NULL, "2026-06-01 11:59:59");
    (void)state;
    begin(&f);
    for (int i = 0; i < 1000; i++) {
        run(&f, SECOND_NS);
        f.now.wall_ns -= SECOND_NS; /* the minute begins every second */
        look(&f);
    }
    assert_int_equal(f.ticks, 1);
    end(&f);
}

static void a_clock_set_back_far_starts_anew(void **state)
{
    struct fixture f = start_in("* * * * *", NULL, "2026-06-01 12:00:30");
    (void)state;
    begin(&f);
    assert_int_equal(ticks_within(&f, 5 * MINUTE_NS), 5);
    f.now.wall_ns -= 3 * HOUR_NS;
    run(&f, MINUTE_NS); /* within which the clock is looked at */
    assert_int_equal(ticks_within(&f, 5 * MINUTE_NS), 5);
    end(&f);
}

static void a_clock_set_back_between_ticks_keeps_the_next_one(void **state)
{
    struct fixture f = start_in("0 4 * * *", NULL, "2026-06-01 12:00:00");
    (void)state;
    begin(&f);
    run(&f, 10 * HOUR_NS);
    f.now.wall_ns -= 5 * HOUR_NS; /* 17:00:00, later than the start */
    assert_int_equal(ticks_within(&f, 11 * HOUR_NS - 1), 0);
    assert_int_equal(ticks_within(&f, 1), 1);
    end(&f);
}

/* A day of one tick a minute, with and without the hour that clocks leave out or repeat. */
static void days_of_23_24_and_25_hours_have_so_many_minutes(void **state)
{
    static const struct {
        const char *from;
        int hours;
    } days[] = {
        {"2026-03-28 23:00:00", 23}, {"2026-06-01 22:00:00", 24}, {"2026-10-24 22:00:00", 25}};
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        struct fixture f = start_in("30 * * * *", "CET-1CEST,M3.5.0,M10.5.0/3", days[i].from);
        begin(&f);
        assert_int_equal(ticks_within(&f, days[i].hours * HOUR_NS), days[i].hours);
        end(&f);
    }
}

static void a_nightly_time_is_left_out_in_spring_and_comes_twice_in_autumn(void **state)
{
    struct fixture f = start_in("30 2 * * *", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-28 23:00:00");
    (void)state;
    begin(&f);
    assert_int_equal(ticks_within(&f, 23 * HOUR_NS), 0);
    assert_int_equal(ticks_within(&f, 24 * HOUR_NS), 1);
    f.now.wall_ns = instant("2026-10-24 22:00:00") * SECOND_NS;
    begin(&f);
    assert_int_equal(ticks_within(&f, 25 * HOUR_NS), 2);
    assert_int_equal(ticks_within(&f, 24 * HOUR_NS), 1);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_tick_of_an_interval_comes_after_one),
        cmocka_unit_test(a_late_tick_does_not_move_those_after_it),
        cmocka_unit_test(intervals_that_were_missed_are_not_made_up_for),
        cmocka_unit_test(an_interval_does_not_care_about_the_wall_clock),
        cmocka_unit_test(intervals_may_have_fractions_of_milliseconds),
        cmocka_unit_test(the_shortest_interval_does_not_spin),
        cmocka_unit_test(the_longest_interval_never_comes),
        cmocka_unit_test(repetitions_end),
        cmocka_unit_test(a_repetition_that_nobody_got_does_not_count),
        cmocka_unit_test(times_come_when_the_wall_clock_shows_them),
        cmocka_unit_test(the_clock_is_looked_at_every_minute),
        cmocka_unit_test(a_time_that_never_comes_is_searched_for_again),
        cmocka_unit_test(a_clock_set_forwards_gives_one_tick),
        cmocka_unit_test(a_machine_that_slept_gives_one_tick),
        cmocka_unit_test(a_clock_set_back_a_little_repeats_no_tick),
        cmocka_unit_test(a_clock_that_is_set_back_again_and_again_gives_no_storm),
        cmocka_unit_test(a_clock_set_back_far_starts_anew),
        cmocka_unit_test(a_clock_set_back_between_ticks_keeps_the_next_one),
        cmocka_unit_test(days_of_23_24_and_25_hours_have_so_many_minutes),
        cmocka_unit_test(a_nightly_time_is_left_out_in_spring_and_comes_twice_in_autumn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
