/* pubsub.sqlite as the gateway sees it: its options and traits, opening and closing, what it
 * counts.
 *
 * The work is done elsewhere: front.c is the loop's side, broker.c the session's. Opening reads the
 * path and looks at the file before a thread is started, so a file that is not ours is refused at
 * once and untouched; closing ends when the session has, or is abandoned at its deadline.
 */
#include "connectors/sqlite/sqlite.h"

#include "base/alloc.h"
#include "connectors/sqlite/path.h"
#include "connectors/sqlite/sqlite_priv.h"

/* --- opening and closing --- */

static enum fl_err open_sqlite(struct connector *connector, struct fl_error *error)
{
    struct cn_sqlite *sqlite = cn_sqlite_of(connector);
    const struct cn_settings *settings = connector->settings;
    struct fl_buffer path = {0};
    enum fl_err err =
        cn_path_of(settings->connection_string, connector->host->data_dir, &path, error);
    if (!err)
        err = cn_guard_inspect(fl_buffer_cstr(&path), CN_SCHEMA_VERSION, error);
    if (err) {
        fl_buffer_fini(&path);
        return err;
    }
    cn_front_init(sqlite);
    sqlite->counts = fl_zalloc(sizeof *sqlite->counts);
    sqlite->broker = cn_broker_new(settings, fl_strdup(fl_slice_str(fl_buffer_cstr(&path))),
                                   connector->host->app_id, sqlite->counts, sqlite);
    fl_buffer_fini(&path);
    err = connector_session_start(&cn_session_type, connector->host->loop, sqlite->broker,
                                  &sqlite->broker->session, error);
    if (err) {
        cn_broker_free(&sqlite->broker);
        FL_FREE(sqlite->counts);
        return err;
    }
    sqlite->session = sqlite->broker->session;
    return FL_OK;
}

static void close_sqlite(struct connector *connector, int64_t deadline_at_ms)
{
    struct cn_sqlite *sqlite = cn_sqlite_of(connector);
    connector_session_set_deadline(sqlite->session, deadline_at_ms);
    if (!sqlite->is_closing)
        cn_front_close(sqlite);
}

void cn_sqlite_on_session_ended(void *owner, struct fl_mailbox_entry *rest, bool is_abandoned)
{
    struct cn_broker *broker = owner;
    struct cn_sqlite *sqlite = broker->sqlite;
    struct connector *connector = &sqlite->connector;
    cn_front_end(sqlite, rest);
    if (!is_abandoned) {
        cn_broker_free(&sqlite->broker);
        cn_front_free_feeds(sqlite);
        FL_FREE(sqlite->counts);
    }
    connector->host->callbacks->closed(connector);
}

/* --- what is counted --- */

static const struct connector_counter counters[] = {
    {"commits_total", "Transactions committed.", false},
    {"syncs_total", "Calls that wait for the disk (fsync, fdatasync).", false},
    {"written_bytes_total", "Bytes written to the database and its log.", false},
    {"stored_total", "Messages stored.", false},
    {"delivered_total", "Deliveries handed out, redeliveries included.", false},
    {"lapsed_total", "Deliveries whose lease ran out or whose process died.", false},
    {"checkpoints_total", "Times the log was moved into the database.", false},
    {"removed_total", "Messages removed by retention.", false},
    {"log_bytes", "Size of what the log holds.", true},
    {"used_bytes", "Size of what the database holds, free pages not counted.", true},
    {NULL, NULL, false},
};

static void read_counters(struct connector *connector, uint64_t *values)
{
    struct cn_counts *counts = cn_sqlite_of(connector)->counts;
    _Atomic uint64_t *all[] = {
        &counts->commits,   &counts->file.syncs, &counts->file.written_bytes, &counts->stored,
        &counts->delivered, &counts->lapsed,     &counts->checkpoints,        &counts->removed,
        &counts->wal_bytes, &counts->used_bytes};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        values[i] = atomic_load_explicit(all[i], memory_order_relaxed);
}

/* --- options and traits --- */

static enum fl_err check_settings(const void *settings, struct fl_error *error)
{
    const struct cn_settings *ours = settings;
    struct fl_buffer path = {0};
    /* A folder that is only known to a running gateway is no reason to refuse. */
    struct fl_slice somewhere = FL_SLICE_LIT("/");
    struct fl_error why;
    enum fl_err err = cn_path_of(ours->connection_string, somewhere, &path, &why);
    fl_buffer_fini(&path);
    return err ? fl_error_set(error, err, why.class, "connectionString: found \"%.*s\": %s",
                              FL_SLICE_ARG(ours->connection_string), why.text)
               : FL_OK;
}

static void resolve_traits(const void *settings, struct connector_traits *traits)
{
    traits->lease_ms = ((const struct cn_settings *)settings)->lease_ms;
}

static const char *const component_types[] = {"pubsub.sqlite", NULL};

