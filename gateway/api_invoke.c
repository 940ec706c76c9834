/* The three places in daprd's order. An empty name is none. */
#include "gateway/api_invoke.h"

#include "cloudevents/json_write.h"
#include "gateway/api_path.h"

static struct fl_slice by_credentials(struct fl_arena *arena, struct fl_slice authorization)
{
    static const struct fl_slice scheme = FL_SLICE_LIT("Basic "),
                                 user = FL_SLICE_LIT("dapr-app-id:");
    struct fl_buffer decoded = {0};
    struct fl_slice app_id = FL_SLICE_NULL;
    if (!fl_slice_starts_with(authorization, scheme))
        return app_id;
    struct fl_slice text =
        fl_slice_of(authorization.data + scheme.len, authorization.len - scheme.len);
    if (ce_base64_try_decode(text, true, &decoded, NULL) == FL_OK &&
        fl_slice_starts_with(fl_buffer_slice(&decoded), user)) {
        struct fl_slice rest = fl_slice_of(decoded.data + user.len, decoded.len - user.len);
        if (fl_slice_find_byte(rest, ':') == rest.len)
            app_id = fl_arena_copy(arena, rest);
    }
    fl_buffer_fini(&decoded);
    return app_id;
}

static struct fl_slice by_path(struct fl_arena *arena, struct fl_slice path)
{
    static const struct fl_slice prefix = FL_SLICE_LIT("/v1.0/invoke/"),
                                 method = FL_SLICE_LIT("/method/");
    struct fl_slice app_id;
    if (!fl_slice_starts_with(path, prefix))
        return FL_SLICE_NULL;
    path = fl_slice_of(path.data + prefix.len, path.len - prefix.len);
    const char *end = path.len ? memmem(path.data, path.len, method.data, method.len) : NULL;
    if (!end || !gw_query_decode(arena, fl_slice_of(path.data, (size_t)(end - path.data)), &app_id))
        return FL_SLICE_NULL;
    return app_id;
}

struct fl_slice gw_invoke_target(struct fl_arena *arena, const struct gw_request_fields *fields,
                                 struct fl_slice path)
{
    struct fl_slice app_id = fields->app_id;
    if (app_id.len == 0)
        app_id = by_credentials(arena, fields->authorization);
    if (app_id.len == 0)
        app_id = by_path(arena, path);
    return app_id.len ? app_id : FL_SLICE_NULL;
}
