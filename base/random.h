/* Random bytes from the kernel, drawn through a 4 KiB pool per thread, and UUIDs made of them.
 *
 * The pool is emptied in a child after fork, so two processes never share an id.
 *
 * Thread: any.
 */
#ifndef FL_BASE_RANDOM_H
#define FL_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Aborts when the kernel has no randomness to give, which Linux does not do after boot. */
void fl_random_bytes(void *out, size_t len);

/* Uniform in [0, bound); `bound` > 0. */
uint64_t fl_random_below(uint64_t bound);

/* Uniform in [0, 1). */
double fl_random_unit(void);

/* Writes 36 characters, RFC 9562 version 4, lower case, and no NUL. */
void fl_random_uuid(char out[36]);

/* Two words that stay the same for the life of the process: the seed of hash tables. */
const uint64_t *fl_random_process_seed(void);

#endif
