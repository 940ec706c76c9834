/* Responses: as for requests. */
#include <stdint.h>

#include "tests/fuzz/http_head_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice bytes = fl_slice_of((const char *)data, size);
    check_head(http_parse_response, bytes, 8192);
    check_head(http_parse_response, bytes, 64);
    return 0;
}
