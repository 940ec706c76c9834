/* Deliveries that go to one path of the application in one bulk call, tried again together until
 * each has its verdict.
 *
 * Ownership: a batch frees itself when the last of its deliveries has its verdict. Thread: the
 * loop's.
 */
#ifndef GW_BULK_BATCH_H
#define GW_BULK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct gw_bulk_batch;
struct gw_delivery;
struct gw_subscription;

/* The batches under way of one subscription. */
struct gw_bulk_batches {
    struct gw_subscription *subscription; /* borrowed */
    struct fl_list list;
    /* One has ended by its verdicts and is no longer in the list. */
    void (*on_ended)(struct gw_bulk_batches *batches);
};

/* An empty one with room for `most` deliveries, for the way with this number. It has to be sent,
 * and be given a delivery before. */
struct gw_bulk_batch *gw_bulk_batch_new(struct gw_bulk_batches *batches, uint32_t way, size_t most);
void gw_bulk_batch_add(struct gw_bulk_batch *batch, struct gw_delivery *delivery);

/* Calls the application, when the policy lets it; the batch may be gone afterwards. */
void gw_bulk_batch_send(struct gw_bulk_batch *batch);

/* Takes back the calls that the application has not heard of; they are tried again later. */
void gw_bulk_batches_pause(struct gw_bulk_batches *batches);

/* Takes the delivery out of the one of them that has it and is not calling now; false: none.
 * `on_ended` is not called, even if that batch goes. */
bool gw_bulk_batches_remove(struct gw_bulk_batches *batches, const struct gw_delivery *delivery);

/* Ends all without verdicts; calls are cancelled. */
void gw_bulk_batches_free(struct gw_bulk_batches *batches);

#endif