static const struct config_option component_options[] = {
    {
        .name = "connectionString",
        .aliases = "url,path",
        .type = CONFIG_STRING,
        .help = "The database file: a path or a file: URI. Without it, broker.db in the data "
                "folder (--data-dir), which all gateways of one user share.",
        .offset = offsetof(struct cn_settings, connection_string),
    },
    {
        .name = "maxBytes",
        .type = CONFIG_BYTES,
        .default_text = "1Gi",
        .min = 1048576,
        .max = INT64_MAX,
        .help = "The most that the database may hold. Settled messages are removed early to stay "
                "under it; when every message is unsettled, publishing is refused with 429.",
        .offset = offsetof(struct cn_settings, max_bytes),
    },
    {
        .name = "retention",
        .type = CONFIG_DURATION,
        .unit = "s",
        .default_text = "24h",
        .max = INT64_MAX / 1000000,
        .help = "How long a message is kept after it was stored, for groups that start later. It "
                "is removed when it is older and every group has settled it.",
        .offset = offsetof(struct cn_settings, retention_ms),
    },
    {
        .name = "leaseTime",
        .type = CONFIG_DURATION,
        .unit = "s",
        .default_text = "30s",
        .min = 100,
        .max = 86400000,
        .help = "A delivery is offered again this long after the gateway stopped to work on it. "
                "While the application works the lease is extended.",
        .offset = offsetof(struct cn_settings, lease_ms),
    },
    {
        .name = "groupExpiry",
        .type = CONFIG_DURATION,
        .unit = "s",
        .default_text = "0s",
        .max = INT64_MAX / 1000000,
        .help = "A group that no process has served for this long is removed, and what it has not "
                "settled with it; 0: never.",
        .offset = offsetof(struct cn_settings, group_expiry_ms),
    },
    {
        .name = "busyTimeout",
        .type = CONFIG_DURATION,
        .unit = "ms",
        .default_text = "2s",
        .max = 60000,
        .help = "How long a write lock of another program, such as the sqlite3 tool in a "
                "transaction, is waited for; then publishing is refused with 503 until it is "
                "gone. Gateways take turns by a lock of their own and never wait this long.",
        .offset = offsetof(struct cn_settings, busy_ms),
    },
    {
        .name = "maxTopics",
        .type = CONFIG_INT,
        .default_text = "100000",
        .min = 1,
        .max = 8000000,
        .help = "The most topics that the database may hold; one more is refused.",
        .offset = offsetof(struct cn_settings, max_topics),
    },
    {.name = NULL},
};

struct publish_settings {
    int64_t delay_ms, lifetime_ms;
    struct fl_slice deliver_at, partition_key;
};

static const struct config_option publish_options[] = {
    {
        .name = "delay",
        .type = CONFIG_DURATION,
        .unit = "s",
        .max = INT64_MAX / 1000000,
        .help = "The message is published this much later; until then it can be taken back by its "
                "id.",
        .offset = offsetof(struct publish_settings, delay_ms),
    },
    {
        .name = "deliverAt",
        .type = CONFIG_STRING,
        .help = "The message is published at this time (RFC 3339); until then it can be taken "
                "back by its id.",
        .offset = offsetof(struct publish_settings, deliver_at),
    },
    {
        .name = "ttlInSeconds",
        .type = CONFIG_IGNORED,
        .help = "The message is not delivered any more when it is older, counted from when it was "
                "published.",
    },
    {
        .name = "partitionKey",
        .type = CONFIG_STRING,
        .help = "Messages of one key are delivered in order, one at a time, over all gateways.",
        .offset = offsetof(struct publish_settings, partition_key),
    },
    {.name = NULL},
};

const struct connector_type cn_sqlite_type = {
    .interface = CONNECTOR_INTERFACE,
    .component_types = component_types,
    .summary = "A durable broker in one file, without a server; the gateways of one machine share "
               "it.",
    .traits =
        {
            .lease_ms = 30000,
            /* A place in the window is free again after a commit: at 64 the consumers cannot keep
             * up with the publishers, and then messages are read back from the file. */
            .window_messages = 256,
            .delays = true,
            .ttl = true,
            .headers = true,
            .wildcards = true,
            .history = true,
            .survives_process = true,
            .competes = true,
            .order = CONNECTOR_ORDER_LANE,
            .max_message_bytes = CN_MOST_MESSAGE_BYTES,
            .max_topic_bytes = CN_MOST_TOPIC_BYTES,
        },
    .state_size = sizeof(struct cn_sqlite),
    .settings_size = sizeof(struct cn_settings),
    .component_options = component_options,
    .publish_options = publish_options,
    .check = check_settings,
    .resolve_traits = resolve_traits,
    .open = open_sqlite,
    .close = close_sqlite,
    .publish = cn_front_publish,
    .invoke = cn_front_invoke,
    .subscribe = cn_front_subscribe,
    .unsubscribe = cn_front_unsubscribe,
    .window = cn_front_window,
    .settle = cn_front_settle,
    .extend = cn_front_extend,
    .backlog = cn_front_backlog,
    .counters = counters,
    .read_counters = read_counters,
};
