/* bindings.http: an output binding that calls an HTTP server. */
#ifndef CN_HTTP_H
#define CN_HTTP_H

#include "connectors/connector.h"

extern const struct connector_type cn_http_type;

#endif
