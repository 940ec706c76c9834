/* The rules of CloudEvents attributes; see attribute.h. */
#include "cloudevents/attribute.h"

#include <stddef.h>

#include "cloudevents/timestamp.h"

#define MAX_NAME_BYTES 1024

static const struct ce_attribute_rule rules[] = {
    {"id", CE_TYPE_STRING, true},
    {"source", CE_TYPE_URI_REFERENCE, true},
    {"specversion", CE_TYPE_STRING, true},
    {"type", CE_TYPE_STRING, true},
    {"datacontenttype", CE_TYPE_MEDIA_TYPE, false},
    {"dataschema", CE_TYPE_URI, false},
    {"subject", CE_TYPE_STRING, false},
    {"time", CE_TYPE_TIMESTAMP, false},
};
#define RULE_COUNT (sizeof rules / sizeof *rules)

const struct ce_attribute_rule *ce_attribute_rules(size_t *count)
{
    *count = RULE_COUNT;
    return rules;
}

const struct ce_attribute_rule *ce_attribute_find(struct fl_slice name)
{
    for (size_t i = 0; i < RULE_COUNT; i++)
        if (fl_slice_eq_str(name, rules[i].name))
            return &rules[i];
    return NULL;
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return is_lower(fl_ascii_lower(c));
}

/* Whether `c` is one of `set`; never NUL. */
static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

bool ce_attribute_name_is_valid(struct fl_slice name)
{
    if (name.len == 0 || name.len > MAX_NAME_BYTES || fl_slice_eq_str(name, "data"))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_lower(name.data[i]) && !is_digit(name.data[i]))
            return false;
    return true;
}

/* --- strings and numbers --- */

/* Whether the character of `len` bytes (2 to 4) may stand in a String: no U+0080 to U+009F and none
 * of the noncharacters, which are U+FDD0 to U+FDEF and the last two of every plane. */
static bool is_string_character(const unsigned char *at, size_t len)
{
    if (len == 2)
        return at[0] != 0xc2 || at[1] >= 0xa0;
    uint32_t code = len == 3 ? at[0] & 0x0fu : at[0] & 0x07u;
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (at[i] & 0x3fu);
    return (code & 0xfffe) != 0xfffe && (code < 0xfdd0 || code > 0xfdef);
}

bool ce_string_is_valid(struct fl_slice text)
{
    while (text.len > 0) {
        unsigned char c = (unsigned char)text.data[0];
        size_t len = 1;
        if (c < 0x20 || c == 0x7f)
            return false;
        if (c >= 0x80) {
            len = fl_utf8_sequence(text);
            if (len == 0 || !is_string_character((const unsigned char *)text.data, len))
                return false;
        }
        text = fl_slice_of(text.data + len, text.len - len);
    }
    return true;
}

bool ce_integer_is_valid(struct fl_slice text)
{
    bool is_negative = text.len > 0 && text.data[0] == '-';
    struct fl_slice digits = fl_slice_of(text.data + is_negative, text.len - is_negative);
    uint64_t size;
    if (!fl_slice_to_u64(digits, &size) || (digits.len > 1 && digits.data[0] == '0'))
        return false;
    return size <= (uint64_t)INT32_MAX + (is_negative ? 1 : 0);
}

/* --- URIs --- */

/* Length of the scheme before the first colon; 0 when there is none or it is malformed. */
static size_t scheme_length(struct fl_slice text)
{
    size_t i = 0;
    while (i < text.len &&
           (is_letter(text.data[i]) || is_digit(text.data[i]) || is_one_of(text.data[i], "+-.")))
        i++;
    return i > 0 && i < text.len && text.data[i] == ':' && is_letter(text.data[0]) ? i : 0;
}

/* Checks the bytes of what follows a scheme: escapes whole, brackets in an authority only, one `#`.
 */
static bool are_uri_bytes(struct fl_slice text)
{
    bool has_authority = text.len >= 2 && memcmp(text.data, "//", 2) == 0;
    bool is_in_authority = has_authority, has_fragment = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (has_authority && i >= 2 && is_one_of(c, "/?#"))
            is_in_authority = false;
        if (c == '%') {
            if (text.len - i < 3 ||
                !is_one_of(fl_ascii_lower(text.data[i + 1]), "0123456789abcdef") ||
                !is_one_of(fl_ascii_lower(text.data[i + 2]), "0123456789abcdef"))
                return false;
            i += 2;
        } else if (c == '[' || c == ']') {
            if (!is_in_authority)
                return false;
        } else if (c == '#') {
            if (has_fragment)
                return false;
            has_fragment = true;
        } else if (!is_letter(c) && !is_digit(c) && !is_one_of(c, "-._~:/?@!$&'()*+,;=")) {
            return false;
        }
    }
    return true;
}

bool ce_uri_is_valid(struct fl_slice text)
{
    size_t scheme = scheme_length(text);
    return scheme > 0 && are_uri_bytes(fl_slice_of(text.data + scheme + 1, text.len - scheme - 1));
}

bool ce_uri_reference_is_valid(struct fl_slice text)
{
    if (text.len == 0)
        return false;
    if (ce_uri_is_valid(text))
        return true;
    /* Without a scheme the first segment holds no colon. */
    size_t colon = fl_slice_find_byte(text, ':');
    size_t end = 0;
    while (end < text.len && !is_one_of(text.data[end], "/?#"))
        end++;
    return colon >= end && are_uri_bytes(text);
}

