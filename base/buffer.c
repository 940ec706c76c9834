/* Growing byte runs; see the header. */
#include "base/buffer.h"

#include <stdio.h>

void fl_buffer_fini(struct fl_buffer *buffer)
{
    fl_free(buffer->data);
    *buffer = (struct fl_buffer){0};
}

static size_t grown(const struct fl_buffer *buffer, size_t more)
{
    size_t need = buffer->len + more;
    size_t room = buffer->room ? buffer->room : 64;
    FL_ASSERT(need >= more);
    while (room < need)
        room = room > SIZE_MAX / 2 ? need : room * 2;
    return room;
}

void fl_buffer_reserve(struct fl_buffer *buffer, size_t more)
{
    if (buffer->room - buffer->len >= more)
        return;
    size_t room = grown(buffer, more);
    buffer->data = fl_realloc(buffer->data, room);
    buffer->room = room;
}

enum fl_err fl_buffer_try_reserve(struct fl_buffer *buffer, size_t more)
{
    if (buffer->room - buffer->len >= more)
        return FL_OK;
    size_t room = grown(buffer, more);
    char *data = fl_try_realloc(buffer->data, room);
    if (!data)
        return FL_ERR_NO_MEMORY;
    buffer->data = data;
    buffer->room = room;
    return FL_OK;
}

void fl_buffer_append(struct fl_buffer *buffer, const void *data, size_t len)
{
    if (len == 0)
        return;
    fl_buffer_reserve(buffer, len);
    memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
}

enum fl_err fl_buffer_try_append(struct fl_buffer *buffer, const void *data, size_t len)
{
    if (len == 0)
        return FL_OK;
    enum fl_err err = fl_buffer_try_reserve(buffer, len);
    if (err)
        return err;
    memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    return FL_OK;
}

void fl_buffer_append_u64(struct fl_buffer *buffer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    fl_buffer_append(buffer, digits + at, sizeof digits - at);
}

void fl_buffer_printf(struct fl_buffer *buffer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    FL_ASSERT(len >= 0);
    fl_buffer_reserve(buffer, (size_t)len + 1);
    vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, again);
    va_end(again);
    buffer->len += (size_t)len;
}

void fl_buffer_consume(struct fl_buffer *buffer, size_t len)
{
    FL_ASSERT(len <= buffer->len);
    buffer->len -= len;
    if (buffer->len)
        memmove(buffer->data, buffer->data + len, buffer->len);
}

const char *fl_buffer_cstr(struct fl_buffer *buffer)
{
    fl_buffer_reserve(buffer, 1);
    buffer->data[buffer->len] = 0;
    return buffer->data;
}
