/* Memory: small allocations abort when there is none, payload-sized ones fail politely.
 *
 * A plain name never returns NULL: for objects whose size does not depend on a peer. A `try_` name
 * returns NULL and must be checked: for whatever a peer can make large. Tests make the n-th `try_`
 * allocation fail with `fl_alloc_fail_at`.
 *
 * Thread: any.
 */
#ifndef FL_BASE_ALLOC_H
#define FL_BASE_ALLOC_H

#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

void *fl_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
/* Zeroed. */
void *fl_zalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *fl_realloc(void *old, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
/* A NUL-terminated copy; the caller frees it with `fl_free`. */
char *fl_strdup(struct fl_slice s) __attribute__((malloc, returns_nonnull));

void *fl_try_alloc(size_t size) __attribute__((malloc, alloc_size(1))) FL_MUST_USE;
void *fl_try_realloc(void *old, size_t size) __attribute__((alloc_size(2))) FL_MUST_USE;

/* NULL is accepted. */
void fl_free(void *memory);

/* Frees `*pointer` and sets it to NULL. */
#define FL_FREE(pointer) (fl_free(pointer), (pointer) = NULL)

/* For tests: the `nth` next `try_` allocation of this thread (1 = the next) fails; 0 switches it
 * off. */
void fl_alloc_fail_at(unsigned nth);

#endif
