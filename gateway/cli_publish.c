/* Publishing from the command line.
 *
 * Events are made as the API makes them and go the same way, through the component's line. Lines of
 * the input are published as they come; so that a connector can store many at once, up to
 * MOST_IN_FLIGHT of them wait for their confirmation, and reading stops while they do. The first
 * message that is not stored ends the reading: what came after it is not tried.
 */
#include "gateway/cli_publish.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "cloudevents/dapr_envelope.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/publish_metadata.h"
#include "gateway/cli.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/publish_options.h"
#include "gateway/topic.h"
#include "net/lines.h"

enum { MOST_IN_FLIGHT = 1024, IDS_AT_ONCE = 32 * 1024, READ_BYTES = 64 * 1024 };

struct job {
    const struct config_flags *flags;
    struct gateway *gateway;
    struct gw_topic *topic; /* held */
    struct fl_arena arena;
    struct ce_metadata *metadata;
    size_t metadata_count;
    struct fl_slice data; /* the one message */
    struct net_lines *lines;
    size_t line_number, in_flight, in_flight_bytes, stored;
    struct fl_buffer ids; /* not yet written */
    bool has_ended;       /* all messages were handed over */
    bool is_refused, is_unknown;
    struct net_task end;
    struct fl_error failure; /* of the start */
};

/* A message on its way. */
struct message {
    struct gw_publish publish;
    struct job *job;
    size_t line_number, bytes;
    struct fl_buffer id;
};

/* --- saying ----------------------------------------------------------------------------------- */

static void write_ids(struct job *job)
{
    gw_cli_write(STDOUT_FILENO, fl_buffer_slice(&job->ids));
    fl_buffer_clear(&job->ids);
}

static void say_failure(struct job *job, size_t line_number, bool is_unknown, const char *text)
{
    bool *is_said = is_unknown ? &job->is_unknown : &job->is_refused;
    if (*is_said)
        return;
    *is_said = true;
    const char *what = is_unknown ? "may or may not be stored" : "is not stored";
    if (job->flags->tool.by_line)
        gw_cli_say(CONFIG_PUBLISH, "the message of line %zu %s: %s", line_number, what, text);
    else
        gw_cli_say(CONFIG_PUBLISH, "the message %s: %s", what, text);
}

static bool is_over(const struct job *job)
{
    return job->has_ended || job->is_refused || job->is_unknown;
}

static void check_end(struct job *job)
{
    if (job->in_flight == 0)
        write_ids(job);
    if (job->in_flight == 0 && is_over(job))
        net_loop_defer(job->gateway->loop, &job->end);
}

/* Not inside a callback of the connector, which is about to be closed. */
static void on_end(struct net_task *task)
{
    gw_shutdown_begin(FL_CONTAINER(task, struct job, end)->gateway);
}

/* --- one message ------------------------------------------------------------------------------ */

static bool is_string(struct fl_slice event, const char *name)
{
    return ce_json_type_of(ce_json_find(event, fl_slice_str(name))) == CE_JSON_STRING;
}

/* The content type of data whose publisher named none. */
static struct fl_slice judge(struct fl_slice data)
{
    struct ce_json_scan scan = {0};
    if (ce_json_scan(data, &scan) != FL_OK || (scan.flags & CE_JSON_TRAILING))
        return FL_SLICE_LIT("text/plain");
    if (is_string(scan.value, "specversion") && is_string(scan.value, "id") &&
        is_string(scan.value, "source") && is_string(scan.value, "type"))
        return FL_SLICE_LIT("application/cloudevents+json");
    return FL_SLICE_LIT("application/json");
}

