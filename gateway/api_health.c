/* Health: ready or not, for a probe that may name the application it means. */
#include "gateway/api_error.h"
#include "gateway/api_path.h"
#include "gateway/api_priv.h"
#include "gateway/gateway.h"

void gw_api_health(struct gateway *gateway, struct gw_api_hand *hand)
{
    struct fl_slice query = hand->query, app_id = FL_SLICE_NULL;
    if (!gateway->is_ready) {
        gw_api_fail_simple(
            gateway, hand->exchange, &hand->info, 500, "ERR_HEALTH_NOT_READY", "health",
            gateway->shutdown.phase == GW_BLOCKING ? "dapr is not ready: [security-provider]"
                                                   : "dapr is not ready: [runtime]");
        return;
    }
    while (query.len) {
        size_t end = fl_slice_find_byte(query, '&');
        struct fl_slice pair = fl_slice_of(query.data, end);
        end += end < query.len;
        query = fl_slice_of(query.data + end, query.len - end);
        size_t equals = fl_slice_find_byte(pair, '=');
        if (!fl_slice_eq_str(fl_slice_of(pair.data, equals), "appid") || !fl_slice_is_null(app_id))
            continue;
        struct fl_slice value = equals < pair.len
                                    ? fl_slice_of(pair.data + equals + 1, pair.len - equals - 1)
                                    : FL_SLICE_LIT("");
        if (!gw_query_decode(&hand->arena, value, &app_id))
            app_id = FL_SLICE_NULL;
    }
    if (!fl_slice_is_null(app_id) && !fl_slice_eq(app_id, gateway->flags->app_id)) {
        gw_api_fail_simple(gateway, hand->exchange, &hand->info, 500, "ERR_HEALTH_APPID_NOT_MATCH",
                           "health", "dapr app-id does not match");
        return;
    }
    gw_api_respond(gateway, hand->exchange, &hand->info, 204, NULL, FL_SLICE_NULL, FL_SLICE_NULL);
}

void gw_api_outbound_health(struct gateway *gateway, struct gw_api_hand *hand)
{
    if (gateway->is_outbound_ready)
        gw_api_respond(gateway, hand->exchange, &hand->info, 204, NULL, FL_SLICE_NULL,
                       FL_SLICE_NULL);
    else
        gw_api_fail_simple(gateway, hand->exchange, &hand->info, 500,
                           "ERR_OUTBOUND_HEALTH_NOT_READY", "health", "dapr outbound is not ready");
}
