/* bindings.localstorage: options, calls on the loop, the session's turns, and the end.
 *
 * A call is one job (localstorage_priv.h) that is posted to the session by itself: the mailbox
 * wakes the thread once for as many as come. A job whose deadline has passed is not begun.
 *
 * Jobs that ask for memory stand in a line of their own, behind everybody who stands in that of the
 * byte budget, and its last eighth is never theirs: how long a disk takes for a large file keeps no
 * publish waiting. Nobody tells when the budget has room again, so it is looked at when a job has
 * ended, and every few milliseconds as long as somebody waits.
 *
 * Closing lets the session finish what it was given, and ends it by a last entry in its mailbox.
 * At the deadline the session is interrupted, and what is left is answered here.
 */
#include "connectors/localstorage/localstorage.h"

#include "base/alloc.h"
#include "connectors/localstorage/localstorage_priv.h"

enum { MOST_JOBS = 4096, LOOK_EVERY_MS = 20, KEPT_PART = 8 };

struct settings {
    struct fl_slice root_path;
    bool is_synced;
};

struct cn_localstorage {
    struct connector connector;
    struct cn_localstorage_worker *worker;
    struct net_task announce;
    struct fl_list jobs;    /* not answered yet */
    struct fl_list waiting; /* those of them that wait for memory, in order */
    struct net_timer look_timer;
    size_t job_count, intake_bytes;
    bool is_closing, is_stop_posted;
};

static struct cn_localstorage *front_of(struct connector *connector)
{
    return FL_CONTAINER(connector, struct cn_localstorage, connector);
}

/* --- answers --- */

static void uncharge(struct cn_localstorage *front, struct cn_localstorage_job *job)
{
    size_t bytes = job->charged_bytes;
    front->intake_bytes -= job->intake_bytes;
    job->charged_bytes = job->intake_bytes = 0;
    fl_budget_release(front->connector.host->budget, bytes);
}

static void free_job(struct cn_localstorage_job *job)
{
    fl_buffer_fini(&job->answer);
    fl_free(job);
}

static void answer(struct cn_localstorage *front, struct cn_localstorage_job *job,
                   struct fl_error *error)
{
    struct connector_invoked invoked = {
        .token = job->token,
        .error = error,
        .has_response = !error && job->has_response,
        .data = error ? FL_SLICE_NULL : fl_buffer_slice(&job->answer),
    };
    fl_list_remove(&job->link);
    front->job_count--;
    front->connector.host->callbacks->invoked(&front->connector, &invoked);
    uncharge(front, job);
}

/* After the last answer the thread may go. */
static void stop_when_idle(struct cn_localstorage *front)
{
    if (!front->is_closing || front->is_stop_posted || front->job_count > 0)
        return;
    front->is_stop_posted = true;
    connector_session_post(front->worker->session, &front->worker->stop);
}

/* --- memory --- */

static bool try_take(struct cn_localstorage *front, size_t bytes)
{
    struct fl_budget *budget = front->connector.host->budget;
    return fl_budget_has_room(budget, bytes + budget->total_bytes / KEPT_PART) &&
           fl_budget_try_take(budget, bytes);
}

/* One that is too late needs no memory to be told so. */
static bool try_go_on(struct cn_localstorage *front, struct cn_localstorage_job *job,
                      int64_t now_ms)
{
    bool is_late = job->deadline_at_ms <= now_ms;
    if (!is_late && !try_take(front, job->wanted_bytes))
        return false;
    fl_list_remove(&job->waiting);
    job->charged_bytes = job->allowed_bytes = is_late ? 0 : job->wanted_bytes;
    connector_session_post(front->worker->session, &job->entry);
    return true;
}

static void serve_waiting(struct cn_localstorage *front)
{
    struct net_loop *loop = front->connector.host->loop;
    int64_t now_ms = net_loop_now_ms(loop);
    struct fl_list *first;
    while ((first = fl_list_first(&front->waiting)) &&
           try_go_on(front, FL_LIST_ENTRY(first, struct cn_localstorage_job, waiting), now_ms)) {
    }
    if (first)
        net_timer_start(loop, &front->look_timer, now_ms + LOOK_EVERY_MS);
    else
        net_timer_stop(loop, &front->look_timer);
}

static void on_look(struct net_timer *timer)
{
    serve_waiting(FL_CONTAINER(timer, struct cn_localstorage, look_timer));
}

/* What the job held goes back first, or those who wait could wait for each other. */
static void get_memory(struct cn_localstorage *front, struct cn_localstorage_job *job)
{
    uncharge(front, job);
    fl_list_add_last(&front->waiting, &job->waiting);
    serve_waiting(front);
}

