/* One field of a schedule, such as `1-5`, as a set of values. For schedule.c.
 *
 * Thread: any.
 */
#ifndef CN_CRON_FIELDS_H
#define CN_CRON_FIELDS_H

#include "connectors/cron/schedule.h"

/* A list of `*`, `?`, `n`, `a-b`, each of them with or without `/step`; `n/step` goes on to the
 * greatest value. Months and weekdays have names of three letters. `has_star` says that a star
 * without a step (or with 1) is among them. */
enum fl_err cn_cron_field_parse(struct fl_slice text, enum cn_cron_field field, uint64_t *set,
                                bool *has_star, struct fl_error *error) FL_MUST_USE;

#endif
