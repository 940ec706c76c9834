/* Labels of HTTP: path, method and status.
 *
 * A path label is the first that applies: the pattern of pathMatching that fits best; the path
 * itself, with what stands behind a state or secret store's name cut off; or, when
 * increasedCardinality is false, nothing, save for the few paths of ours on the application.
 *
 * Patterns are those of Go's ServeMux: "{name}" is one segment, "{name...}" or a slash at the end
 * all the rest, "{$}" the end behind a slash. Where several fit, a literal segment wins over
 * "{name}", and that over the rest, from the left.
 */
#include "gateway/metrics_priv.h"

#define INVOKE_PREFIX "/v1.0/invoke/{app_id}/method"

/* --- patterns --- */

/* Takes the segment behind the slash at which `rest` starts; false when there is none. */
static bool take_segment(struct fl_slice *rest, struct fl_slice *segment)
{
    if (!rest->len || rest->data[0] != '/')
        return false;
    struct fl_slice behind = fl_slice_of(rest->data + 1, rest->len - 1);
    size_t len = fl_slice_find_byte(behind, '/');
    *segment = fl_slice_of(behind.data, len);
    *rest = fl_slice_of(behind.data + len, behind.len - len);
    return true;
}

/* Larger is more specific. */
enum segment_kind { SEGMENT_REST, SEGMENT_ANY, SEGMENT_LITERAL, SEGMENT_END };

static enum segment_kind kind_of(struct fl_slice segment, struct fl_slice rest)
{
    if (segment.len == 0 && rest.len == 0)
        return SEGMENT_REST;
    if (segment.len < 2 || segment.data[0] != '{' || segment.data[segment.len - 1] != '}')
        return SEGMENT_LITERAL;
    if (fl_slice_eq_str(segment, "{$}"))
        return SEGMENT_END;
    bool is_rest = segment.len > 5 && memcmp(segment.data + segment.len - 4, "...}", 4) == 0;
    return is_rest ? SEGMENT_REST : SEGMENT_ANY;
}

static bool pattern_matches(struct fl_slice pattern, struct fl_slice path)
{
    struct fl_slice wanted, given;
    while (take_segment(&pattern, &wanted)) {
        if (!take_segment(&path, &given))
            return false;
        switch (kind_of(wanted, pattern)) {
        case SEGMENT_REST:
            return true;
        case SEGMENT_END:
            return given.len == 0 && path.len == 0;
        case SEGMENT_ANY:
            if (given.len == 0)
                return false;
            break;
        case SEGMENT_LITERAL:
            if (!fl_slice_eq(wanted, given))
                return false;
            break;
        }
    }
    return path.len == 0;
}

/* Both match the same path, so their segments stand side by side. */
static bool is_more_specific(struct fl_slice a, struct fl_slice b)
{
    struct fl_slice in_a, in_b;
    while (take_segment(&a, &in_a) && take_segment(&b, &in_b)) {
        enum segment_kind kind_a = kind_of(in_a, a), kind_b = kind_of(in_b, b);
        if (kind_a != kind_b)
            return kind_a > kind_b;
    }
    return false;
}

static struct fl_slice find_pattern(const struct gw_metrics *metrics, struct fl_slice path)
{
    struct fl_slice best = FL_SLICE_NULL;
    for (size_t i = 0; i < metrics->pattern_count; i++) {
        struct fl_slice pattern = metrics->patterns[i];
        if (!pattern_matches(pattern, path))
            continue;
        if (fl_slice_is_null(best) || is_more_specific(pattern, best))
            best = pattern;
    }
    return best;
}

/* With one slash at the start and none doubled. */
static struct fl_slice make_pattern(struct fl_arena *arena, const char *prefix,
                                    struct fl_slice pattern)
{
    struct fl_buffer text = {0};
    fl_buffer_append_str(&text, prefix);
    fl_buffer_append_byte(&text, '/');
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.data[i] != '/' || text.data[text.len - 1] != '/')
            fl_buffer_append_byte(&text, pattern.data[i]);
    struct fl_slice copy = fl_arena_copy(arena, fl_buffer_slice(&text));
    fl_buffer_fini(&text);
    return copy;
}

