/* One policy of a resiliency document: a time limit, a retry, a circuit breaker.
 *
 * daprd takes most numbers as text as well, so their fields are read as any value and converted
 * here. A redefinition of one of the initialisation and service retries with fewer than three
 * retries is lifted to three, as daprd does.
 */
#include <stdio.h>

#include "config/quantity.h"
#include "config/resiliency_priv.h"

enum { CODES_MAX = 600 };

static enum fl_err refuse(struct config_resiliency_decoder *d, const struct config_node *node,
                          const char *path, const char *accepted)
{
    return config_field_error(node, path, accepted, d->error);
}

/* A duration, or a bare integer of milliseconds; absent leaves `ms` as it is. */
static enum fl_err read_duration(struct config_resiliency_decoder *d,
                                 const struct config_node *node, const char *path, int64_t min_ms,
                                 int64_t *ms)
{
    struct fl_slice text;
    int64_t ns;
    if (!node)
        return FL_OK;
    if (config_node_string(node, d->reader.arena, &text) != FL_OK ||
        config_parse_duration(text, CONFIG_BARE_MS, &ns) != FL_OK || config_ns_to_ms(ns) < min_ms)
        return refuse(d, node, path,
                      min_ms > 0 ? "a positive duration such as 500ms, or an integer of "
                                   "milliseconds"
                                 : "a duration such as 500ms, or an integer of milliseconds, not "
                                   "negative");
    *ms = config_ns_to_ms(ns);
    return FL_OK;
}

/* --- time limits -------------------------------------------------------------------------------
 */

enum fl_err config_decode_timeout(struct config_resiliency_decoder *d,
                                  const struct config_node_pair *pair, const char *path)
{
    int64_t ms = 0;
    enum fl_err err = read_duration(d, pair->value, path, 0, &ms);
    if (err != FL_OK)
        return err;
    int64_t *kept = FL_ARENA_NEW(d->resiliency->arena, int64_t);
    *kept = ms;
    fl_map_set(&d->resiliency->timeouts, pair->key, kept);
    return FL_OK;
}

/* --- retries -----------------------------------------------------------------------------------
 */

/* "500" or "500-503". */
static bool parse_range(struct fl_slice part, int64_t min, int64_t max,
                        struct config_code_range *range)
{
    int64_t first, last;
    size_t dash = fl_slice_find_byte(part, '-');
    struct fl_slice left = fl_slice_trim(fl_slice_of(part.data, dash)), right = left;
    if (dash < part.len)
        right = fl_slice_trim(fl_slice_of(part.data + dash + 1, part.len - dash - 1));
    if (config_parse_int(left, &first) != FL_OK || config_parse_int(right, &last) != FL_OK)
        return false;
    if (first < min || last > max || first > last)
        return false;
    *range = (struct config_code_range){(int32_t)first, (int32_t)last};
    return true;
}

static bool parse_codes(struct fl_slice text, int64_t min, int64_t max, struct fl_arena *arena,
                        struct config_codes *codes)
{
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.data[i] == ',';
    if (most > CODES_MAX)
        return false;
    *codes = (struct config_codes){.items = FL_ARENA_ARRAY(arena, struct config_code_range, most),
                                   .is_set = true};
    for (bool is_last = false; !is_last;) {
        size_t at = fl_slice_find_byte(text, ',');
        struct fl_slice part = fl_slice_trim(fl_slice_of(text.data, at));
        if (!parse_range(part, min, max, &codes->items[codes->count++]))
            return false;
        is_last = at == text.len;
        if (!is_last)
            text = fl_slice_of(text.data + at + 1, text.len - at - 1);
    }
    return true;
}

struct matching {
    const struct config_node *http, *grpc;
};

static const struct config_field matching_fields[] = {
    CONFIG_FIELD(matching, http, "httpStatusCodes", CONFIG_FIELD_ANY),
    CONFIG_FIELD(matching, grpc, "gRPCStatusCodes", CONFIG_FIELD_ANY),
    {NULL},
};

static enum fl_err read_codes(struct config_resiliency_decoder *d, const struct config_node *node,
                              const char *path, int64_t min, int64_t max,
                              struct config_codes *codes)
{
    struct fl_slice text;
    if (!node)
        return FL_OK;
    if (config_node_string(node, d->reader.arena, &text) == FL_OK &&
        (text.len == 0 || parse_codes(text, min, max, d->resiliency->arena, codes)))
        return FL_OK;
    return refuse(d, node, path,
                  max == 16 ? "codes and ranges of codes from 0 to 16, such as 1,4-6"
                            : "codes and ranges of codes from 100 to 599, such as 429,500-503");
}

