/* Rules of the configuration that rewrite label values: metric, label, pattern, replacement.
 *
 * Users wrote their patterns for Go. What Go and POSIX have in common is translated (\d \w \s \D \W
 * \S, (?:…), a leading (?i), \A \z); what POSIX cannot say (lazy repeats, Unicode classes, named
 * groups) is refused with a line in the log, since a rule that means something else is worse than
 * none. A refused rule is left out; the metrics go on without it.
 *
 * As in daprd every pattern of a label is applied in turn, to all its matches, and a later rule for
 * the same metric and label takes an earlier one's place. Go's replacements "$1", "${1}" and "$$"
 * are known; any other name stands for nothing.
 */
#include <stdio.h>

#include "gateway/metrics_priv.h"

/* --- translation --- */

struct translation {
    struct fl_slice in;
    size_t at;
    struct fl_buffer *out;
    size_t group_count, user_group_count;
    uint8_t groups[GW_RULE_GROUPS_MAX];
    bool is_nocase;
    const char *refused; /* what POSIX cannot say */
};

static bool starts_with(const struct translation *t, const char *text)
{
    size_t len = strlen(text);
    return t->in.len - t->at >= len && memcmp(t->in.data + t->at, text, len) == 0;
}

/* The inside of a bracket for a class letter, or NULL. */
static const char *class_members(char letter)
{
    switch (letter) {
    case 'd':
        return "0-9";
    case 'w':
        return "A-Za-z0-9_";
    case 's':
        return " \t\n\f\r";
    }
    return NULL;
}

/* The byte that an escaped letter stands for, 0 when it is none of those. */
static char control_byte(char letter)
{
    switch (letter) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'f':
        return '\f';
    }
    return 0;
}

static bool is_punctuation(char c)
{
    return c > ' ' && c < 127 && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
           !(c >= 'a' && c <= 'z');
}

/* `t->at` is at the letter behind a backslash, outside brackets. */
static void translate_escape(struct translation *t)
{
    if (t->at == t->in.len) {
        t->refused = "a backslash at the end";
        return;
    }
    char c = t->in.data[t->at++];
    const char *members = class_members(fl_ascii_lower(c));
    if (members) {
        fl_buffer_append_str(t->out, fl_ascii_lower(c) == c ? "[" : "[^");
        fl_buffer_append_str(t->out, members);
        fl_buffer_append_byte(t->out, ']');
    } else if (control_byte(c)) {
        fl_buffer_append_byte(t->out, control_byte(c));
    } else if (c == 'A' || c == 'z') {
        fl_buffer_append_byte(t->out, c == 'A' ? '^' : '$');
    } else if (c == 'b' || c == 'B') {
        fl_buffer_append_byte(t->out, '\\');
        fl_buffer_append_byte(t->out, c);
    } else if (is_punctuation(c)) {
        /* A bracket makes it itself; the two that brackets do not take alone get a backslash. */
        fl_buffer_append_str(t->out, c == '^' || c == '\\' ? "\\" : "[");
        fl_buffer_append_byte(t->out, c);
        if (c != '^' && c != '\\')
            fl_buffer_append_byte(t->out, ']');
    } else {
        t->refused = "an escape that is not known here";
    }
}

/* An escape inside a bracket: POSIX has none, so only what needs no escaping there can be said. */
static void translate_bracket_escape(struct translation *t)
{
    char c = t->at < t->in.len ? t->in.data[t->at++] : 0;
    const char *members = class_members(c);
    if (members)
        fl_buffer_append_str(t->out, members);
    else if (control_byte(c))
        fl_buffer_append_byte(t->out, control_byte(c));
    else if (is_punctuation(c) && c != ']' && c != '^' && c != '-' && c != '[')
        fl_buffer_append_byte(t->out, c);
    else
        t->refused = "an escape inside brackets that is not known here";
}

/* `t->at` is behind the opening bracket. */
static void translate_bracket(struct translation *t)
{
    fl_buffer_append_byte(t->out, '[');
    if (starts_with(t, "^")) {
        fl_buffer_append_byte(t->out, '^');
        t->at++;
    }
    bool is_first = true;
    while (!t->refused && t->at < t->in.len) {
        if (starts_with(t, "[:")) {
            size_t left = t->in.len - t->at;
            const char *end = memmem(t->in.data + t->at, left, ":]", 2);
            size_t len = end ? (size_t)(end - t->in.data) + 2 - t->at : left;
            fl_buffer_append(t->out, t->in.data + t->at, len);
            t->at += len;
        } else {
            char c = t->in.data[t->at++];
            if (c == '\\')
                translate_bracket_escape(t);
            else
                fl_buffer_append_byte(t->out, c);
            if (c == ']' && !is_first)
                return;
        }
        is_first = false;
    }
    if (!t->refused)
        t->refused = "a bracket that is not closed";
}

