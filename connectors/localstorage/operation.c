/* What all operations share: running one, failing one, asking for memory. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "connectors/localstorage/localstorage_priv.h"

enum { MOST_ROUNDS = 8, SHOWN_BYTES = 320 };

bool cn_localstorage_is_interrupted(const struct cn_localstorage_worker *worker)
{
    return worker->session && connector_session_is_interrupted(worker->session);
}

/* One line of at most SHOWN_BYTES, which leaves room for the reason. */
static void show(char *out, struct fl_slice path)
{
    size_t len = 0;
    while (len < path.len && len < SHOWN_BYTES) {
        unsigned char c = (unsigned char)path.data[len];
        out[len++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    /* A character that was cut is left out. */
    while (len > 0 && len < path.len && ((unsigned char)path.data[len] & 0xc0) == 0x80)
        len--;
    out[len] = 0;
    if (len < path.len)
        memcpy(out + len, "...", 4);
}

static enum fl_err code_of(int failure)
{
    switch (failure) {
    case ENOENT:
        return FL_ERR_NOT_FOUND;
    case ENAMETOOLONG:
    case EINVAL:
    case ELOOP:
        return FL_ERR_INVALID;
    default:
        return FL_ERR_SYSTEM;
    }
}

/* Whether the same call may work later. */
static enum fl_error_class class_of(int failure)
{
    switch (failure) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EIO:
    case EINTR:
    case EAGAIN:
        return FL_CLASS_RETRY;
    default:
        return FL_CLASS_REJECT;
    }
}

void cn_localstorage_fail(struct cn_localstorage_job *job, const char *what,
                          const struct fl_buffer *path, const char *reason)
{
    char shown[SHOWN_BYTES + 4];
    show(shown, fl_buffer_slice(path));
    job->has_failed = true;
    fl_error_set(&job->error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s %s%s%s", what, shown,
                 reason[0] ? ": " : "", reason);
}

void cn_localstorage_fail_errno(struct cn_localstorage_job *job, const char *what,
                                const struct fl_buffer *path, int failure)
{
    char reason[96];
    snprintf(reason, sizeof reason, "%s", strerror(failure));
    reason[0] = fl_ascii_lower(reason[0]);
    cn_localstorage_fail(job, what, path, reason);
    job->error.code = code_of(failure);
    job->error.class = class_of(failure);
}

bool cn_localstorage_find(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                          struct cn_localstorage_place *place)
{
    int failure = cn_localstorage_place_find(&worker->root, job->name, place);
    if (!failure)
        return true;
    struct fl_buffer name = {0};
    fl_buffer_append_slice(&name, job->name);
    cn_localstorage_fail_errno(job, "error getting absolute path for file", &name, failure);
    fl_buffer_fini(&name);
    return false;
}

void cn_localstorage_want(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                          size_t bytes, const char *what, const struct fl_buffer *path)
{
    char reason[128];
    if (bytes <= worker->most_answer_bytes && job->rounds < MOST_ROUNDS) {
        job->rounds++;
        job->wanted_bytes = bytes;
        return;
    }
    snprintf(reason, sizeof reason, "more than the %zu bytes that an answer may have",
             worker->most_answer_bytes);
    cn_localstorage_fail(job, what, path,
                         bytes > worker->most_answer_bytes ? reason : "it grows while it is read");
    job->error.code = FL_ERR_TOO_LARGE;
}

void cn_localstorage_run(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job)
{
    job->wanted_bytes = 0;
    if (cn_localstorage_is_interrupted(worker)) {
        job->has_failed = true;
        fl_error_set(&job->error, FL_ERR_CLOSED, FL_CLASS_RETRY,
                     "the component was closed before the operation began");
    } else if (job->deadline_at_ms <= fl_clock_ms()) {
        job->has_failed = true;
        fl_error_set(&job->error, FL_ERR_TIMEOUT, FL_CLASS_RETRY,
                     "the deadline passed before the operation began: the file system is busy");
    } else {
        job->operation(worker, job);
    }
}
