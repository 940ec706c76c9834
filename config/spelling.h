/* The nearest valid spelling of a wrong name, for error texts.
 *
 * Near means: at most one edit (insert, drop, change, swap of neighbours; case counts as nothing)
 * for every three characters, and at most three. Names longer than 64 bytes are near nothing.
 *
 * Thread: any.
 */
#ifndef FL_CONFIG_SPELLING_H
#define FL_CONFIG_SPELLING_H

#include "base/slice.h"

/* Offer candidates one after the other; `best` is the nearest so far (the first among equals) or
 * the null slice. Candidates are borrowed as long as `best` is looked at. */
struct config_spelling {
    struct fl_slice word;
    struct fl_slice best;
    unsigned best_edits;
};

void config_spelling_init(struct config_spelling *spelling, struct fl_slice word);
void config_spelling_offer(struct config_spelling *spelling, struct fl_slice candidate);

/* NULL when none is near. */
const char *config_spelling_nearest(struct fl_slice word, const char *const *candidates,
                                    size_t count);

#endif
