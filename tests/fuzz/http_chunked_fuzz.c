/* Chunked bodies: however the bytes are cut into reads, the verdict, the data and the place where
 * the body ends are the same. The first byte of the input chooses the cuts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum http_parse result;
    size_t eaten, data_len;
    char *data;
};

static void must(bool claim)
{
    if (!claim)
        abort();
}

static struct outcome decode(struct fl_slice bytes, size_t step)
{
    struct outcome out = {.result = HTTP_PARSE_MORE, .data = malloc(bytes.len + 1)};
    struct http_chunked chunked = {0};
    while (out.eaten < bytes.len && out.result == HTTP_PARSE_MORE) {
        size_t left = bytes.len - out.eaten, eaten;
        struct fl_slice piece;
        struct fl_slice part = fl_slice_of(bytes.data + out.eaten, left < step ? left : step);
        out.result = http_chunked_next(&chunked, part, &eaten, &piece);
        must(eaten > 0 && eaten <= part.len && piece.len <= eaten);
        if (piece.len) {
            must(piece.data >= part.data && piece.data + piece.len == part.data + eaten);
            memcpy(out.data + out.data_len, piece.data, piece.len);
            out.data_len += piece.len;
        }
        out.eaten += eaten;
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct fl_slice bytes = fl_slice_of((const char *)data + 1, size - 1);
    struct outcome whole = decode(bytes, SIZE_MAX), cut = decode(bytes, (data[0] & 31) + 1u);
    must(whole.result == cut.result && whole.eaten == cut.eaten);
    must(whole.data_len == cut.data_len && memcmp(whole.data, cut.data, cut.data_len) == 0);
    free(whole.data);
    free(cut.data);
    return 0;
}
