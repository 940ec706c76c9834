/* consumerMode and startFrom; see the header.
 *
 * The rows do what rows can do: find the last of equal keys in any case, and check the mode's word.
 * What a start may be is no type of a row's, so it is read here and its message has a row's form.
 */
#include "gateway/consume_options.h"

#include "cloudevents/timestamp.h"
#include "config/quantity.h"
#include "config/spelling.h"

#define SCOPE "dapr.runtime.processor.subscription"

struct given {
    int mode;
    struct fl_slice start;
};

const struct config_option gw_consume_options[] = {
    {
        .name = "consumerMode",
        .type = CONFIG_ENUM,
        .values = "compete|broadcast",
        .help = "compete: each message goes to one of the group's subscribers; broadcast: to every "
                "one of them. A connector without groups always does the latter.",
        .offset = offsetof(struct given, mode),
    },
    {
        .name = "startFrom",
        .type = CONFIG_STRING,
        .help =
            "Where a group that does not exist yet begins: earliest, latest, a time (RFC 3339), "
            "or position: and the broker's own words. Not given: as the connector's page says.",
        .offset = offsetof(struct given, start),
    },
    {.name = NULL},
};

static const struct config_value *find(const struct config_value *metadata, size_t count,
                                       const char *name)
{
    for (size_t i = count; i-- > 0;) {
        if (fl_slice_eq_nocase(metadata[i].name, fl_slice_str(name)))
            return metadata[i].value.len ? &metadata[i] : NULL;
    }
    return NULL;
}

/* False: it is none of the four. */
static bool parse_start(struct fl_slice text, struct gw_consume *consume)
{
    static const struct fl_slice position = FL_SLICE_LIT("position:");
    struct ce_timestamp time;
    text = fl_slice_trim(text);
    consume->start_value = FL_SLICE_NULL;
    if (fl_slice_eq_nocase(text, FL_SLICE_LIT("earliest"))) {
        consume->start = CONNECTOR_START_EARLIEST;
    } else if (fl_slice_eq_nocase(text, FL_SLICE_LIT("latest"))) {
        consume->start = CONNECTOR_START_LATEST;
    } else if (fl_slice_starts_with_nocase(text, position)) {
        consume->start = CONNECTOR_START_POSITION;
        consume->start_value =
            fl_slice_trim(fl_slice_of(text.data + position.len, text.len - position.len));
        return consume->start_value.len > 0;
    } else if (ce_timestamp_parse(text, &time)) {
        consume->start = CONNECTOR_START_TIME;
        consume->start_value = text;
    } else {
        return false;
    }
    return true;
}

/* "FILE:LINE: OWNER: ", each part only when known. */
static void print_place(const struct config_value *value, const struct config_bind *how,
                        struct fl_buffer *text)
{
    if (value->file && value->line)
        fl_buffer_printf(text, "%s:%u: ", value->file, value->line);
    else if (value->file)
        fl_buffer_printf(text, "%s: ", value->file);
    if (how->owner)
        fl_buffer_printf(text, "%s: ", how->owner);
}

static enum fl_err refuse(const struct config_value *value, const struct config_bind *how,
                          enum fl_err code, const char *accepted, struct fl_error *error)
{
    struct fl_buffer text = {0};
    print_place(value, how, &text);
    fl_buffer_printf(&text, "startFrom: found \"%.*s\"; accepted: %s",
                     (int)(value->value.len < 80 ? value->value.len : 80), value->value.data,
                     accepted);
    enum fl_err err = fl_error_set(error, code, FL_CLASS_REJECT, "%s", fl_buffer_cstr(&text));
    fl_buffer_fini(&text);
    return err;
}

