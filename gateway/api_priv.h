/* What the files of the API's front share.
 *
 *   api.c             routing: the three callbacks of a request
 *   api_ports.c       listening, starting and stopping
 *   api_hand.c        the request in hand, and what is kept of one that is answered later
 *   api_middleware.c  tracing, CORS, token
 *   api_health.c      the health endpoints
 *   api_unknown.c     paths where nothing is served
 *   api_answer.c      answers, counted and logged
 *
 * Ownership: everything is borrowed. Thread: the loop's.
 */
#ifndef GW_API_PRIV_H
#define GW_API_PRIV_H

#include "gateway/api.h"

/* What every request of the ports goes to; the context is its struct gw_port. */
extern const struct http_handler gw_api_handler;

/* The header line of most answers: a trace that nobody began. Known by its address, too. */
extern const struct fl_slice gw_api_zero_trace_line;

/* Takes the request whose head is complete into the hand, in place of the one there. */
void gw_api_hand_begin(struct gateway *gateway, struct http_exchange *exchange);

/* Sets the lines that every answer to it carries; false: answered. */
bool gw_api_middleware_pass(const struct gw_port *port, struct gw_api_hand *hand);

void gw_api_health(struct gateway *gateway, struct gw_api_hand *hand);
void gw_api_outbound_health(struct gateway *gateway, struct gw_api_hand *hand);

/* Answers a request for which there is no endpoint. */
void gw_api_unknown(struct gateway *gateway, struct gw_api_hand *hand, bool is_public);

/* As Go's http.Error: for answers that come before any endpoint. */
void gw_api_respond_text(struct gateway *gateway, struct gw_api_hand *hand, int status,
                         const char *text);
/* To a target that daprd's HTTP library refuses before anything sees it. */
void gw_api_respond_bad_target(struct gateway *gateway, struct gw_api_hand *hand);

/* Paths that are neither traced nor, if so configured, logged. */
bool gw_api_is_health_path(struct fl_slice path);

#endif
