/* What went wrong, and what the caller should do about it.
 *
 * Functions that can fail return `enum fl_err`; 0 is success, and the result must be used. Results
 * leave by out-parameter and are untouched on failure. At a boundary (a connector call, a
 * configuration document, an HTTP exchange) the caller also passes a `struct fl_error`, which is
 * filled at the point of failure, where the names and values are known. Whoever handles an error
 * logs it; whoever passes it on does not.
 *
 * Thread: any; the struct belongs to its caller.
 */
#ifndef FL_BASE_ERROR_H
#define FL_BASE_ERROR_H

#include <stdarg.h>
#include <stdint.h>

#define FL_MUST_USE __attribute__((warn_unused_result))
#define FL_PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

enum fl_err {
    FL_OK = 0,
    FL_ERR_NO_MEMORY, /* a payload-sized allocation failed, or the byte budget is spent */
    FL_ERR_INVALID,   /* the input breaks a rule of its format */
    FL_ERR_TOO_LARGE, /* a bound that is ours was passed */
    FL_ERR_NOT_FOUND, /* the thing named does not exist */
    FL_ERR_EXISTS,    /* the thing named exists already */
    FL_ERR_AGAIN,     /* not now; try after the event that the function's comment names */
    FL_ERR_CLOSED,    /* the peer or the object is closing or gone */
    FL_ERR_TIMEOUT,   /* the deadline passed; what happened at the peer is unknown */
    FL_ERR_REFUSED,   /* the peer answered no */
    FL_ERR_SYSTEM,    /* a system call failed; the text has its errno */
    FL_ERR_UNSUPPORTED,
};

/* What the caller should do: the answer is decided where the knowledge is. */
enum fl_error_class {
    FL_CLASS_RETRY,   /* the same again, later, may work */
    FL_CLASS_REJECT,  /* this input will never work; others may */
    FL_CLASS_FATAL,   /* nothing through this object will work any more */
    FL_CLASS_UNKNOWN, /* it may have happened */
};

struct fl_error {
    enum fl_err code;
    enum fl_error_class class;
    int64_t retry_after_ms; /* 0: no advice */
    char text[512];         /* one line, UTF-8, without a trailing newline or full stop */
};

/* Fills `error` (ignored when NULL), cutting the text at the end of the buffer, and returns `code`.
 */
enum fl_err fl_error_set(struct fl_error *error, enum fl_err code, enum fl_error_class class,
                         const char *format, ...) FL_PRINTF(4, 5);

/* A short constant name such as "too large". Never NULL. */
const char *fl_err_name(enum fl_err code);

/* A bug in Fairlead: prints where, and aborts, in release builds too. Input must never reach it. */
#define FL_ASSERT(claim)                                                                           \
    ((claim) ? (void)0 : fl_assert_failed(#claim, __FILE__, __LINE__, __func__))

_Noreturn void fl_assert_failed(const char *claim, const char *file, int line,
                                const char *function);

#endif
