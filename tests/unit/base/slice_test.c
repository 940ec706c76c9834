/* Slices: comparison, trimming, digits, and which bytes are UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/slice.h"

static void compares_with_and_without_case(void **state)
{
    (void)state;
    assert_true(fl_slice_eq(FL_SLICE_NULL, FL_SLICE_LIT("")));
    assert_true(fl_slice_eq_str(FL_SLICE_LIT("a\0b"), "a") == false);
    assert_true(fl_slice_eq_nocase(FL_SLICE_LIT("Content-LENGTH"), FL_SLICE_LIT("content-length")));
    assert_false(fl_slice_eq_nocase(FL_SLICE_LIT("@"), FL_SLICE_LIT("`")));
    assert_false(fl_slice_eq_nocase(FL_SLICE_LIT("ab"), FL_SLICE_LIT("abc")));
    assert_true(fl_slice_starts_with(FL_SLICE_LIT("abc"), FL_SLICE_LIT("ab")));
    assert_true(fl_slice_starts_with(FL_SLICE_NULL, FL_SLICE_NULL));
    assert_true(fl_slice_starts_with_nocase(FL_SLICE_LIT("ABc"), FL_SLICE_LIT("ab")));
    assert_false(fl_slice_starts_with_nocase(FL_SLICE_LIT("a"), FL_SLICE_LIT("ab")));
}

static void orders_bytewise_and_shorter_first(void **state)
{
    (void)state;
    assert_true(fl_slice_compare(FL_SLICE_LIT("a"), FL_SLICE_LIT("b")) < 0);
    assert_true(fl_slice_compare(FL_SLICE_LIT("a"), FL_SLICE_LIT("a\0")) < 0);
    assert_true(fl_slice_compare(FL_SLICE_LIT("\xff"), FL_SLICE_LIT("a")) > 0);
    assert_int_equal(fl_slice_compare(FL_SLICE_NULL, FL_SLICE_LIT("")), 0);
}

static void trims_and_finds(void **state)
{
    (void)state;
    assert_true(fl_slice_eq_str(fl_slice_trim(FL_SLICE_LIT(" \t\r\n\v\fa b ")), "a b"));
    assert_int_equal(fl_slice_trim(FL_SLICE_LIT("  ")).len, 0);
    assert_int_equal(fl_slice_trim(FL_SLICE_LIT("\xa0")).len, 1);
    assert_int_equal(fl_slice_find_byte(FL_SLICE_LIT("abc"), 'c'), 2);
    assert_int_equal(fl_slice_find_byte(FL_SLICE_LIT("abc"), 'd'), 3);
    assert_int_equal(fl_slice_find_byte(FL_SLICE_NULL, 'd'), 0);
    assert_true(fl_slice_is_null(fl_slice_str(NULL)));
    assert_false(fl_slice_is_null(fl_slice_str("")));
}

static void takes_plain_digits_only(void **state)
{
    static const char *const refused[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "1,1", "18446744073709551616", "99999999999999999999"};
    uint64_t value = 7;
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(fl_slice_to_u64(fl_slice_str(refused[i]), &value));
        assert_int_equal(value, 7);
    }
    assert_true(fl_slice_to_u64(FL_SLICE_LIT("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    assert_true(fl_slice_to_u64(FL_SLICE_LIT("0007"), &value));
    assert_int_equal(value, 7);
}

static char lower_of(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Words that overlap at the end must not see anything else than single bytes would. */
static void compares_every_byte_without_case_at_every_place(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 20; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned pair = 0; pair < 65536; pair += 17) {
                char a[20], b[20];
                memset(a, 'x', sizeof a);
                memset(b, 'X', sizeof b);
                a[at] = (char)(pair >> 8);
                b[at] = (char)pair;
                assert_int_equal(fl_slice_eq_nocase(fl_slice_of(a, len), fl_slice_of(b, len)),
                                 lower_of(a[at]) == lower_of(b[at]));
            }
        }
    }
}

/* Every code point's shortest form, and no other number's. */
static size_t encode(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (char)(marks[len] | point);
    return len;
}

static void utf8_takes_every_code_point_but_surrogates(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        char bytes[4];
        size_t len = encode(point, bytes);
        bool is_fine = point <= 0x10FFFF && !(point >= 0xD800 && point <= 0xDFFF);
        if (fl_utf8_sequence(fl_slice_of(bytes, len)) != (is_fine ? len : 0))
            fail_msg("U+%04X", point);
        if (len > 1 && fl_utf8_sequence(fl_slice_of(bytes, len - 1)) != 0)
            fail_msg("U+%04X cut short", point);
    }
}

static void utf8_refuses_overlong_forms_and_stray_bytes(void **state)
{
    static const char *const refused[] = {"\x80",
                                          "\xbf",
                                          "\xc0\x80",
                                          "\xc1\xbf",
                                          "\xe0\x9f\xbf",
                                          "\xf0\x8f\xbf\xbf",
                                          "\xf5\x80\x80\x80",
                                          "\xfe",
                                          "\xff",
                                          "a\xc3",
                                          "\xc3(",
                                          "\xed\xa0\x80",
                                          "\xf4\x90\x80\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (fl_utf8_is_valid(fl_slice_str(refused[i])))
            fail_msg("case %zu", i);
    }
    assert_true(fl_utf8_is_valid(FL_SLICE_LIT("a\0é€😀")));
    assert_true(fl_utf8_is_valid(FL_SLICE_NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_every_byte_without_case_at_every_place),
        cmocka_unit_test(compares_with_and_without_case),
        cmocka_unit_test(orders_bytewise_and_shorter_first),
        cmocka_unit_test(trims_and_finds),
        cmocka_unit_test(takes_plain_digits_only),
        cmocka_unit_test(utf8_takes_every_code_point_but_surrogates),
        cmocka_unit_test(utf8_refuses_overlong_forms_and_stray_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