static void on_reply(struct net_post *post)
{
    struct cn_localstorage_job *job = FL_CONTAINER(post, struct cn_localstorage_job, post);
    struct cn_localstorage *front = job->front;
    if (!front) {
        free_job(job);
        return;
    }
    if (job->wanted_bytes) {
        get_memory(front, job);
        return;
    }
    answer(front, job, job->has_failed ? &job->error : NULL);
    free_job(job);
    serve_waiting(front);
    stop_when_idle(front);
}

/* --- calls --- */

static const struct {
    const char *name;
    cn_localstorage_operation_fn *run;
    size_t allowed_bytes;
} known[] = {
    {"create", cn_localstorage_create, 0},
    {"get", cn_localstorage_get, CN_LOCALSTORAGE_ALLOWED_BYTES},
    {"list", cn_localstorage_list, CN_LOCALSTORAGE_ALLOWED_BYTES},
    {"delete", cn_localstorage_delete, 0},
};

static const char *const operations[] = {"create", "get", "list", "delete", NULL};

static struct fl_slice file_name(const struct connector_call *call)
{
    struct fl_slice name = FL_SLICE_NULL;
    for (size_t i = 0; i < call->metadata_count; i++) {
        if (fl_slice_eq_str(call->metadata[i].key, "fileName"))
            name = call->metadata[i].value;
    }
    return name;
}

static struct fl_slice take_text(char **at, struct fl_slice s)
{
    char *to = *at;
    if (s.len)
        memcpy(to, s.data, s.len);
    *at += s.len;
    return fl_slice_of(to, s.len);
}

/* NULL without memory. Only `create` needs its data. */
static struct cn_localstorage_job *new_job(const struct connector_call *call, size_t which)
{
    struct fl_slice name = file_name(call);
    struct fl_slice data = known[which].run == cn_localstorage_create ? call->data : FL_SLICE_NULL;
    struct cn_localstorage_job *job = fl_try_alloc(sizeof *job + name.len + data.len);
    if (!job)
        return NULL;
    *job = (struct cn_localstorage_job){
        .post = {.run = on_reply},
        .token = call->token,
        .operation = known[which].run,
        .deadline_at_ms = call->deadline_at_ms,
        .allowed_bytes = known[which].allowed_bytes,
    };
    char *at = job->text;
    job->name = take_text(&at, name);
    job->data = take_text(&at, data);
    fl_list_init(&job->link);
    fl_list_init(&job->waiting);
    return job;
}

/* A copy of the data, and what is decoded from it. */
static size_t bytes_of(const struct cn_localstorage_job *job)
{
    return sizeof *job + job->name.len + 2 * job->data.len + job->allowed_bytes;
}

static bool find_operation(struct fl_slice name, size_t *which)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!fl_slice_eq_str(name, known[i].name))
            continue;
        *which = i;
        return true;
    }
    return false;
}

static bool is_full(const struct cn_localstorage *front, size_t more_bytes)
{
    size_t most = front->connector.host->budget->total_bytes / 4;
    return front->job_count >= MOST_JOBS ||
           (front->job_count > 0 && front->intake_bytes + more_bytes > most);
}

static enum fl_err invoke(struct connector *connector, const struct connector_call *call,
                          struct fl_error *error)
{
    struct cn_localstorage *front = front_of(connector);
    size_t which;
    if (front->is_closing)
        return fl_error_set(error, FL_ERR_CLOSED, FL_CLASS_FATAL, "the component is closing");
    if (!find_operation(call->operation, &which))
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT, "no such operation");
    struct cn_localstorage_job *job = new_job(call, which);
    if (!job)
        return fl_error_set(error, FL_ERR_NO_MEMORY, FL_CLASS_RETRY, "out of memory");
    if (is_full(front, bytes_of(job))) {
        free_job(job);
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                            "%zu calls are under way, as many as may be", front->job_count);
    }
    job->front = front;
    fl_list_add_last(&front->jobs, &job->link);
    front->job_count++;
    job->charged_bytes = job->intake_bytes = bytes_of(job);
    front->intake_bytes += job->intake_bytes;
    fl_budget_charge(connector->host->budget, job->charged_bytes);
    connector_session_post(front->worker->session, &job->entry);
    return FL_OK;
}

/* --- the session --- */

static void turn(void *owner, struct fl_mailbox_entry *work, struct connector_session_sleep *sleep)
{
    struct cn_localstorage_worker *worker = owner;
    while (work) {
        struct fl_mailbox_entry *next = fl_mailbox_next(work);
        struct cn_localstorage_job *job = FL_CONTAINER(work, struct cn_localstorage_job, entry);
        if (work == &worker->stop) {
            sleep->is_over = true;
        } else {
            cn_localstorage_run(worker, job);
            if (!connector_session_reply(worker->session, &job->post))
                sleep->is_over = true; /* abandoned: nobody is there to free the job */
        }
        work = next;
    }
    sleep->is_over |= connector_session_is_interrupted(worker->session);
}

