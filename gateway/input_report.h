/* What is counted and told of the events of input bindings.
 *
 * Thread: the loop's.
 */
#ifndef GW_INPUT_REPORT_H
#define GW_INPUT_REPORT_H

#include "gateway/input_binding.h"

enum { GW_INPUT_FAILURE_BYTES = 384 };

/* One event, as in daprd, however many attempts it took in how many milliseconds. */
void gw_input_count(const struct gw_input *input, bool is_accepted, int64_t elapsed_ms);

/* One call of the application; nothing when there was no answer. */
void gw_input_count_call(const struct gw_input *input, const struct http_result *result,
                         int64_t elapsed_ms);

/* Why a call failed, in daprd's words; with the start of what the application said. */
void gw_input_failure_text(const struct http_result *result, char text[GW_INPUT_FAILURE_BYTES]);

/* Logs that an event failed for good: each at level debug, one a minute as a warning. */
void gw_input_say_failure(struct gw_input *input, const char *why);

#endif
