/* Our request parser beside llhttp 8.1 in its strict form, on mutated messages.
 *
 * usage: llhttp_diff [COUNT [SEED]]
 *
 * A message is a seed put through a few mutations that know what a head is made of: lines doubled,
 * dropped, swapped; line ends, colons, digits and white space spoiled; whole fields and chunk lines
 * put in. Both parsers read it as far as one request goes, its body included.
 *
 *   llhttp refuses, we take it       must be one of the explained classes below
 *   both take it, frame it unlike    must be one of the explained classes below
 *   we refuse, llhttp takes it       counted by our reason; we may be stricter
 *
 * SHOW=words prints examples of the refusals whose reason holds the words. What fits no class is
 * printed, and the exit status is 1. tests/fuzz/llhttp.md explains the
 * differences. llhttp comes from Debian's package and is never part of this tree.
 */
#include <inttypes.h>
#include <llhttp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_parser.h"

enum { MOST_BYTES = 4096, MOST_SHOWN = 12 };

/* --- messages --- */

static const char *const seeds[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a/b?c=d#e HTTP/1.1\r\nHost: localhost:3500\r\nUser-Agent: curl/7.88.1\r\nAccept: "
    "*/*\r\n\r\n",
    "POST /v1.0/publish/pubsub/t?metadata.ttl=5 HTTP/1.1\r\nHost: h\r\nContent-Type: "
    "application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
    "A;n=v\r\n0123456789\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    "GET /p HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST /p HTTP/1.0\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    "DELETE /x HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close, "
    "x\r\nX-Empty:\r\nX-Tab:\tv\t\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "GET http://h:8080/a?b HTTP/1.1\r\nHost: h:8080\r\nCookie: a=b; c=\"d\"\r\n\r\n",
    "HEAD /%2e%2e//x HTTP/1.1\r\nHost: h\r\nTraceparent: "
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
    "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
    "PATCH /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nxGET /next HTTP/1.1\r\nHost: "
    "h\r\n\r\n",
};

/* What is put in as a whole, somewhere in a message. */
static const char *const parts[] = {
    "\r\n",
    "\n",
    "\r",
    "\r\r\n",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ": ",
    " :",
    ";",
    ",",
    "\"",
    "\r\n ",
    "\r\n\t",
    "\x0b",
    "\x7f",
    "\xe9",
    "0",
    "00",
    "1",
    "+",
    "-",
    "0x",
    "ffffffffffffffff",
    "10000000000000000",
    "18446744073709551616",
    "Host: h\r\n",
    "Content-Length: 1\r\n",
    "Content-Length: 7\r\n",
    "Content-Length: +1\r\n",
    "Content-Length: 1, 1\r\n",
    "content-length:1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "transfer-encoding:\tchunked\t\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: upgrade\r\nUpgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "X y: z\r\n",
    "X: y\r\n z\r\n",
    " X: y\r\n",
    "X\r\n",
    ": y\r\n",
    "0\r\n\r\n",
    "1\r\nx\r\n",
    "1;a=b\r\nx\r\n",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/2.0",
    "GET / HTTP/1.1\r\n",
};

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545F4914F6CDD1Du >> 16;
}

static size_t below(size_t bound)
{
    return bound ? (size_t)(next_random() % bound) : 0;
}

struct message {
    char bytes[MOST_BYTES];
    size_t len;
};

static void replace(struct message *message, size_t at, size_t out, const char *in, size_t in_len)
{
    if (message->len - out + in_len > MOST_BYTES)
        return;
    memmove(message->bytes + at + in_len, message->bytes + at + out, message->len - at - out);
    if (in_len)
        memcpy(message->bytes + at, in, in_len);
    message->len += in_len - out;
}

/* The start and the length, line end included, of a random line. */
static size_t random_line(const struct message *message, size_t *len)
{
    size_t at = below(message->len);
    while (at > 0 && message->bytes[at - 1] != '\n')
        at--;
    const char *end = memchr(message->bytes + at, '\n', message->len - at);
    *len = end ? (size_t)(end - message->bytes) + 1 - at : message->len - at;
    return at;
}

/* A place that means something: before or after a line end, a colon, a blank, a digit. */
static size_t telling_place(const struct message *message)
{
    for (int tries = 0; tries < 32; tries++) {
        size_t at = below(message->len);
        if (strchr("\r\n: ;,/.0123456789", message->bytes[at]))
            return at + below(2);
    }
    return below(message->len);
}