/* --- media types --- */

static size_t token_length(struct fl_slice s)
{
    size_t i = 0;
    while (i < s.len &&
           (is_letter(s.data[i]) || is_digit(s.data[i]) || is_one_of(s.data[i], "!#$%&'*+-.^_`|~")))
        i++;
    return i;
}

static struct fl_slice skip(struct fl_slice s, size_t count)
{
    return fl_slice_of(s.data + count, s.len - count);
}

static struct fl_slice skip_blanks(struct fl_slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = skip(s, 1);
    return s;
}

/* Length of a quoted string with its quotes; 0 when malformed. */
static size_t quoted_length(struct fl_slice s)
{
    for (size_t i = 1; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '"')
            return i + 1;
        if (c == '\\')
            i++;
        else if (c < 0x20 && c != '\t')
            return 0;
    }
    return 0;
}

/* Takes `; name=value` or a bare `;` off the front. */
static bool take_parameter(struct fl_slice *rest)
{
    struct fl_slice s = skip_blanks(*rest);
    if (s.len == 0 || s.data[0] != ';')
        return false;
    s = skip_blanks(skip(s, 1));
    if (s.len > 0 && s.data[0] != ';') {
        size_t len = token_length(s);
        if (len == 0 || len == s.len || s.data[len] != '=')
            return false;
        s = skip(s, len + 1);
        len = s.len > 0 && s.data[0] == '"' ? quoted_length(s) : token_length(s);
        if (len == 0)
            return false;
        s = skip(s, len);
    }
    *rest = s;
    return true;
}

bool ce_media_type_is_valid(struct fl_slice text)
{
    size_t type = token_length(text);
    if (type == 0 || type == text.len || text.data[type] != '/')
        return false;
    struct fl_slice rest = skip(text, type + 1);
    size_t subtype = token_length(rest);
    if (subtype == 0)
        return false;
    rest = skip(rest, subtype);
    while (skip_blanks(rest).len > 0)
        if (!take_parameter(&rest))
            return false;
    return true;
}

struct fl_slice ce_media_type_bare(struct fl_slice text)
{
    return fl_slice_trim(fl_slice_of(text.data, fl_slice_find_byte(text, ';')));
}

static bool ends_with_nocase(struct fl_slice s, struct fl_slice end)
{
    return s.len >= end.len && fl_slice_eq_nocase(skip(s, s.len - end.len), end);
}

bool ce_media_type_is_json(struct fl_slice text)
{
    struct fl_slice bare = ce_media_type_bare(text);
    return ends_with_nocase(bare, FL_SLICE_LIT("/json")) ||
           ends_with_nocase(bare, FL_SLICE_LIT("+json"));
}

bool ce_media_type_is_text(struct fl_slice text)
{
    struct fl_slice bare = ce_media_type_bare(text);
    return fl_slice_starts_with_nocase(bare, FL_SLICE_LIT("text/")) ||
           ends_with_nocase(bare, FL_SLICE_LIT("/xml")) ||
           ends_with_nocase(bare, FL_SLICE_LIT("+xml")) ||
           fl_slice_eq_nocase(bare, FL_SLICE_LIT("application/javascript")) ||
           fl_slice_eq_nocase(bare, FL_SLICE_LIT("application/x-www-form-urlencoded"));
}

/* --- the rules together --- */

static const char *complain(const struct ce_attribute_rule *rule, struct fl_slice value)
{
    struct ce_timestamp time;
    if (!ce_string_is_valid(value))
        return "holds a control character, a noncharacter or bytes that are no UTF-8";
    if (!rule)
        return NULL;
    if (value.len == 0)
        return "must not be empty";
    switch (rule->type) {
    case CE_TYPE_STRING:
        return NULL;
    case CE_TYPE_BOOLEAN:
        return fl_slice_eq_str(value, "true") || fl_slice_eq_str(value, "false") ? NULL
                                                                                 : "is no Boolean";
    case CE_TYPE_INTEGER:
        return ce_integer_is_valid(value) ? NULL : "is no 32-bit Integer";
    case CE_TYPE_URI:
        return ce_uri_is_valid(value) ? NULL : "is no absolute URI";
    case CE_TYPE_URI_REFERENCE:
        return ce_uri_reference_is_valid(value) ? NULL : "is no URI reference";
    case CE_TYPE_TIMESTAMP:
        return ce_timestamp_parse(value, &time) ? NULL : "is no RFC 3339 time";
    case CE_TYPE_MEDIA_TYPE:
        return ce_media_type_is_valid(value) ? NULL : "is no media type";
    }
    return NULL;
}

enum fl_err ce_attribute_check(struct fl_slice name, struct fl_slice value, struct fl_error *error)
{
    const struct ce_attribute_rule *rule = ce_attribute_find(name);
    const char *reason = complain(rule, value);
    if (!reason && fl_slice_eq_str(name, "specversion") && !fl_slice_eq_str(value, "1.0"))
        reason = "is not supported; only 1.0 is";
    if (!reason)
        return FL_OK;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "attribute %.*s %s",
                        name.len > 64 ? 64 : (int)name.len, name.data, reason);
}
