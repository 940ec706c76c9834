/* The metrics port: Prometheus text on any path, and the gauges that are read when it is asked for.
 *
 * Thread: the loop's.
 */
#ifndef GW_METRICS_PORT_H
#define GW_METRICS_PORT_H

#include "base/error.h"

struct gateway;

/* Listens unless --enable-metrics=false. A port that is taken is an error at once, with daprd's
 * text. */
enum fl_err gw_metrics_port_start(struct gateway *gateway, struct fl_error *error) FL_MUST_USE;
void gw_metrics_port_stop(struct gateway *gateway);

#endif
