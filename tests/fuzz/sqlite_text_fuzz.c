/* Any bytes as the texts of pubsub.sqlite that people write: its connection string, and the
 * metadata of a row, which anybody may have changed with the sqlite3 tool.
 *
 * Claims: a path that was accepted is absolute, has no NUL in it and is within its bound; whatever
 * stands in a row becomes an event; what an event's metadata is written as reads back as itself.
 */
#include <stdlib.h>

#include "base/error.h"
#include "connectors/sqlite/path.h"
#include "connectors/sqlite/sqlite_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_path(struct fl_slice text)
{
    struct fl_buffer path = {0};
    struct fl_error error;
    if (cn_path_of(text, FL_SLICE_LIT("/data"), &path, &error) == FL_OK) {
        struct fl_slice made = fl_slice_str(fl_buffer_cstr(&path));
        FL_ASSERT(made.len > 1 && made.len <= CN_PATH_BYTES_MAX && made.data[0] == '/');
    }
    fl_buffer_fini(&path);
}

static void try_row(struct fl_slice body, struct fl_slice metadata)
{
    struct ce_event *event, *again;
    struct fl_buffer room = {0};
    struct fl_slice text;
    FL_ASSERT(cn_event_read(body, FL_SLICE_NULL, metadata, &event) == FL_OK);
    cn_metadata_write(event, &room, &text);
    FL_ASSERT(cn_event_read(body, FL_SLICE_NULL, text, &again) == FL_OK);
    FL_ASSERT(event->metadata_count == again->metadata_count);
    for (size_t i = 0; i < event->metadata_count; i++) {
        FL_ASSERT(fl_slice_eq(event->metadata[i].key, again->metadata[i].key));
        FL_ASSERT(fl_slice_eq(event->metadata[i].value, again->metadata[i].value));
    }
    fl_buffer_fini(&room);
    ce_event_release(&event);
    ce_event_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice all = fl_slice_of((const char *)data, size);
    size_t half = size / 2;
    try_path(all);
    try_row(fl_slice_of(all.data, half), fl_slice_of(all.data + half, size - half));
    return 0;
}
