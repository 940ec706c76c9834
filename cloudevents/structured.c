/* Strict reading of one event in the JSON format; see structured.h.
 *
 * The scanner reports the members; each is checked as it comes, the first fault is kept. Names are
 * compared with those before them, which a bound on their number keeps cheap.
 */
#include "cloudevents/structured.h"

#include "cloudevents/attribute.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"

#define MAX_ATTRIBUTES 256

struct check {
    struct fl_error *error;
    enum fl_err err; /* the first fault */
    struct fl_buffer name, value;
    struct fl_slice keys[MAX_ATTRIBUTES];
    size_t key_count;
    unsigned required; /* a bit for each rule whose attribute is there */
    struct fl_slice data, data_base64, content_type;
};

static enum fl_err refuse(struct check *check, struct fl_slice name, const char *reason)
{
    return fl_error_set(check->error, FL_ERR_INVALID, FL_CLASS_REJECT, "attribute %.*s %s",
                        name.len > 64 ? 64 : (int)name.len, name.data ? name.data : "", reason);
}

/* A string token's value, in check->value. Lone surrogates and bad UTF-8 are refused. */
static enum fl_err decode_value(struct check *check, struct fl_slice name, struct fl_slice token)
{
    struct ce_json_scan scan = {0};
    if (ce_json_scan(token, &scan) != FL_OK || (scan.flags & CE_JSON_BAD_TEXT))
        return refuse(check, name, "holds bytes that are no UTF-8 or half a surrogate pair");
    fl_buffer_clear(&check->value);
    return ce_json_try_decode(token, &check->value);
}

static enum fl_err check_string(struct check *check, struct fl_slice name, struct fl_slice token)
{
    enum fl_err err = decode_value(check, name, token);
    if (err != FL_OK)
        return err;
    return ce_attribute_check(name, fl_buffer_slice(&check->value), check->error);
}

static enum fl_err check_attribute(struct check *check, struct fl_slice name, struct fl_slice token)
{
    const struct ce_attribute_rule *rule = ce_attribute_find(name);
    enum ce_json_type type = ce_json_type_of(token);
    switch (type) {
    case CE_JSON_NULL:
    case CE_JSON_NONE:
        return FL_OK;
    case CE_JSON_OBJECT:
    case CE_JSON_ARRAY:
        return refuse(check, name, "is a JSON object or array, which no attribute may be");
    case CE_JSON_STRING:
        break;
    case CE_JSON_NUMBER:
        if (!rule)
            return ce_integer_is_valid(token) ? FL_OK : refuse(check, name, "is no 32-bit Integer");
        return refuse(check, name, "must be a string");
    case CE_JSON_TRUE:
    case CE_JSON_FALSE:
        return rule ? refuse(check, name, "must be a string") : FL_OK;
    }
    enum fl_err err = check_string(check, name, token);
    if (err == FL_OK && rule) {
        size_t count;
        check->required |= 1u << (rule - ce_attribute_rules(&count));
        if (fl_slice_eq_str(name, "datacontenttype"))
            check->content_type = token;
    }
    return err;
}

static enum fl_err check_member(struct check *check, struct fl_slice key, struct fl_slice value)
{
    fl_buffer_clear(&check->name);
    enum fl_err err = ce_json_try_decode(key, &check->name);
    if (err != FL_OK)
        return err;
    struct fl_slice name = fl_buffer_slice(&check->name);
    if (check->key_count == MAX_ATTRIBUTES)
        return refuse(check, name, "is one too many; at most 256 members are taken");
    for (size_t i = 0; i < check->key_count; i++)
        if (ce_json_equals(check->keys[i], name))
            return refuse(check, name, "is there twice");
    check->keys[check->key_count++] = key;
    if (fl_slice_eq_str(name, "data")) {
        check->data = value;
        return FL_OK;
    }
    if (fl_slice_eq_str(name, "data_base64")) {
        check->data_base64 = ce_json_type_of(value) == CE_JSON_NULL ? FL_SLICE_NULL : value;
        return FL_OK;
    }
    if (!ce_attribute_name_is_valid(name))
        return refuse(check, name, "has a name with more than a-z and 0-9 in it");
    return check_attribute(check, name, value);
}

static void on_member(void *context, struct fl_slice key, struct fl_slice value)
{
    struct check *check = context;
    if (check->err == FL_OK && !fl_slice_is_null(key))
        check->err = check_member(check, key, value);
}

static enum fl_err check_required(struct check *check)
{
    size_t count;
    const struct ce_attribute_rule *rules = ce_attribute_rules(&count);
    for (size_t i = 0; i < count; i++)
        if (rules[i].is_required && !(check->required & 1u << i))
            return refuse(check, fl_slice_str(rules[i].name), "is missing");
    return FL_OK;
}

static enum fl_err check_base64(struct check *check)
{
    const struct fl_slice name = FL_SLICE_LIT("data_base64");
    if (ce_json_type_of(check->data_base64) != CE_JSON_STRING)
        return refuse(check, name, "must be a string");
    enum fl_err err = decode_value(check, name, check->data_base64);
    if (err != FL_OK)
        return err;
    struct fl_buffer bytes = {0};
    err = ce_base64_try_decode(fl_buffer_slice(&check->value), false, &bytes, NULL);
    fl_buffer_fini(&bytes);
    return err == FL_ERR_INVALID ? refuse(check, name, "is no base64") : err;
}