static enum fl_err make_event(struct job *job, struct fl_slice data, struct ce_event **event,
                              struct fl_error *error)
{
    const struct gw_topic *topic = job->topic;
    struct fl_budget *budget = &job->gateway->budget;
    struct fl_slice bad, type = job->flags->tool.content_type;
    bool is_raw;
    if (ce_metadata_raw_payload(job->metadata, job->metadata_count, &is_raw, &bad))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "rawPayload is \"%.*s\"; accepted: true, false", FL_SLICE_ARG(bad));
    if (!fl_budget_has_room(budget, data.len))
        budget = NULL; /* It waits for room before it is sent. */
    if (is_raw)
        return ce_event_new(data, FL_SLICE_NULL, job->metadata, job->metadata_count, budget, event);
    struct ce_dapr_envelope in = {
        .body = data,
        .content_type = type.len ? type : judge(data),
        .app_id = job->flags->app_id,
        .topic = topic->name,
        .pubsubname = topic->component->name,
        .traceparent = FL_SLICE_LIT(""),
        .tracestate = FL_SLICE_LIT(""),
        .keeps_no_expiration = topic->component->connector->traits.ttl,
        .metadata = job->metadata,
        .metadata_count = job->metadata_count,
        .budget = budget,
    };
    ce_publish_metadata_read(job->metadata, job->metadata_count, &in.given);
    enum ce_body_kind kind = ce_body_kind_of(in.content_type, data);
    if (kind == CE_BODY_BATCH)
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT,
                            "batches are published through the API; accepted here: one event a "
                            "message");
    return kind == CE_BODY_EVENT ? ce_dapr_adopt_new(&in, error, event)
                                 : ce_dapr_envelope_new(&in, error, event);
}

static void free_message(struct message *message)
{
    struct job *job = message->job;
    job->in_flight--;
    job->in_flight_bytes -= message->bytes;
    fl_buffer_fini(&message->id);
    fl_free(message);
}

static bool is_full(const struct job *job)
{
    return job->in_flight >= MOST_IN_FLIGHT ||
           job->in_flight_bytes >= (size_t)job->flags->max_memory_bytes / 16;
}

static void on_published(struct gw_publish *publish, const struct gw_publish_result *result)
{
    struct message *message = FL_CONTAINER(publish, struct message, publish);
    struct job *job = message->job;
    bool is_unknown = result->code == FL_ERR_TIMEOUT || result->class == FL_CLASS_UNKNOWN;
    if (result->code) {
        say_failure(job, message->line_number, is_unknown,
                    result->text ? result->text : fl_err_name(result->code));
    } else {
        job->stored++;
        if (!job->flags->tool.is_quiet) {
            fl_buffer_append_slice(&job->ids, fl_buffer_slice(&message->id));
            fl_buffer_append_byte(&job->ids, '\n');
        }
    }
    free_message(message);
    if (job->ids.len >= IDS_AT_ONCE)
        write_ids(job);
    if (job->lines && !is_over(job) && !is_full(job))
        net_lines_resume(job->lines);
    check_end(job);
}

/* The id as a person writes it; "-" for a message that has none, a raw one. */
static void keep_id(struct message *message, const struct ce_event *event)
{
    struct fl_slice id = ce_event_json(event, CE_ID);
    if (id.len == 0 || ce_json_try_decode(id, &message->id) || message->id.len == 0)
        fl_buffer_append_str(&message->id, "-");
}

static void publish(struct job *job, struct fl_slice data)
{
    struct fl_error error = {.text = "out of memory for the message"};
    struct ce_event *event = NULL;
    struct gw_topic *topic = job->topic;
    if (!topic->is_allowed) {
        say_failure(job, job->line_number, false,
                    "the scopes of the component do not allow this application to publish there");
        return;
    }
    if (make_event(job, data, &event, &error)) {
        say_failure(job, job->line_number, false, error.text);
        return;
    }
    struct message *message = fl_zalloc(sizeof *message);
    message->job = job;
    message->line_number = job->line_number;
    message->bytes = data.len;
    message->publish.component = topic->component;
    message->publish.topic = topic->broker_name;
    message->publish.partition_key =
        ce_metadata_find(event->metadata, job->metadata_count, FL_SLICE_LIT("partitionKey"));
    message->publish.done = on_published;
    keep_id(message, event);
    job->in_flight++;
    job->in_flight_bytes += message->bytes;
    if (gw_publish_start(job->gateway, &message->publish, &event)) {
        ce_event_release(&event);
        say_failure(job, job->line_number, false, "the memory bound (--max-memory) is reached");
        free_message(message);
    }
}

/* --- the input -------------------------------------------------------------------------------- */

static size_t most_bytes(const struct config_flags *flags)
{
    int64_t most = flags->max_body_bytes > 0 ? flags->max_body_bytes : flags->max_memory_bytes;
    return (size_t)(most < flags->max_memory_bytes ? most : flags->max_memory_bytes);
}

static void on_line(void *context, struct fl_slice line, bool is_cut)
{
    struct job *job = context;
    if (is_over(job))
        return;
    job->line_number++;
    if (is_cut)
        say_failure(job, job->line_number, false, "it is longer than --max-body-size");
    else if (line.len)
        publish(job, line);
    if (is_full(job) || is_over(job))
        net_lines_pause(job->lines);
    if (is_over(job))
        check_end(job);
}

