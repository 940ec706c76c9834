/* The view of a message in binary mode: the text of a JSON object, read like any stored event. Of
 * keys that are equal in lower case the last counts, which the scanner sees to. */
#include "gateway/binary_view.h"

#include "base/buffer.h"
#include "cloudevents/body_kind.h"
#include "cloudevents/json_write.h"

static const struct fl_slice prefix = FL_SLICE_LIT("ce_");

static struct fl_slice content_type(const struct ce_event *event)
{
    for (size_t i = 0; i < event->metadata_count; i++) {
        if (fl_slice_eq_nocase(event->metadata[i].key, FL_SLICE_LIT("content-type")))
            return event->metadata[i].value;
    }
    return FL_SLICE_NULL;
}

bool gw_binary_find(const struct ce_event *event)
{
    return ce_bulk_kind_of(content_type(event)) == CE_BULK_BYTES;
}

static enum fl_err append_attribute(struct fl_buffer *out, const struct ce_metadata *pair)
{
    struct fl_slice name = fl_slice_of(pair->key.data + prefix.len, pair->key.len - prefix.len);
    fl_buffer_append_byte(out, ',');
    size_t start = out->len;
    enum fl_err err = ce_json_try_string(out, name);
    for (size_t i = start; i < out->len; i++)
        out->data[i] = fl_ascii_lower(out->data[i]);
    if (err)
        return err;
    fl_buffer_append_byte(out, ':');
    return ce_json_try_string(out, pair->value);
}

static enum fl_err append_view(struct fl_buffer *out, const struct ce_event *event)
{
    enum fl_err err = fl_buffer_try_reserve(out, ce_base64_size(event->body.len) + 64);
    if (err)
        return err;
    fl_buffer_append_str(out, "{\"data\":\"");
    ce_base64_append(out, event->body);
    fl_buffer_append_str(out, "\",\"datacontenttype\":");
    err = ce_json_try_string(out, content_type(event));
    for (size_t i = 0; i < event->metadata_count && !err; i++) {
        if (fl_slice_starts_with_nocase(event->metadata[i].key, prefix))
            err = append_attribute(out, &event->metadata[i]);
    }
    if (!err)
        fl_buffer_append_byte(out, '}');
    return err;
}

enum fl_err gw_binary_view_new(const struct ce_event *event, struct fl_budget *budget,
                               struct ce_event **view)
{
    struct fl_buffer json = {0};
    enum fl_err err = append_view(&json, event);
    if (!err)
        err = ce_event_new(fl_buffer_slice(&json), FL_SLICE_NULL, NULL, 0, budget, view);
    fl_buffer_fini(&json);
    return err;
}