static enum fl_err check_data(struct check *check)
{
    const struct fl_slice name = FL_SLICE_LIT("data");
    if (!fl_slice_is_null(check->data) && !fl_slice_is_null(check->data_base64))
        return refuse(check, name, "and data_base64 exclude each other");
    if (!fl_slice_is_null(check->data_base64))
        return check_base64(check);
    enum ce_json_type type = ce_json_type_of(check->data);
    if (fl_slice_is_null(check->data) || fl_slice_is_null(check->content_type) ||
        type == CE_JSON_STRING || type == CE_JSON_NULL)
        return FL_OK;
    enum fl_err err = decode_value(check, name, check->content_type);
    if (err != FL_OK || ce_media_type_is_json(fl_buffer_slice(&check->value)))
        return err;
    return refuse(check, name, "must be a string, because its datacontenttype is not JSON");
}

static enum fl_err check_event(struct check *check, struct fl_slice json)
{
    struct ce_json_scan scan = {.on_member = on_member, .context = check};
    if (ce_json_scan(json, &scan) != FL_OK)
        return ce_json_explain(json, &scan, check->error);
    if (scan.type != CE_JSON_OBJECT || (scan.flags & CE_JSON_TRAILING))
        return fl_error_set(check->error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "a CloudEvent is one JSON object and nothing after it");
    enum fl_err err = check->err;
    if (err == FL_OK)
        err = check_required(check);
    return err == FL_OK ? check_data(check) : err;
}

enum fl_err ce_structured_check(struct fl_slice json, struct fl_error *error)
{
    struct check check = {.error = error};
    enum fl_err err = check_event(&check, json);
    fl_buffer_fini(&check.name);
    fl_buffer_fini(&check.value);
    if (err == FL_ERR_NO_MEMORY)
        fl_error_set(error, err, FL_CLASS_RETRY, "no memory to check the event");
    return err;
}

/* --- data --- */

/* Decodes a string to the end of `scratch`, which has room. */
static struct fl_slice decode_to(struct fl_buffer *scratch, struct fl_slice token)
{
    char *at = scratch->data + scratch->len;
    size_t len = ce_json_decode(token, at);
    scratch->len += len;
    return fl_slice_of(at, len);
}

static enum fl_err take_base64(struct fl_slice token, struct fl_buffer *scratch,
                               struct ce_data *data)
{
    if (ce_json_type_of(token) != CE_JSON_STRING)
        return FL_ERR_INVALID;
    struct fl_slice text = decode_to(scratch, token);
    size_t start = scratch->len;
    enum fl_err err = ce_base64_try_decode(text, false, scratch, NULL);
    if (err != FL_OK)
        return err;
    data->kind = CE_DATA_KIND_BYTES;
    data->bytes = fl_slice_of(scratch->data + start, scratch->len - start);
    return FL_OK;
}

static void take_data(struct fl_slice token, struct fl_buffer *scratch, struct ce_data *data)
{
    enum ce_json_type type = ce_json_type_of(token);
    bool is_json =
        fl_slice_is_null(data->content_type) || ce_media_type_is_json(data->content_type);
    if (type == CE_JSON_NONE || (!is_json && type == CE_JSON_NULL))
        return;
    if (!is_json && type == CE_JSON_STRING) {
        data->kind = CE_DATA_KIND_TEXT;
        data->bytes = decode_to(scratch, token);
        return;
    }
    data->kind = CE_DATA_KIND_JSON;
    data->bytes = token;
    if (fl_slice_is_null(data->content_type))
        data->content_type = FL_SLICE_LIT("application/json");
}

enum fl_err ce_event_data(const struct ce_event *event, struct fl_buffer *scratch,
                          struct ce_data *data)
{
    if (!(event->flags & CE_EVENT_STRUCTURED))
        return FL_ERR_INVALID;
    struct fl_slice type = ce_event_json(event, CE_DATACONTENTTYPE);
    struct fl_slice base64 = ce_event_json(event, CE_DATA_BASE64);
    struct fl_slice plain = ce_event_json(event, CE_DATA);
    bool has_base64 = base64.len > 0 && ce_json_type_of(base64) != CE_JSON_NULL;
    struct fl_slice token = has_base64 ? base64 : plain;
    fl_buffer_clear(scratch);
    /* Reserved at once, so that nothing moves: both strings decoded, and the base64 decoded. */
    enum fl_err err = fl_buffer_try_reserve(scratch, ce_json_decoded_room(type) +
                                                         2 * ce_json_decoded_room(token) + 16);
    if (err != FL_OK)
        return err;
    struct ce_data found = {.kind = CE_DATA_KIND_NONE};
    if (ce_json_type_of(type) == CE_JSON_STRING)
        found.content_type = decode_to(scratch, type);
    if (has_base64)
        err = take_base64(token, scratch, &found);
    else
        take_data(token, scratch, &found);
    if (err == FL_OK)
        *data = found;
    return err;
}
