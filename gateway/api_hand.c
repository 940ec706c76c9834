/* The request in hand, and requests that are answered later.
 *
 * There is one hand, because a request is looked at in one go; its slices point into the read
 * buffer and into its own arena. What outlives the call is a gw_request, which copies what its
 * answer needs. For a plain publish that is nothing: its path is its topic's, and its lines are the
 * usual one.
 */
#include "base/alloc.h"
#include "gateway/api_priv.h"
#include "gateway/gateway.h"
#include "gateway/topic.h"

enum { MOST_FREE_REQUESTS = 1024 };

/* Where a field goes, by its name; NULL for one that does not matter here. The length tells most
 * apart. */
static struct fl_slice *field_place(struct fl_slice name, struct gw_request_fields *fields)
{
    struct fl_slice wanted;
    struct fl_slice *place;
    switch (name.len) {
    case 6:
        wanted = FL_SLICE_LIT("origin"), place = &fields->origin;
        break;
    case 10:
        if (fl_ascii_lower(name.data[0]) == 'u')
            wanted = FL_SLICE_LIT("user-agent"), place = &fields->user_agent;
        else
            wanted = FL_SLICE_LIT("tracestate"), place = &fields->tracestate;
        break;
    case 11:
        if (fl_ascii_lower(name.data[0]) == 't')
            wanted = FL_SLICE_LIT("traceparent"), place = &fields->traceparent;
        else
            wanted = FL_SLICE_LIT("dapr-app-id"), place = &fields->app_id;
        break;
    case 12:
        wanted = FL_SLICE_LIT("content-type"), place = &fields->content_type;
        break;
    case 13:
        wanted = FL_SLICE_LIT("authorization"), place = &fields->authorization;
        break;
    case 14:
        wanted = FL_SLICE_LIT("dapr-api-token"), place = &fields->token;
        break;
    case 19:
        wanted = FL_SLICE_LIT("dapr-force-shutdown"), place = &fields->force_shutdown;
        break;
    case 29:
        wanted = FL_SLICE_LIT("access-control-request-method"),
        place = &fields->access_control_method;
        break;
    case 30:
        wanted = FL_SLICE_LIT("access-control-request-headers"),
        place = &fields->access_control_headers;
        break;
    default:
        return NULL;
    }
    return fl_slice_eq_nocase(name, wanted) ? place : NULL;
}

/* The first field of each name counts. */
static void collect_fields(const struct http_head *head, struct gw_request_fields *fields)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct fl_slice name = head->fields[i].name;
        struct fl_slice *place = field_place(name, fields);
        if (place && fl_slice_is_null(*place))
            *place = head->fields[i].value;
        else if (name.len == 5 && fl_slice_eq_nocase(name, FL_SLICE_LIT("ce-id")))
            fields->has_ce_id = true;
        else if (name.len == 7 && fl_slice_eq_nocase(name, FL_SLICE_LIT("baggage")))
            fields->has_baggage = true;
    }
}

void gw_api_hand_begin(struct gateway *gateway, struct http_exchange *exchange)
{
    struct gw_api_hand *hand = &gateway->api.hand;
    const struct http_head *head = http_exchange_head(exchange);
    gw_topic_release(&hand->topic);
    if (hand->arena.blocks)
        fl_arena_fini(&hand->arena);
    fl_buffer_clear(&hand->lines);
    hand->exchange = exchange;
    hand->head_at = head->method.data;
    hand->endpoint = GW_ENDPOINT_NONE;
    hand->pubsub_name = hand->topic_name = hand->key = hand->query = FL_SLICE_NULL;
    hand->fields = (struct gw_request_fields){0};
    hand->trace = (struct gw_trace_call){0};
    hand->info =
        (struct gw_call_info){.method = head->method, .started_ms = net_loop_now_ms(gateway->loop)};
    hand->info.request_bytes = head->content_length > 0 ? (size_t)head->content_length : 0;
    collect_fields(head, &hand->fields);
    if (gateway->api.logs_calls)
        hand->info.user_agent = hand->fields.user_agent;
}

struct gw_request *gw_request_new(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct gw_api *api = &gateway->api;
    struct fl_list *first = fl_list_first(&api->free_requests);
    struct gw_request *request;
    if (first) {
        request = FL_LIST_ENTRY(first, struct gw_request, link);
        fl_list_remove(first);
        api->free_request_count--;
        memset(request, 0, sizeof *request);
    } else {
        request = fl_zalloc(sizeof *request);
    }
    fl_list_init(&request->link);
    api->request_count++;
    request->gateway = gateway;
    request->exchange = hand->exchange;
    request->topic = hand->topic;
    hand->topic = NULL;
    request->info = hand->info;
    request->is_plain_post =
        hand->endpoint == GW_ENDPOINT_PUBLISH && fl_slice_eq_str(hand->info.method, "POST");
    /* The method, path and lines live in the read buffer or the hand: what outlives it is kept. */
    bool keeps_path = !request->topic || !request->is_plain_post;
    bool keeps_lines =
        hand->info.fields.data != gw_api_zero_trace_line.data && hand->info.fields.len;
    request->info.method = request->is_plain_post ? FL_SLICE_LIT("POST") : FL_SLICE_NULL;
    request->info.path = request->is_plain_post ? request->topic->path : FL_SLICE_NULL;
    if (keeps_path || keeps_lines || hand->info.user_agent.len) {
        struct fl_buffer *kept = &request->kept;
        struct fl_slice parts[] = {keeps_lines ? hand->info.fields : FL_SLICE_NULL,
                                   keeps_path ? hand->info.method : FL_SLICE_NULL,
                                   keeps_path ? hand->info.path : FL_SLICE_NULL,
                                   hand->info.user_agent};
        struct fl_slice *targets[] = {&request->info.fields, &request->info.method,
                                      &request->info.path, &request->info.user_agent};
        fl_buffer_reserve(kept, parts[0].len + parts[1].len + parts[2].len + parts[3].len + 1);
        for (size_t i = 0; i < 4; i++) {
            if (parts[i].len == 0)
                continue;
            *targets[i] = fl_slice_of(kept->data + kept->len, parts[i].len);
            fl_buffer_append_slice(kept, parts[i]);
        }
    }
    return request;
}

void gw_request_free(struct gw_request **pointer)
{
    struct gw_request *request = *pointer;
    struct gateway *gateway = request->gateway;
    struct gw_api *api = &gateway->api;
    *pointer = NULL;
    gw_topic_release(&request->topic);
    fl_buffer_fini(&request->kept);
    api->request_count--;
    if (api->free_request_count < MOST_FREE_REQUESTS) {
        api->free_request_count++;
        fl_list_add_first(&api->free_requests, &request->link);
    } else {
        fl_free(request);
    }
    if (gateway->shutdown.phase != GW_RUNNING)
        net_loop_defer(gateway->loop, &api->stop_check);
}