/* `t->at` is behind the opening parenthesis. */
static void translate_group(struct translation *t)
{
    t->group_count++;
    fl_buffer_append_byte(t->out, '(');
    if (starts_with(t, "?:")) {
        t->at += 2;
        return;
    }
    if (starts_with(t, "?")) {
        t->refused = "a group with options";
        return;
    }
    if (++t->user_group_count < GW_RULE_GROUPS_MAX && t->group_count < UINT8_MAX)
        t->groups[t->user_group_count] = (uint8_t)t->group_count;
}

static void translate_one(struct translation *t)
{
    char c = t->in.data[t->at++];
    switch (c) {
    case '\\':
        translate_escape(t);
        return;
    case '[':
        translate_bracket(t);
        return;
    case '(':
        translate_group(t);
        return;
    case '*':
    case '+':
    case '?':
    case '}':
        if (starts_with(t, "?"))
            t->refused = "a lazy repeat";
        break;
    }
    fl_buffer_append_byte(t->out, c);
}

static void translate(struct translation *t)
{
    if (starts_with(t, "(?i)")) {
        t->is_nocase = true;
        t->at += 4;
    }
    if (t->in.len > GW_RULE_PATTERN_MAX)
        t->refused = "too long";
    while (!t->refused && t->at < t->in.len)
        translate_one(t);
}

/* --- compiling --- */

static bool compile_rule(const struct config_pair *pair, struct gw_rule *rule, char *why,
                         size_t why_room)
{
    struct fl_buffer text = {0};
    struct translation t = {.in = pair->value, .out = &text};
    translate(&t);
    bool is_compiled = false;
    if (t.refused) {
        snprintf(why, why_room, "%s", t.refused);
    } else {
        int flags = REG_EXTENDED | (t.is_nocase ? REG_ICASE : 0);
        int failed = regcomp(&rule->regex, fl_buffer_cstr(&text), flags);
        if (failed)
            regerror(failed, &rule->regex, why, why_room);
        is_compiled = !failed;
    }
    memcpy(rule->groups, t.groups, sizeof rule->groups);
    fl_buffer_fini(&text);
    return is_compiled;
}

/* Metric names compare without "dapr_", and a slash is as good as an underscore. */
static bool is_metric_named(const struct gw_metric_row *row, struct fl_slice name)
{
    const struct fl_slice prefix = FL_SLICE_LIT("dapr_");
    struct fl_slice ours = fl_slice_str(row->name);
    if (fl_slice_starts_with(ours, prefix))
        ours = fl_slice_of(ours.data + prefix.len, ours.len - prefix.len);
    if (fl_slice_starts_with(name, prefix))
        name = fl_slice_of(name.data + prefix.len, name.len - prefix.len);
    if (ours.len != name.len)
        return false;
    for (size_t i = 0; i < ours.len; i++)
        if (ours.data[i] != (name.data[i] == '/' ? '_' : name.data[i]))
            return false;
    return true;
}

static struct gw_label *find_label(struct gw_metrics *metrics, struct fl_slice metric,
                                   struct fl_slice name)
{
    for (size_t i = 0; i < GW_METRIC_COUNT; i++) {
        struct gw_family *family = &metrics->families[i];
        for (size_t at = 0; is_metric_named(family->row, metric) && at < family->label_count; at++)
            if (fl_slice_eq(family->labels[at].name, name))
                return &family->labels[at];
    }
    return NULL;
}

/* The list of the label's own rules replaces what an earlier mention put there. */
static void add_label_rules(struct gw_metrics *metrics, struct gw_label *label,
                            struct fl_slice metric, const struct config_pairs *pairs, size_t *count,
                            const struct fl_log *log)
{
    struct gw_rule **end = &label->rules;
    *end = NULL;
    for (size_t i = 0; i < pairs->count && *count < GW_METRIC_RULES_MAX; i++, ++*count) {
        struct gw_rule *rule = FL_ARENA_NEW(&metrics->arena, struct gw_rule);
        char why[128];
        if (!compile_rule(&pairs->items[i], rule, why, sizeof why)) {
            if (log)
                FL_ERROR(log, "dapr.runtime",
                         "metrics: rule for %.*s, label %.*s: regular expression \"%.*s\": %s",
                         FL_SLICE_ARG(metric), FL_SLICE_ARG(label->name),
                         FL_SLICE_ARG(pairs->items[i].value), why);
            continue;
        }
        rule->replacement = fl_arena_copy(&metrics->arena, pairs->items[i].name);
        rule->next_all = metrics->all_rules;
        metrics->all_rules = rule;
        *end = rule;
        end = &rule->next;
    }
}

void gw_metrics_add_rules(struct gw_metrics *metrics, const struct config_metrics *config,
                          const struct fl_log *log)
{
    size_t count = 0;
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct config_metric_rule *rule = &config->rules[i];
        for (size_t at = 0; at < rule->label_count; at++) {
            struct gw_label *label = find_label(metrics, rule->name, rule->labels[at].name);
            if (label)
                add_label_rules(metrics, label, rule->name, &rule->labels[at].regex, &count, log);
        }
    }
    if (log && count == GW_METRIC_RULES_MAX)
        FL_WARN(log, "dapr.runtime", "metrics: at most %d rules are used", GW_METRIC_RULES_MAX);
}

