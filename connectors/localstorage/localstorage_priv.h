/* What the loop's side and the session's side of bindings.localstorage share: the job.
 *
 * A job is one call. The loop makes it, posts it to the session, and hears of it by its own post;
 * in between everything but the part "of the loop" belongs to the session. An operation whose
 * answer needs more memory than was allowed says how much (`wanted_bytes`) and is run again from
 * the start when the process's byte budget has granted it: so the session never allocates what
 * nobody counted.
 *
 *   invoke ──► session ──► answered
 *                 ▲  └──► wanted_bytes ──► budget ──┐
 *                 └───────────────────────────────┘
 *
 * Thread: said beside each part.
 */
#ifndef CN_LOCALSTORAGE_PRIV_H
#define CN_LOCALSTORAGE_PRIV_H

#include "base/budget.h"
#include "base/buffer.h"
#include "base/list.h"
#include "connectors/localstorage/root.h"
#include "connectors/session.h"

struct cn_localstorage;
struct connector_session;

enum {
    /* What an answer may take before anybody is asked. */
    CN_LOCALSTORAGE_ALLOWED_BYTES = 16 * 1024,
    CN_LOCALSTORAGE_MOST_LISTED = 100000,
    CN_LOCALSTORAGE_MOST_LIST_BYTES = 32 * 1024 * 1024,
};

/* The session's; the loop touches it only before the thread starts and after it ended. */
struct cn_localstorage_worker {
    struct cn_localstorage *front;
    struct connector_session *session; /* NULL in tests of operations alone */
    struct cn_localstorage_root root;
    bool is_synced;
    size_t most_answer_bytes;
    size_t most_listed;           /* entries that a list may meet */
    struct fl_mailbox_entry stop; /* posted last: the thread ends */
};

struct cn_localstorage_job;
typedef void cn_localstorage_operation_fn(struct cn_localstorage_worker *worker,
                                          struct cn_localstorage_job *job);

struct cn_localstorage_job {
    struct fl_mailbox_entry entry;
    struct net_post post;

    /* Of the loop. */
    struct cn_localstorage *front; /* NULL: the session was abandoned, nobody waits any more */
    struct fl_list link;
    struct fl_list waiting; /* in the line for memory */
    size_t charged_bytes;
    size_t intake_bytes; /* the part of it that came with the call */
    void *token;

    /* Fixed before the first post. */
    cn_localstorage_operation_fn *operation;
    struct fl_slice name, data; /* in `text` */
    int64_t deadline_at_ms;

    /* What the session works with, and its answer. */
    size_t allowed_bytes;
    size_t wanted_bytes; /* not 0: no answer yet */
    unsigned rounds;
    bool has_failed, has_response;
    struct fl_error error;
    struct fl_buffer answer;

    char text[];
};

/* Session. Each answers the job or sets `wanted_bytes`. */
cn_localstorage_operation_fn cn_localstorage_create;
cn_localstorage_operation_fn cn_localstorage_get;
cn_localstorage_operation_fn cn_localstorage_list;
cn_localstorage_operation_fn cn_localstorage_delete;

/* Session. Runs a job's operation, or fails it when it is too late for it. */
void cn_localstorage_run(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job);

/* Session. Somebody wants the thread to end. */
bool cn_localstorage_is_interrupted(const struct cn_localstorage_worker *worker);

/* Session. Asks for memory; fails the job when that is more than an answer may have. `what` names
 * the thing that is too large, with its path, in the error. */
void cn_localstorage_want(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                          size_t bytes, const char *what, const struct fl_buffer *path);

/* Session. Fails the job with "WHAT PATH: reason". The path is shown in one line and cut. */
void cn_localstorage_fail(struct cn_localstorage_job *job, const char *what,
                          const struct fl_buffer *path, const char *reason);
/* The same for an errno. */
void cn_localstorage_fail_errno(struct cn_localstorage_job *job, const char *what,
                                const struct fl_buffer *path, int failure);

/* Session. Finds the place of the job's name; false when that failed the job. */
bool cn_localstorage_find(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job,
                          struct cn_localstorage_place *place);

/* True for the name of a file that `create` has not finished. */
bool cn_localstorage_is_unfinished(const char *name);

#endif
