/* The decision in three steps: not on the allow list → no; not protected and no entry for this
 * application → yes; else only what its entry lists. Spaces vanish before anything is split, as
 * daprd does, so "held = a , b" is "held=a,b". */
#include "config/scopes.h"

#include "base/buffer.h"

const struct config_option config_scope_options[] = {
    {.name = "allowedTopics",
     .type = CONFIG_IGNORED,
     .help = "Topics that may be published to and subscribed, comma-separated; empty: all."},
    {.name = "protectedTopics",
     .type = CONFIG_IGNORED,
     .help = "Topics that only applications with a scope entry for them may use."},
    {.name = "publishingScopes",
     .type = CONFIG_IGNORED,
     .help = "Who may publish to what: app1=t1,t2;app2=t3. An empty list denies everything."},
    {.name = "subscriptionScopes",
     .type = CONFIG_IGNORED,
     .help = "Who may subscribe to what, written like publishingScopes."},
    {.name = NULL},
};

static struct fl_slice last_of(const struct config_value *values, size_t count, const char *name)
{
    for (size_t i = count; i-- > 0;)
        if (fl_slice_eq_nocase(values[i].name, fl_slice_str(name)))
            return values[i].value;
    return FL_SLICE_NULL;
}

static struct fl_slice without_spaces(struct fl_slice text, struct fl_arena *arena)
{
    struct fl_buffer out = {0};
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != ' ')
            fl_buffer_append_byte(&out, text.data[i]);
    struct fl_slice copy = fl_arena_copy(arena, fl_buffer_slice(&out));
    fl_buffer_fini(&out);
    return copy;
}

/* Splits at commas; parts are views. An empty text is one empty part. */
static struct config_list split(struct fl_slice text, struct fl_arena *arena)
{
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.data[i] == ',';
    struct config_list list = {.items = FL_ARENA_ARRAY(arena, struct fl_slice, most)};
    for (;;) {
        size_t at = fl_slice_find_byte(text, ',');
        list.items[list.count++] = fl_slice_of(text.data, at);
        if (at == text.len)
            return list;
        text = fl_slice_of(text.data + at + 1, text.len - at - 1);
    }
}

static struct config_list read_topics(const struct config_value *values, size_t count,
                                      const char *name, struct fl_arena *arena)
{
    struct fl_slice text = without_spaces(last_of(values, count, name), arena);
    return text.len ? split(text, arena) : (struct config_list){0};
}

/* One `app=a,b` of a scope list; what stands behind a second '=' does not count. */
static void read_entry(struct fl_slice entry, struct fl_slice app_id, struct fl_arena *arena,
                       struct config_scopes *scopes, enum config_scope_direction direction)
{
    size_t equals = fl_slice_find_byte(entry, '=');
    if (equals == entry.len || !fl_slice_eq(fl_slice_of(entry.data, equals), app_id))
        return;
    struct fl_slice topics = fl_slice_of(entry.data + equals + 1, entry.len - equals - 1);
    topics.len = fl_slice_find_byte(topics, '=');
    scopes->own[direction] = split(topics, arena);
    scopes->has_own[direction] = true;
}

static void read_scopes(struct fl_slice text, struct fl_slice app_id, struct fl_arena *arena,
                        struct config_scopes *scopes, enum config_scope_direction direction)
{
    text = without_spaces(text, arena);
    while (text.len) {
        size_t at = fl_slice_find_byte(text, ';');
        read_entry(fl_slice_of(text.data, at), app_id, arena, scopes, direction);
        size_t used = at == text.len ? at : at + 1;
        text = fl_slice_of(text.data + used, text.len - used);
    }
}

void config_scopes_read(const struct config_value *values, size_t count, struct fl_slice app_id,
                        struct fl_arena *arena, struct config_scopes *scopes)
{
    *scopes = (struct config_scopes){0};
    scopes->allowed_topics = read_topics(values, count, "allowedTopics", arena);
    scopes->protected_topics = read_topics(values, count, "protectedTopics", arena);
    read_scopes(last_of(values, count, "publishingScopes"), app_id, arena, scopes,
                CONFIG_SCOPE_PUBLISH);
    read_scopes(last_of(values, count, "subscriptionScopes"), app_id, arena, scopes,
                CONFIG_SCOPE_SUBSCRIBE);
}

bool config_scopes_allow(const struct config_scopes *scopes, enum config_scope_direction direction,
                         struct fl_slice topic)
{
    if (scopes->allowed_topics.count && !config_list_has(&scopes->allowed_topics, topic))
        return false;
    if (!scopes->has_own[direction] && !config_list_has(&scopes->protected_topics, topic))
        return true;
    return config_list_has(&scopes->own[direction], topic);
}

/* --- parts without effect --------------------------------------------------------------------- */

static enum fl_err doubt_part(const struct config_value *value, struct fl_slice part,
                              const struct config_bind *how, struct fl_error *error)
{
    struct fl_buffer text = {0};
    enum fl_err err = FL_OK;
    if (value->file)
        fl_buffer_printf(&text, "%s:%u: ", value->file, value->line);
    fl_buffer_printf(&text,
                     "%s%s%.*s: \"%.*s\" has no effect; accepted: app1=topic1,topic2;app2=topic3",
                     how->owner ? how->owner : "", how->owner ? ": " : "",
                     FL_SLICE_ARG(value->name), (int)(part.len > 80 ? 80 : part.len), part.data);
    if (how->is_strict)
        err = fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s", fl_buffer_cstr(&text));
    else
        config_note(how->notes, FL_LOG_WARNING, "dapr.runtime", "%s", fl_buffer_cstr(&text));
    fl_buffer_fini(&text);
    return err != FL_OK && config_notes_keep(how->notes, "dapr.runtime", error) ? FL_OK : err;
}

/* The part of an entry that `read_entry` does not use; empty: all of it is used. */
static struct fl_slice unused_part(struct fl_slice entry)
{
    size_t first = fl_slice_find_byte(entry, '=');
    if (first == entry.len || first == 0)
        return fl_slice_trim(entry);
    struct fl_slice topics = fl_slice_of(entry.data + first + 1, entry.len - first - 1);
    size_t second = fl_slice_find_byte(topics, '=');
    return fl_slice_of(topics.data + second, topics.len - second);
}

static enum fl_err check_scopes(const struct config_value *value, const struct config_bind *how,
                                struct fl_error *error)
{
    struct fl_slice rest = value->value;
    enum fl_err err = FL_OK;
    while (rest.len && err == FL_OK) {
        size_t at = fl_slice_find_byte(rest, ';');
        struct fl_slice part = unused_part(fl_slice_of(rest.data, at));
        if (part.len)
            err = doubt_part(value, part, how, error);
        size_t used = at == rest.len ? at : at + 1;
        rest = fl_slice_of(rest.data + used, rest.len - used);
    }
    return err;
}

enum fl_err config_scopes_check(const struct config_value *values, size_t count,
                                const struct config_bind *how, struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < count && err == FL_OK; i++)
        if (fl_slice_eq_nocase(values[i].name, FL_SLICE_LIT("publishingScopes")) ||
            fl_slice_eq_nocase(values[i].name, FL_SLICE_LIT("subscriptionScopes")))
            err = check_scopes(&values[i], how, error);
    return err;
}