static enum fl_err decode_matching(struct config_resiliency_decoder *d,
                                   const struct config_node *node, const char *path,
                                   struct config_retry *retry)
{
    struct matching matching = {0};
    char name[CONFIG_RESILIENCY_FIELD_PATH];
    snprintf(name, sizeof name, "%s.matching", path);
    enum fl_err err =
        config_fields_read(&d->reader, node, name, matching_fields, &matching, d->error);
    snprintf(name, sizeof name, "%s.matching.httpStatusCodes", path);
    if (err == FL_OK)
        err = read_codes(d, matching.http, name, 100, 599, &retry->http_codes);
    snprintf(name, sizeof name, "%s.matching.gRPCStatusCodes", path);
    if (err == FL_OK)
        err = read_codes(d, matching.grpc, name, 0, 16, &retry->grpc_codes);
    return err;
}

struct retry {
    const struct config_node *policy, *duration, *max_interval, *max_retries, *matching;
};

static const struct config_field retry_fields[] = {
    CONFIG_FIELD(retry, policy, "policy", CONFIG_FIELD_ANY),
    CONFIG_FIELD(retry, duration, "duration", CONFIG_FIELD_ANY),
    CONFIG_FIELD(retry, max_interval, "maxInterval", CONFIG_FIELD_ANY),
    CONFIG_FIELD(retry, max_retries, "maxRetries", CONFIG_FIELD_ANY),
    CONFIG_FIELD(retry, matching, "matching", CONFIG_FIELD_MAP),
    {NULL},
};

static enum fl_err read_policy_word(struct config_resiliency_decoder *d,
                                    const struct config_node *node, const char *path,
                                    bool *is_exponential)
{
    struct fl_slice text = FL_SLICE_LIT("constant");
    if (node && config_node_string(node, d->reader.arena, &text) != FL_OK)
        return refuse(d, node, path, "constant, exponential");
    *is_exponential = fl_slice_eq_nocase(text, FL_SLICE_LIT("exponential"));
    if (*is_exponential || text.len == 0 || fl_slice_eq_nocase(text, FL_SLICE_LIT("constant")))
        return FL_OK;
    return refuse(d, node, path, "constant, exponential");
}

/* Any negative count means for ever; daprd writes the field as a number or as a string. */
static enum fl_err read_max_retries(struct config_resiliency_decoder *d,
                                    const struct config_node *node, const char *path,
                                    int64_t *max_retries)
{
    struct fl_slice text;
    int64_t value;
    if (!node)
        return FL_OK;
    if (config_node_string(node, d->reader.arena, &text) != FL_OK ||
        config_parse_int(text, &value) != FL_OK || value > INT32_MAX)
        return refuse(d, node, path, "an integer; -1: for ever");
    *max_retries = value < 0 ? CONFIG_RETRY_FOREVER : value;
    return FL_OK;
}

static void lift_built_in(struct config_resiliency_decoder *d, const struct config_node *node,
                          struct config_retry *retry)
{
    char place[CONFIG_PLACE_TEXT];
    if (!config_retry_is_built_in(retry->name) || retry->max_retries >= CONFIG_BUILT_IN_RETRIES)
        return;
    config_note(d->reader.notes, FL_LOG_WARNING, CONFIG_RESILIENCY_SCOPE,
                "Attempted override of %s did not meet minimum retry count, resetting to %d. (%s)",
                retry->name.data, CONFIG_BUILT_IN_RETRIES,
                config_field_place(node, node->line, place));
    retry->max_retries = CONFIG_BUILT_IN_RETRIES;
}

static enum fl_err read_retry(struct config_resiliency_decoder *d, const struct retry *from,
                              const char *path, struct config_retry *retry)
{
    char name[CONFIG_RESILIENCY_FIELD_PATH];
    snprintf(name, sizeof name, "%s.policy", path);
    enum fl_err err = read_policy_word(d, from->policy, name, &retry->is_exponential);
    snprintf(name, sizeof name, "%s.duration", path);
    if (err == FL_OK)
        err = read_duration(d, from->duration, name, 0, &retry->duration_ms);
    snprintf(name, sizeof name, "%s.maxInterval", path);
    if (err == FL_OK)
        err = read_duration(d, from->max_interval, name, 0, &retry->max_interval_ms);
    snprintf(name, sizeof name, "%s.maxRetries", path);
    if (err == FL_OK)
        err = read_max_retries(d, from->max_retries, name, &retry->max_retries);
    if (err == FL_OK)
        err = decode_matching(d, from->matching, path, retry);
    return err;
}

