/* Any lines as settings of a component, as arguments of the command line, and as the small texts
 * that configuration is made of.
 *
 * Claims: a struct is filled only when everything was accepted, and then within its rows' bounds;
 * parsed amounts print and read back as themselves; every outcome of the command line is complete;
 * nothing leaks.
 */
#include <stdlib.h>

#include "base/error.h"
#include "config/flags.h"
#include "config/option.h"
#include "config/quantity.h"
#include "config/resiliency.h"
#include "config/scopes.h"
#include "config/spelling.h"
#include "config/subscription_resource.h"
#include "config/templates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 64 };

struct settings {
    struct fl_slice host;
    int64_t count, wait_ms, limit_bytes;
    bool tls;
    struct config_list brokers;
    int mode;
};

#define ROW(member) .offset = offsetof(struct settings, member)

static const struct config_option rows[] = {
    {.name = "host", .type = CONFIG_STRING, .default_text = "x", ROW(host)},
    {.name = "count", .type = CONFIG_INT, .min = 1, .max = 10, .default_text = "3", ROW(count)},
    {.name = "wait",
     .aliases = "w,delay",
     .type = CONFIG_DURATION,
     .unit = "ms",
     .min = 1,
     .max = 60000,
     .default_text = "5s",
     ROW(wait_ms)},
    {.name = "limit", .type = CONFIG_BYTES, .is_secret = true, .max = INT64_MAX, ROW(limit_bytes)},
    {.name = "tls", .type = CONFIG_BOOL, ROW(tls)},
    {.name = "brokers", .type = CONFIG_LIST, ROW(brokers)},
    {.name = "mode", .type = CONFIG_ENUM, .values = "single|parallel", ROW(mode)},
    {.name = NULL},
};

/* Without defaults, with what a row may have besides. */
struct bare {
    struct fl_slice text;
    int64_t number, wait_ms, span_ms, size_bytes;
    bool truth;
    struct config_list list;
    int word;
};

#define BARE(member) .offset = offsetof(struct bare, member)

static const struct config_option bare_rows[] = {
    {.name = "text", .type = CONFIG_STRING, .max = 9, .is_required = true, BARE(text)},
    {.name = "number", .type = CONFIG_INT, .unit = "pieces", BARE(number)},
    {.name = "wait",
     .type = CONFIG_DURATION,
     .unit = "s",
     .max = INT64_MAX / 1000000,
     BARE(wait_ms)},
    {.name = "span", .type = CONFIG_DURATION, BARE(span_ms)},
    {.name = "size", .type = CONFIG_BYTES, .min = 1048576, .max = INT64_MAX, BARE(size_bytes)},
    {.name = "truth", .type = CONFIG_BOOL, .is_secret = true, BARE(truth)},
    {.name = "list", .type = CONFIG_LIST, .help = "a|b", BARE(list)},
    {.name = "word", .type = CONFIG_ENUM, .values = "one|two|three", BARE(word)},
    {.name = "old", .aliases = "older,oldest", .type = CONFIG_IGNORED},
    {.name = NULL},
};

static size_t split_lines(struct fl_slice text, struct fl_slice *lines)
{
    size_t count = 0;
    while (text.len && count < LINES_MAX) {
        size_t at = fl_slice_find_byte(text, '\n');
        lines[count++] = fl_slice_of(text.data, at);
        size_t used = at == text.len ? at : at + 1;
        text = fl_slice_of(text.data + used, text.len - used);
    }
    return count;
}

static void check_bare(const struct config_value *values, size_t count,
                       const struct config_bind *how)
{
    struct bare bare = {.number = -77, .word = -77};
    struct fl_error error = {.text = ""};
    const struct config_option_target target = {bare_rows, &bare};
    if (config_options_bind(&target, 1, values, count, how, &error) != FL_OK) {
        FL_ASSERT(error.text[0] != '\0' && bare.number == -77 && bare.word == -77);
        return;
    }
    FL_ASSERT(bare.text.len > 0 && bare.text.len <= 9);
    FL_ASSERT(bare.word >= 0 && bare.word <= 2 && bare.wait_ms >= 0);
    FL_ASSERT(bare.size_bytes == 0 || bare.size_bytes >= 1048576);
    for (size_t i = 0; i < bare.list.count; i++)
        FL_ASSERT(bare.list.items[i].len > 0);
}

static void check_scopes(const struct config_value *values, size_t count,
                         const struct config_bind *how)
{
    struct fl_error error = {.text = ""};
    if (config_scopes_check(values, count, how, &error) != FL_OK)
        FL_ASSERT(how->is_strict && error.text[0] != '\0');
}

/* What is printed for people says every row. */
static void check_manual(const struct config_option *table)
{
    struct fl_buffer plain = {0}, page = {0};
    config_options_print_plain(table, &plain);
    config_options_print_markdown(table, &page);
    for (const struct config_option *row = table; row->name; row++)
        FL_ASSERT(strstr(fl_buffer_cstr(&plain), row->name) &&
                  strstr(fl_buffer_cstr(&page), row->name));
    fl_buffer_fini(&plain);
    fl_buffer_fini(&page);
}

