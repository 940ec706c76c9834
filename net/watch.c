/* Folders watched by libuv's fs events, which are inotify on Linux. The handle's memory goes when
 * libuv has closed it, at the end of a turn. */
#include "net/watch.h"

#include "base/alloc.h"
#include "net/loop_priv.h"

struct net_watch {
    uv_fs_event_t handle;
    net_watch_fn *on_change;
    void *context;
};

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct net_watch *watch = handle->data;
    (void)events;
    if (status == 0)
        watch->on_change(watch->context, name);
}

static void on_closed(uv_handle_t *handle)
{
    fl_free(handle->data);
}

enum fl_err net_watch_start(struct net_loop *loop, const char *folder, net_watch_fn *on_change,
                            void *context, struct net_watch **watch, struct fl_error *error)
{
    struct net_watch *made = fl_zalloc(sizeof *made);
    made->on_change = on_change;
    made->context = context;
    int failed = uv_fs_event_init(net_loop_uv(loop), &made->handle);
    made->handle.data = made;
    if (failed) {
        fl_free(made);
    } else if ((failed = uv_fs_event_start(&made->handle, on_event, folder, 0))) {
        uv_close((uv_handle_t *)&made->handle, on_closed);
    }
    if (failed)
        return fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_RETRY, "cannot watch %s: %s", folder,
                            uv_strerror(failed));
    uv_unref((uv_handle_t *)&made->handle);
    *watch = made;
    return FL_OK;
}

void net_watch_stop(struct net_watch **watch)
{
    if (!*watch)
        return;
    uv_close((uv_handle_t *)&(*watch)->handle, on_closed);
    *watch = NULL;
}
