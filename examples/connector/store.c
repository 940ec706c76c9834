/* The session's side: files. Everything here runs on the session's thread, save where a word says
 * otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

#include "folder.h"

enum {
    CLAIMS_A_TURN = 64,   /* of one subscriber, so that none keeps the others waiting */
    SWEEP_EVERY_MS = 500, /* how soon a dead gateway is noticed */
    TRY_AGAIN_MS = 1000,  /* when the folder could not be made */
    ROOM = FOLDER_MOST_PATH + 4 * 256, /* for a path: the setting and four names */
};

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void fail(struct folder_failure *failure, const char *what)
{
    failure->code = FL_ERR_SYSTEM;
    failure->class = FL_CLASS_RETRY;
    snprintf(failure->text, sizeof failure->text, "%.120s: %s", what, strerror(errno));
}

static void refuse(struct folder_failure *failure, const char *what)
{
    failure->code = FL_ERR_TOO_LARGE;
    failure->class = FL_CLASS_REJECT;
    snprintf(failure->text, sizeof failure->text, "%s is longer than %d bytes", what,
             FOLDER_MOST_NAME);
}

/* --- names --- */

/* Letters, digits, `-` and `_` stay, any other byte is %XX. So no name begins with `.` or `+`,
 * which are ours. */
char *folder_encode(struct fl_slice name)
{
    if (name.len == 0 || name.len > FOLDER_MOST_NAME)
        return NULL;
    char *out = fl_alloc(3 * name.len + 1), *at = out;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        at += snprintf(at, 4, is_plain ? "%c" : "%%%02X", (unsigned char)c);
    }
    return out;
}

/* PATH/TOPIC/GROUP/PART/NAME, up to the first that is NULL. */
static const char *place(char path[ROOM], const struct folder_store *store, const char *topic,
                         const char *group, const char *part, const char *name)
{
    const char *const parts[] = {topic, group, part, name, NULL};
    size_t len = (size_t)snprintf(path, ROOM, "%s", store->path);
    for (size_t i = 0; parts[i] && len < ROOM; i++)
        len += (size_t)snprintf(path + len, ROOM - len, "/%s", parts[i]);
    return path;
}

static void ready_path(const struct folder_store *store, const struct folder_delivery *delivery,
                       char path[ROOM])
{
    const struct folder_subscriber *subscriber = delivery->subscriber;
    char file[128];
    snprintf(file, sizeof file, "%s.%" PRIu32, delivery->name, delivery->attempt);
    place(path, store, subscriber->topic, subscriber->group, "ready", file);
}

static void taken_path(const struct folder_store *store, const struct folder_delivery *delivery,
                       char path[ROOM])
{
    const struct folder_subscriber *subscriber = delivery->subscriber;
    char file[128];
    snprintf(file, sizeof file, "%s.%" PRIu32 "@%s", delivery->name, delivery->attempt,
             store->owner);
    place(path, store, subscriber->topic, subscriber->group, "taken", file);
}

/* Names begin with the time at which they were published, in nanoseconds, hexadecimal. */
static int64_t stored_wall_ms(const char *name)
{
    return (int64_t)(strtoull(name, NULL, 16) / 1000000);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void free_names(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* --- the folder itself --- */

static bool make_folder(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static bool make_path(const char *path)
{
    char part[ROOM];
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/')
            continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (!make_folder(part))
            return false;
    }
    return make_folder(path);
}

/* Locked before it gets its name, so that nobody finds it unlocked and takes us for dead. */
static bool make_owner(struct folder_store *store)
{
    char new[ROOM], path[ROOM];
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return false;
    snprintf(store->owner, sizeof store->owner, "%016" PRIx64, random);
    place(new, store, ".new", store->owner, NULL, NULL);
    place(path, store, ".owners", store->owner, NULL, NULL);
    store->owner_fd = open(new, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    return store->owner_fd >= 0 && flock(store->owner_fd, LOCK_EX) == 0 && rename(new, path) == 0;
}

static bool open_files(struct folder_store *store)
{
    char new[ROOM], owners[ROOM];
    place(new, store, ".new", NULL, NULL, NULL);
    place(owners, store, ".owners", NULL, NULL, NULL);
    if (!make_path(store->path) || !make_folder(new) || !make_folder(owners) || !make_owner(store))
        return false;
    store->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return store->notify_fd >= 0;
}

static void close_files(struct folder_store *store)
{
    char path[ROOM];
    place(path, store, ".owners", store->owner, NULL, NULL);
    if (store->owner_fd >= 0) {
        unlink(path);
        close(store->owner_fd);
    }
    if (store->notify_fd >= 0)
        close(store->notify_fd);
    store->owner_fd = store->notify_fd = -1;
}

struct folder_store *folder_store_new(struct fl_slice path)
{
    struct folder_store *store = fl_zalloc(sizeof *store);
    memcpy(store->path, path.data, path.len);
    store->owner_fd = store->notify_fd = -1;
    fl_list_init(&store->todo);
    fl_list_init(&store->served);
    return store;
}

void folder_store_free(struct folder_store *store)
{
    fl_free(store);
}

static bool is_dead(const struct folder_store *store, const char *owner)
{
    char path[ROOM];
    if (strcmp(owner, store->owner) == 0)
        return false;
    place(path, store, ".owners", owner, NULL, NULL);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    bool is_free = flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return is_free;
}

/* --- publishing --- */

static bool write_all(int fd, struct fl_slice bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        ssize_t len = write(fd, bytes.data + done, bytes.len - done);
        if (len < 0)
            return false;
        done += (size_t)len;
    }
    return true;
}

static bool write_file(const char *path, struct fl_slice bytes)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0)
        return false;
    bool is_written = write_all(fd, bytes);
    return close(fd) == 0 && is_written;
}

