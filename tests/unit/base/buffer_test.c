/* Buffers, and what they do when memory is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"

static void assert_text(struct fl_buffer *buffer, const char *text)
{
    assert_string_equal(fl_buffer_cstr(buffer), text);
    assert_int_equal(buffer->len, strlen(text));
}

static void appends_in_every_way(void **state)
{
    struct fl_buffer buffer = {0};
    (void)state;
    fl_buffer_append(&buffer, NULL, 0);
    assert_int_equal(buffer.len, 0);
    fl_buffer_append_str(&buffer, "a");
    fl_buffer_append_byte(&buffer, 'b');
    fl_buffer_append_slice(&buffer, FL_SLICE_LIT("cd"));
    fl_buffer_append_u64(&buffer, 0);
    fl_buffer_append_u64(&buffer, UINT64_MAX);
    fl_buffer_printf(&buffer, "[%s]", "e");
    assert_text(&buffer, "abcd018446744073709551615[e]");
    fl_buffer_fini(&buffer);
    fl_buffer_fini(&buffer);
}

static void printf_fits_whatever_the_room(void **state)
{
    (void)state;
    for (size_t before = 0; before < 140; before++) {
        struct fl_buffer buffer = {0};
        for (size_t i = 0; i < before; i++)
            fl_buffer_append_byte(&buffer, 'x');
        fl_buffer_printf(&buffer, "%s", "twelve bytes");
        assert_int_equal(buffer.len, before + 12);
        assert_memory_equal(buffer.data + before, "twelve bytes", 12);
        fl_buffer_fini(&buffer);
    }
}

static void consuming_keeps_the_rest(void **state)
{
    struct fl_buffer buffer = {0};
    (void)state;
    fl_buffer_consume(&buffer, 0);
    fl_buffer_append_str(&buffer, "abcdef");
    fl_buffer_consume(&buffer, 2);
    assert_text(&buffer, "cdef");
    fl_buffer_consume(&buffer, 4);
    assert_text(&buffer, "");
    fl_buffer_append_str(&buffer, "g");
    assert_text(&buffer, "g");
    fl_buffer_clear(&buffer);
    assert_text(&buffer, "");
    fl_buffer_fini(&buffer);
}

static void a_failed_append_changes_nothing(void **state)
{
    static char large[4096];
    struct fl_buffer buffer = {0};
    (void)state;
    fl_buffer_append_str(&buffer, "kept");
    fl_alloc_fail_at(1);
    assert_int_equal(fl_buffer_try_append(&buffer, large, sizeof large), FL_ERR_NO_MEMORY);
    assert_text(&buffer, "kept");
    fl_alloc_fail_at(1);
    assert_int_equal(fl_buffer_try_reserve(&buffer, 100000), FL_ERR_NO_MEMORY);
    fl_alloc_fail_at(0);
    assert_int_equal(fl_buffer_try_append(&buffer, large, sizeof large), FL_OK);
    assert_int_equal(buffer.len, 4 + sizeof large);
    assert_int_equal(fl_buffer_try_append(&buffer, large, 0), FL_OK);
    fl_buffer_fini(&buffer);
}

static void a_length_that_no_machine_has_fails_politely(void **state)
{
    struct fl_buffer buffer = {0};
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its allocator stops the process instead */
#endif
    assert_int_equal(fl_buffer_try_reserve(&buffer, (size_t)INT64_MAX), FL_ERR_NO_MEMORY);
    assert_null(buffer.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_in_every_way),
        cmocka_unit_test(printf_fits_whatever_the_room),
        cmocka_unit_test(consuming_keeps_the_rest),
        cmocka_unit_test(a_failed_append_changes_nothing),
        cmocka_unit_test(a_length_that_no_machine_has_fails_politely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
