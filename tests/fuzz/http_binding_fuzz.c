/* Any bytes as what bindings.http reads of others: an address and a path, the lines of an answer's
 * head, its body as it comes in pieces.
 *
 * Claims: an address that is taken holds no byte that ends a request line, and its shown form no
 * password; metadata have as many texts as they say, and no line breaks; a body never holds more
 * than its room and its end; feeding it always gets on or says why not; nothing leaks.
 */
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "connectors/http/body.h"
#include "connectors/http/response.h"
#include "connectors/http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 64 * 1024, MOST_STEPS = 10000 };

static struct fl_slice take_part(struct fl_slice *rest, char end)
{
    size_t at = fl_slice_find_byte(*rest, end);
    struct fl_slice part = fl_slice_of(rest->data, at);
    size_t used = at < rest->len ? at + 1 : at;
    *rest = fl_slice_of(rest->data + used, rest->len - used);
    return part;
}

static void check_line(struct fl_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        FL_ASSERT(text.data[i] != '\r' && text.data[i] != '\n' && text.data[i] != '\0');
}

static void join(struct fl_slice rest)
{
    struct fl_buffer url = {0};
    struct fl_error error = {.text = ""};
    char shown[200];
    struct fl_slice base = take_part(&rest, '\n');
    enum fl_err err = cn_http_url_join(base, rest.len ? rest : FL_SLICE_NULL, &url, &error);
    if (err) {
        FL_ASSERT(error.text[0]);
    } else {
        check_line(fl_buffer_slice(&url));
        for (size_t i = 0; i < url.len; i++)
            FL_ASSERT(url.data[i] != ' ');
    }
    cn_http_url_show(fl_buffer_slice(&url), shown, sizeof shown);
    FL_ASSERT(strlen(shown) < sizeof shown);
    fl_buffer_fini(&url);
}

static void read_head(struct fl_slice rest)
{
    struct cn_http_head head = {0};
    struct cn_http_metadata metadata = {0};
    bool is_decoded = rest.len && rest.data[0] & 1;
    while (rest.len) {
        const char *at = rest.data;
        take_part(&rest, '\n');
        if (cn_http_head_add(&head, fl_slice_of(at, (size_t)(rest.data - at))))
            break;
    }
    FL_ASSERT(head.count <= CN_HTTP_MOST_HEAD_FIELDS);
    (void)cn_http_head_get(&head, "content-length");
    cn_http_head_metadata(&head, 200, is_decoded, &metadata);
    for (size_t i = 0; i < metadata.count; i++) {
        FL_ASSERT(metadata.items[i].key.len > 0);
        check_line(metadata.items[i].key);
        for (size_t k = 0; k < i; k++)
            FL_ASSERT(!fl_slice_eq(metadata.items[i].key, metadata.items[k].key));
    }
    cn_http_metadata_fini(&metadata);
    cn_http_head_fini(&head);
}

/* The first bytes say how much room there is, where it is cut, and whether it is packed. */
static void read_body(struct fl_slice rest)
{
    struct cn_http_body body;
    if (rest.len < 4)
        return;
    const unsigned char *choice = (const unsigned char *)rest.data;
    size_t most = choice[1] ? (size_t)choice[1] * 64 : SIZE_MAX;
    size_t step = (size_t)choice[2] + 1;
    rest = fl_slice_of(rest.data + 4, rest.len - 4);
    cn_http_body_init(&body, (size_t)choice[0] + 1, most, choice[3] & 2 ? rest.len : 0,
                      choice[3] & 1);
    for (int steps = 0; rest.len && steps < MOST_STEPS; steps++) {
        size_t used = 0, len = rest.len < step ? rest.len : step;
        enum cn_http_body_result result =
            cn_http_body_add(&body, fl_slice_of(rest.data, len), &used);
        FL_ASSERT(used <= len && body.len <= body.size && body.size <= body.room);
        FL_ASSERT(most == SIZE_MAX || body.len <= most);
        rest = fl_slice_of(rest.data + used, rest.len - used);
        if (result == CN_HTTP_BODY_TAKEN)
            continue;
        size_t next = cn_http_body_next_room(&body);
        if (result != CN_HTTP_BODY_FULL || next > ROOM)
            break;
        FL_ASSERT(next > body.room);
        body.room = next;
    }
    (void)cn_http_body_is_whole(&body);
    cn_http_body_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_slice rest = fl_slice_of((const char *)data + 1, size ? size - 1 : 0);
    if (size == 0)
        return 0;
    if (data[0] == 'u')
        join(rest);
    else if (data[0] == 'h')
        read_head(rest);
    else
        read_body(rest);
    return 0;
}
