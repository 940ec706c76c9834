/* Paths where nothing is served. daprd takes them for service invocations; where those are not
 * allowed, the path may be known by other methods. */
#include "gateway/api_error.h"
#include "gateway/api_invoke.h"
#include "gateway/api_match.h"
#include "gateway/api_priv.h"
#include "gateway/gateway.h"

/* Where nothing falls through to service invocation: 405 when the path is known by another method.
 */
static void respond_not_found(struct gateway *gateway, struct gw_api_hand *hand, bool is_public)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
    struct fl_slice asked = hand->info.method;
    struct fl_buffer allowed = {0};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        hand->info.method = fl_slice_str(methods[i]);
        hand->endpoint = GW_ENDPOINT_NONE;
        gw_api_match(&gateway->api, hand, is_public);
        if (hand->endpoint != GW_ENDPOINT_NONE)
            fl_buffer_printf(&allowed, "Allow: %s\r\n", methods[i]);
    }
    hand->info.method = asked;
    hand->endpoint = GW_ENDPOINT_NONE;
    if (allowed.len)
        gw_api_respond(gateway, hand->exchange, &hand->info, 405, NULL, FL_SLICE_NULL,
                       fl_buffer_slice(&allowed));
    else
        gw_api_respond_text(gateway, hand, 404, "404 page not found\n");
    fl_buffer_fini(&allowed);
}

/* daprd takes the request for a service invocation: without an application's name, or on one that
 * it does not know. */
void gw_api_unknown(struct gateway *gateway, struct gw_api_hand *hand, bool is_public)
{
    if (is_public || !gateway->api.is_invoke_allowed) {
        respond_not_found(gateway, hand, is_public);
        return;
    }
    struct fl_slice app_id = gw_invoke_target(&hand->arena, &hand->fields, hand->info.path);
    bool has_id = !fl_slice_is_null(app_id);
    const char *message =
        has_id ? fl_arena_printf(&hand->arena,
                                 "failed to invoke, id: %.*s, err: couldn't find service: %.*s",
                                 FL_SLICE_ARG(app_id), FL_SLICE_ARG(app_id))
               : "failed getting app id either from the URL path or the header dapr-app-id";
    gw_api_fail_simple(gateway, hand->exchange, &hand->info, has_id ? 500 : 404,
                       "ERR_DIRECT_INVOKE", "service-invocation", message);
}
