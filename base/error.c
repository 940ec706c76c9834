/* Error values; see the header. */
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

enum fl_err fl_error_set(struct fl_error *error, enum fl_err code, enum fl_error_class class,
                         const char *format, ...)
{
    if (error) {
        va_list args;
        error->code = code;
        error->class = class;
        error->retry_after_ms = 0;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return code;
}

const char *fl_err_name(enum fl_err code)
{
    switch (code) {
    case FL_OK:
        return "success";
    case FL_ERR_NO_MEMORY:
        return "out of memory";
    case FL_ERR_INVALID:
        return "invalid";
    case FL_ERR_TOO_LARGE:
        return "too large";
    case FL_ERR_NOT_FOUND:
        return "not found";
    case FL_ERR_EXISTS:
        return "exists already";
    case FL_ERR_AGAIN:
        return "try again";
    case FL_ERR_CLOSED:
        return "closed";
    case FL_ERR_TIMEOUT:
        return "timed out";
    case FL_ERR_REFUSED:
        return "refused";
    case FL_ERR_SYSTEM:
        return "system error";
    case FL_ERR_UNSUPPORTED:
        return "not supported";
    }
    return "unknown error";
}

void fl_assert_failed(const char *claim, const char *file, int line, const char *function)
{
    fprintf(stderr, "fairlead: bug: %s is false at %s:%d (%s)\n", claim, file, line, function);
    abort();
}