static void free_worker(struct cn_localstorage_worker *worker)
{
    cn_localstorage_root_close(&worker->root);
    fl_free(worker);
}

/* What the thread never came to, or hangs in. */
static void answer_rest(struct cn_localstorage *front, bool is_abandoned)
{
    struct fl_error error;
    fl_error_set(&error, FL_ERR_CLOSED, FL_CLASS_UNKNOWN,
                 "the component was closed before the operation ended, which may have happened");
    for (struct fl_list *first; (first = fl_list_first(&front->jobs));) {
        struct cn_localstorage_job *job = FL_LIST_ENTRY(first, struct cn_localstorage_job, link);
        answer(front, job, &error);
        if (is_abandoned)
            job->front = NULL;
        else
            free_job(job);
    }
}

static void on_ended(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned)
{
    (void)rest; /* all of them are in the list */
    struct cn_localstorage_worker *worker = owner;
    struct cn_localstorage *front = worker->front;
    front->worker = NULL;
    net_loop_cancel(front->connector.host->loop, &front->announce);
    net_timer_stop(front->connector.host->loop, &front->look_timer);
    answer_rest(front, is_abandoned);
    if (!is_abandoned)
        free_worker(worker);
    front->connector.host->callbacks->closed(&front->connector);
}

static const struct connector_session_type session_type = {
    .name = "localstorage",
    .turn = turn,
    .ended = on_ended,
};

/* --- life --- */

static void announce(struct net_task *task)
{
    struct cn_localstorage *front = FL_CONTAINER(task, struct cn_localstorage, announce);
    front->connector.host->callbacks->state(&front->connector, true, NULL);
}

static enum fl_err open_localstorage(struct connector *connector, struct fl_error *error)
{
    struct cn_localstorage *front = front_of(connector);
    const struct settings *settings = connector->settings;
    struct cn_localstorage_worker *worker = fl_zalloc(sizeof *worker);
    worker->front = front;
    worker->is_synced = settings->is_synced;
    worker->most_listed = CN_LOCALSTORAGE_MOST_LISTED;
    worker->most_answer_bytes = connector->host->budget->total_bytes / 4;
    enum fl_err err = cn_localstorage_root_open(&worker->root, settings->root_path, error);
    if (!err)
        err = connector_session_start(&session_type, connector->host->loop, worker,
                                      &worker->session, error);
    if (err) {
        free_worker(worker);
        return err;
    }
    fl_list_init(&front->jobs);
    fl_list_init(&front->waiting);
    front->look_timer.expired = on_look;
    front->worker = worker;
    front->announce.run = announce;
    net_loop_defer(connector->host->loop, &front->announce);
    return FL_OK;
}

static void close_localstorage(struct connector *connector, int64_t deadline_at_ms)
{
    struct cn_localstorage *front = front_of(connector);
    if (!front->worker)
        return;
    front->is_closing = true;
    stop_when_idle(front);
    connector_session_set_deadline(front->worker->session, deadline_at_ms);
}

static enum fl_err check(const void *settings, struct fl_error *error)
{
    return cn_localstorage_root_check(((const struct settings *)settings)->root_path, error);
}

static const char *const component_types[] = {"bindings.localstorage", NULL};

static const struct config_option component_options[] = {
    {
        .name = "rootPath",
        .type = CONFIG_STRING,
        .is_required = true,
        .help = "The folder that has the files; it is made when it is missing. Not a file, and "
                "not in /proc, /sys, /boot or /var/run/secrets.",
        .offset = offsetof(struct settings, root_path),
    },
    {
        .name = "syncWrites",
        .type = CONFIG_BOOL,
        .default_text = "true",
        .help = "true: an answer to create or delete comes when the disk has it, and a power cut "
                "does not undo it; false: when the operating system has it, which is faster.",
        .offset = offsetof(struct settings, is_synced),
    },
    {.name = NULL},
};

static const struct config_option invoke_options[] = {
    {
        .name = "fileName",
        .type = CONFIG_STRING,
        .help = "The file or folder below rootPath; letters count as they are written. create "
                "without it: a random name, which the answer tells; list without it: everything.",
    },
    {.name = NULL},
};

const struct connector_type cn_localstorage_type = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "Files in one folder of this machine: create, get, list, delete.",
    .operations = operations,
    .state_size = sizeof(struct cn_localstorage),
    .settings_size = sizeof(struct settings),
    .component_options = component_options,
    .invoke_options = invoke_options,
    .check = check,
    .open = open_localstorage,
    .close = close_localstorage,
    .invoke = invoke,
};