static void check_bind(const struct config_value *values, size_t count, struct fl_arena *arena,
                       uint8_t choice)
{
    struct settings s = {.count = -77};
    struct config_notes notes;
    struct fl_error error = {.text = ""};
    const struct config_option_target targets[] = {{rows, &s}, {config_scope_options, NULL}};
    config_notes_init(&notes, arena);
    notes.keeps_errors = choice & 8;
    struct config_bind how = {.owner = choice & 16 ? NULL : "o",
                              .arena = arena,
                              .notes = &notes,
                              .is_strict = choice & 4,
                              .is_open = choice & 32,
                              .file = choice & 64 ? "c.yaml" : NULL,
                              .line = 1};
    check_bare(values, count, &how);
    check_scopes(values, count, &how);
    if (config_options_bind(targets, 2, values, count, &how, &error) != FL_OK) {
        FL_ASSERT(s.count == -77 && error.text[0] != '\0');
        return;
    }
    FL_ASSERT(s.count >= 1 && s.count <= 10);
    FL_ASSERT(s.wait_ms >= 1 && s.wait_ms <= 60000);
    FL_ASSERT(s.mode == 0 || s.mode == 1);
    FL_ASSERT(s.limit_bytes >= 0 && s.host.data);
}

static void check_settings(const struct fl_slice *lines, size_t count, uint8_t choice)
{
    struct fl_arena arena = {0};
    struct config_value values[LINES_MAX];
    struct config_scopes scopes;
    for (size_t i = 0; i < count; i++) {
        size_t equals = fl_slice_find_byte(lines[i], '=');
        size_t skip = equals < lines[i].len;
        values[i] = (struct config_value){
            .name = fl_slice_of(lines[i].data, equals),
            .value = fl_slice_of(lines[i].data + equals + skip, lines[i].len - equals - skip),
            .file = "c.yaml",
            .line = (uint32_t)i};
    }
    check_bind(values, count, &arena, choice);
    check_manual(rows);
    check_manual(bare_rows);
    config_scopes_read(values, count, FL_SLICE_LIT("app"), &arena, &scopes);
    (void)config_scopes_allow(&scopes, CONFIG_SCOPE_PUBLISH, FL_SLICE_LIT("a"));
    (void)config_scopes_allow(&scopes, CONFIG_SCOPE_SUBSCRIBE, FL_SLICE_LIT("a"));
    fl_arena_fini(&arena);
}

static void check_flags(const struct fl_slice *lines, size_t count)
{
    static const struct config_build build = {"1.0.0", "x"};
    char *argv[LINES_MAX + 2] = {(char *)"fairlead"};
    struct config_flags_result result;
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = fl_strdup(lines[i]);
    config_flags_parse((int)count + 1, argv, &build, &result);
    if (result.outcome == CONFIG_EXIT_FATAL)
        FL_ASSERT(result.status == 1 && result.fatal);
    if (result.outcome == CONFIG_EXIT)
        FL_ASSERT(result.out.len + result.err.len > 0);
    bool serves =
        result.flags.command == CONFIG_SERVE || result.flags.command == CONFIG_RUN_PROGRAM;
    if (result.outcome == CONFIG_RUN && serves && !result.flags.is_wait_client)
        FL_ASSERT(result.flags.app_id.len > 0 && result.flags.max_memory_bytes > 0);
    config_flags_fini(&result);
    for (size_t i = 0; i < count; i++)
        fl_free(argv[i + 1]);
}

static void check_amounts(struct fl_slice text)
{
    int64_t value, again;
    char printed[CONFIG_DURATION_TEXT];
    uint16_t port;
    bool truth;
    if (config_parse_duration(text, CONFIG_BARE_MS, &value) == FL_OK) {
        struct fl_slice form = fl_slice_str(config_format_duration(value, printed));
        FL_ASSERT(config_parse_duration(form, CONFIG_BARE_REFUSED, &again) == FL_OK);
        FL_ASSERT(value == again);
    }
    if (config_parse_int(text, &value) == FL_OK)
        FL_ASSERT(config_parse_quantity(text, &again) ==
                  (value == INT64_MIN ? FL_ERR_TOO_LARGE : FL_OK));
    (void)!config_parse_int_any(text, &value);
    (void)!config_parse_quantity(text, &value);
    (void)!config_parse_port(text, &port);
    if (config_parse_bool(text, &truth) == FL_OK && truth)
        FL_ASSERT(config_is_truthy(text));
}

static void check_texts(struct fl_slice text)
{
    static const struct config_counts counts = {10, 4, 6, 0, 3};
    const struct config_identity identity = {.app_id = FL_SLICE_LIT("{uuid}"),
                                             .namespace = FL_SLICE_LIT("{appID}"),
                                             .pod_name = FL_SLICE_LIT("{namespace}")};
    struct fl_arena arena = {0};
    struct config_trip trip;
    struct fl_slice expanded;
    struct fl_error error = {.text = ""};
    if (config_trip_parse(text, &arena, &trip, &error) == FL_OK)
        (void)config_trip_is_met(&trip, &counts);
    else
        FL_ASSERT(error.text[0] != '\0');
    (void)!config_template_expand(text, &identity, &arena, &expanded, &error);
    struct fl_slice clean = config_path_clean(text, &arena);
    FL_ASSERT(clean.data[0] == '/');
    FL_ASSERT(fl_slice_eq(clean, config_path_clean(clean, &arena)));
    static const char *const names[] = {"host", "consumerID", "redisHost"};
    (void)config_spelling_nearest(text, names, 3);
    fl_arena_fini(&arena);
}

/* The first byte chooses what the rest is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice lines[LINES_MAX];
    if (size == 0)
        return 0;
    struct fl_slice text = fl_slice_of((const char *)data + 1, size - 1);
    size_t count = split_lines(text, lines);
    switch (data[0] & 3) {
    case 0:
        check_settings(lines, count, data[0]);
        break;
    case 1:
        check_flags(lines, count);
        break;
    case 2:
        check_amounts(text);
        break;
    case 3:
        check_texts(text);
        break;
    }
    return 0;
}
