/* Bodies: whole, cut, packed, and as far as there is room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "connectors/http/body.h"

static struct cn_http_body body;
static char plain[300000], packed[400000];
static size_t packed_len;

static int set_up(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof plain; i++) {
        random = random * 1664525u + 1013904223u;
        plain[i] = (char)('a' + (random >> 24) % (i < sizeof plain / 2 ? 26 : 1));
    }
    body = (struct cn_http_body){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fl_alloc_fail_at(0);
    cn_http_body_fini(&body);
    return 0;
}

/* Appends one member. */
static void pack(const char *data, size_t len)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)len;
    stream.next_out = (Bytef *)packed + packed_len;
    stream.avail_out = (uInt)(sizeof packed - packed_len);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed_len = sizeof packed - stream.avail_out;
    deflateEnd(&stream);
}

/* Feeds in pieces, giving room whenever it is asked for, as a transfer does. */
static enum cn_http_body_result feed(const char *data, size_t len, size_t piece)
{
    size_t at = 0;
    enum cn_http_body_result result = CN_HTTP_BODY_TAKEN;
    while (at < len || result == CN_HTTP_BODY_FULL) {
        size_t used, now = len - at < piece ? len - at : piece;
        if (result == CN_HTTP_BODY_FULL)
            body.room = cn_http_body_next_room(&body);
        result = cn_http_body_add(&body, fl_slice_of(data + at, now), &used);
        at += used;
        assert_true(body.size <= body.room);
        if (result != CN_HTTP_BODY_TAKEN && result != CN_HTTP_BODY_FULL)
            break;
    }
    return result;
}

static void assert_plain(size_t len)
{
    assert_int_equal(body.len, len);
    assert_memory_equal(body.data, plain, len);
}

static void grows_within_its_room(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 200000; piece = piece * 7 + 1) {
        cn_http_body_init(&body, 1000, SIZE_MAX, 0, false);
        assert_int_equal(feed(plain, sizeof plain, piece), CN_HTTP_BODY_TAKEN);
        assert_plain(sizeof plain);
        cn_http_body_fini(&body);
    }
}

static void a_full_one_says_how_far_it_came(void **state)
{
    (void)state;
    size_t used;
    cn_http_body_init(&body, 10, SIZE_MAX, 0, false);
    assert_int_equal(cn_http_body_add(&body, fl_slice_of(plain, 25), &used), CN_HTTP_BODY_FULL);
    assert_int_equal(used, 10);
    assert_int_equal(cn_http_body_next_room(&body), 20);
    body.room = 20;
    assert_int_equal(cn_http_body_add(&body, fl_slice_of(plain + 10, 15), &used),
                     CN_HTTP_BODY_FULL);
    body.room = 40;
    assert_int_equal(cn_http_body_add(&body, fl_slice_of(plain + 20, 5), &used),
                     CN_HTTP_BODY_TAKEN);
    assert_plain(25);
}

static void a_long_one_is_cut(void **state)
{
    (void)state;
    cn_http_body_init(&body, 10, 5000, 0, false);
    assert_int_equal(feed(plain, 5000, 999), CN_HTTP_BODY_TAKEN);
    assert_int_equal(feed(plain, 1, 1), CN_HTTP_BODY_CUT);
    assert_plain(5000);
    assert_int_equal(cn_http_body_next_room(&body), 5000);
}

static void a_known_length_is_asked_for_at_once(void **state)
{
    (void)state;
    cn_http_body_init(&body, 10, 5000, 4000, false);
    assert_int_equal(body.expected, 4000);
    assert_int_equal(cn_http_body_next_room(&body), 4000);
    body.room = 4000;
    size_t used;
    assert_int_equal(cn_http_body_add(&body, fl_slice_of(plain, 1), &used), CN_HTTP_BODY_TAKEN);
    assert_int_equal(body.size, 4000);
    cn_http_body_fini(&body);
    cn_http_body_init(&body, 10, 5000, 90000, false);
    assert_int_equal(body.expected, 5000);
}

