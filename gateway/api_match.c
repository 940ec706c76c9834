/* Which endpoint a cleaned path means; see the header. */
#include "gateway/api_match.h"

#include "gateway/api_path.h"

static struct fl_slice take_segment(struct fl_slice *rest)
{
    /* `rest` begins with '/' or is empty. */
    if (rest->len == 0)
        return FL_SLICE_NULL;
    struct fl_slice text = fl_slice_of(rest->data + 1, rest->len - 1);
    size_t end = fl_slice_find_byte(text, '/');
    *rest = fl_slice_of(text.data + end, text.len - end);
    return fl_slice_of(text.data, end);
}

bool gw_api_is_post_or_put(struct fl_slice method)
{
    return fl_slice_eq_str(method, "POST") || fl_slice_eq_str(method, "PUT");
}

static bool match_publish(struct gw_api_hand *hand, struct fl_slice rest, bool is_alpha)
{
    struct fl_slice first = take_segment(&rest);
    bool is_bulk = fl_slice_eq_str(first, "bulk");
    struct fl_slice after = rest;
    struct fl_slice second = take_segment(&after);
    struct fl_slice pubsub = first, topic = rest;
    if (is_bulk && after.len > 1) {
        pubsub = second;
        topic = after;
    } else if (is_alpha) {
        return false;
    } else {
        is_bulk = false;
    }
    if (topic.len < 2)
        return false;
    topic = fl_slice_of(topic.data + 1, topic.len - 1);
    hand->endpoint = is_bulk ? GW_ENDPOINT_BULK_PUBLISH : GW_ENDPOINT_PUBLISH;
    return gw_query_decode(&hand->arena, pubsub, &hand->pubsub_name) &&
           gw_query_decode(&hand->arena, topic, &hand->topic_name);
}

size_t gw_api_last_slash(struct fl_slice path)
{
    size_t at = path.len;
    while (path.data[--at] != '/')
        ;
    return at;
}

static bool match_cancel(struct gw_api_hand *hand, struct fl_slice rest)
{
    struct fl_slice pubsub = take_segment(&rest);
    if (rest.len == 0 || gw_api_last_slash(rest) == 0)
        return false;
    size_t end = gw_api_last_slash(rest);
    struct fl_slice topic = fl_slice_of(rest.data + 1, end - 1);
    struct fl_slice id = fl_slice_of(rest.data + end + 1, rest.len - end - 1);
    hand->endpoint = GW_ENDPOINT_CANCEL;
    return gw_query_decode(&hand->arena, pubsub, &hand->pubsub_name) &&
           gw_query_decode(&hand->arena, topic, &hand->topic_name) &&
           gw_path_decode(&hand->arena, id, &hand->key);
}

static void match_binding(struct gw_api_hand *hand, struct fl_slice rest)
{
    struct fl_slice name = take_segment(&rest);
    if (rest.len == 0 && name.len && gw_query_decode(&hand->arena, name, &hand->key))
        hand->endpoint = GW_ENDPOINT_BINDING;
}

void gw_api_match(const struct gw_api *api, struct gw_api_hand *hand, bool is_public)
{
    struct fl_slice rest = hand->info.path, method = hand->info.method;
    struct fl_slice version = take_segment(&rest);
    bool is_alpha = fl_slice_eq_str(version, "v1.0-alpha1");
    if (!is_alpha && !fl_slice_eq_str(version, "v1.0"))
        return;
    struct fl_slice group = take_segment(&rest);
    bool is_get = fl_slice_eq_str(method, "GET");
    if (fl_slice_eq_str(group, "publish") && !is_public) {
        if (!(is_alpha ? api->is_alpha_publish_allowed : api->is_publish_allowed))
            return;
        if (gw_api_is_post_or_put(method))
            match_publish(hand, rest, is_alpha);
        else if (fl_slice_eq_str(method, "DELETE") && !is_alpha)
            match_cancel(hand, rest);
    } else if (is_alpha) {
        return;
    } else if (fl_slice_eq_str(group, "bindings") && !is_public) {
        if (api->is_bindings_allowed && gw_api_is_post_or_put(method))
            match_binding(hand, rest);
    } else if (fl_slice_eq_str(group, "healthz")) {
        if (is_get && rest.len == 0)
            hand->endpoint = GW_ENDPOINT_HEALTHZ;
        else if (is_get && fl_slice_eq_str(rest, "/outbound"))
            hand->endpoint = GW_ENDPOINT_HEALTHZ_OUTBOUND;
    } else if (fl_slice_eq_str(group, "metadata") && (api->is_metadata_allowed || is_public)) {
        struct fl_slice name = take_segment(&rest);
        if (is_get && name.len == 0)
            hand->endpoint = GW_ENDPOINT_METADATA;
        else if (fl_slice_eq_str(method, "PUT") && name.len && rest.len == 0 &&
                 gw_query_decode(&hand->arena, name, &hand->key))
            hand->endpoint = GW_ENDPOINT_METADATA_SET;
    } else if (fl_slice_eq_str(group, "shutdown") && rest.len == 0 && !is_public) {
        if (api->is_shutdown_allowed && fl_slice_eq_str(method, "POST"))
            hand->endpoint = GW_ENDPOINT_SHUTDOWN;
    }
}
