/* The due time of fields is the first one after a reference, which is the start or the moment of
 * the last tick. Since no tick lies between the two, the due time stays right wherever between them
 * the clock is set to, and only one that was set to before the reference has to be noticed.
 */
#include "connectors/cron/ticker.h"

#define SECOND_NS INT64_C(1000000000)

static int64_t wall_s(struct cn_cron_clocks now)
{
    return now.wall_ns / SECOND_NS - (now.wall_ns % SECOND_NS < 0);
}

static void find_due(struct cn_cron_ticker *ticker, int64_t reference_s)
{
    ticker->reference_s = reference_s;
    ticker->has_due = cn_cron_schedule_next(ticker->schedule, reference_s, &ticker->due_s) == FL_OK;
}

static int64_t add_interval(int64_t ns, int64_t interval_ns)
{
    int64_t sum;
    return __builtin_add_overflow(ns, interval_ns, &sum) ? INT64_MAX : sum;
}

void cn_cron_ticker_start(struct cn_cron_ticker *ticker, const struct cn_cron_schedule *schedule,
                          struct cn_cron_clocks now)
{
    *ticker = (struct cn_cron_ticker){.schedule = schedule};
    if (schedule->interval_ns)
        ticker->due_mono_ns = add_interval(now.mono_ns, schedule->interval_ns);
    else
        find_due(ticker, wall_s(now));
}

static bool is_over(const struct cn_cron_ticker *ticker)
{
    return ticker->schedule->repetitions && ticker->given >= ticker->schedule->repetitions;
}

static bool is_interval_due(struct cn_cron_ticker *ticker, int64_t mono_ns)
{
    int64_t interval_ns = ticker->schedule->interval_ns;
    if (mono_ns < ticker->due_mono_ns || is_over(ticker))
        return false;
    ticker->due_mono_ns = add_interval(ticker->due_mono_ns, interval_ns);
    if (ticker->due_mono_ns <= mono_ns)
        ticker->due_mono_ns = add_interval(mono_ns, interval_ns);
    return true;
}

static bool is_time_due(struct cn_cron_ticker *ticker, int64_t now_s)
{
    bool is_due = ticker->has_due && now_s >= ticker->due_s;
    if (is_due || !ticker->has_due || now_s < ticker->reference_s - CN_CRON_SET_BACK_S)
        find_due(ticker, now_s);
    return is_due;
}

bool cn_cron_ticker_is_due(struct cn_cron_ticker *ticker, struct cn_cron_clocks now)
{
    return ticker->schedule->interval_ns ? is_interval_due(ticker, now.mono_ns)
                                         : is_time_due(ticker, wall_s(now));
}

void cn_cron_ticker_count(struct cn_cron_ticker *ticker)
{
    ticker->given++;
}

int64_t cn_cron_ticker_wait_ns(const struct cn_cron_ticker *ticker, struct cn_cron_clocks now)
{
    int64_t wait_ns;
    if (ticker->schedule->interval_ns) {
        if (is_over(ticker) || ticker->due_mono_ns == INT64_MAX)
            return INT64_MAX;
        wait_ns = ticker->due_mono_ns - now.mono_ns;
    } else {
        int64_t rest_s = ticker->due_s - wall_s(now);
        wait_ns = !ticker->has_due || rest_s > CN_CRON_LOOK_NS / SECOND_NS
                      ? CN_CRON_LOOK_NS
                      : ticker->due_s * SECOND_NS - now.wall_ns;
    }
    return wait_ns > 0 ? wait_ns : 1;
}
