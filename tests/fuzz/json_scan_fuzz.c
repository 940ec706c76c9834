/* Any bytes through the scanner, and whatever it accepts through everything that trusts it.
 *
 * Claims: a repaired value scans without bad text; a rewritten value scans, and rewriting it again
 * changes nothing; walking finds as many members as the scan reported.
 */
#include "base/error.h"
#include "cloudevents/json_scan.h"
#include "cloudevents/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
    size_t count, bytes;
};

static void on_member(void *context, struct fl_slice key, struct fl_slice value)
{
    struct tally *tally = context;
    tally->count++;
    tally->bytes += key.len + value.len;
}

static void check_walk(struct fl_slice value, struct tally reported)
{
    struct tally walked = {0};
    struct ce_json_walk walk;
    struct fl_slice key, member;
    struct fl_buffer text = {0};
    ce_json_walk_init(&walk, value);
    while (ce_json_walk_next(&walk, &key, &member)) {
        on_member(&walked, key, member);
        fl_buffer_clear(&text);
        FL_ASSERT(ce_json_try_decode(key, &text) == FL_OK);
        FL_ASSERT(fl_utf8_is_valid(fl_buffer_slice(&text)));
        FL_ASSERT(fl_slice_is_null(key) || ce_json_equals(key, fl_buffer_slice(&text)));
        (void)ce_json_equals_nocase(key, FL_SLICE_LIT("entryId"));
        int64_t number;
        (void)ce_json_to_i64(member, &number);
    }
    FL_ASSERT(walked.count == reported.count && walked.bytes == reported.bytes);
    fl_buffer_fini(&text);
}

static void check_repair(struct fl_slice value)
{
    size_t size = ce_json_repaired_size(value);
    struct fl_buffer text = {0};
    fl_buffer_reserve(&text, size + 1);
    FL_ASSERT(ce_json_put_repaired(text.data, value) == text.data + size);
    text.len = size;
    struct ce_json_scan scan = {.max_depth = CE_JSON_MAX_DEPTH + 1};
    FL_ASSERT(ce_json_scan(fl_buffer_slice(&text), &scan) == FL_OK);
    FL_ASSERT(!(scan.flags & (CE_JSON_BAD_TEXT | CE_JSON_TRAILING)));
    fl_buffer_fini(&text);
}

static void check_rewrite(struct fl_slice value, unsigned flags)
{
    struct fl_buffer once = {0}, twice = {0};
    enum fl_err err = ce_json_try_rewrite(&once, value);
    FL_ASSERT((err == FL_OK) == !(flags & CE_JSON_HUGE_NUMBER) || err == FL_OK);
    if (err == FL_OK) {
        struct ce_json_scan scan = {0};
        FL_ASSERT(ce_json_scan(fl_buffer_slice(&once), &scan) == FL_OK && scan.flags == 0);
        FL_ASSERT(ce_json_try_rewrite(&twice, scan.value) == FL_OK);
        FL_ASSERT(fl_slice_eq(fl_buffer_slice(&once), fl_buffer_slice(&twice)));
    }
    fl_buffer_fini(&once);
    fl_buffer_fini(&twice);
}

/* The pieces that must be safe on bytes nobody has validated. */
static void check_unvalidated(struct fl_slice text)
{
    struct ce_json_walk walk;
    struct fl_slice key, value;
    ce_json_walk_init(&walk, text);
    for (size_t i = 0; i <= text.len && ce_json_walk_next(&walk, &key, &value); i++)
        (void)ce_json_equals(key, value);
    struct fl_buffer out = {0};
    FL_ASSERT(ce_json_try_decode(text, &out) == FL_OK);
    fl_buffer_clear(&out);
    FL_ASSERT(ce_json_try_string(&out, text) == FL_OK);
    struct ce_json_scan scan = {0};
    FL_ASSERT(ce_json_scan(fl_buffer_slice(&out), &scan) == FL_OK && scan.flags == 0);
    fl_buffer_clear(&out);
    size_t bad;
    (void)!ce_base64_try_decode(text, true, &out, &bad);
    fl_buffer_clear(&out);
    ce_base64_append(&out, text);
    struct fl_buffer back = {0};
    FL_ASSERT(ce_base64_try_decode(fl_buffer_slice(&out), false, &back, NULL) == FL_OK);
    FL_ASSERT(fl_slice_eq(fl_buffer_slice(&back), text));
    fl_buffer_fini(&out);
    fl_buffer_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice text = fl_slice_of((const char *)data, size);
    struct tally tally = {0};
    struct ce_json_scan scan = {.on_member = on_member, .context = &tally};
    check_unvalidated(text);
    if (ce_json_scan(text, &scan) != FL_OK) {
        struct fl_error error;
        FL_ASSERT(scan.stopped_at < size || scan.is_cut);
        FL_ASSERT(ce_json_explain(text, &scan, &error) == FL_ERR_INVALID);
        return 0;
    }
    check_walk(scan.value, tally);
    check_repair(scan.value);
    check_rewrite(scan.value, scan.flags);
    return 0;
}
