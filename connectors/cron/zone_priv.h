/* What a zone is made of: shared by the reader of zone files and by the questions asked of a zone.
 *
 * Thread: any.
 */
#ifndef CN_CRON_ZONE_PRIV_H
#define CN_CRON_ZONE_PRIV_H

#include "connectors/cron/zone.h"
#include "connectors/cron/zone_rule.h"

/* From then on this offset holds. */
struct cn_cron_transition {
    int64_t at_s;
    int32_t offset_s;
};

struct cn_cron_zone {
    int32_t first_offset_s;   /* before the first transition */
    bool has_rule;            /* from the last transition on, or always when there is none */
    struct cn_cron_rule rule; /* when `has_rule` */
    size_t count;
    struct cn_cron_transition transitions[]; /* in order of time */
};

#endif