enum fl_err config_decode_retry(struct config_resiliency_decoder *d,
                                const struct config_node_pair *pair, const char *path)
{
    struct retry from = {0};
    struct config_retry retry = {
        .duration_ms = 5000, .max_interval_ms = 60000, .max_retries = CONFIG_RETRY_FOREVER};
    enum fl_err err =
        config_fields_read(&d->reader, pair->value, path, retry_fields, &from, d->error);
    if (err == FL_OK)
        err = read_retry(d, &from, path, &retry);
    if (err != FL_OK)
        return err;
    retry.name = fl_arena_copy(d->resiliency->arena, pair->key);
    lift_built_in(d, pair->value, &retry);
    struct config_retry *kept = FL_ARENA_NEW(d->resiliency->arena, struct config_retry);
    *kept = retry;
    fl_map_set(&d->resiliency->retries, retry.name, kept);
    return FL_OK;
}

/* --- circuit breakers --------------------------------------------------------------------------
 */

struct breaker {
    int64_t max_requests;
    const struct config_node *interval, *timeout, *trip;
};

static const struct config_field breaker_fields[] = {
    CONFIG_FIELD(breaker, max_requests, "maxRequests", CONFIG_FIELD_INT64),
    CONFIG_FIELD(breaker, interval, "interval", CONFIG_FIELD_ANY),
    CONFIG_FIELD(breaker, timeout, "timeout", CONFIG_FIELD_ANY),
    CONFIG_FIELD(breaker, trip, "trip", CONFIG_FIELD_ANY),
    {NULL},
};

static enum fl_err read_trip(struct config_resiliency_decoder *d, const struct config_node *node,
                             const char *path, struct config_trip *trip)
{
    struct fl_slice text = FL_SLICE_LIT("consecutiveFailures > 5");
    struct fl_error cause;
    if (node && config_node_string(node, d->reader.arena, &text) != FL_OK)
        return refuse(d, node, path, "an expression such as consecutiveFailures > 5");
    if (text.len == 0)
        text = FL_SLICE_LIT("consecutiveFailures > 5");
    if (config_trip_parse(text, d->resiliency->arena, trip, &cause) == FL_OK)
        return FL_OK;
    char place[CONFIG_PLACE_TEXT];
    return fl_error_set(d->error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s: %s: found \"%.*s%s\": %s",
                        config_field_place(node, node->line, place), path,
                        (int)(text.len > 100 ? 100 : text.len), text.data,
                        text.len > 100 ? "…" : "", cause.text);
}

static enum fl_err read_breaker(struct config_resiliency_decoder *d, const struct breaker *from,
                                const char *path, struct config_breaker *breaker)
{
    char name[CONFIG_RESILIENCY_FIELD_PATH];
    snprintf(name, sizeof name, "%s.interval", path);
    enum fl_err err = read_duration(d, from->interval, name, 0, &breaker->interval_ms);
    snprintf(name, sizeof name, "%s.timeout", path);
    if (err == FL_OK)
        err = read_duration(d, from->timeout, name, 0, &breaker->timeout_ms);
    snprintf(name, sizeof name, "%s.trip", path);
    if (err == FL_OK)
        err = read_trip(d, from->trip, name, &breaker->trip);
    return err;
}

enum fl_err config_decode_breaker(struct config_resiliency_decoder *d,
                                  const struct config_node_pair *pair, const char *path)
{
    struct breaker from = {.max_requests = 1};
    struct config_breaker breaker = {.timeout_ms = 60000};
    enum fl_err err =
        config_fields_read(&d->reader, pair->value, path, breaker_fields, &from, d->error);
    if (err == FL_OK)
        err = read_breaker(d, &from, path, &breaker);
    if (err != FL_OK)
        return err;
    breaker.name = fl_arena_copy(d->resiliency->arena, pair->key);
    breaker.max_requests = from.max_requests > 0 ? from.max_requests : 1;
    if (breaker.timeout_ms == 0)
        breaker.timeout_ms = 60000;
    struct config_breaker *kept = FL_ARENA_NEW(d->resiliency->arena, struct config_breaker);
    *kept = breaker;
    fl_map_set(&d->resiliency->breakers, breaker.name, kept);
    return FL_OK;
}
