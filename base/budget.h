/* The process's byte budget (`--max-memory`): who holds how much, and a line of those who wait for
 * room.
 *
 * One budget is shared by request bodies being read, publishes waiting for their confirmation, and
 * deliveries not yet settled. Whoever wants bytes either gets them at once or stands in line; the
 * line is served strictly in order, so a large wish is not starved by small ones.
 * `fl_budget_charge` takes bytes without asking (a copy that lives for one call, a dead-letter copy
 * that must not deadlock); it may overshoot, which the next wishes pay for.
 *
 * A small part of the total (1/16) is kept for the line itself: what waits may hold bytes too.
 *
 * Thread: the loop's.
 */
#ifndef FL_BASE_BUDGET_H
#define FL_BASE_BUDGET_H

#include "base/list.h"
#include "base/slice.h"

struct fl_budget {
    size_t total_bytes;   /* at which wishes wait */
    size_t used_bytes;    /* granted and charged */
    size_t waiting_bytes; /* held by those in line, see fl_budget_hold_waiting */
    size_t peak_bytes;
    struct fl_list line; /* of fl_budget_wish */
    bool is_serving;
};

struct fl_budget_wish;
/* The wish was granted: `bytes` are charged and the wish has left the line. Called from inside a
 * release. */
typedef void fl_budget_granted_fn(struct fl_budget_wish *wish);

struct fl_budget_wish {
    struct fl_list link;
    size_t bytes;
    fl_budget_granted_fn *granted;
};

void fl_budget_init(struct fl_budget *budget, size_t total_bytes);

/* True when `bytes` would be granted now; whoever charges in the same breath needs no wish. */
bool fl_budget_has_room(const struct fl_budget *budget, size_t bytes);

/* True: granted now. False: nothing was taken; there is no room, or others were here first. */
bool fl_budget_try_take(struct fl_budget *budget, size_t bytes) __attribute__((warn_unused_result));

/* Joins the line. `wish->bytes` and `wish->granted` are set by the caller; the wish is borrowed
 * until it was granted or left. A wish larger than the whole budget is granted when nothing else is
 * held. */
void fl_budget_wait(struct fl_budget *budget, struct fl_budget_wish *wish);

/* Leaves the line; harmless for a wish that is not in it, if its link was initialised. */
void fl_budget_leave(struct fl_budget *budget, struct fl_budget_wish *wish);

/* Takes without asking. */
static inline void fl_budget_charge(struct fl_budget *budget, size_t bytes)
{
    budget->used_bytes += bytes;
    if (budget->used_bytes > budget->peak_bytes)
        budget->peak_bytes = budget->used_bytes;
}

/* Gives back and serves the line. */
void fl_budget_release(struct fl_budget *budget, size_t bytes);

/* Bytes held by one who waits in line; false when the line's part is full. */
bool fl_budget_hold_waiting(struct fl_budget *budget, size_t bytes)
    __attribute__((warn_unused_result));
void fl_budget_release_waiting(struct fl_budget *budget, size_t bytes);

#endif
