/* A growing run of bytes that its holder owns.
 *
 * A zeroed struct is an empty buffer. Appending doubles the room. The plain functions abort when
 * memory is gone and are for text of bounded size; the `try_` ones are for payloads: they
 * fail politely and leave the buffer as it was. Bounds are the holder's.
 *
 * Thread: one at a time.
 */
#ifndef FL_BASE_BUFFER_H
#define FL_BASE_BUFFER_H

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"

struct fl_buffer {
    char *data;
    size_t len;
    size_t room;
};

void fl_buffer_fini(struct fl_buffer *buffer);

static inline struct fl_slice fl_buffer_slice(const struct fl_buffer *buffer)
{
    return fl_slice_of(buffer->data, buffer->len);
}

static inline void fl_buffer_clear(struct fl_buffer *buffer)
{
    buffer->len = 0;
}

/* Makes room for `more` bytes after the present ones. */
void fl_buffer_reserve(struct fl_buffer *buffer, size_t more);
enum fl_err fl_buffer_try_reserve(struct fl_buffer *buffer, size_t more) FL_MUST_USE;

void fl_buffer_append(struct fl_buffer *buffer, const void *data, size_t len);
enum fl_err fl_buffer_try_append(struct fl_buffer *buffer, const void *data,
                                 size_t len) FL_MUST_USE;

static inline void fl_buffer_append_slice(struct fl_buffer *buffer, struct fl_slice s)
{
    fl_buffer_append(buffer, s.data, s.len);
}

static inline void fl_buffer_append_str(struct fl_buffer *buffer, const char *text)
{
    fl_buffer_append(buffer, text, strlen(text));
}

static inline void fl_buffer_append_byte(struct fl_buffer *buffer, char byte)
{
    fl_buffer_append(buffer, &byte, 1);
}

void fl_buffer_append_u64(struct fl_buffer *buffer, uint64_t value);
void fl_buffer_printf(struct fl_buffer *buffer, const char *format, ...) FL_PRINTF(2, 3);

/* Removes the first `len` bytes. */
void fl_buffer_consume(struct fl_buffer *buffer, size_t len);

/* The bytes with a NUL behind them (not counted in `len`). Valid until the next change. */
const char *fl_buffer_cstr(struct fl_buffer *buffer);

#endif
