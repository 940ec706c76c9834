/* Shared by the subcommands; see the header. */
#include "gateway/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buffer.h"
#include "gateway/component.h"
#include "gateway/gateway.h"

void gw_cli_write(int fd, struct fl_slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.data, text.len);
        struct pollfd at = {.fd = fd, .events = POLLOUT};
        if (n > 0)
            text = fl_slice_of(text.data + n, text.len - (size_t)n);
        else if (n < 0 && errno == EAGAIN)
            poll(&at, 1, -1);
        else if (n == 0 || errno != EINTR)
            return;
    }
}

void gw_cli_say(enum config_command command, const char *format, ...)
{
    char text[2048];
    struct fl_buffer line = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fl_buffer_printf(&line, "fairlead %s: %s\n", config_command_name(command), text);
    gw_cli_write(STDERR_FILENO, fl_buffer_slice(&line));
    fl_buffer_fini(&line);
}

const char *gw_cli_plain(const char *text)
{
    static const char mark[] = "initialization error occurred for ";
    for (const char *at; (at = strstr(text, mark));) {
        const char *end = strstr(at, "): ");
        if (!end)
            break;
        text = end + 3;
    }
    return text;
}

static enum fl_err refuse_choice(const struct gateway *gateway, struct fl_slice name,
                                 struct fl_error *error)
{
    struct fl_buffer names = {0};
    for (size_t i = 0; i < gateway->component_count; i++) {
        const struct gw_component *component = gateway->components[i];
        if (component->kind == GW_PUBSUB)
            fl_buffer_printf(&names, "%s%.*s", names.len ? ", " : "",
                             FL_SLICE_ARG(component->name));
    }
    enum fl_err err = fl_error_set(error, FL_ERR_NOT_FOUND, FL_CLASS_REJECT, "%s%.*s%s%s%s",
                                   name.len ? "there is no pub/sub component named "
                                            : "which pub/sub component? --pubsub",
                                   FL_SLICE_ARG(name), name.len ? "; there " : " names one; there ",
                                   names.len ? "are: " : "is none", fl_buffer_cstr(&names));
    fl_buffer_fini(&names);
    return err;
}

enum fl_err gw_cli_choose(const struct gateway *gateway, struct fl_slice name,
                          struct gw_component **component, struct fl_error *error)
{
    struct gw_component *found = NULL;
    if (name.len)
        found = gw_component_find(gateway, name);
    else if (gateway->component_count == 1 && gateway->components[0]->kind == GW_PUBSUB)
        found = gateway->components[0];
    else
        found = gw_component_find(gateway, FL_SLICE_LIT("pubsub"));
    if (!found)
        return refuse_choice(gateway, name, error);
    *component = found;
    return FL_OK;
}
