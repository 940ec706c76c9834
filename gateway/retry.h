/* When a failed delivery is tried again.
 *
 * A resiliency policy decides about the tries it names; when it is spent, or there is none, the
 * house's back-off applies for ever: 1 s × 2ⁿ, at most 60 s, ± 20 %.
 *
 * Thread: any.
 */
#ifndef GW_RETRY_H
#define GW_RETRY_H

#include <stdint.h>

#include "config/resiliency.h"

/* The wait before the next try under `retry`, in milliseconds and at least one, or -1 when the
 * policy is spent.
 * `failures`: tries that failed so far (1 = the first); `elapsed_ms`: since the first try;
 * `http_status`: of the failed try, 0 = it has none. */
int64_t gw_retry_policy_wait_ms(const struct config_retry *retry, uint32_t failures,
                                int64_t elapsed_ms, int http_status);

/* The house's back-off after `failures` failed offers (1 = the first). */
int64_t gw_retry_backoff_ms(uint32_t failures);

#endif