static void mutate(struct message *message)
{
    char line[MOST_BYTES];
    size_t len, at = random_line(message, &len);
    const char *part = parts[below(sizeof parts / sizeof *parts)];
    switch (below(10)) {
    case 0:
        memcpy(line, message->bytes + at, len);
        replace(message, at, 0, line, len);
        break;
    case 1:
        replace(message, at, len, NULL, 0);
        break;
    case 2:
        memcpy(line, message->bytes + at, len);
        replace(message, at, len, NULL, 0);
        at = random_line(message, &(size_t){0});
        replace(message, at, 0, line, len);
        break;
    case 3:
    case 4:
        replace(message, at, 0, part, strlen(part));
        break;
    case 5:
        at = telling_place(message);
        replace(message, at, 0, part, strlen(part));
        break;
    case 6:
        at = telling_place(message);
        if (at < message->len)
            replace(message, at, 1, part, strlen(part));
        break;
    case 7:
        at = telling_place(message);
        if (at < message->len)
            replace(message, at, 1, NULL, 0);
        break;
    case 8:
        if (message->len)
            message->bytes[below(message->len)] = (char)below(256);
        break;
    default:
        if (message->len)
            message->bytes[below(message->len)] ^= 0x20;
        break;
    }
}

static void make(struct message *message)
{
    const char *seed = seeds[below(sizeof seeds / sizeof *seeds)];
    message->len = strlen(seed);
    memcpy(message->bytes, seed, message->len);
    for (size_t times = below(5); times > 0 && message->len; times--)
        mutate(message);
}

/* --- what each parser makes of it --- */

enum verdict { REFUSED, UNDECIDED, TAKEN };

struct reading {
    enum verdict verdict;
    const char *reason;
    bool has_head; /* the head was taken, whatever came of the body */
    size_t consumed;
    char method[64], target[MOST_BYTES];
    size_t method_len, target_len, field_count, names_len, values_len, body_len;
    /* Each name and each value is ended by a NUL, which neither may hold. */
    char names[MOST_BYTES + 256], values[MOST_BYTES + 256], body[MOST_BYTES];
    bool keeps_alive, is_chunked, is_upgrade;
    int minor_version;
};

static void put_text(char *to, size_t *len, const char *from, size_t from_len)
{
    if (from_len)
        memcpy(to + *len, from, from_len);
    *len += from_len;
}

static void read_chunked(struct reading *reading, struct fl_slice bytes)
{
    struct http_chunked chunked = {0};
    enum http_parse result = HTTP_PARSE_MORE;
    while (bytes.len && result == HTTP_PARSE_MORE) {
        size_t eaten;
        struct fl_slice piece;
        result = http_chunked_next(&chunked, bytes, &eaten, &piece);
        put_text(reading->body, &reading->body_len, piece.data, piece.len);
        reading->consumed += eaten;
        bytes = fl_slice_of(bytes.data + eaten, bytes.len - eaten);
    }
    reading->verdict = result == HTTP_PARSE_DONE  ? TAKEN
                       : result == HTTP_PARSE_BAD ? REFUSED
                                                  : UNDECIDED;
    reading->reason = "chunked framing";
}

