/* The text form of a time zone, as POSIX has it for the variable TZ and as the last line of a zone
 * file: `CET-1CEST,M3.5.0,M10.5.0/3`. It says the offset of standard time and, if there is any, of
 * summer time, and the two days of a year on which they change.
 *
 * The whole text has to be understood. Hours of a change may be -167 to 167 (RFC 8536, 3.3.1). A
 * summer time without its days has no meaning of its own and is refused.
 *
 * Units: seconds; offsets are east of UTC, so Berlin's is 3600.
 * Thread: any.
 */
#ifndef CN_CRON_ZONE_RULE_H
#define CN_CRON_ZONE_RULE_H

#include "base/error.h"
#include "base/slice.h"

enum cn_cron_day_kind {
    CN_CRON_DAY_OF_MONTH, /* Mm.w.d: weekday d of week w of month m, week 5 being the last one */
    CN_CRON_DAY_JULIAN,   /* Jn: 1 to 365, February 29 never counted */
    CN_CRON_DAY_OF_YEAR,  /* n: 0 to 365, February 29 counted */
};

struct cn_cron_change {
    enum cn_cron_day_kind kind;
    int month, week, day;
    int32_t time_s; /* after midnight, in the time that ends then; may be negative */
};

struct cn_cron_rule {
    int32_t standard_s, summer_s;
    bool has_summer;
    struct cn_cron_change to_summer, to_standard;
};

/* FL_ERR_INVALID: the text is no such rule. */
enum fl_err cn_cron_rule_parse(struct fl_slice text, struct cn_cron_rule *rule) FL_MUST_USE;

/* The offset at an instant, and the instant until which it holds: later than `at_s`, INT64_MAX when
 * nothing ever changes. The instant is within ± 10^15. */
int32_t cn_cron_rule_offset(const struct cn_cron_rule *rule, int64_t at_s, int64_t *until_s);

#endif
