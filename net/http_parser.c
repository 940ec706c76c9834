/* The strict parser; see the header. `contract/http1.md` lists what packaged servers get wrong
 * here.
 *
 * A head is parsed in one pass over its bytes: names through a 256-bit class table, values sixteen
 * bytes at a time. Fields that decide about framing are looked at while they pass; others stay
 * slices.
 */
#include "net/http_parser.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const unsigned char token_class[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1,
    ['-'] = 1, ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1,  ['~'] = 1, ['0'] = 1,
    ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1,  ['7'] = 1, ['8'] = 1,
    ['9'] = 1, ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1,  ['F'] = 1, ['G'] = 1,
    ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1, ['L'] = 1, ['M'] = 1,  ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1,  ['V'] = 1, ['W'] = 1,
    ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1,  ['d'] = 1, ['e'] = 1,
    ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1,  ['l'] = 1, ['m'] = 1,
    ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1,  ['t'] = 1, ['u'] = 1,
    ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

struct cursor {
    const char *at, *end;
};

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* The first control byte other than the tab at or after `at`, or `end`. */
static const char *skip_text(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i limit = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, limit), bytes);
        __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low),
                                   _mm_cmpeq_epi8(bytes, del));
        int mask = _mm_movemask_epi8(bad);
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
    }
#endif
    while (at < end && !is_control((unsigned char)*at))
        at++;
    return at;
}

bool http_is_token(struct fl_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!token_class[(unsigned char)s.data[i]])
            return false;
    }
    return s.len > 0;
}

bool http_is_field_value(struct fl_slice s)
{
    return s.len == 0 || skip_text(s.data, s.data + s.len) == s.data + s.len;
}

static enum http_parse bad(struct http_refusal *refusal, int status, const char *text)
{
    refusal->status = status;
    refusal->text = text;
    return HTTP_PARSE_BAD;
}

static enum http_parse bad_request(struct http_refusal *refusal)
{
    return bad(refusal, 400, "400 Bad Request");
}

enum http_parse http_find_head_end(struct http_head_search *search, struct fl_slice bytes)
{
    /* Every line feed must follow a carriage return, so looking at line feeds alone finds the end
     * and bare ones. */
    size_t at = search->seen;
    while (at < bytes.len) {
        const char *lf = memchr(bytes.data + at, '\n', bytes.len - at);
        if (!lf)
            break;
        size_t place = (size_t)(lf - bytes.data);
        if (place == 0 || lf[-1] != '\r')
            return HTTP_PARSE_BAD;
        if (place >= 3 && lf[-2] == '\n' && place != 3) {
            search->seen = place;
            return HTTP_PARSE_DONE;
        }
        at = place + 1;
    }
    search->seen = at < bytes.len ? bytes.len : at;
    return HTTP_PARSE_MORE;
}

static bool has_list_token(struct fl_slice list, struct fl_slice token)
{
    while (list.len) {
        size_t comma = fl_slice_find_byte(list, ',');
        if (fl_slice_eq_nocase(fl_slice_trim(fl_slice_of(list.data, comma)), token))
            return true;
        comma += comma < list.len;
        list = fl_slice_of(list.data + comma, list.len - comma);
    }
    return false;
}

/* Values that decide about framing are followed by spaces at most: others read a tab there as a
 * part of the value. The line's CR ends the search. */
static bool has_tab_behind(struct fl_slice value)
{
    const char *at = value.data + value.len;
    while (*at == ' ')
        at++;
    return *at == '\t';
}

static enum http_parse take_content_length(struct http_head *head, struct fl_slice value,
                                           struct http_refusal *refusal)
{
    uint64_t length;
    if (head->content_length >= 0 || !fl_slice_to_u64(value, &length) || length > INT64_MAX ||
        has_tab_behind(value))
        return bad_request(refusal);
    head->content_length = (int64_t)length;
    return HTTP_PARSE_DONE;
}

