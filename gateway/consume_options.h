/* How a subscription consumes, in metadata that every connector shares: consumerMode and startFrom.
 *
 *   consumerMode  compete | broadcast
 *   startFrom     earliest | latest | a time (RFC 3339) | position:<the broker's own words>
 *
 * Keys of a Subscription count before those of its component, and those before the connector's own
 * default. A value that cannot be honoured is refused: a group that silently starts elsewhere loses
 * messages or repeats them.
 *
 * Ownership: values are copied into the arena given. Thread: any.
 */
#ifndef GW_CONSUME_OPTIONS_H
#define GW_CONSUME_OPTIONS_H

#include "config/option.h"
#include "connectors/connector.h"

/* Zeroed: compete, and start at the connector's own default. */
struct gw_consume {
    enum connector_mode mode;
    enum connector_start start;
    struct fl_slice start_value; /* of a time or a position */
};

/* The two keys as rows, for validation of a component's metadata and for the manual. */
extern const struct config_option gw_consume_options[];

/* Replaces in `consume` what the metadata gives. `how` says whose metadata it is; keys that are not
 * these two are left alone. FL_ERR_INVALID: a word or a time that makes no sense.
 * FL_ERR_UNSUPPORTED: a start that a connector without `history` cannot find. */
enum fl_err gw_consume_read(const struct config_value *metadata, size_t count,
                            const struct config_bind *how, const struct connector_traits *traits,
                            struct gw_consume *consume, struct fl_error *error) FL_MUST_USE;

/* Tells, for the metadata of a Subscription, the keys that nobody reads, with the nearest one that
 * is read, and a rawPayload that is neither true nor false: into the notes, or under `is_strict` as
 * FL_ERR_INVALID. Known are the two keys, rawPayload, and the connector's own. They do not stop a
 * subscription as a component's do: daprd takes them, and the application may be the one who sent
 * them. */
enum fl_err gw_consume_check_keys(const struct config_value *metadata, size_t count,
                                  const struct config_bind *how, const struct connector_type *type,
                                  struct fl_error *error) FL_MUST_USE;

#endif
