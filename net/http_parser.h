/* HTTP/1.1 framing (RFC 9112), strict: one parser for requests and responses.
 *
 * Pure functions over bytes; they neither allocate nor read sockets. What could be read in two ways
 * is refused, since two readings of one request are how requests are smuggled: bare line ends,
 * folded lines, white space around names, Content-Length beside Transfer-Encoding, lengths that are
 * not plain digits.
 *
 * Slices point into the input.
 *
 * Thread: any.
 */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include "base/error.h"
#include "base/slice.h"

enum {
    HTTP_MOST_FIELDS = 100,
    HTTP_MOST_HEAD_BYTES = 64 * 1024,
    HTTP_MOST_TARGET_BYTES = 8 * 1024,
    HTTP_MOST_TRAILER_BYTES = 8 * 1024,
    HTTP_MOST_CHUNK_LINE_BYTES = 4 * 1024,
};

struct http_field {
    struct fl_slice name;  /* as sent; compare without case */
    struct fl_slice value; /* trimmed */
};

struct http_head {
    struct fl_slice method, target;
    int status;        /* of a response */
    int minor_version; /* of HTTP/1.x */
    size_t field_count;
    size_t head_bytes;      /* with the empty line */
    int64_t content_length; /* -1: none given */
    struct fl_slice host;   /* null: none given */
    bool is_chunked;
    bool asks_to_close, asks_to_keep; /* what Connection says */
    bool keeps_alive;                 /* by version and Connection */
    bool expects_continue;
    bool expects_unknown; /* an expectation nobody can meet */
    struct http_field fields[HTTP_MOST_FIELDS];
};

enum http_parse {
    HTTP_PARSE_DONE,
    HTTP_PARSE_MORE, /* well-formed so far */
    HTTP_PARSE_BAD,
};

/* Why a head was refused: what to answer. */
struct http_refusal {
    int status;
    const char *text;
};

/* Where the search for the end of the head stands, so that a head that drips in is looked at once.
 * Zeroed at the start. */
struct http_head_search {
    size_t seen;
};

/* Looks only for the end of the head and for line ends that are not CR LF; for bytes that came in
 * pieces. Gives DONE when the head is complete (then `http_parse_request` or `http_parse_response`
 * takes it), MORE, or BAD. */
enum http_parse http_find_head_end(struct http_head_search *search, struct fl_slice bytes);

/* `most_head_bytes`: the limit of the whole head, at most HTTP_MOST_HEAD_BYTES. On BAD `refusal` is
 * filled. One empty line before the request line is skipped (RFC 9112, 2.2) and counted in
 * head_bytes. */
enum http_parse http_parse_request(struct fl_slice bytes, size_t most_head_bytes,
                                   struct http_head *head, struct http_refusal *refusal);
enum http_parse http_parse_response(struct fl_slice bytes, size_t most_head_bytes,
                                    struct http_head *head, struct http_refusal *refusal);

/* The first field of that name (lower case given), or the null slice. */
struct fl_slice http_head_find(const struct http_head *head, struct fl_slice lower_name);

/* Chunked transfer coding (RFC 9112, 7.1), zeroed at the start. Extensions and trailers are bounded
 * and dropped. */
struct http_chunked {
    uint64_t left;
    uint32_t line_bytes;
    uint8_t state;
};

/* Eats from `bytes` until one piece of data was found, the body is complete (DONE), or all is eaten
 * (MORE). `*eaten` says how many bytes are done with; `*piece` is the data among them, empty when
 * there is none. */
enum http_parse http_chunked_next(struct http_chunked *chunked, struct fl_slice bytes,
                                  size_t *eaten, struct fl_slice *piece);

/* True for the bytes that RFC 9110's token may hold, at least one of them. */
bool http_is_token(struct fl_slice s);
/* True when no byte of the value is a control character other than the tab. */
bool http_is_field_value(struct fl_slice s);

#endif
