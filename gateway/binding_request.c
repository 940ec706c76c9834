/* Reading a call of an output binding; see the header. */
#include "gateway/binding_request.h"

#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"

/* The members as they are written. */
struct tokens {
    struct fl_slice operation, data, metadata;
};

static const char *type_word(struct fl_slice value)
{
    static const char *const words[] = {
        [CE_JSON_NONE] = "nothing",  [CE_JSON_OBJECT] = "object", [CE_JSON_ARRAY] = "array",
        [CE_JSON_STRING] = "string", [CE_JSON_NUMBER] = "number", [CE_JSON_TRUE] = "bool",
        [CE_JSON_FALSE] = "bool",    [CE_JSON_NULL] = "null",
    };
    return words[ce_json_type_of(value)];
}

static enum fl_err refuse(struct fl_slice value, const char *what, const char *wanted,
                          struct fl_error *error)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s is %s, expected %s", what,
                        type_word(value), wanted);
}

static enum fl_err take_operation(struct fl_slice value, struct tokens *tokens,
                                  struct fl_error *error)
{
    enum ce_json_type type = ce_json_type_of(value);
    if (type == CE_JSON_NULL)
        return FL_OK;
    if (type != CE_JSON_STRING)
        return refuse(value, "operation", "a string", error);
    tokens->operation = value;
    return FL_OK;
}

static enum fl_err take_metadata(struct fl_slice value, struct tokens *tokens,
                                 struct fl_error *error)
{
    struct ce_json_walk walk;
    struct fl_slice item;
    size_t count = 0;
    enum ce_json_type type = ce_json_type_of(value);
    if (type == CE_JSON_NULL)
        return FL_OK;
    if (type != CE_JSON_OBJECT)
        return refuse(value, "metadata", "an object of strings", error);
    ce_json_walk_init(&walk, value);
    while (ce_json_walk_next(&walk, NULL, &item)) {
        type = ce_json_type_of(item);
        if (type != CE_JSON_STRING && type != CE_JSON_NULL)
            return refuse(item, "a value of metadata", "a string", error);
        if (++count > GW_MOST_BINDING_METADATA)
            return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                                "metadata has more than %d members", GW_MOST_BINDING_METADATA);
    }
    tokens->metadata = value;
    return FL_OK;
}

static enum fl_err read_tokens(struct fl_slice value, struct tokens *tokens, struct fl_error *error)
{
    struct ce_json_walk walk;
    struct fl_slice key, member;
    enum fl_err err = FL_OK;
    if (ce_json_type_of(value) == CE_JSON_NULL)
        return FL_OK;
    if (ce_json_type_of(value) != CE_JSON_OBJECT)
        return refuse(value, "the body", "an object", error);
    ce_json_walk_init(&walk, value);
    while (!err && ce_json_walk_next(&walk, &key, &member)) {
        if (ce_json_equals_nocase(key, FL_SLICE_LIT("operation")))
            err = take_operation(member, tokens, error);
        else if (ce_json_equals_nocase(key, FL_SLICE_LIT("metadata")))
            err = take_metadata(member, tokens, error);
        else if (ce_json_equals_nocase(key, FL_SLICE_LIT("data")))
            tokens->data = member;
    }
    return err;
}

/* A slice with memory of its own, whatever the body's buffer does afterwards. */
static struct fl_slice text_of(struct fl_arena *arena, struct fl_slice token)
{
    char *text = fl_arena_alloc(arena, ce_json_decoded_room(token) + 1);
    size_t len = ce_json_decode(token, text);
    text[len] = '\0';
    return fl_slice_of(text, len);
}

static struct ce_metadata *find(struct gw_binding_request *request, struct fl_slice key)
{
    for (size_t i = 0; i < request->metadata_count; i++) {
        if (fl_slice_eq(request->metadata[i].key, key))
            return &request->metadata[i];
    }
    return NULL;
}

static void put(struct gw_binding_request *request, struct fl_slice key, struct fl_slice value)
{
    struct ce_metadata *pair = find(request, key);
    if (!pair) {
        pair = &request->metadata[request->metadata_count++];
        pair->key = key;
    }
    pair->value = value;
}

static void keep_metadata(struct gw_binding_request *request, struct fl_slice object)
{
    struct ce_json_walk walk;
    struct fl_slice key, value;
    size_t count = 0;
    ce_json_walk_init(&walk, object);
    while (ce_json_walk_next(&walk, NULL, &value))
        count++;
    request->metadata =
        FL_ARENA_ARRAY(&request->arena, struct ce_metadata, count + GW_BINDING_EXTRAS);
    ce_json_walk_init(&walk, object);
    while (ce_json_walk_next(&walk, &key, &value))
        put(request, text_of(&request->arena, key), text_of(&request->arena, value));
}

enum fl_err gw_binding_request_read(struct fl_slice body, struct gw_binding_request *request,
                                    struct fl_error *error)
{
    struct ce_json_scan scan = {0};
    struct tokens tokens = {.data = FL_SLICE_LIT("null")};
    if (ce_json_scan(body, &scan))
        return ce_json_explain(body, &scan, error);
    enum fl_err err = read_tokens(scan.value, &tokens, error);
    if (!err)
        err = ce_json_try_rewrite(&request->data, tokens.data);
    if (err == FL_ERR_INVALID && request->data.len == 0 && scan.flags & CE_JSON_HUGE_NUMBER)
        return fl_error_set(error, err, FL_CLASS_REJECT, "data holds a number beyond any double");
    if (err == FL_ERR_NO_MEMORY || err == FL_ERR_TOO_LARGE)
        return fl_error_set(error, FL_ERR_NO_MEMORY, FL_CLASS_RETRY,
                            "the data does not fit into memory");
    if (err)
        return err;
    request->operation = text_of(&request->arena, tokens.operation);
    keep_metadata(request, tokens.metadata);
    return FL_OK;
}

void gw_binding_request_set(struct gw_binding_request *request, const char *key,
                            struct fl_slice value)
{
    put(request, fl_slice_str(key), value);
}

void gw_binding_request_fini(struct gw_binding_request *request)
{
    fl_buffer_fini(&request->data);
    fl_arena_fini(&request->arena);
}
