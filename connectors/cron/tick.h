/* The event of a tick: an empty body, and as metadata the time zone of the process and the time.
 *
 * Thread: the loop's.
 */
#ifndef CN_CRON_TICK_H
#define CN_CRON_TICK_H

#include "cloudevents/event.h"

#define CN_CRON_TIME_TEXT 64

/* A time as Go prints it: `2026-01-02 03:04:05.678 +0000 UTC`, without zeros at the end of the
 * fraction, and without a point where there is none. `wall_ns` is from 1970 on. */
const char *cn_cron_time_text(int64_t wall_ns, char out[CN_CRON_TIME_TEXT]);

/* `time_zone` is copied. The caller has the one reference. FL_ERR_NO_MEMORY. */
enum fl_err cn_cron_tick_new(struct fl_slice time_zone, int64_t wall_ns, struct fl_budget *budget,
                             struct ce_event **event) FL_MUST_USE;

#endif