void gw_metrics_fini_rules(struct gw_metrics *metrics)
{
    for (struct gw_rule *rule = metrics->all_rules; rule; rule = rule->next_all)
        regfree(&rule->regex);
    metrics->all_rules = NULL;
}

/* --- applying --- */

/* A label value under construction; what does not fit is dropped. */
struct value {
    char data[GW_LABEL_VALUE_MAX + 1];
    size_t len;
};

static void append(struct value *value, const char *data, size_t len)
{
    size_t room = GW_LABEL_VALUE_MAX - value->len;
    size_t taken = len < room ? len : room;
    memcpy(value->data + value->len, data, taken);
    value->len += taken;
}

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Takes the name behind a dollar; the null slice when there is none and the dollar is a dollar. */
static struct fl_slice take_name(struct fl_slice *rest)
{
    const char *data = rest->data;
    size_t open = rest->len && data[0] == '{' ? 1 : 0, len = open;
    while (len < rest->len && is_word(data[len]))
        len++;
    bool is_closed = !open || (len < rest->len && data[len] == '}');
    if (len == open || !is_closed)
        return FL_SLICE_NULL;
    *rest = fl_slice_of(data + len + open, rest->len - len - open);
    return fl_slice_of(data + open, len - open);
}

static void append_group(struct value *out, const struct gw_rule *rule, struct fl_slice name,
                         const char *subject, const regmatch_t *matches)
{
    uint64_t number;
    if (!fl_slice_to_u64(name, &number) || number >= GW_RULE_GROUPS_MAX)
        return;
    uint8_t group = number ? rule->groups[number] : 0;
    bool is_there = number == 0 || (group > 0 && group < 2 * GW_RULE_GROUPS_MAX);
    if (is_there && matches[group].rm_so >= 0)
        append(out, subject + matches[group].rm_so,
               (size_t)(matches[group].rm_eo - matches[group].rm_so));
}

static void append_replacement(struct value *out, const struct gw_rule *rule, const char *subject,
                               const regmatch_t *matches)
{
    struct fl_slice rest = rule->replacement;
    while (rest.len) {
        size_t plain = fl_slice_find_byte(rest, '$');
        append(out, rest.data, plain);
        if (plain == rest.len)
            return;
        rest = fl_slice_of(rest.data + plain + 1, rest.len - plain - 1);
        if (rest.len && rest.data[0] == '$') {
            append(out, "$", 1);
            rest = fl_slice_of(rest.data + 1, rest.len - 1);
            continue;
        }
        struct fl_slice name = take_name(&rest);
        if (fl_slice_is_null(name))
            append(out, "$", 1);
        else
            append_group(out, rule, name, subject, matches);
    }
}

/* Bytes to step over behind an empty match: a whole character, which is never cut. */
static size_t step_of(const char *at)
{
    size_t step = fl_utf8_sequence(fl_slice_str(at));
    return step ? step : 1;
}

/* Every match is replaced, from the left; an empty one right behind a match does not count. */
static void replace_all(const struct gw_rule *rule, const char *subject, struct value *out)
{
    regmatch_t matches[2 * GW_RULE_GROUPS_MAX];
    size_t at = 0, len = strlen(subject);
    bool is_behind_match = false;
    while (at <= len) {
        int flags = at ? REG_NOTBOL : 0;
        const char *rest = subject + at;
        if (regexec(&rule->regex, rest, 2 * GW_RULE_GROUPS_MAX, matches, flags) != 0)
            break;
        size_t start = (size_t)matches[0].rm_so, end = (size_t)matches[0].rm_eo;
        append(out, rest, start);
        if (end > start || start > 0 || !is_behind_match)
            append_replacement(out, rule, rest, matches);
        if (end == start && at + end < len) {
            size_t step = step_of(rest + end);
            append(out, rest + end, step);
            end += step;
            is_behind_match = false;
        } else {
            is_behind_match = true;
            if (end == start)
                return;
        }
        at += end;
    }
    append(out, subject + at, len - at);
}

/* A value that was cut in the middle of a character loses the rest of it. */
static void trim_to_character(struct value *value)
{
    size_t at = 0;
    while (at < value->len) {
        size_t step = fl_utf8_sequence(fl_slice_of(value->data + at, value->len - at));
        if (!step)
            break;
        at += step;
    }
    value->len = at;
}

void gw_rules_apply(const struct gw_rule *rules, char *value)
{
    for (; rules; rules = rules->next) {
        struct value out = {.len = 0};
        replace_all(rules, value, &out);
        trim_to_character(&out);
        memcpy(value, out.data, out.len);
        value[out.len] = 0;
    }
}
