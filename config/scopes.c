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
