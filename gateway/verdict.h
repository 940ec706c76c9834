/* What the application's answer to a delivery means (http-api.md §4.3).
 *
 * Thread: any.
 */
#ifndef GW_VERDICT_H
#define GW_VERDICT_H

#include "base/slice.h"

struct http_result;

enum gw_verdict { GW_VERDICT_SUCCESS, GW_VERDICT_RETRY, GW_VERDICT_DROP };

/* Of one event: no answer and error statuses mean retry, 404 means drop, 2xx means what its body
 * says; an empty body or one that says nothing means success. */
enum gw_verdict gw_verdict_of(const struct http_result *result);

/* Of a status word: "" and SUCCESS, RETRY, DROP; anything else means retry. */
enum gw_verdict gw_verdict_of_word(struct fl_slice word);

#endif
