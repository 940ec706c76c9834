/* The gRPC port of a process that is called daprd: it is open, and every request is told that gRPC
 * is not served.
 *
 * Dapr's command line starts an application without a port of its own when the HTTP port and the
 * gRPC port can be connected to, or after a minute.
 *
 * Thread: the loop's.
 */
#ifndef GW_GRPC_PORT_H
#define GW_GRPC_PORT_H

struct gateway;

/* Listens when the process is called daprd, at the API's addresses or as a Unix socket beside its.
 * An address that is taken is a warning: the API does without. */
void gw_grpc_port_start(struct gateway *gateway);
void gw_grpc_port_stop(struct gateway *gateway);

#endif
