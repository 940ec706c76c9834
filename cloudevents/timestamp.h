/* RFC 3339 timestamps: read by two rules, written in whole seconds.
 *
 * Seconds and nanoseconds count from 1970 UTC (wall clock).
 *
 * Thread: any; the text of `ce_time_now` belongs to the calling thread.
 */
#ifndef CE_TIMESTAMP_H
#define CE_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Room for the longest formatted time. */
#define CE_TIME_MAX 40

struct ce_timestamp {
    int64_t seconds;
    int32_t nanoseconds; /* 0 to 999,999,999 */
};

/* The grammar of RFC 3339 and its ranges: `t` and `z` in any case, a leap second, real dates only.
 */
bool ce_timestamp_parse(struct fl_slice text, struct ce_timestamp *time);

/* What Go's time.Parse(time.RFC3339) takes: upper case only, no leap second, one-digit hours, a
 * comma before the fraction. */
bool ce_timestamp_parse_go(struct fl_slice text, struct ce_timestamp *time);

/* Nanoseconds since 1970, held at the ends of the 64-bit range. */
int64_t ce_timestamp_ns(struct ce_timestamp time);

/* Now, in the process's time zone, such as 2026-01-01T09:00:00+09:00 or ...Z. Worked out once a
 * second; valid until the calling thread's next call. */
struct fl_slice ce_time_now(void);

/* In UTC, ending in Z. Returns the length; no NUL. Years outside 0 to 9999 are held at the ends. */
size_t ce_time_format_utc(int64_t seconds, char out[CE_TIME_MAX]);

#endif
