/* bindings.http against the binding suite.
 *
 * Its peer is a server in a process of its own, whose descriptors are no business of this one: a
 * thread for each connection, which answers every request alike, and none while it is stalled.
 */
#include "connectors/http/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/binding_suite.c"
#include "tests/conformance/fake_gateway.c"

/* Shared by the two processes. */
struct server {
    pthread_mutex_t lock;
    pthread_cond_t resumed;
    bool is_stalled;
};

static struct server *server;
static int listener;

static size_t body_length(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");
    return field ? strtoul(field + 17, NULL, 10) : 0;
}

/* Reads one request of less than the room; false when the connection has ended. */
static bool read_request(int fd, char *text, size_t room)
{
    size_t len = 0;
    for (;;) {
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (end && len >= (size_t)(end + 4 - text) + body_length(text))
            return true;
        ssize_t got = read(fd, text + len, room - 1 - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
    }
}

static void wait_while_stalled(void)
{
    pthread_mutex_lock(&server->lock);
    while (server->is_stalled)
        pthread_cond_wait(&server->resumed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

static void *serve(void *argument)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Up: 1\r\n\r\nok";
    int fd = (int)(intptr_t)argument;
    char text[4096];
    while (read_request(fd, text, sizeof text)) {
        wait_while_stalled();
        size_t len = sizeof answer - 1 - (strncmp(text, "HEAD", 4) == 0 ? 2 : 0);
        if (send(fd, answer, len, MSG_NOSIGNAL) != (ssize_t)len)
            break;
    }
    close(fd);
    return NULL;
}

static void accept_all(void)
{
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
}

static bool listen_somewhere(char *url, size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return false;
    snprintf(url, room, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return true;
}

static bool share_server(void)
{
    pthread_mutexattr_t of_lock;
    pthread_condattr_t of_condition;
    server = mmap(NULL, sizeof *server, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (server == MAP_FAILED)
        return false;
    pthread_mutexattr_init(&of_lock);
    pthread_mutexattr_setpshared(&of_lock, PTHREAD_PROCESS_SHARED);
    pthread_condattr_init(&of_condition);
    pthread_condattr_setpshared(&of_condition, PTHREAD_PROCESS_SHARED);
    return pthread_mutex_init(&server->lock, &of_lock) == 0 &&
           pthread_cond_init(&server->resumed, &of_condition) == 0;
}

/* The server's process, which ends with this one in any case; -1: there is none. */
static pid_t start_server(char *url, size_t room)
{
    if (!share_server() || !listen_somewhere(url, room))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        accept_all();
    }
    close(listener);
    return pid;
}

static void set_stalled(bool is_stalled)
{
    pthread_mutex_lock(&server->lock);
    server->is_stalled = is_stalled;
    pthread_cond_broadcast(&server->resumed);
    pthread_mutex_unlock(&server->lock);
}

static void stall(struct binding_subject *subject)
{
    (void)subject;
    set_stalled(true);
}

static void resume(struct binding_subject *subject)
{
    (void)subject;
    set_stalled(false);
}

static const struct ce_metadata path[] = {{FL_SLICE_LIT("path"), FL_SLICE_LIT("/a?b=c")}};

static const struct binding_sample samples[] = {
    {"create", FL_SLICE_LIT("\"hello there\""), NULL, 0},
    {"get", FL_SLICE_LIT("null"), path, 1},
    {"head", FL_SLICE_LIT("null"), NULL, 0},
    {"post", FL_SLICE_LIT("{\"a\":[1,2,3]}"), path, 1},
    {"put", FL_SLICE_LIT("1"), NULL, 0},
    {"patch", FL_SLICE_LIT("1"), NULL, 0},
    {"delete", FL_SLICE_LIT("null"), NULL, 0},
    {"options", FL_SLICE_LIT("null"), NULL, 0},
    {"trace", FL_SLICE_LIT("null"), NULL, 0},
};

int main(void)
{
    char url[64];
    setenv("no_proxy", "*", 1);
    pid_t pid = start_server(url, sizeof url);
    if (pid < 0)
        return 1;
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("url"), .value = fl_slice_str(url)},
    };
    struct binding_subject subject = {
        .name = "http",
        .type = &cn_http_type,
        .values = values,
        .value_count = 1,
        .samples = samples,
        .sample_count = sizeof samples / sizeof *samples,
        .patience_ms = 30000,
        .stall = stall,
        .resume = resume,
    };
    int failed = binding_suite_run(&subject);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return failed;
}
