/* SIGUSR1: the state of everything, written to the log.
 *
 * One line for the process, one for each component, subscription, input binding and circuit
 * breaker; of each kind at most GW_DUMP_LINES, those in trouble first, and then how many more there
 * are. The lines are written whatever the log's level is: somebody asked. They hold no payloads and
 * no secrets.
 *
 * Thread: the loop's.
 */
#ifndef GW_STATE_DUMP_H
#define GW_STATE_DUMP_H

#include "base/error.h"

struct gateway;

enum { GW_DUMP_LINES = 100 };

/* Watches the signal from now on. */
enum fl_err gw_state_dump_init(struct gateway *gateway) FL_MUST_USE;

/* Writes all of it now. */
void gw_state_dump(struct gateway *gateway);

#endif