void gw_metrics_add_patterns(struct gw_metrics *metrics, const struct config_metrics *config,
                             const struct fl_log *log)
{
    size_t count = config->path_matching.count;
    if (count > GW_PATH_PATTERNS_MAX) {
        if (log)
            FL_WARN(log, "dapr.runtime", "metrics: only %d patterns of pathMatching are used",
                    GW_PATH_PATTERNS_MAX);
        count = GW_PATH_PATTERNS_MAX;
    }
    struct fl_arena *arena = &metrics->arena;
    metrics->patterns = FL_ARENA_ARRAY(arena, struct fl_slice, 2 * count + 1);
    for (size_t i = 0; i < count; i++) {
        struct fl_slice pattern = make_pattern(arena, "", config->path_matching.items[i]);
        metrics->patterns[metrics->pattern_count++] = pattern;
        if (!fl_slice_starts_with(pattern, FL_SLICE_LIT("/v1.0/invoke/")))
            metrics->patterns[metrics->pattern_count++] =
                make_pattern(arena, INVOKE_PREFIX, pattern);
    }
}

/* --- labels --- */

static bool is_path_of_ours(struct fl_slice path)
{
    return fl_slice_eq_str(path, "/dapr/config") || fl_slice_eq_str(path, "/dapr/metrics") ||
           fl_slice_eq_str(path, "/dapr/subscribe") || fl_slice_eq_str(path, "/healthz");
}

/* "/v1.0/state/STORE/KEY" without the key, likewise for secrets. */
static struct fl_slice cut_path(struct fl_slice path)
{
    struct fl_slice rest = path, version, api, store;
    if (!take_segment(&rest, &version) || !take_segment(&rest, &api) ||
        !take_segment(&rest, &store))
        return path;
    if (!fl_slice_eq_str(api, "state") && !fl_slice_eq_str(api, "secrets"))
        return path;
    return fl_slice_of(path.data, path.len - rest.len);
}

struct fl_slice gw_metrics_http_path(const struct gw_metrics *metrics, struct fl_slice path)
{
    if (metrics->pattern_count) {
        struct fl_slice pattern = find_pattern(metrics, path);
        if (!fl_slice_is_null(pattern))
            return pattern;
    }
    return metrics->has_increased_cardinality ? cut_path(path) : FL_SLICE_LIT("");
}

struct fl_slice gw_metrics_http_client_path(const struct gw_metrics *metrics, struct fl_slice path)
{
    return is_path_of_ours(path) ? path : gw_metrics_http_path(metrics, path);
}

struct fl_slice gw_metrics_http_method(const struct gw_metrics *metrics, struct fl_slice method)
{
    static const char *const verbs[] = {"GET",     "POST",  "PUT",     "DELETE", "HEAD",
                                        "OPTIONS", "PATCH", "CONNECT", "TRACE"};
    if (metrics->excludes_verbs)
        return FL_SLICE_LIT("");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (fl_slice_eq_str(method, verbs[i]))
            return fl_slice_str(verbs[i]);
    return FL_SLICE_LIT("UNKNOWN");
}

#define TEN(t) #t "0" #t "1" #t "2" #t "3" #t "4" #t "5" #t "6" #t "7" #t "8" #t "9"
#define HUNDRED(h)                                                                                 \
    TEN(h##0)                                                                                      \
    TEN(h##1) TEN(h##2) TEN(h##3) TEN(h##4) TEN(h##5) TEN(h##6) TEN(h##7) TEN(h##8) TEN(h##9)

struct fl_slice gw_metrics_http_status(unsigned status)
{
    static const char codes[] = HUNDRED(1) HUNDRED(2) HUNDRED(3) HUNDRED(4) HUNDRED(5);
    if (status == 0)
        return FL_SLICE_LIT("");
    if (status < 100 || status > 599)
        return FL_SLICE_LIT("other");
    return fl_slice_of(codes + (size_t)(status - 100) * 3, 3);
}