enum fl_err gw_consume_read(const struct config_value *metadata, size_t count,
                            const struct config_bind *how, const struct connector_traits *traits,
                            struct gw_consume *consume, struct fl_error *error)
{
    const struct config_value *start = find(metadata, count, "startFrom");
    struct gw_consume got = *consume;
    struct given given = {0};
    struct config_option_target target = {gw_consume_options, &given};
    struct config_bind open = *how;
    open.is_open = true;
    enum fl_err err = config_options_bind(&target, 1, metadata, count, &open, error);
    if (err)
        return err;
    if (find(metadata, count, "consumerMode"))
        got.mode = given.mode == 1 ? CONNECTOR_MODE_BROADCAST : CONNECTOR_MODE_COMPETE;
    if (start && !parse_start(given.start, &got))
        return refuse(start, how, FL_ERR_INVALID,
                      "earliest, latest, a time such as 2026-01-31T12:00:00Z (RFC 3339), or "
                      "position: and the broker's own words",
                      error);
    if (start && !traits->history)
        return refuse(start, how, FL_ERR_UNSUPPORTED,
                      "nothing, since this connector keeps no history to start in", error);
    *consume = got;
    return FL_OK;
}

/* --- keys that nobody reads --- */

static const struct config_option raw_options[] = {
    {.name = "rawPayload", .type = CONFIG_BOOL},
    {.name = NULL},
};

static void offer_rows(const struct config_option *rows, struct config_spelling *spelling)
{
    for (; rows && rows->name; rows++)
        config_spelling_offer(spelling, fl_slice_str(rows->name));
}

static enum fl_err doubt(const struct config_bind *how, struct fl_buffer *text,
                         struct fl_error *error)
{
    enum fl_err err = FL_OK;
    if (how->is_strict)
        err = fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s", fl_buffer_cstr(text));
    else
        config_note(how->notes, FL_LOG_WARNING, SCOPE, "%s", fl_buffer_cstr(text));
    fl_buffer_fini(text);
    return err && config_notes_keep(how->notes, SCOPE, error) ? FL_OK : err;
}

/* `rawPayload` is the one key that daprd reads in its exact spelling only. */
static enum fl_err check_raw(const struct config_value *value, const struct config_bind *how,
                             struct fl_error *error)
{
    struct fl_buffer text = {0};
    bool is_raw;
    if (!fl_slice_eq_str(value->name, raw_options[0].name)) {
        print_place(value, how, &text);
        fl_buffer_printf(&text,
                         "\"%.*s\" is not a known key; the nearest known one is "
                         "\"rawPayload\", whose spelling has to be exact",
                         FL_SLICE_ARG(value->name));
        return doubt(how, &text, error);
    }
    if (value->value.len == 0 || config_parse_bool(value->value, &is_raw) == FL_OK)
        return FL_OK;
    print_place(value, how, &text);
    fl_buffer_printf(&text,
                     "rawPayload: found \"%.*s\"; accepted: true or false; nothing can be "
                     "delivered with this one",
                     (int)(value->value.len < 80 ? value->value.len : 80), value->value.data);
    return doubt(how, &text, error);
}

static enum fl_err check_key(const struct config_value *value, const struct config_bind *how,
                             const struct config_option *own, struct fl_error *error)
{
    struct fl_buffer text = {0};
    struct config_spelling spelling;
    if (config_option_find(raw_options, value->name))
        return check_raw(value, how, error);
    if (config_option_find(own, value->name) || config_option_find(gw_consume_options, value->name))
        return FL_OK;
    config_spelling_init(&spelling, value->name);
    offer_rows(raw_options, &spelling);
    offer_rows(gw_consume_options, &spelling);
    offer_rows(own, &spelling);
    print_place(value, how, &text);
    fl_buffer_printf(&text, "\"%.*s\" is not a known key", FL_SLICE_ARG(value->name));
    if (spelling.best.data)
        fl_buffer_printf(&text, "; the nearest known one is \"%.*s\"", FL_SLICE_ARG(spelling.best));
    return doubt(how, &text, error);
}

enum fl_err gw_consume_check_keys(const struct config_value *metadata, size_t count,
                                  const struct config_bind *how, const struct connector_type *type,
                                  struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < count && !err; i++)
        err = check_key(&metadata[i], how, type->subscribe_options, error);
    return err;
}
