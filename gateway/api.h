/* The HTTP API: which request means what, and what every request goes through.
 *
 * In daprd's order: path cleaning, tracing (baggage), metrics, CORS, token, API logging, route. A
 * request is looked at when its head is complete: what can be refused without the body is refused
 * then.
 *
 * Thread: the loop's.
 */
#ifndef GW_API_H
#define GW_API_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/map.h"
#include "cloudevents/event.h"
#include "gateway/publish.h"
#include "gateway/trace.h"
#include "net/http_server.h"

struct gateway;
struct gw_component;
struct gw_request;
struct gw_topic;

enum gw_endpoint {
    GW_ENDPOINT_NONE, /* daprd takes it for a service invocation */
    GW_ENDPOINT_PUBLISH,
    GW_ENDPOINT_BULK_PUBLISH,
    GW_ENDPOINT_CANCEL,
    GW_ENDPOINT_BINDING,
    GW_ENDPOINT_METADATA,
    GW_ENDPOINT_METADATA_SET,
    GW_ENDPOINT_HEALTHZ,
    GW_ENDPOINT_HEALTHZ_OUTBOUND,
    GW_ENDPOINT_SHUTDOWN,
};

/* What an answer needs to know of its request. */
struct gw_call_info {
    struct fl_slice method;
    struct fl_slice path;       /* cleaned, as metrics and logs show it */
    struct fl_slice fields;     /* header lines that every answer to it carries */
    struct fl_slice user_agent; /* kept only while API calls are logged */
    const char *log_name;       /* what the log shows instead of method and path; NULL: nothing */
    int64_t started_ms;
    size_t request_bytes;
    bool is_unlogged;  /* answered before daprd logs API calls */
    bool is_uncounted; /* and before it counts them */
};

/* The header fields of one request that matter here; null where absent. */
struct gw_request_fields {
    struct fl_slice content_type, traceparent, tracestate, token, origin, access_control_method,
        access_control_headers, user_agent, app_id, authorization, force_shutdown;
    bool has_baggage, has_ce_id;
};

/* The request in hand, from the head to the end of the callback. */
struct gw_api_hand {
    struct http_exchange *exchange; /* NULL: none */
    const char *head_at;            /* where the head's bytes stand, into which the slices point */
    enum gw_endpoint endpoint;
    struct gw_call_info info;
    struct gw_request_fields fields;
    struct gw_trace_call trace;
    struct fl_slice query;
    struct gw_topic *topic; /* publish endpoints; held */
    /* Decoded. The key is a cancel's id, a binding's name. */
    struct fl_slice pubsub_name, topic_name, key;
    struct fl_arena arena;
    struct fl_buffer lines; /* what info.fields points to, unless it is the usual line */
};

/* One listening port: the API's, or the public one. */
struct gw_port {
    struct gateway *gateway;
    struct http_server *server;
    bool is_public;
};

struct gw_api {
    struct gw_port main, public;
    struct gw_trace trace;
    struct fl_slice token; /* DAPR_API_TOKEN; empty: none */
    bool logs_calls;
    bool is_publish_allowed, is_alpha_publish_allowed, is_bindings_allowed, is_metadata_allowed,
        is_shutdown_allowed, is_invoke_allowed;
    uint64_t most_body_bytes;
    struct gw_api_hand hand;
    size_t request_count;            /* of gw_request: those under way */
    struct fl_list free_requests;    /* of gw_request */
    struct fl_list waiting_bindings; /* calls between two attempts; api_bindings.c */
    size_t free_request_count;
    struct fl_map extended; /* set by PUT /v1.0/metadata/{key} */
    size_t extended_bytes;
    struct net_timer listen_timer;
    int64_t listen_until_ms;
    struct gw_histogram *request_bytes, *response_bytes;
    struct net_task stop_check;
};

void gw_api_init(struct gateway *gateway);
/* Listens; an address that is taken is tried again for 10 s. `gateway_on_listening` follows,
 * or gateway_fail. */
void gw_api_start(struct gateway *gateway);
void gw_api_stop(struct gateway *gateway);
/* Every request is answered, and nothing is under way for clients that are gone. */
bool gw_api_is_quiet(const struct gateway *gateway);
void gw_api_fini(struct gateway *gateway);

/* Answers the exchange, counts and logs it. `content_type` NULL: no body. `extra` are more header
 * lines, or null. */
void gw_api_respond(struct gateway *gateway, struct http_exchange *exchange,
                    const struct gw_call_info *info, int status, const char *content_type,
                    struct fl_slice body, struct fl_slice extra);

/* 204 to a publish by POST, counted in its topic's series. */
void gw_api_respond_published(struct gateway *gateway, struct gw_request *request);

/* Appends all baggage of the request, its fields joined by commas. */
void gw_api_join_baggage(struct http_exchange *exchange, struct fl_buffer *out);

/* --- a request that is answered later --- */

struct gw_request {
    struct fl_list link;
    struct gateway *gateway;
    struct http_exchange *exchange;
    struct gw_topic *topic; /* held; NULL when there is none */
    struct gw_call_info info;
    bool is_plain_post;    /* POST: the topic's own series count it */
    struct fl_buffer kept; /* what info points to, when it is not static or the topic's */
    struct gw_publish publish;
    struct gw_batch *batch; /* several publishes under one request; NULL: one */
};

/* Made of the request in hand; its topic is taken over. */
struct gw_request *gw_request_new(struct gateway *gateway, struct gw_api_hand *hand);
void gw_request_free(struct gw_request **request);

#endif