static void read_ours(struct reading *reading, const struct message *message)
{
    static struct http_head head;
    struct http_refusal refusal;
    struct fl_slice bytes = fl_slice_of(message->bytes, message->len);
    enum http_parse result = http_parse_request(bytes, HTTP_MOST_HEAD_BYTES, &head, &refusal);
    memset(reading, 0, offsetof(struct reading, method));
    reading->method_len = reading->target_len = reading->field_count = 0;
    reading->names_len = reading->values_len = reading->body_len = 0;
    reading->verdict = result == HTTP_PARSE_BAD ? REFUSED : UNDECIDED;
    if (result == HTTP_PARSE_BAD)
        reading->reason = refusal.text;
    if (result != HTTP_PARSE_DONE)
        return;
    reading->has_head = true;
    if (head.method.len <= sizeof reading->method)
        put_text(reading->method, &reading->method_len, head.method.data, head.method.len);
    put_text(reading->target, &reading->target_len, head.target.data, head.target.len);
    for (size_t i = 0; i < head.field_count; i++) {
        struct http_field *field = &head.fields[i];
        put_text(reading->names, &reading->names_len, field->name.data, field->name.len);
        put_text(reading->names, &reading->names_len, "", 1);
        put_text(reading->values, &reading->values_len, field->value.data, field->value.len);
        put_text(reading->values, &reading->values_len, "", 1);
    }
    reading->field_count = head.field_count;
    reading->keeps_alive = head.keeps_alive;
    reading->is_chunked = head.is_chunked;
    reading->minor_version = head.minor_version;
    reading->consumed = head.head_bytes;
    bytes = fl_slice_of(bytes.data + head.head_bytes, bytes.len - head.head_bytes);
    if (head.is_chunked) {
        read_chunked(reading, bytes);
        return;
    }
    size_t length = head.content_length > 0 ? (size_t)head.content_length : 0;
    reading->verdict = bytes.len >= length ? TAKEN : UNDECIDED;
    length = bytes.len < length ? bytes.len : length;
    put_text(reading->body, &reading->body_len, bytes.data, length);
    reading->consumed += length;
}

static struct reading *theirs_of(llhttp_t *parser)
{
    return parser->data;
}

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = theirs_of(parser);
    if (reading->method_len + len <= sizeof reading->method)
        put_text(reading->method, &reading->method_len, at, len);
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    put_text(theirs_of(parser)->target, &theirs_of(parser)->target_len, at, len);
    return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    if (!theirs_of(parser)->has_head)
        put_text(theirs_of(parser)->names, &theirs_of(parser)->names_len, at, len);
    return 0;
}

static int on_name_complete(llhttp_t *parser)
{
    if (!theirs_of(parser)->has_head)
        put_text(theirs_of(parser)->names, &theirs_of(parser)->names_len, "", 1);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    if (!theirs_of(parser)->has_head)
        put_text(theirs_of(parser)->values, &theirs_of(parser)->values_len, at, len);
    return 0;
}

/* llhttp leaves white space behind a value in it. */
static int on_value_complete(llhttp_t *parser)
{
    struct reading *reading = theirs_of(parser);
    if (reading->has_head)
        return 0;
    while (reading->values_len && strchr(" \t", reading->values[reading->values_len - 1]) &&
           reading->values[reading->values_len - 1])
        reading->values_len--;
    put_text(reading->values, &reading->values_len, "", 1);
    reading->field_count++;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct reading *reading = theirs_of(parser);
    reading->has_head = true;
    reading->keeps_alive = llhttp_should_keep_alive(parser);
    reading->is_chunked = (parser->flags & F_CHUNKED) != 0;
    reading->is_upgrade = parser->upgrade;
    reading->minor_version = parser->http_minor;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    put_text(theirs_of(parser)->body, &theirs_of(parser)->body_len, at, len);
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    theirs_of(parser)->verdict = TAKEN;
    return HPE_PAUSED;
}

static void read_theirs(struct reading *reading, const struct message *message)
{
    static llhttp_settings_t settings;
    llhttp_t parser;
    llhttp_settings_init(&settings);
    settings.on_method = on_method;
    settings.on_url = on_url;
    settings.on_header_field = on_name;
    settings.on_header_field_complete = on_name_complete;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_value_complete;
    settings.on_headers_complete = on_headers_complete;
    settings.on_body = on_body;
    settings.on_message_complete = on_message_complete;
    memset(reading, 0, offsetof(struct reading, method));
    reading->method_len = reading->target_len = reading->field_count = 0;
    reading->names_len = reading->values_len = reading->body_len = 0;
    reading->verdict = UNDECIDED;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = reading;
    enum llhttp_errno error = llhttp_execute(&parser, message->bytes, message->len);
    if (reading->verdict == TAKEN) {
        reading->consumed = (size_t)(llhttp_get_error_pos(&parser) - message->bytes);
    } else if (error != HPE_OK) {
        reading->verdict = REFUSED;
        reading->reason = llhttp_get_error_reason(&parser);
    }
}

/* --- differences --- */

struct difference {
    const char *name; /* a literal, or a text of the parser's */
    uint64_t count;
};

static struct difference differences[64];
static size_t difference_count;
static unsigned shown_count;

