/* Watching a folder: which names in it change.
 *
 * Says that something happened to a name (written, created, removed, renamed), not what; several
 * changes may come as one, and one as several. Where the kernel has no watches left, starting
 * fails; a watch that is lost later (the folder itself goes) says nothing more.
 *
 * Thread: the loop's.
 */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include "net/loop.h"

struct net_watch;

/* `name` is the entry's, without the folder; NULL when it is not known. Borrowed for the call. */
typedef void net_watch_fn(void *context, const char *name);

/* `folder` is copied. FL_ERR_SYSTEM. */
enum fl_err net_watch_start(struct net_loop *loop, const char *folder, net_watch_fn *on_change,
                            void *context, struct net_watch **watch,
                            struct fl_error *error) FL_MUST_USE;

/* Sets the pointer to NULL; NULL inside is accepted. */
void net_watch_stop(struct net_watch **watch);

#endif