/* What the field means for framing. `head->is_chunked` is set by the first Transfer-Encoding; a
 * second one is refused. */
static enum http_parse take_field(struct http_head *head, struct fl_slice name,
                                  struct fl_slice value, struct http_refusal *refusal)
{
    switch (name.len) {
    case 4:
        if (fl_slice_eq_nocase(name, FL_SLICE_LIT("host"))) {
            if (!fl_slice_is_null(head->host))
                return bad(refusal, 400, "400 Bad Request: too many Host headers");
            head->host = value;
        }
        break;
    case 6:
        if (fl_slice_eq_nocase(name, FL_SLICE_LIT("expect"))) {
            if (fl_slice_eq_nocase(value, FL_SLICE_LIT("100-continue")))
                head->expects_continue = true;
            else
                head->expects_unknown = true;
        }
        break;
    case 10:
        if (fl_slice_eq_nocase(name, FL_SLICE_LIT("connection"))) {
            head->asks_to_close |= has_list_token(value, FL_SLICE_LIT("close"));
            head->asks_to_keep |= has_list_token(value, FL_SLICE_LIT("keep-alive"));
        }
        break;
    case 14:
        if (fl_slice_eq_nocase(name, FL_SLICE_LIT("content-length")))
            return take_content_length(head, value, refusal);
        break;
    case 17:
        if (fl_slice_eq_nocase(name, FL_SLICE_LIT("transfer-encoding"))) {
            if (head->is_chunked || !fl_slice_eq_nocase(value, FL_SLICE_LIT("chunked")) ||
                has_tab_behind(value))
                return bad(refusal, 501, "Unsupported transfer encoding");
            head->is_chunked = true;
        }
        break;
    default:
        break;
    }
    return HTTP_PARSE_DONE;
}

/* One field line, its CR LF included. */
static enum http_parse parse_field(struct cursor *in, struct http_head *head,
                                   struct http_refusal *refusal)
{
    const char *name = in->at, *at = in->at;
    while (at < in->end && token_class[(unsigned char)*at])
        at++;
    if (at == in->end)
        return HTTP_PARSE_MORE;
    if (*at != ':' || at == name) {
        bool has_colon = memchr(at, ':', (size_t)(in->end - at)) && *at != '\r' && *at != '\n';
        return has_colon ? bad(refusal, 400, "400 Bad Request: invalid header name")
                         : bad_request(refusal);
    }
    struct fl_slice name_slice = fl_slice_of(name, (size_t)(at - name));
    at++;
    while (at < in->end && (*at == ' ' || *at == '\t'))
        at++;
    const char *value = at;
    at = skip_text(at, in->end);
    if (in->end - at < 2)
        return at < in->end && *at != '\r' ? bad_request(refusal) : HTTP_PARSE_MORE;
    if (at[0] != '\r' || at[1] != '\n')
        return bad_request(refusal);
    in->at = at + 2;
    while (at > value && (at[-1] == ' ' || at[-1] == '\t'))
        at--;
    if (head->field_count == HTTP_MOST_FIELDS)
        return bad(refusal, 431, "431 Request Header Fields Too Large");
    struct fl_slice value_slice = fl_slice_of(value, (size_t)(at - value));
    head->fields[head->field_count++] = (struct http_field){name_slice, value_slice};
    return take_field(head, name_slice, value_slice, refusal);
}

static enum http_parse parse_fields(struct cursor *in, struct http_head *head,
                                    struct http_refusal *refusal)
{
    for (;;) {
        if (in->at == in->end)
            return HTTP_PARSE_MORE;
        if (*in->at == '\r') {
            if (in->end - in->at < 2)
                return HTTP_PARSE_MORE;
            if (in->at[1] != '\n')
                return bad_request(refusal);
            in->at += 2;
            return HTTP_PARSE_DONE;
        }
        enum http_parse result = parse_field(in, head, refusal);
        if (result != HTTP_PARSE_DONE)
            return result;
    }
}