static void remove_group(const struct folder_store *store, const char *topic, const char *group)
{
    static const char *const parts[] = {"ready", "taken"};
    char path[ROOM];
    for (size_t i = 0; i < 2; i++) {
        struct dirent **names = NULL;
        place(path, store, topic, group, parts[i], NULL);
        int count = scandir(path, &names, is_visible, NULL);
        for (int j = 0; j < count; j++) {
            unlink(place(path, store, topic, group, parts[i], names[j]->d_name));
        }
        if (count >= 0)
            free_names(names, count);
        place(path, store, topic, group, parts[i], NULL);
        rmdir(path);
    }
    rmdir(place(path, store, topic, group, NULL, NULL));
}

/* `+OWNER-NUMBER`: of one broadcast subscriber, which ends with it. */
static bool is_left_over(const struct folder_store *store, const char *group)
{
    char owner[17];
    if (group[0] != '+')
        return false;
    snprintf(owner, sizeof owner, "%.16s", group + 1);
    return is_dead(store, owner);
}

/* A group that goes away meanwhile needs nothing any more. */
static bool link_into(const struct folder_store *store, const char *new, const char *topic,
                      const char *group, const char *name)
{
    char path[ROOM], file[128];
    snprintf(file, sizeof file, "%s.1", name);
    return link(new, place(path, store, topic, group, "ready", file)) == 0 || errno == ENOENT;
}

static bool link_into_all(struct folder_store *store, const char *topic, struct dirent **groups,
                          int count, struct fl_slice body)
{
    char new[ROOM], name[64];
    snprintf(name, sizeof name, "%016" PRIx64 "-%s-%06" PRIu64, (uint64_t)wall_ns(), store->owner,
             ++store->last_number);
    place(new, store, ".new", name, NULL, NULL);
    bool is_fine = write_file(new, body);
    for (int i = 0; i < count && is_fine; i++) {
        if (is_left_over(store, groups[i]->d_name))
            remove_group(store, topic, groups[i]->d_name);
        else
            is_fine = link_into(store, new, topic, groups[i]->d_name, name);
    }
    int why = errno;
    unlink(new);
    errno = why;
    return is_fine;
}

static void do_publish(struct folder_store *store, struct folder_publish *publish)
{
    char path[ROOM];
    struct dirent **groups = NULL;
    if (!publish->topic) {
        refuse(&publish->job.failure, "the topic");
        return;
    }
    place(path, store, publish->topic, NULL, NULL, NULL);
    int count = scandir(path, &groups, is_visible, NULL);
    if (count < 0 && errno != ENOENT)
        fail(&publish->job.failure, path);
    if (count > 0 && !link_into_all(store, publish->topic, groups, count, publish->event->body))
        fail(&publish->job.failure, "cannot write the message");
    if (count >= 0)
        free_names(groups, count);
}

/* --- claiming --- */

static struct folder_answer *answer_of(struct folder_store *store)
{
    if (!store->answer) {
        store->answer = fl_zalloc(sizeof *store->answer);
        store->answer->store = store;
        store->answer->post.run = folder_on_answer;
        fl_list_init(&store->answer->done);
    }
    return store->answer;
}

