/* Any text as a component's value with tags: {uuid}, {podName}, {namespace}, {appID}.
 *
 * The first byte chooses who we are; the rest is the value. A second way of replacing, one tag
 * after the other with no regard for speed, says what has to come out.
 *
 * Claims: both ways agree (with every identifier drawn replaced by one letter of its length); what
 * holds no tag comes back as it is; the size is bounded; a near miss is told exactly when one is
 * there.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "config/templates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { UUID_LENGTH = 36 };

static struct fl_slice find(struct fl_slice text, struct fl_slice tag)
{
    const char *at = text.len ? memmem(text.data, text.len, tag.data, tag.len) : NULL;
    return at ? fl_slice_of(at, tag.len) : FL_SLICE_NULL;
}

/* Every `tag` of the text by `by`, in place. */
static void replace(struct fl_buffer *text, struct fl_slice tag, struct fl_slice by)
{
    struct fl_buffer out = {0};
    struct fl_slice rest = fl_buffer_slice(text), at;
    while ((at = find(rest, tag)).data && out.len <= CONFIG_TEMPLATE_BYTES_MAX) {
        size_t before = (size_t)(at.data - rest.data);
        fl_buffer_append(&out, rest.data, before);
        fl_buffer_append_slice(&out, by);
        rest = fl_slice_of(at.data + tag.len, rest.len - before - tag.len);
    }
    fl_buffer_append_slice(&out, rest);
    fl_buffer_fini(text);
    *text = out;
}

static bool is_identifier(const char *text)
{
    for (int i = 0; i < UUID_LENGTH; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (is_dash ? text[i] != '-' : !is_hex)
            return false;
    }
    return text[14] == '4';
}

/* Equal, where every '\1' of the model stands for one byte of an identifier. */
static void check_equal(struct fl_slice got, struct fl_slice model)
{
    FL_ASSERT(got.len == model.len);
    for (size_t i = 0; i < model.len;) {
        if (model.data[i] == '\1') {
            FL_ASSERT(is_identifier(got.data + i));
            i += UUID_LENGTH;
        } else {
            FL_ASSERT(got.data[i] == model.data[i]);
            i++;
        }
    }
}

static void check_value(struct fl_slice text, const struct config_identity *identity,
                        struct fl_slice both)
{
    static const char ones[UUID_LENGTH + 1] =
        "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1";
    struct fl_arena arena = {0};
    struct fl_error error = {.text = ""};
    struct fl_slice got;
    struct fl_buffer model = {0};
    fl_buffer_append_slice(&model, text);
    replace(&model, FL_SLICE_LIT("{uuid}"), fl_slice_of(ones, UUID_LENGTH));
    bool lacks_pod = !identity->pod_name.len &&
                     find(fl_buffer_slice(&model), FL_SLICE_LIT("{podName}")).data != NULL;
    replace(&model, FL_SLICE_LIT("{podName}"), identity->pod_name);
    replace(&model, FL_SLICE_LIT("{namespace}"), both);
    replace(&model, FL_SLICE_LIT("{appID}"), identity->app_id);
    enum fl_err err = config_template_expand(text, identity, &arena, &got, &error);
    FL_ASSERT((err == FL_OK) == (error.text[0] == '\0'));
    if (err == FL_ERR_INVALID)
        FL_ASSERT(lacks_pod);
    else if (err == FL_ERR_TOO_LARGE)
        FL_ASSERT(model.len > CONFIG_TEMPLATE_BYTES_MAX);
    else
        check_equal(got, fl_buffer_slice(&model));
    fl_buffer_fini(&model);
    fl_arena_fini(&arena);
}

static void check_near_miss(struct fl_slice text)
{
    static const char *const tags[] = {"{uuid}", "{podName}", "{namespace}", "{appID}"};
    bool has_miss = false;
    for (size_t i = 0; i < text.len; i++)
        for (size_t t = 0; t < 4; t++) {
            struct fl_slice rest = fl_slice_of(text.data + i, text.len - i);
            struct fl_slice tag = fl_slice_str(tags[t]);
            has_miss = has_miss ||
                       (fl_slice_starts_with_nocase(rest, tag) && !fl_slice_starts_with(rest, tag));
        }
    const char *told = config_template_near_miss(text);
    FL_ASSERT((told != NULL) == has_miss);
    FL_ASSERT(config_template_has_namespace(text) ==
              (find(text, FL_SLICE_LIT("{namespace}")).data != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        struct config_identity identity;
        struct fl_slice both; /* NAMESPACE.APPID */
    } who[] = {
        {{FL_SLICE_LIT("app"), FL_SLICE_LIT("ns"), FL_SLICE_LIT("pod-0")}, FL_SLICE_LIT("ns.app")},
        {{FL_SLICE_LIT("{uuid}"), FL_SLICE_LIT("{appID}"), FL_SLICE_LIT("{namespace}")},
         FL_SLICE_LIT("{appID}.{uuid}")},
        {{FL_SLICE_LIT("app"), FL_SLICE_NULL, FL_SLICE_NULL}, FL_SLICE_LIT("default.app")},
        {{FL_SLICE_LIT(""), FL_SLICE_LIT(""), FL_SLICE_LIT("")}, FL_SLICE_LIT(".")},
    };
    if (size == 0 || memchr(data + 1, '\1', size - 1))
        return 0;
    size_t which = data[0] & 3;
    struct fl_slice text = fl_slice_of((const char *)data + 1, size - 1);
    check_value(text, &who[which].identity, who[which].both);
    check_near_miss(text);
    return 0;
}