/* "HTTP/1.0" or "HTTP/1.1"; a well-formed other version is told apart from garbage. */
static enum http_parse parse_version(struct fl_slice text, struct http_head *head,
                                     struct http_refusal *refusal)
{
    if (text.len != 8 || memcmp(text.data, "HTTP/", 5) != 0 || text.data[6] != '.' ||
        text.data[5] < '0' || text.data[5] > '9' || text.data[7] < '0' || text.data[7] > '9')
        return bad_request(refusal);
    if (text.data[5] != '1' || text.data[7] > '1')
        return bad(refusal, 505, "505 HTTP Version Not Supported: unsupported protocol version");
    head->minor_version = text.data[7] - '0';
    return HTTP_PARSE_DONE;
}

/* The end of the line in `*line` (without CR LF); the cursor moves behind it. */
static enum http_parse take_line(struct cursor *in, struct fl_slice *line,
                                 struct http_refusal *refusal)
{
    const char *end = skip_text(in->at, in->end);
    if (in->end - end < 2)
        return end < in->end && *end != '\r' ? bad_request(refusal) : HTTP_PARSE_MORE;
    if (end[0] != '\r' || end[1] != '\n')
        return bad_request(refusal);
    *line = fl_slice_of(in->at, (size_t)(end - in->at));
    in->at = end + 2;
    return HTTP_PARSE_DONE;
}

static enum http_parse parse_request_line(struct cursor *in, struct http_head *head,
                                          struct http_refusal *refusal)
{
    struct fl_slice line;
    enum http_parse result = take_line(in, &line, refusal);
    if (result != HTTP_PARSE_DONE)
        return result;
    size_t first = fl_slice_find_byte(line, ' ');
    if (first == line.len || memchr(line.data, '\t', line.len))
        return bad_request(refusal);
    struct fl_slice rest = fl_slice_of(line.data + first + 1, line.len - first - 1);
    size_t second = fl_slice_find_byte(rest, ' ');
    if (second == rest.len)
        return bad_request(refusal);
    head->method = fl_slice_of(line.data, first);
    head->target = fl_slice_of(rest.data, second);
    if (!http_is_token(head->method) || head->target.len == 0)
        return bad_request(refusal);
    struct fl_slice version = fl_slice_of(rest.data + second + 1, rest.len - second - 1);
    return parse_version(version, head, refusal);
}

/* What a host may hold: no space, no control, none of the delimiters that belong elsewhere in a
 * URI. */
static const unsigned char host_class[256] = {
    ['!'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['('] = 1, [')'] = 1, ['*'] = 1,
    ['+'] = 1, [','] = 1, ['-'] = 1, ['.'] = 1, [':'] = 1,  [';'] = 1, ['='] = 1, ['['] = 1,
    [']'] = 1, ['_'] = 1, ['~'] = 1, ['0'] = 1, ['1'] = 1,  ['2'] = 1, ['3'] = 1, ['4'] = 1,
    ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1,  ['A'] = 1, ['B'] = 1, ['C'] = 1,
    ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,  ['I'] = 1, ['J'] = 1, ['K'] = 1,
    ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1,  ['Q'] = 1, ['R'] = 1, ['S'] = 1,
    ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1,  ['Y'] = 1, ['Z'] = 1, ['a'] = 1,
    ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,  ['g'] = 1, ['h'] = 1, ['i'] = 1,
    ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1,  ['o'] = 1, ['p'] = 1, ['q'] = 1,
    ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1,  ['w'] = 1, ['x'] = 1, ['y'] = 1,
    ['z'] = 1,
};

static bool is_host(struct fl_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!host_class[(unsigned char)host.data[i]])
            return false;
    }
    return true;
}

static bool is_alpha(char c)
{
    char lower = fl_ascii_lower(c);
    return lower >= 'a' && lower <= 'z';
}

