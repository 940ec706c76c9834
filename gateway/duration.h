/* Durations as Go prints them: 500ms, 5s, 1m0s, 1h0m0s.
 *
 * Thread: any.
 */
#ifndef GW_DURATION_H
#define GW_DURATION_H

#include <stdint.h>

#include "base/buffer.h"

/* `ms` is not negative. */
void gw_duration_append(struct fl_buffer *out, int64_t ms);

#endif
