/* Answers as bytes: the status line, the fields that every answer has, and the handler's.
 *
 * They are rendered into the caller's stack; large fields and the body stay where they are and go
 * out as parts of their own.
 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "net/http_server_priv.h"

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } names[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Request Entity Too Large"},
                 {414, "Request URI Too Long"},
                 {417, "Expectation Failed"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].status == status)
            return names[i].text;
    }
    return "";
}

/* RFC 9110, 6.6.1: an origin server with a clock sends Date. Rendered once a second. */
static struct fl_slice date_line(struct http_server *server)
{
    int64_t loop_ms = net_loop_now_ms(server->settings.loop);
    if (loop_ms == server->date_loop_ms)
        return fl_slice_of(server->date, server->date_len);
    int64_t now = fl_clock_wall_s();
    server->date_loop_ms = loop_ms;
    if (now != server->date_s) {
        time_t seconds = (time_t)now;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        server->date_s = now;
        server->date_len =
            strftime(server->date, sizeof server->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    }
    return fl_slice_of(server->date, server->date_len);
}

struct out_head {
    char bytes[640];
    size_t len;
};

static void put(struct out_head *out, const char *data, size_t len)
{
    FL_ASSERT(out->len + len <= sizeof out->bytes);
    memcpy(out->bytes + out->len, data, len);
    out->len += len;
}

static void put_status(struct out_head *out, int status)
{
    if (status == 204) {
        put(out, "HTTP/1.1 204 No Content\r\n", 25);
        return;
    }
    char line[80];
    int len = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
    put(out, line, (size_t)len);
}

static void put_length(struct out_head *out, size_t length)
{
    char line[48];
    int len = snprintf(line, sizeof line, "Content-Length: %zu\r\n", length);
    put(out, line, (size_t)len);
}

void http_answer_render(struct http_exchange *exchange, const struct http_response *response,
                        struct http_answer *out)
{
    struct out_head head = {.len = 0};
    struct fl_slice fields = response->fields, date = date_line(exchange->server);
    bool has_length = response->status != 204 && response->status != 304 && response->status >= 200;
    put_status(&head, response->status);
    put(&head, date.data, date.len);
    if (has_length)
        put_length(&head, response->body.len);
    if (!exchange->keeps_alive)
        put(&head, "Connection: close\r\n", 19);
    else if (exchange->is_http_1_0)
        put(&head, "Connection: keep-alive\r\n", 24);
    FL_ASSERT(head.len <= sizeof out->small);
    memcpy(out->small, head.bytes, head.len);
    if (head.len + fields.len + 2 <= sizeof out->small) {
        if (fields.len)
            memcpy(out->small + head.len, fields.data, fields.len);
        memcpy(out->small + head.len + fields.len, "\r\n", 2);
        out->parts[0] = (struct iovec){out->small, head.len + fields.len + 2};
        out->count = 1;
    } else {
        out->parts[0] = (struct iovec){out->small, head.len};
        out->parts[1] = (struct iovec){(char *)fields.data, fields.len};
        out->parts[2] = (struct iovec){(char *)"\r\n", 2};
        out->count = 3;
    }
    if (has_length && !exchange->is_head_request && response->body.len)
        out->parts[out->count++] = (struct iovec){(char *)response->body.data, response->body.len};
}
