/* W3C trace context and baggage; see trace_context.h. */
#include "cloudevents/trace_context.h"

#include "base/random.h"

#define TRACESTATE_MAX_MEMBERS 32
#define BAGGAGE_MAX_BYTES 8192
#define BAGGAGE_MAX_MEMBERS 180

/* --- traceparent --- */

static int lower_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads `count` bytes as hex; `*any` collects their bits. */
static bool read_hex(const char *at, uint8_t *out, size_t count, unsigned *any)
{
    *any = 0;
    for (size_t i = 0; i < count; i++) {
        int high = lower_hex_value(at[2 * i]), low = lower_hex_value(at[2 * i + 1]);
        if ((high | low) < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        *any |= out[i];
    }
    return true;
}

bool ce_trace_parse(struct fl_slice text, struct ce_trace *trace)
{
    const char *at = text.data;
    if (text.len < CE_TRACEPARENT_LEN || at[2] != '-' || at[35] != '-' || at[52] != '-')
        return false;
    struct ce_trace parsed;
    uint8_t version;
    unsigned trace_bits, span_bits, bits;
    if (!read_hex(at, &version, 1, &bits) || !read_hex(at + 3, parsed.trace_id, 16, &trace_bits) ||
        !read_hex(at + 36, parsed.span_id, 8, &span_bits) ||
        !read_hex(at + 53, &parsed.flags, 1, &bits))
        return false;
    if (version == 0xff || !trace_bits || !span_bits)
        return false;
    /* Later versions may add parts, behind another dash. */
    if (text.len > CE_TRACEPARENT_LEN && (version == 0 || at[CE_TRACEPARENT_LEN] != '-'))
        return false;
    *trace = parsed;
    return true;
}

static char *put_hex(char *at, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return at;
}

void ce_trace_format(const struct ce_trace *trace, char out[CE_TRACEPARENT_LEN])
{
    memcpy(out, "00-", 3);
    out = put_hex(out + 3, trace->trace_id, 16);
    *out++ = '-';
    out = put_hex(out, trace->span_id, 8);
    *out++ = '-';
    put_hex(out, &trace->flags, 1);
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++)
        bits |= bytes[i];
    return bits == 0;
}

static void new_id(uint8_t *bytes, size_t count)
{
    do
        fl_random_bytes(bytes, count);
    while (is_zero(bytes, count));
}

void ce_trace_child(const struct ce_trace *parent, struct ce_trace *child)
{
    *child = *parent;
    new_id(child->span_id, sizeof child->span_id);
}

void ce_trace_root(double ratio, struct ce_trace *root)
{
    new_id(root->trace_id, sizeof root->trace_id);
    new_id(root->span_id, sizeof root->span_id);
    /* The decision hangs on the id's last eight bytes, so every hop that asks agrees. */
    uint64_t low = 0;
    for (int i = 8; i < 16; i++)
        low = low << 8 | root->trace_id[i];
    root->flags = ratio >= 1 || (double)(low >> 1) < ratio * 9223372036854775808.0;
}

/* --- tracestate --- */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_key_byte(char c)
{
    return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '*' || c == '/';
}

static bool is_key_part(struct fl_slice part, size_t max_len, bool may_start_with_digit)
{
    if (part.len == 0 || part.len > max_len)
        return false;
    if (!is_lower(part.data[0]) && !(may_start_with_digit && is_digit(part.data[0])))
        return false;
    for (size_t i = 1; i < part.len; i++)
        if (!is_key_byte(part.data[i]))
            return false;
    return true;
}

/* Either a simple key or tenant@system. */
static bool is_state_key(struct fl_slice key)
{
    size_t at = fl_slice_find_byte(key, '@');
    if (at == key.len)
        return is_key_part(key, 256, false);
    struct fl_slice system = fl_slice_of(key.data + at + 1, key.len - at - 1);
    return is_key_part(fl_slice_of(key.data, at), 241, true) && is_key_part(system, 14, false);
}

static bool is_state_value(struct fl_slice value)
{
    if (value.len == 0 || value.len > 256 || value.data[value.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c < 0x20 || c > 0x7e || c == ',' || c == '=')
            return false;
    }
    return true;
}

