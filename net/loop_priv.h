/* What the other files of net/ need of the loop: libuv's handle, and the mark that a turn has
 * begun. */
#ifndef NET_LOOP_PRIV_H
#define NET_LOOP_PRIV_H

#include <uv.h>

#include "net/loop.h"

uv_loop_t *net_loop_uv(struct net_loop *loop);

/* The first socket event of a turn starts the measurement of how long the turn takes. */
void net_loop_mark_turn(struct net_loop *loop);

#endif