/* "scheme://authority", then a path, a query or nothing. */
static bool is_absolute_target(struct fl_slice target)
{
    size_t at = 0;
    while (at < target.len && is_alpha(target.data[at]))
        at++;
    struct fl_slice rest = fl_slice_of(target.data + at, target.len - at);
    if (at == 0 || !fl_slice_starts_with(rest, FL_SLICE_LIT("://")))
        return false;
    rest = fl_slice_of(rest.data + 3, rest.len - 3);
    size_t path = fl_slice_find_byte(rest, '/'), query = fl_slice_find_byte(rest, '?');
    struct fl_slice authority = fl_slice_of(rest.data, path < query ? path : query);
    return authority.len > 0 && is_host(authority);
}

/* RFC 9112, 3.2: origin, absolute, authority and asterisk form. A path that is left out before a
 * query is taken as well, and so are bytes over 127, since daprd takes them. */
static bool is_target(const struct http_head *head)
{
    struct fl_slice target = head->target;
    size_t hash = fl_slice_find_byte(target, '#');
    if (hash < target.len && memchr(target.data + hash + 1, '#', target.len - hash - 1))
        return false;
    if (fl_slice_eq(head->method, FL_SLICE_LIT("CONNECT")))
        return is_host(target);
    return target.data[0] == '/' || target.data[0] == '?' || fl_slice_eq_str(target, "*") ||
           is_absolute_target(target);
}

/* What only the whole head shows. */
static enum http_parse check_request(const struct http_head *head, struct http_refusal *refusal)
{
    if (!is_target(head))
        return bad_request(refusal);
    if (fl_slice_is_null(head->host) && head->minor_version == 1)
        return bad(refusal, 400, "400 Bad Request: missing required Host header");
    if (!fl_slice_is_null(head->host) && !is_host(head->host))
        return bad(refusal, 400, "400 Bad Request: malformed Host header");
    if (head->is_chunked && (head->content_length >= 0 || head->minor_version == 0))
        return bad_request(refusal);
    return HTTP_PARSE_DONE;
}

static void reset(struct http_head *head)
{
    /* The field table is not cleared: only field_count entries of it mean something. */
    memset(head, 0, offsetof(struct http_head, fields));
    head->content_length = -1;
}

/* A head that is too long is told from one that is still coming. */
static enum http_parse finish(enum http_parse result, struct fl_slice bytes, size_t most,
                              struct cursor *in, struct http_head *head,
                              struct http_refusal *refusal)
{
    head->head_bytes = (size_t)(in->at - bytes.data);
    if ((result == HTTP_PARSE_DONE && head->head_bytes > most) ||
        (result == HTTP_PARSE_MORE && bytes.len > most))
        return bad(refusal, 431, "431 Request Header Fields Too Large");
    /* Whoever says both means to close. */
    head->keeps_alive = !head->asks_to_close && (head->minor_version == 1 || head->asks_to_keep);
    return result;
}

static size_t head_limit(size_t most)
{
    return most < HTTP_MOST_HEAD_BYTES ? most : HTTP_MOST_HEAD_BYTES;
}

enum http_parse http_parse_request(struct fl_slice bytes, size_t most_head_bytes,
                                   struct http_head *head, struct http_refusal *refusal)
{
    struct cursor in = {bytes.data, bytes.data + bytes.len};
    size_t most = head_limit(most_head_bytes);
    reset(head);
    if (bytes.len && bytes.data[0] == '\r') {
        if (bytes.len == 1)
            return HTTP_PARSE_MORE;
        if (bytes.data[1] != '\n')
            return bad_request(refusal);
        in.at += 2;
    }
    enum http_parse result = parse_request_line(&in, head, refusal);
    if (result == HTTP_PARSE_DONE)
        result = parse_fields(&in, head, refusal);
    result = finish(result, bytes, most, &in, head, refusal);
    if (result != HTTP_PARSE_DONE)
        return result;
    return check_request(head, refusal);
}

