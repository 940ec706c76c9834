/* Tags in component values. Each tag is one walk over the text that the tag before it made, which
 * is daprd's order: an application id that reads "{uuid}" is not replaced again, a namespace that
 * holds "{appID}" is. */
#include "config/templates.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/random.h"

struct config_identity config_identity_of(struct fl_slice app_id)
{
    return (struct config_identity){.app_id = app_id,
                                    .namespace = fl_slice_str(getenv("NAMESPACE")),
                                    .pod_name = fl_slice_str(getenv("POD_NAME"))};
}

struct fl_slice config_identity_namespace(const struct config_identity *identity)
{
    return fl_slice_is_null(identity->namespace) ? FL_SLICE_LIT("default") : identity->namespace;
}

static size_t find_text(struct fl_slice text, struct fl_slice wanted)
{
    const char *at = text.len ? memmem(text.data, text.len, wanted.data, wanted.len) : NULL;
    return at ? (size_t)(at - text.data) : text.len;
}

bool config_template_has_namespace(struct fl_slice text)
{
    return find_text(text, FL_SLICE_LIT("{namespace}")) < text.len;
}

/* What stands for one occurrence of a tag. */
typedef void print_fn(const struct config_identity *identity, struct fl_buffer *out);

static void print_uuid(const struct config_identity *identity, struct fl_buffer *out)
{
    (void)identity;
    char uuid[36];
    fl_random_uuid(uuid);
    fl_buffer_append(out, uuid, sizeof uuid);
}

static void print_pod_name(const struct config_identity *identity, struct fl_buffer *out)
{
    fl_buffer_append_slice(out, identity->pod_name);
}

static void print_namespace(const struct config_identity *identity, struct fl_buffer *out)
{
    fl_buffer_append_slice(out, config_identity_namespace(identity));
    fl_buffer_append_byte(out, '.');
    fl_buffer_append_slice(out, identity->app_id);
}

static void print_app_id(const struct config_identity *identity, struct fl_buffer *out)
{
    fl_buffer_append_slice(out, identity->app_id);
}

static const struct {
    struct fl_slice text;
    print_fn *print;
} tags[] = {
    {{"{uuid}", 6}, print_uuid},
    {{"{podName}", 9}, print_pod_name},
    {{"{namespace}", 11}, print_namespace},
    {{"{appID}", 7}, print_app_id},
};

enum { TAG_COUNT = sizeof tags / sizeof *tags };

const char *config_template_near_miss(struct fl_slice text)
{
    size_t at;
    while ((at = fl_slice_find_byte(text, '{')) < text.len) {
        text = fl_slice_of(text.data + at, text.len - at);
        for (size_t i = 0; i < TAG_COUNT; i++)
            if (fl_slice_starts_with_nocase(text, tags[i].text) &&
                !fl_slice_starts_with(text, tags[i].text))
                return tags[i].text.data;
        text = fl_slice_of(text.data + 1, text.len - 1);
    }
    return NULL;
}

static enum fl_err replace(struct fl_buffer *text, size_t tag,
                           const struct config_identity *identity, struct fl_error *error)
{
    struct fl_slice rest = fl_buffer_slice(text), name = tags[tag].text;
    size_t at = find_text(rest, name);
    if (at == rest.len)
        return FL_OK;
    if (tags[tag].print == print_pod_name && identity->pod_name.len == 0)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                            "the tag {podName} stands in a value, but POD_NAME is not set");
    struct fl_buffer out = {0};
    for (; at < rest.len && out.len <= CONFIG_TEMPLATE_BYTES_MAX; at = find_text(rest, name)) {
        fl_buffer_append(&out, rest.data, at);
        tags[tag].print(identity, &out);
        rest = fl_slice_of(rest.data + at + name.len, rest.len - at - name.len);
    }
    fl_buffer_append_slice(&out, rest);
    fl_buffer_fini(text);
    *text = out;
    if (out.len > CONFIG_TEMPLATE_BYTES_MAX)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_REJECT,
                            "a value with its tags replaced is longer than 4 MiB");
    return FL_OK;
}

enum fl_err config_template_expand(struct fl_slice text, const struct config_identity *identity,
                                   struct fl_arena *arena, struct fl_slice *expanded,
                                   struct fl_error *error)
{
    if (fl_slice_find_byte(text, '{') == text.len) {
        *expanded = text;
        return FL_OK;
    }
    struct fl_buffer out = {0};
    enum fl_err err = FL_OK;
    fl_buffer_append_slice(&out, text);
    for (size_t tag = 0; tag < TAG_COUNT && err == FL_OK; tag++)
        err = replace(&out, tag, identity, error);
    if (err == FL_OK)
        *expanded = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return err;
}
