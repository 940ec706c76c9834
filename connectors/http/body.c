/* Bodies; see the header.
 *
 * What is allocated doubles within the room, so a small answer costs little and a large one is
 * moved a few times at most (which the system does by remapping pages). When the length was
 * announced, the first allocation is already as large as the body.
 *
 * A packed body may have several members, one behind the other (RFC 1952, 2.2). Unpacking needs the
 * bytes only once, so it stops where the room ends and goes on from there.
 */
#include "connectors/http/body.h"

#include <stdint.h>
#include <zlib.h>

#include "base/alloc.h"

enum { FIRST_SIZE = 4096, GZIP_ONLY = 15 + 16, MOST_AT_ONCE = 1 << 30 };

struct cn_http_gunzip {
    z_stream stream;
    bool is_inside; /* a member has begun and not ended */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t at_least(size_t a, size_t b)
{
    return a > b ? a : b;
}

void cn_http_body_init(struct cn_http_body *body, size_t room, size_t most, size_t expected,
                       bool is_gzip)
{
    *body = (struct cn_http_body){.room = room, .most = most};
    body->expected = is_gzip ? 0 : least(expected, most);
    if (!is_gzip)
        return;
    body->gunzip = fl_zalloc(sizeof *body->gunzip);
    FL_ASSERT(inflateInit2(&body->gunzip->stream, GZIP_ONLY) == Z_OK);
}

void cn_http_body_fini(struct cn_http_body *body)
{
    if (body->gunzip)
        inflateEnd(&body->gunzip->stream);
    FL_FREE(body->gunzip);
    FL_FREE(body->data);
    body->len = body->size = 0;
}

/* The bytes that may still be added, of those that the room and the end allow. */
static size_t left(const struct cn_http_body *body)
{
    size_t end = least(body->room, body->most);
    return end > body->len ? end - body->len : 0;
}

/* Makes place for `wanted` bytes, which are left. */
static bool grow(struct cn_http_body *body, size_t wanted)
{
    if (body->size - body->len >= wanted)
        return true;
    size_t end = body->len + left(body);
    size_t size = at_least(at_least(body->size * 2, body->len + wanted), FIRST_SIZE);
    if (body->expected > body->size)
        size = at_least(body->expected, body->len + wanted);
    size = least(size, end);
    char *data = fl_try_realloc(body->data, size);
    if (!data)
        return false;
    body->data = data;
    body->size = size;
    return true;
}

static enum cn_http_body_result add_plain(struct cn_http_body *body, struct fl_slice bytes,
                                          size_t *used)
{
    size_t len = least(bytes.len, left(body));
    *used = 0;
    if (len && !grow(body, len))
        return CN_HTTP_BODY_NO_MEMORY;
    if (len)
        memcpy(body->data + body->len, bytes.data, len);
    body->len += len;
    *used = len;
    if (len == bytes.len)
        return CN_HTTP_BODY_TAKEN;
    return body->len >= body->most ? CN_HTTP_BODY_CUT : CN_HTTP_BODY_FULL;
}

/* --- packed --- */

/* One step with a place for output, which is the body's end, or one byte beside it when the body
 * may not grow: whether something would come is then all that matters. */
static int step(struct cn_http_gunzip *gunzip, void *out, size_t room, size_t *made)
{
    z_stream *stream = &gunzip->stream;
    stream->next_out = out;
    stream->avail_out = (uInt)least(room, MOST_AT_ONCE);
    size_t before = stream->avail_out;
    int result = inflate(stream, Z_NO_FLUSH);
    *made = before - stream->avail_out;
    gunzip->is_inside = result != Z_STREAM_END;
    if (result == Z_STREAM_END)
        inflateReset(stream);
    return result;
}

/* True: the body has its last byte, and there would be more. */
static bool has_more(struct cn_http_gunzip *gunzip, int *result)
{
    char beyond;
    size_t made;
    *result = step(gunzip, &beyond, 1, &made);
    return made > 0;
}

static enum cn_http_body_result unpack_some(struct cn_http_body *body)
{
    struct cn_http_gunzip *gunzip = body->gunzip;
    int result = Z_OK;
    if (left(body) == 0) {
        if (body->len < body->most)
            return CN_HTTP_BODY_FULL;
        if (has_more(gunzip, &result))
            return CN_HTTP_BODY_CUT;
    } else {
        size_t made;
        if (body->len == body->size && !grow(body, least(left(body), FIRST_SIZE)))
            return CN_HTTP_BODY_NO_MEMORY;
        result =
            step(gunzip, body->data + body->len, least(body->size - body->len, left(body)), &made);
        body->len += made;
    }
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR ? CN_HTTP_BODY_TAKEN
           : result == Z_MEM_ERROR ? CN_HTTP_BODY_NO_MEMORY
                                   : CN_HTTP_BODY_BROKEN;
}

/* Output may remain inside when all input is used: as long as a step filled its place there is. */
static bool has_rest(const struct cn_http_gunzip *gunzip)
{
    return gunzip->stream.avail_in > 0 || (gunzip->is_inside && gunzip->stream.avail_out == 0);
}

static enum cn_http_body_result add_packed(struct cn_http_body *body, struct fl_slice bytes,
                                           size_t *used)
{
    z_stream *stream = &body->gunzip->stream;
    /* The library does not write there. */
    stream->next_in = (Bytef *)(uintptr_t)bytes.data;
    stream->avail_in = (uInt)bytes.len;
    enum cn_http_body_result result = CN_HTTP_BODY_TAKEN;
    while (result == CN_HTTP_BODY_TAKEN && has_rest(body->gunzip))
        result = unpack_some(body);
    *used = bytes.len - stream->avail_in;
    return result;
}

/* --- */

enum cn_http_body_result cn_http_body_add(struct cn_http_body *body, struct fl_slice bytes,
                                          size_t *used)
{
    bytes.len = least(bytes.len, MOST_AT_ONCE);
    return body->gunzip ? add_packed(body, bytes, used) : add_plain(body, bytes, used);
}

bool cn_http_body_is_whole(const struct cn_http_body *body)
{
    return !body->gunzip || !body->gunzip->is_inside;
}

size_t cn_http_body_next_room(const struct cn_http_body *body)
{
    size_t twice = body->room > SIZE_MAX / 2 ? SIZE_MAX : body->room * 2;
    return least(body->expected > body->room ? body->expected : twice, body->most);
}