/* Takes what stands before the next `separator` off the front of `rest`. False at the end. */
static bool next_part(struct fl_slice *rest, char separator, struct fl_slice *part)
{
    if (fl_slice_is_null(*rest))
        return false;
    size_t len = fl_slice_find_byte(*rest, separator);
    *part = fl_slice_of(rest->data, len);
    *rest =
        len == rest->len ? FL_SLICE_NULL : fl_slice_of(rest->data + len + 1, rest->len - len - 1);
    return true;
}

static struct fl_slice trim_blanks(struct fl_slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = fl_slice_of(s.data + 1, s.len - 1);
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool ce_tracestate_is_valid(struct fl_slice text)
{
    if (text.len == 0 || text.len > CE_TRACESTATE_MAX)
        return false;
    struct fl_slice keys[TRACESTATE_MAX_MEMBERS], part;
    size_t count = 0;
    while (next_part(&text, ',', &part)) {
        part = trim_blanks(part);
        if (part.len == 0)
            continue;
        size_t equals = fl_slice_find_byte(part, '=');
        if (equals == part.len || count == TRACESTATE_MAX_MEMBERS)
            return false;
        struct fl_slice key = fl_slice_of(part.data, equals);
        if (!is_state_key(key) ||
            !is_state_value(fl_slice_of(part.data + equals + 1, part.len - equals - 1)))
            return false;
        for (size_t i = 0; i < count; i++)
            if (fl_slice_eq(keys[i], key))
                return false;
        keys[count++] = key;
    }
    return count > 0;
}

/* --- baggage --- */

static bool is_token(struct fl_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool is_letter = is_lower(fl_ascii_lower(c));
        if (!is_letter && !is_digit(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}

static bool is_baggage_value(struct fl_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\",;\\", c))
            return false;
    }
    return true;
}

static enum fl_err refuse(struct fl_error *error, const char *what, struct fl_slice part)
{
    int len = part.len > 200 ? 200 : (int)part.len;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "%s: \"%.*s\"", what, len,
                        part.data ? part.data : "");
}

/* What follows the first `;` of a member: key, or key=value. */
static bool is_property(struct fl_slice part)
{
    size_t equals = fl_slice_find_byte(part, '=');
    struct fl_slice key = trim_blanks(fl_slice_of(part.data, equals));
    if (equals == part.len)
        return is_token(key);
    struct fl_slice value = fl_slice_of(part.data + equals + 1, part.len - equals - 1);
    return is_token(key) && is_baggage_value(trim_blanks(value));
}

static enum fl_err check_member(struct fl_slice member, struct fl_error *error)
{
    struct fl_slice rest = member, pair, property;
    if (member.len == 0 || !next_part(&rest, ';', &pair))
        return refuse(error, "invalid baggage list-member", member);
    size_t equals = fl_slice_find_byte(pair, '=');
    if (equals == pair.len)
        return refuse(error, "invalid baggage list-member", member);
    struct fl_slice key = trim_blanks(fl_slice_of(pair.data, equals));
    struct fl_slice value = trim_blanks(fl_slice_of(pair.data + equals + 1, pair.len - equals - 1));
    if (!is_token(key))
        return refuse(error, "invalid key", key);
    if (!is_baggage_value(value))
        return refuse(error, "invalid value", value);
    while (next_part(&rest, ';', &property))
        if (!is_property(property))
            return refuse(error, "invalid baggage list-member property", property);
    return FL_OK;
}

enum fl_err ce_baggage_check(struct fl_slice text, struct fl_error *error)
{
    if (text.len == 0)
        return FL_OK;
    if (text.len > BAGGAGE_MAX_BYTES)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "baggage-string too large: %zu",
                            text.len);
    struct fl_slice member;
    size_t count = 0;
    while (next_part(&text, ',', &member)) {
        enum fl_err err = check_member(member, error);
        if (err != FL_OK)
            return err;
        if (++count > BAGGAGE_MAX_MEMBERS)
            return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT,
                                "too many list-members in baggage-string");
    }
    return FL_OK;
}