static void show(const char *what, const struct message *message, const struct reading *ours,
                 const struct reading *theirs)
{
    if (shown_count++ >= MOST_SHOWN)
        return;
    printf("%s: ours %d (%s), llhttp %d (%s)\n    \"", what, ours->verdict,
           ours->reason ? ours->reason : "-", theirs->verdict,
           theirs->reason ? theirs->reason : "-");
    for (size_t i = 0; i < message->len; i++) {
        unsigned char c = (unsigned char)message->bytes[i];
        if (c == '\r' || c == '\n')
            printf("\\%c", c == '\r' ? 'r' : 'n');
        else
            printf(c < 0x20 || c >= 0x7f ? "\\x%02x" : "%c", c);
    }
    printf("\"\n");
}

static void count(const char *name)
{
    for (size_t i = 0; i < difference_count; i++) {
        if (strcmp(differences[i].name, name) == 0) {
            differences[i].count++;
            return;
        }
    }
    if (difference_count < sizeof differences / sizeof *differences)
        differences[difference_count++] = (struct difference){name, 1};
}

static bool is_known_method(const struct reading *ours)
{
#define SAME(number, name, string)                                                                 \
    if (ours->method_len == sizeof #string - 1 &&                                                  \
        memcmp(ours->method, #string, sizeof #string - 1) == 0)                                    \
        return true;
    HTTP_METHOD_MAP(SAME)
#undef SAME
    return false;
}

/* Two kinds of targets that daprd takes: a query alone, and bytes that RFC 3986 wants escaped. */
static bool is_lax_target(const struct reading *ours)
{
    for (size_t i = 0; i < ours->target_len; i++) {
        if ((unsigned char)ours->target[i] >= 0x80)
            return true;
    }
    return ours->target[0] == '?';
}

/* Why we may take what llhttp refuses; NULL: no reason is known. */
static const char *why_taken(const struct reading *ours, const struct reading *theirs)
{
    if (!is_known_method(ours))
        return "taken by us: a method llhttp does not know";
    if (!theirs->has_head && is_lax_target(ours))
        return "taken by us: a target of a query alone, or with bytes over 127";
    if (theirs->has_head && ours->is_chunked && theirs->reason &&
        (strstr(theirs->reason, "Transfer-Encoding") || strstr(theirs->reason, "Content-Length")))
        return "taken by us: a field about framing among the trailers, which are dropped";
    if (theirs->has_head && ours->is_chunked && theirs->reason &&
        strcmp(theirs->reason, "Invalid character in chunk size") == 0)
        return "taken by us: a second extension behind one with a value";
    return NULL;
}

static bool holds(struct fl_slice bytes, const char *text)
{
    return memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
}

/* True when one of the two bytes of CR LF stands without the other. */
static bool has_bare(struct fl_slice bytes, char byte)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char beside = byte == '\n' ? (i > 0 ? bytes.data[i - 1] : 0)
                                   : (i + 1 < bytes.len ? bytes.data[i + 1] : '\n');
        if (bytes.data[i] == byte && beside != (byte == '\n' ? '\r' : '\n'))
            return true;
    }
    return false;
}

/* The first thing in the bytes that a strict reading cannot accept, for those of our refusals whose
 * text does not say it. */
static const char *why_refused(const struct message *message, const struct reading *ours)
{
    struct fl_slice bytes = fl_slice_of(message->bytes, message->len);
    const char *end = memmem(bytes.data, bytes.len, "\r\n\r\n", 4);
    struct fl_slice head =
        fl_slice_of(bytes.data, end ? (size_t)(end - bytes.data) + 4 : bytes.len);
    const char *line_end = memmem(head.data, head.len, "\r\n", 2);
    struct fl_slice line =
        fl_slice_of(head.data, line_end ? (size_t)(line_end - head.data) : head.len);
    struct fl_slice rest = fl_slice_of(bytes.data + head.len, bytes.len - head.len);
    if (ours->has_head)
        return has_bare(rest, '\n')                            ? "chunked body: a bare line feed"
               : has_bare(rest, '\r')                          ? "chunked body: a bare CR"
               : holds(rest, "\r\n ") || holds(rest, "\r\n\t") ? "trailers: a folded line"
               : holds(rest, "\r\n:")                          ? "trailers: an empty name"
                                                               : "chunked body: another";
    if (strcmp(ours->reason, "400 Bad Request") != 0)
        return ours->reason;
    if (head.len && (head.data[0] == '\n' || head.data[0] == '\r'))
        return "line ends before the request, other than one CR LF";
    if (has_bare(head, '\n'))
        return "a bare line feed in the head";
    if (has_bare(head, '\r'))
        return "a bare CR in the head";
    if (!holds(line, " HTTP/"))
        return "a request line without a version (HTTP/0.9)";
    if (holds(head, "\r\n ") || holds(head, "\r\n\t"))
        return "a folded line";
    return "a target of none of the four forms, or another";
}

