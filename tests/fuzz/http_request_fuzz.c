/* Requests: no bytes break the parser's promises, at the usual limit of a head and at the largest.
 */
#include <stdint.h>

#include "tests/fuzz/http_head_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice bytes = fl_slice_of((const char *)data, size);
    struct http_head_search search = {0};
    http_find_head_end(&search, bytes);
    check_head(http_parse_request, bytes, 8192);
    check_head(http_parse_request, bytes, 1 << 30);
    check_head(http_parse_request, bytes, 64);
    return 0;
}
