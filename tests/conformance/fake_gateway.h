/* A gateway's place taken by a test: it drives one connector on a real loop and notes all it hears.
 *
 * It keeps the gateway's side of the contract (the line of publishes, references, the window it
 * gave) and watches the connector's: no callback inside a call, each publish answered once, no
 * delivery before the first window, beyond the window, or after the end. The first rule that is
 * broken is noted in `complaint`, because an assertion must not jump out of a callback; the suite
 * looks at it when a test ends.
 *
 * As a gateway does, it extends the leases of what it has not settled every third of lease_ms, and
 * forgets what it holds when the connector goes down. Several fakes may share one loop; a wait for
 * one of them runs them all.
 *
 * Thread: one.
 */
#ifndef FAKE_GATEWAY_H
#define FAKE_GATEWAY_H

#include "base/arena.h"
#include "base/budget.h"
#include "base/log.h"
#include "cloudevents/event.h"
#include "connectors/connector.h"
#include "net/loop.h"

struct fake_gateway;
struct fake_subscription;

struct fake_publish {
    struct connector_publish what;
    unsigned answers;
    enum fl_err code;
    enum fl_error_class class;
};

/* What `fake_publish_message` publishes; all copied. */
struct fake_message {
    struct fl_slice topic, body, key;
    const struct ce_metadata *metadata;
    size_t metadata_count;
    int64_t deadline_ms; /* from now on; 0: the patience */
    bool is_urgent;
};

struct fake_delivery {
    struct connector_delivery what; /* one reference of the event; the topic is copied */
    struct fake_subscription *subscription;
    int64_t at_ms;      /* when it came */
    int64_t touched_ms; /* when its lease began: then, or when it was extended */
    bool is_settled;
    bool
        is_lost; /* its lease may have ended, or its generation has: the window has its room back */
};

/* Called for each delivery, inside the connector's callback. */
typedef void fake_delivery_fn(struct fake_delivery *delivery);

struct fake_subscription {
    struct connector_subscription head;
    struct fake_gateway *fake;
    unsigned subscribed, unsubscribed;
    bool has_failed, has_left;
    uint32_t window_messages, most_in_flight, in_flight;
    size_t window_bytes, in_flight_bytes, most_in_flight_bytes;
    struct fake_delivery **deliveries; /* in the order in which they came */
    size_t count;
    fake_delivery_fn *on_delivery; /* may be NULL */
    void *context;                 /* the test's */
};

struct fake_backlog {
    struct connector_backlog what;
    unsigned answers;
};

/* The answer to an operation. */
struct fake_call {
    unsigned answers;
    enum fl_err code; /* FL_OK, or what went wrong */
    enum fl_error_class class;
    struct fl_slice data; /* lives until the end of the test */
};

/* Whether what a test waits for has come. */
typedef bool fake_condition_fn(const void *object, size_t number);

struct fake_gateway {
    struct connector_host host;
    struct net_loop *loop;
    struct fake_gateway *root; /* whose loop it is: itself, or the one it stands beside */
    struct fl_log log;
    struct fl_budget budget;
    struct fl_arena arena; /* what lives until the end of a test */
    struct connector *connector;
    void *settings;
    int64_t patience_ms, quiet_ms;
    bool is_hung; /* extends no lease by itself */

    bool is_up;
    unsigned ups, downs, closed;
    int inside; /* calls into the connector that are running */
    char complaint[256];

    struct fake_publish **publishes; /* all there were, in order */
    size_t publish_count, taken_count, answered_count;
    bool is_line_stopped; /* until `writable` */
    struct fake_subscription **subscriptions;
    size_t subscription_count;

    /* Of the root: what is waited for, and until when. */
    fake_condition_fn *condition;
    const void *condition_object;
    size_t condition_number;
    struct net_timer timer;
    struct net_timer extend_timer;
};

/* Opens a connector of this type; NULL with `error` filled when its settings or `open` refuse. */
struct fake_gateway *fake_gateway_new(const struct connector_type *type,
                                      const struct config_value *values, size_t value_count,
                                      int64_t patience_ms, int64_t quiet_ms,
                                      struct fl_error *error);
