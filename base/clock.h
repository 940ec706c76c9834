/* Time. Time-outs use the monotonic clock; only what a person or a peer reads uses the wall clock.
 *
 * Thread: any, save `fl_clock_fake_*`, which tests call before they start threads.
 */
#ifndef FL_BASE_CLOCK_H
#define FL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t fl_clock_ms(void);
/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t fl_clock_ns(void);
/* Nanoseconds since 1970, wall clock. */
int64_t fl_clock_wall_ns(void);
/* Seconds since 1970, wall clock. */
int64_t fl_clock_wall_s(void);

/* For tests: from now on both clocks start at `wall_ns` and move only by `fl_clock_fake_advance`.
 */
void fl_clock_fake(int64_t wall_ns);
void fl_clock_fake_advance(int64_t ms);
void fl_clock_real(void);

#endif
