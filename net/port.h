/* A port that is free, for a server whose port nobody chose.
 *
 * Two processes that choose at the same moment do not get the same one: a chosen port is marked,
 * with a name in Linux's abstract socket space, until its mark is closed or the process ends.
 *
 * Thread: any. Does not block.
 */
#ifndef NET_PORT_H
#define NET_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The first port from `first` on that nobody listens on at any of the addresses (texts as of
 * http_server_listen), that nobody has marked, and that is not `except` (0: none). `*mark_fd` is
 * the mark; the caller closes it. FL_ERR_NOT_FOUND: there is none within a thousand. */
enum fl_err net_port_choose(const char *const *addresses, size_t count, uint16_t first,
                            uint16_t except, uint16_t *port, int *mark_fd) FL_MUST_USE;

#endif
