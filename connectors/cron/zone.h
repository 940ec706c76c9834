/* Time zones: which offset from UTC holds at an instant.
 *
 * A zone is read from the machine's zone files (RFC 8536) by this folder itself: the C library
 * keeps one zone for the whole process, and components have one each. A zone never changes once it
 * is read.
 *
 * NULL is a zone too: UTC, for which no file is needed.
 *
 * Ownership: a zone is its caller's until `cn_cron_zone_free`. Names are borrowed for the call.
 * Units: seconds since 1970; offsets are east of UTC.
 * Thread: any; a zone may be shared.
 */
#ifndef CN_CRON_ZONE_H
#define CN_CRON_ZONE_H

#include "base/error.h"
#include "base/slice.h"

/* Longer names are refused. */
#define CN_CRON_ZONE_NAME_MAX 64
/* Larger files are refused; the largest that exist have some 4 KiB. */
#define CN_CRON_ZONE_FILE_MAX 65536

struct cn_cron_zone;

/* The zone of a name such as `Europe/Berlin`, which is a file's below the folder of zones; `UTC`
 * and the empty name are UTC. A name has letters, digits, `_`, `+`, `-` and single `/` between
 * them, so that no name leads out of that folder. FL_ERR_INVALID: it is no such name, or the file
 * is no zone file; FL_ERR_NOT_FOUND: there is no such file; FL_ERR_SYSTEM: it cannot be read. The
 * text says what was found and what is accepted. */
enum fl_err cn_cron_zone_find(struct fl_slice name, struct cn_cron_zone **zone,
                              struct fl_error *error) FL_MUST_USE;

/* The zone of this process by the environment's TZ, which is NULL when unset: then it is the
 * machine's, /etc/localtime, or UTC when there is none. A TZ may name a zone, a file by its
 * absolute path, or be a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`; a colon before it is ignored,
 * and an empty one is UTC. Fails for any other. */
enum fl_err cn_cron_zone_local(const char *tz, struct cn_cron_zone **zone,
                               struct fl_error *error) FL_MUST_USE;

/* Makes a zone of a rule as POSIX has it (zone_rule.h), or of the bytes of a zone file. Files whose
 * time counts leap seconds are refused. FL_ERR_INVALID with a text. */
enum fl_err cn_cron_zone_of_rule(struct fl_slice text, struct cn_cron_zone **zone,
                                 struct fl_error *error) FL_MUST_USE;
enum fl_err cn_cron_zone_of_file(struct fl_slice bytes, struct cn_cron_zone **zone,
                                 struct fl_error *error) FL_MUST_USE;

/* The offset that holds at an instant (within ± 10^15), and the instant until which it holds: later
 * than `at_s`, INT64_MAX when nothing changes any more. */
int32_t cn_cron_zone_offset(const struct cn_cron_zone *zone, int64_t at_s, int64_t *until_s);

/* Sets the pointer to NULL; NULL inside is accepted. */
void cn_cron_zone_free(struct cn_cron_zone **zone);

#endif
