/* Repeating intervals of ISO 8601: `PT1M30S`, `P1W`, `P1DT12H`, `R5/PT10S`, `R/PT1M`. For
 * schedule.c.
 *
 * A week is seven days and a day 24 hours. Years and months have no length of their own and are
 * refused; so are intervals that begin or end at a date. Seconds may have a fraction.
 *
 * Thread: any.
 */
#ifndef CN_CRON_INTERVAL_H
#define CN_CRON_INTERVAL_H

#include "base/error.h"
#include "base/slice.h"

/* `repetitions` is 0 where there is no end: without `R`, with `R/` and with `R-1/`. */
enum fl_err cn_cron_interval_parse(struct fl_slice text, int64_t *interval_ns,
                                   uint64_t *repetitions, struct fl_error *error) FL_MUST_USE;

#endif
