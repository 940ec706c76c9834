/* --wait: polls another process's /v1.0/healthz/outbound until it answers 204, as daprd does in a
 * container's start-up.
 *
 * Every 100 ms, 500 ms a try, 60 s in all; says on standard error how it went; the status is 0 in
 * any case.
 */
#ifndef GW_WAIT_CLIENT_H
#define GW_WAIT_CLIENT_H

#include <stdint.h>

int gw_wait_client(uint16_t http_port);

#endif
