/* Another process with the same component: this program again, as a child. A part of the connector
 * suite.
 *
 * A child does one thing, says "done" in a line of its own, and then goes on as a gateway does,
 * until its standard input ends or it is killed. Messages that it accepts are lines with their
 * numbers. It never outlives the suite.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child gives up first, so that it is the one to say what it has waited for. */
enum { CHILD_WAITS_MS = 40000, CHILD_PATIENCE_MS = 60000 };

/* --- inside the child --- */

struct child_task {
    struct fake_gateway *fake;
    struct fl_slice topic;
    const char *group;
    size_t count; /* of messages */
    long extra;   /* keys, or milliseconds */
};

static void require(bool claim, const char *what)
{
    if (claim)
        return;
    fprintf(stderr, "child: %s\n", what);
    exit(1);
}

static void child_says(const char *text)
{
    puts(text);
    fflush(stdout);
}

static struct fake_subscription *child_subscribes(const struct child_task *task,
                                                  enum connector_mode mode)
{
    struct fake_subscription *subscription =
        fake_subscribe(task->fake, task->topic, task->group, mode);
    require(fake_wait_subscribed(subscription), "was not subscribed");
    return subscription;
}

static void child_publishes(const struct child_task *task)
{
    fake_publish_keyed(task->fake, task->topic, task->count, (size_t)task->extra);
    require(fake_wait_answers(task->fake), "got no answers to its publishes");
    for (size_t i = 0; i < task->fake->publish_count; i++)
        require(task->fake->publishes[i]->code == FL_OK, "a publish failed");
}

static void child_holds(const struct child_task *task)
{
    struct fake_subscription *subscription = child_subscribes(task, CONNECTOR_MODE_COMPETE);
    fake_window(subscription, (uint32_t)task->count, PLENTY);
    require(fake_wait_deliveries(subscription, task->count),
            "did not get the deliveries that it waited for");
}

static void child_holds_broadcast(const struct child_task *task)
{
    struct fake_subscription *subscription = child_subscribes(task, CONNECTOR_MODE_BROADCAST);
    fake_window(subscription, (uint32_t)task->count, PLENTY);
    require(fake_wait_deliveries(subscription, task->count),
            "did not get the deliveries that it waited for");
}

static void say_and_accept(struct fake_delivery *delivery)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", fake_number(delivery));
    child_says(text);
    fake_accept(delivery);
}

static void child_accepts(const struct child_task *task)
{
    struct fake_subscription *subscription = child_subscribes(task, CONNECTOR_MODE_COMPETE);
    subscription->on_delivery = say_and_accept;
    fake_window(subscription, 8, PLENTY);
}

/* What is confirmed afterwards shows that the settlement has arrived. */
static void child_puts_off(const struct child_task *task)
{
    struct fake_subscription *subscription = child_subscribes(task, CONNECTOR_MODE_COMPETE);
    fake_window(subscription, 1, PLENTY);
    require(fake_wait_deliveries(subscription, 1), "did not get a delivery");
    fake_window(subscription, 0, PLENTY);
    fake_settle(subscription->deliveries[0], CONNECTOR_MODIFIED, task->extra);
    fake_publish(task->fake, fake_topic(task->fake, "after"), FL_SLICE_LIT("x"));
    require(fake_wait_answers(task->fake), "got no answer to its publish");
}

static const struct child_role {
    const char *name;
    void (*run)(const struct child_task *task);
} child_roles[] = {
    {"publish", child_publishes}, {"hold", child_holds},       {"broadcast", child_holds_broadcast},
    {"accept", child_accepts},    {"put-off", child_puts_off},
};

static bool input_has_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

