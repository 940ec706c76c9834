/* When a schedule's next tick is due, told by two clocks that the caller reads.
 *
 * An interval goes by the monotonic clock, which nobody sets: the first tick comes one interval
 * after the start, and a tick that is late does not move those after it. Fields go by the wall
 * clock, which may be set:
 *   forwards           the tick that was passed over comes once, at the next look
 *   back, up to CN_CRON_SET_BACK_S
 *                      times that had their tick have none again
 *   back, further      the schedule starts anew at the new time
 * What was missed is never made up for. A machine that slept is a clock that was set forwards.
 *
 * Ownership: the schedule is borrowed. Units: nanoseconds.
 * Thread: one at a time.
 */
#ifndef CN_CRON_TICKER_H
#define CN_CRON_TICKER_H

#include "connectors/cron/schedule.h"

#define CN_CRON_SET_BACK_S 60
/* The wall clock is looked at this often at least. */
#define CN_CRON_LOOK_NS (INT64_C(60) * 1000000000)

struct cn_cron_clocks {
    int64_t mono_ns, wall_ns;
};

struct cn_cron_ticker {
    const struct cn_cron_schedule *schedule;
    uint64_t given;      /* ticks that count as repetitions */
    int64_t due_mono_ns; /* of an interval */
    bool has_due;        /* of fields; false: no time fits within the years that are searched */
    int64_t due_s;       /* of fields, wall clock */
    int64_t reference_s; /* the instant that `due_s` follows */
};

void cn_cron_ticker_start(struct cn_cron_ticker *ticker, const struct cn_cron_schedule *schedule,
                          struct cn_cron_clocks now);

/* True when a tick is due, which moves on to the next one. */
bool cn_cron_ticker_is_due(struct cn_cron_ticker *ticker, struct cn_cron_clocks now);

/* The tick was given to somebody, so it counts where the schedule has a number of them. */
void cn_cron_ticker_count(struct cn_cron_ticker *ticker);

/* How long to wait before the next look; at least 1, and INT64_MAX when no tick comes any more. */
int64_t cn_cron_ticker_wait_ns(const struct cn_cron_ticker *ticker, struct cn_cron_clocks now);

#endif
