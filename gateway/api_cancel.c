/* Taking back a delayed message; see the header. */
#include "gateway/api_cancel.h"

#include "base/alloc.h"
#include "gateway/api_error.h"
#include "gateway/component.h"
#include "gateway/gateway.h"
#include "gateway/invocation.h"
#include "gateway/publish_error.h"
#include "gateway/topic.h"

struct cancel {
    struct gw_invocation invocation;
    struct gw_request *request;
    char *id;
};

/* What is said about a failure: its own code where the publisher can do something about it. */
static struct gw_api_error describe(struct fl_arena *arena, const struct fl_error *failure,
                                    const struct gw_topic *topic, const char *id)
{
    struct fl_slice pubsub = topic->component->name;
    struct gw_api_error error = {
        .status = gw_publish_status(failure->code, failure->class),
        .code = "ERR_PUBSUB_CANCEL_MESSAGE",
        .category = "pubsub",
        .reason = "DAPR_PUBSUB_CANCEL_MESSAGE",
        .resource = pubsub,
        .pairs = {{FL_SLICE_LIT("id"), fl_slice_str(id)}, {FL_SLICE_LIT("topic"), topic->name}},
        .pair_count = 2,
    };
    const char *message = fl_arena_printf(
        arena, "error when taking back message %s of topic %.*s in pubsub %.*s: %s%s", id,
        FL_SLICE_ARG(topic->name), FL_SLICE_ARG(pubsub), failure->text,
        error.status == 504 ? " (it may have been taken back)" : "");
    if (failure->code == FL_ERR_NOT_FOUND) {
        error.status = 404;
        error.code = "ERR_PUBSUB_MESSAGE_NOT_FOUND";
        error.reason = "DAPR_PUBSUB_MESSAGE_NOT_FOUND";
        message =
            fl_arena_printf(arena, "no delayed message %s waits for topic %.*s in pubsub %.*s", id,
                            FL_SLICE_ARG(topic->name), FL_SLICE_ARG(pubsub));
    } else if (failure->code == FL_ERR_UNSUPPORTED) {
        error.status = 400;
        error.code = "ERR_PUBSUB_CANCEL_UNSUPPORTED";
        error.reason = "DAPR_PUBSUB_CANCEL_UNSUPPORTED";
        message =
            fl_arena_printf(arena, "pubsub %.*s does not take messages back", FL_SLICE_ARG(pubsub));
    }
    error.message = fl_slice_str(message);
    error.retry_after_s = error.status == 429 || error.status == 503 ? 1 : 0;
    return error;
}

/* The request is answered and gone. */
static void finish(struct cancel *cancel, const struct fl_error *failure)
{
    struct gw_request *request = cancel->request;
    struct gateway *gateway = request->gateway;
    if (failure) {
        struct fl_arena arena = {0};
        struct gw_api_error error = describe(&arena, failure, request->topic, cancel->id);
        gw_api_fail(gateway, request->exchange, &request->info, &error);
        fl_arena_fini(&arena);
    } else {
        gw_api_respond(gateway, request->exchange, &request->info, 204, NULL, FL_SLICE_NULL,
                       FL_SLICE_NULL);
    }
    gw_request_free(&request);
    fl_free(cancel->id);
    fl_free(cancel);
}

static void on_done(struct gw_invocation *invocation, const struct connector_invoked *answer)
{
    finish(FL_CONTAINER(invocation, struct cancel, invocation), answer->error);
}

void gw_api_cancel(struct gateway *gateway, struct gw_api_hand *hand)
{
    if (!hand->topic->is_allowed) {
        gw_publish_fail_forbidden(gateway, hand);
        return;
    }
    struct cancel *cancel = fl_zalloc(sizeof *cancel);
    cancel->invocation.done = on_done;
    cancel->request = gw_request_new(gateway, hand);
    cancel->id = fl_strdup(hand->key);
    struct gw_topic *topic = cancel->request->topic;
    struct ce_metadata metadata[] = {{FL_SLICE_LIT("topic"), topic->broker_name},
                                     {FL_SLICE_LIT("id"), hand->key}};
    struct connector_call call = {
        .operation = FL_SLICE_LIT("cancel"),
        .metadata = metadata,
        .metadata_count = 2,
        .deadline_at_ms = net_loop_now_ms(gateway->loop) + gateway->flags->publish_timeout_ms,
    };
    struct fl_error error;
    if (gw_component_invoke(topic->component, &cancel->invocation, &call, &error))
        finish(cancel, &error);
}
