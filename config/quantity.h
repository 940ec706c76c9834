/* Numbers as people write them in flags and YAML: sizes, durations, truths, integers.
 *
 * Every parser takes the whole text or fails with FL_ERR_INVALID and leaves its result untouched;
 * FL_ERR_TOO_LARGE means well formed but outside int64_t. None trims.
 *
 * Thread: any.
 */
#ifndef FL_CONFIG_QUANTITY_H
#define FL_CONFIG_QUANTITY_H

#include "base/error.h"
#include "base/slice.h"

/* A Kubernetes quantity: `4Mi`, `16M`, `1.5Gi`, `1e3`, `100m`, `0`, `-1`. Fractions of a unit are
 * rounded away from zero, as Kubernetes does. */
enum fl_err config_parse_quantity(struct fl_slice text, int64_t *value) FL_MUST_USE;

/* What an integer without a unit means as a duration. */
enum config_bare { CONFIG_BARE_REFUSED, CONFIG_BARE_MS, CONFIG_BARE_S };

/* A Go duration (`1h30m`, `1.5s`, `-3ms`, `0`) in nanoseconds, or a bare integer in the unit
 * named. */
enum fl_err config_parse_duration(struct fl_slice text, enum config_bare bare,
                                  int64_t *ns) FL_MUST_USE;

/* Nanoseconds to whole milliseconds, away from zero, so that a short wait never becomes none. */
int64_t config_ns_to_ms(int64_t ns);

#define CONFIG_DURATION_TEXT 32
/* Go's form: `1m0s`, `500ms`, `0s`. Always NUL-terminated; returns `out`. */
const char *config_format_duration(int64_t ns, char out[CONFIG_DURATION_TEXT]);

/* Go's ParseBool: 1 t T TRUE true True, 0 f F FALSE false False. */
enum fl_err config_parse_bool(struct fl_slice text, bool *value) FL_MUST_USE;

/* daprd's other reading: y yes true t on 1, in any case and trimmed; everything else is false. */
bool config_is_truthy(struct fl_slice text);

/* Decimal, with an optional sign. */
enum fl_err config_parse_int(struct fl_slice text, int64_t *value) FL_MUST_USE;

/* Go's base 0: also 0x10, 0o17, 017, 0b101, and `_` between digits. */
enum fl_err config_parse_int_any(struct fl_slice text, int64_t *value) FL_MUST_USE;

/* A port, 0 to 65535, decimal. */
enum fl_err config_parse_port(struct fl_slice text, uint16_t *port) FL_MUST_USE;

#endif
