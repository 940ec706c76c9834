/* What holds for every head, whatever the bytes: shared by the fuzz targets of requests and
 * responses. A broken promise stops the process.
 *
 * Thread: any.
 */
#ifndef HTTP_HEAD_CHECKS_H
#define HTTP_HEAD_CHECKS_H

#include <stdlib.h>

#include "net/http_parser.h"

typedef enum http_parse parse_head_fn(struct fl_slice bytes, size_t most_head_bytes,
                                      struct http_head *head, struct http_refusal *refusal);

static inline void must(bool claim)
{
    if (!claim)
        abort();
}

static inline void check_inside(struct fl_slice outer, struct fl_slice inner)
{
    must(inner.data >= outer.data && inner.data + inner.len <= outer.data + outer.len);
}

static inline void check_fields(const struct http_head *head, struct fl_slice bytes)
{
    must(head->field_count <= HTTP_MOST_FIELDS);
    must(head->head_bytes <= bytes.len && head->head_bytes <= HTTP_MOST_HEAD_BYTES);
    for (size_t i = 0; i < head->field_count; i++) {
        check_inside(bytes, head->fields[i].name);
        check_inside(bytes, head->fields[i].value);
        must(http_is_token(head->fields[i].name));
        must(http_is_field_value(head->fields[i].value));
    }
    must(!(head->is_chunked && head->content_length >= 0));
    must(!(head->asks_to_close && head->keeps_alive));
}

/* A head that is complete is so at its last byte and not before; one that is refused stays refused
 * whatever follows. */
static inline void check_prefixes(parse_head_fn *parse, struct fl_slice bytes, size_t most,
                                  enum http_parse result, const struct http_head *head)
{
    static struct http_head part;
    struct http_refusal refusal;
    if (result == HTTP_PARSE_DONE) {
        struct fl_slice whole = fl_slice_of(bytes.data, head->head_bytes);
        must(parse(whole, most, &part, &refusal) == HTTP_PARSE_DONE);
        must(part.head_bytes == head->head_bytes && part.field_count == head->field_count);
        whole.len--;
        must(parse(whole, most, &part, &refusal) == HTTP_PARSE_MORE);
    }
    struct fl_slice half = fl_slice_of(bytes.data, bytes.len / 2);
    if (parse(half, most, &part, &refusal) == HTTP_PARSE_BAD) {
        must(result == HTTP_PARSE_BAD);
        must(refusal.status >= 400 && refusal.status < 600 && refusal.text);
    }
}

/* Bytes that drip in are searched for the end of the head: what the parser takes whole must be
 * found, at the same place. */
static inline void check_search(struct fl_slice bytes, const struct http_head *head)
{
    struct http_head_search search = {0};
    for (size_t len = 0; len < head->head_bytes; len++)
        must(http_find_head_end(&search, fl_slice_of(bytes.data, len)) == HTTP_PARSE_MORE);
    must(http_find_head_end(&search, bytes) == HTTP_PARSE_DONE);
}

static inline void check_head(parse_head_fn *parse, struct fl_slice bytes, size_t most)
{
    static struct http_head head;
    struct http_refusal refusal = {0, NULL};
    enum http_parse result = parse(bytes, most, &head, &refusal);
    check_prefixes(parse, bytes, most, result, &head);
    if (result == HTTP_PARSE_BAD)
        must(refusal.status >= 400 && refusal.status < 600 && refusal.text);
    if (result != HTTP_PARSE_DONE)
        return;
    must(head.head_bytes <= most);
    check_fields(&head, bytes);
    check_search(bytes, &head);
    struct fl_slice found = http_head_find(&head, FL_SLICE_LIT("content-length"));
    must(fl_slice_is_null(found) == (head.content_length < 0));
}

#endif
