/* The JSON batch format; see batch.h.
 *
 * Only specversion 1.0 passes the check of one event, so a batch that passes has one version.
 */
#include "cloudevents/batch.h"

#include "cloudevents/attribute.h"
#include "cloudevents/structured.h"

bool ce_batch_is_type(struct fl_slice content_type)
{
    return fl_slice_eq_nocase(ce_media_type_bare(content_type),
                              FL_SLICE_LIT("application/cloudevents-batch+json"));
}

static enum fl_err check_events(struct ce_batch *batch, struct fl_error *error)
{
    struct ce_json_walk walk = batch->walk;
    struct fl_slice json;
    while (ce_json_walk_next(&walk, NULL, &json)) {
        struct fl_error inner = {0};
        enum fl_err err = ce_structured_check(json, &inner);
        batch->count++;
        if (err != FL_OK)
            return fl_error_set(error, err, inner.class, "event %zu: %.400s", batch->count,
                                inner.text);
    }
    return FL_OK;
}

enum fl_err ce_batch_open(struct ce_batch *batch, struct fl_slice body, struct fl_error *error)
{
    struct ce_json_scan scan = {0};
    if (ce_json_scan(body, &scan) != FL_OK)
        return ce_json_explain(body, &scan, error);
    if (scan.type != CE_JSON_ARRAY || (scan.flags & CE_JSON_TRAILING))
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "a batch is one JSON array of events and nothing after it");
    struct ce_batch opened = {0};
    ce_json_walk_init(&opened.walk, scan.value);
    enum fl_err err = check_events(&opened, error);
    if (err == FL_OK)
        *batch = opened;
    return err;
}

bool ce_batch_next(struct ce_batch *batch, struct fl_slice *json)
{
    return ce_json_walk_next(&batch->walk, NULL, json);
}
