/* The application's word. Its body is read as Go reads JSON: the first value counts, keys in any
 * case, the last of equal keys wins; what does not fit is no objection. */
#include "gateway/verdict.h"

#include "cloudevents/json_scan.h"
#include "net/http_pool.h"

enum gw_verdict gw_verdict_of_word(struct fl_slice word)
{
    if (word.len == 0 || fl_slice_eq_str(word, "SUCCESS"))
        return GW_VERDICT_SUCCESS;
    return fl_slice_eq_str(word, "DROP") ? GW_VERDICT_DROP : GW_VERDICT_RETRY;
}

static enum gw_verdict of_body(struct fl_slice body)
{
    struct ce_json_scan scan = {0};
    if (ce_json_scan(body, &scan) || scan.type != CE_JSON_OBJECT)
        return GW_VERDICT_SUCCESS;
    struct fl_slice status = ce_json_find_nocase(scan.value, "status");
    if (ce_json_type_of(status) != CE_JSON_STRING)
        return GW_VERDICT_SUCCESS;
    if (ce_json_is_plain(status))
        return gw_verdict_of_word(ce_json_inside(status));
    if (ce_json_equals(status, FL_SLICE_LIT("SUCCESS")))
        return GW_VERDICT_SUCCESS;
    return ce_json_equals(status, FL_SLICE_LIT("DROP")) ? GW_VERDICT_DROP : GW_VERDICT_RETRY;
}

enum gw_verdict gw_verdict_of(const struct http_result *result)
{
    if (result->code)
        return GW_VERDICT_RETRY;
    if (result->status == 404)
        return GW_VERDICT_DROP;
    if (result->status < 200 || result->status > 299)
        return GW_VERDICT_RETRY;
    return result->body.len ? of_body(result->body) : GW_VERDICT_SUCCESS;
}