static void say_done(struct folder_store *store, struct folder_job *job)
{
    fl_list_add_last(&answer_of(store)->done, &job->link);
}

/* The whole file, or NULL. */
static struct folder_delivery *read_delivery(const char *path)
{
    struct stat status;
    struct folder_delivery *delivery = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0)
        delivery = fl_try_alloc(sizeof *delivery + (size_t)status.st_size);
    if (delivery) {
        memset(delivery, 0, sizeof *delivery);
        delivery->len = (size_t)status.st_size;
        if (read(fd, delivery->body, delivery->len) != (ssize_t)delivery->len)
            FL_FREE(delivery);
    }
    close(fd);
    return delivery;
}

/* Fills name and attempt of `NAME.ATTEMPT` or `NAME.ATTEMPT@OWNER`; false: not one of ours. */
static bool parse_name(const char *text, struct folder_delivery *delivery)
{
    size_t len = strcspn(text, ".");
    if (text[len] != '.' || len >= sizeof delivery->name)
        return false;
    memcpy(delivery->name, text, len);
    delivery->name[len] = 0;
    delivery->attempt = (uint32_t)strtoul(text + len + 1, NULL, 10);
    return delivery->attempt > 0;
}

/* A message that cannot be read now goes back. If that fails too, it is ours until we end, and then
 * another puts it back. */
static struct folder_delivery *give_up(const char *taken, const char *ready)
{
    int ignored = rename(taken, ready);
    (void)ignored;
    return NULL;
}

/* Moves one message to us and reads it; NULL when another was quicker. */
static struct folder_delivery *claim(struct folder_store *store,
                                     struct folder_subscriber *subscriber, const char *text)
{
    char from[ROOM], to[ROOM];
    struct folder_delivery head = {.subscriber = subscriber};
    if (!parse_name(text, &head))
        return NULL;
    ready_path(store, &head, from);
    taken_path(store, &head, to);
    if (rename(from, to) < 0)
        return NULL;
    struct folder_delivery *delivery = read_delivery(to);
    if (!delivery)
        return give_up(to, from);
    size_t len = delivery->len;
    *delivery = head;
    delivery->len = len;
    delivery->job.kind = FOLDER_DELIVERY;
    delivery->number = ++store->last_number;
    delivery->stored_wall_ms = stored_wall_ms(text);
    return delivery;
}

static bool has_room(const struct folder_subscriber *subscriber)
{
    return subscriber->out_count < subscriber->most_messages &&
           subscriber->out_bytes < subscriber->most_bytes;
}

void folder_forget_names(struct folder_subscriber *subscriber)
{
    free_names(subscriber->names, subscriber->name_count);
    subscriber->names = NULL;
    subscriber->name_at = subscriber->name_count = 0;
}

/* The next name, from the list that was read last, or from a new one if there is news. */
static const char *next_name(const struct folder_store *store, struct folder_subscriber *subscriber)
{
    if (subscriber->name_at == subscriber->name_count && subscriber->has_news) {
        char path[ROOM];
        folder_forget_names(subscriber);
        subscriber->has_news = false;
        place(path, store, subscriber->topic, subscriber->group, "ready", NULL);
        int count = scandir(path, &subscriber->names, is_visible, by_name);
        subscriber->name_count = count > 0 ? count : 0;
    }
    if (subscriber->name_at == subscriber->name_count)
        return NULL;
    return subscriber->names[subscriber->name_at++]->d_name;
}

/* True when more could be claimed at once. */
static bool claim_some(struct folder_store *store, struct folder_subscriber *subscriber)
{
    for (int i = 0; i < CLAIMS_A_TURN; i++) {
        const char *name = has_room(subscriber) ? next_name(store, subscriber) : NULL;
        if (!name)
            return false;
        struct folder_delivery *delivery = claim(store, subscriber, name);
        if (!delivery)
            continue;
        subscriber->out_count++;
        subscriber->out_bytes += delivery->len;
        say_done(store, &delivery->job);
    }
    return true;
}