/* "HTTP/1.1 200 OK"; the reason may be missing, with or without the space before it. */
static enum http_parse parse_status_line(struct cursor *in, struct http_head *head,
                                         struct http_refusal *refusal)
{
    struct fl_slice line;
    enum http_parse result = take_line(in, &line, refusal);
    if (result != HTTP_PARSE_DONE)
        return result;
    if (line.len < 12 || line.data[8] != ' ' || (line.len > 12 && line.data[12] != ' '))
        return bad_request(refusal);
    uint64_t status;
    if (!fl_slice_to_u64(fl_slice_of(line.data + 9, 3), &status) || status < 100)
        return bad_request(refusal);
    head->status = (int)status;
    return parse_version(fl_slice_of(line.data, 8), head, refusal);
}

enum http_parse http_parse_response(struct fl_slice bytes, size_t most_head_bytes,
                                    struct http_head *head, struct http_refusal *refusal)
{
    struct cursor in = {bytes.data, bytes.data + bytes.len};
    size_t most = head_limit(most_head_bytes);
    reset(head);
    enum http_parse result = parse_status_line(&in, head, refusal);
    if (result == HTTP_PARSE_DONE)
        result = parse_fields(&in, head, refusal);
    result = finish(result, bytes, most, &in, head, refusal);
    if (result == HTTP_PARSE_DONE && head->is_chunked && head->content_length >= 0)
        return bad_request(refusal);
    return result;
}

struct fl_slice http_head_find(const struct http_head *head, struct fl_slice lower_name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->name.len == lower_name.len && fl_slice_eq_nocase(field->name, lower_name))
            return field->value;
    }
    return FL_SLICE_NULL;
}

/* --- chunked --- */

enum chunked_state {
    CHUNK_SIZE_FIRST, /* the first digit is still to come */
    CHUNK_SIZE,
    EXTENSION_NAME_FIRST,
    EXTENSION_NAME,
    EXTENSION_VALUE_FIRST,
    EXTENSION_VALUE,
    EXTENSION_QUOTED,
    EXTENSION_ESCAPED, /* behind a backslash */
    EXTENSION_END,     /* behind a quoted value */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START, /* at the start of a line: an empty one ends the body */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    CHUNKED_DONE,
};

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_size_byte(struct http_chunked *chunked, unsigned char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        /* Leading zeros count towards the line, or they would never end. */
        if (chunked->left >> 60 || ++chunked->line_bytes > HTTP_MOST_CHUNK_LINE_BYTES)
            return false;
        chunked->left = chunked->left << 4 | (unsigned)digit;
        chunked->state = CHUNK_SIZE;
        return true;
    }
    if (chunked->state == CHUNK_SIZE_FIRST || (c != '\r' && c != ';'))
        return false;
    chunked->state = c == '\r' ? CHUNK_SIZE_LF : EXTENSION_NAME_FIRST;
    return true;
}

/* Behind a name or a value another extension may follow, or the line ends. */
static int state_after_extension(unsigned char c)
{
    return c == ';' ? EXTENSION_NAME_FIRST : c == '\r' ? CHUNK_SIZE_LF : -1;
}

/* The state that `c` leads to, -1: none. `;name`, `;name=token` or `;name="quoted"`, without white
 * space around the signs. */
static int next_extension_state(enum chunked_state state, unsigned char c)
{
    switch (state) {
    case EXTENSION_NAME_FIRST:
        return token_class[c] ? EXTENSION_NAME : -1;
    case EXTENSION_NAME:
        if (token_class[c])
            return EXTENSION_NAME;
        return c == '=' ? EXTENSION_VALUE_FIRST : state_after_extension(c);
    case EXTENSION_VALUE_FIRST:
        if (c == '"')
            return EXTENSION_QUOTED;
        return token_class[c] ? EXTENSION_VALUE : -1;
    case EXTENSION_VALUE:
        return token_class[c] ? EXTENSION_VALUE : state_after_extension(c);
    case EXTENSION_QUOTED:
        if (c == '"')
            return EXTENSION_END;
        return is_control(c) ? -1 : c == '\\' ? EXTENSION_ESCAPED : EXTENSION_QUOTED;
    case EXTENSION_ESCAPED:
        return is_control(c) ? -1 : EXTENSION_QUOTED;
    default:
        return state_after_extension(c);
    }
}