static const char *compare_framing(const struct reading *ours, const struct reading *theirs)
{
    if (ours->method_len != theirs->method_len ||
        memcmp(ours->method, theirs->method, ours->method_len) != 0)
        return "method";
    if (ours->target_len != theirs->target_len ||
        memcmp(ours->target, theirs->target, ours->target_len) != 0)
        return "target";
    if (ours->field_count != theirs->field_count || ours->names_len != theirs->names_len ||
        memcmp(ours->names, theirs->names, ours->names_len) != 0)
        return "names of fields";
    if (ours->values_len != theirs->values_len ||
        memcmp(ours->values, theirs->values, ours->values_len) != 0)
        return "values of fields";
    if (ours->is_chunked != theirs->is_chunked || ours->minor_version != theirs->minor_version)
        return "chunked or version";
    if (ours->body_len != theirs->body_len || memcmp(ours->body, theirs->body, ours->body_len) != 0)
        return "body";
    if (ours->verdict != theirs->verdict ||
        (ours->verdict == TAKEN && ours->consumed != theirs->consumed))
        return "end of the request";
    return NULL;
}

static void compare(const struct message *message, bool *is_fine)
{
    static struct reading ours, theirs;
    read_ours(&ours, message);
    read_theirs(&theirs, message);
    const char *class = NULL;
    if (ours.verdict == REFUSED || !ours.has_head) {
        if (ours.verdict == REFUSED && theirs.verdict != REFUSED) {
            class = why_refused(message, &ours);
            if (getenv("SHOW") && strstr(class, getenv("SHOW")))
                show("shown", message, &ours, &theirs);
        } else {
            class = ours.verdict == REFUSED ? "both refuse" : "neither has a head";
        }
    } else if (theirs.verdict == REFUSED) {
        class = why_taken(&ours, &theirs);
        if (!class) {
            show("llhttp refuses", message, &ours, &theirs);
            class = "UNEXPLAINED: llhttp refuses";
            *is_fine = false;
        }
    } else {
        const char *unlike = compare_framing(&ours, &theirs);
        class = "both take it alike";
        if (unlike && theirs.is_upgrade) {
            class = "framed unlike: llhttp sees no body behind an upgrade";
        } else if (unlike) {
            show(unlike, message, &ours, &theirs);
            class = "UNEXPLAINED: framed unlike";
            *is_fine = false;
        }
    }
    count(class);
}

static int by_count(const void *a, const void *b)
{
    uint64_t first = ((const struct difference *)a)->count,
             second = ((const struct difference *)b)->count;
    return first < second ? 1 : first > second ? -1 : 0;
}

/* Names other than the reasons of our refusals say the outcome themselves. */
static bool is_outcome(const char *name)
{
    return strstr(name, "taken by us") || strstr(name, "both ") || strstr(name, "neither ") ||
           strstr(name, "framed ") || strstr(name, "UNEXPLAINED");
}

int main(int argc, char **argv)
{
    static struct message message;
    uint64_t times = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 20240601;
    bool is_fine = true;
    for (uint64_t i = 0; i < times; i++) {
        make(&message);
        compare(&message, &is_fine);
    }
    qsort(differences, difference_count, sizeof *differences, by_count);
    printf("figure: %" PRIu64 " mutated requests through our parser and llhttp %d.%d.%d (%s)\n",
           times, LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH,
           LLHTTP_STRICT_MODE ? "strict" : "LOOSE");
    for (size_t i = 0; i < difference_count; i++)
        printf("figure: %10" PRIu64 "  %s%s\n", differences[i].count,
               is_outcome(differences[i].name) ? "" : "refused by us: ", differences[i].name);
    return is_fine && LLHTTP_STRICT_MODE ? 0 : 1;
}
