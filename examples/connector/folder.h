/* pubsub.folder: a folder as a broker, one file a message. README.md beside this file says what it
 * promises; the comments here and in the two sources say how a connector with a session works.
 *
 *   PATH/TOPIC/GROUP/ready/NAME.ATTEMPT         waits; names sort as they were published
 *   PATH/TOPIC/GROUP/taken/NAME.ATTEMPT@OWNER   is out, at the gateway named OWNER
 *   PATH/.owners/OWNER                          locked for as long as that gateway lives
 *   PATH/.new/                                  what is being written
 *
 * A publish writes one file and links it into every group of its topic. A claim is a rename, so of
 * all who try one wins. The kernel frees the lock of a process that ends in whatever way, and then
 * the others put back what it had taken.
 *
 * File calls block, so they are the session's (store.c), and all that touches the gateway is the
 * loop's (folder.c). Whatever the gateway asks for is a job: an object that goes to the session, is
 * done there, and comes back, with all others of its turn, in one answer, from which the callbacks
 * are made. It belongs to one side at a time. Deliveries go the other way round: the session makes
 * them, and they return to it to be settled.
 *
 *   loop     publish, subscribe, … ──► job ──┐        ┌──► answer ──► published, subscribed,
 * deliver session                                  └► turn ─┘
 */
#ifndef FOLDER_H
#define FOLDER_H

#include <dirent.h>

#include "connectors/connector.h"
#include "connectors/session.h"

enum {
    FOLDER_MOST_NAME = 80,   /* bytes of a topic or group: a file's name is up to three times as
                                long, and may have 255 */
    FOLDER_MOST_PATH = 1024, /* bytes of the setting */
};

/* What one of the session's jobs came to. */
struct folder_failure {
    enum fl_err code;
    enum fl_error_class class;
    char text[160];
};

enum folder_job_kind {
    FOLDER_PUBLISH,
    FOLDER_SUBSCRIBE,
    FOLDER_WINDOW,
    FOLDER_STOP,   /* no more claims; when it is back, no delivery is on its way */
    FOLDER_FORGET, /* when it is back, the session knows nothing of the subscriber */
    FOLDER_BACKLOG,
    FOLDER_DELIVERY,
    FOLDER_CLOSE,
};

struct folder_job {
    struct fl_mailbox_entry entry; /* on its way to the session */
    struct fl_list link;           /* in the session's `todo`, then in an answer's `done` */
    enum folder_job_kind kind;
    struct folder_failure failure;
};

struct folder_publish {
    struct folder_job job;
    struct fl_list link; /* loop: in `publishes` */
    struct net_timer deadline;
    struct folder *folder; /* loop */
    void *token;
    struct ce_event *event; /* a reference of our own: once the deadline is answered the gateway
                               gives up its own, and the session may still be reading */
    char *topic;            /* as a file's name; NULL: it is too long for one */
    bool is_answered;
};

struct folder_subscriber {
    struct fl_list link; /* loop: in `subscribers` */
    struct folder_job subscribe, stop, forget;

    /* Never changed. */
    struct connector_subscription *subscription; /* for the loop; the gateway's */
    char *topic;                                 /* as a file's name; NULL: too long for one */
    bool is_broadcast;

    /* Loop. */
    bool is_leaving, is_stopped, is_forgotten;
    bool is_asked; /* to leave, by `unsubscribe`; else the connector closes, or it has failed */
    uint32_t window_messages, in_flight_count;
    size_t window_bytes, in_flight_bytes;
    struct fl_list in_flight; /* of struct folder_delivery */

    /* Session. */
    char *group;           /* as a file's name; NULL: too long for one */
    struct fl_list served; /* in the store's `served`, while it may claim */
    uint32_t most_messages, out_count;
    size_t most_bytes, out_bytes;
    int watch;             /* of the ready folder */
    bool has_news;         /* the ready folder has changed since it was read */
    struct dirent **names; /* of the ready folder, in order; those before `name_at` are done */
    int name_at, name_count;
};

struct folder_window {
    struct folder_job job;
    struct folder_subscriber *subscriber;
    uint32_t messages;
    size_t bytes;
};

struct folder_delivery {
    struct folder_job job;
    struct fl_list link; /* loop: in `in_flight` */
    struct folder_subscriber *subscriber;
    uint64_t number; /* for the token: no other delivery has it */
    enum connector_outcome outcome;
    uint32_t attempt;
    char name[64]; /* without attempt and owner */
    int64_t stored_wall_ms;
    size_t len;
    char body[];
};

struct folder_backlog {
    struct folder_job job;
    struct connector_backlog what;
    void *token;
    char *topic, *group; /* as files' names; NULL: unknown */
};

/* From the session, once a turn. */
struct folder_answer {
    struct net_post post;
    struct folder_store *store;
    bool has_state, is_up;
    struct folder_failure failure; /* why it is down */
    struct fl_list done;           /* of struct folder_job */
};

/* The session's side. A session that hangs is abandoned, not ended, and then goes on using what it
 * uses; so nothing of that stands in the connector, whose memory is the gateway's and goes after
 * `closed`. */
struct folder_store {
    struct connector_session *session;
    struct folder *folder; /* loop: NULL once the connector is closed */

    char path[FOLDER_MOST_PATH + 1];
    char owner[17];
    int owner_fd, notify_fd;
    bool is_open;
    int64_t next_try_ms, next_sweep_ms;
    uint64_t last_number;
    struct fl_list todo, served;
    struct folder_answer *answer; /* of this turn; NULL: nothing to say yet */
};

/* The connector; the loop's. */
struct folder {
    struct connector connector; /* first: the gateway's head of the instance */
    struct folder_store *store;
    struct fl_list publishes, subscribers;
    size_t publish_count;
    bool owes_writable, is_closing, is_ending;
    int64_t close_at_ms;
    struct net_timer close_timer;
    struct folder_job close;
};

/* --- store.c --- */

/* Nothing is touched on disk yet. */
struct folder_store *folder_store_new(struct fl_slice path);
void folder_store_free(struct folder_store *store);
/* Any thread. A topic or a group as a file's name; NULL when it is too long. */
char *folder_encode(struct fl_slice name);
/* The side that has the subscriber: the loop's once the session has ended. */
void folder_forget_names(struct folder_subscriber *subscriber);
/* The session's turn. */
void folder_turn(void *owner, struct fl_mailbox_entry *work, struct connector_session_sleep *sleep);

/* --- folder.c --- */

/* What the session posts: makes the callbacks. */
void folder_on_answer(struct net_post *post);

#endif