static bool take_extension_byte(struct http_chunked *chunked, unsigned char c)
{
    int next = next_extension_state((enum chunked_state)chunked->state, c);
    if (next < 0 || ++chunked->line_bytes > HTTP_MOST_CHUNK_LINE_BYTES)
        return false;
    chunked->state = (uint8_t)next;
    return true;
}

/* One byte of anything but data; false refuses it. */
static bool take_framing_byte(struct http_chunked *chunked, unsigned char c)
{
    switch ((enum chunked_state)chunked->state) {
    case CHUNK_SIZE_FIRST:
    case CHUNK_SIZE:
        return take_size_byte(chunked, c);
    case EXTENSION_NAME_FIRST:
    case EXTENSION_NAME:
    case EXTENSION_VALUE_FIRST:
    case EXTENSION_VALUE:
    case EXTENSION_QUOTED:
    case EXTENSION_ESCAPED:
    case EXTENSION_END:
        return take_extension_byte(chunked, c);
    case CHUNK_SIZE_LF:
        chunked->state = chunked->left ? CHUNK_DATA : TRAILER_START;
        chunked->line_bytes = 0;
        return c == '\n';
    case CHUNK_DATA_CR:
        chunked->state = CHUNK_DATA_LF;
        return c == '\r';
    case CHUNK_DATA_LF:
        chunked->state = CHUNK_SIZE_FIRST;
        return c == '\n';
    case TRAILER_START:
        if (c == '\r') {
            chunked->state = LAST_LF;
            return true;
        }
        chunked->state = TRAILER_NAME;
        return token_class[c] && ++chunked->line_bytes <= HTTP_MOST_TRAILER_BYTES;
    case TRAILER_NAME:
        if (c == ':')
            chunked->state = TRAILER_VALUE;
        return (c == ':' || token_class[c]) && ++chunked->line_bytes <= HTTP_MOST_TRAILER_BYTES;
    case TRAILER_VALUE:
        if (c == '\r')
            chunked->state = TRAILER_LF;
        else if (is_control(c) || ++chunked->line_bytes > HTTP_MOST_TRAILER_BYTES)
            return false;
        return true;
    case TRAILER_LF:
        chunked->state = TRAILER_START;
        return c == '\n';
    case LAST_LF:
        chunked->state = CHUNKED_DONE;
        return c == '\n';
    case CHUNK_DATA:
    case CHUNKED_DONE:
        break;
    }
    return false;
}

enum http_parse http_chunked_next(struct http_chunked *chunked, struct fl_slice bytes,
                                  size_t *eaten, struct fl_slice *piece)
{
    size_t at = 0;
    *piece = FL_SLICE_NULL;
    while (at < bytes.len && chunked->state != CHUNKED_DONE) {
        if (chunked->state == CHUNK_DATA) {
            size_t len = bytes.len - at < chunked->left ? bytes.len - at : (size_t)chunked->left;
            *piece = fl_slice_of(bytes.data + at, len);
            chunked->left -= len;
            if (chunked->left == 0)
                chunked->state = CHUNK_DATA_CR;
            *eaten = at + len;
            return HTTP_PARSE_MORE;
        }
        if (!take_framing_byte(chunked, (unsigned char)bytes.data[at++])) {
            *eaten = at;
            return HTTP_PARSE_BAD;
        }
    }
    *eaten = at;
    return chunked->state == CHUNKED_DONE ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}
