/* Invocations; see the header.
 *
 * What the connector gets as its token is a ticket of ours and not the invocation, because the
 * ticket has to outlive the deadline until the answer comes, if it ever does.
 */
#include "gateway/invocation.h"

#include "base/alloc.h"
#include "config/resolve.h"
#include "gateway/component.h"
#include "gateway/gateway.h"

struct ticket {
    struct fl_list link; /* in its component */
    struct gw_component *component;
    struct gw_invocation *invocation; /* NULL: past its deadline */
    struct net_timer timer;
};

static void free_ticket(struct ticket *ticket)
{
    struct gw_component *component = ticket->component;
    net_timer_stop(component->gateway->loop, &ticket->timer);
    fl_list_remove(&ticket->link);
    component->ticket_count--;
    fl_free(ticket);
}

static void end_with(struct ticket *ticket, enum fl_err code, const char *text)
{
    struct gw_invocation *invocation = ticket->invocation;
    struct fl_error error;
    if (!invocation)
        return;
    ticket->invocation = NULL;
    fl_error_set(&error, code, FL_CLASS_UNKNOWN, "%s", text);
    invocation->done(invocation, &(struct connector_invoked){.error = &error});
}

static void on_deadline(struct net_timer *timer)
{
    end_with(FL_CONTAINER(timer, struct ticket, timer), FL_ERR_TIMEOUT,
             "the component did not answer in time");
}

enum fl_err gw_component_invoke(struct gw_component *component, struct gw_invocation *invocation,
                                const struct connector_call *call, struct fl_error *error)
{
    struct connector *connector = component->connector;
    if (!connector->type->invoke)
        return fl_error_set(error, FL_ERR_UNSUPPORTED, FL_CLASS_REJECT, "%s has no operation %.*s",
                            connector->log_name, FL_SLICE_ARG(call->operation));
    if (!component->is_up)
        return fl_error_set(error, FL_ERR_CLOSED, FL_CLASS_RETRY, "%s",
                            component->last_error.text[0] ? component->last_error.text
                                                          : "the component is not connected");
    if (component->ticket_count >= GW_MOST_INVOCATIONS)
        return fl_error_set(error, FL_ERR_AGAIN, FL_CLASS_RETRY,
                            "too many calls of the component are open");
    struct ticket *ticket = fl_zalloc(sizeof *ticket);
    ticket->component = component;
    ticket->invocation = invocation;
    ticket->timer.expired = on_deadline;
    fl_list_add_last(&component->tickets, &ticket->link);
    component->ticket_count++;
    struct connector_call ours = *call;
    ours.token = ticket;
    enum fl_err err = connector->type->invoke(connector, &ours, error);
    if (err) {
        config_component_hide_secrets(component->config, error->text);
        free_ticket(ticket);
    } else if (call->deadline_at_ms != INT64_MAX) {
        net_timer_start(component->gateway->loop, &ticket->timer, call->deadline_at_ms);
    }
    return err;
}

void gw_invocations_on_answer(struct connector *connector, const struct connector_invoked *answer)
{
    struct ticket *ticket = answer->token;
    struct gw_invocation *invocation = ticket->invocation;
    (void)connector;
    if (invocation && answer->error)
        config_component_hide_secrets(ticket->component->config, answer->error->text);
    free_ticket(ticket);
    if (invocation)
        invocation->done(invocation, answer);
}

void gw_invocations_end(struct gw_component *component)
{
    for (struct fl_list *first; (first = fl_list_first(&component->tickets));) {
        struct ticket *ticket = FL_LIST_ENTRY(first, struct ticket, link);
        end_with(ticket, FL_ERR_CLOSED, "the component was closed");
        free_ticket(ticket);
    }
}

void gw_invocations_free(struct gw_component *component)
{
    for (struct fl_list *first; (first = fl_list_first(&component->tickets));)
        free_ticket(FL_LIST_ENTRY(first, struct ticket, link));
}