/* The same for a suite: 0 are the usual times, and a refusal is printed. */
struct fake_gateway *fake_gateway_new_for_suite(const struct connector_type *type,
                                                const struct config_value *values,
                                                size_t value_count, int64_t patience_ms,
                                                int64_t quiet_ms);

/* Another one on the loop of `first`, which must outlive it. */
struct fake_gateway *fake_gateway_beside(struct fake_gateway *first,
                                         const struct config_value *values, size_t value_count,
                                         struct fl_error *error);

/* Gives everything back and closes the connector if the test did not; frees all. Returns what was
 * wrong first during the whole life (at most `room` bytes with the NUL), or an empty string. */
void fake_gateway_free(struct fake_gateway **fake, char *complaint, size_t room);

void fake_complain(struct fake_gateway *fake, const char *format, ...) FL_PRINTF(2, 3);

bool fake_wait_up(struct fake_gateway *fake);
bool fake_wait_down(struct fake_gateway *fake);

/* Runs the loop until the condition holds; false when the patience ends before. */
bool fake_wait(struct fake_gateway *fake, fake_condition_fn *condition, const void *object,
               size_t number);
/* Runs the loop for a while in which nothing in particular is waited for. */
void fake_run_quietly(struct fake_gateway *fake, int64_t duration_ms);

/* A topic that nobody used before; lives until the end of the test. */
struct fl_slice fake_topic(struct fake_gateway *fake, const char *name);

/* Puts a message into the line and offers the line to the connector. Topic and body are copied; of
 * an event one reference is taken. */
struct fake_publish *fake_publish(struct fake_gateway *fake, struct fl_slice topic,
                                  struct fl_slice body);
struct fake_publish *fake_publish_event(struct fake_gateway *fake, struct fl_slice topic,
                                        struct ce_event *event);
struct fake_publish *fake_publish_message(struct fake_gateway *fake,
                                          const struct fake_message *message);
/* `count` messages with the bodies "0", "1", … in as few calls as possible; the keyed ones take
 * turns with `keys` partition keys. */
void fake_publish_numbers(struct fake_gateway *fake, struct fl_slice topic, size_t count);
void fake_publish_keyed(struct fake_gateway *fake, struct fl_slice topic, size_t count,
                        size_t keys);
bool fake_wait_answers(struct fake_gateway *fake);

struct fake_subscription *fake_subscribe(struct fake_gateway *fake, struct fl_slice topic,
                                         const char *group, enum connector_mode mode);
/* The same for a group that begins there, if it is new; the value is copied. */
struct fake_subscription *fake_subscribe_from(struct fake_gateway *fake, struct fl_slice topic,
                                              const char *group, enum connector_start start,
                                              const char *value);
void fake_window(struct fake_subscription *subscription, uint32_t messages, size_t bytes);
void fake_settle(struct fake_delivery *delivery, enum connector_outcome outcome, int64_t delay_ms);
void fake_extend(struct fake_delivery *delivery);
/* All that is in flight, oldest first. */
void fake_settle_all(struct fake_subscription *subscription, enum connector_outcome outcome);
void fake_unsubscribe(struct fake_subscription *subscription);
bool fake_wait_subscribed(struct fake_subscription *subscription);
bool fake_wait_unsubscribed(struct fake_subscription *subscription);
/* At least `count` since the beginning. */
bool fake_wait_deliveries(struct fake_subscription *subscription, size_t count);
bool fake_ask_backlog(struct fake_gateway *fake, struct fl_slice topic, struct fl_slice group,
                      struct fake_backlog *backlog);
/* Invokes an operation and waits for its answer; false when none came. */
bool fake_invoke(struct fake_gateway *fake, const char *operation,
                 const struct ce_metadata *metadata, size_t metadata_count, struct fake_call *call);
void fake_close(struct fake_gateway *fake, int64_t after_ms);
bool fake_wait_closed(struct fake_gateway *fake);

/* For `on_delivery`. */
void fake_accept(struct fake_delivery *delivery);

/* The number that a body made by `fake_publish_numbers` has. */
size_t fake_number(const struct fake_delivery *delivery);

#endif