static void a_packed_one_is_unpacked(void **state)
{
    (void)state;
    packed_len = 0;
    pack(plain, sizeof plain);
    for (size_t piece = 1; piece < 200000; piece = piece * 31 + 1) {
        cn_http_body_init(&body, 1000, SIZE_MAX, packed_len, true);
        assert_int_equal(feed(packed, packed_len, piece), CN_HTTP_BODY_TAKEN);
        assert_true(cn_http_body_is_whole(&body));
        assert_plain(sizeof plain);
        cn_http_body_fini(&body);
    }
}

static void members_follow_each_other(void **state)
{
    (void)state;
    packed_len = 0;
    pack(plain, 100000);
    pack(plain, 0);
    pack(plain + 100000, sizeof plain - 100000);
    cn_http_body_init(&body, 4096, SIZE_MAX, 0, true);
    assert_int_equal(feed(packed, packed_len, 5000), CN_HTTP_BODY_TAKEN);
    assert_true(cn_http_body_is_whole(&body));
    assert_plain(sizeof plain);
}

static void a_packed_one_is_cut_where_it_is_unpacked(void **state)
{
    (void)state;
    packed_len = 0;
    pack(plain, sizeof plain);
    for (size_t most = sizeof plain - 1; most <= sizeof plain + 1; most++) {
        cn_http_body_init(&body, 4096, most, 0, true);
        assert_int_equal(feed(packed, packed_len, 5000),
                         most < sizeof plain ? CN_HTTP_BODY_CUT : CN_HTTP_BODY_TAKEN);
        assert_plain(most < sizeof plain ? most : sizeof plain);
        cn_http_body_fini(&body);
    }
}

static void a_packed_one_that_breaks_off_is_not_whole(void **state)
{
    (void)state;
    packed_len = 0;
    pack(plain, 1000);
    for (size_t len = 0; len <= packed_len; len++) {
        cn_http_body_init(&body, 4096, SIZE_MAX, 0, true);
        assert_int_equal(feed(packed, len, 100), CN_HTTP_BODY_TAKEN);
        assert_int_equal(cn_http_body_is_whole(&body), len == 0 || len == packed_len);
        cn_http_body_fini(&body);
    }
}

static void a_packed_one_that_is_damaged_is_broken(void **state)
{
    (void)state;
    packed_len = 0;
    pack(plain, 1000);
    const size_t places[] = {0, 1, 2, packed_len - 8, packed_len - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        packed[places[i]] ^= 0x55;
        cn_http_body_init(&body, 4096, SIZE_MAX, 0, true);
        assert_int_equal(feed(packed, packed_len, 100), CN_HTTP_BODY_BROKEN);
        cn_http_body_fini(&body);
        packed[places[i]] ^= 0x55;
    }
    memcpy(packed + packed_len, "garbage behind it", 17);
    cn_http_body_init(&body, 4096, SIZE_MAX, 0, true);
    assert_int_equal(feed(packed, packed_len + 17, 100), CN_HTTP_BODY_BROKEN);
}

static void without_memory_it_fails_politely(void **state)
{
    (void)state;
    packed_len = 0;
    pack(plain, sizeof plain);
    for (unsigned nth = 1; nth <= 3; nth++) {
        cn_http_body_init(&body, 4096, SIZE_MAX, 0, false);
        fl_alloc_fail_at(nth);
        assert_int_equal(feed(plain, sizeof plain, 4096), CN_HTTP_BODY_NO_MEMORY);
        cn_http_body_fini(&body);
        cn_http_body_init(&body, 4096, SIZE_MAX, 0, true);
        fl_alloc_fail_at(nth);
        assert_int_equal(feed(packed, packed_len, 4096), CN_HTTP_BODY_NO_MEMORY);
        cn_http_body_fini(&body);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(grows_within_its_room),
        TEST(a_full_one_says_how_far_it_came),
        TEST(a_long_one_is_cut),
        TEST(a_known_length_is_asked_for_at_once),
        TEST(a_packed_one_is_unpacked),
        TEST(members_follow_each_other),
        TEST(a_packed_one_is_cut_where_it_is_unpacked),
        TEST(a_packed_one_that_breaks_off_is_not_whole),
        TEST(a_packed_one_that_is_damaged_is_broken),
        TEST(without_memory_it_fails_politely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