/* What dead gateways had taken goes back, as an attempt that failed. */
static void sweep(const struct folder_store *store, struct folder_subscriber *subscriber)
{
    struct dirent **names = NULL;
    char path[ROOM], back[ROOM];
    struct folder_delivery head = {.subscriber = subscriber};
    place(path, store, subscriber->topic, subscriber->group, "taken", NULL);
    int count = scandir(path, &names, is_visible, NULL);
    for (int i = 0; i < count; i++) {
        const char *owner = strchr(names[i]->d_name, '@');
        if (!owner || !parse_name(names[i]->d_name, &head) || !is_dead(store, owner + 1))
            continue;
        head.attempt++;
        ready_path(store, &head, back);
        place(path, store, subscriber->topic, subscriber->group, "taken", names[i]->d_name);
        if (rename(path, back) == 0)
            subscriber->has_news = true;
    }
    if (count >= 0)
        free_names(names, count);
}

/* Of all folders that changed. An overflow has the watch -1 and may mean any. */
static void hear_news(struct folder_store *store)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t len;
    while ((len = read(store->notify_fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct inotify_event *event = (const void *)(bytes + at);
            FL_LIST_EACH(each, &store->served)
            {
                struct folder_subscriber *subscriber =
                    FL_LIST_ENTRY(each, struct folder_subscriber, served);
                subscriber->has_news |= event->wd < 0 || event->wd == subscriber->watch;
            }
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
}

/* --- coming, going, settling --- */

static bool make_group_folders(struct folder_store *store, struct folder_subscriber *subscriber)
{
    const char *topic = subscriber->topic, *group = subscriber->group;
    char path[ROOM];
    if (!make_folder(place(path, store, topic, NULL, NULL, NULL)) ||
        !make_folder(place(path, store, topic, group, NULL, NULL)) ||
        !make_folder(place(path, store, topic, group, "taken", NULL)) ||
        !make_folder(place(path, store, topic, group, "ready", NULL)))
        return false;
    subscriber->watch = inotify_add_watch(store->notify_fd, path, IN_CREATE | IN_MOVED_TO);
    return subscriber->watch >= 0;
}

static void do_subscribe(struct folder_store *store, struct folder_subscriber *subscriber)
{
    struct folder_failure *failure = &subscriber->subscribe.failure;
    if (subscriber->is_broadcast) {
        fl_free(subscriber->group);
        subscriber->group = fl_alloc(40);
        snprintf(subscriber->group, 40, "+%s-%" PRIu64, store->owner, ++store->last_number);
    }
    if (!subscriber->topic || !subscriber->group) {
        refuse(failure, subscriber->topic ? "the group" : "the topic");
        return;
    }
    if (!make_group_folders(store, subscriber)) {
        fail(failure, "cannot make the group's folders");
        return;
    }
    subscriber->has_news = true;
    fl_list_add_last(&store->served, &subscriber->served);
    sweep(store, subscriber);
}

static void do_forget(const struct folder_store *store, struct folder_subscriber *subscriber)
{
    if (subscriber->is_broadcast && subscriber->topic && subscriber->group)
        remove_group(store, subscriber->topic, subscriber->group);
}

static void do_settle(struct folder_store *store, struct folder_delivery *delivery)
{
    char taken[ROOM], back[ROOM];
    struct folder_subscriber *subscriber = delivery->subscriber;
    subscriber->out_count--;
    subscriber->out_bytes -= delivery->len;
    taken_path(store, delivery, taken);
    if (delivery->outcome == CONNECTOR_ACCEPTED || delivery->outcome == CONNECTOR_REJECTED) {
        unlink(taken);
    } else {
        delivery->attempt += delivery->outcome == CONNECTOR_MODIFIED;
        ready_path(store, delivery, back);
        if (rename(taken, back) == 0)
            subscriber->has_news = true;
    }
    fl_free(delivery);
}

static uint64_t count_files(const struct folder_store *store, const struct folder_backlog *backlog,
                            const char *part, int64_t *oldest_wall_ms)
{
    struct dirent **names = NULL;
    char path[ROOM];
    place(path, store, backlog->topic, backlog->group, part, NULL);
    int count = scandir(path, &names, is_visible, by_name);
    if (count < 0)
        return UINT64_MAX;
    int64_t first_ms = count > 0 ? stored_wall_ms(names[0]->d_name) : 0;
    if (first_ms && (*oldest_wall_ms == 0 || first_ms < *oldest_wall_ms))
        *oldest_wall_ms = first_ms;
    free_names(names, count);
    return (uint64_t)count;
}

static void do_backlog(const struct folder_store *store, struct folder_backlog *backlog)
{
    struct connector_backlog *what = &backlog->what;
    if (!backlog->topic || !backlog->group)
        return;
    what->undelivered = count_files(store, backlog, "ready", &what->oldest_wall_ms);
    what->in_flight = count_files(store, backlog, "taken", &what->oldest_wall_ms);
    what->is_known = what->is_exact =
        what->undelivered != UINT64_MAX && what->in_flight != UINT64_MAX;
    what->as_of_wall_ms = wall_ns() / 1000000;
}

/* --- a turn --- */

static void do_job(struct folder_store *store, struct folder_job *job)
{
    switch (job->kind) {
    case FOLDER_PUBLISH:
        do_publish(store, FL_CONTAINER(job, struct folder_publish, job));
        break;
    case FOLDER_SUBSCRIBE:
        do_subscribe(store, FL_CONTAINER(job, struct folder_subscriber, subscribe));
        break;
    case FOLDER_WINDOW: {
        struct folder_window *window = FL_CONTAINER(job, struct folder_window, job);
        window->subscriber->most_messages = window->messages;
        window->subscriber->most_bytes = window->bytes;
        fl_free(window);
        return;
    }
    case FOLDER_STOP:
        fl_list_remove(&FL_CONTAINER(job, struct folder_subscriber, stop)->served);
        break;
    case FOLDER_FORGET:
        do_forget(store, FL_CONTAINER(job, struct folder_subscriber, forget));
        break;
    case FOLDER_BACKLOG:
        do_backlog(store, FL_CONTAINER(job, struct folder_backlog, job));
        break;
    case FOLDER_DELIVERY:
        do_settle(store, FL_CONTAINER(job, struct folder_delivery, job));
        return;
    case FOLDER_CLOSE:
        return;
    }
    say_done(store, job);
}

/* In a list of our own, since until the folder is there jobs wait. True: the last one is here. */
static bool take_work(struct folder_store *store, struct fl_mailbox_entry *work)
{
    bool is_over = connector_session_is_interrupted(store->session);
    while (work) {
        struct folder_job *job = FL_CONTAINER(work, struct folder_job, entry);
        work = fl_mailbox_next(work);
        fl_list_add_last(&store->todo, &job->link);
        is_over |= job->kind == FOLDER_CLOSE;
    }
    return is_over;
}

static bool try_to_open(struct folder_store *store, struct connector_session_sleep *sleep)
{
    if (clock_ms() < store->next_try_ms) {
        sleep->until_at_ms = store->next_try_ms;
        return false;
    }
    struct folder_answer *answer = answer_of(store);
    answer->has_state = true;
    answer->is_up = store->is_open = open_files(store);
    if (!store->is_open) {
        fail(&answer->failure, store->path);
        close_files(store);
        store->next_try_ms = sleep->until_at_ms = clock_ms() + TRY_AGAIN_MS;
        return false;
    }
    sleep->watches[0] = (struct pollfd){.fd = store->notify_fd, .events = POLLIN};
    sleep->watch_count = 1;
    return true;
}

static void serve(struct folder_store *store, struct connector_session_sleep *sleep)
{
    int64_t now_ms = clock_ms();
    bool is_sweep_due = now_ms >= store->next_sweep_ms, has_more = false;
    if (is_sweep_due)
        store->next_sweep_ms = now_ms + SWEEP_EVERY_MS;
    hear_news(store);
    FL_LIST_EACH(at, &store->served)
    {
        struct folder_subscriber *subscriber = FL_LIST_ENTRY(at, struct folder_subscriber, served);
        if (is_sweep_due)
            sweep(store, subscriber);
        has_more |= claim_some(store, subscriber);
    }
    if (has_more)
        sleep->until_at_ms = now_ms;
    else if (!fl_list_is_empty(&store->served))
        sleep->until_at_ms = store->next_sweep_ms;
}

static void say_answer(struct folder_store *store)
{
    struct folder_answer *answer = store->answer;
    store->answer = NULL;
    /* An abandoned session has nobody to tell, and what it has is never freed. */
    bool is_heard = !answer || connector_session_reply(store->session, &answer->post);
    (void)is_heard;
}

void folder_turn(void *owner, struct fl_mailbox_entry *work, struct connector_session_sleep *sleep)
{
    struct folder_store *store = owner;
    bool is_over = take_work(store, work);
    if (store->is_open || try_to_open(store, sleep)) {
        for (struct fl_list *first; (first = fl_list_first(&store->todo));) {
            fl_list_remove(first);
            do_job(store, FL_LIST_ENTRY(first, struct folder_job, link));
        }
        if (!is_over)
            serve(store, sleep);
    }
    if (is_over) {
        close_files(store);
        sleep->is_over = true;
    }
    say_answer(store);
}
