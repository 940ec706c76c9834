/* The match language of routing rules: a boolean expression over one event.
 *
 * It is a part of CEL (the Common Expression Language) whose only variable is `event`. This version
 * knows one comparison, an attribute against a literal in either order, and the words `true` and
 * `false` alone.
 *
 *     event.type == "order.created"      'abc' == event["my-extension"]      event.retries == 3
 *
 * Everything else is refused when it is compiled, with the column and what is accepted.
 *
 * Bounds: ROUTE_EXPRESSION_MAX_BYTES of text; whatever nests is bounded by the parser's depth.
 *
 * Thread: compiling on any; one expression may be evaluated on any number of threads at a time.
 */
#ifndef ROUTE_EXPRESSION_H
#define ROUTE_EXPRESSION_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

struct ce_event;
struct route_expression;

#define ROUTE_EXPRESSION_MAX_BYTES ((size_t)16 * 1024)

/* Compiles `text`, which is copied. FL_ERR_INVALID: not an expression. FL_ERR_UNSUPPORTED: may be
 * one of the whole language, but is not in this version. FL_ERR_TOO_LARGE. All of class reject. */
enum fl_err route_expression_new(struct fl_slice text, struct route_expression **expression,
                                 struct fl_error *error) FL_MUST_USE;

/* Sets the pointer to NULL; NULL inside is accepted. */
void route_expression_free(struct route_expression **expression);

/* FL_ERR_NOT_FOUND: "no such key: k", the event lacks an attribute that is asked for; the delivery
 * has failed, which is not the same as false. The event is borrowed. */
enum fl_err route_expression_eval(const struct route_expression *expression,
                                  const struct ce_event *event, bool *result,
                                  struct fl_error *error) FL_MUST_USE;

#endif
