/* Peeking: one call of the connector's operation, once its component is connected. */
#include "gateway/cli_peek.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "gateway/cli.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/invocation.h"

enum { CONNECT_MS = 10000, ANSWER_MS = 30000, LOOK_AGAIN_MS = 10 };

struct look {
    const struct config_flags *flags;
    struct gateway *gateway;
    struct gw_component *component;
    struct gw_invocation invocation;
    struct net_timer timer; /* until the component is connected */
    int64_t until_ms;
    struct fl_buffer topic; /* the broker's name of it */
    struct net_task end;
    bool is_answered;
    struct fl_error failure;
};

static void on_invoked(struct gw_invocation *invocation, const struct connector_invoked *answer)
{
    struct look *look = FL_CONTAINER(invocation, struct look, invocation);
    struct fl_slice data = answer->data;
    look->is_answered = !answer->error;
    if (answer->error) {
        look->failure = *answer->error;
    } else {
        gw_cli_write(STDOUT_FILENO, data);
        if (data.len && data.data[data.len - 1] != '\n')
            gw_cli_write(STDOUT_FILENO, FL_SLICE_LIT("\n"));
    }
    net_loop_defer(look->gateway->loop, &look->end);
}

/* Not inside a callback of the connector, which is about to be closed. */
static void on_end(struct net_task *task)
{
    gw_shutdown_begin(FL_CONTAINER(task, struct look, end)->gateway);
}

static void ask(struct look *look)
{
    const struct config_tool_flags *tool = &look->flags->tool;
    struct net_loop *loop = look->gateway->loop;
    char count[24];
    int len = snprintf(count, sizeof count, "%lld", (long long)tool->count);
    struct ce_metadata metadata[] = {{FL_SLICE_LIT("topic"), fl_buffer_slice(&look->topic)},
                                     {FL_SLICE_LIT("count"), fl_slice_of(count, (size_t)len)},
                                     {FL_SLICE_LIT("group"), tool->group}};
    struct connector_call call = {.operation = FL_SLICE_LIT("peek"),
                                  .metadata = metadata,
                                  .metadata_count = tool->group.len ? 3 : 2,
                                  .deadline_at_ms = net_loop_now_ms(loop) + ANSWER_MS};
    struct fl_error error = {0};
    look->invocation.done = on_invoked;
    enum fl_err err = gw_component_invoke(look->component, &look->invocation, &call, &error);
    bool is_early = err == FL_ERR_CLOSED || err == FL_ERR_AGAIN;
    if (is_early && net_loop_now_ms(loop) < look->until_ms) {
        net_timer_start(loop, &look->timer, net_loop_now_ms(loop) + LOOK_AGAIN_MS);
    } else if (err) {
        if (err == FL_ERR_UNSUPPORTED)
            fl_error_set(&error, err, FL_CLASS_REJECT, "%s cannot show its messages",
                         look->component->connector->log_name);
        look->failure = error;
        net_loop_defer(loop, &look->end);
    }
}

static void on_timer(struct net_timer *timer)
{
    ask(FL_CONTAINER(timer, struct look, timer));
}

static void on_open(struct gateway *gateway, void *context)
{
    struct look *look = context;
    const struct config_tool_flags *tool = &look->flags->tool;
    look->gateway = gateway;
    look->timer.expired = on_timer;
    look->until_ms = net_loop_now_ms(gateway->loop) + CONNECT_MS;
    if (gw_cli_choose(gateway, tool->pubsub, &look->component, &look->failure)) {
        net_loop_defer(gateway->loop, &look->end);
        return;
    }
    fl_buffer_append_slice(&look->topic, look->component->topic_prefix);
    fl_buffer_append_slice(&look->topic, tool->topic);
    ask(look);
}

static void on_stopped(struct gateway *gateway, void *context)
{
    struct look *look = context;
    net_timer_stop(gateway->loop, &look->timer);
    net_loop_cancel(gateway->loop, &look->end);
}

int gw_cli_peek(const struct config_flags *flags, const struct config_list *without_effect,
                struct fl_log *log)
{
    struct look look = {.flags = flags, .end.run = on_end};
    struct gateway_use use = {.is_tool = true,
                              .context = &look,
                              .on_open = on_open,
                              .on_stopped = on_stopped,
                              .failure = &look.failure};
    (void)gateway_run(flags, without_effect, &use, log);
    if (!look.is_answered)
        gw_cli_say(CONFIG_PEEK, "%s",
                   look.failure.text[0] ? gw_cli_plain(look.failure.text) : "interrupted");
    fl_buffer_fini(&look.topic);
    return look.is_answered ? 0 : 1;
}