/* argv: program, "--child", role, topic, group, count, extra, NAME=VALUE… */
static int run_child(int argc, char **argv, const struct connector_type *type)
{
    struct config_value values[32] = {0};
    struct fl_error error = {0};
    size_t value_count = 0;
    for (int i = 7; i < argc && value_count < 32; i++) {
        struct fl_slice text = fl_slice_str(argv[i]);
        size_t at = fl_slice_find_byte(text, '=');
        values[value_count].name = fl_slice_of(text.data, at);
        values[value_count++].value = fl_slice_str(argv[i] + at + 1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct child_task task = {
        .fake = fake_gateway_new(type, values, value_count, CHILD_WAITS_MS, 20, &error),
        .topic = fl_slice_str(argv[3]),
        .group = argv[4],
        .count = strtoul(argv[5], NULL, 10),
        .extra = strtol(argv[6], NULL, 10),
    };
    require(task.fake != NULL, error.text);
    require(fake_wait_up(task.fake), "its connector did not say that it is up");
    for (size_t i = 0; i < sizeof child_roles / sizeof *child_roles; i++) {
        if (strcmp(child_roles[i].name, argv[2]) == 0)
            child_roles[i].run(&task);
    }
    child_says("done");
    while (!input_has_ended())
        fake_run_quietly(task.fake, 20);
    char complaint[256];
    fake_gateway_free(&task.fake, complaint, sizeof complaint);
    require(complaint[0] == 0, complaint);
    return 0;
}

bool connector_suite_child(int argc, char **argv, const struct connector_type *type, int *status)
{
    if (argc < 7 || strcmp(argv[1], "--child") != 0)
        return false;
    *status = run_child(argc, argv, type);
    return true;
}

/* --- the suite's side --- */

struct suite_child {
    struct suite *suite;
    pid_t pid;
    int input, output; /* the child's */
    char line[64];     /* the last whole one */
    char rest[64];
    size_t rest_len;
};

struct child_orders {
    const char *role;
    struct fl_slice topic;
    const char *group;
    size_t count;
    long extra;
};

extern char **environ;

static pid_t spawn(char **argv, const int input[2], const int output[2])
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    int failure = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(failure, 0);
    return pid;
}

static struct suite_child *start_child(struct suite *suite, const struct child_orders *orders)
{
    struct fl_arena *arena = &suite->arena;
    const struct suite_subject *subject = suite->subject;
    char **argv = FL_ARENA_ARRAY(arena, char *, 8 + subject->value_count);
    argv[0] = fl_arena_printf(arena, "suite-child");
    argv[1] = fl_arena_printf(arena, "--child");
    argv[2] = fl_arena_printf(arena, "%s", orders->role);
    argv[3] = fl_arena_printf(arena, "%.*s", FL_SLICE_ARG(orders->topic));
    argv[4] = fl_arena_printf(arena, "%s", orders->group ? orders->group : "");
    argv[5] = fl_arena_printf(arena, "%zu", orders->count);
    argv[6] = fl_arena_printf(arena, "%ld", orders->extra);
    for (size_t i = 0; i < subject->value_count; i++)
        argv[7 + i] = fl_arena_printf(arena, "%.*s=%.*s", FL_SLICE_ARG(subject->values[i].name),
                                      FL_SLICE_ARG(subject->values[i].value));
    struct suite_child *child = FL_ARENA_NEW(arena, struct suite_child);
    int input[2], output[2];
    assert_true(suite->child_count < MOST_CHILDREN);
    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    *child =
        (struct suite_child){suite, spawn(argv, input, output), input[1], output[0], "", "", 0};
    close(input[0]);
    close(output[1]);
    fcntl(child->output, F_SETFL, O_NONBLOCK);
    suite->children[suite->child_count++] = child;
    return child;
}

/* Cuts the next line out of what came; false when there is no whole one. */
static bool cut_line(struct suite_child *child)
{
    char *end = memchr(child->rest, '\n', child->rest_len);
    if (!end)
        return false;
    size_t len = (size_t)(end - child->rest);
    memcpy(child->line, child->rest, len);
    child->line[len] = 0;
    child->rest_len -= len + 1;
    memmove(child->rest, end + 1, child->rest_len);
    return true;
}

/* True: the child's next line is in `line`. False: our own connectors went on for a moment. */
static bool hear_child(struct suite_child *child)
{
    if (cut_line(child))
        return true;
    ssize_t len =
        read(child->output, child->rest + child->rest_len, sizeof child->rest - child->rest_len);
    assert_true(len > 0 || (len < 0 && errno == EAGAIN));
    if (len > 0)
        child->rest_len += (size_t)len;
    else
        fake_run_quietly(child->suite->fake, 2);
    return false;
}

static void wait_done(struct suite_child *child)
{
    for (int64_t until_ms = fl_clock_ms() + CHILD_PATIENCE_MS; !hear_child(child);)
        assert_true(fl_clock_ms() < until_ms);
    assert_string_equal(child->line, "done");
}

static void forget_child(struct suite_child *child)
{
    struct suite *suite = child->suite;
    if (child->input >= 0)
        close(child->input);
    close(child->output);
    for (size_t i = 0; i < suite->child_count; i++) {
        if (suite->children[i] == child)
            suite->children[i] = suite->children[--suite->child_count];
    }
}

/* Without warning. It is gone when this returns. */
static void kill_child(struct suite_child *child)
{
    int status;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, &status, 0);
    forget_child(child);
}

/* It closes its connector, and nothing was wrong in it. */
static void end_child(struct suite_child *child)
{
    int status = 0;
    close(child->input);
    child->input = -1;
    for (int64_t until_ms = fl_clock_ms() + CHILD_PATIENCE_MS;;) {
        if (waitpid(child->pid, &status, WNOHANG) == child->pid)
            break;
        assert_true(fl_clock_ms() < until_ms);
        fake_run_quietly(child->suite->fake, 2);
    }
    forget_child(child);
    assert_int_equal(status, 0);
}

/* Of a test that failed. */
static void end_children(struct suite *suite)
{
    while (suite->child_count > 0)
        kill_child(suite->children[0]);
}