static void on_lines_end(void *context, const char *reason)
{
    struct job *job = context;
    job->has_ended = true;
    if (reason)
        say_failure(job, job->line_number, false, reason);
    check_end(job);
}

static void read_lines(struct job *job)
{
    struct net_lines_settings settings = {.loop = job->gateway->loop,
                                          .fd = STDIN_FILENO,
                                          .most_bytes = most_bytes(job->flags),
                                          .on_line = on_line,
                                          .on_end = on_lines_end,
                                          .context = job};
    struct fl_error error;
    if (net_lines_new(&settings, &job->lines, &error) == FL_OK)
        return;
    say_failure(job, 0, false, error.text);
    check_end(job);
}

/* All of standard input, before anything runs that would have to wait for it. */
static bool read_data(struct job *job, struct fl_buffer *data)
{
    size_t most = most_bytes(job->flags);
    ssize_t got = 1;
    while (got && data->len <= most) {
        fl_buffer_reserve(data, READ_BYTES);
        got = read(STDIN_FILENO, data->data + data->len, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            say_failure(job, 0, false, strerror(errno));
            return false;
        }
        data->len += (size_t)got;
    }
    job->data = fl_buffer_slice(data);
    return true;
}

/* --- the gateway's stations ------------------------------------------------------------------- */

static void on_open(struct gateway *gateway, void *context)
{
    struct job *job = context;
    const struct config_tool_flags *tool = &job->flags->tool;
    struct gw_component *component;
    struct fl_error error;
    job->gateway = gateway;
    if (gw_cli_choose(gateway, tool->pubsub, &component, &error) ||
        gw_publish_options_check(component, job->metadata, job->metadata_count, &job->arena,
                                 &error)) {
        say_failure(job, 0, false, error.text);
        check_end(job);
        return;
    }
    job->topic = gw_topic_new(gateway, component, tool->topic, FL_SLICE_LIT(""));
    if (tool->by_line) {
        read_lines(job);
        return;
    }
    job->has_ended = true;
    publish(job, job->data);
    check_end(job);
}

static void on_stopped(struct gateway *gateway, void *context)
{
    struct job *job = context;
    net_lines_free(&job->lines);
    net_loop_cancel(gateway->loop, &job->end);
    gw_topic_release(&job->topic);
}

static void take_metadata(struct job *job)
{
    const struct config_pairs *pairs = &job->flags->tool.metadata;
    job->metadata = FL_ARENA_ARRAY(&job->arena, struct ce_metadata, pairs->count + 1);
    for (size_t i = 0; i < pairs->count; i++)
        job->metadata[i] = (struct ce_metadata){pairs->items[i].name, pairs->items[i].value};
    job->metadata_count = pairs->count;
}

static int status_of(struct job *job)
{
    if (job->failure.text[0])
        say_failure(job, 0, false, gw_cli_plain(job->failure.text));
    else if (job->in_flight)
        say_failure(job, job->line_number, true, "interrupted before it was confirmed");
    else if (!is_over(job))
        say_failure(job, job->line_number + 1, false, "interrupted");
    if (job->flags->tool.by_line && (job->is_refused || job->is_unknown))
        gw_cli_say(CONFIG_PUBLISH, "%zu messages are stored", job->stored);
    return job->is_refused ? 1 : job->is_unknown ? 2 : 0;
}

int gw_cli_publish(const struct config_flags *flags, const struct config_list *without_effect,
                   struct fl_log *log)
{
    struct job job = {.flags = flags, .data = flags->tool.data, .end.run = on_end};
    struct fl_buffer data = {0};
    struct gateway_use use = {.is_tool = true,
                              .context = &job,
                              .on_open = on_open,
                              .on_stopped = on_stopped,
                              .failure = &job.failure};
    bool is_read = flags->tool.by_line || !fl_slice_is_null(job.data) || read_data(&job, &data);
    if (is_read && job.data.len > most_bytes(flags)) {
        say_failure(&job, 0, false, "it is larger than --max-body-size");
        is_read = false;
    }
    take_metadata(&job);
    if (is_read)
        (void)gateway_run(flags, without_effect, &use, log);
    int status = status_of(&job);
    fl_buffer_fini(&data);
    fl_buffer_fini(&job.ids);
    fl_arena_fini(&job.arena);
    return status;
}
